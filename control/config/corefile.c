/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server blocks to rules.
 *
 * CoreDNS gives a query to the server block with the longest matching zone among those that listen
 * where the query came in, and there to the plugins of that block. So a zone of a kubernetes
 * directive is ours to answer if its own block is the one that gets it, less the zones of
 * other blocks below it, less what the block's other plugins do.
 */
#include "control/config/corefile.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"
#include "control/config/rules.h"
#include "dataplane/core/layout.h"

/* A block whose zones do not get queries, or not as the rules say. */
static int note_block(struct kb_cf_build *b, const struct kb_cf_block *block,
		      enum kb_corefile_verdict verdict, const char *why)
{
	return kb_cf_note(b->cf, &block->keys[0], block->keys + 1, block->n_keys - 1, verdict, NULL,
			  why);
}

static bool served_by(const struct kb_cf_build *b, const struct kb_cf_block *block,
		      const char *zone)
{
	for (size_t i = 0; i < b->n_served; i++) {
		if (b->served[i].block == block && strcmp(b->served[i].zone, zone) == 0)
			return true;
	}
	return false;
}

static bool serves(const struct kb_cf_build *b, const struct kb_cf_block *block)
{
	for (size_t i = 0; i < b->n_served; i++) {
		if (b->served[i].block == block)
			return true;
	}
	return false;
}

static int leave_served(struct kb_cf_build *b, struct kb_cf_served *s,
			const struct kb_cf_line *line)
{
	s->foreign = true;
	return kb_cf_note(b->cf, line->name, line->args, line->n, KB_COREFILE_LEFT,
			  *s->zone ? s->zone : ".", line->why);
}

int kb_cf_leave(struct kb_cf_build *b, const struct kb_cf_line *line, const char *name)
{
	int hit = 0, r = 0;

	for (size_t i = 0; r == 0 && i < b->n_served; i++) {
		struct kb_cf_served *s = &b->served[i];

		if (s->block != line->block)
			continue;
		if (kb_cf_within(s->zone, name)) {
			r = leave_served(b, s, line);
			hit = 1;
		} else if (kb_cf_within(name, s->zone)) {
			/* A name that the table cannot hold, or has no room for, takes its zone
			 * with it. */
			if (!kb_cf_plain(name) || b->below.n == KB_ZONES_MAX) {
				r = leave_served(b, s, line);
			} else {
				r = kb_cf_names_add(&b->below, name);
				if (r == 0 && !hit)
					r = kb_cf_note(b->cf, line->name, line->args, line->n,
						       KB_COREFILE_LEFT, name, line->why);
			}
			hit = 1;
		}
	}
	return r < 0 ? r : hit;
}

int kb_cf_leave_all(struct kb_cf_build *b, const struct kb_cf_line *line)
{
	for (size_t i = 0; i < b->n_served; i++) {
		if (b->served[i].block == line->block)
			b->served[i].foreign = true;
	}
	return kb_cf_note(b->cf, line->name, line->args, line->n, KB_COREFILE_LEFT, NULL,
			  line->why);
}

int kb_cf_leave_misses(struct kb_cf_build *b, const struct kb_cf_line *line, const char *name)
{
	for (size_t i = 0; i < b->n_served; i++) {
		struct kb_cf_served *s = &b->served[i];

		if (s->block == line->block &&
		    (kb_cf_within(s->zone, name) || kb_cf_within(name, s->zone)))
			s->leave_misses = true;
	}
	return kb_cf_note(b->cf, line->name, line->args, line->n, KB_COREFILE_TAKEN, NULL,
			  "unknown names are left alone, since it may find them elsewhere");
}

int kb_cf_harmless(struct kb_cf_build *b, const struct kb_cf_line *line, const char *why)
{
	return kb_cf_note(b->cf, line->name, line->args, line->n, KB_COREFILE_HARMLESS, NULL, why);
}

static int add_served(struct kb_cf_build *b, const struct kb_cf_block *block, const char *zone)
{
	const struct kb_cf_kubernetes *k = block->kubernetes;
	struct kb_cf_served *s;
	void *v = realloc(b->served, (b->n_served + 1) * sizeof(*b->served));

	if (!v)
		return kb_cf_no_memory(b->cf);
	b->served = v;
	s = &b->served[b->n_served++];
	*s = (struct kb_cf_served){.block = block};
	snprintf(s->zone, sizeof(s->zone), "%s", zone);
	for (size_t i = 0; i < k->multicluster.n; i++)
		s->foreign |= strcmp(k->multicluster.v[i], zone) == 0;
	s->leave_misses = k->zonal || kb_cf_names_touch(&k->fall, zone);
	if (kb_cf_answerable(zone))
		return 0;
	s->foreign = true;
	return kb_cf_note(b->cf, &block->keys[0], block->keys + 1, block->n_keys - 1,
			  KB_COREFILE_LEFT, *zone ? zone : ".",
			  "a zone that is the root, very long, with other characters than letters, "
			  "digits, - and _, or no whole reverse zone, cannot be answered");
}

