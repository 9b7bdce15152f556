/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/revname.h"

#include <string.h>

static const struct kb_wire *apex_of(uint8_t family)
{
	static const struct kb_wire v4 = {14, "\7in-addr\4arpa"}, v6 = {10, "\3ip6\4arpa"};

	return family == 4 ? &v4 : &v6;
}

void kb_revname_make(const struct kb_addr *addr, uint8_t depth, struct kb_wire *ret)
{
	const struct kb_wire *apex = apex_of(addr->family);
	uint8_t i = depth;
	size_t pos = 0;

	while (i--) {
		if (addr->family == 4) {
			unsigned int v = addr->b[i];
			uint8_t *len = &ret->b[pos++];

			*len = 0;
			if (v >= 100)
				ret->b[pos + (*len)++] = (uint8_t)('0' + v / 100);
			if (v >= 10)
				ret->b[pos + (*len)++] = (uint8_t)('0' + v / 10 % 10);
			ret->b[pos + (*len)++] = (uint8_t)('0' + v % 10);
			pos += *len;
		} else {
			ret->b[pos++] = 1;
			ret->b[pos++] = (uint8_t) "0123456789abcdef"[i % 2 ? addr->b[i / 2] & 15
									   : addr->b[i / 2] >> 4];
		}
	}
	memcpy(ret->b + pos, apex->b, apex->len);
	ret->len = (uint8_t)(pos + apex->len);
}

/* One label: a byte in decimal, or a nibble in hex. -1 if it is neither. */
static int parse_label(const uint8_t *s, size_t len, bool v6)
{
	int v = 0;
	size_t i;

	if (len == 0 || len > (v6 ? 1U : 3U) || (!v6 && len > 1 && s[0] == '0'))
		return -1;
	for (i = 0; i < len; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v * 10 + s[i] - '0';
		else if (v6 && s[i] >= 'a' && s[i] <= 'f')
			v = s[i] - 'a' + 10;
		else
			return -1;
	}
	return v > 255 ? -1 : v;
}

int kb_revname_parse(const struct kb_wire *name, struct kb_addr *ret)
{
	int end = kb_wire_below(name, apex_of(4)), at, v, depth = 0, i;
	struct kb_addr addr = {.family = 4};
	uint8_t value[32];

	if (end < 0) {
		addr.family = 6;
		end = kb_wire_below(name, apex_of(6));
	}
	for (at = 0; at < end; at += name->b[at] + 1) {
		v = parse_label(name->b + at + 1, name->b[at], addr.family == 6);
		if (v < 0 || depth == kb_revname_depth(addr.family))
			return -1;
		value[depth++] = (uint8_t)v;
	}
	/* The first label is the last part of the address. */
	for (i = 0; i < depth; i++) {
		v = value[depth - 1 - i];
		if (addr.family == 4)
			addr.b[i] = (uint8_t)v;
		else
			addr.b[i / 2] |= (uint8_t)(i % 2 ? v : v << 4);
	}
	if (end < 0)
		return -1;
	*ret = addr;
	return depth;
}
