/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the query log's lines go: a file that is appended to, a pipe, standard output. Lines are
 * collected and written together. What cannot be written (a disk that is full, a pipe whose reader
 * has been behind for KB_OUTPUT_WAIT_MS) is dropped, by whole lines, and counted. One thread.
 */
#ifndef KB_QUERYLOG_OUTPUT_H
#define KB_QUERYLOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KB_OUTPUT_WAIT_MS 100

struct kb_output {
	int fd;	      /* owned but for standard output, -1: none */
	bool is_file; /* never makes a writer wait for a reader */
	char *buf;    /* owned */
	size_t len;
	uint32_t lines;		   /* in buf */
	uint64_t written, dropped; /* lines */
};

/* Opens for appending; made with mode 0640 if it is not there; "-" is standard output. The
 * descriptor, or -errno. Any thread. */
int kb_output_open(const char *path);

/* Takes over fd (-1: none) after the former one, whose lines are written first. 0 or -ENOMEM. */
int kb_output_set(struct kb_output *out, int fd);
/* A line with its newline. */
void kb_output_line(struct kb_output *out, const char *line, size_t len);
void kb_output_flush(struct kb_output *out);
void kb_output_fini(struct kb_output *out);

#endif
