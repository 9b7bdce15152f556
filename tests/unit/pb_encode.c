/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder of pb_encode.h: jansson's tree through a table of fields. */
#include "tests/unit/pb_encode.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `message` is a message's name, "" for a scalar, "map" for a map of strings. */
static const struct {
	const char *in, *name;
	unsigned number;
	const char *message;
} fields[] = {
	{"Service", "metadata", 1, "ObjectMeta"},
	{"Service", "spec", 2, "ServiceSpec"},
	{"Namespace", "metadata", 1, "ObjectMeta"},
	{"ConfigMap", "metadata", 1, "ObjectMeta"},
	{"ConfigMap", "data", 2, "map"},
	{"Pod", "metadata", 1, "ObjectMeta"},
	{"Pod", "status", 3, "PodStatus"},
	{"PodStatus", "phase", 1, ""},
	{"PodStatus", "hostIP", 5, ""},
	{"PodStatus", "podIP", 6, ""},
	{"PodStatus", "podIPs", 12, "PodIP"},
	{"PodIP", "ip", 1, ""},
	{"EndpointSlice", "metadata", 1, "ObjectMeta"},
	{"EndpointSlice", "endpoints", 2, "Endpoint"},
	{"EndpointSlice", "ports", 3, "EndpointPort"},
	{"EndpointSlice", "addressType", 4, ""},
	{"ObjectMeta", "name", 1, ""},
	{"ObjectMeta", "generateName", 2, ""},
	{"ObjectMeta", "namespace", 3, ""},
	{"ObjectMeta", "uid", 5, ""},
	{"ObjectMeta", "resourceVersion", 6, ""},
	{"ObjectMeta", "generation", 7, ""},
	{"ObjectMeta", "deletionTimestamp", 9, ""}, /* a message in truth, of no interest */
	{"ObjectMeta", "labels", 11, "map"},
	{"ObjectMeta", "annotations", 12, "map"},
	{"ListMeta", "resourceVersion", 2, ""},
	{"ListMeta", "continue", 3, ""},
	{"ListMeta", "remainingItemCount", 4, ""},
	{"ServiceSpec", "ports", 1, "ServicePort"},
	{"ServiceSpec", "selector", 2, "map"},
	{"ServiceSpec", "clusterIP", 3, ""},
	{"ServiceSpec", "type", 4, ""},
	{"ServiceSpec", "sessionAffinity", 7, ""},
	{"ServiceSpec", "externalName", 10, ""},
	{"ServiceSpec", "publishNotReadyAddresses", 13, ""},
	{"ServiceSpec", "clusterIPs", 18, ""},
	{"ServicePort", "name", 1, ""},
	{"ServicePort", "protocol", 2, ""},
	{"ServicePort", "port", 3, ""},
	{"ServicePort", "nodePort", 5, ""},
	{"EndpointPort", "name", 1, ""},
	{"EndpointPort", "protocol", 2, ""},
	{"EndpointPort", "port", 3, ""},
	{"Endpoint", "addresses", 1, ""},
	{"Endpoint", "conditions", 2, "EndpointConditions"},
	{"Endpoint", "hostname", 3, ""},
	{"Endpoint", "targetRef", 4, "ObjectReference"},
	{"Endpoint", "nodeName", 6, ""},
	{"EndpointConditions", "ready", 1, ""},
	{"EndpointConditions", "serving", 2, ""},
	{"ObjectReference", "kind", 1, ""},
	{"ObjectReference", "namespace", 2, ""},
	{"ObjectReference", "name", 3, ""},
	{"Status", "metadata", 1, "ListMeta"},
	{"Status", "status", 2, ""},
	{"Status", "message", 3, ""},
	{"Status", "reason", 4, ""},
	{"Status", "code", 6, ""},
	{"TypeMeta", "apiVersion", 1, ""},
	{"TypeMeta", "kind", 2, ""},
};

static void put_varint(FILE *out, uint64_t v)
{
	while (v >= 0x80) {
		fputc((int)(v & 0x7f) | 0x80, out);
		v >>= 7;
	}
	fputc((int)v, out);
}

static void put_bytes(FILE *out, unsigned number, const char *bytes, size_t len)
{
	put_varint(out, number << 3 | 2);
	put_varint(out, len);
	fwrite(bytes, 1, len, out);
}

/* A message in the making, which closes into a field of its parent. */
struct part {
	FILE *out;
	char *bytes;
	size_t len;
};

static struct part *part_open(void)
{
	struct part *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->out = open_memstream(&p->bytes, &p->len);
	if (!p->out)
		abort();
	return p;
}

static void part_close(struct part *p, FILE *out, unsigned number)
{
	if (fclose(p->out))
		abort();
	put_bytes(out, number, p->bytes, p->len);
	free(p->bytes);
	free(p);
}

static void put_message(FILE *out, const char *message, json_t *json);

