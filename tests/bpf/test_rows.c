// SPDX-License-Identifier: Apache-2.0
/*
 * kbdns_tc and kbdns_xdp by BPF_PROG_TEST_RUN: packet in, verdict, packet out. Every
 * answer is checked by packet_check.h, and what is left must be unchanged and counted by
 * its own counter. Then both ways to attach, over a veth and under a bridge, with a second
 * program behind ours. Root.
 *
 * KB_TEST_RANDOM=N: how many random packets (100,000 for each program).
 */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "control/datapath/ports.h"
#include "tests/bpf/bpf_world.h"
#include "tests/bpf/packet_check.h"

#define TYPE_A	  1
#define TYPE_TXT  16
#define TYPE_AAAA 28
#define TYPE_SRV  33
#define ZONE	  "svc.cluster.local"
#define BODY_MAX  1100

static struct kb_datapath *dp;
static bool dp_clsact;
static struct kb_table *table;
static struct kb_backing backing;
static char err[512];
static uint64_t seen[KB_ENGINE_MAX][KB_CNT_MAX]; /* how often a row met this counter */

static const char *const engine_name[] = {"tc", "xdp"};
static const char *const counter_name[] = {
#define NAME(id, name, help) [KB_CNT_##id] = name,
	KB_COUNTERS(NAME)
#undef NAME
};

/* The table. */

static size_t lower_wire(const char *name, uint8_t *buf)
{
	size_t n = put_name(buf, name);

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(buf[i] >= 'A' && buf[i] <= 'Z' ? buf[i] + 32 : buf[i]);
	return n;
}

static void put_entry(const char *name, enum kb_value_kind kind, uint8_t zone, uint32_t ref,
		      const uint8_t addr[4])
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

static uint32_t put_record(const struct set_spec *sets, size_t n)
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
static void rr_body(uint8_t *body, uint16_t type, size_t n, size_t rdlen)
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

static void multi(const char *name, size_t n4, size_t n6)
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
static void txt(const char *name, size_t len)
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

static void special_forms(void)
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

static void zone(const char *name, uint8_t id, uint8_t flags)
{
	uint8_t wire[256];
	size_t n = lower_wire(name, wire);

	assert_int_equal(kb_table_zone_add(table, wire, n, id, flags), 0);
}

static char long_name[256]; /* 255 bytes of wire, in the zone */

static void table_fill(void)
{
	static const uint8_t ten[4] = {10}, ula[16] = {0xfd}, addr[4] = {10, 1, 2, 3};
	struct kb_table_config config = {.replicas = 2};
	char name[80];

	kb_datapath_backing(dp, &backing);
	assert_int_equal(kb_table_new(&backing, &config, &table), 0);
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

#define LEFT(engine)	 ((engine) == KB_ENGINE_TC ? -1 : XDP_PASS)
#define ANSWERED(engine) ((engine) == KB_ENGINE_TC ? TC_ACT_REDIRECT : XDP_TX)

/* A row's own wish, reset after each run. */
static struct __sk_buff tc_ctx;
static bool tc_ctx_used;

static int run(enum kb_engine engine, const struct frame *in, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = (uint32_t)in->len,
		    .data_out = out->b, .data_size_out = sizeof(out->b), .repeat = 1);

	if (engine == KB_ENGINE_TC && tc_ctx_used) {
		opts.ctx_in = &tc_ctx;
		opts.ctx_size_in = sizeof(tc_ctx);
	}
	memset(out, 0, sizeof(*out));
	out->v6 = in->v6;
	if (bpf_prog_test_run_opts(kb_datapath_prog_fd(dp, engine), &opts) < 0) {
		/* Newer kernels make no sk_buff of less than an IP header. */
		if (errno != EINVAL || engine != KB_ENGINE_TC || in->len >= 54)
			fail_msg("test run, %zu bytes: %s", in->len, strerror(errno));
		*out = *in;
		return -1;
	}
	out->len = opts.data_size_out;
	return (int)opts.retval;
}

static void counters(enum kb_engine engine, uint64_t ret[KB_CNT_MAX])
{
	uint64_t hist[KB_HIST_BUCKETS];

	assert_int_equal(kb_datapath_engine_stats(dp, engine, ret, hist), 0);
}

