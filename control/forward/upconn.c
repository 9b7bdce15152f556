/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to upstreams, by TCP or TLS. A worker's thread.
 *
 * A connection carries many queries at a time (RFC 7766 section 6.2.1), whose replies come in
 * any order; ID and question tell whose they are. It is kept until nobody has used it for
 * KB_CONN_IDLE_MS, or the server closes it. What a server leaves unanswered when it closes a
 * connection that was good until then is sent again, once; and a server that does so with several
 * queries open gets them one at a time for a while.
 *
 * Bounded: queries on one connection, bytes of them that wait to be written, one message being
 * read, connections to one upstream and in all, the time until one is open. After a connection that
 * could not be opened, the next one is tried no sooner than a growing pause; health probes are
 * exempt.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/forward/uptls.h"
#include "control/forward/worker.h"
#include "control/log.h"

#define KB_CONN_QUERIES	   64	 /* in flight on one connection */
#define KB_CONN_OUT	   16384 /* bytes of queries that wait to be written */
#define KB_CONN_IDLE_MS	   10000 /* CoreDNS's forward: `expire` */
#define KB_CONN_OPEN_MS	   4000	 /* connect and handshake */
#define KB_CONN_TURN	   32	 /* reads before others have their turn */
#define KB_CONN_SINGLE_MS  60000 /* one query at a time */
#define KB_CONN_PAUSE_MS   100	 /* after a first failure; doubled by each */
#define KB_CONN_PAUSES_MAX 6	 /* doublings less one: 3.2 s */
#define FRAME		   2	 /* bytes of length */

static void on_ready(struct kb_worker *w, struct kb_watch *watched, uint32_t events);

/* --- ends -------------------------------------------------------------------- */

static void conn_free(struct kb_upconn *c, bool orderly)
{
	kb_tls_close(c->tls, orderly);
	if (c->watch.fd >= 0)
		close(c->watch.fd);
	free(c->in);
	free(c->out);
	kb_upstream_unref(c->upstream);
	/* An event of this turn may still be on its way to it. */
	*c = (struct kb_upconn){.watch = {on_ready, -1}};
}

/* No new connection to this upstream for a moment. */
static void pause_upstream(const struct kb_worker *w, struct kb_upstream *u)
{
	unsigned int n = atomic_fetch_add_explicit(&u->connect_fails, 1, memory_order_relaxed);

	if (n >= KB_CONN_PAUSES_MAX)
		n = KB_CONN_PAUSES_MAX - 1;
	atomic_store_explicit(&u->connect_at_ms, w->now_ms + ((uint64_t)KB_CONN_PAUSE_MS << n),
			      memory_order_relaxed);
}

/* The other side is gone, or good for nothing. Those who wait are told last, since what they do
 * next may open connections. */
static void conn_lost(struct kb_worker *w, struct kb_upconn *c)
{
	bool resend = c->state == KB_CONN_OPEN && c->answered;
	struct kb_exchange *x, *next;

	if (c->state != KB_CONN_OPEN)
		pause_upstream(w, c->upstream);
	if (resend && c->in_flight > 1)
		atomic_store_explicit(&c->upstream->single_until_ms, w->now_ms + KB_CONN_SINGLE_MS,
				      memory_order_relaxed);
	c->state = KB_CONN_CLOSING;
	close(c->watch.fd);
	c->watch.fd = -1;
	for (x = w->active; x; x = next) {
		next = x->next;
		if (x->conn != c)
			continue;
		if (resend)
			kb_exchange_resend(w, x);
		else
			kb_exchange_failed(w, x, false);
	}
	conn_free(c, false);
}

/* --- bytes ------------------------------------------------------------------- */

