/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in, questions, answers out: the case table against the demo cluster, then what
 * changes when objects come, change and go in any order. Answers are made by the real
 * answer core over a fake table.
 */
#include "tests/unit/records_world.h"

#include <errno.h>

/* --- tests ------------------------------------------------------------------- */

static void test_cases(void **state)
{
	struct world *w = world_new(fixture_cluster);
	size_t i;

	(void)state;
	assert_int_equal(w->synced, 1);
	assert_string_equal(w->warnings, "");
	for (i = 0; i < ANSWER_CASES; i++)
		expect_case(w, &answer_cases[i]);
	world_free(w);
}

/* The renderer for TCP gives the same as the table, and what UDP could not. */
static void test_render(void **state)
{
	struct world *w = world_new(fixture_cluster);
	static struct reply r;
	size_t i;

	(void)state;
	for (i = 0; i < ANSWER_CASES; i++) {
		const struct answer_case *c = &answer_cases[i];
		int err = render(w, c->qname, c->qtype, &r);

		if (c->flags & (CASE_LEAVE | CASE_TC))
			continue;
		assert_int_equal(err, c->answer[0] ? 0 : -2);
		if (err)
			continue;
		assert_string_equal(r.rcode, c->rcode);
		check_section("answer", c->qname, c->qtype, r.answer, c->answer);
		check_section("authority", c->qname, c->qtype, r.authority, c->authority);
		check_section("additional", c->qname, c->qtype, r.additional, c->additional);
	}
	assert_int_equal(render(w, "payments.shop.svc.cluster.local", "A", &r), 0);
	assert_string_equal(r.answer, RR("payments.shop.svc." Z, "CNAME", "payments.example.com."));
	assert_string_equal(r.rcode, "NOERROR");
	world_free(w);
}

static void test_before_sync(void **state)
{
	struct world *w = world_new(NULL);

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 :tcp:80");
	expect_nx(w, "x.a.svc.cluster.local");
	/* Nothing is known of the cluster DNS yet. */
	expect(w, "cluster.local", "NS", "NOERROR", RR(Z, "NS", "ns.dns." Z), "", "");
	expect_nodata(w, "ns.dns.cluster.local", "A");
	w->sink.relist_begin(w->sink.arg, KB_SERVICE);
	w->sink.relist_end(w->sink.arg, KB_SERVICE);
	w->sink.relist_begin(w->sink.arg, KB_SLICE);
	w->sink.relist_end(w->sink.arg, KB_SLICE);
	assert_int_equal(w->synced, 0);
	assert_int_equal(kb_swap32(fake_table_header(w->table)->patch[KB_PATCH_SERIAL]), 0);
	w->sink.relist_begin(w->sink.arg, KB_NAMESPACE);
	ev(w, "ns a");
	w->sink.relist_end(w->sink.arg, KB_NAMESPACE);
	assert_int_equal(w->synced, 1);
	/* The list of Services did not have it. */
	expect_nx(w, "x.a.svc.cluster.local");
	expect_nodata(w, "a.svc.cluster.local", "A");
	world_free(w);
}

static void test_order(void **state)
{
	struct world *w = world_new(nothing);
	const char *x = "x.a.svc.cluster.local";

	(void)state;
	/* Slice, Service, Namespace. */
	ev(w, "slice a/x-1 x web:tcp:8080 10.1.0.1,10.1.0.2=h");
	expect_nx(w, x);
	ev(w, "svc a/x headless web:tcp:80");
	expect_nx(w, x);
	expect_ptr(w, "2.0.1.10.in-addr.arpa", "h.x.a.svc.cluster.local", NULL);
	ev(w, "ns a");
	expect(w, x, "A", "NOERROR",
	       "x.a.svc.cluster.local. 5 IN A 10.1.0.1\nx.a.svc.cluster.local. 5 IN A 10.1.0.2\n",
	       "", "");
	expect_a(w, "10-1-0-1.x.a.svc.cluster.local", "10.1.0.1");
	expect_a(w, "h.x.a.svc.cluster.local", "10.1.0.2");
	/* The Namespace goes and comes. */
	ev(w, "gone ns a");
	expect_nx(w, x);
	expect_nx(w, "a.svc.cluster.local");
	ev(w, "ns a");
	expect_a(w, "h.x.a.svc.cluster.local", "10.1.0.2");
	/* Unready, ready, another slice with the same endpoint. */
	ev(w, "slice a/x-1 x web:tcp:8080 10.1.0.1!,10.1.0.2=h!");
	expect_nx(w, x);
	expect_nx(w, "_web._tcp.x.a.svc.cluster.local");
	expect_left(w, "2.0.1.10.in-addr.arpa", "PTR");
	ev(w, "slice a/x-2 x web:tcp:8080 10.1.0.1");
	ev(w, "slice a/x-1 x web:tcp:8080 10.1.0.1,10.1.0.2=h!");
	expect_a(w, x, "10.1.0.1");
	expect(w, x, "SRV", "NOERROR", RR("x.a.svc." Z, "SRV", "0 50 8080 10-1-0-1.x.a.svc." Z), "",
	       RR("10-1-0-1.x.a.svc." Z, "A", "10.1.0.1"));
	expect_ptr(w, "1.0.1.10.in-addr.arpa", "10-1-0-1.x.a.svc.cluster.local", NULL);
	ev(w, "gone slice a/x-1");
	expect_a(w, x, "10.1.0.1");
	/* The other slice moves to another Service. */
	ev(w, "svc a/y headless -");
	ev(w, "slice a/x-2 y web:tcp:8080 10.1.0.1");
	expect_nx(w, x);
	expect_a(w, "y.a.svc.cluster.local", "10.1.0.1");
	expect_ptr(w, "1.0.1.10.in-addr.arpa", "10-1-0-1.y.a.svc.cluster.local", NULL);
	ev(w, "slice a/x-2 - web:tcp:8080 10.1.0.1");
	expect_nx(w, "y.a.svc.cluster.local");
	ev(w, "gone slice a/x-2");
	ev(w, "gone svc a/x");
	ev(w, "gone svc a/y");
	ev(w, "gone ns a");
	world_free(w);
}

