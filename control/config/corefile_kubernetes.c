/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubernetes directive: its zones and properties. A property is a row of the table; whether
 * it is taken over or only understood is what its note says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"
#include "control/config/parse.h"
#include "control/config/rules.h"
#include "control/records/selector.h"

/* `kubernetes` and each of its properties, with the arguments of its line. */
struct line {
	struct kb_cf *cf;
	struct kb_cf_kubernetes *k;
	const struct kb_cf_token *name;
	const struct kb_cf_token *args;
	size_t n;
};

static int fail(const struct line *l, const char *what)
{
	return kb_cf_fail(l->cf, -EINVAL, l->name->file, l->name->line, "%s: %s", l->name->text,
			  what);
}

int kb_cf_names_add(struct kb_cf_names *names, const char *zone)
{
	void *v;

	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->v[i], zone) == 0)
			return 0;
	}
	if (names->n == KB_CF_NAMES_MAX)
		return -E2BIG;
	v = realloc(names->v, (names->n + 1) * sizeof(*names->v));
	if (!v)
		return -ENOMEM;
	names->v = v;
	snprintf(names->v[names->n++], KB_CF_NAME_MAX, "%s", zone);
	return 0;
}

bool kb_cf_names_cover(const struct kb_cf_names *names, const char *zone)
{
	for (size_t i = 0; i < names->n; i++) {
		if (kb_cf_within(zone, names->v[i]))
			return true;
	}
	return false;
}

bool kb_cf_names_touch(const struct kb_cf_names *names, const char *zone)
{
	for (size_t i = 0; i < names->n; i++) {
		if (kb_cf_within(names->v[i], zone))
			return true;
	}
	return kb_cf_names_cover(names, zone);
}

static int add_name(void *arg, const char *zone)
{
	return kb_cf_names_add(arg, zone);
}

int kb_cf_names_add_origins(struct kb_cf_names *names, const struct kb_cf_token *args, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum kb_cf_transport transport;
		uint16_t port;
		int r = kb_cf_each_origin(args[i].text, &transport, &port, add_name, names);

		if (r < 0 && r != -EINVAL)
			return r;
	}
	return 0;
}

static int no_args(const struct line *l)
{
	return l->n ? fail(l, "takes no value, remove it") : 0;
}

/* The words of the line as one string. */
static int join(const struct line *l, char **ret)
{
	size_t len = 1;
	char *s;

	for (size_t i = 0; i < l->n; i++)
		len += strlen(l->args[i].text) + 1;
	s = malloc(len);
	if (!s)
		return kb_cf_no_memory(l->cf);
	*s = '\0';
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			strcat(s, " ");
		strcat(s, l->args[i].text);
	}
	free(*ret);
	*ret = s;
	return 0;
}

static int take_pods(const struct line *l)
{
	static const char *const words[] = {"disabled", "insecure", "verified", NULL};
	unsigned int i;

	if (l->n != 1 || kb_parse_choice(l->args[0].text, words, &i) < 0)
		return fail(l, "give disabled, insecure or verified");
	l->k->rules.pods = (enum kb_pods_mode)i;
	l->k->has_pods = true;
	return 0;
}

static int take_endpoint_pod_names(const struct line *l)
{
	l->k->rules.endpoint_pod_names = true;
	return no_args(l);
}

static int take_noendpoints(const struct line *l)
{
	l->k->rules.no_endpoints = true;
	return no_args(l);
}

static int take_zonal(const struct line *l)
{
	l->k->zonal = true;
	return no_args(l);
}

static int take_ignore(const struct line *l)
{
	if (!l->n)
		return 0;
	if (strcmp(l->args[0].text, "empty_service") != 0)
		return fail(l, "give empty_service");
	l->k->rules.ignore_empty = true;
	return 0;
}

static int take_namespaces(const struct line *l)
{
	struct kb_rules *rules = &l->k->rules;

	if (!l->n)
		return fail(l, "give the names of namespaces");
	for (size_t i = 0; i < l->n; i++) {
		char **v = realloc(rules->namespaces, (rules->n_namespaces + 1) * sizeof(*v));

		if (!v)
			return kb_cf_no_memory(l->cf);
		rules->namespaces = v;
		v[rules->n_namespaces] = strdup(l->args[i].text);
		if (!v[rules->n_namespaces])
			return kb_cf_no_memory(l->cf);
		rules->n_namespaces++;
	}
	return 0;
}

static int take_selector(const struct line *l, char **field)
{
	struct kb_selector *selector = NULL;
	char err[256];
	int r;

	if (!l->n)
		return fail(l, "give a label selector such as app=web");
	r = join(l, field);
	if (r < 0)
		return r;
	/* An API server knows these operators, CoreDNS does not. */
	if (strpbrk(*field, "<>") || strstr(*field, "!="))
		return fail(l,
			    "<, > and != cannot be used here, give such as app=web,tier notin (a)");
	r = kb_selector_parse(*field, &selector, err, sizeof(err));
	kb_selector_free(selector);
	if (r == -ENOMEM)
		return kb_cf_no_memory(l->cf);
	return r < 0 ? fail(l, err) : 0;
}

