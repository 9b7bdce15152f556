/* SPDX-License-Identifier: Apache-2.0 */
/* dnstap messages, read again by a decoder of protobuf and by libldns; readers that are not there,
 * hang, or go away. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <ldns/ldns.h>

#include "control/config/version.h"
#include "control/querylog/dnstap.h"
#include "control/querylog/querylog.h"
#include "control/querylog/tap.h"
#include "tests/unit/querylog_world.h"

static char dir[] = "/tmp/kbdns-dnstap-XXXXXX";
static char path[64], target[80];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/sock", mkdtemp(dir) ? dir : "?");
	snprintf(target, sizeof(target), KB_TAP_PREFIX "%s", path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct kb_event event(void)
{
	static const uint8_t name[] = "\3wWw\7example\3org";
	struct kb_event e = event_of(name, sizeof(name), 28);

	e.flags3 = 0x83;
	return e;
}

/* --- protobuf, by the encoding's description alone ---------------------------- */

struct field {
	bool there;
	uint64_t number;
	const uint8_t *bytes; /* `number` of them */
};

static uint64_t varint(const uint8_t **p, const uint8_t *end)
{
	uint64_t v = 0;

	for (unsigned int shift = 0;; shift += 7) {
		assert_true(*p < end && shift < 64);
		v |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			return v;
	}
}

/* Each field once, none above 15. */
static void decode(const uint8_t *p, size_t len, struct field fields[16])
{
	const uint8_t *end = p + len;

	memset(fields, 0, 16 * sizeof(*fields));
	while (p < end) {
		uint64_t tag = varint(&p, end);
		struct field *f = &fields[tag >> 3];

		assert_in_range(tag >> 3, 1, 15);
		assert_false(f->there);
		f->there = true;
		switch (tag & 7) {
		case 0:
			f->number = varint(&p, end);
			break;
		case 2:
			f->number = varint(&p, end);
			assert_true(f->number <= (uint64_t)(end - p));
			f->bytes = p;
			p += f->number;
			break;
		case 5:
			assert_true(end - p >= 4);
			f->number = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
				    (uint32_t)p[3] << 24;
			p += 4;
			break;
		default:
			fail_msg("kind %u", (unsigned int)(tag & 7));
		}
	}
}

static void check_bytes(const struct field *f, const void *want, size_t len)
{
	assert_non_null(f->bytes);
	assert_int_equal(f->number, len);
	assert_memory_equal(f->bytes, want, len);
}

static uint8_t buf[KB_DNSTAP_MAX];

/* Encodes, checks the outer message, gives the inner one's fields. */
static void encoded(const struct kb_event *e, const char *identity, struct field inner[16])
{
	struct field outer[16];
	char line[KB_EVENT_LINE_MAX];
	size_t n = kb_dnstap_encode(e, 1000000000, identity, buf), id_len = strlen(identity);

	assert_in_range(n, 1, sizeof(buf));
	decode(buf, n, outer);
	check_bytes(&outer[1], identity,
		    id_len < KB_DNSTAP_IDENTITY_MAX ? id_len : KB_DNSTAP_IDENTITY_MAX);
	check_bytes(&outer[2], "kbdns " KB_VERSION, strlen("kbdns " KB_VERSION));
	check_bytes(&outer[3], line, kb_event_line(e, 1000000000, line) - 1);
	assert_int_equal(outer[15].number, 1);
	assert_non_null(outer[14].bytes);
	decode(outer[14].bytes, outer[14].number, inner);
}

/* The whole of it can be parsed, and holds no record. */
static ldns_pkt *packet(const struct field *f)
{
	ldns_pkt *pkt;

	assert_non_null(f->bytes);
	assert_int_equal(ldns_wire2pkt(&pkt, f->bytes, f->number), LDNS_STATUS_OK);
	assert_int_equal(ldns_pkt_ancount(pkt) + ldns_pkt_nscount(pkt) + ldns_pkt_arcount(pkt), 0);
	assert_false(ldns_pkt_edns(pkt));
	return pkt;
}

static void test_reply(void **state)
{
	struct kb_event e = event();
	struct field m[16];
	char *name;
	ldns_pkt *pkt;
	ldns_rr *q;

	(void)state;
	e.duration_ns = 600000000;
	encoded(&e, "node-1", m);
	assert_int_equal(m[1].number, 6); /* CLIENT_RESPONSE */
	assert_int_equal(m[2].number, 1); /* INET */
	assert_int_equal(m[3].number, 1); /* UDP */
	check_bytes(&m[4], "\x0a\x01\x02\x03", 4);
	check_bytes(&m[5], "\x0a\x60\x00\x0a", 4);
	assert_int_equal(m[6].number, 40212);
	assert_int_equal(m[7].number, 53);
	assert_int_equal(m[8].number, 1);
	assert_int_equal(m[9].number, 900000000);
	assert_false(m[10].there);
	assert_int_equal(m[12].number, 2);
	assert_int_equal(m[13].number, 500000000);
	pkt = packet(&m[14]);
	assert_int_equal(ldns_pkt_id(pkt), 54321);
	assert_true(ldns_pkt_qr(pkt) && ldns_pkt_aa(pkt) && ldns_pkt_rd(pkt) && ldns_pkt_ra(pkt));
	assert_false(ldns_pkt_tc(pkt) || ldns_pkt_ad(pkt) || ldns_pkt_cd(pkt));
	assert_int_equal(ldns_pkt_get_rcode(pkt), LDNS_RCODE_NXDOMAIN);
	assert_int_equal(ldns_pkt_qdcount(pkt), 1);
	q = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);
	name = ldns_rdf2str(ldns_rr_owner(q));
	assert_string_equal(name, "wWw.example.org.");
	assert_int_equal(ldns_rr_get_type(q), LDNS_RR_TYPE_AAAA);
	assert_int_equal(ldns_rr_get_class(q), LDNS_RR_CLASS_IN);
	free(name);
	ldns_pkt_free(pkt);
}

