/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/zones.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/records/alloc.h"

static int zone_name(const struct kb_zone_rule *rule, struct kb_wire *ret)
{
	if (rule->name[0])
		return kb_wire_parse(rule->name, true, ret);
	ret->len = 1;
	ret->b[0] = 0;
	return 0;
}

static int make_cluster(struct kb_zone_def *def, const char *text, char *err, size_t err_size)
{
	struct kb_wire probe = def->apex;

	def->svc = def->pod = def->apex;
	if (kb_wire_prepend(&def->svc, "svc", 3) || kb_wire_prepend(&def->pod, "pod", 3) ||
	    kb_wire_prepend(&probe, "dns-version", 11)) {
		snprintf(err, err_size, "cluster domain \"%s\" is too long", text);
		return -ENAMETOOLONG;
	}
	return 0;
}

static int make_reverse(struct kb_zone_def *def, const char *text, char *err, size_t err_size)
{
	int depth = kb_revname_parse(&def->apex, &def->net);

	if (depth < 0) {
		snprintf(err, err_size,
			 "reverse zone \"%s\" is not made of whole bytes below in-addr.arpa or "
			 "nibbles below ip6.arpa",
			 text);
		return -EINVAL;
	}
	def->depth = (uint8_t)depth;
	return 0;
}

/* The reverse zone of a single address would have its PTR records at its apex: such names are
 * left to others. */
static enum kb_zone_role role_of(const struct kb_zone_rule *rule)
{
	struct kb_addr addr = {0};
	struct kb_wire name;

	if (rule->role != KB_ZONE_REVERSE || zone_name(rule, &name))
		return rule->role;
	return kb_revname_parse(&name, &addr) == kb_revname_depth(addr.family) ? KB_ZONE_FOREIGN
									       : KB_ZONE_REVERSE;
}

static int make_zone(const struct kb_zones *z, const struct kb_zone_rule *rule,
		     struct kb_zone_def *def, char *err, size_t err_size)
{
	struct kb_addr addr;
	size_t i;

	def->role = role_of(rule);
	def->leave_misses = rule->leave_misses || def->role == KB_ZONE_FOREIGN;
	if (zone_name(rule, &def->apex) || (def->role == KB_ZONE_CLUSTER && def->apex.len == 1)) {
		snprintf(err, err_size, "%s \"%s\" is not a DNS name",
			 def->role == KB_ZONE_CLUSTER ? "cluster domain" : "zone", rule->name);
		return -EINVAL;
	}
	for (i = 0; i < z->n; i++) {
		if (!kb_wire_equal(&z->def[i].apex, &def->apex))
			continue;
		snprintf(err, err_size, "zone \"%s\" is given twice", rule->name);
		return -EINVAL;
	}
	if (def->role == KB_ZONE_REVERSE)
		return make_reverse(def, rule->name, err, err_size);
	if (def->role != KB_ZONE_CLUSTER)
		return 0;
	if (kb_revname_parse(&def->apex, &addr) >= 0) {
		snprintf(err, err_size, "cluster domain \"%s\" is a reverse zone", rule->name);
		return -EINVAL;
	}
	return make_cluster(def, rule->name, err, err_size);
}

/* Ids are few, and say no more than how long the zone's name is and what a miss means. */
static int give_id(struct kb_zones *z, struct kb_zone_def *def)
{
	uint8_t last = 0;
	size_t i;

	if (def->role == KB_ZONE_FOREIGN)
		return 0;
	for (i = 0; i < z->n; i++) {
		const struct kb_zone_def *o = &z->def[i];

		if (o->apex.len == def->apex.len && o->role == def->role &&
		    o->leave_misses == def->leave_misses) {
			def->id = o->id;
			return 0;
		}
		last = o->id > last ? o->id : last;
	}
	if (last == KB_VALUE_ZONE_MAX)
		return -ENOSPC;
	def->id = (uint8_t)(last + 1);
	return 0;
}

static int add_role(struct kb_zones *z, const struct kb_rules *rules, enum kb_zone_role role,
		    char *err, size_t err_size)
{
	size_t i;
	int rc;

	for (i = 0; i < rules->n_zones; i++) {
		struct kb_zone_def def = {0};

		if (role_of(&rules->zones[i]) != role)
			continue;
		rc = make_zone(z, &rules->zones[i], &def, err, err_size);
		if (rc)
			return rc;
		if (give_id(z, &def)) {
			snprintf(err, err_size,
				 "zone \"%s\": cluster and reverse zones may have at most %d "
				 "different lengths",
				 rules->zones[i].name, KB_VALUE_ZONE_MAX);
			return -ENOSPC;
		}
		z->def[z->n++] = def;
	}
	return 0;
}

