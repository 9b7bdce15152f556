/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics, /healthz and /readyz: a server in a thread, clients on raw sockets, and
 * the text format checked by a parser of its own and by promtool when that is there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/daemon/rows.h"
#include "control/forward/server.h"
#include "control/http/export.h"
#include "control/http/httpd.h"
#include "control/kube/source.h"
#include "control/records/records.h"
#include "control/table/table.h"

static _Atomic(const char *) not_healthy, not_ready;
static atomic_bool too_large;

/* Every row of the daemon's parts. */
static void export_rows(struct kb_metrics *m)
{
	static const char *const kinds[] = {"services", "namespaces"};
	struct kb_server_stats sockets = {.udp_queries = 5,
					  .tcp_queries = 6,
					  .tcp_open = 3,
					  .tcp_refused = 7,
					  .tcp_timed_out = 8,
					  .tcp_overflowed = 9,
					  .tcp_waiting = 512};
	struct kb_table_stats table = {.index_bytes = 4096, .puts = 4, .changes = 2};
	struct kb_source_kind_status source[2] = {{.events = 11}, {.events = 12, .bytes = 13}};
	struct kb_records_stats objects = {.services = 21, .left = 22};

	kb_rows_export(m, KB_ROWS_OBJECTS, (const void *[]){&objects}, 1, NULL, NULL);
	kb_rows_export(m, KB_ROWS_TABLE, (const void *[]){&table}, 1, NULL, NULL);
	kb_rows_export(m, KB_ROWS_SOURCE, (const void *[]){&source[0], &source[1]}, 2, "kind",
		       kinds);
	kb_rows_export(m, KB_ROWS_SOCKETS, (const void *[]){&sockets}, 1, NULL, NULL);
}

static void on_metrics(void *arg, struct kb_metrics *m)
{
	static struct kb_engine_stats engines[2] = {{.engine = "tc"}, {.engine = "socket"}};
	static struct kb_durations durations[KB_PROGRAMMING_MAX];

	(void)arg;
	engines[0].counters[KB_CNT_ANSWERED] = 7;
	engines[0].counters[KB_CNT_NODATA] = 2;
	engines[1].counters[KB_CNT_NXDOMAIN] = 1ULL << 60;
	engines[0].has_latency = true;
	engines[0].latency[0] = 1;
	engines[0].latency[7] = 5;
	engines[0].latency[KB_HIST_BUCKETS - 1] = 2;
	if (!durations[0].counts[0]) {
		kb_durations_observe(&durations[0], 0.001);
		kb_durations_observe(&durations[0], 0.0011);
		kb_durations_observe(&durations[0], -5);
		kb_durations_observe(&durations[0], NAN);
		kb_durations_observe(&durations[0], 1e9);
	}
	kb_export_build(m);
	kb_export_engines(m, engines, 2);
	kb_export_programming(m, durations);
	export_rows(m);
	kb_metrics_gauge(m, "kbdns_test_seconds", "Odd \\ help\nof two lines.", 0.25);
	kb_metrics_counter(m, "kbdns_test_total", "A counter.", UINT64_MAX);
	kb_metrics_family(m, "kbdns_test_info", KB_METRIC_GAUGE, "Odd labels.");
	kb_metrics_u64(m, 1, "name", "a\"b\\c\nd", "empty", "", NULL);
	while (too_large && !m->text.error)
		kb_metrics_u64(m, 1, "name", "again", NULL);
}

static bool on_healthy(void *arg, const char **ret_why)
{
	(void)arg;
	if (not_healthy)
		*ret_why = not_healthy;
	return !not_healthy;
}

static bool on_ready(void *arg, const char **ret_why)
{
	(void)arg;
	if (not_ready)
		*ret_why = not_ready;
	return !not_ready;
}

static struct {
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct kb_httpd *httpd;
	struct kb_addr_port at;
} srv;

static const struct kb_httpd_ops ops = {
	.metrics = on_metrics, .healthy = on_healthy, .ready = on_ready};

static void on_stop(uv_async_t *async)
{
	kb_httpd_free(srv.httpd);
	uv_close((uv_handle_t *)async, NULL);
}

static void *serve_loop(void *arg)
{
	uv_run(&srv.loop, UV_RUN_DEFAULT);
	return arg;
}

