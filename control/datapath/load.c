// SPDX-License-Identifier: Apache-2.0
/*
 * Loads the BPF object over pinned or new maps, and pins what is new. Twice: with the heartbeat
 * alone, which gives the table its maps within milliseconds, and over these with the programs
 * that answer, which the verifier takes its time for.
 */
#include "control/datapath/private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/log.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* generated code */
#include "bpf/kbdns.skel.h"
#pragma GCC diagnostic pop

static const char *const map_names[KB_MAP_COUNT] = {
	[KB_MAP_ICEPT] = "kb_icept",
	[KB_MAP_INDEX] = "kb_index",
	[KB_MAP_ARENA] = "kb_arena",
	[KB_MAP_WORKERS] = "kb_workers",
	[KB_MAP_WORKER_STATS] = "kb_worker_stats",
	[KB_MAP_PERCPU] = "kb_percpu",
	[KB_MAP_PORTS] = "kb_ports",
	[KB_MAP_XSKS] = "kb_xsks",
	[KB_MAP_STEER_BEAT] = "kb_steer_beat",
	[KB_MAP_EVENTS] = "kb_events",
	[KB_MAP_HEADER] = "kb_header",
	[KB_MAP_PCACHE_INDEX] = "kb_pcache_index",
	[KB_MAP_PCACHE_ARENA] = "kb_pcache_arena",
	[KB_MAP_PCACHE_USE] = "kb_pcache_use",
};
static const char *const prog_pins[KB_PROG_COUNT] = {
	[KB_PROG_TC] = "prog_tc",
	[KB_PROG_XDP] = "prog_xdp",
	[KB_PROG_BEAT] = "prog_beat",
	[KB_PROG_UNSTEER] = "prog_unsteer",
};

#define LIBBPF_TAIL 4000 /* bytes of a message that are worth a log line each */

/* libbpf's messages, the verifier's log among them, at debug level: what matters of them is
 * in our own error. */
static int on_libbpf(enum libbpf_print_level level, const char *format, va_list ap)
{
	char *text, *line, *save;
	size_t n;

	if (level == LIBBPF_DEBUG || !kb_log_wants(KB_LOG_DEBUG))
		return 0;
	if (vasprintf(&text, format, ap) < 0)
		return 0;
	n = strlen(text);
	line = n > LIBBPF_TAIL ? text + n - LIBBPF_TAIL : text;
	for (line = strtok_r(line, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		kb_log_debug("libbpf: %s", line);
	free(text);
	return 0;
}

static bool same_map(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

/* Is this the header of a table of our layout? 1; 0 if a table was never made of it; or -EPROTO,
 * and the version. The fields looked at never move between layout versions. */
static int header_check(int fd, uint32_t *ret_version)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), size;
	const struct kb_header *hdr;
	uint64_t magic;

	*ret_version = 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.value_size < 16 || !(info.map_flags & BPF_F_MMAPABLE))
		return -EPROTO;
	hdr = mmap(NULL, info.value_size, PROT_READ, MAP_SHARED, fd, 0);
	if (hdr == MAP_FAILED)
		return -errno;
	magic = hdr->magic;
	*ret_version = hdr->version;
	size = hdr->header_size;
	munmap((void *)(uintptr_t)hdr, info.value_size);
	if (magic == 0)
		return 0;
	return magic == KB_LAYOUT_MAGIC && *ret_version == KB_LAYOUT_VERSION &&
			       size == sizeof(struct kb_header)
		       ? 1
		       : -EPROTO;
}

/* Finds out whether the folder in force holds a complete table that can be adopted. 1, 0, or
 * -errno. */
static int find_table(struct kb_datapath *dp, char *err, size_t err_size)
{
	const char *name = map_names[KB_MAP_HEADER];
	char folder[KB_FOLDER_NAME], path[PATH_MAX];
	uint32_t version;
	int fd, r;

	if (kb_folder_current(dp->dir, folder) < 0) {
		dp->pending = kb_folder_has_flat(dp->dir);
		if (dp->pending)
			kb_log_info("%s holds a table of an older version: making one beside it",
				    dp->dir);
		return 0;
	}
	/* Whatever stands there may still answer. */
	dp->pending = true;
	snprintf(path, sizeof(path), "%s/%s", dp->dir, folder);
	fd = kb_pin_open(path, name);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return kb_datapath_error(
			err, err_size, fd, "%s/%s: cannot open: %s%s", path, name, strerror(-fd),
			fd == -EPERM ? " (root, or CAP_BPF and CAP_NET_ADMIN)" : "");
	r = header_check(fd, &version);
	close(fd);
	if (r == -EPROTO) {
		kb_log_info("%s holds a table of another layout (version %u, here %u): making one "
			    "beside it",
			    dp->dir, version, KB_LAYOUT_VERSION);
		return 0;
	}
	if (r < 0)
		return kb_datapath_error(err, err_size, r, "%s/%s: %s", path, name, strerror(-r));
	return r;
}

