/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rewrite directive, for a server that does as it says:
 *
 *	rewrite [continue|stop] name [exact|suffix] FROM TO [answer auto]
 *
 * or the same words within braces. Other kinds of rules are not done here; a block that has one of
 * them has none of its rules applied, since each one decides whether the next is asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/config/corefile_private.h"

#define WORDS_MAX 16

/* FROM or TO of an exact rule, or of a suffix, which may begin with a dot. */
static bool take_name(const char *text, bool suffix, char **ret)
{
	char name[KB_CF_NAME_MAX + 1];
	size_t dot = suffix && *text == '.';

	name[0] = '.';
	if (!kb_cf_normalize(text + dot, name + dot) || strchr(name + dot, '\\') || !name[dot])
		return false;
	*ret = strdup(name);
	return true;
}

/* -EOPNOTSUPP for what is no such rule. */
static int take_rule(const char *const *w, size_t n, struct kb_corefile_rewrite *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->stop = true;
	if (n && (strcasecmp(w[0], "continue") == 0 || strcasecmp(w[0], "stop") == 0)) {
		rule->stop = strcasecmp(w[0], "stop") == 0;
		w++;
		n--;
	}
	if (n < 3 || strcasecmp(w[0], "name") != 0)
		return -EOPNOTSUPP;
	w++;
	n--;
	if (n > 2) {
		rule->suffix = strcasecmp(w[0], "suffix") == 0;
		if (!rule->suffix && strcasecmp(w[0], "exact") != 0)
			return -EOPNOTSUPP;
		w++;
		n--;
	}
	if (n > 2) {
		rule->answers = n == 4 && strcmp(w[2], "answer") == 0 && strcmp(w[3], "auto") == 0;
		if (!rule->answers)
			return -EOPNOTSUPP;
	}
	/* Text that is put together by CoreDNS in ways of its own. */
	if (rule->suffix && (*w[0] == '.') != (*w[1] == '.'))
		return -EOPNOTSUPP;
	if (!take_name(w[0], rule->suffix, &rule->from) ||
	    !take_name(w[1], rule->suffix, &rule->to))
		return -EOPNOTSUPP;
	return rule->from && rule->to ? 0 : -ENOMEM;
}

static int add_rule(struct kb_corefile_block *block, const char *const *words, size_t n)
{
	struct kb_corefile_rewrite *v =
		realloc(block->rewrites, (block->n_rewrites + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	block->rewrites = v;
	return take_rule(words, n, &v[block->n_rewrites++]);
}

int kb_cf_take_rewrites(const struct kb_cf_directive *d, struct kb_corefile_block *block,
			const struct kb_cf_token **ret_at)
{
	struct kb_cf_cursor c = {.t = d->tokens.v, .n = d->tokens.n};
	int r = 0;

	while (r == 0 && kb_cf_next(&c)) {
		const char *words[WORDS_MAX];
		const struct kb_cf_token *args;
		size_t n, m = 0;

		*ret_at = kb_cf_at(&c);
		args = kb_cf_args(&c, &n);
		for (size_t i = 0; i < n && m < WORDS_MAX; i++)
			words[m++] = args[i].text;
		/* Within braces every word counts, lines do not. */
		while (n < 2 && kb_cf_next_block(&c)) {
			if (m < WORDS_MAX)
				words[m++] = kb_cf_val(&c);
		}
		if (m == WORDS_MAX || strcmp((*ret_at)->text, d->name) != 0)
			return -EOPNOTSUPP;
		r = add_rule(block, words, m);
	}
	return r;
}
