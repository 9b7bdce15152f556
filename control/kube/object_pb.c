/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the protobuf of an object or an event into struct kb_raw.
 *
 * The field numbers are those of Kubernetes' API (generated.proto of core/v1,
 * discovery/v1, meta/v1 and runtime). A list's item is the bare message; anything that
 * stands alone, an event's object included, is wrapped to say what it is:
 *
 *	"k8s\0"  Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }  2: the message
 *			   3: contentEncoding  4: contentType }
 */
#include <string.h>

#include "control/kube/object_private.h"
#include "control/kube/pb.h"

static const char magic[4] = {'k', '8', 's', 0};

struct reader {
	struct kb_object_parser *parser; /* borrowed */
	char *arena;			 /* where the next string goes */
	enum kb_kind wanted;
};

/* Every message is walked through here, so that no error is lost. */
static bool next(struct reader *r, struct kb_pb *m, struct kb_pb_field *f)
{
	bool more = kb_pb_next(m, f);

	if (m->error && !r->parser->error)
		r->parser->error = m->error;
	return more;
}

/* A field's message to be walked; an empty one when it is none. */
static void open_message(struct reader *r, const struct kb_pb_field *f, struct kb_pb *ret_m,
			 const char *what)
{
	bool is = f->type == KB_PB_BYTES;

	if (!is)
		kb_raw_absurd(r->parser, what);
	kb_pb_init(ret_m, is ? f->bytes : "", is ? f->len : 0);
}

/* A string takes its length, its tag and its bytes in the text, and its bytes and a NUL in
 * the arena: that cannot overflow. */
static void read_string(struct reader *r, const struct kb_pb_field *f, const char **ret,
			const char *what)
{
	if (f->type != KB_PB_BYTES || memchr(f->bytes, 0, f->len)) {
		kb_raw_absurd(r->parser, what);
		return;
	}
	memcpy(r->arena, f->bytes, f->len);
	r->arena[f->len] = 0;
	*ret = r->arena;
	r->arena += f->len + 1;
}

static bool is_string(const struct kb_pb_field *f, const char *literal)
{
	size_t n = strlen(literal);

	return f->type == KB_PB_BYTES && f->len == n && !memcmp(f->bytes, literal, n);
}

/* ServicePort and EndpointPort agree in what matters here. */
static void read_port(struct reader *r, const struct kb_pb_field *port, struct kb_vec *ports,
		      bool needs_number)
{
	const char *name = "", *protocol = NULL;
	bool has_number = false;
	struct kb_pb_field f;
	int64_t number = 0;
	struct kb_pb m;

	open_message(r, port, &m, "a port is not a message");
	while (next(r, &m, &f)) {
		if (f.number == 1) {
			read_string(r, &f, &name, "a port's name is not a string");
		} else if (f.number == 2) {
			read_string(r, &f, &protocol, "a port's protocol is not a string");
		} else if (f.number == 3 && f.type == KB_PB_VARINT) {
			number = (int64_t)f.value;
			has_number = true;
		} else if (f.number == 3) {
			kb_raw_absurd(r->parser, "a port is not a number");
		}
	}
	kb_raw_add_port(r->parser, ports, name, protocol, has_number ? &number : NULL,
			needs_number);
}

static void read_ready(struct reader *r, const struct kb_pb_field *conditions, bool *ret_ready)
{
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, conditions, &m, "conditions is not a message");
	while (next(r, &m, &f)) {
		if (f.number == 1 && f.type == KB_PB_VARINT)
			*ret_ready = f.value != 0;
		else if (f.number == 1)
			kb_raw_absurd(r->parser, "conditions.ready is neither true nor false");
	}
}

static void read_target(struct reader *r, const struct kb_pb_field *target, const char **ret_kind,
			const char **ret_name)
{
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, target, &m, "targetRef is not a message");
	while (next(r, &m, &f)) {
		if (f.number == 1)
			read_string(r, &f, ret_kind, "targetRef.kind is not a string");
		else if (f.number == 3)
			read_string(r, &f, ret_name, "targetRef.name is not a string");
	}
}

static void read_endpoint(struct reader *r, const struct kb_pb_field *endpoint)
{
	const char *hostname = NULL, *target_kind = NULL, *target_name = NULL;
	size_t first = r->parser->endpoints.n;
	struct kb_pb_field f;
	struct kb_pb m;
	bool ready = true;

	open_message(r, endpoint, &m, "an endpoint is not a message");
	while (next(r, &m, &f)) {
		const char *text = NULL;

		switch (f.number) {
		case 1:
			read_string(r, &f, &text, "an address is not a string");
			if (text)
				kb_raw_add_address(r->parser, text);
			break;
		case 2:
			read_ready(r, &f, &ready);
			break;
		case 3:
			read_string(r, &f, &hostname, "a hostname is not a string");
			break;
		case 4:
			read_target(r, &f, &target_kind, &target_name);
			break;
		}
	}
	kb_raw_end_endpoint(r->parser, first, ready, hostname, target_kind, target_name);
}

