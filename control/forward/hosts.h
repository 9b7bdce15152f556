/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and addresses from lines like those of /etc/hosts, as CoreDNS's hosts plugin answers them:
 * A, AAAA and PTR; a name "*.example.org" stands for every name with one label more; names keep no
 * case. Nothing is changed once it is made: any thread.
 *
 * A table is one text; two of them, a file's and the Corefile's own lines, make what is asked.
 */
#ifndef KB_FORWARD_HOSTS_H
#define KB_FORWARD_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/records/wirename.h"

struct kb_hosts_table;

/* A line is ADDRESS NAME...; what is none is passed over, as CoreDNS does. 0 or -ENOMEM. */
int kb_hosts_table_new(const char *text, struct kb_hosts_table **ret_table);
void kb_hosts_table_free(struct kb_hosts_table *table); /* NULL is fine */

struct kb_hosts {
	struct kb_hosts_table *table[2]; /* owned, may be NULL: file, own lines */
	struct kb_wire *origins;	 /* owned: zones whose names count */
	size_t n_origins;
	struct kb_wire *fall; /* owned: names in these go on to what comes next, if unknown */
	size_t n_fall;
	bool reverse;		/* PTR records, too */
	bool unsupported_falls; /* and known ones, when another type is asked for */
	uint32_t ttl_s;
};

void kb_hosts_fini(struct kb_hosts *hosts);

enum kb_hosts_says {
	KB_HOSTS_NEXT,	 /* it has nothing to say: what comes next is asked */
	KB_HOSTS_FAIL,	 /* SERVFAIL: the name would be its own to have */
	KB_HOSTS_ANSWER, /* NOERROR with ret_n records, possibly none */
	KB_HOSTS_LARGE,	 /* the same, with more than cap bytes */
};

/* Writes the records (class IN, their owner a pointer to offset 12) to out. `name` is the
 * question's in lower case. */
enum kb_hosts_says kb_hosts_ask(const struct kb_hosts *hosts, const struct kb_wire *name,
				uint16_t qtype, uint8_t *out, size_t cap, uint16_t *ret_n,
				size_t *ret_len);

#endif