int kb_zones_init(struct kb_zones *z, const struct kb_rules *rules, char *err, size_t err_size)
{
	size_t i, k;
	int rc;

	memset(z, 0, sizeof(*z));
	if (rules->n_zones > KB_ZONES_MAX) {
		snprintf(err, err_size, "at most %d zones, not %zu", KB_ZONES_MAX, rules->n_zones);
		return -ENOSPC;
	}
	z->def = kb_zalloc(rules->n_zones, sizeof(*z->def));
	rc = add_role(z, rules, KB_ZONE_CLUSTER, err, err_size);
	z->n_cluster = z->n;
	if (rc == 0 && !z->n) {
		snprintf(err, err_size, "no cluster domain is given");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = add_role(z, rules, KB_ZONE_REVERSE, err, err_size);
	z->n_reverse = z->n - z->n_cluster;
	if (rc == 0)
		rc = add_role(z, rules, KB_ZONE_FOREIGN, err, err_size);
	for (i = 0; i < z->n_cluster + z->n_reverse; i++)
		for (k = 0; k < z->n; k++)
			z->nested |= kb_wire_below(&z->def[k].apex, &z->def[i].apex) > 0;
	return rc;
}

void kb_zones_fini(struct kb_zones *z)
{
	free(z->def);
	memset(z, 0, sizeof(*z));
}

static bool table_has(const struct kb_header *hdr, const struct kb_zone_def *def)
{
	size_t i;

	for (i = 0; i < hdr->n_zones; i++)
		if (hdr->zone[i].len == def->apex.len && hdr->zone[i].id == def->id &&
		    memcmp(hdr->zone[i].name, def->apex.b, def->apex.len) == 0)
			return true;
	return false;
}

int kb_zones_enter(const struct kb_zones *z, struct kb_table *table, bool *ret_changed)
{
	const struct kb_header *hdr = kb_table_header(table);
	const struct kb_backing *backing = kb_table_backing(table);
	size_t i;
	int err;

	for (i = 0; i < z->n; i++)
		if (!table_has(hdr, &z->def[i]))
			break;
	if (i == z->n && hdr->n_zones == z->n)
		return 0;
	if (hdr->n_zones) {
		*ret_changed = true;
		kb_table_set_state(table, KB_OFF);
		kb_table_zones_hold(table, true);
		backing->grace(backing->arg);
	}
	kb_table_zones_clear(table);
	for (i = 0; i < z->n; i++) {
		err = kb_table_zone_add(table, z->def[i].apex.b, z->def[i].apex.len, z->def[i].id,
					z->def[i].leave_misses ? 0 : KB_ZONE_ANSWER);
		if (err)
			return err;
	}
	kb_table_zones_hold(table, false);
	return 0;
}

const struct kb_zone_def *kb_zones_find(const struct kb_zones *z, const struct kb_wire *name,
					int *ret_end)
{
	const struct kb_zone_def *best = NULL;
	size_t i;

	for (i = 0; i < z->n; i++) {
		int end;

		if (best && best->apex.len >= z->def[i].apex.len)
			continue;
		end = kb_wire_below(name, &z->def[i].apex);
		if (end < 0)
			continue;
		best = &z->def[i];
		*ret_end = end;
	}
	return best;
}

/* Do the first `depth` bytes or nibbles agree? */
static bool covers(const struct kb_zone_def *def, const struct kb_addr *addr)
{
	size_t bytes = addr->family == 4 ? def->depth : def->depth / 2U;

	if (def->net.family != addr->family || memcmp(def->net.b, addr->b, bytes) != 0)
		return false;
	return addr->family == 4 || def->depth % 2 == 0 ||
	       ((def->net.b[bytes] ^ addr->b[bytes]) & 0xf0) == 0;
}

const struct kb_zone_def *kb_zones_of_addr(const struct kb_zones *z, const struct kb_addr *addr)
{
	const struct kb_zone_def *best = NULL;
	size_t i;

	for (i = z->n_cluster; i < z->n_cluster + z->n_reverse; i++)
		if (covers(&z->def[i], addr) && (!best || z->def[i].depth > best->depth))
			best = &z->def[i];
	return best;
}

/* Does a label of the name start at byte `off`? */
static bool at_label(const uint8_t *name, size_t off)
{
	size_t at = 0;

	while (at < off)
		at += name[at] + 1U;
	return at == off;
}

bool kb_zones_hide(const struct kb_zones *z, const uint8_t *name, uint8_t len, uint8_t id)
{
	const struct kb_zone_def *best = NULL;
	size_t i;

	if (!z->nested)
		return false;
	for (i = 0; i < z->n; i++) {
		const struct kb_wire *apex = &z->def[i].apex;

		if (apex->len <= len && (!best || apex->len > best->apex.len) &&
		    memcmp(name + len - apex->len, apex->b, apex->len) == 0 &&
		    at_label(name, len - (size_t)apex->len))
			best = &z->def[i];
	}
	return !best || best->id != id;
}
