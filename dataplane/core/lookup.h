/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a hash to a value, and from a miss to what it means.
 *
 * The engine gives access to the table by four functions, declared here and
 * defined by it before it includes answer.h (in BPF they are map look-ups, elsewhere
 * pointer arithmetic):
 *
 *   kb_env_bucket(env, gen, n)  bucket n of that generation, NULL if there is none
 *   kb_env_page(env, n)         arena page n, NULL if there is none (yet)
 */
#ifndef KB_CORE_LOOKUP_H
#define KB_CORE_LOOKUP_H

#include "query.h"

struct kb_env; /* the engine's own */

static inline const struct kb_bucket *kb_env_bucket(const struct kb_env *env, __u32 gen, __u32 n);
static inline const struct kb_page *kb_env_page(const struct kb_env *env, __u32 n);

/* A scan ran past KB_PROBE_MAX buckets or met a missing one. No value has this
 * kind, so it can be told apart from every answer. */
#define KB_LOOKUP_INCOMPLETE (7ULL << 60)

/*
 * Value of the name with this hash, 0 if it has none, or KB_LOOKUP_INCOMPLETE. The
 * home bucket's tags and values are loaded in any order; see layout.h for why no
 * order gives another name's value.
 */
KB_LEAF __u64 kb_lookup(const struct kb_env *env, const struct kb_header *hdr, __u64 state,
			__u32 replica, __u64 hash)
{
	__u32 gen = kb_gen_of(state);
	__u64 shape = kb_read_once(hdr->shape[gen & 1]);
	__u32 n = (__u32)shape, base = replica * n, b = kb_home_bucket(hash, n);
	__u32 i;

	for (i = 0; i < KB_PROBE_MAX; i++) {
		const struct kb_bucket *bucket = kb_env_bucket(env, gen, base + b);
		__u64 v0, v1, v2, v3;

		if (!bucket)
			return KB_LOOKUP_INCOMPLETE;
		v0 = kb_read_once(bucket->slot[0].value);
		v1 = kb_read_once(bucket->slot[1].value);
		v2 = kb_read_once(bucket->slot[2].value);
		v3 = kb_read_once(bucket->slot[3].value);
		if (kb_read_once(bucket->slot[0].tag) == hash)
			return v0 & ~KB_VALUE_OVERFLOW;
		if (kb_read_once(bucket->slot[1].tag) == hash)
			return v1;
		if (kb_read_once(bucket->slot[2].tag) == hash)
			return v2;
		if (kb_read_once(bucket->slot[3].tag) == hash)
			return v3;
		if (kb_likely(!(v0 & KB_VALUE_OVERFLOW)))
			return 0;
		b = b + 1 == n ? 0 : b + 1;
	}
	return KB_LOOKUP_INCOMPLETE;
}

#define KB_LABELS_MAX 128

struct kb_labels {
	__u8 start[KB_LABELS_MAX + 8]; /* offset of each label within the name */
	__u32 n;		       /* labels, the root not counted */
	__u32 zone;		       /* index into hdr->zone of the longest match */
	__u32 at;		       /* first label of that zone */
};

/* Walks the labels of the name at msg + KB_DNS_HDR, `len` wire bytes as found by the
 * scan. Returns 0, or KB_CNT_QNAME if the scan's end is not the end of a well-formed
 * uncompressed name. */
KB_LEAF int kb_labels_walk(const __u8 *msg, __u32 len, struct kb_labels *ret)
{
	__u32 off = 0, n;

	for (n = 0; n < KB_LABELS_MAX; n++) {
		__u32 at = off, label;

		KB_BOUND(at, 255);
		label = msg[KB_DNS_HDR + at];
		if (label == 0) {
			ret->n = n;
			ret->start[n & (KB_LABELS_MAX - 1)] = (__u8)at;
			return off + 1 == len ? 0 : KB_CNT_QNAME;
		}
		if (label > 63)
			return KB_CNT_QNAME;
		ret->start[n & (KB_LABELS_MAX - 1)] = (__u8)at;
		off += label + 1;
		if (off >= len)
			return KB_CNT_QNAME;
	}
	return KB_CNT_QNAME;
}

/* Does the name of `len` bytes end in the zone's bytes? */
KB_LEAF int kb_zone_ends(const __u8 *msg, __u32 len, const struct kb_zone *zone)
{
	__u32 zlen = zone->len, off = len - zlen, i;

	for (i = 0; i < KB_NAME_BLOCKS; i++) {
		__u64 w, mask = ~0ULL;
		__u32 at = off + i * 8;

		if (i * 8 >= zlen)
			return 1;
		if (zlen - i * 8 < 8)
			mask = (1ULL << ((zlen - i * 8) * 8)) - 1;
		KB_BOUND(at, 255);
		w = kb_fold64(kb_load64(msg + KB_DNS_HDR + at));
		if ((w ^ kb_load64(zone->name + i * 8)) & mask)
			return 0;
	}
	return 1;
}

/* At which label does the suffix of `zlen` bytes start? n + 1 if at none. */
KB_LEAF __u32 kb_label_at(const struct kb_labels *labels, __u32 off)
{
	__u32 i, n = labels->n;

	for (i = 0; i < KB_LABELS_MAX; i++) {
		if (i > n)
			break;
		if (labels->start[i & (KB_LABELS_MAX - 1)] == off)
			return i;
	}
	return n + 1;
}

/*
 * Finds the longest zone that holds the name. Returns 1 and sets labels->zone and
 * labels->at, or 0. A linear pass: clusters have three zones and a few stub domains.
 * The compare of the last eight bytes turns nearly all others away.
 */
KB_LEAF int kb_zone_find(const __u8 *msg, __u32 len, const struct kb_header *hdr,
			 struct kb_labels *labels)
{
	__u32 i, best = 0, end = len;
	__u64 tail;

	/* The name's last eight bytes; the message header precedes short names, and
	 * tail_mask keeps it out. */
	end += KB_DNS_HDR - 8;
	KB_BOUND(end, 511);
	tail = kb_fold64(kb_load64(msg + end));
	for (i = 0; i < KB_ZONES_MAX; i++) {
		const struct kb_zone *zone = &hdr->zone[i];
		__u32 zlen, at;

		if (i >= hdr->n_zones)
			break;
		zlen = zone->len;
		if ((tail ^ zone->tail) & zone->tail_mask)
			continue;
		if (zlen <= best || zlen > len || !kb_zone_ends(msg, len, zone))
			continue;
		at = kb_label_at(labels, len - zlen);
		if (at > labels->n)
			continue;
		best = zlen;
		labels->zone = i;
		labels->at = at;
	}
	return best != 0;
}

/* Is the name `above` labels above the zone, or something over it, entered as left?
 * Used only while the zone has KB_ZONE_SKIPS. */
KB_LEAF int kb_skipped(const struct kb_env *env, const struct kb_header *hdr, __u64 state,
		       __u32 replica, const __u8 *msg, __u32 len, const struct kb_labels *labels,
		       __u32 above)
{
	struct kb_name_scan scan;
	__u32 off;

	if (labels->at < above)
		return 0;
	off = labels->start[(labels->at - above) & (KB_LABELS_MAX - 1)];
	kb_name_scan(msg, KB_DNS_HDR + off, len - off, &hdr->key, &scan);
	if (scan.len == 0)
		return 0;
	return kb_value_kind(kb_lookup(env, hdr, state, replica, scan.hash)) == KB_VALUE_LEAVE;
}

#endif
