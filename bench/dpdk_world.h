/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For benchmarks of kbdns-dpdk's engine: a table of the real writer in plain memory of 4 KiB pages,
 * as BPF maps have them, queries for random names of it as frames, and the check of each reply.
 * One thread.
 */
#ifndef KB_BENCH_DPDK_WORLD_H
#define KB_BENCH_DPDK_WORLD_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "bench/check.h"
#include "control/table/env.h"
#include "control/table/table.h"
#include "dataplane/dpdk/queue.h"
#include "tests/unit/mem_backing.h"

/* What is asked: an address, a type that the name has not, a name that is not there; with an OPT
 * record where the last word says so. */
enum ask { ASK_A, ASK_NODATA, ASK_NXDOMAIN, ASK_A_EDNS, ASK_MAX };

static const char *const ask_names[ASK_MAX] = {"a", "nodata", "nxdomain", "a-edns"};

#define NAME_TEXT "\12svc-000000\7ns-0000\3svc\7cluster\5local"
#define NAME_LEN  sizeof(NAME_TEXT) /* the root label is the terminating 0 */
#define DNS_AT	  42
#define FRAME_LEN (DNS_AT + 12 + NAME_LEN + 4 + 11)

struct world {
	struct kb_mem *mem;	/* owned */
	struct kb_table *table; /* owned */
	struct kb_backing backing;
	struct kb_dpdk_table seen; /* what the engine sees of it */
	struct kb_worker_counts stats;
	uint32_t names;
	uint64_t random;
	uint8_t frame[FRAME_LEN]; /* of the query, but for the digits */
	uint32_t frame_len;
	enum ask ask;
};

static const uint8_t world_mac[6] = {2, 0, 0, 0, 0, 1};

static inline void put_digits(uint8_t *to, uint32_t n, uint32_t v)
{
	while (n--) {
		to[n] = (uint8_t)('0' + v % 10);
		v /= 10;
	}
}

/* The wire form of name i. */
static inline void name_of(uint8_t *name, uint32_t i)
{
	put_digits(name + 5, 6, i);
	put_digits(name + 15, 4, i % 100);
}

static inline uint32_t address_of(uint32_t i)
{
	return htonl(0x0a600000 + i);
}

/* The frame that all queries of this kind begin with. */
static inline void world_ask(struct world *w, enum ask ask)
{
	static const uint8_t head[DNS_AT + 12] = {
		[12] = 8, 0, 0x45, [22] = 64, 17,   [26] = 10, 244, 0,	      11,      10,
		96,	  0, 10,   0x9c,      0x40, 0,	       53,  [44] = 1, [47] = 1};
	static const uint8_t opt[11] = {0, 0, 41, 4, 208};
	uint32_t len = DNS_AT + 12 + NAME_LEN, udp;

	w->ask = ask;
	memcpy(w->frame, head, sizeof(head));
	memcpy(w->frame, world_mac, 6);
	memcpy(w->frame + 6, "\2\0\0\0\0\2", 6);
	memcpy(w->frame + DNS_AT + 12, NAME_TEXT, NAME_LEN);
	if (ask == ASK_NXDOMAIN)
		memcpy(w->frame + DNS_AT + 13, "nos", 3);
	memcpy(w->frame + len, ask == ASK_NODATA ? "\0\34\0\1" : "\0\1\0\1", 4);
	len += 4;
	if (ask == ASK_A_EDNS) {
		w->frame[DNS_AT + 11] = 1;
		memcpy(w->frame + len, opt, sizeof(opt));
		len += sizeof(opt);
	}
	w->frame_len = len;
	udp = len - 34;
	w->frame[17] = (uint8_t)(udp + 20);
	w->frame[39] = (uint8_t)udp;
}

static inline void world_new(struct world *w, uint32_t names, uint32_t replicas)
{
	struct kb_table_config config = {.replicas = replicas};
	static const uint8_t zone[] = "\7cluster\5local", net[4] = {10}, dns[4] = {10, 96, 0, 10};
	uint8_t name[NAME_LEN];

	/* Huge pages would show what a BPF map cannot have. */
	check("huge pages off", prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	memset(w, 0, sizeof(*w));
	w->names = names;
	w->random = 88172645463325252ULL;
	w->mem = kb_mem_new(NULL, NULL);
	if (!w->mem)
		die("table", -ENOMEM);
	kb_mem_backing(w->mem, &w->backing);
	check("table", kb_table_new(&w->backing, &config, &w->table));
	check("zone", kb_table_zone_add(w->table, zone, sizeof(zone), 1, KB_ZONE_ANSWER));
	check("allow-from", kb_table_allow_add(w->table, 4, net, 8));
	check("intercept", kb_table_icept_add(w->table, 4, dns, 53));
	check("reserve", kb_table_reserve(w->table, names));
	memcpy(name, NAME_TEXT, NAME_LEN);
	for (uint32_t i = 0; i < names; i++) {
		struct kb_entry entry = {.kind = KB_VALUE_A, .zone = 1, .addr = address_of(i)};

		name_of(name, i);
		check("name", kb_table_put(w->table, name, NAME_LEN, &entry));
	}
	kb_table_settle(w->table);
	kb_table_set_ttl(w->table, 5);
	kb_table_set_state(w->table, KB_FULL);
	w->backing.header->deadline_ns = UINT64_MAX; /* no heart needs to beat */
}

static inline void world_free(struct world *w)
{
	kb_table_free(w->table);
	kb_mem_free(w->mem);
}

static inline void world_engine(struct world *w, struct kb_dpdk_engine *e)
{
	uint32_t gen = kb_gen_of(w->backing.header->state);

	w->seen = (struct kb_dpdk_table){.hdr = w->backing.header, .icept = w->backing.icept};
	kb_table_env(w->table, &w->seen.env);
	w->seen.gen[gen & 1] = w->seen.newest = kb_worker_gen(gen);
	kb_dpdk_engine_init(e);
	e->table = &w->seen;
	e->stats = &w->stats;
	memcpy(&e->mac, world_mac, sizeof(world_mac));
	e->mtu = 1500;
}

/* A query for a random name into an empty buffer. Returns the name's number. */
static inline uint32_t world_query(struct world *w, struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t i;

	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	i = (uint32_t)((w->random >> 32) * w->names >> 32);
	memcpy(p, w->frame, w->frame_len);
	p[DNS_AT] = (uint8_t)(w->random >> 8);
	name_of(p + DNS_AT + 12, i);
	m->data_len = (uint16_t)w->frame_len;
	m->pkt_len = w->frame_len;
	return i;
}

/* Is this the reply to the query for name i? */
static inline bool world_reply(const struct world *w, const struct rte_mbuf *m, uint32_t i)
{
	const uint8_t *dns = rte_pktmbuf_mtod(m, const uint8_t *) + DNS_AT;
	const uint8_t *rr = dns + 12 + NAME_LEN + 4;
	uint8_t name[NAME_LEN];
	uint32_t addr = address_of(i);

	memcpy(name, w->frame + DNS_AT + 12, NAME_LEN);
	name_of(name, i);
	if (!(dns[2] & 0x80) || memcmp(dns + 12, name, NAME_LEN) != 0)
		return false;
	switch (w->ask) {
	case ASK_NODATA:
		return (dns[3] & 15) == 0 && dns[7] == 0 && dns[9] == 1;
	case ASK_NXDOMAIN:
		return (dns[3] & 15) == 3 && dns[7] == 0 && dns[9] == 1;
	default:
		return dns[7] == 1 && memcmp(rr + 12, &addr, 4) == 0;
	}
}

#endif
