/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zones that rules give: cluster zones, whose first is where PTR records point, reverse
 * zones, and foreign ones, which are holes in ours. The longest match wins.
 */
#ifndef KB_RECORDS_ZONES_H
#define KB_RECORDS_ZONES_H

#include "control/records/revname.h"
#include "control/records/rules.h"
#include "control/records/wirename.h"
#include "control/table/table.h"

struct kb_zone_def {
	enum kb_zone_role role;
	struct kb_wire apex;
	struct kb_wire svc, pod; /* svc.Z and pod.Z of a cluster zone */
	struct kb_addr net;	 /* of a reverse zone: its first `depth` bytes or nibbles */
	uint8_t depth;
	/* In the table; zones of one length, role and leave_misses share it. 0: foreign. */
	uint8_t id;
	bool leave_misses;
};

struct kb_zones {
	struct kb_zone_def *def; /* owned: cluster zones, reverse zones, foreign ones */
	size_t n, n_cluster, n_reverse;
	bool nested; /* some zone lies below one of ours */
};

/* 0, or -errno with one line in err; fini takes what is half made. */
int kb_zones_init(struct kb_zones *z, const struct kb_rules *rules, char *err, size_t err_size);
void kb_zones_fini(struct kb_zones *z);
/*
 * Makes them the table's zones. If it had others, its state is OFF from then on (a reader
 * must not see half of them) and *ret_changed is set to true: what the table held before
 * means nothing. 0 or -errno.
 */
int kb_zones_enter(const struct kb_zones *z, struct kb_table *table, bool *ret_changed);
/* The zone of a name (lower case), and how many bytes of the name are in front of it; NULL if
 * it is in none. */
const struct kb_zone_def *kb_zones_find(const struct kb_zones *z, const struct kb_wire *name,
					int *ret_end);
/* The reverse zone of an address, NULL: it has no PTR name. */
const struct kb_zone_def *kb_zones_of_addr(const struct kb_zones *z, const struct kb_addr *addr);
/* Does a name of the zone `id` in truth lie in another zone, deeper down? */
bool kb_zones_hide(const struct kb_zones *z, const uint8_t *name, uint8_t len, uint8_t id);

#endif
