/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a listen address: made, or taken over from a former server. Main loop's thread. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/forward/udp.h"

#define BACKLOG	       256
#define RECEIVE_BUFFER (1 << 20) /* about 2700 queries of UDP */

static uint16_t bound_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					      : ((struct sockaddr_in *)&ss)->sin_port);
}

static int set_on(int fd, int level, int option)
{
	int one = 1;

	return setsockopt(fd, level, option, &one, sizeof(one)) < 0 ? -errno : 0;
}

/* Room for bursts: the default holds 277 queries. Beyond the system's limit with CAP_NET_ADMIN
 * only; without it the limit has to do. */
static void widen(int fd)
{
	int bytes = RECEIVE_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

/* A bound socket; IPv6 ones take IPv6 only, so that both wildcards can be given. */
static int open_bound(const struct kb_listener *l, int type, bool shared, int *ret_fd)
{
	union kb_sockaddr addr;
	socklen_t len = kb_sockaddr_make(&l->at, &addr);
	bool v6 = addr.sa.sa_family == AF_INET6;
	int fd = socket(addr.sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	r = v6 ? set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) : 0;
	/* For UDP it would let a second server take over the address. */
	if (r == 0 && type == SOCK_STREAM)
		r = set_on(fd, SOL_SOCKET, SO_REUSEADDR);
	if (r == 0 && type == SOCK_DGRAM && l->wildcard)
		r = set_on(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO);
	if (r == 0 && shared)
		r = set_on(fd, SOL_SOCKET, SO_REUSEPORT);
	if (r == 0 && bind(fd, &addr.sa, len) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* The next inherited socket of this address, which is the caller's then; or -1. */
static int inherit(const struct kb_listener *l, const struct kb_server_config *config, bool tcp)
{
	for (size_t i = 0; i < config->n_inherited; i++) {
		struct kb_listen_socket *s = &config->inherited[i];
		int fd = s->fd;

		if (fd < 0 || s->tcp != tcp || s->at.port != l->at.port ||
		    memcmp(&s->at.addr, &l->at.addr, sizeof(l->at.addr)) != 0)
			continue;
		s->fd = -1;
		return fd;
	}
	return -1;
}

static int add_udp(struct kb_listener *l, int fd)
{
	struct kb_server *s = l->server;
	struct kb_udp_sock *v = realloc(l->udp, (l->n_udp + 1) * sizeof(*v));

	if (!v) {
		close(fd);
		return -ENOMEM;
	}
	l->udp = v;
	/* One that is left over, of a server with more threads, has datagrams, too. */
	v[l->n_udp] = (struct kb_udp_sock){
		{kb_udp_on_ready, fd}, .listener = l, .udp = s->udp[l->n_udp % s->n_udp]};
	l->n_udp++;
	return 0;
}

/*
 * One socket for each thread. The first is bound as the only one there may be, so that an address
 * in use is noticed; then it, too, lets others in. From then on another server of root's that asks
 * for SO_REUSEPORT could join them; the TCP socket, which is not shared, makes it fail.
 */
static int udp_open(struct kb_listener *l, const struct kb_server_config *config)
{
	struct kb_server *s = l->server;
	int fd, r = 0;

	while (r == 0 && (fd = inherit(l, config, false)) >= 0)
		r = add_udp(l, fd);
	while (r == 0 && l->n_udp < s->n_udp) {
		r = open_bound(l, SOCK_DGRAM, l->n_udp > 0, &fd);
		if (r < 0)
			break;
		widen(fd);
		r = add_udp(l, fd);
		if (r < 0 || l->n_udp > 1)
			continue;
		l->at.port = bound_port(fd);
		if (s->n_udp > 1)
			r = set_on(fd, SOL_SOCKET, SO_REUSEPORT);
	}
	if (r == 0)
		kb_sockaddr_make(&l->at, &l->local);
	return r;
}

static int tcp_open(struct kb_listener *l, const struct kb_server_config *config)
{
	int r = 0;

	l->tcp_fd = inherit(l, config, true);
	if (l->tcp_fd < 0)
		r = open_bound(l, SOCK_STREAM, false, &l->tcp_fd);
	return r == 0 && listen(l->tcp_fd, BACKLOG) < 0 ? -errno : r;
}

/* Chooses a port that is free for UDP and TCP alike. */
static int any_port(struct kb_listener *l)
{
	int udp, tcp, r = -EADDRINUSE;

	for (int i = 0; i < 32 && r == -EADDRINUSE; i++) {
		l->at.port = 0;
		r = open_bound(l, SOCK_DGRAM, false, &udp);
		if (r < 0)
			return r;
		l->at.port = bound_port(udp);
		r = open_bound(l, SOCK_STREAM, false, &tcp);
		if (r == 0)
			close(tcp);
		close(udp);
	}
	return r;
}

int kb_listener_open(struct kb_listener *l, const struct kb_server_config *config, char *err,
		     size_t err_size)
{
	static const uint8_t zero[16];
	char text[KB_ADDR_TEXT_MAX];
	const char *cure = "", *what = "UDP";
	int r;

	l->wildcard = memcmp(l->at.addr.b, zero, l->at.addr.family == 6 ? 16 : 4) == 0;
	r = l->at.port ? 0 : any_port(l);
	if (r == 0)
		r = udp_open(l, config);
	if (r == 0) {
		what = "TCP";
		r = tcp_open(l, config);
	}
	if (r == 0)
		return 0;
	if (r == -EADDRINUSE)
		cure = ": stop the other server there, or choose another address or port";
	else if (r == -EADDRNOTAVAIL)
		cure = ": give an address of this node";
	else if (r == -EACCES || r == -EPERM)
		cure = ": run as root or choose a port above 1023";
	else if (r == -EINVAL && l->at.addr.family == 6 && l->at.addr.b[0] == 0xfe)
		cure = ": link-local addresses need an interface, give another one or ::";
	snprintf(err, err_size, "--listen %s, %s: %s%s", kb_format_addr_port(&l->at, text), what,
		 strerror(-r), cure);
	return r;
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	kb_udp_readable(poll->data);
}

static void on_tcp(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	kb_tcp_accept(poll->data);
}

int kb_tcp_listen(struct kb_listener *l)
{
	l->pending = false;
	return uv_poll_start(&l->tcp_poll, UV_READABLE, on_tcp);
}

static int poll_udp(struct kb_listener *l, struct kb_udp_sock *sock)
{
	int r = sock->polled ? 0 : uv_poll_init(l->server->loop, &sock->poll, sock->watch.fd);

	if (r < 0)
		return r;
	if (!sock->polled)
		l->server->handles++;
	sock->polled = true;
	sock->poll.data = sock;
	return uv_poll_start(&sock->poll, UV_READABLE, on_udp);
}

int kb_listener_start(struct kb_listener *l)
{
	struct kb_server *s = l->server;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < l->n_udp; i++) {
		struct kb_udp_sock *sock = &l->udp[i];

		r = sock->udp->worker ? kb_worker_watch(sock->udp->worker, &sock->watch, EPOLLIN)
				      : poll_udp(l, sock);
	}
	if (r == 0 && !l->tcp_polled) {
		r = uv_poll_init(s->loop, &l->tcp_poll, l->tcp_fd);
		if (r == 0) {
			l->tcp_poll.data = l;
			l->tcp_polled = true;
			s->handles++;
		}
	}
	return r < 0 ? r : kb_tcp_listen(l);
}

void kb_listener_pause(struct kb_listener *l)
{
	for (unsigned int i = 0; i < l->n_udp; i++) {
		struct kb_udp_sock *sock = &l->udp[i];

		if (sock->udp->worker)
			kb_worker_unwatch(sock->udp->worker, &sock->watch);
		else
			uv_poll_stop(&sock->poll);
	}
	uv_poll_stop(&l->tcp_poll);
}

static void on_udp_closed(uv_handle_t *handle)
{
	struct kb_udp_sock *sock = handle->data;
	struct kb_server *s = sock->listener->server;

	s->handles--;
	kb_server_put(s);
}

static void on_tcp_closed(uv_handle_t *handle)
{
	struct kb_listener *l = handle->data;
	struct kb_server *s = l->server;

	s->handles--;
	kb_server_put(s);
}

void kb_listener_close(struct kb_listener *l)
{
	for (unsigned int i = 0; i < l->n_udp; i++) {
		struct kb_udp_sock *sock = &l->udp[i];

		if (sock->polled)
			uv_close((uv_handle_t *)&sock->poll, on_udp_closed);
		close(sock->watch.fd);
	}
	if (l->tcp_polled)
		uv_close((uv_handle_t *)&l->tcp_poll, on_tcp_closed);
	if (l->tcp_fd >= 0)
		close(l->tcp_fd);
}
