/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names there are, and what stands at each. Deterministic: the same objects
 * give the same bytes, in whatever order they came.
 */
#include <errno.h>
#include <string.h>

#include "control/records/alloc.h"
#include "control/records/dashed.h"
#include "control/records/internal.h"

static const char *const proto_label[] = {"_tcp", "_udp", "_sctp"};

static __be32 addr4(const struct kb_addr *a)
{
	return kb_load32(a->b);
}
/* One set in wire form, if the type exists. */
void kb_names_set(struct kb_records *r, struct kb_node *n, const struct kb_wire *name,
		  uint16_t type)
{
	kb_render_start(&r->render, name, r->body, sizeof(r->body));
	kb_node_put(r, n, type, &r->render, KB_OWNER_Q);
	if (r->render.an || r->render.full)
		kb_recbuf_wire(&r->recbuf, type, &r->render);
}

/* SRV, in the shared form if the target is the name or a suffix of it with just one
 * IPv4 address. Returns that address, or 0. */
static __be32 want_srv(struct kb_records *r, struct kb_node *n, const struct kb_wire *name)
{
	struct kb_svcview *v = n->view;
	uint16_t ports[KB_SRV_SELF_MAX];
	size_t n4, n6, i, tlen;
	struct kb_node target = *n;
	const struct kb_addr *addrs;

	kb_node_srv(n);
	if (!v->n_srv)
		return 0;
	if (n->kind == KB_NODE_PORT)
		target.kind = KB_NODE_SERVICE;
	tlen = n->kind == KB_NODE_PORT ? n->base.len : name->len;
	addrs = kb_node_addrs(r, &target, &n4, &n6);
	if (v->srv[0].group != KB_VIEW_SELF || n4 != 1 || n6 || v->n_srv > KB_SRV_SELF_MAX ||
	    v->n_srv * (18 + tlen) + 16 > KB_BODY_MAX) {
		kb_names_set(r, n, name, KB_TYPE_SRV);
		return 0;
	}
	for (i = 0; i < v->n_srv; i++)
		ports[i] = v->srv[i].port;
	kb_recbuf_srv_self(&r->recbuf, (uint16_t)(name->len - tlen), v->weight, ports, v->n_srv);
	return addr4(&addrs[0]);
}

/* Names of hosts: addresses, and SRV. */
static void want_hosts(struct kb_records *r, struct kb_node *n, const struct kb_wire *name,
		       struct kb_list *l)
{
	const struct kb_addr *addrs;
	size_t n4, n6, len;
	__be32 addr = 0;

	kb_recbuf_start(&r->recbuf);
	addrs = kb_node_addrs(r, n, &n4, &n6);
	if (n4 > 1)
		kb_recbuf_addrs(&r->recbuf, KB_TYPE_A, addrs, n4);
	if (n6)
		kb_recbuf_addrs(&r->recbuf, KB_TYPE_AAAA, addrs + n4, n6);
	if (n4 == 1)
		addr = addr4(&addrs[0]);
	if (n->view) {
		__be32 self = want_srv(r, n, name);

		addr = addr ? addr : self;
	}
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, n4 == 1 ? KB_VALUE_A : KB_VALUE_REC, n->zone->id, addr, r->recbuf.rec,
		    len);
}

/* A name all of whose sets are in wire form. */
static void want_types(struct kb_records *r, struct kb_node *n, const struct kb_wire *name,
		       const uint16_t *types, size_t n_types, struct kb_list *l)
{
	size_t i, len;

	kb_recbuf_start(&r->recbuf);
	for (i = 0; i < n_types; i++)
		kb_names_set(r, n, name, types[i]);
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, KB_VALUE_REC, n->zone->id, 0, r->recbuf.rec, len);
}

static void want_empty(const struct kb_wire *name, uint8_t zone, struct kb_list *l)
{
	kb_list_add(l, name, KB_VALUE_REC, zone, 0, NULL, 0);
}

void kb_names_cname(const struct kb_records *r, const struct kb_svc *svc, struct kb_render *out)
{
	struct kb_wire target;
	size_t rr;

	if (kb_wire_parse(kb_strings_text(&r->store.strings, svc->obj->external), false, &target))
		return;
	rr = kb_render_rr(out, KB_AN, KB_OWNER_Q, KB_TYPE_CNAME, -1);
	kb_render_name(out, &target);
	kb_render_end(out, rr);
}

/* Names of Pods and addresses come and go without a look at who leads to them: the socket engine
 * follows such a CNAME each time it is asked. */
static bool is_unwatched(const struct kb_node *end)
{
	return end->below_pod || (end->zone && end->zone->role == KB_ZONE_REVERSE);
}

