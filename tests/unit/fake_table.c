/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_env.h"
#include "tests/unit/fake_table.h"

struct rec {
	uint32_t ref, refs, next;
	uint32_t len;
	uint64_t hash;
};

#define REC_HEADS 65536

struct kb_table {
	struct kb_header hdr;
	struct kb_bucket *bucket;
	bool *old; /* by slot */
	uint32_t n_buckets;
	struct kb_page *page[KB_PAGES_MAX];
	uint32_t n_pages, unit; /* next free unit */
	struct rec *rec;
	uint32_t n_recs, cap_recs;
	uint32_t head[REC_HEADS];
	uint32_t *rec_of; /* by ref */
	uint64_t names, records, changes, budget;
	uint8_t zone_flags[KB_VALUE_ZONE_MAX + 1]; /* as asked for */
	bool zone_refused[KB_VALUE_ZONE_MAX + 1];
	bool zones_held;
};

struct kb_table *fake_table_new(uint32_t buckets)
{
	struct kb_table *t = calloc(1, sizeof(*t));
	size_t i;

	t->n_buckets = buckets;
	t->bucket = aligned_alloc(64, sizeof(*t->bucket) * buckets);
	memset(t->bucket, 0, sizeof(*t->bucket) * buckets);
	t->old = calloc(buckets, KB_BUCKET_SLOTS * sizeof(*t->old));
	for (i = 0; i < sizeof(t->hdr.key); i++)
		((uint8_t *)&t->hdr.key)[i] = (uint8_t)(random() >> 8);
	t->hdr.state = kb_state_word(0, KB_FULL);
	t->hdr.shape[0] = buckets | 1ULL << 32;
	t->hdr.udp_max = KB_UDP_MAX_DEFAULT;
	t->unit = 1;
	t->budget = UINT64_MAX;
	t->n_recs = 1;
	t->rec_of = calloc(KB_VALUE_REF_MAX + 1UL, sizeof(*t->rec_of));
	return t;
}

void fake_table_free(struct kb_table *t)
{
	uint32_t i;

	for (i = 0; i < t->n_pages; i++)
		free(t->page[i]);
	free(t->bucket);
	free(t->old);
	free(t->rec);
	free(t->rec_of);
	free(t);
}

const struct kb_bucket *fake_table_bucket(const struct kb_table *t, uint32_t n)
{
	return n < t->n_buckets ? &t->bucket[n] : NULL;
}

const struct kb_page *fake_table_page(const struct kb_table *t, uint32_t n)
{
	return n < t->n_pages ? t->page[n] : NULL;
}

struct kb_header *fake_table_header(struct kb_table *t)
{
	return &t->hdr;
}

uint64_t fake_table_names(const struct kb_table *t)
{
	return t->names;
}

uint64_t fake_table_records(const struct kb_table *t)
{
	return t->records;
}

uint64_t fake_table_changes(struct kb_table *t)
{
	uint64_t n = t->changes;

	t->changes = 0;
	return n;
}

void fake_table_refuse_after(struct kb_table *t, uint64_t n)
{
	t->budget = n;
}

const uint8_t *fake_table_record(const struct kb_table *t, uint32_t ref, size_t *ret_len)
{
	if (!ref)
		return NULL;
	*ret_len = t->rec[t->rec_of[ref]].len;
	return t->page[ref / KB_PAGE_UNITS]->b + ref % KB_PAGE_UNITS * KB_UNIT;
}

