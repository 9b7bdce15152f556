/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/strings.h"

#include <string.h>

#include "control/records/alloc.h"

void kb_strings_init(struct kb_strings *t)
{
	memset(t, 0, sizeof(*t));
	kb_sipkey_init(&t->key);
}

void kb_strings_fini(struct kb_strings *t)
{
	uint32_t id;

	for (id = 1; id <= t->top; id++)
		free(t->str[id]);
	free(t->str);
	free(t->free);
	kb_idhash_fini(&t->index);
	memset(t, 0, sizeof(*t));
}

static uint32_t find(const struct kb_strings *t, uint32_t hash, const void *s, size_t len)
{
	uint32_t pos = 0, id;

	for (id = kb_idhash_first(&t->index, hash, &pos); id;
	     id = kb_idhash_next(&t->index, hash, &pos))
		if (t->str[id]->len == len && memcmp(t->str[id]->s, s, len) == 0)
			return id;
	return 0;
}

uint32_t kb_strings_find(const struct kb_strings *t, const void *s, size_t len)
{
	uint32_t id;

	if (!len)
		return 0;
	id = find(t, kb_siphash(&t->key, s, len), s, len);
	return id ? id : UINT32_MAX;
}

uint32_t kb_strings_get(struct kb_strings *t, const void *s, size_t len)
{
	struct kb_str *e;
	uint32_t hash, id;

	if (len > UINT16_MAX)
		len = UINT16_MAX;
	if (!len)
		return 0;
	hash = kb_siphash(&t->key, s, len);
	id = find(t, hash, s, len);
	if (id) {
		t->str[id]->refs++;
		return id;
	}
	if (t->n_free) {
		id = t->free[--t->n_free];
	} else {
		id = ++t->top;
		t->str = kb_grow(t->str, &t->cap, (size_t)id + 1, sizeof(*t->str));
	}
	e = kb_zalloc(1, sizeof(*e) + len + 1);
	e->refs = 1;
	e->hash = hash;
	e->len = (uint16_t)len;
	memcpy(e->s, s, len);
	t->str[id] = e;
	kb_idhash_add(&t->index, hash, id);
	return id;
}

void kb_strings_ref(struct kb_strings *t, uint32_t id)
{
	if (id)
		t->str[id]->refs++;
}

void kb_strings_put(struct kb_strings *t, uint32_t id)
{
	if (!id || --t->str[id]->refs)
		return;
	kb_idhash_del(&t->index, t->str[id]->hash, id);
	free(t->str[id]);
	t->str[id] = NULL;
	t->free = kb_grow(t->free, &t->cap_free, t->n_free + 1, sizeof(*t->free));
	t->free[t->n_free++] = id;
}

const char *kb_strings_text(const struct kb_strings *t, uint32_t id)
{
	return id ? t->str[id]->s : "";
}

size_t kb_strings_len(const struct kb_strings *t, uint32_t id)
{
	return id ? t->str[id]->len : 0;
}
