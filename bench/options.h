/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the benchmarks: a row each, from which they are parsed and --help is printed. What
 * is wrong is named, and the program ends with 2.
 */
#ifndef KB_BENCH_OPTIONS_H
#define KB_BENCH_OPTIONS_H

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_OPTIONS_MAX 16

struct bench_option { /* a table ends with a row without a name */
	const char *name, *arg, *help;
	void (*set)(const char *name, const char *value, void *to);
	void *to;
};

__attribute__((noreturn)) static inline void option_bad(const char *name, const char *value)
{
	fprintf(stderr, "%s: --%s: %s: see --help\n", program_invocation_short_name, name, value);
	exit(2);
}

/* to: const char * */
static inline void option_text(const char *name, const char *value, void *to)
{
	(void)name;
	*(const char **)to = value;
}

static inline uint64_t option_value(const char *name, const char *value, uint64_t max)
{
	char *end;
	unsigned long long v = strtoull(value, &end, 10);

	if (end == value || *end || v == 0 || v > max)
		option_bad(name, value);
	return v;
}

/* to: uint64_t, at least 1 */
__attribute__((unused)) static void option_number(const char *name, const char *value, void *to)
{
	*(uint64_t *)to = option_value(name, value, UINT64_MAX);
}

/* Numbers of 1..max with commas between them. Returns how many. */
static inline int option_list(const char *name, const char *list, uint64_t max, uint32_t *ret,
			      int n_max)
{
	char *copy = strdup(list), *save = NULL;
	int n = 0;

	for (char *s = copy ? strtok_r(copy, ",", &save) : NULL; s;
	     s = strtok_r(NULL, ",", &save)) {
		if (n == n_max)
			option_bad(name, "too many");
		ret[n++] = (uint32_t)option_value(name, s, max);
	}
	free(copy);
	if (!n)
		option_bad(name, "empty");
	return n;
}

static inline void option_help(FILE *f, const char *synopsis, const struct bench_option *rows)
{
	fprintf(f, "usage: %s %s%s[OPTIONS]\n", program_invocation_short_name, synopsis,
		*synopsis ? " " : "");
	for (; rows->name; rows++)
		fprintf(f, "  --%s %-*s %s\n", rows->name, 16 - (int)strlen(rows->name), rows->arg,
			rows->help);
}

/* `synopsis`: what is always needed. */
static inline void bench_options(const char *synopsis, const struct bench_option *rows, int argc,
				 char **argv)
{
	struct option options[BENCH_OPTIONS_MAX + 2] = {0};
	int n = 0, c;

	for (; rows[n].name && n < BENCH_OPTIONS_MAX; n++)
		options[n] = (struct option){rows[n].name, required_argument, NULL, 256 + n};
	options[n] = (struct option){"help", no_argument, NULL, 'h'};
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			option_help(stdout, synopsis, rows);
			exit(0);
		}
		if (c < 256)
			exit(2);
		rows[c - 256].set(rows[c - 256].name, optarg, rows[c - 256].to);
	}
	if (optind < argc)
		option_bad(argv[optind], "not an option");
}

#endif
