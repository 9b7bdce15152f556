/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives bench/gen.bpf.c: questions in, frames out of the far end of a veth, arrivals
 * counted. Included by the benchmarks of one file each; everything is called from one
 * thread, which must be in the far end's network namespace for kb_gen_start().
 *
 * IPv4 only, no EDNS, as glibc's resolver asks. The checksum field holds the sum of the
 * pseudo header, as in every datagram that a pod sends through its veth.
 */
#ifndef KB_BENCH_GEN_H
#define KB_BENCH_GEN_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/frame.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* in what bpftool writes */
#include "bench/gen.skel.h"
#pragma GCC diagnostic pop

#define KB_GEN_CALL  (1U << 15) /* frames in one system call: some 10 ms */
#define KB_GEN_BATCH 64

struct kb_gen {
	struct gen_bpf *skel;	    /* owned */
	struct question *questions; /* owned mapping of n */
	uint32_t n, len;	    /* questions and their length */
	uint32_t far_ifindex;
	pthread_t thread; /* between kb_gen_start and kb_gen_stop */
	bool stop;
	int error;
	uint8_t frame[sizeof(struct frame) + QUESTION_MAX];
};

struct kb_gen_path { /* from where to where, addresses in network order */
	uint32_t far_ifindex;
	uint8_t far_mac[6], near_mac[6];
	uint32_t saddr, daddr;
};

static inline uint64_t kb_gen_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Writes a question; returns its length, 0 if it does not fit or is no name. */
static inline uint32_t kb_gen_question(struct question *q, const char *name, uint16_t type)
{
	uint32_t pos = 0;

	memset(q, 0, sizeof(*q));
	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > 63 || pos + label + 6 > QUESTION_MAX)
			return 0;
		q->b[pos] = (uint8_t)label;
		memcpy(q->b + pos + 1, name, label);
		pos += (uint32_t)label + 1;
		name += label;
		name += *name == '.';
	}
	q->b[pos + 1] = (uint8_t)(type >> 8);
	q->b[pos + 2] = (uint8_t)type;
	q->b[pos + 4] = 1; /* IN */
	return pos + 5;
}

