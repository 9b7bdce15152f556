/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From addresses to the Services that have them, for PTR records.
 *
 * A multimap with 12 bytes an entry. The owner of an entry keeps the strings that it
 * names alive: entries are removed before the object that they came from is freed.
 */
#ifndef KB_RECORDS_REVERSE_H
#define KB_RECORDS_REVERSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/records/idhash.h"
#include "control/records/object.h"

#define KB_REV_V6      0x80000000U
#define KB_REV_CLUSTER 0x40000000U /* a clusterIP, otherwise a ready endpoint */
#define KB_REV_SVC     0x3fffffffU

struct kb_rev {
	uint32_t addr; /* IPv4 in network order, or the string id of an IPv6 address */
	uint32_t svc;  /* kb_svc id with KB_REV_*; 0: free */
	uint32_t host; /* string id of the endpoint's hostname, 0: dashed */
};

/* How many addresses lie below an empty non-terminal. */
struct kb_ent {
	uint8_t b[16];
	uint8_t family, depth; /* bytes of an IPv4 address, nibbles of an IPv6 one */
	uint32_t count;
};

struct kb_reverse {
	struct kb_sipkey key;
	struct kb_rev *slot; /* owned, mask + 1 entries */
	uint32_t mask, used;
	struct kb_idhash ent_index;
	struct kb_pool ents;
};

void kb_reverse_init(struct kb_reverse *rv);
void kb_reverse_fini(struct kb_reverse *rv);
void kb_reverse_add(struct kb_reverse *rv, const struct kb_rev *e);
void kb_reverse_del(struct kb_reverse *rv, const struct kb_rev *e);
/* Next entry of this address (and family, `v6`), NULL at the end; *pos starts at 0. */
const struct kb_rev *kb_reverse_next(const struct kb_reverse *rv, uint32_t addr, bool v6,
				     uint32_t *pos);
int kb_rev_compare(const void *a, const void *b);

/* Counts an address in or out of the non-terminal that is its first `depth` bytes or
 * nibbles. Returns true when that came into being, or has gone. */
bool kb_reverse_ent(struct kb_reverse *rv, const struct kb_addr *addr, uint8_t depth, bool add);
bool kb_reverse_has_ent(const struct kb_reverse *rv, const struct kb_addr *addr, uint8_t depth);

#endif
