/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/wire_copy.h"

#include <arpa/nameser.h>
#include <string.h>

#include "control/forward/message.h"
#include "dataplane/core/dns.h"

#define RR_FIXED   10 /* type, class, TTL, data length */
#define TYPE_MX	   15
#define TYPE_DNAME 39

void kb_wire_copy_start(struct kb_wire_copy *c, const uint8_t *src, uint8_t *dst, size_t len,
			size_t cap)
{
	c->src = src;
	c->dst = dst;
	c->len = len;
	c->cap = cap;
	c->full = false;
	c->rename = NULL;
	memset(c->at, 0, sizeof(c->at));
}

void kb_wire_copy_rename(struct kb_wire_copy *c, kb_wire_rename_fn *rename, void *arg)
{
	c->rename = rename;
	c->rename_arg = arg;
	memset(c->renamed, 0, sizeof(c->renamed));
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Where the label lies that a well-formed name begins with at `off`. */
static size_t label_at(const uint8_t *msg, size_t off)
{
	while (msg[off] >= 0xc0)
		off = (size_t)(msg[off] & 0x3f) << 8 | msg[off + 1];
	return off;
}

static size_t skip_name(const uint8_t *msg, size_t off)
{
	while (msg[off] != 0 && msg[off] < 0xc0)
		off += msg[off] + 1U;
	return off + (msg[off] ? 2 : 1);
}

void kb_wire_copy_known(struct kb_wire_copy *c, size_t from, size_t to)
{
	from = label_at(c->src, from);
	to = label_at(c->dst, to);
	while (c->src[from]) {
		if (from < KB_POINTER_REACH && to < KB_POINTER_REACH)
			c->at[from] = (uint16_t)to;
		from = label_at(c->src, from + c->src[from] + 1U);
		to = label_at(c->dst, to + c->dst[to] + 1U);
	}
}

static void put(struct kb_wire_copy *c, const void *p, size_t len)
{
	if (c->full || len > c->cap - c->len) {
		c->full = true;
		return;
	}
	memcpy(c->dst + c->len, p, len);
	c->len += len;
}

static void put16(struct kb_wire_copy *c, unsigned int v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(c, b, sizeof(b));
}

/* Copies the name at `off` of src; returns the offset behind it. */
static size_t copy_name(struct kb_wire_copy *c, size_t off)
{
	const uint8_t *src = c->src;
	size_t end = skip_name(src, off);

	for (off = label_at(src, off); src[off]; off = label_at(src, off + src[off] + 1U)) {
		if (off < KB_POINTER_REACH) {
			if (c->at[off]) {
				put16(c, 0xc000U | c->at[off]);
				return end;
			}
			if (c->len < KB_POINTER_REACH)
				c->at[off] = (uint16_t)c->len;
		}
		put(c, src + off, src[off] + 1U);
	}
	put(c, "", 1);
	return end;
}

/* Writes a name that is not one of src. */
static void put_name(struct kb_wire_copy *c, const uint8_t *name, size_t len, size_t from)
{
	size_t question = 0;

	while (c->dst[KB_DNS_HDR + question])
		question += c->dst[KB_DNS_HDR + question] + 1U;
	if (len == question + 1) {
		size_t i = 0;

		while (i < len && lower(c->dst[KB_DNS_HDR + i]) == lower(name[i]))
			i++;
		if (i == len) {
			put16(c, 0xc000U | KB_DNS_HDR);
			return;
		}
	}
	if (from < KB_POINTER_REACH && c->renamed[from]) {
		put16(c, 0xc000U | c->renamed[from]);
		return;
	}
	if (from < KB_POINTER_REACH && c->len < KB_POINTER_REACH)
		c->renamed[from] = (uint16_t)c->len;
	put(c, name, len);
}

/* The same of a name that may be changed on the way. */
static size_t copy_renamed(struct kb_wire_copy *c, size_t off)
{
	uint8_t name[NS_MAXCDNAME];
	size_t from = label_at(c->src, off), len = 0;

	if (!c->rename)
		return copy_name(c, off);
	for (size_t at = from;; at = label_at(c->src, at + c->src[at] + 1U)) {
		memcpy(name + len, c->src + at, c->src[at] + 1U);
		len += c->src[at] + 1U;
		if (!c->src[at])
			break;
	}
	if (!c->rename(c->rename_arg, name, &len))
		return copy_name(c, off);
	put_name(c, name, len, from);
	return skip_name(c->src, off);
}

static void copy_owner(struct kb_wire_copy *c, size_t off)
{
	/* Servers that do not compress write it out before each record. */
	if (kb_message_name_equal(c->src, off, KB_DNS_HDR))
		off = KB_DNS_HDR;
	copy_renamed(c, off);
}

/* How many of the names in the data of a type may be changed. */
static unsigned int renamable(uint16_t type)
{
	switch (type) {
	case KB_TYPE_CNAME:
	case TYPE_DNAME:
	case TYPE_MX:
	case KB_TYPE_NS:
	case KB_TYPE_PTR:
	case KB_TYPE_SOA:
	case KB_TYPE_SRV:
		return 1;
	default:
		return 0;
	}
}

size_t kb_wire_copy_record(struct kb_wire_copy *c, size_t off)
{
	size_t fixed = skip_name(c->src, off), data = fixed + RR_FIXED, length;
	size_t end = data + ns_get16(c->src + fixed + 8);
	const struct kb_message_shape *shape = kb_message_shape((uint16_t)ns_get16(c->src + fixed));

	copy_owner(c, off);
	put(c, c->src + fixed, RR_FIXED);
	length = c->len - 2;
	if (shape) {
		put(c, c->src + data, shape->before);
		data += shape->before;
		for (unsigned int i = 0; i < shape->names; i++)
			data = i < renamable(shape->type) ? copy_renamed(c, data)
							  : copy_name(c, data);
	}
	put(c, c->src + data, end - data);
	if (!c->full) {
		size_t n = c->len - length - 2;

		c->dst[length] = (uint8_t)(n >> 8);
		c->dst[length + 1] = (uint8_t)n;
	}
	return end;
}

size_t kb_wire_skip_record(const uint8_t *msg, size_t off)
{
	off = skip_name(msg, off);
	return off + RR_FIXED + ns_get16(msg + off + 8);
}
