/* SPDX-License-Identifier: Apache-2.0 */
/* From the JSON of Kubernetes' objects to the protobuf that the API server would send, so that
 * one text tests both readers. Covers the fields that DNS needs and some of those it skips. */
#ifndef KB_TEST_PB_ENCODE_H
#define KB_TEST_PB_ENCODE_H

#include <stddef.h>

enum pb_text {
	PB_BARE,     /* an object as it stands in a list: `kind` says what */
	PB_WRAPPED,  /* an object alone, with its type: by its own kind and apiVersion */
	PB_EVENT,    /* a WatchEvent */
	PB_LIST,     /* a list document of `kind`s */
	PB_LISTMETA, /* a list's metadata */
};

/* Returns the bytes, which the caller frees; aborts when json is not proper JSON. */
char *pb_encode(enum pb_text what, const char *kind, const char *json, size_t *ret_len);
/* The same for lines of events: a frame for each. */
char *pb_encode_frames(const char *json_lines, size_t *ret_len);

#endif
