/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * One entry of the query log, as every engine reports it.
 *
 * While KB_FLAG_LOG is set, an engine looks at one query in log_every (of each CPU or thread,
 * see struct kb_sampler) and makes an event of it if its class is among log_classes. tc and xdp put
 * it into the ring kb_events (BPF_MAP_TYPE_RINGBUF, KB_EVENTS_SIZE bytes, read by kbdnsd); when the
 * ring is full the event is dropped and counted, and the packet is answered all the same.
 *
 * Only queries whose question has been read are reported: what is left before that, such as all
 * that is no DNS or not for an intercept address, has its counter and no event.
 */
#ifndef KB_CORE_EVENT_H
#define KB_CORE_EVENT_H

#include "counters.h"
#include "dns.h"
#include "types.h"

#define KB_EVENTS_SIZE (1U << 20) /* bytes: about 3,000 events */

/* What became of a query; bits of log_classes. The first three are those of the class
 * property of CoreDNS's log plugin. */
enum kb_event_class {
	KB_EVENT_SUCCESS = 1,
	KB_EVENT_DENIAL = 2, /* NXDOMAIN, or NOERROR without an answer */
	KB_EVENT_ERROR = 4,  /* any other rcode */
	KB_EVENT_LEFT = 8,   /* left by the packet path; whoever answers it may log it, too */
};
#define KB_EVENT_REPLIES (KB_EVENT_SUCCESS | KB_EVENT_DENIAL | KB_EVENT_ERROR)

enum kb_event_transport { KB_EVENT_UDP, KB_EVENT_TCP };

/* Whose answer it is. */
enum kb_event_origin { KB_ORIGIN_TABLE, KB_ORIGIN_CACHE, KB_ORIGIN_UPSTREAM, KB_ORIGIN_MAX };

struct kb_event {
	__u64 time_ns;	      /* CLOCK_MONOTONIC, when the reply was ready */
	__u64 src[2], dst[2]; /* of the query: IPv4 as ::ffff:a.b.c.d, network order bytes */
	__u32 duration_ns;    /* from the query's arrival to then; 0: not measured */
	__be16 sport, dport;  /* of the query */
	__be16 id;
	__be16 qtype, qclass;
	__u16 query_len; /* bytes of the DNS message */
	__u16 reply_len; /* the same; 0: no reply */
	__u16 bufsize;	 /* UDP payload size of the query's OPT record, 0: it has none */
	__u16 an, ns, ar;
	__u8 flags2, flags3; /* bytes 2 and 3 of the reply's header; without one, the query's */
	__u8 engine;	     /* enum kb_engine */
	__u8 transport;	     /* enum kb_event_transport */
	__u8 origin;	     /* enum kb_event_origin */
	__u8 verdict;	     /* enum kb_counter; KB_CNT_MAX where the answer core gave none */
	__u8 dnssec_ok;
	__u8 name_len; /* of the qname with its root label; 0: no question was read */
	__u8 pad[6];
	__u8 name[256]; /* in wire form, as it was written; the rest is of no meaning */
};

_Static_assert(sizeof(struct kb_event) == 336, "an event has no holes");
_Static_assert(KB_CNT_MAX <= 255, "a counter fits the verdict");

/*
 * Takes one query in `every`: of each block of so many, one at a place drawn anew. Clients
 * ask for A and AAAA in turn, so every hundredth query would be one of A, always.
 * One for each CPU or thread, zeroed at first.
 */
struct kb_sampler {
	__u32 every;	 /* as now in use; 0: none yet */
	__u32 countdown; /* queries to pass over before the next one taken */
	__u32 rest;	 /* of the block of the next one: queries behind it */
	__u32 pad;
};

/* Is this query passed over? If not, kb_sampler_take has to be asked. */
KB_INLINE int kb_sampler_skips(struct kb_sampler *s, __u32 every)
{
	if (s->every != every || !s->countdown)
		return 0;
	s->countdown--;
	return 1;
}

/* Is this query taken? `draw` is any random number; `every` not 0. */
KB_INLINE int kb_sampler_take(struct kb_sampler *s, __u32 every, __u32 draw)
{
	__u32 next = draw % every, first = s->every != every;

	s->countdown = first ? next : s->rest + next;
	s->rest = every - 1 - next;
	s->every = every;
	/* The first block begins behind this query. */
	return !first || every == 1;
}

/* The class of a reply; `answers`: it has some, or is truncated. */
KB_INLINE __u32 kb_event_class(__u32 rcode, int answers)
{
	if (rcode == KB_RCODE_NXDOMAIN)
		return KB_EVENT_DENIAL;
	if (rcode != KB_RCODE_NOERROR)
		return KB_EVENT_ERROR;
	return answers ? KB_EVENT_SUCCESS : KB_EVENT_DENIAL;
}

/* Has the question been read when a query is left for this reason? */
KB_INLINE int kb_event_is_read(__u32 verdict)
{
	return verdict < KB_CNT_FIRST_LEFT || verdict >= KB_CNT_FIRST_READ;
}

#endif
