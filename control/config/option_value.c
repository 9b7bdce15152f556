/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to a field of struct kb_options and back, by the type of the row.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/options_private.h"
#include "control/config/pods.h"

int kb_config_fail(int r, char *err, size_t err_size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err, err_size, format, ap);
	va_end(ap);
	return r;
}

uint8_t *kb_option_level(struct kb_options *o, const struct kb_option *row)
{
	size_t n;

	return &o->level[row - kb_options_rows(&n)];
}

static void *field(struct kb_options *o, const struct kb_option *row)
{
	return (char *)o + row->offset;
}

static const void *const_field(const struct kb_options *o, const struct kb_option *row)
{
	return (const char *)o + row->offset;
}

void kb_options_expect(const struct kb_option *row, char *buf, size_t size)
{
	char lo[32], hi[32];

	switch (row->type) {
	case KB_OPT_FLAG:
	case KB_OPT_BOOL:
		snprintf(buf, size, "on or off");
		break;
	case KB_OPT_CHOICE:
		snprintf(buf, size, "%s", row->arg);
		break;
	case KB_OPT_NUMBER:
		snprintf(buf, size, "a number %" PRIu64 "..%" PRIu64, row->min, row->max);
		break;
	case KB_OPT_NUMBER_AUTO:
		snprintf(buf, size, "a number %" PRIu64 "..%" PRIu64 " or auto", row->min,
			 row->max);
		break;
	case KB_OPT_BYTES:
		snprintf(buf, size, "bytes %s..%s, such as 256M",
			 kb_format_bytes(row->min, lo, sizeof(lo)),
			 kb_format_bytes(row->max, hi, sizeof(hi)));
		break;
	case KB_OPT_SECONDS:
		snprintf(buf, size, "seconds %" PRIu64 "..%" PRIu64 ", or such as 10m", row->min,
			 row->max);
		break;
	case KB_OPT_PATH:
		snprintf(buf, size, "a path");
		break;
	case KB_OPT_LINES:
		snprintf(buf, size, "a line such as \"pods verified\"");
		break;
	case KB_OPT_DOMAIN:
		snprintf(buf, size, "a domain such as cluster.local");
		break;
	case KB_OPT_NS_NAME:
		snprintf(buf, size, "NAMESPACE/NAME, such as kube-system/kube-dns");
		break;
	case KB_OPT_IFNAME:
		snprintf(buf, size, "an interface name of at most 15 characters");
		break;
	case KB_OPT_PODS:
		snprintf(buf, size,
			 "auto, or patterns of interface names such as "
			 "\"veth*,!veth-build*\"");
		break;
	case KB_OPT_ADDR_PORT:
	case KB_OPT_ADDR_PORTS:
		snprintf(buf, size, "an address such as 10.96.0.10, 10.96.0.10:%u or [fd00::10]:%u",
			 row->port, row->port);
		break;
	case KB_OPT_CIDR:
		snprintf(buf, size, "a range such as 10.0.0.0/8 or fd00::/8");
		break;
	case KB_OPT_UPSTREAM:
		snprintf(buf, size,
			 "a server such as 10.1.2.3, [fd00::3]:5353 or "
			 "tls://9.9.9.9#dns.quad9.net");
		break;
	case KB_OPT_STUB:
		snprintf(buf, size,
			 "a domain and its servers, such as corp.example=10.1.2.3,[fd00::3]:5353");
		break;
	}
}

/* Appends one element of `size` bytes to a list; all lists have the same shape. */
static int append(void *list, const void *element, size_t size, uint64_t max)
{
	struct any {
		void *v;
		size_t n;
	} *l = list;
	void *v;

	_Static_assert(sizeof(struct any) == sizeof(struct kb_strings) &&
			       sizeof(struct any) == sizeof(struct kb_addr_ports) &&
			       sizeof(struct any) == sizeof(struct kb_cidrs),
		       "lists have one shape");
	for (size_t i = 0; i < l->n; i++) { /* given twice is given once */
		if (memcmp((char *)l->v + i * size, element, size) == 0)
			return 0;
	}
	if (l->n >= max)
		return -E2BIG;
	v = realloc(l->v, (l->n + 1) * size);
	if (!v)
		return -ENOMEM;
	memcpy((char *)v + l->n * size, element, size);
	l->v = v;
	l->n++;
	return 0;
}

static int append_string(struct kb_strings *list, const char *text, uint64_t max)
{
	char *copy;
	int r;

	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i], text) == 0)
			return 0;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	r = append(list, &copy, sizeof(copy), max);
	if (r < 0)
		free(copy);
	return r;
}

