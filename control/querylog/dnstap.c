/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/dnstap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "control/config/version.h"
#include "control/records/wirename.h"

#define NS_PER_S 1000000000LL

/* Numbers of the schema. */
enum { DNSTAP_IDENTITY = 1, DNSTAP_VERSION, DNSTAP_EXTRA, DNSTAP_MESSAGE = 14, DNSTAP_TYPE };
enum {
	MSG_TYPE = 1,
	MSG_FAMILY,
	MSG_PROTOCOL,
	MSG_QUERY_ADDRESS,
	MSG_RESPONSE_ADDRESS,
	MSG_QUERY_PORT,
	MSG_RESPONSE_PORT,
	MSG_QUERY_SEC,
	MSG_QUERY_NSEC,
	MSG_QUERY,
	MSG_RESPONSE_SEC = 12,
	MSG_RESPONSE_NSEC,
	MSG_RESPONSE,
};
enum { TYPE_MESSAGE = 1 };
enum { CLIENT_QUERY = 5, CLIENT_RESPONSE };
enum { FAMILY_INET = 1, FAMILY_INET6 };
enum { PROTOCOL_UDP = 1, PROTOCOL_TCP };

/* Protobuf's kinds of field; those of 8 bytes are not used. */
enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define MESSAGE_MAX (KB_DNS_HDR + 255 + 4)
/* Each field's tag and length or number at their longest, addresses, message. */
#define INNER_MAX (13 * 12 + 2 * 16 + MESSAGE_MAX)
_Static_assert(KB_DNSTAP_MAX >= KB_EVENT_LINE_MAX + KB_DNSTAP_IDENTITY_MAX + sizeof(KB_VERSION) +
					INNER_MAX + 5 * 4,
	       "the longest fits");

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *put_number(uint8_t *p, unsigned int field, uint64_t v)
{
	return put_varint(put_varint(p, field << 3 | WIRE_VARINT), v);
}

static uint8_t *put_fixed32(uint8_t *p, unsigned int field, uint32_t v)
{
	p = put_varint(p, field << 3 | WIRE_FIXED32);
	for (int i = 0; i < 4; i++)
		*p++ = (uint8_t)(v >> 8 * i);
	return p;
}

static uint8_t *put_bytes(uint8_t *p, unsigned int field, const void *bytes, size_t n)
{
	p = put_varint(put_varint(p, field << 3 | WIRE_BYTES), n);
	memcpy(p, bytes, n);
	return p + n;
}

static uint8_t *put_address(uint8_t *p, unsigned int field, const __u64 addr[2], bool v4)
{
	return put_bytes(p, field, (const uint8_t *)addr + (v4 ? 12 : 0), v4 ? 4 : 16);
}

static uint8_t *put_time(uint8_t *p, unsigned int sec, unsigned int nsec, int64_t ns)
{
	p = put_number(p, sec, (uint64_t)(ns / NS_PER_S));
	return put_fixed32(p, nsec, (uint32_t)(ns % NS_PER_S));
}

/* Header and question. */
static size_t message(const struct kb_event *e, uint8_t msg[MESSAGE_MAX])
{
	struct kb_wire folded;
	uint8_t *p = msg + KB_DNS_HDR;

	memset(msg, 0, KB_DNS_HDR);
	memcpy(msg, &e->id, 2);
	msg[2] = e->flags2;
	msg[3] = e->flags3;
	if (kb_wire_fold(e->name, e->name_len, &folded) < 0)
		return KB_DNS_HDR;
	msg[5] = 1;
	memcpy(p, e->name, e->name_len);
	p += e->name_len;
	memcpy(p, &e->qtype, 2);
	memcpy(p + 2, &e->qclass, 2);
	return (size_t)(p + 4 - msg);
}

static size_t inner(const struct kb_event *e, int64_t wall_offset, uint8_t ret[INNER_MAX])
{
	bool left = !e->reply_len, v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)e->src);
	int64_t ns = (int64_t)e->time_ns + wall_offset;
	uint8_t msg[MESSAGE_MAX], *p = ret;

	p = put_number(p, MSG_TYPE, left ? CLIENT_QUERY : CLIENT_RESPONSE);
	p = put_number(p, MSG_FAMILY, v4 ? FAMILY_INET : FAMILY_INET6);
	p = put_number(p, MSG_PROTOCOL, e->transport == KB_EVENT_TCP ? PROTOCOL_TCP : PROTOCOL_UDP);
	p = put_address(p, MSG_QUERY_ADDRESS, e->src, v4);
	p = put_address(p, MSG_RESPONSE_ADDRESS, e->dst, v4);
	p = put_number(p, MSG_QUERY_PORT, ntohs(e->sport));
	p = put_number(p, MSG_RESPONSE_PORT, ntohs(e->dport));
	if (left || e->duration_ns)
		p = put_time(p, MSG_QUERY_SEC, MSG_QUERY_NSEC, ns - e->duration_ns);
	if (!left)
		p = put_time(p, MSG_RESPONSE_SEC, MSG_RESPONSE_NSEC, ns);
	p = put_bytes(p, left ? MSG_QUERY : MSG_RESPONSE, msg, message(e, msg));
	return (size_t)(p - ret);
}

size_t kb_dnstap_encode(const struct kb_event *e, int64_t wall_offset, const char *identity,
			uint8_t *ret)
{
	uint8_t in[INNER_MAX], *p = ret;
	char line[KB_EVENT_LINE_MAX];

	p = put_bytes(p, DNSTAP_IDENTITY, identity, strnlen(identity, KB_DNSTAP_IDENTITY_MAX));
	p = put_bytes(p, DNSTAP_VERSION, "kbdns " KB_VERSION, sizeof("kbdns " KB_VERSION) - 1);
	p = put_bytes(p, DNSTAP_EXTRA, line, kb_event_line(e, wall_offset, line) - 1);
	p = put_bytes(p, DNSTAP_MESSAGE, in, inner(e, wall_offset, in));
	p = put_number(p, DNSTAP_TYPE, TYPE_MESSAGE);
	return (size_t)(p - ret);
}
