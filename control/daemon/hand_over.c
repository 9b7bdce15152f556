/* SPDX-License-Identifier: Apache-2.0 */
/* The old kbdnsd's side, see takeover.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/daemon/daemon.h"
#include "control/log.h"

#define CALLED_MS 5000
#define GIVEN_MS  10000
#define STOP_MS	  20000
#define DRAIN_MS  15000 /* longer than an exchange, and than a TCP connection that is idle */
#define LOOK_MS	  100

static void on_timer(uv_timer_t *timer)
{
	struct kb_daemon *d = timer->data;

	if (!d->stopping)
		kb_daemon_hand_over_timeout(d);
}

static void forget_peer(struct kb_daemon *d)
{
	kb_peer_free(d->takeover.peer);
	d->takeover.peer = NULL;
	d->takeover.step = KB_TAKEOVER_NONE;
	uv_timer_stop(&d->takeover.timer);
	if (d->takeover.stop_wanted)
		kb_daemon_end(d, 0);
}

/* --- give, and take back --- */

/* Nothing is read any more; the socket of HTTP, -1: none. */
static int pause_all(struct kb_daemon *d)
{
	if (d->server)
		kb_server_pause(d->server);
	kb_ctl_server_pause(d->ctl, true);
	kb_daemon_pods_pause(d, true);
	uv_poll_stop(&d->takeover.poll);
	return d->httpd ? kb_httpd_quiesce(d->httpd) : -1;
}

static int give_sockets(struct kb_daemon *d)
{
	struct kb_peer *peer = d->takeover.peer;
	struct kb_listen_socket s;
	char text[KB_ADDR_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && d->server && kb_server_socket(d->server, i, &s); i++)
		r = kb_peer_send(peer, s.fd, "give %s %s", s.tcp ? "tcp" : "udp",
				 kb_format_addr_port(&s.at, text));
	return r;
}

static void give(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;
	int lock, control, http, r;

	t->step = KB_TAKEOVER_GIVEN;
	uv_timer_start(&t->timer, on_timer, GIVEN_MS, 0);
	kb_ctl_server_fds(d->ctl, &lock, &control);
	t->fds.http = http = pause_all(d);
	r = give_sockets(d);
	if (r == 0 && http >= 0)
		r = kb_peer_send(t->peer, http, "give http");
	if (r == 0)
		r = kb_peer_send(t->peer, control, "give control");
	if (r == 0)
		r = kb_peer_send(t->peer, t->listen_fd, "give takeover");
	if (r == 0)
		r = kb_peer_send(t->peer, kb_datapath_lock_fd(d->datapath), "give lock-bpffs");
	if (r == 0)
		r = kb_peer_send(t->peer, lock, "give lock-run");
	if (r == 0)
		r = kb_peer_send(t->peer, -1, "yours");
	/* The other one has gone, then its end is seen next; or it does not read, and time is
	 * short. */
	if (r < 0)
		kb_log_warn("handing over: %s", strerror(-r));
}

static void take_back(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;
	struct kb_httpd_ops ops = {d, kb_daemon_metrics, kb_daemon_healthy, kb_daemon_ready};
	int http = t->fds.http, r = 0;
	char err[512];

	kb_datapath_reclaim(d->datapath);
	if (d->server)
		r = kb_server_resume(d->server);
	if (r < 0)
		kb_log_error("listening again: %s", strerror(-r));
	kb_ctl_server_own(d->ctl, true);
	kb_ctl_server_pause(d->ctl, false);
	kb_daemon_pods_pause(d, false);
	t->fds.http = -1;
	if (http >= 0) {
		kb_httpd_free(d->httpd);
		d->httpd = NULL;
		if (kb_httpd_new(d->loop, &d->options.http, http, &ops, &d->httpd, err,
				 sizeof(err)) < 0)
			kb_log_error("%s", err);
	}
	kb_daemon_hand_over_listen(d, err, sizeof(err));
	forget_peer(d);
}

/* --- the end --- */

static bool busy(const struct kb_daemon *d)
{
	struct kb_server_stats server;
	struct kb_forward_stats forward;

	kb_daemon_sockets(d, &server);
	kb_daemon_forward(d, &forward);
	return server.tcp_open || forward.active;
}

static void drain(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	if (uv_now(d->loop) < t->drain_end_ms && busy(d)) {
		uv_timer_start(&t->timer, on_timer, LOOK_MS, 0);
		return;
	}
	kb_log_info("handed over to pid %u", t->peer_pid);
	kb_daemon_end(d, 0);
}

static void on_taken(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	t->step = KB_TAKEOVER_DRAINING;
	t->drained = true;
	kb_ctl_server_own(d->ctl, false);
	kb_peer_send(t->peer, -1, "bye");
	kb_log_info("pid %u has taken over: %s", t->peer_pid,
		    busy(d) ? "finishing connections and queries under way" : "ending");
	t->drain_end_ms = uv_now(d->loop) + DRAIN_MS;
	/* What has just been read from a socket is not counted yet. */
	uv_timer_start(&t->timer, on_timer, LOOK_MS, 0);
}

void kb_daemon_hand_over_timeout(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	switch (t->step) {
	case KB_TAKEOVER_CALLED:
		forget_peer(d);
		break;
	case KB_TAKEOVER_WELCOMED:
		if (t->stop_wanted)
			kb_daemon_end(d, 0);
		break;
	case KB_TAKEOVER_GIVEN:
		/* It may have said so while this loop was late itself. */
		kb_peer_poll(t->peer);
		if (t->step != KB_TAKEOVER_GIVEN)
			break;
		kb_log_error("pid %u has not taken over within %d s: going on", t->peer_pid,
			     GIVEN_MS / 1000);
		kb_peer_send(t->peer, -1, "late");
		take_back(d);
		break;
	case KB_TAKEOVER_DRAINING:
		drain(d);
		break;
	default:
		break;
	}
}

