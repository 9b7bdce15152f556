/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of object_parse.h. Everything of interest, of whatever kind, is
 * collected into struct raw in one pass; only then is it decided what the object
 * is, so that the order of members does not matter.
 */
#include "control/kube/object_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/kube/json.h"

enum {
	KEEP_MAX = 64 << 10, /* larger buffers are given back */
	/* Kubernetes gives a pod one address of each family; a few more do no harm. */
	POD_IPS_MAX = 8,
};

/* A list that grows; its memory is used again by the next object. */
struct vec {
	void *v; /* owned */
	size_t n, cap;
};

struct raw {
	const char *event, *kind, *api_version;
	const char *ns, *name, *resource_version, *continue_token;
	const char *service, *trigger;
	const char *message;
	const char *address_type;
	const char *cluster_ip, *type, *external_name;
	const char *phase, *pod_ip;
	const char *config_text;
	bool initial_events_end;
	bool selector; /* spec.selector has members */
	bool deleting; /* metadata.deletionTimestamp is set */
	int64_t code;
	const char *bad;	 /* the first absurd field */
	const char *bad_status;	 /* the same below status, which only pods have to us */
	const char *bad_data;	 /* the same of a ConfigMap's data */
	const char *bad_address; /* the same, unless it is a slice of host names */
	uint8_t families;	 /* of the endpoints: bit 4, bit 6 */
};

struct kb_object_parser {
	char *arena; /* owned */
	size_t arena_cap;
	struct vec ips, ports, spec_ports, endpoints, labels;
	struct kb_addr pod_ips[1 + POD_IPS_MAX]; /* the first place is for status.podIP */
	size_t n_pod_ips;			 /* without it */
	bool wants_labels;
	const char *config_key; /* borrowed, NULL: no ConfigMap is read */
	struct raw raw;
	struct kb_json json;
	bool oom;
};

int kb_object_parser_new(struct kb_object_parser **ret_parser)
{
	struct kb_object_parser *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret_parser = p;
	return 0;
}

void kb_object_parser_free(struct kb_object_parser *p)
{
	if (!p)
		return;
	free(p->arena);
	free(p->ips.v);
	free(p->ports.v);
	free(p->spec_ports.v);
	free(p->endpoints.v);
	free(p->labels.v);
	free(p);
}

void kb_object_parser_config_key(struct kb_object_parser *p, const char *key)
{
	p->config_key = key;
}

static void vec_reset(struct vec *v, size_t size)
{
	v->n = 0;
	if (v->cap * size > KEEP_MAX) {
		free(v->v);
		*v = (struct vec){0};
	}
}

static void *vec_add(struct kb_object_parser *p, struct vec *v, size_t size)
{
	void *item;

	if (v->n == v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 16;
		void *more = realloc(v->v, cap * size);

		if (!more) {
			p->oom = true;
			return NULL;
		}
		v->v = more;
		v->cap = cap;
	}
	item = (char *)v->v + v->n++ * size;
	memset(item, 0, size);
	return item;
}

size_t kb_object_parser_memory(const struct kb_object_parser *p)
{
	return p->arena_cap + p->ips.cap * sizeof(struct kb_addr) +
	       (p->ports.cap + p->spec_ports.cap) * sizeof(struct kb_port) +
	       p->endpoints.cap * sizeof(struct kb_endpoint) +
	       p->labels.cap * sizeof(struct kb_label);
}

