/* SPDX-License-Identifier: Apache-2.0 */
#include "control/records/pods.h"

#include <string.h>

/* Names of Pods have at most 253 bytes; what comes behind tells none apart. */
#define NAME_BYTES 256

void kb_pods_init(struct kb_pods *p)
{
	memset(p, 0, sizeof(*p));
	kb_sipkey_init(&p->hash);
	kb_pool_init(&p->nodes, sizeof(struct kb_pod_node));
	kb_pool_init(&p->addrs, sizeof(struct kb_pod_addr));
}

void kb_pods_fini(struct kb_pods *p)
{
	kb_pool_fini(&p->nodes);
	kb_pool_fini(&p->addrs);
	kb_idhash_fini(&p->node_index);
	kb_idhash_fini(&p->addr_index);
	memset(p, 0, sizeof(*p));
}

static uint64_t key_of(const struct kb_pods *p, uint32_t ns, const char *name)
{
	uint8_t buf[sizeof(ns) + NAME_BYTES];
	size_t len = strnlen(name, NAME_BYTES);

	memcpy(buf, &ns, sizeof(ns));
	memcpy(buf + sizeof(ns), name, len);
	return kb_siphash64(&p->hash, buf, sizeof(ns) + len);
}

static uint32_t addr_hash(const struct kb_pods *p, uint32_t ns, uint32_t addr, uint32_t kind)
{
	uint32_t k[3] = {ns, addr, kind};

	return kb_siphash(&p->hash, k, sizeof(k));
}

uint32_t kb_pods_find(const struct kb_pods *p, uint32_t ns, const char *name)
{
	uint64_t key = key_of(p, ns, name);
	uint32_t pos = 0, id;

	for (id = kb_idhash_first(&p->node_index, (uint32_t)key, &pos); id;
	     id = kb_idhash_next(&p->node_index, (uint32_t)key, &pos))
		if (kb_pods_node(p, id)->key == key)
			return id;
	return 0;
}

uint32_t kb_pods_find_addr(const struct kb_pods *p, uint32_t ns, uint32_t addr,
			   enum kb_pod_addr_kind kind)
{
	uint32_t pos = 0, hash = addr_hash(p, ns, addr, kind), id;

	for (id = kb_idhash_first(&p->addr_index, hash, &pos); id;
	     id = kb_idhash_next(&p->addr_index, hash, &pos)) {
		const struct kb_pod_addr *a = kb_pods_addr(p, id);

		if (a->ns == ns && a->addr == addr && a->kind == kind)
			return id;
	}
	return 0;
}

uint32_t kb_pods_add(struct kb_pods *p, uint32_t ns, const char *name)
{
	uint32_t id = kb_pool_get(&p->nodes);
	struct kb_pod_node *n = kb_pods_node(p, id);

	n->key = key_of(p, ns, name);
	kb_idhash_add(&p->node_index, (uint32_t)n->key, id);
	return id;
}

uint32_t kb_pods_add_addr(struct kb_pods *p, uint32_t ns, uint32_t addr, enum kb_pod_addr_kind kind)
{
	uint32_t id = kb_pool_get(&p->addrs);
	struct kb_pod_addr *a = kb_pods_addr(p, id);

	a->ns = ns;
	a->addr = addr;
	a->kind = (uint8_t)kind;
	kb_idhash_add(&p->addr_index, addr_hash(p, ns, addr, kind), id);
	return id;
}

void kb_pods_del(struct kb_pods *p, uint32_t id)
{
	kb_idhash_del(&p->node_index, (uint32_t)kb_pods_node(p, id)->key, id);
	kb_pool_put(&p->nodes, id);
}

void kb_pods_del_addr(struct kb_pods *p, uint32_t id)
{
	const struct kb_pod_addr *a = kb_pods_addr(p, id);

	kb_idhash_del(&p->addr_index, addr_hash(p, a->ns, a->addr, a->kind), id);
	kb_pool_put(&p->addrs, id);
}
