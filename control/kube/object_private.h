/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the readers (object_json.c, object_pb.c) and object_parse.c: a reader
 * collects everything of interest, of whatever kind, into struct kb_raw in one pass;
 * only then is it decided what the object is, so that the order of members does not
 * matter. What a value means (a port, an address, "None") is said here once, for
 * both encodings.
 */
#ifndef KB_KUBE_OBJECT_PRIVATE_H
#define KB_KUBE_OBJECT_PRIVATE_H

#include "control/kube/object_parse.h"

enum { KB_POD_IPS_MAX = 8 }; /* one of each family is the rule; a few more do no harm */

/* A list that grows; its memory is used again by the next object. */
struct kb_vec {
	void *v; /* owned */
	size_t n, cap;
};

/* Strings are in the arena; NULL is absent. */
struct kb_raw {
	const char *event, *kind, *api_version;
	const char *ns, *name, *resource_version, *continue_token;
	const char *service, *trigger;
	const char *message;
	const char *address_type;
	const char *cluster_ip, *type, *external_name;
	const char *phase, *pod_ip;
	const char *config_text;
	bool initial_events_end;
	bool selector; /* spec.selector has members */
	bool deleting; /* metadata.deletionTimestamp is set */
	int64_t code;
	const char *bad;	 /* the first absurd field */
	const char *bad_status;	 /* the same below status, which only pods have to us */
	const char *bad_data;	 /* the same of a ConfigMap's data */
	const char *bad_address; /* the same, unless it is a slice of host names */
	uint8_t families;	 /* of the endpoints: bit 4, bit 6 */
};

struct kb_object_parser {
	char *arena; /* owned: all strings of the text, each with a NUL, fit here */
	size_t arena_cap;
	struct kb_vec ips, ports, spec_ports, endpoints, labels, data;
	struct kb_addr pod_ips[1 + KB_POD_IPS_MAX]; /* the first place is for status.podIP */
	size_t n_pod_ips;			    /* without it */
	bool wants_labels;
	const char *config_key; /* borrowed, NULL: no ConfigMap is read, or all of it */
	bool config_all;
	struct kb_raw raw;
	const char *error; /* what is wrong with the text as such, or NULL */
	size_t error_at;
	bool oom;
};

/* What is read from a text: one object, a watch event, or a list's metadata. */
enum kb_text { KB_TEXT_OBJECT, KB_TEXT_EVENT, KB_TEXT_LIST_META };

/* The readers. `wanted` is what kb_object_parse was told. */
void kb_object_read_json(struct kb_object_parser *parser, enum kb_text what, const char *text,
			 size_t len);
void kb_object_read_pb(struct kb_object_parser *parser, enum kb_text what, enum kb_kind wanted,
		       const char *text, size_t len);

/* The kind that raw's kind and apiVersion name; where they say nothing, the caller's
 * word stands. KB_KIND_MAX: none of ours. */
enum kb_kind kb_raw_kind(const struct kb_raw *raw, enum kb_kind wanted);

/* Makes the object bad, unless it is already. `what` is static. */
void kb_raw_absurd(struct kb_object_parser *parser, const char *what);

/* A port of a list; `number` is NULL when it has none, which a slice's port may mean
 * ("any port": nothing to say in DNS, left out) and a Service's may not. */
void kb_raw_add_port(struct kb_object_parser *parser, struct kb_vec *ports, const char *name,
		     const char *protocol, const int64_t *number, bool needs_number);
/* One address of the endpoint under way. */
void kb_raw_add_address(struct kb_object_parser *parser, const char *text);
/* What all addresses from the index `first` on have in common. target_* are NULL when
 * the endpoint has no target. */
void kb_raw_end_endpoint(struct kb_object_parser *parser, size_t first, bool ready,
			 const char *hostname, const char *target_kind, const char *target_name);
/* One of spec.clusterIPs. */
void kb_raw_add_cluster_ip(struct kb_object_parser *parser, const char *text, bool *none);
/* One of status.podIPs, "" for none. */
void kb_raw_add_pod_ip(struct kb_object_parser *parser, const char *text);
/* A label whose key and value are in the arena; the service's name is kept apart. */
void kb_raw_add_label(struct kb_object_parser *parser, const char *key, const char *value);
/* A key of a ConfigMap and its text, both in the arena. */
void kb_raw_add_data(struct kb_object_parser *parser, const char *key, const char *text);
/* After the whole spec: clusterIPs wins over clusterIP, which older API servers have
 * alone. */
void kb_raw_end_spec(struct kb_object_parser *parser, bool none);

#endif
