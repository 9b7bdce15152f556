/* SPDX-License-Identifier: Apache-2.0 */
/* The query log as options and tunables want it, and kbdnsctl trace. */
#include "control/querylog/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon/daemon.h"
#include "control/querylog/format.h"

#define TRACE_PAUSE_MS 50 /* between two looks for events */

int kb_daemon_querylog_apply(struct kb_daemon *d, char *err, size_t err_size)
{
	static const uint32_t classes[] = {
		[KB_QUERY_LOG_ALL] = KB_EVENT_REPLIES,	 [KB_QUERY_LOG_SUCCESS] = KB_EVENT_SUCCESS,
		[KB_QUERY_LOG_DENIAL] = KB_EVENT_DENIAL, [KB_QUERY_LOG_ERROR] = KB_EVENT_ERROR,
		[KB_QUERY_LOG_LEFT] = KB_EVENT_LEFT,
	};
	const struct kb_options *o = &d->options;
	struct kb_querylog_settings s = {
		.path = strcmp(o->query_log, "off") == 0 ? NULL : o->query_log,
		.json = o->query_log_format == KB_QUERY_LOG_JSON,
		.every = (uint32_t)o->query_log_sample,
		.classes = classes[o->query_log_class],
	};

	return kb_querylog_set(d->querylog, &s, err, err_size);
}

/* One trace's stream. */
struct tracing {
	struct kb_daemon *d;	/* borrowed */
	struct kb_trace *trace; /* owned */
	uint64_t end_ms;
	bool told; /* what was lost */
};

static int tracing_next(void *state, struct kb_json_out *out)
{
	struct tracing *t = state;
	char line[KB_EVENT_LINE_MAX];
	struct kb_event e;
	int64_t offset;
	uint64_t lost;

	if (kb_trace_next(t->trace, &e)) {
		offset = kb_event_wall_offset();
		kb_event_json(&e, offset, out);
		kb_json_out_key(out, "line");
		kb_json_out_strn(out, line, kb_event_line(&e, offset, line) - 1);
		return 1;
	}
	if (uv_now(t->d->loop) < t->end_ms)
		return -EAGAIN;
	lost = kb_trace_dropped(t->trace);
	if (!lost || t->told)
		return 0;
	kb_json_put_u64(out, "dropped", lost);
	t->told = true;
	return 1;
}

static void tracing_free(void *state)
{
	struct tracing *t = state;

	kb_trace_free(t->trace);
	free(t);
}

int kb_daemon_trace(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	struct kb_trace_filter filter = {0};
	struct tracing *t;
	uint64_t for_s;
	int r = kb_parse_seconds(argv[1], 1, 86400, &for_s);

	if (r < 0)
		return kb_ctl_fail(reply, -EINVAL, "trace takes seconds, up to a day");
	for (int i = 2; r == 0 && i < argc; i++)
		r = kb_trace_filter_word(&filter, argv[i], reply->error, sizeof(reply->error));
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->d = d;
	t->end_ms = uv_now(d->loop) + for_s * 1000;
	r = kb_trace_new(d->querylog, &filter, &t->trace);
	if (r < 0) {
		free(t);
		return r == -EAGAIN ? kb_ctl_fail(reply, r, "%d traces run already, try again",
						  KB_TRACES_MAX)
				    : r;
	}
	reply->stream = (struct kb_ctl_stream){t, tracing_next, tracing_free, TRACE_PAUSE_MS};
	return 0;
}
