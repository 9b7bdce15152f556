/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules choose: names of Pods and of endpoints, namespaces, Services without endpoints. */
#include "tests/unit/records_world.h"

#include <arpa/inet.h>

#include "control/records/dashed.h"

#define ZONES "cluster.local -in-addr.arpa -ip6.arpa"

/* The whole answer of the socket engine, as section text. */
static void expect_rendered(struct world *w, const char *qname, const char *qtype,
			    const char *rcode, const char *answer)
{
	static struct reply r;

	if (render(w, qname, qtype, &r))
		fail_msg("%s %s is not rendered", qname, qtype);
	if (strcmp(r.rcode, rcode))
		fail_msg("%s %s: %s, not %s", qname, qtype, r.rcode, rcode);
	check_section("answer", qname, qtype, r.answer, answer);
	check_section("authority", qname, qtype, r.authority, answer[0] ? "" : SOA_Z);
}

/* --- labels of addresses -------------------------------------------------------- */

static void test_dashed(void **state)
{
	/* Text, label, label of an endpoint. */
	static const char *const rows[][3] = {
		{"10.0.0.1", "10-0-0-1", "10-0-0-1"},
		{"255.255.255.255", "255-255-255-255", "255-255-255-255"},
		{"::", "--", "--0"},
		{"::1", "--1", "--1"},
		{"fd00:5::", "fd00-5--", "fd00-5--0"},
		{"1:2:3:4:5:6:7::", "1-2-3-4-5-6-7-0", "1-2-3-4-5-6-7-0"},
		{"1:0:0:2:0:0:0:3", "1-0-0-2--3", "1-0-0-2--3"},
		{"1:0:0:2:3:0:0:4", "1--2-3-0-0-4", "1--2-3-0-0-4"},
		{"fd00:0:10::abcd", "fd00-0-10--abcd", "fd00-0-10--abcd"},
		/* No dots as in RFC 4291 section 2.5.5. */
		{"::5678:1", "--5678-1", "--5678-1"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff-ffff-ffff-ffff-ffff-ffff-ffff-ffff",
		 "ffff-ffff-ffff-ffff-ffff-ffff-ffff-ffff"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char label[KB_LABEL_MAX + 1] = "";
		struct kb_addr addr = {.family = strchr(rows[i][0], ':') ? 6 : 4}, back;
		size_t len;

		assert_int_equal(
			inet_pton(addr.family == 6 ? AF_INET6 : AF_INET, rows[i][0], addr.b), 1);
		len = kb_dashed_make(&addr, label);
		assert_int_equal(len, strlen(rows[i][1]));
		assert_memory_equal(label, rows[i][1], len);
		assert_int_equal(kb_dashed_parse(label, len, &back), 0);
		assert_memory_equal(&back, &addr, sizeof(addr));
		len = kb_dashed_endpoint(&addr, label);
		assert_int_equal(len, strlen(rows[i][2]));
		assert_memory_equal(label, rows[i][2], len);
	}
}

static void test_dashed_parse(void **state)
{
	/* As net.ParseIP reads it after CoreDNS's replacement of the dashes. */
	static const char *const good[][2] = {
		{"1-2-3-4", "1.2.3.4"},	  {"1--2-3-4", "1::2:3:4"},
		{"1-2-3--4", "1:2:3::4"}, {"fd00-0-0-0-0-0-0-1", "fd00::1"},
		{"FD00--1", "fd00::1"},	  {"--ffff-102-304", "1.2.3.4"},
		{"0001--", "1::"},
	};
	static const char *const bad[] = {
		"",	     "x",	  "1-2-3",	"1-2-3-4-5",	    "1-2-3-256",
		"01-2-3-4",  "-1-2-3",	  "1-2-3-",	"1-2-3-4-",	    "-1--2",
		"1---2",     "1--2--3",	  "10000--1",	"1.2-3-4",	    "1-2-3-4:5",
		"1:2:3:4::", "1-2-3-0x4", "fe80--1%lo", "1-2-3-4-5-6-7-8-9"};
	struct kb_addr addr, want;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		want = (struct kb_addr){.family = strchr(good[i][1], ':') ? 6 : 4};
		inet_pton(want.family == 6 ? AF_INET6 : AF_INET, good[i][1], want.b);
		assert_int_equal(kb_dashed_parse(good[i][0], strlen(good[i][0]), &addr), 0);
		assert_memory_equal(&addr, &want, sizeof(addr));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kb_dashed_parse(bad[i], strlen(bad[i]), &addr) == 0)
			fail_msg("%s was taken for an address", bad[i]);
	assert_int_not_equal(kb_dashed_parse("1-2-3-4\0", 8, &addr), 0);
}

