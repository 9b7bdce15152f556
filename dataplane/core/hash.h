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

/* Random, made once per table, secret: with it a tenant could craft collisions. */
struct kb_hash_key {
	struct {
		__u64 a1, b1, a2, b2;
	} block[KB_NAME_BLOCKS];
	__u64 len1, len2;
};

struct kb_name_scan {
	__u64 hash; /* never 0 */
	__u64 sum;  /* one's complement sum of the name's bytes, little-endian words, unfolded */
	__u32 len;  /* wire length, root byte included; 0: no end within KB_NAME_MAX */
	__u32 pad;
};

/* Lower-cases the ASCII letters among eight bytes. */
KB_INLINE __u64 kb_fold64(__u64 w)
{
	const __u64 ones = 0x0101010101010101ULL;
	__u64 low7 = w & (0x7f * ones);
	__u64 above_z = low7 + (0x7f - 'Z') * ones;
	__u64 from_a = low7 + (0x80 - 'A') * ones;
	__u64 upper = (from_a ^ above_z) & ~w & (0x80 * ones);

	return w | (upper >> 2);
}

/* The lowest zero byte of w as 0x80 in its place, 0 if there is none (higher
 * places may be set falsely; only the lowest is exact). */
KB_INLINE __u64 kb_zero_byte(__u64 w)
{
	__u64 z = (w - 0x0101010101010101ULL) & ~w & 0x8080808080808080ULL;

	return z & (0 - z);
}

/* 0x80 << 8k -> k */
KB_INLINE __u32 kb_byte_index(__u64 mark)
{
	return (__u32)(((mark >> 7) * 0x0001020304050607ULL) >> 56);
}

/*
 * Scans the name at msg + off up to its first zero byte. A zero byte inside a
 * label ends it early; such a string differs from every well-formed name, so a
 * lookup cannot find it, and callers that conclude something from a miss walk the
 * labels first (kb_labels_walk). msg must be readable for 264 bytes from off in
 * BPF (a mask proves it); elsewhere for `len` rounded up as far as the name goes
 * plus 7 bytes.
 */
KB_INLINE void kb_name_scan(const __u8 *msg, __u32 off, __u32 avail, const struct kb_hash_key *key,
			    struct kb_name_scan *ret)
{
	__u64 h1 = 0, h2 = 0, sum = 0;
	__u32 i;

	ret->len = 0;
	KB_BOUND(off, 511);
	KB_BOUND(avail, 511);
	for (i = 0; i < KB_NAME_BLOCKS; i++) {
		__u64 w, raw, z, mask = ~0ULL;
		__u32 lo, hi;

		if (i * 8 >= avail)
			return;
		raw = kb_load64(msg + off + i * 8);
		z = kb_zero_byte(raw);
		if (z) {
			mask = (z >> 7) - 1;
			raw &= mask;
		}
		sum += (__u32)raw;
		sum += raw >> 32;
		w = kb_fold64(raw);
		lo = (__u32)w;
		hi = (__u32)(w >> 32);
		h1 += (key->block[i].a1 + lo) * (key->block[i].b1 + hi);
		h2 += (key->block[i].a2 + lo) * (key->block[i].b2 + hi);
		if (z) {
			__u32 len = i * 8 + kb_byte_index(z) + 1;

			if (len > KB_NAME_MAX || len > avail)
				return;
			h1 += key->len1 * len;
			h2 += key->len2 * len;
			h1 = (h1 & 0xffffffff00000000ULL) | (h2 >> 32);
			ret->hash = h1 ? h1 : 1;
			ret->sum = sum;
			ret->len = len;
			return;
		}
	}
}

#endif
