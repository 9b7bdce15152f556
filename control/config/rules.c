/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile.h"
#include "control/config/options_private.h"

int kb_rules_add_zone(struct kb_rules *rules, const char *name, enum kb_zone_role role,
		      bool leave_misses)
{
	struct kb_zone_rule *zones;
	char *copy;

	for (size_t i = 0; i < rules->n_zones; i++) {
		if (strcmp(rules->zones[i].name, name) == 0)
			return rules->zones[i].role == role ? 0 : -EEXIST;
	}
	copy = strdup(name);
	zones = realloc(rules->zones, (rules->n_zones + 1) * sizeof(*zones));
	if (zones)
		rules->zones = zones;
	if (!copy || !zones) {
		free(copy);
		return -ENOMEM;
	}
	zones[rules->n_zones++] = (struct kb_zone_rule){copy, role, leave_misses};
	return 0;
}

/* Is `name` the domain, or below it? */
static bool is_within(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

const struct kb_zone_rule *kb_rules_around(const struct kb_rules *rules, const char *domain,
					   bool *ret_apex)
{
	const struct kb_zone_rule *found = NULL;

	*ret_apex = false;
	for (size_t i = 0; !*ret_apex && i < rules->n_zones; i++) {
		const struct kb_zone_rule *zone = &rules->zones[i];

		if (zone->role == KB_ZONE_FOREIGN || !is_within(domain, zone->name))
			continue;
		*ret_apex = strcmp(domain, zone->name) == 0;
		if (*ret_apex || !found)
			found = zone;
	}
	return found;
}

int kb_rules_add_domains(struct kb_rules *rules, const struct kb_forward_rules *domains,
			 const char **ret_domain)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < domains->n; i++) {
		const char *domain = domains->v[i].domain;
		bool apex;
		const struct kb_zone_rule *zone = kb_rules_around(rules, domain, &apex);

		if (zone && !apex)
			r = kb_rules_add_zone(rules, domain, KB_ZONE_FOREIGN, true);
		else if (zone && zone->role == KB_ZONE_CLUSTER)
			r = -EEXIST;
		if (r == -EEXIST)
			*ret_domain = domain;
	}
	return r;
}

/* A stub domain within one of our zones makes a hole in it; others are outside anyway. */
static int add_stub(struct kb_rules *rules, const char *text, char *err, size_t err_size)
{
	struct kb_stub stub;
	int r = kb_parse_stub(text, &stub);
	size_t n = rules->n_zones;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct kb_zone_rule *zone = &rules->zones[i];

		if (!is_within(stub.domain, zone->name))
			continue;
		r = kb_rules_add_zone(rules, stub.domain, KB_ZONE_FOREIGN, true);
		if (r == -EEXIST)
			kb_config_fail(r, err, err_size,
				       "--stub-domain %s: this is the cluster's own domain, or a "
				       "whole reverse tree; give another one",
				       stub.domain);
		break;
	}
	return r;
}

int kb_rules_add_stubs(struct kb_rules *rules, const struct kb_options *o, char *err,
		       size_t err_size)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->stub_domain.n; i++)
		r = add_stub(rules, o->stub_domain.v[i], err, err_size);
	return r;
}

/* A cluster domain. Options do not say what names of pods mean: those are left. */
static int add_domain(struct kb_rules *rules, const char *domain)
{
	char pod[300];
	int r = kb_rules_add_zone(rules, domain, KB_ZONE_CLUSTER, false);

	snprintf(pod, sizeof(pod), "pod.%s", domain);
	return r == 0 ? kb_rules_add_zone(rules, pod, KB_ZONE_FOREIGN, true) : r;
}

