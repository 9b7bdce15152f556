/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question on its way: attempts with one upstream after the other, until there is
 * something to say to all who wait. A worker's thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "control/forward/question.h"
#include "control/forward/worker.h"
#include "control/log.h"
#include "dataplane/core/dns.h"

/* --- replies to clients ------------------------------------------------------ */

static void count_rcode(struct kb_worker *w, unsigned int rcode)
{
	struct kb_worker_stats *s = &w->stats;

	kb_count(rcode == KB_RCODE_NOERROR    ? &s->noerror
		 : rcode == KB_RCODE_NXDOMAIN ? &s->nxdomain
		 : rcode == KB_RCODE_SERVFAIL ? &s->servfail
		 : rcode == KB_RCODE_REFUSED  ? &s->refused
					      : &s->other);
}

static void client_done(struct kb_client *c)
{
	kb_chase_free(c->chase);
	c->chase = NULL;
}

static void send_tcp(struct kb_worker *w, const struct kb_client *c, size_t len)
{
	struct kb_forward *f = w->forward;

	if (kb_forward_put_out(f, c->conn, w->out, len))
		return;
	len = kb_relay_error(&c->ask, KB_RCODE_SERVFAIL, kb_forward_udp_max(f), w->out);
	if (c->chase)
		len = kb_chase_reply(c->chase, w->out, len, KB_RELAY_QUERY_MAX);
	if (!kb_forward_put_out(f, c->conn, w->out, len))
		kb_count(&w->stats.send_failed);
}

/* The reply in w->out. That is the last of this client. */
static void send_client(struct kb_worker *w, struct kb_client *c, size_t len,
			enum kb_event_origin origin)
{
	if (c->chase)
		len = kb_chase_reply(c->chase, w->out, len, sizeof(w->out));
	kb_querylog_reply(kb_forward_log(w->forward), &c->asked, w->out, len, origin);
	count_rcode(w, w->out[3] & 0x0f);
	if (c->fd < 0)
		send_tcp(w, c, len);
	else if (!kb_client_send(c, w->out, len))
		kb_count(&w->stats.send_failed);
	client_done(c);
}

static void send_error(struct kb_worker *w, struct kb_client *c, uint8_t rcode)
{
	if (c->fd == KB_CLIENT_NONE)
		return;
	send_client(w, c, kb_relay_error(&c->ask, rcode, kb_forward_udp_max(w->forward), w->out),
		    KB_ORIGIN_UPSTREAM);
}

/* --- life of an exchange ----------------------------------------------------- */

static struct kb_exchange **bucket_of(struct kb_worker *w, const struct kb_ask *ask)
{
	return &w->buckets[ask->hash % w->n_buckets];
}

/* Under way with upstreams that are in force. */
static struct kb_exchange *find(struct kb_worker *w, const struct kb_ask *ask)
{
	struct kb_exchange *x;

	for (x = *bucket_of(w, ask); x; x = x->chain) {
		if (x->routes == w->routes && kb_ask_same(&x->ask, ask))
			return x;
	}
	return NULL;
}

static bool add_waiter(struct kb_worker *w, struct kb_exchange *x, const struct kb_client *client)
{
	struct kb_waiter *waiter = w->free_waiters;

	if (waiter)
		w->free_waiters = waiter->next;
	else if (w->waiters_used < w->n_waiters)
		waiter = &w->waiters[w->waiters_used++];
	else
		return false;
	waiter->client = *client;
	waiter->next = x->waiters;
	x->waiters = waiter;
	return true;
}

static struct kb_exchange *exchange_new(struct kb_worker *w)
{
	struct kb_exchange *x = w->free;

	if (x)
		w->free = x->next;
	else if (w->exchanges_used < w->n_exchanges)
		x = &w->exchanges[w->exchanges_used++];
	else
		return NULL;
	memset(x, 0, sizeof(*x));
	x->rcode = KB_RCODE_SERVFAIL;
	x->routes = kb_routes_ref(w->routes);
	x->end_ms = w->now_ms + KB_FORWARD_BUDGET_MS;
	x->at = &w->active;
	x->next = w->active;
	if (x->next)
		x->next->at = &x->next;
	w->active = x;
	atomic_fetch_add_explicit(&w->stats.active, 1, memory_order_relaxed);
	return x;
}