static void test_type_in_place(void **state)
{
	struct world *w = world_new(nothing);
	const char *x = "x.a.svc.cluster.local";

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 web:tcp:80");
	ev(w, "slice a/x-1 x web:tcp:8080 10.1.0.1");
	expect_a(w, x, "10.0.0.1");
	expect_ptr(w, "1.0.0.10.in-addr.arpa", x, NULL);
	ev(w, "svc a/x external Foo.Example.COM.");
	expect(w, x, "CNAME", "NOERROR", RR("x.a.svc." Z, "CNAME", "Foo.Example.COM."), "", "");
	expect_left(w, x, "A");
	expect_nx(w, "_web._tcp.x.a.svc.cluster.local");
	expect_nx(w, "10-1-0-1.x.a.svc.cluster.local");
	expect_left(w, "1.0.0.10.in-addr.arpa", "PTR");
	expect_left(w, "1.0.1.10.in-addr.arpa", "PTR");
	ev(w, "svc a/x external 192.0.2.1");
	expect(w, x, "CNAME", "NOERROR", RR("x.a.svc." Z, "CNAME", "192.0.2.1."), "", "");
	ev(w, "svc a/x headless web:tcp:80");
	expect_a(w, x, "10.1.0.1");
	ev(w, "svc a/x cluster fd00::1,10.0.0.2 web:tcp:80");
	expect_a(w, x, "10.0.0.2");
	ev(w, "svc a/x cluster fd00::1 web:tcp:80");
	expect_nodata(w, x, "A");
	expect(w, x, "AAAA", "NOERROR", RR("x.a.svc." Z, "AAAA", "fd00::1"), "", "");
	/* Another Service takes the address before this one has let go of it. */
	ev(w, "svc a/z cluster fd00::1 -");
	expect_ptr(w, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", x,
		   "z.a.svc.cluster.local");
	ev(w, "gone svc a/x");
	expect_ptr(w, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
		   "z.a.svc.cluster.local", NULL);
	world_free(w);
}

static void test_ptr_sharing(void **state)
{
	struct world *w = world_new(nothing);

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x headless -");
	ev(w, "svc a/y cluster 10.0.0.1 -");
	ev(w, "slice a/x-1 x - 10.1.0.1");
	ev(w, "slice a/y-1 y - 10.1.0.1");
	expect_ptr(w, "1.0.1.10.in-addr.arpa", "10-1-0-1.x.a.svc.cluster.local",
		   "10-1-0-1.y.a.svc.cluster.local");
	ev(w, "svc a/z cluster 10.1.0.1 -");
	expect_ptr(w, "1.0.1.10.in-addr.arpa", "z.a.svc.cluster.local", NULL);
	ev(w, "gone svc a/z");
	ev(w, "gone slice a/x-1");
	expect_ptr(w, "1.0.1.10.in-addr.arpa", "10-1-0-1.y.a.svc.cluster.local", NULL);
	world_free(w);
}

#define CN(from, to) from ".a.svc." Z " 5 IN CNAME " to "\n"

