/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums of frames that never were on a wire. A kernel that sends by a veth leaves the
 * checksum of TCP and UDP to the device, and stores the sum of the pseudo-header meanwhile; who
 * gets the frame raw, as net_af_packet and net_af_xdp do, has to complete it before anybody
 * verifies it. A frame is known by just that sum. Of those whose checksum is whole, one in 65,536
 * has it too, and is not changed by being summed again; a damaged one with that sum would pass,
 * so this is for ports that hand over a kernel's buffers, not for wires.
 */
#ifndef KB_DPDK_PARTIAL_H
#define KB_DPDK_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>

/* frame[0..len): Ethernet, up to two VLAN tags, IPv4 or IPv6 without extension headers. Returns
 * whether a checksum was completed; everything else is left as it is. */
bool kb_partial_fill(uint8_t *frame, uint32_t len);

#endif
