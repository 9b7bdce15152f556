/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf splitter: streams in pieces of every size, values too large, broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "control/kube/pb_split.h"

static char seen[4096];

static void say(char what, const char *text, size_t len, uint64_t offset)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%c@%llu:%.*s ", what, (unsigned long long)offset,
		 (int)len, text);
}

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	(void)arg;
	say('i', text, len, offset);
	return len == 4 && !memcmp(text, "stop", 4) ? -EINTR : 0;
}

static int on_field(void *arg, const char *key, const char *text, size_t len, uint64_t offset)
{
	(void)arg;
	assert_string_equal(key, "metadata");
	say('m', text, len, offset);
	return 0;
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	(void)arg;
	assert_non_null(why);
	say('s', head, len, offset);
	return 0;
}

static int on_document(void *arg, int has_items)
{
	(void)arg;
	strcat(seen, has_items ? "D" : "d");
	return 0;
}

static const struct kb_split_ops ops = {on_item, on_field, on_skipped, on_document};

enum { MAX = 20 };

/* The outcome must not depend on how the stream is cut; bytes are copied, so that the
 * sanitizer sees a read beyond a piece. */
static int feed(enum kb_split_mode mode, const char *bytes, size_t len, size_t piece)
{
	struct kb_pb_split *s;
	int r = 0;

	seen[0] = 0;
	assert_int_equal(kb_pb_split_new(mode, MAX, &ops, NULL, &s), 0);
	for (size_t at = 0; !r && at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);

		if (!copy)
			abort();
		memcpy(copy, bytes + at, n);
		r = kb_pb_split_feed(s, copy, n);
		free(copy);
	}
	if (!r)
		r = kb_pb_split_finish(s);
	assert_true((r == -EBADMSG) == (*kb_pb_split_error(s) != 0));
	kb_pb_split_free(s);
	return r;
}

struct row {
	const char *bytes;
	size_t len;
	int r;
	const char *seen;
};
#define BYTES(text) text, sizeof(text) - 1

static void check(enum kb_split_mode mode, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t piece = 1; piece <= rows[i].len + 1; piece++) {
			int r = feed(mode, rows[i].bytes, rows[i].len, piece);

			if (r != rows[i].r || strcmp(seen, rows[i].seen) != 0)
				fail_msg("row %zu in pieces of %zu: %d, %s", i, piece, r, seen);
		}
	}
}

static void frames(void **state)
{
	static const struct row rows[] = {
		{BYTES(""), 0, ""},
		{BYTES("\0\0\0\3one\0\0\0\3two"), 0, "i@4:one i@11:two "},
		{BYTES("\0\0\0\0\0\0\0\1x"), 0, "i@4: i@8:x "},
		{BYTES("\0\0\0\x14"
		       "just-what-is-allowed"),
		 0, "i@4:just-what-is-allowed "},
		{BYTES("\0\0\0\x15"
		       "more-than-one-may-be!\0\0\0\1x"),
		 0, "s@4:more-than-one-may-be i@29:x "},
		{BYTES("\0\0\0\4stop\0\0\0\1x"), -EINTR, "i@4:stop "},
		{BYTES("\0\0\0\3on"), -EBADMSG, ""},
		{BYTES("\0\0\0\1x\0\0"), -EBADMSG, "i@4:x "},
		{BYTES("\0\0\0\1x\xff\xff\xff\xff"
		       "a length of 4 GB"),
		 -EBADMSG, "i@4:x "},
	};

	(void)state;
	check(KB_SPLIT_EVENTS, rows, sizeof(rows) / sizeof(rows[0]));
}

#define TYPE "\x0a\x11\x0a\x02v1\x12\x0bServiceList"

