/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf reader, and that it makes of an object what the JSON reader makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "control/kube/object_parse.h"
#include "control/kube/pb.h"
#include "tests/unit/object_text.h"
#include "tests/unit/pb_encode.h"

static struct kb_object_parser *parser;

static const char *const names[] = {[KB_SERVICE] = "Service",
				    [KB_SLICE] = "EndpointSlice",
				    [KB_NAMESPACE] = "Namespace",
				    [KB_POD] = "Pod",
				    [KB_CONFIGMAP] = "ConfigMap"};

/* Reads `len` bytes with nothing readable behind them, for the sanitizer's sake. */
static struct kb_parsed parse(enum pb_text what, enum kb_kind kind, const char *bytes, size_t len,
			      const char *bad)
{
	char *copy = malloc(len ? len : 1);
	struct kb_parsed p;
	int r;

	if (!copy)
		abort();
	memcpy(copy, bytes, len);
	r = what == PB_EVENT ? kb_object_parse_event(parser, KB_PROTOBUF, kind, copy, len, bad, &p)
			     : kb_object_parse(parser, KB_PROTOBUF, kind, copy, len, bad, &p);
	assert_int_equal(r, 0);
	free(copy);
	return p;
}

static void same(enum pb_text what, enum kb_kind kind, const char *json)
{
	const char *name = kind == KB_KIND_MAX ? "" : names[kind];
	struct kb_parsed p;
	char *bytes, *of_json, *of_pb;
	size_t len;
	int r;

	r = what == PB_EVENT
		    ? kb_object_parse_event(parser, KB_JSON, kind, json, strlen(json), NULL, &p)
		    : kb_object_parse(parser, KB_JSON, kind, json, strlen(json), NULL, &p);
	assert_int_equal(r, 0);
	assert_false(p.malformed);
	of_json = object_text(&p);
	bytes = pb_encode(what, name, json, &len);
	p = parse(what, kind, bytes, len, NULL);
	assert_false(p.malformed);
	of_pb = object_text(&p);
	if (strcmp(of_json, of_pb) != 0)
		fail_msg("%s\nas JSON:     %s\nas protobuf: %s", json, of_json, of_pb);
	free(bytes);
	free(of_json);
	free(of_pb);
}

#define META   "\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"resourceVersion\":\"12\"}"
#define SVC    "{\"kind\":\"Service\",\"apiVersion\":\"v1\"," META ","
#define CONFIG "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\"," META ","
#define POD    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"," META ","
#define SLICE  "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\"," META ","

