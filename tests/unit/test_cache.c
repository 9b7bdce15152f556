/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder's cache. Time is an argument everywhere, so nothing here waits. The threads'
 * test is meant for sanitizers: `make SAN=thread B=build/tsan build/tsan/tests/unit/test_cache`.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/nameser.h>
#include <cmocka.h>

#include "control/forward/cache.h"
#include "control/forward/message.h"
#include "control/pcache/pcache.h"
#include "dataplane/core/dns.h"
#include "tests/unit/dns_build.h"

#define S    1000ULL
#define T0   (1000 * S)
#define AD   0x20
#define NAME "www.example.org"

static const struct kb_cache_config defaults = KB_CACHE_DEFAULTS;
static struct kb_cache *cache;
static struct dns_build d;

/* The reply that was got last. */
static uint8_t out[65535];
static size_t out_len;
static enum kb_cache_found found;
static struct kb_message m;

static void start_with(const struct kb_cache_config *config)
{
	kb_cache_free(cache);
	cache = NULL;
	assert_int_equal(kb_cache_new(config, &cache), 0);
}

static int setup(void **state)
{
	(void)state;
	start_with(&defaults);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kb_cache_free(cache);
	cache = NULL;
	return 0;
}

static struct kb_cache_stats stats(void)
{
	struct kb_cache_stats s;

	kb_cache_stats(cache, &s);
	return s;
}

static void check_reply(const struct kb_ask *ask)
{
	assert_int_equal(kb_message_read(out, out_len, &m), 0);
	assert_true(kb_message_is_for(out, &m, ask->question, ask->len, true));
	assert_memory_equal(out, ask->id, 2);
}

static enum kb_cache_found get(const struct kb_ask *ask, uint64_t now_ms)
{
	out_len = kb_cache_get(cache, ask, now_ms, 1232, out, sizeof(out), &found);
	if (found == KB_CACHE_MISS)
		assert_int_equal(out_len, 0);
	else
		check_reply(ask);
	return found;
}

static bool get_stale(const struct kb_ask *ask, uint64_t now_ms)
{
	out_len = kb_cache_get_stale(cache, ask, now_ms, 1232, out, sizeof(out));
	if (out_len)
		check_reply(ask);
	return out_len != 0;
}

static uint32_t ttl(unsigned int i)
{
	assert_true(i < (unsigned int)m.an + m.ns + m.ar);
	return (uint32_t)ns_get32(out + m.ttl_at[i]);
}

static void put(const struct kb_ask *ask, uint64_t now_ms)
{
	dns_keep(cache, ask, &d, now_ms);
}

/* Builds an A record with `value` as its address. */
static void build_a(const char *name, uint32_t ttl_s, uint32_t value)
{
	dns_begin(&d, name, KB_TYPE_A, 0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_A, ttl_s, &value, 4);
}

static void put_a(const char *name, uint32_t ttl_s, uint32_t value, uint64_t now_ms)
{
	struct kb_ask ask = dns_ask(name, KB_TYPE_A);

	build_a(name, ttl_s, value);
	put(&ask, now_ms);
}

static uint32_t value_of(void)
{
	uint32_t v;

	memcpy(&v, out + m.ttl_at[0] + 6, 4);
	return v;
}

static void hit(void **state)
{
	struct kb_ask ask = dns_ask("wWw.eXample.org", KB_TYPE_A);
	struct kb_cache_stats s;

	(void)state;
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	put_a(NAME, 300, 7, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_HIT);
	assert_int_equal(ttl(0), 300);
	assert_int_equal(value_of(), 7);
	assert_int_equal(out[2], KB_QR | KB_RD);
	assert_int_equal(out[3], 0x80);
	ask.rd = false;
	ask.id[0] = 0x99;
	get(&ask, T0 + 999);
	assert_int_equal(ttl(0), 300);
	assert_int_equal(out[2], KB_QR);
	get(&ask, T0 + 1 * S);
	assert_int_equal(ttl(0), 299);
	assert_int_equal(get(&ask, T0 + 300 * S - 1), KB_CACHE_HIT);
	assert_int_equal(ttl(0), 1);
	assert_int_equal(get(&ask, T0 + 300 * S), KB_CACHE_MISS);
	/* A clock that was read before another thread's put. */
	put_a(NAME, 300, 8, T0);
	assert_int_equal(get(&ask, T0 - 1 * S), KB_CACHE_HIT);
	assert_int_equal(ttl(0), 300);
	s = stats();
	assert_int_equal(s.requests, 7);
	assert_int_equal(s.hits_success, 5);
	assert_int_equal(s.misses, 2);
	assert_int_equal(s.insertions, 2);
	assert_int_equal(s.entries_success, 1);
	kb_cache_clear(cache);
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	assert_int_equal(stats().entries_success, 0);
}

