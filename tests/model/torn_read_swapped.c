/* SPDX-License-Identifier: Apache-2.0 */
/* A writer that leaves the tag of a removed slot, and stores a new value before the new tag:
 * see torn_read.c. Must fail. */
#define KB_TABLE_MUTANT 2
#include "tests/model/torn_read.c"
