/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random events applied one after the other must leave exactly the names and values that
 * a fresh build from the final objects gives, whatever the rules; what the renderer for TCP
 * says of a name must be what the answer core says; and names of Pods are what the objects say.
 *
 * KB_MODEL_SEED and KB_MODEL_ROUNDS override the defaults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_env.h"

#include "control/records/records.h"
#include "tests/unit/ask_core.h"
#include "tests/unit/fixture_cluster.h"
#include "tests/unit/fixture_rules.h"

#define NAMESPACES 3
#define SERVICES   5
#define SLICES	   6
#define PODS	   4
#define OBJECTS	   (NAMESPACES * (1 + SERVICES + SLICES + PODS))

struct world {
	struct kb_table *table;
	struct kb_records *records;
	struct kb_sink sink;
	char icepts[64][64];
	size_t n_icepts;
};

/* The objects as they should be: a line each, "" if there is none. */
static char object[OBJECTS][1024];
static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

static void on_intercept(void *arg, bool add, bool service, const struct kb_addr *a, uint16_t port)
{
	struct world *w = arg;
	char text[64];
	size_t i, len = 0;

	for (i = 0; i < (a->family == 4 ? 4U : 16U); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%02x", a->b[i]);
	snprintf(text + len, sizeof(text) - len, "/%d%s", port, service ? "!" : "");
	for (i = 0; i < w->n_icepts; i++)
		if (!strcmp(w->icepts[i], text))
			break;
	/* Never twice, never one that is not there. */
	assert_true(add == (i == w->n_icepts));
	if (add)
		strcpy(w->icepts[w->n_icepts++], text);
	else
		memmove(w->icepts[i], w->icepts[--w->n_icepts], sizeof(text));
}

static uint32_t on_now(void *arg)
{
	(void)arg;
	return 1700000000;
}

/* Each round has rules of its own. */
struct variant {
	const char *zones;
	struct kb_rules rules;
};

static struct variant random_variant(void)
{
	static const char *const zones[] = {
		"cluster.local b.example -in-addr.arpa -ip6.arpa",
		"cluster.local b.example in-addr.arpa ip6.arpa",
		"cluster.local b.example n1.svc.b.example !s1.n0.svc.cluster.local "
		"0.10.in-addr.arpa -1.10.in-addr.arpa 0.0.d.f.ip6.arpa !0.0.10.in-addr.arpa",
		"-cluster.local !svc.b.example b.example 10.in-addr.arpa 0.10.in-addr.arpa "
		"ip6.arpa 4.0.1.10.in-addr.arpa",
	};
	static char *names[] = {"n2", "n0"}, labels[] = "show,tier!=db";
	struct variant v = {.zones = zones[rnd(4)]};

	v.rules.pods = (enum kb_pods_mode)rnd(3);
	v.rules.endpoint_pod_names = rnd(2);
	v.rules.no_endpoints = rnd(8) == 0;
	v.rules.ignore_empty = rnd(4) == 0;
	if (rnd(4) == 0) {
		v.rules.namespaces = names;
		v.rules.n_namespaces = 2;
	} else if (rnd(3) == 0) {
		v.rules.namespace_labels = labels;
	}
	return v;
}

static void records_make(struct world *w, struct variant v)
{
	struct kb_records_config config = {
		.rules = &v.rules,
		.dns_services = {"n0/s0", "n1/s1"},
		.n_dns_services = 2,
		.intercept = on_intercept,
		.now_s = on_now,
		.arg = w,
	};
	char err[256];

	v.rules.ttl_s = 5;
	fixture_zones(&v.rules, v.zones);
	assert_int_equal(kb_records_new(&config, w->table, &w->records, err, sizeof(err)), 0);
	kb_records_sink(w->records, &w->sink);
}

static struct world *world_new(struct variant v)
{
	struct world *w = calloc(1, sizeof(*w));

	w->table = fake_table_new(1 << 13);
	records_make(w, v);
	return w;
}

static void world_free(struct world *w)
{
	kb_records_free(w->records);
	fake_table_free(w->table);
	free(w);
}

static void list_all(struct world *w)
{
	const char *lines[OBJECTS + 1];
	size_t i, n = 0;

	for (i = 0; i < OBJECTS; i++)
		if (object[i][0])
			lines[n++] = object[i];
	lines[n] = NULL;
	fixture_list(&w->sink, lines);
}

/* --- random objects --------------------------------------------------------------- */

#define ADDRS 10
static const char *const addrs[ADDRS] = {"10.0.0.1",  "10.0.0.2",      "10.0.1.3", "10.1.0.4",
					 "10.1.0.5",  "172.16.0.6",    "fd00::1",  "fd00::2",
					 "fd00:1::3", "2001:db8::ff:4"};

static const char *random_addr(void)
{
	return addrs[rnd(ADDRS)];
}

static void random_ports(char *out, size_t size)
{
	static const char *const names[] = {"web", "dns", "db", "", "metrics"};
	static const char *const protos[] = {"tcp", "udp", "sctp"};
	uint32_t i, n = rnd(4);
	size_t len = 0;

	snprintf(out, size, "-");
	for (i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s:%s:%u", i ? "," : "",
					names[rnd(5)], protos[rnd(3)], 80 + rnd(3));
}

static void random_service(char *out, size_t size, const char *name)
{
	char ports[256], target[128];

	random_ports(ports, sizeof(ports));
	switch (rnd(8)) {
	case 0:
		snprintf(out, size, "bad svc %s absurd", name);
		break;
	case 1:
	case 2:
		snprintf(out, size, "svc %s headless %s", name, ports);
		break;
	case 3:
	case 4:
		switch (rnd(10)) {
		case 9:
			snprintf(target, sizeof(target), "1.0.0.10.in-addr.arpa");
			break;
		case 8:
			snprintf(target, sizeof(target), "10-0-0-1.n%u.pod.cluster.local",
				 rnd(NAMESPACES));
			break;
		case 0:
			snprintf(target, sizeof(target), "www.example.com");
			break;
		case 1:
			snprintf(target, sizeof(target), "n%u.svc.b.example", rnd(NAMESPACES));
			break;
		case 2:
			snprintf(target, sizeof(target), "ns.dns.cluster.local.");
			break;
		case 3:
			snprintf(target, sizeof(target), "h%u.s%u.n%u.svc.cluster.local", rnd(3),
				 rnd(SERVICES), rnd(NAMESPACES));
			break;
		case 4:
			snprintf(target, sizeof(target), "_web._tcp.s%u.n%u.svc.cluster.local",
				 rnd(SERVICES), rnd(NAMESPACES));
			break;
		default:
			snprintf(target, sizeof(target), "s%u.n%u.svc.%s", rnd(SERVICES),
				 rnd(NAMESPACES), rnd(2) ? "Cluster.Local" : "b.example.");
			break;
		}
		snprintf(out, size, "svc %s external %s", name, target);
		break;
	default:
		if (rnd(2))
			snprintf(out, size, "svc %s cluster %s %s", name, random_addr(), ports);
		else
			snprintf(out, size, "svc %s cluster %s,%s %s", name, random_addr(),
				 random_addr(), ports);
		break;
	}
}

static void random_slice(char *out, size_t size, const char *name)
{
	char ports[256], service[16];
	uint32_t i, n = rnd(5);
	size_t len;

	snprintf(service, sizeof(service), "s%u", rnd(SERVICES));
	if (rnd(12) == 0)
		snprintf(service, sizeof(service), "-");
	if (rnd(20) == 0) {
		snprintf(out, size, "bad slice %s %s absurd", name, service);
		return;
	}
	random_ports(ports, sizeof(ports));
	len = (size_t)snprintf(out, size, "slice %s %s %s %s", name, service, ports, n ? "" : "-");
	for (i = 0; i < n; i++) {
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "", random_addr());
		if (rnd(2))
			len += (size_t)snprintf(out + len, size - len, "=h%u", rnd(3));
		if (rnd(2))
			len += (size_t)snprintf(out + len, size - len, "@%s",
						rnd(8) ? "p1" : "two.labels");
		if (rnd(4) == 0)
			len += (size_t)snprintf(out + len, size - len, "!");
	}
}

