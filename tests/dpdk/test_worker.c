// SPDX-License-Identifier: Apache-2.0
/* kbdns-dpdk's worker and control thread over a port of rings: tunables, draining, stopping, and
 * what is counted while there is no row. kbdnsd's side is the real one. */
#include <pthread.h>

#include "control/table/epochs.h"
#include "dataplane/dpdk/process.h"
#include "tests/dpdk/rows.h"

#define QUERIES 5000

static struct kb_dpdk_process process;
static struct kb_dpdk_worker worker;
static struct kb_epochs epochs;

#define ROW   KB_WORKERS_LOCAL
#define STATS (ports.stats[0])
#define SAYS  (STATS.says)
#define Q     (&worker.queue)

static void query(struct frame *f, uint32_t id)
{
	frame_query(f, id & 1, id & 2 ? "a." ZONE : "missing." ZONE, TYPE_A, 0, 0);
	put16(dns_of(f), id & 0xffff);
	frame_finish(f);
}

static uint64_t answers(void)
{
	return STATS.counter[KB_CNT_ANSWERED] + STATS.counter[KB_CNT_NXDOMAIN];
}

/* Waits until it is so; a loaded machine may take its time. */
#define EVENTUALLY(condition)                                      \
	do {                                                       \
		uint64_t end_ns = ports_now_ns() + 60000000000ULL; \
		while (!(condition)) {                             \
			assert_true(ports_now_ns() < end_ns);      \
			usleep(500);                               \
		}                                                  \
	} while (0)

static uint32_t state(void)
{
	return kb_read_once(SAYS.state);
}

static void tune(const struct kb_worker_tune *t)
{
	ports.backing.header->worker_tune = kb_worker_tune_word(t);
}

static int setup(void **state_unused)
{
	if (rows_setup(state_unused) < 0)
		return -1;
	kb_dpdk_queue_stop(&ports.queue);
	ports.queue.left_take = NULL;
	ports.queue.burst = 0;
	worker.queue = ports.queue;
	snprintf(Q->says.port, sizeof(Q->says.port), "rings");
	worker.process = &process;
	worker.port = &process.port[0];
	worker.idle.port = Q->port;
	process.worker[0] = &worker;
	process.n_workers = process.n_ports = 1;
	process.stale = true; /* no pins to follow */
	process.port[0].id = Q->port;
	process.port[0].started = process.port[0].up = true;
	snprintf(process.port[0].conf.name, sizeof(process.port[0].conf.name), "rings");
	kb_epochs_init(&epochs, &ports.workers);
	ports.table.gen[kb_gen_of(ports.table.hdr->state) & 1] =
		kb_worker_gen(kb_gen_of(ports.table.hdr->state));
	return 0;
}

static uint32_t poll_once(void)
{
	uint32_t gen = kb_gen_of(ports.table.hdr->state);

	kb_table_env(table, &ports.table.env);
	ports.table.gen[gen & 1] = ports.table.newest = kb_worker_gen(gen);
	return kb_dpdk_queue_poll(Q, ports_now_ns());
}

static void ask_and_drop(uint32_t n)
{
	struct frame f;
	void *m;

	for (uint32_t i = 0; i < n; i++) {
		query(&f, i);
		assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&f)), 0);
	}
	while (poll_once())
		;
	while (rte_ring_dequeue(ports.tx, &m) == 0)
		rte_pktmbuf_free(m);
}

/* What kbdnsd says holds at once, unless it was given on the command line. */
static void test_tune(void **unused)
{
	struct kb_worker_tune t = {.burst = 7, .ahead = 3, .idle = KB_IDLE_PAUSE, .sleep_us = 50};
	struct frame f;

	(void)unused;
	assert_int_equal(kb_dpdk_queue_start(Q, ports_now_ns()), 0);
	assert_int_equal(Q->burst, KB_BURST_DEFAULT);
	assert_int_equal(SAYS.tune.idle, KB_IDLE_DEFAULT);
	tune(&t);
	poll_once();
	for (uint32_t i = 0; i < 10; i++) {
		query(&f, i);
		assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&f)), 0);
	}
	assert_int_equal(poll_once(), 7);
	assert_int_equal(poll_once(), 3);
	assert_int_equal(Q->engine.ahead, 3);
	assert_memory_equal(&SAYS.tune, &t, sizeof(t));
	Q->given.burst = 5;
	t.burst = 9;
	t.ahead = 4;
	tune(&t);
	poll_once();
	assert_int_equal(Q->burst, 5);
	assert_int_equal(SAYS.tune.burst, 5);
	assert_int_equal(Q->engine.ahead, 4);
	Q->given.burst = 0;
	/* A word that no kbdnsd stores. */
	ports.backing.header->worker_tune = UINT64_MAX;
	poll_once();
	assert_int_equal(Q->burst, KB_BURST_DEFAULT);
	assert_int_equal(SAYS.tune.sleep_us, KB_IDLE_SLEEP_DEFAULT_US);
	ports.backing.header->worker_tune = 0;
	poll_once();
	ask_and_drop(0);
}

