/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/respond_private.h"

#define RCODE_BADVERS_HIGH 1 /* BADVERS is 16: this in the OPT record, 0 in the header */
#define TYPE_IXFR	   251
#define TYPE_AXFR	   252
#define RR_FIXED	   10 /* bytes between a record's owner and its data */

int kb_responder_new(const struct kb_table *table, const struct kb_records *records,
		     struct kb_responder **ret_responder)
{
	struct kb_responder *r;

	if (posix_memalign((void **)&r, 64, sizeof(*r)))
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->table = table;
	r->records = records;
	*ret_responder = r;
	return 0;
}

int kb_responder_new_apart(const struct kb_table *table, struct kb_responder **ret_responder)
{
	int r = kb_responder_new(table, NULL, ret_responder);

	if (r == 0)
		(*ret_responder)->apart = true;
	return r;
}

bool kb_responder_for_main(const struct kb_responder *responder)
{
	return responder->for_main;
}

void kb_responder_set_records(struct kb_responder *responder, const struct kb_records *records)
{
	responder->records = records;
}

void kb_responder_free(struct kb_responder *responder)
{
	if (!responder)
		return;
	kb_chase_free(responder->chase);
	kb_blocks_unref(responder->blocks);
	free(responder);
}

void kb_responder_set_routes(struct kb_responder *responder, const struct kb_routes *routes)
{
	responder->routes = routes;
}

void kb_responder_set_blocks(struct kb_responder *responder, struct kb_blocks *blocks)
{
	struct kb_blocks *old = responder->blocks;

	responder->blocks = blocks ? kb_blocks_ref(blocks) : NULL;
	kb_blocks_unref(old);
}

struct kb_blocks *kb_responder_blocks(const struct kb_responder *responder)
{
	return responder->blocks;
}

const struct kb_ask *kb_responder_outside(const struct kb_responder *responder)
{
	return responder->is_outside ? &responder->outside : NULL;
}

struct kb_chase *kb_responder_take_chase(struct kb_responder *responder)
{
	struct kb_chase *chase = responder->chase;

	responder->chase = NULL;
	return chase;
}

const uint64_t *kb_responder_counters(const struct kb_responder *responder)
{
	return responder->counters;
}

void kb_responder_add_counters(const struct kb_responder *responder, uint64_t sum[KB_CNT_MAX])
{
	for (size_t i = 0; i < KB_CNT_MAX; i++)
		sum[i] += __atomic_load_n(&responder->counters[i], __ATOMIC_RELAXED);
}

void kb_responder_count(struct kb_responder *responder, enum kb_counter counter)
{
	uint64_t *c = &responder->counters[counter];

	__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
}

/* --- reading ----------------------------------------------------------------- */

/* Copies the first `len` bytes to where the core reads them. */
static void load(struct kb_asked *x, size_t len)
{
	memcpy(x->s->msg, x->msg, len);
	memset(x->s->msg + len, 0, 16);
}

/* Wire length of the well-formed name behind the header, 0 if there is none. The scan
 * ends at any zero byte, this at the root label. */
static uint32_t name_length(struct kb_scratch *s)
{
	uint32_t last;

	kb_labels_walk(s->msg, KB_NAME_MAX, &s->labels);
	last = s->labels.start[s->labels.n % KB_LABELS_MAX];
	return s->msg[KB_DNS_HDR + last] == 0 ? last + 1 : 0;
}

/*
 * A name may contain zero bytes (RFC 2181 section 11), which would end the scan. None of
 * ours does, nor has one the byte 0xff: put in their place, it makes the name what it
 * is, one that cannot be found. The reply's question comes from the message.
 */
static void cover_zeros(struct kb_scratch *s)
{
	for (uint32_t i = 0; i < s->labels.n; i++) {
		for (uint32_t at = s->labels.start[i] + 1U; at < s->labels.start[i + 1]; at++) {
			if (s->msg[KB_DNS_HDR + at] == 0)
				s->msg[KB_DNS_HDR + at] = 0xff;
		}
	}
}

