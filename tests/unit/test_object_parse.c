/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and events as an API server writes them, and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>

#include "control/kube/object_parse.h"

static struct kb_object_parser *parser;

static struct kb_parsed parse(enum kb_kind kind, const char *text)
{
	struct kb_parsed p;
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1); /* no NUL behind it: ASan sees over-reads */

	if (!copy)
		abort();
	memcpy(copy, text, len);
	assert_int_equal(kb_object_parse(parser, KB_JSON, kind, copy, len, NULL, &p), 0);
	free(copy);
	return p;
}

static struct kb_parsed parse_event(enum kb_kind kind, const char *text)
{
	struct kb_parsed p;

	assert_int_equal(kb_object_parse_event(parser, KB_JSON, kind, text, strlen(text), NULL, &p),
			 0);
	return p;
}

static void assert_addr(const struct kb_addr *a, const char *want)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, text, sizeof(text));
	assert_string_equal(text, want);
}

#define META  "\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"resourceVersion\":\"12\"}"
#define SVC   "{\"kind\":\"Service\",\"apiVersion\":\"v1\"," META ","
#define POD   "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"," META ","
#define SLICE "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\"," META ","

static void dual_stack_service(void **state)
{
	struct kb_parsed p = parse(
		KB_SERVICE, SVC
		"\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80,"
		"\"targetPort\":\"web\",\"nodePort\":30080},{\"protocol\":\"UDP\",\"port\":53}],"
		"\"clusterIP\":\"10.96.0.1\",\"clusterIPs\":[\"10.96.0.1\",\"fd00::1\"],"
		"\"type\":\"NodePort\"},\"status\":{\"loadBalancer\":{}}}");

	(void)state;
	assert_int_equal(p.result, KB_PARSE_OBJECT);
	assert_null(p.obj.bad);
	assert_int_equal(p.obj.kind, KB_SERVICE);
	assert_string_equal(p.obj.ns, "shop");
	assert_string_equal(p.obj.name, "web");
	assert_string_equal(p.resource_version, "12");
	assert_int_equal(p.obj.u.service.type, KB_CLUSTER_IP);
	assert_int_equal(p.obj.u.service.n_cluster_ips, 2);
	assert_addr(&p.obj.u.service.cluster_ips[0], "10.96.0.1");
	assert_addr(&p.obj.u.service.cluster_ips[1], "fd00::1");
	assert_int_equal(p.obj.u.service.n_ports, 2);
	assert_string_equal(p.obj.u.service.ports[0].name, "http");
	assert_int_equal(p.obj.u.service.ports[0].port, 80);
	assert_string_equal(p.obj.u.service.ports[1].name, "");
	assert_int_equal(p.obj.u.service.ports[1].proto, KB_UDP);
}

static void service_rows(void **state)
{
	static const struct {
		const char *spec;
		enum kb_service_type type;
		size_t ips, ports;
		const char *external_name;
		bool selector;
	} rows[] = {
		{"\"clusterIP\":\"10.0.0.1\"", KB_CLUSTER_IP, 1, 0, NULL, false},
		{"\"clusterIPs\":[\"10.0.0.1\"],\"clusterIP\":\"10.0.0.9\"", KB_CLUSTER_IP, 1, 0,
		 NULL, false},
		{"\"clusterIPs\":null,\"clusterIP\":\"fd00::1\",\"ports\":null", KB_CLUSTER_IP, 1,
		 0, NULL, false},
		{"\"clusterIP\":\"None\"", KB_HEADLESS, 0, 0, NULL, false},
		{"\"clusterIPs\":[\"None\"]", KB_HEADLESS, 0, 0, NULL, false},
		{"\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"],\"type\":\"ClusterIP\","
		 "\"ports\":[{\"port\":0,\"protocol\":\"SCTP\"},{\"port\":65535,\"protocol\":null}"
		 "]",
		 KB_HEADLESS, 0, 2, NULL, false},
		{"\"type\":\"ExternalName\",\"externalName\":\"db.example.org.\"", KB_EXTERNAL_NAME,
		 0, 0, "db.example.org.", false},
		{"\"type\":\"LoadBalancer\",\"clusterIP\":\"10.0.0.1\",\"selector\":{}",
		 KB_CLUSTER_IP, 1, 0, NULL, false},
		{"\"selector\":{\"app\":\"web\",\"tier\":\"a\"},\"clusterIP\":\"None\"",
		 KB_HEADLESS, 0, 0, NULL, true},
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_parsed p;

		snprintf(text, sizeof(text), SVC "\"spec\":{%s}}", rows[i].spec);
		p = parse(KB_SERVICE, text);
		assert_int_equal(p.result, KB_PARSE_OBJECT);
		assert_null(p.obj.bad);
		assert_int_equal(p.obj.u.service.type, rows[i].type);
		assert_int_equal(p.obj.u.service.n_cluster_ips, rows[i].ips);
		assert_int_equal(p.obj.u.service.n_ports, rows[i].ports);
		assert_int_equal(p.obj.u.service.selector, rows[i].selector);
		if (rows[i].external_name)
			assert_string_equal(p.obj.u.service.external_name, rows[i].external_name);
	}
}

