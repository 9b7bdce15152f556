/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for sampling: even, cheap, and no secret (xorshift32, each thread its own). */
#ifndef KB_QUERYLOG_RANDOM_H
#define KB_QUERYLOG_RANDOM_H

#include <stdint.h>

static inline uint32_t kb_random32(void)
{
	static _Thread_local uint32_t x;

	if (!x)
		x = (uint32_t)((uintptr_t)&x >> 4) | 1;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

#endif
