// SPDX-License-Identifier: Apache-2.0
/* The CNI, who handles Services, NodeLocal DNSCache, the cluster DNS. Guesses are called so. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/doctor/judge.h"

/* By the beginnings of names; NULL: not told by it. */
static const struct cni {
	const char *name, *program, *interface, *file, *means;
} cnis[] = {
	{"Cilium", "cil_", "cilium_", "cilium",
	 "its programs stand at the pods' interfaces, see tc-hook; its DNS proxy (toFQDNs) does "
	 "not see "
	 "what kbdns answers"},
	{"Calico", "cali_", "cali", "calico",
	 "pods' interfaces are cali*; in its eBPF mode its programs stand there, see tc-hook"},
	{"AWS VPC CNI", NULL, "eni", "aws",
	 "pods' interfaces are eni*, by default with an MTU of 9001, which tc handles"},
	{"Antrea", NULL, "antrea-", "antrea",
	 "pods' interfaces are ports of Open vSwitch; not tried"},
	{"OVN-Kubernetes", NULL, "ovn-k8s-", "ovn",
	 "pods' interfaces are ports of Open vSwitch; not tried"},
	{"Weave", NULL, "weave", "weave", "pods' interfaces are ports of a bridge"},
	{"flannel", NULL, "flannel", "flannel", "pods' interfaces are ports of the bridge cni0"},
	{"kindnet", NULL, NULL, "kindnet", "pods' interfaces are veths with a route each"},
	{"a bridge CNI", NULL, "cni0", NULL, "pods' interfaces are ports of the bridge cni0"},
};

static bool begins(const char *s, const char *with)
{
	return with && strncmp(s, with, strlen(with)) == 0;
}

static bool has_program(const struct kb_hooks *h, const char *prefix)
{
	bool is = begins(h->xdp.name, prefix);

	for (size_t i = 0; i < KB_HOOK_PROGS; i++)
		is |= begins(h->tcx[i].name, prefix) || begins(h->filter[i].name, prefix);
	return is;
}

/* How it was told, or NULL. */
static const char *evidence(const struct kb_facts *f, const struct cni *c)
{
	for (size_t i = 0; i < f->n_ports; i++) {
		if (has_program(&f->ports[i].hooks, c->program))
			return "by its programs";
	}
	for (size_t i = 0; i < f->n_ports; i++) {
		if (begins(f->ports[i].hooks.dev.name, c->interface))
			return "a guess, by names of interfaces";
	}
	return c->file && strstr(f->cni_file, c->file) ? "a guess, by /etc/cni/net.d" : NULL;
}

void kb_judge_cni(const struct kb_facts *f, struct kb_findings *out)
{
	struct kb_finding *p;

	for (size_t i = 0; i < sizeof(cnis) / sizeof(cnis[0]); i++) {
		const char *why = evidence(f, &cnis[i]);

		if (!why)
			continue;
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "cni", "%s (%s)", cnis[i].name, why);
		kb_finding_means(p, "%s", cnis[i].means);
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_NOTE, "cni", "not known%s%s",
			   f->cni_file[0] ? "; there is /etc/cni/net.d/" : "", f->cni_file);
	kb_finding_means(p, "--pods auto finds pods by their veths, whoever made them");
}

static void judge_socket_lb(const struct kb_facts *f, struct kb_findings *out)
{
	const struct kb_hook_prog *cilium = NULL;
	struct kb_finding *p;

	for (size_t i = 0; i < f->n_sock && i < KB_HOOK_PROGS; i++) {
		if (begins(f->sock[i].name, "cil_sock"))
			cilium = &f->sock[i];
	}
	if (!f->n_sock)
		return;
	p = kb_finding_add(out, cilium ? KB_DOCTOR_WARN : KB_DOCTOR_NOTE, "socket-lb",
			   "%zu programs at the cgroup's connect and sendmsg hooks, %s among them",
			   f->n_sock, cilium ? cilium->name : f->sock[0].name);
	if (!cilium) {
		kb_finding_means(
			p, "if they rewrite the cluster DNS's address, as socket load balancers "
			   "do, kbdns does not see that address");
		return;
	}
	kb_finding_means(p,
			 "Cilium's socket load balancer: pods' queries carry the address of one "
			 "endpoint of the cluster DNS, not the Service's, and kbdns leaves them");
	kb_finding_cure(p,
			"Cilium's socketLB.hostNamespaceOnly=true; or kbdnsd --intercept with each "
			"endpoint's address");
}

