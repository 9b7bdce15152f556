/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of the control protocol: blocking, for kbdnsctl and tests.
 */
#ifndef KB_CTL_CLIENT_H
#define KB_CTL_CLIENT_H

#include <stddef.h>
#include <stdio.h>

struct kb_ctl_client;

/* Connects and sends one request; words are joined by blanks. Returns 0, -ENOENT or
 * -ECONNREFUSED when kbdnsd does not run, -E2BIG when the request is too long, -EINVAL
 * when a word cannot be sent (empty, blanks, control characters), or another -errno. */
int kb_ctl_client_open(const char *socket_path, int argc, char *const *argv, int timeout_s,
		       struct kb_ctl_client **ret_client);
/* The next document, one line without its newline; borrowed until the next call. 1, 0 at
 * the end, -EAGAIN when the server was silent for timeout_s, or another -errno. */
int kb_ctl_client_next(struct kb_ctl_client *client, char **ret_line, size_t *ret_len);
void kb_ctl_client_close(struct kb_ctl_client *client);

#endif
