/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a source. An event is: what were the names, change the store, what are they
 * now, publish the difference. Until every kind has synced for the first time events only
 * change the store.
 */
#include "control/records/internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How many objects an event looks at for one that lacks a name. */
#define RETRY_LOOKS 1024

static uint32_t now(const struct kb_records *r)
{
	return r->now_s ? r->now_s(r->arg) : (uint32_t)time(NULL);
}

static void publish_done(struct kb_records *r, enum kb_kind kind)
{
	if (!r->built)
		return;
	if (kind != KB_NAMESPACE)
		kb_table_set_serial(r->table, now(r));
	kb_publish_retry(r, 1, RETRY_LOOKS);
}

/* Tells how long it took to publish this slice, if its Service is known. */
static void programmed(const struct kb_records *r, uint32_t slice, double trigger_time_s)
{
	const struct kb_slice_node *n = kb_store_slice(&r->store, slice);
	const struct kb_svc_obj *o = n->svc ? kb_store_svc(&r->store, n->svc)->obj : NULL;

	if (r->built && r->programmed && o && !o->reason && trigger_time_s > 0)
		r->programmed(r->arg, (enum kb_service_type)o->type, o->selector, trigger_time_s);
}

/* Bad objects hide addresses; the first one is told before names change. */
static void lost_begin(struct kb_records *r, bool was, bool is)
{
	if (is && !was && r->n_lost++ == 0 && r->built)
		kb_publish_zone_flags(r);
}

static void lost_end(struct kb_records *r, bool was, bool is)
{
	if (was && !is && --r->n_lost == 0 && r->built)
		kb_publish_zone_flags(r);
}

static void count_skipped(struct kb_records *r, bool was, bool is)
{
	r->store.n_skipped += is ? 1 : 0;
	r->store.n_skipped -= was ? 1 : 0;
}

/* Follows externalName to the Service it leads to; returns the former target. */
static uint32_t relink(struct kb_records *r, uint32_t svc)
{
	struct kb_store *st = &r->store;
	struct kb_svc *s = kb_store_svc(st, svc);
	uint32_t former = s->target, target = 0;

	s->far = false;
	if (s->obj && !s->obj->reason && s->obj->type == KB_EXTERNAL_NAME)
		target = kb_resolve_target(r, kb_strings_text(&st->strings, s->obj->external));
	if (target && target != former && kb_store_svc(st, target)->n_deps >= KB_DEPENDENTS_MAX) {
		kb_store_trim_svc(st, target);
		s->far = true;
		target = 0;
	}
	if (target == former)
		return 0;
	kb_store_link_dep(st, svc, target);
	return former;
}

/* Takes over `block`, NULL: the object is gone. */
static void change_service(struct kb_records *r, uint32_t svc, struct kb_svc_obj *block)
{
	struct kb_svc *s = kb_store_svc(&r->store, svc);
	struct kb_svc_obj *old = s->obj;
	bool was = old && old->reason, is = block && block->reason;
	uint32_t former;

	lost_begin(r, was, is);
	if (r->built)
		kb_publish_open(r, svc, &r->before, &r->revs_before);
	s->obj = block;
	former = relink(r, svc);
	r->store.n_services += block ? 1 : 0;
	r->store.n_services -= old ? 1 : 0;
	count_skipped(r, was, is);
	if (r->built) {
		kb_publish_service(r, svc, &r->before, &r->revs_before);
		kb_publish_followers(r, svc);
	}
	lost_end(r, was, is);
	kb_svc_obj_free(&r->store, old);
	if (former && former != svc)
		kb_store_trim_svc(&r->store, former);
	kb_store_trim_svc(&r->store, svc);
}

static void change_lost_slices(struct kb_records *r, uint32_t ns, int by)
{
	struct kb_ns *n = kb_store_ns(&r->store, ns), old = *n;

	n->lost = by > 0 ? n->lost + 1 : n->lost - 1;
	if (r->built && (old.lost != 0) != (n->lost != 0))
		kb_publish_namespace(r, ns, &old);
}

