// SPDX-License-Identifier: Apache-2.0
/*
 * Local mode's programs by BPF_PROG_TEST_RUN: what is rewritten, with which checksums, and what is
 * left and why; then the attachments, by tcx and clsact. Sockets are at lo of namespace 0.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "control/datapath/local.h"
#include "tests/bpf/rows.h"

#define UDP	 17
#define TCP	 6
#define SYN	 0x02
#define ACK	 0x10
#define POD_PORT 4000

static const struct kb_addr base[2] = {{4, {169, 254, 53}}, {6, {0xfd, 0x6b, [15] = 0}}};
static const struct kb_addr dns[2] = {{4, {10, 96, 0, 10}},
				      {6, {0xfd, 0, 0, 0x10, 0, 0x96, [15] = 0xa}}};
static const struct kb_addr pod[2] = {{4, {10, 244, 0, 11}},
				      {6, {0xfd, 0, 0, 0x10, 2, 0x44, [15] = 0xb}}};
static int prog[2]; /* in, out */

struct packet {
	uint8_t b[256];
	size_t len, l4; /* where the transport's header begins */
	int v6;
};

static size_t addr_size(int v6)
{
	return v6 ? 16 : 4;
}

/* Offset of the source; the destination is behind it. */
static size_t src_at(int v6)
{
	return v6 ? 22 : 26;
}

static size_t dst_at(int v6)
{
	return src_at(v6) + addr_size(v6);
}

