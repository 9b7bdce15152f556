/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DPDK engine proper: a burst of received frames in, replies out, built in the buffers that
 * the queries came in. It knows nothing of ports, rings or pins, and no DNS rule of its own:
 * what is answered and how is dataplane/core's, as for the other engines.
 *
 * A burst goes through phases over all its packets, so that one packet's cache misses pass
 * while the others are worked on:
 *
 *	headers		from Ethernet to DNS, and whether the query is admitted
 *	hash		of the name, see scan.h
 *	question	the rest of the message; the bucket of the name is prefetched
 *	look up		buckets are read; records are prefetched
 *	answer		the reply, over the query
 *
 * What the packet-path cache may answer follows behind, in phases of its own (cached.h).
 *
 * Every check comes before the first write: what is left is byte for byte what came, VLAN tags
 * included. Tags (up to two) are kept in replies; the kernel's engines leave tagged frames.
 *
 * One thread, that of the worker which owns the engine; nothing is allocated.
 */
#ifndef KB_DPDK_ENGINE_H
#define KB_DPDK_ENGINE_H

#include <stdbool.h>

#include <rte_mbuf.h>

#include "dataplane/core/mapped.h"
#include "dataplane/core/pcache.h"
#include "dataplane/core/ports.h"
#include "dataplane/core/worker_stats.h"
#include "dataplane/dpdk/scan.h"

struct kb_pcache_env;

/* One packet between the phases. */
struct kb_burst_item {
	struct rte_mbuf *m;
	const __u8 *msg; /* the DNS message, in the buffer */
	const struct kb_bucket *home;
	struct kb_flow flow;
	struct kb_query q;
	__u64 value; /* of the table; then the tag in the cache, and the cache's value */
	__u32 tags;  /* bytes of VLAN tags, 0, 4 or 8 */
};

/*
 * The table as all workers of a process see it. A thread that follows the table's writer changes
 * `gen`, and what stands in env for a generation only while gen[] says that there is none
 * and no worker is in a burst that began before it said so.
 */
struct kb_dpdk_table {
	const struct kb_header *hdr; /* borrowed, as all of it */
	const struct kb_icept_bucket *icept;
	struct kb_env env;
	__u64 gen[2]; /* kb_worker_gen() of env.index[], 0: none */
	__u64 newest; /* of the two, the one that was mapped last */
	/* The packet-path cache, NULL: none. Changed as env is: NULL, until no worker is in a burst
	 * that began before, lies between. */
	const struct kb_pcache_env *cache;
};

/* Of a burst: what waits for the packet-path cache; cached.c's. */
struct kb_dpdk_cached {
	const struct kb_pcache_env *env;
	__u64 epoch, now;
	__u32 buckets, n;
	__u8 why[KB_BURST_MAX]; /* enum kb_counter */
	struct kb_burst_item *item[KB_BURST_MAX];
};

struct kb_dpdk_engine {
	/* Set by the owner, changed between bursts only; pointers are borrowed. */
	const struct kb_dpdk_table *table;
	struct kb_worker_counts *stats;
	__u32 queue;	     /* selects the replica of the index */
	__u32 mtu;	     /* of the port; longer replies are left to the kernel */
	__u64 mac;	     /* kb_port_mac() of the port */
	__u32 ahead;	     /* frames: how far ahead of the parser they are prefetched */
	bool csum_offload;   /* the port completes UDP checksums, RTE_ETH_TX_OFFLOAD_UDP_CKSUM */
	bool timing;	     /* add the burst's phases to stats->cycles[] */
	kb_scan_names *scan; /* the fastest, unless the owner wants another */

	/* Between the phases. */
	__u8 reply_counter[KB_BURST_MAX]; /* KB_REPLY_TRUNCATED | enum kb_counter */
	struct kb_burst_item item[KB_BURST_MAX];
	struct kb_dpdk_cached cached;
	struct kb_scratch scratch;
};

/* Everything 0 or empty but for `ahead` and `scan`; the owner sets what is its to set. */
void kb_dpdk_engine_init(struct kb_dpdk_engine *e);

/*
 * Works on pkts[0..n), n <= KB_BURST_MAX. `now_ns` is CLOCK_MONOTONIC (its coarse form will do).
 * Returns how many are replies: these are then pkts[0..], in the order of their queries, those
 * out of the packet-path cache last; the n - replies others are in left[], which has room for n,
 * and are counted. All still belong to the caller. Nothing that was read from the table is needed
 * any more. The caller ends with kb_dpdk_engine_count().
 */
__u32 kb_dpdk_engine_burst(struct kb_dpdk_engine *e, __u64 now_ns, struct rte_mbuf **pkts, __u32 n,
			   struct rte_mbuf **left);

/* Counts the replies of the last burst: the first `sent` as answers, the others (up to `replies`)
 * as dropped because of `why`. */
void kb_dpdk_engine_count(struct kb_dpdk_engine *e, __u32 sent, __u32 replies, enum kb_counter why);

#endif
