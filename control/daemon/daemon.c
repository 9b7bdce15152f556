/* SPDX-License-Identifier: Apache-2.0 */
/* Putting the parts together, and taking them apart. */
#include "control/daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/config/rules.h"
#include "control/log.h"

_Static_assert(KB_OPT_DNS_SERVICES_MAX == KB_DNS_SERVICES_MAX, "options and records agree");

/*
 * The index is read-mostly, so that all caches may hold its lines at once. With two CPUs that
 * answer at once, a replica for each changed the mean of a run by no more than the measurement's
 * own noise (bench/replicas: -3 ns at 1,000 names and 0 at 100,000, +12 and -9 with 10,000
 * changes a second), and costs its size in memory. More CPUs could not be tried.
 */
#define REPLICAS_AUTO 1

void kb_daemon_apply_tunables(struct kb_daemon *d)
{
	const struct kb_options *o = &d->options;
	struct kb_worker_tune worker = {.burst = (uint32_t)o->worker_burst,
					.ahead = (uint32_t)o->worker_ahead,
					.idle = o->worker_idle + KB_IDLE_BUSY,
					.sleep_us = (uint32_t)o->worker_sleep_us};

	kb_table_set_worker_tune(d->table, &worker);
	kb_table_set_udp_max(d->table, (uint16_t)o->max_udp_size);
	kb_table_set_ttl(d->table, (uint32_t)o->ttl_s);
	kb_table_set_flag(d->table, KB_FLAG_ROTATE, o->rotation);
	kb_table_set_flag(d->table, KB_FLAG_LATENCY, o->latency_histogram);
	if (d->pcache)
		kb_pcache_switch(d->pcache, o->packet_cache);
	kb_log_set_level((enum kb_log_level)o->log_level);
	if (d->source)
		kb_daemon_state_update(d);
}

/* Was the table's last beat within max_stale? */
static bool table_is_fresh(const struct kb_header *hdr, uint64_t max_stale_s)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	return hdr->writer_beats && now >= hdr->writer_beats &&
	       now - hdr->writer_beats <= max_stale_s * 1000000000ULL;
}

static int table_start(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_table_config config = {
		.replicas = o->replicas ? (uint32_t)o->replicas : REPLICAS_AUTO,
		.mem_max = o->table_mem_max,
	};
	struct kb_backing backing;
	int r = -ENOENT;

	kb_datapath_backing(d->datapath, &backing);
	kb_epochs_set_bound(kb_datapath_epochs(d->datapath), (unsigned int)o->worker_wait_ms);
	if (kb_datapath_adopted(d->datapath)) {
		r = kb_table_adopt(&backing, &config, &d->table);
		d->adopted = r == 0;
		if (r < 0)
			kb_log_warn("the table pinned in %s cannot be adopted (%s): making a new "
				    "one",
				    o->bpffs, strerror(-r));
	}
	if (!d->table)
		r = kb_table_new(&backing, &config, &d->table);
	if (r < 0) {
		snprintf(err, err_size, "table: %s", strerror(-r));
		return r;
	}
	/* Names that other rules gave are no answers. */
	d->fresh = d->adopted && table_is_fresh(backing.header, o->max_stale_s) &&
		   kb_read_once(backing.header->rules) == kb_rules_fingerprint(&d->rules.now);
	d->state = d->fresh ? KB_HITS : KB_OFF;
	if (d->adopted)
		kb_log_info("adopted the table pinned in %s: %s until synced", o->bpffs,
			    d->fresh ? "its names are answered"
				     : "too old or of other rules, everything is left "
				       "alone");
	kb_table_set_state(d->table, d->state);
	kb_table_allow_clear(d->table);
	for (size_t i = 0; i < o->allow_from.n; i++) {
		const struct kb_cidr *c = &o->allow_from.v[i];

		r = kb_table_allow_add(d->table, c->addr.family, c->addr.b, c->bits);
		if (r < 0) {
			snprintf(err, err_size, "--allow-from: %s", strerror(-r));
			return r;
		}
	}
	r = kb_daemon_pcache_start(d, err, err_size);
	if (r == 0)
		r = kb_daemon_intercepts_start(d, err, err_size);
	if (r < 0)
		return r;
	kb_daemon_apply_tunables(d);
	return 0;
}

