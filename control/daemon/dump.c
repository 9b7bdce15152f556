/* SPDX-License-Identifier: Apache-2.0 */
/* kbdnsctl dump: every name and where it stands, a piece of the walk at a time. */
#include "control/daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the walk has told and the client has not had. */
struct dump {
	struct kb_daemon *d; /* borrowed */
	struct kb_records_walk walk;
	bool walked; /* to the end */
	struct dump_name {
		char *name; /* owned */
		struct kb_entry entry;
	} * names; /* owned, n of cap in use */
	size_t n, cap, at;
};

static int dump_collect(void *arg, const char *name, const struct kb_entry *entry)
{
	struct dump *dump = arg;
	char *copy = strdup(name);

	if (dump->n == dump->cap) {
		size_t cap = dump->cap ? dump->cap * 2 : 2 * KB_RECORDS_WALK_NAMES;
		struct dump_name *names = reallocarray(dump->names, cap, sizeof(*names));

		if (names) {
			dump->names = names;
			dump->cap = cap;
		}
	}
	if (!copy || dump->n == dump->cap) {
		free(copy);
		return -ENOMEM;
	}
	dump->names[dump->n++] = (struct dump_name){copy, *entry};
	return 0;
}

static void dump_clear(struct dump *dump)
{
	for (size_t i = 0; i < dump->n; i++)
		free(dump->names[i].name);
	dump->n = 0;
	dump->at = 0;
}

/* A wire name as text, without the final dot. */
static void wire_text(const uint8_t *p, char *text, size_t size)
{
	size_t used = 0;

	for (; *p && used + *p + 2 < size; p += *p + 1) {
		memcpy(text + used, p + 1, *p);
		used += *p;
		text[used++] = '.';
	}
	text[used ? used - 1 : 0] = '\0';
}

static bool ends_in(const char *name, const char *zone)
{
	size_t len = strlen(name), zone_len = strlen(zone);

	len -= len && name[len - 1] == '.' ? 1 : 0;
	return len >= zone_len && strncasecmp(name + len - zone_len, zone, zone_len) == 0 &&
	       (len == zone_len || name[len - zone_len - 1] == '.');
}

/* The text of the zone of this name, NULL if there is none: zones may share their id. */
static const char *zone_text(const struct kb_daemon *d, const char *name, uint32_t id, char *text,
			     size_t size)
{
	const struct kb_header *hdr = kb_table_header(d->table);

	for (size_t i = 0; id && i < hdr->n_zones; i++) {
		if (hdr->zone[i].id != id)
			continue;
		wire_text((const uint8_t *)hdr->zone[i].name, text, size);
		if (ends_in(name, text))
			return text;
	}
	return NULL;
}

static const char *entry_kind(uint32_t kind)
{
	return kind == KB_VALUE_A	? "a"
	       : kind == KB_VALUE_REC	? "record"
	       : kind == KB_VALUE_LEAVE ? "leave"
					: "none";
}

void kb_daemon_put_entry(struct kb_json_out *o, const struct kb_daemon *d, const char *name,
			 const struct kb_entry *entry)
{
	char text[256], addr[INET_ADDRSTRLEN];

	kb_json_put_str(o, "kind", entry_kind(entry->kind));
	kb_json_put_str(o, "zone", zone_text(d, name, entry->zone, text, sizeof(text)));
	kb_json_put_u64(o, "ref", entry->ref);
	if (entry->addr)
		kb_json_put_str(o, "address", inet_ntop(AF_INET, &entry->addr, addr, sizeof(addr)));
	else
		kb_json_put_null(o, "address");
}

static int dump_next(void *state, struct kb_json_out *out)
{
	struct dump *dump = state;
	const struct dump_name *name;
	int r;

	if (dump->at == dump->n) {
		dump_clear(dump);
		if (dump->walked)
			return 0;
		r = kb_records_walk(dump->d->records, &dump->walk, dump_collect, dump);
		if (r < 0)
			return r;
		dump->walked = r == 0;
		if (!dump->n)
			return -EAGAIN;
	}
	name = &dump->names[dump->at++];
	kb_json_put_str(out, "name", name->name);
	kb_daemon_put_entry(out, dump->d, name->name, &name->entry);
	return 1;
}

static void dump_free(void *state)
{
	struct dump *dump = state;

	dump_clear(dump);
	free(dump->names);
	free(dump);
}

int kb_daemon_dump(void *arg, int argc, char **argv, struct kb_ctl_reply *reply)
{
	struct dump *dump = calloc(1, sizeof(*dump));

	(void)argc;
	(void)argv;
	if (!dump)
		return -ENOMEM;
	dump->d = arg;
	reply->stream = (struct kb_ctl_stream){dump, dump_next, dump_free, 0};
	return 0;
}
