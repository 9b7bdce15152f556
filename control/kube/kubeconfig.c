/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a kubeconfig: the current context's cluster and user. JSON kubeconfigs are
 * YAML too. What we cannot honour (exec plugins, auth providers, passwords,
 * impersonation) is refused by name rather than ignored.
 */
#include "control/kube/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct config {
	const char *path;
	yaml_document_t doc;
	char *err; /* borrowed */
	size_t err_size;
};

#define FAIL(c, r, ...) (snprintf((c)->err, (c)->err_size, __VA_ARGS__), (r))

static yaml_node_t *member(struct config *c, yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		yaml_node_t *k = yaml_document_get_node(&c->doc, p->key);

		if (k && k->type == YAML_SCALAR_NODE &&
		    !strcmp((const char *)k->data.scalar.value, key))
			return yaml_document_get_node(&c->doc, p->value);
	}
	return NULL;
}

/* NULL when it is absent, null, empty or no scalar. */
static const char *text(struct config *c, yaml_node_t *map, const char *key)
{
	yaml_node_t *n = member(c, map, key);
	const char *s;

	if (!n || n->type != YAML_SCALAR_NODE)
		return NULL;
	s = (const char *)n->data.scalar.value;
	if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (!strcmp(s, "null") || !strcmp(s, "~")))
		return NULL;
	return *s ? s : NULL;
}

/* The `what` member of the entry called `name` in the list `list`. */
static yaml_node_t *named(struct config *c, yaml_node_t *root, const char *list, const char *name,
			  const char *what)
{
	yaml_node_t *seq = member(c, root, list);

	if (!seq || seq->type != YAML_SEQUENCE_NODE)
		return NULL;
	for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
	     i++) {
		yaml_node_t *entry = yaml_document_get_node(&c->doc, *i);
		const char *n = text(c, entry, "name");

		if (n && !strcmp(n, name))
			return member(c, entry, what);
	}
	return NULL;
}

static char *beside(const char *config_path, const char *path)
{
	const char *slash = strrchr(config_path, '/');

	if (*path == '/' || !slash)
		return strdup(path);
	return kb_access_format("%.*s/%s", (int)(slash - config_path), config_path, path);
}

/* A credential by its inline key or, when that is absent, by its file's. */
static int secret(struct config *c, yaml_node_t *map, const char *data_key, const char *file_key,
		  bool base64, struct kb_secret *ret)
{
	const char *data = text(c, map, data_key), *file = text(c, map, file_key);

	if (data && base64) {
		int r = kb_base64_decode(data, &ret->data, &ret->len);

		return r < 0 ? FAIL(c, r, "%s: %s is not valid base64", c->path, data_key) : 0;
	}
	if (data) {
		ret->data = strdup(data);
		ret->len = strlen(data);
		return ret->data ? 0 : FAIL(c, -ENOMEM, "out of memory");
	}
	if (file) {
		ret->path = beside(c->path, file);
		return ret->path ? 0 : FAIL(c, -ENOMEM, "out of memory");
	}
	return 0;
}

static int copy(struct config *c, const char *s, char **ret)
{
	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : FAIL(c, -ENOMEM, "out of memory");
}

static int read_cluster(struct config *c, yaml_node_t *cluster, struct kb_access *a)
{
	const char *server = text(c, cluster, "server");
	const char *insecure = text(c, cluster, "insecure-skip-tls-verify");
	size_t n;
	int r;

	if (!server)
		return FAIL(c, -EINVAL, "%s: the cluster has no server", c->path);
	if (strncmp(server, "https://", 8) && strncmp(server, "http://", 7))
		return FAIL(c, -EINVAL, "%s: server \"%s\" is neither https:// nor http://",
			    c->path, server);
	r = copy(c, server, &a->server);
	if (r < 0)
		return r;
	for (n = strlen(a->server); n && a->server[n - 1] == '/'; n--)
		a->server[n - 1] = 0;
	a->insecure = insecure && !strcmp(insecure, "true");
	r = copy(c, text(c, cluster, "tls-server-name"), &a->tls_server_name);
	if (!r)
		r = copy(c, text(c, cluster, "proxy-url"), &a->proxy);
	if (!r)
		r = secret(c, cluster, "certificate-authority-data", "certificate-authority", true,
			   &a->ca);
	return r;
}

