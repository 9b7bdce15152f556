/* SPDX-License-Identifier: Apache-2.0 */
/* The trials of probe.h that need more than a system call. They run in the child, which closes by
 * its end what they open. 0, -errno, or KB_TRIAL_SKIPPED; both may leave a reason in t->text. */
#ifndef KB_DATAPATH_PROBE_PRIVATE_H
#define KB_DATAPATH_PROBE_PRIVATE_H

#include <linux/bpf.h>

#include "control/datapath/probe.h"

/* Is the child in a network namespace of its own? */
extern bool kb_probe_isolated;

/* A program that returns this verdict; its descriptor or -errno. */
int kb_probe_program(enum bpf_prog_type type, int verdict);

int kb_probe_programs(struct kb_trial *t);
int kb_probe_local(struct kb_trial *t);
int kb_probe_tcx(struct kb_trial *t);
int kb_probe_clsact(struct kb_trial *t);
int kb_probe_xdp(struct kb_trial *t);

#endif