static void test_external(void **state)
{
	struct world *w = world_new(nothing);
	static struct reply r;
	char line[128];
	int i;

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/e external t.a.svc.cluster.local.");
	/* RFC 6604: the CNAME, and the rcode of where it leads. */
	expect(w, "e.a.svc.cluster.local", "A", "NXDOMAIN", CN("e", "t.a.svc." Z), SOA_Z, "");
	expect(w, "e.a.svc.cluster.local", "CNAME", "NOERROR", CN("e", "t.a.svc." Z), "", "");
	ev(w, "svc a/t cluster 10.0.0.1 web:tcp:80");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR",
	       CN("e", "t.a.svc." Z) RR("t.a.svc." Z, "A", "10.0.0.1"), "", "");
	expect(w, "e.a.svc.cluster.local", "AAAA", "NOERROR", CN("e", "t.a.svc." Z), SOA_Z, "");
	expect(w, "e.a.svc.cluster.local", "SRV", "NOERROR",
	       CN("e", "t.a.svc." Z) RR("t.a.svc." Z, "SRV", "0 100 80 t.a.svc." Z), "",
	       RR("t.a.svc." Z, "A", "10.0.0.1"));
	ev(w, "svc a/t cluster 10.0.0.1,fd00::1 web:tcp:80");
	expect(w, "e.a.svc.cluster.local", "AAAA", "NOERROR",
	       CN("e", "t.a.svc." Z) RR("t.a.svc." Z, "AAAA", "fd00::1"), "", "");
	/* Through another one, whose target changes. */
	ev(w, "svc a/f external E.a.svc.cluster.local");
	expect(w, "f.a.svc.cluster.local", "A", "NOERROR",
	       CN("f", "E.a.svc." Z) "E.a.svc." Z " 5 IN CNAME t.a.svc." Z
				     "\n" RR("t.a.svc." Z, "A", "10.0.0.1"),
	       "", "");
	ev(w, "svc a/t headless web:tcp:80");
	expect(w, "f.a.svc.cluster.local", "A", "NXDOMAIN",
	       CN("f", "E.a.svc." Z) "E.a.svc." Z " 5 IN CNAME t.a.svc." Z "\n", SOA_Z, "");
	ev(w, "slice a/t-1 t web:tcp:8080 10.1.0.1=h,10.1.0.2");
	expect(w, "f.a.svc.cluster.local", "A", "NOERROR",
	       CN("f", "E.a.svc." Z) "E.a.svc." Z " 5 IN CNAME t.a.svc." Z
				     "\n" RR("t.a.svc." Z, "A", "10.1.0.1")
					     RR("t.a.svc." Z, "A", "10.1.0.2"),
	       "", "");
	ev(w, "svc a/f external h.t.a.svc.cluster.local");
	expect(w, "f.a.svc.cluster.local", "A", "NOERROR",
	       CN("f", "h.t.a.svc." Z) RR("h.t.a.svc." Z, "A", "10.1.0.1"), "", "");
	ev(w, "gone slice a/t-1");
	expect(w, "f.a.svc.cluster.local", "A", "NXDOMAIN", CN("f", "h.t.a.svc." Z), SOA_Z, "");
	/* Loops are answered. */
	ev(w, "svc a/e external f.a.svc.cluster.local");
	ev(w, "svc a/f external e.a.svc.cluster.local");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR",
	       CN("e", "f.a.svc." Z) CN("f", "e.a.svc." Z), "", "");
	ev(w, "svc a/e external e.a.svc.cluster.local");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR", CN("e", "e.a.svc." Z), "", "");
	/* Names that are no Service's. */
	ev(w, "svc a/e external b.svc.cluster.local");
	expect(w, "e.a.svc.cluster.local", "A", "NXDOMAIN", CN("e", "b.svc." Z), SOA_Z, "");
	ev(w, "ns b");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR", CN("e", "b.svc." Z), SOA_Z, "");
	ev(w, "svc a/e external ns.dns.cluster.local");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR", CN("e", "ns.dns." Z), SOA_Z, "");
	ev(w, "ns kube-system");
	ev(w, "svc kube-system/kube-dns cluster 10.96.0.10 dns:udp:53");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR",
	       CN("e", "ns.dns." Z) RR("ns.dns." Z, "A", "10.96.0.10"), "", "");
	/* Pods are not known; neither is what lies outside. */
	ev(w, "svc a/e external 10-0-0-1.a.pod.cluster.local");
	expect_left(w, "e.a.svc.cluster.local", "A");
	ev(w, "svc a/f external e.a.svc.cluster.local");
	expect_left(w, "f.a.svc.cluster.local", "AAAA");
	ev(w, "svc a/e external www.example.com");
	expect_left(w, "f.a.svc.cluster.local", "A");
	assert_int_equal(render(w, "f.a.svc.cluster.local", "A", &r), 0);
	check_section("answer", "f", "A", r.answer,
		      CN("f", "e.a.svc." Z) CN("e", "www.example.com."));
	/* A chain of more than eleven ends in CNAMEs. */
	for (i = 1; i <= 14; i++) {
		snprintf(line, sizeof(line), "svc a/c%d external c%d.a.svc.cluster.local", i,
			 i + 1);
		ev(w, line);
	}
	ev(w, "svc a/c15 cluster 10.0.0.15 -");
	ask_core(w->table, "c4.a.svc.cluster.local", "A", true, &r);
	assert_non_null(strstr(r.answer, "10.0.0.15"));
	ask_core(w->table, "c3.a.svc.cluster.local", "A", true, &r);
	assert_null(strstr(r.answer, "10.0.0.15"));
	assert_string_equal(r.rcode, "NOERROR");
	/* More than the table follows: the socket engine does. */
	for (i = 1; i <= 70; i++) {
		snprintf(line, sizeof(line), "svc a/d%d external t.a.svc.cluster.local", i);
		ev(w, line);
	}
	ev(w, "svc a/t cluster 10.0.0.9 -");
	ask_core(w->table, "d1.a.svc.cluster.local", "A", true, &r);
	assert_non_null(strstr(r.answer, "10.0.0.9"));
	expect_left(w, "d70.a.svc.cluster.local", "A");
	assert_int_equal(render(w, "d70.a.svc.cluster.local", "A", &r), 0);
	assert_non_null(strstr(r.answer, "10.0.0.9"));
	world_free(w);
}

