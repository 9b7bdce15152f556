/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading a cluster's objects costs, without making names of them.
 *
 *   read_cost source KUBECONFIG
 *	a source with Pods, whose sink only counts: one line for each kind (objects, addresses,
 *	body bytes, seconds until synced) and one for the CPU of this process, TLS and HTTP/2
 *	included
 *   read_cost pods FILE N
 *	a list of Pods as an API server sent it, in JSON or protobuf (by its first bytes): cut
 *	and read until N Pods are through
 *
 * bench/read_cost runs both on a real API server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

#include "control/kube/json_split.h"
#include "control/kube/object_parse.h"
#include "control/kube/pb_split.h"
#include "control/kube/source.h"

#define LIMIT_S 240
#define PIECE	(16 << 10) /* bytes */

static struct {
	uint64_t objects[KB_KIND_MAX], addresses[KB_KIND_MAX], start_ns;
	double synced_s[KB_KIND_MAX];
} t;

static void on_bracket(void *arg, enum kb_kind kind)
{
	(void)arg;
	(void)kind;
}

static void on_end(void *arg, enum kb_kind kind)
{
	(void)arg;
	t.synced_s[kind] = (double)(uv_hrtime() - t.start_ns) / 1e9;
}

static void on_apply(void *arg, const struct kb_object *obj)
{
	(void)arg;
	t.objects[obj->kind]++;
	t.addresses[obj->kind] += obj->kind == KB_POD	    ? obj->u.pod.n_ips
				  : obj->kind == KB_SLICE   ? obj->u.slice.n_endpoints
				  : obj->kind == KB_SERVICE ? obj->u.service.n_cluster_ips
							    : 0;
}

static void on_gone(void *arg, enum kb_kind kind, const char *ns, const char *name)
{
	(void)arg;
	(void)kind;
	(void)ns;
	(void)name;
}

static const struct kb_sink sink = {
	.relist_begin = on_bracket,
	.relist_end = on_end,
	.relist_abort = on_bracket,
	.apply = on_apply,
	.gone = on_gone,
};

static bool done(const struct kb_source *source)
{
	for (int k = 0; k < KB_KIND_MAX; k++) {
		struct kb_source_kind_status st;

		kb_source_status(source, (enum kb_kind)k, &st);
		if (st.wanted && !st.synced)
			return false;
	}
	return true;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer; /* only wakes the loop, so that waiting ends in time */
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void report(const struct kb_source *source)
{
	struct rusage u;

	for (int k = 0; k < KB_KIND_MAX; k++) {
		struct kb_source_kind_status st;

		kb_source_status(source, (enum kb_kind)k, &st);
		if (!st.wanted)
			continue;
		printf("%s: %llu objects, %llu addresses, %.1f MB, synced after %.2f s%s%s\n",
		       kb_source_kind_name((enum kb_kind)k), (unsigned long long)t.objects[k],
		       (unsigned long long)t.addresses[k], (double)st.bytes / 1e6, t.synced_s[k],
		       *st.error ? ", " : "", st.error);
	}
	getrusage(RUSAGE_SELF, &u);
	printf("CPU %.2f s (user %.2f, system %.2f), peak of resident memory %.1f MB\n",
	       seconds(u.ru_utime) + seconds(u.ru_stime), seconds(u.ru_utime), seconds(u.ru_stime),
	       (double)u.ru_maxrss / 1024);
}

static int run_source(const char *kubeconfig)
{
	struct kb_source_config config = {.kubeconfig = kubeconfig, .pods = true};
	struct kb_source *source;
	uv_timer_t ticker;
	char err[256];

	t.start_ns = uv_hrtime();
	uv_timer_init(uv_default_loop(), &ticker);
	uv_timer_start(&ticker, on_tick, 100, 100);
	if (kb_source_new(uv_default_loop(), &config, &sink, &source, err, sizeof(err)) < 0 ||
	    kb_source_start(source, err, sizeof(err)) < 0) {
		fprintf(stderr, "read_cost: %s\n", err);
		return 1;
	}
	while (!done(source) && uv_hrtime() - t.start_ns < LIMIT_S * 1000000000ull)
		uv_run(uv_default_loop(), UV_RUN_ONCE);
	report(source);
	return !done(source);
}

/* The list in memory, read as a watch reads it: in the pieces that curl hands over. */

struct list {
	struct kb_object_parser *parser;
	enum kb_encoding encoding;
};

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	struct list *l = arg;
	struct kb_parsed p;
	int r = kb_object_parse(l->parser, l->encoding, KB_POD, text, len, NULL, &p);

	(void)offset;
	if (r < 0 || p.result != KB_PARSE_OBJECT || p.obj.bad)
		return -EBADMSG;
	on_apply(NULL, &p.obj);
	return 0;
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	(void)arg;
	(void)head;
	(void)len;
	(void)offset;
	(void)why;
	return -EBADMSG;
}

static const struct kb_split_ops split_ops = {.item = on_item, .skipped = on_skipped};

static char *read_whole(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb"), *out;
	char *text = NULL, piece[1 << 16];
	size_t n;

	out = open_memstream(&text, ret_len);
	if (!f || !out) {
		perror(path);
		exit(1);
	}
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		fwrite(piece, 1, n, out);
	fclose(f);
	fclose(out);
	return text;
}

static int feed_all(struct list *l, const char *text, size_t len)
{
	struct kb_json_split *json;
	struct kb_pb_split *pb;
	size_t at, n;
	int r = 0;

	if (kb_json_split_new(KB_SPLIT_LIST, 0, &split_ops, l, &json) < 0 ||
	    kb_pb_split_new(KB_SPLIT_LIST, 0, &split_ops, l, &pb) < 0)
		abort();
	for (at = 0; !r && at < len; at += n) {
		n = len - at < PIECE ? len - at : PIECE;
		r = l->encoding == KB_JSON ? kb_json_split_feed(json, text + at, n)
					   : kb_pb_split_feed(pb, text + at, n);
	}
	kb_json_split_free(json);
	kb_pb_split_free(pb);
	return r;
}

static int run_pods(const char *path, uint64_t pods)
{
	uint64_t bytes = 0, start;
	struct list l;
	double ns;
	size_t len;
	char *text = read_whole(path, &len);

	l.encoding = len > 4 && !memcmp(text, "k8s", 4) ? KB_PROTOBUF : KB_JSON;
	if (kb_object_parser_new(&l.parser) < 0)
		abort();
	start = cpu_ns();
	while (t.objects[KB_POD] < pods) {
		if (feed_all(&l, text, len) < 0 || !t.objects[KB_POD]) {
			fprintf(stderr, "read_cost: %s is no list of good Pods\n", path);
			return 1;
		}
		bytes += len;
	}
	ns = (double)(cpu_ns() - start);
	printf("%s: %llu pods, %.0f bytes each, CPU %.2f s: %.2f us a pod, %.0f MB/s\n",
	       l.encoding == KB_JSON ? "JSON" : "protobuf", (unsigned long long)t.objects[KB_POD],
	       (double)bytes / (double)t.objects[KB_POD], ns / 1e9,
	       ns / 1e3 / (double)t.objects[KB_POD], (double)bytes / ns * 1e3);
	kb_object_parser_free(l.parser);
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "source"))
		return run_source(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "pods"))
		return run_pods(argv[2], strtoull(argv[3], NULL, 10));
	fprintf(stderr, "usage: read_cost source KUBECONFIG | pods FILE N\n");
	return 2;
}