/* --- Pods ------------------------------------------------------------------------ */

static void test_pods_disabled(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){0});

	(void)state;
	ev(w, "ns a");
	ev(w, "pod a/p 10.1.0.1");
	expect_nodata(w, "pod.cluster.local", "A");
	expect_nx(w, "a.pod.cluster.local");
	expect_nx(w, "10-1-0-1.a.pod.cluster.local");
	expect_nx(w, "x.10-1-0-1.a.pod.cluster.local");
	assert_int_equal(fake_table_zone_flags(w->table, 1), KB_ZONE_ANSWER);
	world_free(w);
}

static void test_pods_insecure(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.pods = KB_PODS_INSECURE});
	static struct reply r;

	(void)state;
	ev(w, "ns a");
	/* What the table can tell: there are no such namespaces. */
	expect_nodata(w, "pod.cluster.local", "A");
	expect_nx(w, "b.pod.cluster.local");
	expect_nx(w, "10-1-0-1.b.pod.cluster.local");
	expect_nx(w, "10-1-0-1.a.pods.cluster.local");
	expect_nx(w, "nobody.a.svc.cluster.local");
	expect_left(w, "a.pod.cluster.local", "A");
	expect_left(w, "10-1-0-1.A.PoD.cluster.local", "A");
	expect_left(w, "www.example.com.a.pod.cluster.local", "A");
	/* The rest is computed. */
	expect_rendered(w, "10-1-0-1.a.pod.cluster.local", "A", "NOERROR",
			RR("10-1-0-1.a.pod." Z, "A", "10.1.0.1"));
	expect_rendered(w, "10-1-0-1.a.pod.cluster.local", "AAAA", "NOERROR", "");
	expect_rendered(w, "10-1-0-1.a.pod.cluster.local", "SRV", "NOERROR", "");
	expect_rendered(w, "10-1-0-1.a.pod.cluster.local", "ANY", "NOERROR", "");
	expect_rendered(w, "fd00-0--1.a.pod.cluster.local", "AAAA", "NOERROR",
			RR("fd00-0--1.a.pod." Z, "AAAA", "fd00::1"));
	expect_rendered(w, "10-1-0-256.a.pod.cluster.local", "A", "NXDOMAIN", "");
	expect_rendered(w, "x.10-1-0-1.a.pod.cluster.local", "A", "NXDOMAIN", "");
	expect_rendered(w, "a.pod.cluster.local", "A", "NOERROR", "");
	expect_rendered(w, "10-1-0-1.b.pod.cluster.local", "A", "NXDOMAIN", "");
	/* What an ExternalName leads to. */
	ev(w, "svc a/e external 10-1-0-1.a.pod.cluster.local");
	expect_left(w, "e.a.svc.cluster.local", "A");
	expect_rendered(w, "e.a.svc.cluster.local", "A", "NOERROR",
			RR("e.a.svc." Z, "CNAME", "10-1-0-1.a.pod." Z)
				RR("10-1-0-1.a.pod." Z, "A", "10.1.0.1"));
	/* A namespace that nobody can be sure of. */
	ev(w, "bad ns a absurd");
	expect_left(w, "10-1-0-1.a.pod.cluster.local", "A");
	assert_int_not_equal(render(w, "10-1-0-1.a.pod.cluster.local", "A", &r), 0);
	ev(w, "gone ns a");
	expect_nx(w, "10-1-0-1.a.pod.cluster.local");
	world_free(w);
	/* Where the zone falls through, so does what is no address. */
	w = world_with(nothing, "-cluster.local", (struct kb_rules){.pods = KB_PODS_INSECURE});
	ev(w, "ns a");
	expect_left(w, "10-1-0-1.a.pod.cluster.local", "A");
	expect_rendered(w, "10-1-0-1.a.pod.cluster.local", "A", "NOERROR",
			RR("10-1-0-1.a.pod." Z, "A", "10.1.0.1"));
	assert_int_not_equal(render(w, "x.a.pod.cluster.local", "A", &r), 0);
	world_free(w);
}

