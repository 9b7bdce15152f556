// SPDX-License-Identifier: Apache-2.0
/*
 * In-kernel cost of an answer over that of an echo, for kbdns_tc and kbdns_xdp: A, NODATA
 * and NXDOMAIN, with as many names as --names says, each asked equally often.
 *
 *   CPU 0: generator --> far ~~~veth~~~ near: CPU 1, NAPI thread: kbdns or echo
 *                        far <-- counted <--/
 *
 * Both ends are in network namespaces of this process alone, which vanish with it. The
 * far end stands for a NIC and carries a program for kbdns_xdp; for kbdns_tc it is the
 * pod's end and carries none but a counter at its tc hook.
 *
 * One round runs every row once; the medians of all rounds are printed. A row is measured
 * twice: with kernel.bpf_stats for the nanoseconds of a run, which include two
 * clock reads as the echo's do, and without for the rate.
 *
 * With --steer 1 each answer by kbdns_xdp is measured three times, by turns and in turned order: on
 * a port that is not handed over, on one that is (dataplane/core/steer.h) but has no worker, and on
 * one whose worker beats but has no socket, so that XDP answers.
 *
 * With --log N the query log takes one answer in N; a thread on the generator's CPU empties its
 * ring. Events that found it full cost less than those that did not: their number is printed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/link.h"
#include "bench/median.h"
#include "bench/options.h"
#include "bench/store.h"
#include "dataplane/core/event.h"
#include "dataplane/core/steer.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* in what bpftool writes */
#include "bench/echo.skel.h"
#pragma GCC diagnostic pop

#define SIZES_MAX 4

enum row { ROW_ECHO, ROW_A, ROW_NODATA, ROW_NXDOMAIN, ROW_MAX };

static const char *const hook_names[] = {"xdp", "tc"};
static const char *const row_names[] = {"echo", "A", "NODATA", "NXDOMAIN"};

enum steer { STEER_OFF, STEER_ALONE, STEER_BEATS, STEER_MAX };

static const char *const steer_names[] = {"not handed over", "no worker", "no socket"};

struct cell {
	double ns[ROUNDS_MAX], rate[ROUNDS_MAX], sent[ROUNDS_MAX];
	double steer_ns[STEER_MAX][ROUNDS_MAX];
};

struct bench {
	struct link link;
	struct echo_bpf *echo; /* owned */
	uint32_t names[SIZES_MAX];
	int sizes;
	uint64_t rounds, ms, log, steer;
	pthread_t log_reader;
	atomic_bool log_end;
	const char *list;
	struct store store[SIZES_MAX];
	struct kb_gen gen[SIZES_MAX][ROW_MAX];
	struct cell cell[HOOK_MAX][SIZES_MAX][ROW_MAX];
};

struct reading {
	uint64_t at, sent, frames, right;
	uint64_t run_ns, runs; /* of the responder */
};

/* `right`: frames that are what this row should give. */
static void take_reading(struct kb_gen *g, struct kb_gen *counter, enum row row, int prog,
			 struct reading *ret)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	struct arrivals a;

	check("program info", bpf_obj_get_info_by_fd(prog, &info, &len));
	ret->run_ns = info.run_time_ns;
	ret->runs = info.run_cnt;
	check("arrivals", kb_gen_arrivals(g, &a));
	ret->sent = a.sent;
	check("arrivals", kb_gen_arrivals(counter, &a));
	ret->at = kb_gen_now();
	ret->frames = a.frames;
	ret->right = row == ROW_A	   ? a.records
		     : row == ROW_NODATA   ? a.nodata
		     : row == ROW_NXDOMAIN ? a.nxdomain
					   : a.frames;
}

static double per_second(uint64_t n, const struct reading *a, const struct reading *z)
{
	return (double)n * 1e9 / (double)(z->at - a->at);
}

/* Until all that was sent has come back: while softirqs get no CPU, a row's last frames wait in the
 * ring of the veth, 256 of them, and would be counted as wrong ones of the next row. */
static void settle(struct kb_gen *counter)
{
	struct arrivals before, after;

	check("arrivals", kb_gen_arrivals(counter, &after));
	do {
		before = after;
		usleep(50000);
		check("arrivals", kb_gen_arrivals(counter, &after));
	} while (after.frames != before.frames);
}

