/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interfaces of this network namespace, as rtnetlink tells of them: all there are, and then
 * what changes. Any one thread.
 */
#ifndef KB_DATAPATH_NETDEV_H
#define KB_DATAPATH_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kb_netdev {
	unsigned int ifindex;
	char name[16];
	char kind[16];	     /* "veth", "vlan"; "" for devices without one, such as NICs */
	unsigned int lower;  /* ifindex of the device it is on or paired with, 0: none */
	uint32_t mtu;	     /* bytes */
	bool peer_elsewhere; /* that device is in another network namespace */
	bool gone; /* removed, or moved to another namespace; kind and so on are unknown */
};

/* One message of rtnetlink about an interface, of which `len` bytes are there. False if it is about
 * something else, or is cut short or not well-formed. */
bool kb_netdev_parse(const void *message, size_t len, struct kb_netdev *ret);
/* Is it one of two that are each other's wire (veth, netkit)? */
bool kb_netdev_is_pair(const struct kb_netdev *dev);
/* Of a pair whose other end is in another namespace? */
bool kb_netdev_is_pod(const struct kb_netdev *dev);

typedef void (*kb_netdev_fn)(void *arg, const struct kb_netdev *dev);

/* Calls fn for each interface there is. 0 or -errno; then some may have been told. */
int kb_netdev_each(kb_netdev_fn fn, void *arg);
/* One interface by name. 0, -ENODEV or another -errno. */
int kb_netdev_get(const char *name, struct kb_netdev *ret);

struct kb_netdev_watch;

/* Subscribes; what there is already is not told. 0 or -errno. */
int kb_netdev_watch_new(struct kb_netdev_watch **ret_watch);
/* Becomes readable when there is something to read. Borrowed. */
int kb_netdev_watch_fd(const struct kb_netdev_watch *watch);
/* Hands over what has changed, without waiting and no more than a few hundred messages. 0;
 * -ENOBUFS when changes have been lost, so that kb_netdev_each has to tell; or another -errno. */
int kb_netdev_watch_read(struct kb_netdev_watch *watch, kb_netdev_fn fn, void *arg);
/* Takes NULL. */
void kb_netdev_watch_free(struct kb_netdev_watch *watch);

#endif
