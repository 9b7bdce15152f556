/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the JSON text of an object or an event into struct kb_raw. */
#include <string.h>

#include "control/kube/json.h"
#include "control/kube/object_private.h"

struct reader {
	struct kb_object_parser *parser; /* borrowed */
	struct kb_json json;
};

/* True when the next value is of the kind wanted. Null is taken and is as good as
 * absent; anything else is taken too, and makes the object bad. */
static bool want(struct reader *r, char kind, const char *what)
{
	char c = kb_json_peek(&r->json);

	if (c == kind || (kind == 't' && c == 'f'))
		return true;
	if (c && c != 'n')
		kb_raw_absurd(r->parser, what);
	kb_json_skip(&r->json);
	return false;
}

static bool open_object(struct reader *r, const char *what)
{
	return want(r, '{', what) && kb_json_enter(&r->json, '{');
}

static bool open_array(struct reader *r, const char *what)
{
	return want(r, '[', what) && kb_json_enter(&r->json, '[');
}

static void read_string(struct reader *r, const char **ret, const char *what)
{
	struct kb_json_str s;

	if (!want(r, '"', what) || !kb_json_string(&r->json, &s))
		return;
	if (strlen(s.s) != s.len)
		kb_raw_absurd(r->parser, what);
	else
		*ret = s.s;
}

static void read_port_number(struct reader *r, int64_t *ret_number, bool *ret_has)
{
	if (!want(r, '0', "a port is not a number"))
		return;
	if (kb_json_integer(&r->json, ret_number)) {
		*ret_has = true;
	} else {
		kb_raw_absurd(r->parser, "a port is not an integer");
		kb_json_skip(&r->json);
	}
}

static void read_ports(struct reader *r, struct kb_vec *ports, bool needs_number)
{
	struct kb_json_str key;

	ports->n = 0;
	if (!open_array(r, "ports is not a list"))
		return;
	while (kb_json_element(&r->json)) {
		const char *name = "", *protocol = NULL;
		bool has_number = false;
		int64_t number = 0;

		if (!open_object(r, "a port is not an object"))
			continue;
		while (kb_json_key(&r->json, &key)) {
			if (kb_json_is(&key, "name"))
				read_string(r, &name, "a port's name is not a string");
			else if (kb_json_is(&key, "protocol"))
				read_string(r, &protocol, "a port's protocol is not a string");
			else if (kb_json_is(&key, "port"))
				read_port_number(r, &number, &has_number);
			else
				kb_json_skip(&r->json);
		}
		kb_raw_add_port(r->parser, ports, name, protocol, has_number ? &number : NULL,
				needs_number);
	}
}

static void read_addresses(struct reader *r)
{
	if (!open_array(r, "addresses is not a list"))
		return;
	while (kb_json_element(&r->json)) {
		const char *text = NULL;

		read_string(r, &text, "an address is not a string");
		if (text)
			kb_raw_add_address(r->parser, text);
	}
}

static void read_ready(struct reader *r, bool *ret_ready)
{
	struct kb_json_str key;

	if (!open_object(r, "conditions is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (!kb_json_is(&key, "ready"))
			kb_json_skip(&r->json);
		else if (want(r, 't', "conditions.ready is neither true nor false"))
			kb_json_bool(&r->json, ret_ready);
	}
}

static void read_target(struct reader *r, const char **ret_kind, const char **ret_name)
{
	struct kb_json_str key;

	if (!open_object(r, "targetRef is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "kind"))
			read_string(r, ret_kind, "targetRef.kind is not a string");
		else if (kb_json_is(&key, "name"))
			read_string(r, ret_name, "targetRef.name is not a string");
		else
			kb_json_skip(&r->json);
	}
}

static void read_endpoint(struct reader *r)
{
	const char *hostname = NULL, *target_kind = NULL, *target_name = NULL;
	size_t first = r->parser->endpoints.n;
	struct kb_json_str key;
	bool ready = true;

	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "addresses")) {
			r->parser->endpoints.n = first;
			read_addresses(r);
		} else if (kb_json_is(&key, "conditions")) {
			read_ready(r, &ready);
		} else if (kb_json_is(&key, "hostname")) {
			read_string(r, &hostname, "a hostname is not a string");
		} else if (kb_json_is(&key, "targetRef")) {
			read_target(r, &target_kind, &target_name);
		} else {
			kb_json_skip(&r->json);
		}
	}
	kb_raw_end_endpoint(r->parser, first, ready, hostname, target_kind, target_name);
}

