/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbdnsctl uninstall: stops kbdnsd if it runs, removes what any run has left on this node, and
 * looks that nothing is left. Works on the kernel itself, not through kbdnsd.
 */
#ifndef KB_CTL_CMD_UNINSTALL_H
#define KB_CTL_CMD_UNINSTALL_H

#include <stdbool.h>

/*
 * `socket`: kbdnsd's control socket; its folder is the run directory, whose files go, too.
 * `bpffs`: kbdnsd's --bpffs. Prints a line for each thing, with `json` a document, and says on
 * standard error what is wrong. 0 when nothing is left, otherwise 1.
 */
int kb_ctl_uninstall(const char *socket, const char *bpffs, bool json);

#endif
