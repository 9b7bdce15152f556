/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local mode's part of the datapath: which addresses of the cluster DNS are rewritten, and what
 * was. Of a datapath that was opened with `local`; main thread only. See dataplane/core/local.h.
 */
#ifndef KB_DATAPATH_LOCAL_H
#define KB_DATAPATH_LOCAL_H

#include "control/datapath/datapath.h"
#include "control/records/object.h"
#include "dataplane/core/local.h"

/*
 * The internal addresses: KB_LOCAL_SLOTS from `base` on; family 0: none of the family of this
 * place. [0] is IPv4, [1] IPv6. What an earlier run has left is kept if they are the same, but
 * not in force before kb_datapath_local_add.
 */
void kb_datapath_local_start(struct kb_datapath *dp, const struct kb_addr base[2]);
/* From now on queries to this address go to its internal address. 0; -ENOSPC: all are taken, or
 * there are none of its family. */
int kb_datapath_local_add(struct kb_datapath *dp, const struct kb_addr *addr);
/* None of them, until they are added again. */
void kb_datapath_local_clear(struct kb_datapath *dp);
/* No longer; replies still find back. */
void kb_datapath_local_del(struct kb_datapath *dp, const struct kb_addr *addr);
/* All that are in force; borrowed. */
const struct kb_local *kb_datapath_local(const struct kb_datapath *dp);
/* Over all CPUs. 0 or -errno. */
int kb_datapath_local_counts(const struct kb_datapath *dp, uint64_t ret[KB_LOCAL_CNT_MAX]);

#endif
