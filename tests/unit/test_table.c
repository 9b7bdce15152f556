/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table's writer against a plain model: random operations, and after each batch every
 * name is looked up in every replica by the real answer core, replicas are compared byte by
 * byte, overflow bits are recomputed, and every unit of the arena is accounted for.
 *
 * KB_TEST_CHURN=10000000 runs the churn test at its full length.
 */
#include "control/table/private.h"
#include "tests/unit/mem_backing.h"
#include "tests/unit/table_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NAMES	 4096
#define REC_MAX	 640
#define NO_ENTRY 0

struct model_name {
	uint32_t kind; /* NO_ENTRY: not in the table */
	uint32_t zone;
	uint32_t addr;
	uint32_t rec; /* content number, 0: no record */
};

struct fixture {
	struct kb_mem *mem;
	struct kb_backing backing;
	struct kb_table *t;
	struct model_name name[NAMES];
	uint64_t rng;
	uint32_t graces;
	bool unstored; /* some put was refused */
	int phase;     /* of a work under way: 0 none, 1 begun, 2 run */
};

static uint32_t rnd(struct fixture *f, uint32_t n)
{
	f->rng = f->rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((f->rng >> 33) % n);
}

static size_t name_wire(uint32_t i, uint8_t *buf)
{
	char label[16];
	size_t pos = 0, n;

	/* All lengths from 20 to 80 bytes, three deep. */
	n = (size_t)snprintf(label, sizeof(label), "n%u", i);
	buf[pos++] = (uint8_t)n;
	memcpy(buf + pos, label, n);
	pos += n;
	n = 1 + i % 53;
	buf[pos++] = (uint8_t)n;
	memset(buf + pos, 'a' + (int)(i % 26), n);
	pos += n;
	memcpy(buf + pos, "\7cluster\5local", 15);
	return pos + 15;
}

/* Record number `id`: its bytes and length depend on nothing else. */
static size_t rec_bytes(uint32_t id, uint8_t *buf)
{
	size_t body = 16 * (1 + id % 30), len = 16 + sizeof(struct kb_set) + body;
	struct kb_rec rec = {.n_sets = 1, .units = (uint16_t)((len + KB_UNIT - 1) / KB_UNIT)};
	struct kb_dir dir = {.type = kb_swap16(KB_TYPE_A), .unit = 1};
	struct kb_set set = {.form = KB_FORM_WIRE,
			     .rr_len = 16,
			     .an = (uint16_t)(body / 16),
			     .len = (uint16_t)body};

	memset(buf, 0, 16);
	memcpy(buf, &rec, sizeof(rec));
	memcpy(buf + sizeof(rec), &dir, sizeof(dir));
	memcpy(buf + 16, &set, sizeof(set));
	for (size_t i = 0; i < body; i++)
		buf[32 + i] = (uint8_t)(id * 2654435761U >> (i % 4 * 8));
	return len;
}

static void count_grace(void *arg)
{
	struct fixture *f = arg;

	f->graces++;
}

static void start(struct fixture *f, uint32_t replicas, uint32_t buckets, uint64_t mem_max)
{
	struct kb_table_config config = {
		.replicas = replicas, .buckets = buckets, .mem_max = mem_max};

	memset(f, 0, sizeof(*f));
	f->rng = 42 + replicas;
	f->mem = kb_mem_new(count_grace, f);
	assert_non_null(f->mem);
	kb_mem_backing(f->mem, &f->backing);
	assert_int_equal(kb_table_new(&f->backing, &config, &f->t), 0);
	/* Small slices, for many operations in the middle of growth. */
	f->t->slice = 32;
}

static void stop(struct fixture *f)
{
	kb_table_free(f->t);
	kb_mem_free(f->mem);
}

/* As a work thread and the main loop do: works lie at any point among the operations. */
static void work_on(struct fixture *f)
{
	if (f->phase == 2) {
		kb_table_work_end(f->t);
		f->phase = 0;
	} else if (f->phase == 1) {
		kb_table_work_run(f->t);
		f->phase = 2;
	} else if (kb_table_work_begin(f->t)) {
		f->phase = 1;
	}
}

static void settle(struct fixture *f)
{
	while (f->phase)
		work_on(f);
	kb_table_settle(f->t);
}

