/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/svcview.h"

#include <string.h>

#include "control/records/alloc.h"
#include "control/records/dashed.h"

void kb_svcview_fini(struct kb_svcview *v)
{
	free(v->eps);
	free(v->groups);
	free(v->ports);
	free(v->addrs);
	free(v->group_addrs);
	free(v->srv);
	memset(v, 0, sizeof(*v));
}

int kb_addr_compare(const void *a, const void *b)
{
	const struct kb_addr *x = a, *y = b;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	return memcmp(x->b, y->b, x->family == 4 ? 4 : 16);
}

size_t kb_addrs_unique(struct kb_addr *addrs, size_t n, size_t *ret_n4)
{
	size_t i, out = 0;

	if (n > 1)
		qsort(addrs, n, sizeof(*addrs), kb_addr_compare);
	*ret_n4 = 0;
	for (i = 0; i < n; i++) {
		if (out && kb_addr_compare(&addrs[out - 1], &addrs[i]) == 0)
			continue;
		addrs[out++] = addrs[i];
		*ret_n4 += addrs[i].family == 4 ? 1 : 0;
	}
	return out;
}

static int label_compare(const char *a, size_t alen, const char *b, size_t blen)
{
	int c = memcmp(a, b, alen < blen ? alen : blen);

	return c ? c : (alen > blen) - (alen < blen);
}

static int ep_compare(const void *a, const void *b)
{
	const struct kb_svcview_ep *x = a, *y = b;
	int c = label_compare(x->label, x->label_len, y->label, y->label_len);

	return c ? c : kb_addr_compare(&x->addr, &y->addr);
}

static void collect_eps(struct kb_svcview *v, const struct kb_store *s)
{
	uint32_t id, i;

	for (id = v->svc->slices; id; id = kb_store_slice(s, id)->next) {
		const struct kb_slice_obj *o = kb_store_slice(s, id)->obj;
		const struct kb_ep_rec *rec = kb_slice_eps(o);

		v->eps = kb_grow(v->eps, &v->cap_eps, v->n_eps + o->n_eps, sizeof(*v->eps));
		for (i = 0; i < o->n_eps; i++) {
			struct kb_svcview_ep *e = &v->eps[v->n_eps++];

			e->slice = o;
			e->host = rec[i].host & ~KB_EP_V6;
			memset(&e->addr, 0, sizeof(e->addr));
			if (rec[i].host & KB_EP_V6) {
				e->addr.family = 6;
				memcpy(e->addr.b, kb_strings_text(&s->strings, rec[i].addr), 16);
			} else {
				e->addr.family = 4;
				memcpy(e->addr.b, &rec[i].addr, 4);
			}
			if (e->host) {
				e->label_len = (uint8_t)kb_strings_len(&s->strings, e->host);
				memcpy(e->label, kb_strings_text(&s->strings, e->host),
				       e->label_len);
			} else {
				e->label_len = (uint8_t)kb_dashed_endpoint(&e->addr, e->label);
			}
		}
	}
	if (v->n_eps > 1)
		qsort(v->eps, v->n_eps, sizeof(*v->eps), ep_compare);
}

static void collect_groups(struct kb_svcview *v)
{
	size_t i;

	for (i = 0; i < v->n_eps; i++) {
		struct kb_svcview_group *g;

		if (i && label_compare(v->eps[i].label, v->eps[i].label_len, v->eps[i - 1].label,
				       v->eps[i - 1].label_len) == 0) {
			v->groups[v->n_groups - 1].n++;
			continue;
		}
		v->groups = kb_grow(v->groups, &v->cap_groups, v->n_groups + 1, sizeof(*v->groups));
		g = &v->groups[v->n_groups++];
		g->first = (uint32_t)i;
		g->n = 1;
	}
}

static void add_ports(struct kb_svcview *v, const struct kb_port_rec *ports, uint32_t n)
{
	uint32_t i;
	size_t k;

	for (i = 0; i < n; i++) {
		if (!ports[i].name)
			continue;
		for (k = 0; k < v->n_ports; k++)
			if (v->ports[k].name == ports[i].name &&
			    v->ports[k].proto == ports[i].proto)
				break;
		if (k < v->n_ports)
			continue;
		v->ports = kb_grow(v->ports, &v->cap_ports, v->n_ports + 1, sizeof(*v->ports));
		v->ports[v->n_ports].name = ports[i].name;
		v->ports[v->n_ports++].proto = ports[i].proto;
	}
}

