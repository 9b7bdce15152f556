/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that load programs: a bpffs of their own and network namespaces without a
 * name, which end with the process, however it ends.
 */
#ifndef KB_TESTS_BPF_WORLD_H
#define KB_TESTS_BPF_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/datapath/datapath.h"
#include "control/table/env.h"

__attribute__((unused)) static char world_dir[64];
__attribute__((unused)) static int world_netns[2] = {-1, -1};

__attribute__((unused, format(printf, 1, 2))) static void world_run(const char *format, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(cmd, sizeof(cmd), format, ap);
	va_end(ap);
	if (system(cmd) != 0)
		fail_msg("failed: %s", cmd);
}

/* Network namespaces 0 (the node, where the process then is) and 1 (a pod), joined by the
 * veth pair v0 (in 0) and v1 (in 1). */
__attribute__((unused)) static void world_enter(int i)
{
	if (setns(world_netns[i], CLONE_NEWNET) < 0)
		fail_msg("setns: %s", strerror(errno));
}

__attribute__((unused)) static int world_setup(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0) {
		print_error("mount of a bpffs: %s (root is needed)\n", strerror(errno));
		return -1;
	}
	snprintf(world_dir, sizeof(world_dir), "/sys/fs/bpf/kbdns-test-%d", (int)getpid());
	for (int i = 0; i < 2; i++) {
		if (unshare(CLONE_NEWNET) < 0) {
			print_error("unshare: %s (root is needed)\n", strerror(errno));
			return -1;
		}
		world_netns[i] = open("/proc/self/ns/net", O_RDONLY);
		world_run("ip link set lo up");
	}
	world_enter(0);
	return 0;
}

__attribute__((unused)) static void world_veth(void)
{
	/* ip does not know namespaces without a name, but by descriptor. */
	world_enter(0);
	world_run("ip link add v0 type veth peer name v1 netns /proc/%d/fd/%d", (int)getpid(),
		  world_netns[1]);
	world_run("ip link set v0 up");
	world_enter(1);
	world_run("ip link set v1 up");
	world_enter(0);
}

/* `name` is below the folder. */
__attribute__((unused)) static bool world_is_pinned(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", world_dir, name);
	return access(path, F_OK) == 0;
}

__attribute__((unused)) static int world_teardown(void **state)
{
	char err[256];

	(void)state;
	world_enter(0);
	kb_datapath_uninstall(world_dir, err, sizeof(err));
	for (int i = 0; i < 2; i++)
		close(world_netns[i]);
	return 0;
}

#endif