static uint64_t lookup(const struct fixture *f, uint32_t i, uint32_t replica,
		       const struct kb_env *env)
{
	const struct kb_header *hdr = f->backing.header;
	struct kb_view view = {.env = env, .hdr = hdr, .state = hdr->state, .replica = replica};
	uint8_t buf[KB_NAME_MAX + 9] = {0};
	struct kb_name_scan scan = {0};
	size_t len = name_wire(i, buf);

	kb_name_scan(buf, 0, (uint32_t)len, &hdr->key, &scan);
	assert_int_equal(scan.len, len);
	return kb_lookup(&view, scan.hash);
}

static void check_names(const struct fixture *f)
{
	struct kb_env env;
	size_t present = 0, incomplete = 0;

	kb_table_env(f->t, &env);
	for (uint32_t i = 0; i < NAMES; i++) {
		const struct model_name *m = &f->name[i];

		present += m->kind != NO_ENTRY;
		for (uint32_t r = 0; r < f->t->replicas; r++) {
			uint64_t v = lookup(f, i, r, &env);
			uint32_t ref = kb_value_ref(v);
			uint8_t rec[REC_MAX];
			size_t len;

			if (v == KB_LOOKUP_INCOMPLETE) {
				/* Every bucket of its sequence has spilled: left alone. */
				assert_int_equal(m->kind, NO_ENTRY);
				incomplete++;
				continue;
			}
			assert_int_equal(kb_value_kind(v), m->kind);
			if (!m->kind)
				continue;
			assert_int_equal(kb_value_zone(v), m->zone);
			assert_int_equal(kb_value_addr(v), m->addr);
			assert_int_equal(ref != 0, m->rec != 0);
			if (!ref)
				continue;
			len = rec_bytes(m->rec, rec);
			assert_memory_equal(kb_env_page(&env, ref / KB_PAGE_UNITS)->b +
						    ref % KB_PAGE_UNITS * KB_UNIT,
					    rec, len);
		}
	}
	assert_int_equal(f->t->stats.names, present);
	/* Fuller than growth lets it become only if there was no memory to grow. */
	if (present <= KB_SLOTS(f->t->cur.n) / 10 * 7 && f->t->cur.n > 256)
		assert_true(incomplete <= NAMES / 50 * f->t->replicas);
}

static void check_table(const struct fixture *f)
{
	const char *wrong = kb_table_check(f->t);

	if (wrong)
		fail_msg("%s", wrong);
}

static void check(const struct fixture *f)
{
	check_names(f);
	check_table(f);
}

/* One random put; true if it was stored. */
static bool put(struct fixture *f, uint32_t i)
{
	struct model_name m = {.zone = 1 + rnd(f, 15), .addr = rnd(f, 1U << 30) + 1};
	struct kb_entry e = {.zone = (uint8_t)m.zone, .addr = m.addr};
	uint8_t name[KB_NAME_MAX], rec[REC_MAX];
	size_t len = name_wire(i, name);
	int r;

	m.kind = 1 + rnd(f, 3);
	/* A third without a record, a third with one that many names share. */
	if (rnd(f, 3))
		m.rec = rnd(f, 2) ? 1 + rnd(f, 40) : 100 + rnd(f, 1U << 20);
	if (m.kind == KB_VALUE_LEAVE)
		m.rec = 0;
	if (m.rec) {
		r = kb_table_intern(f->t, rec, rec_bytes(m.rec, rec), &e.ref);
		if (r < 0) {
			assert_true(r == -ENOSPC || r == -ENOMEM);
			return false;
		}
	}
	e.kind = (enum kb_value_kind)m.kind;
	r = kb_table_put(f->t, name, len, &e);
	if (r == -ENOSPC) {
		assert_int_equal(f->name[i].kind, NO_ENTRY);
		f->unstored = true;
		return false;
	}
	assert_int_equal(r, 0);
	f->name[i] = m;
	return true;
}

static void del(struct fixture *f, uint32_t i)
{
	uint8_t name[KB_NAME_MAX];
	size_t len = name_wire(i, name);

	assert_int_equal(kb_table_del(f->t, name, len), f->name[i].kind == NO_ENTRY ? -ENOENT : 0);
	f->name[i].kind = NO_ENTRY;
}

