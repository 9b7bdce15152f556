/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names between text and wire form (RFC 1035 section 3.1).
 */
#ifndef KB_RECORDS_WIRENAME_H
#define KB_RECORDS_WIRENAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_WIRE_MAX  255 /* with the root byte */
#define KB_LABEL_MAX 63
#define KB_TEXT_MAX  1024 /* every byte escaped, dots, end */

struct kb_wire {
	uint8_t len; /* with the root byte; 0: no name */
	uint8_t b[KB_WIRE_MAX];
};

/* A label as Kubernetes lets objects be named (RFC 1123, lower case). */
bool kb_label_valid(const char *s, size_t len);
/* Can these bytes be one label at all? */
bool kb_label_fits(const char *s, size_t len);

/* Parses "a.b.c" or "a.b.c."; printable ASCII without escapes. With `fold` letters are
 * lower-cased. Returns 0 or -EINVAL. */
int kb_wire_parse(const char *text, bool fold, struct kb_wire *ret);
/* Puts a label in front, lower-cased. Returns 0, or -ENAMETOOLONG and changes nothing. */
int kb_wire_prepend(struct kb_wire *w, const char *label, size_t len);
/* Text form without the final dot ("." for the root), odd bytes as \DDD. Returns the length. */
size_t kb_wire_text(const uint8_t *wire, size_t len, char ret_text[KB_TEXT_MAX]);
/* Lower-cases a wire name of at most 255 bytes and checks that it is well formed and
 * exactly `len` long. 0 or -EINVAL. */
int kb_wire_fold(const uint8_t *wire, size_t len, struct kb_wire *ret);
/* Does `name` end in `zone` at a label boundary? Both lower case. Returns the number
 * of bytes in front of it, -1 if not. */
int kb_wire_below(const struct kb_wire *name, const struct kb_wire *zone);
bool kb_wire_equal(const struct kb_wire *a, const struct kb_wire *b);

static inline char kb_ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

#endif
