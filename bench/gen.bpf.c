// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Generator of queries in the kernel, and what counts the replies.
 *
 * gen_xdp is run by BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES: each frame comes
 * from a page pool with whatever its last user left in it, gets fresh headers and a
 * question taken at random, and is sent out of the far end of a veth. bench/gen.h drives
 * it.
 *
 *   gen_xdp --redirect--> far ~veth~ near: responder --reply--> far: count_xdp or count_tc
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bench/frame.h"

const volatile __u32 question_len; /* 8..QUESTION_MAX, name, type and class */
const volatile __u32 n_questions;
const volatile __u32 far_ifindex;
/* The struct frame of every query, but for the id, and two bytes that the question goes
 * over. Words, since a copy of the struct would not be volatile and fold to zeroes. */
const volatile __u64 header[7];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before loading */
	__type(key, __u32);
	__type(value, struct question);
} questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct arrivals);
} arrivals SEC(".maps");

struct word {
	__u64 v;
} __attribute__((packed));

SEC("xdp")
int gen_xdp(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 r = bpf_get_prandom_u32(), n = (__u32)(((__u64)r * n_questions) >> 32), zero = 0, i;
	struct arrivals *a = bpf_map_lookup_elem(&arrivals, &zero);
	const struct question *q = bpf_map_lookup_elem(&questions, &n);
	struct frame *f = (void *)data;
	__u8 *to = data + sizeof(*f);
	/* Constant for the verifier, which prunes what lies behind it. */
	__u32 len = question_len;

	if (!q || !a || len < 8 || len > QUESTION_MAX || to + len > end)
		return XDP_ABORTED;
#pragma unroll
	for (i = 0; i < 7; i++)
		((struct word *)(data + 8 * i))->v = header[i];
	f->id = (__u16)r; /* low bits choose no name */
#pragma unroll
	for (i = 0; i < QUESTION_MAX; i += 8) {
		if (i + 8 <= len)
			((struct word *)(to + i))->v = ((const struct word *)(q->b + i))->v;
	}
	/* The rest, overlapping. */
	((struct word *)(to + len - 8))->v = ((const struct word *)(q->b + len - 8))->v;
	a->sent++;
	return (int)bpf_redirect(far_ifindex, 0);
}

static inline void count(void *data, void *end)
{
	const struct frame *f = data;
	__u32 zero = 0;
	struct arrivals *a = bpf_map_lookup_elem(&arrivals, &zero);
	__u32 rcode;

	if (!a || (void *)(f + 1) > end || f->ethertype != FRAME_IP4)
		return;
	a->frames++;
	if (!(f->flags & 0x80)) /* QR as loaded */
		return;
	a->replies++;
	rcode = f->flags >> 8 & 15;
	if (rcode == 3)
		a->nxdomain++;
	else if (rcode == 0 && f->an)
		a->records++;
	else if (rcode == 0)
		a->nodata++;
}

SEC("xdp")
int count_xdp(struct xdp_md *ctx)
{
	count((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	return XDP_DROP;
}

SEC("tc")
int count_tc(struct __sk_buff *skb)
{
	count((void *)(long)skb->data, (void *)(long)skb->data_end);
	return TC_ACT_SHOT;
}

/* Stands for a NIC: the far end of a veth needs a program to take XDP_TX. */
SEC("xdp")
int pass_xdp(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