/* Interned but never entered. */
static void intern_release(struct fixture *f)
{
	uint8_t rec[REC_MAX];
	uint32_t ref, again, id = 1 + rnd(f, 200);

	if (kb_table_intern(f->t, rec, rec_bytes(id, rec), &ref) < 0)
		return;
	assert_int_equal(kb_table_intern(f->t, rec, rec_bytes(id, rec), &again), 0);
	assert_int_equal(ref, again);
	kb_table_release(f->t, ref);
	kb_table_release(f->t, again);
}

static void random_ops(struct fixture *f, uint32_t n, uint32_t names)
{
	while (n--) {
		uint32_t i = rnd(f, names), what = rnd(f, 100);

		if (what < 50)
			put(f, i);
		else if (what < 88)
			del(f, i);
		else if (what < 92)
			intern_release(f);
		else if (what < 97)
			work_on(f);
		else
			kb_table_step(f->t);
	}
}

static void random_operations(void **state)
{
	static const uint32_t replicas[] = {1, 2, 3, 8};
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		start(f, replicas[k], 1, 0);
		for (int batch = 0; batch < 60; batch++) {
			/* Sizes that breathe: few names, all names, few. */
			random_ops(f, 1500, batch % 20 < 10 ? NAMES : 300);
			check(f);
		}
		assert_true(f->t->stats.growths > 3);
		for (uint32_t i = 0; i < NAMES; i++)
			del(f, i);
		settle(f);
		check(f);
		assert_int_equal(f->t->arena.records, 0);
		assert_int_equal(f->t->arena.used_units, 0);
		for (uint32_t b = 0; b < f->t->cur.n; b++)
			assert_int_equal(f->t->cur.spill[b], 0);
		for (size_t b = 0;
		     b < (size_t)f->t->cur.n * f->t->replicas * sizeof(*f->t->cur.bucket); b++)
			assert_int_equal(((const uint8_t *)f->t->cur.bucket)[b], 0);
		stop(f);
	}
	free(f);
}

static void one_bucket(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	start(f, 2, 1, 0);
	random_ops(f, 3000, 200);
	check(f);
	assert_true(f->t->cur.n > 1 && f->t->stats.growths > 0);
	stop(f);
	free(f);
}

static void reserve_is_one_step(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	start(f, 2, 16, 0);
	random_ops(f, 40, NAMES);
	assert_int_equal(kb_table_reserve(f->t, NAMES), 0);
	check(f);
	for (uint32_t i = 0; i < NAMES; i++)
		put(f, i);
	check(f);
	assert_true(f->t->stats.growths <= 2);
	assert_int_equal(f->t->stats.names, NAMES);
	stop(f);
	free(f);
}

/* A backing that says when it is called, and by whom. */
static struct {
	struct kb_backing real;
	bool updating;
	uint32_t waits; /* calls from within an update */
} watched;

static int watched_index_new(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index)
{
	watched.waits += watched.updating;
	return watched.real.index_new(arg, slot, n, ret_index);
}

static void watched_index_drop(void *arg, uint32_t slot)
{
	watched.waits += watched.updating;
	watched.real.index_drop(arg, slot);
}

static int watched_page_new(void *arg, uint32_t n, uint32_t count, struct kb_page *ret_pages[])
{
	watched.waits += watched.updating;
	return watched.real.page_new(arg, n, count, ret_pages);
}

static void watched_grace(void *arg)
{
	watched.waits += watched.updating;
	watched.real.grace(arg);
}

/* While works are done between updates, no update waits for the kernel: indexes grow and
 * pages come ahead of need. */
static void updates_do_not_wait(void **state)
{
	struct kb_table_config config = {.replicas = 2};
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t pages;

	(void)state;
	f->rng = 7;
	f->mem = kb_mem_new(count_grace, f);
	kb_mem_backing(f->mem, &watched.real);
	f->backing = watched.real;
	f->backing.index_new = watched_index_new;
	f->backing.index_drop = watched_index_drop;
	f->backing.page_new = watched_page_new;
	f->backing.grace = watched_grace;
	assert_int_equal(kb_table_new(&f->backing, &config, &f->t), 0);
	pages = f->t->arena.n_pages;
	watched.waits = 0;
	for (uint32_t i = 0; i < 50000; i++) {
		struct kb_entry e = {.kind = KB_VALUE_REC, .zone = 1};
		uint8_t name[KB_NAME_MAX], rec[REC_MAX];

		watched.updating = true;
		assert_int_equal(kb_table_intern(f->t, rec, rec_bytes(i, rec), &e.ref), 0);
		assert_int_equal(kb_table_put(f->t, name, name_wire(i, name), &e), 0);
		watched.updating = false;
		kb_table_step(f->t);
		if (i % 8 == 0)
			work_on(f);
	}
	assert_int_equal(watched.waits, 0);
	assert_true(f->t->stats.growths > 10 && f->t->arena.n_pages > pages + 10);
	check_table(f);
	stop(f);
	free(f);
}

