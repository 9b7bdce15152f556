/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot files: good ones handed over whole, bad ones not at all. */
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
#include <uv.h>

#include "control/kube/snapshot.h"
#include "control/kube/source.h"

static struct kb_object_parser *parser;
static char path[64], err[256];

static struct {
	char log[4096];
	unsigned applied, alive;
} seen;

static void say(const char *format, enum kb_kind kind, const char *name)
{
	size_t n = strlen(seen.log);

	snprintf(seen.log + n, sizeof(seen.log) - n, format, kind, name);
}

static void on_begin(void *arg, enum kb_kind kind)
{
	(void)arg;
	say("begin%u%s ", kind, "");
}

static void on_end(void *arg, enum kb_kind kind)
{
	(void)arg;
	say("end%u%s ", kind, "");
}

static void on_abort(void *arg, enum kb_kind kind)
{
	(void)arg;
	say("abort%u%s ", kind, "");
}

static void on_apply(void *arg, const struct kb_object *obj)
{
	(void)arg;
	seen.applied++;
	say(obj->bad ? "!%u:%s " : "+%u:%s ", obj->kind, obj->name);
}

static void on_gone(void *arg, enum kb_kind kind, const char *ns, const char *name)
{
	(void)arg;
	(void)kind;
	(void)ns;
	(void)name;
	fail_msg("a snapshot has no deletions");
}

static void on_alive(void *arg, enum kb_kind kind)
{
	(void)arg;
	(void)kind;
	seen.alive++;
}

static int config_arg;

static void on_config(void *arg, const char *text)
{
	size_t n = strlen(seen.log);

	assert_ptr_equal(arg, &config_arg);
	snprintf(seen.log + n, sizeof(seen.log) - n, "config:%s ", text ? text : "NULL");
}

static const struct kb_sink sink = {
	NULL, on_begin, on_end, on_abort, on_apply, on_gone, on_alive, on_config, NULL, &config_arg,
};

static const bool usual[KB_KIND_MAX] = {
	[KB_SERVICE] = true, [KB_SLICE] = true, [KB_NAMESPACE] = true};

static void write_snapshot(const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static int load(const char *text, struct kb_snapshot_counts *ret_counts)
{
	write_snapshot(text);
	memset(&seen, 0, sizeof(seen));
	*err = 0;
	return kb_snapshot_read(path, parser, usual, &sink, ret_counts, err, sizeof(err));
}

#define SVC(name)                                                                    \
	"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"x\"},\"spec\":{\"clusterIP\":\"None\"}}"
#define NS(name) \
	"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name "\"}}"
#define POD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{}}"
#define GOOD_POD                                                                              \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":" \
	"\"x\"},\"status\":{\"podIP\":\"10.1.0.1\"}}"
#define LIST(items)                                                                    \
	"{\"apiVersion\":\"v1\",\"items\":[" items "],\"kind\":\"List\",\"metadata\":" \
	"{\"resourceVersion\":\"\"}}\n"
#define BEGIN "begin0 begin1 begin2 "
#define END   "end0 end1 end2 "

static void good_files(void **state)
{
	static const struct {
		const char *text, *log;
	} rows[] = {
		{LIST(""), BEGIN END},
		{LIST(SVC("a") "," NS("n") "," POD "," SVC("b")), BEGIN "+0:a +2:n +0:b " END},
		{LIST(SVC("a")) LIST(NS("n")), BEGIN "+0:a +2:n " END},
		{"{\"items\":null}", BEGIN END},
		/* absurd objects do not spoil the file */
		{LIST("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\","
		      "\"namespace\":\"x\"},\"spec\":7}," SVC("b")),
		 BEGIN "!0:a +0:b " END},
		{LIST("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":null}," SVC("b")),
		 BEGIN "+0:b " END},
	};
	struct kb_snapshot_counts counts;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (load(rows[i].text, &counts) < 0)
			fail_msg("row %zu: %s", i, err);
		assert_string_equal(seen.log, rows[i].log);
		assert_int_equal(counts.bytes, strlen(rows[i].text));
	}
	assert_int_equal(counts.unnamed, 1);
	assert_string_equal(counts.note,
			    "the object at byte 28 was skipped: an object without a name");
}

