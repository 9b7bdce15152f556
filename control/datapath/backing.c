// SPDX-License-Identifier: Apache-2.0
/*
 * The table's memory: mmapable array maps, the growing ones as inner maps that are pinned
 * beside their outer map. A mapping holds its map, so that descriptors are closed at once
 * and a table of any size needs six of them.
 *
 * An inner map counts as there if the pin and the outer map's slot agree. A crash between
 * the two stores leaves something that the header does not refer to yet; it is replaced.
 */
#include "control/datapath/private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/log.h"

#ifndef BPF_F_INNER_MAP
#define BPF_F_INNER_MAP (1U << 12)
#endif

#define INDEX_NAME 16 /* "index_0" */

static int mapping_new(int fd, size_t size, struct kb_mapping *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	size = (size + page - 1) / page * page;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	/* The header holds the hash key, and names are a tenant's business: no core file
	 * shows them. */
	madvise(at, size, MADV_DONTDUMP);
	ret->at = at;
	ret->size = size;
	return 0;
}

static void mapping_free(struct kb_mapping *m)
{
	if (m->at)
		munmap(m->at, m->size);
	m->at = NULL;
}

/* Creates an array of n values, maps it, and puts it into bpffs under `name`. Returns its file
 * descriptor. */
static int inner_make(const struct kb_datapath *dp, const char *name, uint32_t value_size,
		      uint32_t n, uint32_t flags, struct kb_mapping *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | flags);
	char map_name[24];
	int fd, r;

	snprintf(map_name, sizeof(map_name), "kb_%s", name);
	map_name[15] = 0;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, map_name, sizeof(uint32_t), value_size, n, &opts);
	if (fd < 0)
		return -errno;
	r = mapping_new(fd, (size_t)n * value_size, ret);
	if (r == 0)
		r = kb_pin_put(dp->table_dir, name, fd);
	if (r < 0) {
		mapping_free(ret);
		close(fd);
		return r;
	}
	return fd;
}

/* Maps an inner map that is there. */
static int inner_get(struct kb_datapath *dp, enum kb_map_id outer, uint32_t slot, const char *name,
		     uint32_t value_size, uint32_t *ret_n, struct kb_mapping *ret)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), id;
	int fd, r = 0;

	if (bpf_map_lookup_elem(dp->map_fd[outer], &slot, &id) < 0)
		return -errno;
	fd = kb_pin_open(dp->table_dir, name);
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		r = -errno;
	else if (info.id != id || info.value_size != value_size)
		r = -ENOENT;
	*ret_n = info.max_entries;
	if (r == 0 && !ret->at)
		r = mapping_new(fd, (size_t)info.max_entries * value_size, ret);
	close(fd);
	return r;
}

static int index_new(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index)
{
	struct kb_datapath *dp = arg;
	struct kb_mapping m = {0};
	char name[INDEX_NAME];
	int fd, r = 0;

	slot &= 1;
	snprintf(name, sizeof(name), "index_%u", slot);
	fd = inner_make(dp, name, sizeof(struct kb_bucket), n, BPF_F_INNER_MAP, &m);
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(dp->map_fd[KB_MAP_INDEX], &slot, &fd, BPF_ANY) < 0)
		r = -errno;
	close(fd);
	if (r < 0) {
		kb_pin_remove(dp->table_dir, name);
		mapping_free(&m);
		return r;
	}
	mapping_free(&dp->index[slot]);
	dp->index[slot] = m;
	*ret_index = m.at;
	return 0;
}

static int index_get(void *arg, uint32_t slot, uint32_t *ret_n, struct kb_bucket **ret_index)
{
	struct kb_datapath *dp = arg;
	char name[INDEX_NAME];
	uint32_t n;
	int r;

	slot &= 1;
	snprintf(name, sizeof(name), "index_%u", slot);
	r = inner_get(dp, KB_MAP_INDEX, slot, name, sizeof(struct kb_bucket), &n, &dp->index[slot]);
	if (r < 0)
		return r;
	*ret_n = n;
	*ret_index = dp->index[slot].at;
	return 0;
}

