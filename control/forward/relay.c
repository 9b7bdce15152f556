/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/relay.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <string.h>

#include "control/forward/question.h"
#include "dataplane/core/dns.h"

#define OPT_LEN	       11
#define OPTION_FIXED   4  /* code and length */
#define OPTION_PADDING 12 /* RFC 7830 */
#define PAD_TO	       128

bool kb_ask_same(const struct kb_ask *a, const struct kb_ask *b)
{
	return a->hash == b->hash && a->len == b->len && a->rd == b->rd && a->cd == b->cd &&
	       a->dnssec_ok == b->dnssec_ok && kb_question_same(a->question, b->question, a->len);
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t put_opt(uint8_t *p, uint16_t udp_max, bool dnssec_ok)
{
	memset(p, 0, OPT_LEN);
	put16(p + 1, KB_TYPE_OPT);
	put16(p + 3, udp_max);
	p[7] = dnssec_ok ? 0x80 : 0;
	return OPT_LEN;
}

size_t kb_relay_query(const struct kb_ask *ask, uint16_t id, uint16_t udp_max, uint8_t *out)
{
	size_t len = KB_DNS_HDR + ask->len;

	memset(out, 0, KB_DNS_HDR);
	put16(out, id);
	out[2] = ask->rd ? KB_RD : 0;
	out[3] = (uint8_t)(KB_AD | (ask->cd ? KB_CD : 0));
	put16(out + 4, 1);
	memcpy(out + KB_DNS_HDR, ask->question, ask->len);
	if (udp_max) {
		put16(out + 10, 1);
		len += put_opt(out + len, udp_max, ask->dnssec_ok);
	}
	return len;
}

size_t kb_relay_pad(uint8_t *query, size_t len)
{
	size_t padded = (len + OPTION_FIXED + PAD_TO - 1) / PAD_TO * PAD_TO;

	memset(query + len, 0, padded - len);
	put16(query + len - 2, (unsigned int)(padded - len)); /* of the OPT record's data */
	put16(query + len, OPTION_PADDING);
	put16(query + len + 2, (unsigned int)(padded - len - OPTION_FIXED));
	return padded;
}

enum kb_relay_verdict kb_relay_read(const struct kb_ask *ask, uint16_t id, bool exact,
				    const uint8_t *msg, size_t len, struct kb_message *ret_message)
{
	uint8_t rcode;
	bool bare;

	if (len < KB_DNS_HDR || ns_get16(msg) != id || !(msg[2] & KB_QR) || msg[2] & KB_OPCODE)
		return KB_RELAY_FOREIGN;
	rcode = msg[3] & 0x0f;
	bare = ns_get16(msg + 4) == 0 && len == KB_DNS_HDR &&
	       (rcode == KB_RCODE_FORMERR || rcode == KB_RCODE_NOTIMP);
	if (!bare && (ns_get16(msg + 4) != 1 || len < KB_DNS_HDR + (size_t)ask->len ||
		      !kb_question_same(msg + KB_DNS_HDR, ask->question, ask->len)))
		return KB_RELAY_FOREIGN;
	if (!bare && exact && memcmp(msg + KB_DNS_HDR, ask->question, ask->len) != 0)
		return KB_RELAY_CASE;
	if (!bare && kb_message_read(msg, len, ret_message) == 0)
		return KB_RELAY_OK;
	ret_message->rcode = rcode;
	ret_message->has_opt = false;
	return KB_RELAY_BAD;
}

/* Header and question; the counts are the caller's. */
static size_t begin(const struct kb_ask *ask, uint8_t flags2, uint8_t flags3, uint8_t *out)
{
	memset(out, 0, KB_DNS_HDR);
	memcpy(out, ask->id, 2);
	out[2] = (uint8_t)(KB_QR | flags2 | (ask->rd ? KB_RD : 0));
	out[3] = (uint8_t)(KB_RA | flags3 | (ask->cd ? KB_CD : 0));
	put16(out + 4, 1);
	memcpy(out + KB_DNS_HDR, ask->question, ask->len);
	return KB_DNS_HDR + (size_t)ask->len;
}

uint8_t kb_relay_flags2(const struct kb_relay *relay)
{
	return relay->flags2 & KB_AA;
}

uint8_t kb_relay_flags3(const struct kb_relay *relay, bool ad)
{
	return (uint8_t)(KB_RA | (ad ? relay->flags3 & KB_AD : 0) | (relay->rcode & 0x0f));
}

size_t kb_relay_reply(const struct kb_ask *ask, const uint8_t *msg, const struct kb_relay *relay,
		      uint16_t udp_max, uint8_t *out, size_t cap)
{
	size_t question_end = KB_DNS_HDR + (size_t)ask->len, body = relay->end - question_end;
	size_t opt = ask->has_opt ? OPT_LEN : 0, limit = ask->limit < cap ? ask->limit : cap;
	bool fits = relay->end + opt <= limit && !(relay->flags2 & KB_TC);
	size_t len;

	assert(cap >= KB_RELAY_QUERY_MAX);
	len = begin(ask, (uint8_t)(kb_relay_flags2(relay) | (fits ? 0 : KB_TC)),
		    kb_relay_flags3(relay, ask->dnssec_ok || ask->ad), out);
	if (fits) {
		put16(out + 6, relay->an);
		put16(out + 8, relay->ns);
		memcpy(out + len, msg + question_end, body);
		len += body;
	}
	put16(out + 10, (fits ? relay->ar : 0U) + ask->has_opt);
	if (opt)
		len += put_opt(out + len, udp_max, ask->dnssec_ok);
	return len;
}

size_t kb_relay_error(const struct kb_ask *ask, uint8_t rcode, uint16_t udp_max, uint8_t *out)
{
	size_t len = begin(ask, 0, rcode, out);

	put16(out + 10, ask->has_opt);
	if (ask->has_opt)
		len += put_opt(out + len, udp_max, ask->dnssec_ok);
	return len;
}
