/* SPDX-License-Identifier: Apache-2.0 */
/* The source of source.h: either a snapshot, or a reflector for each kind of one server. */
#include "control/kube/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/access.h"
#include "control/kube/http.h"
#include "control/kube/object_parse.h"
#include "control/kube/snapshot.h"
#include "control/kube/watch.h"

struct kb_source {
	uv_loop_t *loop; /* borrowed */
	struct kb_sink sink;
	struct kb_object_parser *parser; /* owned */
	char *name;			 /* owned */
	bool want[KB_KIND_MAX];

	char *snapshot;	  /* owned; NULL with an API server */
	uv_timer_t alive; /* of a snapshot, when alive_open */
	bool alive_open;
	struct kb_source_kind_status file[KB_KIND_MAX];

	char *kubeconfig;		       /* owned; NULL: in-cluster */
	struct kb_watch_server server;	       /* owns its access and http here */
	struct kb_watch *watches[KB_KIND_MAX]; /* owned; NULL: not wanted */
};

const char *kb_source_kind_name(enum kb_kind kind)
{
	static const char *const names[KB_KIND_MAX] = {
		[KB_SERVICE] = "services",
		[KB_SLICE] = "endpointslices",
		[KB_NAMESPACE] = "namespaces",
		[KB_POD] = "pods",
	};

	return names[kind];
}

static int out_of_memory(char *err, size_t err_size)
{
	snprintf(err, err_size, "out of memory");
	return -ENOMEM;
}

static int read_access(const char *kubeconfig, struct kb_access **ret_access, char *err,
		       size_t err_size)
{
	if (kubeconfig)
		return kb_access_from_kubeconfig(kubeconfig, ret_access, err, err_size);
	return kb_access_in_cluster(ret_access, err, err_size);
}

static uint64_t silence_ms(void)
{
	const char *text = getenv(KB_SOURCE_SILENCE_ENV);
	char *end;
	unsigned long v;

	if (!text || !*text)
		return KB_SOURCE_SILENCE_MS;
	v = strtoul(text, &end, 10);
	return *end || !v || v > 24UL * 3600 * 1000 ? KB_SOURCE_SILENCE_MS : v;
}

static int name_server(struct kb_source *s, char *err, size_t err_size)
{
	char *name = kb_access_format("apiserver %s", s->server.access->server);

	if (!name)
		return out_of_memory(err, err_size);
	free(s->name);
	s->name = name;
	return 0;
}

static int open_server(struct kb_source *s, const char *kubeconfig, char *err, size_t err_size)
{
	int r;

	if (kubeconfig) {
		s->kubeconfig = strdup(kubeconfig);
		if (!s->kubeconfig)
			return out_of_memory(err, err_size);
	}
	s->server.loop = s->loop;
	s->server.sink = s->sink;
	s->server.parser = s->parser;
	s->server.silence_ms = silence_ms();
	r = read_access(s->kubeconfig, &s->server.access, err, err_size);
	if (!r)
		r = name_server(s, err, err_size);
	if (r < 0)
		return r;
	r = kb_http_new(s->loop, &s->server.http);
	for (int k = 0; !r && k < KB_KIND_MAX; k++) {
		if (s->want[k])
			r = kb_watch_new(&s->server, (enum kb_kind)k, &s->watches[k]);
	}
	if (r < 0)
		snprintf(err, err_size, "%s: %s", s->name, strerror(-r));
	return r;
}

static int open_snapshot(struct kb_source *s, const char *path, char *err, size_t err_size)
{
	s->snapshot = strdup(path);
	s->name = kb_access_format("snapshot %s", path);
	if (!s->snapshot || !s->name)
		return out_of_memory(err, err_size);
	uv_timer_init(s->loop, &s->alive);
	s->alive.data = s;
	s->alive_open = true;
	uv_unref((uv_handle_t *)&s->alive);
	return 0;
}

