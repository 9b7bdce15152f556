/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of Pods: a-b-c-d.N.pod.Z. Verified, each address of a Pod is a name in its namespace, for
 * as long as some Pod of that namespace has it. Insecure, every address is, and the table cannot
 * hold them: there N.pod.Z is left, and with it what is below.
 */
#include "control/records/internal.h"

#include <string.h>

#include "control/records/dashed.h"

static bool visible(const struct kb_ns *ns)
{
	return kb_ns_exposed(ns) && !ns->reason;
}

static void list(struct kb_records *r, const struct kb_pod_addr *a, struct kb_list *l)
{
	struct kb_addr addr;

	kb_list_clear(l);
	if (a->kind == KB_POD_UNKNOWN)
		return;
	kb_ptr_addr(r, a->addr, a->kind == KB_POD_V6, &addr);
	kb_names_pod(r, a->ns, &addr, l);
}

static void publish(struct kb_records *r, struct kb_pod_addr *a)
{
	list(r, a, &r->after);
	a->refused = false;
	kb_publish_put_all(r, &r->after, &a->refused);
}

static void retract(struct kb_records *r, const struct kb_pod_addr *a)
{
	size_t i;

	list(r, a, &r->after);
	for (i = 0; i < r->after.n; i++)
		kb_publish_del(r, &r->after, &r->after.want[i]);
}

/* From now on, or no longer, some Pod of the namespace has an address that is not known. */
static void change_lost(struct kb_records *r, uint32_t ns, bool lost)
{
	struct kb_ns *n = kb_store_ns(&r->store, ns), old = *n;

	n->lost_pods = lost;
	r->n_lost_pods = lost ? r->n_lost_pods + 1 : r->n_lost_pods - 1;
	if (!r->built)
		return;
	/* Left before a name goes, denied after it has come. */
	if (lost)
		kb_publish_zone_flags(r);
	kb_publish_ns_names(r, ns, &old);
	if (!lost)
		kb_publish_zone_flags(r);
}

/* One more Pod has the address. */
static void take(struct kb_records *r, uint32_t id)
{
	struct kb_pod_addr *a = kb_pods_addr(&r->pods, id);

	r->store.n_skipped += a->kind == KB_POD_UNKNOWN ? 1 : 0;
	if (a->n++)
		return;
	kb_store_ns(&r->store, a->ns)->pod_addrs++;
	if (a->kind == KB_POD_UNKNOWN)
		change_lost(r, a->ns, true);
	else if (r->built && visible(kb_store_ns(&r->store, a->ns)))
		publish(r, a);
}

/* One less has it. */
static void drop(struct kb_records *r, uint32_t id)
{
	struct kb_pod_addr *a = kb_pods_addr(&r->pods, id);
	uint32_t ns = a->ns;

	r->store.n_skipped -= a->kind == KB_POD_UNKNOWN ? 1 : 0;
	if (--a->n)
		return;
	if (a->kind == KB_POD_UNKNOWN)
		change_lost(r, ns, false);
	else if (r->built && visible(kb_store_ns(&r->store, ns)))
		retract(r, a);
	if (a->kind == KB_POD_V6)
		kb_strings_put(&r->store.strings, a->addr);
	kb_pods_del_addr(&r->pods, id);
	kb_store_ns(&r->store, ns)->pod_addrs--;
	kb_store_trim_ns(&r->store, ns);
}

static void forget(struct kb_records *r, uint32_t id)
{
	uint32_t addr = kb_pods_node(&r->pods, id)->addr;

	kb_pods_del(&r->pods, id);
	drop(r, addr);
}

/* The object's address in its namespace, made if need be; 0: it has none. */
static uint32_t address_of(struct kb_records *r, const struct kb_object *obj, uint32_t ns)
{
	const struct kb_addr *a = obj->u.pod.ips;
	enum kb_pod_addr_kind kind;
	uint32_t addr = 0, id;

	if (!obj->bad && (!obj->u.pod.n_ips || (a->family != 4 && a->family != 6)))
		return 0;
	kind = obj->bad ? KB_POD_UNKNOWN : a->family == 6 ? KB_POD_V6 : KB_POD_V4;
	if (kind == KB_POD_V4)
		memcpy(&addr, a->b, 4);
	else if (kind == KB_POD_V6)
		addr = kb_strings_get(&r->store.strings, a->b, 16);
	id = kb_pods_find_addr(&r->pods, ns, addr, kind);
	if (!id)
		return kb_pods_add_addr(&r->pods, ns, addr, kind);
	if (kind == KB_POD_V6)
		kb_strings_put(&r->store.strings, addr); /* it holds a reference already */
	return id;
}