static void test_bad(void **state)
{
	struct world *w = world_new(nothing);
	struct kb_records_stats st;
	char *mark;

	(void)state;
	ev(w, "ns a");
	ev(w, "ns b");
	ev(w, "svc a/x cluster 10.0.0.1 web:tcp:80");
	ev(w, "svc a/y cluster 10.0.0.2 web:tcp:80");
	ev(w, "slice a/x-1 x web:tcp:80 10.1.0.1");
	ev(w, "bad svc a/x too-large");
	assert_non_null(strstr(w->warnings, "Service a/x: too-large"));
	expect_left(w, "x.a.svc.cluster.local", "A");
	expect_left(w, "_web._tcp.x.a.svc.cluster.local", "SRV");
	expect_left(w, "10-1-0-1.x.a.svc.cluster.local", "A");
	expect_left(w, "1.0.0.10.in-addr.arpa", "PTR");
	expect_a(w, "y.a.svc.cluster.local", "10.0.0.2");
	expect_nx(w, "z.a.svc.cluster.local");
	kb_records_stats(w->records, &st);
	assert_int_equal(st.skipped, 1);
	assert_int_equal(st.left, 1);
	/* Warned of once. */
	mark = w->warnings + strlen(w->warnings);
	ev(w, "bad svc a/x too-large");
	assert_string_equal(mark, "");
	ev(w, "svc a/x cluster 10.0.0.1 web:tcp:80");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	expect_a(w, "10-1-0-1.x.a.svc.cluster.local", "10.1.0.1");
	assert_int_equal(fake_table_zone_flags(w->table, 1), KB_ZONE_ANSWER);
	/* A bad slice, and one with an absurd hostname. */
	ev(w, "bad slice a/x-2 x absurd");
	expect_left(w, "x.a.svc.cluster.local", "A");
	ev(w, "slice a/x-2 x - 10.1.0.2=Bad_Host");
	expect_left(w, "foo.x.a.svc.cluster.local", "A");
	ev(w, "gone slice a/x-2");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	/* A bad slice that does not even tell its Service. */
	ev(w, "bad slice a/x-3 - absurd");
	expect_left(w, "y.a.svc.cluster.local", "A");
	expect_left(w, "nothing.a.svc.cluster.local", "A");
	expect_nodata(w, "b.svc.cluster.local", "A");
	expect_nx(w, "nothing.b.svc.cluster.local");
	ev(w, "slice a/x-3 x - 10.1.0.3");
	expect_a(w, "y.a.svc.cluster.local", "10.0.0.2");
	expect_a(w, "10-1-0-3.x.a.svc.cluster.local", "10.1.0.3");
	/* A bad Namespace. */
	ev(w, "bad ns a absurd");
	expect_left(w, "y.a.svc.cluster.local", "A");
	expect_left(w, "a.svc.cluster.local", "A");
	ev(w, "gone ns a");
	expect_nx(w, "y.a.svc.cluster.local");
	ev(w, "ns a");
	expect_a(w, "y.a.svc.cluster.local", "10.0.0.2");
	/* Names that are no labels. */
	ev(w, "svc a/Under_Score cluster 10.0.0.3 -");
	expect_left(w, "under_score.a.svc.cluster.local", "A");
	ev(w, "gone svc a/Under_Score");
	expect_nx(w, "under_score.a.svc.cluster.local");
	ev(w, "svc a/"
	      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	      " cluster 10.0.0.4 -");
	expect_nx(w, "z.a.svc.cluster.local");
	ev(w, "svc a/two.labels cluster 10.0.0.5 -");
	ev(w, "svc a/e external bad..name");
	expect_left(w, "e.a.svc.cluster.local", "A");
	ev(w, "gone svc a/e");
	/* A port name that is no label costs its own SRV name only. */
	ev(w, "svc a/y cluster 10.0.0.2 We_b:tcp:80,ok:tcp:81");
	assert_non_null(strstr(w->warnings, "We_b"));
	expect_nx(w, "_we_b._tcp.y.a.svc.cluster.local");
	expect(w, "_ok._tcp.y.a.svc.cluster.local", "SRV", "NOERROR",
	       RR("_ok._tcp.y.a.svc." Z, "SRV", "0 100 81 y.a.svc." Z), "",
	       RR("y.a.svc." Z, "A", "10.0.0.2"));
	world_free(w);
}

#define L20 "aaaaaaaaaaaaaaaaaaaa"
#define L60 L20 L20 L20

