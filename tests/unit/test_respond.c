/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket engine without sockets: the common case table over both transports, what it
 * owes to messages that the core leaves, and garbage.
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

#include <cmocka.h>

#include "tests/unit/ask_core.h"
#include "tests/unit/respond_world.h"

#include <ldns/ldns.h> /* behind our own headers: it may define bool */

#include "tests/unit/answer_cases.h" /* last: its macros have short names */

static uint8_t reply_buf[KB_TCP_REPLY_MAX];
static struct world *w;

static int setup(void **state)
{
	(void)state;
	w = world_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_free(w);
	return 0;
}

/* Asks with the query's last byte just before memory that cannot be read, and the reply's
 * room ending likewise. */
static size_t ask(const uint8_t *msg, size_t len, bool tcp, size_t cap)
{
	static uint8_t *in, *out;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n;

	if (!in) {
		in = mmap(NULL, 18 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
		out = mmap(NULL, 18 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
		mprotect(in + 17 * page, page, PROT_NONE);
		mprotect(out + 17 * page, page, PROT_NONE);
	}
	memcpy(in + 17 * page - len, msg, len);
	n = kb_respond(w->responder, in + 17 * page - len, len, tcp, out + 17 * page - cap, cap);
	assert_true(n <= cap);
	memcpy(reply_buf, out + 17 * page - cap, n);
	return n;
}

static size_t ask_udp(const uint8_t *msg, size_t len)
{
	return ask(msg, len, false, KB_UDP_REPLY_MAX);
}

static size_t ask_tcp(const uint8_t *msg, size_t len)
{
	return ask(msg, len, true, KB_TCP_REPLY_MAX);
}

static uint64_t last[KB_CNT_MAX];

static void counted_reset(void)
{
	memcpy(last, kb_responder_counters(w->responder), sizeof(last));
}

static void use_world(struct world *world)
{
	w = world;
	counted_reset();
}

/* The one counter that has risen since the last call, `truncated` aside. */
static int counted(void)
{
	const uint64_t *now = kb_responder_counters(w->responder);
	int which = -1;

	for (int i = 0; i < KB_CNT_MAX; i++) {
		if (now[i] != last[i] && i != KB_CNT_TRUNCATED) {
			assert_int_equal(now[i], last[i] + 1);
			assert_int_equal(which, -1);
			which = i;
		}
	}
	counted_reset();
	return which;
}

static void check_section(const struct answer_case *c, const char *what, const char *got,
			  const char *want)
{
	char *sorted = strdup(want);

	ask_sort(sorted);
	if (strcmp(got, sorted))
		fail_msg("%s %s, %s: got\n%swanted\n%s", c->qname, c->qtype, what, got, sorted);
	free(sorted);
}

/* What this engine says where the fast path leaves. */
static void as_left(struct answer_case *c)
{
	if (strcmp(c->qname, "payments.shop.svc.cluster.local") == 0)
		c->answer = RR("payments.shop.svc." Z, "CNAME", "payments.example.com.");
	/* Not ours to deny, and nobody to ask. */
	if (strstr(c->qname, "in-addr.arpa"))
		c->rcode = "REFUSED";
}

static void expect_case(struct answer_case c, bool tcp)
{
	static struct reply r;
	uint8_t msg[512];
	size_t qlen, len = ask_query(c.qname, c.qtype, !(c.flags & CASE_PLAIN), msg, &qlen), n;
	bool left, tc = (c.flags & CASE_TC) && !tcp;

	if (c.flags & CASE_LEAVE)
		as_left(&c);
	n = tcp ? ask_tcp(msg, len) : ask_udp(msg, len);
	counted();
	memset(&r, 0, sizeof(r));
	ask_decode(reply_buf, n, &r);
	if (strcmp(r.rcode, c.rcode))
		fail_msg("%s %s: %s, not %s", c.qname, c.qtype, r.rcode, c.rcode);
	left = strcmp(c.rcode, "REFUSED") == 0 || strcmp(c.rcode, "SERVFAIL") == 0;
	assert_int_equal(r.aa, !left);
	if (r.tc != tc)
		fail_msg("%s %s: tc is %d", c.qname, c.qtype, r.tc);
	/* Id, RD, the question and its case come back; RA does not. */
	assert_memory_equal(reply_buf, msg, 2);
	assert_int_equal(reply_buf[2] & 1, 1);
	assert_int_equal(reply_buf[3] & 0xb0, 0);
	assert_memory_equal(reply_buf + 12, msg + 12, qlen + 4);
	if ((c.flags & CASE_TC) && tcp) {
		assert_true(strlen(r.answer) > 0);
		return;
	}
	check_section(&c, "answer", r.answer, c.answer);
	check_section(&c, "authority", r.authority, c.authority);
	check_section(&c, "additional", r.additional, c.additional);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ANSWER_CASES; i++) {
		expect_case(answer_cases[i], false);
		expect_case(answer_cases[i], true);
	}
}

/* An object that could not be taken over: its names are not denied, others are. */
static void test_skipped(void **state)
{
	uint8_t msg[512];
	size_t qlen, len;

	(void)state;
	fixture_apply(&w->sink, "bad svc default/absurd nonsense");
	for (int tcp = 0; tcp < 2; tcp++) {
		len = ask_query("absurd.default.svc.cluster.local", "A", true, msg, &qlen);
		assert_true(ask(msg, len, tcp != 0, 4096) > 12);
		assert_int_equal(counted(), KB_CNT_NAME_LEAVE);
		assert_int_equal(reply_buf[3] & 15, 2);
		len = ask_query("x.absurd.default.svc.cluster.local", "A", true, msg, &qlen);
		assert_true(ask(msg, len, tcp != 0, 4096) > 12);
		assert_int_equal(counted(), KB_CNT_NAME_LEAVE);
		assert_int_equal(reply_buf[3] & 15, 2);
		len = ask_query("absurd2.default.svc.cluster.local", "A", true, msg, &qlen);
		ask(msg, len, tcp != 0, 4096);
		assert_int_equal(counted(), KB_CNT_NXDOMAIN);
	}
	fixture_apply(&w->sink, "gone svc default/absurd");
}

/* A stub domain below ours is not ours, whatever we know. */
static void test_stub_zone(void **state)
{
	uint8_t msg[512];
	size_t qlen, len;

	(void)state;
	assert_int_equal(
		kb_table_zone_add(w->table, (const uint8_t *)"\4corp\7example\0", 14, 0, 0), 0);
	len = ask_query("www.corp.example", "A", true, msg, &qlen);
	for (int s = KB_OFF; s <= KB_FULL; s++) {
		world_state(w, (enum kb_state)s);
		assert_true(ask_udp(msg, len) > 12);
		assert_int_equal(counted(), KB_CNT_ZONE_LEAVE);
		assert_int_equal(reply_buf[3] & 15, 5);
		assert_int_equal(reply_buf[2] & 4, 0);
	}
}

/* Names of Pods that the table does not have are computed. */
static void test_insecure_pods(void **state)
{
	static const struct {
		const char *qname, *qtype, *rcode, *answer;
		int counter;
	} rows[] = {
		{"10-1-2-3.shop.pod." Z, "A", "NOERROR",
		 RR("10-1-2-3.shop.pod." Z, "A", "10.1.2.3"), KB_CNT_ANSWERED},
		{"10-1-2-3.shop.pod." Z, "AAAA", "NOERROR", "", KB_CNT_NODATA},
		{"1--2-3-4.shop.pod." Z, "AAAA", "NOERROR",
		 RR("1--2-3-4.shop.pod." Z, "AAAA", "1::2:3:4"), KB_CNT_ANSWERED},
		{"10-1-2-333.shop.pod." Z, "A", "NXDOMAIN", "", KB_CNT_NXDOMAIN},
		{"10-1-2-3.nobody.pod." Z, "A", "NXDOMAIN", "", KB_CNT_NXDOMAIN},
		{"shop.pod." Z, "A", "NOERROR", "", KB_CNT_NODATA},
		{"pod." Z, "A", "NOERROR", "", KB_CNT_NODATA},
	};
	struct world *keep = w;
	static struct reply r;
	uint8_t msg[512];
	size_t qlen, len;

	(void)state;
	use_world(world_with("cluster.local", (struct kb_rules){.pods = KB_PODS_INSECURE}));
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		size_t k = i / 2, n;

		len = ask_query(rows[k].qname, rows[k].qtype, true, msg, &qlen);
		n = i % 2 ? ask_tcp(msg, len) : ask_udp(msg, len);
		ask_decode(reply_buf, n, &r);
		assert_int_equal(counted(), rows[k].counter);
		assert_string_equal(r.rcode, rows[k].rcode);
		assert_string_equal(r.answer, rows[k].answer);
		assert_string_equal(r.authority, rows[k].answer[0] ? "" : SOA_Z);
		assert_true(r.aa);
	}
	/* Nothing is said before everything is known. */
	for (int s = KB_OFF; s <= KB_HITS; s++) {
		world_state(w, (enum kb_state)s);
		len = ask_query("x.10-1-2-3.shop.pod.cluster.local", "A", true, msg, &qlen);
		ask_udp(msg, len);
		assert_int_equal(reply_buf[3] & 15, 2);
	}
	world_free(w);
	use_world(keep);
}