static void test_pods_verified(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.pods = KB_PODS_VERIFIED});
	const char *one = "10-1-0-1.a.pod.cluster.local";

	(void)state;
	ev(w, "pod a/p 10.1.0.1,fd00::1");
	expect_nx(w, one);
	expect_nx(w, "a.pod.cluster.local");
	ev(w, "ns a");
	ev(w, "ns b");
	expect_a(w, one, "10.1.0.1");
	expect_nodata(w, one, "AAAA");
	expect_nodata(w, one, "SRV");
	expect_nodata(w, "a.pod.cluster.local", "A");
	expect_nodata(w, "pod.cluster.local", "A");
	/* The first address alone, in its own namespace, without labels in front. */
	expect_nx(w, "fd00--1.a.pod.cluster.local");
	expect_nx(w, "10-1-0-1.b.pod.cluster.local");
	expect_nx(w, "x.10-1-0-1.a.pod.cluster.local");
	expect_nx(w, "10-1-0-2.a.pod.cluster.local");
	/* A Pod of IPv6. */
	ev(w, "pod a/six fd00:5::");
	expect(w, "fd00-5--.a.pod.cluster.local", "AAAA", "NOERROR",
	       RR("fd00-5--.a.pod." Z, "AAAA", "fd00:5::"), "", "");
	expect_nodata(w, "fd00-5--.a.pod.cluster.local", "A");
	expect_nx(w, "fd00-5--0.a.pod.cluster.local");
	ev(w, "pod a/six fd00:6::");
	expect_nx(w, "fd00-5--.a.pod.cluster.local");
	/* Two Pods on the network of one node; one of them is replaced under its name. */
	ev(w, "pod a/q 10.1.0.1");
	ev(w, "gone pod a/p");
	expect_a(w, one, "10.1.0.1");
	ev(w, "pod a/q 10.1.0.7");
	expect_nx(w, one);
	expect_a(w, "10-1-0-7.a.pod.cluster.local", "10.1.0.7");
	/* It has come to its end, and its name starts again. */
	ev(w, "pod a/q -");
	expect_nx(w, "10-1-0-7.a.pod.cluster.local");
	ev(w, "pod a/q 10.1.0.8");
	expect_a(w, "10-1-0-8.a.pod.cluster.local", "10.1.0.8");
	/* Its address goes to a Pod of another namespace. */
	ev(w, "pod b/r 10.1.0.8");
	ev(w, "gone pod a/q");
	expect_nx(w, "10-1-0-8.a.pod.cluster.local");
	expect_a(w, "10-1-0-8.b.pod.cluster.local", "10.1.0.8");
	/* The namespace goes first. */
	ev(w, "gone ns b");
	expect_nx(w, "10-1-0-8.b.pod.cluster.local");
	expect_nx(w, "b.pod.cluster.local");
	ev(w, "ns b");
	expect_a(w, "10-1-0-8.b.pod.cluster.local", "10.1.0.8");
	ev(w, "gone pod b/r");
	ev(w, "gone pod b/nobody");
	ev(w, "gone pod a/six");
	ev(w, "gone ns b");
	ev(w, "gone ns a");
	assert_int_equal(fake_table_names(w->table), 12); /* those of the zones */
	assert_string_equal(w->warnings, "");
	world_free(w);
}

