/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer of the Prometheus text format (version 0.0.4).
 *
 * A family is begun once, and all its samples follow before the next begins.
 * Errors (no memory, limit) stick, as in json_out.h. Labels are pairs of strings that
 * end with NULL: kb_metrics_u64(m, n, "engine", "tc", NULL).
 */
#ifndef KB_HTTP_METRICS_H
#define KB_HTTP_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ctl/text.h"

#define KB_METRICS_MAX (4 << 20) /* bytes of one answer */

struct kb_metrics {
	struct kb_text text; /* owned */
	const char *family;  /* borrowed */
};

enum kb_metric_type { KB_METRIC_COUNTER, KB_METRIC_GAUGE, KB_METRIC_HISTOGRAM };

void kb_metrics_init(struct kb_metrics *m);
void kb_metrics_fini(struct kb_metrics *m);

/* HELP and TYPE. A counter's name ends in _total, units are base units (_seconds,
 * _bytes). `name` is borrowed until the next family. */
void kb_metrics_family(struct kb_metrics *m, const char *name, enum kb_metric_type type,
		       const char *help);
void kb_metrics_u64(struct kb_metrics *m, uint64_t value, ...) __attribute__((sentinel));
void kb_metrics_double(struct kb_metrics *m, double value, ...) __attribute__((sentinel));

/* A family of one sample without labels. */
void kb_metrics_counter(struct kb_metrics *m, const char *name, const char *help, uint64_t value);
void kb_metrics_gauge(struct kb_metrics *m, const char *name, const char *help, double value);

/* One histogram of the family: counts[i] observations in the bucket that ends at
 * bounds[i] (increasing), counts[n] above all of them; not cumulative. */
void kb_metrics_histogram(struct kb_metrics *m, size_t n, const double *bounds,
			  const uint64_t *counts, double sum, ...) __attribute__((sentinel));

#endif
