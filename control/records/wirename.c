/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/wirename.h"

#include <errno.h>
#include <string.h>

bool kb_label_fits(const char *s, size_t len)
{
	size_t i;

	if (len < 1 || len > KB_LABEL_MAX)
		return false;
	for (i = 0; i < len; i++)
		if (s[i] == '.' || s[i] == '\0')
			return false;
	return true;
}

bool kb_label_valid(const char *s, size_t len)
{
	size_t i;

	if (len < 1 || len > KB_LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	return true;
}

int kb_wire_parse(const char *text, bool fold, struct kb_wire *ret)
{
	struct kb_wire w = {0};
	size_t pos = 0;

	while (*text) {
		const char *dot = strchr(text, '.');
		size_t i, len = dot ? (size_t)(dot - text) : strlen(text);

		if (len < 1 || len > KB_LABEL_MAX || pos + len + 2 > KB_WIRE_MAX)
			return -EINVAL;
		w.b[pos++] = (uint8_t)len;
		for (i = 0; i < len; i++) {
			if (text[i] <= ' ' || text[i] > '~' || text[i] == '\\')
				return -EINVAL;
			w.b[pos++] = (uint8_t)(fold ? kb_ascii_lower(text[i]) : text[i]);
		}
		text += len + (dot ? 1 : 0);
	}
	if (pos == 0)
		return -EINVAL;
	w.b[pos++] = 0;
	w.len = (uint8_t)pos;
	*ret = w;
	return 0;
}

int kb_wire_prepend(struct kb_wire *w, const char *label, size_t len)
{
	size_t i;

	if (len < 1 || len > KB_LABEL_MAX || w->len + len + 1 > KB_WIRE_MAX)
		return -ENAMETOOLONG;
	memmove(w->b + len + 1, w->b, w->len);
	w->b[0] = (uint8_t)len;
	for (i = 0; i < len; i++)
		w->b[i + 1] = (uint8_t)kb_ascii_lower(label[i]);
	w->len = (uint8_t)(w->len + len + 1);
	return 0;
}

size_t kb_wire_text(const uint8_t *wire, size_t len, char ret_text[KB_TEXT_MAX])
{
	size_t pos = 0, i = 0;

	while (i < len && wire[i]) {
		size_t end = i + 1 + wire[i];

		if (pos)
			ret_text[pos++] = '.';
		for (i++; i < end && i < len && pos + 6 < KB_TEXT_MAX; i++) {
			uint8_t c = wire[i];

			if (c > ' ' && c <= '~' && c != '.' && c != '\\' && c != '"') {
				ret_text[pos++] = (char)c;
				continue;
			}
			ret_text[pos++] = '\\';
			ret_text[pos++] = (char)('0' + c / 100);
			ret_text[pos++] = (char)('0' + c / 10 % 10);
			ret_text[pos++] = (char)('0' + c % 10);
		}
		i = end;
	}
	if (!pos)
		ret_text[pos++] = '.';
	ret_text[pos] = '\0';
	return pos;
}

int kb_wire_fold(const uint8_t *wire, size_t len, struct kb_wire *ret)
{
	size_t i, at = 0;

	if (len < 1 || len > KB_WIRE_MAX)
		return -EINVAL;
	while (wire[at]) {
		if (wire[at] > KB_LABEL_MAX)
			return -EINVAL;
		at += (size_t)wire[at] + 1;
		if (at >= len)
			return -EINVAL;
	}
	if (at + 1 != len)
		return -EINVAL;
	/* Length bytes are below 64 and so no letters. */
	for (i = 0; i < len; i++)
		ret->b[i] = (uint8_t)kb_ascii_lower((char)wire[i]);
	ret->len = (uint8_t)len;
	return 0;
}

int kb_wire_below(const struct kb_wire *name, const struct kb_wire *zone)
{
	int at, want = name->len - zone->len;

	if (want < 0 || memcmp(name->b + want, zone->b, zone->len) != 0)
		return -1;
	for (at = 0; at < want; at += name->b[at] + 1)
		;
	return at == want ? at : -1;
}

bool kb_wire_equal(const struct kb_wire *a, const struct kb_wire *b)
{
	return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}
