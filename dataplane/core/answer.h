/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a value to the bytes that follow the question.
 *
 * The reply is the query's own header and question, with flags and counts
 * rewritten, followed by `out`: answer, authority and additional sections, with the
 * OPT record last. Nothing is written outside `out` and `r`; the engine copies `out`
 * behind the question after every check has passed.
 *
 * A result of 0 means answer; otherwise it is the counter that says why the packet
 * is left alone. A torn or half-built record cannot be met (layout.h), but every
 * offset and count read from the table is bounded all the same.
 */
#ifndef KB_CORE_ANSWER_H
#define KB_CORE_ANSWER_H

#include "lookup.h"

#define KB_OUT_MASK 2047
#define KB_OUT_SIZE (2048 + 64) /* a masked offset plus the widest fixed store */
#define KB_SOA_LEN  54

struct kb_reply {
	__u16 an, ns, ar;
	__u16 len;  /* bytes in out */
	__u8 rcode; /* and, of a forwarder's answer, RA and AD: bits of byte 3 */
	__u8 tc;    /* KB_TC, and KB_AA for an answer without it; else 0 */
	__u8 pad[6];
	__u64 sum; /* one's complement sum of out, little-endian words, unfolded */
};

/* Folds a sum of little-endian words to 16 bits, not complemented; 0 only if the sum is. */
KB_INLINE __u16 kb_csum_fold(__u64 sum)
{
#ifndef __bpf__
	__u32 half;

	/* Rotated and added, the upper half is both halves with the carry come round. BPF has no
	 * rotation. */
	sum += sum >> 32 | sum << 32;
	half = (__u32)(sum >> 32);
	half += half >> 16 | half << 16;
	return (__u16)(half >> 16);
#else
	sum = (sum & 0xffffffff) + (sum >> 32); /* 33 bits, then 18, 17, 16 */
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
#endif
}

/* The same sum for data that starts at an odd offset: its bytes swap places (RFC 1071
 * section 2), which is a multiplication by 256 modulo 0xffff. `sum` is below 2^48; no packet's
 * is larger. */
KB_INLINE __u64 kb_csum_at(__u64 sum, __u32 off)
{
	return sum << (off & 1) * 8;
}

/* Everything one query needs, in one place that outlives no packet. In BPF it is a
 * per-CPU map value; elsewhere the caller's. */
struct kb_scratch {
	__u8 pad[4]; /* puts the qname on an 8-byte boundary */
	__u8 msg[KB_MSG_READ];
	__u8 pad2[4];
	__u8 out[KB_OUT_SIZE] KB_ALIGNED(8);
	struct kb_query q;
	struct kb_reply r;
	struct kb_labels labels;
};

/* Bytes of out that this client leaves for records, the OPT record set aside. */
KB_INLINE __u32 kb_room(const struct kb_query *q)
{
	return (__u32)q->limit - q->end - (q->has_opt ? (__u32)KB_OPT_LEN : 0);
}

KB_INLINE void kb_put_rr(__u8 *out, __u32 owner, __u32 type, __be32 ttl, __u32 rdlen)
{
	kb_store16(out, kb_swap16(0xc000 | owner));
	kb_store16(out + 2, kb_swap16(type));
	kb_store16(out + 4, kb_swap16(1)); /* IN */
	kb_store32(out + 6, ttl);
	kb_store16(out + 10, kb_swap16(rdlen));
}

KB_INLINE __u64 kb_put_word(__u8 *out, __u64 w)
{
	kb_store64(out, w);
	return (w & 0xffffffff) + (w >> 32);
}

/*
 * The two commonest records are written as whole words, and summed in registers: reading
 * back what smaller stores have just written stalls for longer than all of this takes.
 * Both return the sum.
 */
KB_INLINE __u64 kb_put_a(__u8 *out, __u32 owner, __be32 ttl, __be32 addr)
{
	__u64 head = (__u64)kb_swap16(0xc000 | owner) | 0x010001000000ULL | (__u64)ttl << 48;
	__u64 tail = (__u64)(ttl >> 16) | 0x04000000ULL | (__u64)addr << 32;

	return kb_put_word(out, head) + kb_put_word(out + 8, tail);
}

/* The SOA of a zone that starts at offset `apex` of the message: owner, ns.dns.APEX and
 * hostmaster.APEX by pointers, so that it has one length for all zones. Two zero bytes are
 * written behind it. */
