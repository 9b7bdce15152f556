/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table's single writer: names in, published slots and records out, by the
 * protocol at the top of dataplane/core/layout.h.
 *
 * Memory comes from a backing (BPF maps in kbdnsd, plain memory in tests), so that
 * the writer itself needs no privileges. Every function runs on the main loop's
 * thread. What readers may still see goes into a limbo for a grace period; that, and
 * all else that takes the kernel long, is a work that the owner has done by a thread of
 * its choice, while updates go on:
 *
 *	if (kb_table_work_begin(t))		main thread
 *		kb_table_work_run(t);		any thread, 10 to 100 ms
 *	kb_table_work_end(t);			main thread, only if it had begun
 *
 * In each turn of its loop the owner calls kb_table_step, which does a slice of what has to
 * be done on the main thread (a larger index is filled), and, while that returns true, does
 * not sleep. An update waits for the kernel only if it needs more than was made ahead of
 * need: an index or page that is not there yet.
 */
#ifndef KB_TABLE_TABLE_H
#define KB_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/layout.h"
#include "dataplane/core/worker_tune.h"

struct kb_table;

#define KB_PAGES_STEP 16 /* pages that are made at once at most */

struct kb_backing {
	void *arg;
	/* The header and the intercept buckets: zeroed when new, mapped for good. */
	struct kb_header *header;
	struct kb_icept_bucket *icept;
	/* From here to page_get: one thread at a time, not always the same.
	 * Creates an index of n buckets, all zero, and puts it into `slot` of kb_index.
	 * -errno. The pointer stays valid until index_drop. */
	int (*index_new)(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index);
	/* Index and bucket count of an adopted table; -ENOENT. */
	int (*index_get)(void *arg, uint32_t slot, uint32_t *ret_n, struct kb_bucket **ret_index);
	/* There may be none. */
	void (*index_drop)(void *arg, uint32_t slot);
	/* Creates arena pages n to n + count - 1, all of them or none; -errno. count is at most
	 * KB_PAGES_STEP. */
	int (*page_new)(void *arg, uint32_t n, uint32_t count, struct kb_page *ret_pages[]);
	int (*page_get)(void *arg, uint32_t n, struct kb_page **ret_page);
	/* Returns when every reader that could see the past has gone. Any thread, also while
	 * another is in one of the other functions. */
	void (*grace)(void *arg);
	/* Tells readers that map the index themselves of generation `gen`, which index_new has
	 * made, and returns whether they need no more time for it. Does not wait. NULL: there
	 * are no such readers. */
	bool (*gen_ready)(void *arg, uint32_t gen);
};

struct kb_table_config {
	uint32_t replicas; /* of the index, 1..KB_REPLICAS_MAX */
	uint32_t buckets;  /* first size of each replica; 0: a small default */
	uint64_t mem_max;  /* bytes of index and arena together; 0: no limit */
};

struct kb_table_stats {
	uint64_t names, buckets, replicas, generation;
	uint64_t index_bytes, arena_bytes, arena_used_bytes, records;
	uint64_t puts, dels, changes; /* calls that changed something */
	uint64_t growths;
	uint64_t limbo;	     /* slots and records waiting for a grace period */
	uint64_t refused;    /* names that could not be stored: alarm */
	uint64_t collisions; /* of those, two of our names with one hash: alarm */
};

/* Makes a new, empty table in state OFF. The backing is copied. 0 or -errno. */
int kb_table_new(const struct kb_backing *backing, const struct kb_table_config *config,
		 struct kb_table **ret_table);
/* Takes over a table left by another writer: checks magic and version (-EPROTO when
 * they differ), rebuilds free lists and overflow counts by walking it. Names that stay are
 * marked old; kb_table_sweep removes those not put again since. 0 or -errno. */
int kb_table_adopt(const struct kb_backing *backing, const struct kb_table_config *config,
		   struct kb_table **ret_table);
/* Marks every name as one from before, as adoption does; sweep removes those that were not put
 * again since. */
void kb_table_mark(struct kb_table *t);
void kb_table_sweep(struct kb_table *t);
/* Lets go of the writer's memory, leaves the shared one as it is. No work is under way. */
void kb_table_free(struct kb_table *t);

/*
 * Records are interned: the same bytes give the same ref, with one more reference
 * for the caller. `rec` is a struct kb_rec as layout.h has it. 0, -ENOSPC, -ENOMEM.
 */
int kb_table_intern(struct kb_table *t, const void *rec, size_t len, uint32_t *ret_ref);
void kb_table_release(struct kb_table *t, uint32_t ref);

