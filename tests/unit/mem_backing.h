/* SPDX-License-Identifier: Apache-2.0 */
/* A backing of plain memory for control/table, where readers are threads of the test. */
#ifndef KB_TESTS_MEM_BACKING_H
#define KB_TESTS_MEM_BACKING_H

#include "control/table/table.h"

struct kb_mem;

/* `grace` is called with grace_arg; NULL when the test has no concurrent readers. */
struct kb_mem *kb_mem_new(void (*grace)(void *arg), void *grace_arg);
void kb_mem_free(struct kb_mem *mem);
bool kb_mem_has_index(const struct kb_mem *mem, uint32_t slot);
void kb_mem_backing(struct kb_mem *mem, struct kb_backing *ret);
/* The next `n` requests for memory succeed, later ones fail with -ENOMEM; -1: all succeed. */
void kb_mem_fail_after(struct kb_mem *mem, int n);

#endif
