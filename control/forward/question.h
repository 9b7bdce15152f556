/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and questions in wire form, compared as DNS does: without regard to ASCII case
 * (RFC 4343). Pure functions, any thread.
 */
#ifndef KB_FORWARD_QUESTION_H
#define KB_FORWARD_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t kb_ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Two questions (name, type, class) of `len` bytes, at least 5. Label lengths are below 64, so
 * folding the bytes of a name as they lie leaves them be. */
static inline bool kb_question_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len - 4; i++) {
		if (kb_ascii_lower(a[i]) != kb_ascii_lower(b[i]))
			return false;
	}
	return memcmp(a + len - 4, b + len - 4, 4) == 0;
}

/* Gives each letter of a question's name one of its cases, by the bits that `bits` returns, 32 at a
 * call (draft-vixie-dnsext-dns0x20). */
static inline void kb_question_mix(uint8_t *question, size_t len, uint32_t (*bits)(void *arg),
				   void *arg)
{
	uint32_t v = 0;
	unsigned int left = 0;

	for (size_t i = 0; i < len - 4; i++) {
		uint8_t c = kb_ascii_lower(question[i]);

		if (c < 'a' || c > 'z')
			continue;
		if (!left) {
			v = bits(arg);
			left = 32;
		}
		question[i] = v & 1 ? (uint8_t)(c & ~0x20) : c;
		v >>= 1;
		left--;
	}
}

#endif
