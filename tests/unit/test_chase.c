/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies put together from CNAMEs of ours and an upstream's reply about the last target. What
 * comes out is read by libresolv; damaged replies have to give a reply all the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <arpa/nameser.h>
#include <cmocka.h>

#include "control/forward/blocks.h"
#include "control/forward/chase.h"
#include "control/forward/message.h"
#include "control/forward/relay.h"
#include "dataplane/core/dns.h"
#include "tests/unit/dns_build.h"

#define TARGET	"www.Example.org"
#define TYPE_MX 15
#define CNAME	"db.shop.svc.cluster.local. 5 CNAME www.Example.org.\n"

static const uint8_t addr[4] = {192, 0, 2, 1};
static struct dns_build head, d;
static size_t target;
static uint8_t *out;
static size_t out_len;
static bool has_opt; /* of the client, so of d too */

/* Of memory that ends after it. */
static uint8_t *guarded(size_t cap)
{
	static uint8_t *end;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!end) {
		end = mmap(NULL, 18 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
		assert_ptr_not_equal(end, MAP_FAILED);
		end += 17 * page;
		mprotect(end, page, PROT_NONE);
	}
	return end - cap;
}

static void begin_head(void)
{
	dns_begin(&head, "db.shop.svc.cluster.local", KB_TYPE_A, 0);
	head.b[2] |= KB_AA;
	head.b[3] = 0;
	dns_rr_name(&head, DNS_ANSWER, NULL, KB_TYPE_CNAME, 5, TARGET);
	target = head.len - 17;
}

static void begin_a(uint8_t rcode)
{
	dns_begin(&d, TARGET, KB_TYPE_A, rcode);
}

static void rr_a(const char *owner)
{
	dns_rr(&d, DNS_ANSWER, owner, KB_TYPE_A, 300, addr, 4);
}

static void reply(size_t limit, size_t cap)
{
	struct kb_chase *c = kb_chase_new(head.b, head.len, target, limit, has_opt);

	assert_non_null(c);
	assert_true(d.len <= cap);
	out = guarded(cap);
	memcpy(out, d.b, d.len);
	out_len = kb_chase_reply(c, out, d.len, cap);
	kb_chase_free(c);
	assert_true(out_len >= KB_DNS_HDR && out_len <= cap && out_len <= limit);
	assert_memory_equal(out, head.b, 2);
	assert_int_equal(out[2] & ~KB_TC, KB_QR | KB_AA | KB_RD);
	assert_int_equal(out[3] & 0xf0, 0);
}

/* A section as text, a line for each record. */
static const char *section(ns_sect sect)
{
	static char text[1 << 20];
	ns_msg m;
	char *p = text;

	*p = 0;
	assert_int_equal(ns_initparse(out, (int)out_len, &m), 0);
	for (int i = 0; i < ns_msg_count(m, sect); i++) {
		ns_rr rr;
		const uint8_t *data;
		char name[1025];

		assert_int_equal(ns_parserr(&m, sect, i, &rr), 0);
		data = ns_rr_rdata(rr);
		p += sprintf(p, "%s. %u ", ns_rr_name(rr), ns_rr_ttl(rr));
		switch (ns_rr_type(rr)) {
		case KB_TYPE_A:
			p += sprintf(p, "A %d.%d.%d.%d\n", data[0], data[1], data[2], data[3]);
			break;
		case KB_TYPE_CNAME:
			assert_true(ns_name_uncompress(out, out + out_len, data, name,
						       sizeof(name)) == ns_rr_rdlen(rr));
			p += sprintf(p, "CNAME %s.\n", name);
			break;
		case TYPE_MX:
			assert_true(ns_name_uncompress(out, out + out_len, data + 2, name,
						       sizeof(name)) == ns_rr_rdlen(rr) - 2);
			p += sprintf(p, "MX %u %s. (%d bytes)\n", ns_get16(data), name,
				     ns_rr_rdlen(rr));
			break;
		default:
			p += sprintf(p, "TYPE%d %d bytes\n", ns_rr_type(rr), ns_rr_rdlen(rr));
		}
	}
	return text;
}

