/* SPDX-License-Identifier: Apache-2.0 */
/* A writer that leaves the tag of a removed slot: see torn_read.c. Must fail. */
#define KB_TABLE_MUTANT 1
#include "tests/model/torn_read.c"
