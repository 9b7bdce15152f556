/* SPDX-License-Identifier: Apache-2.0 */
/* The reflector of watch.h: requests, and what comes next. */
#include "control/kube/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/watch_private.h"

enum {
	PAGE_SIZE_OBJECTS = 500,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 30000,
	BUSY_EVENTS = 20,
	RETRY_AFTER_MAX_MS = 60000,
	WATCH_TIMEOUT_MIN_S = 300, /* the API server ends a watch after a random */
	WATCH_TIMEOUT_MAX_S = 600, /* time between these, as informers ask it to */
	STEADY_MS = 5000,	   /* a watch that lasted that long was no failure */
	CREDENTIALS_MAX_AGE_MS = 60000,
	LIST_FOR_MS = 30 * 60 * 1000, /* how long a refusal of watch-list is believed */
};

/* Protobuf costs the API server, and us, a third of what JSON does; a server or a proxy
 * that does not speak it may still answer in JSON. */
#define ACCEPT	   "Accept: application/vnd.kubernetes.protobuf, application/json"
#define PROTO_TYPE "application/vnd.kubernetes.protobuf"

static void attempt(struct kb_watch *w);

static uint64_t random_between(uint64_t low, uint64_t high)
{
	uint32_t r = 0;

	/* Synchronous; should it ever fail, the jitter is what is lost. */
	uv_random(NULL, NULL, &r, sizeof(r), 0, NULL);
	return low + r % (high - low + 1);
}

static void on_retry(uv_timer_t *timer)
{
	attempt(timer->data);
}

static void wait_and_retry(struct kb_watch *w, uint64_t delay_ms)
{
	w->phase = IDLE;
	uv_timer_stop(&w->silence);
	uv_timer_start(&w->retry, on_retry, delay_ms, 0);
}

/* Jittered and exponential, so that the nodes of a cluster do not come back to a
 * restarted API server all at once. */
static uint64_t backoff_ms(struct kb_watch *w)
{
	unsigned shift = w->failures < 9 ? w->failures : 9;
	uint64_t base = (uint64_t)BACKOFF_MIN_MS << shift;

	w->failures++;
	if (base > BACKOFF_MAX_MS)
		base = BACKOFF_MAX_MS;
	return random_between(base / 2, base + base / 2);
}

static void on_silence(uv_timer_t *timer)
{
	struct kb_watch *w = timer->data;
	uint64_t silent_ms;
	char what[64];

	uv_update_time(w->server->loop);
	silent_ms = kb_watch_now_ms(w) - w->last_item_ms;
	if (silent_ms < w->server->silence_ms) {
		uv_timer_start(&w->silence, on_silence, w->server->silence_ms - silent_ms, 0);
		return;
	}
	snprintf(what, sizeof(what), "nothing heard for %llu ms", (unsigned long long)silent_ms);
	kb_watch_set_error(w, what);
	w->status.failures++;
	w->status.watching = false;
	kb_http_cancel(w->request);
	w->request = NULL;
	/* The connection may be dead without our knowing. */
	w->fresh = true;
	/* A server that takes no notice of sendInitialEvents never ends the list. */
	if (w->phase == INITIAL)
		w->list_until_ms = kb_watch_now_ms(w) + LIST_FOR_MS;
	kb_watch_list_abort(w);
	wait_and_retry(w, backoff_ms(w));
}

static void on_opened(void *arg, int status, const char *content_type)
{
	struct kb_watch *w = arg;

	w->last_item_ms = kb_watch_now_ms(w);
	w->encoding = strncmp(content_type, PROTO_TYPE, strlen(PROTO_TYPE)) ? KB_JSON : KB_PROTOBUF;
	if (status != 200)
		return;
	w->status.watching = w->phase != LIST;
	w->status.error[0] = 0;
	w->retried_401 = false;
	if (w->phase == INITIAL || w->phase == LIST)
		kb_watch_list_begin(w);
}

static int on_data(void *arg, int status, const char *bytes, size_t len)
{
	struct kb_watch *w = arg;
	int r;

	w->status.bytes += len;
	if (status != 200) {
		if (len > sizeof(w->body) - w->body_len)
			len = sizeof(w->body) - w->body_len;
		memcpy(w->body + w->body_len, bytes, len);
		w->body_len += len;
		return 0;
	}
	r = kb_watch_read_feed(w, bytes, len);
	if (r < 0) {
		kb_watch_set_error(w, r == -EBADMSG && *kb_watch_read_error(w)
					      ? kb_watch_read_error(w)
					      : strerror(-r));
		w->stop = STOP_ERROR;
	}
	return r;
}

static uint64_t list_again(struct kb_watch *w)
{
	w->version[0] = 0;
	kb_watch_list_abort(w);
	return backoff_ms(w);
}

