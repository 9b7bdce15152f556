/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of CoreDNS's rewrite plugin: `name exact FROM TO` and `name suffix FROM TO`, on names in
 * wire form. Pure functions, any thread.
 *
 * A suffix that begins with a dot ends whole labels and has something before it; one that does not
 * may begin within a label, as in CoreDNS: "b.example" also ends "ab.example".
 *
 * Names in the reply change back: always after an exact rule (TO, and names below it), after a
 * suffix rule with `answer auto`. That is the owner of each record, and the name in the
 * data of CNAME, DNAME, MX, NS, PTR, SRV, and in SOA the first one.
 */
#ifndef KB_FORWARD_REWRITE_H
#define KB_FORWARD_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_REWRITE_NAME_MAX 255

struct kb_rewrite {
	bool stop;    /* the last rule if it matches */
	bool suffix;  /* otherwise exact */
	bool dotted;  /* FROM and TO begin with a dot */
	bool answers; /* names in the reply change back */
	uint8_t from_len, to_len;
	uint8_t from[KB_REWRITE_NAME_MAX], to[KB_REWRITE_NAME_MAX]; /* wire form, lower case */
};

/* FROM and TO as text, with or without final dot, any case. 0, or -EINVAL for what is no name, or
 * a kind of suffix that is not done here (the root; a dot before one of both only). */
int kb_rewrite_init(struct kb_rewrite *rule, const char *from, const char *to, bool suffix);

/* The question's name (room for KB_REWRITE_NAME_MAX bytes, any case). 0: the rule does not match;
 * 1: changed; -ENAMETOOLONG: what it would become is no name. */
int kb_rewrite_name(const struct kb_rewrite *rule, uint8_t *name, size_t *len);
/* A name of the reply; false if it stays as it is. */
bool kb_rewrite_back(const struct kb_rewrite *rule, uint8_t *name, size_t *len);

#endif
