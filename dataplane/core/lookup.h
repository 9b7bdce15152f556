/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a hash to a value, and from a miss to what it means.
 *
 * The engine gives access to the table by three functions, declared here and defined by
 * it (in BPF they are map look-ups and a helper, elsewhere pointer arithmetic and a loop;
 * mapped.h has the latter):
 *
 *   kb_env_bucket(env, gen, n)  bucket n of that generation, NULL if there is none
 *   kb_env_page(env, n)         arena page n, NULL if there is none (yet)
 *   kb_env_loop(n, step, arg)   calls step(i, arg) up to n times, until it returns 1
 */
#ifndef KB_CORE_LOOKUP_H
#define KB_CORE_LOOKUP_H

#include "query.h"

struct kb_env; /* the engine's own */

static inline const struct kb_bucket *kb_env_bucket(const struct kb_env *env, __u32 gen, __u32 n);
static inline const struct kb_page *kb_env_page(const struct kb_env *env, __u32 n);
static inline void kb_env_loop(__u32 n, long (*step)(__u32 i, void *arg), void *arg);

/* The table as one packet sees it: fixed once, when the packet is first looked at. */
struct kb_view {
	const struct kb_env *env;
	const struct kb_header *hdr;
	__u64 state;
	__u32 replica;
	__u32 pad;
};

/* A scan ran past KB_PROBE_MAX buckets or met a missing one. No value has this
 * kind, so it can be told apart from every answer. */
#define KB_LOOKUP_INCOMPLETE (7ULL << 60)

/* Does the bucket answer? Then 1 and the value: the name's, or 0 when the name cannot lie in
 * a later bucket either. Tags and values are loaded in any order; see layout.h for why no
 * order gives another name's value. */
KB_INLINE int kb_bucket_find(const struct kb_bucket *bucket, __u64 hash, __u64 *ret_value)
{
	__u64 v0 = kb_read_once(bucket->slot[0].value), v1 = kb_read_once(bucket->slot[1].value);
	__u64 v2 = kb_read_once(bucket->slot[2].value), v3 = kb_read_once(bucket->slot[3].value);

#ifndef __bpf__
	/* Which slot it is cannot be foretold: branches cost 7 of 15 cycles here. */
	__u64 m0 = 0 - (__u64)(kb_read_once(bucket->slot[0].tag) == hash);
	__u64 m1 = 0 - (__u64)(kb_read_once(bucket->slot[1].tag) == hash);
	__u64 m2 = 0 - (__u64)(kb_read_once(bucket->slot[2].tag) == hash);
	__u64 m3 = 0 - (__u64)(kb_read_once(bucket->slot[3].tag) == hash);

	*ret_value = ((m0 & v0) | (m1 & v1) | (m2 & v2) | (m3 & v3)) & ~KB_VALUE_OVERFLOW;
	return (int)((m0 | m1 | m2 | m3 | ~v0) >> 63);
#else
	*ret_value = 0;
	if (kb_read_once(bucket->slot[0].tag) == hash)
		*ret_value = v0 & ~KB_VALUE_OVERFLOW;
	else if (kb_read_once(bucket->slot[1].tag) == hash)
		*ret_value = v1;
	else if (kb_read_once(bucket->slot[2].tag) == hash)
		*ret_value = v2;
	else if (kb_read_once(bucket->slot[3].tag) == hash)
		*ret_value = v3;
	else
		return !(v0 & KB_VALUE_OVERFLOW);
	return 1;
#endif
}

/* Goes on behind a home bucket that has overflowed. */
KB_LEAF __u64 kb_lookup_on(const struct kb_view *view, __u64 hash)
{
	__u32 gen = kb_gen_of(view->state);
	__u64 shape = kb_read_once(view->hdr->shape[gen & 1]), value;
	__u32 n = (__u32)shape, base = view->replica * n, b = kb_home_bucket(hash, n);
	__u32 step = kb_probe_step(hash), i;

	for (i = 1; i < KB_PROBE_MAX; i++) {
		const struct kb_bucket *bucket;

		b = kb_probe_next(b, step, n);
		bucket = kb_env_bucket(view->env, gen, base + b);
		if (!bucket)
			break;
		if (kb_bucket_find(bucket, hash, &value))
			return value;
	}
	return KB_LOOKUP_INCOMPLETE;
}

/* The bucket that a look-up reads first, NULL if it is missing. */
KB_INLINE const struct kb_bucket *kb_lookup_home(const struct kb_view *view, __u64 hash)
{
	__u32 gen = kb_gen_of(view->state);
	__u64 shape = kb_read_once(view->hdr->shape[gen & 1]);
	__u32 n = (__u32)shape;

	return kb_env_bucket(view->env, gen, view->replica * n + kb_home_bucket(hash, n));
}