static bool refuses_watch_list(int status)
{
	switch (status) {
	case 400:
	case 404:
	case 405:
	case 406:
	case 415:
	case 422:
	case 501:
		return true;
	default:
		return false;
	}
}

/* A response that is not 200: what to do next, and how long to wait before. */
static uint64_t on_refusal(struct kb_watch *w, const struct kb_http_result *result)
{
	struct kb_parsed parsed = {.status_message = ""};
	uint64_t delay, asked = result->retry_after_s * 1000ULL;
	char what[220];

	kb_object_parse(w->server->parser, w->encoding, KB_KIND_MAX, w->body, w->body_len, NULL,
			&parsed);
	snprintf(what, sizeof(what), "HTTP %d %s", result->status, parsed.status_message);
	kb_watch_set_error(w, what);

	if (w->phase == INITIAL && refuses_watch_list(result->status)) {
		w->list_until_ms = kb_watch_now_ms(w) + LIST_FOR_MS;
		return 0;
	}
	w->status.failures++;
	if (result->status == 401)
		w->server->access->read_ms = 0; /* the token may have rotated */
	if (result->status == 401 && !w->retried_401) {
		w->retried_401 = true;
		kb_watch_list_abort(w);
		return random_between(0, BACKOFF_MIN_MS);
	}
	if (result->status == 410 && w->phase == LIST)
		w->whole_list = w->next_page != NULL;
	if (result->status == 410 || (w->phase == WATCH && refuses_watch_list(result->status)) ||
	    strstr(parsed.status_message, "Too large resource version"))
		return list_again(w);

	kb_watch_list_abort(w);
	delay = backoff_ms(w);
	if (asked > RETRY_AFTER_MAX_MS)
		asked = RETRY_AFTER_MAX_MS;
	return asked > delay ? asked + random_between(0, asked / 4) : delay;
}

/* The response came to its end in good order. */
static uint64_t on_end(struct kb_watch *w)
{
	bool steady = kb_watch_now_ms(w) - w->started_ms >= STEADY_MS;

	/* An answer that is no list must not pass for an empty one. */
	if (w->phase == LIST && (!w->has_items || !w->list_version[0])) {
		kb_watch_set_error(w, "the server's list has no items or no resourceVersion");
	} else if (w->phase == INITIAL) {
		kb_watch_set_error(w, "the initial list broke off");
	} else if (w->phase == LIST) {
		if (!w->next_page)
			kb_watch_list_end(w, w->list_version);
		return 0;
	}
	if (w->phase != WATCH) {
		w->status.failures++;
		kb_watch_list_abort(w);
		return backoff_ms(w);
	}
	/* The time we asked for is up: go on without a gap. Otherwise the server may
	 * be shutting down, and every node has just lost its watch. */
	if (kb_watch_now_ms(w) - w->started_ms + 1000 >= w->timeout_ms)
		return 0;
	if (steady)
		w->failures = 0;
	/* A server under load ends the watches that it finds slow (a buffer of a few events for
	 * each watcher is full, because it had no CPU time to send them), and each moment until the
	 * next one is a moment of stale answers: come back at once, once. If it is going away
	 * instead, the next attempt fails and backs off. */
	if (w->status.events - w->events_before >= BUSY_EVENTS)
		return 0;
	return backoff_ms(w);
}

static void on_done(void *arg, const struct kb_http_result *result)
{
	struct kb_watch *w = arg;
	uint64_t delay;

	w->request = NULL;
	w->status.watching = false;
	if (!result->error && !w->stop && result->status != 200) {
		delay = on_refusal(w, result);
	} else if (!result->error && !w->stop && kb_watch_read_finish(w) == 0) {
		delay = on_end(w);
	} else {
		if (result->error)
			kb_watch_set_error(w, result->error);
		else if (!w->stop)
			kb_watch_set_error(w, kb_watch_read_error(w));
		w->status.failures++;
		if (w->stop == STOP_GONE) {
			delay = list_again(w);
		} else {
			kb_watch_list_abort(w);
			delay = backoff_ms(w);
		}
	}
	wait_and_retry(w, delay);
}

static const struct kb_http_ops http_ops = {
	.opened = on_opened,
	.data = on_data,
	.done = on_done,
};

static char next_parameter(const struct kb_watch *w)
{
	return strchr(w->resource, '?') ? '&' : '?';
}

static char *list_path(struct kb_watch *w)
{
	char *token, *path;

	if (w->whole_list)
		return kb_access_format("%s", w->resource);
	if (!w->next_page)
		return kb_access_format("%s%climit=%d", w->resource, next_parameter(w),
					PAGE_SIZE_OBJECTS);
	token = kb_http_escape(w->next_page);
	path = token ? kb_access_format("%s%climit=%d&continue=%s", w->resource, next_parameter(w),
					PAGE_SIZE_OBJECTS, token)
		     : NULL;
	free(token);
	return path;
}