static int take_labels(const struct line *l)
{
	return take_selector(l, &l->k->rules.labels);
}

static int take_namespace_labels(const struct line *l)
{
	return take_selector(l, &l->k->rules.namespace_labels);
}

static int take_ttl(const struct line *l)
{
	uint64_t v;

	if (!l->n || kb_parse_u64(l->args[0].text, 0, 3600, &v) < 0)
		return fail(l, "give seconds 0..3600");
	l->k->rules.ttl_s = (uint32_t)v;
	return 0;
}

static int take_fallthrough(const struct line *l)
{
	l->k->has_fall = true;
	l->k->fall.n = 0;
	if (!l->n)
		return kb_cf_names_add(&l->k->fall, "");
	return kb_cf_names_add_origins(&l->k->fall, l->args, l->n);
}

static int take_multicluster(const struct line *l)
{
	l->k->multicluster.n = 0;
	return kb_cf_names_add_origins(&l->k->multicluster, l->args, l->n);
}

/* Another API server means other objects: blocks are compared by it. */
static int take_api(const struct line *l)
{
	return join(l, &l->k->api);
}

static int nothing(const struct line *l)
{
	(void)l;
	return 0;
}

static const struct property {
	const char *name;
	size_t min, max; /* arguments */
	int (*take)(const struct line *l);
	enum kb_corefile_verdict verdict;
	const char *why;
} properties[] = {
	{"pods", 0, SIZE_MAX, take_pods, KB_COREFILE_TAKEN, "names of pods"},
	{"endpoint_pod_names", 0, SIZE_MAX, take_endpoint_pod_names, KB_COREFILE_TAKEN,
	 "names of endpoints"},
	{"namespaces", 0, SIZE_MAX, take_namespaces, KB_COREFILE_TAKEN,
	 "other namespaces do not exist"},
	{"namespace_labels", 0, SIZE_MAX, take_namespace_labels, KB_COREFILE_TAKEN,
	 "other namespaces do not exist"},
	{"labels", 0, SIZE_MAX, take_labels, KB_COREFILE_TAKEN, "other objects do not exist"},
	{"ttl", 0, SIZE_MAX, take_ttl, KB_COREFILE_TAKEN, "TTL of records, unless --ttl is given"},
	{"noendpoints", 0, SIZE_MAX, take_noendpoints, KB_COREFILE_TAKEN,
	 "no names from endpoints"},
	{"ignore", 0, SIZE_MAX, take_ignore, KB_COREFILE_TAKEN,
	 "Services without ready endpoints do not exist"},
	{"fallthrough", 0, SIZE_MAX, take_fallthrough, KB_COREFILE_TAKEN,
	 "unknown names of these zones are left alone"},
	{"zonal", 0, SIZE_MAX, take_zonal, KB_COREFILE_LEFT,
	 "names by topology zone are the cluster DNS's: unknown names are left alone"},
	{"multicluster", 0, SIZE_MAX, take_multicluster, KB_COREFILE_LEFT,
	 "ServiceImports are not watched"},
	{"kubeconfig", 1, 2, take_api, KB_COREFILE_HARMLESS,
	 "kbdnsd has its own way to the API server: --kubeconfig or its service account"},
	{"endpoint", 1, SIZE_MAX, take_api, KB_COREFILE_HARMLESS,
	 "kbdnsd has its own way to the API server: --kubeconfig or its service account"},
	{"tls", 3, 3, nothing, KB_COREFILE_HARMLESS,
	 "kbdnsd has its own way to the API server: --kubeconfig or its service account"},
	{"startup_timeout", 1, SIZE_MAX, nothing, KB_COREFILE_HARMLESS,
	 "before the first sync everything is left alone, however long it takes"},
	{"apiserver_qps", 1, 1, nothing, KB_COREFILE_HARMLESS, "limits CoreDNS's own requests"},
	{"apiserver_burst", 1, 1, nothing, KB_COREFILE_HARMLESS, "limits CoreDNS's own requests"},
	{"apiserver_max_inflight", 1, 1, nothing, KB_COREFILE_HARMLESS,
	 "limits CoreDNS's own requests"},
	/* Gone from CoreDNS 1.7; without effect on names before. */
	{"upstream", 0, SIZE_MAX, nothing, KB_COREFILE_HARMLESS,
	 "without effect since CoreDNS 1.5"},
	{"resyncperiod", 0, SIZE_MAX, nothing, KB_COREFILE_HARMLESS,
	 "without effect since CoreDNS 1.5"},
};