static void index_drop(void *arg, uint32_t slot)
{
	struct kb_datapath *dp = arg;
	char name[INDEX_NAME];

	slot &= 1;
	snprintf(name, sizeof(name), "index_%u", slot);
	kb_pin_remove(dp->table_dir, name);
	bpf_map_delete_elem(dp->map_fd[KB_MAP_INDEX], &slot);
	mapping_free(&dp->index[slot]);
}

static void page_name(char name[INDEX_NAME], uint32_t n)
{
	snprintf(name, INDEX_NAME, "page_%04u", n);
}

/* Enters pages into the arena's map: at once, so that the kernel waits for readers once and not
 * once for each; kernels before 5.13 know no such call. */
static int pages_enter(const struct kb_datapath *dp, const uint32_t *slots, const int *fds,
		       uint32_t count)
{
	int map = dp->map_fd[KB_MAP_ARENA];
	uint32_t n = count;

	if (count > 1 && bpf_map_update_batch(map, slots, fds, &n, NULL) == 0)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		if (bpf_map_update_elem(map, &slots[i], &fds[i], BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static int page_new(void *arg, uint32_t first, uint32_t count, struct kb_page *ret_pages[])
{
	struct kb_mapping m[KB_PAGES_STEP] = {0};
	uint32_t slots[KB_PAGES_STEP], made;
	struct kb_datapath *dp = arg;
	int fds[KB_PAGES_STEP], r = 0;
	char name[INDEX_NAME];

	if (first + count > KB_PAGES_MAX)
		return -ENOSPC;
	for (made = 0; made < count; made++) {
		slots[made] = first + made;
		page_name(name, first + made);
		r = inner_make(dp, name, sizeof(struct kb_page), 1, 0, &m[made]);
		if (r < 0)
			break;
		fds[made] = r;
	}
	r = r < 0 ? r : pages_enter(dp, slots, fds, count);
	for (uint32_t i = 0; i < made; i++) {
		close(fds[i]);
		if (r < 0) {
			page_name(name, first + i);
			kb_pin_remove(dp->table_dir, name);
			mapping_free(&m[i]);
			continue;
		}
		mapping_free(&dp->page[first + i]);
		dp->page[first + i] = m[i];
		ret_pages[i] = m[i].at;
	}
	return r;
}

static int page_get(void *arg, uint32_t n, struct kb_page **ret_page)
{
	struct kb_datapath *dp = arg;
	char name[INDEX_NAME];
	uint32_t entries;
	int r;

	if (n >= KB_PAGES_MAX)
		return -ENOENT;
	page_name(name, n);
	r = inner_get(dp, KB_MAP_ARENA, n, name, sizeof(struct kb_page), &entries, &dp->page[n]);
	if (r == 0)
		*ret_page = dp->page[n].at;
	return r;
}

/* Waits for the programs that run now. */
static void grace_kernel(const struct kb_datapath *dp)
{
	uint32_t zero = 0;

	if (dp->grace_outer_fd < 0) {
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
			return;
	} else if (bpf_map_update_elem(dp->grace_outer_fd, &zero, &dp->grace_inner_fd, BPF_ANY) ==
		   0) {
		return;
	}
	/* Neither fails once it has worked. Reuse without a grace period could give a wrong
	 * answer; this long, no program of the past runs. */
	kb_log_once(KB_LOG_ERROR, "waiting for readers: %s", strerror(errno));
	sleep(1);
}

/* Any thread: reads nothing that changes after open. Workers pass while the kernel waits. */
static void grace(void *arg)
{
	struct kb_datapath *dp = arg;
	uint64_t epoch = kb_epochs_begin(&dp->epochs);

	grace_kernel(dp);
	kb_epochs_wait(&dp->epochs, epoch);
}

static bool gen_ready(void *arg, uint32_t gen)
{
	struct kb_datapath *dp = arg;

	return kb_epochs_gen_ready(&dp->epochs, gen);
}

/* Updating a slot of an array of maps returns after an RCU grace period. */
static int grace_fallback(struct kb_datapath *dp)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	uint32_t zero = 0;

	dp->grace_inner_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kb_grace_in", sizeof(uint32_t),
					    sizeof(uint32_t), 1, NULL);
	if (dp->grace_inner_fd < 0)
		return -errno;
	opts.inner_map_fd = (uint32_t)dp->grace_inner_fd;
	dp->grace_outer_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "kb_grace",
					    sizeof(uint32_t), sizeof(uint32_t), 1, &opts);
	if (dp->grace_outer_fd < 0 ||
	    bpf_map_update_elem(dp->grace_outer_fd, &zero, &dp->grace_inner_fd, BPF_ANY) < 0)
		return -errno;
	return 0;
}