static int setup(void **state)
{
	char err[256] = "";

	(void)state;
	uv_loop_init(&srv.loop);
	/* The first free port. */
	for (uint16_t port = 19253; port < 19353; port++) {
		srv.at = (struct kb_addr_port){{.family = 4, .b = {127, 0, 0, 1}}, port};
		if (kb_httpd_new(&srv.loop, &srv.at, -1, &ops, &srv.httpd, err, sizeof(err)) == 0)
			break;
		srv.httpd = NULL;
	}
	if (!srv.httpd)
		fail_msg("%s", err);
	uv_async_init(&srv.loop, &srv.stop, on_stop);
	pthread_create(&srv.thread, NULL, serve_loop, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	uv_async_send(&srv.stop);
	pthread_join(srv.thread, NULL);
	assert_int_equal(uv_loop_close(&srv.loop), 0);
	return 0;
}

static int dial(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(srv.at.port)};
	struct timeval tv = {.tv_sec = 30};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static char *read_all(int fd)
{
	size_t len = 0, cap = 1 << 20;
	char *text = malloc(cap);
	ssize_t n;

	while (len + 1 < cap && (n = read(fd, text + len, cap - len - 1)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	return text;
}

/* The whole answer to a request, whose connection ends with it. Freed by the caller. */
static char *request(const char *line)
{
	char text[256];
	int fd = dial();

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", line);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return read_all(fd);
}

static void check(const char *line, const char *status, const char *contains)
{
	char *text = request(line);

	if (strncmp(text, status, strlen(status)) != 0 || !strstr(text, contains))
		fail_msg("%s: \"%s\"", line, text);
	free(text);
}

static void test_routes(void **state)
{
	char *text;

	(void)state;
	not_healthy = not_ready = NULL;
	check("GET /healthz", "HTTP/1.1 200", "\r\n\r\nok\n");
	check("GET /readyz", "HTTP/1.1 200", "\r\n\r\nok\n");
	check("GET /health", "HTTP/1.1 200", "ok\n");
	check("GET /ready?x=1", "HTTP/1.1 200", "ok\n");
	not_ready = "services have not synced";
	check("GET /readyz", "HTTP/1.1 503", "\r\n\r\nservices have not synced\n");
	check("GET /healthz", "HTTP/1.1 200", "ok\n");
	not_healthy = "no heartbeat";
	check("GET /healthz", "HTTP/1.1 503", "no heartbeat\n");
	not_healthy = not_ready = NULL;
	check("GET /", "HTTP/1.1 404", "/metrics");
	check("GET /metrics/", "HTTP/1.1 404", "");
	check("GET /../metrics", "HTTP/1.1 404", "");
	check("POST /metrics", "HTTP/1.1 405", "Allow: GET, HEAD");
	check("DELETE /healthz", "HTTP/1.1 405", "");
	check("GET /metrics", "HTTP/1.1 200", "Content-Type: text/plain; version=0.0.4");
	text = request("HEAD /metrics");
	assert_memory_equal(text, "HTTP/1.1 200", 12);
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	free(text);
	too_large = true;
	check("GET /metrics", "HTTP/1.1 500", "too large");
	too_large = false;
}

static void test_bad_requests(void **state)
{
	static char large[KB_HTTPD_REQUEST_MAX * 4];
	char *text;
	int fd;

	(void)state;
	fd = dial();
	assert_int_equal(send(fd, "garbage\r\n\r\n", 11, MSG_NOSIGNAL), 11);
	free(read_all(fd));
	fd = dial();
	memset(large, 'a', sizeof(large));
	memcpy(large, "GET /", 5);
	send(fd, large, sizeof(large), MSG_NOSIGNAL);
	text = read_all(fd);
	assert_null(strstr(text, " 200 "));
	free(text);
	fd = dial(); /* a body that is announced and never comes is not waited for */
	text = (char *)"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
	send(fd, text, strlen(text), MSG_NOSIGNAL);
	text = read_all(fd);
	assert_memory_equal(text, "HTTP/1.1 405", 12);
	free(text);
	check("GET /healthz", "HTTP/1.1 200", "ok\n");
}

/* More connections than are allowed: later ones wait or fail, and when the idle ones
 * have gone the server serves again. */
static void test_connections(void **state)
{
	int fds[KB_HTTPD_CONNECTIONS_MAX + 8];
	const size_t n = sizeof(fds) / sizeof(fds[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		fds[i] = dial();
	usleep(50000);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	for (int i = 0; i < 50; i++) { /* the server has to notice that they have gone */
		char *text = request("GET /healthz");
		bool ok = strncmp(text, "HTTP/1.1 200", 12) == 0;

		free(text);
		if (ok)
			return;
		usleep(20000);
	}
	fail_msg("no answer after the connections had gone");
}

/* A half request is dropped by the timeout, without any other event in the loop. */
static void test_idle(void **state)
{
	int fd = dial();
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char buf[16];

	(void)state;
	send(fd, "GET /", 5, MSG_NOSIGNAL);
	assert_int_equal(poll(&pfd, 1, (KB_HTTPD_IDLE_S + 5) * 1000), 1);
	assert_true(read(fd, buf, sizeof(buf)) <= 0 || strncmp(buf, "HTTP", 4) == 0);
	close(fd);
}

static void test_bad_address(void **state)
{
	struct kb_addr_port nowhere = {{.family = 4, .b = {192, 0, 2, 1}}, 9253};
	struct kb_httpd *httpd;
	char err[256] = "";

	(void)state;
	assert_int_equal(kb_httpd_new(&srv.loop, &srv.at, -1, &ops, &httpd, err, sizeof(err)),
			 -EADDRINUSE);
	assert_non_null(strstr(err, "--http 127.0.0.1:"));
	assert_int_equal(kb_httpd_new(&srv.loop, &nowhere, -1, &ops, &httpd, err, sizeof(err)),
			 -EADDRNOTAVAIL);
	assert_non_null(strstr(err, "192.0.2.1:9253"));
}

/*
 * A checker of the text format: HELP, TYPE, then only samples of that family;
 * no family twice; names and values well formed; buckets increase and end in +Inf.
 */
static size_t name_len(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789");
}

static void check_format(const char *text)
{
	char family[128] = "", type[32] = "", seen[4096] = " ", key[160];
	double last_bucket = 0;
	const char *line, *end;

	for (line = text; *line; line = end + 1) {
		const char *p = line;
		size_t n;

		end = strchr(line, '\n');
		assert_non_null(end);
		if (sscanf(line, "# HELP %127s", family) == 1) {
			snprintf(key, sizeof(key), " %s ", family);
			assert_null(strstr(seen, key));
			assert_true(strlen(seen) + strlen(key) < sizeof(seen));
			strcat(seen, key + 1);
			*type = '\0';
			continue;
		}
		if (sscanf(line, "# TYPE %159s %31s", key, type) == 2) {
			assert_string_equal(key, family);
			assert_true(strcmp(type, "counter") != 0 ||
				    strcmp(key + strlen(key) - 6, "_total") == 0);
			last_bucket = 0;
			continue;
		}
		n = name_len(p);
		assert_true(n && *type);
		assert_memory_equal(p, family, strlen(family));
		if (n != strlen(family))
			assert_string_equal(type, "histogram");
		p += n;
		if (*p == '{') {
			do {
				n = name_len(++p);
				assert_true(n && p[n] == '=' && p[n + 1] == '"');
				for (p += n + 2; *p != '"'; p++) {
					assert_true(*p && *p != '\n');
					p += *p == '\\';
				}
				p++;
			} while (*p == ',');
			assert_int_equal(*p++, '}');
		}
		assert_int_equal(*p++, ' ');
		{
			char *stop;
			double v = strtod(p, &stop);

			assert_ptr_equal(stop, end);
			if (strncmp(line + strlen(family), "_bucket", 7) == 0) {
				assert_true(v >= last_bucket);
				last_bucket = v;
			} else {
				last_bucket = 0;
			}
		}
	}
}

static void test_metrics(void **state)
{
	static const char *const lines[] = {
		"\nkbdns_queries_total{engine=\"tc\",result=\"answered_positive\"} 7\n",
		"\nkbdns_queries_total{engine=\"socket\",result=\"answered_nxdomain\"} "
		"1152921504606846976\n",
		"\nkbdns_queries_total{engine=\"tc\",result=\"left_off\"} 0\n",
		"\nkbdns_truncated_total{engine=\"tc\"} 0\n",
		"\ncoredns_dns_responses_total{server=\"kbdns\",rcode=\"NOERROR\"} 9\n",
		"\nkbdns_latency_seconds_bucket{engine=\"tc\",le=\"2e-09\"} 1\n",
		"\nkbdns_latency_seconds_bucket{engine=\"tc\",le=\"2.56e-07\"} 6\n",
		"\nkbdns_latency_seconds_bucket{engine=\"tc\",le=\"+Inf\"} 8\n",
		"\nkbdns_latency_seconds_count{engine=\"tc\"} 8\n",
		"\ncoredns_kubernetes_dns_programming_duration_seconds_bucket{"
		"service_kind=\"cluster_ip\",le=\"0.001\"} 3\n",
		"\ncoredns_kubernetes_dns_programming_duration_seconds_bucket{"
		"service_kind=\"cluster_ip\",le=\"0.002\"} 4\n",
		"\ncoredns_kubernetes_dns_programming_duration_seconds_bucket{"
		"service_kind=\"cluster_ip\",le=\"524.288\"} 4\n",
		"\ncoredns_kubernetes_dns_programming_duration_seconds_bucket{"
		"service_kind=\"cluster_ip\",le=\"+Inf\"} 5\n",
		"\n# TYPE kbdns_socket_queries_total counter\n"
		"kbdns_socket_queries_total{transport=\"udp\"} 5\n"
		"kbdns_socket_queries_total{transport=\"tcp\"} 6\n",
		"\n# TYPE kbdns_socket_tcp_connections gauge\nkbdns_socket_tcp_connections 3\n",
		"\nkbdns_socket_tcp_closed_total{reason=\"too_many\"} 7\n"
		"kbdns_socket_tcp_closed_total{reason=\"timed_out\"} 8\n"
		"kbdns_socket_tcp_closed_total{reason=\"replies_not_read\"} 9\n",
		"\nkbdns_socket_tcp_waiting_bytes 512\n",
		"\nkbdns_table_bytes{part=\"index\"} 4096\n",
		"\nkbdns_table_changes_total{change=\"entered\"} 4\n"
		"kbdns_table_changes_total{change=\"removed\"} 0\n"
		"kbdns_table_changes_total{change=\"changed\"} 2\n",
		"\nkbdns_source_events_total{kind=\"services\"} 11\n"
		"kbdns_source_events_total{kind=\"namespaces\"} 12\n",
		"\nkbdns_source_received_bytes_total{kind=\"namespaces\"} 13\n",
		"\nkbdns_services 21\n",
		"\nkbdns_names_left 22\n",
		"\n# HELP kbdns_test_seconds Odd \\\\ help\\nof two lines.\n",
		"\nkbdns_test_seconds 0.25\n",
		"\nkbdns_test_total 18446744073709551615\n",
		"\nkbdns_test_info{name=\"a\\\"b\\\\c\\nd\",empty=\"\"} 1\n",
	};
	char *answer = request("GET /metrics"), *text = strstr(answer, "\r\n\r\n");

	(void)state;
	assert_non_null(text);
	text += 4;
	check_format(text);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!strstr(text, lines[i]))
			fail_msg("missing: %s\nin:\n%s", lines[i], text);
	}
	assert_null(strstr(text, "result=\"truncated\""));
	free(answer);
}

static void test_promtool(void **state)
{
	char *answer;
	FILE *f;

	(void)state;
	if (system("command -v promtool >/dev/null 2>&1") != 0) {
		print_message("promtool is not installed: the format is checked by "
			      "test_metrics alone\n");
		return;
	}
	answer = request("GET /metrics");
	f = popen("promtool check metrics", "w");
	assert_non_null(f);
	fputs(strstr(answer, "\r\n\r\n") + 4, f);
	assert_int_equal(pclose(f), 0);
	free(answer);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_routes),   ROW(test_bad_requests), ROW(test_connections),
		ROW(test_idle),	    ROW(test_bad_address),  ROW(test_metrics),
		ROW(test_promtool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
