/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int lock_path(const char *run_dir, char *path, size_t size)
{
	return (size_t)snprintf(path, size, "%s/kbdnsd.lock", run_dir) < size ? 0 : -ENAMETOOLONG;
}

static int fail(int r, const char *what, char *err, size_t err_size)
{
	const char *cure = "";

	if (r == -EACCES || r == -EPERM)
		cure = ", run as root or choose another --run-dir";
	else if (r == -ENOENT || r == -EROFS || r == -ENOTDIR || r == -ENAMETOOLONG)
		cure = ", choose another --run-dir";
	snprintf(err, err_size, "%s: %s%s", what, strerror(-r), cure);
	return r;
}

/* 0, or 1 when the file was replaced by its last owner while we waited for it. */
static int is_current(int fd, const char *path)
{
	struct stat ours, now;

	if (fstat(fd, &ours) < 0)
		return -errno;
	if (stat(path, &now) < 0)
		return errno == ENOENT ? 1 : -errno;
	return ours.st_ino != now.st_ino || ours.st_dev != now.st_dev;
}

static int busy(int fd, const char *run_dir, char *err, size_t err_size)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	snprintf(err, err_size,
		 "kbdnsd already runs (pid %s) with run directory %s, "
		 "stop it or choose another --run-dir",
		 *pid ? pid : "unknown", run_dir);
	return -EBUSY;
}

int kb_run_lock_adopt(int fd)
{
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	errno = 0;
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
		return errno ? -errno : -EIO;
	return 0;
}

int kb_run_lock_take(const char *run_dir, int *ret_fd, char *err, size_t err_size)
{
	char path[PATH_MAX];
	int fd = -1, r;

	if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
		return fail(-errno, run_dir, err, err_size);
	r = lock_path(run_dir, path, sizeof(path));
	if (r < 0)
		return fail(r, run_dir, err, err_size);
	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return fail(-errno, path, err, err_size);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			r = errno == EWOULDBLOCK ? busy(fd, run_dir, err, err_size)
						 : fail(-errno, path, err, err_size);
			goto err;
		}
		r = is_current(fd, path);
		if (r < 0) {
			fail(r, path, err, err_size);
			goto err;
		}
		if (r == 0)
			break;
		close(fd);
	}
	r = kb_run_lock_adopt(fd);
	if (r < 0) {
		fail(r, path, err, err_size);
		goto err;
	}
	*ret_fd = fd;
	return 0;
err:
	close(fd);
	return r;
}

void kb_run_lock_release(const char *run_dir, int fd)
{
	char path[PATH_MAX];

	if (fd < 0)
		return;
	if (lock_path(run_dir, path, sizeof(path)) == 0)
		unlink(path); /* while held: see is_current */
	close(fd);
}
