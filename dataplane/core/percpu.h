/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What an engine keeps for each CPU: counters that kbdnsd reads, and the memory in
 * which one packet is worked on. Never shared between CPUs.
 */
#ifndef KB_CORE_PERCPU_H
#define KB_CORE_PERCPU_H

#include "event.h"
#include "packet.h"

struct kb_percpu {
	__u64 counter[KB_CNT_MAX];
	__u64 hist[KB_HIST_BUCKETS];
	__u64 log_events, log_dropped;	  /* of the query log: reported, and lost to a full ring */
	__u64 steer_absent, steer_silent; /* not handed over: no socket, or a worker that stalls */
	struct kb_sampler log_sampler;
	struct kb_flow flow;
	struct kb_scratch s;
};

#endif
