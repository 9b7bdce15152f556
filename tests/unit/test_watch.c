/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real watch code against an API server of our own on the same loop, which
 * plays a script for Services and answers the other kinds with an empty list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>
#include <uv.h>

#include "control/kube/source.h"
#include "tests/unit/pb_encode.h"

enum end { HOLD, FINISH, DROP };

struct step {
	const char *expect[5]; /* all in the request */
	const char *forbid[3]; /* none in the request */
	int status;	       /* 0: 200 */
	const char *header;    /* one more header line */
	const char *body;
	enum end end;
	bool protobuf; /* the body is sent as that */
};

struct connection {
	uv_tcp_t tcp;
	char request[4096];
	size_t len;
};

static struct {
	uv_loop_t loop;
	uv_tcp_t listener;
	uv_timer_t ticker;
	const struct step *steps;
	size_t n_steps, at;
	const char *path;	 /* whose requests the steps are for */
	bool only_config;	 /* lists of Services are none of the log's */
	struct connection *held; /* the services watch that stays open */
	char problem[8192];
	uint64_t step_ms[32]; /* when each step's request came */
	int port;
	char dir[64];
	/* the sink's view of Services */
	char log[4096];
	uint64_t seen_ns;
	unsigned alive;
	struct kb_source *source;
	/* the other kinds */
	const char *refused; /* a path that is answered with 403, or NULL */
	char others[4096];   /* what was asked for */
} t;

/* The sink */

static void say(const char *format, const char *what)
{
	size_t n = strlen(t.log);

	snprintf(t.log + n, sizeof(t.log) - n, format, what);
	t.seen_ns = uv_hrtime();
}

static void on_begin(void *arg, enum kb_kind kind)
{
	(void)arg;
	if (kind == KB_SERVICE && !t.only_config)
		say("%s", "begin ");
}

static void on_list_end(void *arg, enum kb_kind kind)
{
	(void)arg;
	if (kind == KB_SERVICE && !t.only_config)
		say("%s", "end ");
}

static void on_abort(void *arg, enum kb_kind kind)
{
	(void)arg;
	if (kind == KB_SERVICE && !t.only_config)
		say("%s", "abort ");
}

static void on_apply(void *arg, const struct kb_object *obj)
{
	(void)arg;
	if (obj->kind == KB_SERVICE)
		say(obj->bad ? "!%s " : "+%s ", obj->name);
}

static void on_gone(void *arg, enum kb_kind kind, const char *ns, const char *name)
{
	(void)arg;
	(void)ns;
	if (kind == KB_SERVICE && !t.only_config)
		say("-%s ", name);
}

static void on_alive(void *arg, enum kb_kind kind)
{
	(void)arg;
	t.alive += kind == KB_SERVICE;
}

static void on_config(void *arg, const char *text)
{
	(void)arg;
	say("[%s] ", text ? text : "NULL");
}

static const struct kb_sink sink = {
	NULL, on_begin, on_list_end, on_abort, on_apply, on_gone, on_alive, on_config, NULL, NULL,
};

/* The server */

static void free_connection(uv_handle_t *handle)
{
	if (t.held == handle->data)
		t.held = NULL;
	free(handle->data);
}

static void close_connection(struct connection *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, free_connection);
}

static void written(uv_write_t *w, int status)
{
	(void)status;
	free(w->data);
	free(w);
}

static void put(struct connection *c, const char *bytes, size_t len)
{
	uv_write_t *w = malloc(sizeof(*w));
	char *copy = malloc(len + 1);
	uv_buf_t buf;

	if (!w || !copy)
		abort();
	memcpy(copy, bytes, len);
	w->data = copy;
	buf = uv_buf_init(copy, (unsigned)len);
	if (uv_write(w, (uv_stream_t *)&c->tcp, &buf, 1, written) < 0) {
		free(copy);
		free(w);
	}
}

static void put_chunk_bytes(struct connection *c, const char *bytes, size_t len)
{
	char size[32];

	if (!len)
		return;
	snprintf(size, sizeof(size), "%zx\r\n", len);
	put(c, size, strlen(size));
	put(c, bytes, len);
	put(c, "\r\n", 2);
}

static void put_chunk(struct connection *c, const char *text)
{
	put_chunk_bytes(c, text, strlen(text));
}

/* As the API server does: events in frames, lists and refusals wrapped. */
static void put_protobuf(struct connection *c, const struct step *s)
{
	char *bytes;
	size_t len;

	if (s->status)
		bytes = pb_encode(PB_WRAPPED, "", s->body, &len);
	else if (strstr(c->request, "watch=1"))
		bytes = pb_encode_frames(s->body, &len);
	else
		bytes = pb_encode(PB_LIST, "Service", s->body, &len);
	put_chunk_bytes(c, bytes, len);
	free(bytes);
}

