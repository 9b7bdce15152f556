/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in, questions, answers out: the case table against the demo cluster, then what
 * changes when objects come, change and go in any order. Answers are made by the real
 * answer core over a fake table.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_env.h"

#include "control/records/records.h"
#include "control/records/wirename.h"
#include "tests/unit/answer_cases.h"
#include "tests/unit/ask_core.h"
#include "tests/unit/fixture_cluster.h"
#include "tests/unit/fixture_rules.h"

struct world {
	struct kb_table *table;
	struct kb_records *records;
	struct kb_sink sink;
	char icepts[4096]; /* sorted lines "+ADDR PORT", as they came */
	char warnings[8192];
	unsigned int synced;
	char programmed[256]; /* "TYPE SELECTOR TRIGGER\n" each */
	uint32_t now;
};

static void on_intercept(void *arg, bool add, const struct kb_addr *a, uint16_t port)
{
	struct world *w = arg;
	size_t len = strlen(w->icepts);

	if (a->family == 4)
		snprintf(w->icepts + len, sizeof(w->icepts) - len, "%c%d.%d.%d.%d %d\n",
			 add ? '+' : '-', a->b[0], a->b[1], a->b[2], a->b[3], port);
	else
		snprintf(w->icepts + len, sizeof(w->icepts) - len, "%c6:%02x%02x %d\n",
			 add ? '+' : '-', a->b[14], a->b[15], port);
}

static void on_warn(void *arg, const char *line)
{
	struct world *w = arg;
	size_t len = strlen(w->warnings);

	snprintf(w->warnings + len, sizeof(w->warnings) - len, "%s\n", line);
}

static void on_programmed(void *arg, enum kb_service_type type, bool selector, double trigger)
{
	struct world *w = arg;
	size_t len = strlen(w->programmed);

	snprintf(w->programmed + len, sizeof(w->programmed) - len, "%s %d %.1f\n",
		 type == KB_CLUSTER_IP ? "cluster"
		 : type == KB_HEADLESS ? "headless"
				       : "external",
		 selector, trigger);
}

static void on_synced(void *arg)
{
	((struct world *)arg)->synced++;
}

static uint32_t on_now(void *arg)
{
	return ((struct world *)arg)->now;
}

#define REVERSE_OURS "cluster.local in-addr.arpa ip6.arpa"

static void records_new(struct world *w, const char *zones, struct kb_rules rules)
{
	struct kb_records_config config = {
		.rules = &rules,
		.dns_services = {"kube-system/kube-dns"},
		.n_dns_services = 1,
		.intercept = on_intercept,
		.warn = on_warn,
		.programmed = on_programmed,
		.synced = on_synced,
		.now_s = on_now,
		.arg = w,
	};
	char err[256] = "";

	fixture_zones(&rules, zones);
	rules.ttl_s = 5;
	assert_int_equal(kb_records_new(&config, w->table, &w->records, err, sizeof(err)), 0);
	kb_records_sink(w->records, &w->sink);
}

static struct world *world_with(const char *const *lines, const char *zones, struct kb_rules rules)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = 1700000000;
	w->table = fake_table_new(1 << 14);
	records_new(w, zones, rules);
	if (lines)
		fixture_list(&w->sink, lines);
	return w;
}

static struct world *world_new(const char *const *lines)
{
	return world_with(lines, FIXTURE_ZONES, (struct kb_rules){0});
}

static void world_free(struct world *w)
{
	kb_records_free(w->records);
	fake_table_free(w->table);
	free(w);
}

static void ev(struct world *w, const char *line)
{
	fixture_apply(&w->sink, line);
}

static void check_section(const char *what, const char *qname, const char *qtype, const char *got,
			  const char *want)
{
	char *sorted = strdup(want);

	ask_sort(sorted);
	if (strcmp(got, sorted))
		fail_msg("%s %s, %s: got\n%swanted\n%s", qname, qtype, what, got, sorted);
	free(sorted);
}

