/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back: from a name to the objects that it stands for. Used where the table
 * cannot tell: for what an ExternalName leads to, and for answers that UDP cannot carry.
 */
#include <errno.h>
#include <string.h>

#include "control/records/internal.h"

struct label {
	const char *s;
	size_t len;
};

#define LABELS_MAX 40

static bool label_is(const struct label *l, const char *s)
{
	return l->len == strlen(s) && memcmp(l->s, s, l->len) == 0;
}

/* The labels of the first `end` bytes, at most LABELS_MAX; the count may be higher. */
static size_t split(const struct kb_wire *name, int end, struct label labels[LABELS_MAX])
{
	size_t n = 0;
	int at;

	for (at = 0; at < end; at += name->b[at] + 1, n++) {
		if (n >= LABELS_MAX)
			continue;
		labels[n].s = (const char *)name->b + at + 1;
		labels[n].len = name->b[at];
	}
	return n;
}

static int proto_of(const struct label *l)
{
	return label_is(l, "_tcp")    ? KB_TCP
	       : label_is(l, "_udp")  ? KB_UDP
	       : label_is(l, "_sctp") ? KB_SCTP
				      : -1;
}

static void resolve_port(struct kb_records *r, const struct label *l, size_t n, struct kb_node *ret)
{
	int proto = proto_of(&l[n - 1]);
	size_t i;

	for (i = 0; proto >= 0 && i < ret->view->n_ports; i++) {
		const struct kb_svcview_port *p = &ret->view->ports[i];

		if (p->proto != proto)
			continue;
		if (n == 1) {
			ret->kind = KB_NODE_EMPTY;
			return;
		}
		if (l[0].len < 2 || l[0].s[0] != '_' ||
		    l[0].len - 1 != kb_strings_len(&r->store.strings, p->name) ||
		    memcmp(l[0].s + 1, kb_strings_text(&r->store.strings, p->name), l[0].len - 1) !=
			    0)
			continue;
		ret->kind = KB_NODE_PORT;
		ret->port = *p;
		return;
	}
}

/* [..., S, N, svc] below a domain. */
static void resolve_service(struct kb_records *r, const struct label *l, size_t n,
			    struct kb_svcview *view, struct kb_node *ret)
{
	const struct label *ns_label = &l[n - 2];
	uint32_t ns = kb_store_find_ns(&r->store, ns_label->s, ns_label->len), svc;
	const struct kb_ns *node;
	int group;

	if (!ns)
		return;
	node = kb_store_ns(&r->store, ns);
	if (!kb_ns_exposed(node))
		return;
	if (node->reason || node->lost) {
		ret->kind = KB_NODE_OUT;
		return;
	}
	if (n == 2) {
		ret->kind = KB_NODE_EMPTY;
		return;
	}
	svc = kb_store_find_svc(&r->store, ns, l[n - 3].s, l[n - 3].len);
	if (!svc)
		return;
	kb_svcview_collect(view, &r->store, svc);
	ret->view = view;
	if (kb_names_base(r, view->svc, ret->zone, &ret->base))
		return;
	switch (view->kind) {
	case KB_VIEW_NONE:
		return;
	case KB_VIEW_LEFT:
		ret->kind = KB_NODE_OUT;
		return;
	case KB_VIEW_EXTERNAL:
		ret->kind = n == 3 ? KB_NODE_EXTERNAL : KB_NODE_NONE;
		return;
	default:
		break;
	}
	if (n == 3) {
		ret->kind = KB_NODE_SERVICE;
		return;
	}
	if (n == 4) {
		group = kb_svcview_find_group(view, l[0].s, l[0].len);
		if (group >= 0) {
			ret->kind = KB_NODE_ENDPOINT;
			ret->group = (uint32_t)group;
			return;
		}
	}
	if (n == 4 || n == 5)
		resolve_port(r, l, n - 3, ret);
}

/* [..., ADDRESS, N, pod] below a domain. */
static void resolve_pod(struct kb_records *r, const struct label *l, size_t n, struct kb_node *ret)
{
	uint32_t ns = kb_store_find_ns(&r->store, l[n - 2].s, l[n - 2].len);
	const struct kb_ns *node;

	ret->below_pod = true;
	if (!ns || r->pods_mode == KB_PODS_DISABLED)
		return;
	node = kb_store_ns(&r->store, ns);
	if (n == 3) {
		ret->kind = kb_podnames_find(r, ns, l[0].s, l[0].len, &ret->pod);
	} else if (kb_ns_exposed(node)) {
		if (node->reason || node->lost_pods)
			ret->kind = KB_NODE_OUT;
		else if (n == 2)
			ret->kind = KB_NODE_EMPTY;
	}
}

