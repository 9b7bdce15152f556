// SPDX-License-Identifier: Apache-2.0
/*
 * The packet-path cache's writer, by the reader's eyes: what was offered is found, in the bounds
 * of memory, and nothing else. What the packet programs make of it: tests/bpf/test_pcache.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "control/pcache/private.h"
#include "tests/unit/pcache_world.h"

static struct pcache_world w;
static struct pcache_told told;
static struct kb_scratch scratch;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void grace(void)
{
	if (kb_pcache_grace_begin(w.p))
		kb_pcache_grace_end(w.p);
}

static void turn(void)
{
	while (kb_pcache_turn(w.p))
		;
}

static struct kb_pcache_stats stats(void)
{
	struct kb_pcache_stats s;

	kb_pcache_stats(w.p, &s);
	return s;
}

static void put(uint32_t number, uint32_t addr, unsigned int count)
{
	pcache_tell(&told, number, addr, count, 3600, now_ms());
	kb_pcache_offer(w.p, &told.o);
	turn();
}

/* The address that is given for a name, 0 if none is. */
static uint32_t get(uint32_t number)
{
	uint32_t addr;

	pcache_query(&w, &scratch, number);
	if (pcache_ask(&w, &scratch, now_ms()))
		return 0;
	memcpy(&addr, scratch.out + 12, 4);
	for (unsigned int i = 0; i < scratch.r.an; i++)
		assert_memory_equal(scratch.out + 16 * i + 12, &addr, 4);
	return addr;
}

static void test_put(void **state)
{
	struct kb_pcache_stats s;

	(void)state;
	pcache_world_new(&w, 1 << 20);
	assert_int_equal(get(1), 0);
	pcache_tell(&told, 1, 7, 1, 3600, now_ms() - 10000);
	kb_pcache_offer(w.p, &told.o);
	turn();
	assert_int_equal(get(1), 7);
	assert_int_equal(get(2), 0);
	put(2, 8, 70);
	pcache_query(&w, &scratch, 2);
	assert_int_equal(pcache_ask(&w, &scratch, now_ms()), KB_CNT_CACHED_LIMIT);
	/* The same once more, as when two threads have hits at once. */
	pcache_tell(&told, 1, 9, 1, 3600, now_ms() - 15000);
	kb_pcache_offer(w.p, &told.o);
	turn();
	assert_int_equal(get(1), 7);
	s = stats();
	assert_int_equal(s.entries, 2);
	assert_int_equal(s.insertions, 2);
	assert_int_equal(s.offers, 3);
	/* A newer one. */
	pcache_tell(&told, 1, 10, 3, 3600, now_ms() - 5000);
	kb_pcache_offer(w.p, &told.o);
	turn();
	assert_int_equal(stats().replacements, 1);
	assert_int_equal(stats().entries, 2);
	assert_int_equal(stats().limbo, 1);
	grace();
	assert_int_equal(stats().limbo, 0);
	kb_pcache_void(w.p);
	assert_int_equal(get(1), 0);
	s = stats();
	assert_int_equal(s.entries, 0);
	assert_int_equal(s.voided, 2);
	grace();
	assert_int_equal(w.p->blocks.n_free, w.p->blocks.n);
	pcache_world_free(&w);
}

static void test_unfit(void **state)
{
	(void)state;
	pcache_world_new(&w, 1 << 20);
	pcache_tell(&told, 1, 7, 1, 3600, now_ms());
	told.question[told.o.question_len - 1] = 3; /* CHAOS */
	kb_pcache_offer(w.p, &told.o);
	pcache_tell(&told, 1, 7, 77, 3600, now_ms()); /* 1232 bytes are the most */
	kb_pcache_offer(w.p, &told.o);
	put(5, 7, 77);
	assert_int_equal(stats().insertions, 2);
	pcache_tell(&told, 6, 7, 78, 3600, now_ms());
	kb_pcache_offer(w.p, &told.o);
	pcache_tell(&told, 1, 7, 1, 3600, now_ms());
	told.question[2] = 0; /* within a label */
	kb_pcache_offer(w.p, &told.o);
	pcache_tell(&told, 8, 7, 1, 3600, now_ms() - 3600 * 1000); /* too late */
	kb_pcache_offer(w.p, &told.o);
	turn();
	assert_int_equal(stats().insertions, 2);
	assert_int_equal(stats().offers, 3);
	pcache_world_free(&w);
}

/* What is asked for stays when much passes through that is not. */
static void test_eviction(void **state)
{
	unsigned int there = 0, old = 0;
	struct kb_pcache_stats s;

	(void)state;
	pcache_world_new(&w, 1 << 20);
	for (uint32_t i = 0; i < 200; i++)
		put(i, i + 1, 1);
	for (uint32_t i = 200; i < 40000; i++) {
		put(i, i + 1, 1 + i % 4);
		assert_in_range(get(i % 100), 0, i % 100 + 1);
		if (i % 50 == 0)
			grace();
	}
	for (uint32_t i = 0; i < 200; i++)
		*(i < 100 ? &there : &old) += get(i) == i + 1;
	assert_int_equal(there, 100);
	assert_int_equal(old, 0);
	s = stats();
	assert_int_equal(s.drops_room, 0);
	assert_true(s.entries > 1000 && s.evictions > 30000);
	assert_true(s.bytes <= s.bytes_max && s.bytes_max <= 1 << 20);
	pcache_world_free(&w);
}

