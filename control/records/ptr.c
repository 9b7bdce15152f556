/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PTR names: which Services have an address (control/records/reverse.h), their targets, the
 * empty non-terminals above them, and all that into the table.
 */
#include "control/records/internal.h"

#include <string.h>

#include "control/records/alloc.h"
#include "control/records/dashed.h"

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
		if (kb_names_base(r, svc, &r->zones.def[0], &name))
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

				kb_ptr_addr(r, addr, v6, &a);
				len = kb_dashed_endpoint(&a, label);
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

void kb_ptr_put(struct kb_records *r, struct kb_node *n, struct kb_render *out, uint32_t owner)
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

void kb_ptr_addr(const struct kb_records *r, uint32_t addr, bool v6, struct kb_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = v6 ? 6 : 4;
	if (v6)
		memcpy(ret->b, kb_strings_text(&r->store.strings, addr), 16);
	else
		memcpy(ret->b, &addr, 4);
}

static void list_ptr(struct kb_records *r, const struct kb_zone_def *zone, uint32_t addr, bool v6,
		     const struct kb_wire *name, struct kb_list *l)
{
	struct kb_node n = {.kind = KB_NODE_PTR, .zone = zone, .rev_addr = addr, .rev_v6 = v6};
	struct kb_wire base, *t;
	size_t count, len;

	t = ptr_targets(r, addr, v6, &count, &base);
	free(t);
	kb_recbuf_start(&r->recbuf);
	if (base.len)
		kb_recbuf_ptr_dashed(&r->recbuf, &base);
	else
		kb_names_set(r, &n, name, KB_TYPE_PTR);
	len = kb_recbuf_end(&r->recbuf);
	kb_list_add(l, name, KB_VALUE_REC, zone->id, base.len ? addr : 0, r->recbuf.rec, len);
}

static void add_rev(struct kb_revs *rv, uint32_t addr, uint32_t svc, uint32_t host)
{
	rv->rev = kb_grow(rv->rev, &rv->cap, rv->n + 1, sizeof(*rv->rev));
	rv->rev[rv->n].addr = addr;
	rv->rev[rv->n].svc = svc;
	rv->rev[rv->n++].host = host;
}

/* Distinct (address, target) of the Service in r->view. */
void kb_ptr_list(struct kb_records *r, uint32_t svc, struct kb_revs *rv)
{
	const struct kb_svcview *v = &r->view;
	const struct kb_svc_obj *o = v->svc->obj;
	struct kb_wire base;
	uint32_t id, i, addr;
	size_t k, out;

	rv->n = 0;
	if (!v->ptr || kb_names_base(r, v->svc, &r->zones.def[0], &base))
		return;
	for (i = 0; i < o->n_ips; i++) {
		const struct kb_addr *a = &kb_svc_ips(o)[i];

		if (a->family == 4) {
			memcpy(&addr, a->b, 4);
			add_rev(rv, addr, svc | KB_REV_CLUSTER, 0);
			continue;
		}
		/* The Service's block does not hold this string: count it here, for as long
		 * as the entry lives (see kb_ptr_settle()). */
		addr = kb_strings_get(&r->store.strings, a->b, 16);
		add_rev(rv, addr, svc | KB_REV_CLUSTER | KB_REV_V6, 0);
	}
	for (id = v->svc->slices; id; id = kb_store_slice(&r->store, id)->next) {
		const struct kb_slice_obj *so = kb_store_slice(&r->store, id)->obj;
		const struct kb_ep_rec *ep = kb_slice_eps(so);

		for (i = 0; i < so->n_eps; i++) {
			uint32_t v6 = ep[i].host & KB_EP_V6 ? KB_REV_V6 : 0;
			uint32_t host = ep[i].host & ~KB_EP_V6;
			struct kb_wire name = base;

			/* Nearly always there is room for any label. */
			if (base.len + KB_LABEL_MAX + 1 > KB_WIRE_MAX) {
				char label[KB_LABEL_MAX + 1];
				size_t len = kb_strings_len(&r->store.strings, host);
				struct kb_addr a;

				memset(label, 'x', sizeof(label));
				kb_ptr_addr(r, ep[i].addr, v6 != 0, &a);
				if (!host)
					len = kb_dashed_endpoint(&a, label);
				if (kb_wire_prepend(&name, label, len))
					continue;
			}
			add_rev(rv, ep[i].addr, svc | v6, host);
		}
	}
	if (rv->n > 1)
		qsort(rv->rev, rv->n, sizeof(*rv->rev), kb_rev_compare);
	for (k = out = 0; k < rv->n; k++) {
		if (out && kb_rev_compare(&rv->rev[out - 1], &rv->rev[k]) == 0) {
			if ((rv->rev[k].svc & KB_REV_V6) && (rv->rev[k].svc & KB_REV_CLUSTER))
				kb_strings_put(&r->store.strings, rv->rev[k].addr);
			continue;
		}
		rv->rev[out++] = rv->rev[k];
	}
	rv->n = out;
}

/* Gives back what list_revs counted. */
void kb_ptr_drop(struct kb_records *r, struct kb_revs *rv)
{
	size_t i;

	for (i = 0; i < rv->n; i++)
		if ((rv->rev[i].svc & KB_REV_V6) && (rv->rev[i].svc & KB_REV_CLUSTER))
			kb_strings_put(&r->store.strings, rv->rev[i].addr);
	rv->n = 0;
}

