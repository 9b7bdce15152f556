/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Corefile reader. The table is tests/corefile: each file says in its first comments what is
 * expected of it:
 *
 *	# expect: ZONE=ROLE[,leave] ... pods=MODE ttl=N ...	the rules, as rules_text prints them
 *	# expect-part: ...		a part of that
 *	# left: LINE ZONE		a note of that line leaves this zone alone
 *					(-: no zone named)
 *	# harmless: LINE WORD		a note of that line is harmless, and begins so
 *	# refused: LINE: TEXT		-EINVAL, with an error of that line that begins so
 *	# unfollowed: LINE: TEXT	-EOPNOTSUPP
 *	# forward: ...			who is asked for which names, as forward_text prints it
 *	# closed: LINE DOMAIN		a note of that line makes this domain SERVFAIL
 *	# unapplied: LINE WORD		a note of that line says that it is not done, and
 *					begins so
 *	# env: NAME=VALUE ...		the environment for this file
 *	# coredns: accepts|refuses	what the real CoreDNS does, when it is not the
 *					same as we
 *
 * The same files are given to the real CoreDNS by tests/e2e.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/config/corefile.h"
#include "control/config/rules.h"

#define DIR_NAME "tests/corefile"
#define N_FIXED	 9 /* tests that are no files */

static void add(char *text, size_t size, const char *word)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s%s", n ? " " : "", word);
}

/* One line; blanks within a value are underscores. */
static void rules_text(const struct kb_rules *rules, char *text, size_t size)
{
	static const char *const roles[] = {"cluster", "reverse", "foreign"};
	static const char *const pods[] = {"disabled", "insecure", "verified"};
	char word[512];

	*text = '\0';
	for (size_t i = 0; i < rules->n_zones; i++) {
		const struct kb_zone_rule *z = &rules->zones[i];

		snprintf(word, sizeof(word), "%s=%s%s", z->name, roles[z->role],
			 z->leave_misses && z->role != KB_ZONE_FOREIGN ? ",leave" : "");
		add(text, size, word);
		assert_true(z->role != KB_ZONE_FOREIGN || z->leave_misses);
	}
	snprintf(word, sizeof(word), "pods=%s ttl=%u", pods[rules->pods], rules->ttl_s);
	add(text, size, word);
	if (rules->endpoint_pod_names)
		add(text, size, "endpoint_pod_names");
	if (rules->no_endpoints)
		add(text, size, "noendpoints");
	if (rules->ignore_empty)
		add(text, size, "ignore_empty");
	for (size_t i = 0; i < rules->n_namespaces; i++) {
		snprintf(word, sizeof(word), "%s%s", i ? "" : "namespaces=", rules->namespaces[i]);
		if (i)
			snprintf(text + strlen(text), size - strlen(text), ",%s", word);
		else
			add(text, size, word);
	}
	for (int i = 0; i < 2; i++) {
		const char *s = i ? rules->labels : rules->namespace_labels;

		if (!s)
			continue;
		snprintf(word, sizeof(word), "%s=%s", i ? "labels" : "namespace_labels", s);
		for (char *c = strchr(word, ' '); c; c = strchr(c, ' '))
			*c = '_';
		add(text, size, word);
	}
}

/* DOMAIN=SERVER,SERVER of each rule, then its options that are not the defaults; the root is ".".
 */
