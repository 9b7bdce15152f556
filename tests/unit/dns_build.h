/* SPDX-License-Identifier: Apache-2.0 */
/* Replies as upstreams send them, and the questions they belong to, for tests and benchmarks. */
#ifndef KB_TESTS_DNS_BUILD_H
#define KB_TESTS_DNS_BUILD_H

#include "control/forward/cache.h"

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_build {
	size_t len;
	uint8_t b[65535];
};

/* Writes a name given as "a.b.c" ("" is the root), returns its length. */
size_t dns_name(const char *text, uint8_t *out);
/* A question with RD, ID 0x1234, for at most 1232 bytes, without EDNS. */
struct kb_ask dns_ask(const char *name, uint16_t type);

/* QR, RD, RA and the rcode, one question of class IN. */
void dns_begin(struct dns_build *d, const char *name, uint16_t type, uint8_t rcode);
/* A record at the end; owner NULL: a pointer to the question's name. Counted in the section. */
void dns_rr(struct dns_build *d, enum dns_section section, const char *owner, uint16_t type,
	    uint32_t ttl, const void *data, size_t data_len);
/* One whose data is a name, uncompressed. */
void dns_rr_name(struct dns_build *d, enum dns_section section, const char *owner, uint16_t type,
		 uint32_t ttl, const char *target);
void dns_soa(struct dns_build *d, const char *zone, uint32_t ttl, uint32_t minimum);
/* A signature of this answer's, good until then (seconds of 32 bits, as it has them). */
void dns_rrsig(struct dns_build *d, uint32_t ttl, uint32_t until);
void dns_opt(struct dns_build *d, uint16_t udp_size, uint32_t ttl);

/* The reply to `ask` arrives at the cache. */
void dns_keep(struct kb_cache *cache, const struct kb_ask *ask, const struct dns_build *d,
	      uint64_t now_ms);

#endif
