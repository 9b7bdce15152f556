/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/httpd.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/log.h"

/*
 * libmicrohttpd polls its sockets with an epoll fd of its own, which we poll in the
 * loop; MHD_run then does what is due. Its timeouts are ours to wait for.
 */
struct kb_httpd {
	struct MHD_Daemon *mhd; /* owned */
	struct kb_httpd_ops ops;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned int handles; /* that libuv has not let go of */
};

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned int status,
			     const char *content_type, const char *allow, char *body, size_t len,
			     enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, body, mode);
	enum MHD_Result r;

	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result queue_text(struct MHD_Connection *connection, unsigned int status,
				  const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	return queue(connection, status, "text/plain; charset=utf-8",
		     status == MHD_HTTP_METHOD_NOT_ALLOWED ? "GET, HEAD" : NULL, line, (size_t)n,
		     MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result serve_metrics(struct kb_httpd *httpd, struct MHD_Connection *connection)
{
	struct kb_metrics m;

	kb_metrics_init(&m);
	httpd->ops.metrics(httpd->ops.arg, &m);
	if (m.text.error) {
		kb_log_limited(KB_LOG_WARN, 1, "/metrics: %s", strerror(-m.text.error));
		kb_metrics_fini(&m);
		return queue_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "metrics too large");
	}
	/* The response takes the buffer over. */
	return queue(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", NULL,
		     m.text.buf, m.text.len, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result serve_verdict(struct MHD_Connection *connection, bool ok, const char *why)
{
	return queue_text(connection, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
			  ok ? "ok" : why);
}

static enum MHD_Result serve_healthy(struct kb_httpd *httpd, struct MHD_Connection *connection)
{
	const char *why = "not healthy";
	bool ok = httpd->ops.healthy(httpd->ops.arg, &why);

	return serve_verdict(connection, ok, why);
}

static enum MHD_Result serve_ready(struct kb_httpd *httpd, struct MHD_Connection *connection)
{
	const char *why = "not ready";
	bool ok = httpd->ops.ready(httpd->ops.arg, &why);

	return serve_verdict(connection, ok, why);
}

static const struct {
	const char *path;
	enum MHD_Result (*serve)(struct kb_httpd *httpd, struct MHD_Connection *connection);
} routes[] = {
	{"/metrics", serve_metrics}, {"/healthz", serve_healthy}, {"/readyz", serve_ready},
	{"/health", serve_healthy},  {"/ready", serve_ready},
};

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **con_cls)
{
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)con_cls;
	/* Answered before a body is read: MHD then closes the connection. */
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return queue_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(url, routes[i].path) == 0)
			return routes[i].serve(arg, connection);
	}
	return queue_text(connection, MHD_HTTP_NOT_FOUND, "try /metrics, /healthz or /readyz");
}

static void on_mhd_log(void *arg, const char *format, va_list ap)
{
	char text[256];

	(void)arg;
	vsnprintf(text, sizeof(text), format, ap);
	kb_log_debug("http: %s", text);
}

static void on_timer(uv_timer_t *timer);

static void run(struct kb_httpd *httpd)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(httpd->mhd);
	/* At the limit it stops listening, and it begins again only at the start of the run after
	 * the one that has cleaned up: without a second run nothing might ever wake us. */
	MHD_run(httpd->mhd);
	if (MHD_get_timeout(httpd->mhd, &wait_ms) == MHD_YES)
		uv_timer_start(&httpd->timer, on_timer, wait_ms, 0);
	else
		uv_timer_stop(&httpd->timer);
}

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

/* MHD would bind itself, but says nothing about why it could not. The fd is the
 * caller's. */
static int listen_socket(const struct kb_addr_port *listen_on, int *ret_fd, char *err,
			 size_t err_size)
{
	struct sockaddr_storage ss = {0};
	char text[KB_ADDR_TEXT_MAX];
	const char *cure = "";
	int one = 1, fd, r;
	socklen_t len;

	if (listen_on->addr.family == 6) {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&ss;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(listen_on->port);
		memcpy(&sin6->sin6_addr, listen_on->addr.b, 16);
		len = sizeof(*sin6);
	} else {
		struct sockaddr_in *sin = (struct sockaddr_in *)&ss;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(listen_on->port);
		memcpy(&sin->sin_addr, listen_on->addr.b, 4);
		len = sizeof(*sin);
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    (ss.ss_family == AF_INET ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, 64) == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = -errno;
	if (fd >= 0)
		close(fd);
	if (r == -EADDRINUSE)
		cure = ", choose another port";
	else if (r == -EADDRNOTAVAIL)
		cure = ", give an address of this node";
	else if (r == -EACCES)
		cure = ", run as root or choose a port above 1023";
	snprintf(err, err_size, "--http %s: %s%s", kb_format_addr_port(listen_on, text),
		 strerror(-r), cure);
	return r;
}

int kb_httpd_new(uv_loop_t *loop, const struct kb_addr_port *listen_on, int fd,
		 const struct kb_httpd_ops *ops, struct kb_httpd **ret_httpd, char *err,
		 size_t err_size)
{
	struct kb_httpd *httpd = calloc(1, sizeof(*httpd));
	const union MHD_DaemonInfo *info;
	int r = -ENOMEM;

	if (!httpd)
		goto no_memory;
	httpd->ops = *ops;
	r = fd < 0 ? listen_socket(listen_on, &fd, err, err_size) : 0;
	if (r < 0)
		goto err;
	httpd->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
				      httpd, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
				      MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				      (unsigned int)KB_HTTPD_CONNECTIONS_MAX,
				      MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				      (size_t)KB_HTTPD_REQUEST_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
				      (unsigned int)KB_HTTPD_IDLE_S, MHD_OPTION_END);
	r = -ENOMEM;
	if (!httpd->mhd)
		goto no_memory;
	fd = -1; /* MHD closes it */
	info = MHD_get_daemon_info(httpd->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? uv_poll_init(loop, &httpd->poll, info->epoll_fd) : -ENOSYS;
	if (r < 0) {
		snprintf(err, err_size, "--http: %s", strerror(-r));
		goto err;
	}
	uv_timer_init(loop, &httpd->timer);
	httpd->handles = 2;
	httpd->poll.data = httpd;
	httpd->timer.data = httpd;
	uv_poll_start(&httpd->poll, UV_READABLE, on_poll);
	*ret_httpd = httpd;
	return 0;
no_memory:
	snprintf(err, err_size, "--http: out of memory");
err:
	if (fd >= 0)
		close(fd);
	kb_httpd_free(httpd);
	return r;
}

int kb_httpd_quiesce(struct kb_httpd *httpd)
{
	return MHD_quiesce_daemon(httpd->mhd);
}

static void on_closed(uv_handle_t *handle)
{
	struct kb_httpd *httpd = handle->data;

	if (--httpd->handles == 0)
		free(httpd);
}

void kb_httpd_free(struct kb_httpd *httpd)
{
	if (!httpd)
		return;
	if (httpd->handles) /* before MHD closes the fd that is polled */
		uv_poll_stop(&httpd->poll);
	if (httpd->mhd)
		MHD_stop_daemon(httpd->mhd);
	httpd->mhd = NULL;
	if (!httpd->handles) {
		free(httpd);
		return;
	}
	uv_close((uv_handle_t *)&httpd->poll, on_closed);
	uv_close((uv_handle_t *)&httpd->timer, on_closed);
}
