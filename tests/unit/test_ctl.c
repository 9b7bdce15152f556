/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, server and clients: a server with made-up commands runs in a
 * thread, clients are the library's, raw sockets, and kbdnsctl's own main().
 */
#define _GNU_SOURCE 1 /* struct ucred, strerrorname_np, setresuid */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/ctl/cmd_tune.h"
#include "control/ctl/engine_stats.h"
#include "control/ctl/server.h"

int kbdnsctl_main(int argc, char **argv);
#define main kbdnsctl_main
#include "control/kbdnsctl.c"
#undef main

#define IDLE_MS	   1200
#define DUMP_NAMES 50000

static char dir[64], path[96];

/* The daemon's side. */
static struct kb_options options;
static atomic_uint streams_open, documents;
static int apply_result;

struct names {
	unsigned int i, n;
	int end;
	bool rested;
};

static int names_next(void *state, struct kb_json_out *out)
{
	struct names *names = state;
	char name[64];

	/* Now and then, and before the first, there is nothing for a moment. */
	names->rested = names->i % 1000 == 0 && !names->rested;
	if (names->rested)
		return -EAGAIN;
	if (names->i == names->n)
		return names->end;
	snprintf(name, sizeof(name), "name-%u.default.svc.cluster.local", names->i++);
	kb_json_put_str(out, "name", name);
	kb_json_put_str(out, "kind", "a");
	kb_json_put_str(out, "address", "10.0.0.1");
	atomic_fetch_add(&documents, 1);
	return 1;
}

static void names_free(void *state)
{
	atomic_fetch_sub(&streams_open, 1);
	free(state);
}

