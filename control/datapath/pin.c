// SPDX-License-Identifier: Apache-2.0
/* Names in bpffs. */
#include "control/datapath/private.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPFFS_MAGIC 0xcafe4a11U

static int pin_path(char *path, const char *dir, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Makes dir and the folders above it, none of them outside bpffs. */
static int make_folders(char *path)
{
	struct statfs fs;
	char *slash;
	int r;

	if (statfs(path, &fs) == 0)
		return (uint32_t)fs.f_type == BPFFS_MAGIC ? 0 : -EMEDIUMTYPE;
	if (errno != ENOENT)
		return -errno;
	slash = strrchr(path, '/');
	if (!slash || slash == path)
		return -EMEDIUMTYPE;
	*slash = 0;
	r = make_folders(path);
	*slash = '/';
	if (r < 0)
		return r;
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int kb_pin_dir(const char *dir, char *err, size_t err_size)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);
	int r;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (dir[0] != '/' || n >= PATH_MAX - 64)
		return kb_datapath_error(err, err_size, -EINVAL,
					 "%s: not a usable absolute path of a folder in bpffs",
					 dir);
	memcpy(path, dir, n);
	path[n] = 0;
	r = make_folders(path);
	if (r == -EMEDIUMTYPE)
		return kb_datapath_error(err, err_size, r,
					 "%s: no bpffs is mounted there: mount -t bpf bpf "
					 "/sys/fs/bpf",
					 dir);
	if (r < 0)
		return kb_datapath_error(
			err, err_size, r, "%s: cannot make the folder: %s%s", dir, strerror(-r),
			r == -EPERM ? " (no dots in names; root or the owner)" : "");
	return 0;
}

int kb_pin_open(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int r = pin_path(path, dir, name);

	if (r < 0)
		return r;
	r = bpf_obj_get(path);
	return r < 0 ? -errno : r;
}

int kb_pin_put(const char *dir, const char *name, int fd)
{
	char path[PATH_MAX], beside[PATH_MAX + 8];
	int r = pin_path(path, dir, name);

	if (r < 0)
		return r;
	snprintf(beside, sizeof(beside), "%s_new", path);
	if (unlink(beside) < 0 && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(fd, beside) < 0)
		return -errno;
	if (rename(beside, path) < 0) {
		r = -errno;
		unlink(beside);
	}
	return r;
}

void kb_pin_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (pin_path(path, dir, name) == 0)
		unlink(path);
}

int kb_pin_each(const char *dir, int (*fn)(const char *dir, const char *name, void *arg), void *arg)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			r = fn(dir, e->d_name, arg);
	}
	closedir(d);
	return r;
}

static int remove_like(const char *dir, const char *name, void *prefix)
{
	char path[PATH_MAX];

	if (strncmp(name, prefix, strlen(prefix)) == 0 && pin_path(path, dir, name) == 0)
		remove(path);
	return 0;
}

void kb_pin_remove_like(const char *dir, const char *prefix)
{
	kb_pin_each(dir, remove_like, (void *)(uintptr_t)prefix);
}
