/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tune command: everything about it but putting a new value into effect.
 */
#ifndef KB_CTL_CMD_TUNE_H
#define KB_CTL_CMD_TUNE_H

#include "control/config/options.h"
#include "control/ctl/server.h"

/*
 * For the run function of { "tune", 0, 1, "tune [KEY[=VALUE]]", ... }: lists, shows, or checks and
 * sets a tunable in `options`. `apply` is called when a live one has changed; when it fails
 * (-errno) the old value is put back, and reply->error says why, unless it has said so there.
 */
int kb_ctl_tune(struct kb_options *options, int argc, char **argv, struct kb_ctl_reply *reply,
		int (*apply)(void *arg, const struct kb_option *row), void *arg);

#endif
