/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names there are, and what stands at each. Deterministic: the same objects
 * give the same bytes, in whatever order they came.
 */
#include <errno.h>
#include <string.h>

#include "control/records/alloc.h"
#include "control/records/internal.h"

#define VERSION_TTL 28800 /* the specification's example, and CoreDNS's */

static const char *const proto_label[] = {"_tcp", "_udp", "_sctp"};

void kb_list_clear(struct kb_list *l)
{
	l->n = 0;
	l->len = 0;
}

void kb_list_fini(struct kb_list *l)
{
	free(l->want);
	free(l->bytes);
	memset(l, 0, sizeof(*l));
}

static size_t add_bytes(struct kb_list *l, const void *p, size_t len)
{
	size_t at = l->len;

	l->bytes = kb_grow(l->bytes, &l->cap_bytes, l->len + len, 1);
	if (len)
		memcpy(l->bytes + at, p, len);
	l->len += len;
	return at;
}

/* Records stay aligned, as whoever takes them may read them as what they are. */
static size_t add_record(struct kb_list *l, const uint8_t *rec, size_t len)
{
	static const uint8_t pad[8];

	if (len && l->len % sizeof(pad))
		add_bytes(l, pad, sizeof(pad) - l->len % sizeof(pad));
	return add_bytes(l, rec, len);
}

void kb_list_add(struct kb_list *l, const struct kb_wire *name, enum kb_value_kind kind,
		 uint8_t zone, __be32 addr, const uint8_t *rec, size_t rec_len)
{
	struct kb_want *w, *last = l->n ? &l->want[l->n - 1] : NULL;
	size_t at;

	/* Neighbours often share their record. */
	if (last && rec_len && last->rec_len == rec_len &&
	    memcmp(l->bytes + last->rec, rec, rec_len) == 0)
		at = last->rec;
	else
		at = add_record(l, rec, rec_len);
	l->want = kb_grow(l->want, &l->cap, l->n + 1, sizeof(*l->want));
	w = &l->want[l->n++];
	w->rec = at;
	w->rec_len = (uint32_t)rec_len;
	w->name = add_bytes(l, name->b, name->len);
	w->name_len = name->len;
	w->kind = (uint8_t)kind;
	w->zone = zone;
	w->addr = addr;
}

static __be32 addr4(const struct kb_addr *a)
{
	return kb_load32(a->b);
}

/* Distinct addresses of a node, IPv4 first. Borrowed until the next call. */
static const struct kb_addr *node_addrs(struct kb_records *r, const struct kb_node *n,
					size_t *ret_n4, size_t *ret_n6)
{
	*ret_n4 = *ret_n6 = 0;
	switch (n->kind) {
	case KB_NODE_SERVICE:
		*ret_n4 = n->view->n4;
		*ret_n6 = n->view->n6;
		return n->view->addrs;
	case KB_NODE_ENDPOINT:
		kb_svcview_group_addrs(n->view, n->group, ret_n4, ret_n6);
		return n->view->group_addrs;
	case KB_NODE_NS:
		*ret_n4 = r->dns_n4;
		*ret_n6 = r->dns_n6;
		return r->dns_addrs;
	default:
		return NULL;
	}
}

static void node_srv(struct kb_node *n)
{
	n->view->n_srv = 0;
	if (n->kind == KB_NODE_SERVICE)
		kb_svcview_srv_service(n->view);
	else if (n->kind == KB_NODE_PORT)
		kb_svcview_srv_port(n->view, &n->port);
	else if (n->kind == KB_NODE_ENDPOINT)
		kb_svcview_srv_group(n->view, n->group);
}

/* The name of an SRV target. -ENAMETOOLONG. */
static int srv_target(const struct kb_node *n, uint32_t group, struct kb_wire *ret)
{
	const struct kb_svcview_ep *e;

	*ret = n->base;
	if (group == KB_VIEW_SELF && n->kind != KB_NODE_ENDPOINT)
		return 0;
	e = &n->view->eps[n->view->groups[group == KB_VIEW_SELF ? n->group : group].first];
	return kb_wire_prepend(ret, e->label, e->label_len);
}

