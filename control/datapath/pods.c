// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/pods.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/datapath/netdev.h"
#include "control/datapath/private.h"
#include "control/log.h"

/* An attachment at tcx waits for a grace period of the kernel's RCU, 2 to 15 ms. What does not come
 * to its turn within this time waits for kb_pods_step, so that the loop can beat. */
#define TURN_NS 20000000

#define LOOKS_PER_TICK 64 /* at attached ones, a system call each */
#define TRIES_PER_TICK 16 /* at those that failed */
#define TICKS_LEFT_OUT 10 /* between listings while some are left out */

struct kb_pods {
	struct kb_datapath *dp;	       /* borrowed */
	struct kb_netdev_watch *watch; /* owned */
	struct kb_pods_config config;
	struct kb_pods_stats stats;
	bool list;	    /* everything has to be listed at the next tick */
	size_t left_out;    /* counted by the listing under way */
	size_t at;	    /* of the ports, where the next tick goes on */
	unsigned int ticks; /* since the last listing */
	uint64_t read_ns;   /* when the message at hand had been read */
	size_t waiting;	    /* ports that wait for kb_pods_step */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct kb_datapath_port *find(const struct kb_pods *pods, unsigned int ifindex)
{
	for (size_t i = 0; i < pods->dp->n_ports; i++) {
		struct kb_datapath_port *p = &pods->dp->ports[i];

		if (p->found && p->ifindex == ifindex)
			return p;
	}
	return NULL;
}

static size_t count(const struct kb_pods *pods)
{
	size_t n = 0;

	for (size_t i = 0; i < pods->dp->n_ports; i++)
		n += pods->dp->ports[i].found;
	return n;
}

static bool is_wanted(const struct kb_pods *pods, const struct kb_netdev *dev)
{
	const struct kb_pods_config *c = &pods->config;

	return !dev->gone && kb_netdev_is_pod(dev) &&
	       c->match(c->patterns, c->n_patterns, dev->name) &&
	       !kb_port_listed(pods->dp, KB_ENGINE_TC, dev->name) &&
	       !kb_port_listed(pods->dp, KB_ENGINE_XDP, dev->name);
}

static void count_latency(struct kb_pods *pods, uint64_t from_ns)
{
	uint64_t us = (now_ns() - from_ns) / 1000;
	size_t i = 0;

	while (i < KB_POD_LATENCY_BUCKETS && us > (uint64_t)KB_POD_LATENCY_FIRST_US << i)
		i++;
	pods->stats.latency[i]++;
	pods->stats.latency_us += us;
}

static void count_failure(struct kb_pods *pods, int r)
{
	struct kb_pods_stats *s = &pods->stats;

	switch (r) {
	case -EPERM:
	case -EACCES:
		s->refused++;
		break;
	case -EBUSY:
	case -EEXIST:
	case -ERANGE:
	case -ENOSPC:
		s->occupied++;
		break;
	case -ENOMEM:
	case -ENOBUFS:
	case -EMFILE:
	case -ENFILE:
		s->no_memory++;
		break;
	default:
		s->other++;
	}
}

/* `gone`: the interface has gone, and its number may be another one's by now. */
static void lose(struct kb_pods *pods, struct kb_datapath_port *p, bool gone)
{
	if (p->attached) {
		pods->stats.detaches++;
		kb_log_debug("%s: %s", p->name, gone ? "gone" : "detached");
	}
	pods->waiting -= p->waits;
	if (gone && p->link_fd < 0)
		kb_clsact_forget(pods->dp->dir, p->ifindex);
	else
		kb_port_detach(pods->dp, p);
	kb_port_drop(pods->dp, p);
	/* There is room for one that was left out. */
	pods->list |= pods->stats.left_out != 0;
}

/* False when in doubt: without a descriptor nobody can tell. */
static bool has_gone(unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	return !if_indextoname(ifindex, name) && (errno == ENXIO || errno == ENODEV);
}

/* False if the port has gone off the list. */
static bool attach(struct kb_pods *pods, struct kb_datapath_port *p)
{
	char before[sizeof(p->error)], err[256];
	int r;

	memcpy(before, p->error, sizeof(before));
	r = kb_port_attach_tc(pods->dp, p, err, sizeof(err));
	if (r == 0) {
		pods->stats.attaches++;
		kb_log_debug("%s: attached (%s)", p->name, p->mode);
		return true;
	}
	if (has_gone(p->ifindex)) {
		pods->stats.vanished++;
		lose(pods, p, true);
		return false;
	}
	count_failure(pods, r);
	if (strcmp(before, p->error) != 0)
		kb_log_limited(KB_LOG_ERROR, 5,
			       "%s; this pod asks the cluster DNS until it succeeds", err);
	return true;
}

/* told_ns: 0 if nobody has told of it, but somebody has looked. */
static void wait_turn(struct kb_pods *pods, struct kb_datapath_port *p, uint64_t told_ns)
{
	p->waits = true;
	p->told_ns = told_ns;
	pods->waiting++;
}

static void on_netdev(void *arg, const struct kb_netdev *dev)
{
	struct kb_pods *pods = arg;
	struct kb_datapath_port *p = find(pods, dev->ifindex);
	bool wanted = is_wanted(pods, dev);
	char err[256];

	if (p && !wanted) {
		lose(pods, p, dev->gone);
		return;
	}
	if (!wanted)
		return;
	if (!p) {
		if (count(pods) >= pods->config.max) {
			pods->left_out++;
			/* A listing tells how many there are. */
			pods->list |= !pods->stats.left_out;
			return;
		}
		if (kb_port_add(pods->dp, KB_ENGINE_TC, dev->name, err, sizeof(err), &p) < 0) {
			pods->stats.no_memory++;
			pods->list = true;
			return;
		}
		p->found = true;
		p->ifindex = dev->ifindex;
	}
	p->seen = true;
	memcpy(p->name, dev->name, sizeof(p->name));
	if (p->waits || (p->attached && kb_port_stands(pods->dp, p)))
		return;
	/* Its last news before the kernel tells of its end. */
	if (p->attached && has_gone(p->ifindex)) {
		lose(pods, p, true);
		return;
	}
	if (now_ns() - pods->read_ns > TURN_NS) {
		wait_turn(pods, p, pods->read_ns);
	} else if (attach(pods, p) && p->attached) {
		count_latency(pods, pods->read_ns);
	}
}

bool kb_pods_step(struct kb_pods *pods)
{
	uint64_t end = now_ns() + TURN_NS;

	for (size_t i = 0; pods->waiting && i < pods->dp->n_ports && now_ns() < end;) {
		struct kb_datapath_port *p = &pods->dp->ports[i++];

		if (!p->waits)
			continue;
		p->waits = false;
		pods->waiting--;
		if (!attach(pods, p))
			i--;
		else if (p->attached && p->told_ns)
			count_latency(pods, p->told_ns);
	}
	return pods->waiting != 0;
}

/* Of all interfaces; those that it does not name have gone. */
static int list(struct kb_pods *pods)
{
	struct kb_datapath *dp = pods->dp;
	int r;

	for (size_t i = 0; i < dp->n_ports; i++)
		dp->ports[i].seen = false;
	pods->left_out = 0;
	pods->ticks = 0;
	pods->stats.listings++;
	pods->read_ns = now_ns();
	r = kb_netdev_each(on_netdev, pods);
	pods->list = r < 0;
	if (r < 0)
		return r;
	for (size_t i = dp->n_ports; i-- > 0;) {
		if (dp->ports[i].found && !dp->ports[i].seen)
			lose(pods, &dp->ports[i], true);
	}
	if (pods->left_out && !pods->stats.left_out)
		kb_log_error("--pods-max is %zu: %zu more interfaces of pods are left alone, whose "
			     "pods ask the cluster DNS",
			     pods->config.max, pods->left_out);
	pods->stats.left_out = pods->left_out;
	return 0;
}

int kb_pods_new(struct kb_datapath *dp, const struct kb_pods_config *config,
		struct kb_pods **ret_pods, char *err, size_t err_size)
{
	struct kb_pods *pods = calloc(1, sizeof(*pods));
	int r;

