/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interned byte strings with reference counts: names, and IPv6 addresses too, so that
 * an endpoint is two 32-bit words. Equal bytes have equal ids. Id 0 is the empty string
 * and is not counted.
 */
#ifndef KB_RECORDS_STRINGS_H
#define KB_RECORDS_STRINGS_H

#include <stddef.h>
#include <stdint.h>

#include "control/records/idhash.h"

struct kb_str {
	uint32_t refs, hash;
	uint16_t len;
	char s[]; /* NUL terminated */
};

struct kb_strings {
	struct kb_sipkey key;
	struct kb_idhash index;
	struct kb_str **str; /* owned, by id; NULL if free */
	size_t cap;
	uint32_t top;
	uint32_t *free; /* owned */
	size_t n_free, cap_free;
};

void kb_strings_init(struct kb_strings *t);
void kb_strings_fini(struct kb_strings *t);
/* One more reference to these bytes (at most 65,535). */
uint32_t kb_strings_get(struct kb_strings *t, const void *s, size_t len);
/* Id of these bytes without a reference, or UINT32_MAX. */
uint32_t kb_strings_find(const struct kb_strings *t, const void *s, size_t len);
void kb_strings_ref(struct kb_strings *t, uint32_t id);
void kb_strings_put(struct kb_strings *t, uint32_t id);
const char *kb_strings_text(const struct kb_strings *t, uint32_t id);
size_t kb_strings_len(const struct kb_strings *t, uint32_t id);

#endif
