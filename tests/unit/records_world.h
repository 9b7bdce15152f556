/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records over a fake table, and what they answer through the real answer core: for the
 * tests of control/records, which include this first of all.
 */
#ifndef KB_TESTS_RECORDS_WORLD_H
#define KB_TESTS_RECORDS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_env.h"

#include "control/records/records.h"
#include "control/records/wirename.h"
#include "tests/unit/ask_core.h"
#include "tests/unit/fixture_cluster.h"
#include "tests/unit/fixture_rules.h"

#include "tests/unit/answer_cases.h" /* last: its macros have short names */

struct world {
	struct kb_table *table;
	struct kb_records *records;
	struct kb_sink sink;
	char icepts[4096]; /* sorted lines "+ADDR PORT", as they came; ! a Service's */
	char warnings[8192];
	unsigned int synced;
	char programmed[256]; /* "TYPE SELECTOR TRIGGER\n" each */
	uint32_t now;
};

static inline void on_intercept(void *arg, bool add, bool service, const struct kb_addr *a,
				uint16_t port)
{
	struct world *w = arg;
	size_t len = strlen(w->icepts);

	if (a->family == 4)
		snprintf(w->icepts + len, sizeof(w->icepts) - len, "%c%d.%d.%d.%d %d%s\n",
			 add ? '+' : '-', a->b[0], a->b[1], a->b[2], a->b[3], port,
			 service ? "!" : "");
	else
		snprintf(w->icepts + len, sizeof(w->icepts) - len, "%c6:%02x%02x %d%s\n",
			 add ? '+' : '-', a->b[14], a->b[15], port, service ? "!" : "");
}

static inline void on_warn(void *arg, const char *line)
{
	struct world *w = arg;
	size_t len = strlen(w->warnings);

	snprintf(w->warnings + len, sizeof(w->warnings) - len, "%s\n", line);
}

static inline void on_programmed(void *arg, enum kb_service_type type, bool selector,
				 double trigger)
{
	struct world *w = arg;
	size_t len = strlen(w->programmed);

	snprintf(w->programmed + len, sizeof(w->programmed) - len, "%s %d %.1f\n",
		 type == KB_CLUSTER_IP ? "cluster"
		 : type == KB_HEADLESS ? "headless"
				       : "external",
		 selector, trigger);
}

static inline void on_synced(void *arg)
{
	((struct world *)arg)->synced++;
}

static inline uint32_t on_now(void *arg)
{
	return ((struct world *)arg)->now;
}

#define REVERSE_OURS "cluster.local in-addr.arpa ip6.arpa"

static inline void records_new(struct world *w, const char *zones, struct kb_rules rules)
{
	struct kb_records_config config = {
		.rules = &rules,
		.dns_services = {"kube-system/kube-dns"},
		.n_dns_services = 1,
		.intercept = on_intercept,
		.warn = on_warn,
		.programmed = on_programmed,
		.synced = on_synced,
		.now_s = on_now,
		.arg = w,
	};
	char err[256] = "";

	fixture_zones(&rules, zones);
	rules.ttl_s = rules.ttl_s ? rules.ttl_s : 5;
	assert_int_equal(kb_records_new(&config, w->table, &w->records, err, sizeof(err)), 0);
	kb_records_sink(w->records, &w->sink);
}

static inline struct world *world_with(const char *const *lines, const char *zones,
				       struct kb_rules rules)
{
	struct world *w = calloc(1, sizeof(*w));

	w->now = 1700000000;
	w->table = fake_table_new(1 << 14);
	records_new(w, zones, rules);
	if (lines)
		fixture_list(&w->sink, lines);
	return w;
}

static inline struct world *world_new(const char *const *lines)
{
	return world_with(lines, FIXTURE_ZONES, (struct kb_rules){0});
}

static inline void world_free(struct world *w)
{
	kb_records_free(w->records);
	fake_table_free(w->table);
	free(w);
}

static inline void ev(struct world *w, const char *line)
{
	fixture_apply(&w->sink, line);
}

