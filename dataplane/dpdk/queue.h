/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One receive queue of a port and the send queue of the same number: frames are received, given to
 * the engine, and what it answers is sent. One thread, that of the queue's worker; nothing is
 * allocated and nothing waits.
 */
#ifndef KB_DPDK_QUEUE_H
#define KB_DPDK_QUEUE_H

#include "dataplane/dpdk/engine.h"

/* Frames that are asked for at once; the best of those tried, see bench/dpdk_engine. */
#define KB_BURST_DEFAULT 32

struct kb_dpdk_queue {
	struct kb_dpdk_engine engine;
	uint16_t port, queue;
	uint16_t burst; /* 1..KB_BURST_MAX */
	/* Takes over the frames that were left, in the order of the reasons; NULL: they are freed.
	 */
	void (*take_left)(void *arg, struct rte_mbuf **left, uint32_t n);
	void *take_left_arg;
	uint64_t bursts, received; /* that were not empty; frames */
};

/* Receives once. Returns the number of frames; 0 when there was nothing to do. */
uint32_t kb_dpdk_queue_poll(struct kb_dpdk_queue *q, uint64_t now_ns);

#endif
