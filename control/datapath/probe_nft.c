// SPDX-License-Identifier: Apache-2.0
/* The names of nftables' chains, of which iptables-nft's are some; not what stands in them. */
#include "control/datapath/probe.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define CHAINS_BYTES 16384

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
	char buf[CHAINS_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct nfgenmsg *nfg;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (!nl) {
		ret->r = -errno;
		return;
	}
	nlh->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	r = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
			    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0
		    ? -1
		    : 1;
	while (r > 0) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		r = n < 0 ? -1
			  : mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(nl), on_chain, ret);
	}
	if (r < 0)
		ret->r = -errno;
	mnl_socket_close(nl);
}