static void forward_text(const struct kb_forward_rules *rules, char *text, size_t size)
{
	static const char *const policies[] = {"random", "round_robin", "sequential"};
	char server[KB_UPSTREAM_TEXT_MAX], word[1024];

	*text = '\0';
	for (size_t i = 0; i < rules->n; i++) {
		const struct kb_forward_rule *r = &rules->v[i];
		size_t len;

		snprintf(word, sizeof(word), "%s=", *r->domain ? r->domain : ".");
		for (size_t k = 0; k < r->n; k++) {
			len = strlen(word);
			snprintf(word + len, sizeof(word) - len, "%s%s", k ? "," : "",
				 kb_format_upstream(&r->specs[k], server));
		}
		len = strlen(word);
		snprintf(word + len, sizeof(word) - len, "%s%s%s%s%s",
			 r->n && r->resolv_conf ? "," : "", r->resolv_conf ? r->resolv_conf : "",
			 r->options.force_tcp ? "+force_tcp" : "", r->has_policy ? "+" : "",
			 r->has_policy ? policies[r->options.policy] : "");
		len = strlen(word);
		if (r->options.max_fails != 2)
			snprintf(word + len, sizeof(word) - len, "+max_fails:%u",
				 r->options.max_fails);
		len = strlen(word);
		if (r->options.probe_ms != 500 || *r->options.probe_domain ||
		    r->options.probe_no_rd)
			snprintf(word + len, sizeof(word) - len, "+probe:%u/%s%s",
				 r->options.probe_ms, r->options.probe_domain,
				 r->options.probe_no_rd ? "/no_rd" : "");
		len = strlen(word);
		if (r->options.cache.ttl_max_s != UINT32_MAX ||
		    r->options.cache.negative_max_s != UINT32_MAX)
			snprintf(word + len, sizeof(word) - len, "+cache:%u/%u",
				 r->options.cache.ttl_max_s, r->options.cache.negative_max_s);
		add(text, size, word);
	}
}

static bool has_note(const struct kb_corefile *c, enum kb_corefile_verdict verdict,
		     unsigned int line, const char *what, const char *zone)
{
	for (size_t i = 0; i < c->n_notes; i++) {
		const struct kb_corefile_note *n = &c->notes[i];

		if (n->verdict == verdict && n->line == line &&
		    strncmp(n->what, what, strlen(what)) == 0 &&
		    (!zone || strcmp(zone, n->zone ? n->zone : "-") == 0))
			return true;
	}
	return false;
}

static void show(const char *path, const struct kb_corefile *c)
{
	static const char *const verdicts[] = {"taken", "harmless", "left", "closed", "unapplied"};

	for (size_t i = 0; i < c->n_notes; i++)
		print_message("%s:%u: %s: %s [%s] %s\n", path, c->notes[i].line,
			      verdicts[c->notes[i].verdict], c->notes[i].what,
			      c->notes[i].zone ? c->notes[i].zone : "-", c->notes[i].why);
}

/* Checks one "# key: value" line against the outcome; false for any other comment. */
static bool check_line(const char *path, const char *key, const char *value, int r, const char *err,
		       const struct kb_corefile *c)
{
	char text[16384], zone[300], want[700];
	unsigned int line;

	if (strncmp(key, "expect", 6) == 0) {
		if (r < 0)
			fail_msg("%s: %s", path, err);
		rules_text(&c->rules, text, sizeof(text));
		if (strcmp(key, "expect") == 0 ? strcmp(text, value) != 0 : !strstr(text, value)) {
			show(path, c);
			fail_msg("%s: rules\n  %s\nexpected\n  %s", path, text, value);
		}
	} else if (strcmp(key, "forward") == 0) {
		if (r < 0)
			fail_msg("%s: %s", path, err);
		forward_text(&c->forward, text, sizeof(text));
		if (strcmp(text, value) != 0) {
			show(path, c);
			fail_msg("%s: forward rules\n  %s\nexpected\n  %s", path, text, value);
		}
	} else if (strcmp(key, "left") == 0 || strcmp(key, "closed") == 0) {
		assert_int_equal(sscanf(value, "%u %299s", &line, zone), 2);
		if (!has_note(c, *key == 'l' ? KB_COREFILE_LEFT : KB_COREFILE_CLOSED, line, "",
			      zone)) {
			show(path, c);
			fail_msg("%s: no note says %s %s because of line %u", path, key, zone,
				 line);
		}
	} else if (strcmp(key, "harmless") == 0 || strcmp(key, "unapplied") == 0) {
		assert_int_equal(sscanf(value, "%u %299s", &line, zone), 2);
		if (!has_note(c, *key == 'h' ? KB_COREFILE_HARMLESS : KB_COREFILE_UNAPPLIED, line,
			      zone, NULL)) {
			show(path, c);
			fail_msg("%s: %s in line %u is not %s", path, zone, line, key);
		}
	} else if (strcmp(key, "refused") == 0 || strcmp(key, "unfollowed") == 0) {
		snprintf(want, sizeof(want), "%s:%s", path, value);
		if (r != (*key == 'r' ? -EINVAL : -EOPNOTSUPP) ||
		    strncmp(err, want, strlen(want)) != 0) {
			fail_msg("%s: got %d \"%s\", expected \"%s\"", path, r, err, want);
		}
	} else {
		return false;
	}
	return true;
}