static void measure(struct bench *b, enum hook hook, int size, enum row row, int prog, int round)
{
	struct kb_gen *g = &b->gen[size][row == ROW_ECHO ? ROW_A : row];
	struct kb_gen *counter = &b->gen[0][ROW_A];
	struct cell *c = &b->cell[hook][size][row];
	struct reading r[4], first, last;
	int stats;

	take_reading(g, counter, row, prog, &first);
	check("generator", kb_gen_start(g));
	usleep((useconds_t)(b->ms * 200));
	stats = check("bpf_stats", bpf_enable_stats(BPF_STATS_RUN_TIME));
	take_reading(g, counter, row, prog, &r[0]);
	usleep((useconds_t)(b->ms * 1000));
	take_reading(g, counter, row, prog, &r[1]);
	close(stats);
	take_reading(g, counter, row, prog, &r[2]);
	usleep((useconds_t)(b->ms * 1000));
	take_reading(g, counter, row, prog, &r[3]);
	check("live frames (kernel 5.18 or newer)", kb_gen_stop(g));
	settle(counter);
	take_reading(g, counter, row, prog, &last);
	if (r[1].runs == r[0].runs)
		die("the program got no CPU in a whole window: give it longer ones (--ms)",
		    -ENODATA);
	if (last.right == first.right || last.right - first.right != last.frames - first.frames) {
		fprintf(stderr, "kernel_cost: %s: %llu frames came back, %llu of them right\n",
			row_names[row], (unsigned long long)(last.frames - first.frames),
			(unsigned long long)(last.right - first.right));
		exit(1);
	}
	c->ns[round] = (double)(r[1].run_ns - r[0].run_ns) / (double)(r[1].runs - r[0].runs);
	c->rate[round] = per_second(r[3].frames - r[2].frames, &r[2], &r[3]);
	c->sent[round] = per_second(r[3].sent - r[2].sent, &r[2], &r[3]);
}

static void set_steer(const struct bench *b, int size, enum steer steer)
{
	const struct kbdns_bpf *skel = b->store[size].skel;
	uint32_t place = kb_port_place(b->link.near_ifindex, 0);
	uint32_t key = kb_steer_key(kb_steer_port(place), 0);
	uint64_t beat = steer == STEER_BEATS ? UINT64_MAX >> 1 : 0;

	check("port", kb_ports_put(bpf_map__fd(skel->maps.kb_ports), b->link.near_ifindex,
				   b->link.path.near_mac, steer != STEER_OFF));
	check("beat",
	      bpf_map_update_elem(bpf_map__fd(skel->maps.kb_steer_beat), &key, &beat, BPF_ANY));
}

/* The answers of one row, in each state of the port. */
static void measure_steer(struct bench *b, int size, enum row row, int prog, int round)
{
	struct cell *c = &b->cell[HOOK_XDP][size][row];

	for (int i = 0; i < STEER_MAX; i++) {
		int steer = round & 1 ? STEER_MAX - 1 - i : i;

		set_steer(b, size, (enum steer)steer);
		measure(b, HOOK_XDP, size, row, prog, round);
		c->steer_ns[steer][round] = c->ns[round];
	}
	set_steer(b, size, STEER_OFF);
	/* What the other table has is of a port that is not handed over. */
	c->ns[round] = c->steer_ns[STEER_OFF][round];
}

static void run_round(struct bench *b, int round)
{
	for (int hook = 0; hook < HOOK_MAX; hook++) {
		bool tc = hook == HOOK_TC;
		int echo = bpf_program__fd(tc ? b->echo->progs.echo_tc : b->echo->progs.echo_xdp);
		int link = attach(b->link.near_ns, b->link.near_ifindex, (enum hook)hook, echo);

		enter(b->link.far_ns);
		for (int size = 0; size < b->sizes; size++) {
			struct kbdns_bpf *skel = b->store[size].skel;
			int kbdns =
				bpf_program__fd(tc ? skel->progs.kbdns_tc : skel->progs.kbdns_xdp);

			for (int row = 0; row < ROW_MAX; row++) {
				int prog = row == ROW_ECHO ? echo : kbdns;

				check("link update", bpf_link_update(link, prog, NULL));
				if (b->steer && !tc && row != ROW_ECHO)
					measure_steer(b, size, (enum row)row, prog, round);
				else
					measure(b, (enum hook)hook, size, (enum row)row, prog,
						round);
			}
		}
		close(link);
	}
}

static int on_event(void *arg, void *data, size_t size)
{
	(void)arg;
	(void)data;
	(void)size;
	return 0;
}

static void *log_read(void *arg)
{
	struct bench *b = arg;
	struct ring_buffer *ring = NULL;

	for (int i = 0; i < b->sizes; i++) {
		int fd = bpf_map__fd(b->store[i].skel->maps.kb_events);

		if (ring)
			check("ring", ring_buffer__add(ring, fd, on_event, NULL));
		else
			ring = ring_buffer__new(fd, on_event, NULL, NULL);
		if (!ring)
			die("ring", -errno);
	}
	while (!b->log_end) {
		ring_buffer__consume(ring);
		usleep(100);
	}
	ring_buffer__free(ring);
	return NULL;
}

static void log_start(struct bench *b)
{
	for (int i = 0; i < b->sizes; i++)
		kb_table_set_log(b->store[i].table, (uint32_t)b->log, KB_EVENT_REPLIES);
	check("thread", -pthread_create(&b->log_reader, NULL, log_read, b));
}

