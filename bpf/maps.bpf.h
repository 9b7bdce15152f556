/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The maps of both programs, and the answer core's access to them. Everything but
 * kb_percpu, kb_events, kb_ports and what steer.h has is the shared table of
 * dataplane/core/layout.h.
 */
#ifndef KB_BPF_MAPS_H
#define KB_BPF_MAPS_H

#include "bpf/header.bpf.h"
#include "dataplane/core/event.h"
#include "dataplane/core/packet.h"
#include "dataplane/core/percpu.h"
#include "dataplane/core/steer.h"
#include "dataplane/core/worker_stats.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KB_ICEPT_BUCKETS);
	__type(key, __u32);
	__type(value, struct kb_icept_bucket);
} kb_icept SEC(".maps");

/* Generations differ in size, which needs BPF_F_INNER_MAP. */
struct kb_index_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct kb_bucket));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct kb_index_inner);
} kb_index SEC(".maps");

struct kb_arena_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct kb_page));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KB_PAGES_MAX);
	__type(key, __u32);
	__array(values, struct kb_arena_inner);
} kb_arena SEC(".maps");

/* Not read by the programs; made here, so that the table's maps are made in one place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_workers);
} kb_workers SEC(".maps");

/* Likewise. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KB_WORKER_STATS_MAX);
	__type(key, __u32);
	__type(value, struct kb_worker_counts);
} kb_worker_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KB_ENGINE_MAX);
	__type(key, __u32);
	__type(value, struct kb_percpu);
} kb_percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_PORTS);
	__type(key, __u32);
	__type(value, struct kb_port_conf);
} kb_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, KB_STEER_KEYS);
	__type(key, __u32);
	__type(value, __u32);
} kb_xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KB_STEER_KEYS);
	__type(key, __u32);
	__type(value, __u64);
} kb_steer_beat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, KB_EVENTS_SIZE);
} kb_events SEC(".maps");

struct kb_env {
	__u32 unused;
};

static inline const struct kb_bucket *kb_env_bucket(const struct kb_env *env, __u32 gen, __u32 n)
{
	__u32 slot = gen & 1;
	void *index = bpf_map_lookup_elem(&kb_index, &slot);

	(void)env;
	return index ? bpf_map_lookup_elem(index, &n) : NULL;
}

static inline const struct kb_page *kb_env_page(const struct kb_env *env, __u32 n)
{
	void *page = bpf_map_lookup_elem(&kb_arena, &n);
	__u32 zero = 0;

	(void)env;
	return page ? bpf_map_lookup_elem(page, &zero) : NULL;
}

static inline void kb_env_loop(__u32 n, long (*step)(__u32 i, void *arg), void *arg)
{
	bpf_loop(n, step, arg, 0);
}

static inline struct kb_percpu *kb_get_percpu(__u32 engine)
{
	return bpf_map_lookup_elem(&kb_percpu, &engine);
}

/* Runs of one CPU's softirq do not nest, so plain increments are enough. */
static inline void kb_count(struct kb_percpu *cpu, enum kb_counter id)
{
	cpu->counter[id]++;
}

#endif
