// SPDX-License-Identifier: Apache-2.0
/* The packet-path cache in kbdns-dpdk's engine: the rows of the other engines, and bursts. */
#include "tests/dpdk/rows.h"

#include "control/pcache/env.h"
#include "tests/rows/pcache_rows.h"

#define BURST 32

static struct kb_pcache_env env;

/* Not a power of two, and not the clock's own zero. */
#define TEST_HZ		 250
#define TEST_JIFFIES(ms) ((ms)*TEST_HZ / 1000 + (1ULL << 33))

static void *zeroed(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) & ~(size_t)63);

	assert_non_null(p);
	return memset(p, 0, size);
}

static int rows_pcache(struct kb_pcache_backing *b)
{
	kb_pcache_size(1 << 20, &b->size);
	b->header = ports.backing.header;
	b->index = zeroed(b->size.buckets * sizeof(*b->index));
	b->arena = zeroed(b->size.pages * sizeof(*b->arena));
	b->use = zeroed((size_t)b->size.pages * KB_PCACHE_PAGE_CELLS);
	env = (struct kb_pcache_env){.index = b->index,
				     .arena = b->arena,
				     .use = b->use,
				     .buckets = b->size.buckets,
				     .pages = b->size.pages};
	ports.table.cache = &env;
	return 0;
}

static void rows_clock(uint64_t *ret_ms, uint64_t *ret_jiffies, uint32_t *ret_hz)
{
	*ret_ms = now_ms();
	*ret_jiffies = TEST_JIFFIES(*ret_ms);
	*ret_hz = TEST_HZ;
}

/* Writer and reader are one thread. */
static void rows_grace(void)
{
}

/* jiffies64 as a reader has it: as late as they are, by one at most; after years, too. */
static void test_jiffies(void **state)
{
	struct kb_header *hdr = pc.header;
	const uint64_t years_ms = 50ULL * 365 * 86400 * 1000;

	(void)state;
	for (uint64_t ms = 12345; ms < years_ms; ms = ms * 3 / 2) {
		uint64_t jiffies = TEST_JIFFIES(ms);

		kb_pcache_clock(pcache, ms, jiffies, TEST_HZ);
		for (uint64_t later = 0; later < 3000; later += 7)
			assert_in_range(kb_pcache_jiffies(hdr, (ms + later) * 1000000 + 999999),
					TEST_JIFFIES(ms + later) - 1, TEST_JIFFIES(ms + later) + 1);
	}
}

/* Names of the table, of the cache, and of neither, in one burst: all replies are their queries',
 * those of the cache last. */
static void test_burst(void **state)
{
	struct frame q[BURST], out;
	struct reply_info info;
	uint32_t sent[BURST], n = 0, n_left = 0;
	void *m = NULL;

	(void)state;
	for (int i = 0; i < BURST; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d.example.com", i);
		if (i % 3 == 1)
			put_a(name);
		if (i % 3 == 0)
			snprintf(name, sizeof(name), "a." ZONE);
		frame_query(&q[i], i & 1, name, TYPE_A, 0, 0);
		put16(dns_of(&q[i]), (uint32_t)i);
		frame_finish(&q[i]);
		assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&q[i])), 0);
	}
	for (int kind = 0; kind < 2; kind++) {
		for (uint32_t i = (uint32_t)kind; i < BURST; i += 3)
			sent[n++] = i;
	}
	assert_int_equal(ports_poll(), BURST);
	for (uint32_t k = 0; k < n; k++) {
		const struct frame *in = &q[sent[k]];
		const char *why;

		assert_int_equal(rte_ring_dequeue(ports.tx, &m), 0);
		ports_take(m, in, &out);
		assert_int_equal(get16(dns_of(&out)), sent[k]);
		set_style(sent[k] % 3 ? 0 : 4, sent[k] % 3 ? 0x80 : 0, 5, TTL);
		why = check_reply(&q[sent[k]], &out, false, &info);
		if (why)
			fail_msg("query %u: %s", sent[k], why);
		assert_int_equal(info.an, 1);
	}
	assert_int_equal(rte_ring_dequeue(ports.tx, &m), -ENOENT);
	for (uint32_t i = 2; i < BURST; i += 3, n_left++) {
		ports_take(ports.left[n_left], &q[i], &out);
		assert_memory_equal(out.b, q[i].b, q[i].len);
	}
	assert_int_equal(ports.n_left, n_left);
}

/* Declared gone while it had them, it discards them with the others. */
static void test_gone(void **state)
{
	uint64_t before[KB_CNT_MAX], after[KB_CNT_MAX];
	struct frame q;
	void *m;

	(void)state;
	put_a(WWW);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	assert_int_equal(rte_ring_enqueue(ports.rx, ports_mbuf(&q)), 0);
	rows_counters(KB_ENGINE_DPDK, before);
	ports.queue.reader.row->gone = ports.queue.reader.number;
	assert_int_equal(ports_poll(), 1);
	rows_counters(KB_ENGINE_DPDK, after);
	assert_int_equal(rte_ring_dequeue(ports.tx, &m), -ENOENT);
	assert_int_equal(after[KB_CNT_GONE], before[KB_CNT_GONE] + 1);
	assert_int_equal(after[KB_CNT_CACHED], before[KB_CNT_CACHED]);
	answer("after that", &q, one);
}

/* Not mapped, or being exchanged. */
static void test_not_mapped(void **state)
{
	struct frame q;

	(void)state;
	put_a(WWW);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	ports.table.cache = NULL;
	leave("not mapped", &q, KB_CNT_NO_ZONE);
	ports.table.cache = &env;
	answer("mapped", &q, one);
	/* A smaller one than the header says. */
	env.buckets = env.pages = 0;
	leave("of another size", &q, KB_CNT_NO_ZONE);
	env.buckets = pc.size.buckets;
	env.pages = pc.size.pages;
	answer("of this size", &q, one);
}

static int teardown(void **state)
{
	int r = pcache_teardown(state);

	free(pc.index);
	free(pc.arena);
	free(pc.use);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_jiffies, begin),
		cmocka_unit_test_setup(test_burst, begin),
		cmocka_unit_test_setup(test_gone, begin),
		cmocka_unit_test_setup(test_not_mapped, begin),
		PCACHE_ROWS,
	};

	return cmocka_run_group_tests(tests, pcache_setup, teardown);
}