/* Takes over `block`, NULL: the object is gone. */
static void change_slice(struct kb_records *r, uint32_t slice, struct kb_slice_obj *block)
{
	struct kb_store *st = &r->store;
	struct kb_slice_node *n = kb_store_slice(st, slice);
	struct kb_slice_obj *old = n->obj;
	uint32_t ns = n->ns, from = n->svc, to = 0;
	bool was = old && old->reason, is = block && block->reason;
	bool was_lost = was && !old->service, is_lost = is && !block->service;

	if (block && block->service)
		to = kb_store_get_svc(st, ns, kb_strings_text(&st->strings, block->service),
				      kb_strings_len(&st->strings, block->service));
	lost_begin(r, was, is);
	if (is_lost && !was_lost)
		change_lost_slices(r, ns, 1);
	if (r->built && to)
		kb_publish_open(r, to, &r->before, &r->revs_before);
	if (r->built && from && from != to)
		kb_publish_open(r, from, &r->other_before, &r->other_revs);
	n->obj = block;
	if (from != to)
		kb_store_link_slice(st, slice, to);
	st->n_endpoints += block ? block->n_all : 0;
	st->n_endpoints -= old ? old->n_all : 0;
	count_skipped(r, was, is);
	if (r->built && to) {
		kb_publish_service(r, to, &r->before, &r->revs_before);
		kb_publish_followers(r, to);
	}
	if (r->built && from && from != to) {
		kb_publish_service(r, from, &r->other_before, &r->other_revs);
		kb_publish_followers(r, from);
	}
	if (was_lost && !is_lost)
		change_lost_slices(r, ns, -1);
	lost_end(r, was, is);
	kb_slice_obj_free(st, old);
	if (!block)
		kb_store_free_slice(st, slice);
	if (from && from != to)
		kb_store_trim_svc(st, from);
	if (!block && !from)
		kb_store_trim_ns(st, ns);
}

static void change_namespace(struct kb_records *r, uint32_t ns, bool exists, bool hidden,
			     const char *reason)
{
	struct kb_store *st = &r->store;
	struct kb_ns *n = kb_store_ns(st, ns), old = *n;

	n->exists = exists;
	n->hidden = hidden;
	n->reason = reason ? kb_strings_get(&st->strings, reason, strlen(reason)) : 0;
	st->n_namespaces += exists ? 1 : 0;
	st->n_namespaces -= old.exists ? 1 : 0;
	count_skipped(r, old.reason != 0, n->reason != 0);
	if (r->built)
		kb_publish_namespace(r, ns, &old);
	kb_strings_put(&st->strings, old.reason);
	kb_store_trim_ns(st, ns);
}

/* --- the sink ------------------------------------------------------------------- */

static void apply_service(struct kb_records *r, const struct kb_object *obj)
{
	struct kb_store *st = &r->store;
	const char *reason = kb_check_service(obj);
	struct kb_svc_obj *block = kb_svc_obj_new(st, &obj->u.service, reason);
	uint32_t svc = kb_store_get_svc(st, kb_store_get_ns(st, obj->ns, strlen(obj->ns)),
					obj->name, strlen(obj->name));
	struct kb_svc *s = kb_store_svc(st, svc);

	s->mark = r->mark[KB_SERVICE];
	if (s->obj && s->obj->size == block->size && !memcmp(s->obj, block, block->size)) {
		kb_svc_obj_free(st, block);
		return;
	}
	if (reason)
		kb_check_warn(r, obj, "%s; its names are left alone", reason);
	else
		kb_check_name(r, obj);
	if (!reason && obj->u.service.type != KB_EXTERNAL_NAME)
		kb_check_ports(r, obj, obj->name, obj->u.service.ports, obj->u.service.n_ports);
	change_service(r, svc, block);
	publish_done(r, KB_SERVICE);
}

static void apply_slice(struct kb_records *r, const struct kb_object *obj)
{
	struct kb_store *st = &r->store;
	const struct kb_slice *v = &obj->u.slice;
	const char *reason = kb_check_slice(obj);
	struct kb_slice_obj *block = kb_slice_obj_new(st, v, reason);
	uint32_t slice =
		kb_store_get_slice(st, kb_store_get_ns(st, obj->ns, strlen(obj->ns)), obj->name);
	struct kb_slice_node *n = kb_store_slice(st, slice);

	n->mark = r->mark[KB_SLICE];
	if (n->obj && n->obj->size == block->size && !memcmp(n->obj, block, block->size)) {
		kb_slice_obj_free(st, block);
		return;
	}
	if (reason)
		kb_check_warn(r, obj, "%s; its Service's names are left alone", reason);
	else
		kb_check_hosts(r, obj);
	change_slice(r, slice, block);
	publish_done(r, KB_SLICE);
	programmed(r, slice, reason ? 0 : v->trigger_time_s);
}

