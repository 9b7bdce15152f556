/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that are answered, by each engine of the program that includes this behind its own rows.h.
 */
#ifndef KB_TESTS_ANSWER_ROWS_H
#define KB_TESTS_ANSWER_ROWS_H

#define BODY_MAX 1100

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		uint32_t type, edns, flags;
		struct expect want;
	} rows[] = {
		{"a." ZONE, TYPE_A, 0, 0, {0, 1, 0, 0, 0}},
		{"A.sVc.CluSTER.LOCal", TYPE_A, 0, 0, {0, 1, 0, 0, 0}},
		{"a." ZONE, TYPE_A, 1232, 0, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_A, 0, 0x8000, {0, 1, 0, 0, 0}},
		{"a." ZONE, TYPE_A, 4096, 0x8000, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_A, 65535, 0, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_A, 1, 0, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_AAAA, 0, 0, {0, 0, 1, 0, 0}},
		{"a." ZONE, TYPE_AAAA, 512, 0x8000, {0, 0, 1, 1, 0}},
		{"a." ZONE, 65, 0, 0, {0, 0, 1, 0, 0}},
		{"a." ZONE, 255, 0, 0, {0, 0, 1, 0, 0}},
		{"ent." ZONE, TYPE_A, 0, 0, {0, 0, 1, 0, 0}},
		{"missing." ZONE, TYPE_A, 0, 0, {3, 0, 1, 0, 0}},
		{"missing." ZONE, TYPE_AAAA, 1232, 0, {3, 0, 1, 1, 0}},
		{"www.example.com." ZONE, TYPE_A, 1232, 0, {3, 0, 1, 1, 0}},
		{"odd-multi." ZONE, TYPE_A, 0, 0, {0, 7, 0, 0, 0}},
		{"odd-multi." ZONE, TYPE_AAAA, 1232, 0, {0, 5, 0, 1, 0}},
		/* 12 + 29 + 4 bytes of header and question, the OPT record's 11. */
		{"multi." ZONE, TYPE_A, 0, 0, {0, (512 - 41) / 16, 0, 0, 1}},
		{"multi." ZONE, TYPE_A, 800, 0, {0, (800 - 52) / 16, 0, 1, 1}},
		{"multi." ZONE, TYPE_A, 1232, 0, {0, 60, 0, 1, 0}},
		{"multi." ZONE, TYPE_A, 4096, 0, {0, 60, 0, 1, 0}},
		{"multi." ZONE, TYPE_AAAA, 1232, 0, {0, 40, 0, 1, 0}},
		{"multi." ZONE, TYPE_AAAA, 600, 0, {0, (600 - 52) / 28, 0, 1, 1}},
		{"big." ZONE, TYPE_TXT, 1232, 0, {0, 1, 0, 1, 0}},
		{"big." ZONE, TYPE_TXT, 0, 0, {0, 0, 0, 0, 1}},
		{"big." ZONE, TYPE_TXT, 900, 0, {0, 0, 0, 1, 1}},
		{"_dns._tcp.dns." ZONE, TYPE_SRV, 0, 0, {0, 2, 0, 1, 0}},
		{"_dns._tcp.dns." ZONE, TYPE_SRV, 1232, 0, {0, 2, 0, 2, 0}},
		{"44.3.200.10.in-addr.arpa", 12, 0, 0, {0, 1, 0, 0, 0}},
		{"44.3.200.10.in-addr.arpa", TYPE_A, 1232, 0, {0, 0, 1, 1, 0}},
		{"cluster.local", TYPE_A, 0, 0, {3, 0, 1, 0, 0}},
	};
	struct frame q;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
			frame_query(&q, v6, rows[i].name, rows[i].type, rows[i].edns,
				    rows[i].flags);
			answer(rows[i].name, &q, rows[i].want);
		}
		frame_query(&q, v6, long_name, TYPE_A, 1232, 0);
		answer("255 bytes", &q, (struct expect){0, 1, 0, 1, 0});
		frame_query(&q, v6, long_name, TYPE_AAAA, 0, 0);
		answer("255 bytes", &q, (struct expect){0, 0, 1, 0, 0});
	}
}

static void test_rdata(void **state)
{
	struct frame q, out;
	struct reply_info info;
	uint8_t target[32];
	size_t n;

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
		info = answer_by(engine, "A", &q, (struct expect){0, 1, 0, 0, 0}, &out);
		assert_memory_equal(dns_of(&out) + 12 + 25 + 12, "\x0a\1\2\3", 4);
		assert_int_equal(info.dns_len, 12 + 25 + 16);
		frame_query(&q, true, "44.3.200.10.in-addr.arpa", 12, 0, 0);
		info = answer_by(engine, "PTR", &q, (struct expect){0, 1, 0, 0, 0}, &out);
		n = put_name(target, "10-200-3-44");
		assert_memory_equal(dns_of(&out) + 12 + 26 + 4 + 12, target, n - 1);
	}
}

