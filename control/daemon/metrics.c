/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says, gathered from all parts. */
#include "control/daemon/daemon.h"

#include <string.h>

size_t kb_daemon_engines(struct kb_daemon *d, struct kb_engine_stats ret[KB_DAEMON_ENGINES])
{
	static const char *const names[] = {
		[KB_ENGINE_TC] = "tc", [KB_ENGINE_XDP] = "xdp", [KB_ENGINE_SOCKET] = "socket"};

	memset(ret, 0, KB_DAEMON_ENGINES * sizeof(*ret));
	for (int engine = 0; engine < KB_DAEMON_ENGINES; engine++) {
		ret[engine].engine = names[engine];
		if (engine == KB_ENGINE_SOCKET) {
			memcpy(ret[engine].counters, kb_responder_counters(d->responder),
			       sizeof(ret[engine].counters));
			continue;
		}
		ret[engine].has_latency = d->options.latency_histogram;
		kb_datapath_engine_stats(d->datapath, (enum kb_engine)engine, ret[engine].counters,
					 ret[engine].latency);
	}
	return KB_DAEMON_ENGINES;
}

static void table_metrics(struct kb_metrics *m, const struct kb_table_stats *t)
{
	kb_metrics_gauge(m, "kbdns_table_names", "Names in the table", (double)t->names);
	kb_metrics_gauge(m, "kbdns_table_bytes", "Map memory of index and arena",
			 (double)(t->index_bytes + t->arena_bytes));
	kb_metrics_gauge(m, "kbdns_table_generation", "Generation of the index",
			 (double)t->generation);
	kb_metrics_counter(m, "kbdns_table_changes_total", "Names entered, changed or removed",
			   t->puts + t->changes + t->dels);
	kb_metrics_counter(m, "kbdns_table_refused_total",
			   "Names that could not be stored; misses of their zone are left alone",
			   t->refused);
	kb_metrics_counter(m, "kbdns_table_collisions_total",
			   "Refused because two names have one hash", t->collisions);
}

static void source_metrics(struct kb_metrics *m, const struct kb_daemon *d)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} rows[] = {
		{"kbdns_source_events_total", "Watch events applied",
		 offsetof(struct kb_source_kind_status, events)},
		{"kbdns_source_relists_total", "Whole lists begun, the first one included",
		 offsetof(struct kb_source_kind_status, relists)},
		{"kbdns_source_reconnects_total", "Watches opened again from a resourceVersion",
		 offsetof(struct kb_source_kind_status, reconnects)},
		{"kbdns_source_failures_total", "Lists and watches that ended in an error",
		 offsetof(struct kb_source_kind_status, failures)},
		{"kbdns_source_skipped_total", "Objects that could not be taken over",
		 offsetof(struct kb_source_kind_status, skipped)},
		{"kbdns_source_received_bytes_total", "Body bytes received",
		 offsetof(struct kb_source_kind_status, bytes)},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		kb_metrics_family(m, rows[i].name, KB_METRIC_COUNTER, rows[i].help);
		for (int kind = 0; kind < KB_KIND_MAX; kind++) {
			struct kb_source_kind_status s;
			uint64_t v;

			kb_source_status(d->source, (enum kb_kind)kind, &s);
			if (!s.wanted)
				continue;
			memcpy(&v, (const char *)&s + rows[i].offset, sizeof(v));
			kb_metrics_u64(m, v, "kind", kb_source_kind_name((enum kb_kind)kind), NULL);
		}
	}
}

void kb_daemon_metrics(void *arg, struct kb_metrics *m)
{
	struct kb_daemon *d = arg;
	struct kb_engine_stats engines[KB_DAEMON_ENGINES];
	struct kb_records_stats records;
	struct kb_table_stats table;
	uint64_t age = kb_daemon_age_ms(d);

	kb_export_build(m);
	kb_export_engines(m, engines, kb_daemon_engines(d, engines));
	kb_export_programming(m, d->programming);
	kb_metrics_gauge(m, "kbdns_state", "0 OFF, 1 HITS, 2 FULL", d->state);
	kb_metrics_gauge(m, "kbdns_bypass", "1 while bypass is on", d->bypass);
	if (age != UINT64_MAX)
		kb_metrics_gauge(m, "kbdns_data_age_seconds",
				 "Age of the oldest kind's last sign of life", (double)age / 1000);
	kb_records_stats(d->records, &records);
	kb_metrics_gauge(m, "kbdns_services", "Services known", (double)records.services);
	kb_metrics_gauge(m, "kbdns_endpointslices", "EndpointSlices known", (double)records.slices);
	kb_metrics_gauge(m, "kbdns_namespaces", "Namespaces known", (double)records.namespaces);
	kb_metrics_gauge(m, "kbdns_endpoints", "Endpoint addresses known",
			 (double)records.endpoints);
	kb_metrics_gauge(m, "kbdns_objects_skipped", "Objects whose names are left alone",
			 (double)records.skipped);
	kb_table_stats(d->table, &table);
	table_metrics(m, &table);
	source_metrics(m, d);
}
