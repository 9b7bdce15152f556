/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the real answer core over a fake table, as an engine does, and decodes the
 * reply with ldns.
 */
#ifndef KB_TESTS_ASK_CORE_H
#define KB_TESTS_ASK_CORE_H

#include <stdbool.h>
#include <stddef.h>

struct kb_table;

struct reply {
	int left; /* counter, 0: answered */
	bool tc, aa;
	char rcode[16];
	char answer[262144], authority[4096], additional[262144]; /* sorted lines */
};

void ask_core(const struct kb_table *table, const char *qname, const char *qtype, bool edns,
	      struct reply *ret);
/* Decodes a whole message. */
void ask_decode(const unsigned char *wire, size_t len, struct reply *ret);
/* Sorts the lines of a section in place. */
void ask_sort(char *lines);
/* Builds a query (id 0x1234, RD). Returns its length; *ret_qlen: of the name alone. */
size_t ask_query(const char *qname, const char *qtype, bool edns, unsigned char *buf,
		 size_t *ret_qlen);

#endif
