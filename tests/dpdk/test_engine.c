// SPDX-License-Identifier: Apache-2.0
/* kbdns-dpdk's engine over a port of rings: the rows of all engines, and what only this one has. */
#include "tests/dpdk/rows.h"
#include "tests/rows/answer_rows.h"
#include "tests/rows/left_rows.h"
#include "tests/rows/random_rows.h"

#define ENGINE (&ports.queue.engine)

static void query_a(struct frame *f)
{
	frame_query(f, false, "a." ZONE, TYPE_A, 0, 0);
}

static void add_tag(struct frame *f, uint16_t type, uint16_t tag)
{
	memmove(f->b + 16, f->b + 12, f->len - 12);
	put16(f->b + 12, type);
	put16(f->b + 14, tag);
	f->len += 4;
}

/* Tags come back as they were, the rest is as without them. */
static void test_vlan(void **state)
{
	struct frame q, tagged, out;
	struct reply_info info;

	(void)state;
	for (int i = 0; i < 16; i++) {
		size_t tags = i & 1 ? 8 : 4;
		uint32_t edns = i & 2 ? 1232 : 0;

		frame_query(&q, i & 4, i & 8 ? "a." ZONE : "missing." ZONE, TYPE_A, edns, 0);
		tagged = q;
		add_tag(&tagged, 0x8100, 0x2005);
		if (tags == 8)
			add_tag(&tagged, 0x88a8, 0x0fff);
		assert_int_equal(rows_run(KB_ENGINE_DPDK, &tagged, &out), ROW_ANSWERED);
		assert_memory_equal(out.b + 12, tagged.b + 12, tags);
		memmove(out.b + 12, out.b + 12 + tags, out.len - 12 - tags);
		out.len -= tags;
		if (check_reply(&q, &out, false, &info))
			fail_msg("row %d: %s", i, check_reply(&q, &out, false, &info));
		assert_int_equal(info.rcode, i & 8 ? 0 : 3);
	}
	add_tag(&tagged, 0x88a8, 1);
	add_tag(&tagged, 0x88a8, 2);
	leave("three tags and more", &tagged, KB_CNT_NOT_IP);
	query_a(&q);
	put16(udp_of(&q) + 2, 54);
	add_tag(&q, 0x8100, 1);
	leave("tagged, not for us", &q, KB_CNT_NOT_PORT);
}

/* Replies come out in the order of their queries, leftovers in that of the phases. */
static void test_burst(void **state)
{
	struct frame q[KB_BURST_MAX], out;
	struct reply_info info;
	void *m = NULL;

	(void)state;
	ports.queue.burst = KB_BURST_MAX;
	for (uint32_t n = 1; n <= KB_BURST_MAX; n++) {
		uint32_t answered = 0, left_early = 0, left_late = 0;

		for (uint32_t i = 0; i < n; i++) {
			frame_query(&q[i], i & 1, i % 5 == 4 ? "leave." ZONE : "multi." ZONE,
				    TYPE_A, 1232, 0);
			put16(dns_of(&q[i]), i);
			if (i % 7 == 3)
				dns_of(&q[i])[2] |= 0x80;
			frame_finish(&q[i]);
			assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&q[i])), 0);
			left_early += i % 7 == 3;
			left_late += i % 7 != 3 && i % 5 == 4;
		}
		assert_int_equal(ports_poll(), n);
		assert_int_equal(ports.n_left, left_early + left_late);
		for (uint32_t i = 0; i < n; i++) {
			if (i % 7 == 3 || i % 5 == 4)
				continue;
			assert_int_equal(rte_ring_dequeue(ports.tx, &m), 0);
			ports_take(m, &q[i], &out);
			assert_null(check_reply(&q[i], &out, false, &info));
			assert_int_equal(info.an, 60);
			answered++;
		}
		assert_int_equal(answered + left_early + left_late, n);
		for (uint32_t i = 0, early = 0, late = left_early; i < n; i++) {
			if (i % 7 != 3 && i % 5 != 4)
				continue;
			m = ports.left[i % 7 == 3 ? early++ : late++];
			ports_take(m, &q[i], &out);
			assert_int_equal(out.len, q[i].len);
			assert_memory_equal(out.b, q[i].b, out.len);
		}
	}
	ports.queue.burst = KB_BURST_DEFAULT;
	assert_int_equal(ports_poll(), 0);
}

