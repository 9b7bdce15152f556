/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation with the kernel over netlink: a message, and what answers it. Blocks until the
 * answer is complete; one thread.
 */
#ifndef KB_DATAPATH_NETLINK_H
#define KB_DATAPATH_NETLINK_H

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

#define KB_NETLINK_BYTES \
	16384 /* of one read: one message fits, with all that the kernel may tell */

struct kb_netlink {
	struct mnl_socket *socket; /* owned */
	uint32_t seq;
	_Alignas(struct nlmsghdr) char out[1024]; /* our messages are much shorter */
};

/* `bus` is NETLINK_ROUTE or another. 0 or -errno. */
int kb_netlink_open(struct kb_netlink *nl, int bus);
void kb_netlink_close(struct kb_netlink *nl);

/* Begins a message at offset `at` of nl->out, with the next number. NLM_F_REQUEST is added. */
struct nlmsghdr *kb_netlink_message(struct kb_netlink *nl, size_t at, uint16_t type,
				    uint16_t flags);
/* Reads all that answers message `seq`, and hands over what is no acknowledgement. 0, or -errno of
 * the kernel or the socket; -EINTR: a list that changed while it was read. */
int kb_netlink_receive(struct kb_netlink *nl, uint32_t seq, mnl_cb_t each, void *arg);
/* Sends, and receives. */
int kb_netlink_talk(struct kb_netlink *nl, struct nlmsghdr *nlh, mnl_cb_t each, void *arg);

#endif
