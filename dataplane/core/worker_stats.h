/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What workers in other processes count and say of themselves: the mmapable array map
 * kb_worker_stats, pinned beside the table, one value for each row of kb_workers from
 * KB_WORKERS_LOCAL on. A row is written by the worker that has registered in the row of
 * kb_workers, and read by kbdnsd. Numbers go on where the row's last owner left them, so that the
 * sum over all rows never falls.
 */
#ifndef KB_CORE_WORKER_STATS_H
#define KB_CORE_WORKER_STATS_H

#include "counters.h"
#include "types.h"
#include "worker.h"
#include "worker_tune.h"

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

/* Of a burst's time. */
enum kb_phase {
	KB_PHASE_RECEIVE,
	KB_PHASE_HEADERS,
	KB_PHASE_HASH,
	KB_PHASE_QUESTION,
	KB_PHASE_LOOKUP,
	KB_PHASE_ANSWER,
	KB_PHASE_SEND, /* replies, and passing on what is left */
	KB_PHASE_MAX,
};

/* One burst in so many is timed by phases. Reading the clock between those of each burst of 32
 * costs a query 2.1 to 2.5 of 115 to 180 cycles (bench/dpdk_engine), so that needs no switch. */
#define KB_TIMED_EVERY 16

enum kb_worker_state {
	KB_WORKER_SERVING = 0,
	KB_WORKER_DRAINING = 1, /* is to get nothing more, but may */
	KB_WORKER_DRAINED = 2,	/* gets nothing more, and has answered all it got */
};

/* How a worker waits while idle: what became of enum kb_idle with this port and CPU. */
enum kb_wait {
	KB_WAIT_POLL = 0,
	KB_WAIT_PAUSE = 1,     /* pause instructions between polls */
	KB_WAIT_TPAUSE = 2,    /* a light sleep of the CPU, for a time */
	KB_WAIT_SLEEP = 3,     /* in the kernel, for a time */
	KB_WAIT_INTERRUPT = 4, /* in the kernel, until a frame arrives */
	KB_WAIT_MAX,
};

#define KB_WORKER_PORT_NAME 32

/* What a worker says of itself, for the operator; it holds for the row's present owner. */
struct kb_worker_says {
	char port[KB_WORKER_PORT_NAME]; /* name of the port, cut and ended by a 0 */
	__u64 tsc_hz;			/* of all cycles */
	struct kb_worker_tune tune;	/* in force */
	__u32 state;			/* enum kb_worker_state */
	__u32 wait;			/* enum kb_wait */
	__u32 link_down;		/* the port's; 0: up, or not known */
	__u32 pad;
};

struct kb_worker_counts {
	__u64 counter[KB_CNT_MAX];
	__u64 hist[KB_HIST_BUCKETS]; /* by the time of the burst that a reply was in */
	__u64 bursts;		     /* that were not empty */
	__u64 frames;		     /* in them */
	struct kb_kernel_counts kernel;
	__u64 timed;		    /* frames in bursts that were timed; */
	__u64 cycles[KB_PHASE_MAX]; /* and their time, in cycles of the TSC */
	__u64 busy, idle;	    /* cycles: of all bursts; and without any, sleep included */
	struct kb_worker_says says;
} KB_ALIGNED(64);

#endif
