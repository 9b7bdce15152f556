/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a table: made, adopted, let go; the limbo; figures. */
#include "control/table/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS_DEFAULT 1024
/* Two cache misses for each replica and a few for the writer's own memory: with two replicas
 * of 400,000 names a slice takes 0.1 to 0.3 ms. */
#define SLICE	    1024
#define BUCKETS_MIN KB_STEP_MAX

static int random_fill(void *p, size_t size)
{
	return getrandom(p, size, 0) == (ssize_t)size ? 0 : -EIO;
}

static struct kb_table *table_alloc(const struct kb_backing *backing,
				    const struct kb_table_config *config)
{
	struct kb_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->backing = *backing;
	t->hdr = backing->header;
	t->mem_max = config->mem_max;
	t->replicas = config->replicas;
	t->slice = SLICE;
	pthread_mutex_init(&t->work.lock, NULL);
	kb_arena_init(&t->arena, &t->backing);
	return t;
}

/* Memory that had a table: its readers leave, and numbers of its generations are not used again.
 * Returns the first generation, whose slot is 0. */
static uint32_t clear_former(const struct kb_backing *backing)
{
	struct kb_header *hdr = backing->header;

	if (hdr->magic != KB_LAYOUT_MAGIC || hdr->version != KB_LAYOUT_VERSION)
		return 0;
	__atomic_store_n(&hdr->state, kb_state_word(kb_gen_of(hdr->state), KB_OFF),
			 __ATOMIC_RELEASE);
	backing->grace(backing->arg);
	return ((uint32_t)hdr->last_gen + 2) & ~1U;
}

int kb_table_new(const struct kb_backing *backing, const struct kb_table_config *config,
		 struct kb_table **ret_table)
{
	uint32_t n = config->buckets ? config->buckets : BUCKETS_DEFAULT;
	struct kb_header *hdr = backing->header;
	struct kb_table *t;
	uint32_t gen;
	int r;

	if (config->replicas < 1 || config->replicas > KB_REPLICAS_MAX)
		return -EINVAL;
	/* kb_probe_next steps over the end once only. */
	if (n < BUCKETS_MIN)
		n = BUCKETS_MIN;
	t = table_alloc(backing, config);
	if (!t)
		return -ENOMEM;
	gen = clear_former(backing);
	memset(hdr, 0, sizeof(*hdr));
	memset(backing->icept, 0, KB_ICEPT_BUCKETS * sizeof(*backing->icept));
	r = random_fill(&hdr->key, sizeof(hdr->key));
	if (r < 0)
		goto err;
	r = random_fill(t->check_key, sizeof(t->check_key));
	if (r < 0)
		goto err;
	hdr->udp_max = KB_UDP_MAX_DEFAULT;
	hdr->flags = KB_FLAG_ROTATE;
	hdr->last_gen = gen;
	r = kb_index_init(&t->cur, gen, n);
	if (r < 0)
		goto err;
	r = backing->index_new(backing->arg, 0, n * t->replicas, &t->cur.bucket);
	if (r < 0)
		goto err;
	r = kb_work_page_now(t);
	if (r < 0)
		goto err;
	kb_table_online(t);
	hdr->shape[0] = (uint64_t)t->replicas << 32 | n;
	hdr->state = kb_state_word(gen, KB_OFF);
	hdr->header_size = sizeof(*hdr);
	hdr->version = KB_LAYOUT_VERSION;
	/* Last: a table without it is not adopted. */
	__atomic_store_n(&hdr->magic, KB_LAYOUT_MAGIC, __ATOMIC_RELEASE);
	*ret_table = t;
	return 0;
err:
	kb_table_free(t);
	return r;
}

int kb_table_adopt(const struct kb_backing *backing, const struct kb_table_config *config,
		   struct kb_table **ret_table)
{
	const struct kb_header *hdr = backing->header;
	uint32_t gen, n, total;
	struct kb_table *t;
	int r;

	if (hdr->magic != KB_LAYOUT_MAGIC || hdr->version != KB_LAYOUT_VERSION ||
	    hdr->header_size != sizeof(*hdr))
		return -EPROTO;
	t = table_alloc(backing, config);
	if (!t)
		return -ENOMEM;
	gen = kb_gen_of(hdr->state);
	n = (uint32_t)hdr->shape[gen & 1];
	t->replicas = (uint32_t)(hdr->shape[gen & 1] >> 32);
	r = -EPROTO;
	if (n < BUCKETS_MIN || t->replicas < 1 || t->replicas > KB_REPLICAS_MAX)
		goto err;
	r = random_fill(t->check_key, sizeof(t->check_key));
	if (r < 0)
		goto err;
	r = kb_index_init(&t->cur, gen, n);
	if (r < 0)
		goto err;
	r = backing->index_get(backing->arg, gen & 1, &total, &t->cur.bucket);
	if (r < 0)
		goto err;
	r = -EPROTO;
	if (total != n * t->replicas)
		goto err;
	r = kb_arena_adopt(&t->arena, hdr->arena_pages);
	if (r < 0)
		goto err;
	/* Readers that saw the former writer's last stores have gone. */
	backing->grace(backing->arg);
	r = kb_index_adopt(t);
	if (r < 0)
		goto err;
	r = kb_arena_adopted(&t->arena);
	if (r < 0)
		goto err;
	kb_icept_adopt(t);
	kb_table_online(t);
	/* What the former writer left of another generation, half-built or not removed yet. */
	t->retired = true;
	*ret_table = t;
	return 0;
err:
	kb_table_free(t);
	return r;
}

