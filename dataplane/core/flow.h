/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The headers around a query: what is looked at, and whether it may be answered at all.
 *
 * `pkt` starts at the Ethernet header. Offsets are fixed, since packets with IPv4
 * options, IPv6 extension headers or VLAN tags are left alone.
 */
#ifndef KB_CORE_FLOW_H
#define KB_CORE_FLOW_H

#include "query.h"

#define KB_ETH_HDR     14
#define KB_IP4_HDR     20
#define KB_IP6_HDR     40
#define KB_UDP_HDR     8
#define KB_HDRS4       (KB_ETH_HDR + KB_IP4_HDR + KB_UDP_HDR)
#define KB_HDRS6       (KB_ETH_HDR + KB_IP6_HDR + KB_UDP_HDR)
#define KB_ETHER_IP4   0x0008 /* 0x0800 as loaded */
#define KB_ETHER_IP6   0xdd86
#define KB_IPPROTO_UDP 17

/* Has some intercept a port like this? A bit says so for one port in 64. */
KB_INLINE int kb_icept_has_port(const struct kb_header *hdr, __be16 port)
{
	return kb_read_once(hdr->icept_ports) >> (kb_swap16(port) & 63) & 1;
}

struct kb_flow {
	__u64 src[2], dst[2]; /* IPv4 as ::ffff:a.b.c.d, network order bytes */
	__be16 sport, dport;
	__u16 dns_off;	/* from the Ethernet header */
	__u16 dns_len;	/* by the UDP header, never by the frame */
	__u16 udp_csum; /* as loaded */
	__u8 v6;
	__u8 pad;
};

/*
 * Reads the headers of a frame of `frame_len` bytes of which `have` can be read at
 * `pkt`. Returns 0 or the counter that says why this is no query of ours;
 * KB_CNT_UNREADABLE means that more bytes would have to be made readable first.
 */
KB_INLINE int kb_flow_parse(const __u8 *pkt, const __u8 *pkt_end, __u32 frame_len,
			    const struct kb_header *hdr, struct kb_flow *f)
{
	const __u8 *udp;
	__u32 ip_len, udp_len;

	if (pkt + KB_HDRS4 > pkt_end)
		return frame_len < KB_HDRS4 ? KB_CNT_NOT_IP : KB_CNT_UNREADABLE;
	if (kb_load16(pkt + 12) == KB_ETHER_IP4) {
		const __u8 *ip = pkt + KB_ETH_HDR;

		if (ip[9] != KB_IPPROTO_UDP)
			return KB_CNT_NOT_UDP;
		if (ip[0] != 0x45)
			return KB_CNT_IP_OPTIONS;
		/* MF or an offset: not the UDP header, or not all of the payload. */
		if (kb_load16(ip + 6) & 0xff3f)
			return KB_CNT_FRAGMENT;
		ip_len = kb_load16_be(ip + 2) - KB_IP4_HDR;
		if (kb_load16_be(ip + 2) < KB_IP4_HDR + KB_UDP_HDR ||
		    kb_load16_be(ip + 2) + KB_ETH_HDR > frame_len)
			return KB_CNT_LENGTH;
		udp = ip + KB_IP4_HDR;
		f->v6 = 0;
		f->src[0] = f->dst[0] = 0;
		f->src[1] = KB_V4MAPPED(kb_load32(ip + 12));
		f->dst[1] = KB_V4MAPPED(kb_load32(ip + 16));
		f->dns_off = KB_HDRS4;
	} else if (kb_load16(pkt + 12) == KB_ETHER_IP6) {
		const __u8 *ip = pkt + KB_ETH_HDR;
		__u32 next;

		if (pkt + KB_HDRS6 > pkt_end)
			return frame_len < KB_HDRS6 ? KB_CNT_NOT_UDP : KB_CNT_UNREADABLE;
		next = ip[6];
		if (next != KB_IPPROTO_UDP)
			/* Hop-by-hop, routing, fragment, AH, destination options, mobility. */
			return next == 44 ? KB_CNT_FRAGMENT
			       : next == 0 || next == 43 || next == 51 || next == 60 || next == 135
				       ? KB_CNT_IP_OPTIONS
				       : KB_CNT_NOT_UDP;
		if (ip[0] >> 4 != 6)
			return KB_CNT_LENGTH;
		ip_len = kb_load16_be(ip + 4);
		if (ip_len < KB_UDP_HDR || ip_len + KB_ETH_HDR + KB_IP6_HDR > frame_len)
			return KB_CNT_LENGTH;
		udp = ip + KB_IP6_HDR;
		f->v6 = 1;
		f->src[0] = kb_load64(ip + 8);
		f->src[1] = kb_load64(ip + 16);
		f->dst[0] = kb_load64(ip + 24);
		f->dst[1] = kb_load64(ip + 32);
		f->dns_off = KB_HDRS6;
	} else {
		return KB_CNT_NOT_IP;
	}
	f->sport = kb_load16(udp);
	f->dport = kb_load16(udp + 2);
	if (!kb_icept_has_port(hdr, f->dport))
		return KB_CNT_NOT_PORT;
	udp_len = kb_load16_be(udp + 4);
	if (udp_len < KB_UDP_HDR + KB_DNS_HDR || udp_len > ip_len)
		return KB_CNT_LENGTH;
	f->dns_len = (__u16)(udp_len - KB_UDP_HDR);
	f->udp_csum = kb_load16(udp + 6);
	return 0;
}

