/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of rows for every engine that answers packets: packet in, verdict, packet out, and the
 * counter that rose. Here are the names that all rows ask for and how a row is run;
 * answer_rows.h and left_rows.h have the rows. What is answered is checked by packet_check.h;
 * what is left must be unchanged and counted by its own counter.
 *
 * A program includes it once, and defines what is declared below (tests/bpf/rows.h for the kernel's
 * engines, tests/dpdk/rows.h for kbdns-dpdk's).
 */
#ifndef KB_TESTS_ROWS_H
#define KB_TESTS_ROWS_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/table/table.h"
#include "tests/rows/packet_check.h"

#define ROWS_UNUSED __attribute__((unused))

#define TYPE_A	  1
#define TYPE_TXT  16
#define TYPE_AAAA 28
#define TYPE_SRV  33
#define ZONE	  "svc.cluster.local"

enum row_verdict { ROW_LEFT, ROW_ANSWERED, ROW_OTHER };

/* What an engine's program defines. */
static const enum kb_engine rows_first, rows_last; /* engines that a row is run by */
static enum row_verdict rows_run(enum kb_engine engine, const struct frame *in, struct frame *out);
static void rows_counters(enum kb_engine engine, uint64_t ret[KB_CNT_MAX]);
/* Answers are given for this long from now on. */
static void rows_beat(uint32_t ttl_ms);
/* The largest IP packet that may be sent back, at least 1000. */
static void rows_mtu(uint32_t mtu);

static struct kb_table *table;
static uint64_t seen[KB_ENGINE_MAX][KB_CNT_MAX]; /* how often a row met this counter */

static const char *const engine_name[] = {
	[KB_ENGINE_TC] = "tc", [KB_ENGINE_XDP] = "xdp", [KB_ENGINE_DPDK] = "dpdk"};
static const char *const counter_name[] = {
#define NAME(id, name, help) [KB_CNT_##id] = name,
	KB_COUNTERS(NAME)
#undef NAME
};

/* The table. */

ROWS_UNUSED static size_t lower_wire(const char *name, uint8_t *buf)
{
	size_t n = put_name(buf, name);

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(buf[i] >= 'A' && buf[i] <= 'Z' ? buf[i] + 32 : buf[i]);
	return n;
}

ROWS_UNUSED static void put_entry(const char *name, enum kb_value_kind kind, uint8_t zone,
				  uint32_t ref, const uint8_t addr[4])
{
	struct kb_entry entry = {.kind = kind, .zone = zone, .ref = ref};
	uint8_t wire[256];
	size_t n = lower_wire(name, wire);

	if (addr)
		memcpy(&entry.addr, addr, 4);
	assert_int_equal(kb_table_put(table, wire, n, &entry), 0);
}

struct set_spec {
	uint16_t type, an;
	uint8_t form, flags, rr_len;
	uint16_t len, arg;
	const uint8_t *body;
};

ROWS_UNUSED static uint32_t put_record(const struct set_spec *sets, size_t n)
{
	static uint8_t buf[8192] KB_ALIGNED(16);
	struct kb_rec rec = {.n_sets = (uint8_t)n};
	size_t at = 16;
	uint32_t ref;

	assert_true(n <= 3);
	memset(buf, 0, sizeof(buf));
	for (size_t i = 0; i < n; i++) {
		const struct set_spec *s = &sets[i];
		struct kb_dir dir = {.type = htons(s->type), .unit = (uint16_t)(at / 16)};
		struct kb_set set = {.form = s->form,
				     .flags = s->flags,
				     .rr_len = s->rr_len,
				     .an = s->an,
				     .len = s->len,
				     .arg = s->arg};

		memcpy(buf + 4 + 4 * i, &dir, 4);
		memcpy(buf + at, &set, 16);
		memcpy(buf + at + 16, s->body, s->len);
		at = (at + 16 + s->len + 15U) / 16 * 16;
	}
	rec.units = (uint16_t)(at / 16);
	memcpy(buf, &rec, 4);
	assert_int_equal(kb_table_intern(table, buf, at, &ref), 0);
	return ref;
}

/* n records of one type at the question's name, with data that tells them apart. */
ROWS_UNUSED static void rr_body(uint8_t *body, uint16_t type, size_t n, size_t rdlen)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = body + i * (12 + rdlen);

		memset(p, 0, 12 + rdlen);
		put16(p, 0xc00c);
		put16(p + 2, type);
		put16(p + 4, 1);
		p[9] = 5;
		put16(p + 10, (uint32_t)rdlen);
		if (type == TYPE_TXT)
			p[12] = (uint8_t)(rdlen > 256 ? 255 : rdlen - 1);
		else
			p[12] = 10;
		put16(p + 12 + rdlen - 2, (uint32_t)i);
	}
}

