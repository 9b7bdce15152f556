/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The torn-read run: threads answer queries by the real core over a table that the real
 * writer changes, empties, refills and moves to new generations all the while, and each
 * answer is checked against what its name may say at that moment.
 *
 * Every name i goes through stamps 0, 1, 2, ...; one update is one stamp. What the name says
 * is a function of (i, stamp), and the stamp can be read out of each positive answer. The
 * writer announces a stamp before it begins the update and after kb_table_put or
 * kb_table_del returned; so a reader that notes the finished stamp before its query and the
 * begun one after it knows exactly which stamps may be answered. Anything else is
 * foreign, torn, half-built, or gone: the run fails and says what it saw.
 *
 * Readers load a bucket as kb_lookup() does and, every other time, by a copy of it that loads
 * the tags before the values and may dawdle in between: layout.h allows any order, and a
 * weakly ordered machine uses it. Reader threads are registered workers (worker.h) on whose
 * quiescent states grace periods wait, by the functions that kbdnsd has for it; they go offline,
 * leave and come back. One now and then stops in the midst of an answer, like a process with
 * SIGSTOP, until it has been declared gone and the writer has gone on for a while without it;
 * what it then has, it must discard. The writer pauses at random after a store to a slot. Two
 * replicas, one index slot per generation whose memory is overwritten with wrong answers when it is
 * dropped, records of one arena reused.
 *
 *   torn_read [ANSWERS [UPDATES]]     default 10^8 and 10^6: until both are reached
 *
 * Wrong writers that must be caught (exit status 1), each a file beside this one:
 *   torn_read_no_grace     reuses at once what readers may still see
 *   torn_read_value_only   leaves the tag of a removed slot
 *   torn_read_swapped      leaves it and stores a new value before the new tag. With
 *                          tags that are cleared, as they are, the order of the two
 *                          stores does not matter (table.pml shows both), so the mutant
 *                          needs both. Here all readers use plain kb_lookup(), which on
 *                          a machine that loads in program order catches this one but
 *                          not torn_read_value_only
 *   torn_read_early        publishes a value before its record's bytes are there
 * And a wrong reader:
 *   torn_read_not_gone     does not ask whether it was declared gone, before it "sends"
 */
static void writer_pause(void);

#ifndef KB_TABLE_MUTANT
#define KB_TABLE_MUTANT 0
#endif
#define KB_TABLE_PAUSE() writer_pause()
#include "control/table/index.c"

#include "control/table/epochs.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MUTANT_NO_GRACE
#define MUTANT_NO_GRACE 0
#endif
#ifndef MUTANT_EARLY
#define MUTANT_EARLY 0
#endif

#ifndef MUTANT_NOT_GONE
#define MUTANT_NOT_GONE 0
#endif

#define BOUND_MS 2	/* after which a worker that is online is declared gone */
#define STALLS	 200000 /* answers between two that a reader stops in, on average */
#define NAMES	 512
#define READERS	 2
#define REPLICAS 2
#define RECENT	 16
#define BURST	 8
#define POISON	 0xdeadU

/* The backing. An index slot is a pointer, as in a map of maps. */
struct index_map {
	uint32_t n;
	struct kb_bucket *bucket;
};

static struct {
	struct kb_header *header;
	struct kb_icept_bucket *icept;
	struct index_map *slot[2];
	struct index_map spare[4];
	struct kb_page *page[KB_PAGES_MAX];
} mem;

/* Grace periods. */
static struct kb_workers workers;
static struct kb_epochs epochs;
static struct kb_reader reader[READERS];

static struct name {
	uint32_t done, begun; /* stamps */
	uint8_t msg[3][128];  /* queries for A, AAAA and SRV */
	uint16_t len[3];
	uint8_t wire[80];
	uint16_t wire_len;
} names[NAMES];

static uint32_t recent[RECENT]; /* names whose update has just begun */
static uint32_t updates_begun;
static int stop_all;
static struct kb_table *work_wanted; /* by the writer from its worker */
static uint64_t answers[READERS], positive[READERS], misses[READERS], left[READERS];
static uint64_t stalls[READERS], discarded[READERS];
static uint32_t stalled; /* readers that wait for updates */
static char problem[256];
static int problem_taken;

static const uint16_t types[3] = {KB_TYPE_A, KB_TYPE_AAAA, KB_TYPE_SRV};

