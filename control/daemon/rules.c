/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rules are in force: those of the options, or of a Corefile that is followed.
 *
 *   unchanged text                   nothing
 *   other text, same rules           noted; a TTL is set live
 *   other rules                      OFF; records and source are made anew; FULL when synced
 *   no zone left to answer           OFF
 *   text that CoreDNS refuses too    what was in force stays, as in CoreDNS
 *   text that cannot be followed     OFF: CoreDNS may answer by it, and we cannot
 *   cannot be read                   what was in force stays
 *   more servers than we can ask     what was in force stays
 *
 * A ConfigMap comes from the source. Before it has come, everything is left alone.
 *
 * A file is looked at every POLL_MS and on SIGHUP: it is read whole, with its imports, and told by
 * a hash. That also sees what no notification tells, such as the symbolic links by which
 * ConfigMaps are mounted, or an import that matches a new file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/config/rules.h"
#include "control/daemon/daemon.h"
#include "control/log.h"

#define POLL_MS	     2000
#define COREFILE_KEY "Corefile"
/* In place of a text's hash when there is none; no text's hash in practice. */
#define HASH_NONE 1

static bool has_cluster_zone(const struct kb_rules *rules)
{
	for (size_t i = 0; i < rules->n_zones; i++) {
		if (rules->zones[i].role == KB_ZONE_CLUSTER)
			return true;
	}
	return false;
}

const struct kb_rules *kb_daemon_rules_shown(const struct kb_daemon *d)
{
	const struct kb_daemon_rules *s = &d->rules;

	return s->corefile.rules.n_zones ? &s->corefile.rules : &s->now;
}

static void log_notes(const struct kb_daemon *d, const struct kb_corefile *c)
{
	for (size_t i = 0; i < c->n_notes; i++) {
		const struct kb_corefile_note *n = &c->notes[i];

		if (n->verdict == KB_COREFILE_LEFT)
			kb_log_limited(KB_LOG_WARN, 20, "%s:%u: %s: leaves %s alone: %s", n->file,
				       n->line, n->what, n->zone ? n->zone : "its names", n->why);
		else if (n->verdict == KB_COREFILE_CLOSED && d->forward)
			kb_log_limited(KB_LOG_WARN, 20, "%s:%u: %s: %s is SERVFAIL at --listen: %s",
				       n->file, n->line, n->what, n->zone, n->why);
		else if (n->verdict == KB_COREFILE_UNAPPLIED && d->options.listen.n)
			kb_log_limited(KB_LOG_WARN, 20, "%s:%u: %s: %s", n->file, n->line, n->what,
				       n->why);
	}
}

void kb_daemon_rules_blocks(struct kb_daemon *d)
{
	const struct kb_corefile *c = &d->rules.corefile;
	struct kb_blocks *blocks = NULL;
	int r = c->n_blocks ? kb_blocks_new(c->blocks, c->n_blocks, &blocks) : 0;

	if (r < 0) {
		kb_log_error("%s: hosts and rewrite: %s; what was in force before stays in force",
			     d->rules.from, strerror(-r));
		return;
	}
	if (d->responder)
		kb_responder_set_blocks(d->responder, blocks);
	if (d->server)
		kb_server_blocks_changed(d->server);
	kb_blocks_unref(blocks);
	if (!blocks && !d->rules.has_blocks)
		return;
	d->rules.has_blocks = blocks != NULL;
	/* The packet path may have names that are touched from now on, and the forwarder's cache
	 * would go on offering them. */
	if (d->forward)
		kb_forward_forget(d->forward);
	kb_daemon_pcache_void(d);
}

/* Takes over what has been read; `c` is emptied. Says whether records have to be made anew. */
static bool take_over(struct kb_daemon *d, struct kb_corefile *c)
{
	struct kb_daemon_rules *s = &d->rules;
	bool again;

	log_notes(d, c);
	kb_corefile_free(&s->corefile);
	s->corefile = *c;
	memset(c, 0, sizeof(*c));
	s->loaded_s = (uint64_t)time(NULL);
	s->stats.loads++;
	*s->error = '\0';
	kb_daemon_rules_blocks(d);
	if (!has_cluster_zone(&s->corefile.rules)) {
		s->off = "the Corefile leaves no zone that kbdns may answer";
		return false;
	}
	s->off = NULL;
	kb_options_default_ttl(&d->options, s->corefile.rules.ttl_s);
	s->corefile.rules.ttl_s = (uint32_t)d->options.ttl_s;
	again = !kb_rules_same(&s->now, &s->corefile.rules);
	kb_rules_free(&s->now);
	s->now = s->corefile.rules;
	memset(&s->corefile.rules, 0, sizeof(s->corefile.rules));
	return again;
}

