/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/loops.h"

#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/forward/routes.h"
#include "dataplane/core/dns.h"

#define TYPE_HINFO 13

void kb_loops_init(struct kb_loops *l)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	l->fd4 = l->fd6 = -1;
}

static void close_socket(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void kb_loops_end(struct kb_loops *l)
{
	atomic_store(&l->active, false);
	close_socket(&l->fd4);
	close_socket(&l->fd6);
}

void kb_loops_fini(struct kb_loops *l)
{
	kb_loops_end(l);
	pthread_mutex_destroy(&l->lock);
}

/* False without random numbers: then no round takes place. */
static bool make_question(uint8_t q[KB_LOOP_QUESTION])
{
	uint8_t random[2 * KB_LOOP_LABEL], *p = q;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return false;
	for (int label = 0; label < 2; label++) {
		*p++ = KB_LOOP_LABEL;
		for (int i = 0; i < KB_LOOP_LABEL; i++)
			*p++ = (uint8_t)('0' + random[label * KB_LOOP_LABEL + i] % 10);
	}
	*p++ = 0;
	*p++ = 0;
	*p++ = TYPE_HINFO;
	*p++ = 0;
	*p++ = 1; /* IN */
	return true;
}

void kb_loops_begin(struct kb_loops *l, const struct kb_upstream_spec *specs, size_t n)
{
	bool good = true;

	kb_loops_end(l);
	pthread_mutex_lock(&l->lock);
	l->n = n < KB_LOOPS_MAX ? n : KB_LOOPS_MAX;
	for (size_t i = 0; i < l->n; i++) {
		l->v[i] = (struct kb_loop_probe){.spec = specs[i]};
		good = good && make_question(l->v[i].question);
	}
	if (!good)
		l->n = 0;
	pthread_mutex_unlock(&l->lock);
	l->fd4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	l->fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	atomic_store(&l->active, true);
}

void kb_loops_send(struct kb_loops *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct kb_loop_probe *p = &l->v[i];
		uint8_t msg[KB_DNS_HDR + KB_LOOP_QUESTION] = {0};
		union kb_sockaddr addr;
		socklen_t len = kb_sockaddr_make(&p->spec.at, &addr);

		if (p->spec.tls)
			continue;
		memcpy(msg, p->question + 1, 2); /* an ID; replies are not looked at */
		msg[2] = KB_RD;
		msg[5] = 1; /* one question */
		memcpy(msg + KB_DNS_HDR, p->question, sizeof(p->question));
		(void)sendto(p->spec.at.addr.family == 6 ? l->fd6 : l->fd4, msg, sizeof(msg),
			     MSG_DONTWAIT | MSG_NOSIGNAL, &addr.sa, len);
	}
}

bool kb_loops_check(struct kb_loops *l, const struct kb_ask *ask)
{
	bool found = false;

	if (!atomic_load_explicit(&l->active, memory_order_relaxed) || ask->len != KB_LOOP_QUESTION)
		return false;
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->n; i++) {
		if (memcmp(ask->question, l->v[i].question, KB_LOOP_QUESTION) == 0)
			found = l->v[i].seen = true;
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

bool kb_loops_seen(struct kb_loops *l, size_t i)
{
	bool seen;

	pthread_mutex_lock(&l->lock);
	seen = i < l->n && l->v[i].seen;
	pthread_mutex_unlock(&l->lock);
	return seen;
}
