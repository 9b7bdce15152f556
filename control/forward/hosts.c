/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/hosts.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/parse.h"
#include "control/records/revname.h"
#include "dataplane/core/dns.h"

struct entry {
	uint32_t name; /* offset into names: length, wire form */
	uint32_t line; /* order of the text */
	struct kb_addr addr;
};

struct kb_hosts_table {
	uint8_t *names; /* owned */
	size_t names_len, names_cap;
	struct entry *by_name; /* owned */
	struct entry *by_addr; /* owned; those without a wildcard */
	size_t n, n_addr, cap;
};

/* --- making ------------------------------------------------------------------ */

static const uint8_t *name_of(const struct kb_hosts_table *t, const struct entry *e)
{
	return t->names + e->name;
}

static int compare_names(const uint8_t *a, const uint8_t *b)
{
	int d = a[0] - b[0];

	return d ? d : memcmp(a + 1, b + 1, a[0]);
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct entry *x = a, *y = b;
	int d = compare_names(name_of(arg, x), name_of(arg, y));

	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static int compare_addrs(const struct kb_addr *a, const struct kb_addr *b)
{
	int d = a->family - b->family;

	return d ? d : memcmp(a->b, b->b, a->family == 4 ? 4 : 16);
}

static int by_addr(const void *a, const void *b, void *arg)
{
	const struct entry *x = a, *y = b;
	int d = compare_addrs(&x->addr, &y->addr);

	(void)arg;
	return d ? d : (x->line > y->line) - (x->line < y->line);
}

static bool is_wildcard(const uint8_t *name)
{
	return name[0] > 2 && name[1] == 1 && name[2] == '*';
}

static int add(struct kb_hosts_table *t, const struct kb_addr *addr, const char *text)
{
	struct kb_wire name;

	if (kb_wire_parse(text, true, &name))
		return 0;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 16;
		struct entry *v = realloc(t->by_name, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->by_name = v;
		t->cap = cap;
	}
	if (t->names_cap - t->names_len < 1U + name.len) {
		size_t cap = 2 * t->names_cap + 1024;
		uint8_t *v = realloc(t->names, cap);

		if (!v)
			return -ENOMEM;
		t->names = v;
		t->names_cap = cap;
	}
	t->by_name[t->n] = (struct entry){
		.name = (uint32_t)t->names_len, .line = (uint32_t)t->n, .addr = *addr};
	t->n++;
	t->names[t->names_len] = name.len;
	memcpy(t->names + t->names_len + 1, name.b, name.len);
	t->names_len += 1U + name.len;
	return 0;
}

static int add_line(struct kb_hosts_table *t, char *line)
{
	static const char blank[] = " \t\r\v\f";
	char *rest, *word;
	struct kb_addr addr;
	int r = 0;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, blank, &rest);
	if (!word || kb_parse_hosts_addr(word, &addr) < 0)
		return 0;
	while (r == 0 && (word = strtok_r(NULL, blank, &rest)))
		r = add(t, &addr, word);
	return r;
}

static int sort(struct kb_hosts_table *t)
{
	if (!t->n)
		return 0;
	t->by_addr = calloc(t->n, sizeof(*t->by_addr));
	if (!t->by_addr)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		if (!is_wildcard(name_of(t, &t->by_name[i])))
			t->by_addr[t->n_addr++] = t->by_name[i];
	}
	qsort_r(t->by_name, t->n, sizeof(*t->by_name), by_name, t);
	qsort_r(t->by_addr, t->n_addr, sizeof(*t->by_addr), by_addr, t);
	return 0;
}

int kb_hosts_table_new(const char *text, struct kb_hosts_table **ret_table)
{
	struct kb_hosts_table *t = calloc(1, sizeof(*t));
	char *copy = strdup(text), *line, *rest;
	int r = t && copy ? 0 : -ENOMEM;

	if (r == 0) {
		for (line = strtok_r(copy, "\n", &rest); r == 0 && line;
		     line = strtok_r(NULL, "\n", &rest))
			r = add_line(t, line);
	}
	if (r == 0)
		r = sort(t);
	free(copy);
	if (r == 0)
		*ret_table = t;
	else
		kb_hosts_table_free(t);
	return r;
}

void kb_hosts_table_free(struct kb_hosts_table *table)
{
	if (!table)
		return;
	free(table->names);
	free(table->by_name);
	free(table->by_addr);
	free(table);
}

void kb_hosts_fini(struct kb_hosts *hosts)
{
	for (size_t i = 0; i < 2; i++)
		kb_hosts_table_free(hosts->table[i]);
	free(hosts->origins);
	free(hosts->fall);
	memset(hosts, 0, sizeof(*hosts));
}

/* --- asking ------------------------------------------------------------------ */

/* The answer as it grows. */
struct answer {
	uint8_t *out;
	size_t len, cap;
	uint16_t n;
	bool full;
	uint32_t ttl_s;
};

static bool in_zones(const struct kb_wire *zones, size_t n, const struct kb_wire *name)
{
	for (size_t i = 0; i < n; i++) {
		if (kb_wire_below(name, &zones[i]) >= 0)
			return true;
	}
	return false;
}

