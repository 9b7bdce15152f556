// SPDX-License-Identifier: Apache-2.0
/* What is pinned. Tables are found by their header, in the folder and one level below. */
#include "control/datapath/probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "control/datapath/private.h"

#define BPFFS_MAGIC 0xcafe4a11U

/* The first names are also those of folders, and of links of an earlier program. */
static const char *const our_names[] = {"kb_",	 "prog_",   "link_", "index_",
					"page_", "clsact_", "table"};

/* The nearest folder that exists, which has to be bpffs. */
static int find_bpffs(const char *dir, char *at, size_t size)
{
	struct statfs fs;
	char *slash;

	if (dir[0] != '/' || strlen(dir) >= size)
		return -EINVAL;
	memcpy(at, dir, strlen(dir) + 1);
	while (statfs(at, &fs) < 0) {
		if (errno != ENOENT)
			return -errno;
		slash = strrchr(at, '/');
		if (slash == at)
			return -EMEDIUMTYPE;
		*slash = 0;
	}
	return (uint32_t)fs.f_type == BPFFS_MAGIC ? 0 : -EMEDIUMTYPE;
}

/* Signals wait, so that nobody's ^C leaves the pin. */
static int try_pin(const char *at)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kb_try", 4, 4, 1, NULL), r = 0;
	char path[PATH_MAX];
	sigset_t all, was;

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "%s/kbdns_try_%d", at, (int)getpid());
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &was);
	if (bpf_obj_pin(fd, path) < 0)
		r = -errno;
	else if (unlink(path) < 0)
		r = -errno;
	sigprocmask(SIG_SETMASK, &was, NULL);
	close(fd);
	return r;
}

static int64_t age_ms(const struct kb_header *hdr)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	if (!hdr->writer_beats || hdr->writer_beats > now)
		return -1;
	return (int64_t)((now - hdr->writer_beats) / 1000000);
}

/* Magic, version and size of a header never move; all else is only ours to read in our version. */
static void see_header(const char *dir, struct kb_pins *ret)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	const struct kb_header *hdr;
	int fd = kb_pin_open(dir, "kb_header");
	int64_t age;

	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.value_size >= 16) {
		hdr = mmap(NULL, info.value_size, PROT_READ, MAP_SHARED, fd, 0);
		if (hdr != MAP_FAILED) {
			ret->tables++;
			if (hdr->magic == KB_LAYOUT_MAGIC && hdr->version == KB_LAYOUT_VERSION &&
			    info.value_size >= sizeof(*hdr)) {
				age = age_ms(hdr);
				if (age >= 0 && (ret->age_ms < 0 || age < ret->age_ms))
					ret->age_ms = age;
				if (!ret->foreign)
					ret->version = hdr->version;
			} else {
				ret->foreign++;
				ret->version = hdr->version;
			}
			munmap((void *)(uintptr_t)hdr, info.value_size);
		}
	}
	close(fd);
}

static int see_entry(const char *dir, const char *name, void *arg)
{
	struct kb_pins *ret = arg;
	char path[PATH_MAX];
	struct stat st;
	size_t i = 0, n = sizeof(our_names) / sizeof(our_names[0]);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	while (i < n && strncmp(name, our_names[i], strlen(our_names[i])) != 0)
		i++;
	ret->others += i == n;
	ret->links += strncmp(name, "link_", 5) == 0;
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		see_header(path, ret);
	return 0;
}

void kb_probe_pins(const char *dir, struct kb_pins *ret)
{
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	ret->age_ms = -1;
	ret->mounted = find_bpffs(dir, ret->at, sizeof(ret->at));
	if (ret->mounted < 0)
		return;
	ret->writable = try_pin(ret->at);
	ret->exists = stat(dir, &st) == 0;
	if (!ret->exists)
		return;
	see_header(dir, ret);
	kb_pin_each(dir, see_entry, ret);
}