static void slice(void **state)
{
	struct kb_parsed p = parse(
		KB_KIND_MAX,
		"{\"addressType\":\"IPv4\",\"apiVersion\":\"discovery.k8s.io/v1\",\"endpoints\":["
		"{\"addresses\":[\"10.1.0.1\",\"10.1.0.2\"],\"conditions\":{\"ready\":true},"
		"\"hostname\":\"web-0\",\"targetRef\":{\"kind\":\"Pod\",\"name\":\"pod-0\"}},"
		"{\"conditions\":{\"ready\":false,\"serving\":true},\"addresses\":[\"10.1.0.3\"],"
		"\"targetRef\":{\"kind\":\"Node\",\"name\":\"n\"}},"
		"{\"addresses\":[\"10.1.0.4\"],\"conditions\":{\"ready\":null},\"hostname\":\"\"},"
		"{\"addresses\":[\"10.1.0.5\"]},{\"addresses\":null},{}],"
		"\"kind\":\"EndpointSlice\",\"metadata\":{\"annotations\":"
		"{\"endpoints.kubernetes.io/last-change-trigger-time\":\"2026-01-02T03:04:05.5Z\"},"
		"\"labels\":{\"kubernetes.io/service-name\":\"web\",\"x\":\"y\"},"
		"\"name\":\"web-abc\",\"namespace\":\"shop\"},"
		"\"ports\":[{\"name\":\"\",\"port\":8080,\"protocol\":\"TCP\"},{\"name\":\"any\"}]"
		"}");
	const struct kb_slice *s = &p.obj.u.slice;

	(void)state;
	assert_int_equal(p.result, KB_PARSE_OBJECT);
	assert_null(p.obj.bad);
	assert_int_equal(p.obj.kind, KB_SLICE);
	assert_string_equal(s->service, "web");
	assert_true(s->trigger_time_s == 1767323045.5);
	assert_int_equal(s->n_ports, 1);
	assert_int_equal(s->ports[0].port, 8080);
	assert_int_equal(s->n_endpoints, 5);
	assert_addr(&s->endpoints[1].addr, "10.1.0.2");
	assert_string_equal(s->endpoints[1].hostname, "web-0");
	assert_string_equal(s->endpoints[1].pod, "pod-0");
	assert_true(s->endpoints[0].ready);
	assert_false(s->endpoints[2].ready);
	assert_null(s->endpoints[2].pod);
	assert_true(s->endpoints[3].ready);
	assert_null(s->endpoints[3].hostname);
	assert_true(s->endpoints[4].ready);
}

static void slices_that_are_empty(void **state)
{
	static const char *const rows[] = {
		"\"addressType\":\"IPv6\",\"endpoints\":null,\"ports\":null",
		"\"addressType\":\"IPv6\"",
		"\"endpoints\":[{\"addresses\":[\"web.example.org\"]}],\"addressType\":\"FQDN\"",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_parsed p;

		snprintf(text, sizeof(text), SLICE "%s}", rows[i]);
		p = parse(KB_SLICE, text);
		assert_int_equal(p.result, KB_PARSE_OBJECT);
		assert_null(p.obj.bad);
		assert_int_equal(p.obj.u.slice.n_endpoints, 0);
		assert_null(p.obj.u.slice.service);
	}
}

