/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf splitter. */
#include "control/kube/pb_split.h"

#define SPLIT(what) kb_pb_split##what
#include "tests/fuzz/fuzz_split.h"
