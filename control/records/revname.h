/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of addresses: 4.3.2.1.in-addr.arpa (RFC 1035 section 3.5) and nibbles below ip6.arpa
 * (RFC 3596 section 2.5), whole or of a leading part.
 */
#ifndef KB_RECORDS_REVNAME_H
#define KB_RECORDS_REVNAME_H

#include "control/records/object.h"
#include "control/records/wirename.h"

/* Bytes of an IPv4 address, nibbles of an IPv6 one. */
static inline uint8_t kb_revname_depth(uint8_t family)
{
	return family == 4 ? 4 : 32;
}

/* The name of the first `depth` bytes or nibbles. */
void kb_revname_make(const struct kb_addr *addr, uint8_t depth, struct kb_wire *ret);
/* Strict: no leading zeros, single nibbles. `name` is in lower case. Returns the depth and
 * fills ret_addr, zeros behind it; -1 if it is no such name. */
int kb_revname_parse(const struct kb_wire *name, struct kb_addr *ret_addr);

#endif
