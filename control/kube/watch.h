/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reflector of one kind: keeps the sink equal to what the API server has.
 *
 *	           +--------- refused (400, 422, ...) ----------+
 *	           |                                            v
 *	start --> INITIAL                                      LIST <--+ next page
 *	           | streaming watch-list;                      |------+
 *	           | its end is a bookmark                      | last page
 *	           +------------------> WATCH <-----------------+
 *	                                 |  ^
 *	          ended, broken, silent  |  | from the last resourceVersion
 *	                                 +--+ after a back-off
 *
 * 410 Gone (as status or as event) and a version the server does not know lead
 * back to start, bracketed by relist_begin/relist_end so that nothing is emptied.
 * A list that breaks off is aborted and begun again. All on the main loop.
 */
#ifndef KB_KUBE_WATCH_H
#define KB_KUBE_WATCH_H

#include <uv.h>

#include "control/kube/access.h"
#include "control/kube/http.h"
#include "control/kube/object_parse.h"
#include "control/kube/source.h"

/* What the reflectors of one server share. All borrowed by them; only `access` may
 * be exchanged while they live. */
struct kb_watch_server {
	uv_loop_t *loop;
	struct kb_http *http;
	struct kb_access *access;
	struct kb_object_parser *parser;
	struct kb_sink sink;
	uint64_t silence_ms;
};

struct kb_watch;

/* `resource` is the path of the list, copied: "/api/v1/pods", and perhaps a selection,
 * "?labelSelector=...". */
int kb_watch_new(struct kb_watch_server *server, enum kb_kind kind, const char *resource,
		 struct kb_watch **ret_watch);
void kb_watch_start(struct kb_watch *watch);
/* The access has changed: attempts that wait are made now. With `relist` (another
 * server) what is open is closed, and everything is listed anew. */
void kb_watch_reload(struct kb_watch *watch, bool relist);
void kb_watch_status(const struct kb_watch *watch, struct kb_source_kind_status *ret_status);
/* Takes NULL; memory goes when the loop has closed the timers. */
void kb_watch_free(struct kb_watch *watch);

#endif
