/* SPDX-License-Identifier: Apache-2.0 */
/* The value of --exception: which ports have an exception path, and by which interfaces. */
#ifndef KB_DPDK_EXCEPTION_OPTION_H
#define KB_DPDK_EXCEPTION_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#define KB_EXCEPTION_DEFAULT "auto"

struct kb_exception_option {
	enum { KB_EXCEPTION_NONE, KB_EXCEPTION_AUTO, KB_EXCEPTION_TAP } how;
	char name[16]; /* of interfaces; may hold one %d, which stands for the port's number */
};

/* "none", or "auto" (ports that the kernel does not see) or "tap" (all ports), either with
 * "=NAME". Returns 0 or -EINVAL. */
int kb_exception_option_parse(const char *text, struct kb_exception_option *ret);

bool kb_exception_wanted(const struct kb_exception_option *o, bool kernel_sees);
void kb_exception_name(const struct kb_exception_option *o, uint16_t port, char ret[16]);

#endif
