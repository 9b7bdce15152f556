/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Numbers of the DNS protocol (RFC 1035, 2782, 3596, 6891). */
#ifndef KB_CORE_DNS_H
#define KB_CORE_DNS_H

#define KB_DNS_HDR 12 /* bytes of a message header */

#define KB_TYPE_A     1
#define KB_TYPE_NS    2
#define KB_TYPE_CNAME 5
#define KB_TYPE_SOA   6
#define KB_TYPE_PTR   12
#define KB_TYPE_TXT   16
#define KB_TYPE_AAAA  28
#define KB_TYPE_SRV   33
#define KB_TYPE_OPT   41
#define KB_TYPE_ANY   255

#define KB_RCODE_NOERROR  0
#define KB_RCODE_FORMERR  1
#define KB_RCODE_SERVFAIL 2
#define KB_RCODE_NXDOMAIN 3
#define KB_RCODE_NOTIMP	  4
#define KB_RCODE_REFUSED  5

/* Bytes 2 and 3 of a DNS header. */
#define KB_QR	  0x80
#define KB_OPCODE 0x78
#define KB_AA	  0x04
#define KB_TC	  0x02
#define KB_RD	  0x01
#define KB_CD	  0x10
#define KB_AD	  0x20
#define KB_RA	  0x80

#endif
