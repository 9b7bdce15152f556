/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does an upstream ask us in turn? Each is sent a question for a name that nobody can guess (two
 * labels of random digits, type HINFO, as CoreDNS's plugin `loop` does it). If that question comes
 * in at our own sockets, whoever was asked has sent it back.
 *
 * Questions are sent once over UDP and what is replied is not looked at: an upstream that is down
 * or asked over TLS simply shows no loop. The main loop begins and ends rounds; incoming questions
 * are compared on any thread, and only while a round lasts.
 */
#ifndef KB_FORWARD_LOOPS_H
#define KB_FORWARD_LOOPS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config/upstreams.h"
#include "control/forward/relay.h"

#define KB_LOOPS_MAX	 (2 * KB_STUB_ADDRS_MAX)
#define KB_LOOP_LABEL	 16 /* digits */
#define KB_LOOP_QUESTION (2 * (1 + KB_LOOP_LABEL) + 1 + 4)

struct kb_loop_probe {
	struct kb_upstream_spec spec;
	uint8_t question[KB_LOOP_QUESTION]; /* wire form */
	bool seen;
};

struct kb_loops {
	atomic_bool active;
	pthread_mutex_t lock; /* of the probes */
	struct kb_loop_probe v[KB_LOOPS_MAX];
	size_t n;
	int fd4, fd6; /* owned, -1: none */
};

void kb_loops_init(struct kb_loops *loops);
void kb_loops_fini(struct kb_loops *loops);
/* Begins a round for up to KB_LOOPS_MAX upstreams; the one before ends. */
void kb_loops_begin(struct kb_loops *loops, const struct kb_upstream_spec *specs, size_t n);
/* Asks each of them; may be repeated. */
void kb_loops_send(struct kb_loops *loops);
void kb_loops_end(struct kb_loops *loops);
/* Is this a question of the round? Notes that it has come back. Any thread. */
bool kb_loops_check(struct kb_loops *loops, const struct kb_ask *ask);
/* Has the question to upstream i come back? */
bool kb_loops_seen(struct kb_loops *loops, size_t i);

#endif
