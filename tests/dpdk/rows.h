/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of tests/rows for kbdns-dpdk's engine, over a port of rings: no network card, no huge
 * pages, no privileges. One program includes it once.
 */
#ifndef KB_TESTS_DPDK_ROWS_H
#define KB_TESTS_DPDK_ROWS_H

#include <time.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include "control/table/env.h"
#include "dataplane/dpdk/queue.h"
#include "tests/rows/rows.h"
#include "tests/unit/mem_backing.h"

#define RING_SIZE 256 /* takes one frame less */
#define MBUFS	  1023

static const enum kb_engine rows_first = KB_ENGINE_DPDK, rows_last = KB_ENGINE_DPDK;

static struct {
	struct kb_mem *mem;
	struct kb_backing backing;
	struct rte_mempool *pool;
	struct rte_ring *rx, *tx;
	struct kb_dpdk_queue queue;
	struct kb_dpdk_table table;
	struct kb_workers workers;
	struct kb_worker_counts stats[KB_WORKER_STATS_MAX];
	struct rte_mbuf *left[RING_SIZE];
	uint32_t n_left;
} ports;

ROWS_UNUSED static uint64_t ports_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

ROWS_UNUSED static struct rte_mbuf *ports_mbuf(const struct frame *in)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(ports.pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)in->len), in->b, in->len);
	return m;
}

/* What stands in a buffer, which is freed. */
ROWS_UNUSED static void ports_take(struct rte_mbuf *m, const struct frame *in, struct frame *out)
{
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->pkt_len, m->data_len);
	assert_true(m->data_len <= sizeof(out->b));
	memset(out, 0, sizeof(*out));
	out->v6 = in->v6;
	out->len = m->data_len;
	memcpy(out->b, rte_pktmbuf_mtod(m, void *), out->len);
	rte_pktmbuf_free(m);
}

/* Receives what stands in the ring. */
ROWS_UNUSED static uint32_t ports_poll(void)
{
	/* Rows with the table's writer on the same thread: it has not moved since. */
	uint32_t gen = kb_gen_of(ports.table.hdr->state);

	kb_table_env(table, &ports.table.env);
	ports.table.gen[gen & 1] = ports.table.newest = kb_worker_gen(gen);
	ports.n_left = 0;
	return kb_dpdk_queue_poll(&ports.queue, ports_now_ns());
}

ROWS_UNUSED static enum row_verdict rows_run(enum kb_engine engine, const struct frame *in,
					     struct frame *out)
{
	void *m;

	(void)engine;
	assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(in)), 0);
	assert_int_equal(ports_poll(), 1);
	if (rte_ring_dequeue(ports.tx, &m) == 0) {
		assert_int_equal(ports.n_left, 0);
		ports_take(m, in, out);
		return ROW_ANSWERED;
	}
	if (ports.n_left != 1)
		return ROW_OTHER;
	ports_take(ports.left[0], in, out);
	return ROW_LEFT;
}

ROWS_UNUSED static void rows_counters(enum kb_engine engine, uint64_t ret[KB_CNT_MAX])
{
	(void)engine;
	memcpy(ret, ports.stats[0].counter, sizeof(ports.stats[0].counter));
}

ROWS_UNUSED static void rows_beat(uint32_t ttl_ms)
{
	ports.backing.header->deadline_ns = ports_now_ns() + ttl_ms * 1000000ULL - !ttl_ms;
}

ROWS_UNUSED static void rows_mtu(uint32_t mtu)
{
	ports.queue.engine.mtu = mtu;
}

ROWS_UNUSED static void ports_left(void *arg, struct kb_worker_counts *counts,
				   struct rte_mbuf **left, uint32_t n)
{
	(void)arg;
	(void)counts;
	for (uint32_t i = 0; i < n; i++)
		ports.left[ports.n_left++] = left[i];
}

ROWS_UNUSED static int ports_setup(void)
{
	char *args[] = {"test", "--no-huge", "--no-shconf", "--no-pci",	   "--no-telemetry", "-m",
			"128",	"-l",	     "0",	    "--log-level", "error"};
	struct rte_eth_conf conf = {0};
	int port;

	if (rte_eal_init(sizeof(args) / sizeof(*args), args) < 0)
		return -1;
	ports.pool = rte_pktmbuf_pool_create("frames", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					     SOCKET_ID_ANY);
	ports.rx = rte_ring_create("rx", RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	ports.tx = rte_ring_create("tx", RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!ports.pool || !ports.rx || !ports.tx)
		return -1;
	port = rte_eth_from_rings("rows", &ports.rx, 1, &ports.tx, 1, 0);
	if (port < 0 || rte_eth_dev_configure((uint16_t)port, 1, 1, &conf) < 0 ||
	    rte_eth_rx_queue_setup((uint16_t)port, 0, RING_SIZE, 0, NULL, ports.pool) < 0 ||
	    rte_eth_tx_queue_setup((uint16_t)port, 0, RING_SIZE, 0, NULL) < 0 ||
	    rte_eth_dev_start((uint16_t)port) < 0)
		return -1;
	kb_dpdk_engine_init(&ports.queue.engine);
	ports.queue.port = (uint16_t)port;
	ports.queue.burst = KB_BURST_DEFAULT;
	ports.queue.left_take = ports_left;
	memcpy(&ports.queue.engine.mac, port_mac, sizeof(port_mac));
	ports.queue.engine.mtu = 65535;
	return 0;
}

ROWS_UNUSED static int rows_setup(void **state)
{
	(void)state;
	ports.mem = kb_mem_new(NULL, NULL);
	if (!ports.mem || ports_setup() < 0) {
		print_error("no port of rings\n");
		return -1;
	}
	kb_mem_backing(ports.mem, &ports.backing);
	ports.table.hdr = ports.backing.header;
	ports.table.icept = ports.backing.icept;
	ports.queue.engine.table = &ports.table;
	ports.queue.workers = &ports.workers;
	ports.queue.stats = ports.stats;
	ports.workers.epoch = 1;
	if (kb_dpdk_queue_start(&ports.queue, ports_now_ns()) < 0)
		return -1;
	table_fill(&ports.backing);
	rows_beat(600000);
	return 0;
}

/* No row has lost or kept a buffer. */
ROWS_UNUSED static int rows_teardown(void **state)
{
	(void)state;
	assert_int_equal(rte_mempool_in_use_count(ports.pool), 0);
	kb_table_free(table);
	kb_mem_free(ports.mem);
	rte_eth_dev_stop(ports.queue.port);
	return rte_eal_cleanup();
}

#endif