/* One record at *off of a query. Returns -EINVAL, or its type with *off behind it. */
static int read_record(const struct kb_asked *x, size_t *off, size_t *ret_owner_len)
{
	const uint8_t *p = x->msg + *off, *end = x->msg + x->len;
	uint8_t name[NS_MAXCDNAME];
	int owner = ns_name_unpack(x->msg, end, p, name, sizeof(name));
	size_t rdlen;

	if (owner < 0 || end - p < owner + RR_FIXED)
		return -EINVAL;
	p += owner;
	rdlen = ns_get16(p + 8);
	if ((size_t)(end - p) < RR_FIXED + rdlen)
		return -EINVAL;
	*ret_owner_len = (size_t)owner;
	*off = (size_t)(p - x->msg) + RR_FIXED + rdlen;
	return (int)ns_get16(p);
}

/*
 * Brings a query that the core does not read as it stands into the form that it does:
 * the question and an OPT record without options. Other records are looked at only as to
 * whether they are well formed, and trailing bytes not at all. Returns the length of the
 * query in s->msg, or 0 for one that is malformed.
 */
static uint32_t reduce(struct kb_asked *x)
{
	uint8_t *out = x->s->msg;
	uint32_t an = ns_get16(x->msg + 6), ns = ns_get16(x->msg + 8), ar = ns_get16(x->msg + 10);
	size_t max = KB_DNS_HDR + KB_NAME_MAX + 4, off, end;
	bool has_opt = false;
	uint32_t name;

	if (ns_get16(x->msg + 4) != 1 || an > 1 || ns > 1 || ar > 2)
		return 0;
	load(x, x->len < max ? x->len : max);
	name = name_length(x->s);
	off = end = KB_DNS_HDR + name + 4;
	if (!name || off > x->len)
		return 0;
	cover_zeros(x->s);
	memset(out + 6, 0, 6);
	for (uint32_t i = 0; i < an + ns + ar; i++) {
		size_t at = off, owner;
		int type = read_record(x, &off, &owner);

		if (type < 0)
			return 0;
		if (type != KB_TYPE_OPT)
			continue;
		/* RFC 6891 section 6.1.1: in the additional section, once, of the root. */
		if (i < an + ns || has_opt || owner != 1)
			return 0;
		has_opt = true;
		memcpy(out + end, x->msg + at, KB_OPT_LEN - 2);
		memset(out + end + KB_OPT_LEN - 2, 0, 2);
	}
	out[11] = has_opt;
	return (uint32_t)(end + (has_opt ? KB_OPT_LEN : 0));
}

/* Parses the query in s->msg. Unlike the core alone it looks at the OPT record of every
 * question, since errors carry one too, and BADVERS comes before them. */
static int parse(struct kb_asked *x, uint32_t len)
{
	struct kb_scratch *s = x->s;
	int why = kb_query_parse(s->msg, len, x->hdr, &s->q);

	if ((why == KB_CNT_CLASS || why == KB_CNT_QTYPE) && s->msg[11]) {
		int opt = kb_query_opt(s->msg, len, s->q.end, x->hdr->udp_max, &s->q);

		if (opt)
			why = opt;
	}
	return why;
}

/* --- answering --------------------------------------------------------------- */

static int look_up(struct kb_asked *x)
{
	struct kb_scratch *s = x->s;
	struct kb_env env;
	struct kb_view view = {.env = &env, .hdr = x->hdr, .state = x->state};
	uint32_t limit = x->tcp ? KB_UDP_REPLY_MAX : s->q.limit;

	if (x->r->apart)
		kb_table_env_online(x->r->table, kb_gen_of(x->state), &env);
	else
		kb_table_env(x->r->table, &env);
	s->q.limit = (uint16_t)(limit < x->cap ? limit : x->cap);
	/* While OFF nothing is found, and the miss tells whose name it is. */
	return kb_answer_value(
		&view, s, kb_state_of(x->state) == KB_OFF ? 0 : kb_lookup(&view, s->q.name.hash));
}