static void complain(const char *what, const char *request)
{
	size_t n = strlen(t.problem);

	snprintf(t.problem + n, sizeof(t.problem) - n, "step %zu: %s in:\n%s\n", t.at, what,
		 request);
}

static void dropped(uv_shutdown_t *req, int status)
{
	(void)status;
	close_connection(req->data);
	free(req);
}

static void respond(struct connection *c, const struct step *s)
{
	char head[512];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %d X\r\nContent-Type: application/%s\r\n%s"
		 "Transfer-Encoding: chunked\r\n\r\n",
		 s->status ? s->status : 200,
		 s->protobuf ? "vnd.kubernetes.protobuf;stream=watch" : "json",
		 s->header ? s->header : "");
	put(c, head, strlen(head));
	if (s->body && s->protobuf)
		put_protobuf(c, s);
	else if (s->body)
		put_chunk(c, s->body);
	if (s->end == FINISH) {
		put(c, "0\r\n\r\n", 5);
	} else if (s->end == DROP) {
		uv_shutdown_t *req = calloc(1, sizeof(*req));

		if (!req)
			abort();
		req->data = c;
		uv_shutdown(req, (uv_stream_t *)&c->tcp, dropped);
	}
}

#define BOOKMARK(version, end)                                                           \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\"," \
	"\"metadata\":{\"resourceVersion\":\"" version "\",\"annotations\":{"            \
	"\"k8s.io/initial-events-end\":\"" end "\"}}}}\n"

static void serve_others(struct connection *c)
{
	static const struct step rest = {
		.body = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":"
			"\"1\","
			"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
	};

	static const struct step forbidden = {
		.status = 403, .body = "{\"message\":\"that is forbidden\"}", .end = FINISH};
	size_t n = strlen(t.others);

	snprintf(t.others + n, sizeof(t.others) - n, "%.*s\n", (int)strcspn(c->request, "\r"),
		 c->request);
	respond(c, t.refused && strstr(c->request, t.refused) ? &forbidden : &rest);
}

static void serve(struct connection *c)
{
	const struct step *s;

	if (!strstr(c->request, t.path)) {
		serve_others(c);
		return;
	}
	if (t.at == t.n_steps) {
		complain("a request too many", c->request);
		close_connection(c);
		return;
	}
	s = &t.steps[t.at];
	t.step_ms[t.at] = uv_now(&t.loop);
	for (size_t i = 0; i < 5 && s->expect[i]; i++) {
		if (!strstr(c->request, s->expect[i]))
			complain(s->expect[i], c->request);
	}
	for (size_t i = 0; i < 3 && s->forbid[i]; i++) {
		if (strstr(c->request, s->forbid[i]))
			complain(s->forbid[i], c->request);
	}
	if (s->end == HOLD)
		t.held = c;
	respond(c, s);
	t.at++;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct connection *c = handle->data;

	(void)size;
	*buf = uv_buf_init(c->request + c->len, (unsigned)(sizeof(c->request) - 1 - c->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = stream->data;

	(void)buf;
	if (n < 0) {
		close_connection(c);
		return;
	}
	c->len += (size_t)n;
	c->request[c->len] = 0;
	if (strstr(c->request, "\r\n\r\n")) {
		serve(c);
		c->len = 0;
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c || status < 0)
		abort();
	uv_tcp_init(&t.loop, &c->tcp);
	c->tcp.data = c;
	uv_accept(listener, (uv_stream_t *)&c->tcp);
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer; /* only wakes the loop, so that waiting ends in time */
}

/* The frame of a test */

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static void write_kubeconfig(int port)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "current-context: c\n"
		 "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
		 "clusters: [{name: k, cluster: {server: \"http://127.0.0.1:%d/\"}}]\n"
		 "users: [{name: u, user: {tokenFile: token}}]\n",
		 port);
	write_file("config", text);
}

static void play_config(const struct step *steps, size_t n, const char *silence_ms,
			struct kb_source_config config)
{
	struct sockaddr_storage addr;
	struct sockaddr_in any;
	int len = sizeof(addr);
	char path[128], err[256] = "";

	memset(&t, 0, sizeof(t));
	t.steps = steps;
	t.n_steps = n;
	t.only_config = config.configmap != NULL;
	t.path = t.only_config ? "GET /api/v1/namespaces/dns/configmaps" : "GET /api/v1/services";
	strcpy(t.dir, "/tmp/kbdns-test-XXXXXX");
	if (!mkdtemp(t.dir))
		abort();
	write_file("token", "token-one\n");
	uv_loop_init(&t.loop);
	uv_tcp_init(&t.loop, &t.listener);
	uv_ip4_addr("127.0.0.1", 0, &any);
	assert_int_equal(uv_tcp_bind(&t.listener, (struct sockaddr *)&any, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&t.listener, 16, on_connection), 0);
	uv_tcp_getsockname(&t.listener, (struct sockaddr *)&addr, &len);
	t.port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	uv_timer_init(&t.loop, &t.ticker);
	uv_timer_start(&t.ticker, on_tick, 10, 10);

