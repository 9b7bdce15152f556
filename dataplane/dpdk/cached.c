// SPDX-License-Identifier: Apache-2.0
/* See cached.h. */
#include "dataplane/dpdk/cached.h"

#include <rte_prefetch.h>

#include "dataplane/core/pcache_mapped.h"

/* Once for each burst that needs it: all of it is looked up in one mapping and epoch. */
static bool begin(struct kb_dpdk_engine *e)
{
	struct kb_dpdk_cached *c = &e->cached;
	const struct kb_header *hdr = e->table->hdr;

	c->env = __atomic_load_n(&e->table->cache, __ATOMIC_ACQUIRE);
	c->epoch = __atomic_load_n(&hdr->pcache_epoch, __ATOMIC_ACQUIRE);
	c->buckets = kb_read_once(hdr->pcache_buckets);
	return c->env && c->epoch;
}

bool kb_dpdk_cached_take(struct kb_dpdk_engine *e, __u64 state, struct kb_burst_item *it, int why)
{
	struct kb_dpdk_cached *c = &e->cached;
	const struct kb_flow *f = &it->flow;
	__u32 icept = kb_icept_hash(f->dst[0], f->dst[1], f->dport);
	__u64 tag;

	if (!(it->q.flags2 & KB_RD) || !kb_is_outside(e->table->hdr, &e->scratch, state, why) ||
	    !kb_icept_is_forwarded(&e->table->icept[icept], f, KB_ENGINE_DPDK) ||
	    (!c->n && !begin(e)))
		return false;
	tag = kb_pcache_tag(it->q.name.hash, it->q.tail, kb_pcache_key_flags(&it->q));
	rte_prefetch0(kb_pcache_bucket(c->env, kb_pcache_place(tag, c->buckets, 0)));
	rte_prefetch0(kb_pcache_bucket(c->env, kb_pcache_place(tag, c->buckets, 1)));
	it->value = tag;
	c->item[c->n] = it;
	c->why[c->n++] = (__u8)why;
	return true;
}

static void prefetch_record(const struct kb_pcache_env *env, __u64 value)
{
	__u32 cell = (__u32)value - 1;
	const struct kb_page *page = kb_pcache_page(env, cell / KB_PCACHE_PAGE_CELLS);
	const __u8 *rec;

	if (!value || !page)
		return;
	rec = page->b + cell % KB_PCACHE_PAGE_CELLS * KB_PCACHE_CELL;
	rte_prefetch0(rec);
	rte_prefetch0(rec + 64);
	rte_prefetch0(kb_pcache_use_line(env, cell / KB_PCACHE_USE_LINE));
}

void kb_dpdk_cached_find(struct kb_dpdk_engine *e, __u64 now_ns)
{
	struct kb_dpdk_cached *c = &e->cached;

	c->now = kb_pcache_jiffies(e->table->hdr, now_ns);
	for (__u32 i = 0; i < c->n; i++) {
		struct kb_burst_item *it = c->item[i];

		it->value = kb_pcache_find(c->env, c->buckets, it->value);
		prefetch_record(c->env, it->value);
	}
}

int kb_dpdk_cached_answer(struct kb_dpdk_engine *e, __u32 i)
{
	struct kb_dpdk_cached *c = &e->cached;

	return kb_pcache_answer_value(c->env, e->table->hdr, &e->scratch, c->epoch, c->now,
				      c->item[i]->value, c->why[i]);
}
