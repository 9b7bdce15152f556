/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON splitter. */
#include "control/kube/json_split.h"

#define SPLIT(what) kb_json_split##what
#include "tests/fuzz/fuzz_split.h"