/* The empty non-terminals above an address that comes or goes; with `again`, of one that
 * is counted already. Where misses are left, so are these. */
static void put_ents(struct kb_records *r, const struct kb_zone_def *zone,
		     const struct kb_addr *addr, bool add, bool again, bool *ret_refused)
{
	uint8_t depth, max = kb_revname_depth(addr->family);
	struct kb_wire name;

	if (zone->leave_misses)
		return;
	for (depth = (uint8_t)(zone->depth + 1); depth < max; depth++) {
		if (!again && !kb_reverse_ent(&r->reverse, addr, depth, add))
			continue;
		kb_revname_make(addr, depth, &name);
		kb_list_clear(&r->ptr);
		kb_list_add(&r->ptr, &name, KB_VALUE_REC, zone->id, 0, NULL, 0);
		if (add)
			kb_publish_put(r, &r->ptr, &r->ptr.want[0], ret_refused);
		else
			kb_publish_del(r, &r->ptr, &r->ptr.want[0]);
	}
}

void kb_ptr_publish(struct kb_records *r, uint32_t addr, bool v6, bool had, bool again)
{
	const struct kb_zone_def *zone;
	struct kb_list *l = &r->ptr;
	struct kb_addr a;
	struct kb_wire name;
	const struct kb_rev *e;
	uint32_t pos = 0;
	bool has = kb_reverse_next(&r->reverse, addr, v6, &pos) != NULL, refused = false;

	kb_ptr_addr(r, addr, v6, &a);
	zone = kb_zones_of_addr(&r->zones, &a);
	if (!zone)
		return;
	kb_revname_make(&a, kb_revname_depth(a.family), &name);
	if (has && (!had || again))
		put_ents(r, zone, &a, true, again, &refused);
	kb_list_clear(l);
	if (has) {
		list_ptr(r, zone, addr, v6, &name, l);
		kb_publish_put_all(r, l, &refused);
	} else if (had) {
		kb_list_add(l, &name, KB_VALUE_NONE, zone->id, 0, NULL, 0);
		kb_publish_del(r, l, &l->want[0]);
		put_ents(r, zone, &a, false, false, &refused);
	}
	pos = 0;
	while (refused && (e = kb_reverse_next(&r->reverse, addr, v6, &pos)))
		kb_store_svc(&r->store, e->svc & KB_REV_SVC)->refused = true;
}

static bool same_addr(const struct kb_rev *a, const struct kb_rev *b)
{
	return a->addr == b->addr && ((a->svc ^ b->svc) & KB_REV_V6) == 0;
}

/* Moves the reverse index from `before` to `after` (both sorted, of one Service) and
 * publishes each address that was concerned once. */
void kb_ptr_settle(struct kb_records *r, struct kb_revs *before, struct kb_revs *after)
{
	struct kb_revs changed = {0};
	size_t i = 0, k = 0, end;

	while (i < before->n || k < after->n) {
		int c = i == before->n	? 1
			: k == after->n ? -1
					: kb_rev_compare(&before->rev[i], &after->rev[k]);

		if (c == 0) {
			i++;
			k++;
			continue;
		}
		/* host says here whether the entry comes or goes. */
		if (c < 0) {
			add_rev(&changed, before->rev[i].addr, before->rev[i].svc, (uint32_t)i);
			i++;
		} else {
			add_rev(&changed, after->rev[k].addr, after->rev[k].svc,
				(uint32_t)k | KB_EP_V6);
			k++;
		}
	}
	/* Entries of one address are neighbours but for the order of clusterIPs. */
	if (changed.n > 1)
		qsort(changed.rev, changed.n, sizeof(*changed.rev), kb_rev_compare);
	for (i = 0; i < changed.n; i = end) {
		uint32_t addr = changed.rev[i].addr, pos = 0;
		uint32_t v6 = changed.rev[i].svc & KB_REV_V6;
		bool had = kb_reverse_next(&r->reverse, addr, v6 != 0, &pos) != NULL;

		for (end = i; end < changed.n && same_addr(&changed.rev[i], &changed.rev[end]);
		     end++) {
			uint32_t at = changed.rev[end].host;
			struct kb_rev e =
				at & KB_EP_V6 ? after->rev[at & ~KB_EP_V6] : before->rev[at];

			if (at & KB_EP_V6)
				kb_reverse_add(&r->reverse, &e);
			else
				kb_reverse_del(&r->reverse, &e);
		}
		kb_ptr_publish(r, addr, v6 != 0, had, false);
	}
	/* An index entry holds one reference to the string of an IPv6 clusterIP. */
	for (k = 0; k < after->n; k++)
		if ((after->rev[k].svc & KB_REV_V6) && (after->rev[k].svc & KB_REV_CLUSTER))
			kb_strings_ref(&r->store.strings, after->rev[k].addr);
	for (k = 0; k < before->n; k++)
		if ((before->rev[k].svc & KB_REV_V6) && (before->rev[k].svc & KB_REV_CLUSTER))
			kb_strings_put(&r->store.strings, before->rev[k].addr);
	free(changed.rev);
}
