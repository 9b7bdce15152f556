// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* At tc ingress: the kernel's stack gets nothing of what arrives, packet sockets get all. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int drop(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
