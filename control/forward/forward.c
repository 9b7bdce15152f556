/* SPDX-License-Identifier: Apache-2.0 */
/* The forwarder as the main loop sees it. */
#include "control/forward/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/uptls.h"
#include "control/forward/worker.h"
#include "dataplane/core/dns.h"

struct out {
	struct out *next;
	uint64_t conn;
	size_t len;
	uint8_t msg[];
};

struct kb_forward {
	struct kb_forward_config config;
	uv_loop_t *loop;	/* borrowed */
	struct kb_cache *cache; /* owned, NULL: none */
	struct kb_loops loops;
	struct kb_tls *tls;	    /* owned */
	struct kb_worker **workers; /* owned, each of them */
	unsigned int n_workers;

	pthread_mutex_t lock; /* of routes */
	struct kb_routes *routes;
	atomic_uint routes_version;

	uv_async_t async;
	pthread_mutex_t out_lock;
	struct out *out, **out_end; /* owned list */
	size_t out_bytes;

	uint64_t asked, chased, rejected; /* by the main loop */
};

uint16_t kb_forward_udp_max(const struct kb_forward *f)
{
	return f->config.udp_max;
}

struct kb_tls *kb_forward_tls(const struct kb_forward *f)
{
	return f->tls;
}

bool kb_forward_random_case(const struct kb_forward *f)
{
	return f->config.random_case;
}

struct kb_querylog *kb_forward_log(const struct kb_forward *f)
{
	return f->config.log;
}

struct kb_loops *kb_forward_loops(struct kb_forward *f)
{
	return &f->loops;
}

unsigned int kb_forward_threads(const struct kb_forward *f)
{
	return f->n_workers;
}

struct kb_worker *kb_forward_worker(const struct kb_forward *f, unsigned int i)
{
	return f->workers[i];
}

struct kb_cache *kb_forward_cache(const struct kb_forward *f)
{
	return f->cache;
}

struct kb_routes *kb_forward_new_routes(struct kb_forward *f, unsigned int *version)
{
	struct kb_routes *r;

	if (atomic_load(&f->routes_version) == *version)
		return NULL;
	pthread_mutex_lock(&f->lock);
	*version = atomic_load(&f->routes_version);
	r = kb_routes_ref(f->routes);
	pthread_mutex_unlock(&f->lock);
	return r;
}

void kb_forward_set_routes(struct kb_forward *f, struct kb_routes *routes)
{
	struct kb_routes *old;

	pthread_mutex_lock(&f->lock);
	old = f->routes;
	f->routes = routes;
	atomic_fetch_add(&f->routes_version, 1);
	pthread_mutex_unlock(&f->lock);
	/* What the servers of before said is theirs to say. */
	if (old)
		kb_forward_forget(f);
	kb_routes_unref(old);
}

void kb_forward_forget(struct kb_forward *f)
{
	if (f->cache)
		kb_cache_clear(f->cache);
}

struct kb_routes *kb_forward_routes(const struct kb_forward *f)
{
	return f->routes;
}

/* --- to the main loop -------------------------------------------------------- */

bool kb_forward_put_out(struct kb_forward *f, uint64_t conn, const uint8_t *msg, size_t len)
{
	struct out *o = NULL;
	bool room;

	pthread_mutex_lock(&f->out_lock);
	/* Errors are let through: there are no more of them than clients that wait. */
	room = len <= KB_RELAY_QUERY_MAX || f->out_bytes + len <= KB_FORWARD_OUTBOX_MAX;
	if (room)
		o = malloc(sizeof(*o) + len);
	if (o) {
		o->next = NULL;
		o->conn = conn;
		o->len = len;
		memcpy(o->msg, msg, len);
		*f->out_end = o;
		f->out_end = &o->next;
		f->out_bytes += len;
	}
	pthread_mutex_unlock(&f->out_lock);
	if (o)
		uv_async_send(&f->async);
	return o != NULL;
}

