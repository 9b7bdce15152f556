// SPDX-License-Identifier: Apache-2.0
/* Messages about interfaces, as the kernel sends them and cut short or not well-formed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "control/datapath/netdev.h"

struct message {
	_Alignas(struct nlmsghdr) char buf[512];
	struct nlmsghdr *nlh;
};

static void begin(struct message *m, uint16_t type, unsigned char family, int ifindex)
{
	struct ifinfomsg *ifi;

	m->nlh = mnl_nlmsg_put_header(m->buf);
	m->nlh->nlmsg_type = type;
	ifi = mnl_nlmsg_put_extra_header(m->nlh, sizeof(*ifi));
	ifi->ifi_family = family;
	ifi->ifi_index = ifindex;
}

/* The node's end of a pod's pair. */
static void pod(struct message *m)
{
	struct nlattr *info;

	begin(m, RTM_NEWLINK, AF_UNSPEC, 7);
	mnl_attr_put_strz(m->nlh, IFLA_IFNAME, "cali1");
	mnl_attr_put_u32(m->nlh, IFLA_MTU, 1450);
	mnl_attr_put_u32(m->nlh, IFLA_LINK, 2);
	mnl_attr_put_u32(m->nlh, IFLA_LINK_NETNSID, 0);
	info = mnl_attr_nest_start(m->nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(m->nlh, IFLA_INFO_KIND, "veth");
	mnl_attr_nest_end(m->nlh, info);
}

static bool parse(const struct message *m, struct kb_netdev *ret)
{
	return kb_netdev_parse(m->buf, m->nlh->nlmsg_len, ret);
}

static void test_pod(void **state)
{
	struct kb_netdev dev;
	struct message m;

	(void)state;
	pod(&m);
	assert_true(parse(&m, &dev));
	assert_int_equal(dev.ifindex, 7);
	assert_string_equal(dev.name, "cali1");
	assert_string_equal(dev.kind, "veth");
	assert_int_equal(dev.mtu, 1450);
	assert_int_equal(dev.lower, 2);
	assert_true(kb_netdev_is_pod(&dev) && !dev.gone);
}

static void test_others(void **state)
{
	struct kb_netdev dev;
	struct message m;

	(void)state;
	begin(&m, RTM_DELLINK, AF_UNSPEC, 7);
	assert_true(parse(&m, &dev) && dev.gone && dev.ifindex == 7);
	begin(&m, RTM_NEWLINK, AF_UNSPEC, 7);
	assert_false(parse(&m, &dev)); /* no name */
	begin(&m, RTM_DELLINK, AF_BRIDGE, 7);
	assert_false(parse(&m, &dev));
	begin(&m, RTM_DELLINK, AF_UNSPEC, 0);
	assert_false(parse(&m, &dev));
	begin(&m, RTM_NEWADDR, AF_UNSPEC, 7);
	assert_false(parse(&m, &dev));
}

/* In memory of just that size, for the address sanitizer. */
static void test_cut(void **state)
{
	struct kb_netdev dev;
	struct message m;

	(void)state;
	pod(&m);
	for (size_t len = 0; len < m.nlh->nlmsg_len; len++) {
		struct nlmsghdr *cut = malloc(len ? len : 1);

		memcpy(cut, m.buf, len);
		assert_false(kb_netdev_parse(cut, len, &dev));
		/* The header owns up to it, so what is left of the attributes counts. */
		if (len >= sizeof(*cut)) {
			cut->nlmsg_len = (uint32_t)len;
			kb_netdev_parse(cut, len, &dev);
			assert_true(!*dev.kind || strcmp(dev.kind, "veth") == 0);
		}
		free(cut);
	}
}

static void test_attributes(void **state)
{
	static const char text[] = {'e', 't', 'h', '0'}; /* without its end */
	struct kb_netdev dev;
	struct message m;

	(void)state;
	begin(&m, RTM_NEWLINK, AF_UNSPEC, 7);
	mnl_attr_put(m.nlh, IFLA_IFNAME, sizeof(text), text);
	assert_false(parse(&m, &dev));

	begin(&m, RTM_NEWLINK, AF_UNSPEC, 7);
	mnl_attr_put(m.nlh, IFLA_IFNAME, 0, NULL);
	assert_false(parse(&m, &dev));

	begin(&m, RTM_NEWLINK, AF_UNSPEC, 7);
	mnl_attr_put_strz(m.nlh, IFLA_IFNAME, "a-name-of-more-than-15-bytes");
	mnl_attr_put_u16(m.nlh, IFLA_MTU, 1500);
	mnl_attr_put_u8(m.nlh, IFLA_LINK, 3);
	mnl_attr_put(m.nlh, IFLA_LINKINFO, sizeof(text), text);
	assert_true(parse(&m, &dev));
	assert_int_equal(strlen(dev.name), sizeof(dev.name) - 1);
	assert_int_equal(dev.mtu, 0);
	assert_int_equal(dev.lower, 0);
	assert_string_equal(dev.kind, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pod),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