/* What the API server takes and DNS has no room for: it has no name, and nobody else's changes. */
static void test_too_long(void **state)
{
	struct world *w = world_with(nothing, "cluster.local " L60 "." L60 "." L20 " in-addr.arpa",
				     (struct kb_rules){0});
	struct kb_records_stats st;
	char *mark;

	(void)state;
	/* S.N.svc of 63 + 64 + 4 bytes does not go with a domain of 143. */
	ev(w, "ns " L60);
	ev(w, "svc " L60 "/" L60 " cluster 10.0.0.1 web:tcp:80");
	assert_non_null(strstr(w->warnings, "its name is longer than 255 bytes"));
	mark = w->warnings + strlen(w->warnings);
	ev(w, "svc " L60 "/" L60 " cluster 10.0.0.1 web:tcp:80");
	assert_string_equal(mark, "");
	expect_a(w, L60 "." L60 ".svc.cluster.local", "10.0.0.1");
	expect_ptr(w, "1.0.0.10.in-addr.arpa", L60 "." L60 ".svc.cluster.local", NULL);
	expect(w, "2.0.0.10.in-addr.arpa", "PTR", "NXDOMAIN", "",
	       "in-addr.arpa. 5 IN SOA ns.dns.in-addr.arpa. hostmaster.in-addr.arpa. SERIAL 7200 "
	       "1800 86400 5\n",
	       "");
	kb_records_stats(w->records, &st);
	assert_int_equal(st.skipped, 0);
	/* The Service's name fits, and those below it do not. */
	ev(w, "ns b");
	ev(w, "svc b/" L60 " headless " L20 L20 "-web:tcp:80");
	ev(w, "slice b/x " L60 " " L20 L20 "-web:tcp:80 10.1.0.1=" L60 ",10.1.0.2");
	assert_non_null(strstr(mark, "SRV name"));
	assert_non_null(strstr(mark, "an endpoint's name"));
	expect(w, L60 ".b.svc." L60 "." L60 "." L20, "A", "NOERROR",
	       RR(L60 ".b.svc." L60 "." L60 "." L20 ".", "A", "10.1.0.1")
		       RR(L60 ".b.svc." L60 "." L60 "." L20 ".", "A", "10.1.0.2"),
	       "", "");
	expect_a(w, L60 "." L60 ".b.svc.cluster.local", "10.1.0.1");
	world_free(w);
	/* A port name of 63 bytes has no room for its underscore. */
	w = world_new(nothing);
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 " L60 "aaa:tcp:80");
	assert_non_null(strstr(w->warnings, "no SRV name"));
	expect_nx(w, "_tcp.x.a.svc.cluster.local");
	expect(w, "x.a.svc.cluster.local", "SRV", "NOERROR",
	       RR("x.a.svc." Z, "SRV", "0 100 80 x.a.svc." Z), "",
	       RR("x.a.svc." Z, "A", "10.0.0.1"));
	world_free(w);
}

static void test_large(void **state)
{
	struct world *w = world_new(nothing);
	static char line[32768];
	static struct reply r;
	size_t pos;
	int i, n;

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x headless web:tcp:80");
	pos = (size_t)snprintf(line, sizeof(line), "slice a/x-1 x web:tcp:80 10.1.0.0=h0");
	for (i = 1; i < 1000; i++)
		pos += (size_t)snprintf(line + pos, sizeof(line) - pos, ",10.1.%d.%d=h%d", i / 250,
					i % 250, i);
	ev(w, line);
	ask_core(w->table, "x.a.svc.cluster.local", "A", true, &r);
	assert_true(r.tc);
	for (n = 0, pos = 0; r.answer[pos]; pos++)
		n += r.answer[pos] == '\n';
	assert_in_range(n, 70, 77);
	ask_core(w->table, "x.a.svc.cluster.local", "SRV", true, &r);
	assert_true(r.tc);
	assert_string_equal(r.answer, "");
	assert_int_equal(render(w, "x.a.svc.cluster.local", "A", &r), 0);
	for (n = 0, pos = 0; r.answer[pos]; pos++)
		n += r.answer[pos] == '\n';
	assert_int_equal(n, 1000);
	/* Targets are not compressed: 1,000 records, and as many addresses as fit. */
	assert_int_equal(render(w, "_web._tcp.x.a.svc.cluster.local", "SRV", &r), 0);
	for (n = 0, pos = 0; r.answer[pos]; pos++)
		n += r.answer[pos] == '\n';
	assert_int_equal(n, 1000);
	/* An ExternalName that leads there. */
	ev(w, "svc a/e external x.a.svc.cluster.local");
	ask_core(w->table, "e.a.svc.cluster.local", "A", true, &r);
	assert_true(r.tc);
	assert_int_equal(render(w, "e.a.svc.cluster.local", "A", &r), 0);
	world_free(w);
}

