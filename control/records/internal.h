/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of control/records share. Nothing outside includes this.
 *
 *   records.c  configuration
 *   events.c   objects in: what each event changes
 *   check.c    objects that DNS cannot carry
 *   publish.c  differences of names into the table
 *   ptr.c      PTR names
 *   dnssvc.c   the cluster DNS itself: apex names, intercepts
 *   names.c    the names of one Service, of a namespace, of a domain
 *   podnames.c names of Pods
 *   node.c     the records of one name
 *   list.c     lists of names
 *   resolve.c  from a name back to what it is; CNAME chains; whole answers
 *   walk.c     all names, piece by piece
 */
#ifndef KB_RECORDS_INTERNAL_H
#define KB_RECORDS_INTERNAL_H

#include "control/records/pods.h"
#include "control/records/records.h"
#include "control/records/render.h"
#include "control/records/reverse.h"
#include "control/records/selector.h"
#include "control/records/store.h"
#include "control/records/svcview.h"
#include "control/records/wirename.h"
#include "control/records/zones.h"

/* More ExternalName Services than this do not follow one target: the rest are left to
 * the socket engine, so that the target's events stay cheap. */
#define KB_DEPENDENTS_MAX 64
#define KB_CHAIN_MAX	  11

/* A name that should be in the table. */
struct kb_want {
	size_t name, rec; /* offsets into the list's bytes */
	uint32_t rec_len;
	uint8_t name_len;
	uint8_t kind, zone;
	__be32 addr;
};

struct kb_list {
	struct kb_want *want; /* owned */
	size_t n, cap;
	uint8_t *bytes; /* owned */
	size_t len, cap_bytes;
};

struct kb_revs {
	struct kb_rev *rev; /* owned */
	size_t n, cap;
};

struct kb_icept_want {
	struct kb_addr addr;
	uint16_t port;
	bool service;
};

struct kb_records {
	struct kb_table *table; /* borrowed */
	void (*intercept)(void *arg, bool add, bool service, const struct kb_addr *addr,
			  uint16_t port);
	void (*programmed)(void *arg, enum kb_service_type type, bool selector,
			   double trigger_time_s);
	void (*synced_cb)(void *arg);
	void (*warn)(void *arg, const char *line);
	uint32_t (*now_s)(void *arg);
	void *arg;

	struct kb_zones zones;
	bool rezoned; /* the table had other zones before */
	enum kb_pods_mode pods_mode;
	bool needed[KB_KIND_MAX];      /* the kinds that these rules look at */
	char **namespaces;	       /* owned, sorted: only these exist */
	size_t n_namespaces;	       /* 0: all do */
	struct kb_selector *ns_labels; /* owned, NULL: all namespaces are chosen */

	struct kb_store store;
	struct kb_reverse reverse;
	struct kb_pods pods;
	uint32_t dns[KB_DNS_SERVICES_MAX]; /* the cluster DNS Services: nodes that always exist */
	size_t n_dns;
	struct kb_addr *dns_addrs; /* owned: of all of them, distinct, n4 first */
	size_t dns_n4, dns_n6, cap_dns_addrs;
	uint32_t misc; /* stands for targets of ExternalName that are no Service */

	bool synced[KB_KIND_MAX], built;
	uint32_t mark[KB_KIND_MAX]; /* of the current or last relist */
	uint32_t walk;		    /* stamp of the last walk over dependents */
	uint64_t n_left;	    /* names entered as ones to leave */
	uint64_t n_lost;	    /* bad Services and slices: addresses unknown */
	uint64_t n_lost_pods;	    /* namespaces that have bad Pods */
	uint64_t n_refused, n_warnings;
	bool incomplete;      /* the table may lack a name: see kb_publish_retry */
	bool static_refused;  /* one of those that belong to no Service or namespace */
	uint32_t retry_from;  /* the Service, namespace or address of Pods that was tried last */
	uint32_t retry_clean; /* of them, how many in a row lack no name */

	struct kb_icept_want *icepts; /* owned, sorted */
	size_t n_icepts;

	/* Scratch: one event at a time. */
	/* The Service at hand; where its CNAME leads; a cluster DNS Service. */
	struct kb_svcview view, target, dns_view;
	/* A slice that moves changes two Services: `other` is the one it leaves. */
	struct kb_list before, other_before, after, ptr;
	struct kb_revs revs_before, other_revs, revs_after;
	struct kb_render render;
	struct kb_recbuf recbuf;
	uint8_t body[KB_BODY_MAX];
	uint32_t *queue; /* owned */
	size_t n_queue, cap_queue;
};