/* Items of a ServiceList have neither: better told than taken for a cluster without Services. */
static void items_without_kind_are_told(void **state)
{
	static const char *const items[] = {
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"}}",
		"{\"kind\":\"Service\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"}}",
		"{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"x\"}}",
	};
	struct kb_snapshot_counts counts;
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		snprintf(text, sizeof(text), "{\"items\":[%s," SVC("b") "]}", items[i]);
		assert_int_equal(load(text, &counts), 0);
		assert_string_equal(seen.log, BEGIN "+0:b " END);
		assert_int_equal(counts.unnamed, 1);
		assert_non_null(strstr(counts.note, "without kind or apiVersion"));
	}
}

static void bad_files_hand_nothing_over(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "line 1 column 1 (byte 0): no List in the file"},
		{" \n\n", "no List"},
		{"hello", "line 1 column 1 (byte 0): an object expected"},
		{"[]", "an object expected"},
		{POD, "not a List"},
		{LIST(SVC("a")) SVC("b"), "not a List"},
		{LIST(SVC("a")) "x", "line 2 column 1 (byte 183): an object expected"},
		{"{\"items\":[" SVC("a") ",\n  {\"a\" 1}]}", "line 2 column 8"},
		{"{\"items\":[" SVC("a") ",{\"kind\":\"Service\",\"apiVersion\":\"v1\","
					 "\"metadata\":{\"name\":\"b\",\"namespace\":\"x\",}}]}",
		 "a key expected"},
		{"{\"items\":[" SVC("a"), "ends within"},
		{"{\"items\":[" SVC("a") "],\"kind\":tru}", "not a JSON value"},
		{"{\"items\":[" SVC("a") "],\"metadata\":{\"continue\":\"more\"}}", "only a page"},
		{"{\"items\":[" SVC("a") "],\"metadata\":[]}", "metadata"},
		{"{\"items\":[{\"a\":\"\n\"}]}", "control character"},
		{"{\"items\":[{\"a\":[}]}", "brackets"},
	};
	struct kb_snapshot_counts counts;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(load(rows[i].text, &counts), -EBADMSG);
		if (!strstr(err, rows[i].why) || strncmp(err, path, strlen(path)))
			fail_msg("row %zu: %s", i, err);
		assert_string_equal(seen.log, "");
	}
}

static void every_truncation_is_refused(void **state)
{
	static const char text[] = LIST(SVC("a") "," NS("n"));
	char part[sizeof(text)];
	struct kb_snapshot_counts counts;

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 2; len++) {
		memcpy(part, text, len);
		part[len] = 0;
		assert_int_equal(load(part, &counts), -EBADMSG);
		assert_string_equal(seen.log, "");
	}
}

static void what_cannot_be_opened(void **state)
{
	struct kb_snapshot_counts counts;

	(void)state;
	assert_int_equal(kb_snapshot_read("/nonexistent", parser, usual, &sink, &counts, err,
					  sizeof(err)),
			 -ENOENT);
	assert_string_equal(err, "/nonexistent: No such file or directory");
	assert_int_equal(kb_snapshot_read("/tmp", parser, usual, &sink, &counts, err, sizeof(err)),
			 -EINVAL);
	assert_string_equal(err, "/tmp: not a regular file");
}