static uint64_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s * 0x9e3779b97f4a7c15ULL >> 20;
}

/* After each store to a slot: what lies between two
 * stores lasts long enough to be met. */
static void writer_pause(void)
{
	static uint64_t rng = 1;

	if ((rnd(&rng) & 7) == 0) {
		for (uint64_t n = rnd(&rng) & 16383; n; n--)
			__asm__ volatile("" ::: "memory");
	}
}

static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

#define INDEX_MAX 8192 /* buckets of all replicas */

static int index_new(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index)
{
	(void)arg;
	if (n > INDEX_MAX)
		return -ENOMEM;
	for (size_t i = 0; i < 4; i++) {
		struct index_map *map = &mem.spare[i];

		if (map == mem.slot[0] || map == mem.slot[1])
			continue;
		if (!map->bucket)
			map->bucket = pages(INDEX_MAX * sizeof(*map->bucket));
		/* Memory that a reader may still have, if it was dropped too early. */
		memset(map->bucket, 0, n * sizeof(*map->bucket));
		map->n = n;
		__atomic_store_n(&mem.slot[slot], map, __ATOMIC_RELEASE);
		*ret_index = map->bucket;
		return 0;
	}
	return -ENOMEM;
}

static void index_drop(void *arg, uint32_t slot)
{
	struct index_map *map = mem.slot[slot];

	(void)arg;
	if (!map)
		return;
	__atomic_store_n(&mem.slot[slot], NULL, __ATOMIC_RELEASE);
	/* Tags stay: who still looks here gets an answer that is plainly wrong. */
	for (uint32_t i = 0; i < map->n; i++)
		for (int k = 0; k < 4; k++)
			kb_write_once(map->bucket[i].slot[k].value,
				      kb_value(KB_VALUE_A, 1, 0, POISON));
}

static int page_new(void *arg, uint32_t n, uint32_t count, struct kb_page *ret_pages[])
{
	(void)arg;
	for (uint32_t i = 0; i < count; i++) {
		ret_pages[i] = pages(sizeof(*ret_pages[i]));
		__atomic_store_n(&mem.page[n + i], ret_pages[i], __ATOMIC_RELEASE);
	}
	return 0;
}

static void grace(void *arg)
{
	(void)arg;
	if (!MUTANT_NO_GRACE)
		kb_epochs_wait(&epochs, kb_epochs_begin(&epochs));
}

/* Even names are always there, odd ones exist at even stamps. */
static bool exists(uint32_t i, uint32_t stamp)
{
	return !(i & 1) || !(stamp & 1);
}

enum content { ADDR, ADDR_AAAA, SET_A, SRV, CONTENTS };

static enum content content_of(uint32_t i, uint32_t stamp)
{
	return (i * 7 + (i & 1 ? stamp >> 1 : stamp)) % CONTENTS;
}

static uint32_t addr_of(uint32_t i, uint32_t stamp)
{
	return i << 23 | (stamp & 0x7fffff);
}

static uint32_t set_size(uint32_t i, uint32_t stamp)
{
	return 2 + (i * 5 + stamp) % 23;
}

static uint32_t srv_of(uint32_t i, uint32_t stamp)
{
	return (i * 31 + stamp) % 96;
}

static size_t srv_count(uint32_t group)
{
	return 1 + group % 3;
}

static void put_record(uint8_t *p, uint16_t type, uint16_t rdlen)
{
	memset(p, 0, 12);
	p[0] = 0xc0;
	p[1] = 12;
	p[3] = (uint8_t)type;
	p[5] = 1;
	p[11] = (uint8_t)rdlen;
}