int kb_source_new(uv_loop_t *loop, const struct kb_source_config *config,
		  const struct kb_sink *sink, struct kb_source **ret_source, char *err,
		  size_t err_size)
{
	struct kb_source *s;
	int r;

	if (config->snapshot && config->kubeconfig) {
		snprintf(err, err_size, "give a snapshot or a kubeconfig, not both");
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return out_of_memory(err, err_size);
	s->loop = loop;
	s->sink = *sink;
	s->want[KB_SERVICE] = s->want[KB_NAMESPACE] = true;
	s->want[KB_SLICE] = !config->no_endpoints;
	s->want[KB_POD] = config->pods;
	r = kb_object_parser_new(&s->parser);
	if (r < 0)
		r = out_of_memory(err, err_size);
	else if (config->snapshot)
		r = open_snapshot(s, config->snapshot, err, err_size);
	else
		r = open_server(s, config->kubeconfig, err, err_size);
	if (r < 0) {
		kb_source_free(s);
		return r;
	}
	*ret_source = s;
	return 0;
}

/* A file does not grow old: what it says is what its operator wants. */
static void on_alive(uv_timer_t *timer)
{
	struct kb_source *s = timer->data;

	for (int k = 0; k < KB_KIND_MAX; k++) {
		if (!s->want[k])
			continue;
		s->file[k].last_alive_ms = uv_now(s->loop);
		if (s->sink.alive)
			s->sink.alive(s->sink.arg, (enum kb_kind)k);
	}
}

static int read_snapshot(struct kb_source *s, char *err, size_t err_size)
{
	struct kb_snapshot_counts counts;
	int r = kb_snapshot_read(s->snapshot, s->parser, s->want, &s->sink, &counts, err, err_size);

	for (int k = 0; k < KB_KIND_MAX; k++) {
		struct kb_source_kind_status *st = &s->file[k];

		if (!s->want[k])
			continue;
		if (r < 0) {
			st->failures++;
			snprintf(st->error, sizeof(st->error), "%s", err);
			continue;
		}
		st->synced = true;
		st->relists++;
		st->bytes += counts.bytes;
		st->skipped += counts.bad[k];
		snprintf(st->error, sizeof(st->error), "%s", counts.note);
	}
	if (r < 0)
		return r;
	/* Of what kind they were nobody knows: the first kind stands for all. */
	s->file[0].skipped += counts.unnamed;
	on_alive(&s->alive);
	return uv_timer_start(&s->alive, on_alive, KB_SOURCE_SNAPSHOT_ALIVE_MS,
			      KB_SOURCE_SNAPSHOT_ALIVE_MS);
}

int kb_source_start(struct kb_source *s, char *err, size_t err_size)
{
	if (s->snapshot)
		return read_snapshot(s, err, err_size);
	for (int k = 0; k < KB_KIND_MAX; k++) {
		if (s->want[k])
			kb_watch_start(s->watches[k]);
	}
	return 0;
}

static int reload_server(struct kb_source *s, char *err, size_t err_size)
{
	struct kb_access *access, *former = s->server.access;
	bool moved;
	int r;

	r = read_access(s->kubeconfig, &access, err, err_size);
	if (r < 0)
		return r;
	moved = strcmp(access->server, former->server) != 0;
	s->server.access = access;
	r = name_server(s, err, err_size);
	if (r < 0) {
		s->server.access = former;
		kb_access_free(access);
		return r;
	}
	kb_access_free(former);
	for (int k = 0; k < KB_KIND_MAX; k++) {
		if (s->want[k])
			kb_watch_reload(s->watches[k], moved);
	}
	return 0;
}

int kb_source_reload(struct kb_source *s, char *err, size_t err_size)
{
	return s->snapshot ? read_snapshot(s, err, err_size) : reload_server(s, err, err_size);
}

void kb_source_status(const struct kb_source *s, enum kb_kind kind,
		      struct kb_source_kind_status *ret_status)
{
	if (s->snapshot)
		*ret_status = s->file[kind];
	else if (s->watches[kind])
		kb_watch_status(s->watches[kind], ret_status);
	else
		*ret_status = (struct kb_source_kind_status){0};
	ret_status->wanted = s->want[kind];
}

const char *kb_source_name(const struct kb_source *s)
{
	return s->name;
}

static void source_release(struct kb_source *s)
{
	kb_object_parser_free(s->parser);
	kb_access_free(s->server.access);
	free(s->snapshot);
	free(s->kubeconfig);
	free(s->name);
	free(s);
}

static void on_alive_closed(uv_handle_t *handle)
{
	source_release(handle->data);
}

void kb_source_free(struct kb_source *s)
{
	if (!s)
		return;
	for (int k = 0; k < KB_KIND_MAX; k++)
		kb_watch_free(s->watches[k]);
	kb_http_free(s->server.http);
	/* The reflectors and the http client keep their own memory until their handles
	 * are closed, and use nothing of ours by then. */
	if (s->alive_open)
		uv_close((uv_handle_t *)&s->alive, on_alive_closed);
	else
		source_release(s);
}
