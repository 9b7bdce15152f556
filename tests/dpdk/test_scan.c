// SPDX-License-Identifier: Apache-2.0
/* The fastest scan of names that this processor has says what the reference says, and reads no
 * further than it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "dataplane/dpdk/engine.h"

#define QUERIES 64
#define ROUNDS	3000

static struct kb_hash_key key KB_ALIGNED(32);
static uint64_t random_state = 88172645463325252ULL;

static uint32_t rnd(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * n >> 32);
}

/* QUERIES places, each of KB_MSG_MAX bytes and the slack in front of a page that faults. */
static uint8_t *places_new(size_t *ret_step)
{
	size_t page = 4096;
	uint8_t *at = mmap(NULL, 2 * page * QUERIES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(at != MAP_FAILED);
	for (size_t i = 0; i < QUERIES; i++)
		assert_int_equal(mprotect(at + (2 * i + 1) * page, page, PROT_NONE), 0);
	*ret_step = 2 * page;
	return at;
}

/* Bytes of all kinds or letters and digits; zero bytes are where the caller puts them. */
static void fill(uint8_t *name, uint32_t n)
{
	static const char text[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@[`{-_";
	bool any = rnd(4) == 0;

	for (uint32_t i = 0; i < n; i++)
		name[i] = any ? (uint8_t)(1 + rnd(255)) : (uint8_t)text[rnd(sizeof(text) - 1)];
}

static void test_scan(void **state)
{
	static struct kb_burst_item item[QUERIES], plain[QUERIES];
	kb_scan_names *best = kb_scan_best();
	uint32_t found = 0, lost = 0;
	size_t step;
	uint8_t *places = places_new(&step);

	(void)state;
	for (size_t i = 0; i < sizeof(key) / 4; i++)
		((uint32_t *)&key)[i] = rnd(UINT32_MAX);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + rnd(QUERIES);

		for (uint32_t i = 0; i < n; i++) {
			/* Now and then longer than a name may be, or no end at all. */
			uint32_t len = rnd(8) ? rnd(80) : rnd(300), avail = len + 1 + rnd(40);
			uint8_t *end = places + i * step + step / 2 - KB_SCAN_SLACK;
			uint8_t *msg = end - KB_DNS_HDR - avail;

			fill(msg, KB_DNS_HDR + avail + KB_SCAN_SLACK);
			if (rnd(10))
				msg[KB_DNS_HDR + len] = 0;
			if (!rnd(10))
				msg[KB_DNS_HDR + rnd(len + 1)] = 0;
			memset(&item[i], 0x5a, sizeof(item[i]));
			item[i].msg = msg;
			item[i].flow.dns_len = (uint16_t)(KB_DNS_HDR + avail);
			plain[i] = item[i];
		}
		kb_scan_plain(plain, n, &key);
		best(item, n, &key);
		for (uint32_t i = 0; i < n; i++) {
			const struct kb_name_scan *a = &plain[i].q.name, *b = &item[i].q.name;

			assert_int_equal(a->len, b->len);
			lost += !a->len;
			if (!a->len)
				continue;
			found++;
			assert_int_equal(a->hash, b->hash);
			assert_int_equal(a->sum, b->sum);
		}
	}
	/* Both kinds were met. */
	assert_true(found > QUERIES * ROUNDS / 8 && lost > QUERIES * ROUNDS / 80);
	munmap(places, step * QUERIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scan)};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
