/* SPDX-License-Identifier: Apache-2.0 */
/* A writer that publishes a value before its record: see torn_read.c. Must fail. */
#define MUTANT_EARLY 1
#include "tests/model/torn_read.c"