/* The clock is read in one burst of so many, and all time is either busy or idle. */
static void test_time(void **unused)
{
	uint64_t timed = STATS.timed, frames = STATS.frames, all = 0;
	uint64_t since, before, cycles[KB_PHASE_MAX];

	(void)unused;
	poll_once();
	before = STATS.busy + STATS.idle;
	since = Q->since;
	memcpy(cycles, STATS.cycles, sizeof(cycles));
	for (int i = 0; i < 4 * KB_TIMED_EVERY; i++)
		ask_and_drop(10);
	assert_int_equal(STATS.frames, frames + 40 * KB_TIMED_EVERY);
	assert_int_equal(STATS.timed, timed + 40);
	for (int i = 0; i < KB_PHASE_MAX; i++) {
		assert_true(STATS.cycles[i] > cycles[i]);
		all += STATS.cycles[i] - cycles[i];
	}
	poll_once();
	assert_int_equal(STATS.busy + STATS.idle - before, Q->since - since);
	assert_true(all < Q->since - since);
}

/* Without a row it answers nothing, loses no count, and brings them into the row that it gets. */
static void test_no_row(void **unused)
{
	static struct kb_reader others[KB_WORKER_STATS_MAX];
	struct kb_reader_info info = {.pid = 1};
	uint64_t frames = STATS.frames, bursts = STATS.bursts, no_row = 0;
	uint32_t n = 0;

	(void)unused;
	kb_dpdk_queue_stop(Q);
	while (kb_reader_register(&others[n], &ports.workers, KB_WORKERS_LOCAL, KB_WORKERS_MAX,
				  &info, ports_now_ns()))
		n++;
	assert_int_equal(n, KB_WORKER_STATS_MAX);
	for (int i = 0; i < 3; i++)
		ask_and_drop(10);
	for (uint32_t i = 0; i < KB_WORKER_STATS_MAX; i++)
		no_row += ports.stats[i].counter[KB_CNT_NO_ROW];
	assert_int_equal(no_row, 0);
	kb_reader_unregister(&others[5]);
	ask_and_drop(10);
	assert_ptr_equal(Q->reader.row, &ports.workers.row[KB_WORKERS_LOCAL + 5]);
	assert_int_equal(ports.stats[5].counter[KB_CNT_NO_ROW], 30);
	assert_int_equal(ports.stats[5].frames, 40);
	assert_int_equal(STATS.frames, frames);
	assert_int_equal(STATS.bursts, bursts);
	assert_string_equal(ports.stats[5].says.port, "rings");
	/* Once is enough. */
	kb_dpdk_queue_stop(Q);
	for (uint32_t i = 0; i < KB_WORKER_STATS_MAX; i++) {
		if (i != 5)
			kb_reader_unregister(&others[i]);
	}
	assert_int_equal(kb_dpdk_queue_start(Q, ports_now_ns()), 0);
	assert_ptr_equal(Q->reader.row, &ports.workers.row[ROW]);
	assert_int_equal(STATS.frames, frames);
	kb_dpdk_queue_stop(Q);
}

/* ---- a worker of its own ---- */

static pthread_t threads[2];
static int worker_status;

static void *run_worker(void *arg)
{
	worker_status = kb_dpdk_worker_run(arg);
	return NULL;
}

/* The control thread but for the table, which stays. */
static void begin(void)
{
	process.stop = 0;
	process.control_end = false;
	Q->ask = 0;
	assert_int_equal(kb_dpdk_queue_start(Q, ports_now_ns()), 0);
	assert_ptr_equal(Q->reader.row, &ports.workers.row[ROW]);
	assert_int_equal(pthread_create(&threads[0], NULL, run_worker, &worker), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, kb_dpdk_control_run, &process), 0);
}