/* The record for a stamp, as the renderer would make it. Returns its length, 0 if none. */
static size_t build(uint32_t i, uint32_t stamp, uint8_t *buf, struct kb_entry *e)
{
	struct kb_rec rec = {.n_sets = 1};
	struct kb_dir dir = {.unit = 1};
	struct kb_set set = {0};
	uint32_t addr = addr_of(i, stamp), n, group;
	uint8_t *body = buf + 32;

	*e = (struct kb_entry){.kind = KB_VALUE_REC, .zone = 1};
	memset(buf, 0, 32);
	switch (content_of(i, stamp)) {
	case ADDR:
		e->kind = KB_VALUE_A;
		e->addr = addr;
		return 0;
	case ADDR_AAAA:
		e->kind = KB_VALUE_A;
		e->addr = addr;
		n = 1 + set_size(i, stamp) % 5;
		dir.type = kb_swap16(KB_TYPE_AAAA);
		set.form = KB_FORM_WIRE;
		set.flags = KB_SET_ROTATE;
		set.rr_len = 28;
		set.an = (uint16_t)n;
		set.len = (uint16_t)(28 * n);
		for (uint32_t k = 0; k < n; k++) {
			put_record(body + 28 * k, KB_TYPE_AAAA, 16);
			for (int w = 0; w < 4; w++)
				memcpy(body + 28 * k + 12 + 4 * w, &addr, 4);
		}
		break;
	case SET_A:
		n = set_size(i, stamp);
		dir.type = kb_swap16(KB_TYPE_A);
		set.form = KB_FORM_WIRE;
		set.flags = KB_SET_ROTATE;
		set.rr_len = 16;
		set.an = (uint16_t)n;
		set.len = (uint16_t)(16 * n);
		for (uint32_t k = 0; k < n; k++) {
			put_record(body + 16 * k, KB_TYPE_A, 4);
			memcpy(body + 16 * k + 12, &addr, 4);
		}
		break;
	default:
		/* Many names share one of these. */
		group = srv_of(i, stamp);
		e->addr = addr;
		dir.type = kb_swap16(KB_TYPE_SRV);
		set.form = KB_FORM_SRV_SELF;
		set.an = (uint16_t)srv_count(group);
		set.len = (uint16_t)(6 * set.an);
		set.arg = 0;
		for (uint32_t k = 0; k < set.an; k++) {
			memset(body + 6 * k, (int)group, 6);
		}
		break;
	}
	memcpy(buf, &rec, sizeof(rec));
	memcpy(buf + sizeof(rec), &dir, sizeof(dir));
	memcpy(buf + 16, &set, sizeof(set));
	return 32U + set.len;
}

static void report(const char *what, uint32_t i, uint32_t type, uint32_t lo, uint32_t hi,
		   uint32_t saw, int tags_first)
{
	if (!__atomic_exchange_n(&problem_taken, 1, __ATOMIC_SEQ_CST)) {
		snprintf(problem, sizeof(problem),
			 "name %u type %u may have stamps %u to %u: %s (name %u stamp %u), %s", i,
			 types[type], lo, hi, what, saw >> 23, saw & 0x7fffff,
			 tags_first ? "tags loaded first" : "kb_lookup");
	}
	__atomic_store_n(&stop_all, 1, __ATOMIC_SEQ_CST);
}

/* Stops until it has been declared gone and the writer has made `some` more updates. Only bounds
 * how long it looks; what it has seen or not is no error. */
static void stall(uint32_t me, uint32_t some)
{
	const struct kb_reader *r = &reader[me];
	uint32_t from = 0;
	bool gone = false;

	stalls[me]++;
	__atomic_fetch_add(&stalled, 1, __ATOMIC_RELAXED);
	for (int ms = 0; ms < 1000 && !__atomic_load_n(&stop_all, __ATOMIC_RELAXED); ms++) {
		usleep(1000);
		if (!gone) {
			gone = __atomic_load_n(&r->row->gone, __ATOMIC_RELAXED) == r->number;
			from = __atomic_load_n(&updates_begun, __ATOMIC_RELAXED);
		} else if (__atomic_load_n(&updates_begun, __ATOMIC_RELAXED) - from > some) {
			break;
		}
	}
	__atomic_fetch_sub(&stalled, 1, __ATOMIC_RELAXED);
}

/* Now and then as long as the writer takes for a number of updates, so that what a reader
 * holds is reused under it if no grace period protects it. Bounded: the writer may be waiting. */
static void dawdle(uint32_t me, uint64_t *rng)
{
	uint64_t draw = rnd(rng), what = draw & 4095;

	if ((draw >> 12) % STALLS == 0) {
		stall(me, 64 + ((uint32_t)rnd(rng) & 255));
	} else if (what == 0) {
		uint32_t from = __atomic_load_n(&updates_begun, __ATOMIC_RELAXED);
		uint32_t some = (uint32_t)rnd(rng) & 63;

		for (int n = 0; n < 200; n++) {
			if (__atomic_load_n(&updates_begun, __ATOMIC_RELAXED) - from > some)
				break;
			sched_yield();
		}
	} else if (what < 16) {
		sched_yield();
	} else if (what < 512) {
		for (uint64_t n = rnd(rng) & 511; n; n--)
			__asm__ volatile("" ::: "memory");
	}
}