/* Which zones of its kubernetes directive does the block get queries for? */
static int serve(struct kb_cf_build *b, struct kb_cf_block *block, uint16_t port)
{
	const struct kb_rules *rules = &block->kubernetes->rules;
	bool any = false, shared;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->n_zones; i++) {
		if (kb_cf_owner(b->cf, port, rules->zones[i].name, &shared) != block || shared)
			continue;
		r = add_served(b, block, rules->zones[i].name);
		any = true;
	}
	if (r == 0 && !any)
		r = note_block(
			b, block, KB_COREFILE_LEFT,
			"other server blocks get queries for its kubernetes zones, or share them");
	return r;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Would one set of rules do for both? */
static bool same_options(const struct kb_cf_kubernetes *a, const struct kb_cf_kubernetes *b)
{
	const struct kb_rules *x = &a->rules, *y = &b->rules;

	return kb_rules_same_options(x, y) && x->ttl_s == y->ttl_s && same_text(a->api, b->api);
}

/* Zones of other blocks below ours get their queries there. */
static int leave_deeper(struct kb_cf_build *b, uint16_t port)
{
	struct kb_cf *cf = b->cf;
	int r = 0;

	for (size_t i = 0; i < cf->n_blocks; i++) {
		struct kb_cf_block *block = &cf->blocks[i];

		for (size_t z = 0; z < block->n_zones; z++) {
			const char *zone = block->zones[z].zone;

			if (!kb_cf_key_is(&block->zones[z], port) || served_by(b, block, zone))
				continue;
			for (size_t s = 0; r >= 0 && s < b->n_served; s++) {
				struct kb_cf_line line = {
					.block = b->served[s].block,
					.name = &block->keys[0],
					.args = block->keys + 1,
					.n = block->n_keys - 1,
					.why = "another server block gets these names"};

				if (b->served[s].block != block && *zone &&
				    strcmp(b->served[s].zone, zone) != 0 &&
				    kb_cf_within(zone, b->served[s].zone))
					r = kb_cf_leave(b, &line, zone);
			}
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int leave_unknown_imports(struct kb_cf_build *b)
{
	static const char why[] =
		"what this file says is not known here: mount it as CoreDNS has it, "
		"and give --corefile FILE";
	struct kb_cf_token import = {.text = "import"};
	struct kb_cf *cf = b->cf;
	int r = 0;

	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		struct kb_cf_block *block = &cf->blocks[i];
		struct kb_cf_line line = {.block = block, .name = &import, .why = why};

		import.line = block->unknown_import;
		import.file = block->unknown_file;
		if (!import.line && !cf->unknown_import)
			continue;
		if (!import.line) {
			import.line = cf->unknown_import;
			import.file = cf->unknown_file;
		}
		if (serves(b, block))
			r = kb_cf_leave_all(b, &line);
	}
	return r;
}

/* PTR records point into the first zone of their own directive; the rules know one such zone. */
static void leave_other_reverse(struct kb_cf_build *b, const char *primary)
{
	for (size_t i = 0; i < b->n_served; i++) {
		struct kb_cf_served *s = &b->served[i];
		const struct kb_rules *rules = &s->block->kubernetes->rules;
		size_t first = 0;

		while (!kb_cf_is_primary(rules->zones[first].name))
			first++;
		if (kb_cf_is_reverse(s->zone) && strcmp(rules->zones[first].name, primary) != 0)
			s->foreign = true;
	}
}

/* The first cluster zone that is answered, or "". */
static const char *primary_zone(const struct kb_cf_build *b)
{
	for (size_t i = 0; i < b->n_served; i++) {
		if (!b->served[i].foreign && !kb_cf_is_reverse(b->served[i].zone))
			return b->served[i].zone;
	}
	return "";
}

/* More than the table or the records take: the last ones are left alone. */
static int limit_zones(struct kb_cf_build *b)
{
	size_t n_cluster = 0, n = 0;

	for (size_t i = 0; i < b->n_served; i++) {
		struct kb_cf_served *s = &b->served[i];
		struct kb_cf_line line = {.block = s->block,
					  .name = &s->block->keys[0],
					  .why = "more zones than can be answered at a time"};
		bool cluster = !kb_cf_is_reverse(s->zone);
		int r;

		if (s->foreign)
			continue;
		if (n == KB_VALUE_ZONE_MAX || (cluster && n_cluster == KB_OPT_DOMAINS_MAX)) {
			r = leave_served(b, s, &line);
			if (r < 0)
				return r;
			continue;
		}
		n++;
		n_cluster += cluster;
	}
	return 0;
}

/* The smallest answered zone that `name` is in, or NULL. */
static struct kb_cf_served *answered_above(const struct kb_cf_build *b, const char *name)
{
	struct kb_cf_served *best = NULL;

	for (size_t i = 0; i < b->n_served; i++) {
		struct kb_cf_served *s = &b->served[i];

		if (!s->foreign && kb_cf_within(name, s->zone) &&
		    (!best || strlen(s->zone) > strlen(best->zone)))
			best = s;
	}
	return best;
}

static int fill_zones(struct kb_cf_build *b, struct kb_rules *rules)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n_served; i++) {
		const struct kb_cf_served *s = &b->served[i];

		if (!s->foreign)
			r = kb_rules_add_zone(rules, s->zone,
					      kb_cf_is_reverse(s->zone) ? KB_ZONE_REVERSE
									: KB_ZONE_CLUSTER,
					      s->leave_misses);
	}
	for (size_t i = 0; r == 0 && i < b->below.n; i++) {
		if (answered_above(b, b->below.v[i]))
			r = kb_rules_add_zone(rules, b->below.v[i], KB_ZONE_FOREIGN, true);
	}
	/* One that is not answered is named all the same, for whoever wonders; if there is room. */
	for (size_t i = 0; r == 0 && i < b->n_served; i++) {
		const struct kb_cf_served *s = &b->served[i];

		if (s->foreign && *s->zone && kb_cf_plain(s->zone) &&
		    (answered_above(b, s->zone) || rules->n_zones < KB_ZONES_MAX))
			r = kb_rules_add_zone(rules, s->zone, KB_ZONE_FOREIGN, true);
	}
	return r == -ENOMEM ? kb_cf_no_memory(b->cf) : 0;
}