static int begin(struct kb_object_parser *p, bool wants_labels, const char *text, size_t len)
{
	vec_reset(&p->ips, sizeof(struct kb_addr));
	vec_reset(&p->ports, sizeof(struct kb_port));
	vec_reset(&p->spec_ports, sizeof(struct kb_port));
	vec_reset(&p->endpoints, sizeof(struct kb_endpoint));
	vec_reset(&p->labels, sizeof(struct kb_label));
	p->n_pod_ips = 0;
	p->wants_labels = wants_labels;
	if (len + 1 > p->arena_cap || p->arena_cap > KEEP_MAX) {
		size_t cap = len + 1 > 4096 ? len + 1 : 4096;
		char *arena = malloc(cap);

		if (!arena)
			return -ENOMEM;
		free(p->arena);
		p->arena = arena;
		p->arena_cap = cap;
	}
	p->raw = (struct raw){0};
	p->oom = false;
	kb_json_init(&p->json, text, len, p->arena);
	return 0;
}

static void absurd(struct kb_object_parser *p, const char *what)
{
	if (!p->raw.bad)
		p->raw.bad = what;
}

/* True when the next value is of the kind wanted. Null is taken and is as good as
 * absent; anything else is taken too, and makes the object bad. */
static bool want(struct kb_object_parser *p, char kind, const char *what)
{
	char c = kb_json_peek(&p->json);

	if (c == kind || (kind == 't' && c == 'f'))
		return true;
	if (c && c != 'n')
		absurd(p, what);
	kb_json_skip(&p->json);
	return false;
}

static bool open_object(struct kb_object_parser *p, const char *what)
{
	return want(p, '{', what) && kb_json_enter(&p->json, '{');
}

static bool open_array(struct kb_object_parser *p, const char *what)
{
	return want(p, '[', what) && kb_json_enter(&p->json, '[');
}

static void read_string(struct kb_object_parser *p, const char **ret, const char *what)
{
	struct kb_json_str s;

	if (!want(p, '"', what) || !kb_json_string(&p->json, &s))
		return;
	if (strlen(s.s) != s.len)
		absurd(p, what);
	else
		*ret = s.s;
}

static void read_port_number(struct kb_object_parser *p, struct kb_port *port, bool *ret_has)
{
	int64_t v;

	if (!want(p, '0', "a port is not a number"))
		return;
	if (!kb_json_integer(&p->json, &v)) {
		absurd(p, "a port is not an integer");
		kb_json_skip(&p->json);
	} else if (v < 0 || v > 65535) {
		absurd(p, "a port is out of range");
	} else {
		port->port = (uint16_t)v;
		*ret_has = true;
	}
}

static void set_protocol(struct kb_object_parser *p, struct kb_port *port, const char *name)
{
	if (!name || !*name || !strcmp(name, "TCP"))
		port->proto = KB_TCP;
	else if (!strcmp(name, "UDP"))
		port->proto = KB_UDP;
	else if (!strcmp(name, "SCTP"))
		port->proto = KB_SCTP;
	else
		absurd(p, "a port has an unknown protocol");
}

/* A slice's port without a number means "any port": there is nothing to say about
 * it in DNS, and it is left out. A Service's port needs one. */
static void read_ports(struct kb_object_parser *p, struct vec *ports, bool needs_number)
{
	struct kb_json_str key;

	ports->n = 0;
	if (!open_array(p, "ports is not a list"))
		return;
	while (kb_json_element(&p->json)) {
		const char *name = "", *protocol = NULL;
		struct kb_port port = {0}, *slot;
		bool has_number = false;

		if (!open_object(p, "a port is not an object"))
			continue;
		while (kb_json_key(&p->json, &key)) {
			if (kb_json_is(&key, "name"))
				read_string(p, &name, "a port's name is not a string");
			else if (kb_json_is(&key, "protocol"))
				read_string(p, &protocol, "a port's protocol is not a string");
			else if (kb_json_is(&key, "port"))
				read_port_number(p, &port, &has_number);
			else
				kb_json_skip(&p->json);
		}
		set_protocol(p, &port, protocol);
		if (!has_number) {
			if (needs_number)
				absurd(p, "a port has no number");
			continue;
		}
		port.name = name;
		slot = vec_add(p, ports, sizeof(port));
		if (slot)
			*slot = port;
	}
}