static struct out *take_out(struct kb_forward *f)
{
	struct out *o;

	pthread_mutex_lock(&f->out_lock);
	o = f->out;
	f->out = NULL;
	f->out_end = &f->out;
	f->out_bytes = 0;
	pthread_mutex_unlock(&f->out_lock);
	return o;
}

static void on_async(uv_async_t *async)
{
	struct kb_forward *f = async->data;
	struct out *o, *next;

	for (o = take_out(f); o; o = next) {
		next = o->next;
		f->config.deliver(f->config.arg, o->conn, o->msg, o->len);
		free(o);
	}
}

/* --- replies over UDP --------------------------------------------------------- */

bool kb_client_send(const struct kb_client *client, const uint8_t *msg, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)msg, len};
	struct msghdr hdr = {
		.msg_name = (void *)(uintptr_t)&client->from,
		.msg_namelen = client->from_len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = client->control_len ? (void *)(uintptr_t)client->control : NULL,
		.msg_controllen = client->control_len,
	};

	return sendmsg(client->fd, &hdr, MSG_DONTWAIT) >= 0;
}

/* --- questions ---------------------------------------------------------------- */

static struct kb_worker *worker_of(const struct kb_forward *f, const struct kb_ask *ask)
{
	return f->workers[(ask->hash >> 32) % f->n_workers];
}

/* Asks again for what is about to expire; if the inbox is full, then not. */
static void refresh(struct kb_forward *f, const struct kb_client *client)
{
	struct kb_client nobody = *client;

	nobody.fd = KB_CLIENT_NONE;
	nobody.chase = NULL;
	kb_worker_push(worker_of(f, &client->ask), &nobody);
}

/* The reply in its final form. */
static size_t finish(struct kb_client *client, uint8_t *reply, size_t len, size_t cap)
{
	if (!client->chase)
		return len;
	len = kb_chase_reply(client->chase, reply, len, cap);
	kb_chase_free(client->chase);
	client->chase = NULL;
	return len;
}

/* On the thread of `self`, or on the main loop's (NULL). */
static size_t ask(struct kb_forward *f, struct kb_worker *self, struct kb_client *client,
		  uint64_t now_ms, uint8_t *reply, size_t cap, bool *ret_rejected)
{
	struct kb_worker *w = worker_of(f, &client->ask);
	enum kb_cache_found found = KB_CACHE_MISS;
	size_t len = 0;

	*ret_rejected = false;
	if (kb_loops_check(&f->loops, &client->ask)) {
		len = kb_relay_error(&client->ask, KB_RCODE_SERVFAIL, f->config.udp_max, reply);
		return finish(client, reply, len, cap);
	}
	if (f->cache) {
		client->ask.era = self ? self->cache_era : kb_cache_era(f->cache);
		len = kb_cache_get(f->cache, &client->ask, now_ms, f->config.udp_max, reply, cap,
				   &found);
	}
	if (found == KB_CACHE_REFRESH)
		refresh(f, client);
	if (len)
		return finish(client, reply, len, cap);
	if (w == self) {
		kb_exchange_start(w, client);
		client->chase = NULL;
		return 0;
	}
	if (kb_worker_push(w, client)) {
		client->chase = NULL;
		return 0;
	}
	*ret_rejected = true;
	len = kb_relay_error(&client->ask, KB_RCODE_SERVFAIL, f->config.udp_max, reply);
	return finish(client, reply, len, cap);
}

size_t kb_forward_ask(struct kb_forward *f, struct kb_client *client, uint8_t *reply, size_t cap)
{
	bool rejected;
	size_t len;

	f->asked++;
	f->chased += client->chase != NULL;
	len = ask(f, NULL, client, uv_now(f->loop), reply, cap, &rejected);
	f->rejected += rejected;
	return len;
}