/* Runs and returns the one counter that rose, besides `truncated`. */
static enum kb_counter run_counted(enum kb_engine engine, const struct frame *in, struct frame *out,
				   int *verdict)
{
	uint64_t before[KB_CNT_MAX], after[KB_CNT_MAX];
	int found = -1;

	counters(engine, before);
	*verdict = run(engine, in, out);
	counters(engine, after);
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

#define FOR_EACH_ENGINE(e) for (enum kb_engine e = KB_ENGINE_TC; e <= KB_ENGINE_XDP; e++)

static void leave_by(enum kb_engine engine, const char *what, const struct frame *in,
		     enum kb_counter counter)
{
	struct frame out;
	int verdict;
	enum kb_counter c = run_counted(engine, in, &out, &verdict);

	if (c != counter)
		fail_msg("%s, %s: %s, not %s", engine_name[engine], what, counter_name[c],
			 counter_name[counter]);
	if (verdict != LEFT(engine))
		fail_msg("%s, %s: verdict %d", engine_name[engine], what, verdict);
	if (out.len != in->len || memcmp(out.b, in->b, in->len) != 0)
		fail_msg("%s, %s: changed", engine_name[engine], what);
}

static void leave(const char *what, const struct frame *in, enum kb_counter counter)
{
	FOR_EACH_ENGINE(engine)
	leave_by(engine, what, in, counter);
}

static struct reply_info answer_by(enum kb_engine engine, const char *what, struct frame *in,
				   struct expect want, struct frame *ret_out)
{
	struct frame out;
	struct reply_info info;
	int verdict;
	enum kb_counter c = run_counted(engine, in, &out, &verdict);
	const char *why;

	if (verdict != ANSWERED(engine))
		fail_msg("%s, %s: verdict %d, %s", engine_name[engine], what, verdict,
			 counter_name[c]);
	why = check_reply(in, &out, false, &info);
	if (why)
		fail_msg("%s, %s: %s", engine_name[engine], what, why);
	if (info.rcode != want.rcode || info.an != want.an || info.ns != want.ns ||
	    info.ar != want.ar || info.tc != want.tc)
		fail_msg("%s, %s: rcode %d an %d ns %d ar %d tc %d", engine_name[engine], what,
			 info.rcode, info.an, info.ns, info.ar, info.tc);
	assert_int_equal(c, info.rcode == 3	 ? KB_CNT_NXDOMAIN
			    : info.an || info.tc ? KB_CNT_ANSWERED
						 : KB_CNT_NODATA);
	if (ret_out)
		*ret_out = out;
	return info;
}

static void answer(const char *what, struct frame *in, struct expect want)
{
	FOR_EACH_ENGINE(engine)
	answer_by(engine, what, in, want, NULL);
}

/* Answers. */

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		uint32_t type, edns, flags;
		struct expect want;
	} rows[] = {
		{"a." ZONE, TYPE_A, 0, 0, {0, 1, 0, 0, 0}},
		{"A.sVc.CluSTER.LOCal", TYPE_A, 0, 0, {0, 1, 0, 0, 0}},
		{"a." ZONE, TYPE_A, 1232, 0, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_A, 0, 0x8000, {0, 1, 0, 0, 0}},
		{"a." ZONE, TYPE_A, 4096, 0x8000, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_A, 65535, 0, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_A, 1, 0, {0, 1, 0, 1, 0}},
		{"a." ZONE, TYPE_AAAA, 0, 0, {0, 0, 1, 0, 0}},
		{"a." ZONE, TYPE_AAAA, 512, 0x8000, {0, 0, 1, 1, 0}},
		{"a." ZONE, 65, 0, 0, {0, 0, 1, 0, 0}},
		{"a." ZONE, 255, 0, 0, {0, 0, 1, 0, 0}},
		{"ent." ZONE, TYPE_A, 0, 0, {0, 0, 1, 0, 0}},
		{"missing." ZONE, TYPE_A, 0, 0, {3, 0, 1, 0, 0}},
		{"missing." ZONE, TYPE_AAAA, 1232, 0, {3, 0, 1, 1, 0}},
		{"www.example.com." ZONE, TYPE_A, 1232, 0, {3, 0, 1, 1, 0}},
		{"odd-multi." ZONE, TYPE_A, 0, 0, {0, 7, 0, 0, 0}},
		{"odd-multi." ZONE, TYPE_AAAA, 1232, 0, {0, 5, 0, 1, 0}},
		/* 12 + 29 + 4 bytes of header and question, the OPT record's 11. */
		{"multi." ZONE, TYPE_A, 0, 0, {0, (512 - 41) / 16, 0, 0, 1}},
		{"multi." ZONE, TYPE_A, 800, 0, {0, (800 - 52) / 16, 0, 1, 1}},
		{"multi." ZONE, TYPE_A, 1232, 0, {0, 60, 0, 1, 0}},
		{"multi." ZONE, TYPE_A, 4096, 0, {0, 60, 0, 1, 0}},
		{"multi." ZONE, TYPE_AAAA, 1232, 0, {0, 40, 0, 1, 0}},
		{"multi." ZONE, TYPE_AAAA, 600, 0, {0, (600 - 52) / 28, 0, 1, 1}},
		{"big." ZONE, TYPE_TXT, 1232, 0, {0, 1, 0, 1, 0}},
		{"big." ZONE, TYPE_TXT, 0, 0, {0, 0, 0, 0, 1}},
		{"big." ZONE, TYPE_TXT, 900, 0, {0, 0, 0, 1, 1}},
		{"_dns._tcp.dns." ZONE, TYPE_SRV, 0, 0, {0, 2, 0, 1, 0}},
		{"_dns._tcp.dns." ZONE, TYPE_SRV, 1232, 0, {0, 2, 0, 2, 0}},
		{"44.3.200.10.in-addr.arpa", 12, 0, 0, {0, 1, 0, 0, 0}},
		{"44.3.200.10.in-addr.arpa", TYPE_A, 1232, 0, {0, 0, 1, 1, 0}},
		{"cluster.local", TYPE_A, 0, 0, {3, 0, 1, 0, 0}},
	};
	struct frame q;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
			frame_query(&q, v6, rows[i].name, rows[i].type, rows[i].edns,
				    rows[i].flags);
			answer(rows[i].name, &q, rows[i].want);
		}
		frame_query(&q, v6, long_name, TYPE_A, 1232, 0);
		answer("255 bytes", &q, (struct expect){0, 1, 0, 1, 0});
		frame_query(&q, v6, long_name, TYPE_AAAA, 0, 0);
		answer("255 bytes", &q, (struct expect){0, 0, 1, 0, 0});
	}
}

