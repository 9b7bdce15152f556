// SPDX-License-Identifier: Apache-2.0
/* kbdns_tc on an interface: by tcx, or by clsact on kernels before 6.6. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/datapath/netdev.h"
#include "control/datapath/private.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, younger than the headers of Debian 12 */
#define TCX_EGRESS  47
#define TCX_BEFORE  (1U << 3)
#define TCX_AFTER   (1U << 4)
#define TCX_LINK    (1U << 13) /* what it is relative to is a link's descriptor */

/* libbpf's wrapper of this version has no such flags. */
int kb_tcx_create(int prog_fd, unsigned int ifindex, enum kb_hook_dir dir, int behind_fd)
{
	struct {
		uint32_t prog_fd, target_ifindex, attach_type, flags;
		uint32_t relative, pad;
		uint64_t expected_revision;
		uint64_t room[8];
	} attr = {
		.prog_fd = (uint32_t)prog_fd,
		.target_ifindex = ifindex,
		.attach_type = dir == KB_HOOK_IN ? TCX_INGRESS : TCX_EGRESS,
		.flags = behind_fd < 0 ? TCX_BEFORE : TCX_AFTER | TCX_LINK,
		.relative = behind_fd < 0 ? 0 : (uint32_t)behind_fd,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

static int tc_attach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	int prog_fd = dp->prog_fd[KB_PROG_TC], fd = -EOPNOTSUPP, r;
	char name[KB_LINK_NAME];

	kb_link_name(name, KB_ENGINE_TC, p->ifindex);
	if (!dp->clsact) {
		fd = kb_link_take(dp->dir, name, p->ifindex, prog_fd);
		if (fd < 0) {
			fd = kb_tcx_create(prog_fd, p->ifindex, KB_HOOK_IN, -1);
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
			 r == -EBUSY ? " (another filter has priority 1, handle 0x6b62)" : "");
		return kb_port_error(p, r, err, err_size, text);
	}
	p->attached = true;
	p->error[0] = 0;
	return 0;
}
