/* SPDX-License-Identifier: Apache-2.0 */
/* Slots: finding, filling and emptying them, and the switch to a larger index. */
#include "control/table/private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS(n)      ((size_t)(n)*KB_BUCKET_SLOTS)
#define NO_SLOT	      UINT32_MAX
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

static struct kb_slot *slot_at(const struct kb_table *t, uint32_t replica, uint32_t slot)
{
	return &t->index[(size_t)replica * t->n + slot / KB_BUCKET_SLOTS]
			.slot[slot % KB_BUCKET_SLOTS];
}

/* Stores a value in every replica, with the bucket's overflow bit if it is slot 0's. */
static void value_store(struct kb_table *t, uint32_t slot, uint64_t value)
{
	if (slot % KB_BUCKET_SLOTS == 0 && t->spill[slot / KB_BUCKET_SLOTS])
		value |= KB_VALUE_OVERFLOW;
	for (uint32_t r = 0; r < t->replicas; r++) {
		__atomic_store_n(&slot_at(t, r, slot)->value, value, __ATOMIC_RELEASE);
		KB_TABLE_PAUSE();
	}
}

static void tag_store(struct kb_table *t, uint32_t slot, uint64_t tag)
{
	for (uint32_t r = 0; r < t->replicas; r++) {
		__atomic_store_n(&slot_at(t, r, slot)->tag, tag, __ATOMIC_RELEASE);
		KB_TABLE_PAUSE();
	}
}

static uint64_t value_of(const struct kb_table *t, uint32_t slot)
{
	return slot_at(t, 0, slot)->value & ~KB_VALUE_OVERFLOW;
}

static bool is_taken(uint8_t state)
{
	return state == SLOT_USED || state == SLOT_OLD;
}

static uint32_t slot_find(const struct kb_table *t, uint64_t tag)
{
	uint32_t b = kb_home_bucket(tag, t->n), step = kb_probe_step(tag);

	for (uint32_t d = 0; d < KB_PROBE_MAX; d++, b = kb_probe_next(b, step, t->n)) {
		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			uint32_t slot = b * KB_BUCKET_SLOTS + i;

			if (is_taken(t->slot[slot]) && slot_at(t, 0, slot)->tag == tag)
				return slot;
		}
		if (!t->spill[b])
			break;
	}
	return NO_SLOT;
}

/* A free slot for this tag, and its distance from home. */
static uint32_t slot_free(const struct kb_table *t, uint64_t tag, uint32_t *ret_distance)
{
	uint32_t b = kb_home_bucket(tag, t->n), step = kb_probe_step(tag);

	for (uint32_t d = 0; d < KB_PROBE_MAX; d++, b = kb_probe_next(b, step, t->n)) {
		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			if (t->slot[b * KB_BUCKET_SLOTS + i] == SLOT_FREE) {
				*ret_distance = d;
				return b * KB_BUCKET_SLOTS + i;
			}
		}
	}
	return NO_SLOT;
}

/* Counts an entry that lies `distance` buckets behind its home into (or out of) the
 * buckets it has passed, and keeps their overflow bits. */
static void spill_add(struct kb_table *t, uint64_t tag, uint32_t distance, int by)
{
	uint32_t b = kb_home_bucket(tag, t->n), step = kb_probe_step(tag);

	for (; distance; distance--, b = kb_probe_next(b, step, t->n)) {
		bool before = t->spill[b] != 0;

		t->spill[b] = (uint16_t)(t->spill[b] + by);
		if (before != (t->spill[b] != 0))
			value_store(t, b * KB_BUCKET_SLOTS, value_of(t, b * KB_BUCKET_SLOTS));
	}
}

/* How many buckets of its probe sequence lie before this slot's; KB_PROBE_MAX: it is in
 * none of them. */
static uint32_t distance_of(const struct kb_table *t, uint64_t tag, uint32_t slot)
{
	uint32_t b = kb_home_bucket(tag, t->n), step = kb_probe_step(tag), d = 0;

	while (d < KB_PROBE_MAX && b != slot / KB_BUCKET_SLOTS) {
		b = kb_probe_next(b, step, t->n);
		d++;
	}
	return d;
}

/* Publishes a new entry in a free slot. */
static int slot_insert(struct kb_table *t, uint64_t tag, uint32_t check, uint64_t value,
		       uint8_t state)
{
	uint32_t distance, slot = slot_free(t, tag, &distance);

	if (slot == NO_SLOT)
		return -ENOSPC;
	spill_add(t, tag, distance, 1);
	if (KB_TABLE_MUTANT == MUTANT_SWAPPED)
		value_store(t, slot, value);
	tag_store(t, slot, tag);
	value_store(t, slot, value);
	t->slot[slot] = state;
	t->check[slot] = check;
	return 0;
}

