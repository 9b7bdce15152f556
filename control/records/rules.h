/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By which rules objects become names: what CoreDNS's kubernetes plugin takes as options,
 * under its names, and what the server blocks around it say of zones.
 *
 * Plain data without behaviour: control/config fills it (command line, file, Corefile),
 * control/records and control/kube read it. All strings are owned by whoever made the
 * rules; readers copy what they keep.
 */
#ifndef KB_RECORDS_RULES_H
#define KB_RECORDS_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names a-b-c-d.N.pod.Z. */
enum kb_pods_mode {
	KB_PODS_DISABLED, /* do not exist */
	KB_PODS_INSECURE, /* any address in any namespace that exists */
	KB_PODS_VERIFIED, /* addresses of pods that run in that namespace */
};

enum kb_zone_role {
	KB_ZONE_CLUSTER, /* Services below svc.Z; the first one is where PTR records point */
	KB_ZONE_REVERSE, /* PTR names; below in-addr.arpa or ip6.arpa */
	KB_ZONE_FOREIGN, /* not ours at all: a stub domain, another server block */
};

struct kb_zone_rule {
	char *name; /* text, lower case, no final dot; "" is the root */
	enum kb_zone_role role;
	/* A name that we do not know is somebody else's (`fallthrough`), not absent. Always so
	 * for KB_ZONE_FOREIGN. */
	bool leave_misses;
};

struct kb_rules {
	struct kb_zone_rule *zones; /* at least one KB_ZONE_CLUSTER */
	size_t n_zones;
	enum kb_pods_mode pods;
	bool endpoint_pod_names; /* name endpoints by hostname, pod, then address */
	bool no_endpoints;	 /* EndpointSlices are not watched: no names from them */
	bool ignore_empty;	 /* `ignore empty_service` */
	uint32_t ttl_s;
	char **namespaces; /* only these exist; none given: all do */
	size_t n_namespaces;
	char *namespace_labels; /* label selector, NULL: all namespaces */
	char *labels;		/* label selector for Services, EndpointSlices and Pods */
};

#endif
