// SPDX-License-Identifier: Apache-2.0
/* bpffs and what stands there. */
#include <errno.h>
#include <string.h>

#include "control/doctor/judge.h"
#include "dataplane/core/layout.h"

void kb_judge_bpffs(const struct kb_facts *f, struct kb_findings *out)
{
	const struct kb_pins *pins = &f->pins;
	struct kb_finding *p;

	if (pins->mounted < 0) {
		p = kb_finding_add(out, KB_DOCTOR_FAIL, "bpffs", "%s: %s", f->config.bpffs,
				   pins->mounted == -EMEDIUMTYPE ? "no bpffs is mounted there"
								 : strerror(-pins->mounted));
		kb_finding_means(p,
				 "kbdnsd does not start: the table and the attachments live there "
				 "while it does not");
		kb_finding_cure(
			p, "%s",
			pins->mounted == -EMEDIUMTYPE
				? "mount -t bpf bpf /sys/fs/bpf, or --bpffs; in a container "
				  "mount the host's with mountPropagation: HostToContainer"
			: pins->mounted == -EINVAL ? "an absolute path for --bpffs"
						   : "run as root, or as the owner");
		return;
	}
	if (pins->writable < 0) {
		p = kb_finding_add(out, KB_DOCTOR_FAIL, "bpffs",
				   "%s: a map cannot be pinned there: %s", pins->at,
				   strerror(-pins->writable));
		kb_finding_means(p, "kbdnsd does not start: it cannot pin its table");
		kb_finding_cure(
			p, "%s",
			pins->writable == -EPERM || pins->writable == -EACCES
				? "run as root, or as the owner with the capabilities above"
				: "mount -o remount,rw it; in a container mount it writable");
		return;
	}
	p = kb_finding_add(out, KB_DOCTOR_OK, "bpffs", "%s: a map was pinned there and removed",
			   pins->at);
	kb_finding_means(p, "the table and the attachments outlive kbdnsd");
}

void kb_judge_pinned(const struct kb_facts *f, struct kb_findings *out)
{
	const struct kb_pins *pins = &f->pins;
	const char *dir = f->config.bpffs;
	struct kb_finding *p;

	if (pins->mounted < 0)
		return;
	if (!pins->exists || (!pins->tables && !pins->links && !pins->others)) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "pinned", "%s: nothing", dir);
		kb_finding_means(p, "a kbdnsd that starts makes a new table");
	} else if (pins->foreign) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "pinned",
				   "%s: a table of layout version %u, this is %u; %u attachments",
				   dir, pins->version, KB_LAYOUT_VERSION, pins->links);
		kb_finding_means(p,
				 "another version of kbdns has left it, or runs now; a kbdnsd of "
				 "this one makes a table beside it, and switches when it has "
				 "synced");
		kb_finding_cure(p, "if nobody needs it: kbdnsctl uninstall --bpffs %s", dir);
	} else if (pins->tables && pins->age_ms >= 0) {
		p = kb_finding_add(
			out, KB_DOCTOR_OK, "pinned",
			"%s: a table of layout version %u, last heartbeat %.1f s ago, %u "
			"attachments",
			dir, pins->version, (double)pins->age_ms / 1000, pins->links);
		kb_finding_means(p, "a kbdnsd that starts takes it over");
		if (f->daemon_r < 0)
			kb_finding_cure(p,
					"without kbdnsd its programs leave all queries soon: start "
					"it, or remove all with kbdnsctl uninstall");
	} else {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "pinned",
				   "%s: %u tables without a heartbeat, %u attachments", dir,
				   pins->tables, pins->links);
		kb_finding_means(p, "left by a kbdnsd that did not come up; its programs answer "
				    "nothing, and the next one replaces them");
		kb_finding_cure(p, "kbdnsctl uninstall, if kbdnsd is not to come back");
	}
	if (pins->others) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "pinned-others",
				   "%s: %u entries that are not of kbdns", dir, pins->others);
		kb_finding_means(p, "kbdnsd leaves them alone");
		kb_finding_cure(p, "a folder of its own: --bpffs");
	}
}
