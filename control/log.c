/* SPDX-License-Identifier: Apache-2.0 */
#include "control/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

const char *const kb_log_level_names[KB_LOG_LEVELS + 1] = {"error", "warn", "info", "debug", NULL};

/* Of syslog(3); in sd-daemon(3) journald reads the same numbers off the front of a line. */
static const int priorities[KB_LOG_LEVELS] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

static _Atomic int max_level = KB_LOG_INFO;
static atomic_uint log_targets = KB_LOG_TO_STDERR;

void kb_log_set_targets(unsigned int targets)
{
	if (targets & KB_LOG_TO_SYSLOG)
		openlog("kbdnsd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	atomic_store_explicit(&log_targets, targets, memory_order_relaxed);
}

void kb_log_set_level(enum kb_log_level level)
{
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

bool kb_log_wants(enum kb_log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

/* Under journald the journal knows the time: the line starts with "<priority>".
 * Elsewhere: "2026-01-31T12:34:56.789Z warn: ". */
static size_t put_prefix(char *line, size_t size, enum kb_log_level level)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	if (getenv("JOURNAL_STREAM"))
		return (size_t)snprintf(line, size, "<%d>", priorities[level]);
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, size - n, ".%03ldZ %s: ", ts.tv_nsec / 1000000,
				    kb_log_level_names[level]);
}

/* Copies text with control characters escaped; returns the new length of line. */
static size_t put_escaped(char *line, size_t len, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (; *text && len + 5 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c != 0x7f) {
			line[len++] = (char)c;
			continue;
		}
		if (c == '\n' && !text[1]) /* messages of libraries end in one */
			break;
		line[len++] = '\\';
		line[len++] = 'x';
		line[len++] = hex[c >> 4];
		line[len++] = hex[c & 15];
	}
	return len;
}

void kb_logv(enum kb_log_level level, const char *format, va_list ap)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64];
	unsigned int targets = atomic_load_explicit(&log_targets, memory_order_relaxed);
	int saved_errno = errno;
	size_t prefix, len;

	if (!kb_log_wants(level))
		return;
	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		return;
	prefix = put_prefix(line, sizeof(line), level);
	len = put_escaped(line, prefix, sizeof(line) - 1, text);
	if (targets & KB_LOG_TO_SYSLOG)
		syslog(priorities[level], "%.*s", (int)(len - prefix), line + prefix);
	line[len++] = '\n';
	if ((targets & KB_LOG_TO_STDERR) && write(STDERR_FILENO, line, len) < 0) {
		/* There is no better place to say so. */
	}
	errno = saved_errno;
}

void kb_log(enum kb_log_level level, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	kb_logv(level, format, ap);
	va_end(ap);
}

bool kb_log_limit_pass(struct kb_log_limit *limit, uint32_t burst, uint32_t period_s,
		       uint32_t *ret_suppressed)
{
	struct timespec ts;
	uint64_t now_ms;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	/* + 1: a start of 0 means "never". */
	now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + 1;
	if (!limit->period_start_ms || now_ms - limit->period_start_ms >= period_s * 1000ULL) {
		limit->period_start_ms = now_ms;
		limit->passed = 0;
	}
	if (atomic_fetch_add(&limit->passed, 1) >= burst) {
		limit->suppressed++;
		return false;
	}
	*ret_suppressed = atomic_exchange(&limit->suppressed, 0);
	return true;
}
