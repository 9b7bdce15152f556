/* SPDX-License-Identifier: Apache-2.0 */
/* Which upstreams the forwarder asks: from options, or from resolv.conf as it is now. */
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

/* Servers that were given may not be ourselves; those of resolv.conf may, and are skipped. */
static int check_given(const struct kb_daemon *d, const char *option,
		       const struct kb_upstream_spec *specs, size_t n, char *err, size_t err_size)
{
	char text[KB_UPSTREAM_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		kb_format_upstream(&specs[i], text);
		if (is_ourselves(d, &specs[i].at)) {
			snprintf(err, err_size,
				 "%s %s: this is our own --listen address, name another server",
				 option, text);
			return -ELOOP;
		}
		if (specs[i].tls) {
			snprintf(err, err_size,
				 "%s %s: this kbdnsd has no DNS over TLS, give a plain address",
				 option, text);
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

static struct kb_group_options group_options(const struct kb_options *o)
{
	struct kb_group_options g = KB_GROUP_DEFAULTS;

	g.policy = (enum kb_policy)o->upstream_policy;
	return g;
}

static int add_stubs(const struct kb_daemon *d, struct kb_routes *routes, struct kb_routes *before,
		     char *err, size_t err_size)
{
	const struct kb_strings *list = &d->options.stub_domain;
	struct kb_group_options group = group_options(&d->options);
	struct kb_stub stub;
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		r = kb_parse_stub(list->v[i], &stub);
		if (r == 0)
			r = check_given(d, "--stub-domain", stub.at, stub.n, err, err_size);
		if (r < 0)
			return r;
		r = kb_routes_add(routes, stub.domain, stub.at, stub.n, &group, before);
		if (r < 0)
			snprintf(err, err_size, "--stub-domain %s: %s", stub.domain,
				 r == -EEXIST  ? "given twice, name all its servers in one"
				 : r == -E2BIG ? "too many upstreams in all, at most 64"
					       : strerror(-r));
	}
	return r;
}

/* Those that --upstream names. */
static int add_given(const struct kb_daemon *d, struct kb_routes *routes, struct kb_routes *before,
		     char *err, size_t err_size)
{
	const struct kb_strings *list = &d->options.upstream;
	struct kb_group_options group = group_options(&d->options);
	struct kb_upstream_spec specs[KB_GROUP_MAX];
	int r;

	assert(list->n <= KB_GROUP_MAX);
	for (size_t i = 0; i < list->n; i++) {
		r = kb_parse_upstream(list->v[i], &specs[i]);
		assert(r == 0);
	}
	r = check_given(d, "--upstream", specs, list->n, err, err_size);
	if (r < 0)
		return r;
	r = kb_routes_add(routes, NULL, specs, list->n, &group, before);
	if (r < 0)
		snprintf(err, err_size, "--upstream: %s", strerror(-r));
	return r;
}

static int add_resolv_conf(const struct kb_daemon *d, struct kb_routes *routes,
			   struct kb_routes *before)
{
	struct kb_group_options group = group_options(&d->options);
	struct kb_upstream_spec specs[KB_GROUP_MAX] = {0};
	char text[KB_ADDR_TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < d->resolv_conf.n; i++) {
		if (is_ourselves(d, &d->resolv_conf.at[i]))
			kb_log_warn("%s: %s is our own listen address, skipped",
				    d->options.resolv_conf,
				    kb_format_addr_port(&d->resolv_conf.at[i], text));
		else
			specs[n++].at = d->resolv_conf.at[i];
	}
	return kb_routes_add(routes, NULL, specs, n, &group, before);
}

static void log_routes(const struct kb_daemon *d, const struct kb_routes *routes)
{
	const struct kb_group *group = &routes->groups[0];
	char line[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < group->n && len < sizeof(line) - 1; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, " %s", group->v[i]->text);
	if (group->n)
		kb_log_info("upstreams:%s%s%s; %zu stub domains", line,
			    d->options.upstream.n ? "" : ", from ",
			    d->options.upstream.n ? "" : d->options.resolv_conf, routes->n_stubs);
	else
		kb_log_warn(
			"no upstream: %s names none; names outside the cluster and stub domains "
			"are refused, give --upstream",
			d->options.resolv_conf);
}

/* Makes routes of what is known now and puts them in force. */
static int set_routes(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_routes *routes = NULL, *before = kb_forward_routes(d->forward);
	int r = kb_routes_new(&routes);

	if (r == 0)
		r = d->options.upstream.n ? add_given(d, routes, before, err, err_size)
					  : add_resolv_conf(d, routes, before);
	if (r == 0)
		r = add_stubs(d, routes, before, err, err_size);
	if (r < 0) {
		kb_routes_unref(routes);
		return r;
	}
	log_routes(d, routes);
	kb_responder_set_routes(d->responder, routes);
	kb_forward_set_routes(d->forward, routes);
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
	return r == 0 ? set_routes(d, err, err_size) : r;
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
	if (set_routes(d, err, sizeof(err)) < 0)
		kb_log_error("%s; upstreams stay as they were", err);
}