/* Elements between commas. */
static int assign_pods(struct kb_strings *dst, const char *text, uint64_t max)
{
	char *copy = strdup(text), *rest = copy, *word;
	int r = copy ? 0 : -ENOMEM;

	while (r == 0 && (word = strsep(&rest, ",")) != NULL) {
		r = kb_pods_check(word);
		if (r == 0 && dst)
			r = append_string(dst, word, max);
	}
	free(copy);
	return r;
}

/* A flat union would do as well, but this keeps each type's reading in one place:
 * parses text and, when `dst` is not NULL, stores it there. */
static int store(void *dst, const struct kb_option *row, const char *text)
{
	struct kb_addr_port ap;
	struct kb_cidr cidr;
	struct kb_upstream_spec upstream;
	struct kb_stub stub;
	char name[254], server[KB_UPSTREAM_TEXT_MAX];
	unsigned int word;
	uint64_t v = 0;
	bool b;
	int r;

	memset(&ap, 0, sizeof(ap)); /* elements are compared as bytes */
	memset(&cidr, 0, sizeof(cidr));
	switch (row->type) {
	case KB_OPT_FLAG:
	case KB_OPT_BOOL:
		r = kb_parse_bool(text, &b);
		if (r == 0 && dst)
			*(bool *)dst = b;
		return r;
	case KB_OPT_CHOICE:
		r = kb_parse_choice(text, row->words, &word);
		if (r == 0 && dst)
			*(unsigned int *)dst = word;
		return r;
	case KB_OPT_NUMBER:
	case KB_OPT_NUMBER_AUTO:
	case KB_OPT_BYTES:
	case KB_OPT_SECONDS:
		if (row->type == KB_OPT_BYTES)
			r = kb_parse_bytes(text, row->min, row->max, &v);
		else if (row->type == KB_OPT_SECONDS)
			r = kb_parse_seconds(text, row->min, row->max, &v);
		else if (row->type == KB_OPT_NUMBER_AUTO && strcmp(text, "auto") == 0)
			r = 0;
		else
			r = kb_parse_u64(text, row->min, row->max, &v);
		if (r == 0 && dst)
			*(uint64_t *)dst = v;
		return r;
	case KB_OPT_PATH:
		if (!*text)
			return -EINVAL;
		if (!dst)
			return 0;
		free(*(char **)dst);
		*(char **)dst = strdup(text);
		return *(char **)dst ? 0 : -ENOMEM;
	case KB_OPT_LINES: /* read with what else makes the rules */
		if (!*text)
			return -EINVAL;
		return dst ? append_string(dst, text, row->max) : 0;
	case KB_OPT_DOMAIN:
		r = kb_parse_domain(text, name, sizeof(name));
		return r < 0 || !dst ? r : append_string(dst, name, row->max);
	case KB_OPT_NS_NAME:
		r = kb_parse_ns_name(text);
		return r < 0 || !dst ? r : append_string(dst, text, row->max);
	case KB_OPT_PODS:
		return assign_pods(dst, text, row->max);
	case KB_OPT_IFNAME:
		r = kb_parse_ifname(text);
		return r < 0 || !dst ? r : append_string(dst, text, row->max);
	case KB_OPT_ADDR_PORT:
	case KB_OPT_ADDR_PORTS:
		r = kb_parse_addr_port(text, row->port, &ap);
		if (r < 0 || !dst)
			return r;
		if (row->type == KB_OPT_ADDR_PORTS)
			return append(dst, &ap, sizeof(ap), row->max);
		*(struct kb_addr_port *)dst = ap;
		return 0;
	case KB_OPT_CIDR:
		r = kb_parse_cidr(text, &cidr);
		return r < 0 || !dst ? r : append(dst, &cidr, sizeof(cidr), row->max);
	case KB_OPT_UPSTREAM:
		r = kb_parse_upstream(text, &upstream);
		if (r < 0 || !dst)
			return r;
		return append_string(dst, kb_format_upstream(&upstream, server), row->max);
	case KB_OPT_STUB:
		r = kb_parse_stub(text, &stub);
		if (r < 0)
			return -EINVAL;
		return dst ? append_string(dst, text, row->max) : 0;
	}
	assert(false);
	return -EINVAL;
}

int kb_option_assign(struct kb_options *o, const struct kb_option *row, enum kb_level level,
		     const char *text, char *err, size_t err_size)
{
	uint8_t *now = kb_option_level(o, row);
	char expect[128];
	int r;

	if (level > *now) {
		kb_option_clear(o, row);
		*now = (uint8_t)level;
	}
	r = store(level == *now ? field(o, row) : NULL, row, text);
	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		return kb_config_fail(r, err, err_size, "out of memory");
	if (r == -E2BIG)
		return kb_config_fail(r, err, err_size,
				      "\"%s\" is one too many, at most %" PRIu64 " are possible",
				      text, row->max);
	if (r == -EDOM)
		return kb_config_fail(-EINVAL, err, err_size,
				      "\"%s\" has bits set behind its prefix, clear them", text);
	kb_options_expect(row, expect, sizeof(expect));
	return kb_config_fail(r, err, err_size, "\"%.128s\" is %s, give %s", text,
			      r == -ERANGE ? "out of range" : "not valid", expect);
}

