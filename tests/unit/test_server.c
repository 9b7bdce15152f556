/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket engine's sockets, on loopback: clients that do what clients do, and those that
 * do not. Server and clients share one thread; whoever waits turns the loop.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/forward/server.h"
#include "tests/unit/ask_core.h"
#include "tests/unit/respond_world.h"

#define NAME	"kubernetes.default.svc.cluster.local"
#define LARGE	"large.default.svc.cluster.local"
#define WAIT_MS 5000

static struct world *w;
static uv_loop_t loop;
static struct kb_server *server;

static int setup(void **state)
{
	(void)state;
	w = world_new();
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	world_free(w);
	return uv_loop_close(&loop);
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct kb_addr_port at(const char *text, uint16_t port)
{
	struct kb_addr_port ap = {0};

	assert_int_equal(kb_parse_addr(text, &ap.addr), 0);
	ap.port = port;
	return ap;
}

static struct kb_server_stats stats(void)
{
	struct kb_server_stats s;

	kb_server_stats(server, &s);
	return s;
}

/* Starts on `listen` (port 0), taking queries from `allow`. */
static void serve_with(struct kb_server_config config, const char *listen, const char *allow)
{
	struct kb_addr_port ap = at(listen, 0);
	struct kb_cidr cidr[2];
	char err[256] = "";

	assert_int_equal(kb_parse_cidr(allow, &cidr[0]), 0);
	assert_int_equal(kb_parse_cidr("::1", &cidr[1]), 0);
	config.listen = &ap;
	config.n_listen = 1;
	config.allow_from = cidr;
	config.n_allow_from = 2;
	config.responder = w->responder;
	if (kb_server_new(&loop, &config, &server, err, sizeof(err)) < 0)
		fail_msg("%s", err);
}

static void serve_on(const char *listen)
{
	serve_with((struct kb_server_config){0}, listen, "127.0.0.0/8");
}

static void stop(void)
{
	kb_server_free(server);
	server = NULL;
	uv_run(&loop, UV_RUN_DEFAULT);
}

static socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (strchr(text, ':')) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &sin6->sin6_addr), 1);
		return sizeof(*sin6);
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, text, &sin->sin_addr), 1);
	return sizeof(*sin);
}

