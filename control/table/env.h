/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer core's access to a table that is mapped into this process. Include it
 * instead of dataplane/core/packet.h, in the files that answer.
 */
#ifndef KB_TABLE_ENV_H
#define KB_TABLE_ENV_H

#include <stddef.h>

#include "dataplane/core/percpu.h"

/* Borrowed from the owner of the mapping; may be refreshed between packets. */
struct kb_env {
	const struct kb_bucket *index[2]; /* by generation & 1 */
	__u32 buckets[2];		  /* over all replicas */
	struct kb_page *const *page;
	__u32 pages;
};

struct kb_table;

/* What answers come from right now. Valid until the table's next change, so on the
 * writer's thread fetch it anew for each query. */
void kb_table_env(const struct kb_table *t, struct kb_env *ret_env);

static inline const struct kb_bucket *kb_env_bucket(const struct kb_env *env, __u32 gen, __u32 n)
{
	return n < env->buckets[gen & 1] ? env->index[gen & 1] + n : NULL;
}

static inline const struct kb_page *kb_env_page(const struct kb_env *env, __u32 n)
{
	return n < env->pages ? env->page[n] : NULL;
}

static inline void kb_env_loop(__u32 n, long (*step)(__u32 i, void *arg), void *arg)
{
	for (__u32 i = 0; i < n; i++) {
		if (step(i, arg))
			break;
	}
}

#endif
