// SPDX-License-Identifier: Apache-2.0
/* Opening and closing, the heartbeat, and the counters. */
#include "control/datapath/private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "control/table/env.h"

/* As kbdns_beat takes it. */
struct beat {
	uint64_t ttl_jiffies;
	uint64_t jiffies;
};

int kb_datapath_error(char *err, size_t size, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err, size, format, ap);
	va_end(ap);
	return r;
}

/* The coarse clock's resolution is the kernel's tick, HZ being known nowhere else. */
static unsigned int kernel_hz(void)
{
	struct timespec res;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &res) < 0 || res.tv_sec || res.tv_nsec < 100000)
		return 100; /* a shorter deadline, never a longer one */
	return (unsigned int)((1000000000 + res.tv_nsec / 2) / res.tv_nsec);
}

static int percpu_open(struct kb_datapath *dp)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus <= 0)
		return cpus < 0 ? cpus : -EINVAL;
	dp->cpus = (unsigned int)cpus;
	_Static_assert(sizeof(struct kb_percpu) % 8 == 0, "rows of a per-CPU map are padded to 8");
	dp->percpu = calloc(dp->cpus, sizeof(*dp->percpu));
	return dp->percpu ? 0 : -ENOMEM;
}

/* One daemon for each folder: the table has a single writer. Held until the process or the
 * datapath ends; a folder that its last owner has removed meanwhile is made anew. */
static int lock_dir(struct kb_datapath *dp, const char *dir, char *err, size_t err_size)
{
	struct stat st;
	int r;

	for (int i = 0; i < 10; i++) {
		r = kb_pin_dir(dir, err, err_size);
		if (r < 0)
			return r;
		dp->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dp->dir_fd >= 0 && flock(dp->dir_fd, LOCK_EX | LOCK_NB) < 0 &&
		    errno == EWOULDBLOCK)
			return kb_datapath_error(err, err_size, -EBUSY,
						 "%s: in use by a kbdnsd with another --run-dir: "
						 "give its run directory, and this one takes over "
						 "from it, or choose another --bpffs",
						 dir);
		if (dp->dir_fd >= 0 && fstat(dp->dir_fd, &st) == 0 && st.st_nlink > 0)
			return 0;
		if (dp->dir_fd >= 0)
			close(dp->dir_fd);
		dp->dir_fd = -1;
	}
	return kb_datapath_error(err, err_size, -EBUSY, "%s: cannot lock the folder: %s", dir,
				 strerror(errno));
}

int kb_datapath_open(const struct kb_datapath_config *config, struct kb_datapath **ret_datapath,
		     char *err, size_t err_size)
{
	struct kb_datapath *dp;
	int r;

	dp = calloc(1, sizeof(*dp));
	if (!dp)
		return kb_datapath_error(err, err_size, -ENOMEM, "no memory");
	dp->dir_fd = -1;
	for (size_t i = 0; i < KB_MAP_COUNT; i++)
		dp->map_fd[i] = -1;
	for (size_t i = 0; i < KB_PROG_COUNT; i++)
		dp->prog_fd[i] = -1;
	dp->grace_outer_fd = dp->grace_inner_fd = -1;
	dp->skip_tc = config->skip_tc;
	dp->skip_xdp = config->skip_xdp;
	dp->generic_xdp = config->generic_xdp;
	dp->xdp_force = config->xdp_force;
	snprintf(dp->tc_order, sizeof(dp->tc_order), "%s",
		 config->tc_order ? config->tc_order : "first");
	dp->clsact = config->clsact;
	dp->local.wanted = config->local && !config->skip_tc;
	for (size_t i = 0; i < KB_LOCAL_MAPS; i++)
		dp->local.map_fd[i] = -1;
	for (size_t i = 0; i < KB_LOCAL_PROGS; i++)
		dp->local.prog_fd[i] = -1;
	dp->packet_cache = config->packet_cache;
	kb_pcache_size(config->packet_cache, &dp->pcache_size);
	dp->hz = kernel_hz();
	dp->beside = config->beside;
	r = dp->beside ? 0 : lock_dir(dp, config->dir, err, err_size);
	if (r < 0) {
		kb_datapath_close(dp, true);
		return r;
	}
	snprintf(dp->dir, sizeof(dp->dir), "%s", config->dir);
	r = kb_load_maps(dp, err, err_size);
	if (r < 0)
		goto err;
	r = kb_backing_open(dp);
	if (r == 0)
		r = percpu_open(dp);
	if (r == 0)
		r = kb_local_open(dp);
	if (r < 0) {
		kb_datapath_error(err, err_size, r, "%s: cannot map the table: %s", dp->dir,
				  strerror(-r));
		goto err;
	}
	*ret_datapath = dp;
	return 0;
err:
	if (!dp->adopted && dp->folder[0])
		kb_folder_remove(dp->dir, dp->folder);
	/* Removes the folder if nothing is in it. */
	rmdir(dp->dir);
	dp->pending = false;
	kb_datapath_close(dp, true);
	return r;
}