int kb_daemon_listen(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_takeover_fds *fds = &d->takeover.fds;
	struct kb_server_config config = {
		.listen = d->local.listen ? d->local.listen : o->listen.v,
		.n_listen = d->local.listen ? d->local.n_listen : o->listen.n,
		.allow_from = o->allow_from.v,
		.n_allow_from = o->allow_from.n,
		.responder = d->responder,
		.table = d->table,
		.workers = kb_datapath_epochs(d->datapath)->shared,
		.forward = d->forward,
		.log = d->querylog,
		.inherited = fds->sockets,
		.n_inherited = fds->n_sockets,
	};
	struct kb_httpd_ops ops = {d, kb_daemon_metrics, kb_daemon_healthy, kb_daemon_ready};
	int r = kb_daemon_local_interface(d, err, err_size), fd;

	if (r == 0 && o->listen.n)
		r = kb_server_new(d->loop, &config, &d->server, err, err_size);
	if (r < 0 || !o->http.addr.family)
		return r;
	fd = fds->http;
	fds->http = -1;
	return kb_httpd_new(d->loop, &o->http, fd, &ops, &d->httpd, err, err_size);
}

static int sockets_start(struct kb_daemon *d, char *err, size_t err_size)
{
	int r;

	r = kb_responder_new(d->table, d->records, &d->responder);
	if (r < 0) {
		snprintf(err, err_size, "socket engine: %s", strerror(-r));
		return r;
	}
	kb_daemon_rules_blocks(d);
	if (d->options.listen.n) {
		r = kb_daemon_forward_start(d, err, err_size);
		if (r < 0)
			return r;
	}
	return d->takeover.step == KB_TAKEOVER_NONE ? kb_daemon_listen(d, err, err_size) : 0;
}

static int attach(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	int r;

	for (size_t i = 0; i < o->tc.n; i++) {
		r = kb_datapath_attach_tc(d->datapath, o->tc.v[i], err, err_size);
		if (r == -ENODEV)
			kb_daemon_add_cure(err, err_size, "check --tc against ip link");
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < o->xdp.n; i++) {
		r = kb_datapath_attach_xdp(d->datapath, o->xdp.v[i], err, err_size);
		if (r == -ENODEV)
			kb_daemon_add_cure(err, err_size, "check --xdp against ip link");
		if (r < 0)
			return r;
	}
	r = kb_daemon_pods_start(d, err, err_size);
	if (r < 0)
		return r;
	r = kb_datapath_commit(d->datapath);
	if (r < 0) {
		snprintf(err, err_size, "%s: cannot put the new table in force: %s", o->bpffs,
			 strerror(-r));
		return r;
	}
	kb_datapath_prune(d->datapath);
	return 0;
}

static void programs_load(uv_work_t *work)
{
	struct kb_daemon *d = work->data;

	d->programs_result = kb_datapath_load_programs(d->datapath, d->programs_error,
						       sizeof(d->programs_error));
}

void kb_daemon_end(struct kb_daemon *d, int r)
{
	d->start_result = r;
	d->stopping = true;
	uv_stop(d->loop);
}

/* The last step of the start. */
void kb_daemon_go(struct kb_daemon *d)
{
	bool pending = kb_datapath_pending(d->datapath);
	char err[512];
	int r;

	if (d->attached || d->stopping || !d->programs_ready || (pending && !d->synced))
		return;
	if (d->takeover.step == KB_TAKEOVER_BUILDING) {
		kb_daemon_takeover_ready(d);
		return;
	}
	if (d->takeover.step == KB_TAKEOVER_READY)
		return;
	/* What takes the place of something that answers has to answer before. */
	d->attached = pending;
	kb_daemon_state_update(d);
	r = attach(d, err, sizeof(err));
	if (r < 0) {
		kb_log_error("%s", err);
		kb_daemon_end(d, r);
		return;
	}
	if (d->takeover.step == KB_TAKEOVER_NONE)
		kb_datapath_alone(d->datapath);
	d->attached = true;
	kb_daemon_state_update(d);
	d->started();
}

static void programs_loaded(uv_work_t *work, int status)
{
	struct kb_daemon *d = work->data;

	(void)status;
	if (d->stopping)
		return;
	if (d->programs_result < 0) {
		kb_log_error("%s", d->programs_error);
		kb_daemon_end(d, d->programs_result);
		return;
	}
	d->programs_ready = true;
	kb_daemon_go(d);
}

