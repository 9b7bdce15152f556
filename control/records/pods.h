/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods and the addresses that they have in their namespaces, compact: 150,000 Pods with an
 * address each take about 8 MB.
 *
 * A Pod is known by a 64-bit keyed hash of its namespace and name, not by the name: names of
 * Pods are long, all different, and stand in no answer. Two Pods would have to agree in the hash
 * to be taken for one; the odds for 150,000 are one in 10^9.
 *
 * Several Pods may have one address, those on the network of their node. Of a Pod only the first
 * address counts: CoreDNS looks no further either.
 */
#ifndef KB_RECORDS_PODS_H
#define KB_RECORDS_PODS_H

#include <stdbool.h>

#include "control/records/idhash.h"

enum kb_pod_addr_kind {
	KB_POD_V4,
	KB_POD_V6,
	KB_POD_UNKNOWN, /* of Pods that are bad objects */
};

/* An address in a namespace: the names of Pods are those of these. */
struct kb_pod_addr {
	uint32_t ns;	/* kb_ns id, 0: free */
	uint32_t addr;	/* IPv4 in network order, string id of an IPv6 address */
	uint32_t n;	/* Pods that have it */
	uint8_t kind;	/* enum kb_pod_addr_kind */
	bool refused;	/* the table did not take its name */
	uint8_t pad[2]; /* zero */
};

struct kb_pod_node {
	uint64_t key;  /* hash of namespace and name */
	uint32_t addr; /* kb_pod_addr id, 0: free */
	uint32_t mark; /* of the last relist that saw it */
};

_Static_assert(sizeof(struct kb_pod_addr) == 16 && sizeof(struct kb_pod_node) == 16,
	       "there are many");

struct kb_pods {
	struct kb_sipkey hash;
	struct kb_pool nodes, addrs;
	struct kb_idhash node_index, addr_index;
};

void kb_pods_init(struct kb_pods *p);
void kb_pods_fini(struct kb_pods *p);

static inline struct kb_pod_node *kb_pods_node(const struct kb_pods *p, uint32_t id)
{
	return kb_pool_at(&p->nodes, id);
}
static inline struct kb_pod_addr *kb_pods_addr(const struct kb_pods *p, uint32_t id)
{
	return kb_pool_at(&p->addrs, id);
}

/* 0 if there is none. */
uint32_t kb_pods_find(const struct kb_pods *p, uint32_t ns, const char *name);
uint32_t kb_pods_find_addr(const struct kb_pods *p, uint32_t ns, uint32_t addr,
			   enum kb_pod_addr_kind kind);
/* New ones: a Pod without an address, an address without Pods. */
uint32_t kb_pods_add(struct kb_pods *p, uint32_t ns, const char *name);
uint32_t kb_pods_add_addr(struct kb_pods *p, uint32_t ns, uint32_t addr,
			  enum kb_pod_addr_kind kind);
void kb_pods_del(struct kb_pods *p, uint32_t id);
void kb_pods_del_addr(struct kb_pods *p, uint32_t id);

#endif