static bool parse_address(const char *text, struct kb_addr *ret_addr)
{
	if (strchr(text, ':')) {
		ret_addr->family = 6;
		return inet_pton(AF_INET6, text, ret_addr->b) == 1;
	}
	ret_addr->family = 4;
	return inet_pton(AF_INET, text, ret_addr->b) == 1;
}

static void read_addresses(struct kb_object_parser *p)
{
	if (!open_array(p, "addresses is not a list"))
		return;
	while (kb_json_element(&p->json)) {
		const char *text = NULL;
		struct kb_endpoint *e;
		struct kb_addr addr = {0};

		read_string(p, &text, "an address is not a string");
		if (!text)
			continue;
		if (!parse_address(text, &addr)) {
			p->raw.bad_address = "an address is not an IP address";
			continue;
		}
		e = vec_add(p, &p->endpoints, sizeof(*e));
		if (!e)
			continue;
		e->addr = addr;
		p->raw.families |= (uint8_t)(1u << addr.family);
	}
}

static void read_ready(struct kb_object_parser *p, bool *ret_ready)
{
	struct kb_json_str key;

	if (!open_object(p, "conditions is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (!kb_json_is(&key, "ready"))
			kb_json_skip(&p->json);
		else if (want(p, 't', "conditions.ready is neither true nor false"))
			kb_json_bool(&p->json, ret_ready);
	}
}

static void read_target(struct kb_object_parser *p, const char **ret_pod)
{
	const char *kind = "", *name = NULL;
	struct kb_json_str key;

	if (!open_object(p, "targetRef is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "kind"))
			read_string(p, &kind, "targetRef.kind is not a string");
		else if (kb_json_is(&key, "name"))
			read_string(p, &name, "targetRef.name is not a string");
		else
			kb_json_skip(&p->json);
	}
	if (!strcmp(kind, "Pod") && name && *name)
		*ret_pod = name;
}

static void read_endpoint(struct kb_object_parser *p)
{
	const char *hostname = NULL, *pod = NULL;
	size_t first = p->endpoints.n;
	struct kb_json_str key;
	bool ready = true;

	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "addresses")) {
			p->endpoints.n = first;
			read_addresses(p);
		} else if (kb_json_is(&key, "conditions")) {
			read_ready(p, &ready);
		} else if (kb_json_is(&key, "hostname")) {
			read_string(p, &hostname, "a hostname is not a string");
		} else if (kb_json_is(&key, "targetRef")) {
			read_target(p, &pod);
		} else {
			kb_json_skip(&p->json);
		}
	}
	for (size_t i = first; i < p->endpoints.n; i++) {
		struct kb_endpoint *e = (struct kb_endpoint *)p->endpoints.v + i;

		e->ready = ready;
		e->hostname = hostname && *hostname ? hostname : NULL;
		e->pod = pod;
	}
}

static void read_endpoints(struct kb_object_parser *p)
{
	p->endpoints.n = 0;
	if (!open_array(p, "endpoints is not a list"))
		return;
	while (kb_json_element(&p->json)) {
		if (open_object(p, "an endpoint is not an object"))
			read_endpoint(p);
	}
}

static void add_cluster_ip(struct kb_object_parser *p, const char *text)
{
	struct kb_addr addr = {0}, *slot;

	if (!parse_address(text, &addr)) {
		absurd(p, "a cluster IP is not an IP address");
		return;
	}
	slot = vec_add(p, &p->ips, sizeof(addr));
	if (slot)
		*slot = addr;
}

static void read_cluster_ips(struct kb_object_parser *p, bool *ret_none)
{
	p->ips.n = 0;
	*ret_none = false;
	if (!open_array(p, "spec.clusterIPs is not a list"))
		return;
	while (kb_json_element(&p->json)) {
		const char *text = NULL;

		read_string(p, &text, "a cluster IP is not a string");
		if (!text || !*text)
			continue;
		if (!strcmp(text, "None"))
			*ret_none = true;
		else
			add_cluster_ip(p, text);
	}
}

