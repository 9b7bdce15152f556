// SPDX-License-Identifier: Apache-2.0
/*
 * In-kernel cost of an answer out of the packet-path cache beside that of a cluster name, both over
 * an echo: one A record to names of the same length, for kbdns_tc and kbdns_xdp, each of as
 * many names as --names says asked equally often. As bench/kernel_cost, whose set-up this is:
 * one round runs every row once, and medians of all rounds are printed.
 */
#include <stdio.h>
#include <unistd.h>

#include "bench/link.h"
#include "bench/median.h"
#include "bench/options.h"
#include "bench/store.h"
#include "control/pcache/pcache.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* in what bpftool writes */
#include "bench/echo.skel.h"
#pragma GCC diagnostic pop

#define HZ 1000 /* more or less: only ages count */

/* kbdnsd's default, or as much as the names need. */
static uint64_t cache_bytes(uint64_t names)
{
	return names > 10000 ? names * 400 : 4 << 20;
}

enum row { ROW_ECHO, ROW_TABLE, ROW_CACHE, ROW_MAX };

static const char *const hook_names[] = {"xdp", "tc"};
static const char *const row_names[] = {"echo", "table", "cache"};

struct cell {
	double ns[ROUNDS_MAX], rate[ROUNDS_MAX];
};

struct bench {
	struct link link;
	struct echo_bpf *echo; /* owned */
	uint64_t names, rounds, ms;
	struct store store;
	struct kb_pcache *pcache;
	struct kb_gen gen[ROW_MAX];
	struct cell cell[HOOK_MAX][ROW_MAX];
};

/* As long as service_name()'s. */
static void outside_name(char *buf, size_t size, uint32_t i)
{
	snprintf(buf, size, "ext-%06u.ns-%04u.www.examples.com", i, i % 100);
}

static void no_wake(void *arg)
{
	(void)arg;
}

/* The offer's time is now, and the clock of the programs, whatever it shows, is that, too. */
static void cache_offer(struct bench *b, uint32_t i, uint64_t now_ms)
{
	uint8_t msg[12 + QUESTION_MAX + 16] = {0};
	struct question q;
	char name[64];
	uint16_t ttl_at;
	uint32_t len;
	struct kb_pcache_offer o = {.flags3 = KB_RA, .an = 1, .n_ttls = 1, .ttls = &ttl_at};

	outside_name(name, sizeof(name), i);
	len = kb_gen_question(&q, name, 1);
	memcpy(msg + 12, q.b, len);
	memcpy(msg + 12 + len, "\xc0\x0c\0\1\0\1\0\1\0\0\0\4\xc0\0\2\1", 16);
	ttl_at = (uint16_t)(12 + len + 6);
	o.question = q.b;
	o.question_len = len;
	o.msg = msg;
	o.msg_len = 12 + len + 16;
	o.stored_ms = now_ms;
	o.refresh_ms = o.expires_ms = now_ms + 65536000;
	kb_pcache_offer(b->pcache, &o);
}

static void cache_fill(struct bench *b)
{
	struct kbdns_bpf *skel = b->store.skel;
	struct kb_pcache_backing backing = {
		.header = map_whole(skel->maps.kb_header, sizeof(struct kb_header))};
	struct kb_pcache_stats stats;
	struct timespec ts;
	uint64_t ms, jiffies;

	backing.size = b->store.pcache_size;
	backing.index = map_whole(skel->maps.kb_pcache_index,
				  (size_t)backing.size.buckets * sizeof(struct kb_bucket));
	backing.arena = map_whole(skel->maps.kb_pcache_arena,
				  (size_t)backing.size.pages * sizeof(struct kb_page));
	backing.use = map_whole(skel->maps.kb_pcache_use,
				(size_t)backing.size.pages * KB_PCACHE_PAGE_CELLS);
	check("packet-path cache", kb_pcache_new(&backing, no_wake, NULL, &b->pcache));
	/* A beat gives the kernel's jiffies. */
	jiffies = store_jiffies(&b->store);
	backing.header->deadline = UINT64_MAX >> 1;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	kb_pcache_clock(b->pcache, ms, jiffies, HZ);
	kb_pcache_switch(b->pcache, true);
	if (kb_pcache_grace_begin(b->pcache))
		kb_pcache_grace_end(b->pcache);
	check("intercept",
	      kb_table_icept_set_flags(b->store.table, 4, (const uint8_t *)&b->link.path.daddr, 53,
				       KB_ICEPT_FORWARDED));
	for (uint32_t i = 0; i < b->names; i++) {
		cache_offer(b, i, ms);
		kb_pcache_turn(b->pcache);
	}
	kb_pcache_stats(b->pcache, &stats);
	if (stats.entries != b->names)
		die("the cache does not take all names", -ENOSPC);
}

static void generators(struct bench *b)
{
	struct question q;
	char name[64];
	uint32_t len;

	gen_fill(&b->gen[ROW_TABLE], &b->link.path, (uint32_t)b->names, true, 1);
	outside_name(name, sizeof(name), 0);
	len = kb_gen_question(&q, name, 1);
	check("generator", kb_gen_new(&b->gen[ROW_CACHE], &b->link.path, (uint32_t)b->names, len));
	for (uint32_t i = 0; i < b->names; i++) {
		outside_name(name, sizeof(name), i);
		kb_gen_question(&b->gen[ROW_CACHE].questions[i], name, 1);
	}
}

