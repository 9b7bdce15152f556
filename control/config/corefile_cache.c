/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache directive: cache [TTL] [ZONE...] { success, denial, disable, ... }
 *
 * Upper bounds of how long answers are kept are taken over; what is not to be kept is not. How much
 * is kept, what is asked for again before it expires, and what is given expired is one cache's
 * affair, whose size and rules are options. Lower bounds are not taken over: what an upstream says
 * lives for a second is not given for five.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

/* CoreDNS's, without a TTL. */
#define TTL_MAX_S      3600
#define NEGATIVE_MAX_S 1800

struct line {
	struct kb_cf *cf;
	struct kb_cf_cache *cache;
	const struct kb_cf_token *name, *args;
	size_t n;
};

static int fail(const struct line *l, const char *what)
{
	return kb_cf_fail(l->cf, -EINVAL, l->name->file, l->name->line, "cache: %s: %s",
			  l->name->text, what);
}

/* As Go's Atoi. */
static bool read_int(const char *s, int64_t *ret)
{
	bool minus = *s == '-';
	uint64_t v;

	if (kb_parse_u64(s + (minus || *s == '+'), 0, INT64_MAX, &v) < 0)
		return false;
	*ret = minus ? -(int64_t)v : (int64_t)v;
	return true;
}

static int take_ttl(const struct line *l, const char *text, uint32_t *ret)
{
	int64_t v;

	if (!read_int(text, &v) || v <= 0)
		return fail(l, "a TTL is a number of seconds from 1");
	*ret = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
	return 0;
}

/* CAPACITY [TTL [MIN-TTL]] */
static int take_kind(const struct line *l, uint32_t *max)
{
	int64_t v;

	if (!l->n || !read_int(l->args[0].text, &v))
		return fail(l, "takes how many answers are kept");
	if (l->n > 2 && (!read_int(l->args[2].text, &v) || v < 0))
		return fail(l, "the least TTL is a number of seconds");
	return l->n > 1 ? take_ttl(l, l->args[1].text, max) : 0;
}

static int add_zones(const struct line *l, size_t from, struct kb_cf_names *names)
{
	return kb_cf_explain(l->cf, kb_cf_names_add_origins(names, l->args + from, l->n - from));
}

/* disable success|denial [ZONE...]; of several lines of a kind the last one counts. */
static int take_disable(const struct line *l)
{
	const char *kind = l->n ? l->args[0].text : "";
	struct kb_cf_names *names = strcmp(kind, "success") == 0  ? &l->cache->no_success
				    : strcmp(kind, "denial") == 0 ? &l->cache->no_denial
								  : NULL;

	if (!names)
		return fail(l, "takes success or denial, and zones");
	names->n = 0;
	if (l->n == 1)
		return kb_cf_explain(l->cf, kb_cf_names_add(names, ""));
	return add_zones(l, 1, names);
}

static int take_property(const struct line *l)
{
	const char *name = l->name->text;

	if (strcmp(name, "success") == 0)
		return take_kind(l, &l->cache->limits.ttl_max_s);
	if (strcmp(name, "denial") == 0)
		return take_kind(l, &l->cache->limits.negative_max_s);
	if (strcmp(name, "disable") == 0)
		return take_disable(l);
	if (strcmp(name, "keepttl") == 0 && l->n)
		return fail(l, "takes no arguments");
	return 0;
}

static int take_line(struct line *l, struct kb_cf_cursor *c)
{
	struct kb_cache_limits *limits = &l->cache->limits;
	int64_t ttl;
	int r = 0;
	size_t zones = l->n && read_int(l->args[0].text, &ttl);

	if (zones) {
		r = take_ttl(l, l->args[0].text, &limits->ttl_max_s);
		limits->negative_max_s = limits->ttl_max_s;
	}
	if (r == 0 && l->n > zones)
		r = add_zones(l, zones, &l->cache->zones);
	else if (r == 0)
		r = kb_cf_explain(l->cf, kb_cf_names_add(&l->cache->zones, ""));
	while (r == 0 && kb_cf_next_block(c)) {
		struct line p = {.cf = l->cf, .cache = l->cache, .name = kb_cf_at(c)};

		p.args = kb_cf_args(c, &p.n);
		r = take_property(&p);
	}
	return r;
}

int kb_cf_cache_read(struct kb_cf *cf, struct kb_cf_block *block)
{
	const struct kb_cf_directive *d = kb_cf_find(block, "cache");
	struct kb_cf_cursor c;
	struct line l = {.cf = cf, .cache = &block->cache};
	int r;

	if (!d)
		return 0;
	block->cache.limits = (struct kb_cache_limits){TTL_MAX_S, NEGATIVE_MAX_S};
	/* A variable that we do not have may say anything: nothing is kept then. */
	if (kb_cf_any_unset(d->tokens.v, d->tokens.n)) {
		block->cache.limits = (struct kb_cache_limits){0, 0};
		return kb_cf_explain(cf, kb_cf_names_add(&block->cache.zones, ""));
	}
	c = (struct kb_cf_cursor){.t = d->tokens.v, .n = d->tokens.n};
	kb_cf_next(&c);
	l.name = kb_cf_at(&c);
	l.args = kb_cf_args(&c, &l.n);
	r = take_line(&l, &c);
	if (r == 0 && kb_cf_next(&c))
		r = kb_cf_fail(cf, -EINVAL, kb_cf_at(&c)->file, kb_cf_at(&c)->line,
			       "cache: given twice in one server block, remove one");
	return r;
}

struct kb_cache_limits kb_cf_cache_limits(const struct kb_cf_block *block, const char *name)
{
	const struct kb_cf_cache *c = &block->cache;
	struct kb_cache_limits limits = KB_CACHE_NO_LIMITS;

	if (!kb_cf_names_cover(&c->zones, name))
		return limits;
	limits = c->limits;
	if (kb_cf_names_cover(&c->no_success, name))
		limits.ttl_max_s = 0;
	if (kb_cf_names_cover(&c->no_denial, name))
		limits.negative_max_s = 0;
	return limits;
}

void kb_cf_cache_free(struct kb_cf_block *block)
{
	free(block->cache.zones.v);
	free(block->cache.no_success.v);
	free(block->cache.no_denial.v);
}
