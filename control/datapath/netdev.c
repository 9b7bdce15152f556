// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/netdev.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/datapath/netlink.h"

/* Room for the messages of a few hundred interfaces that come at once. */
#define RECEIVE_BYTES (1 << 20)
#define READS_MAX     64 /* of up to a handful of messages each, before others have their turn */
#define DUMPS_MAX     5	 /* of a list that changes while it is read */

struct kb_netdev_watch {
	struct mnl_socket *nl; /* owned */
};

struct handler {
	kb_netdev_fn fn;
	void *arg;
};

bool kb_netdev_is_pair(const struct kb_netdev *dev)
{
	return strcmp(dev->kind, "veth") == 0 || strcmp(dev->kind, "netkit") == 0;
}

bool kb_netdev_is_pod(const struct kb_netdev *dev)
{
	return kb_netdev_is_pair(dev) && dev->peer_elsewhere;
}

/* An attribute of another form than the kernel's is passed over. */
static void put_text(const struct nlattr *attr, char *ret, size_t size)
{
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		snprintf(ret, size, "%s", mnl_attr_get_str(attr));
}

static void put_number(const struct nlattr *attr, uint32_t *ret)
{
	if (mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		*ret = mnl_attr_get_u32(attr);
}

static int put_kind(const struct nlattr *attr, void *arg)
{
	struct kb_netdev *dev = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		put_text(attr, dev->kind, sizeof(dev->kind));
	return MNL_CB_OK;
}

static int put_attr(const struct nlattr *attr, void *arg)
{
	struct kb_netdev *dev = arg;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		put_text(attr, dev->name, sizeof(dev->name));
		break;
	case IFLA_LINK:
		put_number(attr, &dev->lower);
		break;
	case IFLA_MTU:
		put_number(attr, &dev->mtu);
		break;
	case IFLA_LINK_NETNSID:
		dev->peer_elsewhere = true;
		break;
	case IFLA_LINKINFO:
		return mnl_attr_parse_nested(attr, put_kind, dev);
	default:
		break;
	}
	return MNL_CB_OK;
}

bool kb_netdev_parse(const void *message, size_t len, struct kb_netdev *ret)
{
	const struct nlmsghdr *nlh = message;
	const struct ifinfomsg *ifi;

	memset(ret, 0, sizeof(*ret));
	/* libmnl rounds the end of the attributes up, which the kernel has done. */
	if (len > INT_MAX || !mnl_nlmsg_ok(nlh, (int)len) || nlh->nlmsg_len % MNL_ALIGNTO ||
	    (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK) ||
	    nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*ifi)))
		return false;
	ifi = mnl_nlmsg_get_payload(nlh);
	/* Bridges tell of their ports in the same group, also when one leaves the bridge. */
	if (ifi->ifi_family != AF_UNSPEC || ifi->ifi_index <= 0)
		return false;
	ret->ifindex = (unsigned int)ifi->ifi_index;
	ret->gone = nlh->nlmsg_type == RTM_DELLINK;
	return mnl_attr_parse(nlh, sizeof(*ifi), put_attr, ret) >= 0 && (ret->gone || *ret->name);
}

static int on_message(const struct nlmsghdr *nlh, void *arg)
{
	const struct handler *h = arg;
	struct kb_netdev dev;

	if (kb_netdev_parse(nlh, nlh->nlmsg_len, &dev))
		h->fn(h->arg, &dev);
	return MNL_CB_OK;
}

/* Sends a request for one or all and hands over what comes back. 0 or -errno. */
static int ask(const char *name, const struct handler *h)
{
	struct kb_netlink nl;
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi;
	int r = kb_netlink_open(&nl, NETLINK_ROUTE);

	if (r < 0)
		return r;
	nlh = kb_netlink_message(&nl, 0, RTM_GETLINK, name ? NLM_F_ACK : NLM_F_DUMP);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (name)
		mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	r = kb_netlink_talk(&nl, nlh, on_message, (void *)(uintptr_t)h);
	kb_netlink_close(&nl);
	return r;
}

int kb_netdev_each(kb_netdev_fn fn, void *arg)
{
	const struct handler h = {fn, arg};
	int r = -EINTR;

	for (int i = 0; i < DUMPS_MAX && r == -EINTR; i++)
		r = ask(NULL, &h);
	return r;
}

static void keep(void *arg, const struct kb_netdev *dev)
{
	*(struct kb_netdev *)arg = *dev;
}

int kb_netdev_get(const char *name, struct kb_netdev *ret)
{
	const struct handler h = {keep, ret};

	if (!*name || strlen(name) >= sizeof(ret->name))
		return -ENODEV;
	memset(ret, 0, sizeof(*ret));
	return ask(name, &h);
}

int kb_netdev_watch_new(struct kb_netdev_watch **ret_watch)
{
	struct kb_netdev_watch *w = calloc(1, sizeof(*w));
	int bytes = RECEIVE_BYTES, r;

	if (!w)
		return -ENOMEM;
	w->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!w->nl || mnl_socket_bind(w->nl, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		kb_netdev_watch_free(w);
		return r;
	}
	/* As far as the system allows without CAP_NET_ADMIN; with it, as asked. */
	if (setsockopt(kb_netdev_watch_fd(w), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) <
	    0)
		setsockopt(kb_netdev_watch_fd(w), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	*ret_watch = w;
	return 0;
}

int kb_netdev_watch_fd(const struct kb_netdev_watch *w)
{
	return mnl_socket_get_fd(w->nl);
}

int kb_netdev_watch_read(struct kb_netdev_watch *w, kb_netdev_fn fn, void *arg)
{
	struct handler h = {fn, arg};
	char buf[KB_NETLINK_BYTES];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = mnl_socket_recvfrom(w->nl, buf, sizeof(buf));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (mnl_cb_run(buf, (size_t)n, 0, 0, on_message, &h) < 0)
			return -errno;
	}
	return 0;
}

void kb_netdev_watch_free(struct kb_netdev_watch *w)
{
	if (!w)
		return;
	if (w->nl)
		mnl_socket_close(w->nl);
	free(w);
}
