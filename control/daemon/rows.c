/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/rows.h"

#include <stddef.h>
#include <string.h>

#include "control/daemon/daemon.h"
#include "control/datapath/steer.h"
#include "control/kube/source.h"
#include "control/pcache/pcache.h"
#include "control/records/records.h"
#include "control/table/epochs.h"
#include "control/table/table.h"

struct row {
	const char *key;
	const char *metric;	   /* a counter if it ends in _total, otherwise a gauge */
	const char *help;	   /* NULL: one more series of the row above's metric */
	const char *label, *value; /* NULL: none */
	size_t offset;		   /* of a uint64_t */
};

#define OBJECTS(member) offsetof(struct kb_records_stats, member)
static const struct row objects[] = {
	{"services", "kbdns_services", "Services known", NULL, NULL, OBJECTS(services)},
	{"endpointslices", "kbdns_endpointslices", "EndpointSlices known", NULL, NULL,
	 OBJECTS(slices)},
	{"namespaces", "kbdns_namespaces", "Namespaces known", NULL, NULL, OBJECTS(namespaces)},
	{"endpoints", "kbdns_endpoints", "Endpoint addresses known", NULL, NULL,
	 OBJECTS(endpoints)},
	{"skipped", "kbdns_objects_skipped", "Objects whose names are left alone", NULL, NULL,
	 OBJECTS(skipped)},
	{"warnings", "kbdns_objects_warnings_total",
	 "Names or parts of objects that DNS cannot carry, as they came", NULL, NULL,
	 OBJECTS(warnings)},
	{"refused", "kbdns_objects_refused_total",
	 "Names that the table did not take; they are tried again", NULL, NULL, OBJECTS(refused)},
	{"left", "kbdns_names_left", "Names entered as ones to leave", NULL, NULL, OBJECTS(left)},
};

#define TABLE(member) offsetof(struct kb_table_stats, member)
static const struct row table[] = {
	{"names", "kbdns_table_names", "Names in the table", NULL, NULL, TABLE(names)},
	{"buckets", "kbdns_table_buckets", "Buckets of the index", NULL, NULL, TABLE(buckets)},
	{"replicas", "kbdns_table_replicas", "Copies of the index", NULL, NULL, TABLE(replicas)},
	{"generation", "kbdns_table_generation", "Generation of the index", NULL, NULL,
	 TABLE(generation)},
	{"index_bytes", "kbdns_table_bytes", "Map memory of index and arena", "part", "index",
	 TABLE(index_bytes)},
	{"arena_bytes", "kbdns_table_bytes", NULL, "part", "arena", TABLE(arena_bytes)},
	{"arena_used_bytes", "kbdns_table_arena_used_bytes", "Bytes of the arena in use", NULL,
	 NULL, TABLE(arena_used_bytes)},
	{"records", "kbdns_table_records", "Records in the arena", NULL, NULL, TABLE(records)},
	{"puts", "kbdns_table_changes_total", "Names entered, removed or changed", "change",
	 "entered", TABLE(puts)},
	{"dels", "kbdns_table_changes_total", NULL, "change", "removed", TABLE(dels)},
	{"changes", "kbdns_table_changes_total", NULL, "change", "changed", TABLE(changes)},
	{"growths", "kbdns_table_growths_total", "Times that the index was made anew to grow", NULL,
	 NULL, TABLE(growths)},
	{"limbo", "kbdns_table_limbo", "Slots and records that wait for a grace period", NULL, NULL,
	 TABLE(limbo)},
	{"refused", "kbdns_table_refused_total",
	 "Names that could not be stored; misses of their zone are left alone", NULL, NULL,
	 TABLE(refused)},
	{"collisions", "kbdns_table_collisions_total", "Refused because two names have one hash",
	 NULL, NULL, TABLE(collisions)},
};

#define WORKERS(member) offsetof(struct kb_epochs_stats, member)
static const struct row workers[] = {
	{"registered", "kbdns_workers",
	 "Readers of the table outside the kernel: own threads, "
	 "and workers of other processes",
	 NULL, NULL, WORKERS(registered)},
	{"gone", "kbdns_workers_gone_total",
	 "Times that a worker held memory for too long, and its burst was given up", NULL, NULL,
	 WORKERS(gone)},
};