static void pods(void **state)
{
	static const struct {
		const char *metadata, *status; /* with their comma in front */
		const char *ips[3];
	} rows[] = {
		{"",
		 ",\"status\":{\"phase\":\"Running\",\"podIP\":\"10.1.0.1\",\"podIPs\":["
		 "{\"ip\":\"10.1.0.1\"},{\"ip\":\"fd00::1\"}]}",
		 {"10.1.0.1", "fd00::1"}},
		/* podIP is first wherever podIPs has it, and an address is there once */
		{"",
		 ",\"status\":{\"podIPs\":[{\"ip\":\"fd00::1\"},{\"ip\":\"10.1.0.1\"},"
		 "{\"ip\":\"fd00:0::1\",\"x\":[]}],\"podIP\":\"10.1.0.1\"}",
		 {"10.1.0.1", "fd00::1"}},
		{"", ",\"status\":{\"podIP\":\"fd00::2\",\"podIPs\":null}", {"fd00::2"}},
		{"", ",\"status\":{\"podIPs\":[{\"ip\":\"10.1.0.1\"}]}", {"10.1.0.1"}},
		{"", ",\"status\":{\"phase\":\"Pending\",\"podIP\":\"10.1.0.1\"}", {"10.1.0.1"}},
		{",\"deletionTimestamp\":null",
		 ",\"status\":{\"podIP\":\"10.1.0.1\"}",
		 {"10.1.0.1"}},
		/* of the host's network */
		{"",
		 ",\"spec\":{\"hostNetwork\":true,\"containers\":[{\"ports\":[{\"containerPort\":80"
		 "}]}]},\"status\":{\"hostIP\":\"10.1.0.1\",\"podIP\":\"10.1.0.1\"}",
		 {"10.1.0.1"}},
		/* no name: no address yet, at its end, lost, being deleted */
		{"", "", {NULL}},
		{"", ",\"status\":null", {NULL}},
		{"", ",\"status\":{\"phase\":\"Pending\",\"hostIP\":\"10.0.0.1\"}", {NULL}},
		{"",
		 ",\"status\":{\"podIP\":\"\",\"podIPs\":[{},{\"ip\":\"\"},{\"ip\":null}]}",
		 {NULL}},
		{"", ",\"status\":{\"phase\":\"Succeeded\",\"podIP\":\"10.1.0.1\"}", {NULL}},
		{"", ",\"status\":{\"podIP\":\"10.1.0.1\",\"phase\":\"Failed\"}", {NULL}},
		{"", ",\"status\":{\"phase\":\"Unknown\",\"podIP\":\"10.1.0.1\"}", {NULL}},
		{",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"",
		 ",\"status\":{\"phase\":\"Running\",\"podIP\":\"10.1.0.1\"}",
		 {NULL}},
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_parsed p;
		size_t n = 0;

		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"name\":\"web-0\",\"namespace\":\"shop\"%s}%s}",
			 rows[i].metadata, rows[i].status);
		p = parse(KB_POD, text);
		assert_int_equal(p.result, KB_PARSE_OBJECT);
		assert_int_equal(p.obj.kind, KB_POD);
		assert_string_equal(p.obj.name, "web-0");
		assert_string_equal(p.obj.ns, "shop");
		if (p.obj.bad)
			fail_msg("row %zu: %s", i, p.obj.bad);
		for (; n < 3 && rows[i].ips[n]; n++) {
			if (n == p.obj.u.pod.n_ips)
				fail_msg("row %zu: %s is missing", i, rows[i].ips[n]);
			assert_addr(&p.obj.u.pod.ips[n], rows[i].ips[n]);
		}
		assert_int_equal(p.obj.u.pod.n_ips, n);
	}
}

