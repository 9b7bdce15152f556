/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder: names that are nobody's here are asked of upstream servers.
 *
 *   worker:    UDP sockets -> responder --answers--> client
 *                                | a name outside         | needs the records
 *                                v                        v
 *                        kb_forward_ask_on --cached--> client, or main loop (udp.h)
 *                                | not in the cache
 *                                v
 *                   exchange, or inbox of the worker of the name's hash
 *              inbox -> exchange -> upstream socket -> check -> client (UDP)
 *                                                          \-> outbox -> main loop -> client (TCP)
 *   main loop: TCP -> responder -> kb_forward_ask -> cache or inbox
 *
 * Every worker has a UDP socket of its own for each listen address, and is a registered reader of
 * the table (dataplane/core/worker.h). So neither cluster names nor cached ones wait for
 * what the main loop does. bench/socket_threads on two CPUs, cluster names, all sockets on the
 * main loop against one, two and four threads: p99 while 10,000 Services are loaded again and
 * again 214 ms against 4.2, 0.5 and 1.1 ms; under 1,000 events a second 4.5 ms against 6.8, 1.6
 * and 6.1 ms; CPU per query is alike. TCP stays with the main loop: its answers are the large
 * ones, which only the records have whole.
 *
 * A worker is a thread with its own epoll, upstream sockets, and exchanges. Questions are
 * spread over workers by the hash of their name, so the same question meets itself in one
 * worker, and one exchange serves all who ask it. Nothing is shared between workers but
 * counters and the health of upstreams, both atomic. A worker answers clients over UDP
 * itself, from the listen socket that was asked, whosever it is.
 *
 * An exchange is one question on its way: up to KB_FORWARD_TRIES attempts of
 * KB_FORWARD_ATTEMPT_MS with upstreams of its group, one after the other, within
 * KB_FORWARD_BUDGET_MS; then SERVFAIL. That is less than the 5 s after which resolvers ask again.
 * SERVFAIL and REFUSED from one upstream make it try the others first. UDP, and TCP when the
 * reply is truncated; TCP alone, where a group says so; TLS alone, where an upstream says so: there
 * is no way back to plain text. Connections are kept and carry many queries at a time (upconn.c).
 *
 * The cache (cache.h) is looked up by whoever was asked and filled by workers; names of the cluster
 * are never in it, the table has them. An expired answer is given when the first upstream has
 * failed or been silent for KB_FORWARD_ATTEMPT_MS, and the search for a newer one goes on; a
 * popular one that is about to expire is asked for again while it is still given.
 *
 * Against forged replies: sockets are connected, so the kernel takes datagrams of the asked
 * address and port only; each upstream has a few sockets with ports of the kernel's choice,
 * one of which is drawn for each query, and which are replaced after some hundred queries; IDs are
 * drawn from getrandom(2); the question has to be the one that was asked (RFC 5452).
 * If random_case says so, the letters of a question over UDP have random case, and the reply has to
 * have the same ("0x20"). A reply that differs in that alone is not believed: the question is asked
 * over TCP, which cannot be forged from afar. Only when TCP fails is it asked without random
 * case; and an upstream that differs KB_FORWARD_CASE_FAILS times in a row is asked so for
 * KB_FORWARD_CASE_OFF_MS. To bring that about, a forger has to guess port and ID each
 * time, which without random case would have been enough for a forged answer.
 *
 * Bounded: exchanges (max_concurrent in all, over workers), clients that wait for them, the
 * inbox and the outbox; what does not fit is answered SERVFAIL at once and counted. Sockets and
 * connections, and what waits on one: a query that has no room waits as long as it would for a
 * reply.
 */
#ifndef KB_FORWARD_FORWARD_H
#define KB_FORWARD_FORWARD_H

#include <stdatomic.h>
#include <uv.h>

#include "control/forward/cache.h"
#include "control/forward/chase.h"
#include "control/forward/loops.h"
#include "control/forward/relay.h"
#include "control/forward/routes.h"
#include "control/querylog/querylog.h"

#define KB_FORWARD_THREADS_MAX	  64
#define KB_FORWARD_TRIES	  3
#define KB_FORWARD_ATTEMPT_MS	  1500
#define KB_FORWARD_BUDGET_MS	  4500
#define KB_FORWARD_CONCURRENT_MAX 65536
#define KB_FORWARD_CASE_FAILS	  5
#define KB_FORWARD_CASE_OFF_MS	  600000
/* Bytes of replies on their way to the main loop. */
#define KB_FORWARD_OUTBOX_MAX (4 << 20)

