/* SPDX-License-Identifier: Apache-2.0 */
/* The server as a whole: its addresses, its sources, its end. Main loop's thread. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/udp.h"

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

/* Handles exist from here on, and are closed by kb_server_free. */
static void handles_init(struct kb_server *s, const struct kb_server_config *config)
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
		l->tcp_fd = -1;
	}
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
	handles_init(s, config);
	for (size_t i = 0; r == 0 && i < s->n_listeners; i++)
		r = kb_listener_open(&s->listeners[i], config, err, err_size);
	/* When all are there: threads answer at once. */
	for (size_t i = 0; r == 0 && i < s->n_listeners; i++) {
		r = kb_listener_start(&s->listeners[i]);
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

bool kb_server_socket(const struct kb_server *s, size_t i, struct kb_listen_socket *ret)
{
	for (size_t n = 0; n < s->n_listeners; n++) {
		const struct kb_listener *l = &s->listeners[n];

		if (i <= l->n_udp) {
			ret->at = l->at;
			ret->tcp = i == l->n_udp;
			ret->fd = ret->tcp ? l->tcp_fd : l->udp[i].watch.fd;
			return true;
		}
		i -= l->n_udp + 1;
	}
	return false;
}

void kb_server_pause(struct kb_server *s)
{
	s->paused = true;
	for (size_t i = 0; i < s->n_listeners; i++)
		kb_listener_pause(&s->listeners[i]);
}

int kb_server_resume(struct kb_server *s)
{
	int r = 0;

	s->paused = false;
	for (size_t i = 0; r == 0 && i < s->n_listeners; i++)
		r = kb_listener_start(&s->listeners[i]);
	return r;
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

void kb_server_free(struct kb_server *s)
{
	if (!s || s->closing)
		return;
	s->closing = true;
	for (size_t i = 0; i < s->n_listeners; i++)
		kb_listener_close(&s->listeners[i]);
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