static void test_rdata(void **state)
{
	struct frame q, out;
	struct reply_info info;
	uint8_t target[32];
	size_t n;

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
		info = answer_by(engine, "A", &q, (struct expect){0, 1, 0, 0, 0}, &out);
		assert_memory_equal(dns_of(&out) + 12 + 25 + 12, "\x0a\1\2\3", 4);
		assert_int_equal(info.dns_len, 12 + 25 + 16);
		frame_query(&q, true, "44.3.200.10.in-addr.arpa", 12, 0, 0);
		info = answer_by(engine, "PTR", &q, (struct expect){0, 1, 0, 0, 0}, &out);
		n = put_name(target, "10-200-3-44");
		assert_memory_equal(dns_of(&out) + 12 + 26 + 4 + 12, target, n - 1);
	}
}

/* Names of even and odd length, with and without EDNS, in both families. */
static void test_name_lengths(void **state)
{
	char name[80];
	struct frame q;

	(void)state;
	for (int i = 1; i <= 20; i++) {
		for (int k = 0; k < 8; k++) {
			bool miss = k & 4;

			snprintf(name, sizeof(name), "%.*s%s." ZONE, i, "abcdefghijklmnopqrst",
				 miss ? "z" : "");
			frame_query(&q, k & 1, name, TYPE_A, k & 2 ? 1232 : 0, 0);
			answer(name, &q,
			       (struct expect){miss ? 3 : 0, !miss, miss, (k & 2) >> 1, 0});
			if (miss)
				continue;
			frame_query(&q, k & 1, name, TYPE_AAAA, k & 2 ? 1232 : 0, 0);
			answer(name, &q, (struct expect){0, 0, 1, (k & 2) >> 1, 0});
		}
	}
}

/* Every length of an answer that a body can have. */
static void test_sizes(void **state)
{
	struct frame q;

	(void)state;
	for (size_t len = 14; len <= BODY_MAX; len++) {
		const char *name = len & 1 ? "sizes." ZONE : "size." ZONE;
		bool v6 = len & 2, edns = len & 4 || len > 400;
		int tc = len > 1232 - 12 - 4 - 11 - 26;

		txt(name, len);
		frame_query(&q, v6, name, TYPE_TXT, edns ? 1232 : 0, 0);
		answer(name, &q, (struct expect){0, !tc, 0, edns, tc});
		kb_table_settle(table);
	}
}

static void test_rotation(void **state)
{
	struct frame q, out;
	unsigned int first[7] = {0};

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		for (uint32_t id = 0; id < 700; id++) {
			struct reply_info info;

			frame_query(&q, false, "odd-multi." ZONE, TYPE_A, 0, 0);
			put16(dns_of(&q), id);
			frame_finish(&q);
			info = answer_by(engine, "rotation", &q, (struct expect){0, 7, 0, 0, 0},
					 &out);
			assert_int_equal(info.dns_len, 12 + 33 + 7 * 16);
			first[get16(dns_of(&out) + 12 + 33 + 14) % 7]++;
		}
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(first[i], 100, 300);
}