/* ExternalName: the CNAME, and for each type of its target the whole chain (RFC 6604
 * for the rcode of one that leads nowhere). */
static void want_external(struct kb_records *r, const struct kb_wire *name, uint8_t zone,
			  struct kb_list *l)
{
	static const uint16_t types[] = {KB_TYPE_A,   KB_TYPE_AAAA, KB_TYPE_SRV,
					 KB_TYPE_TXT, KB_TYPE_NS,   KB_TYPE_SOA};
	const struct kb_svc *svc = r->view.svc;
	struct kb_render *out = &r->render;
	struct kb_node end;
	uint32_t owner;
	size_t i, len;

	kb_recbuf_start(&r->recbuf);
	kb_render_start(out, name, r->body, sizeof(r->body));
	owner = kb_resolve_chain(r, svc, &r->target, out, &end);
	if (svc->far || end.kind == KB_NODE_OUT || is_unwatched(&end)) {
		r->recbuf.flags = KB_REC_OTHER_LEAVE;
	} else {
		if (end.kind == KB_NODE_NONE) {
			kb_render_soa(out, KB_NS, &end.zone->apex);
			out->rcode = KB_RCODE_NXDOMAIN;
		} else if (end.kind != KB_NODE_EXTERNAL) {
			kb_render_soa(out, KB_NS, &end.zone->apex);
		}
		kb_recbuf_wire(&r->recbuf, 0, out);
	}
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint16_t cnames;

		if (r->recbuf.flags || end.kind == KB_NODE_NONE || end.kind == KB_NODE_EXTERNAL)
			break;
		kb_render_start(out, name, r->body, sizeof(r->body));
		owner = kb_resolve_chain(r, svc, &r->target, out, &end);
		cnames = out->an;
		kb_node_put(r, &end, types[i], out, owner);
		if (out->an > cnames)
			kb_recbuf_wire(&r->recbuf, types[i], out);
	}
	kb_render_start(out, name, r->body, sizeof(r->body));
	kb_names_cname(r, svc, out);
	kb_recbuf_wire(&r->recbuf, KB_TYPE_CNAME, out);
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, KB_VALUE_REC, zone, 0, r->recbuf.rec, len);
}

int kb_names_base(const struct kb_records *r, const struct kb_svc *svc, const struct kb_zone_def *d,
		  struct kb_wire *ret)
{
	const struct kb_strings *t = &r->store.strings;
	uint32_t ns = kb_store_ns(&r->store, svc->ns)->name;
	const char *n = kb_strings_text(t, ns), *s = kb_strings_text(t, svc->name);
	size_t nlen = kb_strings_len(t, ns), slen = kb_strings_len(t, svc->name);

	if (!kb_label_fits(n, nlen) || !kb_label_fits(s, slen))
		return -ENAMETOOLONG;
	*ret = d->svc;
	if (kb_wire_prepend(ret, n, nlen))
		return -ENAMETOOLONG;
	return kb_wire_prepend(ret, s, slen);
}

/* _proto.S.N.svc.Z and _port._proto.S.N.svc.Z. */
static void list_ports(struct kb_records *r, struct kb_node *n, struct kb_list *l)
{
	struct kb_svcview *v = n->view;
	bool proto[3] = {false};
	size_t i;

	n->kind = KB_NODE_PORT;
	for (i = 0; i < v->n_ports; i++) {
		const char *s = kb_strings_text(&r->store.strings, v->ports[i].name);
		const char *p = proto_label[v->ports[i].proto];
		struct kb_wire above = n->base, name;
		char label[KB_LABEL_MAX + 2];
		size_t len = strlen(s);

		label[0] = '_';
		memcpy(label + 1, s, len);
		if (kb_wire_prepend(&above, p, strlen(p)))
			continue;
		name = above;
		if (kb_wire_prepend(&name, label, len + 1))
			continue;
		if (!proto[v->ports[i].proto])
			want_empty(&above, n->zone->id, l);
		proto[v->ports[i].proto] = true;
		n->port = v->ports[i];
		want_hosts(r, n, &name, l);
	}
}

