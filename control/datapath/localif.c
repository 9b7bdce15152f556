// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/localif.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/datapath/netlink.h"
#include "control/datapath/private.h"
#include "control/log.h"

#define ADDRS_MAX 512 /* of the node, that are looked at */
#define ALIAS_MAX 256 /* the kernel's IFALIASZ */

/* ---- links ---- */

struct found_link {
	int index; /* 0: there is none */
	char alias[ALIAS_MAX];
	char kind[16];
};

static int on_info(const struct nlattr *attr, void *arg)
{
	struct found_link *f = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		snprintf(f->kind, sizeof(f->kind), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static int on_link_attr(const struct nlattr *attr, void *arg)
{
	struct found_link *f = arg;

	if (mnl_attr_get_type(attr) == IFLA_IFALIAS)
		snprintf(f->alias, sizeof(f->alias), "%s", mnl_attr_get_str(attr));
	if (mnl_attr_get_type(attr) == IFLA_LINKINFO)
		mnl_attr_parse_nested(attr, on_info, arg);
	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	struct found_link *f = arg;

	f->index = info->ifi_index;
	mnl_attr_parse(nlh, sizeof(*info), on_link_attr, f);
	return MNL_CB_OK;
}

static int link_find(struct kb_netlink *nl, const char *name, struct found_link *ret)
{
	struct nlmsghdr *nlh = kb_netlink_message(nl, 0, RTM_GETLINK, NLM_F_ACK);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	int r;

	memset(ret, 0, sizeof(*ret));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	r = kb_netlink_talk(nl, nlh, on_link, ret);
	return r == -ENODEV ? 0 : r;
}

/* Both messages go in one write, so that a death between them does not leave an interface that
 * nobody knows as ours. */
static int link_make(struct kb_netlink *nl, const struct kb_localif *want, const char *kind)
{
	struct nlmsghdr *make =
		kb_netlink_message(nl, 0, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(make, sizeof(*info));
	struct nlmsghdr *mark;
	struct nlattr *nest;
	int r, r2;

	mnl_attr_put_strz(make, IFLA_IFNAME, want->name);
	nest = mnl_attr_nest_start(make, IFLA_LINKINFO);
	mnl_attr_put_strz(make, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(make, nest);
	mark = kb_netlink_message(nl, NLMSG_ALIGN(make->nlmsg_len), RTM_SETLINK, NLM_F_ACK);
	info = mnl_nlmsg_put_extra_header(mark, sizeof(*info));
	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(mark, IFLA_IFNAME, want->name);
	mnl_attr_put(mark, IFLA_IFALIAS, strlen(want->mark), want->mark);
	if (mnl_socket_sendto(nl->socket, nl->out,
			      (size_t)((char *)mark - nl->out) + mark->nlmsg_len) < 0)
		return -errno;
	r = kb_netlink_receive(nl, make->nlmsg_seq, NULL, NULL);
	r2 = kb_netlink_receive(nl, mark->nlmsg_seq, NULL, NULL);
	return r < 0 ? r : r2;
}

static int link_delete(struct kb_netlink *nl, const char *name)
{
	struct nlmsghdr *nlh = kb_netlink_message(nl, 0, RTM_DELLINK, NLM_F_ACK);

	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return kb_netlink_talk(nl, nlh, NULL, NULL);
}

static int link_up(struct kb_netlink *nl, const char *name)
{
	struct nlmsghdr *nlh = kb_netlink_message(nl, 0, RTM_SETLINK, NLM_F_ACK);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->ifi_flags = info->ifi_change = IFF_UP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return kb_netlink_talk(nl, nlh, NULL, NULL);
}

/* ---- addresses ---- */

struct found_addr {
	int index;
	unsigned int bits;
	struct kb_addr addr;
};

struct found_addrs {
	struct found_addr v[ADDRS_MAX];
	size_t n;
};

static int on_addr_attr(const struct nlattr *attr, void *arg)
{
	struct found_addr *f = arg;
	uint16_t type = mnl_attr_get_type(attr), size = mnl_attr_get_payload_len(attr);

	/* Of a point-to-point link IFA_ADDRESS is the other end's. */
	if ((type == IFA_LOCAL || (type == IFA_ADDRESS && f->addr.family == 6)) &&
	    size == (f->addr.family == 4 ? 4 : 16))
		memcpy(f->addr.b, mnl_attr_get_payload(attr), size);
	return MNL_CB_OK;
}

static int on_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(nlh);
	struct found_addrs *all = arg;
	struct found_addr *f = &all->v[all->n];

	if (all->n == ADDRS_MAX || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	memset(f, 0, sizeof(*f));
	f->index = (int)info->ifa_index;
	f->bits = info->ifa_prefixlen;
	f->addr.family = info->ifa_family == AF_INET ? 4 : 6;
	mnl_attr_parse(nlh, sizeof(*info), on_addr_attr, f);
	all->n++;
	return MNL_CB_OK;
}

static int addrs_find(struct kb_netlink *nl, struct found_addrs *ret)
{
	struct nlmsghdr *nlh = kb_netlink_message(nl, 0, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	ret->n = 0;
	info->ifa_family = AF_UNSPEC;
	return kb_netlink_talk(nl, nlh, on_addr, ret);
}

static int addr_change(struct kb_netlink *nl, bool add, int index, const struct kb_addr *addr,
		       unsigned int bits)
{
	struct nlmsghdr *nlh = kb_netlink_message(nl, 0, add ? RTM_NEWADDR : RTM_DELADDR,
						  (uint16_t)(NLM_F_ACK | (add ? NLM_F_CREATE : 0)));
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	const struct ifa_cacheinfo deprecated = {.ifa_prefered = 0, .ifa_valid = UINT32_MAX};
	bool v4 = addr->family == 4;

	info->ifa_family = v4 ? AF_INET : AF_INET6;
	info->ifa_prefixlen = (uint8_t)bits;
	info->ifa_index = (uint32_t)index;
	info->ifa_scope = v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	mnl_attr_put(nlh, IFA_LOCAL, v4 ? 4 : 16, addr->b);
	mnl_attr_put(nlh, IFA_ADDRESS, v4 ? 4 : 16, addr->b);
	if (add && !v4) {
		mnl_attr_put_u32(nlh, IFA_FLAGS, IFA_F_NODAD);
		mnl_attr_put(nlh, IFA_CACHEINFO, sizeof(deprecated), &deprecated);
	}
	return kb_netlink_talk(nl, nlh, NULL, NULL);
}

static bool same_addr(const struct kb_addr *a, const struct kb_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, a->family == 4 ? 4 : 16) == 0;
}

static bool is_wanted(const struct kb_localif *want, const struct kb_addr *addr)
{
	for (size_t i = 0; i < want->n_addrs; i++) {
		if (same_addr(&want->addrs[i], addr))
			return true;
	}
	return false;
}

/* One that the kernel gives each interface by itself. */
static bool is_automatic(const struct kb_addr *a)
{
	return a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static const char *addr_text(const struct kb_addr *a, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, text, INET6_ADDRSTRLEN);
}

/* An address that another interface has: what is sent to it would be served by two. */
static int check_free(const struct found_addrs *all, const struct kb_localif *want, int index,
		      char *err, size_t err_size)
{
	char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE] = "?";

	for (size_t i = 0; i < all->n; i++) {
		const struct found_addr *f = &all->v[i];

		if (f->index == index || !is_wanted(want, &f->addr))
			continue;
		if_indextoname((unsigned int)f->index, name);
		return kb_datapath_error(err, err_size, -EADDRINUSE,
					 "%s is an address of %s already: remove it there (is "
					 "another node-local DNS running?), or give another "
					 "--local-address or --local-range",
					 addr_text(&f->addr, text), name);
	}
	return 0;
}

static int addrs_set(struct kb_netlink *nl, const struct found_addrs *all,
		     const struct kb_localif *want, int index, char *err, size_t err_size)
{
	char text[INET6_ADDRSTRLEN];
	int r;

	for (size_t i = 0; i < all->n; i++) {
		const struct found_addr *f = &all->v[i];

		if (f->index == index && !is_wanted(want, &f->addr) && !is_automatic(&f->addr))
			addr_change(nl, false, index, &f->addr, f->bits);
	}
	for (size_t i = 0; i < want->n_addrs; i++) {
		const struct kb_addr *a = &want->addrs[i];

		r = addr_change(nl, true, index, a, a->family == 4 ? 32 : 128);
		if (r < 0 && r != -EEXIST)
			return kb_datapath_error(err, err_size, r, "%s: cannot add %s: %s%s",
						 want->name, addr_text(a, text), strerror(-r),
						 a->family == 6 ? " (is IPv6 disabled?)" : "");
	}
	return 0;
}

/* ---- the interface ---- */

static int link_open(struct kb_netlink *nl, const struct kb_localif *want, struct found_link *link,
		     bool *ret_made, char *err, size_t err_size)
{
	int r = link_find(nl, want->name, link);

	if (r == 0 && link->index && strcmp(link->alias, want->mark) != 0)
		return kb_datapath_error(err, err_size, -EEXIST,
					 "%s: there is an interface of this name that is not ours: "
					 "choose another --local-interface, or remove it with ip "
					 "link del %s",
					 want->name, want->name);
	if (r == 0 && link->index) {
		r = link_up(nl, want->name);
	} else if (r == 0) {
		*ret_made = true;
		r = link_make(nl, want, "dummy");
		if (r == -EOPNOTSUPP)
			r = link_make(nl, want, "bridge");
		if (r == 0)
			r = link_find(nl, want->name, link);
	}
	if (r < 0)
		return kb_datapath_error(err, err_size, r, "%s: cannot make the interface: %s%s",
					 want->name, strerror(-r),
					 r == -EPERM ? " (root, or CAP_NET_ADMIN)"
					 : r == -EOPNOTSUPP
						 ? " (the kernel has neither dummy nor bridge)"
						 : "");
	return 0;
}

int kb_localif_open(const struct kb_localif *want, const char **ret_kind, bool *ret_made, char *err,
		    size_t err_size)
{
	struct found_addrs all;
	struct found_link link = {0};
	struct kb_netlink nl;
	bool made = false;
	int r = kb_netlink_open(&nl, NETLINK_ROUTE);

	if (r < 0)
		return kb_datapath_error(err, err_size, r, "netlink: %s", strerror(-r));
	r = addrs_find(&nl, &all);
	if (r < 0)
		kb_datapath_error(err, err_size, r, "netlink: %s", strerror(-r));
	if (r == 0)
		r = check_free(&all, want, (int)if_nametoindex(want->name), err, err_size);
	if (r == 0)
		r = link_open(&nl, want, &link, &made, err, err_size);
	if (r == 0)
		r = addrs_set(&nl, &all, want, link.index, err, err_size);
	if (r < 0 && made && link.index)
		link_delete(&nl, want->name);
	kb_netlink_close(&nl);
	if (r < 0)
		return r;
	*ret_kind = strcmp(link.kind, "bridge") == 0 ? "bridge" : "dummy";
	*ret_made = made;
	return 0;
}

void kb_localif_remove(const char *name, const char *mark)
{
	struct found_link link;
	struct kb_netlink nl;
	int r = kb_netlink_open(&nl, NETLINK_ROUTE);

	if (r < 0)
		return;
	r = link_find(&nl, name, &link);
	if (r == 0 && link.index && strcmp(link.alias, mark) == 0)
		r = link_delete(&nl, name);
	if (r < 0)
		kb_log_warn("%s: cannot remove the interface: %s; ip link del %s does it", name,
			    strerror(-r), name);
	kb_netlink_close(&nl);
}

bool kb_localif_is_marked(const char *name, const char *mark)
{
	struct found_link link = {0};
	struct kb_netlink nl;

	if (kb_netlink_open(&nl, NETLINK_ROUTE) < 0)
		return false;
	if (link_find(&nl, name, &link) < 0)
		link.index = 0;
	kb_netlink_close(&nl);
	return link.index && strcmp(link.alias, mark) == 0;
}

bool kb_localif_has_ipv6(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}