static void configmaps(void **state)
{
	size_t size = (2u << 20) + 256;
	char *text = malloc(size), *p;
	struct kb_parsed parsed;

	(void)state;
	assert_non_null(text);
	/* nothing is read before somebody asks */
	parsed = parse(KB_CONFIGMAP, "{" META ",\"data\":{\"Corefile\":\"x\"}}");
	assert_null(parsed.obj.bad);
	assert_null(parsed.obj.u.configmap.text);
	kb_object_parser_config_key(parser, "Corefile");
	parsed = parse(KB_CONFIGMAP, "{" META ",\"data\":{\"Corefile\":\"x\",\"y\":[]}}");
	assert_null(parsed.obj.bad);
	assert_string_equal(parsed.obj.u.configmap.text, "x");
	assert_null(parse(KB_CONFIGMAP, "{" META ",\"data\":null}").obj.u.configmap.text);
	assert_null(parse(KB_CONFIGMAP, "{" META "}").obj.u.configmap.text);
	assert_string_equal(parse(KB_CONFIGMAP, "{" META ",\"data\":[]}").obj.bad,
			    "data is not an object");
	/* other kinds have data as well */
	assert_null(parse(KB_NAMESPACE, "{" META ",\"data\":[]}").obj.bad);

	for (unsigned over = 0; over < 2; over++) {
		p = stpcpy(text, "{" META ",\"data\":{\"Corefile\":\"");
		memset(p, 'x', KB_CONFIG_TEXT_MAX + over);
		strcpy(p + KB_CONFIG_TEXT_MAX + over, "\"}}");
		parsed = parse(KB_CONFIGMAP, text);
		if (over)
			assert_string_equal(parsed.obj.bad, "its text is larger than 1 MiB");
		else
			assert_int_equal(strlen(parsed.obj.u.configmap.text), KB_CONFIG_TEXT_MAX);
	}
	kb_object_parser_config_key(parser, NULL);
	free(text);
}

static void whole_configmaps(void **state)
{
	char text[64 << 10], *p = text;
	struct kb_parsed parsed;

	(void)state;
	kb_object_parser_config_all(parser);
	parsed = parse(KB_CONFIGMAP, "{" META ",\"data\":{\"a\":\"x\",\"b\":null,\"c\":\"\"}}");
	assert_null(parsed.obj.bad);
	assert_int_equal(parsed.obj.u.configmap.n_data, 2);
	assert_string_equal(parsed.obj.u.configmap.data[0].key, "a");
	assert_string_equal(parsed.obj.u.configmap.data[0].value, "x");
	assert_string_equal(parsed.obj.u.configmap.data[1].key, "c");
	assert_int_equal(parse(KB_CONFIGMAP, "{" META "}").obj.u.configmap.n_data, 0);
	assert_int_equal(parse(KB_CONFIGMAP, "{" META ",\"data\":{\"a\":\"x\"},\"data\":null}")
				 .obj.u.configmap.n_data,
			 0);
	assert_string_equal(parse(KB_CONFIGMAP, "{" META ",\"data\":{\"a\":7}}").obj.bad,
			    "its text is not a string");
	p = stpcpy(p, "{" META ",\"data\":{");
	for (unsigned i = 0; i <= KB_CONFIG_KEYS_MAX; i++)
		p += sprintf(p, "%s\"k%u\":\"\"", i ? "," : "", i);
	strcpy(p, "}}");
	assert_string_equal(parse(KB_CONFIGMAP, text).obj.bad, "too many keys");
	kb_object_parser_config_key(parser, NULL);
}

static size_t put_labels(char *text, size_t size, size_t n)
{
	size_t len = (size_t)snprintf(text, size, "{\"metadata\":{\"name\":\"n\",\"labels\":{");

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, size - len, "%s\"k%zu\":\"v%zu\"", i ? "," : "",
					i, i);
	return len + (size_t)snprintf(text + len, size - len, "}}}");
}

