/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Parsing of one DNS query.
 *
 * Input is a whole DNS message at `msg`, `len` bytes, readable for KB_MSG_READ
 * bytes in BPF (masks prove it) and for len + 7 bytes elsewhere. No byte of it is
 * changed. The result is 0, or the counter that says why the fast path leaves the
 * packet; the socket engine derives its rcode from the same counter.
 */
#ifndef KB_CORE_QUERY_H
#define KB_CORE_QUERY_H

#include "layout.h"

#define KB_MSG_MAX  512		/* longest query that is read */
#define KB_MSG_READ (512 + 272) /* a masked offset plus a name */
#define KB_OPT_LEN  11

struct kb_query {
	struct kb_name_scan name; /* hash, sum and wire length of the qname */
	__u16 qtype;
	__u16 limit; /* largest DNS message the client takes over UDP */
	__u16 end;   /* offset of the first byte after the question */
	__u8 has_opt;
	__u8 dnssec_ok;
	__u8 flags2; /* RD of the query, as in byte 2 */
	__u8 flags3; /* CD of the query, as in byte 3 */
	__u16 id;    /* as loaded */
	__u32 tail;  /* the four bytes of qtype and qclass, as loaded */
};

KB_INLINE __u32 kb_load16_be(const __u8 *p)
{
	return kb_swap16(kb_load16(p));
}

/* An OPT record at msg + off must be the last thing in the message. */
KB_INLINE int kb_query_opt(const __u8 *msg, __u32 len, __u32 off, __u32 udp_max, struct kb_query *q)
{
	__u32 size;

	if (off + KB_OPT_LEN > len)
		return KB_CNT_OPT;
	KB_BOUND(off, 511);
	if (msg[off] != 0 || kb_load16_be(msg + off + 1) != KB_TYPE_OPT)
		return KB_CNT_OPT;
	if (kb_load16_be(msg + off + 9) != len - off - KB_OPT_LEN)
		return KB_CNT_OPT;
	if (msg[off + 6] != 0)
		return KB_CNT_EDNS_VERSION;
	size = kb_load16_be(msg + off + 3);
	q->limit = (__u16)(size < KB_UDP_MIN ? KB_UDP_MIN : size > udp_max ? udp_max : size);
	q->has_opt = 1;
	q->dnssec_ok = msg[off + 7] >> 7;
	return 0;
}

/* The 128..254 range but TXT-like 255 holds transfers, MAILA/B, TSIG, TKEY; 0 and OPT are
 * no questions either (RFC 6895 section 3.1). */
KB_INLINE int kb_qtype_is_meta(__u32 qtype)
{
	return qtype == 0 || qtype == KB_TYPE_OPT || (qtype >= 128 && qtype <= 254);
}

/* What stands before the name. Returns 0 or an enum kb_counter. */
KB_INLINE int kb_query_head(const __u8 *msg, __u32 len)
{
	if (len < KB_DNS_HDR)
		return KB_CNT_LENGTH;
	if (msg[2] & KB_QR)
		return KB_CNT_RESPONSE;
	if (msg[2] & KB_OPCODE)
		return KB_CNT_OPCODE;
	/* QDCOUNT 1, ANCOUNT 0; NSCOUNT 0, ARCOUNT 0 or 1. */
	if (kb_load32(msg + 4) != 0x00000100U || (kb_load32(msg + 8) & 0xfeffffffU) != 0)
		return KB_CNT_SECTIONS;
	return len > KB_MSG_MAX ? KB_CNT_OVERSIZE : 0;
}

/* The rest, for a message whose name has been scanned into q->name. Results are as
 * kb_query_parse()'s. */
KB_INLINE int kb_query_tail(const __u8 *msg, __u32 len, const struct kb_header *hdr,
			    struct kb_query *q)
{
	__u32 off = q->name.len, tail;

	q->end = 0;
	if (off == 0 || KB_DNS_HDR + off + 4 > len)
		return KB_CNT_QNAME;
	off += KB_DNS_HDR;
	KB_BOUND(off, 511);
	tail = kb_load32(msg + off);
	off += 4;
	q->qtype = kb_swap16(tail);
	q->tail = tail;
	q->end = (__u16)off;
	q->id = kb_load16(msg);
	q->flags2 = msg[2] & KB_RD;
	q->flags3 = msg[3] & KB_CD;
	q->limit = KB_UDP_MIN;
	q->has_opt = 0;
	q->dnssec_ok = 0;
	if (tail >> 16 != 0x0100)
		return KB_CNT_CLASS;
	if (kb_qtype_is_meta(q->qtype))
		return KB_CNT_QTYPE;
	if (msg[11] == 0)
		return off == len ? 0 : KB_CNT_OPT;
	return kb_query_opt(msg, len, off, hdr->udp_max, q);
}

/*
 * Returns 0 or an enum kb_counter. `q` is meaningful only after 0, except that
 * q->end is set (non-zero) as soon as a whole question has been read. Engines that scan the
 * names of many queries at once call its parts.
 */
KB_INLINE int kb_query_parse(const __u8 *msg, __u32 len, const struct kb_header *hdr,
			     struct kb_query *q)
{
	int why = kb_query_head(msg, len);

	q->end = 0;
	if (why)
		return why;
	kb_name_scan(msg, KB_DNS_HDR, len - KB_DNS_HDR, &hdr->key, &q->name);
	return kb_query_tail(msg, len, hdr, q);
}

#endif
