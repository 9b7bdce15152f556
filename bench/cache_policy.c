/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which entry should the forwarder's cache evict? Replays questions that follow Zipf's law, as
 * DNS's do, with a share of names that are asked once and never again (search lists, random
 * subdomains), against LRU, CLOCK, SIEVE and S3-FIFO at several sizes, and against the
 * cache itself with as much memory as that many entries take. Prints hit rates in percent.
 *
 * And which answers should go into the packet-path cache in front of it? Each insertion there
 * takes memory that comes back only after a grace period. Replays the same questions against two
 * caches in a row, both SIEVE: all answers are put into the first, or those that
 * were found in the second. Prints hits in the first, and insertions for each 1,000 queries.
 *
 *   cache_policy [QUERIES [NAMES]]      default 3,000,000 queries over 100,000 names
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include "control/forward/cache.h"
#include "dataplane/core/dns.h"
#include "tests/unit/dns_build.h"

static size_t n_queries = 3000000, n_names = 100000;
static uint32_t *trace; /* names by number; those asked once are above n_names */

static uint64_t rng = 0x853c49e6748fea9bULL;

static double uniform(void)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (double)((rng * 0x2545F4914F6CDD1DULL) >> 11) / 9007199254740992.0;
}

static void make_trace(double alpha, double once)
{
	double *cdf = malloc(n_names * sizeof(*cdf)), sum = 0;
	uint32_t fresh = (uint32_t)n_names;

	for (size_t i = 0; i < n_names; i++)
		cdf[i] = sum += pow((double)(i + 1), -alpha);
	for (size_t q = 0; q < n_queries; q++) {
		double u = uniform() * sum;
		size_t lo = 0, hi = n_names - 1;

		if (uniform() < once) {
			trace[q] = fresh++;
			continue;
		}
		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (cdf[mid] < u)
				lo = mid + 1;
			else
				hi = mid;
		}
		trace[q] = (uint32_t)lo;
	}
	free(cdf);
}

/* --- policies: a queue of nodes by number, 0 is none ------------------------------------------ */

struct node {
	uint32_t newer, older, name;
	uint8_t where, uses;
};

enum { NOWHERE, MAIN, SMALL, GHOST };

struct queue {
	uint32_t newest, oldest;
	size_t n;
};

struct sim {
	struct node *node; /* by name + 1 */
	struct queue main, small, ghost;
	uint32_t hand;
	size_t size;
};

static void push(struct sim *s, struct queue *q, uint32_t i, uint8_t where)
{
	struct node *e = &s->node[i];

	e->where = where;
	e->newer = 0;
	e->older = q->newest;
	*(q->newest ? &s->node[q->newest].newer : &q->oldest) = i;
	q->newest = i;
	q->n++;
}

static void pull(struct sim *s, struct queue *q, uint32_t i)
{
	struct node *e = &s->node[i];

	*(e->newer ? &s->node[e->newer].older : &q->newest) = e->older;
	*(e->older ? &s->node[e->older].newer : &q->oldest) = e->newer;
	e->where = NOWHERE;
	q->n--;
}

static bool lru(struct sim *s, uint32_t i)
{
	bool hit = s->node[i].where == MAIN;

	if (hit)
		pull(s, &s->main, i);
	else if (s->main.n == s->size)
		pull(s, &s->main, s->main.oldest);
	push(s, &s->main, i, MAIN);
	return hit;
}

static bool clock_policy(struct sim *s, uint32_t i)
{
	if (s->node[i].where == MAIN) {
		s->node[i].uses = 1;
		return true;
	}
	while (s->main.n == s->size) {
		uint32_t old = s->main.oldest;

		pull(s, &s->main, old);
		if (s->node[old].uses) {
			s->node[old].uses = 0;
			push(s, &s->main, old, MAIN);
		}
	}
	s->node[i].uses = 0;
	push(s, &s->main, i, MAIN);
	return false;
}

