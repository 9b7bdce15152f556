/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration and zones, and the events of a source. An event is: what were the
 * names, change the store, what are they now, publish the difference. Until every kind
 * has synced for the first time events only change the store.
 */
#include "control/records/records.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "control/records/alloc.h"
#include "control/records/internal.h"

/* Services and namespaces that one call of kb_records_retry tries at most. */
#define RETRIES 64

static const char *const kind_name[KB_KIND_MAX] = {"Service", "EndpointSlice", "Namespace", "Pod"};

/* --- warnings and checks ------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static void
warn(struct kb_records *r, const struct kb_object *obj, const char *format, ...)
{
	char what[256], line[512];
	va_list ap;

	r->n_warnings++;
	if (!r->warn)
		return;
	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s %.80s%s%.120s: %s", kind_name[obj->kind],
		 obj->kind == KB_NAMESPACE ? "" : obj->ns, obj->kind == KB_NAMESPACE ? "" : "/",
		 obj->name, what);
	r->warn(r->arg, line);
}

static bool valid(const char *s)
{
	return kb_label_valid(s, strlen(s));
}

static bool addr_valid(const struct kb_addr *a)
{
	return a->family == 4 || a->family == 6;
}

/* Is there a domain in which S.N.svc.Z is a name? */
static bool fits_somewhere(const struct kb_records *r, const struct kb_object *obj)
{
	size_t i, len = strlen(obj->name) + strlen(obj->ns) + 2;

	for (i = 0; i < r->n_domains; i++)
		if (r->domain[i].svc.len + len <= KB_WIRE_MAX)
			return true;
	return false;
}

static const char *service_reason(const struct kb_records *r, const struct kb_object *obj)
{
	const struct kb_service *v = &obj->u.service;
	struct kb_wire target;
	size_t i;

	if (obj->bad)
		return obj->bad;
	if (!valid(obj->name))
		return "its name is not a DNS label";
	if (!valid(obj->ns))
		return "its namespace is not a DNS label";
	if (!fits_somewhere(r, obj))
		return "its name is longer than 255 bytes";
	for (i = 0; v->type == KB_CLUSTER_IP && i < v->n_cluster_ips; i++)
		if (!addr_valid(&v->cluster_ips[i]))
			return "a clusterIP is not an address";
	if (v->type == KB_EXTERNAL_NAME &&
	    (!v->external_name || kb_wire_parse(v->external_name, false, &target)))
		return "externalName is not a DNS name";
	return NULL;
}

static const char *slice_reason(const struct kb_object *obj)
{
	const struct kb_slice *v = &obj->u.slice;
	size_t i;

	if (obj->bad)
		return obj->bad;
	for (i = 0; i < v->n_endpoints; i++) {
		const struct kb_endpoint *e = &v->endpoints[i];

		if (!addr_valid(&e->addr))
			return "an endpoint has no address";
		if (e->hostname && e->hostname[0] && !valid(e->hostname))
			return "a hostname is not a DNS label";
	}
	return NULL;
}

/* Parts of a good object that have no name of their own. */
static void warn_ports(struct kb_records *r, const struct kb_object *obj, const char *service,
		       const struct kb_port *ports, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		size_t len = strlen(ports[i].name);
		/* _port, _proto, S, N with their length bytes. */
		size_t whole = len + 2 + 6 + strlen(service) + 1 + strlen(obj->ns) + 1;

		if (!len)
			continue;
		if (!valid(ports[i].name) || len + 1 > KB_LABEL_MAX) {
			warn(r, obj, "port name \"%.80s\" is not a DNS label: no SRV name",
			     ports[i].name);
			continue;
		}
		for (k = 0; k < r->n_domains; k++) {
			if (whole + r->domain[k].svc.len <= KB_WIRE_MAX)
				continue;
			warn(r, obj, "the SRV name of port \"%.80s\" is longer than 255 bytes",
			     ports[i].name);
			break;
		}
	}
}

static void warn_hosts(struct kb_records *r, const struct kb_object *obj)
{
	const struct kb_slice *v = &obj->u.slice;
	size_t i, k, base;

	if (!v->service)
		return;
	base = strlen(v->service) + 1 + strlen(obj->ns) + 1;
	for (i = 0; i < v->n_endpoints; i++) {
		size_t len = v->endpoints[i].hostname ? strlen(v->endpoints[i].hostname) : 15;

		for (k = 0; k < r->n_domains; k++) {
			if (base + len + 1 + r->domain[k].svc.len <= KB_WIRE_MAX)
				continue;
			warn(r, obj, "an endpoint's name is longer than 255 bytes");
			return;
		}
	}
}

