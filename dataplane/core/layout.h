/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The shared table: memory layout and the protocol between its one writer
 * (kbdnsd, control/table) and its wait-free readers (BPF programs, DPDK workers,
 * the socket engine). All of it lives in mmapable BPF array maps pinned in bpffs.
 *
 *   kb_header  one struct kb_header: state, deadline, tunables, zones, allow-from
 *   kb_icept   KB_ICEPT_BUCKETS buckets of struct kb_icept: intercept addresses
 *   kb_index   array of maps, slot = generation & 1: `replicas` * `buckets` buckets
 *   kb_arena   array of maps, one page each: records, addressed by page and offset
 *   kb_workers readers outside the kernel, for grace periods: worker.h
 *   kb_percpu  per CPU and engine: counters, histogram, scratch (never shared)
 *   kb_events  ring of struct kb_event, written by the programs while the query log is on
 *   kb_pcache_*  answers of the forwarder: index, arena, use, as pcache.h has it
 *
 *   bucket (one cache line): | tag value | tag value | tag value | tag value |
 *   value:  63       62..60  59..56  55..32               31..0
 *           overflow kind    zone    arena ref (16 bytes)  IPv4 address or 0
 *
 * Protocol
 * --------
 * Readers rely on two things only: aligned 8-byte loads are not torn, and a load
 * whose address was computed from another load comes after it. Two loads of which
 * neither gives the other's address may be seen in either order.
 *
 *  1. state word. State and generation are one word, read once per packet. The
 *     index of a generation never changes place; growth builds the next one
 *     beside it in the other slot of kb_index and switches by one store. A slot is
 *     filled again only after a grace period, with a generation that never was.
 *  2. insert: store the tag, then (release) the value, in a slot whose tag and value
 *     are both 0. A reader that sees only one of them sees no entry.
 *  3. change: one store of the value. The old record is freed after every replica
 *     has changed and a grace period has passed.
 *  4. remove: store 0 in the value and in the tag; reuse the slot after a grace
 *     period. Clearing the value alone is not enough: a reader that starts after the
 *     grace period could load the old tag, be overtaken by the reuse, and load
 *     the new owner's value (the spin model in tests/model shows it).
 *  5. A name lies in its home bucket or in one of the next KB_PROBE_MAX - 1 of its own
 *     probe sequence (kb_probe_step). A bucket's overflow bit is in slot 0's value. It is
 *     set before an entry whose sequence passes this bucket is put into a later one, and
 *     cleared after the last such entry has gone. Without it a miss reads one line.
 *  6. Records in the arena are immutable from the store that publishes them until
 *     a grace period after the last reference has gone.
 *
 * A grace period ends when every BPF program run that began before it has ended
 * (RCU; membarrier(MEMBARRIER_CMD_GLOBAL) or the update of a map-in-map waits for
 * it) and every registered worker has passed a quiescent state, or has been declared gone
 * (worker.h).
 *
 * Every store the writer makes leaves a table that a new writer can adopt: an
 * entry is there (tag and value) or it is not; records that nothing refers to
 * are found by walking the index.
 */
#ifndef KB_CORE_LAYOUT_H
#define KB_CORE_LAYOUT_H

#include "counters.h"
#include "dns.h"
#include "hash.h"
#include "types.h"

#define KB_LAYOUT_MAGIC 0x736e64626bULL /* "kbdns" */
/* Raised whenever anything that two programs share changes: this page, the maps, their pins. Tests
 * of an upgrade build another one. */
#ifndef KB_LAYOUT_VERSION
#define KB_LAYOUT_VERSION 4
#endif

/* Index. */
#define KB_BUCKET_SLOTS 4
#define KB_PROBE_MAX	16 /* buckets a reader looks at before it calls the table incomplete */
#define KB_STEP_MAX \
	32 /* buckets from one of them to the next, at most; also of an index, at least */
#define KB_REPLICAS_MAX 64

struct kb_slot {
	__u64 tag;   /* hash of the name, 0: free */
	__u64 value; /* 0 (but for the overflow bit): no entry */
};

struct kb_bucket {
	struct kb_slot slot[KB_BUCKET_SLOTS];
} KB_ALIGNED(64);

_Static_assert(sizeof(struct kb_bucket) == 64, "a bucket is one cache line");

