/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer core, frame in and frame out, over a table of the real writer. Replies are
 * checked by a checksum that is nothing but RFC 1071, byte by byte, and decoded by ldns.
 */
#include "control/table/env.h"
#include "control/table/table.h"
#include "tests/unit/mem_backing.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME_MAX 4096
#define CLUSTER	  "\7cluster\5local"

static uint64_t rng = 88172645463325252ULL;

static uint64_t rnd64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x9e3779b97f4a7c15ULL;
}

static uint32_t rnd(uint32_t n)
{
	return (uint32_t)((rnd64() >> 32) % n);
}

/* --- a table and what is asked of it --- */

static struct kb_mem *mem;
static struct kb_backing backing;
static struct kb_table *table;
static struct kb_header *hdr;

static int start(void **state)
{
	struct kb_table_config config = {.replicas = 1};
	static const uint8_t server[16] = {10, 96, 0, 10}, all[16];

	(void)state;
	mem = kb_mem_new(NULL, NULL);
	assert_non_null(mem);
	kb_mem_backing(mem, &backing);
	assert_int_equal(kb_table_new(&backing, &config, &table), 0);
	hdr = backing.header;
	kb_table_set_ttl(table, 5);
	kb_table_set_serial(table, 0x01020304);
	kb_table_set_state(table, KB_FULL);
	assert_int_equal(kb_table_zone_add(table, (const uint8_t *)CLUSTER, sizeof(CLUSTER), 1,
					   KB_ZONE_ANSWER),
			 0);
	assert_int_equal(kb_table_icept_add(table, 4, server, 53), 0);
	assert_int_equal(kb_table_icept_add(table, 6, server, 53), 0);
	assert_int_equal(kb_table_allow_add(table, 4, all, 0), 0);
	assert_int_equal(kb_table_allow_add(table, 6, all, 0), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	kb_table_free(table);
	kb_mem_free(mem);
	return 0;
}

struct set_spec {
	uint16_t type;
	const uint8_t *body;
	uint16_t patches[8];
	struct kb_set set;
};

/* Lays a record out as layout.h says. */
static size_t rec_build(uint8_t *buf, uint8_t flags, const struct set_spec *spec, uint8_t n)
{
	size_t pos = (sizeof(struct kb_rec) + n * sizeof(struct kb_dir) + 15) & ~(size_t)15;
	struct kb_rec rec = {.n_sets = n, .flags = flags};

	memset(buf, 0, pos);
	for (size_t i = 0; i < n; i++) {
		struct kb_dir dir = {.type = kb_swap16(spec[i].type), .unit = (uint16_t)(pos / 16)};
		size_t len = spec[i].set.len, end;

		memcpy(buf + sizeof(rec) + i * sizeof(dir), &dir, sizeof(dir));
		memcpy(buf + pos, &spec[i].set, sizeof(struct kb_set));
		memcpy(buf + pos + sizeof(struct kb_set), spec[i].body, len);
		end = pos + sizeof(struct kb_set) + len;
		if (len & 1)
			buf[end++] = 0;
		memcpy(buf + end, spec[i].patches, 2U * spec[i].set.patches);
		end += 2U * spec[i].set.patches;
		pos = (end + 15) & ~(size_t)15;
		memset(buf + end, 0, pos - end);
	}
	rec.units = (uint16_t)(pos / 16);
	memcpy(buf, &rec, sizeof(rec));
	return pos;
}

static void put(const uint8_t *name, size_t len, enum kb_value_kind kind, uint32_t addr,
		const void *rec, size_t rec_len)
{
	struct kb_entry e = {.kind = kind, .zone = 1, .addr = addr};

	if (rec_len)
		assert_int_equal(kb_table_intern(table, rec, rec_len, &e.ref), 0);
	assert_int_equal(kb_table_put(table, name, len, &e), 0);
	kb_table_settle(table);
}

static void put_set(const uint8_t *name, size_t len, const struct set_spec *spec)
{
	static uint8_t rec[8192];

	put(name, len, KB_VALUE_REC, 0, rec, rec_build(rec, 0, spec, 1));
}

/* A query as a client would send it. */
struct query {
	int v6;
	const uint8_t *name;
	size_t name_len;
	uint16_t type, id, sport;
	int edns; /* 0: none, else the UDP size */
	bool dnssec_ok;
};

static void store_be16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t load_be16(const uint8_t *p)
{
	return (size_t)(p[0] << 8 | p[1]);
}

static size_t msg_build(uint8_t *m, const struct query *q)
{
	size_t pos = 12;

	memset(m, 0, 12);
	store_be16(m, q->id);
	m[2] = 1;
	m[5] = 1;
	memcpy(m + pos, q->name, q->name_len);
	pos += q->name_len;
	store_be16(m + pos, q->type);
	store_be16(m + pos + 2, 1);
	pos += 4;
	if (q->edns) {
		memset(m + pos, 0, 11);
		m[11] = 1;
		m[pos + 2] = 41;
		store_be16(m + pos + 3, (size_t)q->edns);
		m[pos + 7] = q->dnssec_ok ? 0x80 : 0;
		pos += 11;
	}
	return pos;
}

static size_t frame_build(uint8_t *f, const struct query *q)
{
	static const uint8_t macs[12] = {2, 1, 2, 3, 4, 5, 2, 9, 8, 7, 6, 5};
	size_t off = q->v6 ? KB_HDRS6 : KB_HDRS4, len = msg_build(f + off, q);
	uint8_t *ip = f + 14, *udp = f + off - 8;

	memset(f, 0, off);
	memcpy(f, macs, 12);
	store_be16(f + 12, q->v6 ? 0x86dd : 0x0800);
	if (q->v6) {
		ip[0] = 0x60;
		store_be16(ip + 4, len + 8);
		ip[6] = 17;
		ip[7] = 64;
		ip[8] = 0xfd;
		ip[23] = 7;
		ip[24] = 10;
		ip[25] = 96;
		ip[27] = 10;
	} else {
		ip[0] = 0x45;
		store_be16(ip + 2, len + 28);
		ip[8] = 64;
		ip[9] = 17;
		ip[12] = 10;
		ip[13] = 244;
		ip[15] = 9;
		ip[16] = 10;
		ip[17] = 96;
		ip[19] = 10;
	}
	store_be16(udp, q->sport ? q->sport : 40000);
	store_be16(udp + 2, 53);
	store_be16(udp + 4, len + 8);
	return off + len;
}

struct result {
	int left;
	uint8_t frame[FRAME_MAX];
	size_t len;
	const uint8_t *dns;
	size_t dns_len;
	bool tc;
	uint32_t an, ns, ar, rcode;
};

/* One's complement sum of 16-bit big-endian words, as RFC 1071 says it. */
static uint32_t plain_sum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static uint32_t plain_udp_sum(const uint8_t *frame, int v6, size_t udp_len)
{
	const uint8_t *ip = frame + 14;
	uint32_t sum = v6 ? plain_sum(ip + 8, 32, 0) : plain_sum(ip + 12, 8, 0);

	sum += 17 + (uint32_t)udp_len;
	return plain_sum(ip + (v6 ? 40 : 20), udp_len, sum);
}

static void check_frame(const struct query *q, const uint8_t *query, const struct result *r)
{
	const uint8_t *f = r->frame, *ip = f + 14, *udp = ip + (q->v6 ? 40 : 20);
	size_t udp_len = r->len - (q->v6 ? 54 : 34);

	assert_memory_equal(f, query + 6, 6);
	assert_memory_equal(f + 6, query, 6);
	if (q->v6) {
		assert_int_equal(ip[0], 0x60);
		assert_int_equal(load_be16(ip + 4), udp_len);
		assert_int_equal(ip[6], 17);
		assert_int_equal(ip[7], 64);
		assert_memory_equal(ip + 8, query + 14 + 24, 16);
		assert_memory_equal(ip + 24, query + 14 + 8, 16);
	} else {
		assert_int_equal(ip[0], 0x45);
		assert_int_equal(load_be16(ip + 2), udp_len + 20);
		assert_int_equal(load_be16(ip + 6), 0x4000);
		assert_int_equal(ip[8], 64);
		assert_int_equal(ip[9], 17);
		assert_memory_equal(ip + 12, query + 14 + 16, 4);
		assert_memory_equal(ip + 16, query + 14 + 12, 4);
		assert_int_equal(plain_sum(ip, 20, 0), 0xffff);
	}
	assert_int_equal(load_be16(udp), 53);
	assert_memory_equal(udp + 2, query + (udp - f), 2);
	assert_int_equal(load_be16(udp + 4), udp_len);
	assert_int_not_equal(load_be16(udp + 6), 0);
	assert_int_equal(plain_udp_sum(f, q->v6, udp_len), 0xffff);
	/* The header and the question of the query, with the bits of an answer. */
	assert_memory_equal(udp + 8, query + (udp + 8 - f), 2);
	assert_int_equal(udp[10] & 0xf9, 0x81);
	assert_true(udp[10] & 4);
	assert_int_equal(load_be16(udp + 12), 1);
	assert_memory_equal(udp + 20, query + (udp + 20 - f), q->name_len + 4);
}

static struct kb_scratch scratch;

/* What an engine does with a frame. */
static int serve(const uint8_t *frame, size_t len, struct result *r)
{
	struct kb_env env;
	struct kb_view view = {.env = &env, .hdr = hdr, .state = hdr->state};
	struct kb_scratch *s = &scratch;
	struct kb_flow f;
	uint32_t dns_len;
	__u64 query_sum;
	int why;

	why = kb_flow_parse(frame, frame + len, (uint32_t)len, hdr, &f);
	if (why)
		return why;
	if (!kb_icept_find(&backing.icept[kb_icept_hash(f.dst[0], f.dst[1], f.dport)], &f))
		return KB_CNT_NOT_INTERCEPT;
	if (!kb_source_allowed(hdr, &f))
		return KB_CNT_SOURCE;
	kb_table_env(table, &env);
	memset(s, 0xa5, sizeof(*s));
	memcpy(s->msg, frame + f.dns_off, f.dns_len < sizeof(s->msg) ? f.dns_len : sizeof(s->msg));
	why = kb_query_parse(s->msg, f.dns_len, hdr, &s->q);
	if (why)
		return why;
	if (kb_csum_query(&f, &s->q, s->msg, &query_sum)) {
		/* Without its checksum field, as a sender with offload leaves it. */
		assert_int_equal(
			kb_swap16(kb_csum_fold(kb_csum_pseudo(&f, f.dns_len + 8U) + query_sum)),
			plain_udp_sum(frame, f.v6, f.dns_len + 8U));
	}
	why = kb_answer_value(&view, s, kb_lookup(&view, s->q.name.hash));
	if (why)
		return why;
	dns_len = (uint32_t)s->q.end + s->r.len;
	assert_true(dns_len <= s->q.limit);
	assert_int_equal(kb_csum_fold(s->r.sum), kb_csum_fold(kb_out_sum(s->out, s->r.len)));
	memcpy(r->frame, frame, f.dns_off + s->q.end);
	memcpy(r->frame + f.dns_off + s->q.end, s->out, s->r.len);
	kb_reply_headers(r->frame, f.v6, &f, &s->q, &s->r, dns_len,
			 kb_csum_field(kb_csum_pseudo(&f, dns_len + 8) +
				       kb_csum_reply(&f, &s->q, &s->r, dns_len + 8)));
	r->len = f.dns_off + dns_len;
	r->dns = r->frame + f.dns_off;
	r->dns_len = dns_len;
	r->tc = (r->dns[2] & 2) != 0;
	r->rcode = r->dns[3] & 15;
	r->an = (uint32_t)load_be16(r->dns + 6);
	r->ns = (uint32_t)load_be16(r->dns + 8);
	r->ar = (uint32_t)load_be16(r->dns + 10);
	return 0;
}

static int ask(const struct query *q, struct result *r)
{
	uint8_t frame[FRAME_MAX];
	size_t len = frame_build(frame, q);

	r->left = serve(frame, len, r);
	if (r->left == 0)
		check_frame(q, frame, r);
	return r->left;
}

/* The reply as ldns reads it: owned by the caller. */
static ldns_pkt *decode(const struct result *r)
{
	ldns_pkt *pkt = NULL;

	assert_int_equal(ldns_wire2pkt(&pkt, r->dns, r->dns_len), LDNS_STATUS_OK);
	assert_int_equal(ldns_rr_list_rr_count(ldns_pkt_answer(pkt)), r->an);
	assert_int_equal(ldns_rr_list_rr_count(ldns_pkt_authority(pkt)), r->ns);
	assert_int_equal(ldns_rr_list_rr_count(ldns_pkt_additional(pkt)) +
				 (size_t)ldns_pkt_edns(pkt),
			 r->ar);
	return pkt;
}

/* Text of one record without its tabs, to compare. */
static void rr_text(const ldns_rr *rr, char *buf, size_t size)
{
	char *text = ldns_rr2str(rr);

	assert_non_null(text);
	snprintf(buf, size, "%s", text);
	free(text);
	for (char *p = buf; *p; p++) {
		if (*p == '\t')
			*p = ' ';
		else if (*p == '\n')
			*p = '\0';
	}
}

/* A name of exactly `len` wire bytes below no zone in particular; 0 if there is none. */
static size_t name_of_len(size_t len, uint8_t *buf)
{
	size_t pos = 0, left = len - 1;

	if (len == 2 || len == 0)
		return 0;
	while (left) {
		size_t label = left - 1 > 63 ? 63 : left - 1;

		/* Nothing that cannot be filled: a label takes two bytes at least. */
		if (left - label - 1 == 1)
			label--;
		buf[pos] = (uint8_t)label;
		for (size_t i = 1; i <= label; i++)
			buf[pos + i] = (uint8_t)('a' + (pos + i) % 26);
		pos += label + 1;
		left -= label + 1;
	}
	buf[pos] = 0;
	return pos + 1;
}

static void record(uint8_t *p, uint16_t type, size_t rdlen)
{
	memset(p, 0, 12);
	p[0] = 0xc0;
	p[1] = 12;
	store_be16(p + 2, type);
	p[5] = 1;
	store_be16(p + 10, rdlen);
}

/* `n` A (16 bytes) or AAAA records, the address of record i ends in i. */
static void addresses(struct set_spec *ret, uint8_t *body, uint16_t type, uint32_t n)
{
	size_t rr = type == KB_TYPE_A ? 16 : 28;

	for (uint32_t i = 0; i < n; i++) {
		record(body + i * rr, type, rr - 12);
		memset(body + i * rr + 12, 10, rr - 12);
		store_be16(body + (i + 1) * rr - 2, i);
	}
	*ret = (struct set_spec){.type = type,
				 .body = body,
				 .set = {.form = KB_FORM_WIRE,
					 .flags = KB_SET_ROTATE,
					 .rr_len = (uint8_t)rr,
					 .an = (uint16_t)n,
					 .len = (uint16_t)(n * rr)}};
}

/* --- sizes, lengths, checksums --- */

static void every_answer_size(void **state)
{
	static struct result r;
	uint8_t body[KB_BODY_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)rnd64();
	for (uint32_t len = 0; len <= KB_BODY_MAX; len++) {
		uint8_t name[KB_NAME_MAX];
		/* Odd and even ones, short and long. */
		size_t name_len = name_of_len(1 + (len * 7) % 255, name);
		struct set_spec spec = {
			.type = KB_TYPE_TXT,
			.body = body + len % 2,
			.set = {.form = KB_FORM_WIRE, .an = 7, .len = (uint16_t)len}};

		if (!name_len)
			name_len = name_of_len(3, name);
		if (len % 3 == 0)
			memset(body, 0xff, len);
		put_set(name, name_len, &spec);
		for (int k = 0; k < 6; k++) {
			struct query q = {.v6 = k & 1,
					  .name = name,
					  .name_len = name_len,
					  .type = KB_TYPE_TXT,
					  .id = (uint16_t)rnd64(),
					  .edns = k < 2	  ? 0
						  : k < 4 ? 1232
							  : 4096,
					  .dnssec_ok = k >= 4};
			size_t end = 12 + name_len + 4, opt = q.edns ? 11 : 0;
			size_t limit = q.edns ? 1232 : 512;

			assert_int_equal(ask(&q, &r), 0);
			assert_int_equal(r.tc, end + len + opt > limit);
			assert_int_equal(r.dns_len, end + opt + (r.tc ? 0 : len));
			assert_int_equal(r.an, r.tc ? 0 : 7);
			assert_int_equal(r.ar, q.edns ? 1 : 0);
			if (!r.tc)
				assert_memory_equal(r.dns + end, spec.body, len);
			if (opt) {
				const uint8_t want[11] = {0,	      0,
							  41,	      1232 >> 8,
							  1232 & 255, 0,
							  0,	      q.dnssec_ok ? 0x80 : 0};

				assert_memory_equal(r.dns + r.dns_len - 11, want, 11);
			}
		}
	}
}

static void every_name_length(void **state)
{
	static struct result r;

	(void)state;
	for (size_t len = 1; len <= KB_NAME_MAX; len++) {
		uint8_t name[KB_NAME_MAX + 1];
		size_t n = name_of_len(len, name);

		if (!n) {
			assert_int_equal(len, 2);
			continue;
		}
		assert_int_equal(n, len);
		put(name, n, KB_VALUE_A, 0x0100000aU + (uint32_t)(len << 16), NULL, 0);
		for (int k = 0; k < 4; k++) {
			uint8_t asked[KB_NAME_MAX + 1];
			struct query q = {.v6 = k & 1,
					  .name = asked,
					  .name_len = n,
					  .type = KB_TYPE_A,
					  .id = (uint16_t)rnd64(),
					  .edns = k & 2 ? 1400 : 0};
			ldns_pkt *pkt;
			char text[1100];

			/* Any case is found, and comes back as it was asked. */
			for (size_t i = 0, label = 0; i < n; i++) {
				asked[i] = name[i];
				if (i == label)
					label += name[i] + 1U;
				else if (rnd(2))
					asked[i] = (uint8_t)(name[i] - 32);
			}
			assert_int_equal(ask(&q, &r), 0);
			pkt = decode(&r);
			rr_text(ldns_rr_list_rr(ldns_pkt_answer(pkt), 0), text, sizeof(text));
			assert_non_null(strstr(text, " 5 IN A 10.0."));
			assert_true(ldns_pkt_aa(pkt));
			assert_int_equal(ldns_rr_ttl(ldns_rr_list_rr(ldns_pkt_answer(pkt), 0)), 5);
			ldns_pkt_free(pkt);
		}
	}
}

/* Negative answers below zones of every length that fits, and their SOA. */
static void negative_answers(void **state)
{
	static struct result r;

	(void)state;
	put((const uint8_t *)"\1x" CLUSTER, 2 + sizeof(CLUSTER), KB_VALUE_REC, 0, NULL, 0);
	kb_table_set_ttl(table, 1000);
	for (size_t extra = 0; extra <= KB_NAME_MAX - sizeof(CLUSTER); extra++) {
		uint8_t name[KB_NAME_MAX + 1] = {0};
		size_t n = extra ? name_of_len(extra + 1, name) : 1;

		if (!n)
			continue;
		memcpy(name + extra, CLUSTER, sizeof(CLUSTER));
		for (int k = 0; k < 4; k++) {
			struct query q = {.v6 = k & 1,
					  .name = name,
					  .name_len = extra + sizeof(CLUSTER),
					  .type = (uint16_t)(k < 2 ? KB_TYPE_A : KB_TYPE_SRV),
					  .id = (uint16_t)rnd64(),
					  .edns = k & 1 ? 600 : 0};
			ldns_pkt *pkt;
			char text[1100];

			assert_int_equal(ask(&q, &r), 0);
			assert_int_equal(r.rcode, KB_RCODE_NXDOMAIN);
			pkt = decode(&r);
			rr_text(ldns_rr_list_rr(ldns_pkt_authority(pkt), 0), text, sizeof(text));
			assert_string_equal(text, "cluster.local. 300 IN SOA ns.dns.cluster.local. "
						  "hostmaster.cluster.local. 16909060 7200 1800 "
						  "86400 1000");
			ldns_pkt_free(pkt);
		}
	}
	for (int v6 = 0; v6 < 2; v6++) {
		struct query q = {.v6 = v6,
				  .name = (const uint8_t *)"\1x" CLUSTER,
				  .name_len = 2 + sizeof(CLUSTER),
				  .type = KB_TYPE_AAAA,
				  .edns = 512};

		assert_int_equal(ask(&q, &r), 0);
		assert_int_equal(r.rcode, 0);
		assert_int_equal(r.an + r.tc, 0);
		assert_int_equal(r.ns, 1);
		ldns_pkt_free(decode(&r));
	}
}

/* A sum that comes out as 0 is sent as 0xFFFF. */
static void zero_checksum(void **state)
{
	static struct result r;
	uint32_t hits = 0;

	(void)state;
	put((const uint8_t *)"\1z" CLUSTER, 2 + sizeof(CLUSTER), KB_VALUE_A, 0x0a00000a, NULL, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		for (uint32_t id = 0; id < 65536; id++) {
			struct query q = {.v6 = v6,
					  .name = (const uint8_t *)"\1z" CLUSTER,
					  .name_len = 2 + sizeof(CLUSTER),
					  .type = KB_TYPE_A,
					  .id = (uint16_t)id};
			uint8_t *field;

			assert_int_equal(ask(&q, &r), 0);
			field = r.frame + (v6 ? 54 : 34) + 6;
			if (load_be16(field) != 0xffff)
				continue;
			hits++;
			field[0] = field[1] = 0;
			assert_int_equal(plain_udp_sum(r.frame, v6, r.len - (v6 ? 54 : 34)),
					 0xffff);
		}
	}
	assert_true(hits >= 2);
}

/* --- what is read --- */

/* A message placed so that exactly `len` + 7 bytes of it can be read. */
struct guarded {
	uint8_t *map;
	size_t size, page;
};

static uint8_t *guard_put(struct guarded *g, const uint8_t *msg, size_t len)
{
	uint8_t *p = g->map + g->size - len - 7;

	memcpy(p, msg, len);
	memset(p + len, 0xee, 7);
	return p;
}

static void guard_run(struct guarded *g, const uint8_t *msg, size_t len)
{
	static struct kb_labels labels;
	struct kb_query q = {0};
	struct kb_name_scan scan;
	uint8_t *p = guard_put(g, msg, len);

	if (kb_query_parse(p, (uint32_t)len, hdr, &q))
		return;
	if (kb_labels_walk(p, q.name.len, &labels))
		return;
	kb_zone_find(p, q.name.len, hdr, &labels);
	for (uint32_t i = 0; i <= labels.n; i++)
		kb_name_scan(p, KB_DNS_HDR + labels.start[i], q.name.len - labels.start[i],
			     &hdr->key, &scan);
}

static void guard_pages(void **state)
{
	struct guarded g = {.page = (size_t)sysconf(_SC_PAGESIZE)};
	uint8_t msg[1024];

	(void)state;
	g.size = 2 * g.page;
	g.map = mmap(NULL, g.size + g.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	assert_true(g.map != MAP_FAILED);
	assert_int_equal(mprotect(g.map + g.size, g.page, PROT_NONE), 0);
	for (size_t len = 1; len <= KB_NAME_MAX; len++) {
		uint8_t name[KB_NAME_MAX + 1];
		struct query q = {.name = name, .type = KB_TYPE_A};
		size_t n;

		q.name_len = name_of_len(len, name);
		if (!q.name_len)
			continue;
		for (int edns = 0; edns < 2; edns++) {
			q.edns = edns ? 1232 : 0;
			n = msg_build(msg, &q);
			guard_run(&g, msg, n);
			/* Cut anywhere, and one byte wrong anywhere. */
			for (size_t cut = 0; cut < n; cut++)
				guard_run(&g, msg, cut);
			for (size_t at = 0; at < n; at++) {
				uint8_t was = msg[at];

				msg[at] = (uint8_t)rnd64();
				guard_run(&g, msg, n);
				msg[at] = was;
			}
		}
	}
	for (int i = 0; i < 200000; i++) {
		size_t n = rnd(KB_MSG_MAX + 40);

		for (size_t k = 0; k < n; k++)
			msg[k] = (uint8_t)(rnd(4) ? rnd64() : rnd(64));
		if (n >= 12 && rnd(8)) {
			memset(msg + 2, 0, 10);
			msg[5] = 1;
			msg[11] = (uint8_t)rnd(2);
		}
		guard_run(&g, msg, n);
	}
	munmap(g.map, g.size + g.page);
}

/* Frames of every length up to the whole, each in memory of just that size. */
static void short_frames(void **state)
{
	static const uint8_t name[] = "\1z" CLUSTER;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct query q = {.v6 = v6, .name = name, .name_len = sizeof(name), .type = 1};
		uint8_t frame[FRAME_MAX];
		size_t len = frame_build(frame, &q);

		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t *p = malloc(cut ? cut : 1);
			struct kb_flow f;
			int why;

			memcpy(p, frame, cut);
			why = kb_flow_parse(p, p + cut, (uint32_t)cut, hdr, &f);
			if (cut == len)
				assert_int_equal(why, 0);
			else if (cut < (v6 ? KB_HDRS6 : KB_HDRS4))
				assert_int_equal(why,
						 cut < KB_HDRS4 ? KB_CNT_NOT_IP : KB_CNT_NOT_UDP);
			else
				assert_int_equal(why, KB_CNT_LENGTH);
			/* The rest is there, but not readable yet. */
			if (cut < (v6 ? KB_HDRS6 : KB_HDRS4))
				assert_int_equal(kb_flow_parse(p, p + cut, (uint32_t)len, hdr, &f),
						 KB_CNT_UNREADABLE);
			free(p);
		}
	}
}

