/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses are intercepted: those given by option and those learnt from the cluster
 * DNS Services, counted, since both may name one address. After an adoption the table
 * still has the former daemon's; they stay in force until the first sync has told which
 * of them are right.
 */
#ifndef KB_DAEMON_INTERCEPTS_H
#define KB_DAEMON_INTERCEPTS_H

#include "control/records/object.h"
#include "control/table/table.h"

struct kb_intercepts {
	struct kb_table *table; /* borrowed */
	struct kb_intercept {
		struct kb_addr addr;
		uint16_t port;
		uint16_t count;
	} * v; /* owned */
	size_t n, cap;
};

void kb_intercepts_init(struct kb_intercepts *s, struct kb_table *table);
void kb_intercepts_fini(struct kb_intercepts *s);
/* 0, -ENOSPC when the table has no room, -ENOMEM. */
int kb_intercepts_add(struct kb_intercepts *s, const struct kb_addr *addr, uint16_t port);
void kb_intercepts_del(struct kb_intercepts *s, const struct kb_addr *addr, uint16_t port);
/* Removes from the table what nobody has added since. */
void kb_intercepts_settle(struct kb_intercepts *s);

#endif
