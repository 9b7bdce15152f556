/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "control/forward/cache_private.h"
#include "control/pcache/pcache.h"
#include "dataplane/core/dns.h"

#define SHARDS_MAX     64
#define SHARD_BYTES    (256 << 10) /* at least, when there are several */
#define REFRESH_GAP_MS 5000	   /* between two callers that are told to refresh */
#define FAILURE_MAX_S  300	   /* RFC 9520 section 3.2 */
#define OFFER_GAP_MS   1000	   /* between two offers of one answer to the packet path */

static uint16_t ttl_at(const struct kb_cache_entry *e, unsigned int i)
{
	return kb_load16(e->data + i * sizeof(uint16_t));
}

static void put32(uint8_t *p, uint32_t v)
{
	kb_store32(p, kb_swap32(v));
}

/* --- get -------------------------------------------------------------------------------- */

static size_t answer(struct kb_cache_entry *e, const struct kb_ask *ask, uint64_t now_ms,
		     uint16_t udp_max, uint8_t *out, size_t cap)
{
	struct kb_relay relay = e->relay;
	bool stale = now_ms >= e->expires_ms;
	uint32_t stale_ttl = KB_CACHE_STALE_TTL_S;
	uint32_t age_s = now_ms > e->stored_ms ? (uint32_t)((now_ms - e->stored_ms) / 1000) : 0;
	size_t len;

	if (stale)
		relay.flags3 &= (uint8_t)~KB_AD;
	if (stale && (e->signed_ms - now_ms) / 1000 < stale_ttl)
		stale_ttl = (uint32_t)((e->signed_ms - now_ms) / 1000);
	len = kb_relay_reply(ask, kb_cache_msg(e), &relay, udp_max, out, cap);
	if (out[2] & KB_TC)
		return len; /* without records */
	for (unsigned int i = 0; i < e->n_ttls; i++) {
		uint8_t *ttl = out + ttl_at(e, i);

		put32(ttl, stale ? stale_ttl : (uint32_t)ns_get32(ttl) - age_s);
	}
	return len;
}

/* Is this the caller who has to ask again, so that the next one finds the answer fresh? */
static bool wants_refresh(const struct kb_cache *cache, const struct kb_cache_entry *e,
			  const struct kb_ask *ask, uint64_t now_ms)
{
	const struct kb_cache_config *c = &cache->config;
	uint64_t left = e->expires_ms - now_ms, life = e->expires_ms - e->stored_ms;

	return c->prefetch_hits && (e->offered || e->hits >= c->prefetch_hits) && ask->rd &&
	       !e->failure && left * 100 <= life * c->prefetch_percent && now_ms >= e->refresh_ms &&
	       now_ms >= e->failed_ms;
}

/* From when on an answer is asked for again. */
static uint64_t refresh_from(const struct kb_cache_config *c, const struct kb_cache_entry *e)
{
	uint64_t life = e->expires_ms - e->stored_ms;

	return c->prefetch_hits ? e->expires_ms - life * c->prefetch_percent / 100 : e->expires_ms;
}

static void offer(const struct kb_cache *cache, struct kb_cache_entry *e, uint64_t now_ms)
{
	const struct kb_relay *r = &e->relay;
	struct kb_pcache_offer o = {
		.question = kb_cache_msg(e) + KB_DNS_HDR,
		.question_len = e->question_len,
		.dnssec_ok = e->flags & KB_CACHE_FLAG_DO,
		.cd = e->flags & KB_CACHE_FLAG_CD,
		.flags2 = kb_relay_flags2(r),
		.flags3 = kb_relay_flags3(r, true),
		.an = r->an,
		.ns = r->ns,
		.ar = r->ar,
		.msg = kb_cache_msg(e),
		.msg_len = r->end,
		.ttls = (const uint16_t *)(const void *)e->data,
		.n_ttls = e->n_ttls,
		.stored_ms = e->stored_ms,
		.refresh_ms = refresh_from(&cache->config, e),
		.expires_ms = e->expires_ms,
	};

	if (!cache->config.offer || e->failure || now_ms < e->offer_ms)
		return;
	e->offered = true;
	e->offer_ms = now_ms + OFFER_GAP_MS;
	cache->config.offer(cache->config.offer_arg, &o);
}

/* Was it asked by what is in force? With the shard's lock held. */
static bool is_of_now(const struct kb_cache *cache, const struct kb_ask *ask)
{
	return ask->era == atomic_load(&cache->era);
}

