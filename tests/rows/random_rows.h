/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random packets, most of them nearly right, through each engine of the program that includes this
 * behind its own rows.h.
 *
 * KB_TEST_RANDOM=N: how many random packets (100,000 for each engine).
 */
#ifndef KB_TESTS_RANDOM_ROWS_H
#define KB_TESTS_RANDOM_ROWS_H

#include "tests/rows/rows.h"

static uint64_t rng = 88172645463325252ULL;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 16) % n);
}

static void random_frame(struct frame *f)
{
	static const char *const names[] = {"a." ZONE,
					    "multi." ZONE,
					    "missing." ZONE,
					    "_dns._tcp.dns." ZONE,
					    "44.3.200.10.in-addr.arpa",
					    "big." ZONE,
					    "leave." ZONE};
	static const uint32_t types[] = {1, 28, 33, 12, 16, 255};
	uint32_t n, from = 0;

	if (rnd(8) == 0) {
		f->len = 15 + rnd(600);
		f->v6 = false;
		for (size_t i = 0; i < f->len; i++)
			f->b[i] = (uint8_t)rnd(256);
		return;
	}
	frame_query(f, rnd(2), names[rnd(7)], types[rnd(6)], rnd(2) ? 512 + rnd(1000) : 0,
		    rnd(2) << 15);
	if (rnd(4)) /* mostly where the headers let it pass */
		from = 14 + (uint32_t)ip_len(f) + 8;
	n = rnd(4);
	while (n--)
		f->b[from + rnd((uint32_t)f->len - from)] = (uint8_t)rnd(256);
	if (rnd(4) == 0)
		f->len = 15 + rnd((uint32_t)f->len + 20);
	if (f->len > 14 + ip_len(f) + 8 && rnd(2))
		frame_finish(f);
}

static void test_random(void **state)
{
	const char *count = getenv("KB_TEST_RANDOM");
	uint32_t n = count ? (uint32_t)atoi(count) : 100000, answered = 0;
	struct frame q, out;
	struct reply_info info;

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		for (uint32_t i = 0; i < n; i++) {
			enum row_verdict verdict;
			const char *why;

			memset(&q, 0, sizeof(q));
			random_frame(&q);
			verdict = rows_run(engine, &q, &out);
			if (verdict == ROW_LEFT) {
				if (out.len != q.len || memcmp(out.b, q.b, q.len) != 0)
					fail_msg("%s: packet %u was changed", engine_name[engine],
						 i);
				continue;
			}
			if (verdict != ROW_ANSWERED)
				fail_msg("%s: verdict %d", engine_name[engine], verdict);
			q.v6 = get16(q.b + 12) == 0x86dd;
			why = check_reply(&q, &out,
					  get16(udp_of(&q) + 6) ==
						  pseudo_sum(&q, get16(udp_of(&q) + 4)),
					  &info);
			if (why)
				fail_msg("%s, packet %u: %s", engine_name[engine], i, why);
			answered++;
		}
	}
	assert_true(answered > n / 10);
}

#endif
