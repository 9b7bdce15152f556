/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One engine's counters, summed over CPUs or workers: what /metrics and
 * `kbdnsctl stats` show of it.
 */
#ifndef KB_CTL_ENGINE_STATS_H
#define KB_CTL_ENGINE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ctl/json_out.h"
#include "dataplane/core/counters.h"

struct kb_engine_stats {
	const char *engine; /* its name; borrowed */
	uint64_t counters[KB_CNT_MAX];
	bool has_latency;
	uint64_t latency[KB_HIST_BUCKETS];
};

/* "tc", "xdp", "socket"; by enum kb_engine. */
extern const char *const kb_engine_names[KB_ENGINE_MAX];

/* A counter's name and help, as in KB_COUNTERS. */
const char *kb_counter_name(enum kb_counter id);
const char *kb_counter_help(enum kb_counter id);

/* The members "engines" and "latency_ns" of the stats reply. `prefix`: counters whose
 * names begin with it, NULL for all. */
void kb_engine_stats_put(struct kb_json_out *out, const struct kb_engine_stats *engines, size_t n,
			 const char *prefix);

#endif
