/* SPDX-License-Identifier: Apache-2.0 */
/* The query log without a packet path: lines, sampling, what sockets report, bounds, traces. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/querylog/format.h"
#include "control/querylog/names.h"
#include "control/querylog/queue.h"
#include "control/querylog/trace.h"
#include "tests/unit/querylog_world.h"

static char dir[] = "/tmp/kbdns-querylog-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/log", mkdtemp(dir) ? dir : "?");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static size_t name_wire(const char *text, uint8_t *wire)
{
	struct kb_wire w = {.len = 1};

	if (strcmp(text, ".") != 0)
		assert_int_equal(kb_wire_parse(text, false, &w), 0);
	memcpy(wire, w.b, w.len);
	return w.len;
}

static struct kb_event event(const char *name, uint16_t type)
{
	uint8_t wire[KB_WIRE_MAX];
	struct kb_event e = event_of(wire, name_wire(name, wire), type);

	e.bufsize = 1232;
	e.duration_ns = 123000;
	return e;
}

/* --- lines ------------------------------------------------------------------- */

static void check_line(const struct kb_event *e, const char *want)
{
	char line[KB_EVENT_LINE_MAX];
	size_t n = kb_event_line(e, 0, line);

	assert_in_range(n, 1, sizeof(line));
	assert_int_equal(line[n - 1], '\n');
	line[n - 1] = '\0';
	assert_string_equal(line, want);
}

static void test_lines(void **state)
{
	struct kb_event e = event("example.org", 1);

	(void)state;
	check_line(&e, "[INFO] 10.1.2.3:40212 - 54321 \"A IN example.org. udp 41 false 1232\" "
		       "NOERROR qr,aa,rd 106 0.000123s engine=tc from=table to=10.96.0.10:53 "
		       "time=1970-01-01T00:00:01.500000Z");
	e = event("wWw.Example.org", 65);
	e.transport = KB_EVENT_TCP;
	e.engine = KB_ENGINE_SOCKET;
	e.origin = KB_ORIGIN_UPSTREAM;
	e.bufsize = 0;
	e.dnssec_ok = 1;
	e.flags2 = 0x83;
	e.flags3 = 0xf3;
	e.duration_ns = 1250000000;
	check_line(&e,
		   "[INFO] 10.1.2.3:40212 - 54321 \"HTTPS IN wWw.Example.org. tcp 41 true 512\" "
		   "NXDOMAIN qr,tc,rd,ra,z,ad,cd 106 1.25s engine=socket from=upstream "
		   "to=10.96.0.10:53 time=1970-01-01T00:00:01.500000Z");
	/* Left, IPv6, the root, odd numbers, not measured. */
	e = event(".", 65280);
	e.src[0] = 0xfdULL;
	e.src[1] = 11ULL << 56;
	e.qclass = htons(7);
	e.reply_len = 0;
	e.duration_ns = 0;
	e.verdict = KB_CNT_NO_ZONE;
	e.engine = KB_ENGINE_XDP;
	check_line(&e, "[INFO] [fd00::b]:40212 - 54321 \"TYPE65280 CLASS7 . udp 41 false 1232\" "
		       "- - 0 0s engine=xdp left=left_no_zone to=10.96.0.10:53 "
		       "time=1970-01-01T00:00:01.500000Z");
	/* No question. */
	e.name_len = 0;
	e.qtype = e.qclass = 0;
	e.reply_len = 12;
	e.flags2 = 0x80;
	e.flags3 = 1;
	check_line(&e, "[INFO] [fd00::b]:40212 - 54321 \"TYPE0 CLASS0 - udp 41 false 1232\" "
		       "FORMERR qr 12 0s engine=xdp from=table to=10.96.0.10:53 "
		       "time=1970-01-01T00:00:01.500000Z");
}

