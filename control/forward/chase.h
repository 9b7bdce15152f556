/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reply out of two: a chain of CNAMEs that begins at a name of ours and leads out (an
 * ExternalName Service), and what upstreams say about its last target.
 *
 *   client's question -> responder: CNAMEs, target T -> T is asked like any question
 *                                                       (cache, stub domains, shared exchange)
 *   reply:  question | our CNAMEs | answer about T | authority about T <- reply about T
 *
 * The rcode is the one about T (RFC 6604), whatever it is. AA says that the first name is ours
 * (RFC 1035 section 4.1.1); RA and AD are not set, as in CoreDNS: upstream's proof is none of our
 * CNAME's. Of the upstream's authority section comes what denies (SOA; with DO proofs,
 * too), of its additional section nothing. What is larger than the client takes is sent without
 * records and with TC.
 *
 * A chase waits with its client; each has one owner. Any thread.
 */
#ifndef KB_FORWARD_CHASE_H
#define KB_FORWARD_CHASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kb_chase;

/*
 * `head` is the reply so far, copied: header with ID, flags and rcode 0, the client's question,
 * CNAMEs in the answer section, and no more; every name well formed. `target` is the offset of the
 * last CNAME's name in it, `limit` how many bytes the client takes; with `has_opt` the reply to the
 * target's question will end in an OPT record. NULL: no memory.
 */
struct kb_chase *kb_chase_new(const uint8_t *head, size_t len, size_t target, size_t limit,
			      bool has_opt);
void kb_chase_free(struct kb_chase *chase); /* NULL is fine */

/* Makes the reply about the target in msg (not trusted; one of kb_relay_reply, kb_relay_error or
 * of our own) into the client's, in place. Returns its length, at most cap and the limit;
 * cap is at least KB_UDP_MIN. */
size_t kb_chase_reply(const struct kb_chase *chase, uint8_t *msg, size_t len, size_t cap);

#endif
