/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long `kbdnsctl dump` holds up the main loop. The control socket's server with the
 * daemon's own command, over the real records and table, both at the size of Kubernetes'
 * thresholds, and one Service of many endpoints (its names are told in one piece). Prints
 * the longest turn of the loop without a dump and during it, and the time of a whole dump.
 *
 *   dump_turn [SERVICES [ENDPOINTS_PER_SERVICE [ENDPOINTS_OF_THE_LARGE_ONE]]]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl/client.h"
#include "control/daemon/daemon.h"
#include "tests/unit/fixture_rules.h"
#include "tests/unit/mem_backing.h"

#define PER_NAMESPACE 50
#define SLICE_MAX     1000
#define ROUNDS	      5

static unsigned int n_services = 10000, n_eps = 15, n_large = 5000;
static char dir[] = "/tmp/dump_turn.XXXXXX", path[64];

/* --- objects ------------------------------------------------------------------------ */

static const struct kb_port ports[] = {{"http", KB_TCP, 80}, {"metrics", KB_TCP, 9090}};

static void apply_service(const struct kb_sink *sink, unsigned int i, enum kb_service_type type)
{
	char ns[32], name[32];
	struct kb_addr ip = {4, {10, (uint8_t)(96 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i}};
	struct kb_object o = {.kind = KB_SERVICE, .ns = ns, .name = name};

	snprintf(ns, sizeof(ns), "team-%u", i / PER_NAMESPACE);
	snprintf(name, sizeof(name), "service-%u", i);
	o.u.service = (struct kb_service){.type = type,
					  .cluster_ips = &ip,
					  .n_cluster_ips = type == KB_CLUSTER_IP,
					  .ports = ports,
					  .n_ports = 2};
	sink->apply(sink->arg, &o);
}

/* Endpoints of Service i, numbered from `first` on in the whole cluster. */
static void apply_slice(const struct kb_sink *sink, unsigned int i, unsigned int part,
			unsigned int first, unsigned int n)
{
	static struct kb_endpoint eps[SLICE_MAX];
	char ns[32], name[64], service[32];
	struct kb_object o = {.kind = KB_SLICE, .ns = ns, .name = name};

	snprintf(ns, sizeof(ns), "team-%u", i / PER_NAMESPACE);
	snprintf(service, sizeof(service), "service-%u", i);
	snprintf(name, sizeof(name), "service-%u-%u", i, part);
	for (unsigned int k = 0; k < n; k++) {
		unsigned int id = first + k;

		eps[k] = (struct kb_endpoint){.ready = true,
					      .addr = {4,
						       {10, (uint8_t)(128 + (id >> 16)),
							(uint8_t)(id >> 8), (uint8_t)id}}};
	}
	o.u.slice = (struct kb_slice){.service = service,
				      .ports = ports,
				      .n_ports = 2,
				      .endpoints = eps,
				      .n_endpoints = n};
	sink->apply(sink->arg, &o);
}

static void list(const struct kb_sink *sink)
{
	unsigned int i, id = 0;

	sink->relist_begin(sink->arg, KB_NAMESPACE);
	for (i = 0; i <= n_services / PER_NAMESPACE; i++) {
		char name[32];
		struct kb_object o = {.kind = KB_NAMESPACE, .ns = "", .name = name};

		snprintf(name, sizeof(name), "team-%u", i);
		sink->apply(sink->arg, &o);
	}
	sink->relist_end(sink->arg, KB_NAMESPACE);
	sink->relist_begin(sink->arg, KB_SERVICE);
	for (i = 0; i < n_services; i++)
		apply_service(sink, i, i % 10 ? KB_CLUSTER_IP : KB_HEADLESS);
	apply_service(sink, i, KB_HEADLESS);
	sink->relist_end(sink->arg, KB_SERVICE);
	sink->relist_begin(sink->arg, KB_SLICE);
	for (i = 0; i < n_services; i++, id += n_eps)
		apply_slice(sink, i, 0, id, n_eps);
	for (unsigned int part = 0, k = 0; k < n_large; part++, k += SLICE_MAX, id += SLICE_MAX)
		apply_slice(sink, i, part, id, n_large - k < SLICE_MAX ? n_large - k : SLICE_MAX);
	sink->relist_end(sink->arg, KB_SLICE);
}

/* --- the loop's turns --------------------------------------------------------------- */

static uint64_t turn_start, turn_idle, longest_ns, turns;

/* A turn ends here: what it took without the time it slept. */
static void on_prepare(uv_prepare_t *prepare)
{
	uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(prepare->loop);
	uint64_t busy = now - turn_start - (idle - turn_idle);

	longest_ns = busy > longest_ns ? busy : longest_ns;
	turns++;
	turn_start = now;
	turn_idle = idle;
}

static void *client(void *done)
{
	char *words[] = {(char *)"dump"}, *line;
	struct kb_ctl_client *c = NULL;
	size_t len, lines = 0;

	if (kb_ctl_client_open(path, 1, words, 10, &c) == 0) {
		while (kb_ctl_client_next(c, &line, &len) == 1)
			lines++;
		kb_ctl_client_close(c);
	}
	uv_async_send(done);
	return (void *)lines;
}

static void on_done(uv_async_t *async)
{
	uv_stop(async->loop);
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static int run(struct kb_daemon *d)
{
	uv_async_t done;
	pthread_t thread;
	void *lines;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = uv_hrtime();

		longest_ns = turns = 0;
		turn_start = start;
		turn_idle = uv_metrics_idle_time(d->loop);
		uv_async_init(d->loop, &done, on_done);
		if (pthread_create(&thread, NULL, client, &done))
			return 1;
		uv_run(d->loop, UV_RUN_DEFAULT);
		pthread_join(thread, &lines);
		printf("dump %d: %8zu names %8.1f ms %6llu turns, the longest %7.3f ms\n", i + 1,
		       (size_t)lines - 1, (double)(uv_hrtime() - start) / 1e6,
		       (unsigned long long)turns, (double)longest_ns / 1e6);
		uv_close((uv_handle_t *)&done, NULL);
		uv_run(d->loop, UV_RUN_NOWAIT);
		if ((size_t)lines < n_services)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct kb_rules rules = {.ttl_s = 5};
	struct kb_records_config records = {.rules = &rules};
	struct kb_table_config table = {.replicas = 1};
	struct kb_daemon d = {.loop = uv_default_loop()};
	struct kb_ctl_config ctl = {.run_dir = dir, .cmds = kb_daemon_commands, .arg = &d};
	struct kb_mem *mem = kb_mem_new(NULL, NULL);
	struct kb_backing backing;
	struct kb_sink sink;
	uv_prepare_t prepare;
	uv_timer_t timer;
	char err[256] = "";
	int r = 1;

	fixture_zones(&rules, FIXTURE_ZONES);
	if (argc > 1)
		n_services = (unsigned int)atoi(argv[1]);
	if (argc > 2)
		n_eps = (unsigned int)atoi(argv[2]) % SLICE_MAX;
	if (argc > 3)
		n_large = (unsigned int)atoi(argv[3]);
	if (!mem || !mkdtemp(dir))
		return 1;
	kb_mem_backing(mem, &backing);
	if (kb_table_new(&backing, &table, &d.table) < 0 ||
	    kb_records_new(&records, d.table, &d.records, err, sizeof(err)) < 0 ||
	    kb_ctl_server_new(d.loop, &ctl, &d.ctl, err, sizeof(err)) < 0)
		goto out;
	snprintf(path, sizeof(path), "%s", kb_ctl_server_path(d.ctl));
	kb_records_sink(d.records, &sink);
	list(&sink);
	uv_loop_configure(d.loop, UV_METRICS_IDLE_TIME);
	uv_prepare_init(d.loop, &prepare);
	uv_prepare_start(&prepare, on_prepare);
	uv_timer_init(d.loop, &timer);
	uv_timer_start(&timer, on_tick, 10, 10);
	r = run(&d);
out:
	if (*err)
		fprintf(stderr, "%s\n", err);
	kb_ctl_server_free(d.ctl);
	uv_run(d.loop, UV_RUN_NOWAIT);
	kb_records_free(d.records);
	kb_table_free(d.table);
	kb_mem_free(mem);
	rmdir(dir);
	return r;
}