static const struct {
	enum kb_kind kind;
	const char *json;
} rows[] = {
	{KB_SERVICE,
	 SVC "\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80,"
	     "\"nodePort\":30080},{\"protocol\":\"UDP\",\"port\":53},{\"port\":0},"
	     "{\"name\":\"s\",\"protocol\":\"SCTP\",\"port\":65535}],\"selector\":{\"a\":\"b\"},"
	     "\"clusterIP\":\"10.96.0.1\",\"clusterIPs\":[\"10.96.0.1\",\"fd00::1\"],"
	     "\"sessionAffinity\":\"None\",\"publishNotReadyAddresses\":true,"
	     "\"type\":\"NodePort\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"10.0.0.1\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"\",\"clusterIPs\":[\"\",\"fd00::2\"]}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"type\":\"ClusterIP\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIPs\":[\"None\"],\"type\":\"\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"a.example.\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"type\":\"LoadBalancer\",\"clusterIP\":\"10.0.0.1\"}}"},
	{KB_SLICE,
	 "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":{"
	 "\"name\":\"web-1\",\"generateName\":\"web-\",\"namespace\":\"shop\",\"uid\":\"u\","
	 "\"resourceVersion\":\"9\",\"generation\":3,\"labels\":{\"x\":\"y\","
	 "\"kubernetes.io/service-name\":\"web\"},\"annotations\":{"
	 "\"endpoints.kubernetes.io/last-change-trigger-time\":\"2026-01-02T03:04:05.5Z\"}},"
	 "\"addressType\":\"IPv4\",\"endpoints\":["
	 "{\"addresses\":[\"10.1.0.1\",\"10.1.0.2\"],\"conditions\":{\"ready\":true},"
	 "\"hostname\":\"web-0\",\"targetRef\":{\"kind\":\"Pod\",\"namespace\":\"shop\","
	 "\"name\":\"pod-0\"},\"nodeName\":\"n\"},"
	 "{\"addresses\":[\"10.1.0.3\"],\"conditions\":{\"ready\":false,\"serving\":true},"
	 "\"targetRef\":{\"kind\":\"Node\",\"name\":\"n\"}},"
	 "{\"addresses\":[\"10.1.0.4\"],\"conditions\":{},\"hostname\":\"\"},"
	 "{\"addresses\":[\"10.1.0.5\"],\"targetRef\":{\"kind\":\"Pod\",\"name\":\"\"}},"
	 "{\"addresses\":[]},{}],"
	 "\"ports\":[{\"name\":\"\",\"port\":8080,\"protocol\":\"TCP\"},{\"name\":\"any\"},"
	 "{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\"}]}"},
	{KB_SLICE, SLICE "\"addressType\":\"IPv6\",\"endpoints\":[{\"addresses\":[\"fd00::9\"]}]}"},
	{KB_SLICE, SLICE "\"addressType\":\"FQDN\",\"endpoints\":[{\"addresses\":[\"a.b\"]}]}"},
	{KB_SLICE, SLICE "\"addressType\":\"IPv4\"}"},
	{KB_NAMESPACE, "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\"," META "}"},
	{KB_NAMESPACE,
	 "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\","
	 "\"labels\":{\"a\":\"\",\"kubernetes.io/metadata.name\":\"web\"}}}"},
	{KB_POD,
	 POD "\"status\":{\"phase\":\"Running\",\"hostIP\":\"10.0.0.9\","
	     "\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"},{}]}}"},
	{KB_POD, POD "\"status\":{\"phase\":\"Succeeded\",\"podIP\":\"10.0.0.1\"}}"},
	{KB_POD, POD "\"status\":{}}"},
	{KB_POD,
	 "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\","
	 "\"deletionTimestamp\":\"2026-01-02T03:04:05Z\",\"labels\":{\"x\":\"y\"}},"
	 "\"status\":{\"podIP\":\"10.0.0.1\"}}"},
	{KB_CONFIGMAP, CONFIG "\"data\":{\"Corefile\":\".:53 {\\n}\",\"x\":\"y\"}}"},
	{KB_CONFIGMAP, CONFIG "\"data\":{\"x\":\"y\"}}"},
	/* the absurd */
	{KB_CONFIGMAP, CONFIG "\"data\":{\"Corefile\":7}}"},
	{KB_POD, POD "\"status\":7}"},
	{KB_POD, POD "\"status\":{\"podIP\":\"10.0.0\"}}"},
	{KB_POD, POD "\"status\":{\"podIPs\":[{\"ip\":\"10.0.0\"}]}}"},
	{KB_POD, POD "\"status\":{\"podIPs\":[7]}}"},
	{KB_NAMESPACE,
	 "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\","
	 "\"labels\":{\"a\":7}}}"},
	{KB_SERVICE, SVC "\"spec\":{}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":7}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"10.0.0\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"10.0.0.1\\u0000\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIPs\":[7]}}"},
	{KB_SERVICE, SVC "\"spec\":{\"type\":\"Weird\",\"clusterIP\":\"10.0.0.1\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"type\":\"ExternalName\"}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":65536}]}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":-1}]}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":\"80\"}]}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{}]}}"},
	{KB_SERVICE, SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[7]}}"},
	{KB_SERVICE,
	 SVC "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":1,\"protocol\":\"X\"}]}}"},
	{KB_SERVICE, SVC "\"spec\":7}"},
	{KB_SLICE, SLICE "\"endpoints\":[7]}"},
	{KB_SLICE, SLICE "\"endpoints\":[{\"addresses\":[\"::1::\"]}]}"},
	{KB_SLICE, SLICE "\"endpoints\":[{\"addresses\":[7]}]}"},
	{KB_SLICE, SLICE "\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"::1\"]}]}"},
	{KB_SLICE, SLICE "\"addressType\":\"X\"}"},
	{KB_SLICE, SLICE "\"endpoints\":[{\"conditions\":{\"ready\":\"yes\"}}]}"},
	{KB_SLICE, SLICE "\"endpoints\":[{\"hostname\":7}]}"},
	{KB_SLICE, SLICE "\"ports\":[{\"port\":70000}]}"},
	/* without a name */
	{KB_SERVICE, "{\"kind\":\"Service\",\"apiVersion\":\"v1\"}"},
	{KB_SERVICE, "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":7}"},
	{KB_SERVICE, "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"}}"},
	{KB_SLICE, "{\"kind\":\"Service\",\"apiVersion\":\"v1\"," META "}"},
};

