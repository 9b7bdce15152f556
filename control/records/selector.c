/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The selectors of selector.h: a scanner with one token of look-ahead, a descending parser
 * of the grammar of k8s.io/apimachinery/pkg/labels, and its table of what matches.
 */
#include "control/records/selector.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NAME_MAX_BYTES = 63,	/* of a key's name and of a value */
	PREFIX_MAX_BYTES = 253, /* of a key's prefix, a DNS subdomain */
};

struct word {
	const char *s; /* borrowed from the text, not terminated */
	size_t len;
};

enum op { OP_EXISTS, OP_ABSENT, OP_IN, OP_NOT_IN, OP_GREATER, OP_LESS };

struct requirement {
	struct word key;
	enum op op;
	size_t first, n; /* its values */
	int64_t number;	 /* of OP_GREATER and OP_LESS */
};

struct kb_selector {
	char *text; /* owned: what all words point into */
	size_t n, n_values;
	struct requirement req[KB_SELECTOR_REQUIREMENTS_MAX];
	struct word value[KB_SELECTOR_VALUES_MAX];
};

enum token {
	T_END,
	T_WORD,
	T_IN,	  /* a word too where one is due */
	T_NOT_IN, /* likewise */
	T_NOT,
	T_EQUAL,
	T_NOT_EQUAL,
	T_GREATER,
	T_LESS,
	T_OPEN,
	T_CLOSE,
	T_COMMA,
};

struct parser {
	struct kb_selector *sel;
	const char *p;
	enum token token; /* the next one, not taken yet */
	struct word word; /* its text */
	char *err;
	size_t err_size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct parser *p, int code,
						      const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	snprintf(p->err, p->err_size, "label selector \"%.200s\": %s", p->sel->text, what);
	return code;
}

static int unexpected(struct parser *p, const char *wanted)
{
	if (p->token == T_END)
		return fail(p, -EINVAL, "it ends where %s is expected", wanted);
	return fail(p, -EINVAL, "\"%.*s\" where %s is expected", (int)p->word.len, p->word.s,
		    wanted);
}

static bool is_word(enum token t)
{
	return t == T_WORD || t == T_IN || t == T_NOT_IN;
}

static bool equal(const struct word *w, const char *s)
{
	return strlen(s) == w->len && !memcmp(w->s, s, w->len);
}

static enum token symbol(const char *s, size_t *ret_len)
{
	*ret_len = 1;
	switch (*s) {
	case '=':
		*ret_len += s[1] == '=';
		return T_EQUAL;
	case '!':
		*ret_len += s[1] == '=';
		return s[1] == '=' ? T_NOT_EQUAL : T_NOT;
	case '>':
		return T_GREATER;
	case '<':
		return T_LESS;
	case '(':
		return T_OPEN;
	case ')':
		return T_CLOSE;
	default:
		return T_COMMA;
	}
}

