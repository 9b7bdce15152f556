/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewrite rules on names, hosts tables, and the server blocks that they belong to. What is
 * expected is what CoreDNS does, which tests/e2e/56-hosts-rewrite asks it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <cmocka.h>

#include "control/forward/blocks.h"
#include "dataplane/core/dns.h"

static struct kb_wire wire(const char *text)
{
	struct kb_wire w = {.len = 1};

	if (*text)
		assert_int_equal(kb_wire_parse(text, false, &w), 0);
	return w;
}

/* What a rule makes of a name, "" if it does not match, "!" if that is no name. */
static const char *rewritten(const struct kb_rewrite *rule, const char *text, bool back)
{
	static char out[KB_TEXT_MAX];
	struct kb_wire w = wire(text);
	size_t len = w.len;
	int r = back ? kb_rewrite_back(rule, w.b, &len) : kb_rewrite_name(rule, w.b, &len);

	if (r <= 0)
		return r < 0 ? "!" : "";
	kb_wire_text(w.b, len, out);
	return out;
}

static void rules(void **state)
{
	static const struct {
		bool suffix;
		const char *from, *to, *name, *becomes, *reply, *back;
	} rows[] = {
		/* Exact: the name and no other; in the reply what is below it, too. */
		{false, "a.b", "c.d.e", "A.b", "c.d.e", "C.d.e", "a.b"},
		{false, "a.b.", "c.d.e.", "x.a.b", "", "x.c.d.e", "x.a.b"},
		{false, "a.b", "c", "b", "", "xc", ""},
		/* Suffix with a dot: whole labels, and something before them. */
		{true, ".a.b", ".c", "x.y.A.B", "x.y.c", "z.c", "z.a.b"},
		{true, ".a.b", ".c", "a.b", "", "c", ""},
		{true, ".a.b", ".c", "xa.b", "", "xc", ""},
		/* Without: from anywhere. */
		{true, "a.b", "c.d", "a.b", "c.d", "c.d", "a.b"},
		{true, "a.b", "c.d", "x.a.b", "x.c.d", "x.c.d", "x.a.b"},
		{true, "a.b", "c.d", "xa.b", "xc.d", "y.xc.d", "y.xa.b"},
		{true, "a.b", "c.d", "a.b.c", "", "c.d.e", ""},
		{true, "a.b", "c.d", "ax.b", "", "cx.d", ""},
	};
	struct kb_rewrite rule;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(kb_rewrite_init(&rule, rows[i].from, rows[i].to, rows[i].suffix),
				 0);
		assert_string_equal(rewritten(&rule, rows[i].name, false), rows[i].becomes);
		/* After a suffix, names in the reply stay unless it is told otherwise. */
		assert_string_equal(rewritten(&rule, rows[i].reply, true),
				    rows[i].suffix ? "" : rows[i].back);
		rule.answers = true;
		assert_string_equal(rewritten(&rule, rows[i].reply, true), rows[i].back);
	}
	assert_int_equal(kb_rewrite_init(&rule, ".a", "b", true), -EINVAL);
	assert_int_equal(kb_rewrite_init(&rule, "a", ".b", true), -EINVAL);
	assert_int_equal(kb_rewrite_init(&rule, ".", ".b", true), -EINVAL);
	assert_int_equal(kb_rewrite_init(&rule, "a", "", true), -EINVAL);
	assert_int_equal(kb_rewrite_init(&rule, "a", "b..c", false), -EINVAL);
	assert_int_equal(kb_rewrite_init(&rule, ".a", ".b", false), -EINVAL);
}

static void too_long(void **state)
{
	char label[64], name[260], to[260];
	struct kb_rewrite rule;

	(void)state;
	memset(label, 'x', 63);
	label[63] = 0;
	snprintf(name, sizeof(name), "%s.%s.%s.y.a", label, label, label);
	snprintf(to, sizeof(to), ".%.57s.b", label);
	assert_int_equal(kb_rewrite_init(&rule, ".a", to, true), 0);
	assert_int_equal(strlen(rewritten(&rule, name, false)), 253);
	snprintf(to, sizeof(to), ".%.58s.b", label);
	assert_int_equal(kb_rewrite_init(&rule, ".a", to, true), 0);
	assert_string_equal(rewritten(&rule, name, false), "!");
	/* Within a label. */
	snprintf(name, sizeof(name), "%.60sabc", label);
	assert_int_equal(kb_rewrite_init(&rule, "abc", "def", true), 0);
	assert_int_equal(strlen(rewritten(&rule, name, false)), 63);
	assert_int_equal(kb_rewrite_init(&rule, "abc", "defg", true), 0);
	assert_string_equal(rewritten(&rule, name, false), "!");
}

