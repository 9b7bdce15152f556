// SPDX-License-Identifier: Apache-2.0
/* From facts to findings: what kbdnsctl doctor says of a node, level, name and cure. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/doctor/judge.h"
#include "dataplane/core/layout.h"

/* A node where all is well: one pod with kbdns_tc, one card, a kbdnsd in order. */
struct node {
	struct kb_facts facts;
	struct kb_doctor_port ports[2];
	struct kb_findings out;
};

static const char status[] =
	"{\"version\":\"1\",\"pid\":7,\"state\":\"full\",\"reason\":\"\",\"age_s\":0.5,"
	"\"bypass\":{\"on\":false},\"table\":{\"index_bytes\":1048576,\"arena_bytes\":1048576},"
	"\"source\":{\"name\":\"apiserver\",\"kinds\":[{\"kind\":\"services\",\"synced\":true,"
	"\"error\":\"\"}]},\"interfaces\":[{\"name\":\"pod1\",\"engine\":\"tc\",\"attached\":true,"
	"\"error\":\"\"}]}";

static struct node *node_new(void)
{
	struct node *n = calloc(1, sizeof(*n));
	struct kb_facts *f = &n->facts;

	assert_non_null(n);
	f->config = (struct kb_doctor_config){"/run/s", "/sys/fs/bpf/kbdns", NULL};
	f->caps = UINT64_MAX;
	f->trial[KB_TRIAL_JIT].value = 100;
	f->pins = (struct kb_pins){.exists = true, .tables = 1, .version = KB_LAYOUT_VERSION};
	f->ports = n->ports;
	f->n_ports = 2;
	n->ports[0].hooks = (struct kb_hooks){
		.dev = {.name = "pod1", .kind = "veth", .mtu = 1500, .peer_elsewhere = true},
		.xdp_mode = "",
		.tcx = {{1, "kbdns_tc"}},
		.n_tcx = 1};
	n->ports[1].hooks = (struct kb_hooks){
		.dev = {.name = "eth0", .mtu = 1500}, .nic = {.driver = "ice"}, .xdp_mode = ""};
	strcpy(f->uplink, "eth0");
	strcpy(f->dns, "10.96.0.10");
	f->dns_answers = 1;
	f->memory_max = UINT64_MAX;
	f->status = json_loads(status, 0, NULL);
	assert_non_null(f->status);
	return n;
}

static void node_free(struct node *n)
{
	json_decref(n->facts.status);
	json_decref(n->facts.stats);
	free(n);
}

/* The worst finding of that name. */
static const struct kb_finding *named(const struct node *n, const char *name)
{
	const struct kb_finding *worst = NULL;

	for (size_t i = 0; i < n->out.n; i++) {
		if (strcmp(n->out.v[i].name, name) == 0 &&
		    (!worst || n->out.v[i].level > worst->level))
			worst = &n->out.v[i];
	}
	return worst;
}

static void test_well(void **state)
{
	struct node *n = node_new();

	(void)state;
	kb_doctor_judge(&n->facts, &n->out);
	for (size_t i = 0; i < n->out.n; i++) {
		const struct kb_finding *p = &n->out.v[i];

		if (p->level > KB_DOCTOR_NOTE)
			fail_msg("%s: %s", p->name, p->found);
		if (!p->found[0] || !p->means[0])
			fail_msg("%s: says nothing", p->name);
	}
	node_free(n);
}

