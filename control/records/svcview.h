/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Service as DNS sees it: its state, its addresses, its endpoints in order of
 * their names, its named ports. Made from the store for each use, kept by nobody.
 */
#ifndef KB_RECORDS_SVCVIEW_H
#define KB_RECORDS_SVCVIEW_H

#include "control/records/store.h"
#include "control/records/wirename.h"

enum kb_svcview_kind {
	KB_VIEW_NONE, /* no names */
	KB_VIEW_LEFT, /* an object is bad: the name, and all below, is left alone */
	KB_VIEW_CLUSTER,
	KB_VIEW_HEADLESS, /* with at least one ready endpoint */
	KB_VIEW_EXTERNAL,
};

struct kb_svcview_ep {
	const struct kb_slice_obj *slice; /* borrowed */
	uint32_t host;			  /* string id of the label, 0: made from the address */
	struct kb_addr addr;
	uint8_t label_len;
	char label[KB_LABEL_MAX + 1];
};

/* Endpoints of one name: eps[first .. first + n). */
struct kb_svcview_group {
	uint32_t first, n;
};

struct kb_svcview_port {
	uint32_t name; /* string id */
	uint8_t proto;
};

/* A target and a port; group UINT32_MAX is the Service's own name. */
struct kb_svcview_srv {
	uint32_t group;
	uint16_t port;
};
#define KB_VIEW_SELF UINT32_MAX

struct kb_svcview {
	const struct kb_svc *svc; /* borrowed */
	enum kb_svcview_kind kind;
	enum kb_svcview_kind own_kind;	 /* whatever the namespace is like */
	bool usable;			 /* its addresses are known */
	bool ptr;			 /* they have PTR records */
	struct kb_svcview_ep *eps;	 /* owned; sorted by label, then address */
	struct kb_svcview_group *groups; /* owned */
	struct kb_svcview_port *ports;	 /* owned; distinct named ports */
	struct kb_addr *addrs;		 /* owned; of the Service's name: n4, then n6, distinct */
	struct kb_addr *group_addrs;	 /* owned; scratch of kb_svcview_group_addrs */
	struct kb_svcview_srv *srv;	 /* owned; scratch of kb_svcview_srv_* */
	size_t n_eps, n_groups, n_ports, n4, n6, n_srv;
	size_t cap_eps, cap_groups, cap_ports, cap_addrs, cap_group_addrs, cap_srv;
	uint16_t weight; /* of the records in srv */
};

void kb_svcview_collect(struct kb_svcview *v, const struct kb_store *s, uint32_t svc);
void kb_svcview_fini(struct kb_svcview *v);
/* Group with this label, -1 if there is none. */
int kb_svcview_find_group(const struct kb_svcview *v, const char *label, size_t len);
/* Distinct addresses of a group, IPv4 first, in v->group_addrs. */
void kb_svcview_group_addrs(struct kb_svcview *v, uint32_t group, size_t *ret_n4, size_t *ret_n6);
/* Fills v->srv and v->weight: distinct (target, port) of the Service's name, of one named
 * port, or of an endpoint name. */
void kb_svcview_srv_service(struct kb_svcview *v);
void kb_svcview_srv_port(struct kb_svcview *v, const struct kb_svcview_port *port);
void kb_svcview_srv_group(struct kb_svcview *v, uint32_t group);

/* Sorts addresses, IPv4 first, and removes repetitions. Returns how many are left. */
size_t kb_addrs_unique(struct kb_addr *addrs, size_t n, size_t *ret_n4);
int kb_addr_compare(const void *a, const void *b);

#endif
