/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The headers around a reply: checksums, and how they are written over the query's. */
#ifndef KB_CORE_PACKET_H
#define KB_CORE_PACKET_H

#include "answer.h"
#include "flow.h"

/* What a number adds to a sum whose words have the network's order: modulo 0xffff the swap of
 * its bytes is a multiplication by 256. */
KB_INLINE __u64 kb_csum_be(__u32 n)
{
	return (__u64)n << 8;
}

/* Sum of the pseudo header; source and destination may be swapped at will. */
KB_INLINE __u64 kb_csum_pseudo(const struct kb_flow *f, __u32 udp_len)
{
	__u64 sum = kb_csum_be(udp_len + KB_IPPROTO_UDP);

	if (f->v6) {
		sum += (f->src[0] & 0xffffffff) + (f->src[0] >> 32);
		sum += (f->src[1] & 0xffffffff) + (f->src[1] >> 32);
		sum += (f->dst[0] & 0xffffffff) + (f->dst[0] >> 32);
		sum += (f->dst[1] & 0xffffffff) + (f->dst[1] >> 32);
	} else {
		sum += (f->src[1] >> 32) + (f->dst[1] >> 32);
	}
	return sum;
}

/* Sum of the reply's UDP header (checksum 0) and payload. */
KB_INLINE __u64 kb_csum_reply(const struct kb_flow *f, const struct kb_query *q,
			      const struct kb_reply *r, __u32 udp_len)
{
	__u64 sum = (__u64)f->sport + f->dport + q->id + kb_reply_flags(q, r);

	sum += kb_csum_be(udp_len + 1U + r->an + r->ns + r->ar);
	return sum + q->name.sum + kb_csum_at(r->sum + q->tail, q->name.len);
}

/*
 * Sum of the query's UDP header (checksum left out) and message. Returns 0 where that
 * would take a walk: with EDNS options, which few queries carry.
 */
KB_INLINE int kb_csum_query(const struct kb_flow *f, const struct kb_query *q, const __u8 *msg,
			    __u64 *ret_sum)
{
	__u64 sum = (__u64)f->sport + f->dport + kb_csum_be(f->dns_len + KB_UDP_HDR), opt;
	__u32 end = q->end;

	KB_BOUND(end, 511);
	sum += (__u64)kb_load32(msg) + kb_load32(msg + 4) + kb_load32(msg + 8);
	sum += q->name.sum + kb_csum_at(q->tail, q->name.len);
	if (q->has_opt) {
		if (f->dns_len != end + KB_OPT_LEN)
			return 0;
		opt = kb_load64(msg + end);
		opt = (opt & 0xffffffff) + (opt >> 32) + (kb_load32(msg + end + 7) >> 8);
		sum += kb_csum_at(opt, end);
	}
	*ret_sum = sum;
	return 1;
}

/* UDP checksum field of a sum: never 0, which would mean "none" (RFC 768, RFC 8200). */
KB_INLINE __u16 kb_csum_field(__u64 sum)
{
	__u16 c = (__u16)~kb_csum_fold(sum);

	return c ? c : 0xffff;
}

/*
 * Writes the reply's headers over the query's, from Ethernet to DNS. The frame is
 * `f->dns_off + dns_len` bytes long afterwards; the caller has made it so and has
 * proven that f->dns_off + 12 bytes can be written.
 */
KB_INLINE void kb_reply_headers(__u8 *pkt, int v6, const struct kb_flow *f,
				const struct kb_query *q, const struct kb_reply *r, __u32 dns_len,
				__u16 udp_csum)
{
	__u32 udp_len = dns_len + KB_UDP_HDR;
	__u8 *ip = pkt + KB_ETH_HDR, *udp;
	__u64 macs = kb_load64(pkt), rest = kb_load32(pkt + 8);

	kb_store64(pkt, macs >> 48 | rest << 16 | macs << 48);
	kb_store32(pkt + 8, (__u32)(macs >> 16));
	if (!v6) {
		__u32 src = (__u32)(f->dst[1] >> 32), dst = (__u32)(f->src[1] >> 32);
		__u32 len = udp_len + KB_IP4_HDR;
		/* version 4, ihl 5, tos 0; id 0 with DF; ttl 64, UDP */
		__u64 sum = 0x0045 + kb_csum_be(len) + 0x0040 + 0x1140 + src + dst;

		kb_store32(ip, 0x0045 | kb_swap32(len));
		kb_store32(ip + 4, 0x0040U << 16);
		kb_store32(ip + 8, 0x1140U | (__u32)(__u16)~kb_csum_fold(sum) << 16);
		kb_store32(ip + 12, src);
		kb_store32(ip + 16, dst);
		udp = ip + KB_IP4_HDR;
	} else {
		kb_store32(ip, 0x60);
		kb_store32(ip + 4, kb_swap32(udp_len << 16) | 0x4011U << 16);
		kb_store64(ip + 8, f->dst[0]);
		kb_store64(ip + 16, f->dst[1]);
		kb_store64(ip + 24, f->src[0]);
		kb_store64(ip + 32, f->src[1]);
		udp = ip + KB_IP6_HDR;
	}
	kb_store32(udp, (__u32)f->dport | (__u32)f->sport << 16);
	kb_store32(udp + 4, kb_swap32(udp_len << 16) | (__u32)udp_csum << 16);
	kb_reply_header(udp + KB_UDP_HDR, q, r);
}

#endif
