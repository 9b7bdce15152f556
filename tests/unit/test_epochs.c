/* SPDX-License-Identifier: Apache-2.0 */
/* Epoch counters: both sides of dataplane/core/worker.h. What happens when they meet in time is
 * tests/model's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/table/epochs.h"

#define FIRST KB_WORKERS_LOCAL

struct fixture {
	struct kb_workers *w;
	struct kb_epochs e;
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->w = aligned_alloc(64, sizeof(*f->w));
	memset(f->w, 0, sizeof(*f->w));
	kb_epochs_init(&f->e, f->w);
	kb_epochs_set_bound(&f->e, 5);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kb_epochs_fini(&f->e);
	free(f->w);
	free(f);
	return 0;
}

static struct kb_reader join(struct fixture *f, uint32_t first, uint32_t end)
{
	struct kb_reader_info info = {.pid = 1, .ifindex = 2, .queue = 3};
	struct kb_reader r;

	assert_true(kb_reader_register(&r, f->w, first, end, &info, clock_ns()));
	return r;
}

static uint64_t gone(const struct fixture *f)
{
	struct kb_epochs_stats s;

	kb_epochs_stats(&f->e, &s);
	return s.gone;
}

static uint64_t registered(const struct fixture *f)
{
	struct kb_epochs_stats s;

	kb_epochs_stats(&f->e, &s);
	return s.registered;
}

static void grace(struct fixture *f)
{
	kb_epochs_wait(&f->e, kb_epochs_begin(&f->e));
}

static void test_rows(void **state)
{
	struct fixture *f = *state;
	struct kb_reader_info info = {.pid = 1};
	struct kb_reader r[KB_WORKERS_MAX - FIRST], more;

	for (size_t i = 0; i < KB_WORKERS_MAX - FIRST; i++)
		r[i] = join(f, FIRST, KB_WORKERS_MAX);
	assert_false(kb_reader_register(&more, f->w, FIRST, KB_WORKERS_MAX, &info, 1));
	assert_int_equal(registered(f), KB_WORKERS_MAX - FIRST);
	kb_reader_unregister(&r[7]);
	more = join(f, FIRST, KB_WORKERS_MAX);
	assert_ptr_equal(more.row, &f->w->row[FIRST + 7]);
	assert_int_equal(more.number, 2);
	assert_int_equal(more.row->queue, 3);
}

/* Offline and quiescent workers delay nobody, and nobody is declared gone for them. */
static void test_passing(void **state)
{
	struct fixture *f = *state;
	struct kb_reader r = join(f, FIRST, KB_WORKERS_MAX);
	uint64_t e;

	grace(f);
	kb_reader_online(&r);
	kb_reader_offline(&r);
	grace(f);
	kb_reader_online(&r);
	e = kb_epochs_begin(&f->e);
	kb_reader_quiescent(&r);
	kb_epochs_wait(&f->e, e);
	/* Online since after the epoch. */
	kb_reader_offline(&r);
	e = kb_epochs_begin(&f->e);
	kb_reader_online(&r);
	kb_epochs_wait(&f->e, e);
	assert_int_equal(gone(f), 0);
	assert_true(kb_reader_still_mine(&r));
	kb_reader_unregister(&r);
	assert_int_equal(registered(f), 0);
}

static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct kb_reader r = join(f, FIRST, KB_WORKERS_MAX);
	uint64_t t0 = clock_ns();

	kb_reader_online(&r);
	grace(f);
	assert_true(clock_ns() - t0 >= 5000000);
	assert_int_equal(gone(f), 1);
	assert_false(kb_reader_still_mine(&r));
	/* Once, and it delays nobody any more. */
	grace(f);
	assert_int_equal(gone(f), 1);
	kb_reader_quiescent(&r);
	assert_false(kb_reader_still_mine(&r));
	assert_true(kb_reader_rejoin(&r));
	kb_reader_online(&r);
	assert_true(kb_reader_still_mine(&r));
	grace(f);
	assert_int_equal(gone(f), 2);
	assert_false(kb_reader_still_mine(&r));
}

