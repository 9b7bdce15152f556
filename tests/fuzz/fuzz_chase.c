/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams' replies behind CNAMEs of ours, and with their names changed by a rule. First byte:
 * whether the client sent an OPT record, how much it takes, and which of both. Whatever
 * comes, the reply is one that can be read.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/blocks.h"
#include "control/forward/chase.h"
#include "control/forward/message.h"
#include "dataplane/core/dns.h"

#define OPT_LEN 11

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* s.x A: a CNAME to the name "b.a". */
static const uint8_t head[] = {1,    2,	  KB_QR | KB_AA | KB_RD,
			       0,    0,	  1,
			       0,    1,	  0,
			       0,    0,	  0,
			       1,    's', 1,
			       'x',  0,	  0,
			       1,    0,	  1,
			       0xc0, 12,  0,
			       5,    0,	  1,
			       0,    0,	  0,
			       5,    0,	  5,
			       1,    'b', 1,
			       'a',  0};
#define QUESTION_LEN 9
#define TARGET	     (sizeof(head) - 5)

static void fail_if(int bad)
{
	if (bad)
		abort();
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* s.x was rewritten to b.a; or names that end in "a", in ways that make them longer. */
static struct kb_chase *rewritten(size_t limit, bool has_opt, bool suffix)
{
	static char *root[] = {""};
	struct kb_corefile_rewrite rule = {.from = "x", .to = "a", .suffix = true, .answers = true};
	struct kb_corefile_block v = {.zones = {root, 1}, .rewrites = &rule, .n_rewrites = 1};
	const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX];
	const struct kb_wire any = {.len = 1};
	uint8_t name[255] = {1, 's', 1, 'x', 0};
	uint8_t question[KB_DNS_HDR + QUESTION_LEN];
	struct kb_blocks *blocks;
	struct kb_chase *c;
	size_t len = 5;

	memcpy(question, head, sizeof(question));
	question[7] = 0;

	if (!suffix)
		rule = (struct kb_corefile_rewrite){.from = "s.x", .to = "b.a"};
	fail_if(kb_blocks_new(&v, 1, &blocks) < 0);
	fail_if(kb_block_rewrite(kb_blocks_find(blocks, &any), name, &len, rules) != 1);
	c = kb_chase_rewritten(question, sizeof(question), limit, has_opt, blocks, rules, 1);
	kb_blocks_unref(blocks);
	return c;
}

static void check(uint8_t *out, size_t len, size_t limit, bool has_opt, const struct kb_message *m,
		  bool read, bool whole, const uint8_t *msg)
{
	struct kb_message again;

	fail_if(len > limit || len < KB_DNS_HDR + QUESTION_LEN);
	fail_if(memcmp(out + KB_DNS_HDR, head + KB_DNS_HDR, QUESTION_LEN) != 0);
	if (has_opt) { /* what stood last in msg */
		unsigned int ar = get16(out + 10) - 1;

		out[10] = (uint8_t)(ar >> 8);
		out[11] = (uint8_t)ar;
		len -= OPT_LEN;
	}
	if (out[2] & KB_TC) {
		fail_if(len != KB_DNS_HDR + QUESTION_LEN || get16(out + 6) || get16(out + 8));
		return;
	}
	fail_if(kb_message_read(out, len, &again) < 0 || !again.sound);
	fail_if(again.an != (whole ? 0 : 1) + (read ? m->an : 0));
	fail_if(again.ar != (read && whole ? m->ar : 0));
	fail_if(again.rcode != (read ? msg[3] & 15 : KB_RCODE_SERVFAIL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_chase *chase;
	struct kb_message m;
	uint8_t *out;
	size_t limit, cap;
	bool has_opt, read, whole;

	if (size < 1)
		return 0;
	has_opt = data[0] & 1;
	limit = 512 + (data[0] >> 1 & 31) * 256U;
	whole = data[0] & 0x40;
	if (--size < KB_DNS_HDR + (has_opt ? OPT_LEN : 0) || size > KB_MESSAGE_MAX)
		return 0;
	data++;
	if (whole && (data[2] & (KB_QR | KB_OPCODE)) != KB_QR)
		return 0; /* all of our own are replies, and its flags go on */
	cap = size > limit ? size : limit;
	out = malloc(cap);
	chase = whole ? rewritten(limit, has_opt, data[-1] & 0x80)
		      : kb_chase_new(head, sizeof(head), TARGET, limit, has_opt);
	fail_if(!out || !chase);
	memcpy(out, data, size);
	read = kb_message_read(data, size, &m) == 0 && m.sound;
	/* A name of other labels is no target of ours. */
	if (!read ||
	    (m.question_len == QUESTION_LEN && memcmp(data + KB_DNS_HDR, "\1b\1a", 5) == 0))
		check(out, kb_chase_reply(chase, out, size, cap), limit, has_opt, &m, read, whole,
		      data);
	kb_chase_free(chase);
	free(out);
	return 0;
}