static void keys_apart(void **state)
{
	struct kb_ask asks[] = {
		dns_ask(NAME, 'A'),
		dns_ask(NAME, 'a'),
		dns_ask("ww.example.org", 'A'),
		dns_ask("", 'A'),
		dns_ask("www.example.orgg", 'A'),
		dns_ask(NAME, 'A'),
		dns_ask(NAME, 'A'),
		dns_ask(NAME, 'A'),
		dns_ask(NAME, 'A'),
	};
	const size_t n = sizeof(asks) / sizeof(asks[0]);

	(void)state;
	asks[5].dnssec_ok = asks[5].has_opt = true;
	asks[6].cd = true;
	asks[7].dnssec_ok = asks[7].has_opt = asks[7].cd = true;
	asks[8].question[asks[8].len - 1] = 3;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++)
			assert_int_equal(get(&asks[k], T0), k < i ? KB_CACHE_HIT : KB_CACHE_MISS);
		dns_begin(&d, "", 0, 0);
		memcpy(d.b + KB_DNS_HDR, asks[i].question, asks[i].len);
		d.len = KB_DNS_HDR + (size_t)asks[i].len;
		dns_rr(&d, DNS_ANSWER, NULL, (uint16_t)ns_get16(asks[i].question + asks[i].len - 4),
		       60, &i, 4);
		d.b[d.len - 4 - 7] = asks[i].question[asks[i].len - 1];
		put(&asks[i], T0);
	}
	for (uint32_t i = 0; i < n; i++) {
		get(&asks[i], T0);
		assert_int_equal(value_of(), i);
	}
}

static void caps(void **state)
{
	struct kb_cache_config config = defaults;
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	config.ttl_min_s = 5;
	config.ttl_max_s = 100;
	config.negative_min_s = 3;
	config.negative_max_s = 50;
	start_with(&config);
	put_a(NAME, UINT32_MAX, 1, T0);
	get(&ask, T0);
	assert_int_equal(ttl(0), 100);
	assert_int_equal(get(&ask, T0 + 100 * S), KB_CACHE_MISS);
	put_a(NAME, 0, 1, T0);
	get(&ask, T0 + 4 * S);
	assert_int_equal(ttl(0), 1);
	assert_int_equal(get(&ask, T0 + 5 * S), KB_CACHE_MISS);
	/* The smallest one counts, each is shown. */
	build_a(NAME, 60, 1);
	dns_rr_name(&d, DNS_AUTHORITY, "example.org", KB_TYPE_NS, 9, "ns.example.org");
	put(&ask, T0);
	get(&ask, T0 + 2 * S);
	assert_int_equal(ttl(0), 58);
	assert_int_equal(ttl(1), 7);
	assert_int_equal(get(&ask, T0 + 9 * S), KB_CACHE_MISS);
	dns_begin(&d, NAME, KB_TYPE_A, 3);
	dns_soa(&d, "org", 900, 900);
	put(&ask, T0);
	get(&ask, T0);
	assert_int_equal(ttl(0), 50);
	assert_int_equal(get(&ask, T0 + 50 * S), KB_CACHE_MISS);
	dns_begin(&d, NAME, KB_TYPE_A, 3);
	dns_soa(&d, "org", 900, 0);
	put(&ask, T0);
	get(&ask, T0);
	assert_int_equal(ttl(0), 3);
}

/* Of a name's own bounds the lower one counts; 0 keeps nothing. */
static void limits_of_a_name(void **state)
{
	static const struct {
		struct kb_cache_limits limits;
		uint32_t answer, denial; /* TTLs given at once; 0: a miss */
	} rows[] = {
		{{30, 20}, 30, 20}, {{5000, 20}, 3600, 20},	      {{0, 20}, 0, 20},
		{{30, 0}, 30, 0},   {KB_CACHE_NO_LIMITS, 3600, 1800},
	};
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (int denial = 0; denial < 2; denial++) {
			uint32_t want = denial ? rows[i].denial : rows[i].answer;
			struct kb_message reply;

			if (denial) {
				dns_begin(&d, NAME, KB_TYPE_A, KB_RCODE_NXDOMAIN);
				dns_soa(&d, "example.org", 86400, 86400);
			} else {
				build_a(NAME, 86400, 7);
			}
			kb_cache_clear(cache);
			ask.era = kb_cache_era(cache);
			assert_int_equal(kb_message_read(d.b, d.len, &reply), 0);
			kb_cache_put(cache, &ask, &rows[i].limits, d.b, &reply, T0);
			assert_int_equal(get(&ask, T0), want ? KB_CACHE_HIT : KB_CACHE_MISS);
			if (want)
				assert_int_equal(ttl(0), want);
		}
	}
}

