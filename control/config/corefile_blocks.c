/* SPDX-License-Identifier: Apache-2.0 */
/* Server blocks as a server has to know them: their zones, hosts and rewrite rules. */
#include "control/config/corefile_blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

int kb_cf_strings_add(struct kb_strings *list, const char *s)
{
	char **v = realloc(list->v, (list->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	list->v = v;
	v[list->n] = strdup(s);
	if (!v[list->n])
		return -ENOMEM;
	list->n++;
	return 0;
}

void kb_cf_strings_free(struct kb_strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	memset(list, 0, sizeof(*list));
}

static void hosts_free(struct kb_corefile_hosts *h)
{
	if (!h)
		return;
	free(h->file_text);
	free(h->inline_text);
	kb_cf_strings_free(&h->origins);
	kb_cf_strings_free(&h->fall);
	free(h);
}

static void rewrites_free(struct kb_corefile_block *b)
{
	for (size_t i = 0; i < b->n_rewrites; i++) {
		free(b->rewrites[i].from);
		free(b->rewrites[i].to);
	}
	free(b->rewrites);
	b->rewrites = NULL;
	b->n_rewrites = 0;
}

void kb_corefile_blocks_free(struct kb_corefile_block *blocks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		kb_cf_strings_free(&blocks[i].zones);
		rewrites_free(&blocks[i]);
		hosts_free(blocks[i].hosts);
	}
	free(blocks);
}

static int unapplied(struct kb_cf *cf, const struct kb_cf_token *at, const char *why)
{
	return kb_cf_note(cf, at, NULL, 0, KB_COREFILE_UNAPPLIED, NULL, why);
}

static bool is_shared(const struct kb_cf *cf, const struct kb_cf_block *from, uint16_t port)
{
	bool shared = false;

	for (size_t i = 0; !shared && i < from->n_zones; i++) {
		if (kb_cf_key_is(&from->zones[i], port))
			shared = kb_cf_owner(cf, port, from->zones[i].zone, &shared) != from ||
				 shared;
	}
	return shared;
}

/* Why a block's directives cannot be done as CoreDNS does them; NULL if they can. */
static const char *obstacle(const struct kb_cf *cf, const struct kb_cf_block *from, uint16_t port,
			    const struct kb_cf_directive *d)
{
	if (kb_cf_find(from, "view") || is_shared(cf, from, port))
		return "its server block gets only some of the questions; --listen does not do it";
	if (from->unknown_import || cf->unknown_import)
		return "an import of its server block is not known here; --listen does not do it";
	if (kb_cf_any_unset(d->tokens.v, d->tokens.n))
		return "a variable is not set in our environment; --listen does not do it";
	return NULL;
}

static int take_hosts(struct kb_cf *cf, const struct kb_cf_block *from, uint16_t port,
		      struct kb_corefile_block *block)
{
	const struct kb_cf_directive *d = kb_cf_find(from, "hosts");
	const char *why = d ? obstacle(cf, from, port, d) : NULL;
	int r = 0;

	if (!d)
		return 0;
	if (!why) {
		r = kb_cf_take_hosts(from, d, block);
		if (r > 0)
			return unapplied(cf, &d->tokens.v[0],
					 "its file is not seen here: give --corefile FILE, and "
					 "mount the file where CoreDNS has it; --listen answers "
					 "without it");
		if (r == 0 && from->hosts_kept)
			return unapplied(cf, &d->tokens.v[0],
					 "its file cannot be read any more: what it said before "
					 "stays in force");
		if (r != -EINVAL)
			return r;
		why = "CoreDNS refuses this, or it is not understood here; --listen does not do "
		      "it";
	}
	hosts_free(block->hosts);
	block->hosts = NULL;
	return unapplied(cf, &d->tokens.v[0], why);
}

static int take_rewrites(struct kb_cf *cf, const struct kb_cf_block *from, uint16_t port,
			 struct kb_corefile_block *block)
{
	const struct kb_cf_directive *d = kb_cf_find(from, "rewrite");
	const struct kb_cf_token *at = d ? &d->tokens.v[0] : NULL;
	const char *why = d ? obstacle(cf, from, port, d) : NULL;
	int r = 0;

	if (!d)
		return 0;
	if (!why) {
		r = kb_cf_take_rewrites(d, block, &at);
		if (r == -EOPNOTSUPP)
			why = "not `name exact` or `name suffix`: --listen applies no rewrite of "
			      "this "
			      "server block";
		else if (r < 0)
			return r;
	}
	if (!why)
		return 0;
	rewrites_free(block);
	return unapplied(cf, at, why);
}

static int take_zones(const struct kb_cf_block *from, uint16_t port, struct kb_strings *zones)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n_zones; i++) {
		if (kb_cf_key_is(&from->zones[i], port))
			r = kb_cf_strings_add(zones, from->zones[i].zone);
	}
	return r;
}

int kb_cf_take_blocks(struct kb_cf *cf, uint16_t port)
{
	struct kb_corefile_block *v = calloc(cf->n_blocks + 1, sizeof(*v));
	size_t n = 0;
	bool any = false;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		const struct kb_cf_block *from = &cf->blocks[i];
		struct kb_corefile_block *block = &v[n++];

		r = take_zones(from, port, &block->zones);
		if (r == 0 && block->zones.n)
			r = take_hosts(cf, from, port, block);
		if (r == 0 && block->zones.n)
			r = take_rewrites(cf, from, port, block);
		any |= block->hosts || block->n_rewrites;
	}
	if (r < 0 || !any) {
		kb_corefile_blocks_free(v, n);
		return r;
	}
	cf->out->blocks = v;
	cf->out->n_blocks = n;
	return 0;
}
