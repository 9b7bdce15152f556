/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"counter", "gauge", "histogram"};

void kb_metrics_init(struct kb_metrics *m)
{
	memset(m, 0, sizeof(*m));
	m->text.max = KB_METRICS_MAX;
}

void kb_metrics_fini(struct kb_metrics *m)
{
	free(m->text.buf);
	memset(m, 0, sizeof(*m));
}

static void put(struct kb_metrics *m, const char *s, size_t n)
{
	kb_text_put(&m->text, s, n);
}

static void puts_(struct kb_metrics *m, const char *s)
{
	put(m, s, strlen(s));
}

/* Help text and label values: backslash and newline, in values quotes too. */
static void put_escaped(struct kb_metrics *m, const char *s, bool quotes)
{
	for (; *s; s++) {
		if (*s == '\n')
			puts_(m, "\\n");
		else if (*s == '\\' || (quotes && *s == '"'))
			put(m, (char[]){'\\', *s}, 2);
		else
			put(m, s, 1);
	}
}

static void put_double(struct kb_metrics *m, double v)
{
	char text[40];

	if (isnan(v))
		snprintf(text, sizeof(text), "NaN");
	else if (isinf(v))
		snprintf(text, sizeof(text), v > 0 ? "+Inf" : "-Inf");
	else
		snprintf(text, sizeof(text), "%.12g", v);
	puts_(m, text);
}

static void put_u64(struct kb_metrics *m, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	puts_(m, text);
}

void kb_metrics_family(struct kb_metrics *m, const char *name, enum kb_metric_type type,
		       const char *help)
{
	m->family = name;
	puts_(m, "# HELP ");
	puts_(m, name);
	puts_(m, " ");
	put_escaped(m, help, false);
	puts_(m, "\n# TYPE ");
	puts_(m, name);
	puts_(m, " ");
	puts_(m, type_names[type]);
	puts_(m, "\n");
}

/* "name_suffix{labels,le="..."} "; le may be NULL. */
static void put_series(struct kb_metrics *m, const char *suffix, va_list labels, const double *le)
{
	const char *sep = "{", *name;

	assert(m->family);
	puts_(m, m->family);
	puts_(m, suffix);
	while ((name = va_arg(labels, const char *))) {
		puts_(m, sep);
		puts_(m, name);
		puts_(m, "=\"");
		put_escaped(m, va_arg(labels, const char *), true);
		puts_(m, "\"");
		sep = ",";
	}
	if (le) {
		puts_(m, sep);
		puts_(m, "le=\"");
		put_double(m, *le);
		puts_(m, "\"");
		sep = ",";
	}
	puts_(m, *sep == ',' ? "} " : " ");
}

void kb_metrics_u64(struct kb_metrics *m, uint64_t value, ...)
{
	va_list labels;

	va_start(labels, value);
	put_series(m, "", labels, NULL);
	va_end(labels);
	put_u64(m, value);
	puts_(m, "\n");
}

void kb_metrics_double(struct kb_metrics *m, double value, ...)
{
	va_list labels;

	va_start(labels, value);
	put_series(m, "", labels, NULL);
	va_end(labels);
	put_double(m, value);
	puts_(m, "\n");
}

void kb_metrics_counter(struct kb_metrics *m, const char *name, const char *help, uint64_t value)
{
	kb_metrics_family(m, name, KB_METRIC_COUNTER, help);
	kb_metrics_u64(m, value, NULL);
}

void kb_metrics_gauge(struct kb_metrics *m, const char *name, const char *help, double value)
{
	kb_metrics_family(m, name, KB_METRIC_GAUGE, help);
	kb_metrics_double(m, value, NULL);
}

void kb_metrics_histogram(struct kb_metrics *m, size_t n, const double *bounds,
			  const uint64_t *counts, double sum, ...)
{
	va_list labels, again;
	uint64_t total = 0;

	va_start(labels, sum);
	for (size_t i = 0; i <= n; i++) {
		double le = i < n ? bounds[i] : INFINITY;

		total += counts[i];
		va_copy(again, labels);
		put_series(m, "_bucket", again, &le);
		va_end(again);
		put_u64(m, total);
		puts_(m, "\n");
	}
	va_copy(again, labels);
	put_series(m, "_sum", again, NULL);
	va_end(again);
	put_double(m, sum);
	puts_(m, "\n");
	put_series(m, "_count", labels, NULL);
	va_end(labels);
	put_u64(m, total);
	puts_(m, "\n");
}