/* A Pod that cannot be read hides an address: nothing of its namespace is denied. */
static void test_pods_bad(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.pods = KB_PODS_VERIFIED});
	struct kb_records_stats st;

	(void)state;
	ev(w, "ns a");
	ev(w, "ns b");
	ev(w, "pod a/p 10.1.0.1");
	ev(w, "bad pod a/q absurd");
	assert_non_null(strstr(w->warnings, "Pod a/q: absurd"));
	w->warnings[0] = '\0';
	ev(w, "bad pod a/q absurd");
	assert_string_equal(w->warnings, "");
	kb_records_stats(w->records, &st);
	assert_int_equal(st.skipped, 1);
	assert_int_equal(st.pods, 2);
	expect_a(w, "10-1-0-1.a.pod.cluster.local", "10.1.0.1");
	expect_left(w, "10-1-0-2.a.pod.cluster.local", "A");
	expect_left(w, "a.pod.cluster.local", "A");
	expect_nx(w, "10-1-0-2.b.pod.cluster.local");
	expect_nx(w, "nobody.a.svc.cluster.local");
	ev(w, "pod a/q 10.1.0.2");
	expect_a(w, "10-1-0-2.a.pod.cluster.local", "10.1.0.2");
	expect_nx(w, "10-1-0-3.a.pod.cluster.local");
	ev(w, "bad pod a/q absurd");
	expect_left(w, "10-1-0-2.a.pod.cluster.local", "A");
	ev(w, "gone pod a/q");
	expect_nx(w, "10-1-0-2.a.pod.cluster.local");
	expect_nodata(w, "a.pod.cluster.local", "A");
	kb_records_stats(w->records, &st);
	assert_int_equal(st.skipped, 0);
	assert_int_equal(fake_table_zone_flags(w->table, 1), KB_ZONE_ANSWER);
	world_free(w);
}

/* Pods are needed for the first sync, and a list is what there is. */
static void test_pods_sync(void **state)
{
	static const char *const two[] = {"ns a", "pod a/p 10.1.0.1", "pod a/q 10.1.0.2", NULL};
	static const char *const one[] = {"ns a", "pod a/q 10.1.0.2", NULL};
	struct world *w = world_with(NULL, ZONES, (struct kb_rules){.pods = KB_PODS_VERIFIED});
	enum kb_kind kind;

	(void)state;
	for (kind = 0; kind < KB_POD; kind++) {
		w->sink.relist_begin(w->sink.arg, kind);
		w->sink.relist_end(w->sink.arg, kind);
	}
	assert_int_equal(w->synced, 0);
	fixture_list(&w->sink, two);
	assert_int_equal(w->synced, 1);
	expect_a(w, "10-1-0-1.a.pod.cluster.local", "10.1.0.1");
	fake_table_changes(w->table);
	fixture_list(&w->sink, two);
	assert_int_equal(fake_table_changes(w->table), 0);
	fixture_list(&w->sink, one);
	assert_int_equal(fake_table_changes(w->table), 1);
	expect_nx(w, "10-1-0-1.a.pod.cluster.local");
	expect_a(w, "10-1-0-2.a.pod.cluster.local", "10.1.0.2");
	/* An event that changes no address changes no serial. */
	w->now++;
	ev(w, "pod a/q 10.1.0.2");
	assert_int_not_equal(kb_swap32(kb_table_header(w->table)->patch[KB_PATCH_SERIAL]), w->now);
	ev(w, "pod a/q 10.1.0.3");
	assert_int_equal(kb_swap32(kb_table_header(w->table)->patch[KB_PATCH_SERIAL]), w->now);
	world_free(w);
}

/* Names that find no room come in later, also when the Pod that asked for them is gone. */
static void test_pods_refused(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.pods = KB_PODS_VERIFIED});

	(void)state;
	ev(w, "ns a");
	fake_table_refuse_after(w->table, 0);
	ev(w, "pod a/p 10.1.0.1");
	ev(w, "pod a/q 10.1.0.1");
	ev(w, "pod a/r 10.1.0.2");
	expect_left(w, "10-1-0-1.a.pod.cluster.local", "A");
	ev(w, "gone pod a/p");
	ev(w, "gone pod a/r");
	fake_table_refuse_after(w->table, UINT64_MAX);
	kb_records_retry(w->records);
	expect_a(w, "10-1-0-1.a.pod.cluster.local", "10.1.0.1");
	expect_nx(w, "10-1-0-2.a.pod.cluster.local");
	world_free(w);
}

/* --- names of endpoints -------------------------------------------------------------- */