static size_t ask_outside(const char *qname, bool tcp, size_t *ret_len)
{
	static uint8_t msg[512];
	size_t qlen;

	*ret_len = ask_query(qname, "A", true, msg, &qlen);
	return tcp ? ask_tcp(msg, *ret_len) : ask_udp(msg, *ret_len);
}

/* With routes, names that are nobody's here are left to others; with a stub domain, its
 * names, too, also before the first sync. Ours never are. */
static void test_outside(void **state)
{
	struct kb_upstream_spec server = {.at = {.addr = {.family = 4, .b = {10, 0, 0, 1}}}};
	struct kb_group_options options = KB_GROUP_DEFAULTS;
	const struct kb_ask *out;
	struct kb_routes *routes;
	size_t len;

	(void)state;
	assert_int_equal(kb_routes_new(&routes), 0);
	assert_int_equal(kb_routes_add(routes, "corp.cluster.local", &server, 1, &options, NULL),
			 0);
	assert_int_equal(kb_table_zone_add(w->table, (const uint8_t *)"\4corp\7cluster\5local\0",
					   20, 0, 0),
			 0);
	world_state(w, KB_FULL);
	assert_true(ask_outside("www.example.com", false, &len) > 12);
	assert_null(kb_responder_outside(w->responder));
	kb_responder_set_routes(w->responder, routes);
	for (int tcp = 0; tcp <= 1; tcp++) {
		assert_int_equal(ask_outside("www.Example.com", tcp, &len), 0);
		out = kb_responder_outside(w->responder);
		assert_non_null(out);
		assert_int_equal(out->len, 17 + 4);
		assert_memory_equal(out->question, "\3www\7Example\3com\0\0\1\0\1", 21);
		assert_true(out->has_opt);
		assert_false(out->ad);
		assert_int_equal(out->limit, tcp ? 65535 : 1232);
		assert_int_equal(ask_outside("5.4.3.2.in-addr.arpa", tcp, &len), 0);
		assert_non_null(kb_responder_outside(w->responder));
		assert_true(ask_outside("kubernetes.default.svc.cluster.local", tcp, &len) > 12);
		assert_null(kb_responder_outside(w->responder));
		assert_true(ask_outside("no.such.svc.cluster.local", tcp, &len) > 12);
		assert_null(kb_responder_outside(w->responder));
	}
	for (int s = KB_OFF; s <= KB_FULL; s++) {
		world_state(w, (enum kb_state)s);
		assert_int_equal(ask_outside("db.corp.cluster.local", false, &len), 0);
		assert_non_null(kb_responder_outside(w->responder));
		assert_int_equal(ask_outside("www.example.com", false, &len), 0);
		assert_non_null(kb_responder_outside(w->responder));
		if (s == KB_FULL)
			continue;
		/* What may be ours is asked of nobody while it is not all known. */
		assert_true(ask_outside("5.4.3.2.in-addr.arpa", false, &len) > 12);
		assert_int_equal(reply_buf[3] & 15, 2);
		assert_true(ask_outside("no.such.svc.cluster.local", false, &len) > 12);
		assert_int_equal(reply_buf[3] & 15, 2);
	}
	kb_responder_set_routes(w->responder, NULL);
	kb_routes_unref(routes);
	counted_reset();
}

