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
 */
#include <dirent.h>
#include <getopt.h>
#include <sched.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bench/gen.h"
#include "control/datapath/ports.h"
#include "control/table/env.h"
#include "control/table/table.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* in what bpftool writes */
#include "bench/echo.skel.h"
#include "bpf/kbdns.skel.h"
#pragma GCC diagnostic pop

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS; newer than libbpf 1.1 */
#define SIZES_MAX   4
#define ROUNDS_MAX  99

enum hook { HOOK_XDP, HOOK_TC, HOOK_MAX };
enum row { ROW_ECHO, ROW_A, ROW_NODATA, ROW_NXDOMAIN, ROW_MAX };

static const char *const hook_names[] = {"xdp", "tc"};
static const char *const row_names[] = {"echo", "A", "NODATA", "NXDOMAIN"};

/* The table in BPF maps, as control/datapath has it, without pins. */
struct store {
	struct kbdns_bpf *skel; /* owned */
	struct kb_table *table; /* owned */
	struct {
		struct kb_bucket *b;
		size_t bytes;
	} index[2]; /* mapped for as long as the process runs */
};

struct cell {
	double ns[ROUNDS_MAX], rate[ROUNDS_MAX], sent[ROUNDS_MAX];
};

struct bench {
	int far_ns, near_ns; /* owned */
	struct kb_gen_path path;
	uint32_t near_ifindex;
	struct echo_bpf *echo; /* owned */
	uint32_t names[SIZES_MAX];
	int sizes, rounds;
	uint64_t span_ns;
	uint32_t replicas;
	struct store store[SIZES_MAX];
	struct kb_gen gen[SIZES_MAX][ROW_MAX];
	struct cell cell[HOOK_MAX][SIZES_MAX][ROW_MAX];
};

static void die(const char *what, int r)
{
	fprintf(stderr, "kernel_cost: %s: %s\n", what, strerror(-r));
	exit(1);
}

static int check(const char *what, int r)
{
	if (r < 0)
		die(what, r == -1 ? -errno : r);
	return r;
}

/* ---- the table ---- */

static int map_new(const char *name, uint32_t value_size, uint32_t n, uint32_t flags,
		   void **ret_map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | flags);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_size, n, &opts);

	if (fd < 0)
		return -errno;
	*ret_map = mmap(NULL, (size_t)((value_size + 7) & ~7U) * n, PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	if (*ret_map == MAP_FAILED) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int put_inner(struct bpf_map *outer, uint32_t slot, int fd)
{
	int r = bpf_map_update_elem(bpf_map__fd(outer), &slot, &fd, BPF_ANY) ? -errno : 0;

	close(fd);
	return r;
}

static int store_index_new(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index)
{
	struct store *s = arg;
	void *map;
	int fd = map_new("index", sizeof(struct kb_bucket), n, BPF_F_INNER_MAP, &map);

	if (fd < 0)
		return fd;
	*ret_index = map;
	return put_inner(s->skel->maps.kb_index, slot, fd);
}

static int store_index_get(void *arg, uint32_t slot, uint32_t *ret_n, struct kb_bucket **ret_index)
{
	(void)arg;
	(void)slot;
	(void)ret_n;
	(void)ret_index;
	return -ENOENT;
}

static void store_index_drop(void *arg, uint32_t slot)
{
	struct store *s = arg;

	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.kb_index), &slot);
}

static int store_page_new(void *arg, uint32_t n, struct kb_page **ret_page)
{
	struct store *s = arg;
	void *map;
	int fd = map_new("page", sizeof(struct kb_page), 1, 0, &map);

	if (fd < 0)
		return fd;
	*ret_page = map;
	return put_inner(s->skel->maps.kb_arena, n, fd);
}

static int store_page_get(void *arg, uint32_t n, struct kb_page **ret_page)
{
	(void)arg;
	(void)n;
	(void)ret_page;
	return -ENOENT;
}

static void store_grace(void *arg)
{
	(void)arg; /* nobody reads while the table is filled */
}

static void *map_whole(struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		die("mmap", -errno);
	return p;
}

/* kind: "svc" for names that are there, "nos" for names of equal length that are not. */
static const char *service_name(char *buf, size_t size, const char *kind, uint32_t i)
{
	snprintf(buf, size, "%s-%06u.ns-%04u.svc.cluster.local", kind, i, i % 100);
	return buf;
}