int kb_cf_kubernetes_property(struct kb_cf *cf, struct kb_cf_cursor *c, struct kb_cf_kubernetes *k)
{
	struct line l = {.cf = cf, .k = k, .name = kb_cf_at(c)};
	const struct property *p = properties;
	size_t n = sizeof(properties) / sizeof(*properties);
	int r;

	for (; n && strcmp(p->name, l.name->text) != 0; n--)
		p++;
	if (!n)
		return kb_cf_fail(cf, -EOPNOTSUPP, l.name->file, l.name->line,
				  "kubernetes: %.64s: unknown property, remove it", l.name->text);
	l.args = kb_cf_args(c, &l.n);
	for (size_t i = 0; i < l.n; i++) {
		if (l.args[i].unset)
			return kb_cf_fail(cf, -EOPNOTSUPP, l.name->file, l.name->line,
					  "%s: a variable is not set in our environment, set it "
					  "as CoreDNS has it",
					  l.name->text);
	}
	if (l.n < p->min || l.n > p->max)
		return fail(&l, "wrong number of values, see CoreDNS's manual of kubernetes");
	r = p->take(&l);
	if (r == 0)
		r = kb_cf_note(cf, l.name, l.args, l.n, p->verdict, NULL, p->why);
	return r;
}

static int add_zone(void *arg, const char *zone)
{
	enum kb_zone_role role = kb_cf_is_reverse(zone) ? KB_ZONE_REVERSE : KB_ZONE_CLUSTER;

	return kb_rules_add_zone(arg, zone, role, false);
}

/* Those given, or else the server block's. */
static int take_zones(const struct line *l, const struct kb_cf_block *block)
{
	struct kb_cf_names names = {0};
	int r = 0;

	if (l->n) {
		r = kb_cf_names_add_origins(&names, l->args, l->n);
		for (size_t i = 0; r == 0 && i < names.n; i++)
			r = add_zone(&l->k->rules, names.v[i]);
		free(names.v);
	} else {
		for (size_t i = 0; r == 0 && i < block->n_zones; i++)
			r = add_zone(&l->k->rules, block->zones[i].zone);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->k->rules.n_zones; i++) {
		if (kb_cf_is_primary(l->k->rules.zones[i].name))
			return 0;
	}
	return fail(l, "no zone but reverse ones, give the cluster's domain as well");
}

int kb_cf_kubernetes_check(struct kb_cf *cf, const struct kb_cf_kubernetes *k)
{
	if (k->rules.n_namespaces && k->rules.namespace_labels)
		return kb_cf_fail(cf, -EINVAL, k->file, k->line,
				  "namespaces and namespace_labels exclude each other, give one");
	if (k->zonal && k->rules.no_endpoints)
		return kb_cf_fail(cf, -EINVAL, k->file, k->line,
				  "zonal and noendpoints exclude each other, give one");
	for (size_t i = 0; i < k->multicluster.n; i++) {
		bool found = false;

		for (size_t j = 0; j < k->rules.n_zones; j++)
			found |= strcmp(k->rules.zones[j].name, k->multicluster.v[i]) == 0;
		if (!found)
			return kb_cf_fail(cf, -EINVAL, k->file, k->line,
					  "multicluster: %s is no zone of this directive, add it",
					  k->multicluster.v[i]);
	}
	return 0;
}

int kb_cf_kubernetes_read(struct kb_cf *cf, const struct kb_cf_block *block,
			  const struct kb_cf_directive *d, struct kb_cf_kubernetes **ret)
{
	struct kb_cf_cursor c = {.t = d->tokens.v, .n = d->tokens.n};
	struct kb_cf_kubernetes *k = calloc(1, sizeof(*k));
	struct line l = {.cf = cf, .k = k};
	int r;

	if (!k)
		return kb_cf_no_memory(cf);
	k->api = calloc(1, 1);
	kb_cf_next(&c);
	l.name = kb_cf_at(&c);
	k->file = l.name->file;
	k->line = l.name->line;
	k->rules.ttl_s = KB_COREFILE_TTL_DEFAULT;
	l.args = kb_cf_args(&c, &l.n);
	r = k->api ? 0 : kb_cf_no_memory(cf);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		if (l.args[i].unset)
			r = kb_cf_fail(
				cf, -EOPNOTSUPP, k->file, k->line,
				"kubernetes: a variable is not set in our environment, set it "
				"as CoreDNS has it");
	}
	if (r == 0)
		r = take_zones(&l, block);
	if (r == 0)
		r = kb_cf_note(cf, l.name, l.args, l.n, KB_COREFILE_TAKEN, NULL,
			       "the cluster's names");
	while (r == 0 && kb_cf_next_block(&c))
		r = kb_cf_kubernetes_property(cf, &c, k);
	if (r == 0)
		r = kb_cf_kubernetes_check(cf, k);
	if (r == 0 && kb_cf_next(&c))
		r = kb_cf_fail(
			cf, -EINVAL, kb_cf_at(&c)->file, kb_cf_at(&c)->line,
			"kubernetes can stand only once in a server block, with its { on the "
			"same line; remove this one");
	if (r < 0) {
		kb_cf_kubernetes_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void kb_cf_kubernetes_free(struct kb_cf_kubernetes *k)
{
	if (!k)
		return;
	kb_rules_free(&k->rules);
	free(k->fall.v);
	free(k->multicluster.v);
	free(k->api);
	free(k);
}
