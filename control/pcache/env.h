/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's access to a packet-path cache that is mapped into this process. Include it instead
 * of dataplane/core/pcache.h, in the files that answer.
 */
#ifndef KB_PCACHE_ENV_H
#define KB_PCACHE_ENV_H

#include "control/table/env.h"
#include "dataplane/core/pcache_mapped.h"

#endif