/* kb_lookup() from that bucket on, for engines that had it fetched meanwhile. */
KB_INLINE __u64 kb_lookup_from(const struct kb_view *view, const struct kb_bucket *home, __u64 hash)
{
	__u64 value;

	if (!home)
		return KB_LOOKUP_INCOMPLETE;
	if (kb_likely(kb_bucket_find(home, hash, &value)))
		return value;
	return kb_lookup_on(view, hash);
}

/* Value of the name with this hash, 0 if it has none, or KB_LOOKUP_INCOMPLETE. */
KB_INLINE __u64 kb_lookup(const struct kb_view *view, __u64 hash)
{
	return kb_lookup_from(view, kb_lookup_home(view, hash), hash);
}

#define KB_LABELS_MAX 128

/*
 * Where the labels of a name start. `at` is the inverse of `start` and is not cleared
 * between names: an entry counts only if start[] agrees with it.
 */
struct kb_labels {
	__u8 start[KB_LABELS_MAX];
	__u8 at[KB_NAME_MAX + 1];
	__u32 n;       /* labels, the root not counted */
	__u32 zone;    /* index into hdr->zone of the longest match */
	__u32 zone_at; /* first label of that zone */
};

/* Walks the labels of the name at msg + KB_DNS_HDR, `len` wire bytes as found by the
 * scan. Returns 0, or KB_CNT_QNAME if the scan's end is not the end of a well-formed
 * uncompressed name. With `len` = off + 1 for a place `off` before the end it walks up to
 * there: 0 if a label starts just there. */
KB_INLINE int kb_labels_walk(const __u8 *msg, __u32 len, struct kb_labels *ret)
{
	__u32 off = 0, n;

	for (n = 0; n < KB_LABELS_MAX; n++) {
		__u32 label;

		KB_BOUND(off, 255);
		label = msg[KB_DNS_HDR + off];
		ret->start[n] = (__u8)off;
		ret->at[off] = (__u8)n;
		ret->n = n;
		off += label + 1;
		if (label == 0 || label > 63 || off >= len)
			break;
	}
	/* A well-formed name ends with the root label, just where the scan ended. */
	n = ret->n;
	KB_BOUND(n, KB_LABELS_MAX - 1);
	return ret->start[n] + 1U == len ? 0 : KB_CNT_QNAME;
}

/* One step compares eight bytes: 64 zones by their tails, and some whole names. */
#define KB_ZONE_STEPS	   192
#define KB_ZONE_STEPS_OPEN 8

struct kb_zone_search {
	const __u8 *msg;
	const struct kb_header *hdr;
	struct kb_labels *labels;
	__u64 tail; /* last eight bytes of the name */
	__u32 len;
	__u32 block; /* of eight bytes, within the zone at labels->zone */
	__u32 found;
	__u32 pad;
};

/* One step of the search; returns 1 to end it. */
KB_INLINE long kb_zone_compare(struct kb_zone_search *z)
{
	struct kb_labels *labels = z->labels;
	__u32 i = labels->zone, b = z->block, len = z->len, off, from;
	const struct kb_zone *zone;

	if (i >= z->hdr->n_zones)
		return 1;
	KB_BOUND(i, KB_ZONES_MAX - 1);
	zone = &z->hdr->zone[i];
	if (((z->tail ^ zone->tail) & zone->tail_mask) || zone->len > len)
		goto next;
	off = len - zone->len;
	from = off + 8 * b;
	KB_BOUND(from, 255);
	KB_BOUND(b, KB_NAME_BLOCKS - 1);
	/* Bytes behind the name are qtype and qclass: zone->mask is 0 there. */
	if ((kb_fold64(kb_load64(z->msg + KB_DNS_HDR + from)) ^ zone->name[b]) & zone->mask[b])
		goto next;
	if (8 * (b + 1) < zone->len) {
		z->block = b + 1;
		return 0;
	}
	/* Only at a label boundary. */
	KB_BOUND(off, 255);
	from = labels->at[off];
	KB_BOUND(from, KB_LABELS_MAX - 1);
	if (from <= labels->n && labels->start[from] == off) {
		labels->zone_at = from;
		z->found = 1;
		return 1;
	}
next:
	labels->zone = i + 1;
	z->block = 0;
	return 0;
}

KB_STEP long kb_zone_step(__u32 k, void *arg)
{
	(void)k;
	return kb_zone_compare(arg);
}