/* Names that every zone of ours has. */
static bool resolve_apex(const struct label *l, size_t n, struct kb_node *ret)
{
	if (n == 0)
		ret->kind = KB_NODE_APEX;
	else if (n == 1 && label_is(&l[0], "dns"))
		ret->kind = KB_NODE_EMPTY;
	else if (n == 2 && label_is(&l[1], "dns") && label_is(&l[0], "ns"))
		ret->kind = KB_NODE_NS;
	return ret->kind != KB_NODE_NONE;
}

static void resolve_domain(struct kb_records *r, const struct label *l, size_t n,
			   struct kb_svcview *view, struct kb_node *ret)
{
	if (resolve_apex(l, n, ret))
		return;
	if (n == 1 && (label_is(&l[0], "svc") || label_is(&l[0], "pod")))
		ret->kind = KB_NODE_EMPTY;
	else if (n == 1 && label_is(&l[0], "dns-version"))
		ret->kind = KB_NODE_VERSION;
	else if (n >= 2 && n <= 5 && label_is(&l[n - 1], "svc"))
		resolve_service(r, l, n, view, ret);
	else if (n >= 2 && label_is(&l[n - 1], "pod"))
		resolve_pod(r, l, n, ret);
}

static void resolve_reverse(struct kb_records *r, const struct kb_wire *name, const struct label *l,
			    size_t n, struct kb_node *ret)
{
	struct kb_addr addr;
	uint32_t pos = 0;
	int depth;

	if (resolve_apex(l, n, ret))
		return;
	depth = kb_revname_parse(name, &addr);
	if (depth < 0)
		return;
	if (depth < kb_revname_depth(addr.family)) {
		if (kb_reverse_has_ent(&r->reverse, &addr, (uint8_t)depth))
			ret->kind = KB_NODE_EMPTY;
		return;
	}
	ret->rev_v6 = addr.family == 6;
	if (ret->rev_v6) {
		ret->rev_addr = kb_strings_find(&r->store.strings, addr.b, 16);
		if (ret->rev_addr == UINT32_MAX)
			return;
	} else {
		memcpy(&ret->rev_addr, addr.b, 4);
	}
	if (kb_reverse_next(&r->reverse, ret->rev_addr, ret->rev_v6, &pos))
		ret->kind = KB_NODE_PTR;
}

/* Is a name that no object has absent, or somebody else's? The table may lack names for want of
 * room; the objects do not. Addresses of bad ones are not known. */
static bool zone_denies(const struct kb_records *r, const struct kb_zone_def *def)
{
	return !def->leave_misses && (def->role == KB_ZONE_CLUSTER || r->n_lost == 0);
}

void kb_resolve(struct kb_records *r, const struct kb_wire *name, struct kb_svcview *view,
		struct kb_node *ret)
{
	struct label labels[LABELS_MAX];
	const struct kb_zone_def *zone;
	size_t n;
	int end = 0;

	memset(ret, 0, sizeof(*ret));
	zone = kb_zones_find(&r->zones, name, &end);
	if (!zone || zone->role == KB_ZONE_FOREIGN) {
		ret->kind = KB_NODE_OUT;
		return;
	}
	ret->zone = zone;
	n = split(name, end, labels);
	if (n <= LABELS_MAX && zone->role == KB_ZONE_CLUSTER)
		resolve_domain(r, labels, n, view, ret);
	else if (n <= LABELS_MAX)
		resolve_reverse(r, name, labels, n, ret);
	if (ret->kind == KB_NODE_NONE && !zone_denies(r, zone))
		ret->kind = KB_NODE_OUT;
}

uint32_t kb_resolve_chain(struct kb_records *r, const struct kb_svc *svc, struct kb_svcview *view,
			  struct kb_render *out, struct kb_node *ret)
{
	const struct kb_svc *seen[KB_CHAIN_MAX];
	uint32_t owner = KB_OWNER_Q;
	size_t hops, i, rr;

