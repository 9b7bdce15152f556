/* SPDX-License-Identifier: Apache-2.0 */
/* What querylog.c, socket.c and trace.c share. */
#ifndef KB_QUERYLOG_PRIVATE_H
#define KB_QUERYLOG_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/querylog/output.h"
#include "control/querylog/queue.h"
#include "control/querylog/tap.h"
#include "control/querylog/trace.h"

struct kb_trace {
	struct kb_querylog *log; /* borrowed */
	struct kb_trace_filter filter;
	struct kb_sampler sampler; /* the thread's */
	struct kb_event_queue queue;
	atomic_uint_fast64_t dropped;
};

struct kb_querylog {
	struct kb_datapath *datapath; /* borrowed, may be NULL */
	struct kb_table *table;	      /* borrowed, may be NULL */

	/* What engines do now: of log and traces together. classes 0: off. */
	atomic_uint every, classes;
	struct kb_event_queue queue; /* of sockets and forwarder */
	atomic_uint_fast64_t socket_events, dropped_queue;

	/* What the log wants; main thread. */
	char *path; /* owned, NULL: off */
	bool json;
	uint32_t log_every, log_classes;

	pthread_t thread;
	bool running;
	int wake_fd; /* owned eventfd, -1 before the thread */

	pthread_mutex_t lock; /* of all below */
	bool stop;
	bool changed;	/* next_* are for the thread to take */
	int next_fd;	/* given to it, -1: no file; NO_FD: as before, next_tap too */
	char *next_tap; /* given to it with next_fd, NULL: no socket */
	bool next_json;
	uint32_t next_thin, next_classes;
	struct kb_trace *traces[KB_TRACES_MAX];
	uint64_t thin[KB_TRACES_MAX]; /* each trace takes one in so many of what comes */

	/* The thread's. */
	struct kb_event_ring *ring; /* owned */
	struct kb_output output;
	struct kb_tap tap; /* instead of output */
	bool out_json;
	uint32_t out_thin, out_classes;
	struct kb_sampler out_sampler;
	int64_t wall_offset;
	atomic_uint_fast64_t written, dropped_write; /* of output and tap */
};

/* Makes what log and traces want effective in all engines. */
void kb_querylog_apply(struct kb_querylog *log);
/* Starts the thread if it does not run. 0 or -errno. */
int kb_querylog_start(struct kb_querylog *log);
void kb_querylog_wake(struct kb_querylog *log);

#endif