/* Checksums of queries: none, wrong, partial, and partial that is complete as well. */
static void test_checksums(void **state)
{
	struct expect want = {0, 1, 0, 0, 0};
	struct frame q, out;
	struct reply_info info;
	uint32_t sum;
	int verdict;
	uint8_t *udp;

	(void)state;
	frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
	put16(udp_of(&q) + 6, 0);
	answer("no checksum", &q, want);
	put16(udp_of(&q) + 6, 0x1234);
	answer("wrong checksum", &q, want);
	for (int v6 = 0; v6 < 2; v6++) {
		for (int edns = 0; edns < 2; edns++) {
			frame_query(&q, v6, "a." ZONE, TYPE_A, edns ? 1232 : 0, 0);
			udp = udp_of(&q);
			sum = pseudo_sum(&q, get16(udp + 4));
			put16(udp + 6, sum);
			run_counted(KB_ENGINE_TC, &q, &out, &verdict);
			assert_int_equal(verdict, TC_ACT_REDIRECT);
			assert_null(check_reply(&q, &out, true, &info));
			assert_int_equal(get16(udp_of(&out) + 6),
					 pseudo_sum(&out, get16(udp_of(&out) + 4)));
			/* The id that makes the partial sum a right complete one. */
			put16(dns_of(&q), 0);
			sum = ~sum16(pseudo_sum(&q, get16(udp + 4)), udp, get16(udp + 4)) & 0xffff;
			put16(dns_of(&q), sum);
			answer("both", &q, (struct expect){0, 1, 0, edns, 0});
		}
	}
	/* The id that makes the reply's checksum 0, which has to be sent as 0xffff. */
	for (int v6 = 0; v6 < 2; v6++) {
		for (uint32_t id = 0, hits = 0; id < 65536 && hits < 1; id++) {
			frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
			put16(dns_of(&q), id);
			frame_finish(&q);
			if (id == 0) {
				answer_by(KB_ENGINE_XDP, "zero", &q, want, &out);
				/* The checksum of id 0 is what the id has to be. */
				id = get16(udp_of(&out) + 6) - 1;
				continue;
			}
			hits++;
			answer_by(KB_ENGINE_XDP, "zero", &q, want, &out);
			assert_int_equal(get16(udp_of(&out) + 6), 0xffff);
			answer_by(KB_ENGINE_TC, "zero", &q, want, &out);
			assert_int_equal(get16(udp_of(&out) + 6), 0xffff);
		}
	}
}

/* Bytes behind the IP packet, as short Ethernet frames have, are no part of it. */
static void test_padding(void **state)
{
	struct frame q;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		q.len += 60;
		answer("padding", &q, (struct expect){0, 1, 0, 0, 0});
	}
}

/* What is left. */

static void good(struct frame *f)
{
	frame_query(f, false, "a." ZONE, TYPE_A, 0, 0);
}

static void test_left_frame(void **state)
{
	struct frame q;

	(void)state;
	good(&q);
	put16(q.b + 12, 0x0806);
	leave("ARP", &q, KB_CNT_NOT_IP);
	good(&q);
	memmove(q.b + 16, q.b + 12, q.len - 12);
	put16(q.b + 12, 0x8100);
	put16(q.b + 14, 5);
	q.len += 4;
	leave("VLAN", &q, KB_CNT_NOT_IP);
	good(&q);
	q.len = 40;
	leave("short", &q, KB_CNT_NOT_IP);
	good(&q);
	q.b[23] = 6;
	leave("TCP", &q, KB_CNT_NOT_UDP);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[20] = 58;
	leave("ICMPv6", &q, KB_CNT_NOT_UDP);
	good(&q);
	put16(udp_of(&q) + 2, 54);
	leave("port 54", &q, KB_CNT_NOT_PORT);
	good(&q);
	put16(udp_of(&q) + 2, 53 + 64);
	leave("a port of the same bit", &q, KB_CNT_NOT_INTERCEPT);
	good(&q);
	q.b[33] ^= 1;
	frame_finish(&q);
	leave("another address", &q, KB_CNT_NOT_INTERCEPT);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[53] ^= 1;
	leave("another IPv6 address", &q, KB_CNT_NOT_INTERCEPT);
	good(&q);
	q.b[26] = 11;
	frame_finish(&q);
	leave("source", &q, KB_CNT_SOURCE);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[22] = 0x20;
	leave("IPv6 source", &q, KB_CNT_SOURCE);
	good(&q);
	put16(q.b + 20, 0x2000);
	leave("first fragment", &q, KB_CNT_FRAGMENT);
	put16(q.b + 20, 0x0010);
	leave("later fragment", &q, KB_CNT_FRAGMENT);
	frame_query(&q, true, "a." ZONE, TYPE_A, 0, 0);
	q.b[20] = 44;
	leave("IPv6 fragment", &q, KB_CNT_FRAGMENT);
	q.b[20] = 0;
	leave("hop by hop", &q, KB_CNT_IP_OPTIONS);
	q.b[20] = 60;
	leave("destination options", &q, KB_CNT_IP_OPTIONS);
	good(&q);
	memmove(q.b + 38, q.b + 34, q.len - 34);
	memset(q.b + 34, 1, 4);
	q.b[14] = 0x46;
	q.len += 4;
	leave("IPv4 options", &q, KB_CNT_IP_OPTIONS);
	good(&q);
	q.b[0] ^= 4;
	leave_by(KB_ENGINE_XDP, "another MAC", &q, KB_CNT_NOT_OURS);
	good(&q);
	q.b[6] |= 1;
	leave_by(KB_ENGINE_XDP, "from a group", &q, KB_CNT_NOT_OURS);
	good(&q);
	tc_ctx = (struct __sk_buff){.gso_size = 100, .gso_segs = 2};
	tc_ctx_used = true;
	leave_by(KB_ENGINE_TC, "GSO", &q, KB_CNT_GSO);
	tc_ctx_used = false;
}

