/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the packet-path cache: what is answered out of it, and all that must not be, by each
 * engine of the program that includes this behind its own rows.h.
 */
#ifndef KB_TESTS_PCACHE_ROWS_H
#define KB_TESTS_PCACHE_ROWS_H

#include <time.h>

#include "control/pcache/pcache.h"
#include "tests/rows/rows.h"

#define TYPE_CNAME 5
#define TYPE_SOA   6
#define TTL	   300
#define WWW	   "www.example.com"

/* What an engine's program defines: the cache's memory, its clock, and a grace period. */
static int rows_pcache(struct kb_pcache_backing *ret_backing);
static void rows_clock(uint64_t *ret_ms, uint64_t *ret_jiffies, uint32_t *ret_hz);
static void rows_grace(void);

static struct kb_pcache *pcache;
static struct kb_pcache_backing pc;
static const struct expect one = {0, 1, 0, 0, 0};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* What the forwarder offers: a message, and its own fields as they are in the cache. */
struct told {
	uint8_t msg[2048], question[300];
	uint16_t ttls[100];
	struct kb_pcache_offer o;
};

static void told_begin(struct told *t, const char *name, uint16_t type)
{
	size_t n = lower_wire(name, t->question);

	memset(&t->o, 0, sizeof(t->o));
	put16(t->question + n, type);
	put16(t->question + n + 2, 1);
	memset(t->msg, 0, 12);
	memcpy(t->msg + 12, t->question, n + 4);
	t->o.question = t->question;
	t->o.question_len = n + 4;
	t->o.msg = t->msg;
	t->o.msg_len = 12 + n + 4;
	t->o.ttls = t->ttls;
	t->o.flags3 = 0x80;
	t->o.stored_ms = now_ms();
	t->o.refresh_ms = t->o.expires_ms = t->o.stored_ms + TTL * 1000;
}

/* One more record of the question's name. */
static void told_record(struct told *t, uint16_t *count, uint16_t type, uint32_t ttl, size_t rdlen)
{
	uint8_t *p = t->msg + t->o.msg_len;

	memset(p, 0, 12 + rdlen);
	put16(p, 0xc00c);
	put16(p + 2, type);
	put16(p + 4, 1);
	put16(p + 6, ttl >> 16);
	put16(p + 8, ttl & 0xffff);
	put16(p + 10, (uint32_t)rdlen);
	if (rdlen)
		p[11 + rdlen] = (uint8_t)(t->o.n_ttls + 1);
	t->ttls[t->o.n_ttls++] = (uint16_t)(t->o.msg_len + 6);
	t->o.msg_len += 12 + rdlen;
	++*count;
}

static void tell(const struct told *t)
{
	kb_pcache_offer(pcache, &t->o);
	while (kb_pcache_turn(pcache))
		;
	if (kb_pcache_grace_begin(pcache)) {
		rows_grace();
		kb_pcache_grace_end(pcache);
	}
}

static void put_a(const char *name)
{
	struct told t;

	told_begin(&t, name, TYPE_A);
	told_record(&t, &t.o.an, TYPE_A, TTL, 4);
	tell(&t);
}

static void set_style(uint8_t flags2, uint8_t flags3, uint32_t ttl_min, uint32_t ttl_max)
{
	reply_style.flags2 = flags2;
	reply_style.flags3 = flags3;
	reply_style.ttl_min = ttl_min;
	reply_style.ttl_max = ttl_max;
}

/* A beat, and answers as the forwarder gives them; a slow machine may take a while. */
static int begin(void **state)
{
	uint64_t ms, jiffies;
	uint32_t hz;

	(void)state;
	rows_beat(600000);
	rows_clock(&ms, &jiffies, &hz);
	kb_pcache_clock(pcache, ms, jiffies, hz);
	kb_pcache_void(pcache);
	kb_table_set_state(table, KB_FULL);
	set_style(0, 0x80, TTL - 60, TTL);
	return 0;
}

static void forwarded(uint64_t flags)
{
	assert_int_equal(kb_table_icept_set_flags(table, 4, dns4, 53, flags), 0);
	assert_int_equal(kb_table_icept_set_flags(table, 6, dns6, 53, flags), 0);
}

