/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where kbdns_tc stands among the tcx programs of an interface: `first`, `last`, `before:PROG` or
 * `after:PROG`, PROG being a program's id or its name as bpftool prints it. While that program is
 * not there, before is first and after is last.
 */
#ifndef KB_DATAPATH_ORDER_H
#define KB_DATAPATH_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#define KB_ORDER_MAX 64 /* BPF_MPROG_MAX, no interface has more */

/* The ids of the tcx programs at ingress, in the order they run in. How many, or -errno. */
int kb_order_read(unsigned int ifindex, uint32_t ret_ids[KB_ORDER_MAX]);

struct kb_datapath;

/* A filter of clsact comes before all others: is that not what is asked for? */
bool kb_order_needs_tcx(const struct kb_datapath *dp);
/* Attaches in that place. A link's descriptor, owned by the caller, or -errno. */
int kb_order_attach(const struct kb_datapath *dp, unsigned int ifindex);
/* Does it stand there? True when in doubt. With `strictly` first and last, which others may
 * take at any time, count as well. */
bool kb_order_holds(const struct kb_datapath *dp, unsigned int ifindex, bool strictly);

#endif
