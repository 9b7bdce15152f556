// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Local mode's address rewrite, see dataplane/core/local.h: kbdns_local_in behind kbdns_tc at tc
 * ingress of a pod's veth, kbdns_local_out at its egress.
 *
 * A new query is taken to kbdnsd only while it can answer: the state is FULL, the heartbeat within
 * its deadline, and the kernel finds kbdnsd's socket at the internal address. The socket goes with
 * the process, so that the next query after a kill is the cluster DNS's. A segment of a TCP
 * connection follows the connection instead, whatever the state: those that were open to the
 * cluster DNS go on there, and kbdnsd's own come to their end.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bpf/header.bpf.h"
#include "dataplane/core/flow.h"
#include "dataplane/core/local.h"

#define KB_IPPROTO_TCP	    6
#define KB_IPPROTO_FRAGMENT 44
#define KB_IPPROTO_ICMP6    58
#define KB_IP6_FRAGMENT_HDR 8
#define KB_TCP_HDR	    20
#define KB_TCP_SYN	    0x02
#define KB_TCP_ACK	    0x10
#define KB_TCP_LISTEN	    10 /* as bpf_sock.state has it */

/* What is read of a packet by its address: no more than the linear part of a TCP segment has in any
 * case, since to make more readable for each costs 300 ns. */
#define KB_LOCAL_HDRS4 (KB_ETH_HDR + KB_IP4_HDR + KB_TCP_HDR)
#define KB_LOCAL_HDRS6 (KB_ETH_HDR + KB_IP6_HDR + KB_TCP_HDR)

_Static_assert(KB_IP6_FRAGMENT_HDR + 4 <= KB_TCP_HDR, "a fragment's header is within");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_local);
} kb_local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_local_counts);
} kb_local_counts SEC(".maps");

static __attribute__((noinline)) void kb_local_count(__u32 id)
{
	__u32 zero = 0;
	struct kb_local_counts *c = bpf_map_lookup_elem(&kb_local_counts, &zero);

	if (c && id < KB_LOCAL_CNT_MAX)
		c->counter[id]++;
}

/* Makes the headers readable, as far as there are any. 0, or -1. */
static __attribute__((always_inline)) inline int kb_local_pull(struct __sk_buff *skb)
{
	__u64 have = (__u64)((long)skb->data_end - (long)skb->data);
	__u32 want = skb->protocol == KB_ETHER_IP6 ? KB_LOCAL_HDRS6 : KB_LOCAL_HDRS4;

	if (skb->len < want)
		want = skb->len;
	return kb_likely(have >= want) ? 0 : (int)bpf_skb_pull_data(skb, want);
}

/* An address that is to be replaced. */
struct kb_local_edit {
	__u64 from[2], to[2]; /* network order bytes; IPv4 in the upper half of [1] */
	__u32 off;	      /* of the address, from the Ethernet header */
	__u32 csum_off;	      /* of the checksum that covers it; 0: there is none in this packet */
	__u64 csum_flags;
	__u32 v6, pad;
};

/*
 * Where the kernel has summed the packet (CHECKSUM_COMPLETE), that sum stays right: the change of
 * an IPv4 address and that of its header's checksum cancel each other and are not told to it; of
 * an IPv6 address and of the transport's checksum both are. 0, or -1: half done.
 */
static __attribute__((noinline)) int kb_local_edit4(struct __sk_buff *skb,
						    const struct kb_local_edit *e)
{
	__u32 from = (__u32)(e->from[1] >> 32), to = (__u32)(e->to[1] >> 32);

	if (e->csum_off && bpf_l4_csum_replace(skb, e->csum_off, from, to,
					       e->csum_flags | BPF_F_PSEUDO_HDR | sizeof(to)))
		return -1;
	if (bpf_l3_csum_replace(skb, KB_ETH_HDR + 10, from, to, sizeof(to)))
		return -1;
	return bpf_skb_store_bytes(skb, e->off, &to, sizeof(to), 0) ? -1 : 0;
}

static __attribute__((noinline)) int kb_local_edit6(struct __sk_buff *skb, struct kb_local_edit *e)
{
	__s64 diff = bpf_csum_diff((__be32 *)e->from, sizeof(e->from), (__be32 *)e->to,
				   sizeof(e->to), 0);

	if (diff < 0)
		return -1;
	if (e->csum_off &&
	    bpf_l4_csum_replace(skb, e->csum_off, 0, (__u64)diff, e->csum_flags | BPF_F_PSEUDO_HDR))
		return -1;
	return bpf_skb_store_bytes(skb, e->off, e->to, sizeof(e->to), BPF_F_RECOMPUTE_CSUM) ? -1
											    : 0;
}

