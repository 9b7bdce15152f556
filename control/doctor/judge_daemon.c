// SPDX-License-Identifier: Apache-2.0
/* What the running kbdnsd says of itself, and what that means. */
#include <errno.h>
#include <string.h>

#include "control/doctor/judge.h"

static const char *text(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static void judge_absence(const struct kb_facts *f, struct kb_findings *out)
{
	bool runs = f->daemon_r != -ENOENT && f->daemon_r != -ECONNREFUSED;
	struct kb_finding *p = kb_finding_add(
		out, runs ? KB_DOCTOR_WARN : KB_DOCTOR_NOTE, "kbdnsd", "%s: %s", f->config.socket,
		runs ? strerror(-f->daemon_r) : "nothing listens, kbdnsd does not run");

	kb_finding_means(p, "%s",
			 runs ? "what kbdnsd knows is missing here"
			      : "pods ask the cluster DNS as if kbdns were not installed");
	kb_finding_cure(p, "%s",
			runs ? "run as root or as kbdnsd's user; if it hangs, see its log"
			     : "start kbdnsd; if it runs elsewhere, -s SOCKET");
}

static void judge_state(json_t *status, struct kb_findings *out)
{
	const char *state = text(status, "state"), *reason = text(status, "reason");
	bool full = strcmp(state, "full") == 0;
	bool bypass = json_is_true(json_object_get(json_object_get(status, "bypass"), "on"));
	json_t *age = json_object_get(status, "age_s");
	struct kb_finding *p;

	p = kb_finding_add(out,
			   full					  ? KB_DOCTOR_OK
			   : bypass || strcmp(state, "hits") == 0 ? KB_DOCTOR_WARN
								  : KB_DOCTOR_FAIL,
			   "kbdnsd", "version %s, pid %" JSON_INTEGER_FORMAT ", state %s%s%s",
			   text(status, "version"),
			   json_integer_value(json_object_get(status, "pid")), state,
			   *reason ? ": " : "", reason);
	kb_finding_means(
		p, "%s",
		full ? "the packet path answers all that it owns"
		: strcmp(state, "hits") == 0
			? "names that exist are answered, what does not is left to the cluster DNS"
			: "nothing is answered, the cluster DNS gets every query");
	if (bypass)
		kb_finding_cure(p, "kbdnsctl bypass off");
	else if (!full)
		kb_finding_cure(p,
				"what the reason names; see also source and attach below, and the "
				"log of kbdnsd");
	if (json_is_number(age)) {
		p = kb_finding_add(out, KB_DOCTOR_NOTE, "age", "data are %.1f s old at most",
				   json_number_value(age));
		kb_finding_means(
			p, "so long ago the source gave a sign of life; over --max-age the state "
			   "is off");
	}
}

static bool is_refusal(const char *error)
{
	return strstr(error, "403") || strstr(error, "401") || strstr(error, "orbidden") ||
	       strstr(error, "nauthorized");
}

static void judge_source(json_t *source, struct kb_findings *out)
{
	struct kb_finding *p;
	json_t *kind;
	size_t i;

	json_array_foreach(json_object_get(source, "kinds"), i, kind)
	{
		bool synced = json_is_true(json_object_get(kind, "synced"));
		const char *error = text(kind, "error"), *name = text(kind, "kind");

		if (synced && !*error)
			continue;
		p = kb_finding_add(out, synced ? KB_DOCTOR_WARN : KB_DOCTOR_FAIL, "source",
				   "%s from %s: %s%s%s", name, text(source, "name"),
				   synced ? "synced, but now" : "not synced", *error ? ": " : "",
				   error);
		kb_finding_means(p, "%s",
				 synced ? "answers get old; over --max-age nothing is answered"
					: "nothing is answered before all kinds are synced");
		if (is_refusal(error))
			kb_finding_cure(p, "RBAC: the account of kbdnsd needs list and watch on %s",
					name);
		else
			kb_finding_cure(p, "reach the API server: address, certificate, token");
	}
}

static void judge_interfaces(json_t *interfaces, struct kb_findings *out)
{
	size_t i, attached = 0, failed = 0;
	struct kb_finding *p;
	json_t *port;

	json_array_foreach(interfaces, i, port)
	{
		if (json_is_true(json_object_get(port, "attached"))) {
			attached++;
			continue;
		}
		failed++;
		p = kb_finding_add(out, KB_DOCTOR_WARN, "attach", "%s (%s): %s", text(port, "name"),
				   text(port, "engine"),
				   *text(port, "error") ? text(port, "error") : "not attached yet");
		kb_finding_means(p, "queries that come in there are the cluster DNS's");
		kb_finding_cure(p, "see the reason; kbdnsd tries again by itself");
	}
	if (failed)
		return;
	p = kb_finding_add(out, attached ? KB_DOCTOR_OK : KB_DOCTOR_WARN, "attach",
			   "%zu interfaces", attached);
	kb_finding_means(p, attached ? "queries that come in there are answered"
				     : "nobody's queries are seen by the packet path");
	if (!attached)
		kb_finding_cure(p, "kbdnsd --pods auto, --tc or --xdp; kbdnsctl status");
}

static void judge_upstreams(json_t *upstreams, struct kb_findings *out)
{
	size_t up = 0, down = 0;
	struct kb_finding *p;
	const char *name;
	json_t *row;

	json_object_foreach(upstreams, name, row)
	{
		if (json_integer_value(json_object_get(row, "up"))) {
			up++;
			continue;
		}
		down++;
		p = kb_finding_add(out, KB_DOCTOR_WARN, "upstream", "%s does not answer", name);
		kb_finding_means(
			p, "questions go to the other upstreams, or end in SERVFAIL where there "
			   "is none");
		kb_finding_cure(p,
				"is it reached from this node? dig @ADDRESS; see --forward and the "
				"Corefile");
	}
	if (up && !down) {
		p = kb_finding_add(out, KB_DOCTOR_OK, "upstream", "%zu answer", up);
		kb_finding_means(p, "names outside the cluster are resolved");
	}
}

void kb_judge_daemon(const struct kb_facts *f, struct kb_findings *out)
{
	if (!f->status) {
		judge_absence(f, out);
		return;
	}
	judge_state(f->status, out);
	judge_source(json_object_get(f->status, "source"), out);
	judge_interfaces(json_object_get(f->status, "interfaces"), out);
	judge_upstreams(json_object_get(f->stats, "upstreams"), out);
}
