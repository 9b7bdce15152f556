// SPDX-License-Identifier: Apache-2.0
/* The trials that need no interface, and the child in which all of them run. */
#include "control/datapath/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/datapath/probe_private.h"

#ifndef BPF_F_INNER_MAP
#define BPF_F_INNER_MAP (1U << 12)
#endif

/* By the bare system call: libbpf would raise the limit first. */
static int try_memlock(struct kb_trial *t)
{
	struct rlimit was, none;
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 64, .max_entries = 1};
	long fd;

	(void)t;
	if (getrlimit(RLIMIT_MEMLOCK, &was) < 0)
		return -errno;
	none = (struct rlimit){0, was.rlim_max};
	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
		return -errno;
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		fd = -errno;
	else
		close((int)fd);
	setrlimit(RLIMIT_MEMLOCK, &was);
	return fd < 0 ? (int)fd : 0;
}

static int try_array(struct kb_trial *t)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kb_try", 4, 8, 1, &opts), r = 0;
	uint64_t *at, seen = 0;
	uint32_t zero = 0;

	(void)t;
	if (fd < 0)
		return -errno;
	at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		r = -errno;
	} else {
		*at = 42;
		if (bpf_map_lookup_elem(fd, &zero, &seen) < 0)
			r = -errno;
		else if (seen != 42)
			r = -EIO;
	}
	close(fd);
	return r;
}

static int try_map_in_map(struct kb_trial *t)
{
	LIBBPF_OPTS(bpf_map_create_opts, inner, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	LIBBPF_OPTS(bpf_map_create_opts, outer);
	int small = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kb_try", 4, 64, 1, &inner), big, map, r = 0;
	uint32_t zero = 0;

	(void)t;
	if (small < 0)
		return -errno;
	outer.inner_map_fd = (uint32_t)small;
	big = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kb_try", 4, 64, 100, &inner);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "kb_try", 4, 4, 1, &outer);
	if (big < 0 || map < 0 || bpf_map_update_elem(map, &zero, &big, BPF_ANY) < 0)
		r = -errno;
	return r;
}

static int try_ringbuf(struct kb_trial *t)
{
	uint32_t size = (uint32_t)sysconf(_SC_PAGESIZE);

	(void)t;
	return bpf_map_create(BPF_MAP_TYPE_RINGBUF, "kb_try", 0, 0, size, NULL) < 0 ? -errno : 0;
}

int kb_probe_program(enum bpf_prog_type type, int verdict)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(type, "kb_try", "GPL", code, 2, NULL);

	return fd < 0 ? -errno : fd;
}

static int try_jit(struct kb_trial *t)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = kb_probe_program(BPF_PROG_TYPE_SCHED_CLS, 0);

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	t->value = info.jited_prog_len;
	return 0;
}

static int try_membarrier(struct kb_trial *t)
{
	(void)t;
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}

static int try_stats(struct kb_trial *t)
{
	(void)t;
	return bpf_enable_stats(BPF_STATS_RUN_TIME) < 0 ? -errno : 0;
}

/* The order in which they run: MEMLOCK before the limit is raised. Descriptors are the child's. */
static int (*const trials[KB_TRIAL_MAX])(struct kb_trial *t) = {
	[KB_TRIAL_MEMLOCK] = try_memlock,
	[KB_TRIAL_ARRAY] = try_array,
	[KB_TRIAL_MAP_IN_MAP] = try_map_in_map,
	[KB_TRIAL_RINGBUF] = try_ringbuf,
	[KB_TRIAL_JIT] = try_jit,
	[KB_TRIAL_PROGRAMS] = kb_probe_programs,
	[KB_TRIAL_LOCAL] = kb_probe_local,
	[KB_TRIAL_TCX] = kb_probe_tcx,
	[KB_TRIAL_CLSACT] = kb_probe_clsact,
	[KB_TRIAL_XDP] = kb_probe_xdp,
	[KB_TRIAL_MEMBARRIER] = try_membarrier,
	[KB_TRIAL_STATS] = try_stats,
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool kb_probe_isolated;

static void child(struct kb_trial *out, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	kb_probe_isolated = unshare(CLONE_NEWNET) == 0;
	for (size_t i = 0; i < KB_TRIAL_MAX; i++) {
		uint64_t start = now_ms();
		int r;

		out[i].text[0] = 0;
		r = trials[i](&out[i]);
		out[i].ms = (uint32_t)(now_ms() - start);
		if (r < 0 && !out[i].text[0])
			snprintf(out[i].text, sizeof(out[i].text), "%s", strerror(-r));
		out[i].r = r;
	}
	_exit(0);
}

int kb_probe_kernel(struct kb_trial ret[KB_TRIAL_MAX])
{
	size_t size = KB_TRIAL_MAX * sizeof(*ret);
	struct kb_trial *shared =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid;
	int r = 0;

	if (shared == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < KB_TRIAL_MAX; i++) {
		shared[i].r = KB_TRIAL_SKIPPED;
		snprintf(shared[i].text, sizeof(shared[i].text), "the trial before it ended badly");
	}
	pid = fork();
	if (pid == 0)
		child(shared, parent);
	if (pid < 0)
		r = -errno;
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	memcpy(ret, shared, size);
	munmap(shared, size);
	return r;
}
