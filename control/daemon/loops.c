/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams that ask us in turn are left out of the routes until they do not any more.
 *
 * A round of probes (control/forward/loops.h) follows each change of routes and each SIGHUP, and as
 * long as some are left out another one every AGAIN_MS: it asks those of the default group and
 * those left out. Stub domains' servers are not asked: a name for them would have to exist in
 * their domain.
 */
#include <string.h>

#include "control/daemon/daemon.h"
#include "control/log.h"

#define SENDS	 3  /* ticks at which questions are sent */
#define TICKS	 10 /* of a round: 5 s, after which nobody asks again */
#define AGAIN_MS 60000

bool kb_daemon_is_looping(const struct kb_daemon *d, const struct kb_upstream_spec *spec)
{
	for (size_t i = 0; i < d->loops.n; i++) {
		if (kb_upstream_spec_same(&d->loops.v[i], spec))
			return true;
	}
	return false;
}

void kb_daemon_loops_again(struct kb_daemon *d)
{
	d->loops.due = true;
}

static void begin(struct kb_daemon *d)
{
	const struct kb_group *root = &kb_forward_routes(d->forward)->root;
	struct kb_upstream_spec specs[KB_LOOPS_MAX];
	size_t n = 0;

	_Static_assert(KB_LOOPS_MAX >= KB_GROUP_MAX + KB_LOOPING_MAX, "all have room");
	/* Where UDP is not to be used, the question is not sent either. */
	for (size_t i = 0; i < root->n && !root->options.force_tcp; i++)
		specs[n++] = root->v[i]->spec;
	d->loops.n_asked = n;
	for (size_t i = 0; i < d->loops.n; i++)
		specs[n++] = d->loops.v[i];
	kb_loops_begin(kb_forward_loops(d->forward), specs, n);
	d->loops.due = false;
	d->loops.ticks = 1;
	d->loops.began_ms = uv_now(d->loop);
}

/* One of the default group whose question has come back. */
static bool leave_out(struct kb_daemon *d, const struct kb_upstream_spec *spec)
{
	char text[KB_UPSTREAM_TEXT_MAX];

	if (kb_daemon_is_looping(d, spec) || d->loops.n == KB_LOOPING_MAX)
		return false;
	d->loops.v[d->loops.n++] = *spec;
	d->loops.stats.found++;
	d->loops.stats.now = d->loops.n;
	kb_log_error(
		"upstream %s asks us in turn: a loop. It is left out until that has ended; let "
		"it ask a server outside the cluster",
		kb_format_upstream(spec, text));
	return true;
}

/* At the end of a round: those left out whose question has not come back. */
static bool take_back(struct kb_daemon *d)
{
	struct kb_loops *loops = kb_forward_loops(d->forward);
	char text[KB_UPSTREAM_TEXT_MAX];
	size_t kept = 0, n = d->loops.n;

	for (size_t i = 0; i < n; i++) {
		if (kb_loops_seen(loops, d->loops.n_asked + i))
			d->loops.v[kept++] = d->loops.v[i];
		else
			kb_log_info("upstream %s does not ask us any more: it is asked again",
				    kb_format_upstream(&d->loops.v[i], text));
	}
	d->loops.n = kept;
	d->loops.stats.now = kept;
	return kept != n;
}

void kb_daemon_loops_tick(struct kb_daemon *d)
{
	struct kb_daemon_loops *l = &d->loops;
	struct kb_loops *loops;
	bool changed = false, over = l->ticks >= TICKS;
	char err[256] = "";

	if (!d->forward || !d->server)
		return;
	loops = kb_forward_loops(d->forward);
	if (l->n && !l->ticks && uv_now(d->loop) - l->began_ms >= AGAIN_MS)
		l->due = true;
	if (l->due)
		begin(d);
	if (!l->ticks)
		return;
	if (l->ticks <= SENDS)
		kb_loops_send(loops);
	for (size_t i = 0; i < l->n_asked; i++) {
		if (kb_loops_seen(loops, i))
			changed |= leave_out(d, &loops->v[i].spec);
	}
	if (over && !changed)
		changed = take_back(d);
	if (over)
		kb_loops_end(loops);
	l->ticks = over ? 0 : l->ticks + 1;
	/* Makes another round due, with what is left. */
	if (changed && kb_daemon_forward_update(d, err, sizeof(err)) < 0)
		kb_log_error("%s; upstreams stay as they were", err);
}
