/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer core's access to a fake table, as an engine has it.
 */
#ifndef KB_TESTS_FAKE_ENV_H
#define KB_TESTS_FAKE_ENV_H

#include "dataplane/core/percpu.h"
#include "tests/unit/fake_table.h"

struct kb_env {
	const struct kb_table *table;
};

static inline const struct kb_bucket *kb_env_bucket(const struct kb_env *env, __u32 gen, __u32 n)
{
	(void)gen;
	return fake_table_bucket(env->table, n);
}

static inline const struct kb_page *kb_env_page(const struct kb_env *env, __u32 n)
{
	return fake_table_page(env->table, n);
}

static inline void kb_env_loop(__u32 n, long (*step)(__u32 i, void *arg), void *arg)
{
	for (__u32 i = 0; i < n; i++) {
		if (step(i, arg))
			break;
	}
}

#endif
