// SPDX-License-Identifier: Apache-2.0
/* See exception.h. */
#include "dataplane/dpdk/exception.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_ring.h>

#include "dataplane/dpdk/engine.h"
#include "dataplane/dpdk/partial.h"
#include "dataplane/dpdk/tap.h"

#define DOWN_FRAMES 256
#define BURST	    32
#define SEND_FRAMES 1024 /* that a port's send queue may hold */
#define SEGMENTS    8	 /* of a frame, at most */
/* How long the tap waits for room in a full ring. */
#define FULL_NS 50000

struct kb_lane {
	struct kb_exception *e;
	struct rte_ring *up, *used;
	struct rte_ring *down; /* of queue 0, else NULL */
	uint16_t queue;
	uint16_t n_pending;
	struct rte_mbuf *pending[BURST]; /* the port's send queue was full */
};

struct kb_exception {
	const struct kb_dpdk_port *p; /* borrowed */
	uint16_t port, queues;
	char ifname[16];
	int tap, event; /* owned; `tap` is -1 once the interface has been removed */
	uint32_t frame_max;
	bool partial;		  /* frames come from a kernel's buffers */
	struct rte_mempool *pool; /* owned; taken from by the thread, given to by worker 0 */
	struct rte_mbuf *spare;	  /* the thread's, for the next read(); NULL: none was free */
	pthread_t thread;
	bool running;
	/* Between threads. */
	bool asleep, end, up, has_up; /* has_up: what the carrier was set to, the thread's */
	struct kb_lane lane[];	      /* `queues` of them */
};

/* ---- workers ---- */

static void wake(struct kb_exception *e)
{
	/* Fails when the counter is full; it is awake by then. */
	eventfd_write(e->event, 1);
}

