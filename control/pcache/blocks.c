/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buddies: a block of 1 << order cells begins at a multiple of its size, and is free, used, or in
 * limbo. Of two halves that are free the whole is made, so that nothing crumbles for good. What is
 * known of a block stands at its first cell, in memory of the writer's own.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "control/pcache/private.h"

static void link_free(struct kb_blocks *b, uint32_t cell, unsigned int order)
{
	struct kb_cell *c = &b->cell[cell];
	uint32_t head = b->free[order];

	c->state = CELL_FREE;
	c->order = (uint8_t)order;
	c->next = head;
	c->prev = NO_CELL;
	if (head != NO_CELL)
		b->cell[head].prev = cell;
	b->free[order] = cell;
}

static void unlink_free(struct kb_blocks *b, uint32_t cell)
{
	struct kb_cell *c = &b->cell[cell];

	if (c->next != NO_CELL)
		b->cell[c->next].prev = c->prev;
	*(c->prev != NO_CELL ? &b->cell[c->prev].next : &b->free[c->order]) = c->next;
	c->state = CELL_INNER;
}

int kb_blocks_init(struct kb_blocks *b, uint32_t pages)
{
	b->n = pages * KB_PCACHE_PAGE_CELLS;
	b->cell = calloc(b->n, sizeof(*b->cell));
	if (!b->cell)
		return -ENOMEM;
	for (size_t i = 0; i < KB_PCACHE_ORDERS; i++)
		b->free[i] = NO_CELL;
	/* The first is used first. */
	for (uint32_t at = b->n; at; at -= KB_PCACHE_CELLS_MAX)
		link_free(b, at - KB_PCACHE_CELLS_MAX, KB_PCACHE_ORDERS - 1);
	b->n_free = b->n;
	return 0;
}

void kb_blocks_fini(struct kb_blocks *b)
{
	free(b->cell);
	b->cell = NULL;
}

unsigned int kb_blocks_order(size_t size)
{
	unsigned int order = 0;

	while ((size_t)KB_PCACHE_CELL << order < size)
		order++;
	return order;
}

uint32_t kb_blocks_take(struct kb_blocks *b, unsigned int order)
{
	unsigned int o = order;
	uint32_t cell;

	while (o < KB_PCACHE_ORDERS && b->free[o] == NO_CELL)
		o++;
	if (o >= KB_PCACHE_ORDERS)
		return NO_CELL;
	cell = b->free[o];
	unlink_free(b, cell);
	while (o-- > order)
		link_free(b, cell + (1U << o), o);
	b->cell[cell].state = CELL_USED;
	b->cell[cell].order = (uint8_t)order;
	b->n_free -= 1U << order;
	return cell;
}

void kb_blocks_give(struct kb_blocks *b, uint32_t cell)
{
	unsigned int order = b->cell[cell].order;

	assert(b->cell[cell].state != CELL_FREE && b->cell[cell].state != CELL_INNER);
	b->n_free += 1U << order;
	for (; order < KB_PCACHE_ORDERS - 1; order++) {
		uint32_t buddy = cell ^ 1U << order;

		if (b->cell[buddy].state != CELL_FREE || b->cell[buddy].order != order)
			break;
		unlink_free(b, buddy);
		b->cell[cell].state = CELL_INNER;
		cell &= ~(1U << order);
	}
	link_free(b, cell, order);
}
