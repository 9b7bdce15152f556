/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/dashed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static size_t put_decimal(char *out, unsigned int v)
{
	size_t n = 0;

	if (v >= 100)
		out[n++] = (char)('0' + v / 100);
	if (v >= 10)
		out[n++] = (char)('0' + v / 10 % 10);
	out[n++] = (char)('0' + v % 10);
	return n;
}

static size_t put_hex(char *out, unsigned int v)
{
	size_t n = 0;
	int shift;

	for (shift = 12; shift >= 0; shift -= 4)
		if (shift == 0 || v >> shift)
			out[n++] = "0123456789abcdef"[v >> shift & 15];
	return n;
}

/* The first longest run of zero groups, if there are two or more (RFC 5952 section 4.2). */
static size_t zero_run(const unsigned int group[8], size_t *ret_len)
{
	size_t i, k, at = 8;

	*ret_len = 1;
	for (i = 0; i < 8; i = k + 1) {
		for (k = i; k < 8 && !group[k]; k++)
			;
		if (k - i > *ret_len) {
			at = i;
			*ret_len = k - i;
		}
	}
	return at;
}

static size_t make6(const struct kb_addr *addr, char *out)
{
	unsigned int group[8];
	size_t i, len = 0, run_len, run;

	for (i = 0; i < 8; i++)
		group[i] = (unsigned int)addr->b[2 * i] << 8 | addr->b[2 * i + 1];
	run = zero_run(group, &run_len);
	for (i = 0; i < 8;) {
		if (i == run) {
			out[len++] = '-';
			i += run_len;
			if (i == 8)
				out[len++] = '-';
			continue;
		}
		if (i)
			out[len++] = '-';
		len += put_hex(out + len, group[i++]);
	}
	return len;
}

size_t kb_dashed_make(const struct kb_addr *addr, char ret_label[KB_LABEL_MAX + 1])
{
	size_t i, len = 0;

	if (addr->family == 6)
		return make6(addr, ret_label);
	for (i = 0; i < 4; i++) {
		if (i)
			ret_label[len++] = '-';
		len += put_decimal(ret_label + len, addr->b[i]);
	}
	return len;
}

size_t kb_dashed_endpoint(const struct kb_addr *addr, char ret_label[KB_LABEL_MAX + 1])
{
	size_t len = kb_dashed_make(addr, ret_label);

	if (ret_label[len - 1] == '-')
		ret_label[len++] = '0';
	return len;
}

/* Exactly three dashes, no two of them together. */
static bool looks_v4(const char *label, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (label[i] != '-')
			continue;
		if (i + 1 < len && label[i + 1] == '-')
			return false;
		n++;
	}
	return n == 3;
}

int kb_dashed_parse(const char *label, size_t len, struct kb_addr *ret)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char text[KB_LABEL_MAX + 1];
	bool v4 = looks_v4(label, len);
	struct kb_addr addr = {.family = v4 ? 4 : 6};
	size_t i;

	if (len > KB_LABEL_MAX)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		/* A dot or a zero byte in a label would be read as what it is not. */
		if (label[i] == '.' || label[i] == ':' || label[i] == '\0')
			return -EINVAL;
		text[i] = label[i];
		if (label[i] == '-')
			text[i] = v4 ? '.' : ':';
	}
	text[len] = '\0';
	if (inet_pton(v4 ? AF_INET : AF_INET6, text, addr.b) != 1)
		return -EINVAL;
	if (!v4 && memcmp(addr.b, mapped, sizeof(mapped)) == 0) {
		addr.family = 4;
		memcpy(addr.b, addr.b + 12, 4);
		memset(addr.b + 4, 0, 12);
	}
	*ret = addr;
	return 0;
}
