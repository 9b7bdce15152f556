/* SPDX-License-Identifier: Apache-2.0 */
/* Which upstreams the forwarder asks: from options, a Corefile, the kube-dns ConfigMap,
 * resolv.conf. */
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

/* Servers that are ourselves are left out when they come from other sources: they may be right for
 * another node; those that ask us in turn are left out in any case. How many are left. */
static size_t askable(const struct kb_daemon *d, const char *from,
		      const struct kb_upstream_spec *specs, size_t n, struct kb_upstream_spec *ret)
{
	char text[KB_UPSTREAM_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_ourselves(d, &specs[i].at))
			kb_log_warn("%s: %s is our own listen address, skipped", from,
				    kb_format_upstream(&specs[i], text));
		else if (!kb_daemon_is_looping(d, &specs[i]))
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
	struct kb_daemon *d;
	struct kb_routes *routes, *before;
	const char *root_from; /* who has named the root's servers, NULL: nobody yet */
	char *err;
	size_t err_size;
};

/* `domain` is NULL for the root. -EEXIST without a line. */
static int add(struct making *m, const char *from, const char *domain,
	       const struct kb_upstream_spec *specs, size_t n,
	       const struct kb_group_options *options)
{
	int r = kb_routes_add(m->routes, domain, specs, n, options, m->before);

	if (r == 0 && !domain)
		m->root_from = from;
	if (r < 0 && r != -EEXIST)
		snprintf(m->err, m->err_size, "%s%s%s: %s", from, domain ? " " : "",
			 domain ? domain : "",
			 r == -E2BIG ? "more than 1000 stub domains or 64 upstreams in all, give "
				       "fewer"
				     : strerror(-r));
	return r;
}

static int add_option_stubs(struct making *m)
{
	const struct kb_strings *list = &m->d->options.stub_domain;
	struct kb_group_options options = group_options(&m->d->options);
	struct kb_stub stub;
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		r = kb_parse_stub(list->v[i], &stub);
		if (r == 0)
			r = check_given(m->d, "--stub-domain", stub.at, stub.n, m->err,
					m->err_size);
		if (r == 0)
			r = add(m, "--stub-domain", stub.domain, stub.at, stub.n, &options);
		if (r == -EEXIST)
			snprintf(m->err, m->err_size,
				 "--stub-domain %s: given twice, name all its servers in one",
				 stub.domain);
	}
	return r;
}

/* Those that --upstream names. */
static int add_upstreams(struct making *m)
{
	const struct kb_strings *list = &m->d->options.upstream;
	struct kb_group_options options = group_options(&m->d->options);
	struct kb_upstream_spec specs[KB_GROUP_MAX];
	size_t n;
	int r;

	assert(list->n <= KB_GROUP_MAX);
	for (size_t i = 0; i < list->n; i++) {
		r = kb_parse_upstream(list->v[i], &specs[i]);
		assert(r == 0);
	}
	r = check_given(m->d, "--upstream", specs, list->n, m->err, m->err_size);
	if (r < 0 || !list->n)
		return r;
	n = askable(m->d, "--upstream", specs, list->n, specs);
	r = add(m, "--upstream", NULL, specs, n, &options);
	if (r == 0)
		m->routes->root.closed = !n;
	return r;
}

/* Appends the servers of a resolv.conf, as many as fit. */
static size_t append_file(struct kb_daemon *d, const char *path, struct kb_upstream_spec *specs,
			  size_t n)
{
	const struct kb_resolv_conf *conf = kb_daemon_resolv(d, path);

	for (size_t i = 0; i < conf->n && n < KB_GROUP_MAX; i++) {
		memset(&specs[n], 0, sizeof(specs[n]));
		specs[n++].at = conf->at[i];
	}
	return n;
}

/* One domain of another source. What a higher one has said already stays. */
static int add_rule(struct making *m, const char *from, const struct kb_forward_rule *rule)
{
	struct kb_group_options options = rule->options;
	struct kb_upstream_spec specs[KB_GROUP_MAX];
	const char *path = rule->resolv_conf;
	size_t n = rule->n;
	int r;

	if (!*rule->domain && m->root_from)
		return 0;
	if (!rule->has_policy)
		options.policy = (enum kb_policy)m->d->options.upstream_policy;
	if (n)
		memcpy(specs, rule->specs, n * sizeof(*specs));
	/* CoreDNS's pod has the node's under this name. */
	if (path && strcmp(path, "/etc/resolv.conf") == 0)
		path = m->d->options.resolv_conf;
	if (path)
		n = append_file(m->d, path, specs, n);
	n = askable(m->d, from, specs, n, specs);
	r = add(m, from, *rule->domain ? rule->domain : NULL, specs, n, &options);
	if (r == 0 && !*rule->domain)
		m->routes->root.closed = !n;
	return r == -EEXIST ? 0 : r;
}

