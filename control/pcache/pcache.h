/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of the packet-path cache (dataplane/core/pcache.h): what the forwarder has answered
 * is put into map memory, from where the packet engines give it.
 *
 *   any thread:   the forwarder's cache --kb_pcache_offer--> queue --wake-->
 *   main thread:  kb_pcache_turn: queue -> record -> published; evictions
 *
 * Memory comes from a backing (BPF maps in kbdnsd, plain memory in tests), all of it at the start.
 * A record takes 1, 2, 4, 8 or 16 cells (buddies). What readers may still see goes into a
 * limbo for a grace period that a thread of the owner's choice waits for; the table's serves:
 *
 *	if (kb_pcache_grace_begin(p))		main thread
 *		(a grace period)		any thread, 10 to 100 ms
 *	kb_pcache_grace_end(p)			main thread, only if it had begun
 *
 * So that an insertion need not wait for one, a part of the cells (KB_PCACHE_RESERVE) is kept free
 * by evicting ahead of need. When insertions use it up within one grace period
 * (bench/pcache_insert says how many that takes) further ones are dropped and counted; they are
 * offered again by later hits.
 *
 * Eviction is SIEVE as in the forwarder's cache: a queue in order of arrival, and a hand that goes
 * from old to new, takes the visited bits from use bytes, and evicts the first record without.
 *
 * The owner offers an answer on its second use. Hits in percent, and insertions for 1,000
 * queries, by Zipf's law over 100,000 names (exponent 1.0) and the forwarder's cache behind
 * (bench/cache_policy):
 *
 *	once  records   all answers   second use
 *	 0 %    1,000    59.7   403     60.5   264
 *	 0 %   10,000    77.6   224     78.0    89
 *	30 %    1,000    41.2   588     42.1   152
 *	30 %   10,000    52.5   475     54.0    32
 *
 * All but kb_pcache_offer is for the main thread.
 */
#ifndef KB_PCACHE_PCACHE_H
#define KB_PCACHE_PCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/pcache.h"

/* Of all cells, one in this many is kept free. */
#define KB_PCACHE_RESERVE 8
/* Bytes of offers that wait for the main thread. */
#define KB_PCACHE_QUEUE_MAX (512 << 10)
/* A clock that is read in ticks, and a beat that is read beside another clock: by so many ticks a
 * record is held older than it may be. */
#define KB_PCACHE_TICKS 3

struct kb_pcache;

/* The maps' sizes for `bytes` of memory in all. Both are at least 1. */
struct kb_pcache_size {
	uint32_t pages, buckets;
};
void kb_pcache_size(uint64_t bytes, struct kb_pcache_size *ret_size);

struct kb_pcache_backing {
	struct kb_header *header; /* of the table, which has been made */
	struct kb_bucket *index;
	struct kb_page *arena; /* size.pages of them in a row */
	struct kb_pcache_use *use;
	struct kb_pcache_size size;
};

/* What the forwarder knows of an answer: a message whose records are to be given to others who ask
 * the same. */
struct kb_pcache_offer {
	const uint8_t *question; /* lower-case name, type, class */
	size_t question_len;
	bool dnssec_ok, cd;
	uint8_t flags2, flags3; /* of the reply, as the forwarder makes it to a query with AD */
	uint16_t an, ns, ar;
	const uint8_t *msg;   /* header, question, records */
	size_t msg_len;	      /* up to the last record */
	const uint16_t *ttls; /* their places in msg; the TTLs there are those at stored_ms */
	unsigned int n_ttls;
	/* CLOCK_MONOTONIC, as all times here. No record's TTL ends before expires_ms. From
	 * refresh_ms on the forwarder asks upstream when it is asked. */
	uint64_t stored_ms, refresh_ms, expires_ms;
};

/* Counts; uint64_t, since rows of them are shown by offset. */
struct kb_pcache_stats {
	uint64_t on;			    /* 1: answers are given */
	uint64_t entries, bytes, bytes_max; /* records, and their memory with index and use bytes */
	uint64_t offers;		    /* taken from the forwarder's cache */
	uint64_t insertions;		    /* of those, published; replacements included */
	uint64_t replacements;
	uint64_t evictions; /* for room, before the end of their lives */
	uint64_t expired;   /* removed after it */
	uint64_t voided; /* removed because upstreams or zones have changed, or it was switched off
			  */
	uint64_t drops_queue; /* offers for which the queue had no room */
	uint64_t drops_room;  /* for which all free memory waited for a grace period */
	uint64_t limbo;	      /* cells that wait for it now */
};

/* Empties what the backing holds; answers are given from kb_pcache_switch on. 0 or -ENOMEM. The
 * backing is copied, its memory borrowed. `wake` is called by kb_pcache_offer, from any thread,
 * when there is something for kb_pcache_turn. */
int kb_pcache_new(const struct kb_pcache_backing *backing, void (*wake)(void *arg), void *arg,
		  struct kb_pcache **ret_pcache);
/* Lets go of the writer's memory; what is in the maps is given until its time is over. NULL is
 * fine. */
void kb_pcache_free(struct kb_pcache *p);

void kb_pcache_switch(struct kb_pcache *p, bool on);
/* All that there is, or waits in the queue, may be wrong from now on. One store makes it so. */
void kb_pcache_void(struct kb_pcache *p);
/* jiffies64 at this time, which may be a little later; hz of them in a second. */
void kb_pcache_clock(struct kb_pcache *p, uint64_t now_ms, uint64_t jiffies, uint32_t hz);

/* Offers an answer; copied. Those that do not suit (too large, another class) are let fall. Any
 * thread. */
void kb_pcache_offer(struct kb_pcache *p, const struct kb_pcache_offer *offer);
/* Takes what was offered, and evicts ahead. Returns whether more is waiting. */
bool kb_pcache_turn(struct kb_pcache *p);

bool kb_pcache_grace_begin(struct kb_pcache *p);
void kb_pcache_grace_end(struct kb_pcache *p);

void kb_pcache_stats(const struct kb_pcache *p, struct kb_pcache_stats *ret_stats);

/* The record for a question (lower case) that would be given now, NULL if there is none. */
const struct kb_pcache_rec *kb_pcache_peek(const struct kb_pcache *p, const uint8_t *name,
					   size_t len, uint16_t qtype, uint8_t key_flags,
					   uint32_t *ret_left_s);

#endif
