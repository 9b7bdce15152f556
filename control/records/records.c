/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, zones, and what others ask. */
#include "control/records/records.h"

#include <errno.h>
#include <string.h>

#include "control/records/alloc.h"
#include "control/records/internal.h"

/* Services and namespaces that one call of kb_records_retry tries at most. */
#define RETRIES 64

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

	if (!slash || !kb_label_valid(text, (size_t)(slash - text)) ||
	    !kb_label_valid(slash + 1, strlen(slash + 1))) {
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
