/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where objects come from: a snapshot file, or the watch of an API server.
 *
 * Runs on the main loop's thread and calls the sink (control/records/object.h)
 * from there. No function blocks longer than reading a local file does.
 */
#ifndef KB_KUBE_SOURCE_H
#define KB_KUBE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "control/records/object.h"

struct kb_source;

struct kb_source_kind_status {
	bool wanted;		/* false: this kind is not read at all */
	bool synced;		/* at least one whole list has been seen */
	bool watching;		/* a watch is open now (never, with a snapshot) */
	uint64_t last_alive_ms; /* uv_now() of the last event, bookmark or list end; 0: never */
	uint64_t events;	/* watch events delivered to the sink */
	uint64_t relists;	/* whole lists begun, the first one included */
	uint64_t reconnects;	/* watches opened again from a resourceVersion */
	uint64_t failures;	/* lists and watches ended by an error: HTTP 401, 403, 410,
				 * 429, 5xx, a broken connection, silence */
	uint64_t skipped;	/* objects handed over as bad, or not even nameable */
	uint64_t bytes;		/* body bytes received or read; a snapshot's count with
				 * each kind */
	char error[256];	/* last error, "" when the last attempt went well */
};

/*
 * For tests: after how many milliseconds without an event, a bookmark or a list's
 * item a watch is torn down and opened again. Read by kb_source_new.
 */
#define KB_SOURCE_SILENCE_ENV "KBDNS_WATCH_SILENCE_MS"
#define KB_SOURCE_SILENCE_MS  90000

/* How often a snapshot source calls the sink's `alive`: a file does not age. */
#define KB_SOURCE_SNAPSHOT_ALIVE_MS 5000

struct kb_source_config {
	const char *snapshot;	/* path: use the snapshot source; excludes the others */
	const char *kubeconfig; /* path; NULL and no snapshot: in-cluster */
	/* Services and Namespaces are always read, unless it is the ConfigMap alone. */
	bool configmap_only;
	bool no_endpoints; /* EndpointSlices are not */
	bool pods;	   /* Pods are */
	/* Label selector: of Services, EndpointSlices and Pods only these. NULL: all. */
	const char *labels;
	/* "NS/NAME" of a ConfigMap, and which of its keys the sink's `config` is told of; without
	 * a key all of them, by `config_object`. NULL: none is read. That it cannot be read holds
	 * up nothing else. */
	const char *configmap, *configmap_key;
};

/* "services", "endpointslices" and so on, as the API server has it in its paths. */
const char *kb_source_kind_name(enum kb_kind kind);
/* Opens the source: reads and checks configuration, does not wait for the
 * server. Returns 0, or -errno with one line for the operator in err. The source
 * belongs to the caller. `sink` is copied, and called for the kinds that are read. */
int kb_source_new(uv_loop_t *loop, const struct kb_source_config *config,
		  const struct kb_sink *sink, struct kb_source **ret_source, char *err,
		  size_t err_size);
/* Begins listing and watching. A snapshot is read here, whole, and its kinds are
 * synced on return; a snapshot that cannot be read returns -errno with err, and
 * nothing has been handed over. */
int kb_source_start(struct kb_source *source, char *err, size_t err_size);
/* SIGHUP: re-reads the snapshot, or the kubeconfig and token files. A bad file
 * changes nothing and returns -errno with err. Watches that wait for their next
 * attempt make it now; another server in the kubeconfig means whole lists anew. */
int kb_source_reload(struct kb_source *source, char *err, size_t err_size);
void kb_source_status(const struct kb_source *source, enum kb_kind kind,
		      struct kb_source_kind_status *ret_status);
/* "snapshot /path" or "apiserver https://host:port"; borrowed. */
const char *kb_source_name(const struct kb_source *source);
/* Closes every handle; the loop must run once more for libuv to let go of them.
 * Takes NULL. Not to be called from a sink's callback. */
void kb_source_free(struct kb_source *source);

#endif