bool kb_daemon_hand_over_first(struct kb_daemon *d)
{
	struct kb_daemon_takeover *t = &d->takeover;

	if (t->step < KB_TAKEOVER_WELCOMED)
		return false;
	if (t->step == KB_TAKEOVER_WELCOMED && !t->stop_wanted) {
		kb_log_info("ending when pid %u has taken over, or in %d s", t->peer_pid,
			    STOP_MS / 1000);
		uv_timer_start(&t->timer, on_timer, STOP_MS, 0);
	}
	t->stop_wanted = true;
	return true;
}

/* --- the beginning --- */

/* What stands in the way of taking over, in `why`; or true. */
static bool may_take_over(const struct kb_daemon *d, const char *line, unsigned int *ret_pid,
			  char *why, size_t size)
{
	uint64_t dev, ino, net;
	struct stat dir = {0}, ns = {0};
	int version;

	(void)!stat(d->options.bpffs, &dir);
	(void)!stat("/proc/self/ns/net", &ns);
	if (sscanf(line, "take-over %d %" SCNu64 ":%" SCNu64 " %" SCNu64 " %u", &version, &dev,
		   &ino, &net, ret_pid) != 5 ||
	    version != KB_PEER_VERSION)
		snprintf(why, size, "it speaks another version of the protocol: stop it first");
	else if (dev != dir.st_dev || ino != dir.st_ino)
		snprintf(why, size,
			 "it runs with --bpffs %s: give the same, or another --run-dir and other "
			 "interfaces",
			 d->options.bpffs);
	else if (net != ns.st_ino)
		snprintf(why, size,
			 "it runs in another network namespace: a Pod needs hostNetwork");
	else if (!d->attached)
		snprintf(why, size, "it is starting itself: try again");
	else
		return true;
	return false;
}

static void on_message(void *arg, char *line, int fd)
{
	struct kb_daemon *d = arg;
	struct kb_daemon_takeover *t = &d->takeover;
	char why[256];

	if (fd >= 0)
		close(fd);
	if (d->stopping)
		return;
	if (t->step == KB_TAKEOVER_CALLED) {
		if (!may_take_over(d, line, &t->peer_pid, why, sizeof(why))) {
			kb_log_warn("another kbdnsd may not take over: %s", why);
			kb_peer_send(t->peer, -1, "refused %s", why);
			forget_peer(d);
			return;
		}
		uv_timer_stop(&t->timer);
		t->step = KB_TAKEOVER_WELCOMED;
		kb_log_info("pid %u is going to take over", t->peer_pid);
		kb_peer_send(t->peer, -1, "welcome %d", (int)getpid());
	} else if (t->step == KB_TAKEOVER_WELCOMED && strcmp(line, "ready") == 0) {
		give(d);
	} else if (t->step == KB_TAKEOVER_GIVEN && strcmp(line, "taken") == 0) {
		on_taken(d);
	}
}

static void on_gone(void *arg)
{
	struct kb_daemon *d = arg;
	struct kb_daemon_takeover *t = &d->takeover;

	if (d->stopping || t->step == KB_TAKEOVER_DRAINING)
		return;
	if (t->step != KB_TAKEOVER_CALLED)
		kb_log_warn("pid %u, which was to take over, has gone", t->peer_pid);
	if (t->step == KB_TAKEOVER_GIVEN) {
		take_back(d);
		return;
	}
	/* Its table, if it was killed. */
	if (t->step == KB_TAKEOVER_WELCOMED)
		kb_datapath_alone(d->datapath);
	forget_peer(d);
}

static void on_call(uv_poll_t *poll, int status, int events)
{
	struct kb_daemon *d = poll->data;
	struct kb_daemon_takeover *t = &d->takeover;
	const struct kb_peer_ops ops = {on_message, on_gone, d};
	int fd = kb_peer_accept(t->listen_fd);

	(void)status;
	(void)events;
	if (fd < 0)
		return;
	if (d->stopping || t->step != KB_TAKEOVER_NONE) {
		kb_peer_refuse(fd, "refused another kbdnsd is taking over already");
		return;
	}
	if (kb_peer_new(d->loop, fd, &ops, &t->peer) < 0)
		return;
	t->step = KB_TAKEOVER_CALLED;
	uv_timer_start(&t->timer, on_timer, CALLED_MS, 0);
}

int kb_daemon_hand_over_listen(struct kb_daemon *d, char *err, size_t err_size)
{
	struct kb_daemon_takeover *t = &d->takeover;
	int r;

	if (t->listen_fd < 0) {
		t->listen_fd = t->fds.takeover;
		t->fds.takeover = -1;
	}
	if (t->listen_fd < 0)
		t->listen_fd = kb_peer_listen(t->path);
	r = t->listen_fd < 0 ? t->listen_fd : 0;
	if (r == 0 && !t->polled) {
		r = uv_poll_init(d->loop, &t->poll, t->listen_fd);
		t->polled = r == 0;
		t->poll.data = d;
	}
	if (r == 0)
		r = uv_poll_start(&t->poll, UV_READABLE, on_call);
	if (r < 0)
		snprintf(err, err_size, "%s: %s, choose another --run-dir", t->path, strerror(-r));
	return r;
}
