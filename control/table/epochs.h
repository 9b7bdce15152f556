/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's side of dataplane/core/worker.h: waits, bounded, for readers outside the
 * kernel, and tells them of the next index. The backing's grace() and index_switch() call it.
 *
 *	e = kb_epochs_begin(epochs);
 *	... wait for the kernel's readers ...
 *	kb_epochs_wait(epochs, e);
 */
#ifndef KB_TABLE_EPOCHS_H
#define KB_TABLE_EPOCHS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"

/* How long a worker that is online may keep the writer waiting, unless asked otherwise. */
#define KB_EPOCHS_BOUND_MS 100

struct kb_epochs {
	struct kb_workers *shared; /* borrowed */
	atomic_uint bound_ms;
	pthread_mutex_t lock; /* around declaring workers gone */
	atomic_uint_fast64_t gone;
	uint64_t announced_ms;
};

struct kb_epochs_stats {
	uint64_t registered; /* rows, kbdnsd's own threads included */
	uint64_t online;     /* of those, now */
	uint64_t gone;	     /* times that a worker was declared gone */
	uint64_t discarded;  /* packets that workers have given up for it, of those registered */
};

/* Takes over what is there; rows of kbdnsd's own threads are free from now on (the former
 * kbdnsd has ended). */
void kb_epochs_init(struct kb_epochs *e, struct kb_workers *shared);
void kb_epochs_fini(struct kb_epochs *e);
void kb_epochs_set_bound(struct kb_epochs *e, unsigned int ms);

/* A grace period in two halves. Any thread, several at a time. */
uint64_t kb_epochs_begin(struct kb_epochs *e);
void kb_epochs_wait(struct kb_epochs *e, uint64_t epoch);

/*
 * Announces the index of generation `gen`, and returns whether it may be switched to: every
 * registered worker of another process has mapped it, or had the bound's time since the first
 * call for this generation. Does not wait. One thread.
 */
bool kb_epochs_gen_ready(struct kb_epochs *e, uint32_t gen);

/* Takes back the rows of workers that have been silent for KB_WORKER_SILENT_NS. Call it about
 * once a second. */
void kb_epochs_sweep(struct kb_epochs *e);

/* Asks the worker of another process that has this row. 0, or -ENOENT: nobody has it. One thread.
 */
int kb_epochs_ask(struct kb_epochs *e, uint32_t row, enum kb_worker_ask ask);
void kb_epochs_stats(const struct kb_epochs *e, struct kb_epochs_stats *ret_stats);

#endif
