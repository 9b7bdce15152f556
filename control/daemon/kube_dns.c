/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kube-dns ConfigMap of --kube-dns-config, followed.
 *
 *   taken over                       its domains and servers are in force
 *   refused, or cannot be read       what was in force stays
 *   there is none from the start     as if it were empty, as kube-dns has it
 *   it is deleted                    what was in force stays: its domains may be private
 *   nothing good has been seen yet   names outside are SERVFAIL: which of them are private is
 *                                    not known
 *
 * Until it has been heard of at all, names of the cluster are left alone too: a stub domain may
 * lie among them. A ConfigMap comes from a source of its own, which an unreadable one does not keep
 * from anything else, and which lives on when records are made anew. A folder is read at start,
 * every POLL_MS and on SIGHUP.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "control/config/rules.h"
#include "control/daemon/daemon.h"
#include "control/log.h"

#define POLL_MS 2000

static void log_warnings(const struct kb_kube_dns *config)
{
	for (size_t i = 0; i < config->n_warnings; i++)
		kb_log_warn("%s", config->warnings[i]);
	if (config->n_more_warnings)
		kb_log_warn("and %zu more of this kind", config->n_more_warnings);
}

/* How many of its domains lie among the cluster's names. */
static size_t n_inside(const struct kb_daemon *d, const struct kb_kube_dns *config)
{
	size_t n = 0;

	for (size_t i = 0; i < config->rules.n; i++) {
		bool apex;

		n += kb_rules_around(&d->rules.now, config->rules.v[i].domain, &apex) && !apex;
	}
	return n;
}

static int check_zones(const struct kb_daemon *d, const struct kb_kube_dns *config, char *err,
		       size_t err_size)
{
	const struct kb_rules *now = &d->rules.now;
	/* Of `now` some may be the former configuration's: no more than it had. */
	size_t room = KB_ZONES_MAX + n_inside(d, &d->kube_dns.config) - now->n_zones;

	for (size_t i = 0; i < config->rules.n; i++) {
		const char *domain = config->rules.v[i].domain;
		bool apex;
		const struct kb_zone_rule *zone = kb_rules_around(now, domain, &apex);

		if (zone && apex && zone->role == KB_ZONE_CLUSTER) {
			snprintf(err, err_size,
				 "%s: stubDomains: %s is the cluster's own domain, remove it",
				 d->kube_dns.from, domain);
			return -EEXIST;
		}
	}
	if (n_inside(d, config) > room) {
		snprintf(err, err_size,
			 "%s: stubDomains: more than %zu of them lie in the cluster's domain or a "
			 "reverse zone, give fewer",
			 d->kube_dns.from, room);
		return -E2BIG;
	}
	return 0;
}

/* Puts it in force; `config` is emptied then. */
static int put_in_force(struct kb_daemon *d, struct kb_kube_dns *config, char *err, size_t err_size)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;
	struct kb_kube_dns before = s->config;
	bool was_known = s->known;
	int r = check_zones(d, config, err, err_size);

	if (r < 0)
		return r;
	s->config = *config;
	s->known = true;
	r = kb_daemon_forward_update(d, err, err_size);
	if (r < 0) {
		s->config = before;
		s->known = was_known;
		return r;
	}
	/* A Corefile may have been refused because of what was in force here. */
	if (n_inside(d, &before) || n_inside(d, &s->config) || *d->rules.error)
		kb_daemon_rules_stubs(d);
	kb_kube_dns_free(&before);
	memset(config, 0, sizeof(*config));
	return 0;
}

static const char *what_now(const struct kb_daemon_kube_dns *s)
{
	if (s->off)
		return "everything is left alone until it has been read";
	return s->known ? "what was in force before stays in force"
			: "names outside the cluster are SERVFAIL until it is mended";
}

static void fail(struct kb_daemon *d, const char *err)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;

	s->stats.failures++;
	snprintf(s->error, sizeof(s->error), "%s", err);
	kb_log_error("%s; %s", err, what_now(s));
}

/* What has been read: data, or without it the error in err. */
static void judge(struct kb_daemon *d, const struct kb_label *data, size_t n, int r, char *err,
		  size_t err_size)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;
	struct kb_kube_dns config = {.n_warnings = 0};

	s->off = NULL;
	if (r == 0)
		r = kb_kube_dns_parse(s->from, data, n, &config, err, err_size);
	if (r == 0)
		log_warnings(&config);
	if (r == 0)
		r = put_in_force(d, &config, err, err_size);
	kb_kube_dns_free(&config);
	if (r < 0) {
		fail(d, err);
	} else {
		s->stats.loads++;
		s->loaded_s = (uint64_t)time(NULL);
		*s->error = '\0';
	}
	kb_daemon_state_update(d);
}

