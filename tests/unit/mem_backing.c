/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mem_backing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kb_mem {
	struct kb_header *header;
	struct kb_icept_bucket *icept;
	struct kb_bucket *index[2];
	uint32_t buckets[2];
	struct kb_page *page[KB_PAGES_MAX];
	void (*grace)(void *arg);
	void *grace_arg;
	int fail_after;
};

static void *zeroed(struct kb_mem *mem, size_t size)
{
	void *p;

	if (mem->fail_after == 0)
		return NULL;
	if (mem->fail_after > 0)
		mem->fail_after--;
	p = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (p)
		memset(p, 0, size);
	return p;
}

static int index_new(void *arg, uint32_t slot, uint32_t n, struct kb_bucket **ret_index)
{
	struct kb_mem *mem = arg;

	free(mem->index[slot]);
	mem->index[slot] = zeroed(mem, n * sizeof(**ret_index));
	mem->buckets[slot] = n;
	if (!mem->index[slot])
		return -ENOMEM;
	*ret_index = mem->index[slot];
	return 0;
}

static int index_get(void *arg, uint32_t slot, uint32_t *ret_n, struct kb_bucket **ret_index)
{
	struct kb_mem *mem = arg;

	if (!mem->index[slot])
		return -ENOENT;
	*ret_n = mem->buckets[slot];
	*ret_index = mem->index[slot];
	return 0;
}

static void index_drop(void *arg, uint32_t slot)
{
	struct kb_mem *mem = arg;

	free(mem->index[slot]);
	mem->index[slot] = NULL;
}

static int page_new(void *arg, uint32_t n, uint32_t count, struct kb_page *ret_pages[])
{
	struct kb_mem *mem = arg;

	for (uint32_t i = n; i < n + count; i++) {
		if (!mem->page[i])
			mem->page[i] = zeroed(mem, sizeof(struct kb_page));
		if (!mem->page[i])
			return -ENOMEM;
		ret_pages[i - n] = mem->page[i];
	}
	return 0;
}

static int page_get(void *arg, uint32_t n, struct kb_page **ret_page)
{
	struct kb_mem *mem = arg;

	if (!mem->page[n])
		return -ENOENT;
	*ret_page = mem->page[n];
	return 0;
}

static void grace(void *arg)
{
	struct kb_mem *mem = arg;

	if (mem->grace)
		mem->grace(mem->grace_arg);
}

struct kb_mem *kb_mem_new(void (*grace_fn)(void *arg), void *grace_arg)
{
	struct kb_mem *mem = calloc(1, sizeof(*mem));

	if (!mem)
		return NULL;
	mem->fail_after = -1;
	mem->grace = grace_fn;
	mem->grace_arg = grace_arg;
	mem->header = zeroed(mem, sizeof(*mem->header));
	mem->icept = zeroed(mem, KB_ICEPT_BUCKETS * sizeof(*mem->icept));
	if (!mem->header || !mem->icept) {
		kb_mem_free(mem);
		return NULL;
	}
	return mem;
}

void kb_mem_free(struct kb_mem *mem)
{
	if (!mem)
		return;
	free(mem->header);
	free(mem->icept);
	free(mem->index[0]);
	free(mem->index[1]);
	for (size_t i = 0; i < KB_PAGES_MAX; i++)
		free(mem->page[i]);
	free(mem);
}

void kb_mem_backing(struct kb_mem *mem, struct kb_backing *ret)
{
	*ret = (struct kb_backing){
		.arg = mem,
		.header = mem->header,
		.icept = mem->icept,
		.index_new = index_new,
		.index_get = index_get,
		.index_drop = index_drop,
		.page_new = page_new,
		.page_get = page_get,
		.grace = grace,
	};
}

bool kb_mem_has_index(const struct kb_mem *mem, uint32_t slot)
{
	return mem->index[slot] != NULL;
}

void kb_mem_fail_after(struct kb_mem *mem, int n)
{
	mem->fail_after = n;
}
