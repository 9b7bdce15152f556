/* SPDX-License-Identifier: Apache-2.0 */
/* The nameservers of a resolv.conf(5). Any thread. */
#ifndef KB_FORWARD_RESOLV_CONF_H
#define KB_FORWARD_RESOLV_CONF_H

#include <stdbool.h>
#include <sys/stat.h>

#include "control/config/upstreams.h"

struct kb_resolv_conf {
	struct kb_addr_port at[KB_STUB_ADDRS_MAX]; /* in the file's order, each one once */
	size_t n;
	struct stat seen; /* of the file as it was read */
};

/* Reads the file; lines that are not `nameserver ADDRESS`, addresses with a scope, and servers
 * beyond the limit are skipped. 0 or -errno, and then only ret->seen has changed. */
int kb_resolv_conf_read(const char *path, struct kb_resolv_conf *ret);
/* Is the file another one than was read, or written to since? One that is not there is not. */
bool kb_resolv_conf_changed(const char *path, const struct kb_resolv_conf *conf);

#endif