static void test_intercepts(void **state)
{
	struct world *w = world_new(nothing);

	(void)state;
	ev(w, "ns kube-system");
	ev(w, "svc kube-system/kube-dns cluster 10.96.0.10,fd00::a dns:udp:53,dns-tcp:tcp:53");
	assert_string_equal(w->icepts, "+10.96.0.10 53!\n+6:000a 53!\n");
	w->icepts[0] = '\0';
	ev(w, "slice kube-system/d-1 kube-dns dns:udp:5353,dns-tcp:tcp:5353 10.1.0.1,10.1.0.2!");
	assert_string_equal(w->icepts, "+10.1.0.1 5353\n");
	w->icepts[0] = '\0';
	ev(w, "slice kube-system/d-2 kube-dns dns:udp:5353 10.1.0.1,10.1.0.3");
	assert_string_equal(w->icepts, "+10.1.0.3 5353\n");
	w->icepts[0] = '\0';
	ev(w, "gone slice kube-system/d-1");
	assert_string_equal(w->icepts, "");
	ev(w, "slice kube-system/d-2 kube-dns dns:udp:5353 10.1.0.3");
	assert_string_equal(w->icepts, "-10.1.0.1 5353\n");
	w->icepts[0] = '\0';
	/* A tenant's Service of that name is nothing. */
	ev(w, "ns a");
	ev(w, "svc a/kube-dns cluster 10.96.6.6 dns:udp:53");
	assert_string_equal(w->icepts, "");
	expect(w, "cluster.local", "NS", "NOERROR", RR(Z, "NS", "kube-dns.kube-system.svc." Z), "",
	       RR("kube-dns.kube-system.svc." Z, "A", "10.96.0.10")
		       RR("kube-dns.kube-system.svc." Z, "AAAA", "fd00::a"));
	ev(w, "gone svc kube-system/kube-dns");
	assert_string_equal(w->icepts, "-10.1.0.3 5353\n-10.96.0.10 53!\n-6:000a 53!\n");
	expect(w, "cluster.local", "NS", "NOERROR", RR(Z, "NS", "ns.dns." Z), "", "");
	world_free(w);
}

static void test_relist(void **state)
{
	static const char *const two[] = {"ns a", "svc a/x cluster 10.0.0.1 -",
					  "svc a/y cluster 10.0.0.2 -", NULL};
	static const char *const one[] = {"ns a", "svc a/x cluster 10.0.0.1 -", NULL};
	struct world *w = world_new(two);

	(void)state;
	fake_table_changes(w->table);
	fixture_list(&w->sink, two);
	assert_int_equal(fake_table_changes(w->table), 0);
	w->sink.relist_begin(w->sink.arg, KB_SERVICE);
	ev(w, "svc a/x cluster 10.0.0.1 -");
	w->sink.relist_abort(w->sink.arg, KB_SERVICE);
	expect_a(w, "y.a.svc.cluster.local", "10.0.0.2");
	fixture_list(&w->sink, one);
	expect_nx(w, "y.a.svc.cluster.local");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	assert_int_equal(fake_table_changes(w->table), 2); /* its name and its PTR name */
	world_free(w);
}

/* What a slice belongs to is told with its trigger time, once for each change. */
static void test_programmed(void **state)
{
	struct world *w = world_new(nothing);

	(void)state;
	ev(w, "svc a/c cluster 10.0.0.1 - selector");
	ev(w, "svc a/h headless - selector");
	ev(w, "svc a/own headless -");
	ev(w, "bad svc a/b reason");
	ev(w, "slice a/c-1 c - 10.1.0.1 at 1.5");
	ev(w, "slice a/h-1 h - 10.1.0.2 at 2.5");
	ev(w, "slice a/h-1 h - 10.1.0.2 at 3.5"); /* the same endpoints: nothing to publish */
	ev(w, "slice a/h-1 h - 10.1.0.3");
	ev(w, "slice a/own-1 own - 10.1.0.4 at 4.5");
	ev(w, "slice a/none-1 none - 10.1.0.5 at 5.5");
	ev(w, "slice a/b-1 b - 10.1.0.6 at 6.5");
	ev(w, "gone slice a/own-1");
	assert_string_equal(w->programmed, "cluster 1 1.5\nheadless 1 2.5\nheadless 0 4.5\n");
	world_free(w);
}

static uint32_t serial(const struct world *w)
{
	return kb_swap32(kb_table_header(w->table)->patch[KB_PATCH_SERIAL]);
}

static void test_serial(void **state)
{
	struct world *w = world_new(nothing);

	(void)state;
	assert_int_equal(serial(w), 0);
	ev(w, "ns a");
	assert_int_equal(serial(w), 0);
	w->now++;
	ev(w, "svc a/x cluster 10.0.0.1 -");
	assert_int_equal(serial(w), w->now);
	w->now++;
	ev(w, "svc a/x cluster 10.0.0.1 -");
	ev(w, "ns b");
	assert_int_equal(serial(w), w->now - 1);
	ev(w, "slice a/x-1 x - 10.1.0.1");
	assert_int_equal(serial(w), w->now);
	world_free(w);
}

