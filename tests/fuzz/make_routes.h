/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the forwarder, whatever text they are of, become routes that find each domain. */
#ifndef KB_TESTS_FUZZ_MAKE_ROUTES_H
#define KB_TESTS_FUZZ_MAKE_ROUTES_H

#include <errno.h>
#include <stdlib.h>

#include "control/config/forward_rules.h"
#include "control/forward/routes.h"

static inline void make_routes(const struct kb_forward_rules *rules)
{
	struct kb_routes *routes = NULL;
	size_t n = 0;

	if (rules->n > KB_STUBS_MAX + 1 || kb_routes_new(&routes) < 0)
		abort();
	for (size_t i = 0; i < rules->n; i++) {
		const struct kb_forward_rule *r = &rules->v[i];
		int e = kb_routes_add(routes, *r->domain ? r->domain : NULL, r->specs, r->n,
				      &r->options, NULL);

		/* Only what all of them together are too much for. */
		if (e < 0 && e != -E2BIG)
			abort();
		n += *r->domain && e == 0;
	}
	if (routes->n_stubs < n)
		abort();
	kb_routes_unref(routes);
}

#endif