static void test_given(void **state)
{
	struct frame q, out;

	(void)state;
	put_a(WWW);
	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, WWW, TYPE_A, 0, 0);
		FOR_EACH_ENGINE(engine)
		{
			answer_by(engine, WWW, &q, one, &out);
			assert_memory_equal(dns_of(&out) + 12 + 21 + 12, "\0\0\0\1", 4);
		}
		frame_query(&q, v6, "wWw.eXample.COM", TYPE_A, 1232, 0);
		answer("mixed case, EDNS", &q, (struct expect){0, 1, 0, 1, 0});
		frame_query(&q, v6, WWW, TYPE_AAAA, 0, 0);
		leave("another type", &q, KB_CNT_NO_ZONE);
		frame_query(&q, v6, WWW, TYPE_A, 1232, 0x8000);
		leave("DO", &q, KB_CNT_NO_ZONE);
		frame_query(&q, v6, WWW, TYPE_A, 0, 0);
		dns_of(&q)[3] |= 0x10;
		frame_finish(&q);
		leave("CD", &q, KB_CNT_NO_ZONE);
		frame_query(&q, v6, WWW, TYPE_A, 0, 0);
		dns_of(&q)[2] = 0;
		frame_finish(&q);
		leave("no RD", &q, KB_CNT_NO_ZONE);
		frame_query(&q, v6, "ww.example.com", TYPE_A, 0, 0);
		leave("another name", &q, KB_CNT_NO_ZONE);
		frame_query(&q, v6, WWW ".com", TYPE_A, 0, 0);
		leave("a longer name", &q, KB_CNT_NO_ZONE);
		frame_query(&q, v6, WWW, TYPE_A, 0, 0);
		q.b[ip_len(&q) + 14 + 8 + 12 + 21 - 1] = 3;
		frame_finish(&q);
		leave("another class", &q, KB_CNT_CLASS);
	}
}

static void test_question_of_its_own(void **state)
{
	struct told t;
	struct frame q;

	(void)state;
	told_begin(&t, WWW, TYPE_A);
	told_record(&t, &t.o.an, TYPE_A, TTL, 4);
	told_record(&t, &t.o.an, 46, TTL, 90);
	t.o.dnssec_ok = true;
	t.o.flags2 = 4;
	t.o.flags3 = 0xa0;
	tell(&t);
	set_style(4, 0xa0, TTL - 60, TTL);
	frame_query(&q, false, WWW, TYPE_A, 1232, 0x8000);
	answer("DO, AA and AD", &q, (struct expect){0, 2, 0, 1, 0});
	frame_query(&q, false, WWW, TYPE_A, 1232, 0);
	leave("without DO", &q, KB_CNT_NO_ZONE);
	/* AD is told to those who ask for it. */
	told_begin(&t, WWW, TYPE_A);
	told_record(&t, &t.o.an, TYPE_A, TTL, 4);
	t.o.flags3 = 0xa0;
	tell(&t);
	set_style(0, 0x80, TTL - 60, TTL);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	answer("without AD", &q, one);
	set_style(0, 0xa0, TTL - 60, TTL);
	dns_of(&q)[3] |= 0x20;
	frame_finish(&q);
	answer("with AD", &q, one);
	/* An SOA whose names are pointers. */
	told_begin(&t, WWW, TYPE_A);
	told_record(&t, &t.o.ns, TYPE_SOA, TTL, 24);
	put16(t.msg + t.o.msg_len - 24, 0xc00c);
	put16(t.msg + t.o.msg_len - 22, 0xc00c);
	t.o.cd = true;
	t.o.flags3 = 0x83;
	tell(&t);
	set_style(0, 0x80, TTL - 60, TTL);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	dns_of(&q)[3] |= 0x10;
	frame_finish(&q);
	answer("CD, NXDOMAIN", &q, (struct expect){3, 0, 1, 0, 0});
}

static uint32_t ttl_at(struct frame *f, const struct told *t, unsigned int i)
{
	return get16(dns_of(f) + t->ttls[i] + 2);
}

static void test_ttls_in_all_sections(void **state)
{
	struct frame q, out;
	struct told t;

	(void)state;
	told_begin(&t, WWW, TYPE_A);
	told_record(&t, &t.o.an, TYPE_CNAME, 1000, 2);
	told_record(&t, &t.o.ns, TYPE_TXT, 2000, 3);
	told_record(&t, &t.o.ar, TYPE_A, 3000, 4);
	put16(t.msg + t.ttls[0] + 6, 0xc00c);
	t.o.stored_ms -= 400 * 1000;
	t.o.refresh_ms = t.o.expires_ms = t.o.stored_ms + 1000 * 1000;
	tell(&t);
	set_style(0, 0x80, 500, 2600);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	FOR_EACH_ENGINE(engine)
	{
		uint64_t age_s = (now_ms() - t.o.stored_ms) / 1000, later_s;

		answer_by(engine, "three sections", &q, (struct expect){0, 1, 1, 1, 0}, &out);
		later_s = (now_ms() - t.o.stored_ms) / 1000 + 1;
		for (unsigned int i = 0; i < 3; i++)
			assert_in_range(ttl_at(&out, &t, i), 1000 * (i + 1) - later_s,
					1000 * (i + 1) - age_s);
	}
}

