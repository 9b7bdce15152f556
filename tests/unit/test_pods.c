// SPDX-License-Identifier: Apache-2.0
/*
 * Finding pods' interfaces when the kernel says no: messages that are lost, interfaces that vanish
 * while they are attached to, descriptors or rights that are missing. The kernel is this file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <net/if.h>

#include "control/datapath/netdev.h"
#include "control/datapath/pods.h"
#include "control/datapath/private.h"

#define LINKS 4

static struct {
	bool there[LINKS + 1];	      /* by ifindex, 1 to LINKS */
	int attach, each, read, name; /* -errno of these, 0: they work */
	int attempts;
	struct kb_datapath dp;
	struct kb_pods *pods;
} w;

/* ---- the kernel ---- */

static void tell(kb_netdev_fn fn, void *arg, unsigned int i, bool gone)
{
	struct kb_netdev dev = {
		.ifindex = i, .name = "pod0", .kind = "veth", .gone = gone, .peer_elsewhere = true};

	dev.name[3] = (char)('0' + i);
	fn(arg, &dev);
}

bool kb_netdev_is_pair(const struct kb_netdev *dev)
{
	return *dev->kind;
}

bool kb_netdev_is_pod(const struct kb_netdev *dev)
{
	return dev->peer_elsewhere;
}

int kb_netdev_each(kb_netdev_fn fn, void *arg)
{
	for (unsigned int i = 1; i <= LINKS; i++) {
		if (w.there[i])
			tell(fn, arg, i, false);
	}
	return w.each;
}

int kb_netdev_get(const char *name, struct kb_netdev *ret)
{
	(void)name;
	(void)ret;
	return -ENODEV;
}

int kb_netdev_watch_new(struct kb_netdev_watch **ret_watch)
{
	*ret_watch = NULL;
	return 0;
}

int kb_netdev_watch_fd(const struct kb_netdev_watch *watch)
{
	(void)watch;
	return -1;
}

int kb_netdev_watch_read(struct kb_netdev_watch *watch, kb_netdev_fn fn, void *arg)
{
	(void)watch;
	if (w.read == 0)
		tell(fn, arg, 1, false);
	return w.read;
}

void kb_netdev_watch_free(struct kb_netdev_watch *watch)
{
	(void)watch;
}

int kb_port_attach_tc(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
		      size_t err_size)
{
	(void)dp;
	w.attempts++;
	if (w.attach < 0)
		return kb_port_error(p, w.attach, err, err_size, strerror(-w.attach));
	kb_port_done(p);
	return 0;
}

bool kb_clsact_is_attached(unsigned int ifindex, enum kb_clsact which)
{
	(void)which;
	return w.there[ifindex];
}

bool kb_clsact_detach(const char *dir, unsigned int ifindex)
{
	(void)dir;
	return w.there[ifindex];
}

uint32_t kb_clsact_prog(unsigned int ifindex)
{
	(void)ifindex;
	return 0;
}

bool kb_clsact_remove(unsigned int ifindex, enum kb_clsact which)
{
	(void)which;
	return w.there[ifindex];
}

void kb_clsact_forget(const char *dir, unsigned int ifindex)
{
	(void)dir;
	(void)ifindex;
}

int kb_clsact_attach(const char *dir, unsigned int ifindex, enum kb_clsact which, int prog_fd)
{
	(void)dir;
	(void)ifindex;
	(void)which;
	(void)prog_fd;
	return 0;
}

/* The C library's, which wants a socket for it. */
char *if_indextoname(unsigned int ifindex, char name[IF_NAMESIZE])
{
	errno = w.name ? -w.name : ENXIO;
	if (w.name || !w.there[ifindex])
		return NULL;
	strcpy(name, "pod0");
	return name;
}

/* ---- tests ---- */

static bool any(const char *const *patterns, size_t n, const char *ifname)
{
	(void)patterns;
	(void)n;
	return *ifname;
}

static struct kb_pods_stats stats(void)
{
	struct kb_pods_stats s;

	kb_pods_stats(w.pods, &s);
	return s;
}

/* As the daemon's loop, half a second later. */
static void turn(void)
{
	kb_pods_tick(w.pods);
	while (kb_pods_step(w.pods))
		;
}