size_t kb_forward_ask_on(struct kb_worker *w, struct kb_client *client, uint8_t *reply, size_t cap)
{
	bool rejected;
	size_t len;

	kb_count(&w->stats.asked);
	if (client->chase)
		kb_count(&w->stats.chased);
	len = ask(w->forward, w, client, w->now_ms, reply, cap, &rejected);
	if (rejected)
		kb_count(&w->stats.rejected);
	return len;
}

void kb_forward_cache_stats(const struct kb_forward *f, struct kb_cache_stats *ret_stats)
{
	memset(ret_stats, 0, sizeof(*ret_stats));
	if (f->cache)
		kb_cache_stats(f->cache, ret_stats);
}

void kb_forward_stats(const struct kb_forward *f, struct kb_forward_stats *ret_stats)
{
	struct kb_forward_stats s = {
		.asked = f->asked, .chased = f->chased, .rejected = f->rejected};

	for (unsigned int i = 0; i < f->n_workers; i++) {
		struct kb_worker_stats *w = &f->workers[i]->stats;

#define ADD(field) s.field += atomic_load_explicit(&w->field, memory_order_relaxed)
		ADD(asked);
		ADD(chased);
		ADD(shared);
		ADD(exchanges);
		ADD(active);
		ADD(rejected);
		ADD(no_upstream);
		ADD(failed);
		ADD(noerror);
		ADD(nxdomain);
		ADD(servfail);
		ADD(refused);
		ADD(other);
		ADD(send_failed);
		ADD(strays);
		ADD(healthcheck_broken);
#undef ADD
	}
	*ret_stats = s;
}

/* --- start and end ----------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void kb_forward_free(struct kb_forward *f)
{
	struct out *o, *next;

	if (!f)
		return;
	for (unsigned int i = 0; i < f->n_workers; i++) {
		kb_worker_stop(f->workers[i]);
		free(f->workers[i]);
	}
	free(f->workers);
	for (o = take_out(f); o; o = next) {
		next = o->next;
		free(o);
	}
	kb_routes_unref(f->routes);
	kb_cache_free(f->cache);
	kb_tls_free(f->tls);
	kb_loops_fini(&f->loops);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->out_lock);
	uv_close((uv_handle_t *)&f->async, on_closed);
}

static int workers_start(struct kb_forward *f)
{
	size_t size = (f->config.max_concurrent + f->config.threads - 1) / f->config.threads;
	int r = 0;

	f->workers = calloc(f->config.threads, sizeof(struct kb_worker *));
	if (!f->workers)
		return -ENOMEM;
	while (r == 0 && f->n_workers < f->config.threads) {
		struct kb_worker *w = calloc(1, sizeof(*w));

		if (!w)
			return -ENOMEM;
		f->workers[f->n_workers] = w;
		r = kb_worker_start(w, f, f->n_workers++, size);
	}
	return r;
}

int kb_forward_new(uv_loop_t *loop, const struct kb_forward_config *config,
		   struct kb_forward **ret_forward, char *err, size_t err_size)
{
	struct kb_forward *f = calloc(1, sizeof(*f));
	int r = f ? 0 : -ENOMEM;

	if (f) {
		f->config = *config;
		f->loop = loop;
		f->out_end = &f->out;
		pthread_mutex_init(&f->lock, NULL);
		kb_loops_init(&f->loops);
		pthread_mutex_init(&f->out_lock, NULL);
		f->async.data = f;
		r = uv_async_init(loop, &f->async, on_async);
		if (r < 0) {
			free(f);
			f = NULL;
		}
	}
	*err = '\0';
	if (r == 0)
		r = kb_tls_new(config->tls_ca, &f->tls, err, err_size);
	if (r == 0 && config->cache)
		r = kb_cache_new(config->cache, &f->cache);
	if (r == 0)
		r = workers_start(f);
	if (r < 0) {
		if (!*err)
			snprintf(err, err_size, "forwarder: %s", strerror(-r));
		kb_forward_free(f);
		return r;
	}
	*ret_forward = f;
	return 0;
}
