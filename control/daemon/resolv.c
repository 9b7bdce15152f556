/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolv.conf files that servers are taken from: the node's, and those that a Corefile's
 * forward directives name. One that cannot be read any more, or has lost its servers, says what it
 * said before.
 */
#include <stdlib.h>
#include <string.h>

#include "control/daemon/daemon.h"
#include "control/log.h"

static int read_file(struct kb_daemon_resolv *f)
{
	int r = kb_resolv_conf_read(f->path, &f->conf);

	if (r < 0)
		kb_log_warn("%s: %s, check --resolv-conf or the Corefile", f->path, strerror(-r));
	return r;
}

const struct kb_resolv_conf *kb_daemon_resolv(struct kb_daemon *d, const char *path)
{
	static const struct kb_resolv_conf none;
	struct kb_daemon_resolv *f;

	for (size_t i = 0; i < d->n_resolv; i++) {
		if (strcmp(d->resolv[i].path, path) == 0)
			return &d->resolv[i].conf;
	}
	f = d->n_resolv < KB_RESOLV_FILES_MAX ? &d->resolv[d->n_resolv] : NULL;
	if (f)
		f->path = strdup(path);
	if (!f || !f->path) {
		kb_log_error("%s: more than %d files of servers, or no memory: it is not read, "
			     "name fewer",
			     path, KB_RESOLV_FILES_MAX);
		return &none;
	}
	d->n_resolv++;
	read_file(f);
	return &f->conf;
}

static bool changed(struct kb_daemon_resolv *f)
{
	struct kb_resolv_conf before = f->conf;

	if (!kb_resolv_conf_changed(f->path, &f->conf) || read_file(f) < 0)
		return false;
	if (!f->conf.n && before.n) {
		kb_log_warn("%s names no server any more; those of before stay in force", f->path);
		before.seen = f->conf.seen;
		f->conf = before;
		return false;
	}
	return true;
}

bool kb_daemon_resolv_changed(struct kb_daemon *d)
{
	bool any = false;

	for (size_t i = 0; i < d->n_resolv; i++)
		any |= changed(&d->resolv[i]);
	return any;
}

void kb_daemon_resolv_fini(struct kb_daemon *d)
{
	for (size_t i = 0; i < d->n_resolv; i++)
		free(d->resolv[i].path);
}
