/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* struct ucred, strerrorname_np, setresuid */
#include "control/ctl/server.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ctl/run_lock.h"

#define REST_MS 100

/*
 * A connection: reads one line, then writes chunk after chunk until its reply is
 * whole, at most one in each turn of the loop, then closes. One uv_write is under way at a
 * time; what it writes is reply.out.text.buf, which stays untouched until the callback.
 */
struct client {
	struct kb_ctl_server *server; /* borrowed; outlives its clients */
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_idle_t turn; /* active while a chunk of the stream is due */
	uv_write_t write;
	unsigned int handles; /* that libuv has not let go of */
	struct client *next;
	bool closing, streaming;
	uint64_t count; /* documents of the stream so far */
	struct kb_ctl_reply reply;
	size_t request_len;
	char request[KB_CTL_REQUEST_MAX + 1];
};

struct kb_ctl_server {
	uv_loop_t *loop;	       /* borrowed */
	int listen_fd;		       /* owned, -1 none */
	uv_poll_t poll;		       /* of it */
	uv_timer_t rest;	       /* after an accept(2) that failed for want of descriptors */
	const struct kb_ctl_cmd *cmds; /* borrowed */
	void *arg;		       /* borrowed */
	uint32_t idle_ms;
	int lock_fd;		/* owned, -1 none */
	char *run_dir, *path;	/* owned */
	struct client *clients; /* owned list */
	unsigned int n_clients;
	unsigned int handles; /* of the two, that libuv has not let go of */
	bool paused, closing;
	bool foreign; /* lock file and socket are not ours to remove */
};

int kb_ctl_fail(struct kb_ctl_reply *reply, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(reply->error, sizeof(reply->error), format, ap);
	va_end(ap);
	return r;
}

/* Frees the server when its last handle has gone. */
static void server_put(struct kb_ctl_server *s)
{
	if (!s->closing || s->n_clients || s->handles)
		return;
	free(s->run_dir);
	free(s->path);
	free(s);
}

static void stream_end(struct client *c)
{
	struct kb_ctl_stream *stream = &c->reply.stream;

	if (stream->free)
		stream->free(stream->state);
	memset(stream, 0, sizeof(*stream));
	c->streaming = false;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;
	struct kb_ctl_server *s = c->server;
	struct client **at = &s->clients;

	if (--c->handles)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	s->n_clients--;
	kb_json_out_fini(&c->reply.out);
	free(c);
	server_put(s);
}

static void client_close(struct client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	stream_end(c);
	uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
	uv_close((uv_handle_t *)&c->turn, on_handle_closed);
}

static void on_idle(uv_timer_t *timer)
{
	client_close(timer->data);
}

static void open_document(struct kb_json_out *out, bool ok)
{
	kb_json_out_open(out, '{');
	kb_json_put_bool(out, "ok", ok);
	kb_json_put_u64(out, "protocol", KB_CTL_PROTOCOL);
}

/* Adds the error document for r. */
static void put_error(struct kb_ctl_reply *reply, int r)
{
	struct kb_json_out *out = &reply->out;

	open_document(out, false);
	kb_json_put_str(out, "code", strerrorname_np(-r));
	kb_json_put_str(out, "error", *reply->error ? reply->error : strerror(-r));
	kb_json_out_close(out);
	kb_json_out_end(out);
}

/* Fills the chunk: documents of the stream until it is full or none is to be had in this
 * turn of the loop, or ends it. */
static void stream_fill(struct client *c)
{
	struct kb_json_out *out = &c->reply.out;
	int r = 1;

	kb_json_out_reset(out);
	while (r == 1 && out->text.len < KB_CTL_STREAM_CHUNK / 2) {
		size_t mark = out->text.len;

		kb_json_out_open(out, '{');
		r = c->reply.stream.next(c->reply.stream.state, out);
		if (r == 1) {
			kb_json_out_close(out);
			kb_json_out_end(out);
			if (out->text.error)
				r = out->text.error;
			else
				c->count++;
		}
		if (r != 1) { /* take the opened object back */
			kb_json_out_reset(out);
			out->text.len = mark;
		}
	}
	if (r == 1 || r == -EAGAIN)
		return;
	if (r == 0) {
		open_document(out, true);
		kb_json_put_u64(out, "count", c->count);
		kb_json_out_close(out);
		kb_json_out_end(out);
	} else {
		put_error(&c->reply, r);
	}
	stream_end(c);
}