ROWS_UNUSED static void multi(const char *name, size_t n4, size_t n6)
{
	static uint8_t b4[4096], b6[4096];
	struct set_spec sets[2] = {
		{.type = TYPE_A,
		 .form = KB_FORM_WIRE,
		 .flags = KB_SET_ROTATE,
		 .rr_len = 16,
		 .an = (uint16_t)n4,
		 .len = (uint16_t)(16 * n4),
		 .body = b4},
		{.type = TYPE_AAAA,
		 .form = KB_FORM_WIRE,
		 .flags = KB_SET_ROTATE,
		 .rr_len = 28,
		 .an = (uint16_t)n6,
		 .len = (uint16_t)(28 * n6),
		 .body = b6},
	};

	rr_body(b4, TYPE_A, n4, 4);
	rr_body(b6, TYPE_AAAA, n6, 16);
	put_entry(name, KB_VALUE_REC, 1, put_record(sets, 2), NULL);
}

/* One TXT record of `len` bytes in all. */
ROWS_UNUSED static void txt(const char *name, size_t len)
{
	static uint8_t body[2048];
	struct set_spec set = {.type = TYPE_TXT,
			       .form = KB_FORM_WIRE,
			       .an = 1,
			       .len = (uint16_t)len,
			       .body = body};

	rr_body(body, TYPE_TXT, 1, len - 12);
	put_entry(name, KB_VALUE_REC, 1, put_record(&set, 1), NULL);
}

ROWS_UNUSED static void special_forms(void)
{
	static const uint8_t srv[12] = {0, 0, 0, 50, 0, 53, 0, 0, 0, 50, 35, 0xc1};
	static const uint8_t addr[4] = {10, 96, 0, 10}, pod[4] = {10, 200, 3, 44};
	struct set_spec s = {.type = TYPE_SRV,
			     .form = KB_FORM_SRV_SELF,
			     .an = 2,
			     .len = sizeof(srv),
			     .arg = 10,
			     .body = srv};
	uint8_t target[64];
	struct set_spec p = {.type = 12, .form = KB_FORM_PTR_DASHED, .an = 1, .body = target};

	put_entry("_dns._tcp.dns." ZONE, KB_VALUE_REC, 1, put_record(&s, 1), addr);
	p.len = (uint16_t)lower_wire("dns." ZONE, target);
	put_entry("44.3.200.10.in-addr.arpa", KB_VALUE_REC, 2, put_record(&p, 1), pod);
}

ROWS_UNUSED static void zone(const char *name, uint8_t id, uint8_t flags)
{
	uint8_t wire[256];
	size_t n = lower_wire(name, wire);

	assert_int_equal(kb_table_zone_add(table, wire, n, id, flags), 0);
}

static char long_name[256]; /* 255 bytes of wire, in the zone */

ROWS_UNUSED static void table_fill(const struct kb_backing *backing)
{
	static const uint8_t ten[4] = {10}, ula[16] = {0xfd}, addr[4] = {10, 1, 2, 3};
	struct kb_table_config config = {.replicas = 2};
	char name[80];

	assert_int_equal(kb_table_new(backing, &config, &table), 0);
	kb_table_set_ttl(table, 5);
	kb_table_set_serial(table, 1700000000);
	zone("cluster.local", 1, KB_ZONE_ANSWER);
	zone("in-addr.arpa", 2, 0);
	zone("stub.cluster.local", 0, 0);
	assert_int_equal(kb_table_allow_add(table, 4, ten, 8), 0);
	assert_int_equal(kb_table_allow_add(table, 6, ula, 8), 0);
	assert_int_equal(kb_table_icept_add(table, 4, dns4, 53), 0);
	assert_int_equal(kb_table_icept_add(table, 6, dns6, 53), 0);
	for (int i = 1; i <= 20; i++) {
		snprintf(name, sizeof(name), "%.*s." ZONE, i, "abcdefghijklmnopqrst");
		put_entry(name, KB_VALUE_A, 1, 0, addr);
	}
	multi("multi." ZONE, 60, 40);
	multi("odd-multi." ZONE, 7, 5);
	put_entry("ent." ZONE, KB_VALUE_REC, 1, 0, NULL);
	put_entry("leave." ZONE, KB_VALUE_LEAVE, 1, 0, NULL);
	put_entry("nozone." ZONE, KB_VALUE_A, 9, 0, addr);
	txt("big." ZONE, 1000);
	special_forms();
	/* Three labels of 63, one of 43, the zone: 3 * 64 + 44 + 19 = 255. */
	for (int i = 0; i < 3; i++)
		memset(long_name + 64 * i, 'a' + i, 63), long_name[64 * i + 63] = '.';
	memset(long_name + 192, 'd', 43);
	snprintf(long_name + 235, 20, "." ZONE);
	put_entry(long_name, KB_VALUE_A, 1, 0, addr);
	kb_table_set_state(table, KB_FULL);
}