static void labels(void **state)
{
	static const char text[] =
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\","
		"\"namespace\":\"x\",\"labels\":{\"app\":\"web\",\"\\u0061b/c\":\"\","
		"\"none\":null,\"app\":\"db\"}}}";
	struct kb_parsed p = parse(KB_KIND_MAX, text);
	char *many = malloc(64 * KB_OBJECT_LABELS_MAX);

	(void)state;
	assert_non_null(many);
	assert_null(p.obj.bad);
	assert_int_equal(p.obj.n_labels, 3);
	assert_string_equal(p.obj.labels[0].key, "app");
	assert_string_equal(p.obj.labels[0].value, "web");
	assert_string_equal(p.obj.labels[1].key, "ab/c");
	assert_string_equal(p.obj.labels[1].value, "");
	assert_string_equal(p.obj.labels[2].value, "db");
	/* of an API server's pods they are not needed, of its namespaces they are */
	assert_int_equal(parse(KB_POD, text).obj.n_labels, 0);
	p = parse(KB_NAMESPACE, "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"b\"}}}");
	assert_int_equal(p.obj.n_labels, 1);
	/* a list of its own each time */
	assert_int_equal(parse(KB_NAMESPACE, "{" META "}").obj.n_labels, 0);

	put_labels(many, 64 * KB_OBJECT_LABELS_MAX, KB_OBJECT_LABELS_MAX);
	p = parse(KB_NAMESPACE, many);
	assert_null(p.obj.bad);
	assert_int_equal(p.obj.n_labels, KB_OBJECT_LABELS_MAX);
	assert_string_equal(p.obj.labels[KB_OBJECT_LABELS_MAX - 1].value, "v1023");
	put_labels(many, 64 * KB_OBJECT_LABELS_MAX, KB_OBJECT_LABELS_MAX + 1);
	p = parse(KB_NAMESPACE, many);
	assert_string_equal(p.obj.bad, "too many labels");
	assert_int_equal(p.obj.n_labels, 0);
	free(many);
}

static void absurd_fields_make_it_bad(void **state)
{
	static const struct {
		enum kb_kind kind;
		const char *text;
	} rows[] = {
		{KB_SERVICE, SVC "\"spec\":[]}"},
		{KB_SERVICE, SVC "\"spec\":{}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":7}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"10.0.0\"}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"10.0.0.1\\u0000\"}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIPs\":\"10.0.0.1\"}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIPs\":[{}]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"type\":\"Weird\",\"clusterIP\":\"10.0.0.1\"}}"},
		{KB_SERVICE, SVC "\"spec\":{\"type\":\"ExternalName\"}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":65536}]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":-1}]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":1.5}]}}"},
		{KB_SERVICE,
		 SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":\"80\"}]}}"},
		{KB_SERVICE, SVC
		 "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":99999999999999999999}]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{}]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[7]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":{}}}"},
		{KB_SERVICE, SVC
		 "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":1,\"protocol\":\"X\"}]}}"},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\""},
		{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\"}}}"},
		{KB_SLICE, SLICE "\"endpoints\":{}}"},
		{KB_SLICE, SLICE "\"endpoints\":[7]}"},
		{KB_SLICE, SLICE "\"endpoints\":[{\"addresses\":[\"::1::\"]}]}"},
		{KB_SLICE, SLICE "\"endpoints\":[{\"addresses\":[\"10.0.0.01\"]}]}"},
		{KB_SLICE, SLICE "\"endpoints\":[{\"addresses\":[7]}]}"},
		{KB_SLICE, SLICE "\"endpoints\":[{\"addresses\":\"10.0.0.1\"}]}"},
		{KB_SLICE,
		 SLICE "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"::1\"]}]}"},
		{KB_SLICE, SLICE "\"addressType\":\"X\"}"},
		{KB_SLICE, SLICE "\"endpoints\":[{\"conditions\":{\"ready\":\"yes\"}}]}"},
		{KB_SLICE, SLICE "\"endpoints\":[{\"hostname\":[]}]}"},
		{KB_SLICE, SLICE "\"ports\":[{\"port\":70000}]}"},
		{KB_NAMESPACE, "{\"metadata\":{\"name\":\"web\",\"labels\":[]}}"},
		{KB_NAMESPACE, "{\"metadata\":{\"name\":\"web\",\"labels\":{\"a\":7}}}"},
		{KB_NAMESPACE, "{\"metadata\":{\"name\":\"web\",\"labels\":{\"a\\u0000\":\"\"}}}"},
		{KB_POD, POD "\"status\":7}"},
		{KB_POD, POD "\"status\":{\"phase\":7}}"},
		{KB_POD, POD "\"status\":{\"podIP\":7}}"},
		{KB_POD, POD "\"status\":{\"podIP\":\"10.1.0\"}}"},
		{KB_POD, POD "\"status\":{\"podIPs\":{}}}"},
		{KB_POD, POD "\"status\":{\"podIPs\":[\"10.1.0.1\"]}}"},
		{KB_POD, POD "\"status\":{\"podIPs\":[{\"ip\":\"web\"}]}}"},
		{KB_POD, POD "\"status\":{\"podIPs\":[{\"ip\":[]}]}}"},
		{KB_POD,
		 POD "\"status\":{\"podIPs\":[{\"ip\":\"::1\"},{\"ip\":\"::2\"},{\"ip\":\"::3\"},"
		     "{\"ip\":\"::4\"},{\"ip\":\"::5\"},{\"ip\":\"::6\"},{\"ip\":\"::7\"},"
		     "{\"ip\":\"::8\"},{\"ip\":\"::9\"}]}}"},
		{KB_POD, POD "\"status\":{\"podIP\":\"10.1.0.1\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_parsed p = parse(rows[i].kind, rows[i].text);

		if (p.result != KB_PARSE_OBJECT || !p.obj.bad)
			fail_msg("not bad: %s", rows[i].text);
		assert_string_equal(p.obj.name, "web");
		assert_int_equal(p.obj.kind, rows[i].kind);
		if (p.obj.kind == KB_SERVICE)
			assert_null(p.obj.u.service.ports);
		if (p.obj.kind == KB_POD)
			assert_int_equal(p.obj.u.pod.n_ips, 0);
	}
}

