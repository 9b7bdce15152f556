/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbdnsctl lookup: a query made here, answered by the same core as the engines', and
 * decoded by the C library, so that what is shown is what a client would have received.
 */
#include "control/daemon/daemon.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <errno.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/querylog/names.h"
#include "control/table/env.h"

/* A query with an EDNS size of 1232, as most resolvers send it. */
static size_t query_make(uint8_t *msg, const uint8_t *name, size_t len, uint16_t type)
{
	static const uint8_t head[12] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
	static const uint8_t opt[11] = {0, 0, 41, 4, 208};

	memcpy(msg, head, 12);
	memcpy(msg + 12, name, len);
	msg[12 + len] = (uint8_t)(type >> 8);
	msg[13 + len] = (uint8_t)type;
	msg[14 + len] = 0;
	msg[15 + len] = 1;
	memcpy(msg + 16 + len, opt, sizeof(opt));
	return 16 + len + sizeof(opt);
}

static void name_at(const ns_msg *m, const uint8_t *p, char *text, size_t size)
{
	if (dn_expand(ns_msg_base(*m), ns_msg_end(*m), p, text, (int)size) < 0)
		snprintf(text, size, "?");
	else if (!*text)
		snprintf(text, size, ".");
}

static void rdata_text(const ns_msg *m, const ns_rr *rr, char *text, size_t size)
{
	const uint8_t *p = ns_rr_rdata(*rr);
	char name[NS_MAXDNAME];
	size_t used = 0;

	switch (ns_rr_type(*rr)) {
	case ns_t_a:
		inet_ntop(AF_INET, p, text, (socklen_t)size);
		return;
	case ns_t_aaaa:
		inet_ntop(AF_INET6, p, text, (socklen_t)size);
		return;
	case ns_t_ns:
	case ns_t_cname:
	case ns_t_ptr:
		name_at(m, p, text, size);
		return;
	case ns_t_srv:
		name_at(m, p + 6, name, sizeof(name));
		snprintf(text, size, "%u %u %u %s", ns_get16(p), ns_get16(p + 2), ns_get16(p + 4),
			 name);
		return;
	case ns_t_soa: {
		const uint8_t *end = ns_msg_end(*m);
		char mbox[NS_MAXDNAME];

		name_at(m, p, name, sizeof(name));
		p += dn_skipname(p, end);
		name_at(m, p, mbox, sizeof(mbox));
		p += dn_skipname(p, end);
		snprintf(text, size, "%s %s %lu %lu %lu %lu %lu", name, mbox, ns_get32(p),
			 ns_get32(p + 4), ns_get32(p + 8), ns_get32(p + 12), ns_get32(p + 16));
		return;
	}
	case ns_t_txt:
		snprintf(text, size, "\"%.*s\"", *p, (const char *)p + 1);
		return;
	default:
		used = (size_t)snprintf(text, size, "\\# %u ", ns_rr_rdlen(*rr));
		for (size_t i = 0; i < ns_rr_rdlen(*rr) && used + 3 < size; i++)
			used += (size_t)snprintf(text + used, size - used, "%02x", p[i]);
	}
}

static void put_section(struct kb_json_out *o, const char *key, ns_msg *m, ns_sect section)
{
	kb_json_put_open(o, key, '[');
	for (int i = 0; i < ns_msg_count(*m, section); i++) {
		char text[2 * NS_MAXDNAME + 128], type[KB_MNEMONIC_MAX];
		ns_rr rr;

		if (ns_parserr(m, section, i, &rr) < 0)
			break;
		if (ns_rr_type(rr) == ns_t_opt)
			continue;
		rdata_text(m, &rr, text, sizeof(text));
		kb_json_out_open(o, '{');
		kb_json_put_str(o, "name", *ns_rr_name(rr) ? ns_rr_name(rr) : ".");
		kb_json_put_u64(o, "ttl_s", ns_rr_ttl(rr));
		kb_json_put_str(o, "type", kb_type_text((uint16_t)ns_rr_type(rr), type));
		kb_json_put_str(o, "data", text);
		kb_json_out_close(o);
	}
	kb_json_out_close(o);
}

static void put_answer(struct kb_json_out *o, const char *engine, int why, const uint8_t *msg,
		       size_t len)
{
	static const char *const rcodes[] = {"NOERROR",	 "FORMERR", "SERVFAIL",
					     "NXDOMAIN", "NOTIMP",  "REFUSED"};
	ns_msg m;

	kb_json_out_open(o, '{');
	kb_json_put_str(o, "engine", engine);
	kb_json_put_str(o, "verdict", kb_counter_name((enum kb_counter)why));
	if (len && ns_initparse(msg, (int)len, &m) == 0) {
		unsigned int rcode = (unsigned int)ns_msg_getflag(m, ns_f_rcode);

		kb_json_put_str(o, "rcode", rcode < 6 ? rcodes[rcode] : "?");
		kb_json_put_bool(o, "truncated", ns_msg_getflag(m, ns_f_tc));
		kb_json_put_u64(o, "size_bytes", len);
		put_section(o, "answer", &m, ns_s_an);
		put_section(o, "authority", &m, ns_s_ns);
		put_section(o, "additional", &m, ns_s_ar);
	} else {
		kb_json_put_null(o, "rcode");
		kb_json_put_bool(o, "truncated", false);
		kb_json_put_null(o, "size_bytes");
	}
	kb_json_out_close(o);
}

/* What the packet engines would do with this query now. They share one core, so they
 * share one answer. */