int kb_rules_from_options(const struct kb_options *o, struct kb_rules *ret_rules, char *err,
			  size_t err_size)
{
	static const char *const reverse[] = {"in-addr.arpa", "ip6.arpa"};
	struct kb_rules rules = {.pods = KB_PODS_DISABLED, .ttl_s = (uint32_t)o->ttl_s};
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->cluster_domain.n; i++)
		r = add_domain(&rules, o->cluster_domain.v[i]);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		r = kb_rules_add_zone(&rules, reverse[i], KB_ZONE_REVERSE,
				      o->reverse == KB_REVERSE_LEAVE);
		if (r == -EEXIST)
			r = kb_config_fail(-EINVAL, err, err_size,
					   "--cluster-domain: %s is a reverse zone, give the "
					   "cluster's own domain",
					   reverse[i]);
	}
	if (r == 0 && o->kubernetes.n) {
		r = kb_corefile_kubernetes_lines(&o->kubernetes, &rules, err, err_size);
		if (r < 0) {
			kb_rules_free(&rules);
			return r;
		}
	}
	if (r == 0)
		r = kb_rules_add_stubs(&rules, o, err, err_size);
	if (r < 0) {
		if (r == -ENOMEM)
			kb_config_fail(r, err, err_size, "out of memory");
		kb_rules_free(&rules);
		return r;
	}
	*ret_rules = rules;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool kb_rules_same_options(const struct kb_rules *a, const struct kb_rules *b)
{
	if (a->pods != b->pods || a->endpoint_pod_names != b->endpoint_pod_names ||
	    a->no_endpoints != b->no_endpoints || a->ignore_empty != b->ignore_empty ||
	    a->n_namespaces != b->n_namespaces ||
	    !same_text(a->namespace_labels, b->namespace_labels) ||
	    !same_text(a->labels, b->labels))
		return false;
	for (size_t i = 0; i < a->n_namespaces; i++) {
		if (strcmp(a->namespaces[i], b->namespaces[i]) != 0)
			return false;
	}
	return true;
}

bool kb_rules_same(const struct kb_rules *a, const struct kb_rules *b)
{
	if (a->n_zones != b->n_zones || !kb_rules_same_options(a, b))
		return false;
	for (size_t i = 0; i < a->n_zones; i++) {
		const struct kb_zone_rule *x = &a->zones[i], *y = &b->zones[i];

		if (strcmp(x->name, y->name) != 0 || x->role != y->role ||
		    x->leave_misses != y->leave_misses)
			return false;
	}
	return true;
}

/* FNV-1a over text with its final NUL; "" and none differ. */
static uint64_t hash_text(uint64_t hash, const char *s)
{
	hash = (hash ^ (s ? 1 : 2)) * 0x100000001b3ULL;
	while (s && *s)
		hash = (hash ^ (unsigned char)*s++) * 0x100000001b3ULL;
	return hash;
}

uint32_t kb_rules_fingerprint(const struct kb_rules *rules)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	char flags[64];

	for (size_t i = 0; i < rules->n_zones; i++) {
		const struct kb_zone_rule *z = &rules->zones[i];

		snprintf(flags, sizeof(flags), "%d %d", z->role, z->leave_misses);
		hash = hash_text(hash_text(hash, z->name), flags);
	}
	snprintf(flags, sizeof(flags), "%d %d %d %d", rules->pods, rules->endpoint_pod_names,
		 rules->no_endpoints, rules->ignore_empty);
	hash = hash_text(hash, flags);
	for (size_t i = 0; i < rules->n_namespaces; i++)
		hash = hash_text(hash, rules->namespaces[i]);
	hash = hash_text(hash_text(hash, rules->namespace_labels), rules->labels);
	hash ^= hash >> 32;
	return (uint32_t)hash ? (uint32_t)hash : 1;
}

void kb_rules_free(struct kb_rules *rules)
{
	for (size_t i = 0; i < rules->n_zones; i++)
		free(rules->zones[i].name);
	for (size_t i = 0; i < rules->n_namespaces; i++)
		free(rules->namespaces[i]);
	free(rules->zones);
	free(rules->namespaces);
	free(rules->namespace_labels);
	free(rules->labels);
	memset(rules, 0, sizeof(*rules));
}
