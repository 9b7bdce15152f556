/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The packet-path cache: what kbdnsd's forwarder has answered for names outside, given again by
 * the packet engines for as long as its TTLs last. Layout and protocol; pcache_read.h is the
 * reader.
 *
 * It is asked only after the table has said that the name is nobody's here, and only for packets
 * to an address whose forwarder would answer them (kb_icept_is_forwarded), so it can never give
 * anything in place of a name of the cluster. What it does not give is left, as before, to the
 * forwarder.
 *
 *   kb_pcache_index  buckets of {tag, value} as in layout.h; an entry lies in one of two
 *   kb_pcache_arena  pages of 128-byte cells; a record is 1, 2, 4, 8 or 16 cells
 *   kb_pcache_use    a byte for each cell, of the record that begins there; readers write it
 *
 *   value:  63 .. 32   31 .. 0
 *           0          number of the record's first cell, plus 1; 0: no entry
 *
 * Protocol: one writer (kbdnsd's main thread), wait-free readers, as in layout.h.
 *
 *  1. A record is immutable from the store of the value that publishes it until a grace period
 *     after the last value that names it has gone. It holds all that it is the answer to, and a
 *     reader compares all of it: a tag beside another entry's value, which a slot may show
 *     while it changes hands, is a miss. So slots need no grace period, only records do.
 *  2. hdr->pcache_epoch voids all there is by one store: a record counts only if its
 *     epoch is this one. It changes with the upstreams and the zones, and when the cache is
 *     switched off (0) or begun anew.
 *  3. Readers write nothing but use bytes, and those seldom: bits that are set already are
 *     not set again, and the counts stop. Two CPUs that write one at the same time lose a use, or
 *     let two queries through where one would do.
 *
 * Time is jiffies64. TTLs count down from `stored`, which is never later than the moment from
 * which the forwarder's own cache counts, so that no TTL given here is larger than there.
 *
 * Refresh: in the last part of its life, from `refresh` on, a popular record lets one query
 * through in each quarter of what is left, on all CPUs together; the forwarder answers it and asks
 * upstream, and the new answer takes the record's place. All other queries are answered meanwhile.
 */
#ifndef KB_CORE_PCACHE_H
#define KB_CORE_PCACHE_H

#include "layout.h"

#define KB_PCACHE_CELL	     128
#define KB_PCACHE_PAGE_CELLS (KB_PAGE_SIZE / KB_PCACHE_CELL)
#define KB_PCACHE_CELLS_MAX  16 /* of a record */
#define KB_PCACHE_REC_MAX    (KB_PCACHE_CELLS_MAX * KB_PCACHE_CELL)

struct kb_pcache_rec {
	__u64 epoch;
	__u64 stored;  /* jiffies64 */
	__u32 refresh; /* jiffies after stored; not before `expires`: never */
	__u32 expires; /* likewise: not given from then on */
	/* The question. */
	__u32 tail;	/* type and class as in the message */
	__u8 name_len;	/* wire bytes with the root label */
	__u8 key_flags; /* KB_CD as in byte 3, KB_PCACHE_DO */
	/* The answer. */
	__u8 flags2; /* KB_AA, or 0 */
	__u8 flags3; /* KB_RA, rcode, and KB_AD: for queries with DO or AD only */
	__u16 an, ns, ar;
	__u16 len;   /* bytes of the body, at most KB_BODY_MAX */
	__u8 n_ttls; /* at most KB_PATCHES_MAX */
	__u8 pad;
	__u16 body;   /* where it begins: everything behind the question */
	__u16 ttls;   /* where the offsets of TTLs in the body begin, 16 bits each */
	__u16 sum;    /* one's complement sum of the body, folded, TTLs as they stand in it */
	__u64 name[]; /* lower case, padded with zeros to 8 */
};

_Static_assert(sizeof(struct kb_pcache_rec) == 48, "pcache layout");
_Static_assert(sizeof(struct kb_pcache_rec) + KB_NAME_BLOCKS * 8 + KB_BODY_MAX + 8 +
			       2 * KB_PATCHES_MAX <=
		       KB_PCACHE_REC_MAX,
	       "the largest record fits");

#define KB_PCACHE_DO 1

/* A use byte: how often the record has been given, up to KB_PCACHE_POPULAR; in which quarters
 * of its last part of life a query was let through; whether it was given since the writer
 * has looked. */
#define KB_PCACHE_POPULAR 2
#define KB_PCACHE_USES	  0x03
#define KB_PCACHE_QUARTER 0x1c
#define KB_PCACHE_VISITED 0x80

/* The use bytes, in lines: BPF maps have no smaller element than 8 bytes. */
#define KB_PCACHE_USE_LINE 64

struct kb_pcache_use {
	__u8 b[KB_PCACHE_USE_LINE];
};

/* jiffies64 at `now_ns` (CLOCK_MONOTONIC), for readers outside the kernel, which has no jiffies to
 * show them. One word says how far both clocks are apart, since two (the beat's) would be read
 * apart from each other. Valid once hdr->hz is not 0. */
KB_INLINE __u64 kb_pcache_jiffies(const struct kb_header *hdr, __u64 now_ns)
{
	return kb_read_once(hdr->jiffies_base) + now_ns / 1000000 * hdr->hz / 1000;
}

/* The tag of a question, from the hash of its name: never 0. For one name it is another for each
 * type and flags; for two names it is the same as seldom as their hashes. */
KB_INLINE __u64 kb_pcache_tag(__u64 hash, __u32 tail, __u32 key_flags)
{
	__u64 tag = hash ^ ((__u64)(tail & 0xffff) << 40 | (__u64)key_flags << 32);

	return tag ? tag : 1;
}

/* The two buckets of a tag among n: the first has bits of the hash that the second has not. */
KB_INLINE __u32 kb_pcache_place(__u64 tag, __u32 n, int second)
{
	__u64 mixed = kb_hash_mix(tag);

	if (second)
		mixed = mixed << 32 | (mixed >> 32 & 0xffff0000U);
	return (__u32)(((mixed >> 32) * (__u64)n) >> 32);
}

#endif
