/* SPDX-License-Identifier: Apache-2.0 */
/* Which upstreams the forwarder asks: from options, the kube-dns ConfigMap, and resolv.conf. */
#include "control/daemon/daemon.h"

#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "control/log.h"

static bool same_addr(const struct kb_addr *a, const struct kb_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, a->family == 6 ? 16 : 4) == 0;
}

static bool is_zero(const struct kb_addr *a)
{
	static const struct kb_addr zero;

	return memcmp(a->b, zero.b, sizeof(a->b)) == 0;
}

/* One of this node's own addresses? */
static bool is_local(const struct kb_addr *a)
{
	struct ifaddrs *list, *i;
	bool found = a->family == 4 && a->b[0] == 127;

	if (found || getifaddrs(&list) < 0)
		return found;
	for (i = list; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		if (a->family == 4 && i->ifa_addr->sa_family == AF_INET)
			found = memcmp(&((struct sockaddr_in *)i->ifa_addr)->sin_addr, a->b, 4) ==
				0;
		else if (a->family == 6 && i->ifa_addr->sa_family == AF_INET6)
			found = memcmp(&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, a->b,
				       16) == 0;
	}
	freeifaddrs(list);
	return found;
}

/* Would a query to this address come back to us? */
static bool is_ourselves(const struct kb_daemon *d, const struct kb_addr_port *at)
{
	const struct kb_addr_ports *listen = &d->options.listen;

	for (size_t i = 0; i < listen->n; i++) {
		const struct kb_addr_port *l = &listen->v[i];

		if (l->port != at->port || l->addr.family != at->addr.family)
			continue;
		if (same_addr(&l->addr, &at->addr) || (is_zero(&l->addr) && is_local(&at->addr)))
			return true;
	}
	return false;
}

/* Servers of options may not be ourselves: that is said at the start. */
static int check_given(const struct kb_daemon *d, const char *option,
		       const struct kb_upstream_spec *specs, size_t n, char *err, size_t err_size)
{
	char text[KB_UPSTREAM_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		if (!is_ourselves(d, &specs[i].at))
			continue;
		snprintf(err, err_size,
			 "%s %s: this is our own --listen address, name another server", option,
			 kb_format_upstream(&specs[i], text));
		return -ELOOP;
	}
	return 0;
}

/* Those of other sources are left out: they may be right for another node. How many are left. */
static size_t without_ourselves(const struct kb_daemon *d, const char *from,
				const struct kb_upstream_spec *specs, size_t n,
				struct kb_upstream_spec *ret)
{
	char text[KB_UPSTREAM_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_ourselves(d, &specs[i].at))
			kb_log_warn("%s: %s is our own listen address, skipped", from,
				    kb_format_upstream(&specs[i], text));
		else
			ret[kept++] = specs[i];
	}
	return kept;
}

static struct kb_group_options group_options(const struct kb_options *o)
{
	struct kb_group_options g = KB_GROUP_DEFAULTS;

	g.policy = (enum kb_policy)o->upstream_policy;
	return g;
}

/* Routes that are being made. */
struct making {
	const struct kb_daemon *d;
	struct kb_routes *routes, *before;
	char *err;
	size_t err_size;
};

/* -EEXIST without a line. */
static int add(const struct making *m, const char *from, const char *domain,
	       const struct kb_upstream_spec *specs, size_t n)
{
	struct kb_group_options options = group_options(&m->d->options);
	int r = kb_routes_add(m->routes, domain, specs, n, &options, m->before);

	if (r < 0 && r != -EEXIST)
		snprintf(m->err, m->err_size, "%s%s%s: %s", from, domain ? " " : "",
			 domain ? domain : "",
			 r == -E2BIG ? "more than 1000 stub domains or 64 upstreams in all, give "
				       "fewer"
				     : strerror(-r));
	return r;
}

static int add_option_stubs(const struct making *m)
{
	const struct kb_strings *list = &m->d->options.stub_domain;
	struct kb_stub stub;
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		r = kb_parse_stub(list->v[i], &stub);
		if (r == 0)
			r = check_given(m->d, "--stub-domain", stub.at, stub.n, m->err,
					m->err_size);
		if (r == 0)
			r = add(m, "--stub-domain", stub.domain, stub.at, stub.n);
		if (r == -EEXIST)
			snprintf(m->err, m->err_size,
				 "--stub-domain %s: given twice, name all its servers in one",
				 stub.domain);
	}
	return r;
}