static void denials(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	dns_begin(&d, NAME, KB_TYPE_A, 3);
	dns_soa(&d, "org", 900, 30);
	dns_rr(&d, DNS_AUTHORITY, "w.org", 47, 800, "nsec", 4);
	put(&ask, T0);
	assert_int_equal(get(&ask, T0 + 10 * S), KB_CACHE_HIT);
	assert_int_equal(m.kind, KB_MESSAGE_NXDOMAIN);
	assert_int_equal(ttl(0), 20);
	assert_int_equal(ttl(1), 20);
	assert_int_equal(get(&ask, T0 + 30 * S), KB_CACHE_MISS);
	dns_begin(&d, NAME, KB_TYPE_A, 0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 20, "x.org");
	dns_soa(&d, "org", 25, 900);
	put(&ask, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_HIT);
	assert_int_equal(m.kind, KB_MESSAGE_NODATA);
	assert_int_equal(ttl(0), 20);
	assert_int_equal(ttl(1), 25);
	assert_int_equal(get(&ask, T0 + 20 * S), KB_CACHE_MISS);
	assert_int_equal(stats().hits_denial, 2);
	assert_int_equal(stats().entries_denial, 1);
	assert_int_equal(stats().entries_success, 0);
}

static void not_kept(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A), other = dns_ask("x.org", KB_TYPE_A);

	(void)state;
	dns_begin(&d, NAME, KB_TYPE_A, 0);
	put(&ask, T0); /* nothing in it */
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	build_a(NAME, 300, 1);
	put(&other, T0); /* the answer to another question */
	assert_int_equal(get(&other, T0), KB_CACHE_MISS);
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	d.b[d.len++] = 0;
	put(&ask, T0); /* garbage */
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	d.len--;
	d.b[2] &= (uint8_t)~KB_RD;
	put(&ask, T0); /* what an upstream happens to know */
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	d.b[2] |= KB_RD;
	ask.rd = false;
	put(&ask, T0);
	ask.rd = true;
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	assert_int_equal(stats().drops, 5);
	put(&ask, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_HIT);
	/* A TTL of 0 ends what was there, for stale answers too. */
	put_a(NAME, 0, 1, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	assert_false(get_stale(&ask, T0));
	assert_int_equal(stats().drops, 6);
	/* A larger one than is kept. */
	dns_begin(&d, NAME, KB_TYPE_TXT, 0);
	ask = dns_ask(NAME, KB_TYPE_TXT);
	ask.limit = UINT16_MAX;
	for (int i = 0; i < 3; i++)
		dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_TXT, 60, out, 5000);
	put(&ask, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_HIT);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_TXT, 60, out, 5000);
	put(&ask, T0 + 1);
	assert_int_equal(stats().drops, 7);
}

static void failures(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	kb_cache_put_failure(cache, &ask, KB_RCODE_REFUSED, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_HIT);
	assert_int_equal(m.rcode, KB_RCODE_REFUSED);
	dns_begin(&d, NAME, KB_TYPE_A, KB_RCODE_SERVFAIL);
	put(&ask, T0);
	/* The first one is in force until it ends. */
	assert_int_equal(get(&ask, T0 + 4999), KB_CACHE_HIT);
	assert_int_equal(m.rcode, KB_RCODE_REFUSED);
	assert_int_equal(get(&ask, T0 + 5 * S), KB_CACHE_MISS);
	assert_false(get_stale(&ask, T0 + 5 * S)); /* there are no stale failures */
	put(&ask, T0 + 5 * S);
	get(&ask, T0 + 5 * S);
	assert_int_equal(m.rcode, KB_RCODE_SERVFAIL);
	/* An answer ends a failure, a failure no answer. */
	put_a(NAME, 300, 1, T0 + 6 * S);
	dns_begin(&d, NAME, KB_TYPE_A, KB_RCODE_SERVFAIL);
	put(&ask, T0 + 7 * S);
	kb_cache_put_failure(cache, &ask, KB_RCODE_REFUSED, T0 + 7 * S);
	assert_int_equal(get(&ask, T0 + 7 * S), KB_CACHE_HIT);
	assert_int_equal(m.rcode, 0);
	assert_int_equal(stats().entries_denial, 0);
}

static void stale(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);
	struct kb_cache_config config = defaults;

	(void)state;
	ask.has_opt = ask.dnssec_ok = true;
	build_a(NAME, 300, 1);
	d.b[3] |= AD;
	put(&ask, T0);
	get(&ask, T0);
	assert_int_equal(out[3] & AD, AD);
	assert_true(get_stale(&ask, T0 + 299 * S));
	assert_int_equal(ttl(0), 1);
	assert_int_equal(stats().served_stale, 0); /* it was not stale */
	assert_int_equal(get(&ask, T0 + 300 * S), KB_CACHE_MISS);
	assert_true(get_stale(&ask, T0 + 300 * S));
	assert_int_equal(ttl(0), KB_CACHE_STALE_TTL_S);
	assert_int_equal(out[3] & AD, 0);
	/* Once upstreams have failed, at once; after failure_s they get another chance. */
	kb_cache_put_failure(cache, &ask, KB_RCODE_SERVFAIL, T0 + 301 * S);
	assert_int_equal(get(&ask, T0 + 306 * S - 1), KB_CACHE_STALE);
	assert_int_equal(ttl(0), KB_CACHE_STALE_TTL_S);
	assert_int_equal(get(&ask, T0 + 306 * S), KB_CACHE_MISS);
	assert_int_equal(stats().served_stale, 2);
	assert_true(get_stale(&ask, T0 + (300 + 86400) * S - 1));
	assert_false(get_stale(&ask, T0 + (300 + 86400) * S));
	assert_int_equal(stats().entries_success, 1);
	assert_int_equal(get(&ask, T0 + (300 + 86400) * S), KB_CACHE_MISS);
	assert_int_equal(stats().entries_success, 0); /* it is gone then */

	config.stale_max_s = 0;
	start_with(&config);
	put(&ask, T0);
	assert_false(get_stale(&ask, T0 + 300 * S));
	kb_cache_put_failure(cache, &ask, KB_RCODE_SERVFAIL, T0 + 300 * S);
	assert_int_equal(get(&ask, T0 + 300 * S), KB_CACHE_HIT);
	assert_int_equal(m.rcode, KB_RCODE_SERVFAIL);
}