/* --- hosts --------------------------------------------------------------------- */

static char *all_zones[] = {"", NULL};

struct asked {
	enum kb_hosts_says says;
	char text[512];
};

/* The reply as "A 1.2.3.4 A ..." */
static const struct asked *ask(const struct kb_hosts *h, const char *name, uint16_t qtype,
			       size_t cap)
{
	static struct asked a;
	struct kb_wire w = wire(name);
	uint8_t *out = malloc(cap ? cap : 1), *p = out;
	uint16_t n;
	size_t len;
	char *t = a.text;

	*t = 0;
	a.says = kb_hosts_ask(h, &w, qtype, out, cap, &n, &len);
	assert_true(len <= cap);
	for (uint16_t i = 0; i < n; i++) {
		size_t data_len = ns_get16(p + 10);
		char text[KB_TEXT_MAX];

		assert_int_equal(ns_get16(p), 0xc00c);
		assert_int_equal(ns_get16(p + 2), qtype);
		assert_int_equal(ns_get16(p + 4), 1);
		assert_int_equal(ns_get32(p + 6), h->ttl_s);
		if (qtype == KB_TYPE_PTR)
			kb_wire_text(p + 12, data_len, text);
		else
			inet_ntop(qtype == KB_TYPE_A ? AF_INET : AF_INET6, p + 12, text,
				  sizeof(text));
		t += sprintf(t, "%s%s", i ? " " : "", text);
		p += 12 + data_len;
	}
	assert_int_equal(p - out, len);
	free(out);
	return &a;
}

static void says(const struct kb_hosts *h, const char *name, uint16_t qtype,
		 enum kb_hosts_says want, const char *text)
{
	const struct asked *a = ask(h, name, qtype, 512);

	assert_int_equal(a->says, want);
	assert_string_equal(a->text, text);
}

static void make(struct kb_blocks **ret, struct kb_corefile_hosts *h, struct kb_strings zones)
{
	struct kb_corefile_block block = {.zones = zones, .hosts = h};

	assert_int_equal(kb_blocks_new(&block, 1, ret), 0);
}