/* An event touches the names that it changes, and no others. */
static void test_minimal(void **state)
{
	struct world *w = world_new(fixture_cluster);

	(void)state;
	fake_table_changes(w->table);
	/* One endpoint becomes ready: its name, its PTR. */
	ev(w, "slice shop/recommendation-td4xs recommendation http:tcp:8080 10.244.1.28");
	assert_int_equal(fake_table_changes(w->table), 2);
	/* A port number: the Service's name and the port's. */
	ev(w, "svc shop/currency cluster 10.96.12.90 grpc:tcp:7001");
	assert_int_equal(fake_table_changes(w->table), 2);
	world_free(w);
}

/* Equal records are one: their number does not grow with that of Services. */
static void test_shared_records(void **state)
{
	struct world *w = world_new(nothing);
	uint64_t before;
	char line[128];
	int i;

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/s0 cluster 10.0.0.1 http:tcp:80");
	before = fake_table_records(w->table);
	for (i = 1; i < 50; i++) {
		snprintf(line, sizeof(line), "svc a/s%d cluster 10.0.1.%d http:tcp:80", i, i);
		ev(w, line);
	}
	/* Only the PTR of each is its own. */
	assert_int_equal(fake_table_records(w->table), before + 49);
	world_free(w);
}

static void test_refused(void **state)
{
	struct world *w = world_new(nothing);
	struct kb_records_stats st;

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 -");
	fake_table_refuse_after(w->table, 0);
	ev(w, "svc a/y cluster 10.0.0.2 -");
	/* What can no longer be stored must not keep its old answer. */
	ev(w, "svc a/x cluster 10.0.0.3,fd00::3 web:tcp:80");
	expect_left(w, "x.a.svc.cluster.local", "A");
	kb_records_stats(w->records, &st);
	assert_true(st.refused > 0);
	/* While names are missing, no name of the zone is denied. */
	expect_left(w, "nobody.a.svc.cluster.local", "A");
	/* There is room again: the next events bring them in. */
	fake_table_refuse_after(w->table, UINT64_MAX);
	ev(w, "svc a/z cluster 10.0.0.4 -");
	ev(w, "svc a/z cluster 10.0.0.5 -");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.3");
	expect_a(w, "y.a.svc.cluster.local", "10.0.0.2");
	ev(w, "svc a/z cluster 10.0.0.4 -");
	expect_nx(w, "nobody.a.svc.cluster.local");
	world_free(w);
}

/* Everything that can be refused, at each number of names that still find room: without any
 * further event it all comes in later, and the zones deny again. */
static void test_refused_is_retried(void **state)
{
	uint64_t room;
	size_t i;

	(void)state;
	for (room = 0; room < 40; room++) {
		struct world *w = world_with(nothing, REVERSE_OURS, (struct kb_rules){0});
		struct world *full = world_with(nothing, REVERSE_OURS, (struct kb_rules){0});

		ev(w, "ns a");
		fake_table_refuse_after(w->table, room);
		for (i = 0; fixture_cluster[i]; i++)
			ev(w, fixture_cluster[i]);
		assert_int_equal(fake_table_zone_flags(w->table, 1) & KB_ZONE_ANSWER, 0);
		kb_records_retry(w->records);
		assert_int_equal(fake_table_zone_flags(w->table, 1) & KB_ZONE_ANSWER, 0);
		fake_table_refuse_after(w->table, UINT64_MAX);
		for (i = 0; i < 10; i++)
			kb_records_retry(w->records);
		for (i = 0; fixture_cluster[i]; i++)
			ev(full, fixture_cluster[i]);
		ev(full, "ns a");
		assert_int_equal(fake_table_names(w->table), fake_table_names(full->table));
		for (i = 1; i <= KB_VALUE_ZONE_MAX; i++)
			assert_int_equal(fake_table_zone_flags(w->table, (uint8_t)i),
					 fake_table_zone_flags(full->table, (uint8_t)i));
		world_free(w);
		world_free(full);
	}
}

/* A Service whose names found no room goes: nothing is missing any more. */
static void test_refused_is_gone(void **state)
{
	struct world *w = world_new(nothing);

	(void)state;
	ev(w, "ns a");
	fake_table_refuse_after(w->table, 0);
	ev(w, "svc a/y cluster 10.0.0.2 -");
	expect_left(w, "nobody.a.svc.cluster.local", "A");
	ev(w, "gone svc a/y");
	kb_records_retry(w->records);
	expect_nx(w, "nobody.a.svc.cluster.local");
	world_free(w);
}

/* Everything that came goes again. */
static void test_nothing_left(void **state)
{
	struct world *w = world_with(nothing, REVERSE_OURS, (struct kb_rules){0});
	uint64_t names = fake_table_names(w->table), records = fake_table_records(w->table);
	size_t i;
	char line[256];

	(void)state;
	for (i = 0; fixture_cluster[i]; i++)
		ev(w, fixture_cluster[i]);
	for (i = 0; fixture_cluster[i]; i++) {
		char kind[16], name[128];

		assert_int_equal(sscanf(fixture_cluster[i], "%15s %127s", kind, name), 2);
		snprintf(line, sizeof(line), "gone %s %s", kind, name);
		ev(w, line);
	}
	assert_int_equal(fake_table_names(w->table), names);
	assert_int_equal(fake_table_records(w->table), records);
	world_free(w);
}

