/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that grows up to a limit. The first error sticks and later calls do nothing, so
 * that a writer tests it once at the end.
 */
#ifndef KB_CTL_TEXT_H
#define KB_CTL_TEXT_H

#include <stddef.h>

struct kb_text {
	char *buf;	      /* owned; free() it, or give it away; not NUL terminated */
	size_t len, cap, max; /* max: bytes that the text may have */
	int error;	      /* 0, -ENOMEM or -EMSGSIZE */
};

/* Zeroed but for max at start. All of s or, on an error, nothing. */
void kb_text_put(struct kb_text *t, const char *s, size_t n);

#endif
