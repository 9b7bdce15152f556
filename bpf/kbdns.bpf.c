// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The fast path for pods (kbdns_tc) and for NICs (kbdns_xdp), and the heartbeat.
 *
 * Every check comes before the first write. A packet that is not answered is left
 * byte for byte as it came, and the next program of the chain sees it.
 *
 * Where the time goes, in ns over an echo (bench/kernel_cost; parts by leaving out what follows
 * them; AMD EPYC, kernel 6.18): headers and intercept 4, copying the query 6, scanning the name
 * 25, look-up 12-17 (a call, and the bucket's line), building an A record 5, SOA 12, SOA and
 * zone 25, checksum 4-8, resizing 22-25, headers 10, copying the answer 5-10.
 *
 * Tried without gain: copying the query in words that the scan's loads match (so that stores are
 * forwarded), and loading type and class so. Not done: leaving the reply's UDP checksum 0,
 * which IPv4 allows. In tc it would be wrong wherever the query's is partial, since the mark
 * outlives the redirect; in xdp it would save less than 10 ns, and clients would no longer notice
 * an answer that was damaged on the wire.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bpf/answer.bpf.h"
#include "bpf/cache.bpf.h"
#include "bpf/log.bpf.h"

/* No IPv4 link has an MTU below this in practice, and IPv6 forbids one below 1280
 * (RFC 8200 section 5), so that only larger replies need to ask. */
#define KB_MTU_SAFE 576

/* The query was complete as well as partial, see kb_tc_csum. */
#define KB_CSUM_BOTH (1U << 16)

/* One's complement sum of the query's message. */
static __attribute__((noinline)) __u64 kb_msg_sum(__u8 *msg, __u32 len)
{
	__u64 sum = 0;
	__u32 i, end = len;

	KB_BOUND(end, 511);
	kb_store64(msg + end, 0);
	KB_BOUND(len, 1023);
	for (i = 0; i < KB_MSG_MAX; i += 8) {
		__u64 w;

		if (i >= len)
			break;
		w = kb_load64(msg + i);
		sum += (__u32)w;
		sum += w >> 32;
	}
	return sum;
}

/* Sum of the query's UDP header (checksum left out) and message, whatever it holds. */
static __attribute__((noinline)) __u64 kb_query_sum(struct kb_percpu *cpu)
{
	const struct kb_flow *f = &cpu->flow;

	return (__u64)f->sport + f->dport + kb_swap16(f->dns_len + KB_UDP_HDR) +
	       kb_msg_sum(cpu->s.msg, f->dns_len);
}

/*
 * The UDP checksum field of the reply, given the query's.
 *
 * A pod's datagram normally comes with CHECKSUM_PARTIAL: the field holds the sum of
 * the pseudo header, to be completed by whoever needs it (a NIC, a namespace behind the
 * pod). The mark outlives the redirect, so the reply's field must be of the same kind,
 * and nothing tells a program which kind it is. A field that differs from the pseudo
 * header's sum is a complete checksum. If they are equal, the field is partial, unless it
 * happens to be right as a complete one too, one in 65,536: then KB_CSUM_BOTH is set and
 * the kernel, which knows, updates the field (kb_tc_csum_both).
 */
static __attribute__((always_inline)) inline __u32 kb_tc_csum(struct kb_percpu *cpu, __u32 udp_len)
{
	const struct kb_flow *f = &cpu->flow;
	__u64 old = kb_csum_pseudo(f, f->dns_len + KB_UDP_HDR), new = kb_csum_pseudo(f, udp_len);
	__u64 sum;

	if (kb_csum_fold(old) != f->udp_csum)
		return kb_csum_field(new + kb_csum_reply(f, &cpu->s.q, &cpu->s.r, udp_len));
	if (!kb_csum_query(f, &cpu->s.q, cpu->s.msg, &sum))
		sum = kb_query_sum(cpu);
	if (kb_csum_fold(old + f->udp_csum + sum) == 0xffff)
		return KB_CSUM_BOTH | f->udp_csum;
	return kb_csum_fold(new);
}

/* Updates the old field, which has been written back, for the new length in the pseudo
 * header and, where the kernel takes the field for complete, for everything else. */