static void test_left_lengths(void **state)
{
	struct frame q;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		q.len -= 1;
		leave("cut", &q, KB_CNT_LENGTH);
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		put16(udp_of(&q) + 4, get16(udp_of(&q) + 4) + 1);
		leave("UDP longer than IP", &q, KB_CNT_LENGTH);
		put16(udp_of(&q) + 4, 8 + 11);
		leave("shorter than a DNS header", &q, KB_CNT_LENGTH);
		put16(udp_of(&q) + 4, 0);
		leave("UDP length 0", &q, KB_CNT_LENGTH);
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		put16(q.b + (v6 ? 18 : 16), 4);
		leave("IP length", &q, KB_CNT_LENGTH);
		/* Just a header, just less than a name. */
		frame_query(&q, v6, "a." ZONE, TYPE_A, 0, 0);
		for (size_t n = 0; n < 25; n++) {
			q.len = 14 + ip_len(&q) + 8 + 12 + n;
			frame_finish(&q);
			leave("cut question", &q, KB_CNT_QNAME);
		}
		frame_query(&q, v6, "a." ZONE, TYPE_A, 1232, 0);
		q.len = 14 + ip_len(&q) + 8 + 513;
		frame_finish(&q);
		leave("513 bytes", &q, KB_CNT_OVERSIZE);
	}
}

#define MUTATED(counter, what, name, edns, ...)                \
	do {                                                   \
		for (int v6 = 0; v6 < 2; v6++) {               \
			struct frame q;                        \
			uint8_t *d, *opt;                      \
			frame_query(&q, v6, name, 1, edns, 0); \
			d = dns_of(&q);                        \
			opt = q.b + q.len - 11;                \
			(void)d, (void)opt;                    \
			__VA_ARGS__;                           \
			frame_finish(&q);                      \
			leave(what, &q, counter);              \
		}                                              \
	} while (0)

static void test_left_message(void **state)
{
	char name[300];

	(void)state;
	MUTATED(KB_CNT_RESPONSE, "QR", "a." ZONE, 0, d[2] |= 0x80);
	MUTATED(KB_CNT_OPCODE, "NOTIFY", "a." ZONE, 0, d[2] |= 4 << 3);
	MUTATED(KB_CNT_SECTIONS, "no question", "a." ZONE, 0, d[5] = 0);
	MUTATED(KB_CNT_SECTIONS, "two questions", "a." ZONE, 0, d[5] = 2);
	MUTATED(KB_CNT_SECTIONS, "256 questions", "a." ZONE, 0, d[4] = 1);
	MUTATED(KB_CNT_SECTIONS, "an answer", "a." ZONE, 0, d[7] = 1);
	MUTATED(KB_CNT_SECTIONS, "an authority", "a." ZONE, 0, d[9] = 1);
	MUTATED(KB_CNT_SECTIONS, "two additional", "a." ZONE, 1232, d[11] = 2);
	MUTATED(KB_CNT_OPT, "additional, but none there", "a." ZONE, 0, d[11] = 1);
	MUTATED(KB_CNT_OPT, "OPT uncounted", "a." ZONE, 1232, d[11] = 0);
	MUTATED(KB_CNT_OPT, "additional is no OPT", "a." ZONE, 1232, opt[2] = 1);
	MUTATED(KB_CNT_OPT, "OPT has a name", "a." ZONE, 1232, opt[0] = 1);
	MUTATED(KB_CNT_OPT, "OPT too long", "a." ZONE, 1232, opt[10] = 1);
	MUTATED(KB_CNT_OPT, "OPT cut", "a." ZONE, 1232, q.len -= 1);
	MUTATED(KB_CNT_OPT, "behind the OPT", "a." ZONE, 1232, q.len += 1);
	MUTATED(KB_CNT_OPT, "trailing byte", "a." ZONE, 0, q.len += 1);
	MUTATED(KB_CNT_EDNS_VERSION, "EDNS 1", "a." ZONE, 1232, opt[6] = 1);
	MUTATED(KB_CNT_QNAME, "compressed", "a." ZONE, 0, d[12] = 0xc0; d[13] = 12);
	MUTATED(KB_CNT_QNAME, "label of 64", "a." ZONE, 0, d[14] = 64);
	MUTATED(KB_CNT_QNAME, "label type 01", "a." ZONE, 0, d[12] = 0x41);
	MUTATED(KB_CNT_QNAME, "label over the end", "a." ZONE, 0, d[14] = 40);
	/* A zero byte in a label ends the scan: what follows is taken for type and class. */
	MUTATED(KB_CNT_QNAME, "zero in a label", "a." ZONE, 0, {
		static const uint8_t in[] = {4, 'x', 0, 0, 1, 0, 1};

		memcpy(d + 12, in, sizeof(in));
		q.len = (size_t)(d - q.b) + 12 + sizeof(in);
	});
	/* 256 bytes: one over. */
	snprintf(name, sizeof(name), "%.63s.%.63s.%.63s.%.44s." ZONE, long_name, long_name,
		 long_name, long_name);
	MUTATED(KB_CNT_QNAME, "256 bytes", name, 0, );
	MUTATED(KB_CNT_QNAME, "no end", "a." ZONE, 0, {
		memset(d + 12, 1, 400);
		q.len = (size_t)(d - q.b) + 412;
	});
	MUTATED(KB_CNT_CLASS, "CH", "a." ZONE, 0, q.b[q.len - 1] = 3);
	MUTATED(KB_CNT_CLASS, "class ANY", "a." ZONE, 0, q.b[q.len - 1] = 255);
	MUTATED(KB_CNT_QTYPE, "AXFR", "a." ZONE, 0, q.b[q.len - 3] = 252);
	MUTATED(KB_CNT_QTYPE, "IXFR", "a." ZONE, 0, q.b[q.len - 3] = 251);
	MUTATED(KB_CNT_QTYPE, "OPT", "a." ZONE, 0, q.b[q.len - 3] = 41);
	MUTATED(KB_CNT_QTYPE, "TKEY", "a." ZONE, 0, q.b[q.len - 3] = 249);
	MUTATED(KB_CNT_QTYPE, "type 0", "a." ZONE, 0, q.b[q.len - 3] = 0);
}

