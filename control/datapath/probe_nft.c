// SPDX-License-Identifier: Apache-2.0
/* The names of nftables' chains, of which iptables-nft's are some; not what stands in them. */
#include "control/datapath/probe.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "control/datapath/netlink.h"

struct chain {
	const char *table, *name; /* borrowed from the message */
};

static int put_attr(const struct nlattr *attr, void *arg)
{
	struct chain *c = arg;

	if (mnl_attr_get_type(attr) == NFTA_CHAIN_TABLE)
		c->table = mnl_attr_get_str(attr);
	else if (mnl_attr_get_type(attr) == NFTA_CHAIN_NAME)
		c->name = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *arg)
{
	struct chain c = {"", ""};
	struct kb_nft *ret = arg;

	if (mnl_attr_parse(nlh, sizeof(struct nfgenmsg), put_attr, &c) < 0)
		return MNL_CB_OK;
	if (strcmp(c.table, "kube-proxy") == 0)
		ret->kube_proxy = true;
	else if (strcmp(c.table, "nat") == 0 && strcmp(c.name, "KUBE-SERVICES") == 0)
		ret->iptables = true;
	if (strcmp(c.table, "calico") == 0 || strncmp(c.name, "cali-", 5) == 0)
		ret->calico = true;
	return MNL_CB_OK;
}

void kb_probe_nft(struct kb_nft *ret)
{
	struct kb_netlink nl;
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;

	memset(ret, 0, sizeof(*ret));
	ret->r = kb_netlink_open(&nl, NETLINK_NETFILTER);
	if (ret->r < 0)
		return;
	nlh = kb_netlink_message(&nl, 0, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN,
				 NLM_F_DUMP);
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	ret->r = kb_netlink_talk(&nl, nlh, on_chain, ret);
	kb_netlink_close(&nl);
}
