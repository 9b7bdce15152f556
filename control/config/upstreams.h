/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream servers as options give them. No I/O, any thread. */
#ifndef KB_CONFIG_UPSTREAMS_H
#define KB_CONFIG_UPSTREAMS_H

#include "control/config/parse.h"

#define KB_STUB_ADDRS_MAX 15 /* servers of one domain */

/* Which of several servers is asked first. */
enum kb_policy { KB_POLICY_RANDOM, KB_POLICY_ROUND_ROBIN, KB_POLICY_SEQUENTIAL };

/* How long answers are kept at most, within what the cache itself allows; 0: they are not kept. */
struct kb_cache_limits {
	uint32_t ttl_max_s;	 /* of answers */
	uint32_t negative_max_s; /* of NODATA and NXDOMAIN */
};

#define KB_CACHE_NO_LIMITS             \
	{                              \
		UINT32_MAX, UINT32_MAX \
	}

/* How the servers of a group are asked. */
struct kb_group_options {
	enum kb_policy policy;
	bool force_tcp; /* never over UDP, which otherwise comes first */
	/* Consecutive failures after which an upstream is avoided and probed; 0: it never is. An
	 * upstream of several groups goes by the smallest that is not 0. */
	unsigned int max_fails;
	/* Probes ask for the NS records of a domain; the pause between two doubles each time, up to
	 * 8 s, or the first if that is longer. An upstream of several groups goes by the first. */
	uint32_t probe_ms;
	bool probe_no_rd;	/* without RD */
	char probe_domain[254]; /* lower case, no final dot; "": the root */
	struct kb_cache_limits cache;
};

/* CoreDNS's. */
#define KB_GROUP_DEFAULTS                                                    \
	{                                                                    \
		.policy = KB_POLICY_RANDOM, .max_fails = 2, .probe_ms = 500, \
		.cache = KB_CACHE_NO_LIMITS,                                 \
	}

/* A server to ask, and how. */
struct kb_upstream_spec {
	struct kb_addr_port at;
	bool tls; /* DNS over TLS (RFC 7858) and nothing else; otherwise UDP and TCP */
	/* TLS: the name that its certificate has to hold, lower case, no final dot. Empty: the
	 * certificate has to hold the address. */
	char server_name[254];
};

/* Room for the text of one, final NUL included. */
#define KB_UPSTREAM_TEXT_MAX (KB_ADDR_TEXT_MAX + 6 + 1 + 254)

/* ADDR[:PORT], port 53 unless one is given, or tls://ADDR[:PORT][#SERVERNAME], port 853.
 * -EINVAL, and ret is left alone. */
int kb_parse_upstream(const char *s, struct kb_upstream_spec *ret);
/* The reverse, with the port; returns buf (KB_UPSTREAM_TEXT_MAX bytes). */
const char *kb_format_upstream(const struct kb_upstream_spec *spec, char *buf);
bool kb_upstream_spec_same(const struct kb_upstream_spec *a, const struct kb_upstream_spec *b);

struct kb_stub {
	char domain[254]; /* lower case, no final dot */
	struct kb_upstream_spec at[KB_STUB_ADDRS_MAX];
	size_t n; /* at least one */
};

/* NAME=SERVER[,SERVER...], servers as kb_parse_upstream takes them; one given twice counts once.
 * -EINVAL or -E2BIG, and ret is left alone. */
int kb_parse_stub(const char *s, struct kb_stub *ret);

#endif
