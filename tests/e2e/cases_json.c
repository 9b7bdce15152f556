/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the table of tests/unit/answer_cases.h as JSON, for tests in other languages. */
#include <stdio.h>

#include "tests/unit/answer_cases.h"

static void put_string(const char *key, const char *s, const char *end)
{
	printf("\"%s\": \"", key);
	for (; *s; s++) {
		if (*s == '\n')
			fputs("\\n", stdout);
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else
			putchar(*s);
	}
	printf("\"%s", end);
}

static void put_flag(const char *key, int on)
{
	printf("\"%s\": %s, ", key, on ? "true" : "false");
}

int main(void)
{
	puts("[");
	for (size_t i = 0; i < ANSWER_CASES; i++) {
		const struct answer_case *c = &answer_cases[i];

		printf("{");
		put_string("qname", c->qname, ", ");
		put_string("qtype", c->qtype, ", ");
		put_string("rcode", c->rcode, ", ");
		put_flag("tc", c->flags & CASE_TC);
		put_flag("leave", c->flags & CASE_LEAVE);
		put_flag("plain", c->flags & CASE_PLAIN);
		put_string("answer", c->answer, ", ");
		put_string("authority", c->authority, ", ");
		put_string("additional", c->additional, "");
		printf("}%s\n", i + 1 < ANSWER_CASES ? "," : "");
	}
	puts("]");
	return 0;
}
