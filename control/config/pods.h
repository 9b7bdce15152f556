/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which interfaces --pods means: a list of names with *, ? and [...] as in a shell, of `auto`,
 * which is the same as *, and of exclusions that begin with !. An interface is meant if one of the
 * names matches and no exclusion does. Any thread.
 */
#ifndef KB_CONFIG_PODS_H
#define KB_CONFIG_PODS_H

#include <stdbool.h>
#include <stddef.h>

/* Is this an element of the list? 0 or -EINVAL. */
int kb_pods_check(const char *pattern);
/* Does the list mean this interface? */
bool kb_pods_match(const char *const *patterns, size_t n, const char *ifname);
/* Is this a value of --tc-order? 0 or -EINVAL. */
int kb_tc_order_check(const char *order);

#endif