bool kb_podnames_apply(struct kb_records *r, const struct kb_object *obj)
{
	uint32_t ns = kb_store_get_ns(&r->store, obj->ns, strlen(obj->ns));
	uint32_t id = kb_pods_find(&r->pods, ns, obj->name);
	uint32_t old = id ? kb_pods_node(&r->pods, id)->addr : 0, addr;

	addr = address_of(r, obj, ns);
	if (!addr) {
		/* No name, or none any more. */
		if (id)
			forget(r, id);
		else
			kb_store_trim_ns(&r->store, ns);
		return id != 0;
	}
	if (!id)
		id = kb_pods_add(&r->pods, ns, obj->name);
	kb_pods_node(&r->pods, id)->mark = r->mark[KB_POD];
	if (addr == old)
		return false;
	if (obj->bad)
		kb_check_warn(r, obj, "%s; unknown names of its namespace's Pods are left alone",
			      obj->bad);
	kb_pods_node(&r->pods, id)->addr = addr;
	take(r, addr);
	if (old)
		drop(r, old);
	return true;
}

bool kb_podnames_gone(struct kb_records *r, uint32_t ns, const char *name)
{
	uint32_t id = kb_pods_find(&r->pods, ns, name);

	if (id)
		forget(r, id);
	return id != 0;
}

void kb_podnames_sweep(struct kb_records *r, void (*removed)(struct kb_records *r))
{
	uint32_t id;

	for (id = 1; id <= r->pods.nodes.top; id++) {
		const struct kb_pod_node *n = kb_pods_node(&r->pods, id);

		if (!n->addr || n->mark == r->mark[KB_POD])
			continue;
		forget(r, id);
		removed(r);
	}
}

void kb_podnames_list(struct kb_records *r, uint32_t id, struct kb_list *l)
{
	const struct kb_pod_addr *a = kb_pods_addr(&r->pods, id);

	if (a->ns && visible(kb_store_ns(&r->store, a->ns)))
		list(r, a, l);
}

void kb_podnames_namespace(struct kb_records *r, uint32_t ns, const struct kb_ns *old)
{
	const struct kb_ns *now = kb_store_ns(&r->store, ns);
	uint32_t id;

	if (!now->pod_addrs || visible(now) == visible(old))
		return;
	for (id = 1; id <= r->pods.addrs.top; id++) {
		struct kb_pod_addr *a = kb_pods_addr(&r->pods, id);

		if (a->ns == ns && visible(now))
			publish(r, a);
		else if (a->ns == ns)
			retract(r, a);
	}
}

void kb_podnames_publish_all(struct kb_records *r)
{
	uint32_t id;

	for (id = 1; id <= r->pods.addrs.top; id++) {
		struct kb_pod_addr *a = kb_pods_addr(&r->pods, id);

		if (a->ns && visible(kb_store_ns(&r->store, a->ns)))
			publish(r, a);
	}
}

bool kb_podnames_retry(struct kb_records *r, uint32_t id)
{
	struct kb_pod_addr *a = kb_pods_addr(&r->pods, id);

	if (!a->refused)
		return false;
	a->refused = false;
	if (visible(kb_store_ns(&r->store, a->ns)))
		publish(r, a);
	return true;
}

enum kb_node_kind kb_podnames_find(const struct kb_records *r, uint32_t ns, const char *label,
				   size_t len, struct kb_addr *ret_addr)
{
	const struct kb_ns *n = kb_store_ns(&r->store, ns);
	char canonical[KB_LABEL_MAX + 1];
	uint32_t addr = 0;

	if (!visible(n))
		return kb_ns_exposed(n) ? KB_NODE_OUT : KB_NODE_NONE;
	if (kb_dashed_parse(label, len, ret_addr))
		return n->lost_pods ? KB_NODE_OUT : KB_NODE_NONE;
	if (r->pods_mode == KB_PODS_INSECURE)
		return KB_NODE_POD;
	if (ret_addr->family == 4)
		memcpy(&addr, ret_addr->b, 4);
	else
		addr = kb_strings_find(&r->store.strings, ret_addr->b, 16);
	/* The table has one spelling of each. */
	if (addr != UINT32_MAX && kb_dashed_make(ret_addr, canonical) == len &&
	    memcmp(canonical, label, len) == 0 &&
	    kb_pods_find_addr(&r->pods, ns, addr, ret_addr->family == 6 ? KB_POD_V6 : KB_POD_V4))
		return KB_NODE_POD;
	return n->lost_pods ? KB_NODE_OUT : KB_NODE_NONE;
}