static __attribute__((noinline)) int kb_tc_csum_both(struct __sk_buff *skb, struct kb_percpu *cpu,
						     __u32 udp_len)
{
	__u32 off = (cpu->flow.v6 ? KB_HDRS6 : KB_HDRS4) - 2;
	__u64 new = kb_csum_reply(&cpu->flow, &cpu->s.q, &cpu->s.r, udp_len);
	__u64 diff = (__u64)kb_csum_fold(new) + (__u16)~kb_csum_fold(kb_query_sum(cpu));

	return bpf_l4_csum_replace(skb, off, kb_swap16(cpu->flow.dns_len + KB_UDP_HDR),
				   kb_swap16(udp_len),
				   BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | 2) ||
	       bpf_l4_csum_replace(skb, off, 0, diff, BPF_F_MARK_MANGLED_0);
}

/*
 * Copies between a packet and memory by the kernel's helpers. The lengths are bounded in
 * functions of their own: kernel 6.1 forgets what a compare has proven once the value has
 * been spilled. `len` is not 0.
 */
#define KB_DEFINE_COPY(name, ctx_type, mask, call)                                               \
	static __attribute__((noinline)) long name(ctx_type *ctx, __u32 off, __u8 *p, __u32 len) \
	{                                                                                        \
		len--;                                                                           \
		KB_BOUND(len, mask);                                                             \
		return call;                                                                     \
	}
KB_DEFINE_COPY(kb_skb_load, struct __sk_buff, KB_MSG_MAX - 1,
	       bpf_skb_load_bytes(ctx, off, p, len + 1))
KB_DEFINE_COPY(kb_xdp_load, struct xdp_md, KB_MSG_MAX - 1, bpf_xdp_load_bytes(ctx, off, p, len + 1))
KB_DEFINE_COPY(kb_skb_store, struct __sk_buff, KB_OUT_MASK,
	       bpf_skb_store_bytes(ctx, off, p, len + 1, 0))
KB_DEFINE_COPY(kb_xdp_store, struct xdp_md, KB_OUT_MASK, bpf_xdp_store_bytes(ctx, off, p, len + 1))

/*
 * What both programs do; `engine` is a constant, and the type of `ctx` is its own.
 */

/* From an admitted frame to the answer in cpu->s. Returns 0 or the
 * counter that says why not. */
static __attribute__((always_inline)) inline int kb_prepare(enum kb_engine engine, void *ctx,
							    const __u8 *pkt, const __u8 *end,
							    const struct kb_header *hdr,
							    struct kb_percpu *cpu, __u64 state)
{
	__u32 len = cpu->flow.dns_len, off = cpu->flow.v6 ? KB_HDRS6 : KB_HDRS4;

	if (len > KB_MSG_MAX || len == 0)
		return KB_CNT_OVERSIZE;
	if (kb_load_direct(pkt, end, off, cpu->s.msg, len) &&
	    (engine == KB_ENGINE_TC ? kb_skb_load(ctx, off, cpu->s.msg, len)
				    : kb_xdp_load(ctx, off, cpu->s.msg, len)))
		return KB_CNT_UNREADABLE;
	return kb_solve(engine, ctx, hdr, &cpu->s, state, len);
}

/* Does the interface take the reply? 0 or KB_CNT_MTU. */
static __attribute__((always_inline)) inline int
kb_check_mtu(void *ctx, const struct kb_percpu *cpu, __u64 frame_len)
{
	__u32 off = cpu->flow.v6 ? KB_HDRS6 : KB_HDRS4, mtu = 0;
	__u32 reply_len = off + cpu->s.q.end + cpu->s.r.len;

	if (reply_len > KB_MTU_SAFE + KB_ETH_HDR &&
	    bpf_check_mtu(ctx, 0, &mtu, (int)reply_len - (int)frame_len, 0))
		return KB_CNT_MTU;
	return 0;
}

/* Writes the reply over the query, in a frame that already has its length. Returns 0, or
 * -1 if it is not wholly there. */
static __attribute__((always_inline)) inline int
kb_finish(enum kb_engine engine, void *ctx, __u8 *pkt, __u8 *end, struct kb_percpu *cpu, __u16 csum)
{
	__u32 off = cpu->flow.v6 ? KB_HDRS6 : KB_HDRS4, len = cpu->s.r.len;
	__u32 dns_len = cpu->s.q.end + len;
	int done;

	if (pkt + KB_HDRS4 + KB_DNS_HDR > end)
		return -1;
	if (off == KB_HDRS6) {
		if (pkt + KB_HDRS6 + KB_DNS_HDR > end)
			return -1;
		kb_reply_headers(pkt, 1, &cpu->flow, &cpu->s.q, &cpu->s.r, dns_len, csum);
	} else {
		kb_reply_headers(pkt, 0, &cpu->flow, &cpu->s.q, &cpu->s.r, dns_len, csum);
	}
	off += cpu->s.q.end;
	done = kb_store_direct(pkt, end, off, cpu->s.out, len);
	if (done < 0)
		return -1;
	if (done && len &&
	    (engine == KB_ENGINE_TC ? kb_skb_store(ctx, off, cpu->s.out, len)
				    : kb_xdp_store(ctx, off, cpu->s.out, len)))
		return -1;
	return 0;
}