struct walked {
	char name[2048][256];
	size_t n, piece;
};

static int keep_name(void *arg, const char *name, const struct kb_entry *entry)
{
	struct walked *k = arg;

	assert_true(name[0] != '\0');
	assert_true(entry->kind != KB_VALUE_NONE);
	assert_true(k->n < 2048);
	snprintf(k->name[k->n++], sizeof(k->name[0]), "%s", name);
	k->piece++;
	return 0;
}

static size_t times_walked(const struct walked *k, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++)
		n += strcmp(k->name[i], name) == 0;
	return n;
}

static void test_walk(void **state)
{
	static struct walked k;
	struct world *w = world_with(fixture_cluster, REVERSE_OURS, (struct kb_rules){0});
	struct kb_records_walk walk = {0};
	size_t pieces = 1;
	int r;

	(void)state;
	while ((r = kb_records_walk(w->records, &walk, keep_name, &k)) == 1) {
		/* No Service of this cluster has more names than a piece. */
		assert_true(k.piece < 2 * KB_RECORDS_WALK_NAMES);
		k.piece = 0;
		pieces++;
	}
	assert_int_equal(r, 0);
	assert_true(pieces > 1);
	assert_int_equal(k.n, fake_table_names(w->table));
	for (size_t i = 0; i < k.n; i++)
		assert_int_equal(times_walked(&k, k.name[i]), 1);
	assert_int_equal(kb_records_walk(w->records, &walk, keep_name, &k), 0);
	world_free(w);
}

static int refuse_name(void *arg, const char *name, const struct kb_entry *entry)
{
	(void)arg;
	(void)name;
	(void)entry;
	return -ENOMEM;
}

/* Objects come, change and go between the pieces: what stays is told once, and nothing
 * that has gone is touched. */
static void test_walk_changes(void **state)
{
	static struct walked k;
	static char line[128];
	struct world *w = world_new(fixture_cluster);
	struct kb_records_walk walk = {0};
	int r, i;

	(void)state;
	k.n = 0;
	for (i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "svc default/w%d cluster 10.1.0.%d http:tcp:80", i,
			 i + 1);
		fixture_apply(&w->sink, line);
	}
	/* Every second one goes, the last ones before the walk comes to them. */
	for (i = 199; (r = kb_records_walk(w->records, &walk, keep_name, &k)) == 1; i -= 24) {
		for (int j = i; j > i - 24 && j >= 0; j--) {
			snprintf(line, sizeof(line),
				 j % 2 ? "gone svc default/w%d"
				       : "svc default/w%d cluster 10.2.0.9 http:tcp:80",
				 j);
			fixture_apply(&w->sink, line);
		}
		snprintf(line, sizeof(line), "svc default/new%d cluster 10.3.0.1 http:tcp:80",
			 200 + i);
		fixture_apply(&w->sink, line);
	}
	assert_int_equal(r, 0);
	assert_true(i < 150);
	for (i = 0; i < 200; i += 2) {
		snprintf(line, sizeof(line), "w%d.default.svc.cluster.local", i);
		assert_int_equal(times_walked(&k, line), 1);
	}
	assert_int_equal(times_walked(&k, "w199.default.svc.cluster.local"), 0);
	walk = (struct kb_records_walk){0};
	assert_int_equal(kb_records_walk(w->records, &walk, refuse_name, NULL), -ENOMEM);
	world_free(w);
}

static void test_wirename(void **state)
{
	struct kb_wire w, z;
	char text[KB_TEXT_MAX];

	(void)state;
	assert_int_equal(kb_wire_parse("A.b.", true, &w), 0);
	assert_int_equal(w.len, 5);
	assert_memory_equal(w.b, "\001a\001b", 5);
	assert_int_not_equal(kb_wire_parse("", true, &w), 0);
	assert_int_not_equal(kb_wire_parse("a..b", true, &w), 0);
	assert_int_not_equal(kb_wire_parse(".", true, &w), 0);
	assert_int_equal(kb_wire_parse("xcluster.local", true, &w), 0);
	assert_int_equal(kb_wire_parse("cluster.local", true, &z), 0);
	assert_int_equal(kb_wire_below(&w, &z), -1); /* not at a label boundary */
	assert_int_equal(kb_wire_below(&z, &z), 0);
	kb_wire_text((const uint8_t *)"\003a.b\001\001", 7, text);
	assert_string_equal(text, "a\\046b.\\001");
	assert_int_not_equal(kb_wire_fold((const uint8_t *)"\003ab", 4, &w), 0);
	assert_int_not_equal(kb_wire_fold((const uint8_t *)"\300\014", 3, &w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wirename),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_before_sync),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_type_in_place),
		cmocka_unit_test(test_ptr_sharing),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_intercepts),
		cmocka_unit_test(test_relist),
		cmocka_unit_test(test_programmed),
		cmocka_unit_test(test_serial),
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_shared_records),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_is_retried),
		cmocka_unit_test(test_refused_is_gone),
		cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
