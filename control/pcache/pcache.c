// SPDX-License-Identifier: Apache-2.0
#include "control/pcache/pcache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/pcache/private.h"

#define HAND_STEPS 256 /* records that one eviction looks at */
#define EVICT_TURN 512 /* evictions of one turn of the main loop */
#define NO_SLOT	   UINT32_MAX

/* A bucket for every four cells: as many slots as there can be records. */
void kb_pcache_size(uint64_t bytes, struct kb_pcache_size *ret_size)
{
	const uint32_t buckets = KB_PCACHE_PAGE_CELLS / 4;
	uint64_t page =
		sizeof(struct kb_page) + buckets * sizeof(struct kb_bucket) + KB_PCACHE_PAGE_CELLS;
	uint64_t n = bytes / page;

	n = n < 1 ? 1 : n > KB_PAGES_MAX ? KB_PAGES_MAX : n;
	ret_size->pages = (uint32_t)n;
	ret_size->buckets = (uint32_t)n * buckets;
}

/* --- epochs --------------------------------------------------------------------------------- */

static void new_epoch(struct kb_pcache *p)
{
	struct kb_header *hdr = p->backing.header;

	p->epoch = hdr->pcache_last + 1;
	kb_write_once(hdr->pcache_last, p->epoch);
	__atomic_store_n(&hdr->pcache_epoch, atomic_load(&p->on) ? p->epoch : 0, __ATOMIC_RELEASE);
}

/* --- limbo ---------------------------------------------------------------------------------- */

static void limbo_add(struct kb_pcache *p, uint32_t cell)
{
	struct kb_cell *c = &p->blocks.cell[cell];

	c->state = CELL_LIMBO;
	c->next = p->pending;
	p->pending = cell;
	p->n_limbo += 1U << c->order;
}

bool kb_pcache_grace_begin(struct kb_pcache *p)
{
	if (p->grace || p->pending == NO_CELL)
		return false;
	p->waiting = p->pending;
	p->pending = NO_CELL;
	p->grace = true;
	return true;
}

void kb_pcache_grace_end(struct kb_pcache *p)
{
	uint32_t cell, next;

	for (cell = p->waiting; cell != NO_CELL; cell = next) {
		struct kb_cell *c = &p->blocks.cell[cell];

		next = c->next;
		p->n_limbo -= 1U << c->order;
		kb_blocks_give(&p->blocks, cell);
	}
	p->waiting = NO_CELL;
	p->grace = false;
}

/* --- entries -------------------------------------------------------------------------------- */

static struct kb_slot *slot_at(const struct kb_pcache *p, uint32_t slot)
{
	return &p->backing.index[slot / KB_BUCKET_SLOTS].slot[slot % KB_BUCKET_SLOTS];
}

static void queue_add(struct kb_pcache *p, uint32_t cell, uint32_t slot)
{
	struct kb_cell *c = &p->blocks.cell[cell];

	c->slot = slot;
	c->next = NO_CELL;
	c->prev = p->newest;
	*(p->newest != NO_CELL ? &p->blocks.cell[p->newest].next : &p->oldest) = cell;
	p->newest = cell;
	p->stats.entries++;
}

static void queue_remove(struct kb_pcache *p, uint32_t cell)
{
	struct kb_cell *c = &p->blocks.cell[cell];

	if (p->hand == cell)
		p->hand = c->next;
	*(c->next != NO_CELL ? &p->blocks.cell[c->next].prev : &p->newest) = c->prev;
	*(c->prev != NO_CELL ? &p->blocks.cell[c->prev].next : &p->oldest) = c->next;
	p->stats.entries--;
}

static void entry_remove(struct kb_pcache *p, uint32_t cell)
{
	struct kb_slot *slot = slot_at(p, p->blocks.cell[cell].slot);

	__atomic_store_n(&slot->value, 0, __ATOMIC_RELEASE);
	kb_write_once(slot->tag, 0);
	queue_remove(p, cell);
	limbo_add(p, cell);
}

static uint64_t jiffies_at(const struct kb_pcache *p, uint64_t ms)
{
	uint64_t hz = p->backing.header->hz;

	/* Rounded towards the past. */
	if (ms >= p->beat_ms)
		return p->beat_jiffies + (ms - p->beat_ms) * hz / 1000;
	return p->beat_jiffies - ((p->beat_ms - ms) * hz + 999) / 1000;
}

