// SPDX-License-Identifier: Apache-2.0
/* See shared.h. */
#include "dataplane/dpdk/shared.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/core/pcache_mapped.h"
#include "dataplane/dpdk/bpf.h"

struct mapping {
	void *at; /* owned or NULL */
	size_t size;
	uint32_t n, id; /* values; of the BPF map */
};

struct kb_shared {
	char dir[PATH_MAX - 32];
	struct mapping header, icept, workers, stats, index[2];
	struct mapping page_map[KB_PAGES_MAX];
	struct kb_page *page[KB_PAGES_MAX]; /* what readers see of page_map */
	uint32_t pages;
	/* The packet-path cache of this epoch: index, arena, use bytes. */
	struct mapping cache[3];
	struct kb_pcache_env cache_env;
	uint64_t cache_epoch;
	bool cache_clearing; /* table.cache says "none", workers may not know yet */
	bool clearing; /* gen[] of the slot that is needed says "none", workers may not know yet */
	struct kb_dpdk_table table;
};

__attribute__((format(printf, 4, 5))) static int failed(char *err, size_t size, int r,
							const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err, size, format, ap);
	va_end(ap);
	return r;
}

static void unmap(struct mapping *m)
{
	if (m->at)
		munmap(m->at, m->size);
	m->at = NULL;
}

