// SPDX-License-Identifier: Apache-2.0
/* Ways to attach, each tried with a program that lets every packet go on. */
#include "control/datapath/probe_private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/datapath/netlink.h"
#include "control/datapath/private.h"

#define TC_NEXT	 (-1) /* TCX_NEXT, TC_ACT_UNSPEC */
#define VETH	 "kbtry0"
#define XDP_GOES 2 /* XDP_PASS */

static int skipped(struct kb_trial *t)
{
	snprintf(t->text, sizeof(t->text),
		 "not tried: a network namespace to try it in needs CAP_SYS_ADMIN");
	return KB_TRIAL_SKIPPED;
}

/* On lo: without a namespace of our own the real one, where the program lets all go on and is gone
 * with its link. */
int kb_probe_tcx(struct kb_trial *t)
{
	int prog = kb_probe_program(BPF_PROG_TYPE_SCHED_CLS, TC_NEXT), fd;

	(void)t;
	if (prog < 0)
		return prog;
	fd = kb_tcx_create(prog, if_nametoindex("lo"), KB_HOOK_IN, -1);
	close(prog);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* A qdisc would outlive us in the real namespace. */
int kb_probe_clsact(struct kb_trial *t)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);
	struct bpf_tc_hook hook = {.sz = sizeof(hook), .attach_point = BPF_TC_INGRESS};
	int r;

	if (!kb_probe_isolated)
		return skipped(t);
	hook.ifindex = (int)if_nametoindex("lo");
	opts.prog_fd = kb_probe_program(BPF_PROG_TYPE_SCHED_CLS, TC_NEXT);
	if (opts.prog_fd < 0)
		return opts.prog_fd;
	r = bpf_tc_hook_create(&hook);
	return r < 0 ? r : bpf_tc_attach(&hook, &opts);
}

/* A pair of veths, the kernel names the other end. */
static int make_veth(void)
{
	struct kb_netlink nl;
	struct nlmsghdr *nlh;
	struct nlattr *nest;
	int r = kb_netlink_open(&nl, NETLINK_ROUTE);

	if (r < 0)
		return r;
	nlh = kb_netlink_message(&nl, 0, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, VETH);
	nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	mnl_attr_nest_end(nlh, nest);
	r = kb_netlink_talk(&nl, nlh, NULL, NULL);
	kb_netlink_close(&nl);
	return r;
}

int kb_probe_xdp(struct kb_trial *t)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int prog, r;

	if (!kb_probe_isolated)
		return skipped(t);
	prog = kb_probe_program(BPF_PROG_TYPE_XDP, XDP_GOES);
	if (prog < 0)
		return prog;
	r = make_veth();
	if (r < 0) {
		snprintf(t->text, sizeof(t->text), "no veth can be made: %s", strerror(-r));
		return r;
	}
	return bpf_link_create(prog, (int)if_nametoindex(VETH), BPF_XDP, &opts) < 0 ? -errno : 0;
}
