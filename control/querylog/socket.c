/* SPDX-License-Identifier: Apache-2.0 */
/* Events of those who answer from sockets. Any thread. Knows nothing of the packet path, so that
 * the socket engine can be tested without. */
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/log.h"
#include "control/querylog/private.h"
#include "control/querylog/random.h"

void kb_querylog_wake(struct kb_querylog *log)
{
	const uint64_t one = 1;

	if (log->wake_fd >= 0 && write(log->wake_fd, &one, sizeof(one)) < 0)
		kb_log_debug("query log: %s", strerror(errno));
}

void kb_querylog_put(struct kb_querylog *log, const struct kb_event *event)
{
	size_t n = kb_event_queue_put(&log->queue, event);

	atomic_fetch_add_explicit(n ? &log->socket_events : &log->dropped_queue, 1,
				  memory_order_relaxed);
	if (n == KB_QUERYLOG_QUEUE / 4)
		kb_querylog_wake(log);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void take_addr(const struct sockaddr *sa, uint64_t addr[2], uint16_t *ret_port_be)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;

	if (sa->sa_family == AF_INET) {
		addr[0] = 0;
		addr[1] = (uint64_t)in->sin_addr.s_addr << 32 | 0xffff0000ULL;
		*ret_port_be = in->sin_port;
	} else {
		memcpy(addr, &in6->sin6_addr, 16);
		*ret_port_be = in6->sin6_port;
	}
}

/* Offset behind the question, 0 if there is none that can be read. */
static size_t question_end(const uint8_t *msg, size_t len)
{
	size_t off = KB_DNS_HDR;

	if (len < KB_DNS_HDR || ns_get16(msg + 4) == 0)
		return 0;
	while (off < len && msg[off] && msg[off] < 64)
		off += msg[off] + 1U;
	off++;
	return off + 4 <= len && off - KB_DNS_HDR <= 255 && msg[off - 1] == 0 ? off + 4 : 0;
}

/* The OPT record of a query, where nearly all have it: right behind the question. */
static void take_opt(const uint8_t *msg, size_t len, struct kb_asked *a)
{
	size_t off = question_end(msg, len);

	if (!off || len < off + 11 || ns_get32(msg + 6) != 0 || ns_get16(msg + 10) == 0 ||
	    msg[off] != 0 || ns_get16(msg + off + 1) != KB_TYPE_OPT)
		return;
	a->bufsize = (uint16_t)ns_get16(msg + off + 3);
	a->dnssec_ok = msg[off + 7] >> 7;
}

void kb_querylog_asked(const struct kb_querylog *log, struct kb_sampler *sampler,
		       const struct sockaddr *from, const struct sockaddr *to, bool tcp,
		       const uint8_t *msg, size_t len, struct kb_asked *ret_asked)
{
	uint32_t every;

	ret_asked->start_ns = 0;
	if (!log || !atomic_load_explicit(&log->classes, memory_order_relaxed))
		return;
	every = atomic_load_explicit(&log->every, memory_order_relaxed);
	if (kb_sampler_skips(sampler, every) || !kb_sampler_take(sampler, every, kb_random32()))
		return;
	memset(ret_asked, 0, sizeof(*ret_asked));
	ret_asked->start_ns = now_ns();
	take_addr(from, ret_asked->src, &ret_asked->sport_be);
	take_addr(to, ret_asked->dst, &ret_asked->dport_be);
	ret_asked->tcp = tcp;
	ret_asked->len = (uint16_t)len;
	take_opt(msg, len, ret_asked);
}

void kb_querylog_reply(struct kb_querylog *log, const struct kb_asked *a, const uint8_t *reply,
		       size_t len, enum kb_event_origin origin)
{
	struct kb_event e;
	size_t end;
	uint64_t ns;

	if (!a->start_ns || len < KB_DNS_HDR)
		return;
	/* The name, which a copy takes with it, is all that is not set. */
	memset(&e, 0, offsetof(struct kb_event, name));
	e.time_ns = now_ns();
	ns = e.time_ns - a->start_ns;
	e.duration_ns = ns > UINT32_MAX ? UINT32_MAX : ns ? (uint32_t)ns : 1;
	memcpy(e.src, a->src, sizeof(e.src));
	memcpy(e.dst, a->dst, sizeof(e.dst));
	e.sport = a->sport_be;
	e.dport = a->dport_be;
	memcpy(&e.id, reply, 2);
	end = question_end(reply, len);
	if (end) {
		e.name_len = (uint8_t)(end - 4 - KB_DNS_HDR);
		memcpy(e.name, reply + KB_DNS_HDR, e.name_len);
		memcpy(&e.qtype, reply + end - 4, 2);
		memcpy(&e.qclass, reply + end - 2, 2);
	}
	e.query_len = a->len;
	e.reply_len = (uint16_t)len;
	e.bufsize = a->bufsize;
	e.an = (uint16_t)ns_get16(reply + 6);
	e.ns = (uint16_t)ns_get16(reply + 8);
	e.ar = (uint16_t)ns_get16(reply + 10);
	e.flags2 = reply[2];
	e.flags3 = reply[3];
	e.engine = KB_ENGINE_SOCKET;
	e.transport = a->tcp ? KB_EVENT_TCP : KB_EVENT_UDP;
	e.origin = (uint8_t)origin;
	e.verdict = KB_CNT_MAX;
	e.dnssec_ok = a->dnssec_ok;
	if (atomic_load_explicit(&log->classes, memory_order_relaxed) &
	    kb_event_class(e.flags3 & 15, e.an || (e.flags2 & KB_TC)))
		kb_querylog_put(log, &e);
}
