// SPDX-License-Identifier: Apache-2.0
/* What the kernel did when it was tried, and what whoever runs this may do. */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "control/doctor/judge.h"

#define MIB (1024.0 * 1024)
/* kbdnsd itself with a small cluster: 10.7 MB resident, by VmHWM; rounded up for the stack of
 * connections and the verifier's moment. It grows with the cluster. */
#define DAEMON_BYTES (16U << 20)
#define AMPLE_BYTES  (64U << 20)

/* Younger than some headers. */
#define CAP_PERFMON_BIT 38
#define CAP_BPF_BIT	39

void kb_judge_caps(const struct kb_facts *f, struct kb_findings *out)
{
	static const struct {
		int bit, also;
		const char *name;
	} wanted[] = {
		{CAP_BPF_BIT, CAP_SYS_ADMIN, "CAP_BPF"},
		{CAP_NET_ADMIN, CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_PERFMON_BIT, CAP_SYS_ADMIN, "CAP_PERFMON"},
	};
	char missing[64] = "";
	struct kb_finding *p;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (f->caps & (1ULL << wanted[i].bit | 1ULL << wanted[i].also))
			continue;
		if (missing[0])
			strcat(missing, ", ");
		strcat(missing, wanted[i].name);
	}
	if (!missing[0]) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "capabilities",
				   "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or more than these");
		kb_finding_means(p, "programs can be loaded and attached by who asks now; kbdnsd "
				    "needs the same");
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_FAIL, "capabilities", "without %s", missing);
	kb_finding_means(p,
			 "a kbdnsd that is started so cannot load or attach its programs, and what "
			 "follows here is not the whole truth");
	kb_finding_cure(
		p, "run as root, or give %s (in a container: securityContext.capabilities.add)",
		missing);
}

struct row {
	enum kb_trial_id id;
	enum kb_level level; /* when it did not work */
	const char *name, *works, *use, *broken, *cure;
};

#define NEWER_KERNEL "a newer kernel: kbdns needs Linux 6.1"

static const struct row rows[] = {
	{KB_TRIAL_ARRAY, KB_DOCTOR_FAIL, "map-mmap", "an array map written from user space",
	 "the table is written without system calls", "there can be no table", NEWER_KERNEL},
	{KB_TRIAL_MAP_IN_MAP, KB_DOCTOR_FAIL, "map-in-map",
	 "inner arrays of several sizes in one map (BPF_F_INNER_MAP)",
	 "the table grows while it is read", "there can be no table", NEWER_KERNEL},
	{KB_TRIAL_RINGBUF, KB_DOCTOR_FAIL, "ring-buffer", "a ring buffer",
	 "the query log and trace see queries of the packet path",
	 "the programs have one and are not loaded", NEWER_KERNEL},
	{KB_TRIAL_PROGRAMS, KB_DOCTOR_FAIL, "programs", "kbdns_tc and kbdns_xdp",
	 "the packet path runs on this kernel", "nothing is answered in the packet path",
	 "the reason above: kbdnsd --log-level debug shows the verifier's log"},
	{KB_TRIAL_LOCAL, KB_DOCTOR_WARN, "programs-local", "kbdns_local_in and kbdns_local_out",
	 "local mode runs on this kernel, its look-up of sockets too",
	 "--mode local does not work, transparent mode does", NEWER_KERNEL},
	{KB_TRIAL_MEMBARRIER, KB_DOCTOR_NOTE, "membarrier", "MEMBARRIER_CMD_GLOBAL",
	 "memory of old answers is reused after one system call",
	 "kbdnsd waits for readers by a map's update instead, which does the same", ""},
	{KB_TRIAL_STATS, KB_DOCTOR_NOTE, "bpf-stats", "run time statistics of programs",
	 "bpftool prog shows what the programs cost", "bpftool prog cannot show what they cost",
	 ""},
};

static const char *tried(const struct kb_trial *t)
{
	return t->text[0] ? t->text : "refused";
}

static void judge_row(const struct row *row, const struct kb_trial *t, struct kb_findings *out)
{
	struct kb_finding *p;

	if (t->r != 0) {
		p = kb_finding_add(out, t->r < 0 ? row->level : KB_DOCTOR_NOTE, row->name, "%s: %s",
				   row->works, tried(t));
		kb_finding_means(p, "%s", t->r < 0 ? row->broken : "not known");
		/* Whoever may not is told so by the capabilities. */
		if (t->r == -EPERM)
			kb_finding_cure(p, "run as root, or with the capabilities above");
		else if (t->r == -ENOMEM)
			kb_finding_cure(p, "more memory: see memory");
		else if (t->r < 0 && row->cure[0])
			kb_finding_cure(p, "%s", row->cure);
		return;
	}
	if (row->id == KB_TRIAL_PROGRAMS || row->id == KB_TRIAL_LOCAL)
		p = kb_finding_add(out, KB_DOCTOR_OK, row->name,
				   "%s are accepted by the verifier in %" PRIu32 " ms (%" PRIu32
				   " instructions looked at)",
				   row->works, t->ms, t->value);
	else
		p = kb_finding_add(out, KB_DOCTOR_OK, row->name, "%s works", row->works);
	kb_finding_means(p, "%s", row->use);
}

static void judge_jit(const struct kb_trial *t, struct kb_findings *out)
{
	struct kb_finding *p;

	if (t->r != 0)
		return; /* programs are not loaded at all, which is said elsewhere */
	if (t->value) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "jit", "programs become machine code");
		kb_finding_means(p, "the packet path is as fast as it can be");
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_WARN, "jit", "programs are interpreted");
	kb_finding_means(p, "every packet of a pod costs several times as much");
	kb_finding_cure(p, "sysctl -w net.core.bpf_jit_enable=1");
}

