/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of upstreams' replies: what they are, what is refused, and a comparison with
 * libresolv's parser over damaged messages.
 */
#include <errno.h>
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

#include "control/forward/message.h"
#include "dataplane/core/dns.h"
#include "tests/unit/dns_build.h"

static const uint8_t addr[4] = {192, 0, 2, 1};
static struct dns_build d;
static struct kb_message m;

/* Reads a message that ends just before memory that cannot be read. */
static int read_guarded(const uint8_t *msg, size_t len)
{
	static uint8_t *at;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!at) {
		at = mmap(NULL, 18 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
		assert_ptr_not_equal(at, MAP_FAILED);
		mprotect(at + 17 * page, page, PROT_NONE);
	}
	memcpy(at + 17 * page - len, msg, len);
	return kb_message_read(at + 17 * page - len, len, &m);
}

/* 0 for a message that is sound. */
static int read_sound(const uint8_t *msg, size_t len)
{
	int r = read_guarded(msg, len);

	return r == 0 && !m.sound ? -EBADMSG : r;
}

static void accepted(enum kb_message_kind kind)
{
	assert_int_equal(read_sound(d.b, d.len), 0);
	assert_int_equal(m.kind, kind);
}

static void refused(void)
{
	assert_int_equal(read_guarded(d.b, d.len), -EBADMSG);
}

/* To be passed on, but not to be kept. */
static void unsound(void)
{
	assert_int_equal(read_guarded(d.b, d.len), 0);
	assert_false(m.sound);
	assert_int_equal(m.kind, KB_MESSAGE_OTHER);
}

static void begin_a(uint8_t rcode)
{
	dns_begin(&d, "www.Example.org", KB_TYPE_A, rcode);
}

static void rr_a(const char *owner, uint32_t ttl)
{
	dns_rr(&d, DNS_ANSWER, owner, KB_TYPE_A, ttl, addr, 4);
}

static void answers(void **state)
{
	(void)state;
	begin_a(0);
	rr_a(NULL, 300);
	rr_a("WWW.example.ORG", 200);
	dns_opt(&d, 1400, 0x00008000);
	accepted(KB_MESSAGE_ANSWER);
	assert_int_equal(m.an, 2);
	assert_int_equal(m.ns + m.ar, 0);
	assert_int_equal(m.end, d.len - 11);
	assert_int_equal(m.ttl_min, 200);
	assert_int_equal(ns_get32(d.b + m.ttl_at[0]), 300);
	assert_int_equal(ns_get32(d.b + m.ttl_at[1]), 200);
	assert_true(m.has_opt && m.dnssec_ok);
	assert_int_equal(m.udp_size, 1400);
	assert_int_equal(m.qtype, KB_TYPE_A);
	assert_int_equal(m.qclass, 1);

	/* A chain, over a DNAME too, with signatures. */
	begin_a(0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "a.b.example.net");
	dns_rr(&d, DNS_ANSWER, NULL, 46, 60, "signature of an algorithm", 25);
	dns_rr_name(&d, DNS_ANSWER, "B.example.net", 39, 50, "c.test");
	dns_rr(&d, DNS_ANSWER, "b.example.net", 46, 50, "signature of an algorithm", 25);
	dns_rr_name(&d, DNS_ANSWER, "a.b.example.net", KB_TYPE_CNAME, 50, "a.c.test");
	rr_a("a.c.test", 40);
	accepted(KB_MESSAGE_ANSWER);
	assert_int_equal(m.ttl_min, 40);

	/* The CNAME itself was asked for. */
	dns_begin(&d, "w.x", KB_TYPE_CNAME, 0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "y.x");
	accepted(KB_MESSAGE_ANSWER);
	dns_begin(&d, "w.x", KB_TYPE_ANY, 0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_A, 60, addr, 4);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_TXT, 60, "\1x", 2);
	accepted(KB_MESSAGE_ANSWER);
}