struct kb_forward;

#define KB_CLIENT_NONE (-2)

/* Who asked, and where the reply goes. */
struct kb_client {
	struct kb_ask ask;
	/* UDP: the listen socket (borrowed, open as long as the forwarder lives), the client's
	 * address, and ancillary data for the source address. fd -1: TCP. KB_CLIENT_NONE: nobody
	 * waits, the answer is for the cache. */
	int fd;
	socklen_t from_len;
	union kb_sockaddr from;
	uint32_t control_len;
	_Alignas(8) uint8_t control[64];
	uint64_t conn;	       /* TCP: as deliver takes it */
	struct kb_asked asked; /* for the query log */
	/* Owned, NULL: none. What the reply is made into before it is sent. */
	struct kb_chase *chase;
};

/* Sends a reply to a client that has asked over UDP. False if the kernel does not take it. Any
 * thread. */
bool kb_client_send(const struct kb_client *client, const uint8_t *msg, size_t len);

struct kb_forward_config {
	unsigned int threads;
	unsigned int max_concurrent;
	uint16_t udp_max;		     /* of our own OPT record, to clients and upstreams */
	const struct kb_cache_config *cache; /* copied; NULL: nothing is kept */
	const char *tls_ca;		     /* as kb_tls_new takes it */
	bool random_case;		     /* of the letters of questions over UDP */
	struct kb_querylog *log;	     /* borrowed; NULL: none */
	/* A reply for a TCP client; main loop's thread. */
	void (*deliver)(void *arg, uint64_t conn, const uint8_t *msg, size_t len);
	void *arg;
};

/* Counts; uint64_t, since rows of them are shown by offset. */
struct kb_forward_stats {
	uint64_t asked;	      /* questions of clients */
	uint64_t chased;      /* of those, for what a CNAME of the cluster leads to */
	uint64_t shared;      /* of those, joined to an exchange under way */
	uint64_t exchanges;   /* begun */
	uint64_t active;      /* now */
	uint64_t rejected;    /* SERVFAIL because of max_concurrent, or a full queue */
	uint64_t no_upstream; /* there is nobody to ask: REFUSED; SERVFAIL in a stub domain */
	uint64_t failed;      /* exchanges that ended in a SERVFAIL of our own */
	uint64_t noerror, nxdomain, servfail, refused, other; /* replies to clients */
	uint64_t send_failed;	     /* replies that the kernel did not take */
	uint64_t strays;	     /* from upstreams, with an ID that nobody waits for */
	uint64_t healthcheck_broken; /* asked although no upstream of the group is up */
};

/* Starts threads. 0 or -errno with one line in err. */
int kb_forward_new(uv_loop_t *loop, const struct kb_forward_config *config,
		   struct kb_forward **ret_forward, char *err, size_t err_size);
/* Ends the threads; clients that wait get no reply. The loop has to run once more to let go of
 * a handle. NULL is fine. */
void kb_forward_free(struct kb_forward *f);

/* From now on these are in force, and the cache is empty; takes over the caller's reference. Main
 * loop's thread, as are all below. */
void kb_forward_set_routes(struct kb_forward *f, struct kb_routes *routes);
/* What is kept may be given no more. Any thread. */
void kb_forward_forget(struct kb_forward *f);
unsigned int kb_forward_threads(const struct kb_forward *f);
/* Borrowed until the next kb_forward_set_routes. */
struct kb_routes *kb_forward_routes(const struct kb_forward *f);

/* Questions of a round of these are answered SERVFAIL by kb_forward_ask. Borrowed. */
struct kb_loops *kb_forward_loops(struct kb_forward *f);

/* Takes a question (copied; the chase is taken over). Returns 0 when the reply follows later, or
 * the length of a reply in `reply` (cap bytes, at least KB_RELAY_QUERY_MAX) for the caller to send.
 */
size_t kb_forward_ask(struct kb_forward *f, struct kb_client *client, uint8_t *reply, size_t cap);

/* All zero when nothing is kept. */
void kb_forward_cache_stats(const struct kb_forward *f, struct kb_cache_stats *ret_stats);
void kb_forward_stats(const struct kb_forward *f, struct kb_forward_stats *ret_stats);

#endif