static void no_caps(struct kb_facts *f)
{
	f->caps = 0;
}
static void no_tcx(struct kb_facts *f)
{
	f->trial[KB_TRIAL_TCX].r = -EINVAL;
}
static void no_tc(struct kb_facts *f)
{
	f->trial[KB_TRIAL_TCX].r = f->trial[KB_TRIAL_CLSACT].r = -EINVAL;
}
static void no_verifier(struct kb_facts *f)
{
	f->trial[KB_TRIAL_PROGRAMS].r = -EACCES;
}
static void no_local(struct kb_facts *f)
{
	f->trial[KB_TRIAL_LOCAL].r = -EINVAL;
}
static void no_jit(struct kb_facts *f)
{
	f->trial[KB_TRIAL_JIT].value = 0;
}
static void no_xdp(struct kb_facts *f)
{
	f->trial[KB_TRIAL_XDP].r = -EOPNOTSUPP;
}
static void no_membarrier(struct kb_facts *f)
{
	f->trial[KB_TRIAL_MEMBARRIER].r = -EINVAL;
}
static void little_memory(struct kb_facts *f)
{
	f->memory_max = 8 << 20;
}
static void scarce_memory(struct kb_facts *f)
{
	f->memory_max = 40 << 20;
}
static void no_bpffs(struct kb_facts *f)
{
	f->pins = (struct kb_pins){.mounted = -EMEDIUMTYPE};
}
static void frozen_bpffs(struct kb_facts *f)
{
	f->pins.writable = -EROFS;
}
static void other_layout(struct kb_facts *f)
{
	f->pins.foreign = 1;
	f->pins.version = KB_LAYOUT_VERSION + 1;
}
static void in_front(struct kb_facts *f)
{
	struct kb_hooks *h = &f->ports[0].hooks;

	h->tcx[1] = h->tcx[0];
	h->tcx[0] = (struct kb_hook_prog){9, "guard"};
	h->n_tcx = 2;
}
static void behind(struct kb_facts *f)
{
	f->ports[0].hooks.filter[0] = (struct kb_hook_prog){9, "cil_from_contai"};
	f->ports[0].hooks.n_filter = 1;
}
static void alone(struct kb_facts *f)
{
	f->ports[0].hooks.tcx[0] = (struct kb_hook_prog){9, "guard"};
}
static void foreign_xdp(struct kb_facts *f)
{
	f->ports[1].hooks.xdp = (struct kb_hook_prog){9, "balancer"};
	f->ports[1].hooks.xdp_mode = "native";
}
static void tags(struct kb_facts *f)
{
	f->ports[1].hooks.nic.rxvlan = true;
	strcpy(f->ports[1].hooks.nic.vlan, "eth0.5");
}
static void strict(struct kb_facts *f)
{
	f->ports[1].rp_filter = 1;
}
static void big_pods(struct kb_facts *f)
{
	f->ports[0].hooks.dev.mtu = 9001;
}
static void cilium_lb(struct kb_facts *f)
{
	f->sock[0] = (struct kb_hook_prog){9, "cil_sock4_conne"};
	f->n_sock = 1;
}
static void ipvs(struct kb_facts *f)
{
	f->ipvs = 3;
	f->ipvs_dns = true;
}
static void iptables(struct kb_facts *f)
{
	f->nft.iptables = true;
}
static void nodelocal(struct kb_facts *f)
{
	strcpy(f->nodelocal, "nodelocaldns");
}
static void dns_silent(struct kb_facts *f)
{
	f->dns_r = -ETIMEDOUT;
}
static void dns_other(struct kb_facts *f)
{
	f->dns_r = 3;
	f->dns_answers = 0;
}
static void absent(struct kb_facts *f)
{
	json_decref(f->status);
	f->status = NULL;
	f->daemon_r = -ENOENT;
}
static void off(struct kb_facts *f)
{
	json_object_set_new(f->status, "state", json_string("off"));
	json_object_set_new(f->status, "reason", json_string("blind"));
}
static void bypassed(struct kb_facts *f)
{
	off(f);
	json_object_set_new(json_object_get(f->status, "bypass"), "on", json_true());
}
static void refused(struct kb_facts *f)
{
	json_t *kind =
		json_array_get(json_object_get(json_object_get(f->status, "source"), "kinds"), 0);

	json_object_set_new(kind, "synced", json_false());
	json_object_set_new(kind, "error", json_string("HTTP 403 Forbidden"));
}
static void unattached(struct kb_facts *f)
{
	json_t *port = json_array_get(json_object_get(f->status, "interfaces"), 0);

	json_object_set_new(port, "attached", json_false());
	json_object_set_new(port, "error", json_string("it is a bridge"));
}
static void upstream_down(struct kb_facts *f)
{
	f->stats = json_loads("{\"upstreams\":{\"10.0.0.1:53\":{\"up\":0}}}", 0, NULL);
}

