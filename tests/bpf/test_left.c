// SPDX-License-Identifier: Apache-2.0
/* What kbdns_tc and kbdns_xdp leave alone, and why. */
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "control/datapath/steer.h"
#include "dataplane/core/steer.h"
#include "tests/bpf/rows.h"
#include "tests/rows/left_rows.h"

static void test_left_kernel(void **state)
{
	struct frame q;

	(void)state;
	good(&q);
	memmove(q.b + 16, q.b + 12, q.len - 12);
	put16(q.b + 12, 0x8100);
	put16(q.b + 14, 5);
	q.len += 4;
	leave("VLAN", &q, KB_CNT_NOT_IP);
	good(&q);
	tc_ctx = (struct __sk_buff){.gso_size = 100, .gso_segs = 2};
	tc_ctx_used = true;
	leave_by(KB_ENGINE_TC, "GSO", &q, KB_CNT_GSO);
	tc_ctx_used = false;
}

/* Ports that share a place of kb_ports: lo's index is 1. Counting on from there, other ports take
 * the places before the one that is left for lo. */
static void test_port_places(void **state)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 9};
	char path[128];
	struct frame q;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/table/kb_ports", world_dir);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	good(&q);
	for (uint32_t taken = 0; taken < KB_PORT_PROBES; taken++) {
		kb_ports_remove(fd, 1);
		for (uint32_t i = 0; i < taken; i++)
			assert_int_equal(kb_ports_put(fd, 1 + KB_PORTS * (i + 1), other, false), 0);
		leave_by(KB_ENGINE_XDP, "no port", &q, KB_CNT_NOT_OURS);
		assert_int_equal(kb_ports_put(fd, 1, port_mac, false), 0);
		answer_by(KB_ENGINE_XDP, "port", &q, (struct expect){0, 1, 0, 0, 0}, NULL);
		/* In place: the same port again does not take another. */
		assert_int_equal(kb_ports_put(fd, 1, other, false), 0);
		leave_by(KB_ENGINE_XDP, "another address", &q, KB_CNT_NOT_OURS);
		assert_int_equal(kb_ports_put(fd, 1, port_mac, false), 0);
	}
	assert_int_equal(kb_ports_put(fd, 1 + KB_PORTS * KB_PORT_PROBES, other, false), -ENOSPC);
	/* One of them goes: lo is found where it is, and there is room for another. */
	kb_ports_remove(fd, 1 + KB_PORTS);
	answer_by(KB_ENGINE_XDP, "port", &q, (struct expect){0, 1, 0, 0, 0}, NULL);
	assert_int_equal(kb_ports_put(fd, 1 + KB_PORTS * KB_PORT_PROBES, other, false), 0);
	close(fd);
}

static int pin_open(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/table/%s", world_dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

/* An AF_XDP socket on queue 0 of lo, with the least that lets it be bound. */
static int xsk_on_lo(void)
{
	const struct sockaddr_xdp to = {
		.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = 1};
	struct xdp_umem_reg umem = {.len = 4096, .chunk_size = 4096};
	int fd = socket(AF_XDP, SOCK_RAW, 0), entries = 1;

	assert_true(fd >= 0);
	umem.addr = (uintptr_t)mmap(NULL, umem.len, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &entries, sizeof(entries)), 0);
	assert_int_equal(
		setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &entries, sizeof(entries)), 0);
	assert_int_equal(setsockopt(fd, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)), 0);
	if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		fail_msg("AF_XDP socket on lo: %s", strerror(errno));
	return fd;
}

/* Of its queue 0. */
static uint32_t key_of_lo(int ports)
{
	struct kb_port_conf port = {0};

	for (uint32_t probe = 0; port.ifindex != 1 && probe < KB_PORT_PROBES; probe++) {
		uint32_t place = kb_port_place(1, probe);

		assert_int_equal(bpf_map_lookup_elem(ports, &place, &port), 0);
	}
	assert_int_equal(port.ifindex, 1);
	assert_int_not_equal(port.steer, 0);
	return kb_steer_key(port.steer, 0);
}

static void beat_at(int map, uint32_t key, int64_t ago_ns)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec - (uint64_t)ago_ns;
	assert_int_equal(bpf_map_update_elem(map, &key, &now, BPF_ANY), 0);
}

