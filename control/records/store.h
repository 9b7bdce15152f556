/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects, compact: 10,000 Services with 150,000 endpoints take a few MB.
 *
 *   kb_ns ---< kb_svc ---< kb_slice_node
 *                 \---< kb_svc (ExternalName Services that lead here)
 *
 * What an object says is one immutable block (kb_svc_obj, kb_slice_obj) of ids of
 * interned strings, so that "has anything changed" is one memcmp. An endpoint is eight
 * bytes. Only ready endpoints are kept: DNS never looks at the others.
 *
 * A node exists as long as its object does or something refers to it: slices may
 * come before their Service, Services before their Namespace, in any order.
 */
#ifndef KB_RECORDS_STORE_H
#define KB_RECORDS_STORE_H

#include <stdbool.h>

#include "control/records/object.h"
#include "control/records/strings.h"

struct kb_port_rec {
	uint32_t name; /* string id, 0: no name, or one that DNS cannot carry */
	uint16_t port;
	uint8_t proto;
	uint8_t pad;
};

struct kb_svc_obj {
	uint32_t size;	   /* of the whole block, for memcmp */
	uint32_t reason;   /* string id: why it is bad, 0 if it is not */
	uint32_t external; /* string id: externalName without the final dot, case kept */
	uint32_t n_ports, n_ips;
	uint8_t type;
	uint8_t selector; /* it has one */
	uint8_t pad[2];
	struct kb_port_rec ports[]; /* followed by n_ips struct kb_addr */
};

static inline const struct kb_addr *kb_svc_ips(const struct kb_svc_obj *o)
{
	return (const struct kb_addr *)(const void *)(o->ports + o->n_ports);
}

#define KB_EP_V6 0x80000000U

struct kb_ep_rec {
	uint32_t addr; /* IPv4 in network order, or the string id of an IPv6 address */
	uint32_t host; /* string id of the hostname, 0: none; KB_EP_V6 says what addr is */
};

struct kb_slice_obj {
	uint32_t size;
	uint32_t reason;
	uint32_t service; /* string id, lower case; 0: no Service */
	uint32_t n_ports, n_eps;
	uint32_t n_all;		    /* endpoints of the object, ready or not */
	struct kb_port_rec ports[]; /* followed by n_eps struct kb_ep_rec */
};

static inline const struct kb_ep_rec *kb_slice_eps(const struct kb_slice_obj *o)
{
	return (const struct kb_ep_rec *)(const void *)(o->ports + o->n_ports);
}

struct kb_ns {
	uint32_t name;	    /* string id, lower case */
	uint32_t svcs;	    /* first of its Services, 0: none */
	uint32_t slices;    /* how many slices it has */
	uint32_t mark;	    /* of the last relist that saw it */
	uint32_t reason;    /* string id: why its object is bad */
	uint32_t lost;	    /* bad slices of this namespace that do not tell their Service */
	uint32_t pod_addrs; /* addresses of its Pods */
	bool exists;	    /* the object does */
	bool hidden;	    /* but the rules do not choose it */
	bool lost_pods;	    /* it has bad Pods, whose addresses are not known */
	bool refused;	    /* the table did not take its name */
};

/* Do its names exist, as far as the rules go? */
static inline bool kb_ns_exposed(const struct kb_ns *ns)
{
	return ns->exists && !ns->hidden;
}

struct kb_svc {
	uint32_t ns, name;	   /* kb_ns id, string id in lower case */
	uint32_t ns_next, ns_prev; /* the namespace's list */
	uint32_t slices;	   /* first */
	uint32_t target;	   /* ExternalName: the kb_svc it leads to, 0: none of ours */
	uint32_t deps;		   /* first ExternalName Service that leads here */
	uint32_t dep_next, dep_prev;
	uint32_t mark;
	uint32_t seen; /* stamp of the last walk over dependents */
	uint16_t n_deps;
	bool pinned;		/* never freed */
	bool dns;		/* one of the configured cluster DNS Services */
	bool far;		/* ExternalName whose target has too many dependents */
	bool refused;		/* the table did not take all its names or those of its addresses */
	bool left;		/* its names are entered as ones to leave */
	struct kb_svc_obj *obj; /* owned, NULL: only referred to */
};

struct kb_slice_node {
	uint32_t ns, name;   /* kb_ns id, string id */
	uint32_t svc;	     /* 0: none */
	uint32_t next, prev; /* the Service's list */
	uint32_t mark;
	struct kb_slice_obj *obj; /* owned */
};

struct kb_store {
	struct kb_strings strings;
	struct kb_pool ns, svc, slice;
	struct kb_idhash ns_index, svc_index, slice_index;
	/* Of the rules. */
	bool pod_names;	   /* endpoints are named after their Pods */
	bool ignore_empty; /* a ClusterIP Service without ready endpoints has no names */
	bool ptr_hidden;   /* addresses of namespaces that are not exposed have no PTR names */
	uint64_t n_services, n_slices, n_namespaces, n_endpoints, n_skipped;
};

void kb_store_init(struct kb_store *s);
void kb_store_fini(struct kb_store *s);

static inline struct kb_ns *kb_store_ns(const struct kb_store *s, uint32_t id)
{
	return kb_pool_at(&s->ns, id);
}
static inline struct kb_svc *kb_store_svc(const struct kb_store *s, uint32_t id)
{
	return kb_pool_at(&s->svc, id);
}
static inline struct kb_slice_node *kb_store_slice(const struct kb_store *s, uint32_t id)
{
	return kb_pool_at(&s->slice, id);
}

/* Find a node by name (lower-cased here), 0 if there is none. */
uint32_t kb_store_find_ns(const struct kb_store *s, const char *name, size_t len);
uint32_t kb_store_find_svc(const struct kb_store *s, uint32_t ns, const char *name, size_t len);
uint32_t kb_store_find_slice(const struct kb_store *s, uint32_t ns, const char *name);
/* The same, made when missing. */
uint32_t kb_store_get_ns(struct kb_store *s, const char *name, size_t len);
uint32_t kb_store_get_svc(struct kb_store *s, uint32_t ns, const char *name, size_t len);
uint32_t kb_store_get_slice(struct kb_store *s, uint32_t ns, const char *name);
/* Free a node that nothing needs any more; otherwise they do nothing. */
void kb_store_trim_svc(struct kb_store *s, uint32_t id);
void kb_store_trim_ns(struct kb_store *s, uint32_t id);
void kb_store_free_slice(struct kb_store *s, uint32_t id);

/* Chains a slice to a Service (0: to none) and an ExternalName Service to its target. */
void kb_store_link_slice(struct kb_store *s, uint32_t slice, uint32_t svc);
void kb_store_link_dep(struct kb_store *s, uint32_t svc, uint32_t target);

/*
 * Blocks from objects. `reason` overrides what the object says: NULL if it is good.
 * Free gives back the strings, so an old block is freed only after everything that
 * was made from its ids has been compared.
 */
struct kb_svc_obj *kb_svc_obj_new(struct kb_store *s, const struct kb_service *service,
				  const char *reason);
void kb_svc_obj_free(struct kb_store *s, struct kb_svc_obj *obj);
/* The label that an endpoint has from its object, NULL: it is named after its address. A Pod
 * whose name is no label, being longer or having dots, gives it none. */
const char *kb_endpoint_host(const struct kb_store *s, const struct kb_endpoint *endpoint);
struct kb_slice_obj *kb_slice_obj_new(struct kb_store *s, const struct kb_slice *slice,
				      const char *reason);
void kb_slice_obj_free(struct kb_store *s, struct kb_slice_obj *obj);

#endif