static int stream(struct kb_ctl_reply *reply, unsigned int n, int end)
{
	struct names *names = calloc(1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	names->n = n;
	names->end = end;
	atomic_fetch_add(&streams_open, 1);
	reply->stream =
		(struct kb_ctl_stream){.state = names, .next = names_next, .free = names_free};
	return 0;
}

static int run_dump_cmd(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	(void)argc;
	(void)argv;
	return stream(reply, DUMP_NAMES, 0);
}

static int run_endless(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	(void)argc;
	(void)argv;
	return stream(reply, UINT32_MAX, 0);
}

/* A stream to which nothing comes. */
#define WAITING_PAUSE_MS 20

static int waiting_next(void *state, struct kb_json_out *out)
{
	(void)state;
	(void)out;
	atomic_fetch_add(&documents, 1);
	return -EAGAIN;
}

static int run_waiting(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	int r = stream(reply, 0, 0);

	(void)arg;
	(void)argc;
	(void)argv;
	reply->stream.next = waiting_next;
	reply->stream.pause_ms = WAITING_PAUSE_MS;
	return r;
}

static int run_broken(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	int r = stream(reply, 3, -EIO);

	(void)arg;
	(void)argc;
	(void)argv;
	snprintf(reply->error, sizeof(reply->error), "the table is gone");
	return r;
}

static int run_echo(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	kb_json_put_open(&reply->out, "words", '[');
	for (int i = 0; i < argc; i++)
		kb_json_out_str(&reply->out, argv[i]);
	kb_json_out_close(&reply->out);
	return 0;
}

static int run_fail(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	(void)argc;
	kb_json_put_open(&reply->out, "half", '[');
	return kb_ctl_fail(reply, -ENODEV, "no \"%s\" here", argv[1]);
}

static int run_huge(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	(void)argc;
	(void)argv;
	kb_json_put_open(&reply->out, "a", '[');
	for (unsigned int i = 0; i < KB_CTL_REPLY_MAX / 4; i++)
		kb_json_out_str(&reply->out, "0123456789");
	kb_json_out_close(&reply->out);
	return 0;
}

static int apply(void *arg, const struct kb_option *row)
{
	(void)arg;
	(void)row;
	return apply_result;
}

static int run_tune_cmd(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	(void)arg;
	return kb_ctl_tune(&options, argc, argv, reply, apply, NULL);
}

static int run_stats_cmd(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	static struct kb_engine_stats engines[2] = {{.engine = "tc"}, {.engine = "socket"}};

	(void)arg;
	engines[0].counters[KB_CNT_NXDOMAIN] += 5;
	engines[1].counters[KB_CNT_ANSWERED] = 3;
	engines[0].has_latency = true;
	kb_engine_stats_put(&reply->out, engines, 2, argc > 1 ? argv[1] : NULL);
	return 0;
}

static int run_lookup_cmd(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	static const char *const engines[] = {"tc", "xdp", "socket-udp"};
	struct kb_json_out *out = &reply->out;

	(void)arg;
	kb_json_put_str(out, "name", argv[1]);
	kb_json_put_str(out, "type", argc > 2 ? argv[2] : "A");
	kb_json_put_open(out, "where", '{');
	kb_json_put_str(out, "kind", "a");
	kb_json_put_u64(out, "bucket", 17);
	kb_json_out_close(out);
	kb_json_put_open(out, "engines", '[');
	for (int i = 0; i < 3; i++) {
		kb_json_out_open(out, '{');
		kb_json_put_str(out, "engine", engines[i]);
		kb_json_put_str(out, "verdict", "answered_positive");
		kb_json_put_str(out, "rcode", "NOERROR");
		kb_json_put_u64(out, "size_bytes", i < 2 ? 70 : 71);
		kb_json_put_open(out, "answer", '[');
		kb_json_out_open(out, '{');
		kb_json_put_str(out, "name", argv[1]);
		kb_json_put_u64(out, "ttl_s", 5);
		kb_json_put_str(out, "type", "A");
		kb_json_put_str(out, "data", "10.96.0.1");
		kb_json_out_close(out);
		kb_json_out_close(out);
		kb_json_out_close(out);
	}
	kb_json_out_close(out);
	return 0;
}

static int run_status_cmd(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_json_out *out = &reply->out;

	(void)arg;
	(void)argc;
	(void)argv;
	kb_json_put_str(out, "state", "full");
	kb_json_put_null(out, "age_s");
	kb_json_put_open(out, "interfaces", '[');
	kb_json_out_open(out, '{');
	kb_json_put_str(out, "name", "veth1\x1b[31m");
	kb_json_put_u64(out, "ifindex", 7);
	kb_json_out_close(out);
	kb_json_out_close(out);
	return 0;
}

static const struct kb_ctl_cmd cmds[] = {
	{"status", 0, 0, "status", run_status_cmd},
	{"stats", 0, 1, "stats [PREFIX]", run_stats_cmd},
	{"lookup", 1, 2, "lookup NAME [TYPE]", run_lookup_cmd},
	{"dump", 0, 0, "dump", run_dump_cmd},
	{"tune", 0, 1, "tune [KEY[=VALUE]]", run_tune_cmd},
	{"bypass", 0, 2, "bypass [on|off] [SECONDS]", run_echo},
	{"echo", 0, 7, "echo [WORD]...", run_echo},
	{"fail", 1, 1, "fail WORD", run_fail},
	{"huge", 0, 0, "huge", run_huge},
	{"endless", 0, 0, "endless", run_endless},
	{"broken", 0, 0, "broken", run_broken},
	{"waiting", 0, 0, "waiting", run_waiting},
	{0},
};

/* The server's thread. */
static struct {
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct kb_ctl_server *ctl;
} srv;

static void on_stop(uv_async_t *async)
{
	kb_ctl_server_free(srv.ctl);
	uv_close((uv_handle_t *)async, NULL);
}

static void *serve_loop(void *arg)
{
	uv_run(&srv.loop, UV_RUN_DEFAULT);
	return arg;
}

static int start_server(char *err, size_t err_size)
{
	struct kb_ctl_config config = {.run_dir = dir, .cmds = cmds, .idle_ms = IDLE_MS};
	int r;

	uv_loop_init(&srv.loop);
	r = kb_ctl_server_new(&srv.loop, &config, &srv.ctl, err, err_size);
	if (r < 0) {
		uv_run(&srv.loop, UV_RUN_DEFAULT);
		uv_loop_close(&srv.loop);
		return r;
	}
	uv_async_init(&srv.loop, &srv.stop, on_stop);
	pthread_create(&srv.thread, NULL, serve_loop, NULL);
	return 0;
}

static void stop_server(void)
{
	uv_async_send(&srv.stop);
	pthread_join(srv.thread, NULL);
	assert_int_equal(uv_loop_close(&srv.loop), 0); /* every handle has gone */
	assert_int_equal(streams_open, 0);
}

static int setup(void **state)
{
	char err[256] = "";

	(void)state;
	strcpy(dir, "/tmp/kbdns-test-ctl-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/kbdnsd.sock", dir);
	documents = 0;
	if (start_server(err, sizeof(err)) < 0)
		fail_msg("%s", err);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop_server();
	/* Nothing is left behind: rmdir refuses a folder that is not empty. */
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* Clients. */
static int raw_connect(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* Everything the server says until it closes, as text. */
static char *read_all(int fd)
{
	size_t len = 0, cap = 1 << 16;
	char *text = malloc(cap);
	ssize_t n;

	while ((n = read(fd, text + len, cap - len - 1)) > 0) {
		len += (size_t)n;
		if (cap - len < 4096)
			text = realloc(text, cap *= 2);
	}
	text[len] = '\0';
	close(fd);
	return text;
}

/* Sends bytes as they are; the reply must be one document with this code ("" for ok). */
static void check_raw(const void *request, size_t len, const char *code)
{
	int fd = raw_connect();
	json_t *doc;
	char *text;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
	text = read_all(fd);
	doc = json_loads(text, 0, NULL);
	if (!doc)
		fail_msg("not one JSON document: \"%s\"", text);
	assert_int_equal(json_is_true(json_object_get(doc, "ok")), !*code);
	assert_int_equal(json_integer_value(json_object_get(doc, "protocol")), KB_CTL_PROTOCOL);
	if (*code) {
		assert_string_equal(json_string_value(json_object_get(doc, "code")), code);
		assert_true(strlen(json_string_value(json_object_get(doc, "error"))) > 0);
	}
	json_decref(doc);
	free(text);
}

static void test_requests(void **state)
{
	char longest[KB_CTL_REQUEST_MAX + 100];

	(void)state;
	check_raw("echo\n", 5, "");
	check_raw("  echo  a   b \nrest is ignored", 30, "");
	check_raw("\n", 1, "EINVAL");
	check_raw("nope\n", 5, "ENOENT");
	check_raw("fail\n", 5, "EINVAL");
	check_raw("fail x\n", 7, "ENODEV");
	check_raw("echo a\tb\n", 9, "EINVAL");
	check_raw("echo a\0b\n", 9, "EINVAL");
	check_raw("echo \xff\xfe\n", 8, "");
	check_raw("echo 1 2 3 4 5 6 7 8\n", 21, "E2BIG");
	check_raw("huge\n", 5, "EMSGSIZE");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "echo ", 5);
	longest[KB_CTL_REQUEST_MAX - 1] = '\n';
	check_raw(longest, KB_CTL_REQUEST_MAX, "");
	longest[KB_CTL_REQUEST_MAX - 1] = 'a';
	check_raw(longest, sizeof(longest), "E2BIG");
}

static void test_request_in_pieces(void **state)
{
	int fd = raw_connect();
	char *text;

	(void)state;
	for (const char *p = "echo hello\n"; *p; p++) {
		assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
		usleep(1000);
	}
	text = read_all(fd);
	assert_string_equal(text, "{\"ok\":true,\"protocol\":1,\"words\":[\"echo\",\"hello\"]}\n");
	free(text);
}

static void test_half_request(void **state)
{
	double begin = now_s();
	int fd = raw_connect();
	char *text;

	(void)state;
	assert_int_equal(send(fd, "ech", 3, MSG_NOSIGNAL), 3);
	text = read_all(fd); /* the server gives up */
	assert_string_equal(text, "");
	free(text);
	assert_true(now_s() - begin >= 0.9 * IDLE_MS / 1000.0);
	/* And so it does when the client ends without a newline. */
	fd = raw_connect();
	assert_int_equal(send(fd, "echo", 4, MSG_NOSIGNAL), 4);
	shutdown(fd, SHUT_WR);
	text = read_all(fd);
	assert_string_equal(text, "");
	free(text);
	check_raw("echo\n", 5, "");
}

static void test_dump(void **state)
{
	char *words[] = {(char *)"dump"}, *line = NULL;
	struct kb_ctl_client *client = NULL;
	unsigned int n = 0;
	size_t len;
	int r;

	(void)state;
	assert_int_equal(kb_ctl_client_open(path, 1, words, 10, &client), 0);
	while ((r = kb_ctl_client_next(client, &line, &len)) == 1) {
		json_t *doc = json_loadb(line, len, 0, NULL);
		char name[64];

		assert_non_null(doc);
		if (n == DUMP_NAMES) {
			assert_true(json_is_true(json_object_get(doc, "ok")));
			assert_int_equal(json_integer_value(json_object_get(doc, "count")), n);
		} else {
			snprintf(name, sizeof(name), "name-%u.default.svc.cluster.local", n);
			assert_string_equal(json_string_value(json_object_get(doc, "name")), name);
		}
		json_decref(doc);
		n++;
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, DUMP_NAMES + 1);
	kb_ctl_client_close(client);
	assert_int_equal(streams_open, 0);
}

static void test_broken_stream(void **state)
{
	char *text;
	int fd = raw_connect();

	(void)state;
	assert_int_equal(send(fd, "broken\n", 7, MSG_NOSIGNAL), 7);
	text = read_all(fd);
	assert_non_null(strstr(text, "name-2."));
	assert_non_null(strstr(text, "\n{\"ok\":false,\"protocol\":1,\"code\":\"EIO\",\"error\":"
				     "\"the table is gone\"}\n"));
	free(text);
}

/* Who does not read is not read for, and dropped in the end. */
static void test_slow_reader(void **state)
{
	int fd = raw_connect();
	unsigned int made;
	char *text;

	(void)state;
	assert_int_equal(send(fd, "endless\n", 8, MSG_NOSIGNAL), 8);
	usleep(IDLE_MS * 1000 / 2);
	made = documents;
	assert_true(made > 0);
	/* What the socket's buffers take plus a chunk, some 90 bytes each. */
	assert_true(made < 20000);
	usleep(IDLE_MS * 1000 / 4);
	assert_int_equal(documents, made);
	check_raw("echo\n", 5, ""); /* others are served meanwhile */
	usleep(IDLE_MS * 1000);
	assert_int_equal(streams_open, 0);
	text = read_all(fd); /* what was under way, without an end */
	assert_null(strstr(text, "\"ok\""));
	free(text);
}

/* A stream that waits looks now and then, for longer than a client may be idle, and ends with its
 * client, whatever that says before. */
static void test_waiting_stream(void **state)
{
	int fd = raw_connect();
	unsigned int before, looks = 0;
	uint64_t start;

	(void)state;
	assert_int_equal(send(fd, "waiting\n", 8, MSG_NOSIGNAL), 8);
	for (int i = 0; i < 1000 && !streams_open; i++)
		usleep(10000);
	usleep(IDLE_MS * 1000 * 2);
	assert_int_equal(streams_open, 1);
	start = uv_hrtime();
	before = documents;
	for (int i = 0; i < 1000 && looks < 5; i++) {
		usleep(10000);
		looks = documents - before;
	}
	assert_in_range(looks, 5, (uv_hrtime() - start) / 1000000 / WAITING_PAUSE_MS + 1);
	assert_int_equal(send(fd, "more\n", 5, MSG_NOSIGNAL), 5);
	close(fd);
	for (int i = 0; i < 1000 && streams_open; i++)
		usleep(10000);
	assert_int_equal(streams_open, 0);
}

/* A client that goes away in the middle. */
static void test_vanishing_reader(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		int fd = raw_connect();
		char buf[1000];

		assert_int_equal(send(fd, "endless\n", 8, MSG_NOSIGNAL), 8);
		if (i % 2)
			assert_true(read(fd, buf, sizeof(buf)) > 0);
		close(fd);
	}
	for (int i = 0; i < 100 && streams_open; i++)
		usleep(10000);
	assert_int_equal(streams_open, 0);
	check_raw("echo\n", 5, "");
}

static void test_too_many_clients(void **state)
{
	int fds[KB_CTL_CLIENTS_MAX];
	int fd;
	char *text;

	(void)state;
	for (int i = 0; i < KB_CTL_CLIENTS_MAX; i++)
		fds[i] = raw_connect();
	fd = raw_connect();
	text = read_all(fd);
	assert_non_null(strstr(text, "\"code\":\"EAGAIN\""));
	free(text);
	for (int i = 0; i < KB_CTL_CLIENTS_MAX; i++)
		close(fds[i]);
	usleep(50000);
	check_raw("echo\n", 5, "");
}

static void test_second_daemon(void **state)
{
	struct kb_ctl_config config = {.run_dir = dir, .cmds = cmds};
	struct kb_ctl_server *other = NULL;
	char err[256], pid[32];
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(kb_ctl_server_new(&loop, &config, &other, err, sizeof(err)), -EBUSY);
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	assert_non_null(strstr(err, "already runs"));
	assert_non_null(strstr(err, pid));
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	check_raw("echo\n", 5, ""); /* the first one keeps its socket */
}

/* What kill -9 leaves behind is taken over. */
static void test_stale_socket(void **state)
{
	char err[256] = "";
	struct stat st;
	int status;
	pid_t pid;

	(void)state;
	stop_server();
	pid = fork();
	if (pid == 0) {
		struct kb_ctl_config config = {.run_dir = dir, .cmds = cmds};
		struct kb_ctl_server *ctl;
		uv_loop_t loop;

		uv_loop_init(&loop);
		if (kb_ctl_server_new(&loop, &config, &ctl, err, sizeof(err)) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(raw_connect(), -ECONNREFUSED);
	if (start_server(err, sizeof(err)) < 0)
		fail_msg("%s", err);
	check_raw("echo\n", 5, "");
}

static void test_bad_places(void **state)
{
	static const char long_dir[] = "/tmp/kbdns-test-ctl-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char *const dirs[] = {"/proc/nonexistent/x", "/dev/null", long_dir};
	struct kb_ctl_config config = {.cmds = cmds};
	struct kb_ctl_server *ctl;
	char err[256];
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		config.run_dir = dirs[i];
		*err = '\0';
		assert_true(kb_ctl_server_new(&loop, &config, &ctl, err, sizeof(err)) < 0);
		assert_non_null(strstr(err, dirs[i]));
		assert_non_null(strstr(err, "--run-dir"));
	}
	rmdir(long_dir);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Another user is refused even when someone has opened the socket's mode. */
static void test_wrong_user(void **state)
{
	int pipe_fds[2], status;
	char *text;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	chmod(dir, 0755);
	chmod(path, 0666);
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		fd = raw_connect();
		if (fd < 0)
			_exit(2);
		send(fd, "echo\n", 5, MSG_NOSIGNAL);
		text = read_all(fd);
		if (write(pipe_fds[1], text, strlen(text)) < 0)
			_exit(3);
		_exit(0);
	}
	close(pipe_fds[1]);
	text = read_all(pipe_fds[0]);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_non_null(strstr(text, "\"code\":\"EPERM\""));
	assert_null(strstr(text, "words"));
	free(text);
}

static void test_tune(void **state)
{
	char err[512], *argv[] = {(char *)"kbdnsd", NULL};

	(void)state;
	assert_int_equal(kb_options_parse(1, argv, &options, err, sizeof(err)), 0);
	apply_result = 0;
	check_raw("tune\n", 5, "");
	check_raw("tune ttl\n", 9, "");
	check_raw("tune nope\n", 10, "ENOENT");
	check_raw("tune listen\n", 12, "ENOENT");
	check_raw("tune ttl=30\n", 12, "");
	assert_int_equal(options.ttl_s, 30);
	check_raw("tune ttl=x\n", 11, "EINVAL");
	check_raw("tune replicas=2\n", 16, "EOPNOTSUPP");
	apply_result = -EIO;
	check_raw("tune ttl=31\n", 12, "EIO");
	assert_int_equal(options.ttl_s, 30);
	kb_options_free(&options);
}

/* Runs kbdnsctl's main in a process of its own. Its exit status; what it wrote. */
static int ctl(const char *line, char *out, size_t out_size)
{
	char text[256], file[128], *argv[16] = {(char *)"kbdnsctl", (char *)"-s", path}, *save;
	int argc = 3, status, fd;
	ssize_t n;
	pid_t pid;

	snprintf(text, sizeof(text), "%s", line);
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	snprintf(file, sizeof(file), "%s.out", dir);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		optind = 0;
		status = kbdnsctl_main(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	n = pread(fd, out, out_size - 1, 0);
	out[n > 0 ? n : 0] = '\0';
	close(fd);
	unlink(file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_kbdnsctl(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *contains, *lacks;
	} rows[] = {
		{"status", 0, "state      full\nage_s      -\n", "protocol"},
		{"status", 0, "veth1.[31m        7\n", "\x1b"},
		{"--json status", 0, "{\"ok\":true,\"protocol\":1,\"state\":\"full\"", NULL},
		{"status --json", 0, "{\"ok\":true", NULL},
		{"stats", 0, "answered_nxdomain", "left_off"},
		{"stats --all", 0, "left_off", NULL},
		{"stats left_o", 0, "left_off", "answered"},
		{"stats --json left_o", 0, "\"left_off\":0", "answered"},
		{"lookup kubernetes.default", 0,
		 "tc, xdp: answered_positive, NOERROR, 70 bytes\n    answer:\n"
		 "      kubernetes.default 5 A 10.96.0.1\nsocket-udp:",
		 NULL},
		{"dump", 0, "a       10.0.0.1         name-0.default.svc.cluster.local\n", "ok"},
		{"bypass on --for 10m", 0, "bypass on 600", NULL},
		{"bypass off", 0, "bypass off", NULL},
		{"bypass", 0, "bypass", NULL},
		{"help", 0, "lookup NAME [TYPE]", NULL},
		{"--help", 0, "lookup NAME [TYPE]", NULL},
		{"--version", 0, "kbdnsctl ", NULL},
		{"", 2, "no command", NULL},
		{"nope", 2, "nope", NULL},
		{"status x", 2, "usage", NULL},
		{"lookup", 2, "usage", NULL},
		{"status --watch", 2, "does not go with", NULL},
		{"bypass maybe", 2, "maybe", NULL},
		{"bypass off --for 3", 2, "--for", NULL},
		{"bypass on --for x", 2, "--for", NULL},
		{"--nope status", 2, "--nope", NULL},
		{"version", 1, "no such command", NULL}, /* of this server */
	};
	static char out[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = ctl(rows[i].line, out, sizeof(out));

		if (status != rows[i].status || !strstr(out, rows[i].contains) ||
		    (rows[i].lacks && strstr(out, rows[i].lacks)))
			fail_msg("kbdnsctl %s: status %d, output:\n%s", rows[i].line, status, out);
	}
}

static void test_kbdnsctl_without_daemon(void **state)
{
	static const char *const lines[] = {"status", "stats",	"lookup x", "dump",
					    "tune",   "bypass", "version"};
	char out[4096];

	(void)state;
	stop_server();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(ctl(lines[i], out, sizeof(out)), 3);
		assert_non_null(strstr(out, "does not run"));
	}
	assert_int_equal(start_server(out, sizeof(out)), 0);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_requests),
		ROW(test_request_in_pieces),
		ROW(test_half_request),
		ROW(test_dump),
		ROW(test_broken_stream),
		ROW(test_waiting_stream),
		ROW(test_slow_reader),
		ROW(test_vanishing_reader),
		ROW(test_too_many_clients),
		ROW(test_second_daemon),
		ROW(test_stale_socket),
		ROW(test_bad_places),
		ROW(test_mode),
		ROW(test_wrong_user),
		ROW(test_tune),
		ROW(test_kbdnsctl),
		ROW(test_kbdnsctl_without_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