/* Runs a frame that a row cannot describe, which is left unchanged because of `counter`. */
static void leave_mbuf(struct rte_mbuf *m, enum kb_counter counter)
{
	uint64_t before = ports.stats[0].counter[counter];
	uint8_t copy[FRAME_MAX];
	uint32_t len = m->data_len;

	memcpy(copy, rte_pktmbuf_mtod(m, void *), len);
	seen[KB_ENGINE_DPDK][counter]++;
	assert_int_equal(rte_ring_enqueue(ports.rx, m), 0);
	assert_int_equal(ports_poll(), 1);
	assert_int_equal(ports.n_left, 1);
	assert_ptr_equal(ports.left[0], m);
	assert_int_equal(m->data_len, len);
	assert_memory_equal(copy, rte_pktmbuf_mtod(m, void *), len);
	assert_int_equal(ports.stats[0].counter[counter], before + 1);
	rte_pktmbuf_free(m);
}

static void test_buffers(void **state)
{
	struct frame q;
	struct rte_mbuf *m, *second;

	(void)state;
	query_a(&q);
	m = ports_mbuf(&q);
	second = ports_mbuf(&q);
	assert_int_equal(rte_pktmbuf_chain(m, second), 0);
	leave_mbuf(m, KB_CNT_UNREADABLE);
	m = ports_mbuf(&q);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	leave_mbuf(m, KB_CNT_NOT_IP);
	/* Buffers with little room behind the query: for less than the parser may read, for the
	 * query but not for a reply, and for the reply. */
	frame_query(&q, false, "missing." ZONE, TYPE_A, 0, 0);
	for (uint32_t room = 0; room < 120; room++) {
		m = ports_mbuf(&q);
		m->buf_len = (uint16_t)(m->data_off + q.len + room);
		if (room < KB_SOA_LEN + 16) {
			leave_mbuf(m, room < KB_SCAN_SLACK ? KB_CNT_UNREADABLE : KB_CNT_NO_ROOM);
		} else {
			assert_int_equal(rte_ring_enqueue(ports.rx, m), 0);
			assert_int_equal(ports_poll(), 1);
			assert_int_equal(ports.n_left, 0);
			assert_int_equal(rte_ring_dequeue(ports.tx, (void **)&m), 0);
			rte_pktmbuf_free(m);
		}
	}
	/* The pool's buffers are of one size again. */
	for (uint32_t i = 0; i < MBUFS; i++) {
		m = rte_pktmbuf_alloc(ports.pool);
		m->buf_len = RTE_MBUF_DEFAULT_BUF_SIZE;
		ports.left[i % RING_SIZE] = m;
		if (i % RING_SIZE == RING_SIZE - 1)
			rte_pktmbuf_free_bulk(ports.left, RING_SIZE);
	}
	rte_pktmbuf_free_bulk(ports.left, MBUFS % RING_SIZE);
}

/* With a port that completes checksums: the pseudo header's sum, and the port is told. */
static void test_offload(void **state)
{
	struct reply_info info;
	struct frame q, out;
	struct rte_mbuf *m;

	(void)state;
	ENGINE->csum_offload = true;
	for (int i = 0; i < 8; i++) {
		size_t tags = i & 4;

		frame_query(&q, i & 1, i & 2 ? "a." ZONE : "multi." ZONE, TYPE_A, 1232, 0);
		m = ports_mbuf(&q);
		if (tags) {
			struct frame tagged = q;

			add_tag(&tagged, 0x8100, 7);
			rte_pktmbuf_free(m);
			m = ports_mbuf(&tagged);
		}
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_RSS_HASH;
		assert_int_equal(rte_ring_enqueue(ports.rx, m), 0);
		assert_int_equal(ports_poll(), 1);
		assert_int_equal(rte_ring_dequeue(ports.tx, (void **)&m), 0);
		assert_int_equal(m->ol_flags,
				 RTE_MBUF_F_TX_UDP_CKSUM |
					 (q.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
		assert_int_equal(m->l2_len, 14 + tags);
		assert_int_equal(m->l3_len, q.v6 ? 40 : 20);
		ports_take(m, &q, &out);
		memmove(out.b + 12, out.b + 12 + tags, out.len - 12 - tags);
		out.len -= tags;
		assert_null(check_reply(&q, &out, true, &info));
		assert_int_equal(get16(udp_of(&out) + 6),
				 pseudo_sum(&out, get16(udp_of(&out) + 4)));
	}
	ENGINE->csum_offload = false;
	query_a(&q);
	m = ports_mbuf(&q);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
	assert_int_equal(rte_ring_enqueue(ports.rx, m), 0);
	assert_int_equal(ports_poll(), 1);
	assert_int_equal(rte_ring_dequeue(ports.tx, (void **)&m), 0);
	assert_int_equal(m->ol_flags, 0);
	rte_pktmbuf_free(m);
}

/* A send queue that takes no more: dropped and counted, not counted as answered. */
static void test_send_full(void **state)
{
	uint64_t before[KB_CNT_MAX], after[KB_CNT_MAX];
	struct frame q;
	void *m;

	(void)state;
	query_a(&q);
	for (int i = 0; i < RING_SIZE - 1 - 3; i++)
		assert_int_equal(rte_ring_enqueue(ports.tx, ports_mbuf(&q)), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&q)), 0);
	rows_counters(KB_ENGINE_DPDK, before);
	assert_int_equal(ports_poll(), 10);
	rows_counters(KB_ENGINE_DPDK, after);
	assert_int_equal(after[KB_CNT_ANSWERED] - before[KB_CNT_ANSWERED], 3);
	assert_int_equal(after[KB_CNT_SEND_FULL] - before[KB_CNT_SEND_FULL], 7);
	seen[KB_ENGINE_DPDK][KB_CNT_SEND_FULL]++;
	while (rte_ring_dequeue(ports.tx, &m) == 0)
		rte_pktmbuf_free(m);
}