static int pcache_open(struct kb_datapath *dp)
{
	const struct kb_pcache_size *size = &dp->pcache_size;
	int r = mapping_new(dp->map_fd[KB_MAP_PCACHE_INDEX],
			    (size_t)size->buckets * sizeof(struct kb_bucket), &dp->pcache_index);

	if (r == 0)
		r = mapping_new(dp->map_fd[KB_MAP_PCACHE_ARENA],
				(size_t)size->pages * sizeof(struct kb_page), &dp->pcache_arena);
	if (r == 0)
		r = mapping_new(dp->map_fd[KB_MAP_PCACHE_USE],
				(size_t)size->pages * KB_PCACHE_PAGE_CELLS, &dp->pcache_use);
	return r;
}

int kb_datapath_pcache(struct kb_datapath *dp, struct kb_pcache_backing *ret_backing)
{
	if (!dp->packet_cache)
		return -ENOENT;
	*ret_backing = (struct kb_pcache_backing){
		.header = dp->header.at,
		.index = dp->pcache_index.at,
		.arena = dp->pcache_arena.at,
		.use = dp->pcache_use.at,
		.size = dp->pcache_size,
	};
	return 0;
}

int kb_backing_open(struct kb_datapath *dp)
{
	long cmds = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	int r;

	/* Refused with nohz_full, and absent without CONFIG_MEMBARRIER. */
	if (cmds < 0 || !(cmds & MEMBARRIER_CMD_GLOBAL)) {
		r = grace_fallback(dp);
		if (r < 0)
			return r;
	}
	r = mapping_new(dp->map_fd[KB_MAP_HEADER], sizeof(struct kb_header), &dp->header);
	if (r < 0)
		return r;
	r = mapping_new(dp->map_fd[KB_MAP_ICEPT], KB_ICEPT_BUCKETS * sizeof(struct kb_icept_bucket),
			&dp->icept);
	if (r == 0 && dp->packet_cache)
		r = pcache_open(dp);
	if (r < 0)
		return r;
	r = mapping_new(dp->map_fd[KB_MAP_WORKERS], sizeof(struct kb_workers), &dp->workers);
	if (r < 0)
		return r;
	r = mapping_new(dp->map_fd[KB_MAP_WORKER_STATS],
			KB_WORKER_STATS_MAX * sizeof(struct kb_worker_counts), &dp->worker_stats);
	if (r == 0)
		kb_epochs_init(&dp->epochs, dp->workers.at);
	return r;
}

void kb_backing_close(struct kb_datapath *dp)
{
	kb_epochs_fini(&dp->epochs);
	mapping_free(&dp->header);
	mapping_free(&dp->icept);
	mapping_free(&dp->workers);
	mapping_free(&dp->worker_stats);
	mapping_free(&dp->pcache_index);
	mapping_free(&dp->pcache_arena);
	mapping_free(&dp->pcache_use);
	mapping_free(&dp->index[0]);
	mapping_free(&dp->index[1]);
	for (size_t i = 0; i < KB_PAGES_MAX; i++)
		mapping_free(&dp->page[i]);
	if (dp->grace_outer_fd >= 0)
		close(dp->grace_outer_fd);
	if (dp->grace_inner_fd >= 0)
		close(dp->grace_inner_fd);
}

void kb_datapath_backing(struct kb_datapath *dp, struct kb_backing *ret_backing)
{
	*ret_backing = (struct kb_backing){
		.arg = dp,
		.header = dp->header.at,
		.icept = dp->icept.at,
		.index_new = index_new,
		.index_get = index_get,
		.index_drop = index_drop,
		.page_new = page_new,
		.page_get = page_get,
		.grace = grace,
		.gen_ready = gen_ready,
	};
}