static struct kb_pcache_rec *rec_of(const char *name)
{
	uint8_t wire[256];
	size_t n = lower_wire(name, wire);
	uint32_t left_s;

	return (struct kb_pcache_rec *)(uintptr_t)kb_pcache_peek(pcache, wire, n, TYPE_A, 0,
								 &left_s);
}

static void test_expired(void **state)
{
	struct kb_pcache_rec *rec;
	struct frame q;

	(void)state;
	put_a(WWW);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	rec = rec_of(WWW);
	assert_non_null(rec);
	answer("alive", &q, one);
	rec->stored -= (TTL - 1) * (uint64_t)pc.header->hz;
	set_style(0, 0x80, 1, 1);
	answer("in its last second", &q, one);
	rec->stored -= pc.header->hz;
	leave("expired", &q, KB_CNT_NO_ZONE);
	assert_null(rec_of(WWW));
	rec->stored += 1000 * (uint64_t)TTL * pc.header->hz;
	leave("of the future", &q, KB_CNT_NO_ZONE);
}

static void test_void(void **state)
{
	struct frame q;
	uint64_t epoch;

	(void)state;
	put_a(WWW);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	answer("before", &q, one);
	epoch = pc.header->pcache_epoch;
	/* The one store, alone. */
	pc.header->pcache_epoch = epoch + 1;
	leave("another epoch", &q, KB_CNT_NO_ZONE);
	pc.header->pcache_epoch = 0;
	leave("off", &q, KB_CNT_NO_ZONE);
	pc.header->pcache_epoch = epoch;
	answer("as before", &q, one);
	kb_pcache_void(pcache);
	leave("void", &q, KB_CNT_NO_ZONE);
	put_a(WWW);
	answer("put again", &q, one);
	kb_pcache_switch(pcache, false);
	leave("switched off", &q, KB_CNT_NO_ZONE);
	put_a(WWW);
	leave("put while off", &q, KB_CNT_NO_ZONE);
	kb_pcache_switch(pcache, true);
	leave("switched on", &q, KB_CNT_NO_ZONE);
	put_a(WWW);
	answer("put while on", &q, one);
}

/* Two names of one hash: forged by a tag that says so. */
static void test_collision(void **state)
{
	uint64_t tags[2] = {0};
	struct frame q;
	int found = 0;

	(void)state;
	for (int k = 0; k < 2; k++) {
		put_a(k ? "xxx.example.com" : WWW);
		for (uint32_t b = 0; b < pc.size.buckets; b++) {
			for (int i = 0; i < KB_BUCKET_SLOTS; i++) {
				const struct kb_slot *s = &pc.index[b].slot[i];

				if (s->value && s->tag != tags[0])
					tags[k] = s->tag;
			}
		}
	}
	assert_true(tags[0] && tags[1] && tags[0] != tags[1]);
	for (uint32_t b = 0; b < pc.size.buckets; b++) {
		struct kb_slot *s = pc.index[b].slot, *other;

		if (!s->value || s->tag != tags[0])
			continue;
		/* Where the other name is looked for. */
		other = pc.index[kb_pcache_place(tags[1], pc.size.buckets, 0)].slot;
		for (int i = 0; i < KB_BUCKET_SLOTS; i++) {
			if (other[i].value && other[i].tag == tags[1]) {
				other[i].value = s->value;
				found++;
			}
		}
	}
	assert_int_equal(found, 1);
	frame_query(&q, false, "xxx.example.com", TYPE_A, 0, 0);
	leave("another name's answer under this one's tag", &q, KB_CNT_NO_ZONE);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	answer("the other", &q, one);
}

static void test_limit(void **state)
{
	struct told t;
	struct frame q;

	(void)state;
	told_begin(&t, WWW, TYPE_A);
	for (int i = 0; i < 40; i++)
		told_record(&t, &t.o.an, TYPE_A, TTL, 4);
	tell(&t);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	leave("512 bytes", &q, KB_CNT_CACHED_LIMIT);
	/* 33 of header and question, 640 of records, 11 of the OPT record */
	frame_query(&q, false, WWW, TYPE_A, 33 + 640 + 10, 0);
	leave("one byte too few", &q, KB_CNT_CACHED_LIMIT);
	frame_query(&q, false, WWW, TYPE_A, 33 + 640 + 11, 0);
	answer("just enough", &q, (struct expect){0, 40, 0, 1, 0});
	rows_mtu(600);
	leave("MTU", &q, KB_CNT_MTU);
	rows_mtu(65536);
	answer("MTU", &q, (struct expect){0, 40, 0, 1, 0});
}

