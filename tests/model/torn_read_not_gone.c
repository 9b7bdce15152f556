/* SPDX-License-Identifier: Apache-2.0 */
/* A reader that sends without asking whether it was declared gone: see torn_read.c. Must fail. */
#define MUTANT_NOT_GONE 1
#include "tests/model/torn_read.c"