static void on_object(void *arg, const struct kb_object *obj)
{
	struct kb_daemon *d = arg;
	struct kb_daemon_kube_dns *s = &d->kube_dns;
	const struct kb_configmap *c = obj && !obj->bad ? &obj->u.configmap : NULL;
	char err[512] = "";
	int r = 0;

	if (obj && obj->bad) {
		snprintf(err, sizeof(err), "%s: %s", s->from, obj->bad);
		r = -EBADMSG;
	} else if (!obj && s->known && s->config.rules.n) {
		snprintf(err, sizeof(err),
			 "%s: there is no such ConfigMap any more; to take its domains back, make "
			 "one without them",
			 s->from);
		r = -ENOENT;
	} else if (!obj) {
		kb_log_warn("%s: there is no such ConfigMap: as if it were empty", s->from);
	}
	judge(d, c ? c->data : NULL, c ? c->n_data : 0, r, err, sizeof(err));
}

static void read_dir(struct kb_daemon *d)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;
	struct kb_kube_dns_dir dir;
	char err[512] = "";
	int r = kb_kube_dns_dir_read(d->options.kube_dns_config, &dir, err, sizeof(err));

	if (dir.hash != s->hash) {
		s->hash = dir.hash;
		judge(d, dir.data, dir.n, r, err, sizeof(err));
	}
	kb_kube_dns_dir_free(&dir);
}

static void on_timer(uv_timer_t *timer)
{
	struct kb_daemon *d = timer->data;

	if (!d->stopping)
		read_dir(d);
}

static int follow_dir(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;
	int r = uv_timer_init(d->loop, &s->timer);

	s->timer.data = d;
	if (r == 0)
		r = uv_timer_start(&s->timer, on_timer, POLL_MS, POLL_MS);
	if (r < 0)
		snprintf(err, err_size, "timer: %s", strerror(-r));
	return r;
}

/* Everything of the sink but the ConfigMap is never called: nothing else is read. */
static int follow_configmap(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_source_config config = {.snapshot = o->snapshot,
					  .kubeconfig = o->kubeconfig,
					  .configmap = kb_options_configmap(o->kube_dns_config),
					  .configmap_only = true};
	struct kb_sink sink = {.config_object = on_object, .config_arg = d};
	int r = kb_source_new(d->loop, &config, &sink, &d->kube_dns.source, err, err_size);

	return r == 0 ? kb_source_start(d->kube_dns.source, err, err_size) : r;
}

int kb_daemon_kube_dns_init(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;

	s->from = d->options.kube_dns_config;
	if (!s->from)
		return 0;
	s->off = "the ConfigMap of --kube-dns-config has not been read yet";
	return kb_options_configmap(s->from) ? 0 : follow_dir(d, err, err_size);
}

int kb_daemon_kube_dns_start(struct kb_daemon *d, char *err, size_t err_size)
{
	if (!d->kube_dns.from)
		return 0;
	if (kb_options_configmap(d->kube_dns.from))
		return follow_configmap(d, err, err_size);
	read_dir(d);
	return 0;
}

void kb_daemon_kube_dns_reload(struct kb_daemon *d)
{
	char err[512];

	if (!d->kube_dns.from)
		return;
	if (!d->kube_dns.source)
		read_dir(d);
	else if (kb_source_reload(d->kube_dns.source, err, sizeof(err)) < 0)
		kb_log_error("reload: %s; what was loaded before stays in force", err);
}

/* That a ConfigMap is out of reach is not told, but stands in its source's status. */
void kb_daemon_kube_dns_tick(struct kb_daemon *d)
{
	struct kb_daemon_kube_dns *s = &d->kube_dns;
	struct kb_source_kind_status status;

	if (!s->source)
		return;
	kb_source_status(s->source, KB_CONFIGMAP, &status);
	if (strcmp(status.error, s->unreadable) == 0)
		return;
	snprintf(s->unreadable, sizeof(s->unreadable), "%s", status.error);
	if (!*s->unreadable)
		return;
	s->stats.failures++;
	kb_log_limited(KB_LOG_ERROR, 5, "%s: %s, let it be listed and watched; %s", s->from,
		       s->unreadable, what_now(s));
}

const char *kb_daemon_kube_dns_error(const struct kb_daemon *d)
{
	return *d->kube_dns.error ? d->kube_dns.error : d->kube_dns.unreadable;
}

void kb_daemon_kube_dns_fini(struct kb_daemon *d)
{
	kb_kube_dns_free(&d->kube_dns.config);
}
