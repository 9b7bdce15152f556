/* SPDX-License-Identifier: Apache-2.0 */
/* The server as a whole: its addresses, its sources, its end. Main loop's thread. */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/forward/udp.h"

#define BACKLOG	       256
#define RECEIVE_BUFFER (1 << 20) /* about 2700 queries of UDP */

static bool prefix_holds(const struct kb_cidr *cidr, const uint8_t *addr)
{
	unsigned int whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (memcmp(cidr->addr.b, addr, whole) != 0)
		return false;
	return !rest || ((cidr->addr.b[whole] ^ addr[whole]) >> (8 - rest)) == 0;
}

bool kb_server_allows(const struct kb_server *s, const struct sockaddr *from)
{
	uint8_t family = from->sa_family == AF_INET ? 4 : 6;
	const uint8_t *addr =
		family == 4 ? (const uint8_t *)&((const struct sockaddr_in *)from)->sin_addr
			    : ((const struct sockaddr_in6 *)from)->sin6_addr.s6_addr;

	for (size_t i = 0; i < s->n_allow; i++) {
		if (s->allow[i].addr.family == family && prefix_holds(&s->allow[i], addr))
			return true;
	}
	return false;
}

size_t kb_server_forward(struct kb_server *s, uint8_t *reply, size_t cap)
{
	const struct kb_ask *ask = kb_responder_outside(s->responder);

	if (!ask || !s->forward)
		return 0;
	s->client.ask = *ask;
	s->client.chase = kb_responder_take_chase(s->responder);
	return kb_forward_ask(s->forward, &s->client, reply, cap);
}

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

static void on_udp(uv_poll_t *poll, int status, int events)
{
	struct kb_listener *l = poll->data;

	(void)status;
	(void)events;
	kb_udp_readable(&l->udp[0]);
}

static void on_connection(uv_stream_t *stream, int status)
{
	if (status == 0)
		kb_tcp_accept(stream->data);
}

/*
 * One socket for each thread. The first is bound as the only one there may be, so that an address
 * in use is noticed; then it, too, lets others in. From then on another server of root's that asks
 * for SO_REUSEPORT could join them; the TCP socket, which is not shared, makes it fail.
 */
static int udp_open(struct kb_listener *l)
{
	struct kb_server *s = l->server;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < s->n_udp; i++) {
		struct kb_udp_sock *sock = &l->udp[i];

		r = open_bound(l, SOCK_DGRAM, i > 0, &sock->watch.fd);
		if (r < 0)
			return r;
		widen(sock->watch.fd);
		if (i > 0)
			continue;
		l->at.port = bound_port(sock->watch.fd);
		kb_sockaddr_make(&l->at, &l->local);
		if (s->n_udp > 1)
			r = set_on(sock->watch.fd, SOL_SOCKET, SO_REUSEPORT);
	}
	return r;
}

/* From now on they are read. */
static int udp_start(struct kb_listener *l)
{
	struct kb_server *s = l->server;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < s->n_udp; i++) {
		if (s->udp[i]->worker)
			r = kb_worker_watch(s->udp[i]->worker, &l->udp[i].watch, EPOLLIN);
	}
	if (r < 0 || s->udp_main)
		return r;
	r = uv_poll_init(s->loop, &l->udp_poll, l->udp[0].watch.fd);
	if (r < 0)
		return r;
	l->udp_poll.data = l;
	l->udp_polled = true;
	s->handles++;
	return uv_poll_start(&l->udp_poll, UV_READABLE, on_udp);
}

