/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of a reflector share: watch.c makes the requests and decides what comes
 * next, watch_read.c reads what they bring. Main loop's thread only.
 */
#ifndef KB_KUBE_WATCH_PRIVATE_H
#define KB_KUBE_WATCH_PRIVATE_H

#include "control/kube/json_split.h"
#include "control/kube/pb_split.h"
#include "control/kube/watch.h"

#define KB_WATCH_BODY_MAX 4096
#define KB_VERSION_MAX	  128

/* INITIAL: a watch that begins with the list (sendInitialEvents). */
enum phase { IDLE, INITIAL, LIST, WATCH };

/* Why the data callback ended a transfer. */
enum stop { NOT_STOPPED, STOP_GONE, STOP_ERROR };

struct kb_watch {
	struct kb_watch_server *server; /* borrowed */
	enum kb_kind kind;
	char *resource; /* owned: path and selection */
	uv_timer_t retry, silence;
	unsigned handles;		 /* timers still to be closed */
	struct kb_http_request *request; /* owned while it runs */
	enum kb_encoding encoding;	 /* of the response, which says so */
	struct kb_json_split *json;	 /* owned */
	struct kb_pb_split *pb;		 /* owned */

	enum phase phase;
	bool in_list;	 /* relist_begin was called, its end was not */
	bool whole_list; /* no pages: a continue token expired */
	bool fresh;	 /* the next request needs its own connection */
	bool retried_401;
	bool has_items; /* the list's document came, and was a list */
	bool watched;	/* a watch since the last list: the next reconnects */
	enum stop stop;
	char version[KB_VERSION_MAX];	   /* to resume from; "" means list first */
	char list_version[KB_VERSION_MAX]; /* of the list under way */
	char *next_page;		   /* owned: the continue token, NULL at the start */
	uint64_t list_until_ms;		   /* until then, lists instead of watch-lists */
	uint64_t started_ms, last_item_ms, timeout_ms;
	uint64_t events_before; /* status.events when this request was made */
	unsigned failures;	/* in a row, for the back-off */

	char body[KB_WATCH_BODY_MAX]; /* of a response that is not 200 */
	size_t body_len;
	struct kb_source_kind_status status;
};

static inline uint64_t kb_watch_now_ms(const struct kb_watch *w)
{
	return uv_now(w->server->loop);
}

/* What went wrong last, for the operator. */
void kb_watch_set_error(struct kb_watch *w, const char *what);

/* The list under way: begin and abort do nothing when there is none to begin or to abort. */
void kb_watch_list_begin(struct kb_watch *w);
void kb_watch_list_abort(struct kb_watch *w);
void kb_watch_list_end(struct kb_watch *w, const char *version);

/* The readers of both encodings; `encoding` says which one a response needs. 0 or -errno, free
 * takes what new made. */
int kb_watch_read_new(struct kb_watch *w);
void kb_watch_read_free(struct kb_watch *w);
void kb_watch_read_reset(struct kb_watch *w, enum kb_split_mode mode);
int kb_watch_read_feed(struct kb_watch *w, const char *bytes, size_t len);
int kb_watch_read_finish(struct kb_watch *w);
const char *kb_watch_read_error(const struct kb_watch *w);

#endif
