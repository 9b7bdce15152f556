/* SPDX-License-Identifier: Apache-2.0 */
/* A benchmark that cannot go on says why and ends. */
#ifndef KB_BENCH_CHECK_H
#define KB_BENCH_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* r: -errno */
__attribute__((noreturn)) static inline void die(const char *what, int r)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(-r));
	exit(1);
}

/* Returns r, or ends if it is -errno, or -1 with errno. */
static inline int check(const char *what, int r)
{
	if (r < 0)
		die(what, r == -1 ? -errno : r);
	return r;
}

#endif