/* Connected, which for UDP also means: takes replies from that address only. */
static int dial(int type, const char *to)
{
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(to, kb_server_port(server, 0), &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void turn(void)
{
	struct pollfd p = {uv_backend_fd(&loop), POLLIN, 0};

	if (uv_run(&loop, UV_RUN_NOWAIT))
		poll(&p, 1, 1);
}

/* Turns the loop until fd can be read; false after the time. */
static bool readable(int fd, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	struct pollfd p = {fd, POLLIN, 0};

	do {
		if (poll(&p, 1, 0) > 0)
			return true;
		turn();
	} while (now_ms() < end);
	return false;
}

/* Reads exactly n bytes, or up to the end; returns how many. */
static size_t read_n(int fd, uint8_t *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t r;

		if (!readable(fd, WAIT_MS))
			fail_msg("no reply");
		r = recv(fd, buf + have, n - have, MSG_DONTWAIT);
		if (r <= 0)
			break;
		have += (size_t)r;
	}
	return have;
}

static size_t read_frame(int fd, uint8_t *buf)
{
	uint8_t head[2];
	size_t len;

	if (read_n(fd, head, 2) != 2)
		return 0;
	len = (size_t)head[0] << 8 | head[1];
	assert_int_equal(read_n(fd, buf, len), len);
	return len;
}

static bool is_closed(int fd)
{
	uint8_t b;

	return readable(fd, WAIT_MS) && recv(fd, &b, 1, MSG_DONTWAIT) <= 0;
}

/* A query with this id as a frame; the message itself is at buf + 2. */
static size_t frame(const char *name, uint16_t id, uint8_t *buf)
{
	size_t qlen, len = ask_query(name, "A", true, buf + 2, &qlen);

	buf[0] = (uint8_t)(len >> 8);
	buf[1] = (uint8_t)len;
	buf[2] = (uint8_t)(id >> 8);
	buf[3] = (uint8_t)id;
	return len + 2;
}

static void send_bytes(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
}

static void check_answer(const uint8_t *reply, size_t len, uint16_t id)
{
	assert_true(len > 12);
	assert_int_equal(reply[0] << 8 | reply[1], id);
	assert_int_equal(reply[3] & 15, 0);
	assert_int_equal(reply[7], 1);
}

/* --- UDP --------------------------------------------------------------------- */

static void ask_over_udp(const char *to)
{
	uint8_t buf[600], reply[2048];
	int fd = dial(SOCK_DGRAM, to);

	/* More than a batch at once. */
	for (uint16_t id = 1; id <= 100; id++)
		send_bytes(fd, buf + 2, frame(NAME, id, buf) - 2);
	for (uint16_t id = 1; id <= 100; id++) {
		ssize_t n;

		assert_true(readable(fd, WAIT_MS));
		n = recv(fd, reply, sizeof(reply), 0);
		assert_true(n > 0);
		check_answer(reply, (size_t)n, id);
	}
	/* Garbage has no reply, or an error, and hurts nobody. */
	send_bytes(fd, "garbage", 7);
	send_bytes(fd, "", 0);
	send_bytes(fd, buf + 2, frame(NAME, 7, buf) - 2);
	assert_true(readable(fd, WAIT_MS));
	check_answer(reply, (size_t)recv(fd, reply, sizeof(reply), 0), 7);
	close(fd);
}

static void test_udp(void **state)
{
	(void)state;
	serve_on("127.0.0.1");
	ask_over_udp("127.0.0.1");
	assert_int_equal(stats().udp_queries, 103);
	stop();
	serve_on("::1");
	ask_over_udp("::1");
	stop();
}

/* The reply comes from the address that was asked: the sockets are connected. */
static void test_udp_wildcard(void **state)
{
	(void)state;
	serve_on("0.0.0.0");
	ask_over_udp("127.0.0.1");
	ask_over_udp("127.1.2.3");
	stop();
	serve_on("::");
	ask_over_udp("::1");
	stop();
}

/* Longer than is read at once: cut, and so malformed or not by what is left. */
static void test_udp_long(void **state)
{
	static uint8_t buf[9000], reply[2048];
	size_t len;
	int fd;

	(void)state;
	serve_on("127.0.0.1");
	fd = dial(SOCK_DGRAM, "127.0.0.1");
	len = frame(NAME, 9, buf) - 2;
	send_bytes(fd, buf + 2, sizeof(buf) - 2); /* trailing bytes */
	assert_true(readable(fd, WAIT_MS));
	check_answer(reply, (size_t)recv(fd, reply, sizeof(reply), 0), 9);
	buf[2 + len - 2] = 30; /* 7,680 bytes of options */
	send_bytes(fd, buf + 2, sizeof(buf) - 2);
	assert_true(readable(fd, WAIT_MS));
	assert_int_equal(recv(fd, reply, sizeof(reply), 0), 12);
	assert_int_equal(reply[3] & 15, 1);
	close(fd);
	stop();
}

static void test_sources(void **state)
{
	uint64_t before = kb_responder_counters(w->responder)[KB_CNT_SOURCE];
	uint8_t buf[600];
	int fd;

	(void)state;
	serve_with((struct kb_server_config){0}, "127.0.0.1", "127.0.0.128/25");
	fd = dial(SOCK_DGRAM, "127.0.0.1");
	send_bytes(fd, buf + 2, frame(NAME, 1, buf) - 2);
	assert_false(readable(fd, 100));
	close(fd);
	fd = dial(SOCK_STREAM, "127.0.0.1");
	assert_true(is_closed(fd));
	close(fd);
	assert_int_equal(stats().source_dropped, 2);
	assert_int_equal(stats().tcp_accepted, 0);
	assert_int_equal(kb_responder_counters(w->responder)[KB_CNT_SOURCE], before + 2);
	stop();
}

/* --- TCP --------------------------------------------------------------------- */

static void test_pipelining(void **state)
{
	static uint8_t buf[200000], reply[KB_TCP_REPLY_MAX];
	size_t len = 0;
	uint16_t id;
	int fd;

	(void)state;
	serve_on("127.0.0.1");
	fd = dial(SOCK_STREAM, "127.0.0.1");
	for (id = 1; id <= 2000; id++)
		len += frame(NAME, id, buf + len);
	send_bytes(fd, buf, len);
	for (id = 1; id <= 2000; id++)
		check_answer(reply, read_frame(fd, reply), id);
	assert_int_equal(stats().tcp_queries, 2000);
	/* The connection stays. */
	send_bytes(fd, buf, frame(NAME, 5, buf));
	check_answer(reply, read_frame(fd, reply), 5);
	assert_int_equal(stats().tcp_open, 1);
	close(fd);
	while (stats().tcp_open)
		turn();
	stop();
}

static void test_pieces(void **state)
{
	static uint8_t buf[2000], reply[KB_TCP_REPLY_MAX];
	size_t len, cut, total;
	int fd;

	(void)state;
	serve_on("127.0.0.1");
	fd = dial(SOCK_STREAM, "127.0.0.1");
	len = frame(NAME, 1, buf);
	for (size_t i = 0; i < len; i++) {
		send_bytes(fd, buf + i, 1);
		turn();
	}
	check_answer(reply, read_frame(fd, reply), 1);
	/* Two frames cut in two at every place. */
	total = len + frame("x." NAME, 2, buf + len);
	for (cut = 1; cut < total; cut++) {
		send_bytes(fd, buf, cut);
		turn();
		turn();
		send_bytes(fd, buf + cut, total - cut);
		check_answer(reply, read_frame(fd, reply), 1);
		assert_true(read_frame(fd, reply) > 12);
		assert_int_equal(reply[1], 2);
	}
	close(fd);
	stop();
}

/* The client closes its half, and still gets its replies. */
static void test_half_close(void **state)
{
	static uint8_t buf[2000], reply[KB_TCP_REPLY_MAX];
	size_t len = 0;
	int fd;

	(void)state;
	serve_on("::1");
	fd = dial(SOCK_STREAM, "::1");
	for (uint16_t id = 1; id <= 3; id++)
		len += frame(NAME, id, buf + len);
	send_bytes(fd, buf, len);
	shutdown(fd, SHUT_WR);
	for (uint16_t id = 1; id <= 3; id++)
		check_answer(reply, read_frame(fd, reply), id);
	assert_true(is_closed(fd));
	close(fd);
	stop();
}

static void test_odd_frames(void **state)
{
	static uint8_t buf[70000], reply[KB_TCP_REPLY_MAX];
	size_t len;
	int fd;

	(void)state;
	serve_on("127.0.0.1");
	fd = dial(SOCK_STREAM, "127.0.0.1");
	/* Empty, too short for a header, a response: no reply, and the connection lives. */
	send_bytes(fd, "\0\0\0\5abcde\0\14zz\200\0\0\0\0\0\0\0\0\0", 23);
	/* As large as can be; what is behind the query is of no interest. */
	for (int i = 0; i < 3; i++) {
		memset(buf, 0, sizeof(buf));
		frame(NAME, 3, buf);
		buf[0] = buf[1] = 255;
		len = 2 + 65535 + frame(NAME, 4, buf + 2 + 65535);
		for (size_t sent = 0; sent < len;) {
			ssize_t n = send(fd, buf + sent, len - sent < 5000 ? len - sent : 5000,
					 MSG_DONTWAIT | MSG_NOSIGNAL);

			assert_true(n > 0 || errno == EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
			turn();
		}
		check_answer(reply, read_frame(fd, reply), 3);
		check_answer(reply, read_frame(fd, reply), 4);
	}
	close(fd);
	stop();
}

static void test_large(void **state)
{
	static uint8_t buf[600], reply[KB_TCP_REPLY_MAX];
	static struct reply r;
	size_t len = frame(LARGE, 1, buf), n, lines = 0;
	int fd;

	(void)state;
	serve_on("127.0.0.1");
	fd = dial(SOCK_DGRAM, "127.0.0.1");
	send_bytes(fd, buf + 2, len - 2);
	assert_true(readable(fd, WAIT_MS));
	n = (size_t)recv(fd, reply, sizeof(reply), 0);
	ask_decode(reply, n, &r);
	assert_true(r.tc && n <= 1232);
	close(fd);
	fd = dial(SOCK_STREAM, "127.0.0.1");
	send_bytes(fd, buf, len);
	ask_decode(reply, read_frame(fd, reply), &r);
	assert_false(r.tc);
	for (const char *p = r.answer; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, WORLD_LARGE);
	close(fd);
	stop();
}

/* Asks much and reads nothing for a while: the server stops reading, keeps what it may,
 * serves others, and nothing is lost. */
static void test_slow_reader(void **state)
{
	static uint8_t buf[100000], reply[KB_TCP_REPLY_MAX];
	size_t len = 0, sent = 0, got = 0;
	unsigned int want = 1500;
	int fd, other, small = 65536;

	(void)state;
	serve_on("127.0.0.1");
	fd = dial(SOCK_STREAM, "127.0.0.1");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (uint16_t id = 1; id <= want; id++)
		len += frame(LARGE, id, buf + len);
	for (int i = 0; i < 200; i++) {
		ssize_t n = send(fd, buf + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn();
	}
	assert_true(stats().tcp_queries < want);
	assert_true(stats().tcp_waiting > 0 && stats().tcp_waiting < 140000);
	other = dial(SOCK_STREAM, "127.0.0.1");
	send_bytes(other, reply, frame(NAME, 77, reply));
	check_answer(reply, read_frame(other, reply), 77);
	close(other);
	while (got < want) {
		ssize_t n = sent < len
				    ? send(fd, buf + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL)
				    : 0;

		sent += n > 0 ? (size_t)n : 0;
		n = (ssize_t)read_frame(fd, reply);
		assert_true(n > WORLD_LARGE * 16);
		got++;
		assert_int_equal(reply[0] << 8 | reply[1], got);
	}
	assert_int_equal(stats().tcp_waiting, 0);
	assert_int_equal(stats().tcp_timed_out, 0);
	close(fd);
	stop();
}

static void ask_without_reading(int fd)
{
	static uint8_t buf[100000];
	size_t len = 0, sent = 0;
	uint64_t end = now_ms() + WAIT_MS;

	while (len < sizeof(buf) - 600)
		len += frame(LARGE, 1, buf + len);
	while (stats().tcp_open && now_ms() < end) {
		ssize_t n = send(fd, buf + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		sent = sent == len ? 0 : sent;
		turn();
	}
	assert_int_equal(stats().tcp_open, 0);
	assert_int_equal(stats().tcp_waiting, 0);
}

static void test_never_reads(void **state)
{
	int fd;

	(void)state;
	serve_with((struct kb_server_config){.idle_ms = 200}, "127.0.0.1", "127.0.0.0/8");
	fd = dial(SOCK_STREAM, "127.0.0.1");
	while (!stats().tcp_open)
		turn();
	ask_without_reading(fd);
	assert_int_equal(stats().tcp_timed_out, 1);
	close(fd);
	stop();
	/* No memory for such clients: they go at once. */
	serve_with((struct kb_server_config){.waiting_max = 1000}, "127.0.0.1", "127.0.0.0/8");
	fd = dial(SOCK_STREAM, "127.0.0.1");
	while (!stats().tcp_open)
		turn();
	ask_without_reading(fd);
	assert_int_equal(stats().tcp_overflowed, 1);
	close(fd);
	stop();
}

static void test_idle(void **state)
{
	static uint8_t buf[600], reply[KB_TCP_REPLY_MAX];
	uint64_t start;
	size_t len;
	int silent, drip;

	(void)state;
	serve_with((struct kb_server_config){.idle_ms = 200}, "127.0.0.1", "127.0.0.0/8");
	silent = dial(SOCK_STREAM, "127.0.0.1");
	drip = dial(SOCK_STREAM, "127.0.0.1");
	start = now_ms();
	len = frame(NAME, 1, buf);
	send_bytes(silent, buf, len);
	check_answer(reply, read_frame(silent, reply), 1);
	/* A byte now and then is no query. */
	for (size_t i = 0; stats().tcp_open && now_ms() < start + WAIT_MS; i++) {
		if (i < len)
			send(drip, buf + i, 1, MSG_NOSIGNAL);
		readable(silent, 20);
	}
	assert_true(now_ms() - start >= 200 && now_ms() - start < 2000);
	assert_int_equal(stats().tcp_timed_out, 2);
	assert_true(is_closed(silent));
	assert_true(is_closed(drip));
	close(silent);
	close(drip);
	stop();
}

static void dial_and_check(int *fds, int n, int served)
{
	static uint8_t buf[600], reply[KB_TCP_REPLY_MAX];

	for (int i = 0; i < n; i++)
		fds[i] = dial(SOCK_STREAM, "127.0.0.1");
	for (int i = 0; i < n; i++) {
		if (i >= served) {
			assert_true(is_closed(fds[i]));
			continue;
		}
		send_bytes(fds[i], buf, frame(NAME, 3, buf));
		check_answer(reply, read_frame(fds[i], reply), 3);
	}
	assert_int_equal(stats().tcp_refused, n - served);
	assert_int_equal(stats().tcp_open, served);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	while (stats().tcp_open)
		turn();
}

static void test_too_many(void **state)
{
	int fds[10];

	(void)state;
	serve_with((struct kb_server_config){.connections_max = 4}, "127.0.0.1", "127.0.0.0/8");
	dial_and_check(fds, 10, 4);
	stop();
	serve_with((struct kb_server_config){.per_source_max = 6}, "127.0.0.1", "127.0.0.0/8");
	dial_and_check(fds, 10, 6);
	/* They may come again. */
	fds[0] = dial(SOCK_STREAM, "127.0.0.1");
	while (!stats().tcp_open)
		turn();
	close(fds[0]);
	stop();
}

/* --- starting and stopping --------------------------------------------------- */

static void expect_error(const struct kb_addr_port *listen, size_t n, int r, const char *text)
{
	struct kb_server_config config = {
		.listen = listen, .n_listen = n, .responder = w->responder};
	char err[256] = "";
	int fds = open_fds();

	assert_int_equal(kb_server_new(&loop, &config, &server, err, sizeof(err)), r);
	if (!strstr(err, text))
		fail_msg("%s: does not say \"%s\"", err, text);
	assert_null(strchr(err, '\n'));
	for (int i = 0; i < 3; i++) /* another server may be running */
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(open_fds(), fds);
	server = NULL;
}

static void test_errors(void **state)
{
	struct kb_addr_port addrs[2] = {at("127.0.0.1", 0), at("127.0.0.2", 0)};
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	(void)state;
	serve_on("127.0.0.2");
	addrs[1].port = kb_server_port(server, 0);
	{
		struct kb_server *first = server;

		expect_error(addrs, 2, -EADDRINUSE, "--listen 127.0.0.2:");
		expect_error(addrs, 2, -EADDRINUSE, "UDP: Address already in use: stop");
		server = first;
		stop();
	}
	/* Only TCP is taken. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	len = sockaddr_of("127.0.0.2", 0, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	addrs[1].port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	expect_error(addrs, 2, -EADDRINUSE, "TCP: Address already in use: stop");
	close(fd);
	addrs[1] = at("192.0.2.7", 5353);
	expect_error(addrs, 2, -EADDRNOTAVAIL,
		     "--listen 192.0.2.7:5353, UDP: Cannot assign requested address: give");
	addrs[1] = at("fe80::7", 5353);
	expect_error(addrs, 2, -EINVAL, "link-local addresses need an interface");
}

/* Many addresses at once, both wildcards on one port; all gone afterwards. */
static void test_many_listeners(void **state)
{
	struct kb_addr_port listen[3] = {at("127.0.0.5", 0), at("0.0.0.0", 0), at("::", 0)};
	struct kb_server_config config = {
		.listen = listen, .n_listen = 3, .responder = w->responder};
	int fds = open_fds(), client;
	char err[256] = "";

	(void)state;
	assert_int_equal(kb_server_new(&loop, &config, &server, err, sizeof(err)), 0);
	for (size_t i = 0; i < 3; i++)
		assert_true(kb_server_port(server, i) > 0);
	/* No allow-from at all: nobody is served. */
	client = dial(SOCK_STREAM, "127.0.0.5");
	assert_true(is_closed(client));
	close(client);
	stop();
	assert_int_equal(open_fds(), fds);
	kb_server_free(NULL);
}

/* Stopped in the middle of everything. */
static void test_stop_busy(void **state)
{
	static uint8_t buf[100000];
	int fds[5], before = open_fds();
	size_t len = 0;

	(void)state;
	serve_on("127.0.0.1");
	while (len < sizeof(buf) - 600)
		len += frame(LARGE, 1, buf + len);
	for (int i = 0; i < 5; i++) {
		fds[i] = dial(SOCK_STREAM, "127.0.0.1");
		send(fds[i], buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	while (stats().tcp_waiting == 0)
		turn();
	stop();
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_wildcard),
		cmocka_unit_test(test_udp_long),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_odd_frames),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_never_reads),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_many_listeners),
		cmocka_unit_test(test_stop_busy),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
