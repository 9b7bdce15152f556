/* SPDX-License-Identifier: Apache-2.0 */
/* Everything in the header and beside it that is not a name: state, tunables, zones, sources,
 * intercept addresses. */
#include "control/table/private.h"

#include <errno.h>
#include <string.h>

void kb_table_set_state(struct kb_table *t, enum kb_state state)
{
	__atomic_store_n(&t->hdr->state, kb_state_word(t->cur.gen, state), __ATOMIC_RELEASE);
}

void kb_table_set_ttl(struct kb_table *t, uint32_t ttl_s)
{
	uint32_t soa = ttl_s < KB_SOA_TTL_MAX ? ttl_s : KB_SOA_TTL_MAX;

	kb_write_once(t->hdr->patch[KB_PATCH_TTL], kb_swap32(ttl_s));
	kb_write_once(t->hdr->patch[KB_PATCH_SOA_TTL], kb_swap32(soa));
}

void kb_table_set_serial(struct kb_table *t, uint32_t serial)
{
	kb_write_once(t->hdr->patch[KB_PATCH_SERIAL], kb_swap32(serial));
}

void kb_table_set_udp_max(struct kb_table *t, uint16_t bytes)
{
	kb_write_once(t->hdr->udp_max, bytes);
}

void kb_table_set_flag(struct kb_table *t, uint8_t flag, bool on)
{
	uint8_t flags = (uint8_t)(on ? t->hdr->flags | flag : t->hdr->flags & ~flag);

	kb_write_once(t->hdr->flags, flags);
}

void kb_table_set_worker_tune(struct kb_table *t, const struct kb_worker_tune *tune)
{
	kb_write_once(t->hdr->worker_tune, kb_worker_tune_word(tune));
}

void kb_table_set_log(struct kb_table *t, uint32_t every, uint32_t classes)
{
	kb_write_once(t->hdr->log_every, every);
	kb_write_once(t->hdr->log_classes, classes);
	kb_table_set_flag(t, KB_FLAG_LOG, classes != 0);
}

static void zone_fill(struct kb_zone *z, const uint8_t *name, size_t len, uint8_t id, uint8_t flags)
{
	uint8_t tail[8] = {0}, mask[8] = {0};
	size_t n = len < 8 ? len : 8;

	memset(z, 0, sizeof(*z));
	z->len = (uint8_t)len;
	z->id = id;
	z->flags = flags;
	memcpy(z->name, name, len);
	memset(z->mask, 0xff, len);
	memcpy(tail + 8 - n, name + len - n, n);
	memset(mask + 8 - n, 0xff, n);
	memcpy(&z->tail, tail, 8);
	memcpy(&z->tail_mask, mask, 8);
}

int kb_table_zone_add(struct kb_table *t, const uint8_t *name, size_t len, uint8_t id,
		      uint8_t flags)
{
	struct kb_header *hdr = t->hdr;
	uint32_t at = 0;

	if (len == 0 || len > KB_NAME_MAX || id > KB_VALUE_ZONE_MAX ||
	    (id && hdr->zone_len[id] && hdr->zone_len[id] != len))
		return -EINVAL;
	if (hdr->n_zones == KB_ZONES_MAX)
		return -ENOSPC;
	while (at < hdr->n_zones && hdr->zone[at].len >= len)
		at++;
	memmove(&hdr->zone[at + 1], &hdr->zone[at],
		(size_t)(hdr->n_zones - at) * sizeof(hdr->zone[0]));
	zone_fill(&hdr->zone[at], name, len, id, flags);
	if (id) {
		hdr->zone_len[id] = (uint8_t)len;
		t->zone_flags[id] = flags;
	}
	hdr->n_zones++;
	return 0;
}

void kb_zone_publish(struct kb_table *t, uint8_t id)
{
	uint8_t flags = t->zone_flags[id & KB_VALUE_ZONE_MAX];

	/* Some of its names could not be stored: what is missing proves nothing. */
	if (t->zone_refused[id & KB_VALUE_ZONE_MAX])
		flags = (uint8_t)((flags & ~KB_ZONE_ANSWER) | KB_ZONE_REFUSED);
	for (uint32_t i = 0; i < t->hdr->n_zones; i++) {
		if (t->hdr->zone[i].id == id && id)
			kb_write_once(t->hdr->zone[i].flags, flags);
	}
}

