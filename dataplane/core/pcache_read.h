/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The reader of the packet-path cache, see pcache.h. Like kb_answer_value() it writes nothing but
 * `out` and `r` of the scratch (and use bytes), and every offset and count that it reads is
 * bounded.
 *
 * An answer of one A record costs 118 ns more than one of the table's in xdp, 121 in tc, which take
 * 108 and 111 over an echo (bench/packet_cache, 1,000 names): the miss in the table and its zones,
 * the record's two cache lines, the use byte, and the compare of the name.
 *
 * EDNS options of a query are not looked at, ECS among them, as the forwarder's cache does not: it
 * never sends one on, so that no answer depends on one.
 */
#ifndef KB_CORE_PCACHE_READ_H
#define KB_CORE_PCACHE_READ_H

#include "answer.h"
#include "pcache.h"

struct kb_pcache_env; /* the engine's own, as struct kb_env */

static inline const struct kb_bucket *kb_pcache_bucket(const struct kb_pcache_env *env, __u32 n);
static inline const struct kb_page *kb_pcache_page(const struct kb_pcache_env *env, __u32 n);
/* Line n of the use bytes. */
static inline struct kb_pcache_use *kb_pcache_use_line(const struct kb_pcache_env *env, __u32 n);

/* May the forwarder have answered what the answer core has left because of `why`? */
KB_INLINE int kb_may_be_cached(const struct kb_header *hdr, int why)
{
	return (why == KB_CNT_NO_ZONE || why == KB_CNT_ZONE_LEAVE) &&
	       kb_read_once(hdr->pcache_epoch);
}

/*
 * kb_answer_value() has left the name for the reason `why`: is it one that the forwarder takes,
 * whatever comes? In a zone where we have names only while all of them are known: a name
 * that is not there yet must not be looked for elsewhere. And not where some of its names are known
 * to the records only: they may have come since the forwarder was asked.
 */
KB_INLINE int kb_is_outside(const struct kb_header *hdr, const struct kb_scratch *s, __u64 state,
			    int why)
{
	__u32 zone = s->labels.zone;

	if (why == KB_CNT_NO_ZONE)
		return kb_state_of(state) != KB_OFF;
	KB_BOUND(zone, KB_ZONES_MAX - 1);
	return why == KB_CNT_ZONE_LEAVE && kb_state_of(state) == KB_FULL &&
	       !(hdr->zone[zone].flags & (KB_ZONE_REFUSED | KB_ZONE_SKIPS | KB_ZONE_PODS));
}

KB_INLINE __u64 kb_pcache_in(const struct kb_bucket *bucket, __u64 tag)
{
	__u64 v0 = kb_read_once(bucket->slot[0].value), v1 = kb_read_once(bucket->slot[1].value);
	__u64 v2 = kb_read_once(bucket->slot[2].value), v3 = kb_read_once(bucket->slot[3].value);

	return kb_read_once(bucket->slot[0].tag) == tag	  ? v0
	       : kb_read_once(bucket->slot[1].tag) == tag ? v1
	       : kb_read_once(bucket->slot[2].tag) == tag ? v2
	       : kb_read_once(bucket->slot[3].tag) == tag ? v3
							  : 0;
}

/* Value of the entry with this tag, 0 if there is none. */
KB_INLINE __u64 kb_pcache_find(const struct kb_pcache_env *env, __u32 buckets, __u64 tag)
{
	const struct kb_bucket *bucket = kb_pcache_bucket(env, kb_pcache_place(tag, buckets, 0));
	__u64 value = bucket ? kb_pcache_in(bucket, tag) : 0;

	if (value)
		return value;
	bucket = kb_pcache_bucket(env, kb_pcache_place(tag, buckets, 1));
	return bucket ? kb_pcache_in(bucket, tag) : 0;
}

/* Is the question's name, `len` bytes, in lower case the one at `off` of the page? */
KB_LEAF int kb_pcache_same_name(const __u8 *msg, const struct kb_page *page, __u32 off, __u32 len)
{
	__u64 diff = 0;
	__u32 i;

	KB_BOUND(off, KB_PAGE_SIZE - 1);
	KB_BOUND(len, 255);
	for (i = 0; i < KB_NAME_MAX + 1; i += 8) {
		__u64 w;

		if (i >= len)
			break;
		w = kb_fold64(kb_load64(msg + KB_DNS_HDR + i));
		if (len - i < 8)
			w &= (1ULL << 8 * (len - i)) - 1;
		diff |= w ^ kb_load64(page->b + off + i);
	}
	return diff == 0;
}

/* Makes the `n` TTLs whose places stand at `off` of the page smaller by age_s. Returns what has to
 * be added to the body's sum for it, one's complement: less than reading all of it again. */
KB_LEAF __u64 kb_pcache_age(__u8 *out, const struct kb_page *page, __u32 off, __u32 n, __u32 age_s)
{
	__u64 sum = 0;
	__u32 i;

	KB_BOUND(n, 255);
	KB_BOUND(off, KB_PAGE_SIZE - 1);
	for (i = 0; i < KB_PATCHES_MAX; i++) {
		__u32 at, old, new;

		if (i >= n)
			break;
		at = kb_load16(page->b + off + 2 * i);
		KB_BOUND(at, KB_OUT_MASK);
		old = kb_load32(out + at);
		new = kb_swap32(kb_swap32(old) - age_s);
		kb_store32(out + at, new);
		old = ~old;
		sum += kb_csum_at((new & 0xffff) + (new >> 16) + (old & 0xffff) + (old >> 16), at);
	}
	return sum;
}

