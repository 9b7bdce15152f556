/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, and the order in which command line, file and defaults count.
 */
#include "control/config/pods.h"
#include "control/config/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/options_private.h"

/* getopt_long's value for row i is LONG_BASE + i, out of reach of letters. */
#define LONG_BASE 256

/* What getopt_long refused, told from its return value and state. */
static int refuse(int c, char *const *argv, const struct kb_option *rows, char *err,
		  size_t err_size)
{
	const struct kb_option *row = optopt >= LONG_BASE ? &rows[optopt - LONG_BASE] : NULL;
	const char *word = argv[optind - 1], *like;
	char expect[128];

	if (row && c == ':') {
		kb_options_expect(row, expect, sizeof(expect));
		return kb_config_fail(-EINVAL, err, err_size, "--%s: has no value, give %s",
				      row->name, expect);
	}
	if (row)
		return kb_config_fail(-EINVAL, err, err_size, "--%s: takes no value", row->name);
	if (optopt)
		return kb_config_fail(-EINVAL, err, err_size,
				      "-%c: no such option, see kbdnsd --help", optopt);
	like = kb_options_suggest(word + strspn(word, "-"));
	return kb_config_fail(-EINVAL, err, err_size, "%s: no such option%s%s, see kbdnsd --help",
			      word, like ? ", did you mean --" : "", like ? like : "");
}

static int parse_command_line(int argc, char *const *argv, struct kb_options *o, char *err,
			      size_t err_size)
{
	struct option longs[KB_OPTIONS_ROWS_MAX + 1];
	char letters[KB_OPTIONS_ROWS_MAX + 3] = "+:";
	const struct kb_option *rows;
	size_t n, n_letters = 2;
	char what[400];
	int c, r;

	rows = kb_options_rows(&n);
	memset(longs, 0, sizeof(longs));
	for (size_t i = 0; i < n; i++) {
		longs[i].name = rows[i].name;
		longs[i].has_arg = rows[i].type == KB_OPT_FLAG ? no_argument : required_argument;
		longs[i].val = LONG_BASE + (int)i;
		if (rows[i].letter)
			letters[n_letters++] = rows[i].letter;
	}
	letters[n_letters] = '\0';
	opterr = 0;
	optind = 0; /* glibc: start anew, also when called again */
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct kb_option *row = NULL;

		if (c == '?' || c == ':')
			return refuse(c, argv, rows, err, err_size);
		for (size_t i = 0; i < n && !row; i++) {
			if (c == longs[i].val || (rows[i].letter && c == rows[i].letter))
				row = &rows[i];
		}
		assert(row);
		r = kb_option_assign(o, row, KB_LEVEL_CLI, row->type == KB_OPT_FLAG ? "on" : optarg,
				     what, sizeof(what));
		if (r < 0)
			return kb_config_fail(r, err, err_size, "--%s: %s", row->name, what);
	}
	if (optind < argc)
		return kb_config_fail(-EINVAL, err, err_size,
				      "\"%s\": no arguments but options are taken, "
				      "see kbdnsd --help",
				      argv[optind]);
	return 0;
}