static void denials(void **state)
{
	(void)state;
	begin_a(3);
	dns_soa(&d, "org", 900, 3600);
	accepted(KB_MESSAGE_NXDOMAIN);
	assert_int_equal(m.negative_ttl, 900);
	begin_a(0);
	dns_soa(&d, "example.ORG", 900, 30);
	accepted(KB_MESSAGE_NODATA);
	assert_int_equal(m.negative_ttl, 30);
	begin_a(0);
	dns_soa(&d, "", 7, 30); /* of the root */
	accepted(KB_MESSAGE_NODATA);
	/* The chain's end is what does not exist. */
	begin_a(3);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 20, "y.test");
	dns_soa(&d, "test", 900, 3600);
	accepted(KB_MESSAGE_NXDOMAIN);
	assert_int_equal(m.ttl_min, 20);
	begin_a(2);
	accepted(KB_MESSAGE_FAILURE);
}

/* Well formed, but nothing to keep. */
static void others(void **state)
{
	(void)state;
	begin_a(0);
	accepted(KB_MESSAGE_OTHER);
	begin_a(3);
	accepted(KB_MESSAGE_OTHER); /* no SOA */
	begin_a(3);
	dns_soa(&d, "example.com", 900, 3600);
	accepted(KB_MESSAGE_OTHER); /* of another zone */
	begin_a(3);
	dns_soa(&d, "sub.www.example.org", 900, 3600);
	accepted(KB_MESSAGE_OTHER); /* of a zone below */
	begin_a(3);
	dns_soa(&d, "xample.org", 900, 3600);
	accepted(KB_MESSAGE_OTHER);
	begin_a(3);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 20, "y.test");
	dns_soa(&d, "example.org", 900, 3600);
	accepted(KB_MESSAGE_OTHER); /* of the chain's beginning */
	begin_a(3);
	rr_a(NULL, 300);
	dns_soa(&d, "org", 900, 3600);
	accepted(KB_MESSAGE_OTHER); /* there and not there */
	begin_a(0);
	dns_rr_name(&d, DNS_AUTHORITY, "example.org", KB_TYPE_NS, 60, "ns.example.org");
	accepted(KB_MESSAGE_OTHER); /* referral */
	begin_a(0);
	rr_a(NULL, 300);
	rr_a("www.example.com", 300);
	accepted(KB_MESSAGE_OTHER); /* a stranger */
	begin_a(0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "y.test");
	accepted(KB_MESSAGE_OTHER); /* no end */
	begin_a(0);
	dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "y.test");
	dns_rr_name(&d, DNS_ANSWER, "y.test", KB_TYPE_CNAME, 60, "WWW.example.org");
	rr_a(NULL, 60);
	accepted(KB_MESSAGE_OTHER); /* a loop */
	begin_a(0);
	rr_a(NULL, 60);
	d.b[d.len - 4 - 7] = 3;
	accepted(KB_MESSAGE_OTHER); /* class CH */
	begin_a(5);
	accepted(KB_MESSAGE_OTHER); /* REFUSED */
	begin_a(0);
	rr_a(NULL, 60);
	dns_opt(&d, 1232, 1U << 24);
	accepted(KB_MESSAGE_OTHER); /* rcode 16 */
	assert_int_equal(m.rcode, 16);
	begin_a(0);
	for (int i = 0; i < KB_MESSAGE_RECORDS_MAX; i++)
		rr_a(NULL, 60);
	accepted(KB_MESSAGE_ANSWER);
	rr_a(NULL, 60);
	accepted(KB_MESSAGE_OTHER); /* too many */
}

static void chain_length(void **state)
{
	char from[16] = "www.Example.org", to[16];

	(void)state;
	for (int n = 0; n <= KB_MESSAGE_CHAIN_MAX; n++) {
		begin_a(0);
		for (int i = 0; i < n; i++) {
			snprintf(to, sizeof(to), "c%d.test", i);
			dns_rr_name(&d, DNS_ANSWER, i ? from : NULL, KB_TYPE_CNAME, 60, to);
			memcpy(from, to, sizeof(from));
		}
		rr_a(n ? from : NULL, 60);
		accepted(n < KB_MESSAGE_CHAIN_MAX ? KB_MESSAGE_ANSWER : KB_MESSAGE_OTHER);
	}
}

/* Appends a record of raw owner bytes. */
static void raw_owner(const void *owner, size_t len)
{
	static const uint8_t fixed[] = {0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};

	memcpy(d.b + d.len, owner, len);
	memcpy(d.b + d.len + len, fixed, sizeof(fixed));
	d.len += len + sizeof(fixed);
	d.b[7]++;
}

