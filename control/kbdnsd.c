/* SPDX-License-Identifier: Apache-2.0 */
/* kbdnsd: options, background, and then control/daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/config/version.h"
#include "control/daemon/daemon.h"
#include "control/log.h"

static int started_fd = -1;

/* Tells the waiting parent that everything is up. */
static void started(void)
{
	if (started_fd < 0)
		return;
	if (write(started_fd, "", 1) != 1)
		kb_log_warn("the starting process has gone");
	close(started_fd);
	started_fd = -1;
}

/*
 * Goes on in the background. The parent returns only when the child is up or has failed, so
 * that scripts see the exit status.
 */
static int background(void)
{
	int fds[2], r;
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(fds[0]);
		started_fd = fds[1];
		setsid();
		r = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (r >= 0) {
			dup2(r, STDIN_FILENO);
			dup2(r, STDOUT_FILENO);
			close(r);
		}
		return 0;
	}
	close(fds[1]);
	_exit(read(fds[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	static struct kb_daemon daemon;
	char err[1024];
	int r;

	r = kb_options_parse(argc, argv, &daemon.options, err, sizeof(err));
	if (r < 0) {
		fprintf(stderr, "kbdnsd: %s\n", err);
		return 2;
	}
	if (daemon.options.help) {
		kb_options_help(stdout);
		return 0;
	}
	if (daemon.options.version) {
		printf("kbdnsd %s\n", KB_VERSION);
		return 0;
	}
	kb_log_set_level((enum kb_log_level)daemon.options.log_level);
	if (!daemon.options.foreground) {
		r = background();
		if (r < 0) {
			fprintf(stderr, "kbdnsd: cannot go to the background: %s\n", strerror(-r));
			return 1;
		}
	}
	r = kb_daemon_run(&daemon, started);
	kb_options_free(&daemon.options);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
