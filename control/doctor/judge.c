// SPDX-License-Identifier: Apache-2.0
#include "control/doctor/judge.h"

static void (*const checks[])(const struct kb_facts *f, struct kb_findings *out) = {
	kb_judge_caps,	 kb_judge_trials, kb_judge_attach,    kb_judge_memory, kb_judge_bpffs,
	kb_judge_pinned, kb_judge_tc,	  kb_judge_xdp,	      kb_judge_cards,  kb_judge_links,
	kb_judge_cni,	 kb_judge_proxy,  kb_judge_nodelocal, kb_judge_dns,    kb_judge_daemon,
};

void kb_doctor_judge(const struct kb_facts *facts, struct kb_findings *ret)
{
	*ret = (struct kb_findings){0};
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](facts, ret);
}
