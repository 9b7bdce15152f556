// SPDX-License-Identifier: Apache-2.0
/* The ring into which tc and xdp put the query log's events. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "control/datapath/events.h"
#include "control/datapath/private.h"
#include "control/table/env.h"

struct kb_event_ring {
	struct ring_buffer *ring; /* owned */
	void (*fn)(void *arg, const struct kb_event *event);
	void *arg;
	bool discard;
};

static int on_event(void *ctx, void *data, size_t size)
{
	struct kb_event_ring *r = ctx;

	if (!r->discard && size >= sizeof(struct kb_event))
		r->fn(r->arg, data);
	return 0;
}

int kb_event_ring_open(const struct kb_datapath *dp,
		       void (*fn)(void *arg, const struct kb_event *event), void *arg,
		       struct kb_event_ring **ret_ring)
{
	struct kb_event_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fn = fn;
	r->arg = arg;
	r->ring = ring_buffer__new(dp->map_fd[KB_MAP_EVENTS], on_event, r, NULL);
	if (!r->ring) {
		free(r);
		return errno ? -errno : -EINVAL;
	}
	r->discard = true;
	ring_buffer__consume(r->ring);
	r->discard = false;
	*ret_ring = r;
	return 0;
}

int kb_event_ring_fd(const struct kb_event_ring *ring)
{
	return ring_buffer__epoll_fd(ring->ring);
}

int kb_event_ring_read(struct kb_event_ring *ring)
{
	return ring_buffer__consume(ring->ring);
}

void kb_event_ring_close(struct kb_event_ring *ring)
{
	if (!ring)
		return;
	ring_buffer__free(ring->ring);
	free(ring);
}

int kb_datapath_log_stats(const struct kb_datapath *dp, uint64_t *ret_events, uint64_t *ret_dropped)
{
	*ret_events = *ret_dropped = 0;
	for (uint32_t row = 0; row < KB_ENGINE_MAX; row++) {
		int r = kb_percpu_read(dp, row);

		if (r < 0)
			return r;
		for (unsigned int c = 0; c < dp->cpus; c++) {
			*ret_events += dp->percpu[c].log_events;
			*ret_dropped += dp->percpu[c].log_dropped;
		}
	}
	return 0;
}