/* An answered zone that has something to be left alone in it, or NULL. */
static struct kb_cf_served *answered_with_holes(const struct kb_cf_build *b)
{
	struct kb_cf_served *s = NULL;

	for (size_t i = 0; !s && i < b->below.n; i++)
		s = answered_above(b, b->below.v[i]);
	for (size_t i = 0; !s && i < b->n_served; i++) {
		if (b->served[i].foreign)
			s = answered_above(b, b->served[i].zone);
	}
	return s;
}

/* Makes the zones of the rules. Where the table has no room for all entries, whole zones are left
 * until it has. */
static int make_zones(struct kb_cf_build *b, struct kb_rules *rules)
{
	for (;;) {
		struct kb_cf_line line = {
			.why = "more names to leave alone than there is room for"};
		struct kb_rules made = {0};
		struct kb_cf_served *s;
		int r = fill_zones(b, &made);

		if (r == 0 && made.n_zones <= KB_ZONES_MAX) {
			rules->zones = made.zones;
			rules->n_zones = made.n_zones;
			return 0;
		}
		kb_rules_free(&made);
		if (r < 0)
			return r;
		s = answered_with_holes(b);
		assert(s);
		line.block = s->block;
		line.name = &s->block->keys[0];
		r = leave_served(b, s, &line);
		if (r < 0)
			return r;
	}
}

/* Takes the options of the directive over; its zones are made otherwise. */
static void move_options(struct kb_rules *to, struct kb_rules *from)
{
	struct kb_zone_rule *zones = from->zones;
	size_t n = from->n_zones;

	*to = *from;
	to->zones = NULL;
	to->n_zones = 0;
	memset(from, 0, sizeof(*from));
	from->zones = zones;
	from->n_zones = n;
}

/* Has something been left because of this block? */
static bool is_noted(const struct kb_cf *cf, const struct kb_cf_block *block)
{
	const struct kb_cf_token *key = &block->keys[0];

	for (size_t i = 0; i < cf->out->n_notes; i++) {
		const struct kb_corefile_note *n = &cf->out->notes[i];

		if (n->verdict == KB_COREFILE_LEFT && n->line == key->line &&
		    strcmp(n->file, kb_cf_file_name(cf, key->file)) == 0)
			return true;
	}
	return false;
}