/* A row whose worker was silent goes to another; what the former one still says does not
 * count for the other. */
static void test_taken_back(void **state)
{
	struct fixture *f = *state;
	struct kb_reader r = join(f, FIRST, KB_WORKERS_MAX), other;

	kb_epochs_sweep(&f->e);
	assert_true(kb_reader_still_mine(&r));
	kb_reader_online(&r);
	kb_reader_beat(&r, clock_ns() - KB_WORKER_SILENT_NS - 1000000000);
	kb_epochs_sweep(&f->e);
	assert_int_equal(registered(f), 0);
	assert_false(kb_reader_still_mine(&r));
	grace(f);
	assert_int_equal(gone(f), 0);

	other = join(f, FIRST, KB_WORKERS_MAX);
	assert_ptr_equal(other.row, r.row);
	kb_reader_online(&other);
	kb_reader_offline(&r);
	grace(f);
	assert_int_equal(gone(f), 1);
	assert_false(kb_reader_still_mine(&other));
	assert_false(kb_reader_rejoin(&r));
	assert_true(kb_reader_rejoin(&other));
	/* Nor does it give away the other's row. */
	r.row = other.row;
	kb_reader_unregister(&r);
	assert_int_equal(registered(f), 1);
	assert_true(kb_reader_still_mine(&other));
}

/* Numbers go round, and 0 is left out. */
static void test_numbers(void **state)
{
	struct fixture *f = *state;
	struct kb_reader r;

	f->w->row[FIRST].owner = kb_worker_said(KB_WORKER_NUMBER_MAX, 0);
	r = join(f, FIRST, KB_WORKERS_MAX);
	assert_int_equal(r.number, 1);
	assert_true(kb_reader_still_mine(&r));
}

static void test_generations(void **state)
{
	struct fixture *f = *state;
	struct kb_reader r, own;

	kb_epochs_set_bound(&f->e, 100000);
	assert_true(kb_epochs_gen_ready(&f->e, 1));
	own = join(f, 0, KB_WORKERS_LOCAL);
	assert_true(kb_epochs_gen_ready(&f->e, 1));
	r = join(f, FIRST, KB_WORKERS_MAX);
	assert_false(kb_epochs_gen_ready(&f->e, 1));
	assert_int_equal(f->w->announced, kb_worker_gen(1));
	kb_reader_mapped(&r, 0);
	assert_false(kb_epochs_gen_ready(&f->e, 1));
	kb_reader_mapped(&r, 1);
	assert_true(kb_epochs_gen_ready(&f->e, 1));
	assert_false(kb_epochs_gen_ready(&f->e, 2));
	/* A new registration has to say it again. */
	kb_reader_mapped(&r, 2);
	assert_true(kb_epochs_gen_ready(&f->e, 2));
	assert_true(kb_reader_rejoin(&r));
	assert_false(kb_epochs_gen_ready(&f->e, 2));
	/* Bounded. */
	kb_epochs_set_bound(&f->e, 0);
	assert_true(kb_epochs_gen_ready(&f->e, 2));
	kb_reader_unregister(&own);
}

/* The next kbdnsd: its own threads' rows are free, the others' stay. */
static void test_adopted(void **state)
{
	struct fixture *f = *state;
	struct kb_reader own = join(f, 0, KB_WORKERS_LOCAL);
	struct kb_reader r = join(f, FIRST, KB_WORKERS_MAX);
	uint64_t epoch;

	kb_reader_online(&own);
	kb_reader_online(&r);
	epoch = kb_epochs_begin(&f->e);
	kb_epochs_fini(&f->e);
	kb_epochs_init(&f->e, f->w);
	kb_epochs_set_bound(&f->e, 5);
	assert_int_equal(registered(f), 1);
	assert_true(kb_reader_still_mine(&r));
	assert_true(kb_epochs_begin(&f->e) > epoch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_passing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
