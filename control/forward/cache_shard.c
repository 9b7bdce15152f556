/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/cache_private.h"
#include "dataplane/core/dns.h"

#define BYTES_PER_BUCKET 128 /* less than the smallest entry: chains are short when full */
#define HAND_STEPS	 256 /* entries that an eviction looks at */

/* --- key and index ---------------------------------------------------------------- */

/*
 * Two lanes of MULTILINEAR-HM as in dataplane/core/hash.h, but over all of the name's bytes, not up
 * to the first zero byte: labels with zero bytes come here from outside, and must not
 * meet in one chain. Type, class and flags are one more block with keys of its own.
 */
void kb_cache_key_init(const struct kb_cache *cache, const struct kb_ask *ask,
		       struct kb_cache_key *ret)
{
	const struct kb_hash_key *k = &cache->key;
	const struct kb_cache_meta_key *m = &cache->meta_key;
	size_t len = ask->len - 4U;
	uint64_t h1 = k->len1 * len, h2 = k->len2 * len;
	uint32_t type_class = kb_load32(ask->question + len);
	size_t i;

	assert(ask->len > 4 && len <= KB_NAME_MAX);
	ret->ask = ask;
	ret->flags = (uint8_t)((ask->dnssec_ok ? KB_CACHE_FLAG_DO : 0) |
			       (ask->cd ? KB_CACHE_FLAG_CD : 0));
	memset(ret->question + (len & ~(size_t)7), 0, 8);
	memcpy(ret->question, ask->question, len);
	for (i = 0; i * 8 < len; i++) {
		uint64_t w = kb_fold64(kb_load64(ret->question + i * 8));
		uint32_t lo = (uint32_t)w, hi = (uint32_t)(w >> 32);

		kb_store64(ret->question + i * 8, w);
		h1 += (k->a1[i] + lo) * (k->b1[i] + hi);
		h2 += (k->a2[i] + lo) * (k->b2[i] + hi);
	}
	h1 += (m->a1 + type_class) * (m->b1 + ret->flags);
	h2 += (m->a2 + type_class) * (m->b2 + ret->flags);
	memcpy(ret->question + len, ask->question + len, 4);
	ret->hash = (h1 & 0xffffffff00000000ULL) | h2 >> 32;
}

struct kb_cache_entry *kb_cache_find(const struct kb_cache_shard *s, const struct kb_cache_key *k)
{
	struct kb_cache_entry *e = s->buckets[k->hash & s->mask];

	for (; e; e = e->chain) {
		if (e->hash == k->hash && e->flags == k->flags && e->question_len == k->ask->len &&
		    memcmp(kb_cache_msg(e) + KB_DNS_HDR, k->question, e->question_len) == 0)
			return e;
	}
	return NULL;
}

static void count_entry(struct kb_cache_shard *s, const struct kb_cache_entry *e, uint64_t change)
{
	*(e->denial ? &s->stats.entries_denial : &s->stats.entries_success) += change;
	s->stats.bytes += change * e->bytes;
}

static void link_entry(struct kb_cache_shard *s, struct kb_cache_entry *e)
{
	struct kb_cache_entry **bucket = &s->buckets[e->hash & s->mask];

	e->chain = *bucket;
	*bucket = e;
	e->newer = NULL;
	e->older = s->newest;
	if (s->newest)
		s->newest->newer = e;
	else
		s->oldest = e;
	s->newest = e;
	count_entry(s, e, 1);
}

void kb_cache_entry_remove(struct kb_cache_shard *s, struct kb_cache_entry *e)
{
	struct kb_cache_entry **at = &s->buckets[e->hash & s->mask];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	if (s->hand == e)
		s->hand = e->newer;
	*(e->newer ? &e->newer->older : &s->newest) = e->older;
	*(e->older ? &e->older->newer : &s->oldest) = e->newer;
	count_entry(s, e, -1ULL);
	free(e);
}

/* --- life and death ------------------------------------------------------------------ */

/* SIEVE. A lap over a shard of nothing but entries in use is cut short, for the sake of those who
 * wait for the lock. */
static void evict_one(struct kb_cache *cache, struct kb_cache_shard *s, uint64_t now_ms)
{
	struct kb_cache_entry *e = s->hand ? s->hand : s->oldest;

	for (unsigned int i = 0;
	     i < HAND_STEPS && e->visited && !kb_cache_is_dead(cache, e, now_ms); i++) {
		e->visited = false;
		e = e->newer ? e->newer : s->oldest;
	}
	s->hand = e;
	++*(e->denial ? &s->stats.evictions_denial : &s->stats.evictions_success);
	kb_cache_entry_remove(s, e);
}

struct kb_cache_entry *kb_cache_entry_new(const struct kb_cache_key *k, unsigned int n_ttls,
					  size_t msg_len)
{
	struct kb_cache_entry *e = malloc(sizeof(*e) + n_ttls * sizeof(uint16_t) + msg_len);

	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->hash = k->hash;
	e->flags = k->flags;
	e->question_len = k->ask->len;
	e->n_ttls = (uint16_t)n_ttls;
	e->bytes = (uint32_t)(malloc_usable_size(e) + sizeof(size_t)); /* and malloc's header */
	e->relay.end = (uint16_t)msg_len;
	return e;
}

bool kb_cache_entry_add(struct kb_cache *cache, struct kb_cache_shard *s, struct kb_cache_entry *e,
			uint64_t now_ms)
{
	if (e->bytes > s->bytes_max) {
		s->stats.drops++;
		return false;
	}
	while (s->stats.bytes + e->bytes > s->bytes_max)
		evict_one(cache, s, now_ms);
	link_entry(s, e);
	s->stats.insertions++;
	return true;
}

/* --- shards ----------------------------------------------------------------------------- */

int kb_cache_shard_init(struct kb_cache_shard *s, size_t bytes)
{
	size_t n = kb_cache_parts(bytes, BYTES_PER_BUCKET);
	int r;

	s->buckets = calloc(n, sizeof(struct kb_cache_entry *));
	if (!s->buckets)
		return -ENOMEM;
	r = pthread_mutex_init(&s->lock, NULL);
	if (r) {
		free(s->buckets);
		s->buckets = NULL;
		return -r;
	}
	s->mask = n - 1;
	s->bytes_max = bytes - n * sizeof(struct kb_cache_entry *);
	return 0;
}

void kb_cache_shard_clear(struct kb_cache_shard *s)
{
	while (s->oldest)
		kb_cache_entry_remove(s, s->oldest);
}

void kb_cache_shard_fini(struct kb_cache_shard *s)
{
	if (!s->buckets)
		return;
	kb_cache_shard_clear(s);
	pthread_mutex_destroy(&s->lock);
	free(s->buckets);
}
