/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules from options.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/config/rules.h"

static int rules_of(int argc, char **argv, struct kb_rules *ret, char *err, size_t size)
{
	struct kb_options o;
	int r;

	assert_int_equal(kb_options_parse(argc, argv, &o, err, size), 0);
	r = kb_rules_from_options(&o, ret, err, size);
	kb_options_free(&o);
	return r;
}

static void check_zone(const struct kb_rules *rules, size_t i, const char *name,
		       enum kb_zone_role role, bool leave_misses)
{
	assert_true(i < rules->n_zones);
	assert_string_equal(rules->zones[i].name, name);
	assert_int_equal(rules->zones[i].role, role);
	assert_int_equal(rules->zones[i].leave_misses, leave_misses);
}

static void test_defaults(void **state)
{
	char *argv[] = {"kbdnsd", NULL};
	struct kb_rules rules;
	char err[256] = "";

	(void)state;
	assert_int_equal(rules_of(1, argv, &rules, err, sizeof(err)), 0);
	assert_int_equal(rules.n_zones, 4);
	check_zone(&rules, 0, "cluster.local", KB_ZONE_CLUSTER, false);
	check_zone(&rules, 1, "pod.cluster.local", KB_ZONE_FOREIGN, true);
	check_zone(&rules, 2, "in-addr.arpa", KB_ZONE_REVERSE, true);
	check_zone(&rules, 3, "ip6.arpa", KB_ZONE_REVERSE, true);
	assert_int_equal(rules.pods, KB_PODS_DISABLED);
	assert_false(rules.endpoint_pod_names || rules.no_endpoints || rules.ignore_empty);
	assert_int_equal(rules.ttl_s, 5);
	assert_int_equal(rules.n_namespaces, 0);
	assert_null(rules.namespace_labels);
	assert_null(rules.labels);
	kb_rules_free(&rules);
	assert_int_equal(rules.n_zones, 0);
	kb_rules_free(&rules);
}

static void test_given(void **state)
{
	char *argv[] = {"kbdnsd",
			"--cluster-domain",
			"Corp.Example.",
			"--cluster-domain",
			"b.example",
			"--reverse",
			"authoritative",
			"--ttl",
			"30",
			NULL};
	struct kb_rules rules;
	char err[256] = "";

	(void)state;
	assert_int_equal(rules_of(9, argv, &rules, err, sizeof(err)), 0);
	assert_int_equal(rules.n_zones, 6);
	check_zone(&rules, 0, "corp.example", KB_ZONE_CLUSTER, false);
	check_zone(&rules, 1, "pod.corp.example", KB_ZONE_FOREIGN, true);
	check_zone(&rules, 2, "b.example", KB_ZONE_CLUSTER, false);
	check_zone(&rules, 3, "pod.b.example", KB_ZONE_FOREIGN, true);
	check_zone(&rules, 4, "in-addr.arpa", KB_ZONE_REVERSE, false);
	check_zone(&rules, 5, "ip6.arpa", KB_ZONE_REVERSE, false);
	assert_int_equal(rules.ttl_s, 30);
	kb_rules_free(&rules);
}

static void test_reverse_zone_is_no_domain(void **state)
{
	char *argv[] = {"kbdnsd", "--cluster-domain", "in-addr.arpa", NULL};
	struct kb_rules rules;
	char err[256] = "";

	(void)state;
	assert_int_equal(rules_of(3, argv, &rules, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "--cluster-domain: in-addr.arpa"));
}

static void test_kubernetes_lines(void **state)
{
	char *argv[] = {"kbdnsd",
			"--kubernetes",
			"pods verified",
			"--kubernetes",
			"fallthrough ip6.arpa",
			"--reverse",
			"authoritative",
			NULL};
	char *bad[] = {"kbdnsd", "--kubernetes", "pods maybe", NULL};
	struct kb_rules rules;
	char err[256] = "";

	(void)state;
	assert_int_equal(rules_of(7, argv, &rules, err, sizeof(err)), 0);
	assert_int_equal(rules.pods, KB_PODS_VERIFIED);
	check_zone(&rules, 1, "in-addr.arpa", KB_ZONE_REVERSE, false);
	check_zone(&rules, 2, "ip6.arpa", KB_ZONE_REVERSE, true);
	kb_rules_free(&rules);
	assert_int_equal(rules_of(3, bad, &rules, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "--kubernetes: pods: give disabled, insecure or verified");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_reverse_zone_is_no_domain),
		cmocka_unit_test(test_kubernetes_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
