/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Reads digits at *s and moves past them. Not strtoull: that takes blanks, signs and "". */
static int take_u64(const char **s, uint64_t *ret_value)
{
	const char *p = *s;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	}
	*s = p;
	*ret_value = v;
	return 0;
}

int kb_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t v;
	int r = take_u64(&s, &v);

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*ret_value = v;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_with_unit(const char *s, const struct unit *units, uint64_t min, uint64_t max,
			   uint64_t *ret_value)
{
	uint64_t v;
	int r = take_u64(&s, &v);

	if (r < 0)
		return r;
	while (units->name && strcmp(s, units->name) != 0)
		units++;
	if (!units->name)
		return -EINVAL;
	if (__builtin_mul_overflow(v, units->factor, &v) || v < min || v > max)
		return -ERANGE;
	*ret_value = v;
	return 0;
}

int kb_parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},	 {"K", 1 << 10},   {"Ki", 1 << 10},  {"KiB", 1 << 10},
		{"M", 1 << 20},	 {"Mi", 1 << 20},  {"MiB", 1 << 20}, {"G", 1 << 30},
		{"Gi", 1 << 30}, {"GiB", 1 << 30}, {NULL, 0},
	};

	return parse_with_unit(s, units, min, max, ret_bytes);
}

int kb_parse_seconds(const char *s, uint64_t min, uint64_t max, uint64_t *ret_seconds)
{
	static const struct unit units[] = {
		{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0},
	};

	return parse_with_unit(s, units, min, max, ret_seconds);
}

int kb_parse_bool(const char *s, bool *ret_value)
{
	static const char *const words[] = {"off", "on", "false", "true", "no", "yes", NULL};
	unsigned int i;
	int r = kb_parse_choice(s, words, &i);

	if (r < 0)
		return r;
	*ret_value = i & 1;
	return 0;
}

