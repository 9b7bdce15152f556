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
	if (!node->exists)
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
	if (kb_names_base(r, view->svc, ret->domain, &ret->base))
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

static void resolve_domain(struct kb_records *r, const struct label *l, size_t n,
			   struct kb_svcview *view, struct kb_node *ret)
{
	if (n == 0)
		ret->kind = KB_NODE_APEX;
	else if (n == 1 && label_is(&l[0], "svc"))
		ret->kind = KB_NODE_EMPTY;
	else if (n == 1 && label_is(&l[0], "dns"))
		ret->kind = KB_NODE_EMPTY;
	else if (n == 1 && label_is(&l[0], "dns-version"))
		ret->kind = KB_NODE_VERSION;
	else if (n == 2 && label_is(&l[1], "dns") && label_is(&l[0], "ns"))
		ret->kind = KB_NODE_NS;
	else if (n >= 2 && n <= 5 && label_is(&l[n - 1], "svc"))
		resolve_service(r, l, n, view, ret);
}

/* Strict: no leading zeros, single nibbles. Returns the depth, -1 if it is no address. */
static int parse_reverse(const struct label *l, size_t n, bool v6, struct kb_addr *ret)
{
	size_t i, k;

	memset(ret, 0, sizeof(*ret));
	ret->family = v6 ? 6 : 4;
	if (n > (v6 ? 32U : 4U))
		return -1;
	for (i = 0; i < n; i++) {
		const struct label *x = &l[n - 1 - i];
		unsigned int v = 0;

		if (x->len > (v6 ? 1U : 3U) || (!v6 && x->len > 1 && x->s[0] == '0'))
			return -1;
		for (k = 0; k < x->len; k++) {
			char c = x->s[k];

			if (c >= '0' && c <= '9')
				v = v * (v6 ? 16 : 10) + (unsigned int)(c - '0');
			else if (v6 && c >= 'a' && c <= 'f')
				v = (unsigned int)(c - 'a') + 10;
			else
				return -1;
		}
		if (v > 255)
			return -1;
		if (v6)
			ret->b[i / 2] |= (uint8_t)(i % 2 ? v : v << 4);
		else
			ret->b[i] = (uint8_t)v;
	}
	return (int)n;
}

static void resolve_reverse(struct kb_records *r, const struct label *l, size_t n, bool v6,
			    struct kb_node *ret)
{
	struct kb_addr addr;
	uint32_t pos = 0;
	int depth;

	if (n == 0) {
		ret->kind = r->reverse_authoritative ? KB_NODE_APEX : KB_NODE_NONE;
		return;
	}
	depth = parse_reverse(l, n, v6, &addr);
	if (depth < 0)
		return;
	if (depth < (v6 ? 32 : 4)) {
		if (r->reverse_authoritative &&
		    kb_reverse_has_ent(&r->reverse, &addr, (uint8_t)depth))
			ret->kind = KB_NODE_EMPTY;
		return;
	}
	ret->rev_v6 = v6;
	if (v6) {
		ret->rev_addr = kb_strings_find(&r->store.strings, addr.b, 16);
		if (ret->rev_addr == UINT32_MAX)
			return;
	} else {
		memcpy(&ret->rev_addr, addr.b, 4);
	}
	if (kb_reverse_next(&r->reverse, ret->rev_addr, v6, &pos))
		ret->kind = KB_NODE_PTR;
}

/* What the zone table says about a name that is not there: the same as the readers. */
static bool zone_denies(const struct kb_records *r, const struct kb_wire *name)
{
	const struct kb_header *hdr = kb_table_header(r->table);
	uint8_t best = 0, flags = 0;
	size_t i;

	for (i = 0; i < hdr->n_zones && i < KB_ZONES_MAX; i++) {
		const struct kb_zone *z = &hdr->zone[i];
		struct kb_wire zone = {.len = z->len};

		memcpy(zone.b, z->name, z->len);
		if (z->len <= best || kb_wire_below(name, &zone) < 0)
			continue;
		best = z->len;
		flags = z->flags;
	}
	return best && (flags & KB_ZONE_ANSWER);
}