static void test_large(void **state)
{
	static struct reply r;
	uint8_t msg[512];
	size_t qlen, len, n, lines = 0;

	(void)state;
	for (int edns = 0; edns < 2; edns++) {
		len = ask_query("large.default.svc.cluster.local", "A", edns, msg, &qlen);
		n = ask_udp(msg, len);
		assert_int_equal(counted(), KB_CNT_ANSWERED);
		ask_decode(reply_buf, n, &r);
		assert_true(r.tc);
		/* As many as fit. */
		assert_true(n <= (edns ? 1232 : 512) && n > (edns ? 1232 : 512) - 16);
		n = ask_tcp(msg, len);
		assert_int_equal(counted(), KB_CNT_ANSWERED);
		ask_decode(reply_buf, n, &r);
		assert_false(r.tc);
		lines = 0;
		for (const char *p = r.answer; *p; p++)
			lines += *p == '\n';
		assert_int_equal(lines, WORLD_LARGE);
		assert_int_equal(reply_buf[11], edns);
		/* A reply never exceeds the room there is. */
		n = ask(msg, len, false, 512);
		assert_true(n > 512 - 16);
		counted();
	}
}

/* Every record of more than TCP carries: what fits, and TC. */
static void test_too_large_for_tcp(void **state)
{
	static struct reply r;
	uint8_t msg[512];
	size_t qlen, len = ask_query("large.default.svc.cluster.local", "A", true, msg, &qlen), n;

	(void)state;
	world_add_large(w, 5000);
	counted();
	n = ask_tcp(msg, len);
	ask_decode(reply_buf, n, &r);
	assert_true(r.tc);
	assert_string_equal(r.rcode, "NOERROR");
	assert_int_equal(counted(), KB_CNT_ANSWERED);
	world_add_large(w, WORLD_LARGE);
}

/* --- protocol rows ----------------------------------------------------------- */

enum { BARE = 1, NO_REPLY = 2, WITH_OPT = 4, AA = 8, UNSYNCED = 16, HITS = 32 };

struct row {
	const char *what;
	const char *hex; /* the message, Q for the question below */
	int rcode;	 /* with the OPT record's bits */
	int flags;
	int counter;
};

#define HEX_Q                                                                                     \
	"0a6b756265726e65746573 0764656661756c74 03737663 07636c7573746572 056c6f63616c 00 0001 " \
	"0001"
#define NAME_Q			    "0a6b756265726e65746573 0764656661756c74 03737663 07636c7573746572 056c6f63616c 00"
#define EXAMPLE			    "076578616d706c65 03636f6d 00"
#define ZONE			    "07636c7573746572 056c6f63616c 00"
#define HEAD(flags, qd, an, ns, ar) "beef" flags qd an ns ar
#define Q1			    HEAD("0100", "0001", "0000", "0000", "0000")
#define Q1_AR1			    HEAD("0100", "0001", "0000", "0000", "0001")
#define OPT0			    "00 0029 04d0 00000000 0000"
#define A_RR			    "00 0001 0001 00000000 0004 0a000001"

