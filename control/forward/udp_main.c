/* SPDX-License-Identifier: Apache-2.0 */
/* What the main loop does for sockets on threads: messages that need the records. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/udp.h"

struct deferred {
	struct deferred *next;
	struct kb_client client;
	size_t len;
	uint8_t msg[];
};

struct kb_udp_main {
	struct kb_server *server; /* borrowed */
	uv_async_t async;
	pthread_mutex_t lock;
	struct deferred *first, **end; /* owned list */
	size_t n;
	uint8_t out[KB_UDP_REPLY_MAX];
};

bool kb_udp_defer(struct kb_udp_main *m, const struct kb_client *client, const uint8_t *msg,
		  size_t len)
{
	struct deferred *d = NULL;

	pthread_mutex_lock(&m->lock);
	if (m->n < KB_UDP_DEFERRED_MAX)
		d = malloc(sizeof(*d) + len);
	if (d) {
		d->next = NULL;
		d->client = *client;
		d->len = len;
		memcpy(d->msg, msg, len);
		*m->end = d;
		m->end = &d->next;
		m->n++;
	}
	pthread_mutex_unlock(&m->lock);
	if (d)
		uv_async_send(&m->async);
	return d;
}

static struct deferred *take(struct kb_udp_main *m)
{
	struct deferred *d;

	pthread_mutex_lock(&m->lock);
	d = m->first;
	m->first = NULL;
	m->end = &m->first;
	m->n = 0;
	pthread_mutex_unlock(&m->lock);
	return d;
}

static void answer(struct kb_udp_main *m, struct deferred *d)
{
	struct kb_server *s = m->server;
	size_t len = kb_respond(s->responder, d->msg, d->len, false, m->out, sizeof(m->out));
	enum kb_event_origin origin = KB_ORIGIN_TABLE;

	if (!len) {
		s->client = d->client;
		len = kb_server_forward(s, m->out, sizeof(m->out));
		origin = KB_ORIGIN_CACHE;
	}
	if (!len)
		return;
	kb_querylog_reply(s->log, &d->client.asked, m->out, len, origin);
	if (kb_client_send(&d->client, m->out, len))
		return;
	s->stats.udp_send_failed++;
	kb_responder_count(s->responder, KB_CNT_WRITE_FAILED);
}

static void on_async(uv_async_t *async)
{
	struct kb_udp_main *m = async->data;
	struct deferred *d, *next;

	for (d = take(m); d; d = next) {
		next = d->next;
		answer(m, d);
		free(d);
	}
}

int kb_udp_main_new(struct kb_server *s, struct kb_udp_main **ret_main)
{
	struct kb_udp_main *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = uv_async_init(s->loop, &m->async, on_async);
	if (r < 0) {
		free(m);
		return r;
	}
	m->server = s;
	m->async.data = m;
	m->end = &m->first;
	pthread_mutex_init(&m->lock, NULL);
	s->handles++;
	*ret_main = m;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct kb_udp_main *m = handle->data;
	struct kb_server *s = m->server;

	pthread_mutex_destroy(&m->lock);
	free(m);
	s->handles--;
	kb_server_put(s);
}

void kb_udp_main_free(struct kb_udp_main *m)
{
	struct deferred *d, *next;

	if (!m)
		return;
	for (d = take(m); d; d = next) {
		next = d->next;
		free(d);
	}
	uv_close((uv_handle_t *)&m->async, on_closed);
}
