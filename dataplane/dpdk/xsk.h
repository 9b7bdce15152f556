/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of net_af_xdp: queues that kbdns_xdp hands over (dataplane/core/steer.h).
 *
 * The program, the map of sockets and the attachment are kbdnsd's, and stay when a worker goes.
 * So the driver must neither load a program nor detach one: this file has functions of the
 * names xsk_socket__create and bpf_xdp_detach, which the driver finds before those of
 * libxdp and libbpf. The former makes the socket without a program and remembers it for the queue
 * that is being set up; the latter does nothing. Releases of DPDK that know use_pinned_map could do
 * without, but expect a map of their own for each port.
 *
 * What the worker leaves goes back into the kernel, on the port that it came in by: 1 system call
 * for each such frame, in which the kernel's stack works on it, as it would have for a
 * frame that had not been steered.
 */
#ifndef KB_DPDK_XSK_H
#define KB_DPDK_XSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/worker_stats.h"

struct rte_mbuf;

struct kb_xsk {
	uint16_t port, queue; /* EAL's numbers */
	int fd;		      /* borrowed, the driver's socket */
	uint32_t ifindex, kernel_queue, key;
	bool placed;	  /* the socket is in kb_xsks; main thread, then the control thread */
	uint64_t *beat;	  /* borrowed, the queue's in kb_steer_beat; or `nowhere` */
	uint64_t nowhere; /* beaten while kbdnsd does not serve the port */
	bool serving;	  /* the worker's */
};

/* Main thread. */

/* Where kbdnsd's pins are; borrowed. Nothing is opened before the first socket is made. */
void kb_xsk_init(const char *bpffs);
/* A socket that the driver makes from now on is this queue's. */
void kb_xsk_begin(uint16_t port, uint16_t queue);
/* Why one could not be made since kb_xsk_begin(), one line; or "". */
const char *kb_xsk_error(void);
/* The queue's socket, or NULL: it has none. Valid until the port is closed. */
struct kb_xsk *kb_xsk_find(uint16_t port, uint16_t queue);
/* Puts the socket into its place, where nothing is handed over yet. 0 or -errno. */
int kb_xsk_enter(struct kb_xsk *x);
/* All ports are closed. */
void kb_xsk_fini(void);

/* The control thread, now and then. kbdnsd takes the sockets out of a port that it stops serving,
 * be it because somebody detached its program, and gives the place to the next: sockets are entered
 * again where the port is now, and no beat is left in a place that is another's. */
void kb_xsk_follow(void);

/* The queue's worker. */

/* From the next beat on queries come, as long as it beats; or no more are handed over, and what is
 * on its way still comes, within milliseconds. */
void kb_xsk_serve(struct kb_xsk *x, bool serve);

static inline void kb_xsk_beat(const struct kb_xsk *x, uint64_t now_ns)
{
	uint64_t *beat = __atomic_load_n(&x->beat, __ATOMIC_ACQUIRE);

	/* The kernel reads the line for each query: it changes with the coarse clock only. */
	if (x->serving && __atomic_load_n(beat, __ATOMIC_RELAXED) != now_ns)
		__atomic_store_n(beat, now_ns, __ATOMIC_RELAXED);
}

/* Takes over what is left; of struct kb_dpdk_queue. */
void kb_xsk_unsteer(void *xsk, struct kb_worker_counts *counts, struct rte_mbuf **left, uint32_t n);

#endif