static void both_readers_agree(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *event;

		/* A bare object is of the kind that the list is of. */
		if (strstr(rows[i].json, names[rows[i].kind]))
			same(PB_BARE, rows[i].kind, rows[i].json);
		same(PB_WRAPPED, rows[i].kind, rows[i].json);
		same(PB_WRAPPED, KB_KIND_MAX, rows[i].json);
		if (asprintf(&event, "{\"type\":\"MODIFIED\",\"object\":%s}", rows[i].json) < 0)
			abort();
		same(PB_EVENT, rows[i].kind, event);
		free(event);
	}
}

static void both_readers_agree_on_all_keys(void **state)
{
	kb_object_parser_config_all(parser);
	both_readers_agree(state);
	kb_object_parser_config_key(parser, "Corefile");
}

static void events_agree(void **state)
{
	static const char *const events[] = {
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"resourceVersion\":\"99\",\"annotations\":"
		"{\"k8s.io/initial-events-end\":\"true\"}},\"spec\":{}}}",
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"apiVersion\":\"v1\","
		"\"metadata\":{\"resourceVersion\":\"100\"},\"spec\":{}}}",
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
		"\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old\","
		"\"reason\":\"Expired\",\"code\":410}}",
		"{\"type\":\"NEW\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}}",
		"{\"type\":\"NEW\"}",
		"{\"type\":7}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		same(PB_EVENT, KB_SERVICE, events[i]);
}

/* An object cut off at any byte is bad or unnamed, and never taken for whole. */
static void every_prefix(void **state)
{
	char *json, *bytes;
	size_t len;

	(void)state;
	if (asprintf(&json, "{\"type\":\"ADDED\",\"object\":%s}", rows[7].json) < 0)
		abort();
	bytes = pb_encode(PB_EVENT, "", json, &len);
	for (size_t n = 0; n < len; n++) {
		struct kb_parsed p = parse(PB_EVENT, KB_SLICE, bytes, n, "too large");

		if (p.result == KB_PARSE_OBJECT) {
			assert_string_equal(p.obj.bad, "too large");
			assert_string_equal(p.obj.name, "web-1");
		} else {
			assert_int_equal(p.result, KB_PARSE_UNNAMED);
		}
		p = parse(PB_EVENT, KB_SLICE, bytes, n, NULL);
		assert_true(p.result == KB_PARSE_UNNAMED || p.obj.bad);
	}
	assert_null(parse(PB_EVENT, KB_SLICE, bytes, len, NULL).obj.bad);
	free(bytes);
	free(json);
}

static void random_changes(void **state)
{
	uint32_t seed = 7;
	char *bytes, *text;
	size_t len;

	(void)state;
	bytes = pb_encode(PB_WRAPPED, "", rows[7].json, &len);
	text = malloc(len);
	if (!text)
		abort();
	for (int i = 0; i < 100000; i++) {
		struct kb_parsed p;

		memcpy(text, bytes, len);
		for (int n = 0; n <= i % 4; n++) {
			seed = seed * 1664525u + 1013904223u;
			text[(seed >> 8) % len] = (char)(seed >> 24);
		}
		assert_int_equal(
			kb_object_parse(parser, KB_PROTOBUF, KB_SLICE, text, len, NULL, &p), 0);
		free(object_text(&p));
	}
	free(text);
	free(bytes);
}

static void what_the_wrapper_may_say(void **state)
{
	static const char early[] = "k8s\0"
				    "\x12\x0d\x0a\x0b\x0a\x03web\x1a\x04shop"
				    "\x0a\x0f\x0a\x02v1\x12\x09Namespace";
	struct kb_parsed p;
	char *bytes;
	size_t len;

	(void)state;
	bytes = pb_encode(PB_WRAPPED, "", "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\"," META "}",
			  &len);
	assert_null(parse(PB_WRAPPED, KB_NAMESPACE, bytes, len, NULL).obj.bad);
	/* The last two fields, of two bytes each, are contentEncoding and contentType. */
	bytes = realloc(bytes, len + 4);
	if (!bytes)
		abort();
	memcpy(bytes + len - 4, "\x1a\4gzip\"", 8);
	bytes[len + 3] = 0;
	p = parse(PB_WRAPPED, KB_NAMESPACE, bytes, len + 2, NULL);
	assert_int_equal(p.result, KB_PARSE_OBJECT);
	assert_non_null(p.obj.bad);
	free(bytes);
	/* protobuf does not promise an order */
	p = parse(PB_WRAPPED, KB_KIND_MAX, early, sizeof(early) - 1, NULL);
	assert_int_equal(p.result, KB_PARSE_OBJECT);
	assert_null(p.obj.bad);
	assert_string_equal(p.obj.name, "web");
	assert_int_equal(p.obj.kind, KB_NAMESPACE);
}

static void fields_of_a_message(void **state)
{
	static const char bytes[] = "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" /* 1: -1 */
				    "\x11"
				    "12345678" /* 2: fixed64 */
				    "\x1d"
				    "1234"     /* 3: fixed32 */
				    "\x22\x00" /* 4: "" */
				    "\xfa\xff\xff\xff\x0f\x02hi";
	struct kb_pb_field f;
	struct kb_pb m;

	(void)state;
	kb_pb_init(&m, bytes, sizeof(bytes) - 1);
	assert_true(kb_pb_next(&m, &f));
	assert_true(f.number == 1 && f.type == KB_PB_VARINT && f.value == UINT64_MAX);
	assert_true(kb_pb_next(&m, &f));
	assert_true(f.number == 2 && f.type == KB_PB_FIXED64);
	assert_true(kb_pb_next(&m, &f));
	assert_true(f.number == 3 && f.type == KB_PB_FIXED32);
	assert_true(kb_pb_next(&m, &f));
	assert_true(f.number == 4 && f.type == KB_PB_BYTES && f.len == 0);
	assert_true(kb_pb_next(&m, &f));
	assert_true(f.number == (1u << 29) - 1 && f.len == 2 && !memcmp(f.bytes, "hi", 2));
	assert_false(kb_pb_next(&m, &f));
	assert_null(m.error);
}

static void broken_messages(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		unsigned fields; /* before the error */
	} broken[] = {
		{"\x08", 1, 0},			    /* a tag alone */
		{"\x80", 1, 0},			    /* half a tag */
		{"\x08\xff", 2, 0},		    /* half a number */
		{"\x00\x01", 2, 0},		    /* field 0 */
		{"\x0b\x01\x0c", 3, 0},		    /* a group */
		{"\x0f\x01", 2, 0},		    /* type 7 */
		{"\x80\x80\x80\x80\x10\x01", 6, 0}, /* field 2^29 */
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, 0},
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 12, 0},
		{"\x0d\x01\x02\x03", 4, 0},
		{"\x09\x01\x02\x03\x04\x05\x06\x07", 8, 0},
		{"\x0a\x03hi", 4, 1}, /* delivered as far as it goes */
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01hi", 13, 1},
		{"\x08\x01\x0a", 3, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct kb_pb_field f;
		unsigned n = 0;
		struct kb_pb m;

		kb_pb_init(&m, broken[i].bytes, broken[i].len);
		while (kb_pb_next(&m, &f))
			n++;
		if (!m.error || n != broken[i].fields)
			fail_msg("row %zu: %u fields, %s", i, n, m.error ? m.error : "no error");
		assert_false(kb_pb_next(&m, &f));
	}
}

