/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/reverse.h"

#include <string.h>

#include "control/records/alloc.h"

void kb_reverse_init(struct kb_reverse *rv)
{
	memset(rv, 0, sizeof(*rv));
	kb_sipkey_init(&rv->key);
	kb_pool_init(&rv->ents, sizeof(struct kb_ent));
}

void kb_reverse_fini(struct kb_reverse *rv)
{
	free(rv->slot);
	kb_idhash_fini(&rv->ent_index);
	kb_pool_fini(&rv->ents);
	memset(rv, 0, sizeof(*rv));
}

static uint32_t home(const struct kb_reverse *rv, uint32_t addr, uint32_t svc)
{
	uint32_t k[2] = {addr, svc & KB_REV_V6};

	return kb_siphash(&rv->key, k, sizeof(k)) & rv->mask;
}

static void insert(struct kb_reverse *rv, const struct kb_rev *e)
{
	uint32_t i = home(rv, e->addr, e->svc);

	while (rv->slot[i].svc)
		i = (i + 1) & rv->mask;
	rv->slot[i] = *e;
}

void kb_reverse_add(struct kb_reverse *rv, const struct kb_rev *e)
{
	if (!rv->slot || (uint64_t)rv->used * 5 >= (uint64_t)rv->mask * 4) {
		uint32_t cap = rv->slot ? (rv->mask + 1) * 2 : 256, i, n = rv->mask;
		struct kb_rev *old = rv->slot;

		rv->slot = kb_zalloc(cap, sizeof(*rv->slot));
		rv->mask = cap - 1;
		for (i = 0; old && i <= n; i++)
			if (old[i].svc)
				insert(rv, &old[i]);
		free(old);
	}
	insert(rv, e);
	rv->used++;
}

void kb_reverse_del(struct kb_reverse *rv, const struct kb_rev *e)
{
	uint32_t i, j;

	if (!rv->slot)
		return;
	for (i = home(rv, e->addr, e->svc);; i = (i + 1) & rv->mask) {
		if (!rv->slot[i].svc)
			return;
		if (kb_rev_compare(&rv->slot[i], e) == 0)
			break;
	}
	for (j = (i + 1) & rv->mask; rv->slot[j].svc; j = (j + 1) & rv->mask) {
		uint32_t h = home(rv, rv->slot[j].addr, rv->slot[j].svc);

		if (((j - h) & rv->mask) < ((j - i) & rv->mask))
			continue;
		rv->slot[i] = rv->slot[j];
		i = j;
	}
	memset(&rv->slot[i], 0, sizeof(rv->slot[i]));
	rv->used--;
}

const struct kb_rev *kb_reverse_next(const struct kb_reverse *rv, uint32_t addr, bool v6,
				     uint32_t *pos)
{
	uint32_t want = v6 ? KB_REV_V6 : 0, i;

	if (!rv->slot)
		return NULL;
	/* *pos is 1 + the slot to look at, so that 0 can mean the beginning. */
	i = *pos ? *pos - 1 : home(rv, addr, want);
	for (; rv->slot[i].svc; i = (i + 1) & rv->mask) {
		if (rv->slot[i].addr != addr || (rv->slot[i].svc & KB_REV_V6) != want)
			continue;
		*pos = ((i + 1) & rv->mask) + 1;
		return &rv->slot[i];
	}
	*pos = i + 1;
	return NULL;
}

int kb_rev_compare(const void *a, const void *b)
{
	const struct kb_rev *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->svc != y->svc)
		return x->svc < y->svc ? -1 : 1;
	return (x->host > y->host) - (x->host < y->host);
}

static void ent_key(const struct kb_addr *addr, uint8_t depth, struct kb_ent *ret)
{
	uint8_t i;

	memset(ret, 0, sizeof(*ret));
	ret->family = addr->family;
	ret->depth = depth;
	if (addr->family == 4) {
		memcpy(ret->b, addr->b, depth);
		return;
	}
	for (i = 0; i < depth; i++)
		ret->b[i / 2] |= (uint8_t)(addr->b[i / 2] & (i % 2 ? 0x0f : 0xf0));
}

static uint32_t ent_find(const struct kb_reverse *rv, const struct kb_ent *want, uint32_t hash)
{
	uint32_t pos = 0, id;

	for (id = kb_idhash_first(&rv->ent_index, hash, &pos); id;
	     id = kb_idhash_next(&rv->ent_index, hash, &pos)) {
		const struct kb_ent *e = kb_pool_at(&rv->ents, id);

		if (memcmp(e, want, offsetof(struct kb_ent, count)) == 0)
			return id;
	}
	return 0;
}

bool kb_reverse_ent(struct kb_reverse *rv, const struct kb_addr *addr, uint8_t depth, bool add)
{
	struct kb_ent key, *e;
	uint32_t hash, id;

	ent_key(addr, depth, &key);
	hash = kb_siphash(&rv->key, &key, offsetof(struct kb_ent, count));
	id = ent_find(rv, &key, hash);
	if (add) {
		if (id) {
			e = kb_pool_at(&rv->ents, id);
			e->count++;
			return false;
		}
		id = kb_pool_get(&rv->ents);
		key.count = 1;
		*(struct kb_ent *)kb_pool_at(&rv->ents, id) = key;
		kb_idhash_add(&rv->ent_index, hash, id);
		return true;
	}
	if (!id)
		return false;
	e = kb_pool_at(&rv->ents, id);
	if (--e->count)
		return false;
	kb_idhash_del(&rv->ent_index, hash, id);
	kb_pool_put(&rv->ents, id);
	return true;
}

bool kb_reverse_has_ent(const struct kb_reverse *rv, const struct kb_addr *addr, uint8_t depth)
{
	struct kb_ent key;

	ent_key(addr, depth, &key);
	return ent_find(rv, &key, kb_siphash(&rv->key, &key, offsetof(struct kb_ent, count))) != 0;
}
