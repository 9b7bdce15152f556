/* SPDX-License-Identifier: Apache-2.0 */
/* Starting EAL so that one line says what is wrong. Main thread. */
#ifndef KB_DPDK_EAL_H
#define KB_DPDK_EAL_H

#include <stddef.h>

/* argv as rte_eal_init() has it. 0, or -errno with one line in err; a device that was named and is
 * no port is an error too. Ended by rte_eal_cleanup(). */
int kb_dpdk_eal_start(int argc, char **argv, char *err, size_t err_size);

#endif