static __attribute__((always_inline)) inline int kb_local_edit(struct __sk_buff *skb,
							       struct kb_local_edit *e, __u32 count)
{
	if (e->v6 ? kb_local_edit6(skb, e) : kb_local_edit4(skb, e)) {
		kb_local_count(KB_LOCAL_CNT_FAILED);
		return TC_ACT_SHOT;
	}
	kb_local_count(count);
	return KB_TC_NEXT;
}

/* Is it bound to this very address? A socket at the wildcard one would be somebody else's. Loads of
 * a socket have to stay loads at a constant offset for the verifier, therefore the barriers. */
static __attribute__((always_inline)) inline int kb_local_bound(const struct bpf_sock *sk, __u32 v6,
								const struct bpf_sock_tuple *t)
{
	__u32 a, b, c, d;

	if (!v6) {
		a = sk->src_ip4;
		asm volatile("" : "+r"(a));
		return a == t->ipv4.daddr;
	}
	a = sk->src_ip6[0];
	b = sk->src_ip6[1];
	c = sk->src_ip6[2];
	d = sk->src_ip6[3];
	asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
	return a == t->ipv6.daddr[0] && b == t->ipv6.daddr[1] && c == t->ipv6.daddr[2] &&
	       d == t->ipv6.daddr[3];
}

/* Is kbdnsd's socket there? `t` has the addresses as they would be. 0 or the counter that says why
 * not. */
static __attribute__((noinline)) int kb_local_udp(struct __sk_buff *skb, __u32 v6,
						  struct bpf_sock_tuple *t)
{
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, t, v6 ? sizeof(t->ipv6) : sizeof(t->ipv4),
						BPF_F_CURRENT_NETNS, 0);
	int bound;

	if (!sk)
		return KB_LOCAL_CNT_NO_SOCKET;
	bound = kb_local_bound(sk, v6, t);
	bpf_sk_release(sk);
	return bound ? -1 : KB_LOCAL_CNT_NO_SOCKET;
}

static __attribute__((noinline)) int kb_local_tcp(struct __sk_buff *skb, __u32 v6,
						  struct bpf_sock_tuple *t, __u32 syn)
{
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, t, v6 ? sizeof(t->ipv6) : sizeof(t->ipv4),
						 BPF_F_CURRENT_NETNS, 0);
	int why = syn ? KB_LOCAL_CNT_NO_SOCKET : KB_LOCAL_CNT_NO_CONN;

	if (!sk)
		return why;
	if (kb_local_bound(sk, v6, t) && (syn || sk->state != KB_TCP_LISTEN))
		why = -1;
	bpf_sk_release(sk);
	return why;
}

/* May new queries be taken? -1, or the counter that says why not. */
static __attribute__((noinline)) int kb_local_in_force(const struct kb_flow *f)
{
	const struct kb_header *hdr = kb_get_header();

	if (!hdr || kb_state_of(kb_read_once(hdr->state)) != KB_FULL)
		return KB_LOCAL_CNT_OFF;
	if (bpf_jiffies64() > kb_read_once(hdr->deadline))
		return KB_LOCAL_CNT_STALE;
	return kb_source_search(hdr, f) ? -1 : KB_LOCAL_CNT_SOURCE;
}

/* Of a packet to port 53 of an address in force: what becomes of it. -1: it is taken, with its new
 * address in e; otherwise the counter that says why it is left. */
static __attribute__((noinline)) int kb_local_decide(struct __sk_buff *skb, const struct kb_flow *f,
						     struct kb_local_edit *e, __u32 tcp_flags)
{
	struct bpf_sock_tuple t = {0};
	__u32 syn = (tcp_flags & (KB_TCP_SYN | KB_TCP_ACK)) == KB_TCP_SYN;
	int why = -1;

	if (!tcp_flags || syn)
		why = kb_local_in_force(f);
	if (why >= 0)
		return why;
	if (f->v6) {
		__builtin_memcpy(t.ipv6.saddr, f->src, 16);
		__builtin_memcpy(t.ipv6.daddr, e->to, 16);
		t.ipv6.sport = f->sport;
		t.ipv6.dport = f->dport;
	} else {
		t.ipv4.saddr = (__u32)(f->src[1] >> 32);
		t.ipv4.daddr = (__u32)(e->to[1] >> 32);
		t.ipv4.sport = f->sport;
		t.ipv4.dport = f->dport;
	}
	return tcp_flags ? kb_local_tcp(skb, f->v6, &t, syn) : kb_local_udp(skb, f->v6, &t);
}