/* An index that is not of the state word's generation: nothing is concluded from it. */
static void test_generation(void **state)
{
	struct frame q;
	struct rte_mbuf *m;

	(void)state;
	for (int miss = 0; miss < 2; miss++) {
		frame_query(&q, false, miss ? "missing." ZONE : "a." ZONE, TYPE_A, 0, 0);
		m = ports_mbuf(&q);
		assert_int_equal(rte_ring_enqueue(ports.rx, m), 0);
		ports.n_left = 0;
		ports.table.gen[kb_gen_of(ports.table.hdr->state) & 1] += 2;
		assert_int_equal(kb_dpdk_queue_poll(&ports.queue, ports_now_ns()), 1);
		assert_int_equal(ports.n_left, 1);
		rte_pktmbuf_free(m);
		answer(miss ? "missing" : "a", &q,
		       (struct expect){miss ? 3 : 0, !miss, miss, 0, 0});
	}
}

/* Queue q reads replica q mod R: a name that is wiped out of one is missing there only. */
static void test_replicas(void **state)
{
	uint32_t bucket, slot, n = (uint32_t)ports.backing.header->shape[0];
	struct kb_bucket *index = (struct kb_bucket *)(uintptr_t)ports.table.env.index[0];
	struct kb_slot saved;
	uint8_t wire[64];
	struct frame q;

	(void)state;
	assert_int_equal(ports.backing.header->shape[0] >> 32, 2);
	assert_true(kb_table_get(table, wire, lower_wire("a." ZONE, wire), &bucket, &slot) != 0);
	query_a(&q);
	for (uint32_t replica = 0; replica < 2; replica++) {
		struct kb_slot *s = &index[replica * n + bucket].slot[slot];

		saved = *s;
		s->tag = s->value = 0;
		for (uint32_t queue = 0; queue < 4; queue++) {
			bool miss = queue % 2 == replica;

			ENGINE->queue = queue;
			answer("replica", &q, (struct expect){miss ? 3 : 0, !miss, miss, 0, 0});
		}
		*s = saved;
	}
	ENGINE->queue = 0;
}

static void test_latency(void **state)
{
	uint64_t n = 0;
	struct frame q;

	(void)state;
	query_a(&q);
	answer("without", &q, (struct expect){0, 1, 0, 0, 0});
	for (int i = 0; i < KB_HIST_BUCKETS; i++)
		assert_int_equal(ports.stats[0].hist[i], 0);
	kb_table_set_flag(table, KB_FLAG_LATENCY, true);
	for (int i = 0; i < 5; i++)
		answer("with", &q, (struct expect){0, 1, 0, 0, 0});
	kb_table_set_flag(table, KB_FLAG_LATENCY, false);
	for (int i = 0; i < KB_HIST_BUCKETS; i++)
		n += ports.stats[0].hist[i];
	assert_int_equal(n, 5);
	assert_int_equal(ports.stats[0].hist[0], 0); /* no burst takes a nanosecond */
}