static bool sieve(struct sim *s, uint32_t i)
{
	if (s->node[i].where == MAIN) {
		s->node[i].uses = 1;
		return true;
	}
	if (s->main.n == s->size) {
		uint32_t h = s->hand ? s->hand : s->main.oldest;

		while (s->node[h].uses) {
			s->node[h].uses = 0;
			h = s->node[h].newer ? s->node[h].newer : s->main.oldest;
		}
		s->hand = s->node[h].newer;
		pull(s, &s->main, h);
	}
	s->node[i].uses = 0;
	push(s, &s->main, i, MAIN);
	return false;
}

/* A tenth for newcomers, as many ghosts as the main queue holds, two bits of use (Yang et al., SOSP
 * 2023). */
static void s3_make_room(struct sim *s)
{
	while (s->small.n + s->main.n >= s->size) {
		uint32_t old;

		if (s->small.n >= s->size / 10 && s->small.n) {
			old = s->small.oldest;
			pull(s, &s->small, old);
			if (s->node[old].uses > 1) {
				s->node[old].uses = 0;
				push(s, &s->main, old, MAIN);
				continue;
			}
			if (s->ghost.n >= s->size - s->size / 10)
				pull(s, &s->ghost, s->ghost.oldest);
			push(s, &s->ghost, old, GHOST);
			continue;
		}
		old = s->main.oldest;
		pull(s, &s->main, old);
		if (s->node[old].uses) {
			s->node[old].uses--;
			push(s, &s->main, old, MAIN);
		}
	}
}

static bool s3fifo(struct sim *s, uint32_t i)
{
	struct node *e = &s->node[i];
	bool ghost = e->where == GHOST;

	if (e->where == MAIN || e->where == SMALL) {
		if (e->uses < 3)
			e->uses++;
		return true;
	}
	if (ghost)
		pull(s, &s->ghost, i);
	s3_make_room(s);
	e->uses = 0;
	push(s, ghost ? &s->main : &s->small, i, ghost ? MAIN : SMALL);
	return false;
}

static double simulate(bool (*ask)(struct sim *s, uint32_t i), size_t size)
{
	struct sim s = {.size = size};
	size_t hits = 0;

	s.node = calloc(n_names + n_queries + 1, sizeof(*s.node));
	for (size_t q = 0; q < n_queries; q++)
		hits += ask(&s, trace[q] + 1);
	free(s.node);
	return 100.0 * (double)hits / (double)n_queries;
}

/* What the packet-path cache sees: `first` records in front of `second` entries. */
static void two_levels(size_t first, size_t second, bool at_once, double *ret_hits,
		       double *ret_inserted)
{
	struct sim packet = {.size = first}, forwarder = {.size = second};
	size_t hits = 0, inserted = 0;

	packet.node = calloc(n_names + n_queries + 1, sizeof(*packet.node));
	forwarder.node = calloc(n_names + n_queries + 1, sizeof(*forwarder.node));
	for (size_t q = 0; q < n_queries; q++) {
		uint32_t i = trace[q] + 1;

		if (packet.node[i].where == MAIN) {
			hits += sieve(&packet, i);
		} else if (sieve(&forwarder, i) || at_once) {
			sieve(&packet, i);
			inserted++;
		}
	}
	free(packet.node);
	free(forwarder.node);
	*ret_hits = 100.0 * (double)hits / (double)n_queries;
	*ret_inserted = 1000.0 * (double)inserted / (double)n_queries;
}

/* --- the cache itself ------------------------------------------------------------------------- */

static bool ask_cache(struct kb_cache *cache, uint32_t name)
{
	static struct dns_build d;
	static uint8_t out[1500];
	enum kb_cache_found found;
	struct kb_ask ask;
	char text[32];

	snprintf(text, sizeof(text), "host%08u.example.org", name);
	ask = dns_ask(text, KB_TYPE_A);
	kb_cache_get(cache, &ask, 1000, 1232, out, sizeof(out), &found);
	if (found != KB_CACHE_MISS)
		return true;
	dns_begin(&d, text, KB_TYPE_A, 0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_A, 3600, &name, 4);
	dns_keep(cache, &ask, &d, 1000);
	return false;
}

