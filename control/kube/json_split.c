/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The splitter of json_split.h: a state machine over the bytes of the frame
 * around the values, and a fast scan within a value.
 */
#include "control/kube/json_split.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/held.h"
#include "control/kube/json.h"

enum {
	KEY_MAX = 63,		 /* longer keys are of no interest, and cut */
	RUNAWAY_DEPTH = 1 << 20, /* nothing that deep is worth following */
};

enum state {
	S_TOP,	     /* between documents */
	S_FIRST_KEY, /* a key or the closing brace */
	S_NEXT_KEY,  /* a key, after a comma */
	S_IN_KEY,
	S_COLON,
	S_MEMBER,	/* a member's value */
	S_AFTER_MEMBER, /* a comma or the closing brace */
	S_FIRST_ITEM,	/* an item or the closing bracket */
	S_NEXT_ITEM,	/* an item, after a comma */
	S_AFTER_ITEM,	/* a comma or the closing bracket */
	S_VALUE,	/* within an item's or a field's value */
	S_RESYNC,	/* events only: up to the end of the line */
};

struct kb_json_split {
	const struct kb_split_ops *ops; /* borrowed, static */
	void *arg;			/* borrowed */
	enum kb_split_mode mode;
	enum state state;
	uint64_t fed; /* bytes of earlier calls */

	/* the list document */
	char key[KEY_MAX + 1];
	size_t key_len;
	bool key_escape; /* after a backslash */
	bool key_odd;	 /* has escapes: none of the keys we look for */
	bool has_items;

	/* the value under way */
	bool is_item, in_string, escape, scalar;
	uint32_t depth;
	uint64_t brackets[(KB_JSON_DEPTH_MAX + 63) / 64]; /* bit set: '[' at that depth */
	uint64_t start;					  /* offset of its first byte */
	struct kb_held held;				  /* its bytes from earlier calls */

	const char *error;
	uint64_t error_offset;
};

int kb_json_split_new(enum kb_split_mode mode, size_t max, const struct kb_split_ops *ops,
		      void *arg, struct kb_json_split **ret_split)
{
	struct kb_json_split *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ops = ops;
	s->arg = arg;
	s->mode = mode;
	s->held.max = max ? max : KB_SPLIT_OBJECT_MAX;
	*ret_split = s;
	return 0;
}

void kb_json_split_reset(struct kb_json_split *s, enum kb_split_mode mode)
{
	kb_held_clear(&s->held);
	s->mode = mode;
	s->state = S_TOP;
	s->fed = 0;
	s->error = NULL;
	s->error_offset = 0;
}

void kb_json_split_free(struct kb_json_split *s)
{
	if (!s)
		return;
	kb_held_free(&s->held);
	free(s);
}

const char *kb_json_split_error(const struct kb_json_split *s)
{
	return s->error ? s->error : "";
}

uint64_t kb_json_split_error_offset(const struct kb_json_split *s)
{
	return s->error_offset;
}

size_t kb_json_split_memory(const struct kb_json_split *s)
{
	return s->held.cap;
}

static void begin_value(struct kb_json_split *s, bool is_item, uint64_t offset)
{
	s->state = S_VALUE;
	s->is_item = is_item;
	s->in_string = s->escape = s->scalar = false;
	s->depth = 0;
	s->start = offset;
	kb_held_begin(&s->held);
}

/* The value is complete: from the buffer and [from, to), or from the latter only. */
static int end_value(struct kb_json_split *s, const char *from, const char *to)
{
	const char *text;
	size_t len;
	int r;

	r = kb_held_end(&s->held, from, (size_t)(to - from), &text, &len);
	if (r < 0)
		return r;
	if (s->mode == KB_SPLIT_EVENTS)
		s->state = S_TOP;
	else
		s->state = s->is_item ? S_AFTER_ITEM : S_AFTER_MEMBER;
	if (s->is_item && s->held.drop)
		r = s->ops->skipped(s->arg, text, len, s->start, s->held.drop);
	else if (s->is_item)
		r = s->ops->item(s->arg, text, len, s->start);
	else if (!s->held.drop && s->ops->field)
		r = s->ops->field(s->arg, s->key, text, len, s->start);
	kb_held_clear(&s->held);
	return r;
}