	write_kubeconfig(t.port);
	setenv(KB_SOURCE_SILENCE_ENV, silence_ms ? silence_ms : "20000", 1);
	snprintf(path, sizeof(path), "%s/config", t.dir);
	config.kubeconfig = path;
	if (kb_source_new(&t.loop, &config, &sink, &t.source, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	assert_int_equal(kb_source_start(t.source, err, sizeof(err)), 0);
}

static void play(const struct step *steps, size_t n, const char *silence_ms)
{
	play_config(steps, n, silence_ms, (struct kb_source_config){0});
}

static void close_walk(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (uv_is_closing(handle))
		return;
	if (handle->type == UV_TCP && handle != (uv_handle_t *)&t.listener)
		close_connection(handle->data);
	else
		uv_close(handle, NULL);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	unlink(path);
}

static void stop(void)
{
	kb_source_free(t.source);
	uv_run(&t.loop, UV_RUN_NOWAIT);
	uv_walk(&t.loop, close_walk, NULL);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	remove_file("token");
	remove_file("config");
	rmdir(t.dir);
	if (*t.problem)
		fail_msg("%s", t.problem);
}

/* Runs the loop until the log is `want`, or for so long. */
static void until_log(const char *want)
{
	uint64_t deadline;

	uv_update_time(&t.loop);
	deadline = uv_now(&t.loop) + 8000;
	while (strcmp(t.log, want) && uv_now(&t.loop) < deadline)
		uv_run(&t.loop, UV_RUN_ONCE);
	if (strcmp(t.log, want))
		fail_msg("log: %s\nwanted: %s\n%s", t.log, want, t.problem);
}

static void until_step(size_t n)
{
	uint64_t deadline;

	uv_update_time(&t.loop);
	deadline = uv_now(&t.loop) + 8000;
	while (t.at < n && uv_now(&t.loop) < deadline)
		uv_run(&t.loop, UV_RUN_ONCE);
	if (t.at < n)
		fail_msg("step %zu of %zu, log: %s\n%s", t.at, n, t.log, t.problem);
}

static struct kb_source_kind_status status_of(enum kb_kind kind)
{
	struct kb_source_kind_status st;

	kb_source_status(t.source, kind, &st);
	return st;
}

static struct kb_source_kind_status status(void)
{
	return status_of(KB_SERVICE);
}

/* Runs the loop until this kind has failed once, or has synced. */
static void until_settled(enum kb_kind kind)
{
	uint64_t deadline;

	uv_update_time(&t.loop);
	deadline = uv_now(&t.loop) + 8000;
	while (!status_of(kind).failures && !status_of(kind).synced && uv_now(&t.loop) < deadline)
		uv_run(&t.loop, UV_RUN_ONCE);
}

static void until_failures(uint64_t n)
{
	uint64_t deadline;

	uv_update_time(&t.loop);
	deadline = uv_now(&t.loop) + 8000;
	while (status().failures < n && uv_now(&t.loop) < deadline)
		uv_run(&t.loop, UV_RUN_ONCE);
	assert_int_equal(status().failures, n);
}

static void run_for(uint64_t ms)
{
	uint64_t end;

	uv_update_time(&t.loop);
	end = uv_now(&t.loop) + ms;
	while (uv_now(&t.loop) < end)
		uv_run(&t.loop, UV_RUN_ONCE);
}

#define OBJECT(name, version)                                                        \
	"{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"x\",\"resourceVersion\":\"" version                      \
	"\"},\"spec\":{\"clusterIP\":\"10.0.0.1\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define ADDED(name, version)	   EVENT("ADDED", name, version)
#define EXPIRED                                                                       \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"status\":\"Failure\"," \
	"\"message\":\"too old resource version\",\"reason\":\"Expired\",\"code\":410}}\n"
#define WATCH_LIST                                                                        \
	{                                                                                 \
		"watch=1", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan", \
			"allowWatchBookmarks=true", "resourceVersion=&"                   \
	}
#define FROM(version)                                                             \
	{                                                                         \
		"watch=1", "resourceVersion=" version, "allowWatchBookmarks=true" \
	}
#define NO_INITIAL                  \
	{                           \
		"sendInitialEvents" \
	}

static void initial_events_then_changes(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST,
		 .forbid = {"limit=", "Accept-Encoding"},
		 .body = ADDED("b", "9") ADDED("a", "5") BOOKMARK("20", "true")},
	};
	const char *more =
		ADDED("c", "21") EVENT("MODIFIED", "a", "22") EVENT("DELETED", "b", "23");
	char one[2] = "";

	(void)state;
	play(steps, 1, NULL);
	until_log("begin +b +a end ");
	assert_true(status().synced);
	assert_true(status().watching);
	/* one byte at a time, each in a chunk and a write of its own */
	for (; *more; more++) {
		*one = *more;
		put_chunk(t.held, one);
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	until_log("begin +b +a end +c +a -b ");
	assert_int_equal(status().events, 5);
	assert_int_equal(status().relists, 1);
	assert_int_equal(status().reconnects, 0);
	assert_string_equal(status().error, "");
	assert_int_equal(t.alive, 4);
	stop();
}

static void resumes_from_the_last_version(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST,
		 .body = ADDED("a", "5") BOOKMARK("20", "true"),
		 .end = FINISH},
		{.expect = FROM("20"), .forbid = NO_INITIAL, .body = ADDED("b", "21"), .end = DROP},
		{.expect = FROM("21"), .body = BOOKMARK("90", "") ADDED("c", "91"), .end = FINISH},
		/* broken off within an event */
		{.expect = FROM("91"), .body = BOOKMARK("95", "") "{\"type\":\"ADD", .end = DROP},
		{.expect = FROM("95"), .body = "{\"type\":\"ADD", .end = FINISH},
		{.expect = FROM("95"), .body = ADDED("d", "96")},
	};

