/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/store.h"

#include <string.h>

#include "control/records/alloc.h"
#include "control/records/wirename.h"

/* Longer names differ from each other in nothing that DNS could ask. */
#define KEY_MAX 1024

void kb_store_init(struct kb_store *s)
{
	memset(s, 0, sizeof(*s));
	kb_strings_init(&s->strings);
	kb_pool_init(&s->ns, sizeof(struct kb_ns));
	kb_pool_init(&s->svc, sizeof(struct kb_svc));
	kb_pool_init(&s->slice, sizeof(struct kb_slice_node));
}

void kb_store_fini(struct kb_store *s)
{
	uint32_t id;

	for (id = 1; id <= s->svc.top; id++)
		free(kb_store_svc(s, id)->obj);
	for (id = 1; id <= s->slice.top; id++)
		free(kb_store_slice(s, id)->obj);
	kb_pool_fini(&s->ns);
	kb_pool_fini(&s->svc);
	kb_pool_fini(&s->slice);
	kb_idhash_fini(&s->ns_index);
	kb_idhash_fini(&s->svc_index);
	kb_idhash_fini(&s->slice_index);
	kb_strings_fini(&s->strings);
}

static uint32_t lower_find(const struct kb_store *s, const char *name, size_t len)
{
	char buf[KEY_MAX];
	size_t i;

	len = len > KEY_MAX ? KEY_MAX : len;
	for (i = 0; i < len; i++)
		buf[i] = kb_ascii_lower(name[i]);
	return kb_strings_find(&s->strings, buf, len);
}

static uint32_t lower_get(struct kb_store *s, const char *name, size_t len)
{
	char buf[KEY_MAX];
	size_t i;

	len = len > KEY_MAX ? KEY_MAX : len;
	for (i = 0; i < len; i++)
		buf[i] = kb_ascii_lower(name[i]);
	return kb_strings_get(&s->strings, buf, len);
}

static uint32_t pair_hash(const struct kb_store *s, uint32_t a, uint32_t b)
{
	uint32_t pair[2] = {a, b};

	return kb_siphash(&s->strings.key, pair, sizeof(pair));
}

static uint32_t find_ns_by_id(const struct kb_store *s, uint32_t name)
{
	uint32_t pos = 0, hash = pair_hash(s, name, 0), id;

	for (id = kb_idhash_first(&s->ns_index, hash, &pos); id;
	     id = kb_idhash_next(&s->ns_index, hash, &pos))
		if (kb_store_ns(s, id)->name == name)
			return id;
	return 0;
}

static uint32_t find_svc_by_id(const struct kb_store *s, uint32_t ns, uint32_t name)
{
	uint32_t pos = 0, hash = pair_hash(s, ns, name), id;

	for (id = kb_idhash_first(&s->svc_index, hash, &pos); id;
	     id = kb_idhash_next(&s->svc_index, hash, &pos))
		if (kb_store_svc(s, id)->ns == ns && kb_store_svc(s, id)->name == name)
			return id;
	return 0;
}

static uint32_t find_slice_by_id(const struct kb_store *s, uint32_t ns, uint32_t name)
{
	uint32_t pos = 0, hash = pair_hash(s, ns, name), id;

	for (id = kb_idhash_first(&s->slice_index, hash, &pos); id;
	     id = kb_idhash_next(&s->slice_index, hash, &pos))
		if (kb_store_slice(s, id)->ns == ns && kb_store_slice(s, id)->name == name)
			return id;
	return 0;
}

uint32_t kb_store_find_ns(const struct kb_store *s, const char *name, size_t len)
{
	uint32_t str = lower_find(s, name, len);

	return str == UINT32_MAX ? 0 : find_ns_by_id(s, str);
}

uint32_t kb_store_find_svc(const struct kb_store *s, uint32_t ns, const char *name, size_t len)
{
	uint32_t str = ns ? lower_find(s, name, len) : UINT32_MAX;

	return str == UINT32_MAX ? 0 : find_svc_by_id(s, ns, str);
}

uint32_t kb_store_find_slice(const struct kb_store *s, uint32_t ns, const char *name)
{
	uint32_t str = ns ? kb_strings_find(&s->strings, name, strlen(name)) : UINT32_MAX;

	return str == UINT32_MAX ? 0 : find_slice_by_id(s, ns, str);
}

uint32_t kb_store_get_ns(struct kb_store *s, const char *name, size_t len)
{
	uint32_t str = lower_get(s, name, len), id = find_ns_by_id(s, str);

	if (id) {
		kb_strings_put(&s->strings, str);
		return id;
	}
	id = kb_pool_get(&s->ns);
	kb_store_ns(s, id)->name = str;
	kb_idhash_add(&s->ns_index, pair_hash(s, str, 0), id);
	return id;
}

