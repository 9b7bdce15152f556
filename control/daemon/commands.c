/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the control socket; control/ctl/protocol.h has the form of each reply. */
#include "control/daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/config/version.h"
#include "control/ctl/cmd_tune.h"
#include "control/ctl/corefile_out.h"
#include "control/daemon/rows.h"
#include "control/datapath/steer.h"

static const char *const state_names[] = {"off", "hits", "full"};

static void put_seconds(struct kb_json_out *o, const char *key, uint64_t ms)
{
	if (ms == UINT64_MAX)
		kb_json_put_null(o, key);
	else
		kb_json_put_double(o, key, (double)ms / 1000);
}

static void put_bypass(struct kb_json_out *o, const struct kb_daemon *d)
{
	uint64_t now = (uint64_t)time(NULL);

	kb_json_put_open(o, "bypass", '{');
	kb_json_put_bool(o, "on", d->bypass);
	if (d->bypass && d->bypass_until_s > now)
		kb_json_put_u64(o, "left_s", d->bypass_until_s - now);
	else
		kb_json_put_null(o, "left_s");
	kb_json_out_close(o);
}

static void put_source(struct kb_json_out *o, const struct kb_daemon *d)
{
	uint64_t now = uv_now(d->loop);

	kb_json_put_open(o, "source", '{');
	kb_json_put_str(o, "name", kb_source_name(d->source));
	kb_json_put_open(o, "kinds", '[');
	for (int kind = 0; kind < KB_KIND_MAX; kind++) {
		struct kb_source_kind_status s;

		kb_source_status(d->source, (enum kb_kind)kind, &s);
		if (!s.wanted)
			continue;
		kb_json_out_open(o, '{');
		kb_json_put_str(o, "kind", kb_source_kind_name((enum kb_kind)kind));
		kb_json_put_bool(o, "synced", s.synced);
		kb_json_put_bool(o, "watching", s.watching);
		put_seconds(o, "age_s", s.last_alive_ms ? now - s.last_alive_ms : UINT64_MAX);
		kb_rows_put(o, KB_ROWS_SOURCE, &s);
		kb_json_put_str(o, "error", s.error);
		kb_json_out_close(o);
	}
	kb_json_out_close(o);
	kb_json_out_close(o);
}

static void put_rows(struct kb_json_out *o, const char *key, enum kb_rows which, const void *stats)
{
	kb_json_put_open(o, key, '{');
	kb_rows_put(o, which, stats);
	kb_json_out_close(o);
}

static void put_objects(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_records_stats s;

	kb_records_stats(d->records, &s);
	put_rows(o, "objects", KB_ROWS_OBJECTS, &s);
}

static void put_table(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_table_stats s;

	kb_table_stats(d->table, &s);
	put_rows(o, "table", KB_ROWS_TABLE, &s);
}

static void put_workers(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_epochs_stats s;

	kb_epochs_stats(kb_datapath_epochs(d->datapath), &s);
	put_rows(o, "workers", KB_ROWS_WORKERS, &s);
}

static void put_sockets(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_server_stats s;

	kb_daemon_sockets(d, &s);
	put_rows(o, "sockets", KB_ROWS_SOCKETS, &s);
}

static void put_pods(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_pods_stats s;

	kb_daemon_pods_stats(d, &s);
	put_rows(o, "pods", KB_ROWS_PODS, &s);
}

static void put_local(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_local_counts s;

	kb_daemon_local_counts(d, &s);
	put_rows(o, "local", KB_ROWS_LOCAL, &s);
}

static void put_querylog(struct kb_json_out *o, const struct kb_daemon *d)
{
	struct kb_querylog_stats s;

	kb_querylog_stats(d->querylog, &s);
	put_rows(o, "querylog", KB_ROWS_QUERYLOG, &s);
}

static void put_rules(struct kb_json_out *o, const struct kb_daemon *d)
{
	const struct kb_daemon_rules *s = &d->rules;

	kb_json_put_open(o, "rules", '{');
	kb_json_put_str(o, "from", s->from);
	kb_json_put_u64(o, "loaded_s", s->loaded_s);
	kb_rows_put(o, KB_ROWS_RULES, &s->stats);
	kb_json_put_str(o, "error", s->error);
	kb_ctl_put_rules(o, kb_daemon_rules_shown(d));
	kb_ctl_put_notes(o, "left", s->corefile.notes, s->corefile.n_notes, true);
	kb_json_out_close(o);
}

static void put_kube_dns(struct kb_json_out *o, const struct kb_daemon *d)
{
	const struct kb_daemon_kube_dns *s = &d->kube_dns;

	if (!s->from)
		return;
	kb_json_put_open(o, "kube_dns_config", '{');
	kb_json_put_str(o, "from", s->from);
	kb_json_put_bool(o, "in_force", s->known);
	kb_json_put_u64(o, "loaded_s", s->loaded_s);
	kb_rows_put(o, KB_ROWS_KUBE_DNS, &s->stats);
	kb_json_put_u64(o, "domains", s->config.rules.n);
	kb_json_put_str(o, "error", kb_daemon_kube_dns_error(d));
	kb_json_put_open(o, "warnings", '[');
	for (size_t i = 0; i < s->config.n_warnings; i++)
		kb_json_out_str(o, s->config.warnings[i]);
	kb_json_out_close(o);
	kb_json_out_close(o);
}

