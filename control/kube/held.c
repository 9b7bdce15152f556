/* SPDX-License-Identifier: Apache-2.0 */
/* The kept value of held.h. */
#include "control/kube/held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/split.h"

enum { KEEP_MAX = 64 << 10 }; /* a larger buffer is given back after its value */

void kb_held_begin(struct kb_held *h)
{
	h->len = 0;
	h->drop = NULL;
}

void kb_held_clear(struct kb_held *h)
{
	kb_held_begin(h);
	if (h->cap > KEEP_MAX) {
		free(h->buf);
		h->buf = NULL;
		h->cap = 0;
	}
}

void kb_held_free(struct kb_held *h)
{
	free(h->buf);
	h->buf = NULL;
	h->cap = 0;
}

static int keep(struct kb_held *h, const char *p, size_t n)
{
	if (h->len + n > h->cap) {
		size_t cap = h->cap ? h->cap : 4096;
		char *buf;

		while (cap < h->len + n)
			cap *= 2;
		buf = realloc(h->buf, cap);
		if (!buf)
			return -ENOMEM;
		h->buf = buf;
		h->cap = cap;
	}
	memcpy(h->buf + h->len, p, n);
	h->len += n;
	return 0;
}

int kb_held_add(struct kb_held *h, const char *bytes, size_t n)
{
	if (!n)
		return 0;
	if (!h->drop && h->len + n > h->max)
		h->drop = "larger than the limit of one object";
	if (h->drop) {
		size_t head = h->max < KB_SPLIT_HEAD_MAX ? h->max : KB_SPLIT_HEAD_MAX;

		if (h->len >= head) {
			h->len = head;
			if (h->cap > KEEP_MAX) {
				char *less = realloc(h->buf, KEEP_MAX);

				if (less) {
					h->buf = less;
					h->cap = KEEP_MAX;
				}
			}
			return 0;
		}
		if (n > head - h->len)
			n = head - h->len;
	}
	return keep(h, bytes, n);
}

int kb_held_end(struct kb_held *h, const char *bytes, size_t n, const char **ret_text,
		size_t *ret_len)
{
	int r;

	*ret_text = bytes;
	*ret_len = n;
	if (!h->len && !h->drop && n <= h->max)
		return 0;
	r = kb_held_add(h, bytes, n);
	if (r < 0)
		return r;
	*ret_text = h->buf;
	*ret_len = h->len;
	return 0;
}