static __attribute__((always_inline)) inline __u32 kb_reply_len(const struct kb_percpu *cpu)
{
	return cpu->s.q.end + cpu->s.r.len;
}

static __attribute__((always_inline)) inline int kb_leave(const struct kb_header *hdr,
							  struct kb_percpu *cpu,
							  enum kb_engine engine, int why,
							  __u64 start, int verdict)
{
	kb_count(cpu, (enum kb_counter)(why & 63));
	kb_log_if_on(hdr, cpu, engine, (__u32)why & 63, start);
	return verdict;
}

static __attribute__((always_inline)) inline int kb_drop(struct kb_percpu *cpu, int verdict)
{
	kb_count(cpu, KB_CNT_WRITE_FAILED);
	return verdict;
}

/* Makes the query into the reply in cpu->s. Returns the verdict. */
static __attribute__((always_inline)) inline int
kb_tc_reply(struct __sk_buff *skb, const struct kb_header *hdr, struct kb_percpu *cpu, __u64 start)
{
	__u32 dns_len = kb_reply_len(cpu), csum = kb_tc_csum(cpu, dns_len + KB_UDP_HDR);
	__u8 *pkt, *end;

	if (bpf_skb_change_tail(skb, cpu->flow.dns_off + dns_len, 0))
		return kb_leave(hdr, cpu, KB_ENGINE_TC, KB_CNT_NO_ROOM, start, KB_TC_NEXT);
	/* From here on the packet is no longer the query. */
	pkt = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (kb_finish(KB_ENGINE_TC, skb, pkt, end, cpu, (__u16)csum))
		return kb_drop(cpu, TC_ACT_SHOT);
	if ((csum & KB_CSUM_BOTH) && kb_tc_csum_both(skb, cpu, dns_len + KB_UDP_HDR))
		return kb_drop(cpu, TC_ACT_SHOT);
	/* Frames for a bridge's MAC are PACKET_OTHERHOST, and kernels before 6.15 keep
	 * that over the redirect: the pod would drop the reply. */
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	kb_count_answer(cpu);
	kb_clock_stop(cpu, start);
	kb_log_if_on(hdr, cpu, KB_ENGINE_TC, KB_CNT_ANSWERED, start);
	return (int)bpf_redirect_peer(skb->ifindex, 0);
}

/*
 * The answer core has left the query because of `why`: the forwarder's answer, if there is one
 * that may be given. Not static, like its brother of XDP: so it is verified once and on its own,
 * where a static function, or a way back into the program, would be followed from
 * each state in which the core can end. (6.1 gives up over that.)
 */
__attribute__((noinline)) int kb_tc_outside(struct __sk_buff *skb, __u64 state, __u64 start,
					    int why)
{
	const struct kb_header *hdr = kb_get_header();
	struct kb_percpu *cpu = kb_get_percpu(KB_ENGINE_TC);

	if (!hdr || !cpu)
		return KB_TC_NEXT;
	why = kb_cached(KB_ENGINE_TC, state, why);
	if (!why)
		why = kb_check_mtu(skb, cpu, skb->len);
	return why ? kb_leave(hdr, cpu, KB_ENGINE_TC, why, start, KB_TC_NEXT)
		   : kb_tc_reply(skb, hdr, cpu, start);
}

