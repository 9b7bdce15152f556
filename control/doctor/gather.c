// SPDX-License-Identifier: Apache-2.0
#include "control/doctor/facts.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "control/ctl/client.h"

#define TIMEOUT_S 5

static uint64_t effective_caps(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

/* A command's one document, or NULL and why. */
static json_t *ask(const char *socket, char *command, int *ret_r)
{
	struct kb_ctl_client *client = NULL;
	json_t *doc = NULL;
	size_t len;
	char *line;
	int r = kb_ctl_client_open(socket, 1, &command, TIMEOUT_S, &client);

	if (r == 0) {
		r = kb_ctl_client_next(client, &line, &len);
		if (r == 1)
			doc = json_loadb(line, len, 0, NULL);
		r = doc ? 0 : r < 0 ? r : -EPROTO;
		kb_ctl_client_close(client);
	}
	*ret_r = r;
	return doc;
}

static int rp_filter(const char *name)
{
	char path[96];
	int v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

static void keep_port(void *arg, const struct kb_hooks *hooks)
{
	struct kb_facts *f = arg;
	int all = rp_filter("all"), own = rp_filter(hooks->dev.name);

	if (f->n_ports == KB_DOCTOR_PORTS_MAX) {
		f->ports_left_out++;
		return;
	}
	f->ports[f->n_ports++] =
		(struct kb_doctor_port){.hooks = *hooks, .rp_filter = all > own ? all : own};
}

static void gather_hooks(struct kb_facts *f)
{
	static const char *const cgroups[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
					      "/run/cilium/cgroupv2"};

	f->ports = calloc(KB_DOCTOR_PORTS_MAX, sizeof(*f->ports));
	f->ports_r = f->ports ? kb_probe_hooks(keep_port, f) : -ENOMEM;
	for (size_t i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]) && !f->n_sock; i++)
		f->n_sock = kb_probe_cgroup(cgroups[i], f->sock);
	kb_probe_nft(&f->nft);
}

void kb_facts_gather(const struct kb_doctor_config *config, struct kb_facts *ret)
{
	struct utsname name = {0};

	memset(ret, 0, sizeof(*ret));
	ret->config = *config;
	if (uname(&name) == 0)
		snprintf(ret->release, sizeof(ret->release), "%s", name.release);
	ret->caps = effective_caps();
	ret->btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	ret->trials_r = kb_probe_kernel(ret->trial);
	kb_probe_pins(config->bpffs, &ret->pins);
	gather_hooks(ret);
	ret->status = ask(config->socket, (char[]){"status"}, &ret->daemon_r);
	if (ret->status) {
		int r;

		ret->stats = ask(config->socket, (char[]){"stats"}, &r);
	}
	kb_facts_dns(ret);
	kb_facts_node(ret);
}

void kb_facts_fini(struct kb_facts *f)
{
	json_decref(f->status);
	json_decref(f->stats);
	free(f->ports);
	f->status = f->stats = NULL;
	f->ports = NULL;
}
