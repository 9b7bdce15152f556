/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

socklen_t kb_sockaddr_make(const struct kb_addr_port *at, union kb_sockaddr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (at->addr.family == 6) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(at->port);
		memcpy(&ret->in6.sin6_addr, at->addr.b, 16);
		return sizeof(ret->in6);
	}
	ret->in.sin_family = AF_INET;
	ret->in.sin_port = htons(at->port);
	memcpy(&ret->in.sin_addr, at->addr.b, 4);
	return sizeof(ret->in);
}

void kb_upstream_latency(struct kb_upstream *u, uint64_t us)
{
	unsigned int i = 0;

	while (i < KB_LATENCY_BUCKETS && us > (uint64_t)KB_LATENCY_FIRST_US << i)
		i++;
	atomic_fetch_add_explicit(&u->latency[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&u->latency_us, us, memory_order_relaxed);
}

void kb_upstream_stats(struct kb_upstream *u, struct kb_upstream_stats *ret_stats)
{
#define GET(field) .field = atomic_load_explicit(&u->field, memory_order_relaxed)
	*ret_stats = (struct kb_upstream_stats){
		.up = kb_upstream_is_up(u),
		GET(queries),
		GET(replies),
		GET(timeouts),
		GET(errors),
		GET(rejected),
		GET(tcp),
		GET(probes),
		GET(probe_failures),
	};
#undef GET
}

int kb_routes_new(struct kb_routes **ret_routes)
{
	struct kb_routes *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	atomic_store(&r->refs, 1);
	*ret_routes = r;
	return 0;
}

static struct kb_upstream *find_upstream(const struct kb_routes *r,
					 const struct kb_upstream_spec *spec)
{
	for (size_t i = 0; r && i < r->n_upstreams; i++) {
		if (kb_upstream_spec_same(&r->upstreams[i]->spec, spec))
			return r->upstreams[i];
	}
	return NULL;
}

/* A new one, or one of before, that goes by the routes' wishes from now on. */
static int make_upstream(struct kb_routes *r, const struct kb_upstream_spec *spec,
			 const struct kb_routes *before, struct kb_upstream **ret)
{
	struct kb_upstream *u = find_upstream(before, spec);

	if (r->n_upstreams == KB_UPSTREAMS_MAX)
		return -E2BIG;
	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return -ENOMEM;
		u->spec = *spec;
		u->addr_len = kb_sockaddr_make(&spec->at, &u->addr);
		kb_format_upstream(spec, u->text);
	}
	atomic_store(&u->max_fails, 0);
	atomic_fetch_add(&u->refs, 1);
	*ret = r->upstreams[r->n_upstreams++] = u;
	return 0;
}

static bool has(const struct kb_group *group, const struct kb_upstream *u)
{
	for (size_t i = 0; i < group->n; i++) {
		if (group->v[i] == u)
			return true;
	}
	return false;
}

static int add_upstream(struct kb_routes *r, struct kb_group *group,
			const struct kb_upstream_spec *spec, const struct kb_routes *before)
{
	unsigned int max_fails = group->options.max_fails;
	struct kb_upstream *u = find_upstream(r, spec);
	int err = u ? 0 : make_upstream(r, spec, before, &u);

	if (err < 0)
		return err;
	if (max_fails && (!u->max_fails || max_fails < u->max_fails))
		atomic_store(&u->max_fails, max_fails);
	if (!has(group, u))
		group->v[group->n++] = u;
	return 0;
}

/* Text to lower-case wire form; the text has passed kb_parse_domain. */
static void to_wire(const char *domain, struct kb_stub_route *stub)
{
	const char *label = domain;
	uint8_t at = 0;

	while (*label) {
		size_t n = strcspn(label, ".");

		assert(n < 64 && at + n + 2 <= sizeof(stub->name));
		stub->name[at++] = (uint8_t)n;
		for (size_t i = 0; i < n; i++)
			stub->name[at++] =
				(uint8_t)(label[i] >= 'A' && label[i] <= 'Z' ? label[i] | 0x20
									     : label[i]);
		label += n + (label[n] == '.');
	}
	stub->name[at++] = 0;
	stub->len = at;
}