static void read_selector(struct kb_object_parser *p)
{
	struct kb_json_str key;

	p->raw.selector = false;
	if (!open_object(p, "spec.selector is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		p->raw.selector = true;
		kb_json_skip(&p->json);
	}
}

static void read_spec(struct kb_object_parser *p)
{
	struct raw *raw = &p->raw;
	struct kb_json_str key;
	bool none = false;

	if (!open_object(p, "spec is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "clusterIP"))
			read_string(p, &raw->cluster_ip, "spec.clusterIP is not a string");
		else if (kb_json_is(&key, "clusterIPs"))
			read_cluster_ips(p, &none);
		else if (kb_json_is(&key, "type"))
			read_string(p, &raw->type, "spec.type is not a string");
		else if (kb_json_is(&key, "externalName"))
			read_string(p, &raw->external_name, "spec.externalName is not a string");
		else if (kb_json_is(&key, "ports"))
			read_ports(p, &p->spec_ports, true);
		else if (kb_json_is(&key, "selector"))
			read_selector(p);
		else
			kb_json_skip(&p->json);
	}
	/* clusterIPs wins over clusterIP, which older API servers have alone. */
	if (none)
		raw->cluster_ip = "None";
	else if (p->ips.n)
		raw->cluster_ip = NULL;
}

static void read_label(struct kb_object_parser *p, const struct kb_json_str *key)
{
	struct kb_label *label;
	const char *value = NULL;

	read_string(p, &value, "a label is not a string");
	if (!value)
		return;
	if (kb_json_is(key, "kubernetes.io/service-name"))
		p->raw.service = value;
	if (strlen(key->s) != key->len)
		absurd(p, "a label's key is not a string");
	else if (p->labels.n == KB_OBJECT_LABELS_MAX)
		absurd(p, "too many labels");
	else if ((label = vec_add(p, &p->labels, sizeof(*label))))
		*label = (struct kb_label){key->s, value};
}

/* Slices and Pods have many, and from an API server only one of them matters. */
static void read_labels(struct kb_object_parser *p)
{
	struct kb_json_str key;

	p->labels.n = 0;
	if (!open_object(p, "metadata.labels is not an object"))
		return;
	while (p->wants_labels && kb_json_key_string(&p->json, &key))
		read_label(p, &key);
	while (!p->wants_labels && kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "kubernetes.io/service-name"))
			read_string(p, &p->raw.service, "the service-name label is not a string");
		else
			kb_json_skip(&p->json);
	}
}

