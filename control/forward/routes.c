/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/uptls.h"

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

struct kb_upstream *kb_upstream_ref(struct kb_upstream *u)
{
	atomic_fetch_add(&u->refs, 1);
	return u;
}

void kb_upstream_unref(struct kb_upstream *u)
{
	if (atomic_fetch_sub(&u->refs, 1) > 1)
		return;
	kb_tls_forget(u);
	pthread_mutex_destroy(&u->session_lock);
	free(u);
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
		GET(tls),
		GET(connects),
		GET(reused),
		GET(tls_handshakes),
		GET(tls_resumed),
		GET(tls_untrusted),
		GET(tls_failures),
		GET(case_mismatches),
		.case_off = atomic_load_explicit(&u->case_off_until_ms, memory_order_relaxed) != 0,
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
static int make_upstream(struct kb_routes *r, const struct kb_group *group,
			 const struct kb_upstream_spec *spec, const struct kb_routes *before,
			 struct kb_upstream **ret)
{
	struct kb_upstream *u = find_upstream(before, spec);

	if (r->n_upstreams == KB_UPSTREAMS_MAX)
		return -E2BIG;
	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return -ENOMEM;
		pthread_mutex_init(&u->session_lock, NULL);
		u->spec = *spec;
		u->addr_len = kb_sockaddr_make(&spec->at, &u->addr);
		kb_format_upstream(spec, u->text);
	}
	atomic_store(&u->max_fails, 0);
	atomic_store(&u->force_tcp, false);
	kb_upstream_ref(u);
	r->probed_as[r->n_upstreams] = group;
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
	int err = u ? 0 : make_upstream(r, group, spec, before, &u);

	if (err < 0)
		return err;
	if (max_fails && (!u->max_fails || max_fails < u->max_fails))
		atomic_store(&u->max_fails, max_fails);
	if (group->options.force_tcp)
		atomic_store(&u->force_tcp, true);
	if (!has(group, u))
		group->v[group->n++] = u;
	return 0;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Text to lower-case wire form; the text has passed kb_parse_domain. */
uint8_t kb_domain_wire(const char *domain, uint8_t *out)
{
	const char *label = domain;
	uint8_t at = 0;

	while (*label) {
		size_t n = strcspn(label, ".");

		assert(n < 64 && at + n + 2 <= 255);
		out[at++] = (uint8_t)n;
		for (size_t i = 0; i < n; i++)
			out[at++] = lower((uint8_t)label[i]);
		label += n + (label[n] == '.');
	}
	out[at++] = 0;
	return at;
}

/* FNV-1a, label by label from the root on: `hash` is the parent's, so that one pass gives the
 * hashes of a name and of all domains it is in. */
static uint32_t hash_label(uint32_t hash, const uint8_t *label)
{
	for (size_t i = 0; i <= *label; i++)
		hash = (hash ^ lower(label[i])) * 0x01000193;
	return hash;
}

#define HASH_ROOT  0x811c9dc5
#define LABELS_MAX 128

/* Where each label of a name begins, and the hash of the name from there on. How many. */
static size_t hash_name(const uint8_t *name, size_t len, uint8_t off[LABELS_MAX],
			uint32_t hash[LABELS_MAX])
{
	uint32_t h = HASH_ROOT;
	size_t n = 0;

	for (size_t at = 0; at < len && name[at] && n < LABELS_MAX; at += name[at] + 1U)
		off[n++] = (uint8_t)at;
	for (size_t i = n; i--;)
		hash[i] = h = hash_label(h, name + off[i]);
	return n;
}

/* Room for one more. */
static int grow(struct kb_routes *r)
{
	uint32_t size = r->stubs ? r->stubs_mask + 1 : 0, more = size ? size * 2 : 16;
	struct kb_stub_route **v;

	if (r->n_stubs * 2 < size)
		return 0;
	v = calloc(more, sizeof(struct kb_stub_route *));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < size; i++) {
		struct kb_stub_route *s = r->stubs[i];
		uint32_t at = s ? s->hash & (more - 1) : 0;

		while (s && v[at])
			at = (at + 1) & (more - 1);
		if (s)
			v[at] = s;
	}
	free(r->stubs);
	r->stubs = v;
	r->stubs_mask = more - 1;
	return 0;
}

static bool is_name(const struct kb_stub_route *stub, uint32_t hash, const uint8_t *name,
		    size_t len)
{
	if (stub->hash != hash || stub->len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (stub->name[i] != lower(name[i]))
			return false;
	}
	return true;
}

/* The place of that name, or the free one for it. */
static struct kb_stub_route **place(const struct kb_routes *r, uint32_t hash, const uint8_t *name,
				    size_t len)
{
	uint32_t at = hash & r->stubs_mask;

	while (r->stubs[at] && !is_name(r->stubs[at], hash, name, len))
		at = (at + 1) & r->stubs_mask;
	return &r->stubs[at];
}