uint32_t kb_store_get_svc(struct kb_store *s, uint32_t ns, const char *name, size_t len)
{
	uint32_t str = lower_get(s, name, len), id = find_svc_by_id(s, ns, str);
	struct kb_svc *svc;
	struct kb_ns *n = kb_store_ns(s, ns);

	if (id) {
		kb_strings_put(&s->strings, str);
		return id;
	}
	id = kb_pool_get(&s->svc);
	svc = kb_store_svc(s, id);
	svc->ns = ns;
	svc->name = str;
	svc->ns_next = n->svcs;
	if (n->svcs)
		kb_store_svc(s, n->svcs)->ns_prev = id;
	n->svcs = id;
	kb_idhash_add(&s->svc_index, pair_hash(s, ns, str), id);
	return id;
}

uint32_t kb_store_get_slice(struct kb_store *s, uint32_t ns, const char *name)
{
	uint32_t str = kb_strings_get(&s->strings, name, strlen(name));
	uint32_t id = find_slice_by_id(s, ns, str);

	if (id) {
		kb_strings_put(&s->strings, str);
		return id;
	}
	id = kb_pool_get(&s->slice);
	kb_store_slice(s, id)->ns = ns;
	kb_store_ns(s, ns)->slices++;
	kb_store_slice(s, id)->name = str;
	kb_idhash_add(&s->slice_index, pair_hash(s, ns, str), id);
	s->n_slices++;
	return id;
}

void kb_store_trim_ns(struct kb_store *s, uint32_t id)
{
	struct kb_ns *n = kb_store_ns(s, id);

	if (n->exists || n->svcs || n->slices || n->lost || n->pod_addrs)
		return;
	kb_idhash_del(&s->ns_index, pair_hash(s, n->name, 0), id);
	kb_strings_put(&s->strings, n->name);
	kb_pool_put(&s->ns, id);
}

void kb_store_trim_svc(struct kb_store *s, uint32_t id)
{
	struct kb_svc *svc = kb_store_svc(s, id);
	uint32_t ns = svc->ns;

	if (svc->obj || svc->slices || svc->deps || svc->pinned)
		return;
	if (svc->ns_prev)
		kb_store_svc(s, svc->ns_prev)->ns_next = svc->ns_next;
	else
		kb_store_ns(s, ns)->svcs = svc->ns_next;
	if (svc->ns_next)
		kb_store_svc(s, svc->ns_next)->ns_prev = svc->ns_prev;
	kb_idhash_del(&s->svc_index, pair_hash(s, ns, svc->name), id);
	kb_strings_put(&s->strings, svc->name);
	kb_pool_put(&s->svc, id);
	kb_store_trim_ns(s, ns);
}

void kb_store_link_slice(struct kb_store *s, uint32_t slice, uint32_t svc)
{
	struct kb_slice_node *n = kb_store_slice(s, slice);

	if (n->svc) {
		if (n->prev)
			kb_store_slice(s, n->prev)->next = n->next;
		else
			kb_store_svc(s, n->svc)->slices = n->next;
		if (n->next)
			kb_store_slice(s, n->next)->prev = n->prev;
	}
	n->svc = svc;
	n->next = n->prev = 0;
	if (svc) {
		struct kb_svc *v = kb_store_svc(s, svc);

		n->next = v->slices;
		if (v->slices)
			kb_store_slice(s, v->slices)->prev = slice;
		v->slices = slice;
	}
}

void kb_store_link_dep(struct kb_store *s, uint32_t svc, uint32_t target)
{
	struct kb_svc *v = kb_store_svc(s, svc);

	if (v->target) {
		if (v->dep_prev)
			kb_store_svc(s, v->dep_prev)->dep_next = v->dep_next;
		else
			kb_store_svc(s, v->target)->deps = v->dep_next;
		if (v->dep_next)
			kb_store_svc(s, v->dep_next)->dep_prev = v->dep_prev;
		kb_store_svc(s, v->target)->n_deps--;
	}
	v->target = target;
	v->dep_next = v->dep_prev = 0;
	if (target) {
		struct kb_svc *t = kb_store_svc(s, target);

		v->dep_next = t->deps;
		if (t->deps)
			kb_store_svc(s, t->deps)->dep_prev = svc;
		t->deps = svc;
		t->n_deps++;
	}
}

void kb_store_free_slice(struct kb_store *s, uint32_t id)
{
	struct kb_slice_node *n = kb_store_slice(s, id);

	kb_idhash_del(&s->slice_index, pair_hash(s, n->ns, n->name), id);
	kb_strings_put(&s->strings, n->name);
	kb_store_ns(s, n->ns)->slices--;
	kb_pool_put(&s->slice, id);
	s->n_slices--;
}

static void fill_ports(struct kb_store *s, struct kb_port_rec *out, const struct kb_port *ports,
		       size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		size_t len = strlen(ports[i].name);

		/* Port names without a DNS form are left out, and check.c warns of them: there is
		 * an underscore in front. */
		if (len < KB_LABEL_MAX && kb_label_valid(ports[i].name, len))
			out[i].name = kb_strings_get(&s->strings, ports[i].name, len);
		out[i].port = ports[i].port;
		out[i].proto = (uint8_t)ports[i].proto;
	}
}

