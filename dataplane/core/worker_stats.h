/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What workers in other processes count: the mmapable array map kb_worker_stats, pinned beside the
 * table, one value for each row of kb_workers from KB_WORKERS_LOCAL on. A row is written by the
 * worker that has registered in the row of kb_workers, and read by kbdnsd. Numbers go
 * on where the row's last owner left them, so that the sum over all rows never falls.
 */
#ifndef KB_CORE_WORKER_STATS_H
#define KB_CORE_WORKER_STATS_H

#include "counters.h"
#include "types.h"
#include "worker.h"

#define KB_WORKER_STATS_MAX (KB_WORKERS_MAX - KB_WORKERS_LOCAL)

/* Frames that went by the exception path (dataplane/dpdk/exception.h). Those to the kernel are
 * among the left ones. */
struct kb_kernel_counts {
	__u64 in;	    /* given to the kernel */
	__u64 in_full;	    /* dropped: too many waited already */
	__u64 in_failed;    /* dropped: the kernel did not take it */
	__u64 out;	    /* of the kernel, sent */
	__u64 out_oversize; /* of the kernel, dropped: longer than the port's MTU allows */
};

struct kb_worker_counts {
	__u64 counter[KB_CNT_MAX];
	__u64 hist[KB_HIST_BUCKETS]; /* by the time of the burst that a reply was in */
	__u64 bursts;		     /* that were not empty */
	__u64 frames;		     /* in them */
	struct kb_kernel_counts kernel;
} KB_ALIGNED(64);

#endif
