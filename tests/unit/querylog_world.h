/* SPDX-License-Identifier: Apache-2.0 */
/* Query logs and events for tests of them; include it behind cmocka. */
#ifndef KB_TESTS_QUERYLOG_WORLD_H
#define KB_TESTS_QUERYLOG_WORLD_H

#include <arpa/inet.h>
#include <string.h>

#include "control/querylog/querylog.h"

/* How long a log's thread may take for what it does at once. */
#define WAIT_MS 20000

static char err[256];

/* A query of 10.1.2.3 over UDP that tc has answered with one record; `name` in wire form. */
static inline struct kb_event event_of(const uint8_t *name, size_t len, uint16_t type)
{
	struct kb_event e = {
		.time_ns = 1500000000,
		.sport = htons(40212),
		.dport = htons(53),
		.id = htons(54321),
		.qtype = htons(type),
		.qclass = htons(1),
		.query_len = 41,
		.reply_len = 106,
		.an = 1,
		.flags2 = 0x85,
		.engine = KB_ENGINE_TC,
	};

	e.src[1] = (uint64_t)inet_addr("10.1.2.3") << 32 | 0xffff0000;
	e.dst[1] = (uint64_t)inet_addr("10.96.0.10") << 32 | 0xffff0000;
	memcpy(e.name, name, len);
	e.name_len = (uint8_t)len;
	return e;
}

static inline struct kb_querylog *log_new(const char *to, bool json, uint32_t every,
					  uint32_t classes)
{
	struct kb_querylog_settings s = {to, json, every, classes};
	struct kb_querylog *log;

	assert_int_equal(kb_querylog_new(NULL, NULL, &log), 0);
	if (kb_querylog_set(log, &s, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	return log;
}

static inline struct kb_querylog_stats stats_of(const struct kb_querylog *log)
{
	struct kb_querylog_stats s;

	kb_querylog_stats(log, &s);
	return s;
}

#endif
