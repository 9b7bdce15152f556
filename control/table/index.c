/* SPDX-License-Identifier: Apache-2.0 */
/* Slots: finding, filling and emptying them; the names in them; adoption. */
#include "control/table/private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 256
#define GROWTH_TRIES  4

/* For tests only: tests/model/torn_read.c includes this file with a pause after each store,
 * and with wrong writers that its readers must catch. VALUE_ONLY: a removed slot keeps its tag
 * until it is used again (rule 4 of layout.h says why not). SWAPPED: in addition the value is
 * stored before the tag. */
#define MUTANT_VALUE_ONLY 1
#define MUTANT_SWAPPED	  2
#ifndef KB_TABLE_MUTANT
#define KB_TABLE_MUTANT	 0
#define KB_TABLE_PAUSE() ((void)0)
#endif

struct hashed {
	uint64_t tag;
	uint32_t check;
};

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	return h ^ h >> 32;
}

/* Both hashes of a name. `check` only tells apart two of our own names that agree in the
 * tag, which happens once in 2^64 pairs. */
static int name_hash(const struct kb_table *t, const uint8_t *name, size_t len, struct hashed *ret)
{
	uint8_t buf[KB_NAME_MAX + 9] = {0};
	struct kb_name_scan scan;
	uint64_t h = t->check_key[0];

	if (len == 0 || len > KB_NAME_MAX)
		return -EINVAL;
	memcpy(buf, name, len);
	kb_name_scan(buf, 0, (uint32_t)len, &t->hdr->key, &scan);
	if (scan.len != len)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 8)
		h = mix(h ^ kb_load64(buf + i)) + t->check_key[1];
	ret->tag = scan.hash;
	ret->check = (uint32_t)h ? (uint32_t)h : 1;
	return 0;
}

static struct kb_slot *slot_at(const struct kb_index *ix, uint32_t replica, uint32_t slot)
{
	return &ix->bucket[(size_t)replica * ix->n + slot / KB_BUCKET_SLOTS]
			.slot[slot % KB_BUCKET_SLOTS];
}

/* Stores a value in every replica, with the bucket's overflow bit if it is slot 0's. */
static void value_store(struct kb_table *t, struct kb_index *ix, uint32_t slot, uint64_t value)
{
	if (slot % KB_BUCKET_SLOTS == 0 && ix->spill[slot / KB_BUCKET_SLOTS])
		value |= KB_VALUE_OVERFLOW;
	for (uint32_t r = 0; r < t->replicas; r++) {
		__atomic_store_n(&slot_at(ix, r, slot)->value, value, __ATOMIC_RELEASE);
		KB_TABLE_PAUSE();
	}
}

static void tag_store(struct kb_table *t, struct kb_index *ix, uint32_t slot, uint64_t tag)
{
	for (uint32_t r = 0; r < t->replicas; r++) {
		__atomic_store_n(&slot_at(ix, r, slot)->tag, tag, __ATOMIC_RELEASE);
		KB_TABLE_PAUSE();
	}
}

static uint64_t tag_of(const struct kb_index *ix, uint32_t slot)
{
	return slot_at(ix, 0, slot)->tag;
}

static uint64_t value_of(const struct kb_index *ix, uint32_t slot)
{
	return slot_at(ix, 0, slot)->value & ~KB_VALUE_OVERFLOW;
}

static bool is_taken(uint8_t state)
{
	return state == SLOT_USED || state == SLOT_OLD;
}

static uint32_t slot_find(const struct kb_index *ix, uint64_t tag)
{
	uint32_t b = kb_home_bucket(tag, ix->n), step = kb_probe_step(tag);

	for (uint32_t d = 0; d < KB_PROBE_MAX; d++, b = kb_probe_next(b, step, ix->n)) {
		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			uint32_t slot = b * KB_BUCKET_SLOTS + i;

			if (is_taken(ix->state[slot]) && tag_of(ix, slot) == tag)
				return slot;
		}
		if (!ix->spill[b])
			break;
	}
	return NO_SLOT;
}

/* A free slot for this tag, and its distance from home. */
static uint32_t slot_free(const struct kb_index *ix, uint64_t tag, uint32_t *ret_distance)
{
	uint32_t b = kb_home_bucket(tag, ix->n), step = kb_probe_step(tag);

	for (uint32_t d = 0; d < KB_PROBE_MAX; d++, b = kb_probe_next(b, step, ix->n)) {
		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			if (ix->state[b * KB_BUCKET_SLOTS + i] == SLOT_FREE) {
				*ret_distance = d;
				return b * KB_BUCKET_SLOTS + i;
			}
		}
	}
	return NO_SLOT;
}