/* Declared gone, it sends nothing of what it had read, and registers again; when its row has gone
 * to another, in another row. */
static void test_gone(void **state)
{
	struct kb_worker_row *row = &ports.workers.row[KB_WORKERS_LOCAL];
	struct expect want = {0, 1, 0, 0, 0};
	struct frame q;
	void *m;

	(void)state;
	query_a(&q);
	assert_ptr_equal(ports.queue.reader.row, row);
	answer("registered", &q, want);
	for (int taken = 0; taken < 2; taken++) {
		uint64_t number = ports.queue.reader.number, dropped, answered;

		dropped = ports.stats[taken].counter[KB_CNT_GONE];
		answered = ports.stats[0].counter[KB_CNT_ANSWERED];
		for (int i = 0; i < 5; i++)
			assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&q)), 0);
		row->gone = number;
		if (taken)
			row->owner = kb_worker_said(number + 1, KB_WORKER_TAKEN);
		assert_int_equal(ports_poll(), 5);
		assert_int_not_equal(rte_ring_dequeue(ports.tx, &m), 0);
		assert_int_equal(ports.n_left, 0);
		assert_int_equal(ports.stats[taken].counter[KB_CNT_GONE] - dropped, 5);
		assert_int_equal(ports.stats[0].counter[KB_CNT_ANSWERED], answered);
		assert_ptr_equal(ports.queue.reader.row, row + taken);
		assert_int_equal(ports.queue.reader.row->discarded, 5);
		assert_int_equal(kb_worker_number_of(ports.queue.reader.row->mapped),
				 ports.queue.reader.number);
		/* The row's owner is somebody else, whose words it does not touch. */
		if (taken)
			assert_int_equal(row->owner, kb_worker_said(number + 1, KB_WORKER_TAKEN));
		if (!taken)
			answer("again", &q, want);
		seen[KB_ENGINE_DPDK][KB_CNT_GONE]++;
	}
	/* Back to where the other rows of this program look. */
	kb_dpdk_queue_stop(&ports.queue);
	row->owner &= ~KB_WORKER_TAKEN;
	assert_int_equal(kb_dpdk_queue_start(&ports.queue, ports_now_ns()), 0);
	answer("stopped and started", &q, want);
	/* No row is free: packets are left, until there is one. */
	kb_dpdk_queue_stop(&ports.queue);
	for (int i = KB_WORKERS_LOCAL; i < KB_WORKERS_MAX; i++)
		ports.workers.row[i].owner |= KB_WORKER_TAKEN;
	assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&q)), 0);
	assert_int_equal(ports_poll(), 1);
	assert_int_equal(ports.n_left, 1);
	rte_pktmbuf_free(ports.left[0]);
	row->owner &= ~KB_WORKER_TAKEN;
	assert_int_equal(ports_poll(), 0);
	assert_int_equal(ports.stats[0].counter[KB_CNT_NO_ROW], 1);
	seen[KB_ENGINE_DPDK][KB_CNT_NO_ROW]++;
	answer("a row is free", &q, want);
}

/* What the writer waits for and is told. */
static void test_row(void **state)
{
	struct kb_worker_row *row = ports.queue.reader.row;
	struct frame q;

	(void)state;
	query_a(&q);
	answer("a", &q, (struct expect){0, 1, 0, 0, 0});
	/* Between polls it holds nothing. */
	assert_int_equal(row->seen & KB_WORKER_SAID_MASK, KB_WORKER_OFFLINE);
	assert_int_equal(row->mapped & KB_WORKER_SAID_MASK,
			 kb_worker_gen(kb_gen_of(ports.table.hdr->state)));
	assert_in_range(row->beat_ns, 1, ports_now_ns());
	row->beat_ns = 0;
	assert_int_equal(ports_poll(), 0);
	assert_int_not_equal(row->beat_ns, 0);
}

static void test_left_counters(void **state)
{
	/* One buffer holds one datagram here, and a reply is written once it is wholly there. */
	const enum kb_counter not_met[] = {KB_CNT_GSO, KB_CNT_WRITE_FAILED, KB_CNT_STEERED};

	(void)state;
	left_counters(KB_ENGINE_DPDK, not_met, sizeof(not_met) / sizeof(*not_met));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ANSWER_ROWS,
		LEFT_ROWS,
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_offload),
		cmocka_unit_test(test_send_full),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_replicas),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_row),
		cmocka_unit_test(test_left_counters),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
