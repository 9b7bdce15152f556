// SPDX-License-Identifier: Apache-2.0
/* The list of interfaces that the programs are on. */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/datapath/netdev.h"
#include "control/datapath/order.h"
#include "control/datapath/ports.h"
#include "control/datapath/private.h"
#include "control/log.h"

int kb_port_error(struct kb_datapath_port *port, int r, char *err, size_t err_size,
		  const char *text)
{
	snprintf(port->error, sizeof(port->error), "%s", text);
	port->attached = false;
	port->mode = "";
	return kb_datapath_error(err, err_size, r, "%s: %s", port->name, text);
}

void kb_port_done(struct kb_datapath_port *p)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	p->attached_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	p->attached = true;
	p->error[0] = 0;
}

/* Not again, where somebody else insists on the place. */
#define PLACED_MAX 4

int kb_port_add(struct kb_datapath *dp, enum kb_engine engine, const char *ifname, char *err,
		size_t err_size, struct kb_datapath_port **ret_port)
{
	struct kb_datapath_port *p;

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
	p->link_fd = p->local_fd[0] = p->local_fd[1] = -1;
	*ret_port = p;
	return 0;
}

struct kb_datapath_port *kb_port_listed(const struct kb_datapath *dp, enum kb_engine engine,
					const char *ifname)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		struct kb_datapath_port *p = &dp->ports[i];

		if (!p->found && p->engine == engine && strcmp(p->name, ifname) == 0)
			return p;
	}
	return NULL;
}

/* The one listed under this name, or a new one. */
static int port_find(struct kb_datapath *dp, enum kb_engine engine, const char *ifname, char *err,
		     size_t err_size, struct kb_datapath_port **ret_port)
{
	*ret_port = kb_port_listed(dp, engine, ifname);
	return *ret_port ? 0 : kb_port_add(dp, engine, ifname, err, err_size, ret_port);
}

static void port_forget_link(struct kb_datapath_port *p)
{
	if (p->link_fd >= 0)
		close(p->link_fd);
	p->link_fd = -1;
	kb_local_forget(p);
	p->attached = false;
	p->mode = "";
}

int kb_port_begin(struct kb_datapath *dp, struct kb_datapath_port *p, enum kb_prog_id prog,
		  char *err, size_t err_size)
{
	if (dp->prog_fd[prog] < 0)
		return kb_port_error(p, -EINVAL, err, err_size, "this program is not loaded");
	port_forget_link(p);
	if (!p->found) {
		unsigned int now = if_nametoindex(p->name);

		/* No descriptor is left, or no memory: the interface may well be there. */
		if (!now && errno != ENODEV && errno != ENXIO)
			return kb_port_error(p, -errno, err, err_size, strerror(errno));
		if (now != p->ifindex)
			p->placed = 0;
		p->ifindex = now;
	}
	if (!p->ifindex)
		return kb_port_error(p, -ENODEV, err, err_size, "no such interface");
	return 0;
}

int kb_datapath_attach_tc(struct kb_datapath *dp, const char *ifname, char *err, size_t err_size)
{
	struct kb_datapath_port *p;
	int r = port_find(dp, KB_ENGINE_TC, ifname, err, err_size, &p);

	return r < 0 ? r : kb_port_attach_tc(dp, p, err, err_size);
}

int kb_datapath_attach_xdp(struct kb_datapath *dp, const char *ifname, char *err, size_t err_size)
{
	struct kb_datapath_port *p;
	int r = port_find(dp, KB_ENGINE_XDP, ifname, err, err_size, &p);

	return r < 0 ? r : kb_port_attach_xdp(dp, p, err, err_size);
}

void kb_port_detach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	char name[KB_LINK_NAME];

	if (!p->ifindex)
		return;
	if (p->engine == KB_ENGINE_TC)
		kb_local_detach(dp, p);
	kb_link_name(name, p->engine, p->ifindex);
	kb_pin_remove(dp->dir, name);
	if (p->link_fd >= 0)
		bpf_link_detach(p->link_fd);
	else if (p->engine == KB_ENGINE_TC)
		kb_clsact_detach(dp->dir, p->ifindex);
	if (p->engine == KB_ENGINE_XDP)
		kb_port_forget(dp, p->ifindex);
	port_forget_link(p);
}

void kb_port_drop(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	port_forget_link(p);
	*p = dp->ports[--dp->n_ports];
}

void kb_datapath_detach_all(struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++)
		kb_port_detach(dp, &dp->ports[i]);
}

void kb_ports_close(struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++)
		port_forget_link(&dp->ports[i]);
	free(dp->ports);
	dp->ports = NULL;
	dp->n_ports = 0;
}

bool kb_port_stands(const struct kb_datapath *dp, const struct kb_datapath_port *p)
{
	if (!kb_local_stands(dp, p))
		return false;
	if (p->link_fd >= 0)
		return kb_link_ifindex(p->link_fd) == p->ifindex &&
		       (p->engine != KB_ENGINE_TC || p->placed >= PLACED_MAX ||
			kb_order_holds(dp, p->ifindex, false));
	return p->attached && kb_clsact_is_attached(p->ifindex, KB_CLSACT_TC);
}

