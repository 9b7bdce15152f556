// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/order.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/datapath/private.h"

/* Younger than the headers of Debian 12. */
#define TCX_INGRESS 46 /* BPF_TCX_INGRESS */
#define TCX_EGRESS  47
#define BEFORE	    (1U << 3)
#define AFTER	    (1U << 4)
#define BY_ID	    (1U << 5)
#define BY_LINK	    (1U << 13) /* by a link's descriptor, not a program's */

struct row {
	uint32_t ids[KB_ORDER_MAX];
	size_t n;
};

int kb_order_read(unsigned int ifindex, uint32_t ret_ids[KB_ORDER_MAX])
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ret_ids, .prog_cnt = KB_ORDER_MAX);

	if (bpf_prog_query_opts((int)ifindex, (enum bpf_attach_type)TCX_INGRESS, &opts) < 0)
		return -errno;
	return opts.prog_cnt < KB_ORDER_MAX ? (int)opts.prog_cnt : KB_ORDER_MAX;
}

static int read_row(unsigned int ifindex, struct row *ret)
{
	int n = kb_order_read(ifindex, ret->ids);

	ret->n = n > 0 ? (size_t)n : 0;
	return n < 0 ? n : 0;
}

static bool has_name(uint32_t id, const char *name)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool is;

	if (fd < 0)
		return false;
	is = bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
	     strncmp(info.name, name, sizeof(info.name)) == 0;
	close(fd);
	return is;
}

/* The place in the row of the program that the order names, n if there is none. */
static size_t find_named(const struct row *row, const char *order)
{
	const char *prog = strchr(order, ':');
	char *end;
	unsigned long id;

	if (!prog)
		return row->n;
	id = strtoul(++prog, &end, 10);
	for (size_t i = 0; i < row->n; i++) {
		if (*end ? has_name(row->ids[i], prog) : row->ids[i] == id)
			return i;
	}
	return row->n;
}

static bool wants_before(const char *order)
{
	return *order == 'f' || *order == 'b';
}

/* libbpf's wrapper of this version has no such flags. */
static int create(int prog_fd, unsigned int ifindex, uint32_t type, uint32_t flags,
		  uint32_t relative)
{
	struct {
		uint32_t prog_fd, target_ifindex, attach_type, flags;
		uint32_t relative, pad;
		uint64_t expected_revision;
		uint64_t room[8];
	} attr = {
		.prog_fd = (uint32_t)prog_fd,
		.target_ifindex = ifindex,
		.attach_type = type,
		.flags = flags,
		.relative = relative,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

int kb_tcx_create(int prog_fd, unsigned int ifindex, enum kb_hook_dir dir, int behind_fd)
{
	uint32_t type = dir == KB_HOOK_IN ? TCX_INGRESS : TCX_EGRESS;

	return behind_fd < 0 ? create(prog_fd, ifindex, type, BEFORE, 0)
			     : create(prog_fd, ifindex, type, AFTER | BY_LINK, (uint32_t)behind_fd);
}

bool kb_order_needs_tcx(const struct kb_datapath *dp)
{
	return !wants_before(dp->tc_order);
}

int kb_order_attach(const struct kb_datapath *dp, unsigned int ifindex)
{
	uint32_t flags = wants_before(dp->tc_order) ? BEFORE : AFTER;
	int prog_fd = dp->prog_fd[KB_PROG_TC], fd;
	struct row row = {.n = 0};
	size_t named;

	if (strchr(dp->tc_order, ':') && read_row(ifindex, &row) == 0) {
		named = find_named(&row, dp->tc_order);
		fd = named < row.n
			     ? create(prog_fd, ifindex, TCX_INGRESS, flags | BY_ID, row.ids[named])
			     : -ENOENT;
		if (fd >= 0)
			return fd;
	}
	return create(prog_fd, ifindex, TCX_INGRESS, flags, 0);
}

static uint32_t own_id(const struct kb_datapath *dp)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(dp->prog_fd[KB_PROG_TC], &info, &len) == 0 ? info.id : 0;
}

bool kb_order_holds(const struct kb_datapath *dp, unsigned int ifindex, bool strictly)
{
	bool before = wants_before(dp->tc_order);
	uint32_t own = own_id(dp);
	size_t named, at = 0;
	struct row row;

	if (!strictly && !strchr(dp->tc_order, ':'))
		return true;
	if (read_row(ifindex, &row) < 0)
		return true;
	while (at < row.n && row.ids[at] != own)
		at++;
	if (at == row.n)
		return true;
	named = find_named(&row, dp->tc_order);
	if (named < row.n)
		return before ? at < named : at > named;
	return !strictly || at == (before ? 0 : row.n - 1);
}