static void read_endpoints(struct reader *r)
{
	r->parser->endpoints.n = 0;
	if (!open_array(r, "endpoints is not a list"))
		return;
	while (kb_json_element(&r->json)) {
		if (open_object(r, "an endpoint is not an object"))
			read_endpoint(r);
	}
}

static void read_cluster_ips(struct reader *r, bool *ret_none)
{
	r->parser->ips.n = 0;
	*ret_none = false;
	if (!open_array(r, "spec.clusterIPs is not a list"))
		return;
	while (kb_json_element(&r->json)) {
		const char *text = NULL;

		read_string(r, &text, "a cluster IP is not a string");
		if (text)
			kb_raw_add_cluster_ip(r->parser, text, ret_none);
	}
}

static void read_selector(struct reader *r)
{
	struct kb_json_str key;

	r->parser->raw.selector = false;
	if (!open_object(r, "spec.selector is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		r->parser->raw.selector = true;
		kb_json_skip(&r->json);
	}
}

static void read_spec(struct reader *r)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_json_str key;
	bool none = false;

	if (!open_object(r, "spec is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "clusterIP"))
			read_string(r, &raw->cluster_ip, "spec.clusterIP is not a string");
		else if (kb_json_is(&key, "clusterIPs"))
			read_cluster_ips(r, &none);
		else if (kb_json_is(&key, "type"))
			read_string(r, &raw->type, "spec.type is not a string");
		else if (kb_json_is(&key, "externalName"))
			read_string(r, &raw->external_name, "spec.externalName is not a string");
		else if (kb_json_is(&key, "ports"))
			read_ports(r, &r->parser->spec_ports, true);
		else if (kb_json_is(&key, "selector"))
			read_selector(r);
		else
			kb_json_skip(&r->json);
	}
	kb_raw_end_spec(r->parser, none);
}

static void read_label(struct reader *r, const struct kb_json_str *key)
{
	const char *value = NULL;

	read_string(r, &value, "a label is not a string");
	if (!value)
		return;
	if (strlen(key->s) != key->len)
		kb_raw_absurd(r->parser, "a label's key is not a string");
	else
		kb_raw_add_label(r->parser, key->s, value);
}

/* Slices and Pods have many, and from an API server only one of them matters. */
static void read_labels(struct reader *r)
{
	struct kb_object_parser *p = r->parser;
	struct kb_json_str key;

	p->labels.n = 0;
	if (!open_object(r, "metadata.labels is not an object"))
		return;
	while (p->wants_labels && kb_json_key_string(&r->json, &key))
		read_label(r, &key);
	while (!p->wants_labels && kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "kubernetes.io/service-name"))
			read_string(r, &p->raw.service, "the service-name label is not a string");
		else
			kb_json_skip(&r->json);
	}
}

static void read_annotations(struct reader *r)
{
	const char *end = "";
	struct kb_json_str key;

	if (!open_object(r, "metadata.annotations is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "k8s.io/initial-events-end"))
			read_string(r, &end, "an annotation is not a string");
		else if (kb_json_is(&key, "endpoints.kubernetes.io/last-change-trigger-time"))
			read_string(r, &r->parser->raw.trigger, "an annotation is not a string");
		else
			kb_json_skip(&r->json);
	}
	r->parser->raw.initial_events_end = !strcmp(end, "true");
}

static void read_deleting(struct reader *r)
{
	char c = kb_json_peek(&r->json);

	r->parser->raw.deleting = c && c != 'n';
	kb_json_skip(&r->json);
}

static void read_metadata(struct reader *r)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_json_str key;

	if (!open_object(r, "metadata is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "name"))
			read_string(r, &raw->name, "metadata.name is not a string");
		else if (kb_json_is(&key, "namespace"))
			read_string(r, &raw->ns, "metadata.namespace is not a string");
		else if (kb_json_is(&key, "resourceVersion"))
			read_string(r, &raw->resource_version, "a resourceVersion is not a string");
		else if (kb_json_is(&key, "continue"))
			read_string(r, &raw->continue_token, "continue is not a string");
		else if (kb_json_is(&key, "labels"))
			read_labels(r);
		else if (kb_json_is(&key, "annotations"))
			read_annotations(r);
		else if (kb_json_is(&key, "deletionTimestamp"))
			read_deleting(r);
		else
			kb_json_skip(&r->json);
	}
}

static void read_pod_ips(struct reader *r)
{
	struct kb_json_str key;

	r->parser->n_pod_ips = 0;
	if (!open_array(r, "status.podIPs is not a list"))
		return;
	while (kb_json_element(&r->json)) {
		const char *text = "";

		if (!open_object(r, "a pod's address is not an object"))
			continue;
		while (kb_json_key(&r->json, &key)) {
			if (kb_json_is(&key, "ip"))
				read_string(r, &text, "a pod's address is not a string");
			else
				kb_json_skip(&r->json);
		}
		kb_raw_add_pod_ip(r->parser, text);
	}
}

/* Only pods have a status that matters here: what is absurd in it is kept apart. */
static void read_status(struct reader *r)
{
	struct kb_raw *raw = &r->parser->raw;
	const char *bad = raw->bad;
	struct kb_json_str key;

	raw->bad = NULL;
	if (open_object(r, "status is not an object")) {
		while (kb_json_key(&r->json, &key)) {
			if (kb_json_is(&key, "phase"))
				read_string(r, &raw->phase, "status.phase is not a string");
			else if (kb_json_is(&key, "podIP"))
				read_string(r, &raw->pod_ip, "status.podIP is not a string");
			else if (kb_json_is(&key, "podIPs"))
				read_pod_ips(r);
			else
				kb_json_skip(&r->json);
		}
	}
	raw->bad_status = raw->bad;
	raw->bad = bad;
}

static void read_data_key(struct reader *r, const char *wanted)
{
	struct kb_json_str key;

	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, wanted))
			read_string(r, &r->parser->raw.config_text, "its text is not a string");
		else
			kb_json_skip(&r->json);
	}
}

