// SPDX-License-Identifier: Apache-2.0
/* See engine.h. */
#include "dataplane/dpdk/engine.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/core/pcache_mapped.h"
#include "dataplane/dpdk/cached.h"

#define KB_REPLY_TRUNCATED 0x80

_Static_assert(KB_CNT_MAX <= KB_REPLY_TRUNCATED, "a counter's number and a bit are a byte");

#define VLAN_8021Q  0x0081 /* 0x8100 as loaded */
#define VLAN_8021AD 0xa888 /* 0x88a8 as loaded */
#define VLAN_TAG    4	   /* bytes */
#define VLAN_TAGS   2	   /* that are looked behind */

/* An answer is copied in words up to here; longer ones by memcpy(). */
#define WORDS_MAX 128
/* KB_INLINE below: left to itself the compiler makes calls of what has two callers, at 30
 * instructions for each query. */

/* What may be written or read behind the end of a message. */
#define SLACK 16

void kb_dpdk_engine_init(struct kb_dpdk_engine *e)
{
	memset(e, 0, sizeof(*e));
	e->ahead = KB_AHEAD_DEFAULT;
	e->scan = kb_scan_best();
}

static inline __u32 vlan_tags(const __u8 *pkt, __u32 len)
{
	__u32 tags = 0;

	while (tags < VLAN_TAGS * VLAN_TAG && len >= KB_HDRS4 + tags + VLAN_TAG) {
		__u32 type = kb_load16(pkt + 12 + tags);

		if (kb_likely(type != VLAN_8021Q && type != VLAN_8021AD))
			break;
		tags += VLAN_TAG;
	}
	return tags;
}

static __attribute__((noinline)) int from_icept(const struct kb_dpdk_table *table,
						const struct kb_flow *f)
{
	return kb_icept_is_source(&table->icept[kb_icept_hash(f->src[0], f->src[1], f->sport)], f);
}

/* From a frame to its DNS message. Returns 0 or the counter that says why the packet is left. */
KB_INLINE int parse_headers(const struct kb_dpdk_engine *e, const struct kb_view *view, int stale,
			    struct kb_burst_item *it)
{
	const struct rte_mbuf *m = it->m;
	const __u8 *pkt = rte_pktmbuf_mtod(m, const __u8 *);
	__u32 len = m->data_len, room = (__u32)m->buf_len - m->data_off, off, icept;
	struct kb_flow *f = &it->flow;
	int why;

	/* Several segments: as the kernel's engines, only what lies in one piece is read. */
	if (kb_unlikely(m->nb_segs != 1))
		return KB_CNT_UNREADABLE;
	/* A tag that the port has taken off would be missing in the reply. */
	if (kb_unlikely(m->ol_flags & (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED)))
		return KB_CNT_NOT_IP;
	it->tags = vlan_tags(pkt, len);
	why = kb_flow_parse(pkt + it->tags, pkt + len, len - it->tags, view->hdr, f);
	if (why)
		return why;
	icept = kb_icept_hash(f->dst[0], f->dst[1], f->dport);
	why = kb_admit(view->hdr, view->state, stale, &e->table->icept[icept], f);
	if (why)
		return why;
	if (kb_unlikely(kb_port_mac(pkt) != e->mac || (pkt[6] & 1)))
		return KB_CNT_NOT_OURS;
	if (kb_unlikely(kb_icept_has_port(view->hdr, f->sport)) && from_icept(e->table, f))
		return KB_CNT_LOOP;
	off = it->tags + f->dns_off;
	it->msg = pkt + off;
	why = kb_query_head(it->msg, f->dns_len);
	if (why)
		return why;
	return kb_unlikely(off + f->dns_len + KB_SCAN_SLACK > room) ? KB_CNT_UNREADABLE : 0;
}

/* What a value refers to, so that it is there when the reply is built: the directory of the
 * record and, for most records, the set. */