	for (hops = 0;; hops++) {
		struct kb_wire target, folded;

		memset(ret, 0, sizeof(*ret));
		ret->kind = KB_NODE_EXTERNAL;
		if (hops == KB_CHAIN_MAX)
			return owner;
		for (i = 0; i < hops; i++)
			if (seen[i] == svc)
				return owner;
		seen[hops] = svc;
		if (kb_wire_parse(kb_strings_text(&r->store.strings, svc->obj->external), false,
				  &target) ||
		    kb_wire_fold(target.b, target.len, &folded)) {
			ret->kind = KB_NODE_OUT;
			return owner;
		}
		rr = kb_render_rr(out, KB_AN, owner, KB_TYPE_CNAME, -1);
		owner = kb_render_name(out, &target);
		kb_render_end(out, rr);
		kb_resolve(r, &folded, view, ret);
		if (ret->kind != KB_NODE_EXTERNAL)
			return owner;
		svc = view->svc;
	}
}

uint32_t kb_resolve_target(struct kb_records *r, const char *external)
{
	struct label labels[LABELS_MAX];
	const struct kb_zone_def *zone;
	struct kb_wire name;
	size_t n;
	int end = 0;

	if (kb_wire_parse(external, true, &name))
		return 0;
	zone = kb_zones_find(&r->zones, &name, &end);
	if (!zone || zone->role != KB_ZONE_CLUSTER)
		return 0;
	n = split(&name, end, labels);
	if (n < 3 || n > 5 || !label_is(&labels[n - 1], "svc"))
		return r->misc;
	return kb_store_get_svc(&r->store,
				kb_store_get_ns(&r->store, labels[n - 2].s, labels[n - 2].len),
				labels[n - 3].s, labels[n - 3].len);
}

/* What stands where a name leads: its records, or the zone's word that there are none. */
static void put_end(struct kb_records *r, struct kb_node *node, uint16_t qtype,
		    struct kb_render *rd, uint32_t owner)
{
	uint16_t before = rd->an;

	kb_node_put(r, node, qtype, rd, owner);
	if (rd->an == before)
		kb_render_soa(rd, KB_NS, &node->zone->apex);
	if (node->kind == KB_NODE_NONE)
		rd->rcode = KB_RCODE_NXDOMAIN;
}

int kb_records_render(const struct kb_records *records, const uint8_t *qname, size_t qname_len,
		      uint16_t qtype, uint8_t *out, size_t cap, struct kb_rendered *ret)
{
	/* Only scratch is written; every call is on the main loop's thread. */
	struct kb_records *r = (struct kb_records *)(uintptr_t)records;
	struct kb_svcview view = {0};
	struct kb_render rd = {0};
	struct kb_node node;
	struct kb_wire name;
	uint32_t owner = KB_OWNER_Q;
	int err = -ENOENT;

	if (!r->built || kb_wire_fold(qname, qname_len, &name))
		return -ENOENT;
	kb_resolve(r, &name, &view, &node);
	kb_render_start(&rd, &name, out, cap > KB_ANSWER_MAX ? KB_ANSWER_MAX : cap);
	rd.drop_extra = true;
	if (node.kind == KB_NODE_EXTERNAL && qtype == KB_TYPE_CNAME) {
		kb_names_cname(r, view.svc, &rd);
	} else if (node.kind == KB_NODE_EXTERNAL && qtype != KB_TYPE_ANY) {
		owner = kb_resolve_chain(r, view.svc, &r->target, &rd, &node);
		if (node.kind != KB_NODE_OUT && node.kind != KB_NODE_EXTERNAL)
			put_end(r, &node, qtype, &rd, owner);
	} else if (node.below_pod && node.kind != KB_NODE_OUT && r->pods_mode == KB_PODS_INSECURE) {
		put_end(r, &node, qtype, &rd, owner);
	} else if (node.kind != KB_NODE_OUT) {
		kb_node_put(r, &node, qtype, &rd, owner);
	}
	if (rd.full)
		err = -EMSGSIZE;
	else if (rd.an || rd.ns)
		err = 0;
	if (err == 0) {
		kb_render_fill(&rd, kb_table_header(r->table)->patch);
		ret->an = rd.an;
		ret->ns = rd.ns;
		ret->ar = rd.ar;
		ret->rcode = rd.rcode;
		ret->len = rd.len;
		ret->target = owner != KB_OWNER_Q && node.kind == KB_NODE_OUT ? owner : 0;
	}
	kb_svcview_fini(&view);
	kb_render_fini(&rd);
	return err;
}