/* Counts an entry that lies `distance` buckets behind its home into (or out of) the
 * buckets it has passed, and keeps their overflow bits. */
static void spill_add(struct kb_table *t, struct kb_index *ix, uint64_t tag, uint32_t distance,
		      int by)
{
	uint32_t b = kb_home_bucket(tag, ix->n), step = kb_probe_step(tag);

	for (; distance; distance--, b = kb_probe_next(b, step, ix->n)) {
		bool before = ix->spill[b] != 0;

		ix->spill[b] = (uint16_t)(ix->spill[b] + by);
		if (before != (ix->spill[b] != 0))
			value_store(t, ix, b * KB_BUCKET_SLOTS, value_of(ix, b * KB_BUCKET_SLOTS));
	}
}

/* How many buckets of its probe sequence lie before this slot's; KB_PROBE_MAX: it is in
 * none of them. */
static uint32_t distance_of(const struct kb_index *ix, uint64_t tag, uint32_t slot)
{
	uint32_t b = kb_home_bucket(tag, ix->n), step = kb_probe_step(tag), d = 0;

	while (d < KB_PROBE_MAX && b != slot / KB_BUCKET_SLOTS) {
		b = kb_probe_next(b, step, ix->n);
		d++;
	}
	return d;
}

/* Publishes a new entry in a free slot. */
static int slot_insert(struct kb_table *t, struct kb_index *ix, uint64_t tag, uint32_t check,
		       uint64_t value, uint8_t state, uint32_t *ret_slot)
{
	uint32_t distance, slot = slot_free(ix, tag, &distance);

	if (slot == NO_SLOT)
		return -ENOSPC;
	spill_add(t, ix, tag, distance, 1);
	if (KB_TABLE_MUTANT == MUTANT_SWAPPED)
		value_store(t, ix, slot, value);
	tag_store(t, ix, slot, tag);
	value_store(t, ix, slot, value);
	ix->state[slot] = state;
	ix->check[slot] = check;
	*ret_slot = slot;
	return 0;
}

static void slot_remove(struct kb_table *t, struct kb_index *ix, uint32_t slot)
{
	uint64_t tag = tag_of(ix, slot);

	value_store(t, ix, slot, 0);
	if (!KB_TABLE_MUTANT)
		tag_store(t, ix, slot, 0);
	spill_add(t, ix, tag, distance_of(ix, tag, slot), -1);
	if (ix == &t->cur) {
		ix->state[slot] = SLOT_LIMBO;
		kb_limbo_add(t, LIMBO_SLOT, ix->gen, slot);
	} else {
		/* No reader knows it yet. */
		ix->state[slot] = SLOT_FREE;
	}
}

int kb_index_copy(struct kb_table *t, uint32_t slot)
{
	uint32_t at;

	if (!is_taken(t->cur.state[slot]))
		return 0;
	return slot_insert(t, &t->next, tag_of(&t->cur, slot), t->cur.check[slot],
			   value_of(&t->cur, slot), t->cur.state[slot], &at);
}

/* After a change of a slot of the present index: the next one, if it is being filled and has
 * this slot already, follows. `tag` is that of the slot now or, if it was emptied, before. */
static void follow(struct kb_table *t, uint32_t slot, uint64_t tag)
{
	uint32_t at;

	if (slot >= t->copied)
		return;
	at = slot_find(&t->next, tag);
	if (!is_taken(t->cur.state[slot])) {
		slot_remove(t, &t->next, at);
	} else if (at == NO_SLOT) {
		if (kb_index_copy(t, slot) < 0)
			kb_growth_abandon(t);
	} else {
		t->next.state[at] = t->cur.state[slot];
		t->next.check[at] = t->cur.check[slot];
		value_store(t, &t->next, at, value_of(&t->cur, slot));
	}
}

static void ref_drop(struct kb_table *t, uint32_t ref)
{
	if (ref && kb_arena_release(&t->arena, ref))
		kb_limbo_add(t, LIMBO_REC, 0, ref);
}