static void start(void)
{
	const struct kb_pods_config config = {.match = any, .max = LINKS};
	char err[256];

	assert_int_equal(kb_pods_new(&w.dp, &config, &w.pods, err, sizeof(err)), 0);
	while (kb_pods_step(w.pods))
		;
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	strcpy(w.dp.dir, "/nonexistent");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kb_pods_free(w.pods);
	kb_ports_close(&w.dp);
	return 0;
}

/* What was lost is found by a listing, in both directions. */
static void test_lost_messages(void **state)
{
	(void)state;
	w.there[1] = w.there[2] = true;
	start();
	assert_int_equal(stats().attached, 2);
	w.there[2] = false;
	w.there[3] = w.there[4] = true;
	w.read = -ENOBUFS;
	kb_pods_read(w.pods);
	while (kb_pods_step(w.pods))
		;
	assert_int_equal(stats().attached, 3);
	assert_int_equal(stats().detaches, 1);
	assert_int_equal(stats().listings, 2);
	assert_int_equal(w.dp.n_ports, 3);
}

/* A listing that fails takes nothing away, and is made again. */
static void test_listing_fails(void **state)
{
	(void)state;
	w.there[1] = w.there[2] = true;
	start();
	w.there[2] = false;
	w.read = -ENOBUFS;
	w.each = -ENOMEM;
	kb_pods_read(w.pods);
	assert_int_equal(stats().attached, 2);
	turn();
	assert_int_equal(stats().listings, 3);
	w.each = 0;
	turn();
	assert_int_equal(stats().attached, 1);
	assert_int_equal(stats().listings, 4);
	turn();
	assert_int_equal(stats().listings, 4);
}

/* Any other failure of the read is no less than a loss. */
static void test_read_fails(void **state)
{
	(void)state;
	start();
	w.there[4] = true;
	w.read = -ENOSPC;
	kb_pods_read(w.pods);
	turn();
	assert_int_equal(stats().attached, 1);
}

static void test_vanishes(void **state)
{
	(void)state;
	start();
	w.attach = -ENODEV;
	kb_pods_read(w.pods); /* tells of an interface that is gone by now */
	assert_int_equal(w.attempts, 1);
	assert_int_equal(stats().vanished, 1);
	assert_int_equal(stats().failing, 0);
	assert_int_equal(stats().other, 0);
	assert_int_equal(w.dp.n_ports, 0);
	turn();
	assert_int_equal(w.attempts, 1);
}

/* Without a descriptor nobody can say whether it has gone, so it has not. */
static void test_no_descriptors(void **state)
{
	(void)state;
	start();
	w.there[1] = true;
	w.attach = w.name = -EMFILE;
	kb_pods_read(w.pods);
	assert_int_equal(stats().vanished, 0);
	assert_int_equal(stats().no_memory, 1);
	assert_int_equal(stats().failing, 1);
	w.attach = w.name = 0;
	turn();
	assert_int_equal(stats().attached, 1);
	assert_int_equal(stats().failing, 0);
}

static void test_refusals(void **state)
{
	static const struct {
		int error;
		size_t counter;
	} rows[] = {
#define ROW(error, member) {-(error), offsetof(struct kb_pods_stats, member) / sizeof(uint64_t)}
		ROW(EPERM, refused),   ROW(EACCES, refused),   ROW(EBUSY, occupied),
		ROW(ERANGE, occupied), ROW(ENOMEM, no_memory), ROW(ENFILE, no_memory),
		ROW(EINVAL, other),    ROW(ENODEV, other),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kb_pods_stats s;
		uint64_t failures;

		setup(NULL);
		start();
		w.there[1] = true;
		w.attach = rows[i].error;
		kb_pods_read(w.pods);
		s = stats();
		failures = s.vanished + s.refused + s.occupied + s.no_memory + s.other;
		assert_int_equal(((uint64_t *)&s)[rows[i].counter], 1);
		assert_int_equal(failures, 1);
		assert_int_equal(s.failing, 1);
		assert_string_equal(w.dp.ports[0].error, strerror(-rows[i].error));
		turn();
		assert_int_equal(w.attempts, 2);
		w.attach = 0;
		turn();
		assert_int_equal(stats().attached, 1);
		assert_string_equal(w.dp.ports[0].error, "");
		teardown(NULL);
		w.pods = NULL;
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lost_messages), TEST(test_listing_fails),  TEST(test_read_fails),
		TEST(test_vanishes),	  TEST(test_no_descriptors), TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
