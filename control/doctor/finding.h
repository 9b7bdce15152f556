/* SPDX-License-Identifier: Apache-2.0 */
/* What `kbdnsctl doctor` has to say: a list, printed for people or as JSON. */
#ifndef KB_DOCTOR_FINDING_H
#define KB_DOCTOR_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum kb_level {
	KB_DOCTOR_OK,	/* as kbdns wants it */
	KB_DOCTOR_NOTE, /* good to know; nothing has to be done */
	KB_DOCTOR_WARN, /* something works less well, or not for all */
	KB_DOCTOR_FAIL, /* kbdns does not work so */
};

#define KB_FINDING_TEXT 400
#define KB_FINDINGS_MAX 200

struct kb_finding {
	enum kb_level level;
	const char *name; /* static, of letters, digits and '-' */
	char found[KB_FINDING_TEXT];
	char means[KB_FINDING_TEXT]; /* for kbdns */
	char cure[KB_FINDING_TEXT];  /* "" if there is none or none is needed */
};

struct kb_findings {
	struct kb_finding v[KB_FINDINGS_MAX];
	size_t n;
	size_t count[KB_DOCTOR_FAIL + 1]; /* by level, those without room as well */
};

/* Appends; what was found as printf has it. When there is no room the last one gives way. */
struct kb_finding *kb_finding_add(struct kb_findings *f, enum kb_level level, const char *name,
				  const char *format, ...) __attribute__((format(printf, 4, 5)));
void kb_finding_means(struct kb_finding *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void kb_finding_cure(struct kb_finding *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void kb_findings_print(const struct kb_findings *f, FILE *out);
/* One document, as control/ctl/protocol.h begins its own. 0 or -errno. */
int kb_findings_print_json(const struct kb_findings *f, FILE *out);

#endif