/* What a client writes into a name stays within its field and its line; the longest fits. */
static void test_hostile_names(void **state)
{
	static const uint8_t label[] = {9, 'a', '"', ' ', '\n', '.', '\\', 0, 0xff, 'z', 0};
	struct kb_event e = event("example.org", 1);
	char line[KB_EVENT_LINE_MAX], *quote;
	size_t n;

	(void)state;
	memcpy(e.name, label, sizeof(label));
	e.name_len = sizeof(label);
	n = kb_event_line(&e, 0, line);
	line[n] = '\0';
	assert_non_null(strstr(line, " a\\034\\032\\010\\046\\092\\000\\255z. "));
	quote = strchr(line, '"');
	assert_ptr_equal(strchr(quote + 1, '"'), strrchr(line, '"'));
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
	/* 255 bytes, of which 251 take four characters. */
	memset(e.name, 1, 255);
	for (int i = 0; i < 4; i++)
		e.name[i * 64] = i < 3 ? 63 : 61;
	e.name[254] = 0;
	e.name_len = 255;
	n = kb_event_line(&e, 0, line);
	assert_in_range(n, 1000, KB_EVENT_LINE_MAX - 1);
	assert_int_equal(line[n - 1], '\n');
	assert_non_null(memmem(line, n, "time=1970", 9));
	/* Malformed: lengths that lead out of it. */
	e.name[0] = 64;
	check_line(&e, "[INFO] 10.1.2.3:40212 - 54321 \"A IN - udp 41 false 1232\" NOERROR "
		       "qr,aa,rd 106 0.000123s engine=tc from=table to=10.96.0.10:53 "
		       "time=1970-01-01T00:00:01.500000Z");
}

static const char *member(const json_t *doc, const char *key)
{
	return json_string_value(json_object_get(doc, key));
}

static void test_json(void **state)
{
	struct kb_event e = event("exam\"ple.org", 28);
	struct kb_json_out o;
	json_t *doc;

	(void)state;
	kb_json_out_init(&o, 8192);
	kb_json_out_open(&o, '{');
	kb_event_json(&e, 0, &o);
	kb_json_out_close(&o);
	assert_int_equal(kb_json_out_end(&o), 0);
	doc = json_loadb(o.text.buf, o.text.len, 0, NULL);
	kb_json_out_fini(&o);
	assert_non_null(doc);
	assert_string_equal(member(doc, "time"), "1970-01-01T00:00:01.500000Z");
	assert_string_equal(member(doc, "client"), "10.1.2.3:40212");
	assert_string_equal(member(doc, "to"), "10.96.0.10:53");
	assert_string_equal(member(doc, "name"), "exam\\034ple.org.");
	assert_string_equal(member(doc, "type"), "AAAA");
	assert_string_equal(member(doc, "class"), "IN");
	assert_string_equal(member(doc, "rcode"), "NOERROR");
	assert_string_equal(member(doc, "flags"), "qr,aa,rd");
	assert_string_equal(member(doc, "verdict"), "answered_positive");
	assert_int_equal(json_integer_value(json_object_get(doc, "reply_bytes")), 106);
	assert_int_equal(json_integer_value(json_object_get(doc, "answers")), 1);
	json_decref(doc);
}

static void test_names(void **state)
{
	char buf[KB_MNEMONIC_MAX];
	unsigned int rcode;
	uint16_t type;

	(void)state;
	for (unsigned int t = 0; t < 65536; t++) {
		assert_int_equal(kb_type_parse(kb_type_text((uint16_t)t, buf), &type), 0);
		assert_int_equal(type, t);
	}
	for (unsigned int r = 0; r < 16; r++) {
		assert_int_equal(kb_rcode_parse(kb_rcode_text(r, buf), &rcode), 0);
		assert_int_equal(rcode, r);
	}
	assert_int_equal(kb_type_parse("aaaa", &type), 0);
	assert_int_equal(type, 28);
	assert_int_not_equal(kb_type_parse("BOGUS", &type), 0);
	assert_int_not_equal(kb_type_parse("", &type), 0);
	assert_int_not_equal(kb_type_parse("65536", &type), 0);
	assert_int_not_equal(kb_type_parse("12x", &type), 0);
	assert_int_not_equal(kb_rcode_parse("16", &rcode), 0);
}

/* --- sampling ---------------------------------------------------------------- */

static bool takes(struct kb_sampler *s, uint32_t every, uint32_t draw)
{
	return !kb_sampler_skips(s, every) && kb_sampler_take(s, every, draw);
}