#define KERNEL(member) offsetof(struct kb_kernel_counts, member)
static const struct row kernel[] = {
	{"kernel_in", "kbdns_kernel_frames_total",
	 "Frames between a port of kbdns-dpdk and the kernel's stack, by the exception path",
	 "direction", "in", KERNEL(in)},
	{"kernel_out", "kbdns_kernel_frames_total", NULL, "direction", "out", KERNEL(out)},
	{"kernel_in_full", "kbdns_kernel_dropped_total",
	 "Of these frames, dropped: too many waited, the kernel took them not, longer than the "
	 "port's MTU allows",
	 "reason", "in_full", KERNEL(in_full)},
	{"kernel_in_failed", "kbdns_kernel_dropped_total", NULL, "reason", "in_failed",
	 KERNEL(in_failed)},
	{"kernel_out_oversize", "kbdns_kernel_dropped_total", NULL, "reason", "out_oversize",
	 KERNEL(out_oversize)},
};

#define STEER(member) offsetof(struct kb_steer_stats, member)
static const struct row steer[] = {
	{"steer_absent", "kbdns_steer_refused_total",
	 "Queries of a queue with a kbdns-dpdk worker that XDP kept: its socket was not there, it "
	 "had not polled for 20 ms",
	 "reason", "absent", STEER(absent)},
	{"steer_silent", "kbdns_steer_refused_total", NULL, "reason", "silent", STEER(silent)},
};

#define SOURCE(member) offsetof(struct kb_source_kind_status, member)
static const struct row source[] = {
	{"events", "kbdns_source_events_total", "Watch events applied", NULL, NULL, SOURCE(events)},
	{"relists", "kbdns_source_relists_total", "Whole lists begun, the first one included", NULL,
	 NULL, SOURCE(relists)},
	{"reconnects", "kbdns_source_reconnects_total",
	 "Watches opened again from a resourceVersion", NULL, NULL, SOURCE(reconnects)},
	{"failures", "kbdns_source_failures_total", "Lists and watches that ended in an error",
	 NULL, NULL, SOURCE(failures)},
	{"skipped", "kbdns_source_skipped_total", "Objects that could not be taken over", NULL,
	 NULL, SOURCE(skipped)},
	{"bytes", "kbdns_source_received_bytes_total", "Body bytes received", NULL, NULL,
	 SOURCE(bytes)},
};

/* source_dropped has no row: the socket engine counts it as left_source, too. */
#define SOCKETS(member) offsetof(struct kb_server_stats, member)
static const struct row sockets[] = {
	{"udp_queries", "kbdns_socket_queries_total", "Messages read from sockets", "transport",
	 "udp", SOCKETS(udp_queries)},
	{"tcp_queries", "kbdns_socket_queries_total", NULL, "transport", "tcp",
	 SOCKETS(tcp_queries)},
	{"udp_send_failed", "kbdns_socket_udp_send_failures_total",
	 "Replies that the kernel did not take", NULL, NULL, SOCKETS(udp_send_failed)},
	{"udp_deferred", "kbdns_socket_udp_deferred_total",
	 "Messages that socket threads left to the main loop, which has the records", NULL, NULL,
	 SOCKETS(udp_deferred)},
	{"udp_deferred_dropped", "kbdns_socket_udp_deferred_dropped_total",
	 "Of those, dropped because too many waited", NULL, NULL, SOCKETS(udp_deferred_dropped)},
	{"tcp_accepted", "kbdns_socket_tcp_accepted_total", "Connections accepted", NULL, NULL,
	 SOCKETS(tcp_accepted)},
	{"tcp_open", "kbdns_socket_tcp_connections", "Connections open now", NULL, NULL,
	 SOCKETS(tcp_open)},
	{"tcp_refused", "kbdns_socket_tcp_closed_total", "Connections closed by kbdns, by reason",
	 "reason", "too_many", SOCKETS(tcp_refused)},
	{"tcp_timed_out", "kbdns_socket_tcp_closed_total", NULL, "reason", "timed_out",
	 SOCKETS(tcp_timed_out)},
	{"tcp_overflowed", "kbdns_socket_tcp_closed_total", NULL, "reason", "replies_not_read",
	 SOCKETS(tcp_overflowed)},
	{"tcp_waiting_bytes", "kbdns_socket_tcp_waiting_bytes",
	 "Bytes of replies that clients have yet to take", NULL, NULL, SOCKETS(tcp_waiting)},
};

