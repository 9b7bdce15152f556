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
 * A question that a rewrite rule has changed is finished the same way: the reply to what it
 * became gets the client's question, and names changed back (rewrite.h). Its rcode, flags and
 * sections stay. Several such steps can lead from the last question to the client's: the name of an
 * ExternalName may be what a rule has made, and its target may be changed by another.
 *
 * A chase, which is such a chain of steps, waits with its client; each has one owner. Any thread.
 */
#ifndef KB_FORWARD_CHASE_H
#define KB_FORWARD_CHASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kb_blocks;
struct kb_chase;
struct kb_rewrite;

/*
 * `head` is the reply so far, copied: header with ID, flags and rcode 0, the client's question,
 * CNAMEs in the answer section, and no more; every name well formed. `target` is the offset of the
 * last CNAME's name in it, `limit` how many bytes the client takes; with `has_opt` the reply to the
 * target's question will end in an OPT record. NULL: no memory.
 */
struct kb_chase *kb_chase_new(const uint8_t *head, size_t len, size_t target, size_t limit,
			      bool has_opt);
/*
 * The step back from what rules have made of a question. `head` is a header and the question before
 * them, copied; the first n of `rules` have changed it in this order, and live as long as
 * `blocks`, of which a reference is taken. NULL: no memory.
 */
struct kb_chase *kb_chase_rewritten(const uint8_t *head, size_t len, size_t limit, bool has_opt,
				    struct kb_blocks *blocks, const struct kb_rewrite *const *rules,
				    int n);
/* `inner`, which may be NULL, and then `outer`: one chase of both. */
struct kb_chase *kb_chase_join(struct kb_chase *inner, struct kb_chase *outer);
void kb_chase_free(struct kb_chase *chase); /* NULL is fine */

/* Makes the reply to the last question in msg (not trusted; one of kb_relay_reply, kb_relay_error
 * or of our own) into the client's, in place. Returns its length, at most cap and the limit; cap is
 * at least KB_RELAY_QUERY_MAX, which an error always fits. */
size_t kb_chase_reply(const struct kb_chase *chase, uint8_t *msg, size_t len, size_t cap);

#endif
