/* SPDX-License-Identifier: Apache-2.0 */
/* The packet-path cache between the forwarder, which fills it, and the datapath. */
#include <stdio.h>
#include <string.h>

#include "control/daemon/daemon.h"

static void wake(void *arg)
{
	struct kb_daemon *d = arg;

	uv_async_send(&d->pcache_wake);
}

static void on_wake(uv_async_t *async)
{
	struct kb_daemon *d = async->data;

	if (!d->stopping && kb_pcache_turn(d->pcache))
		uv_async_send(async);
}

bool kb_daemon_pcache_wanted(const struct kb_options *o)
{
	/* Interfaces may be found later, and workers of kbdns-dpdk come when they like. */
	return o->forward && o->listen.n && o->cache_size && o->packet_cache_size;
}

int kb_daemon_pcache_start(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_pcache_backing backing;
	int r = kb_datapath_pcache(d->datapath, &backing);

	if (r < 0) {
		/* What an earlier run has left is nobody's any more. */
		kb_write_once(kb_table_backing(d->table)->header->pcache_epoch, 0);
		return 0;
	}
	r = uv_async_init(d->loop, &d->pcache_wake, on_wake);
	d->pcache_wake.data = d;
	if (r == 0)
		r = kb_pcache_new(&backing, wake, d, &d->pcache);
	if (r < 0)
		snprintf(err, err_size, "packet-path cache: %s", strerror(-r));
	return r;
}

int kb_daemon_pcache_serve(struct kb_daemon *d, const struct kb_addr_port *at, uint64_t flags)
{
	if (!d->pcache)
		return 0;
	return kb_table_icept_set_flags(d->table, at->addr.family, at->addr.b, at->port, flags);
}

void kb_daemon_pcache_offer(void *arg, const struct kb_pcache_offer *offer)
{
	struct kb_daemon *d = arg;

	kb_pcache_offer(d->pcache, offer);
}

void kb_daemon_pcache_tick(struct kb_daemon *d)
{
	uint64_t ms, jiffies;
	uint32_t hz;

	if (!d->pcache)
		return;
	kb_datapath_clock(d->datapath, &ms, &jiffies, &hz);
	kb_pcache_clock(d->pcache, ms, jiffies, hz);
}

void kb_daemon_pcache_void(struct kb_daemon *d)
{
	if (d->pcache)
		kb_pcache_void(d->pcache);
}

void kb_daemon_pcache_stats(const struct kb_daemon *d, struct kb_pcache_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (d->pcache)
		kb_pcache_stats(d->pcache, ret);
}
