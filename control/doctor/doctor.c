// SPDX-License-Identifier: Apache-2.0
#include "control/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/doctor/judge.h"

int kb_doctor(const struct kb_doctor_config *config, bool json)
{
	struct kb_findings *out = calloc(1, sizeof(*out));
	struct kb_facts facts;
	int r = 0, status;

	if (!out) {
		fprintf(stderr, "kbdnsctl: out of memory\n");
		return 1;
	}
	kb_facts_gather(config, &facts);
	kb_doctor_judge(&facts, out);
	kb_facts_fini(&facts);
	if (json)
		r = kb_findings_print_json(out, stdout);
	else
		kb_findings_print(out, stdout);
	if (r < 0)
		fprintf(stderr, "kbdnsctl: out of memory\n");
	status = r < 0 || out->count[KB_DOCTOR_FAIL] ? 1 : 0;
	free(out);
	return status;
}