static const struct row rows[] = {
	{"a plain query", Q1 HEX_Q, 0, AA, KB_CNT_ANSWERED},
	{"CD is copied, AD and Z are not", HEAD("0170", "0001", "0000", "0000", "0000") HEX_Q, 0,
	 AA, KB_CNT_ANSWERED},
	{"a response", HEAD("8100", "0001", "0000", "0000", "0000") HEX_Q, 0, NO_REPLY,
	 KB_CNT_RESPONSE},
	{"nothing", "", 0, NO_REPLY, KB_CNT_LENGTH},
	{"eleven bytes", "beef01000001000000000000" /* cut below */, 1, BARE, KB_CNT_QNAME},
	{"half a header", "beef010000010000000000", 0, NO_REPLY, KB_CNT_LENGTH},
	{"IQUERY", HEAD("0800", "0001", "0000", "0000", "0000") HEX_Q, 4, BARE, KB_CNT_OPCODE},
	{"STATUS", HEAD("1000", "0000", "0000", "0000", "0000"), 4, BARE, KB_CNT_OPCODE},
	{"NOTIFY", HEAD("2400", "0001", "0000", "0000", "0000") HEX_Q, 4, BARE, KB_CNT_OPCODE},
	{"UPDATE", HEAD("2800", "0001", "0000", "0000", "0000") HEX_Q, 4, BARE, KB_CNT_OPCODE},
	{"no question", HEAD("0100", "0000", "0000", "0000", "0000"), 1, BARE, KB_CNT_SECTIONS},
	{"two questions", HEAD("0100", "0002", "0000", "0000", "0000") HEX_Q HEX_Q, 1, BARE,
	 KB_CNT_SECTIONS},
	{"header only", Q1, 1, BARE, KB_CNT_QNAME},
	{"a cut name", Q1 "0a6b7562", 1, BARE, KB_CNT_QNAME},
	{"no root label", Q1 "016b", 1, BARE, KB_CNT_QNAME},
	{"no type", Q1 NAME_Q, 1, BARE, KB_CNT_QNAME},
	{"no class", Q1 NAME_Q "0001", 1, BARE, KB_CNT_QNAME},
	{"half a class", Q1 NAME_Q "000100", 1, BARE, KB_CNT_QNAME},
	{"a pointer to itself", Q1 "c00c 0001 0001", 1, BARE, KB_CNT_QNAME},
	{"a pointer behind a label", Q1 "016b c004 0001 0001", 1, BARE, KB_CNT_QNAME},
	{"a reserved label type", Q1 "4161 00 0001 0001", 1, BARE, KB_CNT_QNAME},
	{"a zero inside a label", Q1 "03610062" ZONE "0001 0001", 3, AA, KB_CNT_NXDOMAIN},
	{"and with OPT", Q1_AR1 "03610062" ZONE "0001 0001" OPT0, 3, AA | WITH_OPT,
	 KB_CNT_NXDOMAIN},
	{"255 inside a label", Q1 "0361ff62" ZONE "0001 0001", 3, AA, KB_CNT_NXDOMAIN},
	{"a dot inside a label", Q1 "0a 64656661756c742e7376" ZONE "0001 0001", 3, AA,
	 KB_CNT_NXDOMAIN},
	{"zeros where the zone is not ours", Q1 "0300000003636f6d00 0001 0001", 5, 0,
	 KB_CNT_NO_ZONE},
	{"trailing bytes", Q1 HEX_Q "00010203", 0, AA, KB_CNT_ANSWERED},
	{"trailing bytes behind OPT", Q1_AR1 HEX_Q OPT0 "ff", 0, AA | WITH_OPT, KB_CNT_ANSWERED},
	{"class CH", Q1 NAME_Q "0001 0003", 5, 0, KB_CNT_CLASS},
	{"class ANY with OPT", Q1_AR1 NAME_Q "0001 00ff" OPT0, 5, WITH_OPT, KB_CNT_CLASS},
	{"CH TXT version.bind", Q1 "0776657273696f6e0462696e6400 0010 0003", 5, 0, KB_CNT_CLASS},
	{"EDNS version 1", Q1_AR1 HEX_Q "00 0029 04d0 00010000 0000", 16, WITH_OPT,
	 KB_CNT_EDNS_VERSION},
	{"EDNS version 255, options", Q1_AR1 HEX_Q "00 0029 04d0 00ff8000 0004 00030000", 16,
	 WITH_OPT, KB_CNT_EDNS_VERSION},
	{"EDNS version 1 in class CH", Q1_AR1 NAME_Q "0001 0003 00 0029 04d0 00010000 0000", 16,
	 WITH_OPT, KB_CNT_EDNS_VERSION},
	{"EDNS, no options", Q1_AR1 HEX_Q OPT0, 0, AA | WITH_OPT, KB_CNT_ANSWERED},
	{"EDNS size 0", Q1_AR1 HEX_Q "00 0029 0000 00000000 0000", 0, AA | WITH_OPT,
	 KB_CNT_ANSWERED},
	{"EDNS cookie", Q1_AR1 HEX_Q "00 0029 04d0 00008000 000c 000a 0008 0102030405060708", 0,
	 AA | WITH_OPT, KB_CNT_ANSWERED},
	{"two OPT", HEAD("0100", "0001", "0000", "0000", "0002") HEX_Q OPT0 OPT0, 1, BARE,
	 KB_CNT_SECTIONS},
	{"OPT of a name", Q1_AR1 HEX_Q "016100 0029 04d0 00000000 0000", 1, BARE, KB_CNT_OPT},
	{"OPT as an answer", HEAD("0100", "0001", "0001", "0000", "0000") HEX_Q OPT0, 1, BARE,
	 KB_CNT_SECTIONS},
	{"OPT announced, not there", Q1_AR1 HEX_Q, 1, BARE, KB_CNT_OPT},
	{"OPT cut in the middle", Q1_AR1 HEX_Q "00 0029 04d0", 1, BARE, KB_CNT_OPT},
	{"OPT longer than the message", Q1_AR1 HEX_Q "00 0029 04d0 00000000 0001", 1, BARE,
	 KB_CNT_OPT},
	{"another record in additional", Q1_AR1 HEX_Q A_RR, 0, AA, KB_CNT_ANSWERED},
	{"another record, then OPT", HEAD("0100", "0001", "0000", "0000", "0002") HEX_Q A_RR OPT0,
	 0, AA | WITH_OPT, KB_CNT_ANSWERED},
	{"OPT, then another record", HEAD("0100", "0001", "0000", "0000", "0002") HEX_Q OPT0 A_RR,
	 0, AA | WITH_OPT, KB_CNT_ANSWERED},
	{"an answer, an authority",
	 HEAD("0100", "0001", "0001", "0001", "0001") HEX_Q A_RR A_RR OPT0, 0, AA | WITH_OPT,
	 KB_CNT_ANSWERED},
	{"a record whose owner is a pointer", Q1_AR1 HEX_Q "c00c 0001 0001 00000000 0004 0a000001",
	 0, AA, KB_CNT_ANSWERED},
	{"a record whose owner points to itself",
	 Q1_AR1 HEX_Q "c036 0001 0001 00000000 0004 0a000001", 1, BARE, KB_CNT_OPT},
	{"two answers", HEAD("0100", "0001", "0002", "0000", "0000") HEX_Q A_RR A_RR, 1, BARE,
	 KB_CNT_SECTIONS},
	{"two authorities", HEAD("0100", "0001", "0000", "0002", "0000") HEX_Q A_RR A_RR, 1, BARE,
	 KB_CNT_SECTIONS},
	{"three additionals", HEAD("0100", "0001", "0000", "0000", "0003") HEX_Q A_RR A_RR OPT0, 1,
	 BARE, KB_CNT_SECTIONS},
	{"AXFR", Q1 ZONE "00fc 0001", 5, 0, KB_CNT_QTYPE},
	{"IXFR with an SOA",
	 HEAD("0100", "0001", "0000", "0001", "0001") ZONE
	 "00fb 0001 c00c 0006 0001 00000000 0016 00 00 00000001000000020000000300000004"
	 "00000005" OPT0,
	 5, WITH_OPT, KB_CNT_QTYPE},
	{"MAILB", Q1 NAME_Q "00fd 0001", 4, 0, KB_CNT_QTYPE},
	{"TSIG as a question", Q1_AR1 NAME_Q "00fa 0001" OPT0, 4, WITH_OPT, KB_CNT_QTYPE},
	{"OPT as a question", Q1 NAME_Q "0029 0001", 4, 0, KB_CNT_QTYPE},
	{"type 0", Q1 NAME_Q "0000 0001", 4, 0, KB_CNT_QTYPE},
	{"the root", Q1 "00 0002 0001", 5, 0, KB_CNT_NO_ZONE},
	{"the root with OPT", Q1_AR1 "00 0002 0001" OPT0, 5, WITH_OPT, KB_CNT_NO_ZONE},
	{"not ours", Q1 EXAMPLE "0001 0001", 5, 0, KB_CNT_NO_ZONE},
	{"a reverse name, not ours",
	 Q1 "0139 0139 0139 0139 07696e2d61646472 0461727061 00 000c 0001", 5, 0,
	 KB_CNT_ZONE_LEAVE},
	{"pod.Z", Q1_AR1 "03706f64" ZONE "0001 0001" OPT0, 2, WITH_OPT, KB_CNT_ZONE_LEAVE},
	{"below pod.Z", Q1 "0331323303666f6f03706f64" ZONE "0001 0001", 2, 0, KB_CNT_ZONE_LEAVE},

	/* Adopted, not synced: what is known is answered, nothing is denied. */
	{"known, state HITS", Q1 HEX_Q, 0, AA | HITS, KB_CNT_ANSWERED},
	{"unknown, state HITS", Q1 "0161" ZONE "0001 0001", 2, AA | HITS, KB_CNT_HITS_ONLY},
	{"a reverse name, state HITS",
	 Q1_AR1 "0139 0139 0139 0139 07696e2d61646472 0461727061 00 000c 0001" OPT0, 2,
	 AA | HITS | WITH_OPT, KB_CNT_ZONE_LEAVE},
	{"below pod.Z, state HITS", Q1 "0331323303666f6f03706f64" ZONE "0001 0001", 2, AA | HITS,
	 KB_CNT_ZONE_LEAVE},
	{"not ours, state HITS", Q1 EXAMPLE "0001 0001", 5, HITS, KB_CNT_NO_ZONE},

	{"ours, state OFF", Q1 HEX_Q, 2, AA | UNSYNCED, KB_CNT_OFF},
	{"ours with OPT, state OFF", Q1_AR1 HEX_Q OPT0, 2, AA | UNSYNCED | WITH_OPT, KB_CNT_OFF},
	{"a reverse name, state OFF",
	 Q1 "0139 0139 0139 0139 07696e2d61646472 0461727061 00 000c 0001", 2, AA | UNSYNCED,
	 KB_CNT_OFF},
	{"below pod.Z, state OFF", Q1 "0331323303666f6f03706f64" ZONE "0001 0001", 2, AA | UNSYNCED,
	 KB_CNT_OFF},
	{"not ours, state OFF", Q1 EXAMPLE "0001 0001", 5, UNSYNCED, KB_CNT_NO_ZONE},
	{"malformed, state OFF", Q1 "0a6b7562", 1, BARE | UNSYNCED, KB_CNT_QNAME},
};

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned int byte;

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		out[n++] = (uint8_t)byte;
		hex++;
	}
	return n;
}

