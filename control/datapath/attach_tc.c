// SPDX-License-Identifier: Apache-2.0
/* kbdns_tc on an interface: by tcx, or by clsact on kernels before 6.6. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/datapath/netdev.h"
#include "control/datapath/order.h"
#include "control/datapath/private.h"

static int tc_attach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	int prog_fd = dp->prog_fd[KB_PROG_TC], fd = -EOPNOTSUPP, r;
	char name[KB_LINK_NAME];

	kb_link_name(name, KB_ENGINE_TC, p->ifindex);
	if (!dp->clsact) {
		fd = kb_link_take(dp->dir, name, p->ifindex, prog_fd);
		if (fd >= 0 && !kb_order_holds(dp, p->ifindex, true)) {
			/* What stands behind it goes, too, and follows it. */
			kb_local_detach(dp, p);
			bpf_link_detach(fd);
			close(fd);
			fd = -ENOENT;
		}
		if (fd < 0) {
			p->placed++;
			fd = kb_order_attach(dp, p->ifindex);
			if (fd >= 0)
				fd = kb_link_pin(dp->dir, name, fd);
		}
	}
	if (fd >= 0) {
		kb_clsact_detach(dp->dir, p->ifindex);
		p->link_fd = fd;
		p->mode = "tcx";
		return 0;
	}
	if (fd != -EINVAL && fd != -EOPNOTSUPP && fd != -E2BIG)
		return fd;
	if (kb_order_needs_tcx(dp))
		return -EOPNOTSUPP;
	r = kb_clsact_attach(dp->dir, p->ifindex, KB_CLSACT_TC, prog_fd);
	if (r < 0)
		return r;
	kb_pin_remove(dp->dir, name);
	p->mode = "clsact";
	return 0;
}

/* A reply goes to the other end's namespace: without one it would be dropped. 0 or -errno. */
static int check_kind(struct kb_datapath_port *p, char *err, size_t err_size)
{
	char text[sizeof(p->error)];
	struct kb_netdev dev;
	int r = kb_netdev_get(p->name, &dev);

	if (r < 0) {
		snprintf(text, sizeof(text), "cannot read what it is: %s", strerror(-r));
		return kb_port_error(p, r, err, err_size, text);
	}
	if (!kb_netdev_is_pair(&dev)) {
		snprintf(text, sizeof(text),
			 "it is %s%s, no node's end of a veth or netkit; for a network card use "
			 "--xdp",
			 *dev.kind ? "a " : "", *dev.kind ? dev.kind : "not virtual");
		return kb_port_error(p, -EOPNOTSUPP, err, err_size, text);
	}
	if (!dev.peer_elsewhere)
		return kb_port_error(p, -EOPNOTSUPP, err, err_size,
				     "its other end is in this network namespace, in no pod");
	return 0;
}

static const char *why(const struct kb_datapath *dp, int r)
{
	if (r == -EOPNOTSUPP && kb_order_needs_tcx(dp))
		return " (--tc-order last and after need tcx, of Linux 6.6; use first)";
	return r == -EBUSY		     ? " (another filter has priority 1, handle 0x6b62)"
	       : r == -ERANGE		     ? " (no room for another program)"
	       : r == -EPERM || r == -EACCES ? " (CAP_NET_ADMIN and CAP_BPF are needed)"
					     : "";
}

int kb_port_attach_tc(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
		      size_t err_size)
{
	char text[sizeof(p->error)];
	int r = kb_port_begin(dp, p, KB_PROG_TC, err, err_size);

	if (r == 0 && !p->found)
		r = check_kind(p, err, err_size);
	if (r < 0)
		return r;
	r = tc_attach(dp, p);
	if (r == 0)
		r = kb_local_attach(dp, p);
	if (r < 0) {
		snprintf(text, sizeof(text), "cannot attach at tc ingress: %s%s", strerror(-r),
			 why(dp, r));
		return kb_port_error(p, r, err, err_size, text);
	}
	kb_port_done(p);
	return 0;
}