/* Names that were reserved get their pages many at a time, not many too many, and those behind
 * them one at a time again. */
static void reserved_pages_come_together(void **state)
{
	const uint32_t names = 50000;
	struct kb_table_config config = {.replicas = 1};
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t pages = 0;

	(void)state;
	f->rng = 7;
	f->mem = kb_mem_new(count_grace, f);
	kb_mem_backing(f->mem, &watched.real);
	f->backing = watched.real;
	f->backing.page_new = watched_page_new;
	assert_int_equal(kb_table_new(&f->backing, &config, &f->t), 0);
	assert_int_equal(kb_table_reserve(f->t, names), 0);
	watched.waits = 0;
	watched.updating = true;
	for (uint32_t i = 0; i < names + 2000; i++) {
		struct kb_entry e = {.kind = KB_VALUE_REC, .zone = 1};
		uint8_t name[KB_NAME_MAX], rec[REC_MAX];

		if (i == names) {
			pages = f->t->arena.n_pages;
			assert_true(pages > 40 && watched.waits <= 5);
			assert_true(pages - 2 <= f->t->arena.used_units / KB_PAGE_UNITS);
			kb_table_step(f->t);
			watched.waits = 0;
		}
		assert_int_equal(kb_table_intern(f->t, rec, rec_bytes(i, rec), &e.ref), 0);
		assert_int_equal(kb_table_put(f->t, name, name_wire(i, name), &e), 0);
	}
	watched.updating = false;
	assert_true(watched.waits > 0);
	assert_int_equal(f->t->arena.n_pages, pages + watched.waits);
	check_table(f);
	stop(f);
	free(f);
}

/* Whatever cannot be had, the table stays right, and a name that could not be stored turns
 * denials in its zone off. */
static void backing_fails(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	for (int n = 0; n < 24; n++) {
		start(f, 2, 4, 0);
		for (int batch = 0; batch < 6; batch++) {
			kb_mem_fail_after(f->mem, n * (batch + 1) / 6);
			random_ops(f, 600, 1000);
			check(f);
		}
		kb_mem_fail_after(f->mem, -1);
		random_ops(f, 1500, NAMES);
		check(f);
		stop(f);
	}
	free(f);
}

static void new_fails(void **state)
{
	struct kb_table_config config = {.replicas = 2};
	struct kb_backing backing;
	struct kb_table *t;

	(void)state;
	for (int n = 0; n < 3; n++) {
		struct kb_mem *mem = kb_mem_new(NULL, NULL);

		kb_mem_backing(mem, &backing);
		kb_mem_fail_after(mem, n);
		assert_int_equal(kb_table_new(&backing, &config, &t), n < 2 ? -ENOMEM : 0);
		if (n == 2)
			kb_table_free(t);
		kb_mem_free(mem);
	}
	config.replicas = 0;
	assert_int_equal(kb_table_new(&backing, &config, &t), -EINVAL);
	config.replicas = KB_REPLICAS_MAX + 1;
	assert_int_equal(kb_table_new(&backing, &config, &t), -EINVAL);
}

static void limit_is_kept(void **state)
{
	static const uint8_t zone[] = "\7cluster\5local";
	struct fixture *f = malloc(sizeof(*f));
	struct kb_table_stats st;
	uint32_t stored = 0;

	(void)state;
	start(f, 2, 64, sizeof(struct kb_page) + 20000);
	for (uint8_t id = 1; id <= KB_VALUE_ZONE_MAX; id++) {
		uint8_t sub[32] = {1, (uint8_t)('a' + id)};

		memcpy(sub + 2, zone, sizeof(zone));
		assert_int_equal(kb_table_zone_add(f->t, sub, 2 + sizeof(zone), id, KB_ZONE_ANSWER),
				 0);
	}
	for (uint32_t i = 0; i < NAMES; i++)
		stored += put(f, i);
	check(f);
	kb_table_stats(f->t, &st);
	assert_true(st.refused > 0 && f->unstored);
	assert_true(stored >= 128 && stored < NAMES);
	assert_true(st.index_bytes + st.arena_bytes <= sizeof(struct kb_page) + 20000);
	for (uint32_t i = 0; i < f->backing.header->n_zones; i++) {
		const struct kb_zone *z = &f->backing.header->zone[i];

		assert_int_equal(!(z->flags & KB_ZONE_ANSWER), f->t->zone_refused[z->id] != 0);
	}
	kb_table_refusals_clear(f->t);
	for (uint32_t i = 0; i < f->backing.header->n_zones; i++)
		assert_true(f->backing.header->zone[i].flags & KB_ZONE_ANSWER);
	/* What is there can be changed and removed all the same. */
	random_ops(f, 3000, NAMES);
	check(f);
	stop(f);
	free(f);
}

