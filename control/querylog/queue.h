/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of events between threads; any number of them on either side. */
#ifndef KB_QUERYLOG_QUEUE_H
#define KB_QUERYLOG_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "dataplane/core/event.h"

struct kb_event_queue {
	pthread_mutex_t lock;
	struct kb_event *ring; /* owned */
	size_t first, n, size;
};

/* For `size` events. 0 or -ENOMEM; fini is fine after either. */
int kb_event_queue_init(struct kb_event_queue *q, size_t size);
void kb_event_queue_fini(struct kb_event_queue *q);
/* Puts a copy in and returns how many there are now; 0: no room. */
size_t kb_event_queue_put(struct kb_event_queue *q, const struct kb_event *e);
/* Takes up to `max` of the oldest out; how many. */
size_t kb_event_queue_take(struct kb_event_queue *q, struct kb_event *ret, size_t max);

#endif
