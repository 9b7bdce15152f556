/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the forwarder: what goes to an upstream, what is believed, what clients get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/forward/question.h"
#include "control/forward/relay.h"
#include "dataplane/core/dns.h"

#define ID  0x1234
#define UDP 1232

/* www.Example.com A IN */
static const uint8_t question[] = "\3www\7Example\3com\0\0\1\0\1";
#define QLEN (sizeof(question) - 1)

static struct kb_ask ask_of(bool opt, bool dnssec_ok, uint16_t limit)
{
	struct kb_ask ask = {.len = QLEN,
			     .id = {0xab, 0xcd},
			     .rd = true,
			     .has_opt = opt,
			     .dnssec_ok = dnssec_ok,
			     .limit = limit,
			     .hash = 7};

	memcpy(ask.question, question, QLEN);
	return ask;
}

/* A message under construction. */
struct text {
	uint8_t b[4096];
	size_t len;
};

static struct text reply_head(uint8_t flags2, uint8_t flags3, uint8_t an, uint8_t ns, uint8_t ar)
{
	struct text t = {{0x12, 0x34, flags2, flags3, 0, 1, 0, an, 0, ns, 0, ar}, 12};

	memcpy(t.b + 12, question, QLEN);
	t.b[12 + 5] = 'e'; /* the upstream has its own case */
	t.len += QLEN;
	return t;
}

static void add(struct text *t, const void *bytes, size_t len)
{
	memcpy(t->b + t->len, bytes, len);
	t->len += len;
}

#define ADD(t, literal) add(t, literal, sizeof(literal) - 1)
#define A_RR		"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
#define OPT_RR		"\0\0\x29\x10\0\0\0\0\0\0\0"

/* Reads a copy of exactly its size, so that the sanitizers see every byte too far. */
static enum kb_relay_verdict read_len(const struct text *t, size_t len, struct kb_message *relay)
{
	struct kb_ask ask = ask_of(false, false, 512);
	uint8_t *copy = malloc(len ? len : 1);
	enum kb_relay_verdict v;

	assert_non_null(copy);
	memcpy(copy, t->b, len);
	v = kb_relay_read(&ask, ID, false, copy, len, relay);
	free(copy);
	return v;
}

static enum kb_relay_verdict read_text(const struct text *t, struct kb_message *relay)
{
	return read_len(t, t->len, relay);
}

static size_t reply(const struct kb_ask *ask, const struct text *t, const struct kb_message *m,
		    uint8_t *out, size_t cap)
{
	struct kb_relay relay = kb_relay_of(m);

	return kb_relay_reply(ask, t->b, &relay, UDP, out, cap);
}