static int read_user(struct config *c, yaml_node_t *user, struct kb_access *a)
{
	static const struct {
		const char *key, *name;
	} refused[] = {
		{"exec", "an exec credential plugin"},
		{"auth-provider", "an auth-provider plugin"},
		{"username", "a user name and password"},
		{"as", "impersonation"},
	};
	int r;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		yaml_node_t *n = member(c, user, refused[i].key);

		if (n && (n->type != YAML_SCALAR_NODE || text(c, user, refused[i].key)))
			return FAIL(c, -EOPNOTSUPP,
				    "%s: the user needs %s (\"%s\"), which is not supported: use a "
				    "token or a client certificate",
				    c->path, refused[i].name, refused[i].key);
	}
	r = secret(c, user, "client-certificate-data", "client-certificate", true, &a->cert);
	if (!r)
		r = secret(c, user, "client-key-data", "client-key", true, &a->key);
	/* As in client-go, a token file wins over a token. */
	if (!r)
		r = secret(c, user, text(c, user, "tokenFile") ? "" : "token", "tokenFile", false,
			   &a->token);
	if (r < 0)
		return r;
	if ((a->cert.data || a->cert.path) != (a->key.data || a->key.path))
		return FAIL(c, -EINVAL, "%s: client certificate and client key come in pairs",
			    c->path);
	return 0;
}

static int read_config(struct config *c, struct kb_access *a)
{
	yaml_node_t *root = yaml_document_get_root_node(&c->doc), *context, *cluster, *user;
	const char *current = text(c, root, "current-context"), *name;
	int r;

	if (!root || root->type != YAML_MAPPING_NODE)
		return FAIL(c, -EINVAL, "%s: not a kubeconfig", c->path);
	if (!current)
		return FAIL(c, -EINVAL, "%s: no current-context", c->path);
	context = named(c, root, "contexts", current, "context");
	if (!context)
		return FAIL(c, -EINVAL, "%s: no context \"%s\"", c->path, current);
	name = text(c, context, "cluster");
	cluster = name ? named(c, root, "clusters", name, "cluster") : NULL;
	if (!cluster)
		return FAIL(c, -EINVAL, "%s: no cluster \"%s\"", c->path, name ? name : "");
	r = read_cluster(c, cluster, a);
	if (r < 0)
		return r;
	name = text(c, context, "user");
	if (!name)
		return 0;
	user = named(c, root, "users", name, "user");
	if (!user)
		return FAIL(c, -EINVAL, "%s: no user \"%s\"", c->path, name);
	return read_user(c, user, a);
}

static int load(struct config *c, FILE *file)
{
	yaml_parser_t parser;
	int r = 0;

	if (!yaml_parser_initialize(&parser))
		return FAIL(c, -ENOMEM, "out of memory");
	yaml_parser_set_input_file(&parser, file);
	if (!yaml_parser_load(&parser, &c->doc))
		r = FAIL(c, -EINVAL, "%s: line %zu: %s", c->path, parser.problem_mark.line + 1,
			 parser.problem ? parser.problem : "not valid YAML");
	yaml_parser_delete(&parser);
	return r;
}

int kb_access_from_kubeconfig(const char *path, struct kb_access **ret_access, char *err,
			      size_t err_size)
{
	struct config c = {.path = path, .err = err, .err_size = err_size};
	struct kb_access *a;
	FILE *file;
	int r;

	file = fopen(path, "re");
	if (!file) {
		r = -errno;
		snprintf(err, err_size, "%s: %s", path, strerror(-r));
		return r;
	}
	r = load(&c, file);
	fclose(file);
	if (r < 0)
		return r;
	a = calloc(1, sizeof(*a));
	r = a ? read_config(&c, a) : FAIL(&c, -ENOMEM, "out of memory");
	yaml_document_delete(&c.doc);
	if (!r)
		r = kb_access_refresh(a, 0, err, err_size);
	if (r < 0) {
		kb_access_free(a);
		return r;
	}
	*ret_access = a;
	return 0;
}
