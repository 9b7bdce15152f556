/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names that should be in the table. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* qsort_r */
#endif
#include "control/records/internal.h"

#include <string.h>

#include "control/records/alloc.h"

void kb_list_clear(struct kb_list *l)
{
	l->n = 0;
	l->len = 0;
}

void kb_list_fini(struct kb_list *l)
{
	free(l->want);
	free(l->bytes);
	memset(l, 0, sizeof(*l));
}

static size_t add_bytes(struct kb_list *l, const void *p, size_t len)
{
	size_t at = l->len;

	l->bytes = kb_grow(l->bytes, &l->cap_bytes, l->len + len, 1);
	if (len)
		memcpy(l->bytes + at, p, len);
	l->len += len;
	return at;
}

/* Records stay aligned, as whoever takes them may read them as what they are. */
static size_t add_record(struct kb_list *l, const uint8_t *rec, size_t len)
{
	static const uint8_t pad[8];

	if (len && l->len % sizeof(pad))
		add_bytes(l, pad, sizeof(pad) - l->len % sizeof(pad));
	return add_bytes(l, rec, len);
}

void kb_list_add(struct kb_list *l, const struct kb_wire *name, enum kb_value_kind kind,
		 uint8_t zone, __be32 addr, const uint8_t *rec, size_t rec_len)
{
	struct kb_want *w, *last = l->n ? &l->want[l->n - 1] : NULL;
	size_t at;

	/* Neighbours often share their record. */
	if (last && rec_len && last->rec_len == rec_len &&
	    memcmp(l->bytes + last->rec, rec, rec_len) == 0)
		at = last->rec;
	else
		at = add_record(l, rec, rec_len);
	l->want = kb_grow(l->want, &l->cap, l->n + 1, sizeof(*l->want));
	w = &l->want[l->n++];
	w->rec = at;
	w->rec_len = (uint32_t)rec_len;
	w->name = add_bytes(l, name->b, name->len);
	w->name_len = name->len;
	w->kind = (uint8_t)kind;
	w->zone = zone;
	w->addr = addr;
}

int kb_want_compare(const struct kb_list *a, const struct kb_want *x, const struct kb_list *b,
		    const struct kb_want *y)
{
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return memcmp(kb_list_name(a, x), kb_list_name(b, y), x->name_len);
}

static int sort_compare(const void *a, const void *b, void *list)
{
	return kb_want_compare(list, a, list, b);
}

bool kb_want_same(const struct kb_list *a, const struct kb_want *x, const struct kb_list *b,
		  const struct kb_want *y)
{
	return x->kind == y->kind && x->zone == y->zone && x->addr == y->addr &&
	       x->rec_len == y->rec_len &&
	       memcmp(a->bytes + x->rec, b->bytes + y->rec, x->rec_len) == 0;
}

void kb_list_sort(struct kb_list *l)
{
	if (l->n > 1)
		qsort_r(l->want, l->n, sizeof(*l->want), sort_compare, l);
}
