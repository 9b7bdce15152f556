/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in the arena: an allocator over pages, and interning.
 *
 * The shared pages hold only what readers need. All bookkeeping is the writer's own
 * memory: two links and a run length for each 16-byte unit.
 *
 *   free run:  run[first] = run[last] = length, all other run[] are 0
 *              a[first], b[first] = next and previous run of the same bin
 *   record:    a[first] = its number in meta[], run[] 0
 *
 * Neighbours are merged when a run is freed, so that a table under churn does not
 * crumble. A record that nobody refers to any more is not freed but handed to the owner
 * (kb_arena_release), who calls kb_arena_free after a grace period.
 */
#ifndef KB_TABLE_ARENA_H
#define KB_TABLE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/table/table.h"

#define KB_BINS 129 /* by run length in units; the last holds all longer ones */

struct kb_rec_meta {
	uint32_t ref;	/* first unit; 0: this entry is free */
	uint32_t count; /* references */
	uint32_t hash;	/* of the content */
	uint32_t next;	/* in the hash chain, or in the list of free entries */
};

struct kb_arena {
	const struct kb_backing *backing; /* borrowed */
	struct kb_page *page[KB_PAGES_MAX];
	uint32_t n_pages;
	uint32_t *a, *b; /* owned, by unit */
	uint16_t *run;	 /* owned, by unit */
	uint32_t bin[KB_BINS];
	struct kb_rec_meta *meta; /* owned; entry 0 is not used */
	uint32_t n_meta, cap_meta, free_meta;
	uint32_t *chain; /* owned, heads by hash */
	uint32_t n_chain, cap_chain;
	uint32_t level; /* the largest power of two up to n_chain */
	uint64_t used_units, records;
};

void kb_arena_init(struct kb_arena *arena, const struct kb_backing *backing);
void kb_arena_fini(struct kb_arena *arena);
/* Room for the bookkeeping of that many more pages, -ENOMEM, or -ENOSPC above KB_PAGES_MAX; then
 * kb_arena_add cannot fail. */
int kb_arena_reserve(struct kb_arena *arena, uint32_t pages);
/* Adds a page that the backing has made for number n_pages. */
void kb_arena_add(struct kb_arena *arena, struct kb_page *page);
/* True when less than half a page, or no long run, is free: a page should be made now, so
 * that no update waits for it. */
bool kb_arena_is_low(const struct kb_arena *arena);
/* Maps the pages of an adopted table; records are then claimed one by one. */
int kb_arena_adopt(struct kb_arena *arena, uint32_t pages);
/* Takes one more reference to a record found in an adopted table, -EINVAL if there cannot be
 * one. After the last of them kb_arena_adopted makes all other units free. */
int kb_arena_claim(struct kb_arena *arena, uint32_t ref);
int kb_arena_adopted(struct kb_arena *arena);

/* 0, -ENOSPC (another page is needed), -ENOMEM, -EINVAL. */
int kb_arena_intern(struct kb_arena *arena, const void *rec, size_t len, uint32_t *ret_ref);
/* Gives back one reference. True when it was the last: then the record cannot be found any
 * more, and the caller frees it later. */
bool kb_arena_release(struct kb_arena *arena, uint32_t ref);
void kb_arena_free(struct kb_arena *arena, uint32_t ref);

#endif
