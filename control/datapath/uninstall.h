/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes away what kbdnsd has left on this node, running or dead, and looks that it has gone: the
 * BPF objects by their ids, since a pin that is removed proves nothing while a process holds the
 * object. For kbdnsctl; in kbdnsd's network namespace; any one thread.
 */
#ifndef KB_DATAPATH_UNINSTALL_H
#define KB_DATAPATH_UNINSTALL_H

#include <stddef.h>

enum kb_uninstall_what {
	KB_UNINSTALL_REMOVED, /* it was there, and is not any more */
	KB_UNINSTALL_LEFT,    /* it is still there; `thing` says who holds it, if that is known */
	KB_UNINSTALL_OTHER,   /* a program of kbdns, but not of this folder; left alone */
};

typedef void (*kb_uninstall_fn)(void *arg, enum kb_uninstall_what what, const char *thing);

struct kb_uninstall;

/*
 * Lists what there is of the kbdnsd that pins in `dir` (its --bpffs): all that is pinned there, our
 * filters and qdiscs on the interfaces of this network namespace, the interface of local mode with
 * its addresses. Call it while a kbdnsd that is going to be stopped still runs: what that lets go
 * of by itself is looked for, too. 0, or -EINVAL if dir is there and no folder of a bpffs, or
 * another -errno, with one line in err.
 */
int kb_uninstall_new(const char *dir, struct kb_uninstall **ret, char *err, size_t err_size);

/*
 * Removes all that, and waits some seconds for the kernel to let go of what it frees later.
 * Returns how many things are left; or -EBUSY if a kbdnsd uses the folder, or another -errno,
 * with one line in err, and then nothing has been touched.
 */
int kb_uninstall_run(struct kb_uninstall *u, kb_uninstall_fn tell, void *arg, char *err,
		     size_t err_size);
/* Takes NULL. */
void kb_uninstall_free(struct kb_uninstall *u);

#endif
