/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counts that parts of the daemon give, a row each: its key in the control protocol, from
 * which kbdnsctl also makes its text, and its metric. A count is shown by having a row.
 */
#ifndef KB_DAEMON_ROWS_H
#define KB_DAEMON_ROWS_H

#include "control/ctl/json_out.h"
#include "control/http/metrics.h"

enum kb_rows {
	KB_ROWS_OBJECTS,  /* struct kb_records_stats */
	KB_ROWS_TABLE,	  /* struct kb_table_stats */
	KB_ROWS_WORKERS,  /* struct kb_epochs_stats */
	KB_ROWS_KERNEL,	  /* struct kb_kernel_counts */
	KB_ROWS_STEER,	  /* struct kb_steer_stats */
	KB_ROWS_SOURCE,	  /* struct kb_source_kind_status */
	KB_ROWS_SOCKETS,  /* struct kb_server_stats */
	KB_ROWS_RULES,	  /* struct kb_rules_stats */
	KB_ROWS_FORWARD,  /* struct kb_forward_stats */
	KB_ROWS_UPSTREAM, /* struct kb_upstream_stats */
	KB_ROWS_CACHE,	  /* struct kb_cache_stats */
	KB_ROWS_QUERYLOG, /* struct kb_querylog_stats */
	KB_ROWS_KUBE_DNS, /* struct kb_rules_stats */
	KB_ROWS_PCACHE,	  /* struct kb_pcache_stats */
	KB_ROWS_LOOPS,	  /* struct kb_loops_stats */
	KB_ROWS_PODS,	  /* struct kb_pods_stats */
	KB_ROWS_LOCAL,	  /* struct kb_local_counts */
	KB_ROWS_MAX,
};

/* Every row as a member of the open object; `stats` is the struct named above. */
void kb_rows_put(struct kb_json_out *o, enum kb_rows which, const void *stats);

/* Every row as a metric of n series, one for each of `stats`; they are told apart by a label
 * and its n values, NULL for a single one. */
void kb_rows_export(struct kb_metrics *m, enum kb_rows which, const void *const *stats, size_t n,
		    const char *label, const char *const *values);

#endif