static void bad_names(void **state)
{
	uint8_t name[300];
	size_t at;

	(void)state;
	begin_a(0);
	at = d.len;
	name[0] = (uint8_t)(0xc0 | at >> 8);
	name[1] = (uint8_t)at;
	raw_owner(name, 2);
	refused(); /* to itself */
	begin_a(0);
	name[1] = (uint8_t)(at + 1);
	raw_owner(name, 2);
	refused(); /* forward */
	begin_a(0);
	name[1] = (uint8_t)(at + 2 + 14);
	raw_owner(name, 2);
	raw_owner("\1x\0", 3);
	refused(); /* forward, to a name */
	d.b[at + 1] = KB_DNS_HDR;
	assert_int_equal(read_guarded(d.b, d.len), 0);
	begin_a(0);
	memcpy(name, "\1a", 2);
	name[2] = (uint8_t)(0xc0 | at >> 8);
	name[3] = (uint8_t)at;
	raw_owner(name, 4);
	refused(); /* to its own beginning: a loop */
	/* Back to a TTL, which as a label of 60 bytes would lead on beyond the pointer. */
	begin_a(0);
	raw_owner("\1x", 3);
	name[0] = (uint8_t)(0xc0 | (at + 3 + 7) >> 8);
	name[1] = (uint8_t)(at + 3 + 7);
	raw_owner(name, 2);
	for (int i = 0; i < 3; i++)
		raw_owner("\1x", 3);
	refused();
	begin_a(0);
	raw_owner("\xc0\x02", 2);
	refused(); /* into the header */
	begin_a(0);
	raw_owner("\x40w\0", 3);
	refused(); /* reserved label type */
	begin_a(0);
	raw_owner("\x80w\0", 3);
	refused();
	/* 255 bytes are a name, 256 are none, written out or by a pointer. */
	for (size_t extra = 0; extra < 2; extra++) {
		begin_a(0);
		memset(name, 'a', sizeof(name));
		name[0] = name[64] = name[128] = 63;
		name[192] = (uint8_t)(61 + extra);
		name[192 + 62 + extra] = 0;
		raw_owner(name, 192 + 63 + extra);
		assert_int_equal(read_guarded(d.b, d.len), extra ? -EBADMSG : 0);
		begin_a(0);
		name[192] = (uint8_t)(62 - 17 + extra); /* the question's name has 17 */
		name[192 + 63 - 17 + extra] = 0xc0;
		name[192 + 64 - 17 + extra] = KB_DNS_HDR;
		raw_owner(name, 192 + 65 - 17 + extra);
		assert_int_equal(read_guarded(d.b, d.len), extra ? -EBADMSG : 0);
	}
}

/* Pointers to pointers are names, but not without end. */
static void pointer_jumps(void **state)
{
	(void)state;
	for (unsigned int jumps = 100; jumps < 200; jumps++) {
		begin_a(0);
		raw_owner("\xc0\x0c", 2);
		d.b[d.len - 5]++; /* four bytes of an opaque type */
		memset(d.b + d.len - 6, 0, 2);
		d.b[d.len - 14] = 0xff;
		d.b[d.len - 6] = (uint8_t)((2 * jumps) >> 8);
		d.b[d.len - 5] = (uint8_t)(2 * jumps);
		d.len -= 4;
		for (unsigned int i = 0; i < jumps; i++) {
			size_t to = i ? d.len - 2 : KB_DNS_HDR;

			d.b[d.len++] = (uint8_t)(0xc0 | to >> 8);
			d.b[d.len++] = (uint8_t)to;
		}
		raw_owner((uint8_t[]){(uint8_t)(0xc0 | (d.len - 2) >> 8), (uint8_t)(d.len - 2)}, 2);
		assert_int_equal(read_guarded(d.b, d.len), jumps + 1 <= 128 ? 0 : -EBADMSG);
	}
}

static void bad_data(void **state)
{
	(void)state;
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_A, 60, addr, 3);
	unsound();
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_AAAA, 60, addr, 4);
	unsound();
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "\1a\0x", 4);
	unsound(); /* more than a name */
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, 60, "\1a", 2);
	dns_rr(&d, DNS_ANSWER, "", KB_TYPE_A, 60, addr, 4);
	unsound(); /* a name that goes on in the next record */
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, 15, 60, "\0\1", 2);
	unsound(); /* MX without a name */
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_SOA, 60, "\0\0abcdefghijklmnopqrs", 21);
	unsound();
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, NULL, KB_TYPE_SOA, 60, "\0\0abcdefghijklmnopqrst", 22);
	assert_int_equal(read_sound(d.b, d.len), 0);
}