void kb_resolve(struct kb_records *r, const struct kb_wire *name, struct kb_svcview *view,
		struct kb_node *ret)
{
	struct label labels[LABELS_MAX];
	const struct kb_domain *best = NULL;
	size_t i, n;
	int end = -1;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < r->n_domains; i++) {
		int at = kb_wire_below(name, &r->domain[i].apex);

		if (at < 0 || (best && best->apex.len >= r->domain[i].apex.len))
			continue;
		best = &r->domain[i];
		end = at;
	}
	if (best) {
		ret->domain = best;
		ret->apex = &best->apex;
		ret->zone = best->id;
		n = split(name, end, labels);
		if (n <= LABELS_MAX)
			resolve_domain(r, labels, n, view, ret);
	}
	for (i = 0; !best && i < 2; i++) {
		end = kb_wire_below(name, &r->rev_apex[i]);
		if (end < 0)
			continue;
		ret->apex = &r->rev_apex[i];
		ret->zone = r->rev_id[i];
		n = split(name, end, labels);
		if (n <= LABELS_MAX)
			resolve_reverse(r, labels, n, i == 1, ret);
	}
	if (ret->kind == KB_NODE_NONE && (!ret->apex || !zone_denies(r, name)))
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
	struct kb_wire name;
	size_t i, n;
	int end = -1;

	if (kb_wire_parse(external, true, &name))
		return 0;
	for (i = 0; i < r->n_domains; i++) {
		int at = kb_wire_below(&name, &r->domain[i].apex);

		if (at >= 0 && (end < 0 || at < end))
			end = at;
	}
	if (end < 0)
		return kb_wire_below(&name, &r->rev_apex[0]) >= 0 ||
				       kb_wire_below(&name, &r->rev_apex[1]) >= 0
			       ? r->misc
			       : 0;
	n = split(&name, end, labels);
	if (n < 3 || n > 5 || !label_is(&labels[n - 1], "svc"))
		return r->misc;
	return kb_store_get_svc(&r->store,
				kb_store_get_ns(&r->store, labels[n - 2].s, labels[n - 2].len),
				labels[n - 3].s, labels[n - 3].len);
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

	if (kb_wire_fold(qname, qname_len, &name))
		return -ENOENT;
	kb_resolve(r, &name, &view, &node);
	kb_render_start(&rd, &name, out, cap > KB_ANSWER_MAX ? KB_ANSWER_MAX : cap);
	rd.drop_extra = true;
	if (node.kind == KB_NODE_EXTERNAL && qtype == KB_TYPE_CNAME) {
		kb_names_cname(r, view.svc, &rd);
	} else if (node.kind == KB_NODE_EXTERNAL && qtype != KB_TYPE_ANY) {
		owner = kb_resolve_chain(r, view.svc, &r->target, &rd, &node);
		if (node.kind != KB_NODE_OUT && node.kind != KB_NODE_EXTERNAL) {
			uint16_t cnames = rd.an;

			kb_node_put(r, &node, qtype, &rd, owner);
			if (rd.an == cnames)
				kb_render_soa(&rd, KB_NS, node.apex);
			if (node.kind == KB_NODE_NONE)
				rd.rcode = KB_RCODE_NXDOMAIN;
		}
	} else if (node.kind != KB_NODE_OUT) {
		kb_node_put(r, &node, qtype, &rd, owner);
	}
	if (rd.full)
		err = -EMSGSIZE;
	else if (rd.an)
		err = 0;
	if (err == 0) {
		kb_render_fill(&rd, kb_table_header(r->table)->patch);
		ret->an = rd.an;
		ret->ns = rd.ns;
		ret->ar = rd.ar;
		ret->rcode = rd.rcode;
		ret->len = rd.len;
	}
	kb_svcview_fini(&view);
	kb_render_fini(&rd);
	return err;
}