	(void)state;
	play(steps, 6, NULL);
	until_log("begin +a end +b +c +d ");
	assert_int_equal(status().relists, 1);
	assert_int_equal(status().reconnects, 5);
	stop();
}

static void gone_lists_anew(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = ADDED("a", "5") BOOKMARK("20", "true") EXPIRED},
		{.expect = WATCH_LIST,
		 .body = ADDED("b", "30") BOOKMARK("31", "true"),
		 .end = FINISH},
		{.expect = FROM("31"), .status = 410, .body = "{\"code\":410}", .end = FINISH},
		{.expect = WATCH_LIST, .body = ADDED("b", "30"), .end = DROP},
		{.expect = WATCH_LIST,
		 .body = ADDED("c", "40") BOOKMARK("41", "true"),
		 .end = FINISH},
		{.expect = FROM("41"),
		 .status = 504,
		 .body = "{\"message\":\"Too large resource version: 41, current: 7\"}",
		 .end = FINISH},
		{.expect = WATCH_LIST, .body = BOOKMARK("8", "true")},
	};

	(void)state;
	play(steps, 7, NULL);
	until_log("begin +a end begin +b end begin +b abort begin +c end begin end ");
	assert_int_equal(status().relists, 5);
	stop();
}

static void refused_watch_list_falls_back(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST,
		 .status = 422,
		 .body = "{\"message\":\"sendInitialEvents: Forbidden\"}",
		 .end = FINISH},
		{.expect = {"services?limit=500 "},
		 .forbid = {"watch", "resourceVersion"},
		 .body = "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"7\","
			 "\"continue\":\"a/b=&c\"},\"items\":[" OBJECT("a", "1") "," OBJECT(
				 "b", "2") "]}",
		 .end = FINISH},
		/* the second page has its metadata behind the items */
		{.expect = {"limit=500&continue=a%2Fb%3D%26c "},
		 .body = "{\"items\":[" OBJECT("c",
					       "3") "],\"metadata\":{\"resourceVersion\":\"7\"}}",
		 .end = FINISH},
		{.expect = FROM("7"), .forbid = NO_INITIAL, .body = ADDED("d", "8") EXPIRED},
		/* and it is remembered */
		{.expect = {"services?limit=500 "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":null}",
		 .end = FINISH},
		{.expect = FROM("9")},
	};

	(void)state;
	play(steps, 6, NULL);
	until_step(6);
	until_log("begin +a +b +c end +d begin end ");
	assert_int_equal(status().relists, 2);
	stop();
}

#define REFUSED                                                    \
	{                                                          \
		.expect = WATCH_LIST, .status = 400, .end = FINISH \
	}

