/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The keyed hash of a name, and the walk over the bytes that it needs.
 *
 * Two lanes of MULTILINEAR-HM (Lemire and Kaser, "Strongly universal string
 * hashing is fast", 2014): for 32-bit words w and secret 64-bit keys,
 *
 *	lane = (k_len * length + sum over pairs (a + w_lo) * (b + w_hi)) >> 32
 *
 * is strongly universal, so two different names agree in both lanes with
 * probability 2^-64 over the choice of key. It needs one 64-bit multiplication
 * per lane for eight bytes, and no 128-bit product, which BPF does not have.
 * Mixers of the multiply-xor kind have collisions for every key and are not used.
 *
 * Names are hashed in wire form, lower-cased eight bytes at a time: label lengths
 * are below 64 and therefore never in 'A'..'Z' (RFC 4343 asks for ASCII case only).
 */
#ifndef KB_CORE_HASH_H
#define KB_CORE_HASH_H

#include "types.h"

#define KB_NAME_MAX    255 /* wire bytes with the root label, RFC 1035 section 3.1 */
#define KB_NAME_BLOCKS 32  /* of eight bytes */

/* Random, made once per table, secret: with it a tenant could craft collisions. For each block
 * of a name the a and b of both lanes, in an order that vectors can be loaded in. */
struct kb_hash_key {
	__u64 a1[KB_NAME_BLOCKS], b1[KB_NAME_BLOCKS];
	__u64 a2[KB_NAME_BLOCKS], b2[KB_NAME_BLOCKS];
	__u64 len1, len2;
};

struct kb_name_scan {
	__u64 hash; /* never 0 */
	__u64 sum;  /* one's complement sum of the name's bytes, little-endian words, unfolded */
	__u32 len;  /* wire length, root byte included; 0: no end within KB_NAME_MAX */
	__u32 pad;
};

#define KB_ONES 0x0101010101010101ULL

/* Lower-cases the ASCII letters among eight bytes. */
KB_INLINE __u64 kb_fold64(__u64 w)
{
	__u64 low7, above_z, from_a, upper;

	/* Bit 6 without bit 5: '@', upper case, '[' to '_'. Few names have any of these, and the
	 * test takes half the instructions of what it saves. */
	if (kb_likely(!(w & ~(w << 1) & (0x40 * KB_ONES))))
		return w;
	low7 = w & (0x7f * KB_ONES);
	above_z = low7 + (0x7f - 'Z') * KB_ONES;
	from_a = low7 + (0x80 - 'A') * KB_ONES;
	upper = (from_a ^ above_z) & ~w & (0x80 * KB_ONES);
	return w | (upper >> 2);
}

/* 0 if no byte of w is zero; otherwise the lowest bit that is set is bit 7 of the lowest
 * zero byte (higher bits may be set falsely). */
KB_INLINE __u64 kb_zero_bytes(__u64 w)
{
	return (w - KB_ONES) & ~w & (0x80 * KB_ONES);
}

/* The lowest zero byte of w as 0x80 in its place, 0 if there is none. */
KB_INLINE __u64 kb_zero_byte(__u64 w)
{
	__u64 z = kb_zero_bytes(w);

	return z & (0 - z);
}

/* 0x80 << 8k -> k */
KB_INLINE __u32 kb_byte_index(__u64 mark)
{
	return (__u32)(((mark >> 7) * 0x0001020304050607ULL) >> 56);
}

struct kb_name_sums {
	__u64 h1, h2; /* the lanes before their shift */
	__u64 sum;    /* as in struct kb_name_scan */
};

/* Adds the eight bytes of a name from `at`; bytes behind the name are 0. */
KB_INLINE void kb_name_add(struct kb_name_sums *s, const struct kb_hash_key *key, __u32 at,
			   __u64 block)
{
	__u32 i = at / 8;
	__u64 w = kb_fold64(block);
	__u32 lo = (__u32)w, hi = (__u32)(w >> 32);

	s->sum += (__u32)block;
	s->sum += block >> 32;
	s->h1 += (key->a1[i] + lo) * (key->b1[i] + hi);
	s->h2 += (key->a2[i] + lo) * (key->b2[i] + hi);
}

/*
 * Scans the name at msg + off up to its first zero byte. A zero byte inside a
 * label ends it early; such a string differs from every well-formed name, so a
 * lookup cannot find it, and callers that conclude something from a miss walk the
 * labels first (kb_labels_walk). msg must be readable for 264 bytes from off in
 * BPF (a mask proves it); elsewhere for `len` rounded up as far as the name goes
 * plus 7 bytes.
 *
 * In BPF this is a quarter of an answer's cost, by the count of instructions; hence the last
 * block, which takes more of them, is kept out of the loop.
 */
KB_INLINE void kb_name_scan(const __u8 *msg, __u32 off, __u32 avail, const struct kb_hash_key *key,
			    struct kb_name_scan *ret)
{
	struct kb_name_sums s = {0};
	__u64 block = 0, z = 0;
	__u32 at, len;

	ret->len = 0;
	KB_BOUND(off, 511);
	KB_BOUND(avail, 511);
	for (at = 0; at < 8 * KB_NAME_BLOCKS; at += 8) {
		if (at >= avail)
			return;
		block = kb_load64(msg + off + at);
		z = kb_zero_bytes(block);
		if (z)
			break;
		kb_name_add(&s, key, at, block);
	}
	if (!z)
		return;
	z &= 0 - z;
	len = at + kb_byte_index(z) + 1;
	if (len > KB_NAME_MAX || len > avail)
		return;
	KB_BOUND(at, 8 * KB_NAME_BLOCKS - 1);
	kb_name_add(&s, key, at, block & ((z >> 7) - 1));
	s.h1 += key->len1 * len;
	s.h2 += key->len2 * len;
	s.h1 = (s.h1 & 0xffffffff00000000ULL) | (s.h2 >> 32);
	ret->hash = s.h1 ? s.h1 : 1;
	ret->sum = s.sum;
	ret->len = len;
}

#endif
