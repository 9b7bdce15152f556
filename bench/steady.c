// SPDX-License-Identifier: Apache-2.0
/*
 * Asks at a steady rate by ordinary UDP sockets, never twice, and counts what stays without a
 * reply: a figure for what is lost while something happens to the server. Each query's number is in
 * its id and its socket, so that every reply belongs to one query.
 *
 * Lost is what has no reply within --patience; a reply behind that is counted as late (and lost).
 * A client that is itself kept from sending catches up, but for what is older than 5 ms, which it
 * leaves out and reports.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/check.h"
#include "bench/options.h"

#define IDS	    65536U
#define SOCKETS_MAX 16U
#define BATCH	    64U
#define CATCH_UP_NS 5000000ULL
#define BUFFER	    (16 << 20)

struct options {
	const char *to, *name;
	uint64_t rate, milliseconds, sockets, patience_ms;
};

struct asker {
	struct options o;
	int fd[SOCKETS_MAX];
	uint8_t query[300];
	uint32_t len;
	uint64_t *sent_ns; /* by number modulo sockets * IDS; 0: none, or answered */
	uint64_t sent, answered, late, lost, wrong, left_out;
	uint64_t worst_ns; /* longest time without any reply */
	uint64_t last_ns;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void make_query(struct asker *a)
{
	static const uint8_t header[12] = {0, 0, 1, 0, 0, 1}, tail[5] = {0, 0, 1, 0, 1};
	const char *p = a->o.name;

	if (strlen(p) > 250)
		option_bad("name", p);
	memcpy(a->query, header, 12);
	a->len = 12;
	while (*p) {
		size_t label = strcspn(p, ".");

		if (label == 0 || label > 63)
			option_bad("name", a->o.name);
		a->query[a->len] = (uint8_t)label;
		memcpy(a->query + a->len + 1, p, label);
		a->len += (uint32_t)label + 1;
		p += label;
		p += *p == '.';
	}
	memcpy(a->query + a->len, tail, 5);
	a->len += 5;
}

static int open_socket(const char *to)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = check("socket", socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), size = BUFFER;

	if (inet_pton(AF_INET, to, &sin.sin_addr) != 1)
		option_bad("to", to);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		die("receive buffer (needs root)", -errno);
	check("connect", connect(fd, (struct sockaddr *)&sin, sizeof(sin)));
	return fd;
}

/* Query n, if the time of the one that had its place is over. */
static void send_one(struct asker *a, uint64_t n, uint64_t now)
{
	uint64_t s = n % a->o.sockets, id = n / a->o.sockets % IDS;
	uint64_t *sent = &a->sent_ns[id * a->o.sockets + s];

	if (*sent)
		a->lost++;
	*sent = now;
	a->query[0] = (uint8_t)(id >> 8);
	a->query[1] = (uint8_t)id;
	if (send(a->fd[s], a->query, a->len, 0) != (ssize_t)a->len)
		die("send", -errno);
	a->sent++;
}

static void receive(struct asker *a)
{
	uint8_t reply[512];
	uint64_t now = now_ns();

	for (uint64_t s = 0; s < a->o.sockets; s++) {
		ssize_t n;

		while ((n = recv(a->fd[s], reply, sizeof(reply), 0)) >= 12) {
			uint64_t id = (uint64_t)reply[0] << 8 | reply[1];
			uint64_t *sent = &a->sent_ns[id * a->o.sockets + s];

			if (now - a->last_ns > a->worst_ns)
				a->worst_ns = now - a->last_ns;
			a->last_ns = now;
			if (!*sent)
				continue; /* given up already */
			if ((reply[3] & 15) || !(reply[7] | reply[6]))
				a->wrong++;
			if (now - *sent > a->o.patience_ms * 1000000) {
				a->late++;
				a->lost++;
			} else {
				a->answered++;
			}
			*sent = 0;
		}
	}
}

static void ask(struct asker *a)
{
	uint64_t begin = now_ns(), n = 0, total = a->o.rate * a->o.milliseconds / 1000, end;

	a->last_ns = begin;
	while (n < total) {
		uint64_t now = now_ns(), due = (now - begin) * a->o.rate / 1000000000;
		uint64_t most = CATCH_UP_NS * a->o.rate / 1000000000 + 1;

		if (due > total)
			due = total;
		if (due > n + most) {
			a->left_out += due - n - most;
			n = due - most;
		}
		for (uint32_t i = 0; i < BATCH && n < due; i++)
			send_one(a, n++, now);
		receive(a);
		if (n == due)
			usleep(200);
	}
	end = now_ns() + (a->o.patience_ms + 100) * 1000000;
	while (now_ns() < end) {
		receive(a);
		usleep(1000);
	}
	for (uint64_t i = 0; i < IDS * a->o.sockets; i++)
		a->lost += a->sent_ns[i] != 0;
}

int main(int argc, char **argv)
{
	struct asker a = {.o = {.to = "10.96.0.10",
				.name = "kubernetes.default.svc.cluster.local",
				.rate = 20000,
				.milliseconds = 3000,
				.sockets = 4,
				.patience_ms = 500}};
	const struct bench_option options[] = {
		{"to", "ADDR", "server (default 10.96.0.10)", option_text, &a.o.to},
		{"name", "NAME", "asked for, type A (default kubernetes.default.svc.cluster.local)",
		 option_text, &a.o.name},
		{"rate", "QPS", "default 20000", option_number, &a.o.rate},
		{"milliseconds", "MS", "how long (default 3000)", option_number, &a.o.milliseconds},
		{"sockets", "N", "source ports, 1..16 (default 4)", option_number, &a.o.sockets},
		{"patience", "MS", "after which a query is lost (default 500)", option_number,
		 &a.o.patience_ms},
		{0},
	};

	bench_options("[OPTIONS]", options, argc, argv);
	if (a.o.sockets > SOCKETS_MAX)
		option_bad("sockets", "too many");
	/* A number comes again after its query's time only. */
	if (a.o.rate * (a.o.patience_ms + 100) / 1000 > IDS * a.o.sockets)
		option_bad("rate", "too high for these sockets");
	make_query(&a);
	a.sent_ns = calloc(IDS * a.o.sockets, sizeof(*a.sent_ns));
	if (!a.sent_ns)
		die("memory", -ENOMEM);
	for (uint64_t s = 0; s < a.o.sockets; s++)
		a.fd[s] = open_socket(a.o.to);
	ask(&a);
	printf("%lu sent %lu answered %lu lost %lu late %lu wrong %lu left out %.1f ms longest "
	       "silence\n",
	       a.sent, a.answered, a.lost, a.late, a.wrong, a.left_out, (double)a.worst_ns / 1e6);
	return 0;
}
