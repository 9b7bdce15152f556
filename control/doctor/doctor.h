/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kbdnsctl doctor`: what kbdns finds on this node, and what it means. Gathers facts (facts.h),
 * judges them (judge.h) and prints. Leaves the node as it was.
 */
#ifndef KB_DOCTOR_DOCTOR_H
#define KB_DOCTOR_DOCTOR_H

#include <stdbool.h>

#include "control/doctor/facts.h"

/* The exit status: 0, or 1 if anything fails or there is no memory. */
int kb_doctor(const struct kb_doctor_config *config, bool json);

#endif