static void table_work(uv_work_t *work)
{
	struct kb_daemon *d = work->data;

	const struct kb_backing *backing = kb_table_backing(d->table);

	if (d->table_works)
		kb_table_work_run(d->table);
	else
		backing->grace(backing->arg);
}

static void table_work_done(uv_work_t *work, int status)
{
	struct kb_daemon *d = work->data;

	(void)status;
	if (d->table_works)
		kb_table_work_end(d->table);
	if (d->pcache_works)
		kb_pcache_grace_end(d->pcache);
	d->table_works = d->pcache_works = false;
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* while it is active the loop does not sleep */
}

/* Once for each turn of the loop: what its events have retired begins to wait, what they need
 * soon is made, and a slice of growth is done. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct kb_daemon *d = prepare->data;

	if (kb_table_step(d->table))
		uv_idle_start(&d->idle, on_idle);
	else
		uv_idle_stop(&d->idle);
	if (d->table_works || d->pcache_works)
		return;
	d->table_works = kb_table_work_begin(d->table);
	d->pcache_works = d->pcache && kb_pcache_grace_begin(d->pcache);
	if (!d->table_works && !d->pcache_works)
		return;
	d->table_work.data = d;
	if (uv_queue_work(d->loop, &d->table_work, table_work, table_work_done) < 0) {
		table_work(&d->table_work);
		table_work_done(&d->table_work, 0);
	}
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct kb_daemon *d = handle->data;
	char err[512];

	if (d->stopping)
		return;
	if (signum == SIGHUP || signum == SIGUSR1) {
		kb_daemon_kube_dns_reload(d);
		kb_daemon_loops_again(d);
		kb_daemon_rules_reload(d);
		if (kb_querylog_reopen(d->querylog, err, sizeof(err)) < 0)
			kb_log_error("reload: %s; it goes on in the file as it was", err);
		if (kb_source_reload(d->source, err, sizeof(err)) < 0)
			kb_log_error("reload: %s; what was loaded before stays in force", err);
		else
			kb_log_info("reloaded");
		return;
	}
	if (!kb_daemon_hand_over_first(d))
		kb_daemon_end(d, 0);
}

static int loop_start(struct kb_daemon *d)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	int r;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		r = uv_signal_init(d->loop, &d->signals[i]);
		if (r < 0)
			return r;
		d->signals[i].data = d;
		r = uv_signal_start(&d->signals[i], on_signal, signals[i]);
		if (r < 0)
			return r;
	}
	r = uv_prepare_init(d->loop, &d->prepare);
	if (r < 0)
		return r;
	d->prepare.data = d;
	r = uv_idle_init(d->loop, &d->idle);
	if (r < 0)
		return r;
	return uv_prepare_start(&d->prepare, on_prepare);
}

int kb_daemon_charge(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_takeover_fds *fds = &d->takeover.fds;
	struct kb_ctl_config ctl = {
		.run_dir = d->options.run_dir,
		.cmds = kb_daemon_commands,
		.arg = d,
		.inherited = fds->lock_run >= 0 && fds->control >= 0,
		.lock_fd = fds->lock_run,
		.listen_fd = fds->control,
	};
	int r;

	if (ctl.inherited)
		fds->lock_run = fds->control = -1;
	r = kb_ctl_server_new(d->loop, &ctl, &d->ctl, err, err_size);
	return r < 0 ? r : kb_daemon_hand_over_listen(d, err, err_size);
}

/* All but the programs, which programs_loaded attaches when they are ready. */
static int start(struct kb_daemon *d, char *err, size_t err_size)
{
	const struct kb_options *o = &d->options;
	struct kb_datapath_config datapath = {.dir = o->bpffs,
					      .skip_tc = o->tc.n == 0 && o->pods.n == 0,
					      .skip_xdp = o->xdp.n == 0,
					      .xdp_force = o->xdp_force,
					      .tc_order = o->tc_order,
					      .local = o->mode == KB_MODE_LOCAL};
	int r;

	r = kb_daemon_local_init(d, err, err_size);
	if (r < 0)
		return r;
	datapath.packet_cache = kb_daemon_pcache_wanted(o) ? o->packet_cache_size : 0;
	r = kb_daemon_rules_init(d, err, err_size);
	if (r == 0)
		r = kb_daemon_kube_dns_init(d, err, err_size);
	if (r < 0)
		return r;
	r = kb_daemon_charge(d, err, err_size);
	if (r == -EBUSY)
		r = kb_daemon_takeover_ask(d, err, err_size);
	if (r < 0)
		return r;
	datapath.beside = d->takeover.step != KB_TAKEOVER_NONE;
	r = kb_datapath_open(&datapath, &d->datapath, err, err_size);
	if (r < 0)
		return r;
	d->programs_work.data = d;
	r = uv_queue_work(d->loop, &d->programs_work, programs_load, programs_loaded);
	if (r < 0) {
		snprintf(err, err_size, "main loop: %s", uv_strerror(r));
		return r;
	}
	r = kb_daemon_local_start(d, err, err_size);
	if (r == 0)
		r = table_start(d, err, err_size);
	if (r < 0)
		return r;
	r = kb_querylog_new(d->datapath, d->table, &d->querylog);
	if (r < 0) {
		snprintf(err, err_size, "query log: %s", strerror(-r));
		return r;
	}
	r = kb_daemon_querylog_apply(d, err, err_size);
	if (r < 0)
		return r;
	r = kb_daemon_records_start(d, err, err_size);
	if (r < 0)
		return r;
	r = sockets_start(d, err, err_size);
	if (r < 0)
		return r;
	r = kb_daemon_source_start(d, err, err_size);
	if (r == 0)
		r = kb_daemon_kube_dns_start(d, err, err_size);
	if (r < 0)
		return r;
	r = loop_start(d);
	if (r == 0)
		r = kb_daemon_state_start(d);
	if (r < 0)
		snprintf(err, err_size, "main loop: %s", strerror(-r));
	return r;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void stop(struct kb_daemon *d, bool keep, bool failed)
{
	d->stopping = true;
	if (kb_daemon_takeover_foreign(d))
		keep = true;
	if (d->table && !keep)
		kb_table_set_state(d->table, KB_OFF);
	kb_daemon_takeover_fini(d);
	kb_ctl_server_free(d->ctl);
	kb_httpd_free(d->httpd);
	if (d->responder)
		kb_responder_set_routes(d->responder, NULL);
	kb_forward_free(d->forward);
	d->forward = NULL;
	kb_server_free(d->server);
	kb_source_free(d->source);
	kb_source_free(d->kube_dns.source);
	/* Lets libuv finish: closed handles, and the threads' work under way. */
	uv_run(d->loop, UV_RUN_NOWAIT);
	uv_walk(d->loop, close_handle, NULL);
	uv_run(d->loop, UV_RUN_DEFAULT);
	/* Not two indexes pinned for as long as nobody is here. */
	if (d->table && keep && !d->takeover.drained)
		kb_table_settle(d->table);
	kb_daemon_local_stop(d, keep, failed);
	kb_querylog_free(d->querylog);
	kb_responder_free(d->responder);
	kb_pcache_free(d->pcache);
	kb_records_free(d->records);
	kb_intercepts_fini(&d->intercepts);
	kb_daemon_rules_fini(d);
	kb_daemon_kube_dns_fini(d);
	kb_daemon_resolv_fini(d);
	kb_table_free(d->table);
	kb_pods_free(d->pods);
	kb_datapath_close(d->datapath, keep);
}

int kb_daemon_run(struct kb_daemon *d, void (*started)(void))
{
	char err[1024] = "";
	int r;

	d->loop = uv_default_loop();
	d->started_ms = uv_now(d->loop);
	d->started_hr_ms = uv_hrtime() / 1000000;
	d->state_reason = "starting";
	d->started = started;
	r = kb_daemon_takeover_init(d);
	if (r < 0)
		snprintf(err, sizeof(err), "main loop: %s", strerror(-r));
	else
		r = start(d, err, sizeof(err));
	if (r < 0) {
		kb_log_error("%s", err);
	} else {
		uv_run(d->loop, UV_RUN_DEFAULT);
		r = d->start_result;
	}
	if (r < 0) {
		stop(d, d->adopted, true);
		return r;
	}
	kb_log_info("stopping");
	stop(d, d->options.on_exit == KB_ON_EXIT_KEEP, false);
	return 0;
}