enum kb_value_kind {
	KB_VALUE_NONE = 0,
	KB_VALUE_A = 1,	    /* the name has exactly one A record, the address is in the value;
			     * other types are in the record, or do not exist if ref is 0 */
	KB_VALUE_REC = 2,   /* everything is in the record, or nothing exists (an empty
			     * non-terminal) if ref is 0; the address is a parameter of it */
	KB_VALUE_LEAVE = 3, /* the name, and everything below it, is left alone */
};

#define KB_VALUE_OVERFLOW (1ULL << 63)
#define KB_VALUE_REF_MAX  ((1U << 24) - 1)
#define KB_VALUE_ZONE_MAX 15

KB_INLINE __u64 kb_value(enum kb_value_kind kind, __u32 zone, __u32 ref, __be32 addr)
{
	return (__u64)kind << 60 | (__u64)(zone & 15) << 56 |
	       (__u64)(ref & KB_VALUE_REF_MAX) << 32 | (__u64)addr;
}
#define kb_value_kind(v) ((__u32)((v) >> 60) & 7)
#define kb_value_zone(v) ((__u32)((v) >> 56) & 15)
#define kb_value_ref(v)	 ((__u32)((v) >> 32) & KB_VALUE_REF_MAX)
#define kb_value_addr(v) ((__be32)(v))

/*
 * Where a name may lie. Names that count (web-1, web-2, ...) have arithmetic progressions in
 * either lane of the hash, which some keys spread badly over buckets; mixed, the two lanes
 * fill them like random numbers. The mixing is a bijection, so it adds no collisions.
 */
