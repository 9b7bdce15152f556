/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of zones as a Corefile writes them: "example.org", "dns://example.org:1053", ranges such as
 * 10.0.0.0/12, which stand for the reverse zones that cover them (sixteen here, since a
 * reverse zone ends at a whole octet, or a whole nibble of IPv6).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "control/config/corefile_private.h"
#include "control/config/parse.h"
#include "control/records/revname.h"
#include "control/records/wirename.h"

/* Of a cluster's zone, so that names of objects still fit below it. */
#define CLUSTER_ZONE_MAX 200

/* Length of one character of a label, with its escape: \DDD or \X. */
static size_t char_len(const char *s)
{
	if (*s != '\\')
		return 1;
	if (s[1] >= '0' && s[1] <= '9')
		return s[2] && s[3] ? 4 : 0;
	return s[1] ? 2 : 0;
}

bool kb_cf_normalize(const char *text, char ret[KB_CF_NAME_MAX])
{
	size_t len = strlen(text), label = 0;

	if (len >= KB_CF_NAME_MAX)
		return false;
	if (strcmp(text, ".") == 0)
		len = 0;
	for (size_t i = 0, n; i < len; i += n) {
		n = char_len(text + i);
		if (!n)
			return false;
		if (text[i] == '.') {
			if (!label)
				return false;
			label = 0;
		} else if (++label > 63) {
			return false;
		}
	}
	if (len && text[len - 1] == '.' && (len < 2 || text[len - 2] != '\\'))
		len--;
	if (len > 253)
		return false;
	for (size_t i = 0; i < len; i++)
		ret[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
	ret[len] = '\0';
	return true;
}

bool kb_cf_within(const char *name, const char *zone)
{
	size_t n = strlen(name), z = strlen(zone);

	if (!z)
		return true;
	return n >= z && strcmp(name + n - z, zone) == 0 && (n == z || name[n - z - 1] == '.');
}

bool kb_cf_plain(const char *zone)
{
	for (; *zone; zone++) {
		if (!((*zone >= 'a' && *zone <= 'z') || (*zone >= '0' && *zone <= '9') ||
		      *zone == '-' || *zone == '_' || *zone == '.'))
			return false;
	}
	return true;
}

bool kb_cf_is_reverse(const char *zone)
{
	return kb_cf_within(zone, "in-addr.arpa") || kb_cf_within(zone, "ip6.arpa");
}

bool kb_cf_answerable(const char *zone)
{
	struct kb_addr addr;
	struct kb_wire name;
	int depth;

	if (!kb_cf_plain(zone) || kb_wire_parse(zone, true, &name))
		return false;
	if (!kb_cf_is_reverse(zone))
		return strlen(zone) <= CLUSTER_ZONE_MAX;
	depth = kb_revname_parse(&name, &addr);
	return depth >= 0 && depth < kb_revname_depth(addr.family);
}

bool kb_cf_is_primary(const char *zone)
{
	return !kb_cf_is_reverse(zone) || strcmp(zone, "in-addr.arpa") == 0 ||
	       strcmp(zone, "ip6.arpa") == 0;
}

void kb_cf_reverse_name(const struct kb_addr *addr, unsigned int bits, char ret[KB_CF_NAME_MAX])
{
	size_t used = 0;

	*ret = '\0';
	if (addr->family == 4) {
		for (unsigned int i = bits / 8; i-- > 0;)
			used += (size_t)snprintf(ret + used, KB_CF_NAME_MAX - used, "%u.",
						 addr->b[i]);
		snprintf(ret + used, KB_CF_NAME_MAX - used, "in-addr.arpa");
		return;
	}
	for (unsigned int i = bits / 4; i-- > 0;)
		used += (size_t)snprintf(ret + used, KB_CF_NAME_MAX - used, "%x.",
					 i % 2 ? addr->b[i / 2] & 15 : addr->b[i / 2] >> 4);
	snprintf(ret + used, KB_CF_NAME_MAX - used, "ip6.arpa");
}

/* -ENOENT if text is no range at all. */
static int each_of_range(const char *text, kb_cf_zone_fn *each, void *arg)
{
	const char *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN], name[KB_CF_NAME_MAX];
	unsigned int unit, full, n;
	struct kb_addr addr;
	uint64_t bits;

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return -ENOENT;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (kb_parse_addr(host, &addr) < 0 ||
	    kb_parse_u64(slash + 1, 0, addr.family == 4 ? 32 : 128, &bits) < 0)
		return -ENOENT;
	if (*text == ':' || (*text == '0' && strchr(text, ':')))
		return -EINVAL; /* CoreDNS takes none of these */
	for (unsigned int i = (unsigned int)bits; i < (addr.family == 4 ? 32U : 128U); i++)
		addr.b[i / 8] = (uint8_t)(addr.b[i / 8] & ~(0x80 >> i % 8));
	unit = addr.family == 4 ? 8 : 4;
	full = ((unsigned int)bits + unit - 1) / unit * unit;
	n = 1U << (full - bits);
	for (unsigned int i = 0; i < n; i++) {
		struct kb_addr a = addr;
		int r;

		if (full)
			a.b[(full - 1) / 8] |= (uint8_t)(i << (full % 8 ? 4 : 0));
		kb_cf_reverse_name(&a, full, name);
		r = each(arg, name);
		if (r < 0)
			return r;
	}
	return 0;
}

int kb_cf_each_zone(const char *text, kb_cf_zone_fn *each, void *arg)
{
	char name[KB_CF_NAME_MAX];
	int r = each_of_range(text, each, arg);

	if (r != -ENOENT)
		return r;
	if (!kb_cf_normalize(text, name))
		return -EINVAL;
	return each(arg, name);
}

int kb_cf_each_origin(const char *text, enum kb_cf_transport *ret_transport, uint16_t *ret_port,
		      kb_cf_zone_fn *each, void *arg)
{
	static const char *const schemes[] = {"dns",   "tls",	 "quic", "grpc",
					      "https", "https3", "unix"};
	char name[KB_CF_NAME_MAX + 8];
	const char *colon, *digits;
	uint64_t port = 0;

	*ret_transport = KB_CF_DNS;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (strncmp(text, schemes[i], n) == 0 && strncmp(text + n, "://", 3) == 0) {
			*ret_transport = i ? KB_CF_OTHER : KB_CF_DNS;
			text += n + 3;
			break;
		}
	}
	if (strlen(text) >= sizeof(name))
		return -EINVAL;
	strcpy(name, text);
	/* Digits behind the last colon are a port; an IPv6 range has its mask behind it. */
	colon = strrchr(name, ':');
	if (colon && !colon[1])
		return -EINVAL;
	digits = colon ? colon + 1 : "x";
	if (!digits[strspn(digits, "0123456789")]) {
		if (kb_parse_u64(digits, 0, UINT16_MAX, &port) < 0)
			return -EINVAL;
		name[colon - name] = '\0';
	}
	*ret_port = (uint16_t)port;
	return kb_cf_each_zone(name, each, arg);
}