static void read_spec(struct reader *r, const struct kb_pb_field *spec)
{
	struct kb_object_parser *p = r->parser;
	struct kb_raw *raw = &p->raw;
	struct kb_pb_field f;
	struct kb_pb m;
	bool none = false;

	open_message(r, spec, &m, "spec is not a message");
	while (next(r, &m, &f)) {
		const char *text = NULL;

		switch (f.number) {
		case 1:
			read_port(r, &f, &p->spec_ports, true);
			break;
		case 2:
			raw->selector = true; /* one of its members */
			break;
		case 3:
			read_string(r, &f, &raw->cluster_ip, "spec.clusterIP is not a string");
			break;
		case 4:
			read_string(r, &f, &raw->type, "spec.type is not a string");
			break;
		case 10:
			read_string(r, &f, &raw->external_name,
				    "spec.externalName is not a string");
			break;
		case 18:
			read_string(r, &f, &text, "a cluster IP is not a string");
			if (text)
				kb_raw_add_cluster_ip(p, text, &none);
			break;
		}
	}
	kb_raw_end_spec(p, none);
}

/* An entry of a map of strings: keeps the value when the key is the one wanted. */
static void read_entry(struct reader *r, const struct kb_pb_field *entry, const char *key,
		       const char **ret_value, const char *what)
{
	struct kb_pb_field f, value = {0};
	struct kb_pb m;
	bool is = false;

	open_message(r, entry, &m, what);
	while (next(r, &m, &f)) {
		if (f.number == 1)
			is = is_string(&f, key);
		else if (f.number == 2)
			value = f;
	}
	if (is && value.number)
		read_string(r, &value, ret_value, what);
}

static void read_pair(struct reader *r, const struct kb_pb_field *entry, const char **ret_key,
		      const char **ret_value, const char *what)
{
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, entry, &m, what);
	while (next(r, &m, &f)) {
		if (f.number == 1)
			read_string(r, &f, ret_key, what);
		else if (f.number == 2)
			read_string(r, &f, ret_value, what);
	}
}

/* As in JSON: from an API server only one label matters, but of a Namespace all do. */
static void read_label(struct reader *r, const struct kb_pb_field *entry)
{
	static const char what[] = "a label is not a string";
	const char *key = "", *value = "";

	if (!r->parser->wants_labels) {
		read_entry(r, entry, "kubernetes.io/service-name", &r->parser->raw.service, what);
		return;
	}
	read_pair(r, entry, &key, &value, what);
	kb_raw_add_label(r->parser, key, value);
}

/* An entry of a ConfigMap's data. */
static void read_data(struct reader *r, const struct kb_pb_field *entry)
{
	static const char what[] = "its text is not a string";
	struct kb_object_parser *p = r->parser;
	const char *key = "", *value = "";

	if (p->config_all) {
		read_pair(r, entry, &key, &value, what);
		kb_raw_add_data(p, key, value);
	} else if (p->config_key) {
		read_entry(r, entry, p->config_key, &p->raw.config_text, what);
	}
}

static void read_metadata(struct reader *r, const struct kb_pb_field *metadata)
{
	struct kb_raw *raw = &r->parser->raw;
	const char *end = "";
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, metadata, &m, "metadata is not a message");
	while (next(r, &m, &f)) {
		switch (f.number) {
		case 1:
			read_string(r, &f, &raw->name, "metadata.name is not a string");
			break;
		case 3:
			read_string(r, &f, &raw->ns, "metadata.namespace is not a string");
			break;
		case 6:
			read_string(r, &f, &raw->resource_version,
				    "a resourceVersion is not a string");
			break;
		case 9:
			raw->deleting = true;
			break;
		case 11:
			read_label(r, &f);
			break;
		case 12:
			read_entry(r, &f, "k8s.io/initial-events-end", &end,
				   "an annotation is not a string");
			read_entry(r, &f, "endpoints.kubernetes.io/last-change-trigger-time",
				   &raw->trigger, "an annotation is not a string");
			break;
		}
	}
	raw->initial_events_end = !strcmp(end, "true");
}

static void read_list_metadata(struct reader *r, struct kb_pb *m)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_pb_field f;

	while (next(r, m, &f)) {
		if (f.number == 2)
			read_string(r, &f, &raw->resource_version,
				    "a resourceVersion is not a string");
		else if (f.number == 3)
			read_string(r, &f, &raw->continue_token, "continue is not a string");
	}
}

