/* SPDX-License-Identifier: Apache-2.0 */
/* From struct kb_raw, which a reader has filled, to the object of object_parse.h. */
#include "control/kube/object_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/kube/object_private.h"

enum { KEEP_MAX = 64 << 10 }; /* larger buffers are given back */

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
	free(p->data.v);
	free(p);
}

void kb_object_parser_config_key(struct kb_object_parser *p, const char *key)
{
	p->config_key = key;
	p->config_all = false;
}

void kb_object_parser_config_all(struct kb_object_parser *p)
{
	p->config_key = NULL;
	p->config_all = true;
}

static void vec_reset(struct kb_vec *v, size_t size)
{
	v->n = 0;
	if (v->cap * size > KEEP_MAX) {
		free(v->v);
		*v = (struct kb_vec){0};
	}
}

static void *vec_add(struct kb_object_parser *p, struct kb_vec *v, size_t size)
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
	       (p->labels.cap + p->data.cap) * sizeof(struct kb_label);
}

static int begin(struct kb_object_parser *p, bool wants_labels, size_t len)
{
	vec_reset(&p->ips, sizeof(struct kb_addr));
	vec_reset(&p->ports, sizeof(struct kb_port));
	vec_reset(&p->spec_ports, sizeof(struct kb_port));
	vec_reset(&p->endpoints, sizeof(struct kb_endpoint));
	vec_reset(&p->labels, sizeof(struct kb_label));
	vec_reset(&p->data, sizeof(struct kb_label));
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
	p->raw = (struct kb_raw){0};
	p->error = NULL;
	p->error_at = 0;
	p->oom = false;
	return 0;
}

void kb_raw_absurd(struct kb_object_parser *p, const char *what)
{
	if (!p->raw.bad)
		p->raw.bad = what;
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
		kb_raw_absurd(p, "a port has an unknown protocol");
}

