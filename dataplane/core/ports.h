/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The NICs that kbdns_xdp serves: the array map kb_ports, written by kbdnsd's main loop
 * (control/datapath/ports.c), read for each query. A hash map costs 22 ns more for each of them.
 *
 * A port stands in one of the KB_PORT_PROBES places from ifindex on, modulo KB_PORTS; which
 * one is the writer's choice. A reader that does not find it in the first looks at all the
 * others, so that removal leaves no marks and ports that share a place do not disturb each other.
 */
#ifndef KB_CORE_PORTS_H
#define KB_CORE_PORTS_H

#include "types.h"

#define KB_PORTS       256
#define KB_PORT_PROBES 8

struct kb_port_conf {
	__u32 ifindex; /* 0: the place is free */
	__u32 steer;   /* 1 + the key of its queue 0, see steer.h; 0: is not handed over */
	__u64 mac;     /* kb_port_mac() of the port; frames to other addresses are left alone */
};

KB_INLINE __u32 kb_port_place(__u32 ifindex, __u32 probe)
{
	return (ifindex + probe) & (KB_PORTS - 1);
}

/* The six bytes at the start of a frame as a number; eight must be readable. */
KB_INLINE __u64 kb_port_mac(const __u8 *frame)
{
	return kb_load64(frame) & 0xffffffffffffULL;
}

KB_INLINE int kb_port_is(const struct kb_port_conf *port, __u32 ifindex, __u64 mac)
{
	return kb_read_once(port->ifindex) == ifindex && kb_read_once(port->mac) == mac;
}

#endif