static void expect(uint8_t rcode, const char *answer)
{
	assert_int_equal(out[2] & KB_TC, 0);
	assert_int_equal(out[3] & 0x0f, rcode);
	assert_string_equal(section(ns_s_an), answer);
}

static void expect_truncated(void)
{
	assert_int_equal(out[2] & KB_TC, KB_TC);
	assert_int_equal(ns_get16(out + 6) + ns_get16(out + 8), 0);
	assert_int_equal(ns_get16(out + 10), has_opt);
	assert_string_equal(section(ns_s_an), "");
}

static void positive(void **state)
{
	(void)state;
	begin_head();
	begin_a(0);
	rr_a(NULL);
	rr_a("www.example.ORG");
	dns_rr_name(&d, DNS_AUTHORITY, "example.org", KB_TYPE_NS, 60, "ns.example.org");
	dns_rr(&d, DNS_ADDITIONAL, "ns.example.org", KB_TYPE_A, 60, addr, 4);
	reply(1232, 1232);
	expect(0, CNAME "www.Example.org. 300 A 192.0.2.1\n"
			"www.Example.org. 300 A 192.0.2.1\n");
	/* Both owners are pointers to the CNAME's target. */
	assert_int_equal(out_len, head.len + 32);
	assert_int_equal(ns_get16(out + 8) + ns_get16(out + 10), 0);

	/* With DO the authority section may prove something. */
	dns_opt(&d, 1232, 0x8000);
	has_opt = true;
	reply(1232, 1232);
	assert_int_equal(ns_get16(out + 8), 1);
	assert_int_equal(ns_get16(out + 10), 1);
	assert_memory_equal(out + out_len - 11, d.b + d.len - 11, 11);
	has_opt = false;
}

static void chain_outside(void **state)
{
	(void)state;
	begin_head();
	begin_a(0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "a.cdn.example.net");
	dns_rr_name(&d, DNS_ANSWER, "a.cdn.example.net", KB_TYPE_CNAME, 50, "b.cdn.example.net");
	rr_a("b.cdn.example.net");
	reply(1232, 1232);
	expect(0, CNAME "www.Example.org. 60 CNAME a.cdn.example.net.\n"
			"a.cdn.example.net. 50 CNAME b.cdn.example.net.\n"
			"b.cdn.example.net. 300 A 192.0.2.1\n");
}

/* Names in data that share bytes, with the question's among them, and data of other types. */
static void compressed_data(void **state)
{
	static const uint8_t mx[] = {0, 10, 4, 'm', 'a', 'i', 'l', 0xc0, KB_DNS_HDR + 4};
	uint8_t mx2[] = {0, 20, 1, 'x', 0xc0, 0};
	size_t at;

	(void)state;
	begin_head();
	dns_begin(&d, TARGET, TYPE_MX, 0);
	dns_rr(&d, DNS_ANSWER, NULL, TYPE_MX, 60, mx, sizeof(mx));
	at = d.len - sizeof(mx) + 2;
	assert_true(at < 256);
	mx2[5] = (uint8_t)at;
	dns_rr(&d, DNS_ANSWER, NULL, TYPE_MX, 60, mx2, sizeof(mx2));
	dns_rr(&d, DNS_ANSWER, NULL, 65, 60, "\0\1\0\xc0\x0c", 5);
	reply(1232, 1232);
	expect(0, CNAME "www.Example.org. 60 MX 10 mail.Example.org. (9 bytes)\n"
			"www.Example.org. 60 MX 20 x.mail.Example.org. (6 bytes)\n"
			"www.Example.org. 60 TYPE65 5 bytes\n");
}