static void next_chunk(struct client *c);

static void on_written(uv_write_t *req, int status)
{
	struct client *c = req->data;

	if (c->closing)
		return;
	if (status < 0 || !c->streaming)
		client_close(c);
	else
		next_chunk(c);
}

static void write_out(struct client *c)
{
	uv_buf_t buf = uv_buf_init(c->reply.out.text.buf, (unsigned int)c->reply.out.text.len);

	/* From here on the client has idle_ms to take this chunk. */
	uv_timer_start(&c->timer, on_idle, c->server->idle_ms, 0);
	c->write.data = c;
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buf, 1, on_written) < 0)
		client_close(c);
}

static void on_turn(uv_idle_t *turn);

static void on_pause_end(uv_timer_t *timer)
{
	struct client *c = timer->data;

	uv_idle_start(&c->turn, on_turn);
}

static void on_turn(uv_idle_t *turn)
{
	struct client *c = turn->data;
	uint32_t pause_ms = c->reply.stream.pause_ms;

	stream_fill(c);
	if (c->reply.out.text.len) {
		uv_idle_stop(turn);
		write_out(c);
	} else if (pause_ms) {
		uv_idle_stop(turn);
		uv_timer_start(&c->timer, on_pause_end, pause_ms, 0);
	}
}

/* In the next turn of the loop: libuv calls back for several writes in one. */
static void next_chunk(struct client *c)
{
	uv_timer_stop(&c->timer); /* it is not the client who is waited for */
	uv_idle_start(&c->turn, on_turn);
}

static int run_words(struct client *c, int argc, char **argv)
{
	const struct kb_ctl_cmd *cmd = c->server->cmds;

	while (cmd->name && strcmp(cmd->name, argv[0]) != 0)
		cmd++;
	if (!cmd->name)
		return kb_ctl_fail(&c->reply, -ENOENT, "%.64s: no such command", argv[0]);
	if (argc - 1 < cmd->min_args || argc - 1 > cmd->max_args)
		return kb_ctl_fail(&c->reply, -EINVAL, "usage: %s", cmd->usage);
	return cmd->run(c->server->arg, argc, argv, &c->reply);
}

/* Cuts the line into words and runs it; 0, or -errno with reply.error set. */
static int run_line(struct client *c, char *line)
{
	char *argv[KB_CTL_WORDS_MAX + 1], *save = NULL, *word;
	int argc = 0;

	for (const char *p = line; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return kb_ctl_fail(&c->reply, -EINVAL,
					   "the request contains a control character");
	}
	for (word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (argc == KB_CTL_WORDS_MAX)
			return kb_ctl_fail(&c->reply, -E2BIG, "more than %d words",
					   KB_CTL_WORDS_MAX);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	if (!argc)
		return kb_ctl_fail(&c->reply, -EINVAL, "the request is empty");
	return run_words(c, argc, argv);
}

/* Where a client of a stream that pauses would write: it only may go. */
static void on_rest(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0)
		client_close(stream->data);
}

static void on_rest_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->request, sizeof(c->request));
}

/* Starts the reply: the error document, the one document, or the stream. */
static void answer(struct client *c, int r)
{
	struct kb_json_out *out = &c->reply.out;

	if (r == 0 && c->reply.stream.next) {
		c->streaming = true;
		if (c->reply.stream.pause_ms &&
		    uv_read_start((uv_stream_t *)&c->pipe, on_rest_alloc, on_rest) < 0)
			client_close(c);
		else
			next_chunk(c);
		return;
	}
	stream_end(c);
	if (r == 0) {
		kb_json_out_close(out);
		r = kb_json_out_end(out);
	}
	if (r < 0) {
		kb_json_out_reset(out);
		put_error(&c->reply, r);
	}
	write_out(c);
}