static void read_annotations(struct kb_object_parser *p)
{
	const char *end = "";
	struct kb_json_str key;

	if (!open_object(p, "metadata.annotations is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "k8s.io/initial-events-end"))
			read_string(p, &end, "an annotation is not a string");
		else if (kb_json_is(&key, "endpoints.kubernetes.io/last-change-trigger-time"))
			read_string(p, &p->raw.trigger, "an annotation is not a string");
		else
			kb_json_skip(&p->json);
	}
	p->raw.initial_events_end = !strcmp(end, "true");
}

static void read_deleting(struct kb_object_parser *p)
{
	char c = kb_json_peek(&p->json);

	p->raw.deleting = c && c != 'n';
	kb_json_skip(&p->json);
}

static void read_metadata(struct kb_object_parser *p)
{
	struct raw *raw = &p->raw;
	struct kb_json_str key;

	if (!open_object(p, "metadata is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "name"))
			read_string(p, &raw->name, "metadata.name is not a string");
		else if (kb_json_is(&key, "namespace"))
			read_string(p, &raw->ns, "metadata.namespace is not a string");
		else if (kb_json_is(&key, "resourceVersion"))
			read_string(p, &raw->resource_version, "a resourceVersion is not a string");
		else if (kb_json_is(&key, "continue"))
			read_string(p, &raw->continue_token, "continue is not a string");
		else if (kb_json_is(&key, "labels"))
			read_labels(p);
		else if (kb_json_is(&key, "annotations"))
			read_annotations(p);
		else if (kb_json_is(&key, "deletionTimestamp"))
			read_deleting(p);
		else
			kb_json_skip(&p->json);
	}
}

static void add_pod_ip(struct kb_object_parser *p, const char *text)
{
	struct kb_addr addr = {0};

	if (!*text)
		return;
	if (!parse_address(text, &addr))
		absurd(p, "a pod's address is not an IP address");
	else if (p->n_pod_ips == POD_IPS_MAX)
		absurd(p, "more addresses than a pod can have");
	else
		p->pod_ips[++p->n_pod_ips] = addr;
}

static void read_pod_ips(struct kb_object_parser *p)
{
	struct kb_json_str key;

	p->n_pod_ips = 0;
	if (!open_array(p, "status.podIPs is not a list"))
		return;
	while (kb_json_element(&p->json)) {
		const char *text = "";

		if (!open_object(p, "a pod's address is not an object"))
			continue;
		while (kb_json_key(&p->json, &key)) {
			if (kb_json_is(&key, "ip"))
				read_string(p, &text, "a pod's address is not a string");
			else
				kb_json_skip(&p->json);
		}
		add_pod_ip(p, text);
	}
}

/* Only pods have a status that matters here: what is absurd in it is kept apart. */
static void read_status(struct kb_object_parser *p)
{
	struct raw *raw = &p->raw;
	const char *bad = raw->bad;
	struct kb_json_str key;

	raw->bad = NULL;
	if (open_object(p, "status is not an object")) {
		while (kb_json_key(&p->json, &key)) {
			if (kb_json_is(&key, "phase"))
				read_string(p, &raw->phase, "status.phase is not a string");
			else if (kb_json_is(&key, "podIP"))
				read_string(p, &raw->pod_ip, "status.podIP is not a string");
			else if (kb_json_is(&key, "podIPs"))
				read_pod_ips(p);
			else
				kb_json_skip(&p->json);
		}
	}
	raw->bad_status = raw->bad;
	raw->bad = bad;
}

/* Other kinds have `data` too, and anything in it: what is absurd is kept apart. */
static void read_data(struct kb_object_parser *p)
{
	struct raw *raw = &p->raw;
	const char *bad = raw->bad;
	struct kb_json_str key;

	raw->bad = NULL;
	raw->config_text = NULL;
	if (p->config_key && open_object(p, "data is not an object")) {
		while (kb_json_key(&p->json, &key)) {
			if (kb_json_is(&key, p->config_key))
				read_string(p, &raw->config_text, "its text is not a string");
			else
				kb_json_skip(&p->json);
		}
	} else if (!p->config_key) {
		kb_json_skip(&p->json);
	}
	if (raw->config_text && strlen(raw->config_text) > KB_CONFIG_TEXT_MAX)
		absurd(p, "its text is larger than 1 MiB");
	raw->bad_data = raw->bad;
	raw->bad = bad;
}

/* Members of every kind together: what a kind does not have is not looked at. */
static void read_object(struct kb_object_parser *p)
{
	struct raw *raw = &p->raw;
	struct kb_json_str key;

	if (!open_object(p, "not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "metadata")) {
			read_metadata(p);
		} else if (kb_json_is(&key, "endpoints")) {
			read_endpoints(p);
		} else if (kb_json_is(&key, "ports")) {
			read_ports(p, &p->ports, false);
		} else if (kb_json_is(&key, "addressType")) {
			read_string(p, &raw->address_type, "addressType is not a string");
		} else if (kb_json_is(&key, "spec")) {
			read_spec(p);
		} else if (kb_json_is(&key, "status")) {
			read_status(p);
		} else if (kb_json_is(&key, "data")) {
			read_data(p);
		} else if (kb_json_is(&key, "kind")) {
			read_string(p, &raw->kind, "kind is not a string");
		} else if (kb_json_is(&key, "apiVersion")) {
			read_string(p, &raw->api_version, "apiVersion is not a string");
		} else if (kb_json_is(&key, "message")) {
			read_string(p, &raw->message, "message is not a string");
		} else if (kb_json_is(&key, "code")) {
			if (!kb_json_integer(&p->json, &raw->code))
				kb_json_skip(&p->json);
		} else {
			kb_json_skip(&p->json);
		}
	}
}

static void read_event(struct kb_object_parser *p)
{
	struct kb_json_str key;

	if (!open_object(p, "an event is not an object"))
		return;
	while (kb_json_key(&p->json, &key)) {
		if (kb_json_is(&key, "type"))
			read_string(p, &p->raw.event, "an event's type is not a string");
		else if (kb_json_is(&key, "object"))
			read_object(p);
		else
			kb_json_skip(&p->json);
	}
}

/* RFC 3339, as Go prints it; 0 for anything else. */
static double trigger_time(const char *text)
{
	struct tm tm = {0};
	double fraction = 0, scale = 1;
	int n = 0, hours, minutes;
	char sign;
	long off;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	text += n;
	if (*text == '.') {
		while (*++text >= '0' && *text <= '9') {
			scale /= 10;
			fraction += (*text - '0') * scale;
		}
	}
	off = 0;
	if (sscanf(text, "%c%2d:%2d", &sign, &hours, &minutes) == 3 && (sign == '+' || sign == '-'))
		off = (hours * 3600L + minutes * 60L) * (sign == '+' ? 1 : -1);
	else if (strcmp(text, "Z") != 0)
		return 0;
	return (double)(timegm(&tm) - off) + fraction;
}

static void fill_service(struct kb_object_parser *p, struct kb_service *s)
{
	const struct raw *raw = &p->raw;
	const char *type = raw->type && *raw->type ? raw->type : "ClusterIP";

	s->ports = p->spec_ports.v;
	s->n_ports = p->spec_ports.n;
	s->selector = raw->selector;
	if (!strcmp(type, "ExternalName")) {
		s->type = KB_EXTERNAL_NAME;
		s->external_name = raw->external_name;
		if (!raw->external_name || !*raw->external_name)
			absurd(p, "type ExternalName without spec.externalName");
		return;
	}
	if (strcmp(type, "ClusterIP") && strcmp(type, "NodePort") && strcmp(type, "LoadBalancer"))
		absurd(p, "spec.type is unknown");
	if (raw->cluster_ip && !strcmp(raw->cluster_ip, "None")) {
		s->type = KB_HEADLESS;
		return;
	}
	s->type = KB_CLUSTER_IP;
	if (!p->ips.n && raw->cluster_ip && *raw->cluster_ip)
		add_cluster_ip(p, raw->cluster_ip);
	if (!p->ips.n)
		absurd(p, "no cluster IP");
	s->cluster_ips = p->ips.v;
	s->n_cluster_ips = p->ips.n;
}

static void fill_slice(struct kb_object_parser *p, struct kb_slice *s)
{
	const struct raw *raw = &p->raw;
	const char *type = raw->address_type ? raw->address_type : "";

	s->service = raw->service && *raw->service ? raw->service : NULL;
	s->trigger_time_s = raw->trigger ? trigger_time(raw->trigger) : 0;
	s->ports = p->ports.v;
	s->n_ports = p->ports.n;
	if (!strcmp(type, "FQDN"))
		return; /* host names, which cluster DNS has no records for */
	if (raw->bad_address)
		absurd(p, raw->bad_address);
	if (!strcmp(type, "IPv4")   ? raw->families & (1u << 6)
	    : !strcmp(type, "IPv6") ? raw->families & (1u << 4)
				    : 0)
		absurd(p, "an address is not of the slice's addressType");
	else if (*type && strcmp(type, "IPv4") && strcmp(type, "IPv6"))
		absurd(p, "addressType is unknown");
	s->endpoints = p->endpoints.v;
	s->n_endpoints = p->endpoints.n;
}

/* Leaves each address once, in order, and returns how many there are. */
static size_t unique_addrs(struct kb_addr *addrs, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < kept && memcmp(&addrs[k], &addrs[i], sizeof(addrs[i])))
			k++;
		if (k == kept)
			addrs[kept++] = addrs[i];
	}
	return kept;
}