/* "# key: value" of the comments at the top; false at their end. */
static bool next_comment(FILE *f, char *line, size_t size, char **ret_key, char **ret_value)
{
	char *colon;

	while (fgets(line, (int)size, f) && *line == '#') {
		line[strcspn(line, "\n")] = '\0';
		colon = strstr(line, ": ");
		*ret_key = line + 1 + strspn(line + 1, " ");
		*ret_value = colon ? colon + 2 : line;
		if (!colon || strcspn(*ret_key, " ") < (size_t)(colon - *ret_key))
			continue;
		*colon = '\0';
		return true;
	}
	return false;
}

static void set_environment(const char *path, bool on)
{
	char line[4096], *key, *value, *save = NULL;
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	while (next_comment(f, line, sizeof(line), &key, &value)) {
		if (strcmp(key, "env") != 0)
			continue;
		for (char *w = strtok_r(value, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
			char *eq = strchr(w, '=');

			assert_non_null(eq);
			*eq = '\0';
			assert_int_equal(on ? setenv(w, eq + 1, 1) : unsetenv(w), 0);
		}
	}
	fclose(f);
}

static void test_file(void **state)
{
	const char *path = *state;
	char line[4096], err[1024] = "", *key, *value;
	struct kb_corefile c;
	unsigned int checks = 0;
	FILE *f;
	int r;

	set_environment(path, true);
	r = kb_corefile_read(path, NULL, &c, err, sizeof(err));
	set_environment(path, false);
	assert_int_equal(r < 0, *err != '\0');
	assert_true(c.n_files >= 1);
	assert_string_equal(c.files[0], path);
	f = fopen(path, "re");
	assert_non_null(f);
	while (next_comment(f, line, sizeof(line), &key, &value))
		checks += check_line(path, key, value, r, err, &c);
	fclose(f);
	if (!checks)
		fail_msg("%s: says nothing of what is expected", path);
	kb_corefile_free(&c);
}

static int parse(const char *text, struct kb_corefile *c, char *err, size_t size)
{
	return kb_corefile_parse("configmap kube-system/coredns", text, strlen(text), c, err, size);
}

/* A ConfigMap has no files beside it: what they would say is unknown, and so what it concerns is
 * left. */
static void test_imports_of_text(void **state)
{
	static const struct {
		const char *text;
		unsigned int line;
	} rows[] = {
		{". {\nkubernetes cluster.local\nimport custom/*.override\n}\n", 3},
		{"import custom/*.server\n. {\nkubernetes cluster.local\n}\n", 1},
		{". {\nkubernetes cluster.local\n}\nimport custom/*.server\n", 4},
	};
	char err[512] = "", text[512];
	struct kb_corefile c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(parse(rows[i].text, &c, err, sizeof(err)), 0);
		rules_text(&c.rules, text, sizeof(text));
		assert_string_equal(text, "cluster.local=foreign pods=disabled ttl=5");
		assert_true(has_note(&c, KB_COREFILE_LEFT, rows[i].line, "import", "-"));
		kb_corefile_free(&c);
	}
	assert_int_equal(parse("(a) {\nttl 7\n}\n. {\nkubernetes c.example {\nimport a\n}\n}\n", &c,
			       err, sizeof(err)),
			 0);
	rules_text(&c.rules, text, sizeof(text));
	assert_string_equal(text, "c.example=cluster pods=disabled ttl=7");
	kb_corefile_free(&c);
}