void kb_raw_add_port(struct kb_object_parser *p, struct kb_vec *ports, const char *name,
		     const char *protocol, const int64_t *number, bool needs_number)
{
	struct kb_port port = {.name = name}, *slot;

	set_protocol(p, &port, protocol);
	if (!number) {
		if (needs_number)
			kb_raw_absurd(p, "a port has no number");
		return;
	}
	if (*number < 0 || *number > 65535) {
		kb_raw_absurd(p, "a port is out of range");
		return;
	}
	port.port = (uint16_t)*number;
	slot = vec_add(p, ports, sizeof(port));
	if (slot)
		*slot = port;
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

static void add_cluster_ip(struct kb_object_parser *p, const char *text)
{
	struct kb_addr addr = {0}, *slot;

	if (!parse_address(text, &addr)) {
		kb_raw_absurd(p, "a cluster IP is not an IP address");
		return;
	}
	slot = vec_add(p, &p->ips, sizeof(addr));
	if (slot)
		*slot = addr;
}

void kb_raw_add_address(struct kb_object_parser *p, const char *text)
{
	struct kb_addr addr = {0};
	struct kb_endpoint *e;

	if (!parse_address(text, &addr)) {
		p->raw.bad_address = "an address is not an IP address";
		return;
	}
	e = vec_add(p, &p->endpoints, sizeof(*e));
	if (!e)
		return;
	e->addr = addr;
	p->raw.families |= (uint8_t)(1u << addr.family);
}

void kb_raw_end_endpoint(struct kb_object_parser *p, size_t first, bool ready, const char *hostname,
			 const char *target_kind, const char *target_name)
{
	bool pod = target_kind && !strcmp(target_kind, "Pod") && target_name && *target_name;

	for (size_t i = first; i < p->endpoints.n; i++) {
		struct kb_endpoint *e = (struct kb_endpoint *)p->endpoints.v + i;

		e->ready = ready;
		e->hostname = hostname && *hostname ? hostname : NULL;
		e->pod = pod ? target_name : NULL;
	}
}

void kb_raw_add_cluster_ip(struct kb_object_parser *p, const char *text, bool *none)
{
	if (!strcmp(text, "None"))
		*none = true;
	else if (*text)
		add_cluster_ip(p, text);
}

void kb_raw_add_pod_ip(struct kb_object_parser *p, const char *text)
{
	struct kb_addr addr = {0};

	if (!*text)
		return;
	if (!parse_address(text, &addr))
		kb_raw_absurd(p, "a pod's address is not an IP address");
	else if (p->n_pod_ips == KB_POD_IPS_MAX)
		kb_raw_absurd(p, "more addresses than a pod can have");
	else
		p->pod_ips[++p->n_pod_ips] = addr;
}

void kb_raw_add_label(struct kb_object_parser *p, const char *key, const char *value)
{
	struct kb_label *label;

	if (!strcmp(key, "kubernetes.io/service-name"))
		p->raw.service = value;
	if (p->labels.n == KB_OBJECT_LABELS_MAX)
		kb_raw_absurd(p, "too many labels");
	else if ((label = vec_add(p, &p->labels, sizeof(*label))))
		*label = (struct kb_label){key, value};
}

void kb_raw_add_data(struct kb_object_parser *p, const char *key, const char *text)
{
	struct kb_label *entry;

	if (p->data.n == KB_CONFIG_KEYS_MAX)
		kb_raw_absurd(p, "too many keys");
	else if ((entry = vec_add(p, &p->data, sizeof(*entry))))
		*entry = (struct kb_label){key, text};
}

void kb_raw_end_spec(struct kb_object_parser *p, bool none)
{
	if (none)
		p->raw.cluster_ip = "None";
	else if (p->ips.n)
		p->raw.cluster_ip = NULL;
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
	const struct kb_raw *raw = &p->raw;
	const char *type = raw->type && *raw->type ? raw->type : "ClusterIP";

	s->ports = p->spec_ports.v;
	s->n_ports = p->spec_ports.n;
	s->selector = raw->selector;
	if (!strcmp(type, "ExternalName")) {
		s->type = KB_EXTERNAL_NAME;
		s->external_name = raw->external_name;
		if (!raw->external_name || !*raw->external_name)
			kb_raw_absurd(p, "type ExternalName without spec.externalName");
		return;
	}
	if (strcmp(type, "ClusterIP") && strcmp(type, "NodePort") && strcmp(type, "LoadBalancer"))
		kb_raw_absurd(p, "spec.type is unknown");
	if (raw->cluster_ip && !strcmp(raw->cluster_ip, "None")) {
		s->type = KB_HEADLESS;
		return;
	}
	s->type = KB_CLUSTER_IP;
	if (!p->ips.n && raw->cluster_ip && *raw->cluster_ip)
		add_cluster_ip(p, raw->cluster_ip);
	if (!p->ips.n)
		kb_raw_absurd(p, "no cluster IP");
	s->cluster_ips = p->ips.v;
	s->n_cluster_ips = p->ips.n;
}

static void fill_slice(struct kb_object_parser *p, struct kb_slice *s)
{
	const struct kb_raw *raw = &p->raw;
	const char *type = raw->address_type ? raw->address_type : "";

	s->service = raw->service && *raw->service ? raw->service : NULL;
	s->trigger_time_s = raw->trigger ? trigger_time(raw->trigger) : 0;
	s->ports = p->ports.v;
	s->n_ports = p->ports.n;
	if (!strcmp(type, "FQDN"))
		return; /* host names, which cluster DNS has no records for */
	if (raw->bad_address)
		kb_raw_absurd(p, raw->bad_address);
	if (!strcmp(type, "IPv4")   ? raw->families & (1u << 6)
	    : !strcmp(type, "IPv6") ? raw->families & (1u << 4)
				    : 0)
		kb_raw_absurd(p, "an address is not of the slice's addressType");
	else if (*type && strcmp(type, "IPv4") && strcmp(type, "IPv6"))
		kb_raw_absurd(p, "addressType is unknown");
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
	const struct kb_raw *raw = &p->raw;
	const char *phase = raw->phase ? raw->phase : "";
	struct kb_addr *ips = p->pod_ips + 1;
	size_t n = p->n_pod_ips;

	if (raw->bad_status)
		kb_raw_absurd(p, raw->bad_status);
	if (raw->deleting || !strcmp(phase, "Succeeded") || !strcmp(phase, "Failed") ||
	    !strcmp(phase, "Unknown"))
		return;
	if (raw->pod_ip && *raw->pod_ip) {
		*--ips = (struct kb_addr){0};
		n++;
		if (!parse_address(raw->pod_ip, ips))
			kb_raw_absurd(p, "status.podIP is not an IP address");
	}
	pod->ips = ips;
	pod->n_ips = unique_addrs(ips, n);
}

static void fill_configmap(struct kb_object_parser *p, struct kb_configmap *c)
{
	const char *text = p->raw.config_text;
	size_t len = text ? strlen(text) : 0;

	c->data = p->data.v;
	c->n_data = p->data.n;
	for (size_t i = 0; i < c->n_data; i++)
		len += strlen(c->data[i].value);
	if (p->raw.bad_data)
		kb_raw_absurd(p, p->raw.bad_data);
	else if (len > KB_CONFIG_TEXT_MAX)
		kb_raw_absurd(p, "its text is larger than 1 MiB");
	c->text = text;
}

static const struct {
	const char *kind, *api_version;
} kinds[KB_KIND_MAX] = {
	[KB_SERVICE] = {"Service", "v1"},     [KB_SLICE] = {"EndpointSlice", "discovery.k8s.io/v1"},
	[KB_NAMESPACE] = {"Namespace", "v1"}, [KB_POD] = {"Pod", "v1"},
	[KB_CONFIGMAP] = {"ConfigMap", "v1"},
};

enum kb_kind kb_raw_kind(const struct kb_raw *raw, enum kb_kind wanted)
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
	struct kb_raw *raw = &p->raw;
	struct kb_object *obj = &out->obj;
	enum kb_kind kind = kb_raw_kind(raw, wanted);

	obj->kind = kind;
	/* As in the server's own lists, where the list says what its items are. */
	if (wanted == KB_KIND_MAX && !bad && !out->malformed && (!raw->kind || !raw->api_version)) {
		unnamed(out,
			"an object without kind or apiVersion, which kubectl get -o json writes");
		return;
	}
	if (kind == KB_KIND_MAX && (!out->malformed || (wanted == KB_KIND_MAX && raw->kind))) {
		out->result = KB_PARSE_IGNORED;
		return;
	}
	if (bad || out->malformed)
		raw->bad = bad ? bad : p->error;
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
	struct kb_raw *raw = &p->raw;

	if (p->oom)
		return -ENOMEM;
	out->malformed = p->error != NULL;
	out->error_at = p->error_at;
	out->resource_version = raw->resource_version ? raw->resource_version : "";
	out->initial_events_end = raw->initial_events_end;
	out->status_code = raw->code >= 100 && raw->code <= 999 ? (int)raw->code : 0;
	out->status_message = raw->message ? raw->message : "";
	fill_object(p, kind, bad, out);
	return p->oom ? -ENOMEM : 0;
}