static void store_fill(struct bench *b, struct store *s, uint32_t names)
{
	struct kb_backing backing = {.arg = s,
				     .index_new = store_index_new,
				     .index_get = store_index_get,
				     .index_drop = store_index_drop,
				     .page_new = store_page_new,
				     .page_get = store_page_get,
				     .grace = store_grace};
	struct kb_table_config config = {.replicas = b->replicas};
	static const uint8_t zone[] = "\7cluster\5local";
	struct question q;
	uint8_t any4[4] = {10, 0, 0, 0};
	char name[64];

	s->skel = kbdns_bpf__open_and_load();
	if (!s->skel)
		die("kbdns.bpf.o", -errno);
	backing.header = map_whole(s->skel->maps.kb_header, sizeof(struct kb_header));
	backing.icept = map_whole(s->skel->maps.kb_icept,
				  sizeof(struct kb_icept_bucket) * KB_ICEPT_BUCKETS);
	check("table", kb_table_new(&backing, &config, &s->table));
	check("zone", kb_table_zone_add(s->table, zone, sizeof(zone), 1, KB_ZONE_ANSWER));
	check("allow-from", kb_table_allow_add(s->table, 4, any4, 8));
	check("intercept", kb_table_icept_add(s->table, 4, (const uint8_t *)&b->path.daddr, 53));
	check("reserve", kb_table_reserve(s->table, names));
	for (uint32_t i = 0; i < names; i++) {
		struct kb_entry entry = {
			.kind = KB_VALUE_A, .zone = 1, .addr = htonl(0x0a600000 + i)};
		uint32_t len = kb_gen_question(&q, service_name(name, sizeof(name), "svc", i), 1);

		check(name, kb_table_put(s->table, q.b, len - 4, &entry));
		kb_table_settle(s->table);
	}
	kb_table_set_ttl(s->table, 5);
	kb_table_set_udp_max(s->table, KB_UDP_MAX_DEFAULT);
	backing.header->deadline = UINT64_MAX >> 1; /* no heart needs to beat */
	check("port",
	      kb_ports_put(bpf_map__fd(s->skel->maps.kb_ports), b->near_ifindex, b->path.near_mac));
	kb_table_set_state(s->table, KB_FULL);
}

static void gen_fill(struct bench *b, struct kb_gen *g, uint32_t names, enum row row)
{
	const char *kind = row == ROW_NXDOMAIN ? "nos" : "svc";
	uint16_t type = row == ROW_NODATA ? 28 : 1;
	struct question q;
	char name[64];
	uint32_t len = kb_gen_question(&q, service_name(name, sizeof(name), kind, 0), type);

	check("generator", kb_gen_new(g, &b->path, names, len));
	for (uint32_t i = 0; i < names; i++)
		kb_gen_question(&g->questions[i], service_name(name, sizeof(name), kind, i), type);
}

/* ---- the link ---- */

static void enter(int ns)
{
	check("setns", setns(ns, CLONE_NEWNET));
}

static void shell(const char *fmt, int arg)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), fmt, getpid(), arg);
	if (system(cmd)) {
		fprintf(stderr, "kernel_cost: failed: %s\n", cmd);
		exit(1);
	}
}

static int new_ns(void)
{
	check("network namespace (needs root)", unshare(CLONE_NEWNET));
	return check("/proc/self/ns/net", open("/proc/self/ns/net", O_RDONLY));
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void pin(pid_t pid, size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check("sched_setaffinity", sched_setaffinity(pid, sizeof(set), &set));
}

/* Pids of kernel threads of NAPI called napi/near-*. */
static size_t napi_threads(pid_t *pids, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	while (dir && (e = readdir(dir)) && n < max) {
		char path[64], comm[32] = "";
		pid_t pid = (pid_t)atoi(e->d_name);
		int fd;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, comm, sizeof(comm) - 1) > 0 && strncmp(comm, "napi/near-", 10) == 0)
			pids[n++] = pid;
		close(fd);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* The responder on a CPU of its own: then it is the bottleneck, not the generator. */
static void spread(void)
{
	pid_t before[64], after[64];
	size_t n, m, moved = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("# one CPU: generator and responder share it, rates are of both\n");
		return;
	}
	n = napi_threads(before, 64);
	if (!write_file("/sys/class/net/near/threaded", "1"))
		die("/sys/class/net/near/threaded", -errno);
	m = napi_threads(after, 64);
	for (size_t i = 0; i < m; i++) {
		bool old = false;

		for (size_t j = 0; j < n; j++)
			old = old || before[j] == after[i];
		if (!old) {
			pin(after[i], 1);
			moved++;
		}
	}
	if (!moved)
		die("threaded NAPI", -ENOENT);
	pin(0, 0);
}

