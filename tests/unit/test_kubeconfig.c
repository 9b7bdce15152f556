/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfigs, the in-cluster configuration, credentials that rotate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "control/kube/access.h"

static char dir[64], path[96];

static void write_file(const char *name, const char *text)
{
	char file[128];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/kbdns-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/config", dir);
	write_file("ca.crt", "the CA");
	write_file("cert", "the certificate");
	write_file("key", "the key");
	write_file("token", "the-token \r\n");
	write_file("empty", "");
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {"ca.crt", "cert", "key", "token", "empty", "config"};
	char file[128];

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, files[i]);
		unlink(file);
	}
	return rmdir(dir);
}

#define FRAME(cluster, user)                                                                    \
	"apiVersion: v1\nkind: Config\ncurrent-context: prod\n"                                 \
	"contexts:\n- name: other\n  context: {cluster: x, user: y}\n"                          \
	"- context:\n    cluster: east\n    user: node\n    namespace: default\n  name: prod\n" \
	"clusters:\n- name: x\n  cluster: {server: \"https://wrong\"}\n"                        \
	"- cluster:\n    " cluster "\n  name: east\n"                                           \
	"users:\n- name: y\n  user: {token: wrong}\n- name: node\n  user:\n    " user "\n"

static struct kb_access *load(const char *text)
{
	struct kb_access *a = NULL;
	char err[256] = "";

