/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --mode local: the interface that kbdnsd listens at, and which addresses of the cluster DNS are
 * taken to it.
 *
 *   kbdns0: 169.254.20.10                      --local-address, for whoever is configured so
 *           169.254.53.0 .. 169.254.53.7      internal: each may stand for an address of the
 *           fd6b:6264:6e73:: .. ::7            cluster DNS (dataplane/core/local.h)
 *
 * All internal addresses are listened at from the start; that of a Service that is not known yet
 * gets no queries.
 */
#include "control/daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/datapath/local.h"
#include "control/datapath/localif.h"
#include "control/datapath/netdev.h"
#include "control/log.h"

/* Looks whether the interface is whole, every so many ticks of half a second, beside what the
 * kernel tells: whoever takes addresses from it, or sets it down, is found out by this alone. */
#define CHECK_TICKS 4

static bool is_on(const struct kb_daemon *d)
{
	return d->options.mode == KB_MODE_LOCAL;
}

/* Are there pods whose queries could be taken? */
static bool rewrites(const struct kb_daemon *d)
{
	return is_on(d) && (d->options.tc.n || d->options.pods.n);
}

static const char *interface(const struct kb_daemon *d)
{
	return d->options.local_interface.v[0];
}

/* --local-address is --listen at an interface of our own. */
static int add_listen(struct kb_options *o)
{
	size_t n = o->listen.n + o->local_address.n;
	struct kb_addr_port *v = realloc(o->listen.v, (n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	o->listen.v = v;
	for (size_t i = 0; i < o->local_address.n; i++)
		v[o->listen.n++] = o->local_address.v[i];
	return 0;
}

int kb_daemon_local_init(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_local *s = &d->local;
	int r;

	snprintf(s->mark, sizeof(s->mark), KB_LOCALIF_MARK, d->options.bpffs);
	if (!is_on(d))
		return 0;
	kb_options_default_max_age(&d->options, 0);
	r = add_listen(&d->options);
	if (r < 0)
		snprintf(err, err_size, "--local-address: %s", strerror(-r));
	return r;
}

static bool usable_family(const struct kb_daemon *d, const struct kb_cidr *range)
{
	return range->addr.family == 4 || kb_localif_has_ipv6() ||
	       kb_options_is_given(&d->options, "local-range");
}

/* Everything that the interface holds, and what is listened at. */
static int collect(struct kb_daemon *d, struct kb_addr base[2])
{
	const struct kb_options *o = &d->options;
	struct kb_daemon_local *s = &d->local;
	size_t max = o->listen.n + o->local_range.n * KB_LOCAL_SLOTS;

	s->listen = calloc(max + 1, sizeof(*s->listen));
	s->addrs = calloc(max + 1, sizeof(*s->addrs));
	if (!s->listen || !s->addrs)
		return -ENOMEM;
	for (size_t i = 0; i < o->listen.n; i++)
		s->listen[s->n_listen++] = o->listen.v[i];
	for (size_t i = 0; i < o->local_address.n; i++)
		s->addrs[s->n_addrs++] = o->local_address.v[i].addr;
	for (size_t i = 0; i < o->local_range.n; i++) {
		struct kb_addr a = o->local_range.v[i].addr;
		size_t last = a.family == 4 ? 3 : 15;

		if (!usable_family(d, &o->local_range.v[i]))
			continue;
		base[a.family == 4 ? 0 : 1] = a;
		for (int k = 0; k < KB_LOCAL_SLOTS; k++, a.b[last]++) {
			s->listen[s->n_listen++] = (struct kb_addr_port){a, KB_LOCAL_PORT};
			s->addrs[s->n_addrs++] = a;
		}
	}
	return 0;
}

static int interface_open(struct kb_daemon *d, bool *ret_made, char *err, size_t err_size)
{
	struct kb_daemon_local *s = &d->local;
	const struct kb_localif want = {interface(d), s->mark, s->addrs, s->n_addrs};

	return kb_localif_open(&want, &s->kind, ret_made, err, err_size);
}

static void interface_check(struct kb_daemon *d)
{
	char err[512];
	bool made;
	int r = interface_open(d, &made, err, sizeof(err));

	if (r < 0)
		kb_log_limited(KB_LOG_ERROR, 1, "%s", err);
	else if (made)
		kb_log_limited(KB_LOG_WARN, 1, "%s had gone, and is made anew", interface(d));
}

static void on_netdev(void *arg, const struct kb_netdev *dev)
{
	struct kb_daemon *d = arg;

	d->local.gone |= dev->gone && strcmp(dev->name, interface(d)) == 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct kb_daemon *d = poll->data;

	(void)status; /* an error of the socket is what the read finds */
	(void)events;
	if (d->stopping)
		return;
	d->local.gone = false;
	if (kb_netdev_watch_read(d->local.watch, on_netdev, d) < 0 || d->local.gone)
		interface_check(d);
}

/* 0, or -errno with one line in err. */
static int watch_start(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_local *s = &d->local;
	int r = kb_netdev_watch_new(&s->watch);

	if (r == 0)
		r = uv_poll_init(d->loop, &s->poll, kb_netdev_watch_fd(s->watch));
	if (r == 0) {
		s->poll.data = d;
		r = uv_poll_start(&s->poll, UV_READABLE, on_readable);
	}
	if (r < 0)
		snprintf(err, err_size, "local mode: cannot watch interfaces: %s", strerror(-r));
	return r;
}

int kb_daemon_local_start(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_addr base[2] = {0};
	int r;

	if (!is_on(d))
		return 0;
	r = collect(d, base);
	if (r < 0) {
		snprintf(err, err_size, "local mode: %s", strerror(-r));
		return r;
	}
	if (rewrites(d))
		kb_datapath_local_start(d->datapath, base);
	return 0;
}

int kb_daemon_local_interface(struct kb_daemon *d, char *err, size_t err_size)
{
	if (is_on(d)) {
		int r = interface_open(d, &d->local.made, err, err_size);

		return r < 0 ? r : watch_start(d, err, err_size);
	}
	/* Of an earlier run in local mode, whose programs go, too. */
	kb_localif_remove(interface(d), d->local.mark);
	return 0;
}

void kb_daemon_local_tick(struct kb_daemon *d)
{
	if (is_on(d) && ++d->local.ticks % CHECK_TICKS == 0)
		interface_check(d);
}

void kb_daemon_local_stop(struct kb_daemon *d, bool keep, bool failed)
{
	struct kb_daemon_local *s = &d->local;

	if (is_on(d) && (!keep || (failed && s->made)))
		kb_localif_remove(interface(d), s->mark);
	kb_netdev_watch_free(s->watch);
	free(s->listen);
	free(s->addrs);
	s->listen = NULL;
	s->addrs = NULL;
}

static bool is_listen(const struct kb_daemon *d, const struct kb_addr *addr)
{
	for (size_t i = 0; i < d->options.listen.n; i++) {
		const struct kb_addr *l = &d->options.listen.v[i].addr;

		if (l->family == addr->family &&
		    memcmp(l->b, addr->b, addr->family == 4 ? 4 : 16) == 0)
			return true;
	}
	return false;
}

void kb_daemon_local_clear(struct kb_daemon *d)
{
	if (rewrites(d))
		kb_datapath_local_clear(d->datapath);
}

static bool is_rewritten(const struct kb_daemon *d, const struct kb_addr *addr, uint16_t port)
{
	return rewrites(d) && port == KB_LOCAL_PORT && !is_listen(d, addr);
}

void kb_daemon_local_add(struct kb_daemon *d, const struct kb_addr *addr, uint16_t port)
{
	const struct kb_addr_port at = {*addr, port};
	char text[KB_ADDR_TEXT_MAX];
	int r;

	if (!is_rewritten(d, addr, port))
		return;
	r = kb_datapath_local_add(d->datapath, addr);
	if (r == 0)
		r = kb_daemon_pcache_serve(d, &at, KB_ICEPT_FORWARDED_TC);
	if (r < 0)
		kb_log_limited(KB_LOG_WARN, 3,
			       "%s is not taken to the forwarder: %s; its queries for other names "
			       "go on to the cluster DNS",
			       kb_format_addr_port(&at, text),
			       r == -ENOSPC ? "no internal address is left in --local-range"
					    : strerror(-r));
}

void kb_daemon_local_del(struct kb_daemon *d, const struct kb_addr *addr, uint16_t port)
{
	if (is_rewritten(d, addr, port))
		kb_datapath_local_del(d->datapath, addr);
}

/* ---- what is shown ---- */

static void out_addr(struct kb_json_out *o, const char *key, int family, const void *bytes)
{
	char text[INET6_ADDRSTRLEN];

	kb_json_put_str(o, key, inet_ntop(family ? AF_INET6 : AF_INET, bytes, text, sizeof(text)));
}

static void put_slots(struct kb_json_out *o, const struct kb_local *l, int family)
{
	for (int i = 0; i < KB_LOCAL_SLOTS; i++) {
		const struct kb_local_slot *s = &l->slot[family][i];
		uint64_t to[2] = {l->base[family][0], l->base[family][1] | (uint64_t)i << 56};
		size_t skip = family ? 0 : 12;

		if (!s->on)
			continue;
		kb_json_out_open(o, '{');
		out_addr(o, "address", family, (const uint8_t *)s->addr + skip);
		out_addr(o, "internal", family, (const uint8_t *)to + skip);
		kb_json_out_close(o);
	}
}

void kb_daemon_local_put(struct kb_json_out *o, const struct kb_daemon *d)
{
	kb_json_put_str(o, "mode", kb_mode_words[d->options.mode]);
	if (!is_on(d))
		return;
	kb_json_put_open(o, "local", '{');
	kb_json_put_str(o, "interface", interface(d));
	kb_json_put_str(o, "kind", d->local.kind);
	kb_json_put_open(o, "taken", '[');
	for (int family = 0; rewrites(d) && family < 2; family++)
		put_slots(o, kb_datapath_local(d->datapath), family);
	kb_json_out_close(o);
	kb_json_out_close(o);
}

void kb_daemon_local_counts(const struct kb_daemon *d, struct kb_local_counts *ret)
{
	kb_datapath_local_counts(d->datapath, (uint64_t *)ret->counter);
}