static void fill_pod(struct kb_object_parser *p, struct kb_pod *pod)
{
	const struct raw *raw = &p->raw;
	const char *phase = raw->phase ? raw->phase : "";
	struct kb_addr *ips = p->pod_ips + 1;
	size_t n = p->n_pod_ips;

	if (raw->bad_status)
		absurd(p, raw->bad_status);
	if (raw->deleting || !strcmp(phase, "Succeeded") || !strcmp(phase, "Failed") ||
	    !strcmp(phase, "Unknown"))
		return;
	if (raw->pod_ip && *raw->pod_ip) {
		*--ips = (struct kb_addr){0};
		n++;
		if (!parse_address(raw->pod_ip, ips))
			absurd(p, "status.podIP is not an IP address");
	}
	pod->ips = ips;
	pod->n_ips = unique_addrs(ips, n);
}

static void fill_configmap(struct kb_object_parser *p, struct kb_configmap *c)
{
	if (p->raw.bad_data)
		absurd(p, p->raw.bad_data);
	c->text = p->raw.config_text;
}

static const struct {
	const char *kind, *api_version;
} kinds[KB_KIND_MAX] = {
	[KB_SERVICE] = {"Service", "v1"},     [KB_SLICE] = {"EndpointSlice", "discovery.k8s.io/v1"},
	[KB_NAMESPACE] = {"Namespace", "v1"}, [KB_POD] = {"Pod", "v1"},
	[KB_CONFIGMAP] = {"ConfigMap", "v1"},
};

