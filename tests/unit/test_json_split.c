/* SPDX-License-Identifier: Apache-2.0 */
/* The splitter, and the reader beneath it with jansson as its oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/kube/json.h"
#include "control/kube/json_split.h"

/* What the splitter says, written down: "I<text>" an item, "S<why>" skipped,
 * "F<key>=<text>" a field, "D<0|1>" the end of a document. */
struct record {
	char text[8192];
	size_t len;
	size_t items, skipped, largest, head;
	uint64_t last_offset;
	int stop_after;
};

static void note(struct record *rec, const char *kind, const char *text, size_t len)
{
	int n = snprintf(rec->text + rec->len, sizeof(rec->text) - rec->len, "%s%.*s|", kind,
			 (int)(len > 200 ? 200 : len), text);

	rec->len += (size_t)n;
	if (rec->len >= sizeof(rec->text))
		rec->len = sizeof(rec->text) - 1;
}

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	struct record *rec = arg;

	rec->items++;
	rec->last_offset = offset;
	if (len > rec->largest)
		rec->largest = len;
	note(rec, "I", text, len);
	return rec->stop_after && rec->items == (size_t)rec->stop_after ? 7 : 0;
}

static int on_field(void *arg, const char *key, const char *text, size_t len, uint64_t offset)
{
	char what[80];

	(void)offset;
	snprintf(what, sizeof(what), "F%s=", key);
	note(arg, what, text, len);
	return 0;
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	struct record *rec = arg;

	(void)head;
	rec->skipped++;
	rec->head = len;
	rec->last_offset = offset;
	note(rec, "S", why, strlen(why));
	return 0;
}

static int on_document(void *arg, int has_items)
{
	note(arg, has_items ? "D1" : "D0", "", 0);
	return 0;
}

static const struct kb_split_ops ops = {on_item, on_field, on_skipped, on_document};

static const char list[] =
	"{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\","
	"\"continue\":\"a\\\"]}b\"},\"items\":[{\"a\":\"}]\\\\\"},{\"b\":[1,{\"c\":null}]}, 3 "
	",null]}";
static const char list_want[] =
	"Fkind=\"ServiceList\"|FapiVersion=\"v1\"|Fmetadata={\"resourceVersion\":\"7\","
	"\"continue\":\"a\\\"]}b\"}|I{\"a\":\"}]\\\\\"}|I{\"b\":[1,{\"c\":null}]}|I3|Inull|D1|";

static const char events[] = "{\"a\":1}\n{\"b\":\"\\\"{\"}{\"c\":{}}\n\n {\"d\":[]}\r\n";
static const char events_want[] = "I{\"a\":1}|I{\"b\":\"\\\"{\"}|I{\"c\":{}}|I{\"d\":[]}|";

static int run(enum kb_split_mode mode, size_t max, const char *text, size_t len, size_t piece,
	       struct record *rec)
{
	struct kb_json_split *s;
	int r = 0;

	memset(rec, 0, offsetof(struct record, stop_after));
	assert_int_equal(kb_json_split_new(mode, max, &ops, rec, &s), 0);
	for (size_t i = 0; !r && i < len; i += piece)
		r = kb_json_split_feed(s, text + i, len - i < piece ? len - i : piece);
	if (!r)
		r = kb_json_split_finish(s);
	kb_json_split_free(s);
	return r;
}

static void every_piece_size(void **state)
{
	static struct record rec;

	(void)state;
	for (size_t piece = 1; piece <= sizeof(list); piece++) {
		assert_int_equal(run(KB_SPLIT_LIST, 0, list, strlen(list), piece, &rec), 0);
		assert_string_equal(rec.text, list_want);
		assert_int_equal(run(KB_SPLIT_EVENTS, 0, events, strlen(events), piece, &rec), 0);
		assert_string_equal(rec.text, events_want);
	}
}

