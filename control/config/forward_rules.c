/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/forward_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kb_forward_rule *kb_forward_rules_find(const struct kb_forward_rules *rules,
					      const char *domain)
{
	for (size_t i = 0; i < rules->n; i++) {
		if (strcmp(rules->v[i].domain, domain) == 0)
			return &rules->v[i];
	}
	return NULL;
}

int kb_forward_rules_add(struct kb_forward_rules *rules, const char *domain,
			 struct kb_forward_rule **ret_rule)
{
	struct kb_forward_rule *v;
	char *copy;

	if (kb_forward_rules_find(rules, domain))
		return -EEXIST;
	if (rules->n > KB_STUBS_MAX) /* and the root */
		return -E2BIG;
	copy = strdup(domain);
	v = realloc(rules->v, (rules->n + 1) * sizeof(*v));
	if (v)
		rules->v = v;
	if (!copy || !v) {
		free(copy);
		return -ENOMEM;
	}
	v[rules->n] = (struct kb_forward_rule){.domain = copy, .options = KB_GROUP_DEFAULTS};
	*ret_rule = &v[rules->n++];
	return 0;
}

int kb_forward_rule_add(struct kb_forward_rule *rule, const struct kb_upstream_spec *spec)
{
	struct kb_upstream_spec *v;

	for (size_t i = 0; i < rule->n; i++) {
		if (kb_upstream_spec_same(&rule->specs[i], spec))
			return 0;
	}
	if (rule->n == KB_STUB_ADDRS_MAX)
		return -E2BIG;
	v = realloc(rule->specs, (rule->n + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	rule->specs = v;
	v[rule->n++] = *spec;
	return 0;
}

int kb_forward_rule_copy(struct kb_forward_rule *rule, const struct kb_forward_rule *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = kb_forward_rule_add(rule, &from->specs[i]);
	if (r == 0 && from->resolv_conf) {
		rule->resolv_conf = strdup(from->resolv_conf);
		r = rule->resolv_conf ? 0 : -ENOMEM;
	}
	rule->options = from->options;
	rule->has_policy = from->has_policy;
	return r;
}

void kb_forward_rule_fini(struct kb_forward_rule *rule)
{
	free(rule->domain);
	free(rule->specs);
	free(rule->resolv_conf);
}

void kb_forward_rules_free(struct kb_forward_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		kb_forward_rule_fini(&rules->v[i]);
	free(rules->v);
	memset(rules, 0, sizeof(*rules));
}
