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

static const struct kb_group_options defaults = KB_GROUP_DEFAULTS;

static struct kb_upstream_spec at(const char *text)
{
	struct kb_upstream_spec spec;

	assert_int_equal(kb_parse_upstream(text, &spec), 0);
	return spec;
}

static void check_upstream_text(const char *text, const char *want)
{
	struct kb_upstream_spec spec = at(text);
	char buf[KB_UPSTREAM_TEXT_MAX];

	assert_string_equal(kb_format_upstream(&spec, buf), want);
}

static void test_upstream_text(void **state)
{
	static const char *const bad[] = {
		"",
		"tls://",
		"tls://dns.example",
		"tls://10.0.0.1#",
		"tls://10.0.0.1#a..b",
		"tls://10.0.0.1:0",
		"tls://#dns.example",
		"TLS://10.0.0.1",
		"dns://10.0.0.1",
		"10.0.0.1#dns.example",
		"tls://10.0.0.1 #dns.example",
	};
	struct kb_upstream_spec spec = {.tls = true};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(kb_parse_upstream(bad[i], &spec), -EINVAL);
	assert_true(spec.tls);
	check_upstream_text("10.0.0.1", "10.0.0.1:53");
	check_upstream_text("[fd00::1]:54", "[fd00::1]:54");
	check_upstream_text("tls://10.0.0.1", "tls://10.0.0.1:853");
	check_upstream_text("tls://10.0.0.1#DNS.Example.", "tls://10.0.0.1:853#dns.example");
	check_upstream_text("tls://[fd00::1]:8853#a", "tls://[fd00::1]:8853#a");
	check_upstream_text("tls://fd00::1#a", "tls://[fd00::1]:853#a");
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
	assert_int_equal(stub.at[0].at.port, 53);
	assert_int_equal(stub.at[1].at.port, 5353);
	assert_int_equal(stub.at[1].at.addr.family, 6);
	assert_int_equal(
		kb_parse_stub("corp=tls://10.0.0.1#dns.corp,10.0.0.1,tls://10.0.0.1", &stub), 0);
	assert_int_equal(stub.n, 3);
	assert_true(stub.at[0].tls && !stub.at[1].tls && stub.at[2].tls);
	assert_string_equal(stub.at[0].server_name, "dns.corp");
	assert_int_equal(kb_parse_stub("a=10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5,10.0.0.6,"
				       "10.0.0.7,10.0.0.8,10.0.0.9,10.0.1.1,10.0.1.2,10.0.1.3,"
				       "10.0.1.4,10.0.1.5,10.0.1.6,10.0.1.7",
				       &stub),
			 -E2BIG);
}

static struct kb_routes *routes_of(enum kb_policy policy)
{
	struct kb_upstream_spec up[] = {at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3")};
	struct kb_upstream_spec corp = at("10.1.0.1"), lab = at("10.2.0.1");
	struct kb_group_options options = {.policy = policy, .max_fails = 2};
	struct kb_routes *r;

