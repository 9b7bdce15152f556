/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says, gathered from all parts. */
#include "control/daemon/daemon.h"

#include <string.h>
#include <time.h>

#include "control/daemon/rows.h"
#include "control/datapath/steer.h"

void kb_daemon_sockets(const struct kb_daemon *d, struct kb_server_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (d->server)
		kb_server_stats(d->server, ret);
}

void kb_daemon_forward(const struct kb_daemon *d, struct kb_forward_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (d->forward)
		kb_forward_stats(d->forward, ret);
}

void kb_daemon_cache(const struct kb_daemon *d, struct kb_cache_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (d->forward)
		kb_forward_cache_stats(d->forward, ret);
}

static void put_latency(struct kb_metrics *m, const struct kb_upstream *u)
{
	uint64_t counts[KB_LATENCY_BUCKETS + 1];
	double bounds[KB_LATENCY_BUCKETS];

	for (int i = 0; i <= KB_LATENCY_BUCKETS; i++)
		counts[i] = atomic_load_explicit(&u->latency[i], memory_order_relaxed);
	for (int i = 0; i < KB_LATENCY_BUCKETS; i++)
		bounds[i] = (double)((uint64_t)KB_LATENCY_FIRST_US << i) / 1e6;
	kb_metrics_histogram(m, KB_LATENCY_BUCKETS, bounds, counts,
			     (double)atomic_load_explicit(&u->latency_us, memory_order_relaxed) /
				     1e6,
			     "to", u->text, NULL);
}

static void forward_metrics(struct kb_metrics *m, const struct kb_daemon *d)
{
	const struct kb_routes *routes = d->forward ? kb_forward_routes(d->forward) : NULL;
	struct kb_upstream_stats s[KB_UPSTREAMS_MAX];
	const char *names[KB_UPSTREAMS_MAX];
	const void *stats[KB_UPSTREAMS_MAX];
	struct kb_forward_stats forward;
	struct kb_cache_stats cache;
	struct kb_pcache_stats pcache;
	size_t n = 0;

	kb_daemon_forward(d, &forward);
	kb_rows_export(m, KB_ROWS_FORWARD, (const void *[]){&forward}, 1, NULL, NULL);
	kb_daemon_cache(d, &cache);
	kb_rows_export(m, KB_ROWS_CACHE, (const void *[]){&cache}, 1, NULL, NULL);
	kb_daemon_pcache_stats(d, &pcache);
	kb_rows_export(m, KB_ROWS_PCACHE, (const void *[]){&pcache}, 1, NULL, NULL);
	for (; routes && n < routes->n_upstreams; n++) {
		kb_upstream_stats(routes->upstreams[n], &s[n]);
		stats[n] = &s[n];
		names[n] = routes->upstreams[n]->text;
	}
	if (!n)
		return;
	kb_rows_export(m, KB_ROWS_UPSTREAM, stats, n, "to", names);
	kb_metrics_family(m, "coredns_proxy_request_duration_seconds", KB_METRIC_HISTOGRAM,
			  "Time until a good reply of an upstream");
	for (size_t i = 0; i < n; i++)
		put_latency(m, routes->upstreams[i]);
}

void kb_daemon_engines(const struct kb_daemon *d, struct kb_engine_stats ret[KB_ENGINE_MAX])
{
	memset(ret, 0, KB_ENGINE_MAX * sizeof(*ret));
	for (int engine = 0; engine < KB_ENGINE_MAX; engine++) {
		ret[engine].engine = kb_engine_names[engine];
		if (engine == KB_ENGINE_SOCKET) {
			kb_responder_add_counters(d->responder, ret[engine].counters);
			if (d->server)
				kb_server_add_counters(d->server, ret[engine].counters);
			continue;
		}
		ret[engine].has_latency = d->options.latency_histogram;
		kb_datapath_engine_stats(d->datapath, (enum kb_engine)engine, ret[engine].counters,
					 ret[engine].latency);
	}
}

/* CoreDNS takes every headless Service with a trigger time for one with a selector and never
 * counts the third kind; slices that others make with that annotation are told apart here. */