static void put_srv(struct kb_records *r, struct kb_node *n, struct kb_render *out, uint32_t owner)
{
	struct kb_svcview *v = n->view;
	uint32_t *at = kb_zalloc(v->n_srv, sizeof(*at));
	size_t i, k, n4, n6;

	for (i = 0; i < v->n_srv && !out->full; i++) {
		struct kb_wire target;
		size_t rr;

		if (srv_target(n, v->srv[i].group, &target))
			continue;
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_SRV, -1);
		kb_render_u16(out, 0);
		kb_render_u16(out, v->weight);
		kb_render_u16(out, v->srv[i].port);
		/* RFC 2782: not compressed; Go's resolver insists on it. */
		at[i] = kb_render_plain(out, &target);
		kb_render_end(out, rr);
	}
	for (i = 0; i < v->n_srv && !out->full; i++) {
		const struct kb_addr *addrs;
		struct kb_node target = *n;

		if (!at[i] || (i && v->srv[i].group == v->srv[i - 1].group))
			continue;
		if (v->srv[i].group != KB_VIEW_SELF) {
			target.kind = KB_NODE_ENDPOINT;
			target.group = v->srv[i].group;
		} else if (n->kind == KB_NODE_PORT) {
			target.kind = KB_NODE_SERVICE;
		}
		/* Where the target is the question itself, point there. */
		if (n->kind != KB_NODE_PORT && v->srv[i].group == KB_VIEW_SELF)
			at[i] = owner;
		/* Beyond the reach of pointers: addresses are optional (RFC 2782). */
		if (at[i] > 0x3fff)
			break;
		addrs = node_addrs(r, &target, &n4, &n6);
		for (k = 0; k < n4 + n6; k++)
			kb_render_addr(out, KB_AR, at[i], &addrs[k]);
	}
	free(at);
}

static void put_ns(struct kb_records *r, struct kb_node *n, struct kb_render *out, uint32_t owner)
{
	const struct kb_domain *d = n->domain ? n->domain : &r->domain[0];
	uint32_t at[KB_DNS_SERVICES_MAX] = {0};
	struct kb_wire name;
	size_t i, k, rr, found = 0;

	for (i = 0; i < r->n_dns; i++) {
		if (!r->dns[i].present ||
		    kb_names_base(r, kb_store_svc(&r->store, r->dns[i].svc), d, &name))
			continue;
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_NS, -1);
		at[i] = kb_render_name(out, &name);
		kb_render_end(out, rr);
		found++;
	}
	if (!found) {
		name = d->apex;
		if (kb_wire_prepend(&name, "dns", 3) || kb_wire_prepend(&name, "ns", 2))
			return;
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_NS, -1);
		kb_render_name(out, &name);
		kb_render_end(out, rr);
	}
	for (i = 0; i < r->n_dns; i++)
		for (k = 0; at[i] && k < r->dns[i].n; k++)
			kb_render_addr(out, KB_AR, at[i], &r->dns[i].addrs[k]);
}

static int wire_compare(const void *a, const void *b)
{
	const struct kb_wire *x = a, *y = b;
	int c = memcmp(x->b, y->b, x->len < y->len ? x->len : y->len);

	return c ? c : x->len - y->len;
}

/* PTR targets of an address, sorted and distinct. Owned by the caller. Sets *ret_base to
 * the only target's Service name when that is a dashed IPv4 endpoint, else to length 0. */
static struct kb_wire *ptr_targets(struct kb_records *r, uint32_t addr, bool v6, size_t *ret_n,
				   struct kb_wire *ret_base)
{
	const struct kb_rev *e;
	struct kb_wire *t = NULL;
	size_t n = 0, cap = 0, i, out;
	bool cluster = false, dashed = false;
	uint32_t pos = 0;

	while ((e = kb_reverse_next(&r->reverse, addr, v6, &pos)))
		cluster |= (e->svc & KB_REV_CLUSTER) != 0;
	pos = 0;
	ret_base->len = 0;
	while ((e = kb_reverse_next(&r->reverse, addr, v6, &pos))) {
		const struct kb_svc *svc = kb_store_svc(&r->store, e->svc & KB_REV_SVC);
		struct kb_wire name;

		/* A clusterIP wins over endpoints. */
		if (cluster != ((e->svc & KB_REV_CLUSTER) != 0))
			continue;
		if (kb_names_base(r, svc, &r->domain[0], &name))
			continue;
		*ret_base = name;
		if (!cluster) {
			char label[KB_LABEL_MAX + 1];
			const char *s = label;
			size_t len;

			dashed = !e->host && !v6;
			if (e->host) {
				s = kb_strings_text(&r->store.strings, e->host);
				len = kb_strings_len(&r->store.strings, e->host);
			} else {
				struct kb_addr a;

				kb_names_rev_addr(r, addr, v6, &a);
				len = kb_svcview_dashed(&a, label);
			}
			if (kb_wire_prepend(&name, s, len))
				continue;
		}
		t = kb_grow(t, &cap, n + 1, sizeof(*t));
		t[n++] = name;
	}
	if (n > 1)
		qsort(t, n, sizeof(*t), wire_compare);
	for (i = out = 0; i < n; i++)
		if (!out || wire_compare(&t[out - 1], &t[i]) != 0)
			t[out++] = t[i];
	if (out != 1 || !dashed)
		ret_base->len = 0;
	*ret_n = out;
	return t;
}

