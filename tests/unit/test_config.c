/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsers, options, the --config file, the manual's option list, the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/config/options.h"
#include "control/config/parse.h"
#include "control/config/pods.h"
#include "control/log.h"

static char tmp_path[] = "/tmp/kbdns-test-config-XXXXXX";

static void test_numbers(void **state)
{
	static const struct {
		const char *s;
		int r;
		uint64_t v;
	} rows[] = {
		{"0", 0, 0},
		{"53", 0, 53},
		{"0053", 0, 53},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"53x", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"1\n", -EINVAL, 0},
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		v = 77;
		assert_int_equal(kb_parse_u64(rows[i].s, 0, UINT64_MAX, &v), rows[i].r);
		assert_int_equal(v, rows[i].r ? 77 : rows[i].v);
	}
	assert_int_equal(kb_parse_u64("511", 512, 1232, &v), -ERANGE);
	assert_int_equal(kb_parse_u64("1233", 512, 1232, &v), -ERANGE);
	assert_int_equal(kb_parse_u64("1232", 512, 1232, &v), 0);
}

static void test_units(void **state)
{
	char text[32];
	uint64_t v = 0;

	(void)state;
	assert_int_equal(kb_parse_bytes("256M", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, 256 << 20);
	assert_string_equal(kb_format_bytes(v, text, sizeof(text)), "256M");
	assert_int_equal(kb_parse_bytes("3GiB", 0, UINT64_MAX, &v), 0);
	assert_int_equal(v, 3ULL << 30);
	assert_string_equal(kb_format_bytes(2048ULL << 30, text, sizeof(text)), "2048G");
	assert_string_equal(kb_format_bytes(1000, text, sizeof(text)), "1000");
	assert_string_equal(kb_format_bytes(0, text, sizeof(text)), "0");
	assert_int_equal(kb_parse_bytes("18446744073709551615K", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(kb_parse_bytes("1 M", 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(kb_parse_bytes("1m", 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(kb_parse_bytes("M", 0, UINT64_MAX, &v), -EINVAL);
	assert_int_equal(kb_parse_seconds("10m", 0, 3600, &v), 0);
	assert_int_equal(v, 600);
	assert_int_equal(kb_parse_seconds("2h", 0, 3600, &v), -ERANGE);
	assert_int_equal(kb_parse_seconds("5S", 0, 3600, &v), -EINVAL);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *s, *text; /* NULL: refused */
	} rows[] = {
		{"10.96.0.10", "10.96.0.10:53"},
		{"10.96.0.10:5353", "10.96.0.10:5353"},
		{"fd00::10", "[fd00::10]:53"},
		{"[fd00::10]", "[fd00::10]:53"},
		{"[fd00::10]:5353", "[fd00::10]:5353"},
		{"::", "[::]:53"},
		{"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:53"},
		{"", NULL},
		{":53", NULL},
		{"10.96.0.10:", NULL},
		{"10.96.0.10:0", NULL},
		{"10.96.0.10:65536", NULL},
		{"10.96.0.10:53x", NULL},
		{"10.96.0", NULL},
		{"010.1.1.1", NULL},
		{"1.2.3.4 ", NULL},
		{"[1.2.3.4]:53", NULL},
		{"[fd00::10", NULL},
		{"[fd00::10]53", NULL},
		{"[fd00::10]:", NULL},
		{"fe80::1%eth0", NULL},
		{"localhost", NULL},
		{"1111111111111111111111111111111111111111111111111111111111", NULL},
	};
	struct kb_addr_port ap;
	char text[KB_ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = kb_parse_addr_port(rows[i].s, 53, &ap);

		assert_int_equal(r == 0, rows[i].text != NULL);
		if (r == 0)
			assert_string_equal(kb_format_addr_port(&ap, text), rows[i].text);
	}
}

static void test_cidrs(void **state)
{
	static const struct {
		const char *s;
		int r;
		const char *text;
	} rows[] = {
		{"10.0.0.0/8", 0, "10.0.0.0/8"}, {"0.0.0.0/0", 0, "0.0.0.0/0"},
		{"10.1.2.3", 0, "10.1.2.3/32"},	 {"fc00::/7", 0, "fc00::/7"},
		{"::1", 0, "::1/128"},		 {"10.0.0.1/8", -EDOM, NULL},
		{"fd00::1/64", -EDOM, NULL},	 {"10.0.0.0/33", -ERANGE, NULL},
		{"fc00::/129", -ERANGE, NULL},	 {"10.0.0.0/", -EINVAL, NULL},
		{"10.0.0.0/ 8", -EINVAL, NULL},	 {"10.0.0.0/8/8", -EINVAL, NULL},
		{"/8", -EINVAL, NULL},		 {"", -EINVAL, NULL},
	};
	char text[KB_ADDR_TEXT_MAX];
	struct kb_cidr cidr;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = kb_parse_cidr(rows[i].s, &cidr);

		assert_int_equal(r, rows[i].r);
		if (r == 0)
			assert_string_equal(kb_format_cidr(&cidr, text), rows[i].text);
	}
}

static void test_names(void **state)
{
	char name[254], longest[300];

	(void)state;
	assert_int_equal(kb_parse_domain("Cluster.LOCAL.", name, sizeof(name)), 0);
	assert_string_equal(name, "cluster.local");
	assert_int_equal(kb_parse_domain("", name, sizeof(name)), -EINVAL);
	assert_int_equal(kb_parse_domain(".", name, sizeof(name)), -EINVAL);
	assert_int_equal(kb_parse_domain("a..b", name, sizeof(name)), -EINVAL);
	assert_int_equal(kb_parse_domain("a.b..", name, sizeof(name)), -EINVAL);
	assert_int_equal(kb_parse_domain("-a.b", name, sizeof(name)), -EINVAL);
	assert_int_equal(kb_parse_domain("a_b.c", name, sizeof(name)), -EINVAL);
	assert_int_equal(kb_parse_domain("a b", name, sizeof(name)), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[63] = '\0';
	assert_int_equal(kb_parse_domain(longest, name, sizeof(name)), 0);
	longest[63] = 'a';
	longest[64] = '\0';
	assert_int_equal(kb_parse_domain(longest, name, sizeof(name)), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	for (int i = 50; i < 300; i += 51)
		longest[i] = '.';
	longest[253] = '\0';
	assert_int_equal(kb_parse_domain(longest, name, sizeof(name)), 0);
	longest[253] = 'a';
	longest[254] = '\0';
	assert_int_equal(kb_parse_domain(longest, name, sizeof(name)), -EINVAL);

	assert_int_equal(kb_parse_ns_name("kube-system/kube-dns"), 0);
	assert_int_equal(kb_parse_ns_name("kube-system"), -EINVAL);
	assert_int_equal(kb_parse_ns_name("a/"), -EINVAL);
	assert_int_equal(kb_parse_ns_name("/a"), -EINVAL);
	assert_int_equal(kb_parse_ns_name("a/b/c"), -EINVAL);
	assert_int_equal(kb_parse_ns_name("A/b"), -EINVAL);
	assert_int_equal(kb_parse_ns_name("a/b "), -EINVAL);

	assert_int_equal(kb_parse_ifname("eth0.100@x"), 0);
	assert_int_equal(kb_parse_ifname("abcdefghijklmno"), 0);
	assert_int_equal(kb_parse_ifname("abcdefghijklmnop"), -EINVAL);
	assert_int_equal(kb_parse_ifname(""), -EINVAL);
	assert_int_equal(kb_parse_ifname("."), -EINVAL);
	assert_int_equal(kb_parse_ifname("a/b"), -EINVAL);
	assert_int_equal(kb_parse_ifname("a b"), -EINVAL);
}

/* Parses a command line given as one string; the error line in err. */
static int parse(const char *line, struct kb_options *o, char *err)
{
	char text[512], *argv[64] = {(char *)"kbdnsd"}, *save = NULL;
	int argc = 1, r;

	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	*err = '\0';
	r = kb_options_parse(argc, argv, o, err, 512);
	if (r < 0 && (!*err || strchr(err, '\n')))
		fail_msg("\"%s\": no one-line error: \"%s\"", line, err);
	return r;
}

static void check_value(const struct kb_options *o, const char *name, const char *expected)
{
	char text[1024];

	kb_options_format(o, kb_options_find(name), text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_defaults(void **state)
{
	struct kb_options o;
	const struct kb_option *rows;
	char err[512];
	size_t n;

	(void)state;
	assert_int_equal(parse("", &o, err), 0);
	rows = kb_options_rows(&n);
	for (size_t i = 0; i < n; i++) { /* each default is in its own syntax */
		if (rows[i].def)
			check_value(&o, rows[i].name, rows[i].def);
	}
	assert_int_equal(o.cluster_domain.n, 1);
	assert_int_equal(o.allow_from.n, 9);
	assert_int_equal(o.reverse, KB_REVERSE_LEAVE);
	assert_int_equal(o.on_exit, KB_ON_EXIT_DETACH);
	assert_int_equal(o.http.addr.family, 0);
	assert_int_equal(o.log_level, KB_LOG_INFO);
	assert_int_equal(o.table_mem_max, 256 << 20);
	assert_int_equal(o.replicas, 0);
	assert_true(o.rotation);
	assert_false(o.latency_histogram);
	kb_options_free(&o);
}

static void test_command_line(void **state)
{
	struct kb_options o;
	char err[512];

	(void)state;
	assert_int_equal(parse("--snapshot=/s.json --cluster-domain a.b --cluster-domain C.d. "
			       "--listen 10.0.0.1 --listen [::1]:5353 --intercept 10.96.0.10 "
			       "--tc veth1 --tc veth2 --tc veth1 --pods auto,!a* --pods b?,auto "
			       "--xdp eth0 --allow-from 10.0.0.0/8 "
			       "--on-exit keep --http 127.0.0.1 --foreground --log-level debug "
			       "--ttl 1m --replicas 2 --rotation off --ttl 30",
			       &o, err),
			 0);
	assert_string_equal(o.snapshot, "/s.json");
	check_value(&o, "cluster-domain", "a.b c.d");
	check_value(&o, "listen", "10.0.0.1:53 [::1]:5353");
	check_value(&o, "tc", "veth1 veth2");
	check_value(&o, "pods", "auto !a* b?");
	check_value(&o, "allow-from", "10.0.0.0/8");
	check_value(&o, "on-exit", "keep");
	check_value(&o, "http", "127.0.0.1:9253");
	check_value(&o, "ttl", "30");
	check_value(&o, "replicas", "2");
	check_value(&o, "rotation", "off");
	assert_true(o.foreground);
	kb_options_free(&o);
	assert_int_equal(parse("-h", &o, err), 0);
	assert_true(o.help);
	kb_options_free(&o);
	assert_int_equal(parse("--version", &o, err), 0);
	assert_true(o.version);
	kb_options_free(&o);
}

static void test_pods(void **state)
{
	static const struct {
		const char *patterns[4], *ifname;
		bool meant;
	} rows[] = {
		{{"auto"}, "veth1", true},
		{{"*"}, "veth1", true},
		{{NULL}, "veth1", false},
		{{"veth*"}, "veth1", true},
		{{"veth*"}, "xveth1", false},
		{{"veth?"}, "veth12", false},
		{{"eni[0-9]*", "cali*"}, "cali1", true},
		{{"eni[0-9]*", "cali*"}, "enix", false},
		/* Wherever the exclusion stands. */
		{{"!veth-build*", "veth*"}, "veth-build3", false},
		{{"auto", "!veth-build*"}, "veth-build3", false},
		{{"auto", "!veth-build*"}, "veth-run3", true},
		{{"!veth-build*"}, "veth-run3", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = 0;

		while (n < 4 && rows[i].patterns[n])
			assert_int_equal(kb_pods_check(rows[i].patterns[n++]), 0);
		if (kb_pods_match(rows[i].patterns, n, rows[i].ifname) != rows[i].meant)
			fail_msg("row %zu", i);
	}
}

/* Each bad line, and what its error must name. */
static void test_command_line_errors(void **state)
{
	static const struct {
		const char *line, *names[3];
	} rows[] = {
		{"--ttl x", {"--ttl", "x", "0..3600"}},
		{"--ttl 3601", {"--ttl", "3601", "0..3600"}},
		{"--ttl", {"--ttl", "no value", NULL}},
		{"--tll 3", {"--tll", "did you mean --ttl", NULL}},
		{"--foreground=yes", {"--foreground", "no value", NULL}},
		{"-q", {"-q", NULL, NULL}},
		{"stray", {"stray", NULL, NULL}},
		{"--listen 1.2.3", {"--listen", "1.2.3", "10.96.0.10"}},
		{"--corefile a --cluster-domain b.c", {"--corefile", "--cluster-domain", NULL}},
		{"--corefile a --reverse leave", {"--corefile", "--reverse", NULL}},
		{"--corefile a --kubernetes zonal", {"--corefile", "--kubernetes", NULL}},
		{"--corefile configmap:coredns", {"--corefile", "coredns", "NAMESPACE/NAME"}},
		{"--kubernetes=", {"--kubernetes", "pods verified", NULL}},
		{"--allow-from 10.0.0.1/8", {"--allow-from", "10.0.0.1/8", "clear"}},
		{"--intercept 0.0.0.0", {"--intercept", "unspecified", NULL}},
		{"--mode hidden", {"--mode", "transparent|local", NULL}},
		{"--local-address fe80::53", {"--local-address", "fe80::53", "unique local"}},
		{"--local-range 169.254.53.0/30", {"--local-range", "169.254.53.0/30", "/29"}},
		{"--local-range fd00::/126", {"--local-range", "fd00::/126", "/125"}},
		{"--local-range 10.0.0.0/29 --local-range 10.1.0.0/29",
		 {"--local-range", "10.1.0.0/29", "one range of each family"}},
		{"--dns-service kube-dns", {"--dns-service", "NAMESPACE/NAME", NULL}},
		{"--reverse no", {"--reverse", "authoritative|leave", NULL}},
		{"--replicas 65", {"--replicas", "65", "auto"}},
		{"--replicas 0", {"--replicas", "1..64", NULL}},
		{"--max-udp-size 511", {"--max-udp-size", "512..1232", NULL}},
		{"--table-mem-max 256X", {"--table-mem-max", "256X", "256M"}},
		{"--snapshot a --kubeconfig b", {"--snapshot", "--kubeconfig", "one"}},
		{"--tc eth0 --xdp eth0", {"eth0", "--tc", "--xdp"}},
		{"--pods !veth*", {"--pods", "only exclusions", "auto"}},
		{"--pods veth*,", {"--pods", "veth*,", "auto"}},
		{"--pods !auto", {"--pods", "!auto", NULL}},
		{"--tc-order middle", {"--tc-order", "middle", "before:PROG"}},
		{"--tc-order before:", {"--tc-order", "before:", NULL}},
		{"--tc-order behind:x", {"--tc-order", "behind:x", NULL}},
		{"--tc-order after:sixteen_letters_", {"--tc-order", "at most 15", NULL}},
		{"--pods-max 0", {"--pods-max", "1..4096", NULL}},
		{"--config /nonexistent/x.yaml", {"/nonexistent/x.yaml", "--config", NULL}},
		{"--config /", {"/", "--config", NULL}},
		{"--cluster-domain a --cluster-domain b --cluster-domain c --cluster-domain d "
		 "--cluster-domain e --cluster-domain f --cluster-domain g --cluster-domain h "
		 "--cluster-domain i",
		 {"--cluster-domain", "at most 8", NULL}},
	};
	struct kb_options o;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(parse(rows[i].line, &o, err) < 0);
		for (int k = 0; k < 3 && rows[i].names[k]; k++) {
			if (!strstr(err, rows[i].names[k]))
				fail_msg("\"%s\": \"%s\" does not name \"%s\"", rows[i].line, err,
					 rows[i].names[k]);
		}
	}
}

static int parse_file(const char *yaml, const char *more, struct kb_options *o, char *err)
{
	FILE *f = fopen(tmp_path, "w");
	char line[512];

	assert_non_null(f);
	fputs(yaml, f);
	fclose(f);
	snprintf(line, sizeof(line), "--config %s %s", tmp_path, more);
	return parse(line, o, err);
}

static void test_file(void **state)
{
	struct kb_options o;
	char err[512];

	(void)state;
	assert_int_equal(parse_file("# comment\n"
				    "snapshot: /s.json\n"
				    "cluster-domain: [cluster.local, corp.example]\n"
				    "listen:\n  - 169.254.20.10\n  - \"[fd00::1]:5353\"\n"
				    "tc: veth9\n"
				    "intercept: []\n"
				    "rotation: no\n"
				    "foreground: true\n"
				    "max_stale: 20\n"
				    "ttl: 7\n",
				    "--ttl 8 --tc veth1 --tc veth2", &o, err),
			 0);
	check_value(&o, "snapshot", "/s.json");
	check_value(&o, "cluster-domain", "cluster.local corp.example");
	check_value(&o, "listen", "169.254.20.10:53 [fd00::1]:5353");
	check_value(&o, "tc", "veth1 veth2"); /* the command line's list alone */
	check_value(&o, "rotation", "off");
	check_value(&o, "max-stale", "20");
	check_value(&o, "ttl", "8");
	assert_true(o.foreground);
	kb_options_free(&o);

	assert_int_equal(parse_file("", "", &o, err), 0);
	kb_options_free(&o);
	assert_int_equal(parse_file("allow-from: []\n", "", &o, err), 0);
	assert_int_equal(o.allow_from.n, 0);
	kb_options_free(&o);
	/* The command line's source replaces the file's. */
	assert_int_equal(parse_file("kubeconfig: /k\n", "--snapshot /s", &o, err), 0);
	assert_null(o.kubeconfig);
	kb_options_free(&o);
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *yaml, *line, *names[2];
	} rows[] = {
		{"ttl: x\n", ":1:", {"ttl", "0..3600"}},
		{"ttl: 5\n\nmaxstale: 3\n", ":3:", {"maxstale", "max-stale"}},
		{"ttl: 5\nttl: 6\n", ":2:", {"ttl", "twice"}},
		{"max-stale: 5\nmax_stale: 6\n", ":2:", {"max-stale", "twice"}},
		{"ttl: [5]\n", ":1:", {"ttl", "plain text"}},
		{"ttl:\n", ":1:", {"ttl", "0..3600"}},
		{"listen: [[1.2.3.4]]\n", ":1:", {"listen", "plain text"}},
		{"listen: {a: b}\n", ":1:", {"listen", "list"}},
		{"listen:\n - 1.2.3.4\n - 1.2.3\n", ":3:", {"listen", "1.2.3"}},
		{"- ttl\n", ":1:", {"option: value", NULL}},
		{"just text\n", ":1:", {"option: value", NULL}},
		{"{[a]: b}\n", ":1:", {"name of an option", NULL}},
		{"config: x\n", ":1:", {"config", "command line"}},
		{"help: true\n", ":1:", {"help", "command line"}},
		{"ttl: 5\n---\nttl: 6\n", ":2:", {"second document", NULL}},
		{"ttl: \"5\n", ":", {"not YAML", NULL}},
		{"\tttl: 5\n", ":1:", {"not YAML", NULL}},
		{"ttl: *x\n", ":1:", {"ttl", "plain text"}},
		{"ttl: \"5\\0\"\n", ":1:", {"ttl", "NUL"}},
		{"snapshot: a\nkubeconfig: b\n", "", {"--snapshot", "--kubeconfig"}},
		{"\x01\n", ":", {"not YAML", NULL}},
	};
	struct kb_options o;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char at[128];

		assert_true(parse_file(rows[i].yaml, "", &o, err) < 0);
		snprintf(at, sizeof(at), "%s%s", *rows[i].line ? tmp_path : "", rows[i].line);
		if (!strstr(err, at))
			fail_msg("\"%s\": \"%s\" does not name \"%s\"", rows[i].yaml, err, at);
		for (int k = 0; k < 2 && rows[i].names[k]; k++) {
			if (!strstr(err, rows[i].names[k]))
				fail_msg("\"%s\": \"%s\" does not name \"%s\"", rows[i].yaml, err,
					 rows[i].names[k]);
		}
	}
}

/* The Corefile's TTL stands between the default and whatever the operator says. */
static void test_corefile_options(void **state)
{
	struct kb_options o;
	char err[512];

	(void)state;
	assert_int_equal(parse("--corefile /a/b", &o, err), 0);
	assert_string_equal(o.corefile, "/a/b");
	assert_null(kb_options_configmap(o.corefile));
	kb_options_default_ttl(&o, 30);
	check_value(&o, "ttl", "30");
	kb_options_default_ttl(&o, 31);
	check_value(&o, "ttl", "31");
	assert_int_equal(kb_options_tune(&o, "ttl", "7", NULL, err, sizeof(err)), 0);
	kb_options_default_ttl(&o, 32);
	check_value(&o, "ttl", "7");
	kb_options_free(&o);
	assert_int_equal(parse("--corefile configmap:kube-system/coredns --ttl 9", &o, err), 0);
	assert_string_equal(kb_options_configmap(o.corefile), "kube-system/coredns");
	kb_options_default_ttl(&o, 30);
	check_value(&o, "ttl", "9");
	kb_options_free(&o);
	assert_int_equal(parse_file("kubernetes:\n  - pods verified\n  - ttl 30\n", "", &o, err),
			 0);
	assert_int_equal(o.kubernetes.n, 2);
	assert_string_equal(o.kubernetes.v[0], "pods verified");
	kb_options_free(&o);
}

static void test_tune(void **state)
{
	const struct kb_option *row = NULL;
	struct kb_options o;
	char err[512];

	(void)state;
	assert_int_equal(parse("", &o, err), 0);
	assert_int_equal(kb_options_tune(&o, "max_stale", "30", &row, err, sizeof(err)), 0);
	assert_string_equal(row->name, "max-stale");
	check_value(&o, "max-stale", "30");
	assert_int_equal(kb_options_tune(&o, "ttl", "4000", &row, err, sizeof(err)), -ERANGE);
	check_value(&o, "ttl", "5");
	assert_int_equal(kb_options_tune(&o, "ttl", "0", &row, err, sizeof(err)), 0);
	check_value(&o, "ttl", "0");
	assert_int_equal(kb_options_tune(&o, "replicas", "2", &row, err, sizeof(err)), -EOPNOTSUPP);
	assert_non_null(strstr(err, "--replicas"));
	check_value(&o, "replicas", "auto");
	assert_int_equal(kb_options_tune(&o, "listen", "1.1.1.1", &row, err, sizeof(err)), -ENOENT);
	assert_int_equal(kb_options_tune(&o, "nope", "1", &row, err, sizeof(err)), -ENOENT);
	kb_options_free(&o);
}

/* The manual's list must be what the rows give. KB_UPDATE=1 rewrites it. */
static void test_manual(void **state)
{
	static const char begin[] = ".\\\" BEGIN OPTIONS (written from the table of options)\n";
	static const char end[] = ".\\\" END OPTIONS\n";
	char *list = NULL, man[65536], *b, *e;
	size_t len = 0, n;
	FILE *f = open_memstream(&list, &len);

	(void)state;
	kb_options_mdoc(f);
	fclose(f);
	f = fopen("scripts/man/kbdnsd.8", "r");
	if (!f)
		fail_msg("run this test from the top of the tree");
	n = fread(man, 1, sizeof(man) - 1, f);
	fclose(f);
	man[n] = '\0';
	b = strstr(man, begin);
	e = strstr(man, end);
	assert_true(b && e);
	b += strlen(begin);
	if ((size_t)(e - b) != len || memcmp(b, list, len) != 0) {
		if (!getenv("KB_UPDATE"))
			fail_msg("scripts/man/kbdnsd.8 differs from the table: run this test "
				 "again with KB_UPDATE=1");
		f = fopen("scripts/man/kbdnsd.8", "w");
		assert_non_null(f);
		fprintf(f, "%.*s%s%s", (int)(b - man), man, list, e);
		fclose(f);
	}
	free(list);
}

static void test_help(void **state)
{
	const struct kb_option *rows;
	char *text = NULL, flag[64];
	size_t n, len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	kb_options_help(f);
	fclose(f);
	rows = kb_options_rows(&n);
	for (size_t i = 0; i < n; i++) {
		snprintf(flag, sizeof(flag), "--%s", rows[i].name);
		assert_non_null(strstr(text, flag));
	}
	for (char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 100);
	free(text);
}

/* What kb_log writes, with standard error in a file. */
static void test_log(void **state)
{
	int saved = dup(STDERR_FILENO), fd = open(tmp_path, O_RDWR | O_TRUNC);
	char text[4096];
	ssize_t n;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	dup2(fd, STDERR_FILENO);
	kb_log_debug("hidden");
	kb_log_warn("name \"%s\"", "evil\nname\033[31m");
	setenv("JOURNAL_STREAM", "1:2", 1);
	kb_log_error("from a library\n");
	for (int i = 0; i < 3; i++)
		kb_log_once(KB_LOG_INFO, "once");
	for (int i = 0; i < 10; i++)
		kb_log_limited(KB_LOG_INFO, 2, "limited %d", i);
	unsetenv("JOURNAL_STREAM");
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "Z warn: name \"evil\\x0aname\\x1b[31m\"\n"));
	assert_non_null(strstr(text, "\n<3>from a library\n<6>once\n<6>limited 0\n<6>limited 1\n"));
	assert_null(strstr(text, "limited 2"));
	assert_null(strstr(text, "hidden"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	     cmocka_unit_test(test_units),
		cmocka_unit_test(test_addresses),    cmocka_unit_test(test_cidrs),
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_command_line), cmocka_unit_test(test_command_line_errors),
		cmocka_unit_test(test_pods),	     cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_errors),  cmocka_unit_test(test_corefile_options),
		cmocka_unit_test(test_tune),	     cmocka_unit_test(test_manual),
		cmocka_unit_test(test_help),	     cmocka_unit_test(test_log),
	};
	int fd = mkstemp(tmp_path), r;

	if (fd < 0)
		return 1;
	close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(tmp_path);
	return r;
}
