// SPDX-License-Identifier: Apache-2.0
/* See queue.h. */
#include "dataplane/dpdk/queue.h"

#include <errno.h>

#include <rte_ethdev.h>

/* While it is not registered it has no row to count into. */
static struct kb_worker_counts nowhere;

static void say_mapped(struct kb_dpdk_queue *q)
{
	q->mapped = __atomic_load_n(&q->engine.table->newest, __ATOMIC_ACQUIRE);
	kb_reader_mapped(&q->reader, (uint32_t)q->mapped);
}

int kb_dpdk_queue_start(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	q->engine.stats = &nowhere;
	if (!kb_reader_register(&q->reader, q->workers, KB_WORKERS_LOCAL, KB_WORKERS_MAX, &q->info,
				now_ns))
		return -ENOSPC;
	q->engine.stats = &q->stats[q->reader.row - q->workers->row - KB_WORKERS_LOCAL];
	say_mapped(q);
	return 0;
}

void kb_dpdk_queue_stop(struct kb_dpdk_queue *q)
{
	if (q->reader.row)
		kb_reader_unregister(&q->reader);
}

/* Holding nothing. The row stays the same unless it was taken back for long silence. */
static void join_again(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	if (q->reader.row && kb_reader_rejoin(&q->reader))
		say_mapped(q);
	else
		kb_dpdk_queue_start(q, now_ns);
}

static void leave(struct kb_dpdk_queue *q, struct rte_mbuf **left, uint32_t n)
{
	if (!n)
		return;
	if (q->left_take)
		q->left_take(q->left_arg, q->engine.stats, left, n);
	else
		rte_pktmbuf_free_bulk(left, n);
}

/* Sends replies[0..n). A send queue that is full stays so for longer than a receive queue lasts:
 * what it does not take is dropped, as a network card would do with the queries. */
static void send_replies(struct kb_dpdk_queue *q, struct rte_mbuf **replies, uint32_t n)
{
	uint32_t sent = n ? rte_eth_tx_burst(q->port, q->queue, replies, (uint16_t)n) : 0;

	kb_dpdk_engine_count(&q->engine, sent, n, KB_CNT_SEND_FULL);
	rte_pktmbuf_free_bulk(replies + sent, n - sent);
}

static void discard(struct kb_dpdk_queue *q, struct rte_mbuf **replies, uint32_t n, uint64_t now_ns)
{
	rte_pktmbuf_free_bulk(replies, n);
	/* Ours as long as it lasts: of a row taken back, others have the words. */
	join_again(q, now_ns);
	kb_dpdk_engine_count(&q->engine, 0, n, KB_CNT_GONE);
	if (q->reader.row)
		q->reader.row->discarded += n;
}

uint32_t kb_dpdk_queue_poll(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	struct rte_mbuf *pkts[KB_BURST_MAX], *left[KB_BURST_MAX];
	uint32_t turned = q->left_turn ? q->left_turn(q->left_arg, q->engine.stats) : 0;
	uint32_t n = rte_eth_rx_burst(q->port, q->queue, pkts, q->burst), replies;
	bool mine;

	__atomic_store_n(&q->polls, q->polls + 1, __ATOMIC_RELEASE);
	if (kb_unlikely(!q->reader.row) && kb_dpdk_queue_start(q, now_ns) < 0) {
		leave(q, pkts, n);
		return n + turned;
	}
	kb_reader_beat(&q->reader, now_ns);
	if (kb_unlikely(__atomic_load_n(&q->engine.table->newest, __ATOMIC_RELAXED) != q->mapped))
		say_mapped(q);
	if (!n)
		return turned;
	q->engine.stats->bursts++;
	q->engine.stats->frames += n;
	kb_reader_online(&q->reader);
	replies = kb_dpdk_engine_burst(&q->engine, now_ns, pkts, n, left);
	mine = kb_reader_still_mine(&q->reader);
	kb_reader_offline(&q->reader);
	if (kb_likely(mine))
		send_replies(q, pkts, replies);
	else
		discard(q, pkts, replies, now_ns);
	leave(q, left, n - replies);
	return n + turned;
}
