// SPDX-License-Identifier: Apache-2.0
/* kbdns_xdp on an interface. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/datapath/nic.h"
#include "control/datapath/ports.h"
#include "control/datapath/private.h"
#include "control/log.h"
#include "dataplane/core/ports.h"

/* Frames to other addresses are left alone, so the program needs to know ours. */
static int port_conf(const struct kb_datapath *dp, const struct kb_datapath_port *p, bool steer)
{
	struct ifreq ifr = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (s < 0)
		return -errno;
	memcpy(ifr.ifr_name, p->name, sizeof(p->name));
	r = ioctl(s, SIOCGIFHWADDR, &ifr) < 0 ? -errno : 0;
	close(s);
	if (r < 0)
		return r;
	return kb_ports_put(dp->map_fd[KB_MAP_PORTS], p->ifindex,
			    (const uint8_t *)ifr.ifr_hwaddr.sa_data, steer);
}

static int xdp_create(int prog_fd, unsigned int ifindex, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);
	int fd = bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

/* Why XDP cannot be attached, in words. */
static void xdp_reason(const struct kb_datapath_port *p, int r, char *text, size_t size)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd;

	if (r == -EBUSY || r == -EEXIST) {
		if (bpf_xdp_query((int)p->ifindex, 0, &query) == 0) {
			uint32_t id = query.prog_id	  ? query.prog_id
				      : query.drv_prog_id ? query.drv_prog_id
							  : query.skb_prog_id;

			fd = id ? bpf_prog_get_fd_by_id(id) : -1;
			if (fd >= 0) {
				bpf_obj_get_info_by_fd(fd, &info, &len);
				close(fd);
			}
			snprintf(text, size,
				 "another XDP program is attached: %s (id %u); use --tc, or "
				 "detach it",
				 info.name[0] ? info.name : "unnamed", id);
			return;
		}
	}
	if (r == -EOPNOTSUPP) {
		snprintf(text, size, "its driver has no native XDP; use --tc");
		return;
	}
	snprintf(text, size, "cannot attach native XDP: %s%s", strerror(-r),
		 r == -ERANGE || r == -EINVAL ? " (MTU too large for its driver, LRO on, or too "
						"many channels? see ethtool -k, -l)"
					      : "");
}

/* 0, or -errno as kb_port_error. */
static int check_nic(struct kb_datapath *dp, struct kb_datapath_port *p, char *err, size_t err_size)
{
	char text[sizeof(p->error)], why[sizeof(p->error)];
	enum kb_nic_verdict verdict;
	struct kb_nic nic;
	int r = kb_nic_read(p->name, p->ifindex, &nic);

	if (r < 0) {
		snprintf(text, sizeof(text), "cannot read what it is: %s", strerror(-r));
		return kb_port_error(p, r, err, err_size, text);
	}
	verdict = kb_nic_judge(&nic, p->name, why, sizeof(why));
	if (verdict == KB_NIC_GOOD)
		return 0;
	if (verdict == KB_NIC_BAD && !dp->xdp_force)
		return kb_port_error(p, -EOPNOTSUPP, err, err_size, why);
	kb_log_limited(KB_LOG_WARN, 5, "%s: %s%s", p->name, why,
		       verdict == KB_NIC_BAD ? "; attached nevertheless, since --xdp-force" : "");
	return 0;
}

int kb_port_attach_xdp(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
		       size_t err_size)
{
	char name[KB_LINK_NAME], text[sizeof(p->error)];
	int r = kb_port_begin(dp, p, KB_PROG_XDP, err, err_size), fd;

	if (r == 0)
		r = check_nic(dp, p, err, err_size);
	if (r < 0)
		return r;
	r = port_conf(dp, p, false);
	if (r < 0) {
		if (r == -ENOSPC)
			snprintf(text, sizeof(text),
				 "%d other ports have index %u modulo %d: serve fewer, or use --tc",
				 KB_PORT_PROBES, p->ifindex % KB_PORTS, KB_PORTS);
		else
			snprintf(text, sizeof(text), "cannot read its address: %s", strerror(-r));
		return kb_port_error(p, r, err, err_size, text);
	}
	kb_link_name(name, KB_ENGINE_XDP, p->ifindex);
	p->mode = "native";
	fd = kb_link_take(dp->dir, name, p->ifindex, dp->prog_fd[KB_PROG_XDP]);
	if (fd < 0) {
		fd = xdp_create(dp->prog_fd[KB_PROG_XDP], p->ifindex, XDP_FLAGS_DRV_MODE);
		if (fd == -EOPNOTSUPP && dp->generic_xdp) {
			fd = xdp_create(dp->prog_fd[KB_PROG_XDP], p->ifindex, XDP_FLAGS_SKB_MODE);
			p->mode = "generic";
		}
		if (fd >= 0)
			fd = kb_link_pin(dp->dir, name, fd);
	} else {
		LIBBPF_OPTS(bpf_xdp_query_opts, query);

		if (bpf_xdp_query((int)p->ifindex, 0, &query) == 0 &&
		    query.attach_mode == XDP_ATTACHED_SKB)
			p->mode = "generic";
	}
	if (fd < 0) {
		kb_port_forget(dp, p->ifindex);
		xdp_reason(p, fd, text, sizeof(text));
		return kb_port_error(p, fd, err, err_size, text);
	}
	if (strcmp(p->mode, "native") == 0)
		port_conf(dp, p, true);
	p->link_fd = fd;
	kb_port_done(p);
	return 0;
}
