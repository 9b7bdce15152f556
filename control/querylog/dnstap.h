/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event as a dnstap message (the schema dnstap.Dnstap of dnstap.info), in protobuf's encoding,
 * for which a writer of three kinds of field is enough.
 *
 * A reply becomes a CLIENT_RESPONSE, a query that the packet path has left a CLIENT_QUERY. An event
 * has no message, so that the one given is its header and question alone: ID, flags and rcode as
 * they were, one question (none if none could be read) and 0 for the three counts of records, which
 * are not in it. A query's time is given only where the duration was measured. `extra` is
 * the event's line of text (format.h), with all that dnstap has no field for.
 *
 * Pure functions, any thread.
 */
#ifndef KB_QUERYLOG_DNSTAP_H
#define KB_QUERYLOG_DNSTAP_H

#include "control/querylog/format.h"

#define KB_DNSTAP_CONTENT_TYPE "protobuf:dnstap.Dnstap"
#define KB_DNSTAP_IDENTITY_MAX 64
#define KB_DNSTAP_MAX	       (KB_EVENT_LINE_MAX + 640)

/* `identity`: the node's name, at most KB_DNSTAP_IDENTITY_MAX bytes of it are used. Writes at most
 * KB_DNSTAP_MAX bytes to ret; how many. */
size_t kb_dnstap_encode(const struct kb_event *e, int64_t wall_offset, const char *identity,
			uint8_t *ret);

#endif