/* Memory for each entry; all are of one size here. */
static size_t entry_bytes(void)
{
	struct kb_cache_config config = KB_CACHE_DEFAULTS;
	struct kb_cache_stats stats;
	struct kb_cache *cache;

	if (kb_cache_new(&config, &cache) < 0)
		exit(1);
	for (uint32_t i = 0; i < 100000; i++)
		ask_cache(cache, i);
	kb_cache_stats(cache, &stats);
	kb_cache_free(cache);
	return config.bytes / stats.entries_success;
}

/* With memory for `size` entries; 0 if the cache is never that small. */
static double replay_cache(size_t size, uint64_t *ret_entries)
{
	struct kb_cache_config config = KB_CACHE_DEFAULTS;
	struct kb_cache_stats stats;
	struct kb_cache *cache;
	size_t hits = 0;

	config.bytes = size * entry_bytes();
	config.prefetch_hits = 0;
	if (config.bytes < KB_CACHE_BYTES_MIN || kb_cache_new(&config, &cache) < 0)
		return 0;
	for (size_t q = 0; q < n_queries; q++)
		hits += ask_cache(cache, trace[q]);
	kb_cache_stats(cache, &stats);
	*ret_entries = stats.entries_success;
	kb_cache_free(cache);
	return 100.0 * (double)hits / (double)n_queries;
}

static const size_t parts[] = {1, 3, 10, 30};

static void replay_policies(double alpha, double once)
{
	for (size_t p = 0; p < 4; p++) {
		size_t size = n_names * parts[p] / 100;
		uint64_t entries = 0;
		double cached = replay_cache(size, &entries);

		printf("%4.1f %4.0f%% %9zu %7.2f %7.2f %7.2f %7.2f", alpha, once * 100, size,
		       simulate(lru, size), simulate(clock_policy, size), simulate(sieve, size),
		       simulate(s3fifo, size));
		if (entries)
			printf(" %7.2f (%lu)", cached, (unsigned long)entries);
		printf("\n");
	}
}

/* The forwarder's cache has room for a third of the names. */
static void replay_admission(double alpha, double once)
{
	for (size_t p = 0; p < 3; p++) {
		size_t size = n_names * parts[p] / 100;
		double hits[2], inserted[2];

		for (int at_once = 0; at_once < 2; at_once++)
			two_levels(size, n_names / 3, at_once, &hits[at_once], &inserted[at_once]);
		printf("%4.1f %4.0f%% %9zu %10.2f %6.1f %12.2f %6.1f\n", alpha, once * 100, size,
		       hits[1], inserted[1], hits[0], inserted[0]);
	}
}

static void for_each_trace(void (*replay)(double alpha, double once))
{
	static const double alphas[] = {0.8, 1.0}, onces[] = {0, 0.3};

	for (size_t a = 0; a < 2; a++) {
		for (size_t o = 0; o < 2; o++) {
			make_trace(alphas[a], onces[o]);
			replay(alphas[a], onces[o]);
		}
	}
}

int main(int argc, char **argv)
{

	if (argc > 1)
		n_queries = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		n_names = strtoul(argv[2], NULL, 10);
	if (n_queries < 1000 || n_queries > 100000000 || n_names < 1000 || n_names > 100000000) {
		fprintf(stderr, "usage: cache_policy [QUERIES [NAMES]], 1,000 to 100,000,000\n");
		return 2;
	}
	trace = malloc(n_queries * sizeof(*trace));
	if (!trace)
		return 1;
	printf("%zu queries, %zu names; hits in %%\n", n_queries, n_names);
	printf("zipf  once   entries     LRU   CLOCK   SIEVE S3-FIFO   cache (entries)\n");
	for_each_trace(replay_policies);
	printf("\nin front of it, the packet-path cache\n");
	printf("zipf  once   records   all: hits  puts  second use: hits  puts\n");
	for_each_trace(replay_admission);
	free(trace);
	return 0;
}
