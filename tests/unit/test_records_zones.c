/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zones: cluster domains, reverse zones and foreign ones, side by side and nested, and their
 * change under a table in use.
 */
#include "tests/unit/records_world.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reverse_authoritative), cmocka_unit_test(test_domains),
		cmocka_unit_test(test_reverse_zones),	      cmocka_unit_test(test_zones_within),
		cmocka_unit_test(test_other_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
