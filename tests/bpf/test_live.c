// SPDX-License-Identifier: Apache-2.0
/*
 * Both ways to attach kbdns_tc, over a veth and under a bridge, with a second program behind
 * ours that sees what is left.
 */
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/bpf/rows.h"

static bool dp_clsact;

/* A program that counts UDP packets to port 53 and lets everything pass. */
static int behind_prog(int map)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LD | BPF_ABS | BPF_H, .imm = 12},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .off = 8, .imm = 0x0800},
		{.code = BPF_LD | BPF_ABS | BPF_B, .imm = 23},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .off = 6, .imm = 17},
		{.code = BPF_LD | BPF_ABS | BPF_H, .imm = 36},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .off = 4, .imm = 53},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "behind", "GPL", insns,
			       sizeof(insns) / sizeof(*insns), NULL);

	if (fd < 0)
		fail_msg("behind: %s", strerror(errno));
	return fd;
}

static int udp_socket(int ns, const char *addr, int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int s;

	world_enter(ns);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(s >= 0);
	inet_pton(AF_INET, addr, &sin.sin_addr);
	if (bind(s, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		fail_msg("bind %s: %s", addr, strerror(errno));
	world_enter(0);
	return s;
}

/* Datagrams that wait, or come within a while. */
static unsigned int drain(int s, unsigned int want)
{
	struct pollfd p = {.fd = s, .events = POLLIN};
	unsigned int n = 0;
	char buf[2048];

	while (poll(&p, 1, n < want ? 2000 : 50) > 0 && recv(s, buf, sizeof(buf), 0) > 0)
		n++;
	return n;
}

#define LIVE_EACH 40

static void live(bool clsact, bool bridge)
{
	struct kb_datapath_config config = {.dir = world_dir, .skip_xdp = true, .clsact = clsact};
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 7, .priority = 2);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "behind", 4, 8, 1, NULL), prog, pod, node;
	uint64_t before[KB_CNT_MAX], after[KB_CNT_MAX], behind;
	uint32_t zero = 0;
	struct frame q;

	assert_true(map >= 0);
	prog = behind_prog(map);
	world_veth();
	if (bridge) {
		world_run("ip link add br0 address 02:00:00:00:00:77 type bridge");
		world_run("ip link set v0 master br0");
		world_run("ip link set br0 up");
	}
	world_run("ip addr add 10.244.0.1/24 dev %s", bridge ? "br0" : "v0");
	world_run("ip addr add 10.96.0.10/32 dev lo");
	world_enter(1);
	world_run("ip addr add 10.244.0.11/24 dev v1");
	world_run("ip route add default via 10.244.0.1");
	world_enter(0);
	if (clsact != dp_clsact) {
		/* The table stays as it is: state, deadline and all. */
		kb_table_free(table);
		table = NULL;
		kb_datapath_close(dp, true);
		dp = NULL;
		if (kb_datapath_open(&config, &dp, err, sizeof(err)) < 0 ||
		    kb_datapath_load_programs(dp, err, sizeof(err)) < 0)
			fail_msg("%s", err);
		dp_clsact = clsact;
		assert_true(kb_datapath_adopted(dp));
	}
	if (kb_datapath_attach_tc(dp, "v0", err, sizeof(err)) < 0)
		fail_msg("%s", err);
	print_message("mode %s\n", kb_datapath_port(dp, 0)->mode);
	assert_true(!clsact || strcmp(kb_datapath_port(dp, 0)->mode, "clsact") == 0);
	hook.ifindex = (int)if_nametoindex("v0");
	bpf_tc_hook_create(&hook);
	opts.prog_fd = prog;
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);

	pod = udp_socket(1, "10.244.0.11", 0);
	node = udp_socket(0, "10.96.0.10", 53);
	inet_pton(AF_INET, "10.96.0.10", &to.sin_addr);
	rows_counters(KB_ENGINE_TC, before);
	for (int i = 0; i < 2 * LIVE_EACH; i++) {
		frame_query(&q, false, i & 1 ? "www.example.com" : "multi." ZONE, TYPE_A, 1232, 0);
		assert_true(sendto(pod, dns_of(&q), q.len - 42, 0, (struct sockaddr *)&to,
				   sizeof(to)) > 0);
		if (i == 0)
			usleep(300000); /* ARP */
	}
	assert_int_equal(drain(pod, LIVE_EACH), LIVE_EACH);
	assert_int_equal(drain(node, LIVE_EACH), LIVE_EACH);
	rows_counters(KB_ENGINE_TC, after);
	assert_int_equal(after[KB_CNT_ANSWERED] - before[KB_CNT_ANSWERED], LIVE_EACH);
	assert_int_equal(after[KB_CNT_NO_ZONE] - before[KB_CNT_NO_ZONE], LIVE_EACH);
	assert_int_equal(bpf_map_lookup_elem(map, &zero, &behind), 0);
	assert_int_equal(behind, LIVE_EACH);

	close(pod);
	close(node);
	kb_datapath_detach_all(dp);
	world_run("ip link del v0");
	if (bridge)
		world_run("ip link del br0");
	world_run("ip addr del 10.96.0.10/32 dev lo");
	close(prog);
	close(map);
}

static void test_live(void **state)
{
	(void)state;
	live(false, false);
}
static void test_live_bridge(void **state)
{
	(void)state;
	live(false, true);
}
static void test_live_clsact(void **state)
{
	(void)state;
	live(true, false);
}
static void test_live_clsact_bridge(void **state)
{
	(void)state;
	live(true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_live_bridge),
		cmocka_unit_test(test_live_clsact),
		cmocka_unit_test(test_live_clsact_bridge),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