static void put_record(struct answer *a, uint16_t type, const uint8_t *data, size_t len)
{
	uint8_t *p = a->out + a->len;

	if (a->full || a->cap - a->len < 12 + len || a->n == UINT16_MAX) {
		a->full = true;
		return;
	}
	ns_put16(0xc000 | KB_DNS_HDR, p);
	ns_put16(type, p + 2);
	ns_put16(1, p + 4);
	ns_put32(a->ttl_s, p + 6);
	ns_put16((unsigned int)len, p + 10);
	memcpy(p + 12, data, len);
	a->len += 12 + len;
	a->n++;
}

/* The first of the entries with this name (length, wire form), or n. */
static size_t find_name(const struct kb_hosts_table *t, const uint8_t *name)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (compare_names(name_of(t, &t->by_name[mid]), name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->n && compare_names(name_of(t, &t->by_name[low]), name) == 0 ? low : t->n;
}

/* Does the table have addresses of this family at this very name? They go to `a`, if it is given.
 */
static bool name_has(const struct kb_hosts_table *t, const uint8_t *name, uint8_t family,
		     struct answer *a)
{
	bool any = false;

	for (size_t i = find_name(t, name);
	     i < t->n && compare_names(name_of(t, &t->by_name[i]), name) == 0; i++) {
		const struct kb_addr *addr = &t->by_name[i].addr;

		if (addr->family != family)
			continue;
		any = true;
		if (a)
			put_record(a, family == 4 ? KB_TYPE_A : KB_TYPE_AAAA, addr->b,
				   family == 4 ? 4 : 16);
	}
	return any;
}

static bool in_origins(const struct kb_hosts *h, const uint8_t *entry_name)
{
	struct kb_wire name = {.len = entry_name[0]};

	memcpy(name.b, entry_name + 1, name.len);
	return in_zones(h->origins, h->n_origins, &name);
}

static bool has(const struct kb_hosts *h, const struct kb_wire *name, uint8_t family,
		struct answer *a)
{
	uint8_t exact[1 + KB_WIRE_MAX], wild[1 + KB_WIRE_MAX] = {0};
	size_t rest = name->len - (name->b[0] + 1U);
	bool any = false;

	exact[0] = name->len;
	memcpy(exact + 1, name->b, name->len);
	if (name->len > 1 && rest + 2 <= KB_WIRE_MAX) {
		wild[0] = (uint8_t)(rest + 2);
		wild[1] = 1;
		wild[2] = '*';
		memcpy(wild + 3, name->b + name->b[0] + 1, rest);
		if (!in_origins(h, wild))
			wild[0] = 0;
	}
	/* Each text by itself: its own name goes before its own wildcard. */
	for (size_t i = 0; i < 2; i++) {
		const struct kb_hosts_table *t = h->table[i];

		if (t)
			any |= name_has(t, exact, family, a) ||
			       (wild[0] && name_has(t, wild, family, a));
	}
	return any;
}

static void put_pointers(const struct kb_hosts *h, const struct kb_wire *name, struct answer *a)
{
	struct kb_addr addr;
	int depth = kb_revname_parse(name, &addr);

	if (depth < 0 || depth < kb_revname_depth(addr.family) || !h->reverse)
		return;
	for (size_t k = 0; k < 2; k++) {
		const struct kb_hosts_table *t = h->table[k];
		size_t low = 0, high = t ? t->n_addr : 0;

		while (low < high) {
			size_t mid = (low + high) / 2;

			if (compare_addrs(&t->by_addr[mid].addr, &addr) < 0)
				low = mid + 1;
			else
				high = mid;
		}
		for (; t && low < t->n_addr && compare_addrs(&t->by_addr[low].addr, &addr) == 0;
		     low++) {
			const uint8_t *target = name_of(t, &t->by_addr[low]);

			if (in_origins(h, target))
				put_record(a, KB_TYPE_PTR, target + 1, target[0]);
		}
	}
}

static enum kb_hosts_says unknown(const struct kb_hosts *h, const struct kb_wire *name)
{
	return in_zones(h->fall, h->n_fall, name) ? KB_HOSTS_NEXT : KB_HOSTS_FAIL;
}

enum kb_hosts_says kb_hosts_ask(const struct kb_hosts *hosts, const struct kb_wire *name,
				uint16_t qtype, uint8_t *out, size_t cap, uint16_t *ret_n,
				size_t *ret_len)
{
	struct answer a = {.out = out, .cap = cap, .ttl_s = hosts->ttl_s};
	bool known;

	*ret_n = 0;
	*ret_len = 0;
	if (qtype == KB_TYPE_PTR) {
		/* In whatever zone; an address that is not here is for the next to know. */
		put_pointers(hosts, name, &a);
		if (!a.n && !a.full)
			return KB_HOSTS_NEXT;
	} else {
		if (!in_zones(hosts->origins, hosts->n_origins, name))
			return KB_HOSTS_NEXT;
		known = has(hosts, name, 4, qtype == KB_TYPE_A ? &a : NULL);
		known |= has(hosts, name, 6, qtype == KB_TYPE_AAAA ? &a : NULL);
		if (!known)
			return unknown(hosts, name);
		if (qtype != KB_TYPE_A && qtype != KB_TYPE_AAAA && hosts->unsupported_falls &&
		    in_zones(hosts->fall, hosts->n_fall, name))
			return KB_HOSTS_NEXT;
	}
	if (a.full)
		return KB_HOSTS_LARGE;
	*ret_n = a.n;
	*ret_len = a.len;
	return KB_HOSTS_ANSWER;
}
