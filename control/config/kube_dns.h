/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ConfigMap of kube-dns, which NodeLocal DNSCache reads as well:
 *
 *	stubDomains:         {"corp.example": ["10.1.2.3", "10.1.2.4:5353"], ...}
 *	upstreamNameservers: ["10.0.0.2", ...]		at most three
 *
 * One value that kube-dns refuses makes the whole ConfigMap refused, as there, and what was in
 * force stays. A server that is named instead of given by its address is one that kube-dns looks up
 * once and NodeLocal DNSCache refuses: here it is left out and warned of, and a domain that has no
 * other is SERVFAIL rather than anybody else's.
 *
 * No I/O but reading the folder named; any thread.
 */
#ifndef KB_CONFIG_KUBE_DNS_H
#define KB_CONFIG_KUBE_DNS_H

#include <stdint.h>

#include "control/config/forward_rules.h"

#define KB_KUBE_DNS_UPSTREAMS_MAX 3
#define KB_KUBE_DNS_WARNINGS_MAX  20

struct kb_kube_dns {
	struct kb_forward_rules rules;		  /* the root only with upstreamNameservers */
	char *warnings[KB_KUBE_DNS_WARNINGS_MAX]; /* owned: one line each */
	size_t n_warnings, n_more_warnings;
};

/* Reads keys and their texts; of a key that comes twice the last one. `name` begins every line, as
 * in "configmap kube-system/kube-dns". 0, or -errno with one line in err; ret_config, which
 * kb_kube_dns_free has to free, is left alone then. */
int kb_kube_dns_parse(const char *name, const struct kb_label *data, size_t n,
		      struct kb_kube_dns *ret_config, char *err, size_t err_size);
void kb_kube_dns_free(struct kb_kube_dns *config);

/* A folder with a file for each key, as a ConfigMap is mounted: names that begin with a dot and
 * what is no regular file are left out. */
struct kb_kube_dns_dir {
	struct kb_label *data; /* owned, as are the strings */
	size_t n;
	uint64_t hash; /* of all of it */
};

/* 0, or -errno with one line in err; then `ret_dir` holds nothing but a hash of the error. To be
 * freed in any case. */
int kb_kube_dns_dir_read(const char *path, struct kb_kube_dns_dir *ret_dir, char *err,
			 size_t err_size);
void kb_kube_dns_dir_free(struct kb_kube_dns_dir *dir);

#endif
