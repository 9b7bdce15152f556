/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records copied from one message into another. Their compression pointers are offsets into
 * the message that they come from, so every name is read and written anew; names that shared bytes
 * there share them here. What fits the one may not fit the other: a name can have lost
 * what it pointed to.
 *
 * Pure functions, any thread; work is linear in the bytes read and written.
 */
#ifndef KB_FORWARD_WIRE_COPY_H
#define KB_FORWARD_WIRE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_POINTER_REACH 0x4000 /* a compression pointer has 14 bits */

/* Changes a name in wire form (room for 255 bytes), or returns false and leaves it as it is. */
typedef bool kb_wire_rename_fn(void *arg, uint8_t *name, size_t *len);

struct kb_wire_copy {
	const uint8_t *src; /* borrowed; sound by kb_message_read */
	uint8_t *dst;	    /* borrowed, cap bytes; does not overlap src */
	size_t len, cap;    /* of dst: written, room (at most 65535) */
	bool full;	    /* something did not fit; dst is of no use */
	/* Where a label of src stands in dst; 0: nowhere yet. */
	uint16_t at[KB_POINTER_REACH];
	/* NULL: names stay. Otherwise dst begins with a header and a question, and this is asked
	 * about the names of rewrite.h. */
	kb_wire_rename_fn *rename;
	void *rename_arg;
	uint16_t renamed[KB_POINTER_REACH]; /* as `at`, of names that it has changed */
};

/* The first `len` bytes of dst are there already. */
void kb_wire_copy_start(struct kb_wire_copy *c, const uint8_t *src, uint8_t *dst, size_t len,
			size_t cap);
void kb_wire_copy_rename(struct kb_wire_copy *c, kb_wire_rename_fn *rename, void *arg);
/* The name at `from` of src stands at `to` of dst: pointers may lead there. `to` is of dst's first
 * bytes, and a well-formed name of the same labels. */
void kb_wire_copy_known(struct kb_wire_copy *c, size_t from, size_t to);
/* Copies the record at `off` of src, and returns the offset behind it. */
size_t kb_wire_copy_record(struct kb_wire_copy *c, size_t off);
/* The offset behind it, without copying it. */
size_t kb_wire_skip_record(const uint8_t *msg, size_t off);

#endif
