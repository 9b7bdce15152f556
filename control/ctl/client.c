/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ctl/protocol.h"

struct kb_ctl_client {
	FILE *f;    /* owned, has the socket */
	char *line; /* owned, getline's */
	size_t cap;
};

static int join_words(int argc, char *const *argv, char *line, size_t *ret_len)
{
	size_t len = 0;

	for (int i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]);

		if (!n)
			return -EINVAL;
		for (size_t j = 0; j < n; j++) {
			if ((unsigned char)argv[i][j] <= ' ' || argv[i][j] == 0x7f)
				return -EINVAL;
		}
		if (n + 1 > KB_CTL_REQUEST_MAX - len)
			return -E2BIG;
		memcpy(line + len, argv[i], n);
		line[len + n] = i + 1 < argc ? ' ' : '\n';
		len += n + 1;
	}
	*ret_len = len;
	return 0;
}

static int connect_to(const char *path, int timeout_s, int *ret_fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = timeout_s};
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int kb_ctl_client_open(const char *socket_path, int argc, char *const *argv, int timeout_s,
		       struct kb_ctl_client **ret_client)
{
	char line[KB_CTL_REQUEST_MAX];
	struct kb_ctl_client *c = NULL;
	size_t len;
	int fd = -1, r;

	r = join_words(argc, argv, line, &len);
	if (r < 0)
		return r;
	r = connect_to(socket_path, timeout_s, &fd);
	if (r < 0)
		return r;
	/* One small send into an empty buffer: whole, or refused. A server that has
	 * closed already (too many clients) has said why: read that. */
	if (send(fd, line, len, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) {
		r = -errno;
		goto err;
	}
	r = -ENOMEM;
	c = calloc(1, sizeof(*c));
	if (!c)
		goto err;
	c->f = fdopen(fd, "r");
	if (!c->f)
		goto err;
	*ret_client = c;
	return 0;
err:
	close(fd);
	free(c);
	return r;
}

int kb_ctl_client_next(struct kb_ctl_client *c, char **ret_line, size_t *ret_len)
{
	ssize_t n;

	errno = 0;
	n = getline(&c->line, &c->cap, c->f);
	if (n < 0)
		return feof(c->f) || !errno ? 0 : -errno;
	if (c->line[n - 1] != '\n')
		return -EPIPE; /* broke off in the middle of a document */
	c->line[n - 1] = '\0';
	*ret_line = c->line;
	*ret_len = (size_t)n - 1;
	return 1;
}

void kb_ctl_client_close(struct kb_ctl_client *c)
{
	if (!c)
		return;
	fclose(c->f);
	free(c->line);
	free(c);
}
