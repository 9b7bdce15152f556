// SPDX-License-Identifier: Apache-2.0
/*
 * A worker in a process of its own over the pinned table of another, as kbdns-dpdk and kbdnsd are,
 * while that one changes, removes, reuses and grows, and while the worker is stopped for longer
 * than the writer waits for it. Each answer is checked against an invariant of its name. Root.
 *
 * Name i has 3 to 10 addresses, all alike: i in the upper bits, the version of the change in the
 * lower ones. So an answer that mixes records, or is another name's, shows.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "control/datapath/datapath.h"
#include "dataplane/dpdk/shared.h"
#include "tests/bpf/bpf_world.h"
#include "tests/dpdk/rows.h"

#define NAMES	512 /* that change all the time */
#define GROWN	6000
#define BURST	64
#define STOP_US 250000		/* the writer waits for 100 ms */
#define STOPS	400		/* at most, until some have caught the worker in a burst */
#define CAUGHT	(5 * BURST / 2) /* replies discarded: at least three bursts */

/* What the worker's process says, in memory that both have. */
struct report {
	uint64_t answers, wrong, unanswered, discarded, generations;
	bool ready, end; /* the worker runs; it is to end */
	bool grown;	 /* all names are there */
};

static struct kb_datapath *dp;
static struct report *report;
static char err[512];

static void name_text(char *text, size_t size, uint32_t i)
{
	snprintf(text, size, "n%05u." ZONE, i);
}

static void put_version(uint32_t i, uint32_t version)
{
	uint32_t n = 3 + (i + version) % 8;
	struct set_spec set = {.type = TYPE_A,
			       .form = KB_FORM_WIRE,
			       .rr_len = 16,
			       .an = (uint16_t)n,
			       .len = (uint16_t)(16 * n)};
	uint8_t body[160];
	char text[64];

	rr_body(body, TYPE_A, n, 4);
	for (uint32_t k = 0; k < n; k++) {
		put16(body + 16 * k + 12, i);
		put16(body + 16 * k + 14, version);
	}
	set.body = body;
	name_text(text, sizeof(text), i);
	put_entry(text, KB_VALUE_REC, 1, put_record(&set, 1), NULL);
}

static void remove_name(uint32_t i)
{
	uint8_t wire[64];
	char text[64];

	name_text(text, sizeof(text), i);
	assert_int_equal(kb_table_del(table, wire, lower_wire(text, wire)), 0);
}

/* ---- the worker's process ---- */

static bool reply_is_right(const uint8_t *dns, uint32_t i)
{
	uint32_t n = get16(dns + 6), version;
	const uint8_t *rr = dns + 12 + 7 + 19 + 4; /* behind n00000, the zone, type and class */

	if ((dns[3] & 15) == 3)
		return i < NAMES; /* those are removed now and then */
	if ((dns[3] & 15) != 0 || n < 3 || n > 10)
		return false;
	version = get16(rr + 14);
	if (n != 3 + (i + version) % 8)
		return false;
	for (uint32_t k = 0; k < n; k++, rr += 16) {
		if (get16(rr + 12) != i || get16(rr + 14) != version)
			return false;
	}
	return true;
}

/* A query for each name, made once: a stop is to find the worker in a burst, not here. */
static void make_queries(struct frame *q)
{
	char text[64];

	for (uint32_t i = 0; i < GROWN; i++) {
		name_text(text, sizeof(text), i);
		frame_query(&q[i], false, text, TYPE_A, 0, 0);
	}
}

static void feed_and_check(const struct frame *q, uint32_t names)
{
	static uint64_t random = 88172645463325252ULL;
	uint32_t n = 0, asked[BURST];
	void *m;

	for (uint32_t k = 0; k < BURST; k++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		asked[k] = (uint32_t)((random >> 16) % names);
		m = ports_mbuf(&q[asked[k]]);
		put16(rte_pktmbuf_mtod((struct rte_mbuf *)m, uint8_t *) + 42, k);
		rte_ring_enqueue(ports.rx, m);
	}
	kb_dpdk_queue_poll(&ports.queue, ports_now_ns());
	while (rte_ring_dequeue(ports.tx, &m) == 0) {
		const uint8_t *dns = rte_pktmbuf_mtod((struct rte_mbuf *)m, uint8_t *) + 42;
		uint32_t k = get16(dns);

		n++;
		report->answers++;
		report->wrong += k >= BURST || !reply_is_right(dns, asked[k]);
		rte_pktmbuf_free(m);
	}
	report->unanswered += BURST - n;
}

