// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int kb_netlink_open(struct kb_netlink *nl, int bus)
{
	memset(nl, 0, sizeof(*nl));
	nl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->socket)
		return -errno;
	if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		mnl_socket_close(nl->socket);
		return r;
	}
	return 0;
}

void kb_netlink_close(struct kb_netlink *nl)
{
	mnl_socket_close(nl->socket);
}

struct nlmsghdr *kb_netlink_message(struct kb_netlink *nl, size_t at, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl->out + at);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++nl->seq;
	return nlh;
}

int kb_netlink_receive(struct kb_netlink *nl, uint32_t seq, mnl_cb_t each, void *arg)
{
	char in[KB_NETLINK_BYTES];

	for (;;) {
		ssize_t n = mnl_socket_recvfrom(nl->socket, in, sizeof(in));
		int r;

		if (n < 0)
			return -errno;
		r = mnl_cb_run(in, (size_t)n, seq, mnl_socket_get_portid(nl->socket), each, arg);
		if (r < 0)
			return -errno;
		if (r == 0)
			return 0;
	}
}

int kb_netlink_talk(struct kb_netlink *nl, struct nlmsghdr *nlh, mnl_cb_t each, void *arg)
{
	if (mnl_socket_sendto(nl->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return kb_netlink_receive(nl, nlh->nlmsg_seq, each, arg);
}
