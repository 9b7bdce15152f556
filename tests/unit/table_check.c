/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/table_check.h"

#include "control/table/private.h"

#include <stdlib.h>
#include <string.h>

/* Overflow bits and spill counts follow from the entries; replicas are alike. */
static const char *check_index(const struct kb_index *ix, uint32_t replicas, uint32_t *spill)
{
	for (uint32_t r = 1; r < replicas; r++) {
		if (memcmp(ix->bucket, ix->bucket + (size_t)r * ix->n,
			   ix->n * sizeof(*ix->bucket)) != 0)
			return "replicas differ";
	}
	memset(spill, 0, ix->n * sizeof(*spill));
	for (uint32_t s = 0; s < KB_SLOTS(ix->n); s++) {
		const struct kb_slot *slot =
			&ix->bucket[s / KB_BUCKET_SLOTS].slot[s % KB_BUCKET_SLOTS];
		uint32_t b = s / KB_BUCKET_SLOTS, home = kb_home_bucket(slot->tag, ix->n);
		uint64_t value = slot->value & ~(s % KB_BUCKET_SLOTS ? 0 : KB_VALUE_OVERFLOW);

		if (ix->state[s] == SLOT_FREE || ix->state[s] == SLOT_LIMBO) {
			if (slot->tag || value)
				return "a free slot is not empty";
			continue;
		}
		if (!slot->tag || !value)
			return "a used slot is empty";
		for (; home != b; home = kb_probe_next(home, kb_probe_step(slot->tag), ix->n))
			spill[home]++;
	}
	for (uint32_t b = 0; b < ix->n; b++) {
		if (ix->spill[b] != spill[b])
			return "a spill count is wrong";
		if (ix->bucket[b].slot[0].value >> 63 != (spill[b] != 0))
			return "an overflow bit is wrong";
	}
	return NULL;
}

static bool slot_taken(const struct kb_index *ix, uint32_t s)
{
	return ix->state[s] == SLOT_USED || ix->state[s] == SLOT_OLD;
}

static const struct kb_slot *slot_of(const struct kb_index *ix, uint32_t s)
{
	return &ix->bucket[s / KB_BUCKET_SLOTS].slot[s % KB_BUCKET_SLOTS];
}

/* The index that is being filled has what the first `copied` slots of the present one have. */
static const char *check_next(const struct kb_table *t)
{
	uint32_t have = 0;

	for (uint32_t s = 0; s < KB_SLOTS(t->next.n); s++)
		have += slot_taken(&t->next, s);
	for (uint32_t s = 0; s < t->copied; s++) {
		const struct kb_slot *from = slot_of(&t->cur, s);
		uint32_t b = kb_home_bucket(from->tag, t->next.n), found = 0;

		if (!slot_taken(&t->cur, s))
			continue;
		have--;
		for (uint32_t i = 0; i < KB_PROBE_MAX * KB_BUCKET_SLOTS && !found; i++) {
			uint32_t at = b * KB_BUCKET_SLOTS + i % KB_BUCKET_SLOTS;
			const struct kb_slot *to = slot_of(&t->next, at);

			found = slot_taken(&t->next, at) && to->tag == from->tag &&
				(to->value | KB_VALUE_OVERFLOW) ==
					(from->value | KB_VALUE_OVERFLOW) &&
				t->next.state[at] == t->cur.state[s] &&
				t->next.check[at] == t->cur.check[s];
			if (i % KB_BUCKET_SLOTS == KB_BUCKET_SLOTS - 1)
				b = kb_probe_next(b, kb_probe_step(from->tag), t->next.n);
		}
		if (!found)
			return "the next index lacks a copied name";
	}
	return have ? "the next index has a name too much" : NULL;
}

static bool in_limbo(const struct kb_table *t, uint32_t ref)
{
	const struct limbo *limbo[2] = {&t->pending, &t->waiting};
	uint32_t found = 0;

	for (int l = 0; l < 2; l++) {
		for (size_t k = 0; k < limbo[l]->n; k++)
			found += limbo[l]->item[k].kind == LIMBO_REC &&
				 limbo[l]->item[k].what == ref;
	}
	return found == 1;
}

static const char *check_arena(const struct kb_table *t, uint8_t *owner, uint32_t *refs)
{
	const struct kb_arena *a = &t->arena;
	size_t units = (size_t)a->n_pages * KB_PAGE_UNITS, total = 1, used = 0, records = 0;

	for (uint32_t s = 0; s < KB_SLOTS(t->cur.n); s++) {
		if (slot_taken(&t->cur, s))
			refs[kb_value_ref(slot_of(&t->cur, s)->value)]++;
	}
	owner[0] = 1;
	for (uint32_t bin = 0; bin < KB_BINS; bin++) {
		for (uint32_t u = a->bin[bin]; u != UINT32_MAX; u = a->a[u]) {
			uint32_t n = a->run[u];

			if (n == 0 || bin != (n < KB_BINS ? n - 1 : KB_BINS - 1) ||
			    a->run[u + n - 1] != n ||
			    u / KB_PAGE_UNITS != (u + n - 1) / KB_PAGE_UNITS)
				return "a free run is wrong";
			if ((u + n) % KB_PAGE_UNITS && a->run[u + n])
				return "two free runs are not merged";
			for (uint32_t i = 0; i < n; i++) {
				if (owner[u + i]++)
					return "a unit is free twice";
			}
			total += n;
		}
	}
	for (uint32_t i = 1; i <= a->n_meta; i++) {
		const struct kb_rec_meta *m = &a->meta[i];
		struct kb_rec rec;

		if (!m->ref)
			continue;
		memcpy(&rec, a->page[m->ref / KB_PAGE_UNITS]->b + m->ref % KB_PAGE_UNITS * KB_UNIT,
		       sizeof(rec));
		if (a->a[m->ref] != i)
			return "a record's number is wrong";
		if (m->count != refs[m->ref])
			return "a reference count is wrong";
		records += m->count != 0;
		if (!m->count && !in_limbo(t, m->ref))
			return "a record is lost";
		for (uint32_t k = 0; k < rec.units; k++) {
			if (owner[m->ref + k]++)
				return "a record's unit is free or another's";
		}
		total += rec.units;
		used += rec.units;
	}
	if (total != units)
		return "units are lost";
	if (used != a->used_units || records != a->records)
		return "figures of the arena are wrong";
	return NULL;
}

const char *kb_table_check(const struct kb_table *t)
{
	size_t units = (size_t)t->arena.n_pages * KB_PAGE_UNITS;
	uint32_t *spill = calloc(t->cur.n + t->next.n, sizeof(*spill));
	uint32_t *refs = calloc(units, sizeof(*refs));
	uint8_t *owner = calloc(units, 1);
	const char *wrong = "no memory";

	if (spill && refs && owner) {
		wrong = check_index(&t->cur, t->replicas, spill);
		if (!wrong && t->next.bucket)
			wrong = check_index(&t->next, t->replicas, spill);
		if (!wrong && t->next.bucket)
			wrong = check_next(t);
		if (!wrong)
			wrong = check_arena(t, owner, refs);
	}
	free(spill);
	free(refs);
	free(owner);
	return wrong;
}
