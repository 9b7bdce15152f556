/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exception path: on a port that the kernel does not see, what the engine leaves goes to the
 * kernel's stack by a tap interface that has the port's MAC and MTU, and what the stack sends by
 * it goes out of the port. So ARP, ICMP, TCP, and the queries that other engines answer, work
 * there too.
 *
 *	worker 0 --up--> |                       | --write()--> tap
 *	worker 1 --up--> | a thread of the port  |
 *	worker n <-used- |                       | <--read()--- tap
 *	worker 0 <-down- |
 *
 * All rings have one producer and one consumer and are bounded; a worker never waits, and makes
 * no system call but to wake the thread when that sleeps. Of frames that do not fit into `up` the
 * worker frees and counts; when `down` is full the tap is not read, and its queue in
 * the kernel drops and counts (ip -s link).
 *
 * Frames of the kernel are sent by worker 0, in its send queue and behind its replies, not by
 * the thread in a queue of its own: that works on ports with any number of queues, a driver that
 * ties receive queues to send queues (net_af_packet) included, and keeps the order of frames. The
 * buffers of frames that were written go back to their worker to be freed: a mempool is
 * locked while somebody frees into it, and a thread without a core may be preempted then.
 */
#ifndef KB_DPDK_EXCEPTION_H
#define KB_DPDK_EXCEPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/worker_stats.h"
#include "dataplane/dpdk/port.h"

struct rte_mbuf;

/* Frames of one queue that may wait for the kernel, and that may be on their way there and back:
 * so many more buffers the queue needs. */
#define KB_EXCEPTION_FRAMES 1024
#define KB_EXCEPTION_HELD   (KB_EXCEPTION_FRAMES + 512)

struct kb_exception;
struct kb_lane; /* of one worker */

/*
 * Makes the tap `ifname` for a started port; `p` is borrowed. 0, or -errno with one line in err:
 * nothing is left then. Main thread, as all of these.
 */
int kb_exception_new(uint16_t port, const struct kb_dpdk_port *p, uint16_t queues,
		     const char *ifname, struct kb_exception **ret, char *err, size_t err_size);
struct kb_lane *kb_exception_lane(struct kb_exception *e, uint16_t queue);
/* The thread, and from now on the interface outlives the process. 0 or -errno. */
int kb_exception_start(struct kb_exception *e);
/* Workers have ended; the port is there still. NULL is fine. */
void kb_exception_stop(struct kb_exception *e);
/* The port has been closed. NULL is fine. */
void kb_exception_free(struct kb_exception *e);

/* The tap has a carrier while the port has a link. Any thread. */
void kb_exception_link(struct kb_exception *e, bool up);

/* Of the worker that has the lane; `counts` is its row. */

/* Takes over what is left; of struct kb_dpdk_queue. */
void kb_lane_take(void *lane, struct kb_worker_counts *counts, struct rte_mbuf **left, uint32_t n);
/* Once in each turn: frees what was written, sends what the kernel sent. Returns the number of
 * frames. */
uint32_t kb_lane_turn(void *lane, struct kb_worker_counts *counts);

#endif
