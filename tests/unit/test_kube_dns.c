/* SPDX-License-Identifier: Apache-2.0 */
/* The kube-dns ConfigMap: what is taken, what is refused and how it is said; folders. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/config/kube_dns.h"

#define NAME "configmap kube-system/kube-dns"

static int parse(const char *key, const char *text, struct kb_kube_dns *config, char *err)
{
	struct kb_label data = {key, text};

	memset(config, 0, sizeof(*config));
	*err = '\0';
	return kb_kube_dns_parse(NAME, &data, 1, config, err, 512);
}

/* "domain=server,server domain= ..." */
static void check_rules(const struct kb_kube_dns *config, const char *want)
{
	char text[1024] = "", addr[KB_ADDR_TEXT_MAX];
	size_t len = 0;

	for (size_t i = 0; i < config->rules.n; i++) {
		const struct kb_forward_rule *r = &config->rules.v[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=", i ? " " : "",
					r->domain);
		for (size_t k = 0; k < r->n; k++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						k ? "," : "",
						kb_format_addr_port(&r->specs[k].at, addr));
	}
	assert_string_equal(text, want);
}

static void taken(void **state)
{
	static const struct {
		const char *key, *text, *rules, *warning; /* a part of the only one */
	} rows[] = {
		{"stubDomains", "{}", "", NULL},
		{"stubDomains", " null ", "", NULL},
		{"stubDomains", "{\"acme.local\": [\"1.2.3.4\"]}", "acme.local=1.2.3.4:53", NULL},
		{"stubDomains",
		 "{\n\t\"a.b\": [\"1.2.3.4\", \"1.2.3.4:5353\", \"fd00::1\",\n"
		 "\"[fd00::1]:54\", \"1.2.3.4:53\"], \"c\": [\"9.9.9.9\"]\n}\n",
		 "a.b=1.2.3.4:53,1.2.3.4:5353,[fd00::1]:53,[fd00::1]:54 c=9.9.9.9:53", NULL},
		{"stubDomains", "{\"\\u0061.b\": [\"1.2.3.4\"]}", "a.b=1.2.3.4:53", NULL},
		/* as Go reads it */
		{"stubDomains", "{\"a.b\": [\"1.1.1.1\"], \"a.b\": [\"2.2.2.2\"]}",
		 "a.b=2.2.2.2:53", "stubDomains: a.b is given twice, the last one counts"},
		{"stubDomains", "{\"a.b\": [\"ns.example\", \"1.1.1.1\"]}", "a.b=1.1.1.1:53",
		 "\"ns.example\" is a name, which is not looked up"},
		{"stubDomains", "{\"a.b\": []}", "a.b=", "a.b has no server that can be asked"},
		{"stubDomains", "{\"a.b\": null}", "a.b=", "a.b has no server that can be asked"},
		{"upstreamNameservers", "[]", "", NULL},
		{"upstreamNameservers", "null", "", NULL},
		{"upstreamNameservers", "[\"1.2.3.4\",\"[fd00::1]:5300\",\"5.6.7.8\"]",
		 "=1.2.3.4:53,[fd00::1]:5300,5.6.7.8:53", NULL},
		{"federations", "a=b", "", "federations are gone"},
		{"stubdomains", "{\"a.b\": [\"1.1.1.1\"]}", "",
		 "stubdomains: nobody knows this key"},
	};
	struct kb_kube_dns config;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r = parse(rows[i].key, rows[i].text, &config, err);

		if (r)
			fail_msg("%s: %s", rows[i].text, err);
		check_rules(&config, rows[i].rules);
		assert_int_equal(config.n_warnings, rows[i].warning != NULL);
		if (rows[i].warning && (!strstr(config.warnings[0], rows[i].warning) ||
					strncmp(config.warnings[0], NAME ": ", strlen(NAME) + 2)))
			fail_msg("%s: %s", rows[i].text, config.warnings[0]);
		kb_kube_dns_free(&config);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *key, *text, *err; /* how it goes on after the key */
	} rows[] = {
		{"stubDomains", "", "line 1: of another type, give an object such as"},
		{"stubDomains", "[]", "line 1: of another type"},
		{"stubDomains", "{\"a.b\": \"1.2.3.4\"}", "line 1: of another type, give a list"},
		{"stubDomains", "{\"a.b\": [1]}", "line 1: of another type, give a list"},
		{"stubDomains", "{\"a.b\": [\"1.2.3.4\"]", "line 1: "},
		{"stubDomains", "{\n\"a.b\": [\"1.2.3.4\"],\n}", "line 3: "},
		{"stubDomains", "{\"a.b\": [\"1.2.3.4\"]} x", "line 1: "},
		{"stubDomains", "{\n\n\"a..b\": [\"1.2.3.4\"]}", "line 3: \"a..b\" is no domain"},
		{"stubDomains", "{\"A.b\": [\"1.2.3.4\"]}", "line 1: \"A.b\" is no domain"},
		{"stubDomains", "{\"a.b.\": [\"1.2.3.4\"]}", "line 1: \"a.b.\" is no domain"},
		{"stubDomains", "{\"\": [\"1.2.3.4\"]}", "line 1: \"\" is no domain"},
		{"stubDomains", "{\"-a\": [\"1.2.3.4\"]}", "line 1: \"-a\" is no domain"},
		{"stubDomains", "{\"a-\": [\"1.2.3.4\"]}", "line 1: \"a-\" is no domain"},
		{"stubDomains", "{\"a_b\": [\"1.2.3.4\"]}", "line 1: \"a_b\" is no domain"},
		{"stubDomains", "{\"a\\u0000b\": [\"1.2.3.4\"]}", "line 1: \"a\" is no domain"},
		{"stubDomains", "{\"a\": [\"1.2.3.4:0\"]}",
		 "line 1: a: \"1.2.3.4:0\" is no address"},
		{"stubDomains", "{\"a\": [\"1.2.3.4:65536\"]}",
		 "line 1: a: \"1.2.3.4:65536\" is no"},
		{"stubDomains", "{\"a\": [\"fe80::1%eth0\"]}", "line 1: a: \"fe80::1%eth0\" is no"},
		{"stubDomains", "{\"a\": [\"[fe80::1%1]:53\"]}",
		 "line 1: a: \"[fe80::1%1]:53\" is"},
		{"stubDomains", "{\"a\": [\"ns.example:53\"]}",
		 "line 1: a: \"ns.example:53\" is no"},
		{"stubDomains", "{\"a\": [\"tls://1.2.3.4\"]}",
		 "line 1: a: \"tls://1.2.3.4\" is no"},
		{"stubDomains", "{\"a\": [\"\"]}", "line 1: a: \"\" is no address"},
		{"stubDomains",
		 "{\"a\": [\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\",\"1.1.1.5\","
		 "\"1.1.1.6\",\"1.1.1.7\",\"1.1.1.8\",\"1.1.1.9\",\"1.1.2.1\",\"1.1.2.2\","
		 "\"1.1.2.3\",\"1.1.2.4\",\"1.1.2.5\",\"1.1.2.6\",\"1.1.2.7\"]}",
		 "line 1: a: more than 15 servers, give fewer"},
		{"upstreamNameservers", "{}", "line 1: of another type, give a list"},
		{"upstreamNameservers", "[\"ns.example\"]",
		 "line 1: upstreams: \"ns.example\" is no"},
		{"upstreamNameservers", "[\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]",
		 "line 1: more than 3 servers, give fewer"},
		{"upstreamNameservers", "[\"1.1.1.1\", null]", "line 1: of another type"},
	};
	struct kb_kube_dns config;
	char err[512], want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r = parse(rows[i].key, rows[i].text, &config, err);

		snprintf(want, sizeof(want), NAME ": %s, %s", rows[i].key, rows[i].err);
		if (r == 0 || strncmp(err, want, strlen(want)) != 0 || strchr(err, '\n'))
			fail_msg("%s: %d %s", rows[i].text, r, err);
		assert_int_equal(config.rules.n, 0);
	}
}