/* Over pseudo header and transport: 0xffff if the checksum in it is right. */
static uint32_t transport_sum(const struct packet *p, uint8_t proto)
{
	size_t len = p->len - p->l4;
	uint32_t sum = sum16((uint32_t)(proto + len), p->b + src_at(p->v6), 2 * addr_size(p->v6));

	sum = sum16(sum, p->b + p->l4, len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t header_sum(const struct packet *p)
{
	uint32_t sum = sum16(0, p->b + 14, 20);

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

enum part { WHOLE, FIRST, LATER };

/* 20 bytes of transport header (UDP's has 12 of payload) and 20 more. */
static void make(struct packet *p, int v6, uint8_t proto, const struct kb_addr *src, uint16_t sport,
		 const struct kb_addr *dst, uint16_t dport, uint8_t flags, enum part part)
{
	size_t csum = proto == UDP ? 6 : 16, ext = v6 && part != WHOLE ? 8 : 0;
	uint8_t *ip = p->b + 14, *l4;

	memset(p, 0, sizeof(*p));
	p->v6 = v6;
	p->l4 = (v6 ? 54U : 34U) + ext;
	p->len = p->l4 + 40;
	memcpy(p->b, port_mac, 6);
	memcpy(p->b + 6, pod_mac, 6);
	put16(p->b + 12, v6 ? 0x86dd : 0x0800);
	if (v6) {
		ip[0] = 0x60;
		put16(ip + 4, (uint32_t)(40 + ext));
		ip[6] = ext ? 44 : proto;
		ip[7] = 64;
		if (ext) {
			ip[40] = proto;
			put16(ip + 42, part == FIRST ? 1 : 5 << 3);
		}
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 60);
		put16(ip + 6, part == FIRST ? 0x2000 : part == LATER ? 5 : 0x4000);
		ip[8] = 64;
		ip[9] = proto;
	}
	memcpy(p->b + src_at(v6), src->b, addr_size(v6));
	memcpy(p->b + dst_at(v6), dst->b, addr_size(v6));
	if (!v6)
		put16(ip + 10, ~header_sum(p) & 0xffff);
	l4 = p->b + p->l4;
	memset(l4 + 20, 0x5a, 20);
	if (part == LATER)
		return;
	put16(l4, sport);
	put16(l4 + 2, dport);
	if (proto == UDP) {
		put16(l4 + 4, 40);
	} else {
		l4[12] = 5 << 4;
		l4[13] = flags;
	}
	put16(l4 + csum, ~transport_sum(p, proto) & 0xffff);
}

static uint32_t run(int which, const struct packet *in, struct packet *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = (uint32_t)in->len,
		    .data_out = out->b, .data_size_out = sizeof(out->b), .repeat = 1);

	*out = *in;
	if (bpf_prog_test_run_opts(prog[which], &opts) < 0)
		fail_msg("test run: %s", strerror(errno));
	out->len = opts.data_size_out;
	return opts.retval;
}

/* The one counter that went up, or -1. */
static int counted(const uint64_t before[KB_LOCAL_CNT_MAX])
{
	uint64_t now[KB_LOCAL_CNT_MAX];
	int id = -1;

	assert_int_equal(kb_datapath_local_counts(dp, now), 0);
	for (int i = 0; i < KB_LOCAL_CNT_MAX; i++) {
		if (now[i] == before[i])
			continue;
		assert_int_equal(id, -1);
		assert_int_equal(now[i], before[i] + 1);
		id = i;
	}
	return id;
}

static int run_local(int which, const struct packet *in, struct packet *out)
{
	uint64_t before[KB_LOCAL_CNT_MAX];

	assert_int_equal(kb_datapath_local_counts(dp, before), 0);
	assert_int_equal(run(which, in, out), (uint32_t)-1);
	return counted(before);
}

static void left(const struct packet *in, int why)
{
	struct packet out;

	assert_int_equal(run_local(0, in, &out), why);
	assert_int_equal(out.len, in->len);
	assert_memory_equal(out.b, in->b, in->len);
}

/* But for one address and checksums, which are right, nothing has changed. */
static void rewritten(int which, const struct packet *in, uint8_t proto, const struct kb_addr *to,
		      enum part part, int counter)
{
	size_t at = which ? src_at(in->v6) : dst_at(in->v6);
	struct packet out, want;

	assert_int_equal(run_local(which, in, &out), counter);
	want = *in;
	memcpy(want.b + at, to->b, addr_size(in->v6));
	if (!in->v6) {
		assert_int_equal(header_sum(&out), 0xffff);
		memcpy(want.b + 24, out.b + 24, 2);
	}
	if (part != LATER) {
		size_t csum = in->l4 + (proto == UDP ? 6 : 16);

		assert_int_equal(transport_sum(&out, proto), 0xffff);
		memcpy(want.b + csum, out.b + csum, 2);
	}
	assert_int_equal(out.len, want.len);
	assert_memory_equal(out.b, want.b, want.len);
}

static int server(int v6, int type, const struct kb_addr *at)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {0};
	int s = socket(v6 ? AF_INET6 : AF_INET, type, 0), one = 1;

	assert_true(s >= 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (v6) {
		setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(53);
		memcpy(&a.in6.sin6_addr, at->b, 16);
	} else {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(53);
		memcpy(&a.in.sin_addr, at->b, 4);
	}
	if (bind(s, &a.sa, v6 ? sizeof(a.in6) : sizeof(a.in)) < 0)
		fail_msg("bind: %s", strerror(errno));
	if (type == SOCK_STREAM)
		assert_int_equal(listen(s, 8), 0);
	return s;
}

static int client(int v6)
{
	int s = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0), one = 1, r;
	struct sockaddr_in6 from6 = {.sin6_family = AF_INET6, .sin6_port = htons(POD_PORT)}, to6;
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(POD_PORT)}, to;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	memcpy(&from6.sin6_addr, pod[1].b, 16);
	memcpy(&from.sin_addr, pod[0].b, 4);
	to6 = from6;
	to = from;
	to6.sin6_port = to.sin_port = htons(53);
	memcpy(&to6.sin6_addr, base[1].b, 16);
	memcpy(&to.sin_addr, base[0].b, 4);
	r = v6 ? bind(s, (struct sockaddr *)&from6, sizeof(from6))
	       : bind(s, (struct sockaddr *)&from, sizeof(from));
	if (r == 0)
		r = v6 ? connect(s, (struct sockaddr *)&to6, sizeof(to6))
		       : connect(s, (struct sockaddr *)&to, sizeof(to));
	if (r < 0)
		fail_msg("connect: %s", strerror(errno));
	return s;
}

static void query(struct packet *p, int v6, uint8_t proto, uint8_t flags)
{
	make(p, v6, proto, &pod[v6], POD_PORT, &dns[v6], 53, flags, WHOLE);
}

