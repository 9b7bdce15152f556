/* SPDX-License-Identifier: Apache-2.0 */
#include "control/config/kube_dns.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/options_private.h"
#include "control/kube/json.h"

struct reader {
	const char *name, *key;
	struct kb_json json;
	struct kb_kube_dns *out;
	char *err;
	size_t err_size;
};

/* "NAME: KEY: line N: ...", and r. */
static int fail(const struct reader *r, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(const struct reader *r, int error, const char *format, ...)
{
	char what[400];
	unsigned int line = 1;
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	for (const char *p = r->json.begin; p < r->json.p; p++)
		line += *p == '\n';
	return kb_config_fail(error, r->err, r->err_size, "%s: %s, line %u: %s", r->name, r->key,
			      line, what);
}

static void warn(const struct reader *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(const struct reader *r, const char *format, ...)
{
	struct kb_kube_dns *out = r->out;
	char what[400], line[600];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%s: %s: %s", r->name, r->key, what);
	if (out->n_warnings < KB_KUBE_DNS_WARNINGS_MAX &&
	    (out->warnings[out->n_warnings] = strdup(line)))
		out->n_warnings++;
	else
		out->n_more_warnings++;
}

static int syntax(const struct reader *r, const char *wanted)
{
	return fail(r, -EINVAL, "%s, give %s", r->json.error ? r->json.error : "of another type",
		    wanted);
}

/* Labels of lower-case letters, digits and dashes that neither begin nor end with a dash, as
 * Kubernetes' IsDNS1123Subdomain takes them. */
static bool is_subdomain(const char *s)
{
	size_t label = 0;

	if (strlen(s) > 253)
		return false;
	for (;; s++) {
		bool dash = *s == '-';

		if (*s == '.' || !*s) {
			if (!label || s[-1] == '-')
				return false;
			if (!*s)
				return true;
			label = 0;
			continue;
		}
		if (!dash && !(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9'))
			return false;
		if ((dash && !label) || ++label > 63)
			return false;
	}
}

/* One server of a list. Returns 1 if it has been left out. */
static int take_server(struct reader *r, const char *text, bool may_be_name,
		       struct kb_forward_rule *rule)
{
	const char *of = *rule->domain ? rule->domain : "upstreams";
	struct kb_upstream_spec spec = {.tls = false};
	int e;

	if (kb_parse_addr_port(text, 53, &spec.at) < 0) {
		if (may_be_name && is_subdomain(text)) {
			warn(r,
			     "%s: \"%.64s\" is a name, which is not looked up; it is left out, "
			     "give its address",
			     of, text);
			return 1;
		}
		return fail(r, -EINVAL,
			    "%s: \"%.64s\" is no address, give it as 10.1.2.3, 10.1.2.3:5353 or "
			    "[fd00::3]:5353, without a zone and with a port from 1",
			    of, text);
	}
	e = kb_forward_rule_add(rule, &spec);
	if (e == -E2BIG)
		return fail(r, e, "%s: more than %d servers, give fewer", of, KB_STUB_ADDRS_MAX);
	return e < 0 ? fail(r, e, "out of memory") : 0;
}

/* A list of servers, or null. */
static int take_servers(struct reader *r, bool may_be_name, size_t max,
			struct kb_forward_rule *rule)
{
	static const char wanted[] = "a list of strings such as [\"10.1.2.3\"]";
	struct kb_json_str text;
	size_t n = 0;
	int e = 0;

	if (kb_json_peek(&r->json) == 'n')
		return kb_json_skip(&r->json) ? 0 : syntax(r, wanted);
	if (kb_json_peek(&r->json) != '[' || !kb_json_enter(&r->json, '['))
		return syntax(r, wanted);
	while (e >= 0 && kb_json_element(&r->json)) {
		if (kb_json_peek(&r->json) != '"' || !kb_json_string(&r->json, &text))
			return syntax(r, wanted);
		if (n++ == max)
			return fail(r, -E2BIG, "more than %zu servers, give fewer", max);
		e = strlen(text.s) == text.len ? take_server(r, text.s, may_be_name, rule)
					       : fail(r, -EINVAL, "a NUL in a server's address");
	}
	if (e >= 0 && r->json.error)
		return syntax(r, wanted);
	return e < 0 ? e : 0;
}

static int add_rule(struct reader *r, const char *domain, struct kb_forward_rule **ret)
{
	int e = kb_forward_rules_add(&r->out->rules, domain, ret);

	if (e == -EEXIST) {
		warn(r, "%s is given twice, the last one counts", domain);
		*ret = kb_forward_rules_find(&r->out->rules, domain);
		(*ret)->n = 0;
		return 0;
	}
	if (e == -E2BIG)
		return fail(r, e, "more than %d domains, give fewer", KB_STUBS_MAX);
	return e < 0 ? fail(r, e, "out of memory") : 0;
}

static int take_stub_domains(struct reader *r)
{
	static const char wanted[] = "an object such as {\"corp.example\": [\"10.1.2.3\"]}";
	struct kb_forward_rule *rule;
	struct kb_json_str domain;
	int e = 0;

	if (kb_json_peek(&r->json) == 'n')
		return kb_json_skip(&r->json) ? 0 : syntax(r, wanted);
	if (kb_json_peek(&r->json) != '{' || !kb_json_enter(&r->json, '{'))
		return syntax(r, wanted);
	while (e == 0 && kb_json_key_string(&r->json, &domain)) {
		if (strlen(domain.s) != domain.len || !is_subdomain(domain.s))
			return fail(r, -EINVAL,
				    "\"%.64s\" is no domain, give lower-case labels with dots "
				    "between, such as corp.example",
				    domain.s);
		e = add_rule(r, domain.s, &rule);
		if (e == 0)
			e = take_servers(r, true, SIZE_MAX, rule);
		if (e == 0 && !rule->n)
			warn(r,
			     "%s has no server that can be asked: its names are SERVFAIL, give "
			     "an address",
			     domain.s);
	}
	return e == 0 && r->json.error ? syntax(r, wanted) : e;
}

static int take_upstreams(struct reader *r)
{
	struct kb_forward_rule *rule;
	int e = add_rule(r, "", &rule);

	if (e == 0)
		e = take_servers(r, false, KB_KUBE_DNS_UPSTREAMS_MAX, rule);
	/* None: as if the key were not there. It is the last rule, or the only root. */
	if (e == 0 && !rule->n) {
		kb_forward_rule_fini(rule);
		r->out->rules.n--;
	}
	return e;
}

static int take_key(struct reader *r, const struct kb_label *entry)
{
	char *arena = malloc(strlen(entry->value) + 1);
	int e;

	r->key = entry->key;
	if (!arena)
		return kb_config_fail(-ENOMEM, r->err, r->err_size, "%s: out of memory", r->name);
	kb_json_init(&r->json, entry->value, strlen(entry->value), arena);
	e = strcmp(entry->key, "stubDomains") == 0 ? take_stub_domains(r) : take_upstreams(r);
	if (e == 0 && !kb_json_finish(&r->json))
		e = fail(r, -EINVAL, "%s, remove what follows the value", r->json.error);
	free(arena);
	return e;
}

/* The last entry of that key, or NULL. */
static const struct kb_label *find(const struct kb_label *data, size_t n, const char *key)
{
	while (n--) {
		if (strcmp(data[n].key, key) == 0)
			return &data[n];
	}
	return NULL;
}

int kb_kube_dns_parse(const char *name, const struct kb_label *data, size_t n,
		      struct kb_kube_dns *ret_config, char *err, size_t err_size)
{
	static const char *const keys[] = {"stubDomains", "upstreamNameservers"};
	struct kb_kube_dns config = {.n_warnings = 0};
	struct reader r = {.name = name, .out = &config, .err = err, .err_size = err_size};
	int e = 0;

	for (size_t i = 0; e == 0 && i < sizeof(keys) / sizeof(*keys); i++) {
		const struct kb_label *entry = find(data, n, keys[i]);

		if (entry)
			e = take_key(&r, entry);
	}
	for (size_t i = 0; e == 0 && i < n; i++) {
		r.key = data[i].key;
		if (strcmp(r.key, "federations") == 0)
			warn(&r, "federations are gone from Kubernetes, remove the key");
		else if (strcmp(r.key, keys[0]) != 0 && strcmp(r.key, keys[1]) != 0)
			warn(&r, "nobody knows this key, remove it or mend its name");
	}
	if (e < 0) {
		kb_kube_dns_free(&config);
		return e;
	}
	*ret_config = config;
	return 0;
}

void kb_kube_dns_free(struct kb_kube_dns *config)
{
	kb_forward_rules_free(&config->rules);
	for (size_t i = 0; i < config->n_warnings; i++)
		free(config->warnings[i]);
	memset(config, 0, sizeof(*config));
}
