/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP GET on the main loop: libcurl's multi interface driven by libuv.
 *
 * Body bytes reach the caller as they arrive. Requests to one server share a
 * connection when it speaks HTTP/2. No compression. Main loop's thread only; the
 * callbacks run there too.
 */
#ifndef KB_KUBE_HTTP_H
#define KB_KUBE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "control/kube/access.h"

struct kb_http;
struct kb_http_request;

struct kb_http_result {
	int status;		/* of the response, 0 when there was none */
	bool stopped;		/* the data callback ended it */
	const char *error;	/* why the transfer failed, NULL when it ended well */
	uint32_t retry_after_s; /* the response's Retry-After, 0 when it had none */
};

struct kb_http_ops {
	/* The response's header is complete; content_type is "" when there is none. */
	void (*opened)(void *arg, int status, const char *content_type);
	/* Some of its body; non-zero ends the transfer. */
	int (*data)(void *arg, int status, const char *bytes, size_t len);
	/* The last call for this request, whose pointer is invalid from now on. New
	 * requests may be made from here. Not called after kb_http_cancel. */
	void (*done)(void *arg, const struct kb_http_result *result);
};

int kb_http_new(uv_loop_t *loop, struct kb_http **ret_http);
/* Starts a GET of `path` (with its query) on the server of `access`, which is not
 * needed any more after the call. `accept` is the header line that says which content
 * types are wanted. `fresh` forbids to use a connection that is open
 * already. Callbacks come later, never from within this call. */
int kb_http_get(struct kb_http *http, const struct kb_access *access, const char *path,
		const char *accept, bool fresh, const struct kb_http_ops *ops, void *arg,
		struct kb_http_request **ret_request);
/* Ends a request without another callback; takes NULL. Not to be called from the
 * callbacks opened and data. */
void kb_http_cancel(struct kb_http_request *request);
/* Percent-encodes a query value; NULL when out of memory, free() it. */
char *kb_http_escape(const char *value);
/* Cancels all requests; memory goes when the loop has closed the handles. */
void kb_http_free(struct kb_http *http);

#endif
