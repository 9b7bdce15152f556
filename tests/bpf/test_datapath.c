// SPDX-License-Identifier: Apache-2.0
/* control/datapath against the kernel: pins, adoption, attachments and their end. Root. */
#include <net/if.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/bpf/bpf_world.h"

static char err[512];

static struct kb_datapath *open_with(struct kb_datapath_config config)
{
	struct kb_datapath *dp = NULL;
	int r;

	config.dir = world_dir;
	err[0] = 0;
	r = kb_datapath_open(&config, &dp, err, sizeof(err));
	if (r == 0)
		r = kb_datapath_load_programs(dp, err, sizeof(err));
	if (r < 0)
		fail_msg("open: %s (%s)", err, strerror(-r));
	return dp;
}

/* Without the programs whose loading takes its time. */
static struct kb_datapath *open_plain(void)
{
	return open_with((struct kb_datapath_config){.skip_tc = true, .skip_xdp = true});
}

/* In the folder of the table in force. */
static bool has_pin(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "table/%s", name);
	return world_is_pinned(path);
}

/* Names that `ls options` gives of what is below the folder. */
static unsigned int count(const char *options, const char *below)
{
	char cmd[256];
	unsigned int n = 0;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "ls %s %s/%s 2>/dev/null | wc -l", options, world_dir, below);
	p = popen(cmd, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%u", &n), 1);
	pclose(p);
	return n;
}

static unsigned int count_tables(void)
{
	return count("-d", "table_*");
}

static unsigned int count_pins(void)
{
	return count("-A", "");
}

/* Ids are never reused soon, so an object is gone when its id is. */
enum kind { PROG, MAP, LINK, KINDS };
struct ids {
	uint32_t id[KINDS][64];
	size_t n[KINDS];
};

static int fd_by_id(enum kind kind, uint32_t id)
{
	return kind == PROG  ? bpf_prog_get_fd_by_id(id)
	       : kind == MAP ? bpf_map_get_fd_by_id(id)
			     : bpf_link_get_fd_by_id(id);
}

static void ids_add(struct ids *ids, enum kind kind, uint32_t id)
{
	assert_true(ids->n[kind] < 64);
	ids->id[kind][ids->n[kind]++] = id;
}

/* Everything that is pinned in our folder. */
static void ids_of_pins(struct ids *ids)
{
	char cmd[256], name[128], path[256];
	FILE *p;

	memset(ids, 0, sizeof(*ids));
	snprintf(cmd, sizeof(cmd), "cd %s && find * -type f", world_dir);
	p = popen(cmd, "r");
	assert_non_null(p);
	while (fscanf(p, "%127s", name) == 1) {
		enum kind kind = strstr(name, "/prog_")		  ? PROG
				 : strncmp(name, "link_", 5) == 0 ? LINK
								  : MAP;
		uint64_t info[64] = {0};
		uint32_t len = kind == MAP    ? sizeof(struct bpf_map_info)
			       : kind == PROG ? sizeof(struct bpf_prog_info)
					      : sizeof(struct bpf_link_info);
		int fd;

		snprintf(path, sizeof(path), "%s/%s", world_dir, name);
		fd = bpf_obj_get(path);
		assert_true(fd >= 0);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, info, &len), 0);
		/* type and id are the first two words of all three. */
		ids_add(ids, kind, ((uint32_t *)info)[1]);
		close(fd);
	}
	pclose(p);
}

static void assert_gone(const struct ids *ids)
{
	for (int k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < ids->n[k]; i++) {
			int fd = -1;

			/* The kernel frees after a grace period. */
			for (int t = 0; t < 3000; t++) {
				fd = fd_by_id((enum kind)k, ids->id[k][i]);
				if (fd < 0)
					break;
				close(fd);
				usleep(10000);
			}
			if (fd >= 0)
				fail_msg("%s %u is still there",
					 k == PROG  ? "program"
					 : k == MAP ? "map"
						    : "link",
					 ids->id[k][i]);
		}
	}
}