static void *follow(void *shared)
{
	uint64_t polls = 0, now;

	while (!report->end) {
		now = __atomic_load_n(&ports.queue.polls, __ATOMIC_ACQUIRE);
		if (kb_shared_follow(shared, now != polls, err, sizeof(err)) == 1)
			report->generations++;
		polls = now;
		usleep(2000);
	}
	return NULL;
}

static int worker_process(void)
{
	struct frame *q = calloc(GROWN, sizeof(*q));
	struct kb_shared *shared;
	pthread_t thread;

	if (kb_shared_open(world_dir, &shared, err, sizeof(err)) < 0 || ports_setup() < 0) {
		print_error("worker: %s\n", err);
		return 1;
	}
	ports.queue.left_take = NULL;
	ports.queue.burst = BURST;
	ports.queue.engine.table = kb_shared_table(shared);
	ports.queue.workers = kb_shared_workers(shared);
	ports.queue.stats = kb_shared_stats(shared);
	if (kb_dpdk_queue_start(&ports.queue, ports_now_ns()) < 0 ||
	    pthread_create(&thread, NULL, follow, shared) != 0)
		return 1;
	make_queries(q);
	report->ready = true;
	while (!report->end) {
		feed_and_check(q, report->grown ? GROWN : NAMES);
		report->discarded = ports.queue.engine.stats->counter[KB_CNT_GONE];
	}
	pthread_join(thread, NULL);
	kb_dpdk_queue_stop(&ports.queue);
	if (rte_mempool_in_use_count(ports.pool) != 0)
		return 1;
	rte_eal_cleanup();
	kb_shared_close(shared);
	free(q);
	return 0;
}

/* ---- the writer ---- */

static pid_t worker_pid;

static int status_of_worker(void)
{
	int status = -1;

	if (waitpid(worker_pid, &status, 0) != worker_pid)
		return -1;
	worker_pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Waits for a condition that must come true on any machine. */
#define WAIT_FOR(cond)                                                        \
	do {                                                                  \
		int turns = 0;                                                \
		while (!(cond)) {                                             \
			if (++turns > 60000 || kill(worker_pid, 0) < 0 ||     \
			    waitpid(worker_pid, NULL, WNOHANG) == worker_pid) \
				fail_msg("not within a minute: %s", #cond);   \
			usleep(1000);                                         \
		}                                                             \
	} while (0)

/* One round of changes; names go and come back, their records' memory is used again. */
static void churn(uint32_t round)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		if ((i + round) % 16 == 0)
			remove_name(i);
		else
			put_version(i, round);
	}
	kb_table_settle(table);
	for (uint32_t i = 0; i < NAMES; i++) {
		if ((i + round) % 16 == 0)
			put_version(i, round);
	}
}

static int shared_setup(void **state)
{
	if (world_setup(state) < 0)
		return -1;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (report == MAP_FAILED ||
	    kb_datapath_open(&(struct kb_datapath_config){.dir = world_dir}, &dp, err,
			     sizeof(err)) < 0 ||
	    kb_datapath_load_programs(dp, err, sizeof(err)) < 0) {
		print_error("%s\n", err);
		return -1;
	}
	kb_datapath_backing(dp, &ports.backing);
	table_fill(&ports.backing);
	rows_beat(600000);
	return kb_datapath_beat(dp, 600000);
}

static int shared_teardown(void **state)
{
	if (worker_pid) {
		kill(worker_pid, SIGKILL);
		status_of_worker();
	}
	kb_table_free(table);
	kb_datapath_close(dp, false);
	return world_teardown(state);
}

/* What a program that starts is told. */
static void test_open(void **state)
{
	struct kb_header *hdr = ports.backing.header;
	struct kb_shared *shared = NULL;

	(void)state;
	assert_int_equal(kb_shared_open("/sys/fs/bpf/nobody", &shared, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "kbdnsd does not run"));
	hdr->version++;
	assert_int_equal(kb_shared_open(world_dir, &shared, err, sizeof(err)), -EPROTO);
	assert_non_null(strstr(err, "layout version"));
	hdr->version--;
	hdr->magic = 0;
	assert_int_equal(kb_shared_open(world_dir, &shared, err, sizeof(err)), -EAGAIN);
	hdr->magic = KB_LAYOUT_MAGIC;
	assert_null(shared);
	assert_int_equal(kb_shared_open(world_dir, &shared, err, sizeof(err)), 0);
	assert_int_equal(kb_shared_follow(shared, true, err, sizeof(err)), 0);
	kb_shared_close(shared);
}