#define RULES(member) offsetof(struct kb_rules_stats, member)
static const struct row rules[] = {
	{"loads", "kbdns_rules_loads_total", "Configurations read, by whether they are in force",
	 "result", "taken", RULES(loads)},
	{"failures", "kbdns_rules_loads_total", NULL, "result", "failed", RULES(failures)},
};

static const struct row kube_dns[] = {
	{"loads", "kbdns_kube_dns_config_loads_total",
	 "Versions of the kube-dns ConfigMap, by whether they were put in force", "result", "taken",
	 RULES(loads)},
	{"failures", "kbdns_kube_dns_config_loads_total", NULL, "result", "failed",
	 RULES(failures)},
};

#define LOOPS(member) offsetof(struct kb_loops_stats, member)
static const struct row loops[] = {
	{"found", "kbdns_forward_loops_total", "Times that an upstream was found to ask us in turn",
	 NULL, NULL, LOOPS(found)},
	{"now", "kbdns_forward_looping", "Upstreams that are left out because they ask us in turn",
	 NULL, NULL, LOOPS(now)},
};

#define FORWARD(member) offsetof(struct kb_forward_stats, member)
static const struct row forward[] = {
	{"asked", "kbdns_forward_questions_total", "Questions of clients for upstreams", NULL, NULL,
	 FORWARD(asked)},
	{"chased", "kbdns_forward_chased_total",
	 "Questions for what a CNAME of the cluster leads to, of these", NULL, NULL,
	 FORWARD(chased)},
	{"shared", "kbdns_forward_shared_total",
	 "Of those, joined to the same question already on its way", NULL, NULL, FORWARD(shared)},
	{"exchanges", "kbdns_forward_exchanges_total", "Questions taken to upstreams", NULL, NULL,
	 FORWARD(exchanges)},
	{"active", "kbdns_forward_exchanges", "Questions on their way now", NULL, NULL,
	 FORWARD(active)},
	{"noerror", "kbdns_forward_responses_total", "Replies made for clients", "rcode", "NOERROR",
	 FORWARD(noerror)},
	{"nxdomain", "kbdns_forward_responses_total", NULL, "rcode", "NXDOMAIN", FORWARD(nxdomain)},
	{"servfail", "kbdns_forward_responses_total", NULL, "rcode", "SERVFAIL", FORWARD(servfail)},
	{"refused", "kbdns_forward_responses_total", NULL, "rcode", "REFUSED", FORWARD(refused)},
	{"other", "kbdns_forward_responses_total", NULL, "rcode", "other", FORWARD(other)},
	{"failed", "kbdns_forward_failed_total", "Questions that no upstream answered in time",
	 NULL, NULL, FORWARD(failed)},
	{"no_upstream", "kbdns_forward_no_upstream_total",
	 "Questions refused because there is nobody to ask", NULL, NULL, FORWARD(no_upstream)},
	{"rejected", "coredns_forward_max_concurrent_rejects_total",
	 "Questions answered SERVFAIL because too many were on their way", NULL, NULL,
	 FORWARD(rejected)},
	{"healthcheck_broken", "coredns_forward_healthcheck_broken_total",
	 "Times that an upstream was asked although none that is left seems to live", NULL, NULL,
	 FORWARD(healthcheck_broken)},
	{"send_failed", "kbdns_forward_send_failures_total", "Replies that were lost on this node",
	 NULL, NULL, FORWARD(send_failed)},
	{"strays", "kbdns_forward_strays_total",
	 "Datagrams from upstreams that nobody waits for: too late, or forged", NULL, NULL,
	 FORWARD(strays)},
};

