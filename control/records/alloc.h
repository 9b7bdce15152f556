/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the records.
 *
 * Events arrive through callbacks that cannot refuse them, and an object that was
 * dropped for lack of memory would be denied for ever after. So running out of memory
 * ends the process: the pinned table goes on answering until max_stale, and the
 * next kbdnsd adopts it and reads everything anew.
 */
#ifndef KB_RECORDS_ALLOC_H
#define KB_RECORDS_ALLOC_H

#include <stdint.h>
#include <stdlib.h>

static inline void *kb_realloc(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		abort();
	p = realloc(p, n && size ? n * size : 1);
	if (!p)
		abort();
	return p;
}

static inline void *kb_zalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

/* Makes room for `n` elements; *cap grows by halves. */
static inline void *kb_grow(void *p, size_t *cap, size_t n, size_t size)
{
	if (n <= *cap)
		return p;
	*cap = n + n / 2 + 16;
	return kb_realloc(p, *cap, size);
}

#endif
