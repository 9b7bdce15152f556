/* SPDX-License-Identifier: Apache-2.0 */
/* Label selectors: the grammar of k8s.io/apimachinery/pkg/labels, corner by corner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "control/records/selector.h"

#define LABELS_MAX 8

/* "app=web,tier=" as labels; the strings are of `text`, which is cut up. */
static size_t make_labels(char *text, struct kb_label labels[LABELS_MAX])
{
	char *item, *save = NULL;
	size_t n = 0;

	for (item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		char *value = strchr(item, '=');

		*value++ = '\0';
		labels[n++] = (struct kb_label){item, value};
	}
	return n;
}

static void what_matches(void **state)
{
	static const struct {
		const char *selector, *yes[4], *no[4]; /* "-": without labels */
	} rows[] = {
		{"", {"-", "app=web"}, {NULL}},
		{" \t\r\n", {"-"}, {NULL}},
		{"app=web", {"app=web", "x=y,app=web"}, {"-", "app=", "app=webs", "apps=web"}},
		{" app == web ", {"app=web"}, {"app=db"}},
		{"app=", {"app="}, {"-", "app=web"}},
		{"app=,x=y", {"app=,x=y"}, {"x=y"}},
		{"app==", {"app="}, {"-"}},
		/* without the key both negations match */
		{"app!=web", {"-", "app=", "app=db", "x=web"}, {"app=web"}},
		{"app!=", {"-", "app=web"}, {"app="}},
		{"app notin (web,db)", {"-", "app=", "app=x"}, {"app=web", "app=db"}},
		{"app in (web,db)", {"app=web", "app=db"}, {"-", "app=", "app=x"}},
		{"app in(web)", {"app=web"}, {"-"}},
		{"app in ()", {"app="}, {"-", "app=web"}},
		{"app notin ()", {"-", "app=web"}, {"app="}},
		/* an empty place is an empty value */
		{"app in (web,)", {"app=web", "app="}, {"-", "app=x"}},
		{"app in (,web)", {"app=web", "app="}, {"-", "app=x"}},
		{"app in (web,,db)", {"app=web", "app=", "app=db"}, {"-", "app=x"}},
		{"app in (,)", {"app="}, {"-", "app=x"}},
		{"app in (,,)", {"app="}, {"-", "app=x"}},
		{"app", {"app=", "app=web"}, {"-", "x=app"}},
		{"!app", {"-", "x=app"}, {"app=", "app=web"}},
		{" ! app ", {"-"}, {"app="}},
		/* all of them, the same key twice too */
		{"app=web,!old,tier in (a,b)",
		 {"app=web,tier=a"},
		 {"app=web", "app=web,tier=a,old=", "tier=a"}},
		{"app!=a,app!=b", {"-", "app=c"}, {"app=a", "app=b"}},
		{"app=a,app=b", {NULL}, {"-", "app=a", "app=b"}},
		/* the operators' names as keys and values */
		{"in", {"in=x"}, {"-"}},
		{"!notin", {"-"}, {"notin="}},
		{"in in (in,notin)", {"in=in", "in=notin"}, {"-", "in=x"}},
		{"notin notin (in)", {"-", "notin=x"}, {"notin=in"}},
		{"notin=in", {"notin=in"}, {"in=notin"}},
		{"in!=notin", {"-", "in=in"}, {"in=notin"}},
		{"inn,notinn", {"inn=,notinn="}, {"inn="}},
		/* keys and values as Kubernetes allows them */
		{"kubernetes.io/metadata.name=shop", {"kubernetes.io/metadata.name=shop"}, {"-"}},
		{"a.b-c.d/A_b.C-d=X_y.Z-1", {"a.b-c.d/A_b.C-d=X_y.Z-1"}, {"-"}},
		{"0=0", {"0=0"}, {"-"}},
		{"n>5", {"n=6", "n=10", "n=+6"}, {"-", "n=5", "n=x", "n="}},
		{"n<5", {"n=4", "n=-7", "n=004"}, {"-", "n=5", "n=4x", "n=-"}},
		{"n>9223372036854775806", {"n=9223372036854775807"}, {"n=9223372036854775808"}},
		{"n<007", {"n=-9223372036854775808"}, {"n=-9223372036854775809", "n=7"}},
		/* of two labels with one key the last one counts */
		{"app=b", {"app=a,app=b"}, {"app=b,app=a"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_label labels[LABELS_MAX];
		struct kb_selector *sel;
		char err[512] = "", text[256];

		if (kb_selector_parse(rows[i].selector, &sel, err, sizeof(err)))
			fail_msg("%s", err);
		for (int k = 0; k < 8; k++) {
			const char *set = k < 4 ? rows[i].yes[k] : rows[i].no[k - 4];
			size_t n;

			if (!set)
				continue;
			snprintf(text, sizeof(text), "%s", strcmp(set, "-") ? set : "");
			n = make_labels(text, labels);
			if (kb_selector_match(sel, labels, n) != (k < 4))
				fail_msg("\"%s\" and %s", rows[i].selector, set);
		}
		kb_selector_free(sel);
	}
}

static void what_is_no_selector(void **state)
{
	static const struct {
		const char *selector, *why;
	} rows[] = {
		{",", "\",\" where a key is expected"},
		{"a,", "it ends where a key is expected"},
		{",a", "\",\" where a key"},
		{"a,,b", "\",\" where a key"},
		{"a b", "\"b\" where =, ==, !=, in, notin, > or < is expected"},
		{"a = b c", "\"c\" where \",\" or the end is expected"},
		{"a=b=c", "\"=\" where \",\" or the end"},
		{"a===b", "\"=\" where a value"},
		{"a=!b", "\"!\" where a value"},
		{"a=(b)", "\"(\" where a value"},
		{"=b", "\"=\" where a key"},
		{"!", "it ends where a key"},
		{"!!a", "\"!\" where a key"},
		{"!a=b", "\"=\" where \",\" or the end"},
		{"!a in (b)", "\"in\" where \",\" or the end"},
		{"a!b", "\"!\" where =,"},
		{"a in", "it ends where \"(\""},
		{"a in b", "\"b\" where \"(\""},
		{"a in (", "it ends where a value"},
		{"a in (b", "it ends where \",\" or \")\""},
		{"a in (b,", "it ends where a value"},
		{"a in (b c)", "\"c\" where \",\" or \")\""},
		{"a in (b) c", "\"c\" where \",\" or the end"},
		{"a in ((b)", "\"(\" where a value"},
		{"a in (b=c)", "\"=\" where \",\" or \")\""},
		{"a)", "\")\" where =,"},
		{"A/b=c", "\"A/b\" is not a label's key"},
		{"/b", "is not a label's key"},
		{"a/", "is not a label's key"},
		{"a/b/c", "is not a label's key"},
		{"a..b/c", "is not a label's key"},
		{"a.-b/c", "is not a label's key"},
		{"a-.b/c", "is not a label's key"},
		{"-a/c", "is not a label's key"},
		{"a_b/c", "is not a label's key"},
		{"-a", "is not a label's key"},
		{"a-", "is not a label's key"},
		{"\xc3\xa9", "is not a label's key"},
		{"a=-b", "\"-b\" is not a label's value"},
		{"a in (b.)", "\"b.\" is not a label's value"},
		{"a=b/c", "is not a label's value"},
		{"a>", "\"\" is not an integer"},
		{"a>b", "\"b\" is not an integer"},
		{"a<9223372036854775808", "is not an integer"},
		{"a>-1", "\"-1\" is not a label's value"},
	};
	struct kb_selector *sel;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (kb_selector_parse(rows[i].selector, &sel, err, sizeof(err)) != -EINVAL)
			fail_msg("taken: %s", rows[i].selector);
		if (!strstr(err, rows[i].why) || !strstr(err, rows[i].selector))
			fail_msg("%s: %s", rows[i].selector, err);
	}
}

/* `n` times `item` behind `head`, with `tail` at the end. */
static char *repeat(const char *head, const char *item, size_t n, const char *tail)
{
	char *text = malloc(strlen(head) + n * strlen(item) + strlen(tail) + 1), *p = text;

	if (!text)
		abort();
	p = stpcpy(p, head);
	while (n--)
		p = stpcpy(p, item);
	strcpy(p, tail);
	return text;
}

static void limits(void **state)
{
	static const struct {
		const char *head, *item;
		size_t n;
		const char *tail;
		int want;
	} rows[] = {
		{"", "a", 63, "", 0},
		{"", "a", 64, "", -EINVAL},
		{"a=", "b", 63, "", 0},
		{"a=", "b", 64, "", -EINVAL},
		{"", "p", 253, "/a", 0},
		{"", "p", 254, "/a", -EINVAL},
		{"a", ",a", KB_SELECTOR_REQUIREMENTS_MAX - 1, "", 0},
		{"a", ",a", KB_SELECTOR_REQUIREMENTS_MAX, "", -E2BIG},
		{"a in (b", ",b", KB_SELECTOR_VALUES_MAX - 1, ")", 0},
		{"a in (b", ",b", KB_SELECTOR_VALUES_MAX, ")", -E2BIG},
		{"", " ", KB_SELECTOR_TEXT_MAX, "", 0},
		{"", " ", KB_SELECTOR_TEXT_MAX + 1, "", -E2BIG},
	};
	struct kb_selector *sel;
	char err[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = repeat(rows[i].head, rows[i].item, rows[i].n, rows[i].tail);
		int r = kb_selector_parse(text, &sel, err, sizeof(err));

		if (r != rows[i].want)
			fail_msg("row %zu: %d", i, r);
		if (!r)
			kb_selector_free(sel);
		free(text);
	}
	kb_selector_free(NULL);
}

/* Whatever the text is, reading stays within it. */
static void random_texts(void **state)
{
	static const char *const pieces[] = {"a", "in", "notin", "=", "!", "(", ")",
					     ",", ">",	"<",	 " ", "/", ".", "9"};
	static const struct kb_label labels[] = {{"a", "9"}, {"in", ""}};
	struct kb_selector *sel;
	uint32_t seed = 3;
	size_t taken = 0;
	char err[512];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char text[64] = "", *exact;

		for (int n = 0; n < i % 9; n++) {
			seed = seed * 1664525u + 1013904223u;
			strcat(text, pieces[(seed >> 16) % 14]);
		}
		exact = strdup(text); /* of exactly that size, for the sanitizer's sake */
		if (!kb_selector_parse(exact, &sel, err, sizeof(err))) {
			taken++;
			free(exact);
			kb_selector_match(sel, labels, 2);
			kb_selector_free(sel);
		} else {
			free(exact);
		}
	}
	assert_true(taken > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matches),
		cmocka_unit_test(what_is_no_selector),
		cmocka_unit_test(limits),
		cmocka_unit_test(random_texts),
	};

	return cmocka_run_group_tests_name("selector", tests, NULL, NULL);
}
