/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: its loop, its inbox, its memory. */
#include "control/forward/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define EVENTS	      64
#define TICK_BUSY_MS  20  /* while exchanges wait: how exact time limits are */
#define TICK_IDLE_MS  500 /* probes; idle sockets */
#define WAITERS	      4	  /* clients for each exchange, on average */
#define INBOX_MIN     256
#define INBOX_TURN    256
#define SWEEP_SOCK_MS 1000

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t kb_worker_now_us(void)
{
	return now_us();
}

/* From the kernel's generator, in blocks that getrandom(2) never cuts short. */
uint32_t kb_worker_random(struct kb_worker *w)
{
	uint32_t v;

	if (w->random_left < sizeof(v)) {
		while (getrandom(w->random, sizeof(w->random), 0) != (ssize_t)sizeof(w->random))
			;
		w->random_left = sizeof(w->random);
	}
	w->random_left -= sizeof(v);
	memcpy(&v, w->random + w->random_left, sizeof(v));
	return v;
}

int kb_worker_watch(struct kb_worker *w, struct kb_watch *watch, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = watch};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, watch->fd, &ev) < 0 ? -errno : 0;
}

void kb_worker_unwatch(struct kb_worker *w, struct kb_watch *watch)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

static void wake(const struct kb_worker *w)
{
	uint64_t one = 1;

	/* Only a full counter makes it fail, and that wakes, too. */
	if (write(w->wake.fd, &one, sizeof(one)) < 0)
		errno = 0;
}

bool kb_worker_push(struct kb_worker *w, const struct kb_client *client)
{
	struct kb_inbox *in = &w->inbox;
	bool ok, was_empty;

	pthread_mutex_lock(&in->lock);
	ok = in->n < in->size;
	was_empty = in->n == 0;
	if (ok)
		in->ring[(in->first + in->n++) % in->size] = *client;
	pthread_mutex_unlock(&in->lock);
	if (was_empty)
		wake(w);
	return ok;
}

static bool pop(struct kb_inbox *in, struct kb_client *ret)
{
	bool any;

	pthread_mutex_lock(&in->lock);
	any = in->n > 0;
	if (any) {
		*ret = in->ring[in->first];
		in->first = (in->first + 1) % in->size;
		in->n--;
	}
	pthread_mutex_unlock(&in->lock);
	return any;
}

static void on_wake(struct kb_worker *w, struct kb_watch *watch, uint32_t events)
{
	struct kb_client client;
	uint64_t count;

	(void)events;
	if (read(watch->fd, &count, sizeof(count)) < 0)
		return;
	/* Upstreams have their turn, too. */
	for (int i = 0; i < INBOX_TURN; i++) {
		if (!pop(&w->inbox, &client))
			return;
		kb_exchange_start(w, &client);
	}
	wake(w);
}

static void take_routes(struct kb_worker *w)
{
	struct kb_cache *cache = kb_forward_cache(w->forward);
	struct kb_routes *r;

	if (cache)
		w->cache_era = kb_cache_era(cache);
	r = kb_forward_new_routes(w->forward, &w->routes_version);
	if (!r)
		return;
	kb_routes_unref(w->routes);
	w->routes = r;
}

static void *run(void *arg)
{
	struct kb_worker *w = arg;
	struct epoll_event events[EVENTS];
	uint64_t swept_ms = 0, socks_ms = 0;

	while (!atomic_load(&w->stop)) {
		uint64_t tick = w->active ? TICK_BUSY_MS : TICK_IDLE_MS;
		int n = epoll_wait(w->epoll, events, EVENTS, (int)tick);

		w->now_ms = now_us() / 1000;
		take_routes(w);
		for (int i = 0; i < n; i++) {
			struct kb_watch *watch = events[i].data.ptr;

			watch->ready(w, watch, events[i].events);
		}
		if (w->now_ms - swept_ms >= TICK_BUSY_MS) {
			kb_exchange_sweep(w);
			kb_health_sweep(w);
			swept_ms = w->now_ms;
		}
		if (w->now_ms - socks_ms >= SWEEP_SOCK_MS) {
			kb_upsock_sweep(w);
			kb_upconn_sweep(w);
			socks_ms = w->now_ms;
		}
	}
	return NULL;
}

static int alloc(struct kb_worker *w, size_t size)
{
	w->n_exchanges = size;
	w->n_waiters = size * WAITERS;
	w->n_buckets = size | 1;
	w->inbox.size = size > INBOX_MIN ? size : INBOX_MIN;
	w->exchanges = calloc(size, sizeof(*w->exchanges));
	w->waiters = calloc(size * WAITERS, sizeof(*w->waiters));
	w->buckets = calloc(w->n_buckets, sizeof(struct kb_exchange *));
	w->inbox.ring = calloc(w->inbox.size, sizeof(*w->inbox.ring));
	if (!w->exchanges || !w->waiters || !w->buckets || !w->inbox.ring)
		return -ENOMEM;
	return 0;
}

/* Signals are the main thread's. */
static int thread_start(struct kb_worker *w)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->running = r == 0;
	return -r;
}

int kb_worker_start(struct kb_worker *w, struct kb_forward *f, unsigned int index, size_t size)
{
	int r;

	w->forward = f;
	w->index = index;
	pthread_mutex_init(&w->inbox.lock, NULL);
	for (size_t i = 0; i < KB_SOCKS_MAX; i++)
		w->socks[i].watch.fd = -1;
	for (size_t i = 0; i < KB_CONNS_MAX; i++)
		w->conns[i].watch.fd = -1;
	w->wake = (struct kb_watch){on_wake, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->wake.fd < 0 || w->epoll < 0)
		return -errno;
	r = alloc(w, size);
	if (r == 0)
		r = kb_worker_watch(w, &w->wake, EPOLLIN);
	return r == 0 ? thread_start(w) : r;
}

void kb_worker_stop(struct kb_worker *w)
{
	struct kb_client client;

	atomic_store(&w->stop, true);
	if (w->running) {
		wake(w);
		pthread_join(w->thread, NULL);
	}
	while (w->active)
		kb_exchange_drop(w, w->active);
	while (pop(&w->inbox, &client))
		kb_chase_free(client.chase);
	for (size_t i = 0; i < KB_SOCKS_MAX; i++) {
		if (w->socks[i].watch.fd >= 0)
			close(w->socks[i].watch.fd);
	}
	kb_upconn_close_all(w);
	if (w->wake.fd >= 0)
		close(w->wake.fd);
	if (w->epoll >= 0)
		close(w->epoll);
	kb_routes_unref(w->routes);
	free(w->exchanges);
	free(w->waiters);
	free(w->buckets);
	free(w->inbox.ring);
	pthread_mutex_destroy(&w->inbox.lock);
}
