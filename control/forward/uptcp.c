/* SPDX-License-Identifier: Apache-2.0 */
/* TCP to upstreams: a connection for each exchange whose UDP reply was cut. A worker's thread. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/forward/worker.h"

#define FRAME 2 /* bytes of length */

static int write_some(struct kb_worker *w, struct kb_exchange *x)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &x->tcp};
	ssize_t n = send(x->tcp.fd, x->buf + x->pos, x->len - x->pos, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	x->pos += (size_t)n;
	if (x->pos < x->len)
		return 0;
	x->writing = false;
	x->pos = 0;
	x->len = FRAME;
	return epoll_ctl(w->epoll, EPOLL_CTL_MOD, x->tcp.fd, &ev) < 0 ? -errno : 0;
}

/* 1: the message is whole. */
static int read_some(struct kb_exchange *x)
{
	ssize_t n = recv(x->tcp.fd, x->buf + x->pos, x->len - x->pos, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	x->pos += (size_t)n;
	if (x->pos == FRAME && x->len == FRAME)
		x->len = FRAME + ((size_t)x->buf[0] << 8 | x->buf[1]);
	return x->pos == x->len && x->len > FRAME ? 1 : 0;
}

static void on_ready(struct kb_worker *w, struct kb_watch *watch, uint32_t events)
{
	struct kb_exchange *x = (struct kb_exchange *)watch;
	int r;

	(void)events;
	if (watch->fd < 0) /* closed earlier in this turn */
		return;
	r = x->writing ? write_some(w, x) : read_some(x);
	if (r > 0)
		kb_exchange_reply(w, x, x->buf + FRAME, x->len - FRAME, true);
	else if (r < 0)
		kb_exchange_failed(w, x, false);
}

int kb_uptcp_start(struct kb_worker *w, struct kb_exchange *x)
{
	const struct kb_upstream *u = x->upstream;
	size_t n;
	int one = 1;

	x->buf = malloc(FRAME + KB_TCP_MESSAGE_MAX);
	if (!x->buf)
		return -ENOMEM;
	x->tcp.ready = on_ready;
	x->tcp.fd = socket(u->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->tcp.fd < 0)
		return -errno;
	setsockopt(x->tcp.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(x->tcp.fd, &u->addr.sa, u->addr_len) < 0 && errno != EINPROGRESS)
		return -errno;
	x->id = (uint16_t)kb_worker_random(w);
	n = kb_relay_query(&x->ask, x->id, x->plain ? 0 : kb_forward_udp_max(w->forward),
			   x->buf + FRAME);
	x->buf[0] = (uint8_t)(n >> 8);
	x->buf[1] = (uint8_t)n;
	x->pos = 0;
	x->len = FRAME + n;
	x->writing = true;
	return kb_worker_watch(w, &x->tcp, EPOLLOUT);
}

void kb_uptcp_done(struct kb_exchange *x)
{
	if (x->tcp.fd >= 0)
		close(x->tcp.fd);
	x->tcp.fd = -1;
	free(x->buf);
	x->buf = NULL;
}