static int note_other_blocks(struct kb_cf_build *b, uint16_t port)
{
	struct kb_cf *cf = b->cf;
	int r = 0;

	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		struct kb_cf_block *block = &cf->blocks[i];

		if (is_noted(cf, block))
			continue;
		if (!kb_cf_has_port(block, port))
			r = note_block(b, block, KB_COREFILE_HARMLESS,
				       "it listens elsewhere than where the cluster DNS is asked");
		else if (!block->kubernetes)
			r = note_block(b, block, KB_COREFILE_HARMLESS,
				       "its zones are not ours, and are left alone");
	}
	return r;
}

/* A kubernetes directive that is asked on another port as well: which one a Service's port leads to
 * is not in this file. */
static int leave_other_ports(struct kb_cf_build *b, uint16_t port)
{
	struct kb_cf *cf = b->cf;

	for (size_t i = 0; i < cf->n_blocks; i++) {
		struct kb_cf_block *block = &cf->blocks[i];

		if (!block->kubernetes || kb_cf_has_port(block, port))
			continue;
		for (size_t z = 0; z < block->n_zones; z++) {
			if (block->zones[z].transport != KB_CF_DNS)
				continue;
			for (size_t s = 0; s < b->n_served; s++) {
				struct kb_cf_line line = {
					.block = b->served[s].block,
					.name = &block->keys[0],
					.why = "a kubernetes directive listens on another port, "
					       "too, "
					       "and which one is asked is not known"};
				int r = leave_served(b, &b->served[s], &line);

				if (r < 0)
					return r;
			}
		}
	}
	return 0;
}

static int build(struct kb_cf_build *b)
{
	struct kb_cf *cf = b->cf;
	struct kb_cf_block *first = NULL;
	uint16_t port = kb_cf_dns_port(cf);
	int r = 0;

	if (!port)
		return kb_cf_fail(cf, -EOPNOTSUPP, 0, 1,
				  "no kubernetes directive that is asked over plain DNS: give the "
				  "Corefile of the cluster DNS");
	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		struct kb_cf_block *block = &cf->blocks[i];

		if (!kb_cf_has_port(block, port) || !block->kubernetes)
			continue;
		if (!first)
			first = block;
		if (same_options(first->kubernetes, block->kubernetes))
			r = serve(b, block, port);
		else
			r = note_block(
				b, block, KB_COREFILE_LEFT,
				"its kubernetes directive has other options than the first one, "
				"and there is one set of rules");
	}
	if (r == 0)
		r = leave_deeper(b, port);
	if (r == 0)
		r = leave_other_ports(b, port);
	if (r == 0)
		r = leave_unknown_imports(b);
	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		if (serves(b, &cf->blocks[i]))
			r = kb_cf_judge(b, &cf->blocks[i]);
	}
	if (r == 0)
		r = note_other_blocks(b, port);
	if (r == 0)
		r = kb_cf_take_blocks(cf, port);
	if (r == 0)
		r = limit_zones(b);
	if (r < 0)
		return r;
	leave_other_reverse(b, primary_zone(b));
	move_options(&cf->out->rules, &first->kubernetes->rules);
	r = make_zones(b, &cf->out->rules);
	return r < 0 ? r : kb_cf_routes(b, port);
}

int kb_cf_build(struct kb_cf *cf)
{
	struct kb_cf_build b = {.cf = cf};
	int r = 0;

	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		r = kb_cf_read_keys(cf, &cf->blocks[i]);
		if (r == 0)
			r = kb_cf_load_hosts(cf, &cf->blocks[i]);
	}
	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		struct kb_cf_block *block = &cf->blocks[i];
		struct kb_cf_directive *d = kb_cf_find(block, "kubernetes");

		if (d)
			r = kb_cf_kubernetes_read(cf, block, d, &block->kubernetes);
	}
	for (size_t i = 0; r == 0 && i < cf->n_blocks; i++) {
		r = kb_cf_forwards_read(cf, &cf->blocks[i]);
		if (r == 0)
			r = kb_cf_cache_read(cf, &cf->blocks[i]);
	}
	if (r == 0)
		r = kb_cf_check_duplicates(cf);
	if (r == 0)
		r = build(&b);
	free(b.served);
	free(b.below.v);
	return kb_cf_explain(cf, r);
}
