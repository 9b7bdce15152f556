/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer is killed, again and again, and what it leaves must be a table that a new writer
 * takes over. A child works on a table in shared memory until SIGKILL comes: after a
 * random number of stores to slots (so that every gap between two stores is hit), or after
 * a random time (so that everything else is hit too: half-written records, half-built
 * generations, half-made pages). The parent adopts the table and checks that every name
 * says what it said before or after the update that was cut off, that replicas are alike
 * and that every unit of the arena is accounted for; then the next child goes on from there.
 *
 *   kill_writer [KILLS]		default 1500
 */
static void writer_pause(void);

#define KB_TABLE_MUTANT	 0
#define KB_TABLE_PAUSE() writer_pause()
#include "control/table/index.c"

#include "tests/unit/table_check.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAMES	  1500
#define ICEPTS	  64
#define PAGES	  8
#define INDEX_MAX 8192 /* buckets of all replicas */
#define SPARES	  4

/* In memory that parent and children share, like the maps of a real table. */
static struct shared {
	struct kb_header header;
	struct kb_icept_bucket icept[KB_ICEPT_BUCKETS];
	uint32_t slot[2]; /* 1 + spare, 0: none */
	uint32_t slot_n[2];
	uint32_t pages;
	uint32_t done[NAMES + ICEPTS], begun[NAMES + ICEPTS]; /* stamps */
	uint64_t ops;
	struct kb_bucket index[SPARES][INDEX_MAX];
	struct kb_page page[PAGES];
} * shm;

static uint64_t stores_left; /* until the child kills itself; 0: never */

static void writer_pause(void)
{
	if (stores_left && --stores_left == 0)
		raise(SIGKILL);
}

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng * 0x9e3779b97f4a7c15ULL >> 32) % n);
}

static int index_new(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index)
{
	(void)arg;
	if (n > INDEX_MAX)
		return -ENOMEM;
	for (uint32_t i = 0; i < SPARES; i++) {
		if (shm->slot[0] == i + 1 || shm->slot[1] == i + 1)
			continue;
		memset(shm->index[i], 0, n * sizeof(shm->index[i][0]));
		/* As the update of a map in a map: both at once. */
		__atomic_store_n(&shm->slot_n[slot], n, __ATOMIC_SEQ_CST);
		__atomic_store_n(&shm->slot[slot], i + 1, __ATOMIC_SEQ_CST);
		*ret_index = shm->index[i];
		return 0;
	}
	return -ENOMEM;
}

static int index_get(void *arg, uint32_t slot, uint32_t *ret_n, struct kb_bucket **ret_index)
{
	(void)arg;
	if (!shm->slot[slot])
		return -ENOENT;
	*ret_n = shm->slot_n[slot];
	*ret_index = shm->index[shm->slot[slot] - 1];
	return 0;
}

static void index_drop(void *arg, uint32_t slot)
{
	(void)arg;
	if (!shm->slot[slot])
		return;
	memset(shm->index[shm->slot[slot] - 1], 0xee, sizeof(shm->index[0]));
	shm->slot[slot] = 0;
}

static int page_new(void *arg, uint32_t n, uint32_t count, struct kb_page *ret_pages[])
{
	(void)arg;
	if (n + count > PAGES)
		return -ENOSPC;
	if (shm->pages < n + count)
		shm->pages = n + count;
	for (uint32_t i = 0; i < count; i++)
		ret_pages[i] = &shm->page[n + i];
	return 0;
}

static int page_get(void *arg, uint32_t n, struct kb_page **ret_page)
{
	(void)arg;
	if (n >= shm->pages)
		return -ENOENT;
	*ret_page = &shm->page[n];
	return 0;
}

static void no_readers(void *arg)
{
	(void)arg;
}

static size_t name_wire(uint32_t i, uint8_t *buf)
{
	uint8_t *w = buf;

	w[0] = (uint8_t)snprintf((char *)w + 1, 16, "n%u", i);
	w += 1 + w[0];
	memcpy(w, "\7cluster\5local", 15);
	return (size_t)(w + 15 - buf);
}

