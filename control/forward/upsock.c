/* SPDX-License-Identifier: Apache-2.0 */
/* UDP to upstreams: sockets with ports that nobody can foresee. A worker's thread. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/forward/worker.h"

static bool is_for(const struct kb_upsock *s, const struct kb_upstream *u)
{
	return s->watch.fd >= 0 && memcmp(&s->addr, &u->addr, sizeof(s->addr)) == 0;
}

static void sock_close(struct kb_upsock *s)
{
	close(s->watch.fd);
	s->watch.fd = -1;
}

/* Everything that waits on a socket whose upstream is not there. */
static void fail_all(struct kb_worker *w, const struct kb_upsock *s)
{
	struct kb_exchange *x, *next;

	for (x = w->active; x; x = next) {
		next = x->next;
		if (x->sock == s)
			kb_exchange_failed(w, x, false);
	}
}

static void on_readable(struct kb_worker *w, struct kb_watch *watch, uint32_t events)
{
	struct kb_upsock *s = (struct kb_upsock *)watch;

	(void)events;
	/* A turn's worth; epoll tells again of what is left. */
	for (int i = 0; i < 32 && s->watch.fd >= 0; i++) {
		ssize_t n = recv(s->watch.fd, w->in, sizeof(w->in), MSG_DONTWAIT);
		struct kb_exchange *x;

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				fail_all(w, s);
			return;
		}
		x = n < 2 ? NULL : w->by_id[w->in[0] << 8 | w->in[1]];
		if (x && x->sock == s)
			kb_exchange_reply(w, x, w->in, (size_t)n, false);
		else
			kb_count(&w->stats.strays);
	}
}

static int sock_open(struct kb_worker *w, struct kb_upsock *s, const struct kb_upstream *u)
{
	int fd = socket(u->addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	/* The kernel draws the port at random from ip_local_port_range. */
	*s = (struct kb_upsock){.watch = {on_readable, fd}, .addr = u->addr, .used_ms = w->now_ms};
	r = connect(fd, &u->addr.sa, u->addr_len) < 0 ? -errno
						      : kb_worker_watch(w, &s->watch, EPOLLIN);
	if (r < 0)
		sock_close(s);
	return r;
}

/*
 * One of the upstream's sockets at random, opening new ones until it has its number. When
 * there is no room for more, a socket of another upstream that nobody waits on makes room.
 */
static int sock_choose(struct kb_worker *w, const struct kb_upstream *u, struct kb_upsock **ret)
{
	struct kb_upsock *have[KB_SOCKS_UPSTREAM], *spare = NULL;
	uint32_t n = 0;
	int r;

	for (size_t i = 0; i < KB_SOCKS_MAX; i++) {
		struct kb_upsock *s = &w->socks[i];

		if (is_for(s, u)) {
			if (!s->retired && n < KB_SOCKS_UPSTREAM)
				have[n++] = s;
		} else if (s->watch.fd < 0 || (!s->in_flight && !spare)) {
			if (!spare || spare->watch.fd >= 0)
				spare = s;
		}
	}
	if (n < KB_SOCKS_UPSTREAM && spare) {
		if (spare->watch.fd >= 0)
			sock_close(spare);
		r = sock_open(w, spare, u);
		if (r < 0 && !n)
			return r;
		if (r == 0)
			have[n++] = spare;
	}
	if (!n)
		return -EMFILE;
	*ret = have[kb_worker_random(w) % n];
	return 0;
}

int kb_upsock_send(struct kb_worker *w, struct kb_exchange *x)
{
	uint8_t query[KB_RELAY_QUERY_MAX];
	struct kb_upsock *s;
	size_t len;
	int r = sock_choose(w, x->upstream, &s);

	if (r == 0)
		r = kb_exchange_take_id(w, x);
	if (r < 0)
		return r;
	len = kb_relay_query(&x->ask, x->id, x->plain ? 0 : kb_forward_udp_max(w->forward), query);
	if (send(s->watch.fd, query, len, MSG_DONTWAIT) < 0) {
		r = -errno;
		kb_exchange_drop_id(w, x);
		return r;
	}
	x->sock = s;
	s->in_flight++;
	s->used_ms = w->now_ms;
	if (++s->uses >= KB_SOCK_USES)
		s->retired = true;
	return 0;
}

void kb_upsock_done(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_upsock *s = x->sock;

	if (!s)
		return;
	kb_exchange_drop_id(w, x);
	x->sock = NULL;
	if (--s->in_flight == 0 && s->retired)
		sock_close(s);
}

void kb_upsock_sweep(struct kb_worker *w)
{
	for (size_t i = 0; i < KB_SOCKS_MAX; i++) {
		struct kb_upsock *s = &w->socks[i];

		if (s->watch.fd >= 0 && !s->in_flight && w->now_ms - s->used_ms > KB_SOCK_IDLE_MS)
			sock_close(s);
	}
}
