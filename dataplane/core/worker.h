/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Epoch counters: how the writer of the table knows which readers outside the kernel may still
 * hold something that it wants to use again. This is the readers' side, control/table/epochs.h
 * the writer's. One mmapable array map of one value, kb_workers, pinned beside the table:
 *
 *   struct kb_workers | epoch, announced | row 0 | row 1 | ...
 *
 * Rows 0..KB_WORKERS_LOCAL-1 are for kbdnsd's own threads, the others for processes like
 * kbdns-dpdk. A row is two cache lines: the first is written by the worker, the second by
 * kbdnsd alone. No word has two writers, but for `owner`, which is only changed by
 * compare-and-swap.
 *
 * A life
 * ------
 *   register   takes a free row: owner becomes the row's next registration number.
 *   online     before it reads the table; it notes the writer's epoch in `seen`.
 *   quiescent  while online, between two bursts, holding nothing: the epoch anew.
 *   offline    before anything that may block or wait. An offline worker delays nobody.
 *
 * All that the worker says carries the registration's number. A worker that was stopped for so
 * long that its row went to another can therefore spoil what the other has said with a late
 * store, but not pass for it: the writer takes a foreign number for "online since ever".
 *
 * Grace period (writer): unpublish; add 1 to `epoch`, which gives E; wait until each row is free,
 * or offline, or has seen E. Then nobody holds what was unpublished before:
 *
 *  - quiescent: the load of `epoch` is an acquire, the store of `seen` a release. If the writer
 *    finds seen >= E, the worker's earlier reads of the table were before that store,
 *    and its later ones are after the load that found E, hence after all that the writer did
 *    before E.
 *  - online: what follows the store of `seen` must not overtake it, which takes a full fence
 *    here and one on the writer's side between adding to `epoch` and looking at the rows. Either
 *    the writer finds the worker online, or the worker's reads find what the writer did.
 *  - a row that is taken while the writer looks: the same fences, since online comes after.
 *
 * Gone
 * ----
 * A worker in another process may stop (SIGSTOP, a debugger, a crash) while online. The writer
 * waits for a bounded time, then puts the number of that registration into `gone` before it
 * uses anything again. So the worker, after it has copied all that it needs out of the table and
 * before it sends, asks kb_reader_still_mine(); if not, it discards the burst (whatever it
 * read may be torn, or another name's; the core's masks kept it within the mappings), and
 * registers again. The writer's store of `gone` is before (release fence) every store by
 * which it uses memory again; the worker's loads of the table are before (acquire fence) its load
 * of `gone`: if any of the former met such a store, the latter finds `gone`. A row that is silent
 * (beat_ns) for KB_WORKER_SILENT_NS is taken back.
 *
 * kbdnsd's own threads are not declared gone: they stop only together with it, and memory that
 * they read is unmapped after the grace period. They never wait for anything while online.
 *
 * Generations of the index
 * ------------------------
 * A worker in another process has to map each generation's index, which a thread of its own
 * does, not the one that answers. Before the writer switches, it puts the next generation into
 * `announced`, whose index can be opened by then, and waits, bounded, until each worker's
 * `mapped` says that it has it. A worker that has not mapped the generation of the state word
 * leaves packets alone. A generation's number is used for one index only, in one slot; so who
 * finds the same number after it has opened the slot's pin as before, has opened that
 * index.
 *
 * All of this holds on machines as weakly ordered as arm64: readers here are no BPF programs, and
 * may use acquire, release and fences.
 */
#ifndef KB_CORE_WORKER_H
#define KB_CORE_WORKER_H

#include "types.h"

#define KB_WORKERS_LOCAL 64 /* rows of kbdnsd's own threads, the first ones */
#define KB_WORKERS_MAX	 128

/* Workers say that they live at least this often; a row that is silent for SILENT_NS is
 * taken back. Engines may ask for more (a hand-over within milliseconds, say). */
#define KB_WORKER_BEAT_NS   1000000000ULL
#define KB_WORKER_SILENT_NS 10000000000ULL

