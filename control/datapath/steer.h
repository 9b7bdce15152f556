/* SPDX-License-Identifier: Apache-2.0 */
/* Queues that kbdns_xdp hands to workers, see dataplane/core/steer.h. Main thread. */
#ifndef KB_DATAPATH_STEER_H
#define KB_DATAPATH_STEER_H

#include "control/datapath/datapath.h"

/* Queries of queues with a worker that were answered or left in XDP all the same; those that were
 * handed over are counted as left_steered. */
struct kb_steer_stats {
	uint64_t absent; /* the worker's socket was gone, or not there yet */
	uint64_t silent; /* the worker had not polled for KB_STEER_SILENT_NS */
};

/* Since the maps were made. 0 or -errno. */
int kb_datapath_steer_stats(const struct kb_datapath *dp, struct kb_steer_stats *ret_stats);

#endif