/* --- changes -------------------------------------------------------------------- */

static uint32_t now(const struct kb_records *r)
{
	return r->now_s ? r->now_s(r->arg) : (uint32_t)time(NULL);
}

static void publish_done(struct kb_records *r, enum kb_kind kind, double trigger_time_s)
{
	if (!r->built)
		return;
	if (kind != KB_NAMESPACE)
		kb_table_set_serial(r->table, now(r));
	kb_publish_retry(r, 1);
	if (r->published)
		r->published(r->arg, kind, trigger_time_s);
}

/* Bad objects hide addresses; the first one is told before names change. */
static void lost_begin(struct kb_records *r, bool was, bool is)
{
	if (is && !was && r->n_lost++ == 0 && r->built)
		kb_publish_reverse_flags(r);
}

static void lost_end(struct kb_records *r, bool was, bool is)
{
	if (was && !is && --r->n_lost == 0 && r->built)
		kb_publish_reverse_flags(r);
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

static void change_namespace(struct kb_records *r, uint32_t ns, bool exists, const char *reason)
{
	struct kb_store *st = &r->store;
	struct kb_ns *n = kb_store_ns(st, ns), old = *n;

	n->exists = exists;
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
	const char *reason = service_reason(r, obj);
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
		warn(r, obj, "%s; its names are left alone", reason);
	else if (obj->u.service.type != KB_EXTERNAL_NAME)
		warn_ports(r, obj, obj->name, obj->u.service.ports, obj->u.service.n_ports);
	change_service(r, svc, block);
	publish_done(r, KB_SERVICE, 0);
}

static void apply_slice(struct kb_records *r, const struct kb_object *obj)
{
	struct kb_store *st = &r->store;
	const struct kb_slice *v = &obj->u.slice;
	const char *reason = slice_reason(obj);
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
		warn(r, obj, "%s; its Service's names are left alone", reason);
	else
		warn_hosts(r, obj);
	change_slice(r, slice, block);
	publish_done(r, KB_SLICE, obj->bad ? 0 : v->trigger_time_s);
}

static void apply_namespace(struct kb_records *r, const struct kb_object *obj)
{
	struct kb_store *st = &r->store;
	const char *reason = obj->bad;
	uint32_t ns = kb_store_get_ns(st, obj->name, strlen(obj->name));
	struct kb_ns *n = kb_store_ns(st, ns);

	if (!reason && !valid(obj->name))
		reason = "its name is not a DNS label";
	n->mark = r->mark[KB_NAMESPACE];
	if (n->exists && !strcmp(kb_strings_text(&st->strings, n->reason), reason ? reason : ""))
		return;
	if (reason)
		warn(r, obj, "%s; its names are left alone", reason);
	change_namespace(r, ns, true, reason);
	publish_done(r, KB_NAMESPACE, 0);
}

static void sink_apply(void *arg, const struct kb_object *obj)
{
	if (obj->kind == KB_SERVICE)
		apply_service(arg, obj);
	else if (obj->kind == KB_SLICE)
		apply_slice(arg, obj);
	else if (obj->kind == KB_NAMESPACE)
		apply_namespace(arg, obj);
}

static void sink_gone(void *arg, enum kb_kind kind, const char *ns_name, const char *name)
{
	struct kb_records *r = arg;
	struct kb_store *st = &r->store;
	const char *ns_text = kind == KB_NAMESPACE ? name : ns_name;
	uint32_t ns = kb_store_find_ns(st, ns_text, strlen(ns_text)), id;

	if (!ns || kind == KB_POD)
		return;
	if (kind == KB_NAMESPACE) {
		if (!kb_store_ns(st, ns)->exists)
			return;
		change_namespace(r, ns, false, NULL);
	} else if (kind == KB_SERVICE) {
		id = kb_store_find_svc(st, ns, name, strlen(name));
		if (!id || !kb_store_svc(st, id)->obj)
			return;
		change_service(r, id, NULL);
	} else {
		id = kb_store_find_slice(st, ns, name);
		if (!id)
			return;
		change_slice(r, id, NULL);
	}
	publish_done(r, kind, 0);
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

/* Removes what the list did not have. */
static void sweep(struct kb_records *r, enum kb_kind kind)
{
	struct kb_store *st = &r->store;
	uint32_t id, mark = r->mark[kind];

	for (id = 1; kind == KB_SERVICE && id <= st->svc.top; id++) {
		if (!kb_store_svc(st, id)->obj || kb_store_svc(st, id)->mark == mark)
			continue;
		change_service(r, id, NULL);
		publish_done(r, kind, 0);
	}
	for (id = 1; kind == KB_SLICE && id <= st->slice.top; id++) {
		if (!kb_store_slice(st, id)->obj || kb_store_slice(st, id)->mark == mark)
			continue;
		change_slice(r, id, NULL);
		publish_done(r, kind, 0);
	}
	for (id = 1; kind == KB_NAMESPACE && id <= st->ns.top; id++) {
		if (!kb_store_ns(st, id)->exists || kb_store_ns(st, id)->mark == mark)
			continue;
		change_namespace(r, id, false, NULL);
		publish_done(r, kind, 0);
	}
}

static void sink_relist_end(void *arg, enum kb_kind kind)
{
	struct kb_records *r = arg;

	sweep(r, kind);
	r->synced[kind] = true;
	if (r->built || !r->synced[KB_SERVICE] || !r->synced[KB_SLICE] || !r->synced[KB_NAMESPACE])
		return;
	kb_publish_all(r);
	if (r->store.n_services || r->store.n_slices)
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

/* --- configuration ---------------------------------------------------------------- */

struct zone_spec {
	struct kb_wire name;
	uint8_t id, flags;
};

/* In the order of their ids; then those that leave. */
static size_t zone_specs(const struct kb_records *r, struct zone_spec specs[KB_ZONES_MAX])
{
	uint8_t reverse = r->reverse_authoritative ? KB_ZONE_ANSWER : 0;
	size_t i, n = 0;

	for (i = 0; i < r->n_domains; i++)
		specs[n++] = (struct zone_spec){r->domain[i].apex, r->domain[i].id, KB_ZONE_ANSWER};
	for (i = 0; i < 2; i++)
		specs[n++] = (struct zone_spec){r->rev_apex[i], r->rev_id[i], reverse};
	for (i = 0; i < r->n_domains; i++) {
		specs[n] = (struct zone_spec){r->domain[i].apex, 0, 0};
		if (kb_wire_prepend(&specs[n].name, "pod", 3) == 0)
			n++;
	}
	return n;
}

static bool has_zone(const struct kb_header *hdr, const struct zone_spec *spec)
{
	size_t i;

	for (i = 0; i < hdr->n_zones; i++)
		if (hdr->zone[i].len == spec->name.len && hdr->zone[i].id == spec->id &&
		    memcmp(hdr->zone[i].name, spec->name.b, spec->name.len) == 0)
			return true;
	return false;
}

static int enter_zones(struct kb_records *r)
{
	const struct kb_header *hdr = kb_table_header(r->table);
	struct zone_spec specs[KB_ZONES_MAX];
	size_t i, n = zone_specs(r, specs);
	int err;

	/* Readers of an adopted table may be at work: the same zones stay as they are. */
	for (i = 0; i < n; i++)
		if (!has_zone(hdr, &specs[i]))
			break;
	if (i == n)
		return 0;
	kb_table_zones_clear(r->table);
	for (i = 0; i < n; i++) {
		err = kb_table_zone_add(r->table, specs[i].name.b, specs[i].name.len, specs[i].id,
					specs[i].flags);
		if (err)
			return err;
	}
	return 0;
}

static int add_domain(struct kb_records *r, const char *text, char *err, size_t err_size)
{
	struct kb_domain *d = &r->domain[r->n_domains];
	struct kb_wire probe;
	size_t i;

	if (kb_wire_parse(text, true, &d->apex)) {
		snprintf(err, err_size, "cluster domain \"%s\" is not a DNS name", text);
		return -EINVAL;
	}
	for (i = 0; i < r->n_domains; i++) {
		if (!kb_wire_equal(&r->domain[i].apex, &d->apex))
			continue;
		snprintf(err, err_size, "cluster domain \"%s\" is given twice", text);
		return -EINVAL;
	}
	d->svc = probe = d->apex;
	if (kb_wire_prepend(&d->svc, "svc", 3) || kb_wire_prepend(&probe, "dns-version", 11)) {
		snprintf(err, err_size, "cluster domain \"%s\" is too long", text);
		return -ENAMETOOLONG;
	}
	d->id = (uint8_t)++r->n_domains;
	return 0;
}

static int add_dns(struct kb_records *r, const char *text, char *err, size_t err_size)
{
	const char *slash = strchr(text, '/');
	struct kb_svc *s;
	size_t i;
	uint32_t svc;

	if (!slash || !kb_label_valid(text, (size_t)(slash - text)) || !valid(slash + 1)) {
		snprintf(err, err_size, "DNS Service \"%s\" is not of the form NAMESPACE/NAME",
			 text);
		return -EINVAL;
	}
	svc = kb_store_get_svc(&r->store, kb_store_get_ns(&r->store, text, (size_t)(slash - text)),
			       slash + 1, strlen(slash + 1));
	for (i = 0; i < r->n_dns; i++)
		if (r->dns[i].svc == svc)
			return 0;
	s = kb_store_svc(&r->store, svc);
	s->dns = s->pinned = true;
	r->dns[r->n_dns++].svc = svc;
	return 0;
}

int kb_records_new(const struct kb_records_config *config, struct kb_table *table,
		   struct kb_records **ret_records, char *err, size_t err_size)
{
	struct kb_records *r = kb_zalloc(1, sizeof(*r));
	size_t i;
	int rc = -EINVAL;

	r->table = table;
	r->reverse_authoritative = config->reverse_authoritative;
	r->ttl_s = config->ttl_s;
	r->intercept = config->intercept;
	r->published = config->published;
	r->synced_cb = config->synced;
	r->warn = config->warn;
	r->now_s = config->now_s;
	r->arg = config->arg;
	kb_store_init(&r->store);
	kb_reverse_init(&r->reverse);
	if (!config->n_domains || config->n_domains > KB_DOMAINS_MAX ||
	    config->n_dns_services > KB_DNS_SERVICES_MAX) {
		snprintf(err, err_size, "1 to %d cluster domains and at most %d DNS Services",
			 KB_DOMAINS_MAX, KB_DNS_SERVICES_MAX);
		goto err;
	}
	for (i = 0; i < config->n_domains; i++) {
		rc = add_domain(r, config->domains[i], err, err_size);
		if (rc)
			goto err;
	}
	kb_wire_parse("in-addr.arpa", true, &r->rev_apex[0]);
	kb_wire_parse("ip6.arpa", true, &r->rev_apex[1]);
	r->rev_id[0] = (uint8_t)(r->n_domains + 1);
	r->rev_id[1] = (uint8_t)(r->n_domains + 2);
	r->misc = kb_store_get_svc(&r->store, kb_store_get_ns(&r->store, "", 0), "", 0);
	kb_store_svc(&r->store, r->misc)->pinned = true;
	for (i = 0; i < config->n_dns_services; i++) {
		rc = add_dns(r, config->dns_services[i], err, err_size);
		if (rc)
			goto err;
	}
	rc = enter_zones(r);
	if (rc) {
		snprintf(err, err_size, "cannot enter the zones: %s", strerror(-rc));
		goto err;
	}
	kb_table_set_ttl(table, r->ttl_s);
	kb_publish_static(r);
	*ret_records = r;
	return 0;
err:
	kb_records_free(r);
	return rc;
}

void kb_records_free(struct kb_records *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n_dns; i++)
		free(r->dns[i].addrs);
	free(r->dns_addrs);
	free(r->icepts);
	free(r->queue);
	kb_svcview_fini(&r->view);
	kb_svcview_fini(&r->target);
	kb_list_fini(&r->before);
	kb_list_fini(&r->other_before);
	kb_list_fini(&r->after);
	kb_list_fini(&r->ptr);
	free(r->revs_before.rev);
	free(r->other_revs.rev);
	free(r->revs_after.rev);
	kb_render_fini(&r->render);
	kb_reverse_fini(&r->reverse);
	kb_store_fini(&r->store);
	free(r);
}

/* --- what others ask ---------------------------------------------------------------- */

void kb_records_retry(struct kb_records *r)
{
	if (r->built)
		kb_publish_retry(r, RETRIES);
}

void kb_records_stats(const struct kb_records *r, struct kb_records_stats *ret_stats)
{
	*ret_stats = (struct kb_records_stats){
		.services = r->store.n_services,
		.slices = r->store.n_slices,
		.namespaces = r->store.n_namespaces,
		.endpoints = r->store.n_endpoints,
		.skipped = r->store.n_skipped,
		.warnings = r->n_warnings,
		.refused = r->n_refused,
		.left = r->n_left,
	};
	memcpy(ret_stats->synced, r->synced, sizeof(ret_stats->synced));
}
