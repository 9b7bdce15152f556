/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of answers.
 *
 * A kb_render collects what follows the question of one message: the same functions
 * write the body of a KB_FORM_WIRE set (cap KB_BODY_MAX, the live fields as patches)
 * and a whole answer for TCP (cap 65,535, kb_render_fill puts the live values in).
 *
 *   message:  header 12 | qname | type class 4 | b[0] ... b[len]
 *
 * Compression pointers are offsets into that message, so a body belongs to one
 * length of the question's name.
 *
 * A kb_recbuf makes a struct kb_rec out of such bodies and of the two short forms.
 */
#ifndef KB_RECORDS_RENDER_H
#define KB_RECORDS_RENDER_H

#include <stdbool.h>

#include "control/records/object.h"
#include "control/records/wirename.h"
#include "dataplane/core/layout.h"

#define KB_RENDER_NAMES 24
#define KB_ANSWER_MAX	65535
#define KB_OWNER_Q	12U /* offset of the question's name */

struct kb_patch_at {
	uint32_t off;
	enum kb_patch kind;
};

struct kb_render {
	uint8_t *b; /* borrowed, cap bytes */
	size_t len, cap;
	bool full;	 /* something did not fit; the contents are of no use */
	bool drop_extra; /* leave additional addresses out when they do not fit */
	uint16_t an, ns, ar;
	uint8_t rcode;
	struct kb_wire q;	   /* the question's name, lower case */
	struct kb_patch_at *patch; /* owned, grows */
	size_t n_patch, cap_patch;
	uint32_t name[KB_RENDER_NAMES]; /* message offsets of names written so far */
	uint32_t n_names;
};

enum kb_section { KB_AN, KB_NS, KB_AR };

/* Starts an answer into b; keeps the patch list's memory. */
void kb_render_start(struct kb_render *r, const struct kb_wire *q, uint8_t *b, size_t cap);
void kb_render_fini(struct kb_render *r);
/* Fixed fields of a record. `owner` is a message offset. A ttl below 0 means the live
 * one. rdlength is filled by kb_render_end, which takes what this returns. */
size_t kb_render_rr(struct kb_render *r, enum kb_section section, uint32_t owner, uint16_t type,
		    int64_t ttl);
void kb_render_end(struct kb_render *r, size_t rr);
void kb_render_bytes(struct kb_render *r, const void *p, size_t len);
void kb_render_u16(struct kb_render *r, uint16_t v);
/* A name without compression, as it is. Returns its message offset. */
uint32_t kb_render_plain(struct kb_render *r, const struct kb_wire *name);
/* A name with compression. Returns an offset that owners may point to. */
uint32_t kb_render_name(struct kb_render *r, const struct kb_wire *name);
/* One A or AAAA record. */
void kb_render_addr(struct kb_render *r, enum kb_section section, uint32_t owner,
		    const struct kb_addr *addr);
/* The SOA of a zone; its owner may have to be written out. */
void kb_render_soa(struct kb_render *r, enum kb_section section, const struct kb_wire *apex);
/* Puts values where the patches are. */
void kb_render_fill(struct kb_render *r, const __be32 live[KB_PATCH_MAX]);

#define KB_RECBUF_SETS 8

struct kb_recbuf {
	size_t len; /* of the sets so far, a multiple of KB_UNIT */
	uint32_t n_sets;
	uint8_t flags;
	uint16_t type[KB_RECBUF_SETS]; /* host order, 0: other types */
	uint16_t unit[KB_RECBUF_SETS];
	uint8_t sets[KB_RECBUF_SETS * (KB_BODY_MAX + 16 + 2 * KB_PATCHES_MAX + 32)];
	uint8_t rec[48 + KB_RECBUF_SETS * (KB_BODY_MAX + 16 + 2 * KB_PATCHES_MAX + 32)];
};

void kb_recbuf_start(struct kb_recbuf *rb);
/* The answer in `r` as a set of its own; one that is full or has too many patches
 * becomes an empty one that sends the client to TCP. */
void kb_recbuf_wire(struct kb_recbuf *rb, uint16_t type, const struct kb_render *r);
/* All A or AAAA records of the question's name, cut to what fits. */
void kb_recbuf_addrs(struct kb_recbuf *rb, uint16_t type, const struct kb_addr *addrs, size_t n);
/* KB_FORM_SRV_SELF; ports in host order. */
void kb_recbuf_srv_self(struct kb_recbuf *rb, uint16_t skip, uint16_t weight, const uint16_t *ports,
			size_t n);
/* KB_FORM_PTR_DASHED. */
void kb_recbuf_ptr_dashed(struct kb_recbuf *rb, const struct kb_wire *base);
/* Finishes rb->rec. Returns its length, 0 when there is nothing in it. */
size_t kb_recbuf_end(struct kb_recbuf *rb);

#endif