/* What the text says it is; what it does not say, the caller's word stands for. */
static enum kb_kind find_kind(const struct raw *raw, enum kb_kind wanted)
{
	for (int k = 0; k < KB_KIND_MAX; k++) {
		bool is = raw->kind ? !strcmp(raw->kind, kinds[k].kind) : (int)wanted == k;
		bool of = raw->api_version ? !strcmp(raw->api_version, kinds[k].api_version)
					   : (int)wanted == k;

		if (is && of)
			return (enum kb_kind)k;
	}
	return KB_KIND_MAX;
}

static void unnamed(struct kb_parsed *out, const char *why)
{
	out->result = KB_PARSE_UNNAMED;
	out->why = why;
}

static void fill_object(struct kb_object_parser *p, enum kb_kind wanted, const char *bad,
			struct kb_parsed *out)
{
	struct raw *raw = &p->raw;
	struct kb_object *obj = &out->obj;
	enum kb_kind kind = find_kind(raw, wanted);

	obj->kind = kind;
	if (kind == KB_KIND_MAX && (!out->malformed || (wanted == KB_KIND_MAX && raw->kind))) {
		out->result = KB_PARSE_IGNORED;
		return;
	}
	if (bad || out->malformed)
		raw->bad = bad ? bad : p->json.error;
	if (kind == KB_KIND_MAX || (wanted != KB_KIND_MAX && kind != wanted)) {
		unnamed(out, raw->bad ? raw->bad : "an object of another kind");
		return;
	}
	if (!raw->name || !*raw->name) {
		unnamed(out, raw->bad ? raw->bad : "an object without a name");
		return;
	}
	if (kind != KB_NAMESPACE && (!raw->ns || !*raw->ns)) {
		unnamed(out, raw->bad ? raw->bad : "an object without a namespace");
		return;
	}
	obj->name = raw->name;
	obj->ns = kind == KB_NAMESPACE ? "" : raw->ns;
	if (kind == KB_SERVICE)
		fill_service(p, &obj->u.service);
	else if (kind == KB_SLICE)
		fill_slice(p, &obj->u.slice);
	else if (kind == KB_POD)
		fill_pod(p, &obj->u.pod);
	else if (kind == KB_CONFIGMAP)
		fill_configmap(p, &obj->u.configmap);
	obj->bad = raw->bad;
	if (!obj->bad) {
		obj->labels = p->labels.v;
		obj->n_labels = p->labels.n;
	} else {
		const char *service = kind == KB_SLICE ? obj->u.slice.service : NULL;

		memset(&obj->u, 0, sizeof(obj->u));
		if (kind == KB_SLICE)
			obj->u.slice.service = service;
	}
}

