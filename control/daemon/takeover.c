/* SPDX-License-Identifier: Apache-2.0 */
/* The new kbdnsd's side, see takeover.h. */
#include "control/daemon/takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/daemon/daemon.h"
#include "control/log.h"

#define CALL_MS	      5000
#define BUILD_MS      300000 /* to sync: then the old one goes on, and this one says so by ending */
#define READY_MS      10000
#define SOCKETS_MAX   4096
#define LOCKS_MS      2000
#define LOCKS_STEP_MS 10

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What nobody has taken. */
static void close_fds(struct kb_takeover_fds *fds)
{
	close_fd(&fds->lock_run);
	close_fd(&fds->lock_bpffs);
	close_fd(&fds->control);
	close_fd(&fds->takeover);
	close_fd(&fds->http);
	for (size_t i = 0; i < fds->n_sockets; i++)
		close_fd(&fds->sockets[i].fd);
	free(fds->sockets);
	fds->sockets = NULL;
	fds->n_sockets = 0;
}

static void on_timeout(uv_timer_t *timer)
{
	struct kb_daemon *d = timer->data;

	if (d->stopping)
		return;
	if (d->takeover.step == KB_TAKEOVER_BUILDING) {
		kb_log_error("not synced within %d s: the kbdnsd that runs (pid %u) goes on, "
			     "see kbdnsctl status for its source's errors",
			     BUILD_MS / 1000, d->takeover.peer_pid);
		kb_daemon_end(d, -ETIMEDOUT);
	} else if (d->takeover.step == KB_TAKEOVER_READY) {
		kb_log_error("the kbdnsd that runs (pid %u) does not give way within %d s: stop it",
			     d->takeover.peer_pid, READY_MS / 1000);
		kb_daemon_end(d, -ETIMEDOUT);
	} else {
		kb_daemon_hand_over_timeout(d);
	}
}

int kb_daemon_takeover_init(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	t->fds = (struct kb_takeover_fds){-1, -1, -1, -1, -1, NULL, 0};
	t->listen_fd = -1;
	t->timer.data = d;
	if (asprintf(&t->path, "%s/" KB_PEER_SOCKET_NAME, d->options.run_dir) < 0) {
		t->path = NULL;
		return -ENOMEM;
	}
	return uv_timer_init(d->loop, &t->timer);
}

bool kb_daemon_in_charge(const struct kb_daemon *d)
{
	switch (d->takeover.step) {
	case KB_TAKEOVER_BUILDING:
	case KB_TAKEOVER_READY:
	case KB_TAKEOVER_GIVEN:
	case KB_TAKEOVER_DRAINING:
		return false;
	default:
		return true;
	}
}

bool kb_daemon_takeover_foreign(const struct kb_daemon *d)
{
	const struct kb_daemon_takeover *t = &d->takeover;

	/* WELCOMED: the old one could not wait any longer, and the new one goes on by itself. */
	return t->drained || t->step != KB_TAKEOVER_NONE;
}

void kb_daemon_takeover_fini(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;
	bool foreign = t->drained || t->step == KB_TAKEOVER_TAKEN;

	if (d->ctl && foreign)
		kb_ctl_server_own(d->ctl, false);
	kb_peer_free(t->peer);
	t->peer = NULL;
	if (t->polled)
		uv_close((uv_handle_t *)&t->poll, NULL);
	t->polled = false;
	if (t->listen_fd >= 0) {
		if (!foreign)
			unlink(t->path);
		close_fd(&t->listen_fd);
	}
	close_fds(&t->fds);
	free(t->path);
	t->path = NULL;
}

/* --- what the old one says --- */

static void receive(struct kb_daemon *d, const char *what, int fd)
{
	struct kb_takeover_fds *fds = &d->takeover.fds;
	const struct {
		const char *what;
		int *fd;
	} single[] = {
		{"lock-run", &fds->lock_run}, {"lock-bpffs", &fds->lock_bpffs},
		{"control", &fds->control},   {"takeover", &fds->takeover},
		{"http", &fds->http},
	};
	struct kb_listen_socket s = {.fd = fd, .tcp = strncmp(what, "tcp ", 4) == 0};
	struct kb_listen_socket *v;

	for (size_t i = 0; i < sizeof(single) / sizeof(*single); i++) {
		if (strcmp(what, single[i].what) == 0) {
			close_fd(single[i].fd);
			*single[i].fd = fd;
			return;
		}
	}
	v = NULL;
	if ((s.tcp || strncmp(what, "udp ", 4) == 0) && fds->n_sockets < SOCKETS_MAX &&
	    kb_parse_addr_port(what + 4, 0, &s.at) == 0)
		v = realloc(fds->sockets, (fds->n_sockets + 1) * sizeof(*v));
	if (!v) {
		close(fd);
		return;
	}
	fds->sockets = v;
	v[fds->n_sockets++] = s;
}

/* The old one reads nothing any more. As little as possible happens before its sockets are read
 * again. */
static void take(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;
	char err[512] = "it has not passed on its locks";
	int fd = t->fds.lock_bpffs, r = -EPROTO;

	uv_timer_stop(&t->timer);
	if (fd >= 0 && t->fds.lock_run >= 0 && t->fds.control >= 0) {
		t->fds.lock_bpffs = -1;
		t->step = KB_TAKEOVER_TAKEN;
		r = kb_datapath_lock(d->datapath, fd, err, sizeof(err));
	}
	if (r == 0)
		r = kb_daemon_listen(d, err, sizeof(err));
	if (r == 0)
		r = kb_daemon_charge(d, err, sizeof(err));
	if (r < 0) {
		kb_log_error("taking over: %s", err);
		kb_daemon_end(d, r);
		return;
	}
	kb_daemon_bypass_load(d);
	kb_daemon_go(d);
	if (!d->stopping)
		kb_peer_send(t->peer, -1, "taken");
}

