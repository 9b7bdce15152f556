/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/blocks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct zone {
	struct kb_wire name;
	size_t block;
};

struct kb_blocks {
	atomic_uint refs;
	struct zone *zones; /* owned, longest first */
	size_t n_zones;
	struct kb_block *v; /* owned */
	size_t n;
};

static int longest_first(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;

	return (x->name.len < y->name.len) - (x->name.len > y->name.len);
}

static int zone_parse(const char *text, struct kb_wire *ret)
{
	if (*text)
		return kb_wire_parse(text, true, ret);
	*ret = (struct kb_wire){.len = 1};
	return 0;
}

static int add_zones(struct kb_blocks *b, const struct kb_corefile_block *blocks, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += blocks[i].zones.n;
	b->zones = calloc(total + 1, sizeof(*b->zones));
	if (!b->zones)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < blocks[i].zones.n; k++) {
			struct zone *z = &b->zones[b->n_zones];

			/* No question could have a name below one that is none. */
			if (zone_parse(blocks[i].zones.v[k], &z->name))
				continue;
			z->block = i;
			b->n_zones++;
		}
	}
	qsort(b->zones, b->n_zones, sizeof(*b->zones), longest_first);
	return 0;
}

static int names_of(const struct kb_strings *text, struct kb_wire **ret, size_t *ret_n)
{
	*ret = calloc(text->n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < text->n; i++)
		*ret_n += zone_parse(text->v[i], &(*ret)[*ret_n]) == 0;
	return 0;
}

static int make_hosts(struct kb_hosts *h, const struct kb_corefile_hosts *from)
{
	int r = kb_hosts_table_new(from->inline_text, &h->table[1]);

	if (r == 0 && from->file_text)
		r = kb_hosts_table_new(from->file_text, &h->table[0]);
	if (r == 0)
		r = names_of(&from->origins, &h->origins, &h->n_origins);
	if (r == 0)
		r = names_of(&from->fall, &h->fall, &h->n_fall);
	if (r < 0)
		return r;
	h->reverse = from->reverse;
	h->unsupported_falls = from->unsupported_falls;
	h->ttl_s = from->ttl_s;
	return 0;
}

static int make_block(struct kb_block *b, const struct kb_corefile_block *from)
{
	int r = 0;

	b->rewrites = calloc(from->n_rewrites + 1, sizeof(*b->rewrites));
	if (!b->rewrites)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < from->n_rewrites; i++) {
		const struct kb_corefile_rewrite *w = &from->rewrites[i];
		struct kb_rewrite *rule = &b->rewrites[i];

		r = kb_rewrite_init(rule, w->from, w->to, w->suffix);
		rule->stop = w->stop;
		rule->answers |= w->answers;
		b->n_rewrites++;
	}
	return r == 0 && from->hosts ? make_hosts(&b->hosts, from->hosts) : r;
}

int kb_blocks_new(const struct kb_corefile_block *blocks, size_t n, struct kb_blocks **ret_blocks)
{
	struct kb_blocks *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	atomic_init(&b->refs, 1);
	b->v = calloc(n + 1, sizeof(*b->v));
	r = b->v ? add_zones(b, blocks, n) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = make_block(&b->v[b->n++], &blocks[i]);
	if (r < 0) {
		kb_blocks_unref(b);
		return r;
	}
	*ret_blocks = b;
	return 0;
}

struct kb_blocks *kb_blocks_ref(struct kb_blocks *blocks)
{
	atomic_fetch_add(&blocks->refs, 1);
	return blocks;
}

void kb_blocks_unref(struct kb_blocks *blocks)
{
	if (!blocks || atomic_fetch_sub(&blocks->refs, 1) > 1)
		return;
	for (size_t i = 0; i < blocks->n; i++) {
		free(blocks->v[i].rewrites);
		kb_hosts_fini(&blocks->v[i].hosts);
	}
	free(blocks->v);
	free(blocks->zones);
	free(blocks);
}

const struct kb_block *kb_blocks_find(const struct kb_blocks *blocks, const struct kb_wire *name)
{
	for (size_t i = 0; i < blocks->n_zones; i++) {
		if (kb_wire_below(name, &blocks->zones[i].name) >= 0)
			return &blocks->v[blocks->zones[i].block];
	}
	return NULL;
}

int kb_block_rewrite(const struct kb_block *block, uint8_t *name, size_t *len,
		     const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX])
{
	int n = 0;

	for (size_t i = 0; i < block->n_rewrites; i++) {
		const struct kb_rewrite *rule = &block->rewrites[i];
		int r = kb_rewrite_name(rule, name, len);

		if (r == 0)
			continue;
		if (r < 0 || n == KB_REWRITES_MATCH_MAX)
			return -ENAMETOOLONG;
		rules[n++] = rule;
		if (rule->stop)
			break;
	}
	return n;
}