/* An answer that is signed until `left` seconds from now. */
static void put_signed(const struct kb_ask *ask, int left, uint64_t now_ms)
{
	build_a(NAME, 300, 1);
	dns_rrsig(&d, 300, (uint32_t)time(NULL) + (uint32_t)left);
	put(ask, now_ms);
}

/* Signatures bound what is fresh and what is stale. Real seconds may pass meanwhile: up to 20. */
static void signatures(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	put_signed(&ask, 100, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_HIT);
	assert_in_range(ttl(0), 80, 100);
	assert_in_range(ttl(1), 80, 100);
	assert_int_equal(get(&ask, T0 + 79 * S), KB_CACHE_HIT);
	assert_int_equal(get(&ask, T0 + 101 * S), KB_CACHE_MISS);
	put_signed(&ask, 100, T0);
	assert_false(get_stale(&ask, T0 + 101 * S));
	/* Stale while it is signed, and with no greater TTL. */
	put_signed(&ask, 1000, T0);
	assert_int_equal(get(&ask, T0 + 299 * S), KB_CACHE_HIT);
	assert_true(get_stale(&ask, T0 + 301 * S));
	assert_int_equal(ttl(0), KB_CACHE_STALE_TTL_S);
	assert_true(get_stale(&ask, T0 + 978 * S));
	assert_in_range(ttl(1), 1, 22);
	assert_false(get_stale(&ask, T0 + 1001 * S));
	/* Expired already. */
	start_with(&defaults);
	put_signed(&ask, -1, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	assert_int_equal(stats().drops, 1);
}

static void prefetch(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A), iterative = ask;
	struct kb_cache_config config = defaults;

	(void)state;
	iterative.rd = false;
	put_a(NAME, 300, 1, T0);
	/* Asked once in its life: not popular. */
	assert_int_equal(get(&ask, T0 + 290 * S), KB_CACHE_HIT);
	put_a(NAME, 300, 1, T0);
	get(&ask, T0);
	get(&ask, T0);
	assert_int_equal(get(&ask, T0 + 270 * S - 1), KB_CACHE_HIT);
	assert_int_equal(get(&iterative, T0 + 270 * S), KB_CACHE_HIT);
	assert_int_equal(get(&ask, T0 + 270 * S), KB_CACHE_REFRESH);
	assert_int_equal(ttl(0), 30);
	assert_int_equal(get(&ask, T0 + 275 * S - 1), KB_CACHE_HIT); /* one was told */
	assert_int_equal(get(&ask, T0 + 275 * S), KB_CACHE_REFRESH); /* nothing came */
	kb_cache_put_failure(cache, &ask, KB_RCODE_SERVFAIL, T0 + 278 * S);
	assert_int_equal(get(&ask, T0 + 283 * S - 1), KB_CACHE_HIT);
	assert_int_equal(get(&ask, T0 + 283 * S), KB_CACHE_REFRESH);
	put_a(NAME, 300, 2, T0 + 284 * S);
	assert_int_equal(get(&ask, T0 + 290 * S), KB_CACHE_HIT);
	assert_int_equal(ttl(0), 294);
	assert_int_equal(stats().prefetch, 3);
	config.prefetch_hits = 0;
	start_with(&config);
	put_a(NAME, 300, 1, T0);
	for (int i = 0; i < 9; i++)
		assert_int_equal(get(&ask, T0 + 290 * S), KB_CACHE_HIT);
}

static void sizes(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	dns_begin(&d, NAME, KB_TYPE_A, 0);
	for (int i = 0; i < 40; i++)
		dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_A, 60, &i, 4);
	dns_opt(&d, 4096, 0);
	put(&ask, T0);
	get(&ask, T0);
	assert_int_equal(out_len, d.len - 11);
	assert_int_equal(m.an, 40);
	assert_false(m.has_opt);
	ask.has_opt = true;
	get(&ask, T0);
	assert_int_equal(out_len, d.len);
	assert_true(m.has_opt);
	assert_int_equal(m.udp_size, 1232);
	ask.limit = (uint16_t)d.len;
	get(&ask, T0);
	assert_int_equal(out_len, d.len);
	ask.limit--;
	out_len = kb_cache_get(cache, &ask, T0, 1232, out, sizeof(out), &found);
	assert_int_equal(found, KB_CACHE_HIT);
	assert_int_equal(out_len, KB_DNS_HDR + ask.len + 11);
	assert_int_equal(out[2] & KB_TC, KB_TC);
	assert_int_equal(ns_get16(out + 6), 0);
}