/* Cut in two at every byte, both halves at the end of a page that nothing follows. */
static void every_cut_at_a_guard_page(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct record rec;

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, (size_t)page, PROT_NONE), 0);
	for (size_t cut = 0; cut <= strlen(list); cut++) {
		struct kb_json_split *s;
		size_t rest = strlen(list) - cut;

		memset(&rec, 0, sizeof(rec));
		assert_int_equal(kb_json_split_new(KB_SPLIT_LIST, 0, &ops, &rec, &s), 0);
		memcpy(map + page - cut, list, cut);
		assert_int_equal(kb_json_split_feed(s, map + page - cut, cut), 0);
		memcpy(map + page - rest, list + cut, rest);
		assert_int_equal(kb_json_split_feed(s, map + page - rest, rest), 0);
		assert_int_equal(kb_json_split_finish(s), 0);
		assert_string_equal(rec.text, list_want);
		kb_json_split_free(s);
	}
	munmap(map, 2 * (size_t)page);
}

static void list_rows(void **state)
{
	static const struct {
		const char *text, *want;
		int r;
	} rows[] = {
		{"{}", "D0|", 0},
		{"", "", 0},
		{"{\"items\":[]}", "D1|", 0},
		{"{\"items\":null}", "Fitems=null|D1|", 0},
		{"{\"items\":{\"a\":1}}", "Fitems={\"a\":1}|D0|", 0},
		{"{\"items\":[{}],\"metadata\":{}}", "I{}|Fmetadata={}|D1|", 0},
		{"{\"items\":[1]}{\"items\":[2]}", "I1|D1|I2|D1|", 0},
		{"{ \"it\\u0065ms\" : [1] }", "F=[1]|D0|", 0},
		{"{\"items\":[[],[[1]],\"x\",true]}", "I[]|I[[1]]|I\"x\"|Itrue|D1|", 0},
		{"[]", "", -EBADMSG},
		{"{\"items\":[1,]}", "I1|", -EBADMSG},
		{"{\"items\":[,1]}", "", -EBADMSG},
		{"{\"items\":[1 2]}", "I1|", -EBADMSG},
		{"{\"items\":[1}", "I1|", -EBADMSG},
		{"{\"items\":[{]}]}", "", -EBADMSG},
		{"{\"items\":[{\"a\":\"\n\"}]}", "", -EBADMSG},
		{"{\"items\" [1]}", "", -EBADMSG},
		{"{\"items\":}", "", -EBADMSG},
		{"{items:1}", "", -EBADMSG},
		{"{\"a\":1,}", "Fa=1|", -EBADMSG},
		{"{\"a\":1", "", -EBADMSG},
		{"{\"items\":[{\"a\":1}", "I{\"a\":1}|", -EBADMSG},
		{"{\"a", "", -EBADMSG},
	};
	static struct record rec;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece < 4; piece++) {
			assert_int_equal(run(KB_SPLIT_LIST, 0, rows[i].text, strlen(rows[i].text),
					     piece, &rec),
					 rows[i].r);
			assert_string_equal(rec.text, rows[i].want);
		}
	}
}

/* Whatever breaks one event, the next line is an event again. */
static void broken_events(void **state)
{
	static const struct {
		const char *text;
		size_t items, skipped;
	} rows[] = {
		{"garbage\n{\"a\":1}\n", 1, 1},
		{"{\"a\":\"x\n{\"a\":1}\n", 1, 1},
		{"{\"a\":[}\n{\"a\":1}\n", 1, 1},
		{"{\"a\":1}]\n{\"a\":1}\n", 2, 1},
		{"{\"a\":1}{\"b\"\x01:1}\n{\"a\":1}\n", 3, 0},
		{"\xff\xfe\n\n{\"a\":1}", 1, 1},
	};
	static struct record rec;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece < 5; piece++) {
			assert_int_equal(run(KB_SPLIT_EVENTS, 0, rows[i].text, strlen(rows[i].text),
					     piece, &rec),
					 0);
			assert_int_equal(rec.items, rows[i].items);
			assert_int_equal(rec.skipped, rows[i].skipped);
		}
	}
	assert_int_equal(run(KB_SPLIT_EVENTS, 0, "{\"a\":", 5, 5, &rec), -EBADMSG);
}