struct bad_row {
	const char *what;
	int v6, edns;
	int at; /* from the DNS header if >= 0, else from the end */
	uint8_t byte;
	int want;
};

static void malformed_messages(void **state)
{
	static const uint8_t name[] = "\1q" CLUSTER;
	static const struct bad_row rows[] = {
		{"unchanged", 0, 1232, 0, 0, 0},
		{"QR", 0, 0, 2, 0x80, KB_CNT_RESPONSE},
		{"IQUERY", 0, 0, 2, 0x08, KB_CNT_OPCODE},
		{"UPDATE", 0, 0, 2, 0x28, KB_CNT_OPCODE},
		{"AA, TC, RD set", 0, 0, 2, 0x07, 0},
		{"all of byte 3", 0, 0, 3, 0xff, 0},
		{"no question", 0, 0, 5, 0, KB_CNT_SECTIONS},
		{"two questions", 0, 0, 5, 2, KB_CNT_SECTIONS},
		{"257 questions", 0, 0, 4, 1, KB_CNT_SECTIONS},
		{"an answer", 0, 0, 7, 1, KB_CNT_SECTIONS},
		{"256 answers", 0, 0, 6, 1, KB_CNT_SECTIONS},
		{"an authority", 0, 0, 9, 1, KB_CNT_SECTIONS},
		{"two additional", 0, 1232, 11, 2, KB_CNT_SECTIONS},
		{"256 additional", 0, 0, 10, 1, KB_CNT_SECTIONS},
		{"additional announced, not there", 0, 0, 11, 1, KB_CNT_OPT},
		{"OPT there, not announced", 0, 1232, 11, 0, KB_CNT_OPT},
		{"OPT with a name", 0, 1232, -11, 1, KB_CNT_OPT},
		{"not OPT", 0, 1232, -9, 1, KB_CNT_OPT},
		{"EDNS version 1", 0, 1232, -5, 1, KB_CNT_EDNS_VERSION},
		{"extended rcode", 0, 1232, -6, 1, 0},
		{"OPT options longer than the message", 0, 1232, -1, 1, KB_CNT_OPT},
		{"class CH", 0, 0, -1, 3, KB_CNT_CLASS},
		{"class ANY", 1, 0, -1, 255, KB_CNT_CLASS},
		{"class 257", 1, 0, -2, 1, KB_CNT_CLASS},
		{"type 0", 0, 0, -3, 0, KB_CNT_QTYPE},
		{"type OPT", 0, 0, -3, 41, KB_CNT_QTYPE},
		{"type 128", 0, 0, -3, 128, KB_CNT_QTYPE},
		{"AXFR", 0, 0, -3, 252, KB_CNT_QTYPE},
		{"IXFR", 0, 0, -3, 251, KB_CNT_QTYPE},
		{"MAILA", 0, 0, -3, 254, KB_CNT_QTYPE},
		{"ANY", 0, 0, -3, 255, 0},
		{"type 127", 0, 0, -3, 127, 0},
		{"type 385", 0, 0, -4, 1, 0},
		{"label longer than the name", 0, 0, 12, 63, KB_CNT_QNAME},
		{"label of 64", 0, 0, 12, 64, KB_CNT_QNAME},
		{"compression pointer", 0, 0, 12, 0xc0, KB_CNT_QNAME},
		{"label one too long", 0, 0, 12, 2, KB_CNT_QNAME},
		{"no end of the name", 0, 0, 28, 1, KB_CNT_QNAME},
	};
	static struct result r;

	(void)state;
	put(name, sizeof(name), KB_VALUE_A, 0x0a00000a, NULL, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct bad_row *row = &rows[i];
		struct query q = {.v6 = row->v6,
				  .edns = row->edns,
				  .name = name,
				  .name_len = sizeof(name),
				  .type = KB_TYPE_A};
		uint8_t frame[FRAME_MAX];
		size_t len = frame_build(frame, &q), off = row->v6 ? KB_HDRS6 : KB_HDRS4;
		int why;

		if (row->at > 0)
			frame[off + (size_t)row->at] = row->byte;
		else if (row->at < 0)
			frame[len - (size_t)-row->at] = row->byte;
		why = serve(frame, len, &r);
		if (why != row->want)
			fail_msg("%s: counter %d instead of %d", row->what, why, row->want);
	}
}

