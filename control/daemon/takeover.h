/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kbdnsd takes over from another that runs: what they say is in control/ctl/peer.h.
 *
 *      the new one (takeover.c)                  the old one (hand_over.c)
 *
 *	NONE                                      NONE
 *	 | its run directory is taken: take-over   | take-over: welcome
 *	BUILDING: own table, own programs         WELCOMED: serves as ever
 *	 | synced: ready                           | ready: gives locks and sockets
 *	READY                                     GIVEN: reads no socket, answers what it has read
 *	 | yours: reads sockets, switches          | taken: bye      10 s, or the other dies:
 *	 |   programs and table: taken             |                 late, takes all back: NONE
 *	TAKEN                                     DRAINING: TCP connections, forwarded queries
 *	 | bye: NONE, in charge; late: ends        | none left, or 15 s: ends
 *
 * If the old one dies, the new one is in charge alone, whatever the step. If the new one dies, or
 * does not say "taken" in time, the old one is. A signal to end waits until the new one has taken
 * over (20 s), so that an orchestrator that stops the old one early loses nothing.
 */
#ifndef KB_DAEMON_TAKEOVER_H
#define KB_DAEMON_TAKEOVER_H

#include <stdbool.h>
#include <uv.h>

#include "control/ctl/peer.h"
#include "control/forward/server.h"

enum kb_takeover_step {
	KB_TAKEOVER_NONE,
	/* The new one. */
	KB_TAKEOVER_BUILDING,
	KB_TAKEOVER_READY,
	KB_TAKEOVER_TAKEN,
	/* The old one. */
	KB_TAKEOVER_CALLED, /* somebody has connected and said nothing yet */
	KB_TAKEOVER_WELCOMED,
	KB_TAKEOVER_GIVEN,
	KB_TAKEOVER_DRAINING,
};

/* Descriptors that have come from the old one, -1: none. */
struct kb_takeover_fds {
	int lock_run, lock_bpffs, control, takeover, http;
	struct kb_listen_socket *sockets; /* owned */
	size_t n_sockets;
};

struct kb_daemon_takeover {
	enum kb_takeover_step step;
	struct kb_peer *peer; /* owned, NULL: none */
	unsigned int peer_pid;
	uv_timer_t timer; /* of the step */
	struct kb_takeover_fds fds;
	uint64_t drain_end_ms;
	bool stop_wanted; /* a signal to end has come, and waits for the new one */
	bool drained;	  /* the other one is in charge for good */
	/* Where others that are to take over connect. */
	char *path;    /* owned */
	int listen_fd; /* owned, -1 none */
	uv_poll_t poll;
	bool polled;
};

#endif