/* One in each block of N whatever is drawn; and each place when all are drawn. */
static void test_sampler(void **state)
{
	struct kb_sampler s = {0};
	uint32_t draw = 1;

	(void)state;
	for (uint32_t every = 1; every <= 100; every += 9) {
		uint64_t places[2] = {0};

		assert_int_equal(takes(&s, every, draw), every == 1);
		for (uint32_t block = 0; block < 2000; block++) {
			uint32_t taken = 0;

			for (uint32_t i = 0; i < every; i++) {
				draw = draw * 1664525 + 1013904223;
				if (!takes(&s, every, draw >> 8))
					continue;
				taken++;
				places[i / 64] |= 1ULL << i % 64;
			}
			assert_int_equal(taken, 1);
		}
		assert_int_equal(__builtin_popcountll(places[0]) + __builtin_popcountll(places[1]),
				 every);
	}
	/* From very few to all: at once. */
	for (int i = 0; i < 10; i++)
		takes(&s, 1000000, UINT32_MAX);
	assert_true(takes(&s, 1, 12345));
	assert_true(takes(&s, 1, 12345));
}

/* --- bounds ------------------------------------------------------------------ */

static void test_queue(void **state)
{
	struct kb_event e = event("example.org", 1), out[4];
	struct kb_event_queue q;

	(void)state;
	assert_int_equal(kb_event_queue_init(&q, 3), 0);
	for (uint16_t round = 0; round < 5; round++) {
		for (uint16_t i = 0; i < 5; i++) {
			e.id = (uint16_t)(round * 10 + i);
			assert_int_equal(kb_event_queue_put(&q, &e), i < 3 ? i + 1U : 0);
		}
		assert_int_equal(kb_event_queue_take(&q, out, round % 2 + 1U), round % 2 + 1U);
		assert_int_equal(out[0].id, round * 10);
		assert_int_equal(out[0].name_len, e.name_len);
		assert_memory_equal(out[0].name, e.name, e.name_len);
		assert_int_equal(kb_event_queue_take(&q, out, 4), 2 - round % 2);
		assert_int_equal(out[1 - round % 2].id, round * 10 + 2);
		assert_int_equal(kb_event_queue_take(&q, out, 4), 0);
	}
	kb_event_queue_fini(&q);
}

static void wait_written(const struct kb_querylog *log, uint64_t n)
{
	for (int ms = 0; stats_of(log).written < n; ms += 5) {
		if (ms > WAIT_MS)
			fail_msg("%llu lines of %llu", (unsigned long long)stats_of(log).written,
				 (unsigned long long)n);
		usleep(5000);
	}
}

