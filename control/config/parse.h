/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict readers of what people write: numbers, sizes, times, addresses, names.
 * Each takes the whole string or nothing (no leading blanks, no trailing text),
 * returns 0 or -EINVAL (-ERANGE when it is well formed but outside the limits) and
 * leaves the result alone on failure. No I/O, any thread.
 */
#ifndef KB_CONFIG_PARSE_H
#define KB_CONFIG_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/records/object.h"

struct kb_addr_port {
	struct kb_addr addr;
	uint16_t port; /* host order */
};

struct kb_cidr {
	struct kb_addr addr;
	uint8_t bits;
};

/* Room for the text of any of the two, final NUL included. */
#define KB_ADDR_TEXT_MAX 64

/* Decimal digits only. */
int kb_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret_value);
/* Bytes, with K, M or G (1024-based; "Ki", "KiB" and so on mean the same). */
int kb_parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *ret_bytes);
/* Seconds, with s, m, h or d. */
int kb_parse_seconds(const char *s, uint64_t min, uint64_t max, uint64_t *ret_seconds);
/* on/off, true/false, yes/no. */
int kb_parse_bool(const char *s, bool *ret_value);
/* One of a list of words that ends in NULL; its index. */
int kb_parse_choice(const char *s, const char *const *words, unsigned int *ret_index);

int kb_parse_addr(const char *s, struct kb_addr *ret_addr);
/* As CoreDNS reads one of a hosts file: what follows a % is ignored, and an IPv4 address mapped
 * into IPv6 is an IPv4 address. */
int kb_parse_hosts_addr(const char *s, struct kb_addr *ret_addr);
/* A.B.C.D, A.B.C.D:PORT, V6, [V6] or [V6]:PORT. */
int kb_parse_addr_port(const char *s, uint16_t default_port, struct kb_addr_port *ret);
/* ADDR/BITS or ADDR (all bits). -EDOM when bits below the prefix are set. */
int kb_parse_cidr(const char *s, struct kb_cidr *ret_cidr);
/* A host name in DNS text form; written to ret lower case and without the final
 * dot. `size` should be 254. The root alone is not accepted. */
int kb_parse_domain(const char *s, char *ret_name, size_t size);
/* NAMESPACE/NAME, both RFC 1123 labels. */
int kb_parse_ns_name(const char *s);
/* What the kernel takes as an interface name; the interface need not exist. */
int kb_parse_ifname(const char *s);

/* The reverse: canonical text in buf (KB_ADDR_TEXT_MAX bytes), which is returned. */
const char *kb_format_addr_port(const struct kb_addr_port *ap, char *buf);
const char *kb_format_cidr(const struct kb_cidr *cidr, char *buf);
/* 256M, 1G, 1000: the shortest exact form. */
const char *kb_format_bytes(uint64_t bytes, char *buf, size_t size);

#endif
