/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo cluster behind a responder, over the fake table. For one file of a test
 * program: it defines kb_table_env and kb_table_env_online.
 */
#ifndef KB_TESTS_RESPOND_WORLD_H
#define KB_TESTS_RESPOND_WORLD_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/respond.h"
#include "control/records/records.h"
#include "control/table/env.h"
#include "tests/unit/fake_table.h"
#include "tests/unit/fixture_cluster.h"
#include "tests/unit/fixture_rules.h"

#define WORLD_BUCKETS (1 << 14)
#define WORLD_LARGE   300 /* addresses of the headless Service large.default */
#define WORLD_SLICES  5

struct world {
	struct kb_table *table;
	struct kb_records *records;
	struct kb_sink sink;
	struct kb_responder *responder;
};

void kb_table_env(const struct kb_table *t, struct kb_env *ret_env)
{
	static struct kb_page *pages[KB_PAGES_MAX];
	uint32_t n = 0;

	while (n < KB_PAGES_MAX && fake_table_page(t, n)) {
		pages[n] = (struct kb_page *)(uintptr_t)fake_table_page(t, n);
		n++;
	}
	*ret_env = (struct kb_env){.page = pages, .pages = n};
	ret_env->index[0] = fake_table_bucket(t, 0);
	ret_env->buckets[0] = WORLD_BUCKETS;
}

void kb_table_env_online(const struct kb_table *t, __u32 gen, struct kb_env *ret_env)
{
	(void)gen;
	kb_table_env(t, ret_env);
}

static inline void world_state(struct world *w, enum kb_state state)
{
	fake_table_header(w->table)->state = kb_state_word(0, state);
}

/* large.default: n addresses, a thousand to a slice. */
static inline void world_add_large(struct world *w, unsigned int n)
{
	static char line[32768];

	fixture_apply(&w->sink, "svc default/large headless http:tcp:80");
	for (unsigned int slice = 0, i = 0; slice < WORLD_SLICES; slice++) {
		int pos = sprintf(line, "slice default/large-%u large http:tcp:80 ", slice);
		unsigned int first = i;

		for (; i < n && i < (slice + 1) * 1000; i++)
			pos += sprintf(line + pos, "%s10.9.%u.%u", i > first ? "," : "", i / 200,
				       i % 200 + 1);
		if (i == first)
			strcpy(line + pos, "-");
		fixture_apply(&w->sink, line);
	}
}

static inline struct world *world_with(const char *zones, struct kb_rules rules)
{
	struct kb_records_config config = {
		.rules = &rules,
		.dns_services = {"kube-system/kube-dns"},
		.n_dns_services = 1,
	};
	struct world *w = calloc(1, sizeof(*w));
	char err[256] = "";

	assert(w);
	rules.ttl_s = 5;
	fixture_zones(&rules, zones);
	w->table = fake_table_new(WORLD_BUCKETS);
	if (kb_records_new(&config, w->table, &w->records, err, sizeof(err)) < 0 ||
	    kb_responder_new(w->table, w->records, &w->responder) < 0) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	kb_records_sink(w->records, &w->sink);
	fixture_list(&w->sink, fixture_cluster);
	world_add_large(w, WORLD_LARGE);
	return w;
}

static inline struct world *world_new(void)
{
	return world_with(FIXTURE_ZONES, (struct kb_rules){0});
}

static inline void world_free(struct world *w)
{
	kb_responder_free(w->responder);
	kb_records_free(w->records);
	fake_table_free(w->table);
	free(w);
}

#endif
