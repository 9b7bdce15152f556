/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The splitter of pb_split.h: a state machine over the bytes of tags and lengths
 * around the values; values themselves are counted off.
 */
#include "control/kube/pb_split.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/held.h"
#include "control/kube/pb.h"

enum {
	FRAME_LENGTH_BYTES = 4,
	MAGIC_BYTES = 4,
	/* Fields of Unknown and of every list. */
	UNKNOWN_TYPE = 1,
	UNKNOWN_RAW = 2,
	LIST_METADATA = 1,
	LIST_ITEM = 2,
};

static const unsigned char magic[MAGIC_BYTES] = {'k', '8', 's', 0};

enum state {
	S_FRAME,  /* in a frame's length */
	S_MAGIC,  /* in the document's first bytes */
	S_TAG,	  /* in a field's tag */
	S_NUMBER, /* in a varint field, which is of no interest */
	S_LENGTH, /* in the length of a field */
	S_SKIP,	  /* within a field of no interest */
	S_VALUE,  /* within an item or a field that is handed over */
};

/* What the value under way is. */
enum value { ITEM, METADATA, TYPE };

struct kb_pb_split {
	const struct kb_split_ops *ops; /* borrowed, static */
	void *arg;			/* borrowed */
	enum kb_split_mode mode;
	enum state state;
	uint64_t fed; /* bytes taken before the one being looked at */

	uint64_t number; /* the length, tag or varint that is being put together */
	unsigned n;	 /* its bytes, or bits, so far */
	uint32_t field;	 /* the field whose length is read */
	uint64_t left;	 /* of the value, or of what is skipped */

	bool in_list;	    /* within the list message, */
	uint64_t list_left; /* of which so many bytes are to come */
	bool seen_list, is_list;

	enum value value;
	uint64_t start; /* offset of its first byte */
	struct kb_held held;

	const char *error;
};

void kb_pb_split_reset(struct kb_pb_split *s, enum kb_split_mode mode)
{
	kb_held_clear(&s->held);
	s->mode = mode;
	s->state = mode == KB_SPLIT_EVENTS ? S_FRAME : S_MAGIC;
	s->fed = s->number = 0;
	s->n = 0;
	s->in_list = s->seen_list = s->is_list = false;
	s->error = NULL;
}

int kb_pb_split_new(enum kb_split_mode mode, size_t max, const struct kb_split_ops *ops, void *arg,
		    struct kb_pb_split **ret_split)
{
	struct kb_pb_split *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	s->held.max = max ? max : KB_SPLIT_OBJECT_MAX;
	kb_pb_split_reset(s, mode);
	*ret_split = s;
	return 0;
}

void kb_pb_split_free(struct kb_pb_split *s)
{
	if (!s)
		return;
	kb_held_free(&s->held);
	free(s);
}

const char *kb_pb_split_error(const struct kb_pb_split *s)
{
	return s->error ? s->error : "";
}

size_t kb_pb_split_memory(const struct kb_pb_split *s)
{
	return s->held.cap;
}

static int broken(struct kb_pb_split *s, const char *why)
{
	s->error = why;
	return -EBADMSG;
}

static void expect(struct kb_pb_split *s, enum state state)
{
	s->state = state;
	s->number = 0;
	s->n = 0;
}

/* Between two values. */
static void next_value(struct kb_pb_split *s)
{
	expect(s, s->mode == KB_SPLIT_EVENTS ? S_FRAME : S_TAG);
}

static void read_type(struct kb_pb_split *s, const char *text, size_t len)
{
	struct kb_pb_field f;
	struct kb_pb m;

	kb_pb_init(&m, text, len);
	while (kb_pb_next(&m, &f)) {
		if (f.number == 2 && f.type == KB_PB_BYTES)
			s->is_list = f.len > 4 && !memcmp(f.bytes + f.len - 4, "List", 4);
	}
}

static int end_value(struct kb_pb_split *s, const char *bytes, size_t n)
{
	const char *text;
	size_t len;
	int r;

	r = kb_held_end(&s->held, bytes, n, &text, &len);
	if (r < 0)
		return r;
	next_value(s);
	if (s->value == ITEM && s->held.drop)
		r = s->ops->skipped(s->arg, text, len, s->start, s->held.drop);
	else if (s->value == ITEM)
		r = s->ops->item(s->arg, text, len, s->start);
	else if (s->value == TYPE)
		read_type(s, text, len);
	else if (!s->held.drop && s->ops->field)
		r = s->ops->field(s->arg, "metadata", text, len, s->start);
	kb_held_clear(&s->held);
	return r;
}

