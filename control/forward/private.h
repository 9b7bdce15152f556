/* SPDX-License-Identifier: Apache-2.0 */
/* What server.c, udp.c and tcp.c share. */
#ifndef KB_FORWARD_PRIVATE_H
#define KB_FORWARD_PRIVATE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "control/forward/server.h"

/* Replies of one connection are collected up to here, then written at once. */
#define KB_TCP_BATCH 65536
#define KB_TCP_OUT   (KB_TCP_BATCH + 2 + KB_TCP_REPLY_MAX)

struct kb_udp;
struct kb_udp_sock;
struct kb_udp_main;
struct kb_conn;

struct kb_listener {
	struct kb_server *server; /* borrowed */
	struct kb_addr_port at;	  /* with the port that was bound */
	union kb_sockaddr local;  /* the same */
	/* Owned. One for each of the server's kb_udp; more if a former server had more threads. */
	struct kb_udp_sock *udp;
	unsigned int n_udp;
	int tcp_fd; /* owned, -1 none */
	uv_poll_t tcp_poll;
	bool tcp_polled, wildcard;
	bool pending; /* a connection could not be accepted for want of memory or descriptors */
};

struct kb_server {
	uv_loop_t *loop;		/* borrowed */
	struct kb_responder *responder; /* borrowed */
	struct kb_forward *forward;	/* borrowed, may be NULL */
	struct kb_client client;	/* of the question at hand, for the forwarder */
	struct kb_querylog *log;	/* borrowed, may be NULL */
	struct kb_sampler log_sampler;
	struct kb_listener *listeners; /* owned */
	size_t n_listeners;
	struct kb_cidr *allow; /* owned */
	size_t n_allow;
	uint32_t connections_max, per_source_max, idle_ms;
	size_t waiting_max;

	const struct kb_table *table; /* borrowed; NULL: no sockets on threads */
	struct kb_workers *workers;   /* borrowed, likewise */
	struct kb_udp **udp; /* owned, each of them: one for each thread, or for the loop */
	unsigned int n_udp;
	pthread_mutex_t blocks_lock;
	struct kb_blocks *blocks; /* a reference, for threads to take; NULL: none */
	atomic_uint blocks_version;
	struct kb_udp_main *udp_main; /* owned; NULL: all is on the main loop */
	uint8_t *out;		      /* owned, KB_TCP_OUT: replies of the connection at hand */
	struct kb_conn *conns;	      /* owned list */
	uint64_t conn_last;	      /* number of the newest one */
	uv_timer_t sweep;	      /* runs while there are connections */
	uv_idle_t more;		      /* runs while a connection has queries read ahead */
	unsigned int handles;	      /* that libuv has not let go of, connections' included */
	bool closing, paused;
	struct kb_server_stats stats;
};

/* The question that the responder has left to others goes to the forwarder, with what the caller
 * has put into s->client about the way back. Returns the length of a reply that is due at
 * once, or 0. */
size_t kb_server_forward(struct kb_server *s, uint8_t *reply, size_t cap);
bool kb_server_allows(const struct kb_server *s, const struct sockaddr *from);
/* Frees the server after its last handle. */
void kb_server_put(struct kb_server *s);

/* listen.c. Opens and binds, or takes what was inherited. 0, or -errno with one line in err. */
int kb_listener_open(struct kb_listener *l, const struct kb_server_config *config, char *err,
		     size_t err_size);
/* From now on its sockets are read. 0 or -errno. */
int kb_listener_start(struct kb_listener *l);
void kb_listener_pause(struct kb_listener *l);
/* Connections are accepted, again. 0 or -errno. */
int kb_tcp_listen(struct kb_listener *l);
/* Closes all; l->server's handles go down later. */
void kb_listener_close(struct kb_listener *l);

/* tcp.c */
/* As many as wait, up to a batch. */
void kb_tcp_accept(struct kb_listener *l);
void kb_tcp_sweep(struct kb_server *s);
void kb_tcp_more(struct kb_server *s);
void kb_tcp_close_all(struct kb_server *s);

#endif