static void denials(void **state)
{
	(void)state;
	begin_head();
	for (uint8_t code = 0; code <= 3; code = (uint8_t)(code + 3)) {
		begin_a(code);
		dns_soa(&d, "Example.org", 900, 60);
		reply(1232, 1232);
		expect(code, CNAME);
		assert_int_equal(ns_get16(out + 8), 1);
		assert_non_null(strstr(section(ns_s_ns), "900 TYPE6 "));
	}
	for (uint8_t code = 2; code <= 5; code = (uint8_t)(code + 3)) {
		begin_a(code);
		reply(1232, 1232);
		expect(code, CNAME);
		assert_int_equal(out_len, head.len);
	}
}

static void truncated(void **state)
{
	(void)state;
	begin_head();
	for (int opt = 0; opt < 2; opt++) {
		has_opt = opt;
		begin_a(0);
		d.b[2] |= KB_TC;
		if (opt)
			dns_opt(&d, 1232, 0);
		reply(1232, 1232);
		expect_truncated();
		begin_a(0);
		for (int i = 0; i < 20; i++)
			rr_a(NULL);
		if (opt)
			dns_opt(&d, 1232, 0);
		out_len = head.len + 20 * 16 + (opt ? 11 : 0);
		reply(out_len, 1232);
		assert_int_equal(ns_get16(out + 6), 21);
		reply(out_len - 1, 1232);
		expect_truncated();
		reply(1232, KB_MESSAGE_MAX);
		assert_int_equal(ns_get16(out + 6), 21);
	}
	has_opt = false;
	/* The CNAMEs alone are too large. */
	begin_head();
	for (int i = 0; i < 30; i++)
		dns_rr_name(&head, DNS_ANSWER, NULL, KB_TYPE_CNAME, 5, TARGET);
	begin_a(0);
	rr_a(NULL);
	reply(512, 512);
	expect_truncated();
	begin_a(2);
	reply(512, 512);
	expect_truncated();
}

/* Beyond the reach of pointers names are written out. */
static void far(void **state)
{
	char name[32];
	const char *p;

	(void)state;
	begin_head();
	begin_a(0);
	for (int i = 0; i < 1100; i++) {
		snprintf(name, sizeof(name), "n%d.example.net", i);
		dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, name);
	}
	for (int i = 0; i < 4; i++)
		rr_a("far.example.com");
	assert_true(d.len > 0x4100);
	reply(KB_MESSAGE_MAX, KB_MESSAGE_MAX);
	assert_int_equal(ns_get16(out + 6), 1105);
	p = section(ns_s_an);
	assert_non_null(strstr(p, "www.Example.org. 60 CNAME n1099.example.net.\n"));
	assert_non_null(strstr(p, "far.example.com. 300 A 192.0.2.1\n"
				  "far.example.com. 300 A 192.0.2.1\n"));
}

/* The reply to what a rule has made of "old.svc.test" is made into the client's. */
static void rewrite_back(const char *from, const char *to, bool suffix, bool answers, size_t limit)
{
	const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX];
	char *root[] = {""};
	struct kb_corefile_rewrite rw = {
		.from = (char *)(uintptr_t)from, .to = (char *)(uintptr_t)to, .suffix = suffix};
	struct kb_corefile_block v = {.zones = {root, 1}, .rewrites = &rw, .n_rewrites = 1};
	uint8_t name[255];
	size_t len = dns_name("old.svc.test", name), cap = limit > 2048 ? limit : 2048;
	const struct kb_wire any = {.len = 1};
	struct kb_chase *c;
	struct kb_blocks *b;

	rw.answers = answers;
	dns_begin(&head, "Old.svc.test", KB_TYPE_A, 0);
	assert_int_equal(kb_blocks_new(&v, 1, &b), 0);
	assert_int_equal(kb_block_rewrite(kb_blocks_find(b, &any), name, &len, rules), 1);
	c = kb_chase_rewritten(head.b, head.len, limit, has_opt, b, rules, 1);
	assert_non_null(c);
	kb_blocks_unref(b);
	out = guarded(cap);
	memcpy(out, d.b, d.len);
	out_len = kb_chase_reply(c, out, d.len, cap);
	kb_chase_free(c);
	assert_true(out_len <= limit);
	assert_memory_equal(out, head.b, 2);
	assert_memory_equal(out + KB_DNS_HDR, head.b + KB_DNS_HDR, head.len - KB_DNS_HDR);
}

