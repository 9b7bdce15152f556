// SPDX-License-Identifier: Apache-2.0
/* See queue.h. */
#include "dataplane/dpdk/queue.h"

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

static void say_mapped(struct kb_dpdk_queue *q)
{
	q->mapped = __atomic_load_n(&q->engine.table->newest, __ATOMIC_ACQUIRE);
	kb_reader_mapped(&q->reader, (uint32_t)q->mapped);
}

void kb_dpdk_queue_say(struct kb_dpdk_queue *q)
{
	q->engine.stats->says = q->says;
}

/* What was given to the process, or else what kbdnsd says. */
static void tune(struct kb_dpdk_queue *q, uint64_t word)
{
	struct kb_worker_tune *t = &q->says.tune, header;

	q->tune_seen = word;
	kb_worker_tune_read(&header, word);
#define CHOSEN(field, otherwise) \
	(q->given.field ? q->given.field : header.field ? header.field : (otherwise))
	t->burst = CHOSEN(burst, KB_BURST_DEFAULT);
	t->ahead = CHOSEN(ahead, KB_AHEAD_DEFAULT);
	t->idle = CHOSEN(idle, KB_IDLE_DEFAULT);
	t->sleep_us = CHOSEN(sleep_us, KB_IDLE_SLEEP_DEFAULT_US);
#undef CHOSEN
	q->burst = (uint16_t)t->burst;
	q->engine.ahead = t->ahead;
	kb_dpdk_queue_say(q);
}

/* What was counted without a row is the row's now. */
static void own_add(struct kb_worker_counts *to, struct kb_worker_counts *own)
{
	for (int i = 0; i < KB_CNT_MAX; i++)
		to->counter[i] += own->counter[i];
	to->bursts += own->bursts;
	to->frames += own->frames;
	to->kernel.in += own->kernel.in;
	to->kernel.in_full += own->kernel.in_full;
	to->kernel.in_failed += own->kernel.in_failed;
	to->kernel.out += own->kernel.out;
	to->kernel.out_oversize += own->kernel.out_oversize;
	to->busy += own->busy;
	to->idle += own->idle;
	memset(own, 0, sizeof(*own));
}

int kb_dpdk_queue_start(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	q->engine.stats = &q->own;
	if (!kb_reader_register(&q->reader, q->workers, KB_WORKERS_LOCAL, KB_WORKERS_MAX, &q->info,
				now_ns))
		return -ENOSPC;
	q->joined = q->reader.number;
	q->engine.stats = &q->stats[q->reader.row - q->workers->row - KB_WORKERS_LOCAL];
	own_add(q->engine.stats, &q->own);
	say_mapped(q);
	q->says.tsc_hz = rte_get_tsc_hz();
	if (!q->burst)
		tune(q, kb_read_once(q->engine.table->hdr->worker_tune));
	if (!q->since)
		q->since = rte_rdtsc();
	kb_dpdk_queue_say(q);
	return 0;
}

void kb_dpdk_queue_stop(struct kb_dpdk_queue *q)
{
	if (q->reader.row)
		kb_reader_unregister(&q->reader);
	q->engine.stats = &q->own;
}

/* Holding nothing. The row stays the same unless it was taken back for long silence. */
static void join_again(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	if (q->reader.row && kb_reader_rejoin(&q->reader))
		say_mapped(q);
	else
		kb_dpdk_queue_start(q, now_ns);
}

/* What others want of it. They may have asked the registration that was declared gone since. */
static void look_at_words(struct kb_dpdk_queue *q)
{
	uint64_t word = kb_read_once(q->engine.table->hdr->worker_tune);
	uint64_t ask = kb_read_once(q->reader.row->ask);

	if (kb_unlikely(word != q->tune_seen))
		tune(q, word);
	if (kb_likely(ask == q->ask_seen))
		return;
	q->ask_seen = ask;
	if (kb_worker_number_of(ask) - q->joined <= q->reader.number - q->joined)
		__atomic_store_n(&q->ask, (uint32_t)(ask & KB_WORKER_SAID_MASK), __ATOMIC_RELAXED);
}

/* The time since the last call, for all that was done in it. */
static void account(struct kb_dpdk_queue *q, bool busy)
{
	uint64_t now = rte_rdtsc();

	*(busy ? &q->engine.stats->busy : &q->engine.stats->idle) += now - q->since;
	q->since = now;
}

void kb_dpdk_queue_slept(struct kb_dpdk_queue *q)
{
	account(q, false);
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

static void work(struct kb_dpdk_queue *q, uint64_t now_ns, struct rte_mbuf **pkts, uint32_t n)
{
	struct rte_mbuf *left[KB_BURST_MAX];
	uint32_t replies;
	uint64_t t = 0;
	bool mine;

	kb_reader_online(&q->reader);
	replies = kb_dpdk_engine_burst(&q->engine, now_ns, pkts, n, left);
	mine = kb_reader_still_mine(&q->reader);
	kb_reader_offline(&q->reader);
	if (q->engine.timing)
		t = rte_rdtsc();
	if (kb_likely(mine))
		send_replies(q, pkts, replies);
	else
		discard(q, pkts, replies, now_ns);
	leave(q, left, n - replies);
	if (q->engine.timing) {
		q->engine.stats->cycles[KB_PHASE_SEND] += rte_rdtsc() - t;
		q->engine.stats->timed += n;
		account(q, true);
	}
}

uint32_t kb_dpdk_queue_poll(struct kb_dpdk_queue *q, uint64_t now_ns)
{
	struct kb_worker_counts *s = q->engine.stats;
	struct rte_mbuf *pkts[KB_BURST_MAX];
	uint32_t turned = q->left_turn ? q->left_turn(q->left_arg, s) : 0, n;
	uint64_t start = 0;

	q->engine.timing = s->bursts % KB_TIMED_EVERY == 0;
	if (q->engine.timing)
		start = rte_rdtsc();
	n = rte_eth_rx_burst(q->port, q->queue, pkts, q->burst);
	__atomic_store_n(&q->polls, q->polls + 1, __ATOMIC_RELEASE);
	if (!n) {
		account(q, q->was_busy || turned);
	} else {
		if (q->engine.timing)
			s->cycles[KB_PHASE_RECEIVE] += rte_rdtsc() - start;
		s->bursts++;
		s->frames += n;
	}
	q->received = n;
	q->was_busy = n || turned;
	if (kb_unlikely(!q->reader.row) && kb_dpdk_queue_start(q, now_ns) < 0) {
		s->counter[KB_CNT_NO_ROW] += n;
		leave(q, pkts, n);
		return n + turned;
	}
	kb_reader_beat(&q->reader, now_ns);
	if (q->xsk)
		kb_xsk_beat(q->xsk, now_ns);
	if (kb_unlikely(__atomic_load_n(&q->engine.table->newest, __ATOMIC_RELAXED) != q->mapped))
		say_mapped(q);
	look_at_words(q);
	if (n)
		work(q, now_ns, pkts, n);
	return n + turned;
}
