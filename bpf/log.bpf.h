/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The query log of both programs, see dataplane/core/event.h.
 *
 * While it is off this is one test of a flag in the header's hot line. While it is on, one
 * query in log_every is given to kb_log(): a global function, which the verifier follows once,
 * whatever paths lead to it; so it takes numbers, and looks up its maps again.
 *
 * The reader is not woken for each event, which would be a switch of contexts for each; it looks
 * on its own now and then, and is woken when a quarter of the ring is full.
 *
 * By bench/kernel_cost with 1,000 names, with and without --log, in turn: an event costs 135 to
 * 200 ns, where an answer costs 100 to 145; one in 100, up to 40 ns a query; off, no difference
 * from programs without it was seen. (A busy machine: medians of nine rounds.)
 */
#ifndef KB_BPF_LOG_H
#define KB_BPF_LOG_H

#include "bpf/maps.bpf.h"
#include "dataplane/core/event_fill.h"

/* How often a CPU looks at how full the ring is: once in so many events of its own. */
#define KB_LOG_LOOK 16

/* `verdict` is the reason why the packet is left, or KB_CNT_ANSWERED for an answer in cpu->s.
 * `start`: of kb_clock(). Always 0. */
__attribute__((noinline)) int kb_log(enum kb_engine engine, __u32 verdict, __u64 start)
{
	const struct kb_header *hdr = kb_get_header();
	struct kb_percpu *cpu = kb_get_percpu(engine);
	__u64 how = BPF_RB_NO_WAKEUP, now;
	__u32 class = KB_EVENT_LEFT, every;
	struct kb_event *e;
	int left = verdict >= KB_CNT_FIRST_LEFT;

	if (!hdr || !cpu)
		return 0;
	every = kb_read_once(hdr->log_every);
	if (!every || !kb_sampler_take(&cpu->log_sampler, every, bpf_get_prandom_u32()))
		return 0;
	if (!left) {
		verdict = kb_reply_counter(&cpu->s.r);
		class = kb_event_class(cpu->s.r.rcode & 15,
				       verdict == KB_CNT_ANSWERED || cpu->s.r.an);
	}
	if (!(kb_read_once(hdr->log_classes) & class))
		return 0;
	e = bpf_ringbuf_reserve(&kb_events, sizeof(*e), 0);
	if (!e) {
		cpu->log_dropped++;
		return 0;
	}
	now = bpf_ktime_get_ns();
	e->time_ns = now;
	e->duration_ns = start ? (__u32)(now - start) : 0;
	kb_event_fill(e, engine, verdict, &cpu->flow, &cpu->s, left);
	if (++cpu->log_events % KB_LOG_LOOK == 0 &&
	    bpf_ringbuf_query(&kb_events, BPF_RB_AVAIL_DATA) > KB_EVENTS_SIZE / 4)
		how = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(e, how);
	return 0;
}

static __attribute__((always_inline)) inline void kb_log_if_on(const struct kb_header *hdr,
							       struct kb_percpu *cpu,
							       enum kb_engine engine, __u32 verdict,
							       __u64 start)
{
	if (kb_unlikely(hdr->flags & KB_FLAG_LOG) && kb_event_is_read(verdict) &&
	    !kb_sampler_skips(&cpu->log_sampler, kb_read_once(hdr->log_every)))
		kb_log(engine, verdict, start);
}

#endif
