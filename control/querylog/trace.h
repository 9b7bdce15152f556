/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace: a live view of the query log's events, through a filter, for one who takes them in
 * time. It makes the engines report while it lasts, whether the log is on or not.
 */
#ifndef KB_QUERYLOG_TRACE_H
#define KB_QUERYLOG_TRACE_H

#include "control/config/parse.h"
#include "control/querylog/querylog.h"
#include "control/records/wirename.h"

#define KB_TRACES_MAX	4
#define KB_TRACE_EVENTS 1024 /* that wait to be taken; more are dropped and counted */

/* What an event must have; zeroed takes all. */
struct kb_trace_filter {
	struct kb_wire name; /* this name and all below it; len 0: any */
	bool has_type, has_rcode, has_engine;
	uint16_t type;
	unsigned int rcode;
	enum kb_engine engine;
	struct kb_cidr client; /* addr.family 0: any */
	uint32_t every;	       /* one query in so many; 0: all */
};

/* Takes a word KEY=VALUE into the filter. 0, or -EINVAL with one line in err. */
int kb_trace_filter_word(struct kb_trace_filter *f, const char *word, char *err, size_t err_size);
bool kb_trace_filter_takes(const struct kb_trace_filter *f, const struct kb_event *e);

struct kb_trace;

/* Main thread, as is all below. 0, -EAGAIN when there are KB_TRACES_MAX already, or another
 * -errno. */
int kb_trace_new(struct kb_querylog *log, const struct kb_trace_filter *filter,
		 struct kb_trace **ret_trace);
/* The next event: 1, or 0 when there is none yet. */
int kb_trace_next(struct kb_trace *trace, struct kb_event *ret_event);
/* Events that found KB_TRACE_EVENTS others waiting. */
uint64_t kb_trace_dropped(const struct kb_trace *trace);
void kb_trace_free(struct kb_trace *trace);

#endif