static void test_left_names(void **state)
{
	(void)state;
	MUTATED(KB_CNT_NO_ZONE, "example.com", "www.example.com", 0, );
	MUTATED(KB_CNT_NO_ZONE, "the root", "", 0, );
	MUTATED(KB_CNT_NO_ZONE, "not at a label", "xcluster.local", 0, );
	MUTATED(KB_CNT_ZONE_LEAVE, "reverse", "1.0.0.10.in-addr.arpa", 0, );
	MUTATED(KB_CNT_ZONE_LEAVE, "stub", "x.stub.cluster.local", 0, );
	MUTATED(KB_CNT_NAME_LEAVE, "left name", "leave." ZONE, 1232, );
	MUTATED(KB_CNT_INCOMPLETE, "no such zone", "nozone." ZONE, 0, q.b[q.len - 3] = TYPE_AAAA);
	kb_table_zone_flag(table, 1, KB_ZONE_SKIPS, true);
	MUTATED(KB_CNT_NAME_LEAVE, "below a left name", "x.leave." ZONE, 1232, );
	kb_table_zone_flag(table, 1, KB_ZONE_SKIPS, false);
}

static void test_left_states(void **state)
{
	struct expect hit = {0, 1, 0, 0, 0};
	struct frame q, miss;

	(void)state;
	good(&q);
	frame_query(&miss, false, "missing." ZONE, TYPE_A, 0, 0);
	kb_table_set_state(table, KB_OFF);
	leave("OFF", &q, KB_CNT_OFF);
	kb_table_set_state(table, KB_HITS);
	answer("HITS, known", &q, hit);
	leave("HITS, unknown", &miss, KB_CNT_HITS_ONLY);
	kb_table_set_state(table, KB_FULL);
	assert_int_equal(kb_datapath_beat(dp, 0), 0);
	usleep(30000);
	leave("stale", &q, KB_CNT_STALE);
	assert_int_equal(kb_datapath_beat(dp, 600000), 0);
	answer("beaten", &q, hit);
}

/* Larger than the interface takes: the kernel's path may fragment. */
static void test_left_mtu(void **state)
{
	struct frame q;

	(void)state;
	frame_query(&q, false, "multi." ZONE, TYPE_A, 1232, 0);
	world_run("ip link set lo mtu 1000");
	leave("MTU", &q, KB_CNT_MTU);
	world_run("ip link set lo mtu 1035");
	leave("MTU", &q, KB_CNT_MTU);
	/* 20 + 8 + 12 + 29 + 960 + 11 = 1040 */
	world_run("ip link set lo mtu 1040");
	answer("MTU", &q, (struct expect){0, 60, 0, 1, 0});
	world_run("ip link set lo mtu 65536");
	answer("MTU", &q, (struct expect){0, 60, 0, 1, 0});
}

static uint64_t rng = 88172645463325252ULL;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 16) % n);
}