/* Nothing but rows of workers can be written through the mappings. */
static void test_read_only(void **state)
{
	const struct kb_dpdk_table *tab;
	struct kb_shared *shared;
	pid_t pid;
	int status;

	(void)state;
	assert_int_equal(kb_shared_open(world_dir, &shared, err, sizeof(err)), 0);
	tab = kb_shared_table(shared);
	for (int i = 0; i < 4; i++) {
		volatile uint8_t *at = i == 0	? (uint8_t *)(uintptr_t)tab->hdr
				       : i == 1 ? (uint8_t *)(uintptr_t)tab->icept
				       : i == 2 ? (uint8_t *)(uintptr_t)tab->env.index[0]
						: (uint8_t *)tab->env.page[0];

		pid = fork();
		if (pid == 0) {
			signal(SIGSEGV, SIG_DFL);
			*at = *at;
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
	kb_shared_close(shared);
}

static void test_churn(void **state)
{
	uint64_t hist[KB_HIST_BUCKETS], counters[KB_CNT_MAX], answers, longest = 0, generations;
	struct kb_epochs_stats stats;
	uint32_t round = 1;

	(void)state;
	for (uint32_t i = 0; i < NAMES; i++)
		put_version(i, 0);
	fflush(stdout);
	worker_pid = fork();
	if (worker_pid == 0)
		_exit(worker_process());
	WAIT_FOR(report->ready && report->answers > 1000);
	kb_epochs_stats(kb_datapath_epochs(dp), &stats);
	assert_int_equal(stats.registered, 1);

	/* Growth: the worker maps the next index, and goes on. */
	generations = report->generations;
	for (uint32_t i = NAMES; i < GROWN; i++) {
		put_version(i, 1);
		while (kb_table_step(table))
			;
		if (i % 64 == 0)
			churn(round++);
	}
	kb_table_settle(table);
	WAIT_FOR(report->generations > generations);
	report->grown = true;
	answers = report->answers;
	WAIT_FOR(report->answers > answers + 1000);

	/* Stops of the worker, of which some find it in a burst: the writer waits, but not for
	 * long, and what the worker had in its hands is not sent. */
	for (int i = 0; i < STOPS && report->discarded < CAUGHT; i++) {
		uint64_t start, took;

		kill(worker_pid, SIGSTOP);
		start = ports_now_ns();
		for (int k = 0; k < 3; k++)
			churn(round++);
		took = ports_now_ns() - start;
		longest = took > longest ? took : longest;
		kill(worker_pid, SIGCONT);
		answers = report->answers;
		WAIT_FOR(report->answers > answers + 1000);
	}
	printf("# %" PRIu64 " answers, %" PRIu64 " without one, %" PRIu64
	       " discarded, longest three "
	       "rounds of changes %.0f ms\n",
	       report->answers, report->unanswered, report->discarded, (double)longest / 1e6);
	assert_int_equal(report->wrong, 0);
	assert_true(report->discarded >= CAUGHT);
	kb_epochs_stats(kb_datapath_epochs(dp), &stats);
	assert_true(stats.gone > 0);
	/* 2 grace periods a round, of which the first waits for the worker: 100 ms. */
	assert_true(longest < 20000000000ULL);
	assert_int_equal(kb_datapath_engine_stats(dp, KB_ENGINE_DPDK, counters, hist), 0);
	assert_true(counters[KB_CNT_ANSWERED] > 1000 && counters[KB_CNT_GONE] >= CAUGHT);

	/* It ends: its row is free. */
	report->end = true;
	assert_int_equal(status_of_worker(), 0);
	kb_epochs_stats(kb_datapath_epochs(dp), &stats);
	assert_int_equal(stats.registered, 0);
}

/* Another table in the same place: who follows the old one is told. */
static void test_replaced(void **state)
{
	struct kb_shared *shared;
	char path[128], other[128];

	(void)state;
	assert_int_equal(kb_shared_open(world_dir, &shared, err, sizeof(err)), 0);
	snprintf(path, sizeof(path), "%s/table/kb_header", world_dir);
	snprintf(other, sizeof(other), "%s/kb_other", world_dir);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(kb_shared_follow(shared, true, err, sizeof(err)), -ESTALE);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(kb_shared_follow(shared, true, err, sizeof(err)), 0);
	kb_shared_close(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_replaced),
	};

	return cmocka_run_group_tests(tests, shared_setup, shared_teardown);
}
