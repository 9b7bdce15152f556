/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For benchmarks in the kernel: kbdns's programs over a table of the real writer in BPF maps,
 * as control/datapath has it, without pins. Included by programs of one file each; one thread.
 */
#ifndef KB_BENCH_STORE_H
#define KB_BENCH_STORE_H

#include <unistd.h>

#include "bench/check.h"
#include "bench/gen.h"
#include "control/datapath/ports.h"
#include "control/pcache/pcache.h"
#include "control/table/env.h"
#include "control/table/table.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* in what bpftool writes */
#include "bpf/kbdns.skel.h"
#pragma GCC diagnostic pop

struct store {
	struct kbdns_bpf *skel;		   /* owned */
	struct kb_table *table;		   /* owned */
	struct kb_pcache_size pcache_size; /* given; 0: the programs have no packet-path cache */
	struct {
		struct kb_bucket *b;
		size_t bytes;
	} index[2]; /* mapped for as long as the process runs */
};

static inline int map_new(const char *name, uint32_t value_size, uint32_t n, uint32_t flags,
			  void **ret_map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | flags);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_size, n, &opts);

	if (fd < 0)
		return -errno;
	*ret_map = mmap(NULL, (size_t)((value_size + 7) & ~7U) * n, PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	if (*ret_map == MAP_FAILED) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static inline int put_inner(struct bpf_map *outer, uint32_t slot, int fd)
{
	int r = bpf_map_update_elem(bpf_map__fd(outer), &slot, &fd, BPF_ANY) ? -errno : 0;

	close(fd);
	return r;
}

static inline int store_index_new(void *arg, uint32_t slot, uint32_t n,
				  struct kb_bucket **ret_index)
{
	struct store *s = arg;
	void *map;
	int fd = map_new("index", sizeof(struct kb_bucket), n, BPF_F_INNER_MAP, &map);

	if (fd < 0)
		return fd;
	*ret_index = map;
	return put_inner(s->skel->maps.kb_index, slot, fd);
}

static inline int store_index_get(void *arg, uint32_t slot, uint32_t *ret_n,
				  struct kb_bucket **ret_index)
{
	(void)arg;
	(void)slot;
	(void)ret_n;
	(void)ret_index;
	return -ENOENT;
}

static inline void store_index_drop(void *arg, uint32_t slot)
{
	struct store *s = arg;

	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.kb_index), &slot);
}

static inline int store_page_new(void *arg, uint32_t n, uint32_t count, struct kb_page *ret_pages[])
{
	struct store *s = arg;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		void *map;
		int fd = map_new("page", sizeof(struct kb_page), 1, 0, &map);

		if (fd < 0)
			return fd;
		ret_pages[i] = map;
		r = put_inner(s->skel->maps.kb_arena, n + i, fd);
	}
	return r;
}

static inline int store_page_get(void *arg, uint32_t n, struct kb_page **ret_page)
{
	(void)arg;
	(void)n;
	(void)ret_page;
	return -ENOENT;
}

static inline void store_grace(void *arg)
{
	(void)arg; /* nobody reads while the table is filled */
}

static inline void *map_whole(struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		die("mmap", -errno);
	return p;
}

/* kind: "svc" for names that are there, "nos" for names of equal length that are not. */
static inline const char *service_name(char *buf, size_t size, const char *kind, uint32_t i)
{
	snprintf(buf, size, "%s-%06u.ns-%04u.svc.cluster.local", kind, i, i % 100);
	return buf;
}

/* Enters or changes the address of name i; changing it needs no grace period. */
static inline void store_put(struct store *s, uint32_t i, uint32_t addr)
{
	struct kb_entry entry = {.kind = KB_VALUE_A, .zone = 1, .addr = addr};
	struct question q;
	char name[64];
	uint32_t len = kb_gen_question(&q, service_name(name, sizeof(name), "svc", i), 1);

	check(name, kb_table_put(s->table, q.b, len - 4, &entry));
}

/* Loads the programs over a table of `names` A records, asked for over `path` and by the port
 * `ifindex`. */
static inline void store_fill(struct store *s, const struct kb_gen_path *path, uint32_t ifindex,
			      uint32_t names, uint32_t replicas)
{
	struct kb_backing backing = {.arg = s,
				     .index_new = store_index_new,
				     .index_get = store_index_get,
				     .index_drop = store_index_drop,
				     .page_new = store_page_new,
				     .page_get = store_page_get,
				     .grace = store_grace};
	struct kb_table_config config = {.replicas = replicas};
	static const uint8_t zone[] = "\7cluster\5local";
	uint8_t any4[4] = {10, 0, 0, 0};

	s->skel = kbdns_bpf__open();
	if (!s->skel)
		die("kbdns.bpf.o", -errno);
	if (s->pcache_size.pages) {
		uint32_t lines = s->pcache_size.pages * (KB_PCACHE_PAGE_CELLS / KB_PCACHE_USE_LINE);

		bpf_map__set_max_entries(s->skel->maps.kb_pcache_index, s->pcache_size.buckets);
		bpf_map__set_max_entries(s->skel->maps.kb_pcache_arena, s->pcache_size.pages);
		bpf_map__set_max_entries(s->skel->maps.kb_pcache_use, lines);
	}
	check("kbdns.bpf.o", kbdns_bpf__load(s->skel));
	backing.header = map_whole(s->skel->maps.kb_header, sizeof(struct kb_header));
	backing.icept = map_whole(s->skel->maps.kb_icept,
				  sizeof(struct kb_icept_bucket) * KB_ICEPT_BUCKETS);
	check("table", kb_table_new(&backing, &config, &s->table));
	check("zone", kb_table_zone_add(s->table, zone, sizeof(zone), 1, KB_ZONE_ANSWER));
	check("allow-from", kb_table_allow_add(s->table, 4, any4, 8));
	check("intercept", kb_table_icept_add(s->table, 4, (const uint8_t *)&path->daddr, 53));
	check("reserve", kb_table_reserve(s->table, names));
	for (uint32_t i = 0; i < names; i++) {
		store_put(s, i, htonl(0x0a600000 + i));
		kb_table_settle(s->table);
	}
	kb_table_set_ttl(s->table, 5);
	kb_table_set_udp_max(s->table, KB_UDP_MAX_DEFAULT);
	backing.header->deadline = UINT64_MAX >> 1; /* no heart needs to beat */
	check("port",
	      kb_ports_put(bpf_map__fd(s->skel->maps.kb_ports), ifindex, path->near_mac, false));
	kb_table_set_state(s->table, KB_FULL);
}

/* jiffies64 as the programs see it, by a beat; the deadline is then now. */
static inline uint64_t store_jiffies(struct store *s)
{
	uint64_t beat[2] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = beat, .ctx_size_in = sizeof(beat));

	check("heartbeat",
	      bpf_prog_test_run_opts(bpf_program__fd(s->skel->progs.kbdns_beat), &opts));
	return beat[1];
}

/* A generator of questions for all names of a store, or for as many that are not in it. */
static inline void gen_fill(struct kb_gen *g, const struct kb_gen_path *path, uint32_t names,
			    bool known, uint16_t type)
{
	const char *kind = known ? "svc" : "nos";
	struct question q;
	char name[64];
	uint32_t len = kb_gen_question(&q, service_name(name, sizeof(name), kind, 0), type);

	check("generator", kb_gen_new(g, path, names, len));
	for (uint32_t i = 0; i < names; i++)
		kb_gen_question(&g->questions[i], service_name(name, sizeof(name), kind, i), type);
}

#endif