static void oversize_is_dropped_and_the_stream_goes_on(void **state)
{
	size_t big = 9 << 20, len;
	char *text = malloc(big + 200);
	static struct record rec;
	static const size_t pieces[] = {1000, 16384, 1 << 20, 16 << 20};

	(void)state;
	if (!text)
		abort();
	len = (size_t)sprintf(text, "{\"items\":[{\"a\":\"");
	memset(text + len, 'x', big);
	len += big;
	len += (size_t)sprintf(text + len, "\"},{\"b\":2}]}");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(run(KB_SPLIT_LIST, 0, text, len, pieces[i], &rec), 0);
		assert_int_equal(rec.items, 1);
		assert_int_equal(rec.skipped, 1);
		assert_int_equal(rec.largest, 7);
		assert_in_range(rec.head, 1, KB_SPLIT_HEAD_MAX);
	}
	/* Within the limit it is whole, and its memory is given back afterwards. */
	assert_int_equal(run(KB_SPLIT_LIST, 10 << 20, text, len, 16384, &rec), 0);
	assert_int_equal(rec.items, 2);
	assert_int_equal(rec.largest, big + 8);
	free(text);
}

static void memory_is_bounded_and_given_back(void **state)
{
	static struct record rec;
	struct kb_json_split *s;
	char block[4096];

	(void)state;
	memset(block, 'x', sizeof(block));
	assert_int_equal(kb_json_split_new(KB_SPLIT_EVENTS, 1 << 20, &ops, &rec, &s), 0);
	assert_int_equal(kb_json_split_feed(s, "{\"a\":\"", 6), 0);
	for (int i = 0; i < 1024; i++) {
		assert_int_equal(kb_json_split_feed(s, block, sizeof(block)), 0);
		assert_true(kb_json_split_memory(s) <= 2 << 20);
	}
	assert_true(kb_json_split_memory(s) <= KB_SPLIT_HEAD_MAX);
	assert_int_equal(kb_json_split_feed(s, "\"}\n", 3), 0);
	assert_int_equal(rec.skipped, 1);
	kb_json_split_free(s);
}

static void deep_nesting(void **state)
{
	static char text[4096];
	static struct record rec;
	struct kb_json_split *s;
	int r = 0;

	(void)state;
	strcpy(text, "{\"items\":[");
	memset(text + 10, '[', 1000);
	memset(text + 1010, ']', 1000);
	strcpy(text + 2010, ",1]}");
	assert_int_equal(run(KB_SPLIT_LIST, 0, text, strlen(text), 7, &rec), 0);
	assert_string_equal(rec.text, "Snested too deeply|I1|D1|");

	/* Brackets without end are not followed for ever. */
	memset(text, '[', sizeof(text));
	assert_int_equal(kb_json_split_new(KB_SPLIT_LIST, 0, &ops, &rec, &s), 0);
	assert_int_equal(kb_json_split_feed(s, "{\"items\":", 9), 0);
	for (int i = 0; !r && i < 1000; i++)
		r = kb_json_split_feed(s, text, sizeof(text));
	assert_int_equal(r, -EBADMSG);
	kb_json_split_free(s);
}

static void a_callback_can_stop(void **state)
{
	static struct record rec = {.stop_after = 2};

	(void)state;
	assert_int_equal(run(KB_SPLIT_EVENTS, 0, events, strlen(events), 5, &rec), 7);
	assert_int_equal(rec.items, 2);
}

static void offsets(void **state)
{
	static struct record rec;

	(void)state;
	for (size_t piece = 1; piece < 20; piece++) {
		assert_int_equal(run(KB_SPLIT_LIST, 0, "{\"items\":[ 1,\n 22]}", 19, piece, &rec),
				 0);
		assert_int_equal(rec.last_offset, 15);
	}
}

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Random bytes, and sound text with random bytes changed: no crash, and the same
 * outcome however the bytes are cut. */
static void random_garbage(void **state)
{
	static struct record one, cut;
	static const char alphabet[] = "{}[]\",:\\ \n0a\"{";
	char text[256];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		enum kb_split_mode mode = i & 1 ? KB_SPLIT_LIST : KB_SPLIT_EVENTS;
		size_t len = 1 + rnd(200);
		int r1, r2;

		if (i & 2) {
			const char *base = mode == KB_SPLIT_LIST ? list : events;

			len = strlen(base);
			memcpy(text, base, len);
			for (uint32_t n = 1 + rnd(3); n; n--)
				text[rnd((uint32_t)len)] = alphabet[rnd(sizeof(alphabet) - 1)];
		} else {
			for (size_t b = 0; b < len; b++)
				text[b] = alphabet[rnd(sizeof(alphabet) - 1)];
		}
		r1 = run(mode, 64, text, len, len, &one);
		r2 = run(mode, 64, text, len, 1 + rnd(20), &cut);
		assert_int_equal(r1, r2);
		assert_string_equal(one.text, cut.text);
	}
}

