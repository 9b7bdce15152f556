/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The torn-read run of the packet-path cache: threads answer queries by the real reader while the
 * real writer inserts, replaces, evicts, voids, and uses memory again, and each answer is checked
 * against what its name may say at that moment.
 *
 * Every name i is told stamps 1, 2, ...; what it says is a function of (i, stamp), in all of its
 * records, and so is their number. A reader that notes the newest stamp that was accepted (and
 * returned from) before its query, and the newest begun after it, knows which may be given: one
 * of those, or none. A void makes all up to then unfit.
 *
 * Readers dawdle, now and then, between the three things that they do: finding the value, comparing
 * the question, copying the answer. The memory is small, and a block that is freed is the first to
 * be taken again.
 *
 *   pcache_torn [ANSWERS]      default 10^7
 *
 * pcache_torn_no_grace, a writer without grace periods, must be caught (exit status 1).
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/table/env.h"

#ifndef MUTANT_NO_GRACE
#define MUTANT_NO_GRACE 0
#endif

static void dawdle(void);

/* Between the compare and the copy. */
#define kb_copy_from_page(...) (dawdle(), kb_copy_from_page(__VA_ARGS__))
#include "dataplane/core/pcache_read.h"
#undef kb_copy_from_page

struct kb_pcache_env {
	const struct kb_bucket *index;
	const struct kb_page *arena;
	struct kb_pcache_use *use;
	__u32 buckets, pages;
};

static inline const struct kb_bucket *kb_pcache_bucket(const struct kb_pcache_env *env, __u32 n)
{
	return env->index + n;
}

/* Between the value and the compare. */
static inline const struct kb_page *kb_pcache_page(const struct kb_pcache_env *env, __u32 n)
{
	dawdle();
	return n < env->pages ? env->arena + n : NULL;
}

static inline struct kb_pcache_use *kb_pcache_use_line(const struct kb_pcache_env *env, __u32 n)
{
	return env->use + n;
}

#define PCACHE_WORLD_OWN_READER
#include "tests/unit/pcache_world.h"

#define NAMES	700
#define READERS 2
#define TTL	3600

/* Grace periods. */
static struct {
	uint64_t epoch;
	struct {
		uint64_t seen;
		uint64_t pad[7];
	} reader[READERS];
} qs __attribute__((aligned(64)));

static struct {
	uint32_t done, begun; /* stamps */
} names[NAMES];

static struct pcache_world w;
static uint64_t start_ms;
static int stop_all, problem_taken;
static uint64_t given[READERS], missed[READERS];
static char problem[200];

static uint64_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s * 0x9e3779b97f4a7c15ULL >> 20;
}

static void dawdle(void)
{
	static _Thread_local uint64_t rng;

	if (!rng)
		rng = (uintptr_t)&rng;
	if ((rnd(&rng) & 31) == 0) {
		for (uint64_t n = rnd(&rng) & 32767; n; n--)
			__asm__ volatile("" ::: "memory");
	}
}

static unsigned int count_of(uint32_t i, uint32_t stamp)
{
	return 1 + (i * 7 + stamp) % ((i & 3) == 0 ? 70 : 6);
}