enum kb_node_kind {
	KB_NODE_NONE,  /* does not exist */
	KB_NODE_OUT,   /* not ours to say */
	KB_NODE_EMPTY, /* exists, without records */
	KB_NODE_SERVICE,
	KB_NODE_ENDPOINT,
	KB_NODE_PORT,
	KB_NODE_EXTERNAL,
	KB_NODE_APEX, /* of a cluster or reverse zone */
	KB_NODE_NS,   /* ns.dns.Z */
	KB_NODE_VERSION,
	KB_NODE_PTR,
	KB_NODE_POD,
};

/* What a name is. */
struct kb_node {
	enum kb_node_kind kind;
	const struct kb_zone_def *zone; /* borrowed, NULL: in none of ours */
	struct kb_svcview *view;	/* borrowed: of its Service */
	uint32_t group;			/* KB_NODE_ENDPOINT */
	struct kb_svcview_port port;	/* KB_NODE_PORT */
	struct kb_wire base;		/* S.N.svc.Z */
	uint32_t rev_addr;		/* KB_NODE_PTR */
	bool rev_v6;
	bool below_pod;	    /* in pod.Z, whatever it is */
	struct kb_addr pod; /* KB_NODE_POD */
};

/* list.c */
void kb_list_clear(struct kb_list *l);
void kb_list_fini(struct kb_list *l);
void kb_list_add(struct kb_list *l, const struct kb_wire *name, enum kb_value_kind kind,
		 uint8_t zone, __be32 addr, const uint8_t *rec, size_t rec_len);
static inline const uint8_t *kb_list_name(const struct kb_list *l, const struct kb_want *w)
{
	return l->bytes + w->name;
}
/* By name. */
void kb_list_sort(struct kb_list *l);
int kb_want_compare(const struct kb_list *a, const struct kb_want *x, const struct kb_list *b,
		    const struct kb_want *y);
/* Is the same at both names? */
bool kb_want_same(const struct kb_list *a, const struct kb_want *x, const struct kb_list *b,
		  const struct kb_want *y);

/* check.c: the reason why names must be left alone, NULL if there is none; parts of a good
 * object that have no name. */
const char *kb_check_service(const struct kb_object *obj);
const char *kb_check_slice(const struct kb_object *obj);
const char *kb_check_namespace(const struct kb_object *obj);
void kb_check_name(struct kb_records *r, const struct kb_object *obj);
void kb_check_ports(struct kb_records *r, const struct kb_object *obj, const char *service,
		    const struct kb_port *ports, size_t n);
void kb_check_hosts(struct kb_records *r, const struct kb_object *obj);
/* Counts, and tells whoever wants to know. */
__attribute__((format(printf, 3, 4))) void
kb_check_warn(struct kb_records *r, const struct kb_object *obj, const char *format, ...);

/* names.c */
/* S.N.svc.Z. -ENAMETOOLONG when it has no such form. */
int kb_names_base(const struct kb_records *r, const struct kb_svc *svc,
		  const struct kb_zone_def *zone, struct kb_wire *ret);
/* All names of r->view's Service. */
void kb_names_list(struct kb_records *r, struct kb_list *l);
/* The names of the zones that belong to no Service. */
void kb_names_apex(struct kb_records *r, struct kb_list *l);
/* The name of an address of a Pod. */
void kb_names_pod(struct kb_records *r, uint32_t ns, const struct kb_addr *addr, struct kb_list *l);
/* N.svc.Z and N.pod.Z, if they exist. */
void kb_names_ns(struct kb_records *r, uint32_t ns, struct kb_list *l);
/* Asked for the CNAME itself: that one alone (RFC 1034 section 3.6.2). */
void kb_names_cname(const struct kb_records *r, const struct kb_svc *svc, struct kb_render *out);
/* One set in wire form into r->recbuf, if the type exists at the node. */
void kb_names_set(struct kb_records *r, struct kb_node *n, const struct kb_wire *name,
		  uint16_t type);

/* node.c */
/* Distinct addresses of a node, IPv4 first. Borrowed until the next call. */
const struct kb_addr *kb_node_addrs(struct kb_records *r, const struct kb_node *n, size_t *ret_n4,
				    size_t *ret_n6);
/* Fills the view's srv with the records of the node. */
void kb_node_srv(struct kb_node *n);
/* Puts all records of a type into the answer section (their targets' addresses into
 * the additional one). `owner` is the name's message offset. */
void kb_node_put(struct kb_records *r, struct kb_node *node, uint16_t type, struct kb_render *out,
		 uint32_t owner);