static void slot_remove(struct kb_table *t, uint32_t slot)
{
	uint64_t tag = slot_at(t, 0, slot)->tag;

	value_store(t, slot, 0);
	if (!KB_TABLE_MUTANT)
		tag_store(t, slot, 0);
	t->slot[slot] = SLOT_LIMBO;
	spill_add(t, tag, distance_of(t, tag, slot), -1);
	kb_limbo_add(t, LIMBO_SLOT, t->gen, slot);
}

static void ref_drop(struct kb_table *t, uint32_t ref)
{
	if (ref && kb_arena_release(&t->arena, ref))
		kb_limbo_add(t, LIMBO_REC, 0, ref);
}

int kb_index_init(struct kb_table *t, uint32_t gen, uint32_t n, struct kb_bucket *index)
{
	uint8_t *slot = calloc(SLOTS(n), sizeof(*slot));
	uint32_t *check = calloc(SLOTS(n), sizeof(*check));
	uint16_t *spill = calloc(n, sizeof(*spill));

	if (!slot || !check || !spill) {
		free(slot);
		free(check);
		free(spill);
		return -ENOMEM;
	}
	t->gen = gen;
	t->n = n;
	t->index = index;
	t->slot = slot;
	t->check = check;
	t->spill = spill;
	return 0;
}

void kb_index_fini(struct kb_table *t)
{
	free(t->slot);
	free(t->check);
	free(t->spill);
	t->slot = NULL;
	t->check = NULL;
	t->spill = NULL;
}

static uint64_t index_bytes(const struct kb_table *t, uint32_t n)
{
	return (uint64_t)n * t->replicas * sizeof(struct kb_bucket);
}

/* Builds an index of n buckets beside the present one and switches to it. Readers see
 * the old or the new, both whole. */
int kb_index_grow(struct kb_table *t, uint32_t n)
{
	struct kb_table next = *t;
	struct kb_bucket *index;
	uint32_t gen = t->gen + 1;
	int r;

	if (t->mem_max && index_bytes(t, t->n) + index_bytes(t, n) +
					  (uint64_t)t->arena.n_pages * sizeof(struct kb_page) >
				  t->mem_max)
		return -ENOSPC;
	if (t->old_index) {
		/* Twice within one grace period: rare enough to wait for it. */
		t->backing.grace(t->backing.arg);
		t->backing.index_drop(t->backing.arg, gen & 1);
		t->old_index = NULL;
	}
	r = t->backing.index_new(t->backing.arg, gen & 1, n * t->replicas, &index);
	if (r < 0)
		return r;
	r = kb_index_init(&next, gen, n, index);
	if (r < 0) {
		t->backing.index_drop(t->backing.arg, gen & 1);
		return r;
	}
	for (uint32_t s = 0; s < SLOTS(t->n); s++) {
		if (!is_taken(t->slot[s]))
			continue;
		r = slot_insert(&next, slot_at(t, 0, s)->tag, t->check[s], value_of(t, s),
				t->slot[s]);
		if (r < 0) {
			kb_index_fini(&next);
			t->backing.index_drop(t->backing.arg, gen & 1);
			return r;
		}
	}
	__atomic_store_n(&t->hdr->shape[gen & 1], (uint64_t)t->replicas << 32 | n,
			 __ATOMIC_RELEASE);
	__atomic_store_n(&t->hdr->state, kb_state_word(gen, kb_state_of(t->hdr->state)),
			 __ATOMIC_RELEASE);
	kb_index_fini(t);
	t->old_index = t->index;
	t->old_buckets = t->n * t->replicas;
	t->gen = gen;
	t->n = n;
	t->index = next.index;
	t->slot = next.slot;
	t->check = next.check;
	t->spill = next.spill;
	t->stats.growths++;
	kb_limbo_add(t, LIMBO_INDEX, gen - 1, 0);
	return 0;
}

/* Above two thirds, misses begin to read a second line often (1.35 lines on average there),
 * and full probe sequences are not far. */
static bool is_full(const struct kb_table *t)
{
	return t->stats.names + 1 > SLOTS(t->n) / 3 * 2;
}

static void refuse(struct kb_table *t, uint8_t zone)
{
	t->stats.refused++;
	t->zone_refused[zone & KB_VALUE_ZONE_MAX]++;
	kb_zone_publish(t, zone);
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
	slot = slot_find(t, h.tag);
	if (slot != NO_SLOT) {
		if (t->check[slot] && t->check[slot] != h.check) {
			ref_drop(t, entry->ref);
			t->stats.collisions++;
			refuse(t, entry->zone);
			return -EEXIST;
		}
		t->check[slot] = h.check;
		t->slot[slot] = SLOT_USED;
		old = value_of(t, slot);
		if (old != value) {
			value_store(t, slot, value);
			t->stats.changes++;
		}
		ref_drop(t, kb_value_ref(old));
		return 0;
	}
	if (is_full(t))
		/* A failure only means fuller buckets. */
		kb_index_grow(t, t->n + t->n / 2);
	r = slot_insert(t, h.tag, h.check, value, SLOT_USED);
	/* A step may be too small where many names share few buckets, also for the names that are
	 * there already: then a larger one. */
	for (uint32_t n = t->n + t->n / 2, i = 0; r == -ENOSPC && i < GROWTH_TRIES;
	     n += n / 2, i++) {
		r = kb_index_grow(t, n);
		if (r == 0)
			r = slot_insert(t, h.tag, h.check, value, SLOT_USED);
	}
	if (r < 0) {
		ref_drop(t, entry->ref);
		refuse(t, entry->zone);
		return -ENOSPC;
	}
	t->stats.names++;
	t->stats.puts++;
	return 0;
}

