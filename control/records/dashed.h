/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as one label: 10-1-2-3, fd00--1. As CoreDNS forms and reads them, but for the
 * text of an IPv6 address, which is always that of RFC 5952 here and not the object's own.
 */
#ifndef KB_RECORDS_DASHED_H
#define KB_RECORDS_DASHED_H

#include "control/records/object.h"
#include "control/records/wirename.h"

/* The address's text with dashes for dots and colons; it may begin and end with dashes.
 * Returns its length. */
size_t kb_dashed_make(const struct kb_addr *addr, char ret_label[KB_LABEL_MAX + 1]);
/* The label of an endpoint: does not end in a dash (RFC 1123 section 2.1). One that begins with
 * a dash, as that of ::1, is CoreDNS's form all the same. */
size_t kb_dashed_endpoint(const struct kb_addr *addr, char ret_label[KB_LABEL_MAX + 1]);
/*
 * What a label says: three dashes apart from each other are an IPv4 address, anything else has
 * to be an IPv6 address in any spelling. One that maps IPv4 (::ffff:a.b.c.d) is read as
 * IPv4. 0 or -EINVAL.
 */
int kb_dashed_parse(const char *label, size_t len, struct kb_addr *ret);

#endif
