// SPDX-License-Identifier: Apache-2.0
/*
 * kbdns-dpdk: answers DNS queries on the queues of the ports that EAL has, one poll-mode worker for
 * each queue and one lcore for each worker, out of the table of the kbdnsd that runs on
 * this node.
 *
 *   workers    one on each lcore, the main one included: kb_dpdk_queue_poll() until told to stop
 *   control    a thread without a core of its own: follows the table's writer, tells of links
 *   taps       one thread of this kind for each port with an exception path (exception.h)
 *
 * Nothing is allocated after the start. The order of starting is that of what can fail: the
 * table, EAL, all ports; so that what is wrong leaves no port half configured.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_version.h>

#include "dataplane/dpdk/exception.h"
#include "dataplane/dpdk/exception_option.h"
#include "dataplane/dpdk/port.h"
#include "dataplane/dpdk/queue.h"
#include "dataplane/dpdk/shared.h"

#define FOLLOW_US 2000
#define LINK_MS	  500
/* A worker that was told to stop goes on receiving for so long: what is on its way is answered. */
#define DRAIN_NS 10000000ULL
/* Empty polls in a row before it sleeps, if it may. */
#define IDLE_POLLS 1000

struct port {
	uint16_t id;
	bool up;
	struct kb_dpdk_port conf;
	struct kb_exception *exception; /* NULL: what is left is dropped */
};

static struct {
	const char *bpffs;
	uint16_t burst;
	unsigned int sleep_us;
	struct kb_exception_option exception;

	struct kb_shared *shared;
	struct port port[RTE_MAX_ETHPORTS];
	unsigned int n_ports, n_started;
	struct kb_dpdk_queue *queue[RTE_MAX_LCORE];
	uint64_t polls[RTE_MAX_LCORE]; /* control thread's: when it looked last */
	unsigned int n_queues;
	volatile sig_atomic_t stop;
	bool control_end, stale;
} t = {.bpffs = "/sys/fs/bpf/kbdns", .burst = KB_BURST_DEFAULT};

enum { OPT_BPFFS = 256, OPT_BURST, OPT_EXCEPTION, OPT_SLEEP, OPT_HELP, OPT_VERSION };

static const struct {
	struct option o;
	const char *arg, *help;
} options[] = {
	{{"bpffs", required_argument, NULL, OPT_BPFFS},
	 "DIR",
	 "folder in bpffs where kbdnsd has its table (/sys/fs/bpf/kbdns)"},
	{{"burst", required_argument, NULL, OPT_BURST},
	 "N",
	 "frames that are received at once, 1..128 (32)"},
	{{"exception", required_argument, NULL, OPT_EXCEPTION},
	 "HOW",
	 "all else goes to the kernel by a tap: auto, tap or none, see kbdns-dpdk(8) (auto)"},
	{{"idle-sleep", required_argument, NULL, OPT_SLEEP},
	 "US",
	 "sleep for so many microseconds when idle; 0 (default): poll all the time"},
	{{"help", no_argument, NULL, OPT_HELP}, "", "print this and end"},
	{{"version", no_argument, NULL, OPT_VERSION}, "", "print the version and end"},
};
#define N_OPTIONS (sizeof(options) / sizeof(*options))

static void help(FILE *f)
{
	fprintf(f, "usage: kbdns-dpdk [OPTIONS] -- EAL-ARGUMENTS\n"
		   "Answers DNS on ports of DPDK out of the table of the kbdnsd on this node; one\n"
		   "worker for each lcore, one queue for each worker. See kbdns-dpdk(8).\n\n");
	for (size_t i = 0; i < N_OPTIONS; i++)
		fprintf(f, "  --%-10s %-4s %s\n", options[i].o.name, options[i].arg,
			options[i].help);
	fprintf(f, "\nEAL-ARGUMENTS say which lcores, memory and devices, for instance\n"
		   "  -l 2-3 --in-memory -a 0000:03:00.0\n"
		   "  -l 2 --no-huge -m 64 --no-pci --vdev net_af_packet0,iface=eth1\n");
}

__attribute__((noreturn)) static void usage_error(const char *what, const char *value)
{
	fprintf(stderr, "kbdns-dpdk: %s: %s: see kbdns-dpdk --help\n", what, value);
	exit(2);
}

