/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>

#include "control/forward/question.h"
#include "dataplane/core/dns.h"

#define NAME_MAX_WIRE  255
#define NAME_JUMPS_MAX 128 /* there are at most 127 labels to stand between them */
#define RR_FIXED       10  /* type, class, TTL, data length */
#define TYPE_DNAME     39
#define TYPE_RRSIG     46

struct reader {
	const uint8_t *msg;
	size_t len, off;
	struct kb_message *m;
	/* Offsets of the names from the question to the end of the CNAMEs. */
	uint16_t chain[KB_MESSAGE_CHAIN_MAX];
	unsigned int n_chain;
	bool strange; /* the answer section is not the chain */
	bool unsound; /* see message.h */
	bool answered, soa;
};

struct record {
	size_t owner, data, data_len; /* offsets, length */
	uint16_t type, class;
	uint32_t ttl;
};

/* --- names ------------------------------------------------------------------- */

/*
 * Checks the name at `off` to its root label and returns the offset behind it, 0 if it is
 * none. A pointer has to lead to before the run of labels that it ends, and the labels there to
 * end before it, too: each jump makes the rest of the message smaller, so no loop is possible, and
 * a name is whole wherever all in front of its end is.
 */
static size_t name_check(const uint8_t *msg, size_t len, size_t off)
{
	size_t run = off, limit = len, end = 0, wire = 0;
	unsigned int jumps = 0;

	while (off < limit) {
		uint8_t label = msg[off];

		if (label >= 0xc0) {
			size_t to;

			if (off + 2 > limit)
				return 0;
			to = (size_t)(label & 0x3f) << 8 | msg[off + 1];
			if (to >= run || to < KB_DNS_HDR || ++jumps > NAME_JUMPS_MAX)
				return 0;
			if (!end)
				end = off + 2;
			limit = run;
			off = run = to;
			continue;
		}
		if (label > 63)
			return 0;
		wire += label + 1U;
		if (wire > NAME_MAX_WIRE)
			return 0;
		off += label + 1U;
		if (label == 0)
			return end ? end : off;
	}
	return 0;
}

/* The functions below take names that name_check has accepted. */

/* Where the label lies that the name at `off` begins with. */
static size_t label_at(const uint8_t *msg, size_t off)
{
	while (msg[off] >= 0xc0)
		off = (size_t)(msg[off] & 0x3f) << 8 | msg[off + 1];
	return off;
}

static size_t label_next(const uint8_t *msg, size_t off)
{
	return label_at(msg, off + msg[off] + 1U);
}

bool kb_message_name_equal(const uint8_t *msg, size_t a, size_t b)
{
	for (a = label_at(msg, a), b = label_at(msg, b); a != b;
	     a = label_next(msg, a), b = label_next(msg, b)) {
		if (msg[a] != msg[b])
			return false;
		if (msg[a] == 0)
			return true;
		for (unsigned int i = 1; i <= msg[a]; i++) {
			if (kb_ascii_lower(msg[a + i]) != kb_ascii_lower(msg[b + i]))
				return false;
		}
	}
	return true;
}

static unsigned int name_labels(const uint8_t *msg, size_t off)
{
	unsigned int n = 0;

	for (off = label_at(msg, off); msg[off]; off = label_next(msg, off))
		n++;
	return n;
}

/* Is the name at `off` the zone at `zone`, or below it? */
static bool name_below(const uint8_t *msg, size_t off, size_t zone)
{
	unsigned int n = name_labels(msg, off), top = name_labels(msg, zone);

	if (n < top)
		return false;
	for (off = label_at(msg, off); n > top; n--)
		off = label_next(msg, off);
	return kb_message_name_equal(msg, off, zone);
}

/* --- records ------------------------------------------------------------------ */

static const struct kb_message_shape shapes[] = {
	{KB_TYPE_A, 4, 0, 0},	{KB_TYPE_NS, 0, 1, 0},	   {3, 0, 1, 0}, /* MD */
	{4, 0, 1, 0} /* MF */,	{KB_TYPE_CNAME, 0, 1, 0},  {KB_TYPE_SOA, 0, 2, 20},
	{7, 0, 1, 0} /* MB */,	{8, 0, 1, 0} /* MG */,	   {9, 0, 1, 0},  /* MR */
	{KB_TYPE_PTR, 0, 1, 0}, {14, 0, 2, 0} /* MINFO */, {15, 2, 1, 0}, /* MX */
	{17, 0, 2, 0} /* RP */, {18, 2, 1, 0} /* AFSDB */, {21, 2, 1, 0}, /* RT */
	{26, 2, 2, 0} /* PX */, {KB_TYPE_AAAA, 16, 0, 0},  {KB_TYPE_SRV, 6, 1, 0},
	{36, 2, 1, 0} /* KX */, {TYPE_DNAME, 0, 1, 0},
};

