/* SPDX-License-Identifier: Apache-2.0 */
/* A writer without grace periods: see pcache_torn.c. Must fail. */
#define MUTANT_NO_GRACE 1
#include "tests/model/pcache_torn.c"