KB_INLINE __u64 kb_hash_mix(__u64 hash)
{
	return (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
}

/* The home bucket of a hash among n, without a division. */
KB_INLINE __u32 kb_home_bucket(__u64 hash, __u32 n)
{
	return (__u32)(((kb_hash_mix(hash) >> 32) * (__u64)n) >> 32);
}

/*
 * How far apart the buckets are that a name may lie in, 1..KB_STEP_MAX: bits that the home
 * does not use. With one step for all names, full buckets have full neighbours: 8 buckets in
 * a row are full when 45 to 57 % of all slots are, 16 when 55 to 63 %; 16 with a step of
 * each name's own when 69 to 78 % are (200,000 to 800,000 slots). A step stays near, so
 * that the next buckets are within a few pages of the first.
 */
KB_INLINE __u32 kb_probe_step(__u64 hash)
{
	return 1 + ((__u32)(kb_hash_mix(hash) >> 27) & (KB_STEP_MAX - 1));
}

/* The bucket `step` behind b among n. */
KB_INLINE __u32 kb_probe_next(__u32 b, __u32 step, __u32 n)
{
	b += step;
	return b >= n ? b - n : b;
}

/*
 * Arena. A ref counts units of 16 bytes; ref 0 means "no record", and the first
 * unit of page 0 is never given out. A record lies within one page. The guard behind
 * a page makes a masked offset plus a bounded length safe without a compare.
 */
#define KB_UNIT	      16
#define KB_PAGE_SIZE  (1U << 18)
#define KB_PAGE_GUARD 4096
#define KB_PAGE_UNITS (KB_PAGE_SIZE / KB_UNIT)
#define KB_PAGES_MAX  1024 /* 256 MiB */

struct kb_page {
	__u8 b[KB_PAGE_SIZE + KB_PAGE_GUARD];
};

/*
 * A record: what exists at a name (or at many names alike, see the forms).
 *
 *   struct kb_rec | dir[n_sets] | padding to 16 | set | body | patches | padding | set ...
 */
#define KB_REC_SETS_MAX	   8
#define KB_REC_OTHER_LEAVE 1 /* types without a set are left alone, not denied */

struct kb_dir {
	__be16 type; /* 0: any type that has no set of its own */
	__u16 unit;  /* of the set, from the start of the record */
};

struct kb_rec {
	__u8 n_sets;
	__u8 flags;
	__u16 units; /* size of the whole record */
	struct kb_dir dir[];
};

enum kb_form {
	/* The body is the answer in wire form; owner names and other compression
	 * pointers are absolute, so it belongs to one name length. */
	KB_FORM_WIRE = 1,
	/* SRV records whose target is the question's name without its first `arg`
	 * bytes; the body is `an` times priority, weight, port. The value's address is
	 * the target's only one and goes into the additional section. */
	KB_FORM_SRV_SELF = 2,
	/* One PTR whose target is the value's address with dashes, followed by
	 * the name in the body. */
	KB_FORM_PTR_DASHED = 3,
};

#define KB_SET_ROTATE 1 /* records of equal size that may be rotated and cut */
#define KB_SET_MORE   2 /* the RRset has more records than stand here: always TC over UDP */

#define KB_SRV_SELF_MAX 8    /* records in a KB_FORM_SRV_SELF set */
#define KB_BODY_MAX	1232 /* bytes of a body; what does not fit UDP is not stored */

struct kb_set {
	__u8 form;
	__u8 flags;
	__u8 rcode;  /* of a wire answer, for CNAMEs that lead nowhere (RFC 6604) */
	__u8 rr_len; /* bytes of each record if all are equal (A 16, AAAA 28), else 0 */
	__u16 an, ns, ar;
	__u16 len;     /* of the body */
	__u16 patches; /* after the body, which is padded to 2 */
	__u16 arg;
	__u8 body[];
};

_Static_assert(sizeof(struct kb_rec) == 4 && sizeof(struct kb_set) == 16, "arena layout");

/* A patch: 32-bit big-endian field of the body that the reader fills in. Records of
 * equal size need none: their TTLs stand at 6 + i * rr_len. */
enum kb_patch {
	KB_PATCH_TTL = 0,     /* the live ttl */
	KB_PATCH_SERIAL = 1,  /* the zones' serial */
	KB_PATCH_SOA_TTL = 2, /* TTL of an SOA: at most KB_SOA_TTL_MAX */
	KB_PATCH_MAX = 4,
};
#define KB_PATCH(kind, off) ((__u16)((kind) << 12 | (off)))
#define kb_patch_kind(p)    ((p) >> 12)
#define kb_patch_off(p)	    ((p)&0xfff)
#define KB_PATCHES_MAX	    80

/* SOA fields, as CoreDNS's kubernetes plugin has them. */
#define KB_SOA_TTL_MAX 300
#define KB_SOA_REFRESH 7200
#define KB_SOA_RETRY   1800
#define KB_SOA_EXPIRE  86400

/*
 * Zones, for what a miss means. The longest match wins, so they are sorted by falling
 * length; ids 1..15 belong to zones that answer, and stand in values. An id says how long a
 * zone's name is and what its flags are: zones alike in both may share it.
 */
#define KB_ZONES_MAX 64

enum kb_zone_flags {
	KB_ZONE_ANSWER = 1, /* a name that is not in the table does not exist */
	/* Some objects of this zone could not be taken over: before a name is
	 * denied, the names two and three labels below the zone above it are
	 * looked up as KB_VALUE_LEAVE. */
	KB_ZONE_SKIPS = 2,
	/* Not all names of Pods are in the table: the same for names below pod.Z, where the
	 * name two labels below the zone is N.pod.Z. */
	KB_ZONE_PODS = 4,
	/* Some of its names could not be stored: a miss says nothing about whose the name is. */
	KB_ZONE_REFUSED = 8,
};

struct kb_zone {
	__u64 tail;	 /* the last 8 bytes of the name, lower case, with... */
	__u64 tail_mask; /* ...this mask, for names shorter than that */
	__u8 len;	 /* wire length with the root byte; 0: unused */
	__u8 id;	 /* 1..15, 0 for zones that only leave */
	__u8 flags;
	__u8 pad[5];
	__u64 name[KB_NAME_BLOCKS]; /* lower case wire bytes, zero padded */
	__u64 mask[KB_NAME_BLOCKS]; /* which bytes of name[] count */
};

_Static_assert(sizeof(struct kb_zone) == 536, "zone layout");

/* Source prefixes that are served. */
#define KB_ALLOW_MAX 64

struct kb_allow4 {
	__be32 net, mask;
};
struct kb_allow6 {
	__u64 net[2], mask[2]; /* network order bytes */
};

enum kb_state {
	KB_OFF = 0,  /* leave everything */
	KB_HITS = 1, /* answer known names, leave unknown ones */
	KB_FULL = 2, /* answer both */
};
#define kb_state_word(gen, state) ((__u64)(gen) << 8 | (state))
#define kb_state_of(word)	  ((__u32)(word)&0xff)
#define kb_gen_of(word)		  ((__u32)((word) >> 8))

#define KB_FLAG_ROTATE	1
#define KB_FLAG_LATENCY 2 /* fill the latency histogram */
#define KB_FLAG_LOG	4 /* report queries, see event.h */

/* UDP payload we accept and announce: no fragments on any path (DNS flag day 2020). */
#define KB_UDP_MAX_DEFAULT 1232
#define KB_UDP_MIN	   512

struct kb_header {
	/* Never changes after the table was made. */
	__u64 magic;
	__u32 version;
	__u32 header_size;
	__u8 pad0[48];

	/* One line, read for each packet. */
	__u64 state;		    /* kb_state_word() */
	__u64 deadline;		    /* jiffies64 after which nothing is answered */
	__u64 icept_ports;	    /* bit (port & 63) is set if some intercept has such a port */
	__u64 shape[2];		    /* by generation & 1: buckets per replica | replicas << 32 */
	__be32 patch[KB_PATCH_MAX]; /* what a patch of each kind is filled with */
	__u16 udp_max;
	__u8 flags;
	__u8 n_zones;
	__u8 n_allow4;
	__u8 n_allow6;
	__u8 pad1[2];

	struct kb_hash_key key;
	struct kb_allow4 allow4[KB_ALLOW_MAX];
	struct kb_allow6 allow6[KB_ALLOW_MAX];
	struct kb_zone zone[KB_ZONES_MAX];
	__u8 zone_len[KB_VALUE_ZONE_MAX + 1]; /* by id, 0 if there is none */

	/* `deadline` for readers outside the kernel, which has no jiffies to show them:
	 * CLOCK_MONOTONIC ns. */
	__u64 deadline_ns;

	/* Of the query log, see event.h; looked at while KB_FLAG_LOG is set. */
	__u32 log_every;   /* one query in so many is reported */
	__u32 log_classes; /* bits of enum kb_event_class */

	__u64 worker_tune; /* kb_worker_tune_word() of worker_tune.h */

	/* The packet-path cache, see pcache.h; read for names outside only. */
	__u64 pcache_epoch;   /* of the entries that may be given; 0: none */
	__u64 pcache_last;    /* the last epoch there was; the writer's */
	__u32 pcache_buckets; /* of its index */
	__u32 hz;	      /* jiffies in a second */
	__u64 jiffies_base;   /* see kb_pcache_jiffies() */

	/* For the writer that adopts the table; readers do not look here. */
	__u32 arena_pages;
	__u32 rules;	    /* fingerprint of what all names were made by, 0: not all by one */
	__u64 writer_beats; /* CLOCK_BOOTTIME ns of the last beat */
	__u64 last_gen;	    /* newest generation that an index was begun for */
};

_Static_assert(__builtin_offsetof(struct kb_header, state) == 64, "the hot line is a line");
_Static_assert(__builtin_offsetof(struct kb_header, key) == 128, "and only one");

/*
 * Intercept addresses: a fixed table of buckets that are read whole, so that
 * removal needs no tombstones. IPv4 is ::ffff:a.b.c.d. Same protocol as slots: all
 * words are 0 in a free entry, `meta` is stored last (but `flags` may change later), an entry is
 * reused only after a grace period.
 */
#define KB_ICEPT_BUCKETS 256
#define KB_ICEPT_WAYS	 16
#define KB_ICEPT_MAX	 1024
#define KB_ICEPT_VALID	 (1ULL << 16)

struct kb_icept {
	__u64 addr[2]; /* network order bytes */
	__u64 meta;    /* port (network order) | KB_ICEPT_VALID */
	__u64 flags;   /* read only for names outside: costs the others nothing */
};

/* kbdnsd's own listen address, whose queries for names outside its forwarder answers. Never
 * set where these go on to somebody else's server. */
#define KB_ICEPT_FORWARDED 1ULL
/* The cluster DNS's address in local mode: the same, but at tc only, which takes queries of pods to
 * the forwarder. What comes in by a NIC goes on to the cluster DNS. */
#define KB_ICEPT_FORWARDED_TC 2ULL

struct kb_icept_bucket {
	struct kb_icept e[KB_ICEPT_WAYS];
};

/* Not secret and not keyed: only the cluster's own DNS addresses are stored. */
KB_INLINE __u32 kb_icept_hash(__u64 a0, __u64 a1, __be16 port)
{
	__u64 h = (a0 ^ (a1 * 0x9e3779b97f4a7c15ULL) ^ port) * 0xc2b2ae3d27d4eb4fULL;

	return (__u32)(h >> 56) & (KB_ICEPT_BUCKETS - 1);
}

#define KB_V4MAPPED(addr_be) ((__u64)(__u32)(addr_be) << 32 | 0xffff0000ULL)

#endif
