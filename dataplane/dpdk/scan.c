// SPDX-License-Identifier: Apache-2.0
/* See scan.h. */
#include "dataplane/dpdk/scan.h"

#include <stddef.h>

#include "dataplane/dpdk/engine.h"

void kb_scan_plain(struct kb_burst_item *item, __u32 n, const struct kb_hash_key *key)
{
	for (; n; n--, item++)
		kb_name_scan(item->msg, KB_DNS_HDR, item->flow.dns_len - KB_DNS_HDR, key,
			     &item->q.name);
}

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi")))

#define BLOCKS 4 /* of eight bytes, in a vector */

/* The lanes of kb_name_add(), four blocks side by side. The product modulo 2^64 of two words is put
 * together from three of half words, of which two count from bit 32 on. */
struct lanes {
	__m256i low1, high1, low2, high2, sum;
};

_Static_assert(offsetof(struct kb_header, key) % 32 == 0 && sizeof(__u64[KB_NAME_BLOCKS]) % 32 == 0,
	       "vectors of the key are aligned");

/* Aligned to 32 bytes. */
KB_INLINE AVX2 __m256i load(const void *from)
{
	return _mm256_load_si256(from);
}

/* Not _mm256_loadu_si256(), which gcc makes two loads of for processors of long ago. */
KB_INLINE AVX2 __m256i load_any(const void *from)
{
	return _mm256_lddqu_si256(from);
}

KB_INLINE AVX2 void multiply(__m256i a, __m256i b, __m256i *low, __m256i *high)
{
	__m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b),
					 _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32)));

	*low = _mm256_add_epi64(*low, _mm256_mul_epu32(a, b));
	*high = _mm256_add_epi64(*high, cross);
}

/* Adds 32 bytes of a name, its blocks from i on. Those that `mask` has not are behind the name. */
KB_INLINE AVX2 void add(struct lanes *s, const struct kb_hash_key *key, __u32 i, __m256i v,
			__m256i mask)
{
	const __m256i low32 = _mm256_set1_epi64x(0xffffffff);
	__m256i upper, lo, hi;

	s->sum = _mm256_add_epi64(s->sum, _mm256_add_epi64(_mm256_and_si256(v, low32),
							   _mm256_srli_epi64(v, 32)));
	/* 'A'..'Z' are the 26 lowest of signed bytes here. */
	upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(-128 + 26),
				  _mm256_add_epi8(v, _mm256_set1_epi8(128 - 'A')));
	v = _mm256_or_si256(v, _mm256_and_si256(upper, _mm256_set1_epi8(0x20)));
	lo = _mm256_and_si256(v, low32);
	hi = _mm256_srli_epi64(v, 32);
	multiply(_mm256_and_si256(mask, _mm256_add_epi64(lo, load(key->a1 + i))),
		 _mm256_add_epi64(hi, load(key->b1 + i)), &s->low1, &s->high1);
	multiply(_mm256_and_si256(mask, _mm256_add_epi64(lo, load(key->a2 + i))),
		 _mm256_add_epi64(hi, load(key->b2 + i)), &s->low2, &s->high2);
}

/* Adds up both lanes and the sum. */
KB_INLINE AVX2 void finish(const struct lanes *s, const struct kb_hash_key *key, __u32 len,
			   struct kb_name_scan *ret)
{
	__m256i l1 = _mm256_add_epi64(s->low1, _mm256_slli_epi64(s->high1, 32));
	__m256i l2 = _mm256_add_epi64(s->low2, _mm256_slli_epi64(s->high2, 32));
	__m128i lanes, sum;
	__u64 h1, h2;

	l1 = _mm256_add_epi64(_mm256_unpacklo_epi64(l1, l2), _mm256_unpackhi_epi64(l1, l2));
	lanes = _mm_add_epi64(_mm256_castsi256_si128(l1), _mm256_extracti128_si256(l1, 1));
	h1 = (__u64)_mm_cvtsi128_si64(lanes) + key->len1 * len;
	h2 = (__u64)_mm_extract_epi64(lanes, 1) + key->len2 * len;
	h1 = (h1 & 0xffffffff00000000ULL) | (h2 >> 32);
	sum = _mm_add_epi64(_mm256_castsi256_si128(s->sum), _mm256_extracti128_si256(s->sum, 1));
	ret->hash = h1 ? h1 : 1;
	ret->sum = (__u64)_mm_cvtsi128_si64(sum) + (__u64)_mm_extract_epi64(sum, 1);
	ret->len = len;
}

/* From 32 - n on: n bytes that are kept, and others that are not. */
static const __u8 keep[64] KB_ALIGNED(64) = {
	[0 ... 31] = 0xff,
};

KB_INLINE AVX2 void scan(const __u8 *name, __u32 avail, const struct kb_hash_key *key,
			 struct kb_name_scan *ret)
{
	const __m256i zero = _mm256_setzero_si256();
	struct lanes s = {zero, zero, zero, zero, zero};
	__u32 at;

	ret->len = 0;
	if (avail > KB_NAME_MAX)
		avail = KB_NAME_MAX;
	for (at = 0; at < avail; at += 8 * BLOCKS) {
		__m256i v = load_any(name + at);
		__u32 ends = (__u32)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, zero)), n;

		if (!ends) {
			add(&s, key, at / 8, v, _mm256_set1_epi8(-1));
			continue;
		}
		n = (__u32)__builtin_ctz(ends);
		if (at + n + 1 > avail)
			return;
		v = _mm256_and_si256(v, load_any(keep + 32 - n));
		add(&s, key, at / 8, v, load_any(keep + 24 - (n & ~7U)));
		finish(&s, key, at + n + 1, ret);
		return;
	}
}

AVX2 static void scan_avx2(struct kb_burst_item *item, __u32 n, const struct kb_hash_key *key)
{
	for (; n; n--, item++)
		scan(item->msg + KB_DNS_HDR, item->flow.dns_len - (__u32)KB_DNS_HDR, key,
		     &item->q.name);
}

kb_scan_names *kb_scan_best(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") ? scan_avx2
									       : kb_scan_plain;
}
#else
kb_scan_names *kb_scan_best(void)
{
	return kb_scan_plain;
}
#endif