/* Bytes 12 and on, and what they come to. */
static void malformed_names(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
		int want;
	} rows[] = {
		{"pointer to itself", "\xc0\x0c\0\1\0\1", 6, KB_CNT_QNAME},
		{"pointer, then what looks like a question", "\xc0\x0c\0\0\1\0\1", 7, KB_CNT_QNAME},
		{"label, pointer", "\1a\xc0\x0c\0\1\0\1", 8, KB_CNT_QNAME},
		{"zero in a label", "\3a\0\0\1\0\1", 7, KB_CNT_QNAME},
		{"zero in a label of the zone", "\3a\0b" CLUSTER "\0\1\0\1", 23, KB_CNT_CLASS},
		{"reserved label type",
		 "\x40"
		 "a\0\0\1\0\1",
		 7, KB_CNT_QNAME},
		{"reserved label type, other",
		 "\x80"
		 "a\0\0\1\0\1",
		 7, KB_CNT_QNAME},
		{"root", "\0\0\1\0\1", 5, KB_CNT_NO_ZONE},
		{"the message ends after the name", "\1a\0", 3, KB_CNT_QNAME},
		{"the message ends in the type", "\1a\0\0", 4, KB_CNT_QNAME},
		{"the message ends in the class", "\1a\0\0\1\0", 6, KB_CNT_QNAME},
		{"one byte behind", "\1a\0\0\1\0\1\0", 8, KB_CNT_OPT},
		{"outside all zones", "\1a\0\0\1\0\1", 7, KB_CNT_NO_ZONE},
		{"no label boundary",
		 "\xb"
		 "evilcluster\5local\0\0\1\0\1",
		 23, KB_CNT_NO_ZONE},
	};
	static struct kb_scratch s;
	struct kb_env env;
	struct kb_view view = {.env = &env, .hdr = hdr, .state = hdr->state};

	(void)state;
	kb_table_env(table, &env);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int why;

		memset(&s, 0xa5, sizeof(s));
		memset(s.msg, 0, 12);
		s.msg[5] = 1;
		memcpy(s.msg + 12, rows[i].bytes, rows[i].len);
		why = kb_query_parse(s.msg, (uint32_t)(12 + rows[i].len), hdr, &s.q);
		if (!why)
			why = kb_answer_value(&view, &s, kb_lookup(&view, s.q.name.hash));
		if (why != rows[i].want)
			fail_msg("%s: counter %d instead of %d", rows[i].what, why, rows[i].want);
	}
}