/* What name i says at a stamp: kind 0 is nothing. */
static size_t content(uint32_t i, uint32_t stamp, uint8_t *rec, struct kb_entry *e)
{
	struct kb_rec head = {.n_sets = 1};
	size_t len = 16 + (i * 13 + stamp * 7) % 900;
	uint32_t id = stamp % 8 < 4 ? i * 77777 + stamp : stamp % 16;

	*e = (struct kb_entry){.zone = 1, .addr = i << 16 | (stamp & 0xffff)};
	switch ((i + stamp) % 4) {
	case 0:
		return 0;
	case 1:
		e->kind = KB_VALUE_A;
		return 0;
	default:
		e->kind = KB_VALUE_REC;
		if (stamp % 8 >= 4)
			len = 16 + id * 16; /* shared by many names */
		head.units = (uint16_t)((len + KB_UNIT - 1) / KB_UNIT);
		memcpy(rec, &head, sizeof(head));
		for (size_t k = sizeof(head); k < len; k++)
			rec[k] = (uint8_t)(id >> k % 3 * 8);
		return len;
	}
}

static void icept_addr(uint32_t i, uint8_t *addr)
{
	memset(addr, 0, 16);
	addr[0] = 10;
	addr[3] = (uint8_t)(i % 24);
}

static int icept_change(struct kb_table *t, uint32_t i, bool add)
{
	uint16_t port = (uint16_t)(53 + i / 24);
	uint8_t addr[16];

	icept_addr(i, addr);
	return add ? kb_table_icept_add(t, i & 1 ? 4 : 6, addr, port)
		   : kb_table_icept_del(t, i & 1 ? 4 : 6, addr, port);
}

static bool icept_has(uint32_t i)
{
	uint16_t port_be = kb_swap16(53 + i / 24);
	struct kb_flow flow = {.dport = port_be};
	uint8_t addr[16];
	uint32_t a4;

	icept_addr(i, addr);
	memcpy(&a4, addr, 4);
	if (i & 1)
		flow.dst[1] = KB_V4MAPPED(a4);
	else
		memcpy(flow.dst, addr, 16);
	return kb_icept_find(&shm->icept[kb_icept_hash(flow.dst[0], flow.dst[1], port_be)],
			     &flow) &&
	       (shm->header.icept_ports >> (kb_swap16(port_be) & 63) & 1);
}

static void child(struct kb_table *t)
{
	/* No parent, no child. */
	for (;; shm->ops++) {
		uint32_t what = rnd(1000), i = rnd(NAMES);
		uint8_t name[KB_NAME_MAX], rec[1024];
		size_t len = name_wire(i, name), rec_len;
		uint32_t stamp = shm->begun[i] + 1;
		struct kb_entry e;

		if (what < 2) {
			kb_index_grow(t, 550 + rnd(1200));
			continue;
		}
		if (what < 5) {
			/* A slice at a time, in the turns below. */
			kb_growth_start(t, 550 + rnd(1200));
			continue;
		}
		if (what < 30) {
			kb_table_step(t);
			continue;
		}
		if (what < 40) {
			if (kb_table_work_begin(t)) {
				kb_table_work_run(t);
				kb_table_work_end(t);
			}
			continue;
		}
		if (what < 60) {
			i = NAMES + rnd(ICEPTS);
			stamp = shm->begun[i] + 1;
			__atomic_store_n(&shm->begun[i], stamp, __ATOMIC_SEQ_CST);
			if (icept_change(t, i - NAMES, stamp & 1) < 0)
				_exit(3);
			__atomic_store_n(&shm->done[i], stamp, __ATOMIC_SEQ_CST);
			continue;
		}
		rec_len = content(i, stamp, rec, &e);
		__atomic_store_n(&shm->begun[i], stamp, __ATOMIC_SEQ_CST);
		if (!e.kind) {
			if (kb_table_del(t, name, len) < 0)
				_exit(4);
		} else {
			if (rec_len && kb_table_intern(t, rec, rec_len, &e.ref) < 0)
				_exit(5);
			if (kb_table_put(t, name, len, &e) < 0)
				_exit(6);
		}
		__atomic_store_n(&shm->done[i], stamp, __ATOMIC_SEQ_CST);
	}
}