static uint32_t word_of(uint32_t i, uint32_t stamp)
{
	return i << 22 | (stamp & 0x3fffff);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void grace(void)
{
	uint64_t epoch = __atomic_add_fetch(&qs.epoch, 1, __ATOMIC_SEQ_CST);

	for (int i = 0; i < READERS && !MUTANT_NO_GRACE; i++) {
		while (__atomic_load_n(&qs.reader[i].seen, __ATOMIC_ACQUIRE) < epoch &&
		       !__atomic_load_n(&stop_all, __ATOMIC_RELAXED))
			sched_yield();
	}
}

static void fail(const char *what, uint32_t i, uint32_t stamp, uint32_t from, uint32_t to)
{
	if (!__atomic_exchange_n(&problem_taken, 1, __ATOMIC_SEQ_CST))
		snprintf(problem, sizeof(problem), "name %u: %s: stamp %u, may be %u to %u", i,
			 what, stamp, from, to);
	__atomic_store_n(&stop_all, 1, __ATOMIC_RELEASE);
}

static void check_answer(const struct kb_scratch *s, uint32_t i, uint32_t done, uint32_t begun)
{
	uint32_t word, stamp;

	memcpy(&word, s->out + 12, 4);
	stamp = word & 0x3fffff;
	if (word != word_of(i, stamp))
		fail("foreign", i, stamp, done, begun);
	else if (stamp < done || stamp > begun)
		fail("out of time", i, stamp, done, begun);
	else if (s->r.an != count_of(i, stamp) || s->r.len != 16 * s->r.an)
		fail("counts", i, stamp, done, begun);
	for (unsigned int k = 0; k < s->r.an; k++) {
		const uint8_t *rr = s->out + (size_t)16 * k;
		uint32_t ttl;

		memcpy(&ttl, rr + 6, 4);
		ttl = kb_swap32(ttl);
		if (memcmp(rr + 12, &word, 4) != 0 || memcmp(rr, "\xc0\x0c\0\1\0\1", 6) != 0 ||
		    ttl > TTL || ttl < TTL - 3000) {
			fail("torn", i, stamp, done, begun);
			return;
		}
	}
}

static void *reader(void *arg)
{
	size_t me = (size_t)(uintptr_t)arg;
	struct kb_scratch *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);
	uint64_t rng = me + 1, jiffies = now_ms();

	if (!s)
		abort();
	while (!__atomic_load_n(&stop_all, __ATOMIC_RELAXED)) {
		uint64_t epoch = __atomic_load_n(&qs.epoch, __ATOMIC_SEQ_CST);

		__atomic_store_n(&qs.reader[me].seen, epoch, __ATOMIC_RELEASE);
		if ((rnd(&rng) & 255) == 0)
			jiffies = now_ms();
		for (int k = 0; k < 8; k++) {
			uint32_t i = (uint32_t)(rnd(&rng) % NAMES), done, begun;

			pcache_query(&w, s, i);
			s->q.limit = KB_UDP_MAX_DEFAULT;
			done = __atomic_load_n(&names[i].done, __ATOMIC_ACQUIRE);
			if (pcache_ask(&w, s, jiffies)) {
				missed[me]++;
				continue;
			}
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			begun = __atomic_load_n(&names[i].begun, __ATOMIC_ACQUIRE);
			check_answer(s, i, done, begun);
			given[me]++;
		}
	}
	__atomic_store_n(&qs.reader[me].seen, UINT64_MAX, __ATOMIC_RELEASE);
	free(s);
	return NULL;
}

static void tell(uint64_t *rng, uint64_t *accepted)
{
	static struct pcache_told told;
	uint32_t i = (uint32_t)(rnd(rng) % NAMES), stamp = names[i].begun + 1;
	struct kb_pcache_stats stats;

	__atomic_store_n(&names[i].begun, stamp, __ATOMIC_SEQ_CST);
	/* Each is newer than the one before. */
	pcache_tell(&told, i, word_of(i, stamp), count_of(i, stamp), TTL, start_ms + stamp);
	kb_pcache_offer(w.p, &told.o);
	kb_pcache_turn(w.p);
	kb_pcache_stats(w.p, &stats);
	if (stats.insertions != *accepted)
		__atomic_store_n(&names[i].done, stamp, __ATOMIC_SEQ_CST);
	*accepted = stats.insertions;
}

static uint64_t sum(const uint64_t *v)
{
	uint64_t n = 0;

	for (int i = 0; i < READERS; i++)
		n += __atomic_load_n(&v[i], __ATOMIC_RELAXED);
	return n;
}

int main(int argc, char **argv)
{
	uint64_t want = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000, rng = 42, accepted = 0;
	pthread_t thread[READERS];
	struct kb_pcache_stats stats;

	/* So far back that stamps, a millisecond each, are of the past. */
	start_ms = now_ms() - 2000 * 1000ULL;
	pcache_world_new(&w, 300 << 10);
	for (uintptr_t i = 0; i < READERS; i++) {
		if (pthread_create(&thread[i], NULL, reader, (void *)i)) {
			perror("pthread_create");
			return 2;
		}
	}
	for (uint64_t step = 1; !__atomic_load_n(&stop_all, __ATOMIC_RELAXED); step++) {
		tell(&rng, &accepted);
		if (step % 64 == 0 && kb_pcache_grace_begin(w.p)) {
			grace();
			kb_pcache_grace_end(w.p);
		}
		if (step % 2000 == 0) {
			kb_pcache_void(w.p);
			for (int i = 0; i < NAMES; i++)
				__atomic_store_n(&names[i].done, names[i].begun + 1,
						 __ATOMIC_SEQ_CST);
		}
		if (step % 1024 == 0 && sum(given) >= want)
			__atomic_store_n(&stop_all, 1, __ATOMIC_RELEASE);
	}
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	kb_pcache_stats(w.p, &stats);
	printf("%llu answers, %llu misses; %llu insertions, %llu replacements, %llu evictions, "
	       "%llu voided, %llu dropped\n",
	       (unsigned long long)sum(given), (unsigned long long)sum(missed),
	       (unsigned long long)stats.insertions, (unsigned long long)stats.replacements,
	       (unsigned long long)stats.evictions, (unsigned long long)stats.voided,
	       (unsigned long long)(stats.drops_room + stats.drops_queue));
	if (problem_taken) {
		printf("WRONG: %s\n", problem);
		return 1;
	}
	return 0;
}
