/* SPDX-License-Identifier: Apache-2.0 */
/* Questions by which an upstream that asks us in turn is found. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/forward/loops.h"
#include "dataplane/core/dns.h"

/* A UDP socket on a port of the kernel's choice, which *ret_spec names. */
static int server(struct kb_upstream_spec *ret_spec)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	memset(ret_spec, 0, sizeof(*ret_spec));
	ret_spec->at.addr.family = 4;
	memcpy(ret_spec->at.addr.b, &addr.sin_addr, 4);
	ret_spec->at.port = ntohs(addr.sin_port);
	return fd;
}

/* The question that comes next, as the socket engine hands it over; false if none comes. */
static bool next(int fd, int timeout_ms, struct kb_ask *ask)
{
	struct pollfd p = {fd, POLLIN, 0};
	uint8_t msg[512];
	ssize_t n;

	memset(ask, 0, sizeof(*ask));
	if (poll(&p, 1, timeout_ms) != 1)
		return false;
	n = recv(fd, msg, sizeof(msg), 0);
	assert_int_equal(n, KB_DNS_HDR + KB_LOOP_QUESTION);
	assert_memory_equal(msg + 2, "\1\0\0\1\0\0\0\0\0\0", 10); /* RD, one question */
	ask->len = (uint16_t)(n - KB_DNS_HDR);
	memcpy(ask->question, msg + KB_DNS_HDR, ask->len);
	return true;
}

static void rounds(void **state)
{
	struct kb_upstream_spec specs[3];
	struct kb_ask first, second, ask;
	struct kb_loops loops;
	int a, b, c;

	(void)state;
	a = server(&specs[0]);
	b = server(&specs[1]);
	c = server(&specs[2]);
	specs[2].tls = true;
	kb_loops_init(&loops);
	kb_loops_begin(&loops, specs, 3);
	kb_loops_send(&loops);
	assert_true(next(a, 5000, &first));
	assert_true(next(b, 5000, &second));
	assert_memory_not_equal(first.question, second.question, KB_LOOP_QUESTION);
	assert_false(next(c, 50, &ask)); /* TLS is not UDP */
	/* Other questions are nobody's. */
	ask = first;
	ask.question[3] ^= 1;
	assert_false(kb_loops_check(&loops, &ask));
	ask = first;
	ask.len--;
	assert_false(kb_loops_check(&loops, &ask));
	assert_false(kb_loops_seen(&loops, 0));
	assert_true(kb_loops_check(&loops, &second));
	assert_false(kb_loops_seen(&loops, 0));
	assert_true(kb_loops_seen(&loops, 1));
	assert_false(kb_loops_seen(&loops, 3));
	/* The same again, should it have been lost. */
	kb_loops_send(&loops);
	assert_true(next(a, 5000, &ask));
	assert_memory_equal(ask.question, first.question, KB_LOOP_QUESTION);
	/* Of the next round only its own count, and after its end none. */
	kb_loops_begin(&loops, specs, 1);
	assert_false(kb_loops_check(&loops, &first));
	assert_false(kb_loops_seen(&loops, 1));
	kb_loops_send(&loops);
	assert_true(next(a, 5000, &ask));
	assert_memory_not_equal(ask.question, first.question, KB_LOOP_QUESTION);
	kb_loops_end(&loops);
	assert_false(kb_loops_check(&loops, &ask));
	kb_loops_fini(&loops);
	close(a);
	close(b);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rounds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
