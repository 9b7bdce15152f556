// SPDX-License-Identifier: Apache-2.0
/*
 * The query log of kbdns_tc and kbdns_xdp: what an event says, one in N, a full ring; see rows.h.
 */
#include <time.h>

#include "control/datapath/events.h"
#include "tests/bpf/rows.h"

static struct kb_event last;
static unsigned int n_events;

static void on_event(void *arg, const struct kb_event *e)
{
	(void)arg;
	last = *e;
	n_events++;
}

static struct kb_event_ring *open_ring(void)
{
	struct kb_event_ring *ring;

	assert_int_equal(kb_event_ring_open(dp, on_event, NULL, &ring), 0);
	return ring;
}

/* How many events there are since the last time; the newest is in `last`. */
static unsigned int read_ring(struct kb_event_ring *ring)
{
	n_events = 0;
	assert_true(kb_event_ring_read(ring) >= 0);
	return n_events;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void stats(uint64_t *ret_events, uint64_t *ret_dropped)
{
	assert_int_equal(kb_datapath_log_stats(dp, ret_events, ret_dropped), 0);
}

struct row {
	const char *name;
	uint16_t qtype, edns;
	uint32_t edns_flags;
	enum kb_counter verdict;
	int rcode, an, ns, ar;
};

static const struct row rows[] = {
	{"a." ZONE, TYPE_A, 0, 0, KB_CNT_ANSWERED, 0, 1, 0, 0},
	{"a." ZONE, TYPE_A, 4096, 0x8000, KB_CNT_ANSWERED, 0, 1, 0, 1},
	{"A." ZONE, TYPE_AAAA, 1232, 0, KB_CNT_NODATA, 0, 0, 1, 1},
	{"no.Such." ZONE, TYPE_A, 0, 0, KB_CNT_NXDOMAIN, 3, 0, 1, 0},
	{"multi." ZONE, TYPE_A, 1232, 0, KB_CNT_ANSWERED, 0, 60, 0, 1},
	{"big." ZONE, TYPE_TXT, 0, 0, KB_CNT_ANSWERED, 0, 0, 0, 0},
	{long_name, TYPE_A, 0, 0, KB_CNT_ANSWERED, 0, 1, 0, 0},
	{"www.example.org", TYPE_A, 512, 0, KB_CNT_NO_ZONE, 0, 0, 0, 0},
	{"leave." ZONE, TYPE_A, 0, 0, KB_CNT_NAME_LEAVE, 0, 0, 0, 0},
	{"a." ZONE, 252, 0, 0, KB_CNT_QTYPE, 0, 0, 0, 0},
};

static void check_event(enum kb_engine engine, const struct row *row, struct frame *q,
			struct frame *r)
{
	bool left = row->verdict >= KB_CNT_FIRST_LEFT;
	uint8_t addr[16] = {[10] = 0xff, [11] = 0xff}, *dns = dns_of(left ? q : r);
	size_t name_len = strlen(row->name) + 2;

	assert_int_equal(last.engine, engine);
	assert_int_equal(last.transport, KB_EVENT_UDP);
	assert_int_equal(last.origin, KB_ORIGIN_TABLE);
	assert_int_equal(last.verdict, row->verdict);
	memcpy(addr + 12, pod4, 4);
	assert_memory_equal(last.src, q->v6 ? pod6 : addr, 16);
	memcpy(addr + 12, dns4, 4);
	assert_memory_equal(last.dst, q->v6 ? dns6 : addr, 16);
	assert_int_equal(ntohs(last.sport), 40000);
	assert_int_equal(ntohs(last.dport), 53);
	assert_int_equal(ntohs(last.id), 0xbeef);
	assert_int_equal(ntohs(last.qtype), row->qtype);
	assert_int_equal(ntohs(last.qclass), 1);
	assert_int_equal(last.name_len, name_len);
	assert_memory_equal(last.name, dns_of(q) + 12, name_len);
	assert_int_equal(last.query_len, q->len - 14 - ip_len(q) - 8);
	assert_int_equal(last.reply_len, left ? 0 : r->len - 14 - ip_len(q) - 8);
	assert_int_equal(last.bufsize, row->edns);
	assert_int_equal(last.dnssec_ok, row->edns_flags >> 15);
	assert_int_equal(last.an, row->an);
	assert_int_equal(last.ns, row->ns);
	assert_int_equal(last.ar, row->ar);
	assert_int_equal(last.flags2, dns[2]);
	assert_int_equal(last.flags3, dns[3]);
	assert_int_equal(last.flags3 & 15, row->rcode);
}

static void test_content(void **state)
{
	struct kb_event_ring *ring = open_ring();
	struct frame q, r;
	uint64_t before;

	(void)state;
	kb_table_set_log(table, 1, KB_EVENT_REPLIES | KB_EVENT_LEFT);
	FOR_EACH_ENGINE(engine)
	{
		for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
			const struct row *row = &rows[i / 2];

			frame_query(&q, i % 2, row->name, row->qtype, row->edns, row->edns_flags);
			before = now_ns();
			rows_run(engine, &q, &r);
			assert_int_equal(read_ring(ring), 1);
			check_event(engine, row, &q, &r);
			assert_in_range(last.time_ns, before, now_ns());
			assert_int_equal(last.duration_ns, 0);
		}
	}
	kb_event_ring_close(ring);
	kb_table_set_log(table, 1, 0);
}

