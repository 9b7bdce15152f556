/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* struct ucred */
#include "control/ctl/peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct kb_peer {
	int fd; /* owned */
	uv_poll_t poll;
	struct kb_peer_ops ops;
};

static int send_line(int fd, const char *line, int passed)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)line, strlen(line)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (passed >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* 1, 0 at the end, or -errno. */
static int receive_line(int fd, char line[KB_PEER_LINE_MAX], int *ret_passed)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {line, KB_PEER_LINE_MAX - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

	*ret_passed = -1;
	if (n <= 0)
		return n < 0 ? -errno : 0;
	line[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(ret_passed, CMSG_DATA(c), sizeof(int));
	}
	return 1;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct kb_peer *p = poll->data;
	char line[KB_PEER_LINE_MAX];
	int fd = -1, r = 0;

	(void)events;
	if (status == 0)
		r = receive_line(p->fd, line, &fd);
	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r == 1) {
		p->ops.message(p->ops.arg, line, fd);
		return;
	}
	uv_poll_stop(&p->poll);
	p->ops.gone(p->ops.arg);
}

void kb_peer_poll(struct kb_peer *p)
{
	on_readable(&p->poll, 0, UV_READABLE);
}

int kb_peer_new(uv_loop_t *loop, int fd, const struct kb_peer_ops *ops, struct kb_peer **ret_peer)
{
	struct kb_peer *p = calloc(1, sizeof(*p));
	int r = p ? uv_poll_init(loop, &p->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(p);
		close(fd);
		return r;
	}
	p->fd = fd;
	p->ops = *ops;
	p->poll.data = p;
	r = uv_poll_start(&p->poll, UV_READABLE, on_readable);
	if (r < 0) {
		kb_peer_free(p);
		return r;
	}
	*ret_peer = p;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct kb_peer *p = handle->data;

	close(p->fd);
	free(p);
}

void kb_peer_free(struct kb_peer *p)
{
	if (p && !uv_is_closing((uv_handle_t *)&p->poll))
		uv_close((uv_handle_t *)&p->poll, on_closed);
}

int kb_peer_send(struct kb_peer *p, int fd, const char *format, ...)
{
	char line[KB_PEER_LINE_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	return send_line(p->fd, line, fd);
}

static int address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret->sun_path, path);
	return 0;
}

int kb_peer_listen(const char *path)
{
	struct sockaddr_un sun;
	int fd, r = address(path, &sun);
	mode_t old;

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	old = umask(0177); /* born with mode 0600 */
	r = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 4) < 0 ? -errno : 0;
	umask(old);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int kb_peer_accept(int listen_fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    (cred.uid != 0 && cred.uid != geteuid())) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

void kb_peer_refuse(int fd, const char *line)
{
	send_line(fd, line, -1);
	close(fd);
}

int kb_peer_call(const char *path, const char *line, char reply[KB_PEER_LINE_MAX],
		 unsigned int timeout_ms)
{
	struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	struct sockaddr_un sun;
	int fd, passed, r = address(path, &sun);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		r = -errno;
	if (r == 0)
		r = send_line(fd, line, -1);
	if (r == 0)
		r = receive_line(fd, reply, &passed);
	if (r == 1)
		return fd;
	close(fd);
	return r == 0 ? -EPIPE : r;
}