void kb_table_zone_flag(struct kb_table *t, uint8_t id, uint8_t flag, bool on)
{
	uint8_t *flags = &t->zone_flags[id & KB_VALUE_ZONE_MAX];

	*flags = (uint8_t)(on ? *flags | flag : *flags & ~flag);
	kb_zone_publish(t, id);
}

void kb_table_refusals_clear(struct kb_table *t)
{
	memset(t->zone_refused, 0, sizeof(t->zone_refused));
	for (uint8_t id = 1; id <= KB_VALUE_ZONE_MAX; id++)
		kb_zone_publish(t, id);
}

void kb_table_zones_hold(struct kb_table *t, bool hold)
{
	__atomic_store_n(&t->zones_held, hold, __ATOMIC_RELEASE);
}

bool kb_table_zones_held(const struct kb_table *t)
{
	return __atomic_load_n(&t->zones_held, __ATOMIC_ACQUIRE);
}

void kb_table_zones_clear(struct kb_table *t)
{
	t->hdr->n_zones = 0;
	memset(t->hdr->zone, 0, sizeof(t->hdr->zone));
	memset(t->hdr->zone_len, 0, sizeof(t->hdr->zone_len));
	memset(t->zone_flags, 0, sizeof(t->zone_flags));
	memset(t->zone_refused, 0, sizeof(t->zone_refused));
}

int kb_table_allow_add(struct kb_table *t, int family, const uint8_t *addr, unsigned int bits)
{
	struct kb_header *hdr = t->hdr;
	uint8_t mask[16] = {0}, net[16] = {0};
	size_t size = family == 4 ? 4 : 16;

	if ((family != 4 && family != 6) || bits > size * 8)
		return -EINVAL;
	for (unsigned int i = 0; i < bits; i++)
		mask[i / 8] = (uint8_t)(mask[i / 8] | 0x80 >> i % 8);
	for (size_t i = 0; i < size; i++)
		net[i] = addr[i] & mask[i];
	if (family == 4) {
		if (hdr->n_allow4 == KB_ALLOW_MAX)
			return -ENOSPC;
		memcpy(&hdr->allow4[hdr->n_allow4].net, net, 4);
		memcpy(&hdr->allow4[hdr->n_allow4].mask, mask, 4);
		kb_write_once(hdr->n_allow4, (uint8_t)(hdr->n_allow4 + 1));
		return 0;
	}
	if (hdr->n_allow6 == KB_ALLOW_MAX)
		return -ENOSPC;
	memcpy(hdr->allow6[hdr->n_allow6].net, net, 16);
	memcpy(hdr->allow6[hdr->n_allow6].mask, mask, 16);
	kb_write_once(hdr->n_allow6, (uint8_t)(hdr->n_allow6 + 1));
	return 0;
}

void kb_table_allow_clear(struct kb_table *t)
{
	kb_write_once(t->hdr->n_allow4, 0);
	kb_write_once(t->hdr->n_allow6, 0);
}

struct icept_key {
	uint64_t a0, a1, meta;
	uint16_t port;
	struct kb_icept_bucket *bucket;
	uint32_t number; /* of the bucket */
};

static int icept_key(struct kb_table *t, int family, const uint8_t *addr, uint16_t port,
		     struct icept_key *ret)
{
	uint16_t port_be = kb_swap16(port);
	uint32_t a4;

	if (port == 0)
		return -EINVAL;
	if (family == 4) {
		memcpy(&a4, addr, 4);
		ret->a0 = 0;
		ret->a1 = KB_V4MAPPED(a4);
	} else if (family == 6) {
		ret->a0 = kb_load64(addr);
		ret->a1 = kb_load64(addr + 8);
	} else {
		return -EINVAL;
	}
	ret->port = port;
	ret->meta = KB_ICEPT_VALID | port_be;
	ret->number = kb_icept_hash(ret->a0, ret->a1, port_be);
	ret->bucket = &t->backing.icept[ret->number];
	return 0;
}

static struct kb_icept *icept_find(const struct icept_key *k)
{
	for (size_t i = 0; i < KB_ICEPT_WAYS; i++) {
		struct kb_icept *e = &k->bucket->e[i];

		if (e->meta == k->meta && e->addr[0] == k->a0 && e->addr[1] == k->a1)
			return e;
	}
	return NULL;
}

