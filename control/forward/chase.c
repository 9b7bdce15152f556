/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/chase.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/blocks.h"
#include "control/forward/message.h"
#include "control/forward/relay.h"
#include "control/forward/wire_copy.h"
#include "dataplane/core/layout.h"

#define OPT_LEN 11
#define RCODE	0x0f

struct kb_chase {
	struct kb_chase *next;	/* owned: the step after this one */
	uint16_t target, limit; /* target 0: rewritten */
	bool has_opt;
	struct kb_blocks *blocks; /* a reference */
	const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX];
	int n_rules;
	uint16_t len;
	uint8_t head[];
};

/* The reply about the target, and what of it is passed on. */
struct part {
	const uint8_t *msg; /* owned */
	size_t records;	    /* where they begin */
	unsigned int an, ns, ar;
	uint8_t rcode;
	bool tc, whole; /* rewritten: all of it, with its flags */
};

static struct kb_chase *step_new(const uint8_t *head, size_t len, size_t limit, bool has_opt)
{
	struct kb_chase *c = malloc(sizeof(*c) + len);

	assert(len <= UINT16_MAX);
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->limit = (uint16_t)(limit < UINT16_MAX ? limit : UINT16_MAX);
	c->has_opt = has_opt;
	c->len = (uint16_t)len;
	memcpy(c->head, head, len);
	return c;
}

struct kb_chase *kb_chase_new(const uint8_t *head, size_t len, size_t target, size_t limit,
			      bool has_opt)
{
	struct kb_chase *c = step_new(head, len, limit, has_opt);

	assert(target >= KB_DNS_HDR && target < len);
	if (c)
		c->target = (uint16_t)target;
	return c;
}

struct kb_chase *kb_chase_rewritten(const uint8_t *head, size_t len, size_t limit, bool has_opt,
				    struct kb_blocks *blocks, const struct kb_rewrite *const *rules,
				    int n)
{
	struct kb_chase *c = step_new(head, len, limit, has_opt);

	assert(n <= KB_REWRITES_MATCH_MAX);
	if (!c)
		return NULL;
	c->blocks = kb_blocks_ref(blocks);
	c->n_rules = n;
	memcpy(c->rules, rules, (size_t)n * sizeof(*rules));
	return c;
}

struct kb_chase *kb_chase_join(struct kb_chase *inner, struct kb_chase *outer)
{
	struct kb_chase **end = &inner;

	while (*end)
		end = &(*end)->next;
	*end = outer;
	return inner;
}

void kb_chase_free(struct kb_chase *chase)
{
	struct kb_chase *next;

	for (; chase; chase = next) {
		next = chase->next;
		kb_blocks_unref(chase->blocks);
		free(chase);
	}
}

/* What cannot be read is a failure of the upstream's. */
static void part_read(struct part *p, size_t len)
{
	struct kb_message m;

	p->rcode = p->msg[3] & RCODE;
	p->tc = p->msg[2] & KB_TC;
	if (p->tc)
		return;
	if (kb_message_read(p->msg, len, &m) < 0 || !m.sound) {
		p->rcode = KB_RCODE_SERVFAIL;
		return;
	}
	p->records = KB_DNS_HDR + m.question_len;
	p->an = m.an;
	p->ns = m.kind == KB_MESSAGE_ANSWER && !m.dnssec_ok && !p->whole ? 0 : m.ns;
	p->ar = p->whole ? m.ar : 0;
}

static void add16(uint8_t *at, unsigned int n)
{
	n += ns_get16(at);
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

/* The names of a reply change back in the opposite order. */
static bool rename_back(void *arg, uint8_t *name, size_t *len)
{
	const struct kb_chase *c = arg;
	bool changed = false;

	for (int i = c->n_rules; i-- > 0;)
		changed |= kb_rewrite_back(c->rules[i], name, len);
	return changed;
}

/* Writes all but the OPT record to out; 0 if that is more than cap bytes. */
static size_t put_whole(const struct kb_chase *c, const struct part *p, uint8_t *out, size_t cap)
{
	struct kb_wire_copy copy;
	unsigned int n = p->an + p->ns + p->ar;
	size_t off = p->records;

	if (c->len > cap)
		return 0;
	memcpy(out, c->head, c->len);
	if (n == 0)
		return c->len;
	kb_wire_copy_start(&copy, p->msg, out, c->len, cap);
	if (p->whole)
		kb_wire_copy_rename(&copy, rename_back, (void *)(uintptr_t)c);
	else
		kb_wire_copy_known(&copy, KB_DNS_HDR, c->target);
	for (unsigned int i = 0; i < n && !copy.full; i++)
		off = kb_wire_copy_record(&copy, off);
	if (copy.full)
		return 0;
	add16(out + 6, p->an);
	add16(out + 8, p->ns);
	add16(out + 10, p->ar);
	return copy.len;
}

/* The same without records. */
static size_t put_truncated(const struct kb_chase *c, uint8_t *out)
{
	size_t len = KB_DNS_HDR;

	while (c->head[len])
		len += c->head[len] + 1U;
	len += 5;
	memcpy(out, c->head, len);
	memset(out + 6, 0, 6);
	out[2] |= KB_TC;
	return len;
}

static size_t step(const struct kb_chase *chase, uint8_t *msg, size_t len, size_t cap)
{
	size_t limit = chase->limit < cap ? chase->limit : cap;
	size_t opt_len = chase->has_opt ? OPT_LEN : 0, out = 0;
	uint8_t *src = malloc(len), opt[OPT_LEN], flags[2] = {msg[2], msg[3]};
	struct part p = {.msg = src, .rcode = KB_RCODE_SERVFAIL, .whole = !chase->target};

	assert(cap >= KB_RELAY_QUERY_MAX && len >= KB_DNS_HDR + opt_len);
	memcpy(opt, msg + len - opt_len, opt_len);
	if (src) {
		memcpy(src, msg, len);
		part_read(&p, len);
	}
	if (!p.tc)
		out = put_whole(chase, &p, msg, limit - opt_len);
	if (!out)
		out = put_truncated(chase, msg);
	if (p.whole) {
		msg[2] = (uint8_t)(flags[0] | (msg[2] & KB_TC));
		msg[3] = flags[1] & (uint8_t)~RCODE;
	}
	msg[3] |= p.rcode;
	memcpy(msg + out, opt, opt_len);
	add16(msg + 10, chase->has_opt);
	free(src);
	return out + opt_len;
}

size_t kb_chase_reply(const struct kb_chase *chase, uint8_t *msg, size_t len, size_t cap)
{
	for (; chase; chase = chase->next)
		len = step(chase, msg, len, cap);
	return len;
}