static int begin_value(struct kb_pb_split *s, enum value value, uint64_t len)
{
	s->state = S_VALUE;
	s->value = value;
	s->left = len;
	s->start = s->fed;
	kb_held_begin(&s->held);
	return len ? 0 : end_value(s, "", 0);
}

static void end_list(struct kb_pb_split *s)
{
	s->in_list = false;
	s->seen_list = true;
}

static int begin_field(struct kb_pb_split *s, uint64_t len)
{
	if (s->in_list) {
		if (len > s->list_left)
			return broken(s, "an item is longer than its list");
		s->list_left -= len;
		if (s->field == LIST_METADATA || s->field == LIST_ITEM)
			return begin_value(s, s->field == LIST_ITEM ? ITEM : METADATA, len);
	} else if (s->field == UNKNOWN_RAW && !s->seen_list) {
		s->in_list = true;
		s->list_left = len;
		next_value(s);
		return 0;
	} else if (s->field == UNKNOWN_TYPE) {
		return begin_value(s, TYPE, len);
	}
	s->left = len;
	s->state = S_SKIP;
	if (!len)
		next_value(s);
	return 0;
}

static int end_tag(struct kb_pb_split *s)
{
	enum kb_pb_type type;

	if (!kb_pb_tag(s->number, &s->field, &type))
		return broken(s, "not a protobuf field");
	if (type == KB_PB_VARINT) {
		expect(s, S_NUMBER);
	} else if (type == KB_PB_BYTES) {
		expect(s, S_LENGTH);
	} else {
		s->field = 0; /* of no interest */
		return begin_field(s, type == KB_PB_FIXED32 ? 4 : 8);
	}
	return 0;
}

/* A byte of a varint: a tag, a length, or a number. */
static int varint_byte(struct kb_pb_split *s, unsigned char c)
{
	int r = kb_pb_varint_byte(&s->number, &s->n, c);

	if (r < 0)
		return broken(s, "a number of more than 64 bits");
	if (s->in_list && !s->list_left--)
		return broken(s, "a field is longer than its list");
	if (!r)
		return 0;
	if (s->state == S_TAG)
		return end_tag(s);
	if (s->state == S_LENGTH)
		return begin_field(s, s->number);
	next_value(s);
	return 0;
}

static int frame_byte(struct kb_pb_split *s, unsigned char c)
{
	if (s->state == S_MAGIC) {
		if (c != magic[s->n])
			return broken(s, "not Kubernetes' protobuf");
		if (++s->n == MAGIC_BYTES)
			next_value(s);
		return 0;
	}
	if (s->state == S_FRAME) {
		s->number = s->number << 8 | c;
		return ++s->n == FRAME_LENGTH_BYTES ? begin_value(s, ITEM, s->number) : 0;
	}
	return varint_byte(s, c);
}

/* Counts off what is there of a value or of what is skipped. */
static int counted(struct kb_pb_split *s, const char *bytes, size_t n)
{
	s->left -= n;
	if (s->state == S_SKIP) {
		if (!s->left)
			next_value(s);
		return 0;
	}
	return s->left ? kb_held_add(&s->held, bytes, n) : end_value(s, bytes, n);
}

int kb_pb_split_feed(struct kb_pb_split *s, const char *bytes, size_t len)
{
	const char *p = bytes, *end = bytes + len;
	int r = 0;

	while (!r && p < end) {
		size_t n = 1;

		if (s->state == S_VALUE || s->state == S_SKIP) {
			n = s->left < (uint64_t)(end - p) ? (size_t)s->left : (size_t)(end - p);
			s->fed += n;
			r = counted(s, p, n);
		} else {
			s->fed++;
			r = frame_byte(s, (unsigned char)*p);
		}
		p += n;
		if (s->in_list && !s->list_left && s->state == S_TAG && !s->n)
			end_list(s);
	}
	return r;
}

int kb_pb_split_finish(struct kb_pb_split *s)
{
	if (s->in_list || s->n || (s->state != S_FRAME && s->state != S_TAG))
		return broken(s, "the stream ends within a message");
	if (s->mode == KB_SPLIT_LIST && s->ops->document)
		return s->ops->document(s->arg, s->seen_list && s->is_list);
	return 0;
}