/* One bad key refuses all; both keys together; the last of two is taken. */
static void together(void **state)
{
	struct kb_label data[] = {
		{"upstreamNameservers", "[\"9.9.9.9\"]"},
		{"stubDomains", "["},
		{"stubDomains", "{\"a\":[\"1.1.1.1\"]}"},
	};
	struct kb_kube_dns config;
	char err[512];

	(void)state;
	assert_int_equal(kb_kube_dns_parse(NAME, data, 3, &config, err, sizeof(err)), 0);
	check_rules(&config, "a=1.1.1.1:53 =9.9.9.9:53");
	kb_kube_dns_free(&config);
	assert_true(kb_kube_dns_parse(NAME, data, 2, &config, err, sizeof(err)) < 0);
	assert_int_equal(kb_kube_dns_parse(NAME, NULL, 0, &config, err, sizeof(err)), 0);
	assert_int_equal(config.rules.n, 0);
	kb_kube_dns_free(&config);
}

static char *domains(unsigned int n)
{
	char *text = malloc(n * 40UL + 8), *p = text;

	assert_non_null(text);
	for (unsigned int i = 0; i < n; i++)
		p += sprintf(p, "%c\"d%u.example\":[\"10.0.0.1\"]", i ? ',' : '{', i);
	strcpy(p, "}");
	return text;
}