static unsigned long number(const char *name, const char *text, unsigned long min,
			    unsigned long max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || v < min || v > max)
		usage_error(name, text);
	return v;
}

/* Returns the index of the first argument for EAL. */
static int parse_options(int argc, char **argv)
{
	struct option longs[N_OPTIONS + 1] = {0};
	int c;

	for (size_t i = 0; i < N_OPTIONS; i++)
		longs[i] = options[i].o;
	kb_exception_option_parse(KB_EXCEPTION_DEFAULT, &t.exception);
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:", longs, NULL)) != -1) {
		switch (c) {
		case OPT_BPFFS:
			t.bpffs = optarg;
			break;
		case OPT_BURST:
			t.burst = (uint16_t)number("--burst", optarg, 1, KB_BURST_MAX);
			break;
		case OPT_EXCEPTION:
			if (kb_exception_option_parse(optarg, &t.exception) < 0)
				usage_error("--exception", optarg);
			break;
		case OPT_SLEEP:
			t.sleep_us = (unsigned int)number("--idle-sleep", optarg, 0, 1000000);
			break;
		case OPT_HELP:
			help(stdout);
			exit(0);
		case OPT_VERSION:
			printf("kbdns-dpdk %s, %s\n", KB_VERSION, rte_version());
			exit(0);
		case ':':
			usage_error(argv[optind - 1], "value is missing");
		default:
			usage_error(argv[optind - 1], "no such option (EAL's come behind --)");
		}
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		usage_error(argv[optind], "no argument is wanted here (EAL's come behind --)");
	return optind;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static int worker(void *arg)
{
	struct kb_dpdk_queue *q = arg;
	uint64_t end = 0, now;
	unsigned int idle = 0;

	for (;;) {
		now = now_ns(CLOCK_MONOTONIC_COARSE);
		if (t.stop) {
			/* The coarse clock stands still for milliseconds. */
			now = now_ns(CLOCK_MONOTONIC);
			if (!end)
				end = now + DRAIN_NS;
			if (now > end)
				break;
		}
		idle = kb_dpdk_queue_poll(q, now) ? 0 : idle + 1;
		if (idle > IDLE_POLLS && t.sleep_us && !t.stop)
			usleep(t.sleep_us);
	}
	kb_dpdk_queue_stop(q);
	return 0;
}

/* Has each worker polled since the last call? Then it has been outside a burst. */
static bool all_passed(void)
{
	bool passed = true;

	for (unsigned int i = 0; i < t.n_queues; i++)
		passed &= __atomic_load_n(&t.queue[i]->polls, __ATOMIC_ACQUIRE) != t.polls[i];
	if (!passed)
		return false;
	for (unsigned int i = 0; i < t.n_queues; i++)
		t.polls[i] = __atomic_load_n(&t.queue[i]->polls, __ATOMIC_ACQUIRE);
	return true;
}

static void tell_links(void)
{
	for (unsigned int i = 0; i < t.n_ports; i++) {
		struct rte_eth_link link = {0};
		struct port *p = &t.port[i];

		if (rte_eth_link_get_nowait(p->id, &link) < 0 || p->up == link.link_status)
			continue;
		p->up = link.link_status;
		if (p->exception)
			kb_exception_link(p->exception, p->up);
		fprintf(stderr, "kbdns-dpdk: port %s: link is %s\n", p->conf.name,
			p->up ? "up" : "down: nothing is received until it is up again");
	}
}

static void *control(void *arg)
{
	char err[256], said[256] = "";
	unsigned int turn = 0;

	(void)arg;
	while (!__atomic_load_n(&t.control_end, __ATOMIC_ACQUIRE)) {
		int r = kb_shared_follow(t.shared, all_passed(), err, sizeof(err));

		/* What may pass is tried again, and told once. */
		if (r < 0 && strcmp(err, said) != 0) {
			fprintf(stderr, "kbdns-dpdk: %s\n", err);
			strcpy(said, err);
		} else if (r >= 0) {
			said[0] = 0;
		}
		if (r == -ESTALE) {
			t.stale = true;
			t.stop = 1;
			break;
		}
		if (turn++ % (LINK_MS * 1000 / FOLLOW_US) == 0)
			tell_links();
		usleep(FOLLOW_US);
	}
	return NULL;
}

static int fail(const char *err)
{
	fprintf(stderr, "kbdns-dpdk: %s\n", err);
	return -1;
}

/* The last line of a log, which names what was wrong. */
static const char *last_line(char *log)
{
	char *line, *last = NULL, *save = NULL;

	for (line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		last = line;
	return last ? last : rte_strerror(rte_errno);
}

/* A device that was named and cannot be opened is no failure for EAL, which goes on without it. */
static int devices_check(const char *said)
{
	const struct rte_devargs *d;
	char err[512];
	uint16_t id;

	for (d = rte_devargs_next(NULL, NULL); d; d = rte_devargs_next(NULL, d)) {
		if (d->policy == RTE_DEV_BLOCKED || rte_eth_dev_get_port_by_name(d->name, &id) == 0)
			continue;
		snprintf(err, sizeof(err), "EAL cannot open the device %s as a port: %s", d->name,
			 said);
		return fail(err);
	}
	return 0;
}

/* EAL speaks in many lines, of which one is passed on if something is wrong. */
static int eal_start(int argc, char **argv)
{
	char *log = NULL, err[512];
	const char *said;
	size_t size = 0;
	FILE *f = open_memstream(&log, &size);
	int r;

	if (!f)
		return fail("no memory");
	rte_openlog_stream(f);
	r = rte_eal_init(argc, argv);
	rte_openlog_stream(NULL);
	fclose(f);
	said = last_line(log);
	if (r < 0) {
		snprintf(err, sizeof(err), "EAL did not start: %s%s", said,
			 strstr(said, "hugepage")
				 ? ": reserve huge pages (vm.nr_hugepages) or use --no-huge -m MB"
				 : "");
		fail(err);
	} else {
		r = devices_check(said);
		if (r < 0)
			rte_eal_cleanup();
	}
	free(log);
	return r < 0 ? -1 : 0;
}

/* The port, and its exception path. */
static int port_start(struct port *p, uint16_t queues)
{
	bool sees = kb_dpdk_port_kernel_sees(p->id),
	     wanted = kb_exception_wanted(&t.exception, sees);
	char err[256], name[IF_NAMESIZE] = "";

	if (kb_dpdk_port_start(p->id, queues, wanted ? KB_EXCEPTION_HELD : 0, &p->conf, err,
			       sizeof(err)) < 0)
		return fail(err);
	t.n_started++;
	p->up = true;
	if (wanted) {
		kb_exception_name(&t.exception, p->id, name);
		if (kb_exception_new(p->id, &p->conf, queues, name, &p->exception, err,
				     sizeof(err)) < 0)
			return fail(err);
	}
	fprintf(stderr, "kbdns-dpdk: port %s: %u queues, MTU %u, UDP checksums by %s%s%s\n",
		p->conf.name, queues, p->conf.mtu, p->conf.csum_offload ? "the port" : "software",
		wanted ? ", exception path by " : "", name);
	if (!sees && !wanted)
		fprintf(stderr,
			"kbdns-dpdk: port %s: the kernel does not see it: all that is not answered "
			"is dropped, ARP too (--exception)\n",
			p->conf.name);
	return 0;
}

static int ports_start(void)
{
	unsigned int lcores = rte_lcore_count();
	char err[256];
	uint16_t id;

	for (id = 0; id < RTE_MAX_ETHPORTS; id++) {
		if (rte_eth_dev_is_valid_port(id))
			t.port[t.n_ports++].id = id;
	}
	if (!t.n_ports)
		return fail("EAL has no port: name a device behind -- (-a ADDRESS or --vdev NAME)");
	if (lcores % t.n_ports) {
		snprintf(err, sizeof(err),
			 "%u lcores cannot be shared equally by %u ports: change -l", lcores,
			 t.n_ports);
		return fail(err);
	}
	for (unsigned int i = 0; i < t.n_ports; i++) {
		if (port_start(&t.port[i], (uint16_t)(lcores / t.n_ports)) < 0)
			return -1;
	}
	return 0;
}

/* Queue n / ports of port n % ports, for worker n on this lcore. */
static int queue_start(unsigned int n, unsigned int lcore)
{
	const struct port *p = &t.port[n % t.n_ports];
	struct kb_dpdk_queue *q = rte_zmalloc_socket("kbdns_queue", sizeof(*q), RTE_CACHE_LINE_SIZE,
						     (int)rte_lcore_to_socket_id(lcore));

	if (!q)
		return fail("no memory for a worker: more of it is needed (-m)");
	t.queue[t.n_queues++] = q;
	kb_dpdk_engine_init(&q->engine);
	q->engine.table = kb_shared_table(t.shared);
	q->engine.queue = n;
	q->engine.mtu = p->conf.mtu;
	q->engine.mac = p->conf.mac;
	q->engine.csum_offload = p->conf.csum_offload;
	q->port = p->id;
	q->queue = (uint16_t)(n / t.n_ports);
	q->burst = t.burst;
	if (p->exception) {
		q->left_arg = kb_exception_lane(p->exception, q->queue);
		q->left_take = kb_lane_take;
		q->left_turn = kb_lane_turn;
	}
	q->workers = kb_shared_workers(t.shared);
	q->stats = kb_shared_stats(t.shared);
	q->info = (struct kb_reader_info){
		.pid = (uint32_t)getpid(), .ifindex = p->conf.ifindex, .queue = q->queue};
	if (kb_dpdk_queue_start(q, now_ns(CLOCK_MONOTONIC)) < 0)
		return fail("all rows for workers are taken: end other kbdns-dpdk processes");
	return 0;
}

static int queues_start(void)
{
	for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (rte_lcore_is_enabled(lcore) && queue_start(t.n_queues, lcore) < 0)
			return -1;
	}
	return 0;
}

static void on_signal(int sig)
{
	(void)sig;
	t.stop = 1;
}

static int exceptions_start(void)
{
	for (unsigned int i = 0; i < t.n_ports; i++) {
		if (t.port[i].exception && kb_exception_start(t.port[i].exception) < 0)
			return fail("no thread for the exception path");
	}
	return 0;
}

/* Returns when all workers have ended, or -1. */
static int run(void)
{
	struct sigaction act = {.sa_handler = on_signal};
	unsigned int n = 0, lcore, main_lcore = rte_get_main_lcore();
	struct kb_dpdk_queue *mine = NULL;
	pthread_t thread;

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	if (exceptions_start() < 0)
		return -1;
	if (rte_ctrl_thread_create(&thread, "kbdns-control", NULL, control, NULL) != 0)
		return fail("no thread");
	fprintf(stderr, "kbdns-dpdk: ready: %u workers\n", t.n_queues);
	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (!rte_lcore_is_enabled(lcore))
			continue;
		if (lcore != main_lcore)
			rte_eal_remote_launch(worker, t.queue[n], lcore);
		else
			mine = t.queue[n];
		n++;
	}
	worker(mine);
	rte_eal_mp_wait_lcore();
	__atomic_store_n(&t.control_end, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	return t.stale ? -1 : 0;
}

static void clean_up(void)
{
	for (unsigned int i = 0; i < t.n_started; i++) {
		kb_exception_stop(t.port[i].exception);
		kb_dpdk_port_stop(t.port[i].id, &t.port[i].conf);
		kb_exception_free(t.port[i].exception);
	}
	for (unsigned int i = 0; i < t.n_queues; i++) {
		kb_dpdk_queue_stop(t.queue[i]);
		rte_free(t.queue[i]);
	}
	rte_eal_cleanup();
	kb_shared_close(t.shared);
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv), r;
	char err[256];

	if (kb_shared_open(t.bpffs, &t.shared, err, sizeof(err)) < 0) {
		fail(err);
		return 1;
	}
	/* EAL wants a program's name in front. */
	argv[first - 1] = argv[0];
	if (eal_start(argc - first + 1, argv + first - 1) < 0) {
		kb_shared_close(t.shared);
		return 1;
	}
	r = ports_start();
	if (r == 0)
		r = queues_start();
	if (r == 0)
		r = run();
	clean_up();
	return r < 0 ? 1 : 0;
}