static void test_where(void **state)
{
	struct frame q, out;

	(void)state;
	put_a(WWW);
	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, WWW, TYPE_A, 0, 0);
		answer("a listen address", &q, one);
		forwarded(0);
		leave("a transparent intercept", &q, KB_CNT_NO_ZONE);
		forwarded(KB_ICEPT_FORWARDED_TC);
		FOR_EACH_ENGINE(engine)
		{
			if (engine == KB_ENGINE_TC)
				answer_by(engine, "taken to the forwarder", &q, one, &out);
			else
				leave_by(engine, "goes on from a NIC", &q, KB_CNT_NO_ZONE);
		}
		forwarded(KB_ICEPT_FORWARDED);
		kb_table_set_state(table, KB_OFF);
		leave("OFF", &q, KB_CNT_OFF);
		kb_table_set_state(table, KB_HITS);
		answer("HITS", &q, one);
		kb_table_set_state(table, KB_FULL);
		rows_beat(0);
		leave("stale", &q, KB_CNT_STALE);
		rows_beat(600000);
		answer("beaten", &q, one);
	}
}

/* Whatever the cache holds, names of ours are the table's. */
static void test_no_shadow(void **state)
{
	static const uint8_t addr[4] = {10, 1, 2, 3};
	static const char *const ours[] = {"a." ZONE,	       "multi." ZONE, "leave." ZONE,
					   "missing." ZONE,    "ent." ZONE,   "later.example.com",
					   "never.example.com"};
	const char *reverse = "1.0.0.10.in-addr.arpa";
	struct frame q;

	(void)state;
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		put_a(ours[i]);
	put_a(reverse);
	frame_query(&q, false, reverse, TYPE_A, 0, 0);
	answer("a zone that leaves", &q, one);
	kb_table_set_state(table, KB_HITS);
	leave("not all known", &q, KB_CNT_ZONE_LEAVE);
	kb_table_set_state(table, KB_FULL);
	kb_table_zone_flag(table, 2, KB_ZONE_REFUSED, true);
	leave("not all stored", &q, KB_CNT_ZONE_LEAVE);
	kb_table_zone_flag(table, 2, KB_ZONE_REFUSED, false);
	answer("all stored", &q, one);
	kb_table_zone_flag(table, 2, KB_ZONE_SKIPS, true);
	leave("some known to the records only", &q, KB_CNT_ZONE_LEAVE);
	kb_table_zone_flag(table, 2, KB_ZONE_SKIPS, false);
	kb_table_zone_flag(table, 2, KB_ZONE_PODS, true);
	leave("those of Pods", &q, KB_CNT_ZONE_LEAVE);
	kb_table_zone_flag(table, 2, KB_ZONE_PODS, false);
	frame_query(&q, false, "later.example.com", TYPE_A, 0, 0);
	answer("outside", &q, one);
	frame_query(&q, false, "leave." ZONE, TYPE_A, 0, 0);
	leave("a name to leave", &q, KB_CNT_NAME_LEAVE);
	set_style(4, 0, 5, 5);
	frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
	answer("a name of ours", &q, one);
	frame_query(&q, false, "multi." ZONE, TYPE_A, 1232, 0);
	answer("a name of ours", &q, (struct expect){0, 60, 0, 1, 0});
	frame_query(&q, false, "ent." ZONE, TYPE_A, 0, 0);
	answer("NODATA of ours", &q, (struct expect){0, 0, 1, 0, 0});
	frame_query(&q, false, "missing." ZONE, TYPE_A, 0, 0);
	answer("NXDOMAIN of ours", &q, (struct expect){3, 0, 1, 0, 0});
	/* The PTR's name and a new zone become ours, and nothing voids the cache. */
	put_entry(reverse, KB_VALUE_A, 2, 0, addr);
	frame_query(&q, false, reverse, TYPE_A, 0, 0);
	answer("in the table now", &q, one);
	kb_table_set_state(table, KB_OFF);
	zone("example.com", 4, KB_ZONE_ANSWER);
	kb_table_set_state(table, KB_FULL);
	put_entry("later.example.com", KB_VALUE_A, 4, 0, addr);
	frame_query(&q, false, "later.example.com", TYPE_A, 0, 0);
	answer("a zone of ours now", &q, one);
	frame_query(&q, false, "never.example.com", TYPE_A, 0, 0);
	answer("a zone of ours now", &q, (struct expect){3, 0, 1, 0, 0});
}

