/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One receive queue of a port, the send queue of the same number, and the row of kb_workers in
 * which the queue's worker is registered: frames are received, given to the engine, and what it
 * answers is sent. One thread, that of the worker; nothing is allocated and nothing waits.
 *
 * The worker is online, in the sense of dataplane/core/worker.h, only while the engine reads the
 * table: receiving and sending may block, in a driver that asks the kernel to. If the table's
 * writer has meanwhile declared it gone, what was read may be anything: the replies are
 * discarded, and it registers again.
 */
#ifndef KB_DPDK_QUEUE_H
#define KB_DPDK_QUEUE_H

#include "dataplane/dpdk/engine.h"
#include "dataplane/dpdk/xsk.h"

struct kb_dpdk_queue {
	struct kb_dpdk_engine engine; /* `stats` is set here */
	uint16_t port, queue;
	uint16_t burst; /* in force, as `idle` is; 0: set from the tunables at the first start */
	struct kb_worker_tune given; /* what is not 0 goes before kbdnsd's tunables */
	/* Borrowed; `stats` has KB_WORKER_STATS_MAX rows. */
	struct kb_workers *workers;
	struct kb_worker_counts *stats;
	struct kb_reader_info info;
	/* What becomes of frames that were left: left_take() takes them over, in the order of the
	 * reasons; left_turn(), in each poll, returns how much it had to do. NULL: they are freed.
	 */
	void (*left_take)(void *arg, struct kb_worker_counts *counts, struct rte_mbuf **left,
			  uint32_t n);
	uint32_t (*left_turn)(void *arg, struct kb_worker_counts *counts);
	void *left_arg;
	struct kb_xsk *xsk; /* borrowed; NULL: the queue is no socket's */

	struct kb_reader reader;
	uint64_t joined;	    /* number of its first registration in this row */
	uint64_t mapped;	    /* what was said of the table's newest index */
	struct kb_worker_says says; /* port, link_down, wait, state: whoever knows; the worker */
	uint64_t tune_seen, ask_seen;
	uint64_t since;	   /* TSC: up to when busy and idle have been counted */
	uint32_t received; /* in the last poll, by the port */
	bool was_busy;
	struct kb_worker_counts own; /* while it has no row to count into */

	/* Between threads. */
	uint64_t polls; /* of kb_dpdk_queue_poll() */
	uint32_t ask;	/* enum kb_worker_ask, kbdnsd's last word; 0: none yet */
};

/* Registers; before the first poll. 0, or -ENOSPC: all rows of kb_workers are taken. */
int kb_dpdk_queue_start(struct kb_dpdk_queue *q, uint64_t now_ns);
void kb_dpdk_queue_stop(struct kb_dpdk_queue *q);

/* After `says` has changed: shows it. */
void kb_dpdk_queue_say(struct kb_dpdk_queue *q);
/* Counts the time since the last poll as idle; after a sleep. */
void kb_dpdk_queue_slept(struct kb_dpdk_queue *q);

/* Receives once. `now_ns` is CLOCK_MONOTONIC (its coarse form will do). Returns the number of
 * frames, those of left_turn() included; 0 when there was nothing to do. */
uint32_t kb_dpdk_queue_poll(struct kb_dpdk_queue *q, uint64_t now_ns);

#endif
