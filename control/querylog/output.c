/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/log.h"

#define OUTPUT_BUF 65536

int kb_output_open(const char *path)
{
	int fd;

	if (strcmp(path, "-") == 0)
		return STDOUT_FILENO;
	/* A FIFO without a reader is an error instead of a wait. */
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	return fd < 0 ? -errno : fd;
}

int kb_output_set(struct kb_output *out, int fd)
{
	struct stat st;

	kb_output_flush(out);
	if (out->fd > STDERR_FILENO)
		close(out->fd);
	out->fd = fd;
	out->is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (fd >= 0 && !out->buf)
		out->buf = malloc(OUTPUT_BUF);
	return fd < 0 || out->buf ? 0 : -ENOMEM;
}

void kb_output_line(struct kb_output *out, const char *line, size_t len)
{
	if (out->fd < 0 || !out->buf)
		return;
	if (out->len + len > OUTPUT_BUF)
		kb_output_flush(out);
	memcpy(out->buf + out->len, line, len);
	out->len += len;
	out->lines++;
}

/* A pipe that is ready takes PIPE_BUF bytes without a wait, whole or not at all. 0 or -errno. */
static int write_piece(struct kb_output *out, const char *p, size_t n)
{
	struct pollfd pfd = {out->fd, POLLOUT, 0};

	if (!out->is_file && poll(&pfd, 1, KB_OUTPUT_WAIT_MS) <= 0)
		return -EAGAIN;
	while (n) {
		ssize_t r = write(out->fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The longest run of whole lines in n bytes that is no longer than a pipe takes at once. */
static size_t piece_of(const struct kb_output *out, const char *p, size_t n)
{
	const char *end;

	if (out->is_file || n <= PIPE_BUF)
		return n;
	end = memrchr(p, '\n', PIPE_BUF);
	return end ? (size_t)(end - p) + 1 : PIPE_BUF;
}

static uint32_t count_lines(const char *p, size_t n)
{
	uint32_t lines = 0;

	while (n--)
		lines += *p++ == '\n';
	return lines;
}

void kb_output_flush(struct kb_output *out)
{
	const char *p = out->buf;
	size_t left = out->len;

	while (left) {
		size_t n = piece_of(out, p, left);
		int r = write_piece(out, p, n);

		if (r < 0) {
			uint32_t lost = count_lines(p, left);

			out->dropped += lost;
			out->lines -= lost;
			kb_log_limited(KB_LOG_WARN, 1, "query log: cannot be written: %s",
				       r == -EAGAIN ? "its reader is behind" : strerror(-r));
			break;
		}
		p += n;
		left -= n;
	}
	out->written += out->lines;
	out->lines = 0;
	out->len = 0;
}

void kb_output_fini(struct kb_output *out)
{
	kb_output_set(out, -1);
	free(out->buf);
	out->buf = NULL;
}
