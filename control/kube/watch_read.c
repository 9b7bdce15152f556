/* SPDX-License-Identifier: Apache-2.0 */
/* What responses bring: lists, objects, and events; see watch_private.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/watch_private.h"

void kb_watch_set_error(struct kb_watch *w, const char *what)
{
	snprintf(w->status.error, sizeof(w->status.error), "%s: %s", kb_source_kind_name(w->kind),
		 what);
}

static void alive(struct kb_watch *w)
{
	struct kb_sink *sink = &w->server->sink;

	w->status.last_alive_ms = kb_watch_now_ms(w);
	if (sink->alive)
		sink->alive(sink->arg, w->kind);
}

/* Lists */

void kb_watch_list_begin(struct kb_watch *w)
{
	if (w->in_list)
		return;
	w->in_list = true;
	w->watched = false;
	w->status.relists++;
	w->server->sink.relist_begin(w->server->sink.arg, w->kind);
}

void kb_watch_list_abort(struct kb_watch *w)
{
	free(w->next_page);
	w->next_page = NULL;
	if (!w->in_list)
		return;
	w->in_list = false;
	w->server->sink.relist_abort(w->server->sink.arg, w->kind);
}

void kb_watch_list_end(struct kb_watch *w, const char *version)
{
	kb_watch_list_begin(w); /* an empty list has had no reason to begin yet */
	w->in_list = false;
	w->whole_list = false;
	w->failures = 0;
	snprintf(w->version, sizeof(w->version), "%s", version);
	w->status.synced = true;
	w->server->sink.relist_end(w->server->sink.arg, w->kind);
	alive(w);
}

/* Objects and events */

static void hand_over(struct kb_watch *w, const struct kb_parsed *parsed)
{
	char what[200];

	if (parsed->result == KB_PARSE_UNNAMED) {
		snprintf(what, sizeof(what), "an object was skipped: %s", parsed->why);
		kb_watch_set_error(w, what);
		w->status.skipped++;
	} else if (parsed->result == KB_PARSE_OBJECT) {
		w->status.skipped += parsed->obj.bad != NULL;
		if (parsed->obj.bad && w->kind == KB_CONFIGMAP)
			kb_watch_set_error(w, parsed->obj.bad);
		w->server->sink.apply(w->server->sink.arg, &parsed->obj);
	}
}

static int on_error_event(struct kb_watch *w, const struct kb_parsed *parsed)
{
	char what[200];

	snprintf(what, sizeof(what), "the watch reports an error: %d %s", parsed->status_code,
		 parsed->status_message);
	kb_watch_set_error(w, what);
	w->stop = parsed->status_code == 410 ? STOP_GONE : STOP_ERROR;
	return 1;
}

static void on_bookmark(struct kb_watch *w, const struct kb_parsed *parsed)
{
	if (w->phase == INITIAL && parsed->initial_events_end) {
		kb_watch_list_end(w, parsed->resource_version);
		w->phase = WATCH;
		w->watched = true;
	} else if (w->phase == WATCH) {
		alive(w);
	}
}

static int on_event(struct kb_watch *w, const struct kb_parsed *parsed)
{
	w->last_item_ms = kb_watch_now_ms(w);
	if (parsed->event == KB_EVENT_ERROR)
		return on_error_event(w, parsed);
	if (parsed->event == KB_EVENT_BOOKMARK) {
		on_bookmark(w, parsed);
	} else if (parsed->event == KB_EVENT_DELETED && parsed->result == KB_PARSE_OBJECT) {
		w->status.events++;
		w->server->sink.gone(w->server->sink.arg, w->kind, parsed->obj.ns,
				     parsed->obj.name);
	} else {
		w->status.events++;
		if (parsed->event == KB_EVENT_UNKNOWN && !parsed->malformed) {
			kb_watch_set_error(w, "an event of unknown type was skipped");
			w->status.skipped++;
		} else {
			hand_over(w, parsed);
		}
	}
	if (w->phase != WATCH)
		return 0;
	/* Versions of the initial events are not in order: only what follows counts. */
	if (*parsed->resource_version)
		snprintf(w->version, sizeof(w->version), "%s", parsed->resource_version);
	w->failures = 0;
	if (parsed->event != KB_EVENT_BOOKMARK)
		alive(w);
	return 0;
}

static int read_item(struct kb_watch *w, const char *text, size_t len, const char *bad)
{
	struct kb_parsed parsed;
	int r;

	if (w->phase == LIST) {
		r = kb_object_parse(w->server->parser, w->encoding, w->kind, text, len, bad,
				    &parsed);
		if (r < 0)
			return r;
		w->last_item_ms = kb_watch_now_ms(w);
		hand_over(w, &parsed);
		return 0;
	}
	r = kb_object_parse_event(w->server->parser, w->encoding, w->kind, text, len, bad, &parsed);
	return r < 0 ? r : on_event(w, &parsed);
}

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	(void)offset;
	return read_item(arg, text, len, NULL);
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	(void)offset;
	return read_item(arg, head, len, why);
}

static int on_field(void *arg, const char *key, const char *text, size_t len, uint64_t offset)
{
	const char *version, *next;
	struct kb_watch *w = arg;
	int r;

	(void)offset;
	if (strcmp(key, "metadata") != 0)
		return 0;
	r = kb_object_parse_list_meta(w->server->parser, w->encoding, text, len, &version, &next);
	if (r < 0)
		return r;
	snprintf(w->list_version, sizeof(w->list_version), "%s", version);
	free(w->next_page);
	w->next_page = *next ? strdup(next) : NULL;
	return *next && !w->next_page ? -ENOMEM : 0;
}

static int on_document(void *arg, int has_items)
{
	struct kb_watch *w = arg;

	w->has_items = has_items;
	return 0;
}

static const struct kb_split_ops split_ops = {
	.item = on_item,
	.field = on_field,
	.skipped = on_skipped,
	.document = on_document,
};

int kb_watch_read_feed(struct kb_watch *w, const char *bytes, size_t len)
{
	return w->encoding == KB_PROTOBUF ? kb_pb_split_feed(w->pb, bytes, len)
					  : kb_json_split_feed(w->json, bytes, len);
}

int kb_watch_read_finish(struct kb_watch *w)
{
	return w->encoding == KB_PROTOBUF ? kb_pb_split_finish(w->pb)
					  : kb_json_split_finish(w->json);
}

const char *kb_watch_read_error(const struct kb_watch *w)
{
	return w->encoding == KB_PROTOBUF ? kb_pb_split_error(w->pb) : kb_json_split_error(w->json);
}

void kb_watch_read_reset(struct kb_watch *w, enum kb_split_mode mode)
{
	kb_pb_split_reset(w->pb, mode);
	kb_json_split_reset(w->json, mode);
}

int kb_watch_read_new(struct kb_watch *w)
{
	int r = kb_json_split_new(KB_SPLIT_EVENTS, 0, &split_ops, w, &w->json);

	return r ? r : kb_pb_split_new(KB_SPLIT_EVENTS, 0, &split_ops, w, &w->pb);
}

void kb_watch_read_free(struct kb_watch *w)
{
	kb_json_split_free(w->json);
	kb_pb_split_free(w->pb);
}
