/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the forwarder: the query to an upstream, the check of what comes back, and
 * the reply to each client made from it.
 *
 * A reply is passed on as it came, but for the header, the question (the client's, in its
 * case) and the OPT record, which belongs to one hop only (RFC 6891 section 6.1.1). Since
 * question and header keep their lengths, compression pointers stay right. No I/O, any
 * thread.
 */
#ifndef KB_FORWARD_RELAY_H
#define KB_FORWARD_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/forward/message.h"

#define KB_QUESTION_MAX	    (255 + 4)
#define KB_RELAY_QUERY_MAX  (12 + KB_QUESTION_MAX + 11)
#define KB_RELAY_PADDED_MAX ((KB_RELAY_QUERY_MAX + 4 + 127) / 128 * 128)

/* What was asked. Two questions that are the same by kb_ask_same have one answer. */
struct kb_ask {
	uint8_t question[KB_QUESTION_MAX]; /* name as it was written, type, class */
	uint16_t len;			   /* of the question */
	uint8_t id[2];
	bool rd, cd, dnssec_ok;
	bool ad; /* in the query: wants to know whether the data was validated (RFC 6840
		    section 5.7) */
	bool has_opt;
	/* A rewrite rule has made it: whoever asks this very question may get another answer. */
	bool rewritten;
	/* kb_cache_era() from before the routes and rules were read by which it is asked. */
	unsigned int era;
	uint16_t limit; /* bytes of the largest reply that the client takes */
	uint64_t hash;	/* keyed, of the lower-cased name */
};

bool kb_ask_same(const struct kb_ask *a, const struct kb_ask *b);

/* Writes the query to `out` (KB_RELAY_QUERY_MAX bytes) and returns its length. `udp_max`
 * 0: without an OPT record. It always has AD, so that the reply is good for those who want to know
 * AD and for those who do not. */
size_t kb_relay_query(const struct kb_ask *ask, uint16_t id, uint16_t udp_max, uint8_t *out);

/* Makes room for padding to a multiple of 128 bytes (RFC 8467 section 4.1) in a query that ends in
 * its OPT record, so that its length on an encrypted connection says little; returns the new
 * length, at most KB_RELAY_PADDED_MAX. */
size_t kb_relay_pad(uint8_t *query, size_t len);

/* What of a message is passed on; as in struct kb_message. */
struct kb_relay {
	uint16_t an, ns, ar, rcode, end;
	uint8_t flags2, flags3;
};

static inline struct kb_relay kb_relay_of(const struct kb_message *m)
{
	return (struct kb_relay){
		.an = m->an,
		.ns = m->ns,
		.ar = m->ar,
		.rcode = m->rcode,
		.end = m->end,
		.flags2 = m->flags2,
		.flags3 = m->flags3,
	};
}

/* What of bytes 2 and 3 of the header is passed on to a client, RA included. `ad`: to one who has
 * asked for AD or DO (RFC 6840 section 5.8). */
uint8_t kb_relay_flags2(const struct kb_relay *relay);
uint8_t kb_relay_flags3(const struct kb_relay *relay, bool ad);

enum kb_relay_verdict {
	KB_RELAY_OK,
	KB_RELAY_CASE,	  /* as OK or BAD, but the letters of the question have another case */
	KB_RELAY_FOREIGN, /* no reply to this query: other ID or question, or not a reply */
	KB_RELAY_BAD,	  /* a reply to this query that cannot be used */
};

/*
 * Is this the reply to ask with this ID? The question has to be there and the same, with
 * `exact` to the case of its letters; an error
 * of the header alone (FORMERR, NOTIMP) counts as BAD with its rcode, as does a message that
 * kb_message_read refuses. *ret_message is filled when the verdict is OK; BAD sets rcode and
 * has_opt.
 */
enum kb_relay_verdict kb_relay_read(const struct kb_ask *ask, uint16_t id, bool exact,
				    const uint8_t *msg, size_t len, struct kb_message *ret_message);

/* The reply to a client, at most ask->limit and cap bytes (at least KB_RELAY_QUERY_MAX):
 * without records and with TC when it does not fit. `udp_max` is for our own OPT record. */
size_t kb_relay_reply(const struct kb_ask *ask, const uint8_t *msg, const struct kb_relay *relay,
		      uint16_t udp_max, uint8_t *out, size_t cap);
/* The same with an rcode of our own and no records. */
size_t kb_relay_error(const struct kb_ask *ask, uint8_t rcode, uint16_t udp_max, uint8_t *out);

#endif