static inline void check_section(const char *what, const char *qname, const char *qtype,
				 const char *got, const char *want)
{
	char *sorted = strdup(want);

	ask_sort(sorted);
	if (strcmp(got, sorted))
		fail_msg("%s %s, %s: got\n%swanted\n%s", qname, qtype, what, got, sorted);
	free(sorted);
}

static inline void expect_case(struct world *w, const struct answer_case *c)
{
	static struct reply r;

	ask_core(w->table, c->qname, c->qtype, !(c->flags & CASE_PLAIN), &r);
	if (c->flags & CASE_LEAVE) {
		if (!r.left)
			fail_msg("%s %s was answered (%s), not left", c->qname, c->qtype, r.rcode);
		return;
	}
	if (r.left)
		fail_msg("%s %s was left: %d", c->qname, c->qtype, r.left);
	if (strcmp(r.rcode, c->rcode))
		fail_msg("%s %s: %s, not %s\n%s", c->qname, c->qtype, r.rcode, c->rcode, r.answer);
	assert_int_equal(r.aa, 1);
	if (r.tc != !!(c->flags & CASE_TC))
		fail_msg("%s %s: tc is %d", c->qname, c->qtype, r.tc);
	check_section("answer", c->qname, c->qtype, r.answer, c->answer);
	check_section("authority", c->qname, c->qtype, r.authority, c->authority);
	check_section("additional", c->qname, c->qtype, r.additional, c->additional);
}

static inline void expect(struct world *w, const char *qname, const char *qtype, const char *rcode,
			  const char *answer, const char *authority, const char *additional)
{
	struct answer_case c = {qname, qtype, rcode, 0, answer, authority, additional};

	expect_case(w, &c);
}

static inline void expect_nx(struct world *w, const char *qname)
{
	expect(w, qname, "A", "NXDOMAIN", "", SOA_Z, "");
}

static inline void expect_nodata(struct world *w, const char *qname, const char *qtype)
{
	expect(w, qname, qtype, "NOERROR", "", SOA_Z, "");
}

static inline void expect_left(struct world *w, const char *qname, const char *qtype)
{
	struct answer_case c = {qname, qtype, "", CASE_LEAVE, "", "", ""};

	expect_case(w, &c);
}

static inline void expect_a(struct world *w, const char *qname, const char *addr)
{
	char line[512];

	snprintf(line, sizeof(line), "%s. 5 IN A %s\n", qname, addr);
	expect(w, qname, "A", "NOERROR", line, "", "");
}

static inline void expect_ptr(struct world *w, const char *qname, const char *t1, const char *t2)
{
	char lines[1024];
	int n = snprintf(lines, sizeof(lines), "%s. 5 IN PTR %s.\n", qname, t1);

	if (t2)
		snprintf(lines + n, sizeof(lines) - (size_t)n, "%s. 5 IN PTR %s.\n", qname, t2);
	expect(w, qname, "PTR", "NOERROR", lines, "", "");
}

static const char *const nothing[] = {NULL};

/* The whole answer, as TCP gets it. */
static inline int render(struct world *w, const char *qname, const char *qtype, struct reply *r)
{
	static unsigned char msg[66000];
	struct kb_rendered rd;
	size_t qlen, len = ask_query(qname, qtype, false, msg, &qlen);
	unsigned int type = (unsigned int)msg[12 + qlen] << 8 | msg[13 + qlen];
	int err;

	memset(r, 0, sizeof(*r));
	err = kb_records_render(w->records, msg + 12, qlen, (uint16_t)type, msg + len, 65535 - len,
				&rd);
	if (err)
		return err;
	msg[2] = 0x84;
	msg[3] = rd.rcode;
	msg[6] = (unsigned char)(rd.an >> 8);
	msg[7] = (unsigned char)rd.an;
	msg[8] = (unsigned char)(rd.ns >> 8);
	msg[9] = (unsigned char)rd.ns;
	msg[10] = (unsigned char)(rd.ar >> 8);
	msg[11] = (unsigned char)rd.ar;
	ask_decode(msg, len + rd.len, r);
	return 0;
}

#define SOA_OF(zone) zone " 5 IN SOA ns.dns." zone " hostmaster." zone " SERIAL 7200 1800 86400 5\n"

#endif
