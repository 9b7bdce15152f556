/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asked for which domain, as one source of configuration says it: the form that options,
 * a Corefile and the kube-dns ConfigMap have in common before they become routes. No I/O,
 * any thread.
 */
#ifndef KB_CONFIG_FORWARD_RULES_H
#define KB_CONFIG_FORWARD_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "control/config/upstreams.h"

/* Domains with servers of their own, of all sources together. */
#define KB_STUBS_MAX 1000

struct kb_forward_rule {
	char *domain;			/* owned; lower case, no final dot; "" is the root */
	struct kb_upstream_spec *specs; /* owned */
	size_t n;
	/* Owned or NULL: the servers of this file are asked as well. Without it and without specs
	 * nobody may be asked: names of the domain are SERVFAIL. */
	char *resolv_conf;
	struct kb_group_options options;
	bool has_policy; /* otherwise options.policy is not set */
};

struct kb_forward_rules {
	struct kb_forward_rule *v; /* owned */
	size_t n;
};

/* NULL if there is none for just this domain. */
struct kb_forward_rule *kb_forward_rules_find(const struct kb_forward_rules *rules,
					      const char *domain);
/* Appends one for a domain that has passed kb_parse_domain, or "". 0, -EEXIST when it is there
 * already, -E2BIG, -ENOMEM. *ret_rule is good until the next call. */
int kb_forward_rules_add(struct kb_forward_rules *rules, const char *domain,
			 struct kb_forward_rule **ret_rule);
/* Appends a server; one that is there counts once. 0, -E2BIG, -ENOMEM. */
int kb_forward_rule_add(struct kb_forward_rule *rule, const struct kb_upstream_spec *spec);
/* Servers and options of another rule; the domain stays. 0 or -ENOMEM. */
int kb_forward_rule_copy(struct kb_forward_rule *rule, const struct kb_forward_rule *from);
/* Lets go of what a rule owns. */
void kb_forward_rule_fini(struct kb_forward_rule *rule);
/* Lets go of what the rules own, and clears them. */
void kb_forward_rules_free(struct kb_forward_rules *rules);

#endif
