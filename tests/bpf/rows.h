/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of kbdns_tc and kbdns_xdp by BPF_PROG_TEST_RUN: a table with names of each kind, and
 * packet in, verdict, packet out. What is answered is checked by packet_check.h; what is left
 * must be unchanged and counted by its own counter. One program includes it once. Root.
 */
#ifndef KB_TESTS_BPF_ROWS_H
#define KB_TESTS_BPF_ROWS_H

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "control/datapath/ports.h"
#include "tests/bpf/bpf_world.h"
#include "tests/bpf/packet_check.h"

#define ROWS_UNUSED __attribute__((unused))

#define TYPE_A	  1
#define TYPE_TXT  16
#define TYPE_AAAA 28
#define TYPE_SRV  33
#define ZONE	  "svc.cluster.local"

static struct kb_datapath *dp;
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

ROWS_UNUSED static void table_fill(void)
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

ROWS_UNUSED static int run(enum kb_engine engine, const struct frame *in, struct frame *out)
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

ROWS_UNUSED static void counters(enum kb_engine engine, uint64_t ret[KB_CNT_MAX])
{
	uint64_t hist[KB_HIST_BUCKETS];

	assert_int_equal(kb_datapath_engine_stats(dp, engine, ret, hist), 0);
}

/* Runs and returns the one counter that rose, besides `truncated`. */
ROWS_UNUSED static enum kb_counter run_counted(enum kb_engine engine, const struct frame *in,
					       struct frame *out, int *verdict)
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

ROWS_UNUSED static void leave_by(enum kb_engine engine, const char *what, const struct frame *in,
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

ROWS_UNUSED static void answer(const char *what, struct frame *in, struct expect want)
{
	FOR_EACH_ENGINE(engine)
	answer_by(engine, what, in, want, NULL);
}

ROWS_UNUSED static int rows_setup(void **state)
{
	const uint32_t lo = 1;
	char path[128];
	int fd;

	if (world_setup(state) < 0)
		return -1;
	if (kb_datapath_open(&(struct kb_datapath_config){.dir = world_dir}, &dp, err,
			     sizeof(err)) < 0 ||
	    kb_datapath_load_programs(dp, err, sizeof(err)) < 0) {
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

ROWS_UNUSED static int rows_teardown(void **state)
{
	kb_table_free(table);
	kb_datapath_close(dp, false);
	return world_teardown(state);
}

#endif
