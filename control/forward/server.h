/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the socket engine: UDP and TCP on each listen address. TCP is the main loop's, UDP
 * is the forwarder's threads' where there is one (udp.h), else the main loop's.
 *
 * UDP is read and answered in batches; a reply leaves from the address that was
 * asked, on wildcard addresses too. TCP follows RFC 7766: any number of queries on a
 * connection, in any pieces. Everything is bounded: connections in all and of each source,
 * bytes read ahead, bytes waiting for clients that do not read, time without a query, and
 * the work done for one client before others have their turn. A client that does not read
 * has the idle time to take a batch of replies (64 kB and one more).
 */
#ifndef KB_FORWARD_SERVER_H
#define KB_FORWARD_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "control/config/parse.h"
#include "control/forward/forward.h"
#include "control/forward/respond.h"
#include "dataplane/core/worker.h"

/* A client that opens 20 connections a second has 90 while all upstreams are silent
 * (KB_FORWARD_BUDGET_MS): with 64 for each source some were refused (bench/forward_faults). */
#define KB_SERVER_CONNECTIONS_MAX 512
#define KB_SERVER_PER_SOURCE_MAX  128
#define KB_SERVER_IDLE_MS	  10000
#define KB_SERVER_WAITING_MAX	  (4 << 20)

/* A listening socket of a former server, see kb_server_socket. */
struct kb_listen_socket {
	struct kb_addr_port at; /* with the port that is bound */
	bool tcp;
	int fd; /* owned by who has it; -1: taken */
};

struct kb_server_config {
	const struct kb_addr_port *listen; /* port 0: any, the same for UDP and TCP */
	size_t n_listen;
	const struct kb_cidr *allow_from; /* copied; others are dropped */
	size_t n_allow_from;
	struct kb_responder *responder; /* borrowed */
	/* For sockets on the forwarder's threads, as many as it has: the table, and the rows for
	 * its readers, borrowed. NULL: all sockets are on the main loop. */
	const struct kb_table *table;
	struct kb_workers *workers;
	/* Borrowed, for questions that the responder leaves to others; NULL if it leaves none. To
	 * be freed before the server, whose sockets it uses. */
	struct kb_forward *forward;
	struct kb_querylog *log; /* borrowed, outlives the server; NULL: none */
	/* 0: the defaults above. */
	uint32_t connections_max, per_source_max, idle_ms;
	size_t waiting_max; /* bytes of replies that clients have yet to take */
	/* Sockets to be used for those of their addresses, with what has arrived in them; those
	 * that are used are taken. */
	struct kb_listen_socket *inherited;
	size_t n_inherited;
};

struct kb_server_stats {
	uint64_t udp_queries;	       /* datagrams read */
	uint64_t tcp_queries;	       /* frames read */
	uint64_t tcp_accepted;	       /* connections, the refused ones not counted */
	uint64_t tcp_open;	       /* now */
	uint64_t tcp_refused;	       /* too many in all or of that source */
	uint64_t tcp_timed_out;	       /* idle, or not reading */
	uint64_t tcp_overflowed;       /* closed because of waiting_max */
	uint64_t tcp_waiting;	       /* bytes, now */
	uint64_t source_dropped;       /* datagrams and connections from outside allow-from */
	uint64_t udp_send_failed;      /* replies that the kernel did not take */
	uint64_t udp_deferred;	       /* datagrams that threads have left to the main loop */
	uint64_t udp_deferred_dropped; /* of those, too many at a time */
};

struct kb_server;

/* Listens on every address or on none. 0, or -errno with one line in err that names the
 * address and the cure; the loop has to run once more then to let go of handles. */
int kb_server_new(uv_loop_t *loop, const struct kb_server_config *config,
		  struct kb_server **ret_server, char *err, size_t err_size);
/* Stops at once, and frees when the loop has closed the handles. NULL is fine. */
void kb_server_free(struct kb_server *server);

/* The sockets: gives number i to *ret (fd borrowed), or returns false if there are not so many. */
bool kb_server_socket(const struct kb_server *server, size_t i, struct kb_listen_socket *ret);
/* Paused, nothing more is read from them and no connection accepted: datagrams wait in the sockets,
 * for whoever else reads them. Questions that have been read and connections go on. */
void kb_server_pause(struct kb_server *server);
/* 0 or -errno. */
int kb_server_resume(struct kb_server *server);

/* The responder has other blocks now: so do threads, from their next turn on. */
void kb_server_blocks_changed(struct kb_server *server);

/* The forwarder's reply for a TCP connection, which may have gone meanwhile. */
void kb_server_deliver(struct kb_server *server, uint64_t conn, const uint8_t *msg, size_t len);

/* Of listen address i. */
uint16_t kb_server_port(const struct kb_server *server, size_t i);
void kb_server_stats(const struct kb_server *server, struct kb_server_stats *ret_stats);
/* Adds those of the threads' responders, KB_CNT_MAX of them. */
void kb_server_add_counters(const struct kb_server *server, uint64_t *sum);

#endif
