/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/render.h"

#include <string.h>

#include "control/records/alloc.h"
#include "dataplane/core/query.h"

static uint32_t base_of(const struct kb_render *r)
{
	return KB_OWNER_Q + r->q.len + 4U;
}

void kb_render_start(struct kb_render *r, const struct kb_wire *q, uint8_t *b, size_t cap)
{
	r->b = b;
	r->cap = cap;
	r->len = 0;
	r->full = r->drop_extra = false;
	r->an = r->ns = r->ar = 0;
	r->rcode = 0;
	r->n_patch = 0;
	r->n_names = 1;
	r->name[0] = KB_OWNER_Q;
	r->q = *q;
}

void kb_render_fini(struct kb_render *r)
{
	free(r->patch);
	memset(r, 0, sizeof(*r));
}

void kb_render_bytes(struct kb_render *r, const void *p, size_t len)
{
	if (r->full || len > r->cap - r->len) {
		r->full = true;
		return;
	}
	memcpy(r->b + r->len, p, len);
	r->len += len;
}

void kb_render_u16(struct kb_render *r, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	kb_render_bytes(r, b, 2);
}

static void put_u32(struct kb_render *r, uint32_t v)
{
	kb_render_u16(r, (uint16_t)(v >> 16));
	kb_render_u16(r, (uint16_t)v);
}

static void put_live(struct kb_render *r, enum kb_patch kind)
{
	r->patch = kb_grow(r->patch, &r->cap_patch, r->n_patch + 1, sizeof(*r->patch));
	r->patch[r->n_patch].off = (uint32_t)r->len;
	r->patch[r->n_patch++].kind = kind;
	put_u32(r, 0);
}

static void put_ptr(struct kb_render *r, uint32_t off)
{
	kb_render_u16(r, (uint16_t)(0xc000 | off));
}

static void count(struct kb_render *r, enum kb_section section)
{
	if (section == KB_AN)
		r->an++;
	else if (section == KB_NS)
		r->ns++;
	else
		r->ar++;
}

/* The fixed fields up to the TTL; the rest is the caller's. */
static void rr_head(struct kb_render *r, enum kb_section section, uint32_t owner, uint16_t type)
{
	if (owner > 0x3fff) /* as far as a pointer reaches */
		r->full = true;
	put_ptr(r, owner);
	kb_render_u16(r, type);
	kb_render_u16(r, 1);
	count(r, section);
}

size_t kb_render_rr(struct kb_render *r, enum kb_section section, uint32_t owner, uint16_t type,
		    int64_t ttl)
{
	rr_head(r, section, owner, type);
	if (ttl < 0)
		put_live(r, KB_PATCH_TTL);
	else
		put_u32(r, (uint32_t)ttl);
	kb_render_u16(r, 0);
	return r->len;
}

void kb_render_end(struct kb_render *r, size_t rr)
{
	size_t len = r->len - rr;

	if (r->full)
		return;
	r->b[rr - 2] = (uint8_t)(len >> 8);
	r->b[rr - 1] = (uint8_t)len;
}

/* Byte of the message at `off`; -1 behind its end. */
static int byte_at(const struct kb_render *r, uint32_t off)
{
	if (off >= KB_OWNER_Q && off < KB_OWNER_Q + r->q.len)
		return r->q.b[off - KB_OWNER_Q];
	if (off >= base_of(r) && off - base_of(r) < r->len)
		return r->b[off - base_of(r)];
	return -1;
}

/* Follows pointers; the names that are looked at are our own and end. */
static uint32_t follow(const struct kb_render *r, uint32_t off)
{
	int c;

	while ((c = byte_at(r, off)) >= 0xc0)
		off = (uint32_t)(c & 0x3f) << 8 | (uint32_t)byte_at(r, off + 1);
	return off;
}

/* Does the message's name at `off` equal the wire name at `w`? Targets keep the case of
 * their object, and pointing to another case would change it. */
static bool name_equal(const struct kb_render *r, uint32_t off, const uint8_t *w)
{
	size_t i = 0;

	for (;;) {
		uint32_t n, k;

		off = follow(r, off);
		if (byte_at(r, off) != w[i])
			return false;
		n = w[i];
		if (!n)
			return true;
		for (k = 1; k <= n; k++)
			if (byte_at(r, off + k) != w[i + k])
				return false;
		off += n + 1;
		i += n + 1;
	}
}

