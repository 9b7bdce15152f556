/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query log's connection to a reader of dnstap: frames over a UNIX stream socket (Frame
 * Streams, libfstrm, both ways: the reader has to accept the content type).
 *
 * Nothing waits for a reader but the log's thread, and it at most KB_OUTPUT_WAIT_MS for each batch
 * of frames, each connection and its end: after that the connection is given up. While there is
 * none, frames are dropped, and a new one is tried every KB_TAP_RETRY_MS. One thread.
 */
#ifndef KB_QUERYLOG_TAP_H
#define KB_QUERYLOG_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dataplane/core/event.h"

#define KB_TAP_PREFIX	"dnstap:" /* of a socket's path where a file's is expected */
#define KB_TAP_RETRY_MS 1000
#define KB_TAP_BATCH	64 /* frames; fstrm_writer_writev takes 128 at once */

struct fstrm_writer;

struct kb_tap {
	char *path;		     /* owned; NULL: none */
	struct fstrm_writer *writer; /* owned; NULL: not connected */
	int fd;			     /* the connection's, of use while writer is there */
	int64_t deadline_ns;	     /* of what is being done with it, CLOCK_MONOTONIC */
	int64_t retry_ns;	     /* when to connect again */
	int error;		     /* why the connection is of no more use, errno; 0: it is */
	bool told;		     /* that there is no reader */
	char identity[65];
	uint8_t *buf; /* owned: the batch */
	size_t len, n;
	struct iovec frames[KB_TAP_BATCH];
	uint64_t written, dropped; /* frames */
};

/* The socket's path if this is one; NULL if it is a file's. */
const char *kb_tap_path(const char *target);
/* Can it be the path of a socket? 0, -EINVAL (empty), -ENAMETOOLONG. */
int kb_tap_check(const char *path);

/* Takes over path (NULL: none) after the former one, whose frames are written first. 0 or
 * -ENOMEM. A reader that is not there is no error. `tap` is zeroed at first. */
int kb_tap_set(struct kb_tap *tap, char *path);
void kb_tap_event(struct kb_tap *tap, const struct kb_event *e, int64_t wall_offset);
/* Also connects, if it is time to. */
void kb_tap_flush(struct kb_tap *tap);
void kb_tap_fini(struct kb_tap *tap);

#endif
