/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void kb_text_put(struct kb_text *t, const char *s, size_t n)
{
	size_t cap = t->cap ? t->cap : 1024;
	char *buf;

	if (t->error || !n)
		return;
	if (n > t->max - t->len) {
		t->error = -EMSGSIZE;
		return;
	}
	if (n > t->cap - t->len) {
		while (cap - t->len < n)
			cap *= 2;
		buf = realloc(t->buf, cap);
		if (!buf) {
			t->error = -ENOMEM;
			return;
		}
		t->buf = buf;
		t->cap = cap;
	}
	memcpy(t->buf + t->len, s, n);
	t->len += n;
}
