/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local mode's interface: a dummy, or a bridge without ports where the kernel has no dummies, that
 * holds the addresses kbdnsd listens at. Its alias marks it as ours. By netlink; any thread.
 */
#ifndef KB_DATAPATH_LOCALIF_H
#define KB_DATAPATH_LOCALIF_H

#include <stdbool.h>
#include <stddef.h>

#include "control/records/object.h"

/* The mark of the kbdnsd that pins in this folder: %s is the one of its --bpffs. */
#define KB_LOCALIF_MARK "kbdns %s"

struct kb_localif {
	const char *name;
	const char *mark; /* the alias: an interface with another one, or none, is not ours */
	const struct kb_addr *addrs;
	size_t n_addrs;
};

/*
 * Makes the interface, or takes over the one that is marked so; afterwards it is up and has these
 * addresses and no others. The addresses are nobody's source by default: IPv4 ones have host scope,
 * IPv6 ones are deprecated from the start (RFC 6724 rule 3).
 * Returns 0, with the interface's kind ("dummy" or "bridge", static), and whether it was made; or
 * -errno with one line in
 * err that names the thing and the cure, and then nothing is left that was not there before.
 */
int kb_localif_open(const struct kb_localif *want, const char **ret_kind, bool *ret_made, char *err,
		    size_t err_size);
/* Removes the interface if it is there and marked so. */
void kb_localif_remove(const char *name, const char *mark);
/* Is there an interface of this name that is marked so? False when in doubt. */
bool kb_localif_is_marked(const char *name, const char *mark);
/* Can this system have IPv6 addresses at all? */
bool kb_localif_has_ipv6(void);

#endif