static void random_frame(struct frame *f)
{
	static const char *const names[] = {"a." ZONE,
					    "multi." ZONE,
					    "missing." ZONE,
					    "_dns._tcp.dns." ZONE,
					    "44.3.200.10.in-addr.arpa",
					    "big." ZONE,
					    "leave." ZONE};
	static const uint32_t types[] = {1, 28, 33, 12, 16, 255};
	uint32_t n, from = 0;

	if (rnd(8) == 0) {
		f->len = 15 + rnd(600);
		f->v6 = false;
		for (size_t i = 0; i < f->len; i++)
			f->b[i] = (uint8_t)rnd(256);
		return;
	}
	frame_query(f, rnd(2), names[rnd(7)], types[rnd(6)], rnd(2) ? 512 + rnd(1000) : 0,
		    rnd(2) << 15);
	if (rnd(4)) /* mostly where the headers let it pass */
		from = 14 + (uint32_t)ip_len(f) + 8;
	n = rnd(4);
	while (n--)
		f->b[from + rnd((uint32_t)f->len - from)] = (uint8_t)rnd(256);
	if (rnd(4) == 0)
		f->len = 15 + rnd((uint32_t)f->len + 20);
	if (f->len > 14 + ip_len(f) + 8 && rnd(2))
		frame_finish(f);
}

static void test_random(void **state)
{
	const char *count = getenv("KB_TEST_RANDOM");
	uint32_t n = count ? (uint32_t)atoi(count) : 100000, answered = 0;
	struct frame q, out;
	struct reply_info info;

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		for (uint32_t i = 0; i < n; i++) {
			int verdict;
			const char *why;

			memset(&q, 0, sizeof(q));
			random_frame(&q);
			verdict = run(engine, &q, &out);
			if (verdict == LEFT(engine)) {
				if (out.len != q.len || memcmp(out.b, q.b, q.len) != 0)
					fail_msg("%s: packet %u was changed", engine_name[engine],
						 i);
				continue;
			}
			if (verdict != ANSWERED(engine))
				fail_msg("%s: verdict %d", engine_name[engine], verdict);
			q.v6 = get16(q.b + 12) == 0x86dd;
			why = check_reply(&q, &out,
					  get16(udp_of(&q) + 6) ==
						  pseudo_sum(&q, get16(udp_of(&q) + 4)),
					  &info);
			if (why)
				fail_msg("%s, packet %u: %s", engine_name[engine], i, why);
			answered++;
		}
	}
	assert_true(answered > n / 10);
}

/* A kernel refuses at a million; 6.1 needs more than newer ones, see tests/bpf/vm. */
#define VERIFIED_MAX 900000

static void test_verifier_cost(void **state)
{
	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		assert_int_equal(
			bpf_obj_get_info_by_fd(kb_datapath_prog_fd(dp, engine), &info, &len), 0);
		printf("# kbdns_%s: %u instructions, the verifier processed %u\n",
		       engine_name[engine], info.xlated_prog_len / 8, info.verified_insns);
		fflush(stdout);
		assert_in_range(info.verified_insns, 1, VERIFIED_MAX);
	}
}

/* The rows above met every counter but those that a test run cannot provoke. */
static void test_all_counters(void **state)
{
	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		for (int i = 0; i < KB_CNT_MAX; i++) {
			bool no = i == KB_CNT_UNREADABLE || i == KB_CNT_NO_ROOM ||
				  i == KB_CNT_WRITE_FAILED ||
				  i == (engine == KB_ENGINE_TC ? KB_CNT_NOT_OURS : KB_CNT_GSO);

			if (!no && !seen[engine][i])
				fail_msg("%s: no row for %s", engine_name[engine], counter_name[i]);
		}
	}
}

/* Live. */

/* A program that counts UDP packets to port 53 and lets everything pass. */
static int behind_prog(int map)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LD | BPF_ABS | BPF_H, .imm = 12},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .off = 8, .imm = 0x0800},
		{.code = BPF_LD | BPF_ABS | BPF_B, .imm = 23},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .off = 6, .imm = 17},
		{.code = BPF_LD | BPF_ABS | BPF_H, .imm = 36},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .off = 4, .imm = 53},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "behind", "GPL", insns,
			       sizeof(insns) / sizeof(*insns), NULL);

	if (fd < 0)
		fail_msg("behind: %s", strerror(errno));
	return fd;
}

