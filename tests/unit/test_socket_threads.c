/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets on the forwarder's threads, over a table that changes all the while: removal, reuse,
 * growth, replaced records, with grace periods that wait for those threads. Each reply says which
 * name it is of. `make tsan` runs the same under the thread sanitizer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/forward/server.h"
#include "control/table/epochs.h"
#include "tests/unit/mem_backing.h"

#define THREADS 3
#define CLIENTS 4
#define SOCKETS 4 /* of each client: more ports, so that all threads are asked */
#define NAMES	96
#define WAIT_MS 5000

static struct world {
	uv_loop_t loop;
	struct kb_workers *workers;
	struct kb_epochs epochs;
	struct kb_mem *mem;
	struct kb_table *table;
	struct kb_responder *responder;
	struct kb_forward *forward;
	struct kb_server *server;
	struct kb_routes *routes;
	uint16_t port;
} * w;

static atomic_bool stop;
static atomic_uint_fast64_t positive, nxdomain, refused;

static void grace(void *arg)
{
	struct world *world = arg;

	kb_epochs_wait(&world->epochs, kb_epochs_begin(&world->epochs));
}

static void deliver(void *arg, uint64_t conn, const uint8_t *msg, size_t len)
{
	(void)arg;
	(void)conn;
	(void)msg;
	(void)len;
}