/* Names of object i, as in a "gone" line: kind and name. */
static void object_name(size_t i, char *kind, char *name, size_t size)
{
	if (i < NAMESPACES) {
		strcpy(kind, "ns");
		snprintf(name, size, "n%zu", i);
		return;
	}
	i -= NAMESPACES;
	if (i < NAMESPACES * SERVICES) {
		strcpy(kind, "svc");
		snprintf(name, size, "n%zu/s%zu", i / SERVICES, i % SERVICES);
		return;
	}
	i -= NAMESPACES * SERVICES;
	if (i < NAMESPACES * SLICES) {
		strcpy(kind, "slice");
		snprintf(name, size, "n%zu/x%zu", i / SLICES, i % SLICES);
		return;
	}
	i -= NAMESPACES * SLICES;
	strcpy(kind, "pod");
	snprintf(name, size, "n%zu/p%zu", i / PODS, i % PODS);
}

static void random_namespace(char *out, size_t size, const char *name)
{
	static const char *const labels[] = {"", "show", "show,tier=web", "show,tier=db",
					     "tier=web"};

	if (rnd(10) == 0)
		snprintf(out, size, "bad ns %s absurd", name);
	else
		snprintf(out, size, "ns %s %s", name, labels[rnd(5)]);
}

static void random_pod(char *out, size_t size, const char *name)
{
	if (rnd(12) == 0)
		snprintf(out, size, "bad pod %s absurd", name);
	else if (rnd(8) == 0)
		snprintf(out, size, "pod %s -", name);
	else
		snprintf(out, size, "pod %s %s", name, random_addr());
}