void kb_option_clear(struct kb_options *o, const struct kb_option *row)
{
	void *f = field(o, row);
	struct kb_strings *strings = f;

	switch (row->type) {
	case KB_OPT_FLAG:
	case KB_OPT_BOOL:
		*(bool *)f = false;
		break;
	case KB_OPT_CHOICE:
		*(unsigned int *)f = 0;
		break;
	case KB_OPT_NUMBER:
	case KB_OPT_NUMBER_AUTO:
	case KB_OPT_BYTES:
	case KB_OPT_SECONDS:
		*(uint64_t *)f = 0;
		break;
	case KB_OPT_PATH:
		free(*(char **)f);
		*(char **)f = NULL;
		break;
	case KB_OPT_LINES:
	case KB_OPT_DOMAIN:
	case KB_OPT_NS_NAME:
	case KB_OPT_IFNAME:
	case KB_OPT_PODS:
	case KB_OPT_UPSTREAM:
	case KB_OPT_STUB:
		for (size_t i = 0; i < strings->n; i++)
			free(strings->v[i]);
		free(strings->v);
		memset(strings, 0, sizeof(*strings));
		break;
	case KB_OPT_ADDR_PORT:
		memset(f, 0, sizeof(struct kb_addr_port));
		break;
	case KB_OPT_ADDR_PORTS:
		free(((struct kb_addr_ports *)f)->v);
		memset(f, 0, sizeof(struct kb_addr_ports));
		break;
	case KB_OPT_CIDR:
		free(((struct kb_cidrs *)f)->v);
		memset(f, 0, sizeof(struct kb_cidrs));
		break;
	}
}

/* Appends a list element to buf, cut where the room ends. */
static void add_element(char *buf, size_t size, const char *text)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, "%s%s", n ? " " : "", text);
}

void kb_options_format(const struct kb_options *o, const struct kb_option *row, char *buf,
		       size_t size)
{
	const void *f = const_field(o, row);
	char text[KB_ADDR_TEXT_MAX];
	uint64_t v;

	assert(size);
	*buf = '\0';
	switch (row->type) {
	case KB_OPT_FLAG:
	case KB_OPT_BOOL:
		snprintf(buf, size, "%s", *(const bool *)f ? "on" : "off");
		break;
	case KB_OPT_CHOICE:
		snprintf(buf, size, "%s", row->words[*(const unsigned int *)f]);
		break;
	case KB_OPT_BYTES:
		kb_format_bytes(*(const uint64_t *)f, buf, size);
		break;
	case KB_OPT_NUMBER:
	case KB_OPT_NUMBER_AUTO:
	case KB_OPT_SECONDS:
		v = *(const uint64_t *)f;
		if (row->type == KB_OPT_NUMBER_AUTO && v == 0)
			snprintf(buf, size, "auto");
		else
			snprintf(buf, size, "%" PRIu64, v);
		break;
	case KB_OPT_PATH:
		snprintf(buf, size, "%s", *(char *const *)f ? *(char *const *)f : "");
		break;
	case KB_OPT_LINES:
	case KB_OPT_DOMAIN:
	case KB_OPT_NS_NAME:
	case KB_OPT_IFNAME:
	case KB_OPT_PODS:
	case KB_OPT_UPSTREAM:
	case KB_OPT_STUB:
		for (size_t i = 0; i < ((const struct kb_strings *)f)->n; i++)
			add_element(buf, size, ((const struct kb_strings *)f)->v[i]);
		break;
	case KB_OPT_ADDR_PORT:
		if (((const struct kb_addr_port *)f)->addr.family)
			add_element(buf, size, kb_format_addr_port(f, text));
		break;
	case KB_OPT_ADDR_PORTS:
		for (size_t i = 0; i < ((const struct kb_addr_ports *)f)->n; i++)
			add_element(buf, size,
				    kb_format_addr_port(&((const struct kb_addr_ports *)f)->v[i],
							text));
		break;
	case KB_OPT_CIDR:
		for (size_t i = 0; i < ((const struct kb_cidrs *)f)->n; i++)
			add_element(buf, size,
				    kb_format_cidr(&((const struct kb_cidrs *)f)->v[i], text));
		break;
	}
}
