// SPDX-License-Identifier: Apache-2.0
/* Who is at the tc and XDP hooks, network cards, and settings of interfaces. */
#include <stdio.h>
#include <string.h>

#include "control/doctor/judge.h"

#define ORDERS_MAX 8   /* kinds of rows of programs that are told apart */
#define LIST_BYTES 160 /* of interfaces' names */

bool kb_judge_is_ours(const char *program)
{
	return strncmp(program, "kbdns_", 6) == 0;
}

/* Appends to a list; a list that is full ends in "...". */
static void list_add(char list[LIST_BYTES], const char *text)
{
	size_t n = strlen(list);

	if (n + strlen(text) + 8 < LIST_BYTES)
		snprintf(list + n, LIST_BYTES - n, "%s%s", n ? ", " : "", text);
	else if (n >= 3 && strcmp(list + n - 3, "...") != 0)
		snprintf(list + n, LIST_BYTES - n, ", ...");
}

/* One row of programs, which many interfaces have alike. */
struct order {
	char text[LIST_BYTES], interfaces[LIST_BYTES], foreign[32];
	bool ours, before, after; /* ours is there; others stand before it, behind it */
	size_t n;
};

static void add_programs(struct order *o, const struct kb_hook_prog *progs, size_t n)
{
	for (size_t i = 0; i < n && i < KB_HOOK_PROGS; i++) {
		const char *name = progs[i].name[0] ? progs[i].name : "(unnamed)";

		list_add(o->text, name);
		if (kb_judge_is_ours(name)) {
			o->ours = true;
			continue;
		}
		if (!o->foreign[0])
			snprintf(o->foreign, sizeof(o->foreign), "%s", name);
		if (o->ours)
			o->after = true;
		else
			o->before = true;
	}
}

/* tcx programs run before filters. */
static void order_of(const struct kb_hooks *h, struct order *ret)
{
	memset(ret, 0, sizeof(*ret));
	add_programs(ret, h->tcx, h->n_tcx);
	add_programs(ret, h->filter, h->n_filter);
}

static void judge_order(const struct order *o, struct kb_findings *out)
{
	struct kb_finding *p;

	if (!o->foreign[0]) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "tc-hook", "%zu pod interfaces (%s): %s",
				   o->n, o->interfaces, o->ours ? o->text : "no program");
		kb_finding_means(p, "%s", o->ours ? "kbdns is alone there" : "the place is free");
	} else if (o->ours && o->before) {
		p = kb_finding_add(out, KB_DOCTOR_WARN, "tc-hook",
				   "%zu pod interfaces (%s): %s is in front of kbdns: %s", o->n,
				   o->interfaces, o->foreign, o->text);
		kb_finding_means(p,
				 "what it drops, redirects or rewrites kbdns does not see; a query "
				 "that it lets go on is answered");
		kb_finding_cure(p,
				"kbdnsd --tc-order first, or before:%s; or leave it, if it is to "
				"judge queries first",
				o->foreign);
	} else {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "tc-hook", "%zu pod interfaces (%s): %s",
				   o->n, o->interfaces, o->text);
		kb_finding_means(
			p,
			o->ours ? "%s is behind kbdns and does not see queries that kbdns "
				  "answers: its policies and counts are without them"
				: "kbdns would stand in front of %s, which then does not see "
				  "queries that kbdns answers",
			o->foreign);
		kb_finding_cure(p, "kbdnsd --tc-order after:%s, if it has to see them", o->foreign);
	}
}

void kb_judge_tc(const struct kb_facts *f, struct kb_findings *out)
{
	struct order orders[ORDERS_MAX], o;
	struct kb_finding *p;
	size_t n = 0, j;

	if (f->ports_r < 0) {
		p = kb_finding_add(out, KB_DOCTOR_WARN, "tc-hook",
				   "interfaces cannot be listed: %s", strerror(-f->ports_r));
		kb_finding_means(p, "who is at the hooks is not known");
		kb_finding_cure(p, "run as root");
		return;
	}
	for (size_t i = 0; i < f->n_ports; i++) {
		const struct kb_hooks *h = &f->ports[i].hooks;

		if (!kb_netdev_is_pod(&h->dev))
			continue;
		order_of(h, &o);
		for (j = 0; j < n && strcmp(orders[j].text, o.text) != 0; j++)
			;
		if (j == ORDERS_MAX)
			j--;
		else if (j == n)
			orders[n++] = o;
		orders[j].n++;
		list_add(orders[j].interfaces, h->dev.name);
	}
	for (size_t i = 0; i < n; i++)
		judge_order(&orders[i], out);
	if (!n) {
		p = kb_finding_add(
			out, KB_DOCTOR_NOTE, "tc-hook",
			"no veth or netkit whose other end is in another network namespace");
		kb_finding_means(
			p, "no pod to answer to yet, or all pods use the host's network, "
			   "macvlan, ipvlan or SR-IOV, which the packet path does not serve; or "
			   "this is not the host's network namespace");
	}
	if (f->ports_left_out) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "interfaces", "%zu more were not looked at",
				   f->ports_left_out);
		kb_finding_means(p, "what is said of interfaces is of the first %d",
				 KB_DOCTOR_PORTS_MAX);
	}
}

