// SPDX-License-Identifier: Apache-2.0
/* Is the cluster DNS reached from here? One question, asked twice if need be. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/doctor/facts.h"

#define WAIT_MS 1000
#define TRIES	2
#define DOMAIN	"cluster.local"

/* The first address kbdnsd intercepts, as ADDR:53 or [ADDR]:53. */
static void learn_address(struct kb_facts *f)
{
	const char *s =
		json_string_value(json_array_get(json_object_get(f->status, "intercepts"), 0));

	if (f->config.dns)
		snprintf(f->dns, sizeof(f->dns), "%.63s", f->config.dns);
	else if (s && s[0] == '[')
		snprintf(f->dns, sizeof(f->dns), "%.*s", (int)strcspn(s + 1, "]"), s + 1);
	else if (s)
		snprintf(f->dns, sizeof(f->dns), "%.*s", (int)strcspn(s, ":"), s);
}

/* A query (RFC 1035 section 4.1) for A of kubernetes.default.svc.DOMAIN. */
static size_t make_query(const char *domain, uint8_t *q, size_t size)
{
	char name[256];
	size_t n = 12;

	snprintf(name, sizeof(name), "kubernetes.default.svc.%.200s", domain);
	memset(q, 0, size);
	if (getrandom(q, 2, 0) != 2)
		return 0;
	q[2] = 1; /* RD */
	q[5] = 1; /* one question */
	for (const char *s = name; *s;) {
		size_t len = strcspn(s, ".");

		if (!len || len > 63 || n + len + 6 > size)
			return 0;
		q[n++] = (uint8_t)len;
		memcpy(q + n, s, len);
		n += len;
		s += len + (s[len] == '.');
	}
	n++; /* the root's label */
	q[n + 1] = 1;
	q[n + 3] = 1;
	return n + 4;
}

static int ask(int s, const uint8_t *q, size_t len, struct kb_facts *f)
{
	struct pollfd p = {.fd = s, .events = POLLIN};
	uint8_t reply[1500];
	ssize_t n;

	if (send(s, q, len, 0) < 0)
		return -errno;
	for (;;) {
		int r = poll(&p, 1, WAIT_MS);

		if (r <= 0)
			return r < 0 ? -errno : -ETIMEDOUT;
		n = recv(s, reply, sizeof(reply), 0);
		if (n < 0)
			return -errno;
		if (n >= 12 && memcmp(reply, q, 2) == 0 && reply[2] & 0x80)
			break;
	}
	f->dns_answers = (uint32_t)(reply[6] << 8 | reply[7]);
	return reply[3] & 15;
}

static int dial(const char *addr)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53)};
	bool is6 = strchr(addr, ':');
	int s, r;

	if (inet_pton(is6 ? AF_INET6 : AF_INET, addr,
		      is6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1)
		return -EINVAL;
	s = socket(is6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	r = is6 ? connect(s, (struct sockaddr *)&v6, sizeof(v6))
		: connect(s, (struct sockaddr *)&v4, sizeof(v4));
	if (r < 0) {
		r = -errno;
		close(s);
		return r;
	}
	return s;
}

void kb_facts_dns(struct kb_facts *f)
{
	const char *domain =
		json_string_value(json_array_get(json_object_get(f->status, "domains"), 0));
	struct timespec from, to;
	uint8_t q[300];
	size_t len;
	int s;

	learn_address(f);
	if (!f->dns[0])
		return;
	s = dial(f->dns);
	f->dns_r = s;
	if (s < 0)
		return;
	for (int i = 0; i < TRIES; i++) {
		len = make_query(domain ? domain : DOMAIN, q, sizeof(q));
		clock_gettime(CLOCK_MONOTONIC, &from);
		f->dns_r = len ? ask(s, q, len, f) : -EINVAL;
		clock_gettime(CLOCK_MONOTONIC, &to);
		if (f->dns_r >= 0)
			break;
	}
	f->dns_us = (uint32_t)((to.tv_sec - from.tv_sec) * 1000000 +
			       (to.tv_nsec - from.tv_nsec) / 1000);
	close(s);
}
