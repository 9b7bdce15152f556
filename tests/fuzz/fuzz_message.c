/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies of upstreams, read and cached. What is accepted has to be consistent, and what the
 * cache makes of it has to be accepted again, with TTLs within its bounds.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/cache.h"
#include "control/forward/message.h"
#include "dataplane/core/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail_if(int bad)
{
	if (bad)
		abort();
}

static void check_cached(struct kb_cache *cache, const uint8_t *data, const struct kb_message *m)
{
	static uint8_t out[KB_MESSAGE_MAX];
	struct kb_ask ask = {.rd = true, .dnssec_ok = true, .has_opt = true, .limit = UINT16_MAX};
	enum kb_cache_found found;
	struct kb_message again;
	size_t len;

	ask.len = m->question_len;
	memcpy(ask.question, data + KB_DNS_HDR, ask.len);
	kb_cache_clear(cache);
	ask.era = kb_cache_era(cache);
	kb_cache_put(cache, &ask, NULL, data, m, 1000);
	len = kb_cache_get(cache, &ask, 1000, 1232, out, sizeof(out), &found);
	fail_if((len == 0) != (found == KB_CACHE_MISS));
	fail_if(len && m->kind == KB_MESSAGE_OTHER);
	if (!len)
		return;
	fail_if(kb_message_read(out, len, &again) < 0);
	fail_if(again.kind != m->kind);
	if (m->kind == KB_MESSAGE_FAILURE)
		return;
	fail_if(again.an != m->an || again.ns != m->ns || again.ar != m->ar);
	fail_if((unsigned int)m->an + m->ns + m->ar == 0);
	fail_if(again.ttl_min < 1 || again.ttl_min > 3600);
	len = kb_cache_get(cache, &ask, 1000 + again.ttl_min * 1000ULL, 1232, out, sizeof(out),
			   &found);
	fail_if(len != 0); /* it has no more than that to live */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct kb_cache_config config = KB_CACHE_DEFAULTS;
	static struct kb_cache *cache;
	struct kb_message m;
	unsigned int n;

	if (!cache)
		fail_if(kb_cache_new(&config, &cache) < 0);
	if (kb_message_read(data, size, &m) < 0)
		return 0;
	n = (unsigned int)m.an + m.ns + m.ar;
	fail_if(m.end > size || m.end < KB_DNS_HDR + m.question_len);
	fail_if(m.kind != KB_MESSAGE_OTHER && !m.sound);
	fail_if(m.kind != KB_MESSAGE_OTHER && n > KB_MESSAGE_RECORDS_MAX);
	for (unsigned int i = 0; i < n && i < KB_MESSAGE_RECORDS_MAX; i++)
		fail_if(m.ttl_at[i] < KB_DNS_HDR + m.question_len || m.ttl_at[i] + 6U > m.end);
	check_cached(cache, data, &m);
	return 0;
}
