/* SPDX-License-Identifier: Apache-2.0 */
/* A writer without grace periods: see torn_read.c. Must fail. */
#define MUTANT_NO_GRACE 1
#include "tests/model/torn_read.c"
