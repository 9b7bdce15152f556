/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The packet-path cache (dataplane/core/pcache.h) in BPF: its maps, and when it is asked.
 */
#ifndef KB_BPF_CACHE_H
#define KB_BPF_CACHE_H

#include "bpf/maps.bpf.h"
#include "dataplane/core/pcache_read.h"

/* Their numbers of elements are set before loading, see control/datapath/load.c. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_bucket);
} kb_pcache_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_page);
} kb_pcache_arena SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_pcache_use);
} kb_pcache_use SEC(".maps");

struct kb_pcache_env {
	__u32 unused;
};

static inline const struct kb_bucket *kb_pcache_bucket(const struct kb_pcache_env *env, __u32 n)
{
	(void)env;
	return bpf_map_lookup_elem(&kb_pcache_index, &n);
}

static inline const struct kb_page *kb_pcache_page(const struct kb_pcache_env *env, __u32 n)
{
	(void)env;
	return bpf_map_lookup_elem(&kb_pcache_arena, &n);
}

static inline struct kb_pcache_use *kb_pcache_use_line(const struct kb_pcache_env *env, __u32 n)
{
	(void)env;
	return bpf_map_lookup_elem(&kb_pcache_use, &n);
}

/*
 * What kb_may_be_cached(): 0 and the answer in the scratch of `engine`'s kb_percpu, otherwise the
 * counter to leave the query by. Not static, so that it is verified once and on its own, see
 * kb_tc_outside.
 */
__attribute__((noinline)) int kb_cached(__u32 engine, __u64 state, int why)
{
	const struct kb_header *hdr = kb_get_header();
	struct kb_percpu *cpu = kb_get_percpu(engine);
	const struct kb_icept_bucket *icept;
	struct kb_pcache_env env = {0};
	__u64 epoch;
	__u32 n;

	if (!hdr || !cpu)
		return why;
	n = kb_icept_hash(cpu->flow.dst[0], cpu->flow.dst[1], cpu->flow.dport);
	icept = bpf_map_lookup_elem(&kb_icept, &n);
	epoch = kb_read_once(hdr->pcache_epoch);
	if (!epoch || !kb_is_outside(hdr, &cpu->s, state, why) || !icept ||
	    !kb_icept_is_forwarded(icept, &cpu->flow, engine))
		return why;
	return kb_pcache_answer(&env, hdr, &cpu->s, epoch, bpf_jiffies64(), why);
}

#endif