static void random_event(struct world *w, bool quiet)
{
	size_t i = rnd(OBJECTS), size = sizeof(object[0]);
	char kind[8], name[32], line[64];

	/* Namespaces matter to many names, and should mostly be there. */
	if (i < NAMESPACES && rnd(2))
		i = rnd(OBJECTS);
	object_name(i, kind, name, sizeof(name));
	if (rnd(4) == 0 && object[i][0]) {
		object[i][0] = '\0';
		snprintf(line, sizeof(line), "gone %s %s", kind, name);
		if (!quiet)
			fixture_apply(&w->sink, line);
		return;
	}
	if (!strcmp(kind, "ns"))
		random_namespace(object[i], size, name);
	else if (!strcmp(kind, "pod"))
		random_pod(object[i], size, name);
	else if (!strcmp(kind, "svc"))
		random_service(object[i], size, name);
	else
		random_slice(object[i], size, name);
	if (!quiet)
		fixture_apply(&w->sink, object[i]);
}

/* --- comparison ------------------------------------------------------------------- */

struct name_value {
	char name[300];
	struct kb_entry entry;
	const uint8_t *rec;
	size_t len;
};

struct names {
	struct name_value v[8192];
	size_t n;
	const struct kb_table *table;
};

static int collect(void *arg, const char *name, const struct kb_entry *entry)
{
	struct names *ns = arg;
	struct name_value *v = &ns->v[ns->n++];

	assert_true(ns->n < 8192);
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->entry = *entry;
	v->len = 0;
	v->rec = fake_table_record(ns->table, entry->ref, &v->len);
	return 0;
}

static int value_compare(const void *a, const void *b)
{
	return strcmp(((const struct name_value *)a)->name, ((const struct name_value *)b)->name);
}

static int string_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void print_objects(void)
{
	size_t i;

	for (i = 0; i < OBJECTS; i++)
		if (object[i][0])
			print_message("  %s\n", object[i]);
}

static void get_names(struct world *w, struct names *ret)
{
	struct kb_records_walk walk = {0};
	int r;

	ret->n = 0;
	ret->table = w->table;
	while ((r = kb_records_walk(w->records, &walk, collect, ret)) == 1)
		;
	assert_int_equal(r, 0);
	qsort(ret->v, ret->n, sizeof(ret->v[0]), value_compare);
}

