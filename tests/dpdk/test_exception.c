// SPDX-License-Identifier: Apache-2.0
/*
 * The exception path between a port of rings and a tap in a network namespace of the test's own:
 * the test is the worker on one side, and a packet socket on the tap is the kernel's stack on
 * the other. Root.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_ring.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dataplane/dpdk/exception.h"
#include "dataplane/dpdk/exception_option.h"
#include "dataplane/dpdk/partial.h"
#include "dataplane/dpdk/tap.h"

#define TAP	 "kbtest0"
#define TX_SIZE	 64 /* takes one frame less */
#define MBUFS	 4095
#define FRAME	 100
#define TYPE	 0x88b5 /* for experiments (IEEE 802) */
#define WAIT_S	 60
#define TAP_DOWN 256 /* frames in the ring from the tap to the worker */

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
static struct rte_mempool *pool;
static struct rte_ring *tx;
static struct kb_dpdk_port conf = {.name = "rings", .mtu = 1500, .socket = SOCKET_ID_ANY};
static uint16_t port;
static char err[256];

/* Of each test. */
static struct kb_exception *e;
static struct kb_worker_counts counts;
static int raw; /* on the tap */

/* ---- helpers ---- */

static void shell(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* Frame number n: told by its content, and by a length that depends on it. */
static uint32_t make_frame(uint8_t *b, uint32_t n)
{
	uint32_t len = FRAME + n % 50;

	memset(b, (int)n & 0xff, len);
	memcpy(b, mac, 6);
	memcpy(b + 6, mac, 5);
	b[11] = 9;
	b[12] = TYPE >> 8;
	b[13] = TYPE & 0xff;
	memcpy(b + 14, &n, sizeof(n));
	return len;
}

static struct rte_mbuf *make_mbuf(uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t b[2048];
	uint32_t len = make_frame(b, n);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), b, len);
	return m;
}

static void check_frame(const uint8_t *b, size_t len, uint32_t n)
{
	uint8_t want[2048];

	assert_int_equal(len, make_frame(want, n));
	assert_memory_equal(b, want, len);
}

static void take(uint16_t queue, uint32_t from, uint32_t n)
{
	struct rte_mbuf *m[128];

	for (uint32_t done = 0, k; done < n; done += k) {
		for (k = 0; k < 128 && done + k < n; k++)
			m[k] = make_mbuf(from + done + k);
		kb_lane_take(kb_exception_lane(e, queue), &counts, m, k);
	}
}

/* The next frame of this test that the stack receives (it hears what it sends, too). */
static size_t receive(uint8_t *b, size_t size)
{
	struct pollfd fd = {.fd = raw, .events = POLLIN};

	for (;;) {
		struct sockaddr_ll from;
		socklen_t from_len = sizeof(from);
		ssize_t n;

		if (poll(&fd, 1, WAIT_S * 1000) != 1)
			fail_msg("no frame");
		n = recvfrom(raw, b, size, 0, (struct sockaddr *)&from, &from_len);
		if (n < 0 && errno == ENETDOWN) /* once, after the tap was down */
			continue;
		assert_true(n >= 14);
		if (from.sll_pkttype != PACKET_OUTGOING && from.sll_protocol == htons(TYPE))
			return (size_t)n;
	}
}