/* Has the interface still its name, and a tc one its other end elsewhere? True when in doubt: a
 * shortage of descriptors or memory is no reason to detach. */
static bool is_itself(const struct kb_datapath_port *p)
{
	struct kb_netdev dev;
	int r = kb_netdev_get(p->name, &dev);

	if (r < 0)
		return r != -ENODEV;
	return dev.ifindex == p->ifindex && (p->engine != KB_ENGINE_TC || kb_netdev_is_pod(&dev));
}

/* Which program does the attachment run? 0: unknown. */
static uint32_t attached_prog(const struct kb_datapath_port *p)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	if (p->link_fd < 0)
		return kb_clsact_prog(p->ifindex);
	return bpf_obj_get_info_by_fd(p->link_fd, &info, &len) == 0 ? info.prog_id : 0;
}

/* A kbdnsd that was to take over and failed may have left its own program. */
static bool runs_ours(const struct kb_datapath *dp, const struct kb_datapath_port *p)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = dp->prog_fd[p->engine == KB_ENGINE_TC ? KB_PROG_TC : KB_PROG_XDP];

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.id == attached_prog(p);
}

static int attach_again(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	char err[256];
	int r = p->engine == KB_ENGINE_TC ? kb_port_attach_tc(dp, p, err, sizeof(err))
					  : kb_port_attach_xdp(dp, p, err, sizeof(err));

	if (r == 0)
		kb_log_info("%s: attached again", p->name);
	return r;
}

/* In one step, as everywhere. */
static void reclaim(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	kb_log_warn("%s: another kbdnsd's program is attached", p->name);
	attach_again(dp, p);
}

void kb_datapath_refresh(struct kb_datapath *dp)
{
	kb_steer_tidy(dp);
	for (size_t i = 0; i < dp->n_ports; i++) {
		struct kb_datapath_port *p = &dp->ports[i];
		bool was = p->attached;

		if (p->found)
			continue;
		if (was && kb_port_stands(dp, p) && is_itself(p)) {
			if (!runs_ours(dp, p))
				reclaim(dp, p);
			continue;
		}
		if (was) {
			kb_log_warn("%s: the %s program has been detached, or must not stay so",
				    p->name, p->engine == KB_ENGINE_TC ? "tc" : "xdp");
			kb_port_detach(dp, p);
		} else if (!if_nametoindex(p->name)) {
			continue;
		}
		attach_again(dp, p);
	}
}

void kb_ports_reclaim(struct kb_datapath *dp)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		struct kb_datapath_port *p = &dp->ports[i];

		if (p->attached && kb_port_stands(dp, p) && !runs_ours(dp, p))
			reclaim(dp, p);
	}
}

static bool is_port(const struct kb_datapath *dp, enum kb_engine engine, unsigned int ifindex)
{
	for (size_t i = 0; i < dp->n_ports; i++) {
		const struct kb_datapath_port *p = &dp->ports[i];

		if (p->engine == engine && p->ifindex == ifindex && (p->attached || p->waits))
			return true;
	}
	return false;
}

/* arg: a datapath whose ports stay, or NULL: nothing stays. */
static int link_drop(const char *dir, const char *name, void *arg)
{
	struct kb_datapath *dp = arg;
	enum kb_engine engine = KB_ENGINE_TC;
	unsigned int ifindex;
	bool local = kb_local_is_link(name, &ifindex);
	int fd;

	if (sscanf(name, "link_xdp_%u", &ifindex) == 1)
		engine = KB_ENGINE_XDP;
	else if (!local && sscanf(name, "link_tc_%u", &ifindex) != 1)
		return 0;
	if (dp && is_port(dp, engine, ifindex) && (!local || dp->local.wanted))
		return 0;
	fd = kb_pin_open(dir, name);
	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	kb_pin_remove(dir, name);
	if (dp && engine == KB_ENGINE_XDP)
		kb_port_forget(dp, ifindex);
	return 0;
}

static int marker_drop(const char *dir, const char *name, void *arg)
{
	struct kb_datapath *dp = arg;
	unsigned int ifindex;
	char ifname[IF_NAMESIZE];

	if (sscanf(name, "clsact_%u", &ifindex) != 1 || (dp && is_port(dp, KB_ENGINE_TC, ifindex)))
		return 0;
	if (if_indextoname(ifindex, ifname))
		kb_clsact_detach(dir, ifindex);
	else
		kb_clsact_forget(dir, ifindex);
	return 0;
}

/* Filters on clsact qdiscs that others have made leave no marker. */
static void filters_drop(const char *dir, struct kb_datapath *dp)
{
	struct if_nameindex *all = if_nameindex();

	if (!all)
		return;
	for (struct if_nameindex *i = all; i->if_index; i++) {
		if (!dp || !is_port(dp, KB_ENGINE_TC, i->if_index)) {
			kb_clsact_detach(dir, i->if_index);
		} else if (!dp->local.wanted) {
			kb_clsact_remove(i->if_index, KB_CLSACT_LOCAL_IN);
			kb_clsact_remove(i->if_index, KB_CLSACT_LOCAL_OUT);
		}
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
	kb_local_prune(dp);
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
		if (!dp->ports[i].found && !dp->ports[i].attached)
			return false;
	}
	return true;
}