static int pin_open(const struct kb_shared *s, const char *name, struct bpf_map_info *ret_info)
{
	int fd = kb_bpf_open(s->dir, name), r;

	if (fd < 0)
		return fd;
	r = kb_bpf_map_info(fd, ret_info);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/*
 * Maps a pinned array of values of this size, `n` of them; of any size or number if that is 0. The
 * kernel maps a map only through a descriptor that may write (Linux 6.18 and before), so
 * that is opened, and closed again: the mapping holds the map. -EPROTO: of another shape.
 */
static int pin_map(const struct kb_shared *s, const char *name, size_t value_size, uint32_t n,
		   int prot, struct mapping *ret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bpf_map_info info;
	int fd = pin_open(s, name, &info), r = 0;
	void *at;

	if (fd < 0)
		return fd;
	ret->size = ((size_t)info.value_size * info.max_entries + page - 1) / page * page;
	if ((value_size && info.value_size != value_size) || (n && info.max_entries != n) ||
	    !(info.map_flags & BPF_F_MMAPABLE))
		r = -EPROTO;
	if (r == 0) {
		at = mmap(NULL, ret->size, prot, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED) {
			r = -errno;
		} else {
			/* The hash key is in the header, and names are a tenant's business. */
			madvise(at, ret->size, MADV_DONTDUMP);
			ret->at = at;
			ret->n = info.max_entries;
			ret->id = info.id;
		}
	}
	close(fd);
	return r;
}

static int index_map(struct kb_shared *s, uint32_t gen, struct mapping *ret)
{
	char name[16];

	snprintf(name, sizeof(name), "index_%u", gen & 1);
	return pin_map(s, name, sizeof(struct kb_bucket), 0, PROT_READ, ret);
}

/* Readers look at index[gen & 1] once gen[] says that it is this generation's. */
static void index_publish(struct kb_shared *s, uint32_t gen)
{
	const struct mapping *m = &s->index[gen & 1];

	s->table.env.index[gen & 1] = m->at;
	s->table.env.buckets[gen & 1] = m->n;
	__atomic_store_n(&s->table.gen[gen & 1], kb_worker_gen(gen), __ATOMIC_RELEASE);
	__atomic_store_n(&s->table.newest, kb_worker_gen(gen), __ATOMIC_RELEASE);
}

/* Pages that the header has and we have not. */
static int pages_map(struct kb_shared *s)
{
	uint32_t n = kb_read_once(s->table.hdr->arena_pages);
	char name[16];
	int r;

	for (; s->pages < n && s->pages < KB_PAGES_MAX; s->pages++) {
		struct mapping *m = &s->page_map[s->pages];

		snprintf(name, sizeof(name), "page_%04u", s->pages);
		r = pin_map(s, name, sizeof(struct kb_page), 1, PROT_READ, m);
		if (r < 0)
			return r;
		__atomic_store_n(&s->page[s->pages], m->at, __ATOMIC_RELEASE);
	}
	return 0;
}

static void cache_unmap(struct kb_shared *s)
{
	for (size_t i = 0; i < sizeof(s->cache) / sizeof(*s->cache); i++)
		unmap(&s->cache[i]);
}

/* While no worker looks there. Only the use bytes are for us to write. */
static int cache_map(struct kb_shared *s, uint64_t epoch)
{
	int r;

	cache_unmap(s);
	r = pin_map(s, "kb_pcache_index", sizeof(struct kb_bucket), 0, PROT_READ, &s->cache[0]);
	if (r == 0)
		r = pin_map(s, "kb_pcache_arena", sizeof(struct kb_page), 0, PROT_READ,
			    &s->cache[1]);
	if (r == 0)
		r = pin_map(s, "kb_pcache_use", sizeof(struct kb_pcache_use), 0,
			    PROT_READ | PROT_WRITE, &s->cache[2]);
	if (r == 0 && s->cache[2].n < s->cache[1].n * (KB_PCACHE_PAGE_CELLS / KB_PCACHE_USE_LINE))
		r = -EAGAIN; /* kbdnsd is about to exchange them */
	if (r < 0)
		return r;
	s->cache_env = (struct kb_pcache_env){.index = s->cache[0].at,
					      .arena = s->cache[1].at,
					      .use = s->cache[2].at,
					      .buckets = s->cache[0].n,
					      .pages = s->cache[1].n};
	s->cache_epoch = epoch;
	__atomic_store_n(&s->table.cache, &s->cache_env, __ATOMIC_RELEASE);
	return 0;
}

/*
 * The cache of another epoch may be one in other maps: a kbdnsd that begins anew makes them of the
 * size that it is told to, and then a new epoch. In the former ones no entry is of this epoch.
 */
static int cache_follow(struct kb_shared *s, bool passed)
{
	uint64_t epoch = __atomic_load_n(&s->table.hdr->pcache_epoch, __ATOMIC_ACQUIRE);

	if (!epoch || epoch == s->cache_epoch)
		return 0;
	if (s->table.cache) {
		__atomic_store_n(&s->table.cache, NULL, __ATOMIC_SEQ_CST);
		s->cache_clearing = true;
		return 0;
	}
	if (s->cache_clearing && !passed)
		return 0;
	s->cache_clearing = false;
	return cache_map(s, epoch);
}

static int header_check(const struct kb_shared *s, char *err, size_t size)
{
	const struct kb_header *hdr = s->header.at;

	if (__atomic_load_n(&hdr->magic, __ATOMIC_ACQUIRE) != KB_LAYOUT_MAGIC)
		return failed(err, size, -EAGAIN,
			      "%s: the table is not ready yet: is kbdnsd starting?", s->dir);
	if (hdr->version != KB_LAYOUT_VERSION || hdr->header_size != sizeof(*hdr))
		return failed(err, size, -EPROTO,
			      "%s: the table has layout version %u, this program %u: kbdnsd and "
			      "kbdns-dpdk must be of one release",
			      s->dir, hdr->version, KB_LAYOUT_VERSION);
	return 0;
}

static int maps_open(struct kb_shared *s, char *err, size_t size)
{
	const struct {
		const char *name;
		size_t value_size;
		uint32_t n;
		int prot;
		struct mapping *to;
	} maps[] = {
		/* Its size is known once its version is. */
		{"kb_header", 0, 1, PROT_READ, &s->header},
		{"kb_icept", sizeof(struct kb_icept_bucket), KB_ICEPT_BUCKETS, PROT_READ,
		 &s->icept},
		{"kb_workers", sizeof(struct kb_workers), 1, PROT_READ | PROT_WRITE, &s->workers},
		{"kb_worker_stats", sizeof(struct kb_worker_counts), KB_WORKER_STATS_MAX,
		 PROT_READ | PROT_WRITE, &s->stats},
	};
	int r;

	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		r = pin_map(s, maps[i].name, maps[i].value_size, maps[i].n, maps[i].prot,
			    maps[i].to);
		if (r == -ENOENT)
			return failed(err, size, r,
				      "%s/table/%s: not there: kbdnsd does not run, or with "
				      "another --bpffs",
				      s->dir, maps[i].name);
		if (r == -EPROTO)
			return failed(err, size, r,
				      "%s/table/%s: of another size: kbdnsd and kbdns-dpdk must be "
				      "of one "
				      "release",
				      s->dir, maps[i].name);
		if (r < 0)
			return failed(err, size, r, "%s/table/%s: %s%s", s->dir, maps[i].name,
				      strerror(-r),
				      r == -EPERM ? ": root or CAP_BPF is needed" : "");
		/* Before anything is judged by its size. */
		r = i == 0 ? header_check(s, err, size) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int kb_shared_open(const char *dir, struct kb_shared **ret_shared, char *err, size_t err_size)
{
	struct kb_shared *s;
	uint32_t gen;
	int r;

	if (strlen(dir) >= sizeof(s->dir))
		return failed(err, err_size, -ENAMETOOLONG, "%s: path too long", dir);
	s = calloc(1, sizeof(*s));
	if (!s)
		return failed(err, err_size, -ENOMEM, "no memory");
	strcpy(s->dir, dir);
	r = maps_open(s, err, err_size);
	if (r < 0)
		goto err;
	s->table.hdr = s->header.at;
	s->table.icept = s->icept.at;
	s->table.env.page = s->page;
	s->table.env.pages = KB_PAGES_MAX;
	gen = kb_gen_of(kb_read_once(s->table.hdr->state));
	r = index_map(s, gen, &s->index[gen & 1]);
	if (r == 0)
		r = pages_map(s);
	if (r < 0) {
		failed(err, err_size, r, "%s: cannot map the index and the pages: %s", dir,
		       strerror(-r));
		goto err;
	}
	/* A growth meanwhile: then it was the former index, or another one's. */
	if (kb_gen_of(kb_read_once(s->table.hdr->state)) != gen) {
		r = failed(err, err_size, -EAGAIN, "%s: the table is growing, please try again",
			   dir);
		goto err;
	}
	index_publish(s, gen);
	*ret_shared = s;
	return 0;
err:
	kb_shared_close(s);
	return r;
}

void kb_shared_close(struct kb_shared *s)
{
	if (!s)
		return;
	unmap(&s->header);
	unmap(&s->icept);
	unmap(&s->workers);
	unmap(&s->stats);
	unmap(&s->index[0]);
	unmap(&s->index[1]);
	cache_unmap(s);
	for (uint32_t i = 0; i < KB_PAGES_MAX; i++)
		unmap(&s->page_map[i]);
	free(s);
}

const struct kb_dpdk_table *kb_shared_table(const struct kb_shared *s)
{
	return &s->table;
}

struct kb_workers *kb_shared_workers(const struct kb_shared *s)
{
	return s->workers.at;
}

struct kb_worker_counts *kb_shared_stats(const struct kb_shared *s)
{
	return s->stats.at;
}

/* Has kbdnsd made another table in this place? */
static bool replaced(const struct kb_shared *s)
{
	struct bpf_map_info info;
	int fd = pin_open(s, "kb_header", &info);

	if (fd < 0)
		return fd == -ENOENT;
	close(fd);
	return info.id != s->header.id;
}

/* The index of generation `gen` into the slot that the present one does not have: first no
 * worker looks there any more, then the slot changes. */
static int index_follow(struct kb_shared *s, uint32_t gen, bool passed)
{
	uint32_t slot = gen & 1;
	struct mapping m = {0};
	int r;

	if (!s->clearing || !passed) {
		__atomic_store_n(&s->table.gen[slot], 0, __ATOMIC_SEQ_CST);
		s->clearing = true;
		return 0;
	}
	r = index_map(s, gen, &m);
	if (r < 0)
		return r;
	unmap(&s->index[slot]);
	s->index[slot] = m;
	s->clearing = false;
	index_publish(s, gen);
	return 1;
}

/* The index of the state word, and then what is announced. */
static int generation_follow(struct kb_shared *s, bool passed)
{
	const struct kb_workers *w = s->workers.at;
	uint64_t wanted = kb_worker_gen(kb_gen_of(kb_read_once(s->table.hdr->state)));

	/* What is announced comes next, but the present one first: a switch may come without
	 * notice, or we too late. */
	if (s->table.gen[wanted & 1] == wanted)
		wanted = __atomic_load_n(&w->announced, __ATOMIC_ACQUIRE);
	if (!wanted || s->table.gen[wanted & 1] == wanted) {
		s->clearing = false;
		return 0;
	}
	return index_follow(s, (uint32_t)wanted, passed);
}

int kb_shared_follow(struct kb_shared *s, bool passed, char *err, size_t err_size)
{
	int r, cached;

	if (replaced(s))
		return failed(err, err_size, -ESTALE,
			      "%s: kbdnsd has made another table, or removed this one", s->dir);
	r = pages_map(s);
	if (r < 0)
		return failed(err, err_size, -EAGAIN, "%s: a page of the table: %s", s->dir,
			      strerror(-r));
	r = generation_follow(s, passed);
	if (r < 0)
		return failed(err, err_size, -EAGAIN, "%s: the table's next index: %s", s->dir,
			      strerror(-r));
	cached = cache_follow(s, passed);
	if (cached < 0)
		return failed(err, err_size, -EAGAIN, "%s: the packet-path cache: %s", s->dir,
			      strerror(-cached));
	return r;
}
