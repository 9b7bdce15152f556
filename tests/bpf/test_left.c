// SPDX-License-Identifier: Apache-2.0
/* What kbdns_tc and kbdns_xdp leave alone, and why. */
#include "dataplane/core/ports.h"
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
	snprintf(path, sizeof(path), "%s/kb_ports", world_dir);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	good(&q);
	for (uint32_t taken = 0; taken < KB_PORT_PROBES; taken++) {
		kb_ports_remove(fd, 1);
		for (uint32_t i = 0; i < taken; i++)
			assert_int_equal(kb_ports_put(fd, 1 + KB_PORTS * (i + 1), other), 0);
		leave_by(KB_ENGINE_XDP, "no port", &q, KB_CNT_NOT_OURS);
		assert_int_equal(kb_ports_put(fd, 1, port_mac), 0);
		answer_by(KB_ENGINE_XDP, "port", &q, (struct expect){0, 1, 0, 0, 0}, NULL);
		/* In place: the same port again does not take another. */
		assert_int_equal(kb_ports_put(fd, 1, other), 0);
		leave_by(KB_ENGINE_XDP, "another address", &q, KB_CNT_NOT_OURS);
		assert_int_equal(kb_ports_put(fd, 1, port_mac), 0);
	}
	assert_int_equal(kb_ports_put(fd, 1 + KB_PORTS * KB_PORT_PROBES, other), -ENOSPC);
	/* One of them goes: lo is found where it is, and there is room for another. */
	kb_ports_remove(fd, 1 + KB_PORTS);
	answer_by(KB_ENGINE_XDP, "port", &q, (struct expect){0, 1, 0, 0, 0}, NULL);
	assert_int_equal(kb_ports_put(fd, 1 + KB_PORTS * KB_PORT_PROBES, other), 0);
	close(fd);
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
			engine == KB_ENGINE_TC ? KB_CNT_LOOP : KB_CNT_GSO};

		left_counters(engine, not_met, sizeof(not_met) / sizeof(*not_met));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEFT_ROWS,
		cmocka_unit_test(test_left_kernel),
		cmocka_unit_test(test_port_places),
		cmocka_unit_test(test_left_counters),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