static void hosts(void **state)
{
	char file[] = "192.0.2.3 db.test # db.test\n192.0.2.4\tfile.test\r\n";
	char own[] = "\n192.0.2.1 Db.test  db2.test\n2001:db8::1%eth0 db.test\n"
		     "nonsense db.test\n192.0.2.9\n::ffff:192.0.2.2 mapped.test bad..name\n"
		     "192.0.2.5 *.wild.test\n192.0.2.6 own.wild.test\n192.0.2.7 other.example";
	char *origins[] = {"test", "in-addr.arpa"}, *fall[] = {"wild.test"};
	struct kb_corefile_hosts h = {.file_text = file,
				      .inline_text = own,
				      .origins = {origins, 2},
				      .fall = {fall, 1},
				      .reverse = true,
				      .ttl_s = 77};
	const struct kb_block *b;
	struct kb_blocks *blocks;
	struct kb_wire name = wire("db.test");

	(void)state;
	make(&blocks, &h, (struct kb_strings){all_zones, 1});
	b = kb_blocks_find(blocks, &name);
	assert_non_null(b);
	says(&b->hosts, "db.test", KB_TYPE_A, KB_HOSTS_ANSWER, "192.0.2.3 192.0.2.1");
	says(&b->hosts, "db.test", KB_TYPE_AAAA, KB_HOSTS_ANSWER, "2001:db8::1");
	says(&b->hosts, "db.test", KB_TYPE_TXT, KB_HOSTS_ANSWER, "");
	says(&b->hosts, "db2.test", KB_TYPE_AAAA, KB_HOSTS_ANSWER, "");
	says(&b->hosts, "file.test", KB_TYPE_A, KB_HOSTS_ANSWER, "192.0.2.4");
	says(&b->hosts, "mapped.test", KB_TYPE_A, KB_HOSTS_ANSWER, "192.0.2.2");
	/* Unknown: its own to deny, which it says as SERVFAIL, or the next one's. */
	says(&b->hosts, "none.test", KB_TYPE_A, KB_HOSTS_FAIL, "");
	says(&b->hosts, "x.db.test", KB_TYPE_TXT, KB_HOSTS_FAIL, "");
	says(&b->hosts, "a.b.wild.test", KB_TYPE_A, KB_HOSTS_NEXT, "");
	says(&b->hosts, "wild.test", KB_TYPE_A, KB_HOSTS_NEXT, "");
	/* Of no zone of its own. */
	says(&b->hosts, "other.example", KB_TYPE_A, KB_HOSTS_NEXT, "");
	/* One label more. */
	says(&b->hosts, "a.wild.test", KB_TYPE_A, KB_HOSTS_ANSWER, "192.0.2.5");
	says(&b->hosts, "own.wild.test", KB_TYPE_A, KB_HOSTS_ANSWER, "192.0.2.6");
	/* Addresses: no wildcards, no names of other zones; in any zone. */
	says(&b->hosts, "1.2.0.192.in-addr.arpa", KB_TYPE_PTR, KB_HOSTS_ANSWER, "db.test db2.test");
	says(&b->hosts, "2.2.0.192.in-addr.arpa", KB_TYPE_PTR, KB_HOSTS_ANSWER, "mapped.test");
	says(&b->hosts, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	     KB_TYPE_PTR, KB_HOSTS_ANSWER, "db.test");
	says(&b->hosts, "5.2.0.192.in-addr.arpa", KB_TYPE_PTR, KB_HOSTS_NEXT, "");
	says(&b->hosts, "7.2.0.192.in-addr.arpa", KB_TYPE_PTR, KB_HOSTS_NEXT, "");
	says(&b->hosts, "2.0.192.in-addr.arpa", KB_TYPE_PTR, KB_HOSTS_NEXT, "");
	says(&b->hosts, "1.2.0.192.in-addr.arpa", KB_TYPE_A, KB_HOSTS_FAIL, "");
	/* More than there is room for. */
	for (size_t cap = 0; cap < 34; cap++) {
		bool fits = cap >= 32;
		const struct asked *a = ask(&b->hosts, "db.test", KB_TYPE_A, cap);

		assert_int_equal(a->says, fits ? KB_HOSTS_ANSWER : KB_HOSTS_LARGE);
	}
	kb_blocks_unref(blocks);

	h.reverse = false;
	h.unsupported_falls = true;
	h.fall = (struct kb_strings){all_zones, 1};
	make(&blocks, &h, (struct kb_strings){all_zones, 1});
	b = kb_blocks_find(blocks, &name);
	says(&b->hosts, "1.2.0.192.in-addr.arpa", KB_TYPE_PTR, KB_HOSTS_NEXT, "");
	says(&b->hosts, "db.test", KB_TYPE_TXT, KB_HOSTS_NEXT, "");
	says(&b->hosts, "db2.test", KB_TYPE_AAAA, KB_HOSTS_ANSWER, "");
	says(&b->hosts, "none.test", KB_TYPE_A, KB_HOSTS_NEXT, "");
	kb_blocks_unref(blocks);
}

/* Many names, found all. */
static void hosts_many(void **state)
{
	char *text = malloc(1 << 20), *p = text, name[32], addr[16];
	struct kb_corefile_hosts h = {
		.inline_text = text, .origins = {all_zones, 1}, .reverse = true, .ttl_s = 1};
	struct kb_wire root = wire("");
	const struct kb_block *b;
	struct kb_blocks *blocks;

	(void)state;
	for (int i = 0; i < 20000; i++)
		p += sprintf(p, "10.1.%d.%d n%d.test\n", i / 200, i % 200, i * 7919 % 20000);
	make(&blocks, &h, (struct kb_strings){all_zones, 1});
	b = kb_blocks_find(blocks, &root);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%d.test", i * 7919 % 20000);
		snprintf(addr, sizeof(addr), "10.1.%d.%d", i / 200, i % 200);
		says(&b->hosts, name, KB_TYPE_A, KB_HOSTS_ANSWER, addr);
		snprintf(addr, sizeof(addr), "%d.%d.1.10", i % 200, i / 200);
		snprintf(name, sizeof(name), "%s.in-addr.arpa", addr);
		assert_int_equal(ask(&b->hosts, name, KB_TYPE_PTR, 512)->says, KB_HOSTS_ANSWER);
	}
	kb_blocks_unref(blocks);
	free(text);
}