static int read_text(struct kb_object_parser *p, enum kb_encoding encoding, enum kb_text what,
		     enum kb_kind kind, const char *text, size_t len)
{
	bool labels = what != KB_TEXT_LIST_META && (kind == KB_NAMESPACE || kind == KB_KIND_MAX);
	int r = begin(p, labels, len);

	if (r < 0)
		return r;
	if (encoding == KB_PROTOBUF)
		kb_object_read_pb(p, what, kind, text, len);
	else
		kb_object_read_json(p, what, text, len);
	return 0;
}

int kb_object_parse(struct kb_object_parser *p, enum kb_encoding encoding, enum kb_kind kind,
		    const char *text, size_t len, const char *bad, struct kb_parsed *ret_parsed)
{
	int r = read_text(p, encoding, KB_TEXT_OBJECT, kind, text, len);

	if (r < 0)
		return r;
	*ret_parsed = (struct kb_parsed){.resource_version = "", .status_message = ""};
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

int kb_object_parse_event(struct kb_object_parser *p, enum kb_encoding encoding, enum kb_kind kind,
			  const char *text, size_t len, const char *bad,
			  struct kb_parsed *ret_parsed)
{
	int r = read_text(p, encoding, KB_TEXT_EVENT, kind, text, len);

	if (r < 0)
		return r;
	*ret_parsed = (struct kb_parsed){.resource_version = "", .status_message = ""};
	ret_parsed->event = event_type(p->raw.event);
	return finish(p, kind, bad, ret_parsed);
}

int kb_object_parse_list_meta(struct kb_object_parser *p, enum kb_encoding encoding,
			      const char *text, size_t len, const char **ret_resource_version,
			      const char **ret_continue)
{
	int r = read_text(p, encoding, KB_TEXT_LIST_META, KB_KIND_MAX, text, len);

	if (r < 0)
		return r;
	if (p->error || p->raw.bad)
		return -EBADMSG;
	*ret_resource_version = p->raw.resource_version ? p->raw.resource_version : "";
	*ret_continue = p->raw.continue_token ? p->raw.continue_token : "";
	return 0;
}