SEC("tc")
int kbdns_tc(struct __sk_buff *skb)
{
	struct kb_header *hdr = kb_get_header();
	struct kb_percpu *cpu = kb_get_percpu(KB_ENGINE_TC);
	__u64 state, start;
	__u8 *pkt, *end;
	int why;

	if (!hdr || !cpu)
		return KB_TC_NEXT;
	state = kb_read_once(hdr->state);
	start = kb_clock(hdr);
	pkt = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	why = kb_flow_parse(pkt, end, skb->len, hdr, &cpu->flow);
	if (why == KB_CNT_UNREADABLE) {
		if (bpf_skb_pull_data(skb, skb->len < KB_HDRS6 ? skb->len : KB_HDRS6))
			goto leave;
		pkt = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		why = kb_flow_parse(pkt, end, skb->len, hdr, &cpu->flow);
	}
	if (why)
		goto leave;
	why = KB_CNT_NOT_IP;
	if (skb->vlan_present)
		goto leave;
	why = kb_admit_flow(hdr, state, &cpu->flow);
	if (why)
		goto leave;
	why = KB_CNT_GSO;
	if (skb->gso_size)
		goto leave;
	why = kb_prepare(KB_ENGINE_TC, skb, pkt, end, hdr, cpu, state);
	if (why && kb_may_be_cached(hdr, why))
		return kb_tc_outside(skb, state, start, why);
	if (!why)
		why = kb_check_mtu(skb, cpu, skb->len);
	if (!why)
		return kb_tc_reply(skb, hdr, cpu, start);
leave:
	return kb_leave(hdr, cpu, KB_ENGINE_TC, why, start, KB_TC_NEXT);
}

static __attribute__((noinline)) const struct kb_port_conf *kb_port_search(__u32 ifindex, __u64 mac)
{
	__u32 probe;

	for (probe = 1; probe < KB_PORT_PROBES; probe++) {
		__u32 place = kb_port_place(ifindex, probe);
		const struct kb_port_conf *port = bpf_map_lookup_elem(&kb_ports, &place);

		if (port && kb_port_is(port, ifindex, mac))
			return port;
	}
	return NULL;
}

/* The port that the frame came in by, if it is for it, and from a unicast address. */
static __attribute__((always_inline)) inline const struct kb_port_conf *kb_port_of(__u32 ifindex,
										   const __u8 *pkt)
{
	__u32 place = kb_port_place(ifindex, 0);
	const struct kb_port_conf *port = bpf_map_lookup_elem(&kb_ports, &place);
	__u64 mac = kb_port_mac(pkt);

	if (pkt[6] & 1)
		return NULL;
	if (kb_likely(port && kb_port_is(port, ifindex, mac)))
		return port;
	return kb_port_search(ifindex, mac);
}

/*
 * XDP_REDIRECT if the frame now goes to the worker of its queue, see steer.h. Otherwise it is to be
 * answered here. The worker's clock and this one are the same and coarse, which is read from memory
 * and not from a counter: milliseconds old, a part of KB_STEER_SILENT_NS.
 */
static __attribute__((always_inline)) inline int kb_steer(struct xdp_md *ctx, struct kb_percpu *cpu,
							  const struct kb_port_conf *port,
							  __u64 frame_len)
{
	__u32 steer = kb_read_once(port->steer), queue = ctx->rx_queue_index, key;
	const __u64 *beat;
	__u64 then;

	if (!steer || queue >= KB_STEER_QUEUES)
		return 0;
	key = kb_steer_key(steer, queue);
	beat = bpf_map_lookup_elem(&kb_steer_beat, &key);
	then = beat ? kb_read_once(*beat) : 0;
	if (kb_likely(!then) || frame_len > KB_STEER_FRAME_MAX || cpu->flow.dns_len > KB_MSG_MAX)
		return 0;
	if (bpf_ktime_get_coarse_ns() > then + KB_STEER_SILENT_NS) {
		cpu->steer_silent++;
		return 0;
	}
	if (bpf_redirect_map(&kb_xsks, key, XDP_TX) != XDP_REDIRECT) {
		cpu->steer_absent++;
		return 0;
	}
	kb_count(cpu, KB_CNT_STEERED);
	return XDP_REDIRECT;
}

/* See kb_tc_reply. */
static __attribute__((always_inline)) inline int kb_xdp_reply(struct xdp_md *ctx,
							      const struct kb_header *hdr,
							      struct kb_percpu *cpu,
							      __u64 frame_len, __u64 start)
{
	__u32 dns_len = kb_reply_len(cpu);
	__u64 sum = kb_csum_reply(&cpu->flow, &cpu->s.q, &cpu->s.r, dns_len + KB_UDP_HDR) +
		    kb_csum_pseudo(&cpu->flow, dns_len + KB_UDP_HDR);
	__u8 *pkt, *end;

	if (bpf_xdp_adjust_tail(ctx, (int)(cpu->flow.dns_off + dns_len) - (int)frame_len))
		return kb_leave(hdr, cpu, KB_ENGINE_XDP, KB_CNT_NO_ROOM, start, XDP_PASS);
	/* From here on the packet is no longer the query. */
	pkt = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (kb_finish(KB_ENGINE_XDP, ctx, pkt, end, cpu, kb_csum_field(sum)))
		return kb_drop(cpu, XDP_DROP);
	kb_count_answer(cpu);
	kb_clock_stop(cpu, start);
	kb_log_if_on(hdr, cpu, KB_ENGINE_XDP, KB_CNT_ANSWERED, start);
	return XDP_TX;
}