static void test_endpoint_names(void **state)
{
	static const char *const slice =
		"slice a/x-1 x web:tcp:80 "
		"10.1.0.1=h@pod-1,10.1.0.2@pod-2,10.1.0.3@two.labels,10.1.0.4@"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,"
		"fd00:5::@pod-2";
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.endpoint_pod_names = true});

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x headless web:tcp:80");
	ev(w, slice);
	expect_a(w, "h.x.a.svc.cluster.local", "10.1.0.1");
	expect_nx(w, "pod-1.x.a.svc.cluster.local");
	expect_nx(w, "10-1-0-1.x.a.svc.cluster.local");
	expect_a(w, "pod-2.x.a.svc.cluster.local", "10.1.0.2");
	expect(w, "pod-2.x.a.svc.cluster.local", "AAAA", "NOERROR",
	       RR("pod-2.x.a.svc." Z, "AAAA", "fd00:5::"), "", "");
	expect_nx(w, "10-1-0-2.x.a.svc.cluster.local");
	expect_a(w, "10-1-0-3.x.a.svc.cluster.local", "10.1.0.3");
	expect_a(w, "10-1-0-4.x.a.svc.cluster.local", "10.1.0.4");
	expect_ptr(w, "2.0.1.10.in-addr.arpa", "pod-2.x.a.svc.cluster.local", NULL);
	expect_ptr(w, "3.0.1.10.in-addr.arpa", "10-1-0-3.x.a.svc.cluster.local", NULL);
	/* The Pod is replaced: its name follows at once, and the old address is gone. */
	ev(w, "slice a/x-1 x web:tcp:80 10.1.0.9@pod-2");
	expect_a(w, "pod-2.x.a.svc.cluster.local", "10.1.0.9");
	expect_left(w, "2.0.1.10.in-addr.arpa", "PTR");
	world_free(w);
	w = world_new(nothing);
	ev(w, "ns a");
	ev(w, "svc a/x headless web:tcp:80");
	ev(w, slice);
	expect_a(w, "10-1-0-2.x.a.svc.cluster.local", "10.1.0.2");
	expect(w, "fd00-5--0.x.a.svc.cluster.local", "AAAA", "NOERROR",
	       RR("fd00-5--0.x.a.svc." Z, "AAAA", "fd00:5::"), "", "");
	expect_nx(w, "pod-2.x.a.svc.cluster.local");
	world_free(w);
}

/* A StatefulSet's Pod is deleted and comes again under its name, in each order that the two
 * slices of a rolling change may take. */
static void test_replaced_pod(void **state)
{
	struct world *w = world_new(nothing);
	const char *db = "db-0.db.a.svc.cluster.local";

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/db headless sql:tcp:5432");
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.1=db-0,10.1.0.2=db-1");
	expect_a(w, db, "10.1.0.1");
	/* Deleted: not ready, gone from the slice, there again elsewhere. */
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.1=db-0!,10.1.0.2=db-1");
	expect_nx(w, db);
	expect_left(w, "1.0.1.10.in-addr.arpa", "PTR");
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.2=db-1");
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.9=db-0,10.1.0.2=db-1");
	expect_a(w, db, "10.1.0.9");
	expect_ptr(w, "9.0.1.10.in-addr.arpa", "db-0.db.a.svc.cluster.local", NULL);
	/* Force-deleted: one event takes the old address and brings the new one. */
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.10=db-0,10.1.0.2=db-1");
	expect_a(w, db, "10.1.0.10");
	expect_left(w, "9.0.1.10.in-addr.arpa", "PTR");
	expect_ptr(w, "10.0.1.10.in-addr.arpa", "db-0.db.a.svc.cluster.local", NULL);
	/* In another slice, before the old one lets go of it. */
	ev(w, "slice a/db-2 db sql:tcp:5432 10.1.0.11=db-0");
	expect(w, db, "A", "NOERROR",
	       RR("db-0.db.a.svc." Z, "A", "10.1.0.10") RR("db-0.db.a.svc." Z, "A", "10.1.0.11"),
	       "", "");
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.2=db-1");
	expect_a(w, db, "10.1.0.11");
	/* The address goes to another Pod. */
	ev(w, "slice a/db-1 db sql:tcp:5432 10.1.0.10=db-1");
	expect_a(w, "db-1.db.a.svc.cluster.local", "10.1.0.10");
	expect_ptr(w, "10.0.1.10.in-addr.arpa", "db-1.db.a.svc.cluster.local", NULL);
	world_free(w);
}