static void expect_case(struct world *w, const struct answer_case *c)
{
	static struct reply r;

	ask_core(w->table, c->qname, c->qtype, !(c->flags & CASE_PLAIN), &r);
	if (c->flags & CASE_LEAVE) {
		if (!r.left)
			fail_msg("%s %s was answered (%s), not left", c->qname, c->qtype, r.rcode);
		return;
	}
	if (r.left)
		fail_msg("%s %s was left: %d", c->qname, c->qtype, r.left);
	if (strcmp(r.rcode, c->rcode))
		fail_msg("%s %s: %s, not %s\n%s", c->qname, c->qtype, r.rcode, c->rcode, r.answer);
	assert_int_equal(r.aa, 1);
	if (r.tc != !!(c->flags & CASE_TC))
		fail_msg("%s %s: tc is %d", c->qname, c->qtype, r.tc);
	check_section("answer", c->qname, c->qtype, r.answer, c->answer);
	check_section("authority", c->qname, c->qtype, r.authority, c->authority);
	check_section("additional", c->qname, c->qtype, r.additional, c->additional);
}

static void expect(struct world *w, const char *qname, const char *qtype, const char *rcode,
		   const char *answer, const char *authority, const char *additional)
{
	struct answer_case c = {qname, qtype, rcode, 0, answer, authority, additional};

	expect_case(w, &c);
}

static void expect_nx(struct world *w, const char *qname)
{
	expect(w, qname, "A", "NXDOMAIN", "", SOA_Z, "");
}

static void expect_nodata(struct world *w, const char *qname, const char *qtype)
{
	expect(w, qname, qtype, "NOERROR", "", SOA_Z, "");
}

static void expect_left(struct world *w, const char *qname, const char *qtype)
{
	struct answer_case c = {qname, qtype, "", CASE_LEAVE, "", "", ""};

	expect_case(w, &c);
}

static void expect_a(struct world *w, const char *qname, const char *addr)
{
	char line[512];

	snprintf(line, sizeof(line), "%s. 5 IN A %s\n", qname, addr);
	expect(w, qname, "A", "NOERROR", line, "", "");
}

static void expect_ptr(struct world *w, const char *qname, const char *t1, const char *t2)
{
	char lines[1024];
	int n = snprintf(lines, sizeof(lines), "%s. 5 IN PTR %s.\n", qname, t1);

	if (t2)
		snprintf(lines + n, sizeof(lines) - (size_t)n, "%s. 5 IN PTR %s.\n", qname, t2);
	expect(w, qname, "PTR", "NOERROR", lines, "", "");
}

/* The whole answer, as TCP gets it. */
static int render(struct world *w, const char *qname, const char *qtype, struct reply *r)
{
	static unsigned char msg[66000];
	struct kb_rendered rd;
	size_t qlen, len = ask_query(qname, qtype, false, msg, &qlen);
	unsigned int type = (unsigned int)msg[12 + qlen] << 8 | msg[13 + qlen];
	int err;

	memset(r, 0, sizeof(*r));
	err = kb_records_render(w->records, msg + 12, qlen, (uint16_t)type, msg + len, 65535 - len,
				&rd);
	if (err)
		return err;
	msg[2] = 0x84;
	msg[3] = rd.rcode;
	msg[6] = (unsigned char)(rd.an >> 8);
	msg[7] = (unsigned char)rd.an;
	msg[8] = (unsigned char)(rd.ns >> 8);
	msg[9] = (unsigned char)rd.ns;
	msg[10] = (unsigned char)(rd.ar >> 8);
	msg[11] = (unsigned char)rd.ar;
	ask_decode(msg, len + rd.len, r);
	return 0;
}

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

static const char *const nothing[] = {NULL};

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

#define NX4(name, type)                                  \
	{                                                \
		name, type, "NXDOMAIN", 0, "", SOA_4, "" \
	}
#define ND4(name, type)                                 \
	{                                               \
		name, type, "NOERROR", 0, "", SOA_4, "" \
	}

