/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between what reads objects and the sink they are for: keeps back objects that
 * a label selector does not select, and turns the one ConfigMap that is read into calls of
 * the sink's `config` or `config_object`. Everything else goes through. Main loop's thread.
 */
#ifndef KB_KUBE_FILTER_H
#define KB_KUBE_FILTER_H

#include "control/records/object.h"
#include "control/records/selector.h"

struct kb_filter {
	struct kb_sink sink;	      /* the receiver's */
	struct kb_selector *selector; /* owned; of Services, EndpointSlices and Pods. NULL: all */
	char *configmap_ns, *configmap_name; /* owned; NULL: none */

	bool in_list;	 /* the ConfigMap was in the list under way */
	bool told;	 /* `config` or `config_object` has been called */
	bool whole;	 /* it is `config_object` */
	char *last_text; /* owned: what was told last, NULL for nothing */
	size_t last_len; /* of it; keys and texts, each with its NUL, if it is the whole */
};

/* What the readers get: `filter` must stay where it is. */
void kb_filter_sink(struct kb_filter *filter, struct kb_sink *ret_sink);
/* Releases what the filter owns. */
void kb_filter_fini(struct kb_filter *filter);

#endif