static void each_family(int v6)
{
	static const struct kb_addr any[2] = {{4, {0}}, {6, {0}}}, far = {4, {8, 8, 8, 8}},
				    far6 = {6, {0x20, 1, [15] = 8}};
	struct packet udp, syn, ack, p;
	int s, t, c;

	query(&udp, v6, UDP, 0);
	query(&syn, v6, TCP, SYN);
	query(&ack, v6, TCP, ACK);
	left(&udp, KB_LOCAL_CNT_NO_SOCKET);
	left(&syn, KB_LOCAL_CNT_NO_SOCKET);
	left(&ack, KB_LOCAL_CNT_NO_CONN);
	/* Somebody else's. */
	s = server(v6, SOCK_DGRAM, &any[v6]);
	t = server(v6, SOCK_STREAM, &any[v6]);
	left(&udp, KB_LOCAL_CNT_NO_SOCKET);
	left(&syn, KB_LOCAL_CNT_NO_SOCKET);
	left(&ack, KB_LOCAL_CNT_NO_CONN);
	close(s);
	close(t);

	s = server(v6, SOCK_DGRAM, &base[v6]);
	t = server(v6, SOCK_STREAM, &base[v6]);
	rewritten(0, &udp, UDP, &base[v6], WHOLE, KB_LOCAL_CNT_UDP);
	rewritten(0, &syn, TCP, &base[v6], WHOLE, KB_LOCAL_CNT_TCP);
	left(&ack, KB_LOCAL_CNT_NO_CONN);
	c = client(v6);
	rewritten(0, &ack, TCP, &base[v6], WHOLE, KB_LOCAL_CNT_TCP);
	/* A connection is followed whatever the state; new queries are not taken. */
	kb_table_set_state(table, KB_HITS);
	left(&udp, KB_LOCAL_CNT_OFF);
	left(&syn, KB_LOCAL_CNT_OFF);
	rewritten(0, &ack, TCP, &base[v6], WHOLE, KB_LOCAL_CNT_TCP);
	kb_table_set_state(table, KB_FULL);
	rows_beat(0);
	left(&udp, KB_LOCAL_CNT_STALE);
	left(&syn, KB_LOCAL_CNT_STALE);
	rewritten(0, &ack, TCP, &base[v6], WHOLE, KB_LOCAL_CNT_TCP);
	rows_beat(600000);
	rewritten(0, &udp, UDP, &base[v6], WHOLE, KB_LOCAL_CNT_UDP);

	make(&p, v6, UDP, v6 ? &far6 : &far, POD_PORT, &dns[v6], 53, 0, WHOLE);
	left(&p, KB_LOCAL_CNT_SOURCE);
	make(&p, v6, UDP, &pod[v6], POD_PORT, &dns[v6], 53, 0, FIRST);
	left(&p, KB_LOCAL_CNT_FRAGMENT);
	make(&p, v6, UDP, &pod[v6], POD_PORT, &dns[v6], 53, 0, LATER);
	left(&p, KB_LOCAL_CNT_FRAGMENT);
	/* Not to us at all: not even counted. */
	make(&p, v6, UDP, &pod[v6], POD_PORT, &dns[v6], 54, 0, WHOLE);
	left(&p, -1);
	make(&p, v6, UDP, &pod[v6], POD_PORT, &pod[v6], 53, 0, WHOLE);
	left(&p, -1);
	/* No checksum at all, as IPv4 allows: it stays so. */
	if (!v6) {
		struct packet out;

		put16(udp.b + udp.l4 + 6, 0);
		assert_int_equal(run_local(0, &udp, &out), KB_LOCAL_CNT_UDP);
		assert_int_equal(get16(out.b + out.l4 + 6), 0);
		query(&udp, v6, UDP, 0);
	}
	kb_datapath_local_del(dp, &dns[v6]);
	left(&udp, -1);
	close(c);
	close(s);
	close(t);
}

static void test_in(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		assert_int_equal(kb_datapath_local_add(dp, &dns[v6]), 0);
		each_family(v6);
		assert_int_equal(kb_datapath_local_add(dp, &dns[v6]), 0);
	}
}

/* The way back asks for nothing: no socket, state or heartbeat, and not whether it is in force. */
static void test_out(void **state)
{
	struct packet p, out;

	(void)state;
	kb_table_set_state(table, KB_OFF);
	rows_beat(0);
	for (int v6 = 0; v6 < 2; v6++) {
		kb_datapath_local_del(dp, &dns[v6]);
		for (int part = WHOLE; part <= LATER; part++) {
			make(&p, v6, UDP, &base[v6], 53, &pod[v6], POD_PORT, 0, (enum part)part);
			rewritten(1, &p, UDP, &dns[v6], (enum part)part, KB_LOCAL_CNT_REPLY);
		}
		make(&p, v6, TCP, &base[v6], 53, &pod[v6], POD_PORT, ACK, WHOLE);
		rewritten(1, &p, TCP, &dns[v6], WHOLE, KB_LOCAL_CNT_REPLY);
		/* From an address that stands for nothing, and from others. */
		p.b[src_at(v6) + addr_size(v6) - 1] += 5;
		assert_int_equal(run_local(1, &p, &out), -1);
		assert_memory_equal(out.b, p.b, p.len);
		make(&p, v6, UDP, &pod[v6], 53, &pod[v6], POD_PORT, 0, WHOLE);
		assert_int_equal(run_local(1, &p, &out), -1);
		assert_memory_equal(out.b, p.b, p.len);
	}
	kb_table_set_state(table, KB_FULL);
	rows_beat(600000);
}