static int udp_socket(int ns, const char *addr, int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int s;

	world_enter(ns);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(s >= 0);
	inet_pton(AF_INET, addr, &sin.sin_addr);
	if (bind(s, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		fail_msg("bind %s: %s", addr, strerror(errno));
	world_enter(0);
	return s;
}

/* Datagrams that wait, or come within a while. */
static unsigned int drain(int s, unsigned int want)
{
	struct pollfd p = {.fd = s, .events = POLLIN};
	unsigned int n = 0;
	char buf[2048];

	while (poll(&p, 1, n < want ? 2000 : 50) > 0 && recv(s, buf, sizeof(buf), 0) > 0)
		n++;
	return n;
}

#define LIVE_EACH 40

static void live(bool clsact, bool bridge)
{
	struct kb_datapath_config config = {.dir = world_dir, .skip_xdp = true, .clsact = clsact};
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 7, .priority = 2);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "behind", 4, 8, 1, NULL), prog, pod, node;
	uint64_t before[KB_CNT_MAX], after[KB_CNT_MAX], behind;
	uint32_t zero = 0;
	struct frame q;

	assert_true(map >= 0);
	prog = behind_prog(map);
	world_veth();
	if (bridge) {
		world_run("ip link add br0 address 02:00:00:00:00:77 type bridge");
		world_run("ip link set v0 master br0");
		world_run("ip link set br0 up");
	}
	world_run("ip addr add 10.244.0.1/24 dev %s", bridge ? "br0" : "v0");
	world_run("ip addr add 10.96.0.10/32 dev lo");
	world_enter(1);
	world_run("ip addr add 10.244.0.11/24 dev v1");
	world_run("ip route add default via 10.244.0.1");
	world_enter(0);
	if (clsact != dp_clsact) {
		/* The table stays as it is: state, deadline and all. */
		kb_table_free(table);
		table = NULL;
		kb_datapath_close(dp, true);
		dp = NULL;
		if (kb_datapath_open(&config, &dp, err, sizeof(err)) < 0)
			fail_msg("%s", err);
		dp_clsact = clsact;
		assert_true(kb_datapath_adopted(dp));
	}
	if (kb_datapath_attach_tc(dp, "v0", err, sizeof(err)) < 0)
		fail_msg("%s", err);
	print_message("mode %s\n", kb_datapath_port(dp, 0)->mode);
	assert_true(!clsact || strcmp(kb_datapath_port(dp, 0)->mode, "clsact") == 0);
	hook.ifindex = (int)if_nametoindex("v0");
	bpf_tc_hook_create(&hook);
	opts.prog_fd = prog;
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);

	pod = udp_socket(1, "10.244.0.11", 0);
	node = udp_socket(0, "10.96.0.10", 53);
	inet_pton(AF_INET, "10.96.0.10", &to.sin_addr);
	counters(KB_ENGINE_TC, before);
	for (int i = 0; i < 2 * LIVE_EACH; i++) {
		frame_query(&q, false, i & 1 ? "www.example.com" : "multi." ZONE, TYPE_A, 1232, 0);
		assert_true(sendto(pod, dns_of(&q), q.len - 42, 0, (struct sockaddr *)&to,
				   sizeof(to)) > 0);
		if (i == 0)
			usleep(300000); /* ARP */
	}
	assert_int_equal(drain(pod, LIVE_EACH), LIVE_EACH);
	assert_int_equal(drain(node, LIVE_EACH), LIVE_EACH);
	counters(KB_ENGINE_TC, after);
	assert_int_equal(after[KB_CNT_ANSWERED] - before[KB_CNT_ANSWERED], LIVE_EACH);
	assert_int_equal(after[KB_CNT_NO_ZONE] - before[KB_CNT_NO_ZONE], LIVE_EACH);
	assert_int_equal(bpf_map_lookup_elem(map, &zero, &behind), 0);
	assert_int_equal(behind, LIVE_EACH);

	close(pod);
	close(node);
	kb_datapath_detach_all(dp);
	world_run("ip link del v0");
	if (bridge)
		world_run("ip link del br0");
	world_run("ip addr del 10.96.0.10/32 dev lo");
	close(prog);
	close(map);
}

static void test_live(void **state)
{
	(void)state;
	live(false, false);
}
static void test_live_bridge(void **state)
{
	(void)state;
	live(false, true);
}
static void test_live_clsact(void **state)
{
	(void)state;
	live(true, false);
}
static void test_live_clsact_bridge(void **state)
{
	(void)state;
	live(true, true);
}

static int setup(void **state)
{
	const uint32_t lo = 1;
	char path[128];
	int fd;

	if (world_setup(state) < 0)
		return -1;
	if (kb_datapath_open(&(struct kb_datapath_config){.dir = world_dir}, &dp, err,
			     sizeof(err)) < 0) {
		print_error("%s\n", err);
		return -1;
	}
	table_fill();
	if (kb_datapath_beat(dp, 600000) < 0)
		return -1;
	/* Test runs come in by lo. */
	snprintf(path, sizeof(path), "%s/kb_ports", world_dir);
	fd = bpf_obj_get(path);
	if (fd < 0 || kb_ports_put(fd, lo, port_mac) < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	kb_table_free(table);
	kb_datapath_close(dp, false);
	return world_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier_cost), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_rdata),	      cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_sizes),	      cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_checksums),     cmocka_unit_test(test_padding),
		cmocka_unit_test(test_left_frame),    cmocka_unit_test(test_left_lengths),
		cmocka_unit_test(test_left_message),  cmocka_unit_test(test_left_names),
		cmocka_unit_test(test_left_states),   cmocka_unit_test(test_left_mtu),
		cmocka_unit_test(test_all_counters),  cmocka_unit_test(test_random),
		cmocka_unit_test(test_live),	      cmocka_unit_test(test_live_bridge),
		cmocka_unit_test(test_live_clsact),   cmocka_unit_test(test_live_clsact_bridge),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
