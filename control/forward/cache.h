/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder's cache: replies of upstreams, for as long as they say.
 *
 * Key: question (name in lower case, type, class), DO and CD. Value: the message as it
 * came, without its OPT record, with the places of its TTLs; a hit is made into a reply by the same
 * code as a reply fresh from an upstream (relay.h), with the asker's own question bytes, ID and
 * flags, and what is left of every TTL.
 *
 * What is kept: message.h says which replies are worth it, and only those to queries with RD. A
 * positive reply lives for its smallest TTL, a negative one for the SOA's (RFC 2308), both within
 * the configured bounds; a TTL of 0 is not kept. Failures are kept too, briefly (RFC 9520), but
 * never in place of an answer.
 * Names of our own zones never come here: that is the caller's duty, and with it
 * kb_cache_clear when zones or upstreams change.
 *
 * Stale (RFC 8767): an expired answer is kept for up to stale_max_s. kb_cache_get misses it, so
 * that the caller asks; when that fails or takes too long, kb_cache_get_stale gives it, with TTL
 * 30 and without AD. What is signed is neither fresh nor stale when its first signature has
 * expired. After kb_cache_put_failure, kb_cache_get gives it at once for failure_s, so that
 * dead upstreams are not asked for each client.
 *
 * Threads: any function from any thread. Entries are spread over shards, each with a mutex that
 * is held for one look-up and one copy of a message. The hash is strongly universal
 * with a random key (dataplane/core/hash.h): nobody can aim at one chain.
 *
 * Bounded: all memory (entries as the allocator sees them, and the index) stays within
 * config.bytes, but for one message of each thread that is putting one; each shard has an
 * equal part. Memory once used by entries goes back to the allocator.
 *
 * The packet-path cache (control/pcache) is offered what is asked for a second time, so that names
 * that are asked once and never again cost it nothing; and at once what takes the place of
 * an answer that was offered and is still good. Since the packet path then answers in our place,
 * an answer that was offered counts as popular when a query for it comes here in the last part
 * of its life: the packet path has let it through for that (dataplane/core/pcache.h).
 *
 * Eviction is SIEVE (Zhang et al., NSDI 2024): a queue in order of arrival, one bit set by a hit, a
 * hand that goes from old to new, clears bits, and evicts the first entry without. A
 * hit moves nothing. Hits in percent, a million queries by Zipf's law over 100,000 names,
 * `once` being names that are never asked again (bench/cache_policy):
 *
 *	exponent  once  entries    LRU  CLOCK  SIEVE  S3-FIFO  this cache
 *	     0.8    0 %   3,000   30.7   31.8   39.9     41.1        39.7
 *	     0.8   30 %  10,000   27.8   28.8   36.4     37.4        36.4
 *	     1.0    0 %  10,000   73.6   74.4   77.6     77.8        77.6
 *	     1.0   30 %  10,000   46.4   47.3   52.5     53.1        52.4
 *	     1.0   30 %  30,000   53.1   53.9   56.8     56.7        56.8
 *
 * S3-FIFO's lead of a point at most is not worth its three queues and the ghosts' memory.
 */
#ifndef KB_FORWARD_CACHE_H
#define KB_FORWARD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config/upstreams.h"
#include "control/forward/relay.h"

struct kb_pcache_offer;

#define KB_CACHE_BYTES_MIN   (256 << 10)
#define KB_CACHE_MESSAGE_MAX 16384 /* larger ones are not kept */
#define KB_CACHE_STALE_TTL_S 30	   /* in stale answers, RFC 8767 section 4 */

struct kb_cache_config {
	size_t bytes;				 /* at least KB_CACHE_BYTES_MIN */
	uint32_t ttl_min_s, ttl_max_s;		 /* of positive answers; min 0: as it came */
	uint32_t negative_min_s, negative_max_s; /* of NODATA and NXDOMAIN */
	uint32_t failure_s;			 /* of SERVFAIL: 1 to 300, RFC 9520 section 3.2 */
	uint32_t stale_max_s;			 /* 0: no stale answers */
	/* Refresh a name that was asked this often since it came (0: never), when
	 * less than prefetch_percent of its life is left. */
	uint32_t prefetch_hits, prefetch_percent;
	/* NULL: there is no packet-path cache. Called under a lock, from any thread; must not call
	 * back. */
	void (*offer)(void *arg, const struct kb_pcache_offer *offer);
	void *offer_arg;
};

