// SPDX-License-Identifier: Apache-2.0
/* A worker's loop; see process.h. */
#include <time.h>

#include "dataplane/core/steer.h"
#include "dataplane/dpdk/process.h"

/* A withdrawn queue in which nothing has come for so long is empty: what was on its way to it when
 * it was withdrawn has arrived. A queue that cannot be withdrawn is answered for as long. */
#define QUIET_NS 10000000ULL
/* A process that is to stop does so, even if queries went on coming. */
#define STOP_MAX_NS 1000000000ULL

_Static_assert(KB_IDLE_SLEEP_MAX_US * 2000ULL < KB_STEER_SILENT_NS, "who sleeps counts as living");

uint64_t kb_dpdk_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void say_state(struct kb_dpdk_worker *w, enum kb_worker_state state)
{
	if (w->queue.says.state == state)
		return;
	w->queue.says.state = state;
	kb_dpdk_queue_say(&w->queue);
}

/* What has changed since the last poll, and is the operator's business. */
static void follow(struct kb_dpdk_worker *w)
{
	struct kb_worker_says *s = &w->queue.says;
	uint32_t link_down = __atomic_load_n(&w->link_down, __ATOMIC_RELAXED);

	if (w->idle.policy == s->tune.idle && link_down == s->link_down)
		return;
	s->link_down = link_down;
	s->wait = kb_dpdk_idle_choose(&w->idle, s->tune.idle);
	__atomic_store_n(&w->wait, s->wait, __ATOMIC_RELAXED);
	kb_dpdk_queue_say(&w->queue);
}

static bool is_asked(const struct kb_dpdk_worker *w)
{
	uint32_t ask = __atomic_load_n(&w->queue.ask, __ATOMIC_RELAXED);

	return w->process->stop || ask == KB_WORKER_ASK_DRAIN || ask == KB_WORKER_ASK_STOP;
}

/* It is to drain, and has received n frames at `now`. */
static void drain(struct kb_dpdk_worker *w, uint32_t n, uint64_t now)
{
	bool away = w->queue.xsk || __atomic_load_n(&w->away, __ATOMIC_ACQUIRE) == KB_AWAY_YES;

	if (!w->drain_ns) {
		if (w->queue.xsk)
			kb_xsk_serve(w->queue.xsk, false);
		w->drain_ns = now;
		__atomic_store_n(&w->drain, 1, __ATOMIC_RELEASE);
		say_state(w, KB_WORKER_DRAINING);
	}
	if (n || !away)
		w->quiet_ns = now;
	else if (now - w->quiet_ns > QUIET_NS)
		say_state(w, KB_WORKER_DRAINED);
}

static void serve(struct kb_dpdk_worker *w)
{
	if (w->queue.xsk)
		kb_xsk_serve(w->queue.xsk, true);
	if (!w->drain_ns)
		return;
	w->drain_ns = 0;
	__atomic_store_n(&w->drain, 0, __ATOMIC_RELEASE);
	say_state(w, KB_WORKER_SERVING);
}

static bool is_done(const struct kb_dpdk_worker *w, uint64_t now)
{
	bool cannot =
		!w->queue.xsk && __atomic_load_n(&w->away, __ATOMIC_ACQUIRE) == KB_AWAY_CANNOT;

	return w->queue.says.state == KB_WORKER_DRAINED ||
	       now - w->drain_ns > (cannot ? QUIET_NS : STOP_MAX_NS);
}

int kb_dpdk_worker_run(void *arg)
{
	struct kb_dpdk_worker *w = arg;
	uint32_t n;

	for (;;) {
		bool asked = is_asked(w), stop = w->process->stop;
		/* The coarse clock stands still for milliseconds. */
		uint64_t now = kb_dpdk_now_ns(asked ? CLOCK_MONOTONIC : CLOCK_MONOTONIC_COARSE);

		n = kb_dpdk_queue_poll(&w->queue, now);
		follow(w);
		if (asked)
			drain(w, w->queue.received, now);
		else
			serve(w);
		if (stop && is_done(w, now))
			break;
		if (kb_dpdk_idle_wait(&w->idle, n, w->queue.says.tune.sleep_us))
			kb_dpdk_queue_slept(&w->queue);
	}
	kb_dpdk_idle_end(&w->idle);
	kb_dpdk_queue_stop(&w->queue);
	return 0;
}