/* See kb_tc_outside. */
__attribute__((noinline)) int kb_xdp_outside(struct xdp_md *ctx, __u64 state, __u64 start, int why)
{
	const struct kb_header *hdr = kb_get_header();
	struct kb_percpu *cpu = kb_get_percpu(KB_ENGINE_XDP);
	__u64 frame_len = (__u64)((long)ctx->data_end - (long)ctx->data);

	if (!hdr || !cpu)
		return XDP_PASS;
	why = kb_cached(KB_ENGINE_XDP, state, why);
	if (!why)
		why = kb_check_mtu(ctx, cpu, frame_len);
	return why ? kb_leave(hdr, cpu, KB_ENGINE_XDP, why, start, XDP_PASS)
		   : kb_xdp_reply(ctx, hdr, cpu, frame_len, start);
}

/* With frags, since MTUs above about 3,500 are refused without. */
SEC("xdp.frags")
int kbdns_xdp(struct xdp_md *ctx)
{
	struct kb_header *hdr = kb_get_header();
	struct kb_percpu *cpu = kb_get_percpu(KB_ENGINE_XDP);
	const struct kb_port_conf *port;
	__u64 state, start, frame_len;
	__u8 *pkt, *end;
	int why;

	if (!hdr || !cpu)
		return XDP_PASS;
	state = kb_read_once(hdr->state);
	start = kb_clock(hdr);
	pkt = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	/* Only the linear part counts: a query that does not lie in it is left. */
	frame_len = (__u64)(end - pkt);
	why = kb_flow_parse(pkt, end, (__u32)frame_len, hdr, &cpu->flow);
	if (why)
		goto leave;
	why = kb_admit_flow(hdr, state, &cpu->flow);
	if (why)
		goto leave;
	why = KB_CNT_NOT_OURS;
	if (pkt + KB_ETH_HDR > end)
		goto leave;
	port = kb_port_of(ctx->ingress_ifindex, pkt);
	if (!port)
		goto leave;
	/* A frame of several buffers is longer than any query, and has no tail to adjust here. */
	why = KB_CNT_OVERSIZE;
	if (bpf_xdp_get_buff_len(ctx) != frame_len)
		goto leave;
	why = KB_CNT_LOOP;
	if (kb_unlikely(kb_icept_has_port(hdr, cpu->flow.sport)) && kb_from_icept(KB_ENGINE_XDP))
		goto leave;
	if (kb_steer(ctx, cpu, port, frame_len))
		return XDP_REDIRECT;
	why = kb_prepare(KB_ENGINE_XDP, ctx, pkt, end, hdr, cpu, state);
	if (why && kb_may_be_cached(hdr, why))
		return kb_xdp_outside(ctx, state, start, why);
	if (!why)
		why = kb_check_mtu(ctx, cpu, frame_len);
	if (!why)
		return kb_xdp_reply(ctx, hdr, cpu, frame_len, start);
leave:
	return kb_leave(hdr, cpu, KB_ENGINE_XDP, why, start, XDP_PASS);
}

/*
 * Run by kbdns-dpdk through BPF_PROG_TEST_RUN, with a frame that its worker has left and the port
 * in ifindex: receives it there, behind XDP. See steer.h.
 */
SEC("tc")
int kbdns_unsteer(struct __sk_buff *skb)
{
	return (int)bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
}

/*
 * The heartbeat, run by kbdnsd's main loop through BPF_PROG_TEST_RUN: the deadline is in
 * jiffies, which the programs read for a tenth of a nanosecond where a clock costs 14.
 */
struct kb_beat {
	__u64 ttl_jiffies;
	__u64 jiffies; /* out: now */
};

SEC("syscall")
int kbdns_beat(struct kb_beat *beat)
{
	struct kb_header *hdr = kb_get_header();
	__u64 now = bpf_jiffies64();

	if (!hdr)
		return 1;
	kb_write_once(hdr->deadline, now + beat->ttl_jiffies);
	beat->jiffies = now;
	return 0;
}

/* Apache-2.0 or GPL-2.0, at the user's choice; the helpers ask for the latter. */
char LICENSE[] SEC("license") = "GPL";