/* CoreDNS's upper bounds, no lower ones; RFC 8767 recommends a day to three. */
#define KB_CACHE_DEFAULTS                                                                    \
	{                                                                                    \
		.bytes = 8 << 20, .ttl_max_s = 3600, .negative_max_s = 1800, .failure_s = 5, \
		.stale_max_s = 86400, .prefetch_hits = 2, .prefetch_percent = 10,            \
	}

enum kb_cache_found {
	KB_CACHE_MISS,
	KB_CACHE_HIT,
	KB_CACHE_REFRESH, /* a hit, and this caller is to ask upstream meanwhile */
	KB_CACHE_STALE,	  /* expired; upstreams have failed a moment ago */
};

/* Counts, since rows of them are shown by offset; beside each the name of CoreDNS's metric. */
struct kb_cache_stats {
	uint64_t requests;	    /* cache_requests_total */
	uint64_t hits_success;	    /* cache_hits_total{type="success"} */
	uint64_t hits_denial;	    /* cache_hits_total{type="denial"}; failures too */
	uint64_t misses;	    /* cache_misses_total */
	uint64_t served_stale;	    /* cache_served_stale_total */
	uint64_t prefetch;	    /* cache_prefetch_total: KB_CACHE_REFRESH given */
	uint64_t drops;		    /* cache_drops_total: replies that were not kept */
	uint64_t insertions;	    /* kept, replacements included */
	uint64_t evictions_success; /* cache_evictions_total{type="success"} */
	uint64_t evictions_denial;  /* cache_evictions_total{type="denial"} */
	uint64_t entries_success;   /* cache_entries{type="success"}, now */
	uint64_t entries_denial;    /* cache_entries{type="denial"}, now */
	uint64_t bytes;		    /* now, index included */
};

struct kb_cache;

/* 0, -EINVAL for a config outside the bounds above, -ENOMEM, or -EIO without random numbers. */
int kb_cache_new(const struct kb_cache_config *config, struct kb_cache **ret_cache);
void kb_cache_free(struct kb_cache *cache); /* NULL is fine */

/*
 * Writes the reply to `ask` into `out` as kb_relay_reply does (`udp_max`, `cap`, TC when it does
 * not fit) and returns its length, or 0 for KB_CACHE_MISS. `now_ms` is of a monotonic clock, the
 * same for all calls. *ret_found is always set. KB_CACHE_REFRESH is given to one caller, and to the
 * next only if no reply was put within 5 s.
 */
size_t kb_cache_get(struct kb_cache *cache, const struct kb_ask *ask, uint64_t now_ms,
		    uint16_t udp_max, uint8_t *out, size_t cap, enum kb_cache_found *ret_found);
/* The answer, stale or not, for a question that kb_cache_get has missed. 0: there is none. */
size_t kb_cache_get_stale(struct kb_cache *cache, const struct kb_ask *ask, uint64_t now_ms,
			  uint16_t udp_max, uint8_t *out, size_t cap);

/* Keeps an upstream's reply to a query made from `ask`, as kb_message_read has read it, if it is
 * one to be kept; copied. `limits` are those of the name, NULL for none. */
void kb_cache_put(struct kb_cache *cache, const struct kb_ask *ask,
		  const struct kb_cache_limits *limits, const uint8_t *msg,
		  const struct kb_message *message, uint64_t now_ms);
/* Upstreams gave no answer to this question; clients were told `rcode`. */
void kb_cache_put_failure(struct kb_cache *cache, const struct kb_ask *ask, uint8_t rcode,
			  uint64_t now_ms);

/* Nothing of before is given any more. Nor is it kept or offered later, by a thread that has not
 * noticed yet: that is for questions of this era only (ask->era), so who has it clears after the
 * change that it is for, and threads read the era before what may change. */
void kb_cache_clear(struct kb_cache *cache);
unsigned int kb_cache_era(const struct kb_cache *cache);
void kb_cache_stats(struct kb_cache *cache, struct kb_cache_stats *ret_stats);

#endif
