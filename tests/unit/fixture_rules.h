/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for tests, of zones in one line: "cluster.local -in-addr.arpa -ip6.arpa !stub.example".
 * The role follows from the name, "!" makes it foreign and "-" leaves its misses.
 */
#ifndef KB_TESTS_FIXTURE_RULES_H
#define KB_TESTS_FIXTURE_RULES_H

#include "control/records/rules.h"

#define FIXTURE_ZONES "cluster.local !pod.cluster.local -in-addr.arpa -ip6.arpa"

/* Fills the zones of `rules`; storage lasts until the next call. */
static inline void fixture_zones(struct kb_rules *rules, const char *zones)
{
	static struct kb_zone_rule zone[32];
	static char text[2048];
	char *name, *save = NULL;

	snprintf(text, sizeof(text), "%s", zones);
	rules->zones = zone;
	rules->n_zones = 0;
	for (name = strtok_r(text, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		struct kb_zone_rule *z = &zone[rules->n_zones++];

		*z = (struct kb_zone_rule){name + strspn(name, "-!"), KB_ZONE_CLUSTER,
					   name[0] == '-'};
		if (name[0] == '!')
			z->role = KB_ZONE_FOREIGN;
		else if (strstr(z->name, "in-addr.arpa") || strstr(z->name, "ip6.arpa"))
			z->role = KB_ZONE_REVERSE;
	}
}

#endif
