/* SPDX-License-Identifier: Apache-2.0 */
/* The log's settings, and its thread. */
#include "control/querylog/querylog.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/log.h"
#include "control/querylog/format.h"
#include "control/querylog/private.h"
#include "control/querylog/random.h"

#define NO_FD (-2)
#define BATCH 64

/* --- the thread -------------------------------------------------------------- */

/* One in `thin`? */
static bool passes(struct kb_sampler *s, uint32_t thin)
{
	return !kb_sampler_skips(s, thin) && kb_sampler_take(s, thin, kb_random32());
}

static bool has_output(const struct kb_querylog *log)
{
	return log->output.fd >= 0 || log->tap.path;
}

static void write_event(struct kb_querylog *log, const struct kb_event *e)
{
	char line[KB_EVENT_LINE_MAX];
	struct kb_json_out o;

	if (!has_output(log) || !(kb_event_class_of(e) & log->out_classes) ||
	    !passes(&log->out_sampler, log->out_thin))
		return;
	if (log->tap.path) {
		kb_tap_event(&log->tap, e, log->wall_offset);
		return;
	}
	if (!log->out_json) {
		kb_output_line(&log->output, line, kb_event_line(e, log->wall_offset, line));
		return;
	}
	kb_json_out_init(&o, 8192);
	kb_json_out_open(&o, '{');
	kb_event_json(e, log->wall_offset, &o);
	kb_json_out_close(&o);
	if (kb_json_out_end(&o) == 0)
		kb_output_line(&log->output, o.text.buf, o.text.len);
	kb_json_out_fini(&o);
}

static void show_event(struct kb_querylog *log, const struct kb_event *e)
{
	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < KB_TRACES_MAX; i++) {
		struct kb_trace *t = log->traces[i];

		if (t && kb_trace_filter_takes(&t->filter, e) &&
		    passes(&t->sampler, (uint32_t)log->thin[i]) &&
		    !kb_event_queue_put(&t->queue, e))
			atomic_fetch_add(&t->dropped, 1);
	}
	pthread_mutex_unlock(&log->lock);
}

static void on_event(void *arg, const struct kb_event *e)
{
	write_event(arg, e);
	show_event(arg, e);
}

/* Takes over what the main thread has asked for. Returns whether to go on. */
static bool take_settings(struct kb_querylog *log)
{
	char *tap = NULL;
	int fd = NO_FD;
	bool stop;

	pthread_mutex_lock(&log->lock);
	stop = log->stop;
	if (log->changed) {
		fd = log->next_fd;
		tap = log->next_tap;
		log->next_fd = NO_FD;
		log->next_tap = NULL;
		log->out_json = log->next_json;
		log->out_thin = log->next_thin;
		log->out_classes = log->next_classes;
		log->changed = false;
	}
	pthread_mutex_unlock(&log->lock);
	if (fd != NO_FD && (kb_output_set(&log->output, fd) < 0 || kb_tap_set(&log->tap, tap) < 0))
		kb_log_error("query log: no memory");
	return !stop;
}

/* All that has been reported up to now. */
static void drain(struct kb_querylog *log)
{
	struct kb_event batch[BATCH];
	size_t n, seen = 0;

	log->wall_offset = kb_event_wall_offset();
	if (log->ring)
		kb_event_ring_read(log->ring);
	do {
		n = kb_event_queue_take(&log->queue, batch, BATCH);
		/* What was reported before a change goes where it went; but nowhere is no place,
		 * and what was reported behind the change belongs to the new one. */
		if (!has_output(log))
			take_settings(log);
		for (size_t i = 0; i < n; i++)
			on_event(log, &batch[i]);
		seen += n;
	} while (n == BATCH && seen < KB_QUERYLOG_QUEUE);
}

static void *run(void *arg)
{
	struct kb_querylog *log = arg;
	bool go_on = true;
	uint64_t n;

	while (go_on) {
		struct pollfd fds[2] = {{.fd = log->wake_fd, .events = POLLIN},
					{.fd = log->ring ? kb_event_ring_fd(log->ring) : -1,
					 .events = POLLIN}};

		poll(fds, 2, atomic_load(&log->classes) ? KB_QUERYLOG_POLL_MS : -1);
		if (fds[0].revents && read(log->wake_fd, &n, sizeof(n)) < 0)
			kb_log_debug("query log: %s", strerror(errno));
		if (!has_output(log))
			take_settings(log);
		drain(log);
		go_on = take_settings(log);
		kb_output_flush(&log->output);
		kb_tap_flush(&log->tap);
		atomic_store(&log->written, log->output.written + log->tap.written);
		atomic_store(&log->dropped_write, log->output.dropped + log->tap.dropped);
	}
	/* What has come while the last of it was read; nothing more does. */
	drain(log);
	kb_output_fini(&log->output);
	kb_tap_fini(&log->tap);
	return NULL;
}

int kb_querylog_start(struct kb_querylog *log)
{
	int r;

	if (log->running)
		return 0;
	if (!log->queue.size) {
		r = kb_event_queue_init(&log->queue, KB_QUERYLOG_QUEUE);
		if (r < 0)
			return r;
	}
	if (log->wake_fd < 0)
		log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (log->wake_fd < 0)
		return -errno;
	if (log->datapath && !log->ring) {
		r = kb_event_ring_open(log->datapath, on_event, log, &log->ring);
		if (r < 0)
			return r;
	}
	r = -pthread_create(&log->thread, NULL, run, log);
	log->running = r == 0;
	return r;
}

/* --- settings ---------------------------------------------------------------- */

