/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Syntax of Kubernetes label selectors: requirements with commas between them, each of the
 * form key, !key, key=value, key==value, key!=value, key in (a,b) or key notin (a,b).
 */
#include <string.h>

#include "control/config/corefile_private.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static const char *blanks(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* Length of the word at s: all but blanks and operators. */
static size_t word_len(const char *s)
{
	return strcspn(s, " \t\r\n!=(),<>");
}

/* 1..63 letters, digits, and inner -_. */
static bool is_name(const char *s, size_t n)
{
	if (!n || n > 63 || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
			return false;
	}
	return true;
}

/* [PREFIX/]NAME, the prefix a lower-case domain. */
static bool is_key(const char *s, size_t n)
{
	const char *slash = memchr(s, '/', n);
	size_t prefix = slash ? (size_t)(slash - s) : 0;
	char name[KB_CF_NAME_MAX], domain[KB_CF_NAME_MAX];

	if (!slash)
		return is_name(s, n);
	if (!prefix || prefix > 253)
		return false;
	memcpy(domain, s, prefix);
	domain[prefix] = '\0';
	if (!kb_cf_normalize(domain, name) || strcmp(name, domain) != 0 || !kb_cf_plain(domain) ||
	    strchr(domain, '_'))
		return false;
	return is_name(slash + 1, n - prefix - 1);
}

static bool is_value(const char *s, size_t n)
{
	return !n || is_name(s, n);
}

/* "(a, b)" */
static const char *take_set(const char *s)
{
	s = blanks(s);
	if (*s++ != '(')
		return NULL;
	for (;;) {
		size_t n;

		s = blanks(s);
		n = word_len(s);
		if (!is_value(s, n))
			return NULL;
		s = blanks(s + n);
		if (*s == ')')
			return s + 1;
		if (*s++ != ',')
			return NULL;
	}
}

static const char *take_requirement(const char *s)
{
	bool absent;
	size_t n;

	s = blanks(s);
	absent = *s == '!';
	s = blanks(s + absent);
	n = word_len(s);
	if (!is_key(s, n))
		return NULL;
	s = blanks(s + n);
	if (!*s || *s == ',')
		return s;
	if (absent)
		return NULL;
	n = word_len(s);
	if ((n == 2 && memcmp(s, "in", 2) == 0) || (n == 5 && memcmp(s, "notin", 5) == 0))
		return take_set(s + n);
	if (*s == '!' && s[1] == '=')
		s += 2;
	else if (*s == '=')
		s += s[1] == '=' ? 2 : 1;
	else
		return NULL;
	s = blanks(s);
	n = word_len(s);
	return is_value(s, n) ? s + n : NULL;
}

bool kb_cf_selector_valid(const char *s)
{
	if (!*blanks(s))
		return true; /* selects everything */
	for (;;) {
		s = take_requirement(s);
		if (!s)
			return false;
		s = blanks(s);
		if (!*s)
			return true;
		if (*s++ != ',')
			return false;
	}
}
