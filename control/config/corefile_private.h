/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the Corefile reader only.
 *
 *   corefile_lex.c         bytes -> tokens
 *   corefile_parse.c       tokens -> server blocks (snippets, imports, environment)
 *   corefile_cursor.c      walking the tokens of one directive
 *   corefile_zone.c        names of zones, with CIDR notation
 *   corefile_keys.c        which server block gets which names
 *   corefile_kubernetes.c  the kubernetes directive
 *   corefile_plugins.c     what every other directive means for the kubernetes zones
 *   corefile_forward.c     the forward directive
 *   corefile_cache.c       the cache directive
 *   corefile_routes.c      who is asked for which names
 *   corefile_match.c       hosts, rewrite: which names they concern
 *   corefile_blocks.c      what a server has to know of each server block:
 *   corefile_hosts.c       its hosts
 *   corefile_rewrite.c     and its rewrite rules
 *   corefile.c             server blocks -> rules
 *   corefile_read.c        files, memory, notes; the public functions
 *
 * Grammar: what CoreDNS 1.14 takes (its Caddyfile, version 1). An error of ours is -EINVAL where
 * CoreDNS refuses the file too, and -EOPNOTSUPP where it may not.
 */
#ifndef KB_CONFIG_COREFILE_PRIVATE_H
#define KB_CONFIG_COREFILE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/config/corefile.h"
#include "control/config/parse.h"

/* A name as text: 253 characters, and what CoreDNS may have added. */
#define KB_CF_NAME_MAX 256

/* Of zones in keys, of names in one list: far above use; whatever looks through them does so for
 * each line. */
#define KB_CF_NAMES_MAX 1024

/* CoreDNS's, without a ttl line. */
#define KB_COREFILE_TTL_DEFAULT 5

struct kb_cf_token {
	const char *text; /* owned by the memory of the reader */
	uint32_t line;
	uint32_t breaks; /* newlines within a quoted token */
	uint32_t file;	 /* index into files */
	bool unset;	 /* it names an environment variable that we do not have */
};

struct kb_cf_tokens {
	struct kb_cf_token *v; /* owned */
	size_t n, cap;
};

/* All occurrences of one directive in one server block. */
struct kb_cf_directive {
	const char *name;
	struct kb_cf_tokens tokens; /* owned */
};

enum kb_cf_transport { KB_CF_DNS, KB_CF_OTHER };

struct kb_cf_key {
	char zone[KB_CF_NAME_MAX];
	uint16_t port;
	enum kb_cf_transport transport;
};

struct kb_cf_kubernetes;

struct kb_cf_names {
	char (*v)[KB_CF_NAME_MAX]; /* owned */
	size_t n;
};

/* One forward directive. */
struct kb_cf_forward {
	char from[KB_CF_NAME_MAX];
	struct kb_cf_names except;   /* owned */
	struct kb_forward_rule rule; /* owned; without a domain */
	char tls_name[254];	     /* of all its servers, "" if not given */
	/* NULL, or the line that asks for further servers after some answers. */
	const struct kb_cf_token *next;
	/* NULL, or the first line of it that the forwarder cannot follow, and why; `whole` unless
	 * it only leaves out servers. */
	const struct kb_cf_token *cannot, *cannot_args;
	size_t n_cannot_args;
	const char *why;
	bool whole;
};

/* The cache directive of a block. */
struct kb_cf_cache {
	struct kb_cf_names zones; /* owned: what it is for, none if there is no such directive */
	struct kb_cache_limits limits;
	struct kb_cf_names no_success, no_denial; /* owned: of which nothing is kept */
};

struct kb_cf_block {
	struct kb_cf_token *keys; /* owned; as written, environment replaced */
	size_t n_keys;
	struct kb_cf_directive *directives; /* owned */
	size_t n_directives;
	uint32_t unknown_import; /* line of an import that cannot be followed, 0: none */
	uint32_t unknown_file;

	const char *hosts_text; /* of the file that hosts names; NULL: none, or not seen */
	bool hosts_kept;	/* that cannot be read now: what it said before */
	uint32_t hosts_file;	/* index of that file */