static void put_forward(struct kb_json_out *o, const struct kb_daemon *d)
{
	const struct kb_routes *routes = d->forward ? kb_forward_routes(d->forward) : NULL;
	struct kb_forward_stats s;
	struct kb_cache_stats cache;
	struct kb_pcache_stats pcache;

	kb_daemon_forward(d, &s);
	put_rows(o, "forward", KB_ROWS_FORWARD, &s);
	kb_daemon_cache(d, &cache);
	put_rows(o, "cache", KB_ROWS_CACHE, &cache);
	kb_daemon_pcache_stats(d, &pcache);
	put_rows(o, "packet_cache", KB_ROWS_PCACHE, &pcache);
	put_rows(o, "loops", KB_ROWS_LOOPS, &d->loops.stats);
	kb_json_put_open(o, "upstreams", '{');
	for (size_t i = 0; routes && i < routes->n_upstreams; i++) {
		struct kb_upstream_stats u;

		kb_upstream_stats(routes->upstreams[i], &u);
		put_rows(o, routes->upstreams[i]->text, KB_ROWS_UPSTREAM, &u);
	}
	kb_json_out_close(o);
}

static void put_interfaces(struct kb_json_out *o, const struct kb_daemon *d)
{
	uint64_t now_ms = uv_hrtime() / 1000000;

	kb_json_put_open(o, "interfaces", '[');
	for (size_t i = 0; i < kb_datapath_n_ports(d->datapath); i++) {
		const struct kb_datapath_port *p = kb_datapath_port(d->datapath, i);

		kb_json_out_open(o, '{');
		kb_json_put_str(o, "name", p->name);
		kb_json_put_u64(o, "ifindex", p->ifindex);
		kb_json_put_str(o, "engine", kb_engine_names[p->engine]);
		kb_json_put_str(o, "mode", p->mode);
		kb_json_put_bool(o, "attached", p->attached);
		put_seconds(o, "attached_s", p->attached ? now_ms - p->attached_ms : UINT64_MAX);
		kb_json_put_bool(o, "found", p->found);
		kb_json_put_str(o, "error", p->error);
		kb_json_out_close(o);
	}
	kb_json_out_close(o);
}

static void out_addr_port(struct kb_json_out *o, int family, const void *addr, uint16_t port)
{
	char text[INET6_ADDRSTRLEN], line[INET6_ADDRSTRLEN + 16];

	inet_ntop(family == 4 ? AF_INET : AF_INET6, addr, text, sizeof(text));
	snprintf(line, sizeof(line), family == 4 ? "%s:%u" : "[%s]:%u", text, port);
	kb_json_out_str(o, line);
}

static void put_intercepts(struct kb_json_out *o, const struct kb_daemon *d)
{
	const struct kb_icept_bucket *icept = kb_table_backing(d->table)->icept;

	kb_json_put_open(o, "intercepts", '[');
	for (size_t b = 0; b < KB_ICEPT_BUCKETS; b++) {
		for (size_t i = 0; i < KB_ICEPT_WAYS; i++) {
			const struct kb_icept *e = &icept[b].e[i];
			int v4 = e->addr[0] == 0 && (uint32_t)e->addr[1] == 0xffff0000;
			const uint8_t *addr = (const uint8_t *)e->addr;

			if (e->meta)
				out_addr_port(o, v4 ? 4 : 6, v4 ? addr + 12 : addr,
					      ntohs((uint16_t)e->meta));
		}
	}
	kb_json_out_close(o);
}

static int run_status(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	struct kb_json_out *o = &reply->out;
	const char *why = "", *why_ready = "";
	const struct kb_rules *rules = kb_daemon_rules_shown(d);
	bool healthy = kb_daemon_healthy(d, &why), ready = kb_daemon_ready(d, &why_ready);
	struct kb_table_stats table;

	(void)argc;
	(void)argv;
	kb_table_stats(d->table, &table);
	kb_json_put_str(o, "version", KB_VERSION);
	kb_json_put_u64(o, "pid", (uint64_t)getpid());
	kb_json_put_double(o, "uptime_s", (double)(uv_now(d->loop) - d->started_ms) / 1000);
	kb_json_put_str(o, "state", state_names[d->state]);
	kb_json_put_str(o, "reason", d->state_reason);
	kb_json_put_bool(o, "healthy", healthy);
	kb_json_put_bool(o, "ready", ready);
	kb_json_put_str(o, "why", healthy ? ready ? "" : why_ready : why);
	put_bypass(o, d);
	put_seconds(o, "age_s", kb_daemon_age_ms(d));
	kb_json_put_u64(o, "generation", table.generation);
	put_rules(o, d);
	put_kube_dns(o, d);
	put_source(o, d);
	put_objects(o, d);
	put_table(o, d);
	put_workers(o, d);
	put_pods(o, d);
	put_interfaces(o, d);
	kb_daemon_local_put(o, d);
	kb_json_put_open(o, "domains", '[');
	for (size_t i = 0; i < rules->n_zones; i++) {
		if (rules->zones[i].role == KB_ZONE_CLUSTER)
			kb_json_out_str(o, rules->zones[i].name);
	}
	kb_json_out_close(o);
	kb_json_put_open(o, "listen", '[');
	for (size_t i = 0; i < d->options.listen.n; i++)
		out_addr_port(o, d->options.listen.v[i].addr.family, d->options.listen.v[i].addr.b,
			      d->options.listen.v[i].port);
	kb_json_out_close(o);
	put_intercepts(o, d);
	return 0;
}

