// SPDX-License-Identifier: Apache-2.0
/* Loads the BPF object over pinned or new maps, and pins what is new. */
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
	[KB_MAP_ICEPT] = "kb_icept",   [KB_MAP_INDEX] = "kb_index", [KB_MAP_ARENA] = "kb_arena",
	[KB_MAP_PERCPU] = "kb_percpu", [KB_MAP_PORTS] = "kb_ports", [KB_MAP_HEADER] = "kb_header",
};
static const char *const prog_pins[KB_PROG_COUNT] = {
	[KB_PROG_TC] = "prog_tc",
	[KB_PROG_XDP] = "prog_xdp",
	[KB_PROG_BEAT] = "prog_beat",
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

/* The fields of a header that never move between layout versions. */
static int header_check(int fd, const char *dir, char *err, size_t err_size)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), version, size;
	const struct kb_header *hdr;
	uint64_t magic;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	if (info.value_size < 16 || !(info.map_flags & BPF_F_MMAPABLE))
		return -EPROTO;
	hdr = mmap(NULL, info.value_size, PROT_READ, MAP_SHARED, fd, 0);
	if (hdr == MAP_FAILED)
		return -errno;
	magic = hdr->magic;
	version = hdr->version;
	size = hdr->header_size;
	munmap((void *)(uintptr_t)hdr, info.value_size);
	if (magic == 0)
		return -ENOENT; /* pinned, and never made a table of */
	if (magic != KB_LAYOUT_MAGIC || version != KB_LAYOUT_VERSION ||
	    size != sizeof(struct kb_header))
		return kb_datapath_error(
			err, err_size, -EPROTO,
			"%s holds a table of another layout (version %u, here %u): "
			"remove it with rm -r %s, which detaches that version too",
			dir, version, KB_LAYOUT_VERSION, dir);
	return 0;
}

/* Finds out whether dir holds a complete table. 1, 0, or -errno. */
static int find_table(const char *dir, char *err, size_t err_size)
{
	int fd = kb_pin_open(dir, map_names[KB_MAP_HEADER]), r;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return kb_datapath_error(err, err_size, fd, "%s/%s: cannot open: %s%s", dir,
					 map_names[KB_MAP_HEADER], strerror(-fd),
					 fd == -EPERM ? " (root, or CAP_BPF and CAP_NET_ADMIN)"
						      : "");
	r = header_check(fd, dir, err, err_size);
	close(fd);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
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
		/* Counters and ports are of this program's build; the table is not. */
		if (r < 0 && i != KB_MAP_PERCPU && i != KB_MAP_PORTS)
			return 0;
	}
	return 1;
}

static int keep_fd(int fd, int *ret_fd)
{
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? -errno : 0;
}

static int pin_all(struct kb_datapath *dp)
{
	int r;

	if (!dp->adopted) {
		kb_pin_remove(dp->dir, map_names[KB_MAP_HEADER]);
		kb_pin_remove_like(dp->dir, "index_");
		kb_pin_remove_like(dp->dir, "page_");
	}
	for (size_t i = 0; i < KB_PROG_COUNT; i++) {
		if (dp->prog_fd[i] < 0)
			continue;
		r = kb_pin_put(dp->dir, prog_pins[i], dp->prog_fd[i]);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < KB_MAP_COUNT; i++) {
		r = kb_pin_put(dp->dir, map_names[i], dp->map_fd[i]);
		if (r < 0)
			return r;
	}
	return 0;
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

static struct kbdns_bpf *open_skel(const struct kb_datapath_config *config)
{
	struct kbdns_bpf *skel = kbdns_bpf__open();

	if (!skel)
		return NULL;
	if (config->skip_tc)
		bpf_program__set_autoload(skel->progs.kbdns_tc, false);
	if (config->skip_xdp)
		bpf_program__set_autoload(skel->progs.kbdns_xdp, false);
	return skel;
}

int kb_datapath_load(struct kb_datapath *dp, const struct kb_datapath_config *config, char *err,
		     size_t err_size)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct kbdns_bpf *skel = NULL;
	int r, found;

	libbpf_set_print(on_libbpf);
	/* Kernels before 5.11 account maps here; where it is refused, try without. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	found = find_table(dp->dir, err, err_size);
	if (found < 0)
		return found;
	for (;;) {
		struct bpf_map *maps[KB_MAP_COUNT];
		struct bpf_program *progs[KB_PROG_COUNT];

		skel = open_skel(config);
		if (!skel)
			return load_error(-errno, err, err_size);
		maps[KB_MAP_ICEPT] = skel->maps.kb_icept;
		maps[KB_MAP_INDEX] = skel->maps.kb_index;
		maps[KB_MAP_ARENA] = skel->maps.kb_arena;
		maps[KB_MAP_PERCPU] = skel->maps.kb_percpu;
		maps[KB_MAP_PORTS] = skel->maps.kb_ports;
		maps[KB_MAP_HEADER] = skel->maps.kb_header;
		progs[KB_PROG_TC] = skel->progs.kbdns_tc;
		progs[KB_PROG_XDP] = skel->progs.kbdns_xdp;
		progs[KB_PROG_BEAT] = skel->progs.kbdns_beat;
		if (found && !reuse_maps(maps, dp->dir)) {
			/* Some maps have been taken over already: begin again without. */
			found = 0;
			kbdns_bpf__destroy(skel);
			continue;
		}
		r = kbdns_bpf__load(skel);
		if (r < 0) {
			load_error(r, err, err_size);
			break;
		}
		for (size_t i = 0; r == 0 && i < KB_MAP_COUNT; i++)
			r = keep_fd(bpf_map__fd(maps[i]), &dp->map_fd[i]);
		for (size_t i = 0; r == 0 && i < KB_PROG_COUNT; i++) {
			if (bpf_program__fd(progs[i]) >= 0)
				r = keep_fd(bpf_program__fd(progs[i]), &dp->prog_fd[i]);
		}
		dp->adopted = found;
		if (r == 0)
			r = pin_all(dp);
		if (r < 0)
			kb_datapath_error(err, err_size, r, "%s: cannot pin: %s", dp->dir,
					  strerror(-r));
		break;
	}
	/* Descriptors are kept, libbpf's megabytes are not. */
	kbdns_bpf__destroy(skel);
	return r;
}
