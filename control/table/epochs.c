/* SPDX-License-Identifier: Apache-2.0 */
#include "control/table/epochs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define POLL_US	    20 /* a burst of a busy worker is over by then */
#define POLL_MAX_US 1000

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* Frees the row unless it changes hands at this moment. */
static void take_back(struct kb_worker_row *row, __u64 owner)
{
	__atomic_compare_exchange_n(&row->owner, &owner,
				    kb_worker_said(kb_worker_number_of(owner), 0), false,
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void kb_epochs_init(struct kb_epochs *e, struct kb_workers *shared)
{
	memset(e, 0, sizeof(*e));
	e->shared = shared;
	atomic_init(&e->bound_ms, KB_EPOCHS_BOUND_MS);
	pthread_mutex_init(&e->lock, NULL);
	for (uint32_t i = 0; i < KB_WORKERS_LOCAL; i++) {
		struct kb_worker_row *row = &shared->row[i];

		take_back(row, __atomic_load_n(&row->owner, __ATOMIC_RELAXED));
	}
	/* From 1 on: 0 means offline. */
	if (!shared->epoch)
		__atomic_store_n(&shared->epoch, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shared->announced, 0, __ATOMIC_RELEASE);
}

void kb_epochs_fini(struct kb_epochs *e)
{
	if (e->shared)
		pthread_mutex_destroy(&e->lock);
	e->shared = NULL;
}

void kb_epochs_set_bound(struct kb_epochs *e, unsigned int ms)
{
	atomic_store(&e->bound_ms, ms);
}

uint64_t kb_epochs_begin(struct kb_epochs *e)
{
	uint64_t epoch = __atomic_add_fetch(&e->shared->epoch, 1, __ATOMIC_SEQ_CST);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return epoch;
}

static bool is_gone(const struct kb_worker_row *row, uint64_t number)
{
	return __atomic_load_n(&row->gone, __ATOMIC_RELAXED) == number;
}

/* May the registration `number`, which has the row, hold what is older than the epoch? */
static bool holds(const struct kb_worker_row *row, uint64_t number, uint64_t epoch)
{
	uint64_t seen = __atomic_load_n(&row->seen, __ATOMIC_ACQUIRE);

	if (kb_worker_number_of(seen) != number)
		return true;
	seen &= KB_WORKER_SAID_MASK;
	return seen != KB_WORKER_OFFLINE && seen < epoch;
}

/* Nobody has this row, or somebody who cannot hold anything of the past. */
static bool passed(const struct kb_worker_row *row, uint64_t epoch)
{
	uint64_t owner = __atomic_load_n(&row->owner, __ATOMIC_ACQUIRE);
	uint64_t number = kb_worker_number_of(owner);

	return !(owner & KB_WORKER_TAKEN) || is_gone(row, number) || !holds(row, number, epoch);
}

static void declare_gone(struct kb_epochs *e, struct kb_worker_row *row, uint64_t epoch)
{
	uint64_t owner, number;

	/* So that a late hand does not put an older registration's number over a newer one's. */
	pthread_mutex_lock(&e->lock);
	owner = __atomic_load_n(&row->owner, __ATOMIC_ACQUIRE);
	number = kb_worker_number_of(owner);
	if (owner & KB_WORKER_TAKEN && !is_gone(row, number) && holds(row, number, epoch)) {
		__atomic_store_n(&row->gone, number, __ATOMIC_RELAXED);
		atomic_fetch_add(&e->gone, 1);
	}
	pthread_mutex_unlock(&e->lock);
	/* Before anything is used again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void pause_us(unsigned int us)
{
	struct timespec ts = {.tv_nsec = (long)us * 1000};

	nanosleep(&ts, NULL);
}

void kb_epochs_wait(struct kb_epochs *e, uint64_t epoch)
{
	uint64_t end = 0;
	unsigned int us = POLL_US;

	for (uint32_t i = 0; i < KB_WORKERS_MAX; i++) {
		struct kb_worker_row *row = &e->shared->row[i];

		while (!passed(row, epoch)) {
			uint64_t now = now_ns();

			if (!end)
				end = now + atomic_load(&e->bound_ms) * 1000000ULL;
			if (i >= KB_WORKERS_LOCAL && now >= end) {
				declare_gone(e, row, epoch);
				continue;
			}
			pause_us(us);
			us = us * 2 < POLL_MAX_US ? us * 2 : POLL_MAX_US;
		}
	}
	/* What they did before is before what the writer does now. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

bool kb_epochs_gen_ready(struct kb_epochs *e, uint32_t gen)
{
	uint64_t now = now_ns() / 1000000, want = kb_worker_gen(gen);

	if (e->shared->announced != want) {
		__atomic_store_n(&e->shared->announced, want, __ATOMIC_RELEASE);
		e->announced_ms = now;
	}
	if (now - e->announced_ms >= atomic_load(&e->bound_ms))
		return true;
	for (uint32_t i = KB_WORKERS_LOCAL; i < KB_WORKERS_MAX; i++) {
		const struct kb_worker_row *row = &e->shared->row[i];
		uint64_t owner = __atomic_load_n(&row->owner, __ATOMIC_ACQUIRE);
		uint64_t number = kb_worker_number_of(owner);

		if (owner & KB_WORKER_TAKEN && !is_gone(row, number) &&
		    __atomic_load_n(&row->mapped, __ATOMIC_ACQUIRE) != kb_worker_said(number, want))
			return false;
	}
	return true;
}

void kb_epochs_sweep(struct kb_epochs *e)
{
	uint64_t now = now_ns();

	for (uint32_t i = KB_WORKERS_LOCAL; i < KB_WORKERS_MAX; i++) {
		struct kb_worker_row *row = &e->shared->row[i];
		uint64_t owner = __atomic_load_n(&row->owner, __ATOMIC_ACQUIRE);
		uint64_t beat = __atomic_load_n(&row->beat_ns, __ATOMIC_RELAXED);

		/* A beat of a moment ago may be later than this `now`. */
		if (owner & KB_WORKER_TAKEN && now > beat && now - beat > KB_WORKER_SILENT_NS)
			take_back(row, owner);
	}
}

int kb_epochs_ask(struct kb_epochs *e, uint32_t row, enum kb_worker_ask ask)
{
	struct kb_worker_row *r = &e->shared->row[row];
	uint64_t owner = __atomic_load_n(&r->owner, __ATOMIC_ACQUIRE);

	assert(row >= KB_WORKERS_LOCAL && row < KB_WORKERS_MAX);
	if (!(owner & KB_WORKER_TAKEN))
		return -ENOENT;
	__atomic_store_n(&r->ask, kb_worker_said(kb_worker_number_of(owner), ask),
			 __ATOMIC_RELEASE);
	return 0;
}

void kb_epochs_stats(const struct kb_epochs *e, struct kb_epochs_stats *ret_stats)
{
	struct kb_epochs_stats s = {.gone = atomic_load(&e->gone)};

	for (uint32_t i = 0; i < KB_WORKERS_MAX; i++) {
		const struct kb_worker_row *row = &e->shared->row[i];
		uint64_t owner = __atomic_load_n(&row->owner, __ATOMIC_RELAXED);
		uint64_t seen = __atomic_load_n(&row->seen, __ATOMIC_RELAXED);

		if (!(owner & KB_WORKER_TAKEN))
			continue;
		s.registered++;
		s.online += (seen & KB_WORKER_SAID_MASK) != KB_WORKER_OFFLINE;
		s.discarded += __atomic_load_n(&row->discarded, __ATOMIC_RELAXED);
	}
	*ret_stats = s;
}
