// SPDX-License-Identifier: Apache-2.0
/*
 * Rate of kbdns-dpdk's engine on one core, over a port of rings, and where its cycles go.
 *
 * Frames are written for random names and put into the receive ring, RING of them, before the
 * worker takes them out in bursts; each reply is checked afterwards. The engine's time is
 * from a burst's arrival out of the ring port to its replies being ready to send; the
 * generator, the check and the ring port are left out of it and reported beside it. `timing` is
 * what reading the clock between the phases adds, in cycles. Figures are
 * medians over all passes of the ring, so that what else the machine does is seen in few of them.
 *
 * With --count N: no port and no clock; N queries through the engine and nothing else, for
 * callgrind (bench/dpdk_instructions).
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include "bench/dpdk_world.h"
#include "bench/median.h"
#include "bench/options.h"

#define RING	   1024
#define SAMPLES	   20000 /* passes of the ring, at most */
#define LIST_MAX   16
#define BUFFER_MAX 512 /* of --count: none of its frames is longer */

static struct {
	uint32_t names[LIST_MAX], burst[LIST_MAX], ahead[LIST_MAX], replicas[LIST_MAX];
	int n_names, n_burst, n_ahead, n_replicas;
	enum ask ask;
	uint64_t ms, count, plain;
} opt = {.ms = 700};

static struct {
	struct rte_mempool *pool;
	struct rte_ring *rx, *tx;
	struct kb_dpdk_queue queue;
	uint32_t asked[RING]; /* which name, in the order of the ring */
} port;

/* One pass of the ring. */
struct pass {
	double generate, receive, send, engine, phase[KB_PHASE_MAX]; /* TSC cycles for each query */
};

static void set_list(const char *name, const char *value, void *to)
{
	uint32_t *list = to;
	int *n = list == opt.names   ? &opt.n_names
		 : list == opt.burst ? &opt.n_burst
		 : list == opt.ahead ? &opt.n_ahead
				     : &opt.n_replicas;

	*n = option_list(name, value, list == opt.names ? 1000000 : KB_BURST_MAX, list, LIST_MAX);
}

static void set_ask(const char *name, const char *value, void *to)
{
	(void)to;
	for (opt.ask = 0; opt.ask < ASK_MAX; opt.ask++) {
		if (!strcmp(value, ask_names[opt.ask]))
			return;
	}
	option_bad(name, value);
}

static const struct bench_option options[] = {
	{"names", "N,...", "names in the table (1000,100000,1000000)", set_list, opt.names},
	{"burst", "N,...", "frames in a burst (32)", set_list, opt.burst},
	{"ahead", "N,...", "frames that the prefetch of frames is ahead (2)", set_list, opt.ahead},
	{"replicas", "N,...", "replicas of the index (1)", set_list, opt.replicas},
	{"ask", "WHAT", "a (default), nodata, nxdomain, a-edns", set_ask, NULL},
	{"ms", "N", "time for each row in milliseconds (700)", option_number, &opt.ms},
	{"plain", "1", "hash without vectors", option_number, &opt.plain},
	{"count", "N", "run N queries and end, for callgrind", option_number, &opt.count},
	{0},
};

