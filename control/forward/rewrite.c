/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/rewrite.h"

#include <errno.h>
#include <string.h>

#include "control/records/wirename.h"

/* Where an end has to begin. */
enum where { WHOLE, LABEL, BELOW, ANYWHERE };

int kb_rewrite_init(struct kb_rewrite *rule, const char *from, const char *to, bool suffix)
{
	struct kb_wire a, b;
	bool dotted = suffix && *from == '.';

	if (suffix && (dotted != (*to == '.') || !from[dotted] || !to[dotted]))
		return -EINVAL;
	if (kb_wire_parse(from + dotted, true, &a) || kb_wire_parse(to + dotted, true, &b) ||
	    (suffix && (a.len == 1 || b.len == 1)))
		return -EINVAL;
	memset(rule, 0, sizeof(*rule));
	rule->suffix = suffix;
	rule->dotted = dotted;
	rule->answers = !suffix;
	rule->from_len = a.len;
	rule->to_len = b.len;
	memcpy(rule->from, a.b, a.len);
	memcpy(rule->to, b.b, b.len);
	return 0;
}

/* Label lengths are below 64, so folding them leaves them be. */
static bool same(const uint8_t *a, const uint8_t *lower, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)kb_ascii_lower((char)a[i]) != lower[i])
			return false;
	}
	return true;
}

/* Puts `to` in place of the last bytes, which begin at `at`; with `merge` its first label
 * goes on with the one at `label`. */
static int put_end(uint8_t *name, size_t *len, size_t at, const uint8_t *to, size_t to_len,
		   bool merge, size_t label)
{
	size_t skip = merge ? 1 : 0, first = merge ? at - label - 1 + to[0] : 0;

	if (first > 63 || at + to_len - skip > KB_REWRITE_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name + at, to + skip, to_len - skip);
	if (merge)
		name[label] = (uint8_t)first;
	*len = at + to_len - skip;
	return 1;
}

/* Puts `to` in place of the end `from`. As kb_rewrite_name. */
static int replace(uint8_t *name, size_t *len, const uint8_t *from, size_t from_len,
		   const uint8_t *to, size_t to_len, enum where where)
{
	for (size_t off = 0; off < *len; off += name[off] + 1U) {
		size_t rest = *len - off, inside = name[off] + (size_t)1 - from[0] - 1;

		if (rest == from_len && same(name + off, from, from_len)) {
			if ((where == WHOLE && off > 0) || (where == BELOW && off == 0))
				return 0;
			return put_end(name, len, off, to, to_len, false, 0);
		}
		if (where == ANYWHERE && name[off] > from[0] && rest == from_len + inside &&
		    same(name + off + 1 + inside, from + 1, from_len - 1))
			return put_end(name, len, off + 1 + inside, to, to_len, true, off);
		if (!name[off])
			break;
	}
	return 0;
}

static enum where suffix_where(const struct kb_rewrite *rule)
{
	return rule->dotted ? BELOW : ANYWHERE;
}

int kb_rewrite_name(const struct kb_rewrite *rule, uint8_t *name, size_t *len)
{
	return replace(name, len, rule->from, rule->from_len, rule->to, rule->to_len,
		       rule->suffix ? suffix_where(rule) : WHOLE);
}

bool kb_rewrite_back(const struct kb_rewrite *rule, uint8_t *name, size_t *len)
{
	return rule->answers &&
	       replace(name, len, rule->to, rule->to_len, rule->from, rule->from_len,
		       rule->suffix ? suffix_where(rule) : LABEL) > 0;
}