struct reading {
	uint64_t at, frames, right, run_ns, runs;
};

static void take_reading(struct bench *b, enum row row, int prog, struct reading *ret)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	struct arrivals a;

	check("program info", bpf_obj_get_info_by_fd(prog, &info, &len));
	ret->run_ns = info.run_time_ns;
	ret->runs = info.run_cnt;
	check("arrivals", kb_gen_arrivals(&b->gen[ROW_TABLE], &a));
	ret->at = kb_gen_now();
	ret->frames = a.frames;
	ret->right = row == ROW_ECHO ? a.frames : a.records;
}

static void measure(struct bench *b, enum hook hook, enum row row, int prog, int round)
{
	struct kb_gen *g = &b->gen[row == ROW_ECHO ? ROW_TABLE : row];
	struct cell *c = &b->cell[hook][row];
	struct reading r[4];
	int stats;

	check("generator", kb_gen_start(g));
	usleep((useconds_t)(b->ms * 200));
	stats = check("bpf_stats", bpf_enable_stats(BPF_STATS_RUN_TIME));
	take_reading(b, row, prog, &r[0]);
	usleep((useconds_t)(b->ms * 1000));
	take_reading(b, row, prog, &r[1]);
	close(stats);
	take_reading(b, row, prog, &r[2]);
	usleep((useconds_t)(b->ms * 1000));
	take_reading(b, row, prog, &r[3]);
	check("live frames (kernel 5.18 or newer)", kb_gen_stop(g));
	if (r[1].runs == r[0].runs || r[3].right == r[0].right ||
	    r[3].right - r[0].right != r[3].frames - r[0].frames)
		die(row_names[row], -ENODATA);
	c->ns[round] = (double)(r[1].run_ns - r[0].run_ns) / (double)(r[1].runs - r[0].runs);
	c->rate[round] = (double)(r[3].frames - r[2].frames) * 1e9 / (double)(r[3].at - r[2].at);
}

static void run_round(struct bench *b, int round)
{
	for (int hook = 0; hook < HOOK_MAX; hook++) {
		bool tc = hook == HOOK_TC;
		int echo = bpf_program__fd(tc ? b->echo->progs.echo_tc : b->echo->progs.echo_xdp);
		int kbdns = bpf_program__fd(tc ? b->store.skel->progs.kbdns_tc
					       : b->store.skel->progs.kbdns_xdp);
		int link = attach(b->link.near_ns, b->link.near_ifindex, (enum hook)hook, echo);

		enter(b->link.far_ns);
		for (int row = 0; row < ROW_MAX; row++) {
			int prog = row == ROW_ECHO ? echo : kbdns;

			check("link update", bpf_link_update(link, prog, NULL));
			measure(b, (enum hook)hook, (enum row)row, prog, round);
		}
		close(link);
	}
}

static void report(struct bench *b)
{
	int n = (int)b->rounds;

	printf("%-4s %8s %-6s %8s %10s %9s %9s\n", "hook", "names", "from", "ns/run", "over_echo",
	       "answered", "of_table");
	for (int hook = 0; hook < HOOK_MAX; hook++) {
		struct cell *echo = &b->cell[hook][ROW_ECHO], *table = &b->cell[hook][ROW_TABLE];

		for (int row = 0; row < ROW_MAX; row++) {
			struct cell *c = &b->cell[hook][row];
			double over[ROUNDS_MAX], ratio[ROUNDS_MAX];

			for (int i = 0; i < n; i++) {
				over[i] = c->ns[i] - echo->ns[i];
				ratio[i] = c->rate[i] / table->rate[i];
			}
			printf("%-4s %8llu %-6s %8.0f %10.0f %8.0fk %9.2f\n", hook_names[hook],
			       (unsigned long long)b->names, row_names[row], median(c->ns, n),
			       median(over, n), median(c->rate, n) / 1000, median(ratio, n));
		}
	}
}

int main(int argc, char **argv)
{
	static struct bench b = {.names = 1000, .rounds = 5, .ms = 250};
	const struct bench_option options[] = {
		{"names", "N", "of each kind (default 1000)", option_number, &b.names},
		{"rounds", "N", "interleaved rounds, of which medians are taken (default 5)",
		 option_number, &b.rounds},
		{"ms", "N", "length of each measurement (default 250)", option_number, &b.ms},
		{0},
	};

	bench_options("", options, argc, argv);
	if (b.rounds > ROUNDS_MAX || b.ms > 60000 || b.names > 200000)
		option_bad("rounds, --ms or --names", "too large");
	setvbuf(stdout, NULL, _IOLBF, 0);
	link_up(&b.link);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("# one CPU: generator and responder share it, rates are of both\n");
	} else {
		link_pin(1);
		pin(0, 0);
	}
	b.echo = echo_bpf__open_and_load();
	if (!b.echo)
		die("echo.bpf.o", -errno);
	enter(b.link.far_ns);
	kb_pcache_size(cache_bytes(b.names), &b.store.pcache_size);
	store_fill(&b.store, &b.link.path, b.link.near_ifindex, (uint32_t)b.names, 1);
	cache_fill(&b);
	generators(&b);
	link_count(&b.link, &b.gen[ROW_TABLE]);
	for (int round = 0; round < (int)b.rounds; round++)
		run_round(&b, round);
	report(&b);
	return 0;
}