/* Not measured; TCP and IPv6; no question that could be read; all at its longest. */
static void test_rows(void **state)
{
	char identity[100] = "", longest[4][64];
	struct kb_event e = event();
	struct field m[16];
	ldns_pkt *pkt;

	(void)state;
	encoded(&e, "", m);
	assert_false(m[8].there || m[9].there);
	assert_true(m[12].there);
	e.transport = KB_EVENT_TCP;
	inet_pton(AF_INET6, "fd00::b", e.src);
	inet_pton(AF_INET6, "fd00::53", e.dst);
	encoded(&e, "n", m);
	assert_int_equal(m[2].number, 2);
	assert_int_equal(m[3].number, 2);
	check_bytes(&m[4], e.src, 16);
	check_bytes(&m[5], e.dst, 16);
	e.name_len = 0;
	encoded(&e, "n", m);
	assert_int_equal(m[14].number, 12);
	pkt = packet(&m[14]);
	assert_int_equal(ldns_pkt_qdcount(pkt), 0);
	ldns_pkt_free(pkt);
	memset(identity, 'i', sizeof(identity) - 1);
	memset(longest, 0xff, sizeof(longest));
	for (int i = 0; i < 4; i++)
		longest[i][0] = i < 3 ? 63 : 61;
	memcpy(e.name, longest, 254);
	e.name[254] = 0;
	e.name_len = 255;
	e.duration_ns = UINT32_MAX;
	e.time_ns = INT64_MAX - 1000000000;
	encoded(&e, identity, m);
	ldns_pkt_free(packet(&m[14]));
	assert_int_equal(m[14].number, 12 + 255 + 4);
}

static void test_left(void **state)
{
	struct kb_event e = event();
	struct field m[16];
	ldns_pkt *pkt;

	(void)state;
	e.reply_len = 0;
	e.an = 0;
	e.flags2 = 1;
	e.flags3 = 0;
	e.verdict = KB_CNT_NO_ZONE;
	encoded(&e, "n", m);
	assert_int_equal(m[1].number, 5); /* CLIENT_QUERY */
	assert_int_equal(m[8].number, 2);
	assert_int_equal(m[9].number, 500000000);
	assert_false(m[12].there || m[13].there || m[14].there);
	pkt = packet(&m[10]);
	assert_false(ldns_pkt_qr(pkt));
	assert_int_equal(ldns_pkt_qdcount(pkt), 1);
	ldns_pkt_free(pkt);
}

/* --- readers ----------------------------------------------------------------- */

static void drops_all(struct kb_querylog *log, uint64_t n)
{
	struct kb_event e = event();

	for (uint64_t i = 0; i < n; i++)
		kb_querylog_put(log, &e);
	for (int ms = 0; stats_of(log).dropped_write + stats_of(log).dropped_queue < n; ms += 5) {
		if (ms > WAIT_MS)
			fail_msg("%llu dropped", (unsigned long long)stats_of(log).dropped_write);
		usleep(5000);
	}
	assert_int_equal(stats_of(log).dropped_write + stats_of(log).dropped_queue, n);
	assert_int_not_equal(stats_of(log).dropped_write, 0);
	assert_int_equal(stats_of(log).written, 0);
}

/* No socket, and one whose owner never accepts: all is dropped and counted, and the end comes. */
static void test_no_reader(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct kb_querylog *log = log_new(target, false, 1, KB_EVENT_REPLIES);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	drops_all(log, 1000);
	kb_querylog_free(log);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	log = log_new(target, false, 1, KB_EVENT_REPLIES);
	drops_all(log, 20000);
	assert_int_equal(kb_querylog_reopen(log, err, sizeof(err)), 0);
	kb_querylog_free(log);
	close(fd);
}

static void test_paths(void **state)
{
	char longest[200] = KB_TAP_PREFIX;
	struct kb_querylog_settings s = {longest, false, 1, KB_EVENT_REPLIES};
	struct kb_querylog *log = log_new(target, false, 1, KB_EVENT_REPLIES);

	(void)state;
	assert_null(kb_tap_path("/var/log/dnstap:1"));
	assert_string_equal(kb_tap_path(target), path);
	assert_int_equal(kb_querylog_set(log, &s, err, sizeof(err)), -EINVAL);
	memset(longest + 7, 'x', 107);
	assert_int_equal(kb_tap_check(longest + 7), 0);
	longest[7 + 107] = 'x';
	assert_int_equal(kb_querylog_set(log, &s, err, sizeof(err)), -ENAMETOOLONG);
	assert_non_null(strstr(err, "dnstap:xxx"));
	s.path = NULL;
	assert_int_equal(kb_querylog_set(log, &s, err, sizeof(err)), 0);
	kb_querylog_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply), cmocka_unit_test(test_rows),
		cmocka_unit_test(test_left),  cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
