/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What may be changed of workers in other processes while they run: one word of the header,
 * which kbdnsd stores and each worker compares with the last one that it saw whenever it polls.
 * A worker keeps what was given on its own command line.
 */
#ifndef KB_CORE_WORKER_TUNE_H
#define KB_CORE_WORKER_TUNE_H

#include "types.h"

/* Frames of a burst. */
#define KB_BURST_MAX 128
/* Frames that are asked for at once. With a million names 4 take 126 ns each, 8 94, 16 78, 32 74,
 * and 64 and 128 no less; see bench/dpdk_engine --tried. */
#define KB_BURST_DEFAULT 32
/* Of 1 to 32 the best, by little; see bench/dpdk_engine --tried. */
#define KB_AHEAD_DEFAULT 2
#define KB_AHEAD_MAX	 32

/* What a worker does while nothing arrives. */
enum kb_idle {
	KB_IDLE_BUSY = 1,      /* polls */
	KB_IDLE_PAUSE = 2,     /* polls, and rests the core in between: it stays the worker's */
	KB_IDLE_INTERRUPT = 3, /* sleeps in the kernel, which gives the core to others */
	KB_IDLE_MAX,
};

/* An engine for cores of its own: the lowest median (bench/dpdk_idle at 2,000 queries a second: 21
 * to 49 us, with sleeps of 50 us 73 to 91, of 100 us 89 to 106). On cores that other threads use
 * too, which stop a worker that never sleeps, sleeping has the lower p99 (at 20,000: 3 to 5 ms, and
 * 0.3 with sleeps of 100 us), and takes an eighth of a core while nothing comes. */
#define KB_IDLE_DEFAULT KB_IDLE_BUSY

/* The longest sleep, in microseconds. Workers beat between two of them, and a row whose beat is
 * older than milliseconds may have lost its queue. */
#define KB_IDLE_SLEEP_MAX_US	 5000
#define KB_IDLE_SLEEP_DEFAULT_US 100

struct kb_worker_tune {
	__u32 burst;	/* 1..KB_BURST_MAX; 0 in any of them: not given */
	__u32 ahead;	/* 1..KB_AHEAD_MAX */
	__u32 idle;	/* enum kb_idle */
	__u32 sleep_us; /* 1..KB_IDLE_SLEEP_MAX_US: at most, while idle */
};

KB_INLINE __u64 kb_worker_tune_word(const struct kb_worker_tune *t)
{
	return (__u64)(t->burst & 0xff) | (__u64)(t->ahead & 0xff) << 8 |
	       (__u64)(t->idle & 0xff) << 16 | (__u64)t->sleep_us << 32;
}

/* Whatever the word is, each field is 0 or within its limits. */
KB_INLINE void kb_worker_tune_read(struct kb_worker_tune *t, __u64 word)
{
	t->burst = (__u32)word & 0xff;
	t->ahead = (__u32)(word >> 8) & 0xff;
	t->idle = (__u32)(word >> 16) & 0xff;
	t->sleep_us = (__u32)(word >> 32);
	if (t->burst > KB_BURST_MAX)
		t->burst = 0;
	if (t->ahead > KB_AHEAD_MAX)
		t->ahead = 0;
	if (t->idle >= KB_IDLE_MAX)
		t->idle = 0;
	if (t->sleep_us > KB_IDLE_SLEEP_MAX_US)
		t->sleep_us = 0;
}

#endif