static void limits(void **state)
{
	char err[512], *text = domains(KB_STUBS_MAX);
	struct kb_kube_dns config;

	(void)state;
	assert_int_equal(parse("stubDomains", text, &config, err), 0);
	assert_int_equal(config.rules.n, KB_STUBS_MAX);
	kb_kube_dns_free(&config);
	free(text);
	text = domains(10000);
	assert_int_equal(parse("stubDomains", text, &config, err), -E2BIG);
	assert_non_null(strstr(err, "more than 1000 domains, give fewer"));
	free(text);
}

static void many_warnings(void **state)
{
	struct kb_label data[KB_KUBE_DNS_WARNINGS_MAX + 5];
	struct kb_kube_dns config;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(data) / sizeof(*data); i++)
		data[i] = (struct kb_label){"what", "x"};
	assert_int_equal(kb_kube_dns_parse(NAME, data, sizeof(data) / sizeof(*data), &config, err,
					   sizeof(err)),
			 0);
	assert_int_equal(config.n_warnings, KB_KUBE_DNS_WARNINGS_MAX);
	assert_int_equal(config.n_more_warnings, 5);
	kb_kube_dns_free(&config);
}

static char dir[64];

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void folders(void **state)
{
	struct kb_kube_dns_dir a, b;
	char err[512] = "", path[128];
	FILE *f;

	(void)state;
	strcpy(dir, "/tmp/kbdns-kube-dns-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(kb_kube_dns_dir_read(dir, &a, err, sizeof(err)), 0);
	assert_int_equal(a.n, 0);
	/* as a ConfigMap is mounted */
	snprintf(path, sizeof(path), "%s/..data", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	put("..data/stubDomains", "{}");
	snprintf(path, sizeof(path), "%s/stubDomains", dir);
	assert_int_equal(symlink("..data/stubDomains", path), 0);
	put("upstreamNameservers", "[\"9.9.9.9\"]");
	put(".hidden", "x");
	assert_int_equal(kb_kube_dns_dir_read(dir, &b, err, sizeof(err)), 0);
	assert_int_equal(b.n, 2);
	assert_string_equal(b.data[0].key, "stubDomains");
	assert_string_equal(b.data[0].value, "{}");
	assert_string_equal(b.data[1].value, "[\"9.9.9.9\"]");
	assert_true(a.hash != b.hash);
	kb_kube_dns_dir_free(&a);
	a = b;
	put("upstreamNameservers", "[\"9.9.9.8\"]");
	assert_int_equal(kb_kube_dns_dir_read(dir, &b, err, sizeof(err)), 0);
	assert_true(a.hash != b.hash);
	kb_kube_dns_dir_free(&a);
	kb_kube_dns_dir_free(&b);
	/* binary, and too long */
	snprintf(path, sizeof(path), "%s/bin", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite("a\0b", 1, 3, f), 3);
	fclose(f);
	assert_int_equal(kb_kube_dns_dir_read(dir, &a, err, sizeof(err)), -EILSEQ);
	assert_non_null(strstr(err, "/bin: "));
	kb_kube_dns_dir_free(&a);
	assert_int_equal(truncate(path, KB_CONFIG_TEXT_MAX + 1), 0);
	assert_int_equal(kb_kube_dns_dir_read(dir, &a, err, sizeof(err)), -EFBIG);
	kb_kube_dns_dir_free(&a);
	snprintf(path, sizeof(path), "rm -r %s", dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(kb_kube_dns_dir_read(dir, &a, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, dir));
	kb_kube_dns_dir_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),	 cmocka_unit_test(refused),
		cmocka_unit_test(together),	 cmocka_unit_test(limits),
		cmocka_unit_test(many_warnings), cmocka_unit_test(folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