/* The first of the signatures to expire, also when their numbers have come round. */
static void signatures(void **state)
{
	(void)state;
	begin_a(0);
	rr_a(NULL, 60);
	accepted(KB_MESSAGE_ANSWER);
	assert_false(m.is_signed);
	dns_rrsig(&d, 60, 5000);
	dns_rrsig(&d, 60, 4000);
	dns_rrsig(&d, 60, 6000);
	accepted(KB_MESSAGE_ANSWER);
	assert_true(m.is_signed);
	assert_int_equal(m.signed_until, 4000);
	begin_a(0);
	rr_a(NULL, 60);
	dns_rrsig(&d, 60, 10);
	dns_rrsig(&d, 60, 0xfffffff0);
	accepted(KB_MESSAGE_ANSWER);
	assert_int_equal(m.signed_until, 0xfffffff0);
	dns_rr(&d, DNS_ANSWER, NULL, 46, 60, "eighteen bytes.....", 18);
	unsound();
}

static void bad_messages(void **state)
{
	(void)state;
	begin_a(0);
	rr_a(NULL, 60);
	accepted(KB_MESSAGE_ANSWER);
	d.len++;
	d.b[d.len - 1] = 0;
	unsound(); /* trailing garbage */
	assert_int_equal(m.end, d.len - 1);
	d.len--;
	for (int i = 0; i < 3; i++) {
		d.b[7 + 2 * i]++;
		refused(); /* one record is missing */
		d.b[7 + 2 * i]--;
	}
	d.b[7]--;
	unsound(); /* one too many */
	d.b[7]++;
	d.b[5] = 2;
	refused();
	d.b[5] = 0;
	refused();
	d.b[5] = 1;
	d.b[2] ^= KB_QR;
	refused();
	d.b[2] ^= KB_QR | KB_TC;
	unsound();
	d.len--; /* where the room ended */
	unsound();
	d.len++;
	d.b[2] ^= KB_TC | 0x28;
	refused(); /* UPDATE */
	d.b[2] ^= 0x28;
	accepted(KB_MESSAGE_ANSWER);

	dns_opt(&d, 1232, 0);
	accepted(KB_MESSAGE_ANSWER);
	dns_opt(&d, 1232, 0);
	unsound(); /* two */
	assert_int_equal(m.end, d.len - 22);
	begin_a(0);
	dns_rr(&d, DNS_ANSWER, "", KB_TYPE_OPT, 0, "", 0);
	refused(); /* in the wrong section */
	begin_a(0);
	dns_rr(&d, DNS_ADDITIONAL, "x", KB_TYPE_OPT, 0, "", 0);
	refused(); /* not of the root */
	/* What follows the OPT record is read, but not counted. */
	begin_a(0);
	rr_a(NULL, 60);
	dns_opt(&d, 1232, 0);
	dns_rr(&d, DNS_ADDITIONAL, "ns.x", KB_TYPE_A, 9, addr, 4);
	accepted(KB_MESSAGE_ANSWER);
	assert_int_equal(m.ar, 0);
	assert_int_equal(m.ttl_min, 60);
	d.len--;
	unsound();
	assert_int_equal(m.an, 1);
	assert_int_equal(m.end, d.len + 1 - 20 - 11);
}

static void build_rich(unsigned int seed)
{
	char text[32];

	srand(seed);
	dns_begin(&d, "www.example.org", KB_TYPE_A, rand() % 4 ? 0 : 3);
	if (rand() % 2)
		dns_rr_name(&d, DNS_ANSWER, NULL, KB_TYPE_CNAME, (uint32_t)rand(),
			    "www.example.org");
	for (int i = rand() % 3; i > 0; i--)
		rr_a(NULL, (uint32_t)rand());
	if (rand() % 2)
		dns_rr(&d, DNS_ANSWER, NULL, 15, 5, "\0\5\4mail\xc0\x10", 9);
	if (rand() % 2)
		dns_soa(&d, "example.org", (uint32_t)rand(), (uint32_t)rand());
	if (rand() % 2)
		dns_rr_name(&d, DNS_AUTHORITY, "example.org", KB_TYPE_NS, 7, "ns.example.org");
	snprintf(text, sizeof(text), "n%d.example.org", rand() % 100);
	dns_rr(&d, DNS_ADDITIONAL, text, KB_TYPE_A, 9, addr, 4);
	if (rand() % 2)
		dns_opt(&d, 1232, 0);
}

