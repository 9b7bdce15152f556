/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Handing queues of a NIC to workers of kbdns-dpdk that read them by AF_XDP (net_af_xdp): what
 * kbdns_xdp, kbdnsd and the workers have in common. Two arrays with a value for each queue
 * of each port, pinned beside the table:
 *
 *   kb_xsks        the queue's AF_XDP socket, entered and removed by its worker; the kernel removes
 *                  it when the socket is closed, however the worker ends
 *   kb_steer_beat  CLOCK_MONOTONIC ns of that worker's last poll (its coarse form will do), 0: none
 *
 * kbdns_xdp hands over what it would look up itself: queries to an intercept address, for the
 * port's own address, from a source that is served, of a size that the core reads. Everything else,
 * TCP too, is the kernel's as before. A queue without a socket, or whose worker has not polled for
 * KB_STEER_SILENT_NS, is answered in XDP: so neither start nor end nor stall of a worker is an
 * outage.
 *
 * Whether the worker will answer is not asked first: that takes the look-up, which is the whole
 * work. What it leaves it puts back into the kernel, by running kbdns_unsteer on it
 * (BPF_PROG_TEST_RUN): the frame is then received on the port as if it had never been taken out,
 * behind XDP, so that it cannot come round again. That holds where XDP is native; generic XDP runs
 * behind the place where frames are put back, so such ports are not handed over.
 */
#ifndef KB_CORE_STEER_H
#define KB_CORE_STEER_H

#include "ports.h"

#define KB_STEER_QUEUES 64 /* of a port; those behind are answered in XDP */
#define KB_STEER_KEYS	(KB_PORTS * KB_STEER_QUEUES)

#define KB_STEER_SILENT_NS 20000000ULL

/* Longest frame that is handed over: any query that the core reads with its headers, and some
 * padding. Workers' buffers hold more. */
#define KB_STEER_FRAME_MAX 1024

/* What struct kb_port_conf says of a port in this place. */
KB_INLINE __u32 kb_steer_port(__u32 place)
{
	return place * KB_STEER_QUEUES + 1;
}

/* The key of a queue; `steer` is its port's and not 0, queue < KB_STEER_QUEUES. */
KB_INLINE __u32 kb_steer_key(__u32 steer, __u32 queue)
{
	return steer - 1 + queue;
}

#endif
