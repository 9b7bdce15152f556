/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot reader of snapshot.h. */
#include "control/kube/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/kube/json.h"
#include "control/kube/json_split.h"

enum { PIECE = 64 << 10 };

struct pass {
	struct kb_object_parser *parser; /* borrowed */
	const bool *want;		 /* borrowed, KB_KIND_MAX of them */
	const struct kb_sink *sink;	 /* borrowed; NULL in the first pass */
	struct kb_snapshot_counts counts;
	uint64_t hash; /* of all bytes read */
	unsigned lists;
	const char *why; /* what is wrong with the file, static */
	uint64_t where;
};

static int reject(struct pass *pass, uint64_t where, const char *why)
{
	pass->why = why;
	pass->where = where;
	return -EBADMSG;
}

static void unnamed(struct pass *pass, uint64_t offset, const char *why)
{
	if (!pass->counts.unnamed++)
		snprintf(pass->counts.note, sizeof(pass->counts.note),
			 "the object at byte %llu was skipped: %s", (unsigned long long)offset,
			 why);
}

static int take(struct pass *pass, const char *text, size_t len, uint64_t offset, const char *bad)
{
	struct kb_parsed parsed;
	int r;

	r = kb_object_parse(pass->parser, KB_JSON, KB_KIND_MAX, text, len, bad, &parsed);
	if (r < 0)
		return r;
	if (parsed.malformed && !bad) {
		const char *why = "not valid JSON";

		if (parsed.result == KB_PARSE_OBJECT && parsed.obj.bad)
			why = parsed.obj.bad;
		else if (parsed.result == KB_PARSE_UNNAMED)
			why = parsed.why;
		return reject(pass, offset + parsed.error_at, why);
	}
	if (parsed.obj.kind != KB_KIND_MAX && !pass->want[parsed.obj.kind])
		return 0;
	if (parsed.result == KB_PARSE_UNNAMED) {
		unnamed(pass, offset, parsed.why);
	} else if (parsed.result == KB_PARSE_OBJECT) {
		pass->counts.objects[parsed.obj.kind]++;
		pass->counts.bad[parsed.obj.kind] += parsed.obj.bad != NULL;
		if (pass->sink)
			pass->sink->apply(pass->sink->arg, &parsed.obj);
	}
	return 0;
}

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	return take(arg, text, len, offset, NULL);
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	return take(arg, head, len, offset, why);
}

static int on_field(void *arg, const char *key, const char *text, size_t len, uint64_t offset)
{
	const char *version, *next;
	struct pass *pass = arg;
	struct kb_json j;
	char *arena;
	bool ok;
	int r;

	arena = malloc(len + 1);
	if (!arena)
		return -ENOMEM;
	kb_json_init(&j, text, len, arena);
	ok = kb_json_skip(&j) && kb_json_finish(&j);
	free(arena);
	if (!ok)
		return reject(pass, offset + (uint64_t)(j.p - j.begin), j.error);
	if (strcmp(key, "metadata") != 0)
		return 0;
	r = kb_object_parse_list_meta(pass->parser, KB_JSON, text, len, &version, &next);
	if (r == -EBADMSG)
		return reject(pass, offset, "the list's metadata is not as it should be");
	if (!r && *next)
		return reject(pass, offset, "only a page of a list (metadata.continue is set)");
	return r;
}

static int on_document(void *arg, int has_items)
{
	struct pass *pass = arg;

	pass->lists += has_items != 0;
	return has_items ? 0 : -ENOMSG;
}

static const struct kb_split_ops split_ops = {
	.item = on_item,
	.field = on_field,
	.skipped = on_skipped,
	.document = on_document,
};

/* FNV-1a over words: tells whether both passes saw the same bytes. */
static uint64_t hash_bytes(uint64_t h, const char *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		h = (h ^ v) * 0x100000001b3ULL;
		h ^= h >> 32;
	}
	for (; n; p++, n--)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
	return h;
}