static int assign_defaults(struct kb_options *o, char *err, size_t err_size)
{
	const struct kb_option *rows;
	char text[512];
	size_t n;
	int r;

	rows = kb_options_rows(&n);
	for (size_t i = 0; i < n; i++) {
		char *save = NULL, *word;

		if (!rows[i].def || *kb_option_level(o, &rows[i]) > KB_LEVEL_DEFAULT)
			continue;
		assert(strlen(rows[i].def) < sizeof(text));
		strcpy(text, rows[i].def);
		for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
			r = kb_option_assign(o, &rows[i], KB_LEVEL_DEFAULT, word, err, err_size);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

#define CONFIGMAP "configmap:"

const char *kb_options_configmap(const char *value)
{
	if (!value || strncmp(value, CONFIGMAP, strlen(CONFIGMAP)) != 0)
		return NULL;
	return value + strlen(CONFIGMAP);
}

static int check_configmap(const char *option, const char *value, char *err, size_t err_size)
{
	const char *configmap = kb_options_configmap(value);

	if (!configmap || kb_parse_ns_name(configmap) == 0)
		return 0;
	return kb_config_fail(-EINVAL, err, err_size,
			      "--%s: \"%.128s\" is not valid, give a path or "
			      "configmap:NAMESPACE/NAME",
			      option, value);
}

bool kb_options_is_given(const struct kb_options *o, const char *name)
{
	size_t n;

	return o->level[kb_options_find(name) - kb_options_rows(&n)] > KB_LEVEL_DEFAULT;
}

void kb_options_default_ttl(struct kb_options *o, uint32_t ttl_s)
{
	if (!kb_options_is_given(o, "ttl"))
		o->ttl_s = ttl_s;
}

void kb_options_default_max_age(struct kb_options *o, uint64_t max_age_s)
{
	if (!kb_options_is_given(o, "max-age"))
		o->max_age_s = max_age_s;
}

/* The Corefile is the one place of what it says: an option beside it would contradict it sooner or
 * later. */
static int check_corefile(struct kb_options *o, char *err, size_t err_size)
{
	static const char *const said[] = {"cluster-domain", "reverse", "kubernetes"};

	if (!o->corefile)
		return 0;
	for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
		if (*kb_option_level(o, kb_options_find(said[i])) > KB_LEVEL_DEFAULT)
			return kb_config_fail(
				-EINVAL, err, err_size,
				"--%s and --corefile exclude each other: the Corefile "
				"says it, give one",
				said[i]);
	}
	return check_configmap("corefile", o->corefile, err, err_size);
}

static int check_pods(const struct kb_options *o, char *err, size_t err_size)
{
	if (kb_tc_order_check(o->tc_order) < 0)
		return kb_config_fail(-EINVAL, err, err_size,
				      "--tc-order: \"%.64s\" is not valid, give first, last, "
				      "before:PROG or after:PROG, PROG being an id or a name of at "
				      "most 15 characters",
				      o->tc_order);
	for (size_t i = 0; i < o->pods.n; i++) {
		if (o->pods.v[i][0] != '!')
			return 0;
	}
	return o->pods.n ? kb_config_fail(-EINVAL, err, err_size,
					  "--pods: only exclusions are given, add auto or the "
					  "patterns that they are exceptions of")
			 : 0;
}

/* Local mode's addresses: a pod can ask them, and each internal one is base + index. */
static int check_local(const struct kb_options *o, char *err, size_t err_size)
{
	bool seen[2] = {false, false};
	char text[KB_ADDR_TEXT_MAX];

	if (o->local_interface.n != 1)
		return kb_config_fail(-EINVAL, err, err_size,
				      "--local-interface: give one name, such as kbdns0");
	for (size_t i = 0; i < o->local_address.n; i++) {
		const struct kb_addr *a = &o->local_address.v[i].addr;

		if (a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80)
			return kb_config_fail(
				-EINVAL, err, err_size,
				"--local-address %s: a pod cannot reach a link-local "
				"IPv6 address of another link, give a unique local one "
				"such as fd00::53",
				kb_format_addr_port(&o->local_address.v[i], text));
	}
	for (size_t i = 0; i < o->local_range.n; i++) {
		const struct kb_cidr *c = &o->local_range.v[i];
		unsigned int family = c->addr.family == 6, most = family ? 125 : 29;

		if (c->bits > most || seen[family])
			return kb_config_fail(-EINVAL, err, err_size,
					      "--local-range %s: give one range of each family, "
					      "with 8 addresses at least (/29, /125)",
					      kb_format_cidr(c, text));
		seen[family] = true;
	}
	return 0;
}

/* What no row can say alone. */
static int check_together(struct kb_options *o, char *err, size_t err_size)
{
	const struct kb_option *kubeconfig = kb_options_find("kubeconfig");
	const struct kb_option *snapshot = kb_options_find("snapshot");
	uint8_t k = *kb_option_level(o, kubeconfig), s = *kb_option_level(o, snapshot);
	static const uint8_t zero[16];

	if (o->kubeconfig && o->snapshot) {
		if (k == s)
			return kb_config_fail(-EINVAL, err, err_size,
					      "--snapshot and --kubeconfig exclude each other, "
					      "give one");
		/* One from the file, the other from the command line, which wins. */
		kb_option_clear(o, k < s ? kubeconfig : snapshot);
	}
	for (size_t i = 0; i < o->intercept.n; i++) {
		const struct kb_addr *a = &o->intercept.v[i].addr;

		if (memcmp(a->b, zero, a->family == 4 ? 4 : 16) == 0)
			return kb_config_fail(-EINVAL, err, err_size,
					      "--intercept: the unspecified address matches no "
					      "packet, give the address that pods ask");
	}
	for (size_t i = 0; i < o->tc.n; i++) {
		for (size_t j = 0; j < o->xdp.n; j++) {
			if (strcmp(o->tc.v[i], o->xdp.v[j]) == 0)
				return kb_config_fail(-EINVAL, err, err_size,
						      "%s is given to both --tc and --xdp, "
						      "give it to one",
						      o->tc.v[i]);
		}
	}
	if (check_pods(o, err, err_size) < 0 || check_local(o, err, err_size) < 0)
		return -EINVAL;
	if (check_configmap("kube-dns-config", o->kube_dns_config, err, err_size) < 0)
		return -EINVAL;
	return check_corefile(o, err, err_size);
}

int kb_options_parse(int argc, char *const *argv, struct kb_options *ret_options, char *err,
		     size_t err_size)
{
	struct kb_options o;
	int r;

	memset(&o, 0, sizeof(o));
	r = parse_command_line(argc, argv, &o, err, err_size);
	if (r < 0)
		goto err;
	if (!o.help && !o.version) {
		if (o.config) {
			r = kb_config_file_read(&o, o.config, err, err_size);
			if (r < 0)
				goto err;
		}
		r = assign_defaults(&o, err, err_size);
		if (r < 0)
			goto err;
		r = check_together(&o, err, err_size);
		if (r < 0)
			goto err;
	}
	*ret_options = o;
	return 0;
err:
	kb_options_free(&o);
	return r;
}

void kb_options_free(struct kb_options *o)
{
	const struct kb_option *rows;
	size_t n;

	rows = kb_options_rows(&n);
	for (size_t i = 0; i < n; i++)
		kb_option_clear(o, &rows[i]);
	memset(o, 0, sizeof(*o));
}

int kb_options_tune(struct kb_options *o, const char *key, const char *value,
		    const struct kb_option **ret_row, char *err, size_t err_size)
{
	const struct kb_option *row = kb_options_find(key);
	uint8_t level;
	char what[400];
	int r;

	if (!row || !(row->flags & KB_OPT_TUNABLE))
		return kb_config_fail(-ENOENT, err, err_size,
				      "%.64s: no such tunable, `kbdnsctl tune` lists them", key);
	if (!(row->flags & KB_OPT_LIVE))
		return kb_config_fail(-EOPNOTSUPP, err, err_size,
				      "%s acts at restart: give --%s, or put it into the --config "
				      "file, and restart kbdnsd",
				      row->name, row->name);
	assert(!(row->flags & KB_OPT_REPEAT));
	level = *kb_option_level(o, row);
	*kb_option_level(o, row) = KB_LEVEL_CLI;
	r = kb_option_assign(o, row, KB_LEVEL_CLI, value, what, sizeof(what));
	if (r < 0) {
		*kb_option_level(o, row) = level;
		return kb_config_fail(r, err, err_size, "%s: %s", row->name, what);
	}
	if (ret_row)
		*ret_row = row;
	return 0;
}
