// SPDX-License-Identifier: Apache-2.0
#include "control/ctl/cmd_uninstall.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ctl/json_out.h"
#include "control/ctl/peer.h"
#include "control/ctl/protocol.h"
#include "control/ctl/run_lock.h"
#include "control/datapath/uninstall.h"

#define STOP_MS	     30000
#define DOCUMENT_MAX 4096

struct report {
	bool json;
	unsigned int removed, left, other;
};

static void print(const struct report *rep, const char *key, const char *thing)
{
	struct kb_json_out o;

	if (!rep->json) {
		fprintf(strcmp(key, "left") == 0 ? stderr : stdout, "%s: %s\n", key, thing);
		return;
	}
	kb_json_out_init(&o, DOCUMENT_MAX);
	kb_json_out_open(&o, '{');
	kb_json_put_str(&o, key, thing);
	kb_json_out_close(&o);
	if (kb_json_out_end(&o) == 0)
		fwrite(o.text.buf, 1, o.text.len, stdout);
	kb_json_out_fini(&o);
}

static void tell(void *arg, enum kb_uninstall_what what, const char *thing)
{
	static const char *const keys[] = {"removed", "left", "other"};
	struct report *rep = arg;

	rep->removed += what == KB_UNINSTALL_REMOVED;
	rep->left += what == KB_UNINSTALL_LEFT;
	rep->other += what == KB_UNINSTALL_OTHER;
	print(rep, keys[what], thing);
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "kbdnsctl: %s: %s\n", what, why);
	return -1;
}

/* ---- the process ---- */

/* Whose socket is it? 0: nobody listens; -1 after a message. The kernel tells, so that one that
 * hangs is found, too. */
static pid_t listener(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return fail(path, strerror(ENAMETOOLONG));
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail("socket", strerror(errno));
	r = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno : 0;
	if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		r = errno;
	close(fd);
	if (r == ENOENT || r == ECONNREFUSED)
		return 0;
	if (r)
		return fail(path, strerror(r));
	if (peer.pid <= 0)
		return fail(path, "kbdnsd runs in another pid namespace: stop it there");
	return peer.pid;
}

static int stop_process(pid_t pid)
{
	struct pollfd p = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int r = 0;

	if (p.fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (pidfd_send_signal(p.fd, SIGTERM, NULL, 0) < 0)
		r = errno == ESRCH ? 0 : -errno;
	else if (poll(&p, 1, STOP_MS) != 1)
		r = -ETIMEDOUT;
	close(p.fd);
	return r;
}

/* Its filters and its interface can only be seen where it runs. */
static bool same_netns(pid_t pid)
{
	char path[64];
	struct stat ours, its;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat("/proc/self/ns/net", &ours) < 0 || stat(path, &its) < 0 ||
	       (ours.st_ino == its.st_ino && ours.st_dev == its.st_dev);
}

static int stop_kbdnsd(const char *socket_path, const struct report *rep)
{
	pid_t pid = listener(socket_path);
	char text[64];
	int r;

	if (pid <= 0)
		return pid;
	snprintf(text, sizeof(text), "kbdnsd (pid %d)", (int)pid);
	if (!same_netns(pid))
		return fail(text, "is in another network namespace: nsenter --net -t PID kbdnsctl "
				  "uninstall");
	r = stop_process(pid);
	if (r == -ETIMEDOUT)
		return fail(text, "has not ended for 30 s: kill -9 it, then once more");
	if (r < 0)
		return fail(text, strerror(-r));
	print(rep, "stopped", text);
	return 0;
}

/* ---- the run directory ---- */

static void remove_file(struct report *rep, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return;
	if (unlink(path) == 0)
		tell(rep, KB_UNINSTALL_REMOVED, path);
	else if (errno != ENOENT)
		tell(rep, KB_UNINSTALL_LEFT, path);
}

/* What is in it besides, such as a query log, is the operator's. */
static void clear_run_dir(struct report *rep, const char *dir, int lock_fd)
{
	remove_file(rep, dir, KB_CTL_SOCKET_NAME);
	remove_file(rep, dir, KB_PEER_SOCKET_NAME);
	remove_file(rep, dir, "bypass");
	kb_run_lock_release(dir, lock_fd);
	if (rmdir(dir) == 0)
		tell(rep, KB_UNINSTALL_REMOVED, dir);
}

/* With the lock of the run directory, so that no kbdnsd starts meanwhile; no directory, no lock. */
static int run_dir_lock(const char *socket_path, char dir[PATH_MAX], int *ret_fd)
{
	const char *slash = strrchr(socket_path, '/');
	char err[512];

	*ret_fd = -1;
	dir[0] = '\0';
	if (!slash || slash == socket_path || slash - socket_path >= PATH_MAX)
		return 0;
	memcpy(dir, socket_path, (size_t)(slash - socket_path));
	dir[slash - socket_path] = '\0';
	if (access(dir, F_OK) < 0) {
		dir[0] = '\0';
		return 0;
	}
	if (kb_run_lock_take(dir, ret_fd, err, sizeof(err)) == 0)
		return 0;
	fprintf(stderr, "kbdnsctl: %s\n", err);
	return -1;
}

static void summary(const struct report *rep, const char *bpffs)
{
	if (rep->json) {
		printf("{\"ok\":%s,\"protocol\":%d,\"count\":%u}\n", rep->left ? "false" : "true",
		       KB_CTL_PROTOCOL, rep->removed);
		return;
	}
	if (rep->other)
		printf("other: not of %s, left alone: of a kbdnsd with another --bpffs\n", bpffs);
	if (rep->left)
		fprintf(stderr,
			"kbdnsctl: %u things are left: end the processes that hold them "
			"(kbdnsctl workers stop all ends kbdns-dpdk while kbdnsd runs), then once "
			"more\n",
			rep->left);
	else
		printf("nothing is left\n");
}

static int run(const char *socket_path, struct kb_uninstall *u, struct report *rep)
{
	char dir[PATH_MAX], err[512];
	int lock_fd, r;

	if (stop_kbdnsd(socket_path, rep) < 0 || run_dir_lock(socket_path, dir, &lock_fd) < 0)
		return -1;
	r = kb_uninstall_run(u, tell, rep, err, sizeof(err));
	if (r < 0) {
		kb_run_lock_release(dir, lock_fd);
		fprintf(stderr, "kbdnsctl: %s\n", err);
		return -1;
	}
	if (*dir)
		clear_run_dir(rep, dir, lock_fd);
	return 0;
}

int kb_ctl_uninstall(const char *socket_path, const char *bpffs, bool json)
{
	struct report rep = {.json = json};
	struct kb_uninstall *u;
	char err[512];
	int r;

	if (geteuid() != 0)
		return -fail("uninstall", "run as root");
	if (kb_uninstall_new(bpffs, &u, err, sizeof(err)) < 0) {
		fprintf(stderr, "kbdnsctl: %s\n", err);
		return 1;
	}
	r = run(socket_path, u, &rep);
	kb_uninstall_free(u);
	if (r < 0)
		return 1;
	summary(&rep, bpffs);
	return rep.left > 0;
}