static ssize_t conn_write(struct kb_upconn *c)
{
	ssize_t n;

	if (c->tls)
		return kb_tls_write(c->tls, c->out, c->out_len);
	n = send(c->watch.fd, c->out, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

static ssize_t conn_read(struct kb_upconn *c)
{
	size_t room = FRAME + KB_TCP_MESSAGE_MAX - c->in_len;
	ssize_t n;

	if (c->tls)
		return kb_tls_read(c->tls, c->in + c->in_len, room);
	n = recv(c->watch.fd, c->in + c->in_len, room, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static bool is_again(ssize_t r)
{
	return r == -EAGAIN || r == -EINTR;
}

/* 0 or -errno. */
static int flush(struct kb_upconn *c)
{
	while (c->out_len) {
		ssize_t n = conn_write(c);

		if (n < 0)
			return is_again(n) ? 0 : (int)n;
		memmove(c->out, c->out + n, c->out_len - (size_t)n);
		c->out_len -= (size_t)n;
	}
	return 0;
}

/* Watches for what the connection can do next. */
static int watch(struct kb_worker *w, struct kb_upconn *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &c->watch};

	if (c->state == KB_CONN_CONNECTING || (c->state == KB_CONN_OPEN && c->out_len) ||
	    (c->tls && kb_tls_wants_write(c->tls)))
		ev.events |= EPOLLOUT;
	if (ev.events == c->events)
		return 0;
	c->events = ev.events;
	return epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->watch.fd, &ev) < 0 ? -errno : 0;
}

/* One message that came. */
static void take(struct kb_worker *w, struct kb_upconn *c, const uint8_t *msg, size_t len)
{
	struct kb_exchange *x = len >= 2 ? w->by_id[msg[0] << 8 | msg[1]] : NULL;

	c->heard_ms = w->now_ms;
	if (!x || x->conn != c) { /* too late, or nobody's */
		kb_count(&w->stats.strays);
		return;
	}
	c->answered = true;
	kb_exchange_reply(w, x, msg, len, true);
}

/* Hands out the whole messages that have been read. What they lead to never closes this
 * connection; only its own events do. */
static void take_all(struct kb_worker *w, struct kb_upconn *c)
{
	size_t at = 0;

	c->busy = true;
	while (c->in_len - at >= FRAME) {
		size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];

		if (c->in_len - at - FRAME < len)
			break;
		take(w, c, c->in + at + FRAME, len);
		at += FRAME + len;
	}
	c->busy = false;
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

/* 0, or -errno when there is no more to come. */
static int read_all(struct kb_worker *w, struct kb_upconn *c)
{
	/* What OpenSSL has taken from the socket already, epoll does not tell again. */
	for (int i = 0; i < KB_CONN_TURN || (c->tls && kb_tls_has_more(c->tls)); i++) {
		ssize_t n = conn_read(c);

		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return is_again(n) ? 0 : (int)n;
		c->in_len += (size_t)n;
		take_all(w, c);
	}
	return 0;
}

/* --- opening ----------------------------------------------------------------- */

static int handshake(struct kb_upconn *c)
{
	struct kb_upstream *u = c->upstream;
	char why[128] = "";
	int r = kb_tls_handshake(c->tls, why, sizeof(why));

	if (r == 0) {
		c->state = KB_CONN_OPEN;
		kb_count_shared(&u->tls_handshakes);
		if (kb_tls_is_resumed(c->tls))
			kb_count_shared(&u->tls_resumed);
		return 0;
	}
	if (r == -EAGAIN)
		return 0;
	if (r == -EKEYREJECTED) {
		kb_count_shared(&u->tls_untrusted);
		kb_log_limited(KB_LOG_WARN, 5, "upstream %s: its certificate is refused: %s",
			       u->text, why);
	} else {
		kb_count_shared(&u->tls_failures);
		kb_log_limited(KB_LOG_WARN, 5, "upstream %s: no TLS: %s", u->text,
			       r == -EPROTO ? "the other side does not speak it"
					    : "the other side has closed the connection");
	}
	return r;
}

/* A step towards KB_CONN_OPEN. */
static int open_step(struct kb_worker *w, struct kb_upconn *c)
{
	struct kb_upstream *u = c->upstream;

	if (c->state == KB_CONN_CONNECTING) {
		if (connect(c->watch.fd, &u->addr.sa, u->addr_len) < 0 && errno != EISCONN)
			return errno == EALREADY || errno == EINTR ? 0 : -errno;
		c->state = KB_CONN_OPEN;
		if (u->spec.tls) {
			c->tls = kb_tls_open(kb_forward_tls(w->forward), c->watch.fd, u);
			if (!c->tls)
				return -ENOMEM;
			c->state = KB_CONN_HANDSHAKE;
		}
	}
	if (c->state == KB_CONN_HANDSHAKE)
		return handshake(c);
	return 0;
}

static void on_ready(struct kb_worker *w, struct kb_watch *watched, uint32_t events)
{
	struct kb_upconn *c = (struct kb_upconn *)watched;
	int r = 0;

	(void)events;
	if (c->state == KB_CONN_NONE || c->state == KB_CONN_CLOSING) /* earlier in this turn */
		return;
	if (c->state != KB_CONN_OPEN) {
		r = open_step(w, c);
		if (r == 0 && c->state == KB_CONN_OPEN) {
			atomic_store_explicit(&c->upstream->connect_fails, 0, memory_order_relaxed);
			atomic_store_explicit(&c->upstream->connect_at_ms, 0, memory_order_relaxed);
		}
	}
	if (r == 0 && c->state == KB_CONN_OPEN)
		r = flush(c);
	if (r == 0 && c->state == KB_CONN_OPEN)
		r = read_all(w, c);
	if (r == 0)
		r = watch(w, c);
	if (r < 0)
		conn_lost(w, c);
}

static int conn_open(struct kb_worker *w, struct kb_upconn *c, struct kb_upstream *u)
{
	int fd = socket(u->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, r = 0;

	if (fd < 0)
		return -errno;
	*c = (struct kb_upconn){.watch = {on_ready, fd},
				.state = KB_CONN_CONNECTING,
				.upstream = kb_upstream_ref(u),
				.events = EPOLLIN | EPOLLOUT,
				.opened_ms = w->now_ms,
				.used_ms = w->now_ms};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->in = malloc(FRAME + KB_TCP_MESSAGE_MAX);
	c->out = malloc(KB_CONN_OUT);
	if (!c->in || !c->out)
		r = -ENOMEM;
	else if (connect(fd, &u->addr.sa, u->addr_len) < 0 && errno != EINPROGRESS)
		r = -errno;
	else
		r = kb_worker_watch(w, &c->watch, c->events);
	kb_count_shared(&u->connects);
	if (r < 0) {
		pause_upstream(w, u);
		conn_free(c, false);
	}
	return r;
}

/* --- queries ----------------------------------------------------------------- */

static bool has_room(const struct kb_upconn *c, const struct kb_exchange *x, bool single)
{
	return !x->resent && !c->retired && c->in_flight < (single ? 1 : KB_CONN_QUERIES) &&
	       c->out_len + FRAME + KB_RELAY_PADDED_MAX <= KB_CONN_OUT;
}

/* One with room for a query, or a new one. What is sent again gets one of its own. */
static int conn_choose(struct kb_worker *w, const struct kb_exchange *x, struct kb_upconn **ret)
{
	struct kb_upstream *u = x->upstream;
	bool single = w->now_ms < atomic_load_explicit(&u->single_until_ms, memory_order_relaxed);
	struct kb_upconn *spare = NULL;
	unsigned int n = 0;
	int r;

	for (size_t i = 0; i < KB_CONNS_MAX; i++) {
		struct kb_upconn *c = &w->conns[i];

		if (c->state == KB_CONN_NONE) {
			spare = c;
		} else if (c->state == KB_CONN_CLOSING || c->busy) {
			continue;
		} else if (c->upstream == u && has_room(c, x, single)) {
			*ret = c;
			return 0;
		} else if (!c->in_flight && (c->retired || c->upstream != u)) {
			spare = spare ? spare : c;
		} else {
			n += c->upstream == u;
		}
	}
	if (!spare || n >= KB_CONNS_UPSTREAM)
		return -EBUSY;
	if (x->group && w->now_ms < atomic_load_explicit(&u->connect_at_ms, memory_order_relaxed))
		return -EHOSTDOWN;
	if (spare->state != KB_CONN_NONE)
		conn_free(spare, true);
	*ret = spare;
	r = conn_open(w, spare, u);
	if (r == 0)
		spare->retired = x->resent;
	return r;
}

int kb_upconn_send(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_upconn *c;
	int r = conn_choose(w, x, &c);
	uint8_t *at;
	size_t len;

	if (r == 0)
		r = kb_exchange_take_id(w, x);
	if (r < 0)
		return r;
	at = c->out + c->out_len;
	len = kb_relay_query(&x->ask, x->id, x->plain ? 0 : kb_forward_udp_max(w->forward),
			     at + FRAME);
	if (c->upstream->spec.tls && !x->plain)
		len = kb_relay_pad(at + FRAME, len);
	at[0] = (uint8_t)(len >> 8);
	at[1] = (uint8_t)len;
	c->out_len += FRAME + len;
	x->conn = c;
	c->in_flight++;
	c->used_ms = w->now_ms;
	if (c->state == KB_CONN_OPEN) {
		kb_count_shared(&c->upstream->reused);
		/* If the connection is lost, its own event tells. */
		if (flush(c) == 0)
			watch(w, c);
	}
	return 0;
}

void kb_upconn_done(struct kb_worker *w, struct kb_exchange *x, bool timeout)
{
	struct kb_upconn *c = x->conn;

	if (!c)
		return;
	kb_exchange_drop_id(w, x);
	x->conn = NULL;
	c->in_flight--;
	/* Not a word since it was asked: the next ones had better not wait there. */
	if (timeout && c->state == KB_CONN_OPEN &&
	    c->heard_ms < x->deadline_ms - KB_FORWARD_ATTEMPT_MS)
		c->retired = true;
}

void kb_upconn_sweep(struct kb_worker *w)
{
	for (size_t i = 0; i < KB_CONNS_MAX; i++) {
		struct kb_upconn *c = &w->conns[i];

		if (c->state == KB_CONN_NONE)
			continue;
		if (c->state != KB_CONN_OPEN && w->now_ms - c->opened_ms > KB_CONN_OPEN_MS) {
			if (c->state == KB_CONN_HANDSHAKE)
				kb_count_shared(&c->upstream->tls_failures);
			conn_lost(w, c);
		} else if (!c->in_flight &&
			   (c->retired || w->now_ms - c->used_ms > KB_CONN_IDLE_MS)) {
			conn_free(c, c->state == KB_CONN_OPEN);
		}
	}
}

void kb_upconn_close_all(struct kb_worker *w)
{
	for (size_t i = 0; i < KB_CONNS_MAX; i++) {
		if (w->conns[i].state != KB_CONN_NONE)
			conn_free(&w->conns[i], w->conns[i].state == KB_CONN_OPEN);
	}
}
