/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull reader for one JSON text (RFC 8259) in memory.
 *
 * Why not a tree: an event is read once, front to back, and nine tenths of an
 * object (managedFields, status, annotations) mean nothing to DNS. The reader
 * skips them without an allocation, and still reads what it can of a text that
 * breaks off, so that an object too large to keep can at least be named.
 *
 * Use, always in document order:
 *
 *	if (kb_json_enter(j, '{'))
 *		while (kb_json_key(j, &key))
 *			kb_json_skip(j);	// or any other call that takes the value
 *	if (j->error) ...
 *
 * The first error sticks: every later call returns false and takes nothing.
 * Grammar is checked in full, in skipped values too; that strings are valid UTF-8
 * is not. Not thread safe; a reader belongs to one caller.
 */
#ifndef KB_KUBE_JSON_H
#define KB_KUBE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KB_JSON_DEPTH_MAX = 128 };

struct kb_json {
	const char *begin, *p, *end; /* borrowed text and the place in it */
	char *arena;		     /* borrowed: strings are decoded to here */
	const char *error;	     /* NULL, or what is wrong at p */
	uint32_t depth;
	bool fresh; /* a container was entered, nothing read from it yet */
};

struct kb_json_str {
	const char *s; /* NUL terminated only when it comes from kb_json_string */
	size_t len;
};

/* `arena` has room for len + 1 bytes: all strings decoded from a text fit there,
 * whatever they are. It must outlive what the strings are used for. */
void kb_json_init(struct kb_json *j, const char *text, size_t len, char *arena);
/* The next value's kind by its first byte: one of { [ " t f n, '0' for a number,
 * or 0 at an error or at the end of the text. Takes nothing but white space. */
char kb_json_peek(struct kb_json *j);
/* Takes '{' or '[' when that is next, otherwise sets the error. */
bool kb_json_enter(struct kb_json *j, char open);
/* Takes the next member's key and colon; false at the closing brace (taken too)
 * or on an error. The key is borrowed from the text or from the arena. */
bool kb_json_key(struct kb_json *j, struct kb_json_str *ret_key);
/* The same, but the key is decoded and NUL terminated in the arena. */
bool kb_json_key_string(struct kb_json *j, struct kb_json_str *ret_key);
/* True when the array has another element, which the caller then takes; false at
 * the closing bracket (taken too) or on an error. */
bool kb_json_element(struct kb_json *j);
/* Takes a string, decoded and NUL terminated in the arena. A string that contains
 * U+0000 is taken too: its len is then not its strlen(). */
bool kb_json_string(struct kb_json *j, struct kb_json_str *ret_str);
/* Takes an integer without fraction or exponent; false, with nothing taken and
 * no error set, when the next value is none or does not fit. */
bool kb_json_integer(struct kb_json *j, int64_t *ret_value);
/* Takes true or false. */
bool kb_json_bool(struct kb_json *j, bool *ret_value);
/* Takes any value. */
bool kb_json_skip(struct kb_json *j);
/* True when nothing but white space is left; otherwise sets the error. */
bool kb_json_finish(struct kb_json *j);

static inline bool kb_json_is(const struct kb_json_str *s, const char *literal)
{
	size_t n = strlen(literal);

	return s->len == n && !memcmp(s->s, literal, n);
}

/* The first byte at or after p that is a quote, a backslash or a control
 * character; `end` when there is none. Shared with the splitter. */
const char *kb_json_scan_string(const char *p, const char *end);

#endif
