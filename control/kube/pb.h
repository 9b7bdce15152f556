/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull reader for the fields of one protobuf message in memory.
 *
 *	kb_pb_init(&m, bytes, len);
 *	while (kb_pb_next(&m, &f))
 *		if (f.number == 2 && f.type == KB_PB_BYTES)
 *			...		// f.bytes: a string, or a message to init anew
 *	if (m.error) ...
 *
 * Every field is taken whole, so that what is not looked at is skipped. Nothing is
 * copied or allocated. A value that is longer than the message is delivered as far as
 * it goes, with the error set: an object too large to keep can then still be named.
 * Groups, which Kubernetes has none of, are an error.
 */
#ifndef KB_KUBE_PB_H
#define KB_KUBE_PB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kb_pb_type {
	KB_PB_VARINT = 0,
	KB_PB_FIXED64 = 1,
	KB_PB_BYTES = 2, /* strings, bytes, messages */
	KB_PB_FIXED32 = 5,
};

struct kb_pb {
	const unsigned char *p, *end; /* borrowed bytes, and the place in them */
	const char *error;	      /* NULL, or what is wrong; the reader is at its end then */
};

struct kb_pb_field {
	uint32_t number;
	enum kb_pb_type type;
	uint64_t value;	   /* with KB_PB_VARINT */
	const char *bytes; /* with KB_PB_BYTES; borrowed, no NUL */
	size_t len;
};

void kb_pb_init(struct kb_pb *m, const char *bytes, size_t len);
/* Takes the next field; false at the end of the message or at an error. */
bool kb_pb_next(struct kb_pb *m, struct kb_pb_field *ret_field);

/* One byte of a varint that arrives piecemeal: begin with *value and *shift 0. Returns 1
 * when that was the last byte, 0 when more follow, -1 when it is longer than 64 bits. */
int kb_pb_varint_byte(uint64_t *value, unsigned *shift, unsigned char byte);
/* Splits a field's tag; false when the number or the type is none. */
bool kb_pb_tag(uint64_t tag, uint32_t *ret_number, enum kb_pb_type *ret_type);

#endif
