/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From differences to the table. A name that stays is changed in place and is never
 * absent; new names come before old ones go, so that no answer is denied in between.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r */
#endif
#include <errno.h>
#include <string.h>

#include "control/records/alloc.h"
#include "control/records/internal.h"

static void put(struct kb_records *r, const struct kb_list *l, const struct kb_want *w,
		bool *ret_refused)
{
	struct kb_entry e = {.kind = (enum kb_value_kind)w->kind, .zone = w->zone, .addr = w->addr};
	int err = 0;

	if (w->rec_len)
		err = kb_table_intern(r->table, l->bytes + w->rec, w->rec_len, &e.ref);
	if (err) {
		/* An old answer must not stay; a change in place needs no room. */
		e.kind = KB_VALUE_LEAVE;
		e.ref = 0;
		e.addr = 0;
	}
	if (kb_table_put(r->table, kb_list_name(l, w), w->name_len, &e))
		err = -ENOSPC;
	if (err) {
		r->n_refused++;
		r->incomplete = true;
		*ret_refused = true;
	}
}

static int want_compare(const struct kb_list *a, const struct kb_want *x, const struct kb_list *b,
			const struct kb_want *y)
{
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return memcmp(kb_list_name(a, x), kb_list_name(b, y), x->name_len);
}

static int sort_compare(const void *a, const void *b, void *list)
{
	return want_compare(list, a, list, b);
}

static bool want_same(const struct kb_list *a, const struct kb_want *x, const struct kb_list *b,
		      const struct kb_want *y)
{
	return x->kind == y->kind && x->zone == y->zone && x->addr == y->addr &&
	       x->rec_len == y->rec_len &&
	       memcmp(a->bytes + x->rec, b->bytes + y->rec, x->rec_len) == 0;
}

static void sort(struct kb_list *l)
{
	if (l->n > 1)
		qsort_r(l->want, l->n, sizeof(*l->want), sort_compare, l);
}

/* Enters what differs, `all` of it if the table may not hold `before` whole, then
 * removes what is gone. Both lists are sorted here. */
static void diff(struct kb_records *r, struct kb_list *before, struct kb_list *after, bool all,
		 bool *ret_refused)
{
	size_t i, k;

	sort(before);
	sort(after);
	for (i = k = 0; i < after->n; i++) {
		int c = 1;

		while (k < before->n &&
		       (c = want_compare(before, &before->want[k], after, &after->want[i])) < 0)
			k++;
		if (all || k == before->n || c != 0 ||
		    !want_same(before, &before->want[k], after, &after->want[i]))
			put(r, after, &after->want[i], ret_refused);
	}
	for (i = k = 0; i < before->n; i++) {
		int c = 1;

		while (k < after->n &&
		       (c = want_compare(after, &after->want[k], before, &before->want[i])) < 0)
			k++;
		if (k == after->n || c != 0)
			kb_table_del(r->table, kb_list_name(before, &before->want[i]),
				     before->want[i].name_len);
	}
}

static void put_all(struct kb_records *r, const struct kb_list *l, bool *ret_refused)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		put(r, l, &l->want[i], ret_refused);
}

static bool has_leave(const struct kb_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->want[i].kind == KB_VALUE_LEAVE)
			return true;
	return false;
}

static void set_skips(struct kb_records *r, bool on)
{
	size_t i;

	for (i = 0; i < r->n_domains; i++)
		kb_table_zone_flag(r->table, r->domain[i].id, KB_ZONE_SKIPS, on);
}

/* Before a name is left and those below it go. */
static void left_begin(struct kb_records *r, bool was, bool is)
{
	if (is && !was && r->n_left++ == 0)
		set_skips(r, true);
}

/* After the names below it have come. */
static void left_end(struct kb_records *r, bool was, bool is)
{
	if (was && !is && --r->n_left == 0)
		set_skips(r, false);
}

/* Addresses of bad objects are not known, so no address may be denied meanwhile. */
void kb_publish_reverse_flags(struct kb_records *r)
{
	bool answer = r->reverse_authoritative && r->n_lost == 0;

	kb_table_zone_flag(r->table, r->rev_id[0], KB_ZONE_ANSWER, answer);
	kb_table_zone_flag(r->table, r->rev_id[1], KB_ZONE_ANSWER, answer);
}