static void long_names(void **state)
{
	uint8_t msg[1024];

	(void)state;
	/* 256 and more bytes: four labels of 63 make 257. */
	for (size_t last = 60; last <= 63; last++) {
		size_t pos = 12;
		struct kb_query q = {0};
		size_t label[4] = {63, 63, 63, last};

		memset(msg, 0, 12);
		msg[5] = 1;
		for (int i = 0; i < 4; i++) {
			msg[pos] = (uint8_t)label[i];
			memset(msg + pos + 1, 'x', label[i]);
			pos += label[i] + 1;
		}
		memcpy(msg + pos, "\0\0\1\0\1", 5);
		pos += 5;
		memset(msg + pos, 0xee, 7);
		assert_int_equal(kb_query_parse(msg, (uint32_t)pos, hdr, &q),
				 last <= 61 ? 0 : KB_CNT_QNAME);
		if (last <= 61)
			assert_int_equal(q.name.len, 194 + last);
	}
	/* The most labels: 127. */
	{
		static struct kb_labels labels;
		struct kb_query q = {0};

		memset(msg, 0, sizeof(msg));
		msg[5] = 1;
		for (size_t i = 0; i < 127; i++)
			memcpy(msg + 12 + 2 * i, "\1a", 2);
		memcpy(msg + 12 + 254, "\0\0\1\0\1", 5);
		assert_int_equal(kb_query_parse(msg, 12 + 259, hdr, &q), 0);
		assert_int_equal(q.name.len, 255);
		assert_int_equal(kb_labels_walk(msg, q.name.len, &labels), 0);
		assert_int_equal(labels.n, 127);
	}
	/* Longer queries than are read. */
	{
		struct kb_query q = {0};

		memset(msg, 0, sizeof(msg));
		msg[5] = 1;
		assert_int_equal(kb_query_parse(msg, KB_MSG_MAX + 1, hdr, &q), KB_CNT_OVERSIZE);
	}
}

static void edns_sizes_and_options(void **state)
{
	uint8_t msg[KB_MSG_READ] = {0};
	struct query ask_q = {.name = (const uint8_t *)"\1a", .name_len = 3, .type = 1, .edns = 1};
	struct kb_query q = {0};
	size_t n;

	(void)state;
	for (int size = 1; size < 65536; size += 7) {
		ask_q.edns = size;
		n = msg_build(msg, &ask_q);
		assert_int_equal(kb_query_parse(msg, (uint32_t)n, hdr, &q), 0);
		assert_int_equal(q.limit, size < 512 ? 512 : size > 1232 ? 1232 : size);
	}
	/* A COOKIE (RFC 7873), and options up to the longest query. */
	for (size_t options = 0; n + options <= KB_MSG_MAX; options++) {
		memset(msg + n, 0xab, options);
		store_be16(msg + n - 2, options);
		assert_int_equal(kb_query_parse(msg, (uint32_t)(n + options), hdr, &q), 0);
		assert_int_equal(kb_query_parse(msg, (uint32_t)(n + options + 1), hdr, &q),
				 n + options + 1 > KB_MSG_MAX ? KB_CNT_OVERSIZE : KB_CNT_OPT);
	}
}

struct frame_row {
	const char *what;
	int v6;
	size_t at;
	uint8_t byte;
	int want;
};

static void frames_that_are_left(void **state)
{
	static const uint8_t name[] = "\1q" CLUSTER;
	static const struct frame_row rows[] = {
		{"VLAN tag", 0, 12, 0x81, KB_CNT_NOT_IP},
		{"ARP", 0, 13, 0x06, KB_CNT_NOT_IP},
		{"TCP", 0, 23, 6, KB_CNT_NOT_UDP},
		{"options", 0, 14, 0x46, KB_CNT_IP_OPTIONS},
		{"more fragments", 0, 20, 0x20, KB_CNT_FRAGMENT},
		{"fragment offset", 0, 21, 1, KB_CNT_FRAGMENT},
		{"fragment offset, high", 0, 20, 0x10, KB_CNT_FRAGMENT},
		{"do not fragment", 0, 20, 0x40, 0},
		{"IP longer than the frame", 0, 16, 1, KB_CNT_LENGTH},
		{"IP shorter than its headers", 0, 17, 27, KB_CNT_LENGTH},
		{"UDP longer than IP", 0, 38, 1, KB_CNT_LENGTH},
		{"UDP shorter than a DNS header", 0, 39, 19, KB_CNT_LENGTH},
		{"UDP shorter than itself", 0, 39, 7, KB_CNT_LENGTH},
		{"other port", 0, 37, 54, KB_CNT_NOT_PORT},
		{"port with the same bit", 0, 37, 53 + 64, KB_CNT_NOT_INTERCEPT},
		{"other address", 0, 33, 11, KB_CNT_NOT_INTERCEPT},
		{"TCP", 1, 20, 6, KB_CNT_NOT_UDP},
		{"ICMPv6", 1, 20, 58, KB_CNT_NOT_UDP},
		{"hop-by-hop options", 1, 20, 0, KB_CNT_IP_OPTIONS},
		{"routing header", 1, 20, 43, KB_CNT_IP_OPTIONS},
		{"fragment", 1, 20, 44, KB_CNT_FRAGMENT},
		{"AH", 1, 20, 51, KB_CNT_IP_OPTIONS},
		{"destination options", 1, 20, 60, KB_CNT_IP_OPTIONS},
		{"mobility", 1, 20, 135, KB_CNT_IP_OPTIONS},
		{"version 4 inside", 1, 14, 0x45, KB_CNT_LENGTH},
		{"traffic class and flow label", 1, 15, 0xff, 0},
		{"IP longer than the frame", 1, 18, 1, KB_CNT_LENGTH},
		{"IP shorter than UDP", 1, 19, 7, KB_CNT_LENGTH},
		{"UDP longer than IP", 1, 58, 1, KB_CNT_LENGTH},
		{"other address", 1, 53, 11, KB_CNT_NOT_INTERCEPT},
		{"other address, first half", 1, 38, 11, KB_CNT_NOT_INTERCEPT},
	};
	static struct result r;

	(void)state;
	put(name, sizeof(name), KB_VALUE_A, 0x0a00000a, NULL, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct query q = {
			.v6 = rows[i].v6, .name = name, .name_len = sizeof(name), .type = 1};
		uint8_t frame[FRAME_MAX];
		size_t len = frame_build(frame, &q);
		int why;

		frame[rows[i].at] = rows[i].byte;
		why = serve(frame, len, &r);
		if (why != rows[i].want)
			fail_msg("%s (v%d): counter %d instead of %d", rows[i].what,
				 rows[i].v6 ? 6 : 4, why, rows[i].want);
		/* Padding behind the datagram belongs to nobody. */
		if (why == 0) {
			memset(frame + len, 0, 18);
			assert_int_equal(serve(frame, len + 18, &r), 0);
		}
	}
}