/* Does the replica say what the name says at this stamp? */
static bool says(const struct kb_table *t, uint32_t replica, uint32_t i, uint32_t stamp)
{
	struct kb_env env;
	struct kb_view view = {
		.env = &env, .hdr = &shm->header, .state = shm->header.state, .replica = replica};
	uint8_t name[KB_NAME_MAX + 9] = {0}, rec[1024];
	size_t len = name_wire(i, name), rec_len;
	struct kb_name_scan scan = {0};
	struct kb_entry e;
	uint64_t v;

	kb_table_env(t, &env);
	kb_name_scan(name, 0, (uint32_t)len, &shm->header.key, &scan);
	v = kb_lookup(&view, scan.hash);
	rec_len = content(i, stamp, rec, &e);
	if (v == KB_LOOKUP_INCOMPLETE)
		return !e.kind;
	if (kb_value_kind(v) != e.kind)
		return false;
	if (!e.kind)
		return true;
	if (kb_value_addr(v) != e.addr || (kb_value_ref(v) != 0) != (rec_len != 0))
		return false;
	return !rec_len || memcmp(kb_env_page(&env, kb_value_ref(v) / KB_PAGE_UNITS)->b +
					  kb_value_ref(v) % KB_PAGE_UNITS * KB_UNIT,
				  rec, rec_len) == 0;
}

static int check(const struct kb_table *t, uint32_t *ret_cut)
{
	const char *wrong = kb_table_check(t);

	if (wrong) {
		printf("WRONG: %s\n", wrong);
		return -1;
	}
	for (uint32_t i = 0; i < NAMES + ICEPTS; i++) {
		uint32_t stamp = shm->done[i];
		bool right;

		if (i >= NAMES) {
			right = icept_has(i - NAMES) == (stamp & 1);
			if (!right && shm->begun[i] != stamp)
				right = icept_has(i - NAMES) == (++stamp & 1);
		} else {
			right = says(t, 0, i, stamp);
			if (!right && shm->begun[i] != stamp)
				right = says(t, 0, i, ++stamp);
			right = right && says(t, 1, i, stamp);
		}
		if (!right) {
			printf("WRONG: name %u is neither what it was nor what it was to be "
			       "(stamps %u, %u)\n",
			       i, shm->done[i], shm->begun[i]);
			return -1;
		}
		*ret_cut += shm->begun[i] != shm->done[i];
		shm->begun[i] = shm->done[i] = stamp;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t kills = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1500, cut = 0, gens = 0;
	struct kb_table_config config = {.replicas = 2, .buckets = 600};
	struct kb_backing backing = {.index_new = index_new,
				     .index_get = index_get,
				     .index_drop = index_drop,
				     .page_new = page_new,
				     .page_get = page_get,
				     .grace = no_readers};
	struct kb_table *t;

	rng = (uint64_t)time(NULL) * 2654435761U + (uint64_t)getpid();
	printf("seed %llu\n", (unsigned long long)rng);
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shm == MAP_FAILED)
		return 2;
	backing.header = &shm->header;
	backing.icept = shm->icept;
	if (kb_table_new(&backing, &config, &t) < 0)
		return 2;
	/* Nothing is there yet: stamps at which that is so. */
	for (uint32_t i = 0; i < NAMES; i++)
		shm->begun[i] = shm->done[i] = 16 - i % 4;

	for (uint32_t n = 0; n < kills; n++) {
		uint32_t gen = t->cur.gen;
		int status = 0, r;
		pid_t pid;

		/* What the parent does is part of the history, too. */
		t->slice = 64;
		fflush(stdout);
		stores_left = n & 1 ? 1 + rnd(6000) : 0;
		rng = rng * 6364136223846793005ULL + 1;
		pid = fork();
		if (pid < 0)
			return 2;
		if (pid == 0)
			child(t);
		stores_left = 0;
		if (n % 2 == 0) {
			struct timespec ts = {.tv_nsec = 20000 + rnd(3000000)};

			nanosleep(&ts, NULL);
			kill(pid, SIGKILL);
		}
		waitpid(pid, &status, 0);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
			printf("WRONG: kill %u: the writer ended by itself, status %x\n", n,
			       status);
			return 1;
		}
		kb_table_free(t);
		r = kb_table_adopt(&backing, &config, &t);
		if (r < 0) {
			printf("WRONG: kill %u: not adopted: %s\n", n, strerror(-r));
			return 1;
		}
		gens += t->cur.gen != gen;
		if (check(t, &cut) < 0) {
			printf("at kill %u\n", n);
			return 1;
		}
	}
	printf("%u writers killed after %llu operations in all, %u in the middle of an update, %u "
	       "times with a new generation; %u pages, every table adopted\n",
	       kills, (unsigned long long)shm->ops, cut, gens, t->arena.n_pages);
	kb_table_free(t);
	return 0;
}
