/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CoreDNS's configuration says of the names that kbdns answers, and of those that it asks
 * others for.
 *
 * The kubernetes and forward directives are taken over. Every other directive is judged by one
 * question: can it change what a client of a kubernetes zone sees? If so, the names concerned, or
 * the whole zone, are left alone. Each directive leaves a note that says which, and why.
 *
 * No I/O but reading the files named; any thread.
 */
#ifndef KB_CONFIG_COREFILE_H
#define KB_CONFIG_COREFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config/corefile_blocks.h"
#include "control/config/forward_rules.h"
#include "control/config/options.h"
#include "control/records/rules.h"

/* Of all files together; a ConfigMap holds at most 1 MiB as well. */
#define KB_COREFILE_MAX (1 << 20)

enum kb_corefile_verdict {
	KB_COREFILE_TAKEN,    /* its effect is part of the rules */
	KB_COREFILE_HARMLESS, /* has no effect on the names of the kubernetes zones */
	KB_COREFILE_LEFT,     /* names or zones are left alone because of it */
	/* Names that are not the cluster's, which it concerns, are SERVFAIL where the forwarder is
	 * asked for them: it cannot ask as CoreDNS would. */
	KB_COREFILE_CLOSED,
	/* A server that does as the Corefile says would do this, and --listen does not. */
	KB_COREFILE_UNAPPLIED,
};

struct kb_corefile_note {
	const char *file; /* borrowed from the result */
	uint32_t line;
	enum kb_corefile_verdict verdict;
	char *what;	 /* owned: the line as written, shortened */
	char *zone;	 /* owned: what is left alone, or closed; NULL: every kubernetes zone of its
			  * block, or none
			  */
	const char *why; /* static */
};

/* A file that a hosts directive names, and what it says. */
struct kb_corefile_hosts_file {
	char *path, *text; /* owned */
};

struct kb_corefile {
	/* May hold no KB_ZONE_CLUSTER at all: then there is nothing that we may answer. */
	struct kb_rules rules;
	/* Who is asked for names that are not the cluster's; the root only if a forward directive
	 * says so. */
	struct kb_forward_rules forward;
	struct kb_corefile_note *notes;
	size_t n_notes;
	size_t n_more_notes; /* of which there were too many to keep */
	char **files;	     /* read, or looked for: what the result depends on */
	size_t n_files;
	uint64_t hash; /* of the text of all of them */
	/* All server blocks that are asked, if one of them has something to do before zones and
	 * upstreams. */
	struct kb_corefile_block *blocks; /* owned */
	size_t n_blocks;
	struct kb_corefile_hosts_file *hosts_files; /* owned; those that were read, or kept */
	size_t n_hosts_files;
};

/*
 * Reads the Corefile at path and the files that it imports. Returns 0 and fills ret, which
 * kb_corefile_free has to free; or, with one line "FILE:LINE: what is wrong, cure" in err,
 *
 *   -EINVAL      CoreDNS refuses this file as well, and goes on with what it had
 *   -EOPNOTSUPP  CoreDNS may take it, but we cannot follow it: nothing may be answered
 *   others       it could not be read
 *
 * On failure ret holds only `files` and `hash`, and has to be freed, too.
 *
 * `former` is what was read before, NULL: nothing. A hosts file that cannot be read now says what
 * it said then, as in CoreDNS: without its entries, questions for names that may be private
 * would go to upstreams.
 */
int kb_corefile_read(const char *path, const struct kb_corefile *former, struct kb_corefile *ret,
		     char *err, size_t err_size);

/* The same of text that is not in a file, under the name given, such as "configmap
 * kube-system/coredns". Imports of files cannot be followed: they make zones ones to leave. */
int kb_corefile_parse(const char *name, const char *text, size_t len, struct kb_corefile *ret,
		      char *err, size_t err_size);

void kb_corefile_free(struct kb_corefile *corefile);

/* Applies lines as they stand inside a kubernetes block ("pods verified") to rules. 0 or -errno
 * with one line in err; then the rules are as they were. */
int kb_corefile_kubernetes_lines(const struct kb_strings *lines, struct kb_rules *rules, char *err,
				 size_t err_size);

#endif
