/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/object_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static void put_addr(FILE *out, const struct kb_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, text, sizeof(text));
	fprintf(out, " %s", text);
}

static void put_ports(FILE *out, const struct kb_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, " port %s/%d/%u", ports[i].name, ports[i].proto, ports[i].port);
}

static void put_service(FILE *out, const struct kb_service *s)
{
	fprintf(out, " type %d%s", s->type, s->selector ? " selected" : "");
	for (size_t i = 0; i < s->n_cluster_ips; i++)
		put_addr(out, &s->cluster_ips[i]);
	if (s->type == KB_EXTERNAL_NAME)
		fprintf(out, " to %s", s->external_name);
	put_ports(out, s->ports, s->n_ports);
}

static void put_slice(FILE *out, const struct kb_slice *s)
{
	fprintf(out, " of %s at %.6f", s->service ? s->service : "-", s->trigger_time_s);
	put_ports(out, s->ports, s->n_ports);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct kb_endpoint *e = &s->endpoints[i];

		put_addr(out, &e->addr);
		fprintf(out, "%s host %s pod %s", e->ready ? "" : " unready",
			e->hostname ? e->hostname : "-", e->pod ? e->pod : "-");
	}
}

static void put_configmap(FILE *out, const struct kb_configmap *c)
{
	fprintf(out, " text %s", c->text ? c->text : "-");
	for (size_t i = 0; i < c->n_data; i++)
		fprintf(out, " %s: %s", c->data[i].key, c->data[i].value);
}

static void put_pod(FILE *out, const struct kb_pod *pod)
{
	for (size_t i = 0; i < pod->n_ips; i++)
		put_addr(out, &pod->ips[i]);
}

char *object_text(const struct kb_parsed *p)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	fprintf(out, "event %d result %d version %s end %d status %d %s", p->event, p->result,
		p->resource_version, p->initial_events_end, p->status_code, p->status_message);
	if (p->result == KB_PARSE_OBJECT) {
		const struct kb_object *o = &p->obj;

		fprintf(out, " kind %d %s/%s%s", o->kind, o->ns, o->name, o->bad ? " bad" : "");
		if (!o->bad && o->kind == KB_SERVICE)
			put_service(out, &o->u.service);
		else if (o->kind == KB_SLICE)
			put_slice(out, &o->u.slice);
		else if (o->kind == KB_POD)
			put_pod(out, &o->u.pod);
		else if (!o->bad && o->kind == KB_CONFIGMAP)
			put_configmap(out, &o->u.configmap);
		for (size_t i = 0; !o->bad && i < o->n_labels; i++)
			fprintf(out, " %s=%s", o->labels[i].key, o->labels[i].value);
	}
	if (fclose(out))
		abort();
	return text;
}
