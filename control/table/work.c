/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What takes the kernel milliseconds, done on a thread of the owner's choice: grace periods,
 * new maps (whose entry into a map of maps waits for a grace period), and the end of old ones.
 *
 * The main thread asks for a thing between two works, the work thread makes it. If the main
 * thread cannot wait, it makes the thing itself: whoever comes first, under the lock.
 */
#include "control/table/private.h"

#include <errno.h>

/* With the lock held. */
static void make_pages(struct kb_table *t)
{
	struct kb_work *w = &t->work;
	uint32_t n = w->pages_wanted;

	if (!n)
		return;
	w->pages_wanted = 0;
	w->page_result = t->backing.page_new(t->backing.arg, w->page_n, n, w->page);
	if (w->page_result == 0)
		w->pages = n;
}

static void make_index(struct kb_table *t)
{
	struct kb_work *w = &t->work;

	if (!w->index_wanted)
		return;
	w->index_wanted = false;
	w->index_result =
		t->backing.index_new(t->backing.arg, w->index_gen & 1, w->index_n, &w->index);
}

static void drop_index(struct kb_table *t)
{
	struct kb_work *w = &t->work;

	if (!w->drop_wanted)
		return;
	w->drop_wanted = false;
	t->backing.index_drop(t->backing.arg, w->drop_gen & 1);
}

/* As many as what was reserved and has not come yet will need if it is like what has: the wait
 * for readers is one for all that are made at once. */
static uint32_t pages_expected(const struct kb_table *t)
{
	uint64_t names = t->stats.names, allowed = kb_pages_allowed(t), n = 0;

	if (names && names < t->reserved)
		n = (t->reserved - names) * t->arena.n_pages / names;
	if (n > KB_PAGES_STEP)
		n = KB_PAGES_STEP;
	if (n > allowed)
		n = allowed;
	if (n > KB_PAGES_MAX - t->arena.n_pages)
		n = KB_PAGES_MAX - t->arena.n_pages;
	return n ? (uint32_t)n : 1;
}

int kb_work_page_now(struct kb_table *t)
{
	struct kb_work *w = &t->work;
	uint32_t n = pages_expected(t);
	int r;

	r = kb_arena_reserve(&t->arena, n);
	if (r < 0)
		return r;
	pthread_mutex_lock(&w->lock);
	if (!w->pages) {
		w->pages_wanted = n;
		w->page_n = t->arena.n_pages;
		make_pages(t);
		r = w->page_result;
	}
	for (uint32_t i = 0; i < w->pages; i++)
		kb_arena_add(&t->arena, w->page[i]);
	if (r == 0)
		w->page_refused = false;
	w->pages = 0;
	w->spare = false;
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* Takes over what has been made for `next`. */
static int index_take(struct kb_table *t)
{
	struct kb_work *w = &t->work;
	int r = w->index_result;

	t->next.bucket = r == 0 ? w->index : NULL;
	w->index = NULL;
	w->index_result = 0;
	if (r < 0)
		kb_growth_abandon(t);
	return r;
}

int kb_work_index_now(struct kb_table *t)
{
	struct kb_work *w = &t->work;
	int r;

	if (t->retired) {
		t->backing.grace(t->backing.arg);
		pthread_mutex_lock(&w->lock);
		/* Unless the thread has done it meanwhile. */
		if (w->drop_wanted || !w->dropping) {
			w->drop_wanted = true;
			w->drop_gen = t->cur.gen + 1;
			drop_index(t);
		}
		w->dropping = false;
		t->retired = false;
		pthread_mutex_unlock(&w->lock);
	}
	pthread_mutex_lock(&w->lock);
	if (!w->index && w->index_result == 0) {
		w->index_wanted = true;
		w->index_gen = t->next.gen;
		w->index_n = t->next.n * t->replicas;
		make_index(t);
	}
	r = index_take(t);
	pthread_mutex_unlock(&w->lock);
	return r;
}

bool kb_table_work_begin(struct kb_table *t)
{
	struct kb_work *w = &t->work;
	struct limbo swap = t->waiting;

	/* What the last grace period has freed comes back first. */
	if (w->runs || t->waiting.n)
		return false;
	w->pages_wanted =
		!w->spare && !w->page_refused && kb_arena_is_low(&t->arena) && kb_pages_allowed(t);
	w->page_n = t->arena.n_pages;
	w->drop_wanted = w->dropping = t->retired;
	w->drop_gen = t->cur.gen + 1;
	w->index_wanted = t->next.n && !t->next.bucket && !t->retired;
	w->index_gen = t->next.gen;
	w->index_n = t->next.n * t->replicas;
	if (!w->pages_wanted && !w->drop_wanted && !w->index_wanted && t->pending.n == 0)
		return false;
	t->waiting = t->pending;
	t->pending = swap;
	w->runs = true;
	return true;
}

void kb_table_work_run(struct kb_table *t)
{
	struct kb_work *w = &t->work;

	pthread_mutex_lock(&w->lock);
	make_pages(t);
	make_index(t);
	pthread_mutex_unlock(&w->lock);
	t->backing.grace(t->backing.arg);
	pthread_mutex_lock(&w->lock);
	drop_index(t);
	pthread_mutex_unlock(&w->lock);
}

void kb_table_work_end(struct kb_table *t)
{
	struct kb_work *w = &t->work;

	w->runs = false;
	w->spare = w->pages != 0;
	w->page_refused = w->page_result < 0;
	if (w->dropping)
		t->retired = false;
	w->dropping = false;
	if (t->next.n && !t->next.bucket && (w->index || w->index_result < 0))
		index_take(t);
}

void kb_table_settle(struct kb_table *t)
{
	for (;;) {
		while (kb_table_step(t))
			;
		if (!kb_table_work_begin(t))
			return;
		kb_table_work_run(t);
		kb_table_work_end(t);
	}
}
