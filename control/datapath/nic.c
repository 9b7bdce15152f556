// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/datapath/netdev.h"

/* Those that are known for native XDP and XDP_TX; no warning for them. */
static const char *const good[] = {
	"atlantic",   "bnxt_en", "cpsw-switch", "ena",	       "fsl_dpaa2_eth",
	"fsl_enetc",  "funeth",	 "gve",		"i40e",	       "ice",
	"igb",	      "igc",	 "ixgbe",	"ixgbevf",     "lan966x-switch",
	"mana",	      "mlx4_en", "mlx5_core",	"mtk_soc_eth", "mvneta",
	"mvpp2",      "nfp",	 "nicvf",	"qede",	       "rvu_nicpf",
	"rvu_nicvf",  "sfc",	 "st_gmac",	"tsnep",       "veth",
	"virtio_net", "vmxnet3",
};

/* Those that take the program and then give it frames of another interface, whose number and
 * address it does not know: it would leave everything. */
static const struct {
	const char *driver, *why;
} bad[] = {
	{"bonding", "the program would run on the cards of the bond: give each of them to --xdp"},
	{"hv_netvsc", "with accelerated networking its frames come in by a virtual function: give "
		      "that interface to --xdp"},
};

static int ethtool(int s, const char *ifname, void *data)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	ifr.ifr_data = data;
	return ioctl(s, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

struct search {
	unsigned int ifindex;
	struct kb_nic *nic;
};

static void see_vlan(void *arg, const struct kb_netdev *dev)
{
	struct search *s = arg;

	if (strcmp(dev->kind, "vlan") == 0 && dev->lower == s->ifindex && !dev->peer_elsewhere)
		memcpy(s->nic->vlan, dev->name, sizeof(s->nic->vlan));
}

int kb_nic_read(const char *ifname, unsigned int ifindex, struct kb_nic *ret)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct search search = {ifindex, ret};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (s < 0)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	if (ethtool(s, ifname, &driver) == 0)
		snprintf(ret->driver, sizeof(ret->driver), "%.31s", driver.driver);
	if (ethtool(s, ifname, &flags) == 0)
		ret->rxvlan = flags.data & ETH_FLAG_RXVLAN;
	r = kb_netdev_each(see_vlan, &search);
	close(s);
	return r;
}

enum kb_nic_verdict kb_nic_judge(const struct kb_nic *nic, const char *ifname, char *text,
				 size_t size)
{
	*text = 0;
	if (nic->rxvlan && *nic->vlan) {
		snprintf(text, size,
			 "the card takes off the tags of %s before XDP sees them: ethtool -K %s "
			 "rxvlan off",
			 nic->vlan, ifname);
		return KB_NIC_BAD;
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (strcmp(nic->driver, bad[i].driver) == 0) {
			snprintf(text, size, "driver %s: %s", nic->driver, bad[i].why);
			return KB_NIC_BAD;
		}
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (strcmp(nic->driver, good[i]) == 0)
			return KB_NIC_GOOD;
	}
	snprintf(text, size,
		 "driver %s is not known to answer by XDP: if answered_* of kbdnsctl stats "
		 "stay 0, use --tc",
		 *nic->driver ? nic->driver : "(none)");
	return KB_NIC_UNKNOWN;
}
