/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The answer core's access to a table that is mapped into this process: what lookup.h asks of an
 * engine, for all engines outside the kernel. Such an engine includes this instead of packet.h.
 */
#ifndef KB_CORE_MAPPED_H
#define KB_CORE_MAPPED_H

#include "percpu.h"

/* Borrowed from the owner of the mapping; may be refreshed between packets. */
struct kb_env {
	const struct kb_bucket *index[2]; /* by generation & 1 */
	__u32 buckets[2];		  /* over all replicas */
	struct kb_page *const *page;
	__u32 pages;
};

static inline const struct kb_bucket *kb_env_bucket(const struct kb_env *env, __u32 gen, __u32 n)
{
	return n < env->buckets[gen & 1] ? env->index[gen & 1] + n : (void *)0;
}

static inline const struct kb_page *kb_env_page(const struct kb_env *env, __u32 n)
{
	return n < env->pages ? env->page[n] : (void *)0;
}

static inline void kb_env_loop(__u32 n, long (*step)(__u32 i, void *arg), void *arg)
{
	for (__u32 i = 0; i < n; i++) {
		if (step(i, arg))
			break;
	}
}

#endif
