/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked: texts of servers, resolv.conf, longest match, policies, health, sharing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/forward/resolv_conf.h"
#include "control/forward/routes.h"

static struct kb_addr_port at(const char *text)
{
	struct kb_addr_port ap;

	memset(&ap, 0, sizeof(ap));
	assert_int_equal(kb_parse_addr_port(text, 53, &ap), 0);
	return ap;
}

static void test_stub_text(void **state)
{
	static const char *const bad[] = {
		"",
		"corp.example",
		"=10.0.0.1",
		"corp.example=",
		"corp.example=dns.example",
		"corp..example=10.0.0.1",
		"corp.example=10.0.0.1,",
		"corp.example=,10.0.0.1",
		"corp.example=10.0.0.1:0",
		"corp.example=10.0.0.1;10.0.0.2",
	};
	struct kb_stub stub = {.n = 99};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(kb_parse_stub(bad[i], &stub), -EINVAL);
	assert_int_equal(stub.n, 99);
	assert_int_equal(kb_parse_stub("Corp.Example.=10.0.0.1,[fd00::3]:5353,10.0.0.1", &stub), 0);
	assert_string_equal(stub.domain, "corp.example");
	assert_int_equal(stub.n, 2);
	assert_int_equal(stub.at[0].port, 53);
	assert_int_equal(stub.at[1].port, 5353);
	assert_int_equal(stub.at[1].addr.family, 6);
	assert_int_equal(kb_parse_stub("a=10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5,10.0.0.6,"
				       "10.0.0.7,10.0.0.8,10.0.0.9,10.0.1.1,10.0.1.2,10.0.1.3,"
				       "10.0.1.4,10.0.1.5,10.0.1.6,10.0.1.7",
				       &stub),
			 -E2BIG);
}

static struct kb_routes *routes_of(enum kb_policy policy)
{
	struct kb_addr_port up[] = {at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3")};
	struct kb_addr_port corp = at("10.1.0.1"), lab = at("10.2.0.1");
	struct kb_routes *r;

