/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int kb_event_queue_init(struct kb_event_queue *q, size_t size)
{
	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	q->ring = calloc(size, sizeof(*q->ring));
	if (!q->ring)
		return -ENOMEM;
	q->size = size;
	return 0;
}

void kb_event_queue_fini(struct kb_event_queue *q)
{
	free(q->ring);
	q->ring = NULL;
	pthread_mutex_destroy(&q->lock);
}

/* The part of an event that has a meaning. */
static void copy(struct kb_event *to, const struct kb_event *from)
{
	memcpy(to, from, offsetof(struct kb_event, name) + from->name_len);
}

size_t kb_event_queue_put(struct kb_event_queue *q, const struct kb_event *e)
{
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	if (q->n < q->size) {
		copy(&q->ring[(q->first + q->n) % q->size], e);
		n = ++q->n;
	}
	pthread_mutex_unlock(&q->lock);
	return n;
}

size_t kb_event_queue_take(struct kb_event_queue *q, struct kb_event *ret, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	for (; n < max && q->n; n++) {
		copy(&ret[n], &q->ring[q->first]);
		q->first = (q->first + 1) % q->size;
		q->n--;
	}
	pthread_mutex_unlock(&q->lock);
	return n;
}
