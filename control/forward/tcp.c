/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections (RFC 7766). Main loop's thread.
 *
 *   read --> in: frames --respond--> server's out --try_write--> client
 *                                          \--> waiting, while the client does not read
 *
 * A connection reads ahead at most one frame's worth. It is in one of three states:
 * reading; having frames left after a batch of replies, its next turn to come (`more`);
 * or waiting for the client to take replies. It reads in the first one only. Replies of the
 * forwarder come later and in any order, which RFC 7766 section 6.2.1.1 allows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/forward/private.h"

#define FRAME	     2 /* bytes of length */
#define ACCEPT_BATCH 16

struct kb_conn {
	struct kb_server *server; /* borrowed; outlives its connections */
	struct kb_conn *next;
	uint64_t number; /* tells it from all others, earlier ones too */
	uv_tcp_t tcp;
	uv_write_t write;
	struct kb_addr from;
	struct sockaddr_storage peer, local;
	uint64_t deadline_ms;
	uint8_t *waiting; /* owned; NULL unless the client is behind */
	size_t waiting_len;
	uint32_t skip;	 /* bytes of an overlong query still to come */
	uint32_t in_len; /* bytes in `in` */
	bool closing, more;
	uint8_t in[FRAME + KB_SOCKET_QUERY_MAX];
};

static void on_closed(uv_handle_t *handle)
{
	struct kb_conn *c = handle->data;
	struct kb_server *s = c->server;
	struct kb_conn **at = &s->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	s->stats.tcp_waiting -= c->waiting_len;
	free(c->waiting);
	free(c);
	s->stats.tcp_open--;
	s->handles--;
	kb_server_put(s);
}

static void conn_close(struct kb_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	c->more = false;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void touch(struct kb_conn *c)
{
	c->deadline_ms = uv_now(c->server->loop) + c->server->idle_ms;
}

static void serve(struct kb_conn *c);

static void on_written(uv_write_t *req, int status)
{
	struct kb_conn *c = req->data;
	struct kb_server *s = c->server;

	s->stats.tcp_waiting -= c->waiting_len;
	free(c->waiting);
	c->waiting = NULL;
	c->waiting_len = 0;
	if (c->closing)
		return;
	if (status < 0) {
		conn_close(c);
		return;
	}
	touch(c);
	serve(c);
}

/* Keeps what the client did not take at once. */
static void wait_for_client(struct kb_conn *c, const uint8_t *rest, size_t len)
{
	struct kb_server *s = c->server;
	uv_buf_t buf;

	if (len > s->waiting_max - s->stats.tcp_waiting) {
		s->stats.tcp_overflowed++;
		conn_close(c);
		return;
	}
	c->waiting = malloc(len);
	if (!c->waiting) {
		conn_close(c);
		return;
	}
	memcpy(c->waiting, rest, len);
	c->waiting_len = len;
	s->stats.tcp_waiting += len;
	buf = uv_buf_init((char *)c->waiting, (unsigned int)len);
	c->write.data = c;
	if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) < 0)
		conn_close(c);
}

static void send_out(struct kb_conn *c, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)c->server->out, (unsigned int)len);
	int r;

	if (!len)
		return;
	r = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	if (r == UV_EAGAIN)
		r = 0;
	if (r < 0)
		conn_close(c);
	else if ((size_t)r < len)
		wait_for_client(c, c->server->out + r, len - (size_t)r);
}

/* A reply that came late and that the client did not take at once. */
struct late {
	uv_write_t write;
	struct kb_conn *conn; /* borrowed; outlives its writes */
	size_t len;
	uint8_t bytes[];
};

static void on_late_written(uv_write_t *req, int status)
{
	struct late *late = req->data;
	struct kb_conn *c = late->conn;

	c->server->stats.tcp_waiting -= late->len;
	free(late);
	if (status < 0)
		conn_close(c);
	else
		touch(c);
}

static void write_late(struct kb_conn *c, const uint8_t *rest, size_t len)
{
	struct kb_server *s = c->server;
	struct late *late = NULL;
	uv_buf_t buf;

	if (len > s->waiting_max - s->stats.tcp_waiting)
		s->stats.tcp_overflowed++;
	else
		late = malloc(sizeof(*late) + len);
	if (!late) {
		conn_close(c);
		return;
	}
	memcpy(late->bytes, rest, len);
	late->conn = c;
	late->len = len;
	late->write.data = late;
	buf = uv_buf_init((char *)late->bytes, (unsigned int)len);
	if (uv_write(&late->write, (uv_stream_t *)&c->tcp, &buf, 1, on_late_written) < 0) {
		free(late);
		conn_close(c);
		return;
	}
	s->stats.tcp_waiting += len;
}