KB_INLINE int kb_icept_is(const struct kb_icept *e, const __u64 addr[2], __be16 port)
{
	return kb_read_once(e->addr[1]) == addr[1] &&
	       kb_read_once(e->meta) == (KB_ICEPT_VALID | port) &&
	       kb_read_once(e->addr[0]) == addr[0];
}

KB_LEAF int kb_icept_search(const struct kb_icept_bucket *bucket, const struct kb_flow *f)
{
	__u32 i;

	for (i = 1; i < KB_ICEPT_WAYS; i++) {
		if (kb_icept_is(&bucket->e[i], f->dst, f->dport))
			return 1;
	}
	return 0;
}

/* Is this destination one of the intercept addresses? `bucket` is the one that
 * kb_icept_hash() names. Nearly always it is the first entry, and a call costs more than
 * the compare. */
KB_INLINE int kb_icept_find(const struct kb_icept_bucket *bucket, const struct kb_flow *f)
{
	return kb_likely(kb_icept_is(&bucket->e[0], f->dst, f->dport)) ||
	       kb_icept_search(bucket, f);
}

/* Flags of the intercept that this destination is; 0 if it is none. */
KB_LEAF __u64 kb_icept_flags(const struct kb_icept_bucket *bucket, const struct kb_flow *f)
{
	__u32 i;

	for (i = 0; i < KB_ICEPT_WAYS; i++) {
		if (kb_icept_is(&bucket->e[i], f->dst, f->dport))
			return kb_read_once(bucket->e[i].flags);
	}
	return 0;
}

/* Does kbdnsd's forwarder answer for names outside what `engine` leaves of this destination? */
KB_INLINE int kb_icept_is_forwarded(const struct kb_icept_bucket *bucket, const struct kb_flow *f,
				    __u32 engine)
{
	__u64 wanted = engine == KB_ENGINE_TC ? KB_ICEPT_FORWARDED | KB_ICEPT_FORWARDED_TC
					      : KB_ICEPT_FORWARDED;

	return (kb_icept_flags(bucket, f) & wanted) != 0;
}

/*
 * Is the source an intercept address? Two nodes that answer each other's answers would do so for
 * ever; so engines that send out by the port that a frame came in by ask it of sources whose port
 * kb_icept_has_port(). `bucket` is the one that kb_icept_hash() names for the source.
 */
KB_LEAF int kb_icept_is_source(const struct kb_icept_bucket *bucket, const struct kb_flow *f)
{
	__u32 i;

	for (i = 0; i < KB_ICEPT_WAYS; i++) {
		if (kb_icept_is(&bucket->e[i], f->src, f->sport))
			return 1;
	}
	return 0;
}

KB_LEAF int kb_source_search(const struct kb_header *hdr, const struct kb_flow *f)
{
	__u32 i;

	if (!f->v6) {
		__be32 src = (__be32)(f->src[1] >> 32);

		for (i = 0; i < KB_ALLOW_MAX; i++) {
			if (i >= hdr->n_allow4)
				break;
			if ((src & hdr->allow4[i].mask) == hdr->allow4[i].net)
				return 1;
		}
		return 0;
	}
	for (i = 0; i < KB_ALLOW_MAX; i++) {
		const struct kb_allow6 *a = &hdr->allow6[i];

		if (i >= hdr->n_allow6)
			break;
		if ((f->src[0] & a->mask[0]) == a->net[0] && (f->src[1] & a->mask[1]) == a->net[1])
			return 1;
	}
	return 0;
}

/* Is the source within allow-from? The first prefix is tried without a call. */
KB_INLINE int kb_source_allowed(const struct kb_header *hdr, const struct kb_flow *f)
{
	if (!f->v6 && hdr->n_allow4 &&
	    ((__be32)(f->src[1] >> 32) & hdr->allow4[0].mask) == hdr->allow4[0].net)
		return 1;
	return kb_source_search(hdr, f);
}

/*
 * Checks that need no DNS: intercept, state, deadline, source. `icept` is the bucket that
 * kb_icept_hash() names; `stale`: is the deadline over, by the engine's clock? Returns 0 or the
 * counter that says why not.
 */
KB_INLINE int kb_admit(const struct kb_header *hdr, __u64 state, int stale,
		       const struct kb_icept_bucket *icept, const struct kb_flow *f)
{
	if (!kb_icept_find(icept, f))
		return KB_CNT_NOT_INTERCEPT;
	if (kb_state_of(state) == KB_OFF)
		return KB_CNT_OFF;
	if (stale)
		return KB_CNT_STALE;
	if (!kb_source_allowed(hdr, f))
		return KB_CNT_SOURCE;
	return 0;
}

#endif
