/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of kb_ports, see dataplane/core/ports.h. One thread for one map. */
#ifndef KB_DATAPATH_PORTS_H
#define KB_DATAPATH_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Enters the port, or changes what is said of it; `steer`: its queues may be handed to workers.
 * Returns 0, -ENOSPC if its places are taken by other ports, or the map's -errno. map_fd is
 * borrowed. */
int kb_ports_put(int map_fd, uint32_t ifindex, const uint8_t mac[6], bool steer);

/* Removes the port if it is there. Returns the place that is free now, or -errno. */
int kb_ports_remove(int map_fd, uint32_t ifindex);

#endif
