/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many answers a second can be put into the packet-path cache? The writer alone, offers at a
 * rate, and grace periods as kbdnsd has them: membarrier(MEMBARRIER_CMD_GLOBAL) in a thread of its
 * own, one after the other while anything waits. The cache is full from the start, so that each
 * insertion takes the place of another, whose memory has to wait for readers.
 *
 *   pcache_insert [MIB [SECONDS]]       default 4 MiB and 1 second for each rate
 *
 * Prints, for each rate that was offered, what was dropped for want of memory that no reader may
 * look at, and how long the grace periods were; then the time of one insertion.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/check.h"
#include "tests/unit/pcache_world.h"

#define MESSAGES_PER_TURN 64 /* that the main loop finds at once */

static struct pcache_world w;
static struct pcache_told told;
static uint32_t next_name;

/* 0 nothing to do, 1 a grace period is wanted, 2 it is over, 3 end */
static atomic_int grace;
static uint64_t grace_ns, graces;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *grace_thread(void *arg)
{
	(void)arg;
	for (;;) {
		int state = atomic_load(&grace);

		if (state == 3)
			return NULL;
		if (state != 1) {
			usleep(20);
			continue;
		}
		uint64_t start = now_ns();

		check("membarrier", (int)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
		grace_ns += now_ns() - start;
		graces++;
		atomic_store(&grace, 2);
	}
}

/* As kbdnsd's loop does it in each turn. */
static void turn(void)
{
	int state = atomic_load(&grace);

	kb_pcache_turn(w.p);
	if (state == 2)
		kb_pcache_grace_end(w.p);
	if (state != 1)
		atomic_store(&grace, kb_pcache_grace_begin(w.p) ? 1 : 0);
}

static void offer(uint64_t ms)
{
	pcache_tell(&told, next_name, next_name, 1 + (next_name & 3), 3600, ms);
	next_name++;
	kb_pcache_offer(w.p, &told.o);
}

static struct kb_pcache_stats stats(void)
{
	struct kb_pcache_stats s;

	kb_pcache_stats(w.p, &s);
	return s;
}

static void run(uint64_t rate, double seconds)
{
	struct kb_pcache_stats before = stats(), after;
	uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), offered = 0;
	uint64_t ns_before = grace_ns, graces_before = graces;

	for (uint64_t now = start; now < end; now = now_ns()) {
		uint64_t due = (uint64_t)((double)(now - start) * (double)rate / 1e9);

		if (due - offered < MESSAGES_PER_TURN)
			continue;
		for (int i = 0; i < MESSAGES_PER_TURN; i++, offered++)
			offer(now / 1000000);
		turn();
	}
	after = stats();
	printf("%10llu %10.0f %10.0f %8.2f %% %9.1f ms\n", (unsigned long long)rate,
	       (double)offered / seconds, (double)(after.insertions - before.insertions) / seconds,
	       100.0 * (double)(after.drops_room - before.drops_room) / (double)offered,
	       (double)(grace_ns - ns_before) / 1e6 / (double)(graces - graces_before + 1));
}

static double cost_ns(void)
{
	uint64_t n = 0, ns = 0;

	while (n < 200000) {
		for (int i = 0; i < MESSAGES_PER_TURN; i++, n++)
			offer(now_ns() / 1000000);
		ns -= now_ns();
		kb_pcache_turn(w.p);
		ns += now_ns();
		if (kb_pcache_grace_begin(w.p))
			kb_pcache_grace_end(w.p);
	}
	return (double)ns / (double)n;
}

int main(int argc, char **argv)
{
	static const uint64_t rates[] = {1000, 10000, 30000, 100000, 300000, 1000000};
	uint64_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) << 20 : 4 << 20;
	double seconds = argc > 2 ? atof(argv[2]) : 1, ns;
	struct kb_pcache_stats s;
	pthread_t thread;

	if (!bytes || seconds <= 0) {
		fprintf(stderr, "usage: pcache_insert [MIB [SECONDS]]\n");
		return 1;
	}
	pcache_world_new(&w, bytes);
	ns = cost_ns();
	s = stats();
	printf("# %llu MiB: %llu entries when full\n", (unsigned long long)bytes >> 20,
	       (unsigned long long)s.entries);
	check("thread", -pthread_create(&thread, NULL, grace_thread, NULL));
	printf("%10s %10s %10s %10s %12s\n", "rate", "offered/s", "inserted/s", "dropped",
	       "grace period");
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++)
		run(rates[i], seconds);
	atomic_store(&grace, 3);
	pthread_join(thread, NULL);
	printf("an insertion into a full cache, with its eviction: %.0f ns\n", ns);
	pcache_world_free(&w);
	return 0;
}