static char *watch_path(struct kb_watch *w)
{
	uint64_t timeout_s = random_between(WATCH_TIMEOUT_MIN_S, WATCH_TIMEOUT_MAX_S);
	char *version = kb_http_escape(w->phase == WATCH ? w->version : ""), *path;

	w->timeout_ms = timeout_s * 1000;
	path = version ? kb_access_format("%s%cwatch=1&allowWatchBookmarks=true&timeoutSeconds=%llu"
					  "&resourceVersion=%s%s",
					  w->resource, next_parameter(w),
					  (unsigned long long)timeout_s, version,
					  w->phase == INITIAL ? "&sendInitialEvents=true"
								"&resourceVersionMatch=NotOlderThan"
							      : "")
		       : NULL;
	free(version);
	return path;
}

static void choose_phase(struct kb_watch *w)
{
	if (w->in_list && w->next_page)
		w->phase = LIST;
	else if (w->version[0])
		w->phase = WATCH;
	else if (kb_watch_now_ms(w) < w->list_until_ms)
		w->phase = LIST;
	else
		w->phase = INITIAL;
}

static void refresh_credentials(struct kb_watch *w)
{
	struct kb_access *a = w->server->access;
	char err[200];

	if (a->read_ms && kb_watch_now_ms(w) - a->read_ms < CREDENTIALS_MAX_AGE_MS)
		return;
	if (kb_access_refresh(a, kb_watch_now_ms(w), err, sizeof(err)) < 0)
		kb_watch_set_error(w, err);
}

/* Makes the next request, whichever it is. */
static void attempt(struct kb_watch *w)
{
	char *path;
	int r;

	refresh_credentials(w);
	choose_phase(w);
	if (w->phase == WATCH) {
		w->status.reconnects += w->watched;
		w->watched = true;
	}
	w->encoding = KB_JSON;
	w->has_items = false;
	w->list_version[0] = 0;
	w->stop = NOT_STOPPED;
	w->body_len = 0;
	w->started_ms = w->last_item_ms = kb_watch_now_ms(w);
	w->events_before = w->status.events;
	kb_watch_read_reset(w, w->phase == LIST ? KB_SPLIT_LIST : KB_SPLIT_EVENTS);
	path = w->phase == LIST ? list_path(w) : watch_path(w);
	r = path ? kb_http_get(w->server->http, w->server->access, path, ACCEPT, w->fresh,
			       &http_ops, w, &w->request)
		 : -ENOMEM;
	free(path);
	if (r < 0) {
		kb_watch_set_error(w, strerror(-r));
		w->status.failures++;
		kb_watch_list_abort(w);
		wait_and_retry(w, backoff_ms(w));
		return;
	}
	w->fresh = false;
	uv_timer_start(&w->silence, on_silence, w->server->silence_ms, 0);
}

int kb_watch_new(struct kb_watch_server *server, enum kb_kind kind, const char *resource,
		 struct kb_watch **ret_watch)
{
	struct kb_watch *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return r;
	w->server = server;
	w->kind = kind;
	w->resource = strdup(resource);
	if (w->resource)
		r = kb_watch_read_new(w);
	if (r < 0) {
		kb_watch_read_free(w);
		free(w->resource);
		free(w);
		return r;
	}
	/* uv_timer_init cannot fail. */
	uv_timer_init(server->loop, &w->retry);
	uv_timer_init(server->loop, &w->silence);
	w->retry.data = w->silence.data = w;
	w->handles = 2;
	*ret_watch = w;
	return 0;
}

void kb_watch_start(struct kb_watch *w)
{
	attempt(w);
}

void kb_watch_reload(struct kb_watch *w, bool relist)
{
	if (relist) {
		kb_http_cancel(w->request);
		w->request = NULL;
		w->status.watching = false;
		w->list_until_ms = 0;
		w->version[0] = 0;
		kb_watch_list_abort(w);
	}
	if (!w->request) {
		w->failures = 0;
		wait_and_retry(w, 0);
	}
}

void kb_watch_status(const struct kb_watch *w, struct kb_source_kind_status *ret_status)
{
	*ret_status = w->status;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct kb_watch *w = handle->data;

	if (--w->handles == 0)
		free(w);
}

void kb_watch_free(struct kb_watch *w)
{
	if (!w)
		return;
	kb_http_cancel(w->request);
	kb_watch_read_free(w);
	free(w->next_page);
	free(w->resource);
	uv_close((uv_handle_t *)&w->retry, on_timer_closed);
	uv_close((uv_handle_t *)&w->silence, on_timer_closed);
}