/* In charge for good: what has been passed on is ours. */
static void own(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	kb_peer_free(t->peer);
	t->peer = NULL;
	t->step = KB_TAKEOVER_NONE;
	close_fds(&t->fds);
	kb_ctl_server_own(d->ctl, true);
	kb_datapath_alone(d->datapath);
}

static void on_message(void *arg, char *line, int fd)
{
	struct kb_daemon *d = arg;
	struct kb_daemon_takeover *t = &d->takeover;

	if (d->stopping) {
		close_fd(&fd);
		return;
	}
	if (t->step == KB_TAKEOVER_READY && fd >= 0 && strncmp(line, "give ", 5) == 0) {
		receive(d, line + 5, fd);
		return;
	}
	close_fd(&fd);
	if (t->step == KB_TAKEOVER_READY && strcmp(line, "yours") == 0) {
		take(d);
	} else if (t->step == KB_TAKEOVER_TAKEN && strcmp(line, "bye") == 0) {
		kb_log_info("took over from pid %u", t->peer_pid);
		own(d);
	} else if (t->step == KB_TAKEOVER_TAKEN && strcmp(line, "late") == 0) {
		kb_log_error("took too long to take over: the kbdnsd that runs (pid %u) goes on",
			     t->peer_pid);
		kb_daemon_end(d, -ETIMEDOUT);
	}
}

/* What a process holds is let go of one by one when it dies. */
static int wait_for_locks(struct kb_daemon *d, char *err, size_t err_size)
{
	int r = -EBUSY;

	for (int ms = 0; r == -EBUSY && ms < LOCKS_MS; ms += LOCKS_STEP_MS) {
		if (ms)
			usleep(LOCKS_STEP_MS * 1000);
		r = kb_datapath_lock_fd(d->datapath) >= 0
			    ? 0
			    : kb_datapath_lock(d->datapath, -1, err, err_size);
		if (r == 0)
			r = kb_daemon_charge(d, err, err_size);
	}
	return r;
}

/* The old one has died before it gave way: as at any start, but with a table that is ours. */
static void succeed(struct kb_daemon *d)
{
	char err[512];
	int r;

	kb_peer_free(d->takeover.peer);
	d->takeover.peer = NULL;
	uv_timer_stop(&d->takeover.timer);
	close_fds(&d->takeover.fds);
	r = wait_for_locks(d, err, sizeof(err));
	if (r == 0)
		d->takeover.step = KB_TAKEOVER_NONE;
	if (r == 0)
		r = kb_daemon_listen(d, err, sizeof(err));
	if (r < 0) {
		kb_log_error("%s", err);
		kb_daemon_end(d, r);
		return;
	}
	kb_daemon_bypass_load(d);
	kb_daemon_go(d);
}

static void on_gone(void *arg)
{
	struct kb_daemon *d = arg;

	if (d->stopping)
		return;
	kb_log_warn("the kbdnsd that ran (pid %u) has gone", d->takeover.peer_pid);
	if (d->takeover.step == KB_TAKEOVER_TAKEN)
		own(d);
	else
		succeed(d);
}

/* --- the beginning and "ready" --- */

int kb_daemon_takeover_ask(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_takeover *t = &d->takeover;
	const struct kb_peer_ops ops = {on_message, on_gone, d};
	char line[KB_PEER_LINE_MAX], reply[KB_PEER_LINE_MAX];
	struct stat dir = {0}, net = {0};
	int fd, r;

	/* 0:0, which is no folder, if it is not there. */
	(void)!stat(d->options.bpffs, &dir);
	(void)!stat("/proc/self/ns/net", &net);
	snprintf(line, sizeof(line), "take-over %d %" PRIu64 ":%" PRIu64 " %" PRIu64 " %d",
		 KB_PEER_VERSION, (uint64_t)dir.st_dev, (uint64_t)dir.st_ino, (uint64_t)net.st_ino,
		 (int)getpid());
	fd = kb_peer_call(t->path, line, reply, CALL_MS);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return -EBUSY;
	if (fd < 0) {
		snprintf(err, err_size, "%s: asking the kbdnsd that runs to give way: %s", t->path,
			 fd == -EAGAIN ? "it does not answer" : strerror(-fd));
		return fd;
	}
	if (sscanf(reply, "welcome %u", &t->peer_pid) != 1) {
		close(fd);
		snprintf(err, err_size, "the kbdnsd that runs does not give way: %s",
			 strncmp(reply, "refused ", 8) == 0 ? reply + 8 : reply);
		return -EBUSY;
	}
	r = kb_peer_new(d->loop, fd, &ops, &t->peer);
	if (r < 0) {
		snprintf(err, err_size, "main loop: %s", strerror(-r));
		return r;
	}
	kb_log_info("taking over from pid %u, which serves until this one is synced", t->peer_pid);
	t->step = KB_TAKEOVER_BUILDING;
	return uv_timer_start(&t->timer, on_timeout, BUILD_MS, 0);
}

void kb_daemon_takeover_ready(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	t->step = KB_TAKEOVER_READY;
	uv_timer_start(&t->timer, on_timeout, READY_MS, 0);
	/* An error is the connection's end, which is seen as such. */
	kb_peer_send(t->peer, -1, "ready");
}
