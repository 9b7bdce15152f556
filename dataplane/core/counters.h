/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * One row per counter: identifier, name in metrics and in kbdnsctl, help. Every
 * engine counts into the same rows, per CPU or per worker; every packet that an
 * engine looks at ends in exactly one `answered_*`, `left_*` or `dropped_*` row.
 * `truncated` counts a subset of the answered ones.
 */
#ifndef KB_CORE_COUNTERS_H
#define KB_CORE_COUNTERS_H

#define KB_COUNTERS(X)                                                                      \
	X(ANSWERED, "answered_positive", "answered with records")                           \
	X(NODATA, "answered_nodata", "answered: the name exists, the type does not")        \
	X(NXDOMAIN, "answered_nxdomain", "answered: the name does not exist")               \
	X(CACHED, "answered_cached", "answered as the forwarder did before")                \
	X(TRUNCATED, "truncated", "answered with TC set (counted in answered_* too)")       \
	X(NOT_IP, "left_not_ip", "neither IPv4 nor IPv6, or a VLAN tag")                    \
	X(NOT_UDP, "left_not_udp", "not UDP")                                               \
	X(NOT_PORT, "left_not_port", "UDP to a port that no intercept has")                 \
	X(NOT_INTERCEPT, "left_not_intercept", "UDP to an address that is no intercept")    \
	X(NOT_OURS, "left_not_ours", "frame not unicast to this port's own address")        \
	X(STEERED, "left_steered", "handed to the queue's kbdns-dpdk worker")               \
	X(OFF, "left_off", "state is OFF")                                                  \
	X(STALE, "left_stale", "kbdnsd has not beaten within max_stale")                    \
	X(SOURCE, "left_source", "source address not within allow-from")                    \
	X(LOOP, "left_loop", "source is an intercept address: answers might go in circles") \
	X(FRAGMENT, "left_fragment", "IP fragment")                                         \
	X(IP_OPTIONS, "left_ip_options", "IPv4 options or IPv6 extension header")           \
	X(GSO, "left_gso", "several datagrams in one buffer")                               \
	X(LENGTH, "left_length", "lengths do not agree, or shorter than a DNS header")      \
	X(OVERSIZE, "left_oversize", "query larger than the fast path reads")               \
	X(UNREADABLE, "left_unreadable", "packet bytes could not be made readable")         \
	X(RESPONSE, "left_response", "QR is set")                                           \
	X(OPCODE, "left_opcode", "opcode other than QUERY")                                 \
	X(SECTIONS, "left_sections", "not exactly one question, or unexpected records")     \
	X(QNAME, "left_qname", "malformed or compressed qname")                             \
	X(CLASS, "left_class", "class other than IN")                                       \
	X(QTYPE, "left_qtype", "meta type: transfer, OPT, TSIG and the like")               \
	X(OPT, "left_opt", "malformed OPT record or trailing bytes")                        \
	X(EDNS_VERSION, "left_edns_version", "EDNS version other than 0")                   \
	X(HITS_ONLY, "left_hits_only", "name unknown and state is HITS")                    \
	X(NO_ZONE, "left_no_zone", "name outside all zones")                                \
	X(CACHED_REFRESH, "left_cached_refresh", "cached, and to be asked for anew")        \
	X(CACHED_LIMIT, "left_cached_limit", "cached, and larger than the client takes")    \
	X(ZONE_LEAVE, "left_zone", "name unknown in a zone that leaves its misses")         \
	X(NAME_LEAVE, "left_name", "name or type is entered as one to leave")               \
	X(INCOMPLETE, "left_incomplete", "the table had no whole answer")                   \
	X(MTU, "left_mtu", "reply larger than the interface's MTU")                         \
	X(NO_ROOM, "left_no_room", "packet buffer could not be resized")                    \
	X(NO_ROW, "left_no_row", "worker without a row in kb_workers")                      \
	X(WRITE_FAILED, "dropped_write_failed", "rewriting failed after the first write")   \
	X(SEND_FULL, "dropped_send_full", "the port's send queue took no more replies")     \
	X(GONE, "dropped_gone", "worker had been declared gone, reply discarded")

enum kb_counter {
#define KB_COUNTER_ID(id, name, help) KB_CNT_##id,
	KB_COUNTERS(KB_COUNTER_ID)
#undef KB_COUNTER_ID
		KB_CNT_MAX,
};

/* Whose counters. The socket engine keeps its own in kbdnsd. */
enum kb_engine { KB_ENGINE_TC, KB_ENGINE_XDP, KB_ENGINE_SOCKET, KB_ENGINE_DPDK, KB_ENGINE_MAX };

/* The parts of the enumeration that are not answers are left or dropped. */
#define KB_CNT_FIRST_LEFT KB_CNT_NOT_IP
/* From here on the question of what is left has been read. */
#define KB_CNT_FIRST_READ KB_CNT_CLASS

/* Latency histogram: bucket i counts runs of [2^i, 2^(i+1)) ns. */
#define KB_HIST_BUCKETS 32

#endif