/* ptr.c */
/* The address of an entry of the reverse index. */
void kb_ptr_addr(const struct kb_records *r, uint32_t addr, bool v6, struct kb_addr *ret);
/* The PTR records of an address. */
void kb_ptr_put(struct kb_records *r, struct kb_node *n, struct kb_render *out, uint32_t owner);
/* Distinct (address, target) of the Service in r->view; drop gives back what it counted. */
void kb_ptr_list(struct kb_records *r, uint32_t svc, struct kb_revs *rv);
void kb_ptr_drop(struct kb_records *r, struct kb_revs *rv);
/* Moves the reverse index from `before` to `after` (both sorted, of one Service) and
 * publishes each address that was concerned once. */
void kb_ptr_settle(struct kb_records *r, struct kb_revs *before, struct kb_revs *after);
/* The PTR name of an address. What the table does not take is tried again with any Service
 * that has the address. */
void kb_ptr_publish(struct kb_records *r, uint32_t addr, bool v6, bool had, bool again);

/* resolve.c */
/* What is the name (lower case)? A Service found on the way is put into `view`. */
void kb_resolve(struct kb_records *r, const struct kb_wire *name, struct kb_svcview *view,
		struct kb_node *ret);
/* Writes the CNAMEs from an ExternalName Service on and says where they end: a node,
 * KB_NODE_NONE (ret->zone denies it), KB_NODE_OUT, or KB_NODE_EXTERNAL for a
 * loop or too long a chain. Returns the message offset of the last target. */
uint32_t kb_resolve_chain(struct kb_records *r, const struct kb_svc *svc, struct kb_svcview *view,
			  struct kb_render *out, struct kb_node *ret);
/* The Service an external name leads to, made if need be; 0: none in our domains. */
uint32_t kb_resolve_target(struct kb_records *r, const char *external);

/* podnames.c */
/* A Pod comes, changes, goes: whether anything has changed. */
bool kb_podnames_apply(struct kb_records *r, const struct kb_object *obj);
bool kb_podnames_gone(struct kb_records *r, uint32_t ns, const char *name);
/* Removes what the last list did not have, and calls `removed` after each. */
void kb_podnames_sweep(struct kb_records *r, void (*removed)(struct kb_records *r));
/* A namespace has become exposed, or is no longer. */
void kb_podnames_namespace(struct kb_records *r, uint32_t ns, const struct kb_ns *old);
void kb_podnames_publish_all(struct kb_records *r);
/* Tries again what the table has refused of one address; whether there was something. */
bool kb_podnames_retry(struct kb_records *r, uint32_t id);
/* The names of one address of Pods, by its id. */
void kb_podnames_list(struct kb_records *r, uint32_t id, struct kb_list *l);
/* What such a label is in a namespace: KB_NODE_POD with its address, KB_NODE_NONE or
 * KB_NODE_OUT. */
enum kb_node_kind kb_podnames_find(const struct kb_records *r, uint32_t ns, const char *label,
				   size_t len, struct kb_addr *ret_addr);

/* dnssvc.c */
/* Looks up the addresses of the cluster DNS Services. */
void kb_dns_collect(struct kb_records *r);
/* The names that belong to no Service, and the intercepts. */
void kb_publish_static(struct kb_records *r);

/* publish.c */
/* Enters or removes one name, or enters all of a list, except those that lie in another, deeper
 * zone; sets *ret_refused when the table did not take one. */
void kb_publish_put(struct kb_records *r, const struct kb_list *l, const struct kb_want *w,
		    bool *ret_refused);
void kb_publish_del(struct kb_records *r, const struct kb_list *l, const struct kb_want *w);
void kb_publish_put_all(struct kb_records *r, const struct kb_list *l, bool *ret_refused);
void kb_publish_open(struct kb_records *r, uint32_t svc, struct kb_list *l, struct kb_revs *rv);
void kb_publish_service(struct kb_records *r, uint32_t svc, struct kb_list *before,
			struct kb_revs *revs_before);
void kb_publish_namespace(struct kb_records *r, uint32_t ns, const struct kb_ns *old);
/* Names that depend on this Service's, and the cluster DNS Services'. */
void kb_publish_followers(struct kb_records *r, uint32_t svc);
/* The namespace's own names alone. */
void kb_publish_ns_names(struct kb_records *r, uint32_t ns, const struct kb_ns *old);
/* What misses mean in each zone now. */
void kb_publish_zone_flags(struct kb_records *r);
/* Tries again what the table refused: at most `max` Services, namespaces and addresses of Pods
 * among the next `looks` of them. When everything is stored, misses in the zones concerned mean
 * again what they meant. */
void kb_publish_retry(struct kb_records *r, uint32_t max, uint32_t looks);
void kb_publish_all(struct kb_records *r);

#endif