static int name_compare(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

/* Do the rules leave this namespace out? One whose labels cannot be read may be chosen. */
static bool is_hidden(const struct kb_records *r, const struct kb_object *obj)
{
	if (r->n_namespaces && !bsearch(obj->name, r->namespaces, r->n_namespaces,
					sizeof(*r->namespaces), name_compare))
		return true;
	return r->ns_labels && !obj->bad &&
	       !kb_selector_match(r->ns_labels, obj->labels, obj->n_labels);
}

static void apply_namespace(struct kb_records *r, const struct kb_object *obj)
{
	struct kb_store *st = &r->store;
	const char *reason = kb_check_namespace(obj);
	uint32_t ns = kb_store_get_ns(st, obj->name, strlen(obj->name));
	struct kb_ns *n = kb_store_ns(st, ns);
	bool hidden = is_hidden(r, obj);

	n->mark = r->mark[KB_NAMESPACE];
	if (n->exists && n->hidden == hidden &&
	    !strcmp(kb_strings_text(&st->strings, n->reason), reason ? reason : ""))
		return;
	if (reason && !hidden)
		kb_check_warn(r, obj, "%s; its names are left alone", reason);
	change_namespace(r, ns, true, hidden, reason);
	publish_done(r, KB_NAMESPACE);
}

static void sink_apply(void *arg, const struct kb_object *obj)
{
	struct kb_records *r = arg;

	if (!r->needed[obj->kind])
		return;
	if (obj->kind == KB_SERVICE)
		apply_service(arg, obj);
	else if (obj->kind == KB_SLICE)
		apply_slice(arg, obj);
	else if (obj->kind == KB_NAMESPACE)
		apply_namespace(arg, obj);
	else if (kb_podnames_apply(r, obj))
		publish_done(r, KB_POD);
}

static void sink_gone(void *arg, enum kb_kind kind, const char *ns_name, const char *name)
{
	struct kb_records *r = arg;
	struct kb_store *st = &r->store;
	const char *ns_text = kind == KB_NAMESPACE ? name : ns_name;
	uint32_t ns = kb_store_find_ns(st, ns_text, strlen(ns_text)), id;

	if (!ns || !r->needed[kind])
		return;
	if (kind == KB_NAMESPACE) {
		if (!kb_store_ns(st, ns)->exists)
			return;
		change_namespace(r, ns, false, false, NULL);
	} else if (kind == KB_SERVICE) {
		id = kb_store_find_svc(st, ns, name, strlen(name));
		if (!id || !kb_store_svc(st, id)->obj)
			return;
		change_service(r, id, NULL);
	} else if (kind == KB_POD) {
		if (!kb_podnames_gone(r, ns, name))
			return;
	} else {
		id = kb_store_find_slice(st, ns, name);
		if (!id)
			return;
		change_slice(r, id, NULL);
	}
	publish_done(r, kind);
}

static void sink_relist_begin(void *arg, enum kb_kind kind)
{
	struct kb_records *r = arg;

	r->mark[kind]++;
}

static void sink_relist_abort(void *arg, enum kb_kind kind)
{
	(void)arg;
	(void)kind;
}

static void pod_removed(struct kb_records *r)
{
	publish_done(r, KB_POD);
}

/* Removes what the list did not have. */
static void sweep(struct kb_records *r, enum kb_kind kind)
{
	struct kb_store *st = &r->store;
	uint32_t id, mark = r->mark[kind];

	for (id = 1; kind == KB_SERVICE && id <= st->svc.top; id++) {
		if (!kb_store_svc(st, id)->obj || kb_store_svc(st, id)->mark == mark)
			continue;
		change_service(r, id, NULL);
		publish_done(r, kind);
	}
	for (id = 1; kind == KB_SLICE && id <= st->slice.top; id++) {
		if (!kb_store_slice(st, id)->obj || kb_store_slice(st, id)->mark == mark)
			continue;
		change_slice(r, id, NULL);
		publish_done(r, kind);
	}
	if (kind == KB_POD)
		kb_podnames_sweep(r, pod_removed);
	for (id = 1; kind == KB_NAMESPACE && id <= st->ns.top; id++) {
		if (!kb_store_ns(st, id)->exists || kb_store_ns(st, id)->mark == mark)
			continue;
		change_namespace(r, id, false, false, NULL);
		publish_done(r, kind);
	}
}

static void sink_relist_end(void *arg, enum kb_kind kind)
{
	struct kb_records *r = arg;
	int i;

	if (!r->needed[kind])
		return;
	sweep(r, kind);
	r->synced[kind] = true;
	for (i = 0; i < KB_KIND_MAX; i++)
		if (r->needed[i] && !r->synced[i])
			return;
	if (r->built)
		return;
	kb_publish_all(r);
	if (r->store.n_services || r->store.n_slices || r->pods.nodes.used)
		kb_table_set_serial(r->table, now(r));
	if (r->synced_cb)
		r->synced_cb(r->arg);
}

static void sink_alive(void *arg, enum kb_kind kind)
{
	(void)arg;
	(void)kind;
}

void kb_records_sink(struct kb_records *records, struct kb_sink *ret_sink)
{
	*ret_sink = (struct kb_sink){
		.arg = records,
		.relist_begin = sink_relist_begin,
		.relist_end = sink_relist_end,
		.relist_abort = sink_relist_abort,
		.apply = sink_apply,
		.gone = sink_gone,
		.alive = sink_alive,
	};
}