static void sources(void **state)
{
	struct {
		int family;
		uint8_t net[16];
		unsigned int bits;
	} prefix[2 * KB_ALLOW_MAX];
	static const uint8_t any[16];
	uint32_t n = 0;

	(void)state;
	for (int round = 0; round < 30; round++) {
		kb_table_allow_clear(table);
		n = rnd(20);
		for (uint32_t i = 0; i < n; i++) {
			prefix[i].family = rnd(2) ? 4 : 6;
			prefix[i].bits = 1 + rnd(prefix[i].family == 4 ? 32 : 128);
			for (int b = 0; b < 16; b++)
				prefix[i].net[b] = (uint8_t)rnd(4);
			assert_int_equal(kb_table_allow_add(table, prefix[i].family, prefix[i].net,
							    prefix[i].bits),
					 0);
		}
		for (int k = 0; k < 2000; k++) {
			struct kb_flow f = {.v6 = (uint8_t)rnd(2)};
			uint8_t addr[16];
			uint32_t a4;
			int want = 0;

			for (int b = 0; b < 16; b++)
				addr[b] = (uint8_t)rnd(4);
			for (uint32_t i = 0; i < n && !want; i++) {
				unsigned int b = 0;

				if ((prefix[i].family == 6) != f.v6)
					continue;
				while (b < prefix[i].bits &&
				       !((addr[b / 8] ^ prefix[i].net[b / 8]) & 0x80 >> b % 8))
					b++;
				want = b == prefix[i].bits;
			}
			memcpy(&a4, addr, 4);
			if (f.v6)
				memcpy(f.src, addr, 16);
			else
				f.src[1] = KB_V4MAPPED(a4);
			assert_int_equal(kb_source_allowed(hdr, &f), want);
		}
	}
	kb_table_allow_clear(table);
	for (int i = 0; i < KB_ALLOW_MAX; i++)
		assert_int_equal(kb_table_allow_add(table, 4, any, 8), 0);
	assert_int_equal(kb_table_allow_add(table, 4, any, 8), -ENOSPC);
	assert_int_equal(kb_table_allow_add(table, 4, any, 33), -EINVAL);
	assert_int_equal(kb_table_allow_add(table, 6, any, 129), -EINVAL);
	assert_int_equal(kb_table_allow_add(table, 5, any, 8), -EINVAL);
}

/* --- helpers and hash --- */

static void word_helpers(void **state)
{
	(void)state;
	for (int n = 0; n < 2000000; n++) {
		uint64_t w = rnd64(), mark, folded;
		uint8_t b[8], want[8], got[8];
		int zero = 8;

		if (n & 1)
			/* Bytes around the borders of what is folded, and zeroes. */
			for (int i = 0; i < 8; i++) {
				static const uint8_t edge[] = {0,    1,	   '@',	 'A',  'B',  'Y',
							       'Z',  '[',  '`',	 'a',  'z',  '{',
							       0x7f, 0x80, 0xc0, 0xc1, 0xda, 0xff};
				b[i] = edge[rnd(sizeof(edge))];
				memcpy(&w, b, 8);
			}
		memcpy(b, &w, 8);
		for (int i = 7; i >= 0; i--) {
			want[i] = (uint8_t)(b[i] >= 'A' && b[i] <= 'Z' ? b[i] + 32 : b[i]);
			if (!b[i])
				zero = i;
		}
		folded = kb_fold64(w);
		memcpy(got, &folded, 8);
		assert_memory_equal(got, want, 8);
		mark = kb_zero_byte(w);
		if (zero == 8) {
			assert_true(mark == 0);
		} else {
			assert_true(mark == 0x80ULL << (8 * zero));
			assert_int_equal(kb_byte_index(mark), zero);
		}
	}
}

static int u64_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void key_random(struct kb_hash_key *key)
{
	uint64_t *w = (uint64_t *)key;

	for (size_t i = 0; i < sizeof(*key) / 8; i++)
		w[i] = rnd64() ^ rnd64() << 31;
}

static uint64_t hash_of(const uint8_t *name, size_t len, const struct kb_hash_key *key)
{
	uint8_t buf[KB_NAME_MAX + 9] = {0};
	struct kb_name_scan scan = {0};

	memcpy(buf, name, len);
	kb_name_scan(buf, 0, (uint32_t)len, key, &scan);
	assert_int_equal(scan.len, len);
	return scan.hash;
}

#define HASHED 1000000

/* No two of a million names agree, whatever the key, and they spread over buckets. */
static void hash_spreads(void **state)
{
	uint64_t *h = malloc(HASHED * sizeof(*h));
	uint32_t *load = malloc(65536 * sizeof(*load));
	static struct kb_hash_key key;

	(void)state;
	for (int k = 0; k < 5; k++) {
		double chi = 0;

		key_random(&key);
		memset(load, 0, 65536 * sizeof(*load));
		for (uint32_t i = 0; i < HASHED; i++) {
			uint8_t name[96];
			size_t n = (size_t)snprintf((char *)name + 1, 32, "svc-%u", i % 20000);

			name[0] = (uint8_t)n;
			n++;
			name[n] = (uint8_t)snprintf((char *)name + n + 1, 32, "ns%u", i / 20000);
			n += name[n] + 1U;
			memcpy(name + n, "\3svc" CLUSTER, 4 + sizeof(CLUSTER));
			h[i] = hash_of(name, n + 4 + sizeof(CLUSTER), &key);
			load[kb_home_bucket(h[i], 65536)]++;
		}
		qsort(h, HASHED, sizeof(*h), u64_compare);
		for (uint32_t i = 1; i < HASHED; i++)
			assert_true(h[i] != h[i - 1]);
		for (uint32_t i = 0; i < 65536; i++) {
			double d = load[i] - HASHED / 65536.0;

			chi += d * d / (HASHED / 65536.0);
		}
		/* Random numbers have a mean of 65535 and a deviation of 362. */
		assert_true(chi < 65535 + 8 * 362);
	}
	free(h);
	free(load);
}

/* Differences that multiply-xor mixers cannot tell apart for any key. */
static void hash_has_no_fixed_collisions(void **state)
{
	static struct kb_hash_key key;
	uint32_t same = 0;

	(void)state;
	for (int k = 0; k < 20000; k++) {
		uint8_t a[40], b[40];
		uint64_t w;

		key_random(&key);
		for (int i = 0; i < 39; i++)
			a[i] = (uint8_t)(128 + rnd(127));
		a[39] = 0;
		memcpy(b, a, 40);
		b[7] ^= 0x80;
		memcpy(&w, b + 8, 8);
		w ^= 1ULL << 63 | 1ULL << 34;
		memcpy(b + 8, &w, 8);
		/* A zero byte would end the name. */
		if (memchr(b, 0, 39))
			continue;
		same += hash_of(a, 40, &key) == hash_of(b, 40, &key);
		/* One half alone agrees once in 2^32. */
		same += hash_of(a, 40, &key) >> 32 == hash_of(b, 40, &key) >> 32;
	}
	assert_int_equal(same, 0);
}

static void hash_ignores_case_only(void **state)
{
	static struct kb_hash_key key;

	(void)state;
	for (int k = 0; k < 20000; k++) {
		uint8_t a[KB_NAME_MAX + 1], b[KB_NAME_MAX + 1];
		size_t n = name_of_len(3 + rnd(253), a), at;
		uint64_t h;

		key_random(&key);
		h = hash_of(a, n, &key);
		for (size_t i = 0, label = 0; i < n; i++) {
			b[i] = a[i];
			if (i == label)
				label += a[i] + 1U;
			else if (rnd(2))
				b[i] = (uint8_t)(a[i] - 32);
		}
		assert_true(hash_of(b, n, &key) == h);
		at = rnd((uint32_t)n - 1);
		b[at] = (uint8_t)(b[at] == 'q' || b[at] == 'Q' ? 'r' : 'q');
		assert_true(hash_of(b, n, &key) != h);
		/* One shorter, too: the length counts. */
		a[n - 2] = 0;
		assert_true(hash_of(a, n - 1, &key) != h);
	}
}

/* --- zones --- */

static int zone_of(const uint8_t *name, size_t len, struct kb_labels *labels)
{
	uint8_t msg[KB_MSG_READ];

	memset(msg, 0xee, sizeof(msg));
	memcpy(msg + 12, name, len);
	assert_int_equal(kb_labels_walk(msg, (uint32_t)len, labels), 0);
	return kb_zone_find(msg, (uint32_t)len, hdr, labels);
}

/* The short way may decline, but must not differ. Returns whether it found the zone. */
static bool near_agrees(const uint8_t *name, size_t len, int found, const struct kb_labels *want)
{
	static struct kb_labels labels;
	uint8_t msg[KB_MSG_READ];

	memset(msg, 0xee, sizeof(msg));
	memcpy(msg + 12, name, len);
	if (!kb_zone_find_near(msg, (uint32_t)len, hdr, &labels))
		return false;
	assert_true(found);
	assert_int_equal(labels.zone, want->zone);
	assert_int_equal(labels.zone_at, want->zone_at);
	assert_int_equal(labels.n, want->zone_at);
	assert_memory_equal(labels.start, want->start, labels.n + 1);
	return true;
}