static enum kb_cache_found classify(const struct kb_cache *cache, const struct kb_cache_entry *e,
				    const struct kb_ask *ask, uint64_t now_ms)
{
	if (now_ms < e->expires_ms)
		return wants_refresh(cache, e, ask, now_ms) ? KB_CACHE_REFRESH : KB_CACHE_HIT;
	if (kb_cache_is_usable_stale(cache, e, now_ms) && now_ms < e->failed_ms)
		return KB_CACHE_STALE;
	return KB_CACHE_MISS;
}

static void count_found(struct kb_cache_shard *s, const struct kb_cache_entry *e,
			enum kb_cache_found found)
{
	s->stats.requests++;
	if (found == KB_CACHE_MISS) {
		s->stats.misses++;
		return;
	}
	++*(e->denial ? &s->stats.hits_denial : &s->stats.hits_success);
	s->stats.prefetch += found == KB_CACHE_REFRESH;
	s->stats.served_stale += found == KB_CACHE_STALE;
}

size_t kb_cache_get(struct kb_cache *cache, const struct kb_ask *ask, uint64_t now_ms,
		    uint16_t udp_max, uint8_t *out, size_t cap, enum kb_cache_found *ret_found)
{
	enum kb_cache_found found = KB_CACHE_MISS;
	struct kb_cache_shard *s;
	struct kb_cache_entry *e;
	struct kb_cache_key k;
	size_t len = 0;

	kb_cache_key_init(cache, ask, &k);
	s = kb_cache_shard_of(cache, k.hash);
	pthread_mutex_lock(&s->lock);
	e = kb_cache_find(s, &k);
	if (e)
		found = classify(cache, e, ask, now_ms);
	count_found(s, e, found);
	if (found != KB_CACHE_MISS) {
		e->visited = true;
		if (e->hits < UINT16_MAX)
			e->hits++;
		if (found == KB_CACHE_REFRESH)
			e->refresh_ms = now_ms + REFRESH_GAP_MS;
		len = answer(e, ask, now_ms, udp_max, out, cap);
		/* The packet path does not know what rules make of names. */
		if (found == KB_CACHE_HIT && !ask->rewritten && is_of_now(cache, ask))
			offer(cache, e, now_ms);
	} else if (e && kb_cache_is_dead(cache, e, now_ms)) {
		kb_cache_entry_remove(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	*ret_found = found;
	return len;
}

size_t kb_cache_get_stale(struct kb_cache *cache, const struct kb_ask *ask, uint64_t now_ms,
			  uint16_t udp_max, uint8_t *out, size_t cap)
{
	struct kb_cache_shard *s;
	struct kb_cache_entry *e;
	struct kb_cache_key k;
	size_t len = 0;

	kb_cache_key_init(cache, ask, &k);
	s = kb_cache_shard_of(cache, k.hash);
	pthread_mutex_lock(&s->lock);
	e = kb_cache_find(s, &k);
	if (e && kb_cache_is_usable_stale(cache, e, now_ms)) {
		e->visited = true;
		s->stats.served_stale += now_ms >= e->expires_ms;
		len = answer(e, ask, now_ms, udp_max, out, cap);
	}
	pthread_mutex_unlock(&s->lock);
	return len;
}

/* --- put -------------------------------------------------------------------------------- */

static uint32_t clamp(uint32_t v, uint32_t min, uint32_t max)
{
	return v < min ? min : v > max ? max : v;
}

/* What a record's TTL is here: within the bounds of its kind of message, and in the authority
 * section of a negative reply no longer than the denial itself (RFC 2308 section 5). */
static uint32_t record_ttl(const struct kb_cache_config *c, const struct kb_message *m,
			   unsigned int i, uint32_t ttl)
{
	uint32_t negative = clamp(m->negative_ttl, c->negative_min_s, c->negative_max_s);

	if (m->kind == KB_MESSAGE_ANSWER || i < m->an)
		return clamp(ttl, c->ttl_min_s, c->ttl_max_s);
	return clamp(ttl, c->negative_min_s, negative);
}

/* Seconds for which its signatures are good still (RFC 4035 section 5.3.3); UINT32_MAX without. */
static uint32_t signed_left(const struct kb_message *m)
{
	int32_t left;

	if (!m->is_signed)
		return UINT32_MAX;
	left = (int32_t)(m->signed_until - (uint32_t)time(NULL));
	return left > 0 ? (uint32_t)left : 0;
}

/* Writes the TTLs that count here, at most `max`, into the entry's message, and their places in
 * front of it. Returns the smallest. */
static uint32_t set_ttls(const struct kb_cache_config *c, struct kb_cache_entry *e,
			 const struct kb_message *m, uint32_t max)
{
	uint32_t life = UINT32_MAX;

	for (unsigned int i = 0; i < e->n_ttls; i++) {
		uint8_t *p = kb_cache_msg(e) + m->ttl_at[i];
		uint32_t ttl = record_ttl(c, m, i, (uint32_t)ns_get32(p));

		if (ttl > max)
			ttl = max;
		put32(p, ttl);
		kb_store16(e->data + i * sizeof(uint16_t), m->ttl_at[i]);
		if (ttl < life)
			life = ttl;
	}
	return life;
}

/* Takes the entry over, in place of one with the same key. One that has no life at all still makes
 * an end of its predecessor. */
static void keep(struct kb_cache *cache, const struct kb_cache_key *k, struct kb_cache_entry *e,
		 uint64_t now_ms)
{
	struct kb_cache_shard *s = kb_cache_shard_of(cache, k->hash);
	struct kb_cache_entry *old;
	bool kept = false, refreshed = false;

	memcpy(kb_cache_msg(e) + KB_DNS_HDR, k->question, e->question_len);
	pthread_mutex_lock(&s->lock);
	old = is_of_now(cache, k->ask) ? kb_cache_find(s, k) : NULL;
	if (old) {
		e->visited = old->visited;
		refreshed = old->offered && now_ms < old->expires_ms;
		kb_cache_entry_remove(s, old);
	}
	if (e->expires_ms > e->stored_ms && is_of_now(cache, k->ask))
		kept = kb_cache_entry_add(cache, s, e, now_ms);
	else
		s->stats.drops++;
	if (kept && refreshed)
		offer(cache, e, now_ms);
	pthread_mutex_unlock(&s->lock);
	if (!kept)
		free(e);
}

static void drop(struct kb_cache *cache, const struct kb_cache_key *k)
{
	struct kb_cache_shard *s = kb_cache_shard_of(cache, k->hash);

	pthread_mutex_lock(&s->lock);
	s->stats.drops++;
	pthread_mutex_unlock(&s->lock);
}

/* The cache's bounds, with the upper ones lowered. */
static struct kb_cache_config limited(const struct kb_cache *cache,
				      const struct kb_cache_limits *limits)
{
	struct kb_cache_config c = cache->config;

	if (limits && limits->ttl_max_s < c.ttl_max_s)
		c.ttl_max_s = limits->ttl_max_s;
	if (limits && limits->negative_max_s < c.negative_max_s)
		c.negative_max_s = limits->negative_max_s;
	if (c.ttl_min_s > c.ttl_max_s)
		c.ttl_min_s = c.ttl_max_s;
	if (c.negative_min_s > c.negative_max_s)
		c.negative_min_s = c.negative_max_s;
	return c;
}

void kb_cache_put(struct kb_cache *cache, const struct kb_ask *ask,
		  const struct kb_cache_limits *limits, const uint8_t *msg,
		  const struct kb_message *m, uint64_t now_ms)
{
	struct kb_cache_config config = limited(cache, limits);
	struct kb_cache_entry *e;
	struct kb_cache_key k;
	uint32_t life, left = signed_left(m);

	kb_cache_key_init(cache, ask, &k);
	if (!(m->flags2 & KB_RD) || !ask->rd || m->kind == KB_MESSAGE_OTHER ||
	    m->end > KB_CACHE_MESSAGE_MAX ||
	    !kb_message_is_for(msg, m, ask->question, ask->len, false)) {
		drop(cache, &k);
		return;
	}
	if (m->kind == KB_MESSAGE_FAILURE) {
		kb_cache_put_failure(cache, ask, KB_RCODE_SERVFAIL, now_ms);
		return;
	}
	e = kb_cache_entry_new(&k, (unsigned int)m->an + m->ns + m->ar, m->end);
	if (!e) {
		drop(cache, &k);
		return;
	}
	memcpy(kb_cache_msg(e), msg, m->end);
	life = set_ttls(&config, e, m, left);
	e->denial = m->kind != KB_MESSAGE_ANSWER;
	e->relay = kb_relay_of(m);
	e->stored_ms = now_ms;
	e->expires_ms = now_ms + life * 1000ULL;
	e->signed_ms = m->is_signed ? now_ms + left * 1000ULL : UINT64_MAX;
	keep(cache, &k, e, now_ms);
}

void kb_cache_put_failure(struct kb_cache *cache, const struct kb_ask *ask, uint8_t rcode,
			  uint64_t now_ms)
{
	uint64_t until_ms = now_ms + cache->config.failure_s * 1000ULL;
	struct kb_cache_shard *s;
	struct kb_cache_entry *e, *old;
	struct kb_cache_key k;
	bool kept = false;

	kb_cache_key_init(cache, ask, &k);
	s = kb_cache_shard_of(cache, k.hash);
	e = kb_cache_entry_new(&k, 0, KB_DNS_HDR + (size_t)ask->len);
	if (e) {
		memset(kb_cache_msg(e), 0, KB_DNS_HDR);
		memcpy(kb_cache_msg(e) + KB_DNS_HDR, k.question, ask->len);
		e->denial = e->failure = true;
		e->relay.rcode = rcode;
		e->stored_ms = now_ms;
		e->expires_ms = until_ms;
	}
	pthread_mutex_lock(&s->lock);
	old = is_of_now(cache, ask) ? kb_cache_find(s, &k) : NULL;
	if (old && (now_ms < old->expires_ms || kb_cache_is_usable_stale(cache, old, now_ms))) {
		old->failed_ms = until_ms;
	} else if (e && is_of_now(cache, ask)) {
		if (old)
			kb_cache_entry_remove(s, old);
		kept = kb_cache_entry_add(cache, s, e, now_ms);
	} else {
		s->stats.drops++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!kept)
		free(e);
}

/* --- the whole ---------------------------------------------------------------------------- */

static bool config_ok(const struct kb_cache_config *c)
{
	return c->bytes >= KB_CACHE_BYTES_MIN && c->ttl_max_s && c->ttl_min_s <= c->ttl_max_s &&
	       c->negative_max_s && c->negative_min_s <= c->negative_max_s && c->failure_s &&
	       c->failure_s <= FAILURE_MAX_S && c->prefetch_percent <= 100;
}

int kb_cache_new(const struct kb_cache_config *config, struct kb_cache **ret_cache)
{
	struct kb_cache *cache;
	size_t n, size;
	int r;

	if (!config_ok(config))
		return -EINVAL;
	n = kb_cache_parts(config->bytes, SHARD_BYTES);
	if (n > SHARDS_MAX)
		n = SHARDS_MAX;
	size = sizeof(*cache) + n * sizeof(struct kb_cache_shard);
	cache = aligned_alloc(_Alignof(struct kb_cache), size);
	if (!cache)
		return -ENOMEM;
	memset(cache, 0, size);
	cache->config = *config;
	cache->shards_mask = n - 1;
	if (getrandom(&cache->key, sizeof(cache->key), 0) != (ssize_t)sizeof(cache->key) ||
	    getrandom(&cache->meta_key, sizeof(cache->meta_key), 0) !=
		    (ssize_t)sizeof(cache->meta_key)) {
		r = -EIO;
		goto err;
	}
	for (size_t i = 0; i < n; i++) {
		r = kb_cache_shard_init(&cache->shard[i], (config->bytes - size) / n);
		if (r < 0)
			goto err;
	}
	*ret_cache = cache;
	return 0;
err:
	kb_cache_free(cache);
	return r;
}

unsigned int kb_cache_era(const struct kb_cache *cache)
{
	return atomic_load(&cache->era);
}

void kb_cache_clear(struct kb_cache *cache)
{
	/* First: who holds a shard's lock and finds the era of before comes before its clearing. */
	atomic_fetch_add(&cache->era, 1);
	for (uint64_t i = 0; i <= cache->shards_mask; i++) {
		struct kb_cache_shard *s = &cache->shard[i];

		pthread_mutex_lock(&s->lock);
		kb_cache_shard_clear(s);
		pthread_mutex_unlock(&s->lock);
	}
}

void kb_cache_free(struct kb_cache *cache)
{
	if (!cache)
		return;
	for (uint64_t i = 0; i <= cache->shards_mask; i++)
		kb_cache_shard_fini(&cache->shard[i]);
	free(cache);
}

void kb_cache_stats(struct kb_cache *cache, struct kb_cache_stats *ret_stats)
{
	uint64_t *sum = (uint64_t *)ret_stats;

	memset(ret_stats, 0, sizeof(*ret_stats));
	ret_stats->bytes = sizeof(*cache);
	for (uint64_t i = 0; i <= cache->shards_mask; i++) {
		struct kb_cache_shard *s = &cache->shard[i];
		const uint64_t *one = (const uint64_t *)&s->stats;

		pthread_mutex_lock(&s->lock);
		for (size_t k = 0; k < sizeof(s->stats) / sizeof(uint64_t); k++)
			sum[k] += one[k];
		pthread_mutex_unlock(&s->lock);
		ret_stats->bytes += sizeof(*s) + (s->mask + 1) * sizeof(struct kb_cache_entry *);
	}
}