static struct kb_steer_stats steer_since(const struct kb_steer_stats *before)
{
	struct kb_steer_stats s;

	assert_int_equal(kb_datapath_steer_stats(dp, &s), 0);
	s.absent -= before->absent;
	s.silent -= before->silent;
	return s;
}

/* A queue's queries go to its worker's socket while there is one and the worker beats. */
static void test_steer(void **state)
{
	const struct expect yes = {0, 1, 0, 0, 0};
	int ports = pin_open("kb_ports"), xsks = pin_open("kb_xsks"),
	    beats = pin_open("kb_steer_beat"), xsk;
	struct kb_steer_stats start;
	struct frame q, other, out;
	enum row_verdict verdict;
	uint32_t key;

	(void)state;
	assert_int_equal(kb_ports_put(ports, 1, port_mac, true), 0);
	key = key_of_lo(ports);
	assert_int_equal(kb_datapath_steer_stats(dp, &start), 0);
	good(&q);
	answer_by(KB_ENGINE_XDP, "no worker", &q, yes, NULL);
	assert_int_equal(steer_since(&start).absent + steer_since(&start).silent, 0);
	beat_at(beats, key, -1000000000);
	answer_by(KB_ENGINE_XDP, "no socket", &q, yes, NULL);
	assert_int_equal(steer_since(&start).absent, 1);

	xsk = xsk_on_lo();
	assert_int_equal(bpf_map_update_elem(xsks, &key, &xsk, BPF_ANY), 0);
	assert_int_equal(run_counted(KB_ENGINE_XDP, &q, &out, &verdict), KB_CNT_STEERED);
	assert_int_equal(verdict, ROW_OTHER); /* XDP_REDIRECT */
	assert_memory_equal(out.b, q.b, q.len);
	/* What the kernel deals with as before. */
	other = q;
	other.b[23] = IPPROTO_TCP;
	leave_by(KB_ENGINE_XDP, "TCP", &other, KB_CNT_NOT_UDP);
	other = q;
	memcpy(other.b, "\2\0\0\0\0\77", 6);
	leave_by(KB_ENGINE_XDP, "another's MAC", &other, KB_CNT_NOT_OURS);
	other = q;
	other.len = KB_STEER_FRAME_MAX + 1;
	answer_by(KB_ENGINE_XDP, "a frame too long", &other, yes, NULL);

	beat_at(beats, key, 2 * KB_STEER_SILENT_NS); /* the kernel's clock is coarse */
	answer_by(KB_ENGINE_XDP, "a worker that stalls", &q, yes, NULL);
	assert_int_equal(steer_since(&start).silent, 1);
	beat_at(beats, key, -1000000000);
	assert_int_equal(kb_ports_put(ports, 1, port_mac, false), 0);
	answer_by(KB_ENGINE_XDP, "a port that is not handed over", &q, yes, NULL);
	assert_int_equal(kb_ports_put(ports, 1, port_mac, true), 0);
	assert_int_equal(run_counted(KB_ENGINE_XDP, &q, &out, &verdict), KB_CNT_STEERED);
	close(xsk);
	answer_by(KB_ENGINE_XDP, "a socket that was closed", &q, yes, NULL);
	assert_int_equal(steer_since(&start).absent, 2);
	assert_int_equal(steer_since(&start).silent, 1);
	close(ports);
	close(xsks);
	close(beats);
}

static void test_left_counters(void **state)
{
	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		/* A test run cannot provoke these. */
		const enum kb_counter not_met[] = {
			KB_CNT_UNREADABLE,
			KB_CNT_NO_ROOM,
			KB_CNT_NO_ROW,
			KB_CNT_WRITE_FAILED,
			KB_CNT_SEND_FULL,
			KB_CNT_GONE,
			engine == KB_ENGINE_TC ? KB_CNT_NOT_OURS : KB_CNT_GSO,
			engine == KB_ENGINE_TC ? KB_CNT_LOOP : KB_CNT_GSO,
			engine == KB_ENGINE_TC ? KB_CNT_STEERED : KB_CNT_GSO};

		left_counters(engine, not_met, sizeof(not_met) / sizeof(*not_met));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEFT_ROWS,
		cmocka_unit_test(test_left_kernel),
		cmocka_unit_test(test_port_places),
		cmocka_unit_test(test_steer),
		cmocka_unit_test(test_left_counters),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