static void compare(struct world *inc, struct world *fresh)
{
	static struct names a, b;
	uint8_t id;
	size_t i;

	get_names(inc, &a);
	get_names(fresh, &b);
	for (i = 0; i < a.n && i < b.n; i++) {
		const struct name_value *x = &a.v[i], *y = &b.v[i];

		if (strcmp(x->name, y->name) || x->entry.kind != y->entry.kind ||
		    x->entry.zone != y->entry.zone || x->entry.addr != y->entry.addr ||
		    x->len != y->len || (x->len && memcmp(x->rec, y->rec, x->len))) {
			print_objects();
			fail_msg("incremental %s (%d), fresh %s (%d)", x->name, x->entry.kind,
				 y->name, y->entry.kind);
		}
	}
	assert_int_equal(a.n, b.n);
	/* Nor does either table hold what the records do not know of. */
	assert_int_equal(fake_table_names(inc->table), a.n);
	assert_int_equal(fake_table_names(fresh->table), b.n);
	assert_int_equal(fake_table_records(inc->table), fake_table_records(fresh->table));
	for (id = 1; id <= KB_VALUE_ZONE_MAX; id++)
		assert_int_equal(fake_table_zone_flags(inc->table, id),
				 fake_table_zone_flags(fresh->table, id));
	qsort(inc->icepts, inc->n_icepts, sizeof(inc->icepts[0]), string_compare);
	qsort(fresh->icepts, fresh->n_icepts, sizeof(fresh->icepts[0]), string_compare);
	assert_int_equal(inc->n_icepts, fresh->n_icepts);
	for (i = 0; i < inc->n_icepts; i++)
		assert_string_equal(inc->icepts[i], fresh->icepts[i]);
}

/* --- names of Pods, as the objects alone say ------------------------------------------- */

enum expected { DENIED, LEFT, ANSWERED };

static bool naive_exposed(const struct variant *v, size_t ns)
{
	const char *line = object[ns];

	if (!line[0] || (v->rules.n_namespaces && ns == 1))
		return false;
	if (!v->rules.namespace_labels || !strncmp(line, "bad", 3))
		return true;
	return strstr(line, "show") && !strstr(line, "tier=db");
}

static enum expected naive_pod(const struct variant *v, size_t ns, const char *addr)
{
	enum expected e = DENIED;
	char want[64], bad[64];
	size_t i;

	if (v->rules.pods == KB_PODS_DISABLED || !naive_exposed(v, ns))
		return DENIED;
	if (v->rules.pods == KB_PODS_INSECURE || !strncmp(object[ns], "bad", 3))
		return LEFT;
	for (i = 0; i < PODS; i++) {
		const char *line = object[OBJECTS - (NAMESPACES - ns) * PODS + i];

		snprintf(want, sizeof(want), "pod n%zu/p%zu %s", ns, i, addr);
		snprintf(bad, sizeof(bad), "bad pod n%zu/", ns);
		if (!strcmp(line, want))
			return ANSWERED;
		if (!strncmp(line, bad, strlen(bad)))
			e = LEFT;
	}
	return e;
}

static void compare_pods(struct world *w, const struct variant *v)
{
	static struct reply r;
	char name[128];
	size_t ns, a, i;

	for (ns = 0; ns < NAMESPACES; ns++) {
		for (a = 0; a < ADDRS; a++) {
			enum expected want = naive_pod(v, ns, addrs[a]), got;

			snprintf(name, sizeof(name), "%s.n%zu.pod.cluster.local", addrs[a], ns);
			for (i = 0; i < strlen(addrs[a]); i++)
				if (strchr(".:", name[i]))
					name[i] = '-';
			ask_core(w->table, name, strchr(addrs[a], ':') ? "AAAA" : "A", true, &r);
			got = r.left ? LEFT : r.answer[0] ? ANSWERED : DENIED;
			/* A zone that falls through denies nothing. */
			if (want == DENIED && v->zones[0] == '-')
				want = LEFT;
			if (got != want) {
				print_objects();
				fail_msg("%s: %d, not %d", name, got, want);
			}
			if (got == DENIED)
				assert_string_equal(r.rcode, "NXDOMAIN");
		}
	}
}

