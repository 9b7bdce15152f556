// SPDX-License-Identifier: Apache-2.0
/* Whose programs are where, in the order they run in. */
#include "control/datapath/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/datapath/netlink.h"
#include "control/datapath/order.h"

static void name_of(uint32_t id, struct kb_hook_prog *ret)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	ret->id = id;
	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		snprintf(ret->name, sizeof(ret->name), "%.16s", info.name);
	close(fd);
}

static void read_tcx(struct kb_hooks *h)
{
	uint32_t ids[KB_ORDER_MAX];
	int n = kb_order_read(h->dev.ifindex, ids);

	for (int i = 0; i < n && i < KB_HOOK_PROGS; i++)
		name_of(ids[i], &h->tcx[i]);
	h->n_tcx = n > 0 ? (size_t)n : 0;
}

static void read_xdp(struct kb_hooks *h)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	static const char *const modes[] = {[XDP_ATTACHED_DRV] = "native",
					    [XDP_ATTACHED_SKB] = "generic",
					    [XDP_ATTACHED_HW] = "offloaded"};
	uint32_t id;

	h->xdp_mode = "";
	if (bpf_xdp_query((int)h->dev.ifindex, 0, &query) < 0 ||
	    query.attach_mode == XDP_ATTACHED_NONE)
		return;
	id = query.prog_id	 ? query.prog_id
	     : query.drv_prog_id ? query.drv_prog_id
				 : query.skb_prog_id;
	name_of(id, &h->xdp);
	h->xdp_mode = query.attach_mode < sizeof(modes) / sizeof(modes[0])
			      ? modes[query.attach_mode]
			      : "native";
}

static int put_option(const struct nlattr *attr, void *arg)
{
	struct kb_hook_prog *p = arg;

	if (mnl_attr_get_type(attr) == TCA_BPF_ID)
		p->id = mnl_attr_get_u32(attr);
	else if (mnl_attr_get_type(attr) == TCA_BPF_NAME)
		snprintf(p->name, sizeof(p->name), "%.31s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static int put_filter(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == TCA_KIND)
		snprintf(((struct kb_hook_prog *)arg)->name,
			 sizeof(((struct kb_hook_prog *)arg)->name), "%.31s",
			 mnl_attr_get_str(attr));
	if (mnl_attr_get_type(attr) == TCA_OPTIONS)
		return mnl_attr_parse_nested(attr, put_option, arg);
	return MNL_CB_OK;
}

static int on_filter(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	struct kb_hook_prog p = {0};
	struct kb_hooks *h = arg;

	/* Each filter is told twice, first its priority alone. */
	if (!tc->tcm_handle || mnl_attr_parse(nlh, sizeof(*tc), put_filter, &p) < 0)
		return MNL_CB_OK;
	if (h->n_filter < KB_HOOK_PROGS) {
		if (p.id)
			name_of(p.id, &p);
		h->filter[h->n_filter] = p;
	}
	h->n_filter++;
	return MNL_CB_OK;
}

/* None when they cannot be read. */
static void read_filters(struct kb_netlink *nl, struct kb_hooks *h)
{
	struct nlmsghdr *nlh = kb_netlink_message(nl, 0, RTM_GETTFILTER, NLM_F_DUMP);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)h->dev.ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	kb_netlink_talk(nl, nlh, on_filter, h);
}

struct walk {
	void (*fn)(void *arg, const struct kb_hooks *hooks);
	void *arg;
	struct kb_netlink nl;
};

static void see(void *arg, const struct kb_netdev *dev)
{
	struct walk *w = arg;
	struct kb_hooks h = {.dev = *dev};

	if (!kb_netdev_is_pod(dev))
		kb_nic_read(dev->name, dev->ifindex, &h.nic);
	read_tcx(&h);
	read_filters(&w->nl, &h);
	read_xdp(&h);
	w->fn(w->arg, &h);
}

int kb_probe_hooks(void (*fn)(void *arg, const struct kb_hooks *hooks), void *arg)
{
	struct walk w = {.fn = fn, .arg = arg};
	int r = kb_netlink_open(&w.nl, NETLINK_ROUTE);

	if (r < 0)
		return r;
	r = kb_netdev_each(see, &w);
	kb_netlink_close(&w.nl);
	return r;
}

size_t kb_probe_cgroup(const char *cgroup, struct kb_hook_prog ret[KB_HOOK_PROGS])
{
	static const enum bpf_attach_type types[] = {BPF_CGROUP_INET4_CONNECT,
						     BPF_CGROUP_UDP4_SENDMSG};
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n = 0;

	for (size_t i = 0; fd >= 0 && i < sizeof(types) / sizeof(types[0]); i++) {
		uint32_t ids[KB_HOOK_PROGS], count = KB_HOOK_PROGS, flags = 0;

		if (bpf_prog_query(fd, types[i], 0, &flags, ids, &count) < 0)
			continue;
		for (uint32_t j = 0; j < count && j < KB_HOOK_PROGS; j++, n++) {
			if (n < KB_HOOK_PROGS) {
				memset(&ret[n], 0, sizeof(ret[n]));
				name_of(ids[j], &ret[n]);
			}
		}
	}
	if (fd >= 0)
		close(fd);
	return n;
}
