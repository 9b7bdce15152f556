/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of control/table only. */
#ifndef KB_TABLE_PRIVATE_H
#define KB_TABLE_PRIVATE_H

#include <pthread.h>

#include "control/table/arena.h"
#include "control/table/env.h"

/* What the writer knows of a slot. */
enum kb_slot_state {
	SLOT_FREE,
	SLOT_USED,
	SLOT_OLD,   /* used, found in an adopted table and not put again yet */
	SLOT_LIMBO, /* empty, but a reader may still be between its two loads */
};

#define KB_SLOTS(n) ((size_t)(n)*KB_BUCKET_SLOTS)
#define NO_SLOT	    UINT32_MAX

/* An index as the writer knows it. */
struct kb_index {
	uint32_t gen, n;	  /* n: buckets per replica; 0: there is none */
	struct kb_bucket *bucket; /* borrowed from the backing */
	uint8_t *state;		  /* owned, enum kb_slot_state, n * 4 */
	uint32_t *check;	  /* owned, n * 4: another hash of the name, 0 if unknown */
	uint16_t *spill;	  /* owned, n: entries whose probe sequence goes on behind this */
};

enum limbo_kind { LIMBO_SLOT, LIMBO_REC, LIMBO_ICEPT };

struct limbo_item {
	uint32_t kind;
	uint32_t gen;  /* LIMBO_SLOT: the generation it belongs to */
	uint32_t what; /* slot, ref or intercept entry */
};

struct limbo {
	struct limbo_item *item; /* owned */
	size_t n, cap;
};

/* What is asked of the work thread. The lock is around the backing's functions but grace,
 * and around all that stands below it while a work runs. */
struct kb_work {
	bool runs;	   /* main thread: between begin and end */
	bool spare;	   /* main thread: page is there */
	bool page_refused; /* main thread: not asked for again until an update needs it */
	bool dropping;	   /* main thread: this work removes the retired index */
	pthread_mutex_t lock;
	bool index_wanted, drop_wanted; /* and not done by anybody yet */
	uint32_t pages_wanted, page_n;	/* likewise; the first one's number */
	uint32_t index_gen, index_n, drop_gen;
	/* Made and not added to the arena yet: the spare one, or several for an update. */
	struct kb_page *page[KB_PAGES_STEP];
	uint32_t pages;
	struct kb_bucket *index;
	int page_result, index_result;
};

struct kb_table {
	struct kb_backing backing;
	struct kb_header *hdr; /* borrowed from the backing */
	uint64_t mem_max;

	uint32_t replicas;
	struct kb_index cur;  /* what readers use */
	struct kb_index next; /* growth, see grow.c */
	/* For readers in other threads, by generation & 1: written before the state word names the
	 * generation, and not again before a grace period after it has named another. */
	struct {
		const struct kb_bucket *bucket;
		uint32_t n; /* over all replicas */
	} online[2];
	bool zones_held; /* likewise; atomic */
	uint32_t copied; /* slots of cur that next has; 0 while next has no memory */
	uint32_t slice;	 /* slots copied in one turn of the main loop */
	bool retired;	 /* the backing may hold an index besides cur that nobody needs */
	uint32_t retired_buckets;
	uint32_t growth_failures; /* since the last growth */
	uint64_t growth_from;	  /* names from which growth is tried again */
	uint64_t reserved;	  /* names that will come before the next kb_table_step, or 0 */
	uint64_t check_key[2];
	struct kb_work work;

	struct kb_arena arena;
	struct limbo pending, waiting;

	uint8_t icept_limbo[KB_ICEPT_BUCKETS][KB_ICEPT_WAYS];
	uint16_t icept_ports[64]; /* entries by bit of hdr->icept_ports */
	uint32_t n_icept;
	uint8_t zone_flags[KB_VALUE_ZONE_MAX + 1];    /* as asked for, by id */
	uint32_t zone_refused[KB_VALUE_ZONE_MAX + 1]; /* names that could not be stored, by id */

	struct kb_table_stats stats;
};

/* Makes cur known to readers in other threads, before the state word does. */
void kb_table_online(struct kb_table *t);
/* Something that readers may still see goes here until a grace period is over. */
void kb_limbo_add(struct kb_table *t, enum limbo_kind kind, uint32_t gen, uint32_t what);
/* Takes up to `max` items back. */
void kb_limbo_recycle(struct kb_table *t, struct limbo *limbo, size_t max);

/* index.c */
int kb_index_init(struct kb_index *ix, uint32_t gen, uint32_t n);
void kb_index_fini(struct kb_index *ix);
/* Copies a slot of cur, if it is taken, into next. -ENOSPC. */
int kb_index_copy(struct kb_table *t, uint32_t slot);
int kb_index_adopt(struct kb_table *t);

/* grow.c */
/* Begins growth to n buckets. 0, -EBUSY if one is on its way, -ENOSPC, -ENOMEM. */
int kb_growth_start(struct kb_table *t, uint32_t n);
/* Begins growth to the size that suits, unless one is on its way. */
void kb_growth_want(struct kb_table *t);
/* Lets go of an index that does not take all names. The next attempt is larger. */
void kb_growth_abandon(struct kb_table *t);
/* Grows here and now, to n buckets or as far as a growth that has begun goes: waits for
 * readers and copies everything. 0 or -errno. */
int kb_index_grow(struct kb_table *t, uint32_t n);

/* work.c */
/* Adds a page to the arena, the spare one if there is one, or as many as what was reserved is
 * expected to need. 0 or -errno. */
int kb_work_page_now(struct kb_table *t);
/* Makes the memory of next. 0, or -errno and next is abandoned. */
int kb_work_index_now(struct kb_table *t);

/* table.c */
uint64_t kb_arena_bytes(const struct kb_table *t);
/* How many more pages there may be within mem_max. */
uint64_t kb_pages_allowed(const struct kb_table *t);

/* settings.c: makes a zone's flags in the header what is asked for and allowed. */
void kb_zone_publish(struct kb_table *t, uint8_t id);
/* settings.c: counts the intercepts of an adopted table. */
void kb_icept_adopt(struct kb_table *t);

#endif
