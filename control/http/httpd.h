/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics, /healthz and /readyz over HTTP, on the main loop and without a thread.
 *
 * Only GET and HEAD; KB_HTTPD_CONNECTIONS_MAX connections; a request with its headers has
 * KB_HTTPD_REQUEST_MAX bytes; a connection idle for KB_HTTPD_IDLE_S is closed. /health and
 * /ready are taken too, for probes written for CoreDNS.
 */
#ifndef KB_HTTP_HTTPD_H
#define KB_HTTP_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "control/config/parse.h"
#include "control/http/metrics.h"

#define KB_HTTPD_CONNECTIONS_MAX 32
#define KB_HTTPD_REQUEST_MAX	 8192
#define KB_HTTPD_IDLE_S		 10

struct kb_httpd;

/* Called on the loop's thread for each request. `why` (never NULL, one line, borrowed
 * until the callback's next run) goes into the body when false is returned. */
struct kb_httpd_ops {
	void *arg;
	void (*metrics)(void *arg, struct kb_metrics *m);
	bool (*healthy)(void *arg, const char **ret_why);
	bool (*ready)(void *arg, const char **ret_why);
};

/* Listens on the address, or with the socket `fd` of a former server (taken over, also on failure),
 * unless that is -1. 0, or -errno with one line in err. `ops` is copied. */
int kb_httpd_new(uv_loop_t *loop, const struct kb_addr_port *listen, int fd,
		 const struct kb_httpd_ops *ops, struct kb_httpd **ret_httpd, char *err,
		 size_t err_size);
/* Accepts no connection any more and gives its listening socket to the caller; -1 if there is none.
 * Connections go on. */
int kb_httpd_quiesce(struct kb_httpd *httpd);
/* Stops at once. The loop must run once more for libuv to let go of the handles;
 * memory is freed then. */
void kb_httpd_free(struct kb_httpd *httpd);

#endif
