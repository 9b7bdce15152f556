/* SPDX-License-Identifier: Apache-2.0 */
/* The source of source.h: either a snapshot, or a reflector for each kind of one server. */
#include "control/kube/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/access.h"
#include "control/kube/filter.h"
#include "control/kube/http.h"
#include "control/kube/object_parse.h"
#include "control/kube/snapshot.h"
#include "control/kube/watch.h"

struct kb_source {
	uv_loop_t *loop; /* borrowed */
	struct kb_filter filter;
	struct kb_sink sink;		 /* the filter's */
	struct kb_object_parser *parser; /* owned */
	char *name;			 /* owned */
	char *config_key;		 /* owned, NULL: no ConfigMap, or all keys */
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
		[KB_SERVICE] = "services",     [KB_SLICE] = "endpointslices",
		[KB_NAMESPACE] = "namespaces", [KB_POD] = "pods",
		[KB_CONFIGMAP] = "configmaps",
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

/* Pods that have come to their end have no names: a server that keeps them back saves both
 * sides their bytes. One that ends leaves the selection, which is an event DELETED. */
#define LIVE_PODS                                                              \
	"fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed" \
	"%2Cstatus.phase%21%3DUnknown"

/* The list of a kind and, after a question mark, what of it is wanted. */
static char *resource(const struct kb_source *s, enum kb_kind kind, const char *labels)
{
	static const char *const paths[KB_KIND_MAX] = {
		[KB_SERVICE] = "/api/v1/services",
		[KB_SLICE] = "/apis/discovery.k8s.io/v1/endpointslices",
		[KB_NAMESPACE] = "/api/v1/namespaces",
		[KB_POD] = "/api/v1/pods?" LIVE_PODS,
	};
	char *selector, *path;

	if (kind == KB_CONFIGMAP)
		return kb_access_format("/api/v1/namespaces/%s/configmaps"
					"?fieldSelector=metadata.name%%3D%s",
					s->filter.configmap_ns, s->filter.configmap_name);
	if (kind == KB_NAMESPACE || !labels)
		return strdup(paths[kind]);
	selector = kb_http_escape(labels);
	path = selector ? kb_access_format("%s%clabelSelector=%s", paths[kind],
					   kind == KB_POD ? '&' : '?', selector)
			: NULL;
	free(selector);
	return path;
}

static int open_watch(struct kb_source *s, enum kb_kind kind, const char *labels)
{
	char *path = resource(s, kind, labels);
	int r = path ? kb_watch_new(&s->server, kind, path, &s->watches[kind]) : -ENOMEM;

	free(path);
	return r;
}

static int open_server(struct kb_source *s, const struct kb_source_config *config, char *err,
		       size_t err_size)
{
	int r;

	if (config->kubeconfig) {
		s->kubeconfig = strdup(config->kubeconfig);
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
			r = open_watch(s, (enum kb_kind)k, config->labels);
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

/* Letters, digits, dashes and dots, as the names of namespaces and ConfigMaps have them:
 * they become part of a path. */
static bool is_name(const char *s, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	return len && len <= 253 && *s != '.' && strspn(s, allowed) >= len;
}

static int choose_configmap(struct kb_source *s, const struct kb_source_config *config, char *err,
			    size_t err_size)
{
	const char *slash = strchr(config->configmap, '/'), *name = slash ? slash + 1 : NULL;

	if (!name || !is_name(config->configmap, (size_t)(slash - config->configmap)) ||
	    !is_name(name, strlen(name))) {
		snprintf(err, err_size, "ConfigMap \"%s\": not of the form NAMESPACE/NAME",
			 config->configmap);
		return -EINVAL;
	}
	s->want[KB_CONFIGMAP] = true;
	s->filter.configmap_ns = strndup(config->configmap, (size_t)(slash - config->configmap));
	s->filter.configmap_name = strdup(name);
	s->filter.whole = !config->configmap_key;
	if (config->configmap_key)
		s->config_key = strdup(config->configmap_key);
	if (!s->filter.configmap_ns || !s->filter.configmap_name ||
	    (config->configmap_key && !s->config_key))
		return out_of_memory(err, err_size);
	if (s->config_key)
		kb_object_parser_config_key(s->parser, s->config_key);
	else
		kb_object_parser_config_all(s->parser);
	return 0;
}

/* What is read, and what of it goes on to the sink. An API server selects by itself; the
 * selector is read nevertheless, so that a bad one is found here. */
static int choose(struct kb_source *s, const struct kb_source_config *config, char *err,
		  size_t err_size)
{
	struct kb_selector *selector = NULL;
	int r = 0;

	if (!config->configmap_only) {
		s->want[KB_SERVICE] = s->want[KB_NAMESPACE] = true;
		s->want[KB_SLICE] = !config->no_endpoints;
		s->want[KB_POD] = config->pods;
	}
	if (config->labels)
		r = kb_selector_parse(config->labels, &selector, err, err_size);
	if (config->snapshot)
		s->filter.selector = selector;
	else
		kb_selector_free(selector);
	if (!r && config->configmap)
		r = choose_configmap(s, config, err, err_size);
	return r;
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
	s->filter.sink = *sink;
	kb_filter_sink(&s->filter, &s->sink);
	r = kb_object_parser_new(&s->parser);
	if (r < 0)
		r = out_of_memory(err, err_size);
	if (!r)
		r = choose(s, config, err, err_size);
	if (!r && config->snapshot)
		r = open_snapshot(s, config->snapshot, err, err_size);
	else if (!r)
		r = open_server(s, config, err, err_size);
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
	kb_filter_fini(&s->filter);
	kb_access_free(s->server.access);
	free(s->snapshot);
	free(s->kubeconfig);
	free(s->name);
	free(s->config_key);
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
