/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of tests/rows for kbdns_tc and kbdns_xdp, by BPF_PROG_TEST_RUN. One program includes
 * it once. Root.
 */
#ifndef KB_TESTS_BPF_ROWS_H
#define KB_TESTS_BPF_ROWS_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "control/datapath/ports.h"
#include "tests/bpf/bpf_world.h"
#include "tests/rows/rows.h"

static const enum kb_engine rows_first = KB_ENGINE_TC, rows_last = KB_ENGINE_XDP;

static struct kb_datapath *dp;
static struct kb_backing backing;
static char err[512];

/* A row's own wish, reset after each run. */
static struct __sk_buff tc_ctx;
static bool tc_ctx_used;

ROWS_UNUSED static enum row_verdict rows_run(enum kb_engine engine, const struct frame *in,
					     struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = (uint32_t)in->len,
		    .data_out = out->b, .data_size_out = sizeof(out->b), .repeat = 1);

	if (engine == KB_ENGINE_TC && tc_ctx_used) {
		opts.ctx_in = &tc_ctx;
		opts.ctx_size_in = sizeof(tc_ctx);
	}
	memset(out, 0, sizeof(*out));
	out->v6 = in->v6;
	if (bpf_prog_test_run_opts(kb_datapath_prog_fd(dp, engine), &opts) < 0) {
		/* Newer kernels make no sk_buff of less than an IP header. */
		if (errno != EINVAL || engine != KB_ENGINE_TC || in->len >= 54)
			fail_msg("test run, %zu bytes: %s", in->len, strerror(errno));
		*out = *in;
		return ROW_LEFT;
	}
	out->len = opts.data_size_out;
	if (opts.retval == (engine == KB_ENGINE_TC ? (uint32_t)-1 : XDP_PASS))
		return ROW_LEFT;
	return opts.retval == (engine == KB_ENGINE_TC ? TC_ACT_REDIRECT : XDP_TX) ? ROW_ANSWERED
										  : ROW_OTHER;
}

ROWS_UNUSED static void rows_counters(enum kb_engine engine, uint64_t ret[KB_CNT_MAX])
{
	uint64_t hist[KB_HIST_BUCKETS];

	assert_int_equal(kb_datapath_engine_stats(dp, engine, ret, hist), 0);
}

ROWS_UNUSED static void rows_beat(uint32_t ttl_ms)
{
	assert_int_equal(kb_datapath_beat(dp, ttl_ms), 0);
	if (!ttl_ms)
		usleep(30000); /* three jiffies of the slowest kernel */
}

ROWS_UNUSED static void rows_mtu(uint32_t mtu)
{
	world_run("ip link set lo mtu %u", mtu);
}

/* A world, and in it a datapath with the rows' table, whose heart beats. */
ROWS_UNUSED static int rows_open(void **state, const struct kb_datapath_config *config)
{
	if (world_setup(state) < 0)
		return -1;
	if (kb_datapath_open(config, &dp, err, sizeof(err)) < 0 ||
	    kb_datapath_load_programs(dp, err, sizeof(err)) < 0) {
		print_error("%s\n", err);
		return -1;
	}
	kb_datapath_backing(dp, &backing);
	table_fill(&backing);
	return kb_datapath_beat(dp, 600000) < 0 ? -1 : 0;
}

ROWS_UNUSED static int rows_setup(void **state)
{
	const uint32_t lo = 1;
	char path[128];
	int fd;

	if (rows_open(state,
		      &(struct kb_datapath_config){.dir = world_dir, .packet_cache = 1 << 20}) < 0)
		return -1;
	/* Test runs come in by lo. */
	snprintf(path, sizeof(path), "%s/table/kb_ports", world_dir);
	fd = bpf_obj_get(path);
	if (fd < 0 || kb_ports_put(fd, lo, port_mac, true) < 0)
		return -1;
	close(fd);
	return 0;
}

ROWS_UNUSED static int rows_teardown(void **state)
{
	kb_table_free(table);
	kb_datapath_close(dp, false);
	return world_teardown(state);
}

#endif
