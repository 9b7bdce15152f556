/* SPDX-License-Identifier: Apache-2.0 */
/* kbdns-dpdk's own command line, in front of EAL's. Main thread, first of all. */
#ifndef KB_DPDK_OPTIONS_H
#define KB_DPDK_OPTIONS_H

#include "dataplane/core/worker_tune.h"
#include "dataplane/dpdk/exception_option.h"

#define KB_DPDK_BPFFS "/sys/fs/bpf/kbdns"

struct kb_dpdk_options {
	const char *bpffs; /* borrowed from argv */
	struct kb_exception_option exception;
	struct kb_worker_tune given;
};

/* Returns the index of the first argument for EAL. Ends the process with status 2 after one line
 * when something is wrong, with 0 after --help and --version. */
int kb_dpdk_options_parse(struct kb_dpdk_options *o, int argc, char **argv);

#endif