int kb_index_init(struct kb_index *ix, uint32_t gen, uint32_t n)
{
	uint8_t *state = calloc(KB_SLOTS(n), sizeof(*state));
	uint32_t *check = calloc(KB_SLOTS(n), sizeof(*check));
	uint16_t *spill = calloc(n, sizeof(*spill));

	if (!state || !check || !spill) {
		free(state);
		free(check);
		free(spill);
		return -ENOMEM;
	}
	*ix = (struct kb_index){.gen = gen, .n = n, .state = state, .check = check, .spill = spill};
	return 0;
}

void kb_index_fini(struct kb_index *ix)
{
	free(ix->state);
	free(ix->check);
	free(ix->spill);
	*ix = (struct kb_index){0};
}

/* Above two thirds, misses begin to read a second line often (1.35 lines on average there),
 * and full probe sequences are not far. */
static bool is_full(const struct kb_table *t)
{
	return t->stats.names + 1 > KB_SLOTS(t->cur.n) / 3 * 2;
}

static void refuse(struct kb_table *t, uint8_t zone)
{
	t->stats.refused++;
	t->zone_refused[zone & KB_VALUE_ZONE_MAX]++;
	kb_zone_publish(t, zone);
}

/* Enters a name that is not there; makes room if need be. */
static int name_enter(struct kb_table *t, const struct hashed *h, uint64_t value)
{
	uint32_t slot;
	int r;

	if (is_full(t))
		/* A failure only means fuller buckets. */
		kb_growth_want(t);
	r = slot_insert(t, &t->cur, h->tag, h->check, value, SLOT_USED, &slot);
	/* Its probe sequence is full by chance, before growth has begun or ended. A step may be
	 * too small, also for the names that are there already: then a larger one. */
	for (uint32_t n = t->cur.n + t->cur.n / 2, i = 0; r == -ENOSPC && i < GROWTH_TRIES;
	     n += n / 2, i++) {
		r = kb_index_grow(t, n);
		if (r == 0)
			r = slot_insert(t, &t->cur, h->tag, h->check, value, SLOT_USED, &slot);
	}
	if (r == 0)
		follow(t, slot, h->tag);
	return r;
}

int kb_table_put(struct kb_table *t, const uint8_t *name, size_t len, const struct kb_entry *entry)
{
	uint64_t value = kb_value(entry->kind, entry->zone, entry->ref, entry->addr), old;
	struct hashed h;
	uint32_t slot;
	int r;

	r = name_hash(t, name, len, &h);
	if (r < 0) {
		ref_drop(t, entry->ref);
		return r;
	}
	slot = slot_find(&t->cur, h.tag);
	if (slot == NO_SLOT) {
		r = name_enter(t, &h, value);
		if (r < 0) {
			ref_drop(t, entry->ref);
			refuse(t, entry->zone);
			return -ENOSPC;
		}
		t->stats.names++;
		t->stats.puts++;
		return 0;
	}
	if (t->cur.check[slot] && t->cur.check[slot] != h.check) {
		ref_drop(t, entry->ref);
		t->stats.collisions++;
		refuse(t, entry->zone);
		return -EEXIST;
	}
	t->cur.check[slot] = h.check;
	t->cur.state[slot] = SLOT_USED;
	old = value_of(&t->cur, slot);
	if (old != value) {
		value_store(t, &t->cur, slot, value);
		t->stats.changes++;
	}
	follow(t, slot, h.tag);
	ref_drop(t, kb_value_ref(old));
	return 0;
}

/* Removes the name in a slot. */
static void name_remove(struct kb_table *t, uint32_t slot)
{
	uint64_t tag = tag_of(&t->cur, slot), value = value_of(&t->cur, slot);

	slot_remove(t, &t->cur, slot);
	follow(t, slot, tag);
	ref_drop(t, kb_value_ref(value));
	t->stats.names--;
	t->stats.dels++;
}

int kb_table_del(struct kb_table *t, const uint8_t *name, size_t len)
{
	struct hashed h;
	uint32_t slot;
	int r;

	r = name_hash(t, name, len, &h);
	if (r < 0)
		return r;
	slot = slot_find(&t->cur, h.tag);
	if (slot == NO_SLOT || (t->cur.check[slot] && t->cur.check[slot] != h.check))
		return -ENOENT;
	name_remove(t, slot);
	return 0;
}

