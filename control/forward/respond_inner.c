/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions within a question: what a rewrite rule has made of the client's, and what the CNAME of
 * an ExternalName leads to. Each is answered as if a client of its own had asked, without a limit
 * (what is to be cut is the whole), and its reply made into the one that is due (chase.h).
 */
#include <arpa/nameser.h>
#include <string.h>

#include "control/forward/respond_private.h"

/* The query for this name, else as x->msg, into out (KB_RELAY_QUERY_MAX bytes). */
static size_t query_for(const struct kb_asked *x, const uint8_t *name, size_t name_len,
			uint8_t *out)
{
	const struct kb_query *q = &x->s->q;
	struct kb_ask ask = {.rd = q->flags2, .cd = q->flags3, .dnssec_ok = q->dnssec_ok};
	size_t len;

	memcpy(ask.question, name, name_len);
	memcpy(ask.question + name_len, x->msg + q->end - 4, 4);
	ask.len = (uint16_t)(name_len + 4);
	len = kb_relay_query(&ask, 0, q->has_opt ? x->hdr->udp_max : 0, out);
	memcpy(out, x->msg, 2);
	return len;
}

static size_t fail(struct kb_asked *x)
{
	kb_asked_count(x, KB_CNT_NAME_LEAVE);
	return kb_asked_refuse(x, KB_RCODE_SERVFAIL, 0, false);
}

/* Counts the reply by what it says. */
static void count_reply(struct kb_asked *x)
{
	struct kb_reply *r = &x->s->r;

	r->rcode = x->reply[3] & 0x0f;
	r->an = (uint16_t)ns_get16(x->reply + 6);
	r->tc = !!(x->reply[2] & KB_TC);
	if (r->rcode == KB_RCODE_NOERROR || r->rcode == KB_RCODE_NXDOMAIN)
		kb_asked_count_answer(x);
	else
		kb_asked_count(x, KB_CNT_NAME_LEAVE);
}

static size_t limit_of(const struct kb_asked *x)
{
	return x->tcp ? KB_TCP_REPLY_MAX : x->s->q.limit;
}

/* Answers the query; `step`, which it takes over, makes the reply to it the one to x. */
static size_t ask_inner(struct kb_asked *x, const uint8_t *query, size_t len,
			const struct kb_block *block, struct kb_chase *step)
{
	struct kb_asked inner = *x;

	if (!step || x->depth == KB_INNER_MAX) {
		kb_chase_free(step);
		return fail(x);
	}
	inner.s = &x->r->inner[x->depth];
	inner.depth++;
	inner.block = block;
	inner.msg = query;
	inner.len = len;
	inner.tcp = true;
	len = kb_asked_process(&inner);
	if (x->r->for_main) {
		kb_chase_free(step);
		return 0;
	}
	if (x->r->is_outside) {
		x->r->chase = kb_chase_join(x->r->chase, step);
		kb_asked_count(x, KB_CNT_NAME_LEAVE);
		return 0;
	}
	len = kb_chase_reply(step, x->reply, len, x->cap);
	kb_chase_free(step);
	count_reply(x);
	return len;
}

/* --- a CNAME that leads out --------------------------------------------------- */

/* The name in the reply at `at`, without compression. */
static size_t name_at(const uint8_t *reply, size_t at, uint8_t name[KB_WIRE_MAX])
{
	size_t len = 0;

	for (;; at += reply[at] + 1U) {
		while (reply[at] >= 0xc0)
			at = (size_t)(reply[at] & 0x3f) << 8 | reply[at + 1];
		memcpy(name + len, reply + at, reply[at] + 1U);
		len += reply[at] + 1U;
		if (!reply[at])
			return len;
	}
}

bool kb_inner_chase(struct kb_asked *x, size_t len, size_t target, size_t *ret_len)
{
	uint8_t name[KB_WIRE_MAX], query[KB_RELAY_QUERY_MAX];
	size_t name_len = name_at(x->reply, target, name);
	struct kb_chase *step;

	if (!x->r->routes || !kb_routes_has(x->r->routes, name, name_len))
		return false;
	memset(x->reply + 10, 0, 2); /* the OPT record */
	step = kb_chase_new(x->reply, len, target, limit_of(x), x->s->q.has_opt);
	*ret_len = ask_inner(x, query, query_for(x, name, name_len, query), NULL, step);
	return true;
}

/* --- server blocks -------------------------------------------------------------- */

static bool rewrite(struct kb_asked *x, const struct kb_block *block, size_t *ret_len)
{
	const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX];
	uint8_t name[KB_WIRE_MAX], query[KB_RELAY_QUERY_MAX];
	uint8_t head[KB_DNS_HDR + KB_QUESTION_MAX] = {x->msg[0], x->msg[1], 0, 0, 0, 1};
	size_t len = x->s->q.name.len, end = x->s->q.end;
	int n;

	memcpy(name, x->msg + KB_DNS_HDR, len); /* s->msg has 0xff for its zero bytes */
	n = kb_block_rewrite(block, name, &len, rules);
	if (n == 0)
		return false;
	if (n < 0) {
		*ret_len = fail(x);
		return true;
	}
	memcpy(head + KB_DNS_HDR, x->msg + KB_DNS_HDR, end - KB_DNS_HDR);
	*ret_len = ask_inner(x, query, query_for(x, name, len, query), block,
			     kb_chase_rewritten(head, end, limit_of(x), x->s->q.has_opt,
						x->r->blocks, rules, n));
	return true;
}

static bool hosts(struct kb_asked *x, const struct kb_hosts *h, const struct kb_wire *name,
		  size_t *ret_len)
{
	struct kb_scratch *s = x->s;
	size_t opt = s->q.has_opt ? KB_OPT_LEN : 0, limit = limit_of(x), len, pos;
	enum kb_hosts_says says;
	uint16_t n;

	limit = limit < x->cap ? limit : x->cap;
	says = kb_hosts_ask(h, name, s->q.qtype, x->reply + s->q.end, limit - s->q.end - opt, &n,
			    &len);
	if (says == KB_HOSTS_NEXT)
		return false;
	if (says == KB_HOSTS_FAIL) {
		*ret_len = fail(x);
		return true;
	}
	memset(&s->r, 0, sizeof(s->r));
	s->r.an = n;
	s->r.tc = says == KB_HOSTS_LARGE;
	if (opt)
		kb_build_opt(s, x->hdr);
	pos = kb_asked_begin(x, true) + len;
	memcpy(x->reply + pos, s->out, opt);
	kb_asked_count_answer(x);
	*ret_len = pos + opt;
	return true;
}

bool kb_inner_block(struct kb_asked *x, size_t *ret_len)
{
	const struct kb_block *block = x->block;
	struct kb_wire name;

	if (!x->r->blocks || kb_wire_fold(x->s->msg + KB_DNS_HDR, x->s->q.name.len, &name))
		return false;
	if (!block) {
		block = kb_blocks_find(x->r->blocks, &name);
		if (!block)
			return false;
		if (rewrite(x, block, ret_len))
			return true;
	}
	return block->hosts.n_origins && hosts(x, &block->hosts, &name, ret_len);
}