static uint64_t fnv(const uint8_t *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

int kb_table_intern(struct kb_table *t, const void *rec, size_t len, uint32_t *ret_ref)
{
	uint64_t h = fnv(rec, len);
	uint32_t *head = &t->head[h % REC_HEADS], i, units = (uint32_t)(len / KB_UNIT);
	size_t have;

	assert(len && len % KB_UNIT == 0 && ((const struct kb_rec *)rec)->units == units);
	for (i = *head; i; i = t->rec[i].next) {
		if (t->rec[i].hash != h || t->rec[i].len != len || !t->rec[i].refs)
			continue;
		if (memcmp(fake_table_record(t, t->rec[i].ref, &have), rec, len))
			continue;
		t->rec[i].refs++;
		*ret_ref = t->rec[i].ref;
		return 0;
	}
	if (!t->budget)
		return -ENOSPC;
	t->budget--;
	if (t->unit % KB_PAGE_UNITS + units > KB_PAGE_UNITS)
		t->unit = (t->unit / KB_PAGE_UNITS + 1) * KB_PAGE_UNITS;
	if (t->unit / KB_PAGE_UNITS >= t->n_pages)
		t->page[t->n_pages++] = calloc(1, sizeof(struct kb_page));
	if (t->n_recs >= t->cap_recs) {
		t->cap_recs = t->cap_recs * 2 + 64;
		t->rec = realloc(t->rec, t->cap_recs * sizeof(*t->rec));
	}
	i = t->n_recs++;
	t->rec[i] = (struct rec){
		.ref = t->unit, .refs = 1, .next = *head, .len = (uint32_t)len, .hash = h};
	*head = i;
	t->rec_of[t->unit] = i;
	memcpy(t->page[t->unit / KB_PAGE_UNITS]->b + t->unit % KB_PAGE_UNITS * KB_UNIT, rec, len);
	*ret_ref = t->unit;
	t->unit += units;
	t->records++;
	return 0;
}

void kb_table_release(struct kb_table *t, uint32_t ref)
{
	if (!ref)
		return;
	assert(t->rec[t->rec_of[ref]].refs);
	if (--t->rec[t->rec_of[ref]].refs == 0)
		t->records--;
}

static uint64_t hash_of(const struct kb_table *t, const uint8_t *name, size_t len)
{
	uint8_t buf[264 + KB_DNS_HDR] = {0};
	struct kb_name_scan scan = {0};
	size_t i;

	assert(len <= KB_NAME_MAX);
	for (i = 0; i < len; i++)
		assert(!(name[i] >= 'A' && name[i] <= 'Z'));
	memcpy(buf, name, len);
	kb_name_scan(buf, 0, (uint32_t)len, &t->hdr.key, &scan);
	assert(scan.len == len);
	return scan.hash;
}

static struct kb_slot *find(struct kb_table *t, uint64_t hash, bool make)
{
	uint32_t b = kb_home_bucket(hash, t->n_buckets), step = kb_probe_step(hash), i, k;

	for (i = 0; i < KB_PROBE_MAX; i++, b = kb_probe_next(b, step, t->n_buckets))
		for (k = 0; k < KB_BUCKET_SLOTS; k++)
			if (t->bucket[b].slot[k].tag == hash)
				return &t->bucket[b].slot[k];
	b = kb_home_bucket(hash, t->n_buckets);
	for (i = 0; make && i < KB_PROBE_MAX; i++, b = kb_probe_next(b, step, t->n_buckets)) {
		for (k = 0; k < KB_BUCKET_SLOTS; k++)
			if (!t->bucket[b].slot[k].tag)
				return &t->bucket[b].slot[k];
		t->bucket[b].slot[0].value |= KB_VALUE_OVERFLOW;
	}
	return NULL;
}

static void zone_publish(struct kb_table *t, uint8_t id)
{
	size_t i;

	for (i = 0; i < t->hdr.n_zones; i++)
		if (id && t->hdr.zone[i].id == id)
			t->hdr.zone[i].flags =
				(uint8_t)(t->zone_flags[id] &
					  ~(t->zone_refused[id] ? KB_ZONE_ANSWER : 0));
}

void kb_table_refusals_clear(struct kb_table *t)
{
	uint8_t id;

	for (id = 1; id <= KB_VALUE_ZONE_MAX; id++) {
		t->zone_refused[id] = false;
		zone_publish(t, id);
	}
}

static bool *old_of(struct kb_table *t, const struct kb_slot *s)
{
	size_t at = (size_t)((const uint8_t *)s - (const uint8_t *)t->bucket);

	return &t->old[at / sizeof(*s)];
}

int kb_table_put(struct kb_table *t, const uint8_t *name, size_t len, const struct kb_entry *e)
{
	uint64_t hash = hash_of(t, name, len), v, old;
	struct kb_slot *s = find(t, hash, t->budget > 0);

	if (!s) {
		kb_table_release(t, e->ref);
		t->zone_refused[e->zone] = true;
		zone_publish(t, e->zone);
		return -ENOSPC;
	}
	v = kb_value(e->kind, e->zone, e->ref, e->addr);
	old = s->value & ~KB_VALUE_OVERFLOW;
	if (!s->tag) {
		t->names++;
		t->budget -= t->budget == UINT64_MAX ? 0 : 1;
	}
	kb_table_release(t, kb_value_ref(old));
	t->changes += old != v;
	*old_of(t, s) = false;
	s->tag = hash;
	s->value = v | (s->value & KB_VALUE_OVERFLOW);
	return 0;
}

static void remove_slot(struct kb_table *t, struct kb_slot *s)
{
	kb_table_release(t, kb_value_ref(s->value));
	*old_of(t, s) = false;
	s->tag = 0;
	s->value &= KB_VALUE_OVERFLOW;
	t->names--;
	t->changes++;
}

int kb_table_del(struct kb_table *t, const uint8_t *name, size_t len)
{
	struct kb_slot *s = find(t, hash_of(t, name, len), false);

	if (!s)
		return -ENOENT;
	remove_slot(t, s);
	return 0;
}

uint64_t kb_table_get(const struct kb_table *t, const uint8_t *name, size_t len,
		      uint32_t *ret_bucket, uint32_t *ret_slot)
{
	struct kb_slot *s = find((struct kb_table *)(uintptr_t)t, hash_of(t, name, len), false);

	*ret_bucket = *ret_slot = 0;
	return s ? s->value & ~KB_VALUE_OVERFLOW : 0;
}

int kb_table_reserve(struct kb_table *t, size_t names)
{
	(void)t;
	(void)names;
	return 0;
}

void kb_table_mark(struct kb_table *t)
{
	uint32_t b, k;

	for (b = 0; b < t->n_buckets; b++)
		for (k = 0; k < KB_BUCKET_SLOTS; k++)
			t->old[b * KB_BUCKET_SLOTS + k] = t->bucket[b].slot[k].tag != 0;
}

void kb_table_sweep(struct kb_table *t)
{
	uint32_t i;

	for (i = 0; i < t->n_buckets * KB_BUCKET_SLOTS; i++)
		if (t->old[i])
			remove_slot(t, &t->bucket[i / KB_BUCKET_SLOTS].slot[i % KB_BUCKET_SLOTS]);
}

void kb_table_set_ttl(struct kb_table *t, uint32_t ttl_s)
{
	t->hdr.patch[KB_PATCH_TTL] = kb_swap32(ttl_s);
	t->hdr.patch[KB_PATCH_SOA_TTL] = kb_swap32(ttl_s < KB_SOA_TTL_MAX ? ttl_s : KB_SOA_TTL_MAX);
}

void kb_table_set_serial(struct kb_table *t, uint32_t serial)
{
	t->hdr.patch[KB_PATCH_SERIAL] = kb_swap32(serial);
}

int kb_table_zone_add(struct kb_table *t, const uint8_t *name, size_t len, uint8_t id,
		      uint8_t flags)
{
	struct kb_zone *z = t->hdr.zone;
	uint8_t tail[8] = {0}, mask[8] = {0};
	size_t i;

	/* Sorted by falling length. */
	while (z < t->hdr.zone + t->hdr.n_zones && z->len >= len)
		z++;
	memmove(z + 1, z, (size_t)(t->hdr.zone + t->hdr.n_zones - z) * sizeof(*z));
	t->hdr.n_zones++;
	memset(z, 0, sizeof(*z));
	memcpy(z->name, name, len);
	memset(z->mask, 0xff, len);
	z->len = (uint8_t)len;
	z->id = id;
	z->flags = flags;
	if (id) {
		t->hdr.zone_len[id] = (uint8_t)len;
		t->zone_flags[id] = flags;
	}
	for (i = 0; i < 8 && i < len; i++) {
		tail[7 - i] = name[len - 1 - i];
		mask[7 - i] = 0xff;
	}
	memcpy(&z->tail, tail, 8);
	memcpy(&z->tail_mask, mask, 8);
	return 0;
}

uint8_t fake_table_zone_flags(const struct kb_table *t, uint8_t id)
{
	size_t i;

	for (i = 0; i < t->hdr.n_zones; i++)
		if (t->hdr.zone[i].id == id)
			return t->hdr.zone[i].flags;
	return 0;
}

void kb_table_zone_flag(struct kb_table *t, uint8_t id, uint8_t flag, bool on)
{
	uint8_t *flags = &t->zone_flags[id];

	*flags = (uint8_t)(on ? *flags | flag : *flags & ~flag);
	zone_publish(t, id);
}

void kb_table_zones_clear(struct kb_table *t)
{
	t->hdr.n_zones = 0;
	memset(t->hdr.zone, 0, sizeof(t->hdr.zone));
	memset(t->hdr.zone_len, 0, sizeof(t->hdr.zone_len));
	memset(t->zone_flags, 0, sizeof(t->zone_flags));
	memset(t->zone_refused, 0, sizeof(t->zone_refused));
}

void kb_table_set_state(struct kb_table *t, enum kb_state state)
{
	t->hdr.state = kb_state_word(0, state);
}

static void no_grace(void *arg)
{
	(void)arg;
}

const struct kb_backing *kb_table_backing(const struct kb_table *t)
{
	static const struct kb_backing backing = {.grace = no_grace};

	(void)t;
	return &backing;
}

const struct kb_header *kb_table_header(const struct kb_table *t)
{
	return &t->hdr;
}

void kb_table_zones_hold(struct kb_table *t, bool hold)
{
	t->zones_held = hold;
}

bool kb_table_zones_held(const struct kb_table *t)
{
	return t->zones_held;
}