/* Random zones over three labels, so that nearly everything nearly matches. */
static void zones_against_a_model(void **state)
{
	static const char *const label[] = {"\1a",
					    "\2ab",
					    "\1b",
					    "\7cluster",
					    "\13evilcluster",
					    "\5local",
					    "\17a-longish-label"};
	static struct kb_labels labels;
	uint32_t near = 0;

	(void)state;
	for (int round = 0; round < 300; round++) {
		static uint8_t zone[KB_ZONES_MAX][KB_NAME_MAX];
		size_t zone_len[KB_ZONES_MAX];
		uint32_t n = 1 + rnd(KB_ZONES_MAX), used = 0;

		kb_table_zones_clear(table);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t labels_n = rnd(5);
			uint8_t *z = zone[used];
			size_t len = 0;
			bool twice = false;

			while (labels_n--) {
				const char *l = label[rnd(7)];

				memcpy(z + len, l, (size_t)l[0] + 1);
				len += (size_t)l[0] + 1;
			}
			z[len++] = 0;
			for (uint32_t k = 0; k < used; k++)
				twice |= zone_len[k] == len && !memcmp(zone[k], z, len);
			if (twice)
				continue;
			zone_len[used++] = len;
			assert_int_equal(kb_table_zone_add(table, z, len, 0, 0), 0);
		}
		for (int k = 0; k < 300; k++) {
			uint8_t name[KB_NAME_MAX], fold[KB_NAME_MAX];
			size_t at[16], len = 0, best = 0;
			uint32_t labels_n = rnd(8), depth = 0;
			int found;

			for (uint32_t i = 0; i < labels_n; i++) {
				const char *l = label[rnd(7)];

				at[i] = len;
				memcpy(name + len, l, (size_t)l[0] + 1);
				len += (size_t)l[0] + 1;
			}
			at[labels_n] = len;
			name[len++] = 0;
			memcpy(fold, name, len);
			for (size_t i = 0; i < len; i++)
				if (name[i] >= 'a' && rnd(2))
					name[i] = (uint8_t)(name[i] - 32);
			for (uint32_t i = 0; i <= labels_n && !best; i++) {
				for (uint32_t z = 0; z < used; z++) {
					if (zone_len[z] == len - at[i] &&
					    !memcmp(zone[z], fold + at[i], len - at[i])) {
						best = zone_len[z];
						depth = i;
					}
				}
			}
			found = zone_of(name, len, &labels);
			assert_int_equal(found, best != 0);
			near += near_agrees(name, len, found, &labels);
			if (found) {
				assert_int_equal(hdr->zone[labels.zone].len, best);
				assert_int_equal(labels.zone_at, depth);
			}
		}
	}
	assert_true(near > 1000);
}

/* 64 long zones that agree in their ends: what is not found in the steps there are is left
 * alone, never taken for another. */
static void zones_at_their_limits(void **state)
{
	static struct kb_labels labels;
	uint8_t zone[KB_NAME_MAX], name[KB_NAME_MAX];
	uint32_t found = 0;
	size_t len = 0;

	(void)state;
	kb_table_zones_clear(table);
	for (int i = 0; i < KB_ZONES_MAX; i++) {
		len = name_of_len(200, zone);
		zone[1] = (uint8_t)('a' + i / 26);
		zone[2] = (uint8_t)('a' + i % 26);
		assert_int_equal(kb_table_zone_add(table, zone, len, 0, 0), 0);
	}
	assert_int_equal(kb_table_zone_add(table, (const uint8_t *)"\1a", 3, 0, 0), -ENOSPC);
	for (int i = 0; i < KB_ZONES_MAX; i++) {
		memcpy(name, "\1x", 2);
		memcpy(name + 2, zone, len);
		name[3] = (uint8_t)('a' + i / 26);
		name[4] = (uint8_t)('a' + i % 26);
		if (!zone_of(name, len + 2, &labels))
			continue;
		found++;
		assert_memory_equal(hdr->zone[labels.zone].name, name + 2, len);
		assert_int_equal(labels.zone_at, 1);
	}
	assert_int_equal(found, KB_ZONES_MAX);
	/* The longest name there is, in a zone of the longest name but one label. */
	kb_table_zones_clear(table);
	len = name_of_len(253, zone);
	assert_int_equal(kb_table_zone_add(table, zone, len, 3, KB_ZONE_ANSWER), 0);
	memcpy(name, "\1x", 2);
	memcpy(name + 2, zone, len);
	assert_int_equal(zone_of(name, len + 2, &labels), 1);
	assert_int_equal(zone_of(name + 2, len, &labels), 1);
	assert_int_equal(labels.zone_at, 0);
	/* Bad ones. */
	assert_int_equal(kb_table_zone_add(table, zone, 0, 0, 0), -EINVAL);
	assert_int_equal(kb_table_zone_add(table, zone, 256, 0, 0), -EINVAL);
	assert_int_equal(kb_table_zone_add(table, zone, len, 16, 0), -EINVAL);
	assert_int_equal(kb_table_zone_add(table, (const uint8_t *)"\1a", 3, 3, 0), -EINVAL);
}

static int ask_name(const char *name, size_t len, uint16_t type)
{
	static struct result r;
	struct query q = {.name = (const uint8_t *)name, .name_len = len, .type = type};

	return ask(&q, &r) ? r.left : r.rcode == KB_RCODE_NXDOMAIN ? -3 : r.an ? -1 : -2;
}

#define ANSWERED	      -1
#define NODATA		      -2
#define NXDOMAIN	      -3
#define ASK(name, type)	      ask_name(name, sizeof(name), type)
#define PUT(name, kind, addr) put((const uint8_t *)(name), sizeof(name), kind, addr, NULL, 0)

