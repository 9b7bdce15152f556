/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/table_check.h"

#include "control/table/private.h"

#include <stdlib.h>
#include <string.h>

/* Overflow bits and spill counts follow from the entries; replicas are alike. */
static const char *check_index(const struct kb_table *t, uint32_t *spill)
{
	for (uint32_t r = 1; r < t->replicas; r++) {
		if (memcmp(t->index, t->index + (size_t)r * t->n, t->n * sizeof(*t->index)) != 0)
			return "replicas differ";
	}
	for (uint32_t s = 0; s < t->n * KB_BUCKET_SLOTS; s++) {
		const struct kb_slot *slot =
			&t->index[s / KB_BUCKET_SLOTS].slot[s % KB_BUCKET_SLOTS];
		uint32_t b = s / KB_BUCKET_SLOTS, home = kb_home_bucket(slot->tag, t->n);
		uint64_t value = slot->value & ~(s % KB_BUCKET_SLOTS ? 0 : KB_VALUE_OVERFLOW);

		if (t->slot[s] == SLOT_FREE || t->slot[s] == SLOT_LIMBO) {
			if (slot->tag || value)
				return "a free slot is not empty";
			continue;
		}
		if (!slot->tag || !value)
			return "a used slot is empty";
		for (; home != b; home = kb_probe_next(home, kb_probe_step(slot->tag), t->n))
			spill[home]++;
	}
	for (uint32_t b = 0; b < t->n; b++) {
		if (t->spill[b] != spill[b])
			return "a spill count is wrong";
		if (t->index[b].slot[0].value >> 63 != (spill[b] != 0))
			return "an overflow bit is wrong";
	}
	return NULL;
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

	for (uint32_t s = 0; s < t->n * KB_BUCKET_SLOTS; s++) {
		if (t->slot[s] == SLOT_USED || t->slot[s] == SLOT_OLD)
			refs[kb_value_ref(
				t->index[s / KB_BUCKET_SLOTS].slot[s % KB_BUCKET_SLOTS].value)]++;
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
	uint32_t *spill = calloc(t->n, sizeof(*spill)), *refs = calloc(units, sizeof(*refs));
	uint8_t *owner = calloc(units, 1);
	const char *wrong = "no memory";

	if (spill && refs && owner) {
		wrong = check_index(t, spill);
		if (!wrong)
			wrong = check_arena(t, owner, refs);
	}
	free(spill);
	free(refs);
	free(owner);
	return wrong;
}
