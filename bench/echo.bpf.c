// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Echo: the packet goes back the way an answer does, addresses swapped, and nothing is
 * looked at or looked up. What an answer costs over this is the DNS in it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bench/frame.h"

/* Swaps MACs, IPv4 addresses and ports; sums stay right. False: not a query of ours. */
static inline bool turn_round(void *data, void *end)
{
	struct frame *f = data;
	__u8 mac[6];
	__be32 addr;
	__be16 port;

	if ((void *)(f + 1) > end || f->ethertype != FRAME_IP4 || f->protocol != FRAME_UDP ||
	    f->dport != FRAME_DNS_PORT)
		return false;
	__builtin_memcpy(mac, f->dst_mac, 6);
	__builtin_memcpy(f->dst_mac, f->src_mac, 6);
	__builtin_memcpy(f->src_mac, mac, 6);
	addr = f->saddr;
	f->saddr = f->daddr;
	f->daddr = addr;
	port = f->sport;
	f->sport = f->dport;
	f->dport = port;
	return true;
}

SEC("xdp")
int echo_xdp(struct xdp_md *ctx)
{
	return turn_round((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_TX : XDP_PASS;
}

SEC("tc")
int echo_tc(struct __sk_buff *skb)
{
	if (!turn_round((void *)(long)skb->data, (void *)(long)skb->data_end))
		return TC_ACT_UNSPEC;
	return (int)bpf_redirect_peer(skb->ifindex, 0);
}

char LICENSE[] SEC("license") = "GPL";