static int run_interfaces(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	const struct kb_daemon *d = arg;

	(void)argc;
	(void)argv;
	put_interfaces(&reply->out, d);
	put_pods(&reply->out, d);
	return 0;
}

static int run_stats(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	struct kb_engine_stats engines[KB_ENGINE_MAX];
	struct kb_kernel_counts kernel;
	struct kb_steer_stats steer;

	kb_daemon_engines(d, engines);
	kb_engine_stats_put(&reply->out, engines, KB_ENGINE_MAX, argc > 1 ? argv[1] : NULL);
	kb_datapath_kernel_counts(d->datapath, &kernel);
	kb_json_put_open(&reply->out, "exception_path", '{');
	kb_rows_put(&reply->out, KB_ROWS_KERNEL, &kernel);
	kb_json_out_close(&reply->out);
	kb_datapath_steer_stats(d->datapath, &steer);
	kb_json_put_open(&reply->out, "hand_over", '{');
	kb_rows_put(&reply->out, KB_ROWS_STEER, &steer);
	kb_json_out_close(&reply->out);
	put_sockets(&reply->out, d);
	put_local(&reply->out, d);
	put_forward(&reply->out, d);
	put_querylog(&reply->out, d);
	put_table(&reply->out, d);
	put_objects(&reply->out, d);
	put_source(&reply->out, d);
	return 0;
}

struct tuning {
	struct kb_daemon *d;
	struct kb_ctl_reply *reply;
};

static int tune_apply(void *arg, const struct kb_option *row)
{
	struct tuning *t = arg;

	(void)row;
	kb_daemon_apply_tunables(t->d);
	return kb_daemon_querylog_apply(t->d, t->reply->error, sizeof(t->reply->error));
}

static int run_tune(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	struct tuning t = {d, reply};

	return kb_ctl_tune(&d->options, argc, argv, reply, tune_apply, &t);
}

static int run_bypass(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	uint64_t for_s = 0;
	char *end;
	int r;

	if (argc > 1) {
		bool on = strcmp(argv[1], "on") == 0;

		if (!on && strcmp(argv[1], "off") != 0)
			return kb_ctl_fail(reply, -EINVAL, "bypass takes on or off, not %s",
					   argv[1]);
		if (argc > 2) {
			for_s = strtoull(argv[2], &end, 10);
			if (!on || *end || end == argv[2] || for_s == 0 || for_s > 366 * 86400)
				return kb_ctl_fail(reply, -EINVAL,
						   "bypass on takes seconds, up to a year");
		}
		r = kb_daemon_bypass(d, on, for_s);
		kb_daemon_state_update(d);
		if (r < 0)
			return kb_ctl_fail(reply, r,
					   "bypass is %s now, but %s/bypass could not be %s, so it "
					   "will not survive a restart: %s",
					   argv[1], d->options.run_dir, on ? "written" : "removed",
					   strerror(-r));
	}
	put_bypass(&reply->out, d);
	return 0;
}

static int run_version(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	(void)argc;
	(void)argv;
	kb_json_put_str(&reply->out, "version", KB_VERSION);
	kb_json_put_u64(&reply->out, "pid", (uint64_t)getpid());
	return 0;
}

const struct kb_ctl_cmd kb_daemon_commands[] = {
	{"status", 0, 0, "status", run_status},
	{"interfaces", 0, 0, "interfaces", run_interfaces},
	{"stats", 0, 1, "stats [PREFIX]", run_stats},
	{"lookup", 1, 2, "lookup NAME [TYPE]", kb_daemon_lookup},
	{"dump", 0, 0, "dump", kb_daemon_dump},
	{"workers", 0, 2, "workers [drain|resume|stop ROW|all]", kb_daemon_workers},
	{"tune", 0, 1, "tune [KEY[=VALUE]]", run_tune},
	{"trace", 1, 7, "trace SECONDS [KEY=VALUE]...", kb_daemon_trace},
	{"bypass", 0, 2, "bypass [on [SECONDS]|off]", run_bypass},
	{"version", 0, 0, "version", run_version},
	{0},
};