/* How full an index of a given size gets before a probe sequence is full. */
static void index_fills(void **state)
{
	static const uint32_t buckets[] = {1000, 20000, 100000};
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		double least = 1;

		for (int round = 0; round < 5; round++) {
			uint32_t i = 0;
			int r = 0;

			/* No room for a second index beside the first. */
			start(f, 1, buckets[k], buckets[k] * sizeof(struct kb_bucket));
			for (; r == 0; i++) {
				struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1, .addr = 1};
				uint8_t name[KB_NAME_MAX];

				r = kb_table_put(f->t, name, name_wire(i, name), &e);
			}
			assert_int_equal(r, -ENOSPC);
			if ((double)(i - 1) / (buckets[k] * KB_BUCKET_SLOTS) < least)
				least = (double)(i - 1) / (buckets[k] * KB_BUCKET_SLOTS);
			stop(f);
		}
		print_message("# %u buckets: at least %.1f %% full\n", buckets[k], least * 100);
		/* Growth begins at two thirds; chance alone makes this differ. */
		assert_true(least > 0.62);
	}
	free(f);
}

static void names_are_checked(void **state)
{
	struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1, .addr = 1};
	struct fixture *f = malloc(sizeof(*f));
	uint8_t longest[KB_NAME_MAX + 1] = {0};

	(void)state;
	start(f, 1, 16, 0);
	memset(longest, 'x', KB_NAME_MAX - 1);
	for (size_t i = 0; i < KB_NAME_MAX - 1; i += 64)
		longest[i] = (uint8_t)(KB_NAME_MAX - 2 - i < 63 ? KB_NAME_MAX - 2 - i : 63);
	assert_int_equal(kb_table_put(f->t, longest, KB_NAME_MAX, &e), 0);
	assert_true(kb_table_get(f->t, longest, KB_NAME_MAX, NULL, NULL) != 0);
	assert_int_equal(kb_table_put(f->t, longest, 0, &e), -EINVAL);
	assert_int_equal(kb_table_put(f->t, longest, KB_NAME_MAX + 1, &e), -EINVAL);
	/* no root label, and one in the middle */
	assert_int_equal(kb_table_put(f->t, longest, KB_NAME_MAX - 1, &e), -EINVAL);
	assert_int_equal(kb_table_put(f->t, (const uint8_t *)"\1a\0\1b", 6, &e), -EINVAL);
	assert_int_equal(kb_table_del(f->t, (const uint8_t *)"\1a\0\1b", 6), -EINVAL);
	assert_int_equal(kb_table_del(f->t, (const uint8_t *)"\1a", 3), -ENOENT);
	assert_int_equal(kb_table_put(f->t, (const uint8_t *)"", 1, &e), 0);
	assert_int_equal(kb_table_del(f->t, (const uint8_t *)"", 1), 0);
	assert_int_equal(f->t->stats.names, 1);
	stop(f);
	free(f);
}

