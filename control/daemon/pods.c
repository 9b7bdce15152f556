// SPDX-License-Identifier: Apache-2.0
/* --pods: the loop's side of control/datapath/pods.h. */
#include <string.h>

#include "control/config/pods.h"
#include "control/daemon/daemon.h"
#include "control/daemon/rows.h"
#include "control/log.h"

static void on_idle(uv_idle_t *idle)
{
	struct kb_daemon *d = idle->data;

	if (d->stopping || !kb_pods_step(d->pods))
		uv_idle_stop(idle);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct kb_daemon *d = poll->data;

	(void)status; /* an error of the socket is what the read finds */
	(void)events;
	if (d->stopping)
		return;
	kb_pods_read(d->pods);
	uv_idle_start(&d->pods_idle, on_idle);
}

int kb_daemon_pods_start(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_pods_config config = {
		.patterns = (const char *const *)o->pods.v,
		.n_patterns = o->pods.n,
		.match = kb_pods_match,
		.max = o->pods_max,
	};
	struct kb_pods_stats stats;
	int r;

	if (!o->pods.n)
		return 0;
	r = kb_pods_new(d->datapath, &config, &d->pods, err, err_size);
	if (r < 0)
		return r;
	uv_idle_init(d->loop, &d->pods_idle);
	d->pods_idle.data = d;
	uv_idle_start(&d->pods_idle, on_idle);
	r = uv_poll_init(d->loop, &d->pods_poll, kb_pods_fd(d->pods));
	if (r == 0) {
		d->pods_poll.data = d;
		r = uv_poll_start(&d->pods_poll, UV_READABLE, on_readable);
	}
	if (r < 0) {
		snprintf(err, err_size, "--pods: main loop: %s", uv_strerror(r));
		return r;
	}
	kb_pods_stats(d->pods, &stats);
	kb_log_info("--pods: %llu interfaces found, more as they come",
		    (unsigned long long)(stats.attached + stats.failing + stats.waiting));
	return 0;
}

void kb_daemon_pods_pause(struct kb_daemon *d, bool pause)
{
	if (!d->pods)
		return;
	if (pause)
		uv_poll_stop(&d->pods_poll);
	else
		uv_poll_start(&d->pods_poll, UV_READABLE, on_readable);
}

void kb_daemon_pods_tick(struct kb_daemon *d)
{
	if (!d->pods)
		return;
	kb_pods_tick(d->pods);
	uv_idle_start(&d->pods_idle, on_idle);
}

void kb_daemon_pods_stats(const struct kb_daemon *d, struct kb_pods_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (d->pods)
		kb_pods_stats(d->pods, ret);
}

void kb_daemon_pods_metrics(const struct kb_daemon *d, struct kb_metrics *m)
{
	double bounds[KB_POD_LATENCY_BUCKETS];
	struct kb_pods_stats s;

	kb_daemon_pods_stats(d, &s);
	kb_rows_export(m, KB_ROWS_PODS, (const void *[]){&s}, 1, NULL, NULL);
	for (size_t i = 0; i < KB_POD_LATENCY_BUCKETS; i++)
		bounds[i] = (double)((uint64_t)KB_POD_LATENCY_FIRST_US << i) / 1e6;
	kb_metrics_family(m, "kbdns_pods_attach_seconds", KB_METRIC_HISTOGRAM,
			  "From an interface's netlink message to the attached program");
	kb_metrics_histogram(m, KB_POD_LATENCY_BUCKETS, bounds, s.latency,
			     (double)s.latency_us / 1e6, NULL);
}