void kb_querylog_apply(struct kb_querylog *log)
{
	uint32_t every = log->path ? log->log_every : UINT32_MAX;
	uint32_t classes = log->path ? log->log_classes : 0;

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < KB_TRACES_MAX; i++) {
		if (!log->traces[i])
			continue;
		classes = KB_EVENT_REPLIES | KB_EVENT_LEFT;
		if (log->traces[i]->filter.every < every)
			every = log->traces[i]->filter.every;
	}
	for (size_t i = 0; i < KB_TRACES_MAX; i++) {
		if (log->traces[i])
			log->thin[i] = log->traces[i]->filter.every / every;
	}
	log->next_json = log->json;
	log->next_thin = log->path ? log->log_every / every : 1;
	log->next_classes = log->path ? log->log_classes : 0;
	log->changed = true;
	pthread_mutex_unlock(&log->lock);
	atomic_store(&log->every, every);
	atomic_store(&log->classes, classes);
	if (log->table)
		kb_table_set_log(log->table, every, classes);
	kb_querylog_wake(log);
}

/* The thread's next output; one that it has not come to take is not needed any more. It is taken
 * together with the settings of kb_querylog_apply(), which follows: with a new output, but the
 * former classes, what is reported meanwhile would go nowhere. */
static void give_output(struct kb_querylog *log, int fd, char *tap)
{
	char *old_tap;
	int old;

	pthread_mutex_lock(&log->lock);
	old = log->next_fd;
	old_tap = log->next_tap;
	log->next_fd = fd;
	log->next_tap = tap;
	pthread_mutex_unlock(&log->lock);
	if (old > STDERR_FILENO)
		close(old);
	free(old_tap);
}

/* A descriptor, or -1 and the path of a socket, which is opened by the thread. 0 or -errno. */
static int open_output(const char *path, int *ret_fd, char **ret_tap, char *err, size_t err_size)
{
	const char *tap = kb_tap_path(path);
	int r;

	*ret_fd = -1;
	*ret_tap = NULL;
	if (tap) {
		r = kb_tap_check(tap);
		if (r == 0 && !(*ret_tap = strdup(tap)))
			r = -ENOMEM;
	} else {
		r = *ret_fd = kb_output_open(path);
	}
	if (r < 0)
		snprintf(err, err_size, "query log: %s: cannot be opened: %s%s, give a %s", path,
			 strerror(-r), r == -ENXIO ? " (a pipe that nobody reads)" : "",
			 tap ? "socket's path of 1 to 107 bytes" : "file that can be written");
	return r < 0 ? r : 0;
}

int kb_querylog_set(struct kb_querylog *log, const struct kb_querylog_settings *s, char *err,
		    size_t err_size)
{
	bool same = s->path && log->path && strcmp(s->path, log->path) == 0;
	char *path = NULL, *tap = NULL;
	int fd = -1, r;

	if (s->path && !same) {
		r = open_output(s->path, &fd, &tap, err, err_size);
		if (r < 0)
			return r;
		path = strdup(s->path);
		r = path ? kb_querylog_start(log) : -ENOMEM;
		if (r < 0) {
			snprintf(err, err_size, "query log: %s", strerror(-r));
			if (fd > STDERR_FILENO)
				close(fd);
			free(tap);
			free(path);
			return r;
		}
	}
	if (!same) {
		free(log->path);
		log->path = path;
		give_output(log, fd, tap);
	}
	log->json = s->json;
	log->log_every = s->every ? s->every : 1;
	log->log_classes = s->classes;
	kb_querylog_apply(log);
	return 0;
}

int kb_querylog_reopen(struct kb_querylog *log, char *err, size_t err_size)
{
	char *tap;
	int fd, r;

	if (!log->path)
		return 0;
	r = open_output(log->path, &fd, &tap, err, err_size);
	if (r < 0)
		return r;
	give_output(log, fd, tap);
	kb_querylog_apply(log);
	return 0;
}

void kb_querylog_stats(const struct kb_querylog *log, struct kb_querylog_stats *ret_stats)
{
	memset(ret_stats, 0, sizeof(*ret_stats));
	ret_stats->socket_events = atomic_load(&log->socket_events);
	ret_stats->written = atomic_load(&log->written);
	ret_stats->dropped_queue = atomic_load(&log->dropped_queue);
	ret_stats->dropped_write = atomic_load(&log->dropped_write);
	for (size_t i = 0; i < KB_TRACES_MAX; i++)
		ret_stats->traces += log->traces[i] != NULL;
	if (log->datapath)
		kb_datapath_log_stats(log->datapath, &ret_stats->packet_events,
				      &ret_stats->dropped_ring);
}

int kb_querylog_new(struct kb_datapath *datapath, struct kb_table *table,
		    struct kb_querylog **ret_log)
{
	struct kb_querylog *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->datapath = datapath;
	log->table = table;
	log->wake_fd = -1;
	log->next_fd = NO_FD;
	log->output.fd = -1;
	pthread_mutex_init(&log->lock, NULL);
	/* A table of an earlier run may have been left reporting. */
	kb_querylog_apply(log);
	*ret_log = log;
	return 0;
}

void kb_querylog_free(struct kb_querylog *log)
{
	if (!log)
		return;
	if (log->table)
		kb_table_set_log(log->table, 1, 0);
	if (log->running) {
		pthread_mutex_lock(&log->lock);
		log->stop = true;
		pthread_mutex_unlock(&log->lock);
		kb_querylog_wake(log);
		pthread_join(log->thread, NULL);
	}
	give_output(log, -1, NULL);
	kb_event_ring_close(log->ring);
	if (log->wake_fd >= 0)
		close(log->wake_fd);
	if (log->queue.size)
		kb_event_queue_fini(&log->queue);
	pthread_mutex_destroy(&log->lock);
	free(log->path);
	free(log);
}
