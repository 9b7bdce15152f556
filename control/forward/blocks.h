/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server blocks of a Corefile, as far as they come before zones and upstreams: a question goes to
 * the block with the longest zone that holds its name, there to the rewrite rules, then to hosts.
 *
 * Made by one thread and never changed afterwards; references from any thread.
 */
#ifndef KB_FORWARD_BLOCKS_H
#define KB_FORWARD_BLOCKS_H

#include "control/config/corefile_blocks.h"
#include "control/forward/hosts.h"
#include "control/forward/rewrite.h"

struct kb_block {
	struct kb_rewrite *rewrites; /* owned */
	size_t n_rewrites;
	struct kb_hosts hosts; /* n_origins 0: none */
};

struct kb_blocks;

/* 0, -ENOMEM, or -EINVAL for a name that is none. */
int kb_blocks_new(const struct kb_corefile_block *blocks, size_t n, struct kb_blocks **ret_blocks);
struct kb_blocks *kb_blocks_ref(struct kb_blocks *blocks);
void kb_blocks_unref(struct kb_blocks *blocks); /* NULL is fine */

/* The block of a name in lower case, NULL if no block has it. */
const struct kb_block *kb_blocks_find(const struct kb_blocks *blocks, const struct kb_wire *name);

#define KB_REWRITES_MATCH_MAX 8 /* rules that change one question */

/*
 * Applies the block's rules in order. Returns how many have matched, filled into `rules`
 * (borrowed from the blocks), with name and len as they have become; 0 if none; -ENAMETOOLONG when
 * one makes it no name, or more than KB_REWRITES_MATCH_MAX match.
 */
int kb_block_rewrite(const struct kb_block *block, uint8_t *name, size_t *len,
		     const struct kb_rewrite *rules[KB_REWRITES_MATCH_MAX]);

#endif