/* --- namespaces ------------------------------------------------------------------------ */

static void test_namespaces(void **state)
{
	char *names[] = {"c", "a"};
	struct kb_rules rules = {.namespaces = names, .n_namespaces = 2, .pods = KB_PODS_VERIFIED};
	struct world *w = world_with(nothing, ZONES, rules);

	(void)state;
	ev(w, "ns a");
	ev(w, "ns b");
	ev(w, "ns kube-system");
	ev(w, "svc a/x cluster 10.0.0.1 -");
	ev(w, "svc b/x cluster 10.0.0.2 -");
	ev(w, "svc c/x cluster 10.0.0.3 -");
	ev(w, "svc kube-system/kube-dns cluster 10.96.0.10 dns:udp:53");
	ev(w, "pod a/p 10.1.0.1");
	ev(w, "pod b/p 10.1.0.2");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	expect_nx(w, "x.b.svc.cluster.local");
	expect_nx(w, "b.svc.cluster.local");
	expect_nx(w, "x.c.svc.cluster.local"); /* chosen, but not there */
	expect_ptr(w, "1.0.0.10.in-addr.arpa", "x.a.svc.cluster.local", NULL);
	expect_left(w, "2.0.0.10.in-addr.arpa", "PTR");
	expect_left(w, "3.0.0.10.in-addr.arpa", "PTR");
	expect_a(w, "10-1-0-1.a.pod.cluster.local", "10.1.0.1");
	expect_nx(w, "10-1-0-2.b.pod.cluster.local");
	expect_nx(w, "b.pod.cluster.local");
	ev(w, "ns c");
	expect_a(w, "x.c.svc.cluster.local", "10.0.0.3");
	expect_ptr(w, "3.0.0.10.in-addr.arpa", "x.c.svc.cluster.local", NULL);
	/* The cluster DNS itself is what it is. */
	assert_string_equal(w->icepts, "+10.96.0.10 53!\n");
	expect(w, "cluster.local", "NS", "NOERROR", RR(Z, "NS", "kube-dns.kube-system.svc." Z), "",
	       RR("kube-dns.kube-system.svc." Z, "A", "10.96.0.10"));
	expect_nx(w, "kube-dns.kube-system.svc.cluster.local");
	/* What cannot be read of a namespace that is not chosen does not matter. */
	ev(w, "bad ns b absurd");
	expect_nx(w, "x.b.svc.cluster.local");
	assert_string_equal(w->warnings, "");
	world_free(w);
}