static uint32_t link_id(const char *name)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", world_dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static const uint8_t name_a[] = "\1a\7cluster\5local";

static struct kb_table *table_with_name(struct kb_datapath *dp)
{
	struct kb_table_config config = {.replicas = 1};
	struct kb_entry entry = {.kind = KB_VALUE_A, .zone = 1, .addr = 0x01020304};
	struct kb_backing backing;
	struct kb_table *t;

	kb_datapath_backing(dp, &backing);
	assert_int_equal(kb_table_new(&backing, &config, &t), 0);
	assert_int_equal(kb_table_put(t, name_a, sizeof(name_a), &entry), 0);
	return t;
}

static struct kb_table *table_adopted(struct kb_datapath *dp)
{
	struct kb_table_config config = {.replicas = 1};
	struct kb_backing backing;
	struct kb_table *t;

	kb_datapath_backing(dp, &backing);
	assert_int_equal(kb_table_adopt(&backing, &config, &t), 0);
	assert_true(kb_table_get(t, name_a, sizeof(name_a), NULL, NULL) != 0);
	return t;
}

/* Names with a record each; put again they change nothing. Returns the number of pages then. */
static uint32_t put_many(struct kb_table *t, uint32_t n)
{
	uint8_t rec[sizeof(struct kb_rec) + 104] = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct kb_entry entry = {.kind = KB_VALUE_REC, .zone = 1};
		uint8_t name[] = "\4xxxx\7cluster\5local";

		for (uint32_t k = 0; k < 4; k++)
			name[1 + k] = (uint8_t)('a' + (i >> 4 * k) % 16);
		memcpy(rec + sizeof(struct kb_rec), &i, sizeof(i));
		assert_int_equal(kb_table_intern(t, rec, sizeof(rec), &entry.ref), 0);
		assert_int_equal(kb_table_put(t, name, sizeof(name), &entry), 0);
	}
	return kb_table_header(t)->arena_pages;
}

static void test_open_adopt_uninstall(void **state)
{
	struct kb_datapath *dp = open_with((struct kb_datapath_config){0});
	struct kb_table *t;
	struct ids ids;
	uint32_t pages;

	(void)state;
	assert_false(kb_datapath_adopted(dp));
	t = table_with_name(dp);
	kb_table_free(t);
	kb_datapath_close(dp, true);
	assert_true(has_pin("kb_header"));

	dp = open_with((struct kb_datapath_config){0});
	assert_true(kb_datapath_adopted(dp));
	t = table_adopted(dp);
	/* Growth and its end leave no pins behind. Pages made together are found again. */
	assert_int_equal(kb_table_reserve(t, 100000), 0);
	pages = put_many(t, 10000);
	assert_true(pages > 3);
	kb_table_settle(t);
	assert_true(has_pin("index_1"));
	assert_false(has_pin("index_0"));
	kb_table_free(t);
	kb_datapath_close(dp, true);

	dp = open_with((struct kb_datapath_config){0});
	t = table_adopted(dp);
	assert_int_equal(kb_table_header(t)->arena_pages, pages);
	assert_int_equal(put_many(t, 10000), pages);
	kb_table_free(t);
	ids_of_pins(&ids);
	assert_int_equal(ids.n[PROG], 4);
	assert_true(ids.n[MAP] >= 8);
	kb_datapath_close(dp, false);
	assert_int_not_equal(access(world_dir, F_OK), 0);
	assert_gone(&ids);
}

