/* SPDX-License-Identifier: Apache-2.0 */
/* kbdnsctl workers: workers of other processes, as they and kbdnsd have written it into the rows of
 * kb_workers and kb_worker_stats; and what kbdnsd asks of them. */
#include "control/daemon/daemon.h"
#include "control/daemon/rows.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "control/config/parse.h"

static double seconds_since(uint64_t then_ns)
{
	struct timespec ts;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now_ns = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	/* Another process may have written it since. */
	return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

/* A word of another process as one of n names. */
static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n && names[i] ? names[i] : "unknown";
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

/* null: of nothing. */
static void put_ratio(struct kb_json_out *o, const char *key, uint64_t part, uint64_t whole)
{
	if (whole)
		kb_json_put_double(o, key, (double)part / (double)whole);
	else
		kb_json_put_null(o, key);
}

static void put_time(struct kb_json_out *o, const struct kb_worker_counts *s)
{
	static const char *const phases[KB_PHASE_MAX] = {
		[KB_PHASE_RECEIVE] = "receive", [KB_PHASE_HEADERS] = "headers",
		[KB_PHASE_HASH] = "hash",	[KB_PHASE_QUESTION] = "question",
		[KB_PHASE_LOOKUP] = "lookup",	[KB_PHASE_ANSWER] = "answer",
		[KB_PHASE_SEND] = "send"};
	uint64_t busy = kb_read_once(s->busy), idle = kb_read_once(s->idle);
	uint64_t timed = kb_read_once(s->timed), all = 0;

	put_ratio(o, "frames_per_burst", kb_read_once(s->frames), kb_read_once(s->bursts));
	put_ratio(o, "idle_share", idle, busy + idle);
	kb_json_put_u64(o, "tsc_hz", kb_read_once(s->says.tsc_hz));
	kb_json_put_open(o, "cycles", '{');
	for (size_t i = 0; i < KB_PHASE_MAX; i++) {
		uint64_t cycles = kb_read_once(s->cycles[i]);

		put_ratio(o, phases[i], cycles, timed);
		all += cycles;
	}
	put_ratio(o, "all", all, timed);
	kb_json_out_close(o);
}

static void put_says(struct kb_json_out *o, const struct kb_worker_says *s)
{
	static const char *const states[] = {[KB_WORKER_SERVING] = "serving",
					     [KB_WORKER_DRAINING] = "draining",
					     [KB_WORKER_DRAINED] = "drained"};
	static const char *const waits[KB_WAIT_MAX] = {[KB_WAIT_POLL] = "poll",
						       [KB_WAIT_PAUSE] = "pause",
						       [KB_WAIT_TPAUSE] = "tpause",
						       [KB_WAIT_SLEEP] = "sleep",
						       [KB_WAIT_INTERRUPT] = "interrupt"};
	static const char *const policies[KB_IDLE_MAX] = {[KB_IDLE_BUSY] = "busy",
							  [KB_IDLE_PAUSE] = "pause",
							  [KB_IDLE_INTERRUPT] = "interrupt"};
	char port[sizeof(s->port)];

	memcpy(port, s->port, sizeof(port) - 1);
	port[sizeof(port) - 1] = '\0';
	kb_json_put_str(o, "port", port);
	kb_json_put_str(o, "state",
			name_of(states, sizeof(states) / sizeof(*states), kb_read_once(s->state)));
	kb_json_put_str(o, "link", kb_read_once(s->link_down) ? "down" : "up");
	kb_json_put_str(o, "idle", name_of(policies, KB_IDLE_MAX, kb_read_once(s->tune.idle)));
	kb_json_put_str(o, "wait", name_of(waits, KB_WAIT_MAX, kb_read_once(s->wait)));
	kb_json_put_u64(o, "sleep_us", kb_read_once(s->tune.sleep_us));
	kb_json_put_u64(o, "burst", kb_read_once(s->tune.burst));
	kb_json_put_u64(o, "ahead", kb_read_once(s->tune.ahead));
}

static void put_worker(struct kb_json_out *o, size_t i, const struct kb_worker_row *row,
		       uint64_t number, const struct kb_worker_counts *stats)
{
	uint64_t seen = kb_read_once(row->seen), mapped = kb_read_once(row->mapped);

	kb_json_out_open(o, '{');
	kb_json_put_u64(o, "row", i);
	kb_json_put_str(o, "engine", kb_engine_names[KB_ENGINE_DPDK]);
	kb_json_put_u64(o, "pid", kb_read_once(row->pid));
	kb_json_put_u64(o, "ifindex", kb_read_once(row->ifindex));
	kb_json_put_u64(o, "queue", kb_read_once(row->queue));
	put_says(o, &stats->says);
	kb_json_put_bool(o, "gone", kb_read_once(row->gone) == number);
	kb_json_put_bool(o, "online", (seen & KB_WORKER_SAID_MASK) != KB_WORKER_OFFLINE);
	kb_json_put_u64(o, "generation", (uint32_t)mapped);
	kb_json_put_double(o, "silent_s", seconds_since(kb_read_once(row->beat_ns)));
	kb_json_put_double(o, "registered_s", seconds_since(kb_read_once(row->started_ns)));
	put_counts(o, stats);
	kb_json_put_u64(o, "discarded", kb_read_once(row->discarded));
	put_time(o, stats);
	kb_json_out_close(o);
}

static int ask(struct kb_daemon *d, const char *what, const char *which, struct kb_ctl_reply *reply)
{
	static const char *const words[] = {[KB_WORKER_ASK_SERVE] = "resume",
					    [KB_WORKER_ASK_DRAIN] = "drain",
					    [KB_WORKER_ASK_STOP] = "stop"};
	struct kb_epochs *epochs = kb_datapath_epochs(d->datapath);
	bool all = strcmp(which, "all") == 0;
	uint32_t word = KB_WORKER_ASK_SERVE, asked = 0;
	uint64_t row = 0;

	while (word <= KB_WORKER_ASK_STOP && strcmp(words[word], what) != 0)
		word++;
	if (word > KB_WORKER_ASK_STOP)
		return kb_ctl_fail(reply, -EINVAL, "workers takes drain, resume or stop, not %.64s",
				   what);
	if (!all && kb_parse_u64(which, 0, KB_WORKER_STATS_MAX - 1, &row) < 0)
		return kb_ctl_fail(reply, -EINVAL,
				   "%.64s: no row of a worker: give all, or a number that "
				   "kbdnsctl workers shows",
				   which);
	for (uint32_t i = 0; i < KB_WORKER_STATS_MAX; i++) {
		if ((all || i == row) &&
		    kb_epochs_ask(epochs, KB_WORKERS_LOCAL + i, (enum kb_worker_ask)word) == 0)
			asked++;
	}
	if (!asked)
		return kb_ctl_fail(reply, -ENOENT,
				   "%s: no worker is there, kbdnsctl workers lists them", which);
	kb_json_put_u64(&reply->out, "asked", asked);
	return 0;
}

int kb_daemon_workers(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	const struct kb_workers *workers = kb_datapath_epochs(d->datapath)->shared;
	const struct kb_worker_counts *stats = kb_datapath_worker_counts(d->datapath);

	if (argc == 2)
		return kb_ctl_fail(reply, -EINVAL, "workers %.64s: which one? give its row, or all",
				   argv[1]);
	if (argc == 3)
		return ask(d, argv[1], argv[2], reply);
	kb_json_put_open(&reply->out, "workers", '[');
	for (size_t i = 0; i < KB_WORKER_STATS_MAX; i++) {
		const struct kb_worker_row *row = &workers->row[KB_WORKERS_LOCAL + i];
		uint64_t owner = kb_read_once(row->owner);

		if (owner & KB_WORKER_TAKEN)
			put_worker(&reply->out, i, row, kb_worker_number_of(owner), &stats[i]);
	}
	kb_json_out_close(&reply->out);
	return 0;
}
