/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Making an event (event.h) of a packet that the answer core has read. */
#ifndef KB_CORE_EVENT_FILL_H
#define KB_CORE_EVENT_FILL_H

#include "event.h"
#include "packet.h"

/* Copies the qname behind the header at msg, in words. */
KB_LEAF void kb_event_name(struct kb_event *e, const __u8 *msg, __u32 len)
{
	__u32 i;

	for (i = 0; i < sizeof(e->name); i += 8) {
		if (i >= len)
			break;
		kb_store64(e->name + i, kb_load64(msg + KB_DNS_HDR + i));
	}
	e->name_len = (__u8)len;
}

/* Fills everything but the times, for a packet whose question has been read into s; replied
 * with what is in s->r unless `left`. */
KB_INLINE void kb_event_fill(struct kb_event *e, enum kb_engine engine, __u32 verdict,
			     const struct kb_flow *f, const struct kb_scratch *s, int left)
{
	__u32 off = s->q.end, flags = (__u32)s->q.flags2 | (__u32)s->q.flags3 << 8;

	e->src[0] = f->src[0];
	e->src[1] = f->src[1];
	e->dst[0] = f->dst[0];
	e->dst[1] = f->dst[1];
	e->sport = f->sport;
	e->dport = f->dport;
	e->id = s->q.id;
	e->qtype = (__be16)s->q.tail;
	e->qclass = (__be16)(s->q.tail >> 16);
	e->query_len = f->dns_len;
	e->reply_len = 0;
	e->an = e->ns = e->ar = 0;
	if (!left) {
		flags = kb_reply_flags(&s->q, &s->r);
		e->reply_len = (__u16)(s->q.end + s->r.len);
		e->an = s->r.an;
		e->ns = s->r.ns;
		e->ar = s->r.ar;
	}
	e->flags2 = (__u8)flags;
	e->flags3 = (__u8)(flags >> 8);
	e->engine = (__u8)engine;
	e->transport = KB_EVENT_UDP;
	e->origin = verdict == KB_CNT_CACHED ? KB_ORIGIN_CACHE : KB_ORIGIN_TABLE;
	e->verdict = (__u8)verdict;
	e->dnssec_ok = s->q.dnssec_ok;
	KB_BOUND(off, 511);
	e->bufsize = s->q.has_opt ? (__u16)kb_load16_be(s->msg + off + 3) : 0;
	kb_event_name(e, s->msg, s->q.name.len);
}

#endif
