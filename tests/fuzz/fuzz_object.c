/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object parser. First byte: the kind asked for (bits 0-2), event or object
 * (bit 3), JSON or protobuf (bit 4). Every string and list it hands back is read to its end.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/object_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sum;

static void use(const char *s)
{
	sum += s ? strlen(s) : 0;
}

static void use_ports(const struct kb_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		use(ports[i].name);
		sum += ports[i].port;
	}
}

static void use_addrs(const struct kb_addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (addrs[i].family != 4 && addrs[i].family != 6)
			abort();
	}
}

static void use_object(const struct kb_object *obj)
{
	use(obj->ns);
	use(obj->name);
	use(obj->bad);
	if (!*obj->name || (!*obj->ns && obj->kind != KB_NAMESPACE))
		abort();
	for (size_t i = 0; i < obj->n_labels; i++) {
		use(obj->labels[i].key);
		use(obj->labels[i].value);
	}
	if (obj->kind == KB_SLICE) {
		const struct kb_slice *s = &obj->u.slice;

		use(s->service);
		use_ports(s->ports, s->n_ports);
		for (size_t i = 0; i < s->n_endpoints; i++) {
			use(s->endpoints[i].hostname);
			use(s->endpoints[i].pod);
			if (s->endpoints[i].addr.family != 4 && s->endpoints[i].addr.family != 6)
				abort();
		}
	} else if (obj->kind == KB_SERVICE) {
		const struct kb_service *s = &obj->u.service;

		use(s->external_name);
		use_ports(s->ports, s->n_ports);
		use_addrs(s->cluster_ips, s->n_cluster_ips);
		if (!obj->bad && s->type == KB_EXTERNAL_NAME && !s->external_name)
			abort();
	} else if (obj->kind == KB_POD) {
		use_addrs(obj->u.pod.ips, obj->u.pod.n_ips);
	} else if (obj->kind == KB_CONFIGMAP) {
		use(obj->u.configmap.text);
		for (size_t i = 0; i < obj->u.configmap.n_data; i++) {
			use(obj->u.configmap.data[i].key);
			use(obj->u.configmap.data[i].value);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kb_object_parser *parser;
	enum kb_encoding encoding;
	struct kb_parsed p;
	enum kb_kind kind;
	char *text;
	int r;

	if (size < 1)
		return 0;
	if (!parser && kb_object_parser_new(&parser) < 0)
		abort();
	if (data[0] & 32)
		kb_object_parser_config_all(parser);
	else
		kb_object_parser_config_key(parser, "Corefile");
	kind = (enum kb_kind)(data[0] & 7);
	if (kind > KB_KIND_MAX)
		kind = KB_KIND_MAX;
	encoding = data[0] & 16 ? KB_PROTOBUF : KB_JSON;
	text = malloc(size); /* of exactly that size, for the sanitizer's sake */
	if (!text)
		abort();
	memcpy(text, data + 1, size - 1);
	if (data[0] & 8)
		r = kb_object_parse_event(parser, encoding, kind, text, size - 1, NULL, &p);
	else
		r = kb_object_parse(parser, encoding, kind, text, size - 1, NULL, &p);
	free(text);
	if (r)
		abort();
	use(p.resource_version);
	use(p.status_message);
	if (p.result == KB_PARSE_OBJECT)
		use_object(&p.obj);
	else if (p.result == KB_PARSE_UNNAMED && !p.why)
		abort();
	return 0;
}