/* Its forward directives come into force, or it does not at all. */
static int put_routes(struct kb_daemon *d, const struct kb_corefile *c, char *err, size_t err_size)
{
	struct kb_daemon_rules *s = &d->rules;
	struct kb_forward_rules before = s->corefile.forward;
	bool was_known = s->known;
	int r;

	s->corefile.forward = c->forward;
	s->known = true;
	r = kb_daemon_forward_update(d, err, err_size);
	s->corefile.forward = before; /* until the whole is taken over */
	if (r < 0)
		s->known = was_known;
	return r;
}

static void fail(struct kb_daemon *d, int r, const char *err)
{
	struct kb_daemon_rules *s = &d->rules;

	snprintf(s->error, sizeof(s->error), "%s", err);
	s->stats.failures++;
	if (r == -EOPNOTSUPP || r == -ENOMEM) {
		s->off = "the Corefile cannot be followed";
		kb_log_error("%s; everything is left alone until it can be followed", err);
	} else {
		kb_log_error("%s; what was in force before stays in force", err);
	}
}

/* What a read that gave r and err means for the rules. */
static void judge(struct kb_daemon *d, struct kb_corefile *c, int r, char *err, size_t err_size)
{
	struct kb_daemon_rules *s = &d->rules;

	if (c->hash == s->hash)
		return;
	s->hash = c->hash;
	if (r == 0)
		r = put_routes(d, c, err, err_size);
	if (r < 0) {
		fail(d, r, err);
	} else if (take_over(d, c)) {
		kb_log_info("%s: other rules: records are made anew", s->from);
		s->again = true;
		d->synced = false; /* before the state is looked at again */
		d->fresh = false;
	} else {
		kb_log_info("%s: %s", s->from, s->off ? s->off : "read again, same rules");
	}
	kb_daemon_apply_tunables(d);
}

/* Domains with servers of their own, in zones that are ours. */
static int add_stubs(const struct kb_daemon *d, struct kb_rules *rules, char *err, size_t err_size)
{
	const char *domain;
	int r = kb_rules_add_stubs(rules, &d->options, err, err_size);

	if (r < 0)
		return r;
	r = kb_rules_add_domains(rules, &d->kube_dns.config.rules, &domain);
	if (r == -EEXIST)
		snprintf(err, err_size, "%s: %s is a stub domain of %s, too; give another one",
			 d->rules.from, domain, d->kube_dns.from);
	else if (r < 0)
		snprintf(err, err_size, "%s: %s", d->rules.from, strerror(-r));
	return r;
}

/* The file as it is now, or the ConfigMap's text as it came. */
static int read_now(struct kb_daemon *d, struct kb_corefile *c, char *err, size_t err_size)
{
	const struct kb_daemon_rules *s = &d->rules;
	bool is_file = !kb_options_configmap(d->options.corefile);
	int r;

	if (is_file || s->text) {
		r = is_file ? kb_corefile_read(d->options.corefile, &s->corefile, c, err, err_size)
			    : kb_corefile_parse(s->from, s->text, strlen(s->text), c, err,
						err_size);
		return r < 0 ? r : add_stubs(d, &c->rules, err, err_size);
	}
	memset(c, 0, sizeof(*c));
	c->hash = HASH_NONE;
	snprintf(err, err_size, "%s: there is no such ConfigMap, or it has no key " COREFILE_KEY,
		 s->from);
	return -ENOENT;
}

/* The options' rules, which only the stub domains of others change. */
static void make_again(struct kb_daemon *d)
{
	struct kb_rules rules = {0};
	char err[512] = "";
	int r = kb_rules_from_options(&d->options, &rules, err, sizeof(err));

	if (r == 0)
		r = add_stubs(d, &rules, err, sizeof(err));
	if (r < 0) {
		kb_log_error("%s; what was in force before stays in force", err);
	} else if (!kb_rules_same(&d->rules.now, &rules)) {
		struct kb_rules before = d->rules.now;

		d->rules.now = rules;
		rules = before;
		d->rules.again = true;
		d->synced = false; /* before the state is looked at again */
		d->fresh = false;
		kb_log_info("other stub domains among the cluster's names: records are made anew");
	}
	kb_rules_free(&rules);
}

