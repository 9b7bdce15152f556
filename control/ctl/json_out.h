/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON writer: one value into a growing buffer that has a limit.
 *
 * The first error (no memory, limit reached) sticks and later calls do nothing, so
 * that a reply is written without looking at results and text.error is tested once at
 * the end. Unbalanced calls are bugs and are asserted. Strings are written as valid
 * UTF-8 whatever they hold: a byte that is none becomes U+FFFD.
 */
#ifndef KB_CTL_JSON_OUT_H
#define KB_CTL_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ctl/text.h"

#define KB_JSON_OUT_DEPTH_MAX 32

struct kb_json_out {
	struct kb_text text; /* owned */
	uint32_t depth;
	uint32_t more;	 /* bit d: the container at depth d has an element already */
	uint32_t arrays; /* bit d: it is an array */
	bool keyed;	 /* a key was written, its value is due */
};

void kb_json_out_init(struct kb_json_out *o, size_t max);
void kb_json_out_fini(struct kb_json_out *o);
/* Empties it for the next value, keeps the memory, clears the error. */
void kb_json_out_reset(struct kb_json_out *o);
/* Ends the value with a newline, so that the next one can follow. 0 or the error. */
int kb_json_out_end(struct kb_json_out *o);

/* `open` is '{' or '['; close takes what is open. */
void kb_json_out_open(struct kb_json_out *o, char open);
void kb_json_out_close(struct kb_json_out *o);
void kb_json_out_key(struct kb_json_out *o, const char *key);

void kb_json_out_str(struct kb_json_out *o, const char *s); /* NULL writes null */
void kb_json_out_strn(struct kb_json_out *o, const char *s, size_t n);
void kb_json_out_u64(struct kb_json_out *o, uint64_t v);
void kb_json_out_i64(struct kb_json_out *o, int64_t v);
void kb_json_out_double(struct kb_json_out *o, double v); /* not finite writes null */
void kb_json_out_bool(struct kb_json_out *o, bool v);
void kb_json_out_null(struct kb_json_out *o);

/* Members of an object: key and value in one. */
void kb_json_put_open(struct kb_json_out *o, const char *key, char open);
void kb_json_put_str(struct kb_json_out *o, const char *key, const char *s);
void kb_json_put_u64(struct kb_json_out *o, const char *key, uint64_t v);
void kb_json_put_double(struct kb_json_out *o, const char *key, double v);
void kb_json_put_bool(struct kb_json_out *o, const char *key, bool v);
void kb_json_put_null(struct kb_json_out *o, const char *key);

#endif
