/* SPDX-License-Identifier: Apache-2.0 */
/* The records of one name: from a node to what is written into an answer. */
#include "control/records/internal.h"

#include <string.h>

#include "control/records/alloc.h"

#define VERSION_TTL 28800 /* the specification's example, and CoreDNS's */

/* Distinct addresses of a node, IPv4 first. Borrowed until the next call. */
const struct kb_addr *kb_node_addrs(struct kb_records *r, const struct kb_node *n, size_t *ret_n4,
				    size_t *ret_n6)
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
	case KB_NODE_POD:
		*ret_n4 = n->pod.family == 4;
		*ret_n6 = n->pod.family == 6;
		return &n->pod;
	case KB_NODE_NS:
		*ret_n4 = r->dns_n4;
		*ret_n6 = r->dns_n6;
		return r->dns_addrs;
	default:
		return NULL;
	}
}

void kb_node_srv(struct kb_node *n)
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
		addrs = kb_node_addrs(r, &target, &n4, &n6);
		for (k = 0; k < n4 + n6; k++)
			kb_render_addr(out, KB_AR, at[i], &addrs[k]);
	}
	free(at);
}

/* One name server with its glue. */
struct ns_target {
	struct kb_wire name;
	uint32_t group; /* of r->dns_view, KB_VIEW_SELF: the Service's own name */
	size_t svc;	/* index into r->dns */
};

static struct ns_target *add_ns(struct ns_target *t, size_t *n, size_t *cap,
				const struct kb_wire *name, uint32_t group, size_t svc)
{
	t = kb_grow(t, cap, *n + 1, sizeof(*t));
	t[(*n)++] = (struct ns_target){*name, group, svc};
	return t;
}

/* As CoreDNS names the Services that it is an endpoint of: a ClusterIP Service by itself, a
 * headless one by its endpoints. Owned by the caller. */
static struct ns_target *ns_targets(struct kb_records *r, const struct kb_zone_def *zone,
				    size_t *ret_n)
{
	struct kb_svcview *v = &r->dns_view;
	struct ns_target *t = NULL;
	size_t i, g, cap = 0;

	*ret_n = 0;
	for (i = 0; i < r->n_dns; i++) {
		struct kb_wire base;

		kb_svcview_collect(v, &r->store, r->dns[i]);
		if (kb_names_base(r, v->svc, zone, &base))
			continue;
		if (v->own_kind == KB_VIEW_CLUSTER && v->n4 + v->n6)
			t = add_ns(t, ret_n, &cap, &base, KB_VIEW_SELF, i);
		for (g = 0; v->own_kind == KB_VIEW_HEADLESS && g < v->n_groups; g++) {
			const struct kb_svcview_ep *e = &v->eps[v->groups[g].first];
			struct kb_wire name = base;

			if (!kb_wire_prepend(&name, e->label, e->label_len))
				t = add_ns(t, ret_n, &cap, &name, (uint32_t)g, i);
		}
	}
	return t;
}

static void put_glue(struct kb_records *r, const struct ns_target *t, struct kb_render *out,
		     uint32_t at)
{
	struct kb_node node = {.kind = KB_NODE_SERVICE, .view = &r->dns_view, .group = t->group};
	const struct kb_addr *addrs;
	size_t i, n4, n6;

	kb_svcview_collect(&r->dns_view, &r->store, r->dns[t->svc]);
	if (t->group != KB_VIEW_SELF)
		node.kind = KB_NODE_ENDPOINT;
	addrs = kb_node_addrs(r, &node, &n4, &n6);
	for (i = 0; i < n4 + n6; i++)
		kb_render_addr(out, KB_AR, at, &addrs[i]);
}

static void put_ns(struct kb_records *r, struct kb_node *n, struct kb_render *out, uint32_t owner)
{
	/* Services have no names in a reverse zone. */
	const struct kb_zone_def *zone =
		n->zone->role == KB_ZONE_CLUSTER ? n->zone : &r->zones.def[0];
	size_t i, rr, n_targets;
	struct ns_target *t = ns_targets(r, zone, &n_targets);
	uint32_t *at = kb_zalloc(n_targets, sizeof(*at));
	struct kb_wire name = zone->apex;

	for (i = 0; i < n_targets; i++) {
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_NS, -1);
		at[i] = kb_render_name(out, &t[i].name);
		kb_render_end(out, rr);
	}
	if (!n_targets && !kb_wire_prepend(&name, "dns", 3) && !kb_wire_prepend(&name, "ns", 2)) {
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_NS, -1);
		kb_render_name(out, &name);
		kb_render_end(out, rr);
	}
	for (i = 0; i < n_targets; i++)
		put_glue(r, &t[i], out, at[i]);
	free(at);
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
		addrs = kb_node_addrs(r, n, &n4, &n6);
		if (type == KB_TYPE_A)
			n6 = 0;
		for (i = type == KB_TYPE_A ? 0 : n4; i < n4 + n6 && !out->full; i++)
			kb_render_addr(out, KB_AN, owner, &addrs[i]);
		break;
	case KB_TYPE_SRV:
		if (n->kind != KB_NODE_SERVICE && n->kind != KB_NODE_ENDPOINT &&
		    n->kind != KB_NODE_PORT)
			break;
		kb_node_srv(n);
		put_srv(r, n, out, owner);
		break;
	case KB_TYPE_SOA:
		if (n->kind == KB_NODE_APEX)
			kb_render_soa(out, KB_AN, &n->zone->apex);
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
			kb_ptr_put(r, n, out, owner);
		break;
	default:
		break;
	}
}
