/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes label selectors in their text form, as kubectl -l and CoreDNS's options take
 * them: "app=web,tier!=db,env in (prod,stage),x notin (y),key,!key", also "==", ">", "<".
 *
 * Grammar and meaning are the API server's, so that a source that selects by itself and one
 * that has the server select see the same objects: "!=" and "notin" match objects without
 * the key; a value may be empty; "in" and "notin" are keys and values where one is due; the
 * empty selector matches everything. Any thread; a selector never changes.
 */
#ifndef KB_RECORDS_SELECTOR_H
#define KB_RECORDS_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "control/records/object.h"

enum {
	KB_SELECTOR_TEXT_MAX = 8192, /* bytes */
	KB_SELECTOR_REQUIREMENTS_MAX = 64,
	KB_SELECTOR_VALUES_MAX = 512, /* of all requirements together */
};

struct kb_selector;

/* Returns 0 and gives the selector to the caller; -EINVAL, -E2BIG over a limit, or -ENOMEM,
 * with one line that quotes the text in err. */
int kb_selector_parse(const char *text, struct kb_selector **ret, char *err, size_t err_size);
/* Of labels with the same key the last one counts. */
bool kb_selector_match(const struct kb_selector *selector, const struct kb_label *labels, size_t n);
/* Takes NULL. */
void kb_selector_free(struct kb_selector *selector);

#endif
