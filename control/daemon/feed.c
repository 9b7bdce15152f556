/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source and records: made at start, and made again when the rules have changed.
 */
#include <errno.h>
#include <string.h>

#include "control/config/rules.h"
#include "control/daemon/daemon.h"
#include "control/log.h"

static int add_intercepts(struct kb_daemon *d, const struct kb_addr_ports *list, const char *option,
			  char *err, size_t err_size)
{
	for (size_t i = 0; i < list->n; i++) {
		int r = kb_intercepts_add(&d->intercepts, &list->v[i].addr, list->v[i].port);

		if (r < 0) {
			snprintf(err, err_size, "--%s: %s", option, strerror(-r));
			return r;
		}
	}
	return 0;
}

int kb_daemon_intercepts_start(struct kb_daemon *d, char *err, size_t err_size)
{
	int r;

	kb_intercepts_init(&d->intercepts, d->table);
	kb_daemon_local_clear(d);
	r = add_intercepts(d, &d->options.intercept, "intercept", err, err_size);
	/* What is sent to our own sockets from a pod or a NIC need not reach them. */
	if (r == 0)
		r = add_intercepts(d, &d->options.listen, "listen", err, err_size);
	for (size_t i = 0; r == 0 && i < d->options.listen.n; i++)
		r = kb_daemon_pcache_serve(d, &d->options.listen.v[i], KB_ICEPT_FORWARDED);
	for (size_t i = 0; r == 0 && i < d->options.intercept.n; i++)
		kb_daemon_local_add(d, &d->options.intercept.v[i].addr,
				    d->options.intercept.v[i].port);
	return r;
}

static void on_intercept(void *arg, bool add, bool service, const struct kb_addr *addr,
			 uint16_t port)
{
	struct kb_daemon *d = arg;
	int r;

	if (!add) {
		if (service)
			kb_daemon_local_del(d, addr, port);
		kb_intercepts_del(&d->intercepts, addr, port);
		return;
	}
	r = kb_intercepts_add(&d->intercepts, addr, port);
	if (r < 0)
		kb_log_limited(KB_LOG_ERROR, 3,
			       "an address of the cluster DNS cannot be intercepted: %s; queries "
			       "to it are left alone",
			       strerror(-r));
	else if (service)
		kb_daemon_local_add(d, addr, port);
}

static void on_synced(void *arg)
{
	struct kb_daemon *d = arg;
	struct kb_table_stats s;

	d->synced = true;
	kb_intercepts_settle(&d->intercepts);
	kb_table_stats(d->table, &s);
	kb_log_info("synced: %llu names, %llu ms after start", (unsigned long long)s.names,
		    (unsigned long long)(uv_hrtime() / 1000000 - d->started_hr_ms));
	/* From now on whoever adopts the table may ask by which rules it was made. */
	kb_write_once(kb_table_backing(d->table)->header->rules,
		      kb_rules_fingerprint(&d->rules.now));
	if (d->source) {
		kb_daemon_state_update(d);
		kb_daemon_go(d);
	}
}

static void on_warn(void *arg, const char *line)
{
	(void)arg;
	kb_log_limited(KB_LOG_WARN, 20, "%s", line);
}

static int make_records(struct kb_daemon *d, struct kb_records **ret, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_records_config config = {
		.rules = &d->rules.now,
		.n_dns_services = o->dns_service.n,
		.intercept = on_intercept,
		.programmed = kb_daemon_programmed,
		.synced = on_synced,
		.warn = on_warn,
		.arg = d,
	};
	int r;

	for (size_t i = 0; i < o->dns_service.n; i++)
		config.dns_services[i] = o->dns_service.v[i];
	r = kb_records_new(&config, d->table, ret, err, err_size);
	/* Answers of before are no good in other zones. */
	if (r == 0 && kb_records_rezoned(*ret))
		d->fresh = false;
	if (!d->fresh)
		kb_write_once(kb_table_backing(d->table)->header->rules, 0);
	return r;
}

static int make_source(struct kb_daemon *d, struct kb_records *records, struct kb_source **ret,
		       char *err, size_t err_size)
{
	struct kb_source_config config = {.snapshot = d->options.snapshot,
					  .kubeconfig = d->options.kubeconfig};
	struct kb_sink sink;

	kb_records_sink(records, &sink);
	kb_daemon_rules_source(d, &config, &sink);
	return kb_source_new(d->loop, &config, &sink, ret, err, err_size);
}

int kb_daemon_records_start(struct kb_daemon *d, char *err, size_t err_size)
{
	return make_records(d, &d->records, err, err_size);
}

void kb_daemon_add_cure(char *err, size_t err_size, const char *cure)
{
	size_t len = strlen(err);

	snprintf(err + len, err_size - len, ", %s", cure);
}

int kb_daemon_source_start(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	int r = make_source(d, d->records, &d->source, err, err_size);

	if (r == 0) {
		kb_log_info("source: %s", kb_source_name(d->source));
		r = kb_source_start(d->source, err, err_size);
	}
	if (r < 0 && (o->snapshot || o->kubeconfig))
		kb_daemon_add_cure(err, err_size,
				   o->snapshot ? "check --snapshot" : "check --kubeconfig");
	return r;
}

/*
 * The state goes first, and a grace period passes: no reader is then in the middle of an answer by
 * the rules of before. Until the new records have synced, everything is left alone.
 */
int kb_daemon_feed_again(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_backing *backing = kb_table_backing(d->table);
	struct kb_records *records = NULL;
	struct kb_source *source = NULL;
	int r;

	d->synced = false;
	d->fresh = false;
	kb_daemon_state_update(d);
	kb_daemon_pcache_void(d);
	backing->grace(backing->arg);
	kb_intercepts_fini(&d->intercepts);
	r = kb_daemon_intercepts_start(d, err, err_size);
	if (r == 0)
		r = make_records(d, &records, err, err_size);
	if (r == 0)
		r = make_source(d, records, &source, err, err_size);
	if (r < 0) {
		kb_records_free(records);
		return r;
	}
	kb_source_free(d->source);
	kb_records_free(d->records);
	d->source = source;
	d->records = records;
	kb_responder_set_records(d->responder, records);
	return kb_source_start(d->source, err, err_size);
}