static int tcp_start(struct kb_listener *l)
{
	int fd, r = open_bound(l, SOCK_STREAM, false, &fd);

	if (r < 0)
		return r;
	r = uv_tcp_open(&l->tcp, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	return uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
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

static int listener_start(struct kb_listener *l, char *err, size_t err_size)
{
	static const uint8_t zero[16];
	char text[KB_ADDR_TEXT_MAX];
	const char *cure = "", *what = "UDP";
	int r;

	l->wildcard = memcmp(l->at.addr.b, zero, l->at.addr.family == 6 ? 16 : 4) == 0;
	r = l->at.port ? 0 : any_port(l);
	if (r == 0)
		r = udp_open(l);
	if (r == 0) {
		what = "TCP";
		r = tcp_start(l);
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

void kb_server_blocks_changed(struct kb_server *s)
{
	struct kb_blocks *blocks = kb_responder_blocks(s->responder), *old;

	pthread_mutex_lock(&s->blocks_lock);
	old = s->blocks;
	s->blocks = blocks ? kb_blocks_ref(blocks) : NULL;
	atomic_fetch_add(&s->blocks_version, 1);
	pthread_mutex_unlock(&s->blocks_lock);
	kb_blocks_unref(old);
}

static int udp_new(struct kb_server *s, unsigned int threads)
{
	unsigned int n = threads ? threads : 1;
	int r = 0;

	s->udp = calloc(n, sizeof(struct kb_udp *));
	if (!s->udp)
		return -ENOMEM;
	while (r == 0 && s->n_udp < n) {
		struct kb_worker *w = threads ? kb_forward_worker(s->forward, s->n_udp) : NULL;

		r = kb_udp_new(s, w, &s->udp[s->n_udp]);
		s->n_udp += r == 0;
	}
	if (r == 0 && threads)
		r = kb_udp_main_new(s, &s->udp_main);
	return r;
}

static int copy_config(struct kb_server *s, const struct kb_server_config *config)
{
	unsigned int threads;

	pthread_mutex_init(&s->blocks_lock, NULL);
	s->responder = config->responder;
	kb_server_blocks_changed(s);
	s->forward = config->forward;
	s->log = config->log;
	s->table = config->table;
	s->workers = config->workers;
	threads = s->forward && s->table ? kb_forward_threads(s->forward) : 0;
	s->connections_max =
		config->connections_max ? config->connections_max : KB_SERVER_CONNECTIONS_MAX;
	s->per_source_max =
		config->per_source_max ? config->per_source_max : KB_SERVER_PER_SOURCE_MAX;
	s->idle_ms = config->idle_ms ? config->idle_ms : KB_SERVER_IDLE_MS;
	s->waiting_max = config->waiting_max ? config->waiting_max : KB_SERVER_WAITING_MAX;
	s->listeners = calloc(config->n_listen + 1, sizeof(*s->listeners));
	s->allow = calloc(config->n_allow_from + 1, sizeof(*s->allow));
	s->out = malloc(KB_TCP_OUT);
	if (!s->listeners || !s->allow || !s->out)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_allow_from; i++)
		s->allow[s->n_allow++] = config->allow_from[i];
	return udp_new(s, threads);
}

/* Handles exist from here on, and are closed by kb_server_free. 0 or -ENOMEM. */
static int handles_init(struct kb_server *s, const struct kb_server_config *config)
{
	uv_timer_init(s->loop, &s->sweep);
	s->sweep.data = s;
	uv_idle_init(s->loop, &s->more);
	s->more.data = s;
	s->handles += 2;
	for (size_t i = 0; i < config->n_listen; i++) {
		struct kb_listener *l = &s->listeners[s->n_listeners++];

		l->server = s;
		l->at = config->listen[i];
		uv_tcp_init(s->loop, &l->tcp);
		l->tcp.data = l;
		s->handles++;
		l->udp = calloc(s->n_udp, sizeof(*l->udp));
		if (!l->udp)
			return -ENOMEM;
		for (unsigned int t = 0; t < s->n_udp; t++)
			l->udp[t] = (struct kb_udp_sock){
				{kb_udp_on_ready, -1}, .listener = l, .udp = s->udp[t]};
	}
	return 0;
}

int kb_server_new(uv_loop_t *loop, const struct kb_server_config *config,
		  struct kb_server **ret_server, char *err, size_t err_size)
{
	struct kb_server *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	assert(config->responder);
	/* libuv writes with write(2): a client that has gone must be an error, no signal. */
	signal(SIGPIPE, SIG_IGN);
	if (s) {
		s->loop = loop;
		r = copy_config(s, config);
	}
	if (r < 0) {
		snprintf(err, err_size, "--listen: %s", strerror(-r));
		kb_server_free(s);
		return r;
	}
	r = handles_init(s, config);
	if (r < 0)
		snprintf(err, err_size, "--listen: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < s->n_listeners; i++)
		r = listener_start(&s->listeners[i], err, err_size);
	/* When all are there: threads answer at once. */
	for (size_t i = 0; r == 0 && i < s->n_listeners; i++) {
		r = udp_start(&s->listeners[i]);
		if (r < 0)
			snprintf(err, err_size, "--listen: %s", strerror(-r));
	}
	if (r < 0) {
		kb_server_free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

void kb_server_put(struct kb_server *s)
{
	if (!s->closing || s->handles)
		return;
	for (unsigned int i = 0; i < s->n_udp; i++)
		kb_udp_free(s->udp[i]);
	for (size_t i = 0; i < s->n_listeners; i++)
		free(s->listeners[i].udp);
	free(s->udp);
	kb_blocks_unref(s->blocks);
	pthread_mutex_destroy(&s->blocks_lock);
	free(s->out);
	free(s->allow);
	free(s->listeners);
	free(s);
}

static void on_closed(uv_handle_t *handle)
{
	struct kb_server *s = handle->data;

	s->handles--;
	kb_server_put(s);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct kb_listener *l = handle->data;
	struct kb_server *s = l->server;

	s->handles--;
	kb_server_put(s);
}

void kb_server_free(struct kb_server *s)
{
	if (!s || s->closing)
		return;
	s->closing = true;
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct kb_listener *l = &s->listeners[i];

		if (l->udp_polled)
			uv_close((uv_handle_t *)&l->udp_poll, on_listener_closed);
		for (unsigned int t = 0; l->udp && t < s->n_udp; t++) {
			if (l->udp[t].watch.fd >= 0)
				close(l->udp[t].watch.fd);
		}
		uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
	}
	kb_tcp_close_all(s);
	kb_udp_main_free(s->udp_main);
	if (s->sweep.data) {
		uv_close((uv_handle_t *)&s->sweep, on_closed);
		uv_close((uv_handle_t *)&s->more, on_closed);
	}
	kb_server_put(s);
}

uint16_t kb_server_port(const struct kb_server *server, size_t i)
{
	return server->listeners[i].at.port;
}

void kb_server_stats(const struct kb_server *server, struct kb_server_stats *ret_stats)
{
	*ret_stats = server->stats;
	for (unsigned int i = 0; i < server->n_udp; i++) {
		const struct kb_udp_stats *u = &server->udp[i]->stats;

		ret_stats->udp_queries += atomic_load_explicit(&u->queries, memory_order_relaxed);
		ret_stats->source_dropped +=
			atomic_load_explicit(&u->source_dropped, memory_order_relaxed);
		ret_stats->udp_send_failed +=
			atomic_load_explicit(&u->send_failed, memory_order_relaxed);
		ret_stats->udp_deferred += atomic_load_explicit(&u->deferred, memory_order_relaxed);
		ret_stats->udp_deferred_dropped +=
			atomic_load_explicit(&u->deferred_dropped, memory_order_relaxed);
	}
}

void kb_server_add_counters(const struct kb_server *server, uint64_t *sum)
{
	for (unsigned int i = 0; server->udp_main && i < server->n_udp; i++)
		kb_responder_add_counters(server->udp[i]->responder, sum);
}