static void put_packet_engines(struct kb_json_out *o, struct kb_daemon *d, const uint8_t *msg,
			       size_t len)
{
	const struct kb_header *hdr = kb_table_header(d->table);
	struct kb_scratch *s = calloc(1, sizeof(*s));
	uint8_t reply[KB_MSG_MAX + KB_OUT_SIZE];
	struct kb_env env = {0};
	struct kb_view view = {.env = &env, .hdr = hdr, .state = hdr->state};
	size_t reply_len = 0;
	int why = KB_CNT_OFF;

	if (!s)
		return;
	kb_table_env(d->table, &env);
	memcpy(s->msg, msg, len);
	if (kb_state_of(view.state) != KB_OFF) {
		why = kb_query_parse(s->msg, (__u32)len, hdr, &s->q);
		if (!why)
			why = kb_answer_value(&view, s, kb_lookup(&view, s->q.name.hash));
		if (!why) {
			memcpy(reply, msg, s->q.end);
			memcpy(reply + s->q.end, s->out, s->r.len);
			kb_reply_header(reply, &s->q, &s->r);
			reply_len = (size_t)s->q.end + s->r.len;
			why = (int)kb_reply_counter(&s->r);
		}
	}
	put_answer(o, "tc", why, reply, reply_len);
	put_answer(o, "xdp", why, reply, reply_len);
	free(s);
}

static void put_socket_engine(struct kb_json_out *o, struct kb_daemon *d, const uint8_t *msg,
			      size_t len, bool tcp, uint8_t *reply, size_t cap)
{
	uint64_t before[KB_CNT_MAX];
	const uint64_t *after = kb_responder_counters(d->responder);
	size_t reply_len;
	int why = KB_CNT_INCOMPLETE;

	memcpy(before, after, sizeof(before));
	reply_len = kb_respond(d->responder, msg, len, tcp, reply, cap);
	for (int i = 0; i < KB_CNT_MAX; i++) {
		if (i != KB_CNT_TRUNCATED && after[i] != before[i])
			why = i;
	}
	put_answer(o, tcp ? "socket-tcp" : "socket-udp", why, reply, reply_len);
}

static void put_where(struct kb_json_out *o, struct kb_daemon *d, const char *text,
		      const uint8_t *name, size_t len)
{
	uint32_t bucket = 0, slot = 0;
	uint64_t value = kb_table_get(d->table, name, len, &bucket, &slot);
	struct kb_entry entry = {.kind = (enum kb_value_kind)kb_value_kind(value),
				 .zone = (uint8_t)kb_value_zone(value),
				 .ref = kb_value_ref(value),
				 .addr = kb_value_addr(value)};

	kb_json_put_open(o, "where", '{');
	kb_daemon_put_entry(o, d, text, &entry);
	kb_json_put_u64(o, "generation", kb_gen_of(kb_table_header(d->table)->state));
	if (value) {
		kb_json_put_u64(o, "bucket", bucket);
		kb_json_put_u64(o, "slot", slot);
	} else {
		kb_json_put_null(o, "bucket");
		kb_json_put_null(o, "slot");
	}
	kb_json_out_close(o);
}

/* What the packet-path cache has for a client without DO and CD. */
static void put_packet_cache(struct kb_json_out *o, const struct kb_daemon *d, const uint8_t *name,
			     size_t len, uint16_t type)
{
	const struct kb_pcache_rec *rec = NULL;
	uint32_t left_s = 0;

	if (d->pcache)
		rec = kb_pcache_peek(d->pcache, name, len, type, 0, &left_s);
	if (!rec) {
		kb_json_put_null(o, "packet_cache");
		return;
	}
	kb_json_put_open(o, "packet_cache", '{');
	kb_json_put_u64(o, "left_s", left_s);
	kb_json_put_u64(o, "rcode", rec->flags3 & 15);
	kb_json_put_u64(o, "records", (uint64_t)rec->an + rec->ns + rec->ar);
	kb_json_put_u64(o, "body_bytes", rec->len);
	kb_json_out_close(o);
}

int kb_daemon_lookup(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct kb_daemon *d = arg;
	uint8_t name[NS_MAXCDNAME], msg[KB_MSG_MAX + 8], *out;
	uint16_t type = KB_TYPE_A;
	char buf[KB_MNEMONIC_MAX];
	size_t len, msg_len;

	if (argc > 2 && kb_type_parse(argv[2], &type) < 0)
		return kb_ctl_fail(reply, -EINVAL, "%s is no record type", argv[2]);
	if (ns_name_pton(argv[1], name, sizeof(name)) < 0)
		return kb_ctl_fail(reply, -EINVAL, "%s is no domain name", argv[1]);
	len = (size_t)dn_skipname(name, name + sizeof(name));
	for (size_t i = 0; i < len; i++)
		name[i] = (uint8_t)tolower(name[i]);
	msg_len = query_make(msg, name, len, type);
	out = malloc(65535);
	if (!out)
		return -ENOMEM;
	kb_json_put_str(&reply->out, "name", argv[1]);
	kb_json_put_str(&reply->out, "type", kb_type_text(type, buf));
	put_where(&reply->out, d, argv[1], name, len);
	put_packet_cache(&reply->out, d, name, len, type);
	kb_json_put_open(&reply->out, "engines", '[');
	put_packet_engines(&reply->out, d, msg, msg_len);
	put_socket_engine(&reply->out, d, msg, msg_len, false, out, KB_UDP_MAX_DEFAULT);
	put_socket_engine(&reply->out, d, msg, msg_len, true, out, 65535);
	kb_json_out_close(&reply->out);
	free(out);
	return 0;
}
