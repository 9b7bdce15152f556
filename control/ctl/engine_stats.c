/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/engine_stats.h"

#include <string.h>

const char *const kb_engine_names[KB_ENGINE_MAX] = {[KB_ENGINE_TC] = "tc",
						    [KB_ENGINE_XDP] = "xdp",
						    [KB_ENGINE_SOCKET] = "socket",
						    [KB_ENGINE_DPDK] = "dpdk"};

static const struct {
	const char *name, *help;
} rows[KB_CNT_MAX] = {
#define ROW(id, name, help) {name, help},
	KB_COUNTERS(ROW)
#undef ROW
};

const char *kb_counter_name(enum kb_counter id)
{
	return rows[id].name;
}

const char *kb_counter_help(enum kb_counter id)
{
	return rows[id].help;
}

void kb_engine_stats_put(struct kb_json_out *out, const struct kb_engine_stats *engines, size_t n,
			 const char *prefix)
{
	bool latency = false;

	kb_json_put_open(out, "engines", '{');
	for (size_t i = 0; i < n; i++) {
		kb_json_put_open(out, engines[i].engine, '{');
		for (int c = 0; c < KB_CNT_MAX; c++) {
			if (!prefix || strncmp(rows[c].name, prefix, strlen(prefix)) == 0)
				kb_json_put_u64(out, rows[c].name, engines[i].counters[c]);
		}
		kb_json_out_close(out);
		latency |= engines[i].has_latency;
	}
	kb_json_out_close(out);
	if (!latency || prefix)
		return;
	kb_json_put_open(out, "latency_ns", '{');
	for (size_t i = 0; i < n; i++) {
		if (!engines[i].has_latency)
			continue;
		kb_json_put_open(out, engines[i].engine, '[');
		for (int b = 0; b < KB_HIST_BUCKETS; b++)
			kb_json_out_u64(out, engines[i].latency[b]);
		kb_json_out_close(out);
	}
	kb_json_out_close(out);
}
