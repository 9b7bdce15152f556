/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every directive but kubernetes, judged by one question: can it change what a client of a
 * kubernetes zone sees? CoreDNS asks its plugins in an order fixed when it was built, not in that
 * of the file: what comes behind kubernetes there sees only names that kubernetes lets through, and
 * those are left alone by `fallthrough` already.
 *
 * Arguments are read only where the verdict depends on them.
 */
#include <errno.h>
#include <string.h>

#include "control/config/corefile_private.h"

typedef int judge_fn(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c);

#define OUTSIDE "none of its names is below a kubernetes zone of this server block"

struct zones_arg {
	struct kb_cf_build *b;
	const struct kb_cf_line *line;
	bool hit;
};

static int leave_zone(void *arg, const char *zone)
{
	struct zones_arg *z = arg;
	int r = kb_cf_leave(z->b, z->line, zone);

	z->hit |= r > 0;
	return r < 0 ? r : 0;
}

/* Leaves the zones named by arguments `from` and on; without any, all that the block serves. */
static int leave_args(struct kb_cf_build *b, const struct kb_cf_line *line, size_t from)
{
	struct zones_arg z = {b, line, false};

	if (line->n <= from)
		return kb_cf_leave_all(b, line);
	for (size_t i = from; i < line->n; i++) {
		enum kb_cf_transport transport;
		uint16_t port;
		int r = kb_cf_each_origin(line->args[i].text, &transport, &port, leave_zone, &z);

		if (r == -EINVAL) /* CoreDNS ignores what is no name */
			continue;
		if (r < 0)
			return r;
	}
	return z.hit ? 0 : kb_cf_harmless(b, line, OUTSIDE);
}

static int judge_harmless(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	(void)c;
	return kb_cf_harmless(b, line, line->why);
}

static int judge_all(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	(void)c;
	return kb_cf_leave_all(b, line);
}

static int judge_zones(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	(void)c;
	return leave_args(b, line, 0);
}

/* template CLASS TYPE [ZONE...] */
static int judge_template(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	(void)c;
	return leave_args(b, line, 2);
}

/* Zones of a cloud provider, with identifiers before or behind a colon. */
static int judge_cloud(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	bool hit = false;

	(void)c;
	if (!line->n)
		return kb_cf_leave_all(b, line);
	for (size_t i = 0; i < line->n; i++) {
		const char *s = line->args[i].text;

		while (*s) {
			size_t n = strcspn(s, ":");
			char part[KB_CF_NAME_MAX], name[KB_CF_NAME_MAX];
			int r = 0;

			if (n && n < sizeof(part)) {
				memcpy(part, s, n);
				part[n] = '\0';
				if (kb_cf_normalize(part, name))
					r = kb_cf_leave(b, line, name);
			}
			if (r < 0)
				return r;
			hit |= r > 0;
			s += n + (s[n] == ':');
		}
	}
	return hit ? 0 : kb_cf_harmless(b, line, OUTSIDE);
}

/* autopath [ZONE...] RESOLV-CONF: names that kubernetes knows stay as they are. */
static int judge_autopath(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	(void)c;
	if (line->n < 2)
		return kb_cf_leave_misses(b, line, "");
	for (size_t i = 0; i + 1 < line->n; i++) {
		char name[KB_CF_NAME_MAX];
		int r;

		if (!kb_cf_normalize(line->args[i].text, name))
			name[0] = '\0';
		r = kb_cf_leave_misses(b, line, name);
		if (r < 0)
			return r;
	}
	return 0;
}

/* loadbalance [round_robin | weighted FILE] [{ prefer CIDR... }] */
static int judge_loadbalance(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	bool ordered = line->n && strcmp(line->args[0].text, "round_robin") != 0;
	size_t n;

	while (kb_cf_next_block(c)) {
		ordered = true;
		kb_cf_args(c, &n);
	}
	if (ordered)
		return kb_cf_leave_all(b, line);
	return kb_cf_note(b->cf, line->name, line->args, line->n, KB_COREFILE_TAKEN, NULL,
			  "kbdnsd rotates records, see --rotation");
}

/* The networks that RFC 6761 gives to localhost, and names localhost.ANYTHING. */
static int judge_local(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	static const char *const reverse[] = {"0.in-addr.arpa", "127.in-addr.arpa",
					      "255.in-addr.arpa"};
	int r;

	(void)c;
	for (size_t i = 0; i < sizeof(reverse) / sizeof(*reverse); i++) {
		r = kb_cf_leave(b, line, reverse[i]);
		if (r < 0)
			return r;
	}
	/* "localhost" can be a Service, a namespace or a zone's first label. */
	return kb_cf_leave_all(b, line);
}