static uint64_t jiffies_now(const struct kb_pcache *p)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return jiffies_at(p, (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static bool is_expired(const struct kb_pcache *p, uint32_t cell, uint64_t now)
{
	const struct kb_pcache_rec *rec = kb_pcache_rec_at(p, cell);

	return now - rec->stored >= rec->expires;
}

static void evict(struct kb_pcache *p, uint32_t cell, uint64_t now)
{
	++*(is_expired(p, cell, now) ? &p->stats.expired : &p->stats.evictions);
	entry_remove(p, cell);
}

/* SIEVE's hand; NO_CELL when there is nothing. */
static uint32_t choose(struct kb_pcache *p, uint64_t now)
{
	uint32_t cell = p->hand != NO_CELL ? p->hand : p->oldest;

	for (unsigned int i = 0; i < HAND_STEPS && cell != NO_CELL && !is_expired(p, cell, now);
	     i++) {
		uint8_t *use = kb_pcache_use_at(p, cell), u = kb_read_once(*use);

		if (!(u & KB_PCACHE_VISITED))
			break;
		kb_write_once(*use, (uint8_t)(u & ~KB_PCACHE_VISITED));
		cell = p->blocks.cell[cell].next;
		if (cell == NO_CELL)
			cell = p->oldest;
	}
	p->hand = cell;
	return cell;
}

/* Whatever lies in the block of 1 << order cells around the next one to go goes with it. */
static void evict_around(struct kb_pcache *p, unsigned int order, uint64_t now)
{
	uint32_t cell = choose(p, now), at;

	if (cell == NO_CELL)
		return;
	at = cell & ~((1U << order) - 1);
	evict(p, cell, now);
	for (uint32_t i = at; i < at + (1U << order); i++) {
		if (p->blocks.cell[i].state == CELL_USED)
			evict(p, i, now);
	}
}

/* The entry of this question, NO_CELL if there is none. */
static uint32_t find(const struct kb_pcache *p, uint64_t tag, const struct kb_pcache_rec *like)
{
	for (int k = 0; k < 2; k++) {
		uint32_t b = kb_pcache_place(tag, p->backing.size.buckets, k);

		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			const struct kb_slot *s = &p->backing.index[b].slot[i];
			const struct kb_pcache_rec *rec;

			if (!s->value || s->tag != tag)
				continue;
			rec = kb_pcache_rec_at(p, (uint32_t)s->value - 1);
			if (rec->tail == like->tail && rec->key_flags == like->key_flags &&
			    rec->name_len == like->name_len &&
			    memcmp(rec->name, like->name, like->name_len) == 0)
				return (uint32_t)s->value - 1;
		}
	}
	return NO_CELL;
}

/* A slot for a tag, made free if there is none. */
static uint32_t find_slot(struct kb_pcache *p, uint64_t tag, uint64_t now)
{
	uint32_t worst = NO_SLOT, worst_rank = UINT32_MAX;

	for (int k = 0; k < 2; k++) {
		uint32_t b = kb_pcache_place(tag, p->backing.size.buckets, k);

		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			uint32_t slot = b * KB_BUCKET_SLOTS + i, cell, rank;
			uint64_t value = slot_at(p, slot)->value;

			if (!value)
				return slot;
			cell = (uint32_t)value - 1;
			rank = is_expired(p, cell, now) ? 0 : 1U + *kb_pcache_use_at(p, cell);
			if (rank < worst_rank) {
				worst = slot;
				worst_rank = rank;
			}
		}
	}
	evict(p, (uint32_t)slot_at(p, worst)->value - 1, now);
	return worst;
}