static void test_half_made(void **state)
{
	static const char *const maps[] = {"kb_icept", "kb_index",  "kb_arena", "kb_percpu",
					   "kb_ports", "kb_header", "index_0",	"page_0000"};
	char path[256];

	(void)state;
	/* Without any one of its parts the table is made anew, or adopted whole. */
	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		struct kb_datapath *dp = open_plain();
		struct kb_table_config config = {.replicas = 1};
		struct kb_table *t = table_with_name(dp);
		struct kb_backing backing;

		kb_table_free(t);
		kb_datapath_close(dp, true);
		snprintf(path, sizeof(path), "%s/table/%s", world_dir, maps[i]);
		assert_int_equal(unlink(path), 0);

		dp = open_plain();
		kb_datapath_backing(dp, &backing);
		if (i == 3) {
			assert_true(kb_datapath_adopted(dp));
			t = table_adopted(dp);
		} else if (i >= 6) {
			assert_true(kb_datapath_adopted(dp));
			assert_int_equal(kb_table_adopt(&backing, &config, &t), -ENOENT);
			t = table_with_name(dp);
		} else {
			assert_false(kb_datapath_adopted(dp));
			assert_true(kb_datapath_pending(dp));
			t = table_with_name(dp);
		}
		kb_table_free(t);
		assert_int_equal(kb_datapath_commit(dp), 0);
		kb_datapath_alone(dp);
		assert_int_equal(count_tables(), 1);
		kb_datapath_close(dp, true);
		dp = open_plain();
		assert_true(kb_datapath_adopted(dp));
		t = table_adopted(dp);
		kb_table_free(t);
		kb_datapath_close(dp, false);
		assert_int_equal(count_pins(), 0);
	}
	/* Pinned, but a table was never made: not one to adopt. */
	kb_datapath_close(open_plain(), true);
	kb_datapath_close(open_plain(), false);
	kb_datapath_uninstall(world_dir, err, sizeof(err));
}

static void set_version(struct kb_datapath *dp, uint32_t version)
{
	struct kb_backing backing;

	kb_datapath_backing(dp, &backing);
	backing.header->version = version;
}

/* A table of another layout stays as it is until the new one is put in force, and the other way
 * round. */
static void test_other_layout(void **state)
{
	struct kb_datapath *dp = open_plain(), *new;

	(void)state;
	kb_table_free(table_with_name(dp));
	set_version(dp, KB_LAYOUT_VERSION + 1);
	kb_datapath_close(dp, true);

	for (int turn = 0; turn < 2; turn++) {
		dp = open_plain();
		assert_false(kb_datapath_adopted(dp));
		assert_true(kb_datapath_pending(dp));
		assert_int_equal(count_tables(), 2);
		kb_table_free(table_with_name(dp));
		/* A crash, or an end, before it is in force. */
		if (turn == 0)
			kb_datapath_close(dp, false);
	}
	assert_int_equal(kb_datapath_commit(dp), 0);
	assert_false(kb_datapath_pending(dp));
	kb_datapath_alone(dp);
	assert_int_equal(count_tables(), 1);
	kb_datapath_close(dp, true);
	dp = open_plain();
	assert_true(kb_datapath_adopted(dp));
	kb_table_free(table_adopted(dp));

	/* Beside one that runs: without its lock, which comes later. */
	new = open_with(
		(struct kb_datapath_config){.skip_tc = true, .skip_xdp = true, .beside = true});
	assert_true(kb_datapath_pending(new) && !kb_datapath_adopted(new));
	assert_int_equal(kb_datapath_lock(new, -1, err, sizeof(err)), -EBUSY);
	kb_datapath_close(new, false);
	assert_true(has_pin("kb_header"));
	assert_int_equal(count_tables(), 1);

	new = open_with(
		(struct kb_datapath_config){.skip_tc = true, .skip_xdp = true, .beside = true});
	kb_table_free(table_with_name(new));
	assert_int_equal(kb_datapath_lock(new, dup(kb_datapath_lock_fd(dp)), err, sizeof(err)), 0);
	assert_int_equal(kb_datapath_commit(new), 0);
	/* It fails after all. */
	kb_datapath_reclaim(dp);
	kb_datapath_close(new, true);
	assert_int_equal(count_tables(), 1);
	kb_datapath_close(dp, true);
	dp = open_plain();
	assert_true(kb_datapath_adopted(dp));
	kb_table_free(table_adopted(dp));
	kb_datapath_close(dp, false);
	assert_int_equal(kb_datapath_uninstall(world_dir, err, sizeof(err)), 0);
	assert_int_not_equal(access(world_dir, F_OK), 0);
}

