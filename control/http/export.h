/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics that stand for rows of other modules: counters of engines, the table,
 * the source, and those that carry CoreDNS's names because users chart them.
 */
#ifndef KB_HTTP_EXPORT_H
#define KB_HTTP_EXPORT_H

#include "control/ctl/engine_stats.h"
#include "control/http/metrics.h"

/*
 * kbdns_queries_total{engine,result}: one series for each row of KB_COUNTERS that ends a
 *	packet, so that their sum is the packets looked at
 * kbdns_truncated_total{engine}
 * kbdns_latency_seconds{engine}: histogram, for engines that have it
 * coredns_dns_responses_total{server,rcode}
 */
void kb_export_engines(struct kb_metrics *m, const struct kb_engine_stats *engines, size_t n);

/* kbdns_build_info{version} and coredns_build_info{version,revision,goversion}. */
void kb_export_build(struct kb_metrics *m);

/* Durations in CoreDNS's buckets, 1 ms * 2^n. Zeroed at start. */
#define KB_DURATIONS_BUCKETS 20

struct kb_durations {
	uint64_t counts[KB_DURATIONS_BUCKETS + 1];
	double sum_s;
};

void kb_durations_observe(struct kb_durations *d, double seconds);

/* service_kind of CoreDNS's programming metric. */
enum kb_programming_kind {
	KB_PROGRAMMING_CLUSTER_IP,
	KB_PROGRAMMING_HEADLESS_WITH_SELECTOR,
	KB_PROGRAMMING_HEADLESS_WITHOUT_SELECTOR,
	KB_PROGRAMMING_MAX,
};

/* coredns_kubernetes_dns_programming_duration_seconds{service_kind}: from the EndpointSlice's
 * annotation endpoints.kubernetes.io/last-change-trigger-time to the answer's publication. */
void kb_export_programming(struct kb_metrics *m,
			   const struct kb_durations durations[KB_PROGRAMMING_MAX]);

#endif
