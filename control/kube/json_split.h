/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a stream of JSON text into the objects to be read one by one.
 *
 *	KB_SPLIT_EVENTS	{...}\n{...}\n...		each {...} is an item
 *	KB_SPLIT_LIST	{"kind":..., "metadata":{...}, "items":[{...},{...}], ...}
 *							each element of items is an item,
 *							every other member's value is a field
 *
 * Bytes come in as the network cuts them; at most one value is ever kept, and
 * none when it lies whole within the bytes fed. Several documents may follow one
 * another. The splitter follows strings and brackets only: whether a value is
 * proper JSON is for its reader (json.h) to say.
 *
 * A value over the limit, or nested too deeply, is dropped while it streams by,
 * its beginning is handed to `skipped`, and the stream goes on. What breaks the
 * bracket structure itself ends a list with -EBADMSG; among events only the line
 * is lost, because an event's text has no line breaks within.
 */
#ifndef KB_KUBE_JSON_SPLIT_H
#define KB_KUBE_JSON_SPLIT_H

#include "control/kube/split.h"

struct kb_json_split;

/* max is the largest value in bytes, 0 for the default. */
int kb_json_split_new(enum kb_split_mode mode, size_t max, const struct kb_split_ops *ops,
		      void *arg, struct kb_json_split **ret_split);
/* Returns 0, -EBADMSG (see kb_json_split_error), -ENOMEM, or what a callback
 * returned; after anything but 0 only reset and free make sense. */
int kb_json_split_feed(struct kb_json_split *split, const char *bytes, size_t len);
/* The stream ended: 0 between two documents, -EBADMSG within one. */
int kb_json_split_finish(struct kb_json_split *split);
/* Begin anew with an empty stream of this mode. */
void kb_json_split_reset(struct kb_json_split *split, enum kb_split_mode mode);
/* What was wrong, and where; "" when nothing was. Borrowed. */
const char *kb_json_split_error(const struct kb_json_split *split);
uint64_t kb_json_split_error_offset(const struct kb_json_split *split);
/* Bytes kept for the value under way. */
size_t kb_json_split_memory(const struct kb_json_split *split);
void kb_json_split_free(struct kb_json_split *split);

#endif