static void test_errors(void **state)
{
	struct kb_datapath_config config = {.dir = "/tmp/kbdns-no-bpffs/x"};
	struct kb_datapath *dp = NULL;

	(void)state;
	assert_int_not_equal(kb_datapath_open(&config, &dp, err, sizeof(err)), 0);
	assert_non_null(strstr(err, "mount -t bpf"));
	assert_null(dp);
	assert_int_not_equal(access("/tmp/kbdns-no-bpffs", F_OK), 0);
	config.dir = "relative";
	assert_int_equal(kb_datapath_open(&config, &dp, err, sizeof(err)), -EINVAL);

	dp = open_plain();
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), -EINVAL);
	kb_datapath_close(dp, false);
	dp = open_with((struct kb_datapath_config){.skip_xdp = true});
	assert_int_equal(kb_datapath_attach_tc(dp, "nothere0", err, sizeof(err)), -ENODEV);
	assert_non_null(strstr(err, "nothere0"));
	assert_false(kb_datapath_all_attached(dp));
	kb_datapath_close(dp, false);
}

static void attach_both(bool clsact, const char *mode)
{
	struct kb_datapath_config config = {.skip_xdp = true, .clsact = clsact};
	struct kb_datapath *dp = open_with(config);
	const struct kb_datapath_port *p;
	char pin[64];
	uint32_t id;
	struct ids ids;

	world_veth();
	kb_table_free(table_with_name(dp));
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), 0);
	assert_int_equal(kb_datapath_n_ports(dp), 1);
	p = kb_datapath_port(dp, 0);
	assert_string_equal(p->name, "v0");
	assert_true(p->attached && kb_datapath_all_attached(dp));
	if (strcmp(p->mode, mode) != 0) {
		assert_string_equal(mode, "tcx");
		print_message("no tcx here\n");
		mode = "clsact";
		clsact = true;
	}
	snprintf(pin, sizeof(pin), "link_tc_%u", p->ifindex);
	id = link_id(pin);
	assert_int_equal(id != 0, !clsact);
	/* Again: still one. */
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), 0);
	assert_int_equal(kb_datapath_n_ports(dp), 1);
	kb_datapath_close(dp, true);

	/* The next run takes the link over. */
	dp = open_with(config);
	assert_true(kb_datapath_adopted(dp));
	assert_int_equal(link_id(pin), id);
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), 0);
	assert_int_equal(link_id(pin), id);
	kb_datapath_prune(dp);
	assert_int_equal(link_id(pin), id);
	kb_datapath_refresh(dp);
	assert_true(kb_datapath_all_attached(dp));

	/* The interface goes and comes. */
	world_run("ip link del v0");
	kb_datapath_refresh(dp);
	assert_false(kb_datapath_all_attached(dp));
	assert_false(world_is_pinned(pin));
	assert_non_null(strstr(kb_datapath_port(dp, 0)->error, "no such interface"));
	world_veth();
	kb_datapath_refresh(dp);
	assert_true(kb_datapath_all_attached(dp));
	kb_datapath_close(dp, true);

	/* A run that does not name it any more lets go of it. */
	dp = open_with(config);
	world_run("tc filter show dev v0 ingress >/dev/null");
	kb_datapath_prune(dp);
	snprintf(pin, sizeof(pin), "link_tc_%u", if_nametoindex("v0"));
	assert_false(world_is_pinned(pin));
	assert_int_not_equal(system("tc filter show dev v0 ingress | grep -q kbdns"), 0);
	assert_int_not_equal(system("tc qdisc show dev v0 | grep -q clsact"), 0);
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), 0);
	ids_of_pins(&ids);
	assert_int_equal(ids.n[LINK], !clsact);
	kb_datapath_close(dp, true);
	assert_int_equal(kb_datapath_uninstall(world_dir, err, sizeof(err)), 0);
	assert_gone(&ids);
	assert_int_not_equal(system("tc qdisc show dev v0 | grep -q clsact"), 0);
	world_run("ip link del v0");
}