/* Number of a registration in the upper bits of what a worker says. */
#define KB_WORKER_NUMBER_SHIFT 40
#define KB_WORKER_NUMBER_MAX   ((1ULL << 24) - 1)
#define KB_WORKER_SAID_MASK    ((1ULL << KB_WORKER_NUMBER_SHIFT) - 1)
#define kb_worker_said(number, what) \
	((__u64)(number) << KB_WORKER_NUMBER_SHIFT | ((what)&KB_WORKER_SAID_MASK))
#define kb_worker_number_of(word) ((word) >> KB_WORKER_NUMBER_SHIFT)

/* In `owner`, below the number. */
#define KB_WORKER_TAKEN 1ULL
/* In `seen`. Epochs begin at 1. */
#define KB_WORKER_OFFLINE 0ULL
/* In `mapped` and `announced`: a generation, or 0 for none. */
#define kb_worker_gen(gen) (1ULL << 32 | (__u32)(gen))

/* In `ask`. A registration that is not the number's has not been asked for anything new. */
enum kb_worker_ask {
	KB_WORKER_ASK_SERVE = 1,
	KB_WORKER_ASK_DRAIN = 2, /* give the queue away, and answer what still comes */
	KB_WORKER_ASK_STOP = 3,	 /* the same, and end: its process, with all workers of it */
};

struct kb_worker_row {
	/* The worker's line. */
	__u64 owner;	  /* number | KB_WORKER_TAKEN, or the last number alone: free */
	__u64 seen;	  /* number | epoch of the last quiescent state, or KB_WORKER_OFFLINE */
	__u64 mapped;	  /* number | kb_worker_gen() of the newest index that is mapped */
	__u64 beat_ns;	  /* CLOCK_MONOTONIC, as bpf_ktime_get_ns() gives it */
	__u64 started_ns; /* likewise, of the registration */
	__u32 pid;	  /* for the operator, in the worker's own namespace */
	__u32 ifindex;	  /* of the port that it serves, 0: none */
	__u32 queue;
	__u32 pad;
	__u64 discarded; /* packets of bursts that were given up because of `gone` */
	/* kbdnsd's line. */
	__u64 gone KB_ALIGNED(64); /* number that was declared gone last */
	__u64 ask;		   /* number | enum kb_worker_ask, what kbdnsd wants of it */
};

struct kb_workers {
	__u64 epoch;	 /* of the writer; 0: not opened yet */
	__u64 announced; /* kb_worker_gen() of the index that will be switched to */
	struct kb_worker_row row[KB_WORKERS_MAX];
};

_Static_assert(sizeof(struct kb_worker_row) == 128, "a line for each side");
_Static_assert(sizeof(struct kb_workers) == 64 + 128 * KB_WORKERS_MAX, "and one for all");

#ifndef __bpf__

/* A worker's hold on its row; private to the thread that reads the table. */
struct kb_reader {
	struct kb_worker_row *row; /* borrowed; NULL: not registered */
	const __u64 *epoch;	   /* borrowed */
	__u64 number;
};

struct kb_reader_info {
	__u32 pid, ifindex, queue;
};

/* The number after this one; 0 is never one. */
KB_INLINE __u64 kb_worker_number_next(__u64 number)
{
	return number == KB_WORKER_NUMBER_MAX ? 1 : number + 1;
}