struct kb_svc_obj *kb_svc_obj_new(struct kb_store *s, const struct kb_service *v,
				  const char *reason)
{
	size_t n_ports = reason || v->type == KB_EXTERNAL_NAME ? 0 : v->n_ports;
	size_t n_ips = reason || v->type != KB_CLUSTER_IP ? 0 : v->n_cluster_ips, i, len;
	size_t size = sizeof(struct kb_svc_obj) + n_ports * sizeof(struct kb_port_rec) +
		      n_ips * sizeof(struct kb_addr);
	struct kb_svc_obj *o = kb_zalloc(1, size);
	struct kb_addr *ips;

	o->size = (uint32_t)size;
	if (reason) {
		o->reason = kb_strings_get(&s->strings, reason, strlen(reason));
		return o;
	}
	o->type = (uint8_t)v->type;
	o->selector = v->selector;
	o->n_ports = (uint32_t)n_ports;
	o->n_ips = (uint32_t)n_ips;
	fill_ports(s, o->ports, v->ports, n_ports);
	ips = (struct kb_addr *)(void *)(o->ports + n_ports);
	for (i = 0; i < n_ips; i++) {
		ips[i].family = v->cluster_ips[i].family;
		memcpy(ips[i].b, v->cluster_ips[i].b, ips[i].family == 4 ? 4 : 16);
	}
	if (v->type == KB_EXTERNAL_NAME) {
		len = strlen(v->external_name);
		if (len && v->external_name[len - 1] == '.')
			len--;
		o->external = kb_strings_get(&s->strings, v->external_name, len);
	}
	return o;
}

static void put_ports(struct kb_store *s, const struct kb_port_rec *ports, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		kb_strings_put(&s->strings, ports[i].name);
}

void kb_svc_obj_free(struct kb_store *s, struct kb_svc_obj *o)
{
	if (!o)
		return;
	put_ports(s, o->ports, o->n_ports);
	kb_strings_put(&s->strings, o->external);
	kb_strings_put(&s->strings, o->reason);
	free(o);
}

const char *kb_endpoint_host(const struct kb_store *s, const struct kb_endpoint *e)
{
	if (e->hostname && e->hostname[0])
		return e->hostname;
	if (s->pod_names && e->pod && kb_label_valid(e->pod, strlen(e->pod)))
		return e->pod;
	return NULL;
}

struct kb_slice_obj *kb_slice_obj_new(struct kb_store *s, const struct kb_slice *v,
				      const char *reason)
{
	size_t n_ports = reason ? 0 : v->n_ports, n_eps = 0, i, size;
	bool named = v->service && v->service[0];
	struct kb_slice_obj *o;
	struct kb_ep_rec *ep;

	/* A slice without a Service has no names: nothing of it is worth keeping. */
	if (!named)
		n_ports = 0;
	for (i = 0; !reason && named && i < v->n_endpoints; i++)
		n_eps += v->endpoints[i].ready ? 1 : 0;
	size = sizeof(*o) + n_ports * sizeof(struct kb_port_rec) + n_eps * sizeof(*ep);
	o = kb_zalloc(1, size);
	o->size = (uint32_t)size;
	if (named)
		o->service = lower_get(s, v->service, strlen(v->service));
	if (reason) {
		o->reason = kb_strings_get(&s->strings, reason, strlen(reason));
		return o;
	}
	o->n_all = (uint32_t)v->n_endpoints;
	o->n_ports = (uint32_t)n_ports;
	o->n_eps = (uint32_t)n_eps;
	fill_ports(s, o->ports, v->ports, n_ports);
	ep = (struct kb_ep_rec *)(void *)(o->ports + n_ports);
	for (i = 0; n_eps && i < v->n_endpoints; i++) {
		const struct kb_endpoint *e = &v->endpoints[i];
		const char *host;

		if (!e->ready)
			continue;
		host = kb_endpoint_host(s, e);
		if (host)
			ep->host = kb_strings_get(&s->strings, host, strlen(host));
		if (e->addr.family == 4) {
			memcpy(&ep->addr, e->addr.b, 4);
		} else {
			ep->addr = kb_strings_get(&s->strings, e->addr.b, 16);
			ep->host |= KB_EP_V6;
		}
		ep++;
	}
	return o;
}

void kb_slice_obj_free(struct kb_store *s, struct kb_slice_obj *o)
{
	const struct kb_ep_rec *ep;
	uint32_t i;

	if (!o)
		return;
	put_ports(s, o->ports, o->n_ports);
	ep = kb_slice_eps(o);
	for (i = 0; i < o->n_eps; i++) {
		kb_strings_put(&s->strings, ep[i].host & ~KB_EP_V6);
		if (ep[i].host & KB_EP_V6)
			kb_strings_put(&s->strings, ep[i].addr);
	}
	kb_strings_put(&s->strings, o->service);
	kb_strings_put(&s->strings, o->reason);
	free(o);
}