static void link_up(struct bench *b)
{
	b->far_ns = new_ns();
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	b->near_ns = new_ns();
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	check("mount namespace", unshare(CLONE_NEWNS));
	check("private mounts", mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	check("sysfs", mount("sysfs", "/sys", "sysfs", 0, NULL));
	memcpy(b->path.near_mac, "\2\0\0\0\0\1", 6);
	memcpy(b->path.far_mac, "\2\0\0\0\0\2", 6);
	shell("ip link add near address 02:00:00:00:00:01 type veth peer name far address "
	      "02:00:00:00:00:02 && ip link set far netns /proc/%d/fd/%d && ethtool -K near gro on "
	      "&& ip link set near up",
	      b->far_ns);
	b->near_ifindex = if_nametoindex("near");
	enter(b->far_ns);
	shell("true %d %d && ethtool -K far gro on && ip link set far up", 0);
	b->path.far_ifindex = if_nametoindex("far");
	enter(b->near_ns);
	spread();
	inet_pton(AF_INET, "10.244.0.11", &b->path.saddr);
	inet_pton(AF_INET, "10.96.0.10", &b->path.daddr);
}

/* ---- measuring ---- */

static int attach(int ns, uint32_t ifindex, enum hook hook, int prog)
{
	int fd;

	enter(ns);
	fd = bpf_link_create(prog, (int)ifindex,
			     (enum bpf_attach_type)(hook == HOOK_TC ? TCX_INGRESS : BPF_XDP), NULL);
	return check(hook == HOOK_TC ? "tcx link (kernel 6.6 or newer)" : "xdp link", fd);
}

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

static void measure(struct bench *b, enum hook hook, int size, enum row row, int prog, int round)
{
	struct kb_gen *g = &b->gen[size][row == ROW_ECHO ? ROW_A : row];
	struct kb_gen *counter = &b->gen[0][ROW_A];
	struct cell *c = &b->cell[hook][size][row];
	struct timespec warm = {.tv_nsec = (long)(b->span_ns / 5)};
	struct timespec span = {.tv_sec = (time_t)(b->span_ns / 1000000000),
				.tv_nsec = (long)(b->span_ns % 1000000000)};
	struct reading r[4];
	int stats;

	check("generator", kb_gen_start(g));
	nanosleep(&warm, NULL);
	stats = check("bpf_stats", bpf_enable_stats(BPF_STATS_RUN_TIME));
	take_reading(g, counter, row, prog, &r[0]);
	nanosleep(&span, NULL);
	take_reading(g, counter, row, prog, &r[1]);
	close(stats);
	take_reading(g, counter, row, prog, &r[2]);
	nanosleep(&span, NULL);
	take_reading(g, counter, row, prog, &r[3]);
	check("live frames (kernel 5.18 or newer)", kb_gen_stop(g));
	if (r[1].runs == r[0].runs)
		die("the program did not run", -ENODATA);
	if (r[3].right == r[0].right || r[3].right - r[0].right != r[3].frames - r[0].frames) {
		fprintf(stderr, "kernel_cost: %s: %llu frames came back, %llu of them right\n",
			row_names[row], (unsigned long long)(r[3].frames - r[0].frames),
			(unsigned long long)(r[3].right - r[0].right));
		exit(1);
	}
	c->ns[round] = (double)(r[1].run_ns - r[0].run_ns) / (double)(r[1].runs - r[0].runs);
	c->rate[round] = per_second(r[3].frames - r[2].frames, &r[2], &r[3]);
	c->sent[round] = per_second(r[3].sent - r[2].sent, &r[2], &r[3]);
}

static void run_round(struct bench *b, int round)
{
	for (int hook = 0; hook < HOOK_MAX; hook++) {
		bool tc = hook == HOOK_TC;
		int echo = bpf_program__fd(tc ? b->echo->progs.echo_tc : b->echo->progs.echo_xdp);
		int link = attach(b->near_ns, b->near_ifindex, (enum hook)hook, echo);

		enter(b->far_ns);
		for (int size = 0; size < b->sizes; size++) {
			struct kbdns_bpf *skel = b->store[size].skel;
			int kbdns =
				bpf_program__fd(tc ? skel->progs.kbdns_tc : skel->progs.kbdns_xdp);

			for (int row = 0; row < ROW_MAX; row++) {
				int prog = row == ROW_ECHO ? echo : kbdns;

				check("link update", bpf_link_update(link, prog, NULL));
				measure(b, (enum hook)hook, size, (enum row)row, prog, round);
			}
		}
		close(link);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *v, int n)
{
	double s[ROUNDS_MAX];

	memcpy(s, v, sizeof(double) * (size_t)n);
	qsort(s, (size_t)n, sizeof(double), by_value);
	return n & 1 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
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

				for (int i = 0; i < b->rounds; i++) {
					over[i] = c->ns[i] - echo->ns[i];
					ratio[i] = c->rate[i] / echo->rate[i];
				}
				rate = median(c->rate, b->rounds);
				sent = median(c->sent, b->rounds);
				printf("%-4s %8u %-9s %8.0f %10.0f %8.0fk %10.0fk %8.2f  %s\n",
				       hook_names[hook], b->names[size], row_names[row],
				       median(c->ns, b->rounds), median(over, b->rounds),
				       rate / 1000, sent / 1000, median(ratio, b->rounds),
				       rate > 0.97 * sent ? "generator" : "responder");
			}
		}
	}
}

