/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/corefile_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/protocol.h"

static const char *const pods_names[] = {"disabled", "insecure", "verified"};

const char *kb_ctl_verdict_name(enum kb_corefile_verdict verdict)
{
	static const char *const names[] = {"taken", "harmless", "left", "closed", "unapplied"};

	return names[verdict];
}

const char *kb_ctl_role_name(enum kb_zone_role role)
{
	static const char *const names[] = {"cluster", "reverse", "foreign"};

	return names[role];
}

void kb_ctl_put_rules(struct kb_json_out *o, const struct kb_rules *rules)
{
	kb_json_put_open(o, "zones", '[');
	for (size_t i = 0; i < rules->n_zones; i++) {
		const struct kb_zone_rule *z = &rules->zones[i];

		kb_json_out_open(o, '{');
		kb_json_put_str(o, "zone", z->name);
		kb_json_put_str(o, "role", kb_ctl_role_name(z->role));
		kb_json_put_str(o, "unknown_names", z->leave_misses ? "left" : "denied");
		kb_json_out_close(o);
	}
	kb_json_out_close(o);
	kb_json_put_open(o, "options", '{');
	kb_json_put_str(o, "pods", pods_names[rules->pods]);
	kb_json_put_u64(o, "ttl_s", rules->ttl_s);
	kb_json_put_bool(o, "endpoint_pod_names", rules->endpoint_pod_names);
	kb_json_put_bool(o, "noendpoints", rules->no_endpoints);
	kb_json_put_bool(o, "ignore_empty_service", rules->ignore_empty);
	kb_json_put_open(o, "namespaces", '[');
	for (size_t i = 0; i < rules->n_namespaces; i++)
		kb_json_out_str(o, rules->namespaces[i]);
	kb_json_out_close(o);
	kb_json_put_str(o, "namespace_labels", rules->namespace_labels);
	kb_json_put_str(o, "labels", rules->labels);
	kb_json_out_close(o);
}

void kb_ctl_put_notes(struct kb_json_out *o, const char *key, const struct kb_corefile_note *notes,
		      size_t n, bool only_left)
{
	kb_json_put_open(o, key, '[');
	for (size_t i = 0; i < n; i++) {
		const struct kb_corefile_note *note = &notes[i];

		if (only_left && note->verdict != KB_COREFILE_LEFT)
			continue;
		kb_json_out_open(o, '{');
		kb_json_put_str(o, "file", note->file);
		kb_json_put_u64(o, "line", note->line);
		if (!only_left)
			kb_json_put_str(o, "verdict", kb_ctl_verdict_name(note->verdict));
		kb_json_put_str(o, "what", note->what);
		kb_json_put_str(o, "zone", note->zone);
		kb_json_put_str(o, "why", note->why);
		kb_json_out_close(o);
	}
	kb_json_out_close(o);
}

/* By file and line; what was noted first stays first. */
static int by_line(const void *a, const void *b)
{
	const struct kb_corefile_note *x = *(const struct kb_corefile_note *const *)a;
	const struct kb_corefile_note *y = *(const struct kb_corefile_note *const *)b;
	int r = strcmp(x->file, y->file);

	if (r)
		return r;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x < y ? -1 : 1;
}

static void print_notes(const struct kb_corefile *c)
{
	const struct kb_corefile_note **sorted = calloc(c->n_notes + 1, sizeof(*sorted));

	if (!sorted)
		return;
	for (size_t i = 0; i < c->n_notes; i++)
		sorted[i] = &c->notes[i];
	qsort(sorted, c->n_notes, sizeof(*sorted), by_line);
	for (size_t i = 0; i < c->n_notes; i++) {
		const struct kb_corefile_note *n = sorted[i];

		printf("%s:%u: %s: %s", n->file, n->line, kb_ctl_verdict_name(n->verdict), n->what);
		if (n->zone && n->verdict == KB_COREFILE_TAKEN)
			printf(": %s", n->zone);
		else if (n->zone)
			printf(n->verdict == KB_COREFILE_CLOSED ? ": %s is SERVFAIL"
								: ": leaves %s alone",
			       n->zone);
		else if (n->verdict == KB_COREFILE_LEFT)
			printf(": leaves its names alone");
		printf(" (%s)\n", n->why);
	}
	if (c->n_more_notes)
		printf("and %zu more\n", c->n_more_notes);
	free(sorted);
}

static const char *policy_name(const struct kb_forward_rule *rule)
{
	static const char *const names[] = {"random", "round_robin", "sequential"};

	return rule->has_policy ? names[rule->options.policy] : NULL;
}

/* The servers of one domain, and the file that has more of them. */
static void each_server(const struct kb_forward_rule *rule,
			void (*each)(void *arg, const char *server), void *arg)
{
	char text[KB_UPSTREAM_TEXT_MAX];

	for (size_t i = 0; i < rule->n; i++)
		each(arg, kb_format_upstream(&rule->specs[i], text));
	if (rule->resolv_conf)
		each(arg, rule->resolv_conf);
}

static void put_server(void *arg, const char *server)
{
	kb_json_out_str(arg, server);
}

static void put_kept(struct kb_json_out *o, const char *key, uint32_t max_s)
{
	if (max_s == UINT32_MAX)
		kb_json_put_null(o, key);
	else
		kb_json_put_u64(o, key, max_s);
}

