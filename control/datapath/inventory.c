// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/inventory.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/datapath/localif.h"
#include "control/datapath/private.h"

/* Far more than one kbdnsd makes: a page of the arena is a map, and there are KB_PAGES_MAX. */
#define ITEMS_MAX (4 * KB_PAGES_MAX + 65536)
/* Folders below the folder. */
#define DEPTH_MAX 2

bool kb_inventory_has(const struct kb_inventory *inv, enum kb_item_kind kind, uint32_t id,
		      unsigned int ifindex)
{
	for (size_t i = 0; i < inv->n; i++) {
		const struct kb_item *v = &inv->v[i];

		if (v->kind == kind && v->id == id && v->ifindex == ifindex)
			return true;
	}
	return false;
}

/* NULL also if it is known. */
static struct kb_item *add(struct kb_inventory *inv, enum kb_item_kind kind, uint32_t id,
			   unsigned int ifindex)
{
	struct kb_item *v;

	if (kb_inventory_has(inv, kind, id, ifindex))
		return NULL;
	if (inv->n % 64 == 0) {
		v = inv->n < ITEMS_MAX ? realloc(inv->v, (inv->n + 64) * sizeof(*v)) : NULL;
		if (!v) {
			inv->incomplete = true;
			return NULL;
		}
		inv->v = v;
	}
	v = &inv->v[inv->n++];
	*v = (struct kb_item){.kind = kind, .id = id, .ifindex = ifindex};
	return v;
}

static const char *ifname(unsigned int ifindex, char name[IF_NAMESIZE])
{
	return if_indextoname(ifindex, name) ? name : "an interface that is gone";
}

/* ---- BPF objects ---- */

static void add_map(struct kb_inventory *inv, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	struct kb_item *item;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return;
	item = add(inv, KB_ITEM_MAP, info.id, 0);
	if (item)
		snprintf(item->text, sizeof(item->text), "map %.16s (id %u)", info.name, info.id);
}

/* With the maps that it uses: not all of them are pinned. */
static void add_prog(struct kb_inventory *inv, int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info), maps[64];
	struct kb_item *item;

	info.map_ids = (uint64_t)(uintptr_t)maps;
	info.nr_map_ids = sizeof(maps) / sizeof(*maps);
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return;
	item = add(inv, KB_ITEM_PROG, info.id, 0);
	if (item)
		snprintf(item->text, sizeof(item->text), "program %.16s (id %u)", info.name,
			 info.id);
	for (uint32_t i = 0; i < info.nr_map_ids && i < sizeof(maps) / sizeof(*maps); i++) {
		int map = bpf_map_get_fd_by_id(maps[i]);

		if (map < 0)
			continue;
		add_map(inv, map);
		close(map);
	}
}

static void add_prog_id(struct kb_inventory *inv, uint32_t id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return;
	add_prog(inv, fd);
	close(fd);
}

static void add_link(struct kb_inventory *inv, int fd, const char *pin)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	char name[IF_NAMESIZE];
	struct kb_item *item;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return;
	item = add(inv, KB_ITEM_LINK, info.id, 0);
	if (item)
		snprintf(item->text, sizeof(item->text), "%s on %s (id %u)", pin,
			 ifname(kb_link_ifindex(fd), name), info.id);
	add_prog_id(inv, info.prog_id);
}

static void add_pin(struct kb_inventory *inv, const char *dir, const char *name)
{
	char path[64], kind[64] = "";
	int fd = kb_pin_open(dir, name);

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, kind, sizeof(kind) - 1) < 0)
		kind[0] = '\0';
	if (strstr(kind, "bpf-map"))
		add_map(inv, fd);
	else if (strstr(kind, "bpf-prog"))
		add_prog(inv, fd);
	else
		add_link(inv, fd, name);
	close(fd);
}

struct walk {
	struct kb_inventory *inv;
	int depth;
};

static int on_pin(const char *dir, const char *name, void *arg)
{
	struct walk *w = arg;
	char path[PATH_MAX], ifn[IF_NAMESIZE];
	unsigned int ifindex;
	struct kb_item *item;
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX || lstat(path, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		add_pin(w->inv, dir, name);
		return 0;
	}
	if (sscanf(name, "clsact_%u", &ifindex) == 1) {
		item = add(w->inv, KB_ITEM_QDISC, 0, ifindex);
		if (item)
			snprintf(item->text, sizeof(item->text), "qdisc clsact on %s",
				 ifname(ifindex, ifn));
	} else if (w->depth < DEPTH_MAX) {
		w->depth++;
		kb_pin_each(path, on_pin, w);
		w->depth--;
	}
	return 0;
}

/* ---- interfaces ---- */

static void add_filters(struct kb_inventory *inv, unsigned int ifindex, const char *name)
{
	static const char *const texts[KB_CLSACT_MAX] = {
		[KB_CLSACT_TC] = "kbdns_tc at ingress",
		[KB_CLSACT_LOCAL_IN] = "kbdns_local_in at ingress",
		[KB_CLSACT_LOCAL_OUT] = "kbdns_local_out at egress",
	};
	struct kb_item *item;

	for (int i = 0; i < KB_CLSACT_MAX; i++) {
		if (!kb_clsact_is_attached(ifindex, (enum kb_clsact)i))
			continue;
		item = add(inv, KB_ITEM_FILTER, (uint32_t)i, ifindex);
		if (item)
			snprintf(item->text, sizeof(item->text), "tc filter %s of %s", texts[i],
				 name);
	}
}

