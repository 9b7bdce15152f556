/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the ring kb_events, into which tc and xdp put the query log's events
 * (dataplane/core/event.h). One reader at a time: the place up to which it has read is the
 * map's. Any one thread; the datapath has to stay open meanwhile.
 */
#ifndef KB_DATAPATH_EVENTS_H
#define KB_DATAPATH_EVENTS_H

#include "control/datapath/datapath.h"
#include "dataplane/core/event.h"

struct kb_event_ring;

/* What lies in the ring from earlier is thrown away. `fn` is called by kb_event_ring_read for
 * each event, which is borrowed for the call. 0 or -errno. */
int kb_event_ring_open(const struct kb_datapath *dp,
		       void (*fn)(void *arg, const struct kb_event *event), void *arg,
		       struct kb_event_ring **ret_ring);
/* Becomes readable when the ring has filled to a quarter; with fewer events it does not, so look
 * now and then. Borrowed. */
int kb_event_ring_fd(const struct kb_event_ring *ring);
/* Hands over all there is, without waiting. Their number, or -errno. */
int kb_event_ring_read(struct kb_event_ring *ring);
void kb_event_ring_close(struct kb_event_ring *ring);

/* Events that the programs have put into the ring, and those that found it full; since the maps
 * were made. Main thread. 0 or -errno. */
int kb_datapath_log_stats(const struct kb_datapath *dp, uint64_t *ret_events,
			  uint64_t *ret_dropped);

#endif
