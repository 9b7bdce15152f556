/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kbdnsd per run directory: RUN_DIR/kbdnsd.lock, held by flock(2) and holding the
 * pid as text.
 */
#ifndef KB_CTL_RUN_LOCK_H
#define KB_CTL_RUN_LOCK_H

#include <stddef.h>

/* Makes run_dir if missing. Returns 0 and the lock's fd (closed by
 * kb_run_lock_release), -EBUSY when another process holds it, or -errno; with one
 * line in err. */
int kb_run_lock_take(const char *run_dir, int *ret_fd, char *err, size_t err_size);
/* The lock came from its former owner with its fd: says that it is ours. 0 or -errno. */
int kb_run_lock_adopt(int fd);
/* Removes the file and lets go. */
void kb_run_lock_release(const char *run_dir, int fd);

#endif
