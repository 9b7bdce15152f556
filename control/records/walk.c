/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All names, piece by piece. A cursor is a part and a position in it: ids of the store's
 * pools stay with their objects, and the reverse index only grows, so that what is there
 * all along keeps its place but for neighbours in the index of what goes.
 */
#include "control/records/internal.h"

#include <string.h>

/* Positions that one piece looks at: most of them may be free ones. */
#define VISITS_MAX 2048

enum part {
	PART_APEX,
	PART_NAMESPACES,
	PART_SERVICES,
	PART_PODS,
	PART_ADDRS,
	PART_ABOVE_ADDRS,
	PART_END
};

struct piece {
	struct kb_records *r;
	int (*each)(void *arg, const char *name, const struct kb_entry *entry);
	void *arg;
	uint32_t names;
};

/* A name of the zone `id`, unless it lies in another one, which tells it. */
static int tell(struct piece *p, const uint8_t *name, uint8_t len, uint8_t id)
{
	char text[KB_TEXT_MAX];
	uint32_t bucket, slot;
	uint64_t v = kb_table_get(p->r->table, name, len, &bucket, &slot) & ~KB_VALUE_OVERFLOW;
	struct kb_entry e = {.kind = (enum kb_value_kind)kb_value_kind(v),
			     .zone = (uint8_t)kb_value_zone(v),
			     .ref = kb_value_ref(v),
			     .addr = kb_value_addr(v)};

	p->names++; /* those that the table does not have cost as much */
	if (e.kind == KB_VALUE_NONE || kb_zones_hide(&p->r->zones, name, len, id))
		return 0;
	kb_wire_text(name, len, text);
	return p->each(p->arg, text, &e);
}

static int tell_reverse(struct piece *p, const struct kb_addr *addr, uint8_t depth)
{
	const struct kb_zone_def *zone = kb_zones_of_addr(&p->r->zones, addr);
	struct kb_wire name;

	if (!zone)
		return 0;
	kb_revname_make(addr, depth, &name);
	return tell(p, name.b, name.len, zone->id);
}

static int tell_addr(struct piece *p, const struct kb_rev *e)
{
	bool v6 = (e->svc & KB_REV_V6) != 0;
	struct kb_addr a;
	uint32_t pos = 0;

	/* Once for each address: at the first of its entries. */
	if (!e->svc || kb_reverse_next(&p->r->reverse, e->addr, v6, &pos) != e)
		return 0;
	kb_ptr_addr(p->r, e->addr, v6, &a);
	return tell_reverse(p, &a, kb_revname_depth(a.family));
}

static int tell_above(struct piece *p, const struct kb_ent *e)
{
	struct kb_addr a = {.family = e->family};

	if (!e->count)
		return 0;
	memcpy(a.b, e->b, sizeof(a.b));
	return tell_reverse(p, &a, e->depth);
}

/* What one position of the parts that are listed has. */
static int tell_listed(struct piece *p, enum part part, uint32_t id)
{
	struct kb_records *r = p->r;
	struct kb_list *l = &r->after;
	int rc = 0;

	kb_list_clear(l);
	if (part == PART_APEX) {
		kb_names_apex(r, l);
	} else if (part == PART_NAMESPACES) {
		if (kb_store_ns(&r->store, id)->name)
			kb_names_ns(r, id, l);
	} else if (part == PART_PODS) {
		kb_podnames_list(r, id, l);
	} else if (kb_store_svc(&r->store, id)->obj) {
		kb_svcview_collect(&r->view, &r->store, id);
		kb_names_list(r, l);
	}
	for (size_t i = 0; i < l->n && !rc; i++)
		rc = tell(p, kb_list_name(l, &l->want[i]), l->want[i].name_len, l->want[i].zone);
	return rc;
}

/* How many positions a part has now. */
static uint32_t size_of(const struct kb_records *r, enum part part)
{
	switch (part) {
	case PART_APEX:
		return 1;
	case PART_NAMESPACES:
		return r->store.ns.top;
	case PART_SERVICES:
		return r->store.svc.top;
	case PART_PODS:
		return r->pods.addrs.top;
	case PART_ADDRS:
		return r->reverse.slot ? r->reverse.mask + 1 : 0;
	case PART_ABOVE_ADDRS:
		return r->reverse.ents.top;
	default:
		return 0;
	}
}

static int tell_at(struct piece *p, enum part part, uint32_t at)
{
	if (part == PART_ADDRS)
		return tell_addr(p, &p->r->reverse.slot[at]);
	if (part == PART_ABOVE_ADDRS)
		return tell_above(p, kb_pool_at(&p->r->reverse.ents, at + 1));
	return tell_listed(p, part, at + 1);
}

int kb_records_walk(struct kb_records *r, struct kb_records_walk *walk,
		    int (*each)(void *arg, const char *name, const struct kb_entry *entry),
		    void *arg)
{
	struct piece p = {.r = r, .each = each, .arg = arg};
	uint32_t visits = 0;

	while (walk->part < PART_END) {
		enum part part = (enum part)walk->part;
		int rc;

		if (walk->at >= size_of(r, part)) {
			walk->part++;
			walk->at = 0;
			continue;
		}
		if (p.names >= KB_RECORDS_WALK_NAMES || visits++ == VISITS_MAX)
			return 1;
		rc = tell_at(&p, part, walk->at++);
		if (rc)
			return rc;
	}
	return 0;
}
