/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes objects, reduced to what DNS needs.
 *
 * control/kube fills these from JSON or protobuf, control/records turns them into names.
 * They are views: every pointer is borrowed from the source and is valid only
 * during the callback that hands the object over. Everything runs on the main
 * loop's thread.
 */
#ifndef KB_RECORDS_OBJECT_H
#define KB_RECORDS_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kb_kind {
	KB_SERVICE,
	KB_SLICE, /* EndpointSlice, discovery.k8s.io/v1 */
	KB_NAMESPACE,
	KB_POD,
	KB_CONFIGMAP, /* read by sources; reaches a sink as `config` only */
	KB_KIND_MAX,
};

enum kb_proto { KB_TCP, KB_UDP, KB_SCTP };

struct kb_addr {
	uint8_t family; /* 4 or 6 */
	uint8_t b[16];	/* network byte order; IPv4 uses the first four */
};

struct kb_port {
	const char *name; /* "" when the port has no name */
	enum kb_proto proto;
	uint16_t port; /* host order; a slice's port is the target port */
};

enum kb_service_type { KB_CLUSTER_IP, KB_HEADLESS, KB_EXTERNAL_NAME };

struct kb_service {
	enum kb_service_type type; /* NodePort and LoadBalancer are KB_CLUSTER_IP */
	const struct kb_addr *cluster_ips;
	size_t n_cluster_ips;
	const char *external_name; /* only for KB_EXTERNAL_NAME, as the object has it */
	const struct kb_port *ports;
	size_t n_ports;
	bool selector; /* the control plane makes its slices, by a selector of pods */
};

struct kb_endpoint {
	struct kb_addr addr;  /* one kb_endpoint for each address of an endpoint */
	bool ready;	      /* conditions.ready, absent means ready */
	const char *hostname; /* NULL when it has none */
	const char *pod;      /* targetRef.name when targetRef.kind is Pod, otherwise NULL */
};

struct kb_slice {
	const char *service; /* label kubernetes.io/service-name, NULL when missing */
	const struct kb_port *ports;
	size_t n_ports;
	const struct kb_endpoint *endpoints;
	size_t n_endpoints;
	/* Annotation endpoints.kubernetes.io/last-change-trigger-time in seconds
	 * since the epoch, 0 when missing. */
	double trigger_time_s;
};

struct kb_pod {
	/* All of status.podIPs, status.podIP first, each once. None when the pod has no name:
	 * it has no address yet, has come to its end (Succeeded, Failed), is lost (Unknown), or
	 * is being deleted. */
	const struct kb_addr *ips;
	size_t n_ips;
};

struct kb_label {
	const char *key, *value;
};

#define KB_CONFIG_TEXT_MAX (1u << 20) /* bytes, Kubernetes' own limit of a ConfigMap */
#define KB_CONFIG_KEYS_MAX 1024

struct kb_configmap {
	const char *text; /* of the key that is asked for, NULL when it has no such key */
	/* All keys, when they are asked for; one may come twice: the last one counts. */
	const struct kb_label *data;
	size_t n_data;
};

#define KB_OBJECT_LABELS_MAX 1024 /* an object with more of them is bad */

/*
 * An object that cannot be carried (absurd or missing fields, too large) has
 * `bad` set to the reason; then only kind, ns, name and, for a slice,
 * u.slice.service (may be NULL) are meaningful. Its names must be left alone by
 * the fast path, not be denied.
 */
struct kb_object {
	enum kb_kind kind;
	const char *ns; /* "" for a Namespace */
	const char *name;
	const char *bad; /* NULL when the object is usable */
	/* Of a Namespace always; of the other kinds only from a source that has to select by
	 * them itself. A key may come twice: the last one counts. */
	const struct kb_label *labels;
	size_t n_labels;
	union {
		struct kb_service service;
		struct kb_slice slice;
		struct kb_pod pod;
		struct kb_configmap configmap;
	} u;
};

/*
 * What a source (API server or snapshot file) calls, on the main loop.
 *
 * A list is bracketed by relist_begin and relist_end: after relist_end every
 * object of that kind that was not applied in between is gone. Between two lists
 * nothing is ever emptied. The first relist_end of a kind means it has synced.
 * relist_abort ends a bracket whose list broke off: nothing is removed.
 */
struct kb_sink {
	void *arg;
	void (*relist_begin)(void *arg, enum kb_kind kind);
	void (*relist_end)(void *arg, enum kb_kind kind);
	void (*relist_abort)(void *arg, enum kb_kind kind);
	void (*apply)(void *arg, const struct kb_object *obj);
	void (*gone)(void *arg, enum kb_kind kind, const char *ns, const char *name);
	/* Any proof that the source is alive and current for this kind: an event,
	 * a bookmark, the end of a list. */
	void (*alive)(void *arg, enum kb_kind kind);
	/* The text of the ConfigMap's key that struct kb_source_config names: after the first
	 * list, and whenever it has changed. NULL when ConfigMap or key do not exist, or hold
	 * no text of up to KB_CONFIG_TEXT_MAX bytes. May be NULL. */
	void (*config)(void *config_arg, const char *text);
	/* The same of a ConfigMap of which all keys are read: the object, which may be bad, or NULL
	 * when there is none. May be NULL. */
	void (*config_object)(void *config_arg, const struct kb_object *obj);
	void *config_arg;
};

#endif
