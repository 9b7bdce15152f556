/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one value that a splitter may have to keep while the rest of it arrives: at most
 * `max` bytes, or only the head of one that is dropped.
 */
#ifndef KB_KUBE_HELD_H
#define KB_KUBE_HELD_H

#include <stddef.h>

struct kb_held {
	size_t max;
	char *buf; /* owned */
	size_t len, cap;
	const char *drop; /* why the value is being dropped, static, or NULL */
};

void kb_held_begin(struct kb_held *held);
/* Keeps n more bytes; beyond `max` the value is dropped. Returns 0 or -ENOMEM. */
int kb_held_add(struct kb_held *held, const char *bytes, size_t n);
/* The value's last n bytes: its whole text, or its head when it is dropped, either in place
 * or in the buffer, valid until kb_held_clear. Returns 0 or -ENOMEM. */
int kb_held_end(struct kb_held *held, const char *bytes, size_t n, const char **ret_text,
		size_t *ret_len);
/* Gives a large buffer back. */
void kb_held_clear(struct kb_held *held);
void kb_held_free(struct kb_held *held);

#endif