void kb_server_deliver(struct kb_server *s, uint64_t conn, const uint8_t *msg, size_t len)
{
	struct kb_conn *c = s->conns;
	uv_buf_t buf = uv_buf_init((char *)s->out, (unsigned int)(FRAME + len));
	int r;

	while (c && c->number != conn)
		c = c->next;
	if (!c || c->closing)
		return;
	s->out[0] = (uint8_t)(len >> 8);
	s->out[1] = (uint8_t)len;
	memcpy(s->out + FRAME, msg, len);
	r = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	if (r == UV_EAGAIN)
		r = 0;
	if (r < 0)
		conn_close(c);
	else if ((size_t)r < FRAME + len)
		write_late(c, s->out + r, FRAME + len - (size_t)r);
}

/* Takes n bytes off the front of what has been read. */
static void consume(struct kb_conn *c, size_t n)
{
	memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= (uint32_t)n;
}

/* Answers the frames that have been read, up to a batch. Returns the bytes in s->out;
 * c->more tells that there may be another frame. */
static size_t answer_frames(struct kb_conn *c)
{
	struct kb_server *s = c->server;
	enum kb_event_origin origin;
	size_t at = 0, out = 0;

	c->more = false;
	while (c->in_len - at >= FRAME) {
		size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];
		size_t have = len < KB_SOCKET_QUERY_MAX ? len : KB_SOCKET_QUERY_MAX, n;

		if (c->in_len - at - FRAME < have)
			break;
		if (out >= KB_TCP_BATCH) {
			c->more = true;
			break;
		}
		s->stats.tcp_queries++;
		touch(c);
		kb_querylog_asked(s->log, &s->log_sampler, (struct sockaddr *)&c->peer,
				  (struct sockaddr *)&c->local, true, c->in + at + FRAME, have,
				  &s->client.asked);
		n = kb_respond(s->responder, c->in + at + FRAME, have, true, s->out + out + FRAME,
			       KB_TCP_REPLY_MAX);
		origin = KB_ORIGIN_TABLE;
		if (!n) {
			s->client.fd = -1;
			s->client.conn = c->number;
			n = kb_server_forward(s, s->out + out + FRAME, KB_TCP_REPLY_MAX);
			origin = KB_ORIGIN_CACHE;
		}
		if (n)
			kb_querylog_reply(s->log, &s->client.asked, s->out + out + FRAME, n,
					  origin);
		at += FRAME + have;
		c->skip = (uint32_t)(len - have);
		if (n) {
			s->out[out] = (uint8_t)(n >> 8);
			s->out[out + 1] = (uint8_t)n;
			out += FRAME + n;
		}
		if (c->skip) {
			size_t skip = c->in_len - at < c->skip ? c->in_len - at : c->skip;

			at += skip;
			c->skip -= (uint32_t)skip;
		}
	}
	consume(c, at);
	return out;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct kb_conn *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)c->in + c->in_len, (unsigned int)(sizeof(c->in) - c->in_len));
}

static void on_more(uv_idle_t *idle)
{
	kb_tcp_more(idle->data);
}

static void take_turns(struct kb_conn *c)
{
	uv_read_stop((uv_stream_t *)&c->tcp);
	c->more = true;
	uv_idle_start(&c->server->more, on_more);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct kb_conn *c = stream->data;
	size_t skip;

	if (n < 0) {
		conn_close(c);
		return;
	}
	c->in_len += (uint32_t)n;
	skip = c->in_len < c->skip ? c->in_len : c->skip;
	if (skip) {
		consume(c, skip);
		c->skip -= (uint32_t)skip;
	}
	serve(c);
	/* There is more where that came from; libuv would read on, 32 times. */
	if ((size_t)n == buf->len && !c->closing && !c->waiting)
		take_turns(c);
}

/* One turn: a batch of replies, and then whatever the connection has to wait for. */
static void serve(struct kb_conn *c)
{
	int r;

	send_out(c, answer_frames(c));
	if (c->closing)
		return;
	if (c->waiting) {
		uv_read_stop((uv_stream_t *)&c->tcp);
		c->more = false; /* on_written comes back here */
	} else if (c->more) {
		take_turns(c);
	} else {
		r = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
		if (r < 0 && r != UV_EALREADY)
			conn_close(c);
	}
}

