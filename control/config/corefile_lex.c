/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to tokens, as CoreDNS's Caddyfile reader cuts them: words between white space; a word that
 * begins with a double quote goes on to the next one, over lines; # begins a comment, also
 * within a word.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

/* More than any Corefile has; snippets can multiply what a file holds. */
#define TOKENS_MAX 65536
/* Replacements in one token; a variable's value may name another. */
#define EXPANSIONS_MAX 64

int kb_cf_push(struct kb_cf *cf, struct kb_cf_tokens *tokens, const struct kb_cf_token *token)
{
	if (tokens->n >= TOKENS_MAX)
		return kb_cf_fail(cf, -EOPNOTSUPP, token->file, token->line,
				  "more than %d words with everything imported, make it shorter",
				  TOKENS_MAX);
	if (tokens->n == tokens->cap) {
		size_t cap = tokens->cap ? tokens->cap * 2 : 64;
		void *v = realloc(tokens->v, cap * sizeof(*tokens->v));

		if (!v)
			return kb_cf_no_memory(cf);
		tokens->v = v;
		tokens->cap = cap;
	}
	tokens->v[tokens->n++] = *token;
	return 0;
}

/* Length of the white space at s, 0 if there is none: what Unicode calls so. */
static size_t space_len(const char *s, size_t n)
{
	static const char *const wide[] = {
		"\xc2\x85",	"\xc2\xa0",	"\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
		"\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
		"\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
		"\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

	if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
		return 1;
	for (size_t i = 0; (unsigned char)*s >= 0xc2 && i < sizeof(wide) / sizeof(*wide); i++) {
		size_t len = strlen(wide[i]);

		if (n >= len && memcmp(s, wide[i], len) == 0)
			return len;
	}
	return 0;
}

struct lexer {
	const char *s;
	size_t n, at;
	uint32_t line;
	char *buf; /* as large as the text */
	size_t len;
	struct kb_cf_token token;
};

/* After the opening quote. */
static void take_quoted(struct lexer *l)
{
	bool escaped = false;

	while (l->at < l->n) {
		char c = l->s[l->at++];

		if (!escaped && c == '\\') {
			escaped = true;
			continue;
		}
		if (!escaped && c == '"')
			return;
		if (c == '\n') {
			l->line++;
			l->token.breaks++;
		}
		if (escaped && c != '"')
			l->buf[l->len++] = '\\';
		l->buf[l->len++] = c;
		escaped = false;
	}
}

/* The next token; false at the end of the text. */
static bool take_token(struct lexer *l)
{
	bool comment = false, quoted = false;

	l->len = 0;
	while (l->at < l->n) {
		size_t space = space_len(l->s + l->at, l->n - l->at);

		if (space) {
			char c = l->s[l->at];

			l->at += space;
			if (c == '\r')
				continue;
			if (c == '\n') {
				l->line++;
				comment = false;
			}
			if (l->len)
				return true;
			continue;
		}
		if (l->s[l->at] == '#')
			comment = true;
		if (comment) {
			l->at++;
			continue;
		}
		if (!l->len) {
			l->token = (struct kb_cf_token){.line = l->line, .file = l->token.file};
			quoted = l->s[l->at] == '"';
			if (quoted) {
				l->at++;
				take_quoted(l);
				/* Ended by its quote, it is a token even when empty. */
				return l->len || l->at < l->n || l->s[l->n - 1] == '"';
			}
		}
		l->buf[l->len++] = l->s[l->at++];
	}
	return l->len > 0;
}

int kb_cf_lex(struct kb_cf *cf, uint32_t file, const char *text, size_t len,
	      struct kb_cf_tokens *tokens)
{
	struct lexer l = {.s = text, .n = len, .line = 1, .token.file = file};
	int r = 0;

	if (memchr(text, '\0', len))
		return kb_cf_fail(cf, -EOPNOTSUPP, file, 1, "contains a NUL byte, remove it");
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		l.at = 3;
	l.buf = malloc(len + 1);
	if (!l.buf)
		return kb_cf_no_memory(cf);
	while (r == 0 && take_token(&l)) {
		l.token.text = kb_cf_keep(cf, l.buf, l.len);
		r = l.token.text ? kb_cf_push(cf, tokens, &l.token) : kb_cf_no_memory(cf);
	}
	free(l.buf);
	return r;
}

/* Replaces every reference between `open` and `close` in text (size bytes of room). */
static int expand_kind(struct kb_cf_token *token, char *text, size_t size, const char *open,
		       const char *close)
{
	char name[256];

	for (int i = 0; i < EXPANSIONS_MAX; i++) {
		char *start = strstr(text, open), *end = start ? strstr(start, close) : NULL;
		size_t open_len = strlen(open), close_len = strlen(close), name_len, tail,
		       value_len;
		const char *value;

		if (!end || end <= start + open_len)
			return 0;
		name_len = (size_t)(end - start) - open_len;
		if (name_len >= sizeof(name))
			return -E2BIG;
		memcpy(name, start + open_len, name_len);
		name[name_len] = '\0';
		value = getenv(name);
		if (!value) {
			token->unset = true;
			value = "";
		}
		value_len = strlen(value);
		tail = strlen(end + close_len);
		if ((size_t)(start - text) + value_len + tail >= size)
			return -E2BIG;
		memmove(start + value_len, end + close_len, tail + 1);
		memcpy(start, value, value_len);
	}
	return -E2BIG;
}

int kb_cf_expand(struct kb_cf *cf, struct kb_cf_token *token)
{
	char text[8192];
	size_t len = strlen(token->text);
	int r = -E2BIG;

	if (!strstr(token->text, "{%") && !strstr(token->text, "{$"))
		return 0;
	if (len < sizeof(text)) {
		memcpy(text, token->text, len + 1);
		r = expand_kind(token, text, sizeof(text), "{%", "%}");
		if (r == 0)
			r = expand_kind(token, text, sizeof(text), "{$", "}");
	}
	if (r < 0)
		return kb_cf_fail(cf, -EOPNOTSUPP, token->file, token->line,
				  "the environment variables make a word that is too long, "
				  "write it out");
	token->text = kb_cf_keep(cf, text, strlen(text));
	return token->text ? 0 : kb_cf_no_memory(cf);
}
