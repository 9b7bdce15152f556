/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/engine_stats.h"
#include "control/querylog/names.h"
#include "control/querylog/private.h"

#define EVERY_MAX 1000000

static int set_engine(struct kb_trace_filter *f, const char *value)
{
	for (int i = 0; i < KB_ENGINE_MAX; i++) {
		/* kbdns-dpdk reports nothing. */
		if (i != KB_ENGINE_DPDK && strcmp(value, kb_engine_names[i]) == 0) {
			f->engine = (enum kb_engine)i;
			f->has_engine = true;
			return 0;
		}
	}
	return -EINVAL;
}

int kb_trace_filter_word(struct kb_trace_filter *f, const char *word, char *err, size_t err_size)
{
	const char *value = strchr(word, '='), *expect = NULL;
	size_t key = value ? (size_t)(value - word) : 0;
	uint64_t every = 1;
	int r;

	if (!value++) {
		snprintf(err, err_size,
			 "%.64s: give filters as name=, type=, rcode=, client=, "
			 "engine= or sample=",
			 word);
		return -EINVAL;
	}
	if (strncmp(word, "name=", key + 1) == 0) {
		/* All are below the root. */
		r = strcmp(value, ".") == 0 ? 0 : kb_wire_parse(value, true, &f->name);
		expect = "a domain name";
	} else if (strncmp(word, "type=", key + 1) == 0) {
		r = kb_type_parse(value, &f->type);
		f->has_type = true;
		expect = "a type such as AAAA or TYPE65";
	} else if (strncmp(word, "rcode=", key + 1) == 0) {
		r = kb_rcode_parse(value, &f->rcode);
		f->has_rcode = true;
		expect = "an rcode such as NXDOMAIN";
	} else if (strncmp(word, "client=", key + 1) == 0) {
		r = kb_parse_cidr(value, &f->client);
		expect = "an address or a range";
	} else if (strncmp(word, "engine=", key + 1) == 0) {
		r = set_engine(f, value);
		expect = "tc, xdp or socket";
	} else if (strncmp(word, "sample=", key + 1) == 0) {
		r = kb_parse_u64(value, 1, EVERY_MAX, &every);
		f->every = (uint32_t)every;
		expect = "one query in so many, 1 to 1000000";
	} else {
		snprintf(err, err_size,
			 "%.64s: no such filter; there are name=, type=, rcode=, "
			 "client=, engine= and sample=",
			 word);
		return -EINVAL;
	}
	if (r < 0)
		snprintf(err, err_size, "%.64s: give %s", word, expect);
	return r < 0 ? -EINVAL : 0;
}

static bool in_domain(const struct kb_wire *domain, const struct kb_event *e)
{
	struct kb_wire name;

	return kb_wire_fold(e->name, e->name_len, &name) == 0 && kb_wire_below(&name, domain) >= 0;
}

static bool from_client(const struct kb_cidr *c, const struct kb_event *e)
{
	bool v4 = e->src[0] == 0 && (uint32_t)e->src[1] == 0xffff0000;
	const uint8_t *addr = (const uint8_t *)e->src + (v4 ? 12 : 0);
	unsigned int bits = c->bits;

	if (c->addr.family != (v4 ? 4 : 6))
		return false;
	if (memcmp(addr, c->addr.b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || (addr[bits / 8] ^ c->addr.b[bits / 8]) >> (8 - bits % 8) == 0;
}

bool kb_trace_filter_takes(const struct kb_trace_filter *f, const struct kb_event *e)
{
	if (f->has_type && f->type != kb_swap16(e->qtype))
		return false;
	if (f->has_rcode && (!e->reply_len || f->rcode != (e->flags3 & 15U)))
		return false;
	if (f->has_engine && f->engine != e->engine)
		return false;
	if (f->client.addr.family && !from_client(&f->client, e))
		return false;
	return !f->name.len || in_domain(&f->name, e);
}

int kb_trace_new(struct kb_querylog *log, const struct kb_trace_filter *filter,
		 struct kb_trace **ret_trace)
{
	struct kb_trace *t = NULL;
	size_t i = 0;
	int r;

	while (i < KB_TRACES_MAX && log->traces[i])
		i++;
	if (i == KB_TRACES_MAX)
		return -EAGAIN;
	r = kb_querylog_start(log);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->log = log;
	t->filter = *filter;
	if (!t->filter.every)
		t->filter.every = 1;
	r = kb_event_queue_init(&t->queue, KB_TRACE_EVENTS);
	if (r < 0) {
		kb_event_queue_fini(&t->queue);
		free(t);
		return r;
	}
	pthread_mutex_lock(&log->lock);
	log->traces[i] = t;
	log->thin[i] = 1;
	pthread_mutex_unlock(&log->lock);
	kb_querylog_apply(log);
	*ret_trace = t;
	return 0;
}

int kb_trace_next(struct kb_trace *trace, struct kb_event *ret_event)
{
	return (int)kb_event_queue_take(&trace->queue, ret_event, 1);
}

uint64_t kb_trace_dropped(const struct kb_trace *trace)
{
	return atomic_load(&trace->dropped);
}

void kb_trace_free(struct kb_trace *trace)
{
	struct kb_querylog *log;

	if (!trace)
		return;
	log = trace->log;
	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < KB_TRACES_MAX; i++) {
		if (log->traces[i] == trace)
			log->traces[i] = NULL;
	}
	pthread_mutex_unlock(&log->lock);
	kb_querylog_apply(log);
	kb_event_queue_fini(&trace->queue);
	free(trace);
}
