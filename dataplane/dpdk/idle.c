// SPDX-License-Identifier: Apache-2.0
/* See idle.h. */
#include "dataplane/dpdk/idle.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_pause.h>
#include <rte_power_intrinsics.h>

#define IDLE_POLLS 1000
/* Between two polls, about a microsecond. */
#define PAUSES 32
/* By default the kernel lets a sleep last 50 us longer than asked for. */
#define SLACK_NS 1000

static bool has_tpause(void)
{
	struct rte_cpu_intrinsics cpu = {0};

	rte_cpu_get_intrinsics_support(&cpu);
	return cpu.power_pause;
}

static bool interrupts(const struct kb_dpdk_idle *i, int op)
{
	return rte_eth_dev_rx_intr_ctl_q(i->port, i->queue, RTE_EPOLL_PER_THREAD, op, NULL) == 0;
}

/* Some drivers give a descriptor, but cannot be told to signal it. */
static bool interrupts_begin(const struct kb_dpdk_idle *i)
{
	if (!interrupts(i, RTE_INTR_EVENT_ADD))
		return false;
	if (rte_eth_dev_rx_intr_enable(i->port, i->queue) == 0) {
		rte_eth_dev_rx_intr_disable(i->port, i->queue);
		return true;
	}
	interrupts(i, RTE_INTR_EVENT_DEL);
	return false;
}

static void disarm(struct kb_dpdk_idle *i)
{
	if (i->armed)
		rte_eth_dev_rx_intr_disable(i->port, i->queue);
	i->armed = false;
}

void kb_dpdk_idle_end(struct kb_dpdk_idle *i)
{
	disarm(i);
	if (i->wait == KB_WAIT_INTERRUPT)
		interrupts(i, RTE_INTR_EVENT_DEL);
	i->wait = KB_WAIT_POLL;
	i->policy = 0;
}

enum kb_wait kb_dpdk_idle_choose(struct kb_dpdk_idle *i, uint32_t policy)
{
	if (policy == i->policy)
		return i->wait;
	kb_dpdk_idle_end(i);
	i->policy = policy;
	i->empty = 0;
	prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
	if (policy == KB_IDLE_PAUSE)
		i->wait = has_tpause() ? KB_WAIT_TPAUSE : KB_WAIT_PAUSE;
	else if (policy == KB_IDLE_INTERRUPT)
		i->wait = interrupts_begin(i) ? KB_WAIT_INTERRUPT : KB_WAIT_SLEEP;
	return i->wait;
}

/* Of what arrived before interrupts were on, a port says nothing: so they are switched on, the
 * queue is polled once more, and only then it waits. Returns whether it has. */
static bool wait_interrupt(struct kb_dpdk_idle *i, uint32_t sleep_us)
{
	struct rte_epoll_event event;

	if (!i->armed) {
		i->armed = rte_eth_dev_rx_intr_enable(i->port, i->queue) == 0;
		return false;
	}
	rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, (int)(sleep_us + 999) / 1000);
	disarm(i);
	return true;
}

bool kb_dpdk_idle_wait(struct kb_dpdk_idle *i, uint32_t n, uint32_t sleep_us)
{
	i->empty = n ? 0 : i->empty + 1;
	if (i->empty <= IDLE_POLLS) {
		disarm(i);
		return false;
	}
	i->empty = IDLE_POLLS;
	switch (i->wait) {
	case KB_WAIT_PAUSE:
		for (int p = 0; p < PAUSES; p++)
			rte_pause();
		break;
	case KB_WAIT_TPAUSE:
		rte_power_pause(rte_rdtsc() + rte_get_tsc_hz() / 1000000 * sleep_us);
		break;
	case KB_WAIT_SLEEP:
		usleep(sleep_us);
		break;
	case KB_WAIT_INTERRUPT:
		return wait_interrupt(i, sleep_us);
	default:
		return false;
	}
	return true;
}