void kb_datapath_close(struct kb_datapath *dp, bool keep)
{
	char err[256];

	if (!dp)
		return;
	/* What is pinned is another table then, whoever's. */
	if (dp->pending) {
		kb_folder_remove(dp->dir, dp->folder);
		keep = true;
	}
	if (!keep)
		kb_datapath_detach_all(dp);
	kb_ports_close(dp);
	kb_backing_close(dp);
	kb_local_close(dp);
	for (size_t i = 0; i < KB_MAP_COUNT; i++) {
		if (dp->map_fd[i] >= 0)
			close(dp->map_fd[i]);
	}
	for (size_t i = 0; i < KB_PROG_COUNT; i++) {
		if (dp->prog_fd[i] >= 0)
			close(dp->prog_fd[i]);
	}
	if (!keep)
		kb_datapath_uninstall(dp->dir, err, sizeof(err));
	if (dp->dir_fd >= 0)
		close(dp->dir_fd);
	free(dp->percpu);
	free(dp);
}

int kb_datapath_uninstall(const char *dir, char *err, size_t err_size)
{
	struct statfs fs;

	if (statfs(dir, &fs) < 0)
		return errno == ENOENT ? 0
				       : kb_datapath_error(err, err_size, -errno, "%s: %s", dir,
							   strerror(errno));
	kb_attach_remove_all(dir);
	/* Twice, since a folder that changes may be read incompletely. */
	kb_pin_remove_like(dir, "link_");
	kb_pin_remove_like(dir, "link_");
	kb_folder_remove_others(dir, NULL);
	if (rmdir(dir) < 0 && errno != ENOENT && errno != EBUSY)
		return kb_datapath_error(err, err_size, -errno, "%s: cannot remove the folder: %s",
					 dir, strerror(errno));
	return 0;
}

int kb_datapath_commit(struct kb_datapath *dp)
{
	int r = dp->pending ? kb_folder_commit(dp->dir, dp->folder) : 0;

	if (r == 0)
		dp->pending = false;
	return r;
}

void kb_datapath_alone(struct kb_datapath *dp)
{
	kb_folder_remove_others(dp->dir, dp->folder);
}

int kb_datapath_lock(struct kb_datapath *dp, int fd, char *err, size_t err_size)
{
	int r = 0;

	if (fd >= 0)
		dp->dir_fd = fd;
	else
		r = lock_dir(dp, dp->dir, err, err_size);
	dp->beside = r < 0;
	return r;
}

int kb_datapath_lock_fd(const struct kb_datapath *dp)
{
	return dp->dir_fd;
}

bool kb_datapath_pending(const struct kb_datapath *dp)
{
	return dp->pending;
}

void kb_datapath_reclaim(struct kb_datapath *dp)
{
	char folder[KB_FOLDER_NAME] = "";

	kb_folder_current(dp->dir, folder);
	if (strcmp(folder, dp->folder) != 0)
		kb_folder_commit(dp->dir, dp->folder);
	kb_datapath_alone(dp);
	kb_ports_reclaim(dp);
	kb_datapath_refresh(dp);
}

bool kb_datapath_adopted(const struct kb_datapath *dp)
{
	return dp->adopted;
}

struct kb_epochs *kb_datapath_epochs(struct kb_datapath *dp)
{
	return &dp->epochs;
}

const struct kb_worker_counts *kb_datapath_worker_counts(const struct kb_datapath *dp)
{
	return dp->worker_stats.at;
}

