/* SPDX-License-Identifier: Apache-2.0 */
/* The pull reader of pb.h. */
#include "control/kube/pb.h"

static bool fail(struct kb_pb *m, const char *why)
{
	m->error = why;
	m->p = m->end;
	return false;
}

void kb_pb_init(struct kb_pb *m, const char *bytes, size_t len)
{
	*m = (struct kb_pb){.p = (const unsigned char *)bytes};
	m->end = m->p + len;
}

int kb_pb_varint_byte(uint64_t *value, unsigned *shift, unsigned char byte)
{
	if (*shift > 63 || (*shift == 63 && (byte & 0x7f) > 1))
		return -1;
	*value |= (uint64_t)(byte & 0x7f) << *shift;
	*shift += 7;
	return !(byte & 0x80);
}

bool kb_pb_tag(uint64_t tag, uint32_t *ret_number, enum kb_pb_type *ret_type)
{
	unsigned type = tag & 7;
	uint64_t number = tag >> 3;

	if (!number || number >= 1u << 29)
		return false;
	if (type != KB_PB_VARINT && type != KB_PB_FIXED64 && type != KB_PB_BYTES &&
	    type != KB_PB_FIXED32)
		return false;
	*ret_number = (uint32_t)number;
	*ret_type = (enum kb_pb_type)type;
	return true;
}

static bool varint(struct kb_pb *m, uint64_t *ret_value)
{
	unsigned shift = 0;
	int r;

	*ret_value = 0;
	do {
		if (m->p == m->end)
			return fail(m, "unexpected end");
		r = kb_pb_varint_byte(ret_value, &shift, *m->p++);
	} while (!r);
	return r > 0 || fail(m, "a number of more than 64 bits");
}

static bool bytes(struct kb_pb *m, struct kb_pb_field *f)
{
	size_t left;
	uint64_t len;

	if (!varint(m, &len))
		return false;
	left = (size_t)(m->end - m->p);
	f->bytes = (const char *)m->p;
	f->len = len < left ? (size_t)len : left;
	m->p += f->len;
	if (len > left)
		fail(m, "unexpected end");
	return true;
}

static bool skip(struct kb_pb *m, size_t n)
{
	if ((size_t)(m->end - m->p) < n)
		return fail(m, "unexpected end");
	m->p += n;
	return true;
}

bool kb_pb_next(struct kb_pb *m, struct kb_pb_field *f)
{
	uint64_t tag;

	if (m->p == m->end || !varint(m, &tag))
		return false;
	if (!kb_pb_tag(tag, &f->number, &f->type))
		return fail(m, "not a protobuf field");
	switch (f->type) {
	case KB_PB_VARINT:
		return varint(m, &f->value);
	case KB_PB_BYTES:
		return bytes(m, f);
	case KB_PB_FIXED32:
		return skip(m, 4);
	default:
		return skip(m, 8);
	}
}