static void expired_continue_lists_whole(void **state)
{
	static const struct step steps[] = {
		REFUSED,
		{.expect = {"limit=500 "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"x\"},"
			 "\"items\":[" OBJECT("a", "1") "]}",
		 .end = FINISH},
		{.expect = {"continue=x"}, .status = 410, .end = FINISH},
		{.expect = {"GET /api/v1/services "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[" OBJECT("b",
											"1") "]}",
		 .end = FINISH},
		{.expect = FROM("8")},
	};

	(void)state;
	play(steps, 5, NULL);
	until_step(5);
	until_log("begin +a abort begin +b end ");
	stop();
}

/* Nothing that is not a list may pass for an empty one. */
static void broken_lists_never_end(void **state)
{
	static const struct step steps[] = {
		REFUSED,
		{.body = "{\"kind\":\"Status\",\"metadata\":{}}", .end = FINISH},
		{.body = "", .end = FINISH},
		{.body = "{\"metadata\":{},\"items\":[]}", .end = FINISH},
		{.body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[" OBJECT("a", "1"),
		 .end = FINISH},
		{.body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[}]}", .end = FINISH},
		{.body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[]}", .end = FINISH},
		{.expect = FROM("8")},
	};

	(void)state;
	play(steps, 8, NULL);
	until_step(8);
	assert_string_equal(t.log, "begin abort begin abort begin abort begin +a abort begin abort "
				   "begin end ");
	assert_true(status().synced);
	assert_int_equal(status().failures, 5);
	stop();
}

static void silence_reopens(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = ADDED("a", "5") BOOKMARK("20", "true")},
		{.expect = FROM("20"), .body = ADDED("b", "21")},
		{.expect = FROM("21")},
		{.expect = FROM("21")},
	};

	(void)state;
	play(steps, 4, "300");
	until_log("begin +a end +b ");
	until_step(3);
	assert_non_null(strstr(status().error, "nothing heard"));
	assert_in_range(t.step_ms[1] - t.step_ms[0], 300, 3000);
	/* what is heard from in time stays open */
	for (int i = 0; i < 8; i++) {
		run_for(100);
		put_chunk(t.held, BOOKMARK("21", ""));
	}
	assert_int_equal(t.at, 3);
	until_step(4);
	assert_int_equal(status().relists, 1);
	stop();
}

static void silence_before_the_end_falls_back(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = ADDED("a", "5")},
		{.expect = {"limit=500 "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[" OBJECT("b",
											"1") "]}",
		 .end = FINISH},
		{.expect = FROM("8")},
	};

	(void)state;
	play(steps, 3, "300");
	until_step(3);
	assert_string_equal(t.log, "begin +a abort begin +b end ");
	stop();
}

static void refusals_are_told(void **state)
{
	static const struct step steps[] = {
		{.status = 403,
		 .body = "{\"kind\":\"Status\",\"message\":\"services is forbidden\",\"code\":403}",
		 .end = FINISH},
		{.status = 500, .body = "oops", .end = FINISH},
		{.status = 429, .header = "Retry-After: 1\r\n", .end = FINISH},
		{.expect = WATCH_LIST, .body = ADDED("a", "5") BOOKMARK("20", "true")},
	};

	(void)state;
	play(steps, 4, NULL);
	until_failures(1);
	assert_string_equal(status().error, "services: HTTP 403 services is forbidden");
	assert_false(status().synced);
	until_failures(3);
	assert_string_equal(status().error, "services: HTTP 429 ");
	until_log("begin +a end ");
	assert_true(t.step_ms[3] - t.step_ms[2] >= 1000);
	assert_int_equal(status().failures, 3);
	assert_string_equal(status().error, "");
	stop();
}

static void token_is_read_again(void **state)
{
	static const struct step steps[] = {
		{.expect = {"Authorization: Bearer token-one\r\n"}, .status = 401, .end = FINISH},
		{.expect = {"Authorization: Bearer token-two\r\n"}, .status = 401, .end = FINISH},
		{.expect = {"Authorization: Bearer token-three\r\n"},
		 .body = BOOKMARK("20", "true")},
	};

	(void)state;
	play(steps, 3, NULL);
	write_file("token", "token-two");
	/* the first request was made before the change */
	until_step(2);
	/* and one that comes late, after the one attempt that is made at once */
	write_file("token", "token-three");
	until_log("begin end ");
	assert_int_equal(status().failures, 2);
	stop();
}

static void bad_events_are_skipped(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = BOOKMARK("20", "true")},
	};
	size_t big = 9 << 20;
	char *text;

	(void)state;
	play(steps, 1, NULL);
	until_log("begin end ");
	put_chunk(t.held,
		  "garbage\n"
		  "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\n"
		  "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n"
		  "{\"type\":\"WHAT\",\"object\":" OBJECT(
			  "w",
			  "30") "}\n"
				"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"bad\","
				"\"namespace\":\"x\"},\"spec\":{\"ports\":[null,7]}}}\n");
	text = malloc(big + 1);
	if (!text)
		abort();
	memset(text, 'y', big);
	text[big] = 0;
	put_chunk(t.held, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"huge\","
			  "\"namespace\":\"x\",\"annotations\":{\"a\":\"");
	put_chunk(t.held, text);
	free(text);
	put_chunk(t.held, "\"}},\"spec\":{\"clusterIP\":\"None\"}}}\n");
	put_chunk(t.held, ADDED("good", "31"));
	until_log("begin end !bad !huge +good ");
	assert_int_equal(status().skipped, 6);
	assert_int_equal(status().relists, 1);
	assert_int_equal(status().failures, 0);
	stop();
}

