// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * For the far end of a veth that stands for a NIC: without a program there, the kernel
 * does not deliver what XDP_TX sends from this end.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

/* Where the MTU needs frames of several buffers. */
SEC("xdp.frags")
int pass_frags(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