int kb_table_del(struct kb_table *t, const uint8_t *name, size_t len)
{
	struct hashed h;
	uint32_t slot;
	uint64_t value;
	int r;

	r = name_hash(t, name, len, &h);
	if (r < 0)
		return r;
	slot = slot_find(t, h.tag);
	if (slot == NO_SLOT || (t->check[slot] && t->check[slot] != h.check))
		return -ENOENT;
	value = value_of(t, slot);
	slot_remove(t, slot);
	ref_drop(t, kb_value_ref(value));
	t->stats.names--;
	t->stats.dels++;
	return 0;
}

uint64_t kb_table_get(const struct kb_table *t, const uint8_t *name, size_t len,
		      uint32_t *ret_bucket, uint32_t *ret_slot)
{
	struct hashed h;
	uint32_t slot;

	if (name_hash(t, name, len, &h) < 0)
		return 0;
	slot = slot_find(t, h.tag);
	if (slot == NO_SLOT)
		return 0;
	if (ret_bucket)
		*ret_bucket = slot / KB_BUCKET_SLOTS;
	if (ret_slot)
		*ret_slot = slot % KB_BUCKET_SLOTS;
	return value_of(t, slot);
}

int kb_table_reserve(struct kb_table *t, size_t names)
{
	/* Three fifths full at that size. */
	size_t n = names / KB_BUCKET_SLOTS * 5 / 3 + BUCKETS_FIRST;

	if (n <= t->n)
		return 0;
	if (n > UINT32_MAX / KB_REPLICAS_MAX)
		return -ENOSPC;
	return kb_index_grow(t, (uint32_t)n);
}

void kb_table_mark(struct kb_table *t)
{
	for (uint32_t s = 0; s < SLOTS(t->n); s++) {
		if (t->slot[s] == SLOT_USED)
			t->slot[s] = SLOT_OLD;
	}
}

void kb_table_sweep(struct kb_table *t)
{
	for (uint32_t s = 0; s < SLOTS(t->n); s++) {
		uint64_t value;

		if (t->slot[s] != SLOT_OLD)
			continue;
		value = value_of(t, s);
		slot_remove(t, s);
		ref_drop(t, kb_value_ref(value));
		t->stats.names--;
		t->stats.dels++;
	}
}

/* Makes every replica's bucket the writer's idea of it. Returns whether one was not. */
static bool bucket_repair(struct kb_table *t, uint32_t b)
{
	bool repaired = false;

	for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
		uint32_t slot = b * KB_BUCKET_SLOTS + i;
		uint64_t tag = 0, value = 0;

		if (is_taken(t->slot[slot])) {
			tag = slot_at(t, 0, slot)->tag;
			value = value_of(t, slot);
		}
		if (i == 0 && t->spill[b])
			value |= KB_VALUE_OVERFLOW;
		for (uint32_t r = 0; r < t->replicas; r++) {
			struct kb_slot *s = slot_at(t, r, slot);

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
	bool repaired = false;

	for (uint32_t s = 0; s < SLOTS(t->n); s++) {
		uint64_t tag = slot_at(t, 0, s)->tag, value = value_of(t, s);
		uint32_t ref = kb_value_ref(value);

		if (kb_value_kind(value) == KB_VALUE_NONE || tag == 0)
			continue;
		if (distance_of(t, tag, s) >= KB_PROBE_MAX)
			continue;
		if (ref) {
			int r = kb_arena_claim(&t->arena, ref);

			if (r == -ENOMEM)
				return r;
			if (r < 0)
				continue;
		}
		t->slot[s] = SLOT_OLD;
		t->stats.names++;
		for (uint32_t d = distance_of(t, tag, s), b = kb_home_bucket(tag, t->n); d;
		     d--, b = kb_probe_next(b, kb_probe_step(tag), t->n))
			t->spill[b]++;
	}
	for (uint32_t b = 0; b < t->n; b++)
		repaired |= bucket_repair(t, b);
	/* What only a repaired replica referred to is free for reuse from now on. */
	if (repaired)
		t->backing.grace(t->backing.arg);
	return 0;
}
