/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams: a batch in, its replies out. Of one thread: the main loop's, or each of the
 * forwarder's, which then has a socket of its own for each listen address (SO_REUSEPORT: the
 * kernel spreads clients over them).
 *
 *   socket --> responder --answers--> client
 *                | a name outside            | needs the records
 *                v                           v
 *              cache, exchange             kb_udp_main: the main loop's responder --> client
 *
 * Only the main loop's thread has the records. What a thread's responder cannot answer from the
 * table goes there as it came (kb_udp_defer), bounded; the reply leaves from the same socket.
 */
#ifndef KB_FORWARD_UDP_H
#define KB_FORWARD_UDP_H

#include "control/forward/private.h"
#include "control/forward/worker.h"
#include "dataplane/core/worker.h"

/* Messages that wait for the main loop. */
#define KB_UDP_DEFERRED_MAX 1024

struct kb_udp_batch;

/* Written by the thread that it belongs to, read by any. */
struct kb_udp_stats {
	atomic_uint_fast64_t queries, source_dropped, send_failed, deferred, deferred_dropped;
};

struct kb_udp {
	struct kb_server *server;	/* borrowed */
	struct kb_responder *responder; /* owned, but on the main loop borrowed */
	struct kb_worker *worker;	/* borrowed; NULL: the main loop */
	struct kb_reader reader;	/* row NULL on the main loop */
	struct kb_client client;	/* of the question at hand */
	struct kb_sampler log_sampler;
	unsigned int blocks_version; /* of the server's that the responder has */
	struct kb_udp_batch *batch;  /* owned */
	struct kb_udp_stats stats;
};

struct kb_udp_sock {
	struct kb_watch watch;	      /* fd owned, -1 none */
	struct kb_listener *listener; /* borrowed */
	struct kb_udp *udp;	      /* borrowed: whose thread reads it */
	uv_poll_t poll;		      /* on the main loop */
	bool polled;
};

/* For worker `worker`, or the main loop. 0 or -errno. */
int kb_udp_new(struct kb_server *s, struct kb_worker *worker, struct kb_udp **ret_udp);
void kb_udp_free(struct kb_udp *udp); /* NULL is fine */
/* One batch. */
void kb_udp_readable(struct kb_udp_sock *sock);
/* As kb_udp_readable, for a worker's epoll. */
void kb_udp_on_ready(struct kb_worker *w, struct kb_watch *watch, uint32_t events);

/* Makes what was received about the asked address into what asks the kernel to reply from it. */
void kb_udp_reply_from(struct msghdr *out, const struct msghdr *in);

/* udp_main.c */
struct kb_udp_main;

/* Takes `loop`'s handle. 0 or -errno. */
int kb_udp_main_new(struct kb_server *s, struct kb_udp_main **ret_main);
/* No thread uses it any more; the server's handle count goes down when the loop has closed it. */
void kb_udp_main_free(struct kb_udp_main *m);
/* Leaves a message to the main loop; copied. False if too many wait. Any thread. */
bool kb_udp_defer(struct kb_udp_main *m, const struct kb_client *client, const uint8_t *msg,
		  size_t len);

#endif
