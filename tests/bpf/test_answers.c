// SPDX-License-Identifier: Apache-2.0
/* Answers of kbdns_tc and kbdns_xdp. */
#include "tests/bpf/rows.h"
#include "tests/rows/answer_rows.h"

/* Checksums that only pods send: partial, and partial that is complete as well. */
static void test_partial_checksums(void **state)
{
	struct frame q, out;
	struct reply_info info;
	enum row_verdict verdict;
	uint32_t sum;
	uint8_t *udp;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (int edns = 0; edns < 2; edns++) {
			frame_query(&q, v6, "a." ZONE, TYPE_A, edns ? 1232 : 0, 0);
			udp = udp_of(&q);
			sum = pseudo_sum(&q, get16(udp + 4));
			put16(udp + 6, sum);
			run_counted(KB_ENGINE_TC, &q, &out, &verdict);
			assert_int_equal(verdict, ROW_ANSWERED);
			assert_null(check_reply(&q, &out, true, &info));
			assert_int_equal(get16(udp_of(&out) + 6),
					 pseudo_sum(&out, get16(udp_of(&out) + 4)));
			/* The id that makes the partial sum a right complete one. */
			put16(dns_of(&q), 0);
			sum = ~sum16(pseudo_sum(&q, get16(udp + 4)), udp, get16(udp + 4)) & 0xffff;
			put16(dns_of(&q), sum);
			answer("both", &q, (struct expect){0, 1, 0, edns, 0});
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ANSWER_ROWS,
		cmocka_unit_test(test_partial_checksums),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