/* Names of even and odd length, with and without EDNS, in both families. */
static void test_name_lengths(void **state)
{
	char name[80];
	struct frame q;

	(void)state;
	for (int i = 1; i <= 20; i++) {
		for (int k = 0; k < 8; k++) {
			bool miss = k & 4;

			snprintf(name, sizeof(name), "%.*s%s." ZONE, i, "abcdefghijklmnopqrst",
				 miss ? "z" : "");
			frame_query(&q, k & 1, name, TYPE_A, k & 2 ? 1232 : 0, 0);
			answer(name, &q,
			       (struct expect){miss ? 3 : 0, !miss, miss, (k & 2) >> 1, 0});
			if (miss)
				continue;
			frame_query(&q, k & 1, name, TYPE_AAAA, k & 2 ? 1232 : 0, 0);
			answer(name, &q, (struct expect){0, 0, 1, (k & 2) >> 1, 0});
		}
	}
}

/* Every length of an answer that a body can have. */
static void test_sizes(void **state)
{
	struct frame q;

	(void)state;
	for (size_t len = 14; len <= BODY_MAX; len++) {
		const char *name = len & 1 ? "sizes." ZONE : "size." ZONE;
		bool v6 = len & 2, edns = len & 4 || len > 400;
		int tc = len > 1232 - 12 - 4 - 11 - 26;

		txt(name, len);
		frame_query(&q, v6, name, TYPE_TXT, edns ? 1232 : 0, 0);
		answer(name, &q, (struct expect){0, !tc, 0, edns, tc});
		kb_table_settle(table);
	}
}

static void test_rotation(void **state)
{
	struct frame q, out;

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		unsigned int first[7] = {0};

		for (uint32_t id = 0; id < 700; id++) {
			struct reply_info info;

			frame_query(&q, false, "odd-multi." ZONE, TYPE_A, 0, 0);
			put16(dns_of(&q), id);
			frame_finish(&q);
			info = answer_by(engine, "rotation", &q, (struct expect){0, 7, 0, 0, 0},
					 &out);
			assert_int_equal(info.dns_len, 12 + 33 + 7 * 16);
			first[get16(dns_of(&out) + 12 + 33 + 14) % 7]++;
		}
		for (int i = 0; i < 7; i++)
			assert_in_range(first[i], 50, 150);
	}
}

/* Queries without a checksum or with a wrong one, and replies whose sum is 0. */
static void test_checksums(void **state)
{
	struct expect want = {0, 1, 0, 0, 0};
	struct frame q, out;

	(void)state;
	frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
	put16(udp_of(&q) + 6, 0);
	answer("no checksum", &q, want);
	put16(udp_of(&q) + 6, 0x1234);
	answer("wrong checksum", &q, want);
	/* The id that makes the reply's checksum 0, which has to be sent as 0xffff, is the checksum
	 * of the reply to id 0. */
	for (int v6 = 0; v6 < 2; v6++) {
		FOR_EACH_ENGINE(engine)
		{
			frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
			put16(dns_of(&q), 0);
			frame_finish(&q);
			answer_by(engine, "id 0", &q, want, &out);
			put16(dns_of(&q), get16(udp_of(&out) + 6));
			frame_finish(&q);
			answer_by(engine, "zero", &q, want, &out);
			assert_int_equal(get16(udp_of(&out) + 6), 0xffff);
		}
	}
}

/* Bytes behind the IP packet, as short Ethernet frames have, are no part of it. */
static void test_padding(void **state)
{
	struct frame q;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		q.len += 60;
		answer("padding", &q, (struct expect){0, 1, 0, 0, 0});
	}
}

/* The rows above met every counter of an answer. */
static void test_answer_counters(void **state)
{
	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		for (int i = 0; i < KB_CNT_FIRST_LEFT; i++) {
			/* The packet-path cache's: tests/bpf/test_pcache. */
			if (i != KB_CNT_CACHED && !seen[engine][i])
				fail_msg("%s: no row for %s", engine_name[engine], counter_name[i]);
		}
	}
}

#define ANSWER_ROWS                                                                \
	cmocka_unit_test(test_answers), cmocka_unit_test(test_rdata),              \
		cmocka_unit_test(test_name_lengths), cmocka_unit_test(test_sizes), \
		cmocka_unit_test(test_rotation), cmocka_unit_test(test_checksums), \
		cmocka_unit_test(test_padding), cmocka_unit_test(test_answer_counters)

#endif