static void bad_config(void **state)
{
	struct kb_cache_config bad[9];
	struct kb_cache *none = NULL;

	(void)state;
	for (size_t i = 0; i < 9; i++)
		bad[i] = defaults;
	bad[0].bytes = KB_CACHE_BYTES_MIN - 1;
	bad[1].ttl_max_s = 0;
	bad[2].ttl_min_s = bad[2].ttl_max_s + 1;
	bad[3].negative_max_s = 0;
	bad[4].negative_min_s = bad[4].negative_max_s + 1;
	bad[5].failure_s = 0;
	bad[6].failure_s = 301;
	bad[7].prefetch_percent = 101;
	bad[8].bytes = 0;
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(kb_cache_new(&bad[i], &none), -EINVAL);
	assert_null(none);
	kb_cache_free(NULL);
}

/* Bytes that the allocator has given out, in all arenas. */
static size_t heap_bytes(void)
{
	struct mallinfo2 i = mallinfo2();

	return i.uordblks + i.hblkhd;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_IS_GLIBC false
#else
#define HEAP_IS_GLIBC true
#endif

/* Chunks that glibc's per-thread lists hold back count as given out: 7 of each size. */
#define HEAP_SLACK (7 * 64 * (24 + 1032) / 2 + 4096)

static void memory_bound(void **state)
{
	static const size_t limits[] = {KB_CACHE_BYTES_MIN, 1 << 20, 8 << 20};
	static uint8_t data[8192];
	struct kb_cache_config config = defaults;
	char name[32];

	(void)state;
	kb_cache_free(cache);
	cache = NULL;
	srand(1);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		size_t before = heap_bytes(), put_bytes = 0, used;

		config.bytes = limits[i];
		start_with(&config);
		for (uint32_t k = 0; put_bytes < 4 * config.bytes; k++) {
			struct kb_ask ask;

			snprintf(name, sizeof(name), "n%u.example.org", k);
			ask = dns_ask(name, KB_TYPE_TXT);
			dns_begin(&d, name, KB_TYPE_TXT, 0);
			dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_TXT, 60, data,
			       (size_t)(rand() % (k % 16 ? 200 : 8192)));
			put(&ask, T0);
			put_bytes += d.len;
			assert_true(stats().bytes <= config.bytes);
			if (HEAP_IS_GLIBC && k % 64 == 0) {
				used = heap_bytes() - before;
				assert_true(used <= config.bytes + HEAP_SLACK);
				assert_true(used <= stats().bytes + HEAP_SLACK);
			}
		}
		/* It is also used: a bound kept by keeping nothing is none. */
		assert_true(stats().bytes > config.bytes / 2);
		assert_true(stats().evictions_success > 0);
		assert_int_equal(stats().entries_success + stats().evictions_success,
				 stats().insertions);
		kb_cache_free(cache);
		cache = NULL;
		if (HEAP_IS_GLIBC)
			assert_true(heap_bytes() <= before + HEAP_SLACK);
	}
}

/* Names that are asked again survive ten times the cache's size of names that are not. */
static void scan(void **state)
{
	struct kb_cache_config config = defaults;
	unsigned int survivors = 0;
	char name[32];

	(void)state;
	config.bytes = 1 << 20;
	start_with(&config);
	for (uint32_t k = 0; k < 200; k++) {
		snprintf(name, sizeof(name), "popular%u.example.org", k);
		put_a(name, 3600, k, T0);
	}
	for (uint32_t k = 0; k < 40000; k++) {
		struct kb_ask ask;

		snprintf(name, sizeof(name), "once%u.example.org", k);
		put_a(name, 3600, k, T0);
		snprintf(name, sizeof(name), "popular%u.example.org", k % 200);
		ask = dns_ask(name, KB_TYPE_A);
		get(&ask, T0);
	}
	for (uint32_t k = 0; k < 200; k++) {
		struct kb_ask ask;

		snprintf(name, sizeof(name), "popular%u.example.org", k);
		ask = dns_ask(name, KB_TYPE_A);
		survivors += get(&ask, T0) == KB_CACHE_HIT;
	}
	assert_true(stats().evictions_success > 30000);
	assert_int_equal(survivors, 200);
}

/* --- a plain map beside it ------------------------------------------------------------------ */

#define MODEL_NAMES 40
#define MODEL_KEYS  (MODEL_NAMES * 2 * 2) /* type, CD */

