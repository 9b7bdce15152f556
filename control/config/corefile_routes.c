/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server blocks to rules of the forwarder: who is asked for names that are not the cluster's.
 *
 * CoreDNS gives a query to the block with the longest matching zone, and there to the first of its
 * forward directives whose FROM holds the name and whose `except` does not. So the answer
 * changes only at the names that these mention: for each of them, inside its block, the first
 * directive that takes it is looked for, and becomes the rule of that domain. The forwarder's
 * longest match does the rest.
 *
 * What another directive answers from a source of its own, and what cannot be asked as it is
 * written, becomes a domain without servers: its names are SERVFAIL, never another server's.
 * A root for which no block has a forward directive is left to whoever comes after the Corefile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

/* What a directive answers without asking an upstream. */
struct closer {
	const char *name;
	enum { ALL, ZONES, ZONES_2, FROM, FILE_ZONES } of; /* which arguments name its zones */
	bool late; /* asked after forward: for what that lets through */
	const char *why;
};

#define OWN "it answers from a source of its own"

static const struct closer closers[] = {
	{"file", FILE_ZONES, false, OWN},
	{"auto", ZONES, false, OWN},
	{"secondary", ZONES, false, OWN},
	{"etcd", ZONES, false, OWN},
	{"k8s_external", ZONES, false, OWN},
	{"route53", ALL, false, OWN},
	{"azure", ALL, false, OWN},
	{"clouddns", ALL, false, OWN},
	{"template", ZONES_2, false, "it makes up answers"},
	{"dns64", ALL, false, "it makes AAAA records that upstreams do not have"},
	{"dnssec", ZONES, false, "it signs answers"},
	{"tsig", ZONES, false, "it demands and makes signatures"},
	{"acl", ZONES, false, "it refuses clients by their address"},
	{"header", ALL, false, "it changes the flags of answers"},
	{"view", ALL, false, "it serves only some clients"},
	{"grpc", FROM, true, "its servers are not asked over DNS"},
	{"proxy", FROM, true, "a directive of old releases, use forward"},
	{"fanout", FROM, true, "it asks several servers at a time"},
	{"erratic", ZONES, true, OWN},
	{"whoami", ALL, true, OWN},
	{"nomad", ALL, true, OWN},
};

/* The zones of one directive's lines. */
struct closed {
	const struct closer *closer;
	const struct kb_cf_token *name, *args; /* of its first line */
	size_t n_args;
	struct kb_cf_names zones; /* owned */
};

struct routes {
	struct kb_cf_build *b;
	uint16_t port;
	const struct kb_cf_block *block;
	struct closed *closed; /* owned */
	size_t n_closed;
	struct kb_cf_names names; /* owned: at which something may change */
};

/* --- what other directives answer -------------------------------------------- */

static int add_zones(struct closed *c, const struct kb_cf_token *args, size_t n)
{
	size_t first = c->closer->of == FILE_ZONES ? 1 : c->closer->of == ZONES_2 ? 2 : 0;

	if (c->closer->of == FROM && n > 1)
		n = 1;
	if (c->closer->of == ALL || n <= first || kb_cf_any_unset(args, n))
		return kb_cf_names_add(&c->zones, "");
	return kb_cf_names_add_origins(&c->zones, args + first, n - first);
}

static int read_closed(struct routes *s, const struct kb_cf_directive *d,
		       const struct closer *closer)
{
	struct kb_cf_cursor cursor = {.t = d->tokens.v, .n = d->tokens.n};
	struct closed *c;
	size_t n;
	void *v = realloc(s->closed, (s->n_closed + 1) * sizeof(*s->closed));
	int r = 0;

	if (!v)
		return -ENOMEM;
	s->closed = v;
	c = &s->closed[s->n_closed++];
	*c = (struct closed){.closer = closer, .name = &d->tokens.v[0]};
	while (r == 0 && kb_cf_next(&cursor)) {
		const struct kb_cf_token *args = kb_cf_args(&cursor, &n);

		if (!c->args) {
			c->args = args;
			c->n_args = n;
		}
		r = add_zones(c, args, n);
		while (kb_cf_next_block(&cursor))
			kb_cf_args(&cursor, &n);
	}
	return r;
}