static int add_stub(struct kb_routes *r, const char *domain, struct kb_group **ret_group)
{
	struct kb_stub_route stub = {0};
	size_t i;

	if (r->n_stubs == KB_STUBS_MAX)
		return -E2BIG;
	to_wire(domain, &stub);
	for (i = 0; i < r->n_stubs; i++) {
		if (r->stubs[i].len == stub.len &&
		    memcmp(r->stubs[i].name, stub.name, stub.len) == 0)
			return -EEXIST;
	}
	stub.group = *ret_group = &r->groups[1 + r->n_stubs];
	for (i = r->n_stubs++; i > 0 && r->stubs[i - 1].len < stub.len; i--)
		r->stubs[i] = r->stubs[i - 1];
	r->stubs[i] = stub;
	return 0;
}

int kb_routes_add(struct kb_routes *routes, const char *domain,
		  const struct kb_upstream_spec *specs, size_t n,
		  const struct kb_group_options *options, struct kb_routes *before)
{
	struct kb_group *group = &routes->groups[0];
	int r = n > KB_GROUP_MAX ? -E2BIG : 0;

	if (r == 0 && domain)
		r = add_stub(routes, domain, &group);
	if (r == 0)
		group->options = *options;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_upstream(routes, group, &specs[i], before);
	return r;
}

struct kb_routes *kb_routes_ref(struct kb_routes *routes)
{
	atomic_fetch_add(&routes->refs, 1);
	return routes;
}

void kb_routes_unref(struct kb_routes *routes)
{
	if (!routes || atomic_fetch_sub(&routes->refs, 1) > 1)
		return;
	for (size_t i = 0; i < routes->n_upstreams; i++) {
		if (atomic_fetch_sub(&routes->upstreams[i]->refs, 1) == 1)
			free(routes->upstreams[i]);
	}
	free(routes);
}

static bool holds(const struct kb_stub_route *stub, const uint8_t *suffix)
{
	for (size_t i = 0; i < stub->len; i++) {
		uint8_t c = suffix[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (c != stub->name[i])
			return false;
	}
	return true;
}

static const struct kb_stub_route *find_stub(const struct kb_routes *r, const uint8_t *name,
					     size_t len)
{
	size_t off = 0;

	/* From the whole name down to the root: the first match is the longest. */
	while (r->n_stubs && off < len) {
		for (size_t i = 0; i < r->n_stubs; i++) {
			if (r->stubs[i].len == len - off && holds(&r->stubs[i], name + off))
				return &r->stubs[i];
		}
		off += name[off] + 1U;
	}
	return NULL;
}

bool kb_routes_is_stub(const struct kb_routes *routes, const uint8_t *name, size_t len)
{
	return find_stub(routes, name, len) != NULL;
}

bool kb_routes_has(const struct kb_routes *routes, const uint8_t *name, size_t len)
{
	const struct kb_stub_route *stub = find_stub(routes, name, len);

	return stub ? stub->group->n : routes->groups[0].n;
}

struct kb_group *kb_routes_find(struct kb_routes *routes, const uint8_t *name, size_t len)
{
	const struct kb_stub_route *stub = find_stub(routes, name, len);

	return stub ? stub->group : &routes->groups[0];
}

int kb_routes_pick(struct kb_group *group, uint32_t tried, uint32_t random)
{
	uint32_t n = (uint32_t)group->n, first = 0;
	int second = -1;

	if (!n)
		return -1;
	if (group->options.policy == KB_POLICY_RANDOM)
		first = random % n;
	else if (group->options.policy == KB_POLICY_ROUND_ROBIN)
		first = atomic_fetch_add_explicit(&group->turn, 1, memory_order_relaxed) % n;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = (first + k) % n;

		if (tried >> i & 1)
			continue;
		if (kb_upstream_is_up(group->v[i]))
			return (int)i;
		if (second < 0)
			second = (int)i;
	}
	return second >= 0 ? second : (int)first;
}
