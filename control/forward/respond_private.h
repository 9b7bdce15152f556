/* SPDX-License-Identifier: Apache-2.0 */
/* What respond.c and respond_inner.c share. */
#ifndef KB_FORWARD_RESPOND_PRIVATE_H
#define KB_FORWARD_RESPOND_PRIVATE_H

#include "control/forward/respond.h"
#include "control/table/env.h"

/* A client's question may be changed by rules, lead out by a CNAME, and be changed again. */
#define KB_INNER_MAX 4

struct kb_responder {
	const struct kb_table *table;	  /* borrowed */
	const struct kb_records *records; /* borrowed, may be NULL */
	const struct kb_routes *routes;	  /* borrowed, may be NULL */
	uint64_t counters[KB_CNT_MAX];	  /* written by one thread, read by any */
	bool apart;			  /* not on the main loop's thread */
	bool for_main;			  /* the message at hand */
	bool is_outside;
	struct kb_ask outside;
	struct kb_blocks *blocks; /* a reference; NULL: none */
	struct kb_chase *chase;	  /* owned, of the question outside */
	struct kb_scratch s, inner[KB_INNER_MAX];
};

/* One message on its way through. */
struct kb_asked {
	struct kb_responder *r;
	struct kb_scratch *s;
	const struct kb_header *hdr;
	uint64_t state; /* word, read once */
	const uint8_t *msg;
	size_t len;
	bool tcp;
	/* Of how many questions the answer is part of this one's: 0 is the client's message, and
	 * the only one to be counted. */
	unsigned int depth;
	const struct kb_block *block; /* rules have made this question: the server block of the
				       * one before; NULL: they have not */
	uint8_t *reply;
	size_t cap;
};

/* respond.c: the reply to x->msg, as kb_respond. */
size_t kb_asked_process(struct kb_asked *x);
void kb_asked_count(struct kb_asked *x, int counter);
/* Counts as answered what x->s->r says. */
void kb_asked_count_answer(struct kb_asked *x);
/* Writes header and question, returns where the rest belongs. */
size_t kb_asked_begin(struct kb_asked *x, bool aa);
/* An error with the question and, if the query had one, an OPT record. */
size_t kb_asked_refuse(struct kb_asked *x, uint8_t rcode, uint8_t rcode_high, bool aa);

/* respond_inner.c */
/*
 * The CNAMEs in the reply (len bytes without the OPT record) lead out, to the name at `target`.
 * False if there is nobody to ask. *ret_len is as kb_respond's; all is counted.
 */
bool kb_inner_chase(struct kb_asked *x, size_t len, size_t target, size_t *ret_len);
/* What the server block of the name has to say before zones and upstreams; false if nothing. */
bool kb_inner_block(struct kb_asked *x, size_t *ret_len);

#endif