/*
 * Finds the longest zone that holds the name. Returns 1 and sets labels->zone and
 * labels->zone_at, or 0. The zones are sorted by falling length, so the first match is the
 * longest. A linear pass: clusters have three zones and a few stub domains, and the
 * compare of the last eight bytes turns nearly all others away. A few steps are taken at
 * once; the rest is the engine's loop, since the verifier follows a bpf_loop() body
 * once, but an open loop of this length for more than a million instructions.
 */
KB_LEAF int kb_zone_find(const __u8 *msg, __u32 len, const struct kb_header *hdr,
			 struct kb_labels *labels)
{
	struct kb_zone_search z = {.msg = msg, .hdr = hdr, .labels = labels, .len = len};
	__u32 end = len + KB_DNS_HDR - 8, k;

	/* The message header precedes names of less than eight bytes, and tail_mask keeps it
	 * out. */
	KB_BOUND(end, 511);
	z.tail = kb_fold64(kb_load64(msg + end));
	labels->zone = 0;
	for (k = 0; k < KB_ZONE_STEPS_OPEN; k++) {
		if (kb_zone_compare(&z))
			return (int)z.found;
	}
	kb_env_loop(KB_ZONE_STEPS, kb_zone_step, &z);
	return (int)z.found;
}

/* Is the label in front of the zone "pod"? */
KB_INLINE int kb_below_pod(const __u8 *msg, const struct kb_labels *labels)
{
	__u32 off;

	if (!labels->zone_at)
		return 0;
	off = labels->start[(labels->zone_at - 1) & (KB_LABELS_MAX - 1)];
	return (__u32)kb_fold64(kb_load64(msg + KB_DNS_HDR + off)) == 0x646f7003; /* 3 "pod" */
}

/* How many zones, and how long a name of one, kb_zone_find_near() looks at. */
#define KB_ZONES_NEAR 4
#define KB_ZONE_SHORT 32

/*
 * kb_zone_find() for nearly every miss, without a call, and with a walk that ends at the
 * apex: behind it the labels are the zone's. Returns 1 as that does, with labels->n counted up
 * to the apex, or 0, which says nothing.
 */
KB_INLINE int kb_zone_find_near(const __u8 *msg, __u32 len, const struct kb_header *hdr,
				struct kb_labels *labels)
{
	__u32 i, b;

	for (i = 0; i < KB_ZONES_NEAR; i++) {
		const struct kb_zone *zone = &hdr->zone[i];
		__u32 zone_len = zone->len, off = len - zone_len;

		if (i >= hdr->n_zones || zone_len > KB_ZONE_SHORT)
			return 0;
		if (zone_len > len)
			continue;
		KB_BOUND(off, 255);
		for (b = 0; b < KB_ZONE_SHORT; b += 8) {
			__u64 w;

			if (b >= zone_len)
				break;
			w = kb_fold64(kb_load64(msg + KB_DNS_HDR + off + b));
			if ((w ^ zone->name[b / 8]) & zone->mask[b / 8])
				break;
		}
		if (b < zone_len)
			continue;
		labels->zone = i;
		if (kb_labels_walk(msg, off + 1, labels))
			return 0; /* ill-formed, or not at a label boundary */
		labels->zone_at = labels->n;
		return 1;
	}
	return 0;
}

/* Finds the longest zone that holds the name, see kb_zone_find(), and whether the name is
 * well-formed. Returns 0 or the counter that says why not. */
KB_LEAF int kb_zone_search(const __u8 *msg, __u32 len, const struct kb_header *hdr,
			   struct kb_labels *labels)
{
	if (kb_labels_walk(msg, len, labels))
		return KB_CNT_QNAME;
	return kb_zone_find(msg, len, hdr, labels) ? 0 : KB_CNT_NO_ZONE;
}

/* Is the suffix that starts `above` labels before the zone entered as left? Used only
 * while the zone has KB_ZONE_SKIPS or KB_ZONE_PODS. */
KB_LEAF int kb_skipped(const struct kb_view *view, const __u8 *msg, __u32 len,
		       const struct kb_labels *labels, __u32 above)
{
	struct kb_name_scan scan;
	__u32 off;

	if (labels->zone_at < above)
		return 0;
	off = labels->start[(labels->zone_at - above) & (KB_LABELS_MAX - 1)];
	kb_name_scan(msg, KB_DNS_HDR + off, len - off, &view->hdr->key, &scan);
	if (scan.len == 0)
		return 0;
	return kb_value_kind(kb_lookup(view, scan.hash)) == KB_VALUE_LEAVE;
}

#endif
