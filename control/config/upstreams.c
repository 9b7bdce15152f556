/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/upstreams.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TLS	 "tls://"
#define PORT	 53
#define PORT_TLS 853 /* RFC 7858 section 3.1 */

static bool has(const struct kb_stub *stub, const struct kb_upstream_spec *spec)
{
	for (size_t i = 0; i < stub->n; i++) {
		if (kb_upstream_spec_same(&stub->at[i], spec))
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

int kb_parse_upstream(const char *s, struct kb_upstream_spec *ret)
{
	struct kb_upstream_spec spec;
	char addr[KB_ADDR_TEXT_MAX];
	size_t n;

	memset(&spec, 0, sizeof(spec));
	if (strncmp(s, TLS, strlen(TLS)) == 0) {
		spec.tls = true;
		s += strlen(TLS);
	}
	n = spec.tls ? strcspn(s, "#") : strlen(s);
	if (!cut(addr, sizeof(addr), s, n) ||
	    kb_parse_addr_port(addr, spec.tls ? PORT_TLS : PORT, &spec.at) < 0)
		return -EINVAL;
	if (s[n] && kb_parse_domain(s + n + 1, spec.server_name, sizeof(spec.server_name)) < 0)
		return -EINVAL;
	*ret = spec;
	return 0;
}

const char *kb_format_upstream(const struct kb_upstream_spec *spec, char *buf)
{
	char addr[KB_ADDR_TEXT_MAX];

	snprintf(buf, KB_UPSTREAM_TEXT_MAX, "%s%s%s%s", spec->tls ? TLS : "",
		 kb_format_addr_port(&spec->at, addr), *spec->server_name ? "#" : "",
		 spec->server_name);
	return buf;
}

bool kb_upstream_spec_same(const struct kb_upstream_spec *a, const struct kb_upstream_spec *b)
{
	return a->at.port == b->at.port && a->at.addr.family == b->at.addr.family &&
	       memcmp(a->at.addr.b, b->at.addr.b, a->at.addr.family == 6 ? 16 : 4) == 0 &&
	       a->tls == b->tls && strcmp(a->server_name, b->server_name) == 0;
}

int kb_parse_stub(const char *s, struct kb_stub *ret)
{
	struct kb_stub stub = {0};
	char text[KB_UPSTREAM_TEXT_MAX];
	size_t n = strcspn(s, "=");

	if (!s[n] || !cut(text, sizeof(text), s, n) ||
	    kb_parse_domain(text, stub.domain, sizeof(stub.domain)) < 0)
		return -EINVAL;
	do {
		struct kb_upstream_spec spec;

		s += n + 1;
		n = strcspn(s, ",");
		if (!cut(text, sizeof(text), s, n) || kb_parse_upstream(text, &spec) < 0)
			return -EINVAL;
		if (has(&stub, &spec))
			continue;
		if (stub.n == KB_STUB_ADDRS_MAX)
			return -E2BIG;
		stub.at[stub.n++] = spec;
	} while (s[n]);
	*ret = stub;
	return 0;
}
