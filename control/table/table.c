/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a table: made, adopted, let go; grace periods; figures. */
#include "control/table/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS_DEFAULT 1024
#define BUCKETS_MIN	KB_STEP_MAX

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
	kb_arena_init(&t->arena, &t->backing);
	return t;
}

int kb_table_new(const struct kb_backing *backing, const struct kb_table_config *config,
		 struct kb_table **ret_table)
{
	uint32_t n = config->buckets ? config->buckets : BUCKETS_DEFAULT;
	struct kb_bucket *index;
	struct kb_header *hdr = backing->header;
	struct kb_table *t;
	int r;

	if (config->replicas < 1 || config->replicas > KB_REPLICAS_MAX)
		return -EINVAL;
	/* kb_probe_next steps over the end once only. */
	if (n < BUCKETS_MIN)
		n = BUCKETS_MIN;
	t = table_alloc(backing, config);
	if (!t)
		return -ENOMEM;
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
	r = backing->index_new(backing->arg, 0, n * t->replicas, &index);
	if (r < 0)
		goto err;
	r = kb_index_init(t, 0, n, index);
	if (r < 0)
		goto err;
	r = kb_arena_grow(&t->arena);
	if (r < 0)
		goto err;
	hdr->shape[0] = (uint64_t)t->replicas << 32 | n;
	hdr->state = kb_state_word(0, KB_OFF);
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
	struct kb_bucket *index;
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
	r = backing->index_get(backing->arg, gen & 1, &total, &index);
	if (r < 0)
		goto err;
	r = -EPROTO;
	if (total != n * t->replicas)
		goto err;
	r = kb_index_init(t, gen, n, index);
	if (r < 0)
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
	kb_index_fini(t);
	kb_arena_fini(&t->arena);
	free(t->pending.item);
	free(t->waiting.item);
	free(t);
}

int kb_table_intern(struct kb_table *t, const void *rec, size_t len, uint32_t *ret_ref)
{
	uint64_t bytes = (uint64_t)t->n * t->replicas * sizeof(struct kb_bucket) +
			 ((uint64_t)t->arena.n_pages + 1) * sizeof(struct kb_page);

	return kb_arena_intern(&t->arena, rec, len, !t->mem_max || bytes <= t->mem_max, ret_ref);
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
			kb_limbo_recycle(t, &one);
			return;
		}
		limbo->item = item;
		limbo->cap = cap;
	}
	limbo->item[limbo->n++] = (struct limbo_item){.kind = kind, .gen = gen, .what = what};
}

void kb_limbo_recycle(struct kb_table *t, struct limbo *limbo)
{
	for (size_t i = 0; i < limbo->n; i++) {
		const struct limbo_item *item = &limbo->item[i];

		switch ((enum limbo_kind)item->kind) {
		case LIMBO_SLOT:
			/* The index of an earlier generation goes as a whole. */
			if (item->gen == t->gen)
				t->slot[item->what] = SLOT_FREE;
			break;
		case LIMBO_REC:
			kb_arena_free(&t->arena, item->what);
			break;
		case LIMBO_ICEPT:
			t->icept_limbo[item->what / KB_ICEPT_WAYS][item->what % KB_ICEPT_WAYS] = 0;
			break;
		case LIMBO_INDEX:
			if (item->gen + 1 == t->gen && t->old_index) {
				t->backing.index_drop(t->backing.arg, item->gen & 1);
				t->old_index = NULL;
			}
			break;
		}
	}
	limbo->n = 0;
}

bool kb_table_grace_begin(struct kb_table *t)
{
	struct limbo swap = t->waiting;

	if (t->grace_runs || t->pending.n == 0)
		return false;
	t->waiting = t->pending;
	t->pending = swap;
	t->grace_runs = true;
	return true;
}

void kb_table_grace_end(struct kb_table *t)
{
	kb_limbo_recycle(t, &t->waiting);
	t->grace_runs = false;
}

bool kb_table_wants_page(const struct kb_table *t)
{
	return kb_arena_is_low(&t->arena);
}

int kb_table_add_page(struct kb_table *t)
{
	return kb_arena_grow(&t->arena);
}

void kb_table_env(const struct kb_table *t, struct kb_env *ret_env)
{
	ret_env->index[t->gen & 1] = t->index;
	ret_env->buckets[t->gen & 1] = t->n * t->replicas;
	ret_env->index[(t->gen + 1) & 1] = t->old_index;
	ret_env->buckets[(t->gen + 1) & 1] = t->old_index ? t->old_buckets : 0;
	ret_env->page = t->arena.page;
	ret_env->pages = t->arena.n_pages;
}

void kb_table_stats(const struct kb_table *t, struct kb_table_stats *ret_stats)
{
	*ret_stats = t->stats;
	ret_stats->buckets = t->n;
	ret_stats->replicas = t->replicas;
	ret_stats->generation = t->gen;
	ret_stats->index_bytes =
		((uint64_t)t->n * t->replicas + (t->old_index ? t->old_buckets : 0)) *
		sizeof(struct kb_bucket);
	ret_stats->arena_bytes = (uint64_t)t->arena.n_pages * sizeof(struct kb_page);
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
