/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams' replies behind CNAMEs of ours. First byte: whether the client sent an OPT record, and
 * how much it takes. Whatever comes, the reply is one that can be read.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static void check(uint8_t *out, size_t len, size_t limit, bool has_opt, const struct kb_message *m,
		  bool read, const uint8_t *msg)
{
	struct kb_message again;

	fail_if(len > limit || len < KB_DNS_HDR + QUESTION_LEN);
	fail_if(memcmp(out + KB_DNS_HDR, head + KB_DNS_HDR, QUESTION_LEN) != 0);
	fail_if(get16(out + 10) != has_opt);
	if (has_opt) { /* what stood last in msg */
		out[11] = 0;
		len -= OPT_LEN;
	}
	if (out[2] & KB_TC) {
		fail_if(len != KB_DNS_HDR + QUESTION_LEN || get16(out + 6) || get16(out + 8));
		return;
	}
	fail_if(kb_message_read(out, len, &again) < 0 || !again.sound);
	fail_if(again.an != 1 + (read ? m->an : 0) || again.ar);
	fail_if(again.rcode != (read ? msg[3] & 15 : KB_RCODE_SERVFAIL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_chase *chase;
	struct kb_message m;
	uint8_t *out;
	size_t limit, cap;
	bool has_opt, read;

	if (size < 1)
		return 0;
	has_opt = data[0] & 1;
	limit = 512 + (data[0] >> 1) * 64U;
	if (--size < KB_DNS_HDR + (has_opt ? OPT_LEN : 0) || size > KB_MESSAGE_MAX)
		return 0;
	data++;
	cap = size > limit ? size : limit;
	out = malloc(cap);
	chase = kb_chase_new(head, sizeof(head), TARGET, limit, has_opt);
	fail_if(!out || !chase);
	memcpy(out, data, size);
	read = kb_message_read(data, size, &m) == 0 && m.sound;
	/* A name of other labels is no target of ours. */
	if (!read ||
	    (m.question_len == QUESTION_LEN && memcmp(data + KB_DNS_HDR, "\1b\1a", 5) == 0))
		check(out, kb_chase_reply(chase, out, size, cap), limit, has_opt, &m, read, data);
	kb_chase_free(chase);
	free(out);
	return 0;
}