static void test_errors_of_text(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *err;
	} rows[] = {
		{"", -EOPNOTSUPP, ":1: no kubernetes directive"},
		{"# nothing\n", -EOPNOTSUPP, ":1: no kubernetes directive"},
		{".", -EOPNOTSUPP, ":1: no kubernetes directive"},
		{"tls://. {\nkubernetes cluster.local\n}\n", -EOPNOTSUPP,
		 ":1: no kubernetes directive"},
		{". {", -EINVAL, ":1: the file ends within a block"},
		{". {\n\"kubernetes", -EINVAL, ":2: the file ends within a block"},
		{". {\nkubernetes c.example\n}\n}\n", 0, ""},
		{"(a)\n", 0, ""},
		{".:99999 {\nkubernetes c.example\n}\n", -EINVAL, ":1: .:99999: not a zone"},
		{". {\nimport\n}\n", -EINVAL, ":2: import needs"},
		{". {\nimport a b\n}\n", -EINVAL, ":2: import takes one argument"},
		{". {\nimport \"\"\n}\n", -EINVAL, ":2: import needs"},
		{". {\nkubernetes c.example {\ntls a b\n}\n}\n", -EINVAL, ":3: tls: wrong number"},
		{". {\nkubernetes c.example {\nzonal\nnoendpoints\n}\n}\n", -EINVAL,
		 ":2: zonal and noendpoints"},
	};
	char err[512], want[600];
	struct kb_corefile c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int r;

		*err = '\0';
		r = parse(rows[i].text, &c, err, sizeof(err));
		kb_corefile_free(&c);
		if (!*rows[i].err)
			continue; /* odd, but it must come to an end */
		assert_int_equal(r, rows[i].r);
		snprintf(want, sizeof(want), "configmap kube-system/coredns%s", rows[i].err);
		if (strncmp(err, want, strlen(want)) != 0)
			fail_msg("row %zu: %s", i, err);
	}
	assert_int_equal(kb_corefile_parse("x", "a\0b", 3, &c, err, sizeof(err)), -EOPNOTSUPP);
	kb_corefile_free(&c);
}

