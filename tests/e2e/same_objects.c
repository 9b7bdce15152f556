/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what an API server sent of one kind, once as JSON and once as protobuf, with the
 * readers of kbdnsd, and compares the objects one by one, by name.
 *
 *   same_objects list|events service|slice|namespace|pod|configmap JSON-FILE PROTOBUF-FILE
 *
 * Of ConfigMaps the key Corefile is read. Prints how many objects there were. Exit status 1 when
 * they differ, 2 when a file is not read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/json_split.h"
#include "control/kube/pb_split.h"
#include "tests/unit/object_text.h"

struct reading {
	struct kb_object_parser *parser; /* borrowed */
	enum kb_encoding encoding;
	enum kb_split_mode mode;
	enum kb_kind kind;
	char **texts; /* owned */
	size_t n;
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "same_objects: %s: %s\n", what, why);
	exit(2);
}

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	struct reading *r = arg;
	struct kb_parsed p;
	int e;

	(void)offset;
	e = r->mode == KB_SPLIT_EVENTS
		    ? kb_object_parse_event(r->parser, r->encoding, r->kind, text, len, NULL, &p)
		    : kb_object_parse(r->parser, r->encoding, r->kind, text, len, NULL, &p);
	if (e < 0)
		return e;
	if (p.event == KB_EVENT_BOOKMARK) /* says when it was sent, and the two were not at once */
		return 0;
	r->texts = realloc(r->texts, (r->n + 1) * sizeof(*r->texts));
	if (!r->texts)
		abort();
	r->texts[r->n++] = object_text(&p);
	return 0;
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	(void)arg;
	(void)head;
	(void)len;
	(void)offset;
	fail("an object was skipped", why);
	return 0;
}

static const struct kb_split_ops ops = {.item = on_item, .skipped = on_skipped};

static char *read_whole(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	long size = -1;

	if (f && fseek(f, 0, SEEK_END) == 0)
		size = ftell(f);
	if (size > 0)
		text = malloc((size_t)size);
	if (!text || fseek(f, 0, SEEK_SET) || fread(text, 1, (size_t)size, f) != (size_t)size)
		fail(path, "cannot be read, or is empty");
	fclose(f);
	*ret_len = (size_t)size;
	return text;
}

static int split(struct reading *r, const char *text, size_t len)
{
	struct kb_json_split *json;
	struct kb_pb_split *pb;
	int e;

	if (kb_json_split_new(r->mode, 0, &ops, r, &json) < 0 ||
	    kb_pb_split_new(r->mode, 0, &ops, r, &pb) < 0)
		abort();
	if (r->encoding == KB_JSON) {
		e = kb_json_split_feed(json, text, len);
		e = e ? e : kb_json_split_finish(json);
	} else {
		e = kb_pb_split_feed(pb, text, len);
		e = e ? e : kb_pb_split_finish(pb);
	}
	kb_json_split_free(json);
	kb_pb_split_free(pb);
	return e;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_file(struct reading *r, const char *path)
{
	size_t len;
	char *text = read_whole(path, &len);
	int e = split(r, text, len);

	free(text);
	if (e)
		fail(path, strerror(-e));
	qsort(r->texts, r->n, sizeof(*r->texts), by_text);
}

static enum kb_kind kind_of(const char *name)
{
	static const char *const names[] = {[KB_SERVICE] = "service",
					    [KB_SLICE] = "slice",
					    [KB_NAMESPACE] = "namespace",
					    [KB_POD] = "pod",
					    [KB_CONFIGMAP] = "configmap"};

	for (int k = 0; k < KB_KIND_MAX; k++) {
		if (!strcmp(name, names[k]))
			return (enum kb_kind)k;
	}
	fail(name, "no kind");
	return KB_KIND_MAX;
}

int main(int argc, char **argv)
{
	struct reading json = {.encoding = KB_JSON}, pb = {.encoding = KB_PROTOBUF};

	if (argc != 5)
		fail("usage", "list|events KIND JSON-FILE PROTOBUF-FILE");
	if (kb_object_parser_new(&json.parser) < 0)
		abort();
	kb_object_parser_config_key(json.parser, "Corefile");
	pb.parser = json.parser;
	json.mode = pb.mode = strcmp(argv[1], "list") ? KB_SPLIT_EVENTS : KB_SPLIT_LIST;
	json.kind = pb.kind = kind_of(argv[2]);
	read_file(&json, argv[3]);
	read_file(&pb, argv[4]);
	for (size_t i = 0; i < json.n || i < pb.n; i++) {
		const char *a = i < json.n ? json.texts[i] : "(none)";
		const char *b = i < pb.n ? pb.texts[i] : "(none)";

		if (strcmp(a, b) != 0) {
			printf("JSON:     %s\nprotobuf: %s\n", a, b);
			return 1;
		}
	}
	printf("%zu\n", json.n);
	for (size_t i = 0; i < json.n; i++) {
		free(json.texts[i]);
		free(pb.texts[i]);
	}
	free(json.texts);
	free(pb.texts);
	kb_object_parser_free(json.parser);
	return 0;
}
