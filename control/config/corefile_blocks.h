/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server that does as the Corefile says has to know of each server block, beside the
 * rules: CoreDNS gives a question to the block with the longest zone that holds the name, and there
 * to rewrite, then to hosts, then to kubernetes and forward.
 *
 * Text is in lower case; names are without their final dot, "" is the root.
 */
#ifndef KB_CONFIG_COREFILE_BLOCKS_H
#define KB_CONFIG_COREFILE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config/options.h"

struct kb_corefile_rewrite {
	char *from, *to; /* owned; of a suffix, with the dot that it may begin with */
	bool suffix;	 /* otherwise exact */
	bool stop;
	bool answers; /* `answer auto` */
};

struct kb_corefile_hosts {
	char *file_text;   /* owned; NULL: no file */
	char *inline_text; /* owned: its own lines, as of a file */
	struct kb_strings origins, fall;
	bool reverse, unsupported_falls;
	uint32_t ttl_s;
};

struct kb_corefile_block {
	struct kb_strings zones;
	struct kb_corefile_rewrite *rewrites; /* owned */
	size_t n_rewrites;
	struct kb_corefile_hosts *hosts; /* owned; NULL: none */
};

/* Lets go of n blocks and of the array. */
void kb_corefile_blocks_free(struct kb_corefile_block *blocks, size_t n);

#endif