/* Offset of a name in the message that equals w; 0 if there is none. */
static uint32_t find_name(const struct kb_render *r, const uint8_t *w)
{
	uint32_t i;

	for (i = 0; i < r->n_names; i++) {
		uint32_t off = follow(r, r->name[i]);

		while (byte_at(r, off) > 0) {
			if (off <= 0x3fff && name_equal(r, off, w))
				return off;
			off = follow(r, off + (uint32_t)byte_at(r, off) + 1);
		}
	}
	return 0;
}

static void remember(struct kb_render *r, uint32_t off)
{
	if (r->n_names < KB_RENDER_NAMES && off <= 0x3fff)
		r->name[r->n_names++] = off;
}

uint32_t kb_render_plain(struct kb_render *r, const struct kb_wire *name)
{
	uint32_t off = base_of(r) + (uint32_t)r->len;

	kb_render_bytes(r, name->b, name->len);
	return off;
}

uint32_t kb_render_name(struct kb_render *r, const struct kb_wire *name)
{
	uint32_t start = base_of(r) + (uint32_t)r->len, found = 0;
	size_t at = 0;

	while (name->b[at]) {
		found = find_name(r, name->b + at);
		if (found)
			break;
		at += (size_t)name->b[at] + 1;
	}
	kb_render_bytes(r, name->b, at);
	if (found)
		put_ptr(r, found);
	else
		kb_render_bytes(r, "", 1);
	if (at == 0)
		return found ? found : start;
	if (!r->full)
		remember(r, start);
	return start;
}

void kb_render_addr(struct kb_render *r, enum kb_section section, uint32_t owner,
		    const struct kb_addr *addr)
{
	bool v4 = addr->family == 4;
	size_t rr, len = r->len, n_patch = r->n_patch;

	if (r->full)
		return;
	rr = kb_render_rr(r, section, owner, v4 ? KB_TYPE_A : KB_TYPE_AAAA, -1);
	kb_render_bytes(r, addr->b, v4 ? 4 : 16);
	kb_render_end(r, rr);
	if (r->full && section == KB_AR && r->drop_extra) {
		r->full = false;
		r->len = len;
		r->n_patch = n_patch;
		r->ar--;
	}
}

void kb_render_soa(struct kb_render *r, enum kb_section section, const struct kb_wire *apex)
{
	static const struct kb_wire root = {.len = 1};
	uint32_t owner = find_name(r, apex->b);
	size_t rr;

	if (owner) {
		put_ptr(r, owner);
	} else {
		owner = kb_render_name(r, apex->len ? apex : &root);
	}
	kb_render_u16(r, KB_TYPE_SOA);
	kb_render_u16(r, 1);
	count(r, section);
	put_live(r, KB_PATCH_SOA_TTL);
	kb_render_u16(r, 0);
	rr = r->len;
	kb_render_bytes(r, "\002ns\003dns", 7);
	put_ptr(r, owner);
	kb_render_bytes(r, "\012hostmaster", 11);
	put_ptr(r, owner);
	put_live(r, KB_PATCH_SERIAL);
	put_u32(r, KB_SOA_REFRESH);
	put_u32(r, KB_SOA_RETRY);
	put_u32(r, KB_SOA_EXPIRE);
	put_live(r, KB_PATCH_TTL);
	kb_render_end(r, rr);
}

void kb_render_fill(struct kb_render *r, const __be32 live[KB_PATCH_MAX])
{
	size_t i;

	for (i = 0; i < r->n_patch; i++)
		if (r->patch[i].off + 4 <= r->len)
			memcpy(r->b + r->patch[i].off, &live[r->patch[i].kind], 4);
}

void kb_recbuf_start(struct kb_recbuf *rb)
{
	rb->len = 0;
	rb->n_sets = 0;
	rb->flags = 0;
}

/* Opens a set; the header is zero but for the form. NULL when there are too many. */
static uint8_t *set_open(struct kb_recbuf *rb, uint16_t type, enum kb_form form, struct kb_set *set)
{
	if (rb->n_sets == KB_RECBUF_SETS)
		return NULL;
	memset(set, 0, sizeof(*set));
	set->form = (uint8_t)form;
	rb->type[rb->n_sets] = type;
	rb->unit[rb->n_sets++] = (uint16_t)(rb->len / KB_UNIT);
	return rb->sets + rb->len;
}

static void set_close(struct kb_recbuf *rb, const struct kb_set *set, size_t tail)
{
	uint8_t *at = rb->sets + rb->len;
	size_t len = sizeof(*set) + tail, pad = (KB_UNIT - len % KB_UNIT) % KB_UNIT;

	memcpy(at, set, sizeof(*set));
	memset(at + len, 0, pad);
	rb->len += len + pad;
}