void kb_daemon_rules_reload(struct kb_daemon *d)
{
	struct kb_corefile c;
	char err[1024] = "";
	int r;

	if (!d->options.corefile) {
		make_again(d);
	} else if (d->rules.arrived || !kb_options_configmap(d->options.corefile)) {
		r = read_now(d, &c, err, sizeof(err));
		judge(d, &c, r, err, sizeof(err));
		kb_corefile_free(&c);
	}
	if (!d->rules.again)
		return;
	r = kb_daemon_feed_again(d, err, sizeof(err));
	if (r < 0) /* the timer tries it again */
		kb_log_limited(KB_LOG_ERROR, 3, "%s; everything is left alone until it can be done",
			       err);
	d->rules.again = r < 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct kb_daemon *d = timer->data;

	if (!d->stopping)
		kb_daemon_rules_reload(d);
}

void kb_daemon_rules_stubs(struct kb_daemon *d)
{
	d->rules.hash = 0; /* the same text has to be looked at again */
	if (uv_is_active((uv_handle_t *)&d->rules.timer))
		uv_timer_start(&d->rules.timer, on_timer, 0, POLL_MS);
}

/* From within the source, which may have to be made anew: only notes it. */
static void on_config(void *arg, const char *text)
{
	struct kb_daemon *d = arg;

	free(d->rules.text);
	d->rules.text = text ? strdup(text) : NULL;
	if (text && !d->rules.text)
		kb_log_error("%s: out of memory", d->rules.from);
	else
		d->rules.arrived = true;
	uv_timer_start(&d->rules.timer, on_timer, 0, POLL_MS);
}

void kb_daemon_rules_source(struct kb_daemon *d, struct kb_source_config *config,
			    struct kb_sink *sink)
{
	const struct kb_rules *rules = &d->rules.now;

	config->no_endpoints = rules->no_endpoints;
	config->pods = rules->pods == KB_PODS_VERIFIED;
	config->labels = rules->labels;
	config->configmap = kb_options_configmap(d->options.corefile);
	if (!config->configmap)
		return;
	config->configmap_key = COREFILE_KEY;
	sink->config = on_config;
	sink->config_arg = d;
}

static int read_at_start(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_corefile c;
	int r = kb_corefile_read(d->options.corefile, NULL, &c, err, err_size);

	d->rules.hash = c.hash;
	if (r == 0) {
		d->rules.known = true;
		take_over(d, &c);
		if (d->rules.off)
			kb_log_warn("%s: %s", d->rules.from, d->rules.off);
	}
	kb_corefile_free(&c);
	return r;
}

int kb_daemon_rules_init(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_rules *s = &d->rules;
	int r;

	s->from = d->options.corefile ? d->options.corefile : "options";
	s->loaded_s = (uint64_t)time(NULL);
	/* With a Corefile, only until it has been read. */
	r = kb_rules_from_options(&d->options, &s->now, err, err_size);
	if (r < 0)
		return r;
	if (!d->options.corefile) {
		s->stats.loads++;
		kb_options_default_ttl(&d->options, s->now.ttl_s);
		s->now.ttl_s = (uint32_t)d->options.ttl_s;
	}
	if (!d->options.corefile && !d->options.kube_dns_config)
		return 0;
	r = uv_timer_init(d->loop, &s->timer);
	if (r == 0) {
		s->timer.data = d;
		r = uv_timer_start(&s->timer, on_timer, POLL_MS, POLL_MS);
	}
	if (r < 0) {
		snprintf(err, err_size, "timer: %s", strerror(-r));
		return r;
	}
	if (!d->options.corefile)
		return 0;
	if (!kb_options_configmap(d->options.corefile))
		return read_at_start(d, err, err_size);
	s->off = "the ConfigMap of --corefile has not been read yet";
	return 0;
}

void kb_daemon_rules_fini(struct kb_daemon *d)
{
	kb_rules_free(&d->rules.now);
	kb_corefile_free(&d->rules.corefile);
	free(d->rules.text);
	d->rules.text = NULL;
}