	assert_int_equal(kb_routes_new(policy, &r), 0);
	assert_int_equal(kb_routes_add(r, NULL, up, 3, NULL), 0);
	assert_int_equal(kb_routes_add(r, "corp.example", &corp, 1, NULL), 0);
	assert_int_equal(kb_routes_add(r, "Lab.corp.example", &lab, 1, NULL), 0);
	return r;
}

static void check_found(struct kb_routes *r, const char *name, size_t len, const char *want)
{
	struct kb_group *g = kb_routes_find(r, (const uint8_t *)name, len);

	assert_true(g->n > 0);
	assert_string_equal(g->v[0]->text, want);
	assert_int_equal(kb_routes_is_stub(r, (const uint8_t *)name, len), g != &r->groups[0]);
}
#define FOUND(r, name, want) check_found(r, name, sizeof(name), want)

static void test_longest_match(void **state)
{
	struct kb_routes *r = routes_of(KB_POLICY_SEQUENTIAL);
	struct kb_addr_port other = at("10.3.0.1");

	(void)state;
	FOUND(r, "\3www\7example\3com", "10.0.0.1:53");
	FOUND(r, "", "10.0.0.1:53");
	FOUND(r, "\7example", "10.0.0.1:53");
	FOUND(r, "\4corp\7example", "10.1.0.1:53");
	FOUND(r, "\1a\4CORP\7Example", "10.1.0.1:53");
	FOUND(r, "\5xcorp\7example", "10.0.0.1:53");
	FOUND(r, "\3lab\4corp\7example", "10.2.0.1:53");
	FOUND(r, "\1a\3LAB\4corp\7example", "10.2.0.1:53");
	FOUND(r, "\4xlab\4corp\7example", "10.1.0.1:53");
	/* A label that looks like the rest of a name. */
	FOUND(r, "\16x\4corp\7example", "10.0.0.1:53");
	assert_int_equal(kb_routes_add(r, "corp.example", &other, 1, NULL), -EEXIST);
	kb_routes_unref(r);
}

static void fail_times(struct kb_upstream *u, unsigned int n)
{
	atomic_store(&u->fails, n);
}

static void test_policies(void **state)
{
	struct kb_routes *r = routes_of(KB_POLICY_SEQUENTIAL);
	struct kb_group *g = &r->groups[0], empty = {.n = 0};

	(void)state;
	assert_int_equal(kb_routes_pick(r, g, 0, 12345), 0);
	assert_int_equal(kb_routes_pick(r, g, 1, 12345), 1);
	fail_times(g->v[0], KB_UPSTREAM_FAILS - 1);
	assert_int_equal(kb_routes_pick(r, g, 0, 0), 0);
	fail_times(g->v[0], KB_UPSTREAM_FAILS);
	assert_int_equal(kb_routes_pick(r, g, 0, 0), 1);
	assert_int_equal(kb_routes_pick(r, g, 6, 0), 0); /* down, but not yet tried */
	fail_times(g->v[1], 9);
	fail_times(g->v[2], 9);
	assert_int_equal(kb_routes_pick(r, g, 0, 0), 0);
	assert_int_equal(kb_routes_pick(r, g, 7, 0), 0);
	assert_int_equal(kb_routes_pick(r, &empty, 0, 0), -1);
	kb_routes_unref(r);

	r = routes_of(KB_POLICY_ROUND_ROBIN);
	g = &r->groups[0];
	for (int i = 0; i < 7; i++)
		assert_int_equal(kb_routes_pick(r, g, 0, 0), i % 3);
	kb_routes_unref(r);

	r = routes_of(KB_POLICY_RANDOM);
	g = &r->groups[0];
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(kb_routes_pick(r, g, 0, i), i % 3);
	fail_times(g->v[1], 2);
	assert_int_equal(kb_routes_pick(r, g, 0, 1), 2);
	kb_routes_unref(r);
}

/* Upstreams of one address are one, within routes and from one reload to the next. */
static void test_sharing(void **state)
{
	struct kb_addr_port up[] = {at("10.0.0.2"), at("10.0.0.9")}, corp = at("10.0.0.9");
	struct kb_routes *before = routes_of(KB_POLICY_RANDOM), *r;

	(void)state;
	fail_times(before->groups[0].v[1], 7);
	assert_int_equal(kb_routes_new(KB_POLICY_RANDOM, &r), 0);
	assert_int_equal(kb_routes_add(r, NULL, up, 2, before), 0);
	assert_int_equal(kb_routes_add(r, "corp.example", &corp, 1, before), 0);
	kb_routes_unref(before);
	assert_int_equal(r->n_upstreams, 2);
	assert_int_equal(atomic_load(&r->groups[0].v[0]->fails), 7);
	assert_ptr_equal(r->groups[0].v[1], r->groups[1].v[0]);
	kb_routes_unref(kb_routes_ref(r));
	assert_string_equal(r->upstreams[0]->text, "10.0.0.2:53");
	kb_routes_unref(r);
	kb_routes_unref(NULL);
}

static void test_limits(void **state)
{
	struct kb_addr_port many[KB_GROUP_MAX + 1];
	struct kb_routes *r;
	char name[32];

	(void)state;
	for (size_t i = 0; i < KB_GROUP_MAX + 1; i++) {
		many[i] = at("10.0.0.1");
		many[i].addr.b[3] = (uint8_t)i;
	}
	assert_int_equal(kb_routes_new(KB_POLICY_RANDOM, &r), 0);
	assert_int_equal(kb_routes_add(r, NULL, many, KB_GROUP_MAX + 1, NULL), -E2BIG);
	for (int i = 0; i < KB_STUBS_MAX; i++) {
		snprintf(name, sizeof(name), "z%d.example", i);
		assert_int_equal(kb_routes_add(r, name, many, 1, NULL), 0);
	}
	assert_int_equal(kb_routes_add(r, "one.more", many, 1, NULL), -E2BIG);
	kb_routes_unref(r);
}

static void test_resolv_conf(void **state)
{
	char path[] = "/tmp/kbdns-resolv.XXXXXX";
	struct kb_resolv_conf conf = {0};
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	(void)state;
	assert_non_null(f);
	fputs("# nameserver 1.1.1.1\n;nameserver 1.1.1.2\nsearch example.com\n"
	      "nameserver 10.0.0.1\n\tnameserver   fd00::1  # here\nnameserver fe80::1%eth0\n"
	      "nameserver\nnameserver dns.example\nnameserver 10.0.0.1\noptions ndots:5\n"
	      "nameserver 10.0.0.2",
	      f);
	fclose(f);
	assert_int_equal(kb_resolv_conf_read(path, &conf), 0);
	assert_int_equal(conf.n, 3);
	assert_int_equal(conf.at[0].addr.b[3], 1);
	assert_int_equal(conf.at[1].addr.family, 6);
	assert_int_equal(conf.at[2].addr.b[3], 2);
	assert_int_equal(conf.at[2].port, 53);
	assert_false(kb_resolv_conf_changed(path, &conf));
	f = fopen(path, "a");
	fputs("\n#\n", f);
	fclose(f);
	assert_true(kb_resolv_conf_changed(path, &conf));
	unlink(path);
	assert_false(kb_resolv_conf_changed(path, &conf));
	assert_int_equal(kb_resolv_conf_read(path, &conf), -ENOENT);
	assert_int_equal(conf.n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stub_text), cmocka_unit_test(test_longest_match),
		cmocka_unit_test(test_policies),  cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_resolv_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