void kb_judge_xdp(const struct kb_facts *f, struct kb_findings *out)
{
	struct kb_finding *p;

	for (size_t i = 0; i < f->n_ports; i++) {
		const struct kb_hooks *h = &f->ports[i].hooks;

		if (!h->xdp_mode[0])
			continue;
		if (kb_judge_is_ours(h->xdp.name)) {
			p = kb_finding_add(out,
					   strcmp(h->xdp_mode, "generic") == 0 ? KB_DOCTOR_WARN
									       : KB_DOCTOR_OK,
					   "xdp-hook", "%s: %s, %s mode", h->dev.name, h->xdp.name,
					   h->xdp_mode);
			kb_finding_means(p, "kbdns answers what comes in there%s",
					 p->level == KB_DOCTOR_WARN ? ", more slowly than by tc"
								    : "");
			continue;
		}
		p = kb_finding_add(out, KB_DOCTOR_WARN, "xdp-hook",
				   "%s: another XDP program, %s (id %u), %s mode", h->dev.name,
				   h->xdp.name[0] ? h->xdp.name : "unnamed", h->xdp.id,
				   h->xdp_mode);
		kb_finding_means(
			p,
			"it sees packets before kbdns; kbdnsd --xdp %s would be refused, tc "
			"is not concerned",
			h->dev.name);
		kb_finding_cure(p,
				"--tc or --pods for pods; or detach it: ip link set dev %s xdp off",
				h->dev.name);
	}
}

/* A card, or something that stands for one: frames with tags come in by it. */
static bool is_card(const struct kb_hooks *h)
{
	if (strcmp(h->dev.name, "lo") == 0 || kb_netdev_is_pod(&h->dev))
		return false;
	return !h->dev.kind[0] || h->nic.vlan[0] || strcmp(h->dev.kind, "bond") == 0;
}

void kb_judge_cards(const struct kb_facts *f, struct kb_findings *out)
{
	for (size_t i = 0; i < f->n_ports; i++) {
		const struct kb_hooks *h = &f->ports[i].hooks;
		enum kb_nic_verdict verdict;
		struct kb_finding *p;
		char why[KB_FINDING_TEXT];

		if (!is_card(h))
			continue;
		verdict = kb_nic_judge(&h->nic, h->dev.name, why, sizeof(why));
		p = kb_finding_add(out,
				   verdict == KB_NIC_GOOD  ? KB_DOCTOR_OK
				   : verdict == KB_NIC_BAD ? KB_DOCTOR_WARN
							   : KB_DOCTOR_NOTE,
				   "card", "%s: driver %s, MTU %u%s%s", h->dev.name,
				   h->nic.driver[0] ? h->nic.driver : "(none)", h->dev.mtu,
				   h->nic.vlan[0] ? ", under " : "", h->nic.vlan);
		kb_finding_means(p, "%s",
				 verdict == KB_NIC_GOOD ? "known to have native XDP" : why);
		if (verdict != KB_NIC_BAD)
			continue;
		if (h->nic.rxvlan && h->nic.vlan[0])
			kb_finding_cure(p, "ethtool -K %s rxvlan off, before --xdp %s", h->dev.name,
					h->dev.name);
		else
			kb_finding_cure(p, "another interface for --xdp; pods need none");
	}
}

static void judge_rp_filter(const struct kb_facts *f, struct kb_findings *out)
{
	char strict[LIST_BYTES] = "";
	struct kb_finding *p;

	for (size_t i = 0; i < f->n_ports; i++) {
		const struct kb_netdev *dev = &f->ports[i].hooks.dev;

		if (f->ports[i].rp_filter == 1 && strcmp(dev->name, "lo") != 0)
			list_add(strict, dev->name);
	}
	if (!strict[0]) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "rp-filter", "nowhere strict");
		kb_finding_means(p, "no packet is dropped for the way it came in by");
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_NOTE, "rp-filter", "strict (1) on %s", strict);
	kb_finding_means(
		p, "the packet path answers before the kernel looks at it; what kbdns leaves is "
		   "dropped where the way back to the client is another interface. Some CNIs "
		   "want it so for pods");
	kb_finding_cure(
		p, "if queries are lost: sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2, for all "
		   "as well");
}

static void judge_mtu(const struct kb_facts *f, struct kb_findings *out)
{
	const struct kb_netdev *uplink = NULL, *pod = NULL;
	struct kb_finding *p;

	for (size_t i = 0; i < f->n_ports; i++) {
		const struct kb_netdev *dev = &f->ports[i].hooks.dev;

		if (f->uplink[0] && strcmp(dev->name, f->uplink) == 0)
			uplink = dev;
		if (kb_netdev_is_pod(dev) && (!pod || dev->mtu > pod->mtu))
			pod = dev;
	}
	if (!uplink || !pod)
		return;
	p = kb_finding_add(out, pod->mtu > uplink->mtu ? KB_DOCTOR_WARN : KB_DOCTOR_OK, "mtu",
			   "pods up to %u (%s), the way out %u (%s)", pod->mtu, pod->name,
			   uplink->mtu, uplink->name);
	if (pod->mtu <= uplink->mtu) {
		kb_finding_means(p, "what leaves a pod fits on the wire");
		return;
	}
	kb_finding_means(
		p, "large packets of pods do not fit on the wire; of DNS this concerns TCP and "
		   "what goes to the cluster DNS on another node, not answers of kbdns");
	kb_finding_cure(p, "the CNI's MTU at most that of %s", uplink->name);
}

void kb_judge_links(const struct kb_facts *f, struct kb_findings *out)
{
	struct kb_finding *p;

	judge_rp_filter(f, out);
	judge_mtu(f, out);
	p = kb_finding_add(out, KB_DOCTOR_NOTE, "hugepages", "%llu reserved",
			   (unsigned long long)f->hugepages);
	kb_finding_means(p, "for kbdns-dpdk alone, which also runs without them (--no-huge), more "
			    "slowly");
}
