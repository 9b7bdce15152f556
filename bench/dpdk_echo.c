// SPDX-License-Identifier: Apache-2.0
/*
 * Echo over a port of net_af_xdp: frames go back with addresses and ports swapped, and nothing is
 * looked at or looked up. It takes its queue over from the XDP program of a running kbdnsd as
 * kbdns-dpdk does, with the same port, burst and send queue: what an answer costs over this is the
 * engine. IPv4, one queue, until a signal.
 *
 *   dpdk_echo BPFFS-DIR EAL-ARGUMENTS
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "bench/frame.h"
#include "dataplane/dpdk/port.h"
#include "dataplane/dpdk/xsk.h"

#define BURST 32 /* KB_BURST_DEFAULT's */

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void turn_round(struct rte_mbuf *m)
{
	struct frame *f = rte_pktmbuf_mtod(m, struct frame *);
	uint8_t mac[6];
	__be32 addr = f->saddr;
	__be16 port = f->sport;

	memcpy(mac, f->dst_mac, 6);
	memcpy(f->dst_mac, f->src_mac, 6);
	memcpy(f->src_mac, mac, 6);
	f->saddr = f->daddr;
	f->daddr = addr;
	f->sport = f->dport;
	f->dport = port;
	f->flags |= 0x80; /* a response, which the generator counts */
}

static void echo(struct kb_xsk *xsk)
{
	struct rte_mbuf *m[BURST];

	while (!stop) {
		uint16_t n = rte_eth_rx_burst(0, 0, m, BURST), sent;
		struct timespec ts;

		clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
		kb_xsk_beat(xsk, (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec);
		for (uint16_t i = 0; i < n; i++)
			turn_round(m[i]);
		sent = n ? rte_eth_tx_burst(0, 0, m, n) : 0;
		rte_pktmbuf_free_bulk(m + sent, n - sent);
	}
}

int main(int argc, char **argv)
{
	struct kb_dpdk_port port;
	struct kb_xsk *xsk;
	char err[256];

	if (argc < 2) {
		fprintf(stderr, "usage: dpdk_echo BPFFS-DIR EAL-ARGUMENTS\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	kb_xsk_init(argv[1]);
	argv[1] = argv[0];
	if (rte_eal_init(argc - 1, argv + 1) < 0)
		return 1;
	if (kb_dpdk_port_start(0, 1, 0, &port, err, sizeof(err)) < 0) {
		fprintf(stderr, "dpdk_echo: %s\n", err);
		return 1;
	}
	xsk = kb_xsk_find(0, 0);
	if (!xsk || kb_xsk_enter(xsk) < 0) {
		fprintf(stderr, "dpdk_echo: no AF_XDP queue\n");
		return 1;
	}
	kb_xsk_serve(xsk, true);
	fprintf(stderr, "dpdk_echo: ready\n");
	echo(xsk);
	kb_dpdk_port_stop(0, &port);
	kb_xsk_fini();
	rte_eal_cleanup();
	return 0;
}