static void put_forward(struct kb_json_out *o, const struct kb_forward_rules *rules)
{
	kb_json_put_open(o, "forward", '[');
	for (size_t i = 0; i < rules->n; i++) {
		const struct kb_forward_rule *rule = &rules->v[i];

		kb_json_out_open(o, '{');
		kb_json_put_str(o, "domain", *rule->domain ? rule->domain : ".");
		kb_json_put_open(o, "servers", '[');
		each_server(rule, put_server, o);
		kb_json_out_close(o);
		kb_json_put_str(o, "policy", policy_name(rule));
		kb_json_put_bool(o, "force_tcp", rule->options.force_tcp);
		kb_json_put_u64(o, "max_fails", rule->options.max_fails);
		put_kept(o, "cache_max_ttl_s", rule->options.cache.ttl_max_s);
		put_kept(o, "cache_max_negative_ttl_s", rule->options.cache.negative_max_s);
		kb_json_out_close(o);
	}
	kb_json_out_close(o);
}

static void print_server(void *arg, const char *server)
{
	(void)arg;
	printf(" %s", server);
}

static void print_kept(const char *what, uint32_t max_s)
{
	if (!max_s)
		printf(", %s not kept", what);
	else if (max_s != UINT32_MAX)
		printf(", %s up to %u s", what, max_s);
}

static void print_forward(const struct kb_forward_rules *rules)
{
	puts("\nasked at --listen:");
	for (size_t i = 0; i < rules->n; i++) {
		const struct kb_forward_rule *rule = &rules->v[i];

		printf("  %-40s", *rule->domain ? rule->domain : ".");
		each_server(rule, print_server, NULL);
		if (!rule->n && !rule->resolv_conf)
			fputs(" nobody: SERVFAIL", stdout);
		if (rule->options.force_tcp)
			fputs(", over TCP", stdout);
		if (rule->has_policy)
			printf(", %s", policy_name(rule));
		print_kept("answers", rule->options.cache.ttl_max_s);
		print_kept("denials", rule->options.cache.negative_max_s);
		putchar('\n');
	}
	if (!kb_forward_rules_find(rules, ""))
		printf("  %-40s as options or resolv.conf say\n", ".");
}

static void print_rules(const struct kb_rules *rules)
{
	puts("\nzones:");
	for (size_t i = 0; i < rules->n_zones; i++) {
		const struct kb_zone_rule *z = &rules->zones[i];

		printf("  %-40s %s%s\n", z->name, kb_ctl_role_name(z->role),
		       z->role == KB_ZONE_FOREIGN ? ", left alone"
		       : z->leave_misses	  ? ", unknown names are left alone"
						  : "");
	}
	puts("options:");
	printf("  pods %s\n  ttl %u\n", pods_names[rules->pods], rules->ttl_s);
	if (rules->endpoint_pod_names)
		puts("  endpoint_pod_names");
	if (rules->no_endpoints)
		puts("  noendpoints");
	if (rules->ignore_empty)
		puts("  ignore empty_service");
	if (rules->n_namespaces) {
		printf("  namespaces");
		for (size_t i = 0; i < rules->n_namespaces; i++)
			printf(" %s", rules->namespaces[i]);
		putchar('\n');
	}
	if (rules->namespace_labels)
		printf("  namespace_labels %s\n", rules->namespace_labels);
	if (rules->labels)
		printf("  labels %s\n", rules->labels);
}

static int print_json(const struct kb_corefile *c, int r, const char *err)
{
	struct kb_json_out o;

	kb_json_out_init(&o, KB_CTL_REPLY_MAX);
	kb_json_out_open(&o, '{');
	kb_json_put_bool(&o, "ok", r == 0);
	kb_json_put_u64(&o, "protocol", KB_CTL_PROTOCOL);
	if (r < 0) {
		kb_json_put_str(&o, "error", err);
	} else {
		kb_ctl_put_rules(&o, &c->rules);
		put_forward(&o, &c->forward);
		kb_ctl_put_notes(&o, "notes", c->notes, c->n_notes, false);
	}
	kb_json_out_close(&o);
	r = kb_json_out_end(&o);
	if (r == 0)
		fwrite(o.text.buf, 1, o.text.len, stdout);
	kb_json_out_fini(&o);
	return r;
}

int kb_ctl_check_corefile(const char *path, bool json)
{
	int r, status = 0;
	struct kb_corefile c;
	char err[1024] = "";

	r = kb_corefile_read(path, NULL, &c, err, sizeof(err));
	if (r < 0)
		fprintf(stderr, "kbdnsctl: %s\n", err);
	if (json && print_json(&c, r, err) < 0) {
		fprintf(stderr, "kbdnsctl: out of memory\n");
		r = -ENOMEM;
	}
	if (!json && r == 0) {
		print_notes(&c);
		print_rules(&c.rules);
		print_forward(&c.forward);
	}
	for (size_t i = 0; i < c.n_notes; i++) {
		if (c.notes[i].verdict != KB_COREFILE_TAKEN &&
		    c.notes[i].verdict != KB_COREFILE_HARMLESS)
			status = KB_CTL_CHECK_LEFT;
	}
	kb_corefile_free(&c);
	return r < 0 ? KB_CTL_CHECK_FAILED : status;
}