static inline void prefetch_record(const struct kb_view *view, __u64 value)
{
	__u32 ref = kb_value_ref(value);
	const struct kb_page *page;

	if (!ref)
		return;
	page = kb_env_page(view->env, ref / KB_PAGE_UNITS);
	if (!page)
		return;
	rte_prefetch0(page->b + ref % KB_PAGE_UNITS * KB_UNIT);
	rte_prefetch0(page->b + ref % KB_PAGE_UNITS * KB_UNIT + 64);
}

/* Copies `len` bytes in words; up to seven more are written. */
static inline void copy_words(__u8 *to, const __u8 *from, __u32 len)
{
	if (kb_unlikely(len > WORDS_MAX)) {
		memcpy(to, from, len);
		return;
	}
	for (__u32 i = 0; i < len; i += 8)
		kb_store64(to + i, kb_load64(from + i));
}

/* The reply's headers over the query's, behind the tags. Copies are read, since for all that the
 * compiler knows a store into the packet changes the originals. */
KB_INLINE void put_headers(const struct kb_dpdk_engine *e, const struct kb_burst_item *it, int v6,
			   __u8 *pkt, const struct kb_reply *from, __u32 dns_len)
{
	const struct kb_reply r = {.an = from->an,
				   .ns = from->ns,
				   .ar = from->ar,
				   .rcode = from->rcode,
				   .tc = from->tc,
				   .sum = from->sum};
	const struct kb_query *q = &it->q;
	const struct kb_flow *f = &it->flow;
	struct rte_mbuf *m = it->m;
	__u8 saved[12 + VLAN_TAGS * VLAN_TAG];
	__u64 sum;
	__u16 csum;

	sum = kb_csum_pseudo(f, dns_len + KB_UDP_HDR);

	/* What the buffer is, not what the port said of the query. */
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	if (e->csum_offload) {
		csum = kb_csum_fold(sum);
		m->ol_flags |=
			RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
		m->l2_len = (KB_ETH_HDR + it->tags) & 0x7f; /* a field of seven bits */
		m->l3_len = v6 ? KB_IP6_HDR : KB_IP4_HDR;
	} else {
		csum = kb_csum_field(sum + kb_csum_reply(f, q, &r, dns_len + KB_UDP_HDR));
	}
	if (kb_unlikely(it->tags))
		memcpy(saved, pkt, 12 + it->tags);
	kb_reply_headers(pkt + it->tags, v6, f, q, &r, dns_len, csum);
	if (kb_unlikely(it->tags)) {
		/* The addresses were taken from behind the tags. */
		memcpy(pkt, saved + 6, 6);
		memcpy(pkt + 6, saved, 6);
		memcpy(pkt + 12, saved + 12, it->tags);
	}
}

/* The answer in the scratch as the reply, in the query's buffer. Returns 0 or the counter that says
 * why the packet is left, still unchanged. */
KB_INLINE int reply(struct kb_dpdk_engine *e, struct kb_burst_item *it)
{
	const struct kb_scratch *s = &e->scratch;
	struct rte_mbuf *m = it->m;
	__u8 *pkt = rte_pktmbuf_mtod(m, __u8 *);
	__u32 off = it->tags + it->flow.dns_off, dns_len = (__u32)it->q.end + s->r.len;

	if (kb_unlikely(it->flow.dns_off + dns_len > e->mtu + KB_ETH_HDR))
		return KB_CNT_MTU;
	if (kb_unlikely(off + dns_len + SLACK > (__u32)m->buf_len - m->data_off))
		return KB_CNT_NO_ROOM;
	/* From here on the packet is no longer the query. */
	if (it->flow.v6)
		put_headers(e, it, 1, pkt, &s->r, dns_len);
	else
		put_headers(e, it, 0, pkt, &s->r, dns_len);
	copy_words(pkt + off + it->q.end, s->out, s->r.len);
	m->data_len = (__u16)(off + dns_len);
	m->pkt_len = off + dns_len;
	return 0;
}

