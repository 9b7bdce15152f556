/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a snapshot: what `kubectl get svc,endpointslices,ns,pods -A -o json` prints, or
 * several such lists one after the other. Kinds that are not ours are passed over.
 *
 * The file is read twice, in pieces: first only to see that it is sound to its
 * end, then to hand its objects over. Main loop's thread; blocks while it reads.
 */
#ifndef KB_KUBE_SNAPSHOT_H
#define KB_KUBE_SNAPSHOT_H

#include "control/kube/object_parse.h"
#include "control/records/object.h"

struct kb_snapshot_counts {
	uint64_t objects[KB_KIND_MAX]; /* handed over, the bad ones included */
	uint64_t bad[KB_KIND_MAX];     /* handed over as bad */
	uint64_t unnamed;	       /* could not be handed over: no name, too large */
	uint64_t bytes;
	char note[160]; /* about the first unnamed one, "" without */
};

/* Brackets each kind that is wanted with relist_begin and relist_end; the others are passed
 * over like kinds that are not ours. A file that cannot be read
 * or is no snapshot returns -errno with a line in err that names file, line and
 * byte, and nothing has been handed over. Only if the file changes while it is
 * being read does it fail later, and then all brackets are aborted. */
int kb_snapshot_read(const char *path, struct kb_object_parser *parser,
		     const bool want[KB_KIND_MAX], const struct kb_sink *sink,
		     struct kb_snapshot_counts *ret_counts, char *err, size_t err_size);

#endif
