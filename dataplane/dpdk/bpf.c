// SPDX-License-Identifier: Apache-2.0
#include "dataplane/dpdk/bpf.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

int kb_bpf_open(const char *dir, const char *name)
{
	char path[PATH_MAX];
	union bpf_attr attr;

	if (snprintf(path, sizeof(path), "%s/table/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	return sys_bpf(BPF_OBJ_GET, &attr);
}

int kb_bpf_map_info(int fd, struct bpf_map_info *ret_info)
{
	struct bpf_map_info info;
	union bpf_attr attr;
	int r;

	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	r = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (r == 0)
		*ret_info = info;
	return r;
}

static int map_element(int cmd, int fd, uint32_t key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	return sys_bpf(cmd, &attr);
}

int kb_bpf_map_lookup(int fd, uint32_t key, void *ret_value)
{
	return map_element(BPF_MAP_LOOKUP_ELEM, fd, key, ret_value);
}

int kb_bpf_map_update(int fd, uint32_t key, const void *value)
{
	return map_element(BPF_MAP_UPDATE_ELEM, fd, key, value);
}

int kb_bpf_map_delete(int fd, uint32_t key)
{
	return map_element(BPF_MAP_DELETE_ELEM, fd, key, NULL);
}

int kb_bpf_run_tc(int prog_fd, const void *frame, uint32_t len, uint32_t ifindex)
{
	struct __sk_buff ctx;
	union bpf_attr attr;
	int r;

	memset(&ctx, 0, sizeof(ctx));
	ctx.ifindex = ifindex;
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)prog_fd;
	attr.test.data_in = (uintptr_t)frame;
	attr.test.data_size_in = len;
	attr.test.ctx_in = (uintptr_t)&ctx;
	attr.test.ctx_size_in = sizeof(ctx);
	r = sys_bpf(BPF_PROG_TEST_RUN, &attr);
	return r < 0 ? r : (int)attr.test.retval;
}
