/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growth: a larger index is made beside the present one, filled a slice at a time while
 * updates go to both, and switched to by one store. Readers see the old or the new, both
 * whole.
 *
 *   wanted    next.n is set; the work thread makes its memory (work.c)
 *   filling   next.bucket is there and holds the first `copied` slots of cur
 *   filled    readers that map the index themselves are given time to do so
 *   switched  next has become cur; the old one is retired: removed by the work thread after
 *             a grace period
 *
 * A new index takes the place of the one before the present, so the next growth waits until
 * that is removed.
 */
#include "control/table/private.h"

#include <errno.h>

/* Items that come back from the limbo in one turn. */
#define RECYCLE 1024

int kb_growth_start(struct kb_table *t, uint32_t n)
{
	uint64_t bytes = ((uint64_t)t->cur.n + n) * t->replicas * sizeof(struct kb_bucket) +
			 kb_arena_bytes(t);
	uint32_t gen;

	if (t->next.n)
		return -EBUSY;
	if ((t->mem_max && bytes > t->mem_max) || (uint64_t)n * t->replicas > UINT32_MAX)
		return -ENOSPC;
	/* A number of its own for each index, and the slot that cur does not have. */
	gen = (uint32_t)t->hdr->last_gen + 1;
	gen += (gen & 1) == (t->cur.gen & 1);
	t->hdr->last_gen = gen;
	return kb_index_init(&t->next, gen, n);
}

void kb_growth_want(struct kb_table *t)
{
	/* After a failure not with each name. */
	if (t->next.n || t->stats.names < t->growth_from)
		return;
	if (kb_growth_start(t, t->cur.n + t->cur.n / 4 * (1 + t->growth_failures)) < 0)
		t->growth_from = t->stats.names + t->cur.n / 16;
}

void kb_growth_abandon(struct kb_table *t)
{
	if (t->next.bucket) {
		t->retired = true;
		t->retired_buckets = t->next.n * t->replicas;
	}
	kb_index_fini(&t->next);
	t->copied = 0;
	t->growth_failures++;
	t->growth_from = t->stats.names + t->cur.n / 16;
}

static void switch_over(struct kb_table *t)
{
	uint32_t gen = t->next.gen;

	t->retired = true;
	t->retired_buckets = t->cur.n * t->replicas;
	kb_index_fini(&t->cur);
	t->cur = t->next;
	t->next = (struct kb_index){0};
	kb_table_online(t);
	__atomic_store_n(&t->hdr->shape[gen & 1], (uint64_t)t->replicas << 32 | t->cur.n,
			 __ATOMIC_RELEASE);
	__atomic_store_n(&t->hdr->state, kb_state_word(gen, kb_state_of(t->hdr->state)),
			 __ATOMIC_RELEASE);
	t->copied = 0;
	t->growth_failures = 0;
	t->growth_from = 0;
	t->stats.growths++;
}

static bool gen_ready(const struct kb_table *t)
{
	return !t->backing.gen_ready || t->backing.gen_ready(t->backing.arg, t->next.gen);
}

/* Copies up to `slots` slots, and switches when all are there and readers are ready, or at
 * once: those who are not leave packets alone until they are. */
static int fill(struct kb_table *t, size_t slots, bool at_once)
{
	bool ready = gen_ready(t) || at_once;

	for (; slots && t->copied < KB_SLOTS(t->cur.n); slots--, t->copied++) {
		int r = kb_index_copy(t, t->copied);

		if (r < 0) {
			kb_growth_abandon(t);
			return r;
		}
	}
	if (t->copied == KB_SLOTS(t->cur.n) && ready)
		switch_over(t);
	return 0;
}

int kb_index_grow(struct kb_table *t, uint32_t n)
{
	int r;

	if (!t->next.n) {
		r = kb_growth_start(t, n);
		if (r < 0)
			return r;
	}
	if (!t->next.bucket) {
		r = kb_work_index_now(t);
		if (r < 0)
			return r;
	}
	return fill(t, SIZE_MAX, true);
}

bool kb_table_step(struct kb_table *t)
{
	t->reserved = 0;
	if (t->next.bucket)
		fill(t, t->slice, false);
	if (!t->work.runs)
		kb_limbo_recycle(t, &t->waiting, RECYCLE);
	return t->next.bucket || (!t->work.runs && t->waiting.n);
}