int kb_exchange_take_id(struct kb_worker *w, struct kb_exchange *x)
{
	for (int i = 0; i < 64; i++) {
		uint16_t id = (uint16_t)kb_worker_random(w);

		if (!w->by_id[id]) {
			w->by_id[id] = x;
			x->id = id;
			return 0;
		}
	}
	return -EAGAIN;
}

void kb_exchange_drop_id(struct kb_worker *w, struct kb_exchange *x)
{
	w->by_id[x->id] = NULL;
}

/* Lets go of what the attempt holds. */
static void attempt_end(struct kb_worker *w, struct kb_exchange *x, bool timeout)
{
	kb_upsock_done(w, x);
	kb_upconn_done(w, x, timeout);
	x->waits = false;
}

static void exchange_free(struct kb_worker *w, struct kb_exchange *x)
{
	attempt_end(w, x, false);
	for (struct kb_exchange **at = bucket_of(w, &x->ask); *at; at = &(*at)->chain) {
		if (*at == x) {
			*at = x->chain;
			break;
		}
	}
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	kb_routes_unref(x->routes);
	x->next = w->free;
	w->free = x;
	atomic_fetch_sub_explicit(&w->stats.active, 1, memory_order_relaxed);
}

/* Takes one waiter off; its client is good until the next one is added. */
static struct kb_client *take_waiter(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_waiter *waiter = x->waiters;

	if (!waiter)
		return NULL;
	x->waiters = waiter->next;
	waiter->next = w->free_waiters;
	w->free_waiters = waiter;
	return &waiter->client;
}

static void finish(struct kb_worker *w, struct kb_exchange *x, const uint8_t *msg,
		   const struct kb_message *m)
{
	struct kb_cache *cache = kb_forward_cache(w->forward);
	uint16_t udp_max = kb_forward_udp_max(w->forward);
	struct kb_relay relay = kb_relay_of(m);
	struct kb_client *c;

	if (cache)
		kb_cache_put(cache, &x->ask, &x->group->options.cache, msg, m, w->now_ms);
	while ((c = take_waiter(w, x)))
		send_client(w, c,
			    kb_relay_reply(&c->ask, msg, &relay, udp_max, w->out, sizeof(w->out)),
			    KB_ORIGIN_UPSTREAM);
	exchange_free(w, x);
}

/* What is known of earlier, if anything is, goes to all who wait. */
static void serve_stale(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_cache *cache = kb_forward_cache(w->forward);
	uint16_t udp_max = kb_forward_udp_max(w->forward);

	while (cache && x->waiters) {
		struct kb_client *c = &x->waiters->client;
		size_t len = kb_cache_get_stale(cache, &c->ask, w->now_ms, udp_max, w->out,
						sizeof(w->out));

		if (!len)
			return;
		send_client(w, c, len, KB_ORIGIN_CACHE);
		take_waiter(w, x);
	}
}

/* Nobody could be asked, or all that were asked failed. */
static void give_up(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_cache *cache = kb_forward_cache(w->forward);
	struct kb_client *c;

	kb_count(&w->stats.failed);
	serve_stale(w, x);
	if (cache)
		kb_cache_put_failure(cache, &x->ask, x->rcode, w->now_ms);
	while ((c = take_waiter(w, x)))
		send_error(w, c, x->rcode);
	exchange_free(w, x);
}

void kb_exchange_drop(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_client *c;

	while ((c = take_waiter(w, x)))
		client_done(c);
	exchange_free(w, x);
}

/* --- attempts ---------------------------------------------------------------- */

static void set_deadline(struct kb_worker *w, struct kb_exchange *x)
{
	uint64_t at = w->now_ms + KB_FORWARD_ATTEMPT_MS;

	x->deadline_ms = at < x->end_ms ? at : x->end_ms;
}

static uint32_t random_bits(void *arg)
{
	return kb_worker_random(arg);
}

/* The case of x's question is nobody's: waiters have their own. */
static void mix_case(struct kb_worker *w, struct kb_exchange *x)
{
	uint64_t until_ms =
		atomic_load_explicit(&x->upstream->case_off_until_ms, memory_order_relaxed);

	x->mixed = kb_forward_random_case(w->forward) && !x->case_off && w->now_ms >= until_ms;
	if (x->mixed && until_ms)
		atomic_store_explicit(&x->upstream->case_off_until_ms, 0, memory_order_relaxed);
	if (x->mixed)
		kb_question_mix(x->ask.question, x->ask.len, random_bits, w);
}