	if (!pods)
		return kb_datapath_error(err, err_size, -ENOMEM, "no memory");
	pods->dp = dp;
	pods->config = *config;
	r = kb_netdev_watch_new(&pods->watch);
	if (r == 0)
		r = list(pods);
	if (r < 0) {
		kb_pods_free(pods);
		return kb_datapath_error(err, err_size, r, "--pods: cannot list interfaces: %s",
					 strerror(-r));
	}
	*ret_pods = pods;
	return 0;
}

int kb_pods_fd(const struct kb_pods *pods)
{
	return kb_netdev_watch_fd(pods->watch);
}

void kb_pods_read(struct kb_pods *pods)
{
	int r;

	pods->read_ns = now_ns();
	r = kb_netdev_watch_read(pods->watch, on_netdev, pods);
	if (r == -ENOBUFS)
		r = list(pods);
	if (r < 0) {
		pods->list = true;
		kb_log_limited(KB_LOG_ERROR, 1, "--pods: reading of interfaces: %s; tried again",
			       strerror(-r));
	}
}

void kb_pods_tick(struct kb_pods *pods)
{
	struct kb_datapath *dp = pods->dp;
	size_t looks = 0, tries = 0;

	if (pods->list || (pods->stats.left_out && ++pods->ticks >= TICKS_LEFT_OUT))
		list(pods);
	for (size_t n = dp->n_ports; n > 0 && looks < LOOKS_PER_TICK && tries < TRIES_PER_TICK;
	     n--) {
		struct kb_datapath_port *p;

		pods->at %= dp->n_ports;
		p = &dp->ports[pods->at++];
		if (!p->found)
			continue;
		looks++;
		if (p->waits || (p->attached && kb_port_stands(pods->dp, p)))
			continue;
		if (p->attached)
			kb_log_limited(KB_LOG_WARN, 5,
				       "%s: the tc program has been detached, or is out of order",
				       p->name);
		tries++;
		wait_turn(pods, p, 0);
	}
}

void kb_pods_stats(const struct kb_pods *pods, struct kb_pods_stats *ret)
{
	*ret = pods->stats;
	ret->waiting = pods->waiting;
	for (size_t i = 0; i < pods->dp->n_ports; i++) {
		const struct kb_datapath_port *p = &pods->dp->ports[i];

		ret->attached += p->found && p->attached;
		ret->failing += p->found && !p->attached && !p->waits;
	}
}

void kb_pods_free(struct kb_pods *pods)
{
	if (!pods)
		return;
	kb_netdev_watch_free(pods->watch);
	free(pods);
}
