// SPDX-License-Identifier: Apache-2.0
/* Facts of the node: addresses, the route out, the cgroup's memory, IPVS, huge pages. */
#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/doctor/facts.h"

#define NODELOCAL "169.254.20.10"

static void find_nodelocal(struct kb_facts *f)
{
	struct ifaddrs *all;
	struct in_addr want;

	inet_pton(AF_INET, NODELOCAL, &want);
	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET &&
		    ((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr.s_addr ==
			    want.s_addr)
			snprintf(f->nodelocal, sizeof(f->nodelocal), "%s", a->ifa_name);
	}
	freeifaddrs(all);
}

/* A UDP socket at port 53 of that address. */
static void find_listener(struct kb_facts *f)
{
	unsigned int addr, port;
	struct in_addr want;
	char line[512];
	FILE *in = fopen("/proc/net/udp", "re");

	inet_pton(AF_INET, NODELOCAL, &want);
	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, " %*d: %8x:%4x", &addr, &port) == 2 && port == 53 &&
		    addr == want.s_addr)
			f->nodelocal_listens = true;
	}
	if (in)
		fclose(in);
}

static void find_uplink(struct kb_facts *f)
{
	unsigned int dst, gateway, flags, mask;
	char line[512], name[16];
	int ref, use, metric;
	FILE *in = fopen("/proc/net/route", "re");

	while (in && !f->uplink[0] && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%15s %x %x %x %d %d %d %x", name, &dst, &gateway, &flags, &ref,
			   &use, &metric, &mask) == 8 &&
		    dst == 0 && mask == 0)
			memcpy(f->uplink, name, sizeof(name));
	}
	if (in)
		fclose(in);
}

/* Lines "UDP  0A60000A:0035 rr" of virtual servers. */
static void find_ipvs(struct kb_facts *f)
{
	unsigned int addr, port;
	struct in_addr dns = {0};
	char proto[8], line[256];
	FILE *in = fopen("/proc/net/ip_vs", "re");

	inet_pton(AF_INET, f->dns, &dns);
	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%7s %8x:%4x", proto, &addr, &port) != 3)
			continue;
		f->ipvs++;
		if (dns.s_addr && htonl(addr) == dns.s_addr && port == 53)
			f->ipvs_dns = true;
	}
	if (in)
		fclose(in);
}

static void find_cni_file(struct kb_facts *f)
{
	DIR *d = opendir("/etc/cni/net.d");
	struct dirent *e;

	/* The runtime takes the first in the order of names. */
	while (d && (e = readdir(d))) {
		if (e->d_name[0] != '.' && strstr(e->d_name, ".conf") &&
		    (!f->cni_file[0] || strcmp(e->d_name, f->cni_file) < 0))
			snprintf(f->cni_file, sizeof(f->cni_file), "%.63s", e->d_name);
	}
	if (d)
		closedir(d);
}

static uint64_t read_limit(const char *path)
{
	uint64_t v = UINT64_MAX;
	FILE *in = fopen(path, "re");

	if (!in)
		return UINT64_MAX;
	if (fscanf(in, "%" SCNu64, &v) != 1) /* "max" */
		v = UINT64_MAX;
	fclose(in);
	return v;
}

/* The least limit of a cgroup and those above it. */
static void least_limit(struct kb_facts *f, const char *mount, char *path, const char *file)
{
	char full[1024];

	for (;;) {
		uint64_t v;
		char *slash;

		snprintf(full, sizeof(full), "%s%s/%s", mount, strcmp(path, "/") ? path : "", file);
		v = read_limit(full);
		/* cgroup v1 says "none" as a number of pages. */
		if (v < f->memory_max && v < UINT64_MAX / 4) {
			f->memory_max = v;
			snprintf(f->cgroup, sizeof(f->cgroup), "%.255s", full);
		}
		slash = strrchr(path, '/');
		if (!slash || !path[1])
			return;
		slash[slash == path] = 0;
	}
}

/* kbdnsd's own cgroup if it runs, otherwise ours. */
static void find_memory(struct kb_facts *f)
{
	json_t *pid = json_object_get(f->status, "pid");
	char path[64] = "/proc/self/cgroup", line[600];
	FILE *in;

	f->memory_max = UINT64_MAX;
	if (pid)
		snprintf(path, sizeof(path), "/proc/%" JSON_INTEGER_FORMAT "/cgroup",
			 json_integer_value(pid));
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		char *colon = strchr(line, ':'), *at = colon ? strchr(colon + 1, ':') : NULL;

		line[strcspn(line, "\n")] = 0;
		if (!at)
			continue;
		*at++ = 0;
		if (strncmp(line, "0:", 2) == 0)
			least_limit(f, "/sys/fs/cgroup", at, "memory.max");
		else if (strstr(colon, "memory"))
			least_limit(f, "/sys/fs/cgroup/memory", at, "memory.limit_in_bytes");
	}
	if (in)
		fclose(in);
}

static void find_hugepages(struct kb_facts *f)
{
	char line[128];
	FILE *in = fopen("/proc/meminfo", "re");

	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "HugePages_Total: %" SCNu64, &f->hugepages) == 1)
			break;
	}
	if (in)
		fclose(in);
}

void kb_facts_node(struct kb_facts *f)
{
	find_nodelocal(f);
	find_listener(f);
	find_uplink(f);
	find_ipvs(f);
	find_cni_file(f);
	find_memory(f);
	find_hugepages(f);
}