static inline uint32_t kb_gen_sum(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline void kb_gen_header(struct frame *f, const struct kb_gen_path *path, uint32_t q_len)
{
	uint16_t udp_len = (uint16_t)(8 + 12 + q_len);

	memset(f, 0, sizeof(*f));
	memcpy(f->dst_mac, path->near_mac, 6);
	memcpy(f->src_mac, path->far_mac, 6);
	f->ethertype = htons(0x0800);
	f->version_ihl = 0x45;
	f->tot_len = htons((uint16_t)(20 + udp_len));
	f->frag_off = htons(0x4000);
	f->ttl = 64;
	f->protocol = FRAME_UDP;
	f->saddr = path->saddr;
	f->daddr = path->daddr;
	f->ip_csum = htons((uint16_t)~kb_gen_sum(&f->version_ihl, 20, 0));
	f->sport = htons(40000);
	f->dport = htons(53);
	f->udp_len = htons(udp_len);
	f->udp_csum = htons((uint16_t)kb_gen_sum(&f->saddr, 8, (uint32_t)FRAME_UDP + udp_len));
	f->flags = htons(0x0100); /* RD */
	f->qd = htons(1);
}

static inline void kb_gen_free(struct kb_gen *g)
{
	if (g->questions)
		munmap(g->questions, g->n * sizeof(struct question));
	gen_bpf__destroy(g->skel);
	memset(g, 0, sizeof(*g));
}

/* A generator of n questions of `len` bytes, which the caller then writes to
 * g->questions. 0 or -errno. */
static inline int kb_gen_new(struct kb_gen *g, const struct kb_gen_path *path, uint32_t n,
			     uint32_t len)
{
	struct frame header;
	void *map;
	int r;

	memset(g, 0, sizeof(*g));
	if (n == 0 || len < 8 || len > QUESTION_MAX)
		return -EINVAL;
	g->skel = gen_bpf__open();
	if (!g->skel)
		return -errno;
	kb_gen_header(&header, path, len);
	memcpy((void *)g->skel->rodata->header, &header, sizeof(header));
	g->skel->rodata->question_len = len;
	g->skel->rodata->n_questions = n;
	g->skel->rodata->far_ifindex = path->far_ifindex;
	r = bpf_map__set_max_entries(g->skel->maps.questions, n);
	if (!r)
		r = gen_bpf__load(g->skel);
	if (r)
		goto err;
	g->n = n;
	g->len = len;
	g->far_ifindex = path->far_ifindex;
	map = mmap(NULL, n * sizeof(struct question), PROT_READ | PROT_WRITE, MAP_SHARED,
		   bpf_map__fd(g->skel->maps.questions), 0);
	if (map == MAP_FAILED) {
		r = -errno;
		goto err;
	}
	g->questions = map;
	return 0;
err:
	kb_gen_free(g);
	return r;
}

static inline void kb_gen_signal(int sig)
{
	(void)sig;
}

/* One system call for the whole run, since each waits for a grace period at its end; a
 * signal ends it. */
static inline void *kb_gen_thread(void *arg)
{
	struct kb_gen *g = arg;
	uint32_t len = (uint32_t)sizeof(struct frame) + g->len;
	struct xdp_md ctx = {.data_end = len, .ingress_ifindex = g->far_ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = g->frame, .data_size_in = len,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1 << 30,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = KB_GEN_BATCH);
	int prog = bpf_program__fd(g->skel->progs.gen_xdp);

	while (!__atomic_load_n(&g->stop, __ATOMIC_RELAXED)) {
		if (bpf_prog_test_run_opts(prog, &opts) < 0 && errno != EINTR) {
			g->error = -errno;
			break;
		}
	}
	return NULL;
}

/* Sends until kb_gen_stop(), in a thread that inherits this one's namespace and CPU. */
static inline int kb_gen_start(struct kb_gen *g)
{
	struct sigaction act = {.sa_handler = kb_gen_signal}; /* without SA_RESTART */

	sigaction(SIGUSR1, &act, NULL);
	g->stop = false;
	g->error = 0;
	return -pthread_create(&g->thread, NULL, kb_gen_thread, g);
}

/* 0, or what the kernel said to the live frames. */
static inline int kb_gen_stop(struct kb_gen *g)
{
	__atomic_store_n(&g->stop, true, __ATOMIC_RELAXED);
	/* Again, in case the first one came between the test and the call. */
	do {
		struct timespec ts;

		pthread_kill(g->thread, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 50000000;
		ts.tv_sec += ts.tv_nsec / 1000000000;
		ts.tv_nsec %= 1000000000;
		if (pthread_timedjoin_np(g->thread, NULL, &ts) == 0)
			break;
	} while (true);
	return g->error;
}

/* What has arrived so far, over all CPUs. */
static inline int kb_gen_arrivals(struct kb_gen *g, struct arrivals *ret)
{
	int n = libbpf_num_possible_cpus(), r;
	struct arrivals *cpu;
	uint32_t zero = 0;

	if (n < 0)
		return n;
	cpu = calloc((size_t)n, sizeof(*cpu));
	if (!cpu)
		return -ENOMEM;
	r = bpf_map_lookup_elem(bpf_map__fd(g->skel->maps.arrivals), &zero, cpu);
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; !r && i < n; i++) {
		ret->sent += cpu[i].sent;
		ret->frames += cpu[i].frames;
		ret->replies += cpu[i].replies;
		ret->records += cpu[i].records;
		ret->nodata += cpu[i].nodata;
		ret->nxdomain += cpu[i].nxdomain;
	}
	free(cpu);
	return r ? -errno : 0;
}

#endif