static int add_rules(struct making *m, const char *from, const struct kb_forward_rules *rules)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->n; i++)
		r = add_rule(m, from, &rules->v[i]);
	return r;
}

static int add_resolv_conf(struct making *m)
{
	const char *path = m->d->options.resolv_conf;
	struct kb_group_options options = group_options(&m->d->options);
	struct kb_upstream_spec specs[KB_GROUP_MAX];
	size_t n = append_file(m->d, path, specs, 0);

	return add(m, path, NULL, specs, askable(m->d, path, specs, n, specs), &options);
}

static void log_routes(const struct making *m)
{
	const struct kb_group *group = &m->routes->root;
	char line[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < group->n && len < sizeof(line) - 1; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, " %s", group->v[i]->text);
	if (group->n)
		kb_log_info("upstreams:%s, from %s; %zu stub domains", line, m->root_from,
			    m->routes->n_stubs);
	else if (!m->root_from)
		kb_log_warn(
			"no upstream: which domains are private is not known yet; names outside "
			"the cluster are SERVFAIL");
	else
		kb_log_warn("no upstream: %s names none that can be asked; names outside the "
			    "cluster and stub domains are %s, give --upstream",
			    m->root_from, group->closed ? "SERVFAIL" : "refused");
}

/* Is it known which domains are private? */
static bool is_known(const struct kb_daemon *d)
{
	return (!d->kube_dns.from || d->kube_dns.known) && (!d->options.corefile || d->rules.known);
}

/*
 * For each domain, the root included, who comes first decides: options, the Corefile, the kube-dns
 * ConfigMap; for the root resolv.conf comes last. As long as it is not known which domains are
 * private, nobody is asked for any but those of options.
 */
static int make_routes(struct making *m)
{
	const struct kb_daemon *d = m->d;
	int r = add_option_stubs(m);

	if (r == 0 && !is_known(d)) {
		m->routes->root.closed = true;
		return 0;
	}
	if (r == 0)
		r = add_upstreams(m);
	if (r == 0)
		r = add_rules(m, d->rules.from, &d->rules.corefile.forward);
	if (r == 0)
		r = add_rules(m, d->kube_dns.from, &d->kube_dns.config.rules);
	if (r == 0 && !m->root_from)
		r = add_resolv_conf(m);
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
	/* Others would have to be learnt anew. */
	if (r < 0 || (m.before && kb_routes_same(m.before, m.routes))) {
		kb_routes_unref(m.routes);
		return r;
	}
	log_routes(&m);
	kb_daemon_loops_again(d);
	kb_responder_set_routes(d->responder, m.routes);
	kb_forward_set_routes(d->forward, m.routes);
	kb_daemon_pcache_void(d);
	return 0;
}

static void deliver(void *arg, uint64_t conn, const uint8_t *msg, size_t len)
{
	struct kb_daemon *d = arg;

	if (d->server)
		kb_server_deliver(d->server, conn, msg, len);
}

static struct kb_cache_config cache_config(struct kb_daemon *d)
{
	const struct kb_options *o = &d->options;
	struct kb_cache_config c = KB_CACHE_DEFAULTS;

	c.bytes = (size_t)o->cache_size;
	c.ttl_max_s = (uint32_t)o->cache_max_ttl_s;
	c.negative_max_s = (uint32_t)o->cache_max_negative_ttl_s;
	c.stale_max_s = (uint32_t)o->serve_stale_s;
	if (!o->prefetch)
		c.prefetch_hits = 0;
	if (d->pcache) {
		c.offer = kb_daemon_pcache_offer;
		c.offer_arg = d;
	}
	return c;
}

int kb_daemon_forward_start(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_cache_config cache = cache_config(d);
	struct kb_forward_config config = {
		.threads = (unsigned int)o->forward_threads,
		.max_concurrent = (unsigned int)o->max_concurrent,
		.udp_max = (uint16_t)o->max_udp_size,
		.cache = o->cache_size ? &cache : NULL,
		.tls_ca = o->tls_ca,
		.random_case = o->use_caps_for_id,
		.log = d->querylog,
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
	r = kb_forward_new(d->loop, &config, &d->forward, err, err_size);
	return r == 0 ? kb_daemon_forward_update(d, err, err_size) : r;
}

void kb_daemon_forward_tick(struct kb_daemon *d)
{
	char err[256] = "";

	if (d->forward && kb_daemon_resolv_changed(d) &&
	    kb_daemon_forward_update(d, err, sizeof(err)) < 0)
		kb_log_error("%s; upstreams stay as they were", err);
}