/* More than what is kept free, within one grace period: dropped, and nothing is lost for it. */
static void test_flood(void **state)
{
	struct kb_pcache_stats s;
	uint32_t cells, before;

	(void)state;
	pcache_world_new(&w, 1 << 20);
	cells = w.p->blocks.n;
	for (uint32_t i = 0; i < cells; i++) {
		put(i, 1, 1);
		if (i % 100 == 0)
			grace();
	}
	grace();
	before = (uint32_t)stats().entries;
	for (uint32_t i = 0; i < cells; i++)
		put(cells + i, 1, 1);
	s = stats();
	assert_true(s.drops_room > cells / 2);
	assert_true(s.entries >= before - cells / KB_PCACHE_RESERVE);
	assert_true(s.limbo <= cells / KB_PCACHE_RESERVE);
	grace();
	put(3 * cells, 5, 1);
	assert_int_equal(get(3 * cells), 5);
	pcache_world_free(&w);
}

static void test_queue(void **state)
{
	struct kb_pcache_stats s;

	(void)state;
	pcache_world_new(&w, 4 << 20);
	for (uint32_t i = 0; i < 10000; i++) {
		pcache_tell(&told, i, 1, 1, 3600, now_ms());
		kb_pcache_offer(w.p, &told.o);
	}
	assert_int_equal(w.woken, 1);
	s = stats();
	assert_int_equal(s.offers, 10000);
	assert_true(s.drops_queue > 0 && s.drops_queue < 9000);
	turn();
	assert_int_equal(stats().insertions, 10000 - s.drops_queue);
	put(20000, 1, 1);
	assert_int_equal(w.woken, 2);
	/* What waits when it is voided is void. */
	pcache_tell(&told, 1, 1, 1, 3600, now_ms());
	kb_pcache_offer(w.p, &told.o);
	kb_pcache_void(w.p);
	turn();
	assert_int_equal(stats().entries, 0);
	pcache_world_free(&w);
}

static uint32_t rng = 1;

static uint32_t rnd(uint32_t n)
{
	rng = rng * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)rng * n) >> 32);
}

/* Random life of all kinds: each name says what it was last told, or nothing. */
static void test_model(void **state)
{
	static uint32_t last[3000];
	uint64_t accepted = 0, given = 0, clock = now_ms() - 400 * 1000;

	(void)state;
	pcache_world_new(&w, 600 << 10);
	memset(last, 0, sizeof(last));
	for (uint32_t step = 1; step < 300000; step++) {
		uint32_t i = rnd(3000), r = rnd(100), addr;

		if (r < 40) {
			/* Each is newer than the one before. */
			pcache_tell(&told, i, step, 1 + rnd(rnd(10) ? 4 : 30), 3600, clock + step);
			kb_pcache_offer(w.p, &told.o);
			turn();
			if (stats().insertions > accepted)
				last[i] = step;
			accepted = stats().insertions;
		} else if (r < 97) {
			pcache_query(&w, &scratch, i);
			if (pcache_ask(&w, &scratch, clock + step))
				continue;
			memcpy(&addr, scratch.out + 12, 4);
			assert_int_equal(addr, last[i]);
			given++;
		} else if (r < 99 || step % 1000) {
			grace();
		} else {
			kb_pcache_void(w.p);
			memset(last, 0, sizeof(last));
		}
	}
	assert_true(given > 10000 && accepted > 50000);
	kb_pcache_void(w.p);
	grace();
	assert_int_equal(w.p->blocks.n_free, w.p->blocks.n);
	pcache_world_free(&w);
}

/* Blocks never overlap, and all of them together are what they were at first. */
static void test_blocks(void **state)
{
	static uint8_t owner[2 * KB_PCACHE_PAGE_CELLS];
	static uint32_t taken[2 * KB_PCACHE_PAGE_CELLS];
	struct kb_blocks b;
	uint32_t n = 0;

	(void)state;
	memset(&b, 0, sizeof(b));
	assert_int_equal(kb_blocks_init(&b, 2), 0);
	for (int step = 0; step < 200000; step++) {
		unsigned int order = rnd(KB_PCACHE_ORDERS);
		uint32_t at, cell;

		if (n && rnd(100) < 49) {
			at = rnd(n);
			cell = taken[at];
			taken[at] = taken[--n];
			order = b.cell[cell].order;
			for (uint32_t i = 0; i < 1U << order; i++)
				owner[cell + i] = 0;
			kb_blocks_give(&b, cell);
			continue;
		}
		cell = kb_blocks_take(&b, order);
		if (cell == NO_CELL)
			continue;
		assert_int_equal(cell % (1U << order), 0);
		for (uint32_t i = 0; i < 1U << order; i++) {
			assert_int_equal(owner[cell + i], 0);
			owner[cell + i] = 1;
		}
		taken[n++] = cell;
	}
	while (n)
		kb_blocks_give(&b, taken[--n]);
	assert_int_equal(b.n_free, b.n);
	for (uint32_t i = 0; i < b.n / KB_PCACHE_CELLS_MAX; i++)
		assert_int_not_equal(kb_blocks_take(&b, KB_PCACHE_ORDERS - 1), NO_CELL);
	assert_int_equal(kb_blocks_take(&b, 0), NO_CELL);
	assert_int_equal(kb_blocks_order(1), 0);
	assert_int_equal(kb_blocks_order(128), 0);
	assert_int_equal(kb_blocks_order(129), 1);
	assert_int_equal(kb_blocks_order(2048), 4);
	kb_blocks_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),    cmocka_unit_test(test_unfit),
		cmocka_unit_test(test_queue),  cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_flood),  cmocka_unit_test(test_model),
		cmocka_unit_test(test_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