static int setup(void **state)
{
	struct kb_table_config table = {.replicas = 2, .buckets = 64};
	struct kb_addr_port at = {.addr = {.family = 4, .b = {127, 0, 0, 1}}};
	struct kb_cidr allow = {.addr = at.addr, .bits = 8};
	struct kb_forward_config forward = {
		.threads = THREADS, .max_concurrent = 64, .udp_max = 1232, .deliver = deliver};
	struct kb_server_config server = {
		.listen = &at, .n_listen = 1, .allow_from = &allow, .n_allow_from = 1};
	struct kb_backing backing;
	char err[256] = "";

	(void)state;
	w = calloc(1, sizeof(*w));
	w->workers = aligned_alloc(64, sizeof(*w->workers));
	memset(w->workers, 0, sizeof(*w->workers));
	kb_epochs_init(&w->epochs, w->workers);
	w->mem = kb_mem_new(grace, w);
	kb_mem_backing(w->mem, &backing);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(kb_table_new(&backing, &table, &w->table), 0);
	assert_int_equal(kb_table_zone_add(w->table, (const uint8_t *)"\7cluster\5local", 15, 1,
					   KB_ZONE_ANSWER),
			 0);
	kb_table_set_ttl(w->table, 5);
	kb_table_set_state(w->table, KB_FULL);
	assert_int_equal(kb_responder_new(w->table, NULL, &w->responder), 0);
	assert_int_equal(kb_routes_new(&w->routes), 0);
	if (kb_forward_new(&w->loop, &forward, &w->forward, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	kb_responder_set_routes(w->responder, w->routes);
	kb_forward_set_routes(w->forward, w->routes);
	server.responder = w->responder;
	server.forward = w->forward;
	server.table = w->table;
	server.workers = w->workers;
	if (kb_server_new(&w->loop, &server, &w->server, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	w->port = kb_server_port(w->server, 0);
	return 0;
}

static int teardown(void **state)
{
	struct kb_epochs_stats s;

	(void)state;
	kb_responder_set_routes(w->responder, NULL);
	kb_forward_free(w->forward);
	kb_server_free(w->server);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	kb_epochs_stats(&w->epochs, &s);
	assert_int_equal(s.registered, 0);
	assert_int_equal(s.gone, 0);
	kb_responder_free(w->responder);
	kb_table_free(w->table);
	kb_mem_free(w->mem);
	kb_epochs_fini(&w->epochs);
	free(w->workers);
	free(w);
	return 0;
}

/* --- questions ------------------------------------------------------------------ */

static size_t name_make(uint32_t i, uint8_t *out)
{
	int n = snprintf((char *)out + 1, 16, "n%u", i);

	out[0] = (uint8_t)n;
	memcpy(out + 1 + n, "\7cluster\5local", 15);
	return 16U + (size_t)n;
}

static size_t query_make(const uint8_t *name, size_t len, uint16_t id, uint8_t *out)
{
	memset(out, 0, 12);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 1;
	out[5] = 1;
	memcpy(out + 12, name, len);
	memcpy(out + 12 + len, "\0\1\0\1", 4);
	return len + 16;
}

static int dial(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(w->port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		abort();
	return fd;
}

/* The reply's length, or 0 if none came. */
static size_t ask(int fd, const uint8_t *query, size_t len, uint8_t *reply, size_t cap, int wait_ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	ssize_t n;

	if (send(fd, query, len, 0) != (ssize_t)len || poll(&p, 1, wait_ms) != 1)
		return 0;
	n = recv(fd, reply, cap, 0);
	return n > 0 ? (size_t)n : 0;
}

/* Every address of the answer is of name i, and all are of one change. */
static const char *check(const uint8_t *reply, size_t len, size_t question, uint32_t i)
{
	unsigned int an = (unsigned int)reply[6] << 8 | reply[7], rcode = reply[3] & 15;
	const uint8_t *rr = reply + 12 + question;

	if (rcode == 3 && i & 1)
		return atomic_fetch_add(&nxdomain, 1), NULL;
	if (rcode || !an || len < 12 + question + an * 16)
		return "not the name's answer";
	for (unsigned int k = 0; k < an; k++) {
		if (rr[16 * k + 12] != i)
			return "another name's address";
		if (memcmp(rr + 12, rr + 16 * k + 12, 4) != 0)
			return "addresses of two changes";
	}
	atomic_fetch_add(&positive, 1);
	return NULL;
}

static void *client_run(void *arg)
{
	static const uint8_t outside[] = "\3www\7example\3org";
	uint32_t seed = (uint32_t)(uintptr_t)arg * 7919 + 1;
	uint8_t name[64], query[128], reply[2048];
	const char *wrong = NULL;
	int fd[SOCKETS];

	for (int i = 0; i < SOCKETS; i++)
		fd[i] = dial();
	for (uint32_t n = 0; !wrong && !atomic_load(&stop); n++) {
		uint32_t i = (seed = seed * 1664525 + 1013904223) >> 8, len;
		bool is_outside = i % 8 == 0;
		size_t name_len, got;

		i %= NAMES;
		name_len = name_make(i, name);
		if (is_outside) {
			memcpy(name, outside, sizeof(outside));
			name_len = sizeof(outside);
		}
		len = (uint32_t)query_make(name, name_len, (uint16_t)n, query);
		got = ask(fd[n % SOCKETS], query, len, reply, sizeof(reply), WAIT_MS);
		if (!got)
			wrong = "no reply";
		else if (memcmp(reply, query, 2) != 0)
			wrong = "a reply to another question";
		else if (is_outside && (reply[3] & 15) == 5)
			atomic_fetch_add(&refused, 1);
		else if (is_outside)
			wrong = "not REFUSED, without upstreams";
		else
			wrong = check(reply, got, name_len + 4, i);
	}
	for (int i = 0; i < SOCKETS; i++)
		close(fd[i]);
	return (void *)(uintptr_t)wrong;
}

/* --- changes -------------------------------------------------------------------- */

/* One address, or a record of several that are alike; odd names come and go. */
static void change(uint32_t i, uint32_t stamp)
{
	struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1};
	uint8_t name[64], rec[32 + 16 * 24] = {0};
	size_t len = name_make(i, name), n = 1 + stamp % 24;

	e.addr = i | stamp << 8;
	if (i & 1 && stamp & 1) {
		kb_table_del(w->table, name, len);
		return;
	}
	if (stamp % 3) {
		struct kb_rec head = {.n_sets = 1};
		struct kb_dir dir = {.type = kb_swap16(KB_TYPE_A), .unit = 1};
		struct kb_set set = {.form = KB_FORM_WIRE,
				     .flags = KB_SET_ROTATE,
				     .rr_len = 16,
				     .an = (uint16_t)n,
				     .len = (uint16_t)(16 * n)};

		memcpy(rec, &head, sizeof(head));
		memcpy(rec + sizeof(head), &dir, sizeof(dir));
		memcpy(rec + 16, &set, sizeof(set));
		for (size_t k = 0; k < n; k++) {
			memcpy(rec + 32 + 16 * k, "\300\014\0\1\0\1\0\0\0\0\0\4", 12);
			memcpy(rec + 44 + 16 * k, &e.addr, 4);
		}
		e.kind = KB_VALUE_REC;
		e.addr = 0;
		assert_int_equal(kb_table_intern(w->table, rec, 32 + 16 * n, &e.ref), 0);
	}
	assert_int_equal(kb_table_put(w->table, name, len, &e), 0);
}

static void test_churn(void **state)
{
	uint64_t end = uv_hrtime() + 1500000000ULL;
	struct kb_table_stats table;
	struct kb_server_stats s;
	pthread_t thread[CLIENTS];
	uint32_t turns;

	(void)state;
	for (uint32_t i = 0; i < NAMES; i++)
		change(i, 0);
	for (uintptr_t i = 0; i < CLIENTS; i++)
		pthread_create(&thread[i], NULL, client_run, (void *)i);
	for (turns = 1; uv_hrtime() < end || atomic_load(&positive) < 1000; turns++) {
		for (uint32_t i = 0; i < NAMES; i++)
			change(i, turns);
		/* More names, and fewer again: the index grows. */
		for (uint32_t i = 0; turns % 64 == 0 && i < 400; i++) {
			struct kb_entry e = {.kind = KB_VALUE_A, .zone = 1, .addr = 1};
			uint8_t name[64];
			size_t len = name_make(1000 + turns + i, name);

			assert_int_equal(kb_table_put(w->table, name, len, &e), 0);
			assert_int_equal(kb_table_del(w->table, name, len), 0);
		}
		kb_table_settle(w->table);
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < CLIENTS; i++) {
		void *wrong;

		pthread_join(thread[i], &wrong);
		if (wrong)
			fail_msg("client %d: %s", i, (const char *)wrong);
	}
	kb_table_stats(w->table, &table);
	kb_server_stats(w->server, &s);
	print_message("# %u turns, %llu changes, %llu positive, %llu NXDOMAIN, %llu REFUSED\n",
		      turns, (unsigned long long)(table.changes + table.puts + table.dels),
		      (unsigned long long)positive, (unsigned long long)nxdomain,
		      (unsigned long long)refused);
	assert_int_equal(s.udp_queries, positive + nxdomain + refused);
	assert_int_equal(s.udp_deferred, 0);
	assert_true(nxdomain > 0 && refused > 0 && table.growths > 0);
}

/* While zones are held, messages wait for the main loop, no more than so many. */
static void test_deferred(void **state)
{
	uint64_t counters[KB_CNT_MAX] = {0};
	uint8_t name[64], query[128], reply[2048];
	size_t len;
	struct kb_server_stats s;
	int fd = dial();

	(void)state;
	change(2, 0);
	len = query_make(name, name_make(2, name), 7, query);
	assert_true(ask(fd, query, len, reply, sizeof(reply), WAIT_MS) > 0);
	kb_server_add_counters(w->server, counters);
	assert_int_equal(counters[KB_CNT_ANSWERED], 1);

	kb_table_zones_hold(w->table, true);
	assert_int_equal(ask(fd, query, len, reply, sizeof(reply), 100), 0);
	do {
		uv_run(&w->loop, UV_RUN_NOWAIT);
		kb_server_stats(w->server, &s);
	} while (!s.udp_deferred);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
	assert_int_equal(kb_responder_counters(w->responder)[KB_CNT_ANSWERED], 1);

	/* The main loop stands still; a socket's buffer does not hold more than these. */
	do {
		for (int i = 0; i < 64; i++)
			assert_int_equal(send(fd, query, len, 0), (ssize_t)len);
		usleep(1000);
		kb_server_stats(w->server, &s);
	} while (!s.udp_deferred_dropped);
	kb_table_zones_hold(w->table, false);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_churn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deferred, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
