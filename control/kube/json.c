/* SPDX-License-Identifier: Apache-2.0 */
/* The pull reader of json.h. */
#include "control/kube/json.h"

#include <assert.h>

static bool fail(struct kb_json *j, const char *why)
{
	if (!j->error)
		j->error = why;
	return false;
}

void kb_json_init(struct kb_json *j, const char *text, size_t len, char *arena)
{
	*j = (struct kb_json){.begin = text, .p = text, .end = text + len, .arena = arena};
}

static inline bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_space(struct kb_json *j)
{
	while (j->p < j->end && is_space(*j->p))
		j->p++;
}

char kb_json_peek(struct kb_json *j)
{
	char c;

	if (j->error)
		return 0;
	skip_space(j);
	if (j->p == j->end)
		return 0;
	c = *j->p;
	return c == '-' || (c >= '0' && c <= '9') ? '0' : c;
}

/* Eight bytes at a time: a byte of v is marked by its top bit when it is the
 * wanted one. The lowest mark is exact, higher ones may be carries, and only
 * whether there is a mark at all is used. */
const char *kb_json_scan_string(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101ULL, tops = 0x8080808080808080ULL;

	while (end - p >= 8) {
		uint64_t v, quote, slash;

		memcpy(&v, p, 8);
		quote = v ^ (ones * '"');
		slash = v ^ (ones * '\\');
		if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
		     ((v - ones * 0x20) & ~v)) &
		    tops)
			break;
		p += 8;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

bool kb_json_enter(struct kb_json *j, char open)
{
	if (kb_json_peek(j) != open)
		return fail(j, open == '{' ? "an object expected" : "an array expected");
	if (j->depth == KB_JSON_DEPTH_MAX)
		return fail(j, "nested too deeply");
	j->p++;
	j->depth++;
	j->fresh = true;
	return true;
}

/* Takes the closing bracket or the comma before the next member. */
static bool next_member(struct kb_json *j, char close)
{
	if (j->error)
		return false;
	skip_space(j);
	if (j->p == j->end)
		return fail(j, "unexpected end");
	if (*j->p == close) {
		j->p++;
		j->depth--;
		j->fresh = false;
		return false;
	}
	if (!j->fresh) {
		if (*j->p != ',')
			return fail(j, "a comma or a closing bracket expected");
		j->p++;
		skip_space(j);
	}
	j->fresh = false;
	return true;
}

bool kb_json_element(struct kb_json *j)
{
	return next_member(j, ']');
}

static int hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v |= (c | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return v;
}

/* j->p stands after "\u". Surrogates come in pairs or not at all. */
static bool read_unicode(struct kb_json *j, uint32_t *ret_rune)
{
	int hi, lo;

	hi = j->end - j->p >= 4 ? hex4(j->p) : -1;
	if (hi < 0)
		return fail(j, "bad \\u escape");
	j->p += 4;
	if (hi >= 0xdc00 && hi <= 0xdfff)
		return fail(j, "lone surrogate");
	if (hi >= 0xd800 && hi <= 0xdbff) {
		if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u')
			return fail(j, "lone surrogate");
		lo = hex4(j->p + 2);
		if (lo < 0xdc00 || lo > 0xdfff)
			return fail(j, "lone surrogate");
		j->p += 6;
		*ret_rune = 0x10000u + (((uint32_t)hi - 0xd800u) << 10) + ((uint32_t)lo - 0xdc00u);
		return true;
	}
	*ret_rune = (uint32_t)hi;
	return true;
}

static char *put_rune(char *out, uint32_t r)
{
	if (r < 0x80) {
		*out++ = (char)r;
	} else if (r < 0x800) {
		*out++ = (char)(0xc0 | (r >> 6));
		*out++ = (char)(0x80 | (r & 0x3f));
	} else if (r < 0x10000) {
		*out++ = (char)(0xe0 | (r >> 12));
		*out++ = (char)(0x80 | ((r >> 6) & 0x3f));
		*out++ = (char)(0x80 | (r & 0x3f));
	} else {
		*out++ = (char)(0xf0 | (r >> 18));
		*out++ = (char)(0x80 | ((r >> 12) & 0x3f));
		*out++ = (char)(0x80 | ((r >> 6) & 0x3f));
		*out++ = (char)(0x80 | (r & 0x3f));
	}
	return out;
}

/* j->p stands after a backslash; out is NULL when the value is only skipped. */
static bool read_escape(struct kb_json *j, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t rune;

	if (j->p == j->end)
		return fail(j, "unexpected end");
	if (*j->p == 'u') {
		j->p++;
		if (!read_unicode(j, &rune))
			return false;
		if (out)
			*out = put_rune(*out, rune);
		return true;
	}
	at = *j->p ? strchr(from, *j->p) : NULL;
	if (!at)
		return fail(j, "bad escape");
	j->p++;
	if (out)
		*(*out)++ = to[at - from];
	return true;
}

