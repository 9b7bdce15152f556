// SPDX-License-Identifier: Apache-2.0
/* See xsk.h. */
#include "dataplane/dpdk/xsk.h"

#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include <rte_config.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/core/steer.h"
#include "dataplane/dpdk/bpf.h"
#include "dataplane/dpdk/partial.h"

#define BEATS_SIZE (KB_STEER_KEYS * sizeof(uint64_t))

static struct {
	const char *bpffs;
	bool open;
	int ports_fd, xsks_fd, unsteer_fd; /* owned while open */
	uint64_t *beats;		   /* owned mapping while open */
	uint16_t port, queue;		   /* that are being set up */
	char error[256];
	struct kb_xsk *xsk[RTE_MAX_LCORE]; /* owned: a worker has one queue */
	unsigned int n;
} x;

void kb_xsk_init(const char *bpffs)
{
	x.bpffs = bpffs;
}

void kb_xsk_begin(uint16_t port, uint16_t queue)
{
	struct rte_eth_dev_info info;
	int fd;

	x.port = port;
	x.queue = queue;
	x.error[0] = 0;
	if (rte_eth_dev_info_get(port, &info) < 0 || strcmp(info.driver_name, "net_af_xdp") != 0)
		return;
	/* The driver makes its memory known before its socket, and says of neither why not. */
	fd = socket(AF_XDP, SOCK_RAW, 0);
	if (fd < 0)
		snprintf(x.error, sizeof(x.error), "AF_XDP: %s%s", strerror(errno),
			 errno == EPERM ? ": root, or CAP_NET_RAW and CAP_IPC_LOCK, is needed"
					: "");
	else
		close(fd);
}

const char *kb_xsk_error(void)
{
	return x.error;
}

struct kb_xsk *kb_xsk_find(uint16_t port, uint16_t queue)
{
	for (unsigned int i = 0; i < x.n; i++) {
		if (x.xsk[i]->port == port && x.xsk[i]->queue == queue)
			return x.xsk[i];
	}
	return NULL;
}

__attribute__((format(printf, 2, 3))) static int failed(int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(x.error, sizeof(x.error), format, ap);
	va_end(ap);
	return r;
}

static int pin(const char *name)
{
	int fd = kb_bpf_open(x.bpffs, name);

	return fd >= 0 ? fd
		       : failed(fd, "%s/%s: %s%s", x.bpffs, name, strerror(-fd),
				fd == -ENOENT  ? ": does kbdnsd run with --xdp?"
				: fd == -EPERM ? ": root or CAP_BPF is needed"
					       : "");
}

static void pins_close(void)
{
	if (x.ports_fd >= 0)
		close(x.ports_fd);
	if (x.xsks_fd >= 0)
		close(x.xsks_fd);
	if (x.unsteer_fd >= 0)
		close(x.unsteer_fd);
	if (x.beats)
		munmap(x.beats, BEATS_SIZE);
	x.beats = NULL;
	x.open = false;
}

static int beats_map(void)
{
	struct bpf_map_info info;
	int fd = pin("kb_steer_beat"), r;
	void *at;

	if (fd < 0)
		return fd;
	r = kb_bpf_map_info(fd, &info);
	if (r == 0 && (info.value_size != sizeof(uint64_t) || info.max_entries != KB_STEER_KEYS))
		r = -EPROTO;
	if (r == 0) {
		at = mmap(NULL, BEATS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED)
			r = -errno;
		else
			x.beats = at;
	}
	close(fd);
	return r < 0 ? failed(r, "%s/table/kb_steer_beat: %s", x.bpffs, strerror(-r)) : 0;
}

static int pins_open(void)
{
	int r;

	if (x.open)
		return 0;
	x.ports_fd = pin("kb_ports");
	x.xsks_fd = x.ports_fd < 0 ? -1 : pin("kb_xsks");
	x.unsteer_fd = x.xsks_fd < 0 ? -1 : pin("prog_unsteer");
	r = x.unsteer_fd < 0 ? -ENOENT : beats_map();
	if (r < 0) {
		pins_close();
		return r;
	}
	x.open = true;
	return 0;
}

static bool port_find(uint32_t ifindex, struct kb_port_conf *ret_port)
{
	for (uint32_t probe = 0; probe < KB_PORT_PROBES; probe++) {
		if (kb_bpf_map_lookup(x.ports_fd, kb_port_place(ifindex, probe), ret_port) == 0 &&
		    ret_port->ifindex == ifindex)
			return true;
	}
	return false;
}

/* The key of a queue of the kernel's, or -errno. */
static int find_key(const char *ifname, uint32_t ifindex, uint32_t queue)
{
	struct kb_port_conf port;

	if (!port_find(ifindex, &port))
		return failed(-ENODEV, "kbdnsd does not serve %s by XDP: give it --xdp %s", ifname,
			      ifname);
	if (!port.steer)
		return failed(-EOPNOTSUPP,
			      "%s has XDP in generic mode, and only native ports are handed over",
			      ifname);
	if (queue >= KB_STEER_QUEUES)
		return failed(-ERANGE, "queue %u of %s: only the first %d are handed over", queue,
			      ifname, KB_STEER_QUEUES);
	return (int)kb_steer_key(port.steer, queue);
}

