/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which upstreams live. Each failure of a query counts against its upstream, and any reply makes up
 * for all of them; one that has failed max_fails times in a row is asked only when no
 * other is left, and probed by the first worker until it answers. A worker's thread.
 */
#include <string.h>

#include "control/forward/worker.h"
#include "control/log.h"
#include "dataplane/core/dns.h"

#define PAUSE_MAX_MS 8000 /* between two probes, unless the first pause is longer */

void kb_health_failed(struct kb_upstream *u, atomic_uint_fast64_t *count)
{
	unsigned int fails = atomic_fetch_add_explicit(&u->fails, 1, memory_order_relaxed) + 1;

	kb_count_shared(count);
	if (kb_upstream_too_many(u, fails) && !kb_upstream_too_many(u, fails - 1))
		kb_log_limited(KB_LOG_WARN, 5,
			       "upstream %s does not answer: it is probed, and used "
			       "only when no other is left",
			       u->text);
}

void kb_health_lives(struct kb_exchange *x)
{
	struct kb_upstream *u = x->upstream;

	kb_count_shared(&u->replies);
	kb_upstream_latency(u, kb_worker_now_us() - x->sent_us);
	if (kb_upstream_too_many(u, atomic_exchange_explicit(&u->fails, 0, memory_order_relaxed)))
		kb_log_limited(KB_LOG_INFO, 5, "upstream %s answers again", u->text);
}

static void probe(struct kb_worker *w, struct kb_upstream *u, const struct kb_group_options *o)
{
	static const uint8_t ns_in[] = {0, KB_TYPE_NS, 0, 1};
	struct kb_ask ask = {.rd = !o->probe_no_rd};

	ask.len = kb_domain_wire(o->probe_domain, ask.question);
	memcpy(ask.question + ask.len, ns_in, sizeof(ns_in));
	ask.len += sizeof(ns_in);
	kb_exchange_probe(w, u, &ask);
}

static void probe_due(struct kb_worker *w, struct kb_upstream *u, const struct kb_group_options *o)
{
	uint32_t max_ms;

	if (kb_upstream_is_up(u)) {
		u->probe_gap_ms = 0;
		return;
	}
	if (u->probe_gap_ms && w->now_ms < u->probe_at_ms)
		return;
	max_ms = o->probe_ms > PAUSE_MAX_MS ? o->probe_ms : PAUSE_MAX_MS;
	u->probe_gap_ms = u->probe_gap_ms ? u->probe_gap_ms * 2 : o->probe_ms;
	if (u->probe_gap_ms > max_ms)
		u->probe_gap_ms = max_ms;
	u->probe_at_ms = w->now_ms + u->probe_gap_ms;
	probe(w, u, o);
}

void kb_health_sweep(struct kb_worker *w)
{
	if (w->index != 0 || !w->routes)
		return;
	for (size_t i = 0; i < w->routes->n_upstreams; i++)
		probe_due(w, w->routes->upstreams[i], &w->routes->probed_as[i]->options);
}
