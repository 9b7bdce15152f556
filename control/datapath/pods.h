/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the pods' interfaces and keeps kbdns_tc on them: those there are, and others in the
 * moment in which the kernel tells of them. Main thread; the datapath has to stay open.
 *
 * A pod's interface is the node's end of a veth or netkit whose other end is in another network
 * namespace. That is true of containers that are no pods, too, which does no harm: they are
 * answered if they ask the cluster DNS. It is not true of pods in the node's own namespace
 * (hostNetwork), and of macvlan, ipvlan and SR-IOV, which have no end on the node. Where both ends
 * are in this namespace nothing may be attached, since the replies, which go to the other end's
 * namespace, would be dropped.
 */
#ifndef KB_DATAPATH_PODS_H
#define KB_DATAPATH_PODS_H

#include "control/datapath/datapath.h"

struct kb_pods;

struct kb_pods_config {
	/* See control/config/pods.h. Borrowed until kb_pods_free. */
	const char *const *patterns;
	size_t n_patterns;
	bool (*match)(const char *const *patterns, size_t n, const char *ifname);
	size_t max; /* interfaces; more are left alone */
};

#define KB_POD_LATENCY_BUCKETS	14
#define KB_POD_LATENCY_FIRST_US 32 /* end of the first; each is twice as wide as the one before */

struct kb_pods_stats {
	uint64_t attached, failing, waiting, left_out; /* now; the last: because of max */
	uint64_t attaches, detaches;
	/* Attempts that failed. */
	uint64_t vanished; /* the interface went meanwhile, which is no error */
	uint64_t refused;  /* EPERM, EACCES */
	uint64_t occupied; /* no place left, or ours is taken */
	uint64_t no_memory;
	uint64_t other;
	uint64_t listings; /* of all interfaces: the first, and since messages were lost or room
			      made */
	/* From the moment in which the message of an interface had been read. */
	uint64_t latency[KB_POD_LATENCY_BUCKETS + 1], latency_us;
};

/* Finds all there are and begins to attach. 0, or -errno with one line in err; that of a single
 * interface is no error. */
int kb_pods_new(struct kb_datapath *dp, const struct kb_pods_config *config,
		struct kb_pods **ret_pods, char *err, size_t err_size);
/* Call kb_pods_read when it is readable. Borrowed. */
int kb_pods_fd(const struct kb_pods *pods);
void kb_pods_read(struct kb_pods *pods);
/* After kb_pods_new, kb_pods_read and kb_pods_tick: attaches for some ms to what they have left to
 * it. True if there is more, so that it has to be called again soon. */
bool kb_pods_step(struct kb_pods *pods);
/* About twice a second: looks whether a part of them still stands, and tries again where it failed.
 */
void kb_pods_tick(struct kb_pods *pods);
void kb_pods_stats(const struct kb_pods *pods, struct kb_pods_stats *ret);
/* Detaches nothing. Takes NULL. */
void kb_pods_free(struct kb_pods *pods);

#endif
