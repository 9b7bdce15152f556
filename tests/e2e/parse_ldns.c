/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses DNS messages with ldns: standard input holds them one after the other, each behind its
 * length in two bytes. Prints how many there were; the first that ldns refuses ends it, in hex,
 * with exit status 1.
 */
#include <ldns/ldns.h>
#include <stdint.h>
#include <stdio.h>

int main(void)
{
	static uint8_t msg[65535];
	unsigned long n = 0;
	uint8_t head[2];

	while (fread(head, 1, 2, stdin) == 2) {
		size_t len = (size_t)(head[0] << 8 | head[1]);
		ldns_pkt *pkt = NULL;
		ldns_status status;

		if (fread(msg, 1, len, stdin) != len) {
			fprintf(stderr, "message %lu is cut\n", n);
			return 1;
		}
		status = ldns_wire2pkt(&pkt, msg, len);
		if (status != LDNS_STATUS_OK) {
			fprintf(stderr, "message %lu: %s: ", n, ldns_get_errorstr_by_id(status));
			for (size_t i = 0; i < len; i++)
				fprintf(stderr, "%02x", msg[i]);
			fputc('\n', stderr);
			return 1;
		}
		ldns_pkt_free(pkt);
		n++;
	}
	printf("%lu\n", n);
	return 0;
}