static void test_query(void **state)
{
	struct kb_ask ask = ask_of(true, true, 512);
	uint8_t out[KB_RELAY_QUERY_MAX];

	(void)state;
	ask.cd = true;
	assert_int_equal(kb_relay_query(&ask, ID, UDP, out), 12 + QLEN + 11);
	assert_memory_equal(out, "\x12\x34\x01\x30\0\1\0\0\0\0\0\1", 12);
	assert_memory_equal(out + 12, question, QLEN);
	assert_memory_equal(out + 12 + QLEN, "\0\0\x29\4\xd0\0\0\x80\0\0\0", 11);
	assert_int_equal(kb_relay_query(&ask, ID, 0, out), 12 + QLEN);
	assert_int_equal(out[11], 0);
	ask.cd = false;
	kb_relay_query(&ask, ID, 0, out);
	assert_int_equal(out[3], 0x20);
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* To a multiple of 128 bytes, in a well-formed option. */
static void test_pad(void **state)
{
	struct kb_ask ask = ask_of(true, true, 512);
	uint8_t out[KB_RELAY_PADDED_MAX];
	size_t opt, len;

	(void)state;
	for (unsigned int label = 1; label < 64; label++) {
		for (unsigned int labels = 1; labels * (label + 1) < 255; labels++) {
			size_t name = labels * (label + 1);

			for (unsigned int i = 0; i < labels; i++) {
				memset(ask.question + i * (label + 1), 'x', label + 1);
				ask.question[i * (label + 1)] = (uint8_t)label;
			}
			memcpy(ask.question + name, "\0\0\1\0\1", 5);
			ask.len = (uint16_t)(name + 5);
			opt = kb_relay_query(&ask, ID, UDP, out);
			memset(out + opt, 0xff, sizeof(out) - opt);
			len = kb_relay_pad(out, opt);
			assert_int_equal(len % 128, 0);
			assert_true(len >= opt + 4 && len < opt + 4 + 128 && len <= sizeof(out));
			assert_int_equal(get16(out + opt - 2), len - opt);
			assert_int_equal(get16(out + opt), 12);
			assert_int_equal(get16(out + opt + 2), len - opt - 4);
			for (size_t i = opt + 4; i < len; i++)
				assert_int_equal(out[i], 0);
		}
	}
}

static void test_same(void **state)
{
	struct kb_ask a = ask_of(true, false, 512), b = ask_of(false, false, 1232), c;

	(void)state;
	b.question[1] = 'W';
	b.ad = true;
	assert_true(kb_ask_same(&a, &b)); /* case, size, OPT and AD are the client's own affair */
	c = b;
	c.question[QLEN - 3] = 28;
	assert_false(kb_ask_same(&a, &c));
	/* Type 0x41 and 0x61 are not the same letter. */
	b.question[QLEN - 3] = 0x41;
	c.question[QLEN - 3] = 0x61;
	assert_false(kb_ask_same(&b, &c));
	c = a;
	c.dnssec_ok = true;
	assert_false(kb_ask_same(&a, &c));
	c = a;
	c.cd = true;
	assert_false(kb_ask_same(&a, &c));
	c = a;
	c.rd = false;
	assert_false(kb_ask_same(&a, &c));
}

static void test_good(void **state)
{
	struct text t = reply_head(0x81, 0x80, 1, 0, 1);
	struct kb_message relay;

	(void)state;
	ADD(&t, A_RR);
	ADD(&t, OPT_RR);
	assert_int_equal(read_text(&t, &relay), KB_RELAY_OK);
	assert_int_equal(relay.an, 1);
	assert_int_equal(relay.ar, 0);
	assert_true(relay.has_opt);
	assert_int_equal(relay.end, 12 + QLEN + sizeof(A_RR) - 1);
	/* What lies behind the OPT record stays behind. */
	t.b[11] = 2;
	ADD(&t, A_RR);
	assert_int_equal(read_text(&t, &relay), KB_RELAY_OK);
	assert_int_equal(relay.ar, 0);
	/* The upper bits of the rcode. */
	t.b[12 + QLEN + sizeof(A_RR) - 1 + 5] = 1;
	assert_int_equal(read_text(&t, &relay), KB_RELAY_OK);
	assert_int_equal(relay.rcode, 16);
}

static void test_foreign(void **state)
{
	struct text good = reply_head(0x81, 0x80, 1, 0, 0), t;
	struct kb_message relay;

	(void)state;
	ADD(&good, A_RR);
	t = good;
	t.b[1] ^= 1; /* ID */
	assert_int_equal(read_text(&t, &relay), KB_RELAY_FOREIGN);
	t = good;
	t.b[2] = 0x01; /* a query */
	assert_int_equal(read_text(&t, &relay), KB_RELAY_FOREIGN);
	t = good;
	t.b[2] = 0x89; /* another opcode */
	assert_int_equal(read_text(&t, &relay), KB_RELAY_FOREIGN);
	t = good;
	t.b[12 + 6] = 'y'; /* name */
	assert_int_equal(read_text(&t, &relay), KB_RELAY_FOREIGN);
	t = good;
	t.b[12 + QLEN - 3] = 28; /* type */
	assert_int_equal(read_text(&t, &relay), KB_RELAY_FOREIGN);
	t = good;
	t.b[5] = 0; /* no question */
	assert_int_equal(read_text(&t, &relay), KB_RELAY_FOREIGN);
	for (size_t len = 0; len < 12 + QLEN; len++)
		assert_int_equal(read_len(&good, len, &relay), KB_RELAY_FOREIGN);
}

static uint32_t pattern(void *arg)
{
	uint32_t *next = arg;

	return (*next)++ % 2 ? 0xffffffff : 0x5555;
}

/* Random case: letters only, and the reply has to have it, too. */
static void test_case(void **state)
{
	struct text good = reply_head(0x81, 0x80, 1, 0, 0);
	struct kb_ask ask = ask_of(false, false, 512);
	uint8_t q[] =
		"\3w0-\77"
		"bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl\3com\0\0A\0a";
	uint8_t mixed[sizeof(q)];
	struct kb_message m;
	uint32_t n = 0;

	(void)state;
	memcpy(mixed, q, sizeof(q));
	kb_question_mix(mixed, sizeof(q) - 1, pattern, &n);
	assert_true(kb_question_same(mixed, q, sizeof(q) - 1));
	assert_memory_equal(mixed, "\3W0-\77bCdE", 9);
	assert_int_equal(mixed[36], q[36] & ~0x20); /* from the second draw on: capitals */
	assert_memory_equal(mixed + sizeof(q) - 5, "\0A\0a", 4);
	assert_int_equal(n, 3);

	ADD(&good, A_RR);
	assert_int_equal(kb_relay_read(&ask, ID, true, good.b, good.len, &m), KB_RELAY_CASE);
	assert_int_equal(kb_relay_read(&ask, ID, false, good.b, good.len, &m), KB_RELAY_OK);
	good.b[12 + 5] = 'E';
	assert_int_equal(kb_relay_read(&ask, ID, true, good.b, good.len, &m), KB_RELAY_OK);
	good.b[12 + 6] = 'y';
	assert_int_equal(kb_relay_read(&ask, ID, true, good.b, good.len, &m), KB_RELAY_FOREIGN);
}

static void test_bad(void **state)
{
	struct text head = reply_head(0x81, 0x80, 1, 0, 0), t = head;
	struct kb_message relay;

	(void)state;
	ADD(&t, A_RR);
	for (size_t len = head.len; len < t.len; len++)
		assert_int_equal(read_len(&t, len, &relay), KB_RELAY_BAD);
	t = head; /* a pointer to itself */
	ADD(&t, "\xc0\x21\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1");
	assert_int_equal(t.b[head.len + 1], head.len);
	assert_int_equal(read_text(&t, &relay), KB_RELAY_BAD);
	t = head; /* a reserved label type */
	ADD(&t, "\x80\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1");
	assert_int_equal(read_text(&t, &relay), KB_RELAY_BAD);
	t = head; /* a name without end */
	for (int i = 0; i < 10; i++)
		ADD(&t, "\x3f"
			"0123456789012345678901234567890123456789012345678901234567890ab");
	assert_int_equal(read_text(&t, &relay), KB_RELAY_BAD);
	t = reply_head(0x81, 0x80, 1, 0, 0); /* OPT among the answers */
	ADD(&t, OPT_RR);
	assert_int_equal(read_text(&t, &relay), KB_RELAY_BAD);
	/* An error of the header alone. */
	t = reply_head(0x80, KB_RCODE_FORMERR, 0, 0, 0);
	t.b[5] = 0;
	assert_int_equal(read_len(&t, 12, &relay), KB_RELAY_BAD);
	assert_int_equal(relay.rcode, KB_RCODE_FORMERR);
	t.b[3] = KB_RCODE_NOERROR;
	assert_int_equal(read_len(&t, 12, &relay), KB_RELAY_FOREIGN);
}

static void test_reply(void **state)
{
	struct text t = reply_head(0x85, 0xa0, 1, 0, 1);
	struct kb_ask ask = ask_of(true, false, 512);
	uint8_t out[4096];
	struct kb_message relay;
	size_t len;

	(void)state;
	ADD(&t, A_RR);
	ADD(&t, OPT_RR);
	assert_int_equal(read_text(&t, &relay), KB_RELAY_OK);
	len = reply(&ask, &t, &relay, out, sizeof(out));
	assert_int_equal(len, relay.end + 11);
	/* The client's ID; QR AA RD, RA; AD only for those who asked for it by DO or AD. */
	assert_memory_equal(out, "\xab\xcd\x85\x80\0\1\0\1\0\0\0\1", 12);
	assert_memory_equal(out + 12, question, QLEN);
	assert_memory_equal(out + 12 + QLEN, A_RR, sizeof(A_RR) - 1);
	assert_memory_equal(out + relay.end, "\0\0\x29\4\xd0\0\0\0\0\0\0", 11);
	ask.dnssec_ok = true;
	reply(&ask, &t, &relay, out, sizeof(out));
	assert_int_equal(out[3], 0xa0);
	assert_int_equal(out[relay.end + 7], 0x80);
	ask = ask_of(true, false, 512);
	ask.ad = true;
	reply(&ask, &t, &relay, out, sizeof(out));
	assert_int_equal(out[3], 0xa0);
	assert_int_equal(out[relay.end + 7], 0);
	ask = ask_of(false, false, 512);
	ask.rd = false;
	assert_int_equal(reply(&ask, &t, &relay, out, sizeof(out)), relay.end);
	assert_int_equal(out[2], 0x84);
	assert_int_equal(out[11], 0);
}

static void test_truncation(void **state)
{
	struct text t = reply_head(0x81, 0x80, 40, 0, 0);
	struct kb_ask ask = ask_of(true, false, 512);
	struct kb_message relay;
	uint8_t out[4096];
	size_t whole;

	(void)state;
	for (int i = 0; i < 40; i++)
		ADD(&t, A_RR);
	assert_int_equal(read_text(&t, &relay), KB_RELAY_OK);
	whole = relay.end + 11;
	assert_int_equal(reply(&ask, &t, &relay, out, sizeof(out)), 12 + QLEN + 11);
	assert_true(out[2] & KB_TC);
	assert_int_equal(out[7], 0);
	ask.limit = (uint16_t)whole;
	assert_int_equal(reply(&ask, &t, &relay, out, sizeof(out)), whole);
	assert_false(out[2] & KB_TC);
	ask.limit--;
	assert_int_equal(reply(&ask, &t, &relay, out, sizeof(out)), 12 + QLEN + 11);
	assert_true(out[2] & KB_TC);
}

static void test_error(void **state)
{
	struct kb_ask ask = ask_of(true, true, 512);
	uint8_t out[KB_RELAY_QUERY_MAX];

	(void)state;
	assert_int_equal(kb_relay_error(&ask, KB_RCODE_SERVFAIL, UDP, out), 12 + QLEN + 11);
	assert_memory_equal(out, "\xab\xcd\x81\x82\0\1\0\0\0\0\0\1", 12);
	ask.has_opt = false;
	assert_int_equal(kb_relay_error(&ask, KB_RCODE_REFUSED, UDP, out), 12 + QLEN);
	assert_int_equal(out[3] & 15, KB_RCODE_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),	   cmocka_unit_test(test_pad),
		cmocka_unit_test(test_case),	   cmocka_unit_test(test_same),
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_bad),	   cmocka_unit_test(test_reply),
		cmocka_unit_test(test_truncation), cmocka_unit_test(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