static int feed_file(struct pass *pass, int fd, struct kb_json_split *split, char *piece)
{
	ssize_t n;
	int r;

	while ((n = pread(fd, piece, PIECE, (off_t)pass->counts.bytes)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		pass->hash = hash_bytes(pass->hash, piece, (size_t)n);
		r = kb_json_split_feed(split, piece, (size_t)n);
		if (r == -ENOMSG)
			return reject(pass, pass->counts.bytes, "a document that is not a List");
		if (r == -EBADMSG && !pass->why)
			return reject(pass, kb_json_split_error_offset(split),
				      kb_json_split_error(split));
		if (r < 0)
			return r;
		pass->counts.bytes += (uint64_t)n;
	}
	if (kb_json_split_finish(split) < 0)
		return reject(pass, pass->counts.bytes, kb_json_split_error(split));
	if (!pass->lists)
		return reject(pass, pass->counts.bytes, "no List in the file");
	return 0;
}

static int read_file(struct pass *pass, int fd)
{
	struct kb_json_split *split = NULL;
	char *piece;
	int r;

	piece = malloc(PIECE);
	if (!piece)
		return -ENOMEM;
	r = kb_json_split_new(KB_SPLIT_LIST, 0, &split_ops, pass, &split);
	if (!r)
		r = feed_file(pass, fd, split, piece);
	kb_json_split_free(split);
	free(piece);
	return r;
}

/* The line and column of a byte, both from 1. */
static void find_line(int fd, uint64_t where, unsigned long *ret_line, unsigned long *ret_column)
{
	unsigned long line = 1, column = 1;
	char piece[4096];
	uint64_t at = 0;

	while (at < where) {
		ssize_t n = pread(fd, piece, sizeof(piece), (off_t)at);

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n && at < where; i++, at++) {
			column++;
			if (piece[i] == '\n') {
				line++;
				column = 1;
			}
		}
	}
	*ret_line = line;
	*ret_column = column;
}

static void explain(const struct pass *pass, const char *path, int fd, int r, char *err,
		    size_t err_size)
{
	unsigned long line, column;

	if (!pass->why) {
		snprintf(err, err_size, "%s: %s", path, strerror(-r));
		return;
	}
	find_line(fd, pass->where, &line, &column);
	snprintf(err, err_size, "%s: line %lu column %lu (byte %llu): %s", path, line, column,
		 (unsigned long long)pass->where, pass->why);
}

static void for_each_kind(const struct pass *pass, void (*call)(void *arg, enum kb_kind kind))
{
	for (int k = 0; k < KB_KIND_MAX; k++) {
		if (pass->want[k])
			call(pass->sink->arg, (enum kb_kind)k);
	}
}

static int open_file(const char *path, char *err, size_t err_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = fd < 0 ? -errno : 0;
	struct stat st;

	if (!r && fstat(fd, &st) < 0)
		r = -errno;
	if (!r && !S_ISREG(st.st_mode))
		r = -EINVAL;
	if (!r)
		return fd;
	snprintf(err, err_size, "%s: %s", path, r == -EINVAL ? "not a regular file" : strerror(-r));
	if (fd >= 0)
		close(fd);
	return r;
}

int kb_snapshot_read(const char *path, struct kb_object_parser *parser,
		     const bool want[KB_KIND_MAX], const struct kb_sink *sink,
		     struct kb_snapshot_counts *ret_counts, char *err, size_t err_size)
{
	struct pass check = {.parser = parser, .want = want};
	struct pass hand = {.parser = parser, .want = want, .sink = sink};
	int fd, r;

	fd = open_file(path, err, err_size);
	if (fd < 0)
		return fd;
	r = read_file(&check, fd);
	if (r < 0) {
		explain(&check, path, fd, r, err, err_size);
		close(fd);
		return r;
	}
	for_each_kind(&hand, sink->relist_begin);
	r = read_file(&hand, fd);
	if (!r && hand.hash != check.hash)
		r = -ESTALE;
	if (r < 0) {
		for_each_kind(&hand, sink->relist_abort);
		snprintf(err, err_size, "%s: the file changed while it was read", path);
	} else {
		for_each_kind(&hand, sink->relist_end);
		*ret_counts = hand.counts;
	}
	close(fd);
	return r;
}
