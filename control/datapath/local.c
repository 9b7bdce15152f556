// SPDX-License-Identifier: Apache-2.0
/* Local mode: its maps, its programs, where they are attached. */
#include "control/datapath/local.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/datapath/private.h"
#include "control/table/env.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* generated code */
#include "bpf/local.skel.h"
#pragma GCC diagnostic pop

static const char *const map_pins[KB_LOCAL_MAPS] = {"kb_local", "kb_local_counts"};
static const char *const prog_pins[KB_LOCAL_PROGS] = {"prog_local_in", "prog_local_out"};
static const enum kb_hook_dir dirs[KB_LOCAL_PROGS] = {KB_HOOK_IN, KB_HOOK_OUT};

/* Of the table in force, which this one will take the place of: connections go on only if each
 * address stays where it was. */
static void copy_slots(const struct kb_datapath *dp, int fd)
{
	char folder[KB_FOLDER_NAME], path[PATH_MAX];
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), zero = 0;
	struct kb_local slots;
	int from;

	if (!dp->pending || kb_folder_current(dp->dir, folder) < 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", dp->dir, folder);
	from = kb_pin_open(path, map_pins[KB_LOCAL_MAP_SLOTS]);
	if (from < 0)
		return;
	if (bpf_obj_get_info_by_fd(from, &info, &len) == 0 && info.value_size == sizeof(slots) &&
	    bpf_map_lookup_elem(from, &zero, &slots) == 0)
		bpf_map_update_elem(fd, &zero, &slots, BPF_ANY);
	close(from);
}

static int map_open(struct kb_datapath *dp, int i)
{
	bool counts = i == KB_LOCAL_MAP_COUNTS;
	uint32_t size = counts ? sizeof(struct kb_local_counts) : sizeof(struct kb_local);
	enum bpf_map_type type = counts ? BPF_MAP_TYPE_PERCPU_ARRAY : BPF_MAP_TYPE_ARRAY;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = counts ? 0 : BPF_F_MMAPABLE);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int fd = kb_pin_open(dp->table_dir, map_pins[i]);

	if (fd >= 0 && (bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.type != type ||
			info.value_size != size)) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0) {
		dp->local.map_fd[i] = fd;
		return 0;
	}
	fd = bpf_map_create(type, map_pins[i], sizeof(uint32_t), size, 1, &opts);
	if (fd < 0)
		return -errno;
	dp->local.map_fd[i] = fd;
	if (!counts)
		copy_slots(dp, fd);
	return kb_pin_put(dp->table_dir, map_pins[i], fd);
}

int kb_local_open(struct kb_datapath *dp)
{
	struct kb_local_state *s = &dp->local;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;
	int r = 0;

	if (!s->wanted)
		return 0;
	for (int i = 0; r == 0 && i < KB_LOCAL_MAPS; i++)
		r = map_open(dp, i);
	if (r < 0)
		return r;
	s->size = (sizeof(struct kb_local) + page - 1) & ~(page - 1);
	at = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->map_fd[KB_LOCAL_MAP_SLOTS],
		  0);
	if (at == MAP_FAILED)
		return -errno;
	s->at = at;
	s->counts = calloc(dp->cpus, sizeof(*s->counts));
	return s->counts ? 0 : -ENOMEM;
}

void kb_local_close(struct kb_datapath *dp)
{
	struct kb_local_state *s = &dp->local;

	if (s->at)
		munmap(s->at, s->size);
	for (int i = 0; i < KB_LOCAL_MAPS; i++) {
		if (s->map_fd[i] >= 0)
			close(s->map_fd[i]);
	}
	for (int i = 0; i < KB_LOCAL_PROGS; i++) {
		if (s->prog_fd[i] >= 0)
			close(s->prog_fd[i]);
	}
	free(s->counts);
}

int kb_local_load(struct kb_datapath *dp)
{
	struct kb_local_state *s = &dp->local;
	struct local_bpf *skel;
	int r;

	if (!s->wanted)
		return 0;
	skel = local_bpf__open();
	if (!skel)
		return -errno;
	r = bpf_map__reuse_fd(skel->maps.kb_header, dp->map_fd[KB_MAP_HEADER]);
	if (r == 0)
		r = bpf_map__reuse_fd(skel->maps.kb_local, s->map_fd[KB_LOCAL_MAP_SLOTS]);
	if (r == 0)
		r = bpf_map__reuse_fd(skel->maps.kb_local_counts, s->map_fd[KB_LOCAL_MAP_COUNTS]);
	if (r == 0)
		r = local_bpf__load(skel);
	for (int i = 0; r == 0 && i < KB_LOCAL_PROGS; i++) {
		struct bpf_program *prog =
			i == KB_LOCAL_IN ? skel->progs.kbdns_local_in : skel->progs.kbdns_local_out;

		s->prog_fd[i] = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
		r = s->prog_fd[i] < 0 ? -errno
				      : kb_pin_put(dp->table_dir, prog_pins[i], s->prog_fd[i]);
	}
	local_bpf__destroy(skel);
	return r;
}

