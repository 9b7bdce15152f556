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

/*
 * Everything is up: lets go of the caller's descriptors, so that who reads them to their end
 * does not wait for us, and tells the waiting parent.
 */
static void started(void)
{
	int fd;

	if (started_fd < 0)
		return;
	kb_log_set_targets(KB_LOG_TO_SYSLOG);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		kb_log_warn("/dev/null: %s: the caller's descriptors stay open", strerror(errno));
	for (int i = STDIN_FILENO; fd >= 0 && i <= STDERR_FILENO; i++)
		dup2(fd, i);
	if (fd > STDERR_FILENO)
		close(fd);
	if (write(started_fd, "", 1) != 1)
		kb_log_warn("the starting process has gone");
	close(started_fd);
	started_fd = -1;
}

/* The parent's part: its exit status, when the child is up or has failed. */
static int wait_started(int fd, pid_t pid)
{
	char byte;
	int status;

	if (read(fd, &byte, 1) == 1)
		return EXIT_SUCCESS;
	if (waitpid(pid, &status, 0) != pid)
		return EXIT_FAILURE;
	if (WIFEXITED(status)) /* it has said why */
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
	fprintf(stderr, "kbdnsd: ended by signal %d (%s) while it started\n", WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	return EXIT_FAILURE;
}

/*
 * Goes on in the background. The parent returns only when the child is up or has failed, so
 * that scripts see the exit status; until then messages reach the caller's standard error,
 * and from then on syslog(3) alone.
 */
static int background(void)
{
	int fds[2];
	pid_t pid;

	close_range(STDERR_FILENO + 1, ~0U, 0); /* a caller's lock, for instance */
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(fds[1]);
		_exit(wait_started(fds[0], pid));
	}
	close(fds[0]);
	started_fd = fds[1];
	setsid();
	kb_log_set_targets(KB_LOG_TO_STDERR | KB_LOG_TO_SYSLOG);
	return 0;
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