/* Running. */

/* Runs and returns the one counter that rose, besides `truncated`. */
ROWS_UNUSED static enum kb_counter run_counted(enum kb_engine engine, const struct frame *in,
					       struct frame *out, enum row_verdict *verdict)
{
	uint64_t before[KB_CNT_MAX], after[KB_CNT_MAX];
	int found = -1;

	rows_counters(engine, before);
	*verdict = rows_run(engine, in, out);
	rows_counters(engine, after);
	for (int i = 0; i < KB_CNT_MAX; i++) {
		if (after[i] == before[i])
			continue;
		seen[engine][i]++;
		assert_int_equal(after[i] - before[i], 1);
		if (i == KB_CNT_TRUNCATED)
			continue;
		if (found >= 0)
			fail_msg("both %s and %s", counter_name[found], counter_name[i]);
		found = i;
	}
	assert_true(found >= 0);
	return (enum kb_counter)found;
}

#define FOR_EACH_ENGINE(e) \
	for (enum kb_engine e = rows_first; e <= rows_last; e = (enum kb_engine)(e + 1))

ROWS_UNUSED static void leave_by(enum kb_engine engine, const char *what, const struct frame *in,
				 enum kb_counter counter)
{
	struct frame out;
	enum row_verdict verdict;
	enum kb_counter c = run_counted(engine, in, &out, &verdict);

	if (c != counter)
		fail_msg("%s, %s: %s, not %s", engine_name[engine], what, counter_name[c],
			 counter_name[counter]);
	if (verdict != ROW_LEFT)
		fail_msg("%s, %s: verdict %d", engine_name[engine], what, verdict);
	if (out.len != in->len || memcmp(out.b, in->b, in->len) != 0)
		fail_msg("%s, %s: changed", engine_name[engine], what);
}

ROWS_UNUSED static void leave(const char *what, const struct frame *in, enum kb_counter counter)
{
	FOR_EACH_ENGINE(engine)
	leave_by(engine, what, in, counter);
}

ROWS_UNUSED static struct reply_info answer_by(enum kb_engine engine, const char *what,
					       struct frame *in, struct expect want,
					       struct frame *ret_out)
{
	struct frame out;
	struct reply_info info = {0};
	enum row_verdict verdict;
	enum kb_counter c = run_counted(engine, in, &out, &verdict);
	const char *why;

	if (verdict != ROW_ANSWERED)
		fail_msg("%s, %s: verdict %d, %s", engine_name[engine], what, verdict,
			 counter_name[c]);
	why = check_reply(in, &out, false, &info);
	if (why)
		fail_msg("%s, %s: %s", engine_name[engine], what, why);
	if (info.rcode != want.rcode || info.an != want.an || info.ns != want.ns ||
	    info.ar != want.ar || info.tc != want.tc)
		fail_msg("%s, %s: rcode %d an %d ns %d ar %d tc %d", engine_name[engine], what,
			 info.rcode, info.an, info.ns, info.ar, info.tc);
	assert_int_equal(c, reply_style.flags3	 ? KB_CNT_CACHED
			    : info.rcode == 3	 ? KB_CNT_NXDOMAIN
			    : info.an || info.tc ? KB_CNT_ANSWERED
						 : KB_CNT_NODATA);
	if (ret_out)
		*ret_out = out;
	return info;
}

ROWS_UNUSED static void answer(const char *what, struct frame *in, struct expect want)
{
	FOR_EACH_ENGINE(engine)
	answer_by(engine, what, in, want, NULL);
}

#endif