static void serve(struct client *c, char *newline)
{
	int r;

	uv_read_stop((uv_stream_t *)&c->pipe);
	kb_json_out_reset(&c->reply.out);
	open_document(&c->reply.out, true);
	*newline = '\0';
	if (c->request + strlen(c->request) != newline)
		r = kb_ctl_fail(&c->reply, -EINVAL, "the request contains a NUL character");
	else
		r = run_line(c, c->request);
	answer(c, r);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->request + c->request_len,
			   (unsigned int)(KB_CTL_REQUEST_MAX - c->request_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;
	char *newline;
	int r;

	(void)buf;
	if (n < 0) { /* also the end of a request that has no newline */
		client_close(c);
		return;
	}
	c->request_len += (size_t)n;
	c->request[c->request_len] = '\0';
	newline = memchr(c->request, '\n', c->request_len);
	if (newline) {
		serve(c, newline);
	} else if (c->request_len == KB_CTL_REQUEST_MAX) {
		uv_read_stop(stream);
		r = kb_ctl_fail(&c->reply, -E2BIG, "the request is longer than %d bytes",
				KB_CTL_REQUEST_MAX);
		answer(c, r);
	}
}

/* The socket's mode keeps others out already; this holds when someone changed it. */
static int check_peer(uv_pipe_t *pipe)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	uv_os_fd_t fd;
	int r = uv_fileno((uv_handle_t *)pipe, &fd);

	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	return cred.uid == 0 || cred.uid == geteuid() ? 0 : -EPERM;
}

static void on_connection(uv_poll_t *listener, int status, int events);

static void on_rest_over(uv_timer_t *timer)
{
	struct kb_ctl_server *s = timer->data;

	if (!s->paused)
		uv_poll_start(&s->poll, UV_READABLE, on_connection);
}

static void on_connection(uv_poll_t *listener, int status, int events)
{
	struct kb_ctl_server *s = listener->data;
	struct client *c;
	int fd, r;

	(void)status;
	(void)events;
	fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			uv_poll_stop(&s->poll);
			uv_timer_start(&s->rest, on_rest_over, REST_MS, 0);
		}
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	kb_json_out_init(&c->reply.out, KB_CTL_REPLY_MAX);
	uv_pipe_init(s->loop, &c->pipe, 0);
	uv_timer_init(s->loop, &c->timer);
	uv_idle_init(s->loop, &c->turn);
	c->pipe.data = c;
	c->timer.data = c;
	c->turn.data = c;
	c->handles = 3;
	c->next = s->clients;
	s->clients = c;
	s->n_clients++;
	if (uv_pipe_open(&c->pipe, fd) < 0) {
		close(fd);
		client_close(c);
		return;
	}
	r = check_peer(&c->pipe);
	if (r < 0)
		kb_ctl_fail(&c->reply, r, "only root and the user of kbdnsd may do this");
	else if (s->n_clients > KB_CTL_CLIENTS_MAX)
		r = kb_ctl_fail(&c->reply, -EAGAIN, "more than %d clients, try again",
				KB_CTL_CLIENTS_MAX);
	if (r < 0) {
		/* Two words into an empty socket buffer: never waits, so that clients that
		 * are refused do not add up. */
		uv_buf_t buf;

		put_error(&c->reply, r);
		buf = uv_buf_init(c->reply.out.text.buf, (unsigned int)c->reply.out.text.len);
		uv_try_write((uv_stream_t *)&c->pipe, &buf, 1);
		client_close(c);
		return;
	}
	uv_timer_start(&c->timer, on_idle, s->idle_ms, 0);
	if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		client_close(c);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct kb_ctl_server *s = handle->data;

	s->handles--;
	server_put(s);
}

/* A socket at the path. We hold the lock, so whatever stands there is stale. The descriptor or
 * -errno. */
static int bind_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
	mode_t old;

	if (fd < 0)
		return -errno;
	strcpy(sun.sun_path, path);
	old = umask(0177); /* born with mode 0600, without a moment of another */
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		r = -errno;
	umask(old);
	if (r == 0 && listen(fd, KB_CTL_CLIENTS_MAX * 2) < 0)
		r = -errno;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static int listen_at(struct kb_ctl_server *s, char *err, size_t err_size)
{
	struct stat st;
	int r;

	if (strlen(s->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		snprintf(err, err_size, "%s: too long for a socket, choose a shorter --run-dir",
			 s->path);
		return -ENAMETOOLONG;
	}
	if (lstat(s->path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode)) {
			snprintf(err, err_size, "%s: is no socket, remove it", s->path);
			return -EEXIST;
		}
		unlink(s->path);
	}
	r = bind_at(s->path);
	if (r < 0) {
		snprintf(err, err_size, "%s: %s, choose another --run-dir", s->path, strerror(-r));
		return r;
	}
	s->listen_fd = r;
	return 0;
}