/* Bodies of all lengths behind names of even and odd length: checksums. */
static void test_sizes(void **state)
{
	struct told t;
	struct frame q;

	(void)state;
	for (size_t len = 1; len <= 1180; len = len < 90 ? len + 1 : len + 37) {
		const char *name = len & 1 ? "sizes.example.net" : "size.example.net";

		told_begin(&t, name, TYPE_TXT);
		told_record(&t, &t.o.an, TYPE_TXT, TTL, len);
		memset(t.msg + t.o.msg_len - len, 0xa5, len);
		tell(&t);
		for (int v6 = 0; v6 < 2; v6++) {
			frame_query(&q, v6, name, TYPE_TXT, len > 400 || len & 2 ? 1232 : 0, 0);
			answer(name, &q, (struct expect){0, 1, 0, len > 400 || len & 2 ? 1 : 0, 0});
		}
		kb_pcache_void(pcache);
	}
}

static void test_refresh(void **state)
{
	int through = 0;
	enum row_verdict verdict;
	struct frame q, out;
	struct told t;

	(void)state;
	told_begin(&t, WWW, TYPE_A);
	told_record(&t, &t.o.an, TYPE_A, 10000, 4);
	/* Its last part is 1000 s, of which 300 have passed. */
	t.o.stored_ms -= 9300 * 1000;
	t.o.refresh_ms = t.o.stored_ms + 9000 * 1000;
	t.o.expires_ms = t.o.stored_ms + 10000 * 1000;
	tell(&t);
	set_style(0, 0x80, 1, 1000);
	frame_query(&q, false, WWW, TYPE_A, 0, 0);
	for (int i = 0; i < KB_PCACHE_POPULAR; i++)
		answer_by(rows_first, "not popular yet", &q, one, NULL);
	for (int i = 0; i < 50; i++) {
		FOR_EACH_ENGINE(engine)
		{
			enum kb_counter c = run_counted(engine, &q, &out, &verdict);

			assert_true(c == KB_CNT_CACHED || c == KB_CNT_CACHED_REFRESH);
			through += c == KB_CNT_CACHED_REFRESH;
			assert_int_equal(verdict, c == KB_CNT_CACHED ? ROW_ANSWERED : ROW_LEFT);
		}
	}
	assert_int_equal(through, 1);
	rec_of(WWW)->stored -= 250 * (uint64_t)pc.header->hz;
	leave_by(rows_last, "the next quarter", &q, KB_CNT_CACHED_REFRESH);
	answer("then", &q, one);
	rec_of(WWW)->stored -= 250 * (uint64_t)pc.header->hz;
	leave_by(rows_first, "the last quarter", &q, KB_CNT_CACHED_REFRESH);
	answer("then", &q, one);
}

static void test_counters(void **state)
{
	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		assert_true(seen[engine][KB_CNT_CACHED]);
		assert_true(seen[engine][KB_CNT_CACHED_REFRESH]);
		assert_true(seen[engine][KB_CNT_CACHED_LIMIT]);
	}
}

static void no_wake(void *arg)
{
	(void)arg;
}

static int pcache_setup(void **state)
{
	if (rows_setup(state) < 0 || rows_pcache(&pc) < 0 ||
	    kb_pcache_new(&pc, no_wake, NULL, &pcache) < 0)
		return -1;
	kb_pcache_switch(pcache, true);
	if (kb_pcache_grace_begin(pcache))
		kb_pcache_grace_end(pcache);
	forwarded(KB_ICEPT_FORWARDED);
	return 0;
}

static int pcache_teardown(void **state)
{
	kb_pcache_free(pcache);
	return rows_teardown(state);
}

/* The last one adds a zone. */
#define PCACHE_ROWS                                                       \
	cmocka_unit_test_setup(test_given, begin),                        \
		cmocka_unit_test_setup(test_question_of_its_own, begin),  \
		cmocka_unit_test_setup(test_ttls_in_all_sections, begin), \
		cmocka_unit_test_setup(test_expired, begin),              \
		cmocka_unit_test_setup(test_void, begin),                 \
		cmocka_unit_test_setup(test_collision, begin),            \
		cmocka_unit_test_setup(test_limit, begin),                \
		cmocka_unit_test_setup(test_where, begin),                \
		cmocka_unit_test_setup(test_sizes, begin),                \
		cmocka_unit_test_setup(test_refresh, begin),              \
		cmocka_unit_test_setup(test_counters, begin),             \
		cmocka_unit_test_setup(test_no_shadow, begin)

#endif
