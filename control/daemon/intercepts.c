/* SPDX-License-Identifier: Apache-2.0 */
#include "control/daemon/intercepts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void kb_intercepts_init(struct kb_intercepts *s, struct kb_table *table)
{
	memset(s, 0, sizeof(*s));
	s->table = table;
}

void kb_intercepts_fini(struct kb_intercepts *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

static struct kb_intercept *find(const struct kb_intercepts *s, const struct kb_addr *addr,
				 uint16_t port)
{
	size_t size = addr->family == 4 ? 4 : 16;

	for (size_t i = 0; i < s->n; i++) {
		struct kb_intercept *e = &s->v[i];

		if (e->port == port && e->addr.family == addr->family &&
		    memcmp(e->addr.b, addr->b, size) == 0)
			return e;
	}
	return NULL;
}

int kb_intercepts_add(struct kb_intercepts *s, const struct kb_addr *addr, uint16_t port)
{
	struct kb_intercept *e = find(s, addr, port);
	int r;

	if (e) {
		e->count++;
		return 0;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct kb_intercept *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	r = kb_table_icept_add(s->table, addr->family, addr->b, port);
	/* An adopted table may have it already. */
	if (r < 0 && r != -EEXIST)
		return r;
	s->v[s->n++] = (struct kb_intercept){.addr = *addr, .port = port, .count = 1};
	return 0;
}

void kb_intercepts_del(struct kb_intercepts *s, const struct kb_addr *addr, uint16_t port)
{
	struct kb_intercept *e = find(s, addr, port);

	if (!e || --e->count)
		return;
	kb_table_icept_del(s->table, addr->family, addr->b, port);
	*e = s->v[--s->n];
}

void kb_intercepts_settle(struct kb_intercepts *s)
{
	const struct kb_icept_bucket *icept = kb_table_backing(s->table)->icept;

	for (size_t b = 0; b < KB_ICEPT_BUCKETS; b++) {
		for (size_t i = 0; i < KB_ICEPT_WAYS; i++) {
			const struct kb_icept *e = &icept[b].e[i];
			bool v4 = e->addr[0] == 0 && (uint32_t)e->addr[1] == 0xffff0000;
			struct kb_addr addr = {.family = v4 ? 4 : 6};
			uint16_t port = ntohs((uint16_t)e->meta);

			if (!e->meta)
				continue;
			memcpy(addr.b, (const uint8_t *)e->addr + (v4 ? 12 : 0), v4 ? 4 : 16);
			if (!find(s, &addr, port))
				kb_table_icept_del(s->table, addr.family, addr.b, port);
		}
	}
}