/* Makes the query what the scratch is about. */
KB_INLINE void set_scratch(struct kb_dpdk_engine *e, const struct kb_burst_item *it, int msg)
{
	e->scratch.q = it->q;
	if (msg)
		copy_words(e->scratch.msg,
			   rte_pktmbuf_mtod(it->m, const __u8 *) + it->tags + it->flow.dns_off,
			   it->q.end + 7U);
}

/* See reply(). */
KB_INLINE int answer(struct kb_dpdk_engine *e, const struct kb_view *view, struct kb_burst_item *it)
{
	int why;

	set_scratch(e, it, kb_answer_reads_msg(&it->q, it->value));
	why = kb_answer_value(view, &e->scratch, it->value);
	return why ? why : reply(e, it);
}

/* The reply to `it` is the next one. */
KB_INLINE void keep_reply(struct kb_dpdk_engine *e, struct rte_mbuf **pkts, __u32 n,
			  const struct kb_burst_item *it)
{
	e->reply_counter[n] = (__u8)(kb_reply_counter(&e->scratch.r) |
				     (e->scratch.r.tc & KB_TC ? KB_REPLY_TRUNCATED : 0));
	pkts[n] = it->m;
}

/* Answers what was taken for the packet-path cache; the replies follow the first n_replies in pkts,
 * the others come to left. Returns the number of replies. */
static __attribute__((noinline)) __u32 answer_cached(struct kb_dpdk_engine *e, __u64 now_ns,
						     struct rte_mbuf **pkts, __u32 n_replies,
						     struct rte_mbuf **left)
{
	kb_dpdk_cached_find(e, now_ns);
	for (__u32 i = 0; i < e->cached.n; i++) {
		struct kb_burst_item *it = e->cached.item[i];
		int why;

		set_scratch(e, it, 1);
		why = kb_dpdk_cached_answer(e, i);
		if (!why)
			why = reply(e, it);
		if (why) {
			e->stats->counter[why]++;
			*left++ = it->m;
			continue;
		}
		keep_reply(e, pkts, n_replies++, it);
	}
	e->cached.n = 0;
	return n_replies;
}

static inline __u64 stamp(struct kb_dpdk_engine *e, enum kb_phase phase, __u64 since)
{
	__u64 now;

	if (!e->timing)
		return 0;
	now = rte_rdtsc();
	e->stats->cycles[phase] += now - since;
	return now;
}

/* A burst on its way through the phases. */
struct burst {
	struct kb_view view;
	struct rte_mbuf **left; /* borrowed */
	__u64 *counter;		/* borrowed */
	__u32 n;		/* items */
	__u32 n_left;
	int stale;
};

static inline void leave(struct burst *b, struct rte_mbuf *m, int why)
{
	b->counter[why]++;
	b->left[b->n_left++] = m;
}

/*
 * The phases are functions of their own so that each has the registers to itself: as one, a query
 * took a tenth more instructions.
 */
#define PHASE static __attribute__((noinline))

PHASE void read_headers(struct kb_dpdk_engine *e, struct burst *b, struct rte_mbuf **pkts, __u32 n)
{
	struct kb_burst_item *it = e->item;
	__u32 ahead = e->ahead;

	for (__u32 i = 0; i < n && i < ahead; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (__u32 i = 0; i < n; i++) {
		int why;

		if (i + ahead < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + ahead], void *));
		it->m = pkts[i];
		why = parse_headers(e, &b->view, b->stale, it);
		if (kb_unlikely(why)) {
			leave(b, pkts[i], why);
			continue;
		}
		it++;
	}
	b->n = (__u32)(it - e->item);
}

PHASE void read_questions(struct kb_dpdk_engine *e, struct burst *b)
{
	struct kb_burst_item *kept = e->item, *end = e->item + b->n;

	for (struct kb_burst_item *it = kept; it < end; it++) {
		int why = kb_query_tail(it->msg, it->flow.dns_len, b->view.hdr, &it->q);

		if (kb_unlikely(why)) {
			leave(b, it->m, why);
			continue;
		}
		it->home = kb_lookup_home(&b->view, it->q.name.hash);
		/* Of a large table each of these needs a walk of the page tables, behind which a
		 * longer phase stands still; without any work between them they wait for each
		 * other. */
		rte_prefetch0(it->home);
		if (kb_unlikely(kept != it))
			*kept = *it;
		kept++;
	}
	b->n = (__u32)(kept - e->item);
}

