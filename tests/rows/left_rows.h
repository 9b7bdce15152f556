/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that are left alone, and why, by each engine of the program that includes this behind its
 * own rows.h. */
#ifndef KB_TESTS_LEFT_ROWS_H
#define KB_TESTS_LEFT_ROWS_H

#include "tests/rows/rows.h"

static void good(struct frame *f)
{
	frame_query(f, false, "a." ZONE, TYPE_A, 0, 0);
}

/* From an intercept address, and from what resembles one. */
static void test_left_loop(enum kb_engine engine)
{
	const struct expect one = {0, 1, 0, 0, 0};
	struct frame q;

	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		put16(udp_of(&q), 53);
		frame_finish(&q);
		answer_by(engine, "the port alone", &q, one, NULL);
		put16(udp_of(&q), 53 + 64);
		memcpy(q.b + (v6 ? 22 : 26), q.b + (v6 ? 38 : 30), v6 ? 16 : 4);
		frame_finish(&q);
		answer_by(engine, "the address and a port of the same bit", &q, one, NULL);
		put16(udp_of(&q), 54);
		frame_finish(&q);
		answer_by(engine, "the address alone", &q, one, NULL);
		put16(udp_of(&q), 53);
		frame_finish(&q);
		leave_by(engine, "from an intercept", &q, KB_CNT_LOOP);
	}
}

static void test_left_frame(void **state)
{
	struct frame q;

	(void)state;
	good(&q);
	put16(q.b + 12, 0x0806);
	leave("ARP", &q, KB_CNT_NOT_IP);
	good(&q);
	q.len = 40;
	leave("short", &q, KB_CNT_NOT_IP);
	good(&q);
	q.b[23] = 6;
	leave("TCP", &q, KB_CNT_NOT_UDP);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[20] = 58;
	leave("ICMPv6", &q, KB_CNT_NOT_UDP);
	good(&q);
	put16(udp_of(&q) + 2, 54);
	leave("port 54", &q, KB_CNT_NOT_PORT);
	good(&q);
	put16(udp_of(&q) + 2, 53 + 64);
	leave("a port of the same bit", &q, KB_CNT_NOT_INTERCEPT);
	good(&q);
	q.b[33] ^= 1;
	frame_finish(&q);
	leave("another address", &q, KB_CNT_NOT_INTERCEPT);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[53] ^= 1;
	leave("another IPv6 address", &q, KB_CNT_NOT_INTERCEPT);
	good(&q);
	q.b[26] = 11;
	frame_finish(&q);
	leave("source", &q, KB_CNT_SOURCE);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[22] = 0x20;
	leave("IPv6 source", &q, KB_CNT_SOURCE);
	good(&q);
	put16(q.b + 20, 0x2000);
	leave("first fragment", &q, KB_CNT_FRAGMENT);
	put16(q.b + 20, 0x0010);
	leave("later fragment", &q, KB_CNT_FRAGMENT);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[20] = 44;
	leave("IPv6 fragment", &q, KB_CNT_FRAGMENT);
	q.b[20] = 0;
	leave("hop by hop", &q, KB_CNT_IP_OPTIONS);
	q.b[20] = 60;
	leave("destination options", &q, KB_CNT_IP_OPTIONS);
	good(&q);
	memmove(q.b + 38, q.b + 34, q.len - 34);
	memset(q.b + 34, 1, 4);
	q.b[14] = 0x46;
	q.len += 4;
	leave("IPv4 options", &q, KB_CNT_IP_OPTIONS);
	FOR_EACH_ENGINE(engine)
	{
		/* A pod's own link brings only what is for the node. */
		if (engine == KB_ENGINE_TC)
			continue;
		good(&q);
		q.b[0] ^= 4;
		leave_by(engine, "another MAC", &q, KB_CNT_NOT_OURS);
		good(&q);
		q.b[6] |= 1;
		leave_by(engine, "from a group", &q, KB_CNT_NOT_OURS);
		test_left_loop(engine);
	}
}