/* The index of the address of the cluster DNS that f->dst is, or -1. */
static __attribute__((noinline)) int kb_local_slot(const struct kb_flow *f, struct kb_local_edit *e)
{
	__u32 zero = 0, v6 = f->v6 & 1;
	const struct kb_local *l = bpf_map_lookup_elem(&kb_local, &zero);
	int i = l ? kb_local_find(l, v6, f->dst[0], f->dst[1]) : -1;

	if (i < 0)
		return -1;
	e->from[0] = f->dst[0];
	e->from[1] = f->dst[1];
	e->to[0] = l->base[v6][0];
	e->to[1] = l->base[v6][1] | (__u64)i << 56;
	e->v6 = v6;
	return i;
}

/* A packet to port 53, or a fragment of one: the rest of what is read of it, in an order that costs
 * other packets nothing. */
static __attribute__((always_inline)) inline int
kb_local_query(struct __sk_buff *skb, const __u8 *pkt, const __u8 *end, __u32 proto, __u32 fragment)
{
	struct kb_local_edit e = {0};
	struct kb_flow f = {0};
	const __u8 *ip = pkt + KB_ETH_HDR, *l4;
	__u32 tcp_flags = 0;
	int why;

	if (kb_load16(pkt + 12) == KB_ETHER_IP4) {
		l4 = ip + KB_IP4_HDR;
		f.src[1] = KB_V4MAPPED(kb_load32(ip + 12));
		f.dst[1] = KB_V4MAPPED(kb_load32(ip + 16));
		e.off = KB_ETH_HDR + 16;
		e.csum_off = KB_ETH_HDR + KB_IP4_HDR;
	} else {
		if (ip + KB_IP6_HDR + KB_UDP_HDR > end)
			return KB_TC_NEXT;
		l4 = ip + KB_IP6_HDR;
		f.v6 = 1;
		f.src[0] = kb_load64(ip + 8);
		f.src[1] = kb_load64(ip + 16);
		f.dst[0] = kb_load64(ip + 24);
		f.dst[1] = kb_load64(ip + 32);
		e.off = KB_ETH_HDR + 24;
		e.csum_off = KB_ETH_HDR + KB_IP6_HDR;
	}
	f.sport = kb_load16(l4);
	f.dport = kb_load16(l4 + 2);
	if (!fragment && proto == KB_IPPROTO_TCP) {
		if (l4 + KB_TCP_HDR > end)
			return KB_TC_NEXT;
		/* Bit 8 says that it is TCP, when none of the flags is set. */
		tcp_flags = 0x100 | l4[13];
		e.csum_off += 16;
	} else {
		e.csum_off += 6;
		e.csum_flags = BPF_F_MARK_MANGLED_0;
	}
	if (kb_local_slot(&f, &e) < 0)
		return KB_TC_NEXT;
	/* Where it goes could be said of the first fragment only, and no query is that long. */
	why = fragment ? KB_LOCAL_CNT_FRAGMENT : kb_local_decide(skb, &f, &e, tcp_flags);
	if (why < 0)
		return kb_local_edit(skb, &e, tcp_flags ? KB_LOCAL_CNT_TCP : KB_LOCAL_CNT_UDP);
	kb_local_count((__u32)why);
	return KB_TC_NEXT;
}

SEC("tc")
int kbdns_local_in(struct __sk_buff *skb)
{
	const __u8 *pkt, *end, *ip;
	__u32 proto, fragment;
	__be16 dport;

	if (kb_local_pull(skb)) {
		kb_local_count(KB_LOCAL_CNT_UNREADABLE);
		return KB_TC_NEXT;
	}
	pkt = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ip = pkt + KB_ETH_HDR;
	if (ip + KB_IP4_HDR + KB_UDP_HDR > end || skb->vlan_present)
		return KB_TC_NEXT;
	if (kb_load16(pkt + 12) == KB_ETHER_IP4) {
		if (ip[0] != 0x45)
			return KB_TC_NEXT;
		proto = ip[9];
		fragment = kb_load16(ip + 6) & 0xff3f;
		dport = kb_load16(ip + KB_IP4_HDR + 2);
	} else if (kb_load16(pkt + 12) == KB_ETHER_IP6) {
		if (ip + KB_IP6_HDR + KB_UDP_HDR > end)
			return KB_TC_NEXT;
		proto = ip[6];
		fragment = proto == KB_IPPROTO_FRAGMENT;
		dport = kb_load16(ip + KB_IP6_HDR + 2);
	} else {
		return KB_TC_NEXT;
	}
	if (kb_likely(!fragment && dport != kb_swap16(KB_LOCAL_PORT)))
		return KB_TC_NEXT;
	if (!fragment && proto != KB_IPPROTO_UDP && proto != KB_IPPROTO_TCP)
		return KB_TC_NEXT;
	return kb_local_query(skb, pkt, end, proto, fragment);
}