static int read_all_closed(struct routes *s)
{
	static const struct closer unknown = {"", ALL, false,
					      "nobody here knows what this directive does"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->block->n_directives; i++) {
		const struct kb_cf_directive *d = &s->block->directives[i];
		const struct closer *found = kb_cf_is_known(d->name) ? NULL : &unknown;

		for (size_t k = 0; k < sizeof(closers) / sizeof(*closers); k++) {
			if (strcmp(closers[k].name, d->name) == 0)
				found = &closers[k];
		}
		if (found)
			r = read_closed(s, d, found);
	}
	return r;
}

static const struct closed *find_closed(const struct routes *s, const char *name, bool late)
{
	for (size_t i = 0; i < s->n_closed; i++) {
		if (s->closed[i].closer->late == late &&
		    kb_cf_names_cover(&s->closed[i].zones, name))
			return &s->closed[i];
	}
	return NULL;
}

/* --- one domain -------------------------------------------------------------- */

/* The first directive that takes a name, from `i` on. */
static const struct kb_cf_forward *find_forward(const struct kb_cf_block *block, size_t i,
						const char *name)
{
	for (; i < block->n_forwards; i++) {
		const struct kb_cf_forward *f = &block->forwards[i];

		if (kb_cf_within(name, f->from) && !kb_cf_names_cover(&f->except, name))
			return f;
	}
	return NULL;
}

/* Does kubernetes answer it, without letting anything through? */
static bool is_kubernetes(const struct kb_cf_block *block, const char *name)
{
	const struct kb_cf_kubernetes *k = block->kubernetes;

	for (size_t i = 0; k && i < k->rules.n_zones; i++) {
		const char *zone = k->rules.zones[i].name;

		if (kb_cf_within(name, zone) && !kb_cf_names_touch(&k->fall, zone))
			return true;
	}
	return false;
}

/* A name that routes cannot have makes the one above it a domain of its own. */
static const char *plain(const char *name)
{
	while (*name && !kb_cf_plain(name)) {
		name += strcspn(name, ".");
		name += *name == '.';
	}
	return name;
}

static int add_rule(struct routes *s, const char *name, const struct kb_forward_rule *from)
{
	struct kb_forward_rules *rules = &s->b->cf->out->forward;
	struct kb_forward_rule *rule;
	int r = kb_forward_rules_add(rules, plain(name), &rule);

	if (r == -EEXIST)
		return 0;
	if (r < 0 || !from)
		return r;
	r = kb_forward_rule_copy(rule, from);
	rule->options.cache = kb_cf_cache_limits(s->block, name);
	return r;
}

static int close_name(struct routes *s, const char *name, const struct kb_cf_token *line,
		      const struct kb_cf_token *args, size_t n, const char *why)
{
	int r = add_rule(s, name, NULL);

	return r < 0 ? r
		     : kb_cf_note(s->b->cf, line, args, n, KB_COREFILE_CLOSED, *name ? name : ".",
				  why);
}