/* The renderer and the core say the same. */
static void compare_render(struct world *w)
{
	static const char *const types[] = {"A",  "AAAA", "SRV", "CNAME", "PTR",
					    "NS", "SOA",  "TXT", "MX"};
	static struct names ns;
	static struct reply core, whole;
	static unsigned char msg[66000];
	size_t i, k, qlen, len;

	get_names(w, &ns);
	for (i = 0; i < ns.n; i++) {
		for (k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
			struct kb_rendered rd;
			int err;

			ask_core(w->table, ns.v[i].name, types[k], true, &core);
			len = ask_query(ns.v[i].name, types[k], false, msg, &qlen);
			err = kb_records_render(w->records, msg + 12, qlen,
						(uint16_t)(msg[12 + qlen] << 8 | msg[13 + qlen]),
						msg + len, 65535 - len, &rd);
			if (core.left || core.tc)
				continue;
			if (err) {
				if (core.answer[0])
					fail_msg("%s %s: not rendered, but\n%s", ns.v[i].name,
						 types[k], core.answer);
				continue;
			}
			msg[2] = 0x84;
			msg[3] = rd.rcode;
			msg[7] = (unsigned char)rd.an;
			msg[9] = (unsigned char)rd.ns;
			msg[11] = (unsigned char)rd.ar;
			ask_decode(msg, len + rd.len, &whole);
			if (strcmp(core.answer, whole.answer) ||
			    strcmp(core.authority, whole.authority) ||
			    strcmp(core.additional, whole.additional) ||
			    strcmp(core.rcode, whole.rcode))
				fail_msg("%s %s: core\n%s%s%s%s\nrendered\n%s%s%s%s", ns.v[i].name,
					 types[k], core.rcode, core.answer, core.authority,
					 core.additional, whole.rcode, whole.answer,
					 whole.authority, whole.additional);
		}
	}
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 10) : otherwise;
}

static void test_model(void **state)
{
	uint64_t first = from_env("KB_MODEL_SEED", 1), rounds = from_env("KB_MODEL_ROUNDS", 60);
	uint64_t round;

	(void)state;
	for (round = 0; round < rounds; round++) {
		struct world *inc, *fresh;
		struct variant v;
		size_t step, i;

		seed = first + round;
		v = random_variant();
		inc = world_new(v);
		memset(object, 0, sizeof(object));
		for (i = rnd(60); i > 0; i--)
			random_event(inc, true);
		list_all(inc);
		for (step = 0; step < 8; step++) {
			for (i = rnd(20); i > 0; i--)
				random_event(inc, false);
			/* A break of the watch: changes are only seen in the next list. */
			if (rnd(4) == 0) {
				for (i = rnd(10); i > 0; i--)
					random_event(inc, true);
				list_all(inc);
			}
			/* A table without room for a while. */
			if (rnd(4) == 0) {
				fake_table_refuse_after(inc->table, rnd(12));
				for (i = rnd(20); i > 0; i--)
					random_event(inc, false);
				fake_table_refuse_after(inc->table, UINT64_MAX);
				for (i = 0; i < 3; i++)
					kb_records_retry(inc->records);
			}
			/* Other rules, over what the table has. */
			if (rnd(8) == 0) {
				v = random_variant();
				kb_records_free(inc->records);
				inc->n_icepts = 0;
				records_make(inc, v);
				list_all(inc);
				kb_table_set_state(inc->table, KB_FULL);
			}
			fresh = world_new(v);
			list_all(fresh);
			compare(inc, fresh);
			compare_pods(inc, &v);
			world_free(fresh);
		}
		if (round % 8 == 0)
			compare_render(inc);
		/* All goes: nothing of it stays. */
		memset(object, 0, sizeof(object));
		list_all(inc);
		fresh = world_new(v);
		list_all(fresh);
		compare(inc, fresh);
		world_free(fresh);
		world_free(inc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
