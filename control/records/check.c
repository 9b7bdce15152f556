/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What DNS cannot carry of an object: told once for each such state of it.
 */
#include "control/records/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_name[KB_KIND_MAX] = {"Service", "EndpointSlice", "Namespace", "Pod"};

void kb_check_warn(struct kb_records *r, const struct kb_object *obj, const char *format, ...)
{
	char what[256], line[512];
	va_list ap;

	r->n_warnings++;
	if (!r->warn)
		return;
	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s %.80s%s%.120s: %s", kind_name[obj->kind],
		 obj->kind == KB_NAMESPACE ? "" : obj->ns, obj->kind == KB_NAMESPACE ? "" : "/",
		 obj->name, what);
	r->warn(r->arg, line);
}

static bool valid(const char *s)
{
	return kb_label_valid(s, strlen(s));
}

static bool addr_valid(const struct kb_addr *a)
{
	return a->family == 4 || a->family == 6;
}

const char *kb_check_service(const struct kb_object *obj)
{
	const struct kb_service *v = &obj->u.service;
	struct kb_wire target;
	size_t i;

	if (obj->bad)
		return obj->bad;
	if (!valid(obj->name))
		return "its name is not a DNS label";
	if (!valid(obj->ns))
		return "its namespace is not a DNS label";
	for (i = 0; v->type == KB_CLUSTER_IP && i < v->n_cluster_ips; i++)
		if (!addr_valid(&v->cluster_ips[i]))
			return "a clusterIP is not an address";
	if (v->type == KB_EXTERNAL_NAME &&
	    (!v->external_name || kb_wire_parse(v->external_name, false, &target)))
		return "externalName is not a DNS name";
	return NULL;
}

const char *kb_check_slice(const struct kb_object *obj)
{
	const struct kb_slice *v = &obj->u.slice;
	size_t i;

	if (obj->bad)
		return obj->bad;
	for (i = 0; i < v->n_endpoints; i++) {
		const struct kb_endpoint *e = &v->endpoints[i];

		if (!addr_valid(&e->addr))
			return "an endpoint has no address";
		if (e->hostname && e->hostname[0] && !valid(e->hostname))
			return "a hostname is not a DNS label";
	}
	return NULL;
}

const char *kb_check_namespace(const struct kb_object *obj)
{
	if (obj->bad)
		return obj->bad;
	return valid(obj->name) ? NULL : "its name is not a DNS label";
}

/* Parts of a good object that have no name of their own. */
void kb_check_name(struct kb_records *r, const struct kb_object *obj)
{
	size_t i, len = strlen(obj->name) + strlen(obj->ns) + 2;

	for (i = 0; i < r->zones.n_cluster; i++) {
		if (r->zones.def[i].svc.len + len <= KB_WIRE_MAX)
			continue;
		kb_check_warn(r, obj, "its name is longer than 255 bytes: it has none%s",
			      r->zones.n_cluster > 1 ? " in one cluster domain" : "");
		return;
	}
}

void kb_check_ports(struct kb_records *r, const struct kb_object *obj, const char *service,
		    const struct kb_port *ports, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		size_t len = strlen(ports[i].name);
		/* _port, _proto, S, N with their length bytes. */
		size_t whole = len + 2 + 6 + strlen(service) + 1 + strlen(obj->ns) + 1;

		if (!len)
			continue;
		if (!valid(ports[i].name) || len + 1 > KB_LABEL_MAX) {
			kb_check_warn(r, obj, "port name \"%.80s\" is not a DNS label: no SRV name",
				      ports[i].name);
			continue;
		}
		for (k = 0; k < r->zones.n_cluster; k++) {
			if (whole + r->zones.def[k].svc.len <= KB_WIRE_MAX)
				continue;
			kb_check_warn(r, obj,
				      "the SRV name of port \"%.80s\" is longer than 255 bytes",
				      ports[i].name);
			break;
		}
	}
}

void kb_check_hosts(struct kb_records *r, const struct kb_object *obj)
{
	const struct kb_slice *v = &obj->u.slice;
	size_t i, k, base;

	if (!v->service)
		return;
	base = strlen(v->service) + 1 + strlen(obj->ns) + 1;
	for (i = 0; i < v->n_endpoints; i++) {
		const char *host = kb_endpoint_host(&r->store, &v->endpoints[i]);
		size_t len = host ? strlen(host) : 15;

		for (k = 0; k < r->zones.n_cluster; k++) {
			if (base + len + 1 + r->zones.def[k].svc.len <= KB_WIRE_MAX)
				continue;
			kb_check_warn(r, obj, "an endpoint's name is longer than 255 bytes");
			return;
		}
	}
}