static void test_left_lengths(void **state)
{
	struct frame q;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		q.len -= 1;
		leave("cut", &q, KB_CNT_LENGTH);
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		put16(udp_of(&q) + 4, get16(udp_of(&q) + 4) + 1);
		leave("UDP longer than IP", &q, KB_CNT_LENGTH);
		put16(udp_of(&q) + 4, 8 + 11);
		leave("shorter than a DNS header", &q, KB_CNT_LENGTH);
		put16(udp_of(&q) + 4, 0);
		leave("UDP length 0", &q, KB_CNT_LENGTH);
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		put16(q.b + (v6 ? 18 : 16), 4);
		leave("IP length", &q, KB_CNT_LENGTH);
		/* Just a header, just less than a name. */
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		for (size_t n = 0; n < 25; n++) {
			q.len = 14 + ip_len(&q) + 8 + 12 + n;
			frame_finish(&q);
			leave("cut question", &q, KB_CNT_QNAME);
		}
		frame_query(&q, v6, "a." ZONE, TYPE_A, 1232, 0);
		q.len = 14 + ip_len(&q) + 8 + 513;
		frame_finish(&q);
		leave("513 bytes", &q, KB_CNT_OVERSIZE);
	}
}

#define MUTATED(counter, what, name, edns, ...)                \
	do {                                                   \
		for (int v6 = 0; v6 < 2; v6++) {               \
			struct frame q;                        \
			uint8_t *d, *opt;                      \
			frame_query(&q, v6, name, 1, edns, 0); \
			d = dns_of(&q);                        \
			opt = q.b + q.len - 11;                \
			(void)d, (void)opt;                    \
			__VA_ARGS__;                           \
			frame_finish(&q);                      \
			leave(what, &q, counter);              \
		}                                              \
	} while (0)

static void test_left_message(void **state)
{
	char name[300];

	(void)state;
	MUTATED(KB_CNT_RESPONSE, "QR", "a." ZONE, 0, d[2] |= 0x80);
	MUTATED(KB_CNT_OPCODE, "NOTIFY", "a." ZONE, 0, d[2] |= 4 << 3);
	MUTATED(KB_CNT_SECTIONS, "no question", "a." ZONE, 0, d[5] = 0);
	MUTATED(KB_CNT_SECTIONS, "two questions", "a." ZONE, 0, d[5] = 2);
	MUTATED(KB_CNT_SECTIONS, "256 questions", "a." ZONE, 0, d[4] = 1);
	MUTATED(KB_CNT_SECTIONS, "an answer", "a." ZONE, 0, d[7] = 1);
	MUTATED(KB_CNT_SECTIONS, "an authority", "a." ZONE, 0, d[9] = 1);
	MUTATED(KB_CNT_SECTIONS, "two additional", "a." ZONE, 1232, d[11] = 2);
	MUTATED(KB_CNT_OPT, "additional, but none there", "a." ZONE, 0, d[11] = 1);
	MUTATED(KB_CNT_OPT, "OPT uncounted", "a." ZONE, 1232, d[11] = 0);
	MUTATED(KB_CNT_OPT, "additional is no OPT", "a." ZONE, 1232, opt[2] = 1);
	MUTATED(KB_CNT_OPT, "OPT has a name", "a." ZONE, 1232, opt[0] = 1);
	MUTATED(KB_CNT_OPT, "OPT too long", "a." ZONE, 1232, opt[10] = 1);
	MUTATED(KB_CNT_OPT, "OPT cut", "a." ZONE, 1232, q.len -= 1);
	MUTATED(KB_CNT_OPT, "behind the OPT", "a." ZONE, 1232, q.len += 1);
	MUTATED(KB_CNT_OPT, "trailing byte", "a." ZONE, 0, q.len += 1);
	MUTATED(KB_CNT_EDNS_VERSION, "EDNS 1", "a." ZONE, 1232, opt[6] = 1);
	MUTATED(KB_CNT_QNAME, "compressed", "a." ZONE, 0, d[12] = 0xc0; d[13] = 12);
	MUTATED(KB_CNT_QNAME, "label of 64", "a." ZONE, 0, d[14] = 64);
	MUTATED(KB_CNT_QNAME, "label type 01", "a." ZONE, 0, d[12] = 0x41);
	MUTATED(KB_CNT_QNAME, "label over the end", "a." ZONE, 0, d[14] = 40);
	/* A zero byte in a label ends the scan: what follows is taken for type and class. */
	MUTATED(KB_CNT_QNAME, "zero in a label", "a." ZONE, 0, {
		static const uint8_t in[] = {4, 'x', 0, 0, 1, 0, 1};

		memcpy(d + 12, in, sizeof(in));
		q.len = (size_t)(d - q.b) + 12 + sizeof(in);
	});
	/* 256 bytes: one over. */
	snprintf(name, sizeof(name), "%.63s.%.63s.%.63s.%.44s." ZONE, long_name, long_name,
		 long_name, long_name);
	MUTATED(KB_CNT_QNAME, "256 bytes", name, 0, );
	MUTATED(KB_CNT_QNAME, "no end", "a." ZONE, 0, {
		memset(d + 12, 1, 400);
		q.len = (size_t)(d - q.b) + 412;
	});
	MUTATED(KB_CNT_CLASS, "CH", "a." ZONE, 0, q.b[q.len - 1] = 3);
	MUTATED(KB_CNT_CLASS, "class ANY", "a." ZONE, 0, q.b[q.len - 1] = 255);
	MUTATED(KB_CNT_QTYPE, "AXFR", "a." ZONE, 0, q.b[q.len - 3] = 252);
	MUTATED(KB_CNT_QTYPE, "IXFR", "a." ZONE, 0, q.b[q.len - 3] = 251);
	MUTATED(KB_CNT_QTYPE, "OPT", "a." ZONE, 0, q.b[q.len - 3] = 41);
	MUTATED(KB_CNT_QTYPE, "TKEY", "a." ZONE, 0, q.b[q.len - 3] = 249);
	MUTATED(KB_CNT_QTYPE, "type 0", "a." ZONE, 0, q.b[q.len - 3] = 0);
}