static void test_reverse_authoritative(void **state)
{
	static const struct answer_case there[] = {
		ND4("0.0.10.in-addr.arpa", "PTR"),
		ND4("0.10.in-addr.arpa", "A"),
		ND4("10.in-addr.arpa", "A"),
		ND4("1.10.in-addr.arpa", "A"),
		NX4("2.0.0.10.in-addr.arpa", "PTR"),
		NX4("01.0.0.10.in-addr.arpa", "PTR"),
		NX4("1.0.0.10.10.in-addr.arpa", "PTR"),
		NX4("11.in-addr.arpa", "PTR"),
		{"in-addr.arpa", "SOA", "NOERROR", 0, SOA_4, "", ""},
		{"in-addr.arpa", "NS", "NOERROR", 0, RR("in-addr.arpa.", "NS", "ns.dns." Z), "",
		 ""},
		{"d.f.ip6.arpa", "PTR", "NOERROR", 0, "", SOA_6, ""},
		{"e.f.ip6.arpa", "PTR", "NXDOMAIN", 0, "", SOA_6, ""},
	};
	static const struct answer_case gone[] = {
		NX4("0.0.10.in-addr.arpa", "PTR"),
		NX4("0.10.in-addr.arpa", "A"),
		ND4("10.in-addr.arpa", "A"),
		ND4("1.10.in-addr.arpa", "A"),
	};
	struct world *w = world_with(nothing, REVERSE_OURS, (struct kb_rules){0});
	size_t i;

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1,fd00::1 -");
	ev(w, "slice a/x-1 x - 10.1.0.1,10.1.0.2");
	for (i = 0; i < sizeof(there) / sizeof(there[0]); i++)
		expect_case(w, &there[i]);
	/* What a bad object hides cannot be denied. */
	ev(w, "bad slice a/x-2 x absurd");
	expect_left(w, "2.0.0.10.in-addr.arpa", "PTR");
	expect_left(w, "11.in-addr.arpa", "PTR");
	ev(w, "gone slice a/x-2");
	for (i = 0; i < sizeof(there) / sizeof(there[0]); i++)
		expect_case(w, &there[i]);
	ev(w, "gone svc a/x");
	expect(w, "1.10.in-addr.arpa", "A", "NXDOMAIN", "", SOA_4, "");
	ev(w, "svc a/x headless -");
	for (i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		expect_case(w, &gone[i]);
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
	assert_string_equal(w->icepts, "+10.96.0.10 53\n+6:000a 53\n");
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
	assert_string_equal(w->icepts, "-10.1.0.3 5353\n-10.96.0.10 53\n-6:000a 53\n");
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

/* The line that says why such zones are refused. */
static void expect_refused(const char *zones, const char *why)
{
	struct kb_rules rules = {0};
	struct kb_records_config config = {.rules = &rules};
	struct kb_records *none;
	char err[256] = "";

	fixture_zones(&rules, zones);
	assert_int_not_equal(kb_records_new(&config, NULL, &none, err, sizeof(err)), 0);
	if (!strstr(err, why))
		fail_msg("%s: %s", zones, err);
}

static void test_domains(void **state)
{
	struct world *w = world_with(nothing, "cluster.local other.example. -in-addr.arpa",
				     (struct kb_rules){0});

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.0.0.1 web:tcp:80");
	ev(w, "svc a/e external x.a.svc.other.example");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	expect_a(w, "x.a.svc.other.example", "10.0.0.1");
	expect(w, "e.a.svc.cluster.local", "A", "NOERROR",
	       CN("e", "x.a.svc.other.example.") RR("x.a.svc.other.example.", "A", "10.0.0.1"), "",
	       "");
	expect(w, "e.a.svc.cluster.local", "TXT", "NOERROR", CN("e", "x.a.svc.other.example."),
	       "other.example. 5 IN SOA ns.dns.other.example. hostmaster.other.example. SERIAL "
	       "7200 1800 86400 5\n",
	       "");
	expect_ptr(w, "1.0.0.10.in-addr.arpa", "x.a.svc.cluster.local", NULL);
	world_free(w);

	expect_refused("cluster.local CLUSTER.local", "twice");
	expect_refused("cluster.local bad..domain", "not a DNS name");
	expect_refused("in-addr.arpa", "no cluster domain");
	expect_refused("cluster.local x.in-addr.arpa", "whole bytes");
	expect_refused("cluster.local 300.in-addr.arpa", "whole bytes");
	expect_refused("cluster.local 10.ip6.arpa", "whole bytes");
}

#define SOA_OF(zone) zone " 5 IN SOA ns.dns." zone " hostmaster." zone " SERIAL 7200 1800 86400 5\n"

static void test_reverse_zones(void **state)
{
	static const struct answer_case cases[] = {
		{"7.0.96.10.in-addr.arpa", "PTR", "NXDOMAIN", 0, "", SOA_OF("96.10.in-addr.arpa."),
		 ""},
		{"0.96.10.in-addr.arpa", "PTR", "NOERROR", 0, "", SOA_OF("96.10.in-addr.arpa."),
		 ""},
		{"96.10.in-addr.arpa", "SOA", "NOERROR", 0, SOA_OF("96.10.in-addr.arpa."), "", ""},
		{"96.10.in-addr.arpa", "NS", "NOERROR", 0,
		 RR("96.10.in-addr.arpa.", "NS", "ns.dns." Z), "", ""},
		{"ns.dns.96.10.in-addr.arpa", "A", "NOERROR", 0, "", SOA_OF("96.10.in-addr.arpa."),
		 ""},
		{"10.in-addr.arpa", "SOA", "NOERROR", 0, SOA_OF("10.in-addr.arpa."), "", ""},
		{"7.0.97.10.in-addr.arpa", "PTR", "", CASE_LEAVE, "", "", ""},
		{"0.97.10.in-addr.arpa", "PTR", "", CASE_LEAVE, "", "", ""},
		/* In no zone of ours, in a hole, a zone of one address. */
		{"1.0.16.172.in-addr.arpa", "PTR", "", CASE_LEAVE, "", "", ""},
		{"1.0.5.10.in-addr.arpa", "PTR", "", CASE_LEAVE, "", "", ""},
		{"5.10.in-addr.arpa", "SOA", "", CASE_LEAVE, "", "", ""},
		{"9.0.96.10.in-addr.arpa", "PTR", "", CASE_LEAVE, "", "", ""},
		{"9.0.96.10.in-addr.arpa", "SOA", "", CASE_LEAVE, "", "", ""},
	};
	struct world *w = world_with(nothing,
				     "cluster.local 96.10.in-addr.arpa -10.in-addr.arpa "
				     "0.d.f.ip6.arpa !5.10.in-addr.arpa 9.0.96.10.in-addr.arpa",
				     (struct kb_rules){0});
	size_t i;

	(void)state;
	ev(w, "ns a");
	ev(w, "svc a/x cluster 10.96.0.1 -");
	ev(w, "svc a/y cluster 10.97.0.1,fd00::1 -");
	ev(w, "svc a/z cluster 172.16.0.1,fd10::1 -");
	ev(w, "svc a/u cluster 10.5.0.1 -");
	ev(w, "svc a/v cluster 10.96.0.9 -");
	expect_ptr(w, "1.0.96.10.in-addr.arpa", "x.a.svc.cluster.local", NULL);
	expect_ptr(w, "1.0.97.10.in-addr.arpa", "y.a.svc.cluster.local", NULL);
	expect_ptr(w, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
		   "y.a.svc.cluster.local", NULL);
	expect_left(w, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.d.f.ip6.arpa",
		    "PTR");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_case(w, &cases[i]);
	ev(w, "gone svc a/x");
	ev(w, "gone svc a/v");
	expect(w, "0.96.10.in-addr.arpa", "PTR", "NXDOMAIN", "", SOA_OF("96.10.in-addr.arpa."), "");
	world_free(w);
}

/* Zones within zones: the longest match has the name, whatever the objects are called. */
static void test_zones_within(void **state)
{
	struct world *w = world_with(nothing,
				     "cluster.local b.svc.cluster.local !stub.cluster.local "
				     "!c.svc.cluster.local -left.example !",
				     (struct kb_rules){0});

	(void)state;
	ev(w, "ns a");
	ev(w, "ns b");
	ev(w, "ns c");
	ev(w, "svc a/x cluster 10.0.0.1 -");
	ev(w, "svc b/x cluster 10.0.0.2 -");
	ev(w, "svc c/x cluster 10.0.0.3 -");
	ev(w, "svc a/e external x.c.svc.cluster.local");
	expect_a(w, "x.a.svc.cluster.local", "10.0.0.1");
	expect(w, "x.b.svc.cluster.local", "A", "NXDOMAIN", "", SOA_OF("b.svc.cluster.local."), "");
	expect(w, "b.svc.cluster.local", "SOA", "NOERROR", SOA_OF("b.svc.cluster.local."), "", "");
	expect_a(w, "x.b.svc.b.svc.cluster.local", "10.0.0.2");
	expect_left(w, "x.c.svc.cluster.local", "A");
	expect_left(w, "c.svc.cluster.local", "A");
	expect_left(w, "e.a.svc.cluster.local", "A");
	expect_left(w, "a.stub.cluster.local", "A");
	/* A zone that falls through answers what it knows. */
	expect_a(w, "x.a.svc.left.example", "10.0.0.1");
	expect(w, "x.a.svc.left.example", "AAAA", "NOERROR", "", SOA_OF("left.example."), "");
	expect_left(w, "nobody.a.svc.left.example", "A");
	expect_left(w, "www.example.com", "A");
	ev(w, "gone ns b");
	ev(w, "gone ns c");
	expect(w, "b.svc.cluster.local", "SOA", "NOERROR", SOA_OF("b.svc.cluster.local."), "", "");
	expect_nx(w, "b.svc.cluster.localhost.cluster.local");
	world_free(w);
}

/* Other rules over a table in use: what they give is what is left, zones included. */
static void test_other_rules(void **state)
{
	static const char *const zones[] = {REVERSE_OURS, "cluster.local -in-addr.arpa -ip6.arpa",
					    "other.example -10.in-addr.arpa !stub.example"};
	struct world *w = world_with(fixture_cluster, zones[0], (struct kb_rules){0});
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++) {
		const char *z = zones[i / 2 % 3];
		struct world *fresh = world_with(fixture_cluster, z, (struct kb_rules){0});
		uint64_t names = fake_table_names(w->table);

		kb_records_free(w->records);
		w->icepts[0] = '\0';
		records_new(w, z, (struct kb_rules){0});
		assert_int_equal(kb_records_rezoned(w->records), i == 4);
		assert_int_equal(kb_state_of(kb_table_header(w->table)->state),
				 i == 4 ? KB_OFF : KB_FULL);
		kb_table_set_state(w->table, KB_FULL);
		if (!kb_records_rezoned(w->records))
			assert_int_equal(fake_table_names(w->table), names);
		fixture_list(&w->sink, fixture_cluster);
		assert_int_equal(fake_table_names(w->table), fake_table_names(fresh->table));
		assert_int_equal(fake_table_records(w->table), fake_table_records(fresh->table));
		assert_int_equal(kb_table_header(w->table)->n_zones,
				 kb_table_header(fresh->table)->n_zones);
		for (uint8_t id = 1; id <= KB_VALUE_ZONE_MAX; id++)
			assert_int_equal(fake_table_zone_flags(w->table, id),
					 fake_table_zone_flags(fresh->table, id));
		assert_string_equal(w->icepts, fresh->icepts);
		world_free(fresh);
	}
	expect_a(w, "kube-dns.kube-system.svc.other.example", "10.96.0.10");
	expect_left(w, "kube-dns.kube-system.svc.cluster.local", "A");
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
		cmocka_unit_test(test_reverse_authoritative),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_bad),
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
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_reverse_zones),
		cmocka_unit_test(test_zones_within),
		cmocka_unit_test(test_other_rules),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_walk_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
