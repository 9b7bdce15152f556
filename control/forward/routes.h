/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which upstreams are asked for which names: a default group, and one for each stub domain;
 * the longest domain that holds a name wins, and a name in a stub domain is never asked of
 * another group.
 *
 * Routes are built by one thread and never change once kb_forward_set_routes has them;
 * workers hold references. Upstreams are shared between the routes of before and after by
 * their address, transport and server name, so that what is known of their health outlives a
 * reload.
 */
#ifndef KB_FORWARD_ROUTES_H
#define KB_FORWARD_ROUTES_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config/forward_rules.h"

#define KB_UPSTREAMS_MAX 64		   /* in all */
#define KB_GROUP_MAX	 KB_STUB_ADDRS_MAX /* CoreDNS's forward takes as many */

/* CoreDNS's buckets: 0.25 ms to 8 s. */
#define KB_LATENCY_BUCKETS  16
#define KB_LATENCY_FIRST_US 250

union kb_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Fills it and returns its length. */
socklen_t kb_sockaddr_make(const struct kb_addr_port *at, union kb_sockaddr *ret);

struct ssl_session_st; /* OpenSSL's SSL_SESSION */

struct kb_upstream {
	atomic_uint refs; /* of routes, and of connections */
	struct kb_upstream_spec spec;
	union kb_sockaddr addr;
	socklen_t addr_len;
	char text[KB_UPSTREAM_TEXT_MAX];

	atomic_uint fails; /* in a row */
	/* Of the newest routes. */
	atomic_uint max_fails;
	atomic_bool force_tcp; /* a group's: probes go the same way */
	/* Connections (upconn.c). No new one before, and no second query on one that waits for a
	 * reply before; times of the workers' clock. */
	atomic_uint connect_fails; /* in a row */
	atomic_uint_fast64_t connect_at_ms, single_until_ms;
	/* Replies in a row whose question had another case than was sent; while, such as it is,
	 * that is put up with. */
	atomic_uint case_fails;
	atomic_uint_fast64_t case_off_until_ms;
	pthread_mutex_t session_lock;
	struct ssl_session_st *session; /* owned, NULL: none; to resume (uptls.c) */
	/* Counts, any worker; see struct kb_upstream_stats. */
	atomic_uint_fast64_t queries, replies, timeouts, errors, rejected, tcp, tls, connects,
		reused, tls_handshakes, tls_resumed, tls_untrusted, tls_failures, case_mismatches,
		probes, probe_failures;
	/* Of good replies: how many took up to KB_LATENCY_FIRST_US << i, the last one longer
	 * than all of these; and their sum. */
	atomic_uint_fast64_t latency[KB_LATENCY_BUCKETS + 1], latency_us;
	/* When to probe it next; the first worker's alone. */
	uint64_t probe_at_ms;
	uint32_t probe_gap_ms;
};

/* Is that many failures in a row too many? */
static inline bool kb_upstream_too_many(struct kb_upstream *u, unsigned int fails)
{
	unsigned int max = atomic_load_explicit(&u->max_fails, memory_order_relaxed);

	return max && fails >= max;
}

static inline bool kb_upstream_is_up(struct kb_upstream *u)
{
	return !kb_upstream_too_many(u, atomic_load_explicit(&u->fails, memory_order_relaxed));
}

/* uint64_t, since rows of them are shown by offset. */
struct kb_upstream_stats {
	uint64_t up;
	uint64_t queries, tcp, tls; /* sent, by transport */
	uint64_t replies, timeouts, errors, rejected;
	uint64_t connects, reused; /* connections tried; queries on one that was there */
	uint64_t tls_handshakes, tls_resumed;
	uint64_t tls_untrusted;	  /* handshakes that failed for the certificate */
	uint64_t tls_failures;	  /* and for other reasons */
	uint64_t case_mismatches; /* replies whose question had another case than was sent */
	uint64_t case_off;	  /* 1 while random case is not used with it */
	uint64_t probes, probe_failures;
};

/* Text of a domain, good for kb_parse_domain or empty (the root), to lower-case wire form; `out`
 * takes 255 bytes. Returns the length. */
uint8_t kb_domain_wire(const char *domain, uint8_t *out);

struct kb_upstream *kb_upstream_ref(struct kb_upstream *u);
void kb_upstream_unref(struct kb_upstream *u);
void kb_upstream_latency(struct kb_upstream *u, uint64_t us);
void kb_upstream_stats(struct kb_upstream *u, struct kb_upstream_stats *ret_stats);

struct kb_group {
	struct kb_group_options options;
	struct kb_upstream *v[KB_GROUP_MAX]; /* borrowed from the routes; each one once */
	size_t n;
	bool closed;	  /* nobody may be asked: SERVFAIL. Without it n = 0 is REFUSED */
	atomic_uint turn; /* of round robin */
};

struct kb_stub_route {
	uint8_t name[255]; /* wire form, lower case */
	uint8_t len;
	uint32_t hash; /* of the name */
	struct kb_group group;
};

struct kb_routes {
	atomic_uint refs;
	struct kb_upstream *upstreams[KB_UPSTREAMS_MAX]; /* a reference each */
	/* The first group of each of them: how it is probed. Borrowed from here. */
	const struct kb_group *probed_as[KB_UPSTREAMS_MAX];
	size_t n_upstreams;
	struct kb_group root; /* for all names that are in no stub domain */
	/* Hash table with open addressing, owned as are its elements; at most half full. */
	struct kb_stub_route **stubs;
	uint32_t stubs_mask; /* size - 1 */
	size_t n_stubs;
};

/* Empty: no upstream for anything. 0 or -ENOMEM. */
int kb_routes_new(struct kb_routes **ret_routes);
/* Sets the default group, or with a domain (text, no final dot) a stub domain's: one without
 * servers is closed. `before`, which may be NULL, gives upstreams that are the same. -E2BIG,
 * -EEXIST (domain given twice), -ENOMEM. */
int kb_routes_add(struct kb_routes *routes, const char *domain,
		  const struct kb_upstream_spec *specs, size_t n,
		  const struct kb_group_options *options, struct kb_routes *before);
struct kb_routes *kb_routes_ref(struct kb_routes *routes);
void kb_routes_unref(struct kb_routes *routes);

/* Are the same servers asked for the same names, in the same way? One was `before` of the other. */
bool kb_routes_same(const struct kb_routes *a, const struct kb_routes *b);

/* Is a name (wire form, any case) in a stub domain? */
bool kb_routes_is_stub(const struct kb_routes *routes, const uint8_t *name, size_t len);
/* Is there an upstream to ask for a name, or a reason to ask nobody? */
bool kb_routes_has(const struct kb_routes *routes, const uint8_t *name, size_t len);
/* The group to ask for a name; it may be empty. */
struct kb_group *kb_routes_find(struct kb_routes *routes, const uint8_t *name, size_t len);

/* The next upstream to try, by the group's policy: one that is up and not in `tried` (bit i for
 * v[i]), otherwise one not in `tried`, otherwise one that is up, otherwise any. `random` is a
 * random number. -1 if the group is empty. */
int kb_routes_pick(struct kb_group *group, uint32_t tried, uint32_t random);

#endif
