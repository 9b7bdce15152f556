/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer core over the writer's own mapping of the table. Include it instead of
 * dataplane/core/packet.h, in the files that answer.
 */
#ifndef KB_TABLE_ENV_H
#define KB_TABLE_ENV_H

#include "dataplane/core/mapped.h"

struct kb_table;

/* What answers come from right now. Valid until the table's next change, so on the
 * writer's thread fetch it anew for each query. */
void kb_table_env(const struct kb_table *t, struct kb_env *ret_env);
/* The same for another thread, which is online (dataplane/core/worker.h): of the generation in a
 * state word that it has read since, with acquire. */
void kb_table_env_online(const struct kb_table *t, __u32 gen, struct kb_env *ret_env);

#endif
