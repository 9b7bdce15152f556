/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of control/table only. */
#ifndef KB_TABLE_PRIVATE_H
#define KB_TABLE_PRIVATE_H

#include "control/table/arena.h"
#include "control/table/env.h"

/* What the writer knows of a slot. */
enum kb_slot_state {
	SLOT_FREE,
	SLOT_USED,
	SLOT_OLD,   /* used, found in an adopted table and not put again yet */
	SLOT_LIMBO, /* empty, but a reader may still be between its two loads */
};

enum limbo_kind { LIMBO_SLOT, LIMBO_REC, LIMBO_ICEPT, LIMBO_INDEX };

struct limbo_item {
	uint32_t kind;
	uint32_t gen;  /* LIMBO_SLOT, LIMBO_INDEX: the generation it belongs to */
	uint32_t what; /* slot, ref or intercept entry */
};

struct limbo {
	struct limbo_item *item; /* owned */
	size_t n, cap;
};

struct kb_table {
	struct kb_backing backing;
	struct kb_header *hdr; /* borrowed from the backing */
	uint64_t mem_max;

	/* The index of the current generation. */
	uint32_t gen, n, replicas;   /* n: buckets per replica */
	struct kb_bucket *index;     /* borrowed from the backing */
	struct kb_bucket *old_index; /* of the other generation, until its grace period is over */
	uint32_t old_buckets;
	uint8_t *slot;	 /* owned, enum kb_slot_state, n * 4 */
	uint32_t *check; /* owned, n * 4: another hash of the name, 0 if unknown */
	uint16_t *spill; /* owned, n: entries behind this bucket whose home is here or before */
	uint64_t check_key[2];

	struct kb_arena arena;
	struct limbo pending, waiting;
	bool grace_runs;

	uint8_t icept_limbo[KB_ICEPT_BUCKETS][KB_ICEPT_WAYS];
	uint16_t icept_ports[64]; /* entries by bit of hdr->icept_ports */
	uint32_t n_icept;
	uint8_t zone_flags[KB_VALUE_ZONE_MAX + 1];    /* as asked for, by id */
	uint32_t zone_refused[KB_VALUE_ZONE_MAX + 1]; /* names that could not be stored, by id */

	struct kb_table_stats stats;
};

/* Something that readers may still see goes here until a grace period is over. */
void kb_limbo_add(struct kb_table *t, enum limbo_kind kind, uint32_t gen, uint32_t what);
void kb_limbo_recycle(struct kb_table *t, struct limbo *limbo);

/* index.c */
int kb_index_init(struct kb_table *t, uint32_t gen, uint32_t n, struct kb_bucket *index);
int kb_index_grow(struct kb_table *t, uint32_t n);
int kb_index_adopt(struct kb_table *t);
void kb_index_fini(struct kb_table *t);

/* settings.c: makes a zone's flags in the header what is asked for and allowed. */
void kb_zone_publish(struct kb_table *t, uint8_t id);
/* settings.c: counts the intercepts of an adopted table. */
void kb_icept_adopt(struct kb_table *t);

#endif
