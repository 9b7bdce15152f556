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

void kb_publish_put(struct kb_records *r, const struct kb_list *l, const struct kb_want *w,
		    bool *ret_refused)
{
	struct kb_entry e = {.kind = (enum kb_value_kind)w->kind, .zone = w->zone, .addr = w->addr};
	int err = 0;

	if (kb_zones_hide(&r->zones, kb_list_name(l, w), w->name_len, w->zone))
		return;
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
		r->retry_clean = 0;
		*ret_refused = true;
	}
}

void kb_publish_del(struct kb_records *r, const struct kb_list *l, const struct kb_want *w)
{
	if (!kb_zones_hide(&r->zones, kb_list_name(l, w), w->name_len, w->zone))
		kb_table_del(r->table, kb_list_name(l, w), w->name_len);
}

/* Enters what differs, `all` of it if the table may not hold `before` whole, then
 * removes what is gone. Both lists are sorted here. */
static void diff(struct kb_records *r, struct kb_list *before, struct kb_list *after, bool all,
		 bool *ret_refused)
{
	size_t i, k;

	kb_list_sort(before);
	kb_list_sort(after);
	for (i = k = 0; i < after->n; i++) {
		int c = 1;

		while (k < before->n &&
		       (c = kb_want_compare(before, &before->want[k], after, &after->want[i])) < 0)
			k++;
		if (all || k == before->n || c != 0 ||
		    !kb_want_same(before, &before->want[k], after, &after->want[i]))
			kb_publish_put(r, after, &after->want[i], ret_refused);
	}
	for (i = k = 0; i < before->n; i++) {
		int c = 1;

		while (k < after->n &&
		       (c = kb_want_compare(after, &after->want[k], before, &before->want[i])) < 0)
			k++;
		if (k == after->n || c != 0)
			kb_publish_del(r, before, &before->want[i]);
	}
}

void kb_publish_put_all(struct kb_records *r, const struct kb_list *l, bool *ret_refused)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		kb_publish_put(r, l, &l->want[i], ret_refused);
}

static bool has_leave(const struct kb_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->want[i].kind == KB_VALUE_LEAVE)
			return true;
	return false;
}

void kb_publish_zone_flags(struct kb_records *r)
{
	size_t i;

	for (i = 0; i < r->zones.n_cluster + r->zones.n_reverse; i++) {
		const struct kb_zone_def *d = &r->zones.def[i];
		bool cluster = d->role == KB_ZONE_CLUSTER;
		/* Addresses of bad objects are not known: none may be denied meanwhile. */
		bool answer = !d->leave_misses && (cluster || r->n_lost == 0);

		kb_table_zone_flag(r->table, d->id, KB_ZONE_ANSWER, answer);
		kb_table_zone_flag(r->table, d->id, KB_ZONE_SKIPS, cluster && r->n_left);
		kb_table_zone_flag(r->table, d->id, KB_ZONE_PODS,
				   cluster && (r->pods_mode == KB_PODS_INSECURE || r->n_lost_pods));
	}
}

/* Before a name is left and those below it go. */
static void left_begin(struct kb_records *r, bool was, bool is)
{
	if (is && !was && r->n_left++ == 0)
		kb_publish_zone_flags(r);
}

/* After the names below it have come. */
static void left_end(struct kb_records *r, bool was, bool is)
{
	if (was && !is && --r->n_left == 0)
		kb_publish_zone_flags(r);
}

void kb_publish_open(struct kb_records *r, uint32_t svc, struct kb_list *l, struct kb_revs *rv)
{
	kb_list_clear(l);
	kb_svcview_collect(&r->view, &r->store, svc);
	kb_names_list(r, l);
	kb_ptr_list(r, svc, rv);
}

void kb_publish_service(struct kb_records *r, uint32_t svc, struct kb_list *before,
			struct kb_revs *revs_before)
{
	struct kb_svc *s = kb_store_svc(&r->store, svc);
	bool was = s->left, is, again = s->refused;
	size_t i;

	if (s->dns)
		kb_dns_collect(r); /* it may be an ExternalName for ns.dns.Z itself */
	kb_publish_open(r, svc, &r->after, &r->revs_after);
	is = has_leave(&r->after);
	s->left = is;
	left_begin(r, was, is);
	s->refused = false;
	diff(r, before, &r->after, again, &s->refused);
	left_end(r, was, is);
	kb_ptr_settle(r, revs_before, &r->revs_after);
	for (i = 0; again && i < r->revs_after.n; i++)
		kb_ptr_publish(r, r->revs_after.rev[i].addr,
			       (r->revs_after.rev[i].svc & KB_REV_V6) != 0, true, true);
	kb_ptr_drop(r, revs_before);
	kb_ptr_drop(r, &r->revs_after);
}

