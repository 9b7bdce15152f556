/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the splitters of both encodings (json_split.h, pb_split.h) hand over: the
 * values of a stream, one by one.
 */
#ifndef KB_KUBE_SPLIT_H
#define KB_KUBE_SPLIT_H

#include <stddef.h>
#include <stdint.h>

/* A stream of watch events, or of list documents whose items are wanted. */
enum kb_split_mode { KB_SPLIT_EVENTS, KB_SPLIT_LIST };

enum {
	KB_SPLIT_OBJECT_MAX = 8 << 20, /* default limit of one value */
	KB_SPLIT_HEAD_MAX = 64 << 10,  /* what `skipped` gets to see of a larger one */
};

/* Texts are borrowed for the call; `offset` counts the bytes fed before the
 * value. A callback that returns non-zero stops the feeding, which returns it. */
struct kb_split_ops {
	int (*item)(void *arg, const char *text, size_t len, uint64_t offset);
	/* A member of the list document that is not the items; may be NULL. */
	int (*field)(void *arg, const char *key, const char *text, size_t len, uint64_t offset);
	/* An item that is not delivered: its first bytes and the reason. */
	int (*skipped)(void *arg, const char *head, size_t head_len, uint64_t offset,
		       const char *why);
	/* A list document ended; has_items says if it was a list (JSON: if it had an
	 * "items" member that was a list or null). May be NULL. */
	int (*document)(void *arg, int has_items);
};

#endif
