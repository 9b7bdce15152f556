/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream servers as options give them. No I/O, any thread. */
#ifndef KB_CONFIG_UPSTREAMS_H
#define KB_CONFIG_UPSTREAMS_H

#include "control/config/parse.h"

#define KB_STUB_ADDRS_MAX 15 /* servers of one domain */

/* Which of several servers is asked first. */
enum kb_policy { KB_POLICY_RANDOM, KB_POLICY_ROUND_ROBIN, KB_POLICY_SEQUENTIAL };

struct kb_stub {
	char domain[254]; /* lower case, no final dot */
	struct kb_addr_port at[KB_STUB_ADDRS_MAX];
	size_t n; /* at least one */
};

/* NAME=ADDR[:PORT][,ADDR[:PORT]...]. Port 53 unless one is given; a server given twice counts once.
 * -EINVAL or -E2BIG, and ret is left alone. */
int kb_parse_stub(const char *s, struct kb_stub *ret);

#endif