/* One that is there. 0, -EINVAL or -ENOENT. */
static int icept_known(struct kb_table *t, int family, const uint8_t *addr, uint16_t port,
		       struct icept_key *ret_key, struct kb_icept **ret)
{
	int r = icept_key(t, family, addr, port, ret_key);

	if (r < 0)
		return r;
	*ret = icept_find(ret_key);
	return *ret ? 0 : -ENOENT;
}

static void ports_count(struct kb_table *t, uint16_t port, int by)
{
	uint64_t bits = t->hdr->icept_ports, bit = 1ULL << (port & 63);

	t->icept_ports[port & 63] = (uint16_t)(t->icept_ports[port & 63] + by);
	bits = t->icept_ports[port & 63] ? bits | bit : bits & ~bit;
	__atomic_store_n(&t->hdr->icept_ports, bits, __ATOMIC_RELEASE);
}

int kb_table_icept_add(struct kb_table *t, int family, const uint8_t *addr, uint16_t port)
{
	struct icept_key k;
	int r;

	r = icept_key(t, family, addr, port, &k);
	if (r < 0)
		return r;
	if (icept_find(&k))
		return -EEXIST;
	if (t->n_icept == KB_ICEPT_MAX)
		return -ENOSPC;
	for (uint32_t i = 0; i < KB_ICEPT_WAYS; i++) {
		struct kb_icept *e = &k.bucket->e[i];

		if (e->meta || t->icept_limbo[k.number][i])
			continue;
		kb_write_once(e->addr[0], k.a0);
		kb_write_once(e->addr[1], k.a1);
		kb_write_once(e->flags, 0);
		__atomic_store_n(&e->meta, k.meta, __ATOMIC_RELEASE);
		t->n_icept++;
		ports_count(t, port, 1);
		return 0;
	}
	return -ENOSPC;
}

int kb_table_icept_set_flags(struct kb_table *t, int family, const uint8_t *addr, uint16_t port,
			     uint64_t flags)
{
	struct kb_icept *e;
	struct icept_key k;
	int r = icept_known(t, family, addr, port, &k, &e);

	if (r == 0)
		kb_write_once(e->flags, flags);
	return r;
}

static void icept_remove(struct kb_table *t, uint32_t number, uint32_t way)
{
	struct kb_icept *e = &t->backing.icept[number].e[way];
	uint16_t port = kb_swap16((uint16_t)e->meta);

	__atomic_store_n(&e->meta, 0, __ATOMIC_RELEASE);
	kb_write_once(e->addr[0], 0);
	kb_write_once(e->addr[1], 0);
	kb_write_once(e->flags, 0);
	t->icept_limbo[number][way] = 1;
	kb_limbo_add(t, LIMBO_ICEPT, 0, number * KB_ICEPT_WAYS + way);
	t->n_icept--;
	ports_count(t, port, -1);
}

int kb_table_icept_del(struct kb_table *t, int family, const uint8_t *addr, uint16_t port)
{
	struct kb_icept *e;
	struct icept_key k;
	int r = icept_known(t, family, addr, port, &k, &e);

	if (r == 0)
		icept_remove(t, k.number, (uint32_t)(e - k.bucket->e));
	return r;
}

void kb_table_icept_clear(struct kb_table *t)
{
	for (uint32_t b = 0; b < KB_ICEPT_BUCKETS; b++) {
		for (uint32_t i = 0; i < KB_ICEPT_WAYS; i++) {
			if (t->backing.icept[b].e[i].meta)
				icept_remove(t, b, i);
		}
	}
}

void kb_icept_adopt(struct kb_table *t)
{
	kb_write_once(t->hdr->icept_ports, 0);
	for (uint32_t b = 0; b < KB_ICEPT_BUCKETS; b++) {
		for (uint32_t i = 0; i < KB_ICEPT_WAYS; i++) {
			struct kb_icept *e = &t->backing.icept[b].e[i];

			/* Whether they hold is for this run to say. */
			kb_write_once(e->flags, 0);
			if (e->meta) {
				t->n_icept++;
				ports_count(t, kb_swap16((uint16_t)e->meta), 1);
			} else if (e->addr[0] || e->addr[1]) {
				/* Left in the middle of a change: as if just removed. */
				kb_write_once(e->addr[0], 0);
				kb_write_once(e->addr[1], 0);
				t->icept_limbo[b][i] = 1;
				kb_limbo_add(t, LIMBO_ICEPT, 0, b * KB_ICEPT_WAYS + i);
			}
		}
	}
}
