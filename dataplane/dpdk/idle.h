/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker does while its queue is empty. After IDLE_POLLS polls in a row that found
 * nothing, it waits between two of them, by the policy in force:
 *
 *	busy		not at all
 *	pause		by pause instructions, or by TPAUSE where the CPU has it, for `sleep_us` at
 *most. The core stays the worker's, but rests (power, the other hyper-thread)
 *	interrupt	in the kernel until the port says that a frame has come, or for `sleep_us`
 *			where the port's driver has no receive interrupts (net_af_packet,
 *			net_af_xdp: their descriptors cannot be had through EAL)
 *
 * Every wait is bounded by `sleep_us`, after which the worker beats again. The worker's thread.
 */
#ifndef KB_DPDK_IDLE_H
#define KB_DPDK_IDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/worker_stats.h"

struct kb_dpdk_idle {
	uint16_t port, queue;
	uint32_t policy; /* enum kb_idle, 0: not chosen yet */
	enum kb_wait wait;
	unsigned int empty; /* polls in a row */
	bool armed;	    /* receive interrupts are on */
};

/* Prepares for the policy; when it has changed. Returns how the worker will wait. */
enum kb_wait kb_dpdk_idle_choose(struct kb_dpdk_idle *i, uint32_t policy);
/* After a poll that found n frames. Returns whether it has waited. */
bool kb_dpdk_idle_wait(struct kb_dpdk_idle *i, uint32_t n, uint32_t sleep_us);
/* Before the thread ends. */
void kb_dpdk_idle_end(struct kb_dpdk_idle *i);

#endif
