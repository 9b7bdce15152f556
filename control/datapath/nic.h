/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May kbdns_xdp go onto this network card? What the kernel does not refuse but does not do well
 * either is refused here, with the reason.
 *
 * Tried: veth, whose far end carries a program. All else is what the drivers are said to do, and
 * has been tried with none of them, nor compared with a kernel's sources. So a driver that is
 * missing below costs no more than a warning: the kernel's answer to the attachment decides.
 */
#ifndef KB_DATAPATH_NIC_H
#define KB_DATAPATH_NIC_H

#include <stdbool.h>
#include <stddef.h>

struct kb_nic {
	char driver[32]; /* as ethtool -i names it, "" if it says nothing */
	bool rxvlan;	 /* takes the tags of received frames off */
	char vlan[16];	 /* an interface for tagged frames on top of it, "" if there is none */
};

enum kb_nic_verdict {
	KB_NIC_GOOD,
	KB_NIC_UNKNOWN, /* try it, natively; text has a warning */
	KB_NIC_BAD,	/* text says why, and the cure */
};

/* Reads what the kernel says of it. 0 or -errno. */
int kb_nic_read(const char *ifname, unsigned int ifindex, struct kb_nic *ret);
enum kb_nic_verdict kb_nic_judge(const struct kb_nic *nic, const char *ifname, char *text,
				 size_t size);

#endif
