/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/dns_build.h"

#include <assert.h>
#include <string.h>

#include "dataplane/core/dns.h"

static void put(struct dns_build *d, const void *p, size_t n)
{
	assert(n <= sizeof(d->b) - d->len);
	memcpy(d->b + d->len, p, n);
	d->len += n;
}

static void put16(struct dns_build *d, unsigned int v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(d, b, 2);
}

static void put32(struct dns_build *d, uint32_t v)
{
	put16(d, v >> 16);
	put16(d, v & 0xffff);
}

size_t dns_name(const char *text, uint8_t *out)
{
	size_t n = 0;

	while (*text) {
		size_t label = strcspn(text, ".");

		out[n++] = (uint8_t)label;
		memcpy(out + n, text, label);
		n += label;
		text += label + (text[label] == '.');
	}
	out[n++] = 0;
	return n;
}

struct kb_ask dns_ask(const char *name, uint16_t type)
{
	struct kb_ask ask = {.id = {0x12, 0x34}, .rd = true, .limit = 1232};
	size_t n = dns_name(name, ask.question);

	ask.question[n] = (uint8_t)(type >> 8);
	ask.question[n + 1] = (uint8_t)type;
	ask.question[n + 3] = 1;
	ask.len = (uint16_t)(n + 4);
	return ask;
}

void dns_begin(struct dns_build *d, const char *name, uint16_t type, uint8_t rcode)
{
	struct kb_ask ask = dns_ask(name, type);

	memset(d->b, 0, KB_DNS_HDR);
	d->b[0] = 0xab;
	d->b[2] = KB_QR | KB_RD;
	d->b[3] = (uint8_t)(0x80 | rcode);
	d->b[5] = 1;
	d->len = KB_DNS_HDR;
	put(d, ask.question, ask.len);
}

static void rr_begin(struct dns_build *d, enum dns_section section, const char *owner,
		     uint16_t type, uint16_t class, uint32_t ttl, size_t data_len)
{
	uint8_t name[256], *count = d->b + 6 + 2 * section;

	if (owner)
		put(d, name, dns_name(owner, name));
	else
		put16(d, 0xc000 | KB_DNS_HDR);
	put16(d, type);
	put16(d, class);
	put32(d, ttl);
	put16(d, (unsigned int)data_len);
	if (++count[1] == 0)
		count[0]++;
}

void dns_rr(struct dns_build *d, enum dns_section section, const char *owner, uint16_t type,
	    uint32_t ttl, const void *data, size_t data_len)
{
	rr_begin(d, section, owner, type, 1, ttl, data_len);
	put(d, data, data_len);
}

void dns_rr_name(struct dns_build *d, enum dns_section section, const char *owner, uint16_t type,
		 uint32_t ttl, const char *target)
{
	uint8_t name[256];

	dns_rr(d, section, owner, type, ttl, name, dns_name(target, name));
}

void dns_soa(struct dns_build *d, const char *zone, uint32_t ttl, uint32_t minimum)
{
	uint8_t data[64];
	size_t n = dns_name("ns.x", data);

	n += dns_name("mail.x", data + n);
	memset(data + n, 0, 16);
	n += 16;
	for (int shift = 24; shift >= 0; shift -= 8)
		data[n++] = (uint8_t)(minimum >> shift);
	dns_rr(d, DNS_AUTHORITY, zone, KB_TYPE_SOA, ttl, data, n);
}

void dns_rrsig(struct dns_build *d, uint32_t ttl, uint32_t until)
{
	uint8_t data[20] = {0, 1, 8, 2, 0, 0, 0, 60};

	for (int i = 0; i < 4; i++)
		data[8 + i] = (uint8_t)(until >> (24 - 8 * i));
	dns_rr(d, DNS_ANSWER, NULL, 46, ttl, data, sizeof(data));
}

void dns_opt(struct dns_build *d, uint16_t udp_size, uint32_t ttl)
{
	rr_begin(d, DNS_ADDITIONAL, "", KB_TYPE_OPT, udp_size, ttl, 0);
}

void dns_keep(struct kb_cache *cache, const struct kb_ask *ask, const struct dns_build *d,
	      uint64_t now_ms)
{
	struct kb_message m;

	if (kb_message_read(d->b, d->len, &m) == 0)
		kb_cache_put(cache, ask, NULL, d->b, &m, now_ms);
}