static void scan(struct parser *p)
{
	static const char space[] = " \t\r\n", symbols[] = "=!()<>,";

	p->p += strspn(p->p, space);
	p->word.s = p->p;
	p->word.len = strcspn(p->p, " \t\r\n=!()<>,");
	if (!*p->p)
		p->token = T_END;
	else if (strchr(symbols, *p->p))
		p->token = symbol(p->p, &p->word.len);
	else if (equal(&p->word, "in"))
		p->token = T_IN;
	else if (equal(&p->word, "notin"))
		p->token = T_NOT_IN;
	else
		p->token = T_WORD;
	p->p += p->word.len;
}

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A name, or a value that is not empty. */
static bool name_valid(const char *s, size_t len)
{
	if (!len || len > NAME_MAX_BYTES || !alnum(s[0]) || !alnum(s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!alnum(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.')
			return false;
	}
	return true;
}

/* RFC 1123 labels with dots between them, in lower case. */
static bool prefix_valid(const char *s, size_t len)
{
	char before = '.';

	if (!len || len > PREFIX_MAX_BYTES)
		return false;
	for (size_t i = 0; i < len; before = s[i++]) {
		bool inner = alnum(s[i]) && !(s[i] >= 'A' && s[i] <= 'Z');

		if (!inner && !(s[i] == '-' && before != '.') &&
		    !(s[i] == '.' && before != '.' && before != '-'))
			return false;
	}
	return before != '.' && before != '-';
}

static int check_key(struct parser *p, const struct word *key)
{
	const char *slash = memchr(key->s, '/', key->len);
	size_t prefix = slash ? (size_t)(slash - key->s) : 0, skip = slash ? prefix + 1 : 0;

	if ((slash && !prefix_valid(key->s, prefix)) || !name_valid(key->s + skip, key->len - skip))
		return fail(p, -EINVAL, "\"%.*s\" is not a label's key", (int)key->len, key->s);
	return 0;
}

static int add_value(struct parser *p, struct requirement *req, const struct word *value)
{
	if (value->len && !name_valid(value->s, value->len))
		return fail(p, -EINVAL, "\"%.*s\" is not a label's value", (int)value->len,
			    value->s);
	if (p->sel->n_values == KB_SELECTOR_VALUES_MAX)
		return fail(p, -E2BIG, "more than %d values", KB_SELECTOR_VALUES_MAX);
	p->sel->value[p->sel->n_values++] = *value;
	req->n++;
	return 0;
}

/* "(a,b)". An empty place between the marks is an empty value, but "a," followed by a
 * value has none. */
static int parse_set(struct parser *p, struct requirement *req)
{
	static const struct word empty = {"", 0};
	int r;

	if (p->token != T_OPEN)
		return unexpected(p, "\"(\"");
	scan(p);
	for (bool after_word = false;;) {
		if (is_word(p->token) && !after_word) {
			r = add_value(p, req, &p->word);
			after_word = true;
			scan(p);
		} else if (p->token == T_COMMA) {
			r = after_word ? 0 : add_value(p, req, &empty);
			after_word = false;
			scan(p);
			if (!r && p->token == T_CLOSE)
				r = add_value(p, req, &empty);
		} else if (p->token == T_CLOSE) {
			r = req->n ? 0 : add_value(p, req, &empty);
			scan(p);
			return r;
		} else {
			return unexpected(p, after_word ? "\",\" or \")\"" : "a value");
		}
		if (r < 0)
			return r;
	}
}

static int parse_value(struct parser *p, struct requirement *req)
{
	struct word value = {"", 0};

	if (is_word(p->token)) {
		value = p->word;
		scan(p);
	} else if (p->token != T_END && p->token != T_COMMA) {
		return unexpected(p, "a value");
	}
	return add_value(p, req, &value);
}

/* As Go's strconv.ParseInt: a sign, digits, within 64 bits, nothing else. */
static bool parse_number(const char *s, size_t len, int64_t *ret)
{
	size_t sign = len && (*s == '-' || *s == '+');
	int64_t v = 0;

	if (len == sign)
		return false;
	for (size_t i = sign; i < len; i++) {
		int64_t digit = s[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *s == '-' ? -digit : digit, &v))
			return false;
	}
	*ret = v;
	return true;
}

static int parse_number_value(struct parser *p, struct requirement *req)
{
	const struct word *w = &p->sel->value[req->first];
	int r = parse_value(p, req);

	if (!r && !parse_number(w->s, w->len, &req->number))
		return fail(p, -EINVAL, "\"%.*s\" is not an integer", (int)w->len, w->s);
	return r;
}

static int parse_operator(struct parser *p, struct requirement *req)
{
	enum token t = p->token;

	switch (t) {
	case T_IN:
	case T_NOT_IN:
		scan(p);
		req->op = t == T_IN ? OP_IN : OP_NOT_IN;
		return parse_set(p, req);
	case T_EQUAL:
	case T_NOT_EQUAL:
		scan(p);
		req->op = t == T_EQUAL ? OP_IN : OP_NOT_IN;
		return parse_value(p, req);
	case T_GREATER:
	case T_LESS:
		scan(p);
		req->op = t == T_GREATER ? OP_GREATER : OP_LESS;
		return parse_number_value(p, req);
	default:
		return unexpected(p, "=, ==, !=, in, notin, > or <");
	}
}

static int parse_requirement(struct parser *p)
{
	struct kb_selector *sel = p->sel;
	struct requirement *req;
	int r;

	if (sel->n == KB_SELECTOR_REQUIREMENTS_MAX)
		return fail(p, -E2BIG, "more than %d requirements", KB_SELECTOR_REQUIREMENTS_MAX);
	req = &sel->req[sel->n++];
	req->first = sel->n_values;
	req->op = p->token == T_NOT ? OP_ABSENT : OP_EXISTS;
	if (p->token == T_NOT)
		scan(p);
	if (!is_word(p->token))
		return unexpected(p, "a key");
	req->key = p->word;
	r = check_key(p, &req->key);
	if (r < 0)
		return r;
	scan(p);
	if (req->op == OP_ABSENT || p->token == T_END || p->token == T_COMMA)
		return 0;
	return parse_operator(p, req);
}

static int parse(struct parser *p)
{
	int r;

	scan(p);
	if (p->token == T_END)
		return 0;
	for (;;) {
		r = parse_requirement(p);
		if (r < 0 || p->token == T_END)
			return r;
		if (p->token != T_COMMA)
			return unexpected(p, "\",\" or the end");
		scan(p);
	}
}

int kb_selector_parse(const char *text, struct kb_selector **ret, char *err, size_t err_size)
{
	struct kb_selector *sel;
	struct parser p = {.err = err, .err_size = err_size};
	int r;

	if (strlen(text) > KB_SELECTOR_TEXT_MAX) {
		snprintf(err, err_size, "label selector \"%.40s...\": longer than %d bytes", text,
			 KB_SELECTOR_TEXT_MAX);
		return -E2BIG;
	}
	sel = calloc(1, sizeof(*sel));
	if (sel)
		sel->text = strdup(text);
	if (!sel || !sel->text) {
		kb_selector_free(sel);
		snprintf(err, err_size, "out of memory");
		return -ENOMEM;
	}
	p.sel = sel;
	p.p = sel->text;
	r = parse(&p);
	if (r < 0) {
		kb_selector_free(sel);
		return r;
	}
	*ret = sel;
	return 0;
}

static const char *find(const struct kb_label *labels, size_t n, const struct word *key)
{
	while (n--) {
		if (equal(key, labels[n].key))
			return labels[n].value;
	}
	return NULL;
}

static bool has_value(const struct kb_selector *sel, const struct requirement *req,
		      const char *value)
{
	for (size_t i = 0; i < req->n; i++) {
		if (equal(&sel->value[req->first + i], value))
			return true;
	}
	return false;
}

static bool satisfied(const struct kb_selector *sel, const struct requirement *req,
		      const char *value)
{
	int64_t number;

	switch (req->op) {
	case OP_EXISTS:
		return value != NULL;
	case OP_ABSENT:
		return !value;
	case OP_IN:
		return value && has_value(sel, req, value);
	case OP_NOT_IN:
		return !value || !has_value(sel, req, value);
	default:
		if (!value || !parse_number(value, strlen(value), &number))
			return false;
		return req->op == OP_GREATER ? number > req->number : number < req->number;
	}
}

bool kb_selector_match(const struct kb_selector *sel, const struct kb_label *labels, size_t n)
{
	for (size_t i = 0; i < sel->n; i++) {
		const struct requirement *req = &sel->req[i];

		if (!satisfied(sel, req, find(labels, n, &req->key)))
			return false;
	}
	return true;
}

void kb_selector_free(struct kb_selector *sel)
{
	if (!sel)
		return;
	free(sel->text);
	free(sel);
}