/* 0 or -ENOMEM: more of them than there can be workers. */
static int remember(const struct kb_xsk *made)
{
	struct kb_xsk *xsk = kb_xsk_find(made->port, made->queue);

	if (!xsk) {
		xsk = x.n < RTE_MAX_LCORE ? calloc(1, sizeof(*xsk)) : NULL;
		if (!xsk)
			return -ENOMEM;
		x.xsk[x.n++] = xsk;
	}
	*xsk = *made;
	return 0;
}

int xsk_socket__create(struct xsk_socket **ret, const char *ifname, __u32 queue,
		       struct xsk_umem *umem, struct xsk_ring_cons *rx, struct xsk_ring_prod *tx,
		       const struct xsk_socket_config *config)
{
	int (*make)(struct xsk_socket **, const char *, __u32, struct xsk_umem *,
		    struct xsk_ring_cons *, struct xsk_ring_prod *,
		    const struct xsk_socket_config *);
	struct kb_xsk made = {
		.port = x.port,
		.queue = x.queue,
		.ifindex = if_nametoindex(ifname),
		.kernel_queue = queue,
	};
	struct xsk_socket_config own = *config;
	int r = pins_open(), key;

	if (r < 0)
		return r;
	key = find_key(ifname, made.ifindex, queue);
	if (key < 0)
		return key;
	*(void **)&make = dlsym(RTLD_NEXT, "xsk_socket__create");
	own.libxdp_flags |= XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
	r = make(ret, ifname, queue, umem, rx, tx, &own);
	if (r < 0)
		return failed(r, "AF_XDP socket on queue %u of %s: %s%s", queue, ifname,
			      strerror(-r),
			      r == -EBUSY   ? ": another process has it, end that first"
			      : r == -EPERM ? ": CAP_NET_RAW and CAP_IPC_LOCK are needed"
					    : "");
	made.fd = xsk_socket__fd(*ret);
	made.key = (uint32_t)key;
	made.beat = &x.beats[key];
	r = remember(&made);
	if (r < 0) {
		xsk_socket__delete(*ret);
		failed(r, "no memory for a queue");
	}
	return r;
}

int bpf_xdp_detach(int ifindex, __u32 flags, const struct bpf_xdp_attach_opts *opts)
{
	(void)ifindex;
	(void)flags;
	(void)opts;
	return 0;
}

void kb_xsk_fini(void)
{
	for (unsigned int i = 0; i < x.n; i++)
		free(x.xsk[i]);
	x.n = 0;
	if (x.open)
		pins_close();
}

int kb_xsk_enter(struct kb_xsk *xsk)
{
	/* Of a worker that was killed. */
	__atomic_store_n(xsk->beat, 0, __ATOMIC_RELAXED);
	xsk->placed = true;
	return kb_bpf_map_update(x.xsks_fd, xsk->key, &xsk->fd);
}

static void follow(struct kb_xsk *xsk)
{
	struct kb_port_conf port;
	bool is = port_find(xsk->ifindex, &port) && port.steer;
	uint32_t key = is ? kb_steer_key(port.steer, xsk->kernel_queue) : xsk->key;

	if (xsk->placed && (!is || key != xsk->key)) {
		/* Of another port by now: that one's worker enters its own again, as here. */
		kb_bpf_map_delete(x.xsks_fd, xsk->key);
		__atomic_store_n(&xsk->beat, &xsk->nowhere, __ATOMIC_RELEASE);
	}
	/* The socket is entered first: a beat without one is counted as refused. */
	xsk->placed = is && kb_bpf_map_update(x.xsks_fd, key, &xsk->fd) == 0;
	if (xsk->placed) {
		xsk->key = key;
		__atomic_store_n(&xsk->beat, &x.beats[key], __ATOMIC_RELEASE);
	}
}

void kb_xsk_follow(void)
{
	for (unsigned int i = 0; i < x.n; i++)
		follow(x.xsk[i]);
}

void kb_xsk_serve(struct kb_xsk *xsk, bool serve)
{
	if (xsk->serving == serve)
		return;
	xsk->serving = serve;
	if (!serve)
		__atomic_store_n(__atomic_load_n(&xsk->beat, __ATOMIC_ACQUIRE), 0,
				 __ATOMIC_RELAXED);
}

void kb_xsk_unsteer(void *arg, struct kb_worker_counts *counts, struct rte_mbuf **left, uint32_t n)
{
	const struct kb_xsk *xsk = arg;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *frame = rte_pktmbuf_mtod(left[i], uint8_t *);
		uint32_t len = left[i]->data_len;

		/* Only a kernel's own frames, as a veth has them, are without a checksum. */
		kb_partial_fill(frame, len);
		if (kb_bpf_run_tc(x.unsteer_fd, frame, len, xsk->ifindex) == 0)
			counts->kernel.in++;
		else
			counts->kernel.in_failed++;
	}
	rte_pktmbuf_free_bulk(left, n);
}
