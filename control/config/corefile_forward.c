/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forward directive: FROM TO... { property... }
 *
 * What CoreDNS refuses is refused here. What it takes and the forwarder cannot do is kept as the
 * reason why the names concerned are asked of nobody. A server that cannot be asked as it is
 * written is left out; a file such as /etc/resolv.conf is read when routes are made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

#define TO_MAX 15 /* CoreDNS's */

struct line {
	struct kb_cf *cf;
	struct kb_cf_forward *f;
	const struct kb_cf_token *name, *args;
	size_t n;
};

static int fail(const struct line *l, const char *what)
{
	return kb_cf_fail(l->cf, -EINVAL, l->name->file, l->name->line, "forward: %s: %s",
			  l->name->text, what);
}

/* The forwarder cannot do what this line says; the first such line is named. */
static int leave_out(const struct line *l, const char *why)
{
	if (!l->f->cannot) {
		l->f->cannot = l->name;
		l->f->cannot_args = l->args;
		l->f->n_cannot_args = l->n;
		l->f->why = why;
	}
	return 0;
}

static int cannot(const struct line *l, const char *why)
{
	if (!l->f->whole)
		l->f->cannot = NULL;
	l->f->whole = true;
	return leave_out(l, why);
}

/* --- properties -------------------------------------------------------------- */

/* A duration as Go writes it, in seconds: "1h30m", "0.5s", "-1ms", "0". */
static bool read_duration(const char *s, double *ret_s)
{
	static const struct {
		const char *unit;
		double s;
	} units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"\xce\xbcs", 1e-6},
		     {"ms", 1e-3}, {"s", 1},	 {"m", 60},	      {"h", 3600}};
	double sign = *s == '-' ? -1 : 1, sum = 0;

	s += *s == '-' || *s == '+';
	if (strcmp(s, "0") == 0) {
		*ret_s = 0;
		return true;
	}
	do {
		size_t n = strspn(s, "0123456789."), u = 0, len = 0;
		double v = strtod(s, NULL);

		if (!strpbrk(s, "0123456789") || strspn(s, ".") == n || n > 20)
			return false;
		s += n;
		/* The longest unit: "ms" before "m". */
		for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
			if (strncmp(s, units[i].unit, strlen(units[i].unit)) == 0 &&
			    strlen(units[i].unit) > len) {
				u = i;
				len = strlen(units[i].unit);
			}
		}
		if (!len)
			return false;
		sum += v * units[u].s;
		s += len;
	} while (*s);
	*ret_s = sign * sum;
	return true;
}

static bool is_duration(const char *s)
{
	double v;

	return read_duration(s, &v) && v >= 0;
}

/* strconv.ParseUint(s, 10, 32), Atoi without a sign. */
static bool read_number(const char *s, uint64_t *ret)
{
	return kb_parse_u64(s, 0, UINT32_MAX, ret) == 0;
}

static int take_except(struct line *l);
static int take_policy(struct line *l);

static int take_max_fails(struct line *l)
{
	uint64_t v;

	if (!read_number(l->args[0].text, &v))
		return fail(l, "not a number");
	l->f->rule.options.max_fails = (unsigned int)v;
	return 0;
}

static int take_force_tcp(struct line *l)
{
	l->f->rule.options.force_tcp = true;
	return 0;
}

static int take_servername(struct line *l)
{
	if (kb_parse_domain(l->args[0].text, l->f->tls_name, sizeof(l->f->tls_name)) < 0)
		return cannot(l, "this is no name that a certificate can be compared with");
	return 0;
}

/* Without arguments: with the system's certificates, which is what we do anyway. */
static int take_tls(struct line *l)
{
	return l->n ? cannot(l, "certificates of one's own cannot be given for an upstream") : 0;
}

/* The duration has been checked. CoreDNS probes all the time at this pace; here it is the first
 * pause after an upstream has failed. */
static uint32_t milliseconds(const char *duration)
{
	double v = 0;

	read_duration(duration, &v);
	return v < 0.001 ? 1 : v > 3600 ? 3600000 : (uint32_t)(v * 1000);
}

static int take_probe_domain(struct line *l, const char *name)
{
	char *domain = l->f->rule.options.probe_domain;

	if (strcmp(name, ".") != 0 &&
	    kb_parse_domain(name, domain, sizeof(l->f->rule.options.probe_domain)) < 0)
		return cannot(l, "this is no name to ask for");
	return 0;
}

