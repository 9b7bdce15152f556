/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap interface of the kernel: what is written to its file descriptor, a whole Ethernet frame
 * each time, the kernel's stack receives; what the stack sends by it is read there. Frames are
 * as on a wire: no packet information, no offloads, so that the kernel completes checksums.
 *
 * An interface that is kept (kb_tap_keep) has its addresses, routes and neighbours still when the
 * descriptor is closed, in whatever way; it has no carrier then.
 */
#ifndef KB_DPDK_TAP_H
#define KB_DPDK_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Makes the tap `name`, or takes it over if it is there and nobody has it open, gives it MAC and
 * MTU and sets it up. 0, or -errno with one line in err; an interface that was made is gone then.
 * The descriptor, which does not block, is the caller's.
 */
int kb_tap_open(const char *name, const uint8_t mac[6], uint32_t mtu, int *ret_fd, char *err,
		size_t err_size);
/* 0 or -errno. */
int kb_tap_keep(int fd);
int kb_tap_carrier(int fd, bool up);

#endif