#define UPSTREAM(member) offsetof(struct kb_upstream_stats, member)
static const struct row upstream[] = {
	{"up", "kbdns_upstream_up", "1 while the upstream answers", NULL, NULL, UPSTREAM(up)},
	{"queries", "kbdns_upstream_queries_total", "Queries sent over UDP", NULL, NULL,
	 UPSTREAM(queries)},
	{"tcp", "kbdns_upstream_tcp_total", "Queries sent over TCP", NULL, NULL, UPSTREAM(tcp)},
	{"tls", "kbdns_upstream_tls_total", "Queries sent over TLS", NULL, NULL, UPSTREAM(tls)},
	{"connects", "kbdns_upstream_connects_total", "Connections tried, for TCP and TLS", NULL,
	 NULL, UPSTREAM(connects)},
	{"reused", "kbdns_upstream_reused_total",
	 "Queries sent over a connection that was there already", NULL, NULL, UPSTREAM(reused)},
	{"tls_handshakes", "kbdns_upstream_tls_handshakes_total", "TLS handshakes that succeeded",
	 NULL, NULL, UPSTREAM(tls_handshakes)},
	{"tls_resumed", "kbdns_upstream_tls_resumed_total",
	 "TLS handshakes that took up an earlier session", NULL, NULL, UPSTREAM(tls_resumed)},
	{"tls_untrusted", "kbdns_upstream_tls_failures_total", "TLS handshakes that failed",
	 "reason", "certificate", UPSTREAM(tls_untrusted)},
	{"tls_failures", "kbdns_upstream_tls_failures_total", NULL, "reason", "other",
	 UPSTREAM(tls_failures)},
	{"replies", "kbdns_upstream_replies_total", "Good replies", NULL, NULL, UPSTREAM(replies)},
	{"timeouts", "kbdns_upstream_timeouts_total", "Queries without a reply in time", NULL, NULL,
	 UPSTREAM(timeouts)},
	{"errors", "kbdns_upstream_errors_total",
	 "Queries that could not be sent, were refused by the network, or had a broken reply", NULL,
	 NULL, UPSTREAM(errors)},
	{"rejected", "kbdns_upstream_rejected_total",
	 "Messages that were no reply to the query, or malformed", NULL, NULL, UPSTREAM(rejected)},
	{"case_mismatches", "kbdns_upstream_case_mismatches_total",
	 "Replies whose question had another case than was sent", NULL, NULL,
	 UPSTREAM(case_mismatches)},
	{"case_off", "kbdns_upstream_case_off",
	 "1 while random case is not used, since the upstream does not keep it", NULL, NULL,
	 UPSTREAM(case_off)},
	{"probes", "kbdns_upstream_probes_total", "Probes of an upstream that did not answer", NULL,
	 NULL, UPSTREAM(probes)},
	{"probe_failures", "coredns_proxy_healthcheck_failures_total", "Probes that failed", NULL,
	 NULL, UPSTREAM(probe_failures)},
};

#define CACHE(member) offsetof(struct kb_cache_stats, member)
static const struct row cache[] = {
	{"requests", "coredns_cache_requests_total", "Questions looked up in the cache", NULL, NULL,
	 CACHE(requests)},
	{"hits_success", "coredns_cache_hits_total", "Questions answered from the cache", "type",
	 "success", CACHE(hits_success)},
	{"hits_denial", "coredns_cache_hits_total", NULL, "type", "denial", CACHE(hits_denial)},
	{"misses", "coredns_cache_misses_total", "Questions that the cache had no answer for", NULL,
	 NULL, CACHE(misses)},
	{"served_stale", "coredns_cache_served_stale_total", "Expired answers given", NULL, NULL,
	 CACHE(served_stale)},
	{"prefetch", "coredns_cache_prefetch_total", "Answers asked for again before they expired",
	 NULL, NULL, CACHE(prefetch)},
	{"drops", "coredns_cache_drops_total", "Replies that were not kept", NULL, NULL,
	 CACHE(drops)},
	{"insertions", "kbdns_cache_insertions_total", "Replies kept", NULL, NULL,
	 CACHE(insertions)},
	{"evictions_success", "coredns_cache_evictions_total", "Answers that made room for others",
	 "type", "success", CACHE(evictions_success)},
	{"evictions_denial", "coredns_cache_evictions_total", NULL, "type", "denial",
	 CACHE(evictions_denial)},
	{"entries_success", "coredns_cache_entries", "Answers in the cache", "type", "success",
	 CACHE(entries_success)},
	{"entries_denial", "coredns_cache_entries", NULL, "type", "denial", CACHE(entries_denial)},
	{"bytes", "kbdns_cache_bytes", "Memory of the cache", NULL, NULL, CACHE(bytes)},
};

