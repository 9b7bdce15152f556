/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/idhash.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "control/records/alloc.h"

void kb_sipkey_init(struct kb_sipkey *ret_key)
{
	struct timespec ts;

	if (getrandom(ret_key, sizeof(*ret_key), 0) == (ssize_t)sizeof(*ret_key))
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ret_key->k0 = (uint64_t)ts.tv_nsec * 0x9e3779b97f4a7c15ULL;
	ret_key->k1 = (uint64_t)(uintptr_t)ret_key ^ (uint64_t)ts.tv_sec;
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t kb_siphash64(const struct kb_sipkey *key, const void *data, size_t len)
{
	uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575ULL, key->k1 ^ 0x646f72616e646f6dULL,
			 key->k0 ^ 0x6c7967656e657261ULL, key->k1 ^ 0x7465646279746573ULL};
	const uint8_t *p = data;
	uint64_t m = (uint64_t)len << 56;
	size_t i, left = len;
	int r;

	for (; left >= 8; left -= 8, p += 8) {
		uint64_t w;

		memcpy(&w, p, 8);
		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	for (i = 0; i < left; i++)
		m |= (uint64_t)p[i] << (8 * i);
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (r = 0; r < 3; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint32_t kb_siphash(const struct kb_sipkey *key, const void *data, size_t len)
{
	return (uint32_t)kb_siphash64(key, data, len);
}

static void insert(struct kb_idhash *ix, uint32_t hash, uint32_t id)
{
	uint32_t i = hash & ix->mask;

	while (ix->slot[i].id)
		i = (i + 1) & ix->mask;
	ix->slot[i].id = id;
	ix->slot[i].hash = hash;
}

static void resize(struct kb_idhash *ix, uint32_t cap)
{
	struct kb_idhash old = *ix;
	uint32_t i;

	ix->slot = kb_zalloc(cap, sizeof(*ix->slot));
	ix->mask = cap - 1;
	for (i = 0; old.slot && i <= old.mask; i++)
		if (old.slot[i].id)
			insert(ix, old.slot[i].hash, old.slot[i].id);
	free(old.slot);
}

void kb_idhash_add(struct kb_idhash *ix, uint32_t hash, uint32_t id)
{
	if (!ix->slot)
		resize(ix, 64);
	else if ((uint64_t)ix->used * 4 >= (uint64_t)ix->mask * 3)
		resize(ix, (ix->mask + 1) * 2);
	insert(ix, hash, id);
	ix->used++;
}

void kb_idhash_del(struct kb_idhash *ix, uint32_t hash, uint32_t id)
{
	uint32_t i = hash & ix->mask, j;

	while (ix->slot[i].id != id)
		i = (i + 1) & ix->mask;
	/* Closes the gap, so that no tombstones pile up. */
	for (j = (i + 1) & ix->mask; ix->slot[j].id; j = (j + 1) & ix->mask) {
		uint32_t home = ix->slot[j].hash & ix->mask;

		if (((j - home) & ix->mask) < ((j - i) & ix->mask))
			continue;
		ix->slot[i] = ix->slot[j];
		i = j;
	}
	ix->slot[i].id = 0;
	ix->used--;
}

uint32_t kb_idhash_next(const struct kb_idhash *ix, uint32_t hash, uint32_t *pos)
{
	uint32_t i = *pos;

	for (; ix->slot[i].id; i = (i + 1) & ix->mask) {
		if (ix->slot[i].hash != hash)
			continue;
		*pos = (i + 1) & ix->mask;
		return ix->slot[i].id;
	}
	*pos = i;
	return 0;
}

uint32_t kb_idhash_first(const struct kb_idhash *ix, uint32_t hash, uint32_t *ret_pos)
{
	if (!ix->slot)
		return 0;
	*ret_pos = hash & ix->mask;
	return kb_idhash_next(ix, hash, ret_pos);
}

void kb_idhash_fini(struct kb_idhash *ix)
{
	free(ix->slot);
	memset(ix, 0, sizeof(*ix));
}

void kb_pool_init(struct kb_pool *pool, size_t size)
{
	memset(pool, 0, sizeof(*pool));
	pool->size = size;
}

uint32_t kb_pool_get(struct kb_pool *pool)
{
	pool->used++;
	if (pool->n_free)
		return pool->free[--pool->n_free];
	if (pool->top == pool->n_chunks * KB_POOL_CHUNK) {
		pool->chunk = kb_grow(pool->chunk, &pool->cap_chunks, pool->n_chunks + 1,
				      sizeof(*pool->chunk));
		pool->chunk[pool->n_chunks++] = kb_zalloc(KB_POOL_CHUNK, pool->size);
	}
	return ++pool->top;
}

void kb_pool_put(struct kb_pool *pool, uint32_t id)
{
	pool->free = kb_grow(pool->free, &pool->cap_free, pool->n_free + 1, sizeof(*pool->free));
	pool->free[pool->n_free++] = id;
	pool->used--;
	memset(kb_pool_at(pool, id), 0, pool->size);
}

void kb_pool_fini(struct kb_pool *pool)
{
	size_t i;

	for (i = 0; i < pool->n_chunks; i++)
		free(pool->chunk[i]);
	free(pool->chunk);
	free(pool->free);
	memset(pool, 0, sizeof(*pool));
}