void kb_judge_proxy(const struct kb_facts *f, struct kb_findings *out)
{
	const char *mode = NULL;
	struct kb_finding *p;

	judge_socket_lb(f, out);
	if (f->ipvs)
		mode = f->ipvs_dns ? "IPVS, with the cluster DNS among its virtual servers"
				   : "IPVS";
	else if (f->nft.kube_proxy)
		mode = "kube-proxy in nftables mode (by its table)";
	else if (f->nft.iptables)
		mode = "kube-proxy in iptables mode (by its chain KUBE-SERVICES)";
	p = kb_finding_add(out, KB_DOCTOR_NOTE, "services", "%s",
			   mode ? mode
			   : f->nft.r == -EPERM
				   ? "nftables cannot be read without CAP_NET_ADMIN"
				   : "neither IPVS nor chains of kube-proxy are seen: a "
				     "replacement, iptables-legacy, or no kube-proxy");
	kb_finding_means(p,
			 "tc sees a pod's query before them, with the address that the pod sent it "
			 "to; what kbdns leaves goes on to them");
}

void kb_judge_nodelocal(const struct kb_facts *f, struct kb_findings *out)
{
	const char *own = json_string_value(
		json_object_get(json_object_get(f->status, "local"), "interface"));
	struct kb_finding *p;

	if (!f->nodelocal[0]) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "nodelocaldns",
				   "no interface has 169.254.20.10");
		kb_finding_means(p, "no NodeLocal DNSCache in the way");
		return;
	}
	if (own && strcmp(own, f->nodelocal) == 0) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "nodelocaldns",
				   "169.254.20.10 is on kbdnsd's own %s", own);
		kb_finding_means(p, "kbdns stands where NodeLocal DNSCache stood");
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_WARN, "nodelocaldns", "%s has 169.254.20.10%s",
			   f->nodelocal,
			   f->nodelocal_listens ? ", and somebody listens there"
						: ", nobody listens "
						  "there by UDP");
	kb_finding_means(
		p, "NodeLocal DNSCache, or what is left of it: pods that ask 169.254.20.10 are "
		   "not answered by kbdns, and --listen 169.254.20.10 would not start");
	kb_finding_cure(
		p, "kbdnsd --intercept 169.254.20.10 to answer these pods too; or remove NodeLocal "
		   "DNSCache before kbdnsd listens there");
}

void kb_judge_dns(const struct kb_facts *f, struct kb_findings *out)
{
	static const char *const rcodes[] = {"NOERROR",	 "FORMERR", "SERVFAIL",
					     "NXDOMAIN", "NOTIMP",  "REFUSED"};
	struct kb_finding *p;

	if (!f->dns[0]) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "cluster-dns",
				   "not asked, its address is not "
				   "known");
		kb_finding_means(p, "whether the node reaches it was not tried");
		kb_finding_cure(p, "kbdnsctl doctor --dns ADDRESS");
		return;
	}
	if (f->dns_r < 0) {
		p = kb_finding_add(out, KB_DOCTOR_WARN, "cluster-dns", "%s, asked from here: %s",
				   f->dns,
				   f->dns_r == -EINVAL ? "not an address" : strerror(-f->dns_r));
		kb_finding_means(p,
				 "what kbdns leaves goes there: external names, and all names when "
				 "kbdnsd is gone");
		kb_finding_cure(p, "is CoreDNS up, and are Services handled on this node? "
				   "kubectl -n kube-system get pods,endpointslices");
		return;
	}
	if (f->dns_r == 0 && f->dns_answers) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "cluster-dns",
				   "%s knows kubernetes.default.svc (%.1f ms)", f->dns,
				   (double)f->dns_us / 1000);
		kb_finding_means(p, "what kbdns leaves is answered");
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_WARN, "cluster-dns",
			   "%s, asked for kubernetes.default.svc: %s without an answer", f->dns,
			   f->dns_r < 6 ? rcodes[f->dns_r] : "an error");
	kb_finding_means(p,
			 "it is not this cluster's DNS, its domain is another one, or it is not in "
			 "order");
	kb_finding_cure(p, "kubectl -n kube-system logs of CoreDNS; kbdnsd --cluster-domain");
}