struct model {
	enum { NOTHING, ADDRESS, DENIAL, FAILURE } what;
	uint32_t ttl_s, value;
	uint64_t stored_ms, failed_ms;
};

static struct model model[MODEL_KEYS];

static struct kb_ask model_ask(unsigned int key)
{
	char name[32];
	struct kb_ask ask;

	snprintf(name, sizeof(name), rand() % 2 ? "host%u.example.org" : "HOST%u.Example.ORG",
		 key / 4);
	ask = dns_ask(name, key & 1 ? KB_TYPE_A : KB_TYPE_AAAA);
	ask.cd = key & 2;
	return ask;
}

static void model_put(unsigned int key, const struct kb_ask *ask, uint64_t now_ms)
{
	struct model *e = &model[key];
	uint32_t ttl_s = (uint32_t)rand() % 40, value = (uint32_t)rand();
	uint8_t addr[16] = {0};
	bool denial = rand() % 3 == 0;

	memcpy(addr, &value, 4);
	dns_begin(&d, "", 0, denial ? 3 : 0);
	memcpy(d.b + KB_DNS_HDR, ask->question, ask->len);
	d.len = KB_DNS_HDR + (size_t)ask->len;
	if (denial)
		dns_soa(&d, "org", 1000, ttl_s);
	else if (key & 1)
		dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_A, ttl_s, addr, 4);
	else
		dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_AAAA, ttl_s, addr, 16);
	put(ask, now_ms);
	*e = (struct model){.what = denial ? DENIAL : ADDRESS,
			    .ttl_s = ttl_s,
			    .value = value,
			    .stored_ms = now_ms};
	if (ttl_s == 0)
		e->what = NOTHING;
}

static bool model_fresh(const struct model *e, uint64_t now_ms)
{
	return e->what != NOTHING && now_ms < e->stored_ms + e->ttl_s * S;
}

static bool model_usable(const struct model *e, uint64_t now_ms, uint32_t stale_max_s)
{
	return model_fresh(e, now_ms) || (e->what != NOTHING && e->what != FAILURE &&
					  now_ms < e->stored_ms + (e->ttl_s + stale_max_s) * S);
}

static void model_fail(unsigned int key, const struct kb_ask *ask, uint64_t now_ms,
		       const struct kb_cache_config *config)
{
	struct model *e = &model[key];

	kb_cache_put_failure(cache, ask, KB_RCODE_SERVFAIL, now_ms);
	if (model_usable(e, now_ms, config->stale_max_s))
		e->failed_ms = now_ms + config->failure_s * S;
	else
		*e = (struct model){
			.what = FAILURE, .ttl_s = config->failure_s, .stored_ms = now_ms};
}

static void model_same(const struct model *e, uint64_t now_ms)
{
	bool fresh = model_fresh(e, now_ms);

	if (e->what == FAILURE) {
		assert_int_equal(m.rcode, KB_RCODE_SERVFAIL);
		return;
	}
	assert_int_equal(m.rcode, e->what == DENIAL ? 3 : 0);
	assert_int_equal(ttl(0),
			 fresh ? e->ttl_s - (now_ms - e->stored_ms) / S : KB_CACHE_STALE_TTL_S);
	if (e->what == ADDRESS)
		assert_int_equal(value_of(), e->value);
}

static void model_get(unsigned int key, const struct kb_ask *ask, uint64_t now_ms,
		      const struct kb_cache_config *config)
{
	const struct model *e = &model[key];
	bool fresh = model_fresh(e, now_ms), usable = model_usable(e, now_ms, config->stale_max_s);

	if (rand() % 4 == 0) {
		assert_int_equal(get_stale(ask, now_ms), usable && e->what != FAILURE);
		if (out_len)
			model_same(e, now_ms);
		return;
	}
	get(ask, now_ms);
	if (found == KB_CACHE_REFRESH)
		found = KB_CACHE_HIT;
	assert_int_equal(found, fresh				  ? KB_CACHE_HIT
				: usable && now_ms < e->failed_ms ? KB_CACHE_STALE
								  : KB_CACHE_MISS);
	if (found != KB_CACHE_MISS)
		model_same(e, now_ms);
}