uint64_t kb_table_get(const struct kb_table *t, const uint8_t *name, size_t len,
		      uint32_t *ret_bucket, uint32_t *ret_slot)
{
	struct hashed h;
	uint32_t slot;

	if (name_hash(t, name, len, &h) < 0)
		return 0;
	slot = slot_find(&t->cur, h.tag);
	if (slot == NO_SLOT)
		return 0;
	if (ret_bucket)
		*ret_bucket = slot / KB_BUCKET_SLOTS;
	if (ret_slot)
		*ret_slot = slot % KB_BUCKET_SLOTS;
	return value_of(&t->cur, slot);
}

int kb_table_reserve(struct kb_table *t, size_t names)
{
	/* Three fifths full at that size. */
	size_t n = names / KB_BUCKET_SLOTS * 5 / 3 + BUCKETS_FIRST;

	if (n > UINT32_MAX / KB_REPLICAS_MAX)
		return -ENOSPC;
	t->reserved = names;
	/* The first step may end a growth to less that has begun. */
	while (t->cur.n < n) {
		int r = kb_index_grow(t, (uint32_t)n);

		if (r < 0)
			return r;
	}
	return 0;
}

static void mark(struct kb_index *ix)
{
	for (uint32_t s = 0; s < KB_SLOTS(ix->n); s++) {
		if (ix->state[s] == SLOT_USED)
			ix->state[s] = SLOT_OLD;
	}
}

void kb_table_mark(struct kb_table *t)
{
	mark(&t->cur);
	mark(&t->next);
}

void kb_table_sweep(struct kb_table *t)
{
	for (uint32_t s = 0; s < KB_SLOTS(t->cur.n); s++) {
		if (t->cur.state[s] == SLOT_OLD)
			name_remove(t, s);
	}
}

/* Makes every replica's bucket the writer's idea of it. Returns whether one was not. */
static bool bucket_repair(struct kb_table *t, uint32_t b)
{
	const struct kb_index *ix = &t->cur;
	bool repaired = false;

	for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
		uint32_t slot = b * KB_BUCKET_SLOTS + i;
		uint64_t tag = 0, value = 0;

		if (is_taken(ix->state[slot])) {
			tag = tag_of(ix, slot);
			value = value_of(ix, slot);
		}
		if (i == 0 && ix->spill[b])
			value |= KB_VALUE_OVERFLOW;
		for (uint32_t r = 0; r < t->replicas; r++) {
			struct kb_slot *s = slot_at(ix, r, slot);

			if (s->tag == tag && s->value == value)
				continue;
			repaired = true;
			/* Empty before it changes its name: rule 4 of layout.h. */
			if (s->tag != tag) {
				__atomic_store_n(&s->value, value & KB_VALUE_OVERFLOW,
						 __ATOMIC_RELEASE);
				__atomic_store_n(&s->tag, 0, __ATOMIC_RELEASE);
				t->backing.grace(t->backing.arg);
				__atomic_store_n(&s->tag, tag, __ATOMIC_RELEASE);
			}
			__atomic_store_n(&s->value, value, __ATOMIC_RELEASE);
		}
	}
	return repaired;
}

/*
 * Rebuilds the writer's memory from replica 0, whatever the instruction at which the last
 * writer ended, and then makes all replicas alike.
 */
int kb_index_adopt(struct kb_table *t)
{
	struct kb_index *ix = &t->cur;
	bool repaired = false;

	for (uint32_t s = 0; s < KB_SLOTS(ix->n); s++) {
		uint64_t tag = tag_of(ix, s), value = value_of(ix, s);
		uint32_t step = kb_probe_step(tag), b, d;
		uint32_t ref = kb_value_ref(value);

		if (kb_value_kind(value) == KB_VALUE_NONE || tag == 0)
			continue;
		d = distance_of(ix, tag, s);
		if (d >= KB_PROBE_MAX)
			continue;
		if (ref) {
			int r = kb_arena_claim(&t->arena, ref);

			if (r == -ENOMEM)
				return r;
			if (r < 0)
				continue;
		}
		ix->state[s] = SLOT_OLD;
		t->stats.names++;
		for (b = kb_home_bucket(tag, ix->n); d; d--, b = kb_probe_next(b, step, ix->n))
			ix->spill[b]++;
	}
	for (uint32_t b = 0; b < ix->n; b++)
		repaired |= bucket_repair(t, b);
	/* What only a repaired replica referred to is free for reuse from now on. */
	if (repaired)
		t->backing.grace(t->backing.arg);
	return 0;
}