/* Fills in what depends on the clock. False if nothing of its life is left. */
static bool set_times(const struct kb_pcache *p, struct kb_pcache_rec *rec,
		      const struct kb_pcache_item *item, uint64_t now)
{
	uint64_t hz = p->backing.header->hz, life = item->expires_ms - item->stored_ms;
	uint64_t expires = life * hz / 1000, refresh = UINT32_MAX;

	rec->epoch = p->epoch;
	rec->stored = jiffies_at(p, item->stored_ms) - KB_PCACHE_TICKS;
	if (expires > UINT32_MAX - 1)
		expires = UINT32_MAX - 1;
	/* Not before the forwarder thinks so too, for then it would not ask. */
	if (item->refresh_ms < item->expires_ms)
		refresh = (item->refresh_ms - item->stored_ms) * hz / 1000 + 2 * KB_PCACHE_TICKS;
	rec->expires = (uint32_t)expires;
	rec->refresh = refresh < expires ? (uint32_t)refresh : UINT32_MAX;
	return now - rec->stored < rec->expires;
}

static void publish(struct kb_pcache *p, uint32_t cell, const struct kb_pcache_item *item,
		    uint32_t slot)
{
	struct kb_slot *s = slot_at(p, slot);

	kb_write_once(*kb_pcache_use_at(p, cell), 0);
	kb_write_once(s->tag, item->tag);
	/* The record's bytes come before it. */
	__atomic_store_n(&s->value, (uint64_t)cell + 1, __ATOMIC_RELEASE);
	queue_add(p, cell, slot);
	p->stats.insertions++;
}

static void insert(struct kb_pcache *p, struct kb_pcache_item *item, uint64_t now)
{
	struct kb_pcache_rec *rec = (struct kb_pcache_rec *)item->rec;
	unsigned int order = kb_blocks_order(item->size);
	uint32_t old = find(p, item->tag, rec), cell, slot;

	if (!set_times(p, rec, item, now))
		return;
	/* The same answer, offered twice. */
	if (old != NO_CELL && kb_pcache_rec_at(p, old)->stored >= rec->stored)
		return;
	cell = kb_blocks_take(&p->blocks, order);
	if (cell == NO_CELL) {
		p->stats.drops_room++;
		/* Unless what will soon be free is enough: then it is but in many pieces. */
		if (p->n_limbo < p->blocks.n / KB_PCACHE_RESERVE)
			evict_around(p, order, now);
		return;
	}
	memcpy(kb_pcache_rec_at(p, cell), rec, item->size);
	if (old != NO_CELL) {
		slot = p->blocks.cell[old].slot;
		queue_remove(p, old);
		publish(p, cell, item, slot);
		limbo_add(p, old);
		p->stats.replacements++;
		return;
	}
	slot = find_slot(p, item->tag, now);
	publish(p, cell, item, slot);
}

bool kb_pcache_turn(struct kb_pcache *p)
{
	struct kb_pcache_item *items = kb_pcache_queue_take(&p->queue);
	uint32_t reserve = p->blocks.n / KB_PCACHE_RESERVE;
	uint64_t now = jiffies_now(p);

	if (atomic_load(&p->on)) {
		for (struct kb_pcache_item *i = items; i; i = i->next)
			insert(p, i, now);
	}
	kb_pcache_items_free(items);
	for (unsigned int i = 0; p->blocks.n_free + p->n_limbo < reserve; i++) {
		uint32_t cell = i < EVICT_TURN ? choose(p, now) : NO_CELL;

		if (cell == NO_CELL)
			return i == EVICT_TURN;
		evict(p, cell, now);
	}
	return false;
}

/* --- the whole ------------------------------------------------------------------------------ */

static void remove_all(struct kb_pcache *p)
{
	while (p->oldest != NO_CELL) {
		p->stats.voided++;
		entry_remove(p, p->oldest);
	}
	kb_pcache_items_free(kb_pcache_queue_take(&p->queue));
}

void kb_pcache_void(struct kb_pcache *p)
{
	new_epoch(p);
	remove_all(p);
}

void kb_pcache_switch(struct kb_pcache *p, bool on)
{
	if (atomic_load(&p->on) == on)
		return;
	atomic_store(&p->on, on);
	kb_pcache_void(p);
}

void kb_pcache_clock(struct kb_pcache *p, uint64_t now_ms, uint64_t jiffies, uint32_t hz)
{
	struct kb_header *hdr = p->backing.header;

	kb_write_once(hdr->jiffies_base, jiffies - now_ms * hz / 1000);
	__atomic_store_n(&hdr->hz, hz, __ATOMIC_RELEASE);
	p->beat_ms = now_ms;
	p->beat_jiffies = jiffies;
}

