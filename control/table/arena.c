/* SPDX-License-Identifier: Apache-2.0 */
#include "control/table/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS_FIRST 1024
#define NIL	     UINT32_MAX /* end of a list of runs; unit 0 is never given out */

static uint32_t content_hash(const uint8_t *p, size_t len)
{
	uint64_t h = len * 0x9e3779b97f4a7c15ULL;

	/* Not keyed: a tenant who makes chains long slows down only the writer, and a
	 * chain walk compares 32-bit hashes before bytes. */
	for (size_t i = 0; i < len; i += 8) {
		h = (h ^ kb_load64(p + i)) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return (uint32_t)(h >> 16);
}

static uint8_t *unit_ptr(const struct kb_arena *arena, uint32_t unit)
{
	return arena->page[unit / KB_PAGE_UNITS]->b + unit % KB_PAGE_UNITS * KB_UNIT;
}

static uint32_t rec_units(const struct kb_arena *arena, uint32_t ref)
{
	struct kb_rec rec;

	memcpy(&rec, unit_ptr(arena, ref), sizeof(rec));
	return rec.units;
}

static uint32_t bin_of(uint32_t units)
{
	return units < KB_BINS ? units - 1 : KB_BINS - 1;
}

static void run_link(struct kb_arena *arena, uint32_t unit, uint32_t units)
{
	uint32_t bin = bin_of(units), head = arena->bin[bin];

	assert(units > 0 && units <= KB_PAGE_UNITS);
	arena->run[unit] = (uint16_t)units;
	arena->run[unit + units - 1] = (uint16_t)units;
	arena->a[unit] = head;
	arena->b[unit] = NIL;
	if (head != NIL)
		arena->b[head] = unit;
	arena->bin[bin] = unit;
}

static void run_unlink(struct kb_arena *arena, uint32_t unit)
{
	uint32_t units = arena->run[unit], next = arena->a[unit], prev = arena->b[unit];

	if (next != NIL)
		arena->b[next] = prev;
	if (prev != NIL)
		arena->a[prev] = next;
	else
		arena->bin[bin_of(units)] = next;
	arena->run[unit] = 0;
	arena->run[unit + units - 1] = 0;
}

/* Frees units and merges them with free neighbours in the same page. */
static void run_free(struct kb_arena *arena, uint32_t unit, uint32_t units)
{
	uint32_t end = unit + units;

	if (unit % KB_PAGE_UNITS && arena->run[unit - 1]) {
		uint32_t left = arena->run[unit - 1];

		unit -= left;
		run_unlink(arena, unit);
		units += left;
	}
	if (end % KB_PAGE_UNITS && arena->run[end]) {
		uint32_t right = arena->run[end];

		run_unlink(arena, end);
		units += right;
	}
	run_link(arena, unit, units);
}

static uint32_t run_take(struct kb_arena *arena, uint32_t units)
{
	for (uint32_t bin = bin_of(units); bin < KB_BINS; bin++) {
		uint32_t unit = arena->bin[bin], have;

		/* The last bin holds runs of all longer lengths. */
		while (unit != NIL && arena->run[unit] < units)
			unit = arena->a[unit];
		if (unit == NIL)
			continue;
		have = arena->run[unit];
		run_unlink(arena, unit);
		if (have > units)
			run_link(arena, unit + units, have - units);
		return unit;
	}
	return NIL;
}

void kb_arena_init(struct kb_arena *arena, const struct kb_backing *backing)
{
	memset(arena, 0, sizeof(*arena));
	arena->backing = backing;
	for (size_t i = 0; i < KB_BINS; i++)
		arena->bin[i] = NIL;
}

void kb_arena_fini(struct kb_arena *arena)
{
	free(arena->a);
	free(arena->b);
	free(arena->run);
	free(arena->meta);
	free(arena->chain);
	memset(arena, 0, sizeof(*arena));
}

/* Room for the bookkeeping of `pages` pages. */
static int pages_reserve(struct kb_arena *arena, uint32_t pages)
{
	size_t units = (size_t)pages * KB_PAGE_UNITS, old = (size_t)arena->n_pages * KB_PAGE_UNITS;
	uint32_t *a, *b;
	uint16_t *run;

	a = realloc(arena->a, units * sizeof(*a));
	if (!a)
		return -ENOMEM;
	arena->a = a;
	b = realloc(arena->b, units * sizeof(*b));
	if (!b)
		return -ENOMEM;
	arena->b = b;
	run = realloc(arena->run, units * sizeof(*run));
	if (!run)
		return -ENOMEM;
	arena->run = run;
	memset(run + old, 0, (units - old) * sizeof(*run));
	memset(a + old, 0, (units - old) * sizeof(*a));
	return 0;
}

/* The units of page n that may hold records: unit 0 of page 0 means "no record". */
static void page_units(uint32_t n, uint32_t *ret_first, uint32_t *ret_end)
{
	*ret_first = n * KB_PAGE_UNITS + (n == 0);
	*ret_end = (n + 1) * KB_PAGE_UNITS;
}

int kb_arena_reserve(struct kb_arena *arena, uint32_t pages)
{
	pages += arena->n_pages;
	return pages <= KB_PAGES_MAX ? pages_reserve(arena, pages) : -ENOSPC;
}

void kb_arena_add(struct kb_arena *arena, struct kb_page *page)
{
	uint32_t n = arena->n_pages, first, end;

	arena->page[n] = page;
	arena->n_pages = n + 1;
	kb_write_once(arena->backing->header->arena_pages, n + 1);
	page_units(n, &first, &end);
	run_link(arena, first, end - first);
}

bool kb_arena_is_low(const struct kb_arena *arena)
{
	uint64_t units = (uint64_t)arena->n_pages * KB_PAGE_UNITS - arena->used_units;

	return units < KB_PAGE_UNITS / 2 || arena->bin[KB_BINS - 1] == NIL;
}

static int meta_new(struct kb_arena *arena, uint32_t *ret_number)
{
	uint32_t n = arena->free_meta;

	if (n) {
		arena->free_meta = arena->meta[n].next;
		*ret_number = n;
		return 0;
	}
	if (arena->n_meta + 1 >= arena->cap_meta) {
		uint32_t cap = arena->cap_meta ? arena->cap_meta + arena->cap_meta / 2 : 1024;
		struct kb_rec_meta *meta = realloc(arena->meta, cap * sizeof(*meta));

		if (!meta)
			return -ENOMEM;
		arena->meta = meta;
		arena->cap_meta = cap;
	}
	*ret_number = ++arena->n_meta;
	return 0;
}

/* The chain of a hash. There are n_chain of them, from `level` on the split halves of those
 * at the beginning (linear hashing). */
static uint32_t *chain_of(struct kb_arena *arena, uint32_t hash)
{
	uint32_t i = hash & (2 * arena->level - 1);

	return &arena->chain[i < arena->n_chain ? i : i - arena->level];
}

/* Keeps chains short: with each record that there are more of than chains, one chain is split
 * in two. All at once would take a millisecond at 100,000 records. */
static int chain_reserve(struct kb_arena *arena)
{
	uint32_t at, number;

	if (arena->records < arena->n_chain)
		return 0;
	if (arena->n_chain == arena->cap_chain) {
		uint32_t cap = arena->cap_chain ? arena->cap_chain * 2 : CHAINS_FIRST;
		uint32_t *chain = realloc(arena->chain, cap * sizeof(*chain));

		if (!chain)
			return arena->n_chain ? 0 : -ENOMEM;
		arena->chain = chain;
		arena->cap_chain = cap;
	}
	if (!arena->n_chain) {
		memset(arena->chain, 0, CHAINS_FIRST * sizeof(*arena->chain));
		arena->n_chain = arena->level = CHAINS_FIRST;
		return 0;
	}
	at = arena->n_chain - arena->level;
	number = arena->chain[at];
	arena->chain[at] = 0;
	arena->chain[arena->n_chain++] = 0;
	while (number) {
		struct kb_rec_meta *m = &arena->meta[number];
		uint32_t next = m->next, *chain = chain_of(arena, m->hash);

		m->next = *chain;
		*chain = number;
		number = next;
	}
	if (arena->n_chain == 2 * arena->level)
		arena->level = arena->n_chain;
	return 0;
}

/* Enters the record at `ref`, whose bytes are there, with one reference. */
static int rec_enter(struct kb_arena *arena, uint32_t ref, uint32_t hash)
{
	struct kb_rec_meta *m;
	uint32_t number, *chain;
	int r;

	r = chain_reserve(arena);
	if (r < 0)
		return r;
	r = meta_new(arena, &number);
	if (r < 0)
		return r;
	m = &arena->meta[number];
	m->ref = ref;
	m->count = 1;
	m->hash = hash;
	chain = chain_of(arena, hash);
	m->next = *chain;
	*chain = number;
	arena->a[ref] = number;
	arena->records++;
	arena->used_units += rec_units(arena, ref);
	return 0;
}

int kb_arena_intern(struct kb_arena *arena, const void *rec, size_t len, uint32_t *ret_ref)
{
	_Alignas(8) uint8_t buf[KB_UNIT * 512];
	size_t units = (len + KB_UNIT - 1) / KB_UNIT, size = units * KB_UNIT;
	struct kb_rec head;
	uint32_t hash, ref;
	int r;

	if (len < sizeof(head) || size > sizeof(buf))
		return -EINVAL;
	memcpy(buf, rec, len);
	memset(buf + len, 0, size - len);
	memcpy(&head, buf, sizeof(head));
	head.units = (uint16_t)units;
	memcpy(buf, &head, sizeof(head));
	hash = content_hash(buf, size);

	for (uint32_t i = arena->n_chain ? *chain_of(arena, hash) : 0; i; i = arena->meta[i].next) {
		struct kb_rec_meta *m = &arena->meta[i];

		if (m->hash == hash && rec_units(arena, m->ref) == units &&
		    memcmp(unit_ptr(arena, m->ref), buf, size) == 0) {
			m->count++;
			*ret_ref = m->ref;
			return 0;
		}
	}
	ref = run_take(arena, (uint32_t)units);
	if (ref == NIL)
		return -ENOSPC;
	memcpy(unit_ptr(arena, ref), buf, size);
	r = rec_enter(arena, ref, hash);
	if (r < 0) {
		run_free(arena, ref, (uint32_t)units);
		return r;
	}
	*ret_ref = ref;
	return 0;
}

bool kb_arena_release(struct kb_arena *arena, uint32_t ref)
{
	uint32_t number = arena->a[ref], *link;
	struct kb_rec_meta *m = &arena->meta[number];

	assert(m->ref == ref && m->count > 0);
	if (--m->count)
		return false;
	link = chain_of(arena, m->hash);
	while (*link != number)
		link = &arena->meta[*link].next;
	*link = m->next;
	arena->records--;
	return true;
}

void kb_arena_free(struct kb_arena *arena, uint32_t ref)
{
	uint32_t number = arena->a[ref], units = rec_units(arena, ref);
	struct kb_rec_meta *m = &arena->meta[number];

	assert(m->ref == ref && m->count == 0);
	m->ref = 0;
	m->next = arena->free_meta;
	arena->free_meta = number;
	arena->used_units -= units;
	run_free(arena, ref, units);
}

int kb_arena_adopt(struct kb_arena *arena, uint32_t pages)
{
	int r;

	if (pages > KB_PAGES_MAX)
		return -EPROTO;
	if (pages == 0)
		return 0;
	r = pages_reserve(arena, pages);
	if (r < 0)
		return r;
	for (uint32_t n = 0; n < pages; n++) {
		r = arena->backing->page_get(arena->backing->arg, n, &arena->page[n]);
		if (r < 0)
			return r;
		arena->n_pages = n + 1;
	}
	return 0;
}

int kb_arena_claim(struct kb_arena *arena, uint32_t ref)
{
	uint32_t units, number;

	if (ref == 0 || ref / KB_PAGE_UNITS >= arena->n_pages)
		return -EINVAL;
	units = rec_units(arena, ref);
	if (units == 0 || units > 512 || ref % KB_PAGE_UNITS + units > KB_PAGE_UNITS)
		return -EINVAL;
	number = arena->a[ref];
	if (number && arena->meta[number].ref == ref) {
		arena->meta[number].count++;
		return 0;
	}
	return rec_enter(arena, ref, content_hash(unit_ptr(arena, ref), units * KB_UNIT));
}

int kb_arena_adopted(struct kb_arena *arena)
{
	for (uint32_t n = 0; n < arena->n_pages; n++) {
		uint32_t unit, end, from;

		page_units(n, &unit, &end);
		from = unit;
		while (unit < end) {
			uint32_t number = arena->a[unit];

			if (!number || number > arena->n_meta || arena->meta[number].ref != unit) {
				unit++;
				continue;
			}
			if (unit > from)
				run_link(arena, from, unit - from);
			unit += rec_units(arena, unit);
			if (unit > end)
				return -EPROTO;
			from = unit;
		}
		if (end > from)
			run_link(arena, from, end - from);
	}
	return 0;
}
