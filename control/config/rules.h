/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the rules of control/records/rules.h: from options here, from a Corefile in
 * corefile.h. No I/O, any thread.
 */
#ifndef KB_CONFIG_RULES_H
#define KB_CONFIG_RULES_H

#include <stddef.h>

#include "control/config/forward_rules.h"
#include "control/config/options.h"
#include "control/records/rules.h"

/*
 * The rules that options alone give: the cluster domains, in-addr.arpa and ip6.arpa (whose
 * unknown names are left with `--reverse leave`), the TTL, and the --kubernetes lines. Without
 * a line `pods` nothing says what names of pods mean: those are left. Returns 0, and ret_rules
 * has to be freed by kb_rules_free; or -errno with one line in err.
 */
int kb_rules_from_options(const struct kb_options *options, struct kb_rules *ret_rules, char *err,
			  size_t err_size);

/* Appends a zone; `name` is copied. Returns 0 (also when the same name with the same role is
 * there already), -EEXIST when it is there with another role, -ENOMEM. */
int kb_rules_add_zone(struct kb_rules *rules, const char *name, enum kb_zone_role role,
		      bool leave_misses);

/* A zone of ours that a domain is in, or that it is: *ret_apex. NULL: none. */
const struct kb_zone_rule *kb_rules_around(const struct kb_rules *rules, const char *domain,
					   bool *ret_apex);
/* Domains that have servers of their own become zones that are not ours, where they lie in one that
 * is; but a whole reverse zone only says who is asked for what is unknown in it. 0; -EEXIST, with
 * *ret_domain borrowed, when one is a cluster domain; -ENOMEM. */
int kb_rules_add_domains(struct kb_rules *rules, const struct kb_forward_rules *domains,
			 const char **ret_domain);
/* The options' stub domains become zones that are not ours, where they lie in one that is. 0 or
 * -errno; with -EEXIST one of them is the apex of ours, and err says so. */
int kb_rules_add_stubs(struct kb_rules *rules, const struct kb_options *options, char *err,
		       size_t err_size);

/* Do both give the same answers? Zones in order, and options, but for the TTL, which can be changed
 * without making records anew. */
bool kb_rules_same(const struct kb_rules *a, const struct kb_rules *b);
/* The options alone: neither zones nor TTL. */
bool kb_rules_same_options(const struct kb_rules *a, const struct kb_rules *b);

/* A number for all that kb_rules_same compares, never 0. */
uint32_t kb_rules_fingerprint(const struct kb_rules *rules);

/* Lets go of what the rules own, and clears them. */
void kb_rules_free(struct kb_rules *rules);

#endif