/* The folder that the maps are in, or will be. */
static int choose_folder(struct kb_datapath *dp, int found)
{
	int r = found ? kb_folder_current(dp->dir, dp->folder) : kb_folder_new(dp->dir, dp->folder);

	if (r == 0)
		snprintf(dp->table_dir, sizeof(dp->table_dir), "%s/%s", dp->dir, dp->folder);
	else
		dp->folder[0] = '\0';
	return r;
}

/* Counters and events are of this program's build, the packet-path cache of its options; the table
 * is neither, and workers have their sockets in the places that kb_ports gave them. */
static bool is_replaceable(enum kb_map_id id)
{
	return id == KB_MAP_PERCPU || id == KB_MAP_EVENTS || id == KB_MAP_PCACHE_INDEX ||
	       id == KB_MAP_PCACHE_ARENA || id == KB_MAP_PCACHE_USE;
}

/* Gives the object the pinned maps. Returns 1 if the table is among them, 0 if its maps are
 * not all there or not ours. */
static int reuse_maps(struct bpf_map *const maps[KB_MAP_COUNT], const char *dir)
{
	for (size_t i = 0; i < KB_MAP_COUNT; i++) {
		int fd = kb_pin_open(dir, map_names[i]);
		bool same = fd >= 0 && same_map(maps[i], fd);
		int r = same ? bpf_map__reuse_fd(maps[i], fd) : -ENOENT;

		if (fd >= 0)
			close(fd);
		if (r < 0 && !is_replaceable((enum kb_map_id)i))
			return 0;
	}
	return 1;
}

static int keep_fd(int fd, int *ret_fd)
{
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? -errno : 0;
}

static int pin_programs(const struct kb_datapath *dp, const bool wanted[KB_PROG_COUNT])
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < KB_PROG_COUNT; i++) {
		if (wanted[i])
			r = kb_pin_put(dp->table_dir, prog_pins[i], dp->prog_fd[i]);
	}
	return r;
}

/* What the table needs: the maps and the heartbeat. */
static int pin_table(const struct kb_datapath *dp, const bool wanted[KB_PROG_COUNT])
{
	int r = pin_programs(dp, wanted);

	for (size_t i = 0; r == 0 && i < KB_MAP_COUNT; i++)
		r = kb_pin_put(dp->table_dir, map_names[i], dp->map_fd[i]);
	return r;
}

static int pin_error(const struct kb_datapath *dp, int r, char *err, size_t err_size)
{
	return kb_datapath_error(err, err_size, r, "%s: cannot pin: %s", dp->dir, strerror(-r));
}

static int load_error(int r, char *err, size_t err_size)
{
	const char *cure = "--log-level debug shows what the kernel said";

	if (r == -EPERM)
		cure = "root is needed, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
	else if (r == -ENOMEM)
		cure = "no memory, or the cgroup's limit is too small";
	return kb_datapath_error(err, err_size, r,
				 "the kernel does not load the BPF programs (%s): %s", strerror(-r),
				 cure);
}

/* The object file's parts. */
struct object {
	struct kbdns_bpf *skel; /* owned */
	struct bpf_map *map[KB_MAP_COUNT];
	struct bpf_program *prog[KB_PROG_COUNT];
};

static int object_open(struct object *o, const struct kb_pcache_size *pcache)
{
	struct kbdns_bpf *skel = kbdns_bpf__open();

	if (!skel)
		return -errno;
	*o = (struct object){
		.skel = skel,
		.map = {[KB_MAP_ICEPT] = skel->maps.kb_icept,
			[KB_MAP_INDEX] = skel->maps.kb_index,
			[KB_MAP_ARENA] = skel->maps.kb_arena,
			[KB_MAP_WORKERS] = skel->maps.kb_workers,
			[KB_MAP_WORKER_STATS] = skel->maps.kb_worker_stats,
			[KB_MAP_PERCPU] = skel->maps.kb_percpu,
			[KB_MAP_PORTS] = skel->maps.kb_ports,
			[KB_MAP_XSKS] = skel->maps.kb_xsks,
			[KB_MAP_STEER_BEAT] = skel->maps.kb_steer_beat,
			[KB_MAP_EVENTS] = skel->maps.kb_events,
			[KB_MAP_PCACHE_INDEX] = skel->maps.kb_pcache_index,
			[KB_MAP_PCACHE_ARENA] = skel->maps.kb_pcache_arena,
			[KB_MAP_PCACHE_USE] = skel->maps.kb_pcache_use,
			[KB_MAP_HEADER] = skel->maps.kb_header},
		.prog = {[KB_PROG_TC] = skel->progs.kbdns_tc,
			 [KB_PROG_XDP] = skel->progs.kbdns_xdp,
			 [KB_PROG_BEAT] = skel->progs.kbdns_beat,
			 [KB_PROG_UNSTEER] = skel->progs.kbdns_unsteer},
	};
	bpf_map__set_max_entries(skel->maps.kb_pcache_index, pcache->buckets);
	bpf_map__set_max_entries(skel->maps.kb_pcache_arena, pcache->pages);
	bpf_map__set_max_entries(skel->maps.kb_pcache_use,
				 pcache->pages * (KB_PCACHE_PAGE_CELLS / KB_PCACHE_USE_LINE));
	return 0;
}

