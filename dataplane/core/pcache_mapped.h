/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The reader's access to a packet-path cache that is mapped into this process: what pcache_read.h
 * asks of an engine, for all engines outside the kernel.
 */
#ifndef KB_CORE_PCACHE_MAPPED_H
#define KB_CORE_PCACHE_MAPPED_H

#include "pcache_read.h"

/* Borrowed from the owner of the mappings. */
struct kb_pcache_env {
	const struct kb_bucket *index;
	const struct kb_page *arena;
	struct kb_pcache_use *use;
	__u32 buckets, pages;
};

static inline const struct kb_bucket *kb_pcache_bucket(const struct kb_pcache_env *env, __u32 n)
{
	return n < env->buckets ? env->index + n : (void *)0;
}

static inline const struct kb_page *kb_pcache_page(const struct kb_pcache_env *env, __u32 n)
{
	return n < env->pages ? env->arena + n : (void *)0;
}

static inline struct kb_pcache_use *kb_pcache_use_line(const struct kb_pcache_env *env, __u32 n)
{
	return n < env->pages * (KB_PCACHE_PAGE_CELLS / KB_PCACHE_USE_LINE) ? env->use + n
									    : (void *)0;
}

#endif
