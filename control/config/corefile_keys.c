/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of server blocks: who gets queries for which names, on which port. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

#define DNS_PORT 53

struct add_key {
	struct kb_cf *cf;
	struct kb_cf_block *block;
	size_t first; /* of the zones that this key gives */
};

static int add_key(void *arg, const char *zone)
{
	struct add_key *a = arg;
	struct kb_cf_block *block = a->block;
	void *v;

	if (a->cf->n_zones++ == KB_CF_NAMES_MAX)
		return -E2BIG;
	v = realloc(block->zones, (block->n_zones + 1) * sizeof(*block->zones));

	if (!v)
		return -ENOMEM;
	block->zones = v;
	memset(&block->zones[block->n_zones], 0, sizeof(*block->zones));
	snprintf(block->zones[block->n_zones++].zone, KB_CF_NAME_MAX, "%s", zone);
	return 0;
}

int kb_cf_read_keys(struct kb_cf *cf, struct kb_cf_block *block)
{
	for (size_t i = 0; i < block->n_keys; i++) {
		struct add_key a = {cf, block, block->n_zones};
		const struct kb_cf_token *key = &block->keys[i];
		enum kb_cf_transport transport;
		uint16_t port;
		int r = kb_cf_each_origin(key->text, &transport, &port, add_key, &a);

		if (r < 0 && r != -EINVAL)
			return r;
		if (r < 0)
			return kb_cf_fail(cf, r, key->file, key->line,
					  "%.128s: not a zone, give such as example.org:53 or "
					  "10.0.0.0/24",
					  key->text);
		for (size_t z = a.first; z < block->n_zones; z++) {
			block->zones[z].transport = transport;
			block->zones[z].port = port ? port : DNS_PORT;
		}
	}
	block->filtered = kb_cf_find(block, "view") || kb_cf_find(block, "bind");
	return 0;
}

bool kb_cf_has_port(const struct kb_cf_block *block, uint16_t port)
{
	for (size_t i = 0; i < block->n_zones; i++) {
		if (block->zones[i].transport == KB_CF_DNS && block->zones[i].port == port)
			return true;
	}
	return false;
}

bool kb_cf_key_is(const struct kb_cf_key *key, uint16_t port)
{
	return key->transport == KB_CF_DNS && key->port == port;
}

int kb_cf_check_duplicates(struct kb_cf *cf)
{
	for (size_t i = 0; i < cf->n_blocks; i++) {
		const struct kb_cf_block *a = &cf->blocks[i];

		for (size_t x = 0; x < a->n_zones; x++) {
			const struct kb_cf_key *key = &a->zones[x];

			if (key->transport != KB_CF_DNS)
				continue;
			for (size_t j = i; j < cf->n_blocks; j++) {
				const struct kb_cf_block *c = &cf->blocks[j];

				if (i != j && (a->filtered || c->filtered))
					continue;
				for (size_t y = i == j ? x + 1 : 0; y < c->n_zones; y++) {
					if (kb_cf_key_is(&c->zones[y], key->port) &&
					    strcmp(key->zone, c->zones[y].zone) == 0)
						return kb_cf_fail(
							cf, -EINVAL, c->keys[0].file,
							c->keys[0].line,
							"%s. is served already, by the block of "
							"line %u; remove one",
							key->zone, a->keys[0].line);
				}
			}
		}
	}
	return 0;
}

uint16_t kb_cf_dns_port(const struct kb_cf *cf)
{
	uint16_t first = 0;

	for (size_t i = 0; i < cf->n_blocks; i++) {
		const struct kb_cf_block *block = &cf->blocks[i];

		if (!block->kubernetes)
			continue;
		if (kb_cf_has_port(block, DNS_PORT))
			return DNS_PORT;
		for (size_t z = 0; !first && z < block->n_zones; z++) {
			if (block->zones[z].transport == KB_CF_DNS)
				first = block->zones[z].port;
		}
	}
	return first;
}

const struct kb_cf_block *kb_cf_owner(const struct kb_cf *cf, uint16_t port, const char *name,
				      bool *ret_shared)
{
	const struct kb_cf_block *best = NULL;
	size_t best_len = 0;

	*ret_shared = false;
	for (size_t i = 0; i < cf->n_blocks; i++) {
		for (size_t z = 0; z < cf->blocks[i].n_zones; z++) {
			const struct kb_cf_key *key = &cf->blocks[i].zones[z];
			size_t len = strlen(key->zone);

			if (!kb_cf_key_is(key, port) || !kb_cf_within(name, key->zone) ||
			    (best && len < best_len))
				continue;
			*ret_shared = best && len == best_len && best != &cf->blocks[i];
			best = &cf->blocks[i];
			best_len = len;
		}
	}
	return best;
}