KB_INLINE __u64 kb_put_soa(__u8 *out, __u32 apex, const struct kb_header *hdr)
{
	const __u64 refresh = kb_swap32(KB_SOA_REFRESH), retry = kb_swap32(KB_SOA_RETRY);
	const __u64 expire = kb_swap32(KB_SOA_EXPIRE);
	__u64 ttl = hdr->patch[KB_PATCH_SOA_TTL], minimum = hdr->patch[KB_PATCH_TTL];
	__u64 serial = hdr->patch[KB_PATCH_SERIAL], ptr = kb_swap16(0xc000 | apex), sum;

	/* owner, SOA, IN, TTL... */
	sum = kb_put_word(out, ptr | 0x010006000000ULL | ttl << 48);
	/* ...length 42, 2 "ns" 3 */
	sum += kb_put_word(out + 8, ttl >> 16 | 0x2a000000ULL | 0x03736e02ULL << 32);
	/* "dns" pointer, 10 "ho" */
	sum += kb_put_word(out + 16, 0x736e64ULL | ptr << 24 | 0x6f680aULL << 40);
	sum += kb_put_word(out + 24, 0x7265747361ULL << 24 | 0x6d7473ULL); /* "stmaster" */
	sum += kb_put_word(out + 32, ptr | serial << 16 | refresh << 48);
	sum += kb_put_word(out + 40, refresh >> 16 | retry << 16 | expire << 48);
	return sum + kb_put_word(out + 48, expire >> 16 | minimum << 16);
}

/* Long runs of bytes go in blocks: faster, and an open loop over all their words is followed
 * by 6.1's verifier for half a million instructions. Where the blocks end is computed before
 * their loop, lest each of its exits be a path of its own. */
#define KB_BLOCK 64

/* Copies `len` bytes, up to seven more are written behind them. */
KB_LEAF void kb_copy_from_page(__u8 *out, __u32 pos, const struct kb_page *page, __u32 off,
			       __u32 len)
{
	__u32 i, k, whole = len, rest_pos, rest_off;

	KB_BOUND(whole, KB_OUT_MASK & ~(KB_BLOCK - 1));
	rest_pos = pos + whole;
	rest_off = off + whole;
	KB_BOUND(whole, KB_OUT_MASK);
	KB_BOUND(off, KB_PAGE_SIZE - 1);
	for (i = 0; i < KB_OUT_MASK; i += KB_BLOCK) {
		__u32 to = pos + i;

		if (i >= whole)
			break;
		KB_BOUND(to, KB_OUT_MASK);
		KB_UNROLL
		for (k = 0; k < KB_BLOCK; k += 8)
			kb_store64(out + to + k, kb_load64(page->b + off + i + k));
	}
	KB_BOUND(len, KB_BLOCK - 1);
	KB_BOUND(rest_pos, KB_OUT_MASK);
	KB_BOUND(rest_off, KB_PAGE_SIZE - 1);
	for (i = 0; i < KB_BLOCK; i += 8) {
		if (i >= len)
			break;
		kb_store64(out + rest_pos + i, kb_load64(page->b + rest_off + i));
	}
}

/* Copies a suffix of the question's name in lower case. */
KB_LEAF void kb_copy_name(__u8 *out, __u32 pos, const __u8 *msg, __u32 off, __u32 len)
{
	__u32 i;

	KB_BOUND(len, 255);
	for (i = 0; i < KB_NAME_MAX + 1; i += 8) {
		__u32 to = pos + i, from = off + i;

		if (i >= len)
			break;
		KB_BOUND(to, KB_OUT_MASK);
		KB_BOUND(from, 511);
		kb_store64(out + to, kb_fold64(kb_load64(msg + from)));
	}
}

/* One's complement sum of out as little-endian words, unfolded; zeroes up to seven
 * bytes behind the end to do so. For all answers but the two commonest kinds: carrying
 * stored sums through rotation, patches and odd offsets would cost more than it saves. */
