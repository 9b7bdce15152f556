/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader made of a text, as one line, to be compared and shown. */
#ifndef KB_TEST_OBJECT_TEXT_H
#define KB_TEST_OBJECT_TEXT_H

#include "control/kube/object_parse.h"

/* The caller frees it. Reasons are left out: they differ with the encoding. */
char *object_text(const struct kb_parsed *parsed);

#endif