	/* Filled by corefile.c. */
	struct kb_cf_key *zones; /* owned */
	size_t n_zones;
	struct kb_cf_kubernetes *kubernetes; /* owned or NULL */
	bool filtered;			     /* view, bind: other blocks may have its zones */
	struct kb_cf_forward *forwards;	     /* owned */
	size_t n_forwards;
	struct kb_cf_cache cache;
};

/* What one read of a Corefile is about. */
struct kb_cf {
	struct kb_corefile *out;	  /* borrowed */
	const struct kb_corefile *former; /* borrowed; what was read before, or NULL */
	bool no_lines;			  /* the text is not a file: errors name no line */
	bool follow_imports;		  /* of files */
	char **memory;			  /* owned strings */
	size_t n_memory, cap_memory;
	size_t bytes;  /* of all of them */
	size_t loaded; /* bytes of files */
	bool full;     /* a string was too much */
	struct kb_cf_block *blocks;
	size_t n_blocks;
	size_t n_zones; /* of the keys of all of them */
	/* An import between server blocks that cannot be followed: line, 0 if none. */
	uint32_t unknown_import, unknown_file;
	char *err;
	size_t err_size;
};

/* Keeps n characters as a string for as long as cf lives; NULL: no memory, or more than a Corefile
 * may bring. */
