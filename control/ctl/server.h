/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's server: connections, requests, replies. What a command
 * does is the daemon's; it gives a table of them. Runs on the main loop's thread.
 *
 * Limits: KB_CTL_CLIENTS_MAX clients, one request each, KB_CTL_REQUEST_MAX bytes; a client that
 * does not send its request, or does not read, for `idle_ms` is dropped. A stream is produced
 * as fast as the client reads: at most KB_CTL_STREAM_CHUNK bytes of it are in memory.
 */
#ifndef KB_CTL_SERVER_H
#define KB_CTL_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "control/ctl/json_out.h"
#include "control/ctl/protocol.h"

#define KB_CTL_STREAM_CHUNK (64 << 10)
#define KB_CTL_IDLE_MS	    10000

struct kb_ctl_server;

/*
 * A stream, for replies that are too large for one document. `next` writes the next
 * document's members into `out`, where an object is open, and returns 1; 0 at the end;
 * -EAGAIN when it has looked for long enough and found none, to be called again in the next
 * turn of the loop, or after pause_ms; or another -errno, which ends the stream with an error
 * document. `free` is called once, whatever happens. Between two calls the loop may run and
 * anything may have changed.
 */
struct kb_ctl_stream {
	void *state;
	int (*next)(void *state, struct kb_json_out *out);
	void (*free)(void *state);
	uint32_t pause_ms; /* for streams that wait for something to happen; 0: none */
};

struct kb_ctl_reply {
	struct kb_json_out out;	     /* an object is open: add members */
	struct kb_ctl_stream stream; /* set next to answer with a stream instead */
	char error[512];
};

struct kb_ctl_cmd {
	const char *name;
	int min_args, max_args; /* words after the command */
	const char *usage;	/* "lookup NAME [TYPE]", for the error reply */
	/* argv[0] is the command. 0, or -errno: then members written so far are thrown
	 * away and the error (see kb_ctl_fail) is sent. */
	int (*run)(void *arg, int argc, char **argv, struct kb_ctl_reply *reply);
};

/* Sets the reply's error line and returns r: `return kb_ctl_fail(reply, -EINVAL, "...")`. */
int kb_ctl_fail(struct kb_ctl_reply *reply, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct kb_ctl_config {
	const char *run_dir;	       /* made (0755) if missing */
	const struct kb_ctl_cmd *cmds; /* borrowed; ends with name NULL */
	void *arg;		       /* for run */
	uint32_t idle_ms;	       /* 0: KB_CTL_IDLE_MS */
	/* With `inherited`: lock and listening socket of the former kbdnsd of this run directory,
	 * taken over. */
	bool inherited;
	int lock_fd, listen_fd;
};

/*
 * Makes this process the one kbdnsd of the run directory (a lock on run_dir/kbdnsd.lock, which
 * the kernel lifts when a process dies, however it dies) and listens on
 * run_dir/kbdnsd.sock, mode 0600; a socket left by a dead process is replaced. Call it before
 * anything is attached. Returns 0, -EBUSY ("kbdnsd already runs (pid N)") or another -errno,
 * with one line in err.
 */
int kb_ctl_server_new(uv_loop_t *loop, const struct kb_ctl_config *config,
		      struct kb_ctl_server **ret_server, char *err, size_t err_size);
/* What another kbdnsd needs to take over: lock and listening socket, borrowed. Paused, no client is
 * accepted. */
void kb_ctl_server_fds(const struct kb_ctl_server *server, int *ret_lock, int *ret_listen);
void kb_ctl_server_pause(struct kb_ctl_server *server, bool pause);
/* Are they ours to remove at the end? Not if another kbdnsd has taken them over; and inherited ones
 * only once their former owner has let go of them. */
void kb_ctl_server_own(struct kb_ctl_server *server, bool own);
/* Removes the socket, drops clients, lets the lock go. The loop must run once more for libuv
 * to let go of the handles; memory is freed then. */
void kb_ctl_server_free(struct kb_ctl_server *server);

/* "/run/kbdns/kbdnsd.sock"; borrowed. */
const char *kb_ctl_server_path(const struct kb_ctl_server *server);

#endif