static void test_attach_tcx(void **state)
{
	(void)state;
	attach_both(false, "tcx");
}

static void test_attach_clsact(void **state)
{
	(void)state;
	attach_both(true, "clsact");
}

static int pass_prog(enum bpf_prog_type type, const char *name)
{
	struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(type, name, "GPL", pass, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void filter_add(enum bpf_tc_attach_point point, int prog)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("v0"), .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1, .prog_fd = prog);

	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

/* What others have put on the interface stays. */
static void test_foreign_filters(void **state)
{
	int prog = pass_prog(BPF_PROG_TYPE_SCHED_CLS, "foreign_cls");
	struct kb_datapath *dp;

	(void)state;
	world_veth();
	world_run("tc qdisc add dev v0 clsact");
	filter_add(BPF_TC_EGRESS, prog);
	dp = open_with((struct kb_datapath_config){.skip_xdp = true, .clsact = true});
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), 0);
	world_run("tc filter show dev v0 ingress | grep -q kbdns_tc");
	kb_datapath_close(dp, false);
	world_run("tc filter show dev v0 egress | grep -q foreign_cls");
	assert_int_not_equal(system("tc filter show dev v0 ingress | grep -q kbdns_tc"), 0);
	world_run("tc qdisc del dev v0 clsact");
	/* Ours by origin, but in use by now. */
	dp = open_with((struct kb_datapath_config){.skip_xdp = true, .clsact = true});
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), 0);
	filter_add(BPF_TC_INGRESS, prog);
	kb_datapath_close(dp, false);
	world_run("tc filter show dev v0 ingress | grep -q foreign_cls");
	close(prog);
	world_run("ip link del v0");
}

static void test_attach_xdp(void **state)
{
	struct kb_datapath *dp = open_with((struct kb_datapath_config){.skip_tc = true});
	struct kb_datapath_config generic = {.skip_tc = true, .generic_xdp = true};
	const struct kb_datapath_port *p;
	char pin[64];
	uint32_t id;

	(void)state;
	world_veth();
	kb_table_free(table_with_name(dp));
	assert_int_equal(kb_datapath_attach_tc(dp, "v0", err, sizeof(err)), -EINVAL);
	kb_datapath_close(dp, true);

	dp = open_with((struct kb_datapath_config){.skip_tc = true});
	assert_int_equal(kb_datapath_attach_xdp(dp, "v0", err, sizeof(err)), 0);
	p = kb_datapath_port(dp, 0);
	assert_string_equal(p->mode, "native");
	snprintf(pin, sizeof(pin), "link_xdp_%u", p->ifindex);
	id = link_id(pin);
	assert_true(id != 0);
	kb_datapath_close(dp, true);
	dp = open_with((struct kb_datapath_config){.skip_tc = true});
	assert_int_equal(kb_datapath_attach_xdp(dp, "v0", err, sizeof(err)), 0);
	assert_int_equal(link_id(pin), id);
	assert_string_equal(kb_datapath_port(dp, 0)->mode, "native");

	/* lo has no native XDP: said, not worked around, unless allowed. */
	assert_int_equal(kb_datapath_attach_xdp(dp, "lo", err, sizeof(err)), -EOPNOTSUPP);
	assert_non_null(strstr(err, "lo: its driver has no native XDP"));
	kb_datapath_close(dp, false);
	assert_int_not_equal(system("ip -d link show v0 | grep -q xdp"), 0);
	dp = open_with(generic);
	assert_int_equal(kb_datapath_attach_xdp(dp, "lo", err, sizeof(err)), 0);
	assert_string_equal(kb_datapath_port(dp, 0)->mode, "generic");
	kb_datapath_close(dp, false);
	world_run("ip link del v0");
}

