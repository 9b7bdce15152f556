/* SPDX-License-Identifier: Apache-2.0 */
/* The median of a benchmark's rounds. */
#ifndef KB_BENCH_MEDIAN_H
#define KB_BENCH_MEDIAN_H

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 99

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* n is at most ROUNDS_MAX; v stays as it is. */
static inline double median(const double *v, int n)
{
	double s[ROUNDS_MAX];

	memcpy(s, v, sizeof(double) * (size_t)n);
	qsort(s, (size_t)n, sizeof(double), by_value);
	return n & 1 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

#endif