static void oversize_objects_are_skipped(void **state)
{
	struct kb_snapshot_counts counts;
	FILE *f = fopen(path, "w");

	(void)state;
	if (!f)
		abort();
	fprintf(f, "{\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":"
		   "{\"name\":\"huge\",\"namespace\":\"x\",\"annotations\":{\"a\":\"");
	for (int i = 0; i < 9 << 20; i++)
		fputc('z', f);
	fprintf(f, "\"}}},{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"");
	for (int i = 0; i < 9 << 20; i++)
		fputc('z', f);
	fprintf(f, "\"}}," SVC("b") "]}");
	if (fclose(f))
		abort();
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(kb_snapshot_read(path, parser, usual, &sink, &counts, err, sizeof(err)),
			 0);
	assert_string_equal(seen.log, BEGIN "!0:huge +0:b " END);
	assert_int_equal(counts.unnamed, 0);
	assert_int_equal(counts.bad[KB_SERVICE], 1);
}

/* A Pod may be as large as its annotations and its status are. */
static void oversize_pods_are_bad(void **state)
{
	static const bool want[KB_KIND_MAX] = {[KB_POD] = true};
	struct kb_snapshot_counts counts;
	FILE *f = fopen(path, "w");

	(void)state;
	if (!f)
		abort();
	fprintf(f, "{\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":"
		   "\"large\",\"namespace\":\"x\"},\"spec\":{\"a\":\"");
	for (int i = 0; i < 7 << 20; i++)
		fputc('z', f);
	fprintf(f,
		"\"},\"status\":{\"podIP\":\"10.1.0.1\"}},{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
		"\"metadata\":{\"name\":\"huge\",\"namespace\":\"x\"},\"status\":{\"podIP\":"
		"\"10.1.0.2\",\"a\":[");
	for (int i = 0; i < 3 << 20; i++)
		fputs("{},", f);
	fprintf(f, "{}]}}," GOOD_POD "," SVC("b") "]}");
	if (fclose(f))
		abort();
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(kb_snapshot_read(path, parser, want, &sink, &counts, err, sizeof(err)), 0);
	assert_string_equal(seen.log, "begin3 +3:large !3:huge +3:p end3 ");
	assert_int_equal(counts.bad[KB_POD], 1);
	assert_true(kb_object_parser_memory(parser) < 256 << 10);
}

static void rewrite_while_read(void *arg, enum kb_kind kind)
{
	on_begin(arg, kind);
	write_snapshot(LIST(SVC("c")));
}

static void a_file_that_changes_is_aborted(void **state)
{
	struct kb_sink meddling = sink;
	struct kb_snapshot_counts counts;

	(void)state;
	meddling.relist_begin = rewrite_while_read;
	write_snapshot(LIST(SVC("a") "," SVC("b")));
	memset(&seen, 0, sizeof(seen));
	assert_true(kb_snapshot_read(path, parser, usual, &meddling, &counts, err, sizeof(err)) <
		    0);
	assert_string_equal(seen.log, BEGIN "+0:c abort0 abort1 abort2 ");
	assert_non_null(strstr(err, "changed while"));
}

static void as_a_source(void **state)
{
	struct kb_source_config config = {.snapshot = path};
	struct kb_source_kind_status st;
	struct kb_source *source;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	write_snapshot("{\"items\":[");
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)), 0);
	assert_string_equal(kb_source_name(source) + strlen("snapshot "), path);
	assert_true(kb_source_start(source, err, sizeof(err)) < 0);
	assert_string_equal(seen.log, "");
	write_snapshot(LIST(SVC("a")));
	assert_int_equal(kb_source_start(source, err, sizeof(err)), 0);
	assert_string_equal(seen.log, BEGIN "+0:a " END);
	assert_int_equal(seen.alive, 3);
	kb_source_status(source, KB_POD, &st);
	assert_false(st.wanted);
	assert_false(st.synced);
	kb_source_status(source, KB_SLICE, &st);
	assert_true(st.synced);
	assert_int_equal(st.relists, 1);
	/* a bad file on reload changes nothing and is told */
	write_snapshot("{");
	seen.log[0] = 0;
	assert_true(kb_source_reload(source, err, sizeof(err)) < 0);
	assert_string_equal(seen.log, "");
	kb_source_status(source, KB_SLICE, &st);
	assert_true(st.synced);
	assert_string_equal(st.error, err);
	kb_source_free(source);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);

	config.kubeconfig = path;
	assert_int_equal(kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)), -EINVAL);
}

static void what_is_read_is_chosen(void **state)
{
	static const char text[] = LIST(SVC("a") "," NS("n") "," GOOD_POD);
	static const struct {
		bool no_endpoints, pods;
		const char *log;
	} rows[] = {
		{false, false, BEGIN "+0:a +2:n " END},
		{false, true, BEGIN "begin3 +0:a +2:n +3:p " END "end3 "},
		{true, false, "begin0 begin2 +0:a +2:n end0 end2 "},
		{true, true, "begin0 begin2 begin3 +0:a +2:n +3:p end0 end2 end3 "},
	};
	struct kb_source_kind_status st;
	uv_loop_t loop;

	(void)state;
	write_snapshot(text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_source_config config = {.snapshot = path,
						  .no_endpoints = rows[i].no_endpoints,
						  .pods = rows[i].pods};
		struct kb_source *source;

		uv_loop_init(&loop);
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)),
				 0);
		assert_int_equal(kb_source_start(source, err, sizeof(err)), 0);
		assert_string_equal(seen.log, rows[i].log);
		kb_source_status(source, KB_SLICE, &st);
		assert_int_equal(st.wanted, !rows[i].no_endpoints);
		kb_source_status(source, KB_POD, &st);
		assert_int_equal(st.wanted, rows[i].pods);
		assert_int_equal(st.synced, rows[i].pods);
		kb_source_free(source);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
}