static void list_domain(struct kb_records *r, const struct kb_zone_def *d, struct kb_list *l)
{
	struct kb_node n = {.zone = d, .view = &r->view};
	struct kb_svcview *v = &r->view;
	size_t i;

	if (v->kind == KB_VIEW_NONE || kb_names_base(r, v->svc, d, &n.base))
		return;
	if (v->kind == KB_VIEW_LEFT) {
		kb_list_add(l, &n.base, KB_VALUE_LEAVE, d->id, 0, NULL, 0);
		return;
	}
	if (v->kind == KB_VIEW_EXTERNAL) {
		want_external(r, &n.base, d->id, l);
		return;
	}
	n.kind = KB_NODE_SERVICE;
	want_hosts(r, &n, &n.base, l);
	list_ports(r, &n, l);
	n.kind = KB_NODE_ENDPOINT;
	for (i = 0; i < v->n_groups; i++) {
		const struct kb_svcview_ep *e = &v->eps[v->groups[i].first];
		struct kb_wire name = n.base;

		if (kb_wire_prepend(&name, e->label, e->label_len))
			continue;
		n.group = (uint32_t)i;
		want_hosts(r, &n, &name, l);
	}
}

void kb_names_list(struct kb_records *r, struct kb_list *l)
{
	size_t i;

	for (i = 0; i < r->zones.n_cluster; i++)
		list_domain(r, &r->zones.def[i], l);
}

static void want_or_leave(const struct kb_wire *above, const char *label, size_t len, uint8_t zone,
			  bool leave, struct kb_list *l)
{
	struct kb_wire name = *above;

	if (kb_wire_prepend(&name, label, len))
		return;
	if (leave)
		kb_list_add(l, &name, KB_VALUE_LEAVE, zone, 0, NULL, 0);
	else
		want_empty(&name, zone, l);
}

void kb_names_ns(struct kb_records *r, uint32_t id, struct kb_list *l)
{
	const struct kb_ns *ns = kb_store_ns(&r->store, id);
	const char *s = kb_strings_text(&r->store.strings, ns->name);
	size_t i, len = kb_strings_len(&r->store.strings, ns->name);
	bool leave_pods = ns->reason || ns->lost_pods || r->pods_mode == KB_PODS_INSECURE;

	if (!kb_ns_exposed(ns) || !kb_label_fits(s, len))
		return;
	for (i = 0; i < r->zones.n_cluster; i++) {
		const struct kb_zone_def *d = &r->zones.def[i];

		want_or_leave(&d->svc, s, len, d->id, ns->reason || ns->lost, l);
		if (r->pods_mode != KB_PODS_DISABLED)
			want_or_leave(&d->pod, s, len, d->id, leave_pods, l);
	}
}

void kb_names_pod(struct kb_records *r, uint32_t id, const struct kb_addr *addr, struct kb_list *l)
{
	uint32_t ns = kb_store_ns(&r->store, id)->name;
	const char *s = kb_strings_text(&r->store.strings, ns);
	struct kb_node n = {.kind = KB_NODE_POD, .pod = *addr};
	char label[KB_LABEL_MAX + 1];
	size_t i, len = kb_dashed_make(addr, label), ns_len = kb_strings_len(&r->store.strings, ns);

	for (i = 0; i < r->zones.n_cluster; i++) {
		struct kb_wire name = r->zones.def[i].pod;

		if (!kb_label_fits(s, ns_len) || kb_wire_prepend(&name, s, ns_len) ||
		    kb_wire_prepend(&name, label, len))
			continue;
		n.zone = &r->zones.def[i];
		want_hosts(r, &n, &name, l);
	}
}

/* The apex, and where the SOA says that the zone comes from. */
static void list_apex(struct kb_records *r, const struct kb_zone_def *d, struct kb_list *l)
{
	static const uint16_t types[] = {KB_TYPE_SOA, KB_TYPE_NS};
	struct kb_node n = {.zone = d, .kind = KB_NODE_APEX};
	struct kb_wire name = d->apex;

	want_types(r, &n, &name, types, 2, l);
	if (kb_wire_prepend(&name, "dns", 3))
		return;
	want_empty(&name, d->id, l);
	if (kb_wire_prepend(&name, "ns", 2))
		return;
	n.kind = KB_NODE_NS;
	want_hosts(r, &n, &name, l);
}

void kb_names_apex(struct kb_records *r, struct kb_list *l)
{
	static const uint16_t types[] = {KB_TYPE_TXT};
	size_t i;

	for (i = 0; i < r->zones.n_cluster + r->zones.n_reverse; i++)
		list_apex(r, &r->zones.def[i], l);
	for (i = 0; i < r->zones.n_cluster; i++) {
		const struct kb_zone_def *d = &r->zones.def[i];
		struct kb_node n = {.zone = d, .kind = KB_NODE_VERSION};
		struct kb_wire name = d->apex;

		want_empty(&d->svc, d->id, l);
		want_empty(&d->pod, d->id, l);
		kb_wire_prepend(&name, "dns-version", 11);
		want_types(r, &n, &name, types, 1, l);
	}
}