	write_file("config", text);
	if (kb_access_from_kubeconfig(path, &a, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	return a;
}

static void inline_data(void **state)
{
	struct kb_access *a =
		load(FRAME("server: https://10.0.0.1:6443/\n"
			   "    certificate-authority-data: dGhlIENB",
			   "client-certificate-data: YQ==\n    client-key-data: YmM=\n"
			   "    token: abc"));

	(void)state;
	assert_string_equal(a->server, "https://10.0.0.1:6443");
	assert_string_equal(a->ca.data, "the CA");
	assert_string_equal(a->cert.data, "a");
	assert_string_equal(a->key.data, "bc");
	assert_string_equal(a->token.data, "abc");
	assert_int_equal(a->token.len, 3);
	assert_false(a->insecure);
	assert_null(a->tls_server_name);
	kb_access_free(a);
}

static void files_beside_the_kubeconfig(void **state)
{
	struct kb_access *a = load(FRAME("server: https://[fd00::1]:6443\n"
					 "    certificate-authority: ca.crt\n"
					 "    tls-server-name: kube.example\n"
					 "    proxy-url: http://proxy:3128",
					 "client-certificate: cert\n    client-key: ./key\n"
					 "    tokenFile: token\n    token: ignored"));

	(void)state;
	assert_string_equal(a->server, "https://[fd00::1]:6443");
	assert_string_equal(a->ca.data, "the CA");
	assert_string_equal(a->cert.data, "the certificate");
	assert_string_equal(a->key.data, "the key");
	assert_string_equal(a->token.data, "the-token");
	assert_string_equal(a->tls_server_name, "kube.example");
	assert_string_equal(a->proxy, "http://proxy:3128");
	kb_access_free(a);
}

static void json_and_no_user(void **state)
{
	struct kb_access *a = load("{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\","
				   "\"context\":{\"cluster\":\"k\",\"user\":\"\"}}],\"clusters\":"
				   "[{\"name\":\"k\",\"cluster\":{\"server\":\"http://h:1//\","
				   "\"insecure-skip-tls-verify\":true}}],\"users\":null}");

	(void)state;
	assert_string_equal(a->server, "http://h:1");
	assert_true(a->insecure);
	assert_null(a->token.data);
	kb_access_free(a);
}

static void refused(void **state)
{
	static const struct {
		const char *text, *why;
		int r;
	} rows[] = {
		{FRAME("server: https://h", "exec: {command: aws}"), "exec credential plugin",
		 -EOPNOTSUPP},
		{FRAME("server: https://h", "auth-provider: {name: gcp}"), "auth-provider",
		 -EOPNOTSUPP},
		{FRAME("server: https://h", "username: admin\n    password: x"), "password",
		 -EOPNOTSUPP},
		{FRAME("server: https://h", "as: root"), "impersonation", -EOPNOTSUPP},
		{FRAME("server: https://h", "client-certificate: cert"), "pairs", -EINVAL},
		{FRAME("server: https://h", "tokenFile: missing"), "missing: No such file",
		 -ENOENT},
		{FRAME("server: https://h", "tokenFile: empty"), "empty: the file is empty",
		 -ENODATA},
		{FRAME("server: https://h\n    certificate-authority-data: '!'", "token: a"),
		 "base64", -EINVAL},
		{FRAME("server: h:6443", "token: a"), "neither https", -EINVAL},
		{FRAME("other: 1", "token: a"), "no server", -EINVAL},
		{"current-context: a", "no context \"a\"", -EINVAL},
		{"current-context: ''", "no current-context", -EINVAL},
		{"current-context: a\ncontexts: [{name: a, context: {cluster: b}}]",
		 "no cluster \"b\"", -EINVAL},
		{"current-context: a\ncontexts: [{name: a, context: {cluster: b, user: u}}]\n"
		 "clusters: [{name: b, cluster: {server: 'https://h'}}]",
		 "no user \"u\"", -EINVAL},
		{"a: [b\nc", "line", -EINVAL},
		{"", "not a kubeconfig", -EINVAL},
		{"- a\n- b\n", "not a kubeconfig", -EINVAL},
		{"\x01\x02\xff", "", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_access *a = NULL;
		char err[256] = "";
		int r;

		write_file("config", rows[i].text);
		r = kb_access_from_kubeconfig(path, &a, err, sizeof(err));
		assert_null(a);
		if (!strstr(err, rows[i].why) || strchr(err, '\n'))
			fail_msg("row %zu: %s", i, err);
		assert_int_equal(r, rows[i].r);
	}
}

static void missing_file(void **state)
{
	struct kb_access *a = NULL;
	char err[256] = "";

	(void)state;
	assert_int_equal(kb_access_from_kubeconfig("/nonexistent/config", &a, err, sizeof(err)),
			 -ENOENT);
	assert_string_equal(err, "/nonexistent/config: No such file or directory");
	assert_true(kb_access_from_kubeconfig(dir, &a, err, sizeof(err)) < 0);
}

static void random_kubeconfigs(void **state)
{
	static const char base[] =
		FRAME("server: https://h\n    certificate-authority-data: dGhl",
		      "client-certificate-data: YQ==\n    client-key-data: YQ==");
	char text[sizeof(base)], err[256];
	uint32_t seed = 3;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct kb_access *a = NULL;

		memcpy(text, base, sizeof(base));
		for (int n = 0; n <= i % 5; n++) {
			seed = seed * 1664525u + 1013904223u;
			text[(seed >> 8) % (sizeof(base) - 1)] =
				"{}[]:\n -&*'\"!|\t#"[(seed >> 20) % 16];
		}
		write_file("config", text);
		if (!kb_access_from_kubeconfig(path, &a, err, sizeof(err)))
			kb_access_free(a);
	}
}

static void in_cluster(void **state)
{
	struct kb_access *a = NULL;
	char err[256] = "";

	(void)state;
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(kb_access_in_cluster(&a, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "--kubeconfig"));

	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	setenv(KB_ACCESS_SERVICE_ACCOUNT_ENV, dir, 1);
	assert_int_equal(kb_access_in_cluster(&a, err, sizeof(err)), 0);
	assert_string_equal(a->server, "https://[fd00::1]:443");
	assert_string_equal(a->ca.data, "the CA");
	assert_string_equal(a->token.data, "the-token");

	/* rotation; and a file that is away for a moment changes nothing */
	write_file("token", "another");
	assert_int_equal(kb_access_refresh(a, 5, err, sizeof(err)), 0);
	assert_string_equal(a->token.data, "another");
	assert_int_equal(a->read_ms, 5);
	write_file("token", "");
	assert_int_equal(kb_access_refresh(a, 6, err, sizeof(err)), -ENODATA);
	assert_string_equal(a->token.data, "another");
	kb_access_free(a);

	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
	write_file("token", "x");
	assert_int_equal(kb_access_in_cluster(&a, err, sizeof(err)), 0);
	assert_string_equal(a->server, "https://10.96.0.1:443");
	kb_access_free(a);
	setenv(KB_ACCESS_SERVICE_ACCOUNT_ENV, "/nonexistent", 1);
	a = NULL;
	assert_int_equal(kb_access_in_cluster(&a, err, sizeof(err)), -ENOENT);
	assert_string_equal(err, "/nonexistent/ca.crt: No such file or directory");
	assert_null(a);
}

static void base64(void **state)
{
	static const struct {
		const char *text, *want; /* want NULL: refused */
	} rows[] = {
		{"", ""},
		{"YQ==", "a"},
		{"YWI=", "ab"},
		{"YWJj", "abc"},
		{"YW\nJj\r\nZA==\n", "abcd"},
		{"+/+/", "\xfb\xff\xbf"},
		{"Y", NULL},
		{"YQ", NULL},
		{"YQ=", NULL},
		{"YQ===", NULL},
		{"YQ==YQ==", NULL},
		{"Y-Q=", NULL},
		{"=", NULL},
		{"\xff\xff\xff\xff", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *data = NULL;
		size_t len;
		int r = kb_base64_decode(rows[i].text, &data, &len);

		assert_int_equal(r, rows[i].want ? 0 : -EINVAL);
		if (rows[i].want) {
			assert_int_equal(len, strlen(rows[i].want));
			assert_string_equal(data, rows[i].want);
		}
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inline_data),	    cmocka_unit_test(files_beside_the_kubeconfig),
		cmocka_unit_test(json_and_no_user), cmocka_unit_test(refused),
		cmocka_unit_test(missing_file),	    cmocka_unit_test(random_kubeconfigs),
		cmocka_unit_test(in_cluster),	    cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests_name("kubeconfig", tests, setup, teardown);
}
