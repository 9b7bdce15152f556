/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/names.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct word {
	const char *name;
	uint16_t number;
};

static const struct word types[] = {
	{"A", 1},	    {"NS", 2},		{"CNAME", 5},	{"SOA", 6},	{"NULL", 10},
	{"PTR", 12},	    {"HINFO", 13},	{"MX", 15},	{"TXT", 16},	{"RP", 17},
	{"AFSDB", 18},	    {"SIG", 24},	{"KEY", 25},	{"AAAA", 28},	{"LOC", 29},
	{"SRV", 33},	    {"NAPTR", 35},	{"KX", 36},	{"CERT", 37},	{"DNAME", 39},
	{"OPT", 41},	    {"APL", 42},	{"DS", 43},	{"SSHFP", 44},	{"IPSECKEY", 45},
	{"RRSIG", 46},	    {"NSEC", 47},	{"DNSKEY", 48}, {"DHCID", 49},	{"NSEC3", 50},
	{"NSEC3PARAM", 51}, {"TLSA", 52},	{"SMIMEA", 53}, {"HIP", 55},	{"CDS", 59},
	{"CDNSKEY", 60},    {"OPENPGPKEY", 61}, {"CSYNC", 62},	{"ZONEMD", 63}, {"SVCB", 64},
	{"HTTPS", 65},	    {"SPF", 99},	{"TKEY", 249},	{"TSIG", 250},	{"IXFR", 251},
	{"AXFR", 252},	    {"MAILB", 253},	{"ANY", 255},	{"URI", 256},	{"CAA", 257},
};

static const struct word classes[] = {{"IN", 1}, {"CH", 3}, {"HS", 4}, {"NONE", 254}, {"ANY", 255}};

static const struct word rcodes[] = {
	{"NOERROR", 0}, {"FORMERR", 1}, {"SERVFAIL", 2}, {"NXDOMAIN", 3},
	{"NOTIMP", 4},	{"REFUSED", 5}, {"YXDOMAIN", 6}, {"YXRRSET", 7},
	{"NXRRSET", 8}, {"NOTAUTH", 9}, {"NOTZONE", 10},
};

#define N(array) (sizeof(array) / sizeof(*(array)))

static const char *text_of(const struct word *words, size_t n, unsigned int number,
			   const char *prefix, char *buf)
{
	for (size_t i = 0; i < n; i++) {
		if (words[i].number == number)
			return words[i].name;
	}
	snprintf(buf, KB_MNEMONIC_MAX, "%s%u", prefix, number);
	return buf;
}

static int parse(const struct word *words, size_t n, const char *text, unsigned long *ret)
{
	char *end;
	unsigned long v;

	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(text, words[i].name) == 0) {
			*ret = words[i].number;
			return 0;
		}
	}
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	v = strtoul(text, &end, 10);
	if (*end || v > 65535)
		return -EINVAL;
	*ret = v;
	return 0;
}

const char *kb_type_text(uint16_t type, char *buf)
{
	return text_of(types, N(types), type, "TYPE", buf);
}

const char *kb_class_text(uint16_t class, char *buf)
{
	return text_of(classes, N(classes), class, "CLASS", buf);
}

const char *kb_rcode_text(unsigned int rcode, char *buf)
{
	return text_of(rcodes, N(rcodes), rcode, "", buf);
}

int kb_type_parse(const char *text, uint16_t *ret_type)
{
	unsigned long v = 0;
	int r;

	if (strncasecmp(text, "TYPE", 4) == 0)
		text += 4;
	r = parse(types, N(types), text, &v);
	if (r == 0)
		*ret_type = (uint16_t)v;
	return r;
}

int kb_rcode_parse(const char *text, unsigned int *ret_rcode)
{
	unsigned long v = 0;
	int r = parse(rcodes, N(rcodes), text, &v);

	if (r == 0 && v > 15)
		r = -EINVAL;
	if (r == 0)
		*ret_rcode = (unsigned int)v;
	return r;
}