static void port_new(void)
{
	char *args[] = {"dpdk_engine", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
			"-m",	       "64",	    "-l",	   "0",	       "--log-level",
			"error",       NULL};
	struct rte_eth_conf conf = {0};
	uint16_t id;
	int r;

	check("EAL", rte_eal_init(sizeof(args) / sizeof(*args) - 1, args));
	port.pool = rte_pktmbuf_pool_create("frames", 2 * RING - 1, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					    SOCKET_ID_ANY);
	port.rx = rte_ring_create("rx", 2 * RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	port.tx = rte_ring_create("tx", 2 * RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!port.pool || !port.rx || !port.tx)
		die("buffers and rings", -ENOMEM);
	r = rte_eth_from_rings("bench", &port.rx, 1, &port.tx, 1, 0);
	check("port of rings", r);
	id = (uint16_t)r;
	check("port", rte_eth_dev_configure(id, 1, 1, &conf));
	check("port", rte_eth_rx_queue_setup(id, 0, RING, 0, NULL, port.pool));
	check("port", rte_eth_tx_queue_setup(id, 0, RING, 0, NULL));
	check("port", rte_eth_dev_start(id));
	port.queue.port = id;
}

static void ring_fill(struct world *w)
{
	struct rte_mbuf *m[RING];

	if (rte_pktmbuf_alloc_bulk(port.pool, m, RING) != 0)
		die("buffers", -ENOMEM);
	for (uint32_t i = 0; i < RING; i++)
		port.asked[i] = world_query(w, m[i]);
	rte_ring_enqueue_bulk(port.rx, (void **)m, RING, NULL);
}

static void ring_check(const struct world *w)
{
	struct rte_mbuf *m[RING];
	uint32_t n = rte_ring_dequeue_burst(port.tx, (void **)m, RING, NULL);

	for (uint32_t i = 0; i < n; i++) {
		if (!world_reply(w, m[i], port.asked[i]))
			die("a reply is wrong", -EBADMSG);
	}
	if (n != RING)
		die("queries without a reply", -EBADMSG);
	rte_pktmbuf_free_bulk(m, n);
}

/* A burst as kb_dpdk_queue_poll() has it, with a clock between its parts. */
static void burst(uint16_t max, uint64_t *receive, uint64_t *engine, uint64_t *send)
{
	struct rte_mbuf *pkts[KB_BURST_MAX], *left[KB_BURST_MAX];
	struct kb_dpdk_queue *q = &port.queue;
	uint64_t t0 = rte_rdtsc(), t1, t2;
	uint32_t n = rte_eth_rx_burst(q->port, 0, pkts, max), replies, sent;

	t1 = rte_rdtsc();
	replies = kb_dpdk_engine_burst(&q->engine, 0, pkts, n, left);
	t2 = rte_rdtsc();
	sent = rte_eth_tx_burst(q->port, 0, pkts, (uint16_t)replies);
	kb_dpdk_engine_count(&q->engine, sent, replies, KB_CNT_SEND_FULL);
	*receive += t1 - t0;
	*engine += t2 - t1;
	*send += rte_rdtsc() - t2;
}

static struct pass pass_run(struct world *w, uint16_t max, bool timing)
{
	uint64_t t0 = rte_rdtsc(), receive = 0, engine = 0, send = 0;
	struct kb_dpdk_engine *e = &port.queue.engine;
	struct pass p;

	ring_fill(w);
	p.generate = (double)(rte_rdtsc() - t0) / RING;
	e->timing = timing;
	memset(e->stats->cycles, 0, sizeof(e->stats->cycles));
	while (!rte_ring_empty(port.rx))
		burst(max, &receive, &engine, &send);
	ring_check(w);
	p.receive = (double)receive / RING;
	p.send = (double)send / RING;
	p.engine = (double)engine / RING;
	for (int i = 0; i < KB_PHASE_MAX; i++)
		p.phase[i] = (double)e->stats->cycles[i] / RING;
	return p;
}

/* median() of bench/median.h is for fewer. */
static double median_of(const struct pass *p, size_t n, size_t field)
{
	static double v[SAMPLES];

	for (size_t i = 0; i < n; i++)
		v[i] = *(const double *)((const char *)&p[i] + field);
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

#define MEDIAN(p, n, field) median_of(p, n, offsetof(struct pass, field))

static void row(struct world *w, uint32_t replicas, uint16_t max, uint32_t ahead)
{
	static struct pass plain[SAMPLES], timed[SAMPLES];
	double hz = (double)rte_get_tsc_hz(), engine;
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * opt.ms;
	size_t n = 0;

	world_engine(w, &port.queue.engine);
	port.queue.engine.ahead = ahead;
	if (opt.plain)
		port.queue.engine.scan = kb_scan_plain;
	while (n < SAMPLES && rte_rdtsc() < end) {
		/* In turn, so that both see the same machine. */
		plain[n] = pass_run(w, max, false);
		timed[n] = pass_run(w, max, true);
		n++;
	}
	engine = MEDIAN(plain, n, engine);
	printf("%8u %8u %6u %6u %9.2f %8.1f %8.1f %7.1f", w->names, replicas, max, ahead,
	       hz / engine / 1e6, engine / hz * 1e9, engine, MEDIAN(plain, n, receive));
	for (int i = KB_PHASE_HEADERS; i <= KB_PHASE_ANSWER; i++)
		printf(" %8.1f", MEDIAN(timed, n, phase[i]));
	printf(" %6.1f %8.1f %7.1f\n", MEDIAN(plain, n, send), MEDIAN(plain, n, generate),
	       MEDIAN(timed, n, engine) - engine);
	fflush(stdout);
}

static void measure(void)
{
	struct world w;

	port_new();
	printf("asked: %s; TSC %.2f GHz; cycles are the TSC's, for each query; receive, send and "
	       "generate\n"
	       "are the ring port's and the generator's, and not in the rate\n",
	       ask_names[opt.ask], (double)rte_get_tsc_hz() / 1e9);
	printf("%8s %8s %6s %6s %9s %8s %8s %7s %8s %8s %8s %8s %8s %6s %8s %7s\n", "names",
	       "replicas", "burst", "ahead", "Mqps", "ns", "cycles", "receive", "headers", "hash",
	       "question", "look-up", "answer", "send", "generate", "timing");
	for (int i = 0; i < opt.n_names; i++) {
		for (int r = 0; r < opt.n_replicas; r++) {
			world_new(&w, opt.names[i], opt.replicas[r]);
			world_ask(&w, opt.ask);
			for (int b = 0; b < opt.n_burst; b++) {
				for (int a = 0; a < opt.n_ahead; a++)
					row(&w, opt.replicas[r], (uint16_t)opt.burst[b],
					    opt.ahead[a]);
			}
			world_free(&w);
		}
	}
}

/* No EAL, which has nothing to do with the engine and takes longer under callgrind. */
static void count(void)
{
	static struct {
		struct rte_mbuf m;
		uint8_t data[BUFFER_MAX];
	} KB_ALIGNED(64) buffer[KB_BURST_MAX];
	struct rte_mbuf *pkts[KB_BURST_MAX], *left[KB_BURST_MAX];
	static struct kb_dpdk_engine e;
	uint32_t asked[KB_BURST_MAX], burst_max = opt.burst[0];
	struct world w;

	world_new(&w, opt.names[0], 1);
	world_ask(&w, opt.ask);
	world_engine(&w, &e);
	if (opt.plain)
		e.scan = kb_scan_plain;
	for (uint64_t done = 0; done < opt.count; done += burst_max) {
		for (uint32_t i = 0; i < burst_max; i++) {
			pkts[i] = &buffer[i].m;
			pkts[i]->buf_addr = buffer[i].data;
			pkts[i]->buf_len = BUFFER_MAX;
			pkts[i]->nb_segs = 1;
			pkts[i]->ol_flags = 0;
			asked[i] = world_query(&w, pkts[i]);
		}
		if (kb_dpdk_engine_burst(&e, 0, pkts, burst_max, left) != burst_max)
			die("queries without a reply", -EBADMSG);
		kb_dpdk_engine_count(&e, burst_max, burst_max, KB_CNT_SEND_FULL);
		for (uint32_t i = 0; i < burst_max; i++) {
			if (!world_reply(&w, pkts[i], asked[i]))
				die("a reply is wrong", -EBADMSG);
		}
	}
	world_free(&w);
}

int main(int argc, char **argv)
{
	set_list("names", "1000,100000,1000000", opt.names);
	set_list("burst", "32", opt.burst);
	set_list("ahead", "2", opt.ahead);
	set_list("replicas", "1", opt.replicas);
	bench_options("", options, argc, argv);
	if (opt.count)
		count();
	else
		measure();
	return 0;
}