static void what_has_no_name_is_not_handed_over(void **state)
{
	static const char *const rows[] = {
		"",
		"7",
		"null",
		"[]",
		"{}",
		"{",
		"{\"metadata\":7}",
		"{\"metadata\":{}}",
		"{\"metadata\":{\"name\":7,\"namespace\":\"x\"}}",
		"{\"metadata\":{\"name\":null,\"namespace\":\"x\"}}",
		"{\"metadata\":{\"name\":\"\",\"namespace\":\"x\"}}",
		"{\"metadata\":{\"name\":\"a\\u0000b\",\"namespace\":\"x\"}}",
		"{\"metadata\":{\"name\":\"a\"}}",
		"{\"metadata\":{\"name\":\"a",
		"\xff\xfe\x00",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_parsed p = parse(KB_SERVICE, rows[i]);

		assert_int_equal(p.result, KB_PARSE_UNNAMED);
		assert_non_null(p.why);
	}
}

static void kinds(void **state)
{
	(void)state;
	assert_int_equal(
		parse(KB_KIND_MAX, "{\"kind\":\"Node\",\"apiVersion\":\"v1\"," META "}").result,
		KB_PARSE_IGNORED);
	assert_int_equal(
		parse(KB_KIND_MAX, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"," META "}").obj.kind,
		KB_POD);
	/* what is absurd in a status that we do not read spoils nothing */
	assert_null(parse(KB_NAMESPACE, "{" META ",\"status\":{\"podIPs\":7}}").obj.bad);
	assert_int_equal(parse(KB_KIND_MAX, "{\"kind\":\"Service\","
					    "\"apiVersion\":\"serving.knative.dev/v1\"," META "}")
				 .result,
			 KB_PARSE_IGNORED);
	assert_int_equal(
		parse(KB_KIND_MAX,
		      "{\"kind\":\"Foo\",\"apiVersion\":\"v1\",\"spec\":7,\"endpoints\":\"no\"}")
			.result,
		KB_PARSE_IGNORED);
	assert_int_equal(parse(KB_KIND_MAX, "{\"kind\":\"Foo\"," META "}").result,
			 KB_PARSE_UNNAMED);
	assert_int_equal(parse(KB_NAMESPACE, "{" META "}").result, KB_PARSE_OBJECT);
	assert_string_equal(parse(KB_NAMESPACE, "{" META "}").obj.ns, "");
}