size_t kb_asked_begin(struct kb_asked *x, bool aa)
{
	struct kb_scratch *s = x->s;

	memcpy(x->reply + KB_DNS_HDR, x->msg + KB_DNS_HDR, s->q.end - (size_t)KB_DNS_HDR);
	kb_reply_header(x->reply, &s->q, &s->r);
	if (!aa)
		x->reply[2] &= (uint8_t)~KB_AA;
	return s->q.end;
}

static size_t send_built(struct kb_asked *x, bool aa)
{
	size_t pos = kb_asked_begin(x, aa);

	memcpy(x->reply + pos, x->s->out, x->s->r.len);
	return pos + x->s->r.len;
}

void kb_asked_count(struct kb_asked *x, int counter)
{
	if (!x->depth)
		kb_responder_count(x->r, (enum kb_counter)counter);
}

void kb_asked_count_answer(struct kb_asked *x)
{
	kb_asked_count(x, (int)kb_reply_counter(&x->s->r));
	if (x->s->r.tc)
		kb_asked_count(x, KB_CNT_TRUNCATED);
}

size_t kb_asked_refuse(struct kb_asked *x, uint8_t rcode, uint8_t rcode_high, bool aa)
{
	struct kb_scratch *s = x->s;

	memset(&s->r, 0, sizeof(s->r));
	s->r.rcode = rcode;
	if (s->q.has_opt) {
		kb_build_opt(s, x->hdr);
		s->out[5] = rcode_high;
	}
	return send_built(x, aa);
}

/* FORMERR and NOTIMP are the header alone: what follows cannot be trusted to be a
 * question. */
static size_t bare(struct kb_asked *x, uint8_t rcode)
{
	memset(x->reply, 0, KB_DNS_HDR);
	memcpy(x->reply, x->msg, 2);
	x->reply[2] = (uint8_t)(KB_QR | (x->msg[2] & (KB_OPCODE | KB_RD)));
	x->reply[3] = (uint8_t)((x->msg[3] & KB_CD) | rcode);
	return KB_DNS_HDR;
}

/* The answer from the records, where the table does not have it whole. False if they do not
 * have it either, or not in a size that TCP carries; s is untouched then. The reply's length may be
 * 0: not from here. */
static bool render(struct kb_asked *x, size_t *ret_len)
{
	struct kb_scratch *s = x->s;
	size_t opt = s->q.has_opt ? KB_OPT_LEN : 0, limit = x->tcp ? x->cap : s->q.limit, pos;
	struct kb_rendered rd;
	int r;

	if (x->r->apart) {
		x->r->for_main = true;
		*ret_len = 0;
		return true;
	}
	if (!x->r->records || limit < s->q.end + opt)
		return false;
	r = kb_records_render(x->r->records, s->msg + KB_DNS_HDR, s->q.name.len, s->q.qtype,
			      x->reply + s->q.end, limit - s->q.end - opt, &rd);
	if (r < 0 && (r != -EMSGSIZE || x->tcp))
		return false;
	memset(&s->r, 0, sizeof(s->r));
	if (r < 0) {
		s->r.tc = KB_TC;
		rd.len = 0;
		rd.target = 0;
	} else {
		s->r.an = rd.an;
		s->r.ns = rd.ns;
		s->r.ar = rd.ar;
		s->r.rcode = rd.rcode;
	}
	if (opt)
		kb_build_opt(s, x->hdr);
	pos = kb_asked_begin(x, true) + rd.len;
	if (rd.target && kb_inner_chase(x, pos, rd.target, ret_len))
		return true;
	memcpy(x->reply + pos, s->out, opt);
	kb_asked_count_answer(x);
	*ret_len = pos + opt;
	return true;
}

