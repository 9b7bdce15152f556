/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cache.c and cache_shard.c share: entries, and the shards that hold them. All of a shard, and
 * entries in it, are touched under its lock only.
 */
#ifndef KB_FORWARD_CACHE_PRIVATE_H
#define KB_FORWARD_CACHE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/forward/cache.h"
#include "dataplane/core/hash.h"

/* Flags of a key. */
#define KB_CACHE_FLAG_DO 1
#define KB_CACHE_FLAG_CD 2

/* One message. In data: places of TTLs (16 bits each), then header, question in lower case, and
 * records up to `relay.end`. */
struct kb_cache_entry {
	struct kb_cache_entry *chain;	      /* of its bucket */
	struct kb_cache_entry *newer, *older; /* in the shard's queue */
	uint64_t hash;
	uint64_t stored_ms, expires_ms;
	uint64_t signed_ms;  /* its signatures expire; UINT64_MAX: it has none */
	uint64_t refresh_ms; /* no caller is told to refresh before */
	uint64_t failed_ms;  /* upstreams are not asked again before */
	uint64_t offer_ms;   /* not offered to the packet path again before */
	uint32_t bytes;	     /* as accounted */
	uint16_t n_ttls;
	uint16_t question_len;
	uint16_t hits; /* since it came, stops at the top */
	uint8_t flags; /* of the key */
	bool denial, failure, visited;
	bool offered; /* to the packet path */
	struct kb_relay relay;
	uint8_t data[];
};

struct kb_cache_shard {
	_Alignas(64) pthread_mutex_t lock;
	struct kb_cache_entry **buckets; /* owned, mask + 1 chains */
	uint64_t mask;
	struct kb_cache_entry *newest, *oldest;
	struct kb_cache_entry *hand; /* next to be looked at for eviction; NULL: the oldest */
	size_t bytes_max;
	struct kb_cache_stats stats;
};

struct kb_cache_meta_key {
	uint64_t a1, b1, a2, b2;
};

struct kb_cache {
	struct kb_cache_config config;
	struct kb_hash_key key;
	struct kb_cache_meta_key meta_key;
	uint64_t shards_mask;
	atomic_uint era; /* times that it was cleared */
	struct kb_cache_shard shard[];
};

/* A question in the form of the key. */
struct kb_cache_key {
	uint64_t hash;
	const struct kb_ask *ask;
	uint8_t flags;
	_Alignas(8) uint8_t question[KB_NAME_BLOCKS * 8 + 4];
};

static inline uint8_t *kb_cache_msg(struct kb_cache_entry *e)
{
	return e->data + e->n_ttls * sizeof(uint16_t);
}

static inline struct kb_cache_shard *kb_cache_shard_of(struct kb_cache *cache, uint64_t hash)
{
	return &cache->shard[hash >> 32 & cache->shards_mask];
}

static inline bool kb_cache_is_usable_stale(const struct kb_cache *cache,
					    const struct kb_cache_entry *e, uint64_t now_ms)
{
	return !e->failure && now_ms < e->signed_ms &&
	       now_ms < e->expires_ms + cache->config.stale_max_s * 1000ULL;
}

static inline bool kb_cache_is_dead(const struct kb_cache *cache, const struct kb_cache_entry *e,
				    uint64_t now_ms)
{
	return now_ms >= e->expires_ms && !kb_cache_is_usable_stale(cache, e, now_ms);
}

/* The largest power of two up to n / unit, at least 1. */
static inline size_t kb_cache_parts(size_t n, size_t unit)
{
	size_t p = 1;

	while (p * 2 <= n / unit)
		p *= 2;
	return p;
}

void kb_cache_key_init(const struct kb_cache *cache, const struct kb_ask *ask,
		       struct kb_cache_key *ret);

/* Of `bytes` in all. 0 or -errno. */
int kb_cache_shard_init(struct kb_cache_shard *s, size_t bytes);
void kb_cache_shard_fini(struct kb_cache_shard *s); /* half-built (zeroed) is fine */
void kb_cache_shard_clear(struct kb_cache_shard *s);
struct kb_cache_entry *kb_cache_find(const struct kb_cache_shard *s, const struct kb_cache_key *k);
/* Memory for a message of `msg_len` bytes, whose header and records the caller fills in. NULL
 * without memory. */
struct kb_cache_entry *kb_cache_entry_new(const struct kb_cache_key *k, unsigned int n_ttls,
					  size_t msg_len);
/* Makes room and takes the entry; if the shard is too small for it, counts it as dropped and
 * returns false. */
bool kb_cache_entry_add(struct kb_cache *cache, struct kb_cache_shard *s, struct kb_cache_entry *e,
			uint64_t now_ms);
/* Frees it too. */
void kb_cache_entry_remove(struct kb_cache_shard *s, struct kb_cache_entry *e);

#endif