#define QUERYLOG(member) offsetof(struct kb_querylog_stats, member)
static const struct row querylog[] = {
	{"packet_events", "kbdns_querylog_events_total",
	 "Queries reported to the query log and to traces", "path", "packet",
	 QUERYLOG(packet_events)},
	{"socket_events", "kbdns_querylog_events_total", NULL, "path", "socket",
	 QUERYLOG(socket_events)},
	{"written", "kbdns_querylog_written_total", "Lines written to the query log", NULL, NULL,
	 QUERYLOG(written)},
	{"dropped_ring", "kbdns_querylog_dropped_total",
	 "Events and lines of the query log that were lost", "reason", "ring_full",
	 QUERYLOG(dropped_ring)},
	{"dropped_queue", "kbdns_querylog_dropped_total", NULL, "reason", "queue_full",
	 QUERYLOG(dropped_queue)},
	{"dropped_write", "kbdns_querylog_dropped_total", NULL, "reason", "not_written",
	 QUERYLOG(dropped_write)},
	{"traces", "kbdns_querylog_traces", "Traces that run now", NULL, NULL, QUERYLOG(traces)},
};

#define PCACHE(member) offsetof(struct kb_pcache_stats, member)
static const struct row pcache[] = {
	{"on", "kbdns_packet_cache_on", "1 while the packet path gives answers of upstreams", NULL,
	 NULL, PCACHE(on)},
	{"entries", "kbdns_packet_cache_entries", "Answers in the packet-path cache", NULL, NULL,
	 PCACHE(entries)},
	{"bytes", "kbdns_packet_cache_bytes", "Map memory of the packet-path cache", "part", "used",
	 PCACHE(bytes)},
	{"bytes_max", "kbdns_packet_cache_bytes", NULL, "part", "all", PCACHE(bytes_max)},
	{"offers", "kbdns_packet_cache_offers_total", "Answers offered to the packet-path cache",
	 NULL, NULL, PCACHE(offers)},
	{"insertions", "kbdns_packet_cache_insertions_total", "Answers put into it", NULL, NULL,
	 PCACHE(insertions)},
	{"replacements", "kbdns_packet_cache_replacements_total",
	 "Of those, ones that took the place of an older answer to the same question", NULL, NULL,
	 PCACHE(replacements)},
	{"evictions", "kbdns_packet_cache_removals_total", "Answers removed from it", "reason",
	 "room", PCACHE(evictions)},
	{"expired", "kbdns_packet_cache_removals_total", NULL, "reason", "expired",
	 PCACHE(expired)},
	{"voided", "kbdns_packet_cache_removals_total", NULL, "reason", "voided", PCACHE(voided)},
	{"drops_queue", "kbdns_packet_cache_drops_total", "Answers offered and not put into it",
	 "reason", "queue", PCACHE(drops_queue)},
	{"drops_room", "kbdns_packet_cache_drops_total", NULL, "reason", "room",
	 PCACHE(drops_room)},
	{"limbo", "kbdns_packet_cache_limbo", "Cells of it that wait for a grace period", NULL,
	 NULL, PCACHE(limbo)},
};

