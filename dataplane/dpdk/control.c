// SPDX-License-Identifier: Apache-2.0
/* The control thread; see process.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/dpdk/process.h"
#include "dataplane/dpdk/xsk.h"

#define FOLLOW_US 2000
#define LINK_MS	  500

/* Has each worker polled since the last call? Then it has been outside a burst. */
static bool all_passed(struct kb_dpdk_process *p)
{
	bool passed = true;

	for (unsigned int i = 0; i < p->n_workers; i++)
		passed &= __atomic_load_n(&p->worker[i]->queue.polls, __ATOMIC_ACQUIRE) !=
			  p->worker[i]->polls;
	if (!passed)
		return false;
	for (unsigned int i = 0; i < p->n_workers; i++)
		p->worker[i]->polls = __atomic_load_n(&p->worker[i]->queue.polls, __ATOMIC_ACQUIRE);
	return true;
}

/* Told once for each change; a port that was withdrawn has no link on purpose. */
static void look_at_links(struct kb_dpdk_process *p)
{
	for (unsigned int i = 0; i < p->n_ports; i++) {
		struct kb_dpdk_process_port *port = &p->port[i];
		bool up = port->up;

		if (!port->away)
			up = kb_dpdk_port_link(port->id, &port->conf);
		if (port->up == up)
			continue;
		port->up = up;
		if (port->exception)
			kb_exception_link(port->exception, port->up);
		fprintf(stderr, "kbdns-dpdk: port %s: link is %s\n", port->conf.name,
			port->up ? "up" : "down: nothing is received until it is up again");
	}
	for (unsigned int i = 0; i < p->n_workers; i++)
		__atomic_store_n(&p->worker[i]->link_down, !p->worker[i]->port->up,
				 __ATOMIC_RELAXED);
}

/* Workers do not print; once for each port. */
static void tell_waits(struct kb_dpdk_process *p)
{
	for (unsigned int i = 0; i < p->n_workers; i++) {
		struct kb_dpdk_process_port *port = p->worker[i]->port;

		if (port->told_sleep ||
		    __atomic_load_n(&p->worker[i]->wait, __ATOMIC_RELAXED) != KB_WAIT_SLEEP)
			continue;
		port->told_sleep = true;
		fprintf(stderr,
			"kbdns-dpdk: port %s: its driver has no receive interrupts: idle workers "
			"sleep and look again\n",
			port->conf.name);
	}
}

/* Does each worker of the port want it withdrawn? */
static bool all_drain(const struct kb_dpdk_process *p, const struct kb_dpdk_process_port *port)
{
	for (unsigned int i = 0; i < p->n_workers; i++) {
		if (p->worker[i]->port == port &&
		    !__atomic_load_n(&p->worker[i]->drain, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

/* Withdraws what is to be withdrawn, and takes back into service what is not. */
static void withdraw(struct kb_dpdk_process *p)
{
	for (unsigned int i = 0; i < p->n_ports; i++) {
		struct kb_dpdk_process_port *port = &p->port[i];
		bool away = all_drain(p, port);

		port->cannot = away != port->away &&
			       kb_dpdk_port_withdraw(port->id, &port->conf, away) < 0;
		if (!port->cannot)
			port->away = away;
	}
	for (unsigned int i = 0; i < p->n_workers; i++) {
		struct kb_dpdk_worker *w = p->worker[i];
		uint32_t away = w->port->away	  ? KB_AWAY_YES
				: w->port->cannot ? KB_AWAY_CANNOT
						  : KB_AWAY_NO;

		__atomic_store_n(&w->away, away, __ATOMIC_RELEASE);
	}
}

/* One worker that is asked to stop stops the process. */
static bool is_stop_asked(const struct kb_dpdk_process *p)
{
	for (unsigned int i = 0; i < p->n_workers; i++) {
		if (__atomic_load_n(&p->worker[i]->queue.ask, __ATOMIC_RELAXED) ==
		    KB_WORKER_ASK_STOP)
			return true;
	}
	return false;
}

static void follow_table(struct kb_dpdk_process *p, char *said, size_t size)
{
	char err[256];
	int r = kb_shared_follow(p->shared, all_passed(p), err, sizeof(err));

	/* What may pass is tried again, and told once. */
	if (r < 0 && strcmp(err, said) != 0) {
		fprintf(stderr, "kbdns-dpdk: %s\n", err);
		snprintf(said, size, "%s", err);
	} else if (r >= 0) {
		said[0] = 0;
	}
	if (r == -ESTALE) {
		p->stale = true;
		p->stop = 1;
	}
}

void *kb_dpdk_control_run(void *arg)
{
	struct kb_dpdk_process *p = arg;
	unsigned int turn = 0;
	char said[256] = "";

	while (!__atomic_load_n(&p->control_end, __ATOMIC_ACQUIRE)) {
		if (!p->stale)
			follow_table(p, said, sizeof(said));
		if (is_stop_asked(p))
			p->stop = 1;
		withdraw(p);
		if (turn++ % (LINK_MS * 1000 / FOLLOW_US) == 0) {
			look_at_links(p);
			kb_xsk_follow();
		}
		tell_waits(p);
		usleep(FOLLOW_US);
	}
	return NULL;
}
