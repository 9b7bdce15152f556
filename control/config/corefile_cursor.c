/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "control/config/corefile_private.h"

static const struct kb_cf_token none = {.text = ""};

const struct kb_cf_token *kb_cf_at(const struct kb_cf_cursor *c)
{
	return c->at && c->at <= c->n ? &c->t[c->at - 1] : &none;
}

const char *kb_cf_val(const struct kb_cf_cursor *c)
{
	return kb_cf_at(c)->text;
}

bool kb_cf_next(struct kb_cf_cursor *c)
{
	if (c->at >= c->n)
		return false;
	c->at++;
	return true;
}

bool kb_cf_next_arg(struct kb_cf_cursor *c)
{
	const struct kb_cf_token *now, *next;

	if (!c->at)
		return kb_cf_next(c);
	if (c->at >= c->n)
		return false;
	now = &c->t[c->at - 1];
	next = &c->t[c->at];
	if (now->file != next->file || now->line + now->breaks != next->line)
		return false;
	c->at++;
	return true;
}

bool kb_cf_next_block(struct kb_cf_cursor *c)
{
	if (c->nesting) {
		if (!kb_cf_next(c))
			return false;
		if (strcmp(kb_cf_val(c), "}") != 0)
			return true;
		c->nesting--;
		return false;
	}
	if (!kb_cf_next_arg(c)) /* a block opens on the line of its directive */
		return false;
	if (strcmp(kb_cf_val(c), "{") != 0) {
		c->at--;
		return false;
	}
	if (!kb_cf_next(c) || strcmp(kb_cf_val(c), "}") == 0)
		return false;
	c->nesting++;
	return true;
}

const struct kb_cf_token *kb_cf_args(struct kb_cf_cursor *c, size_t *ret_n)
{
	const struct kb_cf_token *first = &c->t[c->at];

	*ret_n = 0;
	while (kb_cf_next_arg(c)) {
		if (strcmp(kb_cf_val(c), "{") == 0) {
			c->at--;
			break;
		}
		(*ret_n)++;
	}
	return first;
}

bool kb_cf_any_unset(const struct kb_cf_token *tokens, size_t n)
{
	bool unset = false;

	for (size_t i = 0; i < n; i++)
		unset |= tokens[i].unset;
	return unset;
}
