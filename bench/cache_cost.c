/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the forwarder's cache costs: ns of CPU for a hit (the whole reply is written), a miss, and a
 * put (the upstream's message is read, checked and stored), names in random order, at several
 * sizes, and with evictions. One thread and two; medians of 5 rounds. Bytes are the cache's own
 * count.
 *
 *   cache_cost
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/forward/cache.h"
#include "dataplane/core/dns.h"
#include "tests/unit/dns_build.h"

#define ROUNDS	    5
#define BATCH	    100000
#define THREADS_MAX 2

struct work {
	struct kb_cache *cache;
	const uint32_t *names; /* BATCH of them */
	void (*what)(struct work *w, uint32_t name);
	struct kb_ask ask;
	struct dns_build reply;
	uint8_t out[1500];
	double ns; /* of the last batch, for each operation */
};

/* The message and its question are prepared once, and only digits changed for each name, so that
 * their making is not what is measured. */
static void prepare(struct work *w, struct kb_cache *cache)
{
	uint32_t value = 0;

	w->cache = cache;
	w->ask = dns_ask("host00000000.example.org", KB_TYPE_A);
	dns_begin(&w->reply, "host00000000.example.org", KB_TYPE_A, 0);
	dns_rr(&w->reply, DNS_ANSWER, NULL, KB_TYPE_A, 3600, &value, 4);
}

static void set_name(struct work *w, uint32_t name)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t *p = w->ask.question + 1 + 4, *q = w->reply.b + KB_DNS_HDR + 1 + 4;

	for (int i = 7; i >= 0; i--, name >>= 4)
		p[i] = q[i] = (uint8_t)hex[name & 15];
}

static void get(struct work *w, uint32_t name)
{
	enum kb_cache_found found;

	set_name(w, name);
	kb_cache_get(w->cache, &w->ask, 1000, 1232, w->out, sizeof(w->out), &found);
}

static void put(struct work *w, uint32_t name)
{
	set_name(w, name);
	dns_keep(w->cache, &w->ask, &w->reply, 1000);
}

/* Of this thread: other processes' turns on the CPU are no part of the cost. */
static double cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void *run(void *arg)
{
	struct work *w = arg;
	double t0 = cpu_ns();

	for (size_t i = 0; i < BATCH; i++)
		w->what(w, w->names[i]);
	w->ns = (cpu_ns() - t0) / BATCH;
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* CPU time of one operation in the first thread; names are drawn from first to first + n. */
static double measure(struct work *w, unsigned int threads,
		      void (*what)(struct work *w, uint32_t name), uint32_t first, uint32_t n)
{
	static uint32_t names[THREADS_MAX][BATCH];
	double ns[ROUNDS];
	pthread_t id[THREADS_MAX];

	for (int r = 0; r < ROUNDS; r++) {
		for (unsigned int t = 0; t < threads; t++) {
			for (size_t i = 0; i < BATCH; i++)
				names[t][i] = first + (uint32_t)rand() % n;
			w[t].names = names[t];
			w[t].what = what;
		}
		for (unsigned int t = 1; t < threads; t++) {
			if (pthread_create(&id[t], NULL, run, &w[t]))
				exit(1);
		}
		run(&w[0]);
		for (unsigned int t = 1; t < threads; t++)
			pthread_join(id[t], NULL);
		ns[r] = w[0].ns;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	return ns[ROUNDS / 2];
}

static void size_row(struct work *w, uint32_t n, unsigned int threads)
{
	struct kb_cache_config config = KB_CACHE_DEFAULTS;
	struct kb_cache_stats stats;
	struct kb_cache *cache;
	double hit, miss, again, evict;

	config.bytes = KB_CACHE_BYTES_MIN +
		       (size_t)n * 256; /* room for them all, whatever shard they fall into */
	config.prefetch_hits = 0;
	if (kb_cache_new(&config, &cache) < 0)
		exit(1);
	for (unsigned int t = 0; t < threads; t++)
		prepare(&w[t], cache);
	for (uint32_t i = 0; i < n; i++)
		put(w, i);
	kb_cache_stats(cache, &stats);
	hit = measure(w, threads, get, 0, n);
	miss = measure(w, threads, get, 1U << 28, n);
	again = measure(w, threads, put, 0, n);
	evict = measure(w, threads, put, 1U << 28, 1U << 28);
	printf("%8lu %7u %8.0f %8.0f %12.0f %12.0f %8.0f\n", (unsigned long)stats.entries_success,
	       threads, hit, miss, again, evict,
	       (double)stats.bytes / (double)stats.entries_success);
	kb_cache_free(cache);
}

int main(void)
{
	static struct work w[THREADS_MAX];

	printf("ns of CPU for each operation of a thread, writing its name included\n");
	printf(" entries threads      hit     miss  put, in place  put, evicts  bytes/entry\n");
	for (unsigned int threads = 1; threads <= THREADS_MAX; threads++) {
		size_row(w, 1000, threads);
		size_row(w, 10000, threads);
		size_row(w, 100000, threads);
	}
	return 0;
}
