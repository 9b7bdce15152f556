/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries as frames, and an independent check of replies: byte by byte, by the RFCs, with
 * nothing of dataplane/core but the numbers that the table's owner chose.
 */
#ifndef KB_TESTS_PACKET_CHECK_H
#define KB_TESTS_PACKET_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FRAME_MAX 2048

/* What stands in every reply: AA in byte 2, RA and AD in byte 3, TTLs. */
static struct {
	uint8_t flags2, flags3;
	uint32_t ttl_min, ttl_max;
} reply_style = {4, 0, 5, 5};

struct frame {
	uint8_t b[FRAME_MAX];
	size_t len;
	bool v6;
};

static const uint8_t port_mac[6] = {2, 0, 0, 0, 0, 1}, pod_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t pod4[4] = {10, 244, 0, 11}, dns4[4] = {10, 96, 0, 10};
static const uint8_t pod6[16] = {0xfd, 0, 0, 0x10, 2, 0x44, [15] = 0xb};
static const uint8_t dns6[16] = {0xfd, 0, 0, 0x10, 0, 0x96, [15] = 0xa};

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* RFC 1071, the slow way. */
static inline uint32_t sum16(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline size_t ip_len(const struct frame *f)
{
	return f->v6 ? 40 : 20;
}
static inline uint8_t *udp_of(struct frame *f)
{
	return f->b + 14 + ip_len(f);
}
static inline uint8_t *dns_of(struct frame *f)
{
	return udp_of(f) + 8;
}

static inline uint32_t pseudo_sum(const struct frame *f, uint32_t udp_len)
{
	uint32_t sum = f->v6 ? sum16(0, f->b + 22, 32) : sum16(0, f->b + 26, 8);

	sum += udp_len + 17;
	return sum16(sum, NULL, 0);
}

/* Lengths and checksums for what stands in the frame now. */
static inline void frame_finish(struct frame *f)
{
	uint32_t udp_len = (uint32_t)(f->len - 14 - ip_len(f)), sum;
	uint8_t *udp = udp_of(f);

	if (f->v6) {
		put16(f->b + 18, udp_len);
	} else {
		put16(f->b + 16, udp_len + 20);
		put16(f->b + 24, 0);
		put16(f->b + 24, ~sum16(0, f->b + 14, 20) & 0xffff);
	}
	put16(udp + 4, udp_len);
	put16(udp + 6, 0);
	sum = ~sum16(pseudo_sum(f, udp_len), udp, udp_len) & 0xffff;
	put16(udp + 6, sum ? sum : 0xffff);
}

static inline size_t put_name(uint8_t *p, const char *name)
{
	size_t n = 0;

	while (*name) {
		size_t label = strcspn(name, ".");

		p[n++] = (uint8_t)label;
		memcpy(p + n, name, label);
		n += label;
		name += label;
		if (*name == '.')
			name++;
	}
	p[n++] = 0;
	return n;
}

/* edns: 0 none, else the size; flags: of the OPT's TTL, 0x8000 is DO. */
static inline void frame_query(struct frame *f, bool v6, const char *name, uint32_t qtype,
			       uint32_t edns, uint32_t edns_flags)
{
	static const uint8_t ip4[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 17};
	uint8_t *p;

	memset(f, 0, sizeof(*f));
	f->v6 = v6;
	memcpy(f->b, port_mac, 6);
	memcpy(f->b + 6, pod_mac, 6);
	if (v6) {
		put16(f->b + 12, 0x86dd);
		f->b[14] = 0x60;
		f->b[20] = 17;
		f->b[21] = 64;
		memcpy(f->b + 22, pod6, 16);
		memcpy(f->b + 38, dns6, 16);
	} else {
		put16(f->b + 12, 0x0800);
		memcpy(f->b + 14, ip4, 20);
		memcpy(f->b + 26, pod4, 4);
		memcpy(f->b + 30, dns4, 4);
	}
	put16(udp_of(f), 40000);
	put16(udp_of(f) + 2, 53);
	p = dns_of(f);
	put16(p, 0xbeef);
	p[2] = 1; /* RD */
	p[5] = 1;
	p += 12;
	p += put_name(p, name);
	put16(p, qtype);
	put16(p + 2, 1);
	p += 4;
	if (edns) {
		dns_of(f)[11] = 1;
		*p++ = 0;
		put16(p, 41);
		put16(p + 2, edns);
		put16(p + 6, edns_flags);
		p += 10;
	}
	f->len = (size_t)(p - f->b);
	frame_finish(f);
}

/* What a reply must be; -1: anything. */
struct expect {
	int rcode, an, ns, ar, tc;
};

struct reply_info {
	int rcode, an, ns, ar, tc;
	uint32_t udp_max; /* of the OPT, 0: none */
	bool dnssec_ok;
	size_t dns_len;
	const uint8_t *first_rr; /* answer section */
};

static inline const uint8_t *skip_name(const uint8_t *msg, const uint8_t *p, const uint8_t *end)
{
	unsigned int jumps = 0, total = 0;
	const uint8_t *after = NULL;

	for (;;) {
		if (p >= end)
			return NULL;
		if (*p >> 6 == 3) {
			const uint8_t *to;

			if (p + 2 > end || ++jumps > 16)
				return NULL;
			to = msg + (get16(p) & 0x3fff);
			if (!after)
				after = p + 2;
			if (to >= p)
				return NULL; /* only to a prior place, RFC 1035 section 4.1.4 */
			p = to;
		} else if (*p >> 6) {
			return NULL;
		} else {
			total += *p + 1U;
			if (total > 255)
				return NULL;
			if (*p == 0)
				return after ? after : p + 1;
			p += *p + 1;
		}
	}
}

#define CHECK(cond, ...)                                         \
	do {                                                     \
		if (!(cond)) {                                   \
			snprintf(why, sizeof(why), __VA_ARGS__); \
			return why;                              \
		}                                                \
	} while (0)

/* NULL, or what is wrong with a reply to q. `partial`: the UDP field may be the pseudo
 * header's sum, as in the query. */
static inline const char *check_reply(struct frame *q, struct frame *r, bool partial,
				      struct reply_info *info)
{
	static char why[160];
	size_t hdr = 14 + ip_len(q), udp_len, limit = 512, qlen = 0;
	uint8_t *ru, *qu = udp_of(q), *rd, *qd = dns_of(q);
	const uint8_t *p, *end;
	uint32_t sum;

	r->v6 = q->v6;
	ru = udp_of(r);
	rd = dns_of(r);
	CHECK(r->len >= hdr + 20, "short: %zu", r->len);
	CHECK(!memcmp(r->b, q->b + 6, 6) && !memcmp(r->b + 6, q->b, 6), "MAC addresses");
	CHECK(!memcmp(r->b + 12, q->b + 12, 2), "ethertype");
	if (q->v6) {
		CHECK(r->b[14] >> 4 == 6 && r->b[20] == 17 && r->b[21] >= 64, "IPv6 header");
		CHECK(get16(r->b + 18) == r->len - 54, "IPv6 length");
		CHECK(!memcmp(r->b + 22, q->b + 38, 16) && !memcmp(r->b + 38, q->b + 22, 16),
		      "IPv6 addresses");
	} else {
		CHECK(r->b[14] == 0x45 && r->b[22] >= 64 && r->b[23] == 17, "IPv4 header");
		CHECK(!(get16(r->b + 20) & 0x3fff), "fragment bits");
		CHECK(get16(r->b + 16) == r->len - 14, "IPv4 length %u of %zu", get16(r->b + 16),
		      r->len);
		CHECK(sum16(0, r->b + 14, 20) == 0xffff, "IPv4 header checksum");
		CHECK(!memcmp(r->b + 26, q->b + 30, 4) && !memcmp(r->b + 30, q->b + 26, 4),
		      "IPv4 addresses");
	}
	CHECK(!memcmp(ru, qu + 2, 2) && !memcmp(ru + 2, qu, 2), "ports");
	udp_len = r->len - hdr;
	CHECK(get16(ru + 4) == udp_len, "UDP length");
	CHECK(get16(ru + 6) != 0, "UDP checksum 0");
	sum = sum16(pseudo_sum(r, (uint32_t)udp_len), ru, udp_len);
	CHECK(sum == 0xffff || (partial && get16(ru + 6) == pseudo_sum(r, (uint32_t)udp_len)),
	      "UDP checksum: %04x", sum);

	CHECK(get16(rd) == get16(qd), "id");
	CHECK(rd[2] >> 7 && !(rd[2] & 0x78), "QR, opcode");
	CHECK((rd[2] & 4) == reply_style.flags2, "AA");
	CHECK((rd[2] & 1) == (qd[2] & 1), "RD");
	CHECK((rd[3] & 0xe0) == reply_style.flags3 && (rd[3] & 0x10) == (qd[3] & 0x10),
	      "RA, Z, AD, CD");
	info->tc = rd[2] >> 1 & 1;
	info->rcode = rd[3] & 15;
	CHECK(get16(rd + 4) == 1, "qdcount");
	info->an = (int)get16(rd + 6);
	info->ns = (int)get16(rd + 8);
	info->ar = (int)get16(rd + 10);
	info->udp_max = 0;
	info->dns_len = udp_len - 8;
	info->first_rr = NULL;
	end = rd + info->dns_len;
	while (qd[12 + qlen])
		qlen += qd[12 + qlen] + 1U;
	qlen += 5;
	CHECK(!memcmp(rd + 12, qd + 12, qlen), "question");
	p = rd + 12 + qlen;
	CHECK(p <= end, "ends in the question");
	if (qd[11]) {
		limit = get16(qd + 12 + qlen + 3);
		limit = limit < 512 ? 512 : limit > 1232 ? 1232 : limit;
	}
	CHECK(info->dns_len <= limit, "%zu bytes, the client takes %zu", info->dns_len, limit);
	for (int i = 0; i < info->an + info->ns + info->ar; i++) {
		const uint8_t *owner = p;
		uint32_t type, rdlen;

		p = skip_name(rd, p, end);
		CHECK(p && p + 10 <= end, "record %d: owner", i);
		type = get16(p);
		rdlen = get16(p + 8);
		CHECK(p + 10 + rdlen <= end, "record %d: rdata", i);
		if (type == 41) {
			CHECK(i == info->an + info->ns + info->ar - 1 && *owner == 0, "OPT");
			CHECK(p[4] == 0 && p[5] == 0 && rdlen == 0, "OPT's fields");
			info->udp_max = get16(p + 2);
			info->dnssec_ok = p[6] >> 7;
		} else {
			CHECK(get16(p + 2) == 1, "record %d: class", i);
			CHECK(get16(p + 4) == 0 && get16(p + 6) >= reply_style.ttl_min &&
				      get16(p + 6) <= reply_style.ttl_max,
			      "record %d: TTL %u", i, get16(p + 6));
			if (type == 6) {
				const uint8_t *n = skip_name(rd, p + 10, end);

				n = n ? skip_name(rd, n, end) : NULL;
				CHECK(n && n + 20 == p + 10 + rdlen, "SOA");
			}
		}
		if (i == 0 && info->an)
			info->first_rr = owner;
		p += 10 + rdlen;
	}
	CHECK(p == end, "%d bytes behind the last record", (int)(end - p));
	CHECK(!info->udp_max == !qd[11], "OPT for OPT");
	CHECK(!qd[11] || info->udp_max == 1232, "EDNS size %u", info->udp_max);
	CHECK(!qd[11] || info->dnssec_ok == qd[12 + qlen + 7] >> 7, "DO");
	return NULL;
}

#endif
