/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/tap.h"

#include <errno.h>
#include <fstrm.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/log.h"
#include "control/querylog/dnstap.h"
#include "control/querylog/output.h"

#define NS_PER_MS 1000000LL

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec;
}

static void limit(struct kb_tap *tap)
{
	tap->deadline_ns = now_ns() + KB_OUTPUT_WAIT_MS * NS_PER_MS;
}

/* --- what libfstrm reads and writes with; its own waits without limit --------- */

static fstrm_res failed(struct kb_tap *tap, int error)
{
	tap->error = error;
	return fstrm_res_failure;
}

static fstrm_res op_open(void *obj)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct kb_tap *tap = obj;

	memcpy(sun.sun_path, tap->path, strlen(tap->path) + 1);
	tap->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (tap->fd < 0)
		return failed(tap, errno);
	/* At once, or not at all: EAGAIN when too many wait for the reader. */
	if (connect(tap->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return failed(tap, errno);
	return fstrm_res_success;
}

static fstrm_res op_close(void *obj)
{
	struct kb_tap *tap = obj;

	if (tap->fd >= 0)
		close(tap->fd);
	tap->fd = -1;
	return fstrm_res_success;
}

/* Also where it was never open to libfstrm: a greeting that failed. */
static fstrm_res op_destroy(void *obj)
{
	return op_close(obj);
}

static bool is_ready(struct kb_tap *tap, short events)
{
	int64_t left_ms = (tap->deadline_ns - now_ns()) / NS_PER_MS;
	struct pollfd pfd = {tap->fd, events, 0};

	return poll(&pfd, 1, left_ms > 0 ? (int)left_ms : 0) > 0;
}

/* Goes on after a read or write that returned r? Sets the error if not. */
static bool may_retry(struct kb_tap *tap, ssize_t r, short events)
{
	if (r < 0 && errno == EINTR)
		return true;
	if (r < 0 && errno == EAGAIN) {
		if (is_ready(tap, events))
			return true;
		tap->error = ETIMEDOUT;
		return false;
	}
	tap->error = r < 0 ? errno : EPIPE;
	return false;
}

static fstrm_res op_read(void *obj, void *data, size_t n)
{
	struct kb_tap *tap = obj;
	uint8_t *p = data;

	if (tap->error)
		return fstrm_res_failure;
	while (n) {
		ssize_t r = recv(tap->fd, p, n, 0);

		if (r <= 0) {
			if (!may_retry(tap, r, POLLIN))
				return fstrm_res_failure;
			continue;
		}
		p += r;
		n -= (size_t)r;
	}
	return fstrm_res_success;
}

static fstrm_res op_write(void *obj, const struct iovec *iov, int count)
{
	struct iovec rest[2 * KB_TAP_BATCH];
	struct msghdr m = {.msg_iov = rest, .msg_iovlen = (size_t)count};
	struct kb_tap *tap = obj;

	if (tap->error)
		return fstrm_res_failure;
	if (count > 2 * KB_TAP_BATCH)
		return failed(tap, EMSGSIZE);
	memcpy(rest, iov, (size_t)count * sizeof(*iov));
	while (m.msg_iovlen) {
		ssize_t r = sendmsg(tap->fd, &m, MSG_NOSIGNAL);

		if (r < 0) {
			if (!may_retry(tap, r, POLLOUT))
				return fstrm_res_failure;
			continue;
		}
		while (m.msg_iovlen && (size_t)r >= m.msg_iov->iov_len) {
			r -= (ssize_t)m.msg_iov->iov_len;
			m.msg_iov++;
			m.msg_iovlen--;
		}
		if (m.msg_iovlen) {
			m.msg_iov->iov_base = (uint8_t *)m.msg_iov->iov_base + r;
			m.msg_iov->iov_len -= (size_t)r;
		}
	}
	return fstrm_res_success;
}

/* --- the connection ----------------------------------------------------------- */

/* With STOP and FINISH if it is still good. */
static void disconnect(struct kb_tap *tap)
{
	limit(tap);
	fstrm_writer_destroy(&tap->writer);
}

static void lost(struct kb_tap *tap)
{
	int error = tap->error ? tap->error : EPROTO;

	disconnect(tap);
	tap->retry_ns = now_ns() + KB_TAP_RETRY_MS * NS_PER_MS;
	if (!tap->told)
		kb_log_limited(KB_LOG_WARN, 2,
			       "query log: no dnstap reader at %s: %s; queries are not logged "
			       "until there is one",
			       tap->path,
			       error == ETIMEDOUT ? "it does not read" : strerror(error));
	tap->told = true;
}

static struct fstrm_writer *new_writer(struct kb_tap *tap)
{
	struct fstrm_rdwr *rdwr = fstrm_rdwr_init(tap);
	struct fstrm_writer_options *options = fstrm_writer_options_init();
	struct fstrm_writer *writer;

	fstrm_rdwr_set_open(rdwr, op_open);
	fstrm_rdwr_set_close(rdwr, op_close);
	fstrm_rdwr_set_destroy(rdwr, op_destroy);
	fstrm_rdwr_set_read(rdwr, op_read);
	fstrm_rdwr_set_write(rdwr, op_write);
	fstrm_writer_options_add_content_type(options, KB_DNSTAP_CONTENT_TYPE,
					      sizeof(KB_DNSTAP_CONTENT_TYPE) - 1);
	writer = fstrm_writer_init(options, &rdwr);
	fstrm_writer_options_destroy(&options);
	return writer;
}

static void maybe_connect(struct kb_tap *tap)
{
	if (!tap->path || tap->writer || now_ns() < tap->retry_ns)
		return;
	tap->error = 0;
	tap->fd = -1;
	limit(tap);
	tap->writer = new_writer(tap);
	if (fstrm_writer_open(tap->writer) != fstrm_res_success) {
		lost(tap);
		return;
	}
	kb_log_limited(KB_LOG_INFO, 2, "query log: dnstap reader at %s", tap->path);
	tap->told = false;
}

const char *kb_tap_path(const char *target)
{
	size_t n = sizeof(KB_TAP_PREFIX) - 1;

	return strncmp(target, KB_TAP_PREFIX, n) == 0 ? target + n : NULL;
}

int kb_tap_check(const char *path)
{
	if (!*path)
		return -EINVAL;
	return strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ? 0 : -ENAMETOOLONG;
}

int kb_tap_set(struct kb_tap *tap, char *path)
{
	kb_tap_flush(tap);
	if (tap->writer)
		disconnect(tap);
	free(tap->path);
	tap->path = path;
	tap->retry_ns = 0;
	tap->told = false;
	gethostname(tap->identity, sizeof(tap->identity) - 1);
	if (path && !tap->buf)
		tap->buf = malloc((size_t)KB_TAP_BATCH * KB_DNSTAP_MAX);
	if (path && !tap->buf) {
		free(tap->path);
		tap->path = NULL;
		return -ENOMEM;
	}
	maybe_connect(tap);
	return 0;
}

void kb_tap_event(struct kb_tap *tap, const struct kb_event *e, int64_t wall_offset)
{
	struct iovec *frame;

	if (!tap->path)
		return;
	maybe_connect(tap);
	if (!tap->writer) {
		tap->dropped++;
		return;
	}
	frame = &tap->frames[tap->n++];
	frame->iov_base = tap->buf + tap->len;
	frame->iov_len = kb_dnstap_encode(e, wall_offset, tap->identity, frame->iov_base);
	tap->len += frame->iov_len;
	if (tap->n == KB_TAP_BATCH)
		kb_tap_flush(tap);
}

void kb_tap_flush(struct kb_tap *tap)
{
	maybe_connect(tap);
	if (!tap->n)
		return;
	limit(tap);
	if (fstrm_writer_writev(tap->writer, tap->frames, (int)tap->n) == fstrm_res_success) {
		tap->written += tap->n;
	} else {
		/* Of these the reader may have some. */
		tap->dropped += tap->n;
		lost(tap);
	}
	tap->n = 0;
	tap->len = 0;
}

void kb_tap_fini(struct kb_tap *tap)
{
	kb_tap_set(tap, NULL);
	free(tap->buf);
	tap->buf = NULL;
}
