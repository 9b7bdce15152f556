/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What all programs share: the table's header, and how tc goes on with the chain. */
#ifndef KB_BPF_HEADER_H
#define KB_BPF_HEADER_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "dataplane/core/layout.h"

/* TCX_NEXT and TC_ACT_UNSPEC: go on with the chain; TC_ACT_OK would end it and skip the
 * CNI's own program. */
#define KB_TC_NEXT (-1)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kb_header);
} kb_header SEC(".maps");

static inline struct kb_header *kb_get_header(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kb_header, &zero);
}

#endif