static int take_health_check(struct line *l)
{
	if (!is_duration(l->args[0].text))
		return fail(l, "not a duration, give such as 5s");
	l->f->rule.options.probe_ms = milliseconds(l->args[0].text);
	for (size_t i = 1; i < l->n; i++) {
		int r = 0;

		if (strcmp(l->args[i].text, "domain") == 0 && i + 1 < l->n)
			r = take_probe_domain(l, l->args[++i].text);
		else if (strcmp(l->args[i].text, "no_rec") == 0)
			l->f->rule.options.probe_no_rd = true;
		else
			r = fail(l, "takes a duration, no_rec and domain NAME");
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_next(struct line *l)
{
	l->f->next = l->name;
	return 0;
}

static int check_duration(struct line *l)
{
	return is_duration(l->args[0].text) ? 0 : fail(l, "not a duration, give such as 10s");
}

static int check_number(struct line *l)
{
	uint64_t v;

	return read_number(l->args[0].text, &v) ? 0 : fail(l, "not a number");
}

static int nothing(struct line *l)
{
	(void)l;
	return 0;
}

static int take_source(struct line *l)
{
	return cannot(l, "queries leave from the address that the kernel chooses");
}

/* What is only understood: how connections are kept is the forwarder's own affair, and it tries
 * other servers after SERVFAIL and REFUSED and probes those that fail, in any case. */
static const struct property {
	const char *name;
	size_t min, max; /* arguments; CoreDNS ignores more of them where it says so little */
	int (*take)(struct line *l);
} properties[] = {
	{"except", 1, SIZE_MAX, take_except},
	{"force_tcp", 0, 0, take_force_tcp},
	{"prefer_udp", 0, 0, nothing},
	{"expire", 1, SIZE_MAX, check_duration},
	{"max_age", 1, SIZE_MAX, check_duration},
	{"max_idle_conns", 1, SIZE_MAX, check_number},
	{"read_timeout", 1, SIZE_MAX, check_duration},
	{"max_connect_attempts", 1, SIZE_MAX, check_number},
	{"max_fails", 1, SIZE_MAX, take_max_fails},
	{"max_concurrent", 1, SIZE_MAX, check_number},
	{"health_check", 1, SIZE_MAX, take_health_check},
	{"policy", 1, SIZE_MAX, take_policy},
	{"tls", 0, 3, take_tls},
	{"tls_servername", 1, SIZE_MAX, take_servername},
	{"next", 1, SIZE_MAX, take_next},
	{"next_on_nodata", 0, 0, take_next},
	{"failover", 1, SIZE_MAX, nothing},
	{"failfast_all_unhealthy_upstreams", 0, 0, nothing},
	{"doh_method", 1, SIZE_MAX, nothing},
	{"resolver", 1, SIZE_MAX, nothing},
	{"source_address", 1, SIZE_MAX, take_source},
};

static int take_policy(struct line *l)
{
	static const char *const words[] = {"random", "round_robin", "sequential", NULL};
	unsigned int i;

	if (kb_parse_choice(l->args[0].text, words, &i) < 0)
		return fail(l, "unknown, give random, round_robin or sequential");
	l->f->rule.options.policy = (enum kb_policy)i;
	l->f->rule.has_policy = true;
	return 0;
}

static int take_except(struct line *l)
{
	return kb_cf_explain(l->cf, kb_cf_names_add_origins(&l->f->except, l->args, l->n));
}

static int take_property(struct line *l)
{
	for (size_t i = 0; i < sizeof(properties) / sizeof(*properties); i++) {
		const struct property *p = &properties[i];

		if (strcmp(p->name, l->name->text) != 0)
			continue;
		if (l->n < p->min || l->n > p->max)
			return fail(l, "wrong number of arguments");
		return p->take(l);
	}
	return cannot(l, "nobody here knows this property");
}

/* --- servers ----------------------------------------------------------------- */

/* Cuts "%zone" out of an address. False if there was none. */
static bool cut_zone(char *addr, char *zone, size_t size)
{
	char *percent = strrchr(addr, '%'), *end;

	*zone = '\0';
	if (!percent)
		return false;
	end = percent + strcspn(percent, *addr == '[' ? "]" : ":");
	snprintf(zone, size, "%.*s", (int)(end - percent - 1), percent + 1);
	memmove(percent, end, strlen(end) + 1);
	return true;
}

static int add_server(struct line *to, const struct kb_upstream_spec *spec)
{
	int r = kb_forward_rule_add(&to->f->rule, spec);

	if (r == -E2BIG)
		return kb_cf_fail(to->cf, -EINVAL, to->name->file, to->name->line,
				  "forward: more than %d servers, give fewer", TO_MAX);
	return r < 0 ? kb_cf_no_memory(to->cf) : 0;
}

static int add_file(struct line *to, const char *path)
{
	struct kb_forward_rule *rule = &to->f->rule;

	if (rule->resolv_conf && strcmp(rule->resolv_conf, path) != 0)
		return leave_out(to, "servers of more than one file");
	if (!rule->resolv_conf)
		rule->resolv_conf = strdup(path);
	return rule->resolv_conf ? 0 : kb_cf_no_memory(to->cf);
}

/* One server or file, as it is written. */
static int take_to(struct line *to, const char *text)
{
	static const char *const others[] = {"grpc://", "quic://", "unix://", "https3://"};
	struct kb_upstream_spec spec;
	char addr[KB_UPSTREAM_TEXT_MAX], zone[254];
	bool tls = strncmp(text, "tls://", 6) == 0, zoned;

	if (strncmp(text, "https://", 8) == 0)
		return leave_out(to, "DNS over HTTPS is not spoken here");
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (strncmp(text, others[i], strlen(others[i])) == 0)
			return kb_cf_fail(to->cf, -EINVAL, to->name->file, to->name->line,
					  "forward: %.64s: not a way to ask a server, give an "
					  "address",
					  text);
	}
	snprintf(addr, sizeof(addr), "%s", text + (tls || strncmp(text, "dns://", 6) == 0 ? 6 : 0));
	if (!*addr)
		return kb_cf_fail(to->cf, -EINVAL, to->name->file, to->name->line,
				  "forward: %.64s: no address, give one", text);
	zoned = cut_zone(addr, zone, sizeof(zone));
	memset(&spec, 0, sizeof(spec));
	spec.tls = tls;
	if (kb_parse_addr_port(addr, tls ? 853 : 53, &spec.at) < 0) {
		if (strchr(addr, '/'))
			return add_file(to, addr);
		return leave_out(to,
				 "a server that is not given by its address and a port from 1 is "
				 "not looked up");
	}
	/* CoreDNS takes what stands there for the name in the certificate. */
	if (zoned && !tls)
		return leave_out(to, "a link-local address of one interface cannot be asked");
	if (zoned && kb_parse_domain(zone, spec.server_name, sizeof(spec.server_name)) < 0)
		return leave_out(to, "this is no name that a certificate can be compared with");
	return add_server(to, &spec);
}

/* --- the directive ----------------------------------------------------------- */

struct first {
	char *zone;
	bool found;
};

static int take_first(void *arg, const char *zone)
{
	struct first *first = arg;

	if (!first->found)
		snprintf(first->zone, KB_CF_NAME_MAX, "%s", zone);
	first->found = true;
	return 0;
}

static int take_line(struct line *l, struct kb_cf_cursor *c)
{
	static const char unset[] = "a variable is not set in our environment as CoreDNS has it";
	struct kb_cf_forward *f = l->f;
	struct line to = *l;
	int r = 0;

	while (r == 0 && kb_cf_next_block(c)) {
		struct line p = {.cf = l->cf, .f = f, .name = kb_cf_at(c)};

		p.args = kb_cf_args(c, &p.n);
		r = kb_cf_any_unset(p.name, 1) || kb_cf_any_unset(p.args, p.n) ? cannot(&p, unset)
									       : take_property(&p);
	}
	if (r == 0 && kb_cf_any_unset(l->args, l->n))
		return cannot(l, unset);
	for (size_t i = 1; r == 0 && i < l->n; i++)
		r = take_to(&to, l->args[i].text);
	for (size_t i = 0; r == 0 && i < f->rule.n; i++) {
		struct kb_upstream_spec *spec = &f->rule.specs[i];

		if (spec->tls && *f->tls_name && *spec->server_name)
			return fail(l, "a server's name is given twice, remove one");
		if (spec->tls && *f->tls_name)
			memcpy(spec->server_name, f->tls_name, sizeof(spec->server_name));
	}
	return r;
}

static int read_one(struct kb_cf *cf, struct kb_cf_block *block, struct kb_cf_cursor *c)
{
	static const struct kb_group_options defaults = KB_GROUP_DEFAULTS;
	struct kb_cf_forward *f;
	struct line l = {.cf = cf, .name = kb_cf_at(c)};
	struct first first;
	enum kb_cf_transport transport;
	uint16_t port;
	void *v = realloc(block->forwards, (block->n_forwards + 1) * sizeof(*block->forwards));
	int r;

	if (!v)
		return kb_cf_no_memory(cf);
	block->forwards = v;
	f = &block->forwards[block->n_forwards++];
	memset(f, 0, sizeof(*f));
	f->rule.options = defaults;
	l.args = kb_cf_args(c, &l.n);
	l.f = f;
	if (l.n < 2)
		return fail(&l, "takes a domain and servers, such as \". 10.1.2.3\"");
	if (l.n > TO_MAX + 1)
		return fail(&l, "more than 15 servers, give fewer");
	first = (struct first){f->from, false};
	r = kb_cf_each_origin(l.args[0].text, &transport, &port, take_first, &first);
	if (r == -EINVAL && l.args[0].unset)
		r = 0;
	if (r < 0 || !first.found)
		return r == -EINVAL || r == 0 ? fail(&l, "its first argument is no domain")
					      : kb_cf_explain(cf, r);
	return take_line(&l, c);
}

int kb_cf_forwards_read(struct kb_cf *cf, struct kb_cf_block *block)
{
	const struct kb_cf_directive *d = kb_cf_find(block, "forward");
	struct kb_cf_cursor c;
	int r = 0;

	if (!d)
		return 0;
	c = (struct kb_cf_cursor){.t = d->tokens.v, .n = d->tokens.n};
	while (r == 0 && kb_cf_next(&c))
		r = read_one(cf, block, &c);
	return r;
}

void kb_cf_forwards_free(struct kb_cf_block *block)
{
	for (size_t i = 0; i < block->n_forwards; i++) {
		free(block->forwards[i].except.v);
		kb_forward_rule_fini(&block->forwards[i].rule);
	}
	free(block->forwards);
}