/* The same ways of a watch, in the encoding that the API server prefers. */
static void protobuf_is_asked_for_and_read(void **state)
{
	static const struct step steps[] = {
		{.expect =
			 {"watch=1", "sendInitialEvents=true",
			  "\r\nAccept: application/vnd.kubernetes.protobuf, application/json\r\n"},
		 .body = ADDED("b", "9") ADDED("a", "5") BOOKMARK("20", "true"),
		 .protobuf = true},
		{.expect = FROM("23"), .body = ADDED("d", "24") EXPIRED, .protobuf = true},
		{.expect = WATCH_LIST,
		 .status = 422,
		 .body = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"Forbidden\"}",
		 .end = FINISH,
		 .protobuf = true},
		{.expect = {"services?limit=500 "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"27\",\"continue\":\"x\"},"
			 "\"items\":[" OBJECT("a", "1") "," OBJECT("b", "2") "]}",
		 .end = FINISH,
		 .protobuf = true},
		{.expect = {"limit=500&continue=x "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"27\"},\"items\":[]}",
		 .end = FINISH,
		 .protobuf = true},
		/* a proxy that speaks JSON only */
		{.expect = FROM("27"), .body = ADDED("e", "28"), .end = FINISH},
		{.expect = FROM("28"),
		 .status = 504,
		 .body = "{\"kind\":\"Status\",\"apiVersion\":\"v1\","
			 "\"message\":\"Too large resource version: 28, current: 7\"}",
		 .end = FINISH,
		 .protobuf = true},
		{.expect = {"services?limit=500 "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[]}",
		 .end = FINISH,
		 .protobuf = true},
		{.expect = FROM("8"), .protobuf = true},
	};
	size_t len;
	char *more = pb_encode_frames(
		ADDED("c", "21") EVENT("MODIFIED", "a", "22") EVENT("DELETED", "b", "23"), &len);

	(void)state;
	play(steps, 9, NULL);
	until_log("begin +b +a end ");
	for (size_t i = 0; i < len; i++) {
		put_chunk_bytes(t.held, more + i, 1);
		uv_run(&t.loop, UV_RUN_NOWAIT);
	}
	free(more);
	until_log("begin +b +a end +c +a -b ");
	assert_int_equal(status().events, 5);
	close_connection(t.held);
	until_step(9);
	until_log("begin +b +a end +c +a -b +d begin +a +b end +e begin end ");
	assert_int_equal(status().skipped, 0);
	stop();
}

static void broken_protobuf_lists_never_end(void **state)
{
	static const struct step steps[] = {
		REFUSED,
		/* not a list */
		{.body = "{\"metadata\":{\"resourceVersion\":\"8\"}}",
		 .end = FINISH,
		 .protobuf = true},
		{.body = "{\"items\":[]}", .end = FINISH, .protobuf = true},
		{.body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[" OBJECT("a",
											"1") "]}",
		 .end = DROP,
		 .protobuf = true},
		{.header = "Content-Type: application/vnd.kubernetes.protobuf\r\n",
		 .body = "no protobuf",
		 .end = FINISH},
		{.body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[]}",
		 .end = FINISH,
		 .protobuf = true},
		{.expect = FROM("8")},
	};

	(void)state;
	play(steps, 7, NULL);
	until_step(7);
	assert_string_equal(t.log, "begin abort begin abort begin +a abort begin abort begin end ");
	assert_int_equal(status().failures, 4);
	stop();
}

static void bad_frames_are_skipped(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = BOOKMARK("20", "true"), .protobuf = true},
	};
	static const char garbage[] = "\0\0\0\7garbage\0\0\0\0";
	const uint32_t pad = 9 << 20;
	char *good, *bad, *huge;
	size_t len;

	(void)state;
	play(steps, 1, NULL);
	until_log("begin end ");
	put_chunk_bytes(t.held, garbage, sizeof(garbage) - 1);
	bad = pb_encode_frames(
		"{\"type\":\"WHAT\",\"object\":" OBJECT(
			"w",
			"30") "}\n"
			      "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"metadata\":"
			      "{\"name\":\"bad\",\"namespace\":\"x\"},\"spec\":7}}\n",
		&len);
	put_chunk_bytes(t.held, bad, len);
	free(bad);
	/* One frame whose event has 9 MB of nothing behind it, as a field of no interest. */
	good = pb_encode_frames(ADDED("huge", "30"), &len);
	huge = calloc(1, len + 6 + pad);
	if (!huge)
		abort();
	memcpy(huge, good, len);
	for (int i = 0; i < 4; i++)
		huge[i] = (char)((len - 4 + 6 + pad) >> (24 - 8 * i));
	huge[len] = 0x7a; /* field 15, bytes */
	for (int i = 0; i < 5; i++)
		huge[len + 1 + (size_t)i] = (char)((pad >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
	put_chunk_bytes(t.held, huge, len + 6 + pad);
	free(huge);
	free(good);
	good = pb_encode_frames(ADDED("good", "31"), &len);
	put_chunk_bytes(t.held, good, len);
	free(good);
	until_log("begin end !bad !huge +good ");
	assert_int_equal(status().skipped, 5);
	assert_int_equal(status().failures, 0);
	stop();
}

static void reload_with_another_server_lists_anew(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = ADDED("a", "5") BOOKMARK("20", "true")},
		{.expect = WATCH_LIST, .body = ADDED("b", "5") BOOKMARK("6", "true")},
	};
	char err[256], path[128], text[512];

	(void)state;
	play(steps, 2, NULL);
	until_log("begin +a end ");
	/* the same server: nothing happens */
	assert_int_equal(kb_source_reload(t.source, err, sizeof(err)), 0);
	run_for(50);
	assert_int_equal(t.at, 1);
	/* a bad file: nothing happens either */
	write_file("config", "current-context: none\n");
	assert_true(kb_source_reload(t.source, err, sizeof(err)) < 0);
	snprintf(path, sizeof(path), "%s/config", t.dir);
	assert_non_null(strstr(err, path));
	run_for(50);
	assert_int_equal(t.at, 1);
	/* the same host by another name */
	snprintf(
		text, sizeof(text),
		"{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":"
		"\"k\"}}],\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":"
		"\"http://127.0.0.1:%d/./\"}}]}",
		t.port);
	write_file("config", text);
	if (kb_source_reload(t.source, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	until_log("begin +a end begin +b end ");
	stop();
}

static void unreachable_server_backs_off(void **state)
{
	struct kb_source_kind_status st;

	(void)state;
	play(NULL, 0, NULL);
	uv_close((uv_handle_t *)&t.listener, NULL);
	run_for(1500);
	st = status();
	assert_false(st.synced);
	assert_in_range(st.failures, 2, 7);
	assert_true(strlen(st.error) > 0);
	stop();
}

static void what_is_watched_is_chosen(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = BOOKMARK("20", "true")},
	};

	(void)state;
	play(steps, 1, NULL);
	until_log("begin end ");
	until_settled(KB_SLICE);
	until_settled(KB_NAMESPACE);
	assert_true(status_of(KB_SLICE).synced);
	assert_true(status_of(KB_NAMESPACE).synced);
	assert_false(status_of(KB_POD).wanted);
	assert_null(strstr(t.others, "pods"));
	stop();

	play_config(steps, 1, NULL, (struct kb_source_config){.no_endpoints = true, .pods = true});
	/* what may not be read is told, and holds up nothing else */
	t.refused = "/pods?";
	until_log("begin end ");
	until_settled(KB_POD);
	until_settled(KB_NAMESPACE);
	assert_true(status_of(KB_POD).wanted);
	assert_false(status_of(KB_POD).synced);
	assert_string_equal(status_of(KB_POD).error, "pods: HTTP 403 that is forbidden");
	assert_true(status_of(KB_NAMESPACE).synced);
	/* those that have ended stay with the server */
	assert_non_null(strstr(t.others,
			       "GET /api/v1/pods?fieldSelector=status.phase%21%3DSucceeded"
			       "%2Cstatus.phase%21%3DFailed"
			       "%2Cstatus.phase%21%3DUnknown&watch=1"));
	assert_null(strstr(t.others, "endpointslices"));
	assert_false(status_of(KB_SLICE).wanted);
	stop();
}