static bool open_bracket(struct kb_json_split *s, char c)
{
	if (s->depth < KB_JSON_DEPTH_MAX) {
		uint64_t bit = 1ULL << (s->depth % 64);

		if (c == '[')
			s->brackets[s->depth / 64] |= bit;
		else
			s->brackets[s->depth / 64] &= ~bit;
	} else if (!s->held.drop) {
		s->held.drop = "nested too deeply";
	}
	return ++s->depth < RUNAWAY_DEPTH;
}

/* Beyond the depth limit the brackets' kinds are no longer known, only counted. */
static bool close_bracket(struct kb_json_split *s, char c)
{
	s->depth--;
	if (s->depth >= KB_JSON_DEPTH_MAX)
		return true;
	return ((s->brackets[s->depth / 64] >> (s->depth % 64)) & 1) == (c == ']');
}

static const char *broken(struct kb_json_split *s, const char *at, const char *why)
{
	s->error = why;
	return at;
}

/* Follows the value from p; *ret_done when it ended, just before the byte that is
 * returned. s->error is set when it cannot be followed. */
static const char *scan_value(struct kb_json_split *s, const char *p, const char *end,
			      bool *ret_done)
{
	*ret_done = false;
	while (p < end) {
		char c;

		if (s->escape) {
			s->escape = false;
			p++;
			continue;
		}
		if (s->in_string) {
			p = kb_json_scan_string(p, end);
			if (p == end)
				break;
			if (*p == '\\') {
				s->escape = true;
			} else if (*p == '"') {
				s->in_string = false;
				if (!s->depth)
					*ret_done = true;
			} else {
				return broken(s, p, "control character in a string");
			}
			p++;
			if (*ret_done)
				return p;
			continue;
		}
		c = *p;
		if (s->scalar) {
			if (c == ',' || c == '}' || c == ']' || (unsigned char)c <= ' ') {
				*ret_done = true;
				return p;
			}
			p++;
			continue;
		}
		if (c == '"') {
			s->in_string = true;
		} else if (c == '{' || c == '[') {
			if (!open_bracket(s, c))
				return broken(s, p, "nested far too deeply");
		} else if (c == '}' || c == ']') {
			if (!s->depth || !close_bracket(s, c))
				return broken(s, p, "brackets do not match");
			if (!s->depth) {
				*ret_done = true;
				return p + 1;
			}
		} else if (!s->depth) {
			s->scalar = true;
		}
		p++;
	}
	return p;
}

static int bad_frame(struct kb_json_split *s, uint64_t offset, const char *why)
{
	s->error = why;
	s->error_offset = offset;
	return -EBADMSG;
}

/* One step within a value; *p moves past what was taken. */
static int step_value(struct kb_json_split *s, const char *base, const char **p, const char *end)
{
	const char *from = *p, *to;
	uint64_t offset;
	bool done;
	int r;

	to = scan_value(s, from, end, &done);
	*p = to;
	if (done)
		return end_value(s, from, to);
	if (!s->error)
		return kb_held_add(&s->held, from, (size_t)(to - from));

	offset = s->fed + (uint64_t)(to - base);
	if (s->mode != KB_SPLIT_EVENTS)
		return bad_frame(s, offset, s->error);
	/* The rest of this line is lost, the next one is a new event. */
	s->held.drop = s->error;
	s->error = NULL;
	r = end_value(s, from, to);
	s->state = S_RESYNC;
	return r;
}

static void key_byte(struct kb_json_split *s, char c)
{
	if (s->key_escape) {
		s->key_escape = false;
	} else if (c == '\\') {
		s->key_escape = s->key_odd = true;
	} else if (c == '"') {
		s->key[s->key_odd ? 0 : s->key_len] = 0;
		s->state = S_COLON;
	} else if (s->key_len < KEY_MAX) {
		s->key[s->key_len++] = c;
	}
}

