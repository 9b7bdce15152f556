/* SPDX-License-Identifier: Apache-2.0 */
/* A packet-path cache in plain memory, its writer, and a reader: for tests and benchmarks. */
#ifndef KB_TESTS_PCACHE_WORLD_H
#define KB_TESTS_PCACHE_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/pcache/pcache.h"
#ifndef PCACHE_WORLD_OWN_READER
#include "control/pcache/env.h"
#endif

#define PCACHE_HZ 1000

struct pcache_world {
	struct kb_pcache_backing backing;
	struct kb_pcache_env env;
	struct kb_pcache *p;
	unsigned int woken;
};

static inline void pcache_world_wake(void *arg)
{
	struct pcache_world *w = arg;

	w->woken++;
}

static inline void *pcache_world_zeroed(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) & ~(size_t)63);

	if (!p)
		abort();
	return memset(p, 0, size);
}

/* The clock stands at jiffies = ms: with HZ 1000 they are the same. */
static inline void pcache_world_new(struct pcache_world *w, uint64_t bytes)
{
	struct kb_pcache_backing *b = &w->backing;
	uint64_t *key;

	memset(w, 0, sizeof(*w));
	kb_pcache_size(bytes, &b->size);
	b->header = pcache_world_zeroed(sizeof(*b->header));
	b->index = pcache_world_zeroed(b->size.buckets * sizeof(*b->index));
	b->arena = pcache_world_zeroed(b->size.pages * sizeof(*b->arena));
	b->use = pcache_world_zeroed((size_t)b->size.pages * KB_PCACHE_PAGE_CELLS);
	b->header->udp_max = KB_UDP_MAX_DEFAULT;
	key = (uint64_t *)&b->header->key;
	for (size_t i = 0; i < sizeof(b->header->key) / 8; i++)
		key[i] = (i + 1) * 0x9e3779b97f4a7c15ULL ^ i << 40;
	w->env = (struct kb_pcache_env){.index = b->index,
					.arena = b->arena,
					.use = b->use,
					.buckets = b->size.buckets,
					.pages = b->size.pages};
	if (kb_pcache_new(b, pcache_world_wake, w, &w->p) < 0)
		abort();
	kb_pcache_clock(w->p, 0, 0, PCACHE_HZ);
	kb_pcache_switch(w->p, true);
	if (kb_pcache_grace_begin(w->p))
		kb_pcache_grace_end(w->p);
}

static inline void pcache_world_free(struct pcache_world *w)
{
	kb_pcache_free(w->p);
	free(w->backing.header);
	free(w->backing.index);
	free(w->backing.arena);
	free(w->backing.use);
}

/* An answer of `count` A records, each with the address `addr`, to the name of that number. */
struct pcache_told {
	uint8_t msg[2048], question[64];
	uint16_t ttls[100];
	struct kb_pcache_offer o;
};

static inline size_t pcache_name(uint8_t *wire, uint32_t number)
{
	int n = snprintf((char *)wire + 1, 32, "n%u", number);

	wire[0] = (uint8_t)n;
	memcpy(wire + 1 + n, "\7example\3com", 13);
	return (size_t)n + 1 + 13;
}

static inline void pcache_tell(struct pcache_told *t, uint32_t number, uint32_t addr,
			       unsigned int count, uint32_t ttl, uint64_t stored_ms)
{
	size_t n = pcache_name(t->question, number), at = 12 + n + 4;

	memcpy(t->question + n, "\0\1\0\1", 4);
	memset(t->msg, 0, 12);
	memcpy(t->msg + 12, t->question, n + 4);
	for (unsigned int i = 0; i < count; i++) {
		uint32_t ttl_be = kb_swap32(ttl);

		memcpy(t->msg + at, "\xc0\x0c\0\1\0\1\0\0\0\0\0\4", 12);
		memcpy(t->msg + at + 6, &ttl_be, 4);
		memcpy(t->msg + at + 12, &addr, 4);
		t->ttls[i] = (uint16_t)(at + 6);
		at += 16;
	}
	t->o = (struct kb_pcache_offer){.question = t->question,
					.question_len = n + 4,
					.flags3 = KB_RA,
					.an = (uint16_t)count,
					.msg = t->msg,
					.msg_len = at,
					.ttls = t->ttls,
					.n_ttls = count,
					.stored_ms = stored_ms,
					.refresh_ms = stored_ms + ttl * 1000ULL,
					.expires_ms = stored_ms + ttl * 1000ULL};
}

/* A query for the name of that number into s->msg, parsed. */
static inline void pcache_query(const struct pcache_world *w, struct kb_scratch *s, uint32_t number)
{
	size_t n;

	memset(s->msg, 0, 80);
	s->msg[2] = KB_RD;
	s->msg[5] = 1;
	n = pcache_name(s->msg + 12, number);
	memcpy(s->msg + 12 + n, "\0\1\0\1", 4);
	if (kb_query_parse(s->msg, (uint32_t)(12 + n + 4), w->backing.header, &s->q))
		abort();
}

static inline int pcache_ask(const struct pcache_world *w, struct kb_scratch *s, uint64_t now)
{
	uint64_t epoch = kb_read_once(w->backing.header->pcache_epoch);

	return epoch ? kb_pcache_answer(&w->env, w->backing.header, s, epoch, now, KB_CNT_NO_ZONE)
		     : KB_CNT_NO_ZONE;
}

#endif