/* No beginning of a message is a message. */
static void cut(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 50; seed++) {
		build_rich(seed);
		assert_int_equal(read_guarded(d.b, d.len), 0);
		for (size_t len = 0; len < d.len; len++)
			assert_int_equal(read_guarded(d.b, len), -EBADMSG);
	}
}

/* What is accepted here, libresolv accepts too, with the same TTLs at the places given. */
static void agrees(const uint8_t *msg, size_t len)
{
	static const ns_sect sections[] = {ns_s_an, ns_s_ns, ns_s_ar};
	const uint16_t counts[] = {m.an, m.ns, m.ar};
	uint32_t min = UINT32_MAX;
	unsigned int n = 0;
	ns_msg handle;
	ns_rr rr;

	assert_int_equal(ns_initparse(msg, (int)len, &handle), 0);
	assert_int_equal(ns_msg_count(handle, ns_s_qd), 1);
	for (int s = 0; s < 3; s++) {
		assert_true(counts[s] <= ns_msg_count(handle, sections[s]));
		for (int i = 0; i < ns_msg_count(handle, sections[s]); i++) {
			assert_int_equal(ns_parserr(&handle, sections[s], i, &rr), 0);
			if (i >= counts[s])
				continue; /* the OPT record, or behind it */
			assert_int_equal(ns_get32(msg + m.ttl_at[n]), ns_rr_ttl(rr));
			assert_ptr_equal(msg + m.ttl_at[n] + 6, ns_rr_rdata(rr));
			if (ns_rr_ttl(rr) < min)
				min = ns_rr_ttl(rr);
			n++;
		}
	}
	assert_int_equal(m.ttl_min, min);
}

static void as_libresolv(void **state)
{
	unsigned int n_accepted = 0, n_refused = 0;

	(void)state;
	for (unsigned int seed = 0; seed < 300; seed++) {
		build_rich(seed);
		assert_int_equal(read_sound(d.b, d.len), 0);
		agrees(d.b, d.len);
		for (int k = 0; k < 300; k++) {
			struct dns_build bad = d;

			for (int i = rand() % 3; i >= 0; i--)
				bad.b[(size_t)rand() % bad.len] = (uint8_t)rand();
			if (read_sound(bad.b, bad.len) < 0) {
				n_refused++;
				continue;
			}
			n_accepted++;
			agrees(bad.b, bad.len);
		}
	}
	assert_true(n_accepted > 10000 && n_refused > 10000);
}

static void question(void **state)
{
	struct kb_ask ask = dns_ask("www.Example.org", KB_TYPE_A);

	(void)state;
	begin_a(0);
	accepted(KB_MESSAGE_OTHER);
	assert_true(kb_message_is_for(d.b, &m, ask.question, ask.len, true));
	ask.question[1] = 'W';
	assert_true(kb_message_is_for(d.b, &m, ask.question, ask.len, false));
	assert_false(kb_message_is_for(d.b, &m, ask.question, ask.len, true));
	ask.question[1] = 'x';
	assert_false(kb_message_is_for(d.b, &m, ask.question, ask.len, false));
	ask.question[1] = 'w';
	ask.question[ask.len - 1] = 3;
	assert_false(kb_message_is_for(d.b, &m, ask.question, ask.len, false));
	ask = dns_ask("www.example.org", 'a');
	dns_begin(&d, "www.example.org", 'A', 0); /* types have no case */
	accepted(KB_MESSAGE_OTHER);
	assert_false(kb_message_is_for(d.b, &m, ask.question, ask.len, false));
	ask = dns_ask("www.example.or", KB_TYPE_A);
	assert_false(kb_message_is_for(d.b, &m, ask.question, ask.len, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),	cmocka_unit_test(denials),
		cmocka_unit_test(others),	cmocka_unit_test(chain_length),
		cmocka_unit_test(bad_names),	cmocka_unit_test(pointer_jumps),
		cmocka_unit_test(bad_data),	cmocka_unit_test(bad_messages),
		cmocka_unit_test(signatures),	cmocka_unit_test(cut),
		cmocka_unit_test(as_libresolv), cmocka_unit_test(question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