/* What can be made long is bounded, and says so. */
static void test_limits(void **state)
{
	size_t size = KB_COREFILE_MAX + 2;
	char *text = malloc(size), err[512];
	struct kb_corefile c;
	int n = 0;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', size);
	assert_int_equal(kb_corefile_parse("x", text, size, &c, err, sizeof(err)), -EOPNOTSUPP);
	kb_corefile_free(&c);
	memset(text, '\n', size);
	for (size_t i = 0; i < size; i += 2)
		text[i] = 'a';
	assert_int_equal(kb_corefile_parse("x", text, size - 3, &c, err, sizeof(err)), -EOPNOTSUPP);
	assert_non_null(strstr(err, "words"));
	kb_corefile_free(&c);
	/* Snippets that double what they import: 2^20 words. */
	n = sprintf(text, "(s0) {\nerrors\n}\n");
	for (int i = 1; i <= 20; i++)
		n += sprintf(text + n, "(s%d) {\nimport s%d\nimport s%d\n}\n", i, i - 1, i - 1);
	n += sprintf(text + n, ". {\nimport s20\nkubernetes c.example\n}\n");
	assert_true(parse(text, &c, err, sizeof(err)) < 0);
	kb_corefile_free(&c);
	/* A variable that names itself. */
	assert_int_equal(setenv("KBDNS_TEST_LOOP", "x{$KBDNS_TEST_LOOP}", 1), 0);
	assert_int_equal(parse(". {\nkubernetes {$KBDNS_TEST_LOOP}\n}\n", &c, err, sizeof(err)),
			 -EOPNOTSUPP);
	assert_int_equal(unsetenv("KBDNS_TEST_LOOP"), 0);
	kb_corefile_free(&c);
	/* More entries than the table has room for: the whole zone. */
	n = sprintf(text, ". {\nhosts {\n");
	for (int i = 0; i < 100; i++)
		n += sprintf(text + n, "10.1.1.%d n%d.cluster.local\n", i, i);
	sprintf(text + n, "no_reverse\nfallthrough\n}\nkubernetes cluster.local b.example\n}\n");
	assert_int_equal(parse(text, &c, err, sizeof(err)), 0);
	rules_text(&c.rules, text, size);
	assert_string_equal(text, "b.example=cluster cluster.local=foreign pods=disabled ttl=5");
	assert_true(has_note(&c, KB_COREFILE_LEFT, 67, "10.1.1.64", "cluster.local"));
	kb_corefile_free(&c);
	/* Ranges that stand for very many zones. */
	n = sprintf(text, "a.example");
	for (int i = 0; i < 1000; i++)
		n += sprintf(text + n, " %d.0.0.0/9", i % 256);
	sprintf(text + n, " {\nkubernetes\n}\n");
	assert_int_equal(parse(text, &c, err, sizeof(err)), -EOPNOTSUPP);
	assert_non_null(strstr(err, "1024"));
	kb_corefile_free(&c);
	n = sprintf(text, ". {\nkubernetes a.example {\nfallthrough");
	for (int i = 0; i < 2000; i++)
		n += sprintf(text + n, " n%d", i);
	sprintf(text + n, "\n}\n}\n");
	assert_int_equal(parse(text, &c, err, sizeof(err)), -EOPNOTSUPP);
	kb_corefile_free(&c);
	/* As many notes as lines: the first ones are kept. */
	n = sprintf(text, ". {\nkubernetes a.example\n");
	for (int i = 0; i < 3000; i++)
		n += sprintf(text + n, "rewrite name n%d.a.example b\n", i);
	sprintf(text + n, "}\n");
	assert_int_equal(parse(text, &c, err, sizeof(err)), 0);
	assert_true(c.n_notes == 2000 && c.n_more_notes > 900);
	rules_text(&c.rules, text, size);
	assert_string_equal(text, "a.example=foreign pods=disabled ttl=5");
	kb_corefile_free(&c);
	free(text);
}

