/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes between a kbdnsd that runs and one that takes over from it: a UNIX socket
 * (SOCK_SEQPACKET, RUN_DIR/takeover.sock, root or the same user only), messages of one line of
 * text, and with any of them one file descriptor.
 *
 *	new: take-over VERSION BPFFS-DEVICE:INODE NETNS-INODE PID
 *	old: refused WHY | welcome PID		while the new one builds its table, all is as before
 *	new: ready
 *	old: give WHAT + descriptor		for each; nothing is read from sockets any more
 *	old: yours
 *	new: taken				it serves: programs, sockets, table
 *	old: bye | late				late: it has waited too long and goes on itself
 *
 * WHAT is "lock-run", "lock-bpffs", "control", "takeover", "http" or "udp ADDRESS:PORT",
 * "tcp ADDRESS:PORT"; what the receiver does not know, it closes. The text is the protocol
 * between versions: a word never changes its meaning, and VERSION is raised when the order does.
 *
 * Whoever of the two dies, the other one sees the connection's end: the old one then goes on, the
 * new one is in charge alone. Main loop's thread.
 */
#ifndef KB_CTL_PEER_H
#define KB_CTL_PEER_H

#include <stddef.h>
#include <uv.h>

#define KB_PEER_VERSION	    1
#define KB_PEER_SOCKET_NAME "takeover.sock"
#define KB_PEER_LINE_MAX    512

struct kb_peer;

struct kb_peer_ops {
	/* `fd` belongs to the callee, -1: none. Not called again after `gone` or kb_peer_free. */
	void (*message)(void *arg, char *line, int fd);
	void (*gone)(void *arg);
	void *arg;
};

/* A connection on the loop; takes over fd, also on failure. 0 or -errno. */
int kb_peer_new(uv_loop_t *loop, int fd, const struct kb_peer_ops *ops, struct kb_peer **ret_peer);
/* Closes; frees when the loop has closed the handle. NULL is fine. */
void kb_peer_free(struct kb_peer *peer);
/* Sends a line, with a descriptor (borrowed) unless that is -1. 0 or -errno; never waits. */
int kb_peer_send(struct kb_peer *peer, int fd, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Looks for what has come while the loop did not run: `message` or `gone` may be called. */
void kb_peer_poll(struct kb_peer *peer);

/* A listening socket at the path, whatever stood there. The descriptor or -errno. */
int kb_peer_listen(const char *path);
/* Accepts a connection of root or our own user. The descriptor, -EPERM or another -errno. */
int kb_peer_accept(int listen_fd);
/* Sends a line and closes. */
void kb_peer_refuse(int fd, const char *line);
/* Connects, sends a line and waits for one line of reply; at most timeout_ms. The descriptor or
 * -errno (-ENOENT, -ECONNREFUSED: nobody listens). */
int kb_peer_call(const char *path, const char *line, char reply[KB_PEER_LINE_MAX],
		 unsigned int timeout_ms);

#endif
