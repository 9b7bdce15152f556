/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an upstream sends: read as the reply to its own question, so that most inputs get past
 * it, and made into a client's reply. First byte: EDNS, DO, and the client's size. A reply that
 * was made has to be one that reads as good as what it was made from.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/relay.h"
#include "dataplane/core/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail_if(int bad)
{
	if (bad)
		abort();
}

/* The message's own question, or a fixed one where it has none. */
static void take_question(const uint8_t *msg, size_t len, struct kb_ask *ask)
{
	size_t off = KB_DNS_HDR;

	while (off < len && msg[off] && msg[off] < 64)
		off += msg[off] + 1U;
	off += 5;
	if (off <= len && msg[off - 5] == 0 && off - KB_DNS_HDR <= KB_QUESTION_MAX) {
		ask->len = (uint16_t)(off - KB_DNS_HDR);
		memcpy(ask->question, msg + KB_DNS_HDR, ask->len);
		return;
	}
	ask->len = 5;
	memcpy(ask->question, "\0\0\2\0\1", 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[65535];
	struct kb_ask ask = {.rd = true};
	struct kb_message m, again;
	struct kb_relay relay;
	enum kb_relay_verdict verdict;
	uint16_t id;
	uint8_t *msg;
	size_t len;

	if (size < 3)
		return 0;
	ask.has_opt = data[0] & 1;
	ask.dnssec_ok = data[0] & 1 && data[0] & 2;
	ask.limit = (uint16_t)(512 + (data[0] >> 2) * 64);
	msg = malloc(size - 1); /* of its exact size, for the sanitizers */
	if (!msg)
		return 0;
	memcpy(msg, data + 1, size - 1);
	id = (uint16_t)(msg[0] << 8 | msg[1]);
	memcpy(ask.id, msg, 2);
	take_question(msg, size - 1, &ask);
	verdict = kb_relay_read(&ask, id, true, msg, size - 1, &m);
	if (verdict == KB_RELAY_OK) {
		relay = kb_relay_of(&m);
		len = kb_relay_reply(&ask, msg, &relay, 1232, out, sizeof(out));
		fail_if(len > ask.limit || len < KB_DNS_HDR + (size_t)ask.len);
		fail_if(kb_relay_read(&ask, id, true, out, len, &again) != KB_RELAY_OK);
		fail_if(again.has_opt != ask.has_opt ||
			again.end + (ask.has_opt ? 11U : 0U) != len);
		fail_if(!(again.flags2 & KB_TC) &&
			(again.an != relay.an || again.ns != relay.ns || again.ar != relay.ar));
		fail_if(again.flags2 & KB_TC && again.an + again.ns + again.ar);
	}
	free(msg);
	return 0;
}