KB_LEAF __u64 kb_out_sum(__u8 *out, __u32 len)
{
	__u64 sum = 0, w;
	__u32 i, k, whole = len, rest;

	KB_BOUND(len, KB_OUT_MASK);
	kb_store64(out + len, 0);
	KB_BOUND(whole, KB_OUT_MASK & ~(KB_BLOCK - 1));
	rest = whole;
	KB_BOUND(whole, KB_OUT_MASK);
	for (i = 0; i < KB_OUT_MASK; i += KB_BLOCK) {
		if (i >= whole)
			break;
		KB_UNROLL
		for (k = 0; k < KB_BLOCK; k += 8) {
			w = kb_load64(out + i + k);
			sum += (__u32)w;
			sum += w >> 32;
		}
	}
	KB_BOUND(rest, KB_OUT_MASK);
	KB_BOUND(len, KB_BLOCK - 1);
	for (i = 0; i < KB_BLOCK; i += 8) {
		if (i >= len)
			break;
		w = kb_load64(out + rest + i);
		sum += (__u32)w;
		sum += w >> 32;
	}
	return sum;
}

/* Fills the TTLs of `n` records of equal size. */
KB_LEAF void kb_patch_ttls(__u8 *out, __u32 n, __u32 rr_len, __be32 ttl)
{
	__u32 i, at = 6;

	KB_BOUND(n, 255);
	for (i = 0; i < KB_BODY_MAX / 16; i++) {
		if (i >= n)
			break;
		KB_BOUND(at, KB_OUT_MASK);
		kb_store32(out + at, ttl);
		at += rr_len;
	}
}

/* Applies the patch list at page offset `off`. */
KB_LEAF void kb_patch_list(__u8 *out, const struct kb_page *page, __u32 off, __u32 n,
			   const struct kb_header *hdr)
{
	__u32 i;

	KB_BOUND(n, 255);
	KB_BOUND(off, KB_PAGE_SIZE - 1);
	for (i = 0; i < KB_PATCHES_MAX; i++) {
		__u32 patch, at;

		if (i >= n)
			break;
		patch = kb_load16(page->b + off + 2 * i);
		at = kb_patch_off(patch);
		KB_BOUND(at, KB_OUT_MASK);
		kb_store32(out + at, hdr->patch[kb_patch_kind(patch) & (KB_PATCH_MAX - 1)]);
	}
}

/* The page offset of the set for `qtype` in the record at `off`; 0 if the type does not
 * exist (NODATA), 1 if it is to be left. Sets never start at offsets 0 or 1. */
KB_LEAF __u32 kb_set_find(const struct kb_page *page, __u32 off, __u32 qtype)
{
	__u32 i, n, flags, other = 0;
	__be16 want = kb_swap16(qtype);

	KB_BOUND(off, KB_PAGE_SIZE - 1);
	n = page->b[off];
	flags = page->b[off + 1];
	for (i = 0; i < KB_REC_SETS_MAX; i++) {
		__u32 dir, set;

		if (i >= n)
			break;
		dir = kb_load32(page->b + off + 4 + 4 * i);
		set = off + (dir >> 16) * KB_UNIT;
		if ((dir & 0xffff) == want)
			return set;
		if ((dir & 0xffff) == 0)
			other = set;
	}
	if (qtype == KB_TYPE_ANY)
		return 0;
	if (other)
		return other;
	return flags & KB_REC_OTHER_LEAVE;
}

/* A number for each query that an asker does not choose twice alike: rotation needs
 * no more. */
KB_INLINE __u32 kb_rotation(const struct kb_query *q)
{
	return (q->id * 0x9e3779b1U) >> 16;
}

/* KB_FORM_WIRE: copy, rotate, cut, patch. */
KB_LEAF void kb_build_wire(struct kb_scratch *s, const struct kb_header *hdr,
			   const struct kb_page *page, __u32 off)
{
	struct kb_reply *r = &s->r;
	__u32 room = kb_room(&s->q), len, rr_len, n, start, body, flags, patches;

	KB_BOUND(off, KB_PAGE_SIZE - 1);
	flags = page->b[off + 1];
	r->rcode = page->b[off + 2];
	rr_len = page->b[off + 3];
	r->an = kb_load16(page->b + off + 4);
	r->ns = kb_load16(page->b + off + 6);
	r->ar = kb_load16(page->b + off + 8);
	len = kb_load16(page->b + off + 10);
	patches = kb_load16(page->b + off + 12);
	body = off + sizeof(struct kb_set);
	r->tc = flags & KB_SET_MORE ? KB_TC : 0;
	if (len > room || len > KB_BODY_MAX) {
		r->tc = KB_TC;
		if (!rr_len || len > KB_BODY_MAX) {
			r->an = r->ns = r->ar = 0;
			r->len = 0;
			return;
		}
	}
	if (!rr_len) {
		kb_copy_from_page(s->out, 0, page, body, len);
		kb_patch_list(s->out, page, body + ((len + 1) & ~1U), patches, hdr);
		r->len = (__u16)len;
		return;
	}
	n = r->an;
	start = 0;
	if (n > 1 && (flags & KB_SET_ROTATE) && (hdr->flags & KB_FLAG_ROTATE))
		start = kb_rotation(&s->q) % n;
	/* The first piece may write up to seven bytes too many: the second one, or the
	 * OPT record, goes over them. */
	kb_copy_from_page(s->out, 0, page, body + start * rr_len, (n - start) * rr_len);
	if (start)
		kb_copy_from_page(s->out, (n - start) * rr_len, page, body, start * rr_len);
	if (n * rr_len > room) {
		n = room / rr_len;
		r->an = (__u16)n;
	}
	kb_patch_ttls(s->out, n, rr_len, hdr->patch[KB_PATCH_TTL]);
	r->len = (__u16)(n * rr_len);
}