void kb_daemon_programmed(void *arg, enum kb_service_type type, bool selector,
			  double trigger_time_s)
{
	struct kb_daemon *d = arg;
	enum kb_programming_kind kind = type == KB_CLUSTER_IP ? KB_PROGRAMMING_CLUSTER_IP
					: selector ? KB_PROGRAMMING_HEADLESS_WITH_SELECTOR
						   : KB_PROGRAMMING_HEADLESS_WITHOUT_SELECTOR;
	struct timespec now;

	if (!d->synced || type == KB_EXTERNAL_NAME) /* no endpoint of the latter is answered */
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	kb_durations_observe(&d->programming[kind],
			     (double)now.tv_sec + (double)now.tv_nsec / 1e9 - trigger_time_s);
}

static void source_metrics(struct kb_metrics *m, const struct kb_daemon *d)
{
	struct kb_source_kind_status s[KB_KIND_MAX];
	const void *stats[KB_KIND_MAX];
	const char *kinds[KB_KIND_MAX];
	size_t n = 0;

	for (int kind = 0; kind < KB_KIND_MAX; kind++) {
		kb_source_status(d->source, (enum kb_kind)kind, &s[n]);
		if (!s[n].wanted)
			continue;
		stats[n] = &s[n];
		kinds[n++] = kb_source_kind_name((enum kb_kind)kind);
	}
	kb_rows_export(m, KB_ROWS_SOURCE, stats, n, "kind", kinds);
}

void kb_daemon_metrics(void *arg, struct kb_metrics *m)
{
	struct kb_daemon *d = arg;
	struct kb_engine_stats engines[KB_ENGINE_MAX];
	struct kb_records_stats records;
	struct kb_table_stats table;
	struct kb_epochs_stats workers;
	struct kb_kernel_counts kernel;
	struct kb_steer_stats steer;
	struct kb_server_stats sockets;
	struct kb_querylog_stats querylog;
	struct kb_local_counts local;
	uint64_t age = kb_daemon_age_ms(d);

	kb_daemon_engines(d, engines);
	kb_export_build(m);
	kb_export_engines(m, engines, KB_ENGINE_MAX);
	kb_export_programming(m, d->programming);
	kb_metrics_gauge(m, "kbdns_state", "0 OFF, 1 HITS, 2 FULL", d->state);
	kb_metrics_gauge(m, "kbdns_bypass", "1 while bypass is on", d->bypass);
	if (age != UINT64_MAX)
		kb_metrics_gauge(m, "kbdns_data_age_seconds",
				 "Age of the oldest kind's last sign of life", (double)age / 1000);
	kb_records_stats(d->records, &records);
	kb_rows_export(m, KB_ROWS_OBJECTS, (const void *[]){&records}, 1, NULL, NULL);
	kb_table_stats(d->table, &table);
	kb_rows_export(m, KB_ROWS_TABLE, (const void *[]){&table}, 1, NULL, NULL);
	kb_epochs_stats(kb_datapath_epochs(d->datapath), &workers);
	kb_rows_export(m, KB_ROWS_WORKERS, (const void *[]){&workers}, 1, NULL, NULL);
	kb_datapath_kernel_counts(d->datapath, &kernel);
	kb_rows_export(m, KB_ROWS_KERNEL, (const void *[]){&kernel}, 1, "engine",
		       (const char *[]){kb_engine_names[KB_ENGINE_DPDK]});
	if (kb_datapath_steer_stats(d->datapath, &steer) == 0)
		kb_rows_export(m, KB_ROWS_STEER, (const void *[]){&steer}, 1, NULL, NULL);
	source_metrics(m, d);
	kb_rows_export(m, KB_ROWS_RULES, (const void *[]){&d->rules.stats}, 1, NULL, NULL);
	kb_rows_export(m, KB_ROWS_LOOPS, (const void *[]){&d->loops.stats}, 1, NULL, NULL);
	kb_rows_export(m, KB_ROWS_KUBE_DNS, (const void *[]){&d->kube_dns.stats}, 1, NULL, NULL);
	kb_daemon_sockets(d, &sockets);
	kb_rows_export(m, KB_ROWS_SOCKETS, (const void *[]){&sockets}, 1, NULL, NULL);
	kb_daemon_local_counts(d, &local);
	kb_rows_export(m, KB_ROWS_LOCAL, (const void *[]){&local}, 1, NULL, NULL);
	forward_metrics(m, d);
	kb_daemon_pods_metrics(d, m);
	kb_querylog_stats(d->querylog, &querylog);
	kb_rows_export(m, KB_ROWS_QUERYLOG, (const void *[]){&querylog}, 1, NULL, NULL);
}