/* kb_lookup() with the loads in the other order. */
static uint64_t lookup_tags_first(const struct kb_view *view, uint64_t hash, uint32_t me,
				  uint64_t *rng)
{
	uint32_t gen = kb_gen_of(view->state);
	uint32_t n = (uint32_t)kb_read_once(view->hdr->shape[gen & 1]), base = view->replica * n;
	uint32_t b = kb_home_bucket(hash, n), step = kb_probe_step(hash);

	for (int i = 0; i < KB_PROBE_MAX; i++) {
		const struct kb_bucket *bucket = kb_env_bucket(view->env, gen, base + b);
		uint64_t tag[4], value[4];

		if (!bucket)
			return KB_LOOKUP_INCOMPLETE;
		for (int k = 0; k < 4; k++)
			tag[k] = kb_read_once(bucket->slot[k].tag);
		__asm__ volatile("" ::: "memory");
		dawdle(me, rng);
		for (int k = 0; k < 4; k++)
			value[k] = kb_read_once(bucket->slot[k].value);
		for (int k = 0; k < 4; k++) {
			if (tag[k] == hash)
				return value[k] & ~(k ? 0 : KB_VALUE_OVERFLOW);
		}
		if (!(value[0] & KB_VALUE_OVERFLOW))
			return 0;
		b = kb_probe_next(b, step, n);
	}
	return KB_LOOKUP_INCOMPLETE;
}

/* Is there a stamp between lo and hi at which the type does not exist (or the name)? */
static bool may_lack(uint32_t i, uint32_t type, uint32_t lo, uint32_t hi, bool whole_name)
{
	for (uint32_t s = lo; s <= hi && s < lo + 64; s++) {
		enum content c = content_of(i, s);

		if (whole_name ? !exists(i, s)
			       : exists(i, s) && (type == 0   ? c == SRV
						  : type == 1 ? c != ADDR_AAAA
							      : c != SRV))
			return true;
	}
	return hi - lo >= 64;
}

/* What is wrong with a positive answer; *ret_saw: the address in it. */
static const char *check_positive(const struct kb_scratch *s, uint32_t i, uint32_t type,
				  uint32_t lo, uint32_t hi, uint32_t *ret_saw)
{
	uint32_t addr, stamp, n = s->r.an;
	const uint8_t *p = s->out;

	if (n == 0 || s->r.rcode || s->r.ns)
		return "odd sections";
	if (type == 2) {
		/* srv_count() records with a target each, then the address. */
		uint32_t rr = 18U + s->q.name.len;

		if (s->r.ar != 1 || s->r.len != n * rr + 16)
			return "odd length of SRV";
		memcpy(&addr, p + n * rr + 12, 4);
		p += 12;
	} else {
		if (s->r.len != n * (type ? 28U : 16U))
			return "odd length";
		memcpy(&addr, p + 12, 4);
	}
	*ret_saw = addr;
	stamp = addr & 0x7fffff;
	if (addr >> 23 != i)
		return "foreign address";
	if (stamp < lo || stamp > hi)
		return "a stamp that is not valid now";
	if (!exists(i, stamp))
		return "a stamp at which it does not exist";
	switch (content_of(i, stamp)) {
	case ADDR:
		if (type != 0 || n != 1)
			return "records that this stamp does not have";
		break;
	case ADDR_AAAA:
		if (type == 2 || (type == 0 && n != 1))
			return "records that this stamp does not have";
		if (type == 1 && n != 1 + set_size(i, stamp) % 5)
			return "too many or too few records";
		break;
	case SET_A:
		if (type != 0 || n != set_size(i, stamp))
			return "records that this stamp does not have";
		break;
	default:
		if (type != 2 || n != srv_count(srv_of(i, stamp)))
			return "records that this stamp does not have";
		for (uint32_t k = 0; k < n; k++) {
			for (int b = 0; b < 6; b++) {
				if (p[k * (18U + s->q.name.len) + (unsigned int)b] !=
				    srv_of(i, stamp))
					return "foreign SRV";
			}
		}
		return NULL;
	}
	for (uint32_t k = 0; k < n; k++) {
		const uint8_t *rr = s->out + k * (type ? 28 : 16);

		if (rr[0] != 0xc0 || rr[1] != 12 || rr[3] != types[type] || rr[5] != 1 ||
		    rr[11] != (type ? 16 : 4))
			return "torn record";
		for (int w = 0; w < (type ? 4 : 1); w++) {
			if (memcmp(rr + 12 + 4 * w, &addr, 4))
				return "records of two stamps in one answer";
		}
	}
	return NULL;
}