/* The first one has the help of them all. */
#define LOCAL(id, name, help)                                                        \
	{name,                                                                       \
	 "kbdns_local_packets_total",                                                \
	 KB_LOCAL_CNT_##id ? NULL : "Packets of local mode, by what became of them", \
	 "verdict",                                                                  \
	 name,                                                                       \
	 offsetof(struct kb_local_counts, counter) + KB_LOCAL_CNT_##id * sizeof(uint64_t)},
static const struct row local[] = {KB_LOCAL_COUNTERS(LOCAL)};

#define ROWS(array)                                     \
	{                                               \
		array, sizeof(array) / sizeof(*(array)) \
	}
#define PODS(member) offsetof(struct kb_pods_stats, member)
#define POD_FAILURES "kbdns_pods_attach_failures_total"
static const struct row pods[] = {
	{"attached", "kbdns_pods_interfaces", "Interfaces of pods that --pods has found, now",
	 "state", "attached", PODS(attached)},
	{"failing", "kbdns_pods_interfaces", NULL, "state", "failing", PODS(failing)},
	{"waiting", "kbdns_pods_interfaces", NULL, "state", "waiting", PODS(waiting)},
	{"left_out", "kbdns_pods_interfaces", NULL, "state", "left_out", PODS(left_out)},
	{"attaches", "kbdns_pods_attaches_total", "Interfaces attached to", NULL, NULL,
	 PODS(attaches)},
	{"detaches", "kbdns_pods_detaches_total",
	 "Interfaces that went, or were detached from since --pods does not mean them any more",
	 NULL, NULL, PODS(detaches)},
	{"vanished", POD_FAILURES, "Attempts to attach that failed", "reason", "vanished",
	 PODS(vanished)},
	{"refused", POD_FAILURES, NULL, "reason", "refused", PODS(refused)},
	{"occupied", POD_FAILURES, NULL, "reason", "occupied", PODS(occupied)},
	{"no_memory", POD_FAILURES, NULL, "reason", "no_memory", PODS(no_memory)},
	{"other", POD_FAILURES, NULL, "reason", "other", PODS(other)},
	{"listings", "kbdns_pods_listings_total",
	 "Listings of all interfaces: at the start, after messages were lost, for those left out",
	 NULL, NULL, PODS(listings)},
};

static const struct {
	const struct row *rows;
	size_t n;
} all[KB_ROWS_MAX] = {
	[KB_ROWS_OBJECTS] = ROWS(objects),   [KB_ROWS_TABLE] = ROWS(table),
	[KB_ROWS_WORKERS] = ROWS(workers),   [KB_ROWS_SOURCE] = ROWS(source),
	[KB_ROWS_SOCKETS] = ROWS(sockets),   [KB_ROWS_RULES] = ROWS(rules),
	[KB_ROWS_FORWARD] = ROWS(forward),   [KB_ROWS_UPSTREAM] = ROWS(upstream),
	[KB_ROWS_CACHE] = ROWS(cache),	     [KB_ROWS_KUBE_DNS] = ROWS(kube_dns),
	[KB_ROWS_QUERYLOG] = ROWS(querylog), [KB_ROWS_PCACHE] = ROWS(pcache),
	[KB_ROWS_LOOPS] = ROWS(loops),	     [KB_ROWS_KERNEL] = ROWS(kernel),
	[KB_ROWS_PODS] = ROWS(pods),	     [KB_ROWS_LOCAL] = ROWS(local),
	[KB_ROWS_STEER] = ROWS(steer),
};

static uint64_t value_of(const struct row *row, const void *stats)
{
	uint64_t v;

	memcpy(&v, (const char *)stats + row->offset, sizeof(v));
	return v;
}

void kb_rows_put(struct kb_json_out *o, enum kb_rows which, const void *stats)
{
	for (size_t i = 0; i < all[which].n; i++) {
		const struct row *row = &all[which].rows[i];

		kb_json_put_u64(o, row->key, value_of(row, stats));
	}
}

static enum kb_metric_type type_of(const char *metric)
{
	size_t len = strlen(metric), end = strlen("_total");

	return len > end && strcmp(metric + len - end, "_total") == 0 ? KB_METRIC_COUNTER
								      : KB_METRIC_GAUGE;
}

void kb_rows_export(struct kb_metrics *m, enum kb_rows which, const void *const *stats, size_t n,
		    const char *label, const char *const *values)
{
	for (size_t i = 0; i < all[which].n; i++) {
		const struct row *row = &all[which].rows[i];

		if (row->help)
			kb_metrics_family(m, row->metric, type_of(row->metric), row->help);
		for (size_t s = 0; s < n; s++)
			kb_metrics_u64(m, value_of(row, stats[s]), label ? label : row->label,
				       label ? values[s] : row->value, label ? row->label : NULL,
				       row->value, NULL);
	}
}