static void rewritten(void **state)
{
	(void)state;
	dns_begin(&d, "new.example", KB_TYPE_A, 0);
	d.b[2] |= KB_AA;
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "x.New.example");
	dns_rr_name(&d, DNS_ANSWER, "x.new.example", KB_TYPE_CNAME, 50, "y.example");
	rr_a("y.example");
	dns_rr(&d, DNS_ADDITIONAL, "new.example", KB_TYPE_A, 60, addr, 4);
	rewrite_back("old.svc.test", "new.example", false, false, 512);
	expect(0, "Old.svc.test. 60 CNAME x.old.svc.test.\n"
		  "x.old.svc.test. 50 CNAME y.example.\n"
		  "y.example. 300 A 192.0.2.1\n");
	assert_string_equal(section(ns_s_ar), "Old.svc.test. 60 A 192.0.2.1\n");
	assert_int_equal(out[2], d.b[2]); /* flags are the reply's */
	assert_int_equal(out[3], d.b[3]);
	rewrite_back("old.svc.test", "new.example", false, false, out_len);
	assert_int_equal(out[2] & KB_TC, 0);
	rewrite_back("old.svc.test", "new.example", false, false, out_len - 1);
	expect_truncated();
	rewrite_back(".svc.test", ".example", true, true, 512);
	/* Only a rule that asks for it changes names back. */
	rewrite_back("svc.test", "example", true, false, 512);
	expect(0, "new.example. 60 CNAME x.New.example.\n"
		  "x.new.example. 50 CNAME y.example.\n"
		  "y.example. 300 A 192.0.2.1\n");
	rewrite_back("svc.test", "example", true, true, 512);
	expect(0, "new.svc.test. 60 CNAME x.New.svc.test.\n"
		  "x.new.svc.test. 50 CNAME y.svc.test.\n"
		  "y.svc.test. 300 A 192.0.2.1\n");
	/* In SOA records the first name alone. */
	dns_begin(&d, "new.example", KB_TYPE_A, 3);
	dns_soa(&d, "example", 900, 60);
	rewrite_back("svc.test", "example", true, true, 512);
	expect(3, "");
	assert_non_null(strstr(section(ns_s_ns), "svc.test. 900 TYPE6 "));
	/* What cannot be read is a failure. */
	d.len--;
	rewrite_back("svc.test", "example", true, true, 512);
	expect(2, "");
}

/* A rule's name leads out, and another rule changes what it leads to. */
static void steps(void **state)
{
	const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX];
	char *root[] = {""};
	struct kb_corefile_rewrite rw = {.from = "www.example.org", .to = "in.test"};
	struct kb_corefile_block v = {.zones = {root, 1}, .rewrites = &rw, .n_rewrites = 1};
	const struct kb_wire any = {.len = 1};
	uint8_t name[255];
	size_t len = dns_name("www.example.org", name);
	struct kb_chase *inner, *outer;
	struct kb_blocks *b;

	(void)state;
	begin_head();
	assert_int_equal(kb_blocks_new(&v, 1, &b), 0);
	assert_int_equal(kb_block_rewrite(kb_blocks_find(b, &any), name, &len, rules), 1);
	dns_begin(&d, TARGET, KB_TYPE_A, 0);
	inner = kb_chase_rewritten(d.b, d.len, KB_MESSAGE_MAX, false, b, rules, 1);
	outer = kb_chase_new(head.b, head.len, target, 512, false);
	kb_blocks_unref(b);
	assert_ptr_equal(kb_chase_join(NULL, outer), outer);
	inner = kb_chase_join(inner, outer);
	dns_begin(&d, "in.test", KB_TYPE_A, 0);
	rr_a(NULL);
	out = guarded(2048);
	memcpy(out, d.b, d.len);
	out_len = kb_chase_reply(inner, out, d.len, 2048);
	expect(0, CNAME "www.Example.org. 300 A 192.0.2.1\n");
	kb_chase_free(inner);
	kb_chase_free(NULL);
}

