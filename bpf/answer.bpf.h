/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What both programs do between reading the packet and writing it: everything that
 * needs no packet access of its own kind.
 */
#ifndef KB_BPF_ANSWER_H
#define KB_BPF_ANSWER_H

#include "bpf/maps.bpf.h"

/* Checks that need no DNS: state, deadline, intercept, source. */
static __attribute__((noinline)) int kb_admit(const struct kb_header *hdr, __u64 state,
					      const struct kb_flow *f)
{
	__u32 n = kb_icept_hash(f->dst[0], f->dst[1], f->dport);
	const struct kb_icept_bucket *icept = bpf_map_lookup_elem(&kb_icept, &n);

	if (!icept || !kb_icept_find(icept, f))
		return KB_CNT_NOT_INTERCEPT;
	if (kb_state_of(state) == KB_OFF)
		return KB_CNT_OFF;
	if (bpf_jiffies64() > kb_read_once(hdr->deadline))
		return KB_CNT_STALE;
	if (!kb_source_allowed(hdr, f))
		return KB_CNT_SOURCE;
	return 0;
}

/* Parses s->msg and builds the answer. `selector` chooses the replica. */
static __attribute__((noinline)) int kb_solve(const struct kb_header *hdr, struct kb_scratch *s,
					      __u64 state, __u32 len, __u32 selector)
{
	struct kb_env env = {0};
	struct kb_view view = {.env = &env, .hdr = hdr, .state = state};
	__u32 replicas = (__u32)(kb_read_once(hdr->shape[kb_gen_of(state) & 1]) >> 32);
	int why;

	view.replica = replicas > 1 ? selector % replicas : 0;
	why = kb_query_parse(s->msg, len, hdr, &s->q);
	if (why)
		return why;
	return kb_answer_value(&view, s, kb_lookup(&view, s->q.name.hash));
}

static inline void kb_count_answer(struct kb_percpu *cpu)
{
	kb_count(cpu, kb_reply_counter(&cpu->s.r));
	if (cpu->s.r.tc)
		kb_count(cpu, KB_CNT_TRUNCATED);
}

static inline __u64 kb_clock(const struct kb_header *hdr)
{
	return hdr->flags & KB_FLAG_LATENCY ? bpf_ktime_get_ns() : 0;
}

static inline void kb_clock_stop(struct kb_percpu *cpu, __u64 start)
{
	__u64 ns;
	__u32 b = 0;

	if (!start)
		return;
	ns = bpf_ktime_get_ns() - start;
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

#endif