static bool reader_accepts(const char *text, size_t len)
{
	char arena[512];
	struct kb_json j;

	kb_json_init(&j, text, len, arena);
	return kb_json_skip(&j) && kb_json_finish(&j);
}

static bool jansson_accepts(const char *text, size_t len)
{
	json_t *j = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	bool ok = j != NULL;

	json_decref(j);
	return ok;
}

static void reader_agrees_with_jansson(void **state)
{
	static const char *const rows[] = {
		"1",
		"-1",
		"-",
		"01",
		"1.",
		"1.5",
		"1e5",
		"1e",
		"1E+5",
		"-0",
		"0.1e-2",
		"+1",
		"true",
		"tru",
		"truee",
		"null",
		"nul",
		"false",
		"\"\"",
		"\"",
		"\"\\u00e9\"",
		"\"\\ud83d\\ude00\"",
		"\"\\ud83d\"",
		"\"\\ude00\"",
		"\"\\u12\"",
		"\"\\x\"",
		"\"\\",
		"{}",
		"{",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1,\"b\":2}",
		"[",
		"[1,]",
		"[,1]",
		"[1 2]",
		"[[[]]]",
		"[}",
		"{]",
		" 1 ",
		"1 2",
		"",
		" ",
		"\"\x1f\"",
		"\"\t\"",
		"[1,2,{\"a\":[]}]",
		"{\"\\u0061\":1}",
		"{1:2}",
	};
	static const char alphabet[] = "{}[]\",:\\u0-1.eEtrufalsn \n";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i]);

		if (reader_accepts(rows[i], len) != jansson_accepts(rows[i], len))
			fail_msg("the reader and jansson differ about: %s", rows[i]);
	}
	for (int i = 0; i < 300000; i++) {
		char text[300];
		size_t len = 1 + rnd(12);

		if (i % 3 == 0) {
			len = strlen(list);
			memcpy(text, list, len);
			text[rnd((uint32_t)len)] = alphabet[rnd(sizeof(alphabet) - 1)];
		} else {
			for (size_t b = 0; b < len; b++)
				text[b] = alphabet[rnd(sizeof(alphabet) - 1)];
		}
		text[len] = 0;
		/* Numbers too large for a double are jansson's own limit. */
		if (reader_accepts(text, len) != jansson_accepts(text, len) &&
		    !strpbrk(text, "eE0"))
			fail_msg("the reader and jansson differ about: %s", text);
	}
}

static void reader_decodes_as_jansson(void **state)
{
	static const char *const rows[] = {
		"\"plain\"",
		"\"\\u0000\"",
		"\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"",
		"\"\\u00e9\\u20ac\"",
		"\"\\ud83d\\ude00 grin\"",
		"\"\"",
		"\"\\u003cb\\u003e\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *want = json_loads(rows[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		struct kb_json_str got;
		char arena[64];
		struct kb_json j;

		assert_non_null(want);
		kb_json_init(&j, rows[i], strlen(rows[i]), arena);
		assert_true(kb_json_string(&j, &got));
		assert_int_equal(got.len, json_string_length(want));
		assert_memory_equal(got.s, json_string_value(want), got.len);
		assert_int_equal(got.s[got.len], 0);
		json_decref(want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_size),
		cmocka_unit_test(every_cut_at_a_guard_page),
		cmocka_unit_test(list_rows),
		cmocka_unit_test(broken_events),
		cmocka_unit_test(oversize_is_dropped_and_the_stream_goes_on),
		cmocka_unit_test(memory_is_bounded_and_given_back),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(a_callback_can_stop),
		cmocka_unit_test(offsets),
		cmocka_unit_test(random_garbage),
		cmocka_unit_test(reader_agrees_with_jansson),
		cmocka_unit_test(reader_decodes_as_jansson),
	};

	return cmocka_run_group_tests_name("json_split", tests, NULL, NULL);
}