/* Until a condition holds, which comes true on any machine. */
#define WAIT_DOING(cond, what)                                                  \
	do {                                                                    \
		time_t end = time(NULL) + WAIT_S;                               \
		while (!(cond)) {                                               \
			what;                                                   \
			if (time(NULL) > end)                                   \
				fail_msg("not within %d s: %s", WAIT_S, #cond); \
			usleep(100);                                            \
		}                                                               \
	} while (0)
#define WAIT_FOR(cond) WAIT_DOING(cond, (void)0)
/* While the worker turns. */
#define TURN_UNTIL(queue, cond) \
	WAIT_DOING(cond, kb_lane_turn(kb_exception_lane(e, (queue)), &counts))

static void open_raw(void)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = (int)if_nametoindex(TAP)};
	int size = 16 << 20;

	raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	assert_true(raw >= 0);
	setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	assert_int_equal(bind(raw, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static int flags_of(const char *name)
{
	struct ifreq req = {0};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	assert_int_equal(ioctl(raw, SIOCGIFFLAGS, &req), 0);
	return req.ifr_flags;
}

static int test_start(void **state)
{
	(void)state;
	memset(&counts, 0, sizeof(counts));
	if (kb_exception_new(port, &conf, 2, TAP, &e, err, sizeof(err)) < 0) {
		print_error("%s\n", err);
		return -1;
	}
	open_raw();
	return 0;
}

static int test_end(void **state)
{
	void *m = NULL;

	(void)state;
	close(raw);
	kb_exception_stop(e);
	/* The port's part. */
	while (rte_ring_dequeue(tx, &m) == 0)
		rte_pktmbuf_free(m);
	for (uint16_t q = 0; e && q < 2; q++) {
		while (kb_lane_turn(kb_exception_lane(e, q), &counts)) {
			while (rte_ring_dequeue(tx, &m) == 0)
				rte_pktmbuf_free(m);
		}
	}
	kb_exception_free(e);
	if (if_nametoindex(TAP))
		shell("ip link delete " TAP);
	/* No test has lost or kept a buffer. */
	return rte_mempool_in_use_count(pool) ? -1 : 0;
}

/* ---- tests ---- */

static void test_to_kernel(void **state)
{
	uint8_t b[2048];

	(void)state;
	assert_int_equal(kb_exception_start(e), 0);
	/* In bursts, so that the thread sleeps now and then. */
	for (uint32_t n = 0; n < 500; n += 25) {
		take(n / 25 % 2, n, 25);
		for (uint32_t i = 0; i < 25; i++)
			check_frame(b, receive(b, sizeof(b)), n + i);
	}
	TURN_UNTIL(0, counts.kernel.in >= 250);
	TURN_UNTIL(1, counts.kernel.in == 500);
	assert_int_equal(counts.kernel.in_full + counts.kernel.in_failed, 0);
}

/* What does not fit is freed and counted, what fits arrives in order. */
static void test_overflow(void **state)
{
	uint8_t b[2048];

	(void)state;
	take(0, 0, KB_EXCEPTION_FRAMES + 200);
	assert_int_equal(counts.kernel.in_full, 201); /* a ring takes one less than its size */
	assert_int_equal(rte_mempool_in_use_count(pool), KB_EXCEPTION_FRAMES - 1);
	assert_int_equal(kb_exception_start(e), 0);
	for (uint32_t n = 0; n < KB_EXCEPTION_FRAMES - 1; n++)
		check_frame(b, receive(b, sizeof(b)), n);
	TURN_UNTIL(0, counts.kernel.in == KB_EXCEPTION_FRAMES - 1);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* Frames of several buffers go in one piece. */
static void test_segments(void **state)
{
	struct rte_mbuf *m = make_mbuf(1), *tail = make_mbuf(2);
	uint8_t b[2048], want[2048];
	uint32_t len = make_frame(want, 1);

	(void)state;
	len += make_frame(want + len, 2);
	assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
	assert_int_equal(kb_exception_start(e), 0);
	kb_lane_take(kb_exception_lane(e, 0), &counts, &m, 1);
	assert_int_equal(receive(b, sizeof(b)), len);
	assert_memory_equal(b, want, len);
	TURN_UNTIL(0, counts.kernel.in == 1);
}

/* More than the rings and the port take at once: nothing is lost or out of order, since the tap
 * is read no faster than the port sends. */
static void test_from_kernel(void **state)
{
	const uint32_t total = TAP_DOWN + 400;
	uint8_t b[2048];
	void *m = NULL;

	(void)state;
	assert_int_equal(kb_exception_start(e), 0);
	for (uint32_t n = 0; n < total; n++) {
		uint32_t len = make_frame(b, n);

		assert_int_equal(send(raw, b, len, 0), len);
	}
	for (uint32_t n = 0; n < total; n++) {
		TURN_UNTIL(0, rte_ring_count(tx) > 0);
		assert_int_equal(rte_ring_dequeue(tx, &m), 0);
		check_frame(rte_pktmbuf_mtod((struct rte_mbuf *)m, uint8_t *),
			    ((struct rte_mbuf *)m)->data_len, n);
		assert_int_equal(((struct rte_mbuf *)m)->ol_flags, 0);
		rte_pktmbuf_free(m);
		/* Another queue's worker sends nothing. */
		assert_int_equal(kb_lane_turn(kb_exception_lane(e, 1), &counts), 0);
	}
	assert_int_equal(counts.kernel.out, total);
}

/* A port whose send queue is full: the frames wait, and go out as it empties. */
static void test_send_full(void **state)
{
	uint8_t b[2048];
	void *m = NULL;

	(void)state;
	assert_int_equal(kb_exception_start(e), 0);
	for (uint32_t n = 0; n < TX_SIZE + 20; n++)
		assert_true(send(raw, b, make_frame(b, n), 0) > 0);
	TURN_UNTIL(0, rte_ring_full(tx));
	for (int i = 0; i < 100; i++)
		assert_int_equal(kb_lane_turn(kb_exception_lane(e, 0), &counts), 0);
	assert_int_equal(counts.kernel.out, TX_SIZE - 1);
	for (uint32_t n = 0; n < TX_SIZE + 20; n++) {
		TURN_UNTIL(0, rte_ring_count(tx) > 0);
		assert_int_equal(rte_ring_dequeue(tx, &m), 0);
		check_frame(rte_pktmbuf_mtod((struct rte_mbuf *)m, uint8_t *),
			    ((struct rte_mbuf *)m)->data_len, n);
		rte_pktmbuf_free(m);
	}
}

/* Longer than the port sends: the tap's MTU was raised. */
static void test_oversize(void **state)
{
	static uint8_t b[4000];
	void *m = NULL;

	(void)state;
	assert_int_equal(kb_exception_start(e), 0);
	shell("ip link set " TAP " mtu 3000");
	make_frame(b, 1);
	assert_int_equal(send(raw, b, 1500 + 14 + 8, 0), 1522);
	assert_int_equal(send(raw, b, 1500 + 14 + 9, 0), 1523);
	assert_int_equal(send(raw, b, 3000, 0), 3000);
	assert_true(send(raw, b, make_frame(b, 5), 0) > 0);
	TURN_UNTIL(0, counts.kernel.out == 2);
	assert_int_equal(counts.kernel.out_oversize, 2);
	assert_int_equal(rte_ring_dequeue(tx, &m), 0);
	assert_int_equal(((struct rte_mbuf *)m)->pkt_len, 1522);
	rte_pktmbuf_free(m);
	assert_int_equal(rte_ring_dequeue(tx, &m), 0);
	check_frame(rte_pktmbuf_mtod((struct rte_mbuf *)m, uint8_t *),
		    ((struct rte_mbuf *)m)->data_len, 5);
	rte_pktmbuf_free(m);
}

/* The tap's link follows the port's, in both directions. */
static void test_link(void **state)
{
	(void)state;
	assert_int_equal(kb_exception_start(e), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(flags_of(TAP) & IFF_UP);
		WAIT_FOR(flags_of(TAP) & IFF_RUNNING);
		kb_exception_link(e, false);
		WAIT_FOR(!(flags_of(TAP) & IFF_RUNNING));
		kb_exception_link(e, true);
	}
}

/* A tap that is down, and one that is removed: frames are freed and counted. */
static void test_refused(void **state)
{
	uint8_t b[2048];

	(void)state;
	assert_int_equal(kb_exception_start(e), 0);
	shell("ip link set " TAP " down");
	take(0, 0, 10);
	TURN_UNTIL(0, counts.kernel.in_failed == 10);
	shell("ip link set " TAP " up");
	take(0, 10, 1);
	check_frame(b, receive(b, sizeof(b)), 10);
	TURN_UNTIL(0, counts.kernel.in == 1);
	shell("ip link delete " TAP);
	take(1, 0, 10);
	TURN_UNTIL(1, counts.kernel.in_failed == 20);
	assert_int_equal(counts.kernel.in, 1);
}

/* Made, but not started: gone with its owner. Started: it stays, with its addresses, and is taken
 * over by the next. */
static void test_kept(void **state)
{
	unsigned int index = if_nametoindex(TAP);

	(void)state;
	assert_int_not_equal(index, 0);
	kb_exception_free(e);
	assert_int_equal(if_nametoindex(TAP), 0);
	assert_int_equal(kb_exception_new(port, &conf, 2, TAP, &e, err, sizeof(err)), 0);
	assert_int_equal(kb_exception_start(e), 0);
	index = if_nametoindex(TAP);
	shell("ip addr add 192.0.2.53/24 dev " TAP);
	kb_exception_stop(e);
	kb_exception_free(e);
	e = NULL;
	WAIT_FOR(!(flags_of(TAP) & IFF_RUNNING));
	assert_int_equal(kb_exception_new(port, &conf, 2, TAP, &e, err, sizeof(err)), 0);
	assert_int_equal(if_nametoindex(TAP), index);
	WAIT_FOR(flags_of(TAP) & IFF_RUNNING);
	shell("ip addr show dev " TAP " | grep -q 192.0.2.53/24");
	shell("ip link show dev " TAP " | grep -q 02:00:00:00:00:07");
}

/* What cannot be had is told, and nothing is left. */
static void test_bad_taps(void **state)
{
	int fd = -1;

	(void)state;
	assert_int_equal(kb_tap_open(TAP, mac, 1500, &fd, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "has it open"));
	assert_int_equal(kb_tap_open("lo", mac, 1500, &fd, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "choose another name"));
	shell("ip tuntap add mode tun name kbtest1");
	assert_int_equal(kb_tap_open("kbtest1", mac, 1500, &fd, err, sizeof(err)), -EINVAL);
	shell("ip link delete kbtest1");
	assert_int_equal(kb_tap_open("kbtest2", mac, 1 << 20, &fd, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "MTU"));
	assert_int_equal(if_nametoindex("kbtest2"), 0);
	assert_int_equal(kb_tap_open("kbtest2", (const uint8_t[6]){1}, 1500, &fd, err, sizeof(err)),
			 -EADDRNOTAVAIL);
	assert_non_null(strstr(err, "MAC"));
	assert_int_equal(if_nametoindex("kbtest2"), 0);
	assert_int_equal(fd, -1);
}

static void test_option(void **state)
{
	static const struct {
		const char *text, *port3; /* NULL: refused */
		bool sees, not_sees;
	} rows[] = {
		{"auto", "kbdns3", false, true},
		{"tap", "kbdns3", true, true},
		{"none", "kbdns3", false, false},
		{"tap=dns0", "dns0", true, true},
		{"auto=a%db", "a3b", false, true},
		{"tap=%d", "3", true, true},
		{"tap=123456789012345", "123456789012345", true, true},
		{"tap=1234567890123456", NULL, false, false},
		{"tap=1234567890%d", "12345678903", true, true},
		{"tap=12345678901%d", NULL, false, false}, /* with port 12345 */
		{"none=x", NULL, false, false},
		{"tap=", NULL, false, false},
		{"tap=a/b", NULL, false, false},
		{"tap=a b", NULL, false, false},
		{"tap=a:b", NULL, false, false},
		{"tap=%s", NULL, false, false},
		{"tap=%", NULL, false, false},
		{"tap=%d%d", NULL, false, false},
		{"tap=..", NULL, false, false},
		{"ta", NULL, false, false},
		{"taps", NULL, false, false},
		{"", NULL, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct kb_exception_option o = {0};
		char name[16];
		int r = kb_exception_option_parse(rows[i].text, &o);

		if (r != (rows[i].port3 ? 0 : -EINVAL))
			fail_msg("%s: %d", rows[i].text, r);
		if (r < 0)
			continue;
		kb_exception_name(&o, 3, name);
		assert_string_equal(name, rows[i].port3);
		assert_int_equal(kb_exception_wanted(&o, true), rows[i].sees);
		assert_int_equal(kb_exception_wanted(&o, false), rows[i].not_sees);
	}
}

/* ---- checksums ---- */

struct packet {
	uint8_t b[256];
	uint32_t len, l3, l4, at; /* at: of the checksum */
};

/* TCP or UDP with `payload` bytes, whose checksum is as a veth has it: partial. */
static void make_packet(struct packet *p, bool v6, uint8_t proto, uint32_t tags, uint32_t payload)
{
	uint32_t l4_len = (proto == IPPROTO_TCP ? 20 : 8) + payload;
	uint16_t sum;

	memset(p, 0, sizeof(*p));
	for (uint32_t i = 0; i < sizeof(p->b); i++)
		p->b[i] = (uint8_t)(i * 7 + payload);
	p->l3 = 14 + 4 * tags;
	for (uint32_t i = 0; i < tags; i++)
		memcpy(p->b + 12 + 4 * i, i ? "\x81\x00" : "\x88\xa8", 2);
	memcpy(p->b + p->l3 - 2, v6 ? "\x86\xdd" : "\x08\x00", 2);
	p->l4 = p->l3 + (v6 ? 40 : 20);
	p->len = p->l4 + l4_len;
	p->at = p->l4 + (proto == IPPROTO_TCP ? 16 : 6);
	if (v6) {
		struct rte_ipv6_hdr *ip = (void *)(p->b + p->l3);

		ip->vtc_flow = rte_cpu_to_be_32(6U << 28);
		ip->payload_len = rte_cpu_to_be_16((uint16_t)l4_len);
		ip->proto = proto;
		sum = rte_ipv6_phdr_cksum(ip, 0);
	} else {
		struct rte_ipv4_hdr *ip = (void *)(p->b + p->l3);

		ip->version_ihl = 0x45;
		ip->total_length = rte_cpu_to_be_16((uint16_t)(20 + l4_len));
		ip->fragment_offset = 0;
		ip->next_proto_id = proto;
		sum = rte_ipv4_phdr_cksum(ip, 0);
	}
	memcpy(p->b + p->at, &sum, 2);
}

/* An own sum, a byte at a time: 0xffff over pseudo-header and all when the checksum is right. */
static uint32_t sum_all(const struct packet *p, bool v6, uint8_t proto)
{
	uint32_t addrs = p->l3 + (v6 ? 8 : 12), sum = proto + (p->len - p->l4);

	for (uint32_t i = addrs; i < p->l4; i++)
		sum += (uint32_t)p->b[i] << (((i - addrs) & 1) ? 0 : 8);
	for (uint32_t i = p->l4; i < p->len; i++)
		sum += (uint32_t)p->b[i] << (((i - p->l4) & 1) ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* In memory that ends where the frame does, for tools that watch over it. */
static bool fill(struct packet *p)
{
	uint8_t *copy = malloc(p->len ? p->len : 1);
	bool filled;

	memcpy(copy, p->b, p->len);
	filled = kb_partial_fill(copy, p->len);
	memcpy(p->b, copy, p->len);
	free(copy);
	return filled;
}

static void test_partial(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 12 * 64; i++) {
		bool v6 = i & 1;
		uint8_t proto = i & 2 ? IPPROTO_TCP : IPPROTO_UDP;
		struct packet p, before;
		uint16_t sum;

		make_packet(&p, v6, proto, i / 4 % 3, i / 12);
		assert_int_not_equal(sum_all(&p, v6, proto), 0xffff);
		before = p;
		assert_true(fill(&p));
		assert_int_equal(sum_all(&p, v6, proto), 0xffff);
		memcpy(before.b + p.at, p.b + p.at, 2);
		assert_memory_equal(&p, &before, sizeof(p));
		/* Whole: left alone. So is one that is wrong in another way. */
		assert_false(fill(&p));
		memcpy(&sum, p.b + p.at, 2);
		sum = (uint16_t)(sum + 77);
		memcpy(p.b + p.at, &sum, 2);
		before = p;
		fill(&p);
		assert_memory_equal(&p, &before, sizeof(p));
	}
}

/* Frames that are not what they say, or nothing to complete. */
static void test_partial_left(void **state)
{
	struct packet p, before;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (int i = 0; i < 64 + 40; i++) {
			uint8_t proto = i & 1 ? IPPROTO_TCP : IPPROTO_UDP;

			make_packet(&p, v6, proto, 0, 40);
			/* Every length that is shorter than the packet's. */
			p.len = (uint32_t)i < p.len ? (uint32_t)i : p.len - 1;
			before = p;
			assert_false(fill(&p));
			assert_memory_equal(&p, &before, sizeof(p));
		}
	}
	for (int row = 0; row < 6; row++) {
		make_packet(&p, false, IPPROTO_UDP, 0, 40);
		switch (row) {
		case 0:
			p.b[p.l3] = 0x44; /* header too short */
			break;
		case 1:
			p.b[p.l3] = 0x65; /* not IPv4 */
			break;
		case 2:
			p.b[p.l3 + 6] = 0x20; /* more fragments */
			break;
		case 3:
			p.b[p.l3 + 7] = 1; /* not the first */
			break;
		case 4:
			p.b[p.l3 + 9] = IPPROTO_ICMP;
			break;
		default:
			p.b[12] = 0x12; /* not IP */
		}
		before = p;
		assert_false(fill(&p));
		assert_memory_equal(&p, &before, sizeof(p));
	}
}

/* ---- all ---- */

static int group_setup(void **state)
{
	char *args[] = {"test", "--no-huge", "--no-shconf", "--no-pci",	   "--no-telemetry", "-m",
			"128",	"-l",	     "0",	    "--log-level", "error"};
	struct rte_eth_conf eth = {0};
	struct rte_ring *rx;
	int id;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0) {
		print_error("a network namespace: %s\n", strerror(errno));
		return -1;
	}
	/* Silent, so that what is sent by the tap is the test's own. */
	shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
	if (rte_eal_init(sizeof(args) / sizeof(*args), args) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("frames", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	rx = rte_ring_create("rx", TX_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	tx = rte_ring_create("tx", TX_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!pool || !rx || !tx)
		return -1;
	id = rte_eth_from_rings("rings", &rx, 1, &tx, 1, 0);
	port = (uint16_t)id;
	memcpy(&conf.mac, mac, sizeof(mac));
	return id < 0 || rte_eth_dev_configure(port, 1, 1, &eth) < 0 ||
			       rte_eth_rx_queue_setup(port, 0, TX_SIZE, 0, NULL, pool) < 0 ||
			       rte_eth_tx_queue_setup(port, 0, TX_SIZE, 0, NULL) < 0 ||
			       rte_eth_dev_start(port) < 0
		       ? -1
		       : 0;
}

#define WITH_TAP(test) cmocka_unit_test_setup_teardown(test, test_start, test_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TAP(test_to_kernel),
		WITH_TAP(test_overflow),
		WITH_TAP(test_segments),
		WITH_TAP(test_from_kernel),
		WITH_TAP(test_send_full),
		WITH_TAP(test_oversize),
		WITH_TAP(test_link),
		WITH_TAP(test_refused),
		WITH_TAP(test_kept),
		WITH_TAP(test_bad_taps),
		cmocka_unit_test(test_option),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_partial_left),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
