/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of control/pcache only. */
#ifndef KB_PCACHE_PRIVATE_H
#define KB_PCACHE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/pcache/env.h"
#include "control/pcache/pcache.h"

#define KB_PCACHE_ORDERS 5 /* 1 << order cells */
#define NO_CELL		 UINT32_MAX

/* What the writer knows of a cell that begins a block. */
enum kb_cell_state {
	CELL_INNER, /* does not begin one */
	CELL_FREE,
	CELL_USED,
	CELL_LIMBO,
};

struct kb_cell {
	/* CELL_FREE: next and previous of its order's list. CELL_USED: newer and older of the
	 * queue. CELL_LIMBO: next, of its list. */
	uint32_t next, prev;
	uint32_t slot; /* CELL_USED: bucket * 4 + slot of the entry */
	uint8_t order, state;
	uint8_t pad[2];
};

/* Blocks of cells: see blocks.c. */
struct kb_blocks {
	struct kb_cell *cell; /* owned */
	uint32_t n;
	uint32_t free[KB_PCACHE_ORDERS]; /* heads */
	uint32_t n_free;		 /* cells */
};

int kb_blocks_init(struct kb_blocks *b, uint32_t pages);
void kb_blocks_fini(struct kb_blocks *b);
/* The first cell of a block, or NO_CELL. */
uint32_t kb_blocks_take(struct kb_blocks *b, unsigned int order);
void kb_blocks_give(struct kb_blocks *b, uint32_t cell);
/* How many cells `size` bytes take, as a power of two. */
unsigned int kb_blocks_order(size_t size);

/* An offer on its way. */
struct kb_pcache_item {
	struct kb_pcache_item *next;
	uint64_t stored_ms, refresh_ms, expires_ms;
	uint64_t tag;
	size_t size;		   /* of the record */
	_Alignas(8) uint8_t rec[]; /* struct kb_pcache_rec, without epoch and times */
};

struct kb_pcache_queue {
	pthread_mutex_t lock;
	struct kb_pcache_item *first, **end; /* owned */
	size_t bytes;
	uint64_t offers, drops;
};

struct kb_pcache {
	struct kb_pcache_backing backing;
	void (*wake)(void *arg);
	void *arg;
	atomic_bool on;

	struct kb_pcache_queue queue;

	struct kb_blocks blocks;
	uint32_t newest, oldest, hand; /* of the queue of entries, NO_CELL */
	uint32_t pending, waiting;     /* limbo: lists, NO_CELL */
	uint32_t n_limbo;	       /* cells */
	bool grace;		       /* between begin and end */

	uint64_t epoch; /* of the entries, also while it is off */
	/* The last beat. */
	uint64_t beat_ms, beat_jiffies;

	struct kb_pcache_stats stats;
};

/* offers.c. take returns all that waits, a list for the caller to free. */
int kb_pcache_queue_init(struct kb_pcache_queue *q);
void kb_pcache_queue_fini(struct kb_pcache_queue *q);
struct kb_pcache_item *kb_pcache_queue_take(struct kb_pcache_queue *q);
void kb_pcache_items_free(struct kb_pcache_item *item);

static inline struct kb_pcache_rec *kb_pcache_rec_at(const struct kb_pcache *p, uint32_t cell)
{
	struct kb_page *page = &p->backing.arena[cell / KB_PCACHE_PAGE_CELLS];

	return (struct kb_pcache_rec *)(page->b +
					(size_t)(cell % KB_PCACHE_PAGE_CELLS) * KB_PCACHE_CELL);
}

static inline uint8_t *kb_pcache_use_at(const struct kb_pcache *p, uint32_t cell)
{
	return &p->backing.use[cell / KB_PCACHE_USE_LINE].b[cell % KB_PCACHE_USE_LINE];
}

#endif