struct kb_srv_self {
	struct kb_scratch *s;
	const struct kb_header *hdr;
	const struct kb_page *page;
	__u32 off;  /* of the set */
	__u32 skip; /* bytes of the question's name that the target does not have */
	__u32 tlen; /* of the target */
	__u32 pos;  /* in out */
};

/* Writes SRV record i. */
KB_STEP long kb_srv_self_step(__u32 i, void *arg)
{
	struct kb_srv_self *v = arg;
	__u32 pos = v->pos, off = v->off, tlen = v->tlen;
	__u8 *out = v->s->out;

	KB_BOUND(pos, KB_OUT_MASK);
	KB_BOUND(off, KB_PAGE_SIZE - 1);
	KB_BOUND(i, KB_SRV_SELF_MAX - 1);
	kb_put_rr(out + pos, KB_DNS_HDR, KB_TYPE_SRV, v->hdr->patch[KB_PATCH_TTL], 6 + tlen);
	kb_store32(out + pos + 12, kb_load32(v->page->b + off + 16 + 6 * i));
	kb_store16(out + pos + 16, kb_load16(v->page->b + off + 20 + 6 * i));
	kb_copy_name(out, pos + 18, v->s->msg, KB_DNS_HDR + v->skip, tlen);
	v->pos = pos + 18 + tlen;
	return 0;
}

/* KB_FORM_SRV_SELF: see layout.h. */
KB_LEAF void kb_build_srv_self(struct kb_scratch *s, const struct kb_header *hdr,
			       const struct kb_page *page, __u32 off, __be32 addr)
{
	struct kb_srv_self v = {.s = s, .hdr = hdr, .page = page, .off = off};
	struct kb_reply *r = &s->r;
	__u32 n, pos;

	KB_BOUND(off, KB_PAGE_SIZE - 1);
	n = kb_load16(page->b + off + 4);
	v.skip = kb_load16(page->b + off + 14);
	v.tlen = s->q.name.len - v.skip;
	r->rcode = 0;
	r->ns = r->an = r->ar = 0;
	r->len = 0;
	if (v.skip >= s->q.name.len || n > KB_SRV_SELF_MAX ||
	    n * (18 + v.tlen) + 16 > kb_room(&s->q)) {
		r->tc = KB_TC;
		return;
	}
	kb_env_loop(n, kb_srv_self_step, &v);
	pos = v.pos;
	KB_BOUND(pos, KB_OUT_MASK);
	kb_put_a(s->out + pos, KB_DNS_HDR + v.skip, hdr->patch[KB_PATCH_TTL], addr);
	r->an = (__u16)n;
	r->ar = 1;
	r->len = (__u16)(pos + 16);
}

/* Writes v in decimal at out + pos, returns the number of digits. */
KB_INLINE __u32 kb_put_decimal(__u8 *out, __u32 pos, __u32 v)
{
	__u32 n = 0;

	KB_BOUND(pos, KB_OUT_MASK);
	if (v >= 100)
		out[pos + n++] = (__u8)('0' + v / 100);
	if (v >= 10)
		out[pos + n++] = (__u8)('0' + v / 10 % 10);
	out[pos + n++] = (__u8)('0' + v % 10);
	return n;
}

