// SPDX-License-Identifier: Apache-2.0
/* See port.h. */
#include "dataplane/dpdk/port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/core/ports.h"
#include "dataplane/dpdk/engine.h"
#include "dataplane/dpdk/xsk.h"

#define DESCRIPTORS 1024 /* of a queue, in each direction */
#define POOL_CACHE  256

/* With several queues, what a flow is told by. */
#define RSS_WANTED (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP)

static int failed(char *err, size_t size, const char *name, const char *what, int r)
{
	snprintf(err, size, "port %s: %s: %s", name, what, strerror(-r));
	return r;
}

static int queues_setup(uint16_t port, uint16_t queues, const struct kb_dpdk_port *p, char *err,
			size_t size)
{
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;
	int r = rte_eth_dev_adjust_nb_rx_tx_desc(port, &n_rx, &n_tx);

	if (r < 0)
		return failed(err, size, p->name, "descriptors", r);
	for (uint16_t q = 0; q < queues; q++) {
		kb_xsk_begin(port, q);
		r = rte_eth_rx_queue_setup(port, q, n_rx, (unsigned int)p->socket, NULL, p->pool);
		if (r < 0 && *kb_xsk_error())
			snprintf(err, size, "port %s: %s", p->name, kb_xsk_error());
		else if (r < 0)
			failed(err, size, p->name, "receive queue", r);
		if (r < 0)
			return r;
		r = rte_eth_tx_queue_setup(port, q, n_tx, (unsigned int)p->socket, NULL);
		if (r < 0)
			return failed(err, size, p->name, "send queue", r);
	}
	return 0;
}

static int configure(uint16_t port, uint16_t queues, struct kb_dpdk_port *p, char *err, size_t size)
{
	/* For workers that wait for them; drivers that have none (net_af_packet, net_ring) take no
	 * notice. */
	struct rte_eth_conf conf = {.intr_conf = {.rxq = 1}};
	struct rte_eth_dev_info info;
	int r = rte_eth_dev_info_get(port, &info);

	if (r < 0)
		return failed(err, size, p->name, "its abilities", r);
	if (queues > info.max_rx_queues || queues > info.max_tx_queues) {
		snprintf(err, size,
			 "port %s: %u lcores want a queue each, it has %u to receive and %u to "
			 "send: use fewer lcores (-l)",
			 p->name, queues, info.max_rx_queues, info.max_tx_queues);
		return -ENOSPC;
	}
	p->ifindex = info.if_index;
	p->csum_offload = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	if (p->csum_offload)
		conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	/* Ports that cannot be told spread flows by themselves (net_af_packet). */
	if (queues > 1 && (RSS_WANTED & info.flow_type_rss_offloads)) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = RSS_WANTED & info.flow_type_rss_offloads;
	}
	r = rte_eth_dev_configure(port, queues, queues, &conf);
	return r < 0 ? failed(err, size, p->name, "configure", r) : 0;
}

bool kb_dpdk_port_kernel_sees(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) == 0 && info.if_index != 0;
}

int kb_dpdk_port_start(uint16_t port, uint16_t queues, uint32_t held, struct kb_dpdk_port *ret_port,
		       char *err, size_t err_size)
{
	struct kb_dpdk_port p = {.socket = rte_eth_dev_socket_id(port)};
	struct rte_ether_addr mac;
	char pool_name[32];
	int r;

	if (rte_eth_dev_get_name_by_port(port, p.name) < 0)
		snprintf(p.name, sizeof(p.name), "%u", port);
	r = configure(port, queues, &p, err, err_size);
	if (r < 0)
		return r;
	/* Both rings full, a burst in each worker's hands, its cache, what others hold. */
	snprintf(pool_name, sizeof(pool_name), "frames_%u", port);
	p.pool = rte_pktmbuf_pool_create(
		pool_name, queues * (2U * DESCRIPTORS + KB_BURST_MAX + 2U * POOL_CACHE + held) - 1,
		POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, p.socket);
	if (!p.pool)
		return failed(err, err_size, p.name, "buffers (more memory: -m or huge pages)",
			      -rte_errno);
	r = queues_setup(port, queues, &p, err, err_size);
	if (r < 0)
		goto err;
	r = rte_eth_dev_start(port);
	if (r < 0) {
		failed(err, err_size, p.name, "start", r);
		goto err;
	}
	rte_eth_macaddr_get(port, &mac);
	memcpy(&p.mac, mac.addr_bytes, sizeof(mac.addr_bytes));
	if (rte_eth_dev_get_mtu(port, &p.mtu) < 0)
		p.mtu = RTE_ETHER_MTU;
	*ret_port = p;
	return 0;
err:
	rte_mempool_free(p.pool);
	return r;
}

static bool interface_runs(uint32_t ifindex)
{
	struct ifreq req = {.ifr_ifindex = (int)ifindex};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool runs = true;

	if (fd < 0)
		return true;
	/* Its name now; it may have been removed. */
	if (ioctl(fd, SIOCGIFNAME, &req) < 0)
		runs = errno != ENODEV;
	else if (ioctl(fd, SIOCGIFFLAGS, &req) == 0)
		runs = (req.ifr_flags & IFF_UP) && (req.ifr_flags & IFF_RUNNING);
	close(fd);
	return runs;
}

bool kb_dpdk_port_link(uint16_t port, const struct kb_dpdk_port *p)
{
	struct rte_eth_link link = {0};

	if (p->ifindex)
		return interface_runs(p->ifindex);
	return rte_eth_link_get_nowait(port, &link) < 0 || link.link_status;
}

int kb_dpdk_port_withdraw(uint16_t port, const struct kb_dpdk_port *p, bool away)
{
	if (p->ifindex)
		return -ENOTSUP;
	return away ? rte_eth_dev_set_link_down(port) : rte_eth_dev_set_link_up(port);
}

void kb_dpdk_port_stop(uint16_t port, struct kb_dpdk_port *p)
{
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
	rte_mempool_free(p->pool);
	p->pool = NULL;
}