/* Loads those programs of the object that are wanted, and keeps their descriptors. */
static int object_load(struct object *o, const bool wanted[KB_PROG_COUNT], struct kb_datapath *dp)
{
	int r;

	for (size_t i = 0; i < KB_PROG_COUNT; i++)
		bpf_program__set_autoload(o->prog[i], wanted[i]);
	r = kbdns_bpf__load(o->skel);
	for (size_t i = 0; r == 0 && i < KB_PROG_COUNT; i++) {
		if (wanted[i])
			r = keep_fd(bpf_program__fd(o->prog[i]), &dp->prog_fd[i]);
	}
	return r;
}

int kb_load_maps(struct kb_datapath *dp, char *err, size_t err_size)
{
	static const bool wanted[KB_PROG_COUNT] = {[KB_PROG_BEAT] = true};
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct object o;
	int r, found;

	libbpf_set_print(on_libbpf);
	/* Kernels before 5.11 account maps here; where it is refused, try without. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	found = 0;
	if (dp->beside)
		dp->pending = true;
	else
		found = find_table(dp, err, err_size);
	if (found < 0)
		return found;
	r = choose_folder(dp, found);
	if (r < 0)
		return pin_error(dp, r, err, err_size);
	r = object_open(&o, &dp->pcache_size);
	if (r == 0 && found && !reuse_maps(o.map, dp->table_dir)) {
		/* Some maps have been taken over already: begin again without. */
		found = 0;
		kbdns_bpf__destroy(o.skel);
		r = choose_folder(dp, found);
		if (r < 0)
			return pin_error(dp, r, err, err_size);
		r = object_open(&o, &dp->pcache_size);
	}
	if (r < 0)
		return load_error(r, err, err_size);
	r = object_load(&o, wanted, dp);
	for (size_t i = 0; r == 0 && i < KB_MAP_COUNT; i++)
		r = keep_fd(bpf_map__fd(o.map[i]), &dp->map_fd[i]);
	/* Descriptors are kept, libbpf's megabytes are not. */
	kbdns_bpf__destroy(o.skel);
	if (r < 0)
		return load_error(r, err, err_size);
	dp->adopted = found;
	dp->pending = dp->pending && !found;
	r = pin_table(dp, wanted);
	/* There is none that could still answer. */
	if (r == 0 && !found && !dp->pending)
		r = kb_folder_commit(dp->dir, dp->folder);
	return r < 0 ? pin_error(dp, r, err, err_size) : 0;
}

int kb_datapath_load_programs(struct kb_datapath *dp, char *err, size_t err_size)
{
	const bool wanted[KB_PROG_COUNT] = {
		[KB_PROG_TC] = !dp->skip_tc,
		[KB_PROG_XDP] = !dp->skip_xdp,
		[KB_PROG_UNSTEER] = !dp->skip_xdp,
	};
	struct object o;
	int r;

	if (dp->skip_tc && dp->skip_xdp)
		return 0;
	r = object_open(&o, &dp->pcache_size);
	if (r < 0)
		return load_error(r, err, err_size);
	for (size_t i = 0; r == 0 && i < KB_MAP_COUNT; i++)
		r = bpf_map__reuse_fd(o.map[i], dp->map_fd[i]);
	if (r == 0)
		r = object_load(&o, wanted, dp);
	kbdns_bpf__destroy(o.skel);
	if (r == 0)
		r = kb_local_load(dp);
	if (r < 0)
		return load_error(r, err, err_size);
	r = pin_programs(dp, wanted);
	return r < 0 ? pin_error(dp, r, err, err_size) : 0;
}
