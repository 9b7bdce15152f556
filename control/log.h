/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per message on standard error, as journald and container
 * runtimes want it; a daemon in the background has syslog(3) instead. Everything, messages
 * of libraries included, goes through kb_logv(). Any thread may log; a line is written by
 * one write().
 *
 * Names from the API server and from packets end up here, so control characters
 * are written as escapes: a line of input never becomes two lines of log.
 */
#ifndef KB_LOG_H
#define KB_LOG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum kb_log_level { KB_LOG_ERROR, KB_LOG_WARN, KB_LOG_INFO, KB_LOG_DEBUG, KB_LOG_LEVELS };

/* "error", "warn", "info", "debug": the words of --log-level, in the enum's order. */
extern const char *const kb_log_level_names[KB_LOG_LEVELS + 1];

/* Where messages go, KB_LOG_TO_STDERR until this is called. syslog(3): facility daemon, name
 * kbdnsd. */
#define KB_LOG_TO_STDERR 1U
#define KB_LOG_TO_SYSLOG 2U
void kb_log_set_targets(unsigned int targets);

void kb_log_set_level(enum kb_log_level level);
bool kb_log_wants(enum kb_log_level level);

void kb_logv(enum kb_log_level level, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));
void kb_log(enum kb_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define kb_log_error(...) kb_log(KB_LOG_ERROR, __VA_ARGS__)
#define kb_log_warn(...)  kb_log(KB_LOG_WARN, __VA_ARGS__)
#define kb_log_info(...)  kb_log(KB_LOG_INFO, __VA_ARGS__)
#define kb_log_debug(...)                                  \
	do {                                               \
		if (kb_log_wants(KB_LOG_DEBUG))            \
			kb_log(KB_LOG_DEBUG, __VA_ARGS__); \
	} while (0)

/* Logs the first time only that this place is reached. */
#define kb_log_once(level, ...)                                    \
	do {                                                       \
		static atomic_flag kb_log_done = ATOMIC_FLAG_INIT; \
		if (!atomic_flag_test_and_set(&kb_log_done))       \
			kb_log(level, __VA_ARGS__);                \
	} while (0)

/* Lets `burst` messages pass in each period and counts the rest. Zeroed at start. */
struct kb_log_limit {
	_Atomic uint64_t period_start_ms;
	_Atomic uint32_t passed, suppressed;
};

/* True when a message may be logged now; then ret_suppressed tells how many were not
 * since the last one that was. */
bool kb_log_limit_pass(struct kb_log_limit *limit, uint32_t burst, uint32_t period_s,
		       uint32_t *ret_suppressed);

/* At most `burst` messages from this place each ten seconds. */
#define kb_log_limited(level, burst, ...)                                                   \
	do {                                                                                \
		static struct kb_log_limit kb_log_lim;                                      \
		uint32_t kb_log_lost;                                                       \
		if (kb_log_wants(level) &&                                                  \
		    kb_log_limit_pass(&kb_log_lim, burst, 10, &kb_log_lost)) {              \
			if (kb_log_lost)                                                    \
				kb_log(level, "(%u messages like the next one suppressed)", \
				       kb_log_lost);                                        \
			kb_log(level, __VA_ARGS__);                                         \
		}                                                                           \
	} while (0)

#endif
