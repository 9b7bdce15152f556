/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost of the records at the size of Kubernetes' own thresholds: 10,000 Services,
 * 150,000 endpoints, a tenth of them headless with hostnames, and Pods with verified names if asked
 * for. Prints the time of the first sync, of a relist that changes nothing and of single events,
 * and the heap that the records hold. The table is one that only counts, so the figures are the
 * records' share alone.
 *
 *   records_mem [SERVICES [ENDPOINTS_PER_SERVICE [IPV6_PERCENT [PODS]]]]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "control/records/records.h"
#include "tests/unit/fixture_rules.h"

/* --- a table that takes everything and keeps nothing ------------------------------ */

static struct kb_header header;
static uint64_t n_puts, n_dels, n_interns;

int kb_table_intern(struct kb_table *t, const void *rec, size_t len, uint32_t *ret_ref)
{
	(void)t;
	(void)rec;
	(void)len;
	n_interns++;
	*ret_ref = 1;
	return 0;
}

int kb_table_put(struct kb_table *t, const uint8_t *name, size_t len, const struct kb_entry *e)
{
	(void)t;
	(void)name;
	(void)len;
	(void)e;
	n_puts++;
	return 0;
}

int kb_table_del(struct kb_table *t, const uint8_t *name, size_t len)
{
	(void)t;
	(void)name;
	(void)len;
	n_dels++;
	return 0;
}

uint64_t kb_table_get(const struct kb_table *t, const uint8_t *name, size_t len,
		      uint32_t *ret_bucket, uint32_t *ret_slot)
{
	(void)t;
	(void)name;
	(void)len;
	*ret_bucket = *ret_slot = 0;
	return 0;
}

int kb_table_reserve(struct kb_table *t, size_t names)
{
	(void)t;
	printf("room asked for      %10zu names\n", names);
	return 0;
}

void kb_table_refusals_clear(struct kb_table *t)
{
	(void)t;
}

void kb_table_mark(struct kb_table *t)
{
	(void)t;
}

void kb_table_set_state(struct kb_table *t, enum kb_state state)
{
	(void)t;
	(void)state;
}

const struct kb_backing *kb_table_backing(const struct kb_table *t)
{
	(void)t;
	return NULL;
}

void kb_table_sweep(struct kb_table *t)
{
	(void)t;
}

void kb_table_set_ttl(struct kb_table *t, uint32_t ttl_s)
{
	(void)t;
	(void)ttl_s;
}

void kb_table_set_serial(struct kb_table *t, uint32_t serial)
{
	(void)t;
	(void)serial;
}

int kb_table_zone_add(struct kb_table *t, const uint8_t *name, size_t len, uint8_t id,
		      uint8_t flags)
{
	(void)t;
	(void)name;
	(void)len;
	(void)id;
	(void)flags;
	return 0;
}

void kb_table_zone_flag(struct kb_table *t, uint8_t id, uint8_t flag, bool on)
{
	(void)t;
	(void)id;
	(void)flag;
	(void)on;
}

void kb_table_zones_clear(struct kb_table *t)
{
	(void)t;
}

void kb_table_zones_hold(struct kb_table *t, bool hold)
{
	(void)t;
	(void)hold;
}

const struct kb_header *kb_table_header(const struct kb_table *t)
{
	(void)t;
	return &header;
}

/* --- objects ------------------------------------------------------------------------ */

#define PER_NAMESPACE 50
#define HEADLESS(i)   ((i) % 10 == 0)

static unsigned int n_services = 10000, n_eps = 15, v6_percent, n_pods;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void apply_ns(const struct kb_sink *sink, unsigned int i)
{
	char name[32];
	struct kb_object o = {.kind = KB_NAMESPACE, .ns = "", .name = name};

	snprintf(name, sizeof(name), "team-%u", i);
	sink->apply(sink->arg, &o);
}

static void apply_service(const struct kb_sink *sink, unsigned int i)
{
	static const struct kb_port ports[] = {{"http", KB_TCP, 80}, {"metrics", KB_TCP, 9090}};
	struct kb_addr ip = {.family = 4};
	char ns[32], name[32];
	struct kb_object o = {.kind = KB_SERVICE, .ns = ns, .name = name};

	snprintf(ns, sizeof(ns), "team-%u", i / PER_NAMESPACE);
	snprintf(name, sizeof(name), "service-%u", i);
	o.u.service.type = HEADLESS(i) ? KB_HEADLESS : KB_CLUSTER_IP;
	ip.b[0] = 10;
	ip.b[1] = 96;
	ip.b[2] = (uint8_t)(i >> 8);
	ip.b[3] = (uint8_t)i;
	o.u.service.cluster_ips = &ip;
	o.u.service.n_cluster_ips = 1;
	o.u.service.ports = ports;
	o.u.service.n_ports = 2;
	sink->apply(sink->arg, &o);
}

/* Endpoint and Pod `id`. */
static struct kb_addr pod_addr(unsigned int id, bool v6)
{
	struct kb_addr a = {.family = v6 ? 6 : 4};

	if (!v6) {
		a.b[0] = 10;
		a.b[1] = (uint8_t)(128 + (id >> 16));
		a.b[2] = (uint8_t)(id >> 8);
		a.b[3] = (uint8_t)id;
	} else {
		a.b[0] = 0xfd;
		a.b[7] = (uint8_t)(id >> 8);
		a.b[14] = (uint8_t)(id >> 16);
		a.b[15] = (uint8_t)id;
	}
	return a;
}

