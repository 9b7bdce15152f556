// SPDX-License-Identifier: Apache-2.0
/* Programs on interfaces: tcx and XDP by pinned links, clsact by filters. */
#include "control/datapath/ports.h"
#include "control/datapath/private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/log.h"
#include "control/table/env.h"
#include "dataplane/core/ports.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, younger than the headers of Debian 12 */
#define TCX_BEFORE  (1U << 3)
#define LINK_TCX    11 /* BPF_LINK_TYPE_TCX */

#define LINK_NAME 32

static void link_name(char name[LINK_NAME], enum kb_engine engine, unsigned int ifindex)
{
	snprintf(name, LINK_NAME, "link_%s_%u", engine == KB_ENGINE_TC ? "tc" : "xdp", ifindex);
}

/* Interface of a link, 0 if that is gone. Where it stands differs by type; the tcx part is
 * unknown to old headers and begins like the XDP one. */
static unsigned int link_ifindex(int fd)
{
	struct {
		struct bpf_link_info info;
		uint64_t room[16];
	} u = {0};
	uint32_t len = sizeof(u.info);

	if (bpf_obj_get_info_by_fd(fd, &u.info, &len) < 0)
		return 0;
	return u.info.xdp.ifindex;
}

static int set_error(struct kb_datapath_port *port, int r, char *err, size_t err_size,
		     const char *text)
{
	snprintf(port->error, sizeof(port->error), "%s", text);
	port->attached = false;
	port->mode = "";
	return kb_datapath_error(err, err_size, r, "%s: %s", port->name, text);
}

static int port_find(struct kb_datapath *dp, enum kb_engine engine, const char *ifname, char *err,
		     size_t err_size, struct kb_datapath_port **ret_port)
{
	struct kb_datapath_port *p;

	for (size_t i = 0; i < dp->n_ports; i++) {
		p = &dp->ports[i];
		if (p->engine == engine && strcmp(p->name, ifname) == 0) {
			*ret_port = p;
			return 0;
		}
	}
	if (strlen(ifname) >= sizeof(p->name))
		return kb_datapath_error(err, err_size, -EINVAL, "%s: no interface name", ifname);
	p = realloc(dp->ports, (dp->n_ports + 1) * sizeof(*p));
	if (!p)
		return kb_datapath_error(err, err_size, -ENOMEM, "%s: no memory", ifname);
	dp->ports = p;
	p = &dp->ports[dp->n_ports++];
	memset(p, 0, sizeof(*p));
	memcpy(p->name, ifname, strlen(ifname));
	p->engine = engine;
	p->mode = "";
	p->link_fd = -1;
	*ret_port = p;
	return 0;
}

static void port_forget_link(struct kb_datapath_port *p)
{
	if (p->link_fd >= 0)
		close(p->link_fd);
	p->link_fd = -1;
	p->attached = false;
	p->mode = "";
}

/* The link an earlier run has pinned for this interface, running `prog_fd` from now on; or
 * -ENOENT. */
static int link_take(const char *dir, const char *name, unsigned int ifindex, int prog_fd)
{
	int fd = kb_pin_open(dir, name), r;

	if (fd < 0)
		return -ENOENT;
	r = link_ifindex(fd) == ifindex ? bpf_link_update(fd, prog_fd, NULL) : -1;
	if (r == 0)
		return fd;
	close(fd);
	kb_pin_remove(dir, name);
	return -ENOENT;
}