	assert_int_equal(kb_routes_new(&r), 0);
	assert_int_equal(kb_routes_add(r, NULL, up, 3, &options, NULL), 0);
	assert_int_equal(kb_routes_add(r, "corp.example", &corp, 1, &options, NULL), 0);
	assert_int_equal(kb_routes_add(r, "Lab.corp.example", &lab, 1, &options, NULL), 0);
	return r;
}

static void check_found(struct kb_routes *r, const char *name, size_t len, const char *want)
{
	struct kb_group *g = kb_routes_find(r, (const uint8_t *)name, len);

	assert_true(g->n > 0);
	assert_string_equal(g->v[0]->text, want);
	assert_int_equal(kb_routes_is_stub(r, (const uint8_t *)name, len), g != &r->root);
}
#define FOUND(r, name, want) check_found(r, name, sizeof(name), want)

static void test_longest_match(void **state)
{
	struct kb_routes *r = routes_of(KB_POLICY_SEQUENTIAL);
	struct kb_upstream_spec other = at("10.3.0.1");

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
	assert_int_equal(kb_routes_add(r, "corp.example", &other, 1, &defaults, NULL), -EEXIST);
	kb_routes_unref(r);
}

static void fail_times(struct kb_upstream *u, unsigned int n)
{
	atomic_store(&u->fails, n);
}

static void test_policies(void **state)
{
	struct kb_routes *r = routes_of(KB_POLICY_SEQUENTIAL);
	struct kb_group *g = &r->root, empty = {.n = 0};

	(void)state;
	assert_int_equal(kb_routes_pick(g, 0, 12345), 0);
	assert_int_equal(kb_routes_pick(g, 1, 12345), 1);
	fail_times(g->v[0], 1);
	assert_int_equal(kb_routes_pick(g, 0, 0), 0);
	fail_times(g->v[0], 2);
	assert_int_equal(kb_routes_pick(g, 0, 0), 1);
	assert_int_equal(kb_routes_pick(g, 6, 0), 0); /* down, but not yet tried */
	assert_int_equal(kb_routes_pick(g, 7, 0), 1); /* all tried: one that is up */
	fail_times(g->v[1], 9);
	fail_times(g->v[2], 9);
	assert_int_equal(kb_routes_pick(g, 0, 0), 0);
	assert_int_equal(kb_routes_pick(g, 7, 0), 0);
	assert_int_equal(kb_routes_pick(&empty, 0, 0), -1);
	kb_routes_unref(r);

	r = routes_of(KB_POLICY_ROUND_ROBIN);
	g = &r->root;
	for (int i = 0; i < 7; i++)
		assert_int_equal(kb_routes_pick(g, 0, 0), i % 3);
	kb_routes_unref(r);

	r = routes_of(KB_POLICY_RANDOM);
	g = &r->root;
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(kb_routes_pick(g, 0, i), i % 3);
	fail_times(g->v[1], 2);
	assert_int_equal(kb_routes_pick(g, 0, 1), 2);
	kb_routes_unref(r);
}

/* How many failures are too many is the groups' choice; the most careful one's. */
static void test_max_fails(void **state)
{
	struct kb_upstream_spec a = at("10.0.0.1"), b = at("10.0.0.2");
	struct kb_group_options never = defaults, five = defaults;
	struct kb_routes *r, *next;

	(void)state;
	never.max_fails = 0;
	five.max_fails = 5;
	assert_int_equal(kb_routes_new(&r), 0);
	assert_int_equal(kb_routes_add(r, NULL, &a, 1, &never, NULL), 0);
	assert_int_equal(kb_routes_add(r, "one.example", &b, 1, &five, NULL), 0);
	fail_times(r->upstreams[0], 1000);
	assert_true(kb_upstream_is_up(r->upstreams[0]));
	fail_times(r->upstreams[1], 4);
	assert_true(kb_upstream_is_up(r->upstreams[1]));
	assert_int_equal(kb_routes_add(r, "two.example", &b, 1, &defaults, NULL), 0);
	assert_false(kb_upstream_is_up(r->upstreams[1]));
	assert_int_equal(kb_routes_add(r, "three.example", &b, 1, &never, NULL), 0);
	assert_false(kb_upstream_is_up(r->upstreams[1]));
	/* New routes, new wishes. */
	assert_int_equal(kb_routes_new(&next), 0);
	assert_int_equal(kb_routes_add(next, NULL, &b, 1, &five, r), 0);
	kb_routes_unref(r);
	assert_true(kb_upstream_is_up(next->upstreams[0]));
	fail_times(next->upstreams[0], 5);
	assert_false(kb_upstream_is_up(next->upstreams[0]));
	kb_routes_unref(next);
}

/* Upstreams that are the same are one, within routes and from one reload to the next. */
static void test_sharing(void **state)
{
	struct kb_upstream_spec up[] = {at("10.0.0.2"), at("10.0.0.9")}, corp = at("10.0.0.9");
	struct kb_upstream_spec tls[] = {at("10.0.0.9:853"), at("tls://10.0.0.9"),
					 at("tls://10.0.0.9#a"), at("tls://10.0.0.9#A")};
	struct kb_routes *before = routes_of(KB_POLICY_RANDOM), *r;

	(void)state;
	fail_times(before->root.v[1], 7);
	assert_int_equal(kb_routes_new(&r), 0);
	assert_int_equal(kb_routes_add(r, NULL, up, 2, &defaults, before), 0);
	assert_int_equal(kb_routes_add(r, "corp.example", &corp, 1, &defaults, before), 0);
	kb_routes_unref(before);
	assert_int_equal(r->n_upstreams, 2);
	assert_int_equal(atomic_load(&r->root.v[0]->fails), 7);
	assert_ptr_equal(r->root.v[1],
			 kb_routes_find(r, (const uint8_t *)"\4corp\7example", 14)->v[0]);
	kb_routes_unref(kb_routes_ref(r));
	assert_string_equal(r->upstreams[0]->text, "10.0.0.2:53");
	/* The address is not all there is to an upstream; one given twice is asked once. */
	assert_int_equal(kb_routes_add(r, "tls.example", tls, 4, &defaults, NULL), 0);
	assert_int_equal(kb_routes_find(r, (const uint8_t *)"\3tls\7example", 13)->n, 3);
	assert_int_equal(r->n_upstreams, 5);
	kb_routes_unref(r);
	kb_routes_unref(NULL);
}

static void test_limits(void **state)
{
	struct kb_upstream_spec many[KB_GROUP_MAX + 1];
	struct kb_routes *r;
	char name[32];

	(void)state;
	for (size_t i = 0; i < KB_GROUP_MAX + 1; i++) {
		many[i] = at("10.0.0.1");
		many[i].at.addr.b[3] = (uint8_t)i;
	}
	assert_int_equal(kb_routes_new(&r), 0);
	assert_int_equal(kb_routes_add(r, NULL, many, KB_GROUP_MAX + 1, &defaults, NULL), -E2BIG);
	for (int i = 0; i < KB_STUBS_MAX; i++) {
		snprintf(name, sizeof(name), "z%03d.example", i);
		assert_int_equal(kb_routes_add(r, name, &many[i % 15], 1, &defaults, NULL), 0);
	}
	assert_int_equal(kb_routes_add(r, "one.more", many, 1, &defaults, NULL), -E2BIG);
	for (int i = 0; i < KB_STUBS_MAX; i++) {
		struct kb_group *g;

		snprintf(name, sizeof(name), "\1A\4Z%03d\7example", i);
		g = kb_routes_find(r, (const uint8_t *)name, strlen(name) + 1);
		assert_int_equal(g->n, 1);
		assert_int_equal(g->v[0]->spec.at.addr.b[3], i % 15);
	}
	assert_ptr_equal(kb_routes_find(r, (const uint8_t *)"\5z0000\7example", 15), &r->root);
	assert_ptr_equal(kb_routes_find(r, (const uint8_t *)"\7example", 9), &r->root);
	kb_routes_unref(r);
}

/* Nobody may be asked for names in a domain without servers, and nobody else is. */
static void test_closed(void **state)
{
	struct kb_routes *r = routes_of(KB_POLICY_RANDOM);
	struct kb_group *g;

	(void)state;
	assert_int_equal(kb_routes_add(r, "closed.example", NULL, 0, &defaults, NULL), 0);
	g = kb_routes_find(r, (const uint8_t *)"\1a\6closed\7example", 18);
	assert_ptr_not_equal(g, &r->root);
	assert_int_equal(g->n, 0);
	assert_true(g->closed);
	assert_false(r->root.closed);
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
		cmocka_unit_test(test_upstream_text), cmocka_unit_test(test_max_fails),
		cmocka_unit_test(test_stub_text),     cmocka_unit_test(test_longest_match),
		cmocka_unit_test(test_policies),      cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_limits),	      cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