/* Its addresses go with it. */
static void add_interface(struct kb_inventory *inv, unsigned int ifindex, const char *name)
{
	struct kb_item *item = add(inv, KB_ITEM_INTERFACE, 0, ifindex);
	struct ifaddrs *all;
	size_t n = 0;

	if (!item)
		return;
	if (getifaddrs(&all) == 0) {
		for (struct ifaddrs *a = all; a; a = a->ifa_next)
			n += strcmp(a->ifa_name, name) == 0 && a->ifa_addr &&
			     (a->ifa_addr->sa_family == AF_INET ||
			      a->ifa_addr->sa_family == AF_INET6);
		freeifaddrs(all);
	}
	snprintf(item->text, sizeof(item->text), "interface %s with %zu addresses", name, n);
}

static void add_interfaces(struct kb_inventory *inv, const char *mark)
{
	struct if_nameindex *all = if_nameindex();

	if (!all) {
		inv->incomplete = true;
		return;
	}
	for (struct if_nameindex *i = all; i->if_index; i++) {
		add_filters(inv, i->if_index, i->if_name);
		if (kb_localif_is_marked(i->if_name, mark))
			add_interface(inv, i->if_index, i->if_name);
	}
	if_freenameindex(all);
}

void kb_inventory_add(const char *dir, const char *mark, struct kb_inventory *inv)
{
	struct walk w = {.inv = inv};
	struct kb_item *item;

	kb_pin_each(dir, on_pin, &w);
	add_interfaces(inv, mark);
	if (access(dir, F_OK) < 0)
		return;
	item = add(inv, KB_ITEM_FOLDER, 0, 0);
	if (item)
		snprintf(item->text, sizeof(item->text), "folder %.140s", dir);
}

void kb_inventory_free(struct kb_inventory *inv)
{
	free(inv->v);
	*inv = (struct kb_inventory){0};
}

/* ---- afterwards ---- */

static bool is_live(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != ENOENT;
}

/* One in which something is mounted is not ours to remove. */
static bool folder_exists(const char *dir)
{
	char above[PATH_MAX];
	struct stat here, parent;

	snprintf(above, sizeof(above), "%s/..", dir);
	if (stat(dir, &here) < 0)
		return errno != ENOENT;
	return stat(above, &parent) < 0 || here.st_dev == parent.st_dev;
}

bool kb_item_exists(const struct kb_item *item, const char *dir, const char *mark)
{
	char path[PATH_MAX], name[IF_NAMESIZE];

	switch (item->kind) {
	case KB_ITEM_LINK:
		return is_live(bpf_link_get_fd_by_id(item->id));
	case KB_ITEM_PROG:
		return is_live(bpf_prog_get_fd_by_id(item->id));
	case KB_ITEM_MAP:
		return is_live(bpf_map_get_fd_by_id(item->id));
	case KB_ITEM_FILTER:
		return kb_clsact_is_attached(item->ifindex, (enum kb_clsact)item->id);
	case KB_ITEM_QDISC:
		snprintf(path, sizeof(path), "%s/clsact_%u", dir, item->ifindex);
		return access(path, F_OK) == 0;
	case KB_ITEM_INTERFACE:
		return if_indextoname(item->ifindex, name) && kb_localif_is_marked(name, mark);
	case KB_ITEM_FOLDER:
		return folder_exists(dir);
	}
	return false;
}

/* Does a file have a line that has this in it? */
static bool file_says(const char *path, const char *what)
{
	char line[512];
	FILE *f = fopen(path, "re");
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, what);
	fclose(f);
	return found;
}

static bool process_holds(const char *pid, const struct kb_item *item)
{
	static const char *const keys[] = {"link_id:", "prog_id:", "map_id:"};
	char path[PATH_MAX], what[32];
	bool found = false;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	if (item->kind == KB_ITEM_MAP && file_says(path, "anon_inode:bpf-map"))
		return true; /* mapped; which of them is not told */
	snprintf(what, sizeof(what), "%s\t%u\n", keys[item->kind], item->id);
	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	d = opendir(path);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, e->d_name);
		found = e->d_name[0] != '.' && file_says(path, what);
	}
	closedir(d);
	return found;
}

void kb_item_holders(struct kb_item *item)
{
	const char *say = ", held by";
	struct dirent *e;
	DIR *d;

	if (item->kind > KB_ITEM_MAP)
		return;
	d = opendir("/proc");
	while (d && (e = readdir(d))) {
		char path[64 + NAME_MAX], comm[32] = "?";
		size_t at = strlen(item->text);
		FILE *f;

		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !process_holds(e->d_name, item))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = '\0';
		if (f)
			fclose(f);
		snprintf(item->text + at, sizeof(item->text) - at, "%s %s (pid %.10s)", say, comm,
			 e->d_name);
		say = ",";
	}
	if (d)
		closedir(d);
}
