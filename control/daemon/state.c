/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OFF, HITS or FULL, and the dead-man switch.
 *
 *   bypass on                                   OFF
 *   rules that cannot be followed               OFF
 *   up, newest proof of life within max_age     FULL
 *   up, older                                   OFF: alive but blind is worse than dead
 *   not up, table adopted while fresh           HITS
 *   not up otherwise                            OFF
 *
 * Up means synced, and the programs attached as the options say.
 *
 * The beat is written here, on the loop that applies events, so that a loop that hangs lets
 * the deadline pass. Bypass is kept in a file in the run directory and so survives
 * restarts.
 */
#include "control/daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/log.h"

#define TICK_MS 500

uint64_t kb_daemon_age_ms(const struct kb_daemon *d)
{
	uint64_t now = uv_now(d->loop), oldest = 0;

	for (int kind = 0; kind < KB_KIND_MAX; kind++) {
		struct kb_source_kind_status s;

		kb_source_status(d->source, (enum kb_kind)kind, &s);
		/* The ConfigMap holds rules, not data, and may well be out of reach. */
		if (!s.wanted || kind == KB_CONFIGMAP)
			continue;
		if (!s.last_alive_ms)
			return UINT64_MAX;
		if (now > s.last_alive_ms && now - s.last_alive_ms > oldest)
			oldest = now - s.last_alive_ms;
	}
	return oldest;
}

static enum kb_state state_wanted(const struct kb_daemon *d, const char **ret_reason)
{
	uint64_t age;

	*ret_reason = "";
	if (d->bypass) {
		*ret_reason = "bypass is on";
		return KB_OFF;
	}
	if (d->rules.off || d->kube_dns.off) {
		*ret_reason = d->rules.off ? d->rules.off : d->kube_dns.off;
		return KB_OFF;
	}
	if (!d->attached || !d->synced) {
		*ret_reason = d->synced ? "the programs are not attached yet" : "not synced yet";
		return d->fresh ? KB_HITS : KB_OFF;
	}
	age = kb_daemon_age_ms(d);
	/* Unknown: the sync that has just ended is not yet in the source's status. */
	if (d->options.max_age_s && age != UINT64_MAX && age > d->options.max_age_s * 1000) {
		*ret_reason = "the source has been silent for longer than max-age";
		return KB_OFF;
	}
	return KB_FULL;
}

void kb_daemon_state_update(struct kb_daemon *d)
{
	static const char *const names[] = {"OFF", "HITS", "FULL"};
	const char *reason;
	enum kb_state state;

	if (d->bypass && d->bypass_until_s && (uint64_t)time(NULL) >= d->bypass_until_s)
		kb_daemon_bypass(d, false, 0);
	state = state_wanted(d, &reason);
	if (state != d->state)
		kb_log_info("state %s%s%s", names[state], *reason ? ": " : "", reason);
	d->state_reason = reason;
	d->state = state;
	kb_table_set_state(d->table, state);
}

static void bypass_path(const struct kb_daemon *d, char *path, size_t size)
{
	snprintf(path, size, "%s/bypass", d->options.run_dir);
}

int kb_daemon_bypass(struct kb_daemon *d, bool on, uint64_t for_s)
{
	char path[4096];
	FILE *f;

	bypass_path(d, path, sizeof(path));
	d->bypass = on;
	d->bypass_until_s = on && for_s ? (uint64_t)time(NULL) + for_s : 0;
	/* In force first, remembered second. */
	kb_table_set_state(d->table, on ? KB_OFF : d->state);
	kb_log_warn("bypass %s", on ? "on: every packet is left alone" : "off");
	if (!on)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f, "%" PRIu64 "\n", d->bypass_until_s);
	return fclose(f) == 0 ? 0 : -errno;
}

void kb_daemon_bypass_load(struct kb_daemon *d)
{
	char path[4096];
	FILE *f;

	bypass_path(d, path, sizeof(path));
	f = fopen(path, "re");
	if (!f) {
		d->bypass = false;
		return;
	}
	d->bypass = true;
	if (fscanf(f, "%" SCNu64, &d->bypass_until_s) != 1)
		d->bypass_until_s = 0;
	fclose(f);
	kb_log_warn("bypass is on since an earlier run: kbdnsctl bypass off ends it");
}

static void tick(uv_timer_t *timer)
{
	struct kb_daemon *d = timer->data;
	struct timespec ts;
	int r;

	if (d->stopping)
		return;
	kb_daemon_state_update(d);
	if (kb_daemon_in_charge(d)) {
		kb_datapath_refresh(d->datapath);
		kb_daemon_pods_tick(d);
		kb_daemon_local_tick(d);
	}
	kb_epochs_sweep(kb_datapath_epochs(d->datapath));
	kb_records_retry(d->records);
	kb_daemon_forward_tick(d);
	kb_daemon_kube_dns_tick(d);
	kb_daemon_loops_tick(d);
	clock_gettime(CLOCK_BOOTTIME, &ts);
	kb_write_once(kb_table_backing(d->table)->header->writer_beats,
		      (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
	r = kb_datapath_beat(d->datapath, (uint32_t)(d->options.max_stale_s * 1000));
	if (r < 0)
		kb_log_limited(KB_LOG_ERROR, 1, "heartbeat: %s", strerror(-r));
	else
		kb_daemon_pcache_tick(d);
}

int kb_daemon_state_start(struct kb_daemon *d)
{
	int r;

	kb_daemon_bypass_load(d);
	r = uv_timer_init(d->loop, &d->tick);
	if (r < 0)
		return r;
	d->tick.data = d;
	return uv_timer_start(&d->tick, tick, 0, TICK_MS);
}

bool kb_daemon_healthy(void *arg, const char **ret_why)
{
	const struct kb_daemon *d = arg;

	if (d->stopping) {
		*ret_why = "stopping";
		return false;
	}
	return true;
}

bool kb_daemon_ready(void *arg, const char **ret_why)
{
	struct kb_daemon *d = arg;

	if (!d->synced) {
		*ret_why = "not synced yet";
		return false;
	}
	if (d->state != KB_FULL) {
		*ret_why = d->state_reason;
		return false;
	}
	if (!kb_datapath_all_attached(d->datapath)) {
		*ret_why = "not attached to every interface";
		return false;
	}
	return true;
}
