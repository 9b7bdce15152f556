/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query parser and the socket engine behind it, over the real table with the demo
 * cluster in it. First byte: transport (bit 0), state (bits 1-2), and whether names outside are
 * forwarded (bit 3). The reply has to be none or a message that belongs to the query. What is to be
 * asked of upstreams has to be the query's question, and the reply to it that of a client.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/respond.h"
#include "control/records/records.h"
#include "control/table/env.h"

/* Fuzz targets are linked with the library alone. */
#include "tests/unit/fixture_cluster.c"
#include "tests/unit/fixture_rules.h"
#include "tests/unit/mem_backing.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kb_table *table;
static struct kb_responder *responder;
static struct kb_routes *routes;

static void start(void)
{
	struct kb_rules rules = {.ttl_s = 5};
	struct kb_records_config config = {
		.rules = &rules,
		.dns_services = {"kube-system/kube-dns"},
		.n_dns_services = 1,
	};
	struct kb_table_config tc = {.replicas = 1};
	struct kb_mem *mem = kb_mem_new(NULL, NULL);
	struct kb_records *records;
	struct kb_backing backing;
	struct kb_sink sink;
	char err[256];

	if (!mem)
		abort();
	kb_mem_backing(mem, &backing);
	fixture_zones(&rules, FIXTURE_ZONES);
	if (kb_routes_new(&routes) < 0 || kb_table_new(&backing, &tc, &table) < 0 ||
	    kb_records_new(&config, table, &records, err, sizeof(err)) < 0 ||
	    kb_responder_new(table, records, &responder) < 0)
		abort();
	kb_records_sink(records, &sink);
	fixture_list(&sink, fixture_cluster);
	fixture_apply(&sink, "bad svc default/absurd nonsense");
	kb_table_set_udp_max(table, KB_UDP_MAX_DEFAULT);
}

static void fail_if(int bad)
{
	if (bad)
		abort();
}

/* The query to an upstream, which sends it back as its answer, and what becomes of that. */
static void check_forwarded(const struct kb_ask *ask, const uint8_t *msg, bool tcp, uint8_t *reply)
{
	uint8_t query[KB_RELAY_QUERY_MAX];
	struct kb_message m;
	struct kb_relay relay;
	size_t len, n;

	fail_if(memcmp(ask->question, msg + KB_DNS_HDR, ask->len) != 0);
	fail_if(memcmp(ask->id, msg, 2) != 0);
	fail_if(ask->limit < KB_UDP_MIN || (!tcp && ask->limit > KB_UDP_MAX_DEFAULT));
	fail_if(ask->dnssec_ok && !ask->has_opt);
	len = kb_relay_query(ask, 0x1234, KB_UDP_MAX_DEFAULT, query);
	fail_if(len > sizeof(query));
	query[2] |= KB_QR;
	fail_if(kb_relay_read(ask, 0x1234, true, query, len, &m) != KB_RELAY_OK);
	relay = kb_relay_of(&m);
	n = kb_relay_reply(ask, query, &relay, KB_UDP_MAX_DEFAULT, reply, KB_TCP_REPLY_MAX);
	fail_if(n != len - (ask->has_opt ? 0 : KB_OPT_LEN));
	fail_if(memcmp(reply, msg, 2) != 0 || reply[2] & KB_TC);
	fail_if(memcmp(reply + KB_DNS_HDR, msg + KB_DNS_HDR, ask->len) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t reply[KB_TCP_REPLY_MAX];
	uint8_t *msg;
	const struct kb_ask *outside;
	size_t len, n, max;
	bool tcp;

	if (size < 1)
		return 0;
	if (!responder)
		start();
	tcp = data[0] & 1;
	kb_table_set_state(table, (enum kb_state)((data[0] >> 1 & 3) % 3));
	kb_responder_set_routes(responder, data[0] & 8 ? routes : NULL);
	max = tcp ? sizeof(reply) : KB_UDP_MAX_DEFAULT;
	len = size - 1;
	msg = malloc(size); /* of exactly that size, for the sanitizer's sake */
	fail_if(!msg);
	memcpy(msg + 1, data + 1, len);
	n = kb_respond(responder, msg + 1, len, tcp, reply, max);
	outside = kb_responder_outside(responder);
	fail_if(outside && (n || !(data[0] & 8)));
	if (outside) {
		check_forwarded(outside, msg + 1, tcp, reply);
	} else if (len < KB_DNS_HDR || msg[1 + 2] & KB_QR) {
		fail_if(n != 0);
	} else {
		fail_if(n < KB_DNS_HDR || n > max);
		fail_if(memcmp(reply, msg + 1, 2) != 0);
		fail_if(!(reply[2] & KB_QR) || (reply[2] ^ msg[1 + 2]) & KB_OPCODE);
		fail_if(n == KB_DNS_HDR && reply[5]);
		fail_if(n > KB_DNS_HDR && memcmp(reply + 12, msg + 1 + 12, 5) != 0);
	}
	free(msg);
	return 0;
}
