/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies as text for people. Only the shape of the JSON is used where possible, so
 * that a member the daemon adds shows up without a change here. Part of kbdnsctl.
 */
#ifndef KB_CTL_RENDER_H
#define KB_CTL_RENDER_H

#include <jansson.h>
#include <stdio.h>

/* Scalars as aligned "key value" lines, objects indented below their key, arrays of
 * objects as tables. The envelope ("ok", "protocol") is left out. */
void kb_render_reply(FILE *out, json_t *reply);
/* Counters by engine; those that are 0 in every engine are left out unless all is set.
 * `before` (may be NULL) is an earlier reply, seconds ago: rates are shown too. */
void kb_render_stats(FILE *out, json_t *reply, json_t *before, double seconds, int all);
/* Of each worker a line in each table: what it is, what it has done, where its time goes.
 */
void kb_render_workers(FILE *out, json_t *reply);
void kb_render_lookup(FILE *out, json_t *reply);
/* One document of a dump. */
void kb_render_entry(FILE *out, json_t *entry);

#endif