static void put_ptr(struct kb_records *r, struct kb_node *n, struct kb_render *out, uint32_t owner)
{
	struct kb_wire base, *t;
	size_t i, count, rr;

	t = ptr_targets(r, n->rev_addr, n->rev_v6, &count, &base);
	for (i = 0; i < count; i++) {
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_PTR, -1);
		kb_render_name(out, &t[i]);
		kb_render_end(out, rr);
	}
	free(t);
}

void kb_node_put(struct kb_records *r, struct kb_node *n, uint16_t type, struct kb_render *out,
		 uint32_t owner)
{
	const struct kb_addr *addrs;
	size_t i, n4, n6, rr;

	switch (type) {
	case KB_TYPE_A:
	case KB_TYPE_AAAA:
		addrs = node_addrs(r, n, &n4, &n6);
		if (type == KB_TYPE_A)
			n6 = 0;
		for (i = type == KB_TYPE_A ? 0 : n4; i < n4 + n6 && !out->full; i++)
			kb_render_addr(out, KB_AN, owner, &addrs[i]);
		break;
	case KB_TYPE_SRV:
		if (n->kind != KB_NODE_SERVICE && n->kind != KB_NODE_ENDPOINT &&
		    n->kind != KB_NODE_PORT)
			break;
		node_srv(n);
		put_srv(r, n, out, owner);
		break;
	case KB_TYPE_SOA:
		if (n->kind == KB_NODE_APEX)
			kb_render_soa(out, KB_AN, n->apex);
		break;
	case KB_TYPE_NS:
		if (n->kind == KB_NODE_APEX)
			put_ns(r, n, out, owner);
		break;
	case KB_TYPE_TXT:
		if (n->kind != KB_NODE_VERSION)
			break;
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_TXT, VERSION_TTL);
		kb_render_bytes(out, "\0051.1.0", 6);
		kb_render_end(out, rr);
		break;
	case KB_TYPE_PTR:
		if (n->kind == KB_NODE_PTR)
			put_ptr(r, n, out, owner);
		break;
	default:
		break;
	}
}

/* One set in wire form, if the type exists. */
static void want_set(struct kb_records *r, struct kb_node *n, const struct kb_wire *name,
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

	node_srv(n);
	if (!v->n_srv)
		return 0;
	if (n->kind == KB_NODE_PORT)
		target.kind = KB_NODE_SERVICE;
	tlen = n->kind == KB_NODE_PORT ? n->base.len : name->len;
	addrs = node_addrs(r, &target, &n4, &n6);
	if (v->srv[0].group != KB_VIEW_SELF || n4 != 1 || n6 || v->n_srv > KB_SRV_SELF_MAX ||
	    v->n_srv * (18 + tlen) + 16 > KB_BODY_MAX) {
		want_set(r, n, name, KB_TYPE_SRV);
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
	addrs = node_addrs(r, n, &n4, &n6);
	if (n4 > 1)
		kb_recbuf_addrs(&r->recbuf, KB_TYPE_A, addrs, n4);
	if (n6)
		kb_recbuf_addrs(&r->recbuf, KB_TYPE_AAAA, addrs + n4, n6);
	if (n4 == 1)
		addr = addr4(&addrs[0]);
	if (n->kind != KB_NODE_NS) {
		__be32 self = want_srv(r, n, name);

		addr = addr ? addr : self;
	}
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, n4 == 1 ? KB_VALUE_A : KB_VALUE_REC, n->zone, addr, r->recbuf.rec,
		    len);
}