static void expect_row(const struct row *row, bool tcp)
{
	uint8_t msg[1024];
	size_t len = unhex(row->hex, msg), n, q_end = 12;
	int rcode, counter;

	world_state(w, row->flags & UNSYNCED ? KB_OFF : row->flags & HITS ? KB_HITS : KB_FULL);
	n = tcp ? ask_tcp(msg, len) : ask_udp(msg, len);
	world_state(w, KB_FULL);
	counter = counted();
	if (counter != row->counter)
		fail_msg("%s: counted as %d, not %d", row->what, counter, row->counter);
	if (row->flags & NO_REPLY) {
		assert_int_equal(n, 0);
		return;
	}
	assert_true(n >= 12);
	assert_memory_equal(reply_buf, msg, 2);
	rcode = reply_buf[3] & 15;
	/* Ours ends the message. */
	if (row->flags & WITH_OPT) {
		const uint8_t *opt = reply_buf + n - 11;

		assert_memory_equal(opt, "\0\0\x29\x04\xd0", 5);
		assert_memory_equal(opt + 8, "\0\0\0", 3);
		assert_int_equal(opt[6], 0);
		rcode |= opt[5] << 4;
		assert_int_equal(reply_buf[11], 1);
	}
	if (rcode != row->rcode)
		fail_msg("%s: rcode %d, not %d", row->what, rcode, row->rcode);
	/* QR, the opcode and RD of the query; AA as the row has it; RA, AD, Z never. */
	if (reply_buf[2] != (0x80 | (msg[2] & 0x79) | (row->flags & AA ? 4 : 0)))
		fail_msg("%s: flags %02x", row->what, reply_buf[2]);
	assert_int_equal(reply_buf[3] & 0xf0, msg[3] & 0x10);
	if (row->flags & BARE) {
		assert_int_equal(n, 12);
		assert_memory_equal(reply_buf + 4, "\0\0\0\0\0\0\0\0", 8);
		return;
	}
	while (msg[q_end])
		q_end += msg[q_end] + 1U;
	q_end += 5;
	assert_memory_equal(reply_buf + 4, "\0\1", 2);
	assert_memory_equal(reply_buf + 12, msg + 12, q_end - 12);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		expect_row(&rows[i], false);
		expect_row(&rows[i], true);
	}
}