static void test_left_names(void **state)
{
	(void)state;
	MUTATED(KB_CNT_NO_ZONE, "example.com", "www.example.com", 0, );
	MUTATED(KB_CNT_NO_ZONE, "the root", "", 0, );
	MUTATED(KB_CNT_NO_ZONE, "not at a label", "xcluster.local", 0, );
	MUTATED(KB_CNT_ZONE_LEAVE, "reverse", "1.0.0.10.in-addr.arpa", 0, );
	MUTATED(KB_CNT_ZONE_LEAVE, "stub", "x.stub.cluster.local", 0, );
	MUTATED(KB_CNT_NAME_LEAVE, "left name", "leave." ZONE, 1232, );
	MUTATED(KB_CNT_INCOMPLETE, "no such zone", "nozone." ZONE, 0, q.b[q.len - 3] = TYPE_AAAA);
	kb_table_zone_flag(table, 1, KB_ZONE_SKIPS, true);
	MUTATED(KB_CNT_NAME_LEAVE, "below a left name", "x.leave." ZONE, 1232, );
	kb_table_zone_flag(table, 1, KB_ZONE_SKIPS, false);
}

static void test_left_states(void **state)
{
	struct expect hit = {0, 1, 0, 0, 0};
	struct frame q, miss;

	(void)state;
	good(&q);
	frame_query(&miss, false, "missing." ZONE, TYPE_A, 0, 0);
	kb_table_set_state(table, KB_OFF);
	leave("OFF", &q, KB_CNT_OFF);
	kb_table_set_state(table, KB_HITS);
	answer("HITS, known", &q, hit);
	leave("HITS, unknown", &miss, KB_CNT_HITS_ONLY);
	kb_table_set_state(table, KB_FULL);
	rows_beat(0);
	leave("stale", &q, KB_CNT_STALE);
	rows_beat(600000);
	answer("beaten", &q, hit);
}

/* Larger than the interface takes: the kernel's path may fragment. */
static void test_left_mtu(void **state)
{
	struct frame q;

	(void)state;
	frame_query(&q, false, "multi." ZONE, TYPE_A, 1232, 0);
	rows_mtu(1000);
	leave("MTU", &q, KB_CNT_MTU);
	rows_mtu(1035);
	leave("MTU", &q, KB_CNT_MTU);
	/* 20 + 8 + 12 + 29 + 960 + 11 = 1040 */
	rows_mtu(1040);
	answer("MTU", &q, (struct expect){0, 60, 0, 1, 0});
	rows_mtu(65536);
	answer("MTU", &q, (struct expect){0, 60, 0, 1, 0});
}

/* Every reason to leave or drop was met by some row, but for those of `not_met` (of n). */
static void left_counters(enum kb_engine engine, const enum kb_counter *not_met, size_t n)
{
	for (int i = KB_CNT_FIRST_LEFT; i < KB_CNT_MAX; i++) {
		/* The packet-path cache's: tests/bpf/test_pcache. */
		bool no = i == KB_CNT_CACHED_REFRESH || i == KB_CNT_CACHED_LIMIT;

		for (size_t k = 0; k < n; k++)
			no |= i == (int)not_met[k];
		if (!no && !seen[engine][i])
			fail_msg("%s: no row for %s", engine_name[engine], counter_name[i]);
	}
}

#define LEFT_ROWS                                                                       \
	cmocka_unit_test(test_left_frame), cmocka_unit_test(test_left_lengths),         \
		cmocka_unit_test(test_left_message), cmocka_unit_test(test_left_names), \
		cmocka_unit_test(test_left_states), cmocka_unit_test(test_left_mtu)

#endif