static void events(void **state)
{
	struct kb_parsed p;

	(void)state;
	p = parse_event(KB_SERVICE, "{\"type\":\"ADDED\",\"object\":" SVC
				    "\"spec\":{\"clusterIP\":\"None\"}}}");
	assert_int_equal(p.event, KB_EVENT_ADDED);
	assert_int_equal(p.obj.u.service.type, KB_HEADLESS);
	p = parse_event(KB_SERVICE, "{\"object\":" SVC
				    "\"spec\":{\"clusterIP\":\"None\"}},\"type\":\"DELETED\"}");
	assert_int_equal(p.event, KB_EVENT_DELETED);
	assert_string_equal(p.obj.name, "web");
	p = parse_event(
		KB_SERVICE,
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"resourceVersion\":\"99\",\"annotations\":"
		"{\"k8s.io/initial-events-end\":\"true\"}},\"spec\":{}}}");
	assert_int_equal(p.event, KB_EVENT_BOOKMARK);
	assert_true(p.initial_events_end);
	assert_string_equal(p.resource_version, "99");
	p = parse_event(KB_SERVICE,
			"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
			"\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old\","
			"\"reason\":\"Expired\",\"code\":410}}");
	assert_int_equal(p.event, KB_EVENT_ERROR);
	assert_int_equal(p.status_code, 410);
	assert_string_equal(p.status_message, "too old");
	assert_int_equal(parse_event(KB_SERVICE, "{\"type\":\"NEW\"}").event, KB_EVENT_UNKNOWN);
	assert_int_equal(parse_event(KB_SERVICE, "{\"type\":7}").event, KB_EVENT_UNKNOWN);
}

/* An object cut off at any byte is bad or unnamed, and never taken for whole. */
static void every_prefix(void **state)
{
	static const char text[] =
		"{\"type\":\"ADDED\",\"object\":" SLICE "\"addressType\":\"IPv4\","
		"\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"hostname\":"
		"\"\\u0061\\ud83d\\ude00\"}],"
		"\"ports\":[{\"name\":\"x\",\"port\":80}]}}";

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct kb_parsed p;
		char *copy = malloc(len ? len : 1);

		if (!copy)
			abort();
		memcpy(copy, text, len);
		assert_int_equal(kb_object_parse_event(parser, KB_JSON, KB_SLICE, copy, len,
						       "too large", &p),
				 0);
		assert_true(p.malformed);
		if (p.result == KB_PARSE_OBJECT) {
			assert_string_equal(p.obj.bad, "too large");
			assert_string_equal(p.obj.name, "web");
		} else {
			assert_int_equal(p.result, KB_PARSE_UNNAMED);
		}
		free(copy);
	}
	assert_null(parse_event(KB_SLICE, text).obj.bad);
}

static void random_changes(void **state)
{
	static const char base[] =
		SLICE "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"10.0.0.1\",\"\"],"
		      "\"conditions\":{\"ready\":true},\"targetRef\":{\"kind\":\"Pod\","
		      "\"name\":\"p\"}}],\"ports\":[{\"name\":\"x\",\"port\":80}],"
		      "\"spec\":{\"clusterIPs\":[\"::1\"],\"ports\":[{\"port\":1}]}}";
	uint32_t seed = 7;
	char text[sizeof(base)];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct kb_parsed p;

		memcpy(text, base, sizeof(base));
		for (int n = 0; n <= i % 4; n++) {
			seed = seed * 1664525u + 1013904223u;
			text[(seed >> 8) % (sizeof(base) - 1)] =
				"{}[]\",:\\0n\x01\xff 9a"[(seed >> 20) % 16];
		}
		assert_int_equal(kb_object_parse(parser, KB_JSON, i & 1 ? KB_SLICE : KB_SERVICE,
						 text, sizeof(base) - 1, NULL, &p),
				 0);
	}
}