/* The address of the cluster DNS that stands behind an internal address, in e. -1 if this is none,
 * or has never been given out. */
static __attribute__((always_inline)) inline int kb_local_origin(__u32 v6, __u64 a0, __u64 a1,
								 struct kb_local_edit *e)
{
	__u32 zero = 0;
	const struct kb_local *l = bpf_map_lookup_elem(&kb_local, &zero);
	const struct kb_local_slot *s;

	if (!l || kb_likely(!kb_local_is_internal(l, v6, a0, a1)))
		return -1;
	s = &l->slot[v6][kb_local_index(a1)];
	__builtin_memset(e, 0, sizeof(*e));
	e->from[0] = a0;
	e->from[1] = a1;
	e->to[0] = kb_read_once(s->addr[0]);
	e->to[1] = kb_read_once(s->addr[1]);
	e->v6 = v6;
	return e->to[0] | e->to[1] ? 0 : -1;
}

/* Where the checksum that covers the addresses stands in a transport header, 0: in none. */
static __attribute__((always_inline)) inline __u32 kb_local_csum_at(__u32 proto, __u32 v6)
{
	return proto == KB_IPPROTO_UDP		 ? 6
	       : proto == KB_IPPROTO_TCP	 ? 16
	       : proto == KB_IPPROTO_ICMP6 && v6 ? 2
						 : 0;
}

SEC("tc")
int kbdns_local_out(struct __sk_buff *skb)
{
	struct kb_local_edit e;
	const __u8 *pkt, *end, *ip;
	__u32 proto, at, l4, later;

	if (kb_local_pull(skb)) {
		kb_local_count(KB_LOCAL_CNT_UNREADABLE);
		return KB_TC_NEXT;
	}
	pkt = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ip = pkt + KB_ETH_HDR;
	if (ip + KB_IP4_HDR > end)
		return KB_TC_NEXT;
	if (kb_load16(pkt + 12) == KB_ETHER_IP4) {
		if (kb_local_origin(0, 0, KB_V4MAPPED(kb_load32(ip + 12)), &e))
			return KB_TC_NEXT;
		e.off = KB_ETH_HDR + 12;
		l4 = KB_ETH_HDR + (ip[0] & 15U) * 4;
		proto = ip[9];
		later = kb_load16(ip + 6) & 0xff1f;
	} else if (kb_load16(pkt + 12) == KB_ETHER_IP6) {
		if (ip + KB_IP6_HDR > end ||
		    kb_local_origin(1, kb_load64(ip + 8), kb_load64(ip + 16), &e))
			return KB_TC_NEXT;
		e.off = KB_ETH_HDR + 8;
		l4 = KB_ETH_HDR + KB_IP6_HDR;
		proto = ip[6];
		later = 0;
		if (proto == KB_IPPROTO_FRAGMENT) {
			if (ip + KB_IP6_HDR + KB_IP6_FRAGMENT_HDR > end)
				return KB_TC_NEXT;
			proto = ip[KB_IP6_HDR];
			later = kb_load16(ip + KB_IP6_HDR + 2) & 0xf8ff;
			l4 += KB_IP6_FRAGMENT_HDR;
		}
	} else {
		return KB_TC_NEXT;
	}
	at = later ? 0 : kb_local_csum_at(proto, e.v6);
	if (at) {
		e.csum_off = l4 + at;
		e.csum_flags = proto == KB_IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	}
	return kb_local_edit(skb, &e, KB_LOCAL_CNT_REPLY);
}

/* Apache-2.0 or GPL-2.0, at the user's choice; the helpers ask for the latter. */
char LICENSE[] SEC("license") = "GPL";