/* Two names with one hash: the second is refused, the first stays. */
static void collision(void **state)
{
	struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1, .addr = 1};
	struct fixture *f = malloc(sizeof(*f));
	struct kb_hash_key *key;
	uint8_t a[80], b[80];
	size_t la = name_wire(7, a), lb = name_wire(7, b);

	(void)state;
	start(f, 2, 16, 0);
	assert_int_equal(kb_table_zone_add(f->t, (const uint8_t *)"\7cluster\5local", 15, 1,
					   KB_ZONE_ANSWER),
			 0);
	/* A key that ignores the first block cannot tell these apart. */
	b[1] = 'm';
	key = &f->backing.header->key;
	key->a1[0] = key->a2[0] = 0;
	key->b1[0] = key->b2[0] = -(uint64_t)(kb_load64(a) >> 32);
	assert_int_equal(kb_table_put(f->t, a, la, &e), 0);
	assert_int_equal(kb_table_put(f->t, b, lb, &e), -EEXIST);
	assert_int_equal(kb_table_del(f->t, b, lb), -ENOENT);
	assert_int_equal(f->t->stats.collisions, 1);
	assert_int_equal(f->t->stats.names, 1);
	assert_int_equal(f->backing.header->zone[0].flags & KB_ZONE_ANSWER, 0);
	assert_int_equal(kb_table_del(f->t, a, la), 0);
	stop(f);
	free(f);
}

/* Of names marked as old half are put again, and what is old still is swept. */
static void sweep_half(struct fixture *f)
{
	for (uint32_t i = 0; i < NAMES; i += 2)
		put(f, i);
	kb_table_sweep(f->t);
	for (uint32_t i = 0; i < NAMES; i++) {
		uint8_t name[KB_NAME_MAX];
		size_t len = name_wire(i, name);

		if (!kb_table_get(f->t, name, len, NULL, NULL)) {
			/* Only what was not put since it was marked. */
			assert_true(i & 1 || f->name[i].kind == NO_ENTRY);
			f->name[i].kind = NO_ENTRY;
		}
	}
	check(f);
}

/* The writer itself marks all names, at any point of the table's growth. */
static void mark_and_sweep(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	for (uint32_t round = 0; round < 12; round++) {
		start(f, 1 + round % 3, 8, 0);
		for (int again = 0; again < 3; again++) {
			random_ops(f, 500 + rnd(f, 3000), NAMES);
			kb_table_mark(f->t);
			check(f);
			random_ops(f, rnd(f, 300), NAMES);
			sweep_half(f);
			/* What was put is not old. */
			kb_table_sweep(f->t);
			check(f);
		}
		kb_table_mark(f->t);
		kb_table_sweep(f->t);
		for (uint32_t i = 0; i < NAMES; i++)
			f->name[i].kind = NO_ENTRY;
		check(f);
		stop(f);
	}
	free(f);
}