/* Notes that the record is given at `age` jiffies. Returns whether this query is to be let
 * through instead. */
KB_INLINE int kb_pcache_note(__u8 *use, const struct kb_pcache_rec *rec, __u64 age)
{
	__u32 u = kb_read_once(*use), uses = u & KB_PCACHE_USES, new;

	if (age >= rec->refresh && uses >= KB_PCACHE_POPULAR) {
		__u64 into = 4 * (age - rec->refresh), rest = rec->expires - rec->refresh;
		__u32 quarter = into < rest ? 1 : into < 2 * rest ? 2 : into < 3 * rest ? 3 : 4;

		if ((u & KB_PCACHE_QUARTER) >> 2 < quarter) {
			kb_write_once(*use, (__u8)((u & ~(__u32)KB_PCACHE_QUARTER) | quarter << 2));
			return 1;
		}
	}
	new = u | KB_PCACHE_VISITED;
	if (uses < KB_PCACHE_POPULAR)
		new ++;
	if (new != u)
		kb_write_once(*use, (__u8) new);
	return 0;
}

/* The flags that a question is kept under. */
KB_INLINE __u32 kb_pcache_key_flags(const struct kb_query *q)
{
	return q->flags3 | (q->dnssec_ok ? KB_PCACHE_DO : 0);
}

/*
 * Builds the answer to s->q into s->out and s->r if the record of `value`, of kb_pcache_find(),
 * gives it at `now` (jiffies64). Returns 0, or the counter that says why the packet is left:
 * `why`, the table's reason, if nothing is known here. `epoch` is hdr->pcache_epoch, read once,
 * before the value, and not 0.
 */
KB_INLINE int kb_pcache_answer_value(const struct kb_pcache_env *env, const struct kb_header *hdr,
				     struct kb_scratch *s, __u64 epoch, __u64 now, __u64 value,
				     int why)
{
	const struct kb_query *q = &s->q;
	__u32 key_flags = kb_pcache_key_flags(q), cell, off, hz = hdr->hz;
	__u64 age;
	const struct kb_pcache_rec *rec;
	const struct kb_page *page;
	struct kb_pcache_use *use;

	if (!value || !hz)
		return why;
	cell = (__u32)value - 1;
	page = kb_pcache_page(env, cell / KB_PCACHE_PAGE_CELLS);
	use = kb_pcache_use_line(env, cell / KB_PCACHE_USE_LINE);
	if (!page || !use)
		return why;
	off = cell % KB_PCACHE_PAGE_CELLS * KB_PCACHE_CELL;
	KB_BOUND(off, KB_PAGE_SIZE - KB_PCACHE_CELL);
	rec = (const struct kb_pcache_rec *)(page->b + off);
	age = now - rec->stored;
	if (rec->epoch != epoch || age >= rec->expires || rec->tail != q->tail ||
	    rec->key_flags != key_flags || rec->name_len != q->name.len ||
	    !kb_pcache_same_name(s->msg, page, off + (__u32)sizeof(*rec), q->name.len))
		return why;
	if (rec->len > kb_room(q) || rec->len > KB_BODY_MAX)
		return KB_CNT_CACHED_LIMIT;
	cell %= KB_PCACHE_USE_LINE;
	KB_BOUND(cell, KB_PCACHE_USE_LINE - 1);
	if (kb_pcache_note(&use->b[cell], rec, age))
		return KB_CNT_CACHED_REFRESH;
	s->r.an = rec->an;
	s->r.ns = rec->ns;
	s->r.ar = rec->ar;
	s->r.len = rec->len;
	/* RFC 6840 section 5.8 */
	s->r.rcode = rec->flags3 & (q->dnssec_ok || (s->msg[3] & KB_AD) ? 0xff : (__u8)~KB_AD);
	s->r.tc = rec->flags2 ^ KB_AA;
	kb_copy_from_page(s->out, 0, page, off + rec->body, rec->len);
	/* `age` is below `expires`: 32 bits. */
	s->r.sum = rec->sum +
		   kb_pcache_age(s->out, page, off + rec->ttls, rec->n_ttls, (__u32)age / hz);
	if (q->has_opt)
		kb_build_opt(s, hdr);
	return 0;
}

/* The same with the look-up. */
KB_INLINE int kb_pcache_answer(const struct kb_pcache_env *env, const struct kb_header *hdr,
			       struct kb_scratch *s, __u64 epoch, __u64 now, int why)
{
	const struct kb_query *q = &s->q;
	__u64 tag = kb_pcache_tag(q->name.hash, q->tail, kb_pcache_key_flags(q));

	if (!(q->flags2 & KB_RD))
		return why;
	return kb_pcache_answer_value(env, hdr, s, epoch, now,
				      kb_pcache_find(env, kb_read_once(hdr->pcache_buckets), tag),
				      why);
}

#endif