/* False: the burst has to be discarded. */
static bool ask(uint32_t me, uint32_t i, uint32_t type, struct kb_scratch *s, uint64_t *rng)
{
	const struct kb_header *hdr = mem.header;
	struct kb_env env = {.page = mem.page, .pages = KB_PAGES_MAX};
	struct kb_view view = {.env = &env, .hdr = hdr, .replica = me % REPLICAS};
	const struct index_map *map;
	int tags_first = KB_TABLE_MUTANT != 2 && (rnd(rng) >> 8 & 1), why;
	uint32_t lo, hi, saw = 0;
	const char *wrong = NULL;
	uint64_t value = 0;

	memcpy(s->msg, names[i].msg[type], 128);
	lo = __atomic_load_n(&names[i].done, __ATOMIC_ACQUIRE);
	/* As the BPF programs do: the state word once, then the map of its generation. */
	view.state = __atomic_load_n(&hdr->state, __ATOMIC_ACQUIRE);
	map = __atomic_load_n(&mem.slot[kb_gen_of(view.state) & 1], __ATOMIC_ACQUIRE);
	if (map) {
		env.index[kb_gen_of(view.state) & 1] = map->bucket;
		env.buckets[kb_gen_of(view.state) & 1] = map->n;
	}
	why = kb_query_parse(s->msg, names[i].len[type], hdr, &s->q);
	if (!why) {
		value = tags_first ? lookup_tags_first(&view, s->q.name.hash, me, rng)
				   : kb_lookup(&view, s->q.name.hash);
		dawdle(me, rng);
		why = kb_answer_value(&view, s, value);
	}
	if (!MUTANT_NOT_GONE && !kb_reader_still_mine(&reader[me]))
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	hi = __atomic_load_n(&names[i].begun, __ATOMIC_ACQUIRE);
	if (why == KB_CNT_INCOMPLETE && !map) {
		wrong = "no index";
	} else if (why == KB_CNT_INCOMPLETE && value == KB_LOOKUP_INCOMPLETE) {
		/* A full probe sequence, for a name that is not there. */
		if (!may_lack(i, type, lo, hi, true))
			wrong = "probe sequence ended before the name";
		left[me]++;
	} else if (why) {
		wrong = "left alone";
	} else if (s->r.rcode == KB_RCODE_NXDOMAIN) {
		misses[me]++;
		if (!may_lack(i, type, lo, hi, true))
			wrong = "missing";
	} else if (s->r.an == 0) {
		if (s->r.ns != 1 || s->r.len != KB_SOA_LEN)
			wrong = "odd NODATA";
		else if (!may_lack(i, type, lo, hi, false))
			wrong = "NODATA";
	} else {
		positive[me]++;
		wrong = check_positive(s, i, type, lo, hi, &saw);
	}
	/* A tag that was left behind also hides its own name; what must be seen here is worse. */
	if (wrong && !(KB_TABLE_MUTANT && s->r.rcode == KB_RCODE_NXDOMAIN))
		report(wrong, i, type, lo, hi, saw, tags_first);
	return true;
}

