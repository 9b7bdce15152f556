/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster DNS Services themselves: the addresses of NS records and ns.dns.Z, intercepts,
 * and the names that depend on nothing else. */
#include "control/records/internal.h"

#include <string.h>

#include "control/records/alloc.h"

void kb_dns_collect(struct kb_records *r)
{
	struct kb_svcview *v = &r->dns_view;
	size_t i, n = 0, cap = r->cap_dns_addrs, n4;

	for (i = 0; i < r->n_dns; i++) {
		kb_svcview_collect(v, &r->store, r->dns[i]);
		if (v->own_kind != KB_VIEW_CLUSTER && v->own_kind != KB_VIEW_HEADLESS)
			continue;
		r->dns_addrs = kb_grow(r->dns_addrs, &cap, n + v->n4 + v->n6, sizeof(*v->addrs));
		if (v->n4 + v->n6)
			memcpy(r->dns_addrs + n, v->addrs, (v->n4 + v->n6) * sizeof(*v->addrs));
		n += v->n4 + v->n6;
	}
	n = kb_addrs_unique(r->dns_addrs, n, &n4);
	r->cap_dns_addrs = cap;
	r->dns_n4 = n4;
	r->dns_n6 = n - n4;
}

static int place_compare(const struct kb_icept_want *x, const struct kb_icept_want *y)
{
	int c = kb_addr_compare(&x->addr, &y->addr);

	return c ? c : (x->port > y->port) - (x->port < y->port);
}

/* A Service's before an endpoint's. */
static int icept_compare(const void *a, const void *b)
{
	const struct kb_icept_want *x = a, *y = b;
	int c = place_compare(x, y);

	return c ? c : y->service - x->service;
}

static void add_icepts(struct kb_icept_want **w, size_t *n, size_t *cap, bool service,
		       const struct kb_addr *addr, const struct kb_port_rec *ports,
		       uint32_t n_ports)
{
	uint32_t i;

	for (i = 0; i < n_ports; i++) {
		if (ports[i].proto != KB_UDP)
			continue;
		*w = kb_grow(*w, cap, *n + 1, sizeof(**w));
		memset(&(*w)[*n], 0, sizeof(**w));
		(*w)[*n].addr = *addr;
		(*w)[*n].service = service;
		(*w)[(*n)++].port = ports[i].port;
	}
}

/* Addresses of the cluster DNS Services, whole and anew: they are few. */
static void publish_icepts(struct kb_records *r)
{
	struct kb_icept_want *w = NULL;
	size_t n = 0, cap = 0, i, k, out;

	for (i = 0; i < r->n_dns; i++) {
		const struct kb_svc_obj *o = kb_store_svc(&r->store, r->dns[i])->obj;

		kb_svcview_collect(&r->dns_view, &r->store, r->dns[i]);
		if (!r->dns_view.usable)
			continue;
		for (k = 0; k < o->n_ips; k++)
			add_icepts(&w, &n, &cap, true, &kb_svc_ips(o)[k], o->ports, o->n_ports);
		for (k = 0; k < r->dns_view.n_eps; k++)
			add_icepts(&w, &n, &cap, false, &r->dns_view.eps[k].addr,
				   r->dns_view.eps[k].slice->ports,
				   r->dns_view.eps[k].slice->n_ports);
	}
	if (n > 1)
		qsort(w, n, sizeof(*w), icept_compare);
	for (i = out = 0; i < n; i++)
		if (!out || place_compare(&w[out - 1], &w[i]) != 0)
			w[out++] = w[i];
	n = out;
	/* First those that go: there is room for a fixed number. */
	for (i = k = 0; r->intercept && (i < r->n_icepts); i++) {
		while (k < n && icept_compare(&w[k], &r->icepts[i]) < 0)
			k++;
		if (k == n || icept_compare(&w[k], &r->icepts[i]) != 0)
			r->intercept(r->arg, false, r->icepts[i].service, &r->icepts[i].addr,
				     r->icepts[i].port);
	}
	for (i = k = 0; r->intercept && i < n; i++) {
		while (k < r->n_icepts && icept_compare(&r->icepts[k], &w[i]) < 0)
			k++;
		if (k == r->n_icepts || icept_compare(&r->icepts[k], &w[i]) != 0)
			r->intercept(r->arg, true, w[i].service, &w[i].addr, w[i].port);
	}
	free(r->icepts);
	r->icepts = w;
	r->n_icepts = n;
}

void kb_publish_static(struct kb_records *r)
{
	uint32_t bucket, slot;
	size_t i;

	kb_dns_collect(r);
	r->static_refused = false;
	kb_list_clear(&r->after);
	kb_names_apex(r, &r->after);
	if (r->built) {
		kb_publish_put_all(r, &r->after, &r->static_refused);
		publish_icepts(r);
		return;
	}
	/* What the table has from before is better than ours, as long as nothing is known. */
	for (i = 0; i < r->after.n; i++)
		if (r->rezoned ||
		    !kb_table_get(r->table, kb_list_name(&r->after, &r->after.want[i]),
				  r->after.want[i].name_len, &bucket, &slot))
			kb_publish_put(r, &r->after, &r->after.want[i], &r->static_refused);
}
