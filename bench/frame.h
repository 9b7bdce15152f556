/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the generator writes and the benchmarks count; for BPF and for user space.
 */
#ifndef KB_BENCH_FRAME_H
#define KB_BENCH_FRAME_H

#include <linux/types.h>
#include <stdbool.h>

#define FRAME_IP4      0x0008 /* 0x0800 as loaded */
#define FRAME_UDP      17
#define FRAME_DNS_PORT 0x3500 /* 53 as loaded */

/* All headers before the question. */
struct frame {
	__u8 dst_mac[6], src_mac[6];
	__be16 ethertype;
	__u8 version_ihl, tos;
	__be16 tot_len, ip_id, frag_off;
	__u8 ttl, protocol;
	__be16 ip_csum;
	__be32 saddr, daddr;
	__be16 sport, dport, udp_len, udp_csum;
	__be16 id, flags, qd, an, ns, ar;
} __attribute__((packed));

_Static_assert(sizeof(struct frame) == 54, "headers of a query over IPv4");

/* A question, name, type and class: one cache line, so that asking costs the generator
 * one miss and leaves the caches to the responder. All questions of a run are equally
 * long, and so are the frames. */
#define QUESTION_MAX 64
struct question {
	__u8 b[QUESTION_MAX];
};

/* What is sent and what arrives at the far end, per CPU. */
struct arrivals {
	__u64 sent;    /* by the generator; a full ring drops some of it */
	__u64 frames;  /* all */
	__u64 replies; /* of those, QR is set */
	__u64 records; /* of those, NOERROR with an answer */
	__u64 nodata;  /* NOERROR without one */
	__u64 nxdomain;
};

#endif