static int finish(struct kb_object_parser *p, enum kb_kind kind, const char *bad,
		  struct kb_parsed *out)
{
	struct raw *raw = &p->raw;

	if (p->oom)
		return -ENOMEM;
	out->malformed = !kb_json_finish(&p->json);
	out->error_at = (size_t)(p->json.p - p->json.begin);
	out->resource_version = raw->resource_version ? raw->resource_version : "";
	out->initial_events_end = raw->initial_events_end;
	out->status_code = raw->code >= 100 && raw->code <= 999 ? (int)raw->code : 0;
	out->status_message = raw->message ? raw->message : "";
	fill_object(p, kind, bad, out);
	return p->oom ? -ENOMEM : 0;
}

int kb_object_parse(struct kb_object_parser *p, enum kb_kind kind, const char *text, size_t len,
		    const char *bad, struct kb_parsed *ret_parsed)
{
	int r = begin(p, kind == KB_NAMESPACE || kind == KB_KIND_MAX, text, len);

	if (r < 0)
		return r;
	*ret_parsed = (struct kb_parsed){.resource_version = "", .status_message = ""};
	read_object(p);
	return finish(p, kind, bad, ret_parsed);
}

static enum kb_event_type event_type(const char *type)
{
	static const char *const names[] = {
		[KB_EVENT_ADDED] = "ADDED",	[KB_EVENT_MODIFIED] = "MODIFIED",
		[KB_EVENT_DELETED] = "DELETED", [KB_EVENT_BOOKMARK] = "BOOKMARK",
		[KB_EVENT_ERROR] = "ERROR",
	};

	for (int i = KB_EVENT_ADDED; type && i <= KB_EVENT_ERROR; i++) {
		if (!strcmp(type, names[i]))
			return (enum kb_event_type)i;
	}
	return KB_EVENT_UNKNOWN;
}

int kb_object_parse_event(struct kb_object_parser *p, enum kb_kind kind, const char *text,
			  size_t len, const char *bad, struct kb_parsed *ret_parsed)
{
	int r = begin(p, kind == KB_NAMESPACE || kind == KB_KIND_MAX, text, len);

	if (r < 0)
		return r;
	*ret_parsed = (struct kb_parsed){.resource_version = "", .status_message = ""};
	read_event(p);
	ret_parsed->event = event_type(p->raw.event);
	return finish(p, kind, bad, ret_parsed);
}

int kb_object_parse_list_meta(struct kb_object_parser *p, const char *text, size_t len,
			      const char **ret_resource_version, const char **ret_continue)
{
	int r = begin(p, false, text, len);

	if (r < 0)
		return r;
	read_metadata(p);
	if (!kb_json_finish(&p->json) || p->raw.bad)
		return -EBADMSG;
	*ret_resource_version = p->raw.resource_version ? p->raw.resource_version : "";
	*ret_continue = p->raw.continue_token ? p->raw.continue_token : "";
	return 0;
}
