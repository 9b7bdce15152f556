// SPDX-License-Identifier: Apache-2.0
/*
 * kbdns-dpdk: answers DNS queries on the queues of the ports that EAL has, one poll-mode worker for
 * each queue and one lcore for each worker, out of the table of the kbdnsd that runs on
 * this node. See process.h for its threads.
 *
 * Nothing is allocated after the start. The order of starting is that of what can fail: the
 * table, EAL, all ports; so that what is wrong leaves no port half configured.
 */
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/process.h"

static struct kb_dpdk_process p;

static int fail(const char *err)
{
	fprintf(stderr, "kbdns-dpdk: %s\n", err);
	return -1;
}

/* The port, and its exception path. */
static int port_start(struct kb_dpdk_process_port *port, uint16_t queues)
{
	bool sees = kb_dpdk_port_kernel_sees(port->id),
	     wanted = kb_exception_wanted(&p.options.exception, sees);
	char err[256], name[IF_NAMESIZE] = "";

	if (kb_dpdk_port_start(port->id, queues, wanted ? KB_EXCEPTION_HELD : 0, &port->conf, err,
			       sizeof(err)) < 0)
		return fail(err);
	port->started = true;
	port->up = true;
	if (wanted) {
		kb_exception_name(&p.options.exception, port->id, name);
		if (kb_exception_new(port->id, &port->conf, queues, name, &port->exception, err,
				     sizeof(err)) < 0)
			return fail(err);
	}
	fprintf(stderr, "kbdns-dpdk: port %s: %u queues, MTU %u, UDP checksums by %s%s%s\n",
		port->conf.name, queues, port->conf.mtu,
		port->conf.csum_offload ? "the port" : "software",
		wanted ? ", exception path by " : "", name);
	if (!sees && !wanted)
		fprintf(stderr,
			"kbdns-dpdk: port %s: the kernel does not see it: all that is not answered "
			"is dropped, ARP too (--exception)\n",
			port->conf.name);
	return 0;
}

static int ports_start(void)
{
	unsigned int lcores = rte_lcore_count();
	char err[256];
	uint16_t id;

	for (id = 0; id < RTE_MAX_ETHPORTS; id++) {
		if (rte_eth_dev_is_valid_port(id))
			p.port[p.n_ports++].id = id;
	}
	if (!p.n_ports)
		return fail("EAL has no port: name a device behind -- (-a ADDRESS or --vdev NAME)");
	if (lcores % p.n_ports) {
		snprintf(err, sizeof(err),
			 "%u lcores cannot be shared equally by %u ports: change -l", lcores,
			 p.n_ports);
		return fail(err);
	}
	for (unsigned int i = 0; i < p.n_ports; i++) {
		if (port_start(&p.port[i], (uint16_t)(lcores / p.n_ports)) < 0)
			return -1;
	}
	return 0;
}

/* Queue n / ports of port n % ports, for worker n on this lcore. */
static int worker_start(unsigned int n, unsigned int lcore)
{
	struct kb_dpdk_process_port *port = &p.port[n % p.n_ports];
	struct kb_dpdk_worker *w =
		rte_zmalloc_socket("kbdns_worker", sizeof(*w), RTE_CACHE_LINE_SIZE,
				   (int)rte_lcore_to_socket_id(lcore));
	struct kb_dpdk_queue *q;

	if (!w)
		return fail("no memory for a worker: more of it is needed (-m)");
	p.worker[p.n_workers++] = w;
	w->process = &p;
	w->port = port;
	q = &w->queue;
	kb_dpdk_engine_init(&q->engine);
	q->engine.table = kb_shared_table(p.shared);
	q->engine.queue = n;
	q->engine.mtu = port->conf.mtu;
	q->engine.mac = port->conf.mac;
	q->engine.csum_offload = port->conf.csum_offload;
	q->port = w->idle.port = port->id;
	q->queue = w->idle.queue = (uint16_t)(n / p.n_ports);
	q->given = p.options.given;
	snprintf(q->says.port, sizeof(q->says.port), "%s", port->conf.name);
	if (port->exception) {
		q->left_arg = kb_exception_lane(port->exception, q->queue);
		q->left_take = kb_lane_take;
		q->left_turn = kb_lane_turn;
	}
	q->xsk = kb_xsk_find(port->id, q->queue);
	if (q->xsk && !port->exception) {
		q->left_arg = q->xsk;
		q->left_take = kb_xsk_unsteer;
	}
	if (q->xsk && kb_xsk_enter(q->xsk) < 0)
		return fail(
			"a queue cannot be taken over: kbdnsd has changed its ports, try again");
	q->workers = kb_shared_workers(p.shared);
	q->stats = kb_shared_stats(p.shared);
	q->info = (struct kb_reader_info){
		.pid = (uint32_t)getpid(),
		.ifindex = port->conf.ifindex,
		.queue = q->xsk ? q->xsk->kernel_queue : q->queue,
	};
	if (kb_dpdk_queue_start(q, kb_dpdk_now_ns(CLOCK_MONOTONIC)) < 0)
		return fail("all rows for workers are taken: end other kbdns-dpdk processes");
	return 0;
}