void kb_local_prune(const struct kb_datapath *dp)
{
	if (dp->local.wanted)
		return;
	for (int i = 0; i < KB_LOCAL_MAPS; i++)
		kb_pin_remove(dp->table_dir, map_pins[i]);
	for (int i = 0; i < KB_LOCAL_PROGS; i++)
		kb_pin_remove(dp->table_dir, prog_pins[i]);
}

/* ---- slots ---- */

static int place_of(const struct kb_addr *addr)
{
	return addr->family == 4 ? 0 : 1;
}

static void words_of(const struct kb_addr *addr, uint64_t ret[2])
{
	uint32_t v4;

	if (addr->family == 4) {
		memcpy(&v4, addr->b, 4);
		ret[0] = 0;
		ret[1] = KB_V4MAPPED(v4);
	} else {
		memcpy(ret, addr->b, 16);
	}
}

void kb_datapath_local_clear(struct kb_datapath *dp)
{
	for (int f = 0; f < 2; f++) {
		for (int i = 0; i < KB_LOCAL_SLOTS; i++)
			kb_write_once(dp->local.at->slot[f][i].on, 0);
	}
}

void kb_datapath_local_start(struct kb_datapath *dp, const struct kb_addr base[2])
{
	struct kb_local *l = dp->local.at;

	kb_datapath_local_clear(dp);
	for (int f = 0; f < 2; f++) {
		uint64_t w[2] = {0};

		if (base[f].family)
			words_of(&base[f], w);
		if (memcmp(l->base[f], w, sizeof(w)) != 0)
			memset(l->slot[f], 0, sizeof(l->slot[f]));
		kb_write_once(l->base[f][0], w[0]);
		kb_write_once(l->base[f][1], w[1]);
	}
}

static bool slot_is(const struct kb_local_slot *s, const uint64_t w[2])
{
	return s->addr[0] == w[0] && s->addr[1] == w[1];
}

/* The address's own slot, or one that was never used, or one that is not in force. */
static struct kb_local_slot *slot_for(struct kb_local *l, int f, const uint64_t w[2])
{
	static const uint64_t none[2];
	struct kb_local_slot *unused = NULL, *idle = NULL;

	for (int i = KB_LOCAL_SLOTS - 1; i >= 0; i--) {
		struct kb_local_slot *s = &l->slot[f][i];

		if (slot_is(s, w))
			return s;
		if (slot_is(s, none))
			unused = s;
		else if (!s->on)
			idle = s;
	}
	return unused ? unused : idle;
}

int kb_datapath_local_add(struct kb_datapath *dp, const struct kb_addr *addr)
{
	struct kb_local *l = dp->local.at;
	int f = place_of(addr);
	struct kb_local_slot *s;
	struct kb_backing backing;
	uint64_t w[2];

	words_of(addr, w);
	s = l->base[f][0] | l->base[f][1] ? slot_for(l, f, w) : NULL;
	if (!s)
		return -ENOSPC;
	if (!slot_is(s, w)) {
		if (s->addr[0] | s->addr[1]) {
			/* No program may be in the middle of it as another address. */
			kb_datapath_backing(dp, &backing);
			backing.grace(backing.arg);
		}
		kb_write_once(s->addr[0], w[0]);
		kb_write_once(s->addr[1], w[1]);
		atomic_thread_fence(memory_order_release);
	}
	kb_write_once(s->on, 1);
	return 0;
}

void kb_datapath_local_del(struct kb_datapath *dp, const struct kb_addr *addr)
{
	struct kb_local *l = dp->local.at;
	int f = place_of(addr);
	uint64_t w[2];

	words_of(addr, w);
	for (int i = 0; i < KB_LOCAL_SLOTS; i++) {
		if (slot_is(&l->slot[f][i], w))
			kb_write_once(l->slot[f][i].on, 0);
	}
}

const struct kb_local *kb_datapath_local(const struct kb_datapath *dp)
{
	return dp->local.at;
}