static void labels_are_asked_for(void **state)
{
	static const struct step steps[] = {
		{.expect = {"GET /api/v1/services?labelSelector=app%20in%20%28a%2Cb%29%2C%21old&"
			    "watch=1",
			    "sendInitialEvents=true"},
		 .status = 400,
		 .end = FINISH},
		{.expect = {"/services?labelSelector=app%20in%20%28a%2Cb%29%2C%21old&limit=500 "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"x\"},"
			 "\"items\":[]}",
		 .end = FINISH},
		{.expect = {"%21old&limit=500&continue=x "}, .status = 410, .end = FINISH},
		{.expect = {"/services?labelSelector=app%20in%20%28a%2Cb%29%2C%21old "},
		 .body = "{\"metadata\":{\"resourceVersion\":\"8\"},\"items\":[" OBJECT("a",
											"1") "]}",
		 .end = FINISH},
		/* what leaves the selection is deleted to us */
		{.expect = {"labelSelector=app%20in%20%28a%2Cb%29%2C%21old&watch=1",
			    "resourceVersion=8"},
		 .body = EVENT("DELETED", "a", "9")},
	};
	struct kb_source_config config = {.labels = "app in (a,b),!old", .pods = true};

	(void)state;
	play_config(steps, 5, NULL, config);
	until_log("begin abort begin +a end -a ");
	until_settled(KB_SLICE);
	until_settled(KB_POD);
	until_settled(KB_NAMESPACE);
	assert_non_null(strstr(t.others, "/endpointslices?labelSelector=app%20in"));
	assert_non_null(strstr(t.others, "%3DUnknown&labelSelector=app%20in"));
	assert_non_null(strstr(t.others, "/namespaces?watch=1"));
	stop();
}

#define CONFIGMAP(type, version, data)                                                         \
	"{\"type\":\"" type "\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\","     \
	"\"metadata\":{\"name\":\"core\",\"namespace\":\"dns\",\"resourceVersion\":\"" version \
	"\"},\"data\":" data "}}\n"
#define CONFIG_WATCH "/configmaps?fieldSelector=metadata.name%3Dcore&watch=1"

static void configmap_is_watched(void **state)
{
	static const struct step steps[] = {
		{.status = 403,
		 .body = "{\"kind\":\"Status\",\"message\":\"configmaps is forbidden\"}",
		 .end = FINISH},
		{.expect = {CONFIG_WATCH, "sendInitialEvents=true"},
		 .body = CONFIGMAP("ADDED", "5", "{\"Corefile\":\"one\"}") BOOKMARK("6", "true"),
		 .end = FINISH},
		{.expect = {CONFIG_WATCH, "resourceVersion=6"},
		 .body = CONFIGMAP("MODIFIED", "7", "{\"Corefile\":\"two\"}")
			 CONFIGMAP("MODIFIED", "8", "{\"Corefile\":\"two\",\"x\":\"y\"}")
				 CONFIGMAP("MODIFIED", "9", "{\"x\":\"y\"}") CONFIGMAP(
					 "MODIFIED", "10", "{\"Corefile\":\"three\"}")
					 CONFIGMAP("DELETED", "11", "{\"Corefile\":\"three\"}")
						 CONFIGMAP("ADDED", "12",
							   "{\"Corefile\":\"three\"}") EXPIRED},
		/* gone meanwhile */
		{.expect = {CONFIG_WATCH, "sendInitialEvents=true"},
		 .body = BOOKMARK("20", "true") CONFIGMAP("ADDED", "21", "{\"Corefile\":[]}")},
	};
	struct kb_source_config config = {.configmap = "dns/core", .configmap_key = "Corefile"};

	(void)state;
	play_config(steps, 4, NULL, config);
	until_settled(KB_CONFIGMAP);
	assert_string_equal(status_of(KB_CONFIGMAP).error,
			    "configmaps: HTTP 403 configmaps is forbidden");
	until_log("[one] [two] [NULL] [three] [NULL] [three] [NULL] ");
	assert_true(status_of(KB_CONFIGMAP).synced);
	assert_int_equal(status_of(KB_CONFIGMAP).relists, 2);
	until_settled(KB_SERVICE); /* which nothing of this holds up */
	assert_true(status_of(KB_SERVICE).synced);
	assert_int_equal(status_of(KB_CONFIGMAP).skipped, 1);
	assert_string_equal(status_of(KB_CONFIGMAP).error, "configmaps: its text is not a string");
	stop();
}

/* From the server's write to the sink's call, on one loop. */
static void events_arrive_at_once(void **state)
{
	static const struct step steps[] = {
		{.expect = WATCH_LIST, .body = BOOKMARK("20", "true")},
	};
	uint64_t sum = 0, worst = 0;

	(void)state;
	play(steps, 1, NULL);
	until_log("begin end ");
	for (int i = 0; i < 200; i++) {
		uint64_t start;

		run_for(1);
		t.log[0] = 0;
		start = uv_hrtime();
		put_chunk(t.held, ADDED("a", "21"));
		until_log("+a ");
		sum += t.seen_ns - start;
		worst = t.seen_ns - start > worst ? t.seen_ns - start : worst;
	}
	print_message("event to sink: mean %llu us, worst %llu us\n",
		      (unsigned long long)(sum / 200000), (unsigned long long)(worst / 1000));
	assert_true(sum / 200 < 1000000);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initial_events_then_changes),
		cmocka_unit_test(resumes_from_the_last_version),
		cmocka_unit_test(gone_lists_anew),
		cmocka_unit_test(refused_watch_list_falls_back),
		cmocka_unit_test(expired_continue_lists_whole),
		cmocka_unit_test(broken_lists_never_end),
		cmocka_unit_test(silence_reopens),
		cmocka_unit_test(silence_before_the_end_falls_back),
		cmocka_unit_test(refusals_are_told),
		cmocka_unit_test(token_is_read_again),
		cmocka_unit_test(bad_events_are_skipped),
		cmocka_unit_test(protobuf_is_asked_for_and_read),
		cmocka_unit_test(broken_protobuf_lists_never_end),
		cmocka_unit_test(bad_frames_are_skipped),
		cmocka_unit_test(reload_with_another_server_lists_anew),
		cmocka_unit_test(unreachable_server_backs_off),
		cmocka_unit_test(what_is_watched_is_chosen),
		cmocka_unit_test(labels_are_asked_for),
		cmocka_unit_test(configmap_is_watched),
		cmocka_unit_test(events_arrive_at_once),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