static const struct plugin {
	const char *name;
	judge_fn *judge;
	const char *why;
} plugins[] = {
	{"root", judge_harmless, "a folder for files"},
	{"metadata", judge_harmless, "for logs"},
	{"geoip", judge_harmless, "for logs"},
	{"cancel", judge_harmless, "a time limit within CoreDNS"},
	{"proxyproto", judge_harmless, "a transport of CoreDNS's"},
	{"quic", judge_harmless, "a transport of CoreDNS's"},
	{"grpc_server", judge_harmless, "a transport of CoreDNS's"},
	{"https", judge_harmless, "a transport of CoreDNS's"},
	{"https3", judge_harmless, "a transport of CoreDNS's"},
	{"timeouts", judge_harmless, "time limits of TCP and TLS, which CoreDNS serves itself"},
	{"multisocket", judge_harmless, "number of CoreDNS's sockets"},
	{"reload", judge_harmless, "kbdnsd follows changes by itself, within seconds"},
	{"nsid", judge_harmless, "only for queries that ask who answers; they get no NSID"},
	{"bufsize", judge_harmless, "the largest answer is --max-udp-size"},
	{"bind", judge_harmless, "which addresses are answered is --intercept and --dns-service"},
	{"debug", judge_harmless, "for logs"},
	{"trace", judge_harmless, "queries answered here do not show in its traces"},
	{"ready", judge_harmless, "CoreDNS's own health"},
	{"health", judge_harmless, "CoreDNS's own health"},
	{"pprof", judge_harmless, "CoreDNS's own profile"},
	{"shed", judge_harmless, "protects CoreDNS from overload"},
	{"prometheus", judge_harmless, "queries answered here show in kbdnsd's metrics instead"},
	{"errors", judge_harmless, "for logs"},
	{"log", judge_harmless,
	 "queries answered here do not show in its log, but in that of --query-log"},
	{"dnstap", judge_harmless, "queries answered here do not show in its stream"},
	{"local", judge_local, "it answers localhost.ANYTHING itself"},
	{"dns64", judge_all, "it makes AAAA records that the objects do not have"},
	{"any", judge_harmless,
	 "queries of type ANY get no records here and HINFO there; RFC 8482 allows both"},
	{"chaos", judge_harmless, "queries of class CH are left to the cluster DNS"},
	{"loadbalance", judge_loadbalance, "it orders addresses by rules of its own"},
	{"tsig", judge_zones, "it demands and makes signatures"},
	{"rewrite", kb_cf_judge_rewrite, "it changes questions or answers"},
	{"autopath", judge_autopath, "it answers unknown names from the client's search list"},
	{"acl", judge_zones, "it refuses clients by their address"},
	{"cache", judge_harmless,
	 "answers come from the objects themselves, only those of upstreams are cached"},
	{"header", judge_all, "it changes the flags of answers"},
	{"dnssec", judge_zones, "it signs answers"},
	{"tls", judge_harmless, "a transport of CoreDNS's"},
	{"minimal", judge_all, "it leaves out additional records"},
	{"template", judge_template, "it makes up answers"},
	{"transfer", judge_harmless, "zone transfers go over TCP, to the cluster DNS"},
	{"hosts", kb_cf_judge_hosts, "it answers names and addresses of a file"},
	{"route53", judge_cloud, "it answers zones of its own"},
	{"azure", judge_cloud, "it answers zones of its own"},
	{"clouddns", judge_cloud, "it answers zones of its own"},
	{"k8s_external", judge_zones, "it answers from external addresses"},
	/* Behind kubernetes in CoreDNS's order. */
	{"file", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"auto", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"secondary", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"etcd", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"loop", judge_harmless, "CoreDNS's own health"},
	{"forward", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"grpc", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"erratic", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"whoami", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"nomad", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"on", judge_harmless, "runs commands when CoreDNS starts"},
	{"sign", judge_harmless, "signs zone files"},
	{"view", judge_all, "it serves only some clients"},
	/* Of other builds and older releases. */
	{"proxy", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"fanout", judge_harmless, "asked after kubernetes, for names that it lets through"},
	{"alternate", judge_harmless, "asked for names that forward could not resolve"},
};

static const struct plugin unknown = {"", judge_all, "nobody here knows what this directive does"};

static const struct plugin *find(const char *name)
{
	for (size_t i = 0; i < sizeof(plugins) / sizeof(*plugins); i++) {
		if (strcmp(plugins[i].name, name) == 0)
			return &plugins[i];
	}
	return &unknown;
}

bool kb_cf_is_known(const char *name)
{
	return find(name) != &unknown || strcmp(name, "kubernetes") == 0;
}

static int judge(struct kb_cf_build *b, const struct kb_cf_block *block,
		 const struct kb_cf_directive *d)
{
	const struct plugin *p = find(d->name);
	struct kb_cf_cursor c = {.t = d->tokens.v, .n = d->tokens.n};
	size_t n;
	int r = 0;

	while (r == 0 && kb_cf_next(&c)) {
		struct kb_cf_line line = {.block = block, .name = kb_cf_at(&c), .why = p->why};
		bool begins = strcmp(line.name->text, d->name) == 0;

		line.args = kb_cf_args(&c, &line.n);
		if (p->judge == judge_harmless) {
			r = begins ? judge_harmless(b, &line, &c) : 0;
		} else if (!begins) {
			line.why =
				"CoreDNS does not read this line as part of what stands above it";
			r = kb_cf_leave_all(b, &line);
		} else if (kb_cf_any_unset(d->tokens.v, d->tokens.n)) {
			line.why = "a variable is not set in our environment as CoreDNS has it";
			r = kb_cf_leave_all(b, &line);
		} else {
			r = p->judge(b, &line, &c);
		}
		while (kb_cf_next_block(&c))
			kb_cf_args(&c, &n);
	}
	return r;
}

int kb_cf_judge(struct kb_cf_build *b, const struct kb_cf_block *block)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < block->n_directives; i++) {
		if (strcmp(block->directives[i].name, "kubernetes") != 0)
			r = judge(b, block, &block->directives[i]);
	}
	return r;
}