static int link_pin(const char *dir, const char *name, int fd)
{
	int r = kb_pin_put(dir, name, fd);

	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* In front of all programs that are there. libbpf's wrapper of this version has no such
 * flag. */
static int tcx_create(int prog_fd, unsigned int ifindex)
{
	struct {
		uint32_t prog_fd, target_ifindex, attach_type, flags;
		uint32_t relative, pad;
		uint64_t expected_revision;
		uint64_t room[8];
	} attr = {
		.prog_fd = (uint32_t)prog_fd,
		.target_ifindex = ifindex,
		.attach_type = TCX_INGRESS,
		.flags = TCX_BEFORE,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

static int tc_attach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	int prog_fd = dp->prog_fd[KB_PROG_TC], fd = -EOPNOTSUPP, r;
	char name[LINK_NAME];

	link_name(name, KB_ENGINE_TC, p->ifindex);
	if (!dp->clsact) {
		fd = link_take(dp->dir, name, p->ifindex, prog_fd);
		if (fd < 0) {
			fd = tcx_create(prog_fd, p->ifindex);
			if (fd >= 0)
				fd = link_pin(dp->dir, name, fd);
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
	r = kb_clsact_attach(dp->dir, p->ifindex, prog_fd);
	if (r < 0)
		return r;
	kb_pin_remove(dp->dir, name);
	p->mode = "clsact";
	return 0;
}

static int port_begin(struct kb_datapath *dp, struct kb_datapath_port *p, enum kb_prog_id prog,
		      char *err, size_t err_size)
{
	if (dp->prog_fd[prog] < 0)
		return set_error(p, -EINVAL, err, err_size, "this program is not loaded");
	port_forget_link(p);
	p->ifindex = if_nametoindex(p->name);
	if (!p->ifindex)
		return set_error(p, -ENODEV, err, err_size, "no such interface");
	return 0;
}

static int port_attach_tc(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
			  size_t err_size)
{
	char text[sizeof(p->error)];
	int r = port_begin(dp, p, KB_PROG_TC, err, err_size);

	if (r < 0)
		return r;
	r = tc_attach(dp, p);
	if (r < 0) {
		snprintf(text, sizeof(text), "cannot attach at tc ingress: %s%s", strerror(-r),
			 r == -EBUSY ? " (another filter has priority 1, handle 0x6b62)" : "");
		return set_error(p, r, err, err_size, text);
	}
	p->attached = true;
	p->error[0] = 0;
	return 0;
}

/* Frames to other addresses are left alone, so the program needs to know ours. */
static int port_conf(struct kb_datapath *dp, const struct kb_datapath_port *p)
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
			    (const uint8_t *)ifr.ifr_hwaddr.sa_data);
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
		 r == -ERANGE || r == -EINVAL ? " (MTU too large for XDP, or LRO is on?)" : "");
}

static int port_attach_xdp(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
			   size_t err_size)
{
	char name[LINK_NAME], text[sizeof(p->error)];
	int r = port_begin(dp, p, KB_PROG_XDP, err, err_size), fd;

	if (r < 0)
		return r;
	r = port_conf(dp, p);
	if (r < 0) {
		if (r == -ENOSPC)
			snprintf(text, sizeof(text),
				 "%d other ports have index %u modulo %d: serve fewer, or use --tc",
				 KB_PORT_PROBES, p->ifindex % KB_PORTS, KB_PORTS);
		else
			snprintf(text, sizeof(text), "cannot read its address: %s", strerror(-r));
		return set_error(p, r, err, err_size, text);
	}
	link_name(name, KB_ENGINE_XDP, p->ifindex);
	p->mode = "native";
	fd = link_take(dp->dir, name, p->ifindex, dp->prog_fd[KB_PROG_XDP]);
	if (fd < 0) {
		fd = xdp_create(dp->prog_fd[KB_PROG_XDP], p->ifindex, XDP_FLAGS_DRV_MODE);
		if (fd == -EOPNOTSUPP && dp->generic_xdp) {
			fd = xdp_create(dp->prog_fd[KB_PROG_XDP], p->ifindex, XDP_FLAGS_SKB_MODE);
			p->mode = "generic";
		}
		if (fd >= 0)
			fd = link_pin(dp->dir, name, fd);
	} else {
		LIBBPF_OPTS(bpf_xdp_query_opts, query);

		if (bpf_xdp_query((int)p->ifindex, 0, &query) == 0 &&
		    query.attach_mode == XDP_ATTACHED_SKB)
			p->mode = "generic";
	}
	if (fd < 0) {
		kb_ports_remove(dp->map_fd[KB_MAP_PORTS], p->ifindex);
		xdp_reason(p, fd, text, sizeof(text));
		return set_error(p, fd, err, err_size, text);
	}
	p->link_fd = fd;
	p->attached = true;
	p->error[0] = 0;
	return 0;
}

int kb_datapath_attach_tc(struct kb_datapath *dp, const char *ifname, char *err, size_t err_size)
{
	struct kb_datapath_port *p;
	int r = port_find(dp, KB_ENGINE_TC, ifname, err, err_size, &p);

	return r < 0 ? r : port_attach_tc(dp, p, err, err_size);
}

int kb_datapath_attach_xdp(struct kb_datapath *dp, const char *ifname, char *err, size_t err_size)
{
	struct kb_datapath_port *p;
	int r = port_find(dp, KB_ENGINE_XDP, ifname, err, err_size, &p);

	return r < 0 ? r : port_attach_xdp(dp, p, err, err_size);
}

static void port_detach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	char name[LINK_NAME];

	if (!p->ifindex)
		return;
	link_name(name, p->engine, p->ifindex);
	kb_pin_remove(dp->dir, name);
	if (p->link_fd >= 0)
		bpf_link_detach(p->link_fd);
	else if (p->engine == KB_ENGINE_TC)
		kb_clsact_detach(dp->dir, p->ifindex);
	if (p->engine == KB_ENGINE_XDP)
		kb_ports_remove(dp->map_fd[KB_MAP_PORTS], p->ifindex);
	port_forget_link(p);
}

