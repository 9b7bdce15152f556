/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects for tests, written as one line of text each and handed to a kb_sink:
 *
 *   ns NAME [KEY=VALUE,...]
 *   svc NS/NAME cluster ADDR,ADDR PORTS [selector]
 *   svc NS/NAME headless PORTS [selector]
 *   svc NS/NAME external TARGET
 *   slice NS/NAME SERVICE PORTS ADDR[=HOSTNAME][@POD][!],... [at TRIGGER_TIME]
 *							"!": not ready
 *   pod NS/NAME ADDR,...
 *   bad ns NAME REASON | bad svc NS/NAME REASON | bad slice NS/NAME SERVICE REASON
 *   bad pod NS/NAME REASON
 *   gone ns NAME | gone svc NS/NAME | gone slice NS/NAME | gone pod NS/NAME
 *
 * PORTS is NAME:PROTO:PORT,... with an empty NAME for a port without one. "-" stands
 * for an empty list and for no Service.
 */
#ifndef KB_TESTS_FIXTURE_CLUSTER_H
#define KB_TESTS_FIXTURE_CLUSTER_H

#include "control/records/object.h"

/* One line to the sink, as an event. A line that cannot be read ends the process. */
void fixture_apply(const struct kb_sink *sink, const char *line);
/* Lists each kind once; `lines` ends with NULL. */
void fixture_list(const struct kb_sink *sink, const char *const *lines);

/* The cluster of scripts/demo/cluster.json, ends with NULL. */
extern const char *const fixture_cluster[];

#endif
