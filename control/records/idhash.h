/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building blocks of the object store: a keyed hash, a hash index of 32-bit ids,
 * and pools whose elements keep their address.
 *
 * Names and addresses come from tenants, so the hash is keyed (SipHash-1-3): nobody can
 * aim at one chain.
 */
#ifndef KB_RECORDS_IDHASH_H
#define KB_RECORDS_IDHASH_H

#include <stddef.h>
#include <stdint.h>

struct kb_sipkey {
	uint64_t k0, k1;
};

void kb_sipkey_init(struct kb_sipkey *ret_key);
uint64_t kb_siphash64(const struct kb_sipkey *key, const void *data, size_t len);
/* The lower half. */
uint32_t kb_siphash(const struct kb_sipkey *key, const void *data, size_t len);

/* Open addressing, several ids may have one hash. Ids are not 0. */
struct kb_idhash {
	struct {
		uint32_t id, hash;
	} * slot; /* owned, mask + 1 entries */
	uint32_t mask, used;
};

void kb_idhash_add(struct kb_idhash *ix, uint32_t hash, uint32_t id);
void kb_idhash_del(struct kb_idhash *ix, uint32_t hash, uint32_t id);
/* First and next id with this hash; 0 at the end. */
uint32_t kb_idhash_first(const struct kb_idhash *ix, uint32_t hash, uint32_t *ret_pos);
uint32_t kb_idhash_next(const struct kb_idhash *ix, uint32_t hash, uint32_t *pos);
void kb_idhash_fini(struct kb_idhash *ix);

#define KB_POOL_CHUNK 512

/* Zeroed elements of one size with ids from 1 up; an element stays where it is, and
 * reads as zeros after it was given back. */
struct kb_pool {
	uint8_t **chunk; /* owned */
	size_t n_chunks, cap_chunks, size;
	uint32_t top, used; /* highest id given out so far; elements in use */
	uint32_t *free;	    /* owned: ids given back */
	size_t n_free, cap_free;
};

void kb_pool_init(struct kb_pool *pool, size_t size);
uint32_t kb_pool_get(struct kb_pool *pool);
void kb_pool_put(struct kb_pool *pool, uint32_t id);
void kb_pool_fini(struct kb_pool *pool);

static inline void *kb_pool_at(const struct kb_pool *pool, uint32_t id)
{
	return pool->chunk[(id - 1) / KB_POOL_CHUNK] + (id - 1) % KB_POOL_CHUNK * pool->size;
}

#endif