/* An error has room of its own where replies wait for the main loop: no more than it needs. */
static void no_room(void **state)
{
	char name[254];

	(void)state;
	has_opt = true;
	begin_head();
	begin_a(2);
	dns_opt(&d, 1232, 0);
	reply(512, KB_RELAY_QUERY_MAX);
	expect(2, CNAME);
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[253] = 0;
	dns_begin(&head, name, KB_TYPE_A, 0);
	head.b[2] |= KB_AA;
	head.b[3] = 0;
	dns_rr_name(&head, DNS_ANSWER, NULL, KB_TYPE_CNAME, 5, TARGET);
	target = head.len - 17;
	reply(512, KB_RELAY_QUERY_MAX);
	assert_int_equal(out_len, KB_RELAY_QUERY_MAX);
	assert_true(out[2] & KB_TC);
	has_opt = false;
}

static void refused(uint8_t rcode)
{
	reply(1232, 1232);
	expect(rcode, CNAME);
	assert_int_equal(ns_get16(out + 8), 0);
}

static void hostile(void **state)
{
	size_t at;

	(void)state;
	begin_head();
	begin_a(0);
	rr_a(NULL);
	d.len--;
	refused(2); /* cut */
	begin_a(0);
	at = d.len;
	rr_a(NULL);
	d.b[at + 1] = (uint8_t)at;
	refused(2); /* a name that points to itself */
	begin_a(0);
	d.b[7] = 200;
	refused(2); /* records that are not there */
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "\1a\0x", 4);
	refused(2);
}

/* Whatever is damaged, the reply is one that can be read, within its limit. */
static void damaged(void **state)
{
	static struct dns_build good;
	unsigned int whole = 0;

	(void)state;
	begin_head();
	begin_a(0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "a.b.example.net");
	dns_rr_name(&d, DNS_ANSWER, "a.b.example.net", KB_TYPE_CNAME, 50, "c.test");
	rr_a("c.test");
	dns_soa(&d, "test", 900, 60);
	dns_opt(&d, 1232, 0x8000);
	memcpy(&good, &d, sizeof(d));
	has_opt = true;
	srand(1);
	for (int i = 0; i < 200000; i++) {
		struct kb_message m;
		int n = 1 + rand() % 3;

		memcpy(d.b, good.b, good.len);
		d.len = rand() % 8 ? good.len : 23 + (size_t)rand() % (good.len - 22);
		for (int k = 0; k < n; k++)
			d.b[2 + (size_t)rand() % (d.len - 2)] =
				(uint8_t)(rand() % 4 ? rand() : 0xc0);
		reply(512, 512);
		assert_memory_equal(out + KB_DNS_HDR, head.b + KB_DNS_HDR, 27 + 4);
		assert_int_equal(ns_get16(out + 10), 1);
		if (out[2] & KB_TC)
			continue;
		out[11] = 0;
		assert_int_equal(kb_message_read(out, out_len - 11, &m), 0);
		assert_true(m.sound);
		whole += m.an > 1;
	}
	assert_true(whole > 1000);
	has_opt = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positive),	   cmocka_unit_test(chain_outside),
		cmocka_unit_test(compressed_data), cmocka_unit_test(denials),
		cmocka_unit_test(truncated),	   cmocka_unit_test(far),
		cmocka_unit_test(rewritten),	   cmocka_unit_test(steps),
		cmocka_unit_test(no_room),	   cmocka_unit_test(hostile),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