/* An ExternalName Service whose target has changed: the same names, other answers. */
static void refresh(struct kb_records *r, uint32_t svc)
{
	kb_list_clear(&r->after);
	kb_svcview_collect(&r->view, &r->store, svc);
	if (r->view.kind != KB_VIEW_EXTERNAL)
		return;
	kb_names_list(r, &r->after);
	kb_publish_put_all(r, &r->after, &kb_store_svc(&r->store, svc)->refused);
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
	ns->hidden = state->hidden;
	ns->reason = state->reason;
	ns->lost = state->lost;
	ns->lost_pods = state->lost_pods;
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

/* Are a namespace's Services left? */
static bool ns_left(const struct kb_ns *ns)
{
	return kb_ns_exposed(ns) && (ns->reason || ns->lost);
}

void kb_publish_ns_names(struct kb_records *r, uint32_t id, const struct kb_ns *old)
{
	struct kb_ns *ns = kb_store_ns(&r->store, id);
	bool again = ns->refused;

	ns_lists(r, id, old);
	ns->refused = false;
	diff(r, &r->before, &r->after, again, &ns->refused);
}

void kb_publish_namespace(struct kb_records *r, uint32_t id, const struct kb_ns *old)
{
	struct kb_ns *ns = kb_store_ns(&r->store, id), now = *ns;
	bool was = ns_left(old), is = ns_left(ns);
	uint32_t svc, next;

	/* The namespace's own name first when it is left, so that what goes below it is
	 * left and not denied; its Services one at a time, to keep memory small. */
	left_begin(r, was, is);
	if (!was)
		kb_publish_ns_names(r, id, old);
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
	kb_podnames_namespace(r, id, old);
	if (was)
		kb_publish_ns_names(r, id, old);
	left_end(r, was, is);
	kb_publish_followers(r, r->misc);
}

/* Tries the names of one Service (or, behind the last of them, namespace or Pod) again if some were
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
	if (at >= r->store.ns.top)
		return kb_podnames_retry(r, at - r->store.ns.top + 1);
	if (!kb_store_ns(&r->store, at + 1)->refused)
		return false;
	kb_store_ns(&r->store, at + 1)->refused = false;
	kb_list_clear(&r->after);
	kb_names_ns(r, at + 1, &r->after);
	kb_publish_put_all(r, &r->after, &kb_store_ns(&r->store, at + 1)->refused);
	return true;
}

void kb_publish_retry(struct kb_records *r, uint32_t max, uint32_t looks)
{
	uint32_t total = r->store.svc.top + r->store.ns.top + r->pods.addrs.top;

	if (!r->incomplete)
		return;
	if (r->static_refused)
		kb_publish_static(r);
	for (; max && looks && r->retry_clean < total; looks--) {
		r->retry_from = r->retry_from + 1 < total ? r->retry_from + 1 : 0;
		/* Counted first: one that is refused again begins anew. */
		r->retry_clean++;
		if (retry(r, r->retry_from))
			max--;
	}
	if (r->retry_clean < total || r->static_refused)
		return;
	/* Nobody lacks a name. */
	r->incomplete = false;
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

/* The PTR names of a Service, while it and the record that its endpoints share are in the CPU's
 * caches: in the order of the reverse index they took nearly twice as long. An address of several
 * Services comes with the first of its entries. */
static void put_addresses(struct kb_records *r, uint32_t svc)
{
	size_t i;

	kb_ptr_list(r, svc, &r->revs_after);
	for (i = 0; i < r->revs_after.n; i++) {
		const struct kb_rev *e = &r->revs_after.rev[i];
		bool v6 = (e->svc & KB_REV_V6) != 0;
		uint32_t pos = 0;

		if (kb_rev_compare(e, kb_reverse_next(&r->reverse, e->addr, v6, &pos)) == 0)
			kb_ptr_publish(r, e->addr, v6, false, false);
	}
	kb_ptr_drop(r, &r->revs_after);
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
		names += count_names(&r->view) * r->zones.n_cluster;
		kb_ptr_list(r, id, &r->revs_after);
		for (i = 0; i < r->revs_after.n; i++)
			kb_reverse_add(&r->reverse, &r->revs_after.rev[i]);
		r->revs_after.n = 0; /* the index keeps the references */
	}
	kb_dns_collect(r); /* ExternalName Services may lead to ns.dns.Z */
	names += (r->store.ns.used + r->pods.addrs.used) * r->zones.n_cluster + r->reverse.used;
	kb_table_reserve(r->table, names);
	for (id = 1; id <= r->store.ns.top; id++) {
		kb_list_clear(&r->after);
		if (!kb_store_ns(&r->store, id)->name)
			continue;
		kb_names_ns(r, id, &r->after);
		left_begin(r, false, ns_left(kb_store_ns(&r->store, id)));
		kb_publish_put_all(r, &r->after, &kb_store_ns(&r->store, id)->refused);
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
		kb_publish_put_all(r, &r->after, &s->refused);
		put_addresses(r, id);
	}
	kb_podnames_publish_all(r);
	r->built = true;
	kb_publish_static(r);
	kb_table_sweep(r->table);
	kb_publish_zone_flags(r);
}
