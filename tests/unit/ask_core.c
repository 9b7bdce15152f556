/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ask_core.h"

#include <assert.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_env.h"

static int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void ask_sort(char *lines)
{
	size_t n = 0, len = strlen(lines);
	char *copy = strdup(lines), *save = NULL, **line = calloc(len + 1, sizeof(*line)), *l;

	for (l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		line[n++] = l;
	qsort(line, n, sizeof(*line), line_compare);
	*lines = '\0';
	for (size_t i = 0; i < n; i++) {
		len = strlen(line[i]);
		memcpy(lines, line[i], len);
		lines += len;
		*lines++ = '\n';
	}
	*lines = '\0';
	free(line);
	free(copy);
}

/* Tabs become blanks, and an SOA's serial the word SERIAL. */
static void put_section(const ldns_rr_list *list, char *out, size_t size)
{
	size_t i, pos = 0;

	out[0] = '\0';
	for (i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *text, *p, *save = NULL;
		int field = 0;

		if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_OPT)
			continue;
		text = ldns_rr2str(rr);
		for (p = strtok_r(text, " \t\n", &save); p;
		     p = strtok_r(NULL, " \t\n", &save), field++) {
			bool serial = ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA && field == 6;

			pos += (size_t)snprintf(out + pos, size - pos, "%s%s", field ? " " : "",
						serial ? "SERIAL" : p);
		}
		pos += (size_t)snprintf(out + pos, size - pos, "\n");
		free(text);
	}
	ask_sort(out);
}

void ask_decode(const unsigned char *wire, size_t len, struct reply *ret)
{
	ldns_pkt *pkt = NULL;
	ldns_lookup_table *rcode;

	if (ldns_wire2pkt(&pkt, wire, len) != LDNS_STATUS_OK) {
		strcpy(ret->rcode, "MALFORMED");
		return;
	}
	ret->tc = ldns_pkt_tc(pkt);
	ret->aa = ldns_pkt_aa(pkt);
	rcode = ldns_lookup_by_id(ldns_rcodes, (int)ldns_pkt_get_rcode(pkt));
	snprintf(ret->rcode, sizeof(ret->rcode), "%s", rcode ? rcode->name : "?");
	put_section(ldns_pkt_answer(pkt), ret->answer, sizeof(ret->answer));
	put_section(ldns_pkt_authority(pkt), ret->authority, sizeof(ret->authority));
	put_section(ldns_pkt_additional(pkt), ret->additional, sizeof(ret->additional));
	ldns_pkt_free(pkt);
}

size_t ask_query(const char *qname, const char *qtype, bool edns, unsigned char *buf,
		 size_t *ret_qlen)
{
	ldns_rdf *name = ldns_dname_new_frm_str(qname);
	ldns_rr_type type = ldns_get_rr_type_by_name(qtype);
	size_t pos = 12;

	assert(name && type);
	memset(buf, 0, 12);
	buf[0] = 0x12;
	buf[1] = 0x34;
	buf[2] = 1; /* RD */
	buf[5] = 1;
	memcpy(buf + pos, ldns_rdf_data(name), ldns_rdf_size(name));
	pos += *ret_qlen = ldns_rdf_size(name);
	ldns_rdf_deep_free(name);
	buf[pos++] = (unsigned char)(type >> 8);
	buf[pos++] = (unsigned char)type;
	buf[pos++] = 0;
	buf[pos++] = 1;
	if (edns) {
		static const unsigned char opt[] = {0, 0, 41, 1232 >> 8, 1232 & 255, 0,
						    0, 0, 0,  0,	 0};

		buf[11] = 1;
		memcpy(buf + pos, opt, sizeof(opt));
		pos += sizeof(opt);
	}
	return pos;
}

void ask_core(const struct kb_table *table, const char *qname, const char *qtype, bool edns,
	      struct reply *ret)
{
	static struct kb_scratch s;
	const struct kb_header *hdr = kb_table_header(table);
	struct kb_env env = {.table = table};
	struct kb_view view = {.env = &env, .hdr = hdr, .state = hdr->state};
	unsigned char msg[4096];
	size_t qlen, len;

	memset(ret, 0, sizeof(*ret));
	memset(&s, 0xa5, sizeof(s));
	memset(s.msg, 0, sizeof(s.msg));
	len = ask_query(qname, qtype, edns, s.msg, &qlen);
	ret->left = kb_query_parse(s.msg, (__u32)len, hdr, &s.q);
	if (!ret->left)
		ret->left = kb_answer_value(&view, &s, kb_lookup(&view, s.q.name.hash));
	if (ret->left)
		return;
	assert(s.q.end + s.r.len <= s.q.limit);
	memcpy(msg, s.msg, s.q.end);
	kb_reply_header(msg, &s.q, &s.r);
	memcpy(msg + s.q.end, s.out, s.r.len);
	ask_decode(msg, (size_t)s.q.end + s.r.len, ret);
}