struct kb_entry {
	enum kb_value_kind kind;
	uint8_t zone; /* id, 1..15 */
	uint32_t ref; /* 0 or from kb_table_intern */
	__be32 addr;
};

/*
 * Enters or changes a name (wire form, lower case). Always takes over the caller's
 * reference to entry->ref. Visible to every reader on return. Returns 0, -EEXIST when
 * another of our names has this hash, -ENOSPC when there is no room: then nothing has
 * changed, and misses of that zone are left (kb_table_stats.refused) until the owner knows
 * that nothing is missing any more: kb_table_refusals_clear.
 */
int kb_table_put(struct kb_table *t, const uint8_t *name, size_t len, const struct kb_entry *entry);
/* Every name that was refused has been stored since or is not wanted any more: misses mean
 * again what their zones say. */
void kb_table_refusals_clear(struct kb_table *t);
/* 0 or -ENOENT. Gone for every reader on return. */
int kb_table_del(struct kb_table *t, const uint8_t *name, size_t len);
/* What stands at a name now: the raw value, 0 if nothing; where: bucket and slot. */
uint64_t kb_table_get(const struct kb_table *t, const uint8_t *name, size_t len,
		      uint32_t *ret_bucket, uint32_t *ret_slot);
/* Room for about this many names, in one step, instead of growing to it. Until the next
 * kb_table_step, pages for their records are made several at a time too. */
int kb_table_reserve(struct kb_table *t, size_t names);

void kb_table_set_state(struct kb_table *t, enum kb_state state);
void kb_table_set_ttl(struct kb_table *t, uint32_t ttl_s);
void kb_table_set_serial(struct kb_table *t, uint32_t serial);
void kb_table_set_udp_max(struct kb_table *t, uint16_t bytes);
void kb_table_set_flag(struct kb_table *t, uint8_t flag, bool on);
/* The packet path reports one query in `every` of these classes (bits of enum kb_event_class);
 * none: it reports nothing. */
void kb_table_set_worker_tune(struct kb_table *t, const struct kb_worker_tune *tune);
void kb_table_set_log(struct kb_table *t, uint32_t every, uint32_t classes);

/* Adds a zone (wire form). `id` is 1..15 for zones that answer positively, and may be shared
 * by zones of one length, which then have the same flags; 0 for zones that only leave. Only before
 * readers are attached, or with the state OFF. 0, -ENOSPC, -EINVAL. */
int kb_table_zone_add(struct kb_table *t, const uint8_t *name, size_t len, uint8_t id,
		      uint8_t flags);
/* Sets or clears flags of a zone while readers run. */
void kb_table_zone_flag(struct kb_table *t, uint8_t id, uint8_t flag, bool on);
void kb_table_zones_clear(struct kb_table *t);
/* For readers in other threads, which look at zones also while the state is OFF: hold them, let a
 * grace period pass, change zones, let them go. kb_table_zones_held is for readers that are
 * online. */
void kb_table_zones_hold(struct kb_table *t, bool hold);
bool kb_table_zones_held(const struct kb_table *t);

/* Source prefix that is served: `bits` of addr (4 or 16 bytes, network order). */
int kb_table_allow_add(struct kb_table *t, int family, const uint8_t *addr, unsigned int bits);
void kb_table_allow_clear(struct kb_table *t);

/* Intercept addresses. -EEXIST, -ENOSPC, -ENOENT. `port` in host order. */
int kb_table_icept_add(struct kb_table *t, int family, const uint8_t *addr, uint16_t port);
/* Flags of struct kb_icept, at once for every reader; 0 when it is added. -ENOENT, -EINVAL. */
int kb_table_icept_set_flags(struct kb_table *t, int family, const uint8_t *addr, uint16_t port,
			     uint64_t flags);
int kb_table_icept_del(struct kb_table *t, int family, const uint8_t *addr, uint16_t port);
/* Removes all that an adopted table had. */
void kb_table_icept_clear(struct kb_table *t);

/* See the top of this file. begin returns false if there is nothing to do, or a work is
 * under way or not taken up by kb_table_step yet. */
bool kb_table_work_begin(struct kb_table *t);
void kb_table_work_run(struct kb_table *t);
void kb_table_work_end(struct kb_table *t);
/* Returns whether more is to be done in the next turn. */
bool kb_table_step(struct kb_table *t);
/* All of that, here and now, until nothing is left to do: at the end, and in tests. No work
 * is under way. */
void kb_table_settle(struct kb_table *t);

void kb_table_stats(const struct kb_table *t, struct kb_table_stats *ret_stats);
const struct kb_header *kb_table_header(const struct kb_table *t);
const struct kb_backing *kb_table_backing(const struct kb_table *t);

#endif
