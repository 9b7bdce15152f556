// SPDX-License-Identifier: Apache-2.0
/* --pods against the kernel, by tcx and by clsact: pairs that come and go, and what is left of
 * them; and the places that clsact does not have. Root. */
#include <dirent.h>
#include <net/if.h>
#include <sys/resource.h>

#include "control/datapath/pods.h"
#include "tests/bpf/bpf_world.h"

#define ROUNDS 20

static char err[512];

static struct kb_datapath *open_with(bool clsact, const char *order)
{
	struct kb_datapath_config config = {
		.dir = world_dir, .skip_xdp = true, .clsact = clsact, .tc_order = order};
	struct kb_datapath *dp = NULL;

	if (kb_datapath_open(&config, &dp, err, sizeof(err)) < 0 ||
	    kb_datapath_load_programs(dp, err, sizeof(err)) < 0)
		fail_msg("open: %s", err);
	return dp;
}

/* Entries of a folder that begin so. */
static int entries(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

static bool any(const char *const *patterns, size_t n, const char *ifname)
{
	(void)patterns;
	(void)n;
	return *ifname;
}

/* What the kernel has told; it tells before the command that has changed something ends. */
static void catch_up(struct kb_pods *pods)
{
	kb_pods_read(pods);
	while (kb_pods_step(pods))
		;
}

/* What stands is left as it stands while no descriptor can be had. */
static void no_descriptors(struct kb_datapath *dp, struct kb_pods *pods)
{
	struct kb_pods_stats before, after;
	struct rlimit was, none = {0};

	kb_pods_stats(pods, &before);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	kb_pods_tick(pods);
	catch_up(pods);
	setrlimit(RLIMIT_NOFILE, &was);
	kb_pods_stats(pods, &after);
	assert_int_equal(after.attached, 1);
	assert_int_equal(after.attaches, before.attaches);
	assert_int_equal(after.no_memory, before.no_memory);
	assert_true(kb_datapath_port(dp, 0)->attached);
}

static void come_and_go(bool clsact)
{
	const struct kb_pods_config config = {.match = any, .max = 8};
	struct kb_datapath *dp = open_with(clsact, NULL);
	struct kb_pods_stats stats;
	struct kb_pods *pods;
	int fds;

	if (kb_pods_new(dp, &config, &pods, err, sizeof(err)) < 0)
		fail_msg("%s", err);
	catch_up(pods);
	fds = entries("/proc/self/fd", "");
	for (int i = 0; i < ROUNDS; i++) {
		const struct kb_datapath_port *p;

		world_veth();
		catch_up(pods);
		assert_int_equal(kb_datapath_n_ports(dp), 1);
		p = kb_datapath_port(dp, 0);
		if (!p->attached)
			fail_msg("%s", p->error);
		assert_true(!clsact || strcmp(p->mode, "clsact") == 0);
		assert_int_equal(entries(world_dir, "clsact_") + entries(world_dir, "link_tc_"), 1);
		if (strcmp(p->mode, "clsact") == 0)
			world_run("tc filter show dev v0 ingress | grep -q kbdns_tc");
		world_run("ip link del v0");
		catch_up(pods);
		assert_int_equal(kb_datapath_n_ports(dp), 0);
		assert_int_equal(entries(world_dir, "clsact_") + entries(world_dir, "link_tc_"), 0);
	}
	assert_int_equal(entries("/proc/self/fd", ""), fds);
	kb_pods_stats(pods, &stats);
	assert_int_equal(stats.attaches, ROUNDS);
	assert_int_equal(stats.detaches, ROUNDS);
	assert_int_equal(stats.vanished + stats.other + stats.occupied + stats.no_memory, 0);

	/* Somebody removes what has been attached. */
	world_veth();
	catch_up(pods);
	if (strcmp(kb_datapath_port(dp, 0)->mode, "clsact") == 0) {
		world_run("tc qdisc del dev v0 clsact");
		kb_pods_tick(pods);
		catch_up(pods);
		world_run("tc filter show dev v0 ingress | grep -q kbdns_tc");
	}
	no_descriptors(dp, pods);
	kb_pods_free(pods);
	kb_datapath_close(dp, false);
	assert_int_not_equal(system("tc qdisc show dev v0 | grep -q clsact"), 0);
	world_run("ip link del v0");
}

static void test_tcx(void **state)
{
	(void)state;
	come_and_go(false);
}

static void test_clsact(void **state)
{
	(void)state;
	come_and_go(true);
}

static void test_clsact_order(void **state)
{
	static const struct {
		const char *order;
		bool kept;
	} rows[] = {{"first", true}, {"before:other", true}, {"last", false}, {"after:7", false}};

	(void)state;
	world_veth();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_datapath *dp = open_with(true, rows[i].order);
		int r = kb_datapath_attach_tc(dp, "v0", err, sizeof(err));

		assert_int_equal(r, rows[i].kept ? 0 : -EOPNOTSUPP);
		if (!rows[i].kept && (!strstr(err, "v0: ") || !strstr(err, "--tc-order") ||
				      !strstr(err, "use first)")))
			fail_msg("%s: %s", rows[i].order, err);
		assert_int_equal(system("tc qdisc show dev v0 | grep -q clsact") == 0,
				 rows[i].kept);
		kb_datapath_close(dp, false);
	}
	world_run("ip link del v0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcx),
		cmocka_unit_test(test_clsact),
		cmocka_unit_test(test_clsact_order),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
