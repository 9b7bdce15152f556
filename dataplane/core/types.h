/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the answer core needs from its compiler, for the three places it is
 * compiled: by clang for BPF, by the C compiler for DPDK workers, and by the C
 * compiler for kbdnsd and the tests. Nothing here does I/O or needs a libc.
 */
#ifndef KB_CORE_TYPES_H
#define KB_CORE_TYPES_H

#include <linux/types.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the table's layout and the name hash are defined for little-endian machines"
#endif

#define KB_INLINE     static inline __attribute__((always_inline))
#define KB_ALIGNED(n) __attribute__((aligned(n)))

#ifdef __bpf__
/*
 * A leaf of its own for the verifier: few live registers, so that bounds made by
 * a mask are not spilled. Kernel 6.1 loses bounds on a spilled copy.
 */
#define KB_LEAF static __attribute__((noinline, unused)) /* no program needs all of them */
/*
 * Bounds a value by a mask that the compiler may not drop. It also makes a new
 * value in the verifier's eyes: a loop bound that is still the caller's register would
 * be narrowed there too at each exit of the loop, and every exit would be followed on its own
 * to the end of the program.
 */
#define KB_BOUND(var, mask)                   \
	do {                                  \
		(var) &= (mask);              \
		asm volatile("" : "+r"(var)); \
	} while (0)
/* The body of a kb_env_loop(). */
#define KB_STEP	  KB_LEAF
#define KB_UNROLL _Pragma("unroll")
#else
#define KB_LEAF static inline __attribute__((always_inline))
#define KB_STEP static inline
#define KB_UNROLL
#define KB_BOUND(var, mask) ((var) &= (mask))
#endif

#define kb_likely(x)   __builtin_expect(!!(x), 1)
#define kb_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Unaligned loads and stores. The BPF backend turns packed members and memcpy
 * into byte accesses, while every kernel that JITs for little-endian machines
 * accepts plain ones, hence the cast there; elsewhere memcpy is the defined form.
 */
#ifdef __bpf__
#define kb_load64(p)	 (*(const __u64 *)(p))
#define kb_load32(p)	 (*(const __u32 *)(p))
#define kb_load16(p)	 (*(const __u16 *)(p))
#define kb_store64(p, v) (*(__u64 *)(p) = (v))
#define kb_store32(p, v) (*(__u32 *)(p) = (v))
#define kb_store16(p, v) (*(__u16 *)(p) = (v))
#else
#define KB_DEFINE_ACCESS(bits)                              \
	KB_INLINE __u##bits kb_load##bits(const void *p)    \
	{                                                   \
		__u##bits v;                                \
		__builtin_memcpy(&v, p, sizeof(v));         \
		return v;                                   \
	}                                                   \
	KB_INLINE void kb_store##bits(void *p, __u##bits v) \
	{                                                   \
		__builtin_memcpy(p, &v, sizeof(v));         \
	}
KB_DEFINE_ACCESS(16)
KB_DEFINE_ACCESS(32)
KB_DEFINE_ACCESS(64)
#endif

/* Single-copy atomic access to an aligned word that another CPU may write. The thread sanitizer
 * does not know of address dependencies: for it they are acquire and release. */
#ifdef __SANITIZE_THREAD__
#define kb_read_once(x)	    __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define kb_write_once(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)
#else
#define kb_read_once(x)	    (*(const volatile __typeof__(x) *)&(x))
#define kb_write_once(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#endif

#define kb_swap16(v) __builtin_bswap16((__u16)(v))
#define kb_swap32(v) __builtin_bswap32((__u32)(v))

#endif