static void test_kubernetes_lines(void **state)
{
	static const struct {
		const char *lines[4];
		const char *want; /* rules, or an error */
	} rows[] = {
		{{"pods verified", "ttl 30"},
		 "cluster.local=cluster in-addr.arpa=reverse pods=verified ttl=30"},
		{{"fallthrough in-addr.arpa", "namespaces a b"},
		 "cluster.local=cluster in-addr.arpa=reverse,leave pods=disabled ttl=5 "
		 "namespaces=a,b"},
		{{"fallthrough"},
		 "cluster.local=cluster,leave in-addr.arpa=reverse,leave pods=disabled ttl=5"},
		{{"labels \"a in (b, c)\"  # why"},
		 "cluster.local=cluster in-addr.arpa=reverse pods=disabled ttl=5 "
		 "labels=a_in_(b,_c)"},
		{{"pods"}, "--kubernetes: pods: give disabled, insecure or verified"},
		{{""}, "--kubernetes: empty, give"},
		{{"pods verified\nttl 3"}, "--kubernetes: \"pods verified"},
		{{"pods insecure {"}, "--kubernetes: \"pods insecure {\""},
		{{"frobnicate"}, "--kubernetes: kubernetes: frobnicate: unknown property"},
		{{"namespaces a", "namespace_labels b=c"}, "--kubernetes: namespaces and"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct kb_rules rules = {.ttl_s = 5};
		struct kb_strings lines = {.v = (char **)(uintptr_t)rows[i].lines};
		char err[512] = "", before[512], text[512];
		int r;

		assert_int_equal(kb_rules_add_zone(&rules, "cluster.local", KB_ZONE_CLUSTER, false),
				 0);
		assert_int_equal(kb_rules_add_zone(&rules, "in-addr.arpa", KB_ZONE_REVERSE, false),
				 0);
		rules_text(&rules, before, sizeof(before));
		while (lines.n < 4 && rows[i].lines[lines.n])
			lines.n++;
		r = kb_corefile_kubernetes_lines(&lines, &rules, err, sizeof(err));
		rules_text(&rules, text, sizeof(text));
		if (r < 0) {
			if (strncmp(err, rows[i].want, strlen(rows[i].want)) != 0)
				fail_msg("row %zu: %s", i, err);
			assert_string_equal(text, before);
		} else {
			assert_string_equal(text, rows[i].want);
		}
		kb_rules_free(&rules);
	}
}

static void test_hash(void **state)
{
	struct kb_corefile a, b, c;
	char err[512];

	(void)state;
	assert_int_equal(parse(". {\nkubernetes c.example\n}\n", &a, err, sizeof(err)), 0);
	assert_int_equal(parse(". {\nkubernetes c.example # x\n}\n", &b, err, sizeof(err)), 0);
	assert_int_equal(parse(". {\nkubernetes c.example\n}\n", &c, err, sizeof(err)), 0);
	assert_true(a.hash != b.hash);
	assert_true(a.hash == c.hash);
	assert_true(kb_rules_same(&a.rules, &b.rules));
	b.rules.ttl_s = 7;
	assert_true(kb_rules_same(&a.rules, &b.rules));
	b.rules.zones[0].leave_misses = true;
	assert_false(kb_rules_same(&a.rules, &b.rules));
	c.rules.pods = KB_PODS_VERIFIED;
	assert_false(kb_rules_same(&a.rules, &c.rules));
	kb_corefile_free(&a);
	kb_corefile_free(&b);
	kb_corefile_free(&c);
}

/* What a server has to know: hosts and rewrite of every block that is asked. */
static void test_blocks(void **state)
{
	static const char text[] =
		"corp.test Other.test:53 {\n"
		"rewrite continue name exact A.test. b.test\n"
		"rewrite {\nname suffix .x.test .Y.test\nanswer auto\n}\n"
		"}\n"
		"elsewhere.test:1053 {\nhosts {\n1.2.3.4 a\n}\n}\n"
		". {\n"
		"hosts /etc/hosts a.test 10.0.0.0/8 {\n"
		"192.0.2.1  One.test two.test\n192.0.2.2\n"
		"no_reverse\nttl 7\nreload 1h\nfallthrough b.test\n"
		"fallthrough_unsupported\n}\n"
		"kubernetes c.example\n}\n"
		"view.test {\nview x {\nexpr true\n}\nhosts {\n1.2.3.4 a\n}\n}\n";
	const struct kb_corefile_hosts *h;
	const struct kb_corefile_rewrite *w;
	struct kb_corefile c;
	char err[512];

	(void)state;
	assert_int_equal(parse(text, &c, err, sizeof(err)), 0);
	assert_int_equal(c.n_blocks, 4);
	assert_int_equal(c.blocks[0].zones.n, 2);
	assert_string_equal(c.blocks[0].zones.v[1], "other.test");
	assert_null(c.blocks[0].hosts);
	assert_int_equal(c.blocks[0].n_rewrites, 2);
	w = c.blocks[0].rewrites;
	assert_string_equal(w[0].from, "a.test");
	assert_string_equal(w[0].to, "b.test");
	assert_true(!w[0].stop && !w[0].suffix && !w[0].answers);
	assert_string_equal(w[1].from, ".x.test");
	assert_string_equal(w[1].to, ".y.test");
	assert_true(w[1].stop && w[1].suffix && w[1].answers);
	assert_int_equal(c.blocks[1].zones.n, 0); /* another port */
	assert_null(c.blocks[1].hosts);
	assert_string_equal(c.blocks[2].zones.v[0], "");
	h = c.blocks[2].hosts;
	assert_non_null(h);
	assert_null(h->file_text);
	assert_string_equal(h->inline_text, "\n192.0.2.1 One.test two.test\n192.0.2.2 \n");
	assert_int_equal(h->origins.n, 2);
	assert_string_equal(h->origins.v[1], "10.in-addr.arpa");
	assert_int_equal(h->fall.n, 1);
	assert_string_equal(h->fall.v[0], "b.test");
	assert_true(!h->reverse && h->unsupported_falls);
	assert_int_equal(h->ttl_s, 7);
	assert_null(c.blocks[3].hosts); /* only for some clients */
	assert_true(has_note(&c, KB_COREFILE_UNAPPLIED, 29, "hosts", "-"));
	kb_corefile_free(&c);
}

/* What is not done is named with its line. */
static void test_unapplied(void **state)
{
	static const struct {
		const char *lines;
		unsigned int line;
		bool kept; /* something of it is done */
	} rows[] = {
		{"rewrite name a.test b.test\nrewrite name prefix a b\n", 3, false},
		{"rewrite name a.test b.test\nrewrite type ANY A\n", 3, false},
		{"rewrite name suffix .a b\n", 2, false},
		{"rewrite name suffix a .b\n", 2, false},
		{"rewrite name exact . b\n", 2, false},
		{"rewrite name suffix .a .b answer name c d\n", 2, false},
		{"rewrite stop {\nname regex a b\n}\n", 2, false},
		{"hosts {\nttl 0\n}\n", 2, false},
		{"hosts {\nttl\n}\n", 2, false},
		{"hosts {\nreload\n}\n", 2, false},
		{"hosts {\nfallthrough\n192.0.2.1 a.test\n}\n", 2, false},
		{"hosts {\nfallthrough_unsupported\n}\n", 2, false},
		{"hosts\nhosts\n", 2, false},
		{"hosts /nowhere/hosts {\n192.0.2.1 a.test\n}\n", 2, true},
		{"rewrite name {$KB_NOT_SET} b.test\n", 2, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_corefile c;
		char text[512], err[512];

		snprintf(text, sizeof(text), ". {\n%skubernetes c.example\n}\n", rows[i].lines);
		assert_int_equal(parse(text, &c, err, sizeof(err)), 0);
		assert_true(has_note(&c, KB_COREFILE_UNAPPLIED, rows[i].line, "", "-"));
		assert_int_equal(c.n_blocks, rows[i].kept);
		kb_corefile_free(&c);
	}
}

/* A Corefile with one block, which names a hosts file beside it, that is not there yet. */
struct hosts_world {
	char dir[24], corefile[64], hosts[64];
};

__attribute__((format(printf, 2, 3))) static void write_file(const char *path, const char *format,
							     ...)
{
	va_list ap;
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fclose(f);
}

/* `options` come behind the name of the hosts file. */
static void hosts_begin(struct hosts_world *w, const char *options)
{
	strcpy(w->dir, "/tmp/kb-corefile-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->corefile, sizeof(w->corefile), "%s/Corefile", w->dir);
	snprintf(w->hosts, sizeof(w->hosts), "%s/hosts", w->dir);
	write_file(w->corefile, ". {\nhosts %s%s\nkubernetes c.example\n}\n", w->hosts, options);
}

static void hosts_end(const struct hosts_world *w)
{
	unlink(w->hosts);
	unlink(w->corefile);
	rmdir(w->dir);
}

/* A hosts file that goes, or grows too long, says what it said before, however often it is looked
 * for. */
static void test_hosts_file_goes(void **state)
{
	const char *said = "192.0.2.1 a.svc.c.example b.test\n";
	struct kb_corefile c[5];
	struct hosts_world w;
	char err[512];
	FILE *f;

	(void)state;
	hosts_begin(&w, "");
	write_file(w.hosts, "%s", said);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(kb_corefile_read(w.corefile, i ? &c[i - 1] : NULL, &c[i], err,
						  sizeof(err)),
				 0);
		assert_int_equal(c[i].n_blocks, 1);
		assert_string_equal(c[i].blocks[0].hosts->file_text, i < 4 ? said : "# new\n");
		assert_int_equal(
			has_note(&c[i], KB_COREFILE_LEFT, 1, "192.0.2.", "a.svc.c.example"), i < 4);
		assert_int_equal(has_note(&c[i], KB_COREFILE_UNAPPLIED, 2, "hosts", "-"),
				 i > 0 && i < 4);
		if (i < 2)
			unlink(w.hosts);
		f = i >= 2 ? fopen(w.hosts, "we") : NULL;
		if (f) {
			fputs("# new\n", f);
			assert_int_equal(ftruncate(fileno(f), i == 2 ? 64 << 20 : 6), 0);
			fclose(f);
		}
	}
	for (int i = 0; i < 5; i++)
		kb_corefile_free(&c[i]);
	hosts_end(&w);
}

/* A hosts file is part of what the result depends on. */
static void test_hosts_file(void **state)
{
	struct hosts_world w;
	struct kb_corefile c;
	uint64_t hash = 0;
	char err[512];

	(void)state;
	hosts_begin(&w, " {\nfallthrough\n}");
	for (int i = 0; i < 3; i++) {
		if (i)
			write_file(w.hosts, "# none\n192.0.2.%d a.svc.c.example b.test\n", i);
		assert_int_equal(kb_corefile_read(w.corefile, NULL, &c, err, sizeof(err)), 0);
		assert_int_equal(c.n_files, 2);
		assert_string_equal(c.files[1], w.hosts);
		assert_true(c.hash != hash);
		hash = c.hash;
		assert_int_equal(c.n_blocks, 1);
		assert_int_equal(has_note(&c, KB_COREFILE_LEFT, 2, "192.0.2.", "a.svc.c.example"),
				 i > 0);
		assert_int_equal(has_note(&c, KB_COREFILE_LEFT, 2, "hosts", "-"), i == 0);
		assert_int_equal(c.rules.n_zones, i ? 2 : 1);
		assert_string_equal(c.blocks[0].hosts->file_text,
				    i == 0   ? ""
				    : i == 1 ? "# none\n192.0.2.1 a.svc.c.example b.test\n"
					     : "# none\n192.0.2.2 a.svc.c.example b.test\n");
		kb_corefile_free(&c);
	}
	hosts_end(&w);
}

/* One test for each file. */
static size_t find_files(struct CMUnitTest *tests, size_t max)
{
	DIR *dir = opendir(DIR_NAME);
	struct dirent *e;
	size_t n = 0;

	while (dir && (e = readdir(dir)) && n < max) {
		char path[600];

		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof(path), DIR_NAME "/%s", e->d_name);
		tests[n++] = (struct CMUnitTest){.name = strdup(path),
						 .test_func = test_file,
						 .initial_state = strdup(path)};
	}
	if (dir)
		closedir(dir);
	return n;
}

static size_t n_files;

static void test_there_are_files(void **state)
{
	(void)state;
	assert_true(n_files >= 60);
}

int main(void)
{
	static struct CMUnitTest tests[512] = {
		cmocka_unit_test(test_there_are_files),	 cmocka_unit_test(test_imports_of_text),
		cmocka_unit_test(test_errors_of_text),	 cmocka_unit_test(test_limits),
		cmocka_unit_test(test_kubernetes_lines), cmocka_unit_test(test_hash),
		cmocka_unit_test(test_blocks),		 cmocka_unit_test(test_unapplied),
		cmocka_unit_test(test_hosts_file_goes),	 cmocka_unit_test(test_hosts_file),
	};
	int r;

	n_files = find_files(tests + N_FIXED, sizeof(tests) / sizeof(*tests) - N_FIXED);
	r = _cmocka_run_group_tests("corefile", tests, n_files + N_FIXED, NULL, NULL);
	for (size_t i = N_FIXED; i < n_files + N_FIXED; i++) {
		free((void *)(uintptr_t)tests[i].name);
		free(tests[i].initial_state);
	}
	return r;
}