void kb_lane_take(void *arg, struct kb_worker_counts *counts, struct rte_mbuf **left, uint32_t n)
{
	struct kb_lane *l = arg;
	uint32_t taken = rte_ring_sp_enqueue_burst(l->up, (void **)left, n, NULL);

	counts->kernel.in_full += n - taken;
	rte_pktmbuf_free_bulk(left + taken, n - taken);
	/* Either the thread finds the frames before it sleeps, or it is found asleep. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&l->e->asleep, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&l->e->asleep, false, __ATOMIC_RELAXED))
		wake(l->e);
}

/* What the thread could not write has no length any more. */
static uint32_t free_used(struct kb_lane *l, struct kb_worker_counts *counts)
{
	struct rte_mbuf *m[KB_BURST_MAX];
	uint32_t n = rte_ring_sc_dequeue_burst(l->used, (void **)m, KB_BURST_MAX, NULL), failed = 0;

	for (uint32_t i = 0; i < n; i++)
		failed += !m[i]->pkt_len;
	counts->kernel.in += n - failed;
	counts->kernel.in_failed += failed;
	rte_pktmbuf_free_bulk(m, n);
	return n;
}

/* Neither has what the thread read of a frame that is too long. */
static void next_pending(struct kb_lane *l, struct kb_worker_counts *counts)
{
	struct rte_mbuf *m[BURST];
	uint32_t n = rte_ring_sc_dequeue_burst(l->down, (void **)m, BURST, NULL);

	for (uint32_t i = 0; i < n; i++) {
		if (m[i]->pkt_len) {
			l->pending[l->n_pending++] = m[i];
		} else {
			rte_pktmbuf_free(m[i]);
			counts->kernel.out_oversize++;
		}
	}
}

static uint32_t send_pending(struct kb_lane *l, struct kb_worker_counts *counts)
{
	uint16_t sent;

	if (!l->n_pending)
		next_pending(l, counts);
	sent = rte_eth_tx_burst(l->e->port, l->queue, l->pending, l->n_pending);
	counts->kernel.out += sent;
	l->n_pending = (uint16_t)(l->n_pending - sent);
	memmove(l->pending, l->pending + sent, l->n_pending * sizeof(l->pending[0]));
	return sent;
}

uint32_t kb_lane_turn(void *arg, struct kb_worker_counts *counts)
{
	struct kb_lane *l = arg;
	uint32_t n = rte_ring_empty(l->used) ? 0 : free_used(l, counts);

	if (l->down && (l->n_pending || !rte_ring_empty(l->down)))
		n += send_pending(l, counts);
	return n;
}

/* ---- the thread ---- */

static void tell_removed(struct kb_exception *e)
{
	fprintf(stderr,
		"kbdns-dpdk: port %s: the interface %s has been removed: what is not answered is "
		"dropped until the next start\n",
		e->p->name, e->ifname);
	close(e->tap);
	e->tap = -1;
}

/* A whole frame to the kernel. */
static bool put(struct kb_exception *e, struct rte_mbuf *m)
{
	struct iovec iov[SEGMENTS];
	int n = 0;

	/* A tag that the port has taken off. */
	if (m->ol_flags & RTE_MBUF_F_RX_QINQ_STRIPPED ||
	    (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED && rte_vlan_insert(&m) < 0))
		return false;
	if (e->partial && m->nb_segs == 1)
		kb_partial_fill(rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	for (const struct rte_mbuf *seg = m; seg; seg = seg->next) {
		if (n == SEGMENTS)
			return false;
		iov[n++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(seg, void *),
					  .iov_len = seg->data_len};
	}
	return writev(e->tap, iov, n) == (ssize_t)m->pkt_len;
}

static uint32_t to_kernel(struct kb_exception *e)
{
	uint32_t total = 0;

	for (uint16_t q = 0; q < e->queues; q++) {
		struct rte_mbuf *m[BURST];
		uint32_t n = rte_ring_sc_dequeue_burst(e->lane[q].up, (void **)m, BURST, NULL);

		for (uint32_t i = 0; i < n; i++) {
			if (!put(e, m[i]))
				m[i]->pkt_len = 0;
		}
		/* There is room: it is larger than what may be on its way. */
		rte_ring_sp_enqueue_bulk(e->lane[q].used, (void **)m, n, NULL);
		total += n;
	}
	return total;
}

/* A frame of the kernel in `spare`. False: there is none, or no buffer. */
static bool get(struct kb_exception *e)
{
	ssize_t n;

	if (!e->spare)
		e->spare = rte_pktmbuf_alloc(e->pool);
	if (!e->spare)
		return false;
	n = read(e->tap, rte_pktmbuf_mtod(e->spare, void *), e->frame_max + 1);
	if (n <= 0) {
		if (n < 0 && errno == EBADFD)
			tell_removed(e);
		return false;
	}
	e->spare->data_len = (uint16_t)n;
	e->spare->pkt_len = n > e->frame_max ? 0 : (uint32_t)n;
	return true;
}

static uint32_t from_kernel(struct kb_exception *e)
{
	struct rte_ring *down = e->lane[0].down;
	uint32_t room = rte_ring_free_count(down), n = 0;
	struct rte_mbuf *m[BURST];

	while (e->tap >= 0 && n < room && n < BURST && get(e)) {
		m[n++] = e->spare;
		e->spare = NULL;
	}
	rte_ring_sp_enqueue_bulk(down, (void **)m, n, NULL);
	return n;
}

static bool anything_left(const struct kb_exception *e)
{
	for (uint16_t q = 0; q < e->queues; q++) {
		if (!rte_ring_empty(e->lane[q].up))
			return true;
	}
	return false;
}

static void wait_for_work(struct kb_exception *e)
{
	bool full = !e->spare || !rte_ring_free_count(e->lane[0].down);
	struct timespec soon = {.tv_nsec = FULL_NS};
	struct pollfd fd[] = {
		{.fd = e->event, .events = POLLIN},
		{.fd = full ? -1 : e->tap, .events = POLLIN},
	};
	eventfd_t count;

	__atomic_store_n(&e->asleep, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!anything_left(e))
		ppoll(fd, 2, full ? &soon : NULL, NULL);
	__atomic_store_n(&e->asleep, false, __ATOMIC_RELAXED);
	if (fd[0].revents)
		eventfd_read(e->event, &count);
}

static void follow_link(struct kb_exception *e)
{
	bool up = __atomic_load_n(&e->up, __ATOMIC_RELAXED);

	if (up == e->has_up)
		return;
	e->has_up = up;
	if (e->tap >= 0)
		kb_tap_carrier(e->tap, up);
}

static void *serve(void *arg)
{
	struct kb_exception *e = arg;

	while (!__atomic_load_n(&e->end, __ATOMIC_ACQUIRE)) {
		follow_link(e);
		if (to_kernel(e) + from_kernel(e) == 0)
			wait_for_work(e);
	}
	/* What the workers gave before they ended. */
	while (to_kernel(e))
		;
	return NULL;
}

/* ---- the main thread ---- */

static int failed(const struct kb_exception *e, const char *what, int r, char *err, size_t size)
{
	snprintf(err, size, "port %s: interface %s: %s: %s", e->p->name, e->ifname, what,
		 strerror(-r));
	return r;
}

static struct rte_ring *ring_new(const struct kb_exception *e, const char *what, uint16_t queue,
				 uint32_t size)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%u_%u", what, e->port, queue);
	return rte_ring_create(name, size, e->p->socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int memory_new(struct kb_exception *e)
{
	char name[32];

	snprintf(name, sizeof(name), "tap_%u", e->port);
	e->pool = rte_pktmbuf_pool_create_by_ops(
		name, DOWN_FRAMES + SEND_FRAMES + 4 * BURST - 1, 0, 0,
		(uint16_t)(RTE_PKTMBUF_HEADROOM + e->frame_max + 1), e->p->socket, "ring_sp_sc");
	if (!e->pool)
		return -rte_errno;
	for (uint16_t q = 0; q < e->queues; q++) {
		struct kb_lane *l = &e->lane[q];

		l->e = e;
		l->queue = q;
		l->up = ring_new(e, "up", q, KB_EXCEPTION_FRAMES);
		l->used = ring_new(e, "used", q, 2 * KB_EXCEPTION_FRAMES);
		if (q == 0)
			l->down = ring_new(e, "down", q, DOWN_FRAMES);
		if (!l->up || !l->used || (q == 0 && !l->down))
			return -rte_errno;
	}
	return 0;
}

/* Neighbours are asked for by multicast (RFC 4861). Software ports that hear all of it have no
 * such switch. */
static void hear_multicast(const struct kb_exception *e)
{
	int r = rte_eth_allmulticast_enable(e->port);

	if (r < 0 && r != -ENOTSUP)
		fprintf(stderr,
			"kbdns-dpdk: port %s: hears no multicast: %s: IPv6 neighbours will not "
			"find %s\n",
			e->p->name, strerror(-r), e->ifname);
}

int kb_exception_new(uint16_t port, const struct kb_dpdk_port *p, uint16_t queues,
		     const char *ifname, struct kb_exception **ret, char *err, size_t err_size)
{
	struct kb_exception *e = calloc(1, sizeof(*e) + queues * sizeof(e->lane[0]));
	char why[160];
	int r = -ENOMEM;

	if (!e) {
		snprintf(err, err_size, "no memory");
		return r;
	}
	e->p = p;
	e->port = port;
	e->queues = queues;
	e->tap = -1;
	e->partial = p->ifindex != 0;
	e->up = e->has_up = true;
	e->frame_max = (uint32_t)p->mtu + RTE_ETHER_HDR_LEN + 2 * sizeof(struct rte_vlan_hdr);
	snprintf(e->ifname, sizeof(e->ifname), "%s", ifname);
	e->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->event < 0) {
		r = failed(e, "eventfd", -errno, err, err_size);
		goto err;
	}
	r = memory_new(e);
	if (r < 0) {
		failed(e, "buffers (more memory: -m or huge pages)", r, err, err_size);
		goto err;
	}
	r = kb_tap_open(ifname, (const uint8_t *)&p->mac, p->mtu, &e->tap, why, sizeof(why));
	if (r < 0) {
		snprintf(err, err_size, "port %s: interface %s: %s, or --exception none", p->name,
			 ifname, why);
		goto err;
	}
	hear_multicast(e);
	*ret = e;
	return 0;
err:
	kb_exception_free(e);
	return r;
}

struct kb_lane *kb_exception_lane(struct kb_exception *e, uint16_t queue)
{
	return &e->lane[queue];
}

int kb_exception_start(struct kb_exception *e)
{
	char name[16];
	int r;

	snprintf(name, sizeof(name), "kbdns-tap%u", e->port % 1000U);
	r = rte_ctrl_thread_create(&e->thread, name, NULL, serve, e);
	if (r != 0)
		return -r;
	e->running = true;
	return kb_tap_keep(e->tap);
}

void kb_exception_stop(struct kb_exception *e)
{
	if (!e || !e->running)
		return;
	__atomic_store_n(&e->end, true, __ATOMIC_RELEASE);
	wake(e);
	pthread_join(e->thread, NULL);
	e->running = false;
}

void kb_exception_free(struct kb_exception *e)
{
	if (!e)
		return;
	for (uint16_t q = 0; q < e->queues; q++) {
		rte_ring_free(e->lane[q].up);
		rte_ring_free(e->lane[q].used);
		rte_ring_free(e->lane[q].down);
	}
	rte_mempool_free(e->pool);
	if (e->tap >= 0)
		close(e->tap);
	if (e->event >= 0)
		close(e->event);
	free(e);
}

void kb_exception_link(struct kb_exception *e, bool up)
{
	__atomic_store_n(&e->up, up, __ATOMIC_RELAXED);
	wake(e);
}