static void list_metadata(void **state)
{
	const char *version, *next;
	char *bytes;
	size_t len;

	(void)state;
	bytes = pb_encode(PB_LISTMETA, "",
			  "{\"resourceVersion\":\"5\",\"continue\":\"abc\","
			  "\"remainingItemCount\":7}",
			  &len);
	assert_int_equal(
		kb_object_parse_list_meta(parser, KB_PROTOBUF, bytes, len, &version, &next), 0);
	assert_string_equal(version, "5");
	assert_string_equal(next, "abc");
	assert_int_equal(kb_object_parse_list_meta(parser, KB_PROTOBUF, bytes, len - 1, &version,
						   &next),
			 -EBADMSG);
	assert_int_equal(kb_object_parse_list_meta(parser, KB_PROTOBUF, "", 0, &version, &next), 0);
	assert_string_equal(version, "");
	assert_string_equal(next, "");
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_readers_agree),
		cmocka_unit_test(both_readers_agree_on_all_keys),
		cmocka_unit_test(events_agree),
		cmocka_unit_test(every_prefix),
		cmocka_unit_test(random_changes),
		cmocka_unit_test(what_the_wrapper_may_say),
		cmocka_unit_test(fields_of_a_message),
		cmocka_unit_test(broken_messages),
		cmocka_unit_test(list_metadata),
	};
	int r;

	if (kb_object_parser_new(&parser) < 0)
		return 1;
	kb_object_parser_config_key(parser, "Corefile");
	r = cmocka_run_group_tests_name("pb", tests, NULL, NULL);
	kb_object_parser_free(parser);
	return r;
}
