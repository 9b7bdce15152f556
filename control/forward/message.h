/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of replies from upstreams, for what is passed on and for what is kept. Nothing is
 * allocated; any thread.
 *
 * There are two measures. Refused is what no client could make use of, or what would make us
 * pass on something else than was sent: no reply to an ordinary query (QR, opcode QUERY, one
 * question); an owner that is no well-formed name of at most 255 bytes whose pointers lead back
 * only; a record that ends outside of the message; an OPT record outside of the additional
 * section or of another owner than the root. Sound is, besides, a message that is not truncated,
 * whose counts are exactly what it holds, with no byte left over and one OPT record at
 * most, where data of fixed size has that size, and every name inside records whose types have been
 * compressed since RFC 1035 is well formed as owners are. What is not sound is passed on, since
 * clients have lived with such servers, but never kept.
 *
 * Sound is not yet worth keeping: that is the `kind`. The answer section has to be the
 * chain of CNAMEs (DNAMEs) that begins at the question, in order, and its end; a negative reply
 * has to carry a SOA of a zone that holds the chain's end (RFC 2308 section 5). All else is
 * KB_MESSAGE_OTHER: referrals, strangers in the answer section, loops, and what is not sound.
 */
#ifndef KB_FORWARD_MESSAGE_H
#define KB_FORWARD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_MESSAGE_MAX	       65535
#define KB_MESSAGE_RECORDS_MAX 512 /* a message of more is KB_MESSAGE_OTHER */
#define KB_MESSAGE_CHAIN_MAX   16  /* names of a chain, the question's included */

enum kb_message_kind {
	KB_MESSAGE_ANSWER,   /* the chain ends in records of the type asked for */
	KB_MESSAGE_NODATA,   /* its end exists without them */
	KB_MESSAGE_NXDOMAIN, /* its end does not exist */
	KB_MESSAGE_FAILURE,  /* SERVFAIL */
	KB_MESSAGE_OTHER,    /* nothing to keep */
};

/* Offsets are from the message's first byte, numbers in host order. Records from the OPT record
 * on are not counted: it belongs to one hop (RFC 6891 section 6.1.1), and what follows it could
 * not move forward without breaking compression. Of a truncated message all that counts is
 * that it is one. */
struct kb_message {
	enum kb_message_kind kind;
	uint8_t flags2, flags3; /* bytes 2 and 3 of the header */
	uint16_t rcode;		/* with the OPT record's upper bits */
	uint16_t question_len;	/* name, type and class, from byte 12 */
	uint16_t qtype, qclass;
	uint16_t an, ns, ar; /* records of each section in front of the OPT record */
	uint16_t end;	     /* behind the last of them */
	bool sound;	     /* nothing is wrong with it; false for a truncated one */
	bool has_opt, dnssec_ok;
	uint8_t edns_version;
	uint16_t udp_size;
	/* All 32 bits count (RFC 8767 section 4): who keeps a message has to cap them. */
	uint32_t ttl_min;      /* of the records; UINT32_MAX if there are none */
	uint32_t negative_ttl; /* min(SOA's TTL, MINIMUM), for NODATA and NXDOMAIN only */
	/* When the first of the records' signatures expires, in seconds since 1970 modulo 2^32 (RFC
	 * 4034 section 3.1.5). */
	bool is_signed;
	uint32_t signed_until;
	uint16_t ttl_at[KB_MESSAGE_RECORDS_MAX]; /* of the first an + ns + ar records */
};

/* 0 or -EBADMSG; *ret_message is then undefined. */
int kb_message_read(const uint8_t *msg, size_t len, struct kb_message *ret_message);

/* Is a message that was accepted the reply to this question (name, type, class as sent)?
 * `exact`: in its case too, which a query with random case expects back. */
bool kb_message_is_for(const uint8_t *msg, const struct kb_message *message,
		       const uint8_t *question, size_t question_len, bool exact);

/* What the data of a type consists of: bytes, names that may be compressed, bytes. */
struct kb_message_shape {
	uint16_t type;
	uint8_t before, names, after;
};
/* NULL: opaque bytes (RFC 3597). */
const struct kb_message_shape *kb_message_shape(uint16_t type);

/* Are two names of a message that was accepted the same, but for their case? Offsets. */
bool kb_message_name_equal(const uint8_t *msg, size_t a, size_t b);

#endif