static void log_stop(struct bench *b)
{
	uint64_t events = 0, dropped = 0;
	int cpus = libbpf_num_possible_cpus();
	struct kb_percpu *rows = calloc((size_t)cpus, sizeof(*rows));

	b->log_end = true;
	pthread_join(b->log_reader, NULL);
	for (int i = 0; rows && i < b->sizes; i++) {
		for (uint32_t row = 0; row < KB_ENGINE_MAX; row++) {
			int fd = bpf_map__fd(b->store[i].skel->maps.kb_percpu);

			check("counters", bpf_map_lookup_elem(fd, &row, rows));
			for (int c = 0; c < cpus; c++) {
				events += rows[c].log_events;
				dropped += rows[c].log_dropped;
			}
		}
	}
	free(rows);
	printf("# query log, 1 in %llu: %llu events, %llu more found the ring full\n",
	       (unsigned long long)b->log, (unsigned long long)events, (unsigned long long)dropped);
}

static void report(struct bench *b)
{
	printf("%-4s %8s %-9s %8s %10s %9s %11s %8s  %s\n", "hook", "names", "query", "ns/run",
	       "over_echo", "answered", "(offered)", "of_echo", "bottleneck");
	for (int hook = 0; hook < HOOK_MAX; hook++) {
		for (int size = 0; size < b->sizes; size++) {
			struct cell *echo = &b->cell[hook][size][ROW_ECHO];

			for (int row = 0; row < ROW_MAX; row++) {
				struct cell *c = &b->cell[hook][size][row];
				double over[ROUNDS_MAX], ratio[ROUNDS_MAX], rate, sent;

				for (int i = 0; i < (int)b->rounds; i++) {
					over[i] = c->ns[i] - echo->ns[i];
					ratio[i] = c->rate[i] / echo->rate[i];
				}
				rate = median(c->rate, (int)b->rounds);
				sent = median(c->sent, (int)b->rounds);
				printf("%-4s %8u %-9s %8.0f %10.0f %8.0fk %10.0fk %8.2f  %s\n",
				       hook_names[hook], b->names[size], row_names[row],
				       median(c->ns, (int)b->rounds), median(over, (int)b->rounds),
				       rate / 1000, sent / 1000, median(ratio, (int)b->rounds),
				       rate > 0.97 * sent ? "generator" : "responder");
			}
		}
	}
}

static void report_steer(const struct bench *b)
{
	for (int size = 0; size < b->sizes; size++) {
		for (int row = ROW_A; row < ROW_MAX; row++) {
			const struct cell *c = &b->cell[HOOK_XDP][size][row];

			for (int steer = STEER_ALONE; steer < STEER_MAX; steer++) {
				double over[ROUNDS_MAX];

				for (int i = 0; i < (int)b->rounds; i++)
					over[i] = c->steer_ns[steer][i] - c->steer_ns[STEER_OFF][i];
				printf("# steer: %u names, %s, %s: %+.1f ns to %s\n",
				       b->names[size], row_names[row], steer_names[steer],
				       median(over, (int)b->rounds), steer_names[STEER_OFF]);
			}
		}
	}
}

static void parse_options(struct bench *b, int argc, char **argv)
{
	const struct bench_option options[] = {
		{"names", "N,...", "sizes of the table (default 1000,100000)", option_text,
		 &b->list},
		{"rounds", "N", "interleaved rounds, of which medians are taken (default 5)",
		 option_number, &b->rounds},
		{"ms", "N", "length of each measurement (default 250)", option_number, &b->ms},
		{"log", "N", "have the query log take one in N (default 0: off)", option_number,
		 &b->log},
		{"steer", "0|1", "measure ports that are handed over, too (default 0)",
		 option_number, &b->steer},
		{0},
	};

	b->rounds = 5;
	b->ms = 250;
	b->list = "1000,100000";
	bench_options("", options, argc, argv);
	if (b->rounds > ROUNDS_MAX || b->ms > 60000)
		option_bad("rounds or --ms", "too large");
	b->sizes = option_list("names", b->list, 999999, b->names, SIZES_MAX);
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct kb_gen *counter = &b.gen[0][ROW_A];

	parse_options(&b, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	link_up(&b.link);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("# one CPU: generator and responder share it, rates are of both\n");
	} else {
		link_pin(1); /* then it is the bottleneck, not the generator */
		pin(0, 0);
	}
	b.echo = echo_bpf__open_and_load();
	if (!b.echo)
		die("echo.bpf.o", -errno);
	enter(b.link.far_ns);
	for (int size = 0; size < b.sizes; size++) {
		store_fill(&b.store[size], &b.link.path, b.link.near_ifindex, b.names[size], 1);
		for (int row = ROW_A; row < ROW_MAX; row++)
			gen_fill(&b.gen[size][row], &b.link.path, b.names[size],
				 row != ROW_NXDOMAIN, row == ROW_NODATA ? 28 : 1);
	}
	link_count(&b.link, counter);
	if (b.log)
		log_start(&b);
	for (int round = 0; round < (int)b.rounds; round++)
		run_round(&b, round);
	if (b.log)
		log_stop(&b);
	report(&b);
	if (b.steer)
		report_steer(&b);
	return 0;
}
