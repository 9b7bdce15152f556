/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for control/table/table.c: the same functions over plain memory, without
 * replicas, growth, limbo or limits. What it holds can be read by the answer core.
 * It counts what is left over, so that tests see names and records that leak.
 */
#ifndef KB_TESTS_FAKE_TABLE_H
#define KB_TESTS_FAKE_TABLE_H

#include "control/table/table.h"

struct kb_table *fake_table_new(uint32_t buckets);
void fake_table_free(struct kb_table *t);
const struct kb_bucket *fake_table_bucket(const struct kb_table *t, uint32_t n);
const struct kb_page *fake_table_page(const struct kb_table *t, uint32_t n);
struct kb_header *fake_table_header(struct kb_table *t);
uint8_t fake_table_zone_flags(const struct kb_table *t, uint8_t id);
uint64_t fake_table_names(const struct kb_table *t);
uint64_t fake_table_records(const struct kb_table *t);
/* Calls of put and del that changed something since the last call of this. */
uint64_t fake_table_changes(struct kb_table *t);
/* Bytes of a record, NULL if there is none. */
const uint8_t *fake_table_record(const struct kb_table *t, uint32_t ref, size_t *ret_len);
/* From now on `n` puts and interns succeed, then they are refused. */
void fake_table_refuse_after(struct kb_table *t, uint64_t n);

#endif
