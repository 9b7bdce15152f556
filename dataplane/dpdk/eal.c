// SPDX-License-Identifier: Apache-2.0
/* See eal.h. */
#include "dataplane/dpdk/eal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

/* The last line of a log, which names what was wrong; of wrong arguments that is the one before EAL
 * says that they are wrong. */
static const char *last_line(char *log)
{
	char *line, *last = NULL, *save = NULL;

	for (line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (last && strstr(line, "Invalid 'command line' arguments") &&
		    !strstr(last, "Detected"))
			continue;
		last = line;
	}
	return last ? last : rte_strerror(rte_errno);
}

/* A device that was named and cannot be opened is no failure for EAL, which goes on without it. */
static int devices_check(const char *said, char *err, size_t size)
{
	const struct rte_devargs *d;
	uint16_t id;

	for (d = rte_devargs_next(NULL, NULL); d; d = rte_devargs_next(NULL, d)) {
		if (d->policy == RTE_DEV_BLOCKED || rte_eth_dev_get_port_by_name(d->name, &id) == 0)
			continue;
		snprintf(err, size, "EAL cannot open the device %s as a port: %s", d->name, said);
		return -ENODEV;
	}
	return 0;
}

/* EAL speaks in many lines, of which one is passed on if something is wrong. */
int kb_dpdk_eal_start(int argc, char **argv, char *err, size_t err_size)
{
	char *log = NULL;
	const char *said;
	size_t size = 0;
	FILE *f = open_memstream(&log, &size);
	int r;

	if (!f) {
		snprintf(err, err_size, "no memory");
		return -ENOMEM;
	}
	rte_openlog_stream(f);
	r = rte_eal_init(argc, argv);
	rte_openlog_stream(NULL);
	fclose(f);
	said = last_line(log);
	if (r < 0) {
		r = rte_errno ? -rte_errno : -EIO;
		snprintf(err, err_size, "EAL did not start: %s%s", said,
			 strstr(said, "hugepage")
				 ? ": reserve huge pages (vm.nr_hugepages) or use --no-huge -m MB"
				 : "");
	} else {
		r = devices_check(said, err, err_size);
		if (r < 0)
			rte_eal_cleanup();
	}
	free(log);
	return r < 0 ? r : 0;
}