static unsigned int count_lines(const char *file)
{
	FILE *f = fopen(file, "r");
	unsigned int n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* A file that is rotated away and reopened; a path that cannot be. */
static void test_file(void **state)
{
	struct kb_event e = event("example.org", 1);
	struct kb_querylog *log = log_new(path, false, 1, KB_EVENT_REPLIES);
	struct kb_querylog_settings s = {"/nonexistent/log", false, 1, KB_EVENT_REPLIES};
	char old[80];

	(void)state;
	for (int i = 0; i < 10; i++)
		kb_querylog_put(log, &e);
	wait_written(log, 10);
	assert_int_equal(count_lines(path), 10);
	snprintf(old, sizeof(old), "%s.1", path);
	assert_int_equal(rename(path, old), 0);
	assert_int_equal(kb_querylog_reopen(log, err, sizeof(err)), 0);
	/* Some may still go where they went; the others come here. */
	for (int ms = 0; count_lines(path) == 0 && ms < WAIT_MS; ms += 5) {
		kb_querylog_put(log, &e);
		usleep(5000);
	}
	assert_int_not_equal(count_lines(path), 0);
	assert_int_not_equal(kb_querylog_set(log, &s, err, sizeof(err)), 0);
	assert_non_null(strstr(err, "/nonexistent/log"));
	wait_written(log, stats_of(log).socket_events);
	kb_querylog_put(log, &e);
	wait_written(log, stats_of(log).socket_events);
	assert_int_equal(count_lines(path) + count_lines(old), stats_of(log).written);
	kb_querylog_free(log);
	unlink(old);
	unlink(path);
}

/* JSON, of one class. */
static void test_json_file(void **state)
{
	struct kb_querylog *log = log_new(path, true, 1, KB_EVENT_DENIAL);
	struct kb_event e = event("example.org", 1);
	json_t *doc;

	(void)state;
	kb_querylog_put(log, &e);
	e.flags3 = 3;
	kb_querylog_put(log, &e);
	e.flags3 = 2;
	kb_querylog_put(log, &e);
	kb_querylog_free(log);
	assert_int_equal(count_lines(path), 1);
	doc = json_load_file(path, 0, NULL);
	assert_non_null(doc);
	assert_string_equal(member(doc, "rcode"), "NXDOMAIN");
	json_decref(doc);
	unlink(path);
}

/* What is handed over before the end is written. Nothing is lost without being counted. */
static void test_all_counted(void **state)
{
	struct kb_event e = event("example.org", 1);
	struct kb_querylog *log = log_new(path, false, 1, KB_EVENT_REPLIES);
	struct kb_querylog_stats s;
	const uint64_t n = 30000;

	(void)state;
	for (uint64_t i = 0; i < n; i++)
		kb_querylog_put(log, &e);
	s = stats_of(log);
	assert_int_equal(s.socket_events + s.dropped_queue, n);
	kb_querylog_free(log);
	assert_int_equal(count_lines(path), s.socket_events);
	unlink(path);
}

/* A pipe whose reader does not read: lines are dropped, whole ones, and counted. */
static void test_reader_behind(void **state)
{
	struct kb_event e = event("example.org", 1);
	struct kb_querylog *log;
	char buf[4096], last = '\n';
	uint64_t lines = 0;
	int fd;
	ssize_t n;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	/* Without a reader it is an error, not a wait. */
	assert_int_equal(kb_querylog_new(NULL, NULL, &log), 0);
	assert_int_not_equal(kb_querylog_set(log, &(struct kb_querylog_settings){path, false, 1, 7},
					     err, sizeof(err)),
			     0);
	assert_non_null(strstr(err, "nobody reads"));
	kb_querylog_free(log);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	log = log_new(path, false, 1, KB_EVENT_REPLIES);
	for (int ms = 0; stats_of(log).dropped_write == 0 && ms < WAIT_MS; ms++) {
		for (int i = 0; i < 100; i++)
			kb_querylog_put(log, &e);
		usleep(1000);
	}
	assert_int_not_equal(stats_of(log).dropped_write, 0);
	kb_querylog_free(log);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			assert_true(last != '\n' || buf[i] == '[');
			last = buf[i];
			lines += last == '\n';
		}
	}
	assert_int_equal(last, '\n');
	assert_int_not_equal(lines, 0);
	close(fd);
	unlink(path);
}

/* --- what sockets report ----------------------------------------------------- */

static size_t message(uint8_t *msg, const char *name, uint16_t type, bool opt, bool dnssec_ok)
{
	static const uint8_t head[12] = {0xab, 0xcd, 1, 0, 0, 1};
	static const uint8_t opt_rr[11] = {0, 0, 41, 0x10, 0};
	size_t n = 12;

	memcpy(msg, head, 12);
	n += name_wire(name, msg + n);
	msg[n++] = (uint8_t)(type >> 8);
	msg[n++] = (uint8_t)type;
	msg[n++] = 0;
	msg[n++] = 1;
	if (opt) {
		msg[11] = 1;
		memcpy(msg + n, opt_rr, sizeof(opt_rr));
		msg[n + 7] = dnssec_ok ? 0x80 : 0;
		n += sizeof(opt_rr);
	}
	return n;
}