static void end(void)
{
	pthread_join(threads[0], NULL);
	__atomic_store_n(&process.control_end, true, __ATOMIC_RELEASE);
	pthread_join(threads[1], NULL);
	assert_int_equal(worker_status, 0);
	assert_null(Q->reader.row);
}

static bool link_up(void)
{
	struct rte_eth_link link;

	assert_int_equal(rte_eth_link_get_nowait(Q->port, &link), 0);
	return link.link_status;
}

/* Puts queries into the ring, waiting for room, and takes replies, until all have come. */
static struct {
	uint32_t sent, got;
	bool more;
} load;

static void *run_load(void *arg)
{
	uint64_t end_ns = ports_now_ns() + 120000000000ULL;
	struct frame f;
	void *m;

	(void)arg;
	while (__atomic_load_n(&load.more, __ATOMIC_ACQUIRE) || load.got < load.sent) {
		assert_true(ports_now_ns() < end_ns);
		if (__atomic_load_n(&load.more, __ATOMIC_ACQUIRE) &&
		    load.sent - load.got < RING_SIZE / 2) {
			query(&f, load.sent);
			assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&f)), 0);
			__atomic_store_n(&load.sent, load.sent + 1, __ATOMIC_RELAXED);
		}
		while (rte_ring_dequeue(ports.tx, &m) == 0) {
			rte_pktmbuf_free(m);
			load.got++;
		}
	}
	return NULL;
}

static void load_begin(pthread_t *thread)
{
	load.sent = load.got = 0;
	load.more = true;
	assert_int_equal(pthread_create(thread, NULL, run_load, NULL), 0);
	EVENTUALLY(__atomic_load_n(&load.sent, __ATOMIC_RELAXED) > QUERIES);
}

static void load_end(pthread_t thread)
{
	__atomic_store_n(&load.more, false, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

/* It answers everything, before and after its port is withdrawn; then it is drained; and it comes
 * back. */
static void test_drain(void **unused)
{
	uint64_t before = answers();
	pthread_t loader;

	(void)unused;
	begin();
	load_begin(&loader);
	assert_int_equal(state(), KB_WORKER_SERVING);
	assert_int_equal(kb_epochs_ask(&epochs, ROW, KB_WORKER_ASK_DRAIN), 0);
	/* Drained it is, too, if nothing comes for a while because this thread does not run. */
	EVENTUALLY(!link_up() && state() != KB_WORKER_SERVING);
	load_end(loader);
	EVENTUALLY(state() == KB_WORKER_DRAINED);
	EVENTUALLY(answers() - before == load.sent);
	assert_int_equal(kb_epochs_ask(&epochs, ROW, KB_WORKER_ASK_SERVE), 0);
	EVENTUALLY(link_up() && state() == KB_WORKER_SERVING);
	load_begin(&loader);
	load_end(loader);
	assert_int_equal(kb_epochs_ask(&epochs, ROW, KB_WORKER_ASK_STOP), 0);
	end();
	assert_int_equal(STATS.counter[KB_CNT_SEND_FULL], 0);
	assert_int_equal(rte_eth_dev_set_link_up(Q->port), 0);
	process.port[0].away = false;
}

/* A port that cannot be withdrawn answers on, as long as it is not stopped. */
static void test_cannot(void **unused)
{
	uint64_t before = answers();
	pthread_t loader;

	(void)unused;
	process.port[0].conf.ifindex = 7;
	begin();
	load_begin(&loader);
	assert_int_equal(kb_epochs_ask(&epochs, ROW, KB_WORKER_ASK_DRAIN), 0);
	EVENTUALLY(__atomic_load_n(&worker.away, __ATOMIC_ACQUIRE) == KB_AWAY_CANNOT);
	load_end(loader);
	assert_true(link_up());
	assert_int_equal(state(), KB_WORKER_DRAINING);
	EVENTUALLY(answers() - before == load.sent);
	process.stop = 1; /* as a signal does */
	end();
	process.port[0].conf.ifindex = 0;
}

/* A word for an earlier registration is none. */
static void test_old_word(void **unused)
{
	(void)unused;
	begin();
	assert_int_equal(kb_epochs_ask(&epochs, ROW + 1, KB_WORKER_ASK_STOP), -ENOENT);
	ports.workers.row[ROW].ask = kb_worker_said(Q->reader.number - 1, KB_WORKER_ASK_STOP);
	EVENTUALLY(kb_read_once(Q->ask_seen) == ports.workers.row[ROW].ask);
	assert_int_equal(Q->ask, 0);
	assert_int_equal(state(), KB_WORKER_SERVING);
	assert_int_equal(kb_epochs_ask(&epochs, ROW, KB_WORKER_ASK_STOP), 0);
	end();
	assert_int_equal(rte_eth_dev_set_link_up(Q->port), 0);
	process.port[0].away = false;
}

/* One that was declared gone while it was asked: the word is its own all the same. */
static void test_word_while_gone(void **unused)
{
	struct kb_worker_row *row = &ports.workers.row[ROW];
	struct frame f;
	uint64_t number;
	void *m;

	(void)unused;
	begin();
	number = kb_worker_number_of(kb_read_once(row->owner));
	kb_write_once(row->gone, number);
	query(&f, 1);
	assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&f)), 0);
	EVENTUALLY(kb_worker_number_of(kb_read_once(row->owner)) == number + 1);
	kb_write_once(row->ask, kb_worker_said(number, KB_WORKER_ASK_DRAIN));
	EVENTUALLY(state() == KB_WORKER_DRAINED);
	kb_write_once(row->ask, kb_worker_said(number + 1, KB_WORKER_ASK_STOP));
	end();
	assert_int_not_equal(rte_ring_dequeue(ports.tx, &m), 0);
	assert_int_equal(rte_eth_dev_set_link_up(Q->port), 0);
	process.port[0].away = false;
}