static int decide(struct routes *s, const char *name)
{
	const struct kb_cf_block *block = s->block;
	const struct closed *c = find_closed(s, name, false);
	const struct kb_cf_forward *f = find_forward(block, 0, name);
	const struct kb_cf_token *key = &block->keys[0];
	bool shared;
	int r = 0;

	if (kb_cf_owner(s->b->cf, s->port, name, &shared) != block || is_kubernetes(block, name))
		return 0;
	if (block->unknown_import || s->b->cf->unknown_import)
		return close_name(s, name, key, key + 1, block->n_keys - 1,
				  "what its imports say is not known here");
	if (shared)
		return close_name(s, name, key, key + 1, block->n_keys - 1,
				  "other server blocks get the same names");
	if (!c && !f)
		c = find_closed(s, name, true);
	if (c)
		return close_name(s, name, c->name, c->args, c->n_args, c->closer->why);
	if (!f && !*name)
		return 0;
	if (!f) {
		r = add_rule(s, name, NULL);
		return r < 0 ? r
			     : kb_cf_note(s->b->cf, key, key + 1, block->n_keys - 1,
					  KB_COREFILE_TAKEN, name,
					  "no forward directive says who is asked for these names: "
					  "SERVFAIL, as in CoreDNS");
	}
	if (!f->cannot && f->next && find_forward(block, (size_t)(f - block->forwards) + 1, name))
		return close_name(s, name, f->next, NULL, 0,
				  "asking further servers after some answers is not done here");
	if (f->cannot && (f->whole || (!f->rule.n && !f->rule.resolv_conf)))
		return close_name(s, name, f->cannot, f->cannot_args, f->n_cannot_args, f->why);
	if (f->cannot)
		r = kb_cf_note(s->b->cf, f->cannot, f->cannot_args, f->n_cannot_args,
			       KB_COREFILE_TAKEN, *name ? name : ".", f->why);
	return r < 0 ? r : add_rule(s, name, &f->rule);
}

static int add_inside(struct routes *s, const char *zone, const char *name)
{
	return kb_cf_within(name, zone) ? kb_cf_names_add(&s->names, name) : 0;
}

static int add_all_inside(struct routes *s, const char *zone, const struct kb_cf_names *names)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->n; i++)
		r = add_inside(s, zone, names->v[i]);
	return r;
}

/* The names at which the answer may change, in one zone of the block. */
static int gather(struct routes *s, const char *zone)
{
	const struct kb_cf_block *block = s->block;
	int r = kb_cf_names_add(&s->names, zone);

	for (size_t i = 0; r == 0 && i < block->n_forwards; i++) {
		const struct kb_cf_forward *f = &block->forwards[i];

		r = add_inside(s, zone, f->from);
		if (r == 0)
			r = add_all_inside(s, zone, &f->except);
	}
	for (size_t i = 0; r == 0 && i < s->n_closed; i++)
		r = add_all_inside(s, zone, &s->closed[i].zones);
	if (r == 0)
		r = add_all_inside(s, zone, &block->cache.zones);
	if (r == 0)
		r = add_all_inside(s, zone, &block->cache.no_success);
	if (r == 0)
		r = add_all_inside(s, zone, &block->cache.no_denial);
	for (size_t i = 0; r == 0 && block->kubernetes && i < block->kubernetes->rules.n_zones; i++)
		r = add_inside(s, zone, block->kubernetes->rules.zones[i].name);
	return r;
}

static int do_block(struct routes *s)
{
	int r = read_all_closed(s);

	for (size_t i = 0; r == 0 && i < s->block->n_zones; i++) {
		if (kb_cf_key_is(&s->block->zones[i], s->port))
			r = gather(s, s->block->zones[i].zone);
	}
	for (size_t i = 0; r == 0 && i < s->names.n; i++)
		r = decide(s, s->names.v[i]);
	for (size_t i = 0; i < s->n_closed; i++)
		free(s->closed[i].zones.v);
	free(s->closed);
	free(s->names.v);
	s->closed = NULL;
	s->names = (struct kb_cf_names){0};
	s->n_closed = 0;
	return r;
}

/* Names of ours that are left alone are the cluster DNS's: no upstream is asked for them. */
static int close_left(struct routes *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->b->n_served; i++) {
		if (s->b->served[i].foreign && *s->b->served[i].zone)
			r = add_rule(s, s->b->served[i].zone, NULL);
	}
	for (size_t i = 0; r == 0 && i < s->b->below.n; i++)
		r = add_rule(s, s->b->below.v[i], NULL);
	return r;
}

int kb_cf_routes(struct kb_cf_build *b, uint16_t port)
{
	struct routes s = {.b = b, .port = port};
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->cf->n_blocks; i++) {
		s.block = &b->cf->blocks[i];
		if (kb_cf_has_port(s.block, port))
			r = do_block(&s);
	}
	if (r == 0)
		r = close_left(&s);
	return kb_cf_explain(b->cf, r);
}