static void put_value(FILE *out, unsigned number, const char *message, json_t *v)
{
	struct part *p;

	if (json_is_string(v)) {
		put_bytes(out, number, json_string_value(v), json_string_length(v));
	} else if (json_is_object(v)) {
		p = part_open();
		put_message(p->out, message, v);
		part_close(p, out, number);
	} else if (!json_is_null(v)) {
		put_varint(out, number << 3);
		put_varint(out, json_is_integer(v) ? (uint64_t)json_integer_value(v)
						   : (uint64_t)json_is_true(v));
	}
}

static void put_map(FILE *out, unsigned number, json_t *map)
{
	const char *key;
	json_t *v;

	json_object_foreach(map, key, v)
	{
		struct part *p = part_open();

		put_bytes(p->out, 1, key, strlen(key));
		put_value(p->out, 2, "", v);
		part_close(p, out, number);
	}
}

static void put_message(FILE *out, const char *message, json_t *json)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		json_t *v = json_object_get(json, fields[i].name), *one;
		size_t at;

		if (strcmp(fields[i].in, message) != 0 || !v)
			continue;
		if (!strcmp(fields[i].message, "map"))
			put_map(out, fields[i].number, v);
		else if (json_is_array(v))
			json_array_foreach(v, at, one)
				put_value(out, fields[i].number, fields[i].message, one);
		else
			put_value(out, fields[i].number, fields[i].message, v);
	}
}

static const char *text(json_t *json, const char *key)
{
	const char *s = json_string_value(json_object_get(json, key));

	return s ? s : "";
}

static void put_wrapped(FILE *out, const char *message, json_t *json)
{
	struct part *p;

	fwrite("k8s", 1, 4, out);
	p = part_open();
	put_message(p->out, "TypeMeta", json);
	part_close(p, out, 1);
	p = part_open();
	put_message(p->out, message, json);
	part_close(p, out, 2);
	put_bytes(out, 3, "", 0);
	put_bytes(out, 4, "", 0);
}

static void put_event(FILE *out, json_t *json)
{
	json_t *object = json_object_get(json, "object");
	struct part *extension, *wrapped;

	if (json_object_get(json, "type"))
		put_value(out, 1, "", json_object_get(json, "type"));
	if (!object)
		return;
	extension = part_open();
	wrapped = part_open();
	put_wrapped(wrapped->out, text(object, "kind"), object);
	part_close(wrapped, extension->out, 1);
	part_close(extension, out, 2);
}

static void put_list(FILE *out, const char *kind, json_t *json)
{
	json_t *item, *items = json_object_get(json, "items");
	struct part *p;
	char list[64];
	size_t at;

	fwrite("k8s", 1, 4, out);
	snprintf(list, sizeof(list), items ? "%sList" : "%s", kind);
	p = part_open();
	put_bytes(p->out, 1, "v1", 2);
	put_bytes(p->out, 2, list, strlen(list));
	part_close(p, out, 1);
	p = part_open();
	put_value(p->out, 1, "ListMeta", json_object_get(json, "metadata"));
	json_array_foreach(items, at, item) put_value(p->out, 2, kind, item);
	part_close(p, out, 2);
}

static void encode(FILE *out, enum pb_text what, const char *kind, const char *json, size_t len)
{
	json_t *tree = json_loadb(json, len, JSON_ALLOW_NUL, NULL);

	if (!tree)
		abort();
	switch (what) {
	case PB_BARE:
		put_message(out, kind, tree);
		break;
	case PB_WRAPPED:
		put_wrapped(out, text(tree, "kind"), tree);
		break;
	case PB_EVENT:
		put_event(out, tree);
		break;
	case PB_LIST:
		put_list(out, kind, tree);
		break;
	case PB_LISTMETA:
		put_message(out, "ListMeta", tree);
		break;
	}
	json_decref(tree);
}

char *pb_encode(enum pb_text what, const char *kind, const char *json, size_t *ret_len)
{
	char *bytes;
	FILE *out = open_memstream(&bytes, ret_len);

	if (!out)
		abort();
	encode(out, what, kind, json, strlen(json));
	if (fclose(out))
		abort();
	return bytes;
}

char *pb_encode_frames(const char *lines, size_t *ret_len)
{
	char *bytes;
	FILE *out = open_memstream(&bytes, ret_len);

	if (!out)
		abort();
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		struct part *p = part_open();

		encode(p->out, PB_EVENT, "", lines, len);
		if (fclose(p->out))
			abort();
		for (int shift = 24; shift >= 0; shift -= 8)
			fputc((int)(p->len >> shift & 0xff), out);
		fwrite(p->bytes, 1, p->len, out);
		free(p->bytes);
		free(p);
		lines += len + (lines[len] == '\n');
	}
	if (fclose(out))
		abort();
	return bytes;
}