/* A name all of whose sets are in wire form. */
static void want_types(struct kb_records *r, struct kb_node *n, const struct kb_wire *name,
		       const uint16_t *types, size_t n_types, struct kb_list *l)
{
	size_t i, len;

	kb_recbuf_start(&r->recbuf);
	for (i = 0; i < n_types; i++)
		want_set(r, n, name, types[i]);
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, KB_VALUE_REC, n->zone, 0, r->recbuf.rec, len);
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
	if (svc->far || end.kind == KB_NODE_OUT) {
		r->recbuf.flags = KB_REC_OTHER_LEAVE;
	} else {
		if (end.kind == KB_NODE_NONE) {
			kb_render_soa(out, KB_NS, end.apex);
			out->rcode = KB_RCODE_NXDOMAIN;
		} else if (end.kind != KB_NODE_EXTERNAL) {
			kb_render_soa(out, KB_NS, end.apex);
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

int kb_names_base(const struct kb_records *r, const struct kb_svc *svc, const struct kb_domain *d,
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
			want_empty(&above, n->zone, l);
		proto[v->ports[i].proto] = true;
		n->port = v->ports[i];
		want_hosts(r, n, &name, l);
	}
}

static void list_domain(struct kb_records *r, const struct kb_domain *d, struct kb_list *l)
{
	struct kb_node n = {.zone = d->id, .apex = &d->apex, .domain = d, .view = &r->view};
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

	for (i = 0; i < r->n_domains; i++)
		list_domain(r, &r->domain[i], l);
}

void kb_names_ns(struct kb_records *r, uint32_t id, struct kb_list *l)
{
	const struct kb_ns *ns = kb_store_ns(&r->store, id);
	const char *s = kb_strings_text(&r->store.strings, ns->name);
	size_t i, len = kb_strings_len(&r->store.strings, ns->name);

	if (!ns->exists || !kb_label_fits(s, len))
		return;
	for (i = 0; i < r->n_domains; i++) {
		struct kb_wire name = r->domain[i].svc;

		if (kb_wire_prepend(&name, s, len))
			continue;
		if (ns->reason || ns->lost)
			kb_list_add(l, &name, KB_VALUE_LEAVE, r->domain[i].id, 0, NULL, 0);
		else
			want_empty(&name, r->domain[i].id, l);
	}
}

void kb_names_apex(struct kb_records *r, struct kb_list *l)
{
	static const uint16_t apex_types[] = {KB_TYPE_SOA, KB_TYPE_NS};
	static const uint16_t version_types[] = {KB_TYPE_TXT};
	size_t i;

	for (i = 0; i < r->n_domains; i++) {
		const struct kb_domain *d = &r->domain[i];
		struct kb_node n = {.zone = d->id, .apex = &d->apex, .domain = d};
		struct kb_wire name = d->apex;

		n.kind = KB_NODE_APEX;
		want_types(r, &n, &d->apex, apex_types, 2, l);
		want_empty(&d->svc, d->id, l);
		kb_wire_prepend(&name, "dns-version", 11);
		n.kind = KB_NODE_VERSION;
		want_types(r, &n, &name, version_types, 1, l);
		name = d->apex;
		kb_wire_prepend(&name, "dns", 3);
		want_empty(&name, d->id, l);
		kb_wire_prepend(&name, "ns", 2);
		n.kind = KB_NODE_NS;
		want_hosts(r, &n, &name, l);
	}
}

void kb_names_reverse_apex(struct kb_records *r, struct kb_list *l)
{
	static const uint16_t apex_types[] = {KB_TYPE_SOA, KB_TYPE_NS};
	size_t i;

	for (i = 0; i < 2; i++) {
		struct kb_node n = {
			.kind = KB_NODE_APEX, .zone = r->rev_id[i], .apex = &r->rev_apex[i]};

		want_types(r, &n, &r->rev_apex[i], apex_types, 2, l);
	}
}

void kb_names_rev_addr(const struct kb_records *r, uint32_t addr, bool v6, struct kb_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = v6 ? 6 : 4;
	if (v6)
		memcpy(ret->b, kb_strings_text(&r->store.strings, addr), 16);
	else
		memcpy(ret->b, &addr, 4);
}

void kb_names_reverse(const struct kb_records *r, const struct kb_addr *addr, uint8_t depth,
		      struct kb_wire *ret)
{
	const struct kb_wire *apex = &r->rev_apex[addr->family == 4 ? 0 : 1];
	uint8_t i = depth;
	size_t pos = 0;

	while (i--) {
		if (addr->family == 4) {
			unsigned int v = addr->b[i];
			uint8_t *len = &ret->b[pos++];

			*len = 0;
			if (v >= 100)
				ret->b[pos + (*len)++] = (uint8_t)('0' + v / 100);
			if (v >= 10)
				ret->b[pos + (*len)++] = (uint8_t)('0' + v / 10 % 10);
			ret->b[pos + (*len)++] = (uint8_t)('0' + v % 10);
			pos += *len;
		} else {
			ret->b[pos++] = 1;
			ret->b[pos++] = (uint8_t) "0123456789abcdef"[i % 2 ? addr->b[i / 2] & 15
									   : addr->b[i / 2] >> 4];
		}
	}
	memcpy(ret->b + pos, apex->b, apex->len);
	ret->len = (uint8_t)(pos + apex->len);
}

void kb_names_ptr(struct kb_records *r, uint32_t addr, bool v6, const struct kb_wire *name,
		  struct kb_list *l)
{
	struct kb_node n = {.kind = KB_NODE_PTR, .rev_addr = addr, .rev_v6 = v6};
	struct kb_wire base, *t;
	size_t count, len;

	n.zone = r->rev_id[v6 ? 1 : 0];
	n.apex = &r->rev_apex[v6 ? 1 : 0];
	t = ptr_targets(r, addr, v6, &count, &base);
	free(t);
	kb_recbuf_start(&r->recbuf);
	if (base.len)
		kb_recbuf_ptr_dashed(&r->recbuf, &base);
	else
		want_set(r, &n, name, KB_TYPE_PTR);
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, KB_VALUE_REC, n.zone, base.len ? addr : 0, r->recbuf.rec, len);
}