/* Each policy can be switched to and from while it runs; it beats, and answers, meanwhile. */
static void test_idle(void **unused)
{
	static const enum kb_wait waits[KB_IDLE_MAX] = {[KB_IDLE_BUSY] = KB_WAIT_POLL,
							[KB_IDLE_PAUSE] = KB_WAIT_PAUSE,
							[KB_IDLE_INTERRUPT] = KB_WAIT_SLEEP};
	struct kb_worker_tune t = {.sleep_us = KB_IDLE_SLEEP_MAX_US};

	(void)unused;
	begin();
	for (int i = 0; i < 6; i++) {
		uint64_t idle, answered, beat;
		struct frame f;
		void *m;

		t.idle = (uint32_t)(KB_IDLE_BUSY + i % (KB_IDLE_MAX - KB_IDLE_BUSY));
		tune(&t);
		EVENTUALLY(kb_read_once(SAYS.tune.idle) == t.idle);
		EVENTUALLY(kb_read_once(SAYS.wait) == waits[t.idle] ||
			   (t.idle == KB_IDLE_PAUSE && SAYS.wait == KB_WAIT_TPAUSE));
		idle = kb_read_once(STATS.idle);
		EVENTUALLY(kb_read_once(STATS.idle) - idle > rte_get_tsc_hz() / 50);
		beat = kb_read_once(ports.workers.row[ROW].beat_ns);
		EVENTUALLY(kb_read_once(ports.workers.row[ROW].beat_ns) != beat);
		answered = answers();
		query(&f, (uint32_t)i);
		assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&f)), 0);
		EVENTUALLY(rte_ring_dequeue(ports.tx, &m) == 0);
		rte_pktmbuf_free(m);
		EVENTUALLY(answers() == answered + 1);
	}
	ports.backing.header->worker_tune = 0;
	process.stop = 1;
	end();
	assert_int_equal(rte_eth_dev_set_link_up(Q->port), 0);
	process.port[0].away = false;
}

/* A link that drops is shown, not taken for a drained port's; and shown again. */
static void test_link(void **unused)
{
	(void)unused;
	begin();
	assert_int_equal(rte_eth_dev_set_link_down(Q->port), 0);
	EVENTUALLY(kb_read_once(SAYS.link_down) == 1);
	assert_int_equal(state(), KB_WORKER_SERVING);
	assert_int_equal(rte_eth_dev_set_link_up(Q->port), 0);
	EVENTUALLY(kb_read_once(SAYS.link_down) == 0);
	process.stop = 1;
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tune),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_no_row),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_cannot),
		cmocka_unit_test(test_old_word),
		cmocka_unit_test(test_word_while_gone),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, setup, rows_teardown);
}