static void collect_addrs(struct kb_svcview *v)
{
	const struct kb_svc_obj *o = v->svc->obj;
	size_t i, n = 0;

	if (v->own_kind == KB_VIEW_CLUSTER) {
		n = o->n_ips;
		v->addrs = kb_grow(v->addrs, &v->cap_addrs, n, sizeof(*v->addrs));
		if (n)
			memcpy(v->addrs, kb_svc_ips(o), n * sizeof(*v->addrs));
	} else {
		v->addrs = kb_grow(v->addrs, &v->cap_addrs, v->n_eps, sizeof(*v->addrs));
		for (i = 0; i < v->n_eps; i++)
			v->addrs[n++] = v->eps[i].addr;
	}
	n = kb_addrs_unique(v->addrs, n, &v->n4);
	v->n6 = n - v->n4;
}

static enum kb_svcview_kind own_kind(const struct kb_svcview *v, const struct kb_store *s)
{
	const struct kb_svc_obj *o = v->svc->obj;
	uint32_t id;

	if (!o)
		return KB_VIEW_NONE;
	if (o->reason)
		return KB_VIEW_LEFT;
	if (o->type == KB_EXTERNAL_NAME)
		return KB_VIEW_EXTERNAL;
	for (id = v->svc->slices; id; id = kb_store_slice(s, id)->next)
		if (kb_store_slice(s, id)->obj->reason)
			return KB_VIEW_LEFT;
	if (o->type == KB_CLUSTER_IP)
		return s->ignore_empty && !v->n_eps ? KB_VIEW_NONE : KB_VIEW_CLUSTER;
	return v->n_eps ? KB_VIEW_HEADLESS : KB_VIEW_NONE;
}

static void collect_ports(struct kb_svcview *v, const struct kb_store *s)
{
	const struct kb_svc_obj *o = v->svc->obj;
	uint32_t id;

	if (v->own_kind == KB_VIEW_CLUSTER) {
		if (v->n4 + v->n6)
			add_ports(v, o->ports, o->n_ports);
		return;
	}
	for (id = v->svc->slices; id; id = kb_store_slice(s, id)->next)
		if (kb_store_slice(s, id)->obj->n_eps)
			add_ports(v, kb_store_slice(s, id)->obj->ports,
				  kb_store_slice(s, id)->obj->n_ports);
}

void kb_svcview_collect(struct kb_svcview *v, const struct kb_store *s, uint32_t svc)
{
	const struct kb_ns *ns;
	const struct kb_svc_obj *o;

	v->svc = kb_store_svc(s, svc);
	ns = kb_store_ns(s, v->svc->ns);
	o = v->svc->obj;
	v->n_eps = v->n_groups = v->n_ports = v->n4 = v->n6 = v->n_srv = 0;
	v->usable = o && !o->reason && o->type != KB_EXTERNAL_NAME;
	v->ptr = v->usable && (!s->ptr_hidden || kb_ns_exposed(ns));
	if (v->usable) {
		collect_eps(v, s);
		collect_groups(v);
	}
	v->own_kind = own_kind(v, s);
	/* A left namespace leaves everything below it by itself. */
	v->kind = kb_ns_exposed(ns) && !ns->reason && !ns->lost ? v->own_kind : KB_VIEW_NONE;
	if (v->own_kind != KB_VIEW_CLUSTER && v->own_kind != KB_VIEW_HEADLESS)
		return;
	collect_addrs(v);
	collect_ports(v, s);
}