void kb_datapath_detach_all(struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++)
		port_detach(dp, &dp->ports[i]);
}

void kb_ports_close(struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++)
		port_forget_link(&dp->ports[i]);
	free(dp->ports);
	dp->ports = NULL;
	dp->n_ports = 0;
}

static bool port_stands(const struct kb_datapath_port *p)
{
	if (p->link_fd >= 0)
		return link_ifindex(p->link_fd) == p->ifindex;
	return p->attached && kb_clsact_is_attached(p->ifindex);
}

void kb_datapath_refresh(struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		struct kb_datapath_port *p = &dp->ports[i];
		bool was = p->attached;
		char err[256];
		int r;

		if (was && port_stands(p))
			continue;
		if (was) {
			kb_log_warn("%s: the %s program has been detached", p->name,
				    p->engine == KB_ENGINE_TC ? "tc" : "xdp");
			port_detach(dp, p);
		} else if (!if_nametoindex(p->name)) {
			continue;
		}
		r = p->engine == KB_ENGINE_TC ? port_attach_tc(dp, p, err, sizeof(err))
					      : port_attach_xdp(dp, p, err, sizeof(err));
		if (r == 0)
			kb_log_info("%s: attached again", p->name);
	}
}

static bool is_port(const struct kb_datapath *dp, enum kb_engine engine, unsigned int ifindex)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		const struct kb_datapath_port *p = &dp->ports[i];

		if (p->engine == engine && p->ifindex == ifindex && p->attached)
			return true;
	}
	return false;
}

/* arg: a datapath whose ports stay, or NULL: nothing stays. */
static int link_drop(const char *dir, const char *name, void *arg)
{
	struct kb_datapath *dp = arg;
	enum kb_engine engine;
	unsigned int ifindex;
	int fd;

	if (sscanf(name, "link_tc_%u", &ifindex) == 1)
		engine = KB_ENGINE_TC;
	else if (sscanf(name, "link_xdp_%u", &ifindex) == 1)
		engine = KB_ENGINE_XDP;
	else
		return 0;
	if (dp && is_port(dp, engine, ifindex))
		return 0;
	fd = kb_pin_open(dir, name);
	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	kb_pin_remove(dir, name);
	if (dp && engine == KB_ENGINE_XDP)
		kb_ports_remove(dp->map_fd[KB_MAP_PORTS], ifindex);
	return 0;
}

static int marker_drop(const char *dir, const char *name, void *arg)
{
	struct kb_datapath *dp = arg;
	unsigned int ifindex;
	char ifname[IF_NAMESIZE], path[PATH_MAX];

	if (sscanf(name, "clsact_%u", &ifindex) != 1 || (dp && is_port(dp, KB_ENGINE_TC, ifindex)))
		return 0;
	if (if_indextoname(ifindex, ifname)) {
		kb_clsact_detach(dir, ifindex);
	} else {
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		rmdir(path);
	}
	return 0;
}

/* Filters on clsact qdiscs that others have made leave no marker. */
static void filters_drop(const char *dir, struct kb_datapath *dp)
{
	struct if_nameindex *all = if_nameindex();

	if (!all)
		return;
	for (struct if_nameindex *i = all; i->if_index; i++) {
		if (!dp || !is_port(dp, KB_ENGINE_TC, i->if_index))
			kb_clsact_detach(dir, i->if_index);
	}
	if_freenameindex(all);
}

/* The folder changes while it is read, so once more until nothing is left. */
static void drop(const char *dir, struct kb_datapath *dp)
{
	for (int i = 0; i < 2; i++) {
		kb_pin_each(dir, link_drop, dp);
		kb_pin_each(dir, marker_drop, dp);
	}
	filters_drop(dir, dp);
}

void kb_datapath_prune(struct kb_datapath *dp)
{
	drop(dp->dir, dp);
}

void kb_attach_remove_all(const char *dir)
{
	drop(dir, NULL);
}

size_t kb_datapath_n_ports(const struct kb_datapath *dp)
{
	return dp->n_ports;
}

const struct kb_datapath_port *kb_datapath_port(const struct kb_datapath *dp, size_t i)
{
	return &dp->ports[i];
}

bool kb_datapath_all_attached(const struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		if (!dp->ports[i].attached)
			return false;
	}
	return true;
}