/* The core has an answer in s; over TCP it is the records' when it was cut. */
static size_t answer(struct kb_asked *x)
{
	size_t len;

	if (x->tcp && x->s->r.tc && render(x, &len))
		return len;
	kb_asked_count_answer(x);
	return send_built(x, true);
}

/*
 * The zone with names of ours that holds this one: the zone that was found, or if that
 * only leaves, the nearest one around it. NULL if there is none. pod.Z is such a hole in a
 * zone, and a stub domain may be.
 */
static const struct kb_zone *zone_around(struct kb_asked *x)
{
	struct kb_labels labels;
	uint8_t msg[KB_MSG_READ] = {0};
	uint32_t len = x->s->q.name.len;

	memcpy(msg, x->s->msg, KB_DNS_HDR + len);
	while (kb_zone_search(msg, len, x->hdr, &labels) == 0) {
		const struct kb_zone *zone = &x->hdr->zone[labels.zone % KB_ZONES_MAX];
		uint32_t drop;

		if (zone->id)
			return zone;
		if (labels.zone_at >= labels.n)
			break;
		drop = labels.start[labels.zone_at + 1];
		len -= drop;
		memmove(msg + KB_DNS_HDR, msg + KB_DNS_HDR + drop, len);
	}
	return NULL;
}

/* The name is nobody's here: to be asked of others, or refused. */
static size_t outside(struct kb_asked *x)
{
	const struct kb_query *q = &x->s->q;
	struct kb_ask *ask = &x->r->outside;

	if (!x->r->routes)
		return kb_asked_refuse(x, KB_RCODE_REFUSED, 0, false);
	ask->len = (uint16_t)(q->end - KB_DNS_HDR);
	memcpy(ask->question, x->msg + KB_DNS_HDR, ask->len);
	memcpy(ask->id, x->msg, 2);
	ask->rd = q->flags2;
	ask->cd = q->flags3;
	ask->ad = x->msg[3] & KB_AD;
	ask->has_opt = q->has_opt;
	ask->rewritten = x->block != NULL;
	ask->dnssec_ok = q->dnssec_ok;
	ask->limit = x->tcp ? KB_TCP_REPLY_MAX : q->limit;
	ask->hash = q->name.hash;
	x->r->is_outside = true;
	return 0;
}

/* In a domain that has upstreams of its own, it may lie in one of our zones. */
static bool in_stub_domain(const struct kb_asked *x)
{
	return x->r->routes &&
	       kb_routes_is_stub(x->r->routes, x->msg + KB_DNS_HDR, x->s->q.name.len);
}

/* Unknown, in a zone that leaves its misses. */
static size_t leave_zone(struct kb_asked *x)
{
	const struct kb_zone *zone = zone_around(x);
	uint32_t state = kb_state_of(x->state);
	size_t len;

	if (!x->hdr->zone[x->s->labels.zone % KB_ZONES_MAX].id && in_stub_domain(x)) {
		kb_asked_count(x, KB_CNT_ZONE_LEAVE);
		return outside(x);
	}
	/* Before everything is known, a name where we have names must not be looked for
	 * elsewhere. */
	if (zone && state != KB_FULL) {
		kb_asked_count(x, state == KB_OFF ? KB_CNT_OFF : KB_CNT_ZONE_LEAVE);
		return kb_asked_refuse(x, KB_RCODE_SERVFAIL, 0, true);
	}
	/* A zone leaves its misses also when a name did not fit the table. */
	if (zone && render(x, &len))
		return len;
	kb_asked_count(x, KB_CNT_ZONE_LEAVE);
	if (zone && (zone->flags & KB_ZONE_ANSWER))
		return kb_asked_refuse(x, KB_RCODE_SERVFAIL, 0, false);
	return outside(x);
}