const struct kb_message_shape *kb_message_shape(uint16_t type)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].type == type)
			return &shapes[i];
	}
	return NULL;
}

/* Fixed part of a signature's data (RFC 4034 section 3.1), and where in it the expiration stands.
 */
#define RRSIG_FIXED   18
#define RRSIG_EXPIRES 8

static bool data_check(const struct reader *r, const struct record *rr)
{
	const struct kb_message_shape *s = kb_message_shape(rr->type);
	size_t off = rr->data, end = rr->data + rr->data_len;

	if (rr->type == TYPE_RRSIG)
		return rr->data_len > RRSIG_FIXED;
	if (!s)
		return true;
	off += s->before;
	for (unsigned int k = 0; k < s->names; k++) {
		off = name_check(r->msg, end, off);
		if (!off)
			return false;
	}
	return off + s->after == end;
}

static int record_read(struct reader *r, struct record *ret)
{
	size_t off = name_check(r->msg, r->len, r->off);

	if (!off || r->len - off < RR_FIXED)
		return -EBADMSG;
	ret->owner = r->off;
	ret->type = (uint16_t)ns_get16(r->msg + off);
	ret->class = (uint16_t)ns_get16(r->msg + off + 2);
	ret->ttl = (uint32_t)ns_get32(r->msg + off + 4);
	ret->data_len = ns_get16(r->msg + off + 8);
	ret->data = off + RR_FIXED;
	if (r->len - ret->data < ret->data_len)
		return -EBADMSG;
	if (!data_check(r, ret))
		r->unsound = r->strange = true;
	r->off = ret->data + ret->data_len;
	return 0;
}

static int opt_read(struct reader *r, const struct record *rr)
{
	struct kb_message *m = r->m;

	if (r->msg[rr->owner] != 0)
		return -EBADMSG;
	if (m->has_opt) {
		r->unsound = true;
		return 0;
	}
	m->has_opt = true;
	m->udp_size = rr->class;
	m->rcode |= (uint16_t)(rr->ttl >> 24 << 4);
	m->edns_version = (uint8_t)(rr->ttl >> 16);
	m->dnssec_ok = rr->ttl & 0x8000;
	return 0;
}

/* Serial numbers (RFC 1982): the earlier one is within half of all numbers before. */
static void signature_read(const struct reader *r, const struct record *rr)
{
	uint32_t until = (uint32_t)ns_get32(r->msg + rr->data + RRSIG_EXPIRES);

	if (!r->m->is_signed || (int32_t)(until - r->m->signed_until) < 0)
		r->m->signed_until = until;
	r->m->is_signed = true;
}

/* --- is it the answer? ---------------------------------------------------------- */

static size_t chain_end(const struct reader *r)
{
	return r->chain[r->n_chain - 1];
}

/* The place of a name in the chain, n_chain if it is not there. */
static unsigned int chain_find(const struct reader *r, size_t name)
{
	unsigned int i = r->n_chain;

	/* From the end, where most records belong. */
	while (i-- > 0) {
		if (kb_message_name_equal(r->msg, r->chain[i], name))
			return i;
	}
	return r->n_chain;
}

static bool is_wanted(const struct kb_message *m, uint16_t type)
{
	return type == m->qtype || m->qtype == KB_TYPE_ANY;
}

static void answer_read(struct reader *r, const struct record *rr)
{
	unsigned int at = chain_find(r, rr->owner);

	if (rr->class != r->m->qclass) {
		r->strange = true;
	} else if (at == r->n_chain) {
		/* A DNAME stands above the name that the CNAME behind it is made for. */
		if ((rr->type != TYPE_DNAME && rr->type != TYPE_RRSIG) ||
		    !name_below(r->msg, chain_end(r), rr->owner))
			r->strange = true;
	} else if (is_wanted(r->m, rr->type)) {
		if (at != r->n_chain - 1)
			r->strange = true;
		r->answered = true;
	} else if (rr->type == KB_TYPE_CNAME) {
		if (at != r->n_chain - 1 || r->answered || r->n_chain == KB_MESSAGE_CHAIN_MAX ||
		    chain_find(r, rr->data) != r->n_chain)
			r->strange = true;
		else
			r->chain[r->n_chain++] = (uint16_t)rr->data;
	}
}

static void authority_read(struct reader *r, const struct record *rr)
{
	uint32_t minimum;

	if (rr->type != KB_TYPE_SOA || rr->class != r->m->qclass || r->soa ||
	    !name_below(r->msg, chain_end(r), rr->owner))
		return;
	minimum = (uint32_t)ns_get32(r->msg + rr->data + rr->data_len - 4);
	r->m->negative_ttl = minimum < rr->ttl ? minimum : rr->ttl;
	r->soa = true;
}