static void read_status(struct reader *r, struct kb_pb *m)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_pb_field f;

	while (next(r, m, &f)) {
		if (f.number == 3)
			read_string(r, &f, &raw->message, "message is not a string");
		else if (f.number == 6 && f.type == KB_PB_VARINT)
			raw->code = (int64_t)f.value;
	}
}

static void read_pod_ip(struct reader *r, const struct kb_pb_field *ip)
{
	const char *text = "";
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, ip, &m, "a pod's address is not a message");
	while (next(r, &m, &f)) {
		if (f.number == 1)
			read_string(r, &f, &text, "a pod's address is not a string");
	}
	kb_raw_add_pod_ip(r->parser, text);
}

static void read_pod_status(struct reader *r, const struct kb_pb_field *status)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, status, &m, "status is not a message");
	while (next(r, &m, &f)) {
		if (f.number == 1)
			read_string(r, &f, &raw->phase, "status.phase is not a string");
		else if (f.number == 6)
			read_string(r, &f, &raw->pod_ip, "status.podIP is not a string");
		else if (f.number == 12)
			read_pod_ip(r, &f);
	}
}

static void read_member(struct reader *r, enum kb_kind kind, const struct kb_pb_field *f)
{
	struct kb_object_parser *p = r->parser;

	if (f->number == 1)
		read_metadata(r, f);
	else if (kind == KB_SERVICE && f->number == 2)
		read_spec(r, f);
	else if (kind == KB_SLICE && f->number == 2)
		read_endpoint(r, f);
	else if (kind == KB_SLICE && f->number == 3)
		read_port(r, f, &p->ports, false);
	else if (kind == KB_SLICE && f->number == 4)
		read_string(r, f, &p->raw.address_type, "addressType is not a string");
	else if (kind == KB_POD && f->number == 3)
		read_pod_status(r, f);
	else if (kind == KB_CONFIGMAP && f->number == 2)
		read_data(r, f);
}

static void read_message(struct reader *r, struct kb_pb *m)
{
	struct kb_raw *raw = &r->parser->raw;
	enum kb_kind kind = kb_raw_kind(raw, r->wanted);
	struct kb_pb_field f;

	if (raw->kind && !strcmp(raw->kind, "Status")) {
		read_status(r, m);
		return;
	}
	if (kind == KB_KIND_MAX)
		return;
	while (next(r, m, &f))
		read_member(r, kind, &f);
}

static void read_type(struct reader *r, const struct kb_pb_field *type)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_pb_field f;
	struct kb_pb m;

	open_message(r, type, &m, "the type is not a message");
	while (next(r, &m, &f)) {
		if (f.number == 1)
			read_string(r, &f, &raw->api_version, "apiVersion is not a string");
		else if (f.number == 2)
			read_string(r, &f, &raw->kind, "kind is not a string");
	}
}

static void read_object(struct reader *r, const char *bytes, size_t len)
{
	struct kb_pb_field f, message = {0};
	struct kb_pb m;

	/* No message begins like that: it would be a group. */
	if (len < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0) {
		kb_pb_init(&m, bytes, len);
		read_message(r, &m);
		return;
	}
	kb_pb_init(&m, bytes + sizeof(magic), len - sizeof(magic));
	while (next(r, &m, &f)) {
		if (f.number == 1)
			read_type(r, &f);
		else if (f.number == 2)
			message = f;
		else if ((f.number == 3 || f.number == 4) && f.type == KB_PB_BYTES && f.len)
			kb_raw_absurd(r->parser, "the object is in another encoding");
	}
	open_message(r, &message, &m, "the object is not a message");
	read_message(r, &m);
}

/* WatchEvent { 1: type  2: RawExtension { 1: the wrapped object } } */
static void read_event(struct reader *r, const char *bytes, size_t len)
{
	struct kb_pb_field f, g;
	struct kb_pb m, extension;

	kb_pb_init(&m, bytes, len);
	while (next(r, &m, &f)) {
		if (f.number == 1) {
			read_string(r, &f, &r->parser->raw.event,
				    "an event's type is not a string");
		} else if (f.number == 2) {
			open_message(r, &f, &extension, "an event's object is not a message");
			while (next(r, &extension, &g)) {
				if (g.number == 1 && g.type == KB_PB_BYTES)
					read_object(r, g.bytes, g.len);
			}
		}
	}
}

void kb_object_read_pb(struct kb_object_parser *parser, enum kb_text what, enum kb_kind wanted,
		       const char *text, size_t len)
{
	struct reader r = {.parser = parser, .arena = parser->arena, .wanted = wanted};
	struct kb_pb m;

	if (what == KB_TEXT_EVENT) {
		read_event(&r, text, len);
	} else if (what == KB_TEXT_OBJECT) {
		read_object(&r, text, len);
	} else {
		kb_pb_init(&m, text, len);
		read_list_metadata(&r, &m);
	}
}
