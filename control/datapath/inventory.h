/* SPDX-License-Identifier: Apache-2.0 */
/* What a kbdnsd with a certain folder has made on this node. */
#ifndef KB_DATAPATH_INVENTORY_H
#define KB_DATAPATH_INVENTORY_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kb_item_kind {
	KB_ITEM_LINK,
	KB_ITEM_PROG,
	KB_ITEM_MAP,
	KB_ITEM_FILTER,
	KB_ITEM_QDISC,
	KB_ITEM_INTERFACE,
	KB_ITEM_FOLDER,
};

struct kb_item {
	enum kb_item_kind kind;
	uint32_t id;	      /* of BPF objects; of a filter, its place (enum kb_clsact) */
	unsigned int ifindex; /* of filter, qdisc, interface */
	char text[160];	      /* "map kb_header (id 12)" */
};

struct kb_inventory {
	struct kb_item *v; /* owned */
	size_t n;
	bool incomplete; /* no memory for all of it */
};

/* Appends what there is now and was not known. `mark`: the alias of local mode's interface. */
void kb_inventory_add(const char *dir, const char *mark, struct kb_inventory *inv);
void kb_inventory_free(struct kb_inventory *inv);

bool kb_inventory_has(const struct kb_inventory *inv, enum kb_item_kind kind, uint32_t id,
		      unsigned int ifindex);
/* Is it still there? */
bool kb_item_exists(const struct kb_item *item, const char *dir, const char *mark);
/* Appends to the item's text which processes hold it, of those that can be seen. */
void kb_item_holders(struct kb_item *item);

#endif