/* Takes the row if it is free, or if `from` says that it is held by that registration. */
KB_INLINE int kb_reader_take(struct kb_reader *r, struct kb_worker_row *row, __u64 owner)
{
	__u64 number = kb_worker_number_next(kb_worker_number_of(owner));

	if (!__atomic_compare_exchange_n(&row->owner, &owner,
					 kb_worker_said(number, KB_WORKER_TAKEN), 0,
					 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return 0;
	r->row = row;
	r->number = number;
	__atomic_store_n(&row->seen, kb_worker_said(number, KB_WORKER_OFFLINE), __ATOMIC_RELEASE);
	return 1;
}

KB_INLINE void kb_reader_beat(const struct kb_reader *r, __u64 now_ns)
{
	__atomic_store_n(&r->row->beat_ns, now_ns, __ATOMIC_RELAXED);
}

/*
 * Registers, offline, in the first free row of [first, end). Returns 1, or 0 when all are taken.
 * The caller maps the current index before it goes online, and says so (kb_reader_mapped).
 */
KB_INLINE int kb_reader_register(struct kb_reader *r, struct kb_workers *w, __u32 first, __u32 end,
				 const struct kb_reader_info *info, __u64 now_ns)
{
	for (__u32 i = first; i < end; i++) {
		struct kb_worker_row *row = &w->row[i];
		__u64 owner = __atomic_load_n(&row->owner, __ATOMIC_RELAXED);

		if (owner & KB_WORKER_TAKEN || !kb_reader_take(r, row, owner))
			continue;
		r->epoch = &w->epoch;
		kb_reader_beat(r, now_ns);
		__atomic_store_n(&row->started_ns, now_ns, __ATOMIC_RELAXED);
		__atomic_store_n(&row->pid, info->pid, __ATOMIC_RELAXED);
		__atomic_store_n(&row->ifindex, info->ifindex, __ATOMIC_RELAXED);
		__atomic_store_n(&row->queue, info->queue, __ATOMIC_RELAXED);
		__atomic_store_n(&row->discarded, 0, __ATOMIC_RELAXED);
		return 1;
	}
	return 0;
}

/* From here on it may read the table. */
KB_INLINE void kb_reader_online(const struct kb_reader *r)
{
	__u64 epoch = __atomic_load_n(r->epoch, __ATOMIC_ACQUIRE);

	__atomic_store_n(&r->row->seen, kb_worker_said(r->number, epoch), __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* It holds nothing, and goes on. */
KB_INLINE void kb_reader_quiescent(const struct kb_reader *r)
{
	__u64 epoch = __atomic_load_n(r->epoch, __ATOMIC_ACQUIRE);

	__atomic_store_n(&r->row->seen, kb_worker_said(r->number, epoch), __ATOMIC_RELEASE);
}

/* It holds nothing, and does not read until the next kb_reader_online. */
KB_INLINE void kb_reader_offline(const struct kb_reader *r)
{
	__atomic_store_n(&r->row->seen, kb_worker_said(r->number, KB_WORKER_OFFLINE),
			 __ATOMIC_RELEASE);
}

/* Is what was copied out of the table since online (or quiescent) good? After the last read of
 * the table, before anything is sent. If not: discard, kb_reader_rejoin. */
KB_INLINE int kb_reader_still_mine(const struct kb_reader *r)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&r->row->gone, __ATOMIC_RELAXED) != r->number &&
	       __atomic_load_n(&r->row->owner, __ATOMIC_RELAXED) ==
		       kb_worker_said(r->number, KB_WORKER_TAKEN);
}

/*
 * After it was declared gone, holding nothing: the next registration, offline, in the same row.
 * Returns 0 if the row was taken back; then kb_reader_register is due. `mapped` has to be said
 * again in either case.
 */
KB_INLINE int kb_reader_rejoin(struct kb_reader *r)
{
	struct kb_worker_row *row = r->row;

	if (kb_reader_take(r, row, kb_worker_said(r->number, KB_WORKER_TAKEN)))
		return 1;
	r->row = NULL;
	return 0;
}

/* Offline. If the row was taken back meanwhile, nothing happens. */
KB_INLINE void kb_reader_unregister(struct kb_reader *r)
{
	__u64 owner = kb_worker_said(r->number, KB_WORKER_TAKEN);

	__atomic_compare_exchange_n(&r->row->owner, &owner, kb_worker_said(r->number, 0), 0,
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	r->row = NULL;
}

/* The index of this generation, and those before it that the table still has, are mapped. */
KB_INLINE void kb_reader_mapped(const struct kb_reader *r, __u32 gen)
{
	__atomic_store_n(&r->row->mapped, kb_worker_said(r->number, kb_worker_gen(gen)),
			 __ATOMIC_RELEASE);
}

#endif /* __bpf__ */

#endif
