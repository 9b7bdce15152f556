/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a stream of Kubernetes' protobuf into the objects to be read one by one.
 *
 *	KB_SPLIT_EVENTS	frames: a length of 4 bytes (big endian) and a WatchEvent, which
 *			is an item
 *	KB_SPLIT_LIST	"k8s\0" Unknown { 1: TypeMeta  2: the list { 1: ListMeta  2: item ... } }
 *			ListMeta is the field "metadata"; one document, which ends with the
 *			stream, and is a list when its kind says so ("ServiceList")
 *
 * As in json_split.h at most one value is kept, and one over the limit is dropped while it
 * streams by. Lengths alone find the next value, so that a broken one stops nothing; lengths
 * that do not nest, or a tag that is none, end the stream with -EBADMSG.
 */
#ifndef KB_KUBE_PB_SPLIT_H
#define KB_KUBE_PB_SPLIT_H

#include "control/kube/split.h"

struct kb_pb_split;

/* max is the largest value in bytes, 0 for the default. */
int kb_pb_split_new(enum kb_split_mode mode, size_t max, const struct kb_split_ops *ops, void *arg,
		    struct kb_pb_split **ret_split);
/* Returns 0, -EBADMSG (see kb_pb_split_error), -ENOMEM, or what a callback
 * returned; after anything but 0 only reset and free make sense. */
int kb_pb_split_feed(struct kb_pb_split *split, const char *bytes, size_t len);
/* The stream ended: 0 between two values, -EBADMSG within one. */
int kb_pb_split_finish(struct kb_pb_split *split);
/* Begin anew with an empty stream of this mode. */
void kb_pb_split_reset(struct kb_pb_split *split, enum kb_split_mode mode);
/* What was wrong; "" when nothing was. Static. */
const char *kb_pb_split_error(const struct kb_pb_split *split);
/* Bytes kept for the value under way. */
size_t kb_pb_split_memory(const struct kb_pb_split *split);
void kb_pb_split_free(struct kb_pb_split *split);

#endif
