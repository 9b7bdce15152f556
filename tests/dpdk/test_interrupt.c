// SPDX-License-Identifier: Apache-2.0
/*
 * A worker that waits for receive interrupts, on the one port here that has them: virtio-user,
 * whose other end is a vhost-user port of the same process. Neither needs privileges, but the
 * interrupt of a queue is an eventfd as it is for a card behind vfio.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include "dataplane/dpdk/idle.h"
#include "dataplane/dpdk/port.h"

#define LONG_US	 60000000 /* no wait lasts so long that was ended by a frame */
#define SHORT_US 5000
#define TURNS	 50

static char dir[] = "/tmp/kbdns-interrupt.XXXXXX";
static uint16_t card, far;
static struct kb_dpdk_port card_conf, far_conf;
static struct kb_dpdk_idle idle;

static int setup(void **state)
{
	char vhost[128], virtio[128], err[256];
	char *args[] = {"test",	 "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
			"-m",	 "128",	      "-l",	     "0",	 "--log-level",
			"error", "--vdev",    vhost};

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(vhost, sizeof(vhost), "net_vhost0,iface=%s/sock", dir);
	snprintf(virtio, sizeof(virtio), "net_virtio_user0,path=%s/sock,queues=1", dir);
	snprintf(err, sizeof(err), "no port");
	/* The one listens once it is configured, the other connects when it is made. */
	if (rte_eal_init(sizeof(args) / sizeof(*args), args) >= 0 &&
	    rte_eth_dev_get_port_by_name("net_vhost0", &far) == 0 &&
	    kb_dpdk_port_start(far, 1, 0, &far_conf, err, sizeof(err)) == 0 &&
	    rte_dev_probe(virtio) == 0 &&
	    rte_eth_dev_get_port_by_name("net_virtio_user0", &card) == 0 &&
	    kb_dpdk_port_start(card, 1, 0, &card_conf, err, sizeof(err)) == 0) {
		idle.port = card;
		return 0;
	}
	print_error("%s\n", err);
	return -1;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	kb_dpdk_port_stop(card, &card_conf);
	kb_dpdk_port_stop(far, &far_conf);
	rte_eal_cleanup();
	snprintf(path, sizeof(path), "%s/sock", dir);
	unlink(path);
	return rmdir(dir);
}

/* As a worker does: until there is a frame, or a wait is over. */
static bool idle_until(uint32_t sleep_us, bool *ret_waited)
{
	struct rte_mbuf *m;

	*ret_waited = false;
	for (;;) {
		uint32_t n = rte_eth_rx_burst(card, 0, &m, 1);

		if (n)
			rte_pktmbuf_free(m);
		if (*ret_waited || n) {
			assert_false(kb_dpdk_idle_wait(&idle, n, sleep_us) && n);
			return n;
		}
		*ret_waited = kb_dpdk_idle_wait(&idle, n, sleep_us);
	}
}

static void *send_one(void *arg)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(far_conf.pool);
	uint8_t *frame = (void *)rte_pktmbuf_append(m, 60);

	memset(frame, 0, 60);
	memcpy(frame, &card_conf.mac, 6);
	usleep(*(const unsigned int *)arg);
	assert_int_equal(rte_eth_tx_burst(far, 0, &m, 1), 1);
	return NULL;
}

/* A frame ends the wait, whenever it comes: long before, while or after the worker prepares. */
static void test_frame(void **state)
{
	unsigned int waits = 0;

	(void)state;
	assert_int_equal(kb_dpdk_idle_choose(&idle, KB_IDLE_INTERRUPT), KB_WAIT_INTERRUPT);
	for (unsigned int i = 0; i < TURNS; i++) {
		unsigned int after_us = i % 5 * 1000;
		uint64_t start = rte_rdtsc();
		pthread_t thread;
		bool waited;

		assert_int_equal(pthread_create(&thread, NULL, send_one, &after_us), 0);
		while (!idle_until(LONG_US, &waited))
			waits += waited;
		waits += waited;
		pthread_join(thread, NULL);
		assert_true(rte_rdtsc() - start < rte_get_tsc_hz() * (LONG_US / 2000000));
	}
	assert_true(waits > 0);
}

/* Without one it ends too, so that the worker beats. */
static void test_bound(void **state)
{
	uint64_t start = rte_rdtsc();
	bool waited;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_false(idle_until(SHORT_US, &waited));
		assert_true(waited);
	}
	assert_true(rte_rdtsc() - start > rte_get_tsc_hz() / 1000000 * 2 * SHORT_US);
	kb_dpdk_idle_end(&idle);
	/* A policy later, and back. */
	assert_int_equal(kb_dpdk_idle_choose(&idle, KB_IDLE_BUSY), KB_WAIT_POLL);
	assert_int_equal(kb_dpdk_idle_choose(&idle, KB_IDLE_INTERRUPT), KB_WAIT_INTERRUPT);
	kb_dpdk_idle_end(&idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
