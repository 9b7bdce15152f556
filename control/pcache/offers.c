/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on their way to the main thread: made into records by the thread that has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/pcache/private.h"

int kb_pcache_queue_init(struct kb_pcache_queue *q)
{
	q->end = &q->first;
	return -pthread_mutex_init(&q->lock, NULL);
}

void kb_pcache_queue_fini(struct kb_pcache_queue *q)
{
	kb_pcache_items_free(q->first);
	pthread_mutex_destroy(&q->lock);
}

void kb_pcache_items_free(struct kb_pcache_item *item)
{
	struct kb_pcache_item *next;

	for (; item; item = next) {
		next = item->next;
		free(item);
	}
}

struct kb_pcache_item *kb_pcache_queue_take(struct kb_pcache_queue *q)
{
	struct kb_pcache_item *item;

	pthread_mutex_lock(&q->lock);
	item = q->first;
	q->first = NULL;
	q->end = &q->first;
	q->bytes = 0;
	pthread_mutex_unlock(&q->lock);
	return item;
}

/* The places of a record's parts, and its size; -EINVAL when it is none for us. */
static int shape(const struct kb_pcache_offer *o, struct kb_pcache_rec *ret, size_t *ret_size)
{
	size_t name_len = o->question_len - 4, body_at, ttls_at, end = KB_DNS_HDR + o->question_len;

	if (o->question_len < 5 || name_len > KB_NAME_MAX || o->msg_len < end ||
	    o->msg_len - end > KB_BODY_MAX || o->n_ttls > KB_PATCHES_MAX)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	memcpy(&ret->tail, o->question + name_len, 4);
	if (ret->tail >> 16 != 0x0100) /* IN */
		return -EINVAL;
	body_at = sizeof(*ret) + (name_len + 7) / 8 * 8;
	ttls_at = body_at + (o->msg_len - end + 7) / 8 * 8;
	ret->name_len = (uint8_t)name_len;
	ret->key_flags = (uint8_t)((o->cd ? KB_CD : 0) | (o->dnssec_ok ? KB_PCACHE_DO : 0));
	ret->flags2 = o->flags2 & KB_AA;
	ret->flags3 = o->flags3;
	ret->an = o->an;
	ret->ns = o->ns;
	ret->ar = o->ar;
	ret->len = (uint16_t)(o->msg_len - end);
	ret->n_ttls = (uint8_t)o->n_ttls;
	ret->body = (uint16_t)body_at;
	ret->ttls = (uint16_t)ttls_at;
	*ret_size = (ttls_at + 2U * o->n_ttls + 7) / 8 * 8;
	return 0;
}

/* The hash that readers compute; they cannot find a name with a zero byte in a label. */
static int name_hash(const struct kb_header *hdr, const uint8_t *name, size_t len,
		     uint64_t *ret_hash)
{
	_Alignas(8) uint8_t buf[KB_MSG_READ] = {0};
	struct kb_name_scan scan = {0};

	memcpy(buf, name, len);
	kb_name_scan(buf, 0, (uint32_t)len, &hdr->key, &scan);
	if (scan.len != len)
		return -EINVAL;
	*ret_hash = scan.hash;
	return 0;
}

/* As packets' sums are taken: little-endian words, folded. */
static uint16_t sum_of(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i + 2 <= len; i += 2)
		sum += kb_load16(p + i);
	if (i < len)
		sum += p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void fill(struct kb_pcache_item *item, const struct kb_pcache_rec *head,
		 const struct kb_pcache_offer *o)
{
	size_t end = KB_DNS_HDR + o->question_len;

	memset(item->rec, 0, item->size);
	memcpy(item->rec, head, sizeof(*head));
	((struct kb_pcache_rec *)item->rec)->sum = sum_of(o->msg + end, head->len);
	memcpy(item->rec + sizeof(*head), o->question, head->name_len);
	memcpy(item->rec + head->body, o->msg + end, head->len);
	for (unsigned int i = 0; i < o->n_ttls; i++)
		kb_store16(item->rec + head->ttls + 2 * (size_t)i, (uint16_t)(o->ttls[i] - end));
	item->next = NULL;
	item->stored_ms = o->stored_ms;
	item->refresh_ms = o->refresh_ms;
	item->expires_ms = o->expires_ms;
}

/* Takes the item over. Returns whether the main thread has to be told. */
static bool push(struct kb_pcache_queue *q, struct kb_pcache_item *item, size_t bytes)
{
	bool room, first;

	pthread_mutex_lock(&q->lock);
	room = item && q->bytes + bytes <= KB_PCACHE_QUEUE_MAX;
	first = q->bytes == 0;
	q->offers++;
	if (room) {
		*q->end = item;
		q->end = &item->next;
		q->bytes += bytes;
	} else {
		q->drops++;
	}
	pthread_mutex_unlock(&q->lock);
	if (!room)
		free(item);
	return room && first;
}

void kb_pcache_offer(struct kb_pcache *p, const struct kb_pcache_offer *offer)
{
	struct kb_pcache_item *item;
	struct kb_pcache_rec head;
	uint64_t hash;
	size_t size, bytes;

	if (!atomic_load_explicit(&p->on, memory_order_relaxed) || shape(offer, &head, &size) < 0 ||
	    name_hash(p->backing.header, offer->question, head.name_len, &hash) < 0)
		return;
	bytes = sizeof(*item) + size;
	item = malloc(bytes);
	if (item) {
		item->size = size;
		fill(item, &head, offer);
		item->tag = kb_pcache_tag(hash, head.tail, head.key_flags);
	}
	if (push(&p->queue, item, bytes))
		p->wake(p->arg);
}