/* Somebody else's XDP program is named, and left. */
static void test_xdp_busy(void **state)
{
	int prog = pass_prog(BPF_PROG_TYPE_XDP, "foreign_one"), link;
	struct kb_datapath *dp;

	(void)state;
	world_veth();
	link = bpf_link_create(prog, (int)if_nametoindex("v0"), BPF_XDP, NULL);
	assert_true(link >= 0);
	dp = open_with((struct kb_datapath_config){.skip_tc = true});
	assert_int_equal(kb_datapath_attach_xdp(dp, "v0", err, sizeof(err)), -EBUSY);
	if (!strstr(err, "v0: another XDP program is attached: foreign_one"))
		fail_msg("%s", err);
	kb_datapath_close(dp, false);
	close(link);
	/* Attached the old way it would be replaced by a link: the kernel refuses that too. */
	assert_int_equal(bpf_xdp_attach((int)if_nametoindex("v0"), prog, 0, NULL), 0);
	dp = open_with((struct kb_datapath_config){.skip_tc = true});
	assert_int_equal(kb_datapath_attach_xdp(dp, "v0", err, sizeof(err)), -EBUSY);
	if (!strstr(err, "foreign_one"))
		fail_msg("%s", err);
	kb_datapath_close(dp, false);
	assert_int_equal(bpf_xdp_detach((int)if_nametoindex("v0"), 0, NULL), 0);
	close(prog);
	world_run("ip link del v0");
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The deadline moves with time at the rate the datapath believes HZ to be. */
static void test_beat(void **state)
{
	struct kb_datapath *dp = open_plain();
	struct kb_backing backing;
	uint64_t d0, d1, t0, t1, d2;
	double ticks, expected;

	(void)state;
	kb_datapath_backing(dp, &backing);
	assert_int_equal(kb_datapath_beat(dp, 0), 0);
	t0 = now_ns();
	d0 = backing.header->deadline;
	usleep(400000);
	assert_int_equal(kb_datapath_beat(dp, 0), 0);
	t1 = now_ns();
	d1 = backing.header->deadline;
	assert_int_equal(kb_datapath_beat(dp, 10000), 0);
	d2 = backing.header->deadline;
	/* The same moment for readers outside the kernel. */
	assert_in_range(backing.header->deadline_ns, t1 + 10000000000, now_ns() + 10000000000);
	ticks = (double)(d1 - d0);
	/* Ten seconds' worth of ticks, scaled to the time slept. */
	expected = (double)(d2 - d1) / 10e9 * (double)(t1 - t0);
	if (ticks < expected * 0.9 - 2 || ticks > expected * 1.1 + 2)
		fail_msg("%.0f ticks, %.0f expected", ticks, expected);
	kb_datapath_close(dp, false);
}

static void test_stats(void **state)
{
	struct kb_datapath *dp = open_with((struct kb_datapath_config){.skip_xdp = true});
	uint64_t counters[KB_CNT_MAX], hist[KB_HIST_BUCKETS];
	uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 3);

	(void)state;
	assert_int_equal(kb_datapath_prog_fd(dp, KB_ENGINE_XDP), -1);
	assert_int_equal(bpf_prog_test_run_opts(kb_datapath_prog_fd(dp, KB_ENGINE_TC), &opts), 0);
	assert_int_equal((int)opts.retval, -1);
	assert_int_equal(kb_datapath_engine_stats(dp, KB_ENGINE_TC, counters, hist), 0);
	assert_int_equal(counters[KB_CNT_NOT_IP], 3);
	assert_int_equal(kb_datapath_engine_stats(dp, KB_ENGINE_XDP, counters, hist), 0);
	assert_int_equal(counters[KB_CNT_NOT_IP], 0);
	assert_int_equal(kb_datapath_engine_stats(dp, KB_ENGINE_SOCKET, counters, hist), 0);
	kb_datapath_close(dp, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_adopt_uninstall),
		cmocka_unit_test(test_half_made),
		cmocka_unit_test(test_other_layout),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_attach_tcx),
		cmocka_unit_test(test_attach_clsact),
		cmocka_unit_test(test_foreign_filters),
		cmocka_unit_test(test_attach_xdp),
		cmocka_unit_test(test_xdp_busy),
		cmocka_unit_test(test_beat),
		cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