void kb_tcp_more(struct kb_server *s)
{
	struct kb_conn *c;
	bool any = false;

	for (c = s->conns; c; c = c->next) {
		if (!c->more)
			continue;
		serve(c);
		any |= c->more;
	}
	if (!any)
		uv_idle_stop(&s->more);
}

void kb_tcp_sweep(struct kb_server *s)
{
	uint64_t now = uv_now(s->loop);
	bool pending = false;

	for (struct kb_conn *c = s->conns; c; c = c->next) {
		if (c->closing || c->more || now < c->deadline_ms)
			continue;
		s->stats.tcp_timed_out++;
		conn_close(c);
	}
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct kb_listener *l = &s->listeners[i];

		if (l->pending && !s->paused)
			kb_tcp_accept(l);
		if (l->pending)
			pending = true;
		else if (!s->paused && !uv_is_active((uv_handle_t *)&l->tcp_poll))
			kb_tcp_listen(l);
	}
	if (!s->conns && !pending)
		uv_timer_stop(&s->sweep);
}

void kb_tcp_close_all(struct kb_server *s)
{
	for (struct kb_conn *c = s->conns; c; c = c->next)
		conn_close(c);
}

static void on_sweep(uv_timer_t *timer)
{
	kb_tcp_sweep(timer->data);
}

static void start_sweep(struct kb_server *s)
{
	uint64_t step = s->idle_ms / 8 + 1;

	if (!uv_is_active((uv_handle_t *)&s->sweep))
		uv_timer_start(&s->sweep, on_sweep, step, step);
}

static void addr_of(const struct sockaddr_storage *ss, struct kb_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ss->ss_family == AF_INET) {
		ret->family = 4;
		memcpy(ret->b, &((const struct sockaddr_in *)ss)->sin_addr, 4);
	} else {
		ret->family = 6;
		memcpy(ret->b, &((const struct sockaddr_in6 *)ss)->sin6_addr, 16);
	}
}

static bool has_room(const struct kb_server *s, const struct kb_addr *from)
{
	uint32_t same = 0;

	if (s->stats.tcp_open > s->connections_max) /* the new one is among them */
		return false;
	for (const struct kb_conn *c = s->conns; c; c = c->next)
		same += !c->closing && memcmp(&c->from, from, sizeof(*from)) == 0;
	return same <= s->per_source_max;
}

/* Those that are refused are closed at once. */
static void admit(struct kb_server *s, int fd, struct kb_conn *c)
{
	int len = sizeof(c->peer), local_len = sizeof(c->local);

	c->server = s;
	c->number = ++s->conn_last;
	uv_tcp_init(s->loop, &c->tcp);
	c->tcp.data = c;
	c->next = s->conns;
	s->conns = c;
	s->stats.tcp_open++;
	s->handles++;
	if (uv_tcp_open(&c->tcp, fd) < 0) {
		close(fd);
		conn_close(c);
		return;
	}
	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&c->peer, &len) < 0 ||
	    uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&c->local, &local_len) < 0) {
		conn_close(c);
		return;
	}
	addr_of(&c->peer, &c->from);
	if (!kb_server_allows(s, (struct sockaddr *)&c->peer)) {
		s->stats.source_dropped++;
		kb_responder_count(s->responder, KB_CNT_SOURCE);
		conn_close(c);
		return;
	}
	if (!has_room(s, &c->from)) {
		s->stats.tcp_refused++;
		conn_close(c);
		return;
	}
	s->stats.tcp_accepted++;
	uv_tcp_nodelay(&c->tcp, 1);
	touch(c);
	serve(c);
}

/* The connection that waits, if any. False when there is none, or no room for it. */
static bool accept_one(struct kb_listener *l)
{
	struct kb_conn *c = calloc(1, sizeof(*c));
	int fd = c ? accept4(l->tcp_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;

	if (fd < 0) {
		/* The sweep tries again; it would be readable all the time. */
		l->pending = !c || errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			     errno == ENOBUFS;
		if (l->pending)
			uv_poll_stop(&l->tcp_poll);
		free(c);
		return false;
	}
	admit(l->server, fd, c);
	return true;
}

void kb_tcp_accept(struct kb_listener *l)
{
	start_sweep(l->server);
	for (int i = 0; i < ACCEPT_BATCH && accept_one(l); i++)
		;
}