static void begin_member(struct kb_json_split *s, char c, uint64_t offset, bool *ret_take)
{
	bool items = !strcmp(s->key, "items");

	s->has_items |= items && (c == '[' || c == 'n');
	if (items && c == '[') {
		s->state = S_FIRST_ITEM;
		*ret_take = true;
		return;
	}
	begin_value(s, false, offset);
}

/* One byte of the frame; *ret_take is false when the byte begins a value, which
 * is then scanned from that byte on. */
static int step_frame(struct kb_json_split *s, char c, uint64_t offset, bool *ret_take)
{
	*ret_take = true;
	if (s->state == S_IN_KEY) {
		key_byte(s, c);
		return 0;
	}
	if (s->state == S_RESYNC) {
		if (c == '\n')
			s->state = S_TOP;
		return 0;
	}
	if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
		return 0;

	switch (s->state) {
	case S_TOP:
		if (c != '{') {
			if (s->mode != KB_SPLIT_EVENTS)
				return bad_frame(s, offset, "an object expected");
			s->state = S_RESYNC;
			return s->ops->skipped(s->arg, &c, 1, offset, "not an object");
		}
		if (s->mode == KB_SPLIT_EVENTS) {
			begin_value(s, true, offset);
			*ret_take = false;
			return 0;
		}
		s->state = S_FIRST_KEY;
		s->has_items = false;
		return 0;
	case S_FIRST_KEY:
	case S_NEXT_KEY:
		if (c == '"') {
			s->state = S_IN_KEY;
			s->key_len = 0;
			s->key_escape = s->key_odd = false;
			return 0;
		}
		if (c == '}' && s->state == S_FIRST_KEY)
			break;
		return bad_frame(s, offset, "a key expected");
	case S_COLON:
		if (c != ':')
			return bad_frame(s, offset, "a colon expected");
		s->state = S_MEMBER;
		return 0;
	case S_MEMBER:
		if (c == ',' || c == '}' || c == ']' || c == ':')
			return bad_frame(s, offset, "a value expected");
		*ret_take = false;
		begin_member(s, c, offset, ret_take);
		return 0;
	case S_AFTER_MEMBER:
		if (c == ',') {
			s->state = S_NEXT_KEY;
			return 0;
		}
		if (c == '}')
			break;
		return bad_frame(s, offset, "a comma or a closing brace expected");
	case S_FIRST_ITEM:
		if (c == ']') {
			s->state = S_AFTER_MEMBER;
			return 0;
		}
		/* fall through */
	case S_NEXT_ITEM:
		if (c == ']' || c == ',' || c == '}')
			return bad_frame(s, offset, "an item expected");
		begin_value(s, true, offset);
		*ret_take = false;
		return 0;
	case S_AFTER_ITEM:
		if (c != ',' && c != ']')
			return bad_frame(s, offset, "a comma or a closing bracket expected");
		s->state = c == ',' ? S_NEXT_ITEM : S_AFTER_MEMBER;
		return 0;
	default:
		return 0;
	}
	/* the document's closing brace */
	s->state = S_TOP;
	return s->ops->document ? s->ops->document(s->arg, s->has_items) : 0;
}

int kb_json_split_feed(struct kb_json_split *s, const char *bytes, size_t len)
{
	const char *p = bytes, *end = bytes + len;
	bool take;
	int r;

	while (p < end) {
		if (s->state == S_VALUE) {
			r = step_value(s, bytes, &p, end);
		} else {
			r = step_frame(s, *p, s->fed + (uint64_t)(p - bytes), &take);
			p += take;
		}
		if (r)
			return r;
	}
	s->fed += len;
	return 0;
}

int kb_json_split_finish(struct kb_json_split *s)
{
	if (s->state == S_TOP || s->state == S_RESYNC)
		return 0;
	return bad_frame(s, s->fed, "the text ends within a document");
}
