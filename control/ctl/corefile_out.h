/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and the notes of a Corefile as JSON, for `status` and `check-corefile`. */
#ifndef KB_CTL_COREFILE_OUT_H
#define KB_CTL_COREFILE_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "control/config/corefile.h"
#include "control/ctl/json_out.h"
#include "control/records/rules.h"

/* Members zones and options of an object; control/ctl/protocol.h has their form. */
void kb_ctl_put_rules(struct kb_json_out *o, const struct kb_rules *rules);
/* A member with an array of notes: all of them, or only what is left alone. */
void kb_ctl_put_notes(struct kb_json_out *o, const char *key, const struct kb_corefile_note *notes,
		      size_t n, bool only_left);

/* "taken", "harmless", "left" */
const char *kb_ctl_verdict_name(enum kb_corefile_verdict verdict);
/* "cluster", "reverse", "foreign" */
const char *kb_ctl_role_name(enum kb_zone_role role);

/*
 * `kbdnsctl check-corefile FILE`: prints what would become of it. Returns the exit status: 0 all of
 * it is understood, KB_CTL_CHECK_FAILED with a line on standard error, or KB_CTL_CHECK_LEFT when
 * names or zones are left alone because of it.
 */
enum { KB_CTL_CHECK_FAILED = 1, KB_CTL_CHECK_LEFT = 4 };
int kb_ctl_check_corefile(const char *path, bool json);

#endif