static size_t leave(struct kb_asked *x, int why)
{
	size_t len;

	switch (why) {
	case KB_CNT_OPCODE:
		kb_asked_count(x, why);
		return bare(x, KB_RCODE_NOTIMP);
	case KB_CNT_EDNS_VERSION:
		kb_asked_count(x, why);
		x->s->q.has_opt = 1;
		return kb_asked_refuse(x, KB_RCODE_NOERROR, RCODE_BADVERS_HIGH, false);
	case KB_CNT_NO_ZONE:
		kb_asked_count(x, why);
		return outside(x);
	case KB_CNT_CLASS:
		kb_asked_count(x, why);
		return kb_asked_refuse(x, KB_RCODE_REFUSED, 0, false);
	case KB_CNT_QTYPE:
		kb_asked_count(x, why);
		return kb_asked_refuse(x,
				       x->s->q.qtype == TYPE_AXFR || x->s->q.qtype == TYPE_IXFR
					       ? KB_RCODE_REFUSED
					       : KB_RCODE_NOTIMP,
				       0, false);
	case KB_CNT_HITS_ONLY:
		kb_asked_count(x, kb_state_of(x->state) == KB_OFF ? KB_CNT_OFF : why);
		return kb_asked_refuse(x, KB_RCODE_SERVFAIL, 0, true);
	case KB_CNT_ZONE_LEAVE:
		return leave_zone(x);
	case KB_CNT_NAME_LEAVE:
	case KB_CNT_INCOMPLETE:
		if (render(x, &len))
			return len;
		kb_asked_count(x, why);
		return kb_asked_refuse(x, KB_RCODE_SERVFAIL, 0, false);
	default: /* SECTIONS, OVERSIZE, QNAME, OPT */
		kb_asked_count(x, why);
		return bare(x, KB_RCODE_FORMERR);
	}
}

/* Reasons that lie in a form the core does not read, or cannot be sure of. */
static bool is_about_form(int why)
{
	return why == KB_CNT_OVERSIZE || why == KB_CNT_SECTIONS || why == KB_CNT_QNAME ||
	       why == KB_CNT_CLASS || why == KB_CNT_QTYPE || why == KB_CNT_OPT ||
	       why == KB_CNT_EDNS_VERSION;
}

/* A server block's rules and hosts, then the table. True: the reply is there, of this length; else
 * *ret_why says what the table has. */
static bool find(struct kb_asked *x, int *ret_why, size_t *ret_len)
{
	if (kb_inner_block(x, ret_len))
		return true;
	*ret_why = look_up(x);
	return false;
}

size_t kb_asked_process(struct kb_asked *x)
{
	size_t len = x->len;
	uint32_t reduced;
	int why;

	load(x, len < KB_MSG_MAX ? len : KB_MSG_MAX);
	why = parse(x, len > KB_MSG_MAX ? KB_MSG_MAX + 1 : (uint32_t)len);
	if (why == KB_CNT_LENGTH || why == KB_CNT_RESPONSE) {
		kb_asked_count(x, why);
		return 0;
	}
	if (!why && find(x, &why, &len))
		return len;
	if (is_about_form(why)) {
		reduced = reduce(x);
		if (!reduced) {
			kb_asked_count(x, why);
			return bare(x, KB_RCODE_FORMERR);
		}
		why = parse(x, reduced);
		if (!why && find(x, &why, &len))
			return len;
	}
	return why ? leave(x, why) : answer(x);
}

size_t kb_respond(struct kb_responder *responder, const uint8_t *msg, size_t len, bool tcp,
		  uint8_t *reply, size_t cap)
{
	struct kb_asked x = {.r = responder,
			     .s = &responder->s,
			     .hdr = kb_table_header(responder->table),
			     .msg = msg,
			     .len = len,
			     .tcp = tcp,
			     .reply = reply,
			     .cap = cap};

	assert(cap >= KB_UDP_MIN);
	responder->is_outside = false;
	kb_chase_free(kb_responder_take_chase(responder));
	responder->for_main = responder->apart && kb_table_zones_held(responder->table);
	if (responder->for_main)
		return 0;
	x.state = __atomic_load_n(&x.hdr->state, __ATOMIC_ACQUIRE);
	return kb_asked_process(&x);
}