/* Longer than the core reads: options of all lengths up to what a datagram holds. */
static void test_oversize(void **state)
{
	uint8_t msg[KB_SOCKET_QUERY_MAX];
	size_t head, options, n;

	(void)state;
	head = unhex(Q1_AR1 HEX_Q OPT0, msg);
	for (options = 4; head + options <= sizeof(msg); options += 1 + options / 3) {
		memset(msg + head, 0, options);
		msg[head - 2] = (uint8_t)(options >> 8);
		msg[head - 1] = (uint8_t)options;
		msg[head + 1] = 12; /* PADDING */
		msg[head + 2] = (uint8_t)((options - 4) >> 8);
		msg[head + 3] = (uint8_t)(options - 4);
		n = ask_udp(msg, head + options);
		assert_int_equal(counted(), KB_CNT_ANSWERED);
		assert_true(n > 12 && (reply_buf[3] & 15) == 0 && reply_buf[7] == 1);
		/* And cut by one byte. */
		n = ask_udp(msg, head + options - 1);
		assert_int_equal(n, 12);
		assert_int_equal(reply_buf[3] & 15, 1);
		counted();
	}
}

/* Names of each length: 255 bytes are one, 256 are none. */
static void test_name_lengths(void **state)
{
	uint8_t msg[512];
	size_t labels, n;

	(void)state;
	for (labels = 1; labels <= 130; labels++) {
		size_t len = unhex(Q1, msg);

		for (size_t i = 0; i < labels; i++) {
			msg[len++] = 1;
			msg[len++] = 'a';
		}
		memcpy(msg + len, "\0\0\1\0\1", 5);
		n = ask_udp(msg, len + 5);
		if (labels <= 127) {
			assert_int_equal(counted(), KB_CNT_NO_ZONE);
			assert_int_equal(n, len + 5);
			assert_int_equal(reply_buf[3] & 15, 5);
		} else {
			assert_int_equal(counted(), KB_CNT_QNAME);
			assert_int_equal(n, 12);
			assert_int_equal(reply_buf[3] & 15, 1);
		}
	}
}

/* More labels than any name of ours, in each kind of zone: the records are asked too. */
static void test_many_labels(void **state)
{
	static const struct {
		const char *zone;
		size_t len;
		int counter;
	} zones[] = {
		{"\7cluster\5local", 15, KB_CNT_NXDOMAIN},
		{"\7in-addr\4arpa", 14, KB_CNT_ZONE_LEAVE},
		{"\3ip6\4arpa", 10, KB_CNT_ZONE_LEAVE},
		{"\3pod\7cluster\5local", 19, KB_CNT_ZONE_LEAVE},
	};
	uint8_t msg[512];

	(void)state;
	for (size_t z = 0; z < sizeof(zones) / sizeof(*zones); z++) {
		for (size_t labels = 4; 2 * labels + zones[z].len <= 255; labels++) {
			size_t len = unhex(Q1, msg), n;

			for (size_t i = 0; i < labels; i++) {
				msg[len++] = 1;
				msg[len++] = '9';
			}
			memcpy(msg + len, zones[z].zone, zones[z].len);
			len += zones[z].len;
			memcpy(msg + len, "\0\14\0\1", 4);
			if (zones[z].len == 10 && labels <= 32) /* an empty non-terminal is known */
				continue;
			n = ask_udp(msg, len + 4);
			assert_true(n > 12);
			assert_int_equal(counted(), zones[z].counter);
		}
	}
}

/* --- garbage ----------------------------------------------------------------- */

static uint32_t rnd(uint32_t n)
{
	static uint64_t x = 0x9e3779b97f4a7c15ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)((x >> 32) % n);
}

static size_t make_seed(uint8_t *msg)
{
	uint32_t i = rnd(ANSWER_CASES + sizeof(rows) / sizeof(*rows));
	size_t qlen;

	if (i < ANSWER_CASES)
		return ask_query(answer_cases[i].qname, answer_cases[i].qtype, rnd(2), msg, &qlen);
	return unhex(rows[i - ANSWER_CASES].hex, msg);
}