/* Zones of one length may share an id, and then their flags. */
static void zones_share_ids(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	const struct kb_header *hdr;

	(void)state;
	start(f, 1, 8, 0);
	hdr = kb_table_header(f->t);
	assert_int_equal(kb_table_zone_add(f->t, (const uint8_t *)"\2aa\1x", 6, 1, KB_ZONE_ANSWER),
			 0);
	assert_int_equal(kb_table_zone_add(f->t, (const uint8_t *)"\2bb\1x", 6, 1, KB_ZONE_ANSWER),
			 0);
	assert_int_equal(kb_table_zone_add(f->t, (const uint8_t *)"\1c\1x", 5, 1, KB_ZONE_ANSWER),
			 -EINVAL);
	assert_int_equal(kb_table_zone_add(f->t, (const uint8_t *)"\2dd\1x", 6, 2, KB_ZONE_ANSWER),
			 0);
	kb_table_zone_flag(f->t, 1, KB_ZONE_ANSWER, false);
	assert_int_equal(hdr->n_zones, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(hdr->zone[i].flags, hdr->zone[i].id == 2 ? KB_ZONE_ANSWER : 0);
	stop(f);
	free(f);
}

/* A new writer takes over, puts half of the names again, and sweeps the rest. */
static void adopt_and_sweep(void **state)
{
	struct kb_table_config config = {.replicas = 7};
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	for (uint32_t round = 0; round < 12; round++) {
		start(f, 1 + round % 3, 8, 0);
		random_ops(f, 2000 + rnd(f, 3000), NAMES);
		for (int again = 0; again < 3; again++) {
			uint32_t old = f->t->replicas;

			kb_table_free(f->t);
			f->phase = 0;
			assert_int_equal(kb_table_adopt(&f->backing, &config, &f->t), 0);
			assert_int_equal(f->t->replicas, old);
			f->t->slice = 32;
			/* Whatever the former writer left of another generation goes. */
			if (again) {
				settle(f);
				assert_false(kb_mem_has_index(f->mem, (f->t->cur.gen + 1) & 1));
			}
			check(f);
			random_ops(f, 1000, NAMES);
			check(f);
			sweep_half(f);
		}
		stop(f);
	}
	free(f);
}

static void adopt_refuses(void **state)
{
	struct kb_table_config config = {.replicas = 1};
	struct fixture *f = malloc(sizeof(*f));
	struct kb_header *hdr;
	struct kb_table *t;

	(void)state;
	start(f, 1, 8, 0);
	hdr = f->backing.header;
	hdr->version++;
	assert_int_equal(kb_table_adopt(&f->backing, &config, &t), -EPROTO);
	hdr->version--;
	hdr->magic = 0;
	assert_int_equal(kb_table_adopt(&f->backing, &config, &t), -EPROTO);
	hdr->magic = KB_LAYOUT_MAGIC;
	hdr->shape[0]++;
	assert_int_equal(kb_table_adopt(&f->backing, &config, &t), -EPROTO);
	hdr->shape[0]--;
	hdr->arena_pages = KB_PAGES_MAX + 1;
	assert_int_equal(kb_table_adopt(&f->backing, &config, &t), -EPROTO);
	hdr->arena_pages = 2;
	assert_int_equal(kb_table_adopt(&f->backing, &config, &t), -ENOENT);
	hdr->arena_pages = 1;
	assert_int_equal(kb_table_adopt(&f->backing, &config, &t), 0);
	kb_table_free(t);
	stop(f);
	free(f);
}

static bool icept_has(const struct fixture *f, int family, const uint8_t *addr, uint16_t port)
{
	struct kb_flow flow = {.dport = kb_swap16(port), .v6 = family == 6};
	uint32_t a4;

	if (family == 4) {
		memcpy(&a4, addr, 4);
		flow.dst[1] = KB_V4MAPPED(a4);
	} else {
		memcpy(flow.dst, addr, 16);
	}
	if (!(f->backing.header->icept_ports >> (port & 63) & 1))
		return false;
	return kb_icept_find(&f->backing.icept[kb_icept_hash(flow.dst[0], flow.dst[1], flow.dport)],
			     &flow);
}

static void intercepts(void **state)
{
	struct kb_table_config config = {.replicas = 1};
	struct fixture *f = malloc(sizeof(*f));
	bool have[2][64][8] = {0};
	uint32_t n = 0;

	(void)state;
	start(f, 1, 8, 0);
	for (int op = 0; op < 20000; op++) {
		uint32_t fam = rnd(f, 2), a = rnd(f, 64), p = rnd(f, 8);
		uint8_t addr[16] = {10, 0, (uint8_t)(a * 7), (uint8_t)a, 5};
		uint16_t port = (uint16_t)(p < 4 ? 53 + p * 64 : 1000 + p);
		int family = fam ? 6 : 4;
		int r;

		if (rnd(f, 2)) {
			r = kb_table_icept_add(f->t, family, addr, port);
			assert_true(r == (have[fam][a][p] ? -EEXIST : 0) || r == -ENOSPC);
			n += r == 0;
			if (r == 0)
				have[fam][a][p] = true;
		} else {
			r = kb_table_icept_del(f->t, family, addr, port);
			assert_int_equal(r, have[fam][a][p] ? 0 : -ENOENT);
			n -= r == 0;
			have[fam][a][p] = false;
		}
		assert_int_equal(icept_has(f, family, addr, port), have[fam][a][p]);
		if (rnd(f, 8) == 0)
			settle(f);
		if (rnd(f, 2000) == 0) {
			kb_table_free(f->t);
			assert_int_equal(kb_table_adopt(&f->backing, &config, &f->t), 0);
		}
		assert_int_equal(f->t->n_icept, n);
	}
	for (uint32_t i = 0; i < 2 * 64 * 8; i++) {
		uint32_t fam = i / 512, a = i / 8 % 64, p = i % 8;
		uint8_t addr[16] = {10, 0, (uint8_t)(a * 7), (uint8_t)a, 5};

		assert_int_equal(icept_has(f, fam ? 6 : 4, addr,
					   (uint16_t)(p < 4 ? 53 + p * 64 : 1000 + p)),
				 have[fam][a][p]);
	}
	kb_table_icept_clear(f->t);
	assert_int_equal(f->t->n_icept, 0);
	assert_int_equal(f->backing.header->icept_ports, 0);
	assert_int_equal(kb_table_icept_add(f->t, 4, (const uint8_t *)"abcd", 0), -EINVAL);
	assert_int_equal(kb_table_icept_add(f->t, 5, (const uint8_t *)"abcd", 1), -EINVAL);
	stop(f);
	free(f);
}

/* The promised 1,024 addresses of one port, whatever they are. */
static void intercepts_up_to_the_limit(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	uint32_t lost = 0;

	(void)state;
	start(f, 1, 8, 0);
	for (uint32_t net = 0; net < 200; net++) {
		for (uint32_t i = 0; i < KB_ICEPT_MAX; i++) {
			uint8_t addr[4] = {10, (uint8_t)net, (uint8_t)(i >> 8), (uint8_t)i};

			lost += kb_table_icept_add(f->t, 4, addr, 53) != 0;
		}
		if (f->t->n_icept == KB_ICEPT_MAX) {
			assert_int_equal(kb_table_icept_add(f->t, 4, (const uint8_t *)"abcd", 53),
					 -ENOSPC);
		}
		kb_table_icept_clear(f->t);
		settle(f);
	}
	assert_int_equal(lost, 0);
	stop(f);
	free(f);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* 10^7 names come and go at constant size (10^6 unless asked): nothing slows down. */
static void churn(void **state)
{
	const char *asked = getenv("KB_TEST_CHURN");
	uint64_t total = asked ? strtoull(asked, NULL, 10) : 1000000, tenth = total / 10;
	struct fixture *f = malloc(sizeof(*f));
	const uint32_t live = 20000;
	double first = 0, last = 0, t0;
	uint32_t *ids = calloc(live, sizeof(*ids)), next = live, buckets, pages;

	(void)state;
	start(f, 2, 0, 0);
	assert_int_equal(kb_table_reserve(f->t, live), 0);
	for (uint32_t i = 0; i < live; i++) {
		struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1, .addr = i + 1};
		uint8_t name[KB_NAME_MAX];

		ids[i] = i;
		assert_int_equal(kb_table_put(f->t, name, name_wire(i, name), &e), 0);
	}
	/* The first tenth does not count: until allocator and index have their size. */
	buckets = 0;
	t0 = 0;
	pages = 0;
	for (uint64_t op = 0; op < total + tenth; op++) {
		uint32_t i = rnd(f, live);
		struct kb_entry e = {.kind = KB_VALUE_REC, .zone = 1, .addr = next};
		uint8_t name[KB_NAME_MAX], rec[REC_MAX];

		if (op == tenth) {
			t0 = seconds();
			pages = f->t->arena.n_pages;
			buckets = f->t->cur.n;
		}
		if (op == 2 * tenth)
			first = seconds() - t0;
		if (op == total)
			t0 = seconds();
		assert_int_equal(kb_table_del(f->t, name, name_wire(ids[i], name)), 0);
		assert_int_equal(kb_table_intern(f->t, rec, rec_bytes(next, rec), &e.ref), 0);
		assert_int_equal(kb_table_put(f->t, name, name_wire(next, name), &e), 0);
		ids[i] = next++;
		if (op % 64 == 0)
			settle(f);
	}
	last = seconds() - t0;
	print_message("# churn: %llu add and remove, first tenth %.3f s, last %.3f s, %u pages "
		      "after %u\n",
		      (unsigned long long)total, first, last, f->t->arena.n_pages, pages);
	/* A probe sequence may be full by chance, but not again and again. */
	assert_true(f->t->cur.n <= buckets + buckets / 2);
	assert_int_equal(f->t->stats.names, live);
	assert_true(f->t->arena.n_pages <= pages + 1 + pages / 10);
	check_table(f);
	assert_true(last < first * 1.5 + 0.05);
	stop(f);
	free(f);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(one_bucket),
		cmocka_unit_test(reserve_is_one_step),
		cmocka_unit_test(updates_do_not_wait),
		cmocka_unit_test(reserved_pages_come_together),
		cmocka_unit_test(backing_fails),
		cmocka_unit_test(new_fails),
		cmocka_unit_test(limit_is_kept),
		cmocka_unit_test(index_fills),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(collision),
		cmocka_unit_test(mark_and_sweep),
		cmocka_unit_test(zones_share_ids),
		cmocka_unit_test(adopt_and_sweep),
		cmocka_unit_test(adopt_refuses),
		cmocka_unit_test(intercepts),
		cmocka_unit_test(intercepts_up_to_the_limit),
		cmocka_unit_test(churn),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
