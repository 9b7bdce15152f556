// SPDX-License-Identifier: Apache-2.0
/*
 * What the exception path costs the worker that feeds it. kb_dpdk_queue_poll() takes frames out of
 * a port of rings, RING of them for each pass: all of them queries that are answered, without and
 * with an exception path that has nothing to do; a tenth of them not for the engine, and freed; a
 * tenth of them left to a tap in a network namespace of its own, as fast as the worker can, which
 * is faster than the kernel. The kinds of passes take turns in one run. Figures are medians;
 * the generator is left out. Root.
 */
#include <sched.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include "bench/dpdk_world.h"
#include "bench/median.h"
#include "bench/options.h"
#include "dataplane/dpdk/exception.h"

#define RING	1024
#define PASSES	20000
#define LEFT_OF 10 /* one of so many */

enum kind { ALL_ANSWERED, PATH_IDLE, LEFT_FREED, LEFT_TO_TAP, KIND_MAX };

static const char *const kind_names[KIND_MAX] = {"all answered", "all answered, path idle",
						 "a tenth left and freed",
						 "a tenth left to the tap"};

static uint64_t names = 100000, ms = 3000;
static struct rte_mempool *pool;
static struct rte_ring *rx, *tx;
static struct kb_dpdk_queue queue;
static struct kb_workers workers = {.epoch = 1};
static struct kb_worker_counts stats[KB_WORKER_STATS_MAX];
static struct kb_exception *exception;

static void set_up(struct world *w)
{
	/* The tap's thread may not run where the worker does. */
	char *args[] = {"dpdk_exception",
			"--no-huge",
			"--no-shconf",
			"--no-pci",
			"--no-telemetry",
			"-m",
			"64",
			"-l",
			"0",
			"--log-level",
			"error",
			NULL};
	static struct kb_dpdk_port conf = {.name = "rings", .mtu = 1500, .socket = SOCKET_ID_ANY};
	struct rte_eth_conf eth = {0};
	char err[256];
	int id;

	FILE *f;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace (root?)", -errno);
	/* Its neighbour discovery would be sent to the port. */
	f = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w");
	if (f && (fputc('1', f) == EOF || fclose(f) == EOF))
		die("disable_ipv6", -errno);
	check("EAL", rte_eal_init(sizeof(args) / sizeof(*args) - 1, args));
	pool = rte_pktmbuf_pool_create("frames", RING + KB_EXCEPTION_HELD + 1024, 256, 0,
				       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	rx = rte_ring_create("rx", 2 * RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	tx = rte_ring_create("tx", 2 * RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!pool || !rx || !tx)
		die("buffers and rings", -ENOMEM);
	id = rte_eth_from_rings("bench", &rx, 1, &tx, 1, 0);
	check("port of rings", id);
	queue.port = (uint16_t)id;
	check("port", rte_eth_dev_configure(queue.port, 1, 1, &eth));
	check("port", rte_eth_rx_queue_setup(queue.port, 0, RING, 0, NULL, pool));
	check("port", rte_eth_tx_queue_setup(queue.port, 0, RING, 0, NULL));
	check("port", rte_eth_dev_start(queue.port));
	world_engine(w, &queue.engine);
	queue.burst = KB_BURST_DEFAULT;
	queue.workers = &workers;
	queue.stats = stats;
	check("row", kb_dpdk_queue_start(&queue, 0));
	memcpy(&conf.mac, world_mac, sizeof(world_mac));
	if (kb_exception_new(queue.port, &conf, 1, "kbbench0", &exception, err, sizeof(err)) < 0 ||
	    kb_exception_start(exception) < 0) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
}

/* Returns how many are queries. */
static uint32_t fill(struct world *w, enum kind kind)
{
	struct rte_mbuf *m[RING];
	uint32_t queries = 0;

	if (rte_pktmbuf_alloc_bulk(pool, m, RING) != 0)
		die("buffers", -ENOMEM);
	for (uint32_t i = 0; i < RING; i++) {
		world_query(w, m[i]);
		if (kind == ALL_ANSWERED || kind == PATH_IDLE || i % LEFT_OF) {
			queries++;
			continue;
		}
		/* To another port; the tap has no address and the stack drops it. */
		rte_pktmbuf_mtod(m[i], uint8_t *)[37] = 54;
	}
	rte_ring_enqueue_bulk(rx, (void **)m, RING, NULL);
	return queries;
}

/* Cycles for each frame. */
static double pass(struct world *w, enum kind kind)
{
	bool path = kind == PATH_IDLE || kind == LEFT_TO_TAP;
	uint32_t queries = fill(w, kind), n;
	struct rte_mbuf *m[RING];
	uint64_t cycles;

	queue.left_take = path ? kb_lane_take : NULL;
	queue.left_turn = path ? kb_lane_turn : NULL;
	queue.left_arg = kb_exception_lane(exception, 0);
	cycles = rte_rdtsc();
	while (!rte_ring_empty(rx))
		kb_dpdk_queue_poll(&queue, 1);
	cycles = rte_rdtsc() - cycles;
	n = rte_ring_dequeue_burst(tx, (void **)m, RING, NULL);
	if (n != queries)
		die("queries without a reply", -EBADMSG);
	rte_pktmbuf_free_bulk(m, n);
	return (double)cycles / RING;
}

int main(int argc, char **argv)
{
	static const struct bench_option options[] = {
		{"names", "N", "names in the table (100000)", option_number, &names},
		{"ms", "N", "time in milliseconds (3000)", option_number, &ms},
		{0},
	};
	static double cycles[KIND_MAX][PASSES];
	struct kb_kernel_counts *k = &stats[0].kernel;
	struct world w;
	uint64_t end;
	size_t n = 0;

	bench_options("", options, argc, argv);
	world_new(&w, (uint32_t)names, 1);
	world_ask(&w, ASK_A);
	set_up(&w);
	end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * ms;
	while (n < PASSES && rte_rdtsc() < end) {
		for (int kind = 0; kind < KIND_MAX; kind++)
			cycles[kind][n] = pass(&w, (enum kind)kind);
		n++;
	}
	for (int kind = 0; kind < KIND_MAX; kind++) {
		qsort(cycles[kind], n, sizeof(cycles[kind][0]), by_value);
		printf("%-26s %7.1f ns for each frame\n", kind_names[kind],
		       cycles[kind][n / 2] / (double)rte_get_tsc_hz() * 1e9);
	}
	printf("to the tap: %.0f frames, %.0f dropped because too many waited, %.0f refused\n",
	       (double)k->in, (double)k->in_full, (double)k->in_failed);
	/* Of the worker's time; frames that are left cost less than answers. */
	printf("frames a second, path idle : none = %.3f\n",
	       cycles[ALL_ANSWERED][n / 2] / cycles[PATH_IDLE][n / 2]);
	printf("frames a second, a tenth to the tap : freed = %.3f\n",
	       cycles[LEFT_FREED][n / 2] / cycles[LEFT_TO_TAP][n / 2]);
	printf("frames a second, a tenth to the tap : all answered = %.3f\n",
	       cycles[ALL_ANSWERED][n / 2] / cycles[LEFT_TO_TAP][n / 2]);
	kb_exception_stop(exception);
	return 0;
}