static void as_model(void **state)
{
	struct kb_cache_config config = defaults;
	uint64_t now_ms = T0;
	unsigned int counts[3] = {0};

	(void)state;
	config.stale_max_s = 60;
	config.failure_s = 15;
	start_with(&config);
	memset(model, 0, sizeof(model));
	srand(7);
	for (int i = 0; i < 300000; i++) {
		unsigned int key = (unsigned int)rand() % MODEL_KEYS;
		struct kb_ask ask = model_ask(key);
		int what = rand() % 16;

		ask.era = kb_cache_era(cache);
		if (what < 3) {
			model_put(key, &ask, now_ms);
		} else if (what < 5) {
			model_fail(key, &ask, now_ms, &config);
		} else {
			found = KB_CACHE_MISS;
			model_get(key, &ask, now_ms, &config);
			counts[found == KB_CACHE_MISS ? 0 : found == KB_CACHE_HIT ? 1 : 2]++;
		}
		now_ms += (uint64_t)rand() % 120;
		if (i % 50000 == 49999) {
			kb_cache_clear(cache);
			memset(model, 0, sizeof(model));
		}
	}
	/* Nothing of it was rare. */
	for (int i = 0; i < 3; i++)
		assert_true(counts[i] > 5000);
	assert_int_equal(stats().evictions_success + stats().evictions_denial, 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* What the packet-path cache was offered last. */
static struct kb_pcache_offer offered;
static unsigned int offers;
static char offered_name[64];

static void on_offer(void *arg, const struct kb_pcache_offer *offer)
{
	assert_ptr_equal(arg, &offers);
	offered = *offer;
	snprintf(offered_name, sizeof(offered_name), "%s", (const char *)offer->question + 1);
	for (unsigned int i = 0; i < offer->n_ttls; i++)
		assert_in_range(offer->ttls[i], 12 + offer->question_len, offer->msg_len);
	offers++;
}

static void start_offering(void)
{
	struct kb_cache_config config = defaults;

	config.offer = on_offer;
	config.offer_arg = &offers;
	start_with(&config);
	offers = 0;
}

/* To the packet path goes what is asked for twice, and what takes the place of that in time. */
static void offer_twice(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A), upper = dns_ask("WWW.example.org", KB_TYPE_A);

	(void)state;
	start_offering();
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	put_a(NAME, 300, 7, T0);
	assert_int_equal(offers, 0);
	/* A rule's question is not the one that others ask by this name. */
	ask.rewritten = true;
	assert_int_equal(get(&ask, T0 + 9 * S), KB_CACHE_HIT);
	assert_int_equal(offers, 0);
	ask.rewritten = false;
	assert_int_equal(get(&upper, T0 + 10 * S), KB_CACHE_HIT);
	assert_int_equal(offers, 1);
	assert_string_equal(offered_name, "www\7example\3org");
	assert_int_equal(offered.stored_ms, T0);
	assert_int_equal(offered.refresh_ms, T0 + 270 * S);
	assert_int_equal(offered.expires_ms, T0 + 300 * S);
	assert_int_equal(offered.flags3, KB_RA);
	assert_int_equal(offered.an, 1);
	assert_false(offered.cd || offered.dnssec_ok);
	/* Not for each hit, but again: it may not have come so far. */
	assert_int_equal(get(&ask, T0 + 10 * S + 999), KB_CACHE_HIT);
	assert_int_equal(offers, 1);
	assert_int_equal(get(&ask, T0 + 11 * S), KB_CACHE_HIT);
	assert_int_equal(offers, 2);
	/* The packet path has given it all the while, and lets one through. */
	start_offering();
	put_a(NAME, 300, 7, T0);
	assert_int_equal(get(&ask, T0 + S), KB_CACHE_HIT);
	assert_int_equal(get(&ask, T0 + 271 * S), KB_CACHE_REFRESH);
	assert_int_equal(offers, 1);
	put_a(NAME, 300, 8, T0 + 272 * S);
	assert_int_equal(offers, 2);
	assert_int_equal(offered.stored_ms, T0 + 272 * S);
	/* And so on. */
	assert_int_equal(get(&ask, T0 + 545 * S), KB_CACHE_REFRESH);
	/* Nothing came in time: nobody has asked since. */
	put_a(NAME, 300, 9, T0 + 573 * S);
	assert_int_equal(offers, 2);
}

/* A thread that has not noticed yet why the cache was cleared neither keeps nor offers anything. */
static void offer_no_former_era(void **state)
{
	struct kb_ask former = dns_ask(NAME, KB_TYPE_A), ask = former;

	(void)state;
	start_offering();
	put_a(NAME, 300, 7, T0);
	former.era = kb_cache_era(cache);
	kb_cache_clear(cache);
	ask.era = kb_cache_era(cache);
	build_a(NAME, 300, 7);
	dns_keep(cache, &former, &d, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	assert_int_equal(stats().drops, 1);
	build_a(NAME, 300, 8);
	dns_keep(cache, &ask, &d, T0);
	build_a(NAME, 300, 7);
	dns_keep(cache, &former, &d, T0 + S);
	assert_int_equal(get(&former, T0 + 2 * S), KB_CACHE_HIT);
	assert_int_equal(offers, 0);
	assert_int_equal(get(&ask, T0 + 2 * S), KB_CACHE_HIT);
	assert_int_equal(offers, 1);
	assert_int_equal(offered.stored_ms, T0);
}

/* Nor does its failure hide what is asked for now. */
static void no_failure_of_former_era(void **state)
{
	struct kb_ask former = dns_ask(NAME, KB_TYPE_A), ask = former;

	(void)state;
	former.era = kb_cache_era(cache);
	kb_cache_clear(cache);
	ask.era = kb_cache_era(cache);
	kb_cache_put_failure(cache, &former, KB_RCODE_SERVFAIL, T0);
	assert_int_equal(get(&ask, T0), KB_CACHE_MISS);
	assert_int_equal(stats().drops, 1);
	build_a(NAME, 300, 7);
	dns_keep(cache, &ask, &d, T0);
	kb_cache_put_failure(cache, &former, KB_RCODE_SERVFAIL, T0 + 300 * S);
	assert_int_equal(get(&ask, T0 + 301 * S), KB_CACHE_MISS);
	kb_cache_put_failure(cache, &ask, KB_RCODE_SERVFAIL, T0 + 301 * S);
	assert_int_equal(get(&ask, T0 + 302 * S), KB_CACHE_STALE);
}

/* Failures are the forwarder's. */
static void offer_no_failure(void **state)
{
	struct kb_ask ask = dns_ask(NAME, KB_TYPE_A);

	(void)state;
	start_offering();
	kb_cache_put_failure(cache, &ask, KB_RCODE_SERVFAIL, T0);
	assert_int_equal(get(&ask, T0 + S), KB_CACHE_HIT);
	assert_int_equal(get(&ask, T0 + 2 * S), KB_CACHE_HIT);
	assert_int_equal(offers, 0);
}

#define THREADS	      4
#define THREAD_ROUNDS 60000
#define THREAD_NAMES  12000

struct thread {
	pthread_t id;
	unsigned int seed, hits, wrong;
};

/* Each name has one address, so that a foreign or torn reply shows. */
static void *thread_run(void *arg)
{
	struct thread *t = arg;
	static _Thread_local struct dns_build b;
	static _Thread_local uint8_t reply[1500];

	for (unsigned int i = 0; i < THREAD_ROUNDS; i++) {
		uint32_t n = (uint32_t)rand_r(&t->seed) % THREAD_NAMES, v = n * 2654435761U;
		uint64_t now_ms = T0 + i / 100 * S;
		enum kb_cache_found what;
		struct kb_message reread;
		struct kb_ask ask;
		char name[32];
		size_t len;

		n = n % 3 ? n % 50 : n; /* some are popular */
		v = n * 2654435761U;
		snprintf(name, sizeof(name), "n%u.example.org", n);
		ask = dns_ask(name, KB_TYPE_A);
		ask.era = kb_cache_era(cache);
		len = kb_cache_get(cache, &ask, now_ms, 1232, reply, sizeof(reply), &what);
		if (what == KB_CACHE_MISS || what == KB_CACHE_REFRESH) {
			dns_begin(&b, name, KB_TYPE_A, 0);
			dns_rr(&b, DNS_ANSWER, NULL, KB_TYPE_A, 1 + n % 60, &v, 4);
			dns_keep(cache, &ask, &b, now_ms);
		}
		if (i % 100 == 7)
			kb_cache_put_failure(cache, &ask, KB_RCODE_SERVFAIL, now_ms);
		if (i % 20000 == 19999)
			kb_cache_clear(cache);
		if (!len)
			continue;
		t->hits++;
		if (kb_message_read(reply, len, &reread) < 0 ||
		    (reread.kind != KB_MESSAGE_FAILURE &&
		     memcmp(reply + reread.ttl_at[0] + 6, &v, 4) != 0))
			t->wrong++;
	}
	return NULL;
}

static void threads(void **state)
{
	struct kb_cache_config config = defaults;
	struct thread t[THREADS];
	unsigned int hits = 0;

	(void)state;
	config.bytes = 512 << 10; /* two shards: they meet often, and evict */
	start_with(&config);
	for (unsigned int i = 0; i < THREADS; i++) {
		t[i] = (struct thread){.seed = i};
		assert_int_equal(pthread_create(&t[i].id, NULL, thread_run, &t[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(t[i].id, NULL);
		assert_int_equal(t[i].wrong, 0);
		hits += t[i].hits;
	}
	assert_true(hits > THREADS * THREAD_ROUNDS / 4);
	assert_true(stats().evictions_success > 1000);
	assert_true(stats().bytes <= config.bytes);
	assert_int_equal(stats().requests, THREADS * THREAD_ROUNDS);
	assert_int_equal(stats().hits_success + stats().hits_denial, hits);
}

#define CACHE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(hit),
		CACHE_TEST(keys_apart),
		CACHE_TEST(caps),
		CACHE_TEST(limits_of_a_name),
		CACHE_TEST(denials),
		CACHE_TEST(not_kept),
		CACHE_TEST(failures),
		CACHE_TEST(stale),
		CACHE_TEST(prefetch),
		CACHE_TEST(sizes),
		CACHE_TEST(bad_config),
		CACHE_TEST(scan),
		CACHE_TEST(as_model),
		CACHE_TEST(memory_bound),
		CACHE_TEST(threads),
		CACHE_TEST(offer_twice),
		CACHE_TEST(offer_no_failure),
		CACHE_TEST(offer_no_former_era),
		CACHE_TEST(no_failure_of_former_era),
		CACHE_TEST(signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
