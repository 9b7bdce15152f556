/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/upstreams.h"

#include <errno.h>
#include <string.h>

static bool has(const struct kb_stub *stub, const struct kb_addr_port *at)
{
	for (size_t i = 0; i < stub->n; i++) {
		if (memcmp(&stub->at[i], at, sizeof(*at)) == 0)
			return true;
	}
	return false;
}

/* Copies n characters; false if they do not fit. */
static bool cut(char *buf, size_t size, const char *s, size_t n)
{
	if (n >= size)
		return false;
	memcpy(buf, s, n);
	buf[n] = '\0';
	return true;
}

int kb_parse_stub(const char *s, struct kb_stub *ret)
{
	struct kb_stub stub = {0};
	char text[256];
	size_t n = strcspn(s, "=");

	if (!s[n] || !cut(text, sizeof(text), s, n) ||
	    kb_parse_domain(text, stub.domain, sizeof(stub.domain)) < 0)
		return -EINVAL;
	do {
		struct kb_addr_port at;

		memset(&at, 0, sizeof(at)); /* compared as bytes */
		s += n + 1;
		n = strcspn(s, ",");
		if (!cut(text, sizeof(text), s, n) || kb_parse_addr_port(text, 53, &at) < 0)
			return -EINVAL;
		if (has(&stub, &at))
			continue;
		if (stub.n == KB_STUB_ADDRS_MAX)
			return -E2BIG;
		stub.at[stub.n++] = at;
	} while (s[n]);
	*ret = stub;
	return 0;
}