int kb_svcview_find_group(const struct kb_svcview *v, const char *label, size_t len)
{
	size_t lo = 0, hi = v->n_groups;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct kb_svcview_ep *e = &v->eps[v->groups[mid].first];
		int c = label_compare(e->label, e->label_len, label, len);

		if (c == 0)
			return (int)mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

void kb_svcview_group_addrs(struct kb_svcview *v, uint32_t group, size_t *ret_n4, size_t *ret_n6)
{
	const struct kb_svcview_group *g = &v->groups[group];
	size_t i, n = 0;

	v->group_addrs =
		kb_grow(v->group_addrs, &v->cap_group_addrs, g->n, sizeof(*v->group_addrs));
	*ret_n4 = 0;
	for (i = g->first; i < g->first + g->n; i++) {
		const struct kb_addr *a = &v->eps[i].addr;

		if (n && kb_addr_compare(&v->group_addrs[n - 1], a) == 0)
			continue;
		v->group_addrs[n++] = *a;
		*ret_n4 += a->family == 4 ? 1 : 0;
	}
	*ret_n6 = n - *ret_n4;
}

static void srv_add(struct kb_svcview *v, uint32_t group, uint16_t port)
{
	v->srv = kb_grow(v->srv, &v->cap_srv, v->n_srv + 1, sizeof(*v->srv));
	v->srv[v->n_srv].group = group;
	v->srv[v->n_srv++].port = port;
}

static int srv_compare(const void *a, const void *b)
{
	const struct kb_svcview_srv *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->port > y->port) - (x->port < y->port);
}

/* Weight as CoreDNS has it: 100 shared among all matches, those that are folded
 * afterwards and those without a port included. */
static void srv_finish(struct kb_svcview *v, size_t matches)
{
	size_t i, out = 0;

	v->weight = (uint16_t)(matches && matches < 100 ? 100 / matches : 1);
	if (v->n_srv > 1)
		qsort(v->srv, v->n_srv, sizeof(*v->srv), srv_compare);
	for (i = 0; i < v->n_srv; i++)
		if (!out || srv_compare(&v->srv[out - 1], &v->srv[i]) != 0)
			v->srv[out++] = v->srv[i];
	v->n_srv = out;
}

static bool port_matches(const struct kb_port_rec *p, const struct kb_svcview_port *want)
{
	return !want || (p->name == want->name && p->proto == want->proto);
}

static void srv_cluster(struct kb_svcview *v, const struct kb_svcview_port *want)
{
	const struct kb_svc_obj *o = v->svc->obj;
	uint32_t i;

	v->n_srv = 0;
	if (v->n4 + v->n6 == 0)
		return;
	for (i = 0; i < o->n_ports; i++)
		if (port_matches(&o->ports[i], want))
			srv_add(v, KB_VIEW_SELF, o->ports[i].port);
	srv_finish(v, v->n_srv * (v->n4 + v->n6));
}

/* Endpoints [first, end) x ports; `self`: the target is the name itself. */
static void srv_groups(struct kb_svcview *v, uint32_t first, uint32_t end, bool self,
		       const struct kb_svcview_port *want)
{
	size_t portless = 0;
	uint32_t g, e, i;

	v->n_srv = 0;
	for (g = first; g < end; g++) {
		for (e = v->groups[g].first; e < v->groups[g].first + v->groups[g].n; e++) {
			const struct kb_slice_obj *o = v->eps[e].slice;

			portless += o->n_ports || want ? 0 : 1;
			for (i = 0; i < o->n_ports; i++)
				if (port_matches(&o->ports[i], want))
					srv_add(v, self ? KB_VIEW_SELF : g, o->ports[i].port);
		}
	}
	srv_finish(v, v->n_srv + portless);
}

void kb_svcview_srv_service(struct kb_svcview *v)
{
	if (v->own_kind == KB_VIEW_CLUSTER)
		srv_cluster(v, NULL);
	else
		srv_groups(v, 0, (uint32_t)v->n_groups, false, NULL);
}

void kb_svcview_srv_port(struct kb_svcview *v, const struct kb_svcview_port *port)
{
	if (v->own_kind == KB_VIEW_CLUSTER)
		srv_cluster(v, port);
	else
		srv_groups(v, 0, (uint32_t)v->n_groups, false, port);
}

void kb_svcview_srv_group(struct kb_svcview *v, uint32_t group)
{
	srv_groups(v, group, group + 1, true, NULL);
}