static void join(uint32_t me)
{
	struct kb_reader_info info = {.queue = me};

	if (!kb_reader_register(&reader[me], &workers, KB_WORKERS_LOCAL, KB_WORKERS_MAX, &info,
				1)) {
		fprintf(stderr, "no row is free\n");
		exit(2);
	}
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *reader_run(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	uint64_t rng = 88172645463325252ULL + me * 7919, bursts = 0;
	static struct kb_scratch scratch[READERS];

	pin(0);
	join(me);
	kb_reader_online(&reader[me]);
	while (!__atomic_load_n(&stop_all, __ATOMIC_RELAXED)) {
		bool mine = true;

		if ((++bursts & 4095) == 0) {
			kb_reader_offline(&reader[me]);
			kb_reader_unregister(&reader[me]);
			join(me);
			kb_reader_online(&reader[me]);
		} else if ((bursts & 63) == 0) {
			kb_reader_offline(&reader[me]);
			sched_yield();
			kb_reader_online(&reader[me]);
		} else {
			kb_reader_quiescent(&reader[me]);
		}
		for (int k = 0; mine && k < BURST; k++) {
			uint64_t r = rnd(&rng);
			uint32_t i = (uint32_t)(r >> 4) % NAMES;

			if (r & 1)
				i = __atomic_load_n(&recent[(r >> 4) % RECENT], __ATOMIC_RELAXED);
			mine = ask(me, i, (uint32_t)(r >> 32) % 3, &scratch[me], &rng);
		}
		if (mine) {
			__atomic_store_n(&answers[me], answers[me] + BURST, __ATOMIC_RELAXED);
			continue;
		}
		discarded[me]++;
		if (!kb_reader_rejoin(&reader[me]))
			join(me);
		kb_reader_online(&reader[me]);
	}
	kb_reader_offline(&reader[me]);
	return NULL;
}

/* Grace periods, new and old indexes, beside the updates. */
static void *worker_run(void *arg)
{
	(void)arg;
	pin(sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
	while (!__atomic_load_n(&stop_all, __ATOMIC_RELAXED)) {
		struct kb_table *t = __atomic_load_n(&work_wanted, __ATOMIC_ACQUIRE);

		if (!t) {
			usleep(20);
			continue;
		}
		kb_table_work_run(t);
		__atomic_store_n(&work_wanted, NULL, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void name_init(uint32_t i)
{
	struct name *n = &names[i];
	uint8_t *w = n->wire;

	w[0] = (uint8_t)snprintf((char *)w + 1, 16, "name-%u", i);
	w += 1 + w[0];
	*w = (uint8_t)(1 + i % 40);
	memset(w + 1, 'a' + (int)(i % 26), *w);
	w += 1 + *w;
	memcpy(w, "\7cluster\5local", 15);
	n->wire_len = (uint16_t)(w + 15 - n->wire);
	for (int t = 0; t < 3; t++) {
		uint8_t *m = n->msg[t];

		m[0] = (uint8_t)i;
		m[5] = 1;
		memcpy(m + 12, n->wire, n->wire_len);
		m[12 + n->wire_len + 1] = (uint8_t)types[t];
		m[12 + n->wire_len + 3] = 1;
		n->len[t] = (uint16_t)(12 + n->wire_len + 4);
	}
}

/* One update: the next stamp of a name. */
static void update(struct kb_table *t, uint32_t i)
{
	uint32_t stamp = names[i].begun + 1;
	uint32_t turn = __atomic_fetch_add(&updates_begun, 1, __ATOMIC_RELAXED);
	uint8_t rec[1024];
	struct kb_entry e;
	size_t len;
	int r;

	__atomic_store_n(&recent[turn % RECENT], i, __ATOMIC_RELAXED);
	__atomic_store_n(&names[i].begun, stamp, __ATOMIC_RELEASE);
	/* Announced before any store of the update. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!exists(i, stamp)) {
		r = kb_table_del(t, names[i].wire, names[i].wire_len);
	} else {
		len = build(i, stamp, rec, &e);
		r = 0;
		if (len) {
			uint8_t late[1024];

			memcpy(late, rec, len);
			if (MUTANT_EARLY)
				memset(rec + 32, 0, len - 32);
			r = kb_table_intern(t, rec, len, &e.ref);
			if (r == 0)
				r = kb_table_put(t, names[i].wire, names[i].wire_len, &e);
			if (MUTANT_EARLY)
				memcpy(mem.page[e.ref / KB_PAGE_UNITS]->b +
					       e.ref % KB_PAGE_UNITS * KB_UNIT + 32,
				       late + 32, len - 32);
		} else {
			r = kb_table_put(t, names[i].wire, names[i].wire_len, &e);
		}
	}
	if (r < 0) {
		fprintf(stderr, "update of name %u: %s\n", i, strerror(-r));
		exit(2);
	}
	__atomic_store_n(&names[i].done, stamp, __ATOMIC_RELEASE);
}

static uint64_t total(const uint64_t *v)
{
	uint64_t sum = 0;

	for (int i = 0; i < READERS; i++)
		sum += __atomic_load_n(&v[i], __ATOMIC_RELAXED);
	return sum;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	uint64_t want_answers = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000000;
	uint64_t want_updates = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
	uint64_t rng = (uint64_t)time(NULL) * 2654435761U + (uint64_t)getpid(), updates = 0;
	uint64_t works = 0;
	struct kb_table_config config = {.replicas = REPLICAS, .buckets = 200};
	struct kb_backing backing = {.index_new = index_new,
				     .index_drop = index_drop,
				     .page_new = page_new,
				     .grace = grace};
	struct kb_table_stats st;
	pthread_t thread[READERS], worker;
	struct kb_table *t;
	bool begun = false;
	double t0 = seconds();

	mem.header = pages(sizeof(*mem.header));
	mem.icept = pages(KB_ICEPT_BUCKETS * sizeof(*mem.icept));
	backing.header = mem.header;
	backing.icept = mem.icept;
	kb_epochs_init(&epochs, &workers);
	kb_epochs_set_bound(&epochs, BOUND_MS);
	if (kb_table_new(&backing, &config, &t) < 0 ||
	    kb_table_zone_add(t, (const uint8_t *)"\7cluster\5local", 15, 1, KB_ZONE_ANSWER) < 0)
		return 2;
	t->slice = 16;
	kb_table_set_ttl(t, 5);
	for (uint32_t i = 0; i < NAMES; i++) {
		name_init(i);
		names[i].begun = UINT32_MAX;
		update(t, i);
	}
	kb_table_set_state(t, KB_FULL);
	pin(sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0);
	for (uintptr_t i = 0; i < READERS; i++)
		pthread_create(&thread[i], NULL, reader_run, (void *)i);
	pthread_create(&worker, NULL, worker_run, NULL);

	while (!__atomic_load_n(&stop_all, __ATOMIC_RELAXED) &&
	       (updates < want_updates || total(answers) < want_answers)) {
		uint64_t r = rnd(&rng);

		/* Updates are spread over the run, in spurts, and beside a reader that stands. */
		if (!__atomic_load_n(&stalled, __ATOMIC_RELAXED) &&
		    (updates >= want_updates ||
		     updates * want_answers > total(answers) * want_updates + 64 * want_answers)) {
			sched_yield();
		} else {
			for (int k = (int)(r & 31); k >= 0; k--, updates++)
				update(t, (uint32_t)(rnd(&rng) >> 3) % NAMES);
			/* Larger or smaller: each is a new generation, made at once or, with
			 * updates in between, a slice at a time. */
			if (r % 503 == 0)
				kb_index_grow(t, 150 + (uint32_t)(r >> 20) % 150);
			else if (r % 251 == 1)
				kb_growth_start(t, 150 + (uint32_t)(r >> 20) % 150);
		}
		/* As kbdnsd does. */
		kb_table_step(t);
		if (!begun && kb_table_work_begin(t)) {
			begun = true;
			__atomic_store_n(&work_wanted, t, __ATOMIC_RELEASE);
		} else if (begun && !__atomic_load_n(&work_wanted, __ATOMIC_ACQUIRE)) {
			kb_table_work_end(t);
			begun = false;
			works++;
		}
	}
	__atomic_store_n(&stop_all, 1, __ATOMIC_SEQ_CST);
	pthread_join(worker, NULL);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	kb_table_stats(t, &st);
	printf("%llu answers (%llu positive, %llu NXDOMAIN, %llu left), %llu stalls, %llu bursts "
	       "discarded, %llu updates, %llu works, "
	       "%llu generations, %llu pages, %llu replicas, %.1f s\n",
	       (unsigned long long)total(answers), (unsigned long long)total(positive),
	       (unsigned long long)total(misses), (unsigned long long)total(left),
	       (unsigned long long)total(stalls), (unsigned long long)total(discarded),
	       (unsigned long long)updates, (unsigned long long)works,
	       (unsigned long long)st.growths + 1,
	       (unsigned long long)(st.arena_bytes / sizeof(struct kb_page)),
	       (unsigned long long)st.replicas, seconds() - t0);
	kb_table_free(t);
	if (*problem)
		printf("WRONG: %s\n", problem);
	return *problem ? 1 : 0;
}