#define LABELLED(kind, name, labels)                                                  \
	"{\"apiVersion\":\"v1\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"x\",\"labels\":{" labels "}},\"spec\":{\"clusterIP\":\"None\"}}"

static void a_selector_keeps_objects_back(void **state)
{
	static const char text[] = LIST(LABELLED("Service", "a", "\"app\":\"web\"") "," LABELLED(
		"Service", "b",
		"\"app\":\"db\"") "," LABELLED("Service", "c",
					       "") "," LABELLED("Pod", "p",
								"\"app\":\"web\"") "," LABELLED("Po"
												"d",
												"q",
												"\""
												"ap"
												"p"
												"\""
												":"
												"\""
												"x"
												"\"") ","
					/* namespaces are not selected, and what is bad is never
					   kept back */
					NS("n") ","
						"{\"apiVersion\":\"v1\",\"kind\":\"Service\","
						"\"metadata\":{\"name\":\"bad\","
						"\"namespace\":\"x\",\"labels\":{\"app\":\"db\"}},"
						"\"spec\":7}");
	struct kb_source_config config = {.snapshot = path, .pods = true, .labels = "app in (web)"};
	struct kb_source *source;
	uv_loop_t loop;

	(void)state;
	write_snapshot(text);
	uv_loop_init(&loop);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)), 0);
	assert_int_equal(kb_source_start(source, err, sizeof(err)), 0);
	assert_string_equal(seen.log, BEGIN "begin3 +0:a +3:p +2:n !0:bad " END "end3 ");
	/* an object whose labels have changed is simply not there any more */
	write_snapshot(LIST(LABELLED("Service", "a", "\"app\":\"webs\"")));
	seen.log[0] = 0;
	assert_int_equal(kb_source_reload(source, err, sizeof(err)), 0);
	assert_string_equal(seen.log, BEGIN "begin3 " END "end3 ");
	kb_source_free(source);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);

	config.labels = "app in";
	assert_int_equal(kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "label selector \"app in\": it ends where \"(\" is expected");
}

#define CONFIGMAP(ns, name, data)                                                        \
	"{\"apiVersion\":\"v1\",\"data\":" data ",\"kind\":\"ConfigMap\",\"metadata\":{" \
	"\"name\":\"" name "\",\"namespace\":\"" ns "\"}}"

static void a_configmap_is_told(void **state)
{
	static const struct {
		const char *text, *log;
	} rows[] = {
		{LIST(SVC("a")), "config:NULL "},
		{LIST(CONFIGMAP("dns", "other", "{\"Corefile\":\"x\"}") "," CONFIGMAP(
			 "x", "core", "{\"Corefile\":\"x\"}")),
		 ""},
		{LIST(CONFIGMAP("dns", "core",
				"{\"a\":7,\"Corefile\":\".:53 {\\n}\",\"corefile\":\"no\"}")),
		 "config:.:53 {\n} "},
		/* the same again is no news */
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\".:53 {\\n}\"}")), ""},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\"\"}")), "config: "},
		{LIST(CONFIGMAP("dns", "core", "{}")), "config:NULL "},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\"b\"}")), "config:b "},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":7}")), "config:NULL "},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\"b\"}")), "config:b "},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\"b\\u0000\"}")), "config:NULL "},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\"b\"}")), "config:b "},
		{LIST(CONFIGMAP("dns", "core", "null")), "config:NULL "},
		{LIST(CONFIGMAP("dns", "core", "{\"Corefile\":\"b\"}")), "config:b "},
		{LIST(""), "config:NULL "},
	};
	struct kb_source_config config = {
		.snapshot = path, .configmap = "dns/core", .configmap_key = "Corefile"};
	struct kb_source *source;
	char want[256];
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_snapshot(rows[i].text);
		memset(&seen, 0, sizeof(seen));
		if (kb_source_reload(source, err, sizeof(err)))
			fail_msg("row %zu: %s", i, err);
		/* told within the list, or at its end when it is missing */
		if (strstr(rows[i].text, "\"core\",\"namespace\":\"dns\""))
			snprintf(want, sizeof(want), BEGIN "%s" END, rows[i].log);
		else
			snprintf(want, sizeof(want), BEGIN "%s" END "%s", i ? "" : "+0:a ",
				 rows[i].log);
		assert_string_equal(seen.log, want);
	}
	kb_source_free(source);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void on_object(void *arg, const struct kb_object *obj)
{
	const struct kb_configmap *c = obj ? &obj->u.configmap : NULL;
	char *log = arg;

	log += strlen(log);
	if (!obj)
		log += sprintf(log, "NULL ");
	else if (obj->bad)
		log += sprintf(log, "bad ");
	for (size_t i = 0; obj && !obj->bad && i < c->n_data; i++)
		log += sprintf(log, "%s=%s ", c->data[i].key, c->data[i].value);
	strcpy(log, ";");
}

