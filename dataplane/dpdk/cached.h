/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet-path cache (dataplane/core/pcache.h) in the DPDK engine: the queries of a burst that
 * the table has left for a reason for which the forwarder may have answered them go through phases
 * of their own behind all others:
 *
 *	take	which they are; both buckets of each are prefetched
 *	find	their values; records and use bytes are prefetched
 *	answer	one by one, into the scratch
 *
 * Grace periods are the table's: what a worker may look at while it is online is not written over
 * (dataplane/core/worker.h), and one that has been declared gone discards these replies with the
 * others.
 */
#ifndef KB_DPDK_CACHED_H
#define KB_DPDK_CACHED_H

#include "dataplane/dpdk/engine.h"

/* The core has just left `it` for the reason `why`, with its labels in e->scratch: taken, or is it
 * to be left for that reason? */
bool kb_dpdk_cached_take(struct kb_dpdk_engine *e, __u64 state, struct kb_burst_item *it, int why);

/* Of all that was taken; then they may be answered. */
void kb_dpdk_cached_find(struct kb_dpdk_engine *e, __u64 now_ns);

/* Builds the answer to e->cached.item[i] into e->scratch, whose q and msg are the query's. Returns
 * 0, or the counter that says why the packet is left. */
int kb_dpdk_cached_answer(struct kb_dpdk_engine *e, __u32 i);

#endif
