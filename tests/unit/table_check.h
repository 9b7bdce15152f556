/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of a table between any two calls of its writer. */
#ifndef KB_TESTS_TABLE_CHECK_H
#define KB_TESTS_TABLE_CHECK_H

struct kb_table;

/* NULL, or what is wrong: replicas alike, overflow bits and spill counts right, each arena
 * unit part of exactly one free run or record, each reference counted, each record without
 * references in the limbo. */
const char *kb_table_check(const struct kb_table *t);

#endif