int kb_datapath_beat(struct kb_datapath *dp, uint32_t ttl_ms)
{
	struct beat beat = {.ttl_jiffies = (uint64_t)ttl_ms * dp->hz / 1000};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &beat, .ctx_size_in = sizeof(beat));

	struct kb_header *hdr = dp->header.at;
	struct timespec now;

	if (bpf_prog_test_run_opts(dp->prog_fd[KB_PROG_BEAT], &opts) < 0)
		return -errno;
	if (opts.retval)
		return -EIO;
	clock_gettime(CLOCK_MONOTONIC, &now);
	kb_write_once(hdr->deadline_ns, (uint64_t)now.tv_sec * 1000000000ULL +
						(uint64_t)now.tv_nsec + ttl_ms * 1000000ULL);
	dp->beat_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
	dp->beat_jiffies = beat.jiffies;
	return 0;
}

int kb_percpu_read(const struct kb_datapath *dp, uint32_t row)
{
	return bpf_map_lookup_elem(dp->map_fd[KB_MAP_PERCPU], &row, dp->percpu) < 0 ? -errno : 0;
}

void kb_datapath_clock(const struct kb_datapath *dp, uint64_t *ret_ms, uint64_t *ret_jiffies,
		       uint32_t *ret_hz)
{
	*ret_ms = dp->beat_ms;
	*ret_jiffies = dp->beat_jiffies;
	*ret_hz = dp->beat_ms ? dp->hz : 0;
}

static void worker_stats(const struct kb_datapath *dp, uint64_t ret_counters[KB_CNT_MAX],
			 uint64_t ret_hist[KB_HIST_BUCKETS])
{
	const struct kb_worker_counts *stats = dp->worker_stats.at;

	for (size_t w = 0; w < KB_WORKER_STATS_MAX; w++) {
		for (size_t i = 0; i < KB_CNT_MAX; i++)
			ret_counters[i] += kb_read_once(stats[w].counter[i]);
		for (size_t i = 0; i < KB_HIST_BUCKETS; i++)
			ret_hist[i] += kb_read_once(stats[w].hist[i]);
	}
}

void kb_datapath_kernel_counts(const struct kb_datapath *dp, struct kb_kernel_counts *ret)
{
	const struct kb_worker_counts *stats = dp->worker_stats.at;

	memset(ret, 0, sizeof(*ret));
	for (size_t w = 0; w < KB_WORKER_STATS_MAX; w++) {
		const struct kb_kernel_counts *k = &stats[w].kernel;

		ret->in += kb_read_once(k->in);
		ret->in_full += kb_read_once(k->in_full);
		ret->in_failed += kb_read_once(k->in_failed);
		ret->out += kb_read_once(k->out);
		ret->out_oversize += kb_read_once(k->out_oversize);
	}
}

int kb_datapath_engine_stats(const struct kb_datapath *dp, enum kb_engine engine,
			     uint64_t ret_counters[KB_CNT_MAX], uint64_t ret_hist[KB_HIST_BUCKETS])
{
	int r;

	memset(ret_counters, 0, KB_CNT_MAX * sizeof(*ret_counters));
	memset(ret_hist, 0, KB_HIST_BUCKETS * sizeof(*ret_hist));
	if (engine == KB_ENGINE_DPDK)
		worker_stats(dp, ret_counters, ret_hist);
	if (engine != KB_ENGINE_TC && engine != KB_ENGINE_XDP)
		return 0;
	r = kb_percpu_read(dp, engine);
	if (r < 0)
		return r;
	for (unsigned int c = 0; c < dp->cpus; c++) {
		for (size_t i = 0; i < KB_CNT_MAX; i++)
			ret_counters[i] += dp->percpu[c].counter[i];
		for (size_t i = 0; i < KB_HIST_BUCKETS; i++)
			ret_hist[i] += dp->percpu[c].hist[i];
	}
	return 0;
}

int kb_datapath_prog_fd(const struct kb_datapath *dp, enum kb_engine engine)
{
	return engine == KB_ENGINE_TC	 ? dp->prog_fd[KB_PROG_TC]
	       : engine == KB_ENGINE_XDP ? dp->prog_fd[KB_PROG_XDP]
					 : -1;
}
