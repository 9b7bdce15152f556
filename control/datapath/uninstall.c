// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/uninstall.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "control/datapath/inventory.h"
#include "control/datapath/localif.h"
#include "control/datapath/private.h"

/* Programs are freed after a grace period, maps by a worker thread of the kernel. */
#define WAIT_MS 10000
#define STEP_MS 20

static const char *const prog_names[] = {"kbdns_tc", "kbdns_xdp", "kbdns_beat", "kbdns_local_in",
					 "kbdns_local_out"};

struct kb_uninstall {
	char dir[PATH_MAX - 64];
	char mark[PATH_MAX]; /* of local mode's interface */
	struct kb_inventory inv;
};

/* 0 and the folder's fd, -1 if there is none; or -errno. */
static int folder_open(const char *dir, int *ret_fd, char *err, size_t err_size)
{
	struct statfs fs;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret_fd = -1;
	if (fd < 0)
		return errno == ENOENT ? 0
				       : kb_datapath_error(err, err_size, -errno, "%s: %s", dir,
							   strerror(errno));
	if (fstatfs(fd, &fs) < 0 || (uint32_t)fs.f_type != BPF_FS_MAGIC) {
		close(fd);
		return kb_datapath_error(err, err_size, -EINVAL,
					 "%s: not a folder of a bpffs: give kbdnsd's --bpffs", dir);
	}
	*ret_fd = fd;
	return 0;
}

/* The lock that a kbdnsd holds for as long as it uses the folder. */
static int folder_lock(const char *dir, int *ret_fd, char *err, size_t err_size)
{
	int r = folder_open(dir, ret_fd, err, err_size);

	if (r < 0 || *ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) == 0)
		return r;
	r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(*ret_fd);
	return kb_datapath_error(err, err_size, r,
				 "%s: in use by a kbdnsd: stop it, or give its control socket "
				 "with -s",
				 dir);
}

int kb_uninstall_new(const char *dir, struct kb_uninstall **ret, char *err, size_t err_size)
{
	struct kb_uninstall *u;
	int fd, r = folder_open(dir, &fd, err, err_size);

	if (r < 0)
		return r;
	if (fd >= 0)
		close(fd);
	libbpf_set_print(NULL); /* it tells of each interface without filters */
	if (strlen(dir) >= sizeof(u->dir))
		return kb_datapath_error(err, err_size, -ENAMETOOLONG, "%s: %s", dir,
					 strerror(ENAMETOOLONG));
	u = calloc(1, sizeof(*u));
	if (!u)
		return kb_datapath_error(err, err_size, -ENOMEM, "%s: %s", dir, strerror(ENOMEM));
	snprintf(u->dir, sizeof(u->dir), "%s", dir);
	snprintf(u->mark, sizeof(u->mark), KB_LOCALIF_MARK, dir);
	kb_inventory_add(u->dir, u->mark, &u->inv);
	*ret = u;
	return 0;
}

void kb_uninstall_free(struct kb_uninstall *u)
{
	if (!u)
		return;
	kb_inventory_free(&u->inv);
	free(u);
}

static void remove_all(const char *dir, const char *mark, const struct kb_inventory *inv)
{
	char name[IF_NAMESIZE], err[512];

	kb_datapath_uninstall(dir, err, sizeof(err));
	/* Filters need no folder. */
	kb_attach_remove_all(dir);
	for (size_t i = 0; i < inv->n; i++) {
		if (inv->v[i].kind == KB_ITEM_INTERFACE && if_indextoname(inv->v[i].ifindex, name))
			kb_localif_remove(name, mark);
	}
}

/* Tells what has gone and what has not. How many of the latter. */
static int prove(const char *dir, const char *mark, struct kb_inventory *inv, kb_uninstall_fn tell,
		 void *arg)
{
	int waited_ms = 0, left = 0;

	for (size_t i = 0; i < inv->n; i++) {
		struct kb_item *item = &inv->v[i];
		bool there;

		while ((there = kb_item_exists(item, dir, mark)) && waited_ms < WAIT_MS) {
			usleep(STEP_MS * 1000);
			waited_ms += STEP_MS;
		}
		if (there)
			kb_item_holders(item);
		left += there;
		tell(arg, there ? KB_UNINSTALL_LEFT : KB_UNINSTALL_REMOVED, item->text);
	}
	return left;
}

/* Nothing in the kernel has kbdns's names any more, but for what belongs to others. */
static void look_round(const struct kb_inventory *inv, kb_uninstall_fn tell, void *arg)
{
	uint32_t id = 0;

	while (bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);
		char text[64];

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
			info.name[0] = '\0';
		close(fd);
		for (size_t i = 0; i < sizeof(prog_names) / sizeof(*prog_names); i++) {
			if (strcmp(info.name, prog_names[i]) != 0 ||
			    kb_inventory_has(inv, KB_ITEM_PROG, id, 0))
				continue;
			snprintf(text, sizeof(text), "program %s (id %u)", info.name, id);
			tell(arg, KB_UNINSTALL_OTHER, text);
		}
	}
}

int kb_uninstall_run(struct kb_uninstall *u, kb_uninstall_fn tell, void *arg, char *err,
		     size_t err_size)
{
	int fd, r = folder_lock(u->dir, &fd, err, err_size);

	if (r < 0)
		return r;
	kb_inventory_add(u->dir, u->mark, &u->inv);
	if (u->inv.incomplete) {
		r = kb_datapath_error(err, err_size, -ENOMEM, "cannot list what there is: %s",
				      strerror(ENOMEM));
	} else {
		remove_all(u->dir, u->mark, &u->inv);
		r = prove(u->dir, u->mark, &u->inv, tell, arg);
		look_round(&u->inv, tell, arg);
	}
	if (fd >= 0)
		close(fd);
	return r;
}