static char *big_slice(size_t endpoints, size_t padding, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		abort();
	fprintf(out, SLICE "\"addressType\":\"IPv4\",\"pad\":\"");
	for (size_t i = 0; i < padding; i++)
		fputc('x', out);
	fprintf(out, "\",\"endpoints\":[");
	for (size_t i = 0; i < endpoints; i++)
		fprintf(out, "%s{\"addresses\":[\"10.%zu.%zu.%zu\"],\"hostname\":\"h-%zu\"}",
			i ? "," : "", i >> 16, i >> 8 & 255, i & 255, i);
	fprintf(out, "]}");
	if (fclose(out))
		abort();
	return text;
}

static void large_objects_and_small_memory(void **state)
{
	struct kb_parsed p;
	size_t len;
	char *text;

	(void)state;
	text = big_slice(1000, 0, &len);
	assert_int_equal(kb_object_parse(parser, KB_JSON, KB_SLICE, text, len, NULL, &p), 0);
	assert_null(p.obj.bad);
	assert_int_equal(p.obj.u.slice.n_endpoints, 1000);
	assert_string_equal(p.obj.u.slice.endpoints[999].hostname, "h-999");
	free(text);
	text = big_slice(60000, 4 << 20, &len);
	assert_int_equal(kb_object_parse(parser, KB_JSON, KB_SLICE, text, len, NULL, &p), 0);
	assert_null(p.obj.bad);
	assert_int_equal(p.obj.u.slice.n_endpoints, 60000);
	assert_string_equal(p.obj.u.slice.endpoints[0].hostname, "h-0");
	free(text);
	parse(KB_NAMESPACE, "{" META "}");
	assert_true(kb_object_parser_memory(parser) < 256 << 10);
}

static void trigger_times(void **state)
{
	static const struct {
		const char *text;
		double want;
	} rows[] = {
		{"2026-01-01T00:00:00Z", 1767225600},
		{"2026-01-01T01:00:00+01:00", 1767225600},
		{"2025-12-31T22:30:00.25-01:30", 1767225600.25},
		{"yesterday", 0},
		{"", 0},
		{"2026-01-01T00:00:00", 0},
		{"2026-01-01T00:00:00Zx", 0},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_parsed p;

		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\",\"annotations\":"
			 "{\"endpoints.kubernetes.io/last-change-trigger-time\":\"%s\"}}}",
			 rows[i].text);
		p = parse(KB_SLICE, text);
		assert_null(p.obj.bad);
		assert_true(p.obj.u.slice.trigger_time_s == rows[i].want);
	}
}

static void list_metadata(void **state)
{
	const char *version, *next,
		*text = "{\"resourceVersion\":\"5\",\"continue\":\"abc\","
			"\"remainingItemCount\":7}";

	(void)state;
	assert_int_equal(
		kb_object_parse_list_meta(parser, KB_JSON, text, strlen(text), &version, &next), 0);
	assert_string_equal(version, "5");
	assert_string_equal(next, "abc");
	assert_int_equal(kb_object_parse_list_meta(parser, KB_JSON, "{}", 2, &version, &next), 0);
	assert_string_equal(version, "");
	assert_string_equal(next, "");
	assert_int_equal(kb_object_parse_list_meta(parser, KB_JSON, "{", 1, &version, &next),
			 -EBADMSG);
	assert_int_equal(kb_object_parse_list_meta(parser, KB_JSON, "[]", 2, &version, &next),
			 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dual_stack_service),
		cmocka_unit_test(service_rows),
		cmocka_unit_test(slice),
		cmocka_unit_test(slices_that_are_empty),
		cmocka_unit_test(pods),
		cmocka_unit_test(labels),
		cmocka_unit_test(configmaps),
		cmocka_unit_test(whole_configmaps),
		cmocka_unit_test(absurd_fields_make_it_bad),
		cmocka_unit_test(what_has_no_name_is_not_handed_over),
		cmocka_unit_test(kinds),
		cmocka_unit_test(events),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(large_objects_and_small_memory),
		cmocka_unit_test(trigger_times),
		cmocka_unit_test(list_metadata),
	};
	int r;

	if (kb_object_parser_new(&parser) < 0)
		return 1;
	r = cmocka_run_group_tests_name("object_parse", tests, NULL, NULL);
	kb_object_parser_free(parser);
	return r;
}
