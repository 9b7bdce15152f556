/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/export.h"

#include <string.h>

#include "control/config/version.h"

static void export_queries(struct kb_metrics *m, const struct kb_engine_stats *engines, size_t n)
{
	kb_metrics_family(m, "kbdns_queries_total", KB_METRIC_COUNTER,
			  "Packets looked at, by engine and by what became of them.");
	for (size_t i = 0; i < n; i++) {
		for (unsigned int c = 0; c < KB_CNT_MAX; c++) {
			if (c != KB_CNT_TRUNCATED)
				kb_metrics_u64(m, engines[i].counters[c], "engine",
					       engines[i].engine, "result", kb_counter_name(c),
					       NULL);
		}
	}
	kb_metrics_family(m, "kbdns_truncated_total", KB_METRIC_COUNTER,
			  kb_counter_help(KB_CNT_TRUNCATED));
	for (size_t i = 0; i < n; i++)
		kb_metrics_u64(m, engines[i].counters[KB_CNT_TRUNCATED], "engine",
			       engines[i].engine, NULL);
}

static void export_rcodes(struct kb_metrics *m, const struct kb_engine_stats *engines, size_t n)
{
	uint64_t noerror = 0, nxdomain = 0;

	for (size_t i = 0; i < n; i++) {
		noerror +=
			engines[i].counters[KB_CNT_ANSWERED] + engines[i].counters[KB_CNT_NODATA];
		nxdomain += engines[i].counters[KB_CNT_NXDOMAIN];
	}
	kb_metrics_family(m, "coredns_dns_responses_total", KB_METRIC_COUNTER,
			  "Answers by response code, all engines of kbdns together.");
	kb_metrics_u64(m, noerror, "server", "kbdns", "rcode", "NOERROR", NULL);
	kb_metrics_u64(m, nxdomain, "server", "kbdns", "rcode", "NXDOMAIN", NULL);
}

static void export_latency(struct kb_metrics *m, const struct kb_engine_stats *engines, size_t n)
{
	/* Bucket i ends at 2^(i+1) ns; the last one has no end. */
	double bounds[KB_HIST_BUCKETS - 1];
	bool any = false;

	for (int b = 0; b < KB_HIST_BUCKETS - 1; b++)
		bounds[b] = (double)(2ULL << b) / 1e9;
	for (size_t i = 0; i < n; i++) {
		double sum_s = 0;

		if (!engines[i].has_latency)
			continue;
		if (!any)
			kb_metrics_family(m, "kbdns_latency_seconds", KB_METRIC_HISTOGRAM,
					  "Time an engine took for a packet; the sum is estimated "
					  "from the middle of each bucket.");
		any = true;
		for (int b = 0; b < KB_HIST_BUCKETS; b++)
			sum_s += (double)engines[i].latency[b] * 1.5 * (double)(1ULL << b) / 1e9;
		kb_metrics_histogram(m, KB_HIST_BUCKETS - 1, bounds, engines[i].latency, sum_s,
				     "engine", engines[i].engine, NULL);
	}
}

void kb_export_engines(struct kb_metrics *m, const struct kb_engine_stats *engines, size_t n)
{
	export_queries(m, engines, n);
	export_latency(m, engines, n);
	export_rcodes(m, engines, n);
}

void kb_export_build(struct kb_metrics *m)
{
	kb_metrics_family(m, "kbdns_build_info", KB_METRIC_GAUGE,
			  "A metric with a constant 1 and the version of kbdns.");
	kb_metrics_u64(m, 1, "version", KB_VERSION, NULL);
	kb_metrics_family(m, "coredns_build_info", KB_METRIC_GAUGE,
			  "For dashboards that count DNS servers by it: kbdns, not CoreDNS.");
	kb_metrics_u64(m, 1, "version", "kbdns-" KB_VERSION, "revision", "", "goversion", "", NULL);
}

static double duration_bound(size_t i)
{
	return 0.001 * (double)(1ULL << i);
}

void kb_durations_observe(struct kb_durations *d, double seconds)
{
	size_t i = 0;

	if (!(seconds > 0)) /* clocks of two machines, or no number at all */
		seconds = 0;
	while (i < KB_DURATIONS_BUCKETS && seconds > duration_bound(i))
		i++;
	d->counts[i]++;
	d->sum_s += seconds;
}

void kb_export_programming(struct kb_metrics *m,
			   const struct kb_durations durations[KB_PROGRAMMING_MAX])
{
	static const char *const kinds[KB_PROGRAMMING_MAX] = {
		"cluster_ip",
		"headless_with_selector",
		"headless_without_selector",
	};
	double bounds[KB_DURATIONS_BUCKETS];

	for (size_t i = 0; i < KB_DURATIONS_BUCKETS; i++)
		bounds[i] = duration_bound(i);
	kb_metrics_family(m, "coredns_kubernetes_dns_programming_duration_seconds",
			  KB_METRIC_HISTOGRAM,
			  "Time from a change of endpoints to the answer's publication, by the "
			  "object's last-change-trigger-time.");
	for (int k = 0; k < KB_PROGRAMMING_MAX; k++)
		kb_metrics_histogram(m, KB_DURATIONS_BUCKETS, bounds, durations[k].counts,
				     durations[k].sum_s, "service_kind", kinds[k], NULL);
}
