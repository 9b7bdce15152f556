/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is gathered of a node, without a judgement; judge.h makes findings of it. A fact that could
 * not be had says so itself.
 */
#ifndef KB_DOCTOR_FACTS_H
#define KB_DOCTOR_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/datapath/probe.h"

struct kb_doctor_config {
	const char *socket; /* of kbdnsd */
	const char *bpffs;  /* its folder there */
	const char *dns;    /* address of the cluster DNS, NULL: as kbdnsd says */
};

#define KB_DOCTOR_PORTS_MAX 1024

struct kb_doctor_port {
	struct kb_hooks hooks;
	int rp_filter; /* in force: the greater of all's and its own; -1 unknown */
};

struct kb_facts {
	struct kb_doctor_config config; /* borrowed */

	int trials_r; /* -errno: none was made */
	struct kb_trial trial[KB_TRIAL_MAX];
	char release[65]; /* of the kernel */
	uint64_t caps;	  /* effective, bit CAP_ */
	bool btf;	  /* of the kernel */

	struct kb_pins pins;

	int ports_r;
	struct kb_doctor_port *ports; /* owned */
	size_t n_ports, ports_left_out;

	char cni_file[64]; /* first configuration in /etc/cni/net.d, or "" */
	struct kb_hook_prog sock[KB_HOOK_PROGS];
	size_t n_sock; /* at the cgroups' connect and sendmsg hooks */
	struct kb_nft nft;
	bool ipvs_dns;	    /* the address asked is a virtual server of IPVS */
	size_t ipvs;	    /* virtual servers */
	char nodelocal[16]; /* interface with 169.254.20.10, or "" */
	bool nodelocal_listens;

	char uplink[16];     /* interface of the default route, or "" */
	char cgroup[256];    /* where the limit below is set, or "" */
	uint64_t memory_max; /* bytes, UINT64_MAX: none */
	uint64_t hugepages;  /* reserved */

	char dns[64]; /* the address that was asked, or "" */
	int dns_r;    /* rcode, or -errno */
	uint32_t dns_answers, dns_us;

	int daemon_r;		/* 0, or -errno: it was not reached */
	json_t *status, *stats; /* owned, of kbdnsd; NULL */
};

/* Never fails. kb_facts_fini afterwards. */
void kb_facts_gather(const struct kb_doctor_config *config, struct kb_facts *ret);
void kb_facts_fini(struct kb_facts *facts);

/* Parts of it, in this order. dns.c: after what kbdnsd says. */
void kb_facts_dns(struct kb_facts *f);
/* node.c */
void kb_facts_node(struct kb_facts *f);

#endif