/* --- blocks --------------------------------------------------------------------- */

static void blocks(void **state)
{
	char *z0[] = {"a.test", "x.b.test"}, *z1[] = {""}, *z2[] = {"b.test"};
	struct kb_corefile_rewrite rw[] = {
		{.from = "one.test", .to = "two.test"},
		{.from = ".test", .to = ".example", .suffix = true, .stop = true},
		{.from = "two.example", .to = "never.example", .stop = true},
	};
	struct kb_corefile_block v[] = {
		{.zones = {z0, 2}, .rewrites = rw, .n_rewrites = 3},
		{.zones = {z1, 1}},
		{.zones = {z2, 1}},
	};
	const struct kb_rewrite *matched[KB_REWRITES_MATCH_MAX];
	const struct kb_block *b[3];
	struct kb_wire name = wire("n.a.test");
	struct kb_blocks *all;
	size_t len;

	(void)state;
	assert_int_equal(kb_blocks_new(v, 3, &all), 0);
	b[0] = kb_blocks_find(all, &name);
	name = wire("x.b.test");
	assert_ptr_equal(kb_blocks_find(all, &name), b[0]);
	name = wire("y.b.test");
	b[2] = kb_blocks_find(all, &name);
	name = wire("yb.test");
	b[1] = kb_blocks_find(all, &name);
	name = wire("");
	assert_ptr_equal(kb_blocks_find(all, &name), b[1]);
	assert_true(b[0] != b[1] && b[1] != b[2] && b[0] != b[2]);
	/* In their order, each on what the one before has made, until one stops. */
	name = wire("One.test");
	len = name.len;
	assert_int_equal(kb_block_rewrite(b[0], name.b, &len, matched), 2);
	assert_ptr_equal(matched[0], &b[0]->rewrites[0]);
	assert_ptr_equal(matched[1], &b[0]->rewrites[1]);
	assert_memory_equal(name.b, "\3two\7example", 13);
	assert_int_equal(kb_block_rewrite(b[0], name.b, &len, matched), 1);
	assert_int_equal(kb_block_rewrite(b[0], name.b, &len, matched), 0);
	assert_int_equal(kb_block_rewrite(b[1], name.b, &len, matched), 0);
	kb_blocks_unref(kb_blocks_ref(all));
	kb_blocks_unref(all);
	kb_blocks_unref(NULL);
	/* Without a block for the root some names have none. */
	assert_int_equal(kb_blocks_new(v, 1, &all), 0);
	name = wire("b.test");
	assert_null(kb_blocks_find(all, &name));
	kb_blocks_unref(all);
	rw[1].to = "example";
	assert_int_equal(kb_blocks_new(v, 1, &all), -EINVAL);
}

/* A chain of rules without end. */
static void too_many_rules(void **state)
{
	char *root[] = {""};
	struct kb_corefile_rewrite rw[KB_REWRITES_MATCH_MAX + 1];
	struct kb_corefile_block v = {.zones = {root, 1}, .rewrites = rw};
	const struct kb_rewrite *matched[KB_REWRITES_MATCH_MAX];
	struct kb_wire name = wire("a.test");
	struct kb_blocks *all;
	size_t len;

	(void)state;
	for (size_t i = 0; i <= KB_REWRITES_MATCH_MAX; i++)
		rw[i] = (struct kb_corefile_rewrite){.from = i % 2 ? "b.test" : "a.test",
						     .to = i % 2 ? "a.test" : "b.test"};
	for (v.n_rewrites = KB_REWRITES_MATCH_MAX; v.n_rewrites <= KB_REWRITES_MATCH_MAX + 1;
	     v.n_rewrites++) {
		name = wire("a.test");
		len = name.len;
		assert_int_equal(kb_blocks_new(&v, 1, &all), 0);
		assert_int_equal(kb_block_rewrite(kb_blocks_find(all, &name), name.b, &len,
						  matched),
				 v.n_rewrites > KB_REWRITES_MATCH_MAX ? -ENAMETOOLONG
								      : KB_REWRITES_MATCH_MAX);
		kb_blocks_unref(all);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),  cmocka_unit_test(too_long),
		cmocka_unit_test(hosts),  cmocka_unit_test(hosts_many),
		cmocka_unit_test(blocks), cmocka_unit_test(too_many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
