// SPDX-License-Identifier: Apache-2.0
/* Our own programs, loaded as kbdnsd loads them and not attached. */
#include "control/datapath/probe_private.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* generated code */
#include "bpf/kbdns.skel.h"
#include "bpf/local.skel.h"
#pragma GCC diagnostic pop

/* The last complaint of libbpf, one line. */
static char complaint[160];

static int on_libbpf(enum libbpf_print_level level, const char *format, va_list ap)
{
	char text[4096], *last;
	int n;

	if (level != LIBBPF_WARN)
		return 0;
	n = vsnprintf(text, sizeof(text), format, ap);
	if (n <= 0 || (size_t)n >= sizeof(text)) /* the verifier's log */
		return 0;
	text[strcspn(text, "\n")] = 0;
	last = strncmp(text, "libbpf: ", 8) == 0 ? text + 8 : text;
	/* The first one has the reason, the later ones what became of it. */
	if (!complaint[0])
		snprintf(complaint, sizeof(complaint), "%.150s", last);
	return 0;
}

/* "memlock" of fdinfo: what the kernel charges for the map. */
static uint64_t map_bytes(int fd)
{
	unsigned long long bytes = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	}
	fclose(f);
	return bytes;
}

static void measure(const struct bpf_object *object, struct kb_trial *t)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_program(prog, object)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len) == 0)
			t->value += info.verified_insns;
	}
	bpf_object__for_each_map(map, object) t->bytes += map_bytes(bpf_map__fd(map));
}

static int load(struct bpf_object_skeleton *skeleton, const struct bpf_object *object,
		struct kb_trial *t)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int r;

	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* as kbdnsd does */
	complaint[0] = 0;
	libbpf_set_print(on_libbpf);
	r = bpf_object__load_skeleton(skeleton);
	if (r == 0)
		measure(object, t);
	else if (r != -EPERM && complaint[0])
		snprintf(t->text, sizeof(t->text), "%s; %s", strerror(-r), complaint);
	return r;
}

int kb_probe_programs(struct kb_trial *t)
{
	struct kbdns_bpf *skel = kbdns_bpf__open();
	int r = skel ? load(skel->skeleton, skel->obj, t) : -errno;

	kbdns_bpf__destroy(skel);
	return r;
}

int kb_probe_local(struct kb_trial *t)
{
	struct local_bpf *skel = local_bpf__open();
	int r = skel ? load(skel->skeleton, skel->obj, t) : -errno;

	local_bpf__destroy(skel);
	return r;
}