int kb_parse_choice(const char *s, const char *const *words, unsigned int *ret_index)
{
	for (unsigned int i = 0; words[i]; i++) {
		if (strcmp(s, words[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	return -EINVAL;
}

int kb_parse_addr(const char *s, struct kb_addr *ret_addr)
{
	struct kb_addr addr = {0};

	if (inet_pton(AF_INET, s, addr.b) == 1)
		addr.family = 4;
	else if (inet_pton(AF_INET6, s, addr.b) == 1)
		addr.family = 6;
	else
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

/* Copies the n characters at s as a string; false when they do not fit. */
static bool copy_n(char *dst, size_t size, const char *s, size_t n)
{
	if (n >= size)
		return false;
	memcpy(dst, s, n);
	dst[n] = '\0';
	return true;
}

int kb_parse_hosts_addr(const char *s, struct kb_addr *ret_addr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char text[INET6_ADDRSTRLEN];
	struct kb_addr addr, v4 = {.family = 4};

	if (!copy_n(text, sizeof(text), s, strcspn(s, "%")) || kb_parse_addr(text, &addr) < 0)
		return -EINVAL;
	memcpy(v4.b, addr.b + 12, 4);
	*ret_addr = addr.family == 6 && memcmp(addr.b, mapped, sizeof(mapped)) == 0 ? v4 : addr;
	return 0;
}

int kb_parse_addr_port(const char *s, uint16_t default_port, struct kb_addr_port *ret)
{
	struct kb_addr_port ap = {.port = default_port};
	char host[INET6_ADDRSTRLEN];
	const char *port = NULL, *end;
	uint64_t v;
	int r;

	if (*s == '[') {
		end = strchr(++s, ']');
		if (!end || !copy_n(host, sizeof(host), s, (size_t)(end - s)))
			return -EINVAL;
		if (end[1] == ':')
			port = end + 2;
		else if (end[1])
			return -EINVAL;
		r = kb_parse_addr(host, &ap.addr);
		if (r < 0 || ap.addr.family != 6)
			return -EINVAL;
	} else {
		end = strchr(s, ':');
		if (end && !strchr(end + 1, ':')) /* one colon: IPv4 and a port */
			port = end + 1;
		else
			end = s + strlen(s);
		if (!copy_n(host, sizeof(host), s, (size_t)(end - s)))
			return -EINVAL;
		r = kb_parse_addr(host, &ap.addr);
		if (r < 0)
			return r;
	}
	if (port) {
		r = kb_parse_u64(port, 1, UINT16_MAX, &v);
		if (r < 0)
			return r;
		ap.port = (uint16_t)v;
	}
	*ret = ap;
	return 0;
}

int kb_parse_cidr(const char *s, struct kb_cidr *ret_cidr)
{
	struct kb_cidr cidr = {0};
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);
	uint64_t bits;
	uint32_t all;
	int r;

	if (!copy_n(host, sizeof(host), s, n))
		return -EINVAL;
	r = kb_parse_addr(host, &cidr.addr);
	if (r < 0)
		return r;
	all = cidr.addr.family == 4 ? 32 : 128;
	bits = all;
	if (slash) {
		r = kb_parse_u64(slash + 1, 0, all, &bits);
		if (r < 0)
			return r;
	}
	for (uint32_t i = (uint32_t)bits; i < all; i++) {
		if (cidr.addr.b[i / 8] & (0x80 >> (i % 8)))
			return -EDOM;
	}
	cidr.bits = (uint8_t)bits;
	*ret_cidr = cidr;
	return 0;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Length of the host name label at s (letters, digits, inner dashes, at most 63), or 0. */
static size_t label_len(const char *s)
{
	size_t n = 0;

	while (is_alnum(s[n]) || s[n] == '-')
		n++;
	if (n > 63 || !n || s[0] == '-' || s[n - 1] == '-')
		return 0;
	return n;
}

int kb_parse_domain(const char *s, char *ret_name, size_t size)
{
	size_t len = strlen(s);
	const char *p = s;

	if (len && s[len - 1] == '.')
		len--;
	if (!len || len > 253 || len >= size)
		return -EINVAL;
	for (;;) {
		size_t n = label_len(p);

		if (!n)
			return -EINVAL;
		p += n;
		if (p == s + len)
			break;
		if (*p++ != '.')
			return -EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		ret_name[i] = (s[i] >= 'A' && s[i] <= 'Z') ? (char)(s[i] | 0x20) : s[i];
	ret_name[len] = '\0';
	return 0;
}

int kb_parse_ns_name(const char *s)
{
	size_t n = label_len(s);
	size_t m;

	if (!n || s[n] != '/')
		return -EINVAL;
	m = label_len(s + n + 1);
	if (!m || s[n + 1 + m])
		return -EINVAL;
	for (; *s; s++) {
		if (*s >= 'A' && *s <= 'Z')
			return -EINVAL;
	}
	return 0;
}

int kb_parse_ifname(const char *s)
{
	size_t len = strlen(s);

	if (!len || len >= IFNAMSIZ || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return -EINVAL;
	for (; *s; s++) {
		if (*s == '/' || *s == ':' || (unsigned char)*s <= ' ' || *s == 0x7f)
			return -EINVAL;
	}
	return 0;
}

const char *kb_format_addr_port(const struct kb_addr_port *ap, char *buf)
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = ap->addr.family == 6;

	inet_ntop(v6 ? AF_INET6 : AF_INET, ap->addr.b, host, sizeof(host));
	snprintf(buf, KB_ADDR_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", host, ap->port);
	return buf;
}

const char *kb_format_cidr(const struct kb_cidr *cidr, char *buf)
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(cidr->addr.family == 6 ? AF_INET6 : AF_INET, cidr->addr.b, host, sizeof(host));
	snprintf(buf, KB_ADDR_TEXT_MAX, "%s/%u", host, cidr->bits);
	return buf;
}

const char *kb_format_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char suffix[] = "\0KMG";
	int i = 0;

	while (bytes && bytes % 1024 == 0 && i < 3) {
		bytes /= 1024;
		i++;
	}
	snprintf(buf, size, "%" PRIu64 "%.1s", bytes, suffix + i);
	return buf;
}
