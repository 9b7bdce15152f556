// SPDX-License-Identifier: Apache-2.0
#include "control/config/pods.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#define PATTERN_MAX   64
#define PROG_NAME_MAX 15 /* the kernel cuts it */

int kb_pods_check(const char *pattern)
{
	const char *p = pattern + (*pattern == '!');

	if (!*p || strlen(p) > PATTERN_MAX || (*pattern == '!' && strcmp(p, "auto") == 0))
		return -EINVAL;
	for (; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("/:!,\\", *p))
			return -EINVAL;
	}
	return 0;
}

bool kb_pods_match(const char *const *patterns, size_t n, const char *ifname)
{
	bool meant = false;

	for (size_t i = 0; i < n; i++) {
		const char *p = patterns[i];
		bool excludes = *p == '!';

		if (strcmp(p, "auto") != 0 && fnmatch(p + excludes, ifname, 0) != 0)
			continue;
		if (excludes)
			return false;
		meant = true;
	}
	return meant;
}

int kb_tc_order_check(const char *order)
{
	const char *prog = strchr(order, ':');
	size_t len;

	if (!prog)
		return strcmp(order, "first") == 0 || strcmp(order, "last") == 0 ? 0 : -EINVAL;
	len = strlen(prog + 1);
	if (strncmp(order, "before:", 7) != 0 && strncmp(order, "after:", 6) != 0)
		return -EINVAL;
	return len > 0 && len <= PROG_NAME_MAX ? 0 : -EINVAL;
}
