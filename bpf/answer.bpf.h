/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What both programs do between reading the packet and writing it: everything that
 * needs no packet access of its own kind.
 */
#ifndef KB_BPF_ANSWER_H
#define KB_BPF_ANSWER_H

#include "bpf/maps.bpf.h"

/* kb_admit() with this engine's clock and maps. */
static __attribute__((always_inline)) inline int kb_admit_flow(const struct kb_header *hdr,
							       __u64 state, const struct kb_flow *f)
{
	__u32 n = kb_icept_hash(f->dst[0], f->dst[1], f->dport);
	const struct kb_icept_bucket *icept = bpf_map_lookup_elem(&kb_icept, &n);

	if (!icept)
		return KB_CNT_NOT_INTERCEPT;
	return kb_admit(hdr, state, bpf_jiffies64() > kb_read_once(hdr->deadline), icept, f);
}

/* Is the source of the flow in `engine`'s kb_percpu an intercept address? Not static, so that it is
 * verified on its own. */
__attribute__((noinline)) int kb_from_icept(__u32 engine)
{
	const struct kb_percpu *cpu = kb_get_percpu(engine);
	const struct kb_icept_bucket *icept;
	__u32 n;

	if (!cpu)
		return 0;
	n = kb_icept_hash(cpu->flow.src[0], cpu->flow.src[1], cpu->flow.sport);
	icept = bpf_map_lookup_elem(&kb_icept, &n);
	return icept && kb_icept_is_source(icept, &cpu->flow);
}

/* Which replica of the index: by queue in xdp, by CPU in tc. A call and a chain of loads: only
 * for tables that have several. */
static __attribute__((always_inline)) inline __u32 kb_selector(enum kb_engine engine, void *ctx)
{
	return engine == KB_ENGINE_TC ? bpf_get_smp_processor_id()
				      : ((struct xdp_md *)ctx)->rx_queue_index;
}

/* Parses s->msg and builds the answer. */
static __attribute__((always_inline)) inline int kb_solve(enum kb_engine engine, void *ctx,
							  const struct kb_header *hdr,
							  struct kb_scratch *s, __u64 state,
							  __u32 len)
{
	struct kb_env env = {0};
	struct kb_view view = {.env = &env, .hdr = hdr, .state = state};
	__u32 replicas = (__u32)(kb_read_once(hdr->shape[kb_gen_of(state) & 1]) >> 32);
	int why;

	if (replicas > 1)
		view.replica = kb_selector(engine, ctx) % replicas;
	why = kb_query_parse(s->msg, len, hdr, &s->q);
	if (why)
		return why;
	return kb_answer_value(&view, s, kb_lookup(&view, s->q.name.hash));
}

static __attribute__((always_inline)) inline void kb_count_answer(struct kb_percpu *cpu)
{
	kb_count(cpu, kb_reply_counter(&cpu->s.r));
	if (cpu->s.r.tc & KB_TC)
		kb_count(cpu, KB_CNT_TRUNCATED);
}

static inline __u64 kb_clock(const struct kb_header *hdr)
{
	return hdr->flags & KB_FLAG_LATENCY ? bpf_ktime_get_ns() : 0;
}

static __attribute__((noinline)) void kb_clock_count(struct kb_percpu *cpu, __u64 start)
{
	__u64 ns = bpf_ktime_get_ns() - start;
	__u32 b = 0;

	if (ns >> 16) {
		b += 16;
		ns >>= 16;
	}
	if (ns >> 8) {
		b += 8;
		ns >>= 8;
	}
	if (ns >> 4) {
		b += 4;
		ns >>= 4;
	}
	if (ns >> 2) {
		b += 2;
		ns >>= 2;
	}
	b += ns >> 1 & 1;
	cpu->hist[b & (KB_HIST_BUCKETS - 1)]++;
}

static __attribute__((always_inline)) inline void kb_clock_stop(struct kb_percpu *cpu, __u64 start)
{
	if (start)
		kb_clock_count(cpu, start);
}

/* Queries and answers up to these lengths are copied word by word, which a helper's call
 * would cost more than. */
#define KB_QUERY_DIRECT_MAX 112
#define KB_DIRECT_MAX	    80

/* Copies the message at pkt + off into msg. Returns 0, or 1 if it is too long for this or
 * not wholly there. `off` is a constant. */
static __attribute__((always_inline)) inline int kb_load_direct(const __u8 *pkt, const __u8 *end,
								__u32 off, __u8 *msg, __u32 len)
{
	const __u8 *from = pkt + off;
	__u32 i, rest = len - 16;

	if (len > KB_QUERY_DIRECT_MAX || len < 16)
		return 1;
	for (i = 0; i < KB_QUERY_DIRECT_MAX; i += 16) {
		if (i + 16 > len)
			break;
		if (from + i + 16 > end)
			return 1;
		kb_store64(msg + i, kb_load64(from + i));
		kb_store64(msg + i + 8, kb_load64(from + i + 8));
	}
	/* The last bytes once more, for lengths that are no multiple. */
	KB_BOUND(rest, 127);
	from += rest;
	if (from + 16 > end)
		return 1;
	kb_store64(msg + rest, kb_load64(from));
	kb_store64(msg + rest + 8, kb_load64(from + 8));
	return 0;
}

/* Copies cpu->s.out behind the question, which ends at pkt + off. Returns 0, or 1 if the
 * answer is too long for this, or -1 if the packet ends before. */
static __attribute__((always_inline)) inline int
kb_store_direct(__u8 *pkt, const __u8 *end, __u32 off, const __u8 *out, __u32 len)
{
	__u32 i, rest = len - 16;
	__u8 *to;

	if (len > KB_DIRECT_MAX || len < 16)
		return 1;
	KB_BOUND(off, 511);
	to = pkt + off;
	for (i = 0; i < KB_DIRECT_MAX; i += 16) {
		if (i + 16 > len)
			break;
		if (to + i + 16 > end)
			return -1;
		kb_store64(to + i, kb_load64(out + i));
		kb_store64(to + i + 8, kb_load64(out + i + 8));
	}
	if (len & 15) {
		KB_BOUND(rest, 127);
		to += rest;
		if (to + 16 > end)
			return -1;
		kb_store64(to, kb_load64(out + rest));
		kb_store64(to + 8, kb_load64(out + rest + 8));
	}
	return 0;
}

#endif