static void test_faults(void **state)
{
	static const struct {
		void (*make)(struct kb_facts *f);
		const char *name;
		enum kb_level level;
		const char *found, *cure; /* part of it; cure NULL: none */
	} rows[] = {
		{no_caps, "capabilities", KB_DOCTOR_FAIL, "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON",
		 "run as root"},
		{no_tcx, "tcx", KB_DOCTOR_NOTE, "clsact works", NULL},
		{no_tc, "tcx", KB_DOCTOR_FAIL, "no tcx", "sch_ingress"},
		{no_verifier, "programs", KB_DOCTOR_FAIL, "kbdns_tc", "verifier"},
		{no_local, "programs-local", KB_DOCTOR_WARN, "kbdns_local_in", "newer kernel"},
		{no_jit, "jit", KB_DOCTOR_WARN, "interpreted", "bpf_jit_enable=1"},
		{no_xdp, "xdp", KB_DOCTOR_WARN, "native XDP", NULL},
		{no_membarrier, "membarrier", KB_DOCTOR_NOTE, "MEMBARRIER", NULL},
		{little_memory, "memory", KB_DOCTOR_FAIL, "8 MiB", "64 MiB"},
		{scarce_memory, "memory", KB_DOCTOR_WARN, "40 MiB", "64 MiB"},
		{no_bpffs, "bpffs", KB_DOCTOR_FAIL, "no bpffs", "mount -t bpf"},
		{frozen_bpffs, "bpffs", KB_DOCTOR_FAIL, "cannot be pinned", "remount,rw"},
		{other_layout, "pinned", KB_DOCTOR_NOTE, "layout version",
		 "uninstall --bpffs /sys/fs/bpf/kbdns"},
		{in_front, "tc-hook", KB_DOCTOR_WARN, "guard, kbdns_tc", "before:guard"},
		{behind, "tc-hook", KB_DOCTOR_NOTE, "kbdns_tc, cil_from_contai", "after:cil_from"},
		{behind, "cni", KB_DOCTOR_NOTE, "Cilium (by its programs)", NULL},
		{alone, "tc-hook", KB_DOCTOR_NOTE, "guard", "after:guard"},
		{foreign_xdp, "xdp-hook", KB_DOCTOR_WARN, "balancer", "xdp off"},
		{tags, "card", KB_DOCTOR_WARN, "eth0.5", "ethtool -K eth0 rxvlan off"},
		{strict, "rp-filter", KB_DOCTOR_NOTE, "eth0", "rp_filter=2"},
		{big_pods, "mtu", KB_DOCTOR_WARN, "9001", "MTU"},
		{cilium_lb, "socket-lb", KB_DOCTOR_WARN, "cil_sock4", "hostNamespaceOnly"},
		{ipvs, "services", KB_DOCTOR_NOTE, "IPVS, with the cluster DNS", NULL},
		{iptables, "services", KB_DOCTOR_NOTE, "iptables mode", NULL},
		{nodelocal, "nodelocaldns", KB_DOCTOR_WARN, "nodelocaldns",
		 "--intercept 169.254.20.10"},
		{dns_silent, "cluster-dns", KB_DOCTOR_WARN, "10.96.0.10", "CoreDNS"},
		{dns_other, "cluster-dns", KB_DOCTOR_WARN, "NXDOMAIN", "--cluster-domain"},
		{absent, "kbdnsd", KB_DOCTOR_NOTE, "does not run", "start kbdnsd"},
		{off, "kbdnsd", KB_DOCTOR_FAIL, "off: blind", "reason"},
		{bypassed, "kbdnsd", KB_DOCTOR_WARN, "off", "bypass off"},
		{refused, "source", KB_DOCTOR_FAIL, "403", "list and watch on services"},
		{unattached, "attach", KB_DOCTOR_WARN, "it is a bridge", "reason"},
		{upstream_down, "upstream", KB_DOCTOR_WARN, "10.0.0.1:53", "dig"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *n = node_new();
		const struct kb_finding *p;

		rows[i].make(&n->facts);
		kb_doctor_judge(&n->facts, &n->out);
		p = named(n, rows[i].name);
		if (!p)
			fail_msg("row %zu: no %s", i, rows[i].name);
		else if (p->level != rows[i].level || !strstr(p->found, rows[i].found) ||
			 !p->means[0] ||
			 (rows[i].cure ? !strstr(p->cure, rows[i].cure) : p->cure[0] != 0))
			fail_msg("row %zu, %s: level %d, \"%s\", cure \"%s\"", i, rows[i].name,
				 p->level, p->found, p->cure);
		node_free(n);
	}
}

/* A thousand pods are a line or two, and more than there is room for is no overflow. */
static void test_many(void **state)
{
	struct node *n = node_new();
	struct kb_doctor_port *ports = calloc(KB_DOCTOR_PORTS_MAX, sizeof(*ports));

	(void)state;
	assert_non_null(ports);
	for (size_t i = 0; i < KB_DOCTOR_PORTS_MAX; i++) {
		ports[i] = n->ports[0];
		snprintf(ports[i].hooks.dev.name, sizeof(ports[i].hooks.dev.name), "pod%zu", i);
		snprintf(ports[i].hooks.tcx[0].name, sizeof(ports[i].hooks.tcx[0].name), "p%zu",
			 i % 50);
		ports[i].rp_filter = 1;
	}
	n->facts.ports = ports;
	n->facts.n_ports = KB_DOCTOR_PORTS_MAX;
	kb_doctor_judge(&n->facts, &n->out);
	assert_true(n->out.n < 50);
	for (size_t i = 0; i < KB_DOCTOR_PORTS_MAX; i++)
		ports[i].hooks.xdp_mode = "native";
	off(&n->facts);
	kb_doctor_judge(&n->facts, &n->out);
	assert_int_equal(n->out.n, KB_FINDINGS_MAX);
	assert_int_equal(n->out.count[KB_DOCTOR_FAIL], 1);
	free(ports);
	node_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