static int add_stub(struct kb_routes *r, const char *domain, struct kb_group **ret_group)
{
	struct kb_stub_route *stub, **at;
	uint32_t hash[LABELS_MAX];
	uint8_t off[LABELS_MAX];

	if (r->n_stubs == KB_STUBS_MAX)
		return -E2BIG;
	if (grow(r) < 0)
		return -ENOMEM;
	stub = calloc(1, sizeof(*stub));
	if (!stub)
		return -ENOMEM;
	stub->len = kb_domain_wire(domain, stub->name);
	hash_name(stub->name, stub->len, off, hash);
	stub->hash = hash[0];
	at = place(r, stub->hash, stub->name, stub->len);
	if (*at) {
		free(stub);
		return -EEXIST;
	}
	*at = stub;
	r->n_stubs++;
	*ret_group = &stub->group;
	return 0;
}

int kb_routes_add(struct kb_routes *routes, const char *domain,
		  const struct kb_upstream_spec *specs, size_t n,
		  const struct kb_group_options *options, struct kb_routes *before)
{
	struct kb_group *group = &routes->root;
	int r = n > KB_GROUP_MAX ? -E2BIG : 0;

	if (r == 0 && domain)
		r = add_stub(routes, domain, &group);
	if (r == 0) {
		group->options = *options;
		group->closed = domain && !n;
	}
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
	for (size_t i = 0; i < routes->n_upstreams; i++)
		kb_upstream_unref(routes->upstreams[i]);
	for (uint32_t i = 0; routes->stubs && i <= routes->stubs_mask; i++)
		free(routes->stubs[i]);
	free(routes->stubs);
	free(routes);
}

/* The smallest stub domain that holds a name, or NULL. */
static struct kb_stub_route *find_stub(const struct kb_routes *r, const uint8_t *name, size_t len)
{
	uint32_t hash[LABELS_MAX];
	uint8_t off[LABELS_MAX];
	size_t n = r->n_stubs ? hash_name(name, len, off, hash) : 0;

	for (size_t i = 0; i < n; i++) {
		struct kb_stub_route *stub = *place(r, hash[i], name + off[i], len - off[i]);

		if (stub)
			return stub;
	}
	return NULL;
}

static bool same_group(const struct kb_group *a, const struct kb_group *b)
{
	const struct kb_group_options *x = &a->options, *y = &b->options;

	if (a->n != b->n || a->closed != b->closed || x->policy != y->policy ||
	    x->force_tcp != y->force_tcp || x->max_fails != y->max_fails ||
	    x->probe_ms != y->probe_ms || x->probe_no_rd != y->probe_no_rd ||
	    strcmp(x->probe_domain, y->probe_domain) != 0 ||
	    x->cache.ttl_max_s != y->cache.ttl_max_s ||
	    x->cache.negative_max_s != y->cache.negative_max_s)
		return false;
	/* Upstreams are shared, so a pointer says it all. */
	return memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0;
}

bool kb_routes_same(const struct kb_routes *a, const struct kb_routes *b)
{
	if (a->n_stubs != b->n_stubs || !same_group(&a->root, &b->root))
		return false;
	for (uint32_t i = 0; a->n_stubs && i <= a->stubs_mask; i++) {
		const struct kb_stub_route *stub = a->stubs[i], *other;

		if (!stub)
			continue;
		other = *place(b, stub->hash, stub->name, stub->len);
		if (!other || !same_group(&stub->group, &other->group))
			return false;
	}
	return true;
}

bool kb_routes_is_stub(const struct kb_routes *routes, const uint8_t *name, size_t len)
{
	return find_stub(routes, name, len) != NULL;
}

bool kb_routes_has(const struct kb_routes *routes, const uint8_t *name, size_t len)
{
	const struct kb_stub_route *stub = find_stub(routes, name, len);
	const struct kb_group *group = stub ? &stub->group : &routes->root;

	return group->n || group->closed;
}

struct kb_group *kb_routes_find(struct kb_routes *routes, const uint8_t *name, size_t len)
{
	struct kb_stub_route *stub = find_stub(routes, name, len);

	return stub ? &stub->group : &routes->root;
}

int kb_routes_pick(struct kb_group *group, uint32_t tried, uint32_t random)
{
	uint32_t n = (uint32_t)group->n, first = 0;
	int second = -1, again = -1;

	if (!n)
		return -1;
	if (group->options.policy == KB_POLICY_RANDOM)
		first = random % n;
	else if (group->options.policy == KB_POLICY_ROUND_ROBIN)
		first = atomic_fetch_add_explicit(&group->turn, 1, memory_order_relaxed) % n;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = (first + k) % n;

		bool up = kb_upstream_is_up(group->v[i]);

		if (tried >> i & 1) {
			if (up && again < 0)
				again = (int)i;
			continue;
		}
		if (up)
			return (int)i;
		if (second < 0)
			second = (int)i;
	}
	if (second >= 0)
		return second;
	return again >= 0 ? again : (int)first;
}