/* What a higher source has said already stays. */
static int add_rules(const struct making *m, const char *from, const struct kb_forward_rules *rules)
{
	struct kb_upstream_spec specs[KB_GROUP_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->n; i++) {
		const struct kb_forward_rule *rule = &rules->v[i];

		if (!*rule->domain)
			continue;
		r = add(m, from, rule->domain, specs,
			without_ourselves(m->d, from, rule->specs, rule->n, specs));
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

/* Those that --upstream names. */
static int add_given(const struct making *m)
{
	const struct kb_strings *list = &m->d->options.upstream;
	struct kb_upstream_spec specs[KB_GROUP_MAX];
	int r;

	assert(list->n <= KB_GROUP_MAX);
	for (size_t i = 0; i < list->n; i++) {
		r = kb_parse_upstream(list->v[i], &specs[i]);
		assert(r == 0);
	}
	r = check_given(m->d, "--upstream", specs, list->n, m->err, m->err_size);
	return r < 0 ? r : add(m, "--upstream", NULL, specs, list->n);
}

static int add_resolv_conf(const struct making *m)
{
	const struct kb_resolv_conf *conf = &m->d->resolv_conf;
	struct kb_upstream_spec specs[KB_GROUP_MAX] = {0};

	for (size_t i = 0; i < conf->n; i++)
		specs[i].at = conf->at[i];
	return add(m, m->d->options.resolv_conf, NULL, specs,
		   without_ourselves(m->d, m->d->options.resolv_conf, specs, conf->n, specs));
}

/* Who is asked for names in no stub domain; *ret_from says so. */
static int add_default(const struct making *m, const char **ret_from)
{
	const struct kb_daemon *d = m->d;
	const struct kb_forward_rule *root = kb_forward_rules_find(&d->kube_dns.config.rules, "");
	struct kb_upstream_spec specs[KB_GROUP_MAX];

	if (d->options.upstream.n) {
		*ret_from = "--upstream";
		return add_given(m);
	}
	if (root) {
		*ret_from = d->kube_dns.from;
		return add(m, *ret_from, NULL, specs,
			   without_ourselves(d, *ret_from, root->specs, root->n, specs));
	}
	*ret_from = d->options.resolv_conf;
	return add_resolv_conf(m);
}

static void log_routes(const struct kb_routes *routes, const char *from)
{
	const struct kb_group *group = &routes->root;
	char line[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < group->n && len < sizeof(line) - 1; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, " %s", group->v[i]->text);
	if (group->n)
		kb_log_info("upstreams:%s, from %s; %zu stub domains", line, from, routes->n_stubs);
	else
		kb_log_warn("no upstream: %s names none; names outside the cluster and stub "
			    "domains are refused, give --upstream",
			    from);
}

/*
 * For each domain, the root included, who comes first decides: options, then the kube-dns
 * ConfigMap; for the root resolv.conf comes last. As long as it is not known which domains are
 * private, nobody is asked for any but those of options.
 */
static int make_routes(const struct making *m)
{
	const struct kb_daemon_kube_dns *kube_dns = &m->d->kube_dns;
	const char *from;
	int r = add_option_stubs(m);

	if (r == 0 && kube_dns->from && !kube_dns->known) {
		m->routes->root.closed = true;
		return 0;
	}
	if (r == 0)
		r = add_rules(m, kube_dns->from, &kube_dns->config.rules);
	if (r == 0)
		r = add_default(m, &from);
	if (r == 0)
		log_routes(m->routes, from);
	return r;
}

int kb_daemon_forward_update(struct kb_daemon *d, char *err, size_t err_size)
{
	struct making m = {.d = d, .err = err, .err_size = err_size};
	int r;

	if (!d->forward)
		return 0;
	m.before = kb_forward_routes(d->forward);
	r = kb_routes_new(&m.routes);
	if (r < 0)
		snprintf(err, err_size, "upstreams: %s", strerror(-r));
	else
		r = make_routes(&m);
	if (r < 0) {
		kb_routes_unref(m.routes);
		return r;
	}
	kb_responder_set_routes(d->responder, m.routes);
	kb_forward_set_routes(d->forward, m.routes);
	return 0;
}

static void deliver(void *arg, uint64_t conn, const uint8_t *msg, size_t len)
{
	struct kb_daemon *d = arg;

	if (d->server)
		kb_server_deliver(d->server, conn, msg, len);
}

static int read_resolv_conf(struct kb_daemon *d)
{
	int r = kb_resolv_conf_read(d->options.resolv_conf, &d->resolv_conf);

	if (r < 0)
		kb_log_warn("%s: %s, check --resolv-conf", d->options.resolv_conf, strerror(-r));
	return r;
}

static struct kb_cache_config cache_config(const struct kb_options *o)
{
	struct kb_cache_config c = KB_CACHE_DEFAULTS;

	c.bytes = (size_t)o->cache_size;
	c.ttl_max_s = (uint32_t)o->cache_max_ttl_s;
	c.negative_max_s = (uint32_t)o->cache_max_negative_ttl_s;
	c.stale_max_s = (uint32_t)o->serve_stale_s;
	if (!o->prefetch)
		c.prefetch_hits = 0;
	return c;
}

int kb_daemon_forward_start(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_cache_config cache = cache_config(o);
	struct kb_forward_config config = {
		.threads = (unsigned int)o->forward_threads,
		.max_concurrent = (unsigned int)o->max_concurrent,
		.udp_max = (uint16_t)o->max_udp_size,
		.cache = o->cache_size ? &cache : NULL,
		.tls_ca = o->tls_ca,
		.deliver = deliver,
		.arg = d,
	};
	int r;

	if (!o->forward)
		return 0;
	if (o->cache_size && o->cache_size < KB_CACHE_BYTES_MIN) {
		snprintf(err, err_size, "--cache-size: give at least 256K, or 0 for no cache");
		return -EINVAL;
	}
	if (!o->upstream.n)
		read_resolv_conf(d);
	r = kb_forward_new(d->loop, &config, &d->forward, err, err_size);
	return r == 0 ? kb_daemon_forward_update(d, err, err_size) : r;
}

void kb_daemon_forward_tick(struct kb_daemon *d)
{
	struct kb_resolv_conf before = d->resolv_conf;
	char err[256] = "";

	if (!d->forward || d->options.upstream.n ||
	    !kb_resolv_conf_changed(d->options.resolv_conf, &d->resolv_conf))
		return;
	if (read_resolv_conf(d) < 0)
		return;
	if (!d->resolv_conf.n && before.n) {
		kb_log_warn("%s names no server any more; those of before stay in force",
			    d->options.resolv_conf);
		before.seen = d->resolv_conf.seen;
		d->resolv_conf = before;
		return;
	}
	if (kb_daemon_forward_update(d, err, sizeof(err)) < 0)
		kb_log_error("%s; upstreams stay as they were", err);
}