static void add_rev(struct kb_revs *rv, uint32_t addr, uint32_t svc, uint32_t host)
{
	rv->rev = kb_grow(rv->rev, &rv->cap, rv->n + 1, sizeof(*rv->rev));
	rv->rev[rv->n].addr = addr;
	rv->rev[rv->n].svc = svc;
	rv->rev[rv->n++].host = host;
}

/* Distinct (address, target) of the Service in r->view. */
static void list_revs(struct kb_records *r, uint32_t svc, struct kb_revs *rv)
{
	const struct kb_svcview *v = &r->view;
	const struct kb_svc_obj *o = v->svc->obj;
	struct kb_wire base;
	uint32_t id, i, addr;
	size_t k, out;

	rv->n = 0;
	if (!v->ptr || kb_names_base(r, v->svc, &r->domain[0], &base))
		return;
	for (i = 0; i < o->n_ips; i++) {
		const struct kb_addr *a = &kb_svc_ips(o)[i];

		if (a->family == 4) {
			memcpy(&addr, a->b, 4);
			add_rev(rv, addr, svc | KB_REV_CLUSTER, 0);
			continue;
		}
		/* The Service's block does not hold this string: count it here, for as long
		 * as the entry lives (see settle()). */
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
				kb_names_rev_addr(r, ep[i].addr, v6 != 0, &a);
				if (!host)
					len = kb_svcview_dashed(&a, label);
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
static void drop_revs(struct kb_records *r, struct kb_revs *rv)
{
	size_t i;

	for (i = 0; i < rv->n; i++)
		if ((rv->rev[i].svc & KB_REV_V6) && (rv->rev[i].svc & KB_REV_CLUSTER))
			kb_strings_put(&r->store.strings, rv->rev[i].addr);
	rv->n = 0;
}

/* The empty non-terminals above an address that comes or goes; with `again`, of one that
 * is counted already. */
static void put_ents(struct kb_records *r, const struct kb_addr *addr, bool add, bool again,
		     bool *ret_refused)
{
	uint8_t depth, max = addr->family == 4 ? 4 : 32;
	struct kb_wire name;
	struct kb_entry e = {.kind = KB_VALUE_REC};

	if (!r->reverse_authoritative)
		return;
	e.zone = r->rev_id[addr->family == 4 ? 0 : 1];
	for (depth = 1; depth < max; depth++) {
		if (!again && !kb_reverse_ent(&r->reverse, addr, depth, add))
			continue;
		kb_names_reverse(r, addr, depth, &name);
		if (!add) {
			kb_table_del(r->table, name.b, name.len);
		} else if (kb_table_put(r->table, name.b, name.len, &e)) {
			r->n_refused++;
			r->incomplete = true;
			*ret_refused = true;
		}
	}
}

/* The PTR name of an address. What the table does not take is tried again with any Service
 * that has the address. */
static void publish_ptr(struct kb_records *r, uint32_t addr, bool v6, bool had, bool again)
{
	struct kb_list *l = &r->ptr;
	struct kb_addr a;
	struct kb_wire name;
	const struct kb_rev *e;
	uint32_t pos = 0;
	bool has = kb_reverse_next(&r->reverse, addr, v6, &pos) != NULL, refused = false;

	kb_names_rev_addr(r, addr, v6, &a);
	kb_names_reverse(r, &a, v6 ? 32 : 4, &name);
	if (has && (!had || again))
		put_ents(r, &a, true, again, &refused);
	if (has) {
		kb_list_clear(l);
		kb_names_ptr(r, addr, v6, &name, l);
		put_all(r, l, &refused);
	} else if (had) {
		kb_table_del(r->table, name.b, name.len);
		put_ents(r, &a, false, false, &refused);
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
static void settle(struct kb_records *r, struct kb_revs *before, struct kb_revs *after)
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
		publish_ptr(r, addr, v6 != 0, had, false);
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

static void collect_dns(struct kb_records *r)
{
	size_t i, n = 0, cap = 0, n4;

	for (i = 0; i < r->n_dns; i++) {
		struct kb_dns_svc *d = &r->dns[i];
		struct kb_svcview *v = &r->view;

		kb_svcview_collect(v, &r->store, d->svc);
		free(d->addrs);
		d->addrs = NULL;
		d->n = 0;
		d->present = v->kind == KB_VIEW_CLUSTER || v->kind == KB_VIEW_HEADLESS;
		if (d->present) {
			d->n = v->n4 + v->n6;
			d->addrs = kb_zalloc(d->n, sizeof(*d->addrs));
			if (d->n)
				memcpy(d->addrs, v->addrs, d->n * sizeof(*d->addrs));
			d->present = d->n > 0;
		}
		n += d->n;
	}
	r->dns_addrs = kb_grow(r->dns_addrs, &cap, n ? n : 1, sizeof(*r->dns_addrs));
	for (i = n = 0; i < r->n_dns; i++) {
		if (r->dns[i].n)
			memcpy(r->dns_addrs + n, r->dns[i].addrs,
			       r->dns[i].n * sizeof(*r->dns_addrs));
		n += r->dns[i].n;
	}
	n = kb_addrs_unique(r->dns_addrs, n, &n4);
	r->dns_n4 = n4;
	r->dns_n6 = n - n4;
}

void kb_publish_open(struct kb_records *r, uint32_t svc, struct kb_list *l, struct kb_revs *rv)
{
	kb_list_clear(l);
	kb_svcview_collect(&r->view, &r->store, svc);
	kb_names_list(r, l);
	list_revs(r, svc, rv);
}

void kb_publish_service(struct kb_records *r, uint32_t svc, struct kb_list *before,
			struct kb_revs *revs_before)
{
	struct kb_svc *s = kb_store_svc(&r->store, svc);
	bool was = s->left, is, again = s->refused;
	size_t i;

	if (s->dns)
		collect_dns(r); /* it may be an ExternalName for ns.dns.Z itself */
	kb_publish_open(r, svc, &r->after, &r->revs_after);
	is = has_leave(&r->after);
	s->left = is;
	left_begin(r, was, is);
	s->refused = false;
	diff(r, before, &r->after, again, &s->refused);
	left_end(r, was, is);
	settle(r, revs_before, &r->revs_after);
	for (i = 0; again && i < r->revs_after.n; i++)
		publish_ptr(r, r->revs_after.rev[i].addr,
			    (r->revs_after.rev[i].svc & KB_REV_V6) != 0, true, true);
	drop_revs(r, revs_before);
	drop_revs(r, &r->revs_after);
}

/* An ExternalName Service whose target has changed: the same names, other answers. */
static void refresh(struct kb_records *r, uint32_t svc)
{
	kb_list_clear(&r->after);
	kb_svcview_collect(&r->view, &r->store, svc);
	if (r->view.kind != KB_VIEW_EXTERNAL)
		return;
	kb_names_list(r, &r->after);
	put_all(r, &r->after, &kb_store_svc(&r->store, svc)->refused);
}

static void push(struct kb_records *r, uint32_t svc)
{
	struct kb_svc *s = kb_store_svc(&r->store, svc);

	if (s->seen == r->walk)
		return;
	s->seen = r->walk;
	r->queue = kb_grow(r->queue, &r->cap_queue, r->n_queue + 1, sizeof(*r->queue));
	r->queue[r->n_queue++] = svc;
}

static int icept_compare(const void *a, const void *b)
{
	const struct kb_icept_want *x = a, *y = b;
	int c = kb_addr_compare(&x->addr, &y->addr);

	return c ? c : (x->port > y->port) - (x->port < y->port);
}

static void add_icepts(struct kb_icept_want **w, size_t *n, size_t *cap, const struct kb_addr *addr,
		       const struct kb_port_rec *ports, uint32_t n_ports)
{
	uint32_t i;

	for (i = 0; i < n_ports; i++) {
		if (ports[i].proto != KB_UDP)
			continue;
		*w = kb_grow(*w, cap, *n + 1, sizeof(**w));
		memset(&(*w)[*n], 0, sizeof(**w));
		(*w)[*n].addr = *addr;
		(*w)[(*n)++].port = ports[i].port;
	}
}

/* Addresses of the cluster DNS Services, whole and anew: they are few. */
static void publish_icepts(struct kb_records *r)
{
	struct kb_icept_want *w = NULL;
	size_t n = 0, cap = 0, i, k, out;

	for (i = 0; i < r->n_dns; i++) {
		const struct kb_svc_obj *o = kb_store_svc(&r->store, r->dns[i].svc)->obj;

		kb_svcview_collect(&r->view, &r->store, r->dns[i].svc);
		if (!r->view.ptr)
			continue;
		for (k = 0; k < o->n_ips; k++)
			add_icepts(&w, &n, &cap, &kb_svc_ips(o)[k], o->ports, o->n_ports);
		for (k = 0; k < r->view.n_eps; k++)
			add_icepts(&w, &n, &cap, &r->view.eps[k].addr, r->view.eps[k].slice->ports,
				   r->view.eps[k].slice->n_ports);
	}
	if (n > 1)
		qsort(w, n, sizeof(*w), icept_compare);
	for (i = out = 0; i < n; i++)
		if (!out || icept_compare(&w[out - 1], &w[i]) != 0)
			w[out++] = w[i];
	n = out;
	/* First those that go: there is room for a fixed number. */
	for (i = k = 0; r->intercept && (i < r->n_icepts); i++) {
		while (k < n && icept_compare(&w[k], &r->icepts[i]) < 0)
			k++;
		if (k == n || icept_compare(&w[k], &r->icepts[i]) != 0)
			r->intercept(r->arg, false, &r->icepts[i].addr, r->icepts[i].port);
	}
	for (i = k = 0; r->intercept && i < n; i++) {
		while (k < r->n_icepts && icept_compare(&r->icepts[k], &w[i]) < 0)
			k++;
		if (k == r->n_icepts || icept_compare(&r->icepts[k], &w[i]) != 0)
			r->intercept(r->arg, true, &w[i].addr, w[i].port);
	}
	free(r->icepts);
	r->icepts = w;
	r->n_icepts = n;
}

void kb_publish_static(struct kb_records *r)
{
	uint32_t bucket, slot;
	size_t i;

	collect_dns(r);
	r->static_refused = false;
	kb_list_clear(&r->after);
	kb_names_apex(r, &r->after);
	if (r->reverse_authoritative)
		kb_names_reverse_apex(r, &r->after);
	if (r->built) {
		put_all(r, &r->after, &r->static_refused);
		publish_icepts(r);
		return;
	}
	/* An adopted table's are better than ours, as long as nothing is known. */
	for (i = 0; i < r->after.n; i++)
		if (!kb_table_get(r->table, kb_list_name(&r->after, &r->after.want[i]),
				  r->after.want[i].name_len, &bucket, &slot))
			put(r, &r->after, &r->after.want[i], &r->static_refused);
}

void kb_publish_followers(struct kb_records *r, uint32_t svc)
{
	size_t at;

	r->walk++;
	r->n_queue = 0;
	push(r, svc);
	for (at = 0; at < r->n_queue; at++) {
		const struct kb_svc *s = kb_store_svc(&r->store, r->queue[at]);
		uint32_t dep;

		if (at && r->queue[at] != r->misc)
			refresh(r, r->queue[at]);
		if (s->dns) {
			kb_publish_static(r);
			push(r, r->misc);
		}
		for (dep = s->deps; dep; dep = kb_store_svc(&r->store, dep)->dep_next)
			push(r, dep);
	}
}

/* Gives a namespace another's visible state. */
static void ns_be(struct kb_ns *ns, const struct kb_ns *state)
{
	ns->exists = state->exists;
	ns->reason = state->reason;
	ns->lost = state->lost;
}

/* The namespace's own names in its old state into `before`, as it is into `after`. */
static void ns_lists(struct kb_records *r, uint32_t id, const struct kb_ns *old)
{
	struct kb_ns *ns = kb_store_ns(&r->store, id), now = *ns;

	kb_list_clear(&r->before);
	kb_list_clear(&r->after);
	ns_be(ns, old);
	kb_names_ns(r, id, &r->before);
	ns_be(ns, &now);
	kb_names_ns(r, id, &r->after);
}

void kb_publish_namespace(struct kb_records *r, uint32_t id, const struct kb_ns *old)
{
	struct kb_ns *ns = kb_store_ns(&r->store, id), now = *ns;
	bool was, is, again = ns->refused;
	uint32_t svc, next;

	/* The namespace's own name first when it is left, so that what goes below it is
	 * left and not denied; its Services one at a time, to keep memory small. */
	ns_lists(r, id, old);
	was = has_leave(&r->before);
	is = has_leave(&r->after);
	left_begin(r, was, is);
	ns->refused = false;
	if (!was)
		diff(r, &r->before, &r->after, again, &ns->refused);
	for (svc = ns->svcs; svc; svc = next) {
		next = kb_store_svc(&r->store, svc)->ns_next;
		if (svc == r->misc)
			continue;
		ns_be(ns, old);
		kb_publish_open(r, svc, &r->before, &r->revs_before);
		ns_be(ns, &now);
		kb_publish_service(r, svc, &r->before, &r->revs_before);
		kb_publish_followers(r, svc);
	}
	if (was) {
		ns_lists(r, id, old);
		diff(r, &r->before, &r->after, again, &ns->refused);
	}
	left_end(r, was, is);
	kb_publish_followers(r, r->misc);
}

/* Tries the names of one Service (or, behind the last of them, namespace) again if some were
 * refused. Returns whether there were any. */
static bool retry(struct kb_records *r, uint32_t at)
{
	if (at < r->store.svc.top) {
		if (!kb_store_svc(&r->store, at + 1)->refused)
			return false;
		kb_publish_open(r, at + 1, &r->before, &r->revs_before);
		kb_publish_service(r, at + 1, &r->before, &r->revs_before);
		return true;
	}
	at -= r->store.svc.top;
	if (!kb_store_ns(&r->store, at + 1)->refused)
		return false;
	kb_store_ns(&r->store, at + 1)->refused = false;
	kb_list_clear(&r->after);
	kb_names_ns(r, at + 1, &r->after);
	put_all(r, &r->after, &kb_store_ns(&r->store, at + 1)->refused);
	return true;
}

void kb_publish_retry(struct kb_records *r, uint32_t max)
{
	uint32_t total = r->store.svc.top + r->store.ns.top, looked;

	if (!r->incomplete)
		return;
	if (r->static_refused)
		kb_publish_static(r);
	r->incomplete = r->static_refused;
	for (looked = 0; looked < total; looked++) {
		r->retry_from = r->retry_from + 1 < total ? r->retry_from + 1 : 0;
		if (retry(r, r->retry_from) && --max == 0) {
			r->incomplete = true;
			return;
		}
	}
	/* Nobody was found who lacks a name, or all of them have theirs now. */
	if (!r->incomplete)
		kb_table_refusals_clear(r->table);
}

/* How many names a Service has in one domain, without rendering them. */
static size_t count_names(const struct kb_svcview *v)
{
	switch (v->kind) {
	case KB_VIEW_CLUSTER:
	case KB_VIEW_HEADLESS:
		return 1 + v->n_ports + (v->n_ports ? 2 : 0) + v->n_groups;
	case KB_VIEW_LEFT:
	case KB_VIEW_EXTERNAL:
		return 1;
	default:
		return 0;
	}
}

void kb_publish_all(struct kb_records *r)
{
	size_t names = 64, i;
	uint32_t id;

	/* Room for everything in one step; the reverse index on the way. */
	for (id = 1; id <= r->store.svc.top; id++) {
		const struct kb_svc *s = kb_store_svc(&r->store, id);

		if (!s->obj || id == r->misc)
			continue;
		kb_svcview_collect(&r->view, &r->store, id);
		names += count_names(&r->view) * r->n_domains;
		list_revs(r, id, &r->revs_after);
		for (i = 0; i < r->revs_after.n; i++)
			kb_reverse_add(&r->reverse, &r->revs_after.rev[i]);
		r->revs_after.n = 0; /* the index keeps the references */
	}
	collect_dns(r); /* ExternalName Services may lead to ns.dns.Z */
	names += r->store.ns.used * r->n_domains + r->reverse.used;
	kb_table_reserve(r->table, names);
	for (id = 1; id <= r->store.ns.top; id++) {
		kb_list_clear(&r->after);
		if (!kb_store_ns(&r->store, id)->name)
			continue;
		kb_names_ns(r, id, &r->after);
		left_begin(r, false, has_leave(&r->after));
		put_all(r, &r->after, &kb_store_ns(&r->store, id)->refused);
	}
	for (id = 1; id <= r->store.svc.top; id++) {
		struct kb_svc *s = kb_store_svc(&r->store, id);

		if (!s->obj || id == r->misc)
			continue;
		kb_list_clear(&r->after);
		kb_svcview_collect(&r->view, &r->store, id);
		kb_names_list(r, &r->after);
		s->left = has_leave(&r->after);
		left_begin(r, false, s->left);
		put_all(r, &r->after, &s->refused);
	}
	for (i = 0; r->reverse.slot && i <= r->reverse.mask; i++) {
		const struct kb_rev *e = &r->reverse.slot[i];
		uint32_t pos = 0;

		/* Once for each address: at the first of its entries. */
		if (e->svc && kb_reverse_next(&r->reverse, e->addr, e->svc & KB_REV_V6, &pos) == e)
			publish_ptr(r, e->addr, e->svc & KB_REV_V6, false, false);
	}
	kb_publish_reverse_flags(r);
	r->built = true;
	kb_publish_static(r);
	kb_table_sweep(r->table);
	if (!r->n_left)
		set_skips(r, false);
}