void kb_recbuf_wire(struct kb_recbuf *rb, uint16_t type, const struct kb_render *r)
{
	struct kb_set set;
	uint8_t *at = set_open(rb, type, KB_FORM_WIRE, &set), *p;
	size_t i, padded = (r->len + 1) & ~(size_t)1;

	if (!at)
		return;
	set.rcode = r->rcode;
	if (r->full || r->len > KB_BODY_MAX || r->n_patch > KB_PATCHES_MAX) {
		set.flags = KB_SET_MORE;
		set_close(rb, &set, 0);
		return;
	}
	set.an = r->an;
	set.ns = r->ns;
	set.ar = r->ar;
	set.len = (uint16_t)r->len;
	set.patches = (uint16_t)r->n_patch;
	p = at + sizeof(set);
	if (padded > r->len)
		p[r->len] = 0;
	memcpy(p, r->b, r->len);
	for (i = 0; i < r->n_patch; i++)
		kb_store16(p + padded + 2 * i,
			   KB_PATCH((uint32_t)r->patch[i].kind, r->patch[i].off));
	set_close(rb, &set, padded + 2 * r->n_patch);
}

void kb_recbuf_addrs(struct kb_recbuf *rb, uint16_t type, const struct kb_addr *addrs, size_t n)
{
	size_t alen = type == KB_TYPE_A ? 4 : 16, rr = 12 + alen, i, fit = KB_BODY_MAX / rr;
	struct kb_set set;
	uint8_t *at = set_open(rb, type, KB_FORM_WIRE, &set), *p;

	if (!at)
		return;
	set.flags = KB_SET_ROTATE;
	if (n > fit) {
		set.flags |= KB_SET_MORE;
		n = fit;
	}
	set.rr_len = (uint8_t)rr;
	set.an = (uint16_t)n;
	set.len = (uint16_t)(n * rr);
	for (i = 0, p = at + sizeof(set); i < n; i++, p += rr) {
		kb_store16(p, kb_swap16(0xc000 | KB_OWNER_Q));
		kb_store16(p + 2, kb_swap16(type));
		kb_store16(p + 4, kb_swap16(1));
		kb_store32(p + 6, 0);
		kb_store16(p + 10, kb_swap16(alen));
		memcpy(p + 12, addrs[i].b, alen);
	}
	set_close(rb, &set, n * rr);
}

void kb_recbuf_srv_self(struct kb_recbuf *rb, uint16_t skip, uint16_t weight, const uint16_t *ports,
			size_t n)
{
	struct kb_set set;
	uint8_t *at = set_open(rb, KB_TYPE_SRV, KB_FORM_SRV_SELF, &set), *p;
	size_t i;

	if (!at)
		return;
	set.an = (uint16_t)n;
	set.ar = 1;
	set.len = (uint16_t)(6 * n);
	set.arg = skip;
	for (i = 0, p = at + sizeof(set); i < n; i++, p += 6) {
		kb_store16(p, 0);
		kb_store16(p + 2, kb_swap16(weight));
		kb_store16(p + 4, kb_swap16(ports[i]));
	}
	set_close(rb, &set, 6 * n);
}

void kb_recbuf_ptr_dashed(struct kb_recbuf *rb, const struct kb_wire *base)
{
	struct kb_set set;
	uint8_t *at = set_open(rb, KB_TYPE_PTR, KB_FORM_PTR_DASHED, &set);

	if (!at)
		return;
	set.an = 1;
	set.len = base->len;
	memcpy(at + sizeof(set), base->b, base->len);
	set_close(rb, &set, base->len);
}

size_t kb_recbuf_end(struct kb_recbuf *rb)
{
	size_t head = (sizeof(struct kb_rec) + rb->n_sets * sizeof(struct kb_dir) + KB_UNIT - 1) &
		      ~(size_t)(KB_UNIT - 1);
	struct kb_rec rec = {.n_sets = (uint8_t)rb->n_sets, .flags = rb->flags};
	uint32_t i;

	if (!rb->n_sets && !rb->flags)
		return 0;
	memset(rb->rec, 0, head);
	rec.units = (uint16_t)((head + rb->len) / KB_UNIT);
	memcpy(rb->rec, &rec, sizeof(rec));
	for (i = 0; i < rb->n_sets; i++) {
		struct kb_dir dir = {.type = kb_swap16(rb->type[i]),
				     .unit = (uint16_t)(rb->unit[i] + head / KB_UNIT)};

		memcpy(rb->rec + sizeof(rec) + i * sizeof(dir), &dir, sizeof(dir));
	}
	memcpy(rb->rec + head, rb->sets, rb->len);
	return head + rb->len;
}