static void test_namespace_labels(void **state)
{
	struct kb_rules rules = {.namespace_labels = "tier in (web,db),!hidden",
				 .pods = KB_PODS_VERIFIED};
	struct kb_records_config config = {.rules = &rules};
	struct world *w = world_with(nothing, ZONES, rules);
	struct kb_records *none;
	char err[256] = "";

	(void)state;
	ev(w, "ns a tier=web");
	ev(w, "ns b");
	ev(w, "svc a/x headless web:tcp:80");
	ev(w, "slice a/x-1 x web:tcp:80 10.1.0.1=h");
	ev(w, "svc b/x cluster 10.0.0.2 web:tcp:80");
	ev(w, "svc b/e external h.x.a.svc.cluster.local");
	ev(w, "svc a/e external x.b.svc.cluster.local");
	ev(w, "pod a/p 10.1.0.1");
	ev(w, "pod b/p 10.1.0.2");
	expect_a(w, "h.x.a.svc.cluster.local", "10.1.0.1");
	expect_nx(w, "x.b.svc.cluster.local");
	expect_nx(w, "10-1-0-2.b.pod.cluster.local");
	expect(w, "e.a.svc.cluster.local", "A", "NXDOMAIN", RR("e.a.svc." Z, "CNAME", "x.b.svc." Z),
	       SOA_Z, "");
	/* As in CoreDNS, addresses of hidden namespaces keep their names. */
	expect_ptr(w, "2.0.0.10.in-addr.arpa", "x.b.svc.cluster.local", NULL);
	/* Labels change: everything of the namespace comes or goes. */
	ev(w, "ns b tier=db");
	expect_a(w, "x.b.svc.cluster.local", "10.0.0.2");
	expect_a(w, "10-1-0-2.b.pod.cluster.local", "10.1.0.2");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR",
	       RR("e.a.svc." Z, "CNAME", "x.b.svc." Z) RR("x.b.svc." Z, "A", "10.0.0.2"), "", "");
	ev(w, "ns a tier=web,hidden=yes");
	expect_nx(w, "h.x.a.svc.cluster.local");
	expect_nx(w, "a.svc.cluster.local");
	expect_nx(w, "a.pod.cluster.local");
	expect(w, "e.b.svc.cluster.local", "A", "NXDOMAIN",
	       RR("e.b.svc." Z, "CNAME", "h.x.a.svc." Z), SOA_Z, "");
	ev(w, "ns a tier=web");
	expect_a(w, "h.x.a.svc.cluster.local", "10.1.0.1");
	/* Labels that cannot be read may be the right ones. */
	ev(w, "bad ns b absurd");
	expect_left(w, "x.b.svc.cluster.local", "A");
	ev(w, "ns b");
	expect_nx(w, "x.b.svc.cluster.local");
	world_free(w);

	fixture_zones(&rules, ZONES);
	rules.namespace_labels = "tier in (web";
	assert_int_not_equal(kb_records_new(&config, NULL, &none, err, sizeof(err)), 0);
	assert_true(err[0] != '\0');
}

/* --- endpoints ---------------------------------------------------------------------------- */

static void test_no_endpoints(void **state)
{
	struct world *w = world_with(NULL, ZONES, (struct kb_rules){.no_endpoints = true});

	(void)state;
	w->sink.relist_begin(w->sink.arg, KB_SERVICE);
	w->sink.relist_end(w->sink.arg, KB_SERVICE);
	w->sink.relist_begin(w->sink.arg, KB_NAMESPACE);
	w->sink.relist_end(w->sink.arg, KB_NAMESPACE);
	assert_int_equal(w->synced, 1);
	ev(w, "ns a");
	ev(w, "svc a/x headless web:tcp:80");
	ev(w, "svc a/y cluster 10.0.0.1 web:tcp:80");
	ev(w, "slice a/x-1 x web:tcp:80 10.1.0.1=h");
	ev(w, "slice a/y-1 y web:tcp:80 10.1.0.2");
	expect_nx(w, "x.a.svc.cluster.local");
	expect_nx(w, "h.x.a.svc.cluster.local");
	expect_a(w, "y.a.svc.cluster.local", "10.0.0.1");
	expect_nx(w, "10-1-0-2.y.a.svc.cluster.local");
	expect_left(w, "1.0.1.10.in-addr.arpa", "PTR");
	expect_ptr(w, "1.0.0.10.in-addr.arpa", "y.a.svc.cluster.local", NULL);
	world_free(w);
}

static void test_ignore_empty(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.ignore_empty = true});

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 web:tcp:80");
	ev(w, "svc a/e external x.a.svc.cluster.local");
	expect_nx(w, "x.a.svc.cluster.local");
	expect_nx(w, "_web._tcp.x.a.svc.cluster.local");
	/* As in CoreDNS, its address keeps its name. */
	expect_ptr(w, "1.0.0.10.in-addr.arpa", "x.a.svc.cluster.local", NULL);
	expect(w, "e.a.svc.cluster.local", "A", "NXDOMAIN", RR("e.a.svc." Z, "CNAME", "x.a.svc." Z),
	       SOA_Z, "");
	ev(w, "slice a/x-1 x web:tcp:80 10.1.0.1!");
	expect_nx(w, "x.a.svc.cluster.local");
	ev(w, "slice a/x-1 x web:tcp:80 10.1.0.1!,10.1.0.2");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	expect(w, "_web._tcp.x.a.svc.cluster.local", "SRV", "NOERROR",
	       RR("_web._tcp.x.a.svc." Z, "SRV", "0 100 80 x.a.svc." Z), "",
	       RR("x.a.svc." Z, "A", "10.0.0.1"));
	ev(w, "gone slice a/x-1");
	expect_nx(w, "x.a.svc.cluster.local");
	/* What hides endpoints leaves the name, as ever. */
	ev(w, "bad slice a/x-1 x absurd");
	expect_left(w, "x.a.svc.cluster.local", "A");
	world_free(w);
}

