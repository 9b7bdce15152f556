/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the table blocks the main loop, with real maps and at full size: names are entered
 * as in the first sync, and then come and go, more coming than going, until the index has
 * grown and pages have been added. An event is three names, one of them with a record of its
 * own. Between two events the loop has its turn, and a second thread does the table's works,
 * as in kbdnsd.
 *
 *   table_block [NAMES [REPLICAS]]	default 400000 2; as root, with bpffs on /sys/fs/bpf
 *
 * The loop's thread runs with real-time priority, so that what is measured is the table and
 * not who else wants the CPU.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/datapath/datapath.h"
#include "control/table/table.h"

#define EVENT_NAMES 3
#define PAUSE_NS    150000

static struct kb_table *table;
static bool work_wanted; /* by the main thread, until the worker has done it */
static bool stopping;

static void check(const char *what, int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "table_block: %s: %s\n", what, strerror(-r));
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void *worker(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&work_wanted, __ATOMIC_ACQUIRE)) {
			kb_table_work_run(table);
			__atomic_store_n(&work_wanted, false, __ATOMIC_RELEASE);
		}
		pause_ns(200000);
	}
	return NULL;
}

/* The table's turn of the loop. */
static void turn(void)
{
	static bool works;

	if (works && !__atomic_load_n(&work_wanted, __ATOMIC_ACQUIRE)) {
		kb_table_work_end(table);
		works = false;
	}
	kb_table_step(table);
	if (!works && kb_table_work_begin(table)) {
		works = true;
		__atomic_store_n(&work_wanted, true, __ATOMIC_RELEASE);
	}
}

static size_t name_wire(uint32_t i, uint8_t *buf)
{
	static const uint8_t zone[] = "\7default\3svc\7cluster\5local";
	size_t n = (size_t)sprintf((char *)buf + 1, "service-%u", i);

	buf[0] = (uint8_t)n;
	memcpy(buf + n + 1, zone, sizeof(zone));
	return n + 1 + sizeof(zone);
}

/* One A record in the value; every third name has a record of 64 bytes of its own. */
static void name_put(uint32_t i)
{
	struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1, .addr = i};
	struct kb_rec rec = {.n_sets = 1};
	uint8_t name[KB_NAME_MAX], buf[64] = {0};
	size_t len = name_wire(i, name);

	if (i % EVENT_NAMES == 0) {
		memcpy(buf, &rec, sizeof(rec));
		memcpy(buf + 32, &i, sizeof(i));
		check("record", kb_table_intern(table, buf, sizeof(buf), &e.ref));
	}
	check("name", kb_table_put(table, name, len, &e));
}

static void name_del(uint32_t i)
{
	uint8_t name[KB_NAME_MAX];

	check("removal", kb_table_del(table, name, name_wire(i, name)));
}

struct times {
	float *us;
	size_t n, cap;
};

static void times_add(struct times *t, double us)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 1 << 16;
		t->us = realloc(t->us, t->cap * sizeof(*t->us));
		if (!t->us)
			check("memory", -ENOMEM);
	}
	t->us[t->n++] = (float)us;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void times_print(const char *what, struct times *t)
{
	qsort(t->us, t->n, sizeof(*t->us), compare);
	printf("%-28s %8zu  p50 %7.1f us  p99 %7.1f us  longest %8.1f us\n", what, t->n,
	       (double)t->us[t->n / 2], (double)t->us[t->n / 100 * 99], (double)t->us[t->n - 1]);
	t->n = 0;
}

int main(int argc, char **argv)
{
	uint32_t names = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 400000, first = 0, i;
	struct kb_table_config config = {.replicas = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10)
							      : 2};
	struct kb_datapath_config datapath = {0};
	struct times events = {0}, turns = {0};
	struct sched_param fifo = {.sched_priority = 1};
	struct kb_table_stats st, before;
	struct kb_backing backing;
	struct kb_datapath *dp;
	char dir[64], err[512];
	pthread_t thread;
	double t0, t1;

	snprintf(dir, sizeof(dir), "/sys/fs/bpf/kbdns_bench_%d", getpid());
	datapath.dir = dir;
	if (kb_datapath_open(&datapath, &dp, err, sizeof(err)) < 0) {
		fprintf(stderr, "table_block: %s\n", err);
		return 1;
	}
	kb_datapath_backing(dp, &backing);
	check("table", kb_table_new(&backing, &config, &table));
	pthread_create(&thread, NULL, worker, NULL);
	check("real-time priority", sched_setscheduler(0, SCHED_FIFO, &fifo) < 0 ? -errno : 0);

	t0 = now_us();
	check("reserve", kb_table_reserve(table, names));
	t1 = now_us();
	printf("%-28s %8.1f ms\n", "room for all, in one step", (t1 - t0) / 1e3);
	for (i = 0; i < names;) {
		t0 = now_us();
		for (int k = 0; k < EVENT_NAMES; k++)
			name_put(i++);
		times_add(&events, now_us() - t0);
	}
	printf("%-28s %8.1f ms\n", "all names", (now_us() - t1) / 1e3);
	times_print("event in the first sync", &events);
	kb_table_stats(table, &st);
	printf("%-28s %8.1f %%, %llu pages\n", "index full",
	       (double)st.names / (double)(st.buckets * KB_BUCKET_SLOTS) * 100,
	       (unsigned long long)(st.arena_bytes / sizeof(struct kb_page)));

	before = st;
	for (int k = 0; k < 200; k++, pause_ns(PAUSE_NS))
		turn();
	while (st.growths == before.growths || i < names + names / 4) {
		t0 = now_us();
		for (int k = 0; k < EVENT_NAMES; k++)
			name_put(i++);
		/* Of eight that come, three go. */
		if (i % 8 < EVENT_NAMES)
			for (int k = 0; k < EVENT_NAMES; k++)
				name_del(first++);
		t1 = now_us();
		times_add(&events, t1 - t0);
		turn();
		times_add(&turns, now_us() - t1);
		kb_table_stats(table, &st);
		pause_ns(PAUSE_NS);
	}
	times_print("event under churn", &events);
	times_print("turn of the table", &turns);
	printf("%-28s %8llu, generations %llu, pages %llu more, index %.1f MB, arena %.1f MB\n",
	       "names at the end", (unsigned long long)st.names, (unsigned long long)st.generation,
	       (unsigned long long)((st.arena_bytes - before.arena_bytes) / sizeof(struct kb_page)),
	       (double)st.index_bytes / 1e6, (double)st.arena_bytes / 1e6);
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	kb_table_free(table);
	kb_datapath_close(dp, false);
	free(events.us);
	free(turns.us);
	return 0;
}
