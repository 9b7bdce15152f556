/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, and what others ask. */
#include "control/records/records.h"

#include <errno.h>
#include <string.h>

#include "control/records/alloc.h"
#include "control/records/internal.h"

/* Services and namespaces that one call of kb_records_retry tries at most. */
#define RETRIES 64

/* --- configuration ---------------------------------------------------------------- */

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
		if (r->dns[i] == svc)
			return 0;
	s = kb_store_svc(&r->store, svc);
	s->dns = s->pinned = true;
	r->dns[r->n_dns++] = svc;
	return 0;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int take_rules(struct kb_records *r, const struct kb_rules *rules, char *err,
		      size_t err_size)
{
	size_t i;
	int rc;

	r->pods_mode = rules->pods;
	r->store.pod_names = rules->endpoint_pod_names;
	r->store.ignore_empty = rules->ignore_empty;
	r->store.ptr_hidden = rules->n_namespaces > 0;
	r->needed[KB_SERVICE] = r->needed[KB_NAMESPACE] = true;
	r->needed[KB_SLICE] = !rules->no_endpoints;
	r->needed[KB_POD] = rules->pods == KB_PODS_VERIFIED;
	r->namespaces = kb_zalloc(rules->n_namespaces, sizeof(*r->namespaces));
	for (i = 0; i < rules->n_namespaces; i++) {
		size_t size = strlen(rules->namespaces[i]) + 1;

		r->namespaces[i] = kb_zalloc(size, 1);
		memcpy(r->namespaces[i], rules->namespaces[i], size);
	}
	r->n_namespaces = rules->n_namespaces;
	if (r->n_namespaces)
		qsort(r->namespaces, r->n_namespaces, sizeof(*r->namespaces), name_compare);
	rc = kb_zones_init(&r->zones, rules, err, err_size);
	if (rc || !rules->namespace_labels)
		return rc;
	return kb_selector_parse(rules->namespace_labels, &r->ns_labels, err, err_size);
}

int kb_records_new(const struct kb_records_config *config, struct kb_table *table,
		   struct kb_records **ret_records, char *err, size_t err_size)
{
	struct kb_records *r = kb_zalloc(1, sizeof(*r));
	size_t i;
	int rc = -EINVAL;

	r->table = table;
	r->intercept = config->intercept;
	r->programmed = config->programmed;
	r->synced_cb = config->synced;
	r->warn = config->warn;
	r->now_s = config->now_s;
	r->arg = config->arg;
	kb_store_init(&r->store);
	kb_reverse_init(&r->reverse);
	kb_pods_init(&r->pods);
	if (config->n_dns_services > KB_DNS_SERVICES_MAX) {
		snprintf(err, err_size, "at most %d DNS Services", KB_DNS_SERVICES_MAX);
		goto err;
	}
	rc = take_rules(r, config->rules, err, err_size);
	if (rc)
		goto err;
	r->misc = kb_store_get_svc(&r->store, kb_store_get_ns(&r->store, "", 0), "", 0);
	kb_store_svc(&r->store, r->misc)->pinned = true;
	for (i = 0; i < config->n_dns_services; i++) {
		rc = add_dns(r, config->dns_services[i], err, err_size);
		if (rc)
			goto err;
	}
	kb_table_mark(table);
	rc = kb_zones_enter(&r->zones, table, &r->rezoned);
	if (rc) {
		snprintf(err, err_size, "cannot enter the zones: %s", strerror(-rc));
		goto err;
	}
	kb_table_refusals_clear(table);
	kb_table_set_ttl(table, config->rules->ttl_s);
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
	for (i = 0; i < r->n_namespaces; i++)
		free(r->namespaces[i]);
	free(r->namespaces);
	kb_selector_free(r->ns_labels);
	free(r->dns_addrs);
	free(r->icepts);
	free(r->queue);
	kb_svcview_fini(&r->view);
	kb_svcview_fini(&r->target);
	kb_svcview_fini(&r->dns_view);
	kb_list_fini(&r->before);
	kb_list_fini(&r->other_before);
	kb_list_fini(&r->after);
	kb_list_fini(&r->ptr);
	free(r->revs_before.rev);
	free(r->other_revs.rev);
	free(r->revs_after.rev);
	kb_render_fini(&r->render);
	kb_reverse_fini(&r->reverse);
	kb_pods_fini(&r->pods);
	kb_zones_fini(&r->zones);
	kb_store_fini(&r->store);
	free(r);
}

/* --- what others ask ---------------------------------------------------------------- */

bool kb_records_rezoned(const struct kb_records *r)
{
	return r->rezoned;
}

void kb_records_retry(struct kb_records *r)
{
	if (r->built)
		kb_publish_retry(r, RETRIES, UINT32_MAX);
}

void kb_records_stats(const struct kb_records *r, struct kb_records_stats *ret_stats)
{
	*ret_stats = (struct kb_records_stats){
		.services = r->store.n_services,
		.slices = r->store.n_slices,
		.namespaces = r->store.n_namespaces,
		.pods = r->pods.nodes.used,
		.endpoints = r->store.n_endpoints,
		.skipped = r->store.n_skipped,
		.warnings = r->n_warnings,
		.refused = r->n_refused,
		.left = r->n_left,
	};
	memcpy(ret_stats->synced, r->synced, sizeof(ret_stats->synced));
}