/* An adopted index: entries of other epochs. What readers may still look at in the arena is only
 * written over after a grace period, as if all of it had just been used. */
static void clear(struct kb_pcache *p)
{
	struct kb_bucket *index = p->backing.index;
	uint32_t cell;

	for (uint32_t b = 0; b < p->backing.size.buckets; b++) {
		for (uint32_t i = 0; i < KB_BUCKET_SLOTS; i++) {
			if (index[b].slot[i].value)
				kb_write_once(index[b].slot[i].value, 0);
		}
	}
	while ((cell = kb_blocks_take(&p->blocks, KB_PCACHE_ORDERS - 1)) != NO_CELL)
		limbo_add(p, cell);
}

int kb_pcache_new(const struct kb_pcache_backing *backing, void (*wake)(void *arg), void *arg,
		  struct kb_pcache **ret_pcache)
{
	struct kb_pcache *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = kb_pcache_queue_init(&p->queue);
	if (r < 0) {
		free(p);
		return r;
	}
	p->backing = *backing;
	p->wake = wake;
	p->arg = arg;
	p->newest = p->oldest = p->hand = p->pending = p->waiting = NO_CELL;
	r = kb_blocks_init(&p->blocks, backing->size.pages);
	if (r < 0) {
		kb_pcache_queue_fini(&p->queue);
		free(p);
		return r;
	}
	/* Until the first beat no time is known. */
	kb_write_once(backing->header->hz, 0);
	new_epoch(p);
	kb_write_once(backing->header->pcache_buckets, backing->size.buckets);
	clear(p);
	*ret_pcache = p;
	return 0;
}

void kb_pcache_free(struct kb_pcache *p)
{
	if (!p)
		return;
	kb_pcache_queue_fini(&p->queue);
	kb_blocks_fini(&p->blocks);
	free(p);
}

void kb_pcache_stats(const struct kb_pcache *p, struct kb_pcache_stats *ret_stats)
{
	struct kb_pcache_queue *q = (struct kb_pcache_queue *)(uintptr_t)&p->queue;
	const struct kb_pcache_size *size = &p->backing.size;
	uint64_t fixed = (uint64_t)size->buckets * sizeof(struct kb_bucket) + p->blocks.n;

	*ret_stats = p->stats;
	ret_stats->on = atomic_load(&p->on);
	ret_stats->bytes = fixed + (uint64_t)(p->blocks.n - p->blocks.n_free) * KB_PCACHE_CELL;
	ret_stats->bytes_max = fixed + (uint64_t)size->pages * sizeof(struct kb_page);
	ret_stats->limbo = p->n_limbo;
	pthread_mutex_lock(&q->lock);
	ret_stats->offers = q->offers;
	ret_stats->drops_queue = q->drops;
	pthread_mutex_unlock(&q->lock);
}

const struct kb_pcache_rec *kb_pcache_peek(const struct kb_pcache *p, const uint8_t *name,
					   size_t len, uint16_t qtype, uint8_t key_flags,
					   uint32_t *ret_left_s)
{
	_Alignas(8) uint8_t buf[sizeof(struct kb_pcache_rec) + KB_MSG_READ] = {0};
	struct kb_pcache_rec *like = (struct kb_pcache_rec *)buf;
	const struct kb_pcache_rec *rec;
	struct kb_name_scan scan = {0};
	uint64_t now = jiffies_now(p), age;
	uint32_t cell, hz = p->backing.header->hz;

	if (len > KB_NAME_MAX || !hz)
		return NULL;
	memcpy(like->name, name, len);
	like->name_len = (uint8_t)len;
	like->tail = 0x01000000U | kb_swap16(qtype);
	like->key_flags = key_flags;
	kb_name_scan((const uint8_t *)like->name, 0, (uint32_t)len, &p->backing.header->key, &scan);
	if (scan.len != len)
		return NULL;
	cell = find(p, kb_pcache_tag(scan.hash, like->tail, key_flags), like);
	if (cell == NO_CELL || is_expired(p, cell, now))
		return NULL;
	rec = kb_pcache_rec_at(p, cell);
	age = now - rec->stored;
	*ret_left_s = (uint32_t)((rec->expires - age) / hz);
	return rec;
}