static void usage(FILE *f)
{
	fputs("usage: kernel_cost [OPTIONS]\n"
	      "  --names N,...   sizes of the table (default 1000,100000)\n"
	      "  --rounds N      interleaved rounds, of which medians are taken (default 5)\n"
	      "  --ms N          length of each measurement (default 250)\n"
	      "  --replicas N    of the index (default 1)\n",
	      f);
}

static uint64_t number(const char *s, uint64_t max)
{
	char *end;
	unsigned long long v = strtoull(s, &end, 10);

	if (end == s || *end || v == 0 || v > max) {
		fprintf(stderr, "kernel_cost: %s: a number 1..%llu is needed\n", s,
			(unsigned long long)max);
		exit(2);
	}
	return v;
}

static void parse_options(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{"names", required_argument, NULL, 'n'}, {"rounds", required_argument, NULL, 'r'},
		{"ms", required_argument, NULL, 'm'},	 {"replicas", required_argument, NULL, 'R'},
		{"help", no_argument, NULL, 'h'},	 {NULL, 0, NULL, 0},
	};
	char sizes[] = "1000,100000", *list = sizes;
	int c;

	b->rounds = 5;
	b->span_ns = 250000000;
	b->replicas = 1;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			list = optarg;
			break;
		case 'r':
			b->rounds = (int)number(optarg, ROUNDS_MAX);
			break;
		case 'm':
			b->span_ns = number(optarg, 60000) * 1000000;
			break;
		case 'R':
			b->replicas = (uint32_t)number(optarg, KB_REPLICAS_MAX);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	for (char *s = strtok(list, ","); s && b->sizes < SIZES_MAX; s = strtok(NULL, ","))
		b->names[b->sizes++] = (uint32_t)number(s, 999999);
}

int main(int argc, char **argv)
{
	static struct bench b;

	parse_options(&b, argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	link_up(&b);
	b.echo = echo_bpf__open_and_load();
	if (!b.echo)
		die("echo.bpf.o", -errno);
	enter(b.far_ns);
	for (int size = 0; size < b.sizes; size++) {
		store_fill(&b, &b.store[size], b.names[size]);
		for (int row = ROW_A; row < ROW_MAX; row++)
			gen_fill(&b, &b.gen[size][row], b.names[size], (enum row)row);
	}
	attach(b.far_ns, b.path.far_ifindex, HOOK_XDP,
	       bpf_program__fd(b.gen[0][ROW_A].skel->progs.count_xdp));
	attach(b.far_ns, b.path.far_ifindex, HOOK_TC,
	       bpf_program__fd(b.gen[0][ROW_A].skel->progs.count_tc));
	for (int round = 0; round < b.rounds; round++)
		run_round(&b, round);
	report(&b);
	return 0;
}