const char *kb_cf_keep(struct kb_cf *cf, const char *s, size_t n);
/* Writes "FILE:LINE: ..." and returns r. */
int kb_cf_fail(struct kb_cf *cf, int r, uint32_t file, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* After a NULL of kb_cf_keep, or of malloc: returns -errno, with its line. */
int kb_cf_no_memory(struct kb_cf *cf);
/* Gives -ENOMEM and -E2BIG, which come from lists that know no file, their line in err. */
int kb_cf_explain(struct kb_cf *cf, int r);
/* Notes a verdict on the line that consists of a name and its arguments. zone: what is left
 * alone, or NULL. */
int kb_cf_note(struct kb_cf *cf, const struct kb_cf_token *name, const struct kb_cf_token *args,
	       size_t n_args, enum kb_corefile_verdict verdict, const char *zone, const char *why);
/* The name under which file i is shown. */
const char *kb_cf_file_name(const struct kb_cf *cf, uint32_t i);
/* Reads one file whole (text with a final NUL, to be freed), and remembers it as one that the
 * result depends on. -EOPNOTSUPP with a line in err when all of them are too long, otherwise
 * -errno without one. */
int kb_cf_load(struct kb_cf *cf, const char *path, char **ret_text, size_t *ret_len,
	       uint32_t *ret_file);

/* corefile_lex.c */
int kb_cf_lex(struct kb_cf *cf, uint32_t file, const char *text, size_t len,
	      struct kb_cf_tokens *tokens);
int kb_cf_push(struct kb_cf *cf, struct kb_cf_tokens *tokens, const struct kb_cf_token *token);
/* Replaces {$NAME} and {%NAME%} in the token's text. */
int kb_cf_expand(struct kb_cf *cf, struct kb_cf_token *token);

/* corefile_parse.c: fills cf->blocks. Takes the tokens over. */
int kb_cf_parse(struct kb_cf *cf, struct kb_cf_tokens *tokens);
void kb_cf_blocks_free(struct kb_cf *cf);
struct kb_cf_directive *kb_cf_find(const struct kb_cf_block *block, const char *name);

/* corefile_cursor.c: CoreDNS's setup functions walk over their tokens in just these steps, and
 * what belongs to one line or block is decided by them. */
struct kb_cf_cursor {
	const struct kb_cf_token *t; /* borrowed */
	size_t n;
	size_t at; /* of the current token plus 1; 0 before the first */
	unsigned int nesting;
};
bool kb_cf_next(struct kb_cf_cursor *c);
bool kb_cf_next_arg(struct kb_cf_cursor *c); /* on the same line */
bool kb_cf_next_block(struct kb_cf_cursor *c);
/* The current token; with text "" outside. */
const struct kb_cf_token *kb_cf_at(const struct kb_cf_cursor *c);
const char *kb_cf_val(const struct kb_cf_cursor *c);
/* The rest of the line up to a "{": first token and how many. */
const struct kb_cf_token *kb_cf_args(struct kb_cf_cursor *c, size_t *ret_n);
/* Has one of them a variable that is not set in our environment? */
bool kb_cf_any_unset(const struct kb_cf_token *tokens, size_t n);

/* corefile_zone.c */
typedef int kb_cf_zone_fn(void *arg, const char *zone);
/*
 * A zone as written, or a range such as 10.0.0.0/12, with what CoreDNS makes of it: calls `each`
 * for every zone name (lower case, no final dot, "" for the root). Returns -EINVAL for what is no
 * name, what `each` returned, or 0.
 */
int kb_cf_each_zone(const char *text, kb_cf_zone_fn *each, void *arg);
/* The same for what may carry scheme and port: "dns://example.org:1053". port is 0 if there is
 * none. */
int kb_cf_each_origin(const char *text, enum kb_cf_transport *ret_transport, uint16_t *ret_port,
		      kb_cf_zone_fn *each, void *arg);
/* Lower case, no final dot; false if it cannot be a name. */
bool kb_cf_normalize(const char *text, char ret[KB_CF_NAME_MAX]);
/* Is name `zone` or below it? */
bool kb_cf_within(const char *name, const char *zone);
/* Can the table hold it: labels of at most 63 characters, nothing escaped. */
bool kb_cf_plain(const char *zone);
bool kb_cf_is_reverse(const char *zone);
/* Can the records have it: not the root, not too long, a reverse zone of whole octets or nibbles
 * that has addresses below it. */
bool kb_cf_answerable(const char *zone);
/* Can PTR records point into it? CoreDNS takes the first such zone of a directive, and to it
 * in-addr.arpa and ip6.arpa themselves are zones like others. */
bool kb_cf_is_primary(const char *zone);
/* The reverse zone of the first `bits` of addr: whole octets or nibbles. */
void kb_cf_reverse_name(const struct kb_addr *addr, unsigned int bits, char ret[KB_CF_NAME_MAX]);

/* corefile_keys.c */
int kb_cf_read_keys(struct kb_cf *cf, struct kb_cf_block *block);
/* CoreDNS takes one zone twice only where view or bind tell the blocks apart. */
int kb_cf_check_duplicates(struct kb_cf *cf);
/* Which port the cluster DNS is asked on: 53 if it has the kubernetes directive there. 0: none. */
uint16_t kb_cf_dns_port(const struct kb_cf *cf);
bool kb_cf_has_port(const struct kb_cf_block *block, uint16_t port);
/* Is it asked over plain DNS on this port? */
bool kb_cf_key_is(const struct kb_cf_key *key, uint16_t port);
/* The block that gets queries for `name`; *ret_shared if another one may, too. */
const struct kb_cf_block *kb_cf_owner(const struct kb_cf *cf, uint16_t port, const char *name,
				      bool *ret_shared);

/* corefile_kubernetes.c */
struct kb_cf_kubernetes {
	uint32_t file, line;
	struct kb_rules rules; /* owned; its zones are those it answers, in order */
	struct kb_cf_names fall, multicluster;
	bool has_fall, zonal, has_pods;
	char *api; /* owned: kubeconfig, endpoint as written; "" if none */
};
int kb_cf_kubernetes_read(struct kb_cf *cf, const struct kb_cf_block *block,
			  const struct kb_cf_directive *d, struct kb_cf_kubernetes **ret);
/* One property line; the cursor stands on its name. */
int kb_cf_kubernetes_property(struct kb_cf *cf, struct kb_cf_cursor *c, struct kb_cf_kubernetes *k);
/* What can only be said of all of them. */
int kb_cf_kubernetes_check(struct kb_cf *cf, const struct kb_cf_kubernetes *k);
void kb_cf_kubernetes_free(struct kb_cf_kubernetes *k);
/* 0, -ENOMEM, -E2BIG beyond KB_CF_NAMES_MAX. */
int kb_cf_names_add(struct kb_cf_names *names, const char *zone);
/* Those of arguments that may carry scheme and port; what is no name is ignored, as in CoreDNS. */
int kb_cf_names_add_origins(struct kb_cf_names *names, const struct kb_cf_token *args, size_t n);
/* Is one of them `zone` or above it? */
bool kb_cf_names_cover(const struct kb_cf_names *names, const char *zone);
/* Or below it? */
bool kb_cf_names_touch(const struct kb_cf_names *names, const char *zone);

/* corefile.c, for the directives: a zone of some kubernetes directive that clients get to. */
struct kb_cf_served {
	char zone[KB_CF_NAME_MAX];
	const struct kb_cf_block *block; /* borrowed */
	bool leave_misses;
	bool foreign; /* left alone */
};

struct kb_cf_build {
	struct kb_cf *cf;
	struct kb_cf_served *served; /* owned */
	size_t n_served;
	struct kb_cf_names below; /* names within served zones that are left alone */
};

/* A line of a directive, for its note. */
struct kb_cf_line {
	const struct kb_cf_block *block;
	const struct kb_cf_token *name, *args;
	size_t n;
	const char *why;
};

/* Leaves whatever the line's block serves at or below `name`. Returns 1 after a note, or 0 if that
 * is nothing, or -errno. */
int kb_cf_leave(struct kb_cf_build *b, const struct kb_cf_line *line, const char *name);
/* The same of everything that the block serves. */
int kb_cf_leave_all(struct kb_cf_build *b, const struct kb_cf_line *line);
/* Leaves the unknown names of what it serves at, below or above `name`. 0 or -errno. */
int kb_cf_leave_misses(struct kb_cf_build *b, const struct kb_cf_line *line, const char *name);
/* Notes that the line concerns none of our names. */
int kb_cf_harmless(struct kb_cf_build *b, const struct kb_cf_line *line, const char *why);

/* corefile_blocks.c: fills out->blocks from those that are asked on this port; none if no block has
 * hosts or rewrite rules that can be done. */
int kb_cf_take_blocks(struct kb_cf *cf, uint16_t port);
int kb_cf_strings_add(struct kb_strings *list, const char *s); /* 0 or -ENOMEM */
void kb_cf_strings_free(struct kb_strings *list);

/* corefile_hosts.c: reads the file that hosts names, if we may. 0 also when it cannot be read. */
int kb_cf_load_hosts(struct kb_cf *cf, struct kb_cf_block *block);
/* Fills block->hosts. 0, -ENOMEM, -EINVAL for what is not understood, -ENOENT for a file not seen.
 */
int kb_cf_take_hosts(const struct kb_cf_block *from, const struct kb_cf_directive *d,
		     struct kb_corefile_block *block);
/* corefile_rewrite.c: fills block->rewrites. 0, -ENOMEM, -EOPNOTSUPP for a rule that is not done
 * here: *ret_at is its line. */
int kb_cf_take_rewrites(const struct kb_cf_directive *d, struct kb_corefile_block *block,
			const struct kb_cf_token **ret_at);

/* corefile.c: cf->blocks to rules and notes. */
int kb_cf_build(struct kb_cf *cf);

/* corefile_plugins.c: applies every directive of a block that serves something. */
int kb_cf_judge(struct kb_cf_build *b, const struct kb_cf_block *block);
/* Is it a directive that CoreDNS has, or had? */
bool kb_cf_is_known(const char *name);

/* corefile_forward.c: fills block->forwards. */
int kb_cf_forwards_read(struct kb_cf *cf, struct kb_cf_block *block);
void kb_cf_forwards_free(struct kb_cf_block *block);

/* corefile_cache.c: fills block->cache. */
int kb_cf_cache_read(struct kb_cf *cf, struct kb_cf_block *block);
struct kb_cache_limits kb_cf_cache_limits(const struct kb_cf_block *block, const char *name);
void kb_cf_cache_free(struct kb_cf_block *block);

/* corefile_routes.c: fills cf->out->forward, after everything else. */
int kb_cf_routes(struct kb_cf_build *b, uint16_t port);

/* corefile_match.c: the cursor stands on the directive; afterwards on its last token. */
int kb_cf_judge_hosts(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c);
int kb_cf_judge_rewrite(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c);

#endif