/* A TCP header that is cut: left. (Test runs make no frame of less than 54 bytes.) */
static void test_cut(void **state)
{
	struct packet p, out;

	(void)state;
	kb_datapath_local_add(dp, &dns[1]);
	query(&p, 1, TCP, SYN);
	for (p.len = p.l4 + 19; p.len >= 54; p.len--) {
		run(0, &p, &out);
		assert_memory_equal(out.b, p.b, p.len);
	}
}

/* All eight at once, one more, and the place of one that has gone. */
static void test_slots(void **state)
{
	struct kb_addr a = {4, {10, 7, 0, 0}};
	const struct kb_local *l = kb_datapath_local(dp);
	int on = 0;

	(void)state;
	kb_datapath_local_clear(dp);
	for (int i = 0; i < KB_LOCAL_SLOTS; i++) {
		a.b[3] = (uint8_t)i;
		assert_int_equal(kb_datapath_local_add(dp, &a), 0);
		assert_int_equal(kb_datapath_local_add(dp, &a), 0);
	}
	for (int i = 0; i < KB_LOCAL_SLOTS; i++)
		on += l->slot[0][i].on != 0;
	assert_int_equal(on, KB_LOCAL_SLOTS);
	a.b[3] = 99;
	assert_int_equal(kb_datapath_local_add(dp, &a), -ENOSPC);
	a.b[3] = 3;
	kb_datapath_local_del(dp, &a);
	a.b[3] = 99;
	assert_int_equal(kb_datapath_local_add(dp, &a), 0);
	kb_datapath_local_clear(dp);
	assert_int_equal(kb_datapath_local_add(dp, &dns[0]), 0);
}

static int programs_at(const char *ifname)
{
	char cmd[256];
	int n = -1;
	FILE *f;

	snprintf(cmd, sizeof(cmd),
		 "(tc filter show dev %s ingress; tc filter show dev %s egress) | grep -c kbdns_",
		 ifname, ifname);
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &n), 1);
	pclose(f);
	return n;
}

/* Attached, and detached without a trace; and in transparent mode kbdns_tc alone is left. */
static void attachments(bool clsact)
{
	struct kb_datapath_config config = {
		.dir = world_dir, .skip_xdp = true, .clsact = clsact, .local = true};
	struct kb_datapath *with;
	char in[64];

	world_veth();
	snprintf(in, sizeof(in), "link_local_in_%u", if_nametoindex("v0"));
	/* From transparent to local: behind kbdns_tc that is there already. */
	for (int local = 0; local < 3; local++) {
		config.local = local == 1;
		if (kb_datapath_open(&config, &with, err, sizeof(err)) < 0 ||
		    kb_datapath_load_programs(with, err, sizeof(err)) < 0 ||
		    kb_datapath_attach_tc(with, "v0", err, sizeof(err)) < 0)
			fail_msg("%s", err);
		assert_int_equal(kb_datapath_commit(with), 0);
		kb_datapath_alone(with);
		kb_datapath_prune(with);
		assert_true(kb_datapath_port(with, 0)->attached);
		if (strcmp(kb_datapath_port(with, 0)->mode, "clsact") == 0)
			assert_int_equal(programs_at("v0"), config.local ? 3 : 1);
		else
			assert_true(world_is_pinned(in) == config.local);
		kb_datapath_close(with, local < 2);
	}
	assert_int_equal(programs_at("v0"), 0);
	assert_false(world_is_pinned("table"));
	world_run("ip link del v0");
}

static void test_attachments(void **state)
{
	(void)state;
	attachments(false);
	attachments(true);
}

static int setup(void **state)
{
	static const char *const pins[] = {"prog_local_in", "prog_local_out"};
	char path[128];

	if (rows_open(state, &(struct kb_datapath_config){
				     .dir = world_dir, .skip_xdp = true, .local = true}) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/table/%s", world_dir, pins[i]);
		prog[i] = bpf_obj_get(path);
		if (prog[i] < 0)
			return -1;
	}
	kb_datapath_local_start(dp, base);
	world_run("ip addr add 169.254.53.0/32 dev lo");
	world_run("ip addr add 10.244.0.11/32 dev lo");
	world_run("ip addr add fd6b::/128 dev lo nodad");
	world_run("ip addr add fd00:10:244::b/128 dev lo nodad");
	return 0;
}

/* The attachments' test has datapaths of its own in the folder. */
static int end_first(void **state)
{
	(void)state;
	kb_table_free(table);
	table = NULL;
	kb_datapath_close(dp, false);
	dp = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in),
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_cut),
		cmocka_unit_test_teardown(test_slots, end_first),
		cmocka_unit_test(test_attachments),
	};

	return cmocka_run_group_tests(tests, setup, world_teardown);
}
