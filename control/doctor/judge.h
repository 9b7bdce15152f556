/* SPDX-License-Identifier: Apache-2.0 */
/* From facts to findings: no system calls, so that tests can give any facts. */
#ifndef KB_DOCTOR_JUDGE_H
#define KB_DOCTOR_JUDGE_H

#include "control/doctor/facts.h"
#include "control/doctor/finding.h"

/* All checks, in the order in which they are of use: what fails first comes first. */
void kb_doctor_judge(const struct kb_facts *facts, struct kb_findings *ret);

/* judge_kernel.c */
void kb_judge_caps(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_trials(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_attach(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_memory(const struct kb_facts *f, struct kb_findings *out);
/* judge_pins.c */
void kb_judge_bpffs(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_pinned(const struct kb_facts *f, struct kb_findings *out);
/* judge_hooks.c */
void kb_judge_tc(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_xdp(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_cards(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_links(const struct kb_facts *f, struct kb_findings *out);
/* judge_cluster.c */
void kb_judge_cni(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_proxy(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_nodelocal(const struct kb_facts *f, struct kb_findings *out);
void kb_judge_dns(const struct kb_facts *f, struct kb_findings *out);
/* judge_daemon.c */
void kb_judge_daemon(const struct kb_facts *f, struct kb_findings *out);

/* Is it a program of kbdns? */
bool kb_judge_is_ours(const char *program);

#endif
