/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP GET of http.h: sockets and timer of curl's multi handle on a libuv loop. */
#include "control/kube/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CONNECT_TIMEOUT_MS = 10000,
	KEEPALIVE_IDLE_S = 30,
	KEEPALIVE_INTERVAL_S = 10,
	CONNECTIONS_KEPT = 4,
};

struct kb_http {
	uv_timer_t timer;
	CURLM *multi;		     /* owned */
	struct kb_http_request *all; /* owned, a list */
	unsigned handles;	     /* libuv handles still to be closed */
	bool closing;
};

struct kb_http_request {
	struct kb_http *http; /* borrowed */
	struct kb_http_request *next, **prev;
	CURL *easy;		       /* owned */
	struct curl_slist *headers;    /* owned */
	struct curl_slist *connect_to; /* owned */
	const struct kb_http_ops *ops; /* borrowed, static */
	void *arg;		       /* borrowed */
	bool stopped;
	char error[CURL_ERROR_SIZE];
};

struct watched_socket {
	uv_poll_t poll;
	struct kb_http *http; /* borrowed */
	curl_socket_t fd;     /* borrowed from curl */
};

static void handle_closed(struct kb_http *http)
{
	if (--http->handles == 0 && http->closing)
		free(http);
}

static void request_free(struct kb_http_request *q)
{
	if (q->prev) {
		*q->prev = q->next;
		if (q->next)
			q->next->prev = q->prev;
	}
	if (q->easy) {
		curl_multi_remove_handle(q->http->multi, q->easy);
		curl_easy_cleanup(q->easy);
	}
	curl_slist_free_all(q->headers);
	curl_slist_free_all(q->connect_to);
	free(q);
}

static void finish_request(struct kb_http_request *q, CURLcode code)
{
	const struct kb_http_ops *ops = q->ops;
	struct kb_http_result result = {.stopped = q->stopped};
	char error[CURL_ERROR_SIZE];
	curl_off_t retry_after = 0;
	void *arg = q->arg;
	long status = 0;

	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(q->easy, CURLINFO_RETRY_AFTER, &retry_after);
	result.status = (int)status;
	if (retry_after > 0)
		result.retry_after_s = retry_after < 86400 ? (uint32_t)retry_after : 86400;
	if (code != CURLE_OK && !q->stopped) {
		snprintf(error, sizeof(error), "%s",
			 *q->error ? q->error : curl_easy_strerror(code));
		result.error = error;
	}
	request_free(q);
	ops->done(arg, &result);
}

/* Ended transfers are reported from here, where nothing of curl is on the stack. */
static void reap(struct kb_http *http)
{
	struct kb_http_request *q;
	CURLMsg *msg;
	int left;

	while (!http->closing && (msg = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&q);
		finish_request(q, code);
	}
}

/* Closing is put off to the end of the callback that runs: see kb_http_free. */
static void act(struct kb_http *http, curl_socket_t fd, int flags)
{
	int running;

	curl_multi_socket_action(http->multi, fd, flags, &running);
	reap(http);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct watched_socket *w = poll->data;
	int flags = 0;

	if (status < 0)
		flags |= CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(w->http, w->fd, flags);
}

static void on_timer(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket_closed(uv_handle_t *handle)
{
	struct watched_socket *w = handle->data;

	handle_closed(w->http);
	free(w);
}

static struct watched_socket *watch_socket(struct kb_http *http, curl_socket_t fd)
{
	struct watched_socket *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->http = http;
	w->fd = fd;
	if (uv_poll_init_socket(http->timer.loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	http->handles++;
	curl_multi_assign(http->multi, fd, w);
	return w;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct watched_socket *w = socket_arg;
	struct kb_http *http = arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			curl_multi_assign(http->multi, fd, NULL);
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, on_socket_closed);
		}
		return 0;
	}
	if (!w)
		w = watch_socket(http, fd);
	if (!w)
		return -1;
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->poll, events, on_readable) < 0 ? -1 : 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct kb_http *http = arg;

	(void)multi;
	if (timeout_ms < 0)
		uv_timer_stop(&http->timer);
	else if (!http->closing)
		uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

int kb_http_new(uv_loop_t *loop, struct kb_http **ret_http)
{
	struct kb_http *http;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -EIO;
	http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->multi = curl_multi_init();
	if (!http->multi) {
		free(http);
		return -ENOMEM;
	}
	r = uv_timer_init(loop, &http->timer);
	if (r < 0) {
		curl_multi_cleanup(http->multi);
		free(http);
		return r;
	}
	http->timer.data = http;
	http->handles = 1;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	*ret_http = http;
	return 0;
}

static void on_http_timer_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

void kb_http_free(struct kb_http *http)
{
	if (!http)
		return;
	http->closing = true;
	while (http->all)
		request_free(http->all);
	curl_multi_cleanup(http->multi);
	uv_close((uv_handle_t *)&http->timer, on_http_timer_closed);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct kb_http_request *q = arg;
	const char *content_type = NULL;
	long status = 0;

	/* The empty line after the header; 1xx responses are not the one awaited. */
	if (size * n == 2 && !memcmp(line, "\r\n", 2)) {
		curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(q->easy, CURLINFO_CONTENT_TYPE, &content_type);
		if (status >= 200)
			q->ops->opened(q->arg, (int)status, content_type ? content_type : "");
	}
	return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct kb_http_request *q = arg;
	long status = 0;

	curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
	if (q->ops->data(q->arg, (int)status, bytes, size * n)) {
		q->stopped = true;
		return 0;
	}
	return size * n;
}

