/* SPDX-License-Identifier: Apache-2.0 */
/* kbdnsctl workers: workers of other processes, as they and kbdnsd have written it into the rows of
 * kb_workers and kb_worker_stats. */
#include "control/daemon/daemon.h"
#include "control/daemon/rows.h"

#include <string.h>
#include <time.h>

static double seconds_since(uint64_t then_ns)
{
	struct timespec ts;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now_ns = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	/* Another process may have written it since. */
	return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

static void put_counts(struct kb_json_out *o, const struct kb_worker_counts *s)
{
	static const char *const names[KB_CNT_MAX] = {
#define NAME(id, name, help) [KB_CNT_##id] = name,
		KB_COUNTERS(NAME)
#undef NAME
	};
	uint64_t answered = 0, left = 0, dropped = 0;

	for (size_t i = 0; i < KB_CNT_MAX; i++) {
		uint64_t n = kb_read_once(s->counter[i]);

		answered += strncmp(names[i], "answered_", 9) ? 0 : n;
		left += strncmp(names[i], "left_", 5) ? 0 : n;
		dropped += strncmp(names[i], "dropped_", 8) ? 0 : n;
	}
	kb_json_put_u64(o, "bursts", kb_read_once(s->bursts));
	kb_json_put_u64(o, "frames", kb_read_once(s->frames));
	kb_json_put_u64(o, "answered", answered);
	kb_json_put_u64(o, "left", left);
	kb_json_put_u64(o, "dropped", dropped);
	kb_rows_put(o, KB_ROWS_KERNEL, &s->kernel);
}

static void put_worker(struct kb_json_out *o, const struct kb_worker_row *row, uint64_t number,
		       const struct kb_worker_counts *stats)
{
	uint64_t seen = kb_read_once(row->seen), mapped = kb_read_once(row->mapped);

	kb_json_out_open(o, '{');
	kb_json_put_str(o, "engine", kb_engine_names[KB_ENGINE_DPDK]);
	kb_json_put_u64(o, "pid", kb_read_once(row->pid));
	kb_json_put_u64(o, "ifindex", kb_read_once(row->ifindex));
	kb_json_put_u64(o, "queue", kb_read_once(row->queue));
	kb_json_put_bool(o, "gone", kb_read_once(row->gone) == number);
	kb_json_put_bool(o, "online", (seen & KB_WORKER_SAID_MASK) != KB_WORKER_OFFLINE);
	kb_json_put_u64(o, "generation", (uint32_t)mapped);
	kb_json_put_double(o, "silent_s", seconds_since(kb_read_once(row->beat_ns)));
	kb_json_put_double(o, "registered_s", seconds_since(kb_read_once(row->started_ns)));
	put_counts(o, stats);
	kb_json_out_close(o);
}

int kb_daemon_workers(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	const struct kb_workers *workers = kb_datapath_epochs(d->datapath)->shared;
	const struct kb_worker_counts *stats = kb_datapath_worker_counts(d->datapath);

	(void)argc;
	(void)argv;
	kb_json_put_open(&reply->out, "workers", '[');
	for (size_t i = KB_WORKERS_LOCAL; i < KB_WORKERS_MAX; i++) {
		const struct kb_worker_row *row = &workers->row[i];
		uint64_t owner = kb_read_once(row->owner);

		if (owner & KB_WORKER_TAKEN)
			put_worker(&reply->out, row, kb_worker_number_of(owner),
				   &stats[i - KB_WORKERS_LOCAL]);
	}
	kb_json_out_close(&reply->out);
	return 0;
}
