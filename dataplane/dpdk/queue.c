// SPDX-License-Identifier: Apache-2.0
/* See queue.h. */
#include "dataplane/dpdk/queue.h"

#include <rte_ethdev.h>

/* Sends replies[0..n). A send queue that is full stays so for longer than a receive queue lasts:
 * what it does not take is dropped, as a network card would do with the queries. */
static void send_replies(struct kb_dpdk_queue *q, struct rte_mbuf **replies, uint32_t n)
{
	uint32_t sent = n ? rte_eth_tx_burst(q->port, q->queue, replies, (uint16_t)n) : 0;

	kb_dpdk_engine_count(&q->engine, sent, n, KB_CNT_SEND_FULL);
	rte_pktmbuf_free_bulk(replies + sent, n - sent);
}

uint32_t kb_dpdk_queue_poll(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	struct rte_mbuf *pkts[KB_BURST_MAX], *left[KB_BURST_MAX];
	uint32_t n = rte_eth_rx_burst(q->port, q->queue, pkts, q->burst), replies;

	if (!n)
		return 0;
	q->bursts++;
	q->received += n;
	replies = kb_dpdk_engine_burst(&q->engine, now_ns, pkts, n, left);
	send_replies(q, pkts, replies);
	if (q->take_left)
		q->take_left(q->take_left_arg, left, n - replies);
	else
		rte_pktmbuf_free_bulk(left, n - replies);
	return n;
}