/* All keys, and nothing else is read. */
static void a_whole_configmap_is_told(void **state)
{
	static const struct {
		const char *text, *log;
	} rows[] = {
		{LIST(SVC("a")), "NULL ;"},
		{LIST(CONFIGMAP("dns", "core", "{\"a\":\"x\",\"b\":\"y\"}")), "a=x b=y ;"},
		{LIST(SVC("a") "," CONFIGMAP("dns", "core", "{\"a\":\"x\",\"b\":\"y\"}")), ""},
		{LIST(CONFIGMAP("dns", "core", "{\"a\":\"x\",\"b\":\"yz\"}")), "a=x b=yz ;"},
		{LIST(CONFIGMAP("dns", "core", "{\"a\":7}")), "bad ;"},
		{LIST(CONFIGMAP("dns", "core", "{\"a\":7}")), ""},
		{LIST(CONFIGMAP("dns", "core", "{}")), ";"},
		{LIST(CONFIGMAP("dns", "core", "null")), ""},
		{LIST(""), "NULL ;"},
		{LIST(CONFIGMAP("dns", "core", "{}")), ";"},
	};
	struct kb_source_config config = {
		.snapshot = path, .configmap = "dns/core", .configmap_only = true};
	char log[256];
	struct kb_sink only = {.config_object = on_object, .config_arg = log};
	struct kb_source *source;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(kb_source_new(&loop, &config, &only, &source, err, sizeof(err)), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_snapshot(rows[i].text);
		*log = '\0';
		if (kb_source_reload(source, err, sizeof(err)))
			fail_msg("row %zu: %s", i, err);
		assert_string_equal(log, rows[i].log);
	}
	kb_source_free(source);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void names_of_configmaps(void **state)
{
	static const char *const rows[] = {"",	  "a",	  "a/",	  "/b",	     "a/b/c", "a/B",
					   "a/.", "../b", "a/b?", "a/b c\n", "a%2F/b"};
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_source_config config = {
			.snapshot = path, .configmap = rows[i], .configmap_key = "Corefile"};
		struct kb_source *source;

		if (kb_source_new(&loop, &config, &sink, &source, err, sizeof(err)) != -EINVAL)
			fail_msg("taken: %s", rows[i]);
		assert_non_null(strstr(err, "not of the form NAMESPACE/NAME"));
	}
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* The snapshot that ships: run from the root of the repository. */
static void the_demo_cluster(void **state)
{
	struct kb_snapshot_counts counts;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	if (kb_snapshot_read("scripts/demo/cluster.json", parser, usual, &sink, &counts, err,
			     sizeof(err)))
		fail_msg("%s", err);
	assert_int_equal(counts.unnamed, 0);
	for (int k = 0; k < KB_KIND_MAX; k++)
		assert_int_equal(counts.bad[k], 0);
	assert_int_equal(counts.objects[KB_SERVICE], 31);
	assert_true(counts.objects[KB_SLICE] > 40);
	assert_int_equal(counts.objects[KB_NAMESPACE], 9);
}

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/kbdns-test-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return kb_object_parser_new(&parser);
}

static int teardown(void **state)
{
	(void)state;
	kb_object_parser_free(parser);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files),
		cmocka_unit_test(items_without_kind_are_told),
		cmocka_unit_test(bad_files_hand_nothing_over),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(what_cannot_be_opened),
		cmocka_unit_test(oversize_objects_are_skipped),
		cmocka_unit_test(oversize_pods_are_bad),
		cmocka_unit_test(a_file_that_changes_is_aborted),
		cmocka_unit_test(as_a_source),
		cmocka_unit_test(what_is_read_is_chosen),
		cmocka_unit_test(a_selector_keeps_objects_back),
		cmocka_unit_test(a_configmap_is_told),
		cmocka_unit_test(a_whole_configmap_is_told),
		cmocka_unit_test(names_of_configmaps),
		cmocka_unit_test(the_demo_cluster),
	};

	return cmocka_run_group_tests_name("snapshot", tests, setup, teardown);
}
