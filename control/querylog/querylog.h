/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query log: what was asked, by whom, and what was answered, by all engines.
 *
 *   tc, xdp --ring kb_events--\
 *   sockets, forwarder --queue--> the log's thread --> output (file, pipe, standard output),
 *                                        |             or tap (dnstap, over a UNIX socket)
 *                                        \--> traces --> control socket
 *
 * It is off unless it is asked for: names and addresses of clients are personal data, and a line
 * costs more than an answer. Off, an engine tests one flag. On, each engine takes one query in
 * `every` for itself (struct kb_sampler) and hands an event over without ever waiting: where
 * there is no room the event is dropped and counted.
 *
 * The thread is started when the log or a trace is first on, and sleeps while none is. It looks
 * every KB_QUERYLOG_POLL_MS, earlier when ring or queue fill up.
 */
#ifndef KB_QUERYLOG_QUERYLOG_H
#define KB_QUERYLOG_QUERYLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "control/datapath/events.h"
#include "control/table/table.h"

#define KB_QUERYLOG_POLL_MS 50
#define KB_QUERYLOG_QUEUE   4096 /* events of sockets and forwarder that wait for the thread */

struct kb_querylog;

struct kb_querylog_settings {
	const char *path; /* file, "-" standard output, "dnstap:" and a socket's path; NULL: off */
	bool json;	  /* a JSON object a line instead of CoreDNS's format; not for dnstap */
	uint32_t every;	  /* one query in so many, at least 1 */
	uint32_t classes; /* bits of enum kb_event_class */
};

/* Counts; uint64_t, since rows of them are shown by offset. */
struct kb_querylog_stats {
	uint64_t packet_events; /* that tc and xdp have reported, for log and traces */
	uint64_t socket_events; /* that sockets and forwarder have */
	uint64_t written;	/* lines, or frames of dnstap */
	uint64_t dropped_ring;	/* events of tc and xdp that found the ring full */
	uint64_t dropped_queue; /* events of sockets and forwarder that found the queue full */
	uint64_t dropped_write; /* those that could not be written */
	uint64_t traces;	/* now */
};

/* Off. Borrows both; NULL for tests without a packet path. Main thread, as all that does not
 * say otherwise. 0 or -errno. */
int kb_querylog_new(struct kb_datapath *datapath, struct kb_table *table,
		    struct kb_querylog **ret_log);
/* What has been handed over is written. Before datapath and table are closed, after all that
 * reports. NULL is fine. */
void kb_querylog_free(struct kb_querylog *log);
/* From now on. 0, or -errno with one line in err; then all is as it was. */
int kb_querylog_set(struct kb_querylog *log, const struct kb_querylog_settings *settings, char *err,
		    size_t err_size);
/* Opens the file anew, for those who rotate it; or connects anew. 0, or -errno with one line in
 * err; then the log goes on where it was. */
int kb_querylog_reopen(struct kb_querylog *log, char *err, size_t err_size);
void kb_querylog_stats(const struct kb_querylog *log, struct kb_querylog_stats *ret_stats);

/*
 * For engines that answer from sockets. Any thread.
 *
 * kb_querylog_asked is called for each message that comes in; it decides whether the log takes
 * it, and keeps what the reply does not tell. kb_querylog_reply is called with the reply, wherever
 * it is made.
 */
struct kb_asked {
	uint64_t start_ns; /* CLOCK_MONOTONIC; 0: not taken */
	uint64_t src[2], dst[2];
	uint16_t sport_be, dport_be;
	uint16_t len, bufsize;
	bool tcp, dnssec_ok;
};

/* `sampler` is the thread's own. `log` may be NULL: never. */
void kb_querylog_asked(const struct kb_querylog *log, struct kb_sampler *sampler,
		       const struct sockaddr *from, const struct sockaddr *to, bool tcp,
		       const uint8_t *msg, size_t len, struct kb_asked *ret_asked);
void kb_querylog_reply(struct kb_querylog *log, const struct kb_asked *asked, const uint8_t *reply,
		       size_t len, enum kb_event_origin origin);
/* Hands over an event, copied. */
void kb_querylog_put(struct kb_querylog *log, const struct kb_event *event);

#endif