/* Takes the rest of a string whose opening quote is taken. */
static bool string_rest(struct kb_json *j, char **out)
{
	for (;;) {
		const char *q = kb_json_scan_string(j->p, j->end);

		if (out) {
			memcpy(*out, j->p, (size_t)(q - j->p));
			*out += q - j->p;
		}
		j->p = q;
		if (q == j->end)
			return fail(j, "unexpected end");
		if (*q == '"') {
			j->p++;
			return true;
		}
		if (*q != '\\')
			return fail(j, "control character in a string");
		j->p++;
		if (!read_escape(j, out))
			return false;
	}
}

bool kb_json_string(struct kb_json *j, struct kb_json_str *ret_str)
{
	char *out = j->arena;

	if (kb_json_peek(j) != '"')
		return fail(j, "a string expected");
	j->p++;
	if (!string_rest(j, &out))
		return false;
	/* Two quotes were taken for one NUL written: the arena cannot overflow. */
	*out = 0;
	*ret_str = (struct kb_json_str){.s = j->arena, .len = (size_t)(out - j->arena)};
	j->arena = out + 1;
	return true;
}

static bool next_key(struct kb_json *j)
{
	if (!next_member(j, '}'))
		return false;
	if (j->p == j->end || *j->p != '"')
		return fail(j, "a key expected");
	return true;
}

static bool colon(struct kb_json *j)
{
	skip_space(j);
	if (j->p == j->end || *j->p != ':')
		return fail(j, "a colon expected");
	j->p++;
	return true;
}

bool kb_json_key_string(struct kb_json *j, struct kb_json_str *ret_key)
{
	return next_key(j) && kb_json_string(j, ret_key) && colon(j);
}

bool kb_json_key(struct kb_json *j, struct kb_json_str *ret_key)
{
	const char *q;

	if (!next_key(j))
		return false;
	q = kb_json_scan_string(j->p + 1, j->end);
	if (q < j->end && *q == '"') {
		*ret_key = (struct kb_json_str){.s = j->p + 1, .len = (size_t)(q - j->p - 1)};
		j->p = q + 1;
	} else if (!kb_json_string(j, ret_key)) {
		return false;
	}
	return colon(j);
}

static bool literal(struct kb_json *j, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n))
		return fail(j, "not a JSON value");
	j->p += n;
	return true;
}

bool kb_json_bool(struct kb_json *j, bool *ret_value)
{
	char c = kb_json_peek(j);

	if (c != 't' && c != 'f')
		return fail(j, "true or false expected");
	if (!literal(j, c == 't' ? "true" : "false"))
		return false;
	*ret_value = c == 't';
	return true;
}

static inline bool is_digit(const struct kb_json *j)
{
	return j->p < j->end && *j->p >= '0' && *j->p <= '9';
}

static bool digits(struct kb_json *j)
{
	if (!is_digit(j))
		return fail(j, "a digit expected");
	while (is_digit(j))
		j->p++;
	return true;
}

static bool number(struct kb_json *j)
{
	if (*j->p == '-')
		j->p++;
	if (j->p < j->end && *j->p == '0')
		j->p++;
	else if (!digits(j))
		return false;
	if (is_digit(j))
		return fail(j, "a number with a leading zero");
	if (j->p < j->end && *j->p == '.') {
		j->p++;
		if (!digits(j))
			return false;
	}
	if (j->p < j->end && (*j->p == 'e' || *j->p == 'E')) {
		j->p++;
		if (j->p < j->end && (*j->p == '+' || *j->p == '-'))
			j->p++;
		return digits(j);
	}
	return true;
}

bool kb_json_integer(struct kb_json *j, int64_t *ret_value)
{
	struct kb_json at;
	int64_t v = 0;
	bool negative;

	if (kb_json_peek(j) != '0')
		return false;
	at = *j;
	if (!number(&at))
		return false;
	if (at.p - j->p > 18)
		return false;
	negative = *j->p == '-';
	for (const char *p = j->p + negative; p < at.p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (*p - '0');
	}
	j->p = at.p;
	*ret_value = negative ? -v : v;
	return true;
}

static bool skip_scalar(struct kb_json *j, char c)
{
	switch (c) {
	case '"':
		j->p++;
		return string_rest(j, NULL);
	case 't':
		return literal(j, "true");
	case 'f':
		return literal(j, "false");
	case 'n':
		return literal(j, "null");
	case '0':
		return number(j);
	case 0:
		return fail(j, "unexpected end");
	default:
		return fail(j, "not a JSON value");
	}
}

bool kb_json_skip(struct kb_json *j)
{
	char closers[KB_JSON_DEPTH_MAX];
	struct kb_json_str key;
	uint32_t base = j->depth;

	for (;;) {
		char c = kb_json_peek(j);

		if (c == '{' || c == '[') {
			if (!kb_json_enter(j, c))
				return false;
			closers[j->depth - 1] = c == '{' ? '}' : ']';
		} else if (!skip_scalar(j, c)) {
			return false;
		}
		/* To the next value, up through what ends here. */
		for (;;) {
			if (j->depth == base)
				return true;
			if (closers[j->depth - 1] == '}' ? kb_json_key(j, &key)
							 : kb_json_element(j))
				break;
			if (j->error)
				return false;
		}
	}
}

bool kb_json_finish(struct kb_json *j)
{
	if (j->error)
		return false;
	skip_space(j);
	if (j->p != j->end)
		return fail(j, "text after the value");
	return true;
}