static void judge_memlock(const struct kb_trial *t, struct kb_findings *out)
{
	struct kb_finding *p;

	if (t->r == 0) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "memlock",
				   "a map is made while RLIMIT_MEMLOCK is 0");
		kb_finding_means(p, "map memory counts against the cgroup, the limit does not "
				    "matter");
	} else if (t->r == -EPERM) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "memlock",
				   "no map can be made while RLIMIT_MEMLOCK is 0");
		kb_finding_means(p, "either this kernel counts map memory against RLIMIT_MEMLOCK, "
				    "which kbdnsd then raises, or capabilities are missing");
		kb_finding_cure(p, "CAP_SYS_RESOURCE, or LimitMEMLOCK=infinity in the unit");
	}
}

void kb_judge_trials(const struct kb_facts *f, struct kb_findings *out)
{
	struct kb_finding *p;

	if (f->trials_r < 0) {
		p = kb_finding_add(out, KB_DOCTOR_FAIL, "kernel", "nothing could be tried: %s",
				   strerror(-f->trials_r));
		kb_finding_means(p, "whether this kernel runs kbdns is not known");
		kb_finding_cure(p, "free memory or processes");
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		judge_row(&rows[i], &f->trial[rows[i].id], out);
	judge_jit(&f->trial[KB_TRIAL_JIT], out);
	judge_memlock(&f->trial[KB_TRIAL_MEMLOCK], out);
	p = kb_finding_add(out, KB_DOCTOR_NOTE, "kernel", "Linux %s, %s", f->release,
			   f->btf ? "with BTF" : "without BTF");
	kb_finding_means(p,
			 "for information: what it can do was tried above; kbdns needs no BTF of "
			 "the kernel");
}

void kb_judge_attach(const struct kb_facts *f, struct kb_findings *out)
{
	const struct kb_trial *tcx = &f->trial[KB_TRIAL_TCX], *cls = &f->trial[KB_TRIAL_CLSACT],
			      *xdp = &f->trial[KB_TRIAL_XDP];
	struct kb_finding *p;

	if (f->trials_r < 0)
		return;
	if (tcx->r == 0) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "tcx",
				   "a program was attached by a tcx link");
		kb_finding_means(p, "pods are attached to without a qdisc, in a place among other "
				    "programs that --tc-order chooses");
	} else if (cls->r == 0) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "tcx", "no tcx (%s); clsact works",
				   tried(tcx));
		kb_finding_means(p, "pods are attached to by filters of a clsact qdisc; Linux 6.6 "
				    "has tcx");
	} else {
		p = kb_finding_add(out, cls->r < 0 ? KB_DOCTOR_FAIL : KB_DOCTOR_WARN, "tcx",
				   "no tcx (%s), and clsact: %s", tried(tcx), tried(cls));
		kb_finding_means(p, "pods cannot be attached to");
		kb_finding_cure(
			p, "%s",
			tcx->r == -EPERM
				? "run as root, or with the capabilities above"
				: "Linux 6.6, or modules sch_ingress and cls_bpf (CONFIG_NET_"
				  "SCH_INGRESS, CONFIG_NET_CLS_BPF)");
	}
	if (xdp->r == 0) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "xdp",
				   "a native XDP program was attached to a veth");
		kb_finding_means(p, "--xdp works where the card's driver does, see cards");
	} else {
		p = kb_finding_add(out, xdp->r < 0 ? KB_DOCTOR_WARN : KB_DOCTOR_NOTE, "xdp",
				   "native XDP on a veth: %s", tried(xdp));
		kb_finding_means(p, "%s",
				 xdp->r < 0 ? "--xdp does not work; pods need tc only"
					    : "not known; pods need tc only");
		if (xdp->r == -EPERM)
			kb_finding_cure(p, "run as root, or with the capabilities above");
	}
}

void kb_judge_memory(const struct kb_facts *f, struct kb_findings *out)
{
	json_t *table = json_object_get(f->status, "table");
	uint64_t maps = f->trial[KB_TRIAL_PROGRAMS].bytes, need;
	struct kb_finding *p;

	maps += (uint64_t)json_integer_value(json_object_get(table, "index_bytes")) +
		(uint64_t)json_integer_value(json_object_get(table, "arena_bytes"));
	need = maps + DAEMON_BYTES;
	if (f->memory_max == UINT64_MAX) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "memory",
				   "no memory limit; the maps take %.1f MiB%s", (double)maps / MIB,
				   f->status ? " with the table as it is" : " without a table");
		kb_finding_means(p, "%.0f MiB or more are needed, by the size of the cluster",
				 (double)need / MIB);
		return;
	}
	p = kb_finding_add(out,
			   f->memory_max < need		 ? KB_DOCTOR_FAIL
			   : f->memory_max < AMPLE_BYTES ? KB_DOCTOR_WARN
							 : KB_DOCTOR_OK,
			   "memory", "%s is %.0f MiB; the maps take %.1f MiB", f->cgroup,
			   (double)f->memory_max / MIB, (double)maps / MIB);
	kb_finding_means(p,
			 "%.0f MiB or more are needed, by the size of the cluster; beyond the "
			 "limit kbdnsd is killed, and pods go on by the cluster DNS",
			 (double)need / MIB);
	if (f->memory_max < AMPLE_BYTES)
		kb_finding_cure(p, "a limit of 64 MiB or more for kbdnsd's container or unit");
}
