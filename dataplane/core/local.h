/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Local mode: addresses of the cluster DNS whose queries the node's forwarder takes. The map
 * kb_local, written by kbdnsd's main loop (control/datapath/local.c), read by kbdns_local_in and
 * kbdns_local_out.
 *
 *   pod --> 10.96.0.10 --[kbdns_local_in]--> 169.254.53.0 --> kbdnsd's socket
 *   pod <-- 10.96.0.10 <-[kbdns_local_out]-- 169.254.53.0 <-- (or the kernel: FIN, RST)
 *
 * Address i of the cluster DNS becomes internal address i of its family, which is the range's
 * first address plus i: so the way back follows from the packet alone, in fragments too, and
 * neither kbdnsd's death nor its state has a say in it.
 *
 * A slot keeps its address when it is no longer in force, for replies under way, and gets another
 * one only after a grace period.
 */
#ifndef KB_CORE_LOCAL_H
#define KB_CORE_LOCAL_H

#include "layout.h"

#define KB_LOCAL_SLOTS 8 /* of a family, a power of two */
#define KB_LOCAL_PORT  53

struct kb_local_slot {
	__u64 addr[2]; /* of the cluster DNS, network order bytes; IPv4 as ::ffff:a.b.c.d */
	__u64 on;      /* stored after addr */
};

struct kb_local {
	/* The internal address with index 0, its lowest bits (KB_LOCAL_SLOTS - 1) 0; as slots
	 * have them. All 0: none of this family. [0] is IPv4, [1] IPv6. */
	__u64 base[2][2];
	struct kb_local_slot slot[2][KB_LOCAL_SLOTS];
};

_Static_assert(sizeof(struct kb_local) == 32 + 2 * KB_LOCAL_SLOTS * 24, "no padding");

/* The index of an address is in its last byte. */
#define KB_LOCAL_INDEX_MASK ((__u64)(KB_LOCAL_SLOTS - 1) << 56)

/* Counted per CPU. Packets that are neither to port 53 of such an address nor from an internal one
 * are not counted. */
#define KB_LOCAL_COUNTERS(X)                                                                 \
	X(UDP, "rewritten_udp", "queries over UDP taken to the forwarder")                   \
	X(TCP, "rewritten_tcp", "segments of TCP taken to the forwarder")                    \
	X(REPLY, "rewritten_replies", "packets of the forwarder given the address asked")    \
	X(OFF, "left_off", "state is not FULL")                                              \
	X(STALE, "left_stale", "kbdnsd has not beaten within max_stale")                     \
	X(SOURCE, "left_source", "source address not within allow-from")                     \
	X(NO_SOCKET, "left_no_socket", "nobody listens at the internal address")             \
	X(NO_CONN, "left_no_connection", "segment of a TCP connection that is not kbdnsd's") \
	X(FRAGMENT, "left_fragment", "query in IP fragments")                                \
	X(UNREADABLE, "left_unreadable", "packet bytes could not be made readable")          \
	X(FAILED, "dropped_write_failed", "rewriting failed after the first write")

enum kb_local_counter {
#define KB_LOCAL_COUNTER_ID(id, name, help) KB_LOCAL_CNT_##id,
	KB_LOCAL_COUNTERS(KB_LOCAL_COUNTER_ID)
#undef KB_LOCAL_COUNTER_ID
		KB_LOCAL_CNT_MAX,
};

struct kb_local_counts {
	__u64 counter[KB_LOCAL_CNT_MAX];
};

/* The slot of an address of the cluster DNS that is in force, or -1. */
KB_INLINE int kb_local_find(const struct kb_local *l, __u32 family, __u64 a0, __u64 a1)
{
	__u32 i;

	KB_UNROLL
	for (i = 0; i < KB_LOCAL_SLOTS; i++) {
		const struct kb_local_slot *s = &l->slot[family & 1][i];

		if (kb_read_once(s->addr[1]) == a1 && kb_read_once(s->addr[0]) == a0 &&
		    kb_read_once(s->on))
			return (int)i;
	}
	return -1;
}

KB_INLINE int kb_local_is_internal(const struct kb_local *l, __u32 family, __u64 a0, __u64 a1)
{
	const __u64 *base = l->base[family & 1];

	return (a1 & ~KB_LOCAL_INDEX_MASK) == base[1] && a0 == base[0] && (base[0] | base[1]);
}

#define kb_local_index(a1) ((__u32)((a1) >> 56) & (KB_LOCAL_SLOTS - 1))

#endif