static size_t mutate(uint8_t *msg, size_t len, size_t max)
{
	for (uint32_t n = rnd(6); n; n--) {
		switch (rnd(5)) {
		case 0:
			if (len)
				msg[rnd((uint32_t)len)] ^= (uint8_t)(1U << rnd(8));
			break;
		case 1:
			if (len)
				msg[rnd((uint32_t)len)] = (uint8_t)rnd(256);
			break;
		case 2:
			len = rnd((uint32_t)len + 1);
			break;
		case 3:
			for (uint32_t k = rnd(40); k && len < max; k--)
				msg[len++] = (uint8_t)rnd(256);
			break;
		default:
			if (len > 12)
				msg[rnd(12)] = (uint8_t)rnd(4);
		}
	}
	return len;
}

/* A reply that says that it answers something else would be worse than none. */
static void check_sane(const uint8_t *msg, size_t len, size_t n, size_t max)
{
	ldns_pkt *pkt = NULL;

	if (len < 12 || msg[2] & 0x80) {
		assert_int_equal(n, 0);
		return;
	}
	assert_true(n >= 12 && n <= max);
	assert_memory_equal(reply_buf, msg, 2);
	assert_true(reply_buf[2] & 0x80);
	assert_int_equal(reply_buf[2] & 0x78, msg[2] & 0x78);
	assert_true(ldns_wire2pkt(&pkt, reply_buf, n) == LDNS_STATUS_OK);
	if (ldns_pkt_qdcount(pkt))
		assert_true(len >= 17 && memcmp(reply_buf + 12, msg + 12, 5) == 0);
	ldns_pkt_free(pkt);
}

static void test_random(void **state)
{
	static uint8_t msg[2048];
	uint64_t before = 0, after = 0;
	const uint64_t *counters = kb_responder_counters(w->responder);

	(void)state;
	for (int i = 0; i < KB_CNT_MAX; i++)
		before += i == KB_CNT_TRUNCATED ? 0 : counters[i];
	for (uint32_t i = 0; i < 100000; i++) {
		size_t len, n;
		bool tcp = rnd(2);

		if (rnd(8)) {
			len = mutate(msg, make_seed(msg), sizeof(msg));
		} else {
			len = rnd(rnd(4) ? 100 : sizeof(msg));
			for (size_t k = 0; k < len; k++)
				msg[k] = (uint8_t)rnd(256);
		}
		world_state(w, (enum kb_state)rnd(3));
		n = tcp ? ask_tcp(msg, len) : ask_udp(msg, len);
		check_sane(msg, len, n, tcp ? KB_TCP_REPLY_MAX : 1232);
	}
	world_state(w, KB_FULL);
	/* Each message is counted once. */
	for (int i = 0; i < KB_CNT_MAX; i++)
		after += i == KB_CNT_TRUNCATED ? 0 : counters[i];
	assert_int_equal(after - before, 100000);
}

/* An ExternalName that leads out: with somebody to ask, its target is asked. */
static void test_chase(void **state)
{
	static const uint8_t target[] = "\10payments\7example\3com\0\0\1\0\1";
	struct kb_upstream_spec server = {.at = {.addr = {.family = 4, .b = {10, 0, 0, 1}}}};
	struct kb_group_options options = KB_GROUP_DEFAULTS;
	struct kb_routes *stub, *all;
	size_t len;

	(void)state;
	assert_int_equal(kb_routes_new(&stub), 0);
	assert_int_equal(kb_routes_add(stub, "corp.example", &server, 1, &options, NULL), 0);
	assert_int_equal(kb_routes_new(&all), 0);
	assert_int_equal(kb_routes_add(all, NULL, &server, 1, &options, NULL), 0);
	world_state(w, KB_FULL);
	for (int tcp = 0; tcp <= 1; tcp++) {
		const struct kb_ask *out;
		struct kb_chase *chase;

		/* Nobody to ask, or not for this name: the CNAME alone. */
		for (int with = 0; with <= 1; with++) {
			kb_responder_set_routes(w->responder, with ? stub : NULL);
			assert_true(ask_outside("payments.Shop.svc.cluster.local", tcp, &len) > 12);
			assert_null(kb_responder_outside(w->responder));
			assert_null(kb_responder_take_chase(w->responder));
			assert_int_equal(reply_buf[7], 1);
		}
		kb_responder_set_routes(w->responder, all);
		counted_reset();
		assert_int_equal(ask_outside("payments.Shop.svc.cluster.local", tcp, &len), 0);
		assert_int_equal(counted(), KB_CNT_NAME_LEAVE);
		out = kb_responder_outside(w->responder);
		assert_non_null(out);
		assert_int_equal(out->len, sizeof(target) - 1);
		assert_memory_equal(out->question, target, sizeof(target) - 1);
		assert_true(out->has_opt && out->rd);
		assert_int_equal(out->limit, 65535); /* only the whole may be cut */
		chase = kb_responder_take_chase(w->responder);
		assert_non_null(chase);
		assert_null(kb_responder_take_chase(w->responder));
		len = kb_relay_error(out, KB_RCODE_NXDOMAIN, 1232, reply_buf);
		len = kb_chase_reply(chase, reply_buf, len, tcp ? 65535 : 2048);
		kb_chase_free(chase);
		assert_int_equal(reply_buf[2] & 0x84, 0x84);
		assert_int_equal(reply_buf[3], KB_RCODE_NXDOMAIN);
		assert_int_equal(reply_buf[7], 1);
		assert_int_equal(reply_buf[11], 1);
		assert_memory_equal(reply_buf + KB_DNS_HDR, "\10payments\4Shop\3svc", 18);
		/* What leads nowhere else is answered here; one that is not taken is let go. */
		ask_outside("payments.shop.svc.cluster.local", tcp, &len);
		assert_true(ask_outside("database.shop.svc.cluster.local", tcp, &len) > 12);
		assert_null(kb_responder_outside(w->responder));
		assert_null(kb_responder_take_chase(w->responder));
	}
	kb_responder_set_routes(w->responder, NULL);
	kb_routes_unref(stub);
	kb_routes_unref(all);
}

