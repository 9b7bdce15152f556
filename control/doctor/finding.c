// SPDX-License-Identifier: Apache-2.0
#include "control/doctor/finding.h"

#include <stdarg.h>

#include "control/ctl/json_out.h"
#include "control/ctl/protocol.h"

static const char *const level_names[] = {"ok", "note", "warn", "fail"};

struct kb_finding *kb_finding_add(struct kb_findings *f, enum kb_level level, const char *name,
				  const char *format, ...)
{
	size_t at = f->n < KB_FINDINGS_MAX ? f->n++ : KB_FINDINGS_MAX - 1;
	struct kb_finding *p = &f->v[at];
	va_list ap;

	f->count[level]++;
	*p = (struct kb_finding){.level = level, .name = name};
	va_start(ap, format);
	vsnprintf(p->found, sizeof(p->found), format, ap);
	va_end(ap);
	return p;
}

void kb_finding_means(struct kb_finding *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(f->means, sizeof(f->means), format, ap);
	va_end(ap);
}

void kb_finding_cure(struct kb_finding *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(f->cure, sizeof(f->cure), format, ap);
	va_end(ap);
}

void kb_findings_print(const struct kb_findings *f, FILE *out)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct kb_finding *p = &f->v[i];

		fprintf(out, "%-4s  %-18s %s\n", level_names[p->level], p->name, p->found);
		if (p->means[0])
			fprintf(out, "%-24s %s\n", "", p->means);
		if (p->cure[0])
			fprintf(out, "%-24s cure: %s\n", "", p->cure);
	}
	if (f->n == KB_FINDINGS_MAX)
		fprintf(out, "... and more; the first %d are shown\n", KB_FINDINGS_MAX);
	fprintf(out, "%zu ok, %zu notes, %zu warnings, %zu failures\n", f->count[KB_DOCTOR_OK],
		f->count[KB_DOCTOR_NOTE], f->count[KB_DOCTOR_WARN], f->count[KB_DOCTOR_FAIL]);
}

int kb_findings_print_json(const struct kb_findings *f, FILE *out)
{
	struct kb_json_out o;
	int r;

	kb_json_out_init(&o, KB_CTL_REPLY_MAX);
	kb_json_out_open(&o, '{');
	kb_json_put_bool(&o, "ok", f->count[KB_DOCTOR_FAIL] == 0);
	kb_json_put_u64(&o, "protocol", KB_CTL_PROTOCOL);
	kb_json_put_open(&o, "findings", '[');
	for (size_t i = 0; i < f->n; i++) {
		const struct kb_finding *p = &f->v[i];

		kb_json_out_open(&o, '{');
		kb_json_put_str(&o, "level", level_names[p->level]);
		kb_json_put_str(&o, "name", p->name);
		kb_json_put_str(&o, "found", p->found);
		kb_json_put_str(&o, "means", p->means);
		kb_json_put_str(&o, "cure", p->cure[0] ? p->cure : NULL);
		kb_json_out_close(&o);
	}
	kb_json_out_close(&o);
	kb_json_out_close(&o);
	r = kb_json_out_end(&o);
	if (r == 0)
		fwrite(o.text.buf, 1, o.text.len, out);
	kb_json_out_fini(&o);
	return r;
}