PHASE void look_up(struct kb_dpdk_engine *e, struct burst *b)
{
	struct kb_burst_item *it, *end = e->item + b->n;

	for (it = e->item; it < end; it++) {
		it->value = kb_lookup_from(&b->view, it->home, it->q.name.hash);
		prefetch_record(&b->view, it->value);
	}
}

PHASE __u32 answer_all(struct kb_dpdk_engine *e, struct burst *b, struct rte_mbuf **pkts)
{
	struct kb_burst_item *it, *end = e->item + b->n;
	__u32 n = 0;

	for (it = e->item; it < end; it++) {
		int why = answer(e, &b->view, it);

		if (kb_unlikely(why)) {
			if (kb_may_be_cached(b->view.hdr, why) &&
			    kb_dpdk_cached_take(e, b->view.state, it, why))
				continue;
			leave(b, it->m, why);
			continue;
		}
		keep_reply(e, pkts, n++, it);
	}
	return n;
}

__u32 kb_dpdk_engine_burst(struct kb_dpdk_engine *e, __u64 now_ns, struct rte_mbuf **pkts, __u32 n,
			   struct rte_mbuf **left)
{
	static const struct kb_env none;
	const struct kb_dpdk_table *table = e->table;
	const struct kb_header *hdr = table->hdr;
	__u64 state = kb_read_once(hdr->state), start = 0, t;
	__u32 gen = kb_gen_of(state), replicas, n_replies;
	struct burst b = {
		.view = {.env = &table->env, .hdr = hdr, .state = state},
		.left = left,
		.counter = e->stats->counter,
		.stale = now_ns > kb_read_once(hdr->deadline_ns),
	};

	/* Not mapped yet: every look-up is incomplete. */
	if (kb_unlikely(__atomic_load_n(&table->gen[gen & 1], __ATOMIC_ACQUIRE) !=
			kb_worker_gen(gen)))
		b.view.env = &none;
	replicas = (__u32)(kb_read_once(hdr->shape[gen & 1]) >> 32);
	if (replicas > 1)
		b.view.replica = e->queue % replicas;
	if (kb_unlikely((hdr->flags & KB_FLAG_LATENCY) || e->timing))
		start = rte_rdtsc();
	read_headers(e, &b, pkts, n);
	t = stamp(e, KB_PHASE_HEADERS, start);
	e->scan(e->item, b.n, &hdr->key);
	t = stamp(e, KB_PHASE_HASH, t);
	read_questions(e, &b);
	t = stamp(e, KB_PHASE_QUESTION, t);
	look_up(e, &b);
	t = stamp(e, KB_PHASE_LOOKUP, t);
	n_replies = answer_all(e, &b, pkts);
	if (kb_unlikely(e->cached.n))
		n_replies = answer_cached(e, now_ns, pkts, n_replies, left + b.n_left);
	stamp(e, KB_PHASE_ANSWER, t);
	if (kb_unlikely((hdr->flags & KB_FLAG_LATENCY) && n_replies && start)) {
		__u64 ns = (rte_rdtsc() - start) * 1000 / (rte_get_tsc_hz() / 1000000);

		e->stats->hist[(63 - __builtin_clzll(ns | 1)) & (KB_HIST_BUCKETS - 1)] += n_replies;
	}
	return n_replies;
}

void kb_dpdk_engine_count(struct kb_dpdk_engine *e, __u32 sent, __u32 replies, enum kb_counter why)
{
	__u64 *counter = e->stats->counter;

	for (__u32 i = 0; i < sent; i++) {
		counter[e->reply_counter[i] & ~KB_REPLY_TRUNCATED]++;
		counter[KB_CNT_TRUNCATED] += e->reply_counter[i] >> 7;
	}
	counter[why] += replies - sent;
}