#define SOA_3600                                                                            \
	"cluster.local. 300 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. SERIAL " \
	"7200 1800 86400 3600\n"

/* One TTL for all records and for how long a denial counts; an SOA itself lives 300 s at most. */
static void test_ttl(void **state)
{
	struct world *w = world_with(nothing, ZONES, (struct kb_rules){.ttl_s = 3600});

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 web:tcp:80");
	ev(w, "svc a/e external x.a.svc.cluster.local");
	expect(w, "x.a.svc.cluster.local", "A", "NOERROR",
	       "x.a.svc.cluster.local. 3600 IN A 10.0.0.1\n", "", "");
	expect(w, "x.a.svc.cluster.local", "SRV", "NOERROR",
	       "x.a.svc.cluster.local. 3600 IN SRV 0 100 80 x.a.svc.cluster.local.\n", "",
	       "x.a.svc.cluster.local. 3600 IN A 10.0.0.1\n");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR",
	       "e.a.svc.cluster.local. 3600 IN CNAME x.a.svc.cluster.local.\n"
	       "x.a.svc.cluster.local. 3600 IN A 10.0.0.1\n",
	       "", "");
	expect(w, "x.a.svc.cluster.local", "AAAA", "NOERROR", "", SOA_3600, "");
	expect(w, "y.a.svc.cluster.local", "A", "NXDOMAIN", "", SOA_3600, "");
	expect(w, "cluster.local", "SOA", "NOERROR", SOA_3600, "", "");
	expect(w, "dns-version.cluster.local", "TXT", "NOERROR",
	       "dns-version.cluster.local. 28800 IN TXT \"1.1.0\"\n", "", "");
	world_free(w);
}

/* A headless cluster DNS Service is named by its endpoints. */
static void test_headless_dns(void **state)
{
	struct world *w = world_new(nothing);

	(void)state;
	ev(w, "ns kube-system");
	ev(w, "svc kube-system/kube-dns headless dns:udp:53");
	expect(w, "cluster.local", "NS", "NOERROR", RR(Z, "NS", "ns.dns." Z), "", "");
	ev(w, "slice kube-system/d-1 kube-dns dns:udp:53 10.1.0.1,10.1.0.2=two,10.1.0.3!");
	ev(w, "slice kube-system/d-2 kube-dns dns:udp:53 fd00::2=two");
	expect(w, "cluster.local", "NS", "NOERROR",
	       RR(Z, "NS", "10-1-0-1.kube-dns.kube-system.svc." Z)
		       RR(Z, "NS", "two.kube-dns.kube-system.svc." Z),
	       "",
	       RR("10-1-0-1.kube-dns.kube-system.svc." Z, "A", "10.1.0.1")
		       RR("two.kube-dns.kube-system.svc." Z, "A", "10.1.0.2")
			       RR("two.kube-dns.kube-system.svc." Z, "AAAA", "fd00::2"));
	expect(w, "ns.dns.cluster.local", "A", "NOERROR",
	       RR("ns.dns." Z, "A", "10.1.0.1") RR("ns.dns." Z, "A", "10.1.0.2"), "", "");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dashed),
		cmocka_unit_test(test_dashed_parse),
		cmocka_unit_test(test_pods_disabled),
		cmocka_unit_test(test_pods_insecure),
		cmocka_unit_test(test_pods_verified),
		cmocka_unit_test(test_pods_bad),
		cmocka_unit_test(test_pods_sync),
		cmocka_unit_test(test_pods_refused),
		cmocka_unit_test(test_endpoint_names),
		cmocka_unit_test(test_replaced_pod),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_namespace_labels),
		cmocka_unit_test(test_no_endpoints),
		cmocka_unit_test(test_ignore_empty),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_headless_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