static void test_sockets(void **state)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(1234)};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	struct kb_querylog *log = log_new(NULL, false, 1, 0);
	struct kb_trace_filter filter = {0};
	struct kb_sampler sampler = {0};
	uint8_t msg[512];
	struct kb_asked asked;
	struct kb_trace *trace;
	struct kb_event e;
	size_t n;

	(void)state;
	inet_pton(AF_INET, "10.1.2.3", &from.sin_addr);
	inet_pton(AF_INET6, "fd00::a", &to.sin6_addr);
	n = message(msg, "Example.org", 28, true, true);
	/* Off: not even taken. */
	kb_querylog_asked(log, &sampler, (void *)&from, (void *)&to, false, msg, n, &asked);
	assert_int_equal(asked.start_ns, 0);
	kb_querylog_asked(NULL, &sampler, (void *)&from, (void *)&to, false, msg, n, &asked);
	assert_int_equal(asked.start_ns, 0);
	kb_querylog_reply(NULL, &asked, msg, n, KB_ORIGIN_TABLE);
	assert_int_equal(kb_trace_new(log, &filter, &trace), 0);
	kb_querylog_asked(log, &sampler, (void *)&from, (void *)&to, true, msg, n, &asked);
	assert_int_not_equal(asked.start_ns, 0);
	msg[2] |= 0x84;
	msg[7] = 2;
	kb_querylog_reply(log, &asked, msg, n, KB_ORIGIN_UPSTREAM);
	/* The header alone, and a name that leads out of the message. */
	kb_querylog_reply(log, &asked, msg, 12, KB_ORIGIN_TABLE);
	msg[12] = 63;
	kb_querylog_reply(log, &asked, msg, 40, KB_ORIGIN_TABLE);
	for (int i = 0; i < 3; i++) {
		for (int ms = 0; !kb_trace_next(trace, &e); ms += 5) {
			assert_true(ms < WAIT_MS);
			usleep(5000);
		}
		assert_int_equal(e.engine, KB_ENGINE_SOCKET);
		assert_int_equal(e.name_len, i ? 0 : 13);
		if (i)
			continue;
		assert_memory_equal(e.name, "\7Example\3org", 13);
		assert_int_equal(ntohs(e.qtype), 28);
		assert_int_equal(ntohs(e.qclass), 1);
		assert_int_equal(ntohs(e.id), 0xabcd);
		assert_int_equal(ntohs(e.sport), 1234);
		assert_int_equal(ntohs(e.dport), 53);
		assert_int_equal(e.src[1], (uint64_t)from.sin_addr.s_addr << 32 | 0xffff0000);
		assert_memory_equal(e.dst, &to.sin6_addr, 16);
		assert_int_equal(e.transport, KB_EVENT_TCP);
		assert_int_equal(e.origin, KB_ORIGIN_UPSTREAM);
		assert_int_equal(e.verdict, KB_CNT_MAX);
		assert_int_equal(e.query_len, n);
		assert_int_equal(e.reply_len, n);
		assert_int_equal(e.bufsize, 4096);
		assert_int_equal(e.dnssec_ok, 1);
		assert_int_equal(e.an, 2);
		assert_int_equal(e.flags2, 0x85);
		assert_int_not_equal(e.duration_ns, 0);
	}
	kb_trace_free(trace);
	/* Off again. */
	kb_querylog_asked(log, &sampler, (void *)&from, (void *)&to, false, msg, n, &asked);
	assert_int_equal(asked.start_ns, 0);
	kb_querylog_free(log);
}

/* --- traces ------------------------------------------------------------------ */

static void test_filters(void **state)
{
	static const struct {
		const char *word;
		bool takes;
	} rows[] = {
		{"name=www.example.org", true},
		{"name=Example.ORG.", true},
		{"name=org", true},
		{"name=.", true},
		{"name=xample.org", false},
		{"name=a.www.example.org", false},
		{"type=AAAA", true},
		{"type=28", true},
		{"type=A", false},
		{"rcode=NXDOMAIN", true},
		{"rcode=NOERROR", false},
		{"client=10.1.2.3", true},
		{"client=10.1.0.0/16", true},
		{"client=10.1.2.2/31", true},
		{"client=10.1.2.4/31", false},
		{"client=fd00::/8", false},
		{"engine=tc", true},
		{"engine=socket", false},
		{"sample=10", true},
	};
	static const char *const wrong[] = {"name",	  "name=",    "name=a..b",
					    "type=BOGUS", "rcode=99", "client=10.1.2.3/8",
					    "engine=bpf", "sample=0", "nam=x",
					    "=x",	  "",	      "colour=blue"};
	struct kb_event e = event("wWw.example.org", 28);
	struct kb_trace_filter f = {0};

	(void)state;
	e.flags3 = 3;
	assert_true(kb_trace_filter_takes(&f, &e));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		memset(&f, 0, sizeof(f));
		if (kb_trace_filter_word(&f, rows[i].word, err, sizeof(err)) < 0)
			fail_msg("%s: %s", rows[i].word, err);
		if (kb_trace_filter_takes(&f, &e) != rows[i].takes)
			fail_msg("%s", rows[i].word);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		*err = '\0';
		if (kb_trace_filter_word(&f, wrong[i], err, sizeof(err)) == 0 || !*err)
			fail_msg("%s is taken", wrong[i]);
	}
	/* What was left has no rcode. */
	e.reply_len = 0;
	e.flags3 = 0;
	memset(&f, 0, sizeof(f));
	assert_int_equal(kb_trace_filter_word(&f, "rcode=NOERROR", err, sizeof(err)), 0);
	assert_false(kb_trace_filter_takes(&f, &e));
}