/* Rewrite rules and hosts come before zones and upstreams, on both transports, and in a rule's,
 * then a CNAME's, then another rule's name. */
static void test_blocks(void **state)
{
	char *root[] = {""}, *svc = "kubernetes.default.svc.cluster.local", label[56] = "", to[256];
	struct kb_corefile_rewrite rw[] = {
		{.from = "old.default.svc.cluster.local", .to = svc, .stop = true},
		{.from = "pay.test", .to = "payments.shop.svc.cluster.local", .stop = true},
		{.from = "payments.example.com", .to = "pay.example.net", .stop = true},
		{.from = ".long.test", .to = to, .suffix = true, .stop = true},
	};
	struct kb_corefile_hosts h = {.inline_text = (char[]){"192.0.2.7 db.test\n"},
				      .origins = {root, 1},
				      .fall = {root, 1},
				      .ttl_s = 60};
	struct kb_corefile_block v = {
		.zones = {root, 1}, .rewrites = rw, .n_rewrites = 4, .hosts = &h};
	struct kb_upstream_spec server = {.at = {.addr = {.family = 4, .b = {10, 0, 0, 1}}}};
	struct kb_group_options options = KB_GROUP_DEFAULTS;
	struct kb_routes *routes;
	struct kb_blocks *b;
	size_t len;

	(void)state;
	memset(label, 'a', 55);
	snprintf(to, sizeof(to), ".%s.%s.%s.%s", label, label, label, label);
	assert_int_equal(kb_blocks_new(&v, 1, &b), 0);
	assert_int_equal(kb_routes_new(&routes), 0);
	assert_int_equal(kb_routes_add(routes, NULL, &server, 1, &options, NULL), 0);
	kb_responder_set_blocks(w->responder, b);
	kb_blocks_unref(b);
	kb_responder_set_routes(w->responder, routes);
	for (int s = KB_OFF; s <= KB_FULL; s += KB_FULL) {
		world_state(w, (enum kb_state)s);
		for (int tcp = 0; tcp <= 1; tcp++) {
			counted_reset();
			assert_true(ask_outside("DB.test", tcp, &len) > 12);
			assert_int_equal(counted(), KB_CNT_ANSWERED);
			assert_int_equal(reply_buf[2] & 0x84, 0x84);
			assert_int_equal(reply_buf[7], 1);
			assert_int_equal(reply_buf[11], 1); /* OPT */
			assert_memory_equal(reply_buf + 13, "DB", 2);
			assert_true(ask_outside("old.default.svc.cluster.local", tcp, &len) > 12);
			assert_int_equal(reply_buf[3] & 15, s == KB_OFF ? 2 : 0);
			assert_int_equal(counted(),
					 s == KB_OFF ? KB_CNT_NAME_LEAVE : KB_CNT_ANSWERED);
			assert_int_equal(reply_buf[7], s == KB_OFF ? 0 : 1);
			assert_memory_equal(reply_buf + 13, "old", 3);
			assert_true(
				ask_outside(
					"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.long.test",
					tcp, &len) > 12);
			assert_int_equal(reply_buf[3] & 15, 2);
			assert_int_equal(counted(), KB_CNT_NAME_LEAVE);
		}
	}
	for (int tcp = 0; tcp <= 1; tcp++) {
		const struct kb_ask *out;
		struct kb_chase *chase;

		assert_int_equal(ask_outside("Pay.test", tcp, &len), 0);
		out = kb_responder_outside(w->responder);
		assert_non_null(out);
		assert_memory_equal(out->question, "\3pay\7example\3net", 17);
		chase = kb_responder_take_chase(w->responder);
		len = kb_relay_error(out, KB_RCODE_NXDOMAIN, 1232, reply_buf);
		len = kb_chase_reply(chase, reply_buf, len, tcp ? 65535 : 2048);
		kb_chase_free(chase);
		assert_int_equal(reply_buf[3] & 15, KB_RCODE_NXDOMAIN);
		assert_int_equal(reply_buf[7], 1); /* the CNAME */
		assert_memory_equal(reply_buf + KB_DNS_HDR, "\3Pay\4test\0\0\1\0\1\xc0\x0c", 16);
	}
	kb_responder_set_blocks(w->responder, NULL);
	assert_int_equal(ask_outside("db.test", false, &len), 0);
	kb_responder_set_routes(w->responder, NULL);
	kb_routes_unref(routes);
}

/* Without records there is the table alone. */
static void test_no_records(void **state)
{
	struct kb_responder *own, *keep = w->responder;
	uint8_t msg[512];
	size_t qlen, len = ask_query("payments.shop.svc.cluster.local", "A", true, msg, &qlen), n;

	(void)state;
	assert_int_equal(kb_responder_new(w->table, NULL, &own), 0);
	w->responder = own;
	n = ask_tcp(msg, len);
	assert_int_equal(reply_buf[3] & 15, 2);
	assert_true(n > 12);
	len = ask_query("large.default.svc.cluster.local", "A", true, msg, &qlen);
	ask_tcp(msg, len);
	assert_true(reply_buf[2] & 2);
	kb_responder_free(own);
	kb_responder_free(NULL);
	w->responder = keep;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_too_large_for_tcp),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_many_labels),
		cmocka_unit_test(test_skipped),
		cmocka_unit_test(test_stub_zone),
		cmocka_unit_test(test_insecure_pods),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_chase),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_no_records),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