/* KB_FORM_PTR_DASHED: see layout.h. */
KB_LEAF void kb_build_ptr_dashed(struct kb_scratch *s, const struct kb_header *hdr,
				 const struct kb_page *page, __u32 off, __be32 addr)
{
	struct kb_reply *r = &s->r;
	__u32 len, pos = 13;

	KB_BOUND(off, KB_PAGE_SIZE - 1);
	len = kb_load16(page->b + off + 10);
	r->rcode = 0;
	r->an = r->ns = r->ar = 0;
	r->len = 0;
	/* 12 bytes of record, a label of at most 15 digits and dashes, the name. */
	if (len > KB_NAME_MAX || 12 + 16 + len > kb_room(&s->q)) {
		r->tc = KB_TC;
		return;
	}
	pos += kb_put_decimal(s->out, pos, addr & 0xff);
	s->out[pos++ & KB_OUT_MASK] = '-';
	pos += kb_put_decimal(s->out, pos, addr >> 8 & 0xff);
	s->out[pos++ & KB_OUT_MASK] = '-';
	pos += kb_put_decimal(s->out, pos, addr >> 16 & 0xff);
	s->out[pos++ & KB_OUT_MASK] = '-';
	pos += kb_put_decimal(s->out, pos, addr >> 24);
	s->out[12] = (__u8)(pos - 13);
	kb_put_rr(s->out, KB_DNS_HDR, KB_TYPE_PTR, hdr->patch[KB_PATCH_TTL], pos - 12 + len);
	kb_copy_from_page(s->out, pos, page, off + sizeof(struct kb_set), len);
	r->an = 1;
	r->len = (__u16)(pos + len);
}

/* A negative answer: the zone starts at byte `apex` of the message. */
KB_INLINE void kb_build_negative(struct kb_scratch *s, const struct kb_header *hdr, __u32 apex,
				 __u32 rcode)
{
	s->r.sum = kb_put_soa(s->out, apex, hdr);
	s->r.an = 0;
	s->r.ns = 1;
	s->r.ar = 0;
	s->r.rcode = (__u8)rcode;
	s->r.len = KB_SOA_LEN;
}

KB_INLINE void kb_build_opt(struct kb_scratch *s, const struct kb_header *hdr)
{
	__u64 head = 0x290000ULL | (__u64)kb_swap16(hdr->udp_max) << 24 |
		     (s->q.dnssec_ok ? 0x80ULL << 56 : 0);
	__u64 sum = (head & 0xffffffff) + (head >> 32);
	__u32 pos = s->r.len;

	KB_BOUND(pos, KB_OUT_MASK);
	kb_store64(s->out + pos, head);
	kb_store32(s->out + pos + 7, s->q.dnssec_ok ? 0x80U : 0);
	s->r.sum += kb_csum_at(sum, pos);
	s->r.len = (__u16)(pos + KB_OPT_LEN);
	s->r.ar++;
}

/* The name is not in the table: what does that mean? */
KB_INLINE int kb_answer_miss(const struct kb_view *view, struct kb_scratch *s)
{
	const struct kb_header *hdr = view->hdr;
	__u32 len = s->q.name.len, zi, skips;
	const struct kb_zone *zone;

	if (!kb_zone_find_near(s->msg, len, hdr, &s->labels)) {
		int why = kb_zone_search(s->msg, len, hdr, &s->labels);

		if (why)
			return why;
	}
	zi = s->labels.zone;
	KB_BOUND(zi, KB_ZONES_MAX - 1);
	zone = &hdr->zone[zi];
	if (!(zone->flags & KB_ZONE_ANSWER))
		return KB_CNT_ZONE_LEAVE;
	if (kb_state_of(view->state) != KB_FULL)
		return KB_CNT_HITS_ONLY;
	skips = zone->flags & KB_ZONE_SKIPS;
	if (skips && kb_skipped(view, s->msg, len, &s->labels, 3))
		return KB_CNT_NAME_LEAVE;
	if ((skips || ((zone->flags & KB_ZONE_PODS) && kb_below_pod(s->msg, &s->labels))) &&
	    kb_skipped(view, s->msg, len, &s->labels, 2))
		return KB_CNT_NAME_LEAVE;
	kb_build_negative(s, hdr, KB_DNS_HDR + len - zone->len, KB_RCODE_NXDOMAIN);
	return 0;
}

/* Does kb_answer_value() read s->msg for this value? Engines that parse a message where it lies
 * copy it only then, from its header to the end of the question and seven bytes more. */
