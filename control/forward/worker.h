/* SPDX-License-Identifier: Apache-2.0 */
/* What the forwarder's files share: worker.c, exchange.c, upsock.c, upconn.c, forward.c. */
#ifndef KB_FORWARD_WORKER_H
#define KB_FORWARD_WORKER_H

#include <pthread.h>

#include "control/forward/forward.h"

#define KB_SOCKS_MAX	   256 /* UDP sockets of a worker, all upstreams together */
#define KB_SOCKS_UPSTREAM  16  /* of one upstream */
#define KB_SOCK_USES	   500 /* queries, then the port is changed */
#define KB_SOCK_IDLE_MS	   30000
#define KB_CONNS_MAX	   128 /* connections of a worker, all upstreams together */
#define KB_CONNS_UPSTREAM  32  /* to one upstream */
#define KB_TCP_MESSAGE_MAX 65535

struct kb_worker;
struct kb_exchange;

/* Something that epoll watches; the first member of what it is part of. */
struct kb_watch {
	void (*ready)(struct kb_worker *w, struct kb_watch *watch, uint32_t events);
	int fd; /* owned, -1 none */
};

/* A UDP socket, connected to one upstream. */
struct kb_upsock {
	struct kb_watch watch;
	union kb_sockaddr addr; /* of the upstream */
	uint32_t uses, in_flight;
	bool retired;
	uint64_t used_ms;
};

enum kb_conn_state {
	KB_CONN_NONE, /* the slot is free */
	KB_CONN_CONNECTING,
	KB_CONN_HANDSHAKE,
	KB_CONN_OPEN,
	KB_CONN_CLOSING, /* those that waited on it are being told */
};

/* A TCP or TLS connection to one upstream (upconn.c). */
struct kb_upconn {
	struct kb_watch watch;
	enum kb_conn_state state;
	struct kb_upstream *upstream; /* a reference */
	struct ssl_st *tls;	      /* owned, NULL: plain TCP */
	uint32_t events;	      /* that epoll watches for */
	uint32_t in_flight;
	bool answered; /* has brought a reply */
	bool retired;  /* takes no more queries */
	bool busy;     /* being read: it has to stay */
	uint64_t opened_ms, used_ms, heard_ms;
	uint8_t *in, *out; /* owned: one message of the peer; queries not yet written */
	size_t in_len, out_len;
};

struct kb_waiter {
	struct kb_waiter *next;
	struct kb_client client;
};

struct kb_exchange {
	struct kb_exchange *next, **at; /* list of the active ones */
	struct kb_exchange *chain;	/* of its hash bucket */
	struct kb_waiter *waiters;	/* owned; none: a probe */
	struct kb_ask ask;
	struct kb_routes *routes;     /* a reference */
	struct kb_group *group;	      /* borrowed from it; NULL: a probe */
	struct kb_upstream *upstream; /* borrowed from it: the one being asked */
	struct kb_upsock *sock;	      /* over UDP: the socket, while it waits */
	struct kb_upconn *conn;	      /* over a connection: that */
	uint32_t tried;		      /* bits of the group's */
	uint8_t tries;
	uint8_t rcode;	   /* what to say in the end; SERVFAIL, or an upstream's */
	bool plain;	   /* without OPT: this upstream does not know EDNS */
	bool waits;	   /* for room on a connection */
	bool resent;	   /* its connection was closed by the other side, and this is its second */
	bool mixed;	   /* sent with random case: the reply has to have it, too */
	bool case_differs; /* it had not; asked over TCP therefore */
	bool case_off;	   /* and that failed, too: without random case */
	uint16_t id;	   /* while it has sock or conn */
	uint64_t sent_us, deadline_ms, end_ms;
};

struct kb_inbox {
	pthread_mutex_t lock;
	struct kb_client *ring; /* owned */
	size_t first, n, size;
};

/* Counts of one worker: written by it alone, read by the main thread. */
struct kb_worker_stats {
	atomic_uint_fast64_t asked, chased, shared, exchanges, active, rejected, no_upstream,
		failed, noerror, nxdomain, servfail, refused, other, send_failed, strays,
		healthcheck_broken;
};

struct kb_worker {
	struct kb_forward *forward; /* borrowed */
	unsigned int index;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	int epoll; /* owned */
	struct kb_watch wake;
	struct kb_inbox inbox;
	uint64_t now_ms;

	struct kb_routes *routes; /* a reference */
	unsigned int routes_version;
	unsigned int cache_era; /* read before the routes */

	/* Taken from the free lists, or from the arrays' unused ends: what was never
	 * needed takes no memory. */
	struct kb_exchange *exchanges; /* owned, n_exchanges */
	size_t n_exchanges, exchanges_used;
	struct kb_exchange *free, *active;
	struct kb_waiter *waiters; /* owned, n_waiters */
	size_t n_waiters, waiters_used;
	struct kb_waiter *free_waiters;
	struct kb_exchange **buckets; /* owned, n_buckets */
	size_t n_buckets;
	struct kb_exchange *by_id[65536];
	struct kb_upsock socks[KB_SOCKS_MAX];
	struct kb_upconn conns[KB_CONNS_MAX];