static void read_data_all(struct reader *r)
{
	struct kb_json_str key;

	while (kb_json_key_string(&r->json, &key)) {
		const char *text = NULL;

		read_string(r, &text, "its text is not a string");
		if (text)
			kb_raw_add_data(r->parser, key.s, text);
	}
}

/* Other kinds have `data` too, and anything in it: what is absurd is kept apart. */
static void read_data(struct reader *r)
{
	struct kb_object_parser *p = r->parser;
	const char *bad = p->raw.bad;
	struct kb_raw *raw = &p->raw;

	raw->bad = NULL;
	raw->config_text = NULL;
	p->data.n = 0;
	if (!p->config_key && !p->config_all)
		kb_json_skip(&r->json);
	else if (!open_object(r, "data is not an object"))
		;
	else if (p->config_all)
		read_data_all(r);
	else
		read_data_key(r, p->config_key);
	raw->bad_data = raw->bad;
	raw->bad = bad;
}

/* Members of every kind together: what a kind does not have is not looked at. */
static void read_object(struct reader *r)
{
	struct kb_raw *raw = &r->parser->raw;
	struct kb_json_str key;

	if (!open_object(r, "not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "metadata")) {
			read_metadata(r);
		} else if (kb_json_is(&key, "endpoints")) {
			read_endpoints(r);
		} else if (kb_json_is(&key, "ports")) {
			read_ports(r, &r->parser->ports, false);
		} else if (kb_json_is(&key, "addressType")) {
			read_string(r, &raw->address_type, "addressType is not a string");
		} else if (kb_json_is(&key, "spec")) {
			read_spec(r);
		} else if (kb_json_is(&key, "status")) {
			read_status(r);
		} else if (kb_json_is(&key, "data")) {
			read_data(r);
		} else if (kb_json_is(&key, "kind")) {
			read_string(r, &raw->kind, "kind is not a string");
		} else if (kb_json_is(&key, "apiVersion")) {
			read_string(r, &raw->api_version, "apiVersion is not a string");
		} else if (kb_json_is(&key, "message")) {
			read_string(r, &raw->message, "message is not a string");
		} else if (kb_json_is(&key, "code")) {
			if (!kb_json_integer(&r->json, &raw->code))
				kb_json_skip(&r->json);
		} else {
			kb_json_skip(&r->json);
		}
	}
}

static void read_event(struct reader *r)
{
	struct kb_json_str key;

	if (!open_object(r, "an event is not an object"))
		return;
	while (kb_json_key(&r->json, &key)) {
		if (kb_json_is(&key, "type"))
			read_string(r, &r->parser->raw.event, "an event's type is not a string");
		else if (kb_json_is(&key, "object"))
			read_object(r);
		else
			kb_json_skip(&r->json);
	}
}

void kb_object_read_json(struct kb_object_parser *parser, enum kb_text what, const char *text,
			 size_t len)
{
	struct reader r = {.parser = parser};

	kb_json_init(&r.json, text, len, parser->arena);
	if (what == KB_TEXT_EVENT)
		read_event(&r);
	else if (what == KB_TEXT_OBJECT)
		read_object(&r);
	else
		read_metadata(&r);
	kb_json_finish(&r.json);
	parser->error = r.json.error;
	parser->error_at = (size_t)(r.json.p - r.json.begin);
}