KB_INLINE int kb_answer_reads_msg(const struct kb_query *q, __u64 value)
{
	__u32 kind = kb_value_kind(value);

	if (kind == KB_VALUE_NONE)
		return 1; /* for the zone */
	/* For a name that the record does not have. */
	return kb_value_ref(value) && !(kind == KB_VALUE_A && q->qtype == KB_TYPE_A);
}

/*
 * Builds the answer to s->q from `value` (kb_lookup's) into s->out and s->r. Returns 0
 * or the counter that says why not.
 */
KB_INLINE int kb_answer_value(const struct kb_view *view, struct kb_scratch *s, __u64 value)
{
	const struct kb_header *hdr = view->hdr;
	__u32 kind = kb_value_kind(value), ref = kb_value_ref(value), set = 0;
	__u32 qtype = s->q.qtype;

	s->r.tc = 0;
	if (kind == KB_VALUE_A && qtype == KB_TYPE_A) {
		s->r.sum = kb_put_a(s->out, KB_DNS_HDR, hdr->patch[KB_PATCH_TTL],
				    kb_value_addr(value));
		s->r.an = 1;
		s->r.ns = 0;
		s->r.ar = 0;
		s->r.rcode = 0;
		s->r.len = 16;
		goto opt;
	}
	if (kind == KB_VALUE_NONE) {
		int why = kb_answer_miss(view, s);

		if (why)
			return why;
		goto opt;
	}
	if (kind == KB_VALUE_LEAVE)
		return KB_CNT_NAME_LEAVE;
	if (kind > KB_VALUE_LEAVE)
		return KB_CNT_INCOMPLETE;
	if (ref) {
		const struct kb_page *page = kb_env_page(view->env, ref / KB_PAGE_UNITS);
		__u32 form;

		if (!page)
			return KB_CNT_INCOMPLETE;
		set = kb_set_find(page, ref % KB_PAGE_UNITS * KB_UNIT, qtype);
		if (set == KB_REC_OTHER_LEAVE)
			return KB_CNT_NAME_LEAVE;
		if (set) {
			KB_BOUND(set, KB_PAGE_SIZE - 1);
			form = page->b[set];
			if (form == KB_FORM_WIRE)
				kb_build_wire(s, hdr, page, set);
			else if (form == KB_FORM_SRV_SELF)
				kb_build_srv_self(s, hdr, page, set, kb_value_addr(value));
			else if (form == KB_FORM_PTR_DASHED)
				kb_build_ptr_dashed(s, hdr, page, set, kb_value_addr(value));
			else
				return KB_CNT_INCOMPLETE;
			s->r.sum = kb_out_sum(s->out, s->r.len);
		}
	}
	if (!set) {
		__u32 zlen = hdr->zone_len[kb_value_zone(value)];

		if (zlen == 0 || zlen > s->q.name.len)
			return KB_CNT_INCOMPLETE;
		kb_build_negative(s, hdr, KB_DNS_HDR + s->q.name.len - zlen, KB_RCODE_NOERROR);
	}
opt:
	if (s->q.has_opt)
		kb_build_opt(s, hdr);
	return 0;
}

/* Which answered_* counter a built reply belongs to. */
KB_INLINE enum kb_counter kb_reply_counter(const struct kb_reply *r)
{
	if (r->rcode) {
		if (r->rcode & KB_RA)
			return KB_CNT_CACHED;
		if (r->rcode == KB_RCODE_NXDOMAIN)
			return KB_CNT_NXDOMAIN;
	}
	return r->an || r->tc ? KB_CNT_ANSWERED : KB_CNT_NODATA;
}

/* Bytes 2 and 3 of the reply's header, as one little-endian half word. */
KB_INLINE __u16 kb_reply_flags(const struct kb_query *q, const struct kb_reply *r)
{
	__u32 b2 = (KB_QR | KB_AA | q->flags2) ^ r->tc;
	__u32 b3 = q->flags3 | r->rcode;

	return (__u16)(b2 | b3 << 8);
}

/* Fills the twelve bytes of the reply's DNS header. */
KB_INLINE void kb_reply_header(__u8 *dns, const struct kb_query *q, const struct kb_reply *r)
{
	kb_store32(dns, (__u32)q->id | (__u32)kb_reply_flags(q, r) << 16);
	kb_store32(dns + 4, kb_swap32(1U << 16 | r->an));
	kb_store32(dns + 8, kb_swap32((__u32)r->ns << 16 | r->ar));
}

#endif