	uint8_t random[256];
	size_t random_left;
	uint8_t in[KB_TCP_MESSAGE_MAX], out[KB_TCP_MESSAGE_MAX];
	struct kb_worker_stats stats;
};

/* A count that only this thread writes: a load and a store, not a locked operation. */
static inline void kb_count(atomic_uint_fast64_t *c)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* A count that several threads write. */
static inline void kb_count_shared(atomic_uint_fast64_t *c)
{
	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

/* worker.c */
/* `w` is zeroed memory; kb_worker_stop is due in any case. */
int kb_worker_start(struct kb_worker *w, struct kb_forward *f, unsigned int index, size_t size);
void kb_worker_stop(struct kb_worker *w);
/* Puts a question into the inbox, waking the worker. False when it is full. Any thread. */
bool kb_worker_push(struct kb_worker *w, const struct kb_client *client);
int kb_worker_watch(struct kb_worker *w, struct kb_watch *watch, uint32_t events);
/* Any thread; a call of it may still be under way. */
void kb_worker_unwatch(struct kb_worker *w, struct kb_watch *watch);
uint32_t kb_worker_random(struct kb_worker *w);
uint64_t kb_worker_now_us(void);

/* exchange.c */
/* Takes over the client's chase. */
void kb_exchange_start(struct kb_worker *w, struct kb_client *client);
void kb_exchange_probe(struct kb_worker *w, struct kb_upstream *u, const struct kb_ask *ask);
/* A message came for x over UDP or a connection, or its attempt has failed. */
void kb_exchange_reply(struct kb_worker *w, struct kb_exchange *x, const uint8_t *msg, size_t len,
		       bool tcp);
/* The other side has closed the connection that x waits on, which was good until then. */
void kb_exchange_resend(struct kb_worker *w, struct kb_exchange *x);
void kb_exchange_failed(struct kb_worker *w, struct kb_exchange *x, bool timeout);
void kb_exchange_sweep(struct kb_worker *w);
/* Without a word to anybody. */
void kb_exchange_drop(struct kb_worker *w, struct kb_exchange *x);

/* A random ID that no exchange of this worker has; it belongs to x now. 0 or -EAGAIN. */
int kb_exchange_take_id(struct kb_worker *w, struct kb_exchange *x);
void kb_exchange_drop_id(struct kb_worker *w, struct kb_exchange *x);

/* health.c */
/* A query has come to nothing; `count` is the counter of the reason. */
void kb_health_failed(struct kb_upstream *u, atomic_uint_fast64_t *count);
/* A reply to x is good. */
void kb_health_lives(struct kb_exchange *x);
/* Probes those that are due. */
void kb_health_sweep(struct kb_worker *w);

/* upsock.c */
int kb_upsock_send(struct kb_worker *w, struct kb_exchange *x);
void kb_upsock_done(struct kb_worker *w, struct kb_exchange *x);
void kb_upsock_sweep(struct kb_worker *w);
/* upconn.c: over TLS or TCP, as the upstream is. -EHOSTDOWN: it has just refused connections, and
 * is left alone for a moment; -EBUSY: there is no room on connections to it now. */
int kb_upconn_send(struct kb_worker *w, struct kb_exchange *x);
/* `timeout`: it has waited in vain. */
void kb_upconn_done(struct kb_worker *w, struct kb_exchange *x, bool timeout);
void kb_upconn_sweep(struct kb_worker *w);
void kb_upconn_close_all(struct kb_worker *w);

/* forward.c: newest routes, a reference for the caller; NULL while they are as `version`. */
struct kb_routes *kb_forward_new_routes(struct kb_forward *f, unsigned int *version);
/* A reply for a TCP client goes to the main loop. False if there is no room. */
bool kb_forward_put_out(struct kb_forward *f, uint64_t conn, const uint8_t *msg, size_t len);
struct kb_tls *kb_forward_tls(const struct kb_forward *f);
/* As kb_forward_ask, on a worker's own thread. */
size_t kb_forward_ask_on(struct kb_worker *w, struct kb_client *client, uint8_t *reply, size_t cap);
struct kb_worker *kb_forward_worker(const struct kb_forward *f, unsigned int i);
/* NULL: nothing is kept. */
struct kb_cache *kb_forward_cache(const struct kb_forward *f);
uint16_t kb_forward_udp_max(const struct kb_forward *f);
bool kb_forward_random_case(const struct kb_forward *f);
/* May be NULL. */
struct kb_querylog *kb_forward_log(const struct kb_forward *f);

#endif
