/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of EAL, set up for workers: one receive and one send queue for each, buffers of its own
 * on the port's NUMA node. Main thread, before workers run and after they have ended.
 */
#ifndef KB_DPDK_PORT_H
#define KB_DPDK_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mempool;

struct kb_dpdk_port {
	char name[64];
	uint64_t mac;	  /* kb_port_mac() */
	uint32_t ifindex; /* 0: the kernel does not see this port */
	uint16_t mtu;
	int socket; /* NUMA node, or SOCKET_ID_ANY */
	bool csum_offload;
	struct rte_mempool *pool; /* owned */
};

/* `held`: buffers of each queue that may be elsewhere. 0, or -errno with one line in err; the port
 * is then as it was. */
int kb_dpdk_port_start(uint16_t port, uint16_t queues, uint32_t held, struct kb_dpdk_port *ret_port,
		       char *err, size_t err_size);
/* Before it is started, too. */
bool kb_dpdk_port_kernel_sees(uint16_t port);
/* Has it a link? That of an interface of the kernel is the kernel's: drivers of such ports say "up"
 * whatever it is (net_af_packet, net_af_xdp). Control thread. */
bool kb_dpdk_port_link(uint16_t port, const struct kb_dpdk_port *p);
/*
 * Has nothing more sent to the port, or takes it back into service, by its link: other routers, or
 * the other port of a bond, then serve. Control thread. -ENOTSUP: it belongs to an interface of the
 * kernel, whose link is not ours to take, or it has none.
 */
int kb_dpdk_port_withdraw(uint16_t port, const struct kb_dpdk_port *p, bool away);
void kb_dpdk_port_stop(uint16_t port, struct kb_dpdk_port *p);

#endif
