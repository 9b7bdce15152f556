// SPDX-License-Identifier: Apache-2.0
/*
 * The classic way to attach, for kernels before 6.6: cls_bpf filters on a clsact qdisc. They
 * have the first priority and handles of our own; of filters of equal priority the newest runs
 * first. A folder in bpffs remembers that the qdisc is ours
 * to remove.
 */
#include "control/datapath/private.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/datapath/netlink.h"

#define PRIORITY 1
#define HANDLE	 0x6b62

static const struct place {
	enum bpf_tc_attach_point at;
	uint32_t handle;
	const char *prog;
} places[KB_CLSACT_MAX] = {
	[KB_CLSACT_TC] = {BPF_TC_INGRESS, HANDLE, "kbdns_tc"},
	[KB_CLSACT_LOCAL_IN] = {BPF_TC_INGRESS, HANDLE + 1, "kbdns_local_in"},
	[KB_CLSACT_LOCAL_OUT] = {BPF_TC_EGRESS, HANDLE + 2, "kbdns_local_out"},
};

static struct bpf_tc_hook hook_of(unsigned int ifindex, enum kb_clsact which)
{
	return (struct bpf_tc_hook){.sz = sizeof(struct bpf_tc_hook),
				    .ifindex = (int)ifindex,
				    .attach_point = places[which].at};
}

/* The program at our place: 1 ours, 0 none, -EBUSY somebody else's; another -errno where nothing
 * can be asked, for want of a descriptor or memory. */
static int who_is_there(struct bpf_tc_hook *hook, const struct place *place)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = place->handle, .priority = PRIORITY);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd, r;

	r = bpf_tc_query(hook, &opts);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS)
		return r;
	if (r < 0)
		return 0;
	fd = bpf_prog_get_fd_by_id(opts.prog_id);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -errno : -EBUSY;
	r = bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
			    strncmp(info.name, place->prog, sizeof(info.name) - 1) == 0
		    ? 1
		    : -EBUSY;
	close(fd);
	return r;
}

static void marker(char *path, const char *dir, unsigned int ifindex)
{
	snprintf(path, PATH_MAX, "%s/clsact_%u", dir, ifindex);
}

int kb_clsact_attach(const char *dir, unsigned int ifindex, enum kb_clsact which, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = places[which].handle, .priority = PRIORITY,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	struct bpf_tc_hook hook = hook_of(ifindex, which);
	char path[PATH_MAX];
	int r;

	r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return r;
	marker(path, dir, ifindex);
	if (r == 0)
		mkdir(path, 0700);
	r = who_is_there(&hook, &places[which]);
	if (r < 0)
		return r;
	return bpf_tc_attach(&hook, &opts);
}

static int saw_filter(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);

	/* Each filter is told twice, first its priority alone. */
	if (tc->tcm_handle)
		*(bool *)arg = true;
	return MNL_CB_OK;
}

/* Has this hook any filter? True when in doubt. */
static bool has_filters(unsigned int ifindex, uint32_t parent)
{
	struct kb_netlink nl;
	struct nlmsghdr *nlh;
	bool found = false;
	struct tcmsg *tc;
	int r;

	if (kb_netlink_open(&nl, NETLINK_ROUTE) < 0)
		return true;
	nlh = kb_netlink_message(&nl, 0, RTM_GETTFILTER, NLM_F_DUMP);
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = parent;
	r = kb_netlink_talk(&nl, nlh, saw_filter, &found);
	kb_netlink_close(&nl);
	return found || r < 0;
}

bool kb_clsact_is_attached(unsigned int ifindex, enum kb_clsact which)
{
	struct bpf_tc_hook hook = hook_of(ifindex, which);

	int r = who_is_there(&hook, &places[which]);

	return r == 1 || (r < 0 && r != -EBUSY);
}

bool kb_clsact_remove(unsigned int ifindex, enum kb_clsact which)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = places[which].handle, .priority = PRIORITY);
	struct bpf_tc_hook hook = hook_of(ifindex, which);
	bool was = who_is_there(&hook, &places[which]) == 1;

	if (was)
		bpf_tc_detach(&hook, &opts);
	return was;
}

void kb_clsact_forget(const char *dir, unsigned int ifindex)
{
	char path[PATH_MAX];

	marker(path, dir, ifindex);
	rmdir(path);
}

uint32_t kb_clsact_prog(unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY);
	struct bpf_tc_hook hook = hook_of(ifindex, KB_CLSACT_TC);

	return bpf_tc_query(&hook, &opts) < 0 ? 0 : opts.prog_id;
}

bool kb_clsact_detach(const char *dir, unsigned int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, KB_CLSACT_TC);
	char path[PATH_MAX];
	bool was = false;

	for (int i = 0; i < KB_CLSACT_MAX; i++)
		was |= kb_clsact_remove(ifindex, (enum kb_clsact)i);
	marker(path, dir, ifindex);
	if (rmdir(path) == 0 && !has_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) &&
	    !has_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS))) {
		/* Both attach points together mean the qdisc itself. */
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		bpf_tc_hook_destroy(&hook);
	}
	return was;
}