/* Asks x->upstream, over UDP or a connection. 0 or -errno. */
static int ask_over(struct kb_worker *w, struct kb_exchange *x, bool tcp)
{
	struct kb_upstream *u = x->upstream;
	int r;

	x->mixed = false;
	if (!tcp)
		mix_case(w, x);
	r = tcp ? kb_upconn_send(w, x) : kb_upsock_send(w, x);
	if (r == -EBUSY) {
		x->waits = true;
		set_deadline(w, x);
		return 0;
	}
	if (r < 0) {
		/* Only what it does itself is held against an upstream. */
		if (r != -EHOSTDOWN)
			kb_health_failed(u, &u->errors);
		return r;
	}
	kb_count_shared(!tcp ? &u->queries : u->spec.tls ? &u->tls : &u->tcp);
	x->sent_us = kb_worker_now_us();
	set_deadline(w, x);
	return 0;
}

static int ask_upstream(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_upstream *u = x->upstream;
	bool tcp = x->group ? x->group->options.force_tcp : atomic_load(&u->force_tcp);

	return ask_over(w, x, tcp || u->spec.tls);
}

static bool all_tried(const struct kb_exchange *x)
{
	return x->tried == (1U << x->group->n) - 1;
}

/* The next attempt, or the end. */
static void attempt(struct kb_worker *w, struct kb_exchange *x)
{
	do {
		int i;

		if (w->now_ms >= x->end_ms || (x->tries >= KB_FORWARD_TRIES && all_tried(x))) {
			give_up(w, x);
			return;
		}
		i = kb_routes_pick(x->group, x->tried, kb_worker_random(w));
		x->upstream = x->group->v[i];
		x->tried |= 1U << i;
		x->tries++;
		x->plain = x->resent = x->case_differs = x->case_off = false;
		if (!kb_upstream_is_up(x->upstream))
			kb_count(&w->stats.healthcheck_broken);
	} while (ask_upstream(w, x) < 0);
}

/* The attempt has failed, which has been counted: what next? */
static void go_on(struct kb_worker *w, struct kb_exchange *x)
{
	if (!x->group) {
		kb_count_shared(&x->upstream->probe_failures);
		kb_exchange_drop(w, x);
		return;
	}
	serve_stale(w, x);
	if (x->case_differs && !x->case_off) {
		x->case_off = true;
		if (ask_over(w, x, false) == 0)
			return;
	}
	attempt(w, x);
}

void kb_exchange_failed(struct kb_worker *w, struct kb_exchange *x, bool timeout)
{
	struct kb_upstream *u = x->upstream;

	attempt_end(w, x, timeout);
	kb_health_failed(u, timeout ? &u->timeouts : &u->errors);
	go_on(w, x);
}

/* Asks the same upstream again; if that does not work, the next one. */
static void ask_again(struct kb_worker *w, struct kb_exchange *x, bool tcp)
{
	attempt_end(w, x, false);
	if (ask_over(w, x, tcp) < 0)
		go_on(w, x);
}

/* All is as it should be, but for the case of the question: see forward.h. */
static void case_differs(struct kb_worker *w, struct kb_exchange *x)
{
	struct kb_upstream *u = x->upstream;

	kb_count_shared(&u->case_mismatches);
	if (atomic_fetch_add_explicit(&u->case_fails, 1, memory_order_relaxed) + 1 ==
	    KB_FORWARD_CASE_FAILS) {
		atomic_store_explicit(&u->case_fails, 0, memory_order_relaxed);
		atomic_store_explicit(&u->case_off_until_ms, w->now_ms + KB_FORWARD_CASE_OFF_MS,
				      memory_order_relaxed);
		kb_log_limited(KB_LOG_WARN, 5,
			       "upstream %s does not keep the case of questions: it is asked "
			       "without random case for 10 minutes",
			       u->text);
	}
	x->case_differs = true;
	ask_again(w, x, true);
}

/* There was no room on a connection; it tries again, within the time that it had. */
static void ask_waiting(struct kb_worker *w, struct kb_exchange *x)
{
	uint64_t deadline_ms = x->deadline_ms;

	ask_again(w, x, true);
	if (x->waits)
		x->deadline_ms = deadline_ms;
}

