// SPDX-License-Identifier: Apache-2.0
/*
 * Do replicas of the index help? Two CPUs answer at once, each by a link of its own, from one
 * table; kbdns_tc chooses the replica by CPU. One replica and two are compared in
 * the same rounds, at each size, while nobody writes and while a writer changes addresses, which
 * takes the lines it changes from the other CPU's caches.
 *
 *   CPU 0: generator 0 --> far ~veth~ near: CPU 1, NAPI thread: kbdns_tc
 *   CPU 1: generator 1 --> far ~veth~ near: CPU 0, NAPI thread: kbdns_tc
 *
 * On two CPUs generators and responders take turns. ns/run is from kernel.bpf_stats, which a
 * generator's turn does not touch; the medians of all rounds are printed.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/link.h"
#include "bench/median.h"
#include "bench/options.h"
#include "bench/store.h"

#define LINKS	     2
#define REPLICAS_MAX 2 /* each CPU its own */
#define SIZES_MAX    4
#define WRITER_TURN  2000 /* microseconds */

struct bench {
	struct link link[LINKS];
	uint32_t names[SIZES_MAX];
	int sizes;
	uint64_t rounds, ms, writes;
	const char *list;
	struct store store[SIZES_MAX][REPLICAS_MAX];
	struct kb_gen gen[SIZES_MAX][LINKS];
	double ns[SIZES_MAX][2][REPLICAS_MAX][ROUNDS_MAX];
};

struct writer {
	struct store *store;
	uint32_t names;
	uint64_t writes; /* a second */
	pthread_t thread;
	bool stop;
};

static void *writer_thread(void *arg)
{
	struct writer *w = arg;
	uint64_t start = kb_gen_now(), done = 0;
	uint32_t rng = 1;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		uint64_t due = (kb_gen_now() - start) / 1000 * w->writes / 1000000;

		for (; done < due; done++) {
			rng = rng * 1664525 + 1013904223;
			store_put(w->store, (uint32_t)((uint64_t)rng * w->names >> 32), htonl(rng));
		}
		usleep(WRITER_TURN);
	}
	return NULL;
}

static void read_runs(int prog, uint64_t *ret_ns, uint64_t *ret_runs)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	check("program info", bpf_obj_get_info_by_fd(prog, &info, &len));
	*ret_ns = info.run_time_ns;
	*ret_runs = info.run_cnt;
}

/* Mean of all runs on both CPUs. */
static double measure(struct bench *b, int size, bool write, int replicas)
{
	struct store *s = &b->store[size][replicas];
	struct writer w = {.store = s, .names = b->names[size], .writes = b->writes};
	int prog = bpf_program__fd(s->skel->progs.kbdns_tc), link[LINKS], stats;
	uint64_t ns[2], runs[2];

	for (int i = 0; i < LINKS; i++) {
		link[i] = attach(b->link[i].near_ns, b->link[i].near_ifindex, HOOK_TC, prog);
		enter(b->link[i].far_ns);
		pin(0, (size_t)i);
		check("generator", kb_gen_start(&b->gen[size][i]));
	}
	if (write)
		check("writer", -pthread_create(&w.thread, NULL, writer_thread, &w));
	usleep((useconds_t)(b->ms * 200));
	stats = check("bpf_stats", bpf_enable_stats(BPF_STATS_RUN_TIME));
	read_runs(prog, &ns[0], &runs[0]);
	usleep((useconds_t)(b->ms * 1000));
	read_runs(prog, &ns[1], &runs[1]);
	close(stats);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	if (write)
		pthread_join(w.thread, NULL);
	for (int i = 0; i < LINKS; i++) {
		check("live frames (kernel 5.18 or newer)", kb_gen_stop(&b->gen[size][i]));
		close(link[i]);
	}
	if (runs[0] == runs[1])
		die("the program did not run", -ENODATA);
	return (double)(ns[1] - ns[0]) / (double)(runs[1] - runs[0]);
}

static void report(const struct bench *b)
{
	printf("%8s %10s %8s %8s %12s\n", "names", "writes/s", "R=1 ns", "R=2 ns", "difference");
	for (int size = 0; size < b->sizes; size++) {
		for (int write = 0; write < 2; write++) {
			const double(*ns)[ROUNDS_MAX] = b->ns[size][write];
			double diff[ROUNDS_MAX];

			for (int i = 0; i < (int)b->rounds; i++)
				diff[i] = ns[1][i] - ns[0][i];
			printf("%8u %10llu %8.0f %8.0f %+12.1f\n", b->names[size],
			       write ? (unsigned long long)b->writes : 0ULL,
			       median(ns[0], (int)b->rounds), median(ns[1], (int)b->rounds),
			       median(diff, (int)b->rounds));
		}
	}
}

static void parse_options(struct bench *b, int argc, char **argv)
{
	const struct bench_option options[] = {
		{"names", "N,...", "sizes of the table (default 1000,100000)", option_text,
		 &b->list},
		{"rounds", "N", "interleaved rounds, of which medians are taken (default 9)",
		 option_number, &b->rounds},
		{"ms", "N", "length of each measurement (default 200)", option_number, &b->ms},
		{"writes", "N", "changed addresses a second, while there are any (default 10000)",
		 option_number, &b->writes},
		{0},
	};

	b->rounds = 9;
	b->ms = 200;
	b->writes = 10000;
	b->list = "1000,100000";
	bench_options("", options, argc, argv);
	if (b->rounds > ROUNDS_MAX || b->ms > 60000 || b->writes > 1000000)
		option_bad("rounds, --ms or --writes", "too large");
	b->sizes = option_list("names", b->list, 999999, b->names, SIZES_MAX);
}

int main(int argc, char **argv)
{
	static struct bench b;

	parse_options(&b, argc, argv);
	if (sysconf(_SC_NPROCESSORS_ONLN) < LINKS)
		die("two CPUs are needed", -ENODEV);
	for (int i = 0; i < LINKS; i++) {
		link_up(&b.link[i]);
		link_pin((size_t)(1 - i));
	}
	for (int size = 0; size < b.sizes; size++) {
		for (int i = 0; i < LINKS; i++) {
			enter(b.link[i].far_ns);
			gen_fill(&b.gen[size][i], &b.link[i].path, b.names[size], true, 1);
			if (size == 0)
				link_count(&b.link[i], &b.gen[0][i]);
		}
		for (int r = 0; r < REPLICAS_MAX; r++)
			store_fill(&b.store[size][r], &b.link[0].path, b.link[0].near_ifindex,
				   b.names[size], (uint32_t)r + 1);
	}
	for (int round = 0; round < (int)b.rounds; round++) {
		for (int size = 0; size < b.sizes; size++) {
			for (int write = 0; write < 2; write++) {
				for (int r = 0; r < REPLICAS_MAX; r++)
					b.ns[size][write][r][round] = measure(&b, size, write, r);
			}
		}
	}
	report(&b);
	return 0;
}