static void what_a_miss_means(void **state)
{
	(void)state;
	assert_int_equal(kb_table_zone_add(table, (const uint8_t *)"\4stub" CLUSTER,
					   5 + sizeof(CLUSTER), 0, 0),
			 0);
	assert_int_equal(kb_table_zone_add(table, (const uint8_t *)"\7in-addr\4arpa", 14, 2, 0), 0);
	PUT("\1a" CLUSTER, KB_VALUE_A, 0x0a00000a);
	PUT("\1n" CLUSTER, KB_VALUE_REC, 0);
	PUT("\1l" CLUSTER, KB_VALUE_LEAVE, 0);
	assert_int_equal(ASK("\1a" CLUSTER, 1), ANSWERED);
	assert_int_equal(ASK("\1A\7CLUSTER\5LOCAL", 1), ANSWERED);
	assert_int_equal(ASK("\1a" CLUSTER, 28), NODATA);
	assert_int_equal(ASK("\1a" CLUSTER, 255), NODATA);
	assert_int_equal(ASK("\1n" CLUSTER, 1), NODATA);
	assert_int_equal(ASK("\1l" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1x\1l" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\1b" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK(CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\1x\4stub" CLUSTER, 1), KB_CNT_ZONE_LEAVE);
	assert_int_equal(ASK("\4stub" CLUSTER, 1), KB_CNT_ZONE_LEAVE);
	assert_int_equal(ASK("\5xstub" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\0011\7in-addr\4arpa", 12), KB_CNT_ZONE_LEAVE);
	assert_int_equal(ASK("\3com", 1), KB_CNT_NO_ZONE);
	assert_int_equal(ASK("\xb"
			     "evilcluster\5local",
			     1),
			 KB_CNT_NO_ZONE);
	kb_table_set_state(table, KB_HITS);
	assert_int_equal(ASK("\1a" CLUSTER, 1), ANSWERED);
	assert_int_equal(ASK("\1b" CLUSTER, 1), KB_CNT_HITS_ONLY);
	assert_int_equal(ASK("\3com", 1), KB_CNT_NO_ZONE);
	/* A name whose zone is not there (any more) has no SOA to deny with. */
	kb_table_set_state(table, KB_FULL);
	kb_table_zones_clear(table);
	assert_int_equal(ASK("\1n" CLUSTER, 1), KB_CNT_INCOMPLETE);
}

static void skipped_objects(void **state)
{
	(void)state;
	PUT("\2n1\3svc" CLUSTER, KB_VALUE_LEAVE, 0);	 /* two labels below the zone */
	PUT("\2s1\2n2\3svc" CLUSTER, KB_VALUE_LEAVE, 0); /* three */
	PUT("\1e\2s2\2n2\3svc" CLUSTER, KB_VALUE_LEAVE, 0);
	PUT("\3pod" CLUSTER, KB_VALUE_LEAVE, 0);
	/* Without the flag only the names themselves. */
	assert_int_equal(ASK("\1a\2n1\3svc" CLUSTER, 1), NXDOMAIN);
	kb_table_zone_flag(table, 1, KB_ZONE_SKIPS, true);
	assert_int_equal(ASK("\2n1\3svc" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1a\2n1\3svc" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1b\1a\2n1\3svc" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1c\1b\1a\2N1\3SVC" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\2s1\2n2\3svc" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1a\2s1\2n2\3svc" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\5_http\4_tcp\2s1\2n2\3svc" CLUSTER, 33), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\2s3\2n2\3svc" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\2n2\3svc" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\3svc" CLUSTER, 1), NXDOMAIN);
	/* Other depths are entries like any other. */
	assert_int_equal(ASK("\1e\2s2\2n2\3svc" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1x\1e\2s2\2n2\3svc" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\3pod" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1a\3pod" CLUSTER, 1), NXDOMAIN);
	kb_table_zone_flag(table, 1, KB_ZONE_SKIPS, false);
	assert_int_equal(ASK("\1a\2n1\3svc" CLUSTER, 1), NXDOMAIN);
}

/* Names of Pods may be left without a cost for any other name. */
static void pods_left(void **state)
{
	(void)state;
	PUT("\3pod" CLUSTER, KB_VALUE_REC, 0);
	PUT("\2n1\3pod" CLUSTER, KB_VALUE_LEAVE, 0);
	PUT("\2n2\3pod" CLUSTER, KB_VALUE_REC, 0);
	PUT("\2n1\3svc" CLUSTER, KB_VALUE_LEAVE, 0);
	PUT("\2n1\3pox" CLUSTER, KB_VALUE_LEAVE, 0);
	PUT("\2n1\4podx" CLUSTER, KB_VALUE_LEAVE, 0);
	assert_int_equal(ASK("\7"
			     "1-2-3-4\2n1\3pod" CLUSTER,
			     1),
			 NXDOMAIN);
	kb_table_zone_flag(table, 1, KB_ZONE_PODS, true);
	assert_int_equal(ASK("\7"
			     "1-2-3-4\2n1\3pod" CLUSTER,
			     1),
			 KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\7"
			     "1-2-3-4\2N1\3PoD" CLUSTER,
			     1),
			 KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\1x\7"
			     "1-2-3-4\2n1\3pod" CLUSTER,
			     1),
			 KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\2n1\3pod" CLUSTER, 1), KB_CNT_NAME_LEAVE);
	assert_int_equal(ASK("\3pod" CLUSTER, 1), NODATA);
	assert_int_equal(ASK("\2n2\3pod" CLUSTER, 1), NODATA);
	assert_int_equal(ASK("\7"
			     "1-2-3-4\2n2\3pod" CLUSTER,
			     1),
			 NXDOMAIN);
	assert_int_equal(ASK("\2n3\3pod" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\1x\2n1\3svc" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\1x\2n1\3pox" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\1x\2n1\4podx" CLUSTER, 1), NXDOMAIN);
	assert_int_equal(ASK("\1x" CLUSTER, 1), NXDOMAIN);
	kb_table_set_state(table, KB_HITS);
	assert_int_equal(ASK("\1x\2n1\3pod" CLUSTER, 1), KB_CNT_HITS_ONLY);
	kb_table_set_state(table, KB_FULL);
}

/* --- forms --- */

static void srv_self(void **state)
{
	static const uint8_t name[] = "\5_http\4_tcp\3web\2ns\3svc" CLUSTER;
	static struct result r;

	(void)state;
	for (uint32_t n = 1; n <= KB_SRV_SELF_MAX; n++) {
		for (int skips = 0; skips < 3; skips++) {
			const uint16_t skip[] = {0, 6, 11};
			uint8_t body[6 * KB_SRV_SELF_MAX];
			static uint8_t rec[1024];
			struct set_spec spec = {.type = KB_TYPE_SRV,
						.body = body,
						.set = {.form = KB_FORM_SRV_SELF,
							.an = (uint16_t)n,
							.len = (uint16_t)(6 * n),
							.arg = skip[skips]}};

			for (uint32_t i = 0; i < n; i++) {
				store_be16(body + 6 * i, i);
				store_be16(body + 6 * i + 2, 100 / n);
				store_be16(body + 6 * i + 4, 8000 + i);
			}
			put(name, sizeof(name), KB_VALUE_REC, 0x0903020a, rec,
			    rec_build(rec, 0, &spec, 1));
			for (int k = 0; k < 4; k++) {
				static const char *const target[] = {
					"_http._tcp.web.ns.svc.cluster.local.",
					"_tcp.web.ns.svc.cluster.local.",
					"web.ns.svc.cluster.local."};
				struct query q = {.v6 = k & 1,
						  .name = name,
						  .name_len = sizeof(name),
						  .type = KB_TYPE_SRV,
						  .edns = k & 2 ? 1232 : 0};
				size_t want = 12 + sizeof(name) + 4 +
					      n * (18 + sizeof(name) - skip[skips]) + 16 +
					      (q.edns ? 11 : 0);
				char text[1100], line[256];
				ldns_pkt *pkt;

				assert_int_equal(ask(&q, &r), 0);
				pkt = decode(&r);
				if (want > (q.edns ? 1232 : 512)) {
					assert_true(r.tc && !r.an);
					ldns_pkt_free(pkt);
					continue;
				}
				assert_false(r.tc);
				assert_int_equal(r.dns_len, want);
				assert_int_equal(r.an, n);
				for (uint32_t i = 0; i < n; i++) {
					rr_text(ldns_rr_list_rr(ldns_pkt_answer(pkt), i), text,
						sizeof(text));
					snprintf(line, sizeof(line),
						 "_http._tcp.web.ns.svc.cluster.local. 5 IN SRV "
						 "%u %u %u %s",
						 i, 100 / n, 8000 + i, target[skips]);
					assert_string_equal(text, line);
				}
				rr_text(ldns_rr_list_rr(ldns_pkt_additional(pkt), 0), text,
					sizeof(text));
				snprintf(line, sizeof(line), "%s 5 IN A 10.2.3.9", target[skips]);
				assert_string_equal(text, line);
				ldns_pkt_free(pkt);
			}
		}
	}
}

static void ptr_dashed(void **state)
{
	static const uint8_t name[] = "\0011\0012\0013\00210\7in-addr\4arpa";
	static const uint8_t tail[] = "\3web\2ns\3svc" CLUSTER;
	static const uint8_t octet[] = {0, 9, 10, 99, 100, 255};
	static struct result r;
	struct set_spec spec = {.type = KB_TYPE_PTR,
				.body = tail,
				.set = {.form = KB_FORM_PTR_DASHED, .an = 1, .len = sizeof(tail)}};
	uint8_t rec[256];
	size_t len = rec_build(rec, 0, &spec, 1);

	(void)state;
	for (uint32_t i = 0; i < 6 * 6 * 6 * 6; i++) {
		uint8_t a[4] = {octet[i % 6], octet[i / 6 % 6], octet[i / 36 % 6], octet[i / 216]};
		struct query q = {.v6 = i & 1,
				  .name = name,
				  .name_len = sizeof(name),
				  .type = KB_TYPE_PTR,
				  .edns = i & 2 ? 1232 : 0};
		char text[600], line[256];
		ldns_pkt *pkt;
		uint32_t addr;

		memcpy(&addr, a, 4);
		put(name, sizeof(name), KB_VALUE_REC, addr, rec, len);
		assert_int_equal(ask(&q, &r), 0);
		pkt = decode(&r);
		rr_text(ldns_rr_list_rr(ldns_pkt_answer(pkt), 0), text, sizeof(text));
		snprintf(line, sizeof(line),
			 "1.2.3.10.in-addr.arpa. 5 IN PTR %u-%u-%u-%u.web.ns.svc.cluster.local.",
			 a[0], a[1], a[2], a[3]);
		assert_string_equal(text, line);
		ldns_pkt_free(pkt);
	}
}

/* Every record once, whatever the rotation, and every rotation comes up. */
static void rotation(void **state)
{
	static const uint8_t name[] = "\1r" CLUSTER;
	static struct result r;
	uint8_t body[KB_BODY_MAX];

	(void)state;
	for (uint32_t type = 0; type < 2; type++) {
		for (uint32_t n = 1; n <= (type ? 42 : 75); n++) {
			uint16_t qtype = type ? KB_TYPE_AAAA : KB_TYPE_A;
			struct set_spec spec;
			size_t rr = type ? 28 : 16;
			bool first[80] = {false};

			addresses(&spec, body, qtype, n);
			put_set(name, sizeof(name), &spec);
			for (uint32_t k = 0; k < 40 * n; k++) {
				struct query q = {.v6 = k & 1,
						  .name = name,
						  .name_len = sizeof(name),
						  .type = qtype,
						  .id = (uint16_t)rnd64(),
						  .edns = 1232};
				bool seen[80] = {false};
				uint32_t start_at;

				if (12 + sizeof(name) + 4 + n * rr + 11 > 1232)
					break;
				assert_int_equal(ask(&q, &r), 0);
				assert_int_equal(r.an, n);
				start_at = (uint32_t)load_be16(r.dns + 16 + sizeof(name) + rr - 2);
				first[start_at] = true;
				for (uint32_t i = 0; i < n; i++) {
					const uint8_t *p = r.dns + 16 + sizeof(name) + i * rr;
					size_t id = load_be16(p + rr - 2);

					assert_int_equal(id, (start_at + i) % n);
					assert_false(seen[id]);
					seen[id] = true;
					assert_int_equal(kb_swap32(kb_load32(p + 6)), 5);
				}
				if (k == 0)
					ldns_pkt_free(decode(&r));
			}
			for (uint32_t i = 0; i < n && 16 + sizeof(name) + n * rr + 11 <= 1232; i++)
				assert_true(first[i]);
			/* Switched off: always as stored. */
			kb_table_set_flag(table, KB_FLAG_ROTATE, false);
			for (int k = 0; k < 8; k++) {
				struct query q = {.name = name,
						  .name_len = sizeof(name),
						  .type = qtype,
						  .id = (uint16_t)rnd64(),
						  .edns = 1232};

				assert_int_equal(ask(&q, &r), 0);
				assert_int_equal(load_be16(r.dns + 16 + sizeof(name) + rr - 2), 0);
			}
			kb_table_set_flag(table, KB_FLAG_ROTATE, true);
		}
	}
}

static void truncation(void **state)
{
	static const uint8_t name[] = "\2tr" CLUSTER;
	static struct result r;
	uint8_t body[KB_BODY_MAX];

	(void)state;
	for (uint32_t type = 0; type < 2; type++) {
		uint16_t qtype = type ? KB_TYPE_AAAA : KB_TYPE_A;
		struct set_spec spec;
		size_t rr = type ? 28 : 16;

		addresses(&spec, body, qtype, type ? KB_BODY_MAX / 28 : KB_BODY_MAX / 16);
		put_set(name, sizeof(name), &spec);
		for (int size = 500; size <= 1300; size++) {
			struct query q = {.v6 = size & 1,
					  .name = name,
					  .name_len = sizeof(name),
					  .type = qtype,
					  .id = (uint16_t)rnd64(),
					  .edns = size};
			size_t limit = (size_t)(size < 512 ? 512 : size > 1232 ? 1232 : size);
			size_t fit = (limit - 11 - 16 - sizeof(name)) / rr;
			bool seen[80] = {false};

			assert_int_equal(ask(&q, &r), 0);
			assert_int_equal(r.an, fit < spec.set.an ? fit : spec.set.an);
			assert_int_equal(r.tc, fit < spec.set.an);
			assert_true(r.dns_len <= limit);
			ldns_pkt_free(decode(&r));
			for (uint32_t i = 0; i < r.an; i++) {
				size_t id = load_be16(r.dns + 16 + sizeof(name) + (i + 1) * rr - 2);

				assert_true(id < spec.set.an && !seen[id]);
				seen[id] = true;
			}
		}
		/* The operator's limit, live; without EDNS it is 512 all the same. */
		for (int max = 512; max <= 1232; max += 19) {
			struct query q = {.name = name,
					  .name_len = sizeof(name),
					  .type = qtype,
					  .edns = max % 2 ? 4096 : 0};
			size_t limit = (size_t)(q.edns ? max : 512);

			kb_table_set_udp_max(table, (uint16_t)max);
			assert_int_equal(ask(&q, &r), 0);
			assert_true(r.tc && r.dns_len <= limit && r.dns_len + rr > limit);
			if (q.edns)
				assert_int_equal(load_be16(r.dns + r.dns_len - 8), max);
		}
		kb_table_set_udp_max(table, 1232);
		/* More than stand here. */
		addresses(&spec, body, qtype, 5);
		spec.set.flags |= KB_SET_MORE;
		put_set(name, sizeof(name), &spec);
		{
			struct query q = {.name = name, .name_len = sizeof(name), .type = qtype};

			assert_int_equal(ask(&q, &r), 0);
			assert_int_equal(r.an, 5);
			assert_true(r.tc);
		}
	}
}

/* TTLs, serial and SOA TTL at any offset of a body, odd ones too. */
static void patches(void **state)
{
	static const uint8_t name[] = "\1p" CLUSTER, odd_name[] = "\2pp" CLUSTER;
	static struct result r;
	uint8_t body[64];

	(void)state;
	kb_table_set_ttl(table, 0x01f2e3d4);
	for (uint32_t len = 12; len <= 41; len++) {
		for (uint32_t off = 0; off + 12 <= len; off++) {
			struct set_spec spec = {.type = KB_TYPE_TXT,
						.body = body,
						.set = {.form = KB_FORM_WIRE,
							.an = 1,
							.len = (uint16_t)len,
							.patches = 3},
						.patches = {KB_PATCH(KB_PATCH_TTL, off),
							    KB_PATCH(KB_PATCH_SERIAL, off + 4),
							    KB_PATCH(KB_PATCH_SOA_TTL, off + 8)}};
			const uint8_t want[12] = {0x01, 0xf2, 0xe3, 0xd4, 1, 2, 3, 4, 0, 0, 1, 44};

			memset(body, (int)(0xf0 + off), sizeof(body));
			for (int k = 0; k < 4; k++) {
				const uint8_t *n = k & 2 ? odd_name : name;
				size_t n_len = k & 2 ? sizeof(odd_name) : sizeof(name);
				struct query q = {.v6 = k & 1,
						  .name = n,
						  .name_len = n_len,
						  .type = KB_TYPE_TXT,
						  .edns = k & 1 ? 1232 : 0};

				put_set(n, n_len, &spec);
				assert_int_equal(ask(&q, &r), 0);
				assert_memory_equal(r.dns + 16 + n_len, body, off);
				assert_memory_equal(r.dns + 16 + n_len + off, want, 12);
				assert_memory_equal(r.dns + 16 + n_len + off + 12, body,
						    len - off - 12);
			}
		}
	}
}

/* Several sets in one record, the set for all other types, and types that are left. */
static void sets_of_a_record(void **state)
{
	static const uint8_t name[] = "\4sets" CLUSTER;
	static struct result r;
	uint8_t a[64], aaaa[64], other[20], rec[1024];
	struct set_spec spec[3] = {
		[2] = {.type = 0,
		       .body = other,
		       .set = {.form = KB_FORM_WIRE, .an = 1, .len = 15, .rcode = 3}}};
	struct query q = {.name = name, .name_len = sizeof(name), .type = KB_TYPE_A};

	(void)state;
	addresses(&spec[0], a, KB_TYPE_A, 2);
	addresses(&spec[1], aaaa, KB_TYPE_AAAA, 1);
	record(other, KB_TYPE_CNAME, 3);
	memcpy(other + 12, "\1c", 3);
	put(name, sizeof(name), KB_VALUE_REC, 0, rec, rec_build(rec, 0, spec, 2));
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 2);
	q.type = KB_TYPE_AAAA;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 1);
	q.type = KB_TYPE_TXT;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 0);
	assert_int_equal(r.ns, 1);
	/* OTHER_LEAVE */
	put(name, sizeof(name), KB_VALUE_REC, 0, rec, rec_build(rec, KB_REC_OTHER_LEAVE, spec, 2));
	assert_int_equal(ask(&q, &r), KB_CNT_NAME_LEAVE);
	q.type = KB_TYPE_A;
	assert_int_equal(ask(&q, &r), 0);
	q.type = KB_TYPE_ANY;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 0);
	/* A set for all other types: a CNAME that leads nowhere has an rcode of its own. */
	put(name, sizeof(name), KB_VALUE_REC, 0, rec, rec_build(rec, 0, spec, 3));
	q.type = KB_TYPE_TXT;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 1);
	assert_int_equal(r.rcode, 3);
	q.type = KB_TYPE_A;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 2);
	/* One A in the value, the rest in the record. */
	put(name, sizeof(name), KB_VALUE_A, 0x0100000a, rec, rec_build(rec, 0, spec + 1, 1));
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 1);
	q.type = KB_TYPE_AAAA;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.an, 1);
	q.type = KB_TYPE_SRV;
	assert_int_equal(ask(&q, &r), 0);
	assert_int_equal(r.ns, 1);
	/* All eight sets there may be. */
	{
		struct set_spec many[KB_REC_SETS_MAX];

		for (uint16_t i = 0; i < KB_REC_SETS_MAX; i++) {
			many[i] = spec[0];
			many[i].type = (uint16_t)(100 + i);
			many[i].set.an = 1;
			many[i].set.len = 16;
		}
		put(name, sizeof(name), KB_VALUE_REC, 0, rec,
		    rec_build(rec, 0, many, KB_REC_SETS_MAX));
		for (uint16_t i = 0; i < KB_REC_SETS_MAX; i++) {
			q.type = (uint16_t)(100 + i);
			assert_int_equal(ask(&q, &r), 0);
			assert_int_equal(r.an, 1);
		}
		q.type = 108;
		assert_int_equal(ask(&q, &r), 0);
		assert_int_equal(r.ns, 1);
	}
}

/* Records of random bytes do no harm: everything that is read from them is bounded. */
static void garbage_records(void **state)
{
	static const uint8_t name[] = "\1g" CLUSTER;
	static struct kb_scratch s;
	uint8_t rec[2048];
	struct query q = {.name = name, .name_len = sizeof(name), .type = KB_TYPE_A, .edns = 1232};
	struct kb_env env;
	uint32_t answered = 0;

	(void)state;
	for (int n = 0; n < 100000; n++) {
		struct kb_view view = {.env = &env, .hdr = hdr, .state = hdr->state};
		struct kb_entry e = {.kind = KB_VALUE_REC, .zone = 1};
		size_t len = 64 + rnd(1024);
		uint8_t *page;

		for (size_t i = 0; i < len; i++)
			rec[i] = (uint8_t)(rnd(3) ? rnd64() : rnd(4));
		rec[0] = 1;
		rec[4] = 0;
		rec[5] = 1;
		if (rnd(4)) {
			rec[6] = 1;
			rec[7] = 0;
			rec[16] = (uint8_t)(1 + rnd(3));
		}
		assert_int_equal(kb_table_intern(table, rec, len, &e.ref), 0);
		assert_int_equal(kb_table_put(table, name, sizeof(name), &e), 0);
		kb_table_env(table, &env);
		page = env.page[e.ref / KB_PAGE_UNITS]->b;
		assert_non_null(page);
		q.type = KB_TYPE_A;
		memset(&s, 0, sizeof(s));
		assert_int_equal(kb_query_parse(s.msg, (uint32_t)msg_build(s.msg, &q), hdr, &s.q),
				 0);
		if (kb_answer_value(&view, &s, kb_lookup(&view, s.q.name.hash)) == 0) {
			answered++;
			assert_true((uint32_t)s.q.end + s.r.len <= s.q.limit);
		}
		kb_table_settle(table);
	}
	assert_true(answered > 10000);
}

#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CORE_TEST(every_answer_size),
		CORE_TEST(every_name_length),
		CORE_TEST(negative_answers),
		CORE_TEST(zero_checksum),
		CORE_TEST(guard_pages),
		CORE_TEST(short_frames),
		CORE_TEST(malformed_messages),
		CORE_TEST(malformed_names),
		CORE_TEST(long_names),
		CORE_TEST(edns_sizes_and_options),
		CORE_TEST(frames_that_are_left),
		CORE_TEST(sources),
		CORE_TEST(word_helpers),
		CORE_TEST(hash_spreads),
		CORE_TEST(hash_has_no_fixed_collisions),
		CORE_TEST(hash_ignores_case_only),
		CORE_TEST(zones_against_a_model),
		CORE_TEST(zones_at_their_limits),
		CORE_TEST(what_a_miss_means),
		CORE_TEST(skipped_objects),
		CORE_TEST(pods_left),
		CORE_TEST(srv_self),
		CORE_TEST(ptr_dashed),
		CORE_TEST(rotation),
		CORE_TEST(truncation),
		CORE_TEST(patches),
		CORE_TEST(sets_of_a_record),
		CORE_TEST(garbage_records),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
