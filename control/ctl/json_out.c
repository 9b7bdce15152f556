/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kb_json_out_init(struct kb_json_out *o, size_t max)
{
	memset(o, 0, sizeof(*o));
	o->text.max = max;
}

void kb_json_out_fini(struct kb_json_out *o)
{
	free(o->text.buf);
	memset(o, 0, sizeof(*o));
}

void kb_json_out_reset(struct kb_json_out *o)
{
	o->text.len = 0;
	o->text.error = 0;
	o->depth = 0;
	o->more = 0;
	o->keyed = false;
}

static void put(struct kb_json_out *o, const char *s, size_t n)
{
	kb_text_put(&o->text, s, n);
}

/* What stands before a value or a key: the comma. */
static void separate(struct kb_json_out *o)
{
	if (o->keyed) {
		o->keyed = false;
		return;
	}
	if (o->more & (1U << o->depth))
		put(o, ",", 1);
	else
		o->more |= 1U << o->depth;
}

int kb_json_out_end(struct kb_json_out *o)
{
	assert(o->text.error || (o->depth == 0 && !o->keyed));
	put(o, "\n", 1);
	o->more = 0;
	return o->text.error;
}

void kb_json_out_open(struct kb_json_out *o, char open)
{
	assert(open == '{' || open == '[');
	assert(o->depth + 1 < KB_JSON_OUT_DEPTH_MAX);
	separate(o);
	put(o, &open, 1);
	o->depth++;
	o->more &= ~(1U << o->depth);
	if (open == '[')
		o->arrays |= 1U << o->depth;
	else
		o->arrays &= ~(1U << o->depth);
}

void kb_json_out_close(struct kb_json_out *o)
{
	assert(o->depth && !o->keyed);
	put(o, o->arrays & (1U << o->depth) ? "]" : "}", 1);
	o->depth--;
}

/* Bytes of the valid UTF-8 sequence at s (RFC 3629), or 0. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0; /* overlong, surrogate, above U+10FFFF */
	return len;
}

static void put_quoted(struct kb_json_out *o, const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t plain = 0; /* bytes before s that need nothing */
	char esc[8];

	put(o, "\"", 1);
	while (n) {
		size_t len = utf8_len(s, n);

		if (len && *s >= 0x20 && *s != '"' && *s != '\\' && *s != 0x7f) {
			plain += len;
			s += len;
			n -= len;
			continue;
		}
		put(o, (const char *)s - plain, plain);
		plain = 0;
		if (!len)
			put(o, "\xef\xbf\xbd", 3);
		else if (*s == '"' || *s == '\\')
			put(o, (char[]){'\\', (char)*s}, 2);
		else
			put(o, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", *s));
		s++;
		n--;
	}
	put(o, (const char *)s - plain, plain);
	put(o, "\"", 1);
}

void kb_json_out_key(struct kb_json_out *o, const char *key)
{
	assert(o->depth && !(o->arrays & (1U << o->depth)) && !o->keyed);
	separate(o);
	put_quoted(o, key, strlen(key));
	put(o, ":", 1);
	o->keyed = true;
}

static void value(struct kb_json_out *o, const char *text)
{
	assert(o->keyed || !o->depth || o->arrays & (1U << o->depth));
	separate(o);
	put(o, text, strlen(text));
}

void kb_json_out_str(struct kb_json_out *o, const char *s)
{
	if (s)
		kb_json_out_strn(o, s, strlen(s));
	else
		kb_json_out_null(o);
}

void kb_json_out_strn(struct kb_json_out *o, const char *s, size_t n)
{
	value(o, "");
	put_quoted(o, s, n);
}

void kb_json_out_u64(struct kb_json_out *o, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	value(o, text);
}

void kb_json_out_i64(struct kb_json_out *o, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, v);
	value(o, text);
}

void kb_json_out_double(struct kb_json_out *o, double v)
{
	char text[40];

	if (!isfinite(v)) {
		kb_json_out_null(o);
		return;
	}
	snprintf(text, sizeof(text), "%.9g", v);
	value(o, text);
}

void kb_json_out_bool(struct kb_json_out *o, bool v)
{
	value(o, v ? "true" : "false");
}

void kb_json_out_null(struct kb_json_out *o)
{
	value(o, "null");
}

void kb_json_put_open(struct kb_json_out *o, const char *key, char open)
{
	kb_json_out_key(o, key);
	kb_json_out_open(o, open);
}

void kb_json_put_str(struct kb_json_out *o, const char *key, const char *s)
{
	kb_json_out_key(o, key);
	kb_json_out_str(o, s);
}

void kb_json_put_u64(struct kb_json_out *o, const char *key, uint64_t v)
{
	kb_json_out_key(o, key);
	kb_json_out_u64(o, v);
}

void kb_json_put_double(struct kb_json_out *o, const char *key, double v)
{
	kb_json_out_key(o, key);
	kb_json_out_double(o, v);
}

void kb_json_put_bool(struct kb_json_out *o, const char *key, bool v)
{
	kb_json_out_key(o, key);
	kb_json_out_bool(o, v);
}

void kb_json_put_null(struct kb_json_out *o, const char *key)
{
	kb_json_out_key(o, key);
	kb_json_out_null(o);
}