static void lists(void **state)
{
	static const struct row rows[] = {
		{BYTES("k8s\0" TYPE "\x12\x0c\x0a\x02mm\x12\x01"
		       "a\x12\x03"
		       "bcd"
		       "\x1a\0\x22\0"),
		 0, "m@27:mm i@31:a i@34:bcd D"},
		/* any order, and fields of no interest: numbers, fixed ones, texts, 64-bit tags */
		{BYTES("k8s\0\x12\x1e\x12\x01"
		       "a\x1a\x02no\x20\xff\x01\x2d\1\2\3\4\x31\1\2\3\4\5\6\7\x08\x0a\x02mm\x12"
		       "\0" TYPE),
		 0, "i@8:a m@32:mm i@36: D"},
		{BYTES("k8s\0" TYPE "\x12\0"), 0, "D"},
		/* no list */
		{BYTES("k8s\0\x0a\x0a\x0a\x02v1\x12\x04List\x12\0"), 0, "d"},
		{BYTES("k8s\0" TYPE), 0, "d"},
		{BYTES("k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x05\x1a\x03why"), 0, "d"},
		/* too large, and what follows */
		{BYTES("k8s\0" TYPE "\x12\x1a\x12\x15"
		       "more-than-one-may-be!\x12\x01"
		       "a"),
		 0, "s@27:more-than-one-may-be i@50:a D"},
		/* broken off, or not in its bounds */
		{BYTES(""), -EBADMSG, ""},
		{BYTES("k8s"), -EBADMSG, ""},
		{BYTES("{\"items\":[]}"), -EBADMSG, ""},
		{BYTES("k8s\0" TYPE "\x12\x08\x12\x01"
		       "a"),
		 -EBADMSG, "i@27:a "},
		{BYTES("k8s\0" TYPE "\x12\x03\x12\x05"
		       "abcde"),
		 -EBADMSG, ""},
		{BYTES("k8s\0" TYPE "\x12\x01\x12\x01"
		       "a"),
		 -EBADMSG, ""},
		{BYTES("k8s\0" TYPE "\x12\x02\x13\x14"), -EBADMSG, ""},
		{BYTES("k8s\0" TYPE "\x12\x04\x12\x01"
		       "a\x12"),
		 -EBADMSG, "i@27:a "},
		{BYTES("k8s\0\x02"), -EBADMSG, ""},
		{BYTES("k8s\0\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), -EBADMSG, ""},
	};

	(void)state;
	check(KB_SPLIT_LIST, rows, sizeof(rows) / sizeof(rows[0]));
}

static void a_large_buffer_is_given_back(void **state)
{
	const size_t size = 1 << 20;
	struct kb_pb_split *s;
	char *text = calloc(1, size);

	(void)state;
	if (!text)
		abort();
	assert_int_equal(kb_pb_split_new(KB_SPLIT_EVENTS, 0, &ops, NULL, &s), 0);
	assert_int_equal(kb_pb_split_feed(s, "\0\x10\0\0", 4), 0);
	seen[0] = 0;
	for (size_t at = 0; at < size; at += 4096) {
		assert_int_equal(kb_pb_split_feed(s, text + at, 4096), 0);
		assert_true(kb_pb_split_memory(s) <= 2 * size);
	}
	assert_string_equal(seen, "i@4: ");
	assert_true(kb_pb_split_memory(s) <= 64 << 10);
	/* one that is dropped keeps its head only */
	assert_int_equal(kb_pb_split_feed(s, "\x01\0\0\0", 4), 0);
	for (size_t at = 0; at < 16 * size; at += 4096)
		assert_int_equal(kb_pb_split_feed(s, text, 4096), 0);
	assert_true(kb_pb_split_memory(s) <= 64 << 10);
	kb_pb_split_reset(s, KB_SPLIT_EVENTS);
	assert_int_equal(kb_pb_split_finish(s), 0);
	kb_pb_split_free(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(lists),
		cmocka_unit_test(a_large_buffer_is_given_back),
	};

	return cmocka_run_group_tests_name("pb_split", tests, NULL, NULL);
}
