/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Corefile reader: whatever the text, it comes to an end, with rules that hold what they
 * promise or with an error that says something. The text is also taken as one line of --kubernetes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile.h"
#include "control/config/rules.h"
#include "dataplane/core/layout.h"
#include "tests/fuzz/make_routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct kb_corefile *c)
{
	const struct kb_rules *rules = &c->rules;

	if (rules->n_zones > KB_ZONES_MAX || rules->ttl_s > 3600)
		abort();
	for (size_t i = 0; i < rules->n_zones; i++) {
		if (rules->zones[i].role == KB_ZONE_FOREIGN && !rules->zones[i].leave_misses)
			abort();
		for (size_t j = 0; j < i; j++) {
			if (strcmp(rules->zones[i].name, rules->zones[j].name) == 0)
				abort();
		}
	}
	make_routes(&c->forward);
	for (size_t i = 0; i < c->n_notes; i++) {
		if (!c->notes[i].file || !c->notes[i].what || !c->notes[i].why)
			abort();
	}
}

static void one_line(char *text)
{
	struct kb_rules rules = {.ttl_s = 5};
	struct kb_strings lines = {&text, 1};
	char err[256] = "";
	int r;

	if (kb_rules_add_zone(&rules, "cluster.local", KB_ZONE_CLUSTER, false) < 0)
		abort();
	r = kb_corefile_kubernetes_lines(&lines, &rules, err, sizeof(err));
	if ((r < 0) != (*err != '\0') || rules.n_zones != 1)
		abort();
	kb_rules_free(&rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_corefile c;
	char err[256] = "";
	char *text;
	int r;

	r = kb_corefile_parse("fuzz", (const char *)data, size, &c, err, sizeof(err));
	if ((r < 0) != (*err != '\0'))
		abort();
	if (r == 0)
		check(&c);
	kb_corefile_free(&c);
	text = malloc(size + 1);
	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	one_line(text);
	free(text);
	return 0;
}
