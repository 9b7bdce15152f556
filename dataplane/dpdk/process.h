/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of kbdns-dpdk and what they share.
 *
 *   main	starts everything, then is the first worker
 *   workers	one on each lcore: receive, answer, send, wait (worker.c)
 *   control	without a core of its own: follows the table's writer, looks at links, withdraws
 *		the queues of workers that are to drain (control.c)
 *   taps	one of this kind for each port with an exception path (exception.h)
 *
 * Withdrawn is a queue that nothing more is sent to. Until then, and for a while after, its
 * worker receives and answers, so that nothing which has reached it is lost.
 */
#ifndef KB_DPDK_PROCESS_H
#define KB_DPDK_PROCESS_H

#include <signal.h>

#include <rte_config.h>

#include "dataplane/dpdk/exception.h"
#include "dataplane/dpdk/idle.h"
#include "dataplane/dpdk/options.h"
#include "dataplane/dpdk/port.h"
#include "dataplane/dpdk/queue.h"
#include "dataplane/dpdk/shared.h"

struct kb_dpdk_process_port {
	uint16_t id;
	bool started, up;
	bool told_sleep; /* that its workers sleep where they were to wait for interrupts */
	bool away;	 /* withdrawn, with all its queues */
	bool cannot;	 /* it could not be, when that was tried last */
	struct kb_dpdk_port conf;
	struct kb_exception *exception; /* owned; NULL: what is left is dropped */
};

enum kb_dpdk_away {
	KB_AWAY_NO,
	KB_AWAY_YES,
	KB_AWAY_CANNOT, /* queries go on coming: the port cannot be told to take none */
};

struct kb_dpdk_worker {
	struct kb_dpdk_queue queue;
	struct kb_dpdk_idle idle;
	struct kb_dpdk_process *process;   /* borrowed, as the port */
	struct kb_dpdk_process_port *port; /* the control thread's, but for what never changes */
	uint64_t polls;			   /* control thread's: when it looked last */
	/* The worker's. */
	uint64_t drain_ns, quiet_ns; /* since when it drains, since when nothing has come */
	/* Atomic. */
	uint32_t drain;	    /* the worker wants its queue withdrawn */
	uint32_t away;	    /* enum kb_dpdk_away; of control to the worker */
	uint32_t link_down; /* likewise */
	uint32_t wait;	    /* enum kb_wait, of the worker */
};

struct kb_dpdk_process {
	struct kb_dpdk_options options;
	struct kb_shared *shared; /* owned */
	struct kb_dpdk_process_port port[RTE_MAX_ETHPORTS];
	unsigned int n_ports;
	struct kb_dpdk_worker *worker[RTE_MAX_LCORE]; /* owned */
	unsigned int n_workers;
	volatile sig_atomic_t stop; /* by a signal, kbdnsd's word, or a table that is gone */
	bool control_end, stale;
};

uint64_t kb_dpdk_now_ns(clockid_t clock);

/* An lcore's, until the process is to stop and the worker has drained. `arg` is its struct
 * kb_dpdk_worker. */
int kb_dpdk_worker_run(void *arg);

/* The control thread's, until control_end. `arg` is the process. */
void *kb_dpdk_control_run(void *arg);

#endif