void kb_exchange_resend(struct kb_worker *w, struct kb_exchange *x)
{
	if (x->resent) {
		kb_exchange_failed(w, x, false);
		return;
	}
	x->resent = true;
	ask_again(w, x, true);
}

void kb_exchange_reply(struct kb_worker *w, struct kb_exchange *x, const uint8_t *msg, size_t len,
		       bool tcp)
{
	struct kb_message m;
	enum kb_relay_verdict verdict = kb_relay_read(&x->ask, x->id, x->mixed, msg, len, &m);
	bool no_edns;

	if (verdict == KB_RELAY_FOREIGN) {
		kb_count_shared(&x->upstream->rejected);
		if (tcp)
			kb_exchange_failed(w, x, false);
		return;
	}
	if (verdict == KB_RELAY_CASE) {
		case_differs(w, x);
		return;
	}
	if (x->mixed)
		atomic_store_explicit(&x->upstream->case_fails, 0, memory_order_relaxed);
	if (!x->group) { /* a probe: any reply will do */
		kb_health_lives(x);
		kb_exchange_drop(w, x);
		return;
	}
	no_edns = !x->plain && !m.has_opt &&
		  (m.rcode == KB_RCODE_FORMERR || m.rcode == KB_RCODE_NOTIMP);
	if (no_edns) {
		kb_health_lives(x);
		x->plain = true; /* RFC 6891 section 6.2.2 */
		ask_again(w, x, tcp);
	} else if (verdict == KB_RELAY_BAD || m.rcode > 15) {
		kb_count_shared(&x->upstream->rejected);
		kb_exchange_failed(w, x, false);
	} else if (m.flags2 & KB_TC && !tcp) {
		ask_again(w, x, true);
	} else {
		kb_health_lives(x);
		if ((m.rcode == KB_RCODE_SERVFAIL || m.rcode == KB_RCODE_REFUSED) &&
		    !all_tried(x)) {
			x->rcode = (uint8_t)m.rcode;
			attempt_end(w, x, false);
			attempt(w, x);
			return;
		}
		finish(w, x, msg, &m);
	}
}

/* --- beginnings -------------------------------------------------------------- */

void kb_exchange_start(struct kb_worker *w, struct kb_client *client)
{
	const struct kb_ask *ask = &client->ask;
	struct kb_exchange *x = find(w, ask);
	struct kb_group *group;

	if (x && client->fd == KB_CLIENT_NONE)
		return;
	if (x && add_waiter(w, x, client)) {
		kb_count(&w->stats.shared);
		return;
	}
	group = w->routes ? kb_routes_find(w->routes, ask->question, ask->len - 4U) : NULL;
	if (!group || !group->n) {
		kb_count(&w->stats.no_upstream);
		send_error(w, client,
			   group && group->closed ? KB_RCODE_SERVFAIL : KB_RCODE_REFUSED);
		return;
	}
	x = x ? NULL : exchange_new(w); /* one that is there had no room for this client */
	if (!x || (client->fd != KB_CLIENT_NONE && !add_waiter(w, x, client))) {
		if (x)
			exchange_free(w, x);
		kb_count(&w->stats.rejected);
		send_error(w, client, KB_RCODE_SERVFAIL);
		return;
	}
	kb_count(&w->stats.exchanges);
	x->ask = *ask;
	/* Of these routes; who asks may know newer ones. What comes of it is kept only as long as
	 * they are in force. */
	x->ask.era = w->cache_era;
	x->group = group;
	x->chain = *bucket_of(w, ask);
	*bucket_of(w, ask) = x;
	attempt(w, x);
}

void kb_exchange_probe(struct kb_worker *w, struct kb_upstream *u, const struct kb_ask *ask)
{
	struct kb_exchange *x = exchange_new(w);

	if (!x)
		return;
	x->ask = *ask;
	x->upstream = u;
	kb_count_shared(&u->probes);
	if (ask_upstream(w, x) < 0) {
		kb_count_shared(&u->probe_failures);
		kb_exchange_drop(w, x);
	}
}

void kb_exchange_sweep(struct kb_worker *w)
{
	struct kb_exchange *x, *next;

	for (x = w->active; x; x = next) {
		next = x->next;
		if (w->now_ms >= x->deadline_ms)
			kb_exchange_failed(w, x, true);
		else if (x->waits)
			ask_waiting(w, x);
	}
}
