// SPDX-License-Identifier: Apache-2.0
/* See partial.h. */
#include "dataplane/dpdk/partial.h"

#include <netinet/in.h>
#include <stddef.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

/* The checksum's field in a TCP or UDP header of `len` bytes with what follows, or NULL. */
static unaligned_uint16_t *field(uint8_t *l4, uint32_t len, uint8_t proto)
{
	if (proto == IPPROTO_TCP && len >= sizeof(struct rte_tcp_hdr))
		return (unaligned_uint16_t *)(l4 + offsetof(struct rte_tcp_hdr, cksum));
	if (proto == IPPROTO_UDP && len >= sizeof(struct rte_udp_hdr))
		return (unaligned_uint16_t *)(l4 + offsetof(struct rte_udp_hdr, dgram_cksum));
	return NULL;
}

/* rte_ipv4_udptcp_cksum() and its twin read as much as the IP header says: it is checked. */
static bool fill4(uint8_t *l3, uint32_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;
	uint32_t ihl, total;
	unaligned_uint16_t *sum;

	if (len < sizeof(*ip) || ip->version != 4)
		return false;
	ihl = rte_ipv4_hdr_len(ip);
	total = rte_be_to_cpu_16(ip->total_length);
	if (ihl < sizeof(*ip) || total < ihl || total > len ||
	    ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG))
		return false;
	sum = field(l3 + ihl, total - ihl, ip->next_proto_id);
	if (!sum || *sum != rte_ipv4_phdr_cksum(ip, 0))
		return false;
	*sum = 0;
	*sum = rte_ipv4_udptcp_cksum(ip, l3 + ihl);
	return true;
}

static bool fill6(uint8_t *l3, uint32_t len)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)l3;
	unaligned_uint16_t *sum;
	uint32_t payload;

	if (len < sizeof(*ip) || l3[0] >> 4 != 6)
		return false;
	payload = rte_be_to_cpu_16(ip->payload_len);
	if (payload > len - sizeof(*ip))
		return false;
	sum = field(l3 + sizeof(*ip), payload, ip->proto);
	if (!sum || *sum != rte_ipv6_phdr_cksum(ip, 0))
		return false;
	*sum = 0;
	*sum = rte_ipv6_udptcp_cksum(ip, l3 + sizeof(*ip));
	return true;
}

bool kb_partial_fill(uint8_t *frame, uint32_t len)
{
	uint32_t off = sizeof(struct rte_ether_hdr);
	rte_be16_t type;

	for (int tags = 0;; tags++) {
		if (len < off)
			return false;
		type = *(unaligned_uint16_t *)(frame + off - 2);
		if (tags == 2 || (type != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN) &&
				  type != rte_cpu_to_be_16(RTE_ETHER_TYPE_QINQ)))
			break;
		off += sizeof(struct rte_vlan_hdr);
	}
	if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
		return fill4(frame + off, len - off);
	if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6))
		return fill6(frame + off, len - off);
	return false;
}