static void test_duration(void **state)
{
	struct kb_event_ring *ring = open_ring();
	struct frame q, r;
	uint64_t before;

	(void)state;
	frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
	kb_table_set_log(table, 1, KB_EVENT_REPLIES);
	kb_table_set_flag(table, KB_FLAG_LATENCY, true);
	FOR_EACH_ENGINE(engine)
	{
		before = now_ns();
		rows_run(engine, &q, &r);
		assert_int_equal(read_ring(ring), 1);
		assert_in_range(last.duration_ns, 1, now_ns() - before);
	}
	kb_table_set_flag(table, KB_FLAG_LATENCY, false);
	kb_table_set_log(table, 1, 0);
	kb_event_ring_close(ring);
}

/* Off, and of other classes, nothing is reported; nor what is left unread. */
static void test_classes(void **state)
{
	static const struct {
		const char *name;
		uint16_t qtype;
		uint32_t class;
	} asked[] = {
		{"a." ZONE, TYPE_A, KB_EVENT_SUCCESS},
		{"big." ZONE, TYPE_TXT, KB_EVENT_SUCCESS},
		{"a." ZONE, TYPE_AAAA, KB_EVENT_DENIAL},
		{"none." ZONE, TYPE_A, KB_EVENT_DENIAL},
		{"www.example.org", TYPE_A, KB_EVENT_LEFT},
	};
	struct kb_event_ring *ring = open_ring();
	struct frame q, r;

	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		for (uint32_t on = 0; on < 16; on++) {
			kb_table_set_log(table, 1, on);
			for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
				frame_query(&q, false, asked[i].name, asked[i].qtype, 0, 0);
				rows_run(engine, &q, &r);
				assert_int_equal(read_ring(ring), !!(on & asked[i].class));
			}
		}
		kb_table_set_log(table, 1, 15);
		frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
		dns_of(&q)[2] |= 0x80;
		frame_finish(&q);
		leave_by(engine, "a response", &q, KB_CNT_RESPONSE);
		frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
		q.b[33] ^= 1;
		frame_finish(&q);
		leave_by(engine, "another address", &q, KB_CNT_NOT_INTERCEPT);
		assert_int_equal(read_ring(ring), 0);
	}
	kb_table_set_log(table, 1, 0);
	kb_event_ring_close(ring);
}

/* Test runs stay on one CPU. */
static void pin_to_one(cpu_set_t *ret_all)
{
	cpu_set_t one;

	assert_int_equal(sched_getaffinity(0, sizeof(*ret_all), ret_all), 0);
	CPU_ZERO(&one);
	for (size_t c = 0; c < CPU_SETSIZE && !CPU_COUNT(&one); c++) {
		if (CPU_ISSET(c, ret_all))
			CPU_SET(c, &one);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* Exactly one in each block of N, and not always at one place; what is left unread does not
 * count. */
static void test_sampling(void **state)
{
	struct kb_event_ring *ring = open_ring();
	struct frame q, foreign, r;
	cpu_set_t all;

	(void)state;
	pin_to_one(&all);
	frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
	foreign = q;
	foreign.b[33] ^= 1;
	frame_finish(&foreign);
	FOR_EACH_ENGINE(engine)
	{
		for (uint32_t every = 1; every <= 10; every += 3) {
			uint32_t places = 0;

			kb_table_set_log(table, every, KB_EVENT_SUCCESS);
			rows_run(engine, &q, &r); /* the first block begins behind it */
			for (uint32_t block = 0; block < 64; block++) {
				uint32_t taken = 0;

				read_ring(ring);
				for (uint32_t i = 0; i < every; i++) {
					rows_run(engine, &q, &r);
					rows_run(engine, &foreign, &r);
					if (!read_ring(ring))
						continue;
					assert_int_equal(n_events, 1);
					taken++;
					places |= 1U << i;
				}
				assert_int_equal(taken, 1);
			}
			assert_true(every == 1 || (places & (places - 1)));
		}
	}
	kb_table_set_log(table, 1, 0);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	kb_event_ring_close(ring);
}

/* Nobody reads: events are dropped and counted, and packets are answered as ever. */
static void test_full(void **state)
{
	/* An event takes its size and a header of 8 bytes. */
	const uint64_t room = KB_EVENTS_SIZE / (sizeof(struct kb_event) + 8);
	uint64_t events, dropped, events_before, dropped_before;
	struct kb_event_ring *ring = open_ring();
	struct expect one_a = {.an = 1};
	struct frame q, r;

	(void)state;
	frame_query(&q, false, "a." ZONE, TYPE_A, 0, 0);
	stats(&events_before, &dropped_before);
	kb_table_set_log(table, 1, KB_EVENT_SUCCESS);
	for (uint64_t i = 0; i < room - 10; i++)
		rows_run(KB_ENGINE_TC, &q, &r);
	for (uint64_t i = 0; i < 10; i++)
		answer("ring fills", &q, one_a);
	kb_table_set_log(table, 1, 0);
	stats(&events, &dropped);
	events -= events_before;
	dropped -= dropped_before;
	assert_in_range(events, room - 1, room);
	assert_int_equal(events + dropped, room + 10);
	assert_int_equal(read_ring(ring), events);
	/* Read, it has room again. */
	kb_table_set_log(table, 1, KB_EVENT_SUCCESS);
	answer("ring is empty", &q, one_a);
	assert_int_equal(read_ring(ring), 2);
	/* Who opens it later does not see what lay there. */
	answer("for nobody", &q, one_a);
	kb_table_set_log(table, 1, 0);
	kb_event_ring_close(ring);
	ring = open_ring();
	assert_int_equal(read_ring(ring), 0);
	kb_event_ring_close(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content), cmocka_unit_test(test_duration),
		cmocka_unit_test(test_classes), cmocka_unit_test(test_sampling),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
