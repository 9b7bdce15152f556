/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's access to a packet-path cache that is mapped into this process. Include it instead
 * of dataplane/core/pcache.h, in the files that answer.
 */
#ifndef KB_PCACHE_ENV_H
#define KB_PCACHE_ENV_H

#include <stddef.h>

#include "control/table/env.h"
#include "dataplane/core/pcache_read.h"

struct kb_pcache_env {
	const struct kb_bucket *index;
	const struct kb_page *arena;
	struct kb_pcache_use *use;
	__u32 buckets, pages;
};

static inline const struct kb_bucket *kb_pcache_bucket(const struct kb_pcache_env *env, __u32 n)
{
	return n < env->buckets ? env->index + n : NULL;
}

static inline const struct kb_page *kb_pcache_page(const struct kb_pcache_env *env, __u32 n)
{
	return n < env->pages ? env->arena + n : NULL;
}

static inline struct kb_pcache_use *kb_pcache_use_line(const struct kb_pcache_env *env, __u32 n)
{
	return n < env->pages * (KB_PCACHE_PAGE_CELLS / KB_PCACHE_USE_LINE) ? env->use + n : NULL;
}

#endif
