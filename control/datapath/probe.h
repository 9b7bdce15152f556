/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel lets kbdns do, found by doing it, and who else is at the hooks that kbdns uses.
 *
 * The trials run in a child process in a network namespace of its own, without pins: whatever way
 * it ends, nothing is left of it. Any thread of a process that may fork.
 */
#ifndef KB_DATAPATH_PROBE_H
#define KB_DATAPATH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/datapath/netdev.h"
#include "control/datapath/nic.h"

enum kb_trial_id {
	KB_TRIAL_MEMLOCK,    /* a map while RLIMIT_MEMLOCK is 0 */
	KB_TRIAL_ARRAY,	     /* an array that user space maps, written there and read back */
	KB_TRIAL_MAP_IN_MAP, /* inner arrays of several sizes */
	KB_TRIAL_RINGBUF,    /* the query log's */
	KB_TRIAL_JIT,	     /* value: bytes of machine code, 0: interpreted */
	KB_TRIAL_PROGRAMS,   /* kbdns_tc, kbdns_xdp and the heartbeat, past the verifier */
	KB_TRIAL_LOCAL,	     /* likewise kbdns_local_in, kbdns_local_out, with socket look-ups */
	KB_TRIAL_TCX,	     /* a tcx link */
	KB_TRIAL_CLSACT,     /* a clsact qdisc with a filter */
	KB_TRIAL_XDP,	     /* a native XDP link on a veth */
	KB_TRIAL_MEMBARRIER, /* MEMBARRIER_CMD_GLOBAL */
	KB_TRIAL_STATS,	     /* run time statistics of programs */
	KB_TRIAL_MAX,
};

#define KB_TRIAL_SKIPPED 1

struct kb_trial {
	int r;		/* 0, -errno, or KB_TRIAL_SKIPPED */
	uint32_t value; /* see above; of programs: instructions that the verifier went through */
	uint32_t ms;	/* how long it took */
	uint64_t bytes; /* of programs: memory of their maps as they are made */
	char text[200]; /* the kernel's reason, or why it was skipped; may be "" */
};

/* 0, or -errno when there can be no child. */
int kb_probe_kernel(struct kb_trial ret[KB_TRIAL_MAX]);

#define KB_HOOK_PROGS 8

struct kb_hook_prog {
	uint32_t id;
	char name[32];
};

/* The programs of one interface; n_ counts all of them, the arrays hold the first. */
struct kb_hooks {
	struct kb_netdev dev;
	struct kb_nic nic; /* not filled for pods' interfaces */
	struct kb_hook_prog tcx[KB_HOOK_PROGS], filter[KB_HOOK_PROGS], xdp;
	size_t n_tcx, n_filter; /* at ingress, in the order they run in */
	const char *xdp_mode;	/* "native", "generic", "offloaded", "" when there is none */
};

/* Calls fn for each interface of this network namespace. 0 or -errno. */
int kb_probe_hooks(void (*fn)(void *arg, const struct kb_hooks *hooks), void *arg);

/* Programs at a cgroup's connect and sendmsg hooks, by which sockets are load balanced. Returns how
 * many there are; `ret` holds the first. */
size_t kb_probe_cgroup(const char *cgroup, struct kb_hook_prog ret[KB_HOOK_PROGS]);

/* Chains of nftables (iptables-nft among them) that tell who handles Services. */
struct kb_nft {
	int r;		 /* 0 or -errno */
	bool kube_proxy; /* kube-proxy's own table: its nftables mode */
	bool iptables;	 /* KUBE-SERVICES in the table nat: its iptables mode */
	bool calico;	 /* chains of Calico */
};
void kb_probe_nft(struct kb_nft *ret);

/* What is pinned in a folder, and whether anything can be. */
struct kb_pins {
	int mounted;		  /* 0; -EMEDIUMTYPE: no bpffs there, or another -errno */
	char at[256];		  /* the folder of it that exists */
	int writable;		  /* 0 or -errno of pinning a map there; nothing of it stays */
	bool exists;		  /* the folder itself */
	uint32_t tables, foreign; /* pinned headers, and those of another layout version */
	uint32_t version;	  /* of the last of these, else of the table */
	int64_t age_ms;		  /* since the last heartbeat of the youngest of ours, -1: none */
	uint32_t links;		  /* attachments that outlive kbdnsd */
	uint32_t others;	  /* entries that no version of kbdns makes */
};
void kb_probe_pins(const char *dir, struct kb_pins *ret);

#endif
