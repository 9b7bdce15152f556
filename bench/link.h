/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For benchmarks in the kernel: a veth pair of which each end is in a network namespace of this
 * process alone, and vanishes with it. Queries come from the far end; the near end has the
 * responder's program, run by a NAPI thread. Included by programs of one file each.
 */
#ifndef KB_BENCH_LINK_H
#define KB_BENCH_LINK_H

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bench/check.h"
#include "bench/gen.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS; newer than libbpf 1.1 */

enum hook { HOOK_XDP, HOOK_TC, HOOK_MAX };

struct link {
	int far_ns, near_ns; /* owned */
	uint32_t near_ifindex;
	struct kb_gen_path path;
};

static inline void enter(int ns)
{
	check("setns", setns(ns, CLONE_NEWNET));
}

static inline void shell(const char *fmt, int arg)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), fmt, getpid(), arg);
	if (system(cmd)) {
		fprintf(stderr, "%s: failed: %s\n", program_invocation_short_name, cmd);
		exit(1);
	}
}

static inline int new_ns(void)
{
	check("network namespace (needs root)", unshare(CLONE_NEWNET));
	return check("/proc/self/ns/net", open("/proc/self/ns/net", O_RDONLY));
}

static inline bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static inline void pin(pid_t pid, size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check("sched_setaffinity", sched_setaffinity(pid, sizeof(set), &set));
}

/* Pids of kernel threads of NAPI called napi/near-*. */
static inline size_t napi_threads(pid_t *pids, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	while (dir && (e = readdir(dir)) && n < max) {
		char path[64], comm[32] = "";
		pid_t pid = (pid_t)atoi(e->d_name);
		int fd;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		if (read(fd, comm, sizeof(comm) - 1) > 0 && strncmp(comm, "napi/near-", 10) == 0)
			pids[n++] = pid;
		close(fd);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* The responder on a CPU of its own. */
static inline void link_pin(size_t cpu)
{
	pid_t before[64], after[64];
	size_t n = napi_threads(before, 64), m, moved = 0;

	if (!write_file("/sys/class/net/near/threaded", "1"))
		die("/sys/class/net/near/threaded", -errno);
	m = napi_threads(after, 64);
	for (size_t i = 0; i < m; i++) {
		bool old = false;

		for (size_t j = 0; j < n; j++)
			old = old || before[j] == after[i];
		if (!old) {
			pin(after[i], cpu);
			moved++;
		}
	}
	if (!moved)
		die("threaded NAPI", -ENOENT);
}

/* Afterwards the thread is in the near end's namespace. */
static inline void link_up(struct link *l)
{
	l->far_ns = new_ns();
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	l->near_ns = new_ns();
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	check("mount namespace", unshare(CLONE_NEWNS));
	check("private mounts", mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	check("sysfs", mount("sysfs", "/sys", "sysfs", 0, NULL));
	memcpy(l->path.near_mac, "\2\0\0\0\0\1", 6);
	memcpy(l->path.far_mac, "\2\0\0\0\0\2", 6);
	shell("ip link add near address 02:00:00:00:00:01 type veth peer name far address "
	      "02:00:00:00:00:02 && ip link set far netns /proc/%d/fd/%d && ethtool -K near gro on "
	      "&& ip link set near up",
	      l->far_ns);
	l->near_ifindex = if_nametoindex("near");
	enter(l->far_ns);
	shell("true %d %d && ethtool -K far gro on && ip link set far up", 0);
	l->path.far_ifindex = if_nametoindex("far");
	enter(l->near_ns);
	inet_pton(AF_INET, "10.244.0.11", &l->path.saddr);
	inet_pton(AF_INET, "10.96.0.10", &l->path.daddr);
}

static inline int attach(int ns, uint32_t ifindex, enum hook hook, int prog)
{
	int fd;

	enter(ns);
	fd = bpf_link_create(prog, (int)ifindex,
			     (enum bpf_attach_type)(hook == HOOK_TC ? TCX_INGRESS : BPF_XDP), NULL);
	return check(hook == HOOK_TC ? "tcx link (kernel 6.6 or newer)" : "xdp link", fd);
}

/* Replies that arrive at the far end are counted by g and dropped, whichever way they come. */
static inline void link_count(struct link *l, struct kb_gen *g)
{
	attach(l->far_ns, l->path.far_ifindex, HOOK_XDP, bpf_program__fd(g->skel->progs.count_xdp));
	attach(l->far_ns, l->path.far_ifindex, HOOK_TC, bpf_program__fd(g->skel->progs.count_tc));
}

#endif