static int poll_start(struct kb_ctl_server *s, char *err, size_t err_size)
{
	int r = uv_poll_init(s->loop, &s->poll, s->listen_fd);

	if (r == 0) {
		uv_timer_init(s->loop, &s->rest);
		s->poll.data = s->rest.data = s;
		s->handles = 2;
		r = uv_poll_start(&s->poll, UV_READABLE, on_connection);
	}
	if (r < 0)
		snprintf(err, err_size, "%s: %s", s->path, uv_strerror(r));
	return r;
}

void kb_ctl_server_fds(const struct kb_ctl_server *s, int *ret_lock, int *ret_listen)
{
	*ret_lock = s->lock_fd;
	*ret_listen = s->listen_fd;
}

void kb_ctl_server_pause(struct kb_ctl_server *s, bool pause)
{
	s->paused = pause;
	if (pause)
		uv_poll_stop(&s->poll);
	else
		uv_poll_start(&s->poll, UV_READABLE, on_connection);
}

void kb_ctl_server_own(struct kb_ctl_server *s, bool own)
{
	s->foreign = !own;
	if (own)
		kb_run_lock_adopt(s->lock_fd);
}

int kb_ctl_server_new(uv_loop_t *loop, const struct kb_ctl_config *config,
		      struct kb_ctl_server **ret_server, char *err, size_t err_size)
{
	struct kb_ctl_server *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	/* libuv writes with write(2): a client that has gone must be an error, no signal. */
	signal(SIGPIPE, SIG_IGN);
	if (!s)
		goto no_memory;
	s->loop = loop;
	s->cmds = config->cmds;
	s->arg = config->arg;
	s->idle_ms = config->idle_ms ? config->idle_ms : KB_CTL_IDLE_MS;
	s->lock_fd = config->inherited ? config->lock_fd : -1;
	s->listen_fd = config->inherited ? config->listen_fd : -1;
	s->foreign = config->inherited;
	s->run_dir = strdup(config->run_dir);
	if (!s->run_dir || asprintf(&s->path, "%s/" KB_CTL_SOCKET_NAME, config->run_dir) < 0) {
		s->path = NULL;
		goto no_memory;
	}
	if (config->inherited) {
		r = kb_run_lock_adopt(s->lock_fd);
		if (r < 0)
			snprintf(err, err_size, "%s: %s", s->run_dir, strerror(-r));
	} else {
		r = kb_run_lock_take(s->run_dir, &s->lock_fd, err, err_size);
		if (r == 0)
			r = listen_at(s, err, err_size);
	}
	if (r == 0)
		r = poll_start(s, err, err_size);
	if (r < 0)
		goto err;
	*ret_server = s;
	return 0;
no_memory:
	snprintf(err, err_size, "out of memory");
err:
	kb_ctl_server_free(s);
	return r;
}

void kb_ctl_server_free(struct kb_ctl_server *s)
{
	if (!s || s->closing)
		return;
	s->closing = true;
	for (struct client *c = s->clients; c; c = c->next)
		client_close(c);
	/* The socket first: once the lock is gone, the path may be another's. */
	if (s->handles) {
		uv_close((uv_handle_t *)&s->poll, on_listener_closed);
		uv_close((uv_handle_t *)&s->rest, on_listener_closed);
	}
	if (s->listen_fd >= 0) {
		if (!s->foreign)
			unlink(s->path);
		close(s->listen_fd);
	}
	if (s->lock_fd >= 0 && s->foreign)
		close(s->lock_fd);
	else if (s->lock_fd >= 0)
		kb_run_lock_release(s->run_dir, s->lock_fd);
	s->listen_fd = -1;
	s->lock_fd = -1;
	server_put(s);
}

const char *kb_ctl_server_path(const struct kb_ctl_server *s)
{
	return s->path;
}