void kb_table_free(struct kb_table *t)
{
	if (!t)
		return;
	kb_index_fini(&t->cur);
	kb_index_fini(&t->next);
	pthread_mutex_destroy(&t->work.lock);
	kb_arena_fini(&t->arena);
	free(t->pending.item);
	free(t->waiting.item);
	free(t);
}

static uint64_t index_bytes(const struct kb_table *t)
{
	uint64_t buckets = ((uint64_t)t->cur.n + t->next.n) * t->replicas;

	if (t->retired)
		buckets += t->retired_buckets;
	return buckets * sizeof(struct kb_bucket);
}

uint64_t kb_arena_bytes(const struct kb_table *t)
{
	return ((uint64_t)t->arena.n_pages + t->work.spare) * sizeof(struct kb_page);
}

uint64_t kb_pages_allowed(const struct kb_table *t)
{
	uint64_t used = index_bytes(t) + kb_arena_bytes(t);

	if (!t->mem_max)
		return KB_PAGES_MAX;
	return used < t->mem_max ? (t->mem_max - used) / sizeof(struct kb_page) : 0;
}

int kb_table_intern(struct kb_table *t, const void *rec, size_t len, uint32_t *ret_ref)
{
	int r = kb_arena_intern(&t->arena, rec, len, ret_ref);

	if (r != -ENOSPC || !(t->work.spare || kb_pages_allowed(t)))
		return r;
	r = kb_work_page_now(t);
	return r < 0 ? r : kb_arena_intern(&t->arena, rec, len, ret_ref);
}

void kb_table_release(struct kb_table *t, uint32_t ref)
{
	if (ref && kb_arena_release(&t->arena, ref))
		kb_limbo_add(t, LIMBO_REC, 0, ref);
}

void kb_limbo_add(struct kb_table *t, enum limbo_kind kind, uint32_t gen, uint32_t what)
{
	struct limbo *limbo = &t->pending;

	if (limbo->n == limbo->cap) {
		size_t cap = limbo->cap ? limbo->cap * 2 : 64;
		struct limbo_item *item = realloc(limbo->item, cap * sizeof(*item));

		if (!item) {
			/* No memory to remember it: wait here and now. */
			struct limbo one = {
				&(struct limbo_item){.kind = kind, .gen = gen, .what = what}, 1, 1};

			t->backing.grace(t->backing.arg);
			kb_limbo_recycle(t, &one, 1);
			return;
		}
		limbo->item = item;
		limbo->cap = cap;
	}
	limbo->item[limbo->n++] = (struct limbo_item){.kind = kind, .gen = gen, .what = what};
}

void kb_limbo_recycle(struct kb_table *t, struct limbo *limbo, size_t max)
{
	for (; limbo->n && max; max--) {
		const struct limbo_item *item = &limbo->item[--limbo->n];

		switch ((enum limbo_kind)item->kind) {
		case LIMBO_SLOT:
			/* The index of an earlier generation goes as a whole. */
			if (item->gen == t->cur.gen)
				t->cur.state[item->what] = SLOT_FREE;
			break;
		case LIMBO_REC:
			kb_arena_free(&t->arena, item->what);
			break;
		case LIMBO_ICEPT:
			t->icept_limbo[item->what / KB_ICEPT_WAYS][item->what % KB_ICEPT_WAYS] = 0;
			break;
		}
	}
}

void kb_table_env(const struct kb_table *t, struct kb_env *ret_env)
{
	uint32_t at = t->cur.gen & 1;

	ret_env->index[at] = t->cur.bucket;
	ret_env->buckets[at] = t->cur.n * t->replicas;
	ret_env->index[!at] = NULL;
	ret_env->buckets[!at] = 0;
	ret_env->page = t->arena.page;
	ret_env->pages = t->arena.n_pages;
}

void kb_table_online(struct kb_table *t)
{
	uint32_t at = t->cur.gen & 1;

	t->online[at].bucket = t->cur.bucket;
	t->online[at].n = t->cur.n * t->replicas;
}

void kb_table_env_online(const struct kb_table *t, __u32 gen, struct kb_env *ret_env)
{
	uint32_t at = gen & 1;

	ret_env->index[at] = t->online[at].bucket;
	ret_env->buckets[at] = t->online[at].n;
	ret_env->index[!at] = NULL;
	ret_env->buckets[!at] = 0;
	/* A page is there before the first value that names it. */
	ret_env->page = t->arena.page;
	ret_env->pages = KB_PAGES_MAX;
}

void kb_table_stats(const struct kb_table *t, struct kb_table_stats *ret_stats)
{
	*ret_stats = t->stats;
	ret_stats->buckets = t->cur.n;
	ret_stats->replicas = t->replicas;
	ret_stats->generation = t->cur.gen;
	ret_stats->index_bytes = index_bytes(t);
	ret_stats->arena_bytes = kb_arena_bytes(t);
	ret_stats->arena_used_bytes = t->arena.used_units * KB_UNIT;
	ret_stats->records = t->arena.records;
	ret_stats->limbo = t->pending.n + t->waiting.n;
}

const struct kb_header *kb_table_header(const struct kb_table *t)
{
	return t->hdr;
}

const struct kb_backing *kb_table_backing(const struct kb_table *t)
{
	return &t->backing;
}