static void apply_slice(const struct kb_sink *sink, unsigned int i, unsigned int ready)
{
	static const struct kb_port ports[] = {{"http", KB_TCP, 8080}, {"metrics", KB_TCP, 9090}};
	static struct kb_endpoint eps[1024];
	static char hosts[1024][32];
	char ns[32], name[48], service[32];
	struct kb_object o = {.kind = KB_SLICE, .ns = ns, .name = name};
	unsigned int k;

	snprintf(ns, sizeof(ns), "team-%u", i / PER_NAMESPACE);
	snprintf(service, sizeof(service), "service-%u", i);
	snprintf(name, sizeof(name), "service-%u-x%05x", i, i * 2654435761U >> 12);
	for (k = 0; k < n_eps; k++) {
		struct kb_endpoint *e = &eps[k];
		unsigned int id = i * n_eps + k;

		memset(e, 0, sizeof(*e));
		e->ready = k < ready;
		e->addr = pod_addr(id, i % 100 < v6_percent);
		snprintf(hosts[k], sizeof(hosts[k]), "service-%u-%u", i, k);
		e->hostname = HEADLESS(i) ? hosts[k] : NULL;
	}
	o.u.slice.service = service;
	o.u.slice.ports = ports;
	o.u.slice.n_ports = 2;
	o.u.slice.endpoints = eps;
	o.u.slice.n_endpoints = n_eps;
	sink->apply(sink->arg, &o);
}

static void apply_pod(const struct kb_sink *sink, unsigned int id)
{
	unsigned int i = id / n_eps % n_services;
	struct kb_addr addr = pod_addr(id, i % 100 < v6_percent);
	char ns[32], name[64];
	struct kb_object o = {.kind = KB_POD, .ns = ns, .name = name};

	snprintf(ns, sizeof(ns), "team-%u", i / PER_NAMESPACE);
	snprintf(name, sizeof(name), "service-%u-%08x-%05x", i, i * 2654435761U, id);
	o.u.pod.ips = &addr;
	o.u.pod.n_ips = 1;
	sink->apply(sink->arg, &o);
}

static void list(const struct kb_sink *sink)
{
	unsigned int i;

	sink->relist_begin(sink->arg, KB_NAMESPACE);
	for (i = 0; i <= n_services / PER_NAMESPACE; i++)
		apply_ns(sink, i);
	sink->relist_end(sink->arg, KB_NAMESPACE);
	sink->relist_begin(sink->arg, KB_SERVICE);
	for (i = 0; i < n_services; i++)
		apply_service(sink, i);
	sink->relist_end(sink->arg, KB_SERVICE);
	sink->relist_begin(sink->arg, KB_SLICE);
	for (i = 0; i < n_services; i++)
		apply_slice(sink, i, n_eps);
	sink->relist_end(sink->arg, KB_SLICE);
	sink->relist_begin(sink->arg, KB_POD);
	for (i = 0; i < n_pods; i++)
		apply_pod(sink, i);
	sink->relist_end(sink->arg, KB_POD);
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

int main(int argc, char **argv)
{
	struct kb_rules rules = {.ttl_s = 5};
	struct kb_records_config config = {.rules = &rules};
	struct kb_records *r;
	struct kb_records_stats st;
	struct kb_sink sink;
	struct rusage ru;
	char err[256];
	size_t before = heap(), after;
	double t0, t1, t2, t3;
	unsigned int i, events = 10000;

	fixture_zones(&rules, "cluster.local -in-addr.arpa -ip6.arpa");
	if (argc > 1)
		n_services = (unsigned int)atoi(argv[1]);
	if (argc > 2)
		n_eps = (unsigned int)atoi(argv[2]) % 1024;
	if (argc > 3)
		v6_percent = (unsigned int)atoi(argv[3]);
	if (argc > 4)
		n_pods = (unsigned int)atoi(argv[4]);
	if (n_pods)
		rules.pods = KB_PODS_VERIFIED;
	if (kb_records_new(&config, NULL, &r, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	kb_records_sink(r, &sink);
	t0 = now_s();
	list(&sink);
	t1 = now_s();
	after = heap();
	kb_records_stats(r, &st);
	printf("services            %10llu\n", (unsigned long long)st.services);
	printf("endpoints           %10llu\n", (unsigned long long)st.endpoints);
	printf("pods                %10llu\n", (unsigned long long)st.pods);
	printf("names put           %10llu\n", (unsigned long long)n_puts);
	printf("records interned    %10llu\n", (unsigned long long)n_interns);
	printf("first sync          %10.3f s\n", t1 - t0);
	printf("heap held           %10.2f MB\n", (double)(after - before) / 1e6);
	n_puts = n_dels = 0;
	list(&sink);
	t2 = now_s();
	printf("relist, no change   %10.3f s, %llu puts, %llu dels\n", t2 - t1,
	       (unsigned long long)n_puts, (unsigned long long)n_dels);
	for (i = 0; i < events; i++)
		apply_slice(&sink, i / 2 * 7919 % n_services, n_eps - (i + 1) % 2);
	t3 = now_s();
	printf("event of a slice    %10.1f us, %.1f puts, %.1f dels\n", (t3 - t2) / events * 1e6,
	       (double)n_puts / events, (double)n_dels / events);
	getrusage(RUSAGE_SELF, &ru);
	printf("heap after          %10.2f MB\n", (double)(heap() - before) / 1e6);
	printf("largest RSS         %10.2f MB\n", (double)ru.ru_maxrss / 1e3);
	kb_records_free(r);
	return 0;
}