int kb_datapath_local_counts(const struct kb_datapath *dp, uint64_t ret[KB_LOCAL_CNT_MAX])
{
	const struct kb_local_state *s = &dp->local;
	uint32_t zero = 0;

	memset(ret, 0, KB_LOCAL_CNT_MAX * sizeof(*ret));
	if (!s->wanted)
		return 0;
	if (bpf_map_lookup_elem(s->map_fd[KB_LOCAL_MAP_COUNTS], &zero, s->counts) < 0)
		return -errno;
	for (unsigned int c = 0; c < dp->cpus; c++) {
		for (int i = 0; i < KB_LOCAL_CNT_MAX; i++)
			ret[i] += s->counts[c].counter[i];
	}
	return 0;
}

/* ---- attachments ---- */

static void pin_name(char name[KB_LINK_NAME], int prog, unsigned int ifindex)
{
	snprintf(name, KB_LINK_NAME, "link_local_%s_%u", prog == KB_LOCAL_IN ? "in" : "out",
		 ifindex);
}

bool kb_local_is_link(const char *name, unsigned int *ret_ifindex)
{
	return sscanf(name, "link_local_in_%u", ret_ifindex) == 1 ||
	       sscanf(name, "link_local_out_%u", ret_ifindex) == 1;
}

/* Behind kbdns_tc at ingress; in front of everything at egress, where what is behind should see
 * the address that the pod has asked. */
static int attach_tcx(struct kb_datapath *dp, struct kb_datapath_port *p, int prog)
{
	char name[KB_LINK_NAME];
	int prog_fd = dp->local.prog_fd[prog], fd;

	pin_name(name, prog, p->ifindex);
	fd = kb_link_take(dp->dir, name, p->ifindex, prog_fd);
	if (fd < 0) {
		fd = kb_tcx_create(prog_fd, p->ifindex, dirs[prog],
				   prog == KB_LOCAL_IN ? p->link_fd : -1);
		if (fd >= 0)
			fd = kb_link_pin(dp->dir, name, fd);
	}
	if (fd < 0)
		return fd;
	p->local_fd[prog] = fd;
	return 0;
}

/* The newest of equal priority runs first: kbdns_tc has to come after kbdns_local_in. */
static int attach_clsact(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	int r = 0;

	if (!kb_clsact_is_attached(p->ifindex, KB_CLSACT_LOCAL_IN)) {
		kb_clsact_remove(p->ifindex, KB_CLSACT_TC);
		r = kb_clsact_attach(dp->dir, p->ifindex, KB_CLSACT_LOCAL_IN,
				     dp->local.prog_fd[KB_LOCAL_IN]);
		if (r == 0)
			r = kb_clsact_attach(dp->dir, p->ifindex, KB_CLSACT_TC,
					     dp->prog_fd[KB_PROG_TC]);
	} else {
		r = kb_clsact_attach(dp->dir, p->ifindex, KB_CLSACT_LOCAL_IN,
				     dp->local.prog_fd[KB_LOCAL_IN]);
	}
	if (r == 0)
		r = kb_clsact_attach(dp->dir, p->ifindex, KB_CLSACT_LOCAL_OUT,
				     dp->local.prog_fd[KB_LOCAL_OUT]);
	return r;
}

/* The way back first: nothing may go out that does not find home. */
int kb_local_attach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	int r;

	if (!dp->local.wanted)
		return 0;
	if (p->link_fd < 0)
		return attach_clsact(dp, p);
	r = attach_tcx(dp, p, KB_LOCAL_OUT);
	return r < 0 ? r : attach_tcx(dp, p, KB_LOCAL_IN);
}

void kb_local_forget(struct kb_datapath_port *p)
{
	for (int i = 0; i < KB_LOCAL_PROGS; i++) {
		if (p->local_fd[i] >= 0)
			close(p->local_fd[i]);
		p->local_fd[i] = -1;
	}
}

void kb_local_detach(struct kb_datapath *dp, struct kb_datapath_port *p)
{
	char name[KB_LINK_NAME];

	for (int i = 0; i < KB_LOCAL_PROGS; i++) {
		pin_name(name, i, p->ifindex);
		kb_pin_remove(dp->dir, name);
		if (p->local_fd[i] >= 0)
			bpf_link_detach(p->local_fd[i]);
	}
	kb_local_forget(p);
}

bool kb_local_stands(const struct kb_datapath *dp, const struct kb_datapath_port *p)
{
	if (!dp->local.wanted || p->engine != KB_ENGINE_TC)
		return true;
	if (p->link_fd < 0)
		return kb_clsact_is_attached(p->ifindex, KB_CLSACT_LOCAL_IN) &&
		       kb_clsact_is_attached(p->ifindex, KB_CLSACT_LOCAL_OUT);
	return kb_link_ifindex(p->local_fd[KB_LOCAL_IN]) == p->ifindex &&
	       kb_link_ifindex(p->local_fd[KB_LOCAL_OUT]) == p->ifindex;
}