static int workers_start(void)
{
	for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (rte_lcore_is_enabled(lcore) && worker_start(p.n_workers, lcore) < 0)
			return -1;
	}
	return 0;
}

static void on_signal(int sig)
{
	(void)sig;
	p.stop = 1;
}

static int exceptions_start(void)
{
	for (unsigned int i = 0; i < p.n_ports; i++) {
		if (p.port[i].exception && kb_exception_start(p.port[i].exception) < 0)
			return fail("no thread for the exception path");
	}
	return 0;
}

/* Returns when all workers have ended, or -1. */
static int run(void)
{
	struct sigaction act = {.sa_handler = on_signal};
	unsigned int n = 0, lcore, main_lcore = rte_get_main_lcore();
	struct kb_dpdk_worker *mine = NULL;
	pthread_t thread;

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	if (exceptions_start() < 0)
		return -1;
	if (rte_ctrl_thread_create(&thread, "kbdns-control", NULL, kb_dpdk_control_run, &p) != 0)
		return fail("no thread");
	fprintf(stderr, "kbdns-dpdk: ready: %u workers\n", p.n_workers);
	for (lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (!rte_lcore_is_enabled(lcore))
			continue;
		if (lcore != main_lcore)
			rte_eal_remote_launch(kb_dpdk_worker_run, p.worker[n], lcore);
		else
			mine = p.worker[n];
		n++;
	}
	kb_dpdk_worker_run(mine);
	rte_eal_mp_wait_lcore();
	__atomic_store_n(&p.control_end, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	return p.stale ? -1 : 0;
}

static void clean_up(void)
{
	for (unsigned int i = 0; i < p.n_ports; i++) {
		if (!p.port[i].started)
			continue;
		kb_exception_stop(p.port[i].exception);
		kb_dpdk_port_stop(p.port[i].id, &p.port[i].conf);
		kb_exception_free(p.port[i].exception);
	}
	for (unsigned int i = 0; i < p.n_workers; i++) {
		kb_dpdk_queue_stop(&p.worker[i]->queue);
		rte_free(p.worker[i]);
	}
	rte_eal_cleanup();
	kb_xsk_fini();
	kb_shared_close(p.shared);
}

int main(int argc, char **argv)
{
	int first = kb_dpdk_options_parse(&p.options, argc, argv), r;
	char err[512];

	if (kb_shared_open(p.options.bpffs, &p.shared, err, sizeof(err)) < 0) {
		fail(err);
		return 1;
	}
	kb_xsk_init(p.options.bpffs);
	/* EAL wants a program's name in front. */
	argv[first - 1] = argv[0];
	if (kb_dpdk_eal_start(argc - first + 1, argv + first - 1, err, sizeof(err)) < 0) {
		fail(err);
		kb_shared_close(p.shared);
		return 1;
	}
	r = ports_start();
	if (r == 0)
		r = workers_start();
	if (r == 0)
		r = run();
	clean_up();
	return r < 0 ? 1 : 0;
}