static int set_url(struct kb_http_request *q, const struct kb_access *a, const char *path)
{
	char *url = kb_access_format("%s%s", a->server, path), *host = NULL, *port = NULL,
	     *to = NULL;
	CURLU *u = NULL;
	int r = -ENOMEM;

	if (!url)
		return -ENOMEM;
	if (a->tls_server_name) {
		/* The certificate is checked against the URL's host: put the name there
		 * and say where to connect to instead. */
		u = curl_url();
		if (!u)
			goto out;
		r = -EINVAL;
		if (curl_url_set(u, CURLUPART_URL, url, 0) ||
		    curl_url_get(u, CURLUPART_HOST, &host, 0) ||
		    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
		    curl_url_set(u, CURLUPART_HOST, a->tls_server_name, 0))
			goto out;
		free(url);
		url = NULL;
		if (curl_url_get(u, CURLUPART_URL, &to, 0))
			goto out;
		r = -ENOMEM;
		url = strdup(to);
		curl_free(to);
		to = kb_access_format("%s:%s:%s:%s", a->tls_server_name, port, host, port);
		if (!url || !to)
			goto out_to;
		q->connect_to = curl_slist_append(NULL, to);
		if (!q->connect_to)
			goto out_to;
		curl_easy_setopt(q->easy, CURLOPT_CONNECT_TO, q->connect_to);
	}
	r = curl_easy_setopt(q->easy, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
out_to:
	free(to);
out:
	curl_url_cleanup(u);
	curl_free(host);
	curl_free(port);
	free(url);
	return r;
}

static void set_blob(CURL *easy, CURLoption option, const struct kb_secret *s)
{
	struct curl_blob blob = {.data = s->data, .len = s->len, .flags = CURL_BLOB_COPY};

	if (s->data)
		curl_easy_setopt(easy, option, &blob);
}

static int add_header(struct kb_http_request *q, const char *line)
{
	struct curl_slist *more = line ? curl_slist_append(q->headers, line) : NULL;

	if (!more)
		return -ENOMEM;
	q->headers = more;
	return 0;
}

static int set_credentials(struct kb_http_request *q, const struct kb_access *a)
{
	char *bearer;
	int r = 0;

	curl_easy_setopt(q->easy, CURLOPT_SSL_VERIFYPEER, a->insecure ? 0L : 1L);
	curl_easy_setopt(q->easy, CURLOPT_SSL_VERIFYHOST, a->insecure ? 0L : 2L);
	set_blob(q->easy, CURLOPT_CAINFO_BLOB, &a->ca);
	set_blob(q->easy, CURLOPT_SSLCERT_BLOB, &a->cert);
	set_blob(q->easy, CURLOPT_SSLKEY_BLOB, &a->key);
	if (a->proxy)
		curl_easy_setopt(q->easy, CURLOPT_PROXY, a->proxy);
	if (a->token.data) {
		bearer = kb_access_format("Authorization: Bearer %s", a->token.data);
		r = add_header(q, bearer);
		if (bearer)
			explicit_bzero(bearer, strlen(bearer));
		free(bearer);
	}
	return r;
}

static int set_request(struct kb_http_request *q, const struct kb_access *a, const char *path,
		       const char *accept, bool fresh)
{
	bool tls = !strncmp(a->server, "https:", 6);
	int r;

	r = set_url(q, a, path);
	if (!r)
		r = set_credentials(q, a);
	if (!r)
		r = add_header(q, accept);
	if (r < 0)
		return r;
	curl_easy_setopt(q->easy, CURLOPT_HTTPHEADER, q->headers);
	curl_easy_setopt(q->easy, CURLOPT_USERAGENT, "kbdnsd");
	curl_easy_setopt(q->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(q->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
	/* Wait for the first connection's protocol rather than open three. */
	curl_easy_setopt(q->easy, CURLOPT_PIPEWAIT, tls ? 1L : 0L);
	curl_easy_setopt(q->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
	curl_easy_setopt(q->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(q->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(q->easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(q->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(q->easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
	curl_easy_setopt(q->easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S);
	curl_easy_setopt(q->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(q->easy, CURLOPT_ERRORBUFFER, q->error);
	curl_easy_setopt(q->easy, CURLOPT_PRIVATE, (char *)q);
	curl_easy_setopt(q->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(q->easy, CURLOPT_HEADERDATA, q);
	curl_easy_setopt(q->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(q->easy, CURLOPT_WRITEDATA, q);
	return 0;
}

int kb_http_get(struct kb_http *http, const struct kb_access *access, const char *path,
		const char *accept, bool fresh, const struct kb_http_ops *ops, void *arg,
		struct kb_http_request **ret_request)
{
	struct kb_http_request *q = calloc(1, sizeof(*q));
	int r = -ENOMEM;

	if (!q)
		return -ENOMEM;
	q->http = http;
	q->ops = ops;
	q->arg = arg;
	q->easy = curl_easy_init();
	if (!q->easy)
		goto err;
	r = set_request(q, access, path, accept, fresh);
	if (r < 0)
		goto err;
	if (curl_multi_add_handle(http->multi, q->easy) != CURLM_OK) {
		r = -EIO;
		goto err;
	}
	q->next = http->all;
	q->prev = &http->all;
	if (q->next)
		q->next->prev = &q->next;
	http->all = q;
	*ret_request = q;
	return 0;
err:
	request_free(q);
	return r;
}

void kb_http_cancel(struct kb_http_request *request)
{
	if (request)
		request_free(request);
}

char *kb_http_escape(const char *value)
{
	char *escaped = curl_easy_escape(NULL, value, 0), *copy;

	copy = escaped ? strdup(escaped) : NULL;
	curl_free(escaped);
	return copy;
}
