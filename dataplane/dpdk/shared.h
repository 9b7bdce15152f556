/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the running kbdnsd, mapped into this process from its pins in bpffs: everything that
 * the table's writer writes is mapped read-only; the rows in which workers register and count are
 * writable. No libbpf: three commands of bpf(2).
 *
 * Workers read through struct kb_dpdk_table (engine.h). One control thread keeps up with the
 * writer: kb_shared_follow() maps the index that is announced and arena pages that have been added.
 * An index that workers may still look at stays mapped.
 */
#ifndef KB_DPDK_SHARED_H
#define KB_DPDK_SHARED_H

#include <stddef.h>

#include "dataplane/core/worker_stats.h"
#include "dataplane/dpdk/engine.h"

struct kb_shared;

/* Opens the table under `dir`. 0, or -errno with one line in err: no pins (kbdnsd does not run),
 * another layout version, no permission. */
int kb_shared_open(const char *dir, struct kb_shared **ret_shared, char *err, size_t err_size);
/* No worker uses it any more. */
void kb_shared_close(struct kb_shared *s);

/* What engines read; valid until close. */
const struct kb_dpdk_table *kb_shared_table(const struct kb_shared *s);
struct kb_workers *kb_shared_workers(const struct kb_shared *s);
/* KB_WORKER_STATS_MAX rows. */
struct kb_worker_counts *kb_shared_stats(const struct kb_shared *s);

/*
 * Control thread, every few milliseconds. Returns 0, 1 when the index of another generation has
 * been mapped, or -errno with a line in err: -ESTALE when kbdnsd has made another table in this
 * place, -EAGAIN for what may pass (it is tried again).
 * `passed`: has each worker been outside a burst since the last call?
 */
int kb_shared_follow(struct kb_shared *s, bool passed, char *err, size_t err_size);

#endif
