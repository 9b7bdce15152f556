/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of both splitters: whatever the bytes, the outcome must not depend on how they are
 * cut. First byte of the input: mode and piece size; the rest is the stream.
 *
 * Included once by a target that has defined SPLIT(what): the splitter's struct without an
 * argument, its functions with _new, _feed, _finish and _free.
 */
#ifndef KB_FUZZ_SPLIT_H
#define KB_FUZZ_SPLIT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "control/kube/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	uint64_t hash;
	int r;
};

static void add(struct outcome *o, char what, const char *text, size_t len, uint64_t offset)
{
	o->hash = (o->hash ^ (unsigned char)what ^ offset << 8) * 0x100000001b3ULL;
	for (size_t i = 0; i < len; i++)
		o->hash = (o->hash ^ (unsigned char)text[i]) * 0x100000001b3ULL;
}

static int on_item(void *arg, const char *text, size_t len, uint64_t offset)
{
	add(arg, 'i', text, len, offset);
	return 0;
}

static int on_field(void *arg, const char *key, const char *text, size_t len, uint64_t offset)
{
	(void)key;
	add(arg, 'f', text, len, offset);
	return 0;
}

static int on_skipped(void *arg, const char *head, size_t len, uint64_t offset, const char *why)
{
	(void)why;
	add(arg, 's', head, len, offset);
	return 0;
}

static int on_document(void *arg, int has_items)
{
	add(arg, has_items ? 'D' : 'd', "", 0, 0);
	return 0;
}

static const struct kb_split_ops ops = {on_item, on_field, on_skipped, on_document};

static struct outcome run(enum kb_split_mode mode, const char *text, size_t len, size_t piece)
{
	struct outcome o = {0};
	struct SPLIT() * s;

	if (SPLIT(_new)(mode, 256, &ops, &o, &s) < 0)
		abort();
	for (size_t i = 0; !o.r && i < len; i += piece)
		o.r = SPLIT(_feed)(s, text + i, len - i < piece ? len - i : piece);
	if (!o.r)
		o.r = SPLIT(_finish)(s);
	SPLIT(_free)(s);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum kb_split_mode mode;
	struct outcome whole, cut;

	if (size < 1)
		return 0;
	mode = data[0] & 1 ? KB_SPLIT_LIST : KB_SPLIT_EVENTS;
	whole = run(mode, (const char *)data + 1, size - 1, size);
	cut = run(mode, (const char *)data + 1, size - 1, 1 + (data[0] >> 1) % 32u);
	if (whole.r != cut.r || whole.hash != cut.hash)
		abort();
	return 0;
}

#endif