static enum kb_message_kind kind_of(const struct reader *r)
{
	const struct kb_message *m = r->m;

	if (!m->sound)
		return KB_MESSAGE_OTHER;
	if (m->rcode == KB_RCODE_SERVFAIL)
		return KB_MESSAGE_FAILURE;
	if (r->strange || m->an + m->ns + m->ar > KB_MESSAGE_RECORDS_MAX)
		return KB_MESSAGE_OTHER;
	if (m->rcode == KB_RCODE_NOERROR && r->answered)
		return KB_MESSAGE_ANSWER;
	if (m->rcode == KB_RCODE_NOERROR && r->soa)
		return KB_MESSAGE_NODATA;
	if (m->rcode == KB_RCODE_NXDOMAIN && r->soa && !r->answered)
		return KB_MESSAGE_NXDOMAIN;
	return KB_MESSAGE_OTHER;
}

/* --- the message ------------------------------------------------------------------ */

static int header_read(struct reader *r)
{
	const uint8_t *msg = r->msg;
	struct kb_message *m = r->m;
	size_t off;

	if (r->len < KB_DNS_HDR || r->len > KB_MESSAGE_MAX || !(msg[2] & KB_QR) ||
	    msg[2] & KB_OPCODE || ns_get16(msg + 4) != 1)
		return -EBADMSG;
	r->unsound = msg[2] & KB_TC;
	m->flags2 = msg[2];
	m->flags3 = msg[3];
	m->rcode = msg[3] & 0x0f;
	m->ttl_min = UINT32_MAX;
	off = name_check(msg, r->len, KB_DNS_HDR);
	if (!off || r->len - off < 4)
		return -EBADMSG;
	m->qtype = (uint16_t)ns_get16(msg + off);
	m->qclass = (uint16_t)ns_get16(msg + off + 2);
	r->off = off + 4;
	m->question_len = (uint16_t)(r->off - KB_DNS_HDR);
	m->end = (uint16_t)r->off;
	r->chain[0] = KB_DNS_HDR;
	r->n_chain = 1;
	return 0;
}

static int section_read(struct reader *r, unsigned int section, unsigned int count)
{
	struct kb_message *m = r->m;
	uint16_t *kept = section == 0 ? &m->an : section == 1 ? &m->ns : &m->ar;
	struct record rr;

	for (unsigned int i = 0; i < count; i++) {
		unsigned int n = (unsigned int)m->an + m->ns + m->ar;

		if (record_read(r, &rr) < 0)
			return -EBADMSG;
		if (rr.type == KB_TYPE_OPT) {
			if (section != 2 || opt_read(r, &rr) < 0)
				return -EBADMSG;
			continue;
		}
		if (m->has_opt)
			continue;
		/* Behind the limit, and once the answer is strange, there is nothing more to
		 * find out: work for a message is bounded. */
		if (n < KB_MESSAGE_RECORDS_MAX) {
			m->ttl_at[n] = (uint16_t)(rr.data - 6);
			if (section == 0 && !r->strange)
				answer_read(r, &rr);
			else if (section == 1 && !r->strange)
				authority_read(r, &rr);
		}
		if (rr.ttl < m->ttl_min)
			m->ttl_min = rr.ttl;
		if (rr.type == TYPE_RRSIG && !r->unsound)
			signature_read(r, &rr);
		++*kept;
		m->end = (uint16_t)r->off;
	}
	return 0;
}

int kb_message_read(const uint8_t *msg, size_t len, struct kb_message *ret_message)
{
	struct reader r = {.msg = msg, .len = len, .m = ret_message};

	/* All but ttl_at, which is filled as far as the counts say. */
	memset(ret_message, 0, offsetof(struct kb_message, ttl_at));
	if (header_read(&r) < 0)
		return -EBADMSG;
	for (unsigned int section = 0; section < 3; section++) {
		if (section_read(&r, section, ns_get16(msg + 6 + 2 * section)) == 0)
			continue;
		/* Cut where the room ended, or behind all that is passed on. */
		if (!(msg[2] & KB_TC) && !ret_message->has_opt)
			return -EBADMSG;
		r.unsound = true;
		break;
	}
	ret_message->sound = !r.unsound && r.off == len;
	ret_message->kind = kind_of(&r);
	return 0;
}

bool kb_message_is_for(const uint8_t *msg, const struct kb_message *message,
		       const uint8_t *question, size_t question_len, bool exact)
{
	const uint8_t *own = msg + KB_DNS_HDR;

	if (question_len != message->question_len)
		return false;
	return exact ? memcmp(own, question, question_len) == 0
		     : kb_question_same(own, question, question_len);
}
