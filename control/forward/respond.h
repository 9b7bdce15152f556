/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket engine's DNS: one message in, at most one reply out, whatever carried it.
 *
 * What the answer core can read and answer, it answers, out of the same table as every
 * other engine. What it leaves for a reason of its own becomes the reply that a
 * server owes (SEMANTICS.md section 11); answers that the table does not hold whole are
 * rendered from the records. Main loop's thread only, but for responders that are apart.
 */
#ifndef KB_FORWARD_RESPOND_H
#define KB_FORWARD_RESPOND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/forward/blocks.h"
#include "control/forward/chase.h"
#include "control/forward/relay.h"
#include "control/forward/routes.h"
#include "control/records/records.h"
#include "control/table/table.h"

#define KB_TCP_REPLY_MAX 65535
/* A larger query is read this far: ours need no more, and one of a longer kind is
 * malformed. */
#define KB_SOCKET_QUERY_MAX 4096
/* The least room for a reply over UDP: as large as the core makes one. */
#define KB_UDP_REPLY_MAX 2048

struct kb_responder;

/* Borrows both; records may be NULL, then only the table answers. 0 or -ENOMEM. */
int kb_responder_new(const struct kb_table *table, const struct kb_records *records,
		     struct kb_responder **ret_responder);
/*
 * For another thread, with no records: the caller makes it an online reader of the table
 * (dataplane/core/worker.h) for each message. kb_respond returns 0 and kb_responder_for_main true
 * for a message that the main loop's responder has to see, because it needs records, or because
 * zones are about to change.
 */
int kb_responder_new_apart(const struct kb_table *table, struct kb_responder **ret_responder);
bool kb_responder_for_main(const struct kb_responder *responder);
/* Other records from now on; the former ones are not looked at any more. */
void kb_responder_set_records(struct kb_responder *responder, const struct kb_records *records);
void kb_responder_free(struct kb_responder *responder);

/*
 * Replies to the message at msg. Returns the reply's length, at most cap, or 0 when no
 * reply is due, or not from here: kb_responder_outside. cap is at least KB_UDP_MIN over UDP, and
 * KB_TCP_REPLY_MAX over TCP for answers to be whole. msg and reply do not overlap.
 */
size_t kb_respond(struct kb_responder *responder, const uint8_t *msg, size_t len, bool tcp,
		  uint8_t *reply, size_t cap);

/*
 * From now on names that are nobody's here are for others to answer: outside all zones, unknown
 * in a zone that leaves its misses, or in a stub domain of the routes. kb_respond returns 0
 * for them, and kb_responder_outside what is to be asked. Without routes (NULL) they are
 * REFUSED. The target of an ExternalName is such a name, too (chase.h); without an upstream for
 * it the answer is the CNAME alone. `routes` is borrowed until the next call.
 */
void kb_responder_set_routes(struct kb_responder *responder, const struct kb_routes *routes);
/* What server blocks say before that, in force from now on; a reference is taken. NULL: nothing. */
void kb_responder_set_blocks(struct kb_responder *responder, struct kb_blocks *blocks);
/* NULL: none. */
struct kb_blocks *kb_responder_blocks(const struct kb_responder *responder);
/* The question of the message that kb_respond has just left to others, NULL if it did not.
 * Borrowed until the next message. */
const struct kb_ask *kb_responder_outside(const struct kb_responder *responder);
/* What the reply to that question is to be made into by kb_chase_reply, NULL if it goes to the
 * client as it is. The caller's from now on. */
struct kb_chase *kb_responder_take_chase(struct kb_responder *responder);

/* KB_CNT_MAX counters. Each message counts once: as answered_* (truncated beside it), or as
 * left_* with the reason why the reply was an error, or there was none. */
const uint64_t *kb_responder_counters(const struct kb_responder *responder);
/* Adds them to `sum`; any thread. */
void kb_responder_add_counters(const struct kb_responder *responder, uint64_t sum[KB_CNT_MAX]);
/* Counts what a server did to a message without asking here. */
void kb_responder_count(struct kb_responder *responder, enum kb_counter counter);

#endif
