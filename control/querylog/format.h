/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event as text, the one place where that is done.
 *
 * The line is CoreDNS's common log format (its log plugin), which tools read, and behind
 * it what that does not know:
 *
 *   [INFO] 10.1.2.3:40212 - 54321 "A IN example.org. udp 41 false 1232" NOERROR qr,aa,rd 106
 *       0.000123s engine=tc from=table to=10.96.0.10:53 time=2026-11-24T14:22:01.123456Z
 *
 * that is client, query's ID, type, class, name as it was written, transport, bytes of the query,
 * DO, UDP payload size (512 without EDNS), rcode, flags, bytes of the reply, duration (0s when it
 * was not measured). A query that the packet path has left has "-" for rcode and flags,
 * 0 bytes, and left=REASON instead of from.
 *
 * Pure functions, any thread.
 */
#ifndef KB_QUERYLOG_FORMAT_H
#define KB_QUERYLOG_FORMAT_H

#include "control/ctl/json_out.h"
#include "dataplane/core/event.h"

/* Of a line with its newline: the name takes at most 4 characters a byte. */
#define KB_EVENT_LINE_MAX 1536

/* Nanoseconds to add to an event's time to have Unix time. */
int64_t kb_event_wall_offset(void);

/* Writes the line and its newline, no NUL. Returns its length, at most KB_EVENT_LINE_MAX. */
size_t kb_event_line(const struct kb_event *e, int64_t wall_offset, char *line);

/* The same as members of an open object; control/ctl/protocol.h has their names (trace). */
void kb_event_json(const struct kb_event *e, int64_t wall_offset, struct kb_json_out *o);

/* As in control/ctl/engine_stats.h. */
const char *kb_event_engine(const struct kb_event *e);
/* Bits of enum kb_event_class: the one that the event belongs to. */
uint32_t kb_event_class_of(const struct kb_event *e);
/* The rcode, without the OPT record's part. */
unsigned int kb_event_rcode(const struct kb_event *e);

#endif