/* A trace that is not read holds so many and counts the others; the log does not mind. There are
 * no more traces than allowed. */
static void test_trace_bounds(void **state)
{
	struct kb_event e = event("example.org", 1), out;
	struct kb_querylog *log = log_new(path, false, 1, KB_EVENT_REPLIES);
	struct kb_trace *traces[KB_TRACES_MAX], *more;
	struct kb_trace_filter filter = {0};
	int taken = 0;

	(void)state;
	assert_int_equal(kb_trace_filter_word(&filter, "type=A", err, sizeof(err)), 0);
	assert_int_equal(kb_trace_new(log, &filter, &traces[0]), 0);
	assert_int_equal(kb_trace_filter_word(&filter, "type=MX", err, sizeof(err)), 0);
	for (int i = 1; i < KB_TRACES_MAX; i++)
		assert_int_equal(kb_trace_new(log, &filter, &traces[i]), 0);
	assert_int_equal(kb_trace_new(log, &filter, &more), -EAGAIN);
	assert_int_equal(stats_of(log).traces, KB_TRACES_MAX);
	for (int i = 0; i < KB_TRACE_EVENTS + 100; i++)
		kb_querylog_put(log, &e);
	wait_written(log, KB_TRACE_EVENTS + 100);
	assert_int_equal(kb_trace_dropped(traces[0]), 100);
	while (kb_trace_next(traces[0], &out))
		taken++;
	assert_int_equal(taken, KB_TRACE_EVENTS);
	assert_int_equal(kb_trace_next(traces[1], &out), 0);
	for (int i = 0; i < KB_TRACES_MAX; i++)
		kb_trace_free(traces[i]);
	assert_int_equal(stats_of(log).traces, 0);
	kb_querylog_free(log);
	unlink(path);
}

/* While a trace takes all, the log goes on with one in ten. */
static void test_thinned(void **state)
{
	struct kb_querylog_settings s = {path, false, 10, KB_EVENT_REPLIES};
	struct kb_querylog *log = log_new(NULL, false, 1, 0);
	struct kb_event e = event("example.org", 1);
	struct kb_trace_filter filter = {0};
	struct kb_trace *trace;

	(void)state;
	assert_int_equal(kb_trace_new(log, &filter, &trace), 0);
	assert_int_equal(kb_querylog_set(log, &s, err, sizeof(err)), 0);
	for (int i = 0; i < 1001; i++)
		kb_querylog_put(log, &e);
	wait_written(log, 100);
	kb_trace_free(trace);
	kb_querylog_free(log);
	assert_int_equal(count_lines(path), 100);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	     cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_json),	     cmocka_unit_test(test_names),
		cmocka_unit_test(test_sampler),	     cmocka_unit_test(test_queue),
		cmocka_unit_test(test_file),	     cmocka_unit_test(test_json_file),
		cmocka_unit_test(test_all_counted),  cmocka_unit_test(test_reader_behind),
		cmocka_unit_test(test_sockets),	     cmocka_unit_test(test_filters),
		cmocka_unit_test(test_trace_bounds), cmocka_unit_test(test_thinned),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
